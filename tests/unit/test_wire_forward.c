/* lib/wire/forward: jobs of lxm-forward. */
#include "tests/unit/unit.h"

#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "lib/base/fd.h"
#include "lib/wire/file.h"
#include "lib/wire/forward.h"

static const uint16_t ports[] = { 80, 443, 8080 };

static struct forward_job good(void)
{
	return (struct forward_job){
		.flags = FORWARD_HEADER,
		.pid = 7,
		.generation = 1ull << 40,
		.udp_idle_ms = 1000,
		.uid = 1,
		.gid = 2,
		.mode = 0600,
		.run_uid = 3,
		.run_gid = 4,
		.listen = { FORWARD_TCP, "fd42::1", { ports, sizeof(ports) } },
		.connect = { FORWARD_TCP, "127.0.0.1", { ports, 2 } },
	};
}

static bool encodes(const struct forward_job *j)
{
	lxm_auto(buf) struct lxm_buf b = { 0 };

	return forward_job_encode(j, &b, NULL) == 0;
}

static void jobs_come_back_whole(void)
{
	lxm_auto(buf) struct lxm_buf b = { 0 };
	unsigned char room[FORWARD_JOB_MAX];
	struct forward_job j = good(), out;
	struct lxm_err e = { 0 };
	int fd;

	CU_ASSERT_EQUAL_FATAL(forward_job_encode(&j, &b, &e), 0);
	fd = lxm_memfd_sealed("job", b.data, b.len);
	CU_ASSERT_EQUAL_FATAL(forward_job_read(fd, room, &out, &e), 0);
	close(fd);
	CU_ASSERT(out.flags == FORWARD_HEADER && out.pid == 7 && out.generation == 1ull << 40 && out.udp_idle_ms == 1000);
	CU_ASSERT(out.uid == 1 && out.gid == 2 && out.mode == 0600 && out.run_uid == 3 && out.run_gid == 4);
	CU_ASSERT(strcmp(out.listen.address, "fd42::1") == 0 && forward_ports(&out.listen) == 3 && forward_port(&out.listen, 2) == 8080);
	CU_ASSERT(forward_ports(&out.connect) == 1 && forward_port(&out.connect, 2) == 80);
	b.data[b.len - 1] ^= 1;
	CU_ASSERT_EQUAL(forward_job_check(b.data, b.len - 1, &out, &e), -EBADMSG);
}

static void what_is_out_of_bounds_is_refused(void)
{
	static uint16_t many[FORWARD_PORTS_MAX + 1];
	char path[FORWARD_PATH_MAX + 3] = "/";
	struct forward_job j = good();
	size_t i;

	CU_ASSERT(encodes(&j));
	for (i = 0; i <= FORWARD_PORTS_MAX; i++)
		many[i] = (uint16_t)(i + 1);
	j.listen.ports = (struct wire_bytes){ many, sizeof(many) - 2 };
	CU_ASSERT(encodes(&j));
	j.listen.ports.len = sizeof(many);
	CU_ASSERT(!encodes(&j));
	many[1] = 0;
	j.listen.ports.len = 4;
	CU_ASSERT(!encodes(&j));
	j = good();
	j.connect.ports = (struct wire_bytes){ ports, 4 }; /* two for three */
	CU_ASSERT(!encodes(&j));
	j = good();
	j.connect.address = "localhost";
	CU_ASSERT(!encodes(&j));
	j = good();
	j.listen.type = FORWARD_UDP; /* to tcp */
	CU_ASSERT(!encodes(&j));
	j.connect.type = FORWARD_UDP;
	CU_ASSERT(encodes(&j));
	j = good();
	j.listen = (struct forward_end){ FORWARD_UNIX, "@name", { 0 } };
	CU_ASSERT(encodes(&j));
	j.listen.address = "relative";
	CU_ASSERT(!encodes(&j));
	memset(path + 1, 'x', FORWARD_PATH_MAX - 1);
	j.listen.address = path;
	CU_ASSERT(encodes(&j));
	path[FORWARD_PATH_MAX] = 'x';
	CU_ASSERT(!encodes(&j));
	j = good();
	j.flags = FORWARD_FLAGS + 1;
	CU_ASSERT(!encodes(&j));
}

/* Each kind of job has a magic of its own: one is never taken for another. */
static void other_jobs_are_told_apart(void)
{
	const struct file_job file = { .verb = FILE_GET, .flags = FILE_RUNNING, .path = "/" };
	unsigned char room[FORWARD_JOB_MAX];
	struct forward_job out;
	struct lxm_err e = { 0 };
	int fd = -1, plain;

	CU_ASSERT_EQUAL_FATAL(file_job_seal(&file, &fd, &e), 0);
	CU_ASSERT_EQUAL(forward_job_read(fd, room, &out, &e), -EBADMSG);
	CU_ASSERT_PTR_NOT_NULL(strstr(e.msg, "another format"));
	close(fd);
	/* what can still change is not looked at */
	plain = memfd_create("job", MFD_CLOEXEC);
	CU_ASSERT_EQUAL(forward_job_read(plain, room, &out, &e), -EBADMSG);
	CU_ASSERT_PTR_NOT_NULL(strstr(e.msg, "not a sealed memory file"));
	close(plain);
}

UNIT_MAIN("wire/forward", { "a job survives the way", jobs_come_back_whole }, { "jobs without sense are refused", what_is_out_of_bounds_is_refused },
	  { "a job of another kind is none", other_jobs_are_told_apart })
