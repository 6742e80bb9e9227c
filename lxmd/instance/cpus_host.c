/*
 * CPU sets as the host keeps them: sysfs, the cpuset controller of both versions, and the kernel's word about CPUs that come and
 * go. Any thread; no state.
 *
 * On v1 a group's set bounds those below it: a smaller one is refused while a child has more, and a larger one does not reach the children.
 * What an instance's own programs (systemd, docker) have made below is therefore walked, one component at a time.
 */
#include "lxmd/instance/cpus_priv.h"

#include <dirent.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/netlink.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "lib/base/alloc.h"
#include "lib/base/fd.h"
#include "lib/base/str.h"
#include "lib/wire/cgroup.h"

#define MAX_DEPTH 16
#define MAX_TEXT  16384

static int read_set(int dirfd, const char *file, struct cpuset *out)
{
	lxm_auto(buf) struct lxm_buf b = { 0 };
	int r = lxm_read_file_at(dirfd, file, MAX_TEXT, &b);

	if (r < 0)
		return r;
	if (b.data)
		b.data[strcspn(b.data, "\n")] = 0;
	return cpuset_parse(b.data, out);
}

static int open_group(const struct cgroup_hier *h, const char *path)
{
	lxm_auto(fd_close) int root = open(h->mount, O_PATH | O_DIRECTORY | O_CLOEXEC);
	int fd = root < 0 ? -1 : lxm_open_beneath(root, path, O_RDONLY | O_DIRECTORY, 0);

	return fd < 0 ? -errno : fd;
}

void cpus_host_read(const struct cgroup_layout *l, const char *parent, struct cpuset *usable, struct cpuset *spread)
{
	const struct cgroup_hier *h = cgroup_find(l, "cpuset");
	lxm_auto(fd_close) int dir = h ? open_group(h, parent) : -ENOENT;
	struct cpuset online, isolated;
	size_t k;

	if (read_set(AT_FDCWD, "/sys/devices/system/cpu/online", &online) < 0)
		memset(&online, 0, sizeof(online));
	if (dir < 0 || read_set(dir, h->v2 ? "cpuset.cpus.effective" : "cpuset.effective_cpus", usable) < 0 || !cpuset_count(usable))
		*usable = online;
	if (read_set(AT_FDCWD, "/sys/devices/system/cpu/isolated", &isolated) < 0)
		memset(&isolated, 0, sizeof(isolated));
	*spread = *usable;
	for (k = 0; k < LXM_ARRAY_LEN(spread->w); k++)
		spread->w[k] &= ~isolated.w[k];
	if (!cpuset_count(spread))
		*spread = *usable;
}

void cpus_host_reread(const struct cgroup_layout *l, const char *parent, struct cpuset *usable, struct cpuset *spread)
{
	struct cpuset online;
	int k;

	for (k = 0; k < 20; k++) {
		cpus_host_read(l, parent, usable, spread);
		if (read_set(AT_FDCWD, "/sys/devices/system/cpu/online", &online) < 0 || cpuset_eq(usable, &online))
			return;
		nanosleep(&(struct timespec){ 0, 50000000 }, NULL);
	}
}

int cpus_host_node(unsigned int node, struct cpuset *out)
{
	char path[80];

	snprintf(path, sizeof(path), "/sys/devices/system/node/node%u/cpulist", node);
	return read_set(AT_FDCWD, path, out) < 0 ? -ENOENT : 0;
}

void cpus_host_restore(const struct cgroup_layout *l, const char *parent)
{
	const struct cgroup_hier *h = cgroup_find(l, "cpuset");
	lxm_auto(buf) struct lxm_buf all = { 0 };

	if (h && !h->v2 && lxm_read_file("/sys/devices/system/cpu/online", MAX_TEXT, &all) == 0)
		(void)cgroup_write(l, "cpuset", parent, "cpuset.cpus", all.data);
}

/* ---- groups below an instance's, on v1 */

/* Calls fn for each child directory. */
static void each_child(int fd, const char *text, const struct cpuset *set, int depth,
		       void (*fn)(int dir, const char *text, const struct cpuset *set, int depth))
{
	int copy = openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = copy < 0 ? NULL : fdopendir(copy);
	struct dirent *de;

	if (!d) {
		auto_fd_close(&copy);
		return;
	}
	while (depth < MAX_DEPTH && (de = readdir(d))) {
		lxm_auto(fd_close) int dir = -1;

		if (de->d_type != DT_DIR || strcmp(de->d_name, ".") == 0 || strcmp(de->d_name, "..") == 0)
			continue;
		dir = openat(fd, de->d_name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
		if (dir >= 0)
			fn(dir, text, set, depth + 1);
	}
	closedir(d);
}

/* Whoever has more than `set` gets `set`, from the leaves up. */
static void narrow(int dir, const char *text, const struct cpuset *set, int depth)
{
	struct cpuset own, both;

	each_child(dir, text, set, depth, narrow);
	if (read_set(dir, "cpuset.cpus", &own) < 0)
		return;
	both = own;
	cpuset_and(&both, set);
	if (!cpuset_eq(&both, &own))
		(void)lxm_write_str_at(dir, "cpuset.cpus", text);
}

/* Whoever has all that the instance had goes on having all, from the top down. */
static void follow(int dir, const char *text, const struct cpuset *was, int depth)
{
	struct cpuset own;

	if (read_set(dir, "cpuset.cpus", &own) < 0 || !cpuset_eq(&own, was))
		return;
	if (lxm_write_str_at(dir, "cpuset.cpus", text) == 0)
		each_child(dir, text, was, depth, follow);
}

static int write_v1(int dir, const char *text)
{
	struct cpuset was, set;
	int r = cpuset_parse(text, &set);

	if (r == 0)
		r = read_set(dir, "cpuset.cpus", &was);
	if (r < 0 || cpuset_eq(&was, &set))
		return r;
	r = lxm_write_str_at(dir, "cpuset.cpus", text);
	if (r == -EBUSY) {
		each_child(dir, text, &set, 0, narrow);
		r = lxm_write_str_at(dir, "cpuset.cpus", text);
	}
	if (r == 0)
		each_child(dir, text, &was, 0, follow);
	return r;
}

/* Linux 6.1 does not let a group with processes go back to "what the parent has": all CPUs there may ever be mean the same. */
static int write_v2(int dir, const char *text)
{
	lxm_auto(buf) struct lxm_buf all = { 0 };
	int r = lxm_write_str_at(dir, "cpuset.cpus", text ? text : "\n");

	if (text || r != -ENOSPC)
		return r;
	r = lxm_read_file("/sys/devices/system/cpu/possible", MAX_TEXT, &all);
	return r < 0 ? r : lxm_write_str_at(dir, "cpuset.cpus", all.data);
}

int cpus_host_write(const struct cgroup_layout *l, const char *path, const char *text)
{
	const struct cgroup_hier *h = cgroup_find(l, "cpuset");
	lxm_auto(fd_close) int dir = h ? open_group(h, path) : -EOPNOTSUPP;
	lxm_auto(free) char *all = NULL;

	if (dir < 0)
		return dir;
	if (h->v2)
		return write_v2(dir, text);
	if (!text) {
		lxm_auto(free) char *parent = lxm_strndup(path, strcspn(path, "/"));
		lxm_auto(fd_close) int up = open_group(h, parent);
		struct cpuset set;
		int r = up < 0 ? up : read_set(up, "cpuset.cpus", &set);

		if (r < 0)
			return r;
		all = cpuset_text(&set);
	}
	return write_v1(dir, text ? text : all);
}

/* ---- CPUs that come and go */

/* The filter lets pass what begins with "onli"(ne@...) and "offl"(ine@...): a start's dozens of network events wake nobody. */
int cpus_host_listen(void)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 0),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 0x6f6e6c69, 2, 0),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 0x6f66666c, 1, 0),
		BPF_STMT(BPF_RET | BPF_K, 0),
		BPF_STMT(BPF_RET | BPF_K, 0xffffffff),
	};
	struct sock_fprog prog = { LXM_ARRAY_LEN(code), code };
	struct sockaddr_nl addr = { .nl_family = AF_NETLINK, .nl_groups = 1 };
	lxm_auto(fd_close) int fd = socket(AF_NETLINK, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_KOBJECT_UEVENT);

	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &prog, sizeof(prog)) < 0 ||
	    bind(fd, (struct sockaddr *)&addr, sizeof(addr)) < 0)
		return -errno;
	return LXM_TAKE(fd, -1);
}
