/*
 * Console sessions: the monitor hands out a socket that carries the console's bytes, lxmd joins it with the client's
 * websocket. Lives on the loop thread once run() has handed it over. Ends when the client detaches (a Close frame on
 * control), when somebody takes the console over, or when the instance stops.
 */
#include "lxmd/instance/console.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "lib/api/json.h"
#include "lib/base/alloc.h"
#include "lib/wire/monitor.h"
#include "lxmd/core/daemon.h"
#include "lxmd/core/event.h"
#include "lxmd/core/loop.h"
#include "lxmd/core/op.h"
#include "lxmd/core/workers.h"
#include "lxmd/core/ws.h"
#include "lxmd/instance/instance.h"
#include "lxmd/instance/run.h"
#include "lxmd/instance/stream.h"

#define CALL_MS 5000

enum { C_DATA, C_CONTROL, SOCKETS };

struct console {
	int refs; /* atomic: the operation's, one for each websocket, one while attached */
	struct lxmd *d;
	struct op *op;
	struct run *run;
	uint32_t cols, rows;
	bool force;
	bool attached, finished;
	struct stream s;
	struct ws *ws[SOCKETS];
};

struct slot {
	struct console *c;
	int index;
};

static struct console *console_ref(struct console *c)
{
	__atomic_add_fetch(&c->refs, 1, __ATOMIC_RELAXED);
	return c;
}

static void console_unref(void *arg)
{
	struct console *c = arg;

	if (__atomic_sub_fetch(&c->refs, 1, __ATOMIC_ACQ_REL))
		return;
	stream_close(&c->s);
	ws_unref(c->ws[C_DATA]);
	ws_unref(c->ws[C_CONTROL]);
	run_unref(c->run);
	free(c);
}

/* Loop thread. */
static void finish(struct console *c)
{
	if (c->finished)
		return;
	c->finished = true;
	stream_close(&c->s);
	if (c->ws[C_DATA])
		(void)ws_send(c->ws[C_DATA], WS_TEXT, "", 0);
	if (c->attached)
		op_finish(c->op, NULL);
	if (c->ws[C_DATA])
		ws_close(c->ws[C_DATA]);
	if (c->ws[C_CONTROL])
		ws_close(c->ws[C_CONTROL]);
	if (!c->attached)
		return;
	op_unref(c->op);
	loop_post(c->d->loop, console_unref, c);
}

static void finish_job(void *arg)
{
	finish(arg);
	console_unref(arg);
}

static void on_console_end(struct stream *s, void *arg)
{
	(void)s;
	finish(arg);
}

struct resize {
	struct console *c;
	uint32_t cols, rows;
};

static void resize_job(void *arg)
{
	struct resize *z = arg;

	(void)mon_call(z->c->run->rundir, MON_CONSOLE_SIZE, 0, z->rows, z->cols, -1, CALL_MS, NULL, NULL, NULL);
	console_unref(z->c);
	free(z);
}

static void on_control(struct console *c, const char *text, size_t len)
{
	lxm_auto(json) json_t *o = NULL;
	uint64_t cols, rows;
	struct resize *z;

	if (js_parse(text, len, &o, NULL) < 0 || !lxm_streq(js_str(o, "command"), "window-resize"))
		return;
	if (lxm_parse_u64(js_str(js_get(o, "args"), "width"), &cols) < 0 ||
	    lxm_parse_u64(js_str(js_get(o, "args"), "height"), &rows) < 0 || cols > 65535 || rows > 65535)
		return;
	z = lxm_alloc(sizeof(*z));
	*z = (struct resize){ console_ref(c), (uint32_t)cols, (uint32_t)rows };
	workers_run(c->d->workers, resize_job, z);
}

static void ws_message(struct ws *ws, int opcode, const void *data, size_t len, bool fin, void *arg)
{
	struct slot *s = arg;

	(void)ws;
	(void)fin;
	if (s->index == C_CONTROL && opcode == WS_TEXT)
		on_control(s->c, data, len);
	else if (s->index == C_DATA && opcode == WS_BINARY)
		stream_write(&s->c->s, data, len);
}

static void ws_closed(struct ws *ws, int code, void *arg)
{
	struct slot *s = arg;
	struct console *c = s->c;

	(void)ws;
	(void)code;
	ws_unref(c->ws[s->index]);
	c->ws[s->index] = NULL;
	if (s->index == C_DATA)
		c->s.ws = NULL;
	finish(c);
	console_unref(c);
	free(s);
}

static void ws_drained(struct ws *ws, void *arg)
{
	struct slot *s = arg;

	(void)ws;
	if (s->index == C_DATA)
		stream_writable(&s->c->s);
}

static const struct ws_handler handler = { .on_message = ws_message, .on_close = ws_closed, .on_writable = ws_drained };

static int connect_socket(struct op *op, const char *name, struct ws *ws, void *arg)
{
	struct console *c = arg;
	struct slot *s = lxm_alloc(sizeof(*s));

	(void)op;
	s->c = console_ref(c);
	s->index = lxm_streq(name, "control") ? C_CONTROL : C_DATA;
	c->ws[s->index] = ws_ref(ws);
	if (s->index == C_DATA)
		ws_pause_reading(ws, true);
	ws_start(ws, &handler, s);
	return 0;
}

struct handover {
	struct console *c;
	int fd, r;
	struct lxm_err *e;
};

/* Loop thread. */
static void take_over(void *arg)
{
	struct handover *h = arg;
	struct console *c = h->c;

	stream_init(&c->s, c->d->loop, h->fd, c->ws[C_DATA], true, true, on_console_end, c);
	h->r = stream_start(&c->s, h->e);
	if (h->r < 0)
		return;
	c->attached = true;
	if (c->ws[C_DATA])
		ws_pause_reading(c->ws[C_DATA], false);
	if (!c->ws[C_DATA] || !c->ws[C_CONTROL] || c->finished) {
		c->finished = false;
		finish(c);
	}
}

static int run_console(struct op *op, void *arg, struct lxm_err *e)
{
	struct console *c = arg;
	struct handover h = { c, -1, 0, e };
	int r = mon_call(c->run->rundir, MON_CONSOLE, c->force, c->rows, c->cols, -1, CALL_MS, NULL, &h.fd, e);

	if (r == -EBUSY)
		r = lxm_err_set(e, EBUSY, "the console of instance '%s' is in use: attach with force to take it over",
				c->run->name);
	if (r == 0 && h.fd < 0)
		r = lxm_err_set(e, EIO, "the monitor of instance '%s' gave no console", c->run->name);
	if (r == 0) {
		console_ref(c);
		op_ref(op);
		loop_call(c->d->loop, take_over, &h);
		if (h.r == 0)
			return OP_LATER;
		r = h.r;
		op_unref(op);
		console_unref(c);
	}
	loop_post(c->d->loop, finish_job, console_ref(c));
	return r;
}

static void on_cancel(struct op *op, void *arg)
{
	struct console *c = arg;

	(void)op;
	loop_post(c->d->loop, finish_job, console_ref(c));
}

int instance_console(struct lxmd *d, const struct instance *i, uint32_t cols, uint32_t rows, bool force,
		     const struct caller *caller, struct op **op_out, struct lxm_err *e)
{
	struct console *c = lxm_alloc(sizeof(*c));
	struct op_spec spec = {
		.cls = OP_WEBSOCKET,
		.project = i->row.project,
		.description = "Showing console",
		.caller = caller,
		.run = run_console,
		.cancel = on_cancel,
		.connect = connect_socket,
		.free_arg = console_unref,
		.arg = c,
	};
	char data[OP_SECRET_LEN + 1], control[OP_SECRET_LEN + 1];
	lxm_auto(free) char *url = instance_url(i->row.name);
	int r;

	c->refs = 1;
	c->d = d;
	c->s.fd = -1;
	c->cols = cols;
	c->rows = rows;
	c->force = force;
	c->run = run_get(d, i->row.id);
	if (run_status(c->run) == API_STOPPED) {
		console_unref(c);
		return lxm_err_http(e, 400, ESRCH, "Instance is not running: '%s'", i->row.name);
	}
	spec.resources = instance_resources(i->row.name);
	r = op_new(d, &spec, op_out, e);
	if (r < 0)
		return r;
	c->op = *op_out;
	op_add_socket(c->op, "0", true, data);
	op_add_socket(c->op, "control", true, control);
	op_set_metadata(c->op, json_pack("{s:{s:s, s:s}}", "fds", "0", data, "control", control));
	event_lifecycle(d, i->row.project, "instance-console", url, json_pack("{s:s}", "type", "console"), caller);
	return 0;
}

static char *log_path(struct lxmd *d, const struct instance *i)
{
	return lxm_asprintf("%s/%s/%s/console.log", d->dirs.log.path, i->row.project, i->row.name);
}

int instance_console_log(struct lxmd *d, const struct instance *i, int *fd_out, struct lxm_err *e)
{
	lxm_auto(run_unref) struct run *run = run_get(d, i->row.id);
	lxm_auto(free) char *path = log_path(d, i);

	*fd_out = -1;
	if (run_status(run) != API_STOPPED)
		return mon_call(run->rundir, MON_CONSOLE_LOG, 0, 0, 0, -1, CALL_MS, NULL, fd_out, e);
	*fd_out = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	return *fd_out < 0 && errno != ENOENT ? lxm_err_sys(e, "open the console log of instance '%s'", i->row.name) : 0;
}

int instance_console_clear(struct lxmd *d, const struct instance *i, struct lxm_err *e)
{
	lxm_auto(run_unref) struct run *run = run_get(d, i->row.id);
	lxm_auto(free) char *path = log_path(d, i);

	if (run_status(run) != API_STOPPED)
		return mon_call(run->rundir, MON_CONSOLE_CLEAR, 0, 0, 0, -1, CALL_MS, NULL, NULL, e);
	return unlink(path) < 0 && errno != ENOENT ? lxm_err_sys(e, "clear the console log of instance '%s'", i->row.name) : 0;
}
