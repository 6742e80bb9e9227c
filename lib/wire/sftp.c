/*
 * SFTP packets, see sftp.h. The server's side runs in lxm-helper and reads what any client of the API sends, the client's side in lxmc
 * and reads what a container may have had a hand in: every length is checked against what is there before it is used.
 */
#include "lib/wire/sftp.h"

#include <errno.h>
#include <string.h>
#include <time.h>

/* ---- reading */

static const unsigned char *take(struct sftp_in *in, size_t n)
{
	const unsigned char *p = in->p;

	if (in->bad || (size_t)(in->end - in->p) < n) {
		in->bad = true;
		return NULL;
	}
	in->p += n;
	return p;
}

uint8_t sftp_get_u8(struct sftp_in *in)
{
	const unsigned char *p = take(in, 1);

	return p ? *p : 0;
}

uint32_t sftp_get_u32(struct sftp_in *in)
{
	const unsigned char *p = take(in, 4);

	return p ? (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3] : 0;
}

uint64_t sftp_get_u64(struct sftp_in *in)
{
	uint64_t high = sftp_get_u32(in);

	return high << 32 | sftp_get_u32(in);
}

struct sftp_bytes sftp_get_bytes(struct sftp_in *in)
{
	uint32_t len = sftp_get_u32(in);
	const unsigned char *p = take(in, len);

	return p ? (struct sftp_bytes){ (const char *)p, len } : (struct sftp_bytes){ "", 0 };
}

struct sftp_attrs sftp_get_attrs(struct sftp_in *in)
{
	struct sftp_attrs a = { .flags = sftp_get_u32(in) };

	if (a.flags & SFTP_A_SIZE)
		a.size = sftp_get_u64(in);
	if (a.flags & SFTP_A_IDS) {
		a.uid = sftp_get_u32(in);
		a.gid = sftp_get_u32(in);
	}
	if (a.flags & SFTP_A_MODE)
		a.mode = sftp_get_u32(in);
	if (a.flags & SFTP_A_TIMES) {
		a.atime = sftp_get_u32(in);
		a.mtime = sftp_get_u32(in);
	}
	if (a.flags & 0x80000000u) {
		uint32_t n = sftp_get_u32(in);

		while (n-- && !in->bad) {
			(void)sftp_get_bytes(in);
			(void)sftp_get_bytes(in);
		}
	}
	a.flags &= 15;
	return a;
}

/* What follows the id, one letter each: p path or handle, s second, a attributes, o offset, l length, f flags. */
static const char *const shapes[] = {
	[SFTP_OPEN] = "pfa",	[SFTP_CLOSE] = "p",    [SFTP_READ] = "pol",   [SFTP_WRITE] = "pos",  [SFTP_LSTAT] = "p",
	[SFTP_FSTAT] = "p",	[SFTP_SETSTAT] = "pa", [SFTP_FSETSTAT] = "pa", [SFTP_OPENDIR] = "p",  [SFTP_READDIR] = "p",
	[SFTP_REMOVE] = "p",	[SFTP_MKDIR] = "pa",   [SFTP_RMDIR] = "p",    [SFTP_REALPATH] = "p", [SFTP_STAT] = "p",
	[SFTP_RENAME] = "ps",	[SFTP_READLINK] = "p", [SFTP_SYMLINK] = "ps",
};

static const struct {
	const char *name, *shape;
} extensions[] = {
	{ "posix-rename@openssh.com", "ps" }, { "hardlink@openssh.com", "ps" }, { "statvfs@openssh.com", "p" },
	{ "fstatvfs@openssh.com", "p" },      { "fsync@openssh.com", "p" },     { "lsetstat@openssh.com", "pa" },
};

static const char *extension_shape(struct sftp_bytes name)
{
	size_t i;

	for (i = 0; i < LXM_ARRAY_LEN(extensions); i++)
		if (strlen(extensions[i].name) == name.len && memcmp(extensions[i].name, name.p, name.len) == 0)
			return extensions[i].shape;
	return NULL;
}

int sftp_request_parse(const void *data, size_t len, struct sftp_request *out)
{
	struct sftp_in in = { data, (const unsigned char *)data + len, false };
	const char *shape = NULL;

	memset(out, 0, sizeof(*out));
	out->type = sftp_get_u8(&in);
	out->id = sftp_get_u32(&in);
	if (in.bad)
		return -EBADMSG;
	if (out->type == SFTP_INIT)
		return 0;
	if (out->type == SFTP_EXTENDED) {
		out->name = sftp_get_bytes(&in);
		shape = extension_shape(out->name);
	} else if (out->type < LXM_ARRAY_LEN(shapes)) {
		shape = shapes[out->type];
	}
	if (!shape)
		return in.bad ? -EBADMSG : -EOPNOTSUPP;
	for (; *shape; shape++) {
		switch (*shape) {
		case 'p':
			out->path = sftp_get_bytes(&in);
			break;
		case 's':
			out->second = sftp_get_bytes(&in);
			break;
		case 'a':
			out->attrs = sftp_get_attrs(&in);
			break;
		case 'o':
			out->offset = sftp_get_u64(&in);
			break;
		case 'l':
			out->len = sftp_get_u32(&in);
			break;
		default:
			out->flags = sftp_get_u32(&in);
			break;
		}
	}
	return in.bad ? -EBADMSG : 0;
}

/* ---- writing */

void sftp_put_u8(struct lxm_buf *b, uint8_t v)
{
	lxm_buf_add(b, &v, 1);
}

static void fill_u32(unsigned char *p, uint32_t v)
{
	p[0] = (unsigned char)(v >> 24);
	p[1] = (unsigned char)(v >> 16);
	p[2] = (unsigned char)(v >> 8);
	p[3] = (unsigned char)v;
}

void sftp_put_u32(struct lxm_buf *b, uint32_t v)
{
	unsigned char p[4];

	fill_u32(p, v);
	lxm_buf_add(b, p, 4);
}

void sftp_put_u64(struct lxm_buf *b, uint64_t v)
{
	sftp_put_u32(b, (uint32_t)(v >> 32));
	sftp_put_u32(b, (uint32_t)v);
}

void sftp_put_bytes(struct lxm_buf *b, const void *data, size_t len)
{
	sftp_put_u32(b, (uint32_t)len);
	lxm_buf_add(b, data, len);
}

void sftp_put_str(struct lxm_buf *b, const char *s)
{
	sftp_put_bytes(b, s, strlen(s));
}

void sftp_put_attrs(struct lxm_buf *b, const struct sftp_attrs *a)
{
	sftp_put_u32(b, a->flags);
	if (a->flags & SFTP_A_SIZE)
		sftp_put_u64(b, a->size);
	if (a->flags & SFTP_A_IDS) {
		sftp_put_u32(b, a->uid);
		sftp_put_u32(b, a->gid);
	}
	if (a->flags & SFTP_A_MODE)
		sftp_put_u32(b, a->mode);
	if (a->flags & SFTP_A_TIMES) {
		sftp_put_u32(b, a->atime);
		sftp_put_u32(b, a->mtime);
	}
}

size_t sftp_begin(struct lxm_buf *b, uint8_t type, uint32_t id)
{
	size_t at = b->len;

	sftp_put_u32(b, 0);
	sftp_put_u8(b, type);
	sftp_put_u32(b, id);
	return at;
}

void sftp_end(struct lxm_buf *b, size_t at)
{
	fill_u32((unsigned char *)b->data + at, (uint32_t)(b->len - at - 4));
}

/* ---- meaning */

struct sftp_attrs sftp_attrs_of(const struct stat *st)
{
	return (struct sftp_attrs){
		.flags = SFTP_A_SIZE | SFTP_A_IDS | SFTP_A_MODE | SFTP_A_TIMES,
		.size = (uint64_t)st->st_size,
		.uid = st->st_uid,
		.gid = st->st_gid,
		.mode = st->st_mode,
		.atime = (uint32_t)st->st_atim.tv_sec,
		.mtime = (uint32_t)st->st_mtim.tv_sec,
	};
}

uint32_t sftp_status_of(int code)
{
	switch (code) {
	case 0:
		return SFTP_OK;
	case ENOENT:
	case ENOTDIR:
		return SFTP_NO_SUCH_FILE;
	case EACCES:
	case EPERM:
	case EROFS:
		return SFTP_PERMISSION_DENIED;
	case EBADMSG:
		return SFTP_BAD_MESSAGE;
	case EOPNOTSUPP:
	case ENOSYS:
		return SFTP_UNSUPPORTED;
	default:
		return SFTP_FAILURE;
	}
}

int sftp_errno_of(uint32_t status)
{
	switch (status) {
	case SFTP_NO_SUCH_FILE:
		return ENOENT;
	case SFTP_PERMISSION_DENIED:
		return EACCES;
	case SFTP_BAD_MESSAGE:
		return EBADMSG;
	case SFTP_UNSUPPORTED:
		return EOPNOTSUPP;
	default:
		return EIO;
	}
}

void sftp_longname(const char *name, const struct stat *st, char out[400])
{
	static const char kinds[16] = "?pc?d?b?-?l?s???";
	char when[32] = "?", mode[] = "?rwxrwxrwx";
	time_t t = st->st_mtim.tv_sec;
	struct tm tm;
	int i;

	mode[0] = kinds[st->st_mode >> 12 & 15];
	for (i = 0; i < 9; i++)
		if (!(st->st_mode >> (8 - i) & 1))
			mode[1 + i] = '-';
	if (gmtime_r(&t, &tm))
		(void)strftime(when, sizeof(when), "%b %e  %Y", &tm);
	snprintf(out, 400, "%s %4lu %-8u %-8u %8lld %s %.255s", mode, (unsigned long)st->st_nlink, st->st_uid, st->st_gid, (long long)st->st_size,
		 when, name);
}
