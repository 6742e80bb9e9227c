/*
 * The dnsmasq of one bridge as a process: start, adoption, supervision, end.
 *
 * The object's state belongs to the loop thread; other threads reach it through loop_call(). dnsmasq runs in the
 * foreground as a child of lxmd, under the account of its package (it keeps only CAP_NET_ADMIN and the like). It
 * outlives lxmd: the next one finds it by its pid file, checks program, command line and configuration, and watches
 * it through a pidfd; one that is not as it should be is ended and started anew.
 */
#include "lxmd/network/dhcp.h"

#include <dirent.h>
#include <fcntl.h>
#include <pwd.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/stat.h>
#include <poll.h>
#include <time.h>

#include "lib/base/alloc.h"
#include "lib/base/fd.h"
#include "lib/base/log.h"
#include "lib/base/sys.h"
#include "lxmd/core/daemon.h"
#include "lxmd/core/loop.h"
#include "lxmd/spawn/spawn.h"

#define START_TIMEOUT_MS 5000
#define STOP_TIMEOUT_MS	 2000
#define RETRY_MIN_MS	 100
#define RETRY_MAX_MS	 30000
#define STEADY_MS	 10000 /* one that ran this long starts with a short pause again */
#define RELOAD_MS	 200
#define LOG_MAX		 (1 << 20)

struct dhcp {
	struct loop *loop;
	char *dir, *bridge; /* owned */
	/* loop thread only: */
	int pidfd;   /* -1 while none runs */
	bool child;  /* ours to reap */
	struct loop_watch *watch;
	loop_timer_id retry, reload;
	int64_t started_ms, pause_ms;
};

/* ---- files and programs, any thread */

static char *dhcp_path(const char *dir, const char *file)
{
	return lxm_asprintf("%s/%s", dir, file);
}

/* argv of a server, which is also how it is recognised. */
static void dhcp_argv(const char *dir, char conf_arg[4200], const char *argv[4])
{
	(void)snprintf(conf_arg, 4200, "--conf-file=%s/dnsmasq.conf", dir);
	argv[0] = "dnsmasq";
	argv[1] = conf_arg;
	argv[2] = "--keep-in-foreground";
	argv[3] = NULL;
}

/* dnsmasq's file syntax knows quotes, escapes and comments: a directory that would need them is refused. */
static int dir_check(const char *dir, struct lxm_err *e)
{
	if (strlen(dir) > 4000 || strpbrk(dir, " \t\n\r\"\\#,"))
		return lxm_err_set(e, EINVAL, "directory '%s' cannot be named in a dnsmasq configuration: "
					      "use a path without blanks, commas, quotes, '#' and backslashes", dir);
	return 0;
}

/* The account to drop to: it must be able to reach hosts/, else only root can. */
static const char *dhcp_user(const char *dir)
{
	lxm_auto(free) char *path = lxm_strdup(dir);
	struct stat st;
	char *slash;

	for (slash = path + strlen(path); slash > path; slash = strrchr(path, '/')) {
		*slash = '\0';
		if (*path && (stat(path, &st) < 0 || !(st.st_mode & S_IXOTH))) {
			lxm_info("dnsmasq keeps running as root: others may not enter '%s'", path);
			return "root";
		}
	}
	return getpwnam("dnsmasq") ? "dnsmasq" : "nobody";
}

/* Is that process the server of this directory? By its first two words: later ones may differ between versions. */
static bool is_server_of(pid_t pid, const char *dir)
{
	lxm_auto(buf) struct lxm_buf have = { 0 }, want = { 0 };
	char path[64], conf_arg[4200];
	const char *argv[4];
	int i;

	(void)snprintf(path, sizeof(path), "/proc/%d/cmdline", (int)pid);
	if (lxm_read_file(path, 16384, &have) < 0)
		return false;
	dhcp_argv(dir, conf_arg, argv);
	for (i = 0; i < 2; i++)
		lxm_buf_add(&want, argv[i], strlen(argv[i]) + 1);
	return have.len >= want.len && memcmp(have.data, want.data, want.len) == 0;
}

static pid_t read_pid(const char *dir)
{
	lxm_auto(free) char *path = dhcp_path(dir, "dnsmasq.pid");
	lxm_auto(buf) struct lxm_buf text = { 0 };
	int64_t pid;

	if (lxm_read_file(path, 64, &text) < 0 || !text.len)
		return 0;
	text.data[strcspn(text.data, "\n")] = '\0';
	return lxm_parse_i64(text.data, &pid) == 0 && pid > 1 && pid <= INT32_MAX ? (pid_t)pid : 0;
}

/* The pid file is gone although its server may live on (a start that was cut off removes it first): look at all. */
static pid_t search_pid(const char *dir)
{
	DIR *proc = opendir("/proc");
	pid_t found = 0;
	struct dirent *de;
	int64_t pid;

	while (proc && !found && (de = readdir(proc)))
		if (lxm_parse_i64(de->d_name, &pid) == 0 && pid > 1 && pid <= INT32_MAX && is_server_of((pid_t)pid, dir))
			found = (pid_t)pid;
	if (proc)
		closedir(proc);
	return found;
}

/* pidfd of the server that an earlier daemon left, or -1. The check after opening rules out a reused pid. */
static int find_left(const char *dir)
{
	pid_t pid = read_pid(dir);
	int pidfd;

	if (!pid)
		pid = search_pid(dir);
	pidfd = pid ? sys_pidfd_open(pid, 0) : -1;
	if (pidfd >= 0 && !is_server_of(pid, dir)) {
		(void)close(pidfd);
		pidfd = -1;
	}
	return pidfd;
}

static bool wait_gone(int pidfd, int timeout_ms)
{
	struct pollfd p = { .fd = pidfd, .events = POLLIN };

	return poll(&p, 1, timeout_ms) == 1;
}

/* End a server and wait; reap it if it is ours. Takes pidfd. */
static void end_process(const char *dir, int pidfd, bool child)
{
	lxm_auto(free) char *pid_path = dhcp_path(dir, "dnsmasq.pid");

	(void)sys_pidfd_send_signal(pidfd, SIGTERM);
	if (!wait_gone(pidfd, STOP_TIMEOUT_MS)) {
		(void)sys_pidfd_send_signal(pidfd, SIGKILL);
		(void)wait_gone(pidfd, STOP_TIMEOUT_MS);
	}
	if (child)
		(void)spawn_reap(pidfd, NULL);
	(void)close(pidfd);
	(void)unlink(pid_path);
}

bool dhcp_stop_stale(const char *dir)
{
	int pidfd = find_left(dir);

	if (pidfd < 0)
		return false;
	end_process(dir, pidfd, false);
	return true;
}

/* dnsmasq notes each host entry that it reads; it appends, so the file can be emptied under its hands. */
static void trim_log(const char *dir)
{
	lxm_auto(free) char *path = dhcp_path(dir, "dnsmasq.log");
	struct stat st;

	if (stat(path, &st) == 0 && st.st_size > LOG_MAX && truncate(path, 0) < 0)
		lxm_warn("empty '%s': %s", path, strerror(errno));
}

/* Put the last line that the program said into an error. */
static int last_words(const char *dir, struct lxm_err *e)
{
	lxm_auto(free) char *path = dhcp_path(dir, "dnsmasq.log");
	lxm_auto(buf) struct lxm_buf text = { 0 };
	const char *line;

	if (lxm_read_file(path, 1 << 20, &text) < 0 || !text.len)
		return lxm_err_set(e, EIO, "dnsmasq ended at once");
	while (text.len && text.data[text.len - 1] == '\n')
		text.data[--text.len] = '\0';
	line = strrchr(text.data, '\n');
	return lxm_err_set(e, EIO, "%s", line ? line + 1 : text.data);
}

static int spawn_server(const char *dir, int *pidfd_out, pid_t *pid_out, struct lxm_err *e)
{
	lxm_auto(free) char *log_path = dhcp_path(dir, "dnsmasq.log");
	lxm_auto(free) char *pid_path = dhcp_path(dir, "dnsmasq.pid");
	lxm_auto(fd_close) int log_fd =
		open(log_path, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_NOFOLLOW | O_CLOEXEC, 0600);
	struct spawn_spec spec = { .path = "dnsmasq", .setsid = true };
	char conf_arg[4200];
	const char *argv[4];
	int r;

	if (log_fd < 0)
		return lxm_err_sys(e, "open '%s'", log_path);
	(void)unlink(pid_path);
	dhcp_argv(dir, conf_arg, argv);
	spec.argv = argv;
	spec.fds[0] = (struct spawn_fd){ log_fd, 1 };
	spec.fds[1] = (struct spawn_fd){ log_fd, 2 };
	spec.nfds = 2;
	r = spawn_child(&spec, pidfd_out, pid_out, e);
	if (r == -ENOENT)
		return lxm_err_set(e, ENOENT, "no program 'dnsmasq': install the package dnsmasq-base");
	return r;
}

/* ---- supervision, loop thread */

static void on_retry(void *arg);

static void on_exit_event(int fd, uint32_t revents, void *arg)
{
	struct dhcp *s = arg;

	loop_del(s->watch);
	s->watch = NULL;
	if (s->child)
		(void)spawn_reap(s->pidfd, NULL);
	(void)close(s->pidfd);
	s->pidfd = -1;
	if (lxm_mono_ms() - s->started_ms > STEADY_MS)
		s->pause_ms = RETRY_MIN_MS;
	lxm_warn("dnsmasq of network '%s' ended; starting it again in %lld ms", s->bridge,
		 (long long)s->pause_ms);
	s->retry = loop_timer(s->loop, s->pause_ms, on_retry, s);
	s->pause_ms = s->pause_ms * 2 > RETRY_MAX_MS ? RETRY_MAX_MS : s->pause_ms * 2;
}

static int watch_server(struct dhcp *s, struct lxm_err *e)
{
	s->started_ms = lxm_mono_ms();
	return loop_add(s->loop, s->pidfd, EPOLLIN, on_exit_event, s, &s->watch, e);
}

static void on_retry(void *arg)
{
	struct dhcp *s = arg;
	struct lxm_err e = { 0 };
	int r;

	s->retry = 0;
	r = spawn_server(s->dir, &s->pidfd, NULL, &e);
	if (r == 0) {
		s->child = true;
		r = watch_server(s, &e);
	}
	if (r == 0)
		return;
	lxm_warn("dnsmasq of network '%s': %s", s->bridge, e.msg);
	if (s->pidfd >= 0)
		spawn_kill(&s->pidfd);
	s->pidfd = -1;
	s->retry = loop_timer(s->loop, RETRY_MAX_MS, on_retry, s);
}

static void on_reload(void *arg)
{
	struct dhcp *s = arg;

	s->reload = 0;
	trim_log(s->dir);
	if (s->pidfd >= 0)
		(void)sys_pidfd_send_signal(s->pidfd, SIGHUP);
}

static void want_reload(void *arg)
{
	struct dhcp *s = arg;

	if (!s->reload)
		s->reload = loop_timer(s->loop, RELOAD_MS, on_reload, s);
}

void dhcp_reload(struct dhcp *s)
{
	/* not loop_call(): the caller may hold a lock that a loop callback takes */
	if (s)
		loop_post(s->loop, want_reload, s);
}

static void stop_watching(void *arg)
{
	struct dhcp *s = arg;

	(void)loop_timer_cancel(s->loop, s->retry);
	(void)loop_timer_cancel(s->loop, s->reload);
	if (s->watch)
		loop_del(s->watch);
	s->retry = s->reload = 0;
	s->watch = NULL;
}

static void dhcp_free(struct dhcp *s)
{
	if (s->pidfd >= 0)
		(void)close(s->pidfd);
	free(s->dir);
	free(s->bridge);
	free(s);
}

void dhcp_release(struct dhcp *s)
{
	if (!s)
		return;
	loop_call(s->loop, stop_watching, s);
	dhcp_free(s);
}

void dhcp_stop(struct dhcp *s)
{
	if (!s)
		return;
	loop_call(s->loop, stop_watching, s);
	if (s->pidfd >= 0)
		end_process(s->dir, LXM_TAKE(s->pidfd, -1), s->child);
	dhcp_free(s);
}

/* ---- starting */

/* Write the configuration if it differs; true if it was as it should be. */
static int conf_write(const char *dir, const struct lxm_buf *want, bool *same_out, struct lxm_err *e)
{
	lxm_auto(free) char *path = dhcp_path(dir, "dnsmasq.conf");
	lxm_auto(buf) struct lxm_buf have = { 0 };
	int r;

	*same_out = lxm_read_file(path, 1 << 20, &have) == 0 && have.len == want->len && want->len &&
		    memcmp(have.data, want->data, want->len) == 0;
	if (*same_out)
		return 0;
	r = lxm_write_file_atomic(AT_FDCWD, path, want->data, want->len, 0644);
	return r < 0 ? lxm_err_set(e, -r, "write '%s': %s", path, strerror(-r)) : 0;
}

/* dnsmasq writes its pid file once its sockets are open. */
static int wait_serving(const char *dir, int pidfd, pid_t pid, struct lxm_err *e)
{
	int64_t deadline = lxm_mono_ms() + START_TIMEOUT_MS;

	while (read_pid(dir) != pid) {
		if (wait_gone(pidfd, 2))
			return last_words(dir, e);
		if (lxm_mono_ms() > deadline)
			return lxm_err_set(e, ETIMEDOUT, "dnsmasq does not come up");
	}
	return 0;
}

static int start_fresh(struct dhcp *s, struct lxm_err *e)
{
	pid_t pid;
	int r;

	r = spawn_server(s->dir, &s->pidfd, &pid, e);
	if (r < 0)
		return r;
	s->child = true;
	r = wait_serving(s->dir, s->pidfd, pid, e);
	if (r < 0) {
		end_process(s->dir, LXM_TAKE(s->pidfd, -1), true);
		return r;
	}
	return 0;
}

struct watch_job {
	struct dhcp *s;
	struct lxm_err *e;
	int r;
};

static void begin_watching(void *arg)
{
	struct watch_job *job = arg;

	job->r = watch_server(job->s, job->e);
}

int dhcp_start(struct lxmd *d, const struct dhcp_conf *c, struct dhcp **dhcp_out, struct lxm_err *e)
{
	lxm_auto(buf) struct lxm_buf text = { 0 };
	struct dhcp_conf mine = *c;
	struct watch_job job = { .e = e };
	struct dhcp *s;
	bool same;
	int r;

	r = dir_check(c->dir, e);
	if (r < 0)
		return r;
	if (!mine.user)
		mine.user = dhcp_user(c->dir);
	dhcp_conf_text(&mine, &text);
	r = conf_write(c->dir, &text, &same, e);
	if (r < 0)
		return r;
	s = lxm_alloc(sizeof(*s));
	s->loop = d->loop;
	s->dir = lxm_strdup(c->dir);
	s->bridge = lxm_strdup(c->bridge);
	s->pause_ms = RETRY_MIN_MS;
	s->pidfd = find_left(c->dir);
	if (s->pidfd >= 0 && !same)
		end_process(s->dir, LXM_TAKE(s->pidfd, -1), false);
	if (s->pidfd < 0)
		r = start_fresh(s, e);
	else
		trim_log(s->dir);
	if (r == 0) {
		job.s = s;
		loop_call(s->loop, begin_watching, &job);
		r = job.r;
	}
	if (r < 0) {
		dhcp_stop(s);
		return lxm_err_wrap(e, r, "DHCP and DNS of network '%s'", c->bridge);
	}
	*dhcp_out = s;
	return 0;
}
