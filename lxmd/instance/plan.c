/*
 * The start plan. lxmd decides everything here, from the merged configuration, the image's file templates and the
 * devices; the monitor checks each step again and runs it. Runs on a worker thread, changes nothing on the host but
 * what devices prepare (and undoes that when a later step fails).
 */
#include "lxmd/instance/plan.h"

#include <fcntl.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/base/alloc.h"
#include "lib/base/fd.h"
#include "lib/base/log.h"
#include "lib/conf/raw_lxc.h"
#include "lib/conf/tables.h"
#include "lib/wire/monitor.h"
#include "lib/wire/plan.h"
#include "lxmd/core/daemon.h"
#include "lxmd/image/metadata.h"
#include "lxmd/image/template.h"
#include "lxmd/instance/apparmor.h"
#include "lxmd/instance/devices.h"
#include "lxmd/instance/effective.h"
#include "lxmd/instance/guest.h"
#include "lxmd/instance/instance.h"
#include "lxmd/instance/intercept.h"
#include "lxmd/instance/limits.h"
#include "lxmd/instance/lxcfs.h"
#include "lxmd/instance/run.h"
#include "lxmd/instance/seccomp.h"
#include "lxmd/storage/pool.h"

static int add_rlimits(struct lxmd *d, struct plan *p, const struct instance *i, struct lxm_err *e)
{
	struct exec_rlimit v[EXEC_RLIMITS];
	size_t n, k;
	int r = instance_rlimits(d, i, v, &n, e);

	for (k = 0; r == 0 && k < n; k++)
		r = plan_add(p, &(struct plan_step){ PLAN_RLIMIT, .u.rlimit = { v[k].resource, v[k].soft, v[k].hard } }, e);
	return r;
}

static int add_init(struct plan *p, const char *command, struct lxm_err *e)
{
	lxm_auto(strv) struct lxm_strv words = { 0 };
	size_t k;
	int r = 0;

	lxm_strv_split(&words, command ? command : "/sbin/init", ' ');
	for (k = 0; r == 0 && k < words.n; k++)
		r = plan_arg(p, words.v[k], e);
	return r;
}

/* Keys that become steps one by one. */
static int add_config(struct lxmd *d, struct plan *p, const struct instance *i, struct lxm_err *e)
{
	lxm_auto(kv) struct lxm_kv room = { 0 };
	const struct lxm_kv *config = instance_effective(i, &room);
	int r = add_rlimits(d, p, i, e);

	if (r == 0)
		r = add_init(p, lxm_kv_get(config, RAW_LXC_INIT_CMD), e);
	if (r < 0)
		return r;
	lxm_kv_each(kv, config) {
		if (lxm_empty(kv->value))
			continue;
		if (lxm_starts(kv->key, "environment."))
			r = plan_env(p, kv->key + 12, kv->value, e);
		else if (lxm_starts(kv->key, "linux.sysctl."))
			r = plan_add(p, &(struct plan_step){ PLAN_SYSCTL, .u.sysctl = { kv->key + 13, kv->value } }, e);
		if (r < 0)
			return r;
	}
	return 0;
}

static int add_idmap(struct plan *p, const struct idmap *m, struct lxm_err *e)
{
	size_t k;
	int r = 0;

	for (k = 0; r == 0 && k < m->nuid; k++)
		r = plan_add(p,
			     &(struct plan_step){ PLAN_IDMAP,
						  .u.idmap = { PLAN_MAP_UID, m->uid[k].inside, m->uid[k].outside,
							       m->uid[k].count } },
			     e);
	for (k = 0; r == 0 && k < m->ngid; k++)
		r = plan_add(p,
			     &(struct plan_step){ PLAN_IDMAP,
						  .u.idmap = { PLAN_MAP_GID, m->gid[k].inside, m->gid[k].outside,
							       m->gid[k].count } },
			     e);
	return r;
}

/* Where mounts cannot be idmapped, owners are shifted on disk: once for as long as the instance keeps its range. */
static int shift_owners(struct pool *pool, const struct instance *i, const struct idmap *map, struct lxm_err *e)
{
	if (!lxm_empty(lxm_kv_get(&i->config, "raw.idmap")))
		return lxm_err_set(e, EOPNOTSUPP, "raw.idmap: pool '%s' takes no idmapped mounts", pool_name(pool));
	if (lxm_kv_bool(&i->config, "security.protection.shift", false))
		return lxm_err_set(e, EPERM, "security.protection.shift: pool '%s' takes no idmapped mounts, owners on disk would be shifted",
				   pool_name(pool));
	return pool_volume_shift(pool, VOLUME_OF_INSTANCE(i->row.project, i->row.name), map->nuid ? map->base : 0, map->nuid ? map->size : 0, e);
}

static int add_root(struct plan *p, struct pool *pool, const struct instance *i, const struct idmap *map, struct lxm_err *e)
{
	lxm_auto(volume_root) struct volume_root root = { 0 };
	const struct volume_id *v = VOLUME_OF_INSTANCE(i->row.project, i->row.name);
	struct plan_step s = { .kind = PLAN_ROOT };
	int r = pool_volume_prepare(pool, v, e);

	/* one that was restored, replaced or moved here has a new directory */
	if (r == 0 && instance_root_size(i))
		r = pool_caps(pool) & POOL_CAP_QUOTA ? pool_volume_limit(pool, v, instance_root_size(i), true, e) : 0;
	if (r == 0 && pool_shifts(pool))
		r = shift_owners(pool, i, map, e);
	if (r == 0)
		r = pool_volume_root(pool, v, &root, e);
	if (r < 0)
		return r;
	if (!instance_privileged(i))
		s.u.root.flags = (pool_shifts(pool) ? 0 : PLAN_ROOT_IDMAP) | (instance_intercepted(i) & PLAN_INTERCEPT_MKNOD ? PLAN_ROOT_DEV : 0);
	if (root.kind == VOLUME_ROOT_OVERLAY) {
		s.u.root.kind = PLAN_ROOT_OVERLAY;
		s.u.root.dir = root.dir;
		if (i->row.ephemeral)
			s.u.root.flags |= PLAN_ROOT_VOLATILE;
		r = plan_add(p, &(struct plan_step){ PLAN_LOWER, .u.lower = { root.lower } }, e);
	} else {
		s.u.root.kind = PLAN_ROOT_BIND;
		s.u.root.dir = root.lower;
	}
	return r < 0 ? r : plan_add(p, &s, e);
}

/*
 * What devices of the host may be reached where root of the container can come by nodes of others. Not 5:1, the console of the host:
 * the one of the container is a terminal.
 */
static int add_device_rules(struct plan *p, struct lxm_err *e)
{
	static const struct plan_cgroup_dev rules[] = {
		{ 1, 'c', -1, -1, "m" },    { 1, 'b', -1, -1, "m" },	{ 1, 'c', 1, 3, "rwm" },  { 1, 'c', 1, 5, "rwm" },
		{ 1, 'c', 1, 7, "rwm" },    { 1, 'c', 1, 8, "rwm" },	{ 1, 'c', 1, 9, "rwm" },  { 1, 'c', 5, 0, "rwm" },
		{ 1, 'c', 5, 2, "rwm" },    { 1, 'c', 136, -1, "rwm" },	{ 1, 'c', 10, 229, "rwm" }, { 1, 'c', 10, 200, "rwm" },
	};
	size_t k;
	int r = 0;

	for (k = 0; r == 0 && k < LXM_ARRAY_LEN(rules); k++)
		r = plan_add(p, &(struct plan_step){ PLAN_CGROUP_DEV, .u.cgroup_dev = rules[k] }, e);
	return r;
}

static int add_seccomp(struct lxmd *d, struct plan *p, const struct instance *i, struct lxm_err *e)
{
	struct plan_step s = { .kind = PLAN_SECCOMP };
	uint32_t flags = instance_intercepted(i);
	int r = instance_seccomp(d, i, true, &s.u.seccomp.bpf, e);

	if (r == 0 && s.u.seccomp.bpf.len)
		r = plan_add(p, &s, e);
	if (r < 0 || !flags)
		return r;
	s = (struct plan_step){ .kind = PLAN_INTERCEPT, .u.intercept = { .flags = flags, .mounts = instance_mounts(i) } };
	if (flags & PLAN_INTERCEPT_MOUNT)
		r = instance_seccomp(d, i, false, &s.u.intercept.inner, e);
	return r < 0 ? r : plan_add(p, &s, e);
}

static int add_apparmor(struct lxmd *d, struct plan *p, const struct instance *i, struct lxm_err *e)
{
	const struct apparmor_want w = {
		.id = i->row.id,
		.privileged = instance_privileged(i),
		.nesting = lxm_kv_bool(&i->config, "security.nesting", false),
		.raw = lxm_kv_get(&i->config, "raw.apparmor"),
	};
	char label[APPARMOR_LABEL];
	int r = apparmor_load(d->instances->apparmor, &w, label, e);

	if (r < 0 || !label[0])
		return r;
	return plan_add(p, &(struct plan_step){ PLAN_APPARMOR, .u.apparmor = { label } }, e);
}

int instance_seccomp(struct lxmd *d, const struct instance *i, bool intercept, struct wire_bytes *bpf_out, struct lxm_err *e)
{
	struct seccomp_want w = {
		.nesting = lxm_kv_bool(&i->config, "security.nesting", false),
		.privileged = instance_privileged(i),
		.no_default = !lxm_kv_bool(&i->config, "security.syscalls.deny_default", true),
		.deny_compat = lxm_kv_bool(&i->config, "security.syscalls.deny_compat", false),
		.intercept = intercept ? instance_intercepted(i) : 0,
		.deny = lxm_kv_get(&i->config, "security.syscalls.deny"),
		.allow = lxm_kv_get(&i->config, "security.syscalls.allow"),
		.raw = lxm_kv_get(&i->config, "raw.seccomp"),
	};

	return seccomp_get(d->instances->seccomp, &w, bpf_out, e);
}

/* ---- file templates of the image */

struct render {
	struct lxmd *d;
	struct plan *plan;
	const struct instance *i;
	int metafd;
	struct lxm_kv vars; /* `instance` in templates */
};

static int add_template(struct render *c, const struct image_template *t, const char *trigger, struct lxm_err *e)
{
	struct template_vars vars = {
		.trigger = trigger,
		.path = t->target,
		.instance = &c->vars,
		.config = &c->i->config,
		.devices = &c->i->devices,
		.properties = &t->properties,
	};
	lxm_auto(free) char *rel = lxm_asprintf("templates/%s", t->source);
	lxm_auto(fd_close) int fd = lxm_open_beneath(c->metafd, rel, O_RDONLY | O_NONBLOCK, 0);
	lxm_auto(buf) struct lxm_buf out = { 0 };
	lxm_auto(free) char *text = NULL;
	struct plan_step s = { .kind = PLAN_FILE };
	struct stat st;
	ssize_t n;
	int r;

	if (fd < 0 || fstat(fd, &st) < 0)
		return lxm_err_sys(e, "open template '%s' of the image", t->source);
	if (!S_ISREG(st.st_mode) || st.st_size > TEMPLATE_MAX)
		return lxm_err_set(e, EINVAL, "template '%s' of the image is not a file of at most %d bytes", t->source,
				   TEMPLATE_MAX);
	text = lxm_alloc((size_t)st.st_size + 1);
	n = lxm_read_full(fd, text, (size_t)st.st_size);
	if (n < 0)
		return lxm_err_set(e, (int)-n, "read template '%s' of the image", t->source);
	r = template_render(text, (size_t)n, &vars, &out, e);
	if (r < 0)
		return lxm_err_wrap(e, r, "template '%s' of the image", t->source);
	s.u.file.path = t->target;
	s.u.file.data = (struct wire_bytes){ out.data ? out.data : "", out.len };
	s.u.file.mode = t->mode < 0 ? 0644 : (uint32_t)t->mode;
	s.u.file.uid = t->uid < 0 ? 0 : (uint32_t)t->uid;
	s.u.file.gid = t->gid < 0 ? 0 : (uint32_t)t->gid;
	s.u.file.flags = t->create_only ? PLAN_FILE_CREATE_ONLY : 0;
	return plan_add(c->plan, &s, e);
}

/* Templates fire for the pending trigger (volatile.apply_template: create, copy, rename) and at every start. */
static int add_templates(struct lxmd *d, struct plan *p, struct pool *pool, const struct instance *i, struct lxm_err *e)
{
	const char *pending = lxm_kv_get(&i->config, "volatile.apply_template");
	lxm_auto(image_metadata) struct image_metadata meta = { 0 };
	lxm_auto(fd_close) int metafd = -1;
	struct render c = { .d = d, .plan = p, .i = i };
	size_t k;
	int r = pool_volume_open_meta(pool, VOLUME_OF_INSTANCE(i->row.project, i->row.name), &metafd, NULL, e);

	if (r == -ENOENT) {
		lxm_err_clear(e);
		return 0;
	}
	if (r == 0)
		r = image_metadata_read(metafd, &meta, e);
	if (r < 0)
		return lxm_err_wrap(e, r, "read the metadata of instance '%s'", i->row.name);
	c.metafd = metafd;
	lxm_kv_set(&c.vars, "name", i->row.name);
	lxm_kv_set(&c.vars, "architecture", i->row.architecture);
	lxm_kv_set(&c.vars, "type", "container");
	lxm_kv_set(&c.vars, "privileged", instance_privileged(i) ? "true" : "false");
	lxm_kv_set(&c.vars, "ephemeral", i->row.ephemeral ? "true" : "false");
	for (k = 0; r == 0 && k < meta.n_templates; k++) {
		const struct image_template *t = &meta.templates[k];

		if (!lxm_empty(pending) && image_template_fires(t, pending))
			r = add_template(&c, t, pending, e);
		else if (image_template_fires(t, "start"))
			r = add_template(&c, t, "start", e);
	}
	lxm_kv_deinit(&c.vars);
	return r;
}

/* ---- the whole */

/* The image may know better than a look at its init does; 0: look. */
static uint32_t stop_signal(const struct instance *i)
{
	static const struct {
		const char *name;
		uint32_t sig;
	} names[] = {
		{ "SIGHUP", 1 },   { "SIGINT", 2 },   { "SIGUSR1", 10 },    { "SIGUSR2", 12 },
		{ "SIGTERM", 15 }, { "SIGPWR", 30 },  { "SIGRTMIN+3", 37 }, { "SIGRTMIN+4", 38 },
	};
	const char *v = lxm_kv_get(&i->config, "image.lxm.stop_signal");
	size_t k;

	for (k = 0; v && k < LXM_ARRAY_LEN(names); k++)
		if (lxm_streq(names[k].name, v))
			return names[k].sig;
	return 0;
}

static int add_basics(struct lxmd *d, struct plan *p, const struct instance *i, struct lxm_err *e)
{
	struct instances *in = d->instances;
	bool nesting = lxm_kv_bool(&i->config, "security.nesting", false), priv = instance_privileged(i);
	lxm_auto(free) char *label = lxm_asprintf("%s/%s", i->row.project, i->row.name);
	lxm_auto(free) char *log = lxm_asprintf("%s/%s/console.log", d->dirs.log.path, label);
	struct plan_step opt = { .kind = PLAN_OPTIONS };
	int64_t oom = 0;
	char id[24];
	int r;

	snprintf(id, sizeof(id), "%lld", (long long)i->row.id);
	opt.u.options.flags = (priv ? PLAN_PRIVILEGED : 0) | (nesting ? PLAN_NESTING : 0) | (instance_guest_wanted(i) ? PLAN_GUEST_API : 0);
	opt.u.options.stop_signal = stop_signal(i);
	(void)lxm_parse_i64(lxm_kv_or(&i->config, "limits.memory.oom_priority", "0"), &oom);
	opt.u.options.oom_score_adj = (int32_t)oom;
	r = plan_add(p, &(struct plan_step){ PLAN_IDENTITY, .u.identity = { id, label, i->row.name } }, e);
	if (r == 0)
		r = plan_add(p, &opt, e);
	if (r == 0)
		r = plan_add(p, &(struct plan_step){ PLAN_CAPS, .u.caps = { instance_caps(i) } }, e);
	if (r == 0)
		r = plan_add_defaults(p, opt.u.options.flags, e);
	if (r == 0)
		r = plan_add_cgroups(p, &in->cgroups, in->cgroup_parent, id, !priv || nesting, e);
	if (r == 0)
		r = plan_add(p, &(struct plan_step){ PLAN_CONSOLE, .u.console = { .log = log } }, e);
	if (r == 0)
		r = plan_env(p, "container", "lxc", e);
	if (r == 0)
		r = plan_env(p, "PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", e);
	if (r == 0)
		r = plan_env(p, "TERM", "linux", e);
	if (r == 0 && (instance_device_rules(i)))
		r = add_device_rules(p, e);
	return r;
}

int instance_plan(struct lxmd *d, const struct instance *i, const struct run *run, const struct idmap *map, struct lxm_kv *changes,
		  struct plan **plan_out, struct lxm_err *e)
{
	lxm_auto(plan_free) struct plan *p = plan_new();
	lxm_auto(pool_unref) struct pool *pool = NULL;
	int r = storage_pool_get(d, instance_root_pool(i), &pool, e);

	if (r == 0)
		r = add_basics(d, p, i, e);
	if (r == 0)
		r = add_idmap(p, map, e);
	if (r == 0)
		r = add_root(p, pool, i, map, e);
	if (r == 0)
		r = lxcfs_plan(d->instances->lxcfs, p, e);
	if (r == 0)
		r = limits_plan(d, i, run, p, e);
	if (r == 0)
		r = add_config(d, p, i, e);
	if (r == 0)
		r = add_seccomp(d, p, i, e);
	if (r == 0)
		r = add_apparmor(d, p, i, e);
	if (r == 0)
		r = add_templates(d, p, pool, i, e);
	if (r == 0)
		r = instance_devices_start(d, p, i, run != NULL, changes, e);
	if (r < 0)
		return r;
	lxm_kv_set(changes, "volatile.apply_template", "");
	*plan_out = LXM_TAKE(p, NULL);
	return 0;
}
