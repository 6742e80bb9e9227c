/* lxmd/network/netlink: messages are built right, and what comes back is not trusted. */
#include "tests/unit/unit.h"

#include <arpa/inet.h>
#include <string.h>
#include <linux/if_link.h>

#include "lxmd/network/netlink.h"

static struct nl_msg link_msg(const char *name)
{
	struct ifinfomsg i = { .ifi_index = 7, .ifi_flags = IFF_UP };
	struct nl_msg m;
	size_t info;

	nl_begin(&m, RTM_NEWLINK, 0, &i, sizeof(i));
	nl_put_str(&m, IFLA_IFNAME, name);
	nl_put_u32(&m, IFLA_MTU, 1400);
	nl_put(&m, IFLA_ADDRESS, "\x00\x16\x3e\x01\x02\x03", 6);
	info = nl_nest(&m, IFLA_LINKINFO);
	nl_put_str(&m, IFLA_INFO_KIND, "veth");
	nl_nest_end(&m, info);
	return m;
}

static void a_link_comes_back_as_it_was_built(void)
{
	struct nl_msg m = link_msg("eth0");
	struct nl_link l;

	CU_ASSERT_FATAL(nl_link_parse(&m.h, &l) == 0);
	CU_ASSERT(l.index == 7 && l.mtu == 1400 && l.has_mac && l.mac[3] == 1);
	CU_ASSERT_STRING_EQUAL(l.name, "eth0");
	CU_ASSERT_STRING_EQUAL(l.kind, "veth");
}

static void every_cut_of_a_message_is_survived(void)
{
	struct nl_msg m = link_msg("eth0");
	uint32_t whole = m.h.nlmsg_len, n;
	struct nl_link l;

	for (n = NLMSG_HDRLEN; n < whole; n++) {
		/* of exactly that size: the sanitizer sees any byte read behind it */
		struct nlmsghdr *h = malloc(n);

		memcpy(h, m.data, n);
		h->nlmsg_len = n;
		if (nl_link_parse(h, &l) == 0)
			CU_ASSERT(memchr(l.name, 0, sizeof(l.name)) != NULL);
		free(h);
	}
}

static void an_attribute_longer_than_its_message_is_ignored(void)
{
	struct nl_msg m = link_msg("eth0");
	struct rtattr *a = (void *)(m.data + NLMSG_LENGTH(sizeof(struct ifinfomsg)));
	struct nl_link l;

	a->rta_len = 60000;
	CU_ASSERT(nl_link_parse(&m.h, &l) == -EINVAL);
	a->rta_len = 0; /* must not loop for ever */
	CU_ASSERT(nl_link_parse(&m.h, &l) == -EINVAL);
}

static void names_without_end_are_cut(void)
{
	char name[64];
	struct nl_msg m;
	struct nl_link l;

	memset(name, 'x', sizeof(name) - 1);
	name[sizeof(name) - 1] = '\0';
	m = link_msg(name);
	CU_ASSERT_FATAL(nl_link_parse(&m.h, &l) == 0);
	CU_ASSERT(strlen(l.name) == IFNAMSIZ - 1);
}

static struct nl_msg addr_msg(int family, int prefix, size_t n)
{
	struct ifaddrmsg i = { .ifa_family = (uint8_t)family, .ifa_prefixlen = (uint8_t)prefix, .ifa_index = 3 };
	uint8_t raw[16] = { 10, 1, 2, 3 };
	struct nl_msg m;

	nl_begin(&m, RTM_NEWADDR, 0, &i, sizeof(i));
	nl_put(&m, IFA_LOCAL, raw, n);
	return m;
}

static void addresses_must_fit_their_family(void)
{
	struct nl_msg m = addr_msg(AF_INET, 24, 4);
	struct nl_addr a;

	CU_ASSERT(nl_addr_parse(&m.h, &a) == 0 && a.prefixlen == 24 && a.addr[3] == 3);
	m = addr_msg(AF_INET, 24, 16);
	CU_ASSERT(nl_addr_parse(&m.h, &a) == -EINVAL);
	m = addr_msg(AF_INET, 33, 4);
	CU_ASSERT(nl_addr_parse(&m.h, &a) == -EINVAL);
	m = addr_msg(AF_INET6, 64, 4);
	CU_ASSERT(nl_addr_parse(&m.h, &a) == -EINVAL);
	m = addr_msg(99, 8, 4);
	CU_ASSERT(nl_addr_parse(&m.h, &a) == -EINVAL);
}

static void a_message_that_grows_too_large_is_marked(void)
{
	struct nl_msg m = link_msg("eth0");
	int i;

	for (i = 0; i < 1000; i++)
		nl_put_u32(&m, IFLA_GROUP, 1);
	CU_ASSERT(m.full);
	CU_ASSERT(m.len <= sizeof(m.data));
}

static void macs_are_unicast_and_whole(void)
{
	uint8_t mac[6];
	char text[18];

	CU_ASSERT(nl_mac_parse("00:16:3E:aa:bb:Cc", mac) == 0);
	CU_ASSERT_STRING_EQUAL(nl_mac_str(mac, text), "00:16:3e:aa:bb:cc");
	CU_ASSERT(nl_mac_parse("01:16:3e:aa:bb:cc", mac) == -EINVAL); /* multicast */
	CU_ASSERT(nl_mac_parse("00:00:00:00:00:00", mac) == -EINVAL);
	CU_ASSERT(nl_mac_parse("00:16:3e:aa:bb", mac) == -EINVAL);
	CU_ASSERT(nl_mac_parse("00:16:3e:aa:bb:cc:dd", mac) == -EINVAL);
	CU_ASSERT(nl_mac_parse("00-16-3e-aa-bb-cc", mac) == -EINVAL);
	CU_ASSERT(nl_mac_parse("", mac) == -EINVAL);
}

static void prefixes_are_read_strictly(void)
{
	static const char *const bad[] = { "", "/", "10.0.0.0/", "10.0.0.0/33", "10.0.0.0/-1", "10.0.0.0/8x", "10.0.0/8", "fd42::/129", "x" };
	struct nl_cidr c;
	size_t i;

	CU_ASSERT(nl_cidr_parse("10.1.2.3/8", &c) == 0 && c.family == AF_INET && c.prefixlen == 8 && c.addr[3] == 3);
	CU_ASSERT(nl_cidr_parse("10.1.2.3", &c) == 0 && c.prefixlen == 32);
	CU_ASSERT(nl_cidr_parse("fd42::7", &c) == 0 && c.family == AF_INET6 && c.prefixlen == 128 && c.addr[15] == 7);
	CU_ASSERT(nl_cidr_parse("::/0", &c) == 0 && c.prefixlen == 0);
	for (i = 0; i < sizeof(bad) / sizeof(*bad); i++)
		CU_ASSERT(nl_cidr_parse(bad[i], &c) == -EINVAL);
}

UNIT_MAIN("network/netlink", { "a link comes back as it was built", a_link_comes_back_as_it_was_built },
	  { "every cut of a message is survived", every_cut_of_a_message_is_survived },
	  { "an attribute longer than its message is ignored", an_attribute_longer_than_its_message_is_ignored },
	  { "names without end are cut", names_without_end_are_cut },
	  { "addresses must fit their family", addresses_must_fit_their_family },
	  { "a message that grows too large is marked", a_message_that_grows_too_large_is_marked },
	  { "macs are unicast and whole", macs_are_unicast_and_whole },
	  { "prefixes are read strictly", prefixes_are_read_strictly })
