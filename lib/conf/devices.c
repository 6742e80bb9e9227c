/* Devices: from a type to its key table, and the rules that hold between the keys of one device. */
#include "lib/conf/devices.h"

#include <string.h>

#include "lib/base/alloc.h"
#include "lib/conf/mount_options.h"
#include "lib/conf/names.h"

static const struct devtype *find(const struct devtype *v, size_t n, const char *name)
{
	size_t i;

	for (i = 0; i < n; i++)
		if (lxm_streq(v[i].name, name))
			return &v[i];
	return NULL;
}

static const struct devtype *type_of(const char *type, const char *subtype)
{
	if (lxm_streq(type, "nic"))
		return find(devtypes_nic, devtypes_nic_n, lxm_empty(subtype) ? "bridged" : subtype);
	return find(devtypes, devtypes_n, type);
}

const struct conftable *conf_device(const char *type, const char *subtype)
{
	const struct devtype *t = type_of(type, subtype);

	return t ? &t->table : NULL;
}

static int check_required(const struct conftable *t, const struct lxm_kv *dev, struct lxm_err *e)
{
	size_t i;

	for (i = 0; i < t->n; i++)
		if ((t->keys[i].flags & KEY_REQUIRED) && lxm_empty(lxm_kv_get(dev, t->keys[i].name)))
			return lxm_err_set(e, EINVAL, "a %s needs the key '%s'", t->what, t->keys[i].name);
	return 0;
}

static bool has(const struct lxm_kv *dev, const char *key)
{
	return !lxm_empty(lxm_kv_get(dev, key));
}

static int check_nic(const struct lxm_kv *dev, struct lxm_err *e)
{
	const char *nictype = lxm_kv_or(dev, "nictype", "");

	if (has(dev, "network") && *nictype)
		return lxm_err_set(e, EINVAL, "'network' and 'nictype' exclude each other: name the network only");
	if (has(dev, "network") && has(dev, "parent"))
		return lxm_err_set(e, EINVAL, "'network' and 'parent' exclude each other: name the network only");
	if (!has(dev, "network") && !*nictype)
		return lxm_err_set(e, EINVAL, "a nic device needs 'network' (a managed network) or 'nictype'");
	if (!has(dev, "network") && !has(dev, "parent") && strcmp(nictype, "p2p") && strcmp(nictype, "routed"))
		return lxm_err_set(e, EINVAL, "a %s nic device needs the key 'parent'", nictype);
	return 0;
}

bool conf_disk_is_root(const struct lxm_kv *dev)
{
	return lxm_streq(lxm_kv_get(dev, "type"), "disk") && lxm_streq(lxm_kv_get(dev, "path"), "/") &&
	       !lxm_empty(lxm_kv_get(dev, "pool"));
}

bool conf_disk_is_scratch(const struct lxm_kv *dev)
{
	return lxm_streq(lxm_kv_get(dev, "source"), "scratch:");
}

bool conf_disk_is_tmpfs(const struct lxm_kv *dev)
{
	return lxm_streq(lxm_kv_get(dev, "source"), "tmpfs:");
}

bool conf_disk_is_own(const struct lxm_kv *dev)
{
	return conf_disk_is_scratch(dev) || conf_disk_is_tmpfs(dev);
}

/* It is the instance's own directory or memory: nothing of the host is shared, nobody else's owners are in it. */
static int check_own(const struct lxm_kv *dev, struct lxm_err *e)
{
	static const char *const others[] = { "pool", "propagation", "recursive", "shift", "readonly", "limits.max", "limits.read", "limits.write" };
	size_t i, n = conf_disk_is_tmpfs(dev) ? LXM_ARRAY_LEN(others) : 5;

	for (i = 0; i < n; i++)
		if (has(dev, others[i]))
			return lxm_err_set(e, EINVAL, "'%s' has no meaning with source '%s'", others[i], lxm_kv_get(dev, "source"));
	return 0;
}

/* A file system that is mounted for it has options of its own; which one a block device of the host holds is seen later. */
static int check_options(const struct lxm_kv *dev, bool root, struct lxm_err *e)
{
	const char *text = lxm_kv_get(dev, "raw.mount.options");
	uint32_t attrs = 0;

	if (root && has(dev, "raw.mount.options"))
		return lxm_err_set(e, EINVAL, "'raw.mount.options' is not for the root disk");
	if (!root && (has(dev, "pool") || conf_disk_is_own(dev)))
		return conf_mount_options(text, conf_disk_is_tmpfs(dev) ? "tmpfs" : NULL, &attrs, NULL, e);
	return 0;
}

static int check_disk(const struct lxm_kv *dev, struct lxm_err *e)
{
	const char *path = lxm_kv_or(dev, "path", "");
	bool root = strcmp(path, "/") == 0;

	if (root && !has(dev, "pool"))
		return lxm_err_set(e, EINVAL, "the root disk (path=/) needs the key 'pool'");
	if (root && has(dev, "source"))
		return lxm_err_set(e, EINVAL, "the root disk (path=/) has no 'source': it is the instance's own volume");
	if (!root && !has(dev, "source"))
		return lxm_err_set(e, EINVAL, "a disk device needs the key 'source' (only path=/ has none)");
	if (!root && has(dev, "size") && !conf_disk_is_tmpfs(dev))
		return lxm_err_set(e, EINVAL, "'size' is for the root disk (path=/) and for 'tmpfs:'; set the size of other volumes themselves");
	if (check_options(dev, root, e) < 0)
		return -EINVAL;
	if (root)
		return 0;
	if (conf_disk_is_own(dev))
		return check_own(dev, e);
	if (!has(dev, "pool") && lxm_kv_get(dev, "source")[0] != '/')
		return lxm_err_set(e, EINVAL, "'source' must be an absolute path, a volume with its 'pool', 'scratch:' or 'tmpfs:'");
	return 0;
}

/* What holds between keys. */
static int check_together(const char *type, const struct lxm_kv *dev, struct lxm_err *e)
{
	if (lxm_streq(type, "nic"))
		return check_nic(dev, e);
	if (lxm_streq(type, "disk"))
		return check_disk(dev, e);
	if (lxm_starts(type, "unix-") && strcmp(type, "unix-hotplug") && !has(dev, "source") && !has(dev, "path"))
		return lxm_err_set(e, EINVAL, "a %s device needs 'source' or 'path'", type);
	return 0;
}

static int refuse_later(const struct devtype *t, struct lxm_err *e)
{
	if (strcmp(t->name, "sriov") == 0)
		return lxm_err_set(e, EINVAL, "lxm takes no virtual functions from a card: make one on the host and give its link away with nictype=physical");
	return lxm_err_set(e, EINVAL, "lxm has no %s yet", t->table.what);
}

/* "disk, gpu, nic ...": what lxm has of a table of types. */
static int unknown_type(const char *what, const char *got, const struct devtype *v, size_t n, const char *more, struct lxm_err *e)
{
	lxm_auto(buf) struct lxm_buf known = { 0 };
	size_t i;

	for (i = 0; i < n; i++)
		if (!(v[i].flags & (DEV_VM | DEV_LATER)))
			lxm_buf_fmt(&known, "%s%s", known.len ? ", " : "", v[i].name);
	return lxm_err_set(e, EINVAL, "unknown %s '%.40s'; there are %s%s", what, got, known.data, more);
}

static int check(const struct lxm_kv *dev, struct lxm_err *e)
{
	const char *type = lxm_kv_or(dev, "type", "");
	const struct devtype *t;
	int r;

	if (!*type)
		return lxm_err_set(e, EINVAL, "it has no 'type' (disk, nic, unix-char, none ...)");
	t = type_of(type, lxm_kv_get(dev, "nictype"));
	if (!t && lxm_streq(type, "nic"))
		return unknown_type("nictype", lxm_kv_get(dev, "nictype"), devtypes_nic, devtypes_nic_n, "", e);
	if (!t)
		return unknown_type("type", type, devtypes, devtypes_n, " and nic", e);
	if (t->flags & DEV_VM)
		return lxm_err_set(e, EINVAL, "devices of type '%s' are for virtual machines only", type);
	if (t->flags & DEV_LATER)
		return refuse_later(t, e);
	r = conf_check(&t->table, dev, e);
	if (r == 0)
		r = check_required(&t->table, dev, e);
	return r < 0 ? r : check_together(type, dev, e);
}

int conf_device_check(const char *name, const struct lxm_kv *dev, struct lxm_err *e)
{
	int r = conf_name_device(name, e);

	if (r < 0)
		return r;
	r = check(dev, e);
	return r < 0 ? lxm_err_wrap(e, r, "device '%s'", name) : 0;
}

int conf_devices_check(const struct lxm_devs *devs, struct lxm_err *e)
{
	static const struct lxm_devs none;

	return conf_devices_check_change(&none, devs, e);
}

int conf_devices_check_change(const struct lxm_devs *was, const struct lxm_devs *now, struct lxm_err *e)
{
	lxm_devs_each(d, now) {
		const struct lxm_dev *old = lxm_devs_get(was, d->name);
		int r = old && lxm_kv_eq(&old->kv, &d->kv) ? 0 : conf_device_check(d->name, &d->kv, e);

		if (r < 0)
			return r;
	}
	return 0;
}

static size_t bytes_of(const struct lxm_kv *kv)
{
	size_t n = 0;

	lxm_kv_each(p, kv)
		n += strlen(p->key) + strlen(p->value);
	return n;
}

int conf_check_size(const struct lxm_kv *config, const struct lxm_devs *devs, struct lxm_err *e)
{
	size_t bytes = bytes_of(config);

	if (config->n > CONF_KEYS_MAX)
		return lxm_err_set(e, EINVAL, "its configuration has %zu keys, %d at most are possible", config->n, CONF_KEYS_MAX);
	if (devs->n > CONF_DEVICES_MAX)
		return lxm_err_set(e, EINVAL, "it has %zu devices, %d at most are possible", devs->n, CONF_DEVICES_MAX);
	lxm_devs_each(d, devs)
		bytes += strlen(d->name) + bytes_of(&d->kv);
	if (bytes > CONF_BYTES_MAX)
		return lxm_err_set(e, EINVAL, "its configuration has %zu bytes, %u at most are possible", bytes, CONF_BYTES_MAX);
	return 0;
}
