/* lxmd/forward/header: the line of the PROXY protocol. */
#include "tests/unit/unit.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>

#include "lxmd/forward/forward.h"

static struct sockaddr_storage address(int family, const char *text, unsigned int port)
{
	struct sockaddr_storage sa = { .ss_family = (sa_family_t)family };
	struct sockaddr_in6 *v6 = (void *)&sa;
	struct sockaddr_in *v4 = (void *)&sa;

	if (family == AF_INET) {
		inet_pton(family, text, &v4->sin_addr);
		v4->sin_port = htons((uint16_t)port);
	} else {
		inet_pton(family, text, &v6->sin6_addr);
		v6->sin6_port = htons((uint16_t)port);
	}
	return sa;
}

static bool says(struct sockaddr_storage peer, struct sockaddr_storage local, const char *line)
{
	char out[HEADER_MAX];

	return header_v1(&peer, &local, out) == strlen(line) && strcmp(out, line) == 0;
}

static void test_lines(void)
{
	const struct sockaddr_storage unix_peer = { .ss_family = AF_UNIX };
	const char *most = "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff";

	CU_ASSERT(says(address(AF_INET, "10.0.0.1", 1024), address(AF_INET, "10.0.0.2", 80), "PROXY TCP4 10.0.0.1 10.0.0.2 1024 80\r\n"));
	CU_ASSERT(says(address(AF_INET6, "fd42::1", 1), address(AF_INET6, "fd42::2", 65535), "PROXY TCP6 fd42::1 fd42::2 1 65535\r\n"));
	/* an IPv4 client of a socket for both */
	CU_ASSERT(says(address(AF_INET6, "::ffff:10.0.0.1", 5), address(AF_INET6, "::ffff:10.0.0.2", 6), "PROXY TCP4 10.0.0.1 10.0.0.2 5 6\r\n"));
	CU_ASSERT(says(unix_peer, unix_peer, "PROXY UNKNOWN\r\n"));
	CU_ASSERT(says(address(AF_INET6, most, 65535), address(AF_INET6, most, 65535),
		       "PROXY TCP6 ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 65535\r\n"));
}

UNIT_MAIN("forward/header", { "what servers are told of a client", test_lines })
