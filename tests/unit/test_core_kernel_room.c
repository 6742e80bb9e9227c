/* lxmd/core/kernel_room: what limits a host needs, and whether one more instance fits; /proc is played by a directory. */
#include "tests/unit/scratch.h"
#include "tests/unit/unit.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/base/alloc.h"
#include "lib/base/fd.h"
#include "lxmd/core/kernel_room.h"

static char dir[SCRATCH_MAX];

static void put(const char *file, const char *text)
{
	lxm_auto(free) char *path = lxm_asprintf("%s/%s", dir, file), *parent = lxm_strdup(path);

	*strrchr(parent, '/') = 0;
	CU_ASSERT_EQUAL(lxm_mkdir_p(parent, 0700), 0);
	CU_ASSERT_EQUAL(lxm_write_file_atomic(AT_FDCWD, path, text, strlen(text), 0600), 0);
}

static char *get(const char *file)
{
	lxm_auto(free) char *path = lxm_asprintf("%s/%s", dir, file);
	lxm_auto(buf) struct lxm_buf b = { 0 };

	CU_ASSERT_EQUAL(lxm_read_file(path, 65536, &b), 0);
	return lxm_strdup(b.data ? b.data : "");
}

/* What Debian 12 has on a machine of 24 GiB. */
static void debian(void)
{
	static const struct {
		const char *file, *text;
	} files[] = {
		{ "sys/fs/aio-max-nr", "65536\n" },
		{ "sys/fs/file-max", "2466183\n" },
		{ "sys/fs/file-nr", "1314\t0\t2466183\n" },
		{ "sys/fs/inotify/max_user_instances", "128\n" },
		{ "sys/fs/inotify/max_user_watches", "192536\n" },
		{ "sys/kernel/keys/maxbytes", "20000\n" },
		{ "sys/kernel/keys/maxkeys", "200\n" },
		{ "sys/kernel/pid_max", "32768\n" },
		{ "sys/kernel/threads-max", "192731\n" },
		{ "sys/kernel/pty/max", "4096\n" },
		{ "sys/kernel/pty/nr", "2\n" },
		{ "sys/kernel/pty/reserve", "1024\n" },
		{ "sys/net/ipv4/neigh/default/gc_thresh3", "1024\n" },
		{ "sys/net/ipv6/neigh/default/gc_thresh3", "1024\n" },
		{ "sys/user/max_user_namespaces", "96365\n" },
		{ "sys/user/max_mnt_namespaces", "96365\n" },
		{ "sys/vm/max_map_count", "65530\n" },
		{ "loadavg", "1.00 2.00 3.00 4/500 12345\n" },
	};
	size_t k;

	scratch(dir, "room");
	for (k = 0; k < LXM_ARRAY_LEN(files); k++)
		put(files[k].file, files[k].text);
}

static void end(void)
{
	CU_ASSERT_EQUAL(lxm_rm_tree_at(AT_FDCWD, dir), 0);
}

static unsigned int report(unsigned int instances, struct lxm_buf *b)
{
	lxm_buf_deinit(b);
	return kernel_room_report(dir, instances, b);
}

/* ---- what is too small */

static void a_hundred_fit_on_debian(void)
{
	lxm_auto(buf) struct lxm_buf b = { 0 };

	debian();
	CU_ASSERT_EQUAL(report(100, &b), 0);
	CU_ASSERT_PTR_NULL(b.data);
	/* what all share is short for more of them, what each has of its own is not */
	CU_ASSERT(report(1000, &b) > 0);
	CU_ASSERT_PTR_NOT_NULL(strstr(b.data, "kernel.pty.max is 4096: 1000 instances need 17280 (terminals)\n"));
	CU_ASSERT_PTR_NOT_NULL(strstr(b.data, "kernel.pid_max is 32768: 1000 instances need 132096 "));
	CU_ASSERT_PTR_NOT_NULL(strstr(b.data, "net.ipv6.neigh.default.gc_thresh3 is 1024: "));
	CU_ASSERT_PTR_NULL(strstr(b.data, "kernel.keys"));
	CU_ASSERT_PTR_NULL(strstr(b.data, "inotify"));
	end();
}

static void small_ones_are_named(void)
{
	lxm_auto(buf) struct lxm_buf b = { 0 };

	debian();
	put("sys/kernel/keys/maxkeys", "20\n");
	put("sys/user/max_user_namespaces", "0\n");
	CU_ASSERT_EQUAL(report(100, &b), 2);
	CU_ASSERT_STRING_EQUAL(b.data, "kernel.keys.maxkeys is 20: 100 instances need 100 each (keys in keyrings)\n"
				       "user.max_user_namespaces is 0: 100 instances need 816 (user namespaces)\n");
	end();
}

static void what_is_not_there_is_left_out(void)
{
	lxm_auto(buf) struct lxm_buf b = { 0 };

	debian();
	CU_ASSERT_EQUAL(lxm_rm_tree_at(AT_FDCWD, dir), 0);
	CU_ASSERT_EQUAL(report(100000, &b), 0);
	CU_ASSERT_EQUAL(kernel_room_conf(dir, 100000, &b), 0);
}

static void a_file_only_raises(void)
{
	lxm_auto(buf) struct lxm_buf b = { 0 };

	debian();
	put("sys/vm/max_map_count", "1000000\n");
	put("sys/kernel/pid_max", "4194304\n");
	CU_ASSERT(kernel_room_conf(dir, 100, &b) > 0);
	CU_ASSERT_PTR_NOT_NULL(strstr(b.data, "fs.inotify.max_user_instances = 1600\n"));
	CU_ASSERT_PTR_NOT_NULL(strstr(b.data, "kernel.pty.max = 103680\n")); /* each may fill its /dev/pts */
	CU_ASSERT_PTR_NULL(strstr(b.data, "max_map_count"));
	CU_ASSERT_PTR_NULL(strstr(b.data, "pid_max"));
	/* the kernel has chosen these by its memory, and they do */
	CU_ASSERT_PTR_NULL(strstr(b.data, "file-max"));
	CU_ASSERT_PTR_NULL(strstr(b.data, "namespaces"));
	/* no more than the kernel takes */
	lxm_buf_deinit(&b);
	CU_ASSERT(kernel_room_conf(dir, 100000, &b) > 0);
	CU_ASSERT_PTR_NOT_NULL(strstr(b.data, "kernel.pty.max = 1048576\n"));
	end();
}

static void apply_writes_sets_and_keeps(void)
{
	lxm_auto(free) char *file = NULL, *text = NULL, *now = NULL;
	lxm_auto(buf) struct lxm_buf b = { 0 };
	struct lxm_err e = { 0 };

	debian();
	file = lxm_asprintf("%s/sysctl.d/lxmd.conf", dir);
	CU_ASSERT_EQUAL(kernel_room_apply(dir, file, 3, &e), 0); /* makes the directory, as some small system lacks it */
	put("sysctl.d/lxmd.conf", "# old\nvm.swappiness = 10\nkernel.keys.maxkeys = 1\n");
	CU_ASSERT_EQUAL(kernel_room_apply(dir, file, 100, &e), 0);
	text = get("sysctl.d/lxmd.conf");
	CU_ASSERT_PTR_NOT_NULL(strstr(text, "\nkernel.keys.maxkeys = 4000\n"));
	CU_ASSERT_PTR_NOT_NULL(strstr(text, "\nvm.swappiness = 10\n"));
	CU_ASSERT_PTR_NULL(strstr(text, "maxkeys = 1\n"));
	now = get("sys/kernel/keys/maxkeys");
	CU_ASSERT_EQUAL(strtol(now, NULL, 10), 4000);
	CU_ASSERT_EQUAL(kernel_room_conf(dir, 100, &b), 0);
	/* a second time there is nothing to do, and what is there stays */
	CU_ASSERT_EQUAL(kernel_room_apply(dir, file, 100, &e), 0);
	free(text);
	text = get("sysctl.d/lxmd.conf");
	CU_ASSERT_PTR_NOT_NULL(strstr(text, "kernel.keys.maxkeys = 4000\n"));
	end();
}

/* ---- before a start */

static void a_start_without_room_names_the_limit(void)
{
	struct kernel_room *k;
	struct lxm_err e = { 0 };

	debian();
	k = kernel_room_new(dir);
	CU_ASSERT_EQUAL(kernel_room_check(k, &e), 0);
	kernel_room_free(k);

	put("sys/kernel/pty/nr", "3071\n");
	k = kernel_room_new(dir);
	CU_ASSERT_EQUAL(kernel_room_check(k, &e), -ENOSPC);
	CU_ASSERT_PTR_NOT_NULL(strstr(e.msg, "kernel.pty.max is 4096, 1024 of them are kept for the host, 3071 are in use: raise it with "));
	/* raised: the next one starts, without a wait */
	put("sys/kernel/pty/max", "8192\n");
	CU_ASSERT_EQUAL(kernel_room_check(k, &e), 0);
	kernel_room_free(k);
	end();
}

static void the_reserve_of_terminals_is_what_the_kernel_says(void)
{
	lxm_auto(buf) struct lxm_buf b = { 0 };
	struct kernel_room *k;
	struct lxm_err e = { 0 };

	/* more of them are kept than usual: fewer are for instances */
	debian();
	put("sys/kernel/pty/reserve", "3072\n");
	put("sys/kernel/pty/nr", "1023\n");
	k = kernel_room_new(dir);
	CU_ASSERT_EQUAL(kernel_room_check(k, &e), -ENOSPC);
	CU_ASSERT_PTR_NOT_NULL(strstr(e.msg, "kernel.pty.max is 4096, 3072 of them are kept for the host, 1023 are in use"));
	kernel_room_free(k);
	/* none: instances can take the host's, and that is said and mended */
	put("sys/kernel/pty/reserve", "0\n");
	put("sys/kernel/pty/nr", "4000\n");
	k = kernel_room_new(dir);
	CU_ASSERT_EQUAL(kernel_room_check(k, &e), 0);
	kernel_room_free(k);
	CU_ASSERT(report(10, &b) > 0);
	CU_ASSERT_PTR_NOT_NULL(strstr(b.data, "kernel.pty.reserve is 0: 10 instances need 1024 (terminals that no instance can take)\n"));
	lxm_buf_deinit(&b);
	CU_ASSERT(kernel_room_conf(dir, 10, &b) > 0);
	CU_ASSERT_PTR_NOT_NULL(strstr(b.data, "kernel.pty.reserve = 1024\n"));
	end();
}

static void each_counted_limit_stops_a_start(void)
{
	static const struct {
		const char *file, *text, *key;
	} full[] = {
		{ "sys/fs/file-nr", "2466000\t0\t2466183\n", "fs.file-max is 2466183" },
		{ "loadavg", "0 0 0 1/32760 9\n", "kernel.pid_max is 32768" },
		{ "sys/kernel/threads-max", "510\n", "kernel.threads-max is 510" },
		{ "sys/user/max_user_namespaces", "0\n", "user.max_user_namespaces is 0" },
	};
	size_t i;

	for (i = 0; i < LXM_ARRAY_LEN(full); i++) {
		struct kernel_room *k;
		struct lxm_err e = { 0 };

		debian();
		put(full[i].file, full[i].text);
		k = kernel_room_new(dir);
		CU_ASSERT_EQUAL(kernel_room_check(k, &e), -ENOSPC);
		CU_ASSERT_PTR_NOT_NULL(strstr(e.msg, full[i].key));
		kernel_room_free(k);
		end();
	}
}

static void starts_of_one_moment_count(void)
{
	struct kernel_room *k;
	struct lxm_err e = { 0 };
	int n = 0;

	debian();
	put("sys/kernel/pty/nr", "3062\n"); /* room for ten: five instances */
	k = kernel_room_new(dir);
	while (n < 16 && kernel_room_check(k, &e) == 0)
		n++;
	CU_ASSERT_EQUAL(n, 5);
	kernel_room_free(k);
	end();
}

UNIT_MAIN("core/kernel_room", { "a hundred fit on debian", a_hundred_fit_on_debian },
	  { "small ones are named", small_ones_are_named },
	  { "what is not there is left out", what_is_not_there_is_left_out },
	  { "a file only raises", a_file_only_raises },
	  { "apply writes sets and keeps", apply_writes_sets_and_keeps },
	  { "a start without room names the limit", a_start_without_room_names_the_limit },
	  { "the reserve of terminals is what the kernel says", the_reserve_of_terminals_is_what_the_kernel_says },
	  { "each counted limit stops a start", each_counted_limit_stops_a_start },
	  { "starts of one moment count", starts_of_one_moment_count })
