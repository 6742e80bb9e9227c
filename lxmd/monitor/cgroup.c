/*
 * The container's cgroups: made and filled with limits before init exists, joined while it waits, removed after its end.
 * In the unified hierarchy init is born inside (CLONE_INTO_CGROUP); the old ones are joined by pid.
 */
#include "lxmd/monitor/mon.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "lib/base/fd.h"
#include "lib/wire/cgroup.h"
#include "lxmd/monitor/device_bpf.h"

/* What the container's root may write, so that its systemd can make its own branch. */
static const char *const delegate_v1[] = { "cgroup.procs", "tasks" };
static const char *const delegate_v2[] = { "cgroup.procs", "cgroup.threads", "cgroup.subtree_control", "memory.oom.group" };

static int delegate(const struct start *s, const struct plan_cgroup *c, int fd, struct lxm_err *e)
{
	bool v2 = c->flags & PLAN_CG_V2;
	const char *const *files = v2 ? delegate_v2 : delegate_v1;
	size_t i, n = v2 ? LXM_ARRAY_LEN(delegate_v2) : LXM_ARRAY_LEN(delegate_v1);

	if (fchown(fd, s->uid0, s->gid0) < 0)
		return lxm_err_sys(e, "delegate");
	for (i = 0; i < n; i++)
		if (fchownat(fd, files[i], s->uid0, s->gid0, AT_SYMLINK_NOFOLLOW) < 0 && errno != ENOENT)
			return lxm_err_sys(e, "delegate '%s'", files[i]);
	return 0;
}

int cgroup_step_make(struct start *s, const struct plan_step *p, struct lxm_err *e)
{
	const struct plan_cgroup *c = &p->u.cgroup;
	lxm_auto(fd_close) int mount = open(c->mount, O_PATH | O_DIRECTORY | O_CLOEXEC), fd = -1;
	int r = 0;

	if (mount < 0)
		return lxm_err_sys(e, "open '%s'", c->mount);
	/* a leftover of the same id has stale limits: away with it */
	if (mkdirat(mount, c->path, 0755) < 0) {
		if (errno == EEXIST && (r = cgroup_rmdir_at(mount, c->path)) == 0)
			r = mkdirat(mount, c->path, 0755) < 0 ? -errno : 0;
		else if (r == 0)
			r = -errno;
		if (r < 0) {
			errno = -r;
			return lxm_err_sys(e, "make cgroup '%s/%s'", c->mount, c->path);
		}
	}
	fd = openat(mount, c->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0)
		return lxm_err_sys(e, "open cgroup '%s/%s'", c->mount, c->path);
	if (c->flags & PLAN_CG_DELEGATE)
		r = delegate(s, c, fd, e);
	if (r < 0)
		return lxm_err_wrap(e, r, "cgroup '%s/%s'", c->mount, c->path);
	if (c->flags & PLAN_CG_V2)
		s->unified = s->ncgroup;
	s->cgroup[s->ncgroup++] = LXM_TAKE(fd, -1);
	return 0;
}

/* The directory of a hierarchy by name: plan order is the order of cgroup[]. -1 if the plan has no such one. */
static int cgroup_of(const struct start *s, const char *hier)
{
	struct plan_step p;
	size_t pos = 0;
	int i = 0;

	for (; plan_next_of(&s->plan, PLAN_CGROUP, &pos, &p); i++)
		if (strcmp(p.u.cgroup.hier, hier) == 0)
			return s->cgroup[i];
	return -1;
}

int cgroup_step_set(struct start *s, const struct plan_step *p, struct lxm_err *e)
{
	const struct plan_cgroup_set *c = &p->u.cgroup_set;
	int fd = cgroup_of(s, c->hier), r;

	r = fd < 0 ? -ENOENT : lxm_write_str_at(fd, c->file, c->value);
	if (r == 0 || c->optional)
		return 0;
	errno = -r;
	return lxm_err_sys(e, "set '%s' of cgroup '%s' to '%s'", c->file, c->hier, c->value);
}

/* v1: one line a rule, the first one shuts the door. v2: cgroup_devices_done() loads one program for all. */
int cgroup_step_dev(struct start *s, const struct plan_step *p, struct lxm_err *e)
{
	const struct plan_cgroup_dev *d = &p->u.cgroup_dev;
	int fd = cgroup_of(s, "devices"), r = 0;
	char line[64], major[16] = "*", minor[16] = "*";

	if (fd < 0)
		return 0;
	if (d->major >= 0)
		snprintf(major, sizeof(major), "%d", d->major);
	if (d->minor >= 0)
		snprintf(minor, sizeof(minor), "%d", d->minor);
	snprintf(line, sizeof(line), "%c %s:%s %s", (int)d->type, major, minor, d->access);
	if (!s->devices_denied)
		r = lxm_write_str_at(fd, "devices.deny", "a");
	s->devices_denied = true;
	if (r == 0)
		r = lxm_write_str_at(fd, d->allow ? "devices.allow" : "devices.deny", line);
	if (r == 0)
		return 0;
	errno = -r;
	return lxm_err_sys(e, "device rule '%s'", line);
}

int cgroup_devices_done(struct start *s, struct lxm_err *e)
{
	struct plan_step p;

	if (s->unified < 0 || cgroup_of(s, "devices") >= 0 || !plan_find(&s->plan, PLAN_CGROUP_DEV, &p))
		return 0;
	return device_bpf_attach(&s->plan, s->cgroup[s->unified], e);
}

int cgroup_attach(struct start *s, struct lxm_err *e)
{
	char pid[16];
	int i, r;

	snprintf(pid, sizeof(pid), "%d", (int)s->pid);
	for (i = 0; i < s->ncgroup; i++) {
		if (i == s->unified)
			continue;
		r = lxm_write_str_at(s->cgroup[i], "cgroup.procs", pid);
		if (r < 0) {
			errno = -r;
			return lxm_err_sys(e, "join a cgroup");
		}
	}
	return 0;
}

void cgroup_close(struct start *s)
{
	while (s->ncgroup)
		auto_fd_close(&s->cgroup[--s->ncgroup]);
}

bool cgroup_clean(const struct plan_view *plan)
{
	bool clean = true;
	struct plan_step p;
	size_t pos = 0;

	while (plan_next_of(plan, PLAN_CGROUP, &pos, &p)) {
		lxm_auto(fd_close) int mount = open(p.u.cgroup.mount, O_PATH | O_DIRECTORY | O_CLOEXEC);

		if (mount < 0 || cgroup_rmdir_at(mount, p.u.cgroup.path) == 0)
			continue;
		/* init's namespace is dead, so what is left in here was put in from outside: exec sessions' helpers */
		(void)cgroup_kill_at(mount, p.u.cgroup.path);
		if (cgroup_rmdir_at(mount, p.u.cgroup.path) < 0)
			clean = false;
	}
	return clean;
}
