/*
 * The seccomp policy: text in profiles/ and in the configuration becomes BPF, once for each distinct wish (libseccomp takes
 * 0.4 ms), and is handed out from a cache after that. Runs in lxmd, any thread; the programs are loaded by the monitor and the
 * helper. Policy files are lxm's own; lines of the configuration come from clients and are bounded.
 */
#include "lxmd/instance/seccomp.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <seccomp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/base/alloc.h"
#include "lib/base/fd.h"
#include "lib/base/str.h"
#include "lxmd/instance/seccomp_raw.h"

#define POLICY_MAX (256u << 10) /* one policy text */
#define CACHE_MAX  (16u << 20)	/* all compiled filters */

/* One compiled filter; never freed while the cache lives, because callers keep pointers. */
struct entry {
	struct entry *next;
	char *key;
	void *bpf;
	size_t len;
};

struct seccomp_cache {
	char *base, *privileged; /* policy texts */
	pthread_mutex_t lock;
	struct entry *entries; /* guarded by lock */
	size_t bytes;	       /* guarded by lock */
};

/* One rule of a policy. */
struct rule {
	char name[64];
	int error;
	bool has_arg;
	struct scmp_arg_cmp arg;
};

static const struct {
	const char *name;
	int value;
} errors[] = {
	{ "EPERM", EPERM },   { "ENOSYS", ENOSYS },	{ "EACCES", EACCES }, { "EINVAL", EINVAL },
	{ "ENOENT", ENOENT }, { "EOPNOTSUPP", EOPNOTSUPP }, { "EBUSY", EBUSY },	  { "ENOTTY", ENOTTY },
};

static int parse_errno(const char *s)
{
	uint64_t v;
	size_t i;

	for (i = 0; i < LXM_ARRAY_LEN(errors); i++)
		if (strcmp(errors[i].name, s) == 0)
			return errors[i].value;
	return lxm_parse_u64(s, &v) == 0 && v < 4096 ? (int)v : -1;
}

/* "arg1&1=1", "arg0=5" */
static bool parse_arg(const char *s, struct rule *r)
{
	char *end;
	unsigned long long mask = ~0ull, value;

	if (strncmp(s, "arg", 3) != 0 || s[3] < '0' || s[3] > '5')
		return false;
	end = (char *)s + 4;
	if (*end == '&')
		mask = strtoull(end + 1, &end, 0);
	if (*end != '=' || !end[1])
		return false;
	value = strtoull(end + 1, &end, 0);
	if (*end)
		return false;
	r->has_arg = true;
	r->arg = (struct scmp_arg_cmp){ (unsigned int)(s[3] - '0'), SCMP_CMP_MASKED_EQ, mask, value };
	return true;
}

/* One line without its comment; 1 when it holds a rule, 0 when empty, -1 when wrong with *bad naming the word. */
static int parse_line(char *line, struct rule *r, const char **bad)
{
	char *save, *word = strtok_r(line, " \t\r", &save);

	memset(r, 0, sizeof(*r));
	r->error = EPERM;
	if (!word)
		return 0;
	*bad = word;
	if (strlen(word) >= sizeof(r->name))
		return -1;
	strcpy(r->name, word);
	while ((word = strtok_r(NULL, " \t\r", &save))) {
		*bad = word;
		if (strncmp(word, "errno=", 6) == 0)
			r->error = parse_errno(word + 6);
		else if (strcmp(word, "errno") == 0 && (word = strtok_r(NULL, " \t\r", &save)))
			r->error = parse_errno(word); /* as liblxc writes it */
		else if (!word || !parse_arg(word, r))
			return -1;
		if (r->error < 0)
			return -1;
	}
	return 1;
}

/* @strict: a call that libseccomp does not know is an error (configuration), else skipped (policy files). */
static int add_rule(scmp_filter_ctx ctx, const struct rule *r, bool allow, bool strict, struct lxm_err *e)
{
	int nr = seccomp_syscall_resolve_name(r->name), rc;
	uint32_t action = allow ? SCMP_ACT_ALLOW : SCMP_ACT_ERRNO((uint32_t)r->error);

	if (nr == __NR_SCMP_ERROR)
		return strict ? lxm_err_set(e, EINVAL, "there is no system call '%s'", r->name) : 0;
	rc = seccomp_rule_add_array(ctx, action, nr, r->has_arg ? 1 : 0, &r->arg);
	/* calls that one of the machine's modes lacks give EDOM; a rule twice gives EEXIST */
	if (rc < 0 && rc != -EDOM && rc != -EEXIST && rc != -EACCES)
		return lxm_err_set(e, -rc, "rule for '%s': %s", r->name, strerror(-rc));
	return 0;
}

static int add_text(scmp_filter_ctx ctx, const char *text, const char *where, bool allow, bool strict, struct lxm_err *e)
{
	lxm_auto(free) char *copy = lxm_strdup(text);
	char *p = copy, *line;
	const char *bad = "";
	struct rule rule;
	int n = 0, r;

	while ((line = strsep(&p, "\n"))) {
		n++;
		line[strcspn(line, "#")] = 0;
		r = parse_line(line, &rule, &bad);
		if (r < 0)
			return lxm_err_set(e, EINVAL, "%s, line %d: '%.64s' is not understood", where, n, bad);
		if (r > 0 && (r = add_rule(ctx, &rule, allow, strict, e)) < 0)
			return lxm_err_wrap(e, r, "%s, line %d", where, n);
	}
	return 0;
}

/* Calls of the machine's other widths are filtered alike; without them in the filter they are refused. */
static int add_archs(scmp_filter_ctx ctx, struct lxm_err *e)
{
#if defined(__x86_64__)
	static const uint32_t archs[] = { SCMP_ARCH_X86, SCMP_ARCH_X32 };
#elif defined(__aarch64__)
	static const uint32_t archs[] = { SCMP_ARCH_ARM };
#else
	static const uint32_t archs[] = { SCMP_ARCH_NATIVE };
#endif
	size_t i;

	for (i = 0; i < LXM_ARRAY_LEN(archs); i++) {
		int r = seccomp_arch_add(ctx, archs[i]);

		if (r < 0 && r != -EEXIST)
			return lxm_err_set(e, -r, "architecture of the system call filter: %s", strerror(-r));
	}
	return 0;
}

/*
 * Calls that are answered for the container (lxmd/monitor/calls.c). What the filter can see is judged here: of mknod() only
 * device nodes are worth the trouble, of mount() only new mounts. Programs that know the newer calls for that fall back to mount().
 */
static int add_intercepted(scmp_filter_ctx ctx, uint32_t which, struct lxm_err *e)
{
	static const uint64_t changes = MS_REMOUNT | MS_BIND | MS_MOVE | MS_SHARED | MS_PRIVATE | MS_SLAVE | MS_UNBINDABLE;
	static const struct {
		uint32_t flag;
		const char *name;
		int arg; /* -1: any arguments */
		uint64_t mask, value;
	} calls[] = {
		{ PLAN_INTERCEPT_MKNOD, "mknod", 1, S_IFMT, S_IFCHR },
		{ PLAN_INTERCEPT_MKNOD, "mknodat", 2, S_IFMT, S_IFCHR },
		{ PLAN_INTERCEPT_SETXATTR, "setxattr", -1, 0, 0 },
		{ PLAN_INTERCEPT_SETXATTR, "lsetxattr", -1, 0, 0 },
		{ PLAN_INTERCEPT_SETXATTR, "fsetxattr", -1, 0, 0 },
		{ PLAN_INTERCEPT_SYSINFO, "sysinfo", -1, 0, 0 },
		{ PLAN_INTERCEPT_SCHED, "sched_setscheduler", -1, 0, 0 },
		{ PLAN_INTERCEPT_MOUNT, "mount", 3, changes, 0 },
	};
	size_t i;
	int r = 0;

	for (i = 0; i < LXM_ARRAY_LEN(calls) && r == 0; i++) {
		int nr = seccomp_syscall_resolve_name(calls[i].name);
		struct scmp_arg_cmp arg = { (unsigned int)calls[i].arg, SCMP_CMP_MASKED_EQ, calls[i].mask, calls[i].value };

		if (!(which & calls[i].flag) || nr == __NR_SCMP_ERROR)
			continue;
		r = seccomp_rule_add_array(ctx, SCMP_ACT_NOTIFY, nr, calls[i].arg >= 0, &arg);
		/* as in add_rule(); a call that is denied or allowed by name stays so */
		if (r == -EDOM || r == -EEXIST || r == -EACCES)
			r = 0;
		if (r < 0)
			return lxm_err_set(e, -r, "intercept '%s': %s", calls[i].name, strerror(-r));
	}
	if (which & PLAN_INTERCEPT_MOUNT)
		r = seccomp_rule_add(ctx, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(fsopen), 0);
	return r < 0 && r != -EEXIST ? lxm_err_set(e, -r, "refuse 'fsopen': %s", strerror(-r)) : 0;
}

static int build(struct seccomp_cache *c, const struct seccomp_want *w, scmp_filter_ctx ctx, struct lxm_err *e)
{
	bool allow = !lxm_empty(w->allow);
	int r = 0;

	/* 2: a binary tree over the numbers instead of a chain */
	(void)seccomp_attr_set(ctx, SCMP_FLTATR_CTL_OPTIMIZE, 2);
	(void)seccomp_attr_set(ctx, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_ERRNO(ENOSYS));
	if (!w->deny_compat)
		r = add_archs(ctx, e);
	if (r == 0)
		r = add_intercepted(ctx, w->intercept, e);
	if (r == 0 && allow)
		return add_text(ctx, w->allow, "security.syscalls.allow", true, true, e);
	if (r == 0 && !w->no_default)
		r = add_text(ctx, c->base, "seccomp.policy", false, false, e);
	if (r == 0 && !w->no_default && w->privileged)
		r = add_text(ctx, c->privileged, "seccomp-privileged.policy", false, false, e);
	if (r == 0 && !lxm_empty(w->deny))
		r = add_text(ctx, w->deny, "security.syscalls.deny", false, true, e);
	return r;
}

static int export(scmp_filter_ctx ctx, void **bpf_out, size_t *len_out, struct lxm_err *e)
{
	lxm_auto(fd_close) int fd = memfd_create("lxm-seccomp", MFD_CLOEXEC);
	off_t len;
	int r;

	if (fd < 0)
		return lxm_err_sys(e, "memory for the system call filter");
	r = seccomp_export_bpf(ctx, fd);
	if (r < 0)
		return lxm_err_set(e, -r, "compile the system call filter: %s", strerror(-r));
	len = lseek(fd, 0, SEEK_END);
	if (len <= 0 || len > 4096 * 8)
		return lxm_err_set(e, E2BIG, "the system call filter has too many rules");
	*bpf_out = lxm_alloc((size_t)len);
	*len_out = (size_t)len;
	if (pread(fd, *bpf_out, (size_t)len, 0) != len) {
		free(*bpf_out);
		return lxm_err_sys(e, "read the system call filter");
	}
	return 0;
}

static int compile(struct seccomp_cache *c, const struct seccomp_want *w, void **bpf_out, size_t *len_out, struct lxm_err *e)
{
	scmp_filter_ctx ctx = NULL;
	int r;

	if (!lxm_empty(w->raw)) {
		r = seccomp_raw_build(w->raw, &ctx, e);
		if (r < 0)
			return lxm_err_wrap(e, r, "raw.seccomp");
	} else {
		ctx = seccomp_init(lxm_empty(w->allow) ? SCMP_ACT_ALLOW : SCMP_ACT_ERRNO(ENOSYS));
		if (!ctx)
			return lxm_err_set(e, ENOMEM, "memory for the system call filter");
		r = build(c, w, ctx, e);
	}
	if (r == 0)
		r = export(ctx, bpf_out, len_out, e);
	seccomp_release(ctx);
	return r;
}

static char *key_of(const struct seccomp_want *w)
{
	if (!lxm_empty(w->raw))
		return lxm_asprintf("raw\n%s", w->raw);
	return lxm_asprintf("%d%d%d %u\n%s\n\n%s", w->privileged, w->no_default, w->deny_compat, w->intercept, w->deny ? w->deny : "", w->allow ? w->allow : "");
}

/* With the lock held. */
static struct entry *find(struct seccomp_cache *c, const char *key)
{
	struct entry *n;

	for (n = c->entries; n && strcmp(n->key, key) != 0; n = n->next)
		;
	return n;
}

/* Filters that would filter nothing are left out: they would cost every system call. */
static bool wants_nothing(const struct seccomp_want *w)
{
	return lxm_empty(w->raw) && w->no_default && !w->deny_compat && !w->intercept && lxm_empty(w->deny) && lxm_empty(w->allow);
}

static int get_locked(struct seccomp_cache *c, const struct seccomp_want *w, char *key, struct entry **out, struct lxm_err *e)
{
	struct entry *n = find(c, key);
	size_t len = 0;
	void *bpf = NULL;
	int r;

	if (!n) {
		r = compile(c, w, &bpf, &len, e);
		if (r < 0)
			return r;
		if (c->bytes + len + strlen(key) > CACHE_MAX) {
			free(bpf);
			return lxm_err_set(e, ENOMEM, "too many different system call filters since lxmd started");
		}
		n = lxm_alloc(sizeof(*n));
		*n = (struct entry){ c->entries, lxm_strdup(key), bpf, len };
		c->entries = n;
		c->bytes += len + strlen(key);
	}
	*out = n;
	return 0;
}

int seccomp_get(struct seccomp_cache *c, const struct seccomp_want *w, struct wire_bytes *bpf_out, struct lxm_err *e)
{
	lxm_auto(free) char *key = NULL;
	struct entry *n = NULL;
	int r;

	if (wants_nothing(w)) {
		*bpf_out = (struct wire_bytes){ NULL, 0 };
		return 0;
	}
	if ((w->deny && strlen(w->deny) > POLICY_MAX) || (w->allow && strlen(w->allow) > POLICY_MAX) || (w->raw && strlen(w->raw) > POLICY_MAX))
		return lxm_err_set(e, EINVAL, "a list of system calls of more than %u bytes", POLICY_MAX);
	key = key_of(w);
	pthread_mutex_lock(&c->lock);
	r = get_locked(c, w, key, &n, e);
	if (r == 0)
		*bpf_out = (struct wire_bytes){ n->bpf, n->len };
	pthread_mutex_unlock(&c->lock);
	return r;
}

static char *read_policy(int dir, const char *name, struct lxm_err *e)
{
	lxm_auto(buf) struct lxm_buf text = { 0 };
	int r = lxm_read_file_at(dir, name, POLICY_MAX, &text);

	if (r == 0)
		return lxm_buf_take(&text);
	errno = -r;
	(void)lxm_err_sys(e, "read '%s'", name);
	return NULL;
}

int seccomp_cache_new(const char *profiles_dir, struct seccomp_cache **out, struct lxm_err *e)
{
	static const struct seccomp_want usual = { 0 }, privileged = { .privileged = true };
	lxm_auto(fd_close) int dir = open(profiles_dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
	struct seccomp_cache *c = lxm_alloc(sizeof(*c));
	struct wire_bytes bpf;
	int r = 0;

	pthread_mutex_init(&c->lock, NULL);
	if (dir < 0) {
		r = lxm_err_sys(e, "open '%s'", profiles_dir);
	} else {
		c->base = read_policy(dir, "seccomp.policy", e);
		c->privileged = c->base ? read_policy(dir, "seccomp-privileged.policy", e) : NULL;
		r = c->privileged ? 0 : -EIO;
	}
	/* a broken policy stops lxmd at its start, not an instance some day */
	if (r == 0)
		r = seccomp_get(c, &usual, &bpf, e);
	if (r == 0)
		r = seccomp_get(c, &privileged, &bpf, e);
	if (r < 0) {
		seccomp_cache_free(c);
		return lxm_err_wrap(e, r, "system call policy");
	}
	*out = c;
	return 0;
}

void seccomp_cache_free(struct seccomp_cache *c)
{
	struct entry *n;

	if (!c)
		return;
	while ((n = c->entries)) {
		c->entries = n->next;
		free(n->key);
		free(n->bpf);
		free(n);
	}
	pthread_mutex_destroy(&c->lock);
	free(c->base);
	free(c->privileged);
	free(c);
}
