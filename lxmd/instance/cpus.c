/*
 * The table of running instances with limits.cpu or limits.cpu.nodes. A start chooses its own CPUs and goes on; whom that
 * displaces is moved on a worker, and only files that change are written. Any thread but where said.
 */
#include "lxmd/instance/cpus.h"

#include <limits.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/base/alloc.h"
#include "lib/base/log.h"
#include "lib/base/str.h"
#include "lib/base/time.h"
#include "lib/conf/checks.h"
#include "lib/wire/cgroup.h"
#include "lxmd/core/daemon.h"
#include "lxmd/core/loop.h"
#include "lxmd/core/workers.h"
#include "lxmd/instance/cpus_priv.h"
#include "lxmd/instance/instance.h"
#include "lxmd/instance/run.h"

#define MAX_NODES 64

struct cpus {
	struct lxmd *d;
	pthread_mutex_t write_lock;    /* held while a set goes from the table into a file, so that the newest one stays; taken first */
	pthread_mutex_t lock;
	struct cpuset usable, spread;  /* guarded by lock */
	struct cpus_row *rows;	       /* guarded by lock, and what follows */
	size_t n, cap;
	bool job;		       /* a worker is on its way to write */
	struct worker_group *jobs;     /* that write */
	int uevents;		       /* fixed; -1: the host does not tell */
	struct loop_watch *watch;      /* loop thread */
};

/* ---- what the keys ask for */

struct nodes_arg {
	struct cpuset *out;
	unsigned int missing; /* UINT_MAX: none */
};

static void add_node(unsigned int node, void *arg)
{
	struct nodes_arg *a = arg;
	struct cpuset s;
	size_t k;

	if (cpus_host_node(node, &s) < 0) {
		a->missing = node;
		return;
	}
	for (k = 0; k < LXM_ARRAY_LEN(s.w); k++)
		a->out->w[k] |= s.w[k];
}

static unsigned int load_of(const struct cpus *c, const struct cpuset *s)
{
	unsigned int load = 0;
	size_t i;

	for (i = 0; i < c->n; i++) {
		struct cpuset both = c->rows[i].now;

		cpuset_and(&both, s);
		load += cpuset_count(&both);
	}
	return load;
}

/* "balanced": the node with the fewest users for each of its CPUs. Called with the lock held. */
static void least_node(const struct cpus *c, struct cpuset *out)
{
	unsigned int node, best_load = UINT_MAX, best_cpus = 1;
	struct cpuset s;

	for (node = 0; node < MAX_NODES; node++) {
		unsigned int load, cpus;

		if (cpus_host_node(node, &s) < 0)
			continue;
		cpuset_and(&s, &c->spread);
		cpus = cpuset_count(&s);
		load = load_of(c, &s);
		if (cpus && (best_load == UINT_MAX || load * best_cpus < best_load * cpus)) {
			*out = s;
			best_load = load;
			best_cpus = cpus;
		}
	}
	if (best_load == UINT_MAX)
		*out = c->spread;
}

/* Where it may be by its nodes. Called with the lock held. @had its row, NULL: none yet */
static int nodes_set(const struct cpus *c, const char *nodes, const struct cpus_row *had, struct cpuset *out, struct lxm_err *e)
{
	struct nodes_arg a = { out, UINT_MAX };

	memset(out, 0, sizeof(*out));
	if (lxm_empty(nodes)) {
		memset(out, 0xff, sizeof(*out));
		return 0;
	}
	if (lxm_streq(nodes, "balanced")) {
		if (had)
			*out = had->from;
		else
			least_node(c, out);
		return 0;
	}
	if (conf_parse_cpuset(nodes, add_node, &a) < 0)
		return lxm_err_set(e, EINVAL, "'%s' is no set of NUMA nodes", nodes);
	return a.missing == UINT_MAX ? 0 : lxm_err_set(e, EINVAL, "this host has no NUMA node %u", a.missing);
}

/* Returns 1 with *row filled (count, from), 0: nothing is asked for, or -EINVAL. Called with the lock held. */
static int wanted(const struct cpus *c, const struct lxm_kv *config, const struct cpus_row *had, struct cpus_row *row, struct lxm_err *e)
{
	const char *cpu = lxm_kv_or(config, "limits.cpu", NULL), *nodes = lxm_kv_or(config, "limits.cpu.nodes", NULL);
	struct cpuset set, there;
	uint64_t n;
	int r;

	if (!cpu && !nodes)
		return 0;
	r = nodes_set(c, nodes, had, &row->from, e);
	if (r < 0)
		return lxm_err_wrap(e, r, "limits.cpu.nodes");
	if (!cpu) {
		row->count = 0;
	} else if (lxm_parse_u64(cpu, &n) == 0) {
		row->count = n > CPUS_MAX ? CPUS_MAX : (unsigned int)n;
		if (n == 0)
			return lxm_err_set(e, EINVAL, "0 CPUs are too few");
	} else {
		if (cpuset_parse(cpu, &set) < 0)
			return lxm_err_set(e, EINVAL, "'%s' is no set of CPUs", cpu);
		row->count = 0;
		cpuset_and(&row->from, &set);
	}
	there = row->from;
	cpuset_and(&there, &c->usable);
	if (!cpuset_count(&there)) {
		lxm_auto(free) char *have = cpuset_text(&c->usable);

		return lxm_err_set(e, EINVAL, "%s'%s': none of these CPUs is there, this host has %s", cpu ? "" : "limits.cpu.nodes: ",
				   cpu ? cpu : nodes, have);
	}
	return 1;
}

/* ---- the table; called with the lock held */

static struct cpus_row *find(struct cpus *c, int64_t id)
{
	size_t i;

	for (i = 0; i < c->n; i++)
		if (c->rows[i].id == id)
			return &c->rows[i];
	return NULL;
}

static struct cpus_row *add(struct cpus *c, const struct cpus_row *row)
{
	if (c->n == c->cap) {
		c->cap = c->cap ? c->cap * 2 : 32;
		c->rows = lxm_realloc_n(c->rows, c->cap, sizeof(*c->rows));
	}
	c->rows[c->n] = *row;
	return &c->rows[c->n++];
}

static bool del(struct cpus *c, int64_t id)
{
	struct cpus_row *row = find(c, id);

	if (!row)
		return false;
	memmove(row, row + 1, (size_t)(c->rows + c->n - row - 1) * sizeof(*row));
	c->n--;
	return true;
}

/* ---- writing what moved */

static void path_of(const struct cpus *c, int64_t id, char out[64])
{
	snprintf(out, 64, "%s/%lld", c->d->instances->cgroup_parent, (long long)id);
}

/* Takes one changed row's set out of the table; NULL: none is left. Called with write_lock held. */
static char *next_dirty(struct cpus *c, int64_t *id_out)
{
	char *text = NULL;
	size_t i;

	pthread_mutex_lock(&c->lock);
	for (i = 0; i < c->n && !text; i++)
		if (c->rows[i].dirty && !c->rows[i].held) {
			c->rows[i].dirty = false;
			*id_out = c->rows[i].id;
			text = cpuset_text(&c->rows[i].now);
		}
	pthread_mutex_unlock(&c->lock);
	return text;
}

/* Worker. */
static void write_job(void *arg)
{
	struct cpus *c = arg;
	int64_t start = lxm_mono_us(), id;
	size_t moved = 0, n;
	char path[64];

	pthread_mutex_lock(&c->lock);
	c->job = false;
	n = c->n;
	cpus_spread(c->rows, n, &c->usable, &c->spread);
	pthread_mutex_unlock(&c->lock);
	for (;;) {
		lxm_auto(free) char *text = NULL;
		int r;

		pthread_mutex_lock(&c->write_lock);
		text = next_dirty(c, &id);
		if (text)
			path_of(c, id, path);
		r = text ? cpus_host_write(&c->d->instances->cgroups, path, text) : 0;
		pthread_mutex_unlock(&c->write_lock);
		if (!text)
			break;
		moved++;
		if (r < 0 && r != -ENOENT)
			lxm_warn("instance %lld: give it CPUs %s: %s", (long long)id, text, strerror(-r));
	}
	if (moved)
		lxm_debug("cpus: %zu of %zu instances moved in %lld us", moved, n, (long long)(lxm_mono_us() - start));
}

/* Called with the lock held. */
static void write_soon(struct cpus *c)
{
	if (c->job || !c->n)
		return;
	c->job = true;
	worker_group_run(c->jobs, write_job, c);
}

/* ---- for the rest of the room */

int cpus_check(struct lxmd *d, const struct instance *i, struct lxm_err *e)
{
	struct cpus *c = d->instances->cpus;
	struct cpus_row row = { 0 };
	int r;

	pthread_mutex_lock(&c->lock);
	r = wanted(c, &i->config, NULL, &row, e);
	pthread_mutex_unlock(&c->lock);
	return r < 0 ? r : 0;
}

int cpus_take(struct lxmd *d, const struct instance *i, char **text_out, struct lxm_err *e)
{
	struct cpus *c = d->instances->cpus;
	struct cpus_row row = { .id = i->row.id, .held = true };
	int r;

	*text_out = NULL;
	pthread_mutex_lock(&c->lock);
	(void)del(c, row.id);
	r = wanted(c, &i->config, NULL, &row, e);
	if (r > 0) {
		struct cpus_row *mine = add(c, &row);

		cpus_spread(c->rows, c->n, &c->usable, &c->spread);
		mine->dirty = false;
		*text_out = cpuset_text(&mine->now);
	}
	pthread_mutex_unlock(&c->lock);
	return r < 0 ? r : 0;
}

void cpus_now(struct lxmd *d, int64_t id, char **text_out)
{
	struct cpus *c = d->instances->cpus;
	const struct cpus_row *row;

	pthread_mutex_lock(&c->lock);
	row = find(c, id);
	*text_out = row ? cpuset_text(&row->now) : NULL;
	pthread_mutex_unlock(&c->lock);
}

/* The row's id has come or gone: is anything to be written? Called with the lock held. */
static bool any_dirty(struct cpus *c)
{
	size_t i;

	for (i = 0; i < c->n; i++)
		if (c->rows[i].dirty)
			return true;
	return false;
}

void cpus_started(struct lxmd *d, int64_t id)
{
	struct cpus *c = d->instances->cpus;
	struct cpus_row *row;

	pthread_mutex_lock(&c->lock);
	row = find(c, id);
	if (row) {
		row->held = false;
		if (any_dirty(c))
			write_soon(c);
	}
	pthread_mutex_unlock(&c->lock);
}

void cpus_drop(struct lxmd *d, int64_t id)
{
	struct cpus *c = d->instances->cpus;

	pthread_mutex_lock(&c->lock);
	if (del(c, id))
		write_soon(c);
	pthread_mutex_unlock(&c->lock);
}

/* "balanced": the node that it was given then. */
static void same_node(struct cpus_row *row)
{
	unsigned int node;

	for (node = 0; node < MAX_NODES; node++) {
		struct cpuset s, both;

		if (cpus_host_node(node, &s) < 0)
			continue;
		both = s;
		cpuset_and(&both, &row->now);
		if (cpuset_count(&both)) {
			row->from = s;
			return;
		}
	}
}

void cpus_adopt(struct lxmd *d, const struct run *r, const struct instance *i)
{
	struct cpus *c = d->instances->cpus;
	struct cpus_row row = { .id = i->row.id };
	struct lxm_err e = { 0 };
	char text[16384];

	pthread_mutex_lock(&c->lock);
	if (wanted(c, &i->config, NULL, &row, &e) > 0) {
		if (cgroup_read(&d->instances->cgroups, "cpuset", r->cgroup, "cpuset.cpus", text, sizeof(text)) < 0 ||
		    cpuset_parse(text, &row.now) < 0)
			memset(&row.now, 0, sizeof(row.now));
		if (lxm_streq(lxm_kv_get(&i->config, "limits.cpu.nodes"), "balanced"))
			same_node(&row);
		(void)add(c, &row);
	}
	pthread_mutex_unlock(&c->lock);
	if (e.code)
		lxm_warn("instance '%s': %s", i->row.name, e.msg);
}

int cpus_change(struct lxmd *d, const struct run *r, const struct instance *i, struct lxm_err *e)
{
	struct cpus *c = d->instances->cpus;
	struct cpus_row old = { 0 }, row = { .id = i->row.id }, *have;
	lxm_auto(free) char *text = NULL;
	bool had;
	int w, err = 0;

	pthread_mutex_lock(&c->write_lock);
	pthread_mutex_lock(&c->lock);
	have = find(c, row.id);
	had = have != NULL;
	if (had)
		old = row = *have;
	w = wanted(c, &i->config, had ? &old : NULL, &row, e);
	if (w >= 0)
		(void)del(c, row.id);
	if (w > 0) {
		have = add(c, &row);
		cpus_spread(c->rows, c->n, &c->usable, &c->spread);
		have->dirty = false;
		text = cpuset_text(&have->now);
	}
	pthread_mutex_unlock(&c->lock);
	if (w >= 0)
		err = cpus_host_write(&d->instances->cgroups, r->cgroup, text);
	pthread_mutex_lock(&c->lock);
	if (err < 0) {
		(void)del(c, row.id);
		if (had)
			(void)add(c, &old);
	}
	if (any_dirty(c) || (w == 0 && had))
		write_soon(c);
	pthread_mutex_unlock(&c->lock);
	pthread_mutex_unlock(&c->write_lock);
	if (err < 0)
		return lxm_err_set(e, -err, "write '%s' to cpuset.cpus: %s", text ? text : "", strerror(-err));
	return w < 0 ? w : 0;
}

/* ---- CPUs that come and go */

/* Worker. v1 takes a CPU that went off line out of every group and gives it back to none. */
static void hotplug_job(void *arg)
{
	struct cpus *c = arg;
	const struct cgroup_layout *l = &c->d->instances->cgroups;
	const struct cgroup_hier *h = cgroup_find(l, "cpuset");
	struct cpuset usable, spread;
	lxm_auto(free) struct run **runs = NULL;
	size_t k, n;

	n = h && !h->v2 ? run_list(c->d, &runs) : 0;
	/* one at a time, from its first look on: what is seen last counts */
	pthread_mutex_lock(&c->write_lock);
	cpus_host_restore(l, c->d->instances->cgroup_parent);
	cpus_host_reread(l, c->d->instances->cgroup_parent, &usable, &spread);
	pthread_mutex_lock(&c->lock);
	c->usable = usable;
	c->spread = spread;
	/* whatever the kernel has left in the files: all are written */
	cpus_spread(c->rows, c->n, &c->usable, &c->spread);
	for (k = 0; k < c->n; k++)
		c->rows[k].dirty = true;
	write_soon(c);
	pthread_mutex_unlock(&c->lock);
	for (k = 0; k < n; k++) {
		bool mine;

		pthread_mutex_lock(&c->lock);
		mine = find(c, runs[k]->id) != NULL;
		pthread_mutex_unlock(&c->lock);
		if (!mine)
			(void)cpus_host_write(l, runs[k]->cgroup, NULL);
		run_unref(runs[k]);
	}
	pthread_mutex_unlock(&c->write_lock);
	lxm_info("the host's CPUs have changed: %u can be used", cpuset_count(&usable));
}

/* Loop thread. */
static void on_uevent(int fd, uint32_t revents, void *arg)
{
	struct cpus *c = arg;
	char text[2048];
	bool cpu = false;
	ssize_t n;

	(void)revents;
	while ((n = recv(fd, text, sizeof(text) - 1, MSG_DONTWAIT)) > 0) {
		text[n] = 0;
		cpu |= strstr(text, "/devices/system/cpu/cpu") != NULL;
	}
	if (cpu)
		worker_group_run(c->jobs, hotplug_job, c);
}

struct cpus *cpus_new(struct lxmd *d)
{
	struct cpus *c = lxm_alloc(sizeof(*c));
	struct lxm_err e = { 0 };

	c->d = d;
	pthread_mutex_init(&c->lock, NULL);
	pthread_mutex_init(&c->write_lock, NULL);
	c->jobs = worker_group_new(d->workers);
	cpus_host_read(&d->instances->cgroups, d->instances->cgroup_parent, &c->usable, &c->spread);
	c->uevents = cpus_host_listen();
	if (c->uevents >= 0 && loop_add(d->loop, c->uevents, EPOLLIN, on_uevent, c, &c->watch, &e) < 0)
		lxm_warn("listen to CPUs that come and go: %s", e.msg);
	return c;
}

static void unwatch(void *arg)
{
	struct cpus *c = arg;

	loop_del(c->watch);
	c->watch = NULL;
}

void cpus_free(struct cpus *c)
{
	if (!c)
		return;
	loop_call(c->d->loop, unwatch, c);
	worker_group_free(c->jobs);
	auto_fd_close(&c->uevents);
	pthread_mutex_destroy(&c->lock);
	pthread_mutex_destroy(&c->write_lock);
	free(c->rows);
	free(c);
}
