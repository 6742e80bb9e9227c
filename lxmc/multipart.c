/* Multipart reader, see multipart.h. Holds back only what may be the beginning of a boundary; part heads are bounded. */
#include "lxmc/multipart.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#define HEAD_MAX 16384

void multipart_deinit(struct multipart *m)
{
	lxm_buf_deinit(&m->in);
}

bool multipart_boundary(const char *content_type, char *out, size_t room)
{
	const char *b = strcasestr(content_type, "boundary=");
	size_t n;

	if (strncasecmp(content_type, "multipart/form-data", 19) != 0 || !b)
		return false;
	b += strlen("boundary=");
	if (*b == '"') {
		b++;
		n = strcspn(b, "\"");
	} else {
		n = strcspn(b, "; \t");
	}
	if (n == 0 || n >= room)
		return false;
	snprintf(out, room, "%.*s", (int)n, b);
	return true;
}

static void drop(struct multipart *m, size_t n)
{
	memmove(m->in.data, m->in.data + n, m->in.len - n);
	m->in.len -= n;
	m->in.data[m->in.len] = 0;
}

/* The value of key="..." in a header line. */
static void parameter(const char *line, const char *key, char *out, size_t room)
{
	const char *p = line, *end;
	size_t n = strlen(key);

	out[0] = 0;
	while ((p = strcasestr(p, key))) {
		bool whole = p > line && (p[-1] == ' ' || p[-1] == ';');

		p += n;
		if (!whole || p[0] != '=' || p[1] != '"')
			continue;
		end = strchr(p + 2, '"');
		if (end)
			snprintf(out, room, "%.*s", (int)(end - p - 2), p + 2);
		return;
	}
}

/* The text between boundary and data. Returns 1 when a head was taken, 0 for more bytes, < 0. */
static int take_head(struct multipart *m, struct lxm_err *e)
{
	char name[128], filename[256], *end, *line;
	int r;

	/* right behind a boundary: "--" closes, CRLF opens a part */
	if (m->in.len < 2)
		return 0;
	if (memcmp(m->in.data, "--", 2) == 0) {
		m->state = MULTIPART_DONE;
		return 1;
	}
	end = memmem(m->in.data, m->in.len, "\r\n\r\n", 4);
	if (!end && m->in.len > HEAD_MAX)
		return lxm_err_set(e, EPROTO, "the parts of the reply have no heads");
	if (!end)
		return 0;
	*end = 0;
	line = strcasestr(m->in.data, "content-disposition:");
	if (line)
		line[strcspn(line, "\r\n")] = 0;
	parameter(line ? line : "", "name", name, sizeof(name));
	parameter(line ? line : "", "filename", filename, sizeof(filename));
	r = m->ops->begin(m->arg, name, filename, e);
	if (r < 0)
		return r;
	drop(m, (size_t)(end - m->in.data) + 4);
	m->state = MULTIPART_BODY;
	return 1;
}

static int take_body(struct multipart *m, const char *mark, size_t mark_len, struct lxm_err *e)
{
	char *hit = memmem(m->in.data, m->in.len, mark, mark_len);
	size_t n = hit ? (size_t)(hit - m->in.data) : m->in.len > mark_len ? m->in.len - mark_len : 0;
	int r = n ? m->ops->data(m->arg, m->in.data, n, e) : 0;

	if (r < 0)
		return r;
	drop(m, hit ? n + mark_len : n);
	if (!hit)
		return 0;
	r = m->ops->end(m->arg, e);
	m->state = MULTIPART_HEAD;
	return r < 0 ? r : 1;
}

int multipart_feed(struct multipart *m, const void *data, size_t n, struct lxm_err *e)
{
	char mark[sizeof(m->boundary) + 8];
	int len = snprintf(mark, sizeof(mark), "\r\n--%s", m->boundary), r = 1;
	char *hit;

	lxm_buf_add(&m->in, data, n);
	while (r > 0) {
		switch (m->state) {
		case MULTIPART_BEFORE:
			hit = memmem(m->in.data, m->in.len, mark + 2, (size_t)len - 2);
			if (!hit && m->in.len > HEAD_MAX)
				return lxm_err_set(e, EPROTO, "the reply does not begin with its boundary");
			r = hit ? 1 : 0;
			if (hit) {
				drop(m, (size_t)(hit - m->in.data) + (size_t)len - 2);
				m->state = MULTIPART_HEAD;
			}
			break;
		case MULTIPART_HEAD:
			r = take_head(m, e);
			break;
		case MULTIPART_BODY:
			r = take_body(m, mark, (size_t)len, e);
			break;
		case MULTIPART_DONE:
			m->in.len = 0;
			r = 0;
			break;
		}
	}
	return r;
}
