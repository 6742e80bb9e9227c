/* lib/wire/exec: jobs and reports. */
#include "tests/unit/unit.h"

#include <string.h>
#include <sys/socket.h>

#include "lib/base/fd.h"
#include "lib/wire/exec.h"

static void jobs_come_back_whole(void)
{
	static const uint32_t groups[] = { 4, 27 };
	static const struct exec_rlimit limits[] = { { 7, 1024, ~0ull }, { 6, 5, 6 } };
	char *argv[] = { (char *)"sh", (char *)"-c", (char *)"", NULL }, *env[] = { (char *)"A=1", NULL };
	char *cgroups[] = { (char *)"/sys/fs/cgroup/a/cgroup.procs", (char *)"/sys/fs/cgroup/b/cgroup.procs", NULL };
	struct exec_job in = { .argv = argv, .env = env, .cwd = "/root", .uid = 1, .gid = 2, .groups = groups, .ngroups = 2, .pty = true, .rows = 30,
			       .cols = 90, .keep_caps = 1ull << 40, .seccomp = { "12345678", 8 }, .apparmor = "label", .rlimits = limits, .nrlimits = 2, .lasting = true, .grace_s = 300, .tag = "{}",
			       .cgroup_procs = cgroups };
	char long_tag[EXEC_TAG_MAX + 1];
	struct lxm_err e = { 0 };
	struct exec_view v;
	int fd = -1;

	CU_ASSERT_EQUAL(exec_job_seal(&in, &fd, &e), 0);
	CU_ASSERT_EQUAL_FATAL(exec_job_open(fd, &v, &e), 0);
	CU_ASSERT(strcmp(v.job.argv[0], "sh") == 0 && strcmp(v.job.argv[2], "") == 0 && !v.job.argv[3]);
	CU_ASSERT(strcmp(v.job.env[0], "A=1") == 0 && !v.job.env[1]);
	CU_ASSERT(strcmp(v.job.cgroup_procs[1], cgroups[1]) == 0 && !v.job.cgroup_procs[2]);
	CU_ASSERT(v.job.ngroups == 2 && v.job.groups[1] == 27 && v.job.uid == 1 && v.job.gid == 2);
	CU_ASSERT(v.job.pty && !v.job.privileged && v.job.rows == 30 && v.job.keep_caps == 1ull << 40 && v.job.seccomp.len == 8);
	CU_ASSERT(strcmp(v.job.cwd, "/root") == 0 && strcmp(v.job.apparmor, "label") == 0);
	CU_ASSERT(v.job.lasting && v.job.grace_s == 300 && strcmp(v.job.tag, "{}") == 0 && v.job.nrlimits == 2);
	CU_ASSERT(v.job.rlimits[0].hard == ~0ull && v.job.rlimits[1].resource == 6 && v.job.rlimits[1].soft == 5);
	exec_job_close(&v);
	close(fd);
	memset(long_tag, 'x', sizeof(long_tag));
	long_tag[EXEC_TAG_MAX] = 0;
	in.tag = long_tag; /* with its end it is one too long */
	CU_ASSERT_EQUAL(exec_job_seal(&in, &fd, &e), -EINVAL);
}

static void vectors_may_be_empty(void)
{
	char *argv[] = { (char *)"/bin/true", NULL };
	struct exec_job in = { .argv = argv };
	struct lxm_err e = { 0 };
	struct exec_view v;
	int fd = -1;

	CU_ASSERT_EQUAL(exec_job_seal(&in, &fd, &e), 0);
	CU_ASSERT_EQUAL_FATAL(exec_job_open(fd, &v, &e), 0);
	CU_ASSERT(v.job.env && !v.job.env[0] && v.job.cgroup_procs && !v.job.cgroup_procs[0] && !v.job.argv[1]);
	CU_ASSERT_STRING_EQUAL(v.job.cwd, ""); /* the helper finds a home */
	exec_job_close(&v);
	close(fd);
}

static void bad_jobs_are_refused(void)
{
	static const uint32_t groups[EXEC_GROUPS + 1];
	char *argv[] = { (char *)"", NULL }, *ok[] = { (char *)"x", NULL }, *none[] = { NULL };
	struct exec_job empty = { .argv = argv }, nothing = { .argv = none }, relative = { .argv = ok, .cwd = "tmp" };
	struct exec_job crowd = { .argv = ok, .groups = groups, .ngroups = EXEC_GROUPS + 1 }, nobody = { .argv = ok, .uid = UINT32_MAX };
	struct lxm_err e = { 0 };
	int fd = -1;

	CU_ASSERT_EQUAL(exec_job_seal(&empty, &fd, &e), -EINVAL);
	CU_ASSERT_EQUAL(exec_job_seal(&nothing, &fd, &e), -EINVAL);
	CU_ASSERT_EQUAL(exec_job_seal(&relative, &fd, &e), -EINVAL);
	CU_ASSERT_EQUAL(exec_job_seal(&crowd, &fd, &e), -EINVAL);
	CU_ASSERT_EQUAL(exec_job_seal(&nobody, &fd, &e), -EINVAL);
	CU_ASSERT_EQUAL(fd, -1);
}

static void reports_cross_a_socket(void)
{
	struct exec_report in = { .kind = EXEC_STARTED, .pid = 5, .have = EXEC_HAVE_PTY | EXEC_HAVE_EXITED, .text = "" }, out;
	unsigned char buf[EXEC_REPORT_MAX];
	struct lxm_err e = { 0 };
	int sv[2], fds[EXEC_FDS], i;

	CU_ASSERT_EQUAL_FATAL(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sv), 0);
	CU_ASSERT_EQUAL(exec_report_recv(sv[1], &out, buf, fds, MSG_DONTWAIT, &e), -EAGAIN);
	CU_ASSERT_EQUAL(exec_report_send(sv[0], &in, sv, 1), 0);
	CU_ASSERT_EQUAL(exec_report_recv(sv[1], &out, buf, fds, 0, &e), 1);
	CU_ASSERT(out.kind == EXEC_STARTED && out.pid == 5 && out.have == (EXEC_HAVE_PTY | EXEC_HAVE_EXITED) && fds[0] >= 0 && fds[1] == -1);
	exec_fds_close(fds);
	exec_fds_close(fds);
	CU_ASSERT_EQUAL(exec_report_send(sv[0], &in, (int[]){ sv[0], sv[1], 0, 1, 2, sv[0] }, EXEC_FDS), 0);
	CU_ASSERT_EQUAL(exec_report_recv(sv[1], &out, buf, fds, 0, &e), 1);
	for (i = 0; i < EXEC_FDS; i++)
		CU_ASSERT(fds[i] > 2);
	exec_fds_close(fds);
	CU_ASSERT_EQUAL(send(sv[0], "garbage", 7, 0), 7);
	CU_ASSERT_EQUAL(exec_report_recv(sv[1], &out, buf, fds, 0, &e), -EBADMSG);
	close(sv[0]);
	CU_ASSERT_EQUAL(exec_report_recv(sv[1], &out, buf, fds, 0, &e), 0);
	close(sv[1]);
}

static void last_words_outlive_an_unread_order(void)
{
	const struct exec_report order = { .kind = EXEC_SHUT, .have = EXEC_HAVE_IN }, in = { .kind = EXEC_FAILED, .status = 127, .text = "no" };
	unsigned char buf[EXEC_REPORT_MAX];
	struct exec_report out;
	int sv[2], fds[EXEC_FDS];

	CU_ASSERT_EQUAL_FATAL(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sv), 0);
	CU_ASSERT_EQUAL(exec_report_send(sv[0], &order, NULL, 0), 0);
	CU_ASSERT_EQUAL(exec_report_send(sv[1], &in, NULL, 0), 0);
	close(sv[1]);
	CU_ASSERT_EQUAL(exec_report_recv(sv[0], &out, buf, fds, 0, NULL), 1);
	CU_ASSERT(out.kind == EXEC_FAILED && out.status == 127);
	CU_ASSERT_EQUAL(exec_report_recv(sv[0], &out, buf, fds, 0, NULL), 0);
	close(sv[0]);
}

UNIT_MAIN("wire/exec", { "jobs come back whole", jobs_come_back_whole }, { "vectors may be empty", vectors_may_be_empty },
	  { "bad jobs are refused", bad_jobs_are_refused }, { "reports cross a socket", reports_cross_a_socket },
	  { "last words outlive an unread order", last_words_outlive_an_unread_order })
