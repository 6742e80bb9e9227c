/* The key tables: one for each kind of object; doc/config-keys.md is printed from them. */
#ifndef LXM_CONF_TABLES_H
#define LXM_CONF_TABLES_H

#include "lib/conf/conf.h"

extern const struct conftable conf_server;   /* GET/PUT /1.0 */
extern const struct conftable conf_instance; /* instances, snapshots */
extern const struct conftable conf_profile;  /* the instance table without volatile.* and image.* */
extern const struct conftable conf_project;
extern const struct conftable conf_network_acl;
extern const struct conftable conf_network_zone;
extern const struct conftable conf_network_forward;

/** Keys of a network of that type ("bridge", "macvlan", "physical"); NULL for a type lxm does not have. */
const struct conftable *conf_network(const char *type);
/** Keys of a pool of that driver ("overlay", "btrfs", "dir", "lvm", "zfs", "ceph"); NULL for an unknown driver. */
const struct conftable *conf_pool(const char *driver);
/** Keys of a volume on a pool of that driver; NULL for an unknown driver. */
const struct conftable *conf_volume(const char *driver);

/**
 * Keys of a device, "type" among them.
 *
 * @type     "nic", "disk", "unix-char", "unix-block", "unix-hotplug", "usb", "gpu", "proxy", "infiniband", "tpm",
 *           "pci", "none"
 * @subtype  for nic its nictype (NULL or "": bridged, which is also right for `network=`), for gpu its gputype;
 *           otherwise ignored
 *
 * Returns NULL for an unknown type or subtype.
 */
const struct conftable *conf_device(const char *type, const char *subtype);

/** One entry for each table, for documentation and tests; ends with a NULL table. */
struct conf_named_table {
	const char *title; /* "instance", "network-bridge", "device-nic-bridged" ...; unique */
	const struct conftable *table;
};
const struct conf_named_table *conf_all_tables(void);

/**
 * Check one device as far as the tables can: type known and applied, every key known and well formed, required keys
 * there, keys that exclude each other (nictype and network ...). What needs the host (does the parent exist) is
 * device_validate()'s.
 *
 * @name  the device's name; checked as well
 *
 * Returns 0 or -EINVAL; the text names the device and the remedy.
 */
int conf_device_check(const char *name, const struct lxm_kv *dev, struct lxm_err *e);

/** Is this device the disk that is an instance's root? */
bool conf_disk_is_root(const struct lxm_kv *dev);

/** Is this disk a directory of the instance's own volume, `source=scratch:`? */
bool conf_disk_is_scratch(const struct lxm_kv *dev);

/** Is it memory, `source=tmpfs:`? */
bool conf_disk_is_tmpfs(const struct lxm_kv *dev);
/** Neither a volume nor anything of the host: the instance's own volume, a part of that, or memory of it. */
bool conf_disk_is_own(const struct lxm_kv *dev);

/** conf_device_check() for each device. */
int conf_devices_check(const struct lxm_devs *devs, struct lxm_err *e);

/** As above, passing devices that are equal in `was`. */
int conf_devices_check_change(const struct lxm_devs *was, const struct lxm_devs *now, struct lxm_err *e);

/**
 * Is that too much for one instance (with what its profiles give it) or one profile? Whoever lists instances pays for all of them, so
 * that each has a bound: CONF_KEYS_MAX keys, CONF_DEVICES_MAX devices, CONF_BYTES_MAX bytes of names and values.
 *
 * Returns 0 or -EINVAL.
 */
int conf_check_size(const struct lxm_kv *config, const struct lxm_devs *devs, struct lxm_err *e);

#define CONF_KEYS_MAX	 2000
#define CONF_DEVICES_MAX 500
#define CONF_BYTES_MAX	 (1u << 20)

#endif
