/* Names: each rule is a set of characters, a length, and what may not stand first. Any process, no state. */
#include "lib/conf/names.h"

#include <ctype.h>
#include <string.h>
#include <sys/utsname.h>

#include "lib/base/str.h"

static bool alnum(unsigned char c)
{
	return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static int bad(struct lxm_err *e, const char *kind, const char *name, const char *rule)
{
	char shown[68];
	size_t i, n = name ? strlen(name) : 0;

	/* a hostile name shall not break a log line or a terminal */
	for (i = 0; i < n && i < sizeof(shown) - 4; i++)
		shown[i] = (unsigned char)name[i] < 0x20 || (unsigned char)name[i] >= 0x7f ? '?' : name[i];
	memcpy(shown + i, i < n ? "..." : "", i < n ? 4 : 1);
	return lxm_err_set(e, EINVAL, "bad %s name '%s': %s", kind, shown, rule);
}

/* 1 to max characters of [A-Za-z0-9] and `more`, the first of [A-Za-z0-9] and `first`; no "..". */
static int plain(const char *name, size_t max, const char *more, const char *first, bool digit_first)
{
	const unsigned char *p = (const unsigned char *)name;

	if (!name || !*name || strlen(name) > max)
		return -EINVAL;
	if (!alnum(*p) && !strchr(first, *p))
		return -EINVAL;
	if (!digit_first && isdigit(*p))
		return -EINVAL;
	for (; *p; p++)
		if (!alnum(*p) && !strchr(more, *p))
			return -EINVAL;
	return strstr(name, "..") ? -EINVAL : 0;
}

/* 1 to max bytes of UTF-8 without blanks, control characters, '/' or anything in `none`; not "." or "..". */
static int loose(const char *name, size_t max, const char *none)
{
	const unsigned char *p = (const unsigned char *)name;

	if (!name || !*name || strlen(name) > max || !lxm_utf8_ok(name, strlen(name)))
		return -EINVAL;
	if (lxm_streq(name, ".") || lxm_streq(name, ".."))
		return -EINVAL;
	for (; *p; p++)
		if (*p <= 0x20 || *p == 0x7f || *p == '/' || strchr(none, *p))
			return -EINVAL;
	return 0;
}

int conf_name_instance(const char *name, struct lxm_err *e)
{
	if (plain(name, 63, "-", "", false) < 0 || name[strlen(name) - 1] == '-')
		return bad(e, "instance", name,
			   "use 1 to 63 letters, digits and dashes, starting with a letter, not ending in a dash");
	return 0;
}

int conf_name_snapshot(const char *name, struct lxm_err *e)
{
	if (loose(name, 255, "\\") < 0)
		return bad(e, "snapshot", name, "use 1 to 255 bytes without '/', blanks and control characters");
	return 0;
}

int conf_name_device(const char *name, struct lxm_err *e)
{
	if (plain(name, 64, "._:@+-", "_", true) < 0)
		return bad(e, "device", name, "use 1 to 64 letters, digits and . _ : @ + -, starting with a letter or digit");
	return 0;
}

int conf_name_profile(const char *name, struct lxm_err *e)
{
	if (loose(name, 64, "\\'\"") < 0)
		return bad(e, "profile", name, "use 1 to 64 bytes without '/', blanks, quotes and control characters");
	return 0;
}

int conf_name_project(const char *name, struct lxm_err *e)
{
	if (loose(name, 64, "\\'\"*,") < 0 || name[0] == '_')
		return bad(e, "project", name,
			   "use 1 to 64 bytes without '/', blanks, quotes, '*' and ',', not starting with '_'");
	return 0;
}

int conf_name_pool(const char *name, struct lxm_err *e)
{
	if (plain(name, 64, "._-", "_", true) < 0)
		return bad(e, "storage pool", name, "use 1 to 64 letters, digits and . _ -, starting with a letter or digit");
	return 0;
}

int conf_name_volume(const char *name, struct lxm_err *e)
{
	if (plain(name, 64, "._-", "_", true) < 0)
		return bad(e, "storage volume", name,
			   "use 1 to 64 letters, digits and . _ -, starting with a letter or digit");
	return 0;
}

int conf_name_network(const char *name, struct lxm_err *e)
{
	if (plain(name, 15, "._-", "_", true) < 0 || strlen(name) < 2)
		return bad(e, "network", name,
			   "use 2 to 15 letters, digits and . _ -, starting with a letter or digit (it becomes a link)");
	return 0;
}

int conf_name_acl(const char *name, struct lxm_err *e)
{
	if (plain(name, 63, "._-", "_", false) < 0)
		return bad(e, "network ACL", name, "use 1 to 63 letters, digits and . _ -, starting with a letter");
	return 0;
}

int conf_name_zone(const char *name, struct lxm_err *e)
{
	size_t label = 0;
	const char *p;

	if (plain(name, 253, "._-", "_", true) < 0)
		return bad(e, "network zone", name, "use DNS labels joined by dots");
	for (p = name; *p; p++) {
		label = *p == '.' ? 0 : label + 1;
		if (label > 63)
			return bad(e, "network zone", name, "a label has more than 63 characters");
	}
	return p[-1] == '.' ? bad(e, "network zone", name, "leave the last dot out") : 0;
}

int conf_name_alias(const char *name, struct lxm_err *e)
{
	const unsigned char *p = (const unsigned char *)name;
	size_t n = name ? strlen(name) : 0;
	bool ok = n > 0 && n <= 200 && lxm_utf8_ok(name, n) && *name != ' ' && name[n - 1] != ' ';

	for (; ok && *p; p++)
		ok = *p >= 0x20 && *p != 0x7f;
	return ok ? 0 : bad(e, "image alias", name, "use 1 to 200 bytes without control characters or blanks at the ends");
}

int conf_name_link(const char *name, struct lxm_err *e)
{
	if (loose(name, 15, ":") < 0)
		return bad(e, "network interface", name, "use 1 to 15 bytes without '/', ':', blanks and control characters");
	return 0;
}

int conf_name_key(const char *name, struct lxm_err *e)
{
	const unsigned char *p = (const unsigned char *)name;
	bool ok = name && *name && strlen(name) <= 255 && !strstr(name, "..");

	for (; ok && *p; p++)
		ok = *p > 0x20 && *p < 0x7f && !strchr("/\\=", *p);
	return ok ? 0 :
		    bad(e, "configuration key", name, "use 1 to 255 printable characters without blanks, '/', '\\', '=' and '..'");
}

const char *conf_architecture(const char *s)
{
	static const char *const known[] = { "x86_64", "i686",    "aarch64", "armv6l", "armv7l",  "armv8l",  "ppc",	  "ppc64",
					     "ppc64le", "s390x",   "mips",    "mips64", "riscv32", "riscv64", "loongarch64" };
	static const char *const debian[][2] = { { "amd64", "x86_64" }, { "arm64", "aarch64" },	 { "i386", "i686" },
						 { "armel", "armv6l" }, { "armhf", "armv7l" },	 { "powerpc", "ppc" },
						 { "ppc64el", "ppc64le" }, { "loong64", "loongarch64" } };
	size_t i;

	for (i = 0; i < LXM_ARRAY_LEN(known); i++)
		if (strcmp(s, known[i]) == 0)
			return known[i];
	for (i = 0; i < LXM_ARRAY_LEN(debian); i++)
		if (strcmp(s, debian[i][0]) == 0)
			return debian[i][1];
	return NULL;
}

const char *conf_own_architecture(void)
{
	struct utsname u;
	const char *name = uname(&u) == 0 ? conf_architecture(u.machine) : NULL;

	return name ? name : "x86_64";
}
