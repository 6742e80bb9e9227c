/* Magic numbers of filesystems at fixed places. Nothing else of a device is looked at: reading it is the kernel's business. Any thread. */
#include "lxmd/device/blockfs.h"

#include <fcntl.h>
#include <linux/fs.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "lib/base/alloc.h"
#include "lib/base/fd.h"

static const struct {
	const char *fstype;
	size_t at, len;
	const char *magic;
} known[] = {
	{ "ext4", 1080, 2, "\x53\xef" },	  { "xfs", 0, 4, "XFSB" },	     { "squashfs", 0, 4, "hsqs" },
	{ "iso9660", 32769, 5, "CD001" }, { "vfat", 0x52, 8, "FAT32   " }, { "vfat", 0x36, 8, "FAT16   " },
	{ "vfat", 0x36, 8, "FAT12   " },
};

const char *blockfs_name(const void *data, size_t len)
{
	size_t k;

	for (k = 0; k < LXM_ARRAY_LEN(known); k++)
		if (known[k].at + known[k].len <= len && memcmp((const char *)data + known[k].at, known[k].magic, known[k].len) == 0)
			return known[k].fstype;
	return NULL;
}

int blockfs_probe(const char *path, const char **fstype_out, bool *readonly_out, struct lxm_err *e)
{
	lxm_auto(fd_close) int fd = open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	lxm_auto(free) char *head = lxm_alloc(BLOCKFS_HEAD);
	const char *name;
	int locked = 0;
	ssize_t n;

	if (fd < 0)
		return lxm_err_sys(e, "open '%s'", path);
	n = pread(fd, head, BLOCKFS_HEAD, 0);
	if (n < 0)
		return lxm_err_sys(e, "read '%s'", path);
	name = blockfs_name(head, (size_t)n);
	if (!name)
		return lxm_err_set(e, EINVAL, "'%s' holds none of ext4, xfs, vfat, iso9660, squashfs: mount it on the host and name that directory", path);
	*fstype_out = name;
	*readonly_out = ioctl(fd, BLKROGET, &locked) == 0 && locked;
	return 0;
}
