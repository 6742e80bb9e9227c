/*
 * Checkers of what the keys of intercepted system calls name. The list of filesystems is closed: each of these takes what it holds
 * from one block device and nothing else. One that reads the host (proc, debugfs), other paths (overlay), other hosts (nfs, cifs)
 * or descriptors (fuse, 9p) is no filesystem to be mounted with the host's rights, whoever lists it.
 */
#include <string.h>

#include "lib/conf/checks.h"

static bool on_block_device(const char *name)
{
	static const char *const names[] = { "bcachefs", "btrfs", "erofs", "exfat", "ext2", "ext3", "ext4",	"f2fs", "hfs",	   "hfsplus",
					     "iso9660",	 "jfs",	  "minix", "msdos", "nilfs2", "ntfs3", "reiserfs", "squashfs", "udf",  "vfat", "xfs" };
	size_t i;

	for (i = 0; i < LXM_ARRAY_LEN(names); i++)
		if (strcmp(names[i], name) == 0)
			return true;
	return false;
}

static int check_filesystem(const char *name, struct lxm_err *e)
{
	if (on_block_device(name))
		return 0;
	return lxm_err_set(e, EINVAL, "'%.40s' is not a filesystem on a block device that can be mounted for an instance (ext4, xfs, btrfs, vfat ...)", name);
}

int check_filesystems(const char *key, const char *value, struct lxm_err *e)
{
	lxm_auto(strv) struct lxm_strv list = { 0 };
	size_t i;
	int r = strlen(value) < 1024 ? 0 : lxm_err_set(e, EINVAL, "a list of more than 1023 bytes");

	lxm_strv_split(&list, value, ',');
	for (i = 0; r == 0 && i < list.n; i++)
		r = check_filesystem(list.v[i], e);
	return r;
}

/* The program is found by the instance's own PATH: a word, no path. */
static bool program_ok(const char *s)
{
	size_t n = strspn(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._+-");

	return n && !s[n] && *s != '.' && *s != '-' && n < 64;
}

int check_fuse(const char *key, const char *value, struct lxm_err *e)
{
	lxm_auto(strv) struct lxm_strv list = { 0 };
	size_t i;
	int r = strlen(value) < 1024 ? 0 : lxm_err_set(e, EINVAL, "a list of more than 1023 bytes");

	lxm_strv_split(&list, value, ',');
	for (i = 0; r == 0 && i < list.n; i++) {
		char *eq = strchr(list.v[i], '=');

		if (!eq || !program_ok(eq + 1))
			return lxm_err_set(e, EINVAL, "'%.80s' is not FILESYSTEM=PROGRAM with the name of a program of the instance", list.v[i]);
		*eq = 0;
		r = check_filesystem(list.v[i], e);
	}
	return r;
}
