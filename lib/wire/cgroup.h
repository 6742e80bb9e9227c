/* cgroups of instances: what the host has, where an instance lies in it, and freeze, kill, read, remove. */
#ifndef LXM_WIRE_CGROUP_H
#define LXM_WIRE_CGROUP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/base/err.h"
#include "lib/base/str.h"
#include "lib/wire/plan.h"

/*
 * Every hierarchy holds PARENT/ID, for example /sys/fs/cgroup/memory/lxm/1f2e3d4c.7: `parent` is chosen by the
 * daemon ("lxm", or another name when several daemons share a host), made once by cgroup_parent_make(); ID is the
 * plan's id. lxmd and the monitor both name things through this file.
 *
 * Orphans: when a monitor is killed its container's init gets SIGKILL with it (parent death signal). What survives
 * that is found by its cgroup: lxmd reads the directory names below PARENT (cgroup_list()), and for an id without a
 * monitor.sock that answers it calls cgroup_kill() and cgroup_remove(); the id is in the name, so host links and
 * mounts of that instance follow from the database.
 */

#define CGROUP_HIERS 16

struct cgroup_hier {
	char name[48];	 /* "memory", "cpu,cpuacct", "name=systemd", "unified" */
	char mount[128]; /* mount point */
	bool v2;
	char controllers[160]; /* v2: cgroup.controllers at the root, blank separated; v1: name */
};

struct cgroup_layout {
	struct cgroup_hier h[CGROUP_HIERS];
	size_t n;
	bool pure_v2; /* only the unified hierarchy exists */
};

/* v2: name of the program that decides on devices, and of the map {key -> uint32_t BPF_DEVCG_ACC_*} that it asks first. */
#define CGROUP_DEVICES_NAME "lxm_devices"
#define CGROUP_DEVICES_MAX  256
struct cgroup_device_key {
	uint32_t type; /* BPF_DEVCG_DEV_* */
	uint32_t major, minor;
};

/** Read the host's hierarchies from /proc/self/mountinfo. Any thread. Returns 0, -ENOENT (none), or another -errno. */
int cgroup_layout_read(struct cgroup_layout *out, struct lxm_err *e);
/** The hierarchy that has this controller ("memory", "freezer", "name=systemd"; "unified": v2); NULL if none. */
const struct cgroup_hier *cgroup_find(const struct cgroup_layout *l, const char *controller);
/** The unified hierarchy, NULL if the host has none. */
const struct cgroup_hier *cgroup_unified(const struct cgroup_layout *l);

/**
 * Make PARENT in every hierarchy and let controllers through to its children. Again is fine. Hierarchies in which that is not
 * allowed leave the layout: in a container some are its host's. Returns 0 or -errno.
 */
int cgroup_parent_make(struct cgroup_layout *l, const char *parent, struct lxm_err *e);
/** Remove PARENT where it is empty; the rest stays. */
void cgroup_parent_remove(const struct cgroup_layout *l, const char *parent);

/** Add one PLAN_CGROUP for each hierarchy. @delegate true for unprivileged containers (and nesting). */
int plan_add_cgroups(struct plan *p, const struct cgroup_layout *l, const char *parent, const char *id, bool delegate,
		     struct lxm_err *e);
/** The v1 cgroup.procs paths for exec_job.cgroup_procs; freed with lxm_strv_deinit(). */
void cgroup_exec_paths(const struct cgroup_layout *l, const char *parent, const char *id, struct lxm_strv *out);

/* @path is "PARENT/ID" in all of these; -ENOENT when the instance is not there. */

/** Stop or continue all processes and wait until it is so. v2 cgroup.freeze, v1 freezer. Returns 0, -ETIMEDOUT, -errno. */
int cgroup_freeze(const struct cgroup_layout *l, const char *path, bool on, int timeout_ms, struct lxm_err *e);
/** 1 frozen, 0 not, or -errno. */
int cgroup_frozen(const struct cgroup_layout *l, const char *path);
/** Kill every process (cgroup.kill, or one by one on v1, frozen ones thawed). 0 also when there is none. */
int cgroup_kill(const struct cgroup_layout *l, const char *path, struct lxm_err *e);
/** Remove the directories with all children, in every hierarchy; waits up to timeout_ms for the last process. */
int cgroup_remove(const struct cgroup_layout *l, const char *path, int timeout_ms, struct lxm_err *e);
/** Open a file of the instance's cgroup: cgroup_open(l, "memory", path, "memory.stat", O_RDONLY). fd or -errno. */
int cgroup_open(const struct cgroup_layout *l, const char *controller, const char *path, const char *file, int flags);
/** Read a small file whole, trailing newline cut. Returns length or -errno. */
int cgroup_read(const struct cgroup_layout *l, const char *controller, const char *path, const char *file, char *out, size_t size);
/** Read one number ("max" gives UINT64_MAX). Returns 0 or -errno. */
int cgroup_read_u64(const struct cgroup_layout *l, const char *controller, const char *path, const char *file, uint64_t *out);
/** Write a value to a live instance's cgroup. Returns 0 or -errno. */
int cgroup_write(const struct cgroup_layout *l, const char *controller, const char *path, const char *file, const char *value);
/**
 * Allow or deny one device of a running instance that has device rules (PLAN_CGROUP_DEV); the last word counts. Worker threads.
 *
 * @type  'c' or 'b'
 *
 * Returns 0, -EOPNOTSUPP (v2: its rules cannot be changed) or another -errno.
 */
int cgroup_device_rule(const struct cgroup_layout *l, const char *path, char type, unsigned int major, unsigned int minor, bool allow,
		       struct lxm_err *e);
/** Names of the directories below PARENT in any hierarchy: the ids that exist. */
int cgroup_list(const struct cgroup_layout *l, const char *parent, struct lxm_strv *out, struct lxm_err *e);

/* ---- by descriptor, for the monitor as well; no heap */

/** Remove dirfd/name with all cgroups below it. Returns 0, -EBUSY while processes are inside, or another -errno. */
int cgroup_rmdir_at(int dirfd, const char *name);
/** SIGKILL to each process of dirfd/name and below (v1). Returns how many were seen or -errno. */
int cgroup_kill_at(int dirfd, const char *name);

#endif
