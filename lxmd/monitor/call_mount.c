/*
 * mount(2) of a filesystem on a block device, for root of the container. Runs in a process of its own for one call, in the host's
 * mount namespace and as root of the host, but within the container's device rules: whatever block device the filesystem opens, by the
 * source, by an option or because its own superblock names it (an external journal, a second member), the kernel asks those rules.
 *
 * Names are resolved by a child that is the caller in every respect, its root, its ids and its rights, and come back as descriptors. The
 * filesystem is made detached, always nodev, and attached on the very directory that was looked up. Nothing is looked up twice.
 */
#include <fcntl.h>
#include <linux/capability.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "lib/base/fd.h"
#include "lib/base/sys.h"
#include "lib/mount/mountfd.h"
#include "lxmd/monitor/intercept.h"

#define MOUNT_DEADLINE_S 60 /* a journal may have to be replayed */

/* Flags of mount(2) that a caller may give, and what they become. */
static const struct {
	uint64_t flag;
	unsigned int attr;  /* of the mount */
	const char *option; /* of the filesystem */
} flags[] = {
	{ MS_RDONLY, MOUNT_ATTR_RDONLY, "ro" },
	{ MS_NOSUID, MOUNT_ATTR_NOSUID, NULL },
	{ MS_NODEV, MOUNT_ATTR_NODEV, NULL },
	{ MS_NOEXEC, MOUNT_ATTR_NOEXEC, NULL },
	{ MS_NOATIME, MOUNT_ATTR_NOATIME, NULL },
	{ MS_NODIRATIME, MOUNT_ATTR_NODIRATIME, NULL },
	{ MS_RELATIME, 0, NULL },
	{ MS_STRICTATIME, MOUNT_ATTR_STRICTATIME, NULL },
	{ MS_SYNCHRONOUS, 0, "sync" },
	{ MS_DIRSYNC, 0, "dirsync" },
	{ MS_LAZYTIME, 0, "lazytime" },
	{ MS_SILENT, 0, NULL },
};

bool call_listed(const char *list, const char *fstype, const char **value_out, size_t *len_out)
{
	size_t n = strlen(fstype), len;

	for (; *list; list += len + (list[len] == ',')) {
		len = strcspn(list, ",");
		if (len < n || strncmp(list, fstype, n) != 0 || (len > n && list[n] != '='))
			continue;
		*value_out = list + n + (len > n);
		*len_out = len - n - (len > n);
		return true;
	}
	return false;
}

/* Within which the kernel judges what this process opens: the container's. Returns 0 or -errno. */
static int take_device_rules(const struct call *c)
{
	struct plan_step p;
	size_t pos = 0;

	if (!plan_find(c->plan, PLAN_CGROUP_DEV, &p))
		return -EPERM;
	while (plan_next_of(c->plan, PLAN_CGROUP, &pos, &p))
		if (strcmp(p.u.cgroup.hier, "devices") == 0)
			return call_join(c, &p.u.cgroup);
	for (pos = 0; plan_next_of(c->plan, PLAN_CGROUP, &pos, &p);)
		if (p.u.cgroup.flags & PLAN_CG_V2)
			return call_join(c, &p.u.cgroup);
	return -EPERM;
}

/* ---- the child that looks up */

/* The caller's view, ids and rights, and nothing of ours. */
static int be_the_caller(const struct call *c)
{
	lxm_auto(fd_close) int userns = openat(c->proc, "ns/user", O_RDONLY | O_CLOEXEC);
	int r = userns < 0 ? -ESRCH : call_become(c, AT_FDCWD, 1ull << CAP_SYS_ADMIN);

	if (r < 0)
		return r;
	if (setns(userns, CLONE_NEWUSER) < 0)
		return -errno;
	return call_keep_caps(c->caps);
}

/* found: the block device and the directory. Permission to use the device is shown by opening it. */
static int look_up(const struct call *c, const struct call_mount_args *a, int found[2])
{
	lxm_auto(fd_close) int fds = open("/proc/self/fd", O_PATH | O_DIRECTORY | O_CLOEXEC), probe = -1;
	int r = fds < 0 ? -errno : be_the_caller(c);
	struct stat st;
	char name[16];

	if (r < 0)
		return r;
	found[0] = open(a->source, O_PATH | O_CLOEXEC);
	if (found[0] < 0 || fstat(found[0], &st) < 0)
		return -errno;
	if (!S_ISBLK(st.st_mode))
		return -ENOTBLK;
	snprintf(name, sizeof(name), "%d", found[0]);
	probe = openat(fds, name, (a->flags & MS_RDONLY ? O_RDONLY : O_RDWR) | O_NONBLOCK | O_CLOEXEC);
	if (probe < 0)
		return -errno;
	found[1] = open(a->target, O_PATH | O_DIRECTORY | O_CLOEXEC);
	return found[1] < 0 ? -errno : 0;
}

static void lookup_child(const struct call *c, const struct call_mount_args *a, int sock) __attribute__((noreturn));
static void lookup_child(const struct call *c, const struct call_mount_args *a, int sock)
{
	int found[2] = { -1, -1 }, r;

	/* a path may lead through a filesystem that never answers */
	(void)alarm(MOUNT_DEADLINE_S);
	r = look_up(c, a, found);
	(void)lxm_send_fds(sock, &r, sizeof(r), found, r < 0 ? 0 : 2, 0);
	_exit(0);
}

static int find(const struct call *c, const struct call_mount_args *a, int found[2])
{
	int pair[2], r = -ESRCH, status;
	size_t nfds = 2;
	pid_t pid;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return -errno;
	pid = fork();
	if (pid == 0)
		lookup_child(c, a, pair[1]);
	(void)close(pair[1]);
	if (pid < 0)
		r = -errno;
	else if (lxm_recv_fds(pair[0], &r, sizeof(r), found, &nfds, 0) != (ssize_t)sizeof(r) || (r == 0 && nfds != 2))
		r = -ESRCH;
	(void)close(pair[0]);
	while (pid > 0 && waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	return r;
}

/* ---- the mount */

/*
 * The filesystem's own options go through as they are, but none that names a path (it would be the host's) or a source, or that has a
 * damaged filesystem take the host down. What we say comes last, so that no option takes it back.
 */
static int options_of(const struct call_mount_args *a, char *text, size_t size)
{
	size_t i, n = strlen(a->data);

	if (strchr(a->data, '/') || strstr(a->data, "source=") || strstr(a->data, "panic") || n + 64 > size)
		return -EINVAL;
	for (i = 0; i < n; i++)
		if ((unsigned char)a->data[i] < ' ')
			return -EINVAL;
	memcpy(text, a->data, n + 1);
	for (i = 0; i < LXM_ARRAY_LEN(flags); i++)
		if (a->flags & flags[i].flag && flags[i].option)
			n += (size_t)snprintf(text + n, size - n, ",%s", flags[i].option);
	/* their superblock can ask for a panic too */
	if (strncmp(a->fstype, "ext", 3) == 0)
		(void)snprintf(text + n, size - n, ",errors=remount-ro");
	return 0;
}

static unsigned int attrs_of(const struct call_mount_args *a, bool shift)
{
	unsigned int attrs = MOUNT_ATTR_NODEV | (shift ? 0 : MOUNT_ATTR_NOSUID);
	size_t i;

	for (i = 0; i < LXM_ARRAY_LEN(flags); i++)
		if (a->flags & flags[i].flag)
			attrs |= flags[i].attr;
	/* two of these make no value of the field; as in the kernel the strict one counts */
	return attrs & MOUNT_ATTR_STRICTATIME ? attrs & ~(unsigned int)MOUNT_ATTR_NOATIME : attrs;
}

static int shift_ids(const struct call *c, int mount)
{
	lxm_auto(fd_close) int userns = openat(c->proc, "ns/user", O_RDONLY | O_CLOEXEC);
	struct mount_attr a = { .attr_set = MOUNT_ATTR_IDMAP, .userns_fd = (uint64_t)userns };

	if (userns < 0 || !call_valid(c))
		return -ESRCH;
	return mount_setattr(mount, "", AT_EMPTY_PATH, &a, sizeof(a)) < 0 ? -errno : 0;
}

static int mount_it(const struct call *c, const struct call_mount_args *a, const int found[2])
{
	lxm_auto(fd_close) int ns = openat(c->proc, "ns/mnt", O_RDONLY | O_CLOEXEC), fd = -1;
	bool shift = c->want->mounts.shift;
	char options[MOUNT_TEXT_MAX], source[32];
	struct lxm_err e = { 0 };
	int r = options_of(a, options, sizeof(options));

	if (r < 0)
		return r;
	snprintf(source, sizeof(source), "/proc/self/fd/%d", found[0]);
	fd = mountfd_new_text(a->fstype, source, options, attrs_of(a, shift), &e);
	if (fd < 0)
		return fd;
	r = shift ? shift_ids(c, fd) : 0;
	if (r < 0)
		return r;
	/* from here on our names are the container's: none is used any more */
	if (ns < 0 || !call_valid(c))
		return -ESRCH;
	if (setns(ns, CLONE_NEWNS) < 0)
		return -errno;
	return mountfd_attach(fd, found[1], &e);
}

/* One filesystem by name and flags that could be ours; else it is the kernel's to judge. Returns 0, 1 for that, or -errno. */
static int take_args(const struct call *c, struct call_mount_args *a)
{
	uint64_t known = 0;
	size_t i;
	int r;

	a->flags = c->arg[3];
	if (!call_has(c, CAP_SYS_ADMIN) || call_string(c, c->arg[2], a->fstype, sizeof(a->fstype)) <= 0)
		return 1;
	a->fuse = call_listed(c->want->mounts.fuse, a->fstype, &a->program, &a->program_len);
	if (!a->fuse && !call_listed(c->want->mounts.allowed, a->fstype, &a->program, &a->program_len))
		return 1;
	for (i = 0; i < LXM_ARRAY_LEN(flags); i++)
		known |= flags[i].flag;
	if (a->flags & ~known)
		return -EINVAL;
	r = call_string(c, c->arg[0], a->source, sizeof(a->source));
	if (r > 0)
		r = call_string(c, c->arg[1], a->target, sizeof(a->target));
	if (r > 0 && c->arg[4])
		r = call_string(c, c->arg[4], a->data, sizeof(a->data)) < 0 ? -EINVAL : 1;
	if (r <= 0)
		return r < 0 ? r : -ENOENT;
	return call_valid(c) ? 0 : -ESRCH;
}

int64_t call_mount(struct call *c)
{
	static struct call_mount_args a;
	lxm_auto(fd_close) int source = -1, target = -1;
	int found[2] = { -1, -1 }, r = take_args(c, &a);

	if (r)
		return r > 0 ? CALL_CONTINUE : r;
	(void)alarm(MOUNT_DEADLINE_S);
	if (a.fuse)
		return call_mount_fuse(c, &a);
	r = take_device_rules(c);
	if (r == 0)
		r = find(c, &a, found);
	source = found[0];
	target = found[1];
	return r < 0 ? r : mount_it(c, &a, found);
}
