/*
 * UDP: for each client of each listener an association, which is a socket of its own on the other side, so that answers find their way
 * back. It ends when it was quiet for the job's time. The table has a fixed size: the one that was quiet longest makes room.
 */
#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/uio.h>

#include "lxmd/forward/forward.h"

#define ROUNDS	 64
#define BUCKETS	 256
#define CONTROL	 CMSG_SPACE(sizeof(struct in6_pktinfo))
#define DATAGRAM 65507

struct assoc {
	struct source src; /* connected to the other side */
	struct listener *from;
	struct sockaddr_storage peer;
	socklen_t peer_len;
	char control[CONTROL] __attribute__((aligned(8))); /* which of our addresses it asked */
	size_t control_len;
	int64_t last_ms;
	struct assoc *chain;	   /* of its bucket */
	struct assoc *newer, *older; /* by last_ms */
};

static struct assoc *buckets[BUCKETS], *newest, *oldest;
static size_t nassocs;
static char data[DATAGRAM];

static struct assoc **bucket(const struct listener *l, const struct sockaddr_storage *peer, socklen_t len)
{
	uint32_t h = 2166136261u ^ (uint32_t)l->index;
	socklen_t i;

	for (i = 0; i < len; i++)
		h = (h ^ ((const unsigned char *)peer)[i]) * 16777619u;
	return &buckets[h % BUCKETS];
}

/* ---- by age */

static void age_out(struct assoc *a)
{
	*(a->newer ? &a->newer->older : &newest) = a->older;
	*(a->older ? &a->older->newer : &oldest) = a->newer;
	a->newer = a->older = NULL;
}

static void age_in(struct assoc *a)
{
	a->last_ms = loop_now();
	a->older = newest;
	*(newest ? &newest->newer : &oldest) = a;
	newest = a;
}

static void touch(struct assoc *a)
{
	age_out(a);
	age_in(a);
}

/* ---- life */

/* Only between two rounds of events: one of them may point here. */
static void assoc_free(struct assoc *a)
{
	struct assoc **p = bucket(a->from, &a->peer, a->peer_len);

	while (*p != a)
		p = &(*p)->chain;
	*p = a->chain;
	age_out(a);
	source_close(&a->src);
	free(a);
	nassocs--;
}

int dgram_expire(void)
{
	int64_t idle = fwd.job->udp_idle_ms;

	while (oldest && (oldest->last_ms + idle <= loop_now() || nassocs > ASSOCIATIONS_MAX))
		assoc_free(oldest);
	if (!oldest)
		return -1;
	return (int)(oldest->last_ms + idle - loop_now());
}

/* Which address an answer has to come from: as the datagram was told to have come to, by whatever link leads back. */
static void keep_control(struct assoc *a, struct msghdr *m)
{
	struct cmsghdr *h = CMSG_FIRSTHDR(m);
	struct in6_pktinfo v6;
	struct in_pktinfo v4;

	a->control_len = 0;
	if (!h || CMSG_SPACE(h->cmsg_len - CMSG_LEN(0)) > CONTROL)
		return;
	if (h->cmsg_level == IPPROTO_IP && h->cmsg_type == IP_PKTINFO && h->cmsg_len >= CMSG_LEN(sizeof(v4))) {
		memcpy(&v4, CMSG_DATA(h), sizeof(v4));
		v4.ipi_ifindex = 0;
		memcpy(CMSG_DATA(h), &v4, sizeof(v4));
	} else if (h->cmsg_level == IPPROTO_IPV6 && h->cmsg_type == IPV6_PKTINFO && h->cmsg_len >= CMSG_LEN(sizeof(v6))) {
		memcpy(&v6, CMSG_DATA(h), sizeof(v6));
		if (!IN6_IS_ADDR_LINKLOCAL(&v6.ipi6_addr))
			v6.ipi6_ifindex = 0;
		memcpy(CMSG_DATA(h), &v6, sizeof(v6));
	} else {
		return;
	}
	a->control_len = CMSG_SPACE(h->cmsg_len - CMSG_LEN(0));
	memcpy(a->control, h, h->cmsg_len);
}

/* ---- from the other side */

static void on_answer(struct source *s, uint32_t events)
{
	struct assoc *a = (struct assoc *)s;
	int round;

	for (round = 0; round < ROUNDS; round++) {
		ssize_t n = recv(s->fd, data, sizeof(data), 0);
		struct iovec iov = { data, n > 0 ? (size_t)n : 0 };
		struct msghdr m = { .msg_name = &a->peer, .msg_namelen = a->peer_len, .msg_iov = &iov, .msg_iovlen = 1 };

		if (n < 0)
			return; /* nothing more, or nobody is at that port */
		if (a->control_len) {
			m.msg_control = a->control;
			m.msg_controllen = a->control_len;
		}
		(void)sendmsg(a->from->src.fd, &m, 0);
		touch(a);
	}
}

/* ---- from clients */

static struct assoc *assoc_get(struct listener *l, const struct sockaddr_storage *peer, socklen_t len)
{
	struct assoc **b = bucket(l, peer, len), *a;

	for (a = *b; a; a = a->chain)
		if (a->from == l && a->peer_len == len && memcmp(&a->peer, peer, len) == 0)
			return a;
	a = calloc(1, sizeof(*a));
	if (!a)
		return NULL;
	a->src = (struct source){ on_answer, dial(l->index), 0 };
	if (a->src.fd < 0 || source_want(&a->src, EPOLLIN) < 0) {
		source_close(&a->src);
		free(a);
		return NULL;
	}
	a->from = l;
	a->peer = *peer;
	a->peer_len = len;
	a->chain = *b;
	*b = a;
	age_in(a);
	nassocs++;
	return a;
}

void dgram_receive(struct source *s, uint32_t events)
{
	char control[CONTROL * 2] __attribute__((aligned(8)));
	int round;

	for (round = 0; round < ROUNDS; round++) {
		struct sockaddr_storage peer = { 0 };
		struct iovec iov = { data, sizeof(data) };
		struct msghdr m = { .msg_name = &peer, .msg_namelen = sizeof(peer), .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control,
				    .msg_controllen = sizeof(control) };
		ssize_t n = recvmsg(s->fd, &m, 0);
		struct assoc *a;

		if (n < 0)
			return;
		a = assoc_get((struct listener *)s, &peer, m.msg_namelen);
		if (!a)
			continue;
		keep_control(a, &m);
		touch(a);
		if (send(a->src.fd, data, (size_t)n, 0) < 0 && errno == ECONNREFUSED)
			(void)send(a->src.fd, data, (size_t)n, 0); /* that was the answer to an earlier one */
	}
}
