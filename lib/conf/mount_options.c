/*
 * Options of mounts. What is in neither table is refused: an option of a filesystem can name files of the host, other devices, or make the
 * kernel trust what it reads.
 */
#include "lib/conf/mount_options.h"

#include <linux/mount.h>
#include <string.h>

#include "lib/base/alloc.h"
#include "lib/conf/checks.h"

static const struct {
	const char *word;
	uint32_t attr;
} attributes[] = {
	{ "noatime", MOUNT_ATTR_NOATIME },
	{ "nodev", MOUNT_ATTR_NODEV },
	{ "nodiratime", MOUNT_ATTR_NODIRATIME },
	{ "noexec", MOUNT_ATTR_NOEXEC },
	{ "nosuid", MOUNT_ATTR_NOSUID },
	{ "nosymfollow", MOUNT_ATTR_NOSYMFOLLOW },
	{ "relatime", MOUNT_ATTR_RELATIME },
	{ "ro", MOUNT_ATTR_RDONLY },
	{ "strictatime", MOUNT_ATTR_STRICTATIME },
};

/* NAME is a flag, NAME= takes a value of letters, digits and "-_.%". */
static const struct {
	const char *fstype, *options;
} filesystems[] = {
	{ "ext4", "acl,noacl,barrier=,commit=,data=,delalloc,nodelalloc,discard,nodiscard,errors=,init_itable=,noload,stripe=,user_xattr" },
	{ "iso9660", "block=,check=,iocharset=,map=,mode=,dmode=,norock,nojoliet,session=,utf8,uid=,gid=" },
	{ "squashfs", "errors=,threads=" },
	{ "tmpfs", "huge=,mode=,nr_inodes=,size=" },
	{ "vfat", "codepage=,check=,discard,dmask=,errors=,flush,fmask=,gid=,iocharset=,quiet,shortname=,showexec,tz=,uid=,umask=,utf8" },
	{ "xfs", "allocsize=,attr2,discard,nodiscard,inode32,inode64,largeio,nolargeio,logbsize=,norecovery,nouuid,sunit=,swalloc,swidth=" },
};

static bool listed(const char *options, const char *item)
{
	const char *eq = strchr(item, '=');
	size_t len = eq ? (size_t)(eq - item) + 1 : strlen(item);
	const char *p, *end;

	for (p = options; *p; p = *end ? end + 1 : end) {
		end = p + strcspn(p, ",");
		if ((size_t)(end - p) == len && strncmp(p, item, len) == 0)
			return true;
	}
	return false;
}

static bool is_own(const char *fstype, const char *item)
{
	const char *eq = strchr(item, '=');
	size_t k;

	if (eq && (!eq[1] || strlen(eq) > 64 ||
		   eq[1 + strspn(eq + 1, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.%")]))
		return false;
	for (k = 0; k < LXM_ARRAY_LEN(filesystems); k++)
		if ((!fstype || strcmp(filesystems[k].fstype, fstype) == 0) && listed(filesystems[k].options, item))
			return true;
	return false;
}

static bool take_attribute(const char *item, uint32_t *attrs)
{
	size_t k;

	for (k = 0; k < LXM_ARRAY_LEN(attributes); k++) {
		if (strcmp(attributes[k].word, item) != 0)
			continue;
		/* relatime is the kernel's default: no bit */
		if (attributes[k].attr == MOUNT_ATTR_RELATIME || attributes[k].attr == MOUNT_ATTR_NOATIME ||
		    attributes[k].attr == MOUNT_ATTR_STRICTATIME)
			*attrs &= ~(uint32_t)MOUNT_ATTR__ATIME;
		*attrs |= attributes[k].attr;
		return true;
	}
	return false;
}

/* @any  an option of any filesystem will do */
static int walk(const char *text, const char *fstype, bool any, uint32_t *attrs, struct lxm_buf *own, struct lxm_err *e)
{
	lxm_auto(strv) struct lxm_strv items = { 0 };
	size_t k;

	lxm_strv_split(&items, text, ',');
	for (k = 0; k < items.n; k++) {
		const char *item = items.v[k] + strspn(items.v[k], " ");

		if (!*item || take_attribute(item, attrs))
			continue;
		if (!any && !fstype)
			return lxm_err_set(e, EINVAL, "'%.60s' is an option of a filesystem: a source that is mounted already takes noatime, nodev, nodiratime, noexec, nosuid, nosymfollow, relatime, ro, strictatime",
					   item);
		if (!is_own(fstype, item))
			return lxm_err_set(e, EINVAL, "'%.60s' is not an option that can be set%s%s", item, fstype ? " for " : "", fstype ? fstype : "");
		if (own)
			lxm_buf_fmt(own, "%s%s", own->len ? "," : "", item);
	}
	return 0;
}

int conf_mount_options(const char *text, const char *fstype, uint32_t *attrs_out, struct lxm_buf *own, struct lxm_err *e)
{
	int r = lxm_empty(text) ? 0 : walk(text, fstype, false, attrs_out, own, e);

	return lxm_err_wrap(e, r, "raw.mount.options");
}

int check_mount_options(const char *key, const char *value, struct lxm_err *e)
{
	uint32_t attrs = 0;

	(void)key;
	if (strlen(value) > 1000)
		return lxm_err_set(e, EINVAL, "a list of more than 1000 bytes");
	return walk(value, NULL, true, &attrs, NULL, e);
}
