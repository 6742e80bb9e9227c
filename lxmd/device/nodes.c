/*
 * Device nodes in instances: made by the start plan, or by lxm-helper while the instance runs, and allowed in its cgroup. Which ones
 * a device has says its source; those that may come and go are followed (plugs.h). Worker threads.
 */
#include "lxmd/device/nodes.h"

#include <stdlib.h>
#include <string.h>

#include "lib/base/alloc.h"
#include "lib/base/log.h"
#include "lib/wire/cgroup.h"
#include "lib/wire/hot.h"
#include "lxmd/device/plugs.h"

static bool is(const struct device_ctx *c, const char *type)
{
	return lxm_streq(lxm_kv_get(c->kv, "type"), type);
}

const struct node_source *node_source_of(const struct device_ctx *c)
{
	return is(c, "usb") ? &node_source_usb : is(c, "unix-hotplug") ? &node_source_hotplug : is(c, "gpu") ? &node_source_gpu : &node_source_unix;
}

static bool required(const struct device_ctx *c)
{
	return lxm_kv_bool(c->kv, "required", node_source_of(c)->required);
}

static bool follows(const struct device_ctx *c)
{
	return node_source_of(c)->follows && !required(c);
}

/* A privileged instance's network namespace is one of the host's user namespace: there the kernel tells by itself. */
static bool tells(const struct device_ctx *c)
{
	return node_source_of(c)->tells && !c->privileged;
}

static unsigned int number(const struct device_ctx *c, const char *key, int base, unsigned int dflt)
{
	const char *value = lxm_kv_get(c->kv, key);

	return lxm_empty(value) ? dflt : (unsigned int)strtoul(value, NULL, base);
}

static unsigned int mode(const struct device_ctx *c)
{
	return number(c, "mode", 8, 0660) & 07777;
}

/* What the host has, which must be something if the device is required. */
static int find(const struct device_ctx *c, struct node_set *out, struct lxm_err *e)
{
	const char *source = lxm_kv_or(c->kv, "source", lxm_kv_or(c->kv, "path", ""));
	int r;

	out->n = 0;
	r = node_source_of(c)->find(c, out, e);
	if (r < 0 || out->n)
		return r;
	if (required(c))
		return *source ? lxm_err_set(e, ENOENT, "source '%s': No such file or directory", source)
			       : lxm_err_set(e, ENOENT, "the host has no such device now, and it is required (required=false waits for it)");
	lxm_info("instance '%s': device '%s' is missing on the host and not required", c->instance_name, c->name);
	return 0;
}

/* The host directory where the node of an unix-char or unix-block device would appear; NULL: it has its numbers. */
static char *directory(const struct device_ctx *c)
{
	const char *source = lxm_kv_or(c->kv, "source", lxm_kv_or(c->kv, "path", ""));
	const char *slash = strrchr(source, '/');

	if (node_source_of(c) != &node_source_unix || !slash || !lxm_empty(lxm_kv_get(c->kv, "major")))
		return NULL;
	return lxm_asprintf("%.*s", slash == source ? 1 : (int)(slash - source), source);
}

static void keep(const struct device_ctx *c, const struct node_set *has)
{
	lxm_auto(free) char *dir = directory(c);

	if (follows(c))
		plug_keep(c->d, c->instance, c->name, has, dir, tells(c));
}

/* ---- start */

static int plan_node(const struct device_ctx *c, struct plan *plan, const struct node *n, struct lxm_err *e)
{
	struct plan_step dev = { .kind = PLAN_DEV }, rule = { .kind = PLAN_CGROUP_DEV };
	int r;

	dev.u.dev = (struct plan_dev){ .path = n->path, .type = (unsigned char)n->type, .major = n->major, .minor = n->minor,
				       .mode = mode(c), .uid = number(c, "uid", 10, 0), .gid = number(c, "gid", 10, 0) };
	rule.u.cgroup_dev = (struct plan_cgroup_dev){ .allow = 1, .type = (unsigned char)n->type, .major = (int)n->major,
						      .minor = (int)n->minor, .access = "rwm" };
	r = plan_add(plan, &dev, e);
	/* where there are no rules the first one would shut out all others */
	return r < 0 || !c->device_rules ? r : plan_add(plan, &rule, e);
}

int nodes_start(struct device_ctx *c, struct plan *plan, struct lxm_err *e)
{
	struct node_set s;
	size_t i;
	int r = find(c, &s, e);

	for (i = 0; r == 0 && i < s.n; i++)
		r = plan_node(c, plan, &s.v[i], e);
	if (r == 0 && !c->replan)
		keep(c, &s);
	return r;
}

int nodes_started(struct device_ctx *c, const struct device_live *live, struct lxm_err *e)
{
	struct node_set s = { .n = 0 };

	if (!follows(c) || plug_get(c->d, c->instance, c->name, &s))
		return 0;
	/* an lxmd that takes a running instance over does not know what it has: what is there already stays */
	keep(c, &s);
	return nodes_follow(c, live, e);
}

void nodes_stop(struct device_ctx *c)
{
	plug_drop(c->d, c->instance, c->name);
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

static int run(const struct device_ctx *c, const struct device_live *live, const struct node *n, uint32_t verb, const char *uevent, struct lxm_err *e)
{
	struct hot_job job = {
		.verb = verb,
		.flags = c->privileged ? HOT_PRIVILEGED : 0,
		.target = n->path,
		.type = (unsigned char)n->type,
		.major = n->major,
		.minor = n->minor,
		.mode = mode(c),
		.uid = number(c, "uid", 10, 0),
		.gid = number(c, "gid", 10, 0),
		.uevent = uevent,
	};

	return device_hot_run(live, &job, e);
}

static int come(const struct device_ctx *c, const struct device_live *live, const struct node *n, struct lxm_err *e)
{
	lxm_auto(free) char *uevent = tells(c) ? sysfs_uevent(sysfs_root(), n) : NULL;
	int r = set_rule(c, live, n, true, e);

	if (r < 0)
		return r;
	r = run(c, live, n, HOT_NODE, uevent, e);
	if (r < 0 && r != -EEXIST)
		(void)set_rule(c, live, n, false, NULL);
	return r;
}

static int go(const struct device_ctx *c, const struct device_live *live, const struct node *n, struct lxm_err *e)
{
	lxm_auto(free) char *uevent = tells(c) ? plug_uevent(c->d, c->instance, c->name, n) : NULL;
	int r = run(c, live, n, HOT_UNNODE, uevent, e);

	return r < 0 ? r : set_rule(c, live, n, false, e);
}

int nodes_hot_add(struct device_ctx *c, const struct device_live *live, struct lxm_err *e)
{
	struct node_set s;
	size_t i;
	int r = find(c, &s, e);

	for (i = 0; r == 0 && i < s.n; i++)
		r = come(c, live, &s.v[i], e);
	if (r == 0)
		keep(c, &s);
	else
		while (i > 1)
			(void)go(c, live, &s.v[--i - 1], NULL);
	return r;
}

int nodes_hot_remove(struct device_ctx *c, const struct device_live *live, struct lxm_err *e)
{
	struct node_set s = { .n = 0 };
	size_t i;
	int r = 0;

	/* pulled out of the host meanwhile: the numbers, and so the node, are nobody's any more */
	if (!plug_get(c->d, c->instance, c->name, &s) && node_source_of(c)->find(c, &s, NULL) < 0)
		return 0;
	for (i = 0; r == 0 && i < s.n; i++)
		r = go(c, live, &s.v[i], e);
	if (r == 0)
		plug_drop(c->d, c->instance, c->name);
	return r;
}

int nodes_follow(struct device_ctx *c, const struct device_live *live, struct lxm_err *e)
{
	struct node_set had, now = { .n = 0 }, has = { .n = 0 };
	struct lxm_err said = { 0 };
	bool changed = false;
	size_t i;
	int r;

	if (!follows(c) || !plug_get(c->d, c->instance, c->name, &had))
		return 0;
	r = node_source_of(c)->find(c, &now, e);
	if (r < 0)
		return r;
	for (i = 0; i < had.n; i++)
		if (node_set_has(&now, &had.v[i]))
			node_set_add(&has, &had.v[i]);
		else if (go(c, live, &had.v[i], &said) < 0)
			lxm_warn("instance '%s': device '%s': %s", c->instance_name, c->name, said.msg);
		else {
			lxm_info("instance '%s': device '%s': /dev/%s has gone", c->instance_name, c->name, had.v[i].path);
			changed = true;
		}
	for (i = 0; i < now.n; i++) {
		if (node_set_has(&has, &now.v[i]))
			continue;
		r = come(c, live, &now.v[i], &said);
		if (r < 0 && r != -EEXIST)
			lxm_warn("instance '%s': device '%s': %s", c->instance_name, c->name, said.msg);
		else
			node_set_add(&has, &now.v[i]);
		changed |= r == 0;
	}
	keep(c, &has);
	return changed;
}
