/* Checkers of addresses, links, names of hosts and rates. Any process, no state; see checks.h. */
#include "lib/conf/checks.h"

#include <arpa/inet.h>
#include <string.h>

#include "lib/conf/names.h"

int check_mac(const char *key, const char *value, struct lxm_err *e)
{
	static const char hex[] = "0123456789abcdefABCDEF";
	bool ok = strlen(value) == 17;
	size_t i;

	for (i = 0; ok && i < 17; i++)
		ok = i % 3 == 2 ? value[i] == ':' : strchr(hex, value[i]) != NULL;
	if (!ok)
		return lxm_err_set(e, EINVAL, "'%.40s' is not a MAC address such as 00:16:3e:12:34:56", value);
	/* the lowest bit of the first byte marks a group address, which no interface may have */
	if (strchr("13579bdfBDF", value[1]))
		return lxm_err_set(e, EINVAL, "'%.40s' is a multicast address: the second digit must be even", value);
	return strcmp(value, "00:00:00:00:00:00") ? 0 : lxm_err_set(e, EINVAL, "an address of zeros is no address");
}

int check_mtu(const char *key, const char *value, struct lxm_err *e)
{
	uint64_t n;

	if (lxm_parse_u64(value, &n) < 0 || n < 68 || n > 65535)
		return lxm_err_set(e, EINVAL, "'%.40s' is not an MTU from 68 to 65535", value);
	return 0;
}

int check_vlan(const char *key, const char *value, struct lxm_err *e)
{
	uint64_t n;

	if (lxm_streq(value, "none"))
		return 0;
	if (lxm_parse_u64(value, &n) < 0 || n > 4094)
		return lxm_err_set(e, EINVAL, "'%.40s' is not a VLAN id from 0 to 4094, or 'none'", value);
	return 0;
}

int check_link(const char *key, const char *value, struct lxm_err *e)
{
	return conf_name_link(value, e);
}

static bool is_ip(int family, const char *s)
{
	unsigned char a[16];

	return inet_pton(family, s, a) == 1;
}

/* ADDRESS/PREFIX */
static bool is_cidr(int family, const char *s)
{
	const char *slash = strchr(s, '/');
	char addr[INET6_ADDRSTRLEN];
	uint64_t bits;

	if (!slash || (size_t)(slash - s) >= sizeof(addr))
		return false;
	memcpy(addr, s, (size_t)(slash - s));
	addr[slash - s] = '\0';
	return is_ip(family, addr) && lxm_parse_u64(slash + 1, &bits) == 0 && bits <= (family == AF_INET ? 32 : 128);
}

/* Calls ok() for each part of a comma list, blanks around the parts left out. */
static bool each_part(int family, const char *value, bool (*ok)(int family, const char *part))
{
	lxm_auto(strv) struct lxm_strv parts = { 0 };
	size_t i;

	lxm_strv_split(&parts, value, ',');
	for (i = 0; i < parts.n; i++) {
		char *p = parts.v[i] + strspn(parts.v[i], " ");

		p[strcspn(p, " ")] = '\0';
		if (!ok(family, p))
			return false;
	}
	return parts.n > 0;
}

static bool is_range(int family, const char *s)
{
	lxm_auto(strv) struct lxm_strv ends = { 0 };
	unsigned char a[16] = { 0 }, b[16] = { 0 };

	lxm_strv_split(&ends, s, '-');
	if (ends.n < 1 || ends.n > 2)
		return false;
	if (inet_pton(family, ends.v[0], a) != 1 || inet_pton(family, ends.v[ends.n - 1], b) != 1)
		return false;
	return memcmp(a, b, sizeof(a)) <= 0;
}

int check_ip4(const char *key, const char *value, struct lxm_err *e)
{
	if (!lxm_streq(value, "none") && !is_ip(AF_INET, value))
		return lxm_err_set(e, EINVAL, "'%.60s' is not an IPv4 address", value);
	return 0;
}

int check_ip6(const char *key, const char *value, struct lxm_err *e)
{
	if (!lxm_streq(value, "none") && !is_ip(AF_INET6, value))
		return lxm_err_set(e, EINVAL, "'%.60s' is not an IPv6 address", value);
	return 0;
}

int check_net4(const char *key, const char *value, struct lxm_err *e)
{
	if (lxm_streq(value, "none") || lxm_streq(value, "auto") || is_cidr(AF_INET, value))
		return 0;
	return lxm_err_set(e, EINVAL, "'%.60s' is not ADDRESS/PREFIX (10.0.3.1/24), 'auto' or 'none'", value);
}

int check_net6(const char *key, const char *value, struct lxm_err *e)
{
	if (lxm_streq(value, "none") || lxm_streq(value, "auto") || is_cidr(AF_INET6, value))
		return 0;
	return lxm_err_set(e, EINVAL, "'%.60s' is not ADDRESS/PREFIX (fd42:1::1/64), 'auto' or 'none'", value);
}

int check_cidr4_list(const char *key, const char *value, struct lxm_err *e)
{
	if (!each_part(AF_INET, value, is_cidr))
		return lxm_err_set(e, EINVAL, "'%.100s' is not a comma list of IPv4 subnets (10.1.0.0/24)", value);
	return 0;
}

int check_cidr6_list(const char *key, const char *value, struct lxm_err *e)
{
	if (!each_part(AF_INET6, value, is_cidr))
		return lxm_err_set(e, EINVAL, "'%.100s' is not a comma list of IPv6 subnets (fd42:1::/64)", value);
	return 0;
}

int check_range4_list(const char *key, const char *value, struct lxm_err *e)
{
	if (!each_part(AF_INET, value, is_range))
		return lxm_err_set(e, EINVAL, "'%.100s' is not a comma list of FIRST-LAST IPv4 addresses", value);
	return 0;
}

int check_range6_list(const char *key, const char *value, struct lxm_err *e)
{
	if (!each_part(AF_INET6, value, is_range))
		return lxm_err_set(e, EINVAL, "'%.100s' is not a comma list of FIRST-LAST IPv6 addresses", value);
	return 0;
}

int conf_parse_rate(const char *value, uint64_t *bits_out)
{
	static const struct {
		const char *suffix;
		uint64_t factor;
	} units[] = {
		{ "", 1 },	      { "bit", 1 },	     { "kbit", 1000 },	   { "Mbit", 1000000 },
		{ "Gbit", 1000000000 }, { "Tbit", 1000000000000 }, { "Kibit", 1 << 10 }, { "Mibit", 1 << 20 },
		{ "Gibit", 1 << 30 },
	};
	size_t i, n = strspn(value, "0123456789");
	char digits[16];
	uint64_t v;

	if (!n || n >= sizeof(digits))
		return -EINVAL;
	memcpy(digits, value, n);
	digits[n] = '\0';
	if (lxm_parse_u64(digits, &v) < 0)
		return -EINVAL;
	for (i = 0; i < LXM_ARRAY_LEN(units); i++)
		if (lxm_streq(value + n, units[i].suffix))
			return __builtin_mul_overflow(v, units[i].factor, bits_out) ? -EINVAL : 0;
	return -EINVAL;
}

int check_rate(const char *key, const char *value, struct lxm_err *e)
{
	uint64_t bits;

	if (conf_parse_rate(value, &bits) < 0)
		return lxm_err_set(e, EINVAL, "'%.40s' is not a rate such as 10Mbit or 1Gbit", value);
	return 0;
}

/* "[ADDR][:PORT]" with IPv6 in brackets; "" is refused before. */
static bool is_listen(int family, const char *s)
{
	bool brackets = *s == '[';
	const char *port = NULL;
	char host[256];
	size_t n;
	uint64_t p;

	if (brackets) {
		const char *end = strchr(s, ']');

		if (!end || end == s + 1)
			return false;
		n = (size_t)(end - s - 1);
		port = end[1] == ':' ? end + 2 : NULL;
		if (end[1] && !port)
			return false;
		s++;
	} else if (is_ip(AF_INET6, s)) {
		return true;
	} else {
		n = strcspn(s, ":");
		port = s[n] ? s + n + 1 : NULL;
	}
	if (n >= sizeof(host))
		return false;
	memcpy(host, s, n);
	host[n] = '\0';
	if (brackets ? !is_ip(AF_INET6, host) : n && !is_ip(AF_INET, host) && conf_name_zone(host, NULL) < 0)
		return false;
	return !port || (lxm_parse_u64(port, &p) == 0 && p <= 65535);
}

int check_listen(const char *key, const char *value, struct lxm_err *e)
{
	if (!each_part(0, value, is_listen))
		return lxm_err_set(e, EINVAL, "'%.100s' is not ADDRESS:PORT, [IPV6]:PORT or :PORT", value);
	return 0;
}

/* "80", "80-90", "80,90-95" */
static bool is_ports(const char *s)
{
	lxm_auto(strv) struct lxm_strv parts = { 0 };
	size_t i;

	lxm_strv_split(&parts, s, ',');
	for (i = 0; i < parts.n; i++) {
		char *dash = strchr(parts.v[i], '-');
		uint64_t a, b;

		if (dash)
			*dash = '\0';
		if (lxm_parse_u64(parts.v[i], &a) < 0)
			return false;
		b = a;
		if (dash && lxm_parse_u64(dash + 1, &b) < 0)
			return false;
		if (a < 1 || b < a || b > 65535)
			return false;
	}
	return parts.n > 0;
}

int check_proxy_end(const char *key, const char *value, struct lxm_err *e)
{
	const char *rest, *colon;
	char host[64];

	if (lxm_starts(value, "unix:")) {
		rest = value + 5;
		if (*rest == '@' ? rest[1] : check_abs_path(key, rest, NULL) == 0)
			return strlen(rest) < 108 ? 0 :
						    lxm_err_set(e, EINVAL, "'%.60s...': a socket path has 107 bytes at most",
								value);
	} else if (lxm_starts(value, "tcp:") || lxm_starts(value, "udp:")) {
		rest = value + 4;
		colon = strrchr(rest, ':');
		if (colon && (size_t)(colon - rest) < sizeof(host) && colon > rest) {
			size_t n = (size_t)(colon - rest);
			bool brackets = rest[0] == '[' && rest[n - 1] == ']';

			memcpy(host, rest + brackets, n - 2 * (size_t)brackets);
			host[n - 2 * (size_t)brackets] = '\0';
			if ((is_ip(AF_INET, host) || is_ip(AF_INET6, host)) && is_ports(colon + 1))
				return 0;
		}
	}
	return lxm_err_set(e, EINVAL, "'%.100s' is not tcp:ADDRESS:PORTS, udp:ADDRESS:PORTS or unix:PATH", value);
}

static bool is_host(int family, const char *s)
{
	return is_ip(AF_INET, s) || is_ip(AF_INET6, s) || conf_name_zone(s, NULL) == 0;
}

int check_domain(const char *key, const char *value, struct lxm_err *e)
{
	return conf_name_zone(value, NULL) < 0 ? lxm_err_set(e, EINVAL, "'%.100s' is not a DNS name", value) : 0;
}

int check_hostname_list(const char *key, const char *value, struct lxm_err *e)
{
	if (!each_part(0, value, is_host))
		return lxm_err_set(e, EINVAL, "'%.100s' is not a comma list of DNS names", value);
	return 0;
}

static bool is_any_ip(int family, const char *s)
{
	return is_ip(AF_INET, s) || is_ip(AF_INET6, s);
}

int check_ip_list(const char *key, const char *value, struct lxm_err *e)
{
	if (!each_part(0, value, is_any_ip))
		return lxm_err_set(e, EINVAL, "'%.100s' is not a comma list of IP addresses", value);
	return 0;
}

int check_url(const char *key, const char *value, struct lxm_err *e)
{
	const char *rest = lxm_starts(value, "https://") ? value + 8 : lxm_starts(value, "http://") ? value + 7 : NULL;

	if (!rest || !*rest || strchr(value, ' '))
		return lxm_err_set(e, EINVAL, "'%.100s' is not an http:// or https:// address", value);
	return 0;
}
