/* lib/wire/fetch: jobs that come through as they were, and reports of a process that cannot be trusted. */
#include "tests/unit/unit.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>

#include "lib/base/fd.h"
#include "lib/wire/fetch.h"

static struct lxm_err err;

static void jobs_come_through(void)
{
	struct fetch_job job = { .verb = FETCH_SERVER, .max_bytes = 1ull << 40, .url = "https://h:8443", .name = "debian/12", .secret = "s",
				 .certificate = "PEM", .no_proxy = "a,b" };
	lxm_auto(fd_close) int fd = -1;
	struct fetch_view v;

	CU_ASSERT_FATAL(fetch_job_seal(&job, &fd, &err) == 0);
	CU_ASSERT_FATAL(fetch_job_open(fd, &v, &err) == 0);
	CU_ASSERT(v.job.verb == FETCH_SERVER && v.job.max_bytes == 1ull << 40);
	CU_ASSERT_STRING_EQUAL(v.job.url, "https://h:8443");
	CU_ASSERT_STRING_EQUAL(v.job.name, "debian/12");
	CU_ASSERT_STRING_EQUAL(v.job.certificate, "PEM");
	CU_ASSERT_STRING_EQUAL(v.job.no_proxy, "a,b");
	CU_ASSERT_STRING_EQUAL(v.job.arch, "");
	fetch_job_close(&v);
}

static void jobs_out_of_bounds_are_refused(void)
{
	char big[FETCH_URL_MAX + 2] = "https://";
	struct fetch_job job = { .verb = FETCH_SERVER, .url = "file:///etc/passwd" };
	int fd = -1;

	CU_ASSERT(fetch_job_seal(&job, &fd, &err) == -EINVAL);
	memset(big + 8, 'x', sizeof(big) - 9);
	job.url = big;
	CU_ASSERT(fetch_job_seal(&job, &fd, &err) == -EINVAL);
	job.url = "https://h";
	job.verb = FETCH_VERBS;
	CU_ASSERT(fetch_job_seal(&job, &fd, &err) == -EINVAL && fd == -1);
}

static void jobs_that_are_not_sealed_are_refused(void)
{
	lxm_auto(fd_close) int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	struct fetch_view v;

	CU_ASSERT(fetch_job_open(fd, &v, &err) == -EBADMSG);
}

static struct fetch_report found(void)
{
	struct fetch_report r = { .kind = FETCH_FOUND };

	memset(r.fingerprint, 'a', 64);
	return r;
}

static void reports_are_checked(void)
{
	struct fetch_report r = found();

	CU_ASSERT(fetch_report_check(&r) == 0);
	r.fingerprint[0] = '/';
	CU_ASSERT(fetch_report_check(&r) == -EBADMSG);
	r = found();
	r.fingerprint[64] = 'a';
	CU_ASSERT(fetch_report_check(&r) == -EBADMSG);
	r = found();
	memset(r.text, 'x', sizeof(r.text));
	CU_ASSERT(fetch_report_check(&r) == -EBADMSG);
	r = found();
	strcpy(r.text, "\xff\xfe");
	CU_ASSERT(fetch_report_check(&r) == -EBADMSG);
	r = found();
	r.kind = FETCH_REPORTS;
	CU_ASSERT(fetch_report_check(&r) == -EBADMSG);
	r = (struct fetch_report){ .kind = FETCH_PROPERTY };
	CU_ASSERT(fetch_report_check(&r) == -EBADMSG);
	r = (struct fetch_report){ .kind = FETCH_FAILED };
	CU_ASSERT(fetch_report_check(&r) == -EBADMSG);
	r.code = EIO;
	CU_ASSERT(fetch_report_check(&r) == 0);
	r.http = 200;
	CU_ASSERT(fetch_report_check(&r) == -EBADMSG);
}

static void reports_come_whole_or_not_at_all(void)
{
	struct fetch_report r = found(), got;
	int sv[2];

	CU_ASSERT_FATAL(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sv) == 0);
	CU_ASSERT(fetch_report_recv(sv[0], &got, 0, &err) == -ETIMEDOUT);
	CU_ASSERT(fetch_report_send(sv[1], &r) == 0);
	CU_ASSERT(fetch_report_recv(sv[0], &got, 1000, &err) == 1 && got.kind == FETCH_FOUND);
	CU_ASSERT(send(sv[1], &r, sizeof(r) - 1, 0) > 0);
	CU_ASSERT(fetch_report_recv(sv[0], &got, 1000, &err) == -EBADMSG);
	close(sv[1]);
	CU_ASSERT(fetch_report_recv(sv[0], &got, 1000, &err) == 0);
	CU_ASSERT(fetch_report_send(sv[0], &r) < 0);
	close(sv[0]);
}

UNIT_MAIN("wire/fetch", { "jobs come through", jobs_come_through }, { "jobs out of bounds are refused", jobs_out_of_bounds_are_refused },
	  { "jobs that are not sealed are refused", jobs_that_are_not_sealed_are_refused }, { "reports are checked", reports_are_checked },
	  { "reports come whole or not at all", reports_come_whole_or_not_at_all })
