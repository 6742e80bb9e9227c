/*
 * The console: everything that the container writes goes into a ring buffer, and to one attached client. The pty is
 * watched edge-triggered, because after a vhangup (systemd does that to /dev/console) the master reports "hung up" until a
 * slave is opened again, which would spin a level-triggered loop. So both ends are pumped until they would block.
 *
 * A client that takes nothing makes the container wait, as a real terminal with XOFF would, but for two seconds only:
 * then the client is dropped.
 */
#include "lxmd/monitor/mon.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <termios.h>

#include "lib/base/fd.h"
#include "lib/base/time.h"

#define STALL_MAX_MS 2000
/* What the monitor does for the console is on the host's account: 2.5 MB/s are enough for any console. */
#define TICK_MS	     100
#define TICK_BYTES   (1u << 18)

static void ring_add(struct mon *m, const char *data, uint32_t n)
{
	uint32_t at = (m->ring_start + m->ring_len) % RING_SIZE, first = RING_SIZE - at;

	/* n is far below RING_SIZE */
	if (first > n)
		first = n;
	memcpy(m->ring + at, data, first);
	memcpy(m->ring, data + first, n - first);
	m->ring_len += n;
	if (m->ring_len > RING_SIZE) {
		m->ring_start = (m->ring_start + (m->ring_len - RING_SIZE)) % RING_SIZE;
		m->ring_len = RING_SIZE;
	}
}

static void client_drop(struct mon *m)
{
	auto_fd_close(&m->console);
	m->held = m->held_off = m->typed = m->typed_off = 0;
	m->stall_ms = 0;
}

/* Container to client. Returns true while there is something to do. */
static bool pump_out(struct mon *m)
{
	ssize_t n;

	if (m->held_off < m->held) {
		n = send(m->console, m->chunk + m->held_off, m->held - m->held_off, MSG_NOSIGNAL | MSG_DONTWAIT);
		if (n < 0 && errno == EAGAIN) {
			if (!m->stall_ms)
				m->stall_ms = lxm_mono_ms();
			return false;
		}
		if (n < 0) {
			client_drop(m);
			return true;
		}
		m->stall_ms = 0;
		m->held_off += (uint32_t)n;
		return true;
	}
	if (m->pty < 0)
		return false;
	n = read(m->pty, m->chunk, sizeof(m->chunk));
	if (n <= 0)
		return n < 0 && errno == EINTR;
	ring_add(m, m->chunk, (uint32_t)n);
	m->tick_bytes += (uint32_t)n;
	if (m->console >= 0) {
		m->held = (uint32_t)n;
		m->held_off = 0;
	}
	return true;
}

/* Client to container. */
static bool pump_in(struct mon *m)
{
	ssize_t n;

	if (m->console < 0)
		return false;
	if (m->typed_off < m->typed) {
		n = m->pty < 0 ? (ssize_t)(m->typed - m->typed_off) : write(m->pty, m->keys + m->typed_off, m->typed - m->typed_off);
		if (n <= 0)
			return false;
		m->typed_off += (uint32_t)n;
		return true;
	}
	n = recv(m->console, m->keys, sizeof(m->keys), MSG_DONTWAIT);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return errno == EINTR;
	if (n <= 0) {
		client_drop(m);
		return false;
	}
	m->typed = (uint32_t)n;
	m->typed_off = 0;
	return true;
}

int console_pause_ms(const struct mon *m)
{
	int64_t left = m->tick_ms + TICK_MS - lxm_mono_ms();

	return left > 0 ? (int)left : 0;
}

void console_pump(struct mon *m)
{
	/* bounded, so that a container that floods its console cannot keep the monitor from its other duties */
	int turns = 64;
	bool more = true;

	if (console_pause_ms(m) == 0) {
		m->tick_ms = lxm_mono_ms();
		m->tick_bytes = 0;
	}
	while (more && turns-- > 0 && m->tick_bytes < TICK_BYTES) {
		more = pump_out(m);
		more |= pump_in(m);
	}
	m->pump_later = m->tick_bytes >= TICK_BYTES;
	m->pump_again = more && !m->pump_later;
	if (m->stall_ms && lxm_mono_ms() - m->stall_ms > STALL_MAX_MS)
		client_drop(m);
}

int console_attach(struct mon *m, bool take_over, int *fd_out, struct lxm_err *e)
{
	int sv[2];

	if (m->console >= 0 && !take_over)
		return lxm_err_set(e, EBUSY, "the console is in use");
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sv) < 0)
		return lxm_err_sys(e, "make a socket");
	client_drop(m);
	m->console = sv[0];
	m->console_new = true;
	*fd_out = sv[1];
	return 0;
}

static int ring_write(const struct mon *m, int fd)
{
	uint32_t first = RING_SIZE - m->ring_start;
	int r;

	if (first > m->ring_len)
		first = m->ring_len;
	r = lxm_write_all(fd, m->ring + m->ring_start, first);
	return r < 0 ? r : lxm_write_all(fd, m->ring, m->ring_len - first);
}

int console_log(const struct mon *m, int *fd_out, struct lxm_err *e)
{
	lxm_auto(fd_close) int fd = memfd_create("lxm-console", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	if (fd < 0 || ring_write(m, fd) < 0 || fcntl(fd, F_ADD_SEALS, F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE) < 0)
		return lxm_err_sys(e, "copy the console log");
	*fd_out = LXM_TAKE(fd, -1);
	return 0;
}

void console_save(const struct mon *m, const char *path)
{
	/* no link is followed: the log directory is ours, but logs have been used for that before */
	lxm_auto(fd_close) int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC | O_NOCTTY, 0600);

	if (fd < 0 || ring_write(m, fd) < 0)
		fprintf(stderr, "lxm-monitor %s: write '%s': %s\n", m->id, path, strerror(errno));
}

void console_close(struct mon *m)
{
	client_drop(m);
	auto_fd_close(&m->pty);
}

int console_size(const struct mon *m, uint32_t rows, uint32_t cols)
{
	struct winsize w = { .ws_row = (unsigned short)rows, .ws_col = (unsigned short)cols };

	if (m->pty < 0 || !rows || !cols)
		return -EINVAL;
	return ioctl(m->pty, TIOCSWINSZ, &w) < 0 ? -errno : 0;
}
