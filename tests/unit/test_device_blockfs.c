/* Filesystems by their magic numbers. */
#include "lxmd/device/blockfs.h"

#include <stdlib.h>
#include <string.h>

#include "lib/base/alloc.h"
#include "tests/unit/unit.h"

static void test_magic(void)
{
	static const struct {
		size_t at;
		const char *magic, *want;
	} rows[] = {
		{ 1080, "\x53\xef", "ext4" }, { 0, "XFSB", "xfs" }, { 0, "hsqs", "squashfs" }, { 32769, "CD001", "iso9660" },
		{ 0x52, "FAT32   ", "vfat" }, { 0x36, "FAT16   ", "vfat" }, { 0x36, "FAT12   ", "vfat" }, { 0x10040, "_BHRfS_M", NULL },
		{ 1, "XFSB", NULL },
	};
	size_t k;

	for (k = 0; k < LXM_ARRAY_LEN(rows); k++) {
		lxm_auto(free) char *head = calloc(1, BLOCKFS_HEAD + 128);
		const char *got;

		memcpy(head + rows[k].at, rows[k].magic, strlen(rows[k].magic));
		got = blockfs_name(head, BLOCKFS_HEAD);
		CU_ASSERT(rows[k].want ? got && strcmp(got, rows[k].want) == 0 : !got);
	}
}

static void test_short(void)
{
	char head[1081] = { 0 };

	memcpy(head + 1080, "\x53", 1);
	CU_ASSERT(!blockfs_name(head, sizeof(head)));
	CU_ASSERT(!blockfs_name("XFS", 3) && !blockfs_name("", 0));
}

static void test_no_device(void)
{
	const char *name = NULL;
	bool readonly;

	CU_ASSERT(blockfs_probe("/nonexistent", &name, &readonly, NULL) == -ENOENT && !name);
	CU_ASSERT(blockfs_probe("/dev/null", &name, &readonly, NULL) == -EINVAL && !name);
}

UNIT_MAIN("device/blockfs", { "magic numbers", test_magic }, { "devices that are too short", test_short },
	  { "what is no such device", test_no_device })
