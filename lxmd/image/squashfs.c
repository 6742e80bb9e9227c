/*
 * Squashfs roots. libarchive cannot read them, and mounting a foreign one would hand its bytes to the kernel, so `unsquashfs`
 * unpacks them: fixed arguments, the file as a descriptor, inside the private directory, with bounded memory. While it runs, this
 * thread watches the free space; afterwards the whole tree is walked, device nodes and steering xattrs are thrown out.
 */
#include "lxmd/image/walk.h"

#include <endian.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "lib/base/alloc.h"
#include "lib/base/fd.h"
#include "lib/base/log.h"
#include "lib/base/space.h"
#include "lxmd/core/daemon.h"
#include "lxmd/core/op.h"
#include "lxmd/image/clean.h"
#include "lxmd/image/metadata.h"
#include "lxmd/spawn/spawn.h"

#define AS_MAX	   (4ULL << 30)
#define INODES_MAX 4000000U
#define TREE	   "tree" /* where a unified image is unpacked before its parts move up */

struct superblock {
	uint32_t magic, inodes, mkfs_time, block_size, fragments;
	uint16_t compression, block_log, flags, ids, major, minor;
	uint64_t root_inode, bytes_used;
} __attribute__((packed));

int squashfs_check(int fd, uint64_t size, const char *name, uint64_t *inodes_out, struct lxm_err *e)
{
	struct superblock sb;
	uint32_t block;

	if (pread(fd, &sb, sizeof(sb), 0) != (ssize_t)sizeof(sb))
		return lxm_err_set(e, EINVAL, "damaged squashfs: no superblock");
	block = le32toh(sb.block_size);
	if (le16toh(sb.major) != 4 || block < 4096 || block > 1048576 || block & (block - 1) || le32toh(sb.inodes) == 0)
		return lxm_err_set(e, EINVAL, "damaged squashfs: impossible superblock");
	if (le64toh(sb.bytes_used) > size)
		return lxm_err_set(e, EINVAL, "damaged squashfs: the file is cut off");
	if (le32toh(sb.inodes) > INODES_MAX)
		return lxm_err_set(e, EFBIG, "it holds more than %u files", INODES_MAX);
	if (inodes_out)
		*inodes_out = le32toh(sb.inodes);
	return 0;
}

/* Ends the program when the disk fills up or the operation is cancelled; its own message otherwise. */
static int watch(const struct unpack_spec *spec, int *pidfd, int dirfd, int errfd, struct lxm_err *e)
{
	char text[200] = "";
	int status, r;

	if (spec->op && spec->progress_key)
		op_progress(spec->op, spec->progress_key, "Unpack", -1, 0);
	while ((r = spawn_wait(*pidfd, 200, &status)) == -ETIMEDOUT) {
		if (op_is_cancelled(spec->op)) {
			spawn_kill(pidfd);
			return lxm_err_set(e, ECANCELED, "cancelled");
		}
		if (lxm_space_low(dirfd)) {
			spawn_kill(pidfd);
			return lxm_err_set(e, ENOSPC, "no space left for unpacking it");
		}
	}
	if (r < 0)
		return lxm_err_set(e, -r, "wait for unsquashfs");
	auto_fd_close(pidfd);
	if (status == 0)
		return 0;
	if (pread(errfd, text, sizeof(text) - 1, 0) > 0)
		text[strcspn(text, "\n")] = 0;
	if (lxm_space_low(dirfd))
		return lxm_err_set(e, ENOSPC, "no space left for unpacking it");
	return lxm_err_set(e, EINVAL, "unsquashfs failed: %s", *text ? text : "no reason given");
}

/* unsquashfs -d DEST FILE [ONLY], inside dirfd. */
static int run_unsquashfs(const struct unpack_spec *spec, int dirfd, const char *dest, const char *only, struct lxm_err *e)
{
	const char *argv[] = { "unsquashfs", "-n", "-q", "-p", "2", "-da", "64", "-fr", "64", "-d", dest, "/proc/self/fd/3", only, NULL };
	lxm_auto(fd_close) int errfd = memfd_create("unsquashfs", MFD_CLOEXEC);
	lxm_auto(fd_close) int pidfd = -1;
	struct spawn_spec s = { .path = "unsquashfs", .argv = argv, .cwd_fd = dirfd, .as_max = AS_MAX };
	int r;

	s.fds[s.nfds++] = (struct spawn_fd){ spec->fd, 3 };
	if (errfd >= 0)
		s.fds[s.nfds++] = (struct spawn_fd){ errfd, 2 };
	r = spawn_child(&s, &pidfd, NULL, e);
	if (r == -ENOENT)
		return lxm_err_set(e, EOPNOTSUPP, "unpacking squashfs needs the program 'unsquashfs' (package squashfs-tools)");
	return r < 0 ? r : watch(spec, &pidfd, dirfd, errfd, e);
}

/* A unified image: only the three known names move up, each checked for what it must be. */
static int move_parts(int dirfd, struct unpack_report *report, struct lxm_err *e)
{
	static const struct {
		const char *from, *to;
		mode_t kind;
	} parts[] = { { TREE "/metadata.yaml", "metadata.yaml", S_IFREG },
		      { TREE "/templates", "templates", S_IFDIR },
		      { TREE "/rootfs", "rootfs", S_IFDIR } };
	struct stat st;
	size_t i;

	for (i = 0; i < LXM_ARRAY_LEN(parts); i++) {
		if (fstatat(dirfd, parts[i].from, &st, AT_SYMLINK_NOFOLLOW) < 0)
			continue;
		if ((st.st_mode & S_IFMT) != parts[i].kind)
			return lxm_err_set(e, EINVAL, "'%s' is not what it must be (a link?)", parts[i].to);
		if (renameat(dirfd, parts[i].from, dirfd, parts[i].to) < 0)
			return lxm_err_sys(e, "rename '%s'", parts[i].from);
		if (i == 0)
			report->has_metadata = true;
	}
	return lxm_rm_tree_at(dirfd, TREE) < 0 ? lxm_err_set(e, EIO, "remove what is left of the unpacked tree") : 0;
}

int squashfs_unpack(const struct unpack_spec *spec, int dirfd, const char *dir_path, struct unpack_report *report,
		    struct lxm_err *e)
{
	lxm_auto(fd_close) int rootfd = -1;
	uint64_t inodes;
	int r = squashfs_check(spec->fd, spec->size, spec->name, &inodes, e);

	if (r < 0)
		return r;
	if (!spec->d)
		return lxm_err_set(e, EOPNOTSUPP, "squashfs cannot be unpacked here");
	r = run_unsquashfs(spec, dirfd, spec->part == IMAGE_ROOTFS ? "rootfs" : TREE, NULL, e);
	if (r < 0)
		return r;
	if (spec->part != IMAGE_ROOTFS) {
		r = move_parts(dirfd, report, e);
		if (r < 0)
			return r;
	}
	report->entries = inodes;
	if (spec->part == IMAGE_METADATA)
		return 0;
	rootfd = lxm_open_beneath(dirfd, "rootfs", O_RDONLY | O_DIRECTORY, 0);
	if (rootfd < 0)
		return lxm_err_set(e, EINVAL, "it holds no directory 'rootfs'");
	r = tree_clean(rootfd, &report->devices_left_out, e);
	if (r < 0)
		return r;
	if (report->devices_left_out)
		lxm_warn("%s: %llu device nodes left out", spec->name, (unsigned long long)report->devices_left_out);
	report->has_init = image_root_has_init(rootfd);
	return 0;
}

int squashfs_metadata(const struct unpack_spec *spec, struct lxm_buf *metadata, struct lxm_err *e)
{
	lxm_auto(free) char *rnd = lxm_random_hex(8), *name = lxm_asprintf("squashfs-%s", rnd);
	lxm_auto(fd_close) int dirfd = -1;
	int r;

	if (!spec->d)
		return lxm_err_set(e, EOPNOTSUPP, "squashfs cannot be unpacked here");
	if (mkdirat(spec->d->dirs.cache.fd, name, 0700) < 0)
		return lxm_err_sys(e, "make a directory in the cache");
	dirfd = openat(spec->d->dirs.cache.fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	r = dirfd < 0 ? lxm_err_sys(e, "open a directory in the cache") : run_unsquashfs(spec, dirfd, TREE, "metadata.yaml", e);
	if (r == 0) {
		r = lxm_read_regular_beneath(dirfd, TREE "/metadata.yaml", IMAGE_METADATA_MAX, metadata);
		if (r < 0)
			r = lxm_err_set(e, EINVAL, r == -ENOENT ? "it holds no 'metadata.yaml'" : "'metadata.yaml' is not a regular file");
	}
	(void)lxm_rm_tree_at(spec->d->dirs.cache.fd, name);
	return r;
}
