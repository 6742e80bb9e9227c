/* http/multipart: bodies as clients send them, and broken ones. */
#include "tests/unit/unit.h"

#include <string.h>
#include <sys/mman.h>

#include "lib/base/fd.h"
#include "lib/tls/multipart.h"

static struct lxm_err err;

static int body(const char *text, size_t n)
{
	int fd = memfd_create("body", MFD_CLOEXEC);

	CU_ASSERT(lxm_write_all(fd, text, n) == 0);
	return fd;
}

static int parse(const char *text, struct multipart *mp)
{
	int fd = body(text, strlen(text)), r = multipart_parse(fd, strlen(text), "XyZ", mp, &err);

	close(fd);
	return r;
}

static void boundaries_are_taken_from_the_header(void)
{
	char b[80];

	CU_ASSERT(multipart_boundary("multipart/form-data; boundary=abc", b, &err) == 0 && strcmp(b, "abc") == 0);
	CU_ASSERT(multipart_boundary("Multipart/Form-Data; charset=x; boundary=\"a b\"", b, &err) == 0 && strcmp(b, "a b") == 0);
	CU_ASSERT(multipart_boundary("application/octet-stream", b, &err) == 1);
	CU_ASSERT(multipart_boundary(NULL, b, &err) == 1);
	CU_ASSERT(multipart_boundary("multipart/form-data", b, &err) == -EINVAL);
	CU_ASSERT(multipart_boundary("multipart/form-data; boundary=", b, &err) == -EINVAL);
}

static void parts_come_out_as_they_were(void)
{
	static const char text[] = "preamble\r\n--XyZ\r\nContent-Disposition: form-data; name=\"metadata\"; filename=\"m.tar\"\r\n"
				   "Content-Type: application/octet-stream\r\n\r\nab\r\n--Xy not yet\r\n--XyZ\r\n"
				   "content-disposition: form-data; name=\"rootfs\"\r\n\r\n\r\n--XyZ--\r\n";
	struct multipart mp;
	char got[64];
	int fd = body(text, sizeof(text) - 1), part;

	CU_ASSERT_FATAL(multipart_parse(fd, sizeof(text) - 1, "XyZ", &mp, &err) == 0);
	CU_ASSERT_FATAL(mp.n == 2);
	CU_ASSERT_STRING_EQUAL(mp.v[0].name, "metadata");
	CU_ASSERT_STRING_EQUAL(mp.v[0].filename, "m.tar");
	CU_ASSERT(mp.v[0].len == 16);
	CU_ASSERT_STRING_EQUAL(mp.v[1].name, "rootfs");
	CU_ASSERT_STRING_EQUAL(mp.v[1].filename, "");
	CU_ASSERT(mp.v[1].len == 0);
	part = multipart_extract(fd, &mp.v[0], -100, &err);
	CU_ASSERT(part >= 0 && pread(part, got, sizeof(got), 0) == 16 && memcmp(got, "ab\r\n--Xy not yet", 16) == 0);
	close(part);
	close(fd);
}

/* a boundary that lies across two reads of the file */
static void large_parts_are_found(void)
{
	static const char head[] = "--XyZ\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n", tail[] = "\r\n--XyZ--\r\n";
	struct multipart mp;
	size_t n;

	for (n = 262144 - 80; n < 262144 + 8; n++) {
		char *text = calloc(1, n + 200);
		int fd;

		memcpy(text, head, sizeof(head) - 1);
		memset(text + sizeof(head) - 1, '-', n);
		memcpy(text + sizeof(head) - 1 + n, tail, sizeof(tail) - 1);
		fd = body(text, sizeof(head) - 1 + n + sizeof(tail) - 1);
		CU_ASSERT(multipart_parse(fd, sizeof(head) - 1 + n + sizeof(tail) - 1, "XyZ", &mp, &err) == 0);
		CU_ASSERT(mp.n == 1 && mp.v[0].len == n);
		close(fd);
		free(text);
	}
}

static void broken_bodies_are_refused(void)
{
	static const char *const bad[] = { "",
					   "--XyZ",
					   "--XyZ\r\n",
					   "--XyZ--\r\n",
					   "nothing here",
					   "--XyZ\r\nno end of headers",
					   "--XyZ\r\nA: b\r\n\r\ncut off",
					   "--XyZtra\r\nA: b\r\n\r\nx\r\n--XyZ--",
					   "--XyZ\r\nA: b\r\n\r\n1\r\n--XyZ\r\nA: b\r\n\r\n2\r\n--XyZ\r\nA: b\r\n\r\n3\r\n--XyZ\r\nA: b\r\n\r\n4\r\n"
					   "--XyZ\r\nA: b\r\n\r\n5\r\n--XyZ--\r\n" };
	struct multipart mp;
	size_t i;

	for (i = 0; i < LXM_ARRAY_LEN(bad); i++)
		CU_ASSERT(parse(bad[i], &mp) == -EINVAL);
}

UNIT_MAIN("http/multipart", { "boundaries are taken from the header", boundaries_are_taken_from_the_header },
	  { "parts come out as they were", parts_come_out_as_they_were }, { "large parts are found", large_parts_are_found },
	  { "broken bodies are refused", broken_bodies_are_refused })
