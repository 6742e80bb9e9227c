/*
 * See fetch.h. lxmd, worker threads. The lock "fetch/PROJECT/FP" stands for a download under way: who comes second waits
 * for it and then finds the image in the project.
 *
 * An image that another project has is downloaded again for this one: its files may be shared only by who has had them
 * from the server, or a server that merely claims a fingerprint would open other projects' private images.
 */
#include "lxmd/image/fetch.h"

#include <string.h>
#include <strings.h>

#include "db/image.h"
#include "db/project.h"
#include "lib/base/alloc.h"
#include "lib/base/log.h"
#include "lib/conf/names.h"
#include "lxmd/core/daemon.h"
#include "lxmd/core/locks.h"
#include "lxmd/core/op.h"
#include "lxmd/image/fetch_run.h"
#include "lxmd/image/image.h"

/* ---- what a client says */

static const struct {
	const char *name;
	uint32_t verb;
} protocols[] = {
	{ "simplestreams", FETCH_STREAMS },
	{ "lxd", FETCH_SERVER },
	{ "incus", FETCH_SERVER },
	{ "direct", FETCH_DIRECT },
};

static uint32_t verb_of(const char *protocol)
{
	size_t i;

	for (i = 0; i < LXM_ARRAY_LEN(protocols); i++)
		if (lxm_streq(protocol, protocols[i].name))
			return protocols[i].verb;
	return 0;
}

/* No user and password, nothing that libcurl would take for another host, no control characters. */
static int check_server(const char *url, bool plain, bool query, struct lxm_err *e)
{
	const char *host = !url ? NULL : lxm_starts(url, "https://") ? url + 8 : lxm_starts(url, "http://") && plain ? url + 7 : NULL;
	const unsigned char *p;

	if (!host)
		return lxm_err_set(e, EINVAL, "'%.200s' is no address of a server: it must begin with https://%s", url ? url : "",
				   plain ? " or http://" : "");
	for (p = (const unsigned char *)url; *p; p++)
		if (*p <= 0x20 || *p >= 0x7f || strchr("\\\"<>^`{|}", *p))
			return lxm_err_set(e, EINVAL, "the server's address holds characters that no address has");
	if (!*host || *host == '/' || *host == '?' || *host == '#' || *host == ':' || memchr(host, '@', strcspn(host, "/?#")) ||
	    strchr(host, '#') || (!query && strchr(host, '?')) || strlen(url) >= FETCH_URL_MAX)
		return lxm_err_set(e, EINVAL, "'%.200s' is no usable address of a server", url);
	return 0;
}

int image_remote_check(const struct image_remote *from, struct lxm_err *e)
{
	uint32_t verb = verb_of(from->protocol);
	const unsigned char *p;

	if (!verb)
		return lxm_err_set(e, EINVAL, "protocol '%.50s' is not known: use simplestreams, lxd, incus or direct",
				   from->protocol ? from->protocol : "");
	if (verb != FETCH_DIRECT && lxm_empty(from->name))
		return lxm_err_set(e, EINVAL, "source: name an image by 'alias' or 'fingerprint'");
	for (p = (const unsigned char *)(from->name ? from->name : ""); *p; p++)
		if (*p < 0x20 || *p == 0x7f)
			return lxm_err_set(e, EINVAL, "the image's name holds control characters");
	if ((from->name && strlen(from->name) > 400) || (from->certificate && strlen(from->certificate) >= FETCH_CERT_MAX) ||
	    (from->secret && strlen(from->secret) > 200) || (from->project && strlen(from->project) > 200))
		return lxm_err_set(e, EINVAL, "source: the name, certificate, secret or project is too long");
	return check_server(from->server, verb == FETCH_DIRECT, verb == FETCH_DIRECT, e);
}

/* ---- what is there already */

struct have_tx {
	const struct image_fetch *f;
	const char *fp; /* NULL: by where it came from */
	struct db_image *row;
};

/* 0: *row is filled; DB_NONE */
static int have(struct db_tx *tx, void *arg, struct lxm_err *e)
{
	struct have_tx *a = arg;
	const struct image_remote *from = &a->f->from;
	lxm_auto(free) char *home = NULL;
	int r = db_project_for(tx, a->f->project, DB_FEATURE_IMAGES, &home, e);

	db_image_deinit(a->row);
	if (r != 0)
		return r;
	if (a->fp)
		return db_image_get(tx, home, a->fp, a->row, e);
	return db_image_get_by_source(tx, home, from->server, from->protocol, from->name, a->row, e);
}

static bool have_source(struct lxmd *d, const struct image_fetch *f, char fp_out[65])
{
	lxm_auto(db_image) struct db_image row = { 0 };
	lxm_auto(free) char *hours = image_setting(d, f->project, "images.auto_update_interval");
	struct have_tx a = { f, NULL, &row };

	/* it is kept fresh by the clock: no need to ask the server for each instance */
	if (!f->cached || lxm_streq(hours, "0") || lxm_empty(f->from.name) || db_read(d->db, have, &a, NULL) != 0 || !row.auto_update ||
	    !lxm_streq(row.source.certificate, f->from.certificate ? f->from.certificate : ""))
		return false;
	memcpy(fp_out, row.fingerprint, 65);
	return true;
}

/* Who asks for the image itself keeps it: it is no mere cache any more. */
static int adopt(struct db_tx *tx, void *arg, struct lxm_err *e)
{
	struct have_tx *a = arg;
	const struct image_fetch *f = a->f;
	size_t i;
	int r = have(tx, a, e);

	if (r != 0 || f->cached)
		return r;
	a->row->cached = false;
	a->row->auto_update |= f->auto_update;
	a->row->public_ |= f->public_;
	r = db_image_update(tx, a->row, e);
	for (i = 0; r == 0 && f->aliases && i < f->aliases->n; i++)
		r = db_alias_create(tx, a->row->project, f->aliases->v[i], "", a->row->fingerprint, e);
	return r;
}

/* 0: it is there; 1: it is not */
static int find_there(struct lxmd *d, const struct image_fetch *f, const char *fp, struct lxm_err *e)
{
	lxm_auto(db_image) struct db_image row = { 0 };
	struct have_tx a = { f, fp, &row };
	int r = db_write(d->db, adopt, &a, e);

	return r < 0 ? r : r == DB_NONE;
}

/* ---- fetching */

static int lock_download(struct fetch_run *run, const char *project, struct lock **out, struct lxm_err *e)
{
	lxm_auto(free) char *key = lxm_asprintf("fetch/%s/%s", project, run->fingerprint);
	int r;

	do
		r = lock_take(run->d->locks, key, "Downloading image", 200, out, NULL);
	while (r == -EBUSY && !fetch_run_cancelled(run));
	return r == -EBUSY ? lxm_err_set(e, ECANCELED, "cancelled") : r;
}

/* An image by fingerprint never changes: nothing to remember. */
static bool has_source(const struct image_remote *from, const char *fp)
{
	if (verb_of(from->protocol) == FETCH_DIRECT)
		return true;
	return lxm_empty(from->secret) && strncmp(fp, from->name, strlen(from->name)) != 0;
}

static int import(struct fetch_run *run, const struct image_fetch *f, struct lxm_err *e)
{
	lxm_auto(kv) struct lxm_kv source = { 0 };
	struct image_import im = { .project = f->project, .meta_fd = run->meta, .rootfs_fd = run->rootfs, .filename = f->filename,
				   .public_ = f->public_, .auto_update = f->auto_update, .cached = f->cached, .expires_at = f->expires_at,
				   .expect_fp = run->fingerprint, .properties = &run->properties, .aliases = f->aliases,
				   .profiles = f->profiles };
	char fp[65];
	int r;

	if (f->properties)
		lxm_kv_merge(&run->properties, f->properties);
	if (has_source(&f->from, run->fingerprint)) {
		lxm_kv_set(&source, "server", f->from.server);
		lxm_kv_set(&source, "protocol", f->from.protocol);
		lxm_kv_set(&source, "alias", f->from.name ? f->from.name : "");
		lxm_kv_set(&source, "certificate", f->from.certificate ? f->from.certificate : "");
		im.source = &source;
	} else {
		im.auto_update = false;
	}
	r = image_import(run->d, &im, run->op, fp, e);
	if (r != -EEXIST)
		return r;
	/* it was uploaded meanwhile */
	lxm_err_clear(e);
	return find_there(run->d, f, run->fingerprint, e);
}

static int begin(struct fetch_run *run, struct lxmd *d, struct op *op, const struct image_fetch *f, struct lxm_err *e)
{
	lxm_auto(free) char *arch = image_setting(d, f->project, "images.default_architecture");
	struct fetch_job job = { .verb = verb_of(f->from.protocol), .url = f->from.server, .name = f->from.name, .secret = f->from.secret,
				 .project = f->from.project, .certificate = f->from.certificate };

	/* by the clock: a name of a tenant's choice may mean something else by now */
	job.outside = !op && fetch_is_tenants(d, f->project);
	job.arch = arch ? conf_architecture(arch) : NULL;
	if (!job.arch)
		job.arch = conf_own_architecture();
	return fetch_run_begin(run, d, op, &job, NULL, e);
}

static int fetch(struct lxmd *d, const struct image_fetch *f, struct op *op, char fp_out[65], struct lxm_err *e)
{
	lxm_auto(fetch_run) struct fetch_run run = { .sock = -1, .pidfd = -1, .meta = -1, .rootfs = -1 };
	lxm_auto(lock_release) struct lock *lock = NULL;
	int r = begin(&run, d, op, f, e);

	if (r == 0)
		r = lock_download(&run, f->project, &lock, e);
	if (r == 0)
		r = find_there(d, f, run.fingerprint, e);
	if (r == 1) {
		r = fetch_run_finish(&run, e);
		if (r == 0)
			r = import(&run, f, e);
	}
	memcpy(fp_out, run.fingerprint, 65);
	return r;
}

/* The caller's address without what is optional, so that equal sources are equal texts. */
static char *plain_server(const char *server)
{
	char *s = lxm_strdup(server ? server : "");
	size_t n = strlen(s);

	while (n && s[n - 1] == '/')
		s[--n] = 0;
	return s;
}

int image_fetch(struct lxmd *d, const struct image_fetch *f, struct op *op, char fp_out[65], struct lxm_err *e)
{
	lxm_auto(free) char *server = plain_server(f->from.server);
	struct image_fetch plain = *f;
	int r = image_remote_check(&f->from, e);

	if (r < 0)
		return r;
	plain.from.server = server;
	if (f->cached) {
		lxm_auto(free) char *fresh = image_setting(d, f->project, "images.auto_update_cached");

		plain.auto_update = lxm_parse_bool(fresh ? fresh : "") == 1;
	}
	if (have_source(d, &plain, fp_out))
		return 0;
	r = fetch(d, &plain, op, fp_out, e);
	if (r < 0 && r != -ECANCELED)
		return lxm_err_wrap(e, r, "fetch image '%.100s' from '%.150s'", f->from.name ? f->from.name : "", server);
	return r;
}

/* ---- a newer version */

struct replace_tx {
	const char *project, *old_fp, *new_fp;
};

static int replace(struct db_tx *tx, void *arg, struct lxm_err *e)
{
	struct replace_tx *a = arg;
	lxm_auto(db_image) struct db_image was = { 0 }, now = { 0 };
	int r = db_image_get(tx, a->project, a->old_fp, &was, e);

	if (r == 0)
		r = db_image_get(tx, a->project, a->new_fp, &now, e);
	if (r == 0)
		r = db_alias_move(tx, was.id, now.id, e);
	if (r == 0 && was.last_used_at)
		r = db_image_set_last_used(tx, now.id, was.last_used_at, e);
	return r == DB_NONE ? lxm_err_set(e, ENOENT, "the image was deleted meanwhile") : r;
}

static int refresh(struct lxmd *d, const struct db_image *row, struct op *op, bool *refreshed, struct lxm_err *e)
{
	struct image_fetch f = { .project = row->project, .cached = row->cached, .public_ = row->public_, .auto_update = row->auto_update,
				 .profiles = &row->profiles,
				 .from = { .server = row->source.server, .protocol = row->source.protocol, .name = row->source.alias,
					   .certificate = row->source.certificate } };
	struct replace_tx a = { row->project, row->fingerprint, NULL };
	lxm_auto(fetch_run) struct fetch_run run = { .sock = -1, .pidfd = -1, .meta = -1, .rootfs = -1 };
	lxm_auto(lock_release) struct lock *lock = NULL;
	int r = begin(&run, d, op, &f, e);

	if (r < 0 || strcmp(run.fingerprint, row->fingerprint) == 0)
		return r;
	r = lock_download(&run, row->project, &lock, e);
	if (r == 0)
		r = find_there(d, &f, run.fingerprint, e);
	if (r == 1) {
		r = fetch_run_finish(&run, e);
		if (r == 0)
			r = import(&run, &f, e);
	}
	a.new_fp = run.fingerprint;
	if (r == 0)
		r = db_write(d->db, replace, &a, e);
	if (r == 0)
		r = image_delete(d, row->project, row->fingerprint, e);
	if (r < 0)
		return r;
	lxm_info("image '%.12s' of project '%s': replaced by '%.12s' from '%s'", row->fingerprint, row->project, run.fingerprint,
		 row->source.server);
	*refreshed = true;
	return 0;
}

int image_refresh(struct lxmd *d, const char *project, const char *fp, struct op *op, bool *refreshed_out, struct lxm_err *e)
{
	lxm_auto(db_image) struct db_image row = { 0 };
	int r = image_get_fp(d, project, fp, &row, e);

	*refreshed_out = false;
	if (r < 0 || lxm_empty(row.source.server))
		return r;
	r = refresh(d, &row, op, refreshed_out, e);
	return r < 0 && r != -ECANCELED ? lxm_err_wrap(e, r, "refresh image '%.12s' from '%.150s'", row.fingerprint, row.source.server) : r;
}

/* ---- the other way */

static int push(struct lxmd *d, const char *fp, struct fetch_job *job, struct op *op, struct lxm_err *e)
{
	lxm_auto(fetch_run) struct fetch_run run = { .sock = -1, .pidfd = -1, .meta = -1, .rootfs = -1 };
	lxm_auto(fd_close) int meta = -1, rootfs = -1;
	int r = image_open(d, fp, &meta, &rootfs, e);

	if (r == 0)
		r = fetch_run_begin(&run, d, op, job, (const int[]){ meta, rootfs }, e);
	return r < 0 ? r : fetch_run_finish(&run, e);
}

int image_target_check(const struct image_target *to, struct lxm_err *e)
{
	int r = image_remote_check(&(struct image_remote){ .server = to->server, .protocol = "lxd", .name = "x", .certificate = to->certificate,
							   .secret = to->secret, .project = to->project },
				   e);

	return r < 0 || lxm_is_hex(to->secret ? to->secret : "", 1, 200) ?
		       r :
		       lxm_err_set(e, EINVAL, "key 'secret' must be the one that the target gave");
}

int image_push(struct lxmd *d, const char *fp, const struct image_target *to, struct op *op, struct lxm_err *e)
{
	lxm_auto(free) char *server = plain_server(to->server);
	lxm_auto(buf) struct lxm_buf profiles = { 0 };
	struct fetch_job job = { .verb = FETCH_PUSH, .url = server, .name = fp, .secret = to->secret, .project = to->project,
				 .certificate = to->certificate };
	size_t i;
	int r = image_target_check(to, e);

	if (r < 0)
		return r;
	for (i = 0; to->profiles && i < to->profiles->n; i++) {
		lxm_auto(free) char *enc = lxm_url_encode(to->profiles->v[i], NULL);

		lxm_buf_fmt(&profiles, "%sprofile=%s", i ? "&" : "", enc);
	}
	job.profiles = profiles.data;
	r = push(d, fp, &job, op, e);
	return r < 0 && r != -ECANCELED ? lxm_err_wrap(e, r, "send image '%.12s' to '%.150s'", fp, server) : r;
}
