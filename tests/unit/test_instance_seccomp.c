/* lxmd/instance/seccomp: policy text becomes a filter that does what the text says. */
#include "tests/unit/unit.h"

#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lxmd/instance/seccomp.h"

/* Runs from the top of the tree or below build/: policies are found beside the sources. */
static struct seccomp_cache *cache(struct lxm_err *e)
{
	struct seccomp_cache *c = NULL;

	(void)seccomp_cache_new("profiles", &c, e);
	return c;
}

/* Loads the filter in a child and answers the errno of one call there, 0 if it passed. */
static int errno_under(const struct wire_bytes *bpf, long nr, long a0, long a1)
{
	struct sock_fprog prog = { .len = (unsigned short)(bpf->len / 8) };
	int status;
	pid_t pid;

	memcpy(&prog.filter, &bpf->data, sizeof(prog.filter));
	pid = fork();
	if (pid == 0) {
		if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) || syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &prog))
			_exit(255);
		/* not _exit(): a sanitizer's wrapper makes calls that the filter may not know */
		syscall(SYS_exit_group, syscall(nr, a0, a1, 0, 0, 0) < 0 ? errno : 0);
	}
	if (waitpid(pid, &status, 0) < 0 || !WIFEXITED(status))
		return -1;
	return WEXITSTATUS(status);
}

static long int80(long nr)
{
	long r = -ENOSYS;

#if defined(__x86_64__)
	__asm__ volatile("int $0x80" : "=a"(r) : "a"(nr), "b"(0L), "c"(0L) : "memory", "r8", "r9", "r10", "r11");
#endif
	return r;
}

/* The errno of a call of the machine's narrow mode, 0 if it passed, -1 where the kernel has no such mode. NULL: without a filter. */
static int errno_of_32(const struct wire_bytes *bpf, long nr)
{
	struct sock_fprog prog = { .len = bpf ? (unsigned short)(bpf->len / 8) : 0 };
	int status;
	pid_t pid;

	if (bpf)
		memcpy(&prog.filter, &bpf->data, sizeof(prog.filter));
	pid = fork();
	if (pid == 0) {
		long r;

		if (bpf && (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) || syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &prog)))
			_exit(255);
		r = int80(nr);
		syscall(SYS_exit_group, r < 0 ? -r : 0);
	}
	if (waitpid(pid, &status, 0) < 0 || !WIFEXITED(status))
		return -1;
	return WEXITSTATUS(status);
}

#define GETPID_32 20
#define MKDIR_32  39 /* getpid of the wide mode */

static void the_narrow_mode_is_filtered_alike(void)
{
	struct seccomp_want usual = { .deny = "getpid errno 7" }, compat = { .deny = "getpid errno 7", .deny_compat = true };
	struct seccomp_want v1 = { .raw = "1\nwhitelist errno 3\n231\n39\n" };
	struct lxm_err e = { 0 };
	struct wire_bytes bpf;
	struct seccomp_cache *c = cache(&e);

	CU_ASSERT_PTR_NOT_NULL_FATAL(c);
	if (errno_of_32(NULL, GETPID_32) == 0) {
		CU_ASSERT(seccomp_get(c, &usual, &bpf, &e) == 0);
		CU_ASSERT_EQUAL(errno_of_32(&bpf, GETPID_32), 7);
		CU_ASSERT_EQUAL(errno_of_32(&bpf, MKDIR_32), EFAULT);
		CU_ASSERT(seccomp_get(c, &compat, &bpf, &e) == 0);
		CU_ASSERT_EQUAL(errno_of_32(&bpf, GETPID_32), ENOSYS);
		CU_ASSERT_EQUAL(errno_of_32(&bpf, MKDIR_32), ENOSYS);
		/* version 1 allows calls of the wide mode alone */
		CU_ASSERT(seccomp_get(c, &v1, &bpf, &e) == 0);
		CU_ASSERT_EQUAL(errno_of_32(&bpf, MKDIR_32), ESRCH);
		CU_ASSERT_EQUAL(errno_of_32(&bpf, GETPID_32), ESRCH);
	}
	seccomp_cache_free(c);
}

static void default_list_denies_what_it_names(void)
{
	struct seccomp_want w = { 0 };
	struct lxm_err e = { 0 };
	struct wire_bytes bpf;
	struct seccomp_cache *c = cache(&e);

	CU_ASSERT_PTR_NOT_NULL_FATAL(c);
	CU_ASSERT(seccomp_get(c, &w, &bpf, &e) == 0 && bpf.len > 0 && bpf.len % 8 == 0);
	CU_ASSERT_EQUAL(errno_under(&bpf, SYS_open_by_handle_at, -1, 0), ENOSYS);
	CU_ASSERT_EQUAL(errno_under(&bpf, SYS_init_module, 0, 0), ENOSYS);
	CU_ASSERT_EQUAL(errno_under(&bpf, SYS_swapoff, 0, 0), EPERM);
	CU_ASSERT_EQUAL(errno_under(&bpf, SYS_getpid, 0, 0), 0);
	seccomp_cache_free(c);
}

static void arguments_are_looked_at(void)
{
	struct seccomp_want w = { 0 };
	struct lxm_err e = { 0 };
	struct wire_bytes bpf;
	struct seccomp_cache *c = cache(&e);

	CU_ASSERT_PTR_NOT_NULL_FATAL(c);
	CU_ASSERT(seccomp_get(c, &w, &bpf, &e) == 0);
	CU_ASSERT_EQUAL(errno_under(&bpf, SYS_umount2, 0, MNT_FORCE), EACCES);
	CU_ASSERT_NOT_EQUAL(errno_under(&bpf, SYS_umount2, 0, MNT_DETACH), EACCES);
	seccomp_cache_free(c);
}

static void configuration_adds_and_replaces(void)
{
	struct seccomp_want deny = { .deny = "getppid errno 38\n\nuname  # comment\n" };
	struct seccomp_want allow = { .allow = "exit_group\nprctl\ngetpid" };
	struct seccomp_want none = { .no_default = true };
	struct lxm_err e = { 0 };
	struct wire_bytes bpf;
	struct seccomp_cache *c = cache(&e);

	CU_ASSERT_PTR_NOT_NULL_FATAL(c);
	CU_ASSERT(seccomp_get(c, &deny, &bpf, &e) == 0);
	CU_ASSERT_EQUAL(errno_under(&bpf, SYS_getppid, 0, 0), ENOSYS);
	CU_ASSERT_EQUAL(errno_under(&bpf, SYS_uname, 0, 0), EPERM);
	CU_ASSERT(seccomp_get(c, &allow, &bpf, &e) == 0);
	CU_ASSERT_EQUAL(errno_under(&bpf, SYS_getpid, 0, 0), 0);
	CU_ASSERT_EQUAL(errno_under(&bpf, SYS_getppid, 0, 0), ENOSYS);
	CU_ASSERT(seccomp_get(c, &none, &bpf, &e) == 0 && bpf.len == 0);
	seccomp_cache_free(c);
}

static void wrong_lines_are_named(void)
{
	struct seccomp_want unknown = { .deny = "getpid\nno_such_call\n" }, word = { .deny = "getpid nonsense\n" };
	struct lxm_err e = { 0 };
	struct wire_bytes bpf;
	struct seccomp_cache *c = cache(&e);

	CU_ASSERT_PTR_NOT_NULL_FATAL(c);
	CU_ASSERT_EQUAL(seccomp_get(c, &unknown, &bpf, &e), -EINVAL);
	CU_ASSERT(strstr(e.msg, "no_such_call") && strstr(e.msg, "line 2"));
	CU_ASSERT_EQUAL(seccomp_get(c, &word, &bpf, &e), -EINVAL);
	CU_ASSERT_PTR_NOT_NULL(strstr(e.msg, "nonsense"));
	seccomp_cache_free(c);
}

/* liblxc's language; what it says is all there is. */
static void a_raw_policy_replaces_all_else(void)
{
	static const char deny[] = "2\ndenylist\n# text\nreject_force_umount  # as it is written there\n[all]\ngetppid errno 38\n"
				   "setpgid errno 7 [0,5,SCMP_CMP_EQ]\nsetpgid errno 9 [1,6,SCMP_CMP_MASKED_EQ,7] [0,2,>=]\n[arm]\nuname errno 11\n";
	static const char allow[] = "2\nallowlist errno 13\nexit_group\ngetpid allow\ngetppid errno 13\n";
	struct seccomp_want w = { .raw = deny, .deny = "uname" }, a = { .raw = allow }, v1 = { .raw = "1\nwhitelist errno 3\n231\n39\n" };
	struct lxm_err e = { 0 };
	struct wire_bytes bpf;
	struct seccomp_cache *c = cache(&e);

	CU_ASSERT_PTR_NOT_NULL_FATAL(c);
	CU_ASSERT_FATAL(seccomp_get(c, &w, &bpf, &e) == 0);
	CU_ASSERT_EQUAL(errno_under(&bpf, SYS_getppid, 0, 0), ENOSYS);
	CU_ASSERT_EQUAL(errno_under(&bpf, SYS_umount2, 0, MNT_FORCE), EACCES);
	CU_ASSERT_EQUAL(errno_under(&bpf, SYS_setpgid, 5, 0), 7);
	CU_ASSERT_EQUAL(errno_under(&bpf, SYS_setpgid, 2, 14), 9);
	CU_ASSERT_NOT_EQUAL(errno_under(&bpf, SYS_setpgid, 1, 14), 9);
	CU_ASSERT_NOT_EQUAL(errno_under(&bpf, SYS_setpgid, 2, 15), 9);
	CU_ASSERT_EQUAL(errno_under(&bpf, SYS_uname, 0, 0), EFAULT); /* neither the other key nor the other machine's section */
	CU_ASSERT_EQUAL(errno_under(&bpf, SYS_open_by_handle_at, -1, 0), EFAULT);
	CU_ASSERT_FATAL(seccomp_get(c, &a, &bpf, &e) == 0);
	CU_ASSERT_EQUAL(errno_under(&bpf, SYS_getpid, 0, 0), 0);
	CU_ASSERT_EQUAL(errno_under(&bpf, SYS_uname, 0, 0), EACCES);
#if defined(__x86_64__)
	CU_ASSERT_FATAL(seccomp_get(c, &v1, &bpf, &e) == 0);
	CU_ASSERT_EQUAL(errno_under(&bpf, SYS_getpid, 0, 0), 0);
	CU_ASSERT_EQUAL(errno_under(&bpf, SYS_uname, 0, 0), ESRCH);
#endif
	seccomp_cache_free(c);
}

static void a_raw_policy_is_read_strictly(void)
{
	static const struct {
		const char *text, *says;
	} bad[] = {
		{ "2\n", "a version" },
		{ "3\ndenylist", "line 1: version" },
		{ "2\ngetpid", "line 2: 'denylist'" },
		{ "1\ndenylist", "line 2: 'allowlist'" },
		{ "1\nallowlist\ngetpid", "line 3: 'getpid' is not the number" },
		{ "2\ndenylist kill x", "'x' is left over" },
		{ "2\ndenylist\n\nno_such_call", "line 4: there is no system call 'no_such_call'" },
		{ "2\ndenylist\ngetpid errno", "errno: a number" },
		{ "2\ndenylist\ngetpid errno 4096", "errno: a number" },
		{ "2\ndenylist\ngetpid notify", "nobody would answer" },
		{ "2\ndenylist\ngetpid explode", "'explode' is not an action" },
		{ "2\ndenylist\n[sparc]", "'sparc' is not an architecture" },
		{ "2\ndenylist\n[all", "is not [ARCHITECTURE]" },
		{ "2\ndenylist\ngetpid errno 1 [6,0,SCMP_CMP_EQ]", "is not [INDEX" },
		{ "2\ndenylist\ngetpid errno 1 [0,0,SCMP_CMP_MASKED_EQ]", "is not [INDEX" },
		{ "2\ndenylist\ngetpid errno 1 [0,0,about]", "is not [INDEX" },
		{ "2\ndenylist\ngetpid errno 1 [0,0,==", "without end" },
		{ "2\ndenylist\ngetpid errno 1 [0,0,==] x", "'x' is left over" },
	};
	struct seccomp_cache *c = cache(NULL);
	struct wire_bytes bpf;
	size_t i;

	CU_ASSERT_PTR_NOT_NULL_FATAL(c);
	for (i = 0; i < LXM_ARRAY_LEN(bad); i++) {
		struct seccomp_want w = { .raw = bad[i].text };
		struct lxm_err e = { 0 };

		if (seccomp_get(c, &w, &bpf, &e) != -EINVAL || !strstr(e.msg, bad[i].says))
			printf("    %zu: %s\n", i, e.msg);
		CU_ASSERT(e.code == EINVAL && strstr(e.msg, bad[i].says) != NULL);
	}
	seccomp_cache_free(c);
}

static void the_same_wish_is_compiled_once(void)
{
	struct seccomp_want a = { .deny = "uname" }, b = { .deny = "uname" }, p = { .deny = "uname", .privileged = true };
	struct lxm_err e = { 0 };
	struct wire_bytes x, y, z;
	struct seccomp_cache *c = cache(&e);

	CU_ASSERT_PTR_NOT_NULL_FATAL(c);
	CU_ASSERT(seccomp_get(c, &a, &x, &e) == 0 && seccomp_get(c, &b, &y, &e) == 0 && seccomp_get(c, &p, &z, &e) == 0);
	CU_ASSERT_PTR_EQUAL(x.data, y.data);
	CU_ASSERT_PTR_NOT_EQUAL(x.data, z.data);
	CU_ASSERT_EQUAL(errno_under(&z, SYS_settimeofday, 0, 0), EPERM);
	seccomp_cache_free(c);
}

/* Without a listener a call that is to be intercepted gives ENOSYS: nothing is let through. */
static void intercepted_calls_wait_for_a_listener(void)
{
	struct seccomp_want w = { .intercept = PLAN_INTERCEPT_MKNOD | PLAN_INTERCEPT_SYSINFO }, none = { 0 };
	struct seccomp_want mount = { .intercept = PLAN_INTERCEPT_MOUNT };
	struct lxm_err e = { 0 };
	struct wire_bytes bpf, plain;
	struct seccomp_cache *c = cache(&e);

	CU_ASSERT_PTR_NOT_NULL_FATAL(c);
	CU_ASSERT(seccomp_get(c, &w, &bpf, &e) == 0 && seccomp_get(c, &none, &plain, &e) == 0);
	CU_ASSERT_PTR_NOT_EQUAL(bpf.data, plain.data);
	CU_ASSERT_EQUAL(errno_under(&bpf, SYS_sysinfo, 0, 0), ENOSYS);
	CU_ASSERT_EQUAL(errno_under(&plain, SYS_sysinfo, 0, 0), EFAULT);
	CU_ASSERT_EQUAL(errno_under(&bpf, SYS_mknod, 0, S_IFCHR | 0600), ENOSYS);
	/* what is no device node is not asked about */
	CU_ASSERT_EQUAL(errno_under(&bpf, SYS_mknod, 0, S_IFIFO | 0600), EFAULT);
	CU_ASSERT_EQUAL(errno_under(&bpf, SYS_sched_setscheduler, 0, 77), EINVAL);
	/* programs that know the newer way to mount are to take the older one */
	CU_ASSERT_NOT_EQUAL(errno_under(&plain, SYS_fsopen, 0, 0), ENOSYS);
	CU_ASSERT(seccomp_get(c, &mount, &bpf, &e) == 0);
	CU_ASSERT_EQUAL(errno_under(&bpf, SYS_fsopen, 0, 0), ENOSYS);
	seccomp_cache_free(c);
}

UNIT_MAIN("instance/seccomp", { "the narrow mode is filtered alike", the_narrow_mode_is_filtered_alike }, { "default list denies what it names", default_list_denies_what_it_names },
	  { "arguments are looked at", arguments_are_looked_at }, { "configuration adds and replaces", configuration_adds_and_replaces },
	  { "wrong lines are named", wrong_lines_are_named }, { "a raw policy replaces all else", a_raw_policy_replaces_all_else },
	  { "a raw policy is read strictly", a_raw_policy_is_read_strictly }, { "the same wish is compiled once", the_same_wish_is_compiled_once },
	  { "intercepted calls wait for a listener", intercepted_calls_wait_for_a_listener })
