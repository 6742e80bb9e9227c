/*
 * One operation: its life, its callbacks, its events. Any thread.
 *
 * An operation's lock guards its state and is held while its events are queued, so that listeners see them
 * in the order in which they happened. Callbacks of the owner (run, cancel, connect) run without it;
 * op_enter() and op_leave() count them, and the owner's argument is freed when the operation is final and
 * the last of them has returned.
 */
#include "lxmd/core/op.h"

#include <assert.h>
#include <string.h>

#include "lib/api/json.h"
#include "lib/base/alloc.h"
#include "lib/base/log.h"
#include "lxmd/core/audit.h"
#include "lxmd/core/daemon.h"
#include "lxmd/core/event.h"
#include "lxmd/core/loop.h"
#include "lxmd/core/op_impl.h"
#include "lxmd/core/workers.h"
#include "lxmd/core/ws.h"

#define CONNECT_MS  5000
#define PROGRESS_MS 100

/* ---- references */

struct op *op_ref(struct op *op)
{
	atomic_fetch_add(&op->refs, 1);
	return op;
}

void op_unref(struct op *op)
{
	size_t i;

	if (!op || atomic_fetch_sub(&op->refs, 1) > 1)
		return;
	assert(!op->busy);
	if (op->spec.free_arg && !op->arg_freed)
		op->spec.free_arg(op->spec.arg);
	for (i = 0; i < op->n_sockets; i++)
		free(op->sockets[i].name);
	free(op->sockets);
	free(op->project);
	free(op->description);
	free(op->err);
	json_decref(op->resources);
	json_decref(op->metadata);
	pthread_cond_destroy(&op->ended);
	pthread_mutex_destroy(&op->lock);
	free(op);
}

/* ---- how it looks */

static bool is_final(const struct op *op)
{
	return op->status >= API_SUCCESS;
}

json_t *op_json_locked(struct op *op)
{
	static const char *const classes[] = { "task", "websocket", "token" };
	json_t *o = json_object();

	json_object_set_new(o, "id", json_string(op->id));
	json_object_set_new(o, "class", json_string(classes[op->spec.cls]));
	json_object_set_new(o, "description", js_string(op->description));
	json_object_set_new(o, "created_at", js_time(op->created_at));
	json_object_set_new(o, "updated_at", js_time(op->updated_at));
	json_object_set_new(o, "status", json_string(api_status_name(op->status)));
	json_object_set_new(o, "status_code", json_integer(op->status));
	json_object_set_new(o, "resources", op->resources ? json_deep_copy(op->resources) : json_null());
	json_object_set_new(o, "metadata", op->metadata ? json_deep_copy(op->metadata) : json_null());
	json_object_set_new(o, "may_cancel", json_boolean(op->may_cancel));
	json_object_set_new(o, "err", js_string(op->err));
	json_object_set_new(o, "location", json_string("none"));
	return o;
}

json_t *op_json(struct op *op)
{
	json_t *o;

	pthread_mutex_lock(&op->lock);
	o = op_json_locked(op);
	pthread_mutex_unlock(&op->lock);
	return o;
}

/* Tells the listeners how it stands now; with the lock held. */
static void emit(struct op *op)
{
	op->updated_at = lxm_now();
	op->progress_at_ms = lxm_mono_ms();
	if (event_wanted(op->d->events, EVENT_OPERATION))
		event_send(op->d->events, EVENT_OPERATION, op->project, op_json_locked(op));
}

/* ---- counting callbacks */

/* True if a callback may run now; op_leave() after it. */
static bool op_enter(struct op *op)
{
	bool ok;

	pthread_mutex_lock(&op->lock);
	ok = !is_final(op);
	if (ok)
		op->busy++;
	pthread_mutex_unlock(&op->lock);
	return ok;
}

/* Frees the argument when nobody needs it any more. The lock is held on entry and not on return. */
static void unlock_and_free_arg(struct op *op)
{
	bool now = is_final(op) && op->busy == 0 && !op->arg_freed;

	if (now)
		op->arg_freed = true;
	pthread_mutex_unlock(&op->lock);
	if (now && op->spec.free_arg)
		op->spec.free_arg(op->spec.arg);
}

static void op_leave(struct op *op)
{
	pthread_mutex_lock(&op->lock);
	op->busy--;
	unlock_and_free_arg(op);
}

/* ---- the end */

static void on_forget(void *arg)
{
	struct op *op = arg; /* alive: the registry has a reference until here */

	ops_forget(op->d->ops, op);
}

void op_forget_later(struct op *op, int64_t ms)
{
	op->forget_timer = loop_timer(op->d->loop, ms, on_forget, op);
}

/* Those to be told now, with the lock held; the others' time is up just now and on_wait_time() tells them. */
static struct op_waiter *take_waiters(struct op *op)
{
	struct op_waiter *w, *next, *list = NULL;

	for (w = op->waiters; w; w = next) {
		next = w->next;
		if (w->timer && !loop_timer_cancel(op->d->loop, w->timer))
			continue;
		w->next = list;
		list = w;
	}
	op->waiters = NULL;
	return list;
}

/* Forget a timer and the reference that it holds; with the lock held, by somebody with a reference of his own. */
static void drop_timer(struct op *op, loop_timer_id *timer)
{
	if (loop_timer_cancel(op->d->loop, *timer))
		op_unref(op);
	*timer = 0;
}

static void end(struct op *op, int status, const char *text)
{
	struct op_waiter *w, *next;

	pthread_mutex_lock(&op->lock);
	if (is_final(op)) {
		pthread_mutex_unlock(&op->lock);
		return;
	}
	if (status != API_SUCCESS && op->cancel_asked)
		status = API_CANCELLED;
	op->status = status;
	op->may_cancel = false;
	free(op->err);
	op->err = status == API_SUCCESS ? NULL : lxm_strdup(status == API_CANCELLED ? "Operation cancelled" : text);
	drop_timer(op, &op->progress_timer);
	drop_timer(op, &op->connect_timer);
	if (op->caller.protocol[0]) /* before anybody hears of the end */
		audit_operation(op->d, &op->caller, op->id, op->description, op->project, api_status_name(status));
	emit(op);
	w = take_waiters(op);
	pthread_cond_broadcast(&op->ended);
	op_forget_later(op, OP_KEEP_MS);
	ops_ended(op->d->ops, op, status == API_SUCCESS);
	unlock_and_free_arg(op);
	if (status == API_FAILURE)
		lxm_info("operation '%s' (%s): %s", op->id, op->description, text);
	for (; w; w = next) {
		next = w->next;
		op_waiter_fire(w);
	}
}

void op_finish(struct op *op, const struct lxm_err *err)
{
	if (err && err->code)
		end(op, API_FAILURE, err->msg[0] ? err->msg : strerror(err->code));
	else
		end(op, API_SUCCESS, NULL);
}

bool op_is_final(struct op *op)
{
	bool final;

	pthread_mutex_lock(&op->lock);
	final = is_final(op);
	pthread_mutex_unlock(&op->lock);
	return final;
}

bool op_is_cancelled(struct op *op)
{
	bool asked;

	if (!op)
		return false;
	pthread_mutex_lock(&op->lock);
	asked = op->cancel_asked;
	pthread_mutex_unlock(&op->lock);
	return asked;
}

void op_set_lasting(struct op *op)
{
	pthread_mutex_lock(&op->lock);
	if (!op->lasting && !is_final(op)) {
		op->lasting = true;
		ops_lasting(op->d->ops);
	}
	pthread_mutex_unlock(&op->lock);
}

void op_let_go(struct op *op)
{
	struct op_waiter *w, *next;

	pthread_mutex_lock(&op->lock);
	op->let_go = true;
	drop_timer(op, &op->connect_timer);
	drop_timer(op, &op->progress_timer);
	w = take_waiters(op);
	pthread_mutex_unlock(&op->lock);
	for (; w; w = next) {
		next = w->next;
		op_waiter_fire(w);
	}
}

/* ---- running */

static void op_work(void *arg)
{
	struct op *op = arg;
	struct lxm_err e = { 0 };
	int r;

	if (op_enter(op)) {
		r = op->spec.run(op, op->spec.arg, &e);
		if (r < 0) {
			if (!e.code)
				lxm_err_wrap(&e, r, "%s", op->description);
			end(op, API_FAILURE, e.msg);
		} else if (r == 0) {
			end(op, API_SUCCESS, NULL);
		}
		op_leave(op);
	}
	op_unref(op);
}

/* The required sockets did not come in time; on a worker. */
static void op_give_up(void *arg)
{
	struct op *op = arg;

	if (op_enter(op)) {
		if (op->spec.cancel)
			op->spec.cancel(op, op->spec.arg);
		end(op, API_FAILURE, OP_NOBODY_CAME);
		op_leave(op);
	}
	op_unref(op);
}

static void on_connect_time(void *arg)
{
	struct op *op = arg; /* the timer's reference */
	bool late;

	pthread_mutex_lock(&op->lock);
	op->connect_timer = 0;
	late = !op->run_begun && !is_final(op);
	pthread_mutex_unlock(&op->lock);
	if (late)
		worker_group_run(ops_jobs(op->d->ops), op_give_up, op);
	else
		op_unref(op);
}

/* Starts run() when everything it waits for is there; with the lock held. */
static void begin_if_complete(struct op *op)
{
	char share[CALLER_SHARE_LEN];
	size_t i;

	if (!op->started || op->run_begun || op->status != API_RUNNING)
		return;
	for (i = 0; i < op->n_sockets; i++)
		if (op->sockets[i].required && !op->sockets[i].connected)
			return;
	op->run_begun = true;
	drop_timer(op, &op->connect_timer);
	if (op->spec.run)
		worker_group_run_share(ops_jobs(op->d->ops), caller_share(&op->caller, CALLER_SHARE_OPERATION, share), op_work, op_ref(op));
}

void op_start(struct op *op)
{
	pthread_mutex_lock(&op->lock);
	assert(!op->started);
	op->started = true;
	op->status = API_RUNNING;
	emit(op);
	begin_if_complete(op);
	if (!op->run_begun)
		op->connect_timer = loop_timer(op->d->loop, op->spec.connect_ms ? op->spec.connect_ms : CONNECT_MS, on_connect_time, op_ref(op));
	pthread_mutex_unlock(&op->lock);
}

/* ---- cancelling */

static void op_cancel_work(void *arg)
{
	struct op *op = arg;
	bool end_it;

	if (op_enter(op)) {
		if (op->spec.cancel)
			op->spec.cancel(op, op->spec.arg);
		pthread_mutex_lock(&op->lock);
		end_it = !op->run_begun || !op->spec.run;
		pthread_mutex_unlock(&op->lock);
		if (end_it)
			end(op, API_CANCELLED, NULL);
		op_leave(op);
	}
	op_unref(op);
}

void op_cancel_now(struct op *op)
{
	pthread_mutex_lock(&op->lock);
	if (is_final(op) || op->cancel_asked) {
		pthread_mutex_unlock(&op->lock);
		return;
	}
	op->cancel_asked = true;
	op->may_cancel = false;
	op->status = API_CANCELLING;
	emit(op);
	worker_group_run(ops_jobs(op->d->ops), op_cancel_work, op_ref(op));
	pthread_mutex_unlock(&op->lock);
}

int op_cancel(struct op *op, struct lxm_err *e)
{
	bool ok;

	pthread_mutex_lock(&op->lock);
	ok = op->may_cancel && op->status == API_RUNNING;
	pthread_mutex_unlock(&op->lock);
	if (!ok)
		return lxm_err_set(e, EINVAL, "operation '%s' (%s) can't be cancelled", op->id,
				   op->description);
	op_cancel_now(op);
	return 0;
}

/* ---- metadata */

void op_set_metadata(struct op *op, json_t *metadata)
{
	pthread_mutex_lock(&op->lock);
	json_decref(op->metadata);
	op->metadata = metadata;
	if (op->started && !is_final(op))
		emit(op);
	pthread_mutex_unlock(&op->lock);
}

static void set_key(struct op *op, const char *key, json_t *value)
{
	if (!json_is_object(op->metadata)) {
		json_decref(op->metadata);
		op->metadata = json_object();
	}
	json_object_set_new(op->metadata, key, value);
}

void op_set_metadata_key(struct op *op, const char *key, json_t *value)
{
	pthread_mutex_lock(&op->lock);
	set_key(op, key, value);
	if (op->started && !is_final(op))
		emit(op);
	pthread_mutex_unlock(&op->lock);
}

json_t *op_metadata(struct op *op)
{
	json_t *o;

	pthread_mutex_lock(&op->lock);
	o = op->metadata ? json_deep_copy(op->metadata) : NULL;
	pthread_mutex_unlock(&op->lock);
	return o;
}

void op_set_resources(struct op *op, json_t *resources)
{
	pthread_mutex_lock(&op->lock);
	json_decref(op->resources);
	op->resources = op_resources(resources);
	pthread_mutex_unlock(&op->lock);
}

void op_set_may_cancel(struct op *op, bool may)
{
	pthread_mutex_lock(&op->lock);
	op->may_cancel = may && !is_final(op);
	pthread_mutex_unlock(&op->lock);
}

static void on_progress_time(void *arg)
{
	struct op *op = arg; /* the timer's reference */

	pthread_mutex_lock(&op->lock);
	op->progress_timer = 0;
	if (!is_final(op))
		emit(op);
	pthread_mutex_unlock(&op->lock);
	op_unref(op);
}

/* "Unpack: 42% (31.2MB/s)" */
static void progress_line(char *out, size_t size, const char *stage, int percent, uint64_t speed)
{
	char p[16] = "", s[32] = "";

	if (percent >= 0)
		(void)snprintf(p, sizeof(p), " %d%%", percent);
	if (speed)
		(void)snprintf(s, sizeof(s), " (%.1fMB/s)", (double)speed / 1e6);
	(void)snprintf(out, size, "%s%s%s%s", stage, percent >= 0 || speed ? ":" : "", p, s);
}

void op_progress(struct op *op, const char *key, const char *stage, int percent, uint64_t speed_bytes)
{
	char line[256] = "";
	json_t *p;

	if (!op)
		return;
	if (stage)
		progress_line(line, sizeof(line), stage, percent, speed_bytes);
	p = json_object();
	json_object_set_new(p, "stage", js_string(stage ? stage : ""));
	json_object_set_new(p, "percent", json_sprintf("%d", percent < 0 ? 0 : percent));
	json_object_set_new(p, "speed", json_sprintf("%llu", (unsigned long long)speed_bytes));
	pthread_mutex_lock(&op->lock);
	set_key(op, key, js_string(line));
	set_key(op, "progress", p);
	if (is_final(op) || !op->started || op->progress_timer)
		;
	else if (lxm_mono_ms() - op->progress_at_ms >= PROGRESS_MS)
		emit(op);
	else
		op->progress_timer = loop_timer(op->d->loop, PROGRESS_MS, on_progress_time, op_ref(op));
	pthread_mutex_unlock(&op->lock);
}

/* ---- websockets */

void op_add_socket(struct op *op, const char *name, bool required, char secret_out[OP_SECRET_LEN + 1])
{
	unsigned char raw[OP_SECRET_LEN / 2];
	struct op_socket *s;

	lxm_random(raw, sizeof(raw));
	pthread_mutex_lock(&op->lock);
	op->sockets = lxm_realloc_n(op->sockets, op->n_sockets + 1, sizeof(*op->sockets));
	s = &op->sockets[op->n_sockets++];
	memset(s, 0, sizeof(*s));
	s->name = lxm_strdup(name);
	s->required = required;
	lxm_hex(s->secret, raw, sizeof(raw));
	memcpy(secret_out, s->secret, sizeof(s->secret));
	pthread_mutex_unlock(&op->lock);
}

int op_claim_socket(struct op *op, const char *secret, struct lxm_err *e)
{
	int found = -1;
	size_t i;

	pthread_mutex_lock(&op->lock);
	for (i = 0; i < op->n_sockets; i++) /* all of them: the time says nothing about which one fits */
		if (secret && lxm_secret_eq(op->sockets[i].secret, secret) && !op->sockets[i].used)
			found = (int)i;
	if (is_final(op))
		found = -1;
	if (found >= 0)
		op->sockets[found].used = true;
	pthread_mutex_unlock(&op->lock);
	if (found < 0)
		return lxm_err_http(e, 403, EPERM, "wrong or used secret for operation '%s'", op->id);
	return found;
}

struct connect_job {
	struct op *op;
	struct ws *ws;
	int index;
};

/* On the loop thread. */
static void op_connect_work(void *arg)
{
	struct connect_job *j = arg;
	struct op *op = j->op;
	int r = -ECANCELED;

	if (op_enter(op)) {
		if (op->spec.connect)
			r = op->spec.connect(op, op->sockets[j->index].name, j->ws, op->spec.arg);
		if (r >= 0) {
			pthread_mutex_lock(&op->lock);
			op->sockets[j->index].connected = true;
			begin_if_complete(op);
			pthread_mutex_unlock(&op->lock);
		}
		op_leave(op);
	}
	if (r < 0)
		ws_abort(j->ws);
	ws_unref(j->ws);
	op_unref(op);
	free(j);
}

void op_connect_socket(struct op *op, int index, struct ws *ws)
{
	struct connect_job *j = lxm_alloc(sizeof(*j));

	j->op = op_ref(op);
	j->ws = ws;
	j->index = index;
	loop_post(op->d->loop, op_connect_work, j);
}

bool op_secret_ok(struct op *op, const char *secret)
{
	const char *own;
	bool ok;
	size_t i;

	if (lxm_empty(secret))
		return false;
	pthread_mutex_lock(&op->lock);
	own = js_str(op->metadata, "secret");
	ok = own && lxm_secret_eq(own, secret);
	for (i = 0; i < op->n_sockets; i++)
		ok |= lxm_secret_eq(op->sockets[i].secret, secret);
	pthread_mutex_unlock(&op->lock);
	return ok;
}

/* ---- plain answers */

bool op_is_token(const struct op *op)
{
	return op->spec.cls == OP_TOKEN;
}

const char *op_id(const struct op *op)
{
	return op->id;
}

const char *op_url(const struct op *op)
{
	return op->url;
}

const char *op_project(const struct op *op)
{
	return op->project;
}

const struct caller *op_caller(const struct op *op)
{
	return &op->caller;
}

struct lxmd *op_daemon(const struct op *op)
{
	return op->d;
}
