/*
 * Guests: who listens where, whose turn it is, and who hears of changes. All bookkeeping is on the loop thread; requests
 * are answered on workers, one of each instance and a few of all at a time, in turn, so that a guest that floods its socket
 * waits for itself and neither for the daemon nor for another guest.
 */
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "lib/api/json.h"
#include "lib/base/alloc.h"
#include "lib/base/fd.h"
#include "lib/base/log.h"
#include "lxmd/core/daemon.h"
#include "lxmd/core/workers.h"
#include "lxmd/core/ws.h"
#include "lxmd/guest/guest_priv.h"

void guest_info_deinit(struct guest_info *i)
{
	free(i->project);
	free(i->name);
	lxm_kv_deinit(&i->config);
	lxm_devs_deinit(&i->devices);
	memset(i, 0, sizeof(*i));
}

void guests_start(struct lxmd *d, const struct guest_ops *ops)
{
	struct guests *all = lxm_alloc(sizeof(*all));

	all->d = d;
	all->ops = ops;
	all->under_way = worker_group_new(d->workers);
	d->guests = all;
}

static void nothing(void *arg)
{
}

void guests_stop(struct lxmd *d)
{
	struct guests *all = d->guests;

	if (!all)
		return;
	(void)worker_group_wait(all->under_way, -1);
	/* what the last of them posted */
	loop_call(d->loop, nothing, NULL);
	worker_group_free(all->under_way);
	free(all);
	d->guests = NULL;
}

struct guest *guest_ref(struct guest *g)
{
	__atomic_add_fetch(&g->refs, 1, __ATOMIC_RELAXED);
	return g;
}

void guest_unref(struct guest *g)
{
	if (g && __atomic_sub_fetch(&g->refs, 1, __ATOMIC_ACQ_REL) == 0)
		free(g);
}

/* ---- turns */

/* Milliseconds until it may make another request. */
static int64_t must_wait(struct guest *g)
{
	const int64_t cost = 1000 / GUEST_PER_S, now = lxm_mono_ms();

	g->tokens_ms += now - g->counted_ms;
	g->counted_ms = now;
	if (g->tokens_ms > GUEST_BURST * cost)
		g->tokens_ms = GUEST_BURST * cost;
	return g->tokens_ms >= cost ? 0 : cost - g->tokens_ms;
}

static void dispatch(struct guests *all);

static void enter_queue(struct guest *g)
{
	struct guests *all = g->all;

	if (g->queued || g->busy || g->throttle || !g->waiting.first)
		return;
	g->queued = true;
	g->next_ready = NULL;
	if (all->ready_last)
		all->ready_last->next_ready = guest_ref(g);
	else
		all->ready_first = guest_ref(g);
	all->ready_last = g;
}

static void throttle_over(void *arg)
{
	struct guest *g = arg;

	g->throttle = 0;
	enter_queue(g);
	dispatch(g->all);
	guest_unref(g);
}

static void answered(struct guest_conn *c)
{
	struct guest *g = guest_ref(c->g);

	g->busy = false;
	g->all->jobs--;
	conn_answer(c);
	enter_queue(g);
	dispatch(g->all);
	guest_unref(g);
}

static void take_turn(struct guest *g)
{
	struct guest_conn *c = g->waiting.first;
	int64_t ms = c ? must_wait(g) : 0;

	if (!c)
		return;
	if (ms) {
		g->throttle = loop_timer(g->all->d->loop, ms, throttle_over, guest_ref(g));
		return;
	}
	g->tokens_ms -= 1000 / GUEST_PER_S;
	g->waiting.first = c->next_waiting;
	if (!g->waiting.first)
		g->waiting.last = NULL;
	c->state = CONN_WORK;
	g->busy = true;
	g->all->jobs++;
	guest_job(c, answer_request, answered);
}

static void dispatch(struct guests *all)
{
	while (all->jobs < GUESTS_JOBS && all->ready_first) {
		struct guest *g = all->ready_first;

		all->ready_first = g->next_ready;
		if (!all->ready_first)
			all->ready_last = NULL;
		g->queued = false;
		take_turn(g);
		guest_unref(g);
	}
}

void guest_wants_turn(struct guest_conn *c)
{
	struct guest *g = c->g;

	c->state = CONN_WAIT;
	c->next_waiting = NULL;
	if (g->waiting.last)
		g->waiting.last->next_waiting = c;
	else
		g->waiting.first = c;
	g->waiting.last = c;
	enter_queue(g);
	dispatch(g->all);
}

/* ---- jobs */

struct job {
	struct guest_conn *c;
	void (*fn)(struct guest_conn *c);
	void (*done)(struct guest_conn *c);
};

static void job_done(void *arg)
{
	struct job *j = arg;

	j->done(j->c);
	free(j);
}

static void job_run(void *arg)
{
	struct job *j = arg;

	j->fn(j->c);
	/* while the job still counts, so that guests_stop() can wait for both */
	loop_post(j->c->g->all->d->loop, job_done, j);
}

void guest_job(struct guest_conn *c, void (*fn)(struct guest_conn *c), void (*done)(struct guest_conn *c))
{
	struct job *j = lxm_alloc(sizeof(*j));

	*j = (struct job){ c, fn, done };
	worker_group_run(c->g->all->under_way, job_run, j);
}

/* ---- the socket */

static void on_connect(int fd, uint32_t revents, void *arg)
{
	struct guest *g = arg;
	int i, s;

	/* a few at a time: the loop has others to serve */
	for (i = 0; i < 4 && !g->full; i++) {
		s = accept4(fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
		if (s < 0)
			break;
		conn_new(g, s);
		if (g->conns >= GUEST_CONNS) {
			g->full = true;
			(void)loop_mod(g->watch, 0);
		}
	}
}

void guest_conn_gone(struct guest_conn *c)
{
	struct guest *g = c->g;

	if (c->other)
		g->others--;
	else
		g->conns--;
	if (g->full && g->watch && g->conns < GUEST_CONNS) {
		g->full = false;
		(void)loop_mod(g->watch, EPOLLIN);
	}
}

struct guest *guest_open(struct lxmd *d, int64_t id, pid_t init_pid, int init_pidfd, int listen_fd)
{
	struct guest *g = lxm_alloc(sizeof(*g));
	struct lxm_err e = { 0 };
	int r = peer_look(init_pid, init_pidfd, &g->base);

	g->all = d->guests;
	g->id = id;
	g->refs = 1;
	g->fd = listen_fd;
	g->tokens_ms = GUEST_BURST * 1000;
	g->counted_ms = lxm_mono_ms();
	if (r < 0)
		(void)lxm_err_set(&e, -r, "look at its init: %s", strerror(-r));
	else
		r = loop_add(d->loop, g->fd, EPOLLIN, on_connect, g, &g->watch, &e);
	if (r < 0) {
		lxm_warn("guest API of instance %lld: %s", (long long)id, e.msg);
		auto_fd_close(&g->fd);
		guest_unref(g);
		return NULL;
	}
	return g;
}

static void close_job(void *arg)
{
	struct guest *g = arg;
	struct guest_conn *c, *next;
	size_t i;

	loop_del(g->watch);
	g->watch = NULL;
	auto_fd_close(&g->fd);
	if (g->throttle && loop_timer_cancel(g->all->d->loop, g->throttle)) {
		g->throttle = 0;
		guest_unref(g);
	}
	for (c = g->list; c; c = next) {
		next = c->next;
		conn_end(c);
	}
	for (i = 0; i < GUEST_LISTENERS; i++)
		if (g->listeners[i].ws)
			ws_close(g->listeners[i].ws);
	guest_unref(g);
}

void guest_close(struct guest *g)
{
	if (!g)
		return;
	__atomic_store_n(&g->closed, true, __ATOMIC_RELEASE);
	loop_post(g->all->d->loop, close_job, g);
}

/* ---- events */

static void on_listener_gone(struct ws *ws, int code, void *arg)
{
	struct guest_listener *l = arg;
	struct guest *g = l->g;

	l->ws = NULL;
	ws_unref(ws);
	guest_unref(g);
}

bool guest_listen(struct guest *g, struct ws *ws, int types)
{
	static const struct ws_handler handler = { .on_close = on_listener_gone };
	size_t i;

	for (i = 0; i < GUEST_LISTENERS && g->listeners[i].ws; i++)
		;
	if (i == GUEST_LISTENERS || __atomic_load_n(&g->closed, __ATOMIC_ACQUIRE)) {
		ws_unref(ws);
		return false;
	}
	g->listeners[i] = (struct guest_listener){ guest_ref(g), ws, types };
	ws_start(ws, &handler, &g->listeners[i]);
	return true;
}

struct telling {
	struct guest *g;
	int type;
	char *text;
};

static void tell_job(void *arg)
{
	struct telling *t = arg;
	size_t i;

	for (i = 0; i < GUEST_LISTENERS; i++) {
		struct guest_listener *l = &t->g->listeners[i];

		if (!l->ws || !(l->types & t->type))
			continue;
		if (ws_queued(l->ws) > GUEST_QUEUE_MAX)
			ws_abort(l->ws);
		else
			(void)ws_send(l->ws, WS_TEXT, t->text, strlen(t->text));
	}
	guest_unref(t->g);
	free(t->text);
	free(t);
}

void guest_tell(struct guest *g, enum guest_event type, json_t *metadata)
{
	struct telling *t;
	json_t *event;

	if (!g) {
		json_decref(metadata);
		return;
	}
	event = json_pack("{s:o, s:s, s:o}", "timestamp", js_time(lxm_now()), "type", type == GUEST_CONFIG ? "config" : "device",
			  "metadata", metadata);
	t = lxm_alloc(sizeof(*t));
	*t = (struct telling){ guest_ref(g), (int)type, js_text(event) };
	json_decref(event);
	loop_post(g->all->d->loop, tell_job, t);
}
