/* rtnetlink by hand, see netlink.h. Requests are small and built by us; replies come from the kernel. */
#include "lxmd/monitor/netlink.h"

#include <assert.h>
#include <string.h>
#include <sys/socket.h>

#include "lib/base/auto.h"

#ifndef SOL_NETLINK
#define SOL_NETLINK 270
#endif

int nl_open(struct lxm_err *e)
{
	lxm_auto(fd_close) int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
	struct sockaddr_nl a = { .nl_family = AF_NETLINK };
	int one = 1;

	if (fd < 0 || bind(fd, (struct sockaddr *)&a, sizeof(a)) < 0)
		return lxm_err_sys(e, "open a netlink socket");
	(void)setsockopt(fd, SOL_NETLINK, NETLINK_EXT_ACK, &one, sizeof(one));
	(void)setsockopt(fd, SOL_NETLINK, NETLINK_CAP_ACK, &one, sizeof(one));
	return LXM_TAKE(fd, -1);
}

void nl_raw(struct nl_msg *m, const void *data, size_t len)
{
	size_t at = NLMSG_ALIGN(m->h.nlmsg_len);

	assert(at + NLMSG_ALIGN(len) <= sizeof(m->room));
	memset(m->room + at, 0, NLMSG_ALIGN(len));
	if (len)
		memcpy(m->room + at, data, len);
	m->h.nlmsg_len = (uint32_t)(at + NLMSG_ALIGN(len));
}

void nl_begin_with(struct nl_msg *m, uint16_t type, uint16_t flags, const void *hdr, size_t len)
{
	memset(&m->h, 0, sizeof(m->h));
	m->h.nlmsg_type = type;
	m->h.nlmsg_flags = (uint16_t)(NLM_F_REQUEST | NLM_F_ACK | flags);
	m->h.nlmsg_len = NLMSG_LENGTH(0);
	nl_raw(m, hdr, len);
}

void nl_link(struct nl_msg *m, uint16_t type, uint16_t flags, int index, unsigned int ifflags)
{
	struct ifinfomsg i = { .ifi_index = index, .ifi_flags = ifflags, .ifi_change = ifflags };

	nl_begin_with(m, type, flags, &i, sizeof(i));
}

void nl_put(struct nl_msg *m, uint16_t type, const void *data, size_t len)
{
	struct rtattr a = { .rta_type = type, .rta_len = (unsigned short)RTA_LENGTH(len) };

	nl_raw(m, &a, sizeof(a));
	nl_raw(m, data, len);
}

void nl_put_str(struct nl_msg *m, uint16_t type, const char *s)
{
	nl_put(m, type, s, strlen(s) + 1);
}

void nl_put_u32(struct nl_msg *m, uint16_t type, uint32_t v)
{
	nl_put(m, type, &v, sizeof(v));
}

void nl_put_u8(struct nl_msg *m, uint16_t type, uint8_t v)
{
	nl_put(m, type, &v, sizeof(v));
}

struct rtattr *nl_begin(struct nl_msg *m, uint16_t type)
{
	size_t at = NLMSG_ALIGN(m->h.nlmsg_len);

	nl_put(m, type, NULL, 0);
	return (struct rtattr *)(m->room + at);
}

void nl_end(struct nl_msg *m, struct rtattr *nest)
{
	nest->rta_len = (unsigned short)(m->room + m->h.nlmsg_len - (char *)nest);
}

/* The kernel's message behind an error, if it sent one. */
static const char *ext_ack(const struct nlmsghdr *h, size_t *len)
{
	size_t at = NLMSG_LENGTH(sizeof(struct nlmsgerr));
	const struct rtattr *a;

	if (!(h->nlmsg_flags & NLM_F_ACK_TLVS))
		return NULL;
	if (!(h->nlmsg_flags & NLM_F_CAPPED))
		at += ((const struct nlmsgerr *)NLMSG_DATA(h))->msg.nlmsg_len - NLMSG_HDRLEN;
	for (at = NLMSG_ALIGN(at); at + sizeof(*a) <= h->nlmsg_len; at += RTA_ALIGN(a->rta_len)) {
		a = (const struct rtattr *)((const char *)h + at);
		if (a->rta_len < sizeof(*a) || at + a->rta_len > h->nlmsg_len)
			return NULL;
		if ((a->rta_type & NLA_TYPE_MASK) == NLMSGERR_ATTR_MSG) {
			*len = strnlen(RTA_DATA(a), RTA_PAYLOAD(a));
			return RTA_DATA(a);
		}
	}
	return NULL;
}

int nl_talk(int sock, struct nl_msg *m, struct lxm_err *e)
{
	static uint32_t seq;
	union {
		struct nlmsghdr h;
		char room[4096];
	} reply;
	const char *text;
	size_t text_len;
	ssize_t n;

	m->h.nlmsg_seq = ++seq;
	if (send(sock, &m->h, m->h.nlmsg_len, 0) < 0)
		return lxm_err_sys(e, "netlink");
	for (;;) {
		n = recv(sock, &reply, sizeof(reply), 0);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return lxm_err_sys(e, "netlink");
		if (n >= (ssize_t)NLMSG_LENGTH(sizeof(struct nlmsgerr)) && reply.h.nlmsg_seq == m->h.nlmsg_seq && reply.h.nlmsg_type == NLMSG_ERROR)
			break;
	}
	errno = -((struct nlmsgerr *)NLMSG_DATA(&reply.h))->error;
	if (errno == 0)
		return 0;
	text = ext_ack(&reply.h, &text_len);
	if (text)
		return lxm_err_sys(e, "netlink (%.*s)", (int)text_len, text);
	return lxm_err_sys(e, "netlink");
}
