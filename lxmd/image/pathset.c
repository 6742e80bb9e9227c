/*
 * See pathset.h. Plain data, no I/O. The table stands between a hostile archive and the file system: an entry whose
 * parent is a link, or that comes a second time, is refused before anything is written (CVE-2026-48749). The hash is
 * keyed with random bytes, so that the time for n names stays n.
 */
#include "lxmd/image/pathset.h"

#include <string.h>

#include "lib/base/alloc.h"
#include "lib/base/str.h"

#define ARENA_MAX (256U * 1024 * 1024)

void pathset_deinit(struct pathset *s)
{
	free(s->v);
	free(s->arena);
	memset(s, 0, sizeof(*s));
}

int path_normalise(const char *raw, char *out, struct lxm_err *e)
{
	const char *p = raw;
	size_t len = 0;

	if (!raw)
		return lxm_err_set(e, EINVAL, "an entry has a name that cannot be read");
	if (*p == '/')
		return lxm_err_set(e, EINVAL, "entry '%.200s' has an absolute name", raw);
	while (*p) {
		size_t n = strcspn(p, "/");

		if (n == 2 && memcmp(p, "..", 2) == 0)
			return lxm_err_set(e, EINVAL, "entry '%.200s' holds '..'", raw);
		if (n > 255)
			return lxm_err_set(e, EINVAL, "entry '%.200s...' has a name over 255 bytes", raw);
		if (n && !(n == 1 && *p == '.')) {
			if (len + n + 2 > PATHSET_PATH_MAX)
				return lxm_err_set(e, EINVAL, "entry '%.200s...' has too long a name", raw);
			if (len)
				out[len++] = '/';
			memcpy(out + len, p, n);
			len += n;
		}
		p += n;
		while (*p == '/')
			p++;
	}
	out[len] = 0;
	return 0;
}

#define ROTL(x, b) (((x) << (b)) | ((x) >> (64 - (b))))

static void sip_round(uint64_t v[4])
{
	v[0] += v[1];
	v[1] = ROTL(v[1], 13) ^ v[0];
	v[0] = ROTL(v[0], 32);
	v[2] += v[3];
	v[3] = ROTL(v[3], 16) ^ v[2];
	v[0] += v[3];
	v[3] = ROTL(v[3], 21) ^ v[0];
	v[2] += v[1];
	v[1] = ROTL(v[1], 17) ^ v[2];
	v[2] = ROTL(v[2], 32);
}

/* SipHash-1-3 of n bytes. */
static uint64_t sip(const uint64_t key[2], const char *p, size_t n)
{
	uint64_t v[4] = { key[0] ^ 0x736f6d6570736575ULL, key[1] ^ 0x646f72616e646f6dULL,
			  key[0] ^ 0x6c7967656e657261ULL, key[1] ^ 0x7465646279746573ULL };
	uint64_t last = (uint64_t)n << 56, m;
	size_t i;

	for (i = 0; i + 8 <= n; i += 8) {
		memcpy(&m, p + i, 8);
		v[3] ^= m;
		sip_round(v);
		v[0] ^= m;
	}
	m = 0;
	memcpy(&m, p + i, n - i);
	last |= m;
	v[3] ^= last;
	sip_round(v);
	v[0] ^= last;
	v[2] ^= 0xff;
	for (i = 0; i < 3; i++)
		sip_round(v);
	return v[0] ^ v[1] ^ v[2] ^ v[3];
}

/* The place of path, or the free place where it belongs. The table is never full. */
static size_t find(const struct pathset *s, const char *path, size_t len)
{
	size_t i = sip(s->key, path, len) & (s->cap - 1);

	for (; s->v[i].kind != PATH_NONE; i = (i + 1) & (s->cap - 1)) {
		const char *have = s->arena + s->v[i].off;

		if (strncmp(have, path, len) == 0 && !have[len])
			break;
	}
	return i;
}

static int grow(struct pathset *s)
{
	struct pathset big = *s;
	size_t i;

	big.cap = s->cap ? s->cap * 2 : 1024;
	big.v = lxm_try_alloc(big.cap * sizeof(*big.v));
	if (!big.v)
		return -ENOMEM;
	if (!s->cap)
		lxm_random(big.key, sizeof(big.key));
	for (i = 0; i < s->cap; i++) {
		const char *path = s->arena + s->v[i].off;

		if (s->v[i].kind != PATH_NONE)
			big.v[find(&big, path, strlen(path))] = s->v[i];
	}
	free(s->v);
	*s = big;
	return 0;
}

static int arena_add(struct pathset *s, const char *path, size_t len, uint32_t *off_out)
{
	if (s->arena_len + len + 1 > s->arena_cap) {
		size_t cap = s->arena_cap ? s->arena_cap * 2 : 65536;
		char *p = cap > ARENA_MAX ? NULL : realloc(s->arena, cap);

		if (!p)
			return -ENOMEM;
		s->arena = p;
		s->arena_cap = cap;
	}
	*off_out = (uint32_t)s->arena_len;
	memcpy(s->arena + s->arena_len, path, len);
	s->arena[s->arena_len + len] = 0;
	s->arena_len += len + 1;
	return 0;
}

enum path_kind pathset_get(const struct pathset *s, const char *path)
{
	return s->cap ? (enum path_kind)s->v[find(s, path, strlen(path))].kind : PATH_NONE;
}

/* The first len bytes of path. */
static int add_one(struct pathset *s, const char *path, size_t len, enum path_kind kind, struct lxm_err *e)
{
	uint32_t off = 0;
	size_t i;

	if (s->n * 4 >= s->cap * 3 && grow(s) < 0)
		goto full;
	i = find(s, path, len);
	if (s->v[i].kind == PATH_NONE) {
		if (arena_add(s, path, len, &off) < 0)
			goto full;
		s->v[i].off = off;
		s->v[i].kind = kind;
		s->n++;
		return 0;
	}
	if (kind == PATH_IMPLIED) {
		if (s->v[i].kind == PATH_IMPLIED || s->v[i].kind == PATH_DIR)
			return 0;
		return lxm_err_set(e, EINVAL, "entry '%.200s' passes through '%.*s', which is not a directory",
				   path, (int)(len < 150 ? len : 150), path);
	}
	if (s->v[i].kind == PATH_IMPLIED && kind == PATH_DIR) {
		s->v[i].kind = PATH_DIR;
		return 0;
	}
	return lxm_err_set(e, EINVAL, "entry '%.200s' comes twice", path);
full:
	return lxm_err_set(e, ENOMEM, "the archive has too many names");
}

int pathset_add(struct pathset *s, const char *path, enum path_kind kind, struct lxm_err *e)
{
	const char *p = path;
	int r;

	while ((p = strchr(p, '/'))) {
		r = add_one(s, path, (size_t)(p - path), PATH_IMPLIED, e);
		if (r < 0)
			return r;
		p++;
	}
	return add_one(s, path, strlen(path), kind, e);
}
