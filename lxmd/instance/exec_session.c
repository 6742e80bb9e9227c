/*
 * An exec session while it runs, on the loop thread, so it needs no lock: what the helper reports, what the client's
 * websockets bring, and the end. Each stream stops reading while the other side is slow; nothing is buffered without bound.
 *
 * End: the program exits -> outputs are read until they end, or until they were silent for a while (a background child
 * may hold them) -> control closed, outputs marked as ended -> `return` -> final state -> the helper may go.
 */
#include "lxmd/instance/exec_priv.h"

#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "lib/api/json.h"
#include "lib/base/alloc.h"
#include "lib/base/fd.h"
#include "lib/base/log.h"
#include "lib/base/sys.h"
#include "lxmd/core/daemon.h"
#include "lxmd/core/op.h"
#include "lxmd/core/workers.h"
#include "lxmd/core/ws.h"
#include "lxmd/instance/run.h"
#include "lxmd/spawn/spawn.h"

#define SILENCE_MS 200 /* outputs that were silent this long after the exit are done */

const char *const exec_socket_names[SOCKETS] = { "0", "1", "2", "control" };

struct session *session_ref(struct session *x)
{
	__atomic_add_fetch(&x->refs, 1, __ATOMIC_RELAXED);
	return x;
}

struct session *session_new(struct lxmd *d, struct run *run)
{
	struct session *x = lxm_alloc(sizeof(*x));
	int k;

	x->refs = 1;
	x->d = d;
	x->run = run;
	x->report_sock = x->helper_pidfd = x->prog_pidfd = x->pty = x->log_fd[0] = x->log_fd[1] = -1;
	for (k = 0; k < 3; k++)
		x->s[k].fd = -1;
	for (k = 0; k < 4; k++)
		x->end[k] = -1;
	return x;
}

void session_unref(void *arg)
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
	for (k = 0; k < 4; k++)
		auto_fd_close(&x->end[k]);
	for (k = 0; k < 2; k++)
		free(x->log_name[k]);
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

void session_drop_sockets(void *arg)
{
	struct session *x = arg;
	size_t k;

	for (k = 0; k < SOCKETS; k++)
		if (x->ws[k])
			ws_close(x->ws[k]);
	session_unref(x);
}

static void tell_helper(struct session *x, uint32_t kind, uint32_t have)
{
	const struct exec_report order = { .kind = kind, .have = have };

	/* a helper that is gone needs no orders */
	if (x->report_sock >= 0)
		(void)exec_report_send(x->report_sock, &order, NULL, 0);
}

void session_signal(struct session *x, int sig)
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
			session_signal(x, sig);
}

/*
 * Kernels before 6.9 know a process group by number alone. The program lives while its descriptor takes a signal, so that the number
 * is still its own; it is known to us only in our pid namespace.
 */
static int kill_group_by_number(int pidfd)
{
	pid_t pid = lxm_pidfd_pid(pidfd);

	return pid > 1 && sys_pidfd_send_signal(pidfd, 0) == 0 ? kill(-pid, SIGKILL) : -1;
}

/* The program and what it started in its process group, as a hang-up of a terminal would. */
static void kill_group(struct session *x)
{
	int pidfd = x->prog_pidfd;

	if (pidfd < 0 || (!x->exited && sys_pidfd_signal_group(pidfd, SIGKILL) < 0 && kill_group_by_number(pidfd) < 0))
		session_signal(x, SIGKILL);
}

static void shut_pty(struct session *x)
{
	session_signal(x, SIGHUP);
	x->s[S_OUT].on_end = NULL;
	stream_close(&x->s[S_OUT]); /* closing the master hangs the pty up */
	auto_fd_close(&x->pty);
	auto_fd_close(&x->end[3]);
	tell_helper(x, EXEC_SHUT, EXEC_HAVE_PTY);
}

void session_hang_up(struct session *x)
{
	if (x->rq.interactive)
		shut_pty(x);
	kill_group(x);
}

/* ---- the end; loop thread */

static void finish_later(void *arg);

static void reap_helper(void *arg)
{
	int fd = (int)(intptr_t)arg;

	(void)spawn_wait(fd, 10000, NULL);
	(void)close(fd);
}

/* All is read: tell the client in the order of the contract. */
static void finish(struct session *x)
{
	size_t k;

	if (x->finished)
		return;
	x->finished = true;
	loop_del(x->report);
	x->report = NULL;
	(void)loop_timer_cancel(x->d->loop, x->timer);
	execs_remove(x);
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
	/* last: the helper keeps status and output until the client has been told */
	tell_helper(x, EXEC_DONE, 0);
	if (x->helper_pidfd >= 0)
		workers_run(x->d->workers, reap_helper, (void *)(intptr_t)LXM_TAKE(x->helper_pidfd, -1));
	op_unref(x->op);
	/* callers up the stack still look at the session */
	loop_post(x->d->loop, session_unref, x);
}

/* After the exit: done when each output has ended, or was silent for a while with nothing on its way. */
void session_check_end(struct session *x)
{
	int64_t now = lxm_mono_ms(), wait = 0;
	size_t k;

	if (!x->exited || x->finished || x->waiting)
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
	session_check_end(x);
}

static void on_output_end(struct stream *s, void *arg)
{
	(void)s;
	session_check_end(arg);
}

/* ---- the helper's reports; loop thread */

/* Silence counts from now, and what a full pipe cannot hold was written by others than the program. */
static void bound_outputs(struct session *x)
{
	size_t k;

	for (k = 0; k < 3; k++) {
		x->s[k].last_ms = lxm_mono_ms();
		stream_bound(&x->s[k], x->ws[x->rq.interactive ? S_IN : k] ? PIPE_BYTES : 0);
	}
}

static void program_ended(struct session *x, int status)
{
	x->exited = true;
	x->status = status;
	execs_show_exit(x, status);
	bound_outputs(x);
	if (!x->rq.interactive)
		stream_close(&x->s[S_IN]);
	session_check_end(x);
}

static void program_failed(struct session *x, const struct exec_report *r)
{
	if (r->status == 127)
		lxm_err_set(&x->err, ENOENT, "Command not found: '%s'", x->rq.argv.n ? x->rq.argv.v[0] : "");
	else if (r->code == ESRCH)
		lxm_err_set(&x->err, ESRCH, "Command not run: %s", r->text);
	else
		lxm_err_set(&x->err, r->code ? r->code : EACCES, "Command not executable%s%s", lxm_empty(r->text) ? "" : ": ",
			    lxm_empty(r->text) ? "" : r->text);
	if (r->text && *r->text)
		lxm_debug("exec in '%s': %s", x->run->name, r->text);
	program_ended(x, r->status);
}

/* The client ended stdin, or the program closed it: the copy goes as well. */
static void on_input_end(struct stream *s, void *arg)
{
	(void)s;
	tell_helper(arg, EXEC_SHUT, EXEC_HAVE_IN);
}

int session_stream(struct session *x, int in, int out, int err, struct lxm_err *e)
{
	int r = 0;
	size_t k;

	if (x->rq.interactive) {
		x->pty = fcntl(out, F_DUPFD_CLOEXEC, 3); /* kept for resizing; the stream owns the other one */
		stream_init(&x->s[S_OUT], x->d->loop, out, x->ws[S_IN], out >= 0, true, on_output_end, x);
		r = stream_start(&x->s[S_OUT], e);
	} else {
		stream_init(&x->s[S_IN], x->d->loop, in, x->ws[S_IN], false, true, on_input_end, x);
		stream_init(&x->s[S_OUT], x->d->loop, out, x->ws[S_OUT], out >= 0, false, on_output_end, x);
		stream_init(&x->s[S_ERR], x->d->loop, err, x->ws[S_ERR], err >= 0, false, on_output_end, x);
		for (k = 0; r == 0 && k < 3; k++)
			r = stream_start(&x->s[k], e);
	}
	if (x->exited)
		bound_outputs(x);
	if (x->ws[S_IN])
		ws_pause_reading(x->ws[S_IN], false);
	else if (!x->rq.interactive)
		stream_write_end(&x->s[S_IN]);
	return r;
}

static void program_started(struct session *x, const struct exec_report *r, int fds[EXEC_FDS])
{
	struct lxm_err e = { 0 };

	x->prog_pidfd = LXM_TAKE(fds[0], -1);
	execs_show(x, r->pid, x->rq.websockets);
	send_early_signals(x);
	if (fds[1] >= 0 && session_stream(x, -1, LXM_TAKE(fds[1], -1), -1, &e) < 0)
		lxm_error("exec in '%s': %s", x->run->name, e.msg);
	/* the client may have vanished meanwhile */
	if (x->ws[S_CONTROL] == NULL && x->rq.websockets && x->rq.interactive)
		session_hang_up(x);
}

void session_report(int fd, uint32_t revents, void *arg)
{
	unsigned char buf[EXEC_REPORT_MAX];
	struct session *x = arg;
	struct exec_report r;
	int fds[EXEC_FDS];
	int got = exec_report_recv(fd, &r, buf, fds, MSG_DONTWAIT, NULL);

	(void)revents;
	if (got == -EAGAIN)
		return;
	if (got <= 0) { /* the helper was killed, and with it goes what a client could come for */
		loop_del(x->report);
		x->report = NULL;
		x->waiting = false;
		program_ended(x, x->exited ? x->status : 137);
	} else if (r.kind == EXEC_STARTED) {
		program_started(x, &r, fds);
	} else if (r.kind == EXEC_FAILED) {
		program_failed(x, &r);
	} else if (r.kind == EXEC_EXITED) {
		program_ended(x, r.status);
	}
	if (got > 0)
		exec_fds_close(fds);
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
			session_signal(x, (int)sig);
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
		shut_pty(x);
	} else if (slot == S_IN) {
		x->s[S_IN].ws = NULL;
		stream_write_end(&x->s[S_IN]);
	} else if (slot == S_OUT || slot == S_ERR) {
		/* nobody reads any more: the program shall hear of it, as at the end of a shell's pipe */
		x->s[slot].on_end = NULL;
		stream_close(&x->s[slot]);
		tell_helper(x, EXEC_SHUT, slot == S_OUT ? EXEC_HAVE_OUT : EXEC_HAVE_ERR);
	}
	if (slot == S_CONTROL || (slot == S_OUT && !x->ws[S_CONTROL]))
		kill_group(x);
	session_check_end(x);
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
	session_check_end(x);
}

static const struct ws_handler handler = { .on_message = ws_message, .on_close = ws_closed, .on_writable = ws_drained };

int session_connect(struct op *op, const char *name, struct ws *ws, void *arg)
{
	struct session *x = arg;
	struct slot *s;
	int k;

	(void)op;
	for (k = 0; k < SOCKETS; k++)
		if (lxm_streq(exec_socket_names[k], name))
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

void session_let_go(struct session *x)
{
	size_t k;

	x->finished = true;
	(void)loop_timer_cancel(x->d->loop, x->timer);
	loop_del(x->report);
	x->report = NULL;
	for (k = 0; k < 3; k++)
		stream_close(&x->s[k]);
	for (k = 0; k < SOCKETS; k++)
		if (x->ws[k])
			ws_abort(x->ws[k]);
	op_unref(x->op);
	loop_post(x->d->loop, session_unref, x);
}
