/* lxmd/network/dhcp: host entries in their directory, and leases that dnsmasq wrote. */
#include "tests/unit/scratch.h"
#include "tests/unit/unit.h"

#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "lib/base/fd.h"
#include "lxmd/network/dhcp.h"

static char top[SCRATCH_MAX];
static int topfd = -1;

static struct dhcp_hosts *fresh(void)
{
	struct dhcp_hosts *h = NULL;

	scratch(top, "dhcp");
	topfd = open(top, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	CU_ASSERT_FATAL(dhcp_hosts_open(topfd, &h, NULL) == 0);
	return h;
}

static void done(struct dhcp_hosts *h)
{
	dhcp_hosts_free(h);
	(void)close(topfd);
	(void)lxm_rm_tree_at(AT_FDCWD, top);
}

static int set(struct dhcp_hosts *h, int64_t id, const char *mac, const char *name, const char *ipv4)
{
	const struct dhcp_host x = { .instance = id, .device = "eth0", .mac = mac, .name = name, .ipv4 = ipv4 };

	return dhcp_hosts_set(h, &x, NULL);
}

static bool file_is(const char *name, const char *want)
{
	lxm_auto(buf) struct lxm_buf b = { 0 };

	return lxm_read_file_at(topfd, name, 1000, &b) == 0 && lxm_streq(b.data, want);
}

static void an_entry_is_one_file_in_dnsmasqs_words(void)
{
	struct dhcp_hosts *h = fresh();
	const struct dhcp_host odd = { .instance = 9, .device = "a/../b", .mac = "00:16:3e:00:00:09", .ipv6 = "fd42::9" };
	const struct dhcp_host strict = {
		.instance = 10, .device = "eth0", .mac = "00:16:3e:00:00:10", .name = "c10", .ipv4 = "10.5.0.10", .by_mac = true
	};

	CU_ASSERT(set(h, 7, "00:16:3e:00:00:07", "c7", "10.5.0.7") == 0);
	CU_ASSERT(file_is("hosts/7.eth0", "00:16:3e:00:00:07,10.5.0.7,c7\n"));
	CU_ASSERT(dhcp_hosts_set(h, &strict, NULL) == 0);
	CU_ASSERT(file_is("hosts/10.eth0", "00:16:3e:00:00:10,id:*,10.5.0.10,c10\n"));
	CU_ASSERT(dhcp_hosts_set(h, &odd, NULL) == 0);
	CU_ASSERT(file_is("hosts/9.a%2F..%2Fb", "00:16:3e:00:00:09,[fd42::9],set:unnamed\n"));
	done(h);
}

static void repeating_an_entry_writes_nothing(void)
{
	struct dhcp_hosts *h = fresh();

	CU_ASSERT(set(h, 7, "00:16:3e:00:00:07", "c7", NULL) == 0);
	CU_ASSERT(set(h, 7, "00:16:3e:00:00:07", "c7", NULL) == DHCP_SAME);
	CU_ASSERT(set(h, 7, "00:16:3e:00:00:07", "c7", "10.5.0.8") == DHCP_CHANGED);
	CU_ASSERT(file_is("hosts/7.eth0", "00:16:3e:00:00:07,10.5.0.8,c7\n"));
	done(h);
}

static void twins_are_refused(void)
{
	struct dhcp_hosts *h = fresh();

	CU_ASSERT(set(h, 7, "00:16:3e:00:00:07", "c7", "10.5.0.7") == 0);
	CU_ASSERT(set(h, 8, "00:16:3e:00:00:07", "c8", NULL) == -EADDRINUSE);
	CU_ASSERT(set(h, 8, "00:16:3e:00:00:08", "c8", "10.5.0.7") == -EADDRINUSE);
	CU_ASSERT(set(h, 8, "00:16:3e:00:00:08", "c8", "10.5.0.8") == 0);
	done(h);
}

static void a_taken_name_is_left_out(void)
{
	struct dhcp_hosts *h = fresh();

	CU_ASSERT(set(h, 7, "00:16:3e:00:00:07", "web", NULL) == 0);
	CU_ASSERT(set(h, 8, "00:16:3e:00:00:08", "WEB", NULL) == 0);
	CU_ASSERT(file_is("hosts/8.eth0", "00:16:3e:00:00:08,set:unnamed\n"));
	done(h);
}

static bool is_eight(int64_t id, void *arg)
{
	return id == 8;
}

static void entries_live_until_removed(void)
{
	struct dhcp_hosts *h = fresh(), *again = NULL;
	struct stat st;

	CU_ASSERT(set(h, 7, "00:16:3e:00:00:07", "c7", "10.5.0.7") == 0);
	CU_ASSERT(set(h, 8, "00:16:3e:00:00:08", NULL, NULL) == 0);
	CU_ASSERT_FATAL(dhcp_hosts_open(topfd, &again, NULL) == 0);
	CU_ASSERT(set(again, 7, "00:16:3e:00:00:07", "c7", "10.5.0.7") == DHCP_SAME);
	CU_ASSERT(set(again, 8, "00:16:3e:00:00:08", NULL, NULL) == DHCP_SAME);
	CU_ASSERT(dhcp_hosts_prune(again, is_eight, NULL) == 1);
	CU_ASSERT(fstatat(topfd, "hosts/8.eth0", &st, 0) < 0);
	CU_ASSERT(dhcp_hosts_del(again, 7, "eth0"));
	CU_ASSERT_FALSE(dhcp_hosts_del(again, 7, "eth0"));
	CU_ASSERT(fstatat(topfd, "hosts/7.eth0", &st, 0) < 0);
	dhcp_hosts_free(again);
	done(h);
}

static void leases_are_read_line_by_line(void)
{
	struct dhcp_lease l;

	CU_ASSERT(dhcp_lease_parse("1795311439 00:16:3e:aa:bb:01 10.5.128.69 c7 01:00:16:3e:aa:bb:01", &l) == 0);
	CU_ASSERT_STRING_EQUAL(l.address, "10.5.128.69");
	CU_ASSERT_STRING_EQUAL(l.mac, "00:16:3e:aa:bb:01");
	CU_ASSERT_STRING_EQUAL(l.name, "c7");
	CU_ASSERT(l.expires_at == 1795311439000 && l.family == AF_INET);
	CU_ASSERT(dhcp_lease_parse("0 1234 fd42::17 * 00:01:00:01", &l) == 0);
	CU_ASSERT(l.family == AF_INET6 && !l.mac[0] && !l.name[0]);
	CU_ASSERT(dhcp_lease_parse("duid 00:01:00:01:32:94", &l) == -EINVAL);
	CU_ASSERT(dhcp_lease_parse("", &l) == -EINVAL);
	CU_ASSERT(dhcp_lease_parse("x y z w v", &l) == -EINVAL);
}

UNIT_MAIN("network/dhcp", { "an entry is one file in dnsmasq's words", an_entry_is_one_file_in_dnsmasqs_words },
	  { "repeating an entry writes nothing", repeating_an_entry_writes_nothing },
	  { "twins are refused", twins_are_refused }, { "a taken name is left out", a_taken_name_is_left_out },
	  { "entries live until removed", entries_live_until_removed },
	  { "leases are read line by line", leases_are_read_line_by_line })
