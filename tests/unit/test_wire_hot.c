/* The hot job: what goes in comes out, and nothing that makes no sense. */
#include "lib/wire/hot.h"

#include <sys/mount.h>
#include <unistd.h>

#include "lib/base/fd.h"
#include "tests/unit/unit.h"

static const struct hot_job mount_job = { .verb = HOT_MOUNT,
					  .flags = HOT_IDMAP | HOT_MKDIR,
					  .pid = 42,
					  .source = "/srv/data",
					  .target = "/mnt",
					  .attrs = 1,
					  .propagation = MS_SLAVE };

static void test_round_trip(void)
{
	unsigned char buf[HOT_JOB_MAX];
	struct hot_job out;
	int fd = -1;

	CU_ASSERT_FATAL(hot_job_seal(&mount_job, &fd, NULL) == 0);
	CU_ASSERT_FATAL(hot_job_read(fd, buf, &out, NULL) == 0);
	CU_ASSERT(out.verb == HOT_MOUNT && out.flags == (HOT_IDMAP | HOT_MKDIR) && out.pid == 42 && out.propagation == MS_SLAVE);
	CU_ASSERT_STRING_EQUAL(out.source, "/srv/data");
	CU_ASSERT_STRING_EQUAL(out.target, "/mnt");
	(void)close(fd);
}

static int sealed(struct hot_job j)
{
	int fd = -1, r = hot_job_seal(&j, &fd, NULL);

	auto_fd_close(&fd);
	return r;
}

static void test_sense(void)
{
	const struct hot_job node = { .verb = HOT_NODE, .pid = 42, .target = "net/tun", .type = 'c', .mode = 0660 };
	struct hot_job j;

	CU_ASSERT(sealed(mount_job) == 0);
	CU_ASSERT(sealed(node) == 0);
	j = mount_job, j.source = "srv";
	CU_ASSERT(sealed(j) == -EINVAL);
	j = mount_job, j.target = NULL;
	CU_ASSERT(sealed(j) == -EINVAL);
	j = mount_job, j.pid = 0;
	CU_ASSERT(sealed(j) == -EINVAL);
	j = mount_job, j.verb = HOT_VERBS;
	CU_ASSERT(sealed(j) == -EINVAL);
	j = mount_job, j.flags = 1u << 30;
	CU_ASSERT(sealed(j) == -EINVAL);
	j = node, j.target = "/dev/null";
	CU_ASSERT(sealed(j) == -EINVAL);
	j = node, j.type = 'p';
	CU_ASSERT(sealed(j) == -EINVAL);
	j = node, j.mode = 0100660;
	CU_ASSERT(sealed(j) == -EINVAL);
	j = node, j.uevent = "DEVPATH=/devices/x\nSUBSYSTEM=usb\n";
	CU_ASSERT(sealed(j) == 0);
	j = node, j.uevent = "SUBSYSTEM=usb\n";
	CU_ASSERT(sealed(j) == -EINVAL);
	j = mount_job, j.uevent = "DEVPATH=/devices/x\n";
	CU_ASSERT(sealed(j) == -EINVAL);
}

/* A filesystem that is mounted by itself: memory has no source, a device has one. */
static void test_filesystems(void)
{
	struct hot_job j;

	j = mount_job, j.fstype = "ext4", j.options = "commit=5", j.source = "/dev/vdb";
	CU_ASSERT(sealed(j) == 0);
	j = mount_job, j.fstype = "tmpfs", j.source = "";
	CU_ASSERT(sealed(j) == 0);
	j = mount_job, j.fstype = "tmpfs";
	CU_ASSERT(sealed(j) == -EINVAL);
	j = mount_job, j.fstype = "ext4", j.source = "";
	CU_ASSERT(sealed(j) == -EINVAL);
	j = mount_job, j.fstype = "../ext4";
	CU_ASSERT(sealed(j) == -EINVAL);
}

static void test_unsealed(void)
{
	unsigned char buf[HOT_JOB_MAX];
	struct hot_job out;
	int fd = open("/dev/zero", O_RDONLY | O_CLOEXEC);

	CU_ASSERT(hot_job_read(fd, buf, &out, NULL) == -EBADMSG);
	(void)close(fd);
}

UNIT_MAIN("wire/hot", { "a job survives the way", test_round_trip }, { "jobs without sense are refused", test_sense }, { "filesystems", test_filesystems },
	  { "a file that may change is refused", test_unsealed })
