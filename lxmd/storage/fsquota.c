/*
 * Project quotas of the file system below a pool. Any thread of lxmd; a handful of system calls each.
 *
 * Both ext4 and xfs answer xfs's commands of quotactl(2), so there is one way for both. A container cannot leave its project: the kernel
 * lets nobody change a project's number from within a user namespace; root of a privileged one can.
 */
#include "lxmd/storage/fsquota.h"

#include <fcntl.h>
#include <linux/dqblk_xfs.h>
#include <linux/fs.h>
#include <linux/quota.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>

#include "lib/base/fd.h"
#include "lib/base/sys.h"
#include "lxmd/storage/pool_priv.h"

#define UNIT  512u /* of limits and counts */
#define TRIES 64u  /* numbers that files of removed volumes, still open, may hold */

bool fsquota_works(int dirfd)
{
	struct fs_quota_statv st = { .qs_version = FS_QSTATV_VERSION1 };
	const unsigned int both = FS_QUOTA_PDQ_ACCT | FS_QUOTA_PDQ_ENFD;

	return sys_quotactl_fd(dirfd, QCMD(Q_XGETQSTATV, PRJQUOTA), 0, &st) == 0 && (st.qs_flags & both) == both;
}

/* A project that nobody has used yet is unknown to xfs. */
static int read_quota(struct pool *pool, uint32_t id, struct fs_disk_quota *out)
{
	memset(out, 0, sizeof(*out));
	if (sys_quotactl_fd(pool->dirfd, QCMD(Q_XGETQUOTA, PRJQUOTA), id, out) == 0)
		return 0;
	return errno == ENOENT ? 0 : -errno;
}

static int write_limit(struct pool *pool, uint32_t id, uint64_t bytes)
{
	struct fs_disk_quota q = { .d_version = FS_DQUOT_VERSION, .d_flags = FS_PROJ_QUOTA, .d_id = id,
				   .d_fieldmask = FS_DQ_BSOFT | FS_DQ_BHARD };

	q.d_blk_hardlimit = bytes / UNIT + (bytes % UNIT != 0);
	return sys_quotactl_fd(pool->dirfd, QCMD(Q_XSETQLIM, PRJQUOTA), id, &q) < 0 ? -errno : 0;
}

/* ---- a directory and its project */

/* Two directories that there are at once share a number only if their inodes lie FSQUOTA_COUNT apart: then the second sees the first one's use. */
static int free_id(struct pool *pool, int dir, uint32_t *id_out)
{
	struct fs_disk_quota q;
	struct stat st;
	uint64_t k;

	if (fstat(dir, &st) < 0)
		return -errno;
	for (k = 0; k < TRIES; k++) {
		uint32_t id = FSQUOTA_FIRST + (uint32_t)((st.st_ino + k) % FSQUOTA_COUNT);
		int r = read_quota(pool, id, &q);

		if (r == 0 && !q.d_icount && !q.d_bcount)
			*id_out = id;
		if (r < 0 || (!q.d_icount && !q.d_bcount))
			return r;
	}
	return -EBUSY;
}

static bool is_ours(const struct fsxattr *x)
{
	return x->fsx_xflags & FS_XFLAG_PROJINHERIT && x->fsx_projid >= FSQUOTA_FIRST && x->fsx_projid - FSQUOTA_FIRST < FSQUOTA_COUNT;
}

static int make_project(struct pool *pool, int dir)
{
	struct fsxattr x;
	uint32_t id = 0;
	int r;

	if (ioctl(dir, FS_IOC_FSGETXATTR, &x) < 0)
		return -errno;
	/* a directory inside a volume */
	if (is_ours(&x))
		return 0;
	r = free_id(pool, dir, &id);
	if (r < 0)
		return r;
	x.fsx_xflags |= FS_XFLAG_PROJINHERIT;
	x.fsx_projid = id;
	if (ioctl(dir, FS_IOC_FSSETXATTR, &x) < 0)
		return -errno;
	return write_limit(pool, id, 0);
}

int fsquota_mkdir(struct pool *pool, const char *path, struct lxm_err *e)
{
	lxm_auto(fd_close) int dir = -1;
	int r;

	if (mkdirat(pool->dirfd, path, 0700) < 0)
		return lxm_err_sys(e, "make directory '%s'", path);
	if (!pool->quota)
		return 0;
	dir = openat(pool->dirfd, path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	r = dir < 0 ? -errno : make_project(pool, dir);
	if (r < 0) {
		(void)unlinkat(pool->dirfd, path, AT_REMOVEDIR);
		return lxm_err_set(e, -r, "make a quota for '%s': %s", path, strerror(-r));
	}
	return 0;
}

/* -EOPNOTSUPP: none of ours. */
static int id_of(struct pool *pool, const char *vol, uint32_t *id_out)
{
	lxm_auto(fd_close) int dir = -1;
	struct fsxattr x;

	if (!pool->quota)
		return -EOPNOTSUPP;
	dir = openat(pool->dirfd, vol, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (dir < 0 || ioctl(dir, FS_IOC_FSGETXATTR, &x) < 0)
		return -errno;
	if (!is_ours(&x))
		return -EOPNOTSUPP;
	*id_out = x.fsx_projid;
	return 0;
}

/* ---- limits */

static int refuse(const struct pool *pool, struct lxm_err *e)
{
	if (!pool->quota)
		return lxm_err_http(e, 400, EOPNOTSUPP, "pool '%s' cannot limit the size of a volume: " POOL_QUOTA_HELP, pool->name);
	return lxm_err_http(e, 400, EOPNOTSUPP, "it was made before the file system of pool '%s' had project quotas: copy it, the copy can have a size",
			    pool->name);
}

int fsquota_set(struct pool *pool, const char *vol, uint64_t bytes, bool anyway, struct lxm_err *e)
{
	struct fs_disk_quota q;
	uint32_t id;
	int r = id_of(pool, vol, &id);

	if (r == -EOPNOTSUPP)
		return bytes ? refuse(pool, e) : 0;
	if (r == 0)
		r = read_quota(pool, id, &q);
	if (r == 0 && bytes && !anyway && q.d_bcount * UNIT > bytes)
		return lxm_err_http(e, 400, ENOSPC, "it holds %llu bytes already, more than the size of %llu bytes",
				    (unsigned long long)q.d_bcount * UNIT, (unsigned long long)bytes);
	if (r == 0)
		r = write_limit(pool, id, bytes);
	return r < 0 ? lxm_err_set(e, -r, "limit the size of '%s': %s", vol, strerror(-r)) : 0;
}

int fsquota_usage(struct pool *pool, const char *vol, struct volume_usage *out)
{
	struct fs_disk_quota q;
	uint32_t id;
	int r = id_of(pool, vol, &id);

	if (r == 0)
		r = read_quota(pool, id, &q);
	if (r < 0)
		return r;
	out->used = q.d_bcount * UNIT;
	out->total = q.d_blk_hardlimit * UNIT;
	return 0;
}

void fsquota_drop(struct pool *pool, const char *vol)
{
	uint32_t id;

	if (id_of(pool, vol, &id) == 0)
		(void)write_limit(pool, id, 0);
}
