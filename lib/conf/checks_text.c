/* Checkers of words, paths, identifiers and small languages. Any process, no state; see checks.h. */
#include "lib/conf/checks.h"

#include <ctype.h>
#include <string.h>

#include "lib/conf/names.h"

int check_words(const char *value, const char *words, struct lxm_err *e)
{
	lxm_auto(strv) struct lxm_strv list = { 0 };
	lxm_auto(free) char *text = NULL;

	lxm_strv_split(&list, words, '|');
	if (lxm_strv_has(&list, value))
		return 0;
	text = lxm_strv_join(&list, ", ");
	return lxm_err_set(e, EINVAL, "'%.60s' is none of: %s", value, text);
}

int check_uuid(const char *key, const char *value, struct lxm_err *e)
{
	bool ok = strlen(value) == 36;
	size_t i;

	for (i = 0; ok && i < 36; i++)
		ok = i == 8 || i == 13 || i == 18 || i == 23 ? value[i] == '-' : isxdigit((unsigned char)value[i]) != 0;
	return ok ? 0 : lxm_err_set(e, EINVAL, "'%.60s' is not a UUID", value);
}

/* "N" or "N-M" into first and count. */
static int parse_span(const char *s, uint64_t *first, uint64_t *count)
{
	const char *dash = strchr(s, '-');
	char digits[16];
	uint64_t last;
	size_t n = dash ? (size_t)(dash - s) : strlen(s);

	if (!n || n >= sizeof(digits))
		return -EINVAL;
	memcpy(digits, s, n);
	digits[n] = '\0';
	if (lxm_parse_u64(digits, first) < 0)
		return -EINVAL;
	last = *first;
	if (dash && lxm_parse_u64(dash + 1, &last) < 0)
		return -EINVAL;
	if (last < *first || last > UINT32_MAX - 1)
		return -EINVAL;
	*count = last - *first + 1;
	return 0;
}

int check_idmap(const char *key, const char *value, struct lxm_err *e)
{
	lxm_auto(strv) struct lxm_strv lines = { 0 };
	size_t i;

	lxm_strv_split(&lines, value, '\n');
	for (i = 0; i < lines.n; i++) {
		lxm_auto(strv) struct lxm_strv f = { 0 };
		uint64_t host, inside, n, m;

		lxm_strv_split(&f, lines.v[i], ' ');
		if (f.n == 0)
			continue;
		if (f.n != 3 || (strcmp(f.v[0], "uid") && strcmp(f.v[0], "gid") && strcmp(f.v[0], "both")) ||
		    parse_span(f.v[1], &host, &n) < 0 || parse_span(f.v[2], &inside, &m) < 0 || n != m)
			return lxm_err_set(e, EINVAL,
					   "line '%.60s' is not 'uid|gid|both HOST[-HOST] INSIDE[-INSIDE]' with spans of one length",
					   lines.v[i]);
	}
	return 0;
}

/* Names of sysctls: dotted words; a path component "." or ".." cannot be built from them. */
int check_sysctl(const char *key, const char *value, struct lxm_err *e)
{
	const char *name = key + strlen("linux.sysctl.");
	size_t n = strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-.:@");

	if (!*name || name[n] || *name == '.' || strstr(name, "..") || lxm_ends(name, "."))
		return lxm_err_set(e, EINVAL, "'%.100s' is not the name of a sysctl", name);
	/* a container may have what belongs to its own namespaces; all else is the host's */
	if (!lxm_starts(name, "net.") && !lxm_starts(name, "kernel.shm") && !lxm_starts(name, "kernel.msg") &&
	    !lxm_starts(name, "kernel.sem") && !lxm_starts(name, "fs.mqueue.") && !lxm_starts(name, "user.max_") &&
	    strcmp(name, "kernel.domainname") != 0)
		return lxm_err_set(e, EINVAL,
				   "'%.100s' is no sysctl of a container's own namespaces (net.*, kernel.shm*, kernel.msg*, "
				   "kernel.sem, fs.mqueue.*, user.max_*)",
				   name);
	return 0;
}

int check_env(const char *key, const char *value, struct lxm_err *e)
{
	const char *name = key + strlen("environment.");
	size_t n = strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_");

	if (!*name || name[n] || isdigit((unsigned char)*name))
		return lxm_err_set(e, EINVAL, "'%.100s' is not a variable's name: letters, digits and _, no digit first",
				   name);
	return 0;
}

int check_modules(const char *key, const char *value, struct lxm_err *e)
{
	lxm_auto(strv) struct lxm_strv parts = { 0 };
	size_t i;

	lxm_strv_split(&parts, value, ',');
	for (i = 0; i < parts.n; i++) {
		const char *p = parts.v[i] + strspn(parts.v[i], " ");
		size_t n = strspn(p, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-");

		if (!n || p[n] || n > 64 || *p == '-')
			return lxm_err_set(e, EINVAL, "'%.80s' is not the name of a kernel module", parts.v[i]);
	}
	return 0;
}

int check_syscalls(const char *key, const char *value, struct lxm_err *e)
{
	lxm_auto(strv) struct lxm_strv lines = { 0 };
	size_t i;

	lxm_strv_split(&lines, value, '\n');
	for (i = 0; i < lines.n; i++) {
		size_t n = strspn(lines.v[i], "abcdefghijklmnopqrstuvwxyz0123456789_");

		if (!n || n > 64 || (lines.v[i][n] && lines.v[i][n] != ' '))
			return lxm_err_set(e, EINVAL, "line '%.80s' does not start with the name of a system call",
					   lines.v[i]);
	}
	return 0;
}

int check_architecture(const char *key, const char *value, struct lxm_err *e)
{
	return conf_architecture(value) ? 0 : lxm_err_set(e, EINVAL, "'%.50s' is no architecture; x86_64 and aarch64 are", value);
}

int check_compression(const char *key, const char *value, struct lxm_err *e)
{
	/* never a command or its arguments: this value picks a compressor, it does not spell one */
	return check_words(value, "none|gzip|bzip2|xz|zstd", e);
}

int check_pattern(const char *key, const char *value, struct lxm_err *e)
{
	const char *p, *percent = strchr(value, '%');

	if (strlen(value) > 200 || strchr(value, '/') || lxm_streq(value, ".") || lxm_streq(value, ".."))
		return lxm_err_set(e, EINVAL, "'%.60s' cannot be a snapshot's name", value);
	if (percent && (percent[1] != 'd' || strchr(percent + 1, '%')))
		return lxm_err_set(e, EINVAL, "'%.60s': one %%d is accepted, nothing else after a percent sign", value);
	/* of the template language only the creation date is known: a pattern never reads files */
	for (p = strstr(value, "{{"); p; p = strstr(p + 2, "{{")) {
		const char *end = strstr(p, "}}"), *name = p + 2 + strspn(p + 2, " ");

		if (!end || !lxm_starts(name, "creation_date"))
			return lxm_err_set(e, EINVAL, "'%.60s': only {{ creation_date }} is known between braces", value);
	}
	if (strstr(value, "{%"))
		return lxm_err_set(e, EINVAL, "'%.60s': only {{ creation_date }} is known between braces", value);
	return 0;
}

int check_abs_path(const char *key, const char *value, struct lxm_err *e)
{
	size_t n = strlen(value);

	if (value[0] != '/' || n > 4095)
		return lxm_err_set(e, EINVAL, "'%.100s' is not an absolute path", value);
	if (strstr(value, "/../") || lxm_ends(value, "/.."))
		return lxm_err_set(e, EINVAL, "'%.100s' has a '..' in it", value);
	return 0;
}

int check_hex4(const char *key, const char *value, struct lxm_err *e)
{
	if (strlen(value) != 4 || strspn(value, "0123456789abcdefABCDEF") != 4)
		return lxm_err_set(e, EINVAL, "'%.40s' is not four hex digits", value);
	return 0;
}

int check_pci_slot(const char *key, const char *value, struct lxm_err *e)
{
	static const char shape[] = "xxxx:xx:xx.o";
	const char *s = strlen(value) == 7 ? shape + 5 : shape;
	bool ok = strlen(value) == strlen(s);
	size_t i;

	for (i = 0; ok && s[i]; i++)
		ok = s[i] == 'x' ? isxdigit((unsigned char)value[i]) != 0 :
		     s[i] == 'o' ? value[i] >= '0' && value[i] <= '7' :
				   value[i] == s[i];
	return ok ? 0 : lxm_err_set(e, EINVAL, "'%.40s' is not a PCI address such as 0000:01:00.0", value);
}
