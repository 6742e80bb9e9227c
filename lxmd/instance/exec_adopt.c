/*
 * Exec sessions that an earlier lxmd left behind. Their helpers wait with the instance's monitor (lib/wire/exec.h); each is asked for its
 * state and becomes an operation again, with its old id and with fresh secrets for its websockets. Its output stays in the
 * kernel until a client comes.
 *
 * The helper runs in the container's namespaces, so what it says about its session is taken as a claim: project and instance are
 * those of the monitor that gave it away, and all else concerns this session only.
 */
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "lib/api/json.h"
#include "lib/base/alloc.h"
#include "lib/base/fd.h"
#include "lib/base/log.h"
#include "lib/wire/monitor.h"
#include "lxmd/core/daemon.h"
#include "lxmd/core/op.h"
#include "lxmd/instance/exec_priv.h"
#include "lxmd/instance/instance.h"
#include "lxmd/instance/run.h"

#define ANSWER_MS 1000 /* a frozen helper does not answer: it comes again once it thaws */
#define CALL_MS	  2000

/* What a helper answered. */
struct state {
	int sock;
	int fds[EXEC_FDS]; /* as they came */
	struct exec_report r;
	struct exec_view job;
};

static void state_deinit(struct state *s)
{
	auto_fd_close(&s->sock);
	exec_fds_close(s->fds);
	exec_job_close(&s->job);
}
LXM_AUTO_STRUCT(state, struct state, state_deinit)

static int ask(struct state *s, struct lxm_err *e)
{
	static const struct exec_report question = { .kind = EXEC_ASK };
	struct pollfd p = { .fd = s->sock, .events = POLLIN };
	unsigned char buf[EXEC_REPORT_MAX];
	int r = exec_report_send(s->sock, &question, NULL, 0);

	if (r < 0)
		return lxm_err_set(e, -r, "ask an exec session");
	if (poll(&p, 1, ANSWER_MS) <= 0)
		return lxm_err_set(e, ETIMEDOUT, "an exec session does not answer");
	r = exec_report_recv(s->sock, &s->r, buf, s->fds, MSG_DONTWAIT, e);
	s->r.text = "";
	if (r != 1 || s->r.kind != EXEC_STATE || s->fds[1] < 0)
		return lxm_err_set(e, EBADMSG, "an exec session answers with something else");
	return exec_job_open(s->fds[0], &s->job, e);
}

/* Names that end up in a URL: ours look like this. */
static char *log_name(const json_t *logs, size_t k)
{
	const char *s = json_string_value(json_array_get(logs, k));
	size_t n = s ? strspn(s, "abcdefghijklmnopqrstuvwxyz0123456789-_.") : 0;

	return s && lxm_starts(s, "exec_") && !s[n] && n < 64 ? lxm_strdup(s) : NULL;
}

static void take_request(struct session *x, const struct exec_job *j, const json_t *tag)
{
	const json_t *logs = js_get(tag, "logs");
	char *const *p;

	for (p = j->argv; *p; p++)
		lxm_strv_add(&x->rq.argv, *p);
	for (p = j->env; *p; p++) {
		const char *eq = strchr(*p, '=');
		lxm_auto(free) char *key = eq ? lxm_strndup(*p, (size_t)(eq - *p)) : NULL;

		if (eq)
			lxm_kv_set(&x->rq.env, key, eq + 1);
	}
	x->rq.cwd = lxm_empty(j->cwd) ? NULL : lxm_strdup(j->cwd);
	x->rq.uid = j->uid;
	x->rq.gid = j->gid;
	x->rq.interactive = j->pty;
	x->rq.websockets = !j->lasting;
	x->created_at = js_int(tag, "created_at", 0);
	x->log_name[0] = log_name(logs, 0);
	x->log_name[1] = log_name(logs, 1);
	x->rq.record = x->log_name[0] && x->log_name[1];
}

static void take_descriptors(struct session *x, struct state *s)
{
	unsigned int k, at = 2;

	x->report_sock = LXM_TAKE(s->sock, -1);
	x->prog_pidfd = LXM_TAKE(s->fds[1], -1);
	for (k = 0; k < 4 && at < EXEC_FDS; k++)
		if (s->r.have >> k & 1)
			x->end[k] = LXM_TAKE(s->fds[at], -1), at++;
	x->exited = s->r.have & EXEC_HAVE_EXITED;
	x->status = s->r.status;
	x->shown.pid = s->r.pid;
	x->shown.exited = x->exited;
	x->shown.status = x->status;
}

struct watching {
	struct session *x;
	int r;
	struct lxm_err *e;
};

/* Loop thread, where sessions end: this one does not before its operation has started. */
static void go_on(void *arg)
{
	struct watching *w = arg;
	struct session *x = w->x;

	execs_add(x);
	w->r = loop_add(x->d->loop, x->report_sock, EPOLLIN, session_report, x, &x->report, w->e);
	op_start(x->op);
	session_check_end(x);
}

static int make_operation(struct session *x, const json_t *tag, struct lxm_err *e)
{
	struct op_spec spec = exec_op_spec(x);
	struct caller who = { .trust = CALLER_UNTRUSTED, .uid = (uid_t)-1, .gid = (gid_t)-1 };
	const char *id = js_str(tag, "id");

	(void)snprintf(who.username, sizeof(who.username), "%s", js_str_or(tag, "username", ""));
	(void)snprintf(who.protocol, sizeof(who.protocol), "%s", js_str_or(tag, "protocol", ""));
	(void)snprintf(who.address, sizeof(who.address), "%s", js_str_or(tag, "address", ""));
	spec.id = lxm_is_uuid(id) ? id : NULL;
	spec.created_at = x->created_at;
	spec.connect_ms = (int64_t)x->d->instances->exec_grace_s * 1000;
	spec.caller = &who;
	return op_new(x->d, &spec, &x->op, e);
}

static int adopt(struct run *run, struct state *s, struct lxm_err *e)
{
	lxm_auto(json) json_t *tag = NULL;
	struct session *x;
	struct watching w = { NULL, 0, e };
	struct op *op;
	int r = ask(s, e);

	if (r == 0)
		r = js_parse(s->job.job.tag, strlen(s->job.job.tag), &tag, e);
	if (r < 0)
		return r;
	x = w.x = session_new(run->d, run_ref(run));
	x->adopted = true;
	take_request(x, &s->job.job, tag);
	take_descriptors(x, s);
	x->waiting = x->rq.websockets;
	r = make_operation(x, tag, e);
	if (r < 0)
		return r;
	op = x->op;
	if (x->rq.websockets)
		exec_add_sockets(x);
	else if (x->rq.record)
		op_set_metadata(op, exec_output(x));
	/* the program's references: finish() gives them back */
	session_ref(x);
	op_ref(op);
	op_set_lasting(op);
	loop_call(x->d->loop, go_on, &w);
	lxm_debug("instance '%s': exec session '%s' goes on", run->name, op_id(op));
	op_unref(op);
	return w.r;
}

void execs_adopt(struct run *run)
{
	struct lxm_err e = { 0 };
	int32_t left = 1;

	while (left > 0) {
		lxm_auto(state) struct state s = { .sock = -1, .fds = { -1, -1, -1, -1, -1, -1 } };

		lxm_err_clear(&e);
		if (mon_call(run->rundir, MON_SESSION, 0, 0, 0, -1, CALL_MS, &left, &s.sock, &e) < 0) {
			lxm_warn("instance '%s': its exec sessions: %s", run->name, e.msg);
			return;
		}
		if (s.sock >= 0 && adopt(run, &s, &e) < 0)
			lxm_warn("instance '%s': %s", run->name, e.msg);
	}
}
