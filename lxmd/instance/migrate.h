/* Instances that go to another lxmd, or come from one. */
#ifndef LXMD_INSTANCE_MIGRATE_H
#define LXMD_INSTANCE_MIGRATE_H

#include <stdbool.h>

#include "lib/base/err.h"
#include "lxmd/instance/copy.h"
#include "lxmd/instance/migrate_link.h"

struct caller;
struct instance;
struct lxmd;
struct op;
struct pool;

/* The operation of the other server that we dial. Zeroed is empty. */
struct migrate_peer {
	char *address;	   /* "https://HOST:PORT" */
	char *path;	   /* "/1.0/operations/UUID" */
	char *secrets[2];  /* by enum mig_socket */
	char *certificate; /* PEM that its server must show; NULL: one that a CA of this host vouches for */
};

void migrate_peer_deinit(struct migrate_peer *p);
LXM_AUTO_STRUCT(migrate_peer, struct migrate_peer, migrate_peer_deinit)

/**
 * Take over what a request says about the other server's operation.
 *
 * @operation  "https://HOST:PORT/1.0/operations/UUID"; nothing else can be reached through it
 * @control, @fs  secrets, hexadecimal
 * @certificate  PEM, or "" or NULL
 *
 * Any thread; opens nothing. Returns 0 or -EINVAL.
 */
int migrate_peer_set(struct migrate_peer *p, const char *operation, const char *control, const char *fs, const char *certificate,
		     struct lxm_err *e);

/** Open both sockets of the peer; for a restricted caller not on this machine itself. Worker thread; blocks. Returns 0 or -errno. */
int migrate_connect(struct mig_link *l, const struct migrate_peer *p, const struct caller *who, struct lxm_err *e);

/**
 * Offer an instance, or one of its snapshots, to another server.
 *
 * @src   what; copied
 * @peer  taken (emptied); with an address: dial it; without: an operation with sockets that the other side opens
 *
 * The instance is locked while it is sent. A running one is frozen while its files are copied to the side, and sent from there.
 * Any thread. Returns 0 with an operation to be started, or -errno.
 */
int migrate_source(struct lxmd *d, const struct copy_source *src, struct migrate_peer *peer, const struct caller *caller,
		   struct op **op_out, struct lxm_err *e);

/** The sender's part on an open link, under the instance's lock. Worker thread; blocks. Returns 0 when the sink has it all. */
int migrate_send(struct lxmd *d, const struct copy_source *src, struct mig_link *l, struct op *op, struct lxm_err *e);

/* What instance_create() is given for SOURCE_MIGRATION, and migrate_refresh(). */
struct migrate_sink {
	struct mig_link *link;	   /* open, or to be opened by `peer` */
	struct migrate_peer *peer; /* NULL: it is open */
	bool instance_only;	   /* take no snapshots */
};

/**
 * The part of instance_create() for SOURCE_MIGRATION: volume and snapshots of a new row, once the source stands for what it sent. The caller
 * undoes, and says the last word by migrate_finish().
 *
 * Worker thread; blocks. Returns 0 or -errno.
 */
int migrate_fill(struct lxmd *d, const struct instance *to, const struct migrate_sink *sink, struct op *op, struct lxm_err *e);

/**
 * Make a stopped instance equal to the source: data and snapshots, not the configuration. Only what differs travels.
 *
 * Worker thread; the caller holds the lock of `to`. Returns 0; else the data is as before, and snapshots that had arrived stay.
 */
int migrate_refresh(struct lxmd *d, const struct instance *to, const struct migrate_sink *sink, struct op *op,
		    const struct caller *caller, struct lxm_err *e);

/**
 * Tell the other side how it ended, and close.
 *
 * @r, @why  as the work answered; 0: it is there to stay
 *
 * Worker thread. Returns r.
 */
int migrate_finish(struct mig_link *l, int r, const struct lxm_err *why);

/** Give a new websocket operation its two sockets, and their secrets as metadata. Before op_start(). */
void migrate_add_sockets(struct op *op);

/* Progress of one transfer over its volumes, as fs_progress. Zeroed but for op and name. */
struct migrate_meter {
	struct op *op;
	const char *name; /* borrowed */
	uint64_t before;  /* bytes of volumes that are through */
	int64_t started_ms, told_ms;
};

struct transfer_progress;

/** A tick for transfer_progress whose arg is a meter. Returns 0 or -ECANCELED. */
int migrate_tick(struct transfer_progress *p, struct lxm_err *e);

#endif
