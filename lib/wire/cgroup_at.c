/*
 * cgroup directories by descriptor: remove a branch, kill what is in it. The monitor does this after init's end and
 * lxmd for orphans. No heap: depth is bounded by the path buffers here, and a branch that is deeper is taken from its
 * leaves in several passes. The names come from a container's systemd, so they are only ever used one component at a time.
 */
#include "lib/wire/cgroup.h"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "lib/base/fd.h"

#define MAX_DEPTH 24

struct dent {
	uint64_t ino;
	int64_t off;
	unsigned short reclen;
	unsigned char type;
	char name[];
};

static bool is_child(const struct dent *d)
{
	return d->type == DT_DIR && d->name[0] && strcmp(d->name, ".") != 0 && strcmp(d->name, "..") != 0;
}

/* Calls fn for each child directory of fd; stops at the first failure. getdents64 rather than readdir: no heap. */
static int each_child(int fd, int depth, int (*fn)(int dirfd, const char *name, int depth))
{
	char buf[2048] __attribute__((aligned(8)));
	long n, at;
	int r, sum = 0;

	for (;;) {
		n = syscall(SYS_getdents64, fd, buf, sizeof(buf));
		if (n <= 0)
			return n < 0 ? -errno : sum;
		for (at = 0; at < n;) {
			const struct dent *d = (const struct dent *)(buf + at);

			at += d->reclen;
			if (!is_child(d))
				continue;
			r = fn(fd, d->name, depth + 1);
			if (r < 0)
				return r;
			sum += r;
		}
	}
}

static int rmdir_branch(int dirfd, const char *name, int depth)
{
	lxm_auto(fd_close) int fd = -1;
	int r;

	if (unlinkat(dirfd, name, AT_REMOVEDIR) == 0 || errno == ENOENT)
		return 0;
	if (errno != EBUSY && errno != ENOTEMPTY)
		return -errno;
	if (depth >= MAX_DEPTH)
		return -ELOOP;
	fd = openat(dirfd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0)
		return errno == ENOENT ? 0 : -errno;
	r = each_child(fd, depth, rmdir_branch);
	if (r < 0)
		return r;
	return unlinkat(dirfd, name, AT_REMOVEDIR) < 0 && errno != ENOENT ? -errno : 0;
}

int cgroup_rmdir_at(int dirfd, const char *name)
{
	return rmdir_branch(dirfd, name, 0);
}

/* One pass over cgroup.procs of fd. Pids are read as text; 0 stands for one outside our pid namespace. */
static int kill_procs(int fd)
{
	lxm_auto(fd_close) int procs = openat(fd, "cgroup.procs", O_RDONLY | O_CLOEXEC);
	char buf[4096];
	size_t keep = 0;
	int seen = 0;
	ssize_t n;

	if (procs < 0)
		return errno == ENOENT ? 0 : -errno;
	while ((n = read(procs, buf + keep, sizeof(buf) - 1 - keep)) > 0) {
		char *p = buf, *end;

		buf[keep + (size_t)n] = 0;
		for (; (end = strchr(p, '\n')); p = end + 1) {
			long pid = strtol(p, NULL, 10);

			if (pid > 1 && kill((pid_t)pid, SIGKILL) == 0)
				seen++;
		}
		keep = strlen(p);
		memmove(buf, p, keep);
	}
	return n < 0 && errno != ENODEV ? -errno : seen;
}

static int kill_branch(int dirfd, const char *name, int depth)
{
	lxm_auto(fd_close) int fd = openat(dirfd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	int r, sum;

	if (fd < 0)
		return errno == ENOENT ? 0 : -errno;
	/* v2: the kernel does the whole branch at once, forks included */
	if (lxm_write_str_at(fd, "cgroup.kill", "1") == 0)
		return 1;
	sum = kill_procs(fd);
	if (sum < 0 || depth >= MAX_DEPTH)
		return sum;
	r = each_child(fd, depth, kill_branch);
	return r < 0 ? r : sum + r;
}

int cgroup_kill_at(int dirfd, const char *name)
{
	return kill_branch(dirfd, name, 0);
}
