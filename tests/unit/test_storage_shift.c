/* storage/shift: owners on disk go to a range and back, with all that belongs to them, and a walk that was cut short is made good. */
#include "tests/unit/scratch.h"
#include "tests/unit/unit.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "lib/base/alloc.h"
#include "lib/base/fd.h"
#include "lxmd/storage/pool_priv.h"

#define BASE 200000u
#define SIZE 65536u
#define ROOT "instances/c1/rootfs"

static const unsigned char caps[24] = { 1, 0, 0, 3, 0, 4 }; /* version 3 with the effective bit; the root's id at 20 is 0 */
static char top[SCRATCH_MAX];
static struct pool pool;
static struct lxm_err err;
static const struct volume_id *const c1 = VOLUME_OF_INSTANCE("default", "c1");

static void put(const char *path, uid_t uid, gid_t gid, mode_t mode)
{
	int fd = openat(pool.dirfd, path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

	CU_ASSERT_FATAL(fd >= 0);
	CU_ASSERT(fchown(fd, uid, gid) == 0 && fchmod(fd, mode) == 0);
	close(fd);
}

/* Without root nobody gives files away. */
static bool begin(void)
{
	if (geteuid() != 0)
		return false;
	memset(&pool, 0, sizeof(pool));
	memset(&err, 0, sizeof(err));
	scratch(top, "shift");
	pool.name = "p";
	pool.path = top;
	pool.drv = &driver_dir;
	pool.shifts = true;
	pool.dirfd = open(top, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	CU_ASSERT_FATAL(mkdirat(pool.dirfd, "instances", 0700) == 0 && mkdirat(pool.dirfd, "instances/c1", 0700) == 0);
	CU_ASSERT_FATAL(mkdirat(pool.dirfd, ROOT, 0755) == 0 && mkdirat(pool.dirfd, ROOT "/dir", 02775) == 0);
	put(ROOT "/plain", 1000, 1001, 0640);
	put(ROOT "/suid", 0, 5, 06755);
	put(ROOT "/alien", 70000, 0, 0644);
	CU_ASSERT(linkat(pool.dirfd, ROOT "/suid", pool.dirfd, ROOT "/dir/hard", 0) == 0);
	CU_ASSERT(symlinkat("/etc/passwd", pool.dirfd, ROOT "/link") == 0);
	return true;
}

static void end(void)
{
	CU_ASSERT(lxm_rm_tree_at(AT_FDCWD, top) == 0);
	close(pool.dirfd);
}

static void owned(const char *path, uid_t uid, gid_t gid, mode_t mode)
{
	struct stat st;

	CU_ASSERT_FATAL(fstatat(pool.dirfd, path, &st, AT_SYMLINK_NOFOLLOW) == 0);
	CU_ASSERT_EQUAL(st.st_uid, uid);
	CU_ASSERT_EQUAL(st.st_gid, gid);
	CU_ASSERT_EQUAL(st.st_mode & 07777, mode);
}

static void all_owned(uint32_t by)
{
	owned(ROOT, by, by, 0755);
	owned(ROOT "/plain", by + 1000, by + 1001, 0640);
	owned(ROOT "/suid", by, by + 5, 06755);
	owned(ROOT "/dir/hard", by, by + 5, 06755);
	owned(ROOT "/link", by, by, 0777);
	owned(ROOT "/alien", 70000, by, 0644);
}

static void there_and_back(void)
{
	struct stat st;

	if (!begin())
		return;
	CU_ASSERT(pool_volume_shift(&pool, c1, BASE, SIZE, &err) == 0);
	all_owned(BASE);
	CU_ASSERT(stat("/etc/passwd", &st) == 0 && st.st_uid == 0);
	CU_ASSERT(pool_volume_shift(&pool, c1, BASE, SIZE, &err) == 0);
	all_owned(BASE);
	CU_ASSERT(pool_volume_shift(&pool, c1, 3 * BASE, SIZE, &err) == 0);
	all_owned(3 * BASE);
	CU_ASSERT(pool_volume_shift(&pool, c1, 0, 0, &err) == 0);
	all_owned(0);
	CU_ASSERT(faccessat(pool.dirfd, "instances/c1/shift", F_OK, AT_SYMLINK_NOFOLLOW) < 0);
	end();
}

static void a_walk_cut_short_is_made_good(void)
{
	if (!begin())
		return;
	CU_ASSERT(pool_volume_shift(&pool, c1, BASE, SIZE, &err) == 0);
	/* as if it had come this far when the power went */
	CU_ASSERT(unlinkat(pool.dirfd, "instances/c1/shift", 0) == 0 && symlinkat("~200000-65536", pool.dirfd, "instances/c1/shift") == 0);
	CU_ASSERT(fchownat(pool.dirfd, ROOT "/plain", 1000, 1001, 0) == 0);
	CU_ASSERT(pool_volume_shift(&pool, c1, BASE, SIZE, &err) == 0);
	all_owned(BASE);
	end();
}

static void a_copy_is_shifted_back(void)
{
	if (!begin())
		return;
	CU_ASSERT(pool_volume_shift(&pool, c1, BASE, SIZE, &err) == 0);
	CU_ASSERT(volume_unshift(&pool, "instances/c1", &err) == 0);
	all_owned(0);
	CU_ASSERT(volume_unshift(&pool, "instances/c1", &err) == 0);
	all_owned(0);
	end();
}

/* File capabilities, which a change of owner removes. */
static void capabilities_go_along(void)
{
	unsigned char got[64];
	char path[200];

	if (!begin())
		return;
	snprintf(path, sizeof(path), "%s/" ROOT "/plain", top);
	CU_ASSERT(setxattr(path, "security.capability", (const unsigned char[20]){ 1, 0, 0, 2, 0, 4 }, 20, 0) == 0);
	CU_ASSERT(pool_volume_shift(&pool, c1, BASE, SIZE, &err) == 0);
	CU_ASSERT(getxattr(path, "security.capability", got, sizeof(got)) == 20 && got[5] == 4);
	memcpy(got, caps, sizeof(caps));
	got[20] = 0x40; /* 200000 */
	got[21] = 0x0d;
	got[22] = 3;
	CU_ASSERT(setxattr(path, "security.capability", got, 24, 0) == 0);
	CU_ASSERT(pool_volume_shift(&pool, c1, 3 * BASE, SIZE, &err) == 0);
	/* given by root inside, they are root's on disk, for whom the kernel has the short form */
	CU_ASSERT(getxattr(path, "security.capability", got, sizeof(got)) == 20 && got[5] == 4);
	end();
}

static void named_users_of_an_acl_go_along(void)
{
	/* version 2; user rw, user 1000 r, group r, mask r, other none */
	static const unsigned char acl[] = { 2, 0, 0, 0, 1, 0, 6, 0, 255, 255, 255, 255, 2, 0, 4, 0, 0xe8, 3, 0, 0, 4, 0, 4, 0, 255, 255, 255, 255,
					     16, 0, 4, 0, 255, 255, 255, 255, 32, 0, 0, 0, 255, 255, 255, 255 };
	unsigned char got[100];
	char path[200];

	if (!begin())
		return;
	snprintf(path, sizeof(path), "%s/" ROOT "/plain", top);
	if (setxattr(path, "system.posix_acl_access", acl, sizeof(acl), 0) == 0) {
		CU_ASSERT(pool_volume_shift(&pool, c1, BASE, SIZE, &err) == 0);
		CU_ASSERT(getxattr(path, "system.posix_acl_access", got, sizeof(got)) == sizeof(acl));
		CU_ASSERT(got[16] == 0x28 && got[17] == 0x11 && got[18] == 3); /* 201000 */
		CU_ASSERT(pool_volume_shift(&pool, c1, 0, 0, &err) == 0);
		CU_ASSERT(getxattr(path, "system.posix_acl_access", got, sizeof(got)) == sizeof(acl) && memcmp(got, acl, sizeof(acl)) == 0);
	}
	end();
}

static void what_cannot_be_told_apart_is_refused(void)
{
	if (!begin())
		return;
	CU_ASSERT(pool_volume_shift(&pool, c1, 65535, SIZE, &err) == -EOPNOTSUPP);
	all_owned(0);
	CU_ASSERT(pool_volume_shift(&pool, VOLUME_OF_INSTANCE("default", "c2"), BASE, SIZE, &err) == -ENOENT);
	end();
}

static void scratch_belongs_to_root_inside(void)
{
	lxm_auto(free) char *path = NULL;

	if (!begin())
		return;
	CU_ASSERT(pool_volume_shift(&pool, c1, BASE, SIZE, &err) == 0);
	CU_ASSERT_FATAL(pool_volume_scratch(&pool, c1, "d", &path, &err) == 0);
	owned("instances/c1/scratch/d", BASE, BASE, 0755);
	owned("instances/c1/scratch", 0, 0, 0700);
	CU_ASSERT(pool_volume_shift(&pool, c1, 0, 0, &err) == 0);
	owned("instances/c1/scratch/d", 0, 0, 0755);
	end();
}

UNIT_MAIN("storage/shift", { "there and back", there_and_back }, { "a walk cut short is made good", a_walk_cut_short_is_made_good },
	  { "a copy is shifted back", a_copy_is_shifted_back }, { "capabilities go along", capabilities_go_along },
	  { "named users of an ACL go along", named_users_of_an_acl_go_along },
	  { "what cannot be told apart is refused", what_cannot_be_told_apart_is_refused },
	  { "scratch belongs to root inside", scratch_belongs_to_root_inside })
