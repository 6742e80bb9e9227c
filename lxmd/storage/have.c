/*
 * What an earlier copy holds, so that a refresh sends only what differs: one hash for each file, over path, size and time of change,
 * eight bytes of it on the wire. Worker threads. Nobody changes the volume meanwhile (its instance is stopped and locked).
 */
#include <dirent.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "lib/base/alloc.h"
#include "lib/base/fd.h"
#include "lxmd/storage/pool_priv.h"
#include "lxmd/storage/record.h"
#include "lxmd/storage/transfer.h"

#define HASHES_MAX 4000000u

void transfer_have_deinit(struct transfer_have *h)
{
	free(h->v);
	h->v = NULL;
	h->n = 0;
}

/* ---- receiver: tell */

struct teller {
	const struct transfer_io *io;
	struct lxm_buf path;
	unsigned char rec[RECORD_HEAD + RECORD_HAVE_MAX * 8];
	uint32_t n, total;
};

static int flush(struct teller *t, struct lxm_err *e)
{
	uint32_t len = t->n * 8;

	record_head(t->rec, RECORD_HAVE, len);
	t->n = 0;
	return t->io->put(t->io->arg, t->rec, RECORD_HEAD + len, e);
}

static int tell_dir(struct teller *t, int fd, int depth, struct lxm_err *e);

static int tell_entry(struct teller *t, int up, const char *name, int depth, struct lxm_err *e)
{
	lxm_auto(fd_close) int fd = -1;
	struct stat st;

	if (fstatat(up, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return lxm_err_sys(e, "stat '%.300s'", t->path.data);
	if (S_ISDIR(st.st_mode)) {
		fd = openat(up, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		return fd < 0 ? lxm_err_sys(e, "open '%.300s'", t->path.data) : tell_dir(t, fd, depth + 1, e);
	}
	if (!S_ISREG(st.st_mode) || st.st_size == 0 || t->path.len > RECORD_PATH_MAX || t->total == HASHES_MAX)
		return 0;
	record_put_u64(t->rec + RECORD_HEAD + t->n * 8,
		       record_file_hash(t->path.data, (uint64_t)st.st_size, st.st_mtim.tv_sec, (uint32_t)st.st_mtim.tv_nsec));
	t->total++;
	return ++t->n == RECORD_HAVE_MAX ? flush(t, e) : 0;
}

static int tell_dir(struct teller *t, int fd, int depth, struct lxm_err *e)
{
	int copy = fcntl(fd, F_DUPFD_CLOEXEC, 3), r = 0;
	DIR *d = copy < 0 ? NULL : fdopendir(copy);
	size_t len = t->path.len;
	struct dirent *de;

	if (!d) {
		auto_fd_close(&copy);
		return lxm_err_sys(e, "read a directory");
	}
	if (depth > RECORD_DEPTH_MAX)
		r = lxm_err_set(e, ELOOP, "directories nested over %d deep", RECORD_DEPTH_MAX);
	while (r == 0 && (de = readdir(d))) {
		if (strcmp(de->d_name, ".") == 0 || strcmp(de->d_name, "..") == 0)
			continue;
		t->path.len = len;
		lxm_buf_fmt(&t->path, "%s%s", len ? "/" : "", de->d_name);
		r = tell_entry(t, fd, de->d_name, depth, e);
	}
	closedir(d);
	t->path.len = len;
	return r;
}

int transfer_send_have(struct pool *pool, const struct volume_id *v, enum transfer_form form, const struct transfer_io *io,
		       struct lxm_err *e)
{
	lxm_auto(free) struct teller *t = lxm_alloc(sizeof(*t));
	lxm_auto(free) char *path = NULL, *root = NULL;
	lxm_auto(fd_close) int fd = -1;
	int r = v ? volume_id_check(v, e) : 0;

	t->io = io;
	if (r == 0 && v) {
		path = volume_path(v);
		root = lxm_asprintf("%s/%s", path, form == TRANSFER_LAYER ? "upper" : "rootfs");
		fd = openat(pool->dirfd, root, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		r = fd < 0 ? lxm_err_sys(e, "open '%s'", root) : tell_dir(t, fd, 0, e);
		lxm_buf_deinit(&t->path);
	}
	if (r == 0 && t->n)
		r = flush(t, e);
	return r < 0 ? r : flush(t, e);
}

/* ---- sender: listen */

static int by_value(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

int transfer_get_have(const struct transfer_io *io, struct transfer_have *out, struct lxm_err *e)
{
	unsigned char head[RECORD_HEAD], body[512 * 8];
	enum record_type type;
	uint32_t len, part, i;
	uint64_t *grown;
	int r;

	for (;;) {
		r = io->get(io->arg, head, sizeof(head), e);
		if (r == 0)
			r = record_head_read(head, &type, &len, e);
		if (r == 0 && (type != RECORD_HAVE || out->n + len / 8 > HASHES_MAX))
			r = lxm_err_set(e, EBADMSG, "damaged stream: no list of files");
		if (r < 0 || len == 0)
			break;
		grown = realloc(out->v, (out->n + len / 8) * sizeof(*grown));
		if (!grown)
			return lxm_err_set(e, ENOMEM, "out of memory");
		out->v = grown;
		for (; r == 0 && len; len -= part) {
			part = len < sizeof(body) ? len : (uint32_t)sizeof(body);
			r = io->get(io->arg, body, part, e);
			for (i = 0; r == 0 && i < part; i += 8)
				out->v[out->n++] = record_u64(body + i);
		}
		if (r < 0)
			break;
	}
	if (r == 0 && out->n)
		qsort(out->v, out->n, sizeof(*out->v), by_value);
	return r;
}
