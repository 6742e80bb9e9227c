/*
 * Messages between lxmd and lxm-monitor: encode, decode, send, receive. Both processes use this file; it takes no
 * memory, because the monitor's loop has none. A message is a wire document with one record; all kinds share one
 * layout, so that one table row decodes them and the reader looks at `kind` afterwards.
 */
#include "lib/wire/monitor.h"

#include <assert.h>
#include <string.h>
#include <sys/socket.h>

#include "lib/base/fd.h"

#define TEXT_MAX 640u

#define F(type, m) { type, offsetof(struct mon_msg, m), 0 }

static const struct wire_kind kinds[] = {
	[1] = { "message", 1, 1,
		{ F(WIRE_U32, kind), F(WIRE_U32, seq), F(WIRE_I32, arg), F(WIRE_U32, rows), F(WIRE_U32, cols), F(WIRE_I32, code), F(WIRE_U32, state),
		  F(WIRE_I32, pid), F(WIRE_U64, start_ms), F(WIRE_U32, reason), F(WIRE_I32, status),
		  { WIRE_STR, offsetof(struct mon_msg, text), TEXT_MAX } } },
};

static const struct wire_format format = { 0x4d4d584cu /* "LXMM" */, 1, MON_MAX, kinds, 2 };

static const char *const reasons[] = {
	[MON_REASON_POWEROFF] = "poweroff", [MON_REASON_REBOOT] = "reboot", [MON_REASON_EXIT] = "exit",
	[MON_REASON_SIGNAL] = "signal",	    [MON_REASON_FAILED] = "failed",
};

const char *mon_reason_name(uint32_t reason)
{
	return reason < LXM_ARRAY_LEN(reasons) && reasons[reason] ? reasons[reason] : "unknown";
}

uint32_t mon_reason_parse(const char *name)
{
	uint32_t i;

	for (i = 1; i < LXM_ARRAY_LEN(reasons); i++)
		if (strcmp(reasons[i], name) == 0)
			return i;
	return 0;
}

int mon_encode(const struct mon_msg *m, unsigned char out[MON_MAX])
{
	/* a buffer that never grows: records are bounded by TEXT_MAX and end far below MON_MAX */
	struct lxm_buf b = { (char *)out + 16, 0, MON_MAX - 16 };
	char text[TEXT_MAX];
	struct mon_msg copy = *m;
	size_t n = m->text ? strnlen(m->text, TEXT_MAX - 1) : 0;
	int r;

	if (n)
		memcpy(text, m->text, n);
	text[n] = 0;
	copy.text = text;
	r = wire_put(&b, &format, 1, &copy, NULL);
	assert(r == 0 && b.data == (char *)out + 16);
	(void)r;
	wire_header(out, &format, 1, b.len);
	return (int)b.len + 16;
}

static bool kind_ok(uint32_t kind)
{
	return (kind >= MON_SIGNAL && kind < MON_REQUESTS) || kind == MON_OK || kind == MON_ERROR || (kind >= MON_HELLO && kind < MON_KINDS);
}

int mon_decode(const void *data, size_t len, struct mon_msg *out, struct lxm_err *e)
{
	struct mon_msg m = { 0 };
	struct wire_doc doc;
	size_t pos = 0;
	uint32_t kind;

	if (wire_check(&format, data, len, &doc, e) < 0)
		return -EBADMSG;
	(void)wire_next(&doc, &pos, &kind, &m);
	if (!kind_ok(m.kind) || m.rows > 65535 || m.cols > 65535)
		return lxm_err_set(e, EBADMSG, "message of unknown kind %u", m.kind);
	*out = m;
	return 0;
}

int mon_send(int sock, const struct mon_msg *m, const int *fds, size_t nfds, int flags)
{
	unsigned char buf[MON_MAX];
	int n = mon_encode(m, buf);
	ssize_t r = lxm_send_fds(sock, buf, (size_t)n, fds, nfds, flags);

	return r < 0 ? (int)r : 0;
}

int mon_recv(int sock, struct mon_msg *m, unsigned char buf[MON_MAX], int *fds, size_t *nfds, int flags, struct lxm_err *e)
{
	size_t got = MON_FDS, i;
	int in[MON_FDS];
	ssize_t n = lxm_recv_fds(sock, buf, MON_MAX, in, &got, flags);
	int r;

	*nfds = 0;
	if (n == -EAGAIN)
		return -EAGAIN;
	if (n < 0) {
		errno = (int)-n;
		return lxm_err_sys(e, "receive from the monitor's socket");
	}
	if (n == 0)
		return 0;
	r = mon_decode(buf, (size_t)n, m, e);
	if (r < 0) {
		for (i = 0; i < got; i++)
			(void)close(in[i]);
		return r;
	}
	memcpy(fds, in, got * sizeof(int));
	*nfds = got;
	return 1;
}
