/*
 * The policy of projects. A project with restricted=true refuses what reaches the host; the table below names each
 * rule once, with the value it has when the project says nothing (the strictest, as in LXD). A caller with a restricted
 * certificate is held to the rules that guard the host in every project. Any thread of lxmd.
 */
#include "lxmd/instance/policy.h"

#include <string.h>

#include "db/profile.h"
#include "db/project.h"
#include "lib/base/alloc.h"
#include "lib/base/str.h"
#include "lib/conf/conf.h"
#include "lib/conf/facts.h"
#include "lib/conf/tables.h"
#include "lxmd/core/caller.h"
#include "lxmd/core/daemon.h"
#include "lxmd/core/quota.h"
#include "lxmd/device/device.h"
#include "lxmd/instance/instance.h"
#include "lxmd/instance/policy_priv.h"
#include "lxmd/storage/custom.h"

/* 0 when the instance keeps the rule, else -EPERM with a text. `value` is the project's setting or the default. */
typedef int (*rule_fn)(const struct instance *i, const char *value, struct lxm_err *e);

int policy_refuse(const char *rule, const char *what, struct lxm_err *e)
{
	return lxm_err_set(e, EPERM, "%s is not allowed here by the project's %s", what, rule);
}

static int rule_privilege(const struct instance *i, const char *value, struct lxm_err *e)
{
	/* "isolated" wants the key in force, whoever set it: an omitted key takes our default, which is isolated */
	bool isolated = lxm_kv_bool(&i->config, "security.idmap.isolated", true);

	if (lxm_streq(value, "allow"))
		return 0;
	if (instance_privileged(i))
		return policy_refuse("restricted.containers.privilege", "security.privileged=true", e);
	if (lxm_streq(value, "isolated") && !isolated)
		return policy_refuse("restricted.containers.privilege", "security.idmap.isolated=false", e);
	return 0;
}

static int rule_nesting(const struct instance *i, const char *value, struct lxm_err *e)
{
	if (lxm_streq(value, "allow") || !lxm_kv_bool(&i->config, "security.nesting", false))
		return 0;
	return policy_refuse("restricted.containers.nesting", "security.nesting=true", e);
}

static int rule_interception(const struct instance *i, const char *value, struct lxm_err *e)
{
	/*
	 * As LXD: what reaches the kernel's own readers of disks is not for everybody; a program inside may do it. No limit
	 * of a cgroup holds for real-time classes.
	 */
	static const char *const full[] = { "security.syscalls.intercept.mount.allowed", "security.syscalls.intercept.mount.shift",
					    "security.syscalls.intercept.sched_setscheduler" };
	bool allow = lxm_streq(value, "allow");

	if (lxm_streq(value, "full"))
		return 0;
	lxm_kv_each(p, &i->config) {
		bool wanted = strncmp(p->key, "security.syscalls.intercept.", 28) == 0 && lxm_parse_bool(p->value) != 0;
		size_t k;

		for (k = 0; allow && k < LXM_ARRAY_LEN(full) && strcmp(p->key, full[k]) != 0; k++)
			;
		if (wanted && k < LXM_ARRAY_LEN(full))
			return policy_refuse("restricted.containers.interception", p->key, e);
	}
	return 0;
}

static int rule_lowlevel(const struct instance *i, const char *value, struct lxm_err *e)
{
	if (lxm_streq(value, "allow"))
		return 0;
	lxm_kv_each(p, &i->config)
		if (!lxm_empty(p->value) && strcmp(p->key, "raw.idmap") != 0 &&
		    lxm_streq(conf_rule(&conf_instance, p->key), "restricted.containers.lowlevel"))
			return policy_refuse("restricted.containers.lowlevel", p->key, e);
	return 0;
}

static bool is_type(const struct lxm_dev *d, const char *type)
{
	return lxm_streq(lxm_kv_get(&d->kv, "type"), type);
}

/* A disk of a pool, or a part of the instance's own volume, stays inside; a path of the host does not. */
static int rule_disk(const struct instance *i, const char *value, struct lxm_err *e)
{
	lxm_devs_each(d, &i->devices) {
		if (!is_type(d, "disk") || device_is_root(&d->kv) || lxm_streq(value, "allow"))
			continue;
		if (lxm_streq(value, "managed") && (!lxm_empty(lxm_kv_get(&d->kv, "pool")) || conf_disk_is_own(&d->kv)))
			continue;
		return policy_refuse("restricted.devices.disk", d->name, e);
	}
	return 0;
}

/* Does a NIC keep to its network? Not with a key that reaches beyond it: the table of a bridge's NICs has those of all types of network. */
static bool nic_is_managed(const struct lxm_kv *kv)
{
	const struct conftable *t = conf_device("nic", "bridged");

	lxm_kv_each(p, kv)
		if (!lxm_empty(p->value) && lxm_streq(conf_rule(t, p->key), "restricted.devices.nic"))
			return false;
	return !lxm_empty(lxm_kv_get(kv, "network"));
}

static int rule_nic(const struct instance *i, const char *value, struct lxm_err *e)
{
	lxm_devs_each(d, &i->devices) {
		if (!is_type(d, "nic") || lxm_streq(value, "allow"))
			continue;
		if (lxm_streq(value, "managed") && nic_is_managed(&d->kv))
			continue;
		return policy_refuse("restricted.devices.nic", d->name, e);
	}
	return 0;
}

static bool listed(const char *list, const char *name)
{
	lxm_auto(strv) struct lxm_strv names = { 0 };
	size_t k;

	lxm_strv_split(&names, list, ',');
	for (k = 0; k < names.n; k++)
		if (lxm_streq(names.v[k] + strspn(names.v[k], " "), name))
			return true;
	return false;
}

static int rule_networks(const struct instance *i, const char *value, struct lxm_err *e)
{
	lxm_devs_each(d, &i->devices)
		if (is_type(d, "nic") && value && device_nic_network(&d->kv) && !listed(value, device_nic_network(&d->kv)))
			return policy_refuse("restricted.networks.access", d->name, e);
	return 0;
}

/* Every other type reaches something of the host: allowed whole, or not at all. */
static int rule_type(const struct instance *i, const char *type, const char *value, struct lxm_err *e)
{
	lxm_auto(free) char *rule = lxm_asprintf("restricted.devices.%s", type);

	if (lxm_streq(value, "allow"))
		return 0;
	lxm_devs_each(d, &i->devices)
		if (is_type(d, type))
			return policy_refuse(rule, d->name, e);
	return 0;
}

#define RULE_TYPE(name, type)                                                                           \
	static int rule_##name(const struct instance *i, const char *value, struct lxm_err *e)          \
	{                                                                                               \
		return rule_type(i, type, value, e);                                                    \
	}
RULE_TYPE(gpu, "gpu")
RULE_TYPE(infiniband, "infiniband")
RULE_TYPE(pci, "pci")
RULE_TYPE(proxy, "proxy")
RULE_TYPE(unix_block, "unix-block")
RULE_TYPE(unix_char, "unix-char")
RULE_TYPE(unix_hotplug, "unix-hotplug")
RULE_TYPE(usb, "usb")

/*
 * A proxy that is allowed speaks TCP and UDP with the host, each port by a process of its own. Sockets that have a path or an abstract
 * name there are doors of the host's own services, lxmd's among them, and of its file system.
 */
static int rule_proxy_unix(const struct instance *i, const char *value, struct lxm_err *e)
{
	lxm_devs_each(d, &i->devices)
		if (!lxm_streq(value, "allow") && policy_host_socket(&d->kv))
			return policy_refuse("restricted.devices.disk", "a proxy to a Unix socket of the host", e);
	return 0;
}

/* nat=true is no process but a rule of the firewall: before the host's own services, and for what only passes through, too. */
static int rule_proxy_nat(const struct instance *i, const char *value, struct lxm_err *e)
{
	lxm_devs_each(d, &i->devices)
		if (is_type(d, "proxy") && !lxm_streq(value, "allow") && lxm_kv_bool(&d->kv, "nat", false))
			return policy_refuse("restricted.devices.nic", "a proxy with nat=true", e);
	return 0;
}

/* Types that no key opens. */
static int rule_other_devices(const struct instance *i, const char *value, struct lxm_err *e)
{
	static const char *const known[] = { "disk", "gpu", "infiniband", "nic", "none", "pci", "proxy", "unix-block", "unix-char",
					     "unix-hotplug", "usb" };

	(void)value;
	lxm_devs_each(d, &i->devices) {
		size_t k;

		for (k = 0; k < LXM_ARRAY_LEN(known) && !is_type(d, known[k]); k++)
			;
		if (k == LXM_ARRAY_LEN(known))
			return policy_refuse("restricted.devices", d->name, e);
	}
	return 0;
}

static const struct {
	const char *key, *dflt;
	rule_fn fn;
	bool host; /* guards the host: holds for restricted callers in every project */
} rules[] = {
	{ "restricted.containers.interception", "block", rule_interception, true },
	{ "restricted.containers.lowlevel", "block", rule_lowlevel, true },
	{ "restricted.containers.nesting", "block", rule_nesting, false },
	{ "restricted.containers.privilege", "unprivileged", rule_privilege, true },
	{ "restricted.devices", NULL, rule_other_devices, true },
	{ "restricted.devices.disk", "managed", rule_disk, true },
	{ "restricted.devices.disk.paths", NULL, policy_rule_paths, true },
	{ "restricted.devices.gpu", "block", rule_gpu, true },
	{ "restricted.devices.infiniband", "block", rule_infiniband, true },
	{ "restricted.devices.nic", "managed", rule_nic, true },
	{ "restricted.networks.access", NULL, rule_networks, false },
	{ "restricted.devices.pci", "block", rule_pci, true },
	{ "restricted.devices.proxy", "block", rule_proxy, true },
	{ "restricted.devices.disk", "managed", rule_proxy_unix, true },
	{ "restricted.devices.nic", "managed", rule_proxy_nat, true },
	{ "restricted.devices.unix-block", "block", rule_unix_block, true },
	{ "restricted.devices.unix-char", "block", rule_unix_char, true },
	{ "restricted.devices.unix-hotplug", "block", rule_unix_hotplug, true },
	{ "restricted.devices.usb", "block", rule_usb, true },
};

static int judge(const struct instance *i, const struct lxm_kv *project, const struct caller *who, struct lxm_err *e)
{
	bool all = lxm_kv_bool(project, "restricted", false), tenant = who && who->trust == CALLER_RESTRICTED;
	size_t k;
	int r = 0;

	for (k = 0; r == 0 && k < LXM_ARRAY_LEN(rules); k++)
		if (all || (tenant && rules[k].host))
			r = rules[k].fn(i, lxm_kv_or(project, rules[k].key, rules[k].dflt), e);
	return r == 0 && (all || tenant) ? policy_rule_idmap(i, project, e) : r;
}

static int project_tx(struct db_tx *tx, void *arg, struct lxm_err *e)
{
	struct db_project *p = arg;
	lxm_auto(free) char *name = lxm_strdup(p->name);
	int r = db_project_get_values(tx, name, p, e);

	return r == DB_NONE ? lxm_err_set(e, ENOENT, "project '%s' not found", name) : r;
}

int policy_check(struct lxmd *d, const struct instance *i, const struct caller *who, struct lxm_err *e)
{
	struct db_project p = { .name = lxm_strdup(i->row.project) };
	int r = db_read(d->db, project_tx, &p, e);

	if (r == 0)
		r = judge(i, &p.config, who, e);
	db_project_deinit(&p);
	return r;
}

static int limits_tx(struct db_tx *tx, void *arg, struct lxm_err *e)
{
	const struct db_instance *wanted = arg;

	return quota_check_row(tx, wanted, e);
}

int policy_limits(struct lxmd *d, const struct instance *i, struct lxm_err *e)
{
	return db_read(d->db, limits_tx, (void *)&i->row, e);
}

int policy_check_profile(struct lxmd *d, const char *project, const struct db_profile *profile, const struct caller *who, struct lxm_err *e)
{
	/* the rules look at config and devices, which are only borrowed here */
	struct instance i = { .config = profile->config, .devices = profile->devices };
	struct db_project p = { 0 };
	int r;

	if (!who || who->trust != CALLER_RESTRICTED)
		return 0;
	p.name = lxm_strdup(project);
	r = db_read(d->db, project_tx, &p, e);
	if (r == 0)
		r = judge(&i, &p.config, who, e);
	db_project_deinit(&p);
	return r;
}

int policy_volume(struct lxmd *d, const char *project, const struct lxm_dev *dev, const struct caller *who, struct lxm_err *e)
{
	lxm_auto(free) char *home = NULL;
	int r;

	if (!who || who->trust != CALLER_RESTRICTED || !is_type(dev, "disk") || lxm_empty(lxm_kv_get(&dev->kv, "pool")) || device_is_root(&dev->kv))
		return 0;
	r = custom_home(d, project, &home, e);
	if (r == 0 && !caller_may_project(who, home))
		r = lxm_err_set(e, EPERM, "device '%s': custom volumes of project '%s' are not this caller's", dev->name, home);
	return r;
}

int policy_networks(struct lxmd *d, const char *project, struct policy_networks *out, struct lxm_err *e)
{
	struct db_project p = { .name = lxm_strdup(project) };
	const char *nic;
	int r = db_read(d->db, project_tx, &p, e);

	*out = (struct policy_networks){ .managed = true, .others = true };
	if (r == 0 && lxm_kv_bool(&p.config, "restricted", false)) {
		nic = lxm_kv_or(&p.config, "restricted.devices.nic", "managed");
		out->managed = !lxm_streq(nic, "block");
		out->others = lxm_streq(nic, "allow");
		if (lxm_kv_or(&p.config, "restricted.networks.access", NULL))
			out->only = lxm_strdup(lxm_kv_get(&p.config, "restricted.networks.access"));
	}
	db_project_deinit(&p);
	return r;
}

void policy_networks_deinit(struct policy_networks *n)
{
	free(n->only);
	memset(n, 0, sizeof(*n));
}

bool policy_networks_has(const struct policy_networks *n, const char *name, bool managed)
{
	return (managed ? n->managed : n->others) && (!n->only || listed(n->only, name));
}

/* A rule about what is done with instances and not about what they are. */
static int need_allowed(struct lxmd *d, const char *project, const char *rule, const char *what, struct lxm_err *e)
{
	struct db_project p = { .name = lxm_strdup(project) };
	int r = db_read(d->db, project_tx, &p, e);

	if (r == 0 && lxm_kv_bool(&p.config, "restricted", false) &&
	    !lxm_streq(lxm_kv_or(&p.config, rule, "block"), "allow"))
		r = policy_refuse(rule, what, e);
	db_project_deinit(&p);
	return r;
}

int policy_snapshots(struct lxmd *d, const char *project, struct lxm_err *e)
{
	return need_allowed(d, project, "restricted.snapshots", "a snapshot", e);
}

int policy_backups(struct lxmd *d, const char *project, struct lxm_err *e)
{
	return need_allowed(d, project, "restricted.backups", "a backup", e);
}
