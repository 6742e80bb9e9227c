/*
 * AppArmor: which profile an instance gets, and how the kernel learns of it. Runs in lxmd, any thread. The parser is a program of its own
 * (package apparmor); it gets the text in a sealed memfd. The label is applied by the monitor and the helper, each on itself as the
 * last but one step before they execute.
 */
#include "lxmd/instance/apparmor.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/base/alloc.h"
#include "lib/base/fd.h"
#include "lib/base/hash.h"
#include "lib/base/log.h"
#include "lib/base/str.h"
#include "lxmd/spawn/spawn.h"

#define TEXT_MAX  (64u << 10)
#define LIST_MAX  (16u << 20) /* the kernel's list of profiles */
#define PARSER_MS 30000

struct apparmor {
	enum apparmor_state state;
	char *policy, *parser, *scope;
	char *base, *privileged, *nesting; /* texts */
};

static int read_text(const char *dir, const char *name, char **out, struct lxm_err *e)
{
	lxm_auto(free) char *path = lxm_asprintf("%s/apparmor/%s", dir, name);
	lxm_auto(buf) struct lxm_buf b = { 0 };
	int r = lxm_read_file(path, TEXT_MAX, &b);

	if (r < 0)
		return lxm_err_set(e, -r, "read '%s': %s", path, strerror(-r));
	*out = lxm_buf_take(&b);
	return 0;
}

/* "NAME (enforce)" of a process; "unconfined" has no mode. */
static int read_label(const char *path, char out[APPARMOR_LABEL])
{
	lxm_auto(buf) struct lxm_buf b = { 0 };
	int r = lxm_read_file(path, 4096, &b);
	size_t n;

	if (r < 0)
		return r;
	if (!b.data)
		return -EINVAL;
	n = strcspn(b.data, " \n");
	if (n >= APPARMOR_LABEL)
		return -ENAMETOOLONG;
	memcpy(out, b.data, n);
	out[n] = 0;
	return 0;
}

/* In a container whose policy is its host's, .replace is out of sight or out of reach, and its host's profile holds for all in it. */
static enum apparmor_state look(const struct apparmor *a)
{
	lxm_auto(free) char *replace = lxm_asprintf("%s/.replace", a->policy);
	char label[APPARMOR_LABEL];

	if (access(replace, W_OK) < 0)
		return APPARMOR_ABSENT;
	if (read_label("/proc/self/attr/apparmor/current", label) == 0 && !lxm_streq(label, "unconfined"))
		return APPARMOR_ABSENT;
	return access(a->parser, X_OK) < 0 ? APPARMOR_NO_PARSER : APPARMOR_ON;
}

int apparmor_new(const char *profiles_dir, const char *scope, const struct apparmor_host *host, struct apparmor **out, struct lxm_err *e)
{
	static const struct apparmor_host here = { "/sys/kernel/security/apparmor", "/usr/sbin/apparmor_parser" };
	lxm_auto(apparmor_free) struct apparmor *a = lxm_alloc(sizeof(*a));
	int r;

	if (!host)
		host = &here;
	a->policy = lxm_strdup(host->policy);
	a->parser = lxm_strdup(host->parser);
	a->scope = lxm_strdup(scope);
	r = read_text(profiles_dir, "base", &a->base, e);
	if (r == 0)
		r = read_text(profiles_dir, "privileged", &a->privileged, e);
	if (r == 0)
		r = read_text(profiles_dir, "nesting", &a->nesting, e);
	if (r < 0)
		return r;
	a->state = look(a);
	*out = LXM_TAKE(a, NULL);
	return 0;
}

void apparmor_free(struct apparmor *a)
{
	if (!a)
		return;
	free(a->policy);
	free(a->parser);
	free(a->scope);
	free(a->base);
	free(a->privileged);
	free(a->nesting);
	free(a);
}

enum apparmor_state apparmor_state(const struct apparmor *a)
{
	return a->state;
}

static void own_name(const struct apparmor *a, int64_t id, char name[APPARMOR_LABEL])
{
	snprintf(name, APPARMOR_LABEL, "%s-%lld", a->scope, (long long)id);
}

char *apparmor_text(const struct apparmor *a, const struct apparmor_want *w, char name_out[APPARMOR_LABEL])
{
	lxm_auto(buf) struct lxm_buf rules = { 0 };
	struct lxm_hash h;

	lxm_buf_str(&rules, a->base);
	if (w->privileged)
		lxm_buf_str(&rules, a->privileged);
	if (w->nesting)
		lxm_buf_str(&rules, a->nesting);
	if (lxm_empty(w->raw)) {
		lxm_hash_init(&h, 0);
		lxm_hash_add(&h, rules.data, rules.len);
		snprintf(name_out, APPARMOR_LABEL, "lxm-%s%s-%016llx", w->privileged ? "privileged" : "default", w->nesting ? "-nesting" : "",
			 (unsigned long long)lxm_hash_value(&h));
	} else {
		own_name(a, w->id, name_out);
		lxm_buf_fmt(&rules, "\n%s\n", w->raw);
	}
	/* abi: what the rules mean does not depend on the host's settings, and what a later kernel adds is not denied by silence */
	return lxm_asprintf("abi <abi/3.0>,\nprofile \"%s\" flags=(attach_disconnected,mediate_deleted) {\n%s}\n", name_out, rules.data);
}

/* Is it in the kernel, and enforced? One in another mode is replaced. */
static bool is_loaded(const struct apparmor *a, const char *name)
{
	lxm_auto(free) char *path = lxm_asprintf("%s/profiles", a->policy);
	lxm_auto(free) char *line = lxm_asprintf("\n%s (enforce)\n", name);
	lxm_auto(buf) struct lxm_buf list = { 0 };

	if (lxm_read_file(path, LIST_MAX, &list) < 0 || !list.data)
		return false;
	return lxm_starts(list.data, line + 1) || strstr(list.data, line);
}

static int parse_and_load(const struct apparmor *a, const char *text, struct lxm_err *e)
{
	static const char *const argv[] = { "apparmor_parser", "--replace", "--skip-cache", "--quiet", "/proc/self/fd/3", NULL };
	lxm_auto(fd_close) int fd = lxm_memfd_sealed("apparmor", text, strlen(text));
	struct spawn_spec spec = { .path = a->parser, .argv = argv, .fds = { { fd, 3 } }, .nfds = 1 };

	if (fd < 0)
		return lxm_err_set(e, -fd, "make a file in memory: %s", strerror(-fd));
	return spawn_run(&spec, NULL, NULL, TEXT_MAX, PARSER_MS, e);
}

int apparmor_load(struct apparmor *a, const struct apparmor_want *w, char label_out[APPARMOR_LABEL], struct lxm_err *e)
{
	bool own = !lxm_empty(w->raw);
	lxm_auto(free) char *text = NULL;
	int r;

	label_out[0] = 0;
	if (a->state != APPARMOR_ON)
		return own ? lxm_err_set(e, EOPNOTSUPP, "raw.apparmor: %s", a->state == APPARMOR_NO_PARSER ?
					 "the program apparmor_parser is missing (package apparmor)" : "there is no AppArmor here") : 0;
	text = apparmor_text(a, w, label_out);
	if (!own && is_loaded(a, label_out))
		return 0;
	r = parse_and_load(a, text, e);
	if (r > 0)
		r = own ? -EINVAL : -EIO;
	if (r < 0) {
		if (own && e)
			e->code = -r;
		return lxm_err_wrap(e, r, "load AppArmor profile '%s'%s", label_out, own ? " with raw.apparmor" : "");
	}
	if (!is_loaded(a, label_out))
		return lxm_err_set(e, EIO, "AppArmor profile '%s' is not in the kernel after it was loaded", label_out);
	return 0;
}

void apparmor_unload(struct apparmor *a, int64_t id)
{
	lxm_auto(free) char *path = lxm_asprintf("%s/.remove", a->policy);
	char name[APPARMOR_LABEL];
	int r;

	own_name(a, id, name);
	if (a->state == APPARMOR_ABSENT || !is_loaded(a, name))
		return;
	r = lxm_write_str_at(AT_FDCWD, path, name);
	if (r < 0)
		lxm_warn("remove AppArmor profile '%s': %s", name, strerror(-r));
}

int apparmor_of(const struct apparmor *a, pid_t init, char label_out[APPARMOR_LABEL], struct lxm_err *e)
{
	char path[64];
	int r;

	label_out[0] = 0;
	if (a->state == APPARMOR_ABSENT)
		return 0;
	snprintf(path, sizeof(path), "/proc/%d/attr/apparmor/current", (int)init);
	r = read_label(path, label_out);
	if (r < 0)
		return lxm_err_set(e, -r, "find the instance's AppArmor profile: %s", strerror(-r));
	if (lxm_streq(label_out, "unconfined"))
		label_out[0] = 0;
	return 0;
}
