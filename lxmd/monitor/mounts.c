/*
 * Mounts below the root. Three kinds: host paths and block devices are opened outside and come as descriptors;
 * filesystems of the container's own namespaces are made inside before the pivot, while a host /proc and /sys can still be
 * seen (the kernel demands that). Targets are resolved in the new root with openat2: a link in an image cannot lead
 * outside, and by default no link is followed at all.
 */
#include "lxmd/monitor/mon.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include "lib/base/fd.h"
#include "lib/base/sys.h"
#include "lib/mount/target.h"

static bool comes_from_outside(const struct plan_mount *m)
{
	return m->flags & (PLAN_MNT_BIND | PLAN_MNT_HOST);
}

/* ---- from parent to child: a message for each would cost more than most mounts do */

int mounts_flush(struct start *s, struct lxm_err *e)
{
	struct tell_batch *b = &s->batch;
	ssize_t n = b->n ? lxm_send_fds(s->sock, b->what, b->n, b->fd, b->nfd, 0) : 0;

	while (b->nfd)
		(void)close(b->fd[--b->nfd]);
	b->n = 0;
	return n < 0 ? lxm_err_set(e, (int)-n, "talk to init's process: %s", strerror((int)-n)) : 0;
}

/* @fd  taken; -1: an optional one failed */
static int tell_mount(struct start *s, int fd, struct lxm_err *e)
{
	struct tell_batch *b = &s->batch;

	b->what[b->n++] = fd < 0 ? TELL_NONE : TELL_FD;
	if (fd >= 0)
		b->fd[b->nfd++] = fd;
	return b->n == TELL_BATCH ? mounts_flush(s, e) : 0;
}

static int hear_mount(struct start *s, int *fd_out, struct lxm_err *e)
{
	struct tell_batch *b = &s->batch;

	if (b->next == b->n) {
		size_t nfd = TELL_BATCH;
		ssize_t n = lxm_recv_fds(s->sock, b->what, sizeof(b->what), b->fd, &nfd, 0);

		if (n <= 0)
			_exit(1); /* the parent is gone, nobody is left to tell */
		b->n = (unsigned int)n;
		b->nfd = (unsigned int)nfd;
		b->next = b->nextfd = 0;
	}
	if (b->what[b->next++] == TELL_NONE)
		return 0;
	if (b->what[b->next - 1] != TELL_FD || b->nextfd == b->nfd)
		return lxm_err_set(e, EPROTO, "start out of step: '%c' instead of a mount", b->what[b->next - 1]);
	*fd_out = b->fd[b->nextfd++];
	return 0;
}

/* Parent: open or make it, and send it, perhaps later. */
int mount_step_outside(struct start *s, const struct plan_step *p, struct lxm_err *e)
{
	const struct plan_mount *m = &p->u.mount;
	lxm_auto(fd_close) int fd = -1;
	int userns = m->flags & PLAN_MNT_IDMAP ? s->userns : -1;

	if (!comes_from_outside(m))
		return 0;
	if (m->flags & PLAN_MNT_BIND && m->flags & PLAN_MNT_PLAIN) {
		fd = mountfd_clone_plain(m->source, m->flags & PLAN_MNT_RECURSIVE, userns, m->attrs, e);
	} else if (m->flags & PLAN_MNT_BIND) {
		fd = mountfd_clone(AT_FDCWD, m->source, m->flags & PLAN_MNT_RECURSIVE, userns, m->attrs, e);
	} else {
		fd = mountfd_new_text(m->fstype, m->source, m->options, m->attrs, e);
		if (fd >= 0 && userns >= 0 && mountfd_idmap(fd, userns, e) < 0)
			return lxm_err_wrap(e, -e->code, "mount '%s'", m->target);
	}
	if (fd < 0) {
		if (m->flags & PLAN_MNT_OPTIONAL)
			return tell_mount(s, -1, e);
		return lxm_err_wrap(e, fd, "mount '%s'", m->target);
	}
	return tell_mount(s, LXM_TAKE(fd, -1), e);
}

/* Child, before the root is attached. */
int mount_step_make(struct start *s, const struct plan_step *p, struct lxm_err *e)
{
	const struct plan_mount *m = &p->u.mount;
	int fd = -1, i = s->nmount++;

	if (!comes_from_outside(m)) {
		fd = mountfd_new_text(m->fstype, m->source, m->options, m->attrs, e);
		if (fd < 0 && !(m->flags & PLAN_MNT_OPTIONAL))
			return lxm_err_wrap(e, fd, "mount '%s'", m->target);
		/* the first proc is the one that sysctls and labels are written through: nothing of the image lies in that path */
		if (fd >= 0 && s->proc < 0 && strcmp(m->fstype, "proc") == 0)
			s->proc = fd;
	}
	s->mounts[i] = fd;
	return 0;
}

static int open_target(int root, const struct plan_mount *m)
{
	enum target_make make = m->flags & PLAN_MNT_MKFILE ? TARGET_FILE : m->flags & PLAN_MNT_MKDIR ? TARGET_DIR : TARGET_FOUND;

	return target_open(root, m->target, m->flags & PLAN_MNT_DIR_LINKS, make);
}

/* Child, root attached, before the pivot. */
int mount_step_attach(struct start *s, const struct plan_step *p, struct lxm_err *e)
{
	const struct plan_mount *m = &p->u.mount;
	lxm_auto(fd_close) int outside = -1, target = -1;
	int mount = s->mounts[s->nmount++], r = 0;

	if (comes_from_outside(m)) {
		r = hear_mount(s, &outside, e);
		if (r < 0)
			return r;
		mount = outside;
	}
	if (mount < 0)
		return 0;
	target = open_target(s->root, m);
	if (target < 0)
		r = lxm_err_sys(e, "open '%s'", m->target);
	if (r == 0)
		r = mountfd_attach(mount, target, e);
	if (r == 0)
		r = mountfd_propagate(mount, m->propagation ? m->propagation : MS_PRIVATE, e);
	if (!comes_from_outside(m) && mount != s->proc)
		(void)close(mount);
	if (r < 0 && !(m->flags & PLAN_MNT_OPTIONAL))
		return lxm_err_wrap(e, r, "mount '%s'", m->target);
	return 0;
}

static int mask(struct start *s, int target, const struct stat *st, struct lxm_err *e)
{
	lxm_auto(fd_close) int over = -1;

	if (S_ISDIR(st->st_mode)) {
		static const struct mount_param params[] = { { "size", "4k" }, { "nr_inodes", "2" } };

		over = mountfd_new("tmpfs", "none", params, 2, MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC, e);
	} else {
		over = mountfd_clone(s->dev, "null", false, -1, 0, e);
	}
	return over < 0 ? over : mountfd_attach(over, target, e);
}

/* Child, after the mounts. The path is in /proc or /sys that were just mounted: no link of the image is on the way. */
int protect_step(struct start *s, const struct plan_step *p, struct lxm_err *e)
{
	const struct plan_protect *pr = &p->u.protect;
	lxm_auto(fd_close) int target = lxm_open_beneath(s->root, pr->path + 1, O_PATH, 0), over = -1;
	struct mount_attr a = { .attr_set = MOUNT_ATTR_RDONLY };
	struct stat st;
	int r;

	if (target < 0 && (errno == ENOENT || errno == EACCES))
		return 0;
	if (target < 0 || fstat(target, &st) < 0)
		return lxm_err_sys(e, "protect '%s'", pr->path);
	if (pr->how == PLAN_MASK) {
		r = mask(s, target, &st, e);
		return r < 0 ? lxm_err_wrap(e, r, "mask '%s'", pr->path) : 0;
	}
	/* recursive, but only the top turns read-only: what PLAN_WRITABLE put below stays writable */
	over = mountfd_clone(target, "", true, -1, 0, e);
	if (over < 0)
		return lxm_err_wrap(e, over, "protect '%s'", pr->path);
	if (pr->how == PLAN_READONLY && mount_setattr(over, "", AT_EMPTY_PATH, &a, sizeof(a)) < 0)
		return lxm_err_sys(e, "make '%s' read-only", pr->path);
	r = mountfd_attach(over, target, e);
	return r < 0 ? lxm_err_wrap(e, r, "protect '%s'", pr->path) : 0;
}
