/*
 * lxm-helper's verb `hot`: one disk or device node comes to a running instance or leaves it.
 *
 * What is mounted is cloned in the host's mount namespace, detached, idmapped and private: a clone is born in its source's peer group.
 * Then this process joins the instance's mount namespace alone and so keeps root's rights there; the instance is hostile, hence:
 * the target is resolved once, by openat2 in the instance's root, and used by descriptor; what is missing of it is made by a child
 * with the rights of the instance's own root; what is unmounted must be the very directory that was mounted.
 */
#include "lxmd/helper/helper.h"

#include <fcntl.h>
#include <linux/securebits.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>

#include "lib/base/fd.h"
#include "lib/base/sys.h"
#include "lib/mount/mountfd.h"
#include "lib/mount/target.h"
#include "lib/wire/hot.h"
#include "lxmd/helper/file.h"
#include "lxmd/helper/hot.h"

/* ---- the way in */

/* A file of init's directory in the host's /proc; it is init's for certain while the pidfd says that init lives. */
static int init_open(const struct hot *h, const char *file, struct lxm_err *e)
{
	char path[64];
	int fd;

	snprintf(path, sizeof(path), "%u/%s", h->job->pid, file);
	fd = openat(h->proc, path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return lxm_err_sys(e, "open '/proc/%s'", path);
	if (sys_pidfd_send_signal(HELP_FD_INIT, 0) < 0) {
		(void)close(fd);
		return lxm_err_set(e, ESRCH, "the instance has ended");
	}
	return fd;
}

static int enter(struct hot *h, struct lxm_err *e)
{
	if (setns(HELP_FD_INIT, CLONE_NEWNS) < 0)
		return lxm_err_sys(e, "enter the instance");
	h->root = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
	(void)umask(0);
	return h->root < 0 ? lxm_err_sys(e, "open the instance's root") : 0;
}

/* ---- mount */

/* As the instance's own root: what lies in the way may be anything that the instance can reach. */
static int child_make_target(const struct hot *h)
{
	const struct hot_job *j = h->job;
	int fd = -1;

	if (j->flags & HOT_PRIVILEGED || (setns(HELP_FD_INIT, CLONE_NEWUSER) == 0 && enter_become_root(NULL) == 0)) {
		if (enter_drop_caps(NULL) < 0)
			return EPERM;
		fd = target_open(h->root, j->target, true, j->flags & HOT_MKFILE ? TARGET_FILE : TARGET_DIR);
	}
	return fd < 0 ? errno : 0;
}

static int make_target(const struct hot *h, struct lxm_err *e)
{
	pid_t pid = fork();
	int status = 0;

	if (pid < 0)
		return lxm_err_sys(e, "start a process");
	if (pid == 0)
		_exit(child_make_target(h) & 127);
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	if (!WIFEXITED(status) || WEXITSTATUS(status)) {
		errno = WIFEXITED(status) ? WEXITSTATUS(status) : EIO;
		return lxm_err_sys(e, "make '%s' in the instance", h->job->target);
	}
	return 0;
}

static int open_target(const struct hot *h, struct lxm_err *e)
{
	const struct hot_job *j = h->job;
	int fd = target_open(h->root, j->target, true, TARGET_FOUND), r;

	if (fd < 0 && errno == ENOENT && j->flags & (HOT_MKDIR | HOT_MKFILE)) {
		r = make_target(h, e);
		if (r < 0)
			return r;
		fd = target_open(h->root, j->target, true, TARGET_FOUND);
	}
	return fd < 0 ? lxm_err_sys(e, "open '%s' in the instance", j->target) : fd;
}

/* Host ids. */
static uint32_t host_id(const struct hot *h, const char *map, uint32_t id, struct lxm_err *e)
{
	lxm_auto(fd_close) int fd = init_open(h, map, e);
	unsigned int inside, outside, count;
	char text[4096], *line, *rest = text;
	ssize_t n = fd < 0 ? -1 : lxm_read_full(fd, text, sizeof(text) - 1);

	text[n < 0 ? 0 : n] = 0;
	while ((line = strsep(&rest, "\n")))
		if (sscanf(line, "%u %u %u", &inside, &outside, &count) == 3 && id >= inside && id - inside < count)
			return outside + (id - inside);
	return UINT32_MAX;
}

/* A filesystem that is mounted for the instance: of a block device, or memory, whose top is the instance's root's. */
static int make_filesystem(const struct hot *h, int userns, struct lxm_err *e)
{
	const struct hot_job *j = h->job;
	char options[2200];
	uint32_t uid, gid;
	int r;

	if (strcmp(j->fstype, "tmpfs") != 0) {
		lxm_auto(fd_close) int fd = mountfd_new_text(j->fstype, j->source, j->options, j->attrs, e);

		r = fd < 0 ? fd : userns < 0 ? 0 : mountfd_idmap(fd, userns, e);
		return r < 0 ? r : LXM_TAKE(fd, -1);
	}
	uid = host_id(h, "uid_map", 0, e);
	gid = host_id(h, "gid_map", 0, e);
	if (uid == UINT32_MAX || gid == UINT32_MAX)
		return lxm_err_set(e, ESRCH, "the instance has ended");
	snprintf(options, sizeof(options), "%s,uid=%u,gid=%u", j->options, uid, gid);
	return mountfd_new_text(j->fstype, "tmpfs", options, j->attrs, e);
}

static int hot_mount(struct hot *h, struct lxm_err *e)
{
	const struct hot_job *j = h->job;
	lxm_auto(fd_close) int userns = j->flags & HOT_IDMAP ? init_open(h, "ns/user", e) : -1, mount = -1, target = -1;
	int r;

	if (j->flags & HOT_IDMAP && userns < 0)
		return LXM_TAKE(userns, -1);
	if (*j->fstype)
		mount = make_filesystem(h, userns, e);
	else
		mount = j->flags & HOT_PLAIN ? mountfd_clone_plain(j->source, j->flags & HOT_RECURSIVE, userns, j->attrs, e) :
					       mountfd_clone(AT_FDCWD, j->source, j->flags & HOT_RECURSIVE, userns, j->attrs, e);
	if (mount < 0)
		return LXM_TAKE(mount, -1);
	r = mountfd_propagate(mount, j->propagation ? j->propagation : MS_PRIVATE, e);
	if (r == 0)
		r = enter(h, e);
	if (r < 0)
		return r;
	target = open_target(h, e);
	r = target < 0 ? target : mountfd_attach(mount, target, e);
	return lxm_err_wrap(e, r, "mount at '%s'", j->target);
}

/* ---- device nodes: the kernel honours them, since /dev was made outside; ids are the instance's */

static int hot_node(struct hot *h, struct lxm_err *e)
{
	const struct hot_job *j = h->job;
	struct hot_owner o = { .root_uid = host_id(h, "uid_map", 0, e),
			       .root_gid = host_id(h, "gid_map", 0, e),
			       .uid = host_id(h, "uid_map", j->uid, e),
			       .gid = host_id(h, "gid_map", j->gid, e) };
	int r;

	if (o.root_uid == UINT32_MAX || o.root_gid == UINT32_MAX)
		return lxm_err_set(e, ESRCH, "the instance has ended");
	/* an id that the instance does not have: its root's, as at a start */
	o.uid = o.uid == UINT32_MAX ? o.root_uid : o.uid;
	o.gid = o.gid == UINT32_MAX ? o.root_gid : o.gid;
	/* ids change while the node is made; the right to make it must not go with them */
	if (prctl(PR_SET_SECUREBITS, SECBIT_NO_SETUID_FIXUP) < 0)
		return lxm_err_sys(e, "keep capabilities");
	r = enter(h, e);
	return r < 0 ? r : hot_node_make(h, &o, e);
}

/* What could not be told is no reason to do without the device: it goes along with the word that the work is done. */
static void tell(const struct hot *h, struct file_report *done)
{
	struct lxm_err e = { 0 };

	if (*h->job->uevent && hot_uevent(h, h->job->verb == HOT_NODE ? "add" : "remove", &e) < 0)
		snprintf(done->text, sizeof(done->text), "%s", e.msg);
}

static int work(struct hot *h, struct lxm_err *e)
{
	int r;

	switch (h->job->verb) {
	case HOT_MOUNT:
		return hot_mount(h, e);
	case HOT_UMOUNT:
		r = *h->job->source && stat(h->job->source, &h->source) < 0 && errno != ENOENT ? lxm_err_sys(e, "source '%s'", h->job->source) : 0;
		if (*h->job->fstype)
			h->source.st_dev = h->source.st_rdev;
		if (r == 0)
			r = enter(h, e);
		return r < 0 ? r : hot_umount(h, e);
	case HOT_NODE:
		return hot_node(h, e);
	default:
		r = enter(h, e);
		return r < 0 ? r : hot_node_remove(h, e);
	}
}

int hot_run(void)
{
	static unsigned char buf[HOT_JOB_MAX];
	struct file_report done = { .kind = FILE_DONE };
	struct hot h = { .root = -1 };
	struct hot_job job;
	struct lxm_err e = { 0 };
	int i, r;

	for (i = HELP_FD_JOB; i <= HELP_FD_INIT; i++)
		(void)fcntl(i, F_SETFD, FD_CLOEXEC);
	r = hot_job_read(HELP_FD_JOB, buf, &job, &e);
	h.job = &job;
	h.proc = open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (r == 0 && h.proc < 0)
		r = lxm_err_sys(&e, "open '/proc'");
	if (r == 0)
		r = work(&h, &e);
	if (r < 0) {
		done = (struct file_report){ .kind = FILE_FAILED, .code = -r };
		snprintf(done.text, sizeof(done.text), "%s", e.msg);
	} else {
		tell(&h, &done);
	}
	(void)file_report_send(HELP_FD_REPORT, &done, NULL, 0);
	return 0;
}
