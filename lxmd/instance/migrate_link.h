/* The two websockets of a migration, control and fs, as blocking streams for one worker; opened by the peer or dialled by us. */
#ifndef LXMD_INSTANCE_MIGRATE_LINK_H
#define LXMD_INSTANCE_MIGRATE_LINK_H

#include <stddef.h>

#include "lib/base/auto.h"
#include "lib/base/err.h"
#include "lib/tls/conn.h"

struct mig_link;
struct ws;

enum mig_socket { MIG_CONTROL, MIG_FS };

/* Silence of the peer that ends a migration. */
#define MIG_SILENCE_MS 600000

/*
 * Bytes travel in BINARY messages; borders of messages and frames mean nothing, so that a client may relay them as it likes.
 * What is held in memory is bounded in both directions: a reader that is slow slows the other host's writer.
 */

/** One reference. */
struct mig_link *mig_link_new(void);
struct mig_link *mig_link_ref(struct mig_link *l);
/** Dropping the last one cuts off what is open. NULL is fine. */
void mig_link_unref(struct mig_link *l);
LXM_AUTO_PTR(mig_link_unref, struct mig_link, mig_link_unref)

/** "control" or "fs" to its number. Returns it or -EINVAL. */
int mig_link_socket(const char *name);

/** The peer opened one of them: connect() of an operation. Loop thread. Returns 0, or -EEXIST. */
int mig_link_accept(struct mig_link *l, enum mig_socket which, struct ws *ws);

/* How to open both. Borrowed for the call. */
struct mig_dial {
	lxm_dial_fn dial;
	void *dial_arg;
	const char *path;	 /* "/1.0/operations/UUID" */
	const char *secrets[2];	 /* hex, by enum mig_socket */
};

/** Open both; returns when the peer has taken them. Worker thread; blocks. Returns 0 or -errno, without a word of what the peer said. */
int mig_link_dial(struct mig_link *l, const struct mig_dial *how, struct lxm_err *e);

/** Send. Worker thread (one at a time); blocks while the peer takes nothing. Returns 0, -ECANCELED, -ETIMEDOUT, -EPIPE. */
int mig_link_put(struct mig_link *l, enum mig_socket which, const void *data, size_t n, struct lxm_err *e);
/** Receive exactly n bytes. Worker thread (the same); blocks. Returns 0, -ECANCELED, -ETIMEDOUT, -EPIPE (it ended before). */
int mig_link_get(struct mig_link *l, enum mig_socket which, void *data, size_t n, struct lxm_err *e);

/** Whoever waits, now or later, gets -ECANCELED. Any thread. */
void mig_link_stop(struct mig_link *l);
/** Works again after mig_link_stop(), for a last word. */
void mig_link_unstop(struct mig_link *l);

/**
 * End both in good order: what was sent arrives. Worker thread, and waits some seconds at most, where sockets were dialled; any thread, and
 * at once, where the peer opened them. May be repeated.
 */
void mig_link_close(struct mig_link *l);

#endif
