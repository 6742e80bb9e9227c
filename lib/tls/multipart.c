/*
 * See multipart.h. The body is foreign: it is searched for its boundary in windows of a fixed size, header lines are read only for the
 * two names that are needed, and whatever does not fit the grammar ends it.
 */
#include "lib/tls/multipart.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "lib/base/alloc.h"
#include "lib/base/fd.h"
#include "lib/base/str.h"

#define WINDOW	    (256 * 1024)
#define HEADERS_MAX 8192

int multipart_boundary(const char *type, char out[80], struct lxm_err *e)
{
	const char *p;
	size_t n;

	if (!type || strncasecmp(type, "multipart/form-data", 19) != 0)
		return 1;
	p = strcasestr(type, "boundary=");
	p = p ? p + 9 : "";
	if (*p == '"')
		n = strcspn(++p, "\"");
	else
		n = strcspn(p, "; \t");
	if (n == 0 || n > 70)
		return lxm_err_set(e, EINVAL, "the multipart body has no usable boundary");
	memcpy(out, p, n);
	out[n] = 0;
	return 0;
}

/* Offset of `what` at or after `from`; size if it is not there. */
static int64_t search(int fd, uint64_t from, uint64_t size, const char *what, size_t len, char *window)
{
	while (from + len <= size) {
		ssize_t n = pread(fd, window, WINDOW, (off_t)from);
		char *hit;

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if ((size_t)n < len)
			break;
		hit = memmem(window, (size_t)n, what, len);
		if (hit)
			return (int64_t)(from + (uint64_t)(hit - window));
		from += (uint64_t)n - len + 1;
	}
	return (int64_t)size;
}

/* key="value" of a header line, printable characters only */
static void parameter(const char *line, const char *key, char *out, size_t room)
{
	lxm_auto(free) char *want = lxm_asprintf("; %s=\"", key);
	const char *p = strcasestr(line, want);
	size_t n = 0;

	*out = 0;
	if (!p)
		return;
	for (p += strlen(want); *p && *p != '"' && n + 1 < room; p++)
		if ((unsigned char)*p >= 32 && *p != 127)
			out[n++] = *p;
	out[n] = 0;
	if (!lxm_utf8_ok(out, n))
		*out = 0;
}

/* Header lines from `off` on; *body_out gets the first byte after them. */
static int headers(int fd, uint64_t off, struct multipart_part *part, uint64_t *body_out, struct lxm_err *e)
{
	lxm_auto(free) char *text = lxm_alloc(HEADERS_MAX + 1);
	ssize_t n = pread(fd, text, HEADERS_MAX, (off_t)off);
	char *line, *end, *save = NULL;

	if (n < 0)
		return lxm_err_sys(e, "read the body");
	end = memmem(text, (size_t)n, "\r\n\r\n", 4);
	if (!end || memchr(text, 0, (size_t)(end - text)))
		return lxm_err_set(e, EINVAL, "a part of the multipart body has no headers");
	*body_out = off + (uint64_t)(end - text) + 4;
	*end = 0;
	for (line = strtok_r(text, "\r\n", &save); line; line = strtok_r(NULL, "\r\n", &save)) {
		if (strncasecmp(line, "content-disposition:", 20) != 0)
			continue;
		parameter(line, "name", part->name, sizeof(part->name));
		parameter(line, "filename", part->filename, sizeof(part->filename));
	}
	return 0;
}

static int parse(int fd, uint64_t size, const char *boundary, struct multipart *out, char *window, struct lxm_err *e)
{
	lxm_auto(free) char *mark = lxm_asprintf("\r\n--%s", boundary);
	size_t len = strlen(mark);
	/* the first boundary has no line before it */
	int64_t at = search(fd, 0, size, mark + 2, len - 2, window);
	uint64_t off = (uint64_t)at + len - 2;

	while (at >= 0 && (uint64_t)at < size) {
		struct multipart_part *part = &out->v[out->n];
		char next[2] = "";
		int r;

		if (pread(fd, next, 2, (off_t)off) != 2)
			break;
		if (memcmp(next, "--", 2) == 0)
			return out->n ? 0 : lxm_err_set(e, EINVAL, "the multipart body has no parts");
		if (memcmp(next, "\r\n", 2) != 0 || out->n == MULTIPART_PARTS)
			return lxm_err_set(e, EINVAL, "malformed multipart body");
		r = headers(fd, off + 2, part, &part->off, e);
		if (r < 0)
			return r;
		/* an empty part: its closing line is the end of the headers */
		at = search(fd, part->off - 2, size, mark, len, window);
		if (at >= 0 && (uint64_t)at < size) {
			part->len = (uint64_t)at < part->off ? 0 : (uint64_t)at - part->off;
			out->n++;
		}
		off = (uint64_t)at + len;
	}
	if (at < 0)
		return lxm_err_set(e, (int)-at, "read the body: %s", strerror((int)-at));
	return lxm_err_set(e, EINVAL, "the multipart body is cut off");
}

int multipart_parse(int fd, uint64_t size, const char *boundary, struct multipart *out, struct lxm_err *e)
{
	lxm_auto(free) char *window = lxm_alloc(WINDOW);

	memset(out, 0, sizeof(*out));
	return parse(fd, size, boundary, out, window, e);
}

int multipart_copy(int fd, const struct multipart_part *part, int to, struct lxm_err *e)
{
	lxm_auto(free) char *window = lxm_alloc(WINDOW);
	uint64_t done = 0;

	while (done < part->len) {
		size_t want = part->len - done > WINDOW ? WINDOW : (size_t)(part->len - done);
		ssize_t n = pread(fd, window, want, (off_t)(part->off + done));
		int r;

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? lxm_err_sys(e, "read the body") : lxm_err_set(e, EIO, "the body became shorter");
		r = lxm_write_all(to, window, (size_t)n);
		if (r < 0)
			return lxm_err_set(e, -r, "write into the cache: %s", strerror(-r));
		done += (uint64_t)n;
	}
	return 0;
}

int multipart_extract(int fd, const struct multipart_part *part, int dirfd, struct lxm_err *e)
{
	lxm_auto(fd_close) int to = openat(dirfd, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	int r;

	if (to < 0)
		return lxm_err_sys(e, "make a file in the cache");
	r = multipart_copy(fd, part, to, e);
	return r < 0 ? r : LXM_TAKE(to, -1);
}
