/*
 * The busybox builder: the host's busybox-static, a link for each applet, and the directories that a container
 * needs. Offline, a few milliseconds. lxmd, worker thread, as root.
 */
#include <elf.h>
#include <fcntl.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/stat.h>

#include "lib/base/alloc.h"
#include "lib/base/fd.h"
#include "lxmd/image/build_int.h"
#include "lxmd/spawn/spawn.h"

#define BUSYBOX "/bin/busybox"
#define MISSING "building '%s' needs a static busybox in " BUSYBOX ": install package busybox-static"

/* A program that asks for a loader (PT_INTERP) would not run in a tree without libraries. */
static bool is_static(int fd)
{
	Elf64_Ehdr h;
	Elf64_Phdr p;
	unsigned int i;

	if (pread(fd, &h, sizeof(h), 0) != sizeof(h) || memcmp(h.e_ident, ELFMAG, SELFMAG) != 0)
		return false;
	if (h.e_ident[EI_CLASS] != ELFCLASS64)
		return true; /* a 32-bit host: taken as it is */
	for (i = 0; i < h.e_phnum; i++) {
		if (pread(fd, &p, sizeof(p), (off_t)(h.e_phoff + (uint64_t)i * h.e_phentsize)) != sizeof(p))
			return false;
		if (p.p_type == PT_INTERP)
			return false;
	}
	return true;
}

static int copy_program(struct build *b, int from, struct lxm_err *e)
{
	lxm_auto(fd_close) int dir = build_mkdir_in(b->rootfd, "/bin", e);
	lxm_auto(fd_close) int to = -1;
	struct stat st;
	off_t at = 0;

	if (dir < 0)
		return dir;
	to = openat(dir, "busybox", O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0755);
	if (to < 0 || fstat(from, &st) < 0)
		return lxm_err_sys(e, "make '/bin/busybox'");
	while (at < st.st_size) {
		ssize_t n = sendfile(to, from, &at, (size_t)(st.st_size - at));

		if (n <= 0)
			return lxm_err_sys(e, "copy '" BUSYBOX "'");
	}
	return fchmod(to, 0755) < 0 ? lxm_err_sys(e, "set mode of '/bin/busybox'") : 0;
}

/* One link for each line of `busybox --list-full` ("usr/bin/awk", "sbin/init"). */
static int link_applets(struct build *b, struct lxm_err *e)
{
	static const char *const argv[] = { "busybox", "--list-full", NULL };
	lxm_auto(buf) struct lxm_buf out = { 0 };
	lxm_auto(strv) struct lxm_strv names = { 0 };
	bool init = false;
	size_t i;
	int r;

	r = spawn_run(&(struct spawn_spec){ .path = BUSYBOX, .argv = argv }, &out, NULL, 64 * 1024, 10000, e);
	if (r != 0)
		return r < 0 ? r : -EIO;
	lxm_strv_split(&names, out.data ? out.data : "", '\n');
	for (i = 0; r == 0 && i < names.n; i++) {
		const char *name = strrchr(names.v[i], '/');
		lxm_auto(free) char *path = NULL;

		name = name ? name + 1 : names.v[i];
		if (strlen(name) > 64 || name[strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789_-[")])
			continue;
		init = init || lxm_streq(name, "init");
		path = lxm_asprintf("%s/%s", lxm_streq(name, "init") ? "/sbin" : "/bin", name);
		if (!lxm_streq(name, "busybox"))
			r = build_link_in(b->rootfd, path, lxm_streq(name, "init") ? "../bin/busybox" : "busybox", e);
	}
	if (r == 0 && !init)
		return lxm_err_set(e, ENOPKG, "the host's " BUSYBOX " has no init: install package busybox-static");
	return r;
}

int build_busybox(struct build *b, struct lxm_err *e)
{
	static const char *const dirs[] = { "/dev", "/etc", "/mnt", "/proc", "/root", "/run", "/sbin",
					    "/sys", "/tmp", "/usr/bin", "/usr/sbin", "/var/log" };
	lxm_auto(fd_close) int from = open(BUSYBOX, O_RDONLY | O_CLOEXEC);
	size_t i;
	int r;

	b->progress(b->arg, "Copying busybox", -1, 0);
	if (from < 0 || !is_static(from))
		return lxm_err_set(e, ENOPKG, MISSING, b->pick->name);
	r = copy_program(b, from, e);
	if (r == 0)
		r = link_applets(b, e);
	for (i = 0; r == 0 && i < LXM_ARRAY_LEN(dirs); i++) {
		lxm_auto(fd_close) int fd = build_mkdir_in(b->rootfd, dirs[i], e);

		r = fd < 0 ? fd : 0;
	}
	if (r == 0 && (fchmodat(b->rootfd, "tmp", 01777, 0) < 0 || fchmodat(b->rootfd, "root", 0700, 0) < 0))
		return lxm_err_sys(e, "set modes");
	return r;
}
