/*
 * cgroup v2 has no devices controller: access is decided by a BPF_PROG_TYPE_CGROUP_DEVICE program. A map is asked first, for
 * devices that come and go while the instance runs (lib/wire/cgroup_devices.c writes it). Then rules are tried from the last to
 * the first, so that later ones win as on v1; the program is a straight list of compares of at most six instructions a rule, made on
 * the stack.
 */
#include "lxmd/monitor/device_bpf.h"

#include <linux/bpf.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "lib/base/auto.h"
#include "lib/wire/cgroup.h"

#define MAX_RULES 256

struct prog {
	struct bpf_insn v[MAX_RULES * 8 + 32];
	unsigned int n;
};

static void emit(struct prog *p, uint8_t code, uint8_t dst, uint8_t src, int16_t off, int32_t imm)
{
	p->v[p->n++] = (struct bpf_insn){ .code = code, .dst_reg = dst & 15, .src_reg = src & 15, .off = off, .imm = imm };
}

/* What is asked, in registers that a call leaves alone. */
enum { TYPE = BPF_REG_6, ACCESS = BPF_REG_7, MAJOR = BPF_REG_8, MINOR = BPF_REG_9 };

static void prologue(struct prog *p)
{
	const int16_t access_type = offsetof(struct bpf_cgroup_dev_ctx, access_type);

	emit(p, BPF_LDX | BPF_MEM | BPF_W, TYPE, BPF_REG_1, access_type, 0);
	emit(p, BPF_ALU | BPF_AND | BPF_K, TYPE, 0, 0, 0xffff);
	emit(p, BPF_LDX | BPF_MEM | BPF_W, ACCESS, BPF_REG_1, access_type, 0);
	emit(p, BPF_ALU | BPF_RSH | BPF_K, ACCESS, 0, 0, 16);
	emit(p, BPF_LDX | BPF_MEM | BPF_W, MAJOR, BPF_REG_1, offsetof(struct bpf_cgroup_dev_ctx, major), 0);
	emit(p, BPF_LDX | BPF_MEM | BPF_W, MINOR, BPF_REG_1, offsetof(struct bpf_cgroup_dev_ctx, minor), 0);
}

/* A device in the map: allowed when nothing is asked beyond the map's bits. Others go on to the rules. */
static void ask_map(struct prog *p, int map)
{
	const int16_t key = -(int16_t)sizeof(struct cgroup_device_key);

	emit(p, BPF_STX | BPF_MEM | BPF_W, BPF_REG_10, TYPE, key + (int16_t)offsetof(struct cgroup_device_key, type), 0);
	emit(p, BPF_STX | BPF_MEM | BPF_W, BPF_REG_10, MAJOR, key + (int16_t)offsetof(struct cgroup_device_key, major), 0);
	emit(p, BPF_STX | BPF_MEM | BPF_W, BPF_REG_10, MINOR, key + (int16_t)offsetof(struct cgroup_device_key, minor), 0);
	emit(p, BPF_LD | BPF_DW | BPF_IMM, BPF_REG_1, BPF_PSEUDO_MAP_FD, 0, map);
	emit(p, 0, 0, 0, 0, 0);
	emit(p, BPF_ALU64 | BPF_MOV | BPF_X, BPF_REG_2, BPF_REG_10, 0, 0);
	emit(p, BPF_ALU64 | BPF_ADD | BPF_K, BPF_REG_2, 0, 0, key);
	emit(p, BPF_JMP | BPF_CALL, 0, 0, 0, BPF_FUNC_map_lookup_elem);
	emit(p, BPF_JMP | BPF_JEQ | BPF_K, BPF_REG_0, 0, 7, 0);
	emit(p, BPF_LDX | BPF_MEM | BPF_W, BPF_REG_1, BPF_REG_0, 0, 0);
	emit(p, BPF_ALU | BPF_XOR | BPF_K, BPF_REG_1, 0, 0, -1);
	emit(p, BPF_ALU | BPF_AND | BPF_X, BPF_REG_1, ACCESS, 0, 0);
	emit(p, BPF_ALU64 | BPF_MOV | BPF_K, BPF_REG_0, 0, 0, 0);
	emit(p, BPF_JMP | BPF_JNE | BPF_K, BPF_REG_1, 0, 1, 0);
	emit(p, BPF_ALU64 | BPF_MOV | BPF_K, BPF_REG_0, 0, 0, 1);
	emit(p, BPF_JMP | BPF_EXIT, 0, 0, 0, 0);
}

static int32_t access_bits(const char *s)
{
	return (strchr(s, 'r') ? BPF_DEVCG_ACC_READ : 0) | (strchr(s, 'w') ? BPF_DEVCG_ACC_WRITE : 0) |
	       (strchr(s, 'm') ? BPF_DEVCG_ACC_MKNOD : 0);
}

static void rule(struct prog *p, const struct plan_cgroup_dev *d)
{
	int32_t bits = access_bits(d->access);
	unsigned int start = p->n, i;

	if (d->type != 'a')
		emit(p, BPF_JMP | BPF_JNE | BPF_K, TYPE, 0, 0, d->type == 'b' ? BPF_DEVCG_DEV_BLOCK : BPF_DEVCG_DEV_CHAR);
	if (d->allow) {
		/* allowed when nothing is asked beyond the rule's bits */
		emit(p, BPF_ALU | BPF_MOV | BPF_X, BPF_REG_1, ACCESS, 0, 0);
		emit(p, BPF_ALU | BPF_AND | BPF_K, BPF_REG_1, 0, 0, ~bits & 7);
		emit(p, BPF_JMP | BPF_JNE | BPF_K, BPF_REG_1, 0, 0, 0);
	} else {
		/* denied when anything of the rule's bits is asked */
		emit(p, BPF_ALU | BPF_MOV | BPF_X, BPF_REG_1, ACCESS, 0, 0);
		emit(p, BPF_ALU | BPF_AND | BPF_K, BPF_REG_1, 0, 0, bits);
		emit(p, BPF_JMP | BPF_JEQ | BPF_K, BPF_REG_1, 0, 0, 0);
	}
	if (d->major >= 0)
		emit(p, BPF_JMP | BPF_JNE | BPF_K, MAJOR, 0, 0, d->major);
	if (d->minor >= 0)
		emit(p, BPF_JMP | BPF_JNE | BPF_K, MINOR, 0, 0, d->minor);
	emit(p, BPF_ALU64 | BPF_MOV | BPF_K, BPF_REG_0, 0, 0, d->allow ? 1 : 0);
	emit(p, BPF_JMP | BPF_EXIT, 0, 0, 0, 0);
	/* a compare that fails goes on behind this rule */
	for (i = start; i < p->n; i++)
		if (BPF_CLASS(p->v[i].code) == BPF_JMP && BPF_OP(p->v[i].code) != BPF_EXIT)
			p->v[i].off = (int16_t)(p->n - i - 1);
}

static int make_map(struct lxm_err *e)
{
	union bpf_attr a;
	int fd;

	memset(&a, 0, sizeof(a));
	a.map_type = BPF_MAP_TYPE_HASH;
	a.key_size = sizeof(struct cgroup_device_key);
	a.value_size = sizeof(uint32_t);
	a.max_entries = CGROUP_DEVICES_MAX;
	a.map_flags = BPF_F_NO_PREALLOC;
	strcpy(a.map_name, CGROUP_DEVICES_NAME);
	fd = (int)syscall(SYS_bpf, BPF_MAP_CREATE, &a, sizeof(a));
	return fd < 0 ? lxm_err_sys(e, "make a map for the device rules") : fd;
}

static int load(const struct prog *p, struct lxm_err *e)
{
	static const char license[] = "Apache-2.0";
	union bpf_attr a;
	int fd;

	memset(&a, 0, sizeof(a));
	a.prog_type = BPF_PROG_TYPE_CGROUP_DEVICE;
	a.insns = (uint64_t)(uintptr_t)p->v;
	a.insn_cnt = p->n;
	a.license = (uint64_t)(uintptr_t)license;
	strcpy(a.prog_name, CGROUP_DEVICES_NAME);
	fd = (int)syscall(SYS_bpf, BPF_PROG_LOAD, &a, sizeof(a));
	return fd < 0 ? lxm_err_sys(e, "load the device rules") : fd;
}

int device_bpf_attach(const struct plan_view *plan, int cgroup, struct lxm_err *e)
{
	struct plan_cgroup_dev rules[MAX_RULES];
	lxm_auto(fd_close) int fd = -1;
	lxm_auto(fd_close) int map = make_map(e);
	struct prog p = { .n = 0 };
	union bpf_attr a;
	struct plan_step s;
	size_t pos = 0, n = 0;

	if (map < 0)
		return LXM_TAKE(map, -1);
	while (n < MAX_RULES && plan_next_of(plan, PLAN_CGROUP_DEV, &pos, &s))
		rules[n++] = s.u.cgroup_dev;
	prologue(&p);
	ask_map(&p, map);
	while (n)
		rule(&p, &rules[--n]);
	emit(&p, BPF_ALU64 | BPF_MOV | BPF_K, BPF_REG_0, 0, 0, 0);
	emit(&p, BPF_JMP | BPF_EXIT, 0, 0, 0, 0);
	fd = load(&p, e);
	if (fd < 0)
		return fd;
	memset(&a, 0, sizeof(a));
	a.target_fd = (uint32_t)cgroup;
	a.attach_bpf_fd = (uint32_t)fd;
	a.attach_type = BPF_CGROUP_DEVICE;
	a.attach_flags = BPF_F_ALLOW_MULTI;
	if (syscall(SYS_bpf, BPF_PROG_ATTACH, &a, sizeof(a)) < 0)
		return lxm_err_sys(e, "attach the device rules");
	return 0;
}
