/* The only creator of processes in lxmd. */
#ifndef LXM_SPAWN_SPAWN_H
#define LXM_SPAWN_SPAWN_H

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "lib/base/err.h"
#include "lib/base/str.h"
#include "lib/wire/exec.h"
#include "lib/wire/file.h"
#include "lib/wire/hot.h"

/*
 * Every child starts with default signal actions, nothing blocked, no descriptor but those named, umask 022 and, if
 * asked, in a session, cgroup or directory of its own. Between clone and exec only async-signal-safe calls run, on a
 * stack of their own in shared memory (CLONE_VM | CLONE_VFORK), so the cost does not grow with lxmd. A failed exec
 * comes back as the error of the call.
 *
 * Children are the caller's to reap: spawn_wait() or spawn_reap() with the pidfd, exactly once.
 */

/* One descriptor of the child: `from` of lxmd becomes `to`. */
struct spawn_fd {
	int from, to;
};

#define SPAWN_FDS 10

struct spawn_spec {
	const char *path;	  /* absolute path of the program, or a name looked up in /usr/sbin:/usr/bin:/sbin:/bin */
	int exec_fd;		  /* program as a descriptor instead of path; used when path is NULL */
	const char *const *argv;  /* NULL-terminated, argv[0] first */
	const char *const *env;	  /* NULL-terminated; NULL: PATH, LANG=C.UTF-8 and HOME=/ only */
	int cwd_fd;		  /* directory to run in; <= 0: "/" */
	struct spawn_fd fds[SPAWN_FDS]; /* further descriptors (0, 1, 2 too) */
	size_t nfds;		  /* 0-2 not named are /dev/null */
	int cgroup_fd;		  /* directory in the unified hierarchy to be born in; <= 0: lxmd's own */
	bool setsid;		  /* own session */
	bool die_with_parent;	  /* SIGKILL when the thread that spawned it ends: only for children of lasting threads */
	uint64_t as_max;	  /* RLIMIT_AS in bytes, 0: unlimited */
	uint64_t file_max;	  /* RLIMIT_FSIZE in bytes, 0: unlimited */
	uint32_t uid, gid;	  /* drop to these ids (no groups) when uid is not 0 */
};

/**
 * Start a program.
 *
 * @spec       borrowed; zero it and set what is needed
 * @pidfd_out  receives the pidfd (CLOEXEC; caller reaps and closes); untouched on failure
 * @pid_out    may be NULL
 *
 * Any thread; returns when the child has executed, typically after 0.2 ms. Returns 0 or -errno (-ENOENT: no such program).
 */
int spawn_child(const struct spawn_spec *spec, int *pidfd_out, pid_t *pid_out, struct lxm_err *e);

/**
 * Wait for a child to end and reap it.
 *
 * @timeout_ms  -1 for ever
 * @status_out  exit status, or 128 + signal
 *
 * Returns 0, -ETIMEDOUT (it goes on running), -ECHILD. Does not close pidfd.
 */
int spawn_wait(int pidfd, int timeout_ms, int *status_out);
/** Reap a child whose pidfd is readable; -EAGAIN if it still runs. @status_out may be NULL. */
int spawn_reap(int pidfd, int *status_out);
/** SIGKILL, reap and close; accepts -1. */
void spawn_kill(int *pidfd);

/**
 * Run a program to its end and collect what it prints.
 *
 * @spec        fds 0-2 must not be named; stdin is /dev/null
 * @out         receives stdout; may be NULL
 * @err_out     receives stderr; may be NULL: it then goes into the error text
 * @max         most bytes of each that are kept; the program is ended beyond
 * @timeout_ms  -1 for ever; when it is over the program is killed
 *
 * Returns 0, 1 when the program failed (e has its name, status and the end of its stderr), -ETIMEDOUT, or another -errno.
 */
int spawn_run(const struct spawn_spec *spec, struct lxm_buf *out, struct lxm_buf *err_out, size_t max, int timeout_ms, struct lxm_err *e);

/* ---- lxm-monitor, lxm-helper, lxm-forward */

struct spawner;

/**
 * Take sealed copies of lxm-monitor, lxm-helper and lxm-forward, and make cgroup attaching fast while lxmd runs.
 *
 * @bin_dir  directory that holds them
 *
 * Copies into memfds: a container can never reach or replace them (CVE-2019-5736), all monitors share their text
 * pages, and an upgrade of the files does not disturb a running lxmd. Once at start. spawner_free() at the end.
 * Returns 0 or -errno.
 */
int spawner_new(const char *bin_dir, struct spawner **out, struct lxm_err *e);
void spawner_free(struct spawner *s);
LXM_AUTO_PTR(spawner_free, struct spawner, spawner_free)

/**
 * Start lxm-monitor with a plan.
 *
 * @id         the plan's id, shown in ps
 * @plan_fd    from plan_seal(); borrowed
 * @rundir     directory RUN/<id>, 0700; borrowed
 * @log_fd     where the monitor's own complaints go; -1: lxmd's stderr
 * @sock_out   control connection (see lib/wire/monitor.h): wait on it with mon_wait_started()
 * @pidfd_out  of the monitor; reap it with spawn_reap() when it is readable (only the lxmd that spawned it must)
 *
 * Any thread. The monitor has its own session and outlives lxmd. Returns 0 or -errno.
 */
int spawn_monitor(struct spawner *s, const char *id, int plan_fd, int rundir, int log_fd, int *sock_out, int *pidfd_out, struct lxm_err *e);

/* The descriptors of an exec session. Borrowed. */
struct spawn_session {
	int std[3];  /* the program's, -1: /dev/null; with exec_job.pty only [2] may be used */
	int keep[3]; /* lxmd's ends of the same, which the helper keeps for the next lxmd; -1: none */
	int init;    /* pidfd of the instance's init (mon_hello.pidfd) */
	int park;    /* mon_hello.park */
	int unified; /* the instance's directory in the unified hierarchy, open; -1 where there is none */
};

/**
 * Start lxm-helper to run a program inside an instance.
 *
 * @job        see lib/wire/exec.h
 * @sock_out   EXEC_STARTED, EXEC_EXITED, EXEC_FAILED come from here; EXEC_DONE ends the helper
 * @pidfd_out  of the helper, to be reaped after the last report; killing it ends the program
 *
 * Any thread. Returns 0 or -errno.
 */
int spawn_exec(struct spawner *s, const struct exec_job *job, const struct spawn_session *io, int *sock_out, int *pidfd_out,
	       struct lxm_err *e);

/**
 * Start lxm-helper for a job on the files of an instance.
 *
 * @job        see lib/wire/file.h
 * @a, @b      descriptors that the job's flags speak of, -1: none; borrowed
 * @body       FILE_GET: spool, a file that is empty and open for writing; FILE_PUT of a file: the content; -1: none; borrowed
 * @sock_out   reports come from here: file_report_recv(); closing it ends the helper
 * @pidfd_out  of the helper, to be reaped after the last report
 *
 * Any thread. Returns 0 or -errno.
 */
int spawn_file(struct spawner *s, const struct file_job *job, int a, int b, int body, int *sock_out, int *pidfd_out, struct lxm_err *e);

/**
 * Start lxm-helper to change a device of a running instance.
 *
 * @job        see lib/wire/hot.h
 * @init       pidfd of the instance's init; borrowed
 * @sock_out, @pidfd_out  as of spawn_file(); one report comes
 *
 * Any thread. Returns 0 or -errno.
 */
int spawn_hot(struct spawner *s, const struct hot_job *job, int init, int *sock_out, int *pidfd_out, struct lxm_err *e);

/**
 * Start lxm-forward, the process of one proxy device.
 *
 * @name       shown in ps
 * @job        sealed memfd, see lib/wire/forward.h; borrowed, as the descriptors that follow
 * @init       pidfd of the instance's init
 * @lock       file that the process locks while it lives, open for writing
 * @sock_out, @pidfd_out  as of spawn_file(); one report comes
 *
 * Any thread. Like a monitor it has its own session and outlives lxmd. Returns 0 or -errno.
 */
int spawn_forward(struct spawner *s, const char *name, int job, int init, int lock, int *sock_out, int *pidfd_out, struct lxm_err *e);

#endif
