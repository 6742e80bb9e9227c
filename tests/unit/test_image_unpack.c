/* image/unpack: what a good archive becomes, and each way in which a hostile one is refused whole. */
#include "tests/unit/scratch.h"
#include "tests/unit/unit.h"

#include <archive.h>
#include <archive_entry.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>

#include "lib/base/alloc.h"
#include "lib/base/fd.h"
#include "lxmd/image/metadata.h"
#include "lxmd/image/unpack.h"

/* ---- archives made to order */

struct tarball {
	struct archive *a;
	int fd;
};

static void tar_open(struct tarball *t, int filter)
{
	t->fd = memfd_create("tar", MFD_CLOEXEC);
	t->a = archive_write_new();
	archive_write_set_format_pax_restricted(t->a);
	if (filter)
		archive_write_add_filter(t->a, filter);
	archive_write_open_fd(t->a, t->fd);
}

static struct archive_entry *entry(const char *path, unsigned int type, unsigned int perm)
{
	struct archive_entry *e = archive_entry_new();

	archive_entry_set_pathname(e, path);
	archive_entry_set_filetype(e, type);
	archive_entry_set_perm(e, perm);
	archive_entry_set_mtime(e, 1600000000, 0);
	return e;
}

static void put(struct tarball *t, struct archive_entry *e, const char *data)
{
	if (data)
		archive_entry_set_size(e, (la_int64_t)strlen(data));
	if (archive_write_header(t->a, e) != ARCHIVE_OK)
		printf("(%s) ", archive_error_string(t->a));
	if (data)
		archive_write_data(t->a, data, strlen(data));
	archive_entry_free(e);
}

static void put_file(struct tarball *t, const char *path, const char *data)
{
	put(t, entry(path, AE_IFREG, 0644), data);
}

static void put_dir(struct tarball *t, const char *path)
{
	put(t, entry(path, AE_IFDIR, 0755), NULL);
}

static void put_symlink(struct tarball *t, const char *path, const char *to)
{
	struct archive_entry *e = entry(path, AE_IFLNK, 0777);

	archive_entry_set_symlink(e, to);
	put(t, e, NULL);
}

static void put_hardlink(struct tarball *t, const char *path, const char *to)
{
	struct archive_entry *e = entry(path, AE_IFREG, 0644);

	archive_entry_set_hardlink(e, to);
	put(t, e, NULL);
}

static void put_device(struct tarball *t, const char *path)
{
	struct archive_entry *e = entry(path, AE_IFCHR, 0666);

	archive_entry_set_rdev(e, makedev(1, 3));
	put(t, e, NULL);
}

/* The least that makes an image. */
static void put_base(struct tarball *t)
{
	put_file(t, "metadata.yaml", "architecture: x86_64\ncreation_date: 1\n");
	put_dir(t, "rootfs");
	put_dir(t, "rootfs/sbin");
	put(t, entry("rootfs/sbin/init", AE_IFREG, 0755), "#!/bin/sh\n");
}

static void tar_close(struct tarball *t)
{
	archive_write_close(t->a);
	archive_write_free(t->a);
	t->a = NULL;
}

/* ---- unpacking into a private directory */

static char top[SCRATCH_MAX];
static struct lxm_err err;
static struct unpack_report report;

static int fresh_dir(void)
{
	scratch(top, "unpack");
	return open(top, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

static void drop_dir(int fd)
{
	close(fd);
	CU_ASSERT(lxm_rm_tree_at(AT_FDCWD, top) == 0);
}

static int unpack_part(struct tarball *t, int dirfd, enum image_part part)
{
	struct unpack_spec spec = { .fd = t->fd, .part = part, .name = "image 'x'" };

	memset(&err, 0, sizeof(err));
	memset(&report, 0, sizeof(report));
	return image_unpack(&spec, dirfd, top, &report, &err);
}

/* Unpacks and closes; what came is thrown away. */
static int unpack(struct tarball *t)
{
	int dirfd = fresh_dir(), r;

	tar_close(t);
	r = unpack_part(t, dirfd, IMAGE_UNIFIED);
	drop_dir(dirfd);
	close(t->fd);
	return r;
}

#define REFUSED(t, why)                                            \
	do {                                                       \
		CU_ASSERT(unpack(t) == -EINVAL);                   \
		if (!strstr(err.msg, why))                         \
			printf("\n    said: %s\n", err.msg);       \
		CU_ASSERT_PTR_NOT_NULL(strstr(err.msg, why));      \
	} while (0)

static void a_good_image_comes_out_whole(void)
{
	static const int filters[] = { 0, ARCHIVE_FILTER_GZIP, ARCHIVE_FILTER_XZ, ARCHIVE_FILTER_ZSTD, ARCHIVE_FILTER_BZIP2,
				       ARCHIVE_FILTER_LZMA };
	lxm_auto(buf) struct lxm_buf text = { 0 };
	struct stat st, st2;
	size_t i;

	for (i = 0; i < LXM_ARRAY_LEN(filters); i++) {
		struct tarball t;
		int fd = fresh_dir();

		tar_open(&t, filters[i]);
		put_base(&t);
		put_dir(&t, "templates");
		put_file(&t, "templates/a.tpl", "x");
		put_file(&t, "rootfs/etc/deep/file", "hello");
		put_hardlink(&t, "rootfs/etc/other", "rootfs/etc/deep/file");
		put_symlink(&t, "rootfs/bin", "usr/bin");
		tar_close(&t);
		CU_ASSERT(unpack_part(&t, fd, IMAGE_UNIFIED) == 0);
		CU_ASSERT_STRING_EQUAL(err.msg, "");
		CU_ASSERT(lxm_read_regular_beneath(fd, "rootfs/etc/deep/file", 100, &text) == 0);
		CU_ASSERT(text.len == 5 && memcmp(text.data, "hello", 5) == 0);
		CU_ASSERT(fstatat(fd, "rootfs/etc/deep/file", &st, 0) == 0 && fstatat(fd, "rootfs/etc/other", &st2, 0) == 0);
		CU_ASSERT(st.st_ino == st2.st_ino && st.st_mtim.tv_sec == 1600000000);
		CU_ASSERT(fstatat(fd, "rootfs/sbin", &st, 0) == 0 && st.st_mtim.tv_sec == 1600000000);
		CU_ASSERT(fstatat(fd, "rootfs/bin", &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISLNK(st.st_mode));
		CU_ASSERT(faccessat(fd, "templates/a.tpl", F_OK, 0) == 0);
		drop_dir(fd);
		close(t.fd);
	}
}

static void a_root_of_a_split_image_goes_below_rootfs(void)
{
	struct tarball t;
	struct stat st;
	int fd = fresh_dir();

	tar_open(&t, 0);
	put(&t, entry("./", AE_IFDIR, 0711), NULL);
	put(&t, entry("./init", AE_IFREG, 0755), "x");
	tar_close(&t);
	CU_ASSERT(unpack_part(&t, fd, IMAGE_ROOTFS) == 0);
	CU_ASSERT(fstatat(fd, "rootfs", &st, 0) == 0 && (st.st_mode & 07777) == 0711);
	CU_ASSERT(faccessat(fd, "rootfs/init", F_OK, 0) == 0);
	close(t.fd);
	tar_open(&t, 0);
	put_file(&t, "metadata.yaml", "x: y\n");
	put_file(&t, "ignored", "x");
	tar_close(&t);
	CU_ASSERT(unpack_part(&t, fd, IMAGE_METADATA) == 0);
	CU_ASSERT(faccessat(fd, "metadata.yaml", F_OK, 0) == 0 && faccessat(fd, "ignored", F_OK, 0) < 0);
	close(t.fd);
	drop_dir(fd);
}

static void owners_modes_capabilities_and_acls_stay(void)
{
	static const unsigned char cap[20] = { 1, 0, 0, 2, 0, 0x20 }; /* v2, effective, CAP_NET_RAW */
	struct archive_entry *e;
	struct tarball t;
	struct stat st;
	char value[200];
	int fd = fresh_dir();

	tar_open(&t, 0);
	put_base(&t);
	e = entry("rootfs/su", AE_IFREG, 04755);
	archive_entry_set_uid(e, 1000);
	archive_entry_set_gid(e, 70000);
	archive_entry_xattr_add_entry(e, "security.capability", cap, sizeof(cap));
	archive_entry_xattr_add_entry(e, "user.note", "hi", 2);
	archive_entry_xattr_add_entry(e, "trusted.overlay.redirect", "/x", 2);
	archive_entry_xattr_add_entry(e, "user.overlay.opaque", "y", 1);
	archive_entry_acl_add_entry(e, ARCHIVE_ENTRY_ACL_TYPE_ACCESS, 6, ARCHIVE_ENTRY_ACL_USER, 33, "33");
	archive_entry_acl_add_entry(e, ARCHIVE_ENTRY_ACL_TYPE_ACCESS, 7, ARCHIVE_ENTRY_ACL_MASK, -1, "");
	put(&t, e, "x");
	tar_close(&t);
	CU_ASSERT(unpack_part(&t, fd, IMAGE_UNIFIED) == 0);
	CU_ASSERT_STRING_EQUAL(err.msg, "");
	CU_ASSERT(fstatat(fd, "rootfs/su", &st, 0) == 0 && st.st_uid == 1000 && st.st_gid == 70000 && (st.st_mode & 07000) == 04000);
	snprintf(value, sizeof(value), "%s/rootfs/su", top);
	{
		lxm_auto(fd_close) int f = open(value, O_RDONLY | O_CLOEXEC);

		CU_ASSERT(fgetxattr(f, "security.capability", value, sizeof(value)) == sizeof(cap));
		CU_ASSERT(fgetxattr(f, "user.note", value, sizeof(value)) == 2 || errno == EOPNOTSUPP);
		CU_ASSERT(fgetxattr(f, "system.posix_acl_access", value, sizeof(value)) == 4 + 5 * 8 || errno == EOPNOTSUPP);
		CU_ASSERT(fgetxattr(f, "trusted.overlay.redirect", value, sizeof(value)) < 0);
		CU_ASSERT(fgetxattr(f, "user.overlay.opaque", value, sizeof(value)) < 0);
	}
	close(t.fd);
	drop_dir(fd);
}

static void large_sparse_files_stay_sparse(void)
{
	const int64_t size = 5LL << 30;
	struct archive_entry *e;
	struct tarball t;
	struct stat st;
	char *zeros = calloc(1, 1 << 20);
	int fd = fresh_dir(), i;

	tar_open(&t, 0);
	put_base(&t);
	e = entry("rootfs/big", AE_IFREG, 0644);
	archive_entry_set_size(e, size);
	archive_entry_sparse_add_entry(e, 0, 4096);
	archive_entry_sparse_add_entry(e, size - 4096, 4096);
	archive_write_header(t.a, e);
	for (i = 0; i < size >> 20; i++)
		archive_write_data(t.a, zeros, 1 << 20);
	archive_entry_free(e);
	tar_close(&t);
	CU_ASSERT(unpack_part(&t, fd, IMAGE_UNIFIED) == 0);
	CU_ASSERT(fstatat(fd, "rootfs/big", &st, 0) == 0 && st.st_size == size && st.st_blocks < 1000);
	free(zeros);
	close(t.fd);
	drop_dir(fd);
}

static void names_of_any_bytes_are_kept(void)
{
	struct tarball t;
	int fd = fresh_dir();

	tar_open(&t, 0);
	put_base(&t);
	put_file(&t, "rootfs/\xc3\xa9t\xc3\xa9", "utf-8");
	put_file(&t, "rootfs/\xff\xfe", "bytes");
	tar_close(&t);
	CU_ASSERT(unpack_part(&t, fd, IMAGE_UNIFIED) == 0);
	CU_ASSERT_STRING_EQUAL(err.msg, "");
	CU_ASSERT(faccessat(fd, "rootfs/\xc3\xa9t\xc3\xa9", F_OK, 0) == 0);
	CU_ASSERT(faccessat(fd, "rootfs/\xff\xfe", F_OK, 0) == 0);
	close(t.fd);
	drop_dir(fd);
}

static void absolute_names_are_refused(void)
{
	struct tarball t;

	tar_open(&t, 0);
	put_base(&t);
	put_file(&t, "/tmp/lxm-evil", "x");
	REFUSED(&t, "absolute");
	CU_ASSERT(access("/tmp/lxm-evil", F_OK) < 0);
}

static void dot_dot_is_refused(void)
{
	static const char *const names[] = { "../evil", "rootfs/../../evil", "rootfs/..", "..", "rootfs/a/../b" };
	struct tarball t;
	size_t i;

	for (i = 0; i < LXM_ARRAY_LEN(names); i++) {
		tar_open(&t, 0);
		put_base(&t);
		put_file(&t, names[i], "x");
		REFUSED(&t, "'..'");
	}
}

static void entries_that_repeat_are_refused(void)
{
	struct tarball t;

	tar_open(&t, 0);
	put_base(&t);
	put_file(&t, "rootfs/sbin/init", "other");
	REFUSED(&t, "comes twice");
	/* written differently, still the same */
	tar_open(&t, 0);
	put_base(&t);
	put_file(&t, "./rootfs//sbin/./init", "other");
	REFUSED(&t, "comes twice");
	/* a directory that becomes a link to the host (CVE-2026-48749) */
	tar_open(&t, 0);
	put_base(&t);
	put_symlink(&t, "rootfs", "/");
	REFUSED(&t, "'rootfs");
	tar_open(&t, 0);
	put_base(&t);
	put_file(&t, "metadata.yaml", "second");
	REFUSED(&t, "comes twice");
}

static void paths_through_links_and_files_are_refused(void)
{
	struct tarball t;

	tar_open(&t, 0);
	put_base(&t);
	put_symlink(&t, "rootfs/esc", "/tmp");
	put_file(&t, "rootfs/esc/lxm-evil", "x");
	REFUSED(&t, "passes through");
	CU_ASSERT(access("/tmp/lxm-evil", F_OK) < 0);
	tar_open(&t, 0);
	put_base(&t);
	put_file(&t, "rootfs/sbin/init/x", "x");
	REFUSED(&t, "passes through");
	/* first the file below, then the link in its directory's place */
	tar_open(&t, 0);
	put_base(&t);
	put_file(&t, "rootfs/d/f", "x");
	put_symlink(&t, "rootfs/d", "/tmp");
	REFUSED(&t, "comes twice");
	tar_open(&t, 0);
	put_base(&t);
	put_symlink(&t, "templates", "/etc");
	REFUSED(&t, "not a directory");
	tar_open(&t, 0);
	put_base(&t);
	put_symlink(&t, "templates/a.tpl", "/etc/shadow");
	REFUSED(&t, "not a regular file");
}

static void hard_links_lead_to_earlier_files_only(void)
{
	static const char *const targets[] = { "/etc/passwd", "../../etc/passwd", "rootfs/later", "rootfs/sbin" };
	struct tarball t;
	size_t i;

	for (i = 0; i < LXM_ARRAY_LEN(targets); i++) {
		tar_open(&t, 0);
		put_base(&t);
		put_hardlink(&t, "rootfs/link", targets[i]);
		CU_ASSERT(unpack(&t) == -EINVAL);
	}
	tar_open(&t, 0);
	put_base(&t);
	put_hardlink(&t, "rootfs/link", "metadata.yaml");
	REFUSED(&t, "outside its root");
	tar_open(&t, 0);
	put_dir(&t, "rootfs");
	put_file(&t, "rootfs/x", "x: y");
	put_hardlink(&t, "metadata.yaml", "rootfs/x");
	CU_ASSERT(unpack(&t) == -EINVAL);
}

static void device_nodes_are_left_out(void)
{
	struct tarball t;
	struct stat st;
	int fd = fresh_dir();

	tar_open(&t, 0);
	put_base(&t);
	put_dir(&t, "rootfs/dev");
	put_device(&t, "rootfs/dev/null");
	put_hardlink(&t, "rootfs/dev/also", "rootfs/dev/null");
	tar_close(&t);
	CU_ASSERT(unpack_part(&t, fd, IMAGE_UNIFIED) == 0);
	CU_ASSERT(report.devices_left_out == 2);
	CU_ASSERT(fstatat(fd, "rootfs/dev/null", &st, AT_SYMLINK_NOFOLLOW) < 0);
	CU_ASSERT(fstatat(fd, "rootfs/dev/also", &st, AT_SYMLINK_NOFOLLOW) < 0);
	close(t.fd);
	drop_dir(fd);
}

static void metadata_must_be_a_regular_file(void)
{
	struct tarball t;

	tar_open(&t, 0);
	put_symlink(&t, "metadata.yaml", "/etc/passwd");
	put_file(&t, "rootfs/init", "x");
	REFUSED(&t, "not a regular file");
	tar_open(&t, 0);
	put_file(&t, "rootfs/init", "x");
	REFUSED(&t, "no 'metadata.yaml'");
}

static void an_image_without_init_is_refused(void)
{
	struct tarball t;

	tar_open(&t, 0);
	put_file(&t, "metadata.yaml", "x: y");
	put_dir(&t, "rootfs");
	put_file(&t, "rootfs/etc/passwd", "x");
	REFUSED(&t, "has no init");
	tar_open(&t, 0);
	put_file(&t, "metadata.yaml", "x: y");
	put_file(&t, "rootfs.img", "qcow");
	REFUSED(&t, "virtual machine");
}

static void bombs_are_stopped(void)
{
	struct unpack_spec spec = { .part = IMAGE_UNIFIED, .name = "bomb", .max_bytes = 1 << 20, .max_entries = 100 };
	char *zeros = calloc(1, 1 << 20), name[32];
	struct archive_entry *e;
	struct tarball t;
	int i, fd = fresh_dir();

	tar_open(&t, ARCHIVE_FILTER_XZ);
	put_base(&t);
	e = entry("junk", AE_IFREG, 0644); /* not even part of the image */
	archive_entry_set_size(e, 64 << 20);
	archive_write_header(t.a, e);
	for (i = 0; i < 64; i++)
		archive_write_data(t.a, zeros, 1 << 20);
	archive_entry_free(e);
	tar_close(&t);
	spec.fd = t.fd;
	CU_ASSERT(image_unpack(&spec, fd, top, NULL, &err) == -EFBIG);
	CU_ASSERT(image_check(&spec, NULL, NULL, &err) == -EFBIG);
	close(t.fd);
	drop_dir(fd);
	free(zeros);

	fd = fresh_dir();
	tar_open(&t, 0);
	put_base(&t);
	for (i = 0; i < 200; i++) {
		snprintf(name, sizeof(name), "rootfs/%d", i);
		put_file(&t, name, "");
	}
	tar_close(&t);
	spec.fd = t.fd;
	CU_ASSERT(image_unpack(&spec, fd, top, NULL, &err) == -EFBIG);
	close(t.fd);
	drop_dir(fd);
}

static void garbage_and_cut_archives_are_refused(void)
{
	static const char *const junk[] = { "", "x", "this is not an archive", "\x1f\x8b\x08garbage", "hsqs" };
	struct unpack_spec spec = { .part = IMAGE_UNIFIED, .name = "junk" };
	struct tarball t;
	struct stat st;
	size_t i;
	int fd;

	for (i = 0; i < LXM_ARRAY_LEN(junk); i++) {
		fd = fresh_dir();
		spec.fd = memfd_create("junk", MFD_CLOEXEC);
		CU_ASSERT(write(spec.fd, junk[i], strlen(junk[i])) >= 0);
		CU_ASSERT(image_unpack(&spec, fd, top, NULL, &err) == -EINVAL);
		CU_ASSERT(image_check(&spec, NULL, NULL, &err) == -EINVAL);
		close(spec.fd);
		drop_dir(fd);
	}
	tar_open(&t, ARCHIVE_FILTER_GZIP);
	put_base(&t);
	tar_close(&t);
	CU_ASSERT(fstat(t.fd, &st) == 0 && ftruncate(t.fd, st.st_size / 2) == 0);
	fd = fresh_dir();
	spec.fd = t.fd;
	CU_ASSERT(image_unpack(&spec, fd, top, NULL, &err) == -EINVAL);
	close(t.fd);
	drop_dir(fd);
}

static void checking_finds_the_same_and_reads_metadata(void)
{
	struct unpack_spec spec = { .part = IMAGE_UNIFIED, .name = "image 'x'" };
	lxm_auto(buf) struct lxm_buf text = { 0 };
	struct tarball t;

	tar_open(&t, ARCHIVE_FILTER_ZSTD);
	put_base(&t);
	tar_close(&t);
	spec.fd = t.fd;
	CU_ASSERT(image_check(&spec, &text, &report, &err) == 0);
	CU_ASSERT(report.has_init && report.has_metadata);
	CU_ASSERT(text.len && memcmp(text.data, "architecture", 12) == 0);
	text.len = 0;
	CU_ASSERT(image_peek_metadata(&spec, &text, &err) == 0 && text.len > 12);
	CU_ASSERT_STRING_EQUAL(image_suffix_of(t.fd), "tar.zst");
	close(t.fd);

	tar_open(&t, 0);
	put_base(&t);
	put_file(&t, "rootfs/sbin/init", "twice");
	tar_close(&t);
	spec.fd = t.fd;
	CU_ASSERT(image_check(&spec, &text, &report, &err) == -EINVAL);
	close(t.fd);
}

UNIT_MAIN("image/unpack", { "a good image comes out whole", a_good_image_comes_out_whole },
	  { "a root of a split image goes below rootfs", a_root_of_a_split_image_goes_below_rootfs },
	  { "owners, modes, capabilities and ACLs stay", owners_modes_capabilities_and_acls_stay },
	  { "large sparse files stay sparse", large_sparse_files_stay_sparse },
	  { "names of any bytes are kept", names_of_any_bytes_are_kept }, { "absolute names are refused", absolute_names_are_refused },
	  { "dot dot is refused", dot_dot_is_refused }, { "entries that repeat are refused", entries_that_repeat_are_refused },
	  { "paths through links and files are refused", paths_through_links_and_files_are_refused },
	  { "hard links lead to earlier files only", hard_links_lead_to_earlier_files_only },
	  { "device nodes are left out", device_nodes_are_left_out },
	  { "metadata must be a regular file", metadata_must_be_a_regular_file },
	  { "an image without init is refused", an_image_without_init_is_refused }, { "bombs are stopped", bombs_are_stopped },
	  { "garbage and cut archives are refused", garbage_and_cut_archives_are_refused },
	  { "checking finds the same and reads metadata", checking_finds_the_same_and_reads_metadata })
