/*
 * Exec sessions. lxm-helper runs the program inside; lxmd moves bytes between its pipes (or pty) and the client's
 * websockets. One struct session per exec; all of it lives on the loop thread once run() has handed it over, so it
 * needs no lock. Each stream stops reading while the other side is slow; nothing is buffered without bound.
 *
 * End: the program exits -> outputs are read until they end, or until they were silent for a while (a background child
 * may hold them) -> control closed, outputs marked as ended -> `return` -> final state.
 */
#include "lxmd/instance/exec.h"

#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "lib/api/json.h"
#include "lib/base/alloc.h"
#include "lib/base/fd.h"
#include "lib/base/log.h"
#include "lib/base/sys.h"
#include "lib/wire/exec.h"
#include "lib/wire/plan.h"
#include "lxmd/core/daemon.h"
#include "lxmd/core/event.h"
#include "lxmd/core/loop.h"
#include "lxmd/core/op.h"
#include "lxmd/core/workers.h"
#include "lxmd/core/ws.h"
#include "lxmd/instance/instance.h"
#include "lxmd/instance/plan.h"
#include "lxmd/instance/run.h"
#include "lxmd/instance/stream.h"
#include "lxmd/spawn/spawn.h"

#define SILENCE_MS 200		 /* outputs that were silent this long after the exit are done */
#define PIPE_BYTES (1024 * 1024) /* room in each pipe, for throughput */

enum { S_IN, S_OUT, S_ERR, S_CONTROL, SOCKETS };
static const char *const socket_names[SOCKETS] = { "0", "1", "2", "control" };

struct session {
	int refs;      /* atomic: the operation's, one for each websocket, one while the program runs */
	struct lxmd *d;
	struct op *op; /* set before it starts; a reference is held while the program runs */
	struct run *run;
	struct exec_request rq;
	struct wire_bytes seccomp;
	char *notify; /* see instance_notify_path() */
	bool privileged;
	struct lxm_strv cgroup_procs;

	struct stream s[3]; /* stdin, stdout (or the pty), stderr */
	struct ws *ws[SOCKETS];
	struct loop_watch *report;
	int report_sock, helper_pidfd, prog_pidfd, pty;
	int log_fd[2]; /* record-output */
	bool exited, finished;
	uint64_t early_signals; /* bit n-1: signal n came before the helper told of the program */
	int status;
	struct lxm_err err; /* code set: the program could not be started */
	loop_timer_id timer;
};

void exec_env(const struct instance *i, uint32_t uid, const struct lxm_kv *request, struct lxm_kv *out)
{
	lxm_kv_set(out, "PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
	lxm_kv_set(out, "LANG", "C.UTF-8");
	if (uid == 0) {
		lxm_kv_set(out, "HOME", "/root");
		lxm_kv_set(out, "USER", "root");
	}
	lxm_kv_each(p, &i->config)
		if (lxm_starts(p->key, "environment."))
			lxm_kv_set(out, p->key + 12, p->value);
	lxm_kv_merge(out, request);
}

static struct session *session_ref(struct session *x)
{
	__atomic_add_fetch(&x->refs, 1, __ATOMIC_RELAXED);
	return x;
}

static void session_unref(void *arg)
{
	struct session *x = arg;
	size_t k;

	if (__atomic_sub_fetch(&x->refs, 1, __ATOMIC_ACQ_REL))
		return;
	for (k = 0; k < SOCKETS; k++)
		ws_unref(x->ws[k]);
	for (k = 0; k < 3; k++)
		stream_close(&x->s[k]);
	for (k = 0; k < 2; k++)
		auto_fd_close(&x->log_fd[k]);
	auto_fd_close(&x->report_sock);
	auto_fd_close(&x->helper_pidfd);
	auto_fd_close(&x->prog_pidfd);
	auto_fd_close(&x->pty);
	lxm_strv_deinit(&x->rq.argv);
	lxm_kv_deinit(&x->rq.env);
	free(x->rq.cwd);
	lxm_strv_deinit(&x->cgroup_procs);
	free(x->notify);
	run_unref(x->run);
	free(x);
}

/* Loop thread: the end of a session that never ran, or cannot go on. Takes a reference. */
static void drop_sockets(void *arg)
{
	struct session *x = arg;
	size_t k;

	for (k = 0; k < SOCKETS; k++)
		if (x->ws[k])
			ws_close(x->ws[k]);
	session_unref(x);
}

static void kill_program(struct session *x, int sig)
{
	if (x->exited)
		return;
	if (x->prog_pidfd >= 0)
		(void)sys_pidfd_send_signal(x->prog_pidfd, sig);
	else
		x->early_signals |= 1ULL << (sig - 1);
}

/* The program's first words may overtake the helper's report of it, and so may a client that answers them. */
static void send_early_signals(struct session *x)
{
	int sig;

	for (sig = 1; sig <= 64; sig++)
		if (x->early_signals >> (sig - 1) & 1)
			kill_program(x, sig);
}

/* The client is gone: the program and what it started in its process group, as a hang-up of a terminal would. */
static void kill_group(struct session *x)
{
	if (x->prog_pidfd < 0 || (!x->exited && sys_pidfd_signal_group(x->prog_pidfd, SIGKILL) < 0))
		kill_program(x, SIGKILL);
}

/* ---- the end; loop thread */

static void finish_later(void *arg);

/* All is read: tell the client in the order of the contract. */
static void finish(struct session *x)
{
	size_t k;

	if (x->finished)
		return;
	x->finished = true;
	(void)loop_timer_cancel(x->d->loop, x->timer);
	for (k = 0; k < 3; k++)
		stream_close(&x->s[k]);
	if (x->ws[S_CONTROL])
		ws_close(x->ws[S_CONTROL]);
	for (k = S_IN; k <= S_ERR; k++)
		if (x->ws[k] && (k != S_IN || x->rq.interactive))
			(void)ws_send(x->ws[k], WS_TEXT, "", 0);
	op_set_metadata_key(x->op, "return", json_integer(x->status));
	op_finish(x->op, x->err.code ? &x->err : NULL);
	for (k = S_IN; k <= S_ERR; k++)
		if (x->ws[k])
			ws_close(x->ws[k]);
	op_unref(x->op);
	/* callers up the stack still look at the session */
	loop_post(x->d->loop, session_unref, x);
}

/* After the exit: done when each output has ended, or was silent for a while with nothing on its way. */
static void check_end(struct session *x)
{
	int64_t now = lxm_mono_ms(), wait = 0;
	size_t k;

	if (!x->exited || x->finished)
		return;
	for (k = 0; k < 3; k++) {
		struct stream *s = &x->s[k];
		int64_t left;

		if (!s->reads)
			continue;
		left = stream_busy(s) ? SILENCE_MS : s->last_ms + SILENCE_MS - now;
		if (left > wait)
			wait = left;
	}
	if (wait <= 0) {
		for (k = 0; k < 3; k++)
			if (x->s[k].reads) {
				x->s[k].on_end = NULL;
				stream_drain(&x->s[k]);
			}
		finish(x);
		return;
	}
	(void)loop_timer_cancel(x->d->loop, x->timer);
	x->timer = loop_timer(x->d->loop, wait, finish_later, x);
}

static void finish_later(void *arg)
{
	struct session *x = arg;

	x->timer = 0;
	check_end(x);
}

static void on_output_end(struct stream *s, void *arg)
{
	(void)s;
	check_end(arg);
}

/* ---- the helper's reports; loop thread */

static void reap_helper(void *arg)
{
	int fd = (int)(intptr_t)arg;

	(void)spawn_wait(fd, 10000, NULL);
	(void)close(fd);
}

static void program_ended(struct session *x, int status)
{
	size_t k;

	loop_del(x->report);
	x->report = NULL;
	x->exited = true;
	x->status = status;
	workers_run(x->d->workers, reap_helper, (void *)(intptr_t)LXM_TAKE(x->helper_pidfd, -1));
	/* silence counts from now, and what a full pipe cannot hold was written by others than the program */
	for (k = 0; k < 3; k++) {
		x->s[k].last_ms = lxm_mono_ms();
		stream_bound(&x->s[k], x->ws[x->rq.interactive ? S_IN : k] ? PIPE_BYTES : 0);
	}
	if (!x->rq.interactive)
		stream_close(&x->s[S_IN]);
	check_end(x);
}

static void program_failed(struct session *x, const struct exec_report *r)
{
	if (r->status == 127)
		lxm_err_set(&x->err, ENOENT, "Command not found");
	else
		lxm_err_set(&x->err, r->code ? r->code : EACCES, "Command not executable%s%s", lxm_empty(r->text) ? "" : ": ",
			    lxm_empty(r->text) ? "" : r->text);
	if (r->text && *r->text)
		lxm_debug("exec in '%s': %s", x->run->name, r->text);
	program_ended(x, r->status);
}

static void open_pty(struct session *x, int master)
{
	struct lxm_err e = { 0 };

	x->pty = fcntl(master, F_DUPFD_CLOEXEC, 3); /* kept for resizing; the stream owns the other one */
	stream_init(&x->s[S_OUT], x->d->loop, master, x->ws[S_IN], true, true, on_output_end, x);
	if (stream_start(&x->s[S_OUT], &e) < 0)
		lxm_error("exec in '%s': %s", x->run->name, e.msg);
	if (x->ws[S_IN])
		ws_pause_reading(x->ws[S_IN], false);
}

static void on_report(int fd, uint32_t revents, void *arg)
{
	unsigned char buf[EXEC_REPORT_MAX];
	struct session *x = arg;
	struct exec_report r;
	int fds[2] = { -1, -1 };
	int got = exec_report_recv(fd, &r, buf, fds, MSG_DONTWAIT, NULL);

	(void)revents;
	if (got == -EAGAIN)
		return;
	if (got <= 0) { /* the helper was killed */
		program_ended(x, 137);
		return;
	}
	if (r.kind == EXEC_STARTED) {
		x->prog_pidfd = LXM_TAKE(fds[0], -1);
		send_early_signals(x);
		if (fds[1] >= 0)
			open_pty(x, LXM_TAKE(fds[1], -1));
		/* the client may have vanished meanwhile */
		if (x->ws[S_CONTROL] == NULL && x->rq.websockets && x->rq.interactive)
			kill_group(x);
	} else if (r.kind == EXEC_FAILED) {
		program_failed(x, &r);
	} else {
		program_ended(x, r.status);
	}
	auto_fd_close(&fds[0]);
	auto_fd_close(&fds[1]);
}

/* ---- what the client sends; loop thread */

static void resize(struct session *x, json_t *args)
{
	const char *w = js_str(args, "width"), *h = js_str(args, "height");
	struct winsize ws = { 0 };
	uint64_t cols, rows;

	if (!w || !h || lxm_parse_u64(w, &cols) < 0 || lxm_parse_u64(h, &rows) < 0 || cols > 65535 || rows > 65535)
		return;
	ws.ws_col = (unsigned short)cols;
	ws.ws_row = (unsigned short)rows;
	if (x->pty >= 0)
		(void)ioctl(x->pty, TIOCSWINSZ, &ws);
}

static void on_control(struct session *x, const char *text, size_t len)
{
	lxm_auto(json) json_t *o = NULL;
	const char *cmd;

	if (js_parse(text, len, &o, NULL) < 0)
		return;
	cmd = js_str(o, "command");
	if (lxm_streq(cmd, "window-resize")) {
		resize(x, js_get(o, "args"));
	} else if (lxm_streq(cmd, "signal")) {
		int64_t sig = js_int(o, "signal", 0);

		if (sig > 0 && sig <= SIGRTMAX)
			kill_program(x, (int)sig);
	}
}

static void message(struct session *x, int slot, int opcode, const void *data, size_t len)
{
	struct stream *in = x->rq.interactive ? &x->s[S_OUT] : &x->s[S_IN];

	if (slot == S_CONTROL) {
		if (opcode == WS_TEXT)
			on_control(x, data, len);
	} else if (slot == S_IN) {
		if (opcode == WS_BINARY)
			stream_write(in, data, len);
		else if (!x->rq.interactive)
			stream_write_end(in);
	}
}

/* A socket is gone. The contract's rules for a client that is lost. */
static void closed(struct session *x, int slot)
{
	ws_unref(x->ws[slot]);
	x->ws[slot] = NULL;
	if (slot == S_IN && x->rq.interactive) {
		x->s[S_OUT].ws = NULL;
		kill_program(x, SIGHUP);
		x->s[S_OUT].on_end = NULL;
		stream_close(&x->s[S_OUT]); /* closing the master hangs the pty up */
		auto_fd_close(&x->pty);
	} else if (slot == S_IN) {
		x->s[S_IN].ws = NULL;
		stream_write_end(&x->s[S_IN]);
	} else if (slot == S_OUT || slot == S_ERR) {
		/* nobody reads any more: the program shall hear of it, as at the end of a shell's pipe */
		x->s[slot].on_end = NULL;
		stream_close(&x->s[slot]);
	}
	if (slot == S_CONTROL || (slot == S_OUT && !x->ws[S_CONTROL]))
		kill_group(x);
	check_end(x);
}

/* One websocket of a session; holds a reference to it. */
struct slot {
	struct session *x;
	int index;
};

static void ws_message(struct ws *ws, int opcode, const void *data, size_t len, bool fin, void *arg)
{
	struct slot *s = arg;

	(void)ws;
	(void)fin;
	message(s->x, s->index, opcode, data, len);
}

static void ws_closed(struct ws *ws, int code, void *arg)
{
	struct slot *s = arg;

	(void)ws;
	(void)code;
	if (s->x->finished) {
		ws_unref(s->x->ws[s->index]);
		s->x->ws[s->index] = NULL;
	} else {
		closed(s->x, s->index);
	}
	session_unref(s->x);
	free(s);
}

static void ws_drained(struct ws *ws, void *arg)
{
	struct slot *s = arg;
	struct session *x = s->x;

	(void)ws;
	if (s->index == S_IN && x->rq.interactive)
		stream_writable(&x->s[S_OUT]);
	else if (s->index == S_OUT || s->index == S_ERR)
		stream_writable(&x->s[s->index]);
	check_end(x);
}

static const struct ws_handler handler = { .on_message = ws_message, .on_close = ws_closed, .on_writable = ws_drained };

static int connect_socket(struct op *op, const char *name, struct ws *ws, void *arg)
{
	struct session *x = arg;
	struct slot *s;
	int k;

	(void)op;
	for (k = 0; k < SOCKETS; k++)
		if (lxm_streq(socket_names[k], name))
			break;
	if (k == SOCKETS || x->ws[k])
		return -EINVAL;
	s = lxm_alloc(sizeof(*s));
	s->x = session_ref(x);
	s->index = k;
	x->ws[k] = ws_ref(ws);
	if (k == S_IN) /* until there is somebody to write to */
		ws_pause_reading(ws, true);
	ws_start(ws, &handler, s);
	return 0;
}

/* ---- start; worker thread */

static int make_pipe(int p[2], struct lxm_err *e)
{
	if (pipe2(p, O_CLOEXEC) < 0)
		return lxm_err_sys(e, "make a pipe");
	(void)fcntl(p[1], F_SETPIPE_SZ, PIPE_BYTES);
	return 0;
}

struct ends {
	int in[2], out[2], err[2];
};

static void ends_close(struct ends *p)
{
	auto_fd_close(&p->in[0]);
	auto_fd_close(&p->in[1]);
	auto_fd_close(&p->out[0]);
	auto_fd_close(&p->out[1]);
	auto_fd_close(&p->err[0]);
	auto_fd_close(&p->err[1]);
}
LXM_AUTO_STRUCT(ends, struct ends, ends_close)

static int helper_start(struct session *x, struct ends *p, struct lxm_err *e)
{
	const char *cwd = x->rq.cwd;
	lxm_auto(strv) struct lxm_strv env = { 0 };
	lxm_auto(fd_close) int init = run_pidfd(x->run, e);
	lxm_auto(fd_close) int unified = -1;
	struct spawn_stdio io = { -1, -1, -1 };
	struct exec_job job = {
		.argv = x->rq.argv.v,
		.cwd = cwd,
		.uid = x->rq.uid,
		.gid = x->rq.gid,
		.pty = x->rq.interactive,
		.rows = x->rq.rows,
		.cols = x->rq.cols,
		.privileged = x->privileged,
		.keep_caps = plan_caps_default(),
		.seccomp = x->seccomp,
		.notify = x->notify,
		.cgroup_procs = x->cgroup_procs.v,
	};

	if (init < 0)
		return init;
	lxm_kv_each(kv, &x->rq.env)
		lxm_strv_take(&env, lxm_asprintf("%s=%s", kv->key, kv->value));
	job.env = env.v;
	unified = cgroup_open(&x->d->instances->cgroups, "unified", x->run->cgroup, ".", O_RDONLY | O_DIRECTORY);
	if (x->rq.websockets && !x->rq.interactive)
		io = (struct spawn_stdio){ p->in[0], p->out[1], p->err[1] };
	else if (x->rq.record)
		io = (struct spawn_stdio){ -1, x->log_fd[0], x->log_fd[1] };
	return spawn_exec(x->d->instances->spawner, &job, init, unified, &io, &x->report_sock, &x->helper_pidfd, e);
}

struct handover {
	struct session *x;
	struct ends *p;
	int r;
	struct lxm_err *e;
};

/* Loop thread: from here on the session is driven by events. */
static void take_over(void *arg)
{
	struct handover *h = arg;
	struct session *x = h->x;
	size_t k;

	if (x->rq.websockets && !x->rq.interactive) {
		stream_init(&x->s[S_IN], x->d->loop, LXM_TAKE(h->p->in[1], -1), x->ws[S_IN], false, true, NULL, x);
		stream_init(&x->s[S_OUT], x->d->loop, LXM_TAKE(h->p->out[0], -1), x->ws[S_OUT], true, false, on_output_end, x);
		stream_init(&x->s[S_ERR], x->d->loop, LXM_TAKE(h->p->err[0], -1), x->ws[S_ERR], true, false, on_output_end, x);
		for (k = 0; h->r == 0 && k < 3; k++)
			h->r = stream_start(&x->s[k], h->e);
		if (x->ws[S_IN])
			ws_pause_reading(x->ws[S_IN], false);
		else
			stream_write_end(&x->s[S_IN]);
	}
	if (h->r == 0)
		h->r = loop_add(x->d->loop, x->report_sock, EPOLLIN, on_report, x, &x->report, h->e);
}

static void cancel_program(void *arg)
{
	kill_program(arg, SIGKILL);
	session_unref(arg);
}

static void on_cancel(struct op *op, void *arg)
{
	struct session *x = arg;

	(void)op;
	/* before run(): the sockets did not all come; afterwards the program's end ends everything */
	loop_post(x->d->loop, x->report_sock < 0 ? drop_sockets : cancel_program, session_ref(x));
}

static int run_exec(struct op *op, void *arg, struct lxm_err *e)
{
	struct session *x = arg;
	lxm_auto(ends) struct ends p = { { -1, -1 }, { -1, -1 }, { -1, -1 } };
	struct handover h = { x, &p, 0, e };
	int r = 0;

	if (x->rq.websockets && !x->rq.interactive) {
		r = make_pipe(p.in, e);
		if (r == 0)
			r = make_pipe(p.out, e);
		if (r == 0)
			r = make_pipe(p.err, e);
	}
	if (r == 0)
		r = helper_start(x, &p, e);
	if (r < 0) {
		loop_post(x->d->loop, drop_sockets, session_ref(x));
		return lxm_err_wrap(e, r, "exec in instance '%s'", x->run->name);
	}
	/* the program's references to session and operation: finish() gives them back */
	session_ref(x);
	op_ref(op);
	loop_call(x->d->loop, take_over, &h);
	if (h.r < 0) {
		spawn_kill(&x->helper_pidfd);
		loop_post(x->d->loop, drop_sockets, session_ref(x));
		op_unref(op);
		session_unref(x);
		return h.r;
	}
	return OP_LATER;
}

/* LOG/PROJECT/NAME/exec_UUID.stdout and .stderr, and their URLs for the client. */
static int open_records(struct session *x, const struct instance *i, json_t *output, struct lxm_err *e)
{
	static const char *const suffix[] = { "stdout", "stderr" };
	lxm_auto(free) char *dir = lxm_asprintf("%s/%s/%s", x->d->dirs.log.path, i->row.project, i->row.name);
	char uuid[37];
	int k;

	lxm_uuid(uuid);
	if (lxm_mkdir_p(dir, 0700) < 0)
		return lxm_err_sys(e, "make the log directory of instance '%s'", i->row.name);
	for (k = 0; k < 2; k++) {
		lxm_auto(free) char *name = lxm_asprintf("exec_%s.%s", uuid, suffix[k]);
		lxm_auto(free) char *path = lxm_asprintf("%s/%s", dir, name);
		char key[2] = { (char)('1' + k), 0 };

		x->log_fd[k] = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
		if (x->log_fd[k] < 0)
			return lxm_err_sys(e, "make '%s'", name);
		json_object_set_new(output, key, json_sprintf("/1.0/instances/%s/logs/%s", i->row.name, name));
	}
	return 0;
}

static json_t *describe(const struct exec_request *rq, json_t *fds)
{
	return json_pack("{s:o, s:o, s:b, s:o}", "command", js_from_strv(&rq->argv), "environment", js_from_kv(&rq->env),
			 "interactive", rq->interactive, "fds", fds);
}

static void add_sockets(struct session *x, struct op *op)
{
	char secret[OP_SECRET_LEN + 1];
	json_t *fds = json_object();
	int k;

	for (k = 0; k < SOCKETS; k++) {
		bool required = k == S_CONTROL ? x->rq.interactive : true;

		if (x->rq.interactive && (k == S_OUT || k == S_ERR))
			continue;
		op_add_socket(op, socket_names[k], required, secret);
		json_object_set_new(fds, socket_names[k], json_string(secret));
	}
	op_set_metadata(op, describe(&x->rq, fds));
}

static int check_running(const struct instance *i, struct run *run, struct lxm_err *e)
{
	int status = run_status(run);

	if (status == API_FROZEN)
		return lxm_err_http(e, 400, EBUSY, "Instance is frozen: '%s'", i->row.name);
	if (status == API_STOPPED)
		return lxm_err_http(e, 400, ESRCH, "Instance is not running: '%s'", i->row.name);
	return 0;
}

int instance_exec(struct lxmd *d, const struct instance *i, struct exec_request *rq, const struct caller *caller,
		  struct op **op_out, struct lxm_err *e)
{
	struct session *x = lxm_alloc(sizeof(*x));
	lxm_auto(json) json_t *output = json_object();
	struct op_spec spec = {
		.cls = rq->websockets ? OP_WEBSOCKET : OP_TASK,
		.project = i->row.project,
		.description = "Executing command",
		.caller = caller,
		.run = run_exec,
		.cancel = on_cancel,
		.connect = connect_socket,
		.free_arg = session_unref,
		.arg = x,
	};
	lxm_auto(free) char *url = instance_url(i->row.name);
	int r, k;

	x->refs = 1;
	x->d = d;
	x->rq = *rq;
	memset(rq, 0, sizeof(*rq));
	x->report_sock = x->helper_pidfd = x->prog_pidfd = x->pty = x->log_fd[0] = x->log_fd[1] = -1;
	for (k = 0; k < 3; k++)
		x->s[k].fd = -1;
	x->privileged = instance_privileged(i);
	x->run = run_get(d, i->row.id);
	r = check_running(i, x->run, e);
	if (r == 0) {
		x->notify = instance_notify_path(d, i);
		r = instance_seccomp(d, i, x->notify != NULL, &x->seccomp, e);
	}
	if (r == 0 && x->rq.record && !x->rq.websockets)
		r = open_records(x, i, output, e);
	if (r < 0) {
		session_unref(x);
		return r;
	}
	cgroup_exec_paths(&d->instances->cgroups, d->instances->cgroup_parent, strrchr(x->run->cgroup, '/') + 1,
			  &x->cgroup_procs);
	spec.resources = instance_resources(i->row.name);
	r = op_new(d, &spec, &x->op, e);
	if (r < 0)
		return r;
	if (x->rq.websockets)
		add_sockets(x, x->op);
	else if (x->rq.record)
		op_set_metadata(x->op, json_pack("{s:O}", "output", output));
	*op_out = x->op;
	event_lifecycle(d, i->row.project, "instance-exec", url, json_pack("{s:o}", "command", js_from_strv(&x->rq.argv)), caller);
	return 0;
}
