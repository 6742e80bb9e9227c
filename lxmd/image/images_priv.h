/* What hangs on lxmd.images. Inside this room only. */
#ifndef LXMD_IMAGE_IMAGES_PRIV_H
#define LXMD_IMAGE_IMAGES_PRIV_H

#include <pthread.h>
#include <stddef.h>
#include <stdint.h>

#include "lxmd/image/slot.h"

struct op;

#define IMAGE_SECRETS_MAX 200
#define IMAGE_SLOTS_MAX	  200
#define IMAGE_OPEN_ONE	  25 /* secrets, and slots, of one caller who is no administrator */

struct image_secret {
	char fp[65], secret[65];
	char owner[65];	  /* fingerprint of a restricted caller's certificate, "" of all others */
	int64_t until_ms; /* monotonic; 0: free place */
	struct op *op;	  /* reference; NULL once used */
};

struct image_slot_row {
	char fp[65], secret[65];
	char owner[65];	  /* likewise */
	int64_t until_ms; /* monotonic; 0: free place */
	struct op *op;	  /* reference */
	struct image_slot slot;
};

struct images {
	pthread_mutex_t lock;
	struct image_secret secrets[IMAGE_SECRETS_MAX]; /* guarded by lock */
	struct image_slot_row slots[IMAGE_SLOTS_MAX];	/* guarded by lock */
};

/** Whose share of secrets and slots an operation counts for, "": nobody's. */
const char *image_owner(const struct op *op);
/** Drop every secret and the operations behind them. */
void image_secrets_clear(struct images *im);
/** Close every slot. */
void image_slots_clear(struct images *im);

#endif
