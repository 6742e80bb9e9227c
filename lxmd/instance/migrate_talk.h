/* What two lxmd say to each other on the control socket of a migration. */
#ifndef LXMD_INSTANCE_MIGRATE_TALK_H
#define LXMD_INSTANCE_MIGRATE_TALK_H

#include <stdbool.h>

#include "db/snapshot.h"
#include "lib/base/err.h"
#include "lib/base/str.h"
#include "lxmd/instance/migrate_link.h"

/*
 * Messages are JSON with a head of four letters and a length, so that another server's first word is recognised. In order: the
 * source's offer, the sink's answer; then the volumes on fs, each as storage/transfer.h has it, snapshots before the instance; the
 * source's done, by which it stands for all it sent; the sink's done, after which the new instance is there to stay. Either
 * side may say failed instead of its next message.
 */

#define MIG_VERSION	  1
#define MIG_SNAPSHOTS_MAX 10000

struct mig_snapshot {
	struct db_snapshot row; /* name, dates, config, devices, profiles ... */
	char image[65];		/* under its layer, "" none */
};

/* Zeroed is empty. */
struct mig_offer {
	char image[65]; /* under the layer of the instance itself, "" none */
	struct mig_snapshot *snapshots; /* oldest first */
	size_t n_snapshots;
	bool complete; /* these are all snapshots that it has: others of an earlier copy go */
};

/* Zeroed is empty. */
struct mig_answer {
	struct lxm_strv layers; /* images of the offer that the sink has: only layers travel of volumes on them */
	bool *want;		/* for each snapshot of the offer */
	size_t n_want;
	bool have, have_layer;	/* a list of files that the sink has comes first on fs; of a layer, or of a tree */
};

void mig_offer_deinit(struct mig_offer *o);
LXM_AUTO_STRUCT(mig_offer, struct mig_offer, mig_offer_deinit)
void mig_answer_deinit(struct mig_answer *a);
LXM_AUTO_STRUCT(mig_answer, struct mig_answer, mig_answer_deinit)

/* Worker threads; block. Texts that the peer sent are shortened and cleaned. Each returns 0 or -errno. */

/** The source's first word. -E2BIG when there is more configuration than a message holds. */
int mig_send_offer(struct mig_link *l, const struct mig_offer *o, struct lxm_err *e);
/** -EPROTO: no lxmd speaks there, or one of another version, or nonsense; the text says so. */
int mig_read_offer(struct mig_link *l, struct mig_offer *out, struct lxm_err *e);
/** The sink's word on it. */
int mig_send_answer(struct mig_link *l, const struct mig_answer *a, struct lxm_err *e);
/** @offer  what was offered: the answer must fit */
int mig_read_answer(struct mig_link *l, const struct mig_offer *offer, struct mig_answer *out, struct lxm_err *e);
/** That all was sent, or is there to stay. */
int mig_send_done(struct mig_link *l, struct lxm_err *e);
/** The peer's done; -EREMOTEIO with its text if it failed. */
int mig_read_done(struct mig_link *l, struct lxm_err *e);
/** Tell the peer, as far as it still listens. */
void mig_send_failed(struct mig_link *l, const struct lxm_err *why);
/**
 * Sending on fs failed: when the peer said why, that is the better text.
 *
 * @r  what the failure was, handed through
 */
int mig_peer_reason(struct mig_link *l, int r, struct lxm_err *e);

/** The decoder of mig_read_offer() alone, for tests. */
int mig_offer_parse(const char *text, size_t len, struct mig_offer *out, struct lxm_err *e);

/** Does a volume on that image travel as a layer? */
static inline bool mig_as_layer(const struct mig_answer *a, const char *image)
{
	return *image && lxm_strv_has(&a->layers, image);
}

#endif
