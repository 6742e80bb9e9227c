/* Filters of `list`, see filter.h. */
#include "lxmc/filter.h"

#include <arpa/inet.h>
#include <regex.h>
#include <string.h>
#include <strings.h>

#include "lib/base/alloc.h"
#include "lxmc/json.h"

/* The expression covers the whole text unless it says otherwise itself. */
static bool regex_matches(const char *text, const char *expr, int flags)
{
	lxm_auto(free) char *whole = strpbrk(expr, "^$") ? lxm_strdup(expr) : lxm_asprintf("^(%s)$", expr);
	regex_t re;
	bool hit;

	if (strlen(expr) > 1000 || regcomp(&re, whole, REG_EXTENDED | REG_NOSUB | flags) != 0)
		return strcasecmp(text, expr) == 0;
	hit = regexec(&re, text, 0, NULL, 0) == 0;
	regfree(&re);
	return hit;
}

static bool property_matches(const char *text, const char *value)
{
	lxm_auto(strv) struct lxm_strv any = { 0 };
	size_t i;

	lxm_strv_split(&any, value, ',');
	if (!any.n)
		return !*text;
	for (i = 0; i < any.n; i++)
		if (regex_matches(text, any.v[i], REG_ICASE))
			return true;
	return false;
}

/* "s.priv" fits "security.privileged": each dotted part is the beginning of the key's part. */
static bool key_fits(const char *given, const char *key)
{
	while (*given && *key) {
		if (*given == *key) {
			given++;
			key++;
		} else if (*given == '.') {
			key += strcspn(key, ".");
			if (!*key)
				return false;
		} else {
			return false;
		}
	}
	return !*given && !strchr(key, '.');
}

static bool address_in(const char *address, const char *net)
{
	lxm_auto(free) char *base = lxm_strndup(net, strcspn(net, "/"));
	unsigned char a[16], b[16];
	int family = strchr(net, ':') ? AF_INET6 : AF_INET, bits = family == AF_INET6 ? 128 : 32, i;

	if (strchr(net, '/'))
		bits = atoi(strchr(net, '/') + 1);
	if (bits < 0 || bits > (family == AF_INET6 ? 128 : 32) || inet_pton(family, address, a) != 1 ||
	    inet_pton(family, base, b) != 1)
		return false;
	for (i = 0; i < bits; i++)
		if ((a[i / 8] ^ b[i / 8]) & (0x80 >> (i % 8)))
			return false;
	return true;
}

static bool has_address(const json_t *instance, const char *net)
{
	json_t *links = json_object_get(json_object_get(instance, "state"), "network"), *link, *addr;
	const char *name;
	size_t i;

	json_object_foreach(links, name, link)
		json_array_foreach(json_object_get(link, "addresses"), i, addr)
			if (address_in(jtext(addr, "address"), net))
				return true;
	return false;
}

static bool config_matches(const json_t *instance, const char *key, const char *value)
{
	json_t *config = json_object_get(instance, "expanded_config"), *v;
	const char *k;

	json_object_foreach(config, k, v) {
		const char *text = json_string_value(v);

		if (!text || !key_fits(key, k))
			continue;
		if (regex_matches(text, value, 0))
			return true;
	}
	return false;
}

bool filter_matches(const json_t *instance, const char *filter)
{
	static const char *const properties[] = { "name",     "status",	 "type",       "architecture",
						  "location", "project", "description" };
	const char *eq = strchr(filter, '=');
	lxm_auto(free) char *key = NULL;
	size_t i;

	if (!eq)
		return lxm_starts(jtext(instance, "name"), filter) || regex_matches(jtext(instance, "name"), filter, 0);
	key = lxm_strndup(filter, (size_t)(eq - filter));
	for (i = 0; i < LXM_ARRAY_LEN(properties); i++)
		if (strcmp(key, properties[i]) == 0)
			return property_matches(jtext(instance, key), eq + 1);
	if (strcmp(key, "ipv4") == 0 || strcmp(key, "ipv6") == 0)
		return has_address(instance, eq + 1);
	return config_matches(instance, key, eq + 1);
}
