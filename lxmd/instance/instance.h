/* An instance as the database knows it, with its profiles merged in; loading, checking, showing. */
#ifndef LXMD_INSTANCE_INSTANCE_H
#define LXMD_INSTANCE_INSTANCE_H

#include <jansson.h>
#include <stdbool.h>

#include "db/instance.h"
#include "lib/base/err.h"
#include "lib/base/kv.h"

struct lock;
struct caller;
struct lxmd;

/* A copy for one caller: the row, and what follows from it and its profiles. Zeroed is empty. */
struct instance {
	struct db_instance row;
	struct lxm_kv config;	 /* expanded: profiles in order, then its own */
	struct lxm_devs devices; /* expanded likewise; a device replaces the whole one of that name */
};

struct instance_list {
	struct instance *v; /* owned, n of them, by project and name */
	size_t n;
};

void instance_deinit(struct instance *i);
LXM_AUTO_STRUCT(instance, struct instance, instance_deinit)
void instance_list_deinit(struct instance_list *l);
LXM_AUTO_STRUCT(instance_list, struct instance_list, instance_list_deinit)

/**
 * Load one instance and merge its profiles.
 *
 * @out  filled on success; instance_deinit() it
 *
 * Any thread; one read transaction. Returns 0, or -ENOENT with a text that names the instance and the project.
 */
int instance_load(struct lxmd *d, const char *project, const char *name, struct instance *out, struct lxm_err *e);
/** The same by id. */
int instance_load_id(struct lxmd *d, int64_t id, struct instance *out, struct lxm_err *e);
/** All instances of a project, or of every project (NULL), in a constant number of queries. */
int instance_load_all(struct lxmd *d, const char *project, struct instance_list *out, struct lxm_err *e);

/**
 * Fill config and devices of an instance whose row is set but perhaps not stored yet, from the profiles that it names.
 *
 * Any thread; one read transaction. Returns 0, or -ENOENT naming the missing profile.
 */
int instance_expand(struct lxmd *d, struct instance *i, struct lxm_err *e);

/**
 * Check the final, merged configuration: keys, devices one by one and together, the root disk, and the policy of the
 * project. The one gate that create, update, copy, restore, import, rebuild and start pass.
 *
 * @i    expanded
 * @was  what it was before the change, whose unchanged keys pass unseen; NULL for a new instance or a start
 * @who  who changes it: restricted callers are refused what reaches the host; NULL: the daemon, or a start as it is
 *
 * Any thread; reads the database. Returns 0, -EINVAL, -EPERM (policy) or -ENOENT (network, pool).
 */
int instance_check(struct lxmd *d, const struct instance *i, const struct instance *was, const struct caller *who,
		   struct lxm_err *e);

/** Does `now` differ from `was` in what is its own, and not by its profiles alone? */
bool instance_own_change(const struct instance *was, const struct instance *now);

/** The pool that the expanded root disk names; NULL without a root disk. Borrowed. */
const char *instance_root_pool(const struct instance *i);

/** `size` of its root disk in bytes, 0: none. Any thread. */
uint64_t instance_root_size(const struct instance *i);
/**
 * Limit its volume to that, or to nothing. Where its pool has no quotas there is a warning (/1.0/warnings) and a line in the log instead.
 *
 * @anyway  also below what it holds; see pool_volume_limit()
 *
 * Any thread; blocks on disk for a moment. Returns 0, -ENOSPC or another -errno.
 */
int instance_root_limit(struct lxmd *d, const struct instance *i, bool anyway, struct lxm_err *e);
/** The same if `now` has another size than `was`. */
int instance_root_resize(struct lxmd *d, const struct instance *was, const struct instance *now, bool anyway, struct lxm_err *e);
/** What the client is told of a size that its pool does not keep (owned by the caller); NULL: it has none, or it is kept. Any thread. */
char *instance_root_unkept(struct lxmd *d, const struct instance *i);
/** Once at start: warnings about pools that keep sizes by now are over. */
void instance_root_sizes_settle(struct lxmd *d);

static inline bool instance_privileged(const struct instance *i)
{
	return lxm_kv_bool(&i->config, "security.privileged", false);
}

/** Key of the lock that whoever changes the instance holds: "instance/ID". out has 40 bytes. */
char *instance_lock_key(int64_t id, char out[40]);

/**
 * Take an instance's lock alone. Whoever finds it taken is told the instance's name, never its id, which counts what all projects have.
 *
 * @timeout_ms  how long to wait, 0: not, but for housekeeping of lxmd (lock_try_brief())
 *
 * Worker threads. Returns 0, or -EBUSY (409) naming the instance and what runs.
 */
int instance_lock_id(struct lxmd *d, int64_t id, const char *what, int timeout_ms, struct lock **lock_out, struct lxm_err *e);

/**
 * Take an instance's lock and load what it is now: the start of every change.
 *
 * @what      what the caller does, for whoever is refused meanwhile
 * @lock_out  lock_release() it
 *
 * Worker threads; never waits for the lock, but for housekeeping of lxmd (lock_try_brief()). Returns 0, -EBUSY (409) naming the instance and what runs, -ENOENT.
 */
int instance_lock(struct lxmd *d, int64_t id, const char *what, struct instance *out, struct lock **lock_out,
		  struct lxm_err *e);

/** "/1.0/instances/NAME"; free() it. */
char *instance_url(const char *name);

/** {"instances":["/1.0/instances/NAME"]} for operations. New reference. */
json_t *instance_resources(const char *name);

/** Write volatile keys (and others); "" deletes. Not fsynced: see db_write_lazy(). Any thread. Returns 0 or -errno. */
int instance_set_volatile(struct lxmd *d, int64_t id, const struct lxm_kv *keys, struct lxm_err *e);

#endif
