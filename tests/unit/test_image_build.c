/* The tree of a template build is finished without a way out of it, and mmdebstrap's output becomes progress. */
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/base/alloc.h"
#include "lib/base/fd.h"
#include "lxmd/image/build_int.h"
#include "tests/unit/scratch.h"
#include "tests/unit/unit.h"

static char dir[SCRATCH_MAX];
static int dirfd_, root;

static void tree_begin(void)
{
	scratch(dir, "build");
	dirfd_ = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	CU_ASSERT_EQUAL(mkdirat(dirfd_, "rootfs", 0755), 0);
	root = openat(dirfd_, "rootfs", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	CU_ASSERT_TRUE_FATAL(root >= 0);
}

static void tree_end(void)
{
	close(root);
	close(dirfd_);
	CU_ASSERT_EQUAL(lxm_rm_tree_at(AT_FDCWD, dir), 0);
}

static void put(const char *path, const char *text)
{
	struct lxm_err e = { 0 };

	CU_ASSERT_EQUAL(build_write_in(root, path, text, strlen(text), 0644, &e), 0);
}

static bool there(const char *path)
{
	struct stat st;

	return fstatat(root, path, &st, AT_SYMLINK_NOFOLLOW) == 0;
}

static void test_links_do_not_lead_out(void)
{
	lxm_auto(buf) struct lxm_buf text = { 0 };
	struct stat st;

	tree_begin();
	CU_ASSERT_EQUAL(symlinkat("../../../..", root, "etc"), 0);
	put("/etc/deep/file", "inside");
	CU_ASSERT_TRUE(there("deep/file"));
	CU_ASSERT_NOT_EQUAL(access("/deep", F_OK), 0);

	/* a link in the file's own place is replaced, not written through */
	CU_ASSERT_EQUAL(symlinkat("../outside", root, "resolv.conf"), 0);
	put("/resolv.conf", "mine");
	CU_ASSERT_EQUAL(fstatat(root, "resolv.conf", &st, AT_SYMLINK_NOFOLLOW), 0);
	CU_ASSERT_TRUE(S_ISREG(st.st_mode));
	CU_ASSERT_EQUAL(lxm_read_file_at(root, "resolv.conf", 100, &text), 0);
	CU_ASSERT_STRING_EQUAL(text.data, "mine");
	CU_ASSERT_NOT_EQUAL(faccessat(dirfd_, "outside", F_OK, 0), 0);
	tree_end();
}

static bool never(void *arg)
{
	return false;
}

static void silent(void *arg, const char *stage, int percent, uint64_t speed)
{
}

static void test_finish_applies_the_recipe_and_cleans(void)
{
	static const char text[] = "description: T\nos: T\nbuilder: busybox\narchitectures: {x86_64: amd64}\n"
				   "remove: [/var/log/*.log, /gone, /nodir/*]\nlinks: {/etc/l: ../there}\n"
				   "services: {mask: [a.service]}\n"
				   "files: [{path: /etc/new, content: hi, mode: \"0600\"}]\n"
				   "variants: {default: {init: systemd}}\n";
	lxm_auto(pick) struct recipe_pick pick = { 0 };
	struct recipe *rc = NULL;
	struct lxm_err e = { 0 };
	struct build b = { .pick = &pick, .epoch = 1000000000000, .cancelled = never, .progress = silent };
	char target[32] = "";
	struct stat st;

	CU_ASSERT_EQUAL_FATAL(recipe_parse("t", "t", text, sizeof(text) - 1, &rc, &e), 0);
	CU_ASSERT_EQUAL_FATAL(recipe_pick(rc, NULL, NULL, "x86_64", &pick, &e), 0);
	tree_begin();
	b.rootfd = root;
	put("/var/log/a.log", "");
	put("/var/log/keep", "");
	put("/dev/shm/x", "");
	put("/run/.hidden", "");
	put("/tmp/x", "");
	CU_ASSERT_EQUAL(mkfifoat(root, "fifo", 0600), 0);
	CU_ASSERT_EQUAL(build_tree_finish(&b, &e), 0);
	CU_ASSERT_FALSE(there("var/log/a.log"));
	CU_ASSERT_TRUE(there("var/log/keep"));
	CU_ASSERT_TRUE(there("dev") && !there("dev/shm"));
	CU_ASSERT_FALSE(there("run/.hidden"));
	CU_ASSERT_FALSE(there("tmp/x"));
	CU_ASSERT_TRUE(there("fifo"));
	CU_ASSERT_EQUAL(readlinkat(root, "etc/systemd/system/a.service", target, sizeof(target) - 1), 9);
	CU_ASSERT_STRING_EQUAL(target, "/dev/null");
	CU_ASSERT_EQUAL(fstatat(root, "etc/new", &st, 0), 0);
	CU_ASSERT_EQUAL(st.st_mode & 07777, 0600);
	CU_ASSERT_EQUAL(st.st_mtim.tv_sec, 1000000000);
	tree_end();
}

static void test_output_becomes_progress(void)
{
	struct mm_progress p = { .stage = "" };

	CU_ASSERT_FALSE(mm_progress_line(&p, "I: automatically chosen mode: root"));
	CU_ASSERT_TRUE(mm_progress_line(&p, "I: running apt-get update..."));
	CU_ASSERT_STRING_EQUAL(p.stage, "Fetching package lists");
	CU_ASSERT_FALSE(mm_progress_line(&p, "Get:1 http://mirror/debian trixie InRelease [140 kB]"));
	CU_ASSERT_FALSE(mm_progress_line(&p, "0 upgraded, 2 newly installed, 0 to remove and 0 not upgraded."));
	CU_ASSERT_FALSE(mm_progress_line(&p, "Need to get 2000 kB of archives."));
	CU_ASSERT_TRUE(mm_progress_line(&p, "Get:1 http://mirror/debian trixie/main amd64 a amd64 1 [500 kB]"));
	CU_ASSERT_STRING_EQUAL(p.stage, "Downloading packages");
	CU_ASSERT_EQUAL(p.percent, 25);
	/* the base system has a hundred per cent of its own */
	CU_ASSERT_FALSE(mm_progress_line(&p, "I: installing essential packages..."));
	CU_ASSERT_TRUE(mm_progress_line(&p, "Unpacking a (1) ..."));
	CU_ASSERT_STRING_EQUAL(p.stage, "Installing the base system");
	CU_ASSERT_FALSE(mm_progress_line(&p, "I: installing remaining packages inside the chroot..."));
	CU_ASSERT_FALSE(mm_progress_line(&p, "0 upgraded, 2 newly installed, 0 to remove and 0 not upgraded."));
	CU_ASSERT_TRUE(mm_progress_line(&p, "Unpacking b (1) ..."));
	CU_ASSERT_STRING_EQUAL(p.stage, "Installing packages");
	CU_ASSERT_EQUAL(p.percent, 25);
	CU_ASSERT_TRUE(mm_progress_line(&p, "Setting up a (1) ..."));
	CU_ASSERT_EQUAL(p.percent, 50);
}

static void test_odd_output_stays_in_bounds(void)
{
	struct mm_progress p = { .stage = "" };
	int i;

	(void)mm_progress_line(&p, "");
	(void)mm_progress_line(&p, "Need to get -5 MB of archives.");
	(void)mm_progress_line(&p, "Get:1 no size");
	(void)mm_progress_line(&p, "Get:1 x [99999999999999 MB]");
	(void)mm_progress_line(&p, " newly installed,");
	(void)mm_progress_line(&p, "0 upgraded, 99999999999 newly installed,");
	for (i = 0; i < 1000; i++) {
		(void)mm_progress_line(&p, "Setting up x");
		CU_ASSERT_TRUE(p.percent >= -1 && p.percent <= 100);
	}
}

UNIT_MAIN("image build",
	  { "links do not lead out", test_links_do_not_lead_out },
	  { "finish applies the recipe and cleans", test_finish_applies_the_recipe_and_cleans },
	  { "output becomes progress", test_output_becomes_progress },
	  { "odd output stays in bounds", test_odd_output_stays_in_bounds })
