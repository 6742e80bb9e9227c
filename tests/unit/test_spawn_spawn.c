/* lxmd/spawn: processes start clean, failures come back, output is bounded. */
#include "tests/unit/unit.h"

#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>

#include "lib/base/alloc.h"
#include "lib/base/fd.h"
#include "lib/wire/cgroup.h"
#include "lxmd/spawn/spawn.h"

static int sh(const char *script, struct lxm_buf *out, size_t max, int timeout_ms, struct lxm_err *e)
{
	const char *argv[] = { "sh", "-c", script, NULL };
	struct spawn_spec s = { .path = "sh", .argv = argv };

	return spawn_run(&s, out, NULL, max, timeout_ms, e);
}

static void children_start_clean(void)
{
	lxm_auto(buf) struct lxm_buf out = { 0 };
	lxm_auto(fd_close) int leak = open("/", O_RDONLY); /* without O_CLOEXEC, as a library would */
	struct lxm_err e = { 0 };
	sigset_t blocked, old;

	sigemptyset(&blocked);
	sigaddset(&blocked, SIGUSR1);
	pthread_sigmask(SIG_BLOCK, &blocked, &old);
	signal(SIGUSR2, SIG_IGN);
	CU_ASSERT_EQUAL(sh("grep -E 'SigBlk|SigIgn' /proc/self/status; ls /proc/self/fd; pwd; umask; env", &out, 65536, 5000, &e), 0);
	signal(SIGUSR2, SIG_DFL);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	CU_ASSERT_PTR_NOT_NULL(strstr(out.data, "SigBlk:\t0000000000000000"));
	CU_ASSERT_PTR_NOT_NULL(strstr(out.data, "SigIgn:\t0000000000000000"));
	CU_ASSERT_PTR_NOT_NULL(strstr(out.data, "\n0\n1\n2\n3\n/\n0022\n")); /* 3 is the listed directory */
	CU_ASSERT_PTR_NULL(strstr(out.data, "USER="));
}

static void failures_are_told(void)
{
	const char *argv[] = { "/etc/hostname", NULL }, *none[] = { "no-such-program", NULL };
	struct spawn_spec dir = { .path = "/etc", .argv = argv }, missing = { .path = "no-such-program", .argv = none };
	struct lxm_err e = { 0 };
	int pidfd = -1;

	CU_ASSERT_EQUAL(spawn_child(&dir, &pidfd, NULL, &e), -EACCES);
	CU_ASSERT_STRING_EQUAL(e.msg, "execute '/etc': Permission denied");
	CU_ASSERT_EQUAL(spawn_child(&missing, &pidfd, NULL, &e), -ENOENT);
	CU_ASSERT_STRING_EQUAL(e.msg, "program 'no-such-program' is not installed");
	CU_ASSERT_EQUAL(pidfd, -1);
	CU_ASSERT_EQUAL(sh("echo why >&2; exit 3", NULL, 100, 5000, &e), 1);
	CU_ASSERT_STRING_EQUAL(e.msg, "'sh' failed with status 3: why");
}

static void output_and_time_are_bounded(void)
{
	lxm_auto(buf) struct lxm_buf out = { 0 };
	struct lxm_err e = { 0 };

	CU_ASSERT_EQUAL(sh("while :; do echo xxxxxxxxxxxxxxxxxxxxx; done", &out, 5000, 5000, &e), -EFBIG);
	CU_ASSERT_EQUAL(out.len, 5000);
	CU_ASSERT_EQUAL(sh("sleep 100", NULL, 100, 50, &e), -ETIMEDOUT);
}

static void statuses_are_those_of_a_shell(void)
{
	const char *argv[] = { "sh", "-c", "kill -15 $$", NULL };
	struct spawn_spec s = { .path = "sh", .argv = argv };
	struct lxm_err e = { 0 };
	int pidfd = -1, status = 0;

	CU_ASSERT_EQUAL(spawn_child(&s, &pidfd, NULL, &e), 0);
	CU_ASSERT_EQUAL(spawn_wait(pidfd, 5000, &status), 0);
	CU_ASSERT_EQUAL(status, 128 + 15);
	CU_ASSERT_EQUAL(spawn_reap(pidfd, &status), -ECHILD);
	close(pidfd);
}

static void *spawn_some(void *arg)
{
	long bad = 0;
	int i;

	for (i = 0; i < 20; i++) {
		struct lxm_err e = { 0 };

		bad += sh("exit 0", NULL, 100, 10000, &e) != 0;
	}
	return (void *)bad;
}

static void threads_may_spawn_at_once(void)
{
	pthread_t t[4];
	void *bad;
	int i;

	for (i = 0; i < 4; i++)
		CU_ASSERT_EQUAL(pthread_create(&t[i], NULL, spawn_some, NULL), 0);
	for (i = 0; i < 4; i++) {
		pthread_join(t[i], &bad);
		CU_ASSERT_PTR_NULL(bad);
	}
}

/* Opens and closes descriptors until told to stop; answers how many were closed by somebody else. */
static void *watch_descriptors(void *arg)
{
	const bool *stop = arg;
	uintptr_t lost = 0;

	while (!__atomic_load_n(stop, __ATOMIC_RELAXED)) {
		int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);

		sched_yield();
		lost += close(fd) < 0;
	}
	return (void *)lost;
}

/* clone3 tells the pidfd's number before it looks at the cgroup, and takes it back when that one is gone. */
static void failed_clone_closes_nothing_of_others(void)
{
	const char *argv[] = { "true", NULL };
	struct spawn_spec s = { .path = "true", .argv = argv };
	const struct cgroup_hier *h = NULL;
	struct cgroup_layout l;
	lxm_auto(free) char *dir = NULL;
	lxm_auto(fd_close) int fd = -1;
	bool stop = false;
	pthread_t t[2];
	void *lost;
	int i;

	if (cgroup_layout_read(&l, NULL) == 0)
		h = cgroup_unified(&l);
	dir = lxm_asprintf("%s/lxm.unit%d", h ? h->mount : "/nonexistent", (int)getpid());
	if (mkdir(dir, 0700) < 0)
		return; /* not root, or no unified hierarchy */
	fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	CU_ASSERT_EQUAL(rmdir(dir), 0);
	for (i = 0; i < 2; i++)
		CU_ASSERT_EQUAL(pthread_create(&t[i], NULL, watch_descriptors, &stop), 0);
	s.cgroup_fd = fd;
	for (i = 0; i < 500; i++) {
		int pidfd = -1;

		CU_ASSERT(spawn_child(&s, &pidfd, NULL, NULL) < 0);
		CU_ASSERT_EQUAL(pidfd, -1);
	}
	__atomic_store_n(&stop, true, __ATOMIC_RELAXED);
	for (i = 0; i < 2; i++) {
		pthread_join(t[i], &lost);
		CU_ASSERT_PTR_NULL(lost);
	}
}

UNIT_MAIN("spawn/spawn", { "children start clean", children_start_clean }, { "failures are told", failures_are_told },
	  { "output and time are bounded", output_and_time_are_bounded }, { "statuses are those of a shell", statuses_are_those_of_a_shell },
	  { "threads may spawn at once", threads_may_spawn_at_once },
	  { "failed clone closes nothing of others", failed_clone_closes_nothing_of_others })
