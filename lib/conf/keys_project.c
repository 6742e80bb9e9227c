/* Keys of projects. Rows are sorted by name. */
#include <string.h>

#include "lib/conf/checks.h"
#include "lib/conf/tables.h"

static int check_block(const char *key, const char *value, struct lxm_err *e)
{
	return check_words(value, "block|allow", e);
}

static int check_interception(const char *key, const char *value, struct lxm_err *e)
{
	return check_words(value, "block|allow|full", e);
}

static int check_privilege(const char *key, const char *value, struct lxm_err *e)
{
	return check_words(value, "unprivileged|isolated|allow", e);
}

static int check_managed(const char *key, const char *value, struct lxm_err *e)
{
	return check_words(value, "block|managed|allow", e);
}

static int check_paths(const char *key, const char *value, struct lxm_err *e)
{
	lxm_auto(strv) struct lxm_strv paths = { 0 };
	size_t i;
	int r = 0;

	lxm_strv_split(&paths, value, ',');
	for (i = 0; r == 0 && i < paths.n; i++)
		r = check_abs_path(key, paths.v[i] + strspn(paths.v[i], " "), e);
	return r;
}

static int check_ids(const char *key, const char *value, struct lxm_err *e)
{
	lxm_auto(strv) struct lxm_strv spans = { 0 };
	size_t i;

	lxm_strv_split(&spans, value, ',');
	for (i = 0; i < spans.n; i++) {
		char *dash = strchr(spans.v[i], '-');
		uint64_t from, to;

		if (dash)
			*dash = '\0';
		if (lxm_parse_u64(spans.v[i], &from) < 0 || (dash && lxm_parse_u64(dash + 1, &to) < 0) ||
		    (dash && to < from))
			return lxm_err_set(e, EINVAL, "'%.60s' is not a comma list of ids or spans (1000,2000-2999)", value);
	}
	return 0;
}

/* clang-format off */
static const struct confkey project_keys[] = {
	{ "backups.compression_algorithm",        KEY_TEXT,  KEY_LIVE,             NULL,           check_compression,  "Compressor of backups" },
	{ "features.images",                      KEY_BOOL,  0,                    "false",        NULL,               "Images of its own" },
	{ "features.networks",                    KEY_BOOL,  0,                    "false",        NULL,               "Networks of its own" },
	{ "features.networks.zones",              KEY_BOOL,  0,                    "false",        NULL,               "DNS zones of its own" },
	{ "features.profiles",                    KEY_BOOL,  0,                    "false",        NULL,               "Profiles of its own" },
	{ "features.storage.buckets",             KEY_BOOL,  0,                    "false",        NULL,               "Storage buckets of its own" },
	{ "features.storage.volumes",             KEY_BOOL,  0,                    "false",        NULL,               "Custom volumes of its own" },
	{ "images.auto_update_cached",            KEY_BOOL,  KEY_LIVE,             NULL,           NULL,               "Keep fetched images fresh" },
	{ "images.auto_update_interval",          KEY_UINT,  KEY_LIVE,             NULL,           NULL,               "Hours between looks for newer images, 0: never" },
	{ "images.compression_algorithm",         KEY_TEXT,  KEY_LIVE,             NULL,           check_compression,  "Compressor of new images" },
	{ "images.default_architecture",          KEY_TEXT,  KEY_LIVE,             NULL,           check_architecture, "Architecture of images when none is named" },
	{ "images.remote_cache_expiry",           KEY_UINT,  KEY_LIVE,             NULL,           NULL,               "Days after which an unused fetched image is deleted" },
	{ "limits.containers",                    KEY_UINT,  KEY_LIVE,             NULL,           NULL,               "Containers at most" },
	{ "limits.cpu",                           KEY_UINT,  KEY_LIVE,             NULL,           NULL,               "Sum of limits.cpu of its instances" },
	{ "limits.disk",                          KEY_BYTES, KEY_LIVE,             NULL,           NULL,               "Disk space at most" },
	{ "limits.disk.pool.*",                   KEY_BYTES, KEY_LIVE,             NULL,           NULL,               "Disk space on one pool at most" },
	{ "limits.instances",                     KEY_UINT,  KEY_LIVE,             NULL,           NULL,               "Instances at most" },
	{ "limits.memory",                        KEY_BYTES, KEY_LIVE,             NULL,           NULL,               "Sum of limits.memory of its instances" },
	{ "limits.networks",                      KEY_UINT,  KEY_LIVE,             NULL,           NULL,               "Networks at most" },
	{ "limits.processes",                     KEY_UINT,  KEY_LIVE,             NULL,           NULL,               "Sum of limits.processes of its instances" },
	{ "limits.virtual-machines",              KEY_UINT,  KEY_LIVE,             NULL,           NULL,               "Virtual machines at most" },
	{ "restricted",                           KEY_BOOL,  KEY_LIVE,             "false",        NULL,               "Whether the restricted.* rules are in force" },
	{ "restricted.backups",                   KEY_TEXT,  KEY_LIVE,             "block",        check_block,        "Backups" },
	{ "restricted.cluster.groups",            KEY_TEXT,  KEY_LIVE | KEY_LATER, NULL,           NULL,               "Cluster groups that may be named" },
	{ "restricted.cluster.target",            KEY_TEXT,  KEY_LIVE | KEY_LATER, "block",        check_block,        "Placing instances on a named member" },
	{ "restricted.containers.interception",   KEY_TEXT,  KEY_LIVE,             "block",        check_interception, "Interception of system calls" },
	{ "restricted.containers.lowlevel",       KEY_TEXT,  KEY_LIVE,             "block",        check_block,        "raw.*, linux.kernel_modules and the like" },
	{ "restricted.containers.nesting",        KEY_TEXT,  KEY_LIVE,             "block",        check_block,        "security.nesting" },
	{ "restricted.containers.privilege",      KEY_TEXT,  KEY_LIVE,             "unprivileged", check_privilege,    "How far from the host ids containers must be" },
	{ "restricted.devices.disk",              KEY_TEXT,  KEY_LIVE,             "managed",      check_managed,      "Disk devices" },
	{ "restricted.devices.disk.paths",        KEY_TEXT,  KEY_LIVE,             NULL,           check_paths,        "Host paths that disks may show" },
	{ "restricted.devices.gpu",               KEY_TEXT,  KEY_LIVE,             "block",        check_block,        "GPU devices" },
	{ "restricted.devices.infiniband",        KEY_TEXT,  KEY_LIVE,             "block",        check_block,        "Infiniband devices" },
	{ "restricted.devices.nic",               KEY_TEXT,  KEY_LIVE,             "managed",      check_managed,      "Network devices" },
	{ "restricted.devices.pci",               KEY_TEXT,  KEY_LIVE,             "block",        check_block,        "PCI devices" },
	{ "restricted.devices.proxy",             KEY_TEXT,  KEY_LIVE,             "block",        check_block,        "Proxy devices" },
	{ "restricted.devices.unix-block",        KEY_TEXT,  KEY_LIVE,             "block",        check_block,        "Block devices of the host" },
	{ "restricted.devices.unix-char",         KEY_TEXT,  KEY_LIVE,             "block",        check_block,        "Character devices of the host" },
	{ "restricted.devices.unix-hotplug",      KEY_TEXT,  KEY_LIVE,             "block",        check_block,        "Hot-plugged devices" },
	{ "restricted.devices.usb",               KEY_TEXT,  KEY_LIVE,             "block",        check_block,        "USB devices" },
	{ "restricted.idmap.gid",                 KEY_TEXT,  KEY_LIVE,             NULL,           check_ids,          "Host gids that raw.idmap may name" },
	{ "restricted.idmap.uid",                 KEY_TEXT,  KEY_LIVE,             NULL,           check_ids,          "Host uids that raw.idmap may name" },
	{ "restricted.networks.access",           KEY_TEXT,  KEY_LIVE,             NULL,           NULL,               "Networks that may be used" },
	{ "restricted.networks.subnets",          KEY_TEXT,  KEY_LIVE | KEY_LATER, "block",        NULL,               "Subnets that its networks may take" },
	{ "restricted.networks.uplinks",          KEY_TEXT,  KEY_LIVE | KEY_LATER, NULL,           NULL,               "Uplinks that its networks may have" },
	{ "restricted.networks.zones",            KEY_TEXT,  KEY_LIVE | KEY_LATER, "block",        NULL,               "DNS zones that its networks may be in" },
	{ "restricted.snapshots",                 KEY_TEXT,  KEY_LIVE,             "block",        check_block,        "Snapshots" },
	{ "restricted.virtual-machines.lowlevel", KEY_TEXT,  KEY_VM,               "block",        check_block,        "raw.qemu and the like" },
	{ "user.*",                               KEY_BLOB,  KEY_LIVE,             NULL,           NULL,               "For people and scripts" },
};
/* clang-format on */

const struct conftable conf_project = { "project", project_keys, LXM_ARRAY_LEN(project_keys) };
