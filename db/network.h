/* Managed networks and what hangs on them: forwards, ACLs, DNS zones. */
#ifndef LXM_DB_NETWORK_H
#define LXM_DB_NETWORK_H

#include "db/db.h"
#include "db/storage.h" /* enum db_state */

struct db_network {
	int64_t id;
	char *project, *name, *type, *description; /* owned; type "bridge", "macvlan", "physical" */
	int state;				   /* enum db_state */
	struct lxm_kv config;
	struct lxm_strv used_by; /* URLs of instances, profiles; filled by get and list */
};

struct db_networks {
	struct db_network *v; /* owned, n of them, by project and name */
	size_t n;
};

struct db_forward {
	int64_t id, network_id;
	char *listen_address, *description; /* owned */
	char *ports;			    /* owned; JSON array as in the API */
	struct lxm_kv config;		    /* target_address ... */
};

struct db_forwards {
	struct db_forward *v;
	size_t n;
};

struct db_acl {
	int64_t id;
	char *project, *name, *description; /* owned */
	char *ingress, *egress;		    /* owned; JSON arrays of rules as in the API */
	struct lxm_kv config;
	struct lxm_strv used_by; /* URLs of networks, instances, profiles; filled by get and list */
};

struct db_acls {
	struct db_acl *v;
	size_t n;
};

struct db_zone {
	int64_t id;
	char *project, *name, *description; /* owned */
	struct lxm_kv config;
	struct lxm_strv used_by; /* URLs of networks; filled by get and list */
};

struct db_zones {
	struct db_zone *v;
	size_t n;
};

struct db_record {
	int64_t id, zone_id;
	char *name, *description; /* owned */
	char *entries;		  /* owned; JSON array of {type,ttl,value} */
	struct lxm_kv config;
};

struct db_records {
	struct db_record *v;
	size_t n;
};

void db_network_deinit(struct db_network *n);
void db_networks_deinit(struct db_networks *n);
void db_forward_deinit(struct db_forward *f);
void db_forwards_deinit(struct db_forwards *f);
void db_acl_deinit(struct db_acl *a);
void db_acls_deinit(struct db_acls *a);
void db_zone_deinit(struct db_zone *z);
void db_zones_deinit(struct db_zones *z);
void db_record_deinit(struct db_record *r);
void db_records_deinit(struct db_records *r);
LXM_AUTO_STRUCT(db_network, struct db_network, db_network_deinit)
LXM_AUTO_STRUCT(db_networks, struct db_networks, db_networks_deinit)
LXM_AUTO_STRUCT(db_forward, struct db_forward, db_forward_deinit)
LXM_AUTO_STRUCT(db_forwards, struct db_forwards, db_forwards_deinit)
LXM_AUTO_STRUCT(db_acl, struct db_acl, db_acl_deinit)
LXM_AUTO_STRUCT(db_acls, struct db_acls, db_acls_deinit)
LXM_AUTO_STRUCT(db_zone, struct db_zone, db_zone_deinit)
LXM_AUTO_STRUCT(db_zones, struct db_zones, db_zones_deinit)
LXM_AUTO_STRUCT(db_record, struct db_record, db_record_deinit)
LXM_AUTO_STRUCT(db_records, struct db_records, db_records_deinit)

/* `project` is the one that holds the networks, see db_project_for(); NULL in a list: every project. */
int db_network_list(struct db_tx *tx, const char *project, struct db_networks *out, struct lxm_err *e);
int db_network_get(struct db_tx *tx, const char *project, const char *name, struct db_network *out,
		   struct lxm_err *e); /* DB_NONE */
int db_network_create(struct db_tx *tx, struct db_network *n, struct lxm_err *e); /* sets n->id; -EEXIST, -ENOENT */
int db_network_update(struct db_tx *tx, const struct db_network *n, struct lxm_err *e); /* description, config; DB_NONE */
/** Set some config keys, "" deletes (addresses that "auto" became); DB_NONE. */
int db_network_set_config_keys(struct db_tx *tx, int64_t id, const struct lxm_kv *kv, struct lxm_err *e);
int db_network_set_state(struct db_tx *tx, int64_t id, int state, struct lxm_err *e); /* DB_NONE */
int db_network_rename(struct db_tx *tx, int64_t id, const char *to, struct lxm_err *e); /* DB_NONE, -EEXIST */
/** With its forwards; DB_NONE, -EBUSY while instances or profiles use it. */
int db_network_delete(struct db_tx *tx, int64_t id, struct lxm_err *e);

/** network_id 0: the forwards of every network. */
int db_forward_list(struct db_tx *tx, int64_t network_id, struct db_forwards *out, struct lxm_err *e);
int db_forward_get(struct db_tx *tx, int64_t network_id, const char *address, struct db_forward *out,
		   struct lxm_err *e); /* DB_NONE */
int db_forward_create(struct db_tx *tx, struct db_forward *f, struct lxm_err *e); /* sets f->id; -EEXIST */
int db_forward_update(struct db_tx *tx, const struct db_forward *f, struct lxm_err *e); /* DB_NONE */
int db_forward_delete(struct db_tx *tx, int64_t id, struct lxm_err *e);		      /* DB_NONE */

/** ACLs of a project. */
int db_acl_list(struct db_tx *tx, const char *project, struct db_acls *out, struct lxm_err *e);
int db_acl_get(struct db_tx *tx, const char *project, const char *name, struct db_acl *out,
	       struct lxm_err *e); /* DB_NONE */
int db_acl_create(struct db_tx *tx, struct db_acl *a, struct lxm_err *e); /* sets a->id; -EEXIST, -ENOENT */
int db_acl_update(struct db_tx *tx, const struct db_acl *a, struct lxm_err *e); /* DB_NONE */
int db_acl_rename(struct db_tx *tx, int64_t id, const char *to, struct lxm_err *e); /* DB_NONE, -EEXIST */
int db_acl_delete(struct db_tx *tx, int64_t id, struct lxm_err *e); /* DB_NONE, -EBUSY while used */

/** DNS zones of a project. */
int db_zone_list(struct db_tx *tx, const char *project, struct db_zones *out, struct lxm_err *e);
int db_zone_get(struct db_tx *tx, const char *project, const char *name, struct db_zone *out,
		struct lxm_err *e); /* DB_NONE */
int db_zone_create(struct db_tx *tx, struct db_zone *z, struct lxm_err *e); /* sets z->id; -EEXIST, -ENOENT */
int db_zone_update(struct db_tx *tx, const struct db_zone *z, struct lxm_err *e); /* DB_NONE */
int db_zone_delete(struct db_tx *tx, int64_t id, struct lxm_err *e); /* DB_NONE, -EBUSY while used */

/** Records of a zone. */
int db_record_list(struct db_tx *tx, int64_t zone_id, struct db_records *out, struct lxm_err *e);
int db_record_get(struct db_tx *tx, int64_t zone_id, const char *name, struct db_record *out,
		  struct lxm_err *e); /* DB_NONE */
int db_record_create(struct db_tx *tx, struct db_record *r, struct lxm_err *e); /* sets r->id; -EEXIST */
int db_record_update(struct db_tx *tx, const struct db_record *r, struct lxm_err *e); /* DB_NONE */
int db_record_delete(struct db_tx *tx, int64_t id, struct lxm_err *e);		    /* DB_NONE */

#endif
