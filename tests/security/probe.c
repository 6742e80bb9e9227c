/*
 * What root inside an instance tries that no shell can: compiled by tests/security/probe.py, static, run inside. Prints one
 * line "NAME RESULT" for each try; RESULT is "ok" or the error's number.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/fuse.h>
#include <linux/keyctl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/ptrace.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysinfo.h>
#include <sys/sysmacros.h>
#include <sys/uio.h>
#include <sys/xattr.h>
#include <unistd.h>

static char room[4096];

static void say(const char *name, long r)
{
	if (r < 0)
		printf("%s %d\n", name, errno ? errno : EDOM); /* EDOM: not a call that failed, but a wrong value */
	else
		printf("%s ok\n", name);
	errno = 0;
}

#ifdef __x86_64__
/* The same kernel by its 32-bit door. */
static long compat(long n, long a, long b, long c)
{
	long r;

	__asm__ volatile("int $0x80" : "=a"(r) : "a"(n), "b"(a), "c"(b), "d"(c), "S"(0), "D"(0) : "memory", "r8", "r9", "r10", "r11");
	errno = r < 0 ? (int)-r : 0;
	return r;
}
#endif

static void calls(void)
{
	say("open_by_handle_at", syscall(SYS_open_by_handle_at, AT_FDCWD, room, O_RDONLY));
	say("kexec_load", syscall(SYS_kexec_load, 0, 0, NULL, 0));
	say("init_module", syscall(SYS_init_module, room, 0, ""));
	say("finit_module", syscall(SYS_finit_module, 0, "", 0));
	say("swapon", syscall(SYS_swapon, "/", 0));
	say("acct", syscall(SYS_acct, "/root/acct"));
	say("syslog", syscall(SYS_syslog, 3, room, 100));
	say("bpf", syscall(SYS_bpf, 5, room, 48));
#ifdef __x86_64__
	say("compat_open_by_handle_at", compat(342, -100, 0, 0));
	say("compat_init_module", compat(128, 0, 0, 0));
	say("compat_kexec_load", compat(283, 0, 0, 0));
	say("x32_open_by_handle_at", syscall(0x40000000 | 304, AT_FDCWD, room, 0));
#endif
}

static void mounts(void)
{
	static const char *const types[] = { "debugfs", "tracefs", "securityfs", "devtmpfs", "configfs", "efivarfs", "pstore", "ext4" };
	size_t i;

	for (i = 0; i < sizeof(types) / sizeof(*types); i++)
		say(types[i], mount("/dev/vda", "/mnt", types[i], 0, NULL));
	say("new_hierarchy", mount("x", "/mnt", "cgroup", 0, "none,name=evil"));
	say("block_node", mknod("/root/disk", S_IFBLK | 0600, makedev(254, 0)));
	say("mem_node", mknod("/dev/mem", S_IFCHR | 0600, makedev(1, 1)));
}

/* A key of lxmd in the keyrings that this process possesses. */
static void keyring(void)
{
	say("search", syscall(SYS_keyctl, KEYCTL_SEARCH, KEY_SPEC_SESSION_KEYRING, "user", "lxm-secret", 0));
	say("request", syscall(SYS_request_key, "user", "lxm-secret", NULL, 0));
}

/* Takes all keys that the quota of this user allows. */
static void fill(void)
{
	char name[32];
	long r = 0;
	int i;

	for (i = 0; i < 5000 && r >= 0; i++) {
		snprintf(name, sizeof(name), "fill%d", i);
		r = syscall(SYS_add_key, "user", name, room, 64, KEY_SPEC_USER_KEYRING);
	}
	say("fill", r);
}

static void terminal(void)
{
	say("sti", ioctl(0, TIOCSTI, "x"));
	say("sti_tty", ioctl(open("/dev/tty", O_RDWR), TIOCSTI, "x"));
}

/* What security.syscalls.intercept.* answers, and what it must not. */
static void intercept(void)
{
	const struct sched_param rt = { .sched_priority = 5 }, normal = { 0 };
	struct sysinfo si;
	int dir;

	(void)mkdir("/root/opaque", 0755);
	dir = open("/root/opaque", O_RDONLY | O_DIRECTORY);
	say("null", mknod("/root/i-null", S_IFCHR | 0666, makedev(1, 3)));
	say("null_at", mknodat(dir, "at", S_IFCHR | 0600, makedev(1, 3)));
	say("null_again", mknod("/root/i-null", S_IFCHR | 0666, makedev(1, 3)));
	say("null_nowhere", mknod("/nowhere/null", S_IFCHR | 0666, makedev(1, 3)));
	say("null_bad_path", syscall(SYS_mknodat, AT_FDCWD, (void *)8, S_IFCHR, makedev(1, 3)));
	say("null_bad_dir", mknodat(999, "x", S_IFCHR, makedev(1, 3)));
	say("mem", mknod("/root/i-mem", S_IFCHR | 0666, makedev(1, 1)));
	say("disk", mknod("/root/i-disk", S_IFBLK | 0666, makedev(8, 0)));
	say("fifo", mknod("/root/i-fifo", S_IFIFO | 0666, 0));
	say("null_in_sys", mknod("/proc/self/null", S_IFCHR | 0666, makedev(1, 3)));
	say("trusted_other", setxattr("/root/opaque", "trusted.other", "y", 1, 0));
	say("trusted_value", setxattr("/root/opaque", "trusted.overlay.opaque", "x", 1, 0));
	say("trusted_proc", setxattr("/proc", "trusted.overlay.opaque", "y", 1, 0));
	/* a tmpfs of the container's own making has such attributes, its overlay root keeps them for itself */
	(void)mkdir("/root/tmpfs", 0755);
	say("tmpfs", mount("t", "/root/tmpfs", "tmpfs", 0, NULL));
	say("opaque_tmpfs", setxattr("/root/tmpfs", "trusted.overlay.opaque", "y", 1, 0));
	say("opaque_fd", fsetxattr(open("/root/tmpfs", O_RDONLY | O_DIRECTORY), "trusted.overlay.opaque", "y", 1, XATTR_REPLACE));
	say("user", setxattr("/root/tmpfs", "user.x", "y", 1, 0) < 0 && errno != EOPNOTSUPP ? -1 : 0);
	say("realtime", syscall(SYS_sched_setscheduler, 0, SCHED_FIFO, &rt));
	say("is_realtime", sched_getscheduler(0) == SCHED_FIFO ? 0 : -1);
	/* everybody may become idle, coming back takes a right */
	say("idle", syscall(SYS_sched_setscheduler, 0, SCHED_IDLE, &normal));
	say("leave_idle", syscall(SYS_sched_setscheduler, 0, SCHED_OTHER, &normal));
	say("init", syscall(SYS_sched_setscheduler, 1, SCHED_OTHER, &normal));
	say("nobody", syscall(SYS_sched_setscheduler, 4000000, SCHED_FIFO, &rt));
	(void)syscall(SYS_sched_setscheduler, 0, SCHED_OTHER, &normal);
	say("sysinfo", sysinfo(&si));
	say("sysinfo_limit", (unsigned long long)si.totalram * si.mem_unit == 48ull << 20 ? 0 : -1);
	say("sysinfo_bad", syscall(SYS_sysinfo, (void *)8));
	if (unshare(CLONE_NEWUSER) == 0)
		say("null_in_own_userns", mknod("/root/i-userns", S_IFCHR | 0666, makedev(1, 3)));
}

/* probe mount SOURCE TARGET FSTYPE FLAGS DATA */
static void one_mount(char **v)
{
	say("mount", mount(v[0], v[1], v[2], strtoul(v[3], NULL, 0), *v[4] ? v[4] : NULL));
}

/* A filesystem of ours on /root/stuck that answers nothing but its first request: whoever looks into it stands still. */
static int stuck_mount(void)
{
	struct fuse_init_out out = { .major = FUSE_KERNEL_VERSION, .minor = FUSE_KERNEL_MINOR_VERSION, .max_write = 4096 };
	struct fuse_out_header head = { .len = sizeof(head) + sizeof(out) };
	const struct iovec v[] = { { &head, sizeof(head) }, { &out, sizeof(out) } };
	char options[64], request[FUSE_MIN_READ_BUFFER];
	int fd = open("/dev/fuse", O_RDWR);

	(void)mkdir("/root/stuck", 0755);
	snprintf(options, sizeof(options), "fd=%d,rootmode=40000,user_id=0,group_id=0", fd);
	if (mount("stuck", "/root/stuck", "fuse", 0, options) < 0 || read(fd, request, sizeof(request)) < (ssize_t)sizeof(struct fuse_in_header))
		return -1;
	head.unique = ((struct fuse_in_header *)request)->unique;
	return writev(fd, v, 2) < 0 ? -1 : fd;
}

static int open_of(int pid, const char *name, int flags)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/%s", pid, name);
	return open(path, flags);
}

static long link_of(int pid, const char *name)
{
	char path[64], to[256];

	snprintf(path, sizeof(path), "/proc/%d/%s", pid, name);
	return readlink(path, to, sizeof(to));
}

/* Who stands still in /root/stuck is held in front of its execve for as long as we like: what of it is within reach? */
static void window(void)
{
	char request[FUSE_MIN_READ_BUFFER] = "", comm[16] = "";
	struct iovec here = { request, 8 }, there = { (void *)0x400000, 8 };
	int fd = stuck_mount(), pid, self;

	say("stuck", fd);
	say("ready", open("/root/ready", O_WRONLY | O_CREAT, 0600));
	if (fd < 0 || read(fd, request, sizeof(request)) < 0)
		return;
	pid = (int)((struct fuse_in_header *)request)->pid;
	(void)!read(open_of(pid, "comm", O_RDONLY), comm, sizeof(comm) - 1);
	say("is_the_helper", strncmp(comm, "lxm-helper", 10) == 0 ? 0 : -1);
	say("exe", link_of(pid, "exe"));
	say("cwd", link_of(pid, "cwd"));
	say("root", link_of(pid, "root"));
	say("fd", open_of(pid, "fd/0", O_RDONLY));
	say("fd_dir", open_of(pid, "fd", O_RDONLY | O_DIRECTORY));
	say("map_files", open_of(pid, "map_files", O_RDONLY | O_DIRECTORY));
	say("environ", open_of(pid, "environ", O_RDONLY));
	say("maps", open_of(pid, "maps", O_RDONLY));
	say("auxv", open_of(pid, "auxv", O_RDONLY));
	say("mem_read", open_of(pid, "mem", O_RDONLY));
	say("mem_write", open_of(pid, "mem", O_RDWR));
	say("vm_read", process_vm_readv(pid, &here, 1, &there, 1, 0));
	say("vm_write", process_vm_writev(pid, &here, 1, &there, 1, 0));
	say("seize", ptrace(PTRACE_SEIZE, pid, 0, 0));
	say("attach", ptrace(PTRACE_ATTACH, pid, 0, 0));
	self = (int)syscall(SYS_pidfd_open, pid, 0);
	say("pidfd", self);
	say("getfd", syscall(SYS_pidfd_getfd, self, 0, 0));
	say("setns", setns(self, CLONE_NEWNS));
}

int main(int argc, char **argv)
{
	if (argc < 2)
		return 2;
	if (strcmp(argv[1], "calls") == 0)
		calls();
	else if (strcmp(argv[1], "mounts") == 0)
		mounts();
	else if (strcmp(argv[1], "keyring") == 0)
		keyring();
	else if (strcmp(argv[1], "fill") == 0)
		fill();
	else if (strcmp(argv[1], "intercept") == 0)
		intercept();
	else if (strcmp(argv[1], "mount") == 0 && argc == 7)
		one_mount(argv + 2);
	else if (strcmp(argv[1], "window") == 0)
		window();
	else if (strcmp(argv[1], "terminal") == 0)
		terminal();
	return 0;
}
