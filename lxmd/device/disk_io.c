/*
 * I/O limits of disks. The kernel knows them per cgroup and block device, so each disk is followed down to the device that its
 * bytes lie on. A file system on one device tells its number by stat(); one with a number of its own (btrfs) names its device in
 * mountinfo; for the others there is nothing that could be limited. Any thread.
 */
#include "lxmd/device/disk_io.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "lib/base/alloc.h"
#include "lib/base/fd.h"
#include "lib/conf/tables.h"
#include "lxmd/device/disk.h"
#include "lxmd/storage/pool.h"

static const char *const limit_keys[] = { "limits.max", "limits.read", "limits.write" };

bool disk_io_wanted(const struct lxm_kv *kv)
{
	size_t k;

	for (k = 0; k < LXM_ARRAY_LEN(limit_keys); k++)
		if (!lxm_empty(lxm_kv_get(kv, limit_keys[k])))
			return true;
	return false;
}

bool disk_io_differs_only(const struct lxm_kv *a, const struct lxm_kv *b)
{
	lxm_auto(kv) struct lxm_kv x = { 0 }, y = { 0 };
	size_t k;

	lxm_kv_copy(&x, a);
	lxm_kv_copy(&y, b);
	for (k = 0; k < LXM_ARRAY_LEN(limit_keys); k++) {
		(void)lxm_kv_del(&x, limit_keys[k]);
		(void)lxm_kv_del(&y, limit_keys[k]);
	}
	return lxm_kv_eq(&x, &y);
}

/* ---- values */

/* "10MiB" or "500iops"; the other one stays. */
static int parse(const char *key, const char *value, uint64_t *bps, uint64_t *iops, struct lxm_err *e)
{
	uint64_t n;
	int r;

	if (lxm_empty(value))
		return 0;
	if (lxm_ends(value, "iops")) {
		lxm_auto(free) char *num = lxm_strndup(value, strlen(value) - strlen("iops"));

		r = lxm_parse_u64(num, &n);
		*iops = r < 0 ? 0 : n;
		/* v1 keeps them in 32 bits */
		if (r == 0 && n > UINT32_MAX)
			r = -EINVAL;
	} else {
		r = lxm_parse_bytes(value, &n);
		*bps = r < 0 ? 0 : n;
	}
	return r < 0 || n == 0 ? lxm_err_set(e, EINVAL, "%s: '%s' is no limit", key, value) : 0;
}

static int parse_all(const struct lxm_kv *kv, struct disk_io *io, struct lxm_err *e)
{
	const char *max = lxm_kv_get(kv, "limits.max");
	int r = parse("limits.max", max, &io->read_bps, &io->read_iops, e);

	if (r == 0)
		r = parse("limits.max", max, &io->write_bps, &io->write_iops, e);
	if (r == 0)
		r = parse("limits.read", lxm_kv_get(kv, "limits.read"), &io->read_bps, &io->read_iops, e);
	if (r == 0)
		r = parse("limits.write", lxm_kv_get(kv, "limits.write"), &io->write_bps, &io->write_iops, e);
	return r;
}

/* ---- block devices */

/* The device of the mount that a path lies in, where its file system has a number of its own. Returns 0 or -ENODEV. */
static int device_of_mount(const char *path, dev_t *dev_out)
{
	lxm_auto(fclose) FILE *f = fopen("/proc/self/mountinfo", "re");
	lxm_auto(free) char *line = NULL;
	struct statx sx;
	size_t cap = 0;

	if (!f || statx(AT_FDCWD, path, 0, STATX_MNT_ID, &sx) < 0 || !(sx.stx_mask & STATX_MNT_ID))
		return -ENODEV;
	while (getline(&line, &cap, f) > 0) {
		char *dash = strstr(line, " - "), *save, *source;
		struct stat st;

		if (!dash || strtoull(line, NULL, 10) != sx.stx_mnt_id)
			continue;
		(void)strtok_r(dash + 3, " ", &save);
		source = strtok_r(NULL, " ", &save);
		if (!source || source[0] != '/' || stat(source, &st) < 0 || !S_ISBLK(st.st_mode))
			return -ENODEV;
		*dev_out = st.st_rdev;
		return 0;
	}
	return -ENODEV;
}

/* A partition's disk; anything else is what it is. */
static int whole_disk(dev_t dev, struct disk_io *out)
{
	char path[96], text[32];
	lxm_auto(buf) struct lxm_buf b = { 0 };
	unsigned int major, minor;

	snprintf(path, sizeof(path), "/sys/dev/block/%u:%u/partition", major(dev), minor(dev));
	out->major = major(dev);
	out->minor = minor(dev);
	if (access(path, F_OK) < 0) {
		snprintf(path, sizeof(path), "/sys/dev/block/%u:%u", major(dev), minor(dev));
		return access(path, F_OK) < 0 ? -ENODEV : 0;
	}
	snprintf(path, sizeof(path), "/sys/dev/block/%u:%u/../dev", major(dev), minor(dev));
	if (lxm_read_file(path, sizeof(text) - 1, &b) < 0 || !b.data || sscanf(b.data, "%u:%u", &major, &minor) != 2)
		return -ENODEV;
	out->major = major;
	out->minor = minor;
	return 0;
}

/* @what  how the path is called before clients: a pool's own path is the host's business */
static int find_device(const char *path, const char *what, struct disk_io *out, struct lxm_err *e)
{
	struct stat st;
	dev_t dev;
	int r = 0;

	if (stat(path, &st) < 0)
		return lxm_err_sys(e, "look at '%s'", what);
	dev = S_ISBLK(st.st_mode) ? st.st_rdev : st.st_dev;
	if (major(dev) == 0)
		r = device_of_mount(path, &dev);
	if (r == 0)
		r = whole_disk(dev, out);
	return r < 0 ? lxm_err_http(e, 400, EOPNOTSUPP, "'%s' lies on no block device of its own: its I/O cannot be limited", what) : 0;
}

/* The pool that holds the disk; NULL: none does. What lies in the instance's own volume is in the pool of its root. */
static const char *pool_of(const struct device_ctx *c)
{
	if (!conf_disk_is_scratch(c->kv))
		return lxm_kv_or(c->kv, "pool", NULL);
	for (size_t k = 0; c->devices && k < c->devices->n; k++)
		if (device_is_root(&c->devices->v[k].kv))
			return lxm_kv_or(&c->devices->v[k].kv, "pool", NULL);
	return NULL;
}

/* The directory or file on the host that the disk's bytes lie in; NULL: missing and not required. */
static int data_path(const struct device_ctx *c, char **path_out, struct lxm_err *e)
{
	lxm_auto(pool_unref) struct pool *pool = NULL;
	lxm_auto(disk_mount) struct disk_mount m = { 0 };
	const char *name = pool_of(c);
	int r;

	if (!name) {
		r = disk_find(c, &m, e);
		*path_out = r == 0 ? LXM_TAKE(m.source, NULL) : NULL;
		return r;
	}
	r = storage_pool_get(c->d, name, &pool, e);
	*path_out = r == 0 ? lxm_strdup(pool_path(pool)) : NULL;
	return r;
}

int disk_io_read(const struct device_ctx *c, struct disk_io *out, struct lxm_err *e)
{
	lxm_auto(free) char *path = NULL;
	struct disk_io io = { 0 };
	int r = parse_all(c->kv, &io, e);

	if (r == 0)
		r = data_path(c, &path, e);
	if (r == 0 && path)
		r = find_device(path, lxm_kv_or(c->kv, "pool", lxm_kv_or(c->kv, "source", "")), &io, e);
	if (r < 0)
		return r;
	if (!path)
		memset(&io, 0, sizeof(io));
	*out = io;
	return 0;
}
