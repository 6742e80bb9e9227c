/* Run a program to its end and collect its output, see spawn_run(). Any thread; blocks. */
#include "lxmd/spawn/spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>

#include "lib/base/fd.h"
#include "lib/base/sys.h"
#include "lib/base/time.h"

struct stream {
	int fd;
	struct lxm_buf *buf;
	bool over; /* more than max came */
};

/* Takes what is there. Closes at end of file. */
static void stream_read(struct stream *s, size_t max)
{
	char chunk[4096];
	ssize_t n = read(s->fd, chunk, sizeof(chunk));

	if (n < 0 && (errno == EINTR || errno == EAGAIN))
		return;
	if (n <= 0) {
		auto_fd_close(&s->fd);
		return;
	}
	if (s->buf->len + (size_t)n > max) {
		n = (ssize_t)(max - s->buf->len);
		s->over = true;
	}
	lxm_buf_add(s->buf, chunk, (size_t)n);
}

/* Until both streams end, the time is over or too much came. Returns 0, -ETIMEDOUT, -EFBIG. */
static int collect(struct stream s[2], size_t max, int64_t deadline)
{
	while (s[0].fd >= 0 || s[1].fd >= 0) {
		struct pollfd p[2] = { { .fd = s[0].fd, .events = POLLIN }, { .fd = s[1].fd, .events = POLLIN } };
		int64_t left = deadline < 0 ? -1 : deadline - lxm_mono_ms();
		int i, r;

		if (deadline >= 0 && left <= 0)
			return -ETIMEDOUT;
		r = poll(p, 2, left > INT32_MAX ? INT32_MAX : (int)left);
		if (r < 0 && errno != EINTR)
			return -errno;
		for (i = 0; i < 2 && r > 0; i++)
			if (s[i].fd >= 0 && p[i].revents)
				stream_read(&s[i], max);
		if (s[0].over || s[1].over)
			return -EFBIG;
	}
	return 0;
}

/* The last line or so of what a program said about its failure. */
static const char *tail(struct lxm_buf *b)
{
	size_t from = b->len > 300 ? b->len - 300 : 0;

	while (b->len && (b->data[b->len - 1] == '\n' || b->data[b->len - 1] == ' '))
		b->data[--b->len] = 0;
	return b->len ? b->data + (from < b->len ? from : 0) : "no message";
}

static int conclude(const struct spawn_spec *spec, int r, int status, struct lxm_buf *err, struct lxm_err *e)
{
	if (r == -ETIMEDOUT)
		return lxm_err_set(e, ETIMEDOUT, "'%s' took too long", spec->argv[0]);
	if (r == -EFBIG)
		return lxm_err_set(e, EFBIG, "'%s' printed too much", spec->argv[0]);
	if (r < 0)
		return lxm_err_set(e, -r, "read from '%s': %s", spec->argv[0], strerror(-r));
	if (status == 0)
		return 0;
	(void)lxm_err_set(e, EIO, "'%s' failed with status %d: %s", spec->argv[0], status, tail(err));
	return 1;
}

int spawn_run(const struct spawn_spec *spec, struct lxm_buf *out, struct lxm_buf *err_out, size_t max, int timeout_ms, struct lxm_err *e)
{
	lxm_auto(buf) struct lxm_buf out_own = { 0 }, err_own = { 0 };
	struct stream s[2] = { { -1, out ? out : &out_own, false }, { -1, err_out ? err_out : &err_own, false } };
	lxm_auto(fd_close) int out_w = -1, err_w = -1;
	struct spawn_spec copy = *spec;
	int pidfd = -1, p[2], q[2], r, status = 0;

	if (copy.nfds + 2 > SPAWN_FDS)
		return lxm_err_set(e, EINVAL, "too many descriptors for '%s'", spec->argv[0]);
	if (pipe2(p, O_CLOEXEC) < 0)
		return lxm_err_sys(e, "make a pipe");
	s[0].fd = p[0];
	out_w = p[1];
	if (pipe2(q, O_CLOEXEC) < 0) {
		auto_fd_close(&s[0].fd);
		return lxm_err_sys(e, "make a pipe");
	}
	s[1].fd = q[0];
	err_w = q[1];
	copy.fds[copy.nfds++] = (struct spawn_fd){ out_w, 1 };
	copy.fds[copy.nfds++] = (struct spawn_fd){ err_w, 2 };
	r = spawn_child(&copy, &pidfd, NULL, e);
	auto_fd_close(&out_w);
	auto_fd_close(&err_w);
	if (r == 0) {
		r = collect(s, max ? max : SIZE_MAX, timeout_ms < 0 ? -1 : lxm_mono_ms() + timeout_ms);
		if (r < 0)
			(void)sys_pidfd_send_signal(pidfd, SIGKILL);
		(void)spawn_wait(pidfd, -1, &status);
		auto_fd_close(&pidfd);
		r = conclude(spec, r, status, s[1].buf, e);
	}
	auto_fd_close(&s[0].fd);
	auto_fd_close(&s[1].fd);
	return r;
}
