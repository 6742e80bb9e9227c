/* The list of exec sessions that run: for clients who look for one, and for the daemon's end. */
#include <stdlib.h>

#include "lib/api/json.h"
#include "lib/base/alloc.h"
#include "lxmd/core/daemon.h"
#include "lxmd/core/op.h"
#include "lxmd/instance/exec_priv.h"
#include "lxmd/instance/instance.h"
#include "lxmd/instance/run.h"

void execs_add(struct session *x)
{
	struct instances *in = x->d->instances;

	pthread_mutex_lock(&in->lock);
	x->next = in->execs;
	x->prev = NULL;
	if (x->next)
		x->next->prev = x;
	in->execs = x;
	x->listed = true;
	pthread_mutex_unlock(&in->lock);
}

void execs_remove(struct session *x)
{
	struct instances *in = x->d->instances;

	pthread_mutex_lock(&in->lock);
	if (x->listed) {
		if (x->next)
			x->next->prev = x->prev;
		if (x->prev)
			x->prev->next = x->next;
		else
			in->execs = x->next;
		x->listed = false;
	}
	pthread_mutex_unlock(&in->lock);
}

void execs_show(struct session *x, int32_t pid, bool attached)
{
	struct instances *in = x->d->instances;

	pthread_mutex_lock(&in->lock);
	if (pid)
		x->shown.pid = pid;
	x->shown.attached = attached;
	pthread_mutex_unlock(&in->lock);
}

void execs_show_exit(struct session *x, int status)
{
	struct instances *in = x->d->instances;

	pthread_mutex_lock(&in->lock);
	x->shown.exited = true;
	x->shown.status = status;
	pthread_mutex_unlock(&in->lock);
}

static json_t *show(const struct session *x)
{
	json_t *o = json_object();

	json_object_set_new(o, "id", json_string(op_id(x->op)));
	json_object_set_new(o, "operation", json_string(op_url(x->op)));
	json_object_set_new(o, "command", js_from_strv(&x->rq.argv));
	json_object_set_new(o, "cwd", js_string(x->rq.cwd));
	json_object_set_new(o, "user", json_integer(x->rq.uid));
	json_object_set_new(o, "group", json_integer(x->rq.gid));
	json_object_set_new(o, "interactive", json_boolean(x->rq.interactive));
	json_object_set_new(o, "wait-for-websocket", json_boolean(x->rq.websockets));
	json_object_set_new(o, "created_at", js_time(x->created_at));
	json_object_set_new(o, "pid", json_integer(x->shown.pid));
	json_object_set_new(o, "attached", json_boolean(x->shown.attached));
	json_object_set_new(o, "exited", json_boolean(x->shown.exited));
	json_object_set_new(o, "return", x->shown.exited ? json_integer(x->shown.status) : json_null());
	return o;
}

static int by_age(const void *a, const void *b)
{
	const struct session *x = *(struct session *const *)a, *y = *(struct session *const *)b;

	return x->created_at < y->created_at ? -1 : x->created_at > y->created_at;
}

json_t *execs_list(struct lxmd *d, int64_t instance_id)
{
	struct instances *in = d->instances;
	lxm_auto(free) struct session **v = NULL;
	json_t *list = json_array();
	struct session *x;
	size_t n = 0, k;

	pthread_mutex_lock(&in->lock);
	for (x = in->execs; x; x = x->next)
		n += x->run->id == instance_id;
	v = lxm_realloc_n(NULL, n + 1, sizeof(struct session *));
	for (n = 0, x = in->execs; x; x = x->next)
		if (x->run->id == instance_id)
			v[n++] = x;
	qsort(v, n, sizeof(struct session *), by_age);
	for (k = 0; k < n; k++)
		json_array_append_new(list, show(v[k]));
	pthread_mutex_unlock(&in->lock);
	return list;
}

static void let_go_of_all(void *arg)
{
	struct lxmd *d = arg;
	struct session *x;

	/* one after the other: only this thread takes any out */
	while ((x = __atomic_load_n(&d->instances->execs, __ATOMIC_RELAXED))) {
		execs_remove(x);
		session_let_go(x);
	}
}

void execs_stop(struct lxmd *d)
{
	loop_call(d->loop, let_go_of_all, d);
}
