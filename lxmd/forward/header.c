/* The PROXY protocol, version 1: one line in front of the connection says who is at its other end. Pure. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

#include "lxmd/forward/forward.h"

/* An IPv4 address that came through an IPv6 socket is one. Returns its family, 0 for none of both. */
static int address(const struct sockaddr_storage *sa, char out[INET6_ADDRSTRLEN], unsigned int *port)
{
	const struct sockaddr_in6 *v6 = (const void *)sa;
	const struct sockaddr_in *v4 = (const void *)sa;
	int family = sa->ss_family;
	const void *from = &v6->sin6_addr;

	if (family == AF_INET)
		from = &v4->sin_addr;
	else if (family != AF_INET6)
		return 0;
	*port = ntohs(family == AF_INET ? v4->sin_port : v6->sin6_port);
	if (family == AF_INET6 && IN6_IS_ADDR_V4MAPPED(&v6->sin6_addr)) {
		family = AF_INET;
		from = &v6->sin6_addr.s6_addr[12];
	}
	return inet_ntop(family, from, out, INET6_ADDRSTRLEN) ? family : 0;
}

size_t header_v1(const struct sockaddr_storage *peer, const struct sockaddr_storage *local, char out[HEADER_MAX])
{
	char a[INET6_ADDRSTRLEN], b[INET6_ADDRSTRLEN];
	unsigned int p = 0, q = 0;
	int family = address(peer, a, &p);

	if (!family || address(local, b, &q) != family)
		return (size_t)snprintf(out, HEADER_MAX, "PROXY UNKNOWN\r\n");
	return (size_t)snprintf(out, HEADER_MAX, "PROXY TCP%c %s %s %u %u\r\n", family == AF_INET ? '4' : '6', a, b, p, q);
}
