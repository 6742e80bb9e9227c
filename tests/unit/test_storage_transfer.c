/* storage: volumes as streams, from one pool into another through memory; and what a hostile sender tries. */
#include "tests/unit/scratch.h"
#include "tests/unit/unit.h"

#include <endian.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>

#include "db/instance.h"
#include "lib/base/alloc.h"
#include "lib/base/fd.h"
#include "lib/base/hash.h"
#include "lxmd/core/daemon.h"
#include "lxmd/core/workers.h"
#include "lxmd/storage/pool_priv.h"
#include "lxmd/storage/record.h"
#include "lxmd/storage/transfer.h"

#define FP "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define A  VOLUME_OF_INSTANCE("default", "a")
#define B  VOLUME_OF_INSTANCE("default", "b")

static char top[SCRATCH_MAX];
static struct lxmd d;
static struct lxm_err err;

static void put_file(int dir, const char *path, const char *text)
{
	int fd = openat(dir, path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

	CU_ASSERT(fd >= 0 && lxm_write_all(fd, text, strlen(text)) == 0);
	close(fd);
}

static int fake_unpack(struct lxmd *dm, const char *fp, int dir, const char *path, struct op *op, struct lxm_err *e)
{
	mkdirat(dir, "rootfs", 0755);
	put_file(dir, "rootfs/init", "#!/bin/sh\n");
	put_file(dir, "metadata.yaml", "architecture: x86_64\n");
	mkdirat(dir, "templates", 0755);
	put_file(dir, "templates/a.tpl", "x");
	return 0;
}

static void begin(void)
{
	char pools[80];

	memset(&d, 0, sizeof(d));
	memset(&err, 0, sizeof(err));
	scratch(top, "transfer");
	snprintf(pools, sizeof(pools), "%s/pools", top);
	mkdir(pools, 0700);
	d.dirs.pools.path = lxm_strdup(pools);
	d.dirs.pools.fd = open(pools, O_PATH | O_CLOEXEC);
	d.workers = workers_new(4);
	CU_ASSERT_FATAL(db_cluster_open(top, &d.db, &err) == 0);
	CU_ASSERT_FATAL(storage_start(&d, &err) == 0);
	storage_set_unpacker(&d, fake_unpack);
}

static void end(void)
{
	storage_stop(&d);
	workers_free(d.workers);
	db_cluster_close(d.db);
	close(d.dirs.pools.fd);
	free(d.dirs.pools.path);
	CU_ASSERT(lxm_rm_tree_at(AT_FDCWD, top) == 0);
}

static struct pool *make_pool(const char *name, const char *driver)
{
	struct lxm_kv none = { 0 };
	struct pool *pool = NULL;

	CU_ASSERT_FATAL(storage_pool_create(&d, name, driver, "", &none, &err) == 0);
	CU_ASSERT_FATAL(storage_pool_get(&d, name, &pool, &err) == 0);
	return pool;
}

/* ---- a stream in memory */

struct memory {
	struct lxm_buf b;
	size_t at;
};

static int mem_put(void *arg, const void *data, size_t n, struct lxm_err *e)
{
	lxm_buf_add(&((struct memory *)arg)->b, data, n);
	return 0;
}

static int mem_get(void *arg, void *data, size_t n, struct lxm_err *e)
{
	struct memory *m = arg;

	if (m->b.len - m->at < n)
		return lxm_err_set(e, EPIPE, "end");
	memcpy(data, m->b.data + m->at, n);
	m->at += n;
	return 0;
}

static struct transfer_io io_of(struct memory *m)
{
	return (struct transfer_io){ .put = mem_put, .get = mem_get, .arg = m };
}

static int receive(struct pool *pool, struct memory *m, enum transfer_form form, bool devices, const struct volume_id *have)
{
	struct transfer_take how = { .form = form, .image = FP, .devices = devices, .have = have };
	struct transfer_progress p = { 0 };
	struct transfer_io io = io_of(m);
	struct transfer_volume *v = NULL;
	int r;

	lxm_err_clear(&err);
	r = pool_volume_take(pool, &how, &io, &p, NULL, &v, &err);
	return r < 0 ? r : transfer_keep(v, B, &err);
}

static int send_it(struct pool *pool, struct memory *m, enum transfer_form form, const struct transfer_have *have)
{
	struct transfer_progress p = { 0 };
	struct transfer_io io = io_of(m);

	return pool_volume_send(pool, A, form, have, false, &io, &p, &err);
}

static int count_tmp(struct pool *pool)
{
	lxm_auto(free) char *cmd = lxm_asprintf("%s/tmp", pool_path(pool));
	struct stat st;

	return stat(cmd, &st) == 0 ? (int)st.st_nlink - 2 : -1;
}

/* ---- what a volume holds */

static int root_of(struct pool *pool, const struct volume_id *v)
{
	int fd = -1;

	CU_ASSERT_FATAL(pool_volume_open_root(pool, v, true, &fd, &err) == 0);
	return fd;
}

static void furnish(struct pool *pool)
{
	static const struct timespec when[2] = { { 1000, 1 }, { 1234567, 987654321 } };
	int root = root_of(pool, A), fd;
	char path[64];

	mkdirat(root, "d", 0755);
	put_file(root, "d/f", "content");
	CU_ASSERT(linkat(root, "d/f", root, "f2", 0) == 0);
	CU_ASSERT(symlinkat("/etc/passwd", root, "link") == 0);
	CU_ASSERT(mknodat(root, "null", S_IFCHR | 0666, makedev(1, 3)) == 0);
	CU_ASSERT(mknodat(root, "pipe", S_IFIFO | 0600, 0) == 0);
	fd = openat(root, "holes", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	CU_ASSERT(fd >= 0 && pwrite(fd, "x", 1, 3 << 20) == 1 && ftruncate(fd, 8 << 20) == 0);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	CU_ASSERT(fchown(fd, 1000, 2000) == 0 && setxattr(path, "user.k", "v", 1, 0) == 0);
	CU_ASSERT(fchmod(fd, 04711) == 0);
	close(fd);
	CU_ASSERT(fchownat(root, "link", 3, 4, AT_SYMLINK_NOFOLLOW) == 0);
	CU_ASSERT(utimensat(root, "holes", when, 0) == 0 && utimensat(root, "link", when, AT_SYMLINK_NOFOLLOW) == 0);
	CU_ASSERT(utimensat(root, "d", when, 0) == 0);
	CU_ASSERT(fchmodat(root, "d", 01777, 0) == 0);
	close(root);
}

static void check_furniture(struct pool *pool)
{
	int root = root_of(pool, B), fd;
	struct stat st, st2;
	char text[64] = "";

	CU_ASSERT(fstatat(root, "d/f", &st, 0) == 0 && fstatat(root, "f2", &st2, 0) == 0 && st.st_ino == st2.st_ino && st.st_size == 7);
	CU_ASSERT(readlinkat(root, "link", text, sizeof(text)) == 11 && strcmp(text, "/etc/passwd") == 0);
	CU_ASSERT(fstatat(root, "link", &st, AT_SYMLINK_NOFOLLOW) == 0 && st.st_uid == 3 && st.st_gid == 4 && st.st_mtim.tv_nsec == 987654321);
	CU_ASSERT(fstatat(root, "null", &st, 0) == 0 && S_ISCHR(st.st_mode) && st.st_rdev == makedev(1, 3));
	CU_ASSERT(fstatat(root, "pipe", &st, 0) == 0 && S_ISFIFO(st.st_mode));
	CU_ASSERT(fstatat(root, "d", &st, 0) == 0 && (st.st_mode & 07777) == 01777 && st.st_mtim.tv_sec == 1234567);
	CU_ASSERT(fstatat(root, "holes", &st, 0) == 0 && st.st_size == 8 << 20 && st.st_blocks < 1024 && st.st_uid == 1000 && st.st_gid == 2000);
	CU_ASSERT((st.st_mode & 07777) == 04711 && st.st_mtim.tv_sec == 1234567 && st.st_mtim.tv_nsec == 987654321);
	fd = openat(root, "holes", O_RDONLY | O_CLOEXEC);
	CU_ASSERT(fgetxattr(fd, "user.k", text, sizeof(text)) == 1 && text[0] == 'v');
	CU_ASSERT(pread(fd, text, 2, 3 << 20) == 2 && text[0] == 'x' && text[1] == 0);
	close(fd);
	close(root);
}

static void everything_travels(const char *from, const char *to, bool image)
{
	struct memory m = { 0 };
	struct pool *p, *q;
	int fd = -1;
	bool own;

	begin();
	p = make_pool("p", from);
	q = make_pool("q", to);
	CU_ASSERT((image ? pool_volume_create_from_image(p, A, FP, NULL, &err) : pool_volume_create_empty(p, A, &err)) == 0);
	furnish(p);
	CU_ASSERT(send_it(p, &m, TRANSFER_TREE, NULL) == 0);
	CU_ASSERT(receive(q, &m, TRANSFER_TREE, true, NULL) == 0);
	check_furniture(q);
	CU_ASSERT(m.at == m.b.len && m.b.len < 64 * 1024);
	CU_ASSERT(count_tmp(q) == 0);
	if (image) {
		CU_ASSERT(pool_volume_open_meta(q, B, &fd, &own, &err) == 0 && own);
		CU_ASSERT(faccessat(fd, "templates/a.tpl", F_OK, 0) == 0);
		close(fd);
	}
	lxm_buf_deinit(&m.b);
	pool_unref(p);
	pool_unref(q);
	end();
}

static void trees_travel(void)
{
	everything_travels("dir", "dir", false);
	everything_travels("dir", "overlay", true);
	everything_travels("overlay", "dir", true);
}

static void layers_travel_over_their_image(void)
{
	struct memory m = { 0 };
	struct pool *p, *q;
	char base[65];
	int root;

	begin();
	p = make_pool("p", "overlay");
	q = make_pool("q", "overlay");
	CU_ASSERT(pool_volume_create_from_image(p, A, FP, NULL, &err) == 0);
	furnish(p);
	root = root_of(p, A);
	CU_ASSERT(unlinkat(root, "init", 0) == 0);
	close(root);
	CU_ASSERT(pool_volume_layer(p, A, base, &err) == 0 && strcmp(base, FP) == 0);
	CU_ASSERT(send_it(p, &m, TRANSFER_LAYER, NULL) == 0);
	/* whiteouts are no device nodes that anybody could use */
	CU_ASSERT(receive(q, &m, TRANSFER_LAYER, false, NULL) == 0);
	root = root_of(q, B);
	CU_ASSERT(faccessat(root, "init", F_OK, 0) < 0 && faccessat(root, "d/f", F_OK, 0) == 0);
	CU_ASSERT(faccessat(root, "null", F_OK, 0) < 0);
	close(root);
	CU_ASSERT(pool_volume_layer(q, B, base, &err) == 0 && strcmp(base, FP) == 0);
	lxm_buf_deinit(&m.b);
	pool_unref(p);
	pool_unref(q);
	end();
}

static void only_what_differs_travels(void)
{
	struct memory m = { 0 }, told = { 0 };
	struct transfer_have have = { 0 };
	struct transfer_io io = io_of(&told);
	struct pool *p, *q;
	int root;

	begin();
	p = make_pool("p", "dir");
	q = make_pool("q", "dir");
	CU_ASSERT(pool_volume_create_empty(p, A, &err) == 0);
	furnish(p);
	root = root_of(p, A);
	put_file(root, "same", "0123456789");
	CU_ASSERT(send_it(p, &m, TRANSFER_TREE, NULL) == 0 && receive(q, &m, TRANSFER_TREE, true, NULL) == 0);
	put_file(root, "d/f", "changed");
	put_file(root, "new", "new");
	close(root);
	CU_ASSERT(transfer_send_have(q, B, TRANSFER_TREE, &io, &err) == 0);
	CU_ASSERT(transfer_get_have(&io, &have, &err) == 0 && have.n == 4);
	m.b.len = m.at = 0;
	CU_ASSERT(send_it(p, &m, TRANSFER_TREE, &have) == 0);
	CU_ASSERT(!memmem(m.b.data, m.b.len, "0123456789", 10) && memmem(m.b.data, m.b.len, "changed", 7));
	/* one that has nothing cannot be told so */
	CU_ASSERT(receive(q, &m, TRANSFER_TREE, true, NULL) == -EBADMSG);
	m.at = 0;
	CU_ASSERT(pool_volume_rename(q, B, A, &err) == 0);
	CU_ASSERT(receive(q, &m, TRANSFER_TREE, true, A) == 0);
	root = root_of(q, B);
	CU_ASSERT(faccessat(root, "new", F_OK, 0) == 0 && faccessat(root, "same", F_OK, 0) == 0);
	close(root);
	/* what the old volume has must be what was told of it */
	CU_ASSERT(pool_volume_delete(q, B, &err) == 0);
	root = root_of(q, A);
	put_file(root, "same", "9876543210");
	close(root);
	m.at = 0;
	CU_ASSERT(receive(q, &m, TRANSFER_TREE, true, A) == -EBADMSG);
	CU_ASSERT(count_tmp(q) == 0);
	transfer_have_deinit(&have);
	lxm_buf_deinit(&m.b);
	lxm_buf_deinit(&told.b);
	pool_unref(p);
	pool_unref(q);
	end();
}

/* ---- hostile senders */

static void add_entry(struct memory *m, enum record_type type, uint8_t kind, const char *name, const char *target, uint32_t link)
{
	struct record_entry en = { .kind = kind, .mode = 0755, .name = name, .name_len = (uint32_t)strlen(name), .target = target,
				   .target_len = target ? (uint32_t)strlen(target) : 0, .link = link, .size = kind == KIND_FILE ? 4 : 0,
				   .major = kind == KIND_BLOCK ? 8 : 0 };

	if (link && kind != KIND_LINK)
		en.flags = ENTRY_LINKED;
	CU_ASSERT(record_entry_put(&m->b, type, &en, &err) == 0);
}

static void add_data(struct memory *m, uint64_t off, const char *text)
{
	unsigned char head[RECORD_HEAD + RECORD_DATA_HEAD];

	record_head(head, RECORD_DATA, (uint32_t)strlen(text) + RECORD_DATA_HEAD);
	record_put_u64(head + RECORD_HEAD, off);
	lxm_buf_add(&m->b, head, sizeof(head));
	lxm_buf_str(&m->b, text);
}

static void add_end(struct memory *m)
{
	unsigned char rec[RECORD_HEAD + 24] = { 0 };
	struct lxm_hash h;

	lxm_hash_init(&h, 0);
	lxm_hash_add(&h, m->b.data, m->b.len);
	record_head(rec, RECORD_END, 24);
	record_put_u64(rec + RECORD_HEAD, lxm_hash_value(&h));
	lxm_buf_add(&m->b, rec, sizeof(rec));
}

static void top_dir(struct memory *m)
{
	m->b.len = m->at = 0;
	add_entry(m, RECORD_ENTRY, KIND_DIR, "rootfs", NULL, 0);
}

static void close_top(struct memory *m)
{
	add_entry(m, RECORD_UP, KIND_DIR, "", NULL, 0);
	add_end(m);
}

static void nothing_leads_outside(void)
{
	static const char *const names[] = { "..", ".", "", "a/b", "/etc", "../x" };
	struct memory m = { 0 };
	struct pool *q;
	size_t i;

	begin();
	q = make_pool("q", "dir");
	for (i = 0; i < LXM_ARRAY_LEN(names); i++) {
		top_dir(&m);
		add_entry(&m, RECORD_ENTRY, KIND_DIR, names[i], NULL, 0);
		CU_ASSERT(receive(q, &m, TRANSFER_TREE, true, NULL) == -EBADMSG);
	}
	/* through a link that came before */
	top_dir(&m);
	add_entry(&m, RECORD_ENTRY, KIND_SYMLINK, "out", "/tmp", 0);
	add_entry(&m, RECORD_ENTRY, KIND_DIR, "out", NULL, 0);
	close_top(&m);
	CU_ASSERT(receive(q, &m, TRANSFER_TREE, true, NULL) == -EEXIST);
	top_dir(&m);
	add_entry(&m, RECORD_ENTRY, KIND_SYMLINK, "out", "/etc/passwd", 0);
	add_entry(&m, RECORD_ENTRY, KIND_FILE, "out", NULL, 0);
	CU_ASSERT(receive(q, &m, TRANSFER_TREE, true, NULL) == -EEXIST);
	/* above the top, beside the parts of a volume, without an end */
	top_dir(&m);
	close_top(&m);
	m.b.len -= RECORD_HEAD + 24;
	add_entry(&m, RECORD_UP, KIND_DIR, "", NULL, 0);
	CU_ASSERT(receive(q, &m, TRANSFER_TREE, true, NULL) == -EBADMSG);
	m.b.len = m.at = 0;
	add_entry(&m, RECORD_ENTRY, KIND_DIR, "work", NULL, 0);
	CU_ASSERT(receive(q, &m, TRANSFER_TREE, true, NULL) == -EBADMSG);
	m.b.len = m.at = 0;
	add_entry(&m, RECORD_ENTRY, KIND_SYMLINK, "metadata.yaml", "/etc/shadow", 0);
	CU_ASSERT(receive(q, &m, TRANSFER_TREE, true, NULL) == -EBADMSG);
	top_dir(&m);
	CU_ASSERT(receive(q, &m, TRANSFER_TREE, true, NULL) == -EPIPE);
	add_end(&m);
	m.at = 0;
	CU_ASSERT(receive(q, &m, TRANSFER_TREE, true, NULL) == -EBADMSG);
	CU_ASSERT(count_tmp(q) == 0);
	lxm_buf_deinit(&m.b);
	pool_unref(q);
	end();
}

static void links_and_data_belong_to_something(void)
{
	struct memory m = { 0 };
	struct pool *q;
	int root;

	begin();
	q = make_pool("q", "dir");
	top_dir(&m);
	add_entry(&m, RECORD_ENTRY, KIND_LINK, "x", NULL, 1);
	CU_ASSERT(receive(q, &m, TRANSFER_TREE, true, NULL) == -EBADMSG);
	top_dir(&m);
	add_entry(&m, RECORD_ENTRY, KIND_FILE, "x", NULL, 7);
	CU_ASSERT(receive(q, &m, TRANSFER_TREE, true, NULL) == -EBADMSG);
	top_dir(&m);
	add_data(&m, 0, "abcd");
	CU_ASSERT(receive(q, &m, TRANSFER_TREE, true, NULL) == -EBADMSG);
	top_dir(&m);
	add_entry(&m, RECORD_ENTRY, KIND_FILE, "x", NULL, 0);
	add_data(&m, 1, "abcd");
	CU_ASSERT(receive(q, &m, TRANSFER_TREE, true, NULL) == -EBADMSG);
	top_dir(&m);
	add_entry(&m, RECORD_ENTRY, KIND_FILE, "x", NULL, 0);
	add_data(&m, 0, "abcd");
	add_data(&m, 0, "efgh");
	CU_ASSERT(receive(q, &m, TRANSFER_TREE, true, NULL) == -EBADMSG);
	/* a node that the host would take for a disk, for somebody who may not */
	top_dir(&m);
	add_entry(&m, RECORD_ENTRY, KIND_BLOCK, "sda", NULL, 0);
	close_top(&m);
	CU_ASSERT(receive(q, &m, TRANSFER_TREE, false, NULL) == 0);
	root = root_of(q, B);
	CU_ASSERT(faccessat(root, "sda", F_OK, 0) < 0);
	close(root);
	CU_ASSERT(count_tmp(q) == 0);
	lxm_buf_deinit(&m.b);
	pool_unref(q);
	end();
}

static void damage_shows(void)
{
	struct memory m = { 0 };
	struct pool *q;

	begin();
	q = make_pool("q", "dir");
	top_dir(&m);
	add_entry(&m, RECORD_ENTRY, KIND_FILE, "x", NULL, 0);
	add_data(&m, 0, "abcd");
	close_top(&m);
	CU_ASSERT(receive(q, &m, TRANSFER_TREE, true, NULL) == 0 && pool_volume_delete(q, B, &err) == 0);
	*(char *)memmem(m.b.data, m.b.len, "abcd", 4) = 'b';
	m.at = 0;
	CU_ASSERT(receive(q, &m, TRANSFER_TREE, true, NULL) == -EBADMSG && strstr(err.msg, "checksum"));
	m.b.len = m.at = 0;
	lxm_buf_add(&m.b, "x\0\0\0\4\0\0\0why\n", 12);
	CU_ASSERT(receive(q, &m, TRANSFER_TREE, true, NULL) == -EIO && strstr(err.msg, "gave up: why"));
	CU_ASSERT(count_tmp(q) == 0);
	lxm_buf_deinit(&m.b);
	pool_unref(q);
	end();
}

UNIT_MAIN("storage/transfer", { "trees travel", trees_travel }, { "layers travel over their image", layers_travel_over_their_image },
	  { "only what differs travels", only_what_differs_travels }, { "nothing leads outside", nothing_leads_outside },
	  { "links and data belong to something", links_and_data_belong_to_something }, { "damage shows", damage_shows })
