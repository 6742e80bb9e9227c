/* For root-only tests of the runtime: a busybox root filesystem, a plan for it, one instance, looking for leftovers. */
#ifndef LXM_TESTS_BOOT_H
#define LXM_TESTS_BOOT_H

#include <fcntl.h>
#include <net/if.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/base/alloc.h"
#include "lib/base/fd.h"
#include "lib/base/str.h"
#include "lib/base/time.h"
#include "lib/wire/cgroup.h"
#include "lib/wire/monitor.h"
#include "lib/wire/plan.h"
#include "lxmd/spawn/spawn.h"
#include "tests/unit/scratch.h"

#define BOOT_BASE   1500000u

/* One instance under test. Fill the lower part before boot_start(). */
struct boot {
	struct cgroup_layout layout;
	struct spawner *spawner;
	char dir[64]; /* holds image/, inst/{upper,work}, run/ */
	char id[32];
	char cgroup[80];
	int rundir, sock, pidfd;
	struct mon_hello hello;

	uint32_t options;
	const char *init;   /* NULL: /sbin/init */
	const char *image;  /* NULL: the busybox image in dir */
	const char *veth;   /* host end, NULL: no NIC */
	const char *bridge; /* "" or NULL: none */
	struct wire_bytes seccomp;
	bool bind; /* root by bind mount instead of overlay */
	int (*more)(struct plan *p, struct lxm_err *e);
};

/* The cgroup above those of the instances, and the host end of a NIC: this process's own, because tests run side by side. */
static inline const char *boot_parent(void)
{
	static char name[32];

	snprintf(name, sizeof(name), "lxm.test.%d", (int)getpid());
	return name;
}

static inline const char *boot_veth(void)
{
	static char name[IFNAMSIZ];

	snprintf(name, sizeof(name), "veth%08x", (unsigned int)getpid());
	return name;
}

static inline bool boot_possible(void)
{
	struct cgroup_layout layout;

	return getuid() == 0 && access("/bin/busybox", X_OK) == 0 && cgroup_layout_read(&layout, NULL) == 0;
}

static inline int boot_run(const char *const *argv, struct lxm_err *e)
{
	struct spawn_spec s = { .path = argv[0], .argv = argv };

	return spawn_run(&s, NULL, NULL, 1 << 16, 60000, e);
}

/* A root filesystem of busybox: its init, with what busybox templates have in their inittab. */
static inline int boot_image(const char *dir, struct lxm_err *e)
{
	static const char inittab[] = "::sysinit:/bin/true\n::shutdown:/bin/true\n::ctrlaltdel:/bin/reboot\nconsole::respawn:/bin/sh\n";
	static const char *const dirs[] = { "bin", "sbin", "etc", "dev", "proc", "sys", "root", "tmp" };
	static const char *const names[] = { "bin/sh", "bin/true", "bin/cat", "bin/reboot", "bin/poweroff", "bin/id", "bin/stty", "bin/tty",
					     "bin/sleep", "bin/touch", "bin/ls", "bin/ip", "bin/mknod", "bin/mount", "sbin/init" };
	lxm_auto(free) char *bb = lxm_asprintf("%s/bin/busybox", dir);
	const char *const cp[] = { "cp", "/bin/busybox", bb, NULL };
	lxm_auto(fd_close) int fd = -1;
	size_t i;

	(void)lxm_mkdir_p(dir, 0755);
	fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return lxm_err_sys(e, "open '%s'", dir);
	for (i = 0; i < LXM_ARRAY_LEN(dirs); i++)
		(void)mkdirat(fd, dirs[i], 0755);
	if (boot_run(cp, e) != 0)
		return -EIO;
	for (i = 0; i < LXM_ARRAY_LEN(names); i++)
		if (symlinkat("/bin/busybox", fd, names[i]) < 0)
			return lxm_err_sys(e, "link '%s'", names[i]);
	return lxm_write_file_atomic(fd, "etc/inittab", inittab, sizeof(inittab) - 1, 0644);
}

/* Directory of the programs: beside the unit tests' own directory. */
static inline void boot_bin_dir(char out[4096])
{
	ssize_t n = readlink("/proc/self/exe", out, 4000);
	int i;

	out[n > 0 ? n : 0] = 0;
	for (i = 0; i < 2; i++)
		*strrchr(out, '/') = 0;
	strcat(out, "/bin");
}

static inline int boot_setup(struct boot *b, const char *name, struct lxm_err *e)
{
	char bin[4096], path[256];
	static const char *const dirs[] = { "inst/upper", "inst/work", "run" };
	size_t i;
	int r;

	memset(b, 0, sizeof(*b));
	b->rundir = b->sock = b->pidfd = -1;
	b->hello = MON_HELLO_EMPTY;
	snprintf(b->dir, sizeof(b->dir), "%s/lxm-test.%d.%s", scratch_top(), (int)getpid(), name);
	snprintf(b->id, sizeof(b->id), "%d.%s", (int)getpid(), name);
	snprintf(b->cgroup, sizeof(b->cgroup), "%s/%s", boot_parent(), b->id);
	for (i = 0; i < LXM_ARRAY_LEN(dirs); i++) {
		snprintf(path, sizeof(path), "%s/%s", b->dir, dirs[i]);
		(void)lxm_mkdir_p(path, 0755);
	}
	b->rundir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	snprintf(path, sizeof(path), "%s/image", b->dir);
	r = boot_image(path, e);
	if (r == 0)
		r = cgroup_layout_read(&b->layout, e);
	if (r == 0)
		r = cgroup_parent_make(&b->layout, boot_parent(), e);
	boot_bin_dir(bin);
	return r == 0 ? spawner_new(bin, &b->spawner, e) : r;
}

#define BOOT_ADD(k, member, ...) r = r ? r : plan_add(p, &(struct plan_step){ .kind = k, .u.member = __VA_ARGS__ }, e)

static inline int boot_steps(struct boot *b, struct plan *p, struct lxm_err *e)
{
	bool priv = b->options & PLAN_PRIVILEGED;
	char image[128], inst[128];
	int r = 0;

	snprintf(image, sizeof(image), "%s/image", b->dir);
	snprintf(inst, sizeof(inst), "%s/inst", b->dir);
	BOOT_ADD(PLAN_IDENTITY, identity, { b->id, "test/instance", "boxed" });
	BOOT_ADD(PLAN_OPTIONS, options, { b->options, 0, 0 });
	if (!priv)
		BOOT_ADD(PLAN_IDMAP, idmap, { PLAN_MAP_UID | PLAN_MAP_GID, 0, BOOT_BASE, 65536 });
	r = r ? r : plan_add_cgroups(p, &b->layout, boot_parent(), b->id, !priv, e);
	if (b->bind) {
		BOOT_ADD(PLAN_ROOT, root, { PLAN_ROOT_BIND, priv ? 0 : PLAN_ROOT_IDMAP, b->image ? b->image : image });
	} else {
		BOOT_ADD(PLAN_ROOT, root, { PLAN_ROOT_OVERLAY, priv ? 0 : PLAN_ROOT_IDMAP, inst });
		BOOT_ADD(PLAN_LOWER, lower, { b->image ? b->image : image });
	}
	r = r ? r : plan_add_defaults(p, b->options, e);
	if (b->veth)
		BOOT_ADD(PLAN_NIC, nic, { .kind = PLAN_NIC_VETH, .host = b->veth, .peer = "eth0", .parent = b->bridge, .mac = "00:16:3e:01:02:03" });
	BOOT_ADD(PLAN_FILE, file, { "/etc/deep/er/note", { "hello\n", 6 }, 0640, 0, 5, 0 });
	if (b->seccomp.len)
		BOOT_ADD(PLAN_SECCOMP, seccomp, { b->seccomp });
	r = r ? r : plan_env(p, "container", "lxc", e);
	r = r ? r : plan_arg(p, b->init ? b->init : "/sbin/init", e);
	return r == 0 && b->more ? b->more(p, e) : r;
}

static inline int boot_plan_fd(struct boot *b, int *fd, struct lxm_err *e)
{
	lxm_auto(plan_free) struct plan *p = plan_new();
	int r = boot_steps(b, p, e);

	return r < 0 ? r : plan_seal(p, fd, e);
}

static inline int boot_start(struct boot *b, struct lxm_err *e)
{
	lxm_auto(fd_close) int fd = -1;
	int r = boot_plan_fd(b, &fd, e);

	if (r == 0)
		r = spawn_monitor(b->spawner, b->id, fd, b->rundir, -1, &b->sock, &b->pidfd, e);
	return r < 0 ? r : mon_wait_started(b->sock, 10000, &b->hello, e);
}

/* The next message of that kind; false after timeout_ms or at end of file. Others are dropped, HELLO data is taken. */
static inline bool boot_expect(struct boot *b, uint32_t kind, int timeout_ms, struct mon_msg *m)
{
	static unsigned char buf[MON_MAX];
	int64_t end = lxm_mono_ms() + timeout_ms;

	for (;;) {
		struct pollfd p = { .fd = b->sock, .events = POLLIN };
		int left = (int)(end - lxm_mono_ms()), fds[MON_FDS];
		size_t n, i;

		if (left < 0 || poll(&p, 1, left) < 1 || mon_recv(b->sock, m, buf, fds, &n, 0, NULL) < 1)
			return false;
		if (m->kind == MON_REBOOTED || m->kind == MON_HELLO) {
			mon_hello_deinit(&b->hello);
			mon_take_hello(m, fds, n, &b->hello);
		} else {
			for (i = 0; i < n; i++)
				auto_fd_close(&fds[i]);
		}
		if (m->kind == kind)
			return true;
	}
}

/* Exec argv inside and wait. Exit status, or -errno; stdout and stderr into out if not NULL. base: uid, cwd, pty... or NULL. */
static inline int boot_exec(struct boot *b, const char *const *argv, const struct exec_job *base, struct lxm_buf *out, struct lxm_err *e)
{
	char *env[] = { (char *)"PATH=/bin:/sbin:/usr/bin:/usr/sbin", (char *)"TERM=linux", NULL };
	struct exec_job job = base ? *base : (struct exec_job){ 0 };
	lxm_auto(strv) struct lxm_strv cgroups = { 0 };
	lxm_auto(fd_close) int sock = -1, unified = -1, pr = -1, pw = -1, f0 = -1, f1 = -1;
	unsigned char buf[EXEC_REPORT_MAX];
	struct exec_report rep = { 0 };
	struct spawn_session io = { { -1, -1, -1 }, { -1, -1, -1 }, b->hello.pidfd, b->hello.park, -1 };
	int pidfd = -1, fds[EXEC_FDS], p[2], r, status = -EIO;

	if (pipe2(p, O_CLOEXEC) < 0)
		return -errno;
	pr = p[0];
	pw = p[1];
	cgroup_exec_paths(&b->layout, boot_parent(), b->id, &cgroups);
	job.argv = (char *const *)(uintptr_t)argv;
	job.env = job.env ? job.env : env;
	job.cgroup_procs = cgroups.v;
	job.keep_caps = plan_caps_default();
	job.seccomp = b->seccomp;
	job.privileged = b->options & PLAN_PRIVILEGED;
	unified = cgroup_open(&b->layout, "unified", b->cgroup, ".", O_RDONLY | O_DIRECTORY);
	io.unified = unified;
	io.std[1] = io.std[2] = job.pty ? -1 : pw;
	r = spawn_exec(b->spawner, &job, &io, &sock, &pidfd, e);
	if (r < 0)
		return r;
	auto_fd_close(&pw);
	while ((r = exec_report_recv(sock, &rep, buf, fds, 0, e)) == 1) {
		if (rep.kind == EXEC_STARTED) {
			f0 = fds[0];
			f1 = fds[1];
			continue;
		}
		status = rep.status;
		if (rep.kind == EXEC_FAILED)
			(void)lxm_err_set(e, rep.code ? rep.code : EIO, "%s", rep.text);
		break;
	}
	if (out) {
		char chunk[4096];
		ssize_t n;

		while ((n = read(job.pty ? f1 : pr, chunk, sizeof(chunk))) > 0)
			lxm_buf_add(out, chunk, (size_t)n);
		lxm_buf_str(out, "");
	}
	(void)exec_report_send(sock, &(struct exec_report){ .kind = EXEC_DONE }, NULL, 0);
	(void)spawn_wait(pidfd, -1, NULL);
	auto_fd_close(&pidfd);
	return status;
}

static inline int boot_ask(struct boot *b, uint32_t kind, int32_t arg, struct lxm_err *e)
{
	return mon_request(b->sock, kind, 1, arg, 0, 0, -1, e);
}

/* After STOPPED: the monitor's exit status. */
static inline int boot_reap(struct boot *b)
{
	int status = -1;

	mon_hello_deinit(&b->hello);
	auto_fd_close(&b->sock);
	(void)spawn_wait(b->pidfd, 10000, &status);
	auto_fd_close(&b->pidfd);
	return status;
}

/* Counts what is left of the instance: cgroups, the link, the socket, mounts. */
static inline int boot_leftovers(struct boot *b)
{
	lxm_auto(strv) struct lxm_strv ids = { 0 };
	lxm_auto(buf) struct lxm_buf mounts = { 0 };
	struct lxm_err e = { 0 };
	int n = 0;

	(void)cgroup_list(&b->layout, boot_parent(), &ids, &e);
	if (lxm_strv_has(&ids, b->id)) {
		fprintf(stderr, "left: cgroup of %s\n", b->id);
		n++;
	}
	if (b->veth && if_nametoindex(b->veth)) {
		fprintf(stderr, "left: link %s\n", b->veth);
		n++;
	}
	if (faccessat(b->rundir, MON_SOCKET, F_OK, 0) == 0) {
		fprintf(stderr, "left: socket\n");
		n++;
	}
	if (lxm_read_file("/proc/self/mountinfo", 1 << 20, &mounts) == 0 && strstr(mounts.data, b->dir)) {
		fprintf(stderr, "left: mount\n");
		n++;
	}
	return n;
}

static inline void boot_teardown(struct boot *b)
{
	struct lxm_err e = { 0 };

	spawn_kill(&b->pidfd);
	(void)cgroup_kill(&b->layout, b->cgroup, &e);
	(void)cgroup_remove(&b->layout, b->cgroup, 2000, &e);
	cgroup_parent_remove(&b->layout, boot_parent());
	mon_hello_deinit(&b->hello);
	auto_fd_close(&b->sock);
	auto_fd_close(&b->rundir);
	spawner_free(b->spawner);
	(void)lxm_rm_tree_at(AT_FDCWD, b->dir);
}

#endif
