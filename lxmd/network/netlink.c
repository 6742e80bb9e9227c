/*
 * Building, sending and walking rtnetlink messages.
 *
 * Any thread of lxmd, each call with a socket of its own or under its owner's lock. A socket may live in a
 * container's network namespace: whatever comes out of it is checked byte by byte, must have been sent by the
 * kernel (port 0) and is bounded in size and time.
 */
#include "lxmd/network/netlink.h"

#include <arpa/inet.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>

#include "lib/base/time.h"

#define NL_TIMEOUT_MS 2000
#define NL_REPLY_SIZE 16384 /* the kernel fills at most what the reader offers */

#ifndef SOL_NETLINK
#define SOL_NETLINK 270
#endif

void nl_begin(struct nl_msg *m, uint16_t type, uint16_t flags, const void *hdr, size_t body)
{
	memset(m, 0, sizeof(*m));
	m->h.nlmsg_type = type;
	m->h.nlmsg_flags = NLM_F_REQUEST | flags;
	m->len = NLMSG_HDRLEN;
	nl_put_raw(m, hdr, body);
}

void nl_put_raw(struct nl_msg *m, const void *data, size_t n)
{
	size_t end = m->len + NLMSG_ALIGN(n);

	if (end > sizeof(m->data)) {
		m->full = true;
		return;
	}
	if (n)
		memcpy(m->data + m->len, data, n);
	m->len = end;
	m->h.nlmsg_len = (uint32_t)m->len;
}

void nl_put(struct nl_msg *m, uint16_t attr, const void *data, size_t n)
{
	struct rtattr a = { .rta_len = (unsigned short)RTA_LENGTH(n), .rta_type = attr };

	if (n > UINT16_MAX - sizeof(a)) {
		m->full = true;
		return;
	}
	nl_put_raw(m, &a, sizeof(a));
	nl_put_raw(m, data, n);
}

void nl_put_u8(struct nl_msg *m, uint16_t attr, uint8_t v)
{
	nl_put(m, attr, &v, sizeof(v));
}

void nl_put_u16(struct nl_msg *m, uint16_t attr, uint16_t v)
{
	nl_put(m, attr, &v, sizeof(v));
}

void nl_put_u32(struct nl_msg *m, uint16_t attr, uint32_t v)
{
	nl_put(m, attr, &v, sizeof(v));
}

void nl_put_str(struct nl_msg *m, uint16_t attr, const char *s)
{
	nl_put(m, attr, s, strlen(s) + 1);
}

size_t nl_nest(struct nl_msg *m, uint16_t attr)
{
	size_t at = m->len;

	nl_put(m, attr, NULL, 0);
	return at;
}

void nl_nest_end(struct nl_msg *m, size_t at)
{
	if (!m->full)
		((struct rtattr *)(void *)(m->data + at))->rta_len = (unsigned short)(m->len - at);
}

int nl_open(void)
{
	struct timeval tv = { .tv_sec = NL_TIMEOUT_MS / 1000 };
	struct sockaddr_nl sa = { .nl_family = AF_NETLINK };
	int fd, one = 1, saved;

	fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
	if (fd < 0)
		return -1;
	(void)setsockopt(fd, SOL_NETLINK, NETLINK_EXT_ACK, &one, sizeof(one));
	(void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv));
	if (bind(fd, (struct sockaddr *)&sa, sizeof(sa)) < 0) {
		saved = errno;
		(void)close(fd);
		errno = saved;
		return -1;
	}
	return fd;
}

/* Each request of the process gets its own number, so that a late answer is not taken for the next one's. */
static uint32_t nl_next_seq(void)
{
	static uint32_t seq;

	return __atomic_add_fetch(&seq, 1, __ATOMIC_RELAXED) | 0x40000000u;
}

static int nl_send(int fd, struct nl_msg *m, struct lxm_err *e)
{
	struct sockaddr_nl to = { .nl_family = AF_NETLINK };

	if (m->full)
		return lxm_err_set(e, EMSGSIZE, "netlink request too large");
	m->h.nlmsg_seq = nl_next_seq();
	for (;;) {
		if (sendto(fd, m->data, m->len, 0, (struct sockaddr *)&to, sizeof(to)) >= 0)
			return 0;
		if (errno != EINTR)
			return lxm_err_sys(e, "send netlink request");
	}
}

/* One datagram from the kernel; others' are skipped. Bytes, or -errno. */
static ssize_t nl_recv(int fd, char *buf, size_t size, int64_t deadline, struct lxm_err *e)
{
	for (;;) {
		struct sockaddr_nl from = { 0 };
		struct iovec iov = { .iov_base = buf, .iov_len = size };
		struct msghdr msg = { .msg_name = &from,
				      .msg_namelen = sizeof(from),
				      .msg_iov = &iov,
				      .msg_iovlen = 1 };
		ssize_t n;

		if (lxm_mono_ms() > deadline)
			return lxm_err_set(e, ETIMEDOUT, "no answer from netlink");
		n = recvmsg(fd, &msg, 0);
		if (n < 0 && (errno == EINTR || errno == ENOBUFS))
			continue; /* ENOBUFS: events were lost, answers to requests are not */
		if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
			return lxm_err_set(e, ETIMEDOUT, "no answer from netlink");
		if (n < 0)
			return lxm_err_sys(e, "receive from netlink");
		if (msg.msg_namelen != sizeof(from) || from.nl_pid != 0)
			continue;
		if (msg.msg_flags & MSG_TRUNC)
			return lxm_err_set(e, EMSGSIZE, "netlink answer too large");
		return n;
	}
}

/* The kernel's own words in an extended ack, or "". */
static void nl_ext_text(const struct nlmsghdr *h, char *out, size_t size)
{
	const struct nlmsgerr *err = NLMSG_DATA(h);
	const struct rtattr *tb[NLMSGERR_ATTR_MSG + 1] = { 0 };
	size_t skip = sizeof(*err);

	out[0] = '\0';
	if (!(h->nlmsg_flags & NLM_F_ACK_TLVS))
		return;
	if (!(h->nlmsg_flags & NLM_F_CAPPED)) {
		if (err->msg.nlmsg_len < NLMSG_HDRLEN)
			return;
		skip += NLMSG_ALIGN(err->msg.nlmsg_len - NLMSG_HDRLEN);
	}
	nl_attrs(h, skip, tb, NLMSGERR_ATTR_MSG);
	nl_attr_str(tb[NLMSGERR_ATTR_MSG], out, size);
}

/* An NLMSG_ERROR message: 0 (acknowledged) or -errno with the kernel's reason. */
static int nl_ack(const struct nlmsghdr *h, struct lxm_err *e)
{
	const struct nlmsgerr *err = NLMSG_DATA(h);
	char why[200];

	if (h->nlmsg_len < NLMSG_LENGTH(sizeof(*err)))
		return lxm_err_set(e, EBADMSG, "malformed netlink answer");
	if (err->error == 0)
		return 0;
	nl_ext_text(h, why, sizeof(why));
	errno = err->error < 0 ? -err->error : EIO;
	return why[0] ? lxm_err_sys(e, "%s", why) : lxm_err_sys(e, "netlink");
}

int nl_talk(int fd, struct nl_msg *m, struct lxm_err *e)
{
	int64_t deadline = lxm_mono_ms() + NL_TIMEOUT_MS;
	char buf[NL_REPLY_SIZE] __attribute__((aligned(NLMSG_ALIGNTO)));
	int r;

	m->h.nlmsg_flags |= NLM_F_ACK;
	r = nl_send(fd, m, e);
	if (r < 0)
		return r;
	for (;;) {
		ssize_t n = nl_recv(fd, buf, sizeof(buf), deadline, e);
		const struct nlmsghdr *h = (const void *)buf;

		if (n < 0)
			return (int)n;
		for (; NLMSG_OK(h, (size_t)n); h = NLMSG_NEXT(h, n))
			if (h->nlmsg_seq == m->h.nlmsg_seq && h->nlmsg_type == NLMSG_ERROR)
				return nl_ack(h, e);
	}
}

/* Hand over what one datagram holds; 1 when the dump ended with it. */
static int nl_dump_part(const char *buf, ssize_t n, uint32_t seq, nl_dump_fn fn, void *arg, struct lxm_err *e)
{
	const struct nlmsghdr *h = (const void *)buf;

	for (; NLMSG_OK(h, (size_t)n); h = NLMSG_NEXT(h, n)) {
		int r;

		if (h->nlmsg_seq != seq)
			continue;
		if (h->nlmsg_type == NLMSG_DONE)
			return 1;
		if (h->nlmsg_type == NLMSG_ERROR) {
			r = nl_ack(h, e);
			return r < 0 ? r : 1;
		}
		r = fn(h, arg);
		if (r < 0)
			return lxm_err_wrap(e, r, "read netlink answer");
	}
	return 0;
}

int nl_dump(int fd, struct nl_msg *m, size_t max_bytes, nl_dump_fn fn, void *arg, struct lxm_err *e)
{
	int64_t deadline = lxm_mono_ms() + NL_TIMEOUT_MS;
	char buf[NL_REPLY_SIZE] __attribute__((aligned(NLMSG_ALIGNTO)));
	size_t total = 0;
	int r;

	m->h.nlmsg_flags |= NLM_F_DUMP;
	r = nl_send(fd, m, e);
	while (r == 0) {
		ssize_t n = nl_recv(fd, buf, sizeof(buf), deadline, e);

		if (n < 0)
			return (int)n;
		total += (size_t)n;
		if (total > max_bytes)
			return lxm_err_set(e, EMSGSIZE, "netlink answer of more than %zu bytes", max_bytes);
		r = nl_dump_part(buf, n, m->h.nlmsg_seq, fn, arg, e);
	}
	return r < 0 ? r : 0;
}

static void attrs_walk(const char *p, size_t left, const struct rtattr **tb, uint16_t max)
{
	memset(tb, 0, sizeof(*tb) * (max + 1u));
	while (left >= sizeof(struct rtattr)) {
		const struct rtattr *a = (const void *)p;
		size_t len = a->rta_len, step = RTA_ALIGN(len);
		uint16_t type = a->rta_type & NLA_TYPE_MASK;

		if (len < sizeof(*a) || len > left)
			return;
		if (type <= max)
			tb[type] = a;
		if (step >= left)
			return;
		p += step;
		left -= step;
	}
}

void nl_attrs(const struct nlmsghdr *h, size_t hdr_len, const struct rtattr **tb, uint16_t max)
{
	size_t skip = NLMSG_LENGTH(NLMSG_ALIGN(hdr_len));

	if (h->nlmsg_len < skip)
		attrs_walk(NULL, 0, tb, max);
	else
		attrs_walk((const char *)h + skip, h->nlmsg_len - skip, tb, max);
}

void nl_attrs_nested(const struct rtattr *a, const struct rtattr **tb, uint16_t max)
{
	attrs_walk(a ? RTA_DATA(a) : NULL, nl_attr_len(a), tb, max);
}

size_t nl_attr_len(const struct rtattr *a)
{
	return a ? a->rta_len - RTA_LENGTH(0) : 0;
}

uint64_t nl_attr_uint(const struct rtattr *a, uint64_t dflt)
{
	uint64_t v64;
	uint32_t v32;
	uint16_t v16;

	switch (nl_attr_len(a)) {
	case 1:
		return *(const uint8_t *)RTA_DATA(a);
	case 2:
		memcpy(&v16, RTA_DATA(a), 2);
		return v16;
	case 4:
		memcpy(&v32, RTA_DATA(a), 4);
		return v32;
	case 8:
		memcpy(&v64, RTA_DATA(a), 8);
		return v64;
	default:
		return dflt;
	}
}

void nl_attr_str(const struct rtattr *a, char *out, size_t size)
{
	size_t n = nl_attr_len(a);

	if (n >= size)
		n = size - 1;
	if (n)
		memcpy(out, RTA_DATA(a), n);
	out[n] = '\0';
}

int nl_mac_parse(const char *s, uint8_t mac[6])
{
	static const char hex[] = "0123456789abcdef";
	uint8_t sum = 0;
	int i;

	for (i = 0; i < 6; i++, s += 3) {
		const char *hi = s[0] ? strchr(hex, s[0] | 0x20) : NULL;
		const char *lo = hi && s[1] ? strchr(hex, s[1] | 0x20) : NULL;

		if (!lo || s[2] != (i < 5 ? ':' : '\0'))
			return -EINVAL;
		mac[i] = (uint8_t)((hi - hex) << 4 | (lo - hex));
		sum |= mac[i];
	}
	return sum == 0 || (mac[0] & 1) ? -EINVAL : 0;
}

void nl_mac_eui64(const uint8_t mac[6], uint8_t out[8])
{
	const uint8_t id[8] = { mac[0] ^ 2, mac[1], mac[2], 0xff, 0xfe, mac[3], mac[4], mac[5] };

	memcpy(out, id, sizeof(id));
}

char *nl_mac_str(const uint8_t mac[6], char out[18])
{
	(void)snprintf(out, 18, "%02x:%02x:%02x:%02x:%02x:%02x", mac[0], mac[1], mac[2], mac[3], mac[4],
		       mac[5]);
	return out;
}
