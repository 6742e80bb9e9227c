/*
 * Work on files. Each verb and each SFTP session is one lxm-helper.
 *
 * A running instance is entered through its init. A stopped one has its root mounted for the time that somebody works on it: the
 * first helper makes the mount and a user namespace with the instance's ids and hands both up; later ones get them. The mount
 * is attached nowhere and goes with the last descriptor. A start must not find it (two mounts of one upper layer), so
 * instance_files_end() ends those helpers first.
 */
#include "lxmd/instance/files.h"

#include <string.h>
#include <time.h>

#include "lib/base/alloc.h"
#include "lib/base/log.h"
#include "lib/base/sys.h"
#include "lxmd/core/daemon.h"
#include "lxmd/core/loop.h"
#include "lxmd/instance/helper.h"
#include "lxmd/instance/instance.h"
#include "lxmd/instance/life.h"
#include "lxmd/instance/run.h"
#include "lxmd/spawn/spawn.h"
#include "lxmd/storage/pool.h"

#define SETTLE_MS 30000 /* an instance that is starting or stopping */
#define RETRY_MS  10
#define SILENT_MS 60000 /* a helper that shows no sign of life hangs on a file system of the instance */
#define POLITE_MS 5000	/* for single verbs, before a start ends them */

/* The root of a stopped instance that somebody works in. */
struct root {
	struct root *next;
	int64_t id;
	int mount, userns; /* -1 until the first helper has made them */
	bool making;	   /* that one is at it */
	bool ending;	   /* instance_files_end() waits for users to become 0 */
	unsigned int users;
	struct helper *helpers;
};

struct files *files_new(void)
{
	struct files *f = lxm_alloc(sizeof(*f));
	pthread_condattr_t attr;

	pthread_mutex_init(&f->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&f->changed, &attr);
	pthread_condattr_destroy(&attr);
	return f;
}

void files_free(struct lxmd *d, struct files *f)
{
	if (!f)
		return;
	if (d->loop)
		loop_call(d->loop, sftp_end_all, f);
	pthread_mutex_lock(&f->lock);
	while (f->nsessions)
		pthread_cond_wait(&f->changed, &f->lock);
	pthread_mutex_unlock(&f->lock);
	pthread_mutex_destroy(&f->lock);
	pthread_cond_destroy(&f->changed);
	free(f);
}

/* ---- roots of stopped instances */

static struct root *root_find(struct files *f, int64_t id)
{
	struct root *r = f->roots;

	while (r && r->id != id)
		r = r->next;
	return r;
}

/* With the lock held: nobody uses it. */
static void root_remove(struct files *f, struct root *r)
{
	struct root **p = &f->roots;

	while (*p != r)
		p = &(*p)->next;
	*p = r->next;
	auto_fd_close(&r->mount);
	auto_fd_close(&r->userns);
	free(r);
}

static struct timespec in_ms(int64_t ms)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	t.tv_sec += ms / 1000;
	return t;
}

/*
 * A place at the root of a stopped instance; *first: the caller is to make it. Returns 0, 1 if the instance is in the
 * table of what runs, -EBUSY.
 */
static int root_join(struct lxmd *d, const struct instance *i, struct root **out, bool *first, struct lxm_err *e)
{
	struct files *f = d->instances->files;
	struct timespec until = in_ms(SETTLE_MS);
	struct run *run;
	struct root *r;
	int rc = 0;

	pthread_mutex_lock(&f->lock);
	for (;;) {
		/* a start enters that table first and asks for the end of what it finds here afterwards */
		run = run_get(d, i->row.id);
		r = root_find(f, i->row.id);
		if (run || !r || (!r->ending && !r->making) || rc)
			break;
		rc = pthread_cond_timedwait(&f->changed, &f->lock, &until);
	}
	if (run) {
		rc = 1;
	} else if (r && (r->ending || r->making)) {
		rc = lxm_err_set(e, EBUSY, "instance '%s' is busy", i->row.name);
	} else {
		rc = 0;
		if (!r) {
			r = lxm_alloc(sizeof(*r));
			*r = (struct root){ .next = f->roots, .id = i->row.id, .mount = -1, .userns = -1 };
			f->roots = r;
		}
		*first = r->mount < 0;
		r->making = *first;
		r->users++;
		*out = r;
	}
	pthread_mutex_unlock(&f->lock);
	run_unref(run);
	return rc;
}

static void root_made(struct files *f, struct root *r, int fds[2])
{
	pthread_mutex_lock(&f->lock);
	r->making = false;
	r->mount = LXM_TAKE(fds[0], -1);
	r->userns = LXM_TAKE(fds[1], -1);
	pthread_cond_broadcast(&f->changed);
	pthread_mutex_unlock(&f->lock);
}

static void root_leave(struct files *f, struct root *r)
{
	pthread_mutex_lock(&f->lock);
	if (r->mount < 0)
		r->making = false;
	if (--r->users == 0 && !r->ending)
		root_remove(f, r);
	pthread_cond_broadcast(&f->changed);
	pthread_mutex_unlock(&f->lock);
}

/* With the lock held. */
static void kill_helpers(struct root *r, bool sessions_only)
{
	struct helper *h;

	for (h = r->helpers; h; h = h->next)
		if (h->session || !sessions_only)
			(void)sys_pidfd_send_signal(h->pidfd, SIGKILL);
}

void instance_files_end(struct lxmd *d, int64_t id)
{
	struct files *f = d->instances->files;
	struct timespec until = in_ms(POLITE_MS);
	struct root *r;
	int rc = 0;

	pthread_mutex_lock(&f->lock);
	r = root_find(f, id);
	if (r) {
		r->ending = true;
		kill_helpers(r, true);
		while (r->users && rc == 0)
			rc = pthread_cond_timedwait(&f->changed, &f->lock, &until);
		kill_helpers(r, false);
		until = in_ms(POLITE_MS);
		for (rc = 0; r->users && rc == 0;)
			rc = pthread_cond_timedwait(&f->changed, &f->lock, &until);
		if (r->users)
			lxm_warn("instance %lld: a helper on its files does not end", (long long)id);
		r->ending = false;
		if (!r->users)
			root_remove(f, r);
		pthread_cond_broadcast(&f->changed);
	}
	pthread_mutex_unlock(&f->lock);
}

/* ---- helpers */

/* What a job needs to make the root of a stopped instance. Owns the strings. */
struct make {
	struct volume_root root;
	struct idmap map;
	struct lxm_buf uid_map, gid_map;
};

static void make_deinit(struct make *m)
{
	volume_root_deinit(&m->root);
	idmap_deinit(&m->map);
	lxm_buf_deinit(&m->uid_map);
	lxm_buf_deinit(&m->gid_map);
}
LXM_AUTO_STRUCT(make, struct make, make_deinit)

/* Text for the kernel; answers the host id of root inside. */
static uint32_t map_text(const struct idmap_line *v, size_t n, struct lxm_buf *b)
{
	uint32_t root = n ? v[0].outside : 0;
	size_t k;

	for (k = 0; k < n; k++) {
		lxm_buf_fmt(b, "%u %u %u\n", v[k].inside, v[k].outside, v[k].count);
		if (v[k].inside == 0)
			root = v[k].outside;
	}
	return root;
}

static int make_fill(struct lxmd *d, const struct instance *i, struct make *m, struct file_job *job, struct lxm_err *e)
{
	lxm_auto(pool_unref) struct pool *pool = NULL;
	const struct volume_id *v = VOLUME_OF_INSTANCE(i->row.project, i->row.name);
	int r = storage_pool_get(d, instance_root_pool(i), &pool, e);

	if (r == 0)
		r = pool_volume_prepare(pool, v, e);
	if (r == 0)
		r = pool_volume_root(pool, v, &m->root, e);
	if (r < 0)
		return r;
	/* an instance whose configuration changed gets its ids at its next start: until then any host ids show the right ones inside */
	r = instance_idmap_next(d, i, &m->map, e);
	if (r < 0)
		return r;
	if (pool_shifts(pool)) {
		job->flags |= FILE_UNMAPPED;
		r = pool_volume_shift(pool, v, m->map.nuid ? m->map.base : 0, m->map.nuid ? m->map.size : 0, e);
		if (r < 0)
			return r;
	}
	job->uid0 = map_text(m->map.uid, m->map.nuid, &m->uid_map);
	job->gid0 = map_text(m->map.gid, m->map.ngid, &m->gid_map);
	job->uid_map = m->uid_map.data;
	job->gid_map = m->gid_map.data;
	if (m->root.kind == VOLUME_ROOT_OVERLAY) {
		job->flags |= FILE_OVERLAY;
		job->root_dir = m->root.dir;
		job->root_lower = m->root.lower;
	} else {
		job->root_dir = m->root.lower;
	}
	return 0;
}

/* Waits for FILE_READY, which may bring the root that it made. */
static int wait_ready(struct files *f, struct helper *h, bool first, struct lxm_err *e)
{
	struct file_report rep;
	int fds[2], r = file_report_recv(h->sock, &rep, fds, SILENT_MS, e);

	if (r == 0)
		r = lxm_err_set(e, EIO, "the helper ended without a word");
	else if (r > 0 && rep.kind == FILE_FAILED)
		r = lxm_err_set(e, rep.code ? rep.code : EIO, "%s", rep.text);
	else if (r > 0 && (rep.kind != FILE_READY || (first && fds[0] < 0)))
		r = lxm_err_set(e, EBADMSG, "the helper's answer makes no sense");
	if (r > 0 && first)
		root_made(f, h->root, fds);
	auto_fd_close(&fds[0]);
	auto_fd_close(&fds[1]);
	return r < 0 ? r : 0;
}

static void helper_enlist(struct files *f, struct helper *h)
{
	if (!h->root)
		return;
	pthread_mutex_lock(&f->lock);
	h->next = h->root->helpers;
	h->root->helpers = h;
	if (h->root->ending && h->session)
		(void)sys_pidfd_send_signal(h->pidfd, SIGKILL);
	pthread_mutex_unlock(&f->lock);
}

void helper_end(struct lxmd *d, struct helper *h)
{
	struct files *f = d->instances->files;
	struct helper **p;

	auto_fd_close(&h->sock);
	if (h->pidfd >= 0 && spawn_wait(h->pidfd, 1000, NULL) == -ETIMEDOUT) {
		(void)sys_pidfd_send_signal(h->pidfd, SIGKILL);
		/* one that waits for a file server in the instance ends when that does */
		if (spawn_wait(h->pidfd, SILENT_MS, NULL) == -ETIMEDOUT)
			lxm_warn("a helper on files of an instance does not end");
	}
	if (h->root && h->pidfd >= 0) {
		pthread_mutex_lock(&f->lock);
		for (p = &h->root->helpers; *p && *p != h; p = &(*p)->next)
			;
		if (*p)
			*p = h->next;
		pthread_mutex_unlock(&f->lock);
	}
	auto_fd_close(&h->pidfd);
	if (h->root)
		root_leave(f, h->root);
	h->root = NULL;
}

static int start_stopped(struct lxmd *d, const struct instance *i, struct file_job job, int body, bool first, struct helper *h,
			 struct lxm_err *e)
{
	lxm_auto(make) struct make m = { 0 };
	int r = 0;

	if (first)
		r = make_fill(d, i, &m, &job, e);
	else
		job.flags |= FILE_ROOT_GIVEN;
	if (r == 0)
		r = spawn_file(d->instances->spawner, &job, h->root->mount, h->root->userns, body, &h->sock, &h->pidfd, e);
	if (r < 0)
		return r;
	helper_enlist(d->instances->files, h);
	return wait_ready(d->instances->files, h, first, e);
}

static int start_running(struct lxmd *d, struct run *run, struct file_job job, int body, struct helper *h, struct lxm_err *e)
{
	lxm_auto(fd_close) int init = run_pidfd(run, e);
	int r;

	if (init < 0)
		return init;
	job.flags |= FILE_RUNNING;
	r = spawn_file(d->instances->spawner, &job, init, -1, body, &h->sock, &h->pidfd, e);
	return r < 0 ? r : wait_ready(d->instances->files, h, false, e);
}

int helper_start(struct lxmd *d, const struct instance *i, const struct file_job *want, int body, struct helper *h, struct lxm_err *e)
{
	struct file_job job = *want;
	bool first = false;
	int tries = SETTLE_MS / RETRY_MS, r;

	if (instance_privileged(i))
		job.flags |= FILE_PRIVILEGED;
	do {
		lxm_auto(run_unref) struct run *run = run_get(d, i->row.id);

		r = run ? run_wait_settled(run, SETTLE_MS, e) : 1;
		if (r < 0)
			return r;
		if (r == 0) {
			r = start_running(d, run, job, body, h, e);
			/* init has ended and nobody has heard of it yet */
			if (r == -ESRCH && --tries) {
				(void)usleep(RETRY_MS * 1000);
				r = 1;
			}
		} else {
			r = root_join(d, i, &h->root, &first, e);
			if (r == 0)
				r = start_stopped(d, i, job, body, first, h, e);
		}
		if (r)
			helper_end(d, h);
	} while (r == 1);
	return r;
}

int instance_file(struct lxmd *d, const struct instance *i, const struct file_job *job, int body, struct file_report *out, int *fd,
		  struct lxm_err *e)
{
	struct helper h = { .pidfd = -1, .sock = -1 };
	int fds[2], r = helper_start(d, i, job, body, &h, e);

	*fd = -1;
	if (r < 0)
		return r;
	do {
		r = file_report_recv(h.sock, out, fds, SILENT_MS, e);
		*fd = LXM_TAKE(fds[0], -1);
		auto_fd_close(&fds[1]);
	} while (r == 1 && out->kind == FILE_ALIVE);
	if (r == 0)
		r = lxm_err_set(e, EAGAIN, "instance '%s' changed its state meanwhile: try again", i->row.name);
	else if (r == 1 && out->kind == FILE_FAILED)
		r = lxm_err_set(e, out->code ? out->code : EIO, "%s", out->text);
	else if (r == 1 && (out->kind != FILE_DONE || (out->direct && *fd < 0)))
		r = lxm_err_set(e, EBADMSG, "the helper's answer makes no sense");
	if (r < 0) {
		auto_fd_close(fd);
		if (r == -ETIMEDOUT)
			(void)sys_pidfd_send_signal(h.pidfd, SIGKILL);
	}
	helper_end(d, &h);
	return r < 0 ? r : 0;
}
