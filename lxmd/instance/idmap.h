/* Which host ids an instance gets: the pool of ranges, allocation, raw.idmap. */
#ifndef LXM_INSTANCE_IDMAP_H
#define LXM_INSTANCE_IDMAP_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "lib/base/err.h"

#define IDMAP_MAX_LINES    340 /* what one uid_map accepts (user_namespaces(7)) */
#define IDMAP_DEFAULT_SIZE 65536u

/* One line of uid_map or gid_map. */
struct idmap_line {
	uint32_t inside, outside, count;
};

/* The complete map of one instance. Zeroed is empty (privileged). */
struct idmap {
	struct idmap_line *uid, *gid; /* owned; sorted by `inside` */
	size_t nuid, ngid;
	uint32_t base, size; /* the allocated range; raw.idmap punches holes into it */
};

void idmap_deinit(struct idmap *m);
LXM_AUTO_STRUCT(idmap, struct idmap, idmap_deinit)

/** The host's id for one inside, by m->uid or m->gid; the same without lines (privileged), UINT32_MAX when it has none. */
uint32_t idmap_outside(const struct idmap_line *v, size_t n, uint32_t inside);

struct idmap_range {
	int64_t owner; /* instance id */
	uint32_t base, size;
};

/* All ids of this host that lxmd hands out. */
struct idmap_pool {
	pthread_mutex_t lock;
	uint32_t first, count; /* the subordinate range of root, or the built-in one */
	struct idmap_range *v; /* guarded by lock; owned; sorted by base */
	size_t n, cap;	       /* guarded by lock */
};

/** How many ids from 0 on two maps have in common: texts of /proc/self/uid_map and gid_map. UINT32_MAX on a host. */
uint32_t idmap_own_ids(const char *uid_map, const char *gid_map);

/**
 * Find out which ids may be given away: root's largest range that both files allow; without one, a built-in range
 * that must not touch anybody else's line.
 *
 * @subuid, @subgid  texts of /etc/subuid and /etc/subgid; "" when absent; borrowed
 * @own              as many ids has lxmd itself, counted from 0 (idmap_own_ids())
 *
 * Returns 0, -EEXIST when the built-in range collides (the message names the user), -EINVAL.
 */
int idmap_pool_init(struct idmap_pool *p, const char *subuid, const char *subgid, uint32_t own, struct lxm_err *e);
void idmap_pool_deinit(struct idmap_pool *p);

/** Note a range that an instance of the database holds already. Any thread. */
void idmap_pool_hold(struct idmap_pool *p, int64_t owner, uint32_t base, uint32_t size);

/**
 * Take a range for one instance: an isolated one of its own, `want_base` when given, or the common one.
 *
 * @want_base  0: first free one
 * @shared     true: the first ids, common to all instances that are not isolated
 * @base_out   untouched on failure
 *
 * Any thread. Returns 0, -ENOSPC when no range of that size is free (the message names the remedy), -ERANGE, -EEXIST.
 */
int idmap_pool_take(struct idmap_pool *p, int64_t owner, uint32_t size, uint32_t want_base, bool shared,
		    uint32_t *base_out, struct lxm_err *e);

/**
 * Would a range of that size leave as many ids for everybody else as these owners then hold together?
 *
 * @owners  ids of instances; sorted here
 *
 * Any thread.
 */
bool idmap_pool_leaves_enough(struct idmap_pool *p, int64_t *owners, size_t n, uint32_t size);

/** Give back what the owner holds; nothing held is fine. */
void idmap_pool_drop(struct idmap_pool *p, int64_t owner);

/**
 * Compose the map from the allocated range and raw.idmap ("uid|gid|both HOST[-HOST] INSIDE[-INSIDE]" lines).
 *
 * @raw  may be NULL
 *
 * Returns 0, -EINVAL (the message names the line), -E2BIG.
 */
int idmap_compose(uint32_t base, uint32_t size, const char *raw, struct idmap *out, struct lxm_err *e);

/** Are all host ids that raw.idmap names in these comma lists of ids and spans (NULL: none are)? */
bool idmap_raw_within(const char *raw, const char *uids, const char *gids);

/** "[{"Isuid":true,...}]", as LXD keeps it in volatile.last_state.idmap; free() it. */
char *idmap_json(const struct idmap *m);

#endif
