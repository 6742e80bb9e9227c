/* lxmd/http/listen: addresses taken apart, bound and compared. */
#include "tests/unit/unit.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <string.h>

#include "lxmd/http/listen.h"

static void addresses_come_apart(void)
{
	static const struct {
		const char *text, *host, *port;
	} good[] = {
		{ "10.0.0.1:443", "10.0.0.1", "443" }, { "10.0.0.1", "10.0.0.1", "8443" }, { ":9000", "", "9000" },
		{ "[::]:9000", "::", "9000" },	       { "[fd00::1]", "fd00::1", "8443" }, { "fd00::1", "fd00::1", "8443" },
		{ "::", "::", "8443" },		       { "host.example", "host.example", "8443" },
		{ "host.example:1", "host.example", "1" }, { "host:", "host", "8443" },
	};
	static const char *const bad[] = { "[::", "[::]x", "1.2.3.4:x", "1.2.3.4:70000", "1.2.3.4:-1" };
	char host[256], port[6];
	size_t i;

	for (i = 0; i < LXM_ARRAY_LEN(good); i++) {
		CU_ASSERT(listen_parse(good[i].text, 8443, host, port, NULL) == 0);
		CU_ASSERT_STRING_EQUAL(host, good[i].host);
		CU_ASSERT_STRING_EQUAL(port, good[i].port);
	}
	for (i = 0; i < LXM_ARRAY_LEN(bad); i++)
		CU_ASSERT(listen_parse(bad[i], 8443, host, port, NULL) == -EINVAL);
}

static struct sockaddr_storage addr(const char *ip)
{
	struct sockaddr_storage sa = { 0 };

	if (inet_pton(AF_INET, ip, &((struct sockaddr_in *)&sa)->sin_addr) == 1)
		sa.ss_family = AF_INET;
	else if (inet_pton(AF_INET6, ip, &((struct sockaddr_in6 *)&sa)->sin6_addr) == 1)
		sa.ss_family = AF_INET6;
	return sa;
}

static void ipv4_in_ipv6_is_ipv4(void)
{
	struct sockaddr_storage sa = addr("::ffff:192.0.2.7"), four = addr("192.0.2.7"), six = addr("2001:db8::7");
	char text[ADDR_TEXT];

	addr_simplify(&sa);
	CU_ASSERT(addr_same_host(&sa, &four) && !addr_same_host(&sa, &six));
	((struct sockaddr_in *)&sa)->sin_port = htons(99);
	CU_ASSERT(addr_same_host(&sa, &four));
	addr_text(&sa, text);
	CU_ASSERT_STRING_EQUAL(text, "192.0.2.7:99");
	addr_text(&six, text);
	CU_ASSERT_STRING_EQUAL(text, "[2001:db8::7]:0");
}

static void lists_hold_addresses(void)
{
	struct sockaddr_storage four = addr("192.0.2.7"), six = addr("2001:db8::7"), other = addr("192.0.2.77");

	CU_ASSERT(addr_in_list(&four, "192.0.2.1, 192.0.2.7"));
	CU_ASSERT(addr_in_list(&four, "::ffff:192.0.2.7"));
	CU_ASSERT(addr_in_list(&six, "192.0.2.1,2001:db8:0::7"));
	CU_ASSERT(!addr_in_list(&other, "192.0.2.7,name.example,"));
	CU_ASSERT(!addr_in_list(&other, "") && !addr_in_list(&other, NULL));
}

static void a_taken_port_is_told(void)
{
	struct lxm_err e = { 0 };
	char first[ADDR_TEXT], second[ADDR_TEXT];
	lxm_auto(fd_close) int fd = listen_bind("127.0.0.1:0", 8443, false, false, first, NULL);

	CU_ASSERT_FATAL(fd >= 0);
	CU_ASSERT(strncmp(first, "127.0.0.1:", 10) == 0 && strcmp(first, "127.0.0.1:0") != 0);
	CU_ASSERT(listen_bind(first, 8443, false, false, second, &e) == -EADDRINUSE);
	CU_ASSERT(strstr(e.msg, first) != NULL);
	CU_ASSERT(listen_bind("192.0.2.1:0", 8443, false, false, second, NULL) == -EADDRNOTAVAIL);
}

UNIT_MAIN("http listen", { "addresses come apart", addresses_come_apart }, { "IPv4 in IPv6 is IPv4", ipv4_in_ipv6_is_ipv4 },
	  { "lists hold addresses", lists_hold_addresses }, { "a taken port is told", a_taken_port_is_told })
