/*
 * Exec sessions: what is asked becomes a job for lxm-helper, which runs the program inside (start, on a worker);
 * exec_session.c then moves bytes between its pipes (or pty) and the client's websockets. A session outlives lxmd: see
 * lib/wire/exec.h for who holds what meanwhile, and exec_adopt.c for how the next lxmd goes on with it.
 */
#include "lxmd/instance/exec_priv.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>

#include "lib/api/json.h"
#include "lib/base/alloc.h"
#include "lib/base/fd.h"
#include "lib/wire/plan.h"
#include "lxmd/core/daemon.h"
#include "lxmd/core/event.h"
#include "lxmd/core/op.h"
#include "lxmd/instance/apparmor.h"
#include "lxmd/instance/effective.h"
#include "lxmd/instance/instance.h"
#include "lxmd/instance/intercept.h"
#include "lxmd/instance/life.h"
#include "lxmd/instance/plan.h"
#include "lxmd/instance/run.h"
#include "lxmd/spawn/spawn.h"

void exec_env(const struct instance *i, uint32_t uid, const struct lxm_kv *request, struct lxm_kv *out)
{
	lxm_auto(kv) struct lxm_kv room = { 0 };
	const struct lxm_kv *config = instance_effective(i, &room);

	lxm_kv_set(out, "PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
	lxm_kv_set(out, "LANG", "C.UTF-8");
	if (uid == 0) {
		lxm_kv_set(out, "HOME", "/root");
		lxm_kv_set(out, "USER", "root");
	}
	lxm_kv_each(p, config)
		if (lxm_starts(p->key, "environment."))
			lxm_kv_set(out, p->key + 12, p->value);
	lxm_kv_merge(out, request);
}

/* ---- start; worker thread */

/* It belongs to the program's user: scripts open /dev/stderr by its name. */
static int make_pipe(const struct session *x, int p[2], struct lxm_err *e)
{
	if (pipe2(p, O_CLOEXEC) < 0)
		return lxm_err_sys(e, "make a pipe");
	if (fchown(p[1], x->owner, x->group) < 0)
		return lxm_err_sys(e, "own a pipe");
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

/* Where the program's ends of the pipes go, and ours to be kept. */
static void choose_ends(const struct session *x, const struct ends *p, struct spawn_session *io)
{
	if (x->rq.websockets && !x->rq.interactive) {
		io->std[0] = p->in[0];
		io->std[1] = p->out[1];
		io->std[2] = p->err[1];
		io->keep[0] = p->in[1];
		io->keep[1] = p->out[0];
		io->keep[2] = p->err[0];
	} else if (x->rq.record) {
		io->std[1] = x->log_fd[0];
		io->std[2] = x->log_fd[1];
	}
}

/* What the next lxmd has to know and the job does not say. */
static char *make_tag(const struct session *x)
{
	const struct caller *c = op_caller(x->op);
	lxm_auto(json) json_t *o = json_object();

	json_object_set_new(o, "id", json_string(op_id(x->op)));
	json_object_set_new(o, "created_at", json_integer(x->created_at));
	json_object_set_new(o, "websockets", json_boolean(x->rq.websockets));
	json_object_set_new(o, "username", js_string(c->username));
	json_object_set_new(o, "protocol", js_string(c->protocol));
	json_object_set_new(o, "address", js_string(c->address));
	if (x->log_name[0])
		json_object_set_new(o, "logs", json_pack("[s, s]", x->log_name[0], x->log_name[1]));
	return js_text(o);
}

/* What init lives under now, which may be other than what a start would choose today. */
static int find_label(const struct session *x, char label[APPARMOR_LABEL], struct lxm_err *e)
{
	pid_t init;

	pthread_mutex_lock(&x->run->lock);
	init = x->run->init_pid;
	pthread_mutex_unlock(&x->run->lock);
	return apparmor_of(x->d->instances->apparmor, init, label, e);
}

static bool has_ended(int pidfd)
{
	return poll(&(struct pollfd){ .fd = pidfd, .events = POLLIN }, 1, 0) > 0;
}

static int helper_start(struct session *x, struct ends *p, struct lxm_err *e)
{
	lxm_auto(strv) struct lxm_strv env = { 0 };
	lxm_auto(free) char *tag = make_tag(x);
	lxm_auto(fd_close) int init = run_pidfd(x->run, e);
	lxm_auto(fd_close) int park = run_park(x->run);
	lxm_auto(fd_close) int unified = -1;
	struct spawn_session io = { { -1, -1, -1 }, { -1, -1, -1 }, -1, -1, -1 };
	char label[APPARMOR_LABEL];
	struct exec_job job = {
		.argv = x->rq.argv.v,
		.cwd = x->rq.cwd,
		.uid = x->rq.uid,
		.gid = x->rq.gid,
		.pty = x->rq.interactive,
		.rows = x->rq.rows,
		.cols = x->rq.cols,
		.privileged = x->privileged,
		.keep_caps = x->caps,
		.seccomp = x->seccomp,
		.apparmor = label,
		.notify = x->notify,
		.rlimits = x->rlimits,
		.nrlimits = x->nrlimits,
		.lasting = !x->rq.websockets,
		.grace_s = x->d->instances->exec_grace_s,
		.tag = tag,
		.cgroup_procs = x->cgroup_procs.v,
	};
	int r;

	if (init < 0)
		return init;
	r = find_label(x, label, e);
	/* its files went with it, or are those of whoever has its number now */
	if (has_ended(init))
		return lxm_err_http(e, 400, ESRCH, "the instance is stopping");
	if (r < 0)
		return r;
	lxm_kv_each(kv, &x->rq.env)
		lxm_strv_take(&env, lxm_asprintf("%s=%s", kv->key, kv->value));
	job.env = env.v;
	unified = cgroup_open(&x->d->instances->cgroups, "unified", x->run->cgroup, ".", O_RDONLY | O_DIRECTORY);
	choose_ends(x, p, &io);
	io.init = init;
	io.park = park;
	io.unified = unified;
	r = spawn_exec(x->d->instances->spawner, &job, &io, &x->report_sock, &x->helper_pidfd, e);
	/* its cgroups may have gone away under our hands */
	if (r < 0 && has_ended(init))
		return lxm_err_http(e, 400, ESRCH, "the instance is stopping");
	/* the program has them, and with it the lock that keeps them from being cleared away */
	auto_fd_close(&x->log_fd[0]);
	auto_fd_close(&x->log_fd[1]);
	return r;
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

	execs_add(x);
	if (x->rq.websockets && !x->rq.interactive)
		h->r = session_stream(x, LXM_TAKE(h->p->in[1], -1), LXM_TAKE(h->p->out[0], -1), LXM_TAKE(h->p->err[0], -1), h->e);
	if (h->r == 0)
		h->r = loop_add(x->d->loop, x->report_sock, EPOLLIN, session_report, x, &x->report, h->e);
	if (h->r < 0)
		execs_remove(x);
}

static void cancel_program(void *arg)
{
	session_signal(arg, SIGKILL);
	session_unref(arg);
}

/* Loop thread: an adopted session for which nobody came in time. Whoever ends the operation first says the same. */
static void give_up(void *arg)
{
	struct session *x = arg;

	if (!x->waiting)
		return;
	x->waiting = false;
	lxm_err_set(&x->err, ETIMEDOUT, OP_NOBODY_CAME);
	if (x->exited)
		session_check_end(x);
	else
		session_hang_up(x);
}

static void on_cancel(struct op *op, void *arg)
{
	struct session *x = arg;

	(void)op;
	if (x->adopted)
		loop_call(x->d->loop, give_up, x);
	/* before run(): the sockets did not all come; afterwards the program's end ends everything */
	loop_post(x->d->loop, x->report_sock < 0 || x->adopted ? session_drop_sockets : cancel_program, session_ref(x));
}

/* Loop thread: somebody came for an adopted session. */
static void resume(void *arg)
{
	struct handover *h = arg;
	struct session *x = h->x;
	int out = x->rq.interactive ? 3 : 1;

	if (!x->waiting)
		return;
	x->waiting = false;
	h->r = session_stream(x, LXM_TAKE(x->end[0], -1), LXM_TAKE(x->end[out], -1), LXM_TAKE(x->end[2], -1), h->e);
	execs_show(x, 0, true);
	session_check_end(x);
}

static int start_program(struct op *op, struct session *x, struct lxm_err *e)
{
	lxm_auto(ends) struct ends p = { { -1, -1 }, { -1, -1 }, { -1, -1 } };
	struct handover h = { x, &p, 0, e };
	int r = 0;

	if (x->rq.websockets && !x->rq.interactive) {
		r = make_pipe(x, p.in, e);
		if (r == 0)
			r = make_pipe(x, p.out, e);
		if (r == 0)
			r = make_pipe(x, p.err, e);
	}
	if (r == 0)
		r = helper_start(x, &p, e);
	if (r < 0)
		return lxm_err_wrap(e, r, "exec in instance '%s'", x->run->name);
	/* the program's references to session and operation: finish() gives them back */
	session_ref(x);
	op_ref(op);
	op_set_lasting(op);
	loop_call(x->d->loop, take_over, &h);
	if (h.r < 0) {
		spawn_kill(&x->helper_pidfd);
		op_unref(op);
		session_unref(x);
	}
	return h.r;
}

static int run_exec(struct op *op, void *arg, struct lxm_err *e)
{
	struct session *x = arg;
	struct handover h = { x, NULL, 0, e };
	int r = 0;

	if (!x->adopted)
		r = start_program(op, x, e);
	else if (x->rq.websockets)
		loop_call(x->d->loop, resume, &h);
	r = r ? r : h.r;
	if (r < 0) {
		loop_post(x->d->loop, session_drop_sockets, session_ref(x));
		return r;
	}
	return OP_LATER;
}

json_t *exec_output(const struct session *x)
{
	json_t *o = json_object();
	int k;

	for (k = 0; k < 2; k++) {
		char key[2] = { (char)('1' + k), 0 };

		json_object_set_new(o, key, json_sprintf("/1.0/instances/%s/logs/%s", x->run->name, x->log_name[k]));
	}
	return json_pack("{s:o}", "output", o);
}

json_t *exec_describe(const struct exec_request *rq, json_t *fds)
{
	return json_pack("{s:o, s:o, s:b, s:o}", "command", js_from_strv(&rq->argv), "environment", js_from_kv(&rq->env),
			 "interactive", rq->interactive, "fds", fds);
}

void exec_add_sockets(struct session *x)
{
	char secret[OP_SECRET_LEN + 1];
	json_t *fds = json_object();
	int k;

	for (k = 0; k < SOCKETS; k++) {
		bool required = k == S_CONTROL ? x->rq.interactive : true;

		if (x->rq.interactive && (k == S_OUT || k == S_ERR))
			continue;
		op_add_socket(x->op, exec_socket_names[k], required, secret);
		json_object_set_new(fds, exec_socket_names[k], json_string(secret));
	}
	op_set_metadata(x->op, exec_describe(&x->rq, fds));
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

struct op_spec exec_op_spec(struct session *x)
{
	return (struct op_spec){
		.cls = x->rq.websockets ? OP_WEBSOCKET : OP_TASK,
		.project = x->run->project,
		.description = "Executing command",
		.resources = instance_resources(x->run->name),
		.run = run_exec,
		.cancel = on_cancel,
		.connect = session_connect,
		.free_arg = session_unref,
		.arg = x,
	};
}

static int prepare(struct session *x, const struct instance *i, struct lxm_err *e)
{
	struct instances *in = x->d->instances;
	lxm_auto(idmap) struct idmap map = { 0 };
	int r;

	x->notify = instance_notify_path(x->d, i);
	x->caps = instance_caps(i);
	r = instance_seccomp(x->d, i, x->notify != NULL, &x->seccomp, e);
	if (r == 0)
		r = instance_rlimits(x->d, i, x->rlimits, &x->nrlimits, e);
	if (r == 0)
		r = instance_idmap(i, &map, e);
	if (r == 0 && x->rq.record && !x->rq.websockets)
		r = exec_open_records(x, i, e);
	x->owner = idmap_outside(map.uid, map.nuid, x->rq.uid);
	x->group = idmap_outside(map.gid, map.ngid, x->rq.gid);
	x->privileged = instance_privileged(i);
	cgroup_exec_paths(&in->cgroups, in->cgroup_parent, strrchr(x->run->cgroup, '/') + 1, &x->cgroup_procs);
	return r;
}

int instance_exec(struct lxmd *d, const struct instance *i, struct exec_request *rq, const struct caller *caller,
		  struct op **op_out, struct lxm_err *e)
{
	lxm_auto(run_unref) struct run *run = run_get(d, i->row.id);
	lxm_auto(free) char *url = instance_url(i->row.name);
	struct session *x;
	struct op_spec spec;
	int r = check_running(i, run, e);

	if (r < 0)
		return r;
	x = session_new(d, LXM_TAKE(run, NULL));
	x->created_at = lxm_now();
	x->rq = *rq;
	memset(rq, 0, sizeof(*rq));
	r = prepare(x, i, e);
	if (r < 0) {
		session_unref(x);
		return r;
	}
	spec = exec_op_spec(x);
	spec.caller = caller;
	r = op_new(d, &spec, &x->op, e);
	if (r < 0)
		return r;
	if (x->rq.websockets)
		exec_add_sockets(x);
	else if (x->rq.record)
		op_set_metadata(x->op, exec_output(x));
	*op_out = x->op;
	event_lifecycle(d, i->row.project, "instance-exec", url, json_pack("{s:o}", "command", js_from_strv(&x->rq.argv)), caller);
	return 0;
}
