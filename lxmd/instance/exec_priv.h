/* What the files of exec share: one session and its parts. Nobody else includes this. */
#ifndef LXMD_INSTANCE_EXEC_PRIV_H
#define LXMD_INSTANCE_EXEC_PRIV_H

#include <jansson.h>

#include "lib/base/time.h"
#include "lib/wire/exec.h"
#include "lxmd/core/loop.h"
#include "lxmd/instance/exec.h"
#include "lxmd/instance/stream.h"

enum { S_IN, S_OUT, S_ERR, S_CONTROL, SOCKETS };

/* Room in each pipe, for throughput. */
#define PIPE_BYTES (1024 * 1024)

struct session {
	int refs; /* atomic: the operation's, one for each websocket, one while the program runs */
	struct lxmd *d;
	struct op *op; /* set before it starts; a reference is held while the program runs */
	struct run *run;
	struct exec_request rq;
	struct exec_rlimit rlimits[EXEC_RLIMITS];
	size_t nrlimits;
	struct wire_bytes seccomp;
	uint64_t caps; /* that remain */
	char *notify; /* see instance_notify_path() */
	bool privileged;
	uid_t owner; /* of the pipes, as the host numbers the program's user; -1 leaves them ours */
	gid_t group;
	struct lxm_strv cgroup_procs;
	lxm_time created_at;

	/* loop thread, once run() has handed it over or it was adopted */
	struct stream s[3]; /* stdin, stdout (or the pty), stderr */
	struct ws *ws[SOCKETS];
	struct loop_watch *report;
	int report_sock, helper_pidfd, prog_pidfd, pty;
	int end[4];	/* adopted and nobody has come yet: what STATE brought, in the order of EXEC_HAVE_* */
	int log_fd[2];	/* record-output */
	char *log_name[2];
	bool adopted;	/* began under an earlier lxmd */
	bool waiting;	/* adopted, and its client has not come yet */
	bool exited, finished;
	uint64_t early_signals; /* bit n-1: signal n came before the helper told of the program */
	int status;
	struct lxm_err err; /* code set: the program could not be started */
	loop_timer_id timer;

	/* what execs_list() tells; guarded by the lock of struct instances, as is the list */
	struct session *next, *prev;
	bool listed;
	struct {
		int32_t pid;
		int status;
		bool exited, attached;
	} shown;
};

extern const char *const exec_socket_names[SOCKETS];

/* ---- exec_session.c: the session while it runs, on the loop thread */

struct session *session_ref(struct session *x);
void session_unref(void *arg);
/** An empty one with one reference. Any thread. */
struct session *session_new(struct lxmd *d, struct run *run);
/** The end of a session that never ran, or cannot go on. Takes a reference. */
void session_drop_sockets(void *arg);
/** Signal the program, now or as soon as it is known. */
void session_signal(struct session *x, int sig);
/** Nobody is there for it any more: hang up. */
void session_hang_up(struct session *x);
/** op_spec.connect */
int session_connect(struct op *op, const char *name, struct ws *ws, void *arg);
/** The helper reports; a loop_fd_fn. */
void session_report(int fd, uint32_t revents, void *arg);
/** Begin to move bytes: `in`, `out` and `err` are taken; of a pty session only out, its master. Returns 0 or -errno. */
int session_stream(struct session *x, int in, int out, int err, struct lxm_err *e);
/** Is all said and read? Then tell the client and end. */
void session_check_end(struct session *x);
/** The daemon ends: forget everything; the helper stays with the program. */
void session_let_go(struct session *x);

/* ---- exec_list.c */

/** Enter it into the list of those that run. Any thread. */
void execs_add(struct session *x);
/** Take it out; one that is not in it is fine. Any thread. */
void execs_remove(struct session *x);
/** Set what is shown of it. Any thread. */
void execs_show(struct session *x, int32_t pid, bool attached);
void execs_show_exit(struct session *x, int status);

/* ---- exec.c */

/** metadata of the operation. @fds stolen */
json_t *exec_describe(const struct exec_request *rq, json_t *fds);
/** Announce the websockets of an operation, and put their secrets into its metadata. */
void exec_add_sockets(struct session *x);
/**
 * Make the files that a recorded session writes to, and room for them: the oldest records that are written no more go.
 *
 * Returns 0, -ENOSPC (507) while running programs have taken all of it, -errno; exec_logs.c.
 */
int exec_open_records(struct session *x, const struct instance *i, struct lxm_err *e);
/** metadata.output of a recorded one: {"1": URL, "2": URL}. */
json_t *exec_output(const struct session *x);
/** How the operation is made; the rest is the caller's to fill. */
struct op_spec exec_op_spec(struct session *x);

#endif
