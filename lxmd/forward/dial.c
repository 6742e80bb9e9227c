/*
 * Connecting, in the network namespace that enter() went to. The path of a Unix socket belongs to whoever is root there, an
 * instance perhaps: it is opened by openat2 in that root, where no link leads out, and connected to by descriptor.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/un.h>
#include <unistd.h>

#include "lib/base/fd.h"
#include "lxmd/forward/forward.h"

static int dial_internet(const struct forward_end *end, uint16_t port)
{
	int type = (end->type == FORWARD_TCP ? SOCK_STREAM : SOCK_DGRAM) | SOCK_NONBLOCK | SOCK_CLOEXEC, one = 1, fd;
	struct sockaddr_in6 v6 = { .sin6_family = AF_INET6, .sin6_port = htons(port) };
	struct sockaddr_in v4 = { .sin_family = AF_INET, .sin_port = htons(port) };
	bool is4 = inet_pton(AF_INET, end->address, &v4.sin_addr) == 1;

	if (!is4)
		(void)inet_pton(AF_INET6, end->address, &v6.sin6_addr);
	fd = socket(is4 ? AF_INET : AF_INET6, type, 0);
	if (fd < 0)
		return -errno;
	if (end->type == FORWARD_TCP)
		(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	if (connect(fd, is4 ? (struct sockaddr *)&v4 : (struct sockaddr *)&v6, is4 ? sizeof(v4) : sizeof(v6)) < 0 && errno != EINPROGRESS) {
		int r = -errno;

		(void)close(fd);
		return r;
	}
	return fd;
}

static int dial_unix(const char *address)
{
	struct sockaddr_un un = { .sun_family = AF_UNIX };
	lxm_auto(fd_close) int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), found = -1;
	size_t n = strlen(address);

	if (fd < 0)
		return -errno;
	if (*address == '@') {
		memcpy(un.sun_path + 1, address + 1, n - 1);
	} else {
		found = lxm_open_in_root(fwd.root, address, O_PATH, 0);
		if (found < 0)
			return -errno;
		/* relative to the working directory, which is self_fds */
		n = (size_t)snprintf(un.sun_path, sizeof(un.sun_path), "%d", found) + 1;
	}
	if (connect(fd, (struct sockaddr *)&un, (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n)) < 0)
		return -errno;
	return LXM_TAKE(fd, -1);
}

int dial(size_t index)
{
	const struct forward_end *end = &fwd.job->connect;

	return end->type == FORWARD_UNIX ? dial_unix(end->address) : dial_internet(end, forward_port(end, index));
}
