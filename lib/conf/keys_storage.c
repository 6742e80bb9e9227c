/* Keys of storage pools and volumes by driver. Rows are sorted by name. */
#include <string.h>

#include "lib/conf/checks.h"
#include "lib/conf/tables.h"

static int check_clone_copy(const char *key, const char *value, struct lxm_err *e)
{
	return check_words(value, "true|false|rebase", e);
}

static int check_filesystem(const char *key, const char *value, struct lxm_err *e)
{
	return check_words(value, "ext4|xfs|btrfs", e);
}

/* It becomes an argument: no dash first, no slash. */
static int check_lvm_name(const char *key, const char *value, struct lxm_err *e)
{
	size_t n = strspn(value, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.+-");

	if (value[n] || n > 100 || *value == '-' || *value == '.')
		return lxm_err_set(e, EINVAL, "'%.60s' is not a name of letters, digits and _ . + -", value);
	return 0;
}

/* clang-format off */
static const struct confkey overlay_pool_keys[] = {
	{ "rsync.bwlimit",     KEY_TEXT, KEY_LATER,  NULL,   NULL, "Bandwidth for copies by rsync" },
	{ "rsync.compression", KEY_BOOL, KEY_LATER,  "true", NULL, "Compress copies by rsync" },
	{ "source",            KEY_TEXT, KEY_FIXED,  NULL,   NULL, "Directory, device or existing pool" },
	{ "user.*",            KEY_BLOB, KEY_LIVE,   NULL,   NULL, "For people and scripts" },
	{ "volatile.*",        KEY_TEXT, KEY_DAEMON, NULL,   NULL, "What lxmd remembers of it" },
	{ "volume.*",          KEY_TEXT, KEY_LIVE,   NULL,   NULL, "Default of a key for new volumes" },
};

static const struct confkey btrfs_pool_keys[] = {
	{ "btrfs.mount_options", KEY_TEXT,  0,          "user_subvol_rm_allowed", NULL, "Mount options" },
	{ "rsync.bwlimit",       KEY_TEXT,  KEY_LATER,  NULL,                     NULL, "Bandwidth for copies by rsync" },
	{ "rsync.compression",   KEY_BOOL,  KEY_LATER,  "true",                   NULL, "Compress copies by rsync" },
	{ "size",                KEY_BYTES, 0,          NULL,                     NULL, "Size of the loop file" },
	{ "source",              KEY_TEXT,  KEY_FIXED,  NULL,                     NULL, "Directory, device or existing pool" },
	{ "user.*",              KEY_BLOB,  KEY_LIVE,   NULL,                     NULL, "For people and scripts" },
	{ "volatile.*",          KEY_TEXT,  KEY_DAEMON, NULL,                     NULL, "What lxmd remembers of it" },
	{ "volume.*",            KEY_TEXT,  KEY_LIVE,   NULL,                     NULL, "Default of a key for new volumes" },
};

static const struct confkey lvm_pool_keys[] = {
	{ "lvm.thinpool_metadata_size", KEY_BYTES, KEY_LATER,  NULL,          NULL,           "Size of the metadata volume" },
	{ "lvm.thinpool_name",          KEY_TEXT,  KEY_FIXED,  "LXDThinPool", check_lvm_name, "Thin pool" },
	{ "lvm.use_thinpool",           KEY_BOOL,  KEY_FIXED,  "true",        NULL,           "Use a thin pool" },
	{ "lvm.vg.force_reuse",         KEY_BOOL,  KEY_LATER,  "false",       NULL,           "Use a volume group that is not empty" },
	{ "lvm.vg_name",                KEY_TEXT,  KEY_FIXED,  NULL,          check_lvm_name, "Volume group" },
	{ "rsync.bwlimit",              KEY_TEXT,  KEY_LATER,  NULL,          NULL,           "Bandwidth for copies by rsync" },
	{ "rsync.compression",          KEY_BOOL,  KEY_LATER,  "true",        NULL,           "Compress copies by rsync" },
	{ "size",                       KEY_BYTES, 0,          NULL,          NULL,           "Size of the loop file" },
	{ "source",                     KEY_TEXT,  KEY_FIXED,  NULL,          NULL,           "Directory, device or existing pool" },
	{ "user.*",                     KEY_BLOB,  KEY_LIVE,   NULL,          NULL,           "For people and scripts" },
	{ "volatile.*",                 KEY_TEXT,  KEY_DAEMON, NULL,          NULL,           "What lxmd remembers of it" },
	{ "volume.*",                   KEY_TEXT,  KEY_LIVE,   NULL,          NULL,           "Default of a key for new volumes" },
};

static const struct confkey zfs_pool_keys[] = {
	{ "rsync.bwlimit",     KEY_TEXT,  KEY_LATER,  NULL,   NULL,             "Bandwidth for copies by rsync" },
	{ "rsync.compression", KEY_BOOL,  KEY_LATER,  "true", NULL,             "Compress copies by rsync" },
	{ "size",              KEY_BYTES, 0,          NULL,   NULL,             "Size of the loop file" },
	{ "source",            KEY_TEXT,  KEY_FIXED,  NULL,   NULL,             "Directory, device or existing pool" },
	{ "user.*",            KEY_BLOB,  KEY_LIVE,   NULL,   NULL,             "For people and scripts" },
	{ "volatile.*",        KEY_TEXT,  KEY_DAEMON, NULL,   NULL,             "What lxmd remembers of it" },
	{ "volume.*",          KEY_TEXT,  KEY_LIVE,   NULL,   NULL,             "Default of a key for new volumes" },
	{ "zfs.clone_copy",    KEY_TEXT,  KEY_LIVE,   "true", check_clone_copy, "Clone rather than copy: true, false, rebase" },
	{ "zfs.export",        KEY_BOOL,  KEY_LIVE,   "true", NULL,             "Export the pool when it is unmounted" },
	{ "zfs.pool_name",     KEY_TEXT,  KEY_FIXED,  NULL,   NULL,             "zpool" },
};

static const struct confkey ceph_pool_keys[] = {
	{ "ceph.cluster_name",   KEY_TEXT, KEY_FIXED,  "ceph",     NULL, "Cluster" },
	{ "ceph.osd.pg_num",     KEY_UINT, KEY_FIXED,  "32",       NULL, "Placement groups" },
	{ "ceph.osd.pool_name",  KEY_TEXT, KEY_FIXED,  NULL,       NULL, "OSD pool" },
	{ "ceph.rbd.clone_copy", KEY_BOOL, KEY_LIVE,   "true",     NULL, "Clone rather than copy" },
	{ "ceph.rbd.features",   KEY_TEXT, KEY_LIVE,   "layering", NULL, "Features of volumes" },
	{ "ceph.user.name",      KEY_TEXT, KEY_FIXED,  "admin",    NULL, "User" },
	{ "rsync.bwlimit",       KEY_TEXT, KEY_LATER,  NULL,       NULL, "Bandwidth for copies by rsync" },
	{ "rsync.compression",   KEY_BOOL, KEY_LATER,  "true",     NULL, "Compress copies by rsync" },
	{ "source",              KEY_TEXT, KEY_FIXED,  NULL,       NULL, "Directory, device or existing pool" },
	{ "user.*",              KEY_BLOB, KEY_LIVE,   NULL,       NULL, "For people and scripts" },
	{ "volatile.*",          KEY_TEXT, KEY_DAEMON, NULL,       NULL, "What lxmd remembers of it" },
	{ "volume.*",            KEY_TEXT, KEY_LIVE,   NULL,       NULL, "Default of a key for new volumes" },
};

static const struct confkey overlay_volume_keys[] = {
	{ "security.shifted",   KEY_BOOL,  0,          "false",  NULL,          "No need: any number of containers can share it, each with its own ids" },
	{ "security.unmapped",  KEY_BOOL,  0,          "false",  NULL,          "Show the owners on disk as they are to unprivileged instances too" },
	{ "size",               KEY_BYTES, KEY_LIVE,   NULL,     NULL,          "Quota" },
	{ "snapshots.expiry",   KEY_TEXT,  0,          NULL,     check_expiry,  "Age at which its snapshots are deleted" },
	{ "snapshots.pattern",  KEY_TEXT,  0,          "snap%d", check_pattern, "Name of automatic snapshots" },
	{ "snapshots.schedule", KEY_TEXT,  0,          NULL,     check_cron,    "When snapshots are made" },
	{ "user.*",             KEY_BLOB,  KEY_LIVE,   NULL,     NULL,          "For people and scripts" },
	{ "volatile.*",         KEY_BLOB,  KEY_DAEMON, NULL,     NULL,          "What lxmd remembers of it" },
};

static const struct confkey lvm_volume_keys[] = {
	{ "block.filesystem",    KEY_TEXT,  KEY_FIXED,  "ext4",    check_filesystem, "Filesystem of the volume" },
	{ "block.mount_options", KEY_TEXT,  0,          "discard", NULL,             "Mount options" },
	{ "lvm.stripes",         KEY_UINT,  KEY_LATER,  NULL,      NULL,             "Stripes" },
	{ "lvm.stripes.size",    KEY_BYTES, KEY_LATER,  NULL,      NULL,             "Size of a stripe" },
	{ "security.shifted",    KEY_BOOL,  KEY_LATER,  "false",   NULL,             "Map ids so that several containers can share it" },
	{ "security.unmapped",   KEY_BOOL,  KEY_LATER,  "false",   NULL,             "Leave ids alone" },
	{ "size",                KEY_BYTES, KEY_LIVE,   NULL,      NULL,             "Quota" },
	{ "snapshots.expiry",    KEY_TEXT,  0,          NULL,      check_expiry,     "Age at which its snapshots are deleted" },
	{ "snapshots.pattern",   KEY_TEXT,  0,          "snap%d",  check_pattern,    "Name of automatic snapshots" },
	{ "snapshots.schedule",  KEY_TEXT,  0,          NULL,      check_cron,       "When snapshots are made" },
	{ "user.*",              KEY_BLOB,  KEY_LIVE,   NULL,      NULL,             "For people and scripts" },
	{ "volatile.*",          KEY_BLOB,  KEY_DAEMON, NULL,      NULL,             "What lxmd remembers of it" },
};

static const struct confkey zfs_volume_keys[] = {
	{ "block.filesystem",     KEY_TEXT,  KEY_FIXED,  "ext4",    check_filesystem, "Filesystem of a block-backed volume" },
	{ "block.mount_options",  KEY_TEXT,  0,          "discard", NULL,             "Mount options" },
	{ "security.shifted",     KEY_BOOL,  KEY_LATER,  "false",   NULL,             "Map ids so that several containers can share it" },
	{ "security.unmapped",    KEY_BOOL,  KEY_LATER,  "false",   NULL,             "Leave ids alone" },
	{ "size",                 KEY_BYTES, KEY_LIVE,   NULL,      NULL,             "Quota" },
	{ "snapshots.expiry",     KEY_TEXT,  0,          NULL,      check_expiry,     "Age at which its snapshots are deleted" },
	{ "snapshots.pattern",    KEY_TEXT,  0,          "snap%d",  check_pattern,    "Name of automatic snapshots" },
	{ "snapshots.schedule",   KEY_TEXT,  0,          NULL,      check_cron,       "When snapshots are made" },
	{ "user.*",               KEY_BLOB,  KEY_LIVE,   NULL,      NULL,             "For people and scripts" },
	{ "volatile.*",           KEY_BLOB,  KEY_DAEMON, NULL,      NULL,             "What lxmd remembers of it" },
	{ "zfs.block_mode",       KEY_BOOL,  KEY_FIXED,  "false",   NULL,             "Block-backed volume" },
	{ "zfs.blocksize",        KEY_BYTES, KEY_FIXED,  NULL,      NULL,             "Block size" },
	{ "zfs.remove_snapshots", KEY_BOOL,  KEY_LIVE,   "false",   NULL,             "Delete newer snapshots on restore" },
	{ "zfs.use_refquota",     KEY_BOOL,  KEY_LIVE,   "false",   NULL,             "Quota without snapshots" },
};

static const struct confkey ceph_volume_keys[] = {
	{ "block.filesystem",    KEY_TEXT,  KEY_FIXED,  "ext4",    check_filesystem, "Filesystem of the volume" },
	{ "block.mount_options", KEY_TEXT,  0,          "discard", NULL,             "Mount options" },
	{ "security.shifted",    KEY_BOOL,  KEY_LATER,  "false",   NULL,             "Map ids so that several containers can share it" },
	{ "security.unmapped",   KEY_BOOL,  KEY_LATER,  "false",   NULL,             "Leave ids alone" },
	{ "size",                KEY_BYTES, KEY_LIVE,   NULL,      NULL,             "Quota" },
	{ "snapshots.expiry",    KEY_TEXT,  0,          NULL,      check_expiry,     "Age at which its snapshots are deleted" },
	{ "snapshots.pattern",   KEY_TEXT,  0,          "snap%d",  check_pattern,    "Name of automatic snapshots" },
	{ "snapshots.schedule",  KEY_TEXT,  0,          NULL,      check_cron,       "When snapshots are made" },
	{ "user.*",              KEY_BLOB,  KEY_LIVE,   NULL,      NULL,             "For people and scripts" },
	{ "volatile.*",          KEY_BLOB,  KEY_DAEMON, NULL,      NULL,             "What lxmd remembers of it" },
};
/* clang-format on */

/* dir has the keys of overlay; so have volumes on btrfs */
#define TABLE(what, rows) { what, rows, LXM_ARRAY_LEN(rows) }
static const struct {
	const char *driver;
	struct conftable pool, volume;
} drivers[] = {
	{ "btrfs", TABLE("btrfs storage pool", btrfs_pool_keys), TABLE("storage volume", overlay_volume_keys) },
	{ "ceph", TABLE("ceph storage pool", ceph_pool_keys), TABLE("storage volume", ceph_volume_keys) },
	{ "dir", TABLE("dir storage pool", overlay_pool_keys), TABLE("storage volume", overlay_volume_keys) },
	{ "lvm", TABLE("lvm storage pool", lvm_pool_keys), TABLE("storage volume", lvm_volume_keys) },
	{ "overlay", TABLE("overlay storage pool", overlay_pool_keys), TABLE("storage volume", overlay_volume_keys) },
	{ "zfs", TABLE("zfs storage pool", zfs_pool_keys), TABLE("storage volume", zfs_volume_keys) },
};

const struct conftable *conf_pool(const char *driver)
{
	size_t i;

	for (i = 0; i < LXM_ARRAY_LEN(drivers); i++)
		if (lxm_streq(driver, drivers[i].driver))
			return &drivers[i].pool;
	return NULL;
}

const struct conftable *conf_volume(const char *driver)
{
	size_t i;

	for (i = 0; i < LXM_ARRAY_LEN(drivers); i++)
		if (lxm_streq(driver, drivers[i].driver))
			return &drivers[i].volume;
	return NULL;
}
