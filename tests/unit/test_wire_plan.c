/* lib/wire/plan: what the builder writes the monitor reads, and nothing damaged gets through. */
#include "tests/unit/unit.h"

#include <linux/capability.h>
#include <linux/mount.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "lib/base/fd.h"
#include "lib/wire/plan.h"

#define ADD(p, k, member, ...) plan_add(p, &(struct plan_step){ .kind = k, .u.member = __VA_ARGS__ }, &e)

/* A small plan that is whole. */
static struct plan *small(void)
{
	struct plan *p = plan_new();
	struct lxm_err e = { 0 };

	/* out of order on purpose: the builder sorts */
	CU_ASSERT_EQUAL(plan_arg(p, "/sbin/init", &e), 0);
	CU_ASSERT_EQUAL(ADD(p, PLAN_ROOT, root, { PLAN_ROOT_OVERLAY, PLAN_ROOT_IDMAP, "/pool/c1" }), 0);
	CU_ASSERT_EQUAL(ADD(p, PLAN_LOWER, lower, { "/pool/image" }), 0);
	CU_ASSERT_EQUAL(plan_env(p, "container", "lxc", &e), 0);
	CU_ASSERT_EQUAL(ADD(p, PLAN_IDMAP, idmap, { PLAN_MAP_UID, 0, 100000, 1000 }), 0);
	CU_ASSERT_EQUAL(ADD(p, PLAN_IDMAP, idmap, { PLAN_MAP_UID, 1000, 5000, 1 }), 0);
	CU_ASSERT_EQUAL(ADD(p, PLAN_IDMAP, idmap, { PLAN_MAP_GID, 0, 200000, 65536 }), 0);
	CU_ASSERT_EQUAL(ADD(p, PLAN_OPTIONS, options, { 0, 37, -5 }), 0);
	CU_ASSERT_EQUAL(ADD(p, PLAN_IDENTITY, identity, { "7.c1", "default/c1", "c1" }), 0);
	return p;
}

static void lists_of_vlans(void)
{
	static const char *const bad[] = { "0", "4095", "5-3", "1,", ",1", "1-", "-1", "1 ,2", "a", "1-2-3", "99999999999", "1,,2" };
	const char *p = "10,20-29,4094";
	uint16_t first, last;
	size_t i;
	int r;

	CU_ASSERT(plan_vlan_next(&p, &first, &last) == 1 && first == 10 && last == 10);
	CU_ASSERT(plan_vlan_next(&p, &first, &last) == 1 && first == 20 && last == 29);
	CU_ASSERT(plan_vlan_next(&p, &first, &last) == 1 && first == 4094 && last == 4094);
	CU_ASSERT_EQUAL(plan_vlan_next(&p, &first, &last), 0);
	for (i = 0; i < LXM_ARRAY_LEN(bad); i++) {
		p = bad[i];
		do
			r = plan_vlan_next(&p, &first, &last);
		while (r > 0);
		CU_ASSERT_EQUAL(r, -EINVAL);
	}
}

static void what_goes_in_comes_out(void)
{
	struct plan *p = small();
	struct lxm_err e = { 0 };
	struct plan_view v = { 0 };
	struct plan_step s;
	int fd = -1;

	CU_ASSERT_EQUAL(ADD(p, PLAN_FILE, file, { "/etc/hosts", { "a\0b", 3 }, 0644, 1, 2, PLAN_FILE_CREATE_ONLY }), 0);
	CU_ASSERT_EQUAL(plan_seal(p, &fd, &e), 0);
	CU_ASSERT_EQUAL(plan_open(fd, &v, &e), 0);
	CU_ASSERT(plan_find(&v, PLAN_IDENTITY, &s) && strcmp(s.u.identity.id, "7.c1") == 0 && strcmp(s.u.identity.hostname, "c1") == 0);
	CU_ASSERT(plan_find(&v, PLAN_OPTIONS, &s) && s.u.options.stop_signal == 37 && s.u.options.oom_score_adj == -5);
	CU_ASSERT(plan_find(&v, PLAN_FILE, &s) && s.u.file.data.len == 3 && memcmp(s.u.file.data.data, "a\0b", 3) == 0);
	CU_ASSERT(s.u.file.mode == 0644 && s.u.file.uid == 1 && s.u.file.gid == 2 && s.u.file.flags == PLAN_FILE_CREATE_ONLY);
	CU_ASSERT(plan_find(&v, PLAN_ENV, &s) && strcmp(s.u.text.s, "container=lxc") == 0);
	CU_ASSERT_FALSE(plan_find(&v, PLAN_NIC, &s));
	plan_close(&v);
	close(fd);
	plan_free(p);
}

static void steps_of_one_kind(void)
{
	static const enum plan_kind order[] = { PLAN_IDENTITY, PLAN_OPTIONS, PLAN_IDMAP, PLAN_IDMAP, PLAN_IDMAP, PLAN_ROOT, PLAN_LOWER, PLAN_ENV, PLAN_ARG };
	struct plan *p = small();
	struct lxm_err e = { 0 };
	struct plan_view v = { 0 };
	struct plan_step s, of;
	size_t pos = 0, of_pos = 0, n = 0;
	enum plan_kind kind = 0;
	int fd = -1;

	CU_ASSERT_EQUAL(plan_seal(p, &fd, &e), 0);
	CU_ASSERT_EQUAL(plan_open(fd, &v, &e), 0);
	/* kind by kind they are the steps of the whole, the first and the last kind too */
	for (; plan_next(&v, &pos, &s); n++) {
		CU_ASSERT_FATAL(n < LXM_ARRAY_LEN(order) && s.kind == order[n]);
		if (s.kind != kind) {
			CU_ASSERT(kind == 0 || !plan_next_of(&v, kind, &of_pos, &of));
			of_pos = 0;
		}
		kind = s.kind;
		CU_ASSERT_FATAL(plan_next_of(&v, kind, &of_pos, &of));
		CU_ASSERT(of.kind == kind && of_pos == pos);
	}
	CU_ASSERT_EQUAL(n, LXM_ARRAY_LEN(order));
	CU_ASSERT_FALSE(plan_next_of(&v, kind, &of_pos, &of));
	of_pos = 0;
	CU_ASSERT_FALSE(plan_next_of(&v, PLAN_MOUNT, &of_pos, &of));
	plan_close(&v);
	close(fd);
	plan_free(p);
}

static void ids_are_mapped_line_by_line(void)
{
	struct plan *p = small();
	struct lxm_err e = { 0 };
	struct plan_view v = { 0 };
	int fd = -1;

	CU_ASSERT_EQUAL(plan_seal(p, &fd, &e), 0);
	CU_ASSERT_EQUAL(plan_open(fd, &v, &e), 0);
	CU_ASSERT_EQUAL(plan_host_id(&v, PLAN_MAP_UID, 0), 100000);
	CU_ASSERT_EQUAL(plan_host_id(&v, PLAN_MAP_UID, 1000), 5000);
	CU_ASSERT_EQUAL(plan_host_id(&v, PLAN_MAP_UID, 1001), UINT32_MAX);
	CU_ASSERT_EQUAL(plan_host_id(&v, PLAN_MAP_GID, 5), 200005);
	plan_close(&v);
	close(fd);
	plan_free(p);
}

static void bad_steps_are_refused_by_name(void)
{
	struct plan *p = plan_new();
	struct lxm_err e = { 0 };

	CU_ASSERT_EQUAL(ADD(p, PLAN_IDENTITY, identity, { "../x", "n", "h" }), -EINVAL);
	CU_ASSERT_STRING_EQUAL(e.msg, "plan step 'identity': bad id");
	CU_ASSERT_EQUAL(ADD(p, PLAN_IDENTITY, identity, { "x", "n", "h\nb" }), -EINVAL);
	CU_ASSERT_EQUAL(ADD(p, PLAN_MOUNT, mount, { "/a", "/b/../c", "", "", 0, PLAN_MNT_BIND, 0 }), -EINVAL);
	CU_ASSERT_EQUAL(ADD(p, PLAN_MOUNT, mount, { "relative", "/b", "", "", 0, PLAN_MNT_BIND, 0 }), -EINVAL);
	CU_ASSERT_EQUAL(ADD(p, PLAN_MOUNT, mount, { "", "/b", "tmpfs", "", 1u << 20, 0, 0 }), -EINVAL);
	CU_ASSERT_EQUAL(ADD(p, PLAN_DEV, dev, { "../sda", 'b', 8, 0, 0600, 0, 0 }), -EINVAL);
	CU_ASSERT_EQUAL(ADD(p, PLAN_NIC, nic, { .kind = PLAN_NIC_VETH, .host = "this-name-is-too-long", .peer = "eth0" }), -EINVAL);
	CU_ASSERT_EQUAL(ADD(p, PLAN_NIC, nic, { .kind = PLAN_NIC_VETH, .host = "veth1", .peer = "eth0", .mac = "00:16:3e:zz:00:00" }), -EINVAL);
	CU_ASSERT_EQUAL(ADD(p, PLAN_SYSCTL, sysctl, { "../../etc/passwd", "x" }), -EINVAL);
	CU_ASSERT_EQUAL(ADD(p, PLAN_PROTECT, protect, { "/etc/passwd", PLAN_MASK }), -EINVAL);
	CU_ASSERT_EQUAL(ADD(p, PLAN_CGROUP, cgroup, { "memory", "/sys/fs/cgroup/memory", "../x", 0 }), -EINVAL);
	CU_ASSERT_EQUAL(ADD(p, PLAN_CGROUP_SET, cgroup_set, { "memory", "../x", "1", 0 }), -EINVAL);
	CU_ASSERT_EQUAL(ADD(p, PLAN_SECCOMP, seccomp, { { "1234567", 7 } }), -EINVAL);
	CU_ASSERT_EQUAL(ADD(p, PLAN_OPTIONS, options, { PLAN_HOST_NET, 0, 0 }), -EINVAL);
	CU_ASSERT_EQUAL(plan_env(p, "a=b", "c", &e), -EINVAL);
	CU_ASSERT_EQUAL(plan_env(p, "", "c", &e), -EINVAL);
	plan_free(p);
}

static void steps_about_links(void)
{
	struct plan *p = plan_new();
	struct lxm_err e = { 0 };

	CU_ASSERT_EQUAL(ADD(p, PLAN_NIC_ADDR, nic_addr, { PLAN_INSIDE, "eth0", "10.0.0.5/32" }), 0);
	CU_ASSERT_EQUAL(ADD(p, PLAN_NIC_ADDR, nic_addr, { PLAN_OUTSIDE, "veth1", "fe80::1/128" }), 0);
	CU_ASSERT_EQUAL(ADD(p, PLAN_NIC_ADDR, nic_addr, { 3, "eth0", "10.0.0.5/32" }), -EINVAL);
	CU_ASSERT_EQUAL(ADD(p, PLAN_NIC_ADDR, nic_addr, { PLAN_INSIDE, "../eth0", "10.0.0.5/32" }), -EINVAL);
	CU_ASSERT_EQUAL(ADD(p, PLAN_NIC_ADDR, nic_addr, { PLAN_INSIDE, "eth0", "10.0.0.5/33" }), -EINVAL);
	CU_ASSERT_EQUAL(ADD(p, PLAN_NIC_ADDR, nic_addr, { PLAN_INSIDE, "eth0", "10.0.0.5" }), -EINVAL);
	CU_ASSERT_EQUAL(ADD(p, PLAN_NIC_ADDR, nic_addr, { PLAN_INSIDE, "eth0", "10.0.0.5/" }), -EINVAL);
	CU_ASSERT_EQUAL(ADD(p, PLAN_NIC_ADDR, nic_addr, { PLAN_INSIDE, "eth0", "10.0.0.5/1x" }), -EINVAL);
	CU_ASSERT_EQUAL(ADD(p, PLAN_NIC_ROUTE, nic_route, { PLAN_INSIDE, "eth0", "0.0.0.0/0", "169.254.0.1", 0 }), 0);
	CU_ASSERT_EQUAL(ADD(p, PLAN_NIC_ROUTE, nic_route, { PLAN_INSIDE, "eth0", "::/0", "169.254.0.1", 0 }), -EINVAL);
	CU_ASSERT_EQUAL(ADD(p, PLAN_NIC_ROUTE, nic_route, { PLAN_OUTSIDE, "lo", "nonsense", "", 0 }), -EINVAL);
	CU_ASSERT_EQUAL(ADD(p, PLAN_NIC_PROXY, nic_proxy, { "eth0", "10.0.0.5" }), 0);
	CU_ASSERT_EQUAL(ADD(p, PLAN_NIC_PROXY, nic_proxy, { "eth0", "10.0.0.5/32" }), -EINVAL);
	CU_ASSERT_EQUAL(ADD(p, PLAN_NIC_PORT, nic_port, { .link = "veth1", .rate = 125000, .burst = 16384, .queue = 20000 }), 0);
	CU_ASSERT_EQUAL(ADD(p, PLAN_NIC_PORT, nic_port, { .link = "veth1", .rate = 125000 }), -EINVAL);
	CU_ASSERT_EQUAL(ADD(p, PLAN_NIC_PORT, nic_port, { .link = "../v", .rate = 125000, .burst = 16384, .queue = 20000 }), -EINVAL);
	CU_ASSERT_EQUAL(ADD(p, PLAN_NIC_PORT, nic_port, { .link = "veth1", .mac = "00:16" }), -EINVAL);
	CU_ASSERT_EQUAL(ADD(p, PLAN_NIC_PORT, nic_port, { .link = "veth1", .tagged = "10" }), -EINVAL);
	CU_ASSERT_EQUAL(ADD(p, PLAN_NIC_PORT, nic_port, { .link = "veth1", .flags = PLAN_PORT_VLANS, .untagged = 4096 }), -EINVAL);
	plan_free(p);
}

static void a_link_alone(void)
{
	struct plan_nic n = { .kind = PLAN_NIC_PHYSICAL, .peer = "eth1", .parent = "enp1s0", .host_mac = "00:16:3e:00:00:01", .host_mtu = 1500, .host_txqlen = 55 }, got;
	struct lxm_err e = { 0 };
	struct plan_view v = { 0 };
	int fd = -1;

	CU_ASSERT_EQUAL_FATAL(plan_nic_seal(&n, &fd, &e), 0);
	CU_ASSERT_EQUAL_FATAL(plan_nic_open(fd, &v, &got, &e), 0);
	CU_ASSERT_STRING_EQUAL(got.parent, "enp1s0");
	CU_ASSERT_STRING_EQUAL(got.mac, "");
	CU_ASSERT(got.kind == PLAN_NIC_PHYSICAL && got.host_mtu == 1500 && got.host_txqlen == 55);
	plan_close(&v);
	/* it is no plan, and a plan is no link */
	CU_ASSERT_EQUAL(plan_open(fd, &v, &e), -EBADMSG);
	close(fd);
	n.parent = "a/b";
	CU_ASSERT_EQUAL(plan_nic_seal(&n, &fd, &e), -EINVAL);
	CU_ASSERT_PTR_NOT_NULL(strstr(e.msg, "parent"));
}

static void incomplete_plans_are_refused(void)
{
	struct plan *p = plan_new();
	struct lxm_err e = { 0 };
	int fd = -1;

	CU_ASSERT_EQUAL(plan_seal(p, &fd, &e), -EINVAL);
	CU_ASSERT_PTR_NOT_NULL(strstr(e.msg, "identity"));
	CU_ASSERT_EQUAL(fd, -1);
	plan_free(p);
}

static void defaults_fit_a_plan(void)
{
	struct plan *p = small();
	struct lxm_err e = { 0 };
	struct plan_view v = { 0 };
	struct plan_step s;
	int fd = -1;

	CU_ASSERT_EQUAL(plan_add_defaults(p, PLAN_NESTING, &e), 0);
	CU_ASSERT_EQUAL(plan_seal(p, &fd, &e), 0);
	CU_ASSERT_EQUAL(plan_open(fd, &v, &e), 0);
	CU_ASSERT(plan_find(&v, PLAN_MOUNT, &s) && strcmp(s.u.mount.target, "/proc") == 0);
	CU_ASSERT(plan_find(&v, PLAN_CAPS, &s) && !(s.u.caps.keep >> CAP_SYS_MODULE & 1) && s.u.caps.keep >> CAP_SYS_ADMIN & 1);
	plan_close(&v);
	close(fd);
	plan_free(p);
}

static void unsealed_memory_is_refused(void)
{
	int fd = memfd_create("x", MFD_CLOEXEC);
	struct lxm_err e = { 0 };
	struct plan_view v = { 0 };

	CU_ASSERT_EQUAL(plan_open(fd, &v, &e), -EBADMSG);
	CU_ASSERT_STRING_EQUAL(e.msg, "the plan is not a sealed memory file");
	close(fd);
}

/* Flip every byte of a plan once: each must be refused or read in bounds (checked under ASan). */
static void damaged_plans_never_crash(void)
{
	struct plan *p = small();
	struct lxm_err e = { 0 };
	struct plan_view v = { 0 };
	struct stat st = { 0 };
	unsigned char *data;
	int fd = -1, refused = 0;
	off_t i;

	CU_ASSERT_EQUAL(plan_seal(p, &fd, &e), 0);
	CU_ASSERT_EQUAL(fstat(fd, &st), 0);
	data = malloc((size_t)st.st_size);
	CU_ASSERT_EQUAL(pread(fd, data, (size_t)st.st_size, 0), st.st_size);
	CU_ASSERT_EQUAL(plan_check(data, (size_t)st.st_size, &v, &e), 0);
	for (i = 0; i < st.st_size; i++) {
		data[i] ^= 0xff;
		refused += plan_check(data, (size_t)st.st_size, &v, &e) == -EBADMSG;
		data[i] ^= 0xff;
	}
	CU_ASSERT(refused > st.st_size / 2);
	for (i = 0; i < st.st_size; i++)
		CU_ASSERT_EQUAL(plan_check(data, (size_t)i, &v, &e), -EBADMSG);
	free(data);
	close(fd);
	plan_free(p);
}

UNIT_MAIN("wire/plan", { "lists of vlans", lists_of_vlans }, { "what goes in comes out", what_goes_in_comes_out }, { "steps of one kind are found without the others", steps_of_one_kind }, { "ids are mapped line by line", ids_are_mapped_line_by_line },
	  { "bad steps are refused by name", bad_steps_are_refused_by_name }, { "incomplete plans are refused", incomplete_plans_are_refused },
	  { "steps about links", steps_about_links }, { "a link alone", a_link_alone },
	  { "defaults fit a plan", defaults_fit_a_plan }, { "unsealed memory is refused", unsealed_memory_is_refused },
	  { "damaged plans never crash", damaged_plans_never_crash })
