/* Nodes that come and go while instances run: who has which, and the ears on the kernel that tell when to look again. */
#ifndef LXMD_DEVICE_PLUGS_H
#define LXMD_DEVICE_PLUGS_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/base/err.h"

struct lxmd;
struct node;
struct node_set;

/**
 * Look at the devices of an instance again (device_follow() for each).
 *
 * Worker threads. Returns 0, or -EBUSY when it has to be called again.
 */
typedef int (*plugs_fn)(struct lxmd *d, int64_t instance);

/** Make d->plugs. Nothing is listened to before a device needs it. Main thread. */
void plugs_start(struct lxmd *d, plugs_fn fn);
/** Forget all. Main thread, while the loop runs and no worker does. */
void plugs_stop(struct lxmd *d);

/**
 * Remember which nodes a device has in a running instance, and listen for more.
 *
 * @dir    host directory whose entries matter too, or NULL
 * @tells  remember what the kernel tells of each as well
 *
 * Any thread that may read files.
 */
void plug_keep(struct lxmd *d, int64_t instance, const char *device, const struct node_set *has, const char *dir, bool tells);
/** What it has; false: nothing is known of it. Any thread. */
bool plug_get(struct lxmd *d, int64_t instance, const char *device, struct node_set *out);
/** What the kernel told of one of its nodes, which may have gone since; of one that is not kept, what it tells now. The caller frees; may be NULL. */
char *plug_uevent(struct lxmd *d, int64_t instance, const char *device, const struct node *n);
/** Forget it. Any thread. */
void plug_drop(struct lxmd *d, int64_t instance, const char *device);

#endif
