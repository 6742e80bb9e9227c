/*
 * unix-char and unix-block: one device node of the host, made anew in the instance's /dev and allowed in its cgroup. A running
 * instance gets and loses it through lxm-helper.
 *
 * Nodes through which all of the host can be read or written (memory, I/O ports) are refused for unprivileged
 * instances, where nobody can want them by intent.
 */
#include <limits.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "lib/base/log.h"
#include "lib/wire/cgroup.h"
#include "lib/wire/hot.h"
#include "lxmd/device/device_priv.h"

struct node {
	char type; /* 'c', 'b' */
	unsigned int major, minor, mode, uid, gid;
	const char *path; /* inside, below /dev */
};

static int64_t number(const struct device_ctx *c, const char *key, int64_t dflt)
{
	const char *value = lxm_kv_get(c->kv, key);
	int64_t v;

	return lxm_empty(value) || lxm_parse_i64(value, &v) < 0 ? dflt : v;
}

/* /dev/mem, /dev/kmem, /dev/port */
static bool reaches_all_memory(const struct node *n)
{
	return n->type == 'c' && n->major == 1 && (n->minor == 1 || n->minor == 2 || n->minor == 4);
}

/* Path inside and its sanity; no look at the host. */
static int node_path(const struct device_ctx *c, struct node *n, struct lxm_err *e)
{
	n->path = lxm_kv_or(c->kv, "path", lxm_kv_or(c->kv, "source", ""));
	if (!lxm_starts(n->path, "/dev/") || strstr(n->path, "/../") || lxm_ends(n->path, "/.."))
		return lxm_err_set(e, EOPNOTSUPP, "path '%s' must lie below /dev", n->path);
	n->mode = 0660;
	if (!lxm_empty(lxm_kv_get(c->kv, "mode")))
		n->mode = (unsigned int)strtoul(lxm_kv_get(c->kv, "mode"), NULL, 8) & 07777;
	n->uid = (unsigned int)number(c, "uid", 0);
	n->gid = (unsigned int)number(c, "gid", 0);
	return 0;
}

/* Numbers given, or taken from the host's node. */
static int node_numbers(const struct device_ctx *c, struct node *n, struct lxm_err *e)
{
	const char *source = lxm_kv_or(c->kv, "source", n->path);
	int64_t major = number(c, "major", -1), minor = number(c, "minor", -1);
	struct stat st;

	if ((major < 0) != (minor < 0))
		return lxm_err_set(e, EINVAL, "'major' and 'minor' belong together");
	if (major >= 0) {
		n->major = (unsigned int)major;
		n->minor = (unsigned int)minor;
		return 0;
	}
	if (stat(source, &st) < 0)
		return lxm_err_sys(e, "source '%s'", source);
	if (n->type == 'c' ? !S_ISCHR(st.st_mode) : !S_ISBLK(st.st_mode))
		return lxm_err_set(e, EINVAL, "'%s' is not a %s device", source, n->type == 'c' ? "character" : "block");
	n->major = major(st.st_rdev);
	n->minor = minor(st.st_rdev);
	return 0;
}

static char node_type(const struct device_ctx *c)
{
	return lxm_streq(lxm_kv_get(c->kv, "type"), "unix-block") ? 'b' : 'c';
}

static int node_validate(const struct device_ctx *c, bool instance, struct lxm_err *e)
{
	struct node n = { .type = node_type(c) };
	int r = node_path(c, &n, e);

	if (r < 0)
		return r;
	r = node_numbers(c, &n, e);
	if (r == -ENOENT && !lxm_kv_bool(c->kv, "required", true)) {
		lxm_err_clear(e);
		return 0;
	}
	if (r < 0)
		return r;
	if (reaches_all_memory(&n) && !(instance && c->privileged))
		return lxm_err_http(e, 403, EPERM, "'%s' gives access to all of the host's memory: refused for unprivileged instances",
				    n.path);
	return 0;
}

/* Checked, with its numbers. Returns 0, 1 when it is missing and not required, or -errno. */
static int node_find(const struct device_ctx *c, struct node *n, struct lxm_err *e)
{
	int r = node_validate(c, true, e);

	if (r == 0)
		r = node_path(c, n, e);
	if (r < 0)
		return r;
	r = node_numbers(c, n, e);
	if (r == -ENOENT && !lxm_kv_bool(c->kv, "required", true)) {
		lxm_err_clear(e);
		lxm_info("instance '%s': device '%s' is missing on the host and not required", c->instance_name, c->name);
		return 1;
	}
	return r;
}

static int node_start(struct device_ctx *c, struct plan *plan, struct lxm_err *e)
{
	struct node n = { .type = node_type(c) };
	struct plan_step dev = { .kind = PLAN_DEV }, rule = { .kind = PLAN_CGROUP_DEV };
	int r = node_find(c, &n, e);

	if (r)
		return r < 0 ? r : 0;
	dev.u.dev = (struct plan_dev){ .path = n.path + strlen("/dev/"),
				       .type = (unsigned char)n.type,
				       .major = n.major,
				       .minor = n.minor,
				       .mode = n.mode,
				       .uid = n.uid,
				       .gid = n.gid };
	rule.u.cgroup_dev = (struct plan_cgroup_dev){ .allow = 1,
						      .type = (unsigned char)n.type,
						      .major = (int)n.major,
						      .minor = (int)n.minor,
						      .access = "rwm" };
	r = plan_add(plan, &dev, e);
	/* where there are no rules the first one would shut out all others */
	return r < 0 || !c->device_rules ? r : plan_add(plan, &rule, e);
}

/* ---- running instances */

/* What every instance may use stays allowed when a device of the same numbers goes. */
static bool is_everybodys(const struct node *n)
{
	if (n->type != 'c')
		return false;
	return (n->major == 1 && (n->minor == 3 || n->minor == 5 || n->minor == 7 || n->minor == 8 || n->minor == 9)) ||
	       (n->major == 5 && n->minor <= 2) || n->major == 136 || (n->major == 10 && (n->minor == 200 || n->minor == 229));
}

/* Of an instance that has device rules. */
static int set_rule(const struct device_ctx *c, const struct device_live *live, const struct node *n, bool allow, struct lxm_err *e)
{
	if (!c->device_rules || (!allow && is_everybodys(n)))
		return 0;
	return cgroup_device_rule(live->cgroups, live->cgroup, n->type, n->major, n->minor, allow, e);
}

static int run(const struct device_ctx *c, const struct device_live *live, const struct node *n, uint32_t verb, struct lxm_err *e)
{
	struct hot_job job = {
		.verb = verb,
		.flags = c->privileged ? HOT_PRIVILEGED : 0,
		.target = n->path + strlen("/dev/"),
		.type = (unsigned char)n->type,
		.major = n->major,
		.minor = n->minor,
		.mode = n->mode,
		.uid = n->uid,
		.gid = n->gid,
	};

	return device_hot_run(live, &job, e);
}

static int node_hot_add(struct device_ctx *c, const struct device_live *live, struct lxm_err *e)
{
	struct node n = { .type = node_type(c) };
	int r = node_find(c, &n, e);

	if (r)
		return r < 0 ? r : 0;
	r = set_rule(c, live, &n, true, e);
	if (r < 0)
		return r;
	r = run(c, live, &n, HOT_NODE, e);
	if (r < 0)
		(void)set_rule(c, live, &n, false, NULL);
	return r;
}

static int node_hot_remove(struct device_ctx *c, const struct device_live *live, struct lxm_err *e)
{
	struct node n = { .type = node_type(c) };
	int r = node_path(c, &n, e);

	if (r == 0)
		r = node_numbers(c, &n, e);
	if (r == -ENOENT) {
		/* pulled out of the host: the numbers, and so the node, are nobody's any more */
		lxm_err_clear(e);
		return 0;
	}
	if (r == 0)
		r = run(c, live, &n, HOT_UNNODE, e);
	return r < 0 ? r : set_rule(c, live, &n, false, e);
}

const struct device_type device_unix_char = {
	.name = "unix-char",
	.flags = DEVICE_ON_HOST | DEVICE_HOT_ADD | DEVICE_HOT_REMOVE,
	.validate = node_validate,
	.start = node_start,
	.hot_add = node_hot_add,
	.hot_remove = node_hot_remove,
};

const struct device_type device_unix_block = {
	.name = "unix-block",
	.flags = DEVICE_ON_HOST | DEVICE_HOT_ADD | DEVICE_HOT_REMOVE,
	.validate = node_validate,
	.start = node_start,
	.hot_add = node_hot_add,
	.hot_remove = node_hot_remove,
};
