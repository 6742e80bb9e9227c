/*
 * The fetch job and its reports. lxmd encodes in any thread; lxm-fetch decodes before it has a socket open. The reports come
 * from a process that a hostile server may have taken over: nothing in them is believed beyond its form.
 */
#include "lib/wire/fetch.h"

#include <poll.h>
#include <string.h>
#include <sys/socket.h>

#include "lib/base/fd.h"

enum { JOB_MAIN = 1, JOB_NET, JOB_KINDS };

#define OFF(m) offsetof(struct fetch_job, m)

static const struct wire_kind kinds[JOB_KINDS] = {
	[JOB_MAIN] = { "job", 1, 1,
		       { { WIRE_U32, OFF(verb), 0 }, { WIRE_U64, OFF(max_bytes), 0 }, { WIRE_U32, OFF(outside), 0 },
			 { WIRE_STR, OFF(url), FETCH_URL_MAX },
			 { WIRE_STR, OFF(name), 512 }, { WIRE_STR, OFF(arch), 64 }, { WIRE_STR, OFF(project), 256 },
			 { WIRE_STR, OFF(secret), 256 }, { WIRE_STR, OFF(filename), 512 }, { WIRE_STR, OFF(profiles), FETCH_LIST_MAX } } },
	[JOB_NET] = { "net", 1, 1,
		      { { WIRE_STR, OFF(certificate), FETCH_CERT_MAX }, { WIRE_STR, OFF(proxy_http), FETCH_URL_MAX },
			{ WIRE_STR, OFF(proxy_https), FETCH_URL_MAX }, { WIRE_STR, OFF(no_proxy), FETCH_LIST_MAX } } },
};

#define JOB_MAX (128u * 1024)

static const struct wire_format format = { 0x474d584cu /* "LXMG" */, 1, JOB_MAX, kinds, JOB_KINDS };

/* What the table cannot say. */
static bool sensible(const struct fetch_job *j)
{
	return j->verb && j->verb < FETCH_VERBS && (lxm_starts(j->url, "https://") || lxm_starts(j->url, "http://"));
}

static int job_check(const void *data, size_t len, struct fetch_job *j, struct lxm_err *e)
{
	if (wire_decode(&format, data, len, j, sizeof(*j), e) < 0)
		return -EBADMSG;
	return sensible(j) ? 0 : lxm_err_set(e, EBADMSG, "fetch job that makes no sense");
}

int fetch_job_seal(const struct fetch_job *j, int *fd_out, struct lxm_err *e)
{
	lxm_auto(buf) struct lxm_buf b = { 0 };
	unsigned char head[16] = { 0 };
	struct fetch_job check;

	lxm_buf_add(&b, head, sizeof(head));
	if (wire_put(&b, &format, JOB_MAIN, j, NULL) < 0 || wire_put(&b, &format, JOB_NET, j, NULL) < 0)
		return lxm_err_set(e, EINVAL, "the server's address, the image's name or the certificate is too long");
	wire_header((unsigned char *)b.data, &format, 2, b.len - sizeof(head));
	if (job_check(b.data, b.len, &check, NULL) < 0)
		return lxm_err_set(e, EINVAL, "the server's address must begin with https:// or http://");
	return wire_seal(&b, "a fetch job", fd_out, e);
}

int fetch_job_open(int fd, struct fetch_view *v, struct lxm_err *e)
{
	struct wire_mapping m;
	int r = wire_map(fd, JOB_MAX, "job", &m, e);

	memset(v, 0, sizeof(*v));
	if (r == 0)
		r = job_check(m.data, m.len, &v->job, e);
	return wire_keep(&m, r, &v->mapping);
}

void fetch_job_close(struct fetch_view *v)
{
	wire_unmap(&v->mapping);
	memset(v, 0, sizeof(*v));
}

int fetch_report_send(int sock, const struct fetch_report *r)
{
	ssize_t n = send(sock, r, sizeof(*r), MSG_NOSIGNAL);

	return n < 0 ? -errno : 0;
}

static bool text_ok(const char *s, size_t room)
{
	size_t n = strnlen(s, room);

	return n < room && lxm_utf8_ok(s, n);
}

int fetch_report_check(const struct fetch_report *r)
{
	if (!r->kind || r->kind >= FETCH_REPORTS || r->code < 0 || r->split > 1 || (r->http && (r->http < 400 || r->http > 599)) ||
	    !text_ok(r->fingerprint, sizeof(r->fingerprint)) || !text_ok(r->key, sizeof(r->key)) || !text_ok(r->text, sizeof(r->text)))
		return -EBADMSG;
	if (r->kind == FETCH_FOUND && !lxm_is_hex(r->fingerprint, 64, 64))
		return -EBADMSG;
	if (r->kind == FETCH_PROPERTY && !*r->key)
		return -EBADMSG;
	return r->kind == FETCH_FAILED && (!r->code || r->code > 4095) ? -EBADMSG : 0;
}

int fetch_report_recv(int sock, struct fetch_report *r, int timeout_ms, struct lxm_err *e)
{
	struct pollfd p = { .fd = sock, .events = POLLIN };
	ssize_t n;
	int ready;

	do
		ready = poll(&p, 1, timeout_ms);
	while (ready < 0 && errno == EINTR);
	if (ready <= 0)
		return lxm_err_set(e, ETIMEDOUT, "lxm-fetch does not answer");
	n = recv(sock, r, sizeof(*r), MSG_DONTWAIT);
	if (n == 0 || (n < 0 && errno == ECONNRESET))
		return 0;
	if (n == (ssize_t)sizeof(*r) && fetch_report_check(r) == 0)
		return 1;
	return lxm_err_set(e, n < 0 ? errno : EBADMSG, "the answer of lxm-fetch makes no sense");
}
