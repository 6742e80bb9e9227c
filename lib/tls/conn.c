/*
 * Connections over plain sockets, see conn.h. No state of its own; one thread per connection.
 * TLS adds its own ops table, see tls_conn.c.
 */
#include "lib/tls/conn.h"

#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>

#include "lib/base/fd.h"

static ssize_t socket_read(struct lxm_conn *c, void *data, size_t n)
{
	ssize_t r = recv(c->fd, data, n, 0);

	return r < 0 ? -errno : r;
}

static ssize_t socket_write(struct lxm_conn *c, const void *data, size_t n)
{
	ssize_t r = send(c->fd, data, n, MSG_NOSIGNAL);

	return r < 0 ? -errno : r;
}

static void socket_close(struct lxm_conn *c)
{
	auto_fd_close(&c->fd);
}

static const struct lxm_conn_ops socket_ops = { socket_read, socket_write, socket_close, NULL };

struct lxm_conn lxm_conn_socket(int fd)
{
	struct lxm_conn c = { .ops = &socket_ops, .fd = fd };

	return c;
}

int lxm_dial_unix(void *path, struct lxm_conn *conn_out, struct lxm_err *e)
{
	int fd = lxm_unix_connect(AT_FDCWD, path, SOCK_STREAM);

	if (fd < 0) {
		errno = -fd;
		return lxm_err_sys(e, "connect to '%s'", (const char *)path);
	}
	*conn_out = lxm_conn_socket(fd);
	return 0;
}

void lxm_conn_nonblock(struct lxm_conn *c, bool on)
{
	int flags = fcntl(c->fd, F_GETFL);

	if (flags >= 0)
		(void)fcntl(c->fd, F_SETFL, on ? flags | O_NONBLOCK : flags & ~O_NONBLOCK);
}

bool lxm_conn_idle(struct lxm_conn *c)
{
	struct pollfd p = { .fd = c->fd, .events = POLLIN };

	if (!c->ops)
		return false;
	return c->ops->idle ? c->ops->idle(c) : poll(&p, 1, 0) == 0;
}

void lxm_conn_close(struct lxm_conn *c)
{
	if (c->ops)
		c->ops->close(c);
	memset(c, 0, sizeof(*c));
	c->fd = -1;
}
