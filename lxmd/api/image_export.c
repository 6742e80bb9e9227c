/* GET /1.0/images/FP/export: the file of a unified image as it is, a split one as multipart/form-data. Request threads. */
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "lib/base/alloc.h"
#include "lib/base/fd.h"
#include "lxmd/api/api.h"
#include "lxmd/api/image_json.h"
#include "lxmd/core/daemon.h"
#include "lxmd/image/image.h"
#include "lxmd/image/unpack.h"

static uint64_t size_of(int fd)
{
	struct stat st;

	return fstat(fd, &st) == 0 ? (uint64_t)st.st_size : 0;
}

static int append(int to, int from, struct lxm_err *e)
{
	uint64_t left = size_of(from);
	off_t in = 0;

	while (left) {
		ssize_t n = copy_file_range(from, &in, to, NULL, left, 0);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return lxm_err_sys(e, "copy the image into the cache");
		left -= (uint64_t)n;
	}
	return 0;
}

static int append_text(int to, const char *text, struct lxm_err *e)
{
	int r = lxm_write_all(to, text, strlen(text));

	return r < 0 ? lxm_err_set(e, -r, "write into the cache: %s", strerror(-r)) : 0;
}

static int append_part(int to, const char *boundary, const char *name, const char *filename, int from, struct lxm_err *e)
{
	lxm_auto(free) char *head = lxm_asprintf("--%s\r\nContent-Disposition: form-data; name=\"%s\"; filename=\"%s\"\r\n"
						 "Content-Type: application/octet-stream\r\n\r\n",
						 boundary, name, filename);
	int r = append_text(to, head, e);

	if (r == 0)
		r = append(to, from, e);
	return r < 0 ? r : append_text(to, "\r\n", e);
}

/* One file with both parts, so that the reply has a length. */
static int reply_split(struct request *rq, const char *fp, int meta, int rootfs, struct lxm_err *e)
{
	lxm_auto(fd_close) int fd = openat(rq->d->dirs.cache.fd, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	lxm_auto(free) char *boundary = lxm_random_hex(30), *type = lxm_asprintf("multipart/form-data; boundary=%s", boundary);
	lxm_auto(free) char *meta_name = lxm_asprintf("meta-%s.%s", fp, image_suffix_of(meta));
	lxm_auto(free) char *root_name = lxm_asprintf("%s.%s", fp, image_suffix_of(rootfs));
	lxm_auto(free) char *tail = lxm_asprintf("--%s--\r\n", boundary);
	uint64_t size;
	int r;

	if (fd < 0)
		return lxm_err_sys(e, "make a file in the cache");
	r = append_part(fd, boundary, "metadata", meta_name, meta, e);
	if (r == 0)
		r = append_part(fd, boundary, "rootfs", root_name, rootfs, e);
	if (r == 0)
		r = append_text(fd, tail, e);
	if (r < 0)
		return r;
	size = size_of(fd);
	return reply_file(rq, LXM_TAKE(fd, -1), size, type, NULL);
}

int api_image_export_get(struct request *rq, struct lxm_err *e)
{
	lxm_auto(db_image) struct db_image im = { 0 };
	lxm_auto(fd_close) int meta = -1, rootfs = -1;
	lxm_auto(kv) struct lxm_kv headers = { 0 };
	uint64_t size;
	int r = image_of_request(rq, &im, e);

	if (r == 0)
		r = image_open(rq->d, im.fingerprint, &meta, &rootfs, e);
	if (r < 0)
		return r;
	if (rootfs >= 0)
		return reply_split(rq, im.fingerprint, meta, rootfs, e);
	lxm_kv_setf(&headers, "Content-Disposition", "inline;filename=%s.%s", im.fingerprint, image_suffix_of(meta));
	size = size_of(meta);
	return reply_file(rq, LXM_TAKE(meta, -1), size, "application/octet-stream", &headers);
}
