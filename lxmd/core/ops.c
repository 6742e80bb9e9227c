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
#include "lib/base/log.h"
#include "lib/base/str.h"
#include "lxmd/core/audit.h"
#include "lxmd/core/daemon.h"
#include "lxmd/core/event.h"
#include "lxmd/core/op_impl.h"
#include "lxmd/core/op_slots.h"
#include "lxmd/core/workers.h"

#define BUCKETS 256
#define OPS_ONE 500 /* not yet final, of one caller who is no administrator */

struct ops {
	struct lxmd *d;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	/* guarded by lock: */
	struct op *bucket[BUCKETS];
	size_t n, n_running, n_lasting; /* lasting ones are among the running */
	bool closed;
	struct op_slots *slots; /* NULL: nothing is noted */
	struct worker_group *jobs; /* fixed */
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
	ops->jobs = worker_group_new(d->workers);
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
	op_slots_close(ops->slots);
	worker_group_free(ops->jobs);
	pthread_cond_destroy(&ops->changed);
	pthread_mutex_destroy(&ops->lock);
	free(ops);
}

struct worker_group *ops_jobs(struct ops *ops)
{
	return ops->jobs;
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

/* ---- making and forgetting */

/* Has whoever asks for this one enough of them? With the registry's lock held. */
static bool has_enough(const struct ops *ops, const struct caller *who)
{
	const struct op *op;
	size_t i, n = 0;

	if (who->trust != CALLER_RESTRICTED)
		return false;
	for (i = 0; i < BUCKETS; i++)
		for (op = ops->bucket[i]; op; op = op->hash_next)
			n += !op->over && op->caller.trust == CALLER_RESTRICTED && strcmp(op->caller.fingerprint, who->fingerprint) == 0;
	return n >= OPS_ONE;
}

static struct op *op_make(struct lxmd *d, const struct op_spec *spec)
{
	struct op *op = lxm_alloc(sizeof(*op));
	pthread_condattr_t attr;

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
	op->slot = -1;
	op->updated_at = lxm_now();
	op->created_at = spec->created_at ? spec->created_at : op->updated_at;
	pthread_mutex_init(&op->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&op->ended, &attr);
	pthread_condattr_destroy(&attr);
	return op;
}

/* With the lock held. */
static struct op *find_locked(struct ops *ops, const char *id)
{
	struct op *op;

	for (op = ops->bucket[id_bucket(id)]; op && strcmp(op->id, id) != 0; op = op->hash_next)
		;
	return op;
}

/* With the lock held; the registry has a reference of its own. */
static void insert(struct ops *ops, struct op *op)
{
	struct op **at = &ops->bucket[id_bucket(op->id)];

	op->hash_next = *at;
	*at = op_ref(op);
	ops->n++;
}

/* With the lock held. */
static int note(struct ops *ops, struct op *op)
{
	const struct op_note n = {
		.id = op->id, .project = op->project, .description = op->description, .cls = op->spec.cls,
		.created_at = op->created_at, .resources = op->resources, .caller = op->caller,
	};

	return op_slots_take(ops->slots, &n);
}

/* What was taken for lost goes on after all: it gets its id back. */
static void forget_lost(struct ops *ops, const char *id)
{
	lxm_auto(op_unref) struct op *op = ops_get(ops, id);
	bool mine = false;

	if (!op)
		return;
	pthread_mutex_lock(&op->lock);
	if (op->status >= API_SUCCESS)
		mine = loop_timer_cancel(op->d->loop, op->forget_timer);
	pthread_mutex_unlock(&op->lock);
	if (mine)
		ops_forget(ops, op);
}

int op_new(struct lxmd *d, const struct op_spec *spec, struct op **op_out, struct lxm_err *e)
{
	struct ops *ops = d->ops;
	struct op *op = op_make(d, spec);
	bool closed, full;

	if (spec->id)
		forget_lost(ops, spec->id);
	pthread_mutex_lock(&ops->lock);
	closed = ops->closed;
	full = has_enough(ops, &op->caller);
	if (!closed && !full) {
		insert(ops, op);
		ops->n_running++;
		op->slot = note(ops, op);
	}
	pthread_mutex_unlock(&ops->lock);
	if (closed || full) {
		op_unref(op);
		return closed ? lxm_err_http(e, 503, ESHUTDOWN, "the daemon is stopping") :
				lxm_err_http(e, 503, EAGAIN, "%d of your operations are running: wait until some have ended", OPS_ONE);
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
		op_slots_give(ops->slots, op->slot);
		op->slot = -1;
	} else {
		op = NULL;
	}
	pthread_mutex_unlock(&ops->lock);
	op_unref(op);
}

/* ---- across a restart */

void ops_remember(struct ops *ops, int rundir)
{
	struct lxm_err e = { 0 };

	if (op_slots_open(rundir, &ops->slots, &e) < 0)
		lxm_warn("operations will be forgotten by a restart: %s", e.msg);
}

static void recall(struct ops *ops, int slot, struct op_note *n)
{
	const struct op_spec spec = {
		.id = n->id, .created_at = n->created_at, .cls = n->cls, .project = n->project,
		.description = n->description, .resources = LXM_TAKE(n->resources, NULL), .caller = &n->caller,
	};
	struct op *op = op_make(ops->d, &spec);

	op->started = op->over = true;
	op->status = API_FAILURE;
	op->err = lxm_strdup("lxmd was restarted while this ran");
	op->slot = slot;
	op_forget_later(op, OP_LOST_KEEP_MS);
	pthread_mutex_lock(&ops->lock);
	insert(ops, op);
	op_slots_told(ops->slots, slot);
	pthread_mutex_unlock(&ops->lock);
	if (op->caller.protocol[0] && !n->told)
		audit_operation(op->d, &op->caller, op->id, op->description, op->project, api_status_name(API_FAILURE));
	lxm_info("operation '%s' (%s): %s", op->id, op->description, op->err);
	op_unref(op);
}

void ops_recall(struct ops *ops)
{
	int i;

	for (i = 0; i < OP_SLOTS; i++) {
		lxm_auto(op_note) struct op_note n = { 0 };
		struct op *op;

		pthread_mutex_lock(&ops->lock);
		if (op_slots_read(ops->slots, i, &n)) {
			op = find_locked(ops, n.id);
			if (!op) {
				pthread_mutex_unlock(&ops->lock);
				recall(ops, i, &n);
				continue;
			}
			if (op->slot != i) /* it goes on, and has a note of its own */
				op_slots_give(ops->slots, i);
		}
		pthread_mutex_unlock(&ops->lock);
	}
}

void ops_lasting(struct ops *ops)
{
	pthread_mutex_lock(&ops->lock);
	ops->n_lasting++;
	pthread_cond_broadcast(&ops->changed);
	pthread_mutex_unlock(&ops->lock);
}

void ops_ended(struct ops *ops, struct op *op, bool well)
{
	pthread_mutex_lock(&ops->lock);
	assert(ops->n_running > 0);
	op->over = true;
	ops->n_running--;
	ops->n_lasting -= op->lasting;
	if (well || !ops->closed) { /* what ends because we end was cut off: the next lxmd will say so */
		op_slots_give(ops->slots, op->slot);
		op->slot = -1;
	}
	pthread_cond_broadcast(&ops->changed);
	pthread_mutex_unlock(&ops->lock);
}

struct op *ops_get(struct ops *ops, const char *id)
{
	struct op *op;

	pthread_mutex_lock(&ops->lock);
	op = find_locked(ops, id);
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
	return r < 0 ? r : worker_group_wait(ops->jobs, timeout_ms);
}
