/* SFTP packets: what is written is read back, and nothing that is cut short or lies about its length is taken. */
#include <errno.h>
#include <string.h>

#include "lib/wire/file.h"
#include "lib/wire/sftp.h"
#include "unit.h"

static void reads_back_what_was_written(void)
{
	const struct sftp_attrs a = { .flags = 15, .size = 1ull << 40, .uid = 1, .gid = 2, .mode = 0100644, .atime = 3, .mtime = 4 };
	lxm_auto(buf) struct lxm_buf b = { 0 };
	size_t at = sftp_begin(&b, SFTP_OPEN, 7);
	struct sftp_request rq;

	sftp_put_str(&b, "/etc/x");
	sftp_put_u32(&b, SFTP_F_READ);
	sftp_put_attrs(&b, &a);
	sftp_end(&b, at);
	CU_ASSERT_EQUAL(sftp_request_parse(b.data + 4, b.len - 4, &rq), 0);
	CU_ASSERT_EQUAL(rq.type, SFTP_OPEN);
	CU_ASSERT_EQUAL(rq.id, 7);
	CU_ASSERT(rq.path.len == 6 && memcmp(rq.path.p, "/etc/x", 6) == 0);
	CU_ASSERT_EQUAL(rq.flags, SFTP_F_READ);
	CU_ASSERT(rq.attrs.flags == a.flags && rq.attrs.size == a.size && rq.attrs.uid == a.uid && rq.attrs.gid == a.gid);
	CU_ASSERT(rq.attrs.mode == a.mode && rq.attrs.atime == a.atime && rq.attrs.mtime == a.mtime);
	CU_ASSERT_EQUAL(b.data[3], (char)(b.len - 4));
}

static void refuses_every_cut(void)
{
	lxm_auto(buf) struct lxm_buf b = { 0 };
	size_t at = sftp_begin(&b, SFTP_WRITE, 9), n;
	struct sftp_request rq;

	sftp_put_str(&b, "12345678");
	sftp_put_u64(&b, 5);
	sftp_put_str(&b, "data");
	sftp_end(&b, at);
	for (n = 4; n < b.len; n++) {
		lxm_auto(free) char *copy = malloc(n - 4 + 1);

		memcpy(copy, b.data + 4, n - 4);
		CU_ASSERT_EQUAL(sftp_request_parse(copy, n - 4, &rq), -EBADMSG);
	}
	CU_ASSERT_EQUAL(sftp_request_parse(b.data + 4, b.len - 4, &rq), 0);
	CU_ASSERT(rq.offset == 5 && rq.second.len == 4);
}

static void refuses_lengths_beyond_the_packet(void)
{
	static const unsigned char evil[] = { SFTP_STAT, 0, 0, 0, 1, 0xff, 0xff, 0xff, 0xff, 'x' };
	struct sftp_request rq;

	CU_ASSERT_EQUAL(sftp_request_parse(evil, sizeof(evil), &rq), -EBADMSG);
	CU_ASSERT_EQUAL(rq.id, 1);
}

static void knows_its_extensions_only(void)
{
	lxm_auto(buf) struct lxm_buf b = { 0 };
	size_t at = sftp_begin(&b, SFTP_EXTENDED, 1);
	struct sftp_request rq;

	sftp_put_str(&b, "hardlink@openssh.com");
	sftp_put_str(&b, "/a");
	sftp_put_str(&b, "/b");
	sftp_end(&b, at);
	CU_ASSERT_EQUAL(sftp_request_parse(b.data + 4, b.len - 4, &rq), 0);
	CU_ASSERT(rq.second.len == 2);
	b.len = 0;
	at = sftp_begin(&b, SFTP_EXTENDED, 1);
	sftp_put_str(&b, "hardlink@openssh.co");
	sftp_end(&b, at);
	CU_ASSERT_EQUAL(sftp_request_parse(b.data + 4, b.len - 4, &rq), -EOPNOTSUPP);
	b.len = 0;
	at = sftp_begin(&b, 77, 1);
	sftp_end(&b, at);
	CU_ASSERT_EQUAL(sftp_request_parse(b.data + 4, b.len - 4, &rq), -EOPNOTSUPP);
}

static void shows_a_file_as_ls_does(void)
{
	const struct stat st = { .st_mode = S_IFDIR | 0751, .st_nlink = 2, .st_uid = 5, .st_size = 4096 };
	char line[400];

	sftp_longname("name", &st, line);
	CU_ASSERT_EQUAL(strncmp(line, "drwxr-x--x    2 5 ", 18), 0);
	CU_ASSERT(lxm_ends(line, " name"));
}

static void translates_errors_both_ways(void)
{
	CU_ASSERT_EQUAL(sftp_status_of(ENOENT), SFTP_NO_SUCH_FILE);
	CU_ASSERT_EQUAL(sftp_status_of(EISDIR), SFTP_FAILURE);
	CU_ASSERT_EQUAL(sftp_errno_of(SFTP_PERMISSION_DENIED), EACCES);
	CU_ASSERT_EQUAL(sftp_errno_of(12345), EIO);
}

static void seals_and_opens_a_file_job(void)
{
	struct file_job j = { .verb = FILE_PUT, .type = FILE_TYPE_SYMLINK, .path = "/a\n\xff", .target = "/b", .uid = 1, .gid = 2, .mode = 0644,
			      .flags = FILE_RUNNING };
	struct file_view v;
	int fd = -1;

	CU_ASSERT_EQUAL_FATAL(file_job_seal(&j, &fd, NULL), 0);
	CU_ASSERT_EQUAL_FATAL(file_job_open(fd, &v, NULL), 0);
	CU_ASSERT_STRING_EQUAL(v.job.path, "/a\n\xff");
	CU_ASSERT_STRING_EQUAL(v.job.target, "/b");
	file_job_close(&v);
	(void)close(fd);
	/* a root to make, and one that is there, exclude each other */
	j.root_dir = "/x";
	CU_ASSERT(file_job_seal(&j, &fd, NULL) < 0);
	j.flags = 0;
	CU_ASSERT(file_job_seal(&j, &fd, NULL) < 0); /* no id map */
	j.uid_map = j.gid_map = "0 100000 65536\n";
	CU_ASSERT_EQUAL(file_job_seal(&j, &fd, NULL), 0);
	(void)close(fd);
	j.mode = 010000;
	CU_ASSERT(file_job_seal(&j, &fd, NULL) < 0);
}

static void cleans_text_for_json(void)
{
	lxm_auto(free) char *a = lxm_utf8_clean("gr\xc3\xbcn"), *b = lxm_utf8_clean("\xff" "a\xc3"), *c = lxm_utf8_clean("");

	CU_ASSERT_STRING_EQUAL(a, "gr\xc3\xbcn");
	CU_ASSERT_STRING_EQUAL(b, "\xef\xbf\xbd" "a\xef\xbf\xbd");
	CU_ASSERT_STRING_EQUAL(c, "");
}

UNIT_MAIN("wire/sftp", { "reads back what was written", reads_back_what_was_written }, { "refuses every cut", refuses_every_cut },
	  { "refuses lengths beyond the packet", refuses_lengths_beyond_the_packet }, { "knows its extensions only", knows_its_extensions_only },
	  { "shows a file as ls does", shows_a_file_as_ls_does }, { "translates errors both ways", translates_errors_both_ways },
	  { "seals and opens a file job", seals_and_opens_a_file_job }, { "cleans text for JSON", cleans_text_for_json })
