/* Keys of all devices but nic. Rows are sorted by name. */
#include "lib/conf/checks.h"
#include "lib/conf/devices.h"
#include "lib/conf/mount_options.h"

static int check_propagation(const char *key, const char *value, struct lxm_err *e)
{
	return check_words(value, "private|shared|slave|unbindable|rprivate|rshared|rslave|runbindable", e);
}

static int check_gputype(const char *key, const char *value, struct lxm_err *e)
{
	return check_words(value, "physical|mdev|mig|sriov", e);
}

static int check_bind(const char *key, const char *value, struct lxm_err *e)
{
	return check_words(value, "host|instance|guest|container", e);
}

static int check_ibtype(const char *key, const char *value, struct lxm_err *e)
{
	return check_words(value, "physical|sriov", e);
}

/* clang-format off */
static const struct confkey disk_keys[] = {
	{ "boot.priority",     KEY_UINT,  KEY_VM,               NULL,      NULL,              "Boot order" },
	{ "ceph.cluster_name", KEY_TEXT,  KEY_LATER,            "ceph",    NULL,              "Ceph cluster" },
	{ "ceph.user_name",    KEY_TEXT,  KEY_LATER,            "admin",   NULL,              "Ceph user" },
	{ "initial.*",         KEY_TEXT,  KEY_LATER,            NULL,      NULL,              "Configuration of the root volume when it is made" },
	{ "io.bus",            KEY_TEXT,  KEY_VM,               NULL,      NULL,              "Bus" },
	{ "io.cache",          KEY_TEXT,  KEY_VM,               NULL,      NULL,              "Cache" },
	{ "limits.max",        KEY_TEXT,  KEY_LIVE,             NULL,      check_io,          "I/O ceiling, both ways" },
	{ "limits.read",       KEY_TEXT,  KEY_LIVE,             NULL,      check_io,          "Read ceiling" },
	{ "limits.write",      KEY_TEXT,  KEY_LIVE,             NULL,      check_io,          "Write ceiling" },
	{ "path",              KEY_TEXT,  KEY_REQUIRED,         NULL,      check_abs_path,    "Where it appears inside" },
	{ "pool",              KEY_TEXT,  0,                    NULL,      NULL,              "Pool of the volume" },
	{ "propagation",       KEY_TEXT,  0,                    "private", check_propagation, "How mounts below it spread" },
	{ "raw.mount.options", KEY_TEXT,  0,                    NULL,      check_mount_options, "Options of the mount, and of a filesystem that is mounted for it" },
	{ "readonly",          KEY_BOOL,  0,                    "false",   NULL,              "Read only" },
	{ "recursive",         KEY_BOOL,  0,                    "false",   NULL,              "With the mounts below the source" },
	{ "required",          KEY_BOOL,  0,                    "true",    NULL,              "Refuse to start when the source is missing" },
	{ "shift",             KEY_BOOL,  0,                    "false",   NULL,              "Show the host owners of the source as owners inside" },
	{ "size",              KEY_BYTES, KEY_LIVE,             NULL,      NULL,              "Quota of the root volume; of 'tmpfs:' how much it may hold" },
	{ "size.state",        KEY_BYTES, KEY_VM,               NULL,      NULL,              "Size of the state volume" },
	{ "source",            KEY_TEXT,  0,                    NULL,      NULL,              "Host path (a block device is mounted), volume of the pool, 'scratch:' (a directory of the instance's own) or 'tmpfs:' (memory)" },
	{ "type",              KEY_TEXT,  KEY_REQUIRED,         NULL,      NULL,              "Type of the device" },
};

static const struct confkey gpu_keys[] = {
	{ "gid",       KEY_UINT, 0,            "0",        check_id,         "Owning group inside" },
	{ "gputype",   KEY_TEXT, 0,            "physical", check_gputype,    "physical, mdev, mig, sriov" },
	{ "id",        KEY_TEXT, 0,            NULL,       NULL,             "DRM card" },
	{ "mdev",      KEY_TEXT, 0,            NULL,       NULL,             "mdev profile" },
	{ "mig.ci",    KEY_UINT, 0,            NULL,       NULL,             "MIG compute instance" },
	{ "mig.gi",    KEY_UINT, 0,            NULL,       NULL,             "MIG GPU instance" },
	{ "mig.uuid",  KEY_TEXT, 0,            NULL,       check_uuid,       "MIG device" },
	{ "mode",      KEY_TEXT, 0,            "0660",     check_octal_mode, "Mode inside" },
	{ "pci",       KEY_TEXT, 0,            NULL,       check_pci_slot,   "PCI address" },
	{ "productid", KEY_TEXT, 0,            NULL,       check_hex4,       "Product id" },
	{ "type",      KEY_TEXT, KEY_REQUIRED, NULL,       NULL,             "Type of the device" },
	{ "uid",       KEY_UINT, 0,            "0",        check_id,         "Owner inside" },
	{ "vendorid",  KEY_TEXT, 0,            NULL,       check_hex4,       "Vendor id" },
};

static const struct confkey infiniband_keys[] = {
	{ "hwaddr",  KEY_TEXT, 0,            NULL, NULL,         "Address" },
	{ "mtu",     KEY_UINT, 0,            NULL, check_mtu,    "MTU" },
	{ "name",    KEY_TEXT, 0,            NULL, check_link,   "Name inside" },
	{ "nictype", KEY_TEXT, KEY_REQUIRED, NULL, check_ibtype, "physical or sriov" },
	{ "parent",  KEY_TEXT, KEY_REQUIRED, NULL, check_link,   "Host link" },
	{ "type",    KEY_TEXT, KEY_REQUIRED, NULL, NULL,         "Type of the device" },
};

static const struct confkey none_keys[] = {
	{ "type", KEY_TEXT, KEY_REQUIRED, NULL, NULL, "Type of the device" },
};

static const struct confkey pci_keys[] = {
	{ "address", KEY_TEXT, KEY_REQUIRED, NULL, check_pci_slot, "PCI address" },
	{ "type",    KEY_TEXT, KEY_REQUIRED, NULL, NULL,           "Type of the device" },
};

static const struct confkey proxy_keys[] = {
	{ "bind",           KEY_TEXT, 0,            "host",  check_bind,       "Which side listens: host or instance" },
	{ "connect",        KEY_TEXT, KEY_REQUIRED, NULL,    check_proxy_end,  "Where connections go" },
	{ "gid",            KEY_UINT, 0,            "0",     check_id,         "Group of the listening socket" },
	{ "listen",         KEY_TEXT, KEY_REQUIRED, NULL,    check_proxy_end,  "Where connections come" },
	{ "mode",           KEY_TEXT, 0,            "0644",  check_octal_mode, "Mode of the listening socket" },
	{ "nat",            KEY_BOOL, 0,            "false", NULL,             "By the firewall rather than by a process" },
	{ "proxy_protocol", KEY_BOOL, 0,            "false", NULL,             "Tell the client address by the PROXY protocol" },
	{ "security.gid",   KEY_UINT, 0,            "0",     check_id,         "Group of the process" },
	{ "security.uid",   KEY_UINT, 0,            "0",     check_id,         "User of the process" },
	{ "type",           KEY_TEXT, KEY_REQUIRED, NULL,    NULL,             "Type of the device" },
	{ "uid",            KEY_UINT, 0,            "0",     check_id,         "Owner of the listening socket" },
};

static const struct confkey tpm_keys[] = {
	{ "path",   KEY_TEXT, KEY_REQUIRED, NULL, check_abs_path, "Where it appears inside" },
	{ "pathrm", KEY_TEXT, 0,            NULL, check_abs_path, "Where its resource manager appears inside" },
	{ "type",   KEY_TEXT, KEY_REQUIRED, NULL, NULL,           "Type of the device" },
};

static const struct confkey unix_keys[] = {
	{ "gid",      KEY_UINT, 0,            "0",    check_id,         "Owning group inside" },
	{ "major",    KEY_UINT, 0,            NULL,   check_u32,        "Major number, unset: that of the source" },
	{ "minor",    KEY_UINT, 0,            NULL,   check_u32,        "Minor number, unset: that of the source" },
	{ "mode",     KEY_TEXT, 0,            "0660", check_octal_mode, "Mode inside" },
	{ "path",     KEY_TEXT, 0,            NULL,   check_abs_path,   "Where it appears inside" },
	{ "required", KEY_BOOL, 0,            "true", NULL,             "Refuse to start when the source is missing" },
	{ "source",   KEY_TEXT, 0,            NULL,   check_abs_path,   "Device of the host" },
	{ "type",     KEY_TEXT, KEY_REQUIRED, NULL,   NULL,             "Type of the device" },
	{ "uid",      KEY_UINT, 0,            "0",    check_id,         "Owner inside" },
};

static const struct confkey hotplug_keys[] = {
	{ "gid",       KEY_UINT, 0,            "0",     check_id,         "Owning group inside" },
	{ "mode",      KEY_TEXT, 0,            "0660",  check_octal_mode, "Mode inside" },
	{ "productid", KEY_TEXT, 0,            NULL,    check_hex4,       "Product id" },
	{ "required",  KEY_BOOL, 0,            "false", NULL,             "Refuse to start without it" },
	{ "type",      KEY_TEXT, KEY_REQUIRED, NULL,    NULL,             "Type of the device" },
	{ "uid",       KEY_UINT, 0,            "0",     check_id,         "Owner inside" },
	{ "vendorid",  KEY_TEXT, 0,            NULL,    check_hex4,       "Vendor id" },
};

static const struct confkey usb_keys[] = {
	{ "busnum",    KEY_UINT, 0,            NULL,    NULL,             "Bus" },
	{ "devnum",    KEY_UINT, 0,            NULL,    NULL,             "Device on the bus" },
	{ "gid",       KEY_UINT, 0,            "0",     check_id,         "Owning group inside" },
	{ "mode",      KEY_TEXT, 0,            "0660",  check_octal_mode, "Mode inside" },
	{ "productid", KEY_TEXT, 0,            NULL,    check_hex4,       "Product id" },
	{ "required",  KEY_BOOL, 0,            "false", NULL,             "Refuse to start without it" },
	{ "serial",    KEY_TEXT, 0,            NULL,    NULL,             "Serial number" },
	{ "type",      KEY_TEXT, KEY_REQUIRED, NULL,    NULL,             "Type of the device" },
	{ "uid",       KEY_UINT, 0,            "0",     check_id,         "Owner inside" },
	{ "vendorid",  KEY_TEXT, 0,            NULL,    check_hex4,       "Vendor id" },
};
/* clang-format on */

const struct devtype devtypes[] = {
	DEVTYPE("disk device", "disk", 0, disk_keys),
	DEVTYPE("gpu device", "gpu", 0, gpu_keys),
	DEVTYPE("infiniband device", "infiniband", DEV_LATER, infiniband_keys),
	DEVTYPE("none device", "none", 0, none_keys),
	DEVTYPE("pci device", "pci", DEV_LATER | DEV_VM, pci_keys),
	DEVTYPE("proxy device", "proxy", 0, proxy_keys),
	DEVTYPE("tpm device", "tpm", DEV_LATER, tpm_keys),
	DEVTYPE("unix-block device", "unix-block", 0, unix_keys),
	DEVTYPE("unix-char device", "unix-char", 0, unix_keys),
	DEVTYPE("unix-hotplug device", "unix-hotplug", 0, hotplug_keys),
	DEVTYPE("usb device", "usb", 0, usb_keys),
};
const size_t devtypes_n = LXM_ARRAY_LEN(devtypes);
