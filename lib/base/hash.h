/* XXH64, a fast hash against damage (not against an attacker), in pieces of any size. */
#ifndef LXM_BASE_HASH_H
#define LXM_BASE_HASH_H

#include <stddef.h>
#include <stdint.h>

/* Begin with lxm_hash_init(); a plain value. */
struct lxm_hash {
	uint64_t lane[4], total, seed;
	unsigned char rest[32]; /* bytes that do not fill a round yet */
	size_t n_rest;
};

/** Begin. Two hashes with different seeds have nothing to do with each other. */
void lxm_hash_init(struct lxm_hash *h, uint64_t seed);
/** Go on with n more bytes. */
void lxm_hash_add(struct lxm_hash *h, const void *data, size_t n);
/** Of all that was added so far; more may be added afterwards. */
uint64_t lxm_hash_value(const struct lxm_hash *h);

#endif
