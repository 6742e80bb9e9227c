/*
 * Request bodies. They are always read to their end, also those of refused requests (up to a bound): a
 * client that still writes when we close sees a broken pipe instead of the reason. JSON stays in memory, an
 * upload goes to an unlinked file in cache/, so that nothing is left behind however the request ends.
 * Runs on the connection's thread, except body_end().
 */
#include <fcntl.h>
#include <string.h>
#include <strings.h>

#include "lib/base/alloc.h"
#include "lib/base/fd.h"
#include "lib/base/space.h"
#include "lxmd/core/daemon.h"
#include "lxmd/http/conn.h"

static void fail_too_large(struct http_conn *c, uint64_t max)
{
	lxm_err_http(&c->failed, 413, EFBIG, "request body is larger than %llu KiB",
		     (unsigned long long)(max >> 10));
	body_deinit(c);
	c->body_kind = BODY_DROP;
}

static bool is_bytes_type(const char *type)
{
	return type && (strncasecmp(type, "application/octet-stream", 24) == 0 ||
			strncasecmp(type, "multipart/form-data", 19) == 0);
}

static bool is_json_type(const char *type)
{
	return type && strncasecmp(type, "application/json", 16) == 0;
}

static void spool_open(struct http_conn *c)
{
	c->body_kind = BODY_SPOOL;
	c->body_fd = openat(c->rq.d->dirs.cache.fd, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	if (c->body_fd < 0) {
		lxm_err_sys(&c->failed, "open a file for the upload in '%s'", c->rq.d->dirs.cache.path);
		c->body_kind = BODY_DROP;
	}
}

/* What strangers have to say is short, and thousands of them may say it at the same time. */
static uint64_t json_max(const struct http_conn *c)
{
	return c->rq.caller.trust < CALLER_RESTRICTED ? STRANGER_BODY_MAX : JSON_BODY_MAX;
}

void body_begin(struct http_conn *c)
{
	const char *type = rq_raw_header(&c->rq, "Content-Type");
	const char *length = rq_raw_header(&c->rq, "Content-Length");
	const char *m = c->rq.method;
	uint64_t n = 0;

	c->body_kind = BODY_DROP;
	if (c->failed.code || !c->rq.route || strcmp(m, "GET") == 0 || strcmp(m, "HEAD") == 0 ||
	    strcmp(m, "DELETE") == 0)
		return;
	if ((c->rq.route->flags & RT_UPLOAD) ||
	    ((c->rq.route->flags & RT_EITHER) && !is_json_type(type))) {
		c->body_either = (c->rq.route->flags & RT_EITHER) && !is_bytes_type(type);
		spool_open(c);
	} else {
		c->body_kind = BODY_MEMORY;
		if (length && lxm_parse_u64(length, &n) == 0 && n > json_max(c))
			fail_too_large(c, json_max(c));
	}
}

static void spool(struct http_conn *c, const char *data, size_t len)
{
	bool look = (c->body_size - len) / LXM_SPACE_EVERY != c->body_size / LXM_SPACE_EVERY;
	int r = look && lxm_space_low(c->body_fd) ? -ENOSPC : lxm_write_all(c->body_fd, data, len);

	if (r == 0)
		return;
	errno = -r;
	lxm_err_sys(&c->failed, "store the upload in '%s'", c->rq.d->dirs.cache.path);
	if (r == -ENOSPC || r == -EDQUOT)
		c->failed.http = 507;
	auto_fd_close(&c->body_fd); /* gives the space back at once */
	c->body_kind = BODY_DROP;
}

bool body_feed(struct http_conn *c, const char *data, size_t len)
{
	c->body_size += len;
	if (c->body_kind == BODY_MEMORY && c->body_size > json_max(c))
		fail_too_large(c, json_max(c));
	else if (c->body_kind == BODY_SPOOL && c->body_size > UPLOAD_MAX)
		fail_too_large(c, UPLOAD_MAX);
	if (c->body_kind == BODY_MEMORY)
		lxm_buf_add(&c->body, data, len);
	else if (c->body_kind == BODY_SPOOL)
		spool(c, data, len);
	return c->body_kind != BODY_DROP || c->body_size <= DRAIN_MAX;
}

/* An upload without a telling type that begins like JSON and is one: move it to memory. */
static void sniff(struct http_conn *c)
{
	lxm_auto(free) char *text = NULL;
	json_t *o;
	char first = 0;

	if (c->body_size == 0 || c->body_size > JSON_BODY_MAX ||
	    pread(c->body_fd, &first, 1, 0) != 1 || !strchr("{ \t\r\n", first))
		return;
	text = lxm_try_alloc(c->body_size);
	if (!text || pread(c->body_fd, text, c->body_size, 0) != (ssize_t)c->body_size)
		return;
	if (js_parse(text, c->body_size, &o, NULL) < 0)
		return;
	if (json_is_object(o)) {
		c->rq.json = o;
		auto_fd_close(&c->body_fd);
	} else {
		json_decref(o);
	}
}

void body_end(struct http_conn *c)
{
	json_t *o = NULL;

	if (c->failed.code)
		return;
	if (c->body_kind == BODY_SPOOL) {
		if (c->body_either)
			sniff(c);
		if (c->body_fd >= 0 && lseek(c->body_fd, 0, SEEK_SET) < 0)
			lxm_err_sys(&c->failed, "rewind the upload");
		return;
	}
	if (c->body_kind != BODY_MEMORY || c->body.len == 0)
		return;
	if (js_parse(c->body.data, c->body.len, &o, &c->failed) < 0)
		return;
	lxm_buf_deinit(&c->body);
	if (json_is_object(o)) {
		c->rq.json = o;
		return;
	}
	/* `null` and `""` are what some clients send for "nothing" */
	if (!json_is_null(o) && !(json_is_string(o) && json_string_length(o) == 0))
		lxm_err_set(&c->failed, EINVAL, "the request body must be a JSON object");
	json_decref(o);
}

void body_deinit(struct http_conn *c)
{
	lxm_buf_deinit(&c->body);
	auto_fd_close(&c->body_fd);
}
