/* What belongs to this host alone: local configuration, ranges of host ids, ports in use. */
#ifndef LXM_DB_NODE_H
#define LXM_DB_NODE_H

#include "db/db.h"

/** Local server configuration (keys with KEY_LOCAL); `out` is emptied first. */
int db_node_config_load(struct db_ntx *tx, struct lxm_kv *out, struct lxm_err *e);
int db_node_config_replace(struct db_ntx *tx, const struct lxm_kv *kv, struct lxm_err *e);
int db_node_config_set_keys(struct db_ntx *tx, const struct lxm_kv *kv, struct lxm_err *e); /* "" deletes */

struct db_idrange {
	int64_t instance_id;
	int64_t base, size; /* host ids base .. base+size-1 */
};

struct db_idranges {
	struct db_idrange *v; /* owned, n of them, by base */
	size_t n;
};

void db_idranges_deinit(struct db_idranges *r);
LXM_AUTO_STRUCT(db_idranges, struct db_idranges, db_idranges_deinit)

/**
 * Give an instance its own range of host ids: the range it has already if it still fits, else the first free one.
 *
 * @lo, @hi   the ids that may be given out: lo <= base, base + size <= hi
 * @size      > 0
 * @base_out  receives the first id
 *
 * Ranges never overlap. Returns 0, -ENOSPC naming how many ids are free in one piece, or -errno.
 */
int db_idrange_alloc(struct db_ntx *tx, int64_t instance_id, int64_t lo, int64_t hi, int64_t size,
		     int64_t *base_out, struct lxm_err *e);
/** A range of the administrator's choice (security.idmap.base). -EEXIST naming the instance that has a part of it. */
int db_idrange_take(struct db_ntx *tx, int64_t instance_id, int64_t base, int64_t size, struct lxm_err *e);
/** 0 also when there was none. */
int db_idrange_free(struct db_ntx *tx, int64_t instance_id, struct lxm_err *e);
int db_idrange_get(struct db_ntx *tx, int64_t instance_id, struct db_idrange *out, struct lxm_err *e); /* DB_NONE */
int db_idrange_list(struct db_ntx *tx, struct db_idranges *out, struct lxm_err *e);

/**
 * Reserve a listening port of the host for an owner ("instance/7/proxy0").
 *
 * @address  "" for all addresses, which collides with every address
 *
 * Returns 0, -EEXIST naming the owner, or -errno.
 */
int db_port_take(struct db_ntx *tx, const char *owner, const char *protocol, const char *address, int port,
		 struct lxm_err *e);
/** All ports of an owner, or of all owners whose name starts with it when it ends in '/'. */
int db_port_free(struct db_ntx *tx, const char *owner, struct lxm_err *e);

#endif
