/*
 * The verbs of the lxmd binary. They talk to a running daemon through its socket, or open its databases
 * (SQLite's locks make that safe beside the daemon). Single-threaded, no privileges beyond the caller's.
 */
#include "lxmd/verbs.h"

#include <getopt.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "db/db.h"
#include "lib/api/json.h"
#include "lib/base/alloc.h"
#include "lib/base/str.h"
#include "lib/base/time.h"
#include "lib/tls/http_client.h"
#include "lxmd/core/daemon.h"
#include "lxmd/core/kernel_room.h"
#include "lxmd/http/routes.h"

static int fail(const struct lxm_err *e)
{
	fprintf(stderr, "lxmd: %s\n", e->msg);
	return 1;
}

/* One request without a body; the envelope's error becomes *e. */
static int ask(const char *dir, const char *method, const char *target, struct lxm_err *e)
{
	lxm_auto(free) char *path = daemon_socket_path(dir);
	lxm_auto(http) struct lxm_http *h = lxm_http_new(lxm_dial_unix, path);
	lxm_auto(http_reply) struct lxm_http_reply reply = { 0 };
	struct lxm_http_request rq = { .method = method, .target = target, .source_size = -1 };
	lxm_auto(json) json_t *o = NULL;
	int r = lxm_http_do(h, &rq, &reply, e);

	if (r < 0 || reply.status < 300)
		return r;
	(void)js_parse(reply.body.data ? reply.body.data : "", reply.body.len, &o, NULL);
	return lxm_err_http(e, reply.status, EIO, "%s", js_str_or(o, "error", "the daemon answered with an error"));
}

/* ---- waitready */

static int verb_waitready(const char *dir, int argc, char **argv)
{
	static const struct option options[] = { { "timeout", required_argument, NULL, 't' }, { 0 } };
	int64_t timeout_s = 0, until;
	struct lxm_err e;
	int c;

	while ((c = getopt_long(argc, argv, "t:", options, NULL)) != -1)
		if (c != 't' || lxm_parse_i64(optarg, &timeout_s) < 0)
			return 2;
	if (optind < argc)
		return 2;
	until = timeout_s > 0 ? lxm_mono_ms() + timeout_s * 1000 : INT64_MAX;
	for (;;) {
		lxm_err_clear(&e);
		if (ask(dir, "GET", "/internal/ready", &e) == 0)
			return 0;
		if (lxm_mono_ms() >= until)
			break;
		(void)usleep(20000);
	}
	fprintf(stderr, "lxmd: not ready after %lld seconds: %s\n", (long long)timeout_s, e.msg);
	return 1;
}

/* ---- reload */

static int verb_reload(const char *dir, int argc, char **argv)
{
	struct lxm_err e = { 0 };

	if (argc != 1)
		return 2;
	return ask(dir, "PUT", "/internal/reload", &e) < 0 ? fail(&e) : 0;
}

/* ---- shutdown */

static int verb_shutdown(const char *dir, int argc, char **argv)
{
	static const struct option options[] = { { "timeout", required_argument, NULL, 't' }, { "instances", no_argument, NULL, 'i' }, { 0 } };
	int64_t timeout_s = 0, until;
	struct lxm_err e = { 0 };
	bool instances = false;
	int c;

	while ((c = getopt_long(argc, argv, "t:i", options, NULL)) != -1) {
		if (c == 'i')
			instances = true;
		else if (c != 't' || lxm_parse_i64(optarg, &timeout_s) < 0)
			return 2;
	}
	if (optind < argc)
		return 2;
	if (timeout_s <= 0)
		timeout_s = instances ? 600 : 60;
	if (ask(dir, "PUT", instances ? "/internal/shutdown?instances=1" : "/internal/shutdown", &e) < 0)
		return fail(&e);
	/* the lock on the directory is what tells that the process is gone */
	until = lxm_mono_ms() + timeout_s * 1000;
	while (daemon_dir_in_use(dir)) {
		if (lxm_mono_ms() >= until) {
			fprintf(stderr, "lxmd: still running after %lld seconds\n", (long long)timeout_s);
			return 1;
		}
		(void)usleep(20000);
	}
	return 0;
}

/* ---- sql */

static int print_row(int cols, const char *const *names, const char *const *values, void *arg)
{
	bool *titled = arg;
	int i;

	if (!*titled)
		for (i = 0; i < cols; i++)
			printf("%s%c", names[i], i + 1 < cols ? '\t' : '\n');
	*titled = true;
	for (i = 0; i < cols; i++)
		printf("%s%c", values[i] ? values[i] : "NULL", i + 1 < cols ? '\t' : '\n');
	return 0;
}

static int verb_sql(const char *dir, int argc, char **argv)
{
	lxm_auto(db_node_close) struct db_node *node = NULL;
	lxm_auto(db_cluster_close) struct db_cluster *cluster = NULL;
	lxm_auto(free) char *path = daemon_sub_path(dir, "database");
	struct lxm_err e = { 0 };
	bool titled = false;
	int r;

	if (argc != 3 || (strcmp(argv[1], "node") != 0 && strcmp(argv[1], "cluster") != 0))
		return 2;
	if (strcmp(argv[1], "node") == 0) {
		r = db_node_open(path, &node, &e);
		if (r == 0)
			r = db_node_sql(node, argv[2], true, print_row, &titled, &e);
	} else {
		r = db_cluster_open(path, &cluster, &e);
		if (r == 0)
			r = db_cluster_sql(cluster, argv[2], true, print_row, &titled, &e);
	}
	return r < 0 ? fail(&e) : 0;
}

/* ---- init */

/* The kernel's limits are the host's own affair and not the API's: this part does not ask the daemon. */
static int init_sysctl(const char *how, unsigned int instances)
{
	lxm_auto(buf) struct lxm_buf text = { 0 };
	struct lxm_err e = { 0 };

	if (strcmp(how, "apply") == 0)
		return kernel_room_apply("/proc", KERNEL_ROOM_FILE, instances, &e) < 0 ? fail(&e) : 0;
	if (strcmp(how, "print") != 0)
		return 2;
	if (kernel_room_conf("/proc", instances, &text))
		printf("%s", text.data);
	return 0;
}

/* What of argv is ours. Returns 0 to go on with a set-up, 1 when that was all with the exit status in *status. */
static int init_own(int argc, char **argv, int *status)
{
	lxm_auto(buf) struct lxm_buf text = { 0 };
	const char *sysctl = NULL;
	int64_t instances = KERNEL_ROOM_INSTANCES;
	bool other = false, named = false, dump = false;
	int i;

	*status = 2;
	for (i = 1; i < argc; i++) {
		if (lxm_starts(argv[i], "--sysctl="))
			sysctl = argv[i] + 9;
		else if (lxm_starts(argv[i], "--instances=")) {
			named = true;
			if (lxm_parse_i64(argv[i] + 12, &instances) < 0 || instances < 1 || instances > KERNEL_ROOM_INSTANCES_MAX)
				return 1;
		} else {
			other = true;
			dump = dump || strcmp(argv[i], "--dump") == 0;
		}
	}
	if (sysctl || named) {
		*status = sysctl && !other ? init_sysctl(sysctl, (unsigned int)instances) : 2;
		return 1;
	}
	if (!dump && kernel_room_report("/proc", (unsigned int)instances, &text))
		fprintf(stderr, "%sThese limits of the kernel are small: `lxmd init --sysctl=print` shows better ones, --sysctl=apply sets them.\n",
			text.data);
	return 0;
}

static int verb_init(const char *dir, int argc, char **argv)
{
	lxm_auto(free) char *sock = daemon_socket_path(dir);
	lxm_auto(free) char **args = lxm_alloc(((size_t)argc + 4) * sizeof(char *));
	char self[PATH_MAX], lxmc[PATH_MAX + 8];
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);
	size_t i = 0;
	int status;

	if (init_own(argc, argv, &status))
		return status;
	if (n < 0)
		return 1;
	self[n] = '\0';
	*strrchr(self, '/') = '\0';
	(void)snprintf(lxmc, sizeof(lxmc), "%s/lxmc", self);
	if (access(lxmc, X_OK) < 0)
		(void)snprintf(lxmc, sizeof(lxmc), "%s/bin/lxmc", LXM_PREFIX);
	args[i++] = lxmc;
	args[i++] = (char[]){ "admin" };
	for (; *argv; argv++) /* "init" and what follows */
		args[i++] = *argv;
	(void)setenv("LXMC_SOCKET", sock, 1);
	(void)execv(lxmc, args);
	fprintf(stderr, "lxmd: run '%s': %s\n", lxmc, strerror(errno));
	return 1;
}

/* ---- routes: the table of rights, for people who audit it and for the test that calls every row */

static int verb_routes(const char *dir, int argc, char **argv)
{
	static const char *const who[] = { [MAY_ALL] = "all",	      [MAY_METRICS] = "metrics", [MAY_PROJECT] = "project",
					   [MAY_TRUSTED] = "trusted", [MAY_SELF] = "self",	 [MAY_ADMIN] = "admin" };
	static const struct {
		unsigned int flag;
		const char *name;
	} flags[] = {
		{ RT_PROJECT, "project" }, { RT_ALLPROJECTS, "all-projects" }, { RT_NAMED, "named" }, { RT_UPLOAD, "upload" },
		{ RT_EITHER, "either" },   { RT_ASYNC, "async" },		      { RT_SLOT, "slot" },
	};
	size_t n, i, k;
	const struct route *t = route_table(&n);

	if (argc != 1)
		return 2;
	for (i = 0; i < n; i++) {
		printf("%s %s %s", t[i].method, t[i].pattern, who[t[i].access]);
		for (k = 0; k < LXM_ARRAY_LEN(flags); k++)
			if (t[i].flags & flags[k].flag)
				printf(" %s", flags[k].name);
		printf("\n");
	}
	return 0;
}

static const struct {
	const char *name;
	int (*run)(const char *dir, int argc, char **argv);
	const char *usage, *help;
} verbs[] = {
	{ "waitready", verb_waitready, "waitready [--timeout=S]", "wait until the daemon answers" },
	{ "reload", verb_reload, "reload", "read server.crt, server.key, server.ca and ca.crl again" },
	{ "shutdown", verb_shutdown, "shutdown [--instances] [--timeout=S]", "end the daemon; instances stay unless they shall stop first, and networks with them" },
	{ "init", verb_init, "init [--auto | --preseed] | --sysctl=print|apply [--instances=N]",
	  "first set-up (lxmc admin init), or limits of the kernel" },
	{ "sql", verb_sql, "sql node|cluster \"STATEMENT\"", "run SQL on the daemon's databases" },
	{ "routes", verb_routes, "routes", "print the API: method, path, who may call, flags" },
};

int verb_run(const char *dir, int argc, char **argv)
{
	size_t i;
	int r;

	for (i = 0; i < LXM_ARRAY_LEN(verbs); i++) {
		if (strcmp(argv[0], verbs[i].name) != 0)
			continue;
		optind = 1;
		r = verbs[i].run(dir, argc, argv);
		if (r == 2)
			fprintf(stderr, "usage: lxmd %s\n", verbs[i].usage);
		return r;
	}
	return -1;
}

const char *verb_help(void)
{
	static char text[2048];
	size_t i, n = 0;

	for (i = 0; i < LXM_ARRAY_LEN(verbs); i++)
		n += (size_t)snprintf(text + n, sizeof(text) - n, "  %-28s%s%s\n", verbs[i].usage,
				      strlen(verbs[i].usage) > 28 ? "\n                               " : " ", verbs[i].help);
	return text;
}
