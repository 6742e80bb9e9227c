/* The flat encoding under plan, exec job and monitor message: records of fields, described by tables. */
#ifndef LXM_WIRE_WIRE_H
#define LXM_WIRE_WIRE_H

#include <stddef.h>
#include <stdint.h>

#include "lib/base/err.h"
#include "lib/base/str.h"

/*
 * A document is a header and records, each padded to 8 bytes:
 *
 *	header   magic u32, version u32, length of the whole u32, number of records u32
 *	record   kind u32, length of the fields u32, fields
 *	field    u32/i32: 4 bytes; u64: 8 bytes; string: length with NUL u32, bytes; bytes: length u32, bytes
 *
 * All in host byte order: writer and reader are one build on one machine. Decoding checks every length, that strings
 * end at their first NUL, that padding is zero and that nothing is left over; decoded strings and bytes point into
 * the document.
 */

enum wire_type { WIRE_U32 = 1, WIRE_I32, WIRE_U64, WIRE_STR, WIRE_BYTES };

/* A piece of memory inside a struct that is encoded; decoded ones are borrowed from the document. */
struct wire_bytes {
	const void *data;
	size_t len;
};

/* Where a field lies in its C struct: `const char *` for WIRE_STR (NULL is sent as ""), struct wire_bytes for WIRE_BYTES. */
struct wire_field {
	uint8_t type;
	uint16_t off;
	uint32_t max; /* largest string or bytes, 0: WIRE_STR_MAX */
};

#define WIRE_HEADER  16u /* bytes */
#define WIRE_STR_MAX 4096u
#define WIRE_FIELDS  12 /* most fields in one record */

/* One kind of record. A table of these, indexed by kind, describes a document. */
struct wire_kind {
	const char *name;			/* for messages; NULL: there is no such kind */
	uint32_t min, max;			/* how many a document must and may hold; max 0: any number */
	struct wire_field fields[WIRE_FIELDS];	/* ends at type 0 */
};

/* What a document is: its magic and version, its kinds, and its largest size. */
struct wire_format {
	uint32_t magic, version, max_len;
	const struct wire_kind *kinds;
	uint32_t nkinds;
};

/* An encoded document in memory, borrowed: checked by wire_check(), then read record by record. */
struct wire_doc {
	const struct wire_format *format;
	const unsigned char *data;
	size_t len;
	uint32_t records;
};

/** Append one record to b (which holds records only, no header). `fields` is the C struct of that kind. -EINVAL if a field is over its bound. */
int wire_put(struct lxm_buf *b, const struct wire_format *f, uint32_t kind, const void *fields, struct lxm_err *e);

/** Fill a document header in front of `records` records of `len` bytes in all. */
void wire_header(unsigned char out[16], const struct wire_format *f, uint32_t records, size_t len);

/**
 * Check a whole document: header, every record against the table, counts, order of kinds (never descending).
 *
 * @doc_out  receives the view; borrows data
 *
 * No allocation. Returns 0 or -EBADMSG with the reason in e.
 */
int wire_check(const struct wire_format *f, const void *data, size_t len, struct wire_doc *doc_out, struct lxm_err *e);

/**
 * The next record of a checked document.
 *
 * @pos    0 at first; moved on
 * @kind   receives the kind
 * @fields receives the decoded struct; must have room for the struct of any kind
 *
 * Returns 1, or 0 at the end.
 */
int wire_next(const struct wire_doc *doc, size_t *pos, uint32_t *kind, void *fields);

/** The kind of the record at pos, which is WIRE_HEADER or what wire_next() left; 0 at the end. */
uint32_t wire_kind_at(const struct wire_doc *doc, size_t pos);

/** Check a document and decode it into one struct that all its kinds fill, each some members of it; zeroed before. Returns 0 or -EBADMSG. */
int wire_decode(const struct wire_format *f, const void *data, size_t len, void *out, size_t size, struct lxm_err *e);

/**
 * A finished document as a sealed memory file, which wire_map() and wire_read() believe.
 *
 * @what  for messages: "a job"
 */
int wire_seal(const struct lxm_buf *b, const char *what, int *fd_out, struct lxm_err *e);

/** As wire_map(), but read into memory of the caller's, for who gives up what mapping needs. Returns its length or -errno. */
ssize_t wire_read(int fd, void *buf, size_t max, const char *what, struct lxm_err *e);

/* A document in mapped memory. Zeroed is none. */
struct wire_mapping {
	const void *data;
	size_t len;
};

/**
 * Map a document that came as a sealed memory file.
 *
 * @fd    borrowed; a memfd that can neither change nor shrink any more, or the document is not believed
 * @max   its largest size
 * @what  for messages: "plan"
 * @out   receives memory that can only be read; wire_keep() or wire_unmap() it. Empty on failure
 *
 * Its content is not looked at. Returns 0, -EBADMSG, or -errno of mmap().
 */
int wire_map(int fd, size_t max, const char *what, struct wire_mapping *out, struct lxm_err *e);
/** What follows on the check of a mapped document: *keep takes it if r is 0, else it is unmapped. Returns r. */
int wire_keep(struct wire_mapping *m, int r, struct wire_mapping *keep);
void wire_unmap(struct wire_mapping *m);

#endif
