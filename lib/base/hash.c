/* XXH64 as its specification says (https://github.com/Cyan4973/xxHash/blob/dev/doc/xxhash_spec.md). Any thread. */
#include "lib/base/hash.h"

#include <endian.h>
#include <string.h>

#define P1 0x9E3779B185EBCA87ULL
#define P2 0xC2B2AE3D27D4EB4FULL
#define P3 0x165667B19E3779F9ULL
#define P4 0x85EBCA77C2B2AE63ULL
#define P5 0x27D4EB2F165667C5ULL

static uint64_t rotl(uint64_t x, int n)
{
	return x << n | x >> (64 - n);
}

static uint64_t load64(const unsigned char *p)
{
	uint64_t v;

	memcpy(&v, p, sizeof(v));
	return le64toh(v);
}

static uint32_t load32(const unsigned char *p)
{
	uint32_t v;

	memcpy(&v, p, sizeof(v));
	return le32toh(v);
}

static uint64_t round64(uint64_t acc, uint64_t lane)
{
	return rotl(acc + lane * P2, 31) * P1;
}

static void round_all(uint64_t lane[4], const unsigned char *p)
{
	int i;

	for (i = 0; i < 4; i++)
		lane[i] = round64(lane[i], load64(p + 8 * i));
}

void lxm_hash_init(struct lxm_hash *h, uint64_t seed)
{
	memset(h, 0, sizeof(*h));
	h->seed = seed;
	h->lane[0] = seed + P1 + P2;
	h->lane[1] = seed + P2;
	h->lane[2] = seed;
	h->lane[3] = seed - P1;
}

void lxm_hash_add(struct lxm_hash *h, const void *data, size_t n)
{
	const unsigned char *p = data;
	uint64_t lane[4];

	h->total += n;
	if (h->n_rest) {
		size_t take = sizeof(h->rest) - h->n_rest < n ? sizeof(h->rest) - h->n_rest : n;

		memcpy(h->rest + h->n_rest, p, take);
		h->n_rest += take;
		p += take;
		n -= take;
		if (h->n_rest < sizeof(h->rest))
			return;
		round_all(h->lane, h->rest);
		h->n_rest = 0;
	}
	memcpy(lane, h->lane, sizeof(lane));
	for (; n >= 32; n -= 32, p += 32)
		round_all(lane, p);
	memcpy(h->lane, lane, sizeof(lane));
	memcpy(h->rest, p, n);
	h->n_rest = n;
}

static uint64_t join_lanes(const struct lxm_hash *h)
{
	uint64_t acc;
	int i;

	if (h->total < 32)
		return h->seed + P5;
	acc = rotl(h->lane[0], 1) + rotl(h->lane[1], 7) + rotl(h->lane[2], 12) + rotl(h->lane[3], 18);
	for (i = 0; i < 4; i++)
		acc = (acc ^ round64(0, h->lane[i])) * P1 + P4;
	return acc;
}

uint64_t lxm_hash_value(const struct lxm_hash *h)
{
	uint64_t acc = join_lanes(h) + h->total;
	const unsigned char *p = h->rest;
	size_t n = h->n_rest;

	for (; n >= 8; n -= 8, p += 8)
		acc = rotl(acc ^ round64(0, load64(p)), 27) * P1 + P4;
	for (; n >= 4; n -= 4, p += 4)
		acc = rotl(acc ^ load32(p) * P1, 23) * P2 + P3;
	for (; n; n--, p++)
		acc = rotl(acc ^ *p * P5, 11) * P1;
	acc = (acc ^ acc >> 33) * P2;
	acc = (acc ^ acc >> 29) * P3;
	return acc ^ acc >> 32;
}
