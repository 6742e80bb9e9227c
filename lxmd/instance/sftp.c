/*
 * SFTP sessions. The server is an lxm-helper that stands in the instance; here the client's connection is handed to it, and its end
 * awaited on the loop. No byte of a session passes through lxmd.
 */
#include <fcntl.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "lib/base/alloc.h"
#include "lib/base/fd.h"
#include "lib/base/log.h"
#include "lxmd/core/daemon.h"
#include "lxmd/core/loop.h"
#include "lxmd/core/trust.h"
#include "lxmd/core/workers.h"
#include "lxmd/instance/files.h"
#include "lxmd/instance/helper.h"
#include "lxmd/instance/instance.h"
#include "lxmd/instance/run.h"

#define EXTRA_MAX 65536u /* bytes behind the request; clients wait for the 101 */
#define SESSIONS_ONE 50	 /* of one caller who is no administrator: each is a process */

struct sftp_session {
	struct lxmd *d;
	struct files *files;
	struct helper h;
	struct caller who;
	int guard_fd;		 /* the client's connection once more, -1: to cut it off if the caller loses the right */
	struct trust_hold *hold;
	struct sftp_session *all_next; /* guarded by files->lock */
	struct loop_watch *watch;	   /* loop thread, and what follows */
	struct sftp_session *next, **prev; /* prev NULL: not in the list */
};

/* Counts a session in, if its caller may have one more. */
static int count_in(struct sftp_session *s, struct lxm_err *e)
{
	struct files *f = s->files;
	const struct sftp_session *o;
	unsigned int own = 0;

	pthread_mutex_lock(&f->lock);
	for (o = f->all; o && s->who.trust != CALLER_ADMIN; o = o->all_next)
		own += o->who.trust != CALLER_ADMIN && strcmp(o->who.fingerprint, s->who.fingerprint) == 0;
	if (own < SESSIONS_ONE) {
		s->all_next = f->all;
		f->all = s;
		f->nsessions++;
	}
	pthread_mutex_unlock(&f->lock);
	return own < SESSIONS_ONE ? 0 : lxm_err_http(e, 503, EAGAIN, "you have %d SFTP sessions already", SESSIONS_ONE);
}

/* The session is gone after this. */
static void count_out(struct sftp_session *s)
{
	struct files *f = s->files;
	struct sftp_session **at;

	pthread_mutex_lock(&f->lock);
	for (at = &f->all; *at != s; at = &(*at)->all_next)
		;
	*at = s->all_next;
	f->nsessions--;
	pthread_cond_broadcast(&f->changed);
	pthread_mutex_unlock(&f->lock);
	free(s);
}

/* Worker. */
static void end_job(void *arg)
{
	struct sftp_session *s = arg;

	helper_end(s->d, &s->h);
	trust_release(s->hold);
	auto_fd_close(&s->guard_fd);
	count_out(s);
}

/* Loop thread: the helper has ended, or lxmd does. */
static void end(struct sftp_session *s)
{
	*s->prev = s->next;
	if (s->next)
		s->next->prev = s->prev;
	loop_del(s->watch);
	s->watch = NULL;
	workers_run(s->d->workers, end_job, s);
}

void sftp_end_all(void *arg)
{
	struct files *f = arg;

	while (f->sessions)
		end(f->sessions);
}

static void on_helper(int fd, uint32_t revents, void *arg)
{
	(void)fd;
	(void)revents;
	end(arg);
}

static void watch(void *arg)
{
	struct sftp_session *s = arg;
	struct lxm_err e = { 0 };

	s->prev = &s->files->sessions;
	s->next = *s->prev;
	if (s->next)
		s->next->prev = &s->next;
	*s->prev = s;
	if (loop_add(s->d->loop, s->h.pidfd, EPOLLIN, on_helper, s, &s->watch, &e) < 0) {
		lxm_error("watch an SFTP session: %s", e.msg);
		end(s);
	}
}

int instance_sftp(struct lxmd *d, const struct instance *i, const struct caller *who, struct sftp_session **out, struct lxm_err *e)
{
	const struct file_job job = { .verb = FILE_SFTP };
	struct sftp_session *s = lxm_alloc(sizeof(*s));
	int r;

	s->d = d;
	s->who = *who;
	s->guard_fd = -1;
	s->files = d->instances->files;
	s->h = (struct helper){ .pidfd = -1, .sock = -1, .session = true };
	r = count_in(s, e);
	if (r < 0) {
		free(s);
		return r;
	}
	r = helper_start(d, i, &job, -1, &s->h, e);
	if (r < 0) {
		count_out(s);
		return r;
	}
	*out = s;
	return 0;
}

void sftp_serve(int fd, const void *extra, size_t len, void *session)
{
	struct sftp_session *s = session;
	char *message = len <= EXTRA_MAX ? lxm_alloc(len + 1) : NULL;

	if (s->who.cert_type != CALLER_CERT_NONE) {
		s->guard_fd = fcntl(fd, F_DUPFD_CLOEXEC, 0);
		s->hold = s->guard_fd < 0 ? NULL : trust_hold(s->d, &s->who, s->guard_fd);
	}
	/* a message of no bytes would be an end of file: hence one more in front */
	if (message && len)
		memcpy(message + 1, extra, len);
	if (!message || lxm_send_fds(s->h.sock, message, len + 1, &fd, 1, MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
		(void)shutdown(s->h.sock, SHUT_RDWR); /* it ends, and the session with it */
	free(message);
	(void)close(fd);
	loop_post(s->d->loop, watch, s);
}

void sftp_drop(void *session)
{
	struct sftp_session *s = session;

	workers_run(s->d->workers, end_job, s);
}
