/* Children, pipes and time for many hosts, see fleet.h. One poll loop; signals come through a signalfd. */
#include "lxmc/fleet.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/base/alloc.h"
#include "lib/base/fd.h"
#include "lib/base/time.h"
#include "lxmc/json.h"
#include "lxmc/sink.h"

#define REPORT_MAX ((size_t)256 << 20) /* bytes of one report */
#define TEXT_MAX   ((size_t)256 << 20) /* bytes of a host's text that wait to be shown */
#define SILENT_MS  1000		       /* after which a host without an answer does not count as one at work */
#define CHILDREN   1024
#define CHUNK	   65536

/* What one run needs beside the fleet. */
struct turn {
	struct fleet *f;
	sigset_t old;
	int sig_fd;
	int spool_fd; /* memfd with what stdin gave so far; -1: hosts get no stdin */
	off_t spooled;
	bool stdin_open;
	int signals;
	struct pollfd *p; /* 4 for each host behind the first 3 */
};

void fleet_init(struct fleet *f, const struct lxm_strv *names)
{
	size_t i;

	memset(f, 0, sizeof(*f));
	f->n = names->n;
	f->v = lxm_alloc((names->n + 1) * sizeof(*f->v));
	f->parallel = 32;
	f->answer_ms = 10000;
	f->key_fd = -1;
	for (i = 0; i < f->n; i++) {
		f->v[i].name = names->v[i];
		f->v[i].fd[0] = f->v[i].fd[1] = f->v[i].fd[2] = f->v[i].in_fd = -1;
	}
}

static void close_all(struct fleet_host *h)
{
	int i;

	for (i = 0; i < 3; i++)
		auto_fd_close(&h->fd[i]);
	auto_fd_close(&h->in_fd);
}

void fleet_deinit(struct fleet *f)
{
	size_t i;

	for (i = 0; i < f->n; i++) {
		close_all(&f->v[i]);
		lxm_buf_deinit(&f->v[i].text[0]);
		lxm_buf_deinit(&f->v[i].text[1]);
		lxm_buf_deinit(&f->v[i].reports);
		lxm_strv_deinit(&f->v[i].errors);
		json_decref(f->v[i].list);
		json_decref(f->v[i].object);
	}
	free(f->v);
	memset(f, 0, sizeof(*f));
}

/* ---- children */

/* The child of one host: a group of its own, so that a terminal's ^C comes once, from the parent, which may be gone already. */
static void child_work(struct turn *t, const struct fleet_host *h, int in, const int out[3], pid_t parent)
{
	struct fleet *f = t->f;
	int status;

	(void)setpgid(0, 0);
	(void)prctl(PR_SET_PDEATHSIG, SIGTERM);
	if (getppid() != parent)
		_exit(1);
	(void)dup2(in, STDIN_FILENO);
	(void)dup2(out[0], STDOUT_FILENO);
	(void)dup2(out[1], STDERR_FILENO);
	/* above what is in use by now, then down to a place that close_range() spares */
	(void)dup2(out[2], 3);
	(void)fcntl(3, F_SETFD, FD_CLOEXEC);
	(void)close_range(4, ~0U, 0);
	sigprocmask(SIG_SETMASK, &t->old, NULL);
	sink_open(3);
	status = f->work(f->arg, h->name);
	(void)fflush(NULL);
	_exit(status);
}

static int open_pipes(struct turn *t, int in[2], int out[3][2])
{
	int i;

	in[0] = in[1] = -1;
	for (i = 0; i < 3; i++)
		out[i][0] = out[i][1] = -1;
	if (t->spool_fd < 0)
		in[0] = open("/dev/null", O_RDONLY | O_CLOEXEC);
	else if (pipe2(in, O_CLOEXEC) == 0)
		(void)fcntl(in[1], F_SETFL, O_NONBLOCK);
	for (i = 0; i < 3 && in[0] >= 0; i++)
		if (pipe2(out[i], O_CLOEXEC) < 0)
			return -1;
	return in[0] < 0 ? -1 : 0;
}

static int start(struct turn *t, struct fleet_host *h, struct lxm_err *e)
{
	int in[2], out[3][2], i, r = 0;
	pid_t parent = getpid();

	(void)fflush(NULL);
	if (open_pipes(t, in, out) < 0 || (h->pid = fork()) < 0)
		r = lxm_err_sys(e, "start work on '%s'", h->name);
	if (r == 0 && h->pid == 0)
		child_work(t, h, in[0], (const int[]){ out[0][1], out[1][1], out[2][1] }, parent);
	auto_fd_close(&in[0]);
	for (i = 0; i < 3; i++)
		auto_fd_close(&out[i][1]);
	h->in_fd = in[1];
	for (i = 0; i < 3; i++)
		h->fd[i] = out[i][0];
	if (r < 0) {
		close_all(h);
		return r;
	}
	(void)setpgid(h->pid, h->pid);
	h->state = FLEET_RUNNING;
	h->started_ms = lxm_mono_ms();
	return 0;
}

/* Begin as many as there is place for. */
static int start_more(struct turn *t, struct lxm_err *e)
{
	struct fleet *f = t->f;
	int64_t now = lxm_mono_ms();
	size_t i, all = 0;
	int at_work = 0, r;

	for (i = 0; i < f->n; i++) {
		const struct fleet_host *h = &f->v[i];

		if (h->state != FLEET_RUNNING)
			continue;
		all++;
		at_work += h->answered || now - h->started_ms < SILENT_MS;
	}
	for (i = 0; i < f->n && !f->interrupted; i++) {
		if (f->v[i].state != FLEET_WAITING || at_work >= f->parallel || all >= CHILDREN)
			continue;
		r = start(t, &f->v[i], e);
		if (r < 0)
			return r;
		at_work++;
		all++;
	}
	return 0;
}

static void kill_all(struct fleet *f, int sig)
{
	size_t i;

	for (i = 0; i < f->n; i++)
		if (f->v[i].state == FLEET_RUNNING)
			(void)kill(f->v[i].pid, sig);
}

/* All its ends are closed, so it is over or about to be. */
static void reap(struct fleet_host *h)
{
	int status = 0;

	while (waitpid(h->pid, &status, 0) < 0 && errno == EINTR)
		;
	h->status = WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
	h->state = FLEET_DONE;
	auto_fd_close(&h->in_fd);
}

/* ---- what they say */

static void take_report(struct fleet *f, struct fleet_host *h, const char *line, size_t n)
{
	lxm_auto(json) json_t *o = json_loadb(line, n, 0, NULL);
	json_t *v;

	h->answered = true;
	v = json_object_get(o, "error");
	if (json_is_string(v))
		lxm_strv_add(&h->errors, json_string_value(v));
	v = json_object_get(o, "list");
	if (v) {
		json_decref(h->list);
		h->list = json_incref(v);
	}
	v = json_object_get(o, "object");
	if (v) {
		json_decref(h->object);
		h->object = json_incref(v);
	}
	v = json_object_get(o, "sample");
	if (v && f->on_sample)
		f->on_sample(f->arg, h, v);
}

static void take_lines(struct fleet *f, struct fleet_host *h)
{
	struct lxm_buf *b = &h->reports;
	size_t at = 0;
	char *end;

	while (at < b->len && (end = memchr(b->data + at, '\n', b->len - at))) {
		take_report(f, h, b->data + at, (size_t)(end - b->data) - at);
		at = (size_t)(end - b->data) + 1;
	}
	if (at) {
		memmove(b->data, b->data + at, b->len - at);
		b->len -= at;
	}
}

/* Read what is there on one of its three ends. */
static void receive(struct fleet *f, struct fleet_host *h, int i)
{
	struct lxm_buf *b = i == 2 ? &h->reports : &h->text[i];
	ssize_t n;

	lxm_buf_room(b, CHUNK);
	n = read(h->fd[i], b->data + b->len, CHUNK);
	if (n < 0 && (errno == EINTR || errno == EAGAIN))
		return;
	if (n > 0) {
		b->len += (size_t)n;
		b->data[b->len] = '\0';
	} else {
		auto_fd_close(&h->fd[i]);
	}
	if (i == 2)
		take_lines(f, h);
	else if (f->on_text)
		f->on_text(f->arg, h, i, n <= 0);
	if (b->len > (i == 2 ? REPORT_MAX : TEXT_MAX)) {
		lxm_strv_add(&h->errors, "it says more than this command can keep");
		(void)kill(h->pid, SIGKILL);
		b->len = 0;
	}
	if (h->fd[0] < 0 && h->fd[1] < 0 && h->fd[2] < 0)
		reap(h);
}

/* ---- stdin: kept whole, because hosts begin and read when they can */

static bool stdin_feeds(void)
{
	struct stat st;

	return fstat(STDIN_FILENO, &st) == 0 && (S_ISREG(st.st_mode) || S_ISFIFO(st.st_mode) || S_ISSOCK(st.st_mode));
}

static void spool(struct turn *t)
{
	char chunk[CHUNK];
	ssize_t n = read(STDIN_FILENO, chunk, sizeof(chunk));

	if (n < 0 && (errno == EINTR || errno == EAGAIN))
		return;
	if (n <= 0 || pwrite(t->spool_fd, chunk, (size_t)n, t->spooled) != n)
		t->stdin_open = false;
	else
		t->spooled += n;
}

static void feed(struct turn *t, struct fleet_host *h)
{
	char chunk[CHUNK];
	ssize_t n, w;

	if (h->in_at < t->spooled) {
		n = pread(t->spool_fd, chunk, sizeof(chunk), h->in_at);
		w = n > 0 ? write(h->in_fd, chunk, (size_t)n) : -1;
		if (w > 0)
			h->in_at += w;
		else if (n <= 0 || (errno != EAGAIN && errno != EINTR))
			auto_fd_close(&h->in_fd);
	}
	if (!t->stdin_open && h->in_at == t->spooled)
		auto_fd_close(&h->in_fd);
}

/* ---- time and signals */

/* Milliseconds until the next thing is due, -1 for nothing; ends hosts whose time is up. */
static int64_t look_at_clock(struct fleet *f)
{
	int64_t now = lxm_mono_ms(), left = -1;
	bool waiting = false;
	size_t i;

	for (i = 0; i < f->n; i++)
		waiting |= f->v[i].state == FLEET_WAITING && !f->interrupted;
	for (i = 0; i < f->n; i++) {
		struct fleet_host *h = &f->v[i];
		int64_t due[3] = { INT64_MAX, INT64_MAX, INT64_MAX };
		int k;

		if (h->state != FLEET_RUNNING || h->timed_out)
			continue;
		if (!h->answered)
			due[0] = h->started_ms + f->answer_ms;
		if (f->total_ms)
			due[1] = h->started_ms + f->total_ms;
		if (due[0] <= now || due[1] <= now) {
			h->timed_out = true;
			(void)kill(h->pid, SIGKILL);
			continue;
		}
		/* its place becomes free */
		if (waiting && !h->answered && h->started_ms + SILENT_MS > now)
			due[2] = h->started_ms + SILENT_MS;
		for (k = 0; k < 3; k++)
			if (due[k] != INT64_MAX && (left < 0 || due[k] - now < left))
				left = due[k] - now;
	}
	return left;
}

static void take_signal(struct turn *t)
{
	struct signalfd_siginfo si;

	if (read(t->sig_fd, &si, sizeof(si)) != sizeof(si))
		return;
	t->f->interrupted = true;
	kill_all(t->f, ++t->signals < 3 ? (int)si.ssi_signo : SIGKILL);
}

static void prepare(struct turn *t)
{
	struct fleet *f = t->f;
	size_t i;
	int k;

	t->p[0] = (struct pollfd){ t->sig_fd, POLLIN, 0 };
	t->p[1] = (struct pollfd){ t->stdin_open ? STDIN_FILENO : -1, POLLIN, 0 };
	t->p[2] = (struct pollfd){ f->key_fd, POLLIN, 0 };
	for (i = 0; i < f->n; i++) {
		struct fleet_host *h = &f->v[i];
		struct pollfd *p = &t->p[3 + i * 4];

		for (k = 0; k < 3; k++)
			p[k] = (struct pollfd){ h->fd[k], POLLIN, 0 };
		if (h->in_fd >= 0 && !t->stdin_open && h->in_at == t->spooled)
			auto_fd_close(&h->in_fd);
		p[3] = (struct pollfd){ h->in_fd, h->in_at < t->spooled ? POLLOUT : 0, 0 };
	}
}

static void serve(struct turn *t)
{
	struct fleet *f = t->f;
	size_t i;
	int k;

	if (t->p[0].revents)
		take_signal(t);
	if (t->p[1].revents)
		spool(t);
	for (i = 0; i < f->n; i++) {
		struct fleet_host *h = &f->v[i];
		const struct pollfd *p = &t->p[3 + i * 4];

		if (h->in_fd >= 0 && p[3].revents)
			feed(t, h);
		for (k = 2; k >= 0; k--)
			if (h->fd[k] >= 0 && p[k].revents)
				receive(f, h, k);
	}
}

static bool over(const struct fleet *f)
{
	size_t i;

	for (i = 0; i < f->n; i++)
		if (f->v[i].state == FLEET_RUNNING || (f->v[i].state == FLEET_WAITING && !f->interrupted))
			return false;
	return true;
}

static int loop(struct turn *t, struct lxm_err *e)
{
	struct fleet *f = t->f;
	int r, sleep_ms;

	for (;;) {
		int64_t left;

		r = start_more(t, e);
		if (r < 0)
			return r;
		if (over(f))
			return 0;
		left = look_at_clock(f);
		sleep_ms = left < 0 ? -1 : left > 60000 ? 60000 : (int)left + 1;
		if (f->on_turn) {
			r = f->on_turn(f->arg, t->p[2].revents != 0);
			if (r == -ECANCELED) {
				f->interrupted = true;
				kill_all(f, SIGKILL);
			} else if (r >= 0 && (sleep_ms < 0 || r < sleep_ms)) {
				sleep_ms = r;
			}
		}
		prepare(t);
		r = poll(t->p, (nfds_t)(3 + f->n * 4), sleep_ms);
		if (r < 0 && errno != EINTR)
			return lxm_err_sys(e, "wait for the hosts");
		if (r > 0)
			serve(t);
		else
			t->p[2].revents = 0;
	}
}

int fleet_run(struct fleet *f, struct lxm_err *e)
{
	struct turn t = { .f = f, .sig_fd = -1, .spool_fd = -1 };
	sigset_t set;
	size_t i;
	int r;

	if (f->feed_stdin && stdin_feeds()) {
		t.spool_fd = memfd_create("stdin", MFD_CLOEXEC);
		t.stdin_open = t.spool_fd >= 0;
	}
	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGHUP);
	sigprocmask(SIG_BLOCK, &set, &t.old);
	t.sig_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	t.p = lxm_alloc((3 + f->n * 4) * sizeof(*t.p));
	r = loop(&t, e);
	if (r < 0) {
		kill_all(f, SIGKILL);
		for (i = 0; i < f->n; i++)
			if (f->v[i].state == FLEET_RUNNING)
				reap(&f->v[i]);
	}
	sigprocmask(SIG_SETMASK, &t.old, NULL);
	auto_fd_close(&t.sig_fd);
	auto_fd_close(&t.spool_fd);
	free(t.p);
	return r;
}
