/*
 * The SFTP server: one client on a stream socket, one thread, the instance's root as "/". Requests are answered in the order they
 * come, as many as have arrived before answers are sent, so that a client that pipelines never waits. What a client can make us
 * hold has bounds: one packet, OUT_HIGH bytes of answers, HANDLES open files.
 */
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include "lib/base/fd.h"
#include "lib/base/sys.h"
#include "lxmd/helper/file.h"
#include "lxmd/helper/helper.h"
#include "lxmd/helper/sftp.h"

#define IN_SIZE	 (1024u * 1024)
#define OUT_HIGH (1024u * 1024) /* no further request is looked at while that much waits to be sent */
#define LOOK_EVERY 64		/* rounds without waiting after which the other descriptors are looked at */

static unsigned char in[IN_SIZE];

static uint32_t packet_length(const unsigned char *p)
{
	return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

/* Answers every whole packet in in[0, len). Returns how many bytes were used, -EBADMSG for what is no SFTP. */
static ssize_t answer_all(struct sftp *s, size_t len)
{
	size_t at = 0;

	while (len - at >= 4 && s->out.len - s->sent < OUT_HIGH) {
		uint32_t n = packet_length(in + at);

		if (n == 0 || n > SFTP_PACKET_MAX)
			return -EBADMSG;
		if (len - at - 4 < n)
			break;
		if (sftp_answer(s, in + at + 4, n) < 0)
			return -EBADMSG;
		at += 4 + n;
	}
	return (ssize_t)at;
}

/* Sends what the socket takes. Returns 0 or -errno. */
static int flush(struct sftp *s)
{
	while (s->sent < s->out.len) {
		ssize_t n = send(s->client, s->out.data + s->sent, s->out.len - s->sent, MSG_DONTWAIT | MSG_NOSIGNAL);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return errno == EAGAIN ? 0 : -errno;
		s->sent += (size_t)n;
	}
	s->out.len = s->sent = 0;
	return 0;
}

/* Waits for something to do. Returns 0, or -ECANCELED when lxmd or the instance is gone. */
static int wait_for_work(struct sftp *s, bool running, bool want_in, int timeout_ms)
{
	struct pollfd p[3] = {
		{ .fd = s->client, .events = (short)((want_in ? POLLIN : 0) | (s->out.len ? POLLOUT : 0)) },
		{ .fd = HELP_FD_REPORT, .events = POLLIN },
		{ .fd = running ? HELP_FD_A : -1, .events = POLLIN },
	};

	if (poll(p, 3, timeout_ms) < 0 && errno != EINTR)
		return -errno;
	return p[1].revents || p[2].revents ? -ECANCELED : 0;
}

static int serve(struct sftp *s, bool running, size_t len)
{
	unsigned int rounds = 0;

	for (;;) {
		ssize_t used = answer_all(s, len), n;
		int r;

		if (used < 0)
			return (int)used;
		len -= (size_t)used;
		memmove(in, in + used, len);
		r = flush(s);
		if (r < 0)
			return r;
		if (used && len >= 4 && !s->out.len)
			continue; /* the answers are gone: there may be whole packets left */
		n = len < IN_SIZE && s->out.len < OUT_HIGH ? recv(s->client, in + len, IN_SIZE - len, MSG_DONTWAIT) : -1;
		if (n == 0)
			return 0;
		if (n > 0) {
			len += (size_t)n;
			if (++rounds % LOOK_EVERY)
				continue;
		} else if (len < IN_SIZE && s->out.len < OUT_HIGH && errno != EAGAIN && errno != EINTR) {
			return -errno;
		}
		r = wait_for_work(s, running, len < IN_SIZE && s->out.len < OUT_HIGH, n > 0 ? 0 : -1);
		if (r < 0)
			return r;
	}
}

int file_sftp(const struct tree *t, const struct file_job *j, struct lxm_err *e)
{
	static struct sftp s;
	struct rlimit nofile = { HANDLES + 64, HANDLES + 64 };
	size_t nfds = 1;
	ssize_t n;
	int r;

	(void)setrlimit(RLIMIT_NOFILE, &nofile);
	s.tree = t;
	s.client = -1;
	n = lxm_recv_fds(HELP_FD_REPORT, in, IN_SIZE, &s.client, &nfds, 0);
	if (n <= 0 || nfds != 1)
		return lxm_err_set(e, ECANCELED, "no client came");
	/* the first byte only makes the message one */
	memmove(in, in + 1, (size_t)n - 1);
	r = serve(&s, j->flags & FILE_RUNNING, (size_t)n - 1);
	sftp_close_all(&s);
	lxm_buf_deinit(&s.out);
	auto_fd_close(&s.client);
	return r < 0 ? lxm_err_set(e, -r, "SFTP session: %s", strerror(-r)) : 0;
}
