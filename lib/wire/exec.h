/* The exec job: what lxm-helper runs inside a running instance, and what it reports back. */
#ifndef LXM_WIRE_EXEC_H
#define LXM_WIRE_EXEC_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/base/err.h"
#include "lib/wire/wire.h"

/*
 * lxmd fills a struct exec_job, spawn_exec() (lxmd/spawn/spawn.h) starts lxm-helper with it and returns a
 * SOCK_SEQPACKET socket, on which the helper sends
 *
 *	EXEC_STARTED [pidfd, then the pty's master if one was asked for]   the program was executed
 *	EXEC_EXITED status                                                 it ended
 * or	EXEC_FAILED status 126 or 127, code, text                          it could not be started; the last message
 *
 * End of file without EXITED or FAILED: the helper was killed (count it as 137). lxmd signals the program with
 * pidfd_send_signal and resizes with TIOCSWINSZ on the master. The socket is poll()able for the event loop.
 * The helper ends the program when it is killed itself, so that ending the helper ends the session.
 *
 * The helper holds a copy of lxmd's end of each pipe (of the pty's master likewise), so that nothing breaks when lxmd
 * ends: what the program writes waits in the kernel, and the program waits when that is full. Therefore lxmd says
 *
 *	EXEC_SHUT have      close those copies: I closed mine, and the program shall notice
 *	EXEC_DONE           all is read and reported: exit
 *
 * End of file instead of DONE means that lxmd has gone. The helper then makes a new pair of sockets and sends one end to the
 * instance's monitor (EXEC_PARKED [socket] on its park socket, see lib/wire/monitor.h), where the next lxmd finds
 * it (MON_SESSION) and goes on from there:
 *
 *	EXEC_ASK            asked by lxmd
 *	EXEC_STATE pid, status, have [job, pidfd, an end for each bit of `have` below EXEC_HAVE_EXITED]   its answer
 *
 * A session that nobody asks for hangs up after exec_job.grace_s: at once the program ends, or, if it is `lasting`, its status is kept that
 * long. A monitor that takes no more (MON_PARKED_MAX) closes the socket: the helper hangs up as well.
 */

/* As setrlimit(); ~0 is RLIM_INFINITY. */
struct exec_rlimit {
	uint32_t resource;
	uint64_t soft, hard;
};

struct exec_job {
	char *const *argv;	     /* NULL-terminated; argv[0] is looked up in env's PATH inside when it has no '/' */
	char *const *env;	     /* NULL-terminated "KEY=value"; complete: the helper adds nothing */
	const char *cwd;	     /* inside path, which must be there; "" or NULL: HOME of env if it is there, else "/" */
	uint32_t uid, gid;	     /* container ids */
	const uint32_t *groups;	     /* supplementary groups */
	size_t ngroups;		     /* at most 32 */
	bool pty;		     /* own pty from the container's devpts is stdin, stdout and stderr */
	uint32_t rows, cols;	     /* its size; 0: 24 x 80 */
	bool pty_stderr;	     /* with pty: stderr is the pipe given to spawn_exec() all the same */
	bool privileged;	     /* the instance has no user namespace */
	bool host_net;		     /* nor a network namespace */
	uint64_t keep_caps;	     /* as PLAN_CAPS: what stays in the bounding set */
	struct wire_bytes seccomp;   /* as PLAN_SECCOMP; empty: none */
	const char *notify;	     /* host path of MON_NOTIFY_SOCKET that takes the listener of a filter with intercepted calls; "" or NULL: none */
	const char *apparmor;	     /* as PLAN_APPARMOR; "" or NULL: none */
	const struct exec_rlimit *rlimits; /* what the program gets instead of the helper's own */
	size_t nrlimits;	     /* at most EXEC_RLIMITS */
	bool lasting;		     /* nobody has to listen: it goes on to its end without lxmd */
	uint32_t grace_s;	     /* seconds for which it waits for the next lxmd */
	const char *tag;	     /* lxmd's note to the next lxmd, at most EXEC_TAG_MAX bytes; "" or NULL: none */
	/* cgroups of the instance, v1 only (spawn_exec() puts the helper into the unified one): cgroup.procs paths */
	char *const *cgroup_procs;   /* NULL-terminated host paths; NULL: none. cgroup_exec_paths() makes them */
};

#define EXEC_ARG_MAX (1u << 17) /* one argument or variable */
#define EXEC_JOB_MAX (4u << 20)
#define EXEC_GROUPS  32
#define EXEC_RLIMITS 16
#define EXEC_TAG_MAX 16384

/** Encode and seal into a memfd. Returns 0, -EINVAL, -E2BIG or another -errno. Any thread. */
int exec_job_seal(const struct exec_job *j, int *fd_out, struct lxm_err *e);

/* A decoded job; the vectors are owned (one block), the strings point into the mapping. */
struct exec_view {
	struct exec_job job;
	struct wire_mapping mapping;
	void *vectors;
};

/** Map, check and decode a job. The helper and tests. Returns 0, -EBADMSG or another -errno. */
int exec_job_open(int fd, struct exec_view *v, struct lxm_err *e);
/** The same for bytes in memory, which are borrowed. */
int exec_job_check(const void *data, size_t len, struct exec_view *v, struct lxm_err *e);
void exec_job_close(struct exec_view *v);

enum exec_kind { EXEC_STARTED = 1, EXEC_EXITED, EXEC_FAILED, EXEC_SHUT, EXEC_DONE, EXEC_PARKED, EXEC_ASK, EXEC_STATE, EXEC_KINDS };

/* Bits of exec_report.have: lxmd's ends of the program's descriptors. */
enum { EXEC_HAVE_IN = 1, EXEC_HAVE_OUT = 2, EXEC_HAVE_ERR = 4, EXEC_HAVE_PTY = 8, EXEC_HAVE_EXITED = 16 };

struct exec_report {
	uint32_t kind;
	int32_t pid;	  /* STARTED, STATE: host pid */
	int32_t status;	  /* EXITED, STATE with HAVE_EXITED: exit status, or 128 + signal; FAILED: 126 or 127 */
	int32_t code;	  /* FAILED: positive errno value */
	uint32_t have;	  /* SHUT, STATE: EXEC_HAVE_* */
	const char *text; /* FAILED: why; points into the receive buffer */
};

#define EXEC_REPORT_MAX 1024
#define EXEC_FDS	6 /* descriptors with one message */

/** Either side. @fds borrowed. Blocks unless the socket does not. Returns 0 or -errno. */
int exec_report_send(int sock, const struct exec_report *r, const int *fds, size_t nfds);
/**
 * Take one message.
 *
 * @buf    EXEC_REPORT_MAX bytes that r->text points into
 * @fds    receives the descriptors that came, in order; the rest is -1; caller closes
 * @flags  MSG_DONTWAIT or 0
 *
 * Returns 1, 0 at end of file, -EAGAIN, or another -errno.
 */
int exec_report_recv(int sock, struct exec_report *r, unsigned char buf[EXEC_REPORT_MAX], int fds[EXEC_FDS], int flags, struct lxm_err *e);

/** Close what a message brought; safe to repeat. */
void exec_fds_close(int fds[EXEC_FDS]);

#endif
