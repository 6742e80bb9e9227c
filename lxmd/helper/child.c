/*
 * The last steps before a program runs inside an instance. This is a vfork child: it shares the helper's memory until it
 * executes, its namespaces are the container's, its descriptors are its own copies. No descriptor of the host is open when the working
 * directory is entered (CVE-2024-21626), and identity is dropped last but for the filter.
 */
#include "lxmd/helper/helper.h"

#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <termios.h>

#include "lib/base/fd.h"
#include "lib/base/sys.h"

static int terminal(struct session *s, struct lxm_err *e)
{
	if (setsid() < 0)
		return lxm_err_sys(e, "make a session");
	if (s->slave < 0)
		return 0;
	if (ioctl(s->slave, TIOCSCTTY, 0) < 0 || dup2(s->slave, 0) < 0 || dup2(s->slave, 1) < 0)
		return lxm_err_sys(e, "take the terminal");
	if (!s->job->pty_stderr && dup2(s->slave, 2) < 0)
		return lxm_err_sys(e, "take the terminal");
	return 0;
}

static int capabilities(uint64_t keep, struct lxm_err *e)
{
	struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[2];
	unsigned long c;

	for (c = 0; prctl(PR_CAPBSET_READ, c, 0, 0, 0) >= 0; c++)
		if (!(keep >> c & 1) && prctl(PR_CAPBSET_DROP, c, 0, 0, 0) < 0)
			return lxm_err_sys(e, "drop capability %lu", c);
	(void)prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
	if (syscall(SYS_capget, &head, data) < 0)
		return lxm_err_sys(e, "read capabilities");
	data[0].inheritable = data[1].inheritable = 0;
	if (syscall(SYS_capset, &head, data) < 0)
		return lxm_err_sys(e, "clear inheritable capabilities");
	return 0;
}

/* Through the host's proc, opened before: the container may have put anything on its own (CVE-2019-19921). */
static int apparmor(struct session *s, struct lxm_err *e)
{
	char path[64], line[1100];
	lxm_auto(fd_close) int fd = -1;
	int n;

	if (!*s->job->apparmor)
		return 0;
	/* thread-self and self resolve in the pid namespace of that mount, the host's */
	snprintf(path, sizeof(path), "thread-self/attr/apparmor/exec");
	fd = openat(s->proc, path, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		fd = openat(s->proc, "thread-self/attr/exec", O_WRONLY | O_CLOEXEC);
	n = snprintf(line, sizeof(line), "exec %s", s->job->apparmor);
	if (fd < 0 || write(fd, line, (size_t)n) != n)
		return lxm_err_sys(e, "set AppArmor profile '%s'", s->job->apparmor);
	return 0;
}

/* One of the container's own; over its quota, it shares the helper's, which is empty (spawn.c). */
static int keyring(struct lxm_err *e)
{
	if (syscall(SYS_keyctl, 1 /* KEYCTL_JOIN_SESSION_KEYRING */, NULL) < 0 && errno != ENOSYS && errno != EDQUOT)
		return lxm_err_sys(e, "make a session keyring");
	return 0;
}

/* With uid 0 capabilities stay as the bounding set allows; with another they are dropped by the kernel here. */
static int identity(const struct exec_job *j, struct lxm_err *e)
{
	if (syscall(SYS_setgroups, j->ngroups, j->groups) < 0)
		return lxm_err_sys(e, "set groups");
	if (syscall(SYS_setresgid, j->gid, j->gid, j->gid) < 0)
		return lxm_err_sys(e, "become group %u", j->gid);
	if (syscall(SYS_setresuid, j->uid, j->uid, j->uid) < 0)
		return lxm_err_sys(e, "become user %u", j->uid);
	/* a change of ids makes memory readable again where fs.suid_dumpable is 1, and from here on processes of the same ids see us */
	(void)prctl(PR_SET_DUMPABLE, 0);
	/* the change of ids clears it; the program ends with the helper */
	if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0)
		return lxm_err_sys(e, "tie the program to its session");
	return 0;
}

static int filter(const struct session *s, struct lxm_err *e)
{
	const struct exec_job *j = s->job;
	struct sock_fprog prog = { .len = (unsigned short)(j->seccomp.len / sizeof(struct sock_filter)) };

	if (!prog.len)
		return 0;
	memcpy(&prog.filter, &j->seccomp.data, sizeof(prog.filter));
	if (*j->notify) {
		lxm_auto(fd_close) int fd = sys_seccomp_listen(&prog);

		if (fd < 0)
			return lxm_err_sys(e, "load the system call filter");
		if (s->notify >= 0)
			(void)lxm_send_fds(s->notify, "n", 1, &fd, 1, 0);
		return 0;
	}
	if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &prog) < 0)
		return lxm_err_sys(e, "load the system call filter");
	return 0;
}

static const char *env_get(char *const *env, const char *name_is)
{
	for (; *env; env++)
		if (strncmp(*env, name_is, strlen(name_is)) == 0)
			return *env + strlen(name_is);
	return NULL;
}

/* Only stdio is left open; then the path is the container's affair, as long as it leads to a place inside its root. */
static int directory(const struct exec_job *j, struct lxm_err *e)
{
	const char *home = *j->cwd ? NULL : env_get(j->env, "HOME=");
	char where[4096];

	/* nobody asked for a place: home if it is there */
	if (!*j->cwd && (!home || *home != '/' || chdir(home) < 0) && chdir("/") < 0)
		return lxm_err_sys(e, "enter directory '/'");
	if (*j->cwd && chdir(j->cwd) < 0)
		return lxm_err_sys(e, "enter directory '%s'", j->cwd);
	if (syscall(SYS_getcwd, where, sizeof(where)) < 0 || where[0] != '/')
		return lxm_err_set(e, ENOENT, "directory '%s' is outside of the instance", j->cwd);
	return 0;
}

static int limits(const struct exec_job *j, struct lxm_err *e)
{
	size_t i;

	for (i = 0; i < j->nrlimits; i++) {
		const struct rlimit r = { j->rlimits[i].soft, j->rlimits[i].hard };

		if (setrlimit((__rlimit_resource_t)j->rlimits[i].resource, &r) < 0)
			return lxm_err_sys(e, "set limit %u", j->rlimits[i].resource);
	}
	return 0;
}

/* As execvpe() of libc, but by the job's PATH and without a shell for files of unknown format. */
static int execute(const struct exec_job *j)
{
	const char *path = env_get(j->env, "PATH="), *end;
	char full[4096];
	int best = ENOENT;

	if (strchr(j->argv[0], '/')) {
		(void)execve(j->argv[0], j->argv, j->env);
		return errno;
	}
	if (!path)
		path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
	for (;; path = end + 1) {
		end = strchrnul(path, ':');
		if (snprintf(full, sizeof(full), "%.*s/%s", (int)(end - path), path, j->argv[0]) < (int)sizeof(full) && *path == '/') {
			(void)execve(full, j->argv, j->env);
			if (errno != ENOENT && errno != ENOTDIR)
				best = errno;
			if (errno != ENOENT && errno != ENOTDIR && errno != EACCES)
				return errno;
		}
		if (!*end)
			return best;
	}
}

int child_exec(struct session *s, struct lxm_err *e)
{
	const struct exec_job *j = s->job;
	int r;

	if (terminal(s, e) < 0 || keyring(e) < 0 || apparmor(s, e) < 0 || capabilities(j->keep_caps, e) < 0)
		return 126;
	/* a filter takes CAP_SYS_ADMIN, so it is loaded before the identity changes; its list leaves set*id alone */
	if (filter(s, e) < 0 || identity(j, e) < 0)
		return 126;
	sys_signals_reset();
	(void)umask(022);
	(void)sys_close_range(3, ~0U, 0);
	if (directory(j, e) < 0 || limits(j, e) < 0)
		return 126;
	r = execute(j);
	errno = r;
	(void)lxm_err_sys(e, "execute '%s'", j->argv[0]);
	return r == ENOENT || r == ENOTDIR ? 127 : 126;
}
