/* What hangs on lxmd.images. Inside this room only. */
#ifndef LXMD_IMAGE_IMAGES_PRIV_H
#define LXMD_IMAGE_IMAGES_PRIV_H

#include <pthread.h>
#include <stddef.h>
#include <stdint.h>

struct op;

#define IMAGE_SECRETS_MAX 100

struct image_secret {
	char fp[65], secret[65];
	int64_t until_ms; /* monotonic; 0: free place */
	struct op *op;	  /* reference; NULL once used */
};

struct images {
	pthread_mutex_t lock;
	struct image_secret secrets[IMAGE_SECRETS_MAX]; /* guarded by lock */
};

/** Drop every secret and the operations behind them. */
void image_secrets_clear(struct images *im);

#endif
