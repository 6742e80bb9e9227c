/* SFTP version 3 packets (draft-ietf-secsh-filexfer-02): taken apart and put together, for lxm-helper and lxmc. */
#ifndef LXM_WIRE_SFTP_H
#define LXM_WIRE_SFTP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>

#include "lib/base/str.h"

enum sftp_type {
	SFTP_INIT = 1,
	SFTP_VERSION = 2,
	SFTP_OPEN = 3,
	SFTP_CLOSE = 4,
	SFTP_READ = 5,
	SFTP_WRITE = 6,
	SFTP_LSTAT = 7,
	SFTP_FSTAT = 8,
	SFTP_SETSTAT = 9,
	SFTP_FSETSTAT = 10,
	SFTP_OPENDIR = 11,
	SFTP_READDIR = 12,
	SFTP_REMOVE = 13,
	SFTP_MKDIR = 14,
	SFTP_RMDIR = 15,
	SFTP_REALPATH = 16,
	SFTP_STAT = 17,
	SFTP_RENAME = 18,
	SFTP_READLINK = 19,
	SFTP_SYMLINK = 20,
	SFTP_STATUS = 101,
	SFTP_HANDLE = 102,
	SFTP_DATA = 103,
	SFTP_NAME = 104,
	SFTP_ATTRS = 105,
	SFTP_EXTENDED = 200,
	SFTP_EXTENDED_REPLY = 201,
};

enum sftp_status {
	SFTP_OK = 0,
	SFTP_EOF = 1,
	SFTP_NO_SUCH_FILE = 2,
	SFTP_PERMISSION_DENIED = 3,
	SFTP_FAILURE = 4,
	SFTP_BAD_MESSAGE = 5,
	SFTP_UNSUPPORTED = 8,
};

/* Flags of SFTP_OPEN. */
enum { SFTP_F_READ = 1, SFTP_F_WRITE = 2, SFTP_F_APPEND = 4, SFTP_F_CREAT = 8, SFTP_F_TRUNC = 16, SFTP_F_EXCL = 32 };

/* What attributes hold. */
enum { SFTP_A_SIZE = 1, SFTP_A_IDS = 2, SFTP_A_MODE = 4, SFTP_A_TIMES = 8 };

struct sftp_attrs {
	uint32_t flags; /* SFTP_A_* */
	uint64_t size;
	uint32_t uid, gid, mode, atime, mtime;
};

/* Bytes in a packet, borrowed; not terminated. */
struct sftp_bytes {
	const char *p;
	uint32_t len;
};

#define SFTP_DATA_MAX	(256u * 1024)	       /* in one READ or WRITE */
#define SFTP_PACKET_MAX (SFTP_DATA_MAX + 1024) /* after the length */

/* ---- reading: a cursor over one packet. Reading past its end sets `bad` and gives zeros */

struct sftp_in {
	const unsigned char *p, *end;
	bool bad;
};

uint8_t sftp_get_u8(struct sftp_in *in);
uint32_t sftp_get_u32(struct sftp_in *in);
uint64_t sftp_get_u64(struct sftp_in *in);
struct sftp_bytes sftp_get_bytes(struct sftp_in *in);
struct sftp_attrs sftp_get_attrs(struct sftp_in *in);

/* One request, whatever its type: what it has of these. */
struct sftp_request {
	uint8_t type;		  /* enum sftp_type */
	uint32_t id;		  /* INIT: the version */
	struct sftp_bytes name;	  /* EXTENDED: which */
	struct sftp_bytes path;	  /* path or handle; SYMLINK: where it points */
	struct sftp_bytes second; /* RENAME, SYMLINK: the new name; WRITE: the data */
	uint64_t offset;
	uint32_t len;	/* READ */
	uint32_t flags; /* OPEN */
	struct sftp_attrs attrs;
};

/**
 * Take a request apart.
 *
 * @data  the packet after its length
 *
 * Any bytes may come. Returns 0; -EOPNOTSUPP for a type or extension that is not known, with type, id and name set;
 * -EBADMSG for one that is cut short, with type and id as far as they came.
 */
int sftp_request_parse(const void *data, size_t len, struct sftp_request *out);

/* ---- writing: appended to a buffer */

/** Begin a packet; answers where, for sftp_end(). */
size_t sftp_begin(struct lxm_buf *b, uint8_t type, uint32_t id);
/** Fill in its length. */
void sftp_end(struct lxm_buf *b, size_t at);
void sftp_put_u8(struct lxm_buf *b, uint8_t v);
void sftp_put_u32(struct lxm_buf *b, uint32_t v);
void sftp_put_u64(struct lxm_buf *b, uint64_t v);
void sftp_put_bytes(struct lxm_buf *b, const void *data, size_t len);
void sftp_put_str(struct lxm_buf *b, const char *s);
void sftp_put_attrs(struct lxm_buf *b, const struct sftp_attrs *a);

/** All attributes of a file. */
struct sftp_attrs sftp_attrs_of(const struct stat *st);
/** Status for a positive errno value. */
uint32_t sftp_status_of(int code);
/** errno value for a status that is not SFTP_OK. */
int sftp_errno_of(uint32_t status);
/** One line of `ls -l` about a file, ids as numbers; out has 400 bytes. */
void sftp_longname(const char *name, const struct stat *st, char out[400]);

#endif
