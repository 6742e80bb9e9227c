/*
 * The table of device types and the calls that lead there.
 *
 * Worker threads of lxmd. A type that is missing here is refused by name, whatever the key tables know about it.
 */
#include "lxmd/device/device.h"

#include <string.h>

#include "lib/conf/tables.h"
#include "lxmd/device/device_priv.h"

static const struct device_type *const types[] = {
	&device_disk, &device_gpu, &device_nic, &device_none, &device_proxy, &device_unix_block, &device_unix_char, &device_unix_hotplug, &device_usb,
};

static const struct device_type *find_type(const char *name)
{
	size_t i;

	for (i = 0; name && i < LXM_ARRAY_LEN(types); i++)
		if (strcmp(types[i]->name, name) == 0)
			return types[i];
	return NULL;
}

static const struct device_type *type_of(const struct device_ctx *c)
{
	return find_type(lxm_kv_get(c->kv, "type"));
}

static int no_type(const struct device_ctx *c, struct lxm_err *e)
{
	return lxm_err_http(e, 400, EOPNOTSUPP, "device '%s': lxm has no devices of type '%s' yet", c->name,
			    lxm_kv_or(c->kv, "type", ""));
}

static void key_name(const struct device_ctx *c, const char *key, char *out, size_t size)
{
	(void)snprintf(out, size, "volatile.%s.%s", c->name, key);
}

const char *device_volatile(const struct device_ctx *c, const char *key)
{
	char name[160];
	const char *value;

	key_name(c, key, name, sizeof(name));
	value = c->changes ? lxm_kv_get(c->changes, name) : NULL;
	if (!value && c->config)
		value = lxm_kv_get(c->config, name);
	return lxm_empty(value) ? NULL : value;
}

void device_volatile_set(struct device_ctx *c, const char *key, const char *value)
{
	char name[160];

	key_name(c, key, name, sizeof(name));
	if (c->changes)
		lxm_kv_set(c->changes, name, value);
}

int device_validate(const struct device_ctx *c, bool instance, struct lxm_err *e)
{
	const struct device_type *t = type_of(c);
	int r = conf_device_check(c->name, c->kv, e);

	if (r < 0)
		return r;
	if (!t)
		return no_type(c, e);
	r = t->validate ? t->validate(c, instance, e) : 0;
	return r < 0 ? lxm_err_wrap(e, r, "device '%s'", c->name) : 0;
}

int device_add(struct device_ctx *c, struct lxm_err *e)
{
	const struct device_type *t = type_of(c);
	int r = t && t->add ? t->add(c, e) : 0;

	return r < 0 ? lxm_err_wrap(e, r, "device '%s'", c->name) : 0;
}

void device_remove(struct device_ctx *c)
{
	const struct device_type *t = type_of(c);

	if (t && t->remove)
		t->remove(c);
}

int device_start(struct device_ctx *c, struct plan *plan, struct lxm_err *e)
{
	const struct device_type *t = type_of(c);
	int r;

	if (!t)
		return no_type(c, e);
	r = t->start ? t->start(c, plan, e) : 0;
	return r < 0 ? lxm_err_wrap(e, r, "device '%s'", c->name) : 0;
}

int device_started(struct device_ctx *c, const struct device_live *live, struct lxm_err *e)
{
	const struct device_type *t = type_of(c);
	int r = t && t->started ? t->started(c, live, e) : 0;

	return r < 0 ? lxm_err_wrap(e, r, "device '%s'", c->name) : r;
}

void device_stop(struct device_ctx *c)
{
	const struct device_type *t = type_of(c);

	if (t && t->stop)
		t->stop(c);
}

static int not_while_running(const struct device_ctx *c, const char *what, struct lxm_err *e)
{
	return lxm_err_http(e, 400, EOPNOTSUPP, "device '%s': devices of type '%s' cannot be %s while the instance runs: stop it first",
			    c->name, lxm_kv_or(c->kv, "type", ""), what);
}

int device_hot_add(struct device_ctx *c, const struct device_live *live, struct lxm_err *e)
{
	const struct device_type *t = type_of(c);
	int r;

	if (!t || !t->hot_add)
		return not_while_running(c, "added", e);
	r = t->hot_add(c, live, e);
	return r < 0 ? lxm_err_wrap(e, r, "device '%s'", c->name) : 0;
}

int device_hot_remove(struct device_ctx *c, const struct device_live *live, struct lxm_err *e)
{
	const struct device_type *t = type_of(c);
	int r;

	if (!t || !t->hot_remove)
		return not_while_running(c, "removed", e);
	r = t->hot_remove(c, live, e);
	return r < 0 ? lxm_err_wrap(e, r, "device '%s'", c->name) : 0;
}

int device_hot_update(struct device_ctx *c, const struct lxm_kv *old, const struct device_live *live,
		      struct lxm_err *e)
{
	const struct device_type *t = type_of(c);
	int r;

	if (!t || !t->hot_update || !lxm_streq(t->name, lxm_kv_get(old, "type")))
		return DEVICE_ANEW;
	r = t->hot_update(c, old, live, e);
	return r < 0 ? lxm_err_wrap(e, r, "device '%s'", c->name) : r;
}

int device_follow(struct device_ctx *c, const struct device_live *live, struct lxm_err *e)
{
	const struct device_type *t = type_of(c);
	int r = t && t->follow ? t->follow(c, live, e) : 0;

	return r < 0 ? lxm_err_wrap(e, r, "device '%s'", c->name) : r;
}

unsigned int device_type_flags(const char *type)
{
	const struct device_type *t = find_type(type);

	return t ? t->flags : 0;
}

bool device_is_root(const struct lxm_kv *kv)
{
	return conf_disk_is_root(kv);
}

const char *device_nic_network(const struct lxm_kv *kv)
{
	const char *network = lxm_kv_or(kv, "network", NULL);

	return network ? network : lxm_kv_or(kv, "parent", NULL);
}

/* ---- type none: takes the place of a profile's device and does nothing */

static int none_hot(struct device_ctx *c, const struct device_live *live, struct lxm_err *e)
{
	return 0;
}

const struct device_type device_none = {
	.name = "none",
	.flags = DEVICE_HOT_ADD | DEVICE_HOT_REMOVE,
	.hot_add = none_hot,
	.hot_remove = none_hot,
};
