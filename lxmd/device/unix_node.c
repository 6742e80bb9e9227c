/*
 * unix-char and unix-block: one device node of the host, by its name or numbers. How it comes to the instance stands in nodes.c.
 *
 * Nodes through which all of the host can be read or written (memory, I/O ports) are refused for unprivileged
 * instances, where nobody can want them by intent.
 */
#include <limits.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "lxmd/device/nodes.h"

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

static const char *inside(const struct device_ctx *c)
{
	return lxm_kv_or(c->kv, "path", lxm_kv_or(c->kv, "source", ""));
}

/* Path inside and its sanity; no look at the host. */
static int node_path(const struct device_ctx *c, struct node *n, struct lxm_err *e)
{
	const char *path = inside(c);

	if (!lxm_starts(path, "/dev/") || strstr(path, "/../") || lxm_ends(path, "/.."))
		return lxm_err_set(e, EOPNOTSUPP, "path '%s' must lie below /dev", path);
	if (strlen(path) - strlen("/dev/") >= sizeof(n->path))
		return lxm_err_set(e, ENAMETOOLONG, "path '%.60s...' is too long", path);
	(void)snprintf(n->path, sizeof(n->path), "%s", path + strlen("/dev/"));
	return 0;
}

/* Numbers given, or taken from the host's node. */
static int node_numbers(const struct device_ctx *c, struct node *n, struct lxm_err *e)
{
	const char *source = lxm_kv_or(c->kv, "source", inside(c));
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

static int node_check(const struct device_ctx *c, bool privileged, struct node *n, struct lxm_err *e)
{
	int r = node_path(c, n, e);

	if (r == 0)
		r = node_numbers(c, n, e);
	if (r == 0 && reaches_all_memory(n) && !privileged)
		return lxm_err_http(e, 403, EPERM, "'/dev/%s' gives access to all of the host's memory: refused for unprivileged instances",
				    n->path);
	return r;
}

static int node_validate(const struct device_ctx *c, bool instance, struct lxm_err *e)
{
	struct node n = { .type = node_type(c) };
	int r = node_check(c, instance && c->privileged, &n, e);

	if (r != -ENOENT || lxm_kv_bool(c->kv, "required", true))
		return r;
	lxm_err_clear(e);
	return 0;
}

static int find_unix(const struct device_ctx *c, struct node_set *out, struct lxm_err *e)
{
	struct node n = { .type = node_type(c) };
	struct lxm_err said = { 0 };
	int r = node_check(c, c->privileged, &n, &said);

	if (r == 0)
		node_set_add(out, &n);
	return r < 0 && r != -ENOENT ? lxm_err_http(e, said.http, said.code, "%s", said.msg) : 0;
}

const struct node_source node_source_unix = { .find = find_unix, .required = true, .follows = true };

#define NODE_TYPE                                                                                                                         \
	.flags = DEVICE_ON_HOST | DEVICE_HOT_ADD | DEVICE_HOT_REMOVE, .validate = node_validate, .start = nodes_start,                  \
	.started = nodes_started, .stop = nodes_stop, .hot_add = nodes_hot_add, .hot_remove = nodes_hot_remove, .follow = nodes_follow

const struct device_type device_unix_char = { .name = "unix-char", NODE_TYPE };
const struct device_type device_unix_block = { .name = "unix-block", NODE_TYPE };
