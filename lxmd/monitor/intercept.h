/* System calls of the container that are answered by us: the server's process and what its files share. */
#ifndef LXM_MONITOR_INTERCEPT_H
#define LXM_MONITOR_INTERCEPT_H

#include <linux/seccomp.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "lib/base/err.h"
#include "lib/wire/plan.h"

struct mon;

/* ---- intercept.c: the server */

/**
 * Start the process that answers, a child of the monitor; it ends with it.
 *
 * @notify  listener of init's filter; taken
 *
 * Returns 0 or -errno; on failure the calls give ENOSYS inside.
 */
int intercept_start(struct mon *m, int notify, const struct plan_view *plan, struct lxm_err *e);
/** End and reap it. */
void intercept_stop(struct mon *m);

/* ---- for the answering side: a process for each call, which may block and be killed */

/* One call and who makes it. */
struct call {
	const struct plan_view *plan;
	const struct plan_intercept *want;
	int notify;
	uint64_t id;
	pid_t tid; /* of the calling thread, on the host */
	int nr;
	uint64_t arg[6];
	int proc, mem; /* /proc/TID and its memory */
	/* of the caller, as the host sees it */
	uid_t fsuid;
	gid_t fsgid;
	uint64_t caps; /* effective */
	mode_t umask;
	pid_t pid_inside; /* the thread's own, in its pid namespace */
};

/* What an answer is: 0 or a positive result, -errno, or to let the kernel do what it does without us. */
#define CALL_CONTINUE INT64_MIN

/** Handlers return an answer. */
int64_t call_mknod(struct call *c);
int64_t call_setxattr(struct call *c);
int64_t call_sysinfo(struct call *c);
int64_t call_setscheduler(struct call *c);
int64_t call_mount(struct call *c);

/** Is the caller still there, waiting for this answer? To be asked after reading its memory or opening its /proc. */
bool call_valid(const struct call *c);
/** Copy a string of the caller, once. Returns its length, -EFAULT or -ENAMETOOLONG. */
int call_string(const struct call *c, uint64_t addr, char *buf, size_t size);
/** Copy bytes of the caller, or into it. Return 0 or -EFAULT. */
int call_read(const struct call *c, uint64_t addr, void *to, size_t n);
int call_write(const struct call *c, uint64_t addr, const void *from, size_t n);
static inline bool call_has(const struct call *c, int cap)
{
	return c->caps >> cap & 1;
}
/**
 * Take the caller's view of files: its mount namespace, root, working directory (or the directory it named), ids and umask; of the
 * host's capabilities only those in the mask remain. For the rest of this process.
 *
 * @dirfd  the caller's descriptor, or AT_FDCWD
 *
 * Returns 0 or -errno.
 */
int call_become(const struct call *c, int dirfd, uint64_t keep_caps);
/** Of this process's capabilities, in whatever user namespace it is, those in the mask remain.
 * Returns 0 or -errno. */
int call_keep_caps(uint64_t keep);
/**
 * Move this process into a cgroup of the container: on v1 the top one, on v2 the caller's own below
 * it, since one that has children takes no process. Returns 0 or -errno.
 */
int call_join(const struct call *c, const struct plan_cgroup *cg);

/* ---- call_mount.c, call_fuse.c */

/* The caller's arguments of mount(2), copied once. */
struct call_mount_args {
	char fstype[64], source[4096], target[4096], data[4096 - 128];
	uint64_t flags;
	bool fuse; /* by a program of the container's: */
	const char *program;
	size_t program_len;
};

/** Is it in a list such as "ext4,xfs=NAME"? Its value lies in the list, of length 0 where there is
 * none. */
bool call_listed(const char *list, const char *fstype, const char **value_out, size_t *len_out);
/** Have the program mount it, inside and with no rights but the container's. Returns an answer. */
int64_t call_mount_fuse(struct call *c, const struct call_mount_args *a);

#endif
