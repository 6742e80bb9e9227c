/* See outside.h. */
#include "lib/base/outside.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

static bool outside4(uint32_t a)
{
	static const struct {
		uint32_t net, mask;
	} inside[] = {
		{ 0x00000000, 0xff000000 }, /* this host */
		{ 0x7f000000, 0xff000000 }, /* loopback */
		{ 0xa9fe0000, 0xffff0000 }, /* link-local */
		{ 0x646464c8, 0xffffffff }, /* 100.100.100.200: a cloud's credentials at an ordinary address */
		{ 0xe0000000, 0xe0000000 }, /* multicast, reserved, broadcast */
	};
	size_t i;

	for (i = 0; i < sizeof(inside) / sizeof(*inside); i++)
		if ((a & inside[i].mask) == inside[i].net)
			return false;
	return true;
}

static bool outside6(const uint8_t a[16])
{
	static const uint8_t zero[12], mapped[12] = { [10] = 0xff, [11] = 0xff }, nat64[12] = { 0x00, 0x64, 0xff, 0x9b };
	/* fd00:ec2::254, the same over IPv6 */
	static const uint8_t credentials[16] = { 0xfd, 0x00, 0x0e, 0xc2, [14] = 0x02, [15] = 0x54 };
	uint32_t v4;

	/* :: and ::1 are among the first kind */
	if (memcmp(a, zero, 12) == 0 || memcmp(a, mapped, 12) == 0 || memcmp(a, nat64, 12) == 0) {
		memcpy(&v4, a + 12, 4);
		return outside4(ntohl(v4));
	}
	if (a[0] == 0x20 && a[1] == 0x02) { /* 6to4 */
		memcpy(&v4, a + 2, 4);
		return outside4(ntohl(v4));
	}
	if (memcmp(a, credentials, 16) == 0)
		return false;
	return a[0] != 0xff && !(a[0] == 0xfe && (a[1] & 0x80) == 0x80);
}

bool lxm_addr_outside(const struct sockaddr *sa)
{
	/* they come from buffers of any alignment */
	struct sockaddr_in v4;
	struct sockaddr_in6 v6;

	if (sa->sa_family == AF_INET) {
		memcpy(&v4, sa, sizeof(v4));
		return outside4(ntohl(v4.sin_addr.s_addr));
	}
	if (sa->sa_family != AF_INET6)
		return false;
	memcpy(&v6, sa, sizeof(v6));
	return outside6(v6.sin6_addr.s6_addr);
}
