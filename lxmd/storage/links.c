/* See links.h. Open addressing; inode numbers spread well under a multiplication. */
#include "lxmd/storage/links.h"

#include <stdint.h>
#include <string.h>

#include "lib/base/alloc.h"

static size_t place(const struct links *l, dev_t dev, ino_t ino)
{
	size_t i = (size_t)(((uint64_t)ino + (uint64_t)dev * 31) * 0x9e3779b97f4a7c15ULL >> 32) & (l->cap - 1);

	while (l->v[i].ino && (l->v[i].ino != ino || l->v[i].dev != dev))
		i = (i + 1) & (l->cap - 1);
	return i;
}

static void grow(struct links *l)
{
	struct links big = { .n = l->n, .cap = l->cap ? l->cap * 2 : 256 };
	size_t i;

	big.v = lxm_realloc_n(NULL, big.cap, sizeof(*big.v));
	memset(big.v, 0, big.cap * sizeof(*big.v));
	for (i = 0; i < l->cap; i++)
		if (l->v[i].ino)
			big.v[place(&big, l->v[i].dev, l->v[i].ino)] = l->v[i];
	free(l->v);
	*l = big;
}

const char *links_add(struct links *l, dev_t dev, ino_t ino, const char *path)
{
	struct link_item *it;

	if (l->n * 4 >= l->cap * 3)
		grow(l);
	it = &l->v[place(l, dev, ino)];
	if (it->ino)
		return it->path;
	it->dev = dev;
	it->ino = ino;
	it->path = lxm_strdup(path);
	l->n++;
	return NULL;
}

void links_deinit(struct links *l)
{
	size_t i;

	for (i = 0; i < l->cap; i++)
		free(l->v[i].path);
	free(l->v);
	memset(l, 0, sizeof(*l));
}
