/* outside: what a stranger may have this machine connect to. */
#include "tests/unit/unit.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "lib/base/outside.h"

static bool outside(const char *text)
{
	struct sockaddr_in v4 = { .sin_family = AF_INET };
	struct sockaddr_in6 v6 = { .sin6_family = AF_INET6 };

	if (inet_pton(AF_INET, text, &v4.sin_addr) == 1)
		return lxm_addr_outside((struct sockaddr *)&v4);
	CU_ASSERT_FATAL(inet_pton(AF_INET6, text, &v6.sin6_addr) == 1);
	return lxm_addr_outside((struct sockaddr *)&v6);
}

static void the_machine_itself(void)
{
	static const char *const inside[] = { "0.0.0.0", "0.1.2.3", "127.0.0.1", "127.255.255.255", "169.254.0.1", "169.254.169.254",
					      "100.100.100.200", "fd00:ec2::254", "::ffff:100.100.100.200", "224.0.0.1", "255.255.255.255", "::", "::1", "::7f00:1", "::ffff:127.0.0.1", "::ffff:169.254.169.254",
					      "::ffff:0.0.0.0", "64:ff9b::7f00:1", "2002:7f00:1::", "fe80::1", "febf::1", "fec0::1", "ff02::1" };
	size_t i;

	for (i = 0; i < sizeof(inside) / sizeof(*inside); i++) {
		CU_ASSERT_FALSE(outside(inside[i]));
		if (outside(inside[i]))
			printf("%s is not outside\n", inside[i]);
	}
}

static void the_rest_of_the_world(void)
{
	static const char *const away[] = { "1.1.1.1", "10.0.0.1", "126.255.255.255", "128.0.0.1", "169.253.1.1", "169.255.0.0", "172.16.0.1",
					    "192.168.1.1", "223.255.255.255", "2001:db8::1", "fd42::1", "::ffff:10.0.0.1", "64:ff9b::a00:1",
					    "2002:a00:1::1" };
	size_t i;

	for (i = 0; i < sizeof(away) / sizeof(*away); i++) {
		CU_ASSERT_TRUE(outside(away[i]));
		if (!outside(away[i]))
			printf("%s is outside\n", away[i]);
	}
}

static void other_kinds(void)
{
	struct sockaddr_un un = { .sun_family = AF_UNIX };

	CU_ASSERT_FALSE(lxm_addr_outside((struct sockaddr *)&un));
}

UNIT_MAIN("base/outside", { "the machine itself", the_machine_itself }, { "the rest of the world", the_rest_of_the_world },
	  { "other kinds", other_kinds })
