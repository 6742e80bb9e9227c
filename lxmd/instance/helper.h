/* Work on files, between files.c and sftp.c: one lxm-helper, and the set of those at work. */
#ifndef LXMD_INSTANCE_HELPER_H
#define LXMD_INSTANCE_HELPER_H

#include <pthread.h>
#include <stdbool.h>

#include "lib/base/err.h"

struct file_job;
struct instance;
struct lxmd;
struct root;
struct sftp_session;

struct files {
	pthread_mutex_t lock;
	pthread_cond_t changed;
	struct root *roots;	       /* guarded by lock */
	unsigned int nsessions;	       /* guarded by lock: SFTP sessions that are not cleaned up yet */
	struct sftp_session *all;      /* guarded by lock: these */
	struct sftp_session *sessions; /* loop thread only: those that are served */
};

/** End every SFTP session; arg is struct files. Loop thread. */
void sftp_end_all(void *arg);

/* It belongs to the thread, or loop callback, that waits for its end. */
struct helper {
	struct helper *next; /* guarded by files.lock, in root's list */
	struct root *root;   /* of a stopped instance; NULL: of a running one */
	int pidfd, sock;     /* -1 at first */
	bool session;	     /* SFTP: may be ended at any time */
};

/**
 * Start one that stands in the instance and has reported FILE_READY.
 *
 * @want  verb and what belongs to it; borrowed
 * @body  see spawn_file()
 *
 * Worker threads; blocks. On failure everything is cleaned up.
 */
int helper_start(struct lxmd *d, const struct instance *i, const struct file_job *want, int body, struct helper *h, struct lxm_err *e);

/** Close its socket, see it end (kill it if it does not), reap it, give its place up. Worker threads; blocks. */
void helper_end(struct lxmd *d, struct helper *h);

#endif
