/*
 * liblxc's policy language. Version 1 is a list of numbers that are allowed. Version 2:
 *
 *	2
 *	denylist [ACTION]             ACTION of rules without one; allowlist [ACTION]: what all other calls get
 *	[all]                         or one architecture: the rules that follow are for it
 *	NAME [ACTION] [[INDEX,VALUE,OP] or [INDEX,VALUE,OP,MASK] ...]
 *
 * Each width of the machine has a filter of its own until all are read, since a section speaks of one. The text comes from a client and
 * is bounded by the caller. Any thread of lxmd.
 */
#include "lxmd/instance/seccomp_raw.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/mount.h>

#include "lib/base/alloc.h"
#include "lib/base/str.h"

#define ARGS_MAX 6

/* The first one is the machine's own. Token 0: of other machines, whose sections are passed over. */
static const struct {
	const char *names; /* between blanks */
	uint32_t token;
} archs[] = {
#if defined(__x86_64__)
	{ " x86_64 amd64 ", SCMP_ARCH_X86_64 },
	{ " x86 i386 i686 ", SCMP_ARCH_X86 },
	{ " x32 ", SCMP_ARCH_X32 },
	{ " arm arm64 aarch64 armhf ", 0 },
#elif defined(__aarch64__)
	{ " arm64 aarch64 ", SCMP_ARCH_AARCH64 },
	{ " arm armhf ", SCMP_ARCH_ARM },
	{ " x86 i386 i686 x86_64 amd64 x32 ", 0 },
#else
	{ " native ", SCMP_ARCH_NATIVE },
	{ " x86 i386 i686 x86_64 amd64 x32 arm arm64 aarch64 armhf ", 0 },
#endif
	{ " mips mips64 mips64n32 mipsel mipsel64 mipsel64n32 ppc ppc64 ppc64le s390x riscv64 loongarch64 ", 0 },
};

#define WIDTHS LXM_ARRAY_LEN(archs)

struct policy {
	scmp_filter_ctx ctx[WIDTHS]; /* NULL where the token is 0 */
	unsigned int section;	     /* bit n: rules go to ctx[n] */
	uint32_t action;	     /* of rules without one */
};

static void policy_release(struct policy *p)
{
	size_t i;

	for (i = 0; i < WIDTHS; i++)
		if (p->ctx[i])
			seccomp_release(p->ctx[i]);
	memset(p->ctx, 0, sizeof(p->ctx));
}

static int policy_init(struct policy *p, uint32_t others, uint32_t action, struct lxm_err *e)
{
	size_t i;
	int r = 0;

	p->section = ~0u;
	p->action = action;
	for (i = 0; i < WIDTHS && r == 0; i++) {
		if (!archs[i].token)
			continue;
		p->ctx[i] = seccomp_init(others);
		if (!p->ctx[i])
			return lxm_err_set(e, ENOMEM, "memory for the system call filter");
		if (i > 0) {
			(void)seccomp_arch_remove(p->ctx[i], SCMP_ARCH_NATIVE);
			r = seccomp_arch_add(p->ctx[i], archs[i].token);
		}
		(void)seccomp_attr_set(p->ctx[i], SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_ERRNO(ENOSYS));
		(void)seccomp_attr_set(p->ctx[i], SCMP_FLTATR_CTL_OPTIMIZE, 2);
	}
	return r < 0 ? lxm_err_set(e, -r, "architecture of the system call filter: %s", strerror(-r)) : 0;
}

/* ---- words; each takes what it knows from *p, and blanks after it */

static void skip_blanks(char **p)
{
	*p += strspn(*p, " \t\r");
}

static char *take_word(char **p)
{
	char *word = *p;

	*p += strcspn(*p, " \t\r[");
	if (**p && **p != '[')
		*(*p)++ = 0;
	skip_blanks(p);
	return word;
}

static bool starts_word(const char *p, const char *word)
{
	size_t n = strlen(word);

	return strncmp(p, word, n) == 0 && (!p[n] || strchr(" \t\r[", p[n]));
}

/* Leaves *action alone where there is none. */
static int take_action(char **p, uint32_t *action, struct lxm_err *e)
{
	static const struct {
		const char *name;
		uint32_t action;
	} names[] = { { "kill", SCMP_ACT_KILL }, { "allow", SCMP_ACT_ALLOW }, { "trap", SCMP_ACT_TRAP }, { "log", SCMP_ACT_LOG } };
	unsigned long n;
	char *end;
	size_t i;

	if (!**p || **p == '[')
		return 0;
	for (i = 0; i < LXM_ARRAY_LEN(names); i++) {
		if (!starts_word(*p, names[i].name))
			continue;
		*action = names[i].action;
		*p += strlen(names[i].name);
		skip_blanks(p);
		return 0;
	}
	if (starts_word(*p, "errno")) {
		*p += strlen("errno");
		skip_blanks(p);
		n = strtoul(*p, &end, 10);
		if (end == *p || n > 4095 || (*end && !strchr(" \t\r[", *end)))
			return lxm_err_set(e, EINVAL, "errno: a number up to 4095 is wanted");
		*action = SCMP_ACT_ERRNO((uint32_t)n);
		*p = end;
		skip_blanks(p);
		return 0;
	}
	if (starts_word(*p, "notify") || starts_word(*p, "trace"))
		return lxm_err_set(e, EINVAL, "'%.6s': nobody would answer; security.syscalls.intercept.* has calls answered", *p);
	return lxm_err_set(e, EINVAL, "'%.40s' is not an action (kill, errno N, allow, trap, log)", *p);
}

static int compare_of(const char *word)
{
	static const struct {
		const char *name, *sign;
		int op;
	} ops[] = {
		{ "SCMP_CMP_NE", "!=", SCMP_CMP_NE }, { "SCMP_CMP_LT", "<", SCMP_CMP_LT },
		{ "SCMP_CMP_LE", "<=", SCMP_CMP_LE }, { "SCMP_CMP_EQ", "==", SCMP_CMP_EQ },
		{ "SCMP_CMP_GE", ">=", SCMP_CMP_GE }, { "SCMP_CMP_GT", ">", SCMP_CMP_GT },
		{ "SCMP_CMP_MASKED_EQ", "&=", SCMP_CMP_MASKED_EQ },
	};
	size_t i;

	for (i = 0; i < LXM_ARRAY_LEN(ops); i++)
		if (strcmp(word, ops[i].name) == 0 || strcmp(word, ops[i].sign) == 0)
			return ops[i].op;
	return -1;
}

static bool number(const char *s, uint64_t *out)
{
	char *end;

	if (*s < '0' || *s > '9')
		return false;
	errno = 0;
	*out = strtoull(s, &end, 0);
	return !*end && errno == 0;
}

/* The inside of [INDEX,VALUE,OP] or [INDEX,VALUE,OP,MASK]. */
static int parse_arg(char *text, struct scmp_arg_cmp *out, struct lxm_err *e)
{
	lxm_auto(strv) struct lxm_strv f = { 0 };
	uint64_t index, value, mask = 0;
	int op;

	lxm_strv_split(&f, text, ',');
	op = f.n >= 3 ? compare_of(f.v[2]) : -1;
	if (f.n < 3 || f.n > 4 || !number(f.v[0], &index) || index > 5 || !number(f.v[1], &value) || op < 0 ||
	    (f.n == 4) != (op == SCMP_CMP_MASKED_EQ) || (f.n == 4 && !number(f.v[3], &mask)))
		return lxm_err_set(e, EINVAL, "'[%.60s]' is not [INDEX,VALUE,OP] or [INDEX,VALUE,SCMP_CMP_MASKED_EQ,MASK]", text);
	/* libseccomp wants the mask first */
	*out = (struct scmp_arg_cmp){ (unsigned int)index, (enum scmp_compare)op, f.n == 4 ? mask : value, f.n == 4 ? value : 0 };
	return 0;
}

static int take_args(char **p, struct scmp_arg_cmp args[ARGS_MAX], unsigned int *n, struct lxm_err *e)
{
	char *end;
	int r;

	for (*n = 0; **p == '['; (*n)++) {
		end = strchr(*p, ']');
		if (!end || *n == ARGS_MAX)
			return lxm_err_set(e, EINVAL, "'%.60s': a condition without end, or too many", *p);
		*end = 0;
		r = parse_arg(*p + 1, &args[*n], e);
		if (r < 0)
			return r;
		*p = end + 1;
		skip_blanks(p);
	}
	return **p ? lxm_err_set(e, EINVAL, "'%.60s' is left over", *p) : 0;
}

/* ---- lines */

static int add(struct policy *p, uint32_t action, int nr, unsigned int n, const struct scmp_arg_cmp *args, struct lxm_err *e)
{
	size_t i;
	int r;

	for (i = 0; i < WIDTHS; i++) {
		if (!p->ctx[i] || !(p->section >> i & 1))
			continue;
		r = seccomp_rule_add_array(p->ctx[i], action, nr, n, args);
		/* that width lacks the call; a rule twice; what all other calls get anyway */
		if (r < 0 && r != -EDOM && r != -EEXIST && r != -EACCES)
			return lxm_err_set(e, EINVAL, "libseccomp does not take the rule: %s", strerror(-r));
	}
	return 0;
}

static int section(struct policy *p, char *line, struct lxm_err *e)
{
	lxm_auto(free) char *find = NULL;
	size_t i, n = strlen(line);

	if (line[n - 1] != ']')
		return lxm_err_set(e, EINVAL, "'%.40s' is not [ARCHITECTURE]", line);
	line[n - 1] = 0;
	if (strcasecmp(line + 1, "all") == 0) {
		p->section = ~0u;
		return 0;
	}
	find = lxm_asprintf(" %s ", line + 1);
	for (i = 0; i < WIDTHS; i++)
		if (!strchr(line + 1, ' ') && strcasestr(archs[i].names, find)) {
			p->section = 1u << i;
			return 0;
		}
	return lxm_err_set(e, EINVAL, "'%.40s' is not an architecture", line + 1);
}

static int rule(struct policy *p, char *line, struct lxm_err *e)
{
	const struct scmp_arg_cmp force = { 1, SCMP_CMP_MASKED_EQ, MNT_FORCE, MNT_FORCE };
	struct scmp_arg_cmp args[ARGS_MAX];
	uint32_t action = p->action;
	char name[64], *rest = line;
	unsigned int n;
	int nr, r;

	n = (unsigned int)strcspn(line, " \t\r[");
	if (!n || n >= sizeof(name))
		return lxm_err_set(e, EINVAL, "'%.40s' is not a system call", line);
	snprintf(name, sizeof(name), "%.*s", (int)n, take_word(&rest));
	if (strcmp(name, "reject_force_umount") == 0 && !*rest)
		return add(p, SCMP_ACT_ERRNO(EACCES), SCMP_SYS(umount2), 1, &force, e);
	nr = seccomp_syscall_resolve_name(name);
	if (nr == __NR_SCMP_ERROR)
		return lxm_err_set(e, EINVAL, "there is no system call '%s'", name);
	r = take_action(&rest, &action, e);
	if (r == 0)
		r = take_args(&rest, args, &n, e);
	return r < 0 ? r : add(p, action, nr, n, args, e);
}

static int number_rule(struct policy *p, const char *line, struct lxm_err *e)
{
	uint64_t nr;

	if (!number(line, &nr) || nr > 4095)
		return lxm_err_set(e, EINVAL, "'%.40s' is not the number of a system call", line);
	p->section = 1; /* numbers are the machine's own */
	return add(p, SCMP_ACT_ALLOW, (int)nr, 0, NULL, e);
}

/* The second line: what kind of list, and an action. */
static int head(struct policy *p, int version, char *line, struct lxm_err *e)
{
	char *rest = line, *word = take_word(&rest);
	bool allow = lxm_streq(word, "allowlist") || lxm_streq(word, "whitelist");
	uint32_t action = SCMP_ACT_KILL;
	int r;

	if (!allow && !(version == 2 && (lxm_streq(word, "denylist") || lxm_streq(word, "blacklist"))))
		return lxm_err_set(e, EINVAL, version == 2 ? "'denylist' or 'allowlist' is wanted" : "'allowlist' is wanted");
	r = take_action(&rest, &action, e);
	if (r == 0 && *rest)
		r = lxm_err_set(e, EINVAL, "'%.40s' is left over", rest);
	if (r < 0)
		return r;
	return allow ? policy_init(p, action, SCMP_ACT_ALLOW, e) : policy_init(p, SCMP_ACT_ALLOW, action, e);
}

static int read_lines(struct policy *p, char *text, struct lxm_err *e)
{
	int n = 0, seen = 0, version = 0, r = 0;
	char *line;

	while (r == 0 && (line = strsep(&text, "\n"))) {
		n++;
		line[strcspn(line, "#")] = 0;
		skip_blanks(&line);
		while (*line && strchr(" \t\r", line[strlen(line) - 1]))
			line[strlen(line) - 1] = 0;
		if (!*line)
			continue;
		if (++seen == 1) {
			version = lxm_streq(line, "1") ? 1 : lxm_streq(line, "2") ? 2 : 0;
			r = version ? 0 : lxm_err_set(e, EINVAL, "version 1 or 2 is wanted first");
		} else if (seen == 2) {
			r = head(p, version, line, e);
		} else {
			r = version == 1 ? number_rule(p, line, e) : *line == '[' ? section(p, line, e) : rule(p, line, e);
		}
	}
	if (r < 0)
		return lxm_err_wrap(e, r, "line %d", n);
	return seen < 2 ? lxm_err_set(e, EINVAL, "a version and 'denylist' or 'allowlist' are wanted") : 0;
}

int seccomp_raw_build(const char *text, scmp_filter_ctx *ctx_out, struct lxm_err *e)
{
	lxm_auto(free) char *copy = lxm_strdup(text);
	struct policy p = { .section = 0 };
	size_t i;
	int r = read_lines(&p, copy, e);

	for (i = 1; i < WIDTHS && r == 0; i++) {
		if (!p.ctx[i])
			continue;
		r = seccomp_merge(p.ctx[0], p.ctx[i]);
		if (r < 0)
			(void)lxm_err_set(e, -r, "join the system call filters: %s", strerror(-r));
		else
			p.ctx[i] = NULL;
	}
	if (r < 0) {
		policy_release(&p);
		return r;
	}
	*ctx_out = p.ctx[0];
	return 0;
}
