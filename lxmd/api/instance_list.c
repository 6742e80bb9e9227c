/*
 * GET /1.0/instances. Each object becomes text as soon as it is built, so that a list of a thousand needs the memory of one; long lists
 * are cut into parts that a few workers take one after another.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

#include "lib/api/json_write.h"
#include "lib/base/alloc.h"
#include "lxmd/api/api.h"
#include "lxmd/api/instance_body.h"
#include "lxmd/api/scope.h"
#include "lxmd/core/daemon.h"
#include "lxmd/core/workers.h"
#include "lxmd/http/filter.h"
#include "lxmd/instance/render.h"
#include "lxmd/instance/rows.h"
#include "lxmd/instance/run.h"

#define PART	     16 /* instances */
#define HELPERS_MAX 3u

/*
 * What the request's thread and its helpers share. A helper that comes late finds no part left and touches nothing but the
 * counts: the request may be over.
 */
struct listing {
	/* the request's; valid while a part is being written */
	struct request *rq;
	struct instance_rows *rows;
	const struct filter *filter;

	atomic_uint refs;
	size_t n; /* parts */
	atomic_size_t next;
	pthread_mutex_t lock;
	pthread_cond_t written;
	size_t done;
	struct lxm_buf part[]; /* objects with commas between them */
};

static void listing_unref(struct listing *x)
{
	size_t i;

	if (atomic_fetch_sub(&x->refs, 1) > 1)
		return;
	for (i = 0; i < x->n; i++)
		lxm_buf_deinit(&x->part[i]);
	pthread_cond_destroy(&x->written);
	pthread_mutex_destroy(&x->lock);
	free(x);
}
LXM_AUTO_PTR(listing_unref, struct listing, listing_unref)

/* Does the filter want what was just written? What it does not is taken away again. */
static bool wanted(const struct filter *f, struct lxm_buf *out, size_t from)
{
	size_t at = from && out->data[from] == ',' ? from + 1 : from;
	lxm_auto(json) json_t *o = NULL;

	if (js_parse(out->data + at, out->len - at, &o, NULL) == 0 && filter_match(f, o))
		return true;
	out->len = from;
	return false;
}

static void write_one(const struct listing *x, const struct instance *i, struct lxm_buf *out)
{
	lxm_auto(run_unref) struct run *run = run_get(x->rq->d, i->row.id);
	int recursion = rq_recursion(x->rq);
	size_t from = out->len;

	if (!scope_sees(x->rq, i->row.project))
		return;
	if (recursion == 2)
		instance_full_write(out, x->rq->d, i, run, false, &x->rows->snapshots, &x->rows->backups);
	else if (recursion || x->filter)
		instance_write(out, i, run);
	if ((x->filter && !wanted(x->filter, out, from)) || recursion)
		return;
	out->len = from;
	jw_tree(out, NULL, instance_list_url(x->rq, i));
}

static void write_parts(struct listing *x)
{
	size_t p, k;

	while ((p = atomic_fetch_add(&x->next, 1)) < x->n) {
		for (k = p * PART; k < (p + 1) * PART && k < x->rows->l.n; k++)
			write_one(x, &x->rows->l.v[k], &x->part[p]);
		pthread_mutex_lock(&x->lock);
		if (++x->done == x->n)
			pthread_cond_signal(&x->written);
		pthread_mutex_unlock(&x->lock);
	}
}

static void help(void *arg)
{
	write_parts(arg);
	listing_unref(arg);
}

/* One helper for each further processor, at most one for each further four parts. */
static void call_helpers(struct listing *x)
{
	long cpus = sysconf(_SC_NPROCESSORS_ONLN);
	char name[CALLER_SHARE_LEN];
	const char *share = caller_share(rq_caller(x->rq), CALLER_SHARE_PART, name);
	unsigned int i;

	for (i = 0; i < HELPERS_MAX && i + 1 < (unsigned long)cpus && x->n > 4 * (i + 1); i++) {
		atomic_fetch_add(&x->refs, 1);
		workers_run_share(x->rq->d->workers, share, help, x);
	}
}

static int list(struct request *rq, struct instance_rows *rows, const struct filter *filter)
{
	size_t n = (rows->l.n + PART - 1) / PART;
	lxm_auto(listing_unref) struct listing *x = lxm_alloc(sizeof(*x) + n * sizeof(x->part[0]));

	x->rq = rq;
	x->rows = rows;
	x->filter = filter;
	x->n = n;
	atomic_init(&x->refs, 1);
	pthread_mutex_init(&x->lock, NULL);
	pthread_cond_init(&x->written, NULL);
	call_helpers(x);
	write_parts(x);
	pthread_mutex_lock(&x->lock);
	while (x->done < x->n)
		pthread_cond_wait(&x->written, &x->lock);
	pthread_mutex_unlock(&x->lock);

	return reply_sync_list(rq, x->part, n);
}

static bool type_wanted(struct request *rq)
{
	const char *t = rq_query(rq, "instance-type");

	return lxm_empty(t) || lxm_streq(t, "container");
}

int api_instances_get(struct request *rq, struct lxm_err *e)
{
	lxm_auto(instance_rows_unref) struct instance_rows *rows = NULL;
	lxm_auto(filter_free) struct filter *f = NULL;
	int r = rq_filter(rq, &f, e);

	if (r == 0 && !type_wanted(rq))
		return reply_sync_list(rq, NULL, 0);
	if (r == 0)
		r = instance_rows_get(rq->d, rq_all_projects(rq) ? NULL : rq_project(rq), &rows, e);
	return r < 0 ? r : list(rq, rows, f);
}
