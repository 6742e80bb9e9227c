/* SFTP client over a server's /sftp: many requests on their way at once, each answer handed to a function. */
#ifndef LXM_LXMC_SFTP_H
#define LXM_LXMC_SFTP_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/wire/sftp.h"
#include "lxmc/client.h"

struct sftp; /* opaque; one thread */

/**
 * Takes one answer.
 *
 * @type  SFTP_STATUS, SFTP_HANDLE, SFTP_DATA, SFTP_NAME or SFTP_ATTRS
 * @in    what follows the id; valid for the call
 *
 * May queue further requests. Returns 0, or -errno with e filled, which ends everything.
 */
typedef int (*sftp_answer_fn)(struct sftp *s, uint8_t type, struct sftp_in *in, void *arg, struct lxm_err *e);

/** Connect to an instance's files: what follows on the connection is SFTP. Returns 0 or -errno; the caller closes *conn in any case. */
int sftp_dial(struct client *c, const char *instance, struct lxm_conn *conn, struct lxm_err *e);
/** The same for a client of ours. Returns 0 or -errno with e filled; sftp_free() it. */
int sftp_open(struct client *c, const char *instance, struct sftp **out, struct lxm_err *e);
void sftp_free(struct sftp *s);
LXM_AUTO_PTR(sftp, struct sftp, sftp_free)

/** Begin a request in the buffer of what is to be sent: sftp_put_* the rest, then sftp_queue(). */
struct lxm_buf *sftp_request(struct sftp *s, uint8_t type, size_t *at);
/** The request is whole; fn gets the answer. */
void sftp_queue(struct sftp *s, size_t at, sftp_answer_fn fn, void *arg);
/** Requests without an answer yet. */
unsigned int sftp_pending(const struct sftp *s);

/**
 * Send and take answers until at most that many are awaited.
 *
 * Blocks. Returns 0, or -errno with e filled: what a function answered, or the connection is gone.
 */
int sftp_wait(struct sftp *s, unsigned int at_most, struct lxm_err *e);

/** Wait until something can be sent or taken in, and do so: answers may have been handled. Returns as sftp_wait(). */
int sftp_turn(struct sftp *s, struct lxm_err *e);

/** Judge an answer that should have been another type: the server's words, "" if it gave none, and their errno value. */
int sftp_failed(uint8_t type, struct sftp_in *in, const char *what, const char *path, struct lxm_err *e);

/* ---- one request after another, for what is not worth more. Return 0 or -errno */
int sftp_stat(struct sftp *s, const char *path, bool follow, struct sftp_attrs *out, struct lxm_err *e);
int sftp_mkdir(struct sftp *s, const char *path, const struct sftp_attrs *a, struct lxm_err *e);
/** SFTP_REMOVE or SFTP_RMDIR. */
int sftp_remove(struct sftp *s, uint8_t type, const char *path, struct lxm_err *e);
/** Where a link points; free() it. */
int sftp_readlink(struct sftp *s, const char *path, char **out, struct lxm_err *e);

/* One entry of a directory: its name, checked to be a single component, and what it is. */
typedef int (*sftp_entry_fn)(void *arg, const char *name, const struct sftp_attrs *a, struct lxm_err *e);
/** Hand each entry of a directory to fn, once all have come; fn may use the connection. */
int sftp_list(struct sftp *s, const char *path, sftp_entry_fn fn, void *arg, struct lxm_err *e);

#endif
