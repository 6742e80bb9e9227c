/* Rules of a project that name things of the host that are its own: paths, and ids for raw.idmap. Any thread of lxmd. */
#include <string.h>

#include "lib/base/str.h"
#include "lib/conf/tables.h"
#include "lxmd/device/device.h"
#include "lxmd/instance/idmap.h"
#include "lxmd/instance/instance.h"
#include "lxmd/instance/policy_priv.h"

int policy_rule_idmap(const struct instance *i, const struct lxm_kv *project, struct lxm_err *e)
{
	const char *raw = lxm_kv_or(&i->config, "raw.idmap", NULL);

	if (!raw || lxm_streq(lxm_kv_get(project, "restricted.containers.lowlevel"), "allow") ||
	    idmap_raw_within(raw, lxm_kv_get(project, "restricted.idmap.uid"), lxm_kv_get(project, "restricted.idmap.gid")))
		return 0;
	return policy_refuse("restricted.containers.lowlevel, restricted.idmap.uid and restricted.idmap.gid", "raw.idmap", e);
}

/* By the words alone: what a path leads to is looked at by who opens it, and allows no link there (disk_path_check()). */
static bool path_below(const char *path, const char *dirs)
{
	lxm_auto(strv) struct lxm_strv l = { 0 }, parts = { 0 };
	size_t k;

	lxm_strv_split(&parts, path, '/');
	for (k = 0; k < parts.n; k++)
		if (strcmp(parts.v[k], "..") == 0)
			return false;
	lxm_strv_split(&l, dirs, ',');
	for (k = 0; k < l.n; k++) {
		const char *dir = l.v[k] + strspn(l.v[k], " ");
		size_t n = strlen(dir);

		while (n > 0 && dir[n - 1] == '/')
			n--;
		if (strncmp(path, dir, n) == 0 && (path[n] == 0 || path[n] == '/'))
			return true;
	}
	return false;
}

bool policy_host_socket(const struct lxm_kv *kv)
{
	bool inside = !lxm_streq(lxm_kv_or(kv, "bind", "host"), "host");
	const char *host = lxm_kv_get(kv, inside ? "connect" : "listen");

	return lxm_streq(lxm_kv_get(kv, "type"), "proxy") && host && lxm_starts(host, "unix:");
}

/* Whoever may write below such a path could have its ids shifted to others', or mounts of an instance spread to the host. */
int policy_rule_paths(const struct instance *i, const char *value, struct lxm_err *e)
{
	lxm_devs_each(d, &i->devices) {
		const char *spread = lxm_kv_or(&d->kv, "propagation", "private");

		/* a proxy follows links when it connects, and an abstract name is no path at all */
		if (value && policy_host_socket(&d->kv))
			return policy_refuse("restricted.devices.disk.paths", "a proxy to a Unix socket of the host", e);
		if (!value || !lxm_streq(lxm_kv_get(&d->kv, "type"), "disk") || device_is_root(&d->kv) || conf_disk_is_own(&d->kv) ||
		    !lxm_empty(lxm_kv_get(&d->kv, "pool")))
			continue;
		if (!path_below(lxm_kv_or(&d->kv, "source", ""), value))
			return policy_refuse("restricted.devices.disk.paths", d->name, e);
		if (lxm_kv_bool(&d->kv, "shift", false))
			return policy_refuse("restricted.devices.disk.paths", "'shift' of a host path", e);
		if (lxm_ends(spread, "shared"))
			return policy_refuse("restricted.devices.disk.paths", "'propagation' of a host path to the host", e);
	}
	return 0;
}
