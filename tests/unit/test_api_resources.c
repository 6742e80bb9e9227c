/* lxmd/api/resources: a made-up host below a directory gives the objects that clients read. */
#include "tests/unit/scratch.h"
#include "tests/unit/unit.h"

#include <fcntl.h>
#include <string.h>

#include "lib/api/json.h"
#include "lib/base/fd.h"
#include "lxmd/api/resources.h"

struct tree {
	char dir[SCRATCH_MAX];
	int fd;
};

static void up(struct tree *t)
{
	scratch(t->dir, "res");
	t->fd = open(t->dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
	CU_ASSERT_FATAL(t->fd >= 0);
}

static void down(struct tree *t)
{
	close(t->fd);
	(void)lxm_rm_tree_at(-100 /* AT_FDCWD */, t->dir);
}

static void dir(struct tree *t, const char *path)
{
	char whole[256];

	snprintf(whole, sizeof(whole), "%s/%s", t->dir, path);
	CU_ASSERT_EQUAL_FATAL(lxm_mkdir_p(whole, 0755), 0);
}

static void file(struct tree *t, const char *path, const char *text)
{
	char whole[256], *slash;
	int fd;

	snprintf(whole, sizeof(whole), "%s", path);
	slash = strrchr(whole, '/');
	*slash = '\0';
	dir(t, whole);
	*slash = '/';
	fd = openat(t->fd, whole, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
	CU_ASSERT_EQUAL(lxm_write_all(fd, text, strlen(text)), 0);
	close(fd);
}

static void link_to(struct tree *t, const char *path, const char *target)
{
	char whole[256];

	snprintf(whole, sizeof(whole), "%s", path);
	*strrchr(whole, '/') = '\0';
	dir(t, whole);
	CU_ASSERT_EQUAL(symlinkat(target, t->fd, path), 0);
}

static json_t *nth(json_t *o, const char *key, size_t i)
{
	return json_array_get(json_object_get(o, key), i);
}

static void cpus_are_grouped_by_socket_and_core(void)
{
	lxm_auto(json) json_t *o = NULL;
	struct tree t;
	char path[96];
	int i;

	up(&t);
	file(&t, "proc/cpuinfo", "processor\t: 0\nvendor_id\t: TestVendor\nmodel name\t: Test CPU\ncpu MHz\t\t: 1234.5\n");
	for (i = 0; i < 12; i++) { /* two sockets, three cores each, two threads a core */
		snprintf(path, sizeof(path), "sys/devices/system/cpu/cpu%d/topology/physical_package_id", i);
		file(&t, path, i % 2 ? "1\n" : "0\n");
		snprintf(path, sizeof(path), "sys/devices/system/cpu/cpu%d/topology/core_id", i);
		file(&t, path, (char[]){ (char)('0' + i / 2 % 3), '\n', 0 });
		snprintf(path, sizeof(path), "sys/devices/system/cpu/cpu%d/online", i);
		file(&t, path, i == 11 ? "0\n" : "1\n");
	}
	file(&t, "sys/devices/system/cpu/isolated", "2-3\n");
	file(&t, "sys/devices/system/cpu/cpufreq/boost", "1\n"); /* no CPU, in spite of its name */
	file(&t, "sys/devices/system/cpu/cpu0/cache/index0/level", "1\n");
	file(&t, "sys/devices/system/cpu/cpu0/cache/index0/size", "32K\n");
	file(&t, "sys/devices/system/cpu/cpu0/cache/index0/type", "Data\n");
	o = resources_cpu(t.fd);
	CU_ASSERT(js_int(o, "total", 0) == 12);
	CU_ASSERT(json_array_size(json_object_get(o, "sockets")) == 2);
	CU_ASSERT_STRING_EQUAL(js_str(nth(o, "sockets", 0), "name"), "Test CPU");
	CU_ASSERT(js_int(nth(nth(o, "sockets", 0), "cache", 0), "size", 0) == 32768);
	CU_ASSERT(json_array_size(json_object_get(nth(o, "sockets", 1), "cores")) == 3);
	CU_ASSERT(js_int(nth(nth(o, "sockets", 0), "cores", 0), "frequency", 0) == 1234);
	{
		json_t *threads = json_object_get(nth(nth(o, "sockets", 1), "cores", 1), "threads");

		CU_ASSERT(json_array_size(threads) == 2);
		CU_ASSERT(js_int(json_array_get(threads, 0), "id", 0) == 3);
		CU_ASSERT(js_bool(json_array_get(threads, 0), "isolated", false));
		CU_ASSERT_FALSE(js_bool(json_array_get(threads, 1), "isolated", true));
	}
	CU_ASSERT_FALSE(js_bool(json_array_get(json_object_get(nth(nth(o, "sockets", 1), "cores", 2), "threads"), 1),
				"online", true));
	down(&t);
}

static void memory_counts_bytes(void)
{
	lxm_auto(json) json_t *o = NULL;
	struct tree t;

	up(&t);
	file(&t, "proc/meminfo",
	     "MemTotal:        1000 kB\nMemFree: 100 kB\nMemAvailable:     400 kB\nHugePages_Total:      10\n"
	     "HugePages_Free:        4\nHugepagesize:       2048 kB\n");
	file(&t, "sys/devices/system/node/node1/meminfo", "Node 1 MemTotal:  500 kB\nNode 1 MemFree:  100 kB\n");
	o = resources_memory(t.fd);
	CU_ASSERT(js_int(o, "total", 0) == 1024000 && js_int(o, "used", 0) == 600 * 1024);
	CU_ASSERT(js_int(o, "hugepages_total", 0) == 10 << 21 && js_int(o, "hugepages_used", 0) == 6 << 21);
	CU_ASSERT(js_int(nth(o, "nodes", 0), "numa_node", 0) == 1);
	CU_ASSERT(js_int(nth(o, "nodes", 0), "used", 0) == 400 * 1024);
	down(&t);
}

static void devices_are_named_from_the_id_table(void)
{
	lxm_auto(json) json_t *pci = NULL;
	lxm_auto(json) json_t *gpu = NULL;
	lxm_auto(json) json_t *net = NULL;
	struct tree t;

	up(&t);
	file(&t, "usr/share/misc/pci.ids",
	     "# comment\n8086  Intel Corporation\n\t1234  Graphics\n\t5678  Network\n8087  Other\n\t9999  Not theirs\n");
	file(&t, "sys/bus/pci/devices/0000:00:02.0/vendor", "0x8086\n");
	file(&t, "sys/bus/pci/devices/0000:00:02.0/device", "0x1234\n");
	file(&t, "sys/bus/pci/devices/0000:00:02.0/class", "0x030000\n");
	file(&t, "sys/bus/pci/devices/0000:00:02.0/numa_node", "-1\n");
	file(&t, "sys/bus/pci/devices/0000:00:02.0/drm/card0/dev", "226:0\n");
	file(&t, "sys/bus/pci/devices/0000:00:02.0/drm/card0-HDMI-A-1/status", "x\n");
	file(&t, "sys/bus/pci/devices/0000:00:02.0/drm/renderD128/dev", "226:128\n");
	file(&t, "sys/bus/pci/devices/0000:00:03.0/vendor", "0x8086\n");
	file(&t, "sys/bus/pci/devices/0000:00:03.0/device", "0x9999\n"); /* of the next vendor */
	link_to(&t, "sys/bus/pci/devices/0000:00:03.0/driver", "../../drivers/e1000");
	file(&t, "sys/class/net/lo/address", "00:00:00:00:00:00\n");
	file(&t, "sys/class/net/eth0/address", "00:16:3e:00:00:01\n");
	file(&t, "sys/class/net/eth0/carrier", "1\n");
	file(&t, "sys/class/net/eth0/speed", "1000\n");
	link_to(&t, "sys/class/net/eth0/device", "../../../bus/pci/devices/0000:00:03.0");
	file(&t, "sys/class/net/eth1/address", "00:16:3e:00:00:02\n");
	link_to(&t, "sys/class/net/eth1/device", "../../../bus/pci/devices/0000:00:03.0");

	pci = resources_pci(t.fd);
	CU_ASSERT(js_int(pci, "total", 0) == 2);
	CU_ASSERT_STRING_EQUAL(js_str(nth(pci, "devices", 0), "product"), "Graphics");
	CU_ASSERT_STRING_EQUAL(js_str(nth(pci, "devices", 0), "vendor"), "Intel Corporation");
	CU_ASSERT_STRING_EQUAL(js_str(nth(pci, "devices", 1), "product"), "");
	CU_ASSERT_STRING_EQUAL(js_str(nth(pci, "devices", 1), "driver"), "e1000");
	gpu = resources_gpu(t.fd);
	CU_ASSERT(js_int(gpu, "total", 0) == 1);
	CU_ASSERT_STRING_EQUAL(js_str(json_object_get(nth(gpu, "cards", 0), "drm"), "card_name"), "card0");
	CU_ASSERT_STRING_EQUAL(js_str(json_object_get(nth(gpu, "cards", 0), "drm"), "render_device"), "226:128");
	net = resources_network(t.fd);
	CU_ASSERT(js_int(net, "total", 0) == 1);
	CU_ASSERT(json_array_size(json_object_get(nth(net, "cards", 0), "ports")) == 2);
	CU_ASSERT_STRING_EQUAL(js_str(nth(net, "cards", 0), "pci_address"), "0000:00:03.0");
	CU_ASSERT(js_int(nth(nth(net, "cards", 0), "ports", 0), "link_speed", 0) == 1000);
	CU_ASSERT(json_object_size(nth(net, "cards", 0)) == 9);
	down(&t);
}

static void disks_come_with_their_partitions(void)
{
	lxm_auto(json) json_t *o = NULL;
	struct tree t;

	up(&t);
	file(&t, "sys/class/block/sda/size", "2048\n");
	file(&t, "sys/class/block/sda/dev", "8:0\n");
	file(&t, "sys/class/block/sda/sda1/partition", "1\n");
	file(&t, "sys/class/block/sda/sda1/size", "1024\n");
	link_to(&t, "sys/class/block/sda/device", "../../../devices/disk");
	file(&t, "sys/devices/disk/model", "Disk 9000   \n");
	link_to(&t, "sys/devices/disk/subsystem", "../../bus/scsi");
	file(&t, "sys/class/block/loop0/size", "8\n");
	o = resources_storage(t.fd);
	CU_ASSERT(js_int(o, "total", 0) == 1);
	CU_ASSERT(js_int(nth(o, "disks", 0), "size", 0) == 1 << 20);
	CU_ASSERT_STRING_EQUAL(js_str(nth(o, "disks", 0), "model"), "Disk 9000");
	CU_ASSERT_STRING_EQUAL(js_str(nth(o, "disks", 0), "type"), "scsi");
	CU_ASSERT(js_int(nth(nth(o, "disks", 0), "partitions", 0), "size", 0) == 512 << 10);
	down(&t);
}

static void empty_host_gives_empty_objects(void)
{
	json_t *(*const parts[])(int) = { resources_cpu, resources_memory,  resources_load,    resources_system, resources_pci,
					  resources_usb, resources_gpu,	    resources_network, resources_storage };
	struct tree t;
	size_t i;

	up(&t);
	for (i = 0; i < LXM_ARRAY_LEN(parts); i++) {
		lxm_auto(json) json_t *o = parts[i](t.fd);

		CU_ASSERT(json_is_object(o));
	}
	down(&t);
}

UNIT_MAIN("api/resources", { "cpus are grouped by socket and core", cpus_are_grouped_by_socket_and_core },
	  { "memory counts bytes", memory_counts_bytes },
	  { "devices are named from the id table", devices_are_named_from_the_id_table },
	  { "disks come with their partitions", disks_come_with_their_partitions },
	  { "empty host gives empty objects", empty_host_gives_empty_objects })
