/*
 * See files.h. A file comes under a temporary name, is synced and renamed, so FP and FP.rootfs are always whole; a dead daemon leaves at
 * most temporary names and files without a row, both of which the next start sweeps away.
 */
#include "lxmd/image/files.h"

#include <dirent.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <openssl/evp.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>

#include "lib/base/alloc.h"
#include "lib/base/fd.h"
#include "lib/base/log.h"
#include "lxmd/core/daemon.h"
#include "lxmd/core/op.h"

#define CHUNK (256 * 1024)

static int hash_file(EVP_MD_CTX *ctx, int fd, struct op *op, char *chunk, uint64_t *size, struct lxm_err *e)
{
	off_t off = 0;

	for (;;) {
		ssize_t n = pread(fd, chunk, CHUNK, off);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return lxm_err_sys(e, "read the image");
		if (n == 0)
			break;
		if (op_is_cancelled(op))
			return lxm_err_set(e, ECANCELED, "cancelled");
		EVP_DigestUpdate(ctx, chunk, (size_t)n);
		off += n;
	}
	*size += (uint64_t)off;
	return 0;
}

int image_files_hash(int meta_fd, int rootfs_fd, struct op *op, char out[65], uint64_t *size_out, struct lxm_err *e)
{
	lxm_auto(free) char *chunk = lxm_alloc(CHUNK);
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	unsigned char md[EVP_MAX_MD_SIZE];
	uint64_t size = 0;
	int r = 0;

	if (!ctx || EVP_DigestInit_ex(ctx, EVP_sha256(), NULL) != 1)
		r = lxm_err_set(e, ENOMEM, "cannot make a SHA-256");
	if (r == 0)
		r = hash_file(ctx, meta_fd, op, chunk, &size, e);
	if (r == 0 && rootfs_fd >= 0)
		r = hash_file(ctx, rootfs_fd, op, chunk, &size, e);
	if (r == 0) {
		EVP_DigestFinal_ex(ctx, md, NULL);
		lxm_hex(out, md, 32);
		*size_out = size;
	}
	EVP_MD_CTX_free(ctx);
	return r;
}

static int copy_bytes(int from, int to, struct lxm_err *e)
{
	lxm_auto(free) char *chunk = NULL;
	off_t in = 0;

	if (ioctl(to, FICLONE, from) == 0)
		return 0;
	for (;;) {
		ssize_t n = chunk ? -1 : copy_file_range(from, &in, to, NULL, CHUNK * 16, 0);

		if (n < 0) {
			if (!chunk)
				chunk = lxm_alloc(CHUNK);
			n = pread(from, chunk, CHUNK, in);
			if (n > 0) {
				int r = lxm_write_all(to, chunk, (size_t)n);

				if (r < 0)
					return lxm_err_set(e, -r, "write into the image store: %s", strerror(-r));
				in += n;
			}
		}
		if (n < 0)
			return lxm_err_sys(e, "copy into the image store");
		if (n == 0)
			return 0;
	}
}

static int add_file(struct lxmd *d, int from, const char *name, struct lxm_err *e)
{
	lxm_auto(free) char *rnd = lxm_random_hex(8), *tmp = lxm_asprintf("tmp-%s", rnd);
	lxm_auto(fd_close) int to = openat(d->dirs.images.fd, tmp, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	int r;

	if (to < 0)
		return lxm_err_sys(e, "create '%s/%s'", d->dirs.images.path, tmp);
	r = copy_bytes(from, to, e);
	if (r == 0 && fdatasync(to) < 0)
		r = lxm_err_sys(e, "sync '%s/%s'", d->dirs.images.path, tmp);
	if (r == 0 && renameat(d->dirs.images.fd, tmp, d->dirs.images.fd, name) < 0)
		r = lxm_err_sys(e, "rename '%s' to '%s'", tmp, name);
	if (r < 0)
		(void)unlinkat(d->dirs.images.fd, tmp, 0);
	return r;
}

int image_files_add(struct lxmd *d, const char *fp, int meta_fd, int rootfs_fd, struct lxm_err *e)
{
	char rootfs[80];
	int r = 0;

	snprintf(rootfs, sizeof(rootfs), "%s.rootfs", fp);
	if (rootfs_fd >= 0)
		r = add_file(d, rootfs_fd, rootfs, e);
	if (r == 0)
		r = add_file(d, meta_fd, fp, e);
	if (r < 0)
		image_files_del(d, fp);
	return r;
}

void image_files_del(struct lxmd *d, const char *fp)
{
	char rootfs[80];

	snprintf(rootfs, sizeof(rootfs), "%s.rootfs", fp);
	(void)unlinkat(d->dirs.images.fd, fp, 0);
	(void)unlinkat(d->dirs.images.fd, rootfs, 0);
}

bool image_files_have(struct lxmd *d, const char *fp, bool split)
{
	char rootfs[80];

	snprintf(rootfs, sizeof(rootfs), "%s.rootfs", fp);
	return faccessat(d->dirs.images.fd, fp, F_OK, 0) == 0 && (!split || faccessat(d->dirs.images.fd, rootfs, F_OK, 0) == 0);
}

static int by_text(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

void image_files_sweep(struct lxmd *d, const struct lxm_strv *fps)
{
	int fd = openat(d->dirs.images.fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *de;
	char name[65];

	if (!dir) {
		auto_fd_close(&fd);
		return;
	}
	while ((de = readdir(dir))) {
		const char *key = name;
		size_t len = strlen(de->d_name);

		if (strcmp(de->d_name, ".") == 0 || strcmp(de->d_name, "..") == 0)
			continue;
		snprintf(name, sizeof(name), "%.64s", de->d_name);
		if ((len == 64 || (len == 71 && strcmp(de->d_name + 64, ".rootfs") == 0)) && fps->n &&
		    bsearch(&key, fps->v, fps->n, sizeof(char *), by_text))
			continue;
		lxm_info("image store: removing '%s', which belongs to no image", de->d_name);
		(void)lxm_rm_tree_at(fd, de->d_name);
	}
	closedir(dir);
}
