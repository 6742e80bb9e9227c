/*
 * Where instances lie in the host's cgroups, and what lxmd does with them there. Hierarchies are read from mountinfo, so
 * v1, v1 beside an empty v2, and pure v2 need no setting. Any thread; no state but the layout, which the caller keeps.
 */
#include "lib/wire/cgroup.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "lib/base/fd.h"
#include "lib/base/log.h"
#include "lib/base/sys.h"
#include "lib/base/time.h"

/* ---- layout */

/* "A B C D /mount opts - TYPE SOURCE SUPEROPTS": the line is cut in place. Returns true for a cgroup mount at its root. */
static bool parse_line(char *line, char **mount, char **type, char **super)
{
	char *f[5], *dash = strstr(line, " - "), *save;
	int i;

	if (!dash)
		return false;
	*dash = 0;
	for (i = 0, f[0] = strtok_r(line, " ", &save); i < 4 && f[i]; i++)
		f[i + 1] = strtok_r(NULL, " ", &save);
	if (i < 4 || !f[4])
		return false;
	*mount = f[4];
	*type = strtok_r(dash + 3, " ", &save);
	(void)strtok_r(NULL, " ", &save);
	*super = strtok_r(NULL, "\n", &save);
	return *type && *super && strncmp(*type, "cgroup", 6) == 0;
}

/* Of "rw,cpu,cpuacct" the controllers, of "rw,xattr,name=systemd" the name. */
static void v1_name(char *super, char *out, size_t size)
{
	char *save, *opt;
	size_t n = 0;

	out[0] = 0;
	for (opt = strtok_r(super, ",", &save); opt; opt = strtok_r(NULL, ",", &save)) {
		static const char *const noise[] = { "rw", "ro", "xattr", "noprefix", "clone_children", "cpuset_v2_mode", "favordynmods", "none" };
		bool skip = strncmp(opt, "release_agent=", 14) == 0;
		size_t i;

		for (i = 0; i < LXM_ARRAY_LEN(noise); i++)
			skip |= strcmp(opt, noise[i]) == 0;
		if (skip || n + strlen(opt) + 2 > size)
			continue;
		n += (size_t)snprintf(out + n, size - n, "%s%s", n ? "," : "", opt);
	}
}

static void add_hier(struct cgroup_layout *l, const char *mount, bool v2, char *super)
{
	struct cgroup_hier h = { .v2 = v2 };
	size_t i;

	if (l->n == CGROUP_HIERS || strlen(mount) >= sizeof(h.mount) || strchr(mount, '\\'))
		return;
	strcpy(h.mount, mount);
	if (v2) {
		lxm_auto(buf) struct lxm_buf text = { 0 };
		lxm_auto(fd_close) int dir = open(mount, O_PATH | O_DIRECTORY | O_CLOEXEC);

		strcpy(h.name, "unified");
		if (lxm_read_file_at(dir, "cgroup.controllers", sizeof(h.controllers) - 1, &text) == 0 && text.len)
			snprintf(h.controllers, sizeof(h.controllers), "%.*s", (int)strcspn(text.data, "\n"), text.data);
	} else {
		v1_name(super, h.name, sizeof(h.name));
		strcpy(h.controllers, h.name);
	}
	/* mounted twice: the first place will do */
	for (i = 0; i < l->n; i++)
		if (strcmp(l->h[i].name, h.name) == 0)
			return;
	if (h.name[0])
		l->h[l->n++] = h;
}

int cgroup_layout_read(struct cgroup_layout *out, struct lxm_err *e)
{
	lxm_auto(fclose) FILE *f = fopen("/proc/self/mountinfo", "re");
	lxm_auto(free) char *line = NULL;
	size_t cap = 0, i;

	memset(out, 0, sizeof(*out));
	if (!f)
		return lxm_err_sys(e, "open '/proc/self/mountinfo'");
	while (getline(&line, &cap, f) > 0) {
		char *mount, *type, *super;

		if (parse_line(line, &mount, &type, &super))
			add_hier(out, mount, strcmp(type, "cgroup2") == 0, super);
	}
	if (!out->n)
		return lxm_err_set(e, ENOENT, "no cgroup hierarchy is mounted on this host");
	out->pure_v2 = true;
	for (i = 0; i < out->n; i++)
		out->pure_v2 &= out->h[i].v2;
	return 0;
}

static bool has_word(const char *list, const char *word, char sep)
{
	size_t n = strlen(word);
	const char *p;

	for (p = list; (p = strstr(p, word)); p++)
		if ((p == list || p[-1] == sep) && (p[n] == 0 || p[n] == sep))
			return true;
	return false;
}

const struct cgroup_hier *cgroup_find(const struct cgroup_layout *l, const char *controller)
{
	size_t i;

	for (i = 0; i < l->n; i++)
		if (strcmp(l->h[i].name, controller) == 0 || has_word(l->h[i].controllers, controller, l->h[i].v2 ? ' ' : ','))
			return &l->h[i];
	return NULL;
}

const struct cgroup_hier *cgroup_unified(const struct cgroup_layout *l)
{
	return cgroup_find(l, "unified");
}

/* ---- the parent directory */

/* In a container with processes beside its groups a few controllers could be passed on, and its groups would be threaded ones then. */
static bool holds_processes(int dir)
{
	lxm_auto(buf) struct lxm_buf procs = { 0 };

	return faccessat(dir, "cgroup.type", F_OK, 0) == 0 && lxm_read_file_at(dir, "cgroup.procs", 1 << 20, &procs) == 0 && procs.len;
}

/* v2: what the root has is passed on, so that instances can be limited. Controllers that refuse (rt, in use on v1) are left out. */
static void pass_controllers(const struct cgroup_hier *h, int dir)
{
	char list[sizeof(h->controllers)], *save, *c;

	if (holds_processes(dir))
		return;
	snprintf(list, sizeof(list), "%s", h->controllers);
	for (c = strtok_r(list, " ", &save); c; c = strtok_r(NULL, " ", &save)) {
		char word[64];

		snprintf(word, sizeof(word), "+%s", c);
		(void)lxm_write_str_at(dir, "cgroup.subtree_control", word);
	}
}

/* v1 cpuset: a new group has no cpu and takes no process unless it inherits. Set once here, it costs nothing for each instance. */
static void inherit_cpuset(int root, int dir)
{
	static const char *const files[] = { "cpuset.cpus", "cpuset.mems" };
	size_t i;

	for (i = 0; i < LXM_ARRAY_LEN(files); i++) {
		lxm_auto(buf) struct lxm_buf own = { 0 }, text = { 0 };

		if (lxm_read_file_at(dir, files[i], 4096, &own) == 0 && own.len > 1)
			continue;
		if (lxm_read_file_at(root, files[i], 4096, &text) == 0 && text.len)
			(void)lxm_write_str_at(dir, files[i], text.data);
	}
	(void)lxm_write_str_at(dir, "cgroup.clone_children", "1");
}

static int parent_make(const struct cgroup_hier *h, const char *parent)
{
	lxm_auto(fd_close) int root = open(h->mount, O_RDONLY | O_DIRECTORY | O_CLOEXEC), dir = -1;
	int r = root < 0 ? -errno : lxm_mkdir_at(root, parent, 0755);

	if (r == 0 && (dir = openat(root, parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW)) < 0)
		r = -errno;
	if (r < 0)
		return r;
	if (h->v2) {
		pass_controllers(h, root);
		pass_controllers(h, dir);
	} else if (has_word(h->controllers, "cpuset", ',')) {
		inherit_cpuset(root, dir);
	} else if (has_word(h->controllers, "memory", ',')) {
		(void)lxm_write_str_at(dir, "memory.use_hierarchy", "1");
	}
	return 0;
}

int cgroup_parent_make(struct cgroup_layout *l, const char *parent, struct lxm_err *e)
{
	size_t i, n = 0;

	for (i = 0; i < l->n; i++) {
		int r = parent_make(&l->h[i], parent);

		if (r == 0) {
			l->h[n++] = l->h[i];
		} else if (r != -EACCES && r != -EPERM && r != -EROFS) {
			errno = -r;
			return lxm_err_sys(e, "make cgroup '%s/%s'", l->h[i].mount, parent);
		} else {
			lxm_info("cgroups '%s' are not ours to use: %s", l->h[i].mount, strerror(-r));
		}
	}
	l->n = n;
	return n ? 0 : lxm_err_set(e, EACCES, "no cgroup hierarchy lets '%s' be made", parent);
}

void cgroup_parent_remove(const struct cgroup_layout *l, const char *parent)
{
	size_t i;

	for (i = 0; i < l->n; i++) {
		lxm_auto(fd_close) int root = open(l->h[i].mount, O_PATH | O_DIRECTORY | O_CLOEXEC);

		if (root >= 0)
			(void)unlinkat(root, parent, AT_REMOVEDIR);
	}
}

/* ---- plans and jobs */

int plan_add_cgroups(struct plan *p, const struct cgroup_layout *l, const char *parent, const char *id, bool delegate, struct lxm_err *e)
{
	char path[256];
	size_t i;
	int r = 0;

	snprintf(path, sizeof(path), "%s/%s", parent, id);
	for (i = 0; i < l->n && r == 0; i++)
		r = plan_add(p,
			     &(struct plan_step){ .kind = PLAN_CGROUP,
						  .u.cgroup = { l->h[i].name, l->h[i].mount, path,
								(l->h[i].v2 ? PLAN_CG_V2 : 0u) | (delegate ? PLAN_CG_DELEGATE : 0u) } },
			     e);
	return r;
}

void cgroup_exec_paths(const struct cgroup_layout *l, const char *parent, const char *id, struct lxm_strv *out)
{
	size_t i;

	for (i = 0; i < l->n; i++) {
		char path[512];

		if (l->h[i].v2)
			continue;
		snprintf(path, sizeof(path), "%s/%s/%s/cgroup.procs", l->h[i].mount, parent, id);
		lxm_strv_add(out, path);
	}
}

/* ---- files of one instance */

static int open_dir(const struct cgroup_hier *h, const char *path)
{
	lxm_auto(fd_close) int root = open(h->mount, O_PATH | O_DIRECTORY | O_CLOEXEC);
	int fd = root < 0 ? -1 : lxm_open_beneath(root, path, O_RDONLY | O_DIRECTORY, 0);

	return fd < 0 ? -errno : fd;
}

int cgroup_open(const struct cgroup_layout *l, const char *controller, const char *path, const char *file, int flags)
{
	const struct cgroup_hier *h = cgroup_find(l, controller);
	char full[512];
	int fd;

	if (!h)
		return -EOPNOTSUPP;
	if (strstr(path, "..") || strstr(file, "..") || path[0] == '/')
		return -EXDEV;
	/* one call instead of three: a list of a thousand instances opens thousands of them */
	if ((size_t)snprintf(full, sizeof(full), "%s/%s/%s", h->mount, path, file) >= sizeof(full))
		return -ENAMETOOLONG;
	fd = sys_openat2(AT_FDCWD, full, (uint64_t)flags | O_CLOEXEC, 0, RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS);
	return fd < 0 ? -errno : fd;
}

int cgroup_read(const struct cgroup_layout *l, const char *controller, const char *path, const char *file, char *out, size_t size)
{
	lxm_auto(fd_close) int fd = cgroup_open(l, controller, path, file, O_RDONLY);
	ssize_t n;

	if (fd < 0)
		return fd;
	n = lxm_read_full(fd, out, size - 1);
	if (n < 0)
		return (int)n;
	while (n && out[n - 1] == '\n')
		n--;
	out[n] = 0;
	return (int)n;
}

int cgroup_read_u64(const struct cgroup_layout *l, const char *controller, const char *path, const char *file, uint64_t *out)
{
	lxm_auto(fd_close) int fd = cgroup_open(l, controller, path, file, O_RDONLY);
	char text[64];
	ssize_t n;

	if (fd < 0)
		return fd;
	n = read(fd, text, sizeof(text) - 1); /* the kernel gives a number whole */
	if (n < 0)
		return -errno;
	text[n] = 0;
	text[strcspn(text, "\n")] = 0;
	if (strcmp(text, "max") == 0) {
		*out = UINT64_MAX;
		return 0;
	}
	return lxm_parse_u64(text, out);
}

int cgroup_write(const struct cgroup_layout *l, const char *controller, const char *path, const char *file, const char *value)
{
	lxm_auto(fd_close) int fd = cgroup_open(l, controller, path, file, O_WRONLY);

	if (fd < 0)
		return fd;
	return write(fd, value, strlen(value)) < 0 ? -errno : 0;
}

int cgroup_frozen(const struct cgroup_layout *l, const char *path)
{
	char text[512];
	int n;

	if (cgroup_find(l, "freezer")) {
		n = cgroup_read(l, "freezer", path, "freezer.state", text, sizeof(text));
		return n < 0 ? n : strcmp(text, "FROZEN") == 0;
	}
	n = cgroup_read(l, "unified", path, "cgroup.events", text, sizeof(text));
	return n < 0 ? n : strstr(text, "frozen 1") != NULL;
}

int cgroup_freeze(const struct cgroup_layout *l, const char *path, bool on, int timeout_ms, struct lxm_err *e)
{
	bool v1 = cgroup_find(l, "freezer");
	int64_t end = lxm_mono_ms() + timeout_ms;
	struct timespec pause = { 0, 200000 };
	int r = v1 ? cgroup_write(l, "freezer", path, "freezer.state", on ? "FROZEN" : "THAWED") :
		     cgroup_write(l, "unified", path, "cgroup.freeze", on ? "1" : "0");

	if (r < 0) {
		errno = -r;
		return lxm_err_sys(e, "%s", on ? "freeze" : "unfreeze");
	}
	for (;;) {
		r = cgroup_frozen(l, path);
		if (r < 0)
			return lxm_err_set(e, -r, "read the freezer's state: %s", strerror(-r));
		if (r == on)
			return 0;
		if (lxm_mono_ms() > end)
			return lxm_err_set(e, ETIMEDOUT, "%s: processes do not follow", on ? "freeze" : "unfreeze");
		/* v1 may stay FREEZING when a process forked meanwhile: writing again moves it on */
		if (v1 && on)
			(void)cgroup_write(l, "freezer", path, "freezer.state", "FROZEN");
		(void)nanosleep(&pause, NULL);
		if (pause.tv_nsec < 10000000)
			pause.tv_nsec *= 2;
	}
}

int cgroup_kill(const struct cgroup_layout *l, const char *path, struct lxm_err *e)
{
	size_t i;

	/* frozen processes take the signal only when they go on */
	if (cgroup_find(l, "freezer"))
		(void)cgroup_write(l, "freezer", path, "freezer.state", "THAWED");
	for (i = 0; i < l->n; i++) {
		lxm_auto(fd_close) int root = open(l->h[i].mount, O_PATH | O_DIRECTORY | O_CLOEXEC);
		int r = root < 0 ? -errno : cgroup_kill_at(root, path);

		if (r < 0)
			return lxm_err_set(e, -r, "kill cgroup '%s/%s': %s", l->h[i].mount, path, strerror(-r));
	}
	return 0;
}

int cgroup_remove(const struct cgroup_layout *l, const char *path, int timeout_ms, struct lxm_err *e)
{
	int64_t end = lxm_mono_ms() + timeout_ms;
	struct timespec pause = { 0, 300000 };
	size_t i;

	for (i = 0; i < l->n; i++) {
		lxm_auto(fd_close) int root = open(l->h[i].mount, O_PATH | O_DIRECTORY | O_CLOEXEC);
		int r;

		while ((r = root < 0 ? -errno : cgroup_rmdir_at(root, path)) == -EBUSY && lxm_mono_ms() < end) {
			(void)nanosleep(&pause, NULL);
			if (pause.tv_nsec < 20000000)
				pause.tv_nsec *= 2;
		}
		if (r < 0)
			return lxm_err_set(e, -r, "remove cgroup '%s/%s': %s", l->h[i].mount, path, strerror(-r));
	}
	return 0;
}

int cgroup_list(const struct cgroup_layout *l, const char *parent, struct lxm_strv *out, struct lxm_err *e)
{
	size_t i;

	for (i = 0; i < l->n; i++) {
		int fd = open_dir(&l->h[i], parent);
		struct dirent *de;
		DIR *d;

		if (fd == -ENOENT)
			continue;
		d = fd < 0 ? NULL : fdopendir(fd);
		if (!d) {
			auto_fd_close(&fd);
			return lxm_err_sys(e, "list cgroup '%s/%s'", l->h[i].mount, parent);
		}
		while ((de = readdir(d)))
			if (de->d_type == DT_DIR && de->d_name[0] != '.' && !lxm_strv_has(out, de->d_name))
				lxm_strv_add(out, de->d_name);
		closedir(d);
	}
	return 0;
}
