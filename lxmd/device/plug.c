/*
 * usb, unix-hotplug and gpu: devices known by what they are and not by a name in /dev. Worker threads.
 */
#include <dirent.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "lib/base/alloc.h"
#include "lxmd/device/nodes.h"

static int64_t number(const struct device_ctx *c, const char *key)
{
	int64_t v;

	return lxm_parse_i64(lxm_kv_or(c->kv, key, ""), &v) < 0 ? -1 : v;
}

static struct usb_want usb_want(const struct device_ctx *c)
{
	return (struct usb_want){ .vendor = lxm_kv_get(c->kv, "vendorid"), .product = lxm_kv_get(c->kv, "productid"),
				  .serial = lxm_kv_get(c->kv, "serial"), .bus = number(c, "busnum"), .dev = number(c, "devnum") };
}

static int find_usb(const struct device_ctx *c, struct node_set *out, struct lxm_err *e)
{
	struct usb_want w = usb_want(c);

	return sysfs_find_usb(sysfs_root(), &w, out, e);
}

static int find_hotplug(const struct device_ctx *c, struct node_set *out, struct lxm_err *e)
{
	struct usb_want w = usb_want(c);

	return sysfs_find_hotplug(sysfs_root(), &w, out, e);
}

/* The driver of NVIDIA keeps nodes of its own beside those of DRM; they serve all of its cards. */
static void find_nvidia(struct node_set *out)
{
	DIR *d = opendir("/dev");
	struct dirent *ent;

	while (d && (ent = readdir(d))) {
		struct node n = { .type = 'c' };
		struct stat st;

		if (!lxm_starts(ent->d_name, "nvidia") || fstatat(dirfd(d), ent->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0 || !S_ISCHR(st.st_mode))
			continue;
		n.major = major(st.st_rdev);
		n.minor = minor(st.st_rdev);
		(void)snprintf(n.path, sizeof(n.path), "%.100s", ent->d_name);
		node_set_add(out, &n);
	}
	if (d)
		(void)closedir(d);
}

static int find_gpu(const struct device_ctx *c, struct node_set *out, struct lxm_err *e)
{
	struct gpu_want w = { .vendor = lxm_kv_get(c->kv, "vendorid"), .product = lxm_kv_get(c->kv, "productid"),
			      .pci = lxm_kv_get(c->kv, "pci"), .id = lxm_kv_get(c->kv, "id") };
	struct gpu_want nvidia = w;
	struct node_set theirs = { 0 };
	int r = sysfs_find_gpu(sysfs_root(), &w, out, e);

	nvidia.vendor = "10de";
	if (r == 0 && (lxm_empty(w.vendor) || lxm_streq(w.vendor, nvidia.vendor)) && sysfs_find_gpu(sysfs_root(), &nvidia, &theirs, NULL) == 0 &&
	    theirs.n)
		find_nvidia(out);
	return r;
}

static int hotplug_validate(const struct device_ctx *c, bool instance, struct lxm_err *e)
{
	if (lxm_empty(lxm_kv_get(c->kv, "vendorid")) && lxm_empty(lxm_kv_get(c->kv, "productid")))
		return lxm_err_set(e, EINVAL, "vendorid or productid is wanted");
	return 0;
}

static int gpu_validate(const struct device_ctx *c, bool instance, struct lxm_err *e)
{
	static const char *const others[] = { "mdev", "mig.ci", "mig.gi", "mig.uuid" };
	const char *type = lxm_kv_or(c->kv, "gputype", "physical");
	size_t i;

	if (!lxm_streq(type, "physical"))
		return lxm_err_http(e, 400, EOPNOTSUPP, "gputype '%s' is not supported: lxm gives whole cards only (gputype=physical)", type);
	for (i = 0; i < LXM_ARRAY_LEN(others); i++)
		if (!lxm_empty(lxm_kv_get(c->kv, others[i])))
			return lxm_err_http(e, 400, EOPNOTSUPP, "'%s' is not supported: lxm gives whole cards only (gputype=physical)", others[i]);
	if (!lxm_empty(lxm_kv_get(c->kv, "pci")) && !lxm_empty(lxm_kv_get(c->kv, "id")))
		return lxm_err_set(e, EINVAL, "'id' and 'pci' name the same thing: give one");
	return 0;
}

const struct node_source node_source_usb = { .find = find_usb, .follows = true, .tells = true };
const struct node_source node_source_hotplug = { .find = find_hotplug, .follows = true, .tells = true };
const struct node_source node_source_gpu = { .find = find_gpu, .required = true };

#define NODE_TYPE                                                                                               \
	.flags = DEVICE_ON_HOST | DEVICE_HOT_ADD | DEVICE_HOT_REMOVE, .start = nodes_start, .started = nodes_started, \
	.stop = nodes_stop, .hot_add = nodes_hot_add, .hot_remove = nodes_hot_remove, .follow = nodes_follow

const struct device_type device_usb = { .name = "usb", NODE_TYPE };
const struct device_type device_unix_hotplug = { .name = "unix-hotplug", .validate = hotplug_validate, NODE_TYPE };
const struct device_type device_gpu = { .name = "gpu", .validate = gpu_validate, NODE_TYPE };
