/*
 * lxmd: options, then the daemon's parts up in order, a wait for a reason to end, and down again.
 *
 * The main thread does nothing else: it blocks the signals that end us in every thread and reads them from
 * a signalfd. Ending never touches containers; they live under their monitors.
 */
#include <fcntl.h>
#include <getopt.h>
#include <malloc.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include "db/db.h"
#include "lib/base/kv.h"
#include "lib/base/log.h"
#include "lxmd/api/server_config.h"
#include "lxmd/core/audit.h"
#include "lxmd/core/daemon.h"
#include "lxmd/core/identity.h"
#include "lxmd/core/idle.h"
#include "lxmd/core/notify.h"
#include "lxmd/core/op.h"
#include "lxmd/core/schedule.h"
#include "lxmd/core/trust.h"
#include "lxmd/starting.h"
#include "lxmd/verbs.h"
#include "lxmd/http/http.h"
#include "lxmd/image/image.h"
#include "lxmd/instance/instances.h"
#include "lxmd/network/network.h"
#include "lxmd/storage/pool.h"

#define OPS_END_MS  10000
#define HTTP_END_MS 5000
#define JOBS_END_MS 10000
#define END_S	    25 /* for all of it: a service manager waits 30 s */
#define NOFILE_WANTED 131072u

static void usage(FILE *to)
{
	fprintf(to,
		"usage: lxmd [OPTIONS]          run the daemon in the foreground\n"
		"       lxmd VERB [ARGUMENTS]   act on the daemon\n"
		"\n"
		"options:\n"
		"  --debug          log everything\n"
		"  --verbose        log each request\n"
		"  --group NAME     group that may use the socket (default: lxm, where it exists)\n"
		"  --version        print the version\n"
		"  --help           print this\n"
		"\n"
		"verbs:\n"
		"%s"
		"\n"
		"LXMD_DIR names a directory to keep everything in, socket, state and logs; without it they are\n"
		"in /var/lib/lxmd, /run/lxmd and /var/log/lxmd.\n",
		verb_help());
}

static int serve_network(struct lxmd *d, struct lxm_err *e)
{
	lxm_auto(kv) struct lxm_kv config = { 0 };
	int r = server_config_load(d, &config, e);

	return r < 0 ? r : http_configure(d, &config, true, e);
}

static int open_databases(struct lxmd *d, struct lxm_err *e)
{
	int r = db_node_open(d->dirs.database.path, &d->node, e);

	if (r == 0)
		r = db_cluster_open(d->dirs.database.path, &d->db, e);
	return r < 0 ? r : db_note_made(d->dirs.database.path, e);
}

static int start_operations(struct lxmd *d, struct lxm_err *e)
{
	int r = daemon_start_core(d, e);

	if (r == 0)
		ops_remember(d->ops, d->dirs.run.fd);
	return r;
}

static int start_audit(struct lxmd *d, struct lxm_err *e)
{
	(void)e;
	audit_start(d);
	return 0;
}

static int start_instances(struct lxmd *d, struct lxm_err *e)
{
	int r = instances_start(d, e);

	if (r == 0)
		ops_recall(d->ops);
	return r;
}

/* The way up. What was started is in *d, so that stop() can take down a half-started daemon as well. */
static int start(struct lxmd *d, struct starting *s, struct lxm_err *e)
{
	static const struct {
		const char *name;
		int (*start)(struct lxmd *d, struct lxm_err *e);
	} parts[] = {
		{ "the database", open_databases }, { "the core", start_operations }, { "identity", identity_start },
		{ "the audit log", start_audit },   { "trust", trust_start },	      { "storage", storage_start },
		{ "images", images_start },	    { "networks", networks_start },   { "instances", start_instances },
		{ "the socket", http_start },	    { "the address", serve_network },
	};
	size_t i;
	int r = 0;

	for (i = 0; i < LXM_ARRAY_LEN(parts) && r == 0; i++) {
		r = starting_next(s, parts[i].name, e);
		if (r == 0)
			r = parts[i].start(d, e);
	}
	return r;
}

/* ---- the way down */

/* Ends the process when a part waits for what does not come, as an answer of a file system that is gone. Instances need none of us. */
static void *end_guard(void *arg)
{
	const char *_Atomic *part = arg;

	(void)sleep(END_S);
	lxm_error("%s did not end within %d s; leaving without it", *part, END_S);
	_exit(0);
}

static void watch_end(const char *_Atomic *part)
{
	pthread_t t;
	int r = pthread_create(&t, NULL, end_guard, part);

	if (r == 0)
		r = pthread_detach(t);
	if (r)
		lxm_warn("watch over the end: %s", strerror(r));
}

/* Threads still work: what they use must not be freed under them. */
static void leave(const char *part)
{
	lxm_warn("%s did not end in time; leaving without them", part);
	_exit(0);
}

static void stop_core(struct lxmd *d)
{
	if (d->loop)
		daemon_stop_core(d);
}

static void stop_memory(struct lxmd *d)
{
	idle_stop(d->idle);
}

static void close_databases(struct lxmd *d)
{
	db_cluster_close(d->db);
	db_node_close(d->node);
}

static void stop(struct lxmd *d)
{
	/* static: the guard may look at it when main() has returned */
	static const char *_Atomic part = "tasks";
	static const struct {
		const char *name;
		void (*stop)(struct lxmd *d);
	} parts[] = {
		{ "giving memory back", stop_memory },
		{ "instances", instances_stop },
		{ "networks", networks_stop },
		{ "images", images_stop },
		{ "storage", storage_stop },
		{ "threads", stop_core },
		{ "trust", trust_stop },
		{ "the audit log", audit_stop },
		{ "identity", identity_stop },
		{ "databases", close_databases },
	};
	size_t i;

	watch_end(&part);
	if (schedule_stop(d->schedule, OPS_END_MS) < 0)
		leave("tasks");
	part = "operations";
	if (d->ops && ops_stop(d->ops, OPS_END_MS) < 0)
		leave("some operations");
	part = "requests";
	if (http_stop(d, HTTP_END_MS) < 0)
		leave("some requests");
	part = "work for instances";
	if (instances_quiet(d, JOBS_END_MS) < 0)
		leave("some starts and stops of instances");
	for (i = 0; i < LXM_ARRAY_LEN(parts); i++) {
		part = parts[i].name;
		parts[i].stop(d);
	}
}

static void reload(struct lxmd *d)
{
	struct lxm_err e = { 0 };

	if (http_reload(d, &e) < 0)
		lxm_error("read certificates again: %s", e.msg);
	else
		lxm_info("certificates read again");
}

static void wait_for_end(struct lxmd *d, int sigfd)
{
	struct pollfd p[2] = { { .fd = sigfd, .events = POLLIN }, { .fd = d->stop_fd, .events = POLLIN } };
	struct signalfd_siginfo si;

	for (;;) {
		if (poll(p, 2, -1) < 0)
			continue;
		if (p[1].revents) {
			lxm_info("asked to end");
			return;
		}
		if (!p[0].revents || read(sigfd, &si, sizeof(si)) != sizeof(si))
			continue;
		if (si.ssi_signo == SIGHUP) {
			reload(d);
		} else {
			lxm_info("ending on signal %u", si.ssi_signo);
			return;
		}
	}
}

/* From the end of the start to the reason for ending. */
static void serve(struct lxmd *d, int sigfd)
{
	__atomic_store_n(&d->ready, true, __ATOMIC_RELEASE);
	lxm_info("lxmd %s is ready, state in '%s'", LXM_VERSION, d->dirs.top.path);
	/* starting up took more than running does */
	idle_note(d->idle);
	notify_manager("READY=1");
	instances_autostart(d);
	wait_for_end(d, sigfd);
}

/* Who starts lxmd may have pointed stderr at its log: then that is enough, and each line stands there once. */
static void open_log(struct lxmd *d)
{
	int fd = openat(d->dirs.log.fd, "lxmd.log",
			O_WRONLY | O_CREAT | O_APPEND | O_NOFOLLOW | O_CLOEXEC, 0600);
	struct stat a, b;

	if (fd < 0)
		lxm_warn("open '%s/lxmd.log': %s", d->dirs.log.path, strerror(errno));
	if (fd >= 0 && fstat(fd, &a) == 0 && fstat(STDERR_FILENO, &b) == 0 && a.st_dev == b.st_dev && a.st_ino == b.st_ino) {
		(void)close(fd);
		fd = -1;
	}
	lxm_log_init(d->config.debug ? LXM_DEBUG : LXM_INFO, fd);
}

/* A thousand containers and some thousand connections need many descriptors. */
static void raise_nofile(struct lxmd *d)
{
	struct rlimit rl, more;

	if (getrlimit(RLIMIT_NOFILE, &rl) < 0)
		return;
	d->nofile_soft = rl.rlim_cur;
	d->nofile_hard = rl.rlim_max;
	rl.rlim_cur = rl.rlim_max;
	more.rlim_cur = more.rlim_max = NOFILE_WANTED;
	if (rl.rlim_max < NOFILE_WANTED && setrlimit(RLIMIT_NOFILE, &more) == 0)
		return;
	if (setrlimit(RLIMIT_NOFILE, &rl) < 0)
		lxm_warn("raise the limit of open files: %s", strerror(errno));
}

static int run(const struct lxmd_config *config)
{
	struct lxm_err e = { 0 };
	struct starting *starting;
	struct lxmd *d;
	sigset_t ends;
	int r, sigfd, asked;

	sigemptyset(&ends);
	sigaddset(&ends, SIGTERM);
	sigaddset(&ends, SIGINT);
	sigaddset(&ends, SIGHUP);
	(void)sigprocmask(SIG_BLOCK, &ends, NULL);
	(void)signal(SIGPIPE, SIG_IGN);
	(void)umask(022);
	/* few arenas: the memory of an idle daemon counts more than the last per cent of malloc's speed */
	(void)mallopt(M_ARENA_MAX, 2);
	lxm_log_init(config->debug ? LXM_DEBUG : LXM_INFO, -1);

	starting = starting_watch();
	r = daemon_open(config, &d, &e);
	if (r < 0) {
		(void)starting_done(starting);
		fprintf(stderr, "lxmd: %s\n", e.msg);
		return 1;
	}
	open_log(d);
	raise_nofile(d);
	sigfd = signalfd(-1, &ends, SFD_CLOEXEC);
	r = start(d, starting, &e);
	asked = starting_done(starting);
	if (r < 0 && !(asked && r == -ECANCELED))
		lxm_error("start: %s", e.msg);
	else if (!asked)
		serve(d, sigfd);
	__atomic_store_n(&d->stopping, true, __ATOMIC_RELEASE);
	notify_manager("STOPPING=1");
	stop(d);
	(void)close(sigfd);
	daemon_close(d);
	return r < 0 && !asked ? 1 : 0;
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "debug", no_argument, NULL, 'd' },	 { "verbose", no_argument, NULL, 'v' },
		{ "group", required_argument, NULL, 'g' }, { "help", no_argument, NULL, 'h' },
		{ "version", no_argument, NULL, 'V' },	 { 0 },
	};
	struct lxmd_config config = { .dir = daemon_env_dir() };
	int c, r;

	while ((c = getopt_long(argc, argv, "+dvg:hV", options, NULL)) != -1) {
		switch (c) {
		case 'd':
			config.debug = true;
			break;
		case 'v':
			config.verbose = true;
			break;
		case 'g':
			config.group = optarg;
			break;
		case 'h':
			usage(stdout);
			return 0;
		case 'V':
			printf("%s\n", LXM_VERSION);
			return 0;
		default:
			usage(stderr);
			return 2;
		}
	}
	if (optind == argc)
		return run(&config);
	r = verb_run(config.dir, argc - optind, argv + optind);
	if (r < 0) {
		fprintf(stderr, "lxmd: there is no verb '%s'\n", argv[optind]);
		usage(stderr);
		return 2;
	}
	return r;
}
