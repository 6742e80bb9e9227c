/*
 * The registry of operations: making, finding, listing and waiting for them. Any thread.
 *
 * Lock order: an operation's lock, then the registry's. Listing therefore takes references under the
 * registry's lock and looks into the operations afterwards.
 */
#include <assert.h>
#include <string.h>
#include <time.h>

#include "lib/api/json.h"
#include "lib/base/alloc.h"
#include "lib/base/str.h"
#include "lxmd/core/daemon.h"
#include "lxmd/core/event.h"
#include "lxmd/core/op_impl.h"

#define BUCKETS 256

struct ops {
	struct lxmd *d;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	/* guarded by lock: */
	struct op *bucket[BUCKETS];
	size_t n, n_running, n_lasting; /* lasting ones are among the running */
	bool closed;
};

static unsigned int id_bucket(const char *id)
{
	unsigned int h = 2166136261u;

	for (; *id; id++)
		h = (h ^ (unsigned char)*id) * 16777619u;
	return h % BUCKETS;
}

struct ops *ops_new(struct lxmd *d)
{
	struct ops *ops = lxm_alloc(sizeof(*ops));
	pthread_condattr_t attr;

	ops->d = d;
	pthread_mutex_init(&ops->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&ops->changed, &attr);
	pthread_condattr_destroy(&attr);
	return ops;
}

void ops_free(struct ops *ops)
{
	struct op *op;
	size_t i;

	if (!ops)
		return;
	for (i = 0; i < BUCKETS; i++)
		while ((op = ops->bucket[i])) {
			ops->bucket[i] = op->hash_next;
			op_unref(op);
		}
	pthread_cond_destroy(&ops->changed);
	pthread_mutex_destroy(&ops->lock);
	free(ops);
}

json_t *op_resources(json_t *resources)
{
	json_t *list = js_get(resources, "instances"), *twin, *url;
	const char *s;
	size_t i;

	if (!json_is_array(list))
		return resources;
	twin = json_array();
	json_array_foreach(list, i, url) {
		s = json_string_value(url);
		if (s && lxm_starts(s, "/1.0/instances/"))
			json_array_append_new(twin, json_sprintf("/1.0/containers/%s", s + 15));
		else
			json_array_append(twin, url);
	}
	json_object_set_new(resources, "containers", twin);
	return resources;
}

int op_new(struct lxmd *d, const struct op_spec *spec, struct op **op_out, struct lxm_err *e)
{
	struct ops *ops = d->ops;
	struct op *op = lxm_alloc(sizeof(*op));
	pthread_condattr_t attr;
	unsigned int b;
	bool closed;

	atomic_init(&op->refs, 1);
	op->d = d;
	if (spec->id)
		(void)snprintf(op->id, sizeof(op->id), "%s", spec->id);
	else
		lxm_uuid(op->id);
	(void)snprintf(op->url, sizeof(op->url), "/1.0/operations/%s", op->id);
	op->spec = *spec;
	op->project = lxm_strdup(spec->project);
	op->description = lxm_strdup(spec->description ? spec->description : "");
	if (spec->caller)
		op->caller = *spec->caller;
	op->resources = op_resources(spec->resources);
	op->metadata = spec->metadata;
	op->may_cancel = spec->may_cancel;
	op->status = API_PENDING;
	op->updated_at = lxm_now();
	op->created_at = spec->created_at ? spec->created_at : op->updated_at;
	pthread_mutex_init(&op->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&op->ended, &attr);
	pthread_condattr_destroy(&attr);

	b = id_bucket(op->id);
	pthread_mutex_lock(&ops->lock);
	closed = ops->closed;
	if (!closed) {
		op->hash_next = ops->bucket[b];
		ops->bucket[b] = op_ref(op);
		ops->n++;
		ops->n_running++;
	}
	pthread_mutex_unlock(&ops->lock);
	if (closed) {
		op_unref(op);
		return lxm_err_http(e, 503, ESHUTDOWN, "the daemon is stopping");
	}
	event_send(d->events, EVENT_OPERATION, op->project, op_json(op));
	*op_out = op;
	return 0;
}

void ops_forget(struct ops *ops, struct op *op)
{
	struct op **at;

	pthread_mutex_lock(&ops->lock);
	for (at = &ops->bucket[id_bucket(op->id)]; *at && *at != op; at = &(*at)->hash_next)
		;
	if (*at) {
		*at = op->hash_next;
		ops->n--;
	} else {
		op = NULL;
	}
	pthread_mutex_unlock(&ops->lock);
	op_unref(op);
}

void ops_lasting(struct ops *ops)
{
	pthread_mutex_lock(&ops->lock);
	ops->n_lasting++;
	pthread_cond_broadcast(&ops->changed);
	pthread_mutex_unlock(&ops->lock);
}

void ops_ended(struct ops *ops, bool lasting)
{
	pthread_mutex_lock(&ops->lock);
	assert(ops->n_running > 0);
	ops->n_running--;
	ops->n_lasting -= lasting;
	pthread_cond_broadcast(&ops->changed);
	pthread_mutex_unlock(&ops->lock);
}

struct op *ops_get(struct ops *ops, const char *id)
{
	struct op *op;

	pthread_mutex_lock(&ops->lock);
	for (op = ops->bucket[id_bucket(id)]; op && strcmp(op->id, id) != 0; op = op->hash_next)
		;
	if (op)
		op_ref(op);
	pthread_mutex_unlock(&ops->lock);
	return op;
}

/* References to all operations; *n_out of them, free() the array. */
static struct op **snapshot(struct ops *ops, size_t *n_out)
{
	struct op **v, *op;
	size_t i, n = 0;

	pthread_mutex_lock(&ops->lock);
	v = lxm_realloc_n(NULL, ops->n + 1, sizeof(struct op *));
	for (i = 0; i < BUCKETS; i++)
		for (op = ops->bucket[i]; op; op = op->hash_next)
			v[n++] = op_ref(op);
	pthread_mutex_unlock(&ops->lock);
	*n_out = n;
	return v;
}

struct op *ops_find(struct ops *ops, bool (*fits)(struct op *op, void *arg), void *arg)
{
	lxm_auto(free) struct op **v = NULL;
	struct op *found = NULL;
	size_t i, n;

	v = snapshot(ops, &n);
	for (i = 0; i < n; i++) {
		if (!found && fits(v[i], arg))
			found = op_ref(v[i]);
		op_unref(v[i]);
	}
	return found;
}

static int by_age(const void *a, const void *b)
{
	const struct op *x = *(struct op *const *)a, *y = *(struct op *const *)b;

	return x->created_at < y->created_at ? -1 : x->created_at > y->created_at;
}

bool op_visible(const struct op *op, const struct caller *who)
{
	if (who->trust == CALLER_ADMIN)
		return true;
	if (who->trust != CALLER_RESTRICTED)
		return false;
	return op->project ? caller_may_project(who, op->project) : lxm_streq(op->caller.fingerprint, who->fingerprint);
}

json_t *ops_list(struct ops *ops, const char *project, const struct caller *who, int recursion)
{
	lxm_auto(free) struct op **v = NULL;
	json_t *map = json_object(), *list, *o;
	char key[32], *p;
	size_t i, n;

	v = snapshot(ops, &n);
	qsort(v, n, sizeof(struct op *), by_age);
	for (i = 0; i < n; i++) {
		if ((!project || !v[i]->project || strcmp(project, v[i]->project) == 0) && op_visible(v[i], who)) {
			o = op_json(v[i]);
			(void)snprintf(key, sizeof(key), "%s", js_str_or(o, "status", ""));
			for (p = key; *p; p++)
				if (*p >= 'A' && *p <= 'Z')
					*p += 'a' - 'A';
			list = json_object_get(map, key);
			if (!list) {
				json_object_set_new(map, key, json_array());
				list = json_object_get(map, key);
			}
			json_array_append_new(list, recursion ? json_incref(o) : json_string(v[i]->url));
			json_decref(o);
		}
		op_unref(v[i]);
	}
	return map;
}

int ops_stop(struct ops *ops, int timeout_ms)
{
	lxm_auto(free) struct op **v = NULL;
	struct timespec until;
	bool cancel, let_go;
	size_t i, n;
	int r = 0;

	pthread_mutex_lock(&ops->lock);
	ops->closed = true;
	pthread_mutex_unlock(&ops->lock);
	v = snapshot(ops, &n);
	for (i = 0; i < n; i++) {
		pthread_mutex_lock(&v[i]->lock);
		let_go = v[i]->lasting;
		cancel = !let_go && (v[i]->spec.cls != OP_TASK || v[i]->may_cancel);
		pthread_mutex_unlock(&v[i]->lock);
		if (cancel)
			op_cancel_now(v[i]);
		if (let_go)
			op_let_go(v[i]);
		op_unref(v[i]);
	}
	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += timeout_ms / 1000;
	pthread_mutex_lock(&ops->lock);
	while (ops->n_running > ops->n_lasting && r == 0)
		r = pthread_cond_timedwait(&ops->changed, &ops->lock, &until);
	r = ops->n_running > ops->n_lasting ? -EBUSY : 0;
	pthread_mutex_unlock(&ops->lock);
	return r;
}

/* ---- waiting */

void op_waiter_fire(struct op_waiter *w)
{
	w->fn(w->op, w->arg);
	op_unref(w->op);
	free(w);
}

static void on_wait_time(void *arg)
{
	struct op_waiter *w = arg, **at;

	pthread_mutex_lock(&w->op->lock);
	for (at = &w->op->waiters; *at && *at != w; at = &(*at)->next)
		;
	if (*at)
		*at = w->next;
	pthread_mutex_unlock(&w->op->lock);
	op_waiter_fire(w);
}

void op_when_done(struct op *op, int64_t timeout_ms, void (*fn)(struct op *op, void *arg), void *arg)
{
	struct op_waiter *w;

	pthread_mutex_lock(&op->lock);
	if (op->status >= API_SUCCESS || op->let_go || timeout_ms == 0) {
		pthread_mutex_unlock(&op->lock);
		fn(op, arg);
		return;
	}
	w = lxm_alloc(sizeof(*w));
	w->op = op_ref(op);
	w->fn = fn;
	w->arg = arg;
	w->next = op->waiters;
	op->waiters = w;
	if (timeout_ms > 0)
		w->timer = loop_timer(op->d->loop, timeout_ms, on_wait_time, w);
	pthread_mutex_unlock(&op->lock);
}

int op_wait(struct op *op, int64_t timeout_ms)
{
	struct timespec until;
	int r = 0;

	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += timeout_ms / 1000;
	until.tv_nsec += (timeout_ms % 1000) * 1000000;
	if (until.tv_nsec >= 1000000000) {
		until.tv_sec++;
		until.tv_nsec -= 1000000000;
	}
	pthread_mutex_lock(&op->lock);
	while (op->status < API_SUCCESS && r == 0)
		r = timeout_ms < 0 ? pthread_cond_wait(&op->ended, &op->lock) :
				     pthread_cond_timedwait(&op->ended, &op->lock, &until);
	r = op->status >= API_SUCCESS ? 0 : -ETIMEDOUT;
	pthread_mutex_unlock(&op->lock);
	return r;
}
