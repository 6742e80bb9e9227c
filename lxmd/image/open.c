/*
 * Reading what lies in the store: its files, their metadata, and unpacking them into the directory that a storage pool hands over.
 */
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "db/image.h"
#include "lib/base/alloc.h"
#include "lib/base/fd.h"
#include "lxmd/core/daemon.h"
#include "lxmd/core/op.h"
#include "lxmd/image/files.h"
#include "lxmd/image/image.h"
#include "lxmd/image/unpack.h"

#define UNPACK_KEY "create_instance_from_image_unpack_progress"

static uint64_t size_of(int fd)
{
	struct stat st;

	return fstat(fd, &st) == 0 ? (uint64_t)st.st_size : 0;
}

int image_open(struct lxmd *d, const char *fp, int *meta_fd, int *rootfs_fd, struct lxm_err *e)
{
	lxm_auto(fd_close) int meta = -1, rootfs = -1;
	char name[80];

	if (!lxm_is_hex(fp, 64, 64))
		return lxm_err_set(e, EINVAL, "'%.80s' is no image fingerprint", fp);
	meta = openat(d->dirs.images.fd, fp, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	if (meta < 0)
		return lxm_err_sys(e, "open the file of image '%.12s'", fp);
	snprintf(name, sizeof(name), "%s.rootfs", fp);
	rootfs = openat(d->dirs.images.fd, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	if (rootfs < 0 && errno != ENOENT)
		return lxm_err_sys(e, "open the root file of image '%.12s'", fp);
	*meta_fd = LXM_TAKE(meta, -1);
	*rootfs_fd = LXM_TAKE(rootfs, -1);
	return 0;
}

/* The file that has the metadata; the name for messages is kept in `name`. */
static void describe_first(const char *fp, int meta, int rootfs, char name[32], struct unpack_spec *out)
{
	(void)snprintf(name, 32, "image '%.12s'", fp);
	out->name = name;
	out->fd = meta;
	out->size = size_of(meta);
	out->part = rootfs < 0 ? IMAGE_UNIFIED : IMAGE_METADATA;
}

int image_unpack_into(struct lxmd *d, const char *fp, int dirfd, const char *dir_path, struct op *op, struct lxm_err *e)
{
	lxm_auto(fd_close) int meta = -1, rootfs = -1, root = -1;
	lxm_auto(image_metadata) struct image_metadata m = { 0 };
	struct unpack_spec spec = { .d = d, .op = op, .progress_key = UNPACK_KEY };
	char name[32];
	int r = image_open(d, fp, &meta, &rootfs, e);

	if (r < 0)
		return r;
	describe_first(fp, meta, rootfs, name, &spec);
	r = image_unpack(&spec, dirfd, dir_path, NULL, e);
	if (r == 0 && rootfs >= 0) {
		spec.fd = rootfs;
		spec.size = size_of(rootfs);
		spec.part = IMAGE_ROOTFS;
		r = image_unpack(&spec, dirfd, dir_path, NULL, e);
	}
	if (op)
		op_progress(op, UNPACK_KEY, NULL, -1, 0);
	if (r == 0)
		r = image_metadata_read(dirfd, &m, e);
	if (r < 0)
		return r;
	root = lxm_open_beneath(dirfd, "rootfs", O_PATH | O_DIRECTORY, 0);
	if (root < 0)
		return lxm_err_set(e, EINVAL, "%s holds no directory 'rootfs'", name);
	if (!image_root_has_init(root))
		return lxm_err_set(e, EINVAL, "%s has no init that can be run (/sbin/init, /lib/systemd/systemd, /init)", name);
	return 0;
}

int image_metadata(struct lxmd *d, const char *fp, struct image_metadata *out, struct lxm_err *e)
{
	lxm_auto(fd_close) int meta = -1, rootfs = -1;
	lxm_auto(buf) struct lxm_buf text = { 0 };
	struct unpack_spec spec = { .d = d };
	char name[32];
	int r = image_open(d, fp, &meta, &rootfs, e);

	if (r < 0)
		return r;
	describe_first(fp, meta, rootfs, name, &spec);
	r = image_peek_metadata(&spec, &text, e);
	return r < 0 ? r : image_metadata_parse(text.data ? text.data : "", text.len, out, e);
}

void image_properties_to_config(const struct db_image *im, struct lxm_kv *config)
{
	lxm_kv_each(p, &im->properties)
	{
		lxm_auto(free) char *key = lxm_asprintf("image.%s", p->key);

		lxm_kv_set(config, key, p->value);
	}
}
