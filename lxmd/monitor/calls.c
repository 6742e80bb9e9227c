/*
 * The intercepted system calls, one function each. Runs in a process of its own for one call, as root of the host until
 * call_become(). Each copies the caller's arguments once, makes sure that the caller still waits, checks that root of the
 * container asks and that it asks for something harmless, and does it with the caller's view of files, the caller's ids and
 * the one capability that it takes. Anything else is CALL_CONTINUE: the kernel judges it as if we were not there.
 */
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/fsuid.h>
#include <sys/stat.h>
#include <sys/sysinfo.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <sys/xattr.h>

#include "lib/base/fd.h"
#include "lib/base/str.h"
#include "lib/base/sys.h"
#include "lxmd/monitor/intercept.h"

int call_read(const struct call *c, uint64_t addr, void *to, size_t n)
{
	return pread(c->mem, to, n, (off_t)addr) == (ssize_t)n ? 0 : -EFAULT;
}

int call_write(const struct call *c, uint64_t addr, const void *from, size_t n)
{
	return pwrite(c->mem, from, n, (off_t)addr) == (ssize_t)n ? 0 : -EFAULT;
}

int call_string(const struct call *c, uint64_t addr, char *buf, size_t size)
{
	size_t n = 0;

	while (n < size) {
		/* up to the end of a page: the next one may not be there */
		size_t want = 4096 - ((addr + n) & 4095), i;

		if (want > size - n)
			want = size - n;
		if (call_read(c, addr + n, buf + n, want) < 0)
			return -EFAULT;
		for (i = 0; i < want; i++)
			if (!buf[n + i])
				return (int)(n + i);
		n += want;
	}
	return -ENAMETOOLONG;
}

int call_keep_caps(uint64_t keep)
{
	struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[2] = {
		{ .effective = (uint32_t)keep, .permitted = (uint32_t)keep },
		{ .effective = (uint32_t)(keep >> 32), .permitted = (uint32_t)(keep >> 32) },
	};

	return syscall(SYS_capset, &head, data) < 0 ? -errno : 0;
}

int call_become(const struct call *c, int dirfd, uint64_t keep)
{
	lxm_auto(fd_close) int mnt = openat(c->proc, "ns/mnt", O_RDONLY | O_CLOEXEC);
	lxm_auto(fd_close) int root = openat(c->proc, "root", O_PATH | O_DIRECTORY | O_CLOEXEC);
	lxm_auto(fd_close) int dir = -1;
	char name[32];

	snprintf(name, sizeof(name), "fd/%d", dirfd);
	dir = openat(c->proc, dirfd == AT_FDCWD ? "cwd" : name, O_PATH | O_CLOEXEC | (dirfd == AT_FDCWD ? O_DIRECTORY : 0));
	if (mnt < 0 || root < 0 || !call_valid(c))
		return -ESRCH;
	if (dir < 0)
		return -EBADF;
	if (setns(mnt, CLONE_NEWNS) < 0 || fchdir(root) < 0 || chroot(".") < 0)
		return -errno;
	if (fchdir(dir) < 0)
		return -errno;
	(void)umask(c->umask);
	/* without SECBIT_NO_SETUID_FIXUP (main.c) capabilities would go as well; they go by name below */
	if (setgroups(0, NULL) < 0)
		return -errno;
	(void)setfsgid(c->fsgid);
	(void)setfsuid(c->fsuid);
	if (setfsuid((uid_t)-1) != (int)c->fsuid || setfsgid((gid_t)-1) != (int)c->fsgid)
		return -EPERM;
	return call_keep_caps(keep);
}

/* The caller's cgroup of the unified hierarchy, below the mount point and within `top`. */
static int cgroup_of_caller(const struct call *c, const char *top, char *out, size_t size)
{
	lxm_auto(fd_close) int fd = openat(c->proc, "cgroup", O_RDONLY | O_CLOEXEC);
	char text[8192], *line, *end;
	ssize_t n = fd < 0 ? -1 : lxm_read_full(fd, text, sizeof(text) - 1);
	size_t len = strlen(top);

	if (n <= 0)
		return -ESRCH;
	text[n] = 0;
	for (line = text; (end = strchr(line, '\n')); line = end + 1) {
		*end = 0;
		if (strncmp(line, "0::/", 4) != 0)
			continue;
		line += 4;
		if (strncmp(line, top, len) != 0 || (line[len] && line[len] != '/') ||
		    strstr(line, "/../"))
			return -EPERM;
		return snprintf(out, size, "%s", line) < (int)size ? 0 : -ENAMETOOLONG;
	}
	return -ESRCH;
}

int call_join(const struct call *c, const struct plan_cgroup *cg)
{
	lxm_auto(fd_close) int mount = open(cg->mount, O_PATH | O_DIRECTORY | O_CLOEXEC);
	char path[4096 + 16];
	int r = 0;

	if (mount < 0)
		return -errno;
	if (cg->flags & PLAN_CG_V2)
		r = cgroup_of_caller(c, cg->path, path, 4096);
	else
		snprintf(path, sizeof(path), "%s", cg->path);
	if (r < 0)
		return r;
	strcat(path, "/cgroup.procs");
	return lxm_write_str_at(mount, path, "0");
}

/* ---- mknod */

/* As LXD has them: nodes that every container has anyway, and the whiteout of overlay filesystems. */
static bool harmless(mode_t mode, unsigned int dev)
{
	static const struct {
		unsigned int major, minor;
	} known[] = { { 0, 0 }, { 1, 3 }, { 1, 5 }, { 1, 7 }, { 1, 8 }, { 1, 9 }, { 5, 0 }, { 5, 1 } };
	size_t i;

	for (i = 0; S_ISCHR(mode) && i < LXM_ARRAY_LEN(known); i++)
		if (known[i].major == major(dev) && known[i].minor == minor(dev))
			return true;
	return false;
}

int64_t call_mknod(struct call *c)
{
	const uint64_t *a = c->arg;
	int dirfd = AT_FDCWD, n, r;
	char path[4096];
	mode_t mode;
	unsigned int dev;

	if (c->nr == SYS_mknodat)
		dirfd = (int)*a++;
	mode = (mode_t)a[1];
	dev = (unsigned int)a[2];
	if (!call_has(c, CAP_MKNOD) || !harmless(mode, dev))
		return CALL_CONTINUE;
	n = call_string(c, a[0], path, sizeof(path));
	if (n <= 0)
		return n < 0 ? n : -ENOENT;
	/* a path of its own does not need the descriptor */
	r = call_become(c, path[0] == '/' ? AT_FDCWD : dirfd, 1ull << CAP_MKNOD);
	if (r < 0)
		return r;
	return mknod(path, mode, makedev(major(dev), minor(dev))) < 0 ? -errno : 0;
}

/* ---- setxattr */

static bool is_ours(const struct call *c, uid_t uid)
{
	struct plan_step p;
	size_t pos = 0;

	while (plan_next_of(c->plan, PLAN_IDMAP, &pos, &p))
		if (p.u.idmap.which & PLAN_MAP_UID && uid >= p.u.idmap.host && uid - p.u.idmap.host < p.u.idmap.count)
			return true;
	return false;
}

/*
 * "trusted." is a matter of the host's CAP_SYS_ADMIN, and the kernel then looks at nothing else. So the directory is opened as the
 * caller first, and must belong to the container.
 */
int64_t call_setxattr(struct call *c)
{
	static const char opaque[] = "trusted.overlay.opaque";
	lxm_auto(fd_close) int fd = -1;
	char path[4096] = "", name[sizeof(opaque) + 1], value;
	bool by_fd = c->nr == SYS_fsetxattr;
	struct stat st;
	int r;

	if (!call_has(c, CAP_SYS_ADMIN) || c->arg[3] != 1 || call_string(c, c->arg[1], name, sizeof(name)) < 0 || strcmp(name, opaque) != 0)
		return CALL_CONTINUE;
	r = call_read(c, c->arg[2], &value, 1);
	if (r == 0 && !by_fd)
		r = call_string(c, c->arg[0], path, sizeof(path));
	if (r < 0 || value != 'y')
		return r < 0 ? r : CALL_CONTINUE;
	r = call_become(c, by_fd ? (int)c->arg[0] : AT_FDCWD, 1ull << CAP_SYS_ADMIN);
	if (r < 0)
		return r;
	fd = open(by_fd ? "." : path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | (c->nr == SYS_lsetxattr ? O_NOFOLLOW : 0));
	if (fd < 0 || fstat(fd, &st) < 0)
		return -errno;
	if (!is_ours(c, st.st_uid))
		return -EPERM;
	return fsetxattr(fd, opaque, &value, 1, (int)c->arg[4]) < 0 ? -errno : 0;
}

/* ---- sysinfo */

/* One number of a file of the container's cgroup; UINT64_MAX: no such file, or "max". */
static uint64_t cgroup_number(const struct call *c, const char *v1_hier, const char *v1_file, const char *v2_file)
{
	struct plan_step p;
	size_t pos = 0;

	while (plan_next_of(c->plan, PLAN_CGROUP, &pos, &p)) {
		bool v2 = p.u.cgroup.flags & PLAN_CG_V2;
		lxm_auto(fd_close) int fd = -1;
		char path[700], text[32];
		uint64_t value;
		ssize_t n;

		if (!v2 && strcmp(p.u.cgroup.hier, v1_hier) != 0)
			continue;
		snprintf(path, sizeof(path), "%s/%s/%s", p.u.cgroup.mount, p.u.cgroup.path, v2 ? v2_file : v1_file);
		fd = open(path, O_RDONLY | O_CLOEXEC);
		n = fd < 0 ? -1 : lxm_read_full(fd, text, sizeof(text) - 1);
		if (n <= 0)
			continue;
		text[n] = 0;
		text[strcspn(text, "\n")] = 0;
		if (lxm_parse_u64(text, &value) == 0)
			return value;
	}
	return UINT64_MAX;
}

static uint64_t less(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

int64_t call_sysinfo(struct call *c)
{
	uint64_t limit = cgroup_number(c, "memory", "memory.limit_in_bytes", "memory.max");
	uint64_t used = cgroup_number(c, "memory", "memory.usage_in_bytes", "memory.current");
	uint64_t swap = cgroup_number(c, "memory", "memory.memsw.limit_in_bytes", "memory.swap.max");
	uint64_t procs = cgroup_number(c, "pids", "pids.current", "pids.current");
	struct sysinfo si;
	uint64_t unit, total;
	int r;

	if (sysinfo(&si) < 0)
		return -errno;
	unit = si.mem_unit ? si.mem_unit : 1;
	total = (uint64_t)si.totalram * unit;
	if (limit < total && used != UINT64_MAX) {
		si.totalram = limit / unit;
		si.freeram = less((limit - less(used, limit)) / unit, si.freeram);
		si.sharedram = less(si.sharedram, si.totalram);
		si.bufferram = less(si.bufferram, si.totalram);
	}
	if (swap < UINT64_MAX) {
		si.totalswap = less(si.totalswap, swap / unit);
		si.freeswap = less(si.freeswap, si.totalswap);
	}
	if (procs < UINT64_MAX)
		si.procs = (unsigned short)less(procs, UINT16_MAX);
	r = call_valid(c) ? call_write(c, c->arg[0], &si, sizeof(si)) : -ESRCH;
	return r;
}

/* ---- sched_setscheduler */

/* In the container's pid namespace: numbers are those that the caller knows, and nothing of the host has one. */
static int set_inside(pid_t pid, int policy, const struct sched_param *param)
{
	int status;
	pid_t child = fork();

	if (child == 0) {
		if (call_keep_caps(1ull << CAP_SYS_NICE) < 0)
			_exit(EPERM);
		_exit(sched_setscheduler(pid, policy, param) < 0 ? errno : 0);
	}
	if (child < 0 || waitpid(child, &status, 0) < 0)
		return -errno;
	return WIFEXITED(status) ? -WEXITSTATUS(status) : -EINTR;
}

int64_t call_setscheduler(struct call *c)
{
	lxm_auto(fd_close) int ns = openat(c->proc, "ns/pid", O_RDONLY | O_CLOEXEC);
	pid_t pid = (pid_t)c->arg[0];
	struct sched_param param;
	int r;

	if (!call_has(c, CAP_SYS_NICE) || (pid_t)pid < 0)
		return CALL_CONTINUE;
	r = call_read(c, c->arg[2], &param, sizeof(param));
	if (r < 0)
		return r;
	if (ns < 0 || !call_valid(c) || setns(ns, CLONE_NEWPID) < 0)
		return -ESRCH;
	return set_inside(pid ? pid : c->pid_inside, (int)c->arg[1], &param);
}
