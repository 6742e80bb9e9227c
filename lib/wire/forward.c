/*
 * The forward job. lxmd encodes in any thread; lxm-forward decodes before it gives up its rights.
 */
#include "lib/wire/forward.h"

#include <arpa/inet.h>
#include <stdbool.h>
#include <string.h>

enum { JOB_MAIN = 1, JOB_LISTEN, JOB_CONNECT, JOB_KINDS };

#define OFF(m)	  offsetof(struct forward_job, m)
#define END(side) { WIRE_U32, OFF(side.type), 0 }, { WIRE_STR, OFF(side.address), 128 }, { WIRE_BYTES, OFF(side.ports), 2 * FORWARD_PORTS_MAX }

static const struct wire_kind kinds[JOB_KINDS] = {
	[JOB_MAIN] = { "job", 1, 1,
		       { { WIRE_U32, OFF(flags), 0 }, { WIRE_U32, OFF(pid), 0 }, { WIRE_U64, OFF(generation), 0 }, { WIRE_U32, OFF(udp_idle_ms), 0 },
			 { WIRE_U32, OFF(uid), 0 }, { WIRE_U32, OFF(gid), 0 }, { WIRE_U32, OFF(mode), 0 }, { WIRE_U32, OFF(run_uid), 0 },
			 { WIRE_U32, OFF(run_gid), 0 } } },
	[JOB_LISTEN] = { "listen", 1, 1, { END(listen) } },
	[JOB_CONNECT] = { "connect", 1, 1, { END(connect) } },
};

static const struct wire_format format = { 0x4f4d584cu /* "LXMO" */, 1, FORWARD_JOB_MAX, kinds, JOB_KINDS };

int forward_job_encode(const struct forward_job *j, struct lxm_buf *b, struct lxm_err *e)
{
	unsigned char head[16] = { 0 };
	struct forward_job again;
	uint32_t kind;
	int r = 0;

	lxm_buf_deinit(b);
	lxm_buf_add(b, head, sizeof(head));
	for (kind = JOB_MAIN; r == 0 && kind < JOB_KINDS; kind++)
		r = wire_put(b, &format, kind, j, e);
	if (r < 0)
		return r;
	wire_header((unsigned char *)b->data, &format, JOB_KINDS - 1, b->len - sizeof(head));
	if (forward_job_check(b->data, b->len, &again, e) < 0)
		return lxm_err_set(e, EINVAL, "addresses of a proxy are out of bounds");
	return 0;
}

size_t forward_ports(const struct forward_end *end)
{
	return end->type == FORWARD_UNIX ? 1 : end->ports.len / 2;
}

uint16_t forward_port(const struct forward_end *end, size_t index)
{
	uint16_t port = 0;

	if (end->type == FORWARD_UNIX)
		return 0;
	if (end->ports.len == 2)
		index = 0;
	memcpy(&port, (const char *)end->ports.data + 2 * index, 2);
	return port;
}

static bool end_sensible(const struct forward_end *end)
{
	unsigned char a[16];
	size_t i;

	if (!end->type || end->type >= FORWARD_TYPES)
		return false;
	if (end->type == FORWARD_UNIX)
		return strlen(end->address) <= FORWARD_PATH_MAX && !end->ports.len &&
		       (*end->address == '/' ? end->address[1] : *end->address == '@' && end->address[1]);
	if (inet_pton(AF_INET, end->address, a) != 1 && inet_pton(AF_INET6, end->address, a) != 1)
		return false;
	for (i = 0; i < end->ports.len / 2; i++)
		if (!forward_port(end, i))
			return false;
	return end->ports.len && end->ports.len % 2 == 0;
}

/* What the table cannot say. */
static bool sensible(const struct forward_job *j)
{
	size_t from = forward_ports(&j->listen), to = forward_ports(&j->connect);

	if (j->flags & ~FORWARD_FLAGS || !j->pid || j->pid > INT32_MAX || j->mode > 07777 || !j->udp_idle_ms)
		return false;
	if (!end_sensible(&j->listen) || !end_sensible(&j->connect) || (to != 1 && to != from))
		return false;
	return j->listen.type != FORWARD_UDP || j->connect.type == FORWARD_UDP;
}

int forward_job_check(const void *data, size_t len, struct forward_job *out, struct lxm_err *e)
{
	if (wire_decode(&format, data, len, out, sizeof(*out), e) < 0)
		return -EBADMSG;
	return sensible(out) ? 0 : lxm_err_set(e, EBADMSG, "job that makes no sense");
}

int forward_job_read(int fd, unsigned char buf[FORWARD_JOB_MAX], struct forward_job *out, struct lxm_err *e)
{
	ssize_t n = wire_read(fd, buf, FORWARD_JOB_MAX, "job", e);

	return n < 0 ? (int)n : forward_job_check(buf, (size_t)n, out, e);
}
