/* What the files of lxm-helper share. */
#ifndef LXM_HELPER_HELPER_H
#define LXM_HELPER_HELPER_H

#include "lib/base/err.h"
#include "lib/wire/exec.h"

/* Descriptors that lxmd/spawn hands over; 0-2 are the session's own. From HELP_FD_PARK on they may be missing. */
enum { HELP_FD_JOB = 3, HELP_FD_REPORT, HELP_FD_INIT, HELP_FD_PARK, HELP_FD_KEEP_IN, HELP_FD_KEEP_OUT, HELP_FD_KEEP_ERR, HELP_FD_FIRST_FREE };

/* One exec session. */
struct session {
	const struct exec_job *job;
	int proc;	   /* the host's /proc: the container's is not to be trusted */
	int master, slave; /* pty, -1: none */
	int notify;	   /* to whoever answers intercepted calls, -1: nobody */
	pid_t pid;	   /* of the program, once it runs */
	int pidfd;
};

/** Stay with a program that runs until lxmd has all it wants to know, or gives it up (keep.c). */
void session_keep(struct session *s);

/** Run the job to its end and report. Returns the helper's exit status. */
int exec_run(void);

/** The verb `hot`, see hot.c: change a device of a running instance, report. Returns the helper's exit status. */
int hot_run(void);

/** Join cgroups and namespaces of the instance. Returns 0 or -errno. */
int enter_instance(const struct exec_job *job, struct lxm_err *e);
/** Open a pty in the container's devpts, checked to be one. Returns 0 or -errno. */
int session_pty(struct session *s, struct lxm_err *e);

/**
 * In the vforked child: become what the job says and execute.
 *
 * Returns only on failure: the exit status 126 or 127 with the reason in e.
 */
int child_exec(struct session *s, struct lxm_err *e);

#endif
