/* What the files of lxmd/device share. */
#ifndef LXMD_DEVICE_DEVICE_PRIV_H
#define LXMD_DEVICE_DEVICE_PRIV_H

#include "lib/base/str.h"
#include "lib/wire/plan.h"
#include "lxmd/core/daemon.h"
#include "lxmd/device/device.h"

/* One type; functions may be NULL where there is nothing to do. Contracts as those of device.h. */
struct device_type {
	const char *name;
	unsigned int flags; /* enum device_flags */
	/** What the key tables cannot know. */
	int (*validate)(const struct device_ctx *c, bool instance, struct lxm_err *e);
	int (*add)(struct device_ctx *c, struct lxm_err *e);
	void (*remove)(struct device_ctx *c);
	int (*start)(struct device_ctx *c, struct plan *plan, struct lxm_err *e);
	int (*started)(struct device_ctx *c, const struct device_live *live, struct lxm_err *e);
	void (*stop)(struct device_ctx *c);
	int (*follow)(struct device_ctx *c, const struct device_live *live, struct lxm_err *e);
	int (*hot_add)(struct device_ctx *c, const struct device_live *live, struct lxm_err *e);
	int (*hot_remove)(struct device_ctx *c, const struct device_live *live, struct lxm_err *e);
	int (*hot_update)(struct device_ctx *c, const struct lxm_kv *old, const struct device_live *live,
			  struct lxm_err *e);
	/** A nictype's properties that hot_update changes in place, up to NULL; a change of any other makes the link anew. */
	const char *const *live_keys;
};

extern const struct device_type device_nic, device_disk, device_unix_char, device_unix_block, device_none, device_proxy, device_gpu, device_usb, device_unix_hotplug;

struct hot_job;

/** Have lxm-helper do a hot job (pid is filled in) and wait for its end. Worker threads; blocks. Returns 0 or -errno. */
int device_hot_run(const struct device_live *live, struct hot_job *job, struct lxm_err *e);

/** A volatile key of the device: what this call has set, else what the instance has; NULL if neither or "". */
const char *device_volatile(const struct device_ctx *c, const char *key);
/** Set it in c->changes ("" deletes); ignored without changes. */
void device_volatile_set(struct device_ctx *c, const char *key, const char *value);

#endif
