/*
 * The id map of the namespace that lxm-helper has entered, as the kernel tells it in the host's /proc: the same for an
 * instance that runs and for one that does not.
 */
#include "lxmd/helper/ids.h"

#include <stdlib.h>
#include <string.h>

#include "lib/base/fd.h"
#include "lib/base/str.h"

#define LINES_MAX 340 /* as many as the kernel takes */
#define TEXT_MAX  16384

static struct id_map {
	size_t n; /* 0: not read yet */
	struct {
		uint32_t first, count;
	} line[LINES_MAX];
} maps[2];

static int map_read(const struct tree *t, const char *path, struct id_map *m)
{
	lxm_auto(buf) struct lxm_buf text = { 0 };
	unsigned long first, count;
	char *p;
	int r;

	if (m->n)
		return 0;
	r = lxm_read_file_at(t->fds, path, TEXT_MAX, &text);
	if (r < 0)
		return r;
	for (p = text.data; p && *p && m->n < LINES_MAX; p = strchr(p, '\n'), p += p != NULL) {
		first = strtoul(p, &p, 10);
		(void)strtoul(p, &p, 10); /* outside */
		count = strtoul(p, &p, 10);
		if (!count)
			break;
		m->line[m->n].first = (uint32_t)first;
		m->line[m->n++].count = (uint32_t)count;
	}
	return m->n ? 0 : -EINVAL;
}

static int check(const struct tree *t, const char *what, const char *path, struct id_map *m, uint32_t id, struct lxm_err *e)
{
	size_t k;
	int r;

	if (id == UINT32_MAX)
		return 0;
	r = map_read(t, path, m);
	if (r < 0)
		return lxm_err_set(e, -r, "read the instance's id map: %s", strerror(-r));
	for (k = 0; k < m->n; k++)
		if (id - m->line[k].first < m->line[k].count)
			return 0;
	if (m->n == 1)
		return lxm_err_set(e, EINVAL, "%s %u is not among the ids of the instance (%u to %u)", what, id, m->line[0].first,
				   m->line[0].first + m->line[0].count - 1);
	return lxm_err_set(e, EINVAL, "%s %u is not among the ids of the instance", what, id);
}

int ids_check(const struct tree *t, uint32_t uid, uint32_t gid, struct lxm_err *e)
{
	int r = check(t, "user", "../uid_map", &maps[0], uid, e);

	return r < 0 ? r : check(t, "group", "../gid_map", &maps[1], gid, e);
}
