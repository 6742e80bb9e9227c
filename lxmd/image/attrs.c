/*
 * What an archive says about a file beside its bytes, written to the open file: owner, mode, file capabilities, POSIX
 * ACLs, user xattrs, times. Everything else is dropped on purpose: trusted.* and user.overlay.* would steer overlayfs
 * (redirects, whiteouts), security.* other than capabilities belongs to the host's security modules.
 */
#include "lxmd/image/walk.h"

#include <endian.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>

#include "lib/base/str.h"

#define ACL_ENTRIES_MAX 512
#define XATTR_VALUE_MAX 65536
#define OVERFLOW_ID	65534

/* The kernel's form of an ACL, little endian. */
struct acl_entry {
	uint16_t tag, perm;
	uint32_t id;
} __attribute__((packed));

struct acl_xattr {
	uint32_t version;
	struct acl_entry v[ACL_ENTRIES_MAX];
} __attribute__((packed));

enum { TAG_USER_OBJ = 1, TAG_USER = 2, TAG_GROUP_OBJ = 4, TAG_GROUP = 8, TAG_MASK = 16, TAG_OTHER = 32 };

static int acl_tag(int tag)
{
	switch (tag) {
	case ARCHIVE_ENTRY_ACL_USER_OBJ:
		return TAG_USER_OBJ;
	case ARCHIVE_ENTRY_ACL_USER:
		return TAG_USER;
	case ARCHIVE_ENTRY_ACL_GROUP_OBJ:
		return TAG_GROUP_OBJ;
	case ARCHIVE_ENTRY_ACL_GROUP:
		return TAG_GROUP;
	case ARCHIVE_ENTRY_ACL_MASK:
		return TAG_MASK;
	case ARCHIVE_ENTRY_ACL_OTHER:
		return TAG_OTHER;
	}
	return 0;
}

/* The id of a user or group entry: GNU tar writes it where the name belongs. */
static bool acl_id(int id, const char *name, uint32_t *out)
{
	uint64_t n;

	if (id >= 0) {
		*out = (uint32_t)id;
		return true;
	}
	if (!name || lxm_parse_u64(name, &n) < 0 || n >= UINT32_MAX)
		return false;
	*out = (uint32_t)n;
	return true;
}

static int by_tag(const void *a, const void *b)
{
	const struct acl_entry *x = a, *y = b;

	if (x->tag != y->tag)
		return le16toh(x->tag) < le16toh(y->tag) ? -1 : 1;
	return le32toh(x->id) < le32toh(y->id) ? -1 : x->id != y->id;
}

uint32_t entry_id(const struct unpack_volume *v, bool gid, uint32_t id)
{
	size_t k;

	if (!v || !v->n_ids)
		return id;
	for (k = 0; k < v->n_ids; k++) {
		const struct unpack_ids *m = &v->ids[k];

		if ((gid ? m->gids : m->uids) && id >= m->host && id - m->host < m->n)
			return m->ns + (id - m->host);
	}
	return OVERFLOW_ID;
}

static int acl_apply(int fd, struct archive_entry *ae, const struct unpack_volume *v, int want, const char *xattr, struct lxm_err *e)
{
	lxm_auto(free) struct acl_xattr *x = NULL;
	int type, perm, tag, qual;
	const char *name;
	size_t n = 0;

	if (la.archive_entry_acl_reset(ae, want) <= (want == ARCHIVE_ENTRY_ACL_TYPE_ACCESS ? 3 : 0))
		return 0;
	x = malloc(sizeof(*x));
	if (!x)
		return lxm_err_set(e, ENOMEM, "out of memory");
	x->version = htole32(2);
	while (la.archive_entry_acl_next(ae, want, &type, &perm, &tag, &qual, &name) == ARCHIVE_OK) {
		uint32_t id = UINT32_MAX;
		int t = acl_tag(tag);

		if (!t || ((t == TAG_USER || t == TAG_GROUP) && !acl_id(qual, name, &id)))
			continue;
		if (n == ACL_ENTRIES_MAX)
			return lxm_err_set(e, EINVAL, "too many ACL entries");
		if (t == TAG_USER || t == TAG_GROUP)
			id = entry_id(v, t == TAG_GROUP, id);
		x->v[n].tag = htole16((uint16_t)t);
		x->v[n].perm = htole16((uint16_t)(perm & 7));
		x->v[n++].id = htole32(id);
	}
	qsort(x->v, n, sizeof(x->v[0]), by_tag);
	if (fsetxattr(fd, xattr, x, 4 + n * sizeof(x->v[0]), 0) < 0 && errno != EOPNOTSUPP)
		return lxm_err_sys(e, "set the ACL");
	return 0;
}

/*
 * File capabilities of a shifted tree name the host's id of the instance's root (version 3): that root is 0 here, which version 2 means.
 * Returns the length to write.
 */
static size_t caps_translate(const struct unpack_volume *v, unsigned char caps[24], const void *value, size_t len)
{
	uint32_t root, magic;

	memcpy(caps, value, len);
	if (len != 24)
		return len;
	memcpy(&magic, caps, 4);
	memcpy(&root, caps + 20, 4);
	root = htole32(entry_id(v, false, le32toh(root)));
	memcpy(caps + 20, &root, 4);
	if (root)
		return len;
	magic = htole32((le32toh(magic) & 0x00ffffff) | 0x02000000);
	memcpy(caps, &magic, 4);
	return 20;
}

static int xattrs_apply(int fd, struct archive_entry *ae, const struct unpack_volume *v, struct lxm_err *e)
{
	unsigned char own[24];
	const char *name;
	const void *value;
	size_t len;
	bool caps;

	la.archive_entry_xattr_reset(ae);
	while (la.archive_entry_xattr_next(ae, &name, &value, &len) == ARCHIVE_OK) {
		caps = name && strcmp(name, "security.capability") == 0;
		if (!name || (!caps && (!lxm_starts(name, "user.") || lxm_starts(name, "user.overlay."))))
			continue;
		if (strlen(name) > 255 || len > XATTR_VALUE_MAX || (caps && len != 20 && len != 24))
			return lxm_err_set(e, EINVAL, "impossible xattr '%.100s'", name);
		if (caps && v && v->n_ids) {
			len = caps_translate(v, own, value, len);
			value = own;
		}
		if (fsetxattr(fd, name, value, len, 0) < 0 && (caps || errno != EOPNOTSUPP))
			return lxm_err_sys(e, "set xattr '%.100s'", name);
	}
	return 0;
}

int entry_attrs_apply(int fd, struct archive_entry *ae, const struct unpack_volume *v, bool times, struct lxm_err *e)
{
	struct timespec ts[2] = { { .tv_nsec = UTIME_OMIT }, { .tv_nsec = UTIME_OMIT } };
	int r;

	/* in this order: a change of owner takes setuid bits and capabilities away */
	if (fchown(fd, (uid_t)la.archive_entry_uid(ae), (gid_t)la.archive_entry_gid(ae)) < 0)
		return lxm_err_sys(e, "set the owner");
	if (fchmod(fd, la.archive_entry_perm(ae) & 07777) < 0)
		return lxm_err_sys(e, "set the mode");
	r = acl_apply(fd, ae, v, ARCHIVE_ENTRY_ACL_TYPE_ACCESS, "system.posix_acl_access", e);
	if (r == 0 && la.archive_entry_filetype(ae) == AE_IFDIR)
		r = acl_apply(fd, ae, v, ARCHIVE_ENTRY_ACL_TYPE_DEFAULT, "system.posix_acl_default", e);
	if (r == 0)
		r = xattrs_apply(fd, ae, v, e);
	if (r < 0 || !times)
		return r;
	ts[1].tv_sec = la.archive_entry_mtime(ae);
	ts[1].tv_nsec = la.archive_entry_mtime_nsec(ae);
	if (ts[1].tv_nsec < 0 || ts[1].tv_nsec > 999999999)
		ts[1].tv_nsec = 0;
	if (futimens(fd, ts) < 0)
		return lxm_err_sys(e, "set the time");
	return 0;
}
