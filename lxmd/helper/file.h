/* The file job of lxm-helper: what its files share. */
#ifndef LXM_HELPER_FILE_H
#define LXM_HELPER_FILE_H

#include "lib/base/err.h"
#include "lib/wire/file.h"
#include "lxmd/helper/tree.h"

/* Descriptors that lxmd/spawn hands over; a job and report socket lie before them (helper.h). */
enum {
	HELP_FD_A = 5, /* running: init's pidfd; stopped: the root, when it is given */
	HELP_FD_B,     /* stopped: the user namespace, when it is given */
	HELP_FD_BODY,  /* FILE_GET: spool for what cannot be handed over as it is; FILE_PUT: the content */
	HELP_FD_FILE_END,
};

/** Run the job to its end and report. Returns the helper's exit status. */
int file_run(void);

/**
 * Enter the instance, see enter.c.
 *
 * @t     receives its root
 * @made  receives the root's mount and the user namespace that were made, else -1
 */
int file_enter(const struct file_job *j, struct tree *t, int made[2], struct lxm_err *e);

/** Become root of the user namespace this process is in. */
int enter_become_root(struct lxm_err *e);
/** Keep of all capabilities those that concern files. */
int enter_drop_caps(struct lxm_err *e);

/* ---- the verbs, see verbs.c: fill what FILE_DONE reports; *fd_out receives a file to hand over. Return 0 or -errno */
int file_get(const struct tree *t, const struct file_job *j, struct file_report *out, int *fd_out, struct lxm_err *e);
int file_put(const struct tree *t, const struct file_job *j, struct lxm_err *e);
int file_delete(const struct tree *t, const struct file_job *j, struct lxm_err *e);

/** Serve SFTP until the connection ends, see sftp.c. */
int file_sftp(const struct tree *t, const struct file_job *j, struct lxm_err *e);

#endif
