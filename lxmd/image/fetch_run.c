/*
 * See fetch_run.h. lxmd, worker threads. The child is `nobody`, born with the files to fill and a socket, and is killed when
 * the work is called off; when lxmd dies it sees its socket closed. All its files are unlinked from the beginning.
 */
#include "lxmd/image/fetch_run.h"

#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/statvfs.h>

#include "db/config.h"
#include "db/project.h"
#include "lib/base/alloc.h"
#include "lib/base/fd.h"
#include "lib/base/time.h"
#include "lib/conf/tables.h"
#include "lxmd/core/caller.h"
#include "lxmd/core/daemon.h"
#include "lxmd/core/op.h"
#include "lxmd/image/fetch.h"
#include "lxmd/spawn/spawn.h"

#define NOBODY	   65534
#define POLL_MS	   200			  /* how soon a cancel is seen */
#define RESERVE	   (64ull << 20)	  /* of the disk that no download may take */

/* ---- settings */

struct settings {
	const char *project;
	struct lxm_kv server;
	struct db_project row;
};

static int load_settings(struct db_tx *tx, void *arg, struct lxm_err *e)
{
	struct settings *s = arg;
	int r = db_config_load(tx, &s->server, e);

	return r < 0 || !s->project ? r : db_project_get_values(tx, s->project, &s->row, e);
}

char *image_setting(struct lxmd *d, const char *project, const char *key)
{
	struct settings s = { .project = project };
	const char *value = NULL;
	char *out = NULL;

	if (db_read(d->db, load_settings, &s, NULL) >= 0) {
		value = lxm_kv_get(&s.row.config, key);
		if (lxm_empty(value))
			value = conf_get(&conf_server, &s.server, key);
		out = lxm_empty(value) ? NULL : lxm_strdup(value);
	}
	lxm_kv_deinit(&s.server);
	db_project_deinit(&s.row);
	return out;
}

bool fetch_is_tenants(struct lxmd *d, const char *project)
{
	struct settings s = { .project = project };
	bool yes = db_read(d->db, load_settings, &s, NULL) < 0 || lxm_kv_bool(&s.row.config, "restricted", false);

	lxm_kv_deinit(&s.server);
	db_project_deinit(&s.row);
	return yes;
}

/* What the administrator set, else what lxmd's own environment says, as LXD has it. */
static char *proxy_setting(struct lxmd *d, const char *key, const char *variable)
{
	char *set = image_setting(d, NULL, key);
	const char *env = getenv(variable);

	return set || lxm_empty(env) ? set : lxm_strdup(env);
}

/* ---- the child */

static uint64_t room_for(const struct lxmd *d)
{
	struct statvfs v;
	uint64_t left;

	if (fstatvfs(d->dirs.cache.fd, &v) < 0)
		return RESERVE;
	left = (uint64_t)v.f_bavail * v.f_frsize;
	return left > 2 * RESERVE ? left - RESERVE : left / 2 + 1;
}

static int spawn(struct fetch_run *run, int job_fd, int sock, int meta, int rootfs, int spool, struct lxm_err *e)
{
	static const char *const argv[] = { "lxm-fetch", "job", NULL };
	lxm_auto(free) char *path = lxm_asprintf("%s/lxm-fetch", run->d->bin_dir);
	lxm_auto(fd_close) int program = open(path, O_PATH | O_CLOEXEC);
	struct spawn_spec spec = { .exec_fd = program, .argv = argv, .setsid = true, .uid = NOBODY, .gid = NOBODY };

	if (program < 0)
		return lxm_err_set(e, ENOPKG, "'%s' is missing, which talks to other servers: install lxm whole", path);
	spec.fds[spec.nfds++] = (struct spawn_fd){ 2, 2 };
	spec.fds[spec.nfds++] = (struct spawn_fd){ job_fd, FETCH_FD_JOB };
	spec.fds[spec.nfds++] = (struct spawn_fd){ sock, FETCH_FD_SOCK };
	spec.fds[spec.nfds++] = (struct spawn_fd){ meta, FETCH_FD_META };
	if (rootfs >= 0)
		spec.fds[spec.nfds++] = (struct spawn_fd){ rootfs, FETCH_FD_ROOTFS };
	if (spool >= 0)
		spec.fds[spec.nfds++] = (struct spawn_fd){ spool, FETCH_FD_SPOOL };
	return spawn_child(&spec, &run->pidfd, NULL, e);
}

static int scratch(const struct lxmd *d, int *out, struct lxm_err *e)
{
	*out = openat(d->dirs.cache.fd, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	return *out < 0 ? lxm_err_sys(e, "make a file in '%s'", d->dirs.cache.path) : 0;
}

static int start(struct fetch_run *run, struct fetch_job *job, const int *send_fds, struct lxm_err *e)
{
	lxm_auto(free) char *http = proxy_setting(run->d, "core.proxy_http", "http_proxy");
	lxm_auto(free) char *https = proxy_setting(run->d, "core.proxy_https", "https_proxy");
	lxm_auto(free) char *none = proxy_setting(run->d, "core.proxy_ignore_hosts", "no_proxy");
	lxm_auto(fd_close) int job_fd = -1, theirs = -1, spool = -1;
	int sv[2], r = 0;

	job->proxy_http = http;
	job->proxy_https = https;
	job->no_proxy = none;
	job->max_bytes = room_for(run->d);
	if (run->op && op_caller(run->op)->trust == CALLER_RESTRICTED)
		job->outside = 1;
	r = fetch_job_seal(job, &job_fd, e);
	if (r < 0)
		return r;
	if (!send_fds) {
		r = scratch(run->d, &run->meta, e);
		if (r == 0)
			r = scratch(run->d, &run->rootfs, e);
		if (r == 0)
			r = scratch(run->d, &spool, e);
	}
	if (r < 0)
		return r;
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sv) < 0)
		return lxm_err_sys(e, "make a socket");
	run->sock = sv[0];
	theirs = sv[1];
	return spawn(run, job_fd, theirs, send_fds ? send_fds[0] : run->meta, send_fds ? send_fds[1] : run->rootfs, spool, e);
}

bool fetch_run_cancelled(const struct fetch_run *run)
{
	return run->op ? op_is_cancelled(run->op) : __atomic_load_n(&run->d->stopping, __ATOMIC_ACQUIRE);
}

static void show(struct fetch_run *run, const struct fetch_report *r)
{
	int64_t ms = lxm_mono_ms() - run->since_ms;
	int percent = r->total ? (int)((double)r->done / (double)r->total * 100) : -1;

	if (run->op && r->done)
		op_progress(run->op, run->progress_key, run->stage, percent > 100 ? 100 : percent,
			    ms > 0 ? r->done * 1000 / (uint64_t)ms : 0);
}

/* One report that is not about progress or properties. */
static int wait_report(struct fetch_run *run, struct fetch_report *r, struct lxm_err *e)
{
	for (;;) {
		int got = fetch_report_recv(run->sock, r, POLL_MS, e);

		if (fetch_run_cancelled(run))
			return lxm_err_set(e, ECANCELED, "cancelled");
		if (got == -ETIMEDOUT) {
			lxm_err_clear(e);
			continue;
		}
		if (got < 0)
			return got;
		if (got == 0)
			return lxm_err_set(e, EIO, "lxm-fetch ended without a word");
		if (r->kind == FETCH_FAILED)
			return lxm_err_http(e, r->http, r->code, "%s", r->text);
		if (r->kind == FETCH_PROGRESS)
			show(run, r);
		else if (r->kind != FETCH_PROPERTY)
			return 0;
		else if (run->properties.n < FETCH_PROPERTIES_MAX)
			lxm_kv_set(&run->properties, r->key, r->text);
	}
}

int fetch_run_begin(struct fetch_run *run, struct lxmd *d, struct op *op, struct fetch_job *job, const int *send_fds, struct lxm_err *e)
{
	struct fetch_report report;
	int r;

	memset(run, 0, sizeof(*run));
	run->d = d;
	run->op = op;
	run->progress_key = send_fds ? "upload_progress" : "download_progress";
	run->stage = send_fds ? "image" : "rootfs"; /* LXD's word, which clients show */
	run->sock = run->pidfd = run->meta = run->rootfs = -1;
	r = start(run, job, send_fds, e);
	if (r == 0)
		r = wait_report(run, &report, e);
	if (r < 0)
		return r;
	if (report.kind != FETCH_FOUND)
		return lxm_err_set(e, EBADMSG, "the answer of lxm-fetch makes no sense");
	memcpy(run->fingerprint, report.fingerprint, sizeof(run->fingerprint));
	return 0;
}

int fetch_run_finish(struct fetch_run *run, struct lxm_err *e)
{
	struct fetch_report report;
	int r;

	run->since_ms = lxm_mono_ms();
	if (send(run->sock, "g", 1, MSG_NOSIGNAL) != 1)
		return lxm_err_set(e, EIO, "lxm-fetch ended without a word");
	r = wait_report(run, &report, e);
	if (run->op)
		op_progress(run->op, run->progress_key, NULL, -1, 0);
	if (r < 0)
		return r;
	if (report.kind != FETCH_DONE)
		return lxm_err_set(e, EBADMSG, "the answer of lxm-fetch makes no sense");
	/* it must not write into files that are being checked */
	spawn_kill(&run->pidfd);
	if (!report.split)
		auto_fd_close(&run->rootfs);
	return 0;
}

void fetch_run_end(struct fetch_run *run)
{
	spawn_kill(&run->pidfd);
	auto_fd_close(&run->sock);
	auto_fd_close(&run->meta);
	auto_fd_close(&run->rootfs);
	lxm_kv_deinit(&run->properties);
}
