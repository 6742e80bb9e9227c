/*
 * Records of fields, written and read by tables. Runs in lxmd, the monitor and the helper, in any thread. The writer is
 * lxmd and the reader trusts it no further than the layout: every length is checked before it is used, so that a
 * damaged document ends in -EBADMSG and never in a wild pointer. Reading takes no memory.
 */
#include "lib/wire/wire.h"

#include <assert.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/base/fd.h"

#define HEADER WIRE_HEADER
#define PAD(n) (((n) + 7u) & ~(size_t)7u)

static uint32_t get_u32(const unsigned char *p)
{
	uint32_t v;

	memcpy(&v, p, sizeof(v));
	return v;
}

static void put_u32(struct lxm_buf *b, uint32_t v)
{
	lxm_buf_add(b, &v, sizeof(v));
}

static uint32_t field_max(const struct wire_field *f)
{
	return f->max ? f->max : WIRE_STR_MAX;
}

static const struct wire_kind *kind_get(const struct wire_format *f, uint32_t kind)
{
	return kind < f->nkinds && f->kinds[kind].name ? &f->kinds[kind] : NULL;
}

/* One field of the C struct at `base`, appended. -EINVAL if it is over its bound. */
static int put_field(struct lxm_buf *b, const struct wire_field *f, const unsigned char *base)
{
	struct wire_bytes bytes;
	const char *s;
	size_t n;

	switch (f->type) {
	case WIRE_U32:
	case WIRE_I32:
		lxm_buf_add(b, base + f->off, 4);
		return 0;
	case WIRE_U64:
		lxm_buf_add(b, base + f->off, 8);
		return 0;
	case WIRE_STR:
		memcpy(&s, base + f->off, sizeof(s));
		s = s ? s : "";
		n = strlen(s) + 1;
		if (n > field_max(f))
			return -EINVAL;
		put_u32(b, (uint32_t)n);
		lxm_buf_add(b, s, n);
		return 0;
	default:
		memcpy(&bytes, base + f->off, sizeof(bytes));
		if (bytes.len > field_max(f))
			return -EINVAL;
		put_u32(b, (uint32_t)bytes.len);
		if (bytes.len)
			lxm_buf_add(b, bytes.data, bytes.len);
		return 0;
	}
}

int wire_put(struct lxm_buf *b, const struct wire_format *f, uint32_t kind, const void *fields, struct lxm_err *e)
{
	static const unsigned char zero[8];
	const struct wire_kind *k = kind_get(f, kind);
	size_t start = b->len;
	uint32_t len;
	size_t i;

	if (!k)
		return lxm_err_set(e, EINVAL, "record of unknown kind %u", kind);
	put_u32(b, kind);
	put_u32(b, 0);
	for (i = 0; i < WIRE_FIELDS && k->fields[i].type; i++)
		if (put_field(b, &k->fields[i], fields) < 0) {
			b->len = start;
			return lxm_err_set(e, EINVAL, "field %zu of '%s' is longer than %u bytes", i + 1, k->name,
					   field_max(&k->fields[i]));
		}
	len = (uint32_t)(b->len - start - 8);
	memcpy(b->data + start + 4, &len, sizeof(len));
	lxm_buf_add(b, zero, PAD(b->len) - b->len);
	return 0;
}

void wire_header(unsigned char out[16], const struct wire_format *f, uint32_t records, size_t len)
{
	uint32_t h[4] = { f->magic, f->version, (uint32_t)(len + HEADER), records };

	memcpy(out, h, sizeof(h));
}

/* Takes one field from *p, which has *left bytes; stores it into `base`, or checks all of it where that is NULL. */
static int get_field(const struct wire_field *f, const unsigned char **p, size_t *left, unsigned char *base)
{
	size_t n = f->type == WIRE_U64 ? 8 : 4;
	struct wire_bytes bytes;
	const char *s;

	if (*left < n)
		return -EBADMSG;
	if (f->type != WIRE_STR && f->type != WIRE_BYTES) {
		if (base)
			memcpy(base + f->off, *p, n);
		*p += n;
		*left -= n;
		return 0;
	}
	n = get_u32(*p);
	*p += 4;
	*left -= 4;
	if (n > *left || n > field_max(f))
		return -EBADMSG;
	if (f->type == WIRE_STR) {
		/* exactly one NUL, at the end; one before it was looked for when the document was checked */
		if (n == 0 || (*p)[n - 1] != 0 || (!base && memchr(*p, 0, n) != *p + n - 1))
			return -EBADMSG;
		s = (const char *)*p;
		if (base)
			memcpy(base + f->off, &s, sizeof(s));
	} else {
		bytes.data = *p;
		bytes.len = n;
		if (base)
			memcpy(base + f->off, &bytes, sizeof(bytes));
	}
	*p += n;
	*left -= n;
	return 0;
}

static int get_fields(const struct wire_kind *k, const unsigned char *p, size_t left, unsigned char *base)
{
	size_t i;

	for (i = 0; i < WIRE_FIELDS && k->fields[i].type; i++)
		if (get_field(&k->fields[i], &p, &left, base) < 0)
			return -EBADMSG;
	return left ? -EBADMSG : 0;
}

/* Checks the record at `off` and returns its padded length, or -EBADMSG. */
static ssize_t check_record(const struct wire_format *f, const unsigned char *data, size_t off, size_t len, uint32_t *kind,
			    struct lxm_err *e)
{
	const struct wire_kind *k;
	size_t n, i;

	if (len - off < 8)
		return lxm_err_set(e, EBADMSG, "record at %zu is cut", off);
	*kind = get_u32(data + off);
	n = get_u32(data + off + 4);
	k = kind_get(f, *kind);
	if (!k)
		return lxm_err_set(e, EBADMSG, "record at %zu has unknown kind %u", off, *kind);
	if (n > len - off - 8 || PAD(n) > len - off - 8)
		return lxm_err_set(e, EBADMSG, "'%s' at %zu is longer than the document", k->name, off);
	for (i = n; i < PAD(n); i++)
		if (data[off + 8 + i])
			return lxm_err_set(e, EBADMSG, "'%s' at %zu has bytes behind its end", k->name, off);
	if (get_fields(k, data + off + 8, n, NULL) < 0)
		return lxm_err_set(e, EBADMSG, "'%s' at %zu is malformed", k->name, off);
	return (ssize_t)(8 + PAD(n));
}

/* Counts of one kind are known once the next kind begins, because kinds never descend. */
static int check_count(const struct wire_format *f, uint32_t from, uint32_t to, uint32_t count, struct lxm_err *e)
{
	const struct wire_kind *k = kind_get(f, from);
	uint32_t i;

	if (k && k->max && count > k->max)
		return lxm_err_set(e, EBADMSG, "more than %u of '%s'", k->max, k->name);
	if (k && count < k->min)
		return lxm_err_set(e, EBADMSG, "fewer than %u of '%s'", k->min, k->name);
	for (i = from + 1; i < to; i++) {
		k = kind_get(f, i);
		if (k && k->min)
			return lxm_err_set(e, EBADMSG, "no '%s'", k->name);
	}
	return 0;
}

int wire_check(const struct wire_format *f, const void *bytes, size_t len, struct wire_doc *doc_out, struct lxm_err *e)
{
	const unsigned char *data = bytes;
	uint32_t kind = 0, last = 0, count = 0, n = 0, records;
	size_t off = HEADER;
	ssize_t r;

	if (len < HEADER || len > f->max_len)
		return lxm_err_set(e, EBADMSG, "document of %zu bytes", len);
	if (get_u32(data) != f->magic || get_u32(data + 4) != f->version)
		return lxm_err_set(e, EBADMSG, "document of another format or version");
	if (get_u32(data + 8) != len)
		return lxm_err_set(e, EBADMSG, "document is cut");
	records = get_u32(data + 12);
	for (; off < len; off += (size_t)r, n++) {
		r = check_record(f, data, off, len, &kind, e);
		if (r < 0)
			return (int)r;
		if (kind < last)
			return lxm_err_set(e, EBADMSG, "'%s' out of order", f->kinds[kind].name);
		if (kind > last) {
			if (check_count(f, last, kind, count, e) < 0)
				return -EBADMSG;
			last = kind;
			count = 0;
		}
		count++;
	}
	if (n != records)
		return lxm_err_set(e, EBADMSG, "document has %u records and says %u", n, records);
	if (check_count(f, last, f->nkinds, count, e) < 0)
		return -EBADMSG;
	*doc_out = (struct wire_doc){ f, data, len, records };
	return 0;
}

int wire_next(const struct wire_doc *doc, size_t *pos, uint32_t *kind, void *fields)
{
	size_t off = *pos ? *pos : HEADER, n;
	int r;

	if (off >= doc->len)
		return 0;
	*kind = get_u32(doc->data + off);
	n = get_u32(doc->data + off + 4);
	r = get_fields(&doc->format->kinds[*kind], doc->data + off + 8, n, fields);
	assert(r == 0); /* wire_check() saw this record */
	(void)r;
	*pos = off + 8 + PAD(n);
	return 1;
}

uint32_t wire_kind_at(const struct wire_doc *doc, size_t pos)
{
	return pos < doc->len ? get_u32(doc->data + pos) : 0;
}

int wire_decode(const struct wire_format *f, const void *data, size_t len, void *out, size_t size, struct lxm_err *e)
{
	struct wire_doc doc;
	uint32_t kind;
	size_t pos = 0;

	memset(out, 0, size);
	if (wire_check(f, data, len, &doc, e) < 0)
		return -EBADMSG;
	while (wire_next(&doc, &pos, &kind, out))
		;
	return 0;
}

/* ---- as memory files */

int wire_seal(const struct lxm_buf *b, const char *what, int *fd_out, struct lxm_err *e)
{
	int fd = lxm_memfd_sealed("lxm-wire", b->data, b->len);

	if (fd < 0)
		return lxm_err_set(e, -fd, "memory for %s: %s", what, strerror(-fd));
	*fd_out = fd;
	return 0;
}

/* Without the seals the file could change between check and use, or shrink below a mapping. */
static int check_seals(int fd, const char *what, struct lxm_err *e)
{
	const int want = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE;
	int seals = fcntl(fd, F_GET_SEALS);

	return seals < 0 || (seals & want) != want ? lxm_err_set(e, EBADMSG, "the %s is not a sealed memory file", what) : 0;
}

ssize_t wire_read(int fd, void *buf, size_t max, const char *what, struct lxm_err *e)
{
	ssize_t n;

	if (check_seals(fd, what, e) < 0)
		return -EBADMSG;
	n = pread(fd, buf, max, 0);
	return n < 0 ? lxm_err_sys(e, "read the %s", what) : n;
}

int wire_map(int fd, size_t max, const char *what, struct wire_mapping *out, struct lxm_err *e)
{
	struct stat st;
	void *map;

	*out = (struct wire_mapping){ 0 };
	if (check_seals(fd, what, e) < 0)
		return -EBADMSG;
	if (fstat(fd, &st) < 0)
		return lxm_err_sys(e, "look at the %s", what);
	if (st.st_size < 16 || st.st_size > (off_t)max)
		return lxm_err_set(e, EBADMSG, "%s of %lld bytes", what, (long long)st.st_size);
	map = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_SHARED, fd, 0);
	if (map == MAP_FAILED)
		return lxm_err_sys(e, "map the %s", what);
	*out = (struct wire_mapping){ map, (size_t)st.st_size };
	return 0;
}

int wire_keep(struct wire_mapping *m, int r, struct wire_mapping *keep)
{
	if (r < 0)
		wire_unmap(m);
	else
		*keep = *m;
	return r;
}

void wire_unmap(struct wire_mapping *m)
{
	if (m->data)
		(void)munmap((void *)m->data, m->len);
	*m = (struct wire_mapping){ 0 };
}
