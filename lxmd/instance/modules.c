/*
 * linux.kernel_modules. Names are checked when the key is set (letters, digits, '_', '-'; no '-' in front) and checked again here, because
 * one becomes an argument of modprobe, which is run without a shell. Worker threads of lxmd.
 */
#include "lxmd/instance/modules.h"

#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "lib/base/alloc.h"
#include "lib/base/fd.h"
#include "lib/conf/checks.h"
#include "lxmd/instance/instance.h"
#include "lxmd/spawn/spawn.h"

#define MODPROBE_MS 30000
#define BUILTIN_MAX (4u << 20)

/* The kernel writes '_' where file names may have '-'. */
static void normalise(char *name)
{
	for (; *name; name++)
		if (*name == '-')
			*name = '_';
}

static bool loaded(const char *name)
{
	lxm_auto(free) char *path = lxm_asprintf("/sys/module/%s", name);

	return access(path, F_OK) == 0;
}

/* Lines such as "kernel/fs/ext4/ext4.ko". Built in without parameters it is not in /sys/module. */
static bool built_in(const char *name)
{
	lxm_auto(buf) struct lxm_buf list = { 0 };
	lxm_auto(free) char *path = NULL;
	struct utsname u;
	char *p, *line, *base, *dot;

	if (uname(&u) < 0)
		return false;
	path = lxm_asprintf("/lib/modules/%s/modules.builtin", u.release);
	if (lxm_read_file(path, BUILTIN_MAX, &list) < 0 || !list.len)
		return false;
	for (p = list.data; (line = strsep(&p, "\n"));) {
		base = strrchr(line, '/');
		base = base ? base + 1 : line;
		dot = strchr(base, '.');
		if (dot)
			*dot = 0;
		normalise(base);
		if (strcmp(base, name) == 0)
			return true;
	}
	return false;
}

static int have(const char *asked, struct lxm_err *e)
{
	lxm_auto(free) char *name = lxm_strdup(asked);
	const char *argv[] = { "modprobe", "-b", "--", name, NULL };
	int r = check_modules("linux.kernel_modules", name, e);

	if (r < 0)
		return r;
	normalise(name);
	if (loaded(name) || built_in(name))
		return 0;
	r = spawn_run(&(struct spawn_spec){ .path = "modprobe", .argv = argv }, NULL, NULL, 64 * 1024, MODPROBE_MS, e);
	if (r > 0)
		r = -EIO;
	if (r == -ENOENT)
		return lxm_err_set(e, ENOENT, "the module is not there, and without modprobe (package kmod) it cannot be loaded");
	return r;
}

int instance_modules(const struct instance *i, struct lxm_err *e)
{
	const char *list = lxm_kv_get(&i->config, "linux.kernel_modules");
	lxm_auto(strv) struct lxm_strv names = { 0 };
	size_t k;
	int r;

	lxm_strv_split(&names, list ? list : "", ',');
	for (k = 0; k < names.n; k++) {
		char *name = names.v[k] + strspn(names.v[k], " ");

		name[strcspn(name, " ")] = 0;
		r = *name ? have(name, e) : 0;
		if (r < 0)
			return lxm_err_wrap(e, r, "load kernel module '%s'", name);
	}
	return 0;
}
