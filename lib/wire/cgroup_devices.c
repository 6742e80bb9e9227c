/*
 * Device rules of a running instance. v1: the devices controller. v2: the program that lxm-monitor has attached
 * (lxmd/monitor/device_bpf.c) looks into a map before its own rules; the map is found through the program and changed in place, so that
 * there is no moment without rules, and nothing that a new lxmd would have to remember. Any thread of lxmd.
 */
#include "lib/wire/cgroup.h"

#include <fcntl.h>
#include <linux/bpf.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "lib/base/fd.h"

#define MAX_PROGS 16

static int bpf(int cmd, union bpf_attr *a)
{
	int r = (int)syscall(SYS_bpf, cmd, a, sizeof(*a));

	return r < 0 ? -errno : r;
}

static int by_id(int cmd, uint32_t id)
{
	union bpf_attr a;

	memset(&a, 0, sizeof(a));
	a.prog_id = id; /* map_id lies in the same place */
	return bpf(cmd, &a);
}

/* The map of a program of ours; -ENOENT if it is somebody else's. */
static int map_of(uint32_t prog_id)
{
	lxm_auto(fd_close) int prog = by_id(BPF_PROG_GET_FD_BY_ID, prog_id);
	struct bpf_prog_info info;
	uint32_t map_id = 0;
	union bpf_attr a;
	int r;

	if (prog < 0)
		return prog;
	memset(&info, 0, sizeof(info));
	info.nr_map_ids = 1;
	info.map_ids = (uint64_t)(uintptr_t)&map_id;
	memset(&a, 0, sizeof(a));
	a.info.bpf_fd = (uint32_t)prog;
	a.info.info_len = sizeof(info);
	a.info.info = (uint64_t)(uintptr_t)&info;
	r = bpf(BPF_OBJ_GET_INFO_BY_FD, &a);
	if (r < 0)
		return r;
	if (strcmp(info.name, CGROUP_DEVICES_NAME) != 0 || info.nr_map_ids != 1)
		return -ENOENT;
	return by_id(BPF_MAP_GET_FD_BY_ID, map_id);
}

static int find_map(int cgroup)
{
	uint32_t ids[MAX_PROGS];
	union bpf_attr a;
	uint32_t i;
	int r;

	memset(&a, 0, sizeof(a));
	a.query.target_fd = (uint32_t)cgroup;
	a.query.attach_type = BPF_CGROUP_DEVICE;
	a.query.prog_ids = (uint64_t)(uintptr_t)ids;
	a.query.prog_cnt = MAX_PROGS;
	r = bpf(BPF_PROG_QUERY, &a);
	if (r < 0)
		return r;
	for (i = 0; i < a.query.prog_cnt; i++) {
		int map = map_of(ids[i]);

		if (map != -ENOENT)
			return map;
	}
	return -ENOENT;
}

static int set_v2(const struct cgroup_layout *l, const char *path, char type, unsigned int major, unsigned int minor, bool allow)
{
	struct cgroup_device_key key = { type == 'b' ? BPF_DEVCG_DEV_BLOCK : BPF_DEVCG_DEV_CHAR, major, minor };
	/* nodes may always be made: what counts is to open them */
	uint32_t access = allow ? BPF_DEVCG_ACC_READ | BPF_DEVCG_ACC_WRITE | BPF_DEVCG_ACC_MKNOD : BPF_DEVCG_ACC_MKNOD;
	lxm_auto(fd_close) int dir = cgroup_open(l, "unified", path, ".", O_RDONLY | O_DIRECTORY), map = -1;
	union bpf_attr a;

	if (dir < 0)
		return dir;
	map = find_map(dir);
	if (map < 0)
		return map;
	memset(&a, 0, sizeof(a));
	a.map_fd = (uint32_t)map;
	a.key = (uint64_t)(uintptr_t)&key;
	a.value = (uint64_t)(uintptr_t)&access;
	return bpf(BPF_MAP_UPDATE_ELEM, &a);
}

int cgroup_device_rule(const struct cgroup_layout *l, const char *path, char type, unsigned int major, unsigned int minor, bool allow,
		       struct lxm_err *e)
{
	char line[64];
	int r;

	(void)snprintf(line, sizeof(line), "%c %u:%u rwm", type, major, minor);
	if (cgroup_find(l, "devices"))
		r = cgroup_write(l, "devices", path, allow ? "devices.allow" : "devices.deny", line);
	else
		r = set_v2(l, path, type, major, minor, allow);
	if (r == -ENOENT && !cgroup_find(l, "devices"))
		return lxm_err_http(e, 400, EOPNOTSUPP, "device rules cannot change: it was started by an lxmd that could not change them");
	return r < 0 ? lxm_err_set(e, -r, "set device rule '%s': %s", line, strerror(-r)) : 0;
}
