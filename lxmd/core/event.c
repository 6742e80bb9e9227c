/*
 * Events and those who listen. Any thread sends; a message is rendered once and queued to each websocket
 * that wants it. The list's lock is held meanwhile, so that all listeners see one order; nothing below
 * it blocks (ws_send() only queues).
 *
 * A listener whose queue grows beyond QUEUE_MAX is cut off, never skipped over: a client that misses the
 * final event of an operation would wait for ever, one that loses its socket knows.
 */
#include "lxmd/core/event.h"

#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#include "lib/api/json.h"
#include "lib/base/alloc.h"
#include "lib/base/log.h"
#include "lib/base/str.h"
#include "lib/base/time.h"
#include "lxmd/core/daemon.h"
#include "lxmd/core/loop.h"
#include "lxmd/core/ws.h"

#define QUEUE_MAX     (4u * 1024 * 1024) /* bytes waiting for one listener */
#define LISTENERS_MAX 2000
#define LISTENERS_ONE 100 /* of one caller who is no administrator: each may leave QUEUE_MAX unread */

struct event_listener {
	struct events *owner;
	int types;
	char *project; /* NULL: all */
	struct caller who;
	/* guarded by owner->lock: */
	struct ws *ws;		/* NULL until attached */
	struct lxm_strv early;	/* what came before the websocket was there */
	size_t early_bytes;
	bool listed;
	struct event_listener *next, *prev;
};

struct events {
	struct lxmd *d;
	pthread_mutex_t lock;
	struct event_listener *first; /* guarded by lock */
	unsigned int n;		      /* guarded by lock */
	atomic_int wanted[4];	      /* listeners per type bit */
};

/* Set while this thread makes a logging event: what it logs meanwhile stays out of the stream. */
static __thread bool in_log_sink;

static const char *const type_names[4] = { "logging", "operation", "lifecycle", "network-acl" };

int event_types_parse(const char *list, struct lxm_err *e)
{
	lxm_auto(strv) struct lxm_strv words = { 0 };
	int types = 0;
	size_t i, t;

	if (lxm_empty(list))
		return EVENT_ALL;
	lxm_strv_split(&words, list, ',');
	for (i = 0; i < words.n; i++) {
		for (t = 0; t < LXM_ARRAY_LEN(type_names); t++)
			if (strcmp(words.v[i], type_names[t]) == 0)
				break;
		if (t == LXM_ARRAY_LEN(type_names))
			return lxm_err_set(e, EINVAL,
					   "'%s' is no event type (logging, operation, lifecycle, network-acl)",
					   words.v[i]);
		types |= 1 << t;
	}
	return types ? types : EVENT_ALL;
}

static void unlist(struct event_listener *l)
{
	struct events *ev = l->owner;
	size_t t;

	if (!l->listed)
		return;
	l->listed = false;
	if (l->prev)
		l->prev->next = l->next;
	else
		ev->first = l->next;
	if (l->next)
		l->next->prev = l->prev;
	ev->n--;
	for (t = 0; t < LXM_ARRAY_LEN(type_names); t++)
		if (l->types & (1 << t))
			atomic_fetch_sub(&ev->wanted[t], 1);
}

/* What belongs to no project (pools, certificates, warnings) is for administrators. */
static bool listener_wants(const struct event_listener *l, enum event_type type, const char *project)
{
	if (!(l->types & (int)type) || (l->project && project && strcmp(l->project, project) != 0))
		return false;
	return l->who.trust == CALLER_ADMIN || (project && caller_may_project(&l->who, project));
}

/* Queues one text; false when the listener cannot keep up. With the list's lock held. */
static bool listener_take(struct event_listener *l, const char *text, size_t len)
{
	if (!l->ws) {
		l->early_bytes += len;
		if (l->early_bytes > QUEUE_MAX)
			return false;
		lxm_strv_add(&l->early, text);
		return true;
	}
	if (ws_queued(l->ws) + len > QUEUE_MAX)
		return false;
	(void)ws_send(l->ws, WS_TEXT, text, len); /* a closed one leaves the list by itself */
	return true;
}

static void log_slow(void *arg)
{
	lxm_warn("event listener disconnected: more than %u KiB unread", QUEUE_MAX / 1024);
}

static char *render(enum event_type type, const char *project, json_t *metadata)
{
	lxm_auto(json) json_t *o = json_object();
	size_t t;

	for (t = 0; !(type & (1u << t)); t++)
		;
	json_object_set_new(o, "type", json_string(type_names[t]));
	json_object_set_new(o, "timestamp", js_time(lxm_now()));
	json_object_set_new(o, "metadata", metadata);
	json_object_set_new(o, "location", json_string("none"));
	if (project)
		json_object_set_new(o, "project", js_string(project));
	return js_text(o);
}

bool event_wanted(struct events *ev, enum event_type type)
{
	size_t t;

	for (t = 0; !(type & (1u << t)); t++)
		;
	return atomic_load(&ev->wanted[t]) > 0;
}

void event_send(struct events *ev, enum event_type type, const char *project, json_t *metadata)
{
	struct event_listener *l, *next;
	lxm_auto(free) char *text = NULL;
	unsigned int slow = 0;
	size_t len;

	if (!event_wanted(ev, type)) {
		json_decref(metadata);
		return;
	}
	text = render(type, project, metadata);
	if (!text)
		return;
	len = strlen(text);
	pthread_mutex_lock(&ev->lock);
	for (l = ev->first; l; l = next) {
		next = l->next;
		if (!listener_wants(l, type, project) || listener_take(l, text, len))
			continue;
		unlist(l);
		if (l->ws)
			ws_abort(l->ws);
		slow++;
	}
	pthread_mutex_unlock(&ev->lock);
	for (; slow; slow--) /* not here: this may be the logger's own call */
		loop_post(ev->d->loop, log_slow, NULL);
}

void event_lifecycle(struct lxmd *d, const char *project, const char *action, const char *source,
		     json_t *context, const struct caller *caller)
{
	lxm_auto(free) char *enc = NULL;
	json_t *o, *who;

	if (!event_wanted(d->events, EVENT_LIFECYCLE)) {
		json_decref(context);
		return;
	}
	o = json_object();
	json_object_set_new(o, "action", json_string(action));
	if (project && strcmp(project, "default") != 0) {
		enc = lxm_url_encode(project, NULL);
		json_object_set_new(o, "source",
				    json_sprintf("%s%cproject=%s", source, strchr(source, '?') ? '&' : '?', enc));
	} else {
		json_object_set_new(o, "source", js_string(source));
	}
	json_object_set_new(o, "context", context ? context : json_object());
	if (caller && caller->protocol[0]) {
		who = json_object();
		json_object_set_new(who, "username", js_string(caller->username));
		json_object_set_new(who, "protocol", js_string(caller->protocol));
		json_object_set_new(who, "address", js_string(caller->address));
		json_object_set_new(o, "requestor", who);
	}
	event_send(d->events, EVENT_LIFECYCLE, project, o);
}

/* ---- listeners */

/* With the list's lock held. */
static unsigned int listeners_of(const struct events *ev, const struct caller *who)
{
	const struct event_listener *l;
	unsigned int n = 0;

	for (l = ev->first; l; l = l->next)
		n += l->who.trust != CALLER_ADMIN && strcmp(l->who.fingerprint, who->fingerprint) == 0;
	return n;
}

int event_listen(struct events *ev, int types, const char *project, const struct caller *who, struct event_listener **l_out,
		 struct lxm_err *e)
{
	struct event_listener *l = lxm_alloc(sizeof(*l));
	size_t t;

	l->owner = ev;
	l->types = types;
	l->project = lxm_strdup(project);
	l->who = *who;
	pthread_mutex_lock(&ev->lock);
	if (ev->n >= LISTENERS_MAX || (who->trust != CALLER_ADMIN && listeners_of(ev, who) >= LISTENERS_ONE)) {
		pthread_mutex_unlock(&ev->lock);
		free(l->project);
		free(l);
		return lxm_err_http(e, 503, EAGAIN, "there are too many event listeners already");
	}
	l->next = ev->first;
	if (l->next)
		l->next->prev = l;
	ev->first = l;
	l->listed = true;
	ev->n++;
	for (t = 0; t < LXM_ARRAY_LEN(type_names); t++)
		if (types & (1 << t))
			atomic_fetch_add(&ev->wanted[t], 1);
	pthread_mutex_unlock(&ev->lock);
	*l_out = l;
	return 0;
}

void event_drop(struct event_listener *l)
{
	struct events *ev;
	struct ws *ws;

	if (!l)
		return;
	ev = l->owner;
	pthread_mutex_lock(&ev->lock);
	unlist(l);
	ws = LXM_TAKE(l->ws, NULL);
	pthread_mutex_unlock(&ev->lock);
	ws_unref(ws);
	lxm_strv_deinit(&l->early);
	free(l->project);
	free(l);
}

static void on_listener_close(struct ws *ws, int code, void *arg)
{
	event_drop(arg);
}

void event_attach(struct event_listener *l, struct ws *ws)
{
	static const struct ws_handler handler = { .on_close = on_listener_close };
	struct events *ev = l->owner;
	size_t i;

	pthread_mutex_lock(&ev->lock);
	for (i = 0; i < l->early.n; i++)
		(void)ws_send(ws, WS_TEXT, l->early.v[i], strlen(l->early.v[i]));
	lxm_strv_deinit(&l->early);
	l->ws = ws;
	if (!l->listed) /* it fell behind before it began */
		ws_abort(ws);
	ws_start(ws, &handler, l); /* posts; on_close cannot come before the lock is free */
	pthread_mutex_unlock(&ev->lock);
}

/* ---- log lines */

static void on_log(enum lxm_log_level level, const char *msg, void *arg)
{
	struct events *ev = arg;
	json_t *o;

	if (in_log_sink || !event_wanted(ev, EVENT_LOGGING))
		return;
	in_log_sink = true;
	o = json_object();
	json_object_set_new(o, "message", js_string(msg));
	json_object_set_new(o, "level", json_string(lxm_log_level_name(level)));
	json_object_set_new(o, "context", json_object());
	event_send(ev, EVENT_LOGGING, NULL, o);
	in_log_sink = false;
}

void events_capture_log(struct events *ev)
{
	lxm_log_sink(on_log, ev);
}

struct events *events_new(struct lxmd *d)
{
	struct events *ev = lxm_alloc(sizeof(*ev));

	ev->d = d;
	pthread_mutex_init(&ev->lock, NULL);
	return ev;
}

void events_free(struct events *ev)
{
	if (!ev)
		return;
	lxm_log_sink(NULL, NULL);
	while (ev->first)
		event_drop(ev->first);
	pthread_mutex_destroy(&ev->lock);
	free(ev);
}
