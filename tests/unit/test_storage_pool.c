/* storage: both drivers on a real directory; images are unpacked once, deletes leave nothing, a dead daemon's leftovers go. */
#include "tests/unit/scratch.h"
#include "tests/unit/unit.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>

#include "db/instance.h"
#include "lib/base/alloc.h"
#include "lib/base/fd.h"
#include "lib/base/time.h"
#include "lxmd/core/daemon.h"
#include "lxmd/core/workers.h"
#include "lxmd/storage/pool_priv.h"

#define FP  "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define FP2 "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"

static char top[SCRATCH_MAX];
static struct lxmd d;
static struct lxm_err err;
static atomic_int unpacked;

static void put_file(int dir, const char *path, const char *text)
{
	int fd = openat(dir, path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

	CU_ASSERT(fd >= 0 && lxm_write_all(fd, text, strlen(text)) == 0);
	close(fd);
}

/* Stands for the image store: a small tree, slowly. FP2 is an image that cannot be unpacked. */
static int fake_unpack(struct lxmd *dm, const char *fp, int dir, const char *path, struct op *op, struct lxm_err *e)
{
	atomic_fetch_add(&unpacked, 1);
	usleep(50000);
	mkdirat(dir, "rootfs", 0755);
	CU_ASSERT(fchownat(dir, "rootfs", 0, 0, 0) == 0);
	CU_ASSERT(fchmodat(dir, "rootfs", 0711, 0) == 0);
	put_file(dir, "rootfs/init", "#!/bin/sh\n");
	if (strcmp(fp, FP2) == 0)
		return lxm_err_set(e, EINVAL, "hostile");
	mkdirat(dir, "rootfs/etc", 0755);
	put_file(dir, "rootfs/etc/name", "image");
	CU_ASSERT(linkat(dir, "rootfs/etc/name", dir, "rootfs/etc/name2", 0) == 0);
	CU_ASSERT(symlinkat("/etc/name", dir, "rootfs/link") == 0);
	mkdirat(dir, "templates", 0755);
	put_file(dir, "templates/a.tpl", "x");
	put_file(dir, "metadata.yaml", "architecture: x86_64\n");
	return 0;
}

static void up(void)
{
	d.workers = workers_new(8);
	CU_ASSERT_FATAL(db_cluster_open(top, &d.db, &err) == 0);
	CU_ASSERT_FATAL(storage_start(&d, &err) == 0);
	storage_set_unpacker(&d, fake_unpack);
}

static void down(void)
{
	storage_stop(&d);
	workers_free(d.workers);
	db_cluster_close(d.db);
}

static void begin(void)
{
	char pools[80];

	memset(&d, 0, sizeof(d));
	memset(&err, 0, sizeof(err));
	unpacked = 0;
	scratch(top, "pool");
	snprintf(pools, sizeof(pools), "%s/pools", top);
	mkdir(pools, 0700);
	d.dirs.pools.path = lxm_strdup(pools);
	d.dirs.pools.fd = open(pools, O_PATH | O_CLOEXEC);
	up();
}

static void end(void)
{
	down();
	close(d.dirs.pools.fd);
	free(d.dirs.pools.path);
	CU_ASSERT(lxm_rm_tree_at(AT_FDCWD, top) == 0);
}

static struct pool *make_pool(const char *driver)
{
	struct lxm_kv none = { 0 };
	struct pool *pool = NULL;

	CU_ASSERT_FATAL(storage_pool_create(&d, "p", driver, "", &none, &err) == 0);
	CU_ASSERT_FATAL(storage_pool_get(&d, "p", &pool, &err) == 0);
	return pool;
}

static bool there(const char *fmt, ...)
{
	char path[300], full[400];
	struct stat st;
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(path, sizeof(path), fmt, ap);
	va_end(ap);
	snprintf(full, sizeof(full), "%s/pools/p/%s", top, path);
	return lstat(full, &st) == 0;
}

static bool is_empty(const char *dir)
{
	char full[200];
	uint64_t n;

	snprintf(full, sizeof(full), "%s/pools/p/%s", top, dir);
	if (rmdir(full) < 0)
		return false;
	mkdir(full, 0700);
	return lxm_du_at(AT_FDCWD, full, &n) == 0;
}

/* The trash is emptied by a worker. */
static void settle(const char *dir)
{
	int i;

	for (i = 0; i < 200 && !is_empty(dir); i++)
		usleep(10000);
	CU_ASSERT(is_empty(dir));
}

static struct volume_id c1 = { VOLUME_INSTANCE, "default", "c1" }, c2 = { VOLUME_INSTANCE, "default", "c2" };

static void life_of_a_volume(const char *driver)
{
	lxm_auto(volume_root) struct volume_root root = { 0 };
	struct volume_usage usage;
	struct pool *pool;
	bool overlay = strcmp(driver, "overlay") == 0;
	char fp[65], path[300];
	struct stat st;
	int fd = -1;

	begin();
	pool = make_pool(driver);
	CU_ASSERT(pool_volume_create_from_image(pool, &c1, FP, NULL, &err) == 0);
	CU_ASSERT_STRING_EQUAL(err.msg, "");
	CU_ASSERT(pool_volume_create_from_image(pool, &c1, FP, NULL, &err) == -EEXIST);
	CU_ASSERT(unpacked == 1);
	CU_ASSERT(is_empty("tmp"));
	CU_ASSERT(pool_volume_root(pool, &c1, &root, &err) == 0);
	CU_ASSERT(root.kind == (overlay ? VOLUME_ROOT_OVERLAY : VOLUME_ROOT_BIND));
	snprintf(path, sizeof(path), "%s/etc/name", root.lower);
	CU_ASSERT(stat(path, &st) == 0 && st.st_nlink == 2);
	if (overlay) {
		snprintf(path, sizeof(path), "%s/upper", root.dir);
		CU_ASSERT(stat(path, &st) == 0 && (st.st_mode & 07777) == 0711);
		snprintf(path, sizeof(path), "%s/work", root.dir);
		CU_ASSERT(stat(path, &st) == 0);
		CU_ASSERT(pool_volume_image(pool, &c1, fp, &err) == 0 && strcmp(fp, FP) == 0);
	}
	CU_ASSERT(pool_volume_open_meta(pool, &c1, &fd, NULL, &err) == 0);
	CU_ASSERT(faccessat(fd, "metadata.yaml", F_OK, 0) == 0 && faccessat(fd, "templates/a.tpl", F_OK, 0) == 0);
	close(fd);
	CU_ASSERT(pool_volume_usage(pool, &c1, &usage, &err) == 0);
	CU_ASSERT(pool_volume_rename(pool, &c1, &c2, &err) == 0);
	CU_ASSERT(pool_volume_root(pool, &c1, &root, &err) == -ENOENT);
	CU_ASSERT(pool_volume_delete(pool, &c2, &err) == 0);
	CU_ASSERT(pool_volume_delete(pool, &c2, &err) == 0);
	CU_ASSERT_FALSE(there("instances/c2"));
	settle("trash");
	pool_unref(pool);
	end();
}

static void overlay_life(void)
{
	life_of_a_volume("overlay");
}

static void dir_life(void)
{
	life_of_a_volume("dir");
}

/* How much slower than a bare machine and a plain build this may be; LXM_SLOW says it of an emulated machine. */
static int slower(void)
{
	const char *v = getenv("LXM_SLOW");
#ifdef LXM_SAN
	int sanitized = 20;
#else
	int sanitized = 1;
#endif

	return v && atoi(v) > 1 ? sanitized * atoi(v) : sanitized;
}

static int64_t batch(struct pool *pool, int first, bool create)
{
	int64_t us = lxm_mono_us();
	char name[16];
	int i, r;

	for (i = first; i < first + 10; i++) {
		snprintf(name, sizeof(name), "n%d", i);
		if (create)
			r = pool_volume_create_from_image(pool, VOLUME_OF_INSTANCE("default", name), FP, NULL, &err);
		else
			r = pool_volume_delete(pool, VOLUME_OF_INSTANCE("default", name), &err);
		CU_ASSERT(r == 0);
	}
	return (lxm_mono_us() - us) / 10;
}

static void creating_from_a_present_image_takes_constant_time(void)
{
	int64_t create = INT64_MAX, delete = INT64_MAX, us;
	struct pool *pool;
	int i;

	begin();
	pool = make_pool("overlay");
	CU_ASSERT(pool_image_ensure(pool, FP, NULL, &err) == 0);
	/* the fastest of ten batches: other work on the machine must not decide */
	for (i = 0; i < 100; i += 10)
		create = (us = batch(pool, i, true)) < create ? us : create;
	for (i = 0; i < 100; i += 10)
		delete = (us = batch(pool, i, false)) < delete ? us : delete;
	printf("(create %lld us, delete %lld us) ", (long long)create, (long long)delete);
	CU_ASSERT(create < 1000 * slower() && delete < 2000 * slower());
	settle("trash");
	settle("instances");
	pool_unref(pool);
	end();
}

static void *create_in_thread(void *arg)
{
	struct lxm_err e = { 0 };
	struct pool *pool;
	char name[16];

	snprintf(name, sizeof(name), "t%d", *(int *)arg);
	if (storage_pool_get(&d, "p", &pool, &e) < 0)
		return "no pool";
	if (pool_volume_create_from_image(pool, VOLUME_OF_INSTANCE("default", name), FP, NULL, &e) < 0)
		printf("%s\n", e.msg);
	pool_unref(pool);
	return e.code ? "failed" : NULL;
}

static void launches_at_one_time_unpack_once(void)
{
	int numbers[8], i;
	pthread_t t[8];
	void *ret;

	begin();
	pool_unref(make_pool("overlay"));
	for (i = 0; i < 8; i++) {
		numbers[i] = i;
		pthread_create(&t[i], NULL, create_in_thread, &numbers[i]);
	}
	for (i = 0; i < 8; i++) {
		pthread_join(t[i], &ret);
		CU_ASSERT_PTR_NULL(ret);
	}
	CU_ASSERT(unpacked == 1);
	end();
}

static void a_failed_unpack_leaves_nothing_and_may_be_tried_again(void)
{
	struct pool *pool;

	begin();
	pool = make_pool("overlay");
	CU_ASSERT(pool_volume_create_from_image(pool, &c1, FP2, NULL, &err) == -EINVAL);
	CU_ASSERT_PTR_NOT_NULL(strstr(err.msg, "hostile"));
	CU_ASSERT(is_empty("tmp") && is_empty("images") && is_empty("instances"));
	CU_ASSERT(pool_volume_create_from_image(pool, &c1, FP2, NULL, &err) == -EINVAL);
	CU_ASSERT(unpacked == 2);
	CU_ASSERT(pool_volume_create_from_image(pool, &c1, "../../etc", NULL, &err) == -EINVAL);
	CU_ASSERT(unpacked == 2);
	pool_unref(pool);
	end();
}

static void names_cannot_lead_outside(void)
{
	static const char *const bad[] = { "", "..", "../x", "a/b", "a/../b", "-a", "a b", "a\nb", "." };
	struct pool *pool;
	size_t i;

	begin();
	pool = make_pool("overlay");
	for (i = 0; i < LXM_ARRAY_LEN(bad); i++) {
		CU_ASSERT(pool_volume_create_from_image(pool, VOLUME_OF_INSTANCE("default", bad[i]), FP, NULL, &err) == -EINVAL);
		CU_ASSERT(pool_volume_delete(pool, VOLUME_OF_INSTANCE("default", bad[i]), &err) == -EINVAL);
		CU_ASSERT(pool_volume_create_empty(pool, VOLUME_ID(VOLUME_CUSTOM, "default", bad[i]), &err) == -EINVAL ||
			  strcmp(bad[i], "a/b") == 0);
	}
	CU_ASSERT(pool_volume_create_empty(pool, VOLUME_OF_INSTANCE("../x", "c1"), &err) == -EINVAL);
	pool_unref(pool);
	end();
}

static void an_image_goes_with_the_last_volume_on_it(void)
{
	struct pool *pool;

	begin();
	pool = make_pool("overlay");
	CU_ASSERT(pool_volume_create_from_image(pool, &c1, FP, NULL, &err) == 0);
	CU_ASSERT(pool_volume_clone(pool, &c1, &c2, NULL, &err) == 0);
	storage_image_forget(&d, FP);
	CU_ASSERT(there("images/" FP));
	CU_ASSERT(pool_volume_delete(pool, &c1, &err) == 0);
	CU_ASSERT(there("images/" FP));
	CU_ASSERT(pool_volume_delete(pool, &c2, &err) == 0);
	CU_ASSERT_FALSE(there("images/" FP));
	settle("trash");
	/* and is unpacked again when it comes back */
	CU_ASSERT(pool_volume_create_from_image(pool, &c1, FP, NULL, &err) == 0);
	CU_ASSERT(unpacked == 2);
	storage_image_forget(&d, FP2);
	pool_unref(pool);
	end();
}

static void clones_carry_everything(void)
{
	static const unsigned char cap[20] = { 1, 0, 0, 2, 0, 0x20 };
	struct volume_id snap = { VOLUME_SNAPSHOT, "default", "c1/s0" };
	char path[300], value[64];
	struct pool *pool;
	struct stat st, st2;
	int upper;

	begin();
	pool = make_pool("overlay");
	CU_ASSERT(pool_volume_create_from_image(pool, &c1, FP, NULL, &err) == 0);
	snprintf(path, sizeof(path), "%s/pools/p/instances/c1/upper", top);
	upper = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	put_file(upper, "a", "data");
	CU_ASSERT(fchownat(upper, "a", 1000, 1001, 0) == 0);
	CU_ASSERT(fchmodat(upper, "a", 04711, 0) == 0);
	CU_ASSERT(linkat(upper, "a", upper, "b", 0) == 0);
	mknodat(upper, "gone", S_IFCHR, makedev(0, 0)); /* a whiteout */
	mkdirat(upper, "opaque", 0750);
	snprintf(path, sizeof(path), "%s/pools/p/instances/c1/upper/opaque", top);
	setxattr(path, "trusted.overlay.opaque", "y", 1, 0);
	snprintf(path, sizeof(path), "%s/pools/p/instances/c1/upper/a", top);
	setxattr(path, "security.capability", cap, sizeof(cap), 0);
	close(upper);
	CU_ASSERT(pool_volume_clone(pool, &c1, &snap, NULL, &err) == 0);
	CU_ASSERT(pool_volume_clone(pool, &snap, &c2, NULL, &err) == 0);
	CU_ASSERT_STRING_EQUAL(err.msg, "");
	CU_ASSERT(there("snapshots/c1/s0/upper/a"));
	snprintf(path, sizeof(path), "%s/pools/p/instances/c2/upper", top);
	upper = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	CU_ASSERT(fstatat(upper, "a", &st, 0) == 0 && fstatat(upper, "b", &st2, 0) == 0 && st.st_ino == st2.st_ino);
	CU_ASSERT(st.st_uid == 1000 && st.st_gid == 1001 && (st.st_mode & 07777) == 04711 && st.st_size == 4);
	CU_ASSERT(fstatat(upper, "gone", &st, 0) == 0 && S_ISCHR(st.st_mode) && st.st_rdev == 0);
	snprintf(path, sizeof(path), "%s/pools/p/instances/c2/upper/opaque", top);
	CU_ASSERT(getxattr(path, "trusted.overlay.opaque", value, sizeof(value)) == 1);
	snprintf(path, sizeof(path), "%s/pools/p/instances/c2/upper/a", top);
	CU_ASSERT(getxattr(path, "security.capability", value, sizeof(value)) == sizeof(cap));
	CU_ASSERT(there("instances/c2/work"));
	close(upper);
	/* snapshots follow their instance, and their directory goes with the last */
	CU_ASSERT(pool_volume_delete(pool, &c2, &err) == 0);
	CU_ASSERT(pool_volume_rename(pool, &c1, &c2, &err) == 0);
	CU_ASSERT(there("snapshots/c2/s0"));
	CU_ASSERT(pool_volume_delete(pool, VOLUME_ID(VOLUME_SNAPSHOT, "default", "c2/s0"), &err) == 0);
	CU_ASSERT_FALSE(there("snapshots/c2"));
	settle("trash");
	pool_unref(pool);
	end();
}

static void the_merged_root_shows_both_layers(void)
{
	lxm_auto(buf) struct lxm_buf text = { 0 };
	struct pool *pool;
	char path[300];
	int fd = -1;

	begin();
	pool = make_pool("overlay");
	CU_ASSERT(pool_volume_create_from_image(pool, &c1, FP, NULL, &err) == 0);
	CU_ASSERT(pool_volume_open_root(pool, &c1, true, &fd, &err) == 0);
	CU_ASSERT_STRING_EQUAL(err.msg, "");
	put_file(fd, "etc/new", "upper");
	CU_ASSERT(unlinkat(fd, "init", 0) == 0);
	close(fd);
	CU_ASSERT(there("instances/c1/upper/etc/new"));
	CU_ASSERT(pool_volume_open_root(pool, &c1, false, &fd, &err) == 0);
	CU_ASSERT(lxm_read_regular_beneath(fd, "etc/name", 100, &text) == 0 && text.len == 5);
	CU_ASSERT(faccessat(fd, "etc/new", F_OK, 0) == 0 && faccessat(fd, "init", F_OK, 0) < 0);
	CU_ASSERT(openat(fd, "x", O_WRONLY | O_CREAT, 0600) < 0);
	close(fd);
	/* attached nowhere */
	CU_ASSERT(lxm_read_file("/proc/self/mounts", 1 << 20, &text) == 0);
	snprintf(path, sizeof(path), "%s", top);
	CU_ASSERT_PTR_NULL(strstr(text.data, path));
	pool_unref(pool);
	end();
}

static void own_metadata_are_made_on_demand(void)
{
	struct pool *pool;
	bool own = true;
	int fd = -1;

	begin();
	pool = make_pool("overlay");
	CU_ASSERT(pool_volume_create_from_image(pool, &c1, FP, NULL, &err) == 0);
	CU_ASSERT(pool_volume_open_meta(pool, &c1, &fd, &own, &err) == 0 && !own);
	close(fd);
	CU_ASSERT(pool_volume_own_meta(pool, &c1, &err) == 0);
	CU_ASSERT_STRING_EQUAL(err.msg, "");
	CU_ASSERT(pool_volume_open_meta(pool, &c1, &fd, &own, &err) == 0 && own);
	close(fd);
	CU_ASSERT(there("instances/c1/metadata.yaml") && there("instances/c1/templates/a.tpl"));
	CU_ASSERT(pool_volume_create_empty(pool, &c2, &err) == 0);
	CU_ASSERT(pool_volume_open_meta(pool, &c2, &fd, &own, &err) == -ENOENT);
	pool_unref(pool);
	end();
}

static int add_instance(struct db_tx *tx, void *arg, struct lxm_err *e)
{
	struct db_instance i = { .project = lxm_strdup("default"), .name = lxm_strdup("c1"), .architecture = lxm_strdup("x86_64"),
				 .pool = lxm_strdup("p") };
	int r = db_instance_create(tx, &i, e);

	db_instance_deinit(&i);
	return r;
}

static void the_next_start_puts_things_in_order(void)
{
	struct pool *pool;

	begin();
	pool = make_pool("overlay");
	CU_ASSERT(db_write(d.db, add_instance, NULL, &err) == 0);
	CU_ASSERT_STRING_EQUAL(err.msg, "");
	CU_ASSERT(pool_volume_create_from_image(pool, &c1, FP, NULL, &err) == 0);
	/* created, but the daemon died before the row; once without and once with data */
	CU_ASSERT(pool_volume_create_from_image(pool, &c2, FP, NULL, &err) == 0);
	CU_ASSERT(pool_volume_create_from_image(pool, VOLUME_OF_INSTANCE("default", "c3"), FP, NULL, &err) == 0);
	put_file(pool->dirfd, "instances/c3/upper/precious", "data");
	/* cut off in the middle of an unpack, of a delete, and an image that is none */
	mkdirat(pool->dirfd, "tmp/image-dead", 0700);
	put_file(pool->dirfd, "tmp/image-dead/half", "x");
	mkdirat(pool->dirfd, "trash/old-dead", 0700);
	mkdirat(pool->dirfd, "images/junk", 0700);
	/* an image whose blocks may not have reached the disk before a power cut */
	mkdirat(pool->dirfd, "images/" FP2, 0700);
	put_file(pool->dirfd, "images/" FP2 "/.unsynced", "another boot\n");
	pool_unref(pool);
	down();
	up();
	CU_ASSERT(storage_pool_get(&d, "p", &pool, &err) == 0);
	CU_ASSERT(there("instances/c1") && there("images/" FP));
	CU_ASSERT_FALSE(there("instances/c2"));
	CU_ASSERT_FALSE(there("instances/c3"));
	CU_ASSERT_FALSE(there("images/" FP2));
	CU_ASSERT_FALSE(there("images/junk"));
	settle("trash");
	settle("tmp");
	CU_ASSERT_FALSE(is_empty("lost")); /* c3, whose data nobody may throw away */
	/* the count of c1's image was found again */
	storage_image_forget(&d, FP);
	CU_ASSERT(there("images/" FP));
	CU_ASSERT(pool_volume_delete(pool, &c1, &err) == 0);
	CU_ASSERT_FALSE(there("images/" FP));
	pool_unref(pool);
	end();
}

static void an_image_that_was_lost_is_unpacked_again(void)
{
	struct pool *pool;

	begin();
	pool = make_pool("overlay");
	CU_ASSERT(db_write(d.db, add_instance, NULL, &err) == 0);
	CU_ASSERT(pool_volume_create_from_image(pool, &c1, FP, NULL, &err) == 0);
	CU_ASSERT(lxm_rm_tree_at(pool->dirfd, "images/" FP) == 0);
	pool_unref(pool);
	down();
	up();
	CU_ASSERT(storage_pool_get(&d, "p", &pool, &err) == 0);
	CU_ASSERT(pool_volume_prepare(pool, &c1, &err) == 0);
	CU_ASSERT(unpacked == 2 && there("images/" FP "/rootfs/init"));
	pool_unref(pool);
	end();
}

static void copies_between_pools_of_different_drivers(void)
{
	struct lxm_kv none = { 0 };
	struct pool *a, *b;
	char path[300];
	struct stat st;

	begin();
	a = make_pool("overlay");
	CU_ASSERT(storage_pool_create(&d, "q", "dir", "", &none, &err) == 0);
	CU_ASSERT(storage_pool_get(&d, "q", &b, &err) == 0);
	CU_ASSERT(pool_volume_create_from_image(a, &c1, FP, NULL, &err) == 0);
	put_file(a->dirfd, "instances/c1/upper/mine", "data");
	CU_ASSERT(pool_volume_copy(a, &c1, b, &c2, NULL, &err) == 0);
	CU_ASSERT_STRING_EQUAL(err.msg, "");
	snprintf(path, sizeof(path), "%s/pools/q/instances/c2/rootfs/mine", top);
	CU_ASSERT(stat(path, &st) == 0);
	snprintf(path, sizeof(path), "%s/pools/q/instances/c2/rootfs/etc/name", top);
	CU_ASSERT(stat(path, &st) == 0);
	snprintf(path, sizeof(path), "%s/pools/q/instances/c2/metadata.yaml", top);
	CU_ASSERT(stat(path, &st) == 0);
	CU_ASSERT(pool_volume_copy(b, &c2, a, &c2, NULL, &err) == 0);
	CU_ASSERT(there("instances/c2/rootfs/mine"));
	pool_unref(a);
	pool_unref(b);
	end();
}

static void pools_are_checked_and_leave_nothing(void)
{
	struct lxm_kv config = { 0 };
	struct pool *pool;

	begin();
	CU_ASSERT(storage_pool_create(&d, "p", "zfs", "", &config, &err) == -EINVAL);
	CU_ASSERT(storage_pool_create(&d, "../p", "dir", "", &config, &err) == -EINVAL);
	lxm_kv_set(&config, "source", "/etc");
	CU_ASSERT(storage_pool_create(&d, "p", "dir", "", &config, &err) == -EEXIST);
	CU_ASSERT(access("/etc/instances", F_OK) < 0);
	lxm_kv_set(&config, "source", "relative");
	CU_ASSERT(storage_pool_create(&d, "p", "dir", "", &config, &err) == -EINVAL);
	lxm_kv_deinit(&config);
	pool_unref(make_pool("dir"));
	CU_ASSERT(storage_pool_create(&d, "p", "dir", "", &config, &err) == -EEXIST);
	CU_ASSERT(db_write(d.db, add_instance, NULL, &err) == 0);
	CU_ASSERT(storage_pool_delete(&d, "p", &err) == -EBUSY && err.http == 400);
	CU_ASSERT(storage_pool_get(&d, "p", &pool, &err) == 0);
	pool_unref(pool);
	CU_ASSERT(storage_pool_delete(&d, "nope", &err) == -ENOENT);
	end();
}

UNIT_MAIN("storage/pool", { "life of a volume on overlay", overlay_life }, { "life of a volume on dir", dir_life },
	  { "creating from a present image takes constant time", creating_from_a_present_image_takes_constant_time },
	  { "launches at one time unpack once", launches_at_one_time_unpack_once },
	  { "a failed unpack leaves nothing", a_failed_unpack_leaves_nothing_and_may_be_tried_again },
	  { "names cannot lead outside", names_cannot_lead_outside },
	  { "an image goes with the last volume on it", an_image_goes_with_the_last_volume_on_it },
	  { "clones carry everything", clones_carry_everything },
	  { "the merged root shows both layers", the_merged_root_shows_both_layers },
	  { "own metadata are made on demand", own_metadata_are_made_on_demand },
	  { "the next start puts things in order", the_next_start_puts_things_in_order },
	  { "an image that was lost is unpacked again", an_image_that_was_lost_is_unpacked_again },
	  { "copies between pools of different drivers", copies_between_pools_of_different_drivers },
	  { "pools are checked and leave nothing", pools_are_checked_and_leave_nothing })
