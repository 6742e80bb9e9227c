/* Device nodes of the host in instances: what unix-char, unix-block, unix-hotplug, usb and gpu have in common. */
#ifndef LXMD_DEVICE_NODES_H
#define LXMD_DEVICE_NODES_H

#include <stdbool.h>
#include <stddef.h>

#include "lxmd/device/device_priv.h"

#define NODES_MAX 64 /* of one device */

/* One node. */
struct node {
	char type; /* 'c', 'b' */
	unsigned int major, minor;
	char path[256]; /* below /dev, relative */
};

struct node_set {
	struct node v[NODES_MAX];
	size_t n;
};

/** Add a node, once; what is beyond NODES_MAX is dropped. */
void node_set_add(struct node_set *s, const struct node *n);
bool node_is(const struct node *a, const struct node *b);
bool node_set_has(const struct node_set *s, const struct node *n);

/* What a type of such devices is made of. */
struct node_source {
	/** The nodes that the host has for the device now, perhaps none. Any thread. Returns 0 or -errno. */
	int (*find)(const struct device_ctx *c, struct node_set *out, struct lxm_err *e);
	bool required; /* default of the key "required" */
	bool follows;  /* nodes that come and go while the instance runs are followed, unless required */
	bool tells;    /* the instance's programs hear of it, as those of the host do */
};

/** The source of a device, by its type. */
const struct node_source *node_source_of(const struct device_ctx *c);
extern const struct node_source node_source_unix, node_source_usb, node_source_hotplug, node_source_gpu;

/* ---- device_type functions: as those of device.h, for all of these types */
int nodes_start(struct device_ctx *c, struct plan *plan, struct lxm_err *e);
int nodes_started(struct device_ctx *c, const struct device_live *live, struct lxm_err *e);
void nodes_stop(struct device_ctx *c);
int nodes_hot_add(struct device_ctx *c, const struct device_live *live, struct lxm_err *e);
int nodes_hot_remove(struct device_ctx *c, const struct device_live *live, struct lxm_err *e);
/** The host may have changed: what is new comes, what has gone goes. Worker threads, under the instance's lock. Returns 1 if anything did, 0 or -errno. */
int nodes_follow(struct device_ctx *c, const struct device_live *live, struct lxm_err *e);

/* ---- sysfs.c: the host's devices. `sys` is the root of sysfs: "/sys" but in tests */

/* What a device is asked for; NULL and -1: anything. */
struct usb_want {
	const char *vendor, *product, *serial;
	int64_t bus, dev;
};
struct gpu_want {
	const char *vendor, *product, *pci, *id;
};

/** /sys, or what LXMD_SYSFS says (for tests). */
const char *sysfs_root(void);
/** USB devices themselves, bus/usb/BBB/DDD. Returns 0 or -errno. */
int sysfs_find_usb(const char *sys, const struct usb_want *w, struct node_set *out, struct lxm_err *e);
/** Nodes of drivers that lie below such USB devices (disks, serial lines, HID ...). */
int sysfs_find_hotplug(const char *sys, const struct usb_want *w, struct node_set *out, struct lxm_err *e);
/** dri/cardN, dri/renderDN of graphics cards. */
int sysfs_find_gpu(const char *sys, const struct gpu_want *w, struct node_set *out, struct lxm_err *e);

/**
 * What the kernel tells of a device with that node, "DEVPATH=/...\nKEY=VALUE\n..."; NULL or "": nothing that could be passed on. The caller frees.
 */
char *sysfs_uevent(const char *sys, const struct node *n);

#endif
