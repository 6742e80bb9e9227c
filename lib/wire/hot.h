/* The hot job: one change to the devices of a running instance, made by lxm-helper. */
#ifndef LXM_WIRE_HOT_H
#define LXM_WIRE_HOT_H

#include <stdint.h>

#include "lib/base/err.h"
#include "lib/wire/wire.h"

/*
 * lxmd fills a struct hot_job; spawn_hot() (lxmd/spawn/spawn.h) starts lxm-helper with it and returns a socket, on which the helper sends
 * one struct file_report (lib/wire/file.h): FILE_DONE or FILE_FAILED.
 */

enum hot_verb {
	HOT_MOUNT = 1, /* source appears at target */
	HOT_UMOUNT,    /* source is no longer at target; fine when the instance has unmounted it */
	HOT_NODE,      /* a device node appears below /dev */
	HOT_UNNODE,    /* it goes; fine when it is gone */
	HOT_VERBS
};

enum hot_flag {
	HOT_RECURSIVE = 1,   /* MOUNT: with what is mounted below the source */
	HOT_IDMAP = 2,	     /* MOUNT: shift by the instance's id map */
	HOT_MKDIR = 4,	     /* MOUNT: make the target, a directory, if it is missing */
	HOT_MKFILE = 8,	     /* MOUNT: make the target, an empty file, if it is missing */
	HOT_PRIVILEGED = 16, /* the instance has no user namespace */
	HOT_PLAIN = 64,	     /* MOUNT: no link may be in the source */
	HOT_SEARCH = 32,     /* UMOUNT: wherever the instance has moved it to */
};
#define HOT_FLAGS 127u

/* Borrowed strings; NULL counts as "". */
struct hot_job {
	uint32_t verb;	/* enum hot_verb */
	uint32_t flags; /* enum hot_flag */
	uint32_t pid;	/* init of the instance, in lxmd's view; its pidfd comes beside the job */
	/* MOUNT, UMOUNT */
	const char *source;   /* host path without links */
	const char *target;   /* inside path, absolute. NODE, UNNODE: relative, below /dev */
	uint32_t attrs;	      /* MOUNT_ATTR_* */
	uint32_t propagation; /* 0 (private) or MS_SHARED, MS_SLAVE, MS_UNBINDABLE */
	const char *fstype;   /* MOUNT, UMOUNT: source is a block device that is mounted by itself, or "" for "tmpfs"; else "" */
	const char *options;  /* MOUNT: of that filesystem, "a,b=c" */
	/* NODE, UNNODE */
	uint32_t type;		     /* 'c' or 'b' */
	uint32_t major, minor, mode; /* permission bits */
	uint32_t uid, gid;	     /* container ids */
	const char *uevent;	     /* "" or what the kernel tells of it, "DEVPATH=/...\nKEY=VALUE\n...": programs inside hear of it too. Not with HOT_PRIVILEGED */
};

#define HOT_JOB_MAX    (16u * 1024)
#define HOT_UEVENT_MAX 1800 /* of `uevent`; the kernel's own bound is 2048 */

/** Encode and seal into a memfd. Any thread. Returns 0, -EINVAL (a value is out of bounds) or another -errno. */
int hot_job_seal(const struct hot_job *j, int *fd_out, struct lxm_err *e);
/**
 * Check and decode a job.
 *
 * @data  borrowed by *out
 *
 * Returns 0 or -EBADMSG.
 */
int hot_job_check(const void *data, size_t len, struct hot_job *out, struct lxm_err *e);
/** The same from a sealed memfd, through a buffer of the caller that *out borrows. */
int hot_job_read(int fd, unsigned char buf[HOT_JOB_MAX], struct hot_job *out, struct lxm_err *e);

#endif
