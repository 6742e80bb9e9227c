/*
 * An image of the instance's project for the instance itself (security.devlxd.images): nested managers fetch through it
 * what the host has already. On a worker of its own, at the pace of the guest, in pieces; a few at a time on the whole host.
 * The bytes are those of GET /1.0/images/FP/export.
 */
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "db/image.h"
#include "lib/base/alloc.h"
#include "lib/base/fd.h"
#include "lxmd/guest/guest_priv.h"
#include "lxmd/image/image.h"
#include "lxmd/image/unpack.h"

#define PIECE	 (1u << 20)
#define STALL_MS 30000

/* Wait until the guest takes more. Looks up now and then whether the instance has ended. */
static bool writable(const struct guest_conn *c)
{
	struct pollfd p = { .fd = c->fd, .events = POLLOUT };
	int waited, r = 0;

	for (waited = 0; waited < STALL_MS && r == 0; waited += 500) {
		if (__atomic_load_n(&c->g->closed, __ATOMIC_ACQUIRE))
			return false;
		r = poll(&p, 1, 500);
	}
	return r > 0 && !(p.revents & (POLLHUP | POLLERR));
}

static bool send_text(const struct guest_conn *c, const char *s)
{
	size_t n = strlen(s);

	while (n) {
		ssize_t w = writable(c) ? send(c->fd, s, n, MSG_NOSIGNAL | MSG_DONTWAIT) : -1;

		if (w < 0 && errno == EAGAIN)
			continue;
		if (w < 0)
			return false;
		s += w;
		n -= (size_t)w;
	}
	return true;
}

static bool send_file(const struct guest_conn *c, int fd, off_t size)
{
	off_t off = 0;

	while (off < size) {
		ssize_t n = writable(c) ? sendfile(c->fd, fd, &off, PIECE) : -1;

		if (n < 0 && errno == EAGAIN)
			continue;
		if (n <= 0)
			return false;
	}
	return true;
}

static off_t size_of(int fd)
{
	struct stat st;

	return fstat(fd, &st) == 0 ? st.st_size : 0;
}

static char *part_head(const char *boundary, const char *name, const char *prefix, const char *fp, int fd)
{
	return lxm_asprintf("--%s\r\nContent-Disposition: form-data; name=\"%s\"; filename=\"%s%s.%s\"\r\n"
			    "Content-Type: application/octet-stream\r\n\r\n",
			    boundary, name, prefix, fp, image_suffix_of(fd));
}

static void send_split(const struct guest_conn *c, const char *fp, int meta, int rootfs)
{
	lxm_auto(free) char *boundary = lxm_random_hex(30);
	lxm_auto(free) char *one = part_head(boundary, "metadata", "meta-", fp, meta);
	lxm_auto(free) char *two = part_head(boundary, "rootfs", "", fp, rootfs);
	lxm_auto(free) char *tail = lxm_asprintf("\r\n--%s--\r\n", boundary);
	lxm_auto(free) char *head =
		lxm_asprintf("HTTP/1.1 200 OK\r\nContent-Type: multipart/form-data; boundary=%s\r\nContent-Length: %lld\r\nConnection: close\r\n\r\n",
			     boundary, (long long)(size_of(meta) + size_of(rootfs)) + (long long)(strlen(one) + 2 + strlen(two) + strlen(tail)));

	(void)(send_text(c, head) && send_text(c, one) && send_file(c, meta, size_of(meta)) && send_text(c, "\r\n") && send_text(c, two) &&
	       send_file(c, rootfs, size_of(rootfs)) && send_text(c, tail));
}

static void send_whole(const struct guest_conn *c, const char *fp, int fd)
{
	lxm_auto(free) char *head =
		lxm_asprintf("HTTP/1.1 200 OK\r\nContent-Type: application/octet-stream\r\nContent-Disposition: inline;filename=%s.%s\r\n"
			     "Content-Length: %lld\r\nConnection: close\r\n\r\n",
			     fp, image_suffix_of(fd), (long long)size_of(fd));

	(void)(send_text(c, head) && send_file(c, fd, size_of(fd)));
}

void export_image(struct guest_conn *c)
{
	lxm_auto(db_image) struct db_image im = { 0 };
	lxm_auto(fd_close) int meta = -1, rootfs = -1;
	struct lxmd *d = c->g->all->d;

	if (image_get_fp(d, c->ans.project, c->ans.image, &im, NULL) < 0 || !(im.public_ || im.cached) ||
	    image_open(d, im.fingerprint, &meta, &rootfs, NULL) < 0)
		(void)send_text(c, "HTTP/1.1 404 Not Found\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: 10\r\n"
				   "Connection: close\r\n\r\nnot found\n");
	else if (rootfs >= 0)
		send_split(c, im.fingerprint, meta, rootfs);
	else
		send_whole(c, im.fingerprint, meta);
}
