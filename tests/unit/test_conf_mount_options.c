/* raw.mount.options: what is in the lists, and nothing else. */
#include "lib/conf/mount_options.h"

#include <linux/mount.h>
#include <string.h>

#include "lib/base/alloc.h"
#include "tests/unit/unit.h"

static void test_attributes(void)
{
	uint32_t attrs = MOUNT_ATTR_NODEV;

	CU_ASSERT(conf_mount_options("noexec, ro,nosuid", NULL, &attrs, NULL, NULL) == 0);
	CU_ASSERT(attrs == (MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC | MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID));
	attrs = 0;
	CU_ASSERT(conf_mount_options("noatime,strictatime,nodiratime", NULL, &attrs, NULL, NULL) == 0);
	CU_ASSERT(attrs == (MOUNT_ATTR_STRICTATIME | MOUNT_ATTR_NODIRATIME));
	CU_ASSERT(conf_mount_options("relatime", NULL, &attrs, NULL, NULL) == 0 && attrs == MOUNT_ATTR_NODIRATIME);
	CU_ASSERT(conf_mount_options(NULL, NULL, &attrs, NULL, NULL) == 0 && conf_mount_options("", "ext4", &attrs, NULL, NULL) == 0);
}

static void test_own(void)
{
	lxm_auto(buf) struct lxm_buf own = { 0 };
	uint32_t attrs = 0;

	lxm_buf_fmt(&own, "ro");
	CU_ASSERT(conf_mount_options("commit=30,noexec,discard", "ext4", &attrs, &own, NULL) == 0);
	CU_ASSERT(attrs == MOUNT_ATTR_NOEXEC);
	CU_ASSERT_STRING_EQUAL(own.data, "ro,commit=30,discard");
	/* a flag is no value, a value no flag, and each filesystem has its own */
	CU_ASSERT(conf_mount_options("commit", "ext4", &attrs, &own, NULL) == -EINVAL);
	CU_ASSERT(conf_mount_options("discard=1", "ext4", &attrs, &own, NULL) == -EINVAL);
	CU_ASSERT(conf_mount_options("commit=30", "xfs", &attrs, &own, NULL) == -EINVAL);
	CU_ASSERT(conf_mount_options("commit=30", NULL, &attrs, &own, NULL) == -EINVAL);
	CU_ASSERT(conf_mount_options("size=10%,nr_inodes=5", "tmpfs", &attrs, &own, NULL) == 0);
}

static void test_refused(void)
{
	static const char *const bad[] = { "suid", "dev", "exec", "rw", "bind", "remount", "loop", "context=x", "usrquota", "journal_path=/etc/x",
					   "journal_dev=8", "logdev=/dev/sda", "rtdev=/dev/sda", "device=/dev/sda", "commit=", "commit=1 2",
					   "commit=/etc", "errors=a=b", "discardd", "disc", "uid=0:1" };
	size_t k;

	for (k = 0; k < LXM_ARRAY_LEN(bad); k++) {
		if (check_mount_options("raw.mount.options", bad[k], NULL) != -EINVAL)
			CU_FAIL(bad[k]);
	}
	CU_ASSERT(check_mount_options("raw.mount.options", "noatime,commit=5,umask=022", NULL) == 0);
}

UNIT_MAIN("conf/mount_options", { "attributes of any mount", test_attributes }, { "options of one filesystem", test_own },
	  { "everything else is refused", test_refused })
