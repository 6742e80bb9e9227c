/*
 * The Debian builder: one mmdebstrap run into the build's rootfs/. lxmd, worker thread, as root.
 *
 * mmdebstrap runs in mount and PID namespaces of its own (unshare --kill-child): whatever it mounts is gone with it,
 * and killing the one process that we know kills apt, dpkg and every maintainer script with it, also when lxmd itself
 * is killed. Its arguments are the recipe's words, which recipe_parse() has checked; nothing of a client's request
 * gets here but the choice of a recipe. What it prints goes to the log file and, line by line, into progress.
 */
#include <ctype.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/stat.h>

#include "lib/base/alloc.h"
#include "lib/base/fd.h"
#include "lxmd/image/build_int.h"
#include "lxmd/spawn/spawn.h"

#define KEYRINGS "/usr/share/keyrings"
#define GONE_MS	 5000

/* ---- progress: the lines that apt and dpkg print */

/* Bytes of "29.7 MB" or "140 kB" at s. */
static uint64_t apt_size(const char *s)
{
	char *unit;
	double n = strtod(s, &unit);

	while (*unit == ' ')
		unit++;
	if (n < 0 || n > 1e9)
		return 0;
	switch (*unit) {
	case 'k':
		return (uint64_t)(n * 1e3);
	case 'M':
		return (uint64_t)(n * 1e6);
	case 'G':
		return (uint64_t)(n * 1e9);
	default:
		return (uint64_t)n;
	}
}

static bool mm_stage(struct mm_progress *p, const char *stage, int percent)
{
	(void)snprintf(p->stage, sizeof(p->stage), "%s", stage);
	p->percent = percent;
	return true;
}

static bool mm_step(struct mm_progress *p)
{
	unsigned int all = p->total * 2; /* each package is unpacked and configured */

	p->steps++;
	return mm_stage(p, p->base ? "Installing the base system" : "Installing packages",
			all ? (int)(p->steps >= all ? 100 : p->steps * 100 / all) : -1);
}

bool mm_progress_line(struct mm_progress *p, const char *line)
{
	const char *s;

	if (lxm_starts(line, "I: running apt-get update")) {
		p->lists = true;
		return mm_stage(p, "Fetching package lists", -1);
	}
	if (lxm_starts(line, "I: extracting archives"))
		return mm_stage(p, "Unpacking the base system", -1);
	if (lxm_starts(line, "I: installing essential") || lxm_starts(line, "I: installing remaining")) {
		p->base = lxm_starts(line, "I: installing essential");
		return false;
	}
	if (lxm_starts(line, "I: running --customize-hook"))
		return mm_stage(p, "Setting up services", -1);
	if (lxm_starts(line, "Need to get ")) {
		p->lists = false;
		p->need = apt_size(line + strlen("Need to get "));
		p->got = 0;
		return false;
	}
	if (lxm_starts(line, "Get:") && !p->lists && (s = strrchr(line, '['))) {
		p->got += apt_size(s + 1);
		return mm_stage(p, "Downloading packages",
				p->need ? (int)(p->got >= p->need ? 100 : p->got * 100 / p->need) : -1);
	}
	s = strstr(line, " newly installed,");
	if (s && isdigit((unsigned char)*line)) {
		while (s > line && isdigit((unsigned char)s[-1]))
			s--;
		p->total = (unsigned int)strtoul(s, NULL, 10) % 100000;
		p->steps = 0;
		return false;
	}
	if (lxm_starts(line, "Unpacking ") || lxm_starts(line, "Setting up "))
		return mm_step(p);
	return false;
}

/* ---- output: to the log, to progress, complaints kept for the error */

#define WHY_MAX	       350    /* bytes of complaints in an error */
#define SPEED_AFTER_US 300000 /* before that a rate says nothing */

struct output {
	struct build *b;
	struct mm_progress progress;
	char line[1024];      /* the line that is coming in */
	size_t len;
	struct lxm_buf why;   /* what was complained about in the running step; the first complaint is the cause */
	bool details;	      /* the line before was an "Err:" of apt, which the next one explains */
	bool no_key;	      /* apt could not check a signature for want of a key */
	int64_t since_us;     /* start of the running download */
};

static void output_complaint(struct output *o, const char *s)
{
	if (lxm_starts(s, "I: ") && !strstr(s, " received signal ")) { /* the next step: what came before was got over */
		o->why.len = 0;
		o->details = false;
		return;
	}
	if (lxm_starts(s, "E: mmdebstrap failed to run"))
		return;
	if ((lxm_starts(s, "Err:") || lxm_starts(s, "E: ") || lxm_starts(s, "dpkg: error") ||
	     (o->details && lxm_starts(s, "  "))) &&
	    o->why.len < WHY_MAX) {
		s += strspn(s, " ");
		lxm_buf_fmt(&o->why, "%s%.*s", o->why.len ? "; " : "", (int)(WHY_MAX - o->why.len), s);
	}
	o->details = lxm_starts(s, "Err:");
}

static void output_line(struct output *o)
{
	const char *s = o->line;
	uint64_t speed = 0;
	int64_t took_us;

	o->line[o->len] = '\0';
	o->len = 0;
	if (strstr(s, "NO_PUBKEY") || strstr(s, "no keyring"))
		o->no_key = true;
	output_complaint(o, s);
	if (!mm_progress_line(&o->progress, s)) {
		if (lxm_starts(s, "Need to get "))
			o->since_us = lxm_mono_us();
		return;
	}
	took_us = lxm_mono_us() - o->since_us;
	if (o->progress.got && o->progress.need && lxm_starts(s, "Get:") && took_us > SPEED_AFTER_US)
		speed = o->progress.got * 1000000 / (uint64_t)took_us;
	o->b->progress(o->b->arg, o->progress.stage, o->progress.percent, speed);
}

static void output_take(struct output *o, const char *data, size_t n)
{
	size_t i;

	(void)lxm_write_all(o->b->log_fd, data, n); /* a full disk ends the build elsewhere */
	for (i = 0; i < n; i++) {
		if (data[i] == '\n' || data[i] == '\r')
			output_line(o);
		else if (o->len + 1 < sizeof(o->line))
			o->line[o->len++] = data[i];
	}
}

/* Reads until mmdebstrap and all that it started have closed the pipe. -ECANCELED when the build is not wanted any more. */
static int output_pump(struct output *o, int fd, struct lxm_err *e)
{
	char data[16384];

	for (;;) {
		struct pollfd p = { .fd = fd, .events = POLLIN };
		int r = poll(&p, 1, 100);
		ssize_t n;

		if (o->b->cancelled(o->b->arg))
			return lxm_err_set(e, ECANCELED, "cancelled");
		if (r <= 0)
			continue;
		n = read(fd, data, sizeof(data));
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return lxm_err_sys(e, "read the output of mmdebstrap");
		if (n == 0)
			return 0;
		output_take(o, data, (size_t)n);
	}
}

/* After the kill: the namespace goes a moment after its first process, and the last of it closes the pipe. */
static void wait_for_the_rest(int fd)
{
	int64_t until = lxm_mono_ms() + GONE_MS;
	char data[4096];

	for (;;) {
		struct pollfd p = { .fd = fd, .events = POLLIN };
		int64_t left = until - lxm_mono_ms();

		if (left <= 0 || poll(&p, 1, (int)left) <= 0 || read(fd, data, sizeof(data)) <= 0)
			return;
	}
}

/* ---- arguments */

/* "PREFIXa SEP b ..." out of checked words. */
static char *joined(const char *prefix, const struct lxm_strv *words, const char *sep)
{
	lxm_auto(free) char *list = lxm_strv_join(words, sep);

	return lxm_asprintf("%s%s", prefix, list);
}

/* Services that the init's own tool switches; see put_services() for those that are plain links. */
static void add_hooks(const struct recipe_pick *pick, struct lxm_strv *argv)
{
	const struct recipe_part *part = &pick->part;
	size_t i;

	if (pick->init == INIT_SYSTEMD && part->enable.n)
		lxm_strv_take(argv, joined("--customize-hook=chroot \"$1\" systemctl --quiet enable ", &part->enable, " "));
	if (pick->init == INIT_SYSTEMD && part->disable.n)
		lxm_strv_take(argv, joined("--customize-hook=chroot \"$1\" systemctl --quiet disable ", &part->disable, " "));
	for (i = 0; pick->init == INIT_SYSVINIT && i < part->enable.n; i++)
		lxm_strv_take(argv, lxm_asprintf("--customize-hook=chroot \"$1\" update-rc.d %s defaults", part->enable.v[i]));
	for (i = 0; pick->init == INIT_SYSVINIT && i < part->disable.n; i++)
		lxm_strv_take(argv, lxm_asprintf("--customize-hook=chroot \"$1\" update-rc.d %s disable", part->disable.v[i]));
}

/* The mirror that the administrator named in the daemon's environment, or NULL for mmdebstrap's own choice. */
static int mirror_of(const struct recipe *r, const char **out, struct lxm_err *e)
{
	const char *s = r->mirror_variable ? getenv(r->mirror_variable) : NULL;

	*out = NULL;
	if (lxm_empty(s))
		return 0;
	if (!(lxm_starts(s, "http://") || lxm_starts(s, "https://") || lxm_starts(s, "file:///")) || strpbrk(s, " \t\n\"'["))
		return lxm_err_set(e, EINVAL, "%s='%.200s' is not the URL of a mirror", r->mirror_variable, s);
	*out = s;
	return 0;
}

/*
 * The host's own words to apt on proxies and on the age of package lists hold for the build too: mmdebstrap reads none
 * of /etc/apt. They end up in a file that build_mmdebstrap() removes. A host without apt has none.
 */
static void add_host_settings(struct lxm_strv *argv)
{
	static const char *const ask[] = { "apt-config", "dump", "--format", "%f \"%v\";%n", "Acquire::http::Proxy",
					   "Acquire::https::Proxy", "Acquire::Check-Valid-Until", "Acquire::Check-Date",
					   "Acquire::Retries", NULL };
	lxm_auto(buf) struct lxm_buf out = { 0 };
	lxm_auto(strv) struct lxm_strv lines = { 0 };
	struct lxm_err none = { 0 };
	size_t i;

	if (spawn_run(&(struct spawn_spec){ .path = "apt-config", .argv = ask }, &out, NULL, 16 * 1024, 10000, &none) != 0)
		return;
	lxm_strv_split(&lines, out.data ? out.data : "", '\n');
	for (i = 0; i < lines.n; i++)
		if (lxm_starts(lines.v[i], "Acquire::"))
			lxm_strv_take(argv, lxm_asprintf("--aptopt=%s", lines.v[i]));
}

static int make_argv(const struct build *b, struct lxm_strv *argv, struct lxm_err *e)
{
	static const char *const fixed[] = { "unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc",
					     "mmdebstrap", "--mode=root", "--variant=minbase", "--format=directory",
					     "--verbose", "--dpkgopt=force-unsafe-io" /* a half-built tree is thrown away */ };
	const struct recipe_pick *pick = b->pick;
	const char *mirror, *keyring = pick->release->keyring;
	size_t i;
	int r = mirror_of(pick->recipe, &mirror, e);

	if (r < 0)
		return r;
	for (i = 0; i < LXM_ARRAY_LEN(fixed); i++)
		lxm_strv_add(argv, fixed[i]);
	lxm_strv_take(argv, lxm_asprintf("--architectures=%s", pick->distro_arch));
	lxm_strv_take(argv, joined("--components=", &pick->recipe->components, ","));
	if (pick->part.packages.n)
		lxm_strv_take(argv, joined("--include=", &pick->part.packages, ","));
	for (i = 0; i < pick->part.dpkg.n; i++)
		lxm_strv_take(argv, lxm_asprintf("--dpkgopt=%s", pick->part.dpkg.v[i]));
	add_host_settings(argv);
	if (keyring) {
		lxm_auto(free) char *path = lxm_asprintf(KEYRINGS "/%s", keyring);

		if (access(path, R_OK) < 0)
			return lxm_err_set(e, ENOPKG, "the keys of '%s' are missing: there is no %s (Debian: package debian-archive-keyring)",
					   pick->release->suite, path);
		lxm_strv_take(argv, lxm_asprintf("--keyring=%s", path));
	}
	add_hooks(pick, argv);
	lxm_strv_add(argv, "--");
	lxm_strv_add(argv, pick->release->suite);
	lxm_strv_take(argv, lxm_asprintf("%s/rootfs", b->dir));
	if (mirror)
		lxm_strv_add(argv, mirror);
	return 0;
}

static void make_env(const struct build *b, struct lxm_strv *env)
{
	static const char *const passed[] = { "http_proxy", "https_proxy", "no_proxy" };
	size_t i;

	lxm_strv_add(env, "PATH=/usr/sbin:/usr/bin:/sbin:/bin");
	lxm_strv_add(env, "LANG=C.UTF-8");
	lxm_strv_add(env, "HOME=/");
	lxm_strv_add(env, "DEBIAN_FRONTEND=noninteractive");
	lxm_strv_take(env, lxm_asprintf("TMPDIR=%s", b->dir));
	lxm_strv_take(env, lxm_asprintf("SOURCE_DATE_EPOCH=%lld", (long long)(b->epoch / 1000)));
	for (i = 0; i < LXM_ARRAY_LEN(passed); i++)
		if (!lxm_empty(getenv(passed[i])))
			lxm_strv_take(env, lxm_asprintf("%s=%s", passed[i], getenv(passed[i])));
}

/* ---- the run */

static int failed(const struct output *o, int status, struct lxm_err *e)
{
	const struct recipe_pick *pick = o->b->pick;

	if (status == 127)
		return lxm_err_set(e, ENOPKG, "mmdebstrap cannot be started: install package mmdebstrap");
	if (o->no_key)
		return lxm_err_set(e, ENOPKG,
				   "the keys that sign '%s' are not on this host: install or upgrade package debian-archive-keyring",
				   pick->release->suite);
	return lxm_err_set(e, EIO, "mmdebstrap failed with status %d%s%s", status, o->why.len ? ": " : "",
			   o->why.len ? o->why.data : "");
}

static int run(struct build *b, struct output *o, struct lxm_err *e)
{
	lxm_auto(strv) struct lxm_strv argv = { 0 };
	lxm_auto(strv) struct lxm_strv env = { 0 };
	lxm_auto(fd_close) int in = -1;
	int pidfd = -1, p[2], status = 0, r;

	r = make_argv(b, &argv, e);
	if (r < 0)
		return r;
	make_env(b, &env);
	if (pipe2(p, O_CLOEXEC) < 0)
		return lxm_err_sys(e, "make a pipe");
	in = p[0];
	r = spawn_child(&(struct spawn_spec){ .path = "unshare",
					      .argv = (const char *const *)argv.v,
					      .env = (const char *const *)env.v,
					      .fds = { { p[1], 1 }, { p[1], 2 } },
					      .nfds = 2,
					      .setsid = true,
					      .die_with_parent = true },
			&pidfd, NULL, e);
	close(p[1]);
	if (r == -ENOENT)
		return lxm_err_set(e, ENOPKG, "program unshare is missing: install package util-linux");
	if (r < 0)
		return r;
	r = output_pump(o, in, e);
	if (r < 0) {
		spawn_kill(&pidfd);
		wait_for_the_rest(in);
		return r;
	}
	r = spawn_wait(pidfd, -1, &status);
	close(pidfd);
	if (r < 0)
		return lxm_err_set(e, -r, "wait for mmdebstrap");
	return status ? failed(o, status, e) : 0;
}

int build_mmdebstrap(struct build *b, struct lxm_err *e)
{
	struct output o = { .b = b, .since_us = lxm_mono_us() };
	/* --dpkgopt and --aptopt leave these in the tree; they are meant for the build */
	static const char *const traces[] = { "/etc/apt/apt.conf.d/99mmdebstrap", "/etc/dpkg/dpkg.cfg.d/99mmdebstrap" };
	size_t i;
	int r;

	if (access("/usr/bin/mmdebstrap", X_OK) < 0)
		return lxm_err_set(e, ENOPKG, "building '%s' needs mmdebstrap: install package mmdebstrap", b->pick->name);
	r = run(b, &o, e);
	lxm_buf_deinit(&o.why);
	for (i = 0; r == 0 && i < LXM_ARRAY_LEN(traces); i++)
		r = build_remove_in(b->rootfd, traces[i], e);
	return r;
}
