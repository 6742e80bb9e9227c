/*
 * Files of exec with record-output: LOG/PROJECT/NAME/exec_UUID.stdout and .stderr. They are the host's space, so each instance has
 * room for some: the oldest go when a new one comes. What a program still writes to is locked by its own description of the file, which
 * outlives lxmd, and stays; while such programs have taken all the room there is none for others. Worker and request threads.
 */
#include <dirent.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/base/alloc.h"
#include "lib/base/fd.h"
#include "lxmd/core/daemon.h"
#include "lxmd/instance/exec_priv.h"
#include "lxmd/instance/instance.h"

#define RECORDS_MAX	  200		/* files */
#define RECORDS_BYTES_MAX (64ull << 20) /* on the disk */

struct record {
	char *name; /* owned */
	struct timespec changed;
	uint64_t bytes;
};

struct records {
	struct record *v; /* owned, n of them */
	size_t n;
};

static void records_deinit(struct records *l)
{
	while (l->n)
		free(l->v[--l->n].name);
	free(l->v);
	l->v = NULL;
}
LXM_AUTO_STRUCT(records, struct records, records_deinit)

static int by_age(const void *a, const void *b)
{
	const struct timespec *x = &((const struct record *)a)->changed, *y = &((const struct record *)b)->changed;

	if (x->tv_sec != y->tv_sec)
		return x->tv_sec < y->tv_sec ? -1 : 1;
	return x->tv_nsec < y->tv_nsec ? -1 : x->tv_nsec > y->tv_nsec;
}

/* Oldest first. */
static int list(int dir, struct records *out)
{
	int fd = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *de;

	if (!d)
		return -errno;
	while ((de = readdir(d))) {
		struct stat st;

		if (!lxm_starts(de->d_name, "exec_") || fstatat(dir, de->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0)
			continue;
		out->v = lxm_realloc_n(out->v, out->n + 1, sizeof(*out->v));
		out->v[out->n++] = (struct record){ lxm_strdup(de->d_name), st.st_mtim, (uint64_t)st.st_blocks * 512 };
	}
	(void)closedir(d);
	if (out->n)
		qsort(out->v, out->n, sizeof(*out->v), by_age);
	return 0;
}

/* True if nobody writes to it any more, and it is gone. */
static bool drop(int dir, const char *name)
{
	lxm_auto(fd_close) int fd = lxm_open_beneath(dir, name, O_RDONLY | O_NONBLOCK | O_CLOEXEC, 0);

	return fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) == 0 && unlinkat(dir, name, 0) == 0;
}

/* Room for two more. */
static int make_room(int dir, const char *instance, struct lxm_err *e)
{
	lxm_auto(records) struct records l = { 0 };
	uint64_t bytes = 0;
	size_t i, n;
	int r = list(dir, &l);

	if (r < 0)
		return lxm_err_set(e, -r, "read the logs of instance '%s'", instance);
	for (i = 0; i < l.n; i++)
		bytes += l.v[i].bytes;
	for (i = 0, n = l.n; i < l.n && (n + 2 > RECORDS_MAX || bytes > RECORDS_BYTES_MAX); i++) {
		if (!drop(dir, l.v[i].name))
			continue;
		n--;
		bytes -= l.v[i].bytes;
	}
	if (n + 2 <= RECORDS_MAX && bytes <= RECORDS_BYTES_MAX)
		return 0;
	return lxm_err_http(e, 507, ENOSPC, "instance '%s' has %zu records of output with %llu MiB that programs still write to: end some of them",
			    instance, n, (unsigned long long)(bytes >> 20));
}

int exec_open_records(struct session *x, const struct instance *i, struct lxm_err *e)
{
	static const char *const suffix[] = { "stdout", "stderr" };
	lxm_auto(free) char *path = lxm_asprintf("%s/%s/%s", x->d->dirs.log.path, i->row.project, i->row.name);
	lxm_auto(fd_close) int dir = -1;
	char uuid[37];
	int k, r;

	lxm_uuid(uuid);
	if (lxm_mkdir_p(path, 0700) < 0)
		return lxm_err_sys(e, "make the log directory of instance '%s'", i->row.name);
	dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	if (dir < 0)
		return lxm_err_sys(e, "open the logs of instance '%s'", i->row.name);
	r = make_room(dir, i->row.name, e);
	for (k = 0; r == 0 && k < 2; k++) {
		x->log_name[k] = lxm_asprintf("exec_%s.%s", uuid, suffix[k]);
		x->log_fd[k] = openat(dir, x->log_name[k], O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
		if (x->log_fd[k] < 0 || flock(x->log_fd[k], LOCK_SH | LOCK_NB) < 0)
			return lxm_err_sys(e, "make '%s'", x->log_name[k]);
	}
	return r;
}
