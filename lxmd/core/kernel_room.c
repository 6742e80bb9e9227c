/*
 * One table says what an instance with systemd takes of each limit; report, configuration file and the check before a start are made
 * from it. The figures: a Debian 12 with systemd, resolved and networkd has some 15 processes, 10 inotify instances, 15 keys, 600 open files
 * and 10 mount namespaces; the table allows a few times that. Plenty is what LXD advises for production, and enough for each
 * instance to have as many ptys as its /dev/pts allows, and for privileged instances, which share root's limits.
 */
#include "lxmd/core/kernel_room.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "lib/base/alloc.h"
#include "lib/base/fd.h"
#include "lib/base/time.h"

#define FRESH_MS     1000
#define FRESH_STARTS 16 /* that many may begin on the same reading */

enum { SHARED = 1, OF_USER = 0 };

/* Where the present use stands: a file below /proc, and which number of it; "": nowhere. */
struct use {
	const char *file;
	unsigned int word; /* separated by blanks and slashes */
};

static const struct limit {
	const char *key;
	int shared;		 /* SHARED: by all instances, need = base + each * instances; OF_USER: need = each */
	uint64_t base, each;	 /* base: what the host itself takes or keeps */
	uint64_t plenty;	 /* what a configuration file gives at least; both 0: what the kernel chose is left alone while it meets the need */
	uint64_t plenty_each;	 /* and for each instance */
	struct use use;		 /* of which `kept` more and `step` must be free at a start */
	uint64_t kept, step;	 /* step 0: not judged at a start */
	const char *what;
	uint64_t most;	       /* that the kernel takes; 0: any */
	const char *kept_file; /* where the kernel says what `kept` really is; NULL: nowhere */
} limits[] = {
	{ "fs.aio-max-nr", SHARED, 65536, 0, 524288, 0, { "", 0 }, 0, 0, "asynchronous requests of databases", 0, NULL },
	{ "fs.file-max", SHARED, 16384, 2048, 0, 0, { "sys/fs/file-nr", 0 }, 0, 512, "open files", 0, NULL },
	{ "fs.inotify.max_user_instances", OF_USER, 0, 64, 1024, 16, { "", 0 }, 0, 0, "inotify instances", 0, NULL },
	{ "fs.inotify.max_user_watches", OF_USER, 0, 8192, 1048576, 0, { "", 0 }, 0, 0, "inotify watches", 0, NULL },
	{ "kernel.keys.maxbytes", OF_USER, 0, 10000, 2000000, 4000, { "", 0 }, 0, 0, "bytes in keyrings", 0, NULL },
	{ "kernel.keys.maxkeys", OF_USER, 0, 100, 2000, 40, { "", 0 }, 0, 0, "keys in keyrings", 0, NULL },
	{ "kernel.pid_max", SHARED, 4096, 128, 4194304, 0, { "loadavg", 4 }, 0, 32, "processes and threads", 4194304, NULL },
	{ "kernel.pty.max", SHARED, 1280, 16, 0, 1024, { "sys/kernel/pty/nr", 0 }, 1024, 2, "terminals", 1048576, "sys/kernel/pty/reserve" },
	{ "kernel.pty.reserve", SHARED, 1024, 0, 1024, 0, { "", 0 }, 0, 0, "terminals that no instance can take", 0, NULL },
	{ "kernel.threads-max", SHARED, 4096, 128, 0, 0, { "loadavg", 4 }, 0, 32, "threads", 0, NULL },
	{ "net.ipv4.neigh.default.gc_thresh3", SHARED, 256, 4, 8192, 16, { "", 0 }, 0, 0, "neighbours in IPv4", 0, NULL },
	{ "net.ipv6.neigh.default.gc_thresh3", SHARED, 256, 6, 8192, 16, { "", 0 }, 0, 0, "neighbours in IPv6", 0, NULL },
	{ "user.max_cgroup_namespaces", SHARED, 16, 4, 0, 0, { "", 0 }, 0, 1, "cgroup namespaces", 0, NULL },
	{ "user.max_ipc_namespaces", SHARED, 16, 8, 0, 0, { "", 0 }, 0, 1, "IPC namespaces", 0, NULL },
	{ "user.max_mnt_namespaces", SHARED, 16, 32, 0, 0, { "", 0 }, 0, 1, "mount namespaces", 0, NULL },
	{ "user.max_net_namespaces", SHARED, 16, 8, 0, 0, { "", 0 }, 0, 1, "network namespaces", 0, NULL },
	{ "user.max_pid_namespaces", SHARED, 16, 8, 0, 0, { "", 0 }, 0, 1, "PID namespaces", 0, NULL },
	{ "user.max_user_namespaces", SHARED, 16, 8, 0, 0, { "", 0 }, 0, 1, "user namespaces", 0, NULL },
	{ "user.max_uts_namespaces", SHARED, 16, 8, 0, 0, { "", 0 }, 0, 1, "UTS namespaces", 0, NULL },
	{ "vm.max_map_count", OF_USER, 0, 65530, 262144, 0, { "", 0 }, 0, 0, "memory mappings of a process", 0, NULL },
};

#define LIMITS LXM_ARRAY_LEN(limits)

/* A number of a file below proc; UINT64_MAX when there is none. */
static uint64_t number(const char *proc, const char *file, unsigned int word)
{
	lxm_auto(free) char *path = lxm_asprintf("%s/%s", proc, file);
	lxm_auto(fd_close) int fd = open(path, O_RDONLY | O_CLOEXEC);
	char text[256], *save = NULL, *w;
	ssize_t n = fd < 0 ? -1 : lxm_read_full(fd, text, sizeof(text) - 1);
	uint64_t v;

	if (n <= 0)
		return UINT64_MAX;
	text[n] = 0;
	for (w = strtok_r(text, " \t\n/", &save); w && word; word--)
		w = strtok_r(NULL, " \t\n/", &save);
	return w && lxm_parse_u64(w, &v) == 0 ? v : UINT64_MAX;
}

static void sysctl_file(const char *key, char out[96])
{
	char *c;

	snprintf(out, 96, "sys/%s", key);
	for (c = out + 4; *c; c++)
		if (*c == '.')
			*c = '/';
}

static uint64_t value(const char *proc, const struct limit *l)
{
	char file[96];

	sysctl_file(l->key, file);
	return number(proc, file, 0);
}

static uint64_t need(const struct limit *l, unsigned int instances)
{
	return l->shared ? l->base + l->each * instances : l->each;
}

static bool advised(const struct limit *l)
{
	return l->plenty || l->plenty_each;
}

static uint64_t plenty(const struct limit *l, unsigned int instances)
{
	uint64_t n = advised(l) ? l->base + l->plenty_each * instances : need(l, instances) * 2;

	n = n > l->plenty ? n : l->plenty;
	return l->most && n > l->most ? l->most : n;
}

unsigned int kernel_room_report(const char *proc, unsigned int instances, struct lxm_buf *out)
{
	unsigned int n = 0;
	size_t k;

	for (k = 0; k < LIMITS; k++) {
		uint64_t now = value(proc, &limits[k]), want = need(&limits[k], instances);

		if (now == UINT64_MAX || now >= want)
			continue;
		n++;
		lxm_buf_fmt(out, "%s is %llu: %u instances need %llu%s (%s)\n", limits[k].key, (unsigned long long)now, instances,
			    (unsigned long long)want, limits[k].shared ? "" : " each", limits[k].what);
	}
	return n;
}

unsigned int kernel_room_conf(const char *proc, unsigned int instances, struct lxm_buf *out)
{
	unsigned int n = 0;
	size_t k;

	for (k = 0; k < LIMITS; k++) {
		uint64_t now = value(proc, &limits[k]), want = plenty(&limits[k], instances);

		if (now == UINT64_MAX || now >= want || (!advised(&limits[k]) && now >= need(&limits[k], instances)))
			continue;
		n++;
		lxm_buf_fmt(out, "%s = %llu\n", limits[k].key, (unsigned long long)want);
	}
	return n;
}

/* Lines of the file that are about none of ours, or not in `text`. */
static void keep_lines(const char *file, struct lxm_buf *text)
{
	lxm_auto(buf) struct lxm_buf old = { 0 };
	char *line, *rest;

	if (lxm_read_file(file, 1 << 16, &old) < 0 || !old.data)
		return;
	rest = old.data;
	while ((line = strsep(&rest, "\n"))) {
		size_t len = strcspn(line, " =");
		lxm_auto(free) char *key = lxm_asprintf("\n%.*s = ", (int)len, line);

		if (*line && *line != '#' && !strstr(text->data, key))
			lxm_buf_fmt(text, "%s\n", line);
	}
}

static int set_line(const char *proc, const char *line, struct lxm_err *e)
{
	size_t len = strcspn(line, " ");
	lxm_auto(free) char *key = lxm_asprintf("%.*s", (int)len, line);
	lxm_auto(free) char *path = NULL;
	char file[96];
	int r;

	sysctl_file(key, file);
	path = lxm_asprintf("%s/%s", proc, file);
	r = lxm_write_str_at(AT_FDCWD, path, line + len + 3);
	return r < 0 ? lxm_err_set(e, -r, "set %s: %s", line, strerror(-r)) : 0;
}

/* A small system may lack /etc/sysctl.d: the package that brings it is optional. */
static void make_parent(const char *file)
{
	lxm_auto(free) char *dir = lxm_strndup(file, (size_t)(strrchr(file, '/') - file));

	(void)mkdir(dir, 0755);
}

int kernel_room_apply(const char *proc, const char *file, unsigned int instances, struct lxm_err *e)
{
	lxm_auto(buf) struct lxm_buf text = { 0 }, lines = { 0 };
	char *line, *rest;
	int r, first = 0;

	if (kernel_room_conf(proc, instances, &lines) == 0)
		return 0;
	lxm_buf_fmt(&text, "# Limits of the kernel for %u instances, by `lxmd init --sysctl=apply`.\n%s", instances, lines.data);
	keep_lines(file, &text);
	make_parent(file);
	r = lxm_write_file_atomic(AT_FDCWD, file, text.data, text.len, 0644);
	if (r < 0)
		return lxm_err_set(e, -r, "write '%s': %s", file, strerror(-r));
	rest = lines.data;
	while ((line = strsep(&rest, "\n"))) {
		r = *line ? set_line(proc, line, first ? NULL : e) : 0;
		first = first ? first : r;
	}
	return first;
}

/* ---- before a start */

struct kernel_room {
	char *proc; /* owned */

	pthread_mutex_t lock;
	int64_t read_ms;     /* guarded by lock, and what follows; 0: never */
	unsigned int starts; /* since */
	uint64_t now[LIMITS], used[LIMITS], kept[LIMITS];
};

struct kernel_room *kernel_room_new(const char *proc)
{
	struct kernel_room *k = lxm_alloc(sizeof(*k));

	k->proc = lxm_strdup(proc);
	pthread_mutex_init(&k->lock, NULL);
	return k;
}

void kernel_room_free(struct kernel_room *k)
{
	if (!k)
		return;
	pthread_mutex_destroy(&k->lock);
	free(k->proc);
	free(k);
}

/* Lock held. */
static void read_all(struct kernel_room *k)
{
	size_t i;

	for (i = 0; i < LIMITS; i++) {
		const struct limit *l = &limits[i];

		if (!l->step)
			continue;
		k->now[i] = value(k->proc, l);
		k->used[i] = *l->use.file ? number(k->proc, l->use.file, l->use.word) : 0;
		k->kept[i] = l->kept_file ? number(k->proc, l->kept_file, 0) : l->kept;
		if (k->kept[i] == UINT64_MAX)
			k->kept[i] = l->kept;
	}
	k->read_ms = lxm_mono_ms();
	k->starts = 0;
}

static int tell(const struct limit *l, uint64_t now, uint64_t used, uint64_t reserve, struct lxm_err *e)
{
	char kept[64] = "";

	if (reserve)
		snprintf(kept, sizeof(kept), ", %llu of them are kept for the host", (unsigned long long)reserve);
	if (*l->use.file)
		snprintf(kept + strlen(kept), sizeof(kept) - strlen(kept), ", %llu are in use", (unsigned long long)used);
	return lxm_err_set(e, ENOSPC,
			   "no %s for another instance: %s is %llu%s: raise it with `sysctl -w %s=%llu`, "
			   "or all that is too small with `lxmd init --sysctl=apply`",
			   l->what, l->key, (unsigned long long)now, kept, l->key,
			   (unsigned long long)(now * 2 + l->base > l->plenty ? now * 2 + l->base : l->plenty));
}

int kernel_room_check(struct kernel_room *k, struct lxm_err *e)
{
	size_t i;
	int r = 0;

	pthread_mutex_lock(&k->lock);
	if (!k->read_ms || lxm_mono_ms() - k->read_ms >= FRESH_MS || k->starts >= FRESH_STARTS)
		read_all(k);
	k->starts++;
	for (i = 0; r == 0 && i < LIMITS; i++) {
		const struct limit *l = &limits[i];

		if (!l->step || k->now[i] == UINT64_MAX || k->used[i] == UINT64_MAX)
			continue;
		if (k->used[i] + k->kept[i] + l->step * k->starts > k->now[i] && (*l->use.file || k->now[i] < l->step)) {
			r = tell(l, k->now[i], k->used[i], k->kept[i], e);
			k->read_ms = 0; /* it may be raised at once */
		}
	}
	pthread_mutex_unlock(&k->lock);
	return r;
}
