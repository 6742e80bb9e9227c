/* What the files of the SFTP server share. */
#ifndef LXM_HELPER_SFTP_H
#define LXM_HELPER_SFTP_H

#include <dirent.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/base/str.h"
#include "lib/wire/sftp.h"
#include "lxmd/helper/tree.h"

#define HANDLES 1024 /* open files and directories of one session */

/* A file or directory that the client has open. */
struct handle {
	uint32_t serial; /* changes with each use of the slot, so that an old handle is not taken for a new one; 0: free */
	int fd;
	DIR *dir;   /* for READDIR; owns another descriptor */
	bool ended; /* all names were told */
	uint32_t mode; /* set-ID bits that a new file was asked to have: writes take them away, the close gives them again; 0: none */
};

struct sftp {
	const struct tree *tree;
	int client;
	struct lxm_buf out; /* answers; `sent` bytes of it are gone */
	size_t sent;
	struct handle handles[HANDLES];
	uint32_t serial;
};

/** Answer one packet (after its length) into s->out. Returns 0, or -EBADMSG for one that has no id to answer to. */
int sftp_answer(struct sftp *s, const void *packet, size_t len);

/* ---- handles.c */

/** Enter an open file; takes fd, also on failure. Answers the slot or -EMFILE. */
int sftp_handle_new(struct sftp *s, int fd);
/** The handle that a client names, or NULL. */
struct handle *sftp_handle_get(struct sftp *s, struct sftp_bytes name);
/** The name of a slot, 8 bytes. */
void sftp_handle_name(const struct sftp *s, int slot, unsigned char out[8]);
void sftp_handle_close(struct handle *h);
void sftp_close_all(struct sftp *s);

/* ---- what the requests do. All return 0 or -errno, and have then put nothing into s->out */
int sftp_do_open(struct sftp *s, const struct sftp_request *rq, const char *path);
int sftp_do_opendir(struct sftp *s, const struct sftp_request *rq, const char *path);
int sftp_do_read(struct sftp *s, const struct sftp_request *rq, struct handle *h);
int sftp_do_readdir(struct sftp *s, const struct sftp_request *rq, struct handle *h);
int sftp_do_fsetstat(struct handle *h, const struct sftp_attrs *a);
int sftp_do_setstat(struct sftp *s, const char *path, const struct sftp_attrs *a, bool follow);

#endif
