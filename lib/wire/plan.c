/*
 * The start plan: one table says how each step is laid out, one table says what makes it valid. The builder in
 * lxmd and the reader in the monitor use the same checks, so a step that lxmd accepts is one that the monitor runs,
 * and a plan that went bad in between is refused whole.
 */
#include "lib/wire/plan.h"

#include <assert.h>
#include <fcntl.h>
#include <linux/mount.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>

#include "lib/base/alloc.h"
#include "lib/base/fd.h"
#include "lib/wire/plan_priv.h"

#define PLAN_MAGIC   0x504d584cu /* "LXMP" */
#define PLAN_VERSION 1u

static const struct wire_kind kinds[PLAN_KINDS] = {
	[PLAN_IDENTITY] = { "identity", 1, 1, { STR(identity.id, 65), STR(identity.name, 512), STR(identity.hostname, 64) } },
	[PLAN_OPTIONS] = { "options", 1, 1, { U32(options.flags), U32(options.stop_signal), I32(options.oom_score_adj) } },
	[PLAN_IDMAP] = { "idmap", 0, 680, { U32(idmap.which), U32(idmap.inside), U32(idmap.host), U32(idmap.count) } },
	[PLAN_CGROUP] = { "cgroup", 0, 16, { STR(cgroup.hier, 64), STR(cgroup.mount, 256), STR(cgroup.path, 256), U32(cgroup.flags) } },
	[PLAN_CGROUP_SET] = { "cgroup-set", 0, 256, { STR(cgroup_set.hier, 64), STR(cgroup_set.file, 128), STR(cgroup_set.value, 0), U32(cgroup_set.optional) } },
	[PLAN_CGROUP_DEV] = { "cgroup-dev", 0, 256, { U32(cgroup_dev.allow), U32(cgroup_dev.type), I32(cgroup_dev.major), I32(cgroup_dev.minor), STR(cgroup_dev.access, 4) } },
	[PLAN_ROOT] = { "root", 1, 1, { U32(root.kind), U32(root.flags), STR(root.dir, 0) } },
	[PLAN_LOWER] = { "lower", 0, 64, { STR(lower.dir, 0) } },
	[PLAN_DEV] = { "dev", 0, 1024, { STR(dev.path, 256), U32(dev.type), U32(dev.major), U32(dev.minor), U32(dev.mode), U32(dev.uid), U32(dev.gid) } },
	[PLAN_MOUNT] = { "mount", 0, 512, { STR(mount.source, 0), STR(mount.target, 0), STR(mount.fstype, 32), STR(mount.options, 0), U32(mount.attrs), U32(mount.flags), U32(mount.propagation) } },
	[PLAN_PROTECT] = { "protect", 0, 64, { STR(protect.path, 256), U32(protect.how) } },
	[PLAN_NIC] = { "nic", 0, 64, PLAN_NIC_FIELDS },
	[PLAN_NIC_ADDR] = { "nic-addr", 0, 256, { U32(nic_addr.side), STR(nic_addr.link, 16), STR(nic_addr.address, 64) } },
	[PLAN_NIC_ROUTE] = { "nic-route", 0, 512, { U32(nic_route.side), STR(nic_route.link, 16), STR(nic_route.dst, 64), STR(nic_route.via, 64), U32(nic_route.table) } },
	[PLAN_NIC_PROXY] = { "nic-proxy", 0, 256, { STR(nic_proxy.link, 16), STR(nic_proxy.address, 64) } },
	[PLAN_FILE] = { "file", 0, 1024, { STR(file.path, 0), BYTES(file.data, PLAN_FILE_MAX), U32(file.mode), U32(file.uid), U32(file.gid), U32(file.flags) } },
	[PLAN_SYSCTL] = { "sysctl", 0, 256, { STR(sysctl.key, 256), STR(sysctl.value, 0) } },
	[PLAN_RLIMIT] = { "rlimit", 0, 32, { U32(rlimit.resource), U64(rlimit.soft), U64(rlimit.hard) } },
	[PLAN_CAPS] = { "caps", 0, 1, { U64(caps.keep) } },
	[PLAN_SECCOMP] = { "seccomp", 0, 1, { BYTES(seccomp.bpf, 4096 * 8) } },
	[PLAN_APPARMOR] = { "apparmor", 0, 1, { STR(apparmor.label, 1024) } },
	[PLAN_CONSOLE] = { "console", 0, 1, { STR(console.log, 0), U32(console.rows), U32(console.cols) } },
	[PLAN_ENV] = { "env", 0, 4096, { STR(text.s, 128u << 10) } },
	[PLAN_ARG] = { "arg", 1, 1024, { STR(text.s, 128u << 10) } },
	[PLAN_INTERCEPT] = { "intercept",
			     0,
			     1,
			     { U32(intercept.flags), STR(intercept.mounts.allowed, PLAN_MOUNTS_MAX),
			       STR(intercept.mounts.fuse, PLAN_MOUNTS_MAX),
			       U32(intercept.mounts.shift), BYTES(intercept.inner, 4096 * 8) } },
	[PLAN_NIC_PORT] = { "nic-port", 0, 64, { STR(nic_port.link, 16), STR(nic_port.mac, 18), STR(nic_port.tagged, 0), U32(nic_port.flags), U32(nic_port.untagged), U64(nic_port.rate), U32(nic_port.burst), U32(nic_port.queue) } },
};

static const struct wire_format format = { PLAN_MAGIC, PLAN_VERSION, PLAN_MAX, kinds, PLAN_KINDS };

const char *plan_kind_name(uint32_t kind)
{
	return kind < PLAN_KINDS && kinds[kind].name ? kinds[kind].name : "unknown";
}

/* ---- what makes a step valid */

static bool name_ok(const char *s, const char *also)
{
	if (!*s || s[0] == '.')
		return false;
	for (; *s; s++)
		if (!((*s >= 'a' && *s <= 'z') || (*s >= 'A' && *s <= 'Z') || (*s >= '0' && *s <= '9') || strchr(also, *s)))
			return false;
	return true;
}

/* No "", "." or ".." between the slashes: the monitor joins and opens these beneath a directory. */
static bool components_ok(const char *s)
{
	const char *end;
	size_t n;

	for (;; s = end + 1) {
		end = strchrnul(s, '/');
		n = (size_t)(end - s);
		if (n == 0 || n > 255 || (n == 1 && s[0] == '.') || (n == 2 && s[0] == '.' && s[1] == '.'))
			return false;
		if (!*end)
			return true;
	}
}

static bool path_ok(const char *s)
{
	return s[0] == '/' && (!s[1] || components_ok(s + 1));
}

static bool relative_ok(const char *s)
{
	return s[0] != '/' && components_ok(s);
}

static bool host_ok(const char *s)
{
	return name_ok(s, "-.") && strlen(s) < 64;
}

static const char *check_idmap(const struct plan_idmap *m)
{
	if (!m->which || m->which & ~3u)
		return "which";
	if (!m->count || (uint64_t)m->inside + m->count > UINT32_MAX || (uint64_t)m->host + m->count > UINT32_MAX)
		return "count";
	return NULL;
}

static const char *check_mount(const struct plan_mount *m)
{
	uint32_t how = m->flags & (PLAN_MNT_BIND | PLAN_MNT_HOST);

	if (m->flags & ~511u || how == (PLAN_MNT_BIND | PLAN_MNT_HOST))
		return "flags";
	if (!path_ok(m->target) || !m->target[1])
		return "target";
	if (how == PLAN_MNT_BIND ? !path_ok(m->source) || *m->fstype || *m->options : !name_ok(m->fstype, "-_.0123456789"))
		return how == PLAN_MNT_BIND ? "source" : "fstype";
	if (m->attrs & ~(uint32_t)(MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC | MOUNT_ATTR__ATIME |
				   MOUNT_ATTR_NODIRATIME | MOUNT_ATTR_NOSYMFOLLOW))
		return "attrs";
	if (m->propagation & ~(uint32_t)(MS_SHARED | MS_SLAVE | MS_PRIVATE | MS_UNBINDABLE))
		return "propagation";
	return NULL;
}

static const char *check_cgroup_dev(const struct plan_cgroup_dev *d)
{
	if (d->allow > 1 || (d->type != 'c' && d->type != 'b' && d->type != 'a'))
		return "type";
	if (d->major < -1 || d->minor < -1)
		return "major";
	return *d->access && strspn(d->access, "rwm") == strlen(d->access) ? NULL : "access";
}

static const char *check_file(const struct plan_file *f)
{
	if (!path_ok(f->path) || !f->path[1])
		return "path";
	return f->mode & ~07777u ? "mode" : f->flags & ~3u ? "flags" : NULL;
}

static const char *check_sysctl(const char *key)
{
	return strstr(key, "..") || key[0] == '/' || !name_ok(key, "-_./") ? "key" : NULL;
}

static const char *check_dev(const struct plan_dev *d)
{
	if (!relative_ok(d->path))
		return "path";
	return d->type != 'c' && d->type != 'b' ? "type" : d->mode & ~0777u ? "mode" : NULL;
}

static const char *check_root(const struct plan_root *r)
{
	if ((r->kind != PLAN_ROOT_OVERLAY && r->kind != PLAN_ROOT_BIND) || r->flags & ~15u)
		return "kind";
	return path_ok(r->dir) && r->dir[1] ? NULL : "dir";
}

static const char *check_cgroup(const struct plan_cgroup *c)
{
	if (!name_ok(c->hier, "_=,-."))
		return "hier";
	if (!path_ok(c->mount))
		return "mount";
	return !relative_ok(c->path) ? "path" : c->flags & ~3u ? "flags" : NULL;
}

/* The name of the field that is wrong, or NULL. */
static const char *check_step(const struct plan_step *s)
{
	switch (s->kind) {
	case PLAN_IDENTITY:
		return !name_ok(s->u.identity.id, "_.-") ? "id" : !host_ok(s->u.identity.hostname) ? "hostname" : NULL;
	case PLAN_OPTIONS:
		if (s->u.options.flags & ~31u || (s->u.options.flags & PLAN_HOST_NET && !(s->u.options.flags & PLAN_PRIVILEGED)))
			return "flags";
		return s->u.options.stop_signal > 64 ? "stop_signal" : NULL;
	case PLAN_IDMAP:
		return check_idmap(&s->u.idmap);
	case PLAN_CGROUP:
		return check_cgroup(&s->u.cgroup);
	case PLAN_CGROUP_SET:
		return !name_ok(s->u.cgroup_set.file, "_.-") ? "file" : NULL;
	case PLAN_CGROUP_DEV:
		return check_cgroup_dev(&s->u.cgroup_dev);
	case PLAN_ROOT:
		return check_root(&s->u.root);
	case PLAN_LOWER:
		return path_ok(s->u.lower.dir) && s->u.lower.dir[1] ? NULL : "dir";
	case PLAN_DEV:
		return check_dev(&s->u.dev);
	case PLAN_MOUNT:
		return check_mount(&s->u.mount);
	case PLAN_PROTECT:
		if (!path_ok(s->u.protect.path) || (strncmp(s->u.protect.path, "/proc/", 6) && strncmp(s->u.protect.path, "/sys", 4)))
			return "path";
		return s->u.protect.how >= PLAN_MASK && s->u.protect.how <= PLAN_WRITABLE ? NULL : "how";
	case PLAN_NIC:
	case PLAN_NIC_ADDR:
	case PLAN_NIC_ROUTE:
	case PLAN_NIC_PROXY:
	case PLAN_NIC_PORT:
		return plan_check_nic(s);
	case PLAN_FILE:
		return check_file(&s->u.file);
	case PLAN_SYSCTL:
		return check_sysctl(s->u.sysctl.key);
	case PLAN_RLIMIT:
		return s->u.rlimit.resource > 31 ? "resource" : s->u.rlimit.soft > s->u.rlimit.hard ? "soft" : NULL;
	case PLAN_SECCOMP:
		return s->u.seccomp.bpf.len % 8 || !s->u.seccomp.bpf.len ? "bpf" : NULL;
	case PLAN_CONSOLE:
		if (*s->u.console.log && !path_ok(s->u.console.log))
			return "log";
		return s->u.console.rows > 65535 || s->u.console.cols > 65535 ? "size" : NULL;
	case PLAN_INTERCEPT:
		if (s->u.intercept.flags & ~31u || !s->u.intercept.flags)
			return "flags";
		return s->u.intercept.inner.len % 8	 ? "inner"
		       : s->u.intercept.mounts.shift > 1 ? "shift"
							 : NULL;
	case PLAN_ENV:
		return s->u.text.s[0] == '=' || !strchr(s->u.text.s, '=') ? "key" : NULL;
	case PLAN_CAPS:
	case PLAN_APPARMOR:
	case PLAN_ARG:
	case PLAN_KINDS:
		break;
	}
	return NULL;
}

/* ---- building */

struct plan {
	struct lxm_buf by_kind[PLAN_KINDS]; /* encoded records */
	uint32_t count[PLAN_KINDS];
};

struct plan *plan_new(void)
{
	return lxm_alloc(sizeof(struct plan));
}

size_t plan_count(const struct plan *p, enum plan_kind kind)
{
	return p->count[kind];
}

void plan_free(struct plan *p)
{
	size_t i;

	if (!p)
		return;
	for (i = 0; i < PLAN_KINDS; i++)
		lxm_buf_deinit(&p->by_kind[i]);
	free(p);
}

int plan_add(struct plan *p, const struct plan_step *in, struct lxm_err *e)
{
	struct plan_step s = *in;
	const char *bad;
	int r;

	assert(s.kind > 0 && s.kind < PLAN_KINDS);
	plan_fill_strings(&kinds[s.kind], &s);
	bad = check_step(&s);
	if (bad)
		return lxm_err_set(e, EINVAL, "plan step '%s': bad %s", kinds[s.kind].name, bad);
	if (kinds[s.kind].max && p->count[s.kind] >= kinds[s.kind].max)
		return lxm_err_set(e, EINVAL, "more than %u plan steps '%s'", kinds[s.kind].max, kinds[s.kind].name);
	r = wire_put(&p->by_kind[s.kind], &format, s.kind, &s, e);
	if (r < 0)
		return lxm_err_wrap(e, r, "plan");
	p->count[s.kind]++;
	return 0;
}

int plan_arg(struct plan *p, const char *arg, struct lxm_err *e)
{
	return plan_add(p, &(struct plan_step){ .kind = PLAN_ARG, .u.text.s = arg }, e);
}

int plan_env(struct plan *p, const char *key, const char *value, struct lxm_err *e)
{
	lxm_auto(free) char *entry = NULL;

	if (!*key || strchr(key, '='))
		return lxm_err_set(e, EINVAL, "bad environment key '%.100s'", key);
	entry = lxm_asprintf("%s=%s", key, value);
	return plan_add(p, &(struct plan_step){ .kind = PLAN_ENV, .u.text.s = entry }, e);
}

int plan_seal(const struct plan *p, int *fd_out, struct lxm_err *e)
{
	lxm_auto(buf) struct lxm_buf all = { 0 };
	unsigned char head[16] = { 0 };
	struct plan_view v;
	uint32_t records = 0;
	size_t i;

	lxm_buf_add(&all, head, sizeof(head));
	for (i = 1; i < PLAN_KINDS; i++) {
		if (p->by_kind[i].len)
			lxm_buf_add(&all, p->by_kind[i].data, p->by_kind[i].len);
		records += p->count[i];
	}
	if (all.len > PLAN_MAX)
		return lxm_err_set(e, EMSGSIZE, "start plan of %zu bytes is too large", all.len);
	wire_header((unsigned char *)all.data, &format, records, all.len - sizeof(head));
	if (plan_check(all.data, all.len, &v, e) < 0)
		return lxm_err_wrap(e, -EINVAL, "start plan");
	return wire_seal(&all, "the start plan", fd_out, e);
}

/* ---- reading */

/* Rules between steps. */
static int check_whole(struct plan_view *v, struct lxm_err *e)
{
	struct plan_step s;
	uint32_t maps = 0, lowers = 0, root = 0;
	size_t at = WIRE_HEADER, pos = at;

	for (; plan_next(v, &pos, &s); at = pos) {
		const char *bad = check_step(&s);

		if (!v->first[s.kind])
			v->first[s.kind] = (uint32_t)at;
		if (bad)
			return lxm_err_set(e, EBADMSG, "plan step '%s': bad %s", kinds[s.kind].name, bad);
		if (s.kind == PLAN_OPTIONS)
			v->options = s.u.options.flags;
		else if (s.kind == PLAN_IDMAP && s.u.idmap.inside == 0)
			maps |= s.u.idmap.which;
		else if (s.kind == PLAN_ROOT)
			root = s.u.root.kind;
		else if (s.kind == PLAN_LOWER)
			lowers++;
	}
	if (v->options & PLAN_PRIVILEGED ? maps != 0 : maps != 3)
		return lxm_err_set(e, EBADMSG, "id maps do not fit: root inside needs a uid and a gid, privileged instances none");
	if ((root == PLAN_ROOT_OVERLAY) != (lowers > 0))
		return lxm_err_set(e, EBADMSG, "lower layers do not fit the root filesystem");
	if (!plan_find(v, PLAN_ARG, &s) || !path_ok(s.u.text.s))
		return lxm_err_set(e, EBADMSG, "init is not an absolute path");
	return 0;
}

int plan_check(const void *data, size_t len, struct plan_view *out, struct lxm_err *e)
{
	struct plan_view v = { 0 };

	if (wire_check(&format, data, len, &v.doc, e) < 0 || check_whole(&v, e) < 0)
		return -EBADMSG;
	*out = v;
	return 0;
}

int plan_open(int fd, struct plan_view *out, struct lxm_err *e)
{
	struct plan_view v = { 0 };
	struct wire_mapping m;
	int r = wire_map(fd, PLAN_MAX, "plan", &m, e);

	if (r == 0)
		r = plan_check(m.data, m.len, &v, e);
	r = wire_keep(&m, r, &v.mapping);
	if (r == 0)
		*out = v;
	return r;
}

void plan_close(struct plan_view *v)
{
	wire_unmap(&v->mapping);
	memset(v, 0, sizeof(*v));
}

int plan_next(const struct plan_view *v, size_t *pos, struct plan_step *s)
{
	uint32_t kind = 0;

	if (!wire_next(&v->doc, pos, &kind, s))
		return 0;
	s->kind = (enum plan_kind)kind;
	return 1;
}

int plan_next_of(const struct plan_view *v, enum plan_kind kind, size_t *pos, struct plan_step *s)
{
	size_t at = *pos ? *pos : v->first[kind];

	if (!at || wire_kind_at(&v->doc, at) != kind)
		return 0;
	*pos = at;
	return plan_next(v, pos, s);
}

int plan_find(const struct plan_view *v, enum plan_kind kind, struct plan_step *s)
{
	size_t pos = 0;

	return plan_next_of(v, kind, &pos, s);
}

uint32_t plan_host_id(const struct plan_view *v, uint32_t which, uint32_t id)
{
	struct plan_step s;
	size_t pos = 0;

	if (v->options & PLAN_PRIVILEGED)
		return id;
	while (plan_next_of(v, PLAN_IDMAP, &pos, &s))
		if (s.u.idmap.which & which && id >= s.u.idmap.inside && id - s.u.idmap.inside < s.u.idmap.count)
			return s.u.idmap.host + (id - s.u.idmap.inside);
	return UINT32_MAX;
}
