/*
 * Listening sockets. With the rights of whoever may bind there: root of the host in a network namespace, or for a path in an instance
 * that instance's own root.
 */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "lxmd/forward/forward.h"

#define BACKLOG 1024

static socklen_t internet(const struct forward_end *end, size_t index, struct sockaddr_storage *out)
{
	struct sockaddr_in6 *v6 = (void *)out;
	struct sockaddr_in *v4 = (void *)out;

	memset(out, 0, sizeof(*out));
	if (inet_pton(AF_INET, end->address, &v4->sin_addr) == 1) {
		v4->sin_family = AF_INET;
		v4->sin_port = htons(forward_port(end, index));
		return sizeof(*v4);
	}
	(void)inet_pton(AF_INET6, end->address, &v6->sin6_addr);
	v6->sin6_family = AF_INET6;
	v6->sin6_port = htons(forward_port(end, index));
	return sizeof(*v6);
}

static int listen_internet(const struct forward_end *end, size_t index, struct lxm_err *e)
{
	const char *what = end->type == FORWARD_TCP ? "tcp" : "udp";
	struct sockaddr_storage sa;
	socklen_t len = internet(end, index, &sa);
	int type = end->type == FORWARD_TCP ? SOCK_STREAM : SOCK_DGRAM, one = 1, r;
	lxm_auto(fd_close) int fd = socket(sa.ss_family, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return lxm_err_sys(e, "make a %s socket", what);
	if (type == SOCK_STREAM) {
		(void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	} else {
		/* an answer must come from the address that was asked */
		(void)setsockopt(fd, IPPROTO_IP, IP_PKTINFO, &one, sizeof(one));
		if (sa.ss_family == AF_INET6)
			(void)setsockopt(fd, IPPROTO_IPV6, IPV6_RECVPKTINFO, &one, sizeof(one));
	}
	r = bind(fd, (struct sockaddr *)&sa, len);
	if (r == 0 && type == SOCK_STREAM)
		r = listen(fd, BACKLOG);
	if (r < 0)
		return lxm_err_sys(e, "listen on %s:%s port %u", what, end->address, forward_port(end, index));
	return LXM_TAKE(fd, -1);
}

/* ---- Unix */

static socklen_t unix_name(const char *name, struct sockaddr_un *un)
{
	size_t n = strlen(name);

	memset(un, 0, sizeof(*un));
	un->sun_family = AF_UNIX;
	memcpy(un->sun_path, name, n);
	if (*name != '@')
		return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n + 1);
	un->sun_path[0] = 0;
	return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n);
}

int listen_remove_dead(int dir, const char *name)
{
	struct sockaddr_un un;
	socklen_t len = unix_name(name, &un);
	lxm_auto(fd_close) int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	struct stat st;

	if (fd < 0 || fchdir(dir) < 0)
		return -errno;
	if (lstat(name, &st) < 0)
		return errno == ENOENT ? 0 : -errno;
	if (!S_ISSOCK(st.st_mode) || connect(fd, (struct sockaddr *)&un, len) == 0 || errno != ECONNREFUSED)
		return -EADDRINUSE;
	return unlink(name) < 0 ? -errno : 0;
}

static int bind_path(int fd, const struct sockaddr_un *un, socklen_t len, int dir)
{
	const struct forward_job *j = fwd.job;
	mode_t before;
	int r;

	if (fchdir(dir) < 0)
		return -errno;
	/* born with its mode: a name that is looked up again may be something else by then */
	before = umask(~j->mode & 0777);
	r = bind(fd, (const struct sockaddr *)un, len) < 0 ? -errno : 0;
	(void)umask(before);
	if (r == 0 && (j->uid || j->gid) && fchownat(dir, un->sun_path, j->uid, j->gid, AT_SYMLINK_NOFOLLOW) < 0) {
		r = -errno;
		(void)unlinkat(dir, un->sun_path, 0);
	}
	return r;
}

static int listen_unix(const struct forward_end *end, int dir, struct lxm_err *e)
{
	const char *slash = strrchr(end->address, '/'), *name = *end->address == '@' || !slash ? end->address : slash + 1;
	lxm_auto(fd_close) int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	struct sockaddr_un un;
	socklen_t len = unix_name(name, &un);
	int r;

	if (fd < 0)
		return lxm_err_sys(e, "make a socket");
	if (*name == '@') {
		r = bind(fd, (struct sockaddr *)&un, len) < 0 ? -errno : 0;
	} else {
		r = bind_path(fd, &un, len, dir);
		if (r == -EADDRINUSE && listen_remove_dead(dir, name) == 0)
			r = bind_path(fd, &un, len, dir);
	}
	if (r == 0 && listen(fd, BACKLOG) < 0)
		r = -errno;
	if (r < 0) {
		errno = -r;
		return lxm_err_sys(e, "listen on unix:%s", end->address);
	}
	return LXM_TAKE(fd, -1);
}

int listen_open(const struct forward_end *end, size_t index, int dir, struct lxm_err *e)
{
	return end->type == FORWARD_UNIX ? listen_unix(end, dir, e) : listen_internet(end, index, e);
}
