/* The records that a volume's files travel in: encoding, and decoding of what a foreign host sent. Inside this room only. */
#ifndef LXMD_STORAGE_RECORD_H
#define LXMD_STORAGE_RECORD_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/base/err.h"
#include "lib/base/str.h"

/*
 * A stream is a row of records, each a head of 8 bytes (type, three zero bytes, length of the body) and its body; all numbers
 * are little-endian. A directory is RECORD_ENTRY (its name), what is in it, and RECORD_UP with its attributes, so that they are
 * written when nothing more is made in it. A file is RECORD_ENTRY and, in rising order, RECORD_DATA for what is no hole.
 */
enum record_type {
	RECORD_ENTRY = 'e', /* struct record_entry */
	RECORD_DATA = 'd',  /* offset u64, bytes */
	RECORD_UP = 'u',    /* struct record_entry without a name: the attributes of the directory that ends here */
	RECORD_END = 'z',   /* hash u64 over everything before it, entries u64, bytes of data u64 */
	RECORD_FAILED = 'x', /* the sender gave up: a text */
	RECORD_HAVE = 'h',  /* from the receiver: u64 hashes of files that need not be sent; an empty one ends them */
};

enum record_kind { KIND_DIR = 1, KIND_FILE, KIND_SYMLINK, KIND_FIFO, KIND_CHAR, KIND_BLOCK, KIND_LINK };

enum {
	RECORD_HEAD = 8,
	RECORD_DATA_HEAD = 8,
	RECORD_DATA_MAX = 256 * 1024, /* bytes of a file in one record */
	RECORD_ENTRY_MAX = 1024 * 1024,
	RECORD_XATTRS_MAX = 1024,
	RECORD_PATH_MAX = 4000, /* of what a later record refers to */
	RECORD_DEPTH_MAX = 500,
	RECORD_HAVE_MAX = 4096, /* hashes in one record */
};

enum { ENTRY_LINKED = 1, /* later entries are other names of it */ ENTRY_SAME = 2 /* its data is in the receiver's old volume */ };

/* One file. Decoded strings point into the record and end in no NUL but by copy. */
struct record_entry {
	uint8_t kind, flags;
	uint32_t mode; /* permission bits only */
	uint32_t uid, gid, major, minor;
	int64_t mtime;
	uint32_t mtime_ns;
	uint32_t link; /* ENTRY_LINKED: its number, counted from 1; KIND_LINK: the number of the file it is a name of */
	uint64_t size;
	uint32_t n_xattrs;
	const char *name, *target; /* target: of KIND_SYMLINK */
	uint32_t name_len, target_len;
	const unsigned char *xattrs; /* see record_xattr_next() */
	uint32_t xattrs_len;
};

/** Write a head. */
void record_head(unsigned char out[RECORD_HEAD], enum record_type type, uint32_t len);
/**
 * Check a head: a known type, and a body that is not longer than its kind may be.
 *
 * Returns 0 or -EBADMSG.
 */
int record_head_read(const unsigned char in[RECORD_HEAD], enum record_type *type, uint32_t *len, struct lxm_err *e);

/** Numbers as they lie in records, at any address. */
uint64_t record_u64(const void *p);
/** The same, written. */
void record_put_u64(void *p, uint64_t v);

/** Append a whole record of an entry. Returns 0, or -E2BIG when it is larger than a record may be. */
int record_entry_put(struct lxm_buf *b, enum record_type type, const struct record_entry *en, struct lxm_err *e);

/**
 * Decode and check the body of RECORD_ENTRY or RECORD_UP: lengths, kind, mode, owner, times, that the name is one component
 * and not "." or "..", that a link has a target without NUL, that the xattrs fill their place.
 *
 * Returns 0 or -EBADMSG. Borrows `body`.
 */
int record_entry_read(enum record_type type, const void *body, uint32_t len, struct record_entry *out, struct lxm_err *e);

struct record_xattr {
	char name[256]; /* with NUL */
	const void *value;
	uint32_t len;
};

/** The next xattr of a checked entry. @pos 0 at first. Returns true, or false at the end. */
bool record_xattr_next(const struct record_entry *en, uint32_t *pos, struct record_xattr *out);
/** Append one xattr to what becomes record_entry.xattrs. */
void record_xattr_put(struct lxm_buf *b, const char *name, const void *value, size_t len);

/**
 * Does an xattr belong to a file wherever it lies? Capabilities, ACLs, what users and root set; of an overlay's own only what
 * says how a layer lies over its image (layer), and nothing that holds a file handle of one host.
 */
bool record_xattr_travels(const char *name, bool layer);

/** What says that a file is as it was: its path below the root, size and time of change. */
uint64_t record_file_hash(const char *path, uint64_t size, int64_t mtime, uint32_t mtime_ns);

#endif
