/*
 * Who is at the other end of a connection. The listening socket says which instance it is; that the process which
 * connected lives in this instance's pid namespace is checked besides, so that a descriptor of one instance's /dev in
 * the hands of another opens nothing. Names and titles of processes, which a guest chooses, are not looked at.
 */
#include <fcntl.h>
#include <linux/nsfs.h>
#include <poll.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "lib/base/fd.h"
#include "lxmd/guest/guest_priv.h"

#ifndef SO_PEERPIDFD
#define SO_PEERPIDFD 77
#endif
#define NESTING_MAX 32 /* of pid namespaces: MAX_PID_NS_LEVEL of the kernel */

static bool has_ended(int pidfd)
{
	struct pollfd p = { .fd = pidfd, .events = POLLIN };

	return poll(&p, 1, 0) != 0;
}

/* Host id of root in a user namespace, from lines "INSIDE HOST COUNT"; nobody's if it has none. */
static uid_t root_of(const char *map)
{
	unsigned int inside, host, count;
	int used;

	for (; sscanf(map, "%u %u %u%n", &inside, &host, &count, &used) == 3; map += used)
		if (inside == 0)
			return host;
	return (uid_t)-1;
}

int peer_look(pid_t init_pid, int init_pidfd, struct peer_base *out)
{
	lxm_auto(buf) struct lxm_buf map = { 0 };
	char path[40];
	struct stat st;
	int r;

	snprintf(path, sizeof(path), "/proc/%d/ns/pid", (int)init_pid);
	if (stat(path, &st) < 0)
		return -errno;
	snprintf(path, sizeof(path), "/proc/%d/uid_map", (int)init_pid);
	r = lxm_read_file(path, 65536, &map);
	if (r < 0)
		return r;
	/* it was that process only if it still is */
	if (has_ended(init_pidfd))
		return -ESRCH;
	*out = (struct peer_base){ st.st_dev, st.st_ino, map.data ? root_of(map.data) : (uid_t)-1 };
	return 0;
}

static bool is_below(const struct guest *g, int ns)
{
	lxm_auto(fd_close) int fd = ns;
	struct stat st;
	int i, up;

	for (i = 0; i < NESTING_MAX && fd >= 0 && fstat(fd, &st) == 0; i++) {
		if (st.st_dev == g->base.ns_dev && st.st_ino == g->base.ns_ino)
			return true;
		/* EPERM above our own */
		up = ioctl(fd, NS_GET_PARENT);
		(void)close(fd);
		fd = up;
	}
	return false;
}

bool peer_belongs(const struct guest_conn *c)
{
	lxm_auto(fd_close) int pidfd = -1;
	socklen_t len = sizeof(pidfd);
	char path[40];
	int ns;

	if (getsockopt(c->fd, SOL_SOCKET, SO_PEERPIDFD, &pidfd, &len) < 0)
		pidfd = -1; /* Linux before 6.5 */
	snprintf(path, sizeof(path), "/proc/%d/ns/pid", (int)c->pid);
	ns = open(path, O_RDONLY | O_CLOEXEC);
	if (ns < 0 || !is_below(c->g, ns))
		return false;
	return pidfd < 0 || !has_ended(pidfd);
}
