/*
 * From the name of a template to an image in the store. lxmd, worker threads.
 *
 * A build has a directory of its own below cache/ (0700; cache/ is emptied at start): rootfs/ is filled by the
 * recipe's builder and finished by build_tree.c, templates/ takes the file templates, then both are packed and imported
 * under the template's aliases. Equal requests share one build: the first leads, the others wait on it and show its
 * progress in their own operations.
 */
#include <fcntl.h>
#include <pthread.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "db/image.h"
#include "lib/base/alloc.h"
#include "lib/base/fd.h"
#include "lib/base/log.h"
#include "lxmd/core/daemon.h"
#include "lxmd/core/op.h"
#include "lxmd/image/build.h"
#include "lxmd/image/build_int.h"
#include "lxmd/image/image.h"
#include "lxmd/image/pack.h"

#define TPL_MAX (1024 * 1024) /* bytes of one file template */

/* ---- shared builds */

/* One running build that others may wait on; lives while somebody uses it. */
struct shared {
	struct shared *next;
	char *key;		 /* project and template */
	unsigned int refs;	 /* guarded by lock, like everything below */
	bool done;
	int result;
	struct lxm_err err;
	struct template_image image;
	struct op **waiting;	 /* operations of those that wait; borrowed */
	size_t nwaiting;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static struct shared *running; /* guarded by lock */

/* The running build of that key, or a new one that the caller leads. Lock held. */
static struct shared *shared_get(const char *key, bool *lead)
{
	struct shared *s;

	for (s = running; s && !lxm_streq(s->key, key); s = s->next)
		;
	*lead = !s;
	if (!s) {
		s = lxm_alloc(sizeof(*s));
		s->key = lxm_strdup(key);
		s->next = running;
		running = s;
	}
	s->refs++;
	return s;
}

/* Lock held. */
static void shared_put(struct shared *s)
{
	if (--s->refs > 0)
		return;
	free(s->key);
	free(s->waiting);
	free(s);
}

/* Lock held: nobody joins it any more. */
static void shared_end(struct shared *s, int result, const struct lxm_err *e, const struct template_image *image)
{
	struct shared **p;

	for (p = &running; *p != s; p = &(*p)->next)
		;
	*p = s->next;
	s->done = true;
	s->result = result;
	if (result == 0)
		s->image = *image;
	else
		s->err = *e;
	(void)pthread_cond_broadcast(&changed);
}

/* Wait for somebody else's build. Lock held. Returns its result; 1: it was cancelled, try again. */
static int shared_wait(struct shared *s, struct op *op, struct template_image *out, struct lxm_err *e)
{
	size_t i;
	int r;

	s->waiting = lxm_realloc_n(s->waiting, s->nwaiting + 1, sizeof(struct op *));
	s->waiting[s->nwaiting++] = op;
	while (!s->done && !op_is_cancelled(op)) {
		struct timespec until;

		(void)clock_gettime(CLOCK_REALTIME, &until);
		until.tv_nsec += 200000000; /* a cancel of op wakes nobody */
		until.tv_sec += until.tv_nsec / 1000000000;
		until.tv_nsec %= 1000000000;
		(void)pthread_cond_timedwait(&changed, &lock, &until);
	}
	for (i = 0; i < s->nwaiting && s->waiting[i] != op; i++)
		;
	s->waiting[i] = s->waiting[--s->nwaiting];
	if (!s->done) {
		r = lxm_err_set(e, ECANCELED, "cancelled");
	} else if (s->result == -ECANCELED) {
		r = 1;
	} else {
		r = s->result;
		if (r == 0)
			*out = s->image;
		else if (e)
			*e = s->err;
	}
	return r;
}

/* ---- what a build sees of its operations */

struct leader {
	struct op *op; /* may be NULL */
	struct shared *shared;
};

static bool leader_cancelled(void *arg)
{
	return op_is_cancelled(((struct leader *)arg)->op);
}

static void leader_progress(void *arg, const char *stage, int percent, uint64_t speed)
{
	struct leader *l = arg;
	size_t i;

	if (l->op)
		op_progress(l->op, BUILD_PROGRESS_KEY, stage, percent, speed);
	(void)pthread_mutex_lock(&lock);
	for (i = 0; i < l->shared->nwaiting; i++)
		if (l->shared->waiting[i])
			op_progress(l->shared->waiting[i], BUILD_PROGRESS_KEY, stage, percent, speed);
	(void)pthread_mutex_unlock(&lock);
}

/* ---- metadata */

/* Now, or the time that SOURCE_DATE_EPOCH asks for, in whole seconds. */
static lxm_time build_epoch(void)
{
	const char *s = getenv("SOURCE_DATE_EPOCH");
	int64_t t;

	if (!lxm_empty(s) && lxm_parse_i64(s, &t) == 0 && t > 0)
		return t * 1000;
	return lxm_now() / 1000 * 1000;
}

static int put_template(struct build *b, int dirfd, const char *source, struct lxm_err *e)
{
	lxm_auto(free) char *from = lxm_asprintf("templates/%s", source);
	lxm_auto(buf) struct lxm_buf text = { 0 };
	int r = lxm_read_file_at(b->recipe_fd, from, TPL_MAX, &text);

	if (r == 0)
		r = lxm_write_file_atomic(dirfd, source, text.data ? text.data : "", text.len, 0644);
	if (r < 0) {
		errno = -r;
		return lxm_err_sys(e, "copy '%s' of template '%s'", from, b->pick->recipe->name);
	}
	return 0;
}

/* Fills dir/templates and the list in meta. */
static int put_templates(struct build *b, int dirfd, struct image_metadata *meta, struct lxm_err *e)
{
	const struct recipe_part *part = &b->pick->part;
	size_t i;
	int r = 0;

	meta->templates = lxm_realloc_n(NULL, part->ntpls, sizeof(*meta->templates));
	for (i = 0; r == 0 && i < part->ntpls; i++) {
		const struct recipe_tpl *t = &part->tpls[i];
		struct image_template *to = &meta->templates[meta->n_templates++];

		*to = (struct image_template){
			.target = lxm_strdup(t->path),
			.source = lxm_strdup(t->source),
			.create_only = t->create_only,
			.uid = -1,
			.gid = -1,
			.mode = -1,
		};
		lxm_strv_copy(&to->when, &t->when);
		lxm_kv_copy(&to->properties, &t->properties);
		r = put_template(b, dirfd, t->source, e);
	}
	return r;
}

static void fill_metadata(const struct build *b, struct image_metadata *meta)
{
	time_t t = (time_t)(b->epoch / 1000);
	char serial[32];
	struct tm tm;

	meta->architecture = lxm_strdup(b->pick->arch);
	meta->created_at = b->epoch;
	lxm_kv_copy(&meta->properties, &b->pick->properties);
	(void)gmtime_r(&t, &tm);
	(void)strftime(serial, sizeof(serial), "%Y%m%d_%H%M", &tm);
	lxm_kv_set(&meta->properties, "serial", serial);
}

/* ---- the store */

/* Point the template's names at an image that the store had before (a rebuild that gave the same bytes). */
struct aliases {
	const char *project, *fp;
	const struct lxm_strv *names;
};

static int aliases_tx(struct db_tx *tx, void *arg, struct lxm_err *e)
{
	const struct aliases *a = arg;
	size_t i;
	int r = 0;

	for (i = 0; r >= 0 && i < a->names->n; i++) {
		r = db_alias_update(tx, a->project, a->names->v[i], "", a->fp, e);
		if (r == DB_NONE)
			r = db_alias_create(tx, a->project, a->names->v[i], "", a->fp, e);
	}
	return r;
}

static int store(struct lxmd *d, struct op *op, const char *project, struct build *b, int meta_fd,
		 struct template_image *out, struct lxm_err *e)
{
	struct aliases names = { .project = project, .fp = out->fingerprint, .names = &b->pick->aliases };
	struct image_import im = {
		.project = project,
		.meta_fd = meta_fd,
		.rootfs_fd = -1,
		.aliases = &b->pick->aliases,
		.move_aliases = true,
		.known_good = true,
	};
	struct stat st;
	int r;

	b->progress(b->arg, "Storing the image", -1, 0);
	r = image_import(d, &im, op, out->fingerprint, e);
	if (r == -EEXIST)
		r = db_write(d->db, aliases_tx, &names, e);
	if (r < 0)
		return r;
	if (fstat(meta_fd, &st) < 0)
		return lxm_err_sys(e, "look at the image");
	out->size = (uint64_t)st.st_size;
	out->cached = false;
	return 0;
}

/* ---- one build */

static int fill_tree(struct build *b, struct lxm_err *e)
{
	int r;

	if (b->pick->recipe->builder == BUILDER_MMDEBSTRAP)
		r = build_mmdebstrap(b, e);
	else
		r = build_busybox(b, e);
	if (r < 0)
		return r;
	b->progress(b->arg, "Finishing the tree", -1, 0);
	return build_tree_finish(b, e);
}

static int build_in(struct lxmd *d, struct op *op, const char *project, struct build *b, struct template_image *out,
		    struct lxm_err *e)
{
	lxm_auto(image_metadata) struct image_metadata meta = { 0 };
	lxm_auto(fd_close) int templates = -1;
	lxm_auto(fd_close) int file = -1;
	int r;

	if (mkdirat(b->dirfd, "rootfs", 0755) < 0 || mkdirat(b->dirfd, "templates", 0755) < 0)
		return lxm_err_sys(e, "make directories in '%s'", b->dir);
	b->rootfd = openat(b->dirfd, "rootfs", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	templates = openat(b->dirfd, "templates", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	file = openat(b->dirfd, "image", O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (b->rootfd < 0 || templates < 0 || file < 0)
		return lxm_err_sys(e, "open '%s'", b->dir);
	r = fill_tree(b, e);
	if (r < 0)
		return r;
	fill_metadata(b, &meta);
	r = put_templates(b, templates, &meta, e);
	if (r < 0)
		return r;
	b->progress(b->arg, "Packing the image", -1, 0);
	r = image_pack(&(struct image_pack){ .rootfd = b->rootfd,
					     .meta = &meta,
					     .templates_fd = templates,
					     .compression = IMAGE_COMPRESS_ZSTD,
					     .op = op },
		       file, e);
	if (r < 0)
		return r;
	/* gone before the image is synced: on many file systems that would write the whole tree to the disk too */
	(void)lxm_rm_tree_at(b->dirfd, "rootfs");
	return store(d, op, project, b, file, out, e);
}

/* The log is named after the template; an earlier one is replaced. Its name is made of checked words. */
static int open_log(struct lxmd *d, const struct recipe_pick *pick, struct lxm_err *e)
{
	lxm_auto(free) char *name = lxm_asprintf("template-%s.log", pick->name);
	char *s;
	int fd;

	for (s = name; *s; s++)
		if (*s == '/')
			*s = '-';
	fd = openat(d->dirs.log.fd, name, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0640);
	return fd < 0 ? lxm_err_sys(e, "open log '%s/%s'", d->dirs.log.path, name) : fd;
}

static int build(struct lxmd *d, struct leader *l, const char *project, const struct recipe_pick *pick, int recipe_fd,
		 struct template_image *out, struct lxm_err *e)
{
	lxm_auto(free) char *random = lxm_random_hex(8);
	lxm_auto(free) char *name = lxm_asprintf("build-%s", random);
	lxm_auto(free) char *dir = lxm_asprintf("%s/%s", d->dirs.cache.path, name);
	lxm_auto(fd_close) int log_fd = open_log(d, pick, e);
	struct build b = {
		.pick = pick,
		.dir = dir,
		.dirfd = -1,
		.rootfd = -1,
		.recipe_fd = recipe_fd,
		.log_fd = log_fd,
		.epoch = build_epoch(),
		.arg = l,
		.cancelled = leader_cancelled,
		.progress = leader_progress,
	};
	int r, r2;

	if (log_fd < 0)
		return -e->code;
	if (mkdirat(d->dirs.cache.fd, name, 0700) < 0)
		return lxm_err_sys(e, "make '%s'", dir);
	b.dirfd = openat(d->dirs.cache.fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	r = b.dirfd < 0 ? lxm_err_sys(e, "open '%s'", dir) : build_in(d, l->op, project, &b, out, e);
	if (b.rootfd >= 0)
		close(b.rootfd);
	if (b.dirfd >= 0)
		close(b.dirfd);
	r2 = lxm_rm_tree_at(d->dirs.cache.fd, name);
	if (r2 < 0)
		lxm_warn("template '%s': cannot remove '%s': %s", pick->name, dir, strerror(-r2));
	return r;
}

/* ---- the calls */

int template_image_find(struct lxmd *d, const char *project, const struct recipe_pick *pick,
			struct template_image *out, struct lxm_err *e)
{
	size_t i;
	int r = -ENOENT;

	for (i = 0; r == -ENOENT && i < pick->aliases.n; i++) {
		lxm_auto(db_image) struct db_image im = { 0 };

		r = image_get(d, project, pick->aliases.v[i], &im, e);
		if (r < 0)
			continue;
		(void)snprintf(out->fingerprint, sizeof(out->fingerprint), "%s", im.fingerprint);
		out->size = (uint64_t)im.size;
		out->cached = true;
	}
	return r;
}

static int lead(struct lxmd *d, struct leader *l, const char *project, const struct recipe_pick *pick, bool rebuild,
		struct template_image *out, struct lxm_err *e)
{
	lxm_auto(fd_close) int recipe = -1;
	lxm_auto(free) char *path = lxm_asprintf("%s/%s", d->templates_dir, pick->recipe->name);
	struct lxm_err none = { 0 };
	int64_t start = lxm_mono_ms();
	int r;

	/* somebody may have finished it between the first look and now */
	if (!rebuild && template_image_find(d, project, pick, out, &none) == 0)
		return 0;
	recipe = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (recipe < 0)
		return lxm_err_sys(e, "open '%s'", path);
	lxm_info("template '%s': building", pick->name);
	r = build(d, l, project, pick, recipe, out, e);
	if (r == 0)
		lxm_info("template '%s': image %.12s after %.1f s", pick->name, out->fingerprint,
			 (double)(lxm_mono_ms() - start) / 1000);
	return r;
}

static int build_shared(struct lxmd *d, struct op *op, const char *project, const struct recipe_pick *pick,
			bool rebuild, struct template_image *out, struct lxm_err *e)
{
	lxm_auto(free) char *key = lxm_asprintf("%s %s", project, pick->name);
	struct leader l = { .op = op };
	struct lxm_err mine = { 0 };
	bool first;
	int r;

	(void)pthread_mutex_lock(&lock);
	l.shared = shared_get(key, &first);
	if (first) {
		(void)pthread_mutex_unlock(&lock);
		r = lead(d, &l, project, pick, rebuild, out, &mine);
		(void)pthread_mutex_lock(&lock);
		shared_end(l.shared, r, &mine, out);
		if (r < 0 && e)
			*e = mine;
	} else {
		r = shared_wait(l.shared, op, out, e);
	}
	shared_put(l.shared);
	(void)pthread_mutex_unlock(&lock);
	return r;
}

int template_build(struct lxmd *d, struct op *op, const char *project, const char *name, bool rebuild,
		   struct template_image *out, struct lxm_err *e)
{
	lxm_auto(pick) struct recipe_pick pick = { 0 };
	lxm_auto(fd_close) int dirfd = open(d->templates_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct lxm_err none = { 0 };
	int r;

	if (dirfd < 0)
		return lxm_err_sys(e, "open '%s'", d->templates_dir);
	r = recipe_resolve(dirfd, name, NULL, &pick, e);
	if (r < 0)
		return r;
	if (!rebuild && template_image_find(d, project, &pick, out, &none) == 0)
		return 0;
	do
		r = build_shared(d, op, project, &pick, rebuild, out, e);
	while (r > 0);
	return r < 0 ? lxm_err_wrap(e, r, "build template '%s'", pick.name) : 0;
}
