/*
 * Who starts without being asked, and who is stopped in which order: boot.*. At the start of the daemon, when the host goes down,
 * and after an end that nobody asked for. Worker threads, but for what says otherwise.
 */
#include "lxmd/instance/boot.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "lib/base/alloc.h"
#include "lib/base/log.h"
#include "lib/base/time.h"
#include "lxmd/core/daemon.h"
#include "lxmd/core/locks.h"
#include "lxmd/core/workers.h"
#include "lxmd/instance/instance.h"
#include "lxmd/instance/instances.h"
#include "lxmd/instance/life.h"
#include "lxmd/instance/run.h"

#define RESTARTS	10 /* within */
#define RESTARTS_MS	60000
#define GONE_MS		15000 /* for what is cleaned up behind one that was stopped */

/* ---- autostart */

static int64_t number(const struct instance *i, const char *key)
{
	int64_t v = 0;

	(void)lxm_parse_i64(lxm_kv_or(&i->config, key, "0"), &v);
	return v;
}

static int cmp_autostart(const void *a, const void *b)
{
	const struct instance *x = a, *y = b;
	int64_t p = number(x, "boot.autostart.priority"), q = number(y, "boot.autostart.priority");

	return p != q ? (p < q ? 1 : -1) : strcmp(x->row.name, y->row.name);
}

static bool wants_start(const struct instance *i)
{
	int b = lxm_parse_bool(lxm_kv_get(&i->config, "boot.autostart"));

	return b < 0 ? lxm_streq(lxm_kv_get(&i->row.config, "volatile.last_state.power"), "RUNNING") : b;
}

/* Starts one that is to run and does not; true if it was. */
static bool autostart_one(struct lxmd *d, const struct instance *i)
{
	lxm_auto(run_unref) struct run *run = run_get(d, i->row.id);
	lxm_auto(lock_release) struct lock *lock = NULL;
	lxm_auto(instance) struct instance now = { 0 };
	struct lxm_err e = { 0 };

	if (run || !wants_start(i))
		return false;
	/* anew: the first ones may have taken minutes, and clients are served meanwhile */
	if (instance_lock(d, i->row.id, "Starting instance", &now, &lock, &e) < 0)
		return false;
	if (instance_start(d, &now, NULL, NULL, &e) < 0) {
		lxm_error("%s", e.msg);
		return false;
	}
	return true;
}

/* Of those left the first whose project does not wait; else *wait_ms until one may be looked at. */
static size_t autostart_next(const struct instance_list *l, const bool *done, const struct lxm_kv *due, int64_t *wait_ms)
{
	int64_t now = lxm_mono_ms(), t;
	size_t k;

	*wait_ms = -1;
	for (k = 0; k < l->n; k++) {
		if (done[k])
			continue;
		t = 0;
		(void)lxm_parse_i64(lxm_kv_or(due, l->v[k].row.project, "0"), &t);
		if (t <= now)
			return k;
		if (*wait_ms < 0 || t - now < *wait_ms)
			*wait_ms = t - now;
	}
	return l->n;
}

/* By priority over all projects; a delay holds up its own project only. */
static void autostart_job(void *arg)
{
	lxm_auto(instance_list) struct instance_list l = { 0 };
	lxm_auto(kv) struct lxm_kv due = { 0 }; /* of a project: when it may go on, in monotonic ms */
	lxm_auto(free) bool *done = NULL;
	struct lxmd *d = arg;
	struct lxm_err e = { 0 };
	int64_t wait_ms = 0;

	if (instance_load_all(d, NULL, &l, &e) < 0) {
		lxm_error("autostart: %s", e.msg);
		return;
	}
	if (l.n)
		qsort(l.v, l.n, sizeof(*l.v), cmp_autostart);
	done = lxm_alloc((l.n + 1) * sizeof(*done));
	while (!__atomic_load_n(&d->stopping, __ATOMIC_RELAXED)) {
		size_t k = autostart_next(&l, done, &due, &wait_ms);
		int64_t delay;

		if (k == l.n && wait_ms < 0)
			return;
		if (k == l.n) {
			/* the daemon may be told to end meanwhile */
			nanosleep(&(struct timespec){ .tv_nsec = (wait_ms < 500 ? wait_ms : 500) * 1000000 }, NULL);
			continue;
		}
		done[k] = true;
		delay = number(&l.v[k], "boot.autostart.delay");
		if (autostart_one(d, &l.v[k]) && delay > 0 && delay < 3600)
			lxm_kv_setf(&due, l.v[k].row.project, "%lld", (long long)(lxm_mono_ms() + delay * 1000));
	}
}

void instances_autostart(struct lxmd *d)
{
	worker_group_run(d->instances->jobs, autostart_job, d);
}

/* ---- the host goes down */

struct leaving {
	struct run *run;
	struct instance i;
};

static void shutdown_job(void *arg)
{
	struct leaving *s = arg;
	struct lxmd *d = s->run->d;
	int64_t timeout = number(&s->i, "boot.host_shutdown_timeout");
	bool force = lxm_streq(lxm_kv_get(&s->i.config, "boot.host_shutdown_action"), "force-stop");
	lxm_auto(kv) struct lxm_kv keys = { 0 };
	struct lxm_err e = { 0 };

	if ((force || (instance_stop(d, &s->i, false, (timeout > 0 ? timeout : 30) * 1000, true, NULL, NULL, &e) < 0 && e.code != ESRCH)) &&
	    instance_stop(d, &s->i, true, -1, true, NULL, NULL, &e) < 0 && e.code != ESRCH) {
		lxm_error("%s", e.msg);
		return;
	}
	(void)run_wait_gone(s->run, GONE_MS);
	/* it comes back with the host */
	lxm_kv_set(&keys, "volatile.last_state.power", "RUNNING");
	if (instance_set_volatile(d, s->i.row.id, &keys, &e) < 0)
		lxm_error("instance '%s': %s", s->i.row.name, e.msg);
}

static int cmp_leaving(const void *a, const void *b)
{
	const struct leaving *x = a, *y = b;
	int64_t p = number(&x->i, "boot.stop.priority"), q = number(&y->i, "boot.stop.priority");

	return p < q ? 1 : p > q ? -1 : 0;
}

bool instances_shutdown(struct lxmd *d)
{
	struct instances *in = d->instances;
	struct worker_group *round;
	struct leaving *v;
	struct run **runs = NULL;
	size_t n, k, m, first;
	bool going;

	pthread_mutex_lock(&in->lock);
	going = in->host_goes;
	in->host_goes = true;
	pthread_mutex_unlock(&in->lock);
	if (going)
		return false;
	n = run_list(d, &runs);
	v = lxm_alloc(n * sizeof(*v));
	for (k = 0, m = 0; k < n; k++) {
		v[m].run = runs[k];
		if (instance_load_id(d, runs[k]->id, &v[m].i, NULL) == 0)
			m++;
		else
			run_unref(runs[k]);
	}
	free(runs);
	if (m)
		qsort(v, m, sizeof(*v), cmp_leaving);
	/* one round for each priority, highest first; all of a round side by side */
	round = worker_group_new(d->workers);
	for (first = 0; first < m; first = k) {
		for (k = first; k < m && cmp_leaving(&v[first], &v[k]) == 0; k++)
			worker_group_run(round, shutdown_job, &v[k]);
		(void)worker_group_wait(round, -1);
	}
	worker_group_free(round);
	for (k = 0; k < m; k++) {
		run_unref(v[k].run);
		instance_deinit(&v[k].i);
	}
	free(v);
	return true;
}

/* ---- an end that nobody asked for */

/* When one instance was restarted, the latest last. */
struct restarts {
	struct restarts *next;
	int64_t id;
	int64_t at_ms[RESTARTS];
};

/* May it be started once more? Notes that it is. With the table's lock held; forgets what is long ago on the way. */
static bool restart_counts(struct instances *in, int64_t id)
{
	int64_t now = lxm_mono_ms();
	struct restarts **at = &in->restarts, *r = NULL;

	while (*at) {
		struct restarts *x = *at;

		if (x->id == id) {
			r = x;
		} else if (now - x->at_ms[RESTARTS - 1] > RESTARTS_MS) {
			*at = x->next;
			free(x);
			continue;
		}
		at = &x->next;
	}
	if (!r) {
		r = lxm_alloc(sizeof(*r));
		*r = (struct restarts){ .next = in->restarts, .id = id };
		in->restarts = r;
	}
	if (r->at_ms[0] && now - r->at_ms[0] < RESTARTS_MS)
		return false;
	memmove(r->at_ms, r->at_ms + 1, sizeof(r->at_ms) - sizeof(r->at_ms[0]));
	r->at_ms[RESTARTS - 1] = now;
	return true;
}

void boot_restarts_free(struct restarts *r)
{
	while (r) {
		struct restarts *next = r->next;

		free(r);
		r = next;
	}
}

struct restart {
	struct lxmd *d;
	int64_t id;
};

static void restart_job(void *arg)
{
	lxm_auto(free) struct restart *job = arg;
	lxm_auto(lock_release) struct lock *lock = NULL;
	lxm_auto(run_unref) struct run *run = NULL;
	lxm_auto(instance) struct instance i = { 0 };
	struct lxm_err e = { 0 };

	/* deleted, stopped for something else, or already started by somebody */
	if (instance_lock(job->d, job->id, "Starting instance", &i, &lock, &e) < 0)
		return;
	run = run_get(job->d, job->id);
	if (!run && lxm_kv_bool(&i.config, "boot.autorestart", false) && instance_start(job->d, &i, NULL, NULL, &e) < 0)
		lxm_error("%s", e.msg);
}

void boot_ended(struct lxmd *d, const struct instance *i)
{
	struct instances *in = d->instances;
	struct restart *job;
	bool may;

	if (i->row.ephemeral || !lxm_kv_bool(&i->config, "boot.autorestart", false) || __atomic_load_n(&d->stopping, __ATOMIC_RELAXED))
		return;
	pthread_mutex_lock(&in->lock);
	may = restart_counts(in, i->row.id);
	pthread_mutex_unlock(&in->lock);
	if (!may) {
		lxm_warn("instance '%s' ended %d times within a minute: it is not started again", i->row.name, RESTARTS);
		return;
	}
	job = lxm_alloc(sizeof(*job));
	*job = (struct restart){ d, i->row.id };
	worker_group_run(d->instances->jobs, restart_job, job);
}
