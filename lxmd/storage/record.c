/*
 * Records of a volume's stream. Any thread; nothing here touches a file. Everything that is decoded came from another host and is
 * checked before it is used; unknown types and kinds are refused, for the two sides agree on the version before.
 */
#include "lxmd/storage/record.h"

#include <endian.h>
#include <string.h>

#include "lib/base/hash.h"

#define FIXED 60 /* bytes of an entry before its name */

static uint32_t get32(const unsigned char *p)
{
	uint32_t v;

	memcpy(&v, p, sizeof(v));
	return le32toh(v);
}

static void put32(unsigned char *p, uint32_t v)
{
	v = htole32(v);
	memcpy(p, &v, sizeof(v));
}

uint64_t record_u64(const void *p)
{
	uint64_t v;

	memcpy(&v, p, sizeof(v));
	return le64toh(v);
}

void record_put_u64(void *p, uint64_t v)
{
	v = htole64(v);
	memcpy(p, &v, sizeof(v));
}

void record_head(unsigned char out[RECORD_HEAD], enum record_type type, uint32_t len)
{
	memset(out, 0, RECORD_HEAD);
	out[0] = (unsigned char)type;
	put32(out + 4, len);
}

static int bad(struct lxm_err *e, const char *what)
{
	return lxm_err_set(e, EBADMSG, "damaged stream: %s", what);
}

int record_head_read(const unsigned char in[RECORD_HEAD], enum record_type *type, uint32_t *len, struct lxm_err *e)
{
	uint32_t n = get32(in + 4);
	bool ok = false;

	switch (in[0]) {
	case RECORD_ENTRY:
	case RECORD_UP:
		ok = n >= FIXED && n <= RECORD_ENTRY_MAX;
		break;
	case RECORD_DATA:
		ok = n > RECORD_DATA_HEAD && n <= RECORD_DATA_HEAD + RECORD_DATA_MAX;
		break;
	case RECORD_END:
		ok = n == 24;
		break;
	case RECORD_FAILED:
		ok = n <= 500;
		break;
	case RECORD_HAVE:
		ok = n % 8 == 0 && n <= RECORD_HAVE_MAX * 8;
		break;
	}
	if (!ok || in[1] || in[2] || in[3])
		return bad(e, "no record where one should begin");
	*type = (enum record_type)in[0];
	*len = n;
	return 0;
}

static void add(struct lxm_buf *b, const void *data, uint32_t len)
{
	if (len)
		lxm_buf_add(b, data, len);
}

int record_entry_put(struct lxm_buf *b, enum record_type type, const struct record_entry *en, struct lxm_err *e)
{
	uint64_t len = (uint64_t)FIXED + en->name_len + en->target_len + en->xattrs_len;
	unsigned char fixed[RECORD_HEAD + FIXED] = { 0 }, *p = fixed + RECORD_HEAD;

	if (len > RECORD_ENTRY_MAX || en->n_xattrs > RECORD_XATTRS_MAX)
		return lxm_err_set(e, E2BIG, "it has more xattrs than can be sent");
	record_head(fixed, type, (uint32_t)len);
	p[0] = en->kind;
	p[1] = en->flags;
	put32(p + 4, en->mode);
	put32(p + 8, en->uid);
	put32(p + 12, en->gid);
	put32(p + 16, en->major);
	put32(p + 20, en->minor);
	record_put_u64(p + 24, (uint64_t)en->mtime);
	put32(p + 32, en->mtime_ns);
	put32(p + 36, en->link);
	record_put_u64(p + 40, en->size);
	put32(p + 48, en->name_len);
	put32(p + 52, en->target_len);
	put32(p + 56, en->n_xattrs);
	lxm_buf_add(b, fixed, sizeof(fixed));
	add(b, en->name, en->name_len);
	add(b, en->target, en->target_len);
	add(b, en->xattrs, en->xattrs_len);
	return 0;
}

static int check_name(const struct record_entry *en, struct lxm_err *e)
{
	const char *n = en->name;
	uint32_t len = en->name_len;

	if (len == 0 || len > 255 || memchr(n, 0, len) || memchr(n, '/', len) || (n[0] == '.' && (len == 1 || (len == 2 && n[1] == '.'))))
		return bad(e, "a file with an impossible name");
	return 0;
}

static int check_xattrs(const struct record_entry *en, struct lxm_err *e)
{
	const unsigned char *p = en->xattrs, *end = p + en->xattrs_len;
	uint32_t i, name, value;

	if (en->n_xattrs > RECORD_XATTRS_MAX)
		return bad(e, "too many xattrs");
	for (i = 0; i < en->n_xattrs; i++) {
		if (end - p < 8)
			return bad(e, "an xattr that is cut off");
		name = get32(p);
		value = get32(p + 4);
		p += 8;
		if (name == 0 || name > 255 || value > 65536 || (uint64_t)name + value > (uint64_t)(end - p) || memchr(p, 0, name))
			return bad(e, "an impossible xattr");
		p += name + value;
	}
	return p == end ? 0 : bad(e, "bytes behind an entry");
}

int record_entry_read(enum record_type type, const void *body, uint32_t len, struct record_entry *out, struct lxm_err *e)
{
	const unsigned char *p = body;
	uint32_t left;

	memset(out, 0, sizeof(*out));
	if (len < FIXED)
		return bad(e, "a short entry");
	left = len - FIXED;
	out->kind = p[0];
	out->flags = p[1];
	out->mode = get32(p + 4);
	out->uid = get32(p + 8);
	out->gid = get32(p + 12);
	out->major = get32(p + 16);
	out->minor = get32(p + 20);
	out->mtime = (int64_t)record_u64(p + 24);
	out->mtime_ns = get32(p + 32);
	out->link = get32(p + 36);
	out->size = record_u64(p + 40);
	out->name_len = get32(p + 48);
	out->target_len = get32(p + 52);
	out->n_xattrs = get32(p + 56);
	if (out->name_len > left || out->target_len > left - out->name_len)
		return bad(e, "a name longer than its entry");
	out->name = (const char *)p + FIXED;
	out->target = out->name + out->name_len;
	out->xattrs = (const unsigned char *)out->target + out->target_len;
	out->xattrs_len = left - out->name_len - out->target_len;
	if (p[2] || p[3] || out->kind < KIND_DIR || out->kind > KIND_LINK || (out->flags & ~(ENTRY_LINKED | ENTRY_SAME)))
		return bad(e, "an entry of an unknown kind");
	if ((out->mode & ~07777u) || out->uid == UINT32_MAX || out->gid == UINT32_MAX || out->mtime_ns > 999999999 ||
	    out->size > INT64_MAX || out->major > 0xfff || out->minor > 0xfffff)
		return bad(e, "an entry with impossible attributes");
	if ((out->flags && (out->kind == KIND_DIR || out->kind == KIND_LINK)) || ((out->flags & ENTRY_SAME) && out->kind != KIND_FILE) ||
	    (out->kind != KIND_FILE && out->size))
		return bad(e, "an entry with flags that do not fit");
	if ((out->kind == KIND_SYMLINK) != (out->target_len > 0) || out->target_len > 4095 || memchr(out->target, 0, out->target_len))
		return bad(e, "a link with an impossible target");
	if (type == RECORD_UP && (out->kind != KIND_DIR || out->name_len))
		return bad(e, "the end of something that is no directory");
	if (type != RECORD_UP && check_name(out, e) < 0)
		return -EBADMSG;
	return check_xattrs(out, e);
}

bool record_xattr_next(const struct record_entry *en, uint32_t *pos, struct record_xattr *out)
{
	const unsigned char *p = en->xattrs + *pos;
	uint32_t name;

	if (*pos >= en->xattrs_len)
		return false;
	name = get32(p);
	memcpy(out->name, p + 8, name);
	out->name[name] = 0;
	out->len = get32(p + 4);
	out->value = p + 8 + name;
	*pos += 8 + name + out->len;
	return true;
}

void record_xattr_put(struct lxm_buf *b, const char *name, const void *value, size_t len)
{
	unsigned char head[8];
	size_t n = strlen(name);

	put32(head, (uint32_t)n);
	put32(head + 4, (uint32_t)len);
	lxm_buf_add(b, head, sizeof(head));
	lxm_buf_add(b, name, n);
	if (len)
		lxm_buf_add(b, value, len);
}

bool record_xattr_travels(const char *name, bool layer)
{
	if (lxm_starts(name, "trusted.overlay."))
		return layer && (strcmp(name + 16, "opaque") == 0 || strcmp(name + 16, "redirect") == 0 || strcmp(name + 16, "metacopy") == 0 ||
				 strcmp(name + 16, "whiteout") == 0);
	return lxm_starts(name, "user.") || lxm_starts(name, "trusted.") || strcmp(name, "security.capability") == 0 ||
	       strcmp(name, "system.posix_acl_access") == 0 || strcmp(name, "system.posix_acl_default") == 0;
}

uint64_t record_file_hash(const char *path, uint64_t size, int64_t mtime, uint32_t mtime_ns)
{
	unsigned char tail[20];
	struct lxm_hash h;

	record_put_u64(tail, size);
	record_put_u64(tail + 8, (uint64_t)mtime);
	put32(tail + 16, mtime_ns);
	lxm_hash_init(&h, 0);
	lxm_hash_add(&h, path, strlen(path) + 1);
	lxm_hash_add(&h, tail, sizeof(tail));
	return lxm_hash_value(&h);
}
