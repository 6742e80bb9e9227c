/*
 * The translation of raw.lxc. lxm does not run on liblxc, so a line counts only if a key of the instance, or a step of its start, does the
 * same; which ones, and where else to look, stands in one table. Any process, no state.
 */
#include "lib/conf/raw_lxc.h"

#include <string.h>

#include "lib/base/alloc.h"
#include "lib/conf/checks.h"
#include "lib/conf/tables.h"

#define LINES_MAX 1000
#define CAPS_MAX  4096 /* bytes of names */

static const char *const capabilities[] = {
	"chown",	"dac_override", "dac_read_search", "fowner",	  "fsetid",	    "kill",	       "setgid",
	"setuid",	"setpcap",	"linux_immutable", "net_bind_service", "net_broadcast", "net_admin",     "net_raw",
	"ipc_lock",	"ipc_owner",	"sys_module",	   "sys_rawio",	  "sys_chroot",	    "sys_ptrace",      "sys_pacct",
	"sys_admin",	"sys_boot",	"sys_nice",	   "sys_resource", "sys_time",	    "sys_tty_config",  "mknod",
	"lease",	"audit_write",	"audit_control",   "setfcap",	  "mac_override",   "mac_admin",       "syslog",
	"wake_alarm",	"block_suspend", "audit_read",	   "perfmon",	  "bpf",	    "checkpoint_restore",
};

static int capability(const char *name)
{
	int i;

	for (i = 0; i < (int)LXM_ARRAY_LEN(capabilities); i++)
		if (strcmp(capabilities[i], name) == 0)
			return i;
	return -1;
}

/* Every translation gets the rest of the key after the prefix, and the value. */
typedef int (*raw_fn)(const char *rest, const char *value, struct lxm_kv *out, struct lxm_err *e);

static int set_checked(const char *prefix, const char *rest, const char *value, struct lxm_kv *out, struct lxm_err *e)
{
	lxm_auto(free) char *key = lxm_asprintf("%s%s", prefix, rest);
	int r = *value ? conf_check_one(&conf_instance, key, value, e) : lxm_err_set(e, EINVAL, "no value");

	if (r == 0)
		lxm_kv_set(out, key, value);
	return r;
}

static int as_sysctl(const char *rest, const char *value, struct lxm_kv *out, struct lxm_err *e)
{
	return set_checked("linux.sysctl.", rest, value, out, e);
}

static int as_limit(const char *rest, const char *value, struct lxm_kv *out, struct lxm_err *e)
{
	return set_checked("limits.kernel.", rest, value, out, e);
}

static int as_environment(const char *rest, const char *value, struct lxm_kv *out, struct lxm_err *e)
{
	lxm_auto(free) char *name = lxm_strdup(value);
	char *eq = strchr(name, '=');

	(void)rest;
	if (!eq)
		return lxm_err_set(e, EINVAL, "a variable of lxmd itself cannot be handed on: NAME=VALUE is wanted");
	*eq = 0;
	return set_checked("environment.", name, eq + 1, out, e);
}

static int as_cap_drop(const char *rest, const char *value, struct lxm_kv *out, struct lxm_err *e)
{
	const char *was = lxm_kv_or(out, RAW_LXC_CAP_DROP, "");
	lxm_auto(strv) struct lxm_strv names = { 0 };
	size_t i;

	(void)rest;
	/* as in liblxc: an empty one begins anew */
	if (!*value) {
		(void)lxm_kv_del(out, RAW_LXC_CAP_DROP);
		return 0;
	}
	lxm_strv_split(&names, value, ' ');
	for (i = 0; i < names.n; i++)
		if (capability(names.v[i]) < 0)
			return lxm_err_set(e, EINVAL, "'%.40s' is not a capability", names.v[i]);
	if (strlen(was) + strlen(value) > CAPS_MAX)
		return lxm_err_set(e, EINVAL, "too many capabilities");
	lxm_kv_setf(out, RAW_LXC_CAP_DROP, "%s%s%s", was, *was ? " " : "", value);
	return 0;
}

static int as_init(const char *rest, const char *value, struct lxm_kv *out, struct lxm_err *e)
{
	(void)rest;
	if (*value != '/' || strlen(value) > 4000)
		return lxm_err_set(e, EINVAL, "an absolute path and perhaps arguments are wanted");
	lxm_kv_set(out, RAW_LXC_INIT_CMD, value);
	return 0;
}

/* Keys of liblxc; one that ends in '.' stands for all that begin so. Without a function the text says what to do instead. */
static const struct {
	const char *key;
	raw_fn fn;
	const char *instead;
} rows[] = {
	{ "lxc.sysctl.", as_sysctl, NULL },
	{ "lxc.prlimit.", as_limit, NULL },
	{ "lxc.environment", as_environment, NULL },
	{ "lxc.cap.drop", as_cap_drop, NULL },
	{ "lxc.init.cmd", as_init, NULL },
	{ "lxc.apparmor.", NULL, "raw.apparmor adds lines to its profile" },
	{ "lxc.cap.keep", NULL, "lxc.cap.drop says what goes" },
	{ "lxc.cgroup.", NULL, "limits.* and devices of type unix-char, unix-block say it" },
	{ "lxc.cgroup2.", NULL, "limits.* and devices of type unix-char, unix-block say it" },
	{ "lxc.hook.", NULL, "no program of the host is run for an instance" },
	{ "lxc.idmap", NULL, "raw.idmap says it" },
	{ "lxc.mount.", NULL, "a device of type disk says it" },
	{ "lxc.net.", NULL, "a device of type nic says it" },
	{ "lxc.rootfs.", NULL, "its root is a volume of its pool" },
	{ "lxc.seccomp.", NULL, "security.syscalls.* and raw.seccomp say it" },
	{ "lxc.selinux.", NULL, "lxm knows AppArmor only" },
};

static int translate(const char *key, const char *value, struct lxm_kv *out, struct lxm_err *e)
{
	size_t i, n;

	for (i = 0; i < LXM_ARRAY_LEN(rows); i++) {
		n = strlen(rows[i].key);
		if (rows[i].key[n - 1] == '.' ? strncmp(key, rows[i].key, n) != 0 || !key[n] : strcmp(key, rows[i].key) != 0)
			continue;
		return rows[i].fn ? rows[i].fn(key + n, value, out, e) : lxm_err_set(e, EINVAL, "it has no translation: %s", rows[i].instead);
	}
	return lxm_err_set(e, EINVAL, "it has no translation");
}

static char *trim(char *s)
{
	size_t n;

	s += strspn(s, " \t\r");
	for (n = strlen(s); n && strchr(" \t\r", s[n - 1]);)
		s[--n] = 0;
	return s;
}

int raw_lxc_translate(const char *text, struct lxm_kv *out, struct lxm_err *e)
{
	lxm_auto(free) char *copy = lxm_strdup(text);
	char *p = copy, *line, *eq;
	int n = 0, r;

	while ((line = strsep(&p, "\n"))) {
		if (++n > LINES_MAX)
			return lxm_err_set(e, EINVAL, "more than %d lines", LINES_MAX);
		line = trim(line);
		if (!*line || *line == '#')
			continue;
		eq = strchr(line, '=');
		if (!eq)
			return lxm_err_set(e, EINVAL, "line %d, '%.80s': KEY = VALUE is wanted", n, line);
		*eq = 0;
		line = trim(line);
		r = translate(line, trim(eq + 1), out, e);
		if (r < 0)
			return lxm_err_wrap(e, r, "line %d, '%.80s'", n, line);
	}
	return 0;
}

uint64_t raw_lxc_caps(const char *names)
{
	lxm_auto(strv) struct lxm_strv list = { 0 };
	uint64_t bits = 0;
	size_t i;

	lxm_strv_split(&list, names ? names : "", ' ');
	for (i = 0; i < list.n; i++)
		bits |= 1ull << capability(list.v[i]);
	return bits;
}

int check_raw_lxc(const char *key, const char *value, struct lxm_err *e)
{
	lxm_auto(kv) struct lxm_kv out = { 0 };

	return raw_lxc_translate(value, &out, e);
}
