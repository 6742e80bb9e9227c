/* The forward job: what one lxm-forward listens on, where it connects to, and who it is meanwhile. */
#ifndef LXM_WIRE_FORWARD_H
#define LXM_WIRE_FORWARD_H

#include <stddef.h>
#include <stdint.h>

#include "lib/base/err.h"
#include "lib/base/str.h"
#include "lib/wire/wire.h"

/*
 * lxmd encodes a struct forward_job; spawn_forward() (lxmd/spawn/spawn.h) starts lxm-forward with it and these descriptors. One struct
 * file_report (lib/wire/file.h) comes back: FILE_DONE once it listens, FILE_FAILED. Then the program serves until it is killed or the
 * instance's init ends. It holds a POSIX write lock on FORWARD_FD_LOCK as long as it lives: F_GETLK on that file tells its pid.
 */
enum { FORWARD_FD_JOB = 3, FORWARD_FD_REPORT, FORWARD_FD_INIT, FORWARD_FD_LOCK, FORWARD_FD_END };

enum forward_type { FORWARD_TCP = 1, FORWARD_UDP, FORWARD_UNIX, FORWARD_TYPES };

enum forward_flag {
	FORWARD_LISTEN_INSIDE = 1, /* listens in the instance and connects on the host; else the other way round */
	FORWARD_PRIVILEGED = 2,	   /* the instance has no user namespace */
	FORWARD_HEADER = 4,	   /* tell the client's address by a PROXY v1 header */
	FORWARD_UNLISTEN = 8,	   /* only remove the listening socket's path, if nobody listens there any more; no lock, then end */
};
#define FORWARD_FLAGS 15u

#define FORWARD_PORTS_MAX 1024 /* of one job */
#define FORWARD_PATH_MAX  107  /* bytes of a Unix socket's address */

/* Borrowed. */
struct forward_end {
	uint32_t type;		 /* enum forward_type */
	const char *address;	 /* IP address without brackets; absolute path, or "@NAME": abstract */
	struct wire_bytes ports; /* uint16_t each, of tcp and udp; listen: 1 to FORWARD_PORTS_MAX, connect: one, or as many as listen */
};

struct forward_job {
	uint32_t flags;		  /* enum forward_flag */
	uint32_t pid;		  /* init of the instance, in lxmd's view; its pidfd comes beside the job */
	uint64_t generation;	  /* tells one start of the instance from the next */
	uint32_t udp_idle_ms;	  /* an association without packets ends after this time */
	uint32_t uid, gid, mode;  /* of a listening Unix socket that has a path; ids of the listening side */
	uint32_t run_uid, run_gid; /* whose rights the process has where it connects, ids of that side; 0: as few as will do */
	struct forward_end listen, connect;
};

#define FORWARD_JOB_MAX (16u * 1024)

/** Encode; b is emptied first. Any thread. Returns 0, or -EINVAL (a value is out of bounds). */
int forward_job_encode(const struct forward_job *j, struct lxm_buf *b, struct lxm_err *e);

/** Decode and check; strings and ports point into data. Returns 0 or -EBADMSG. */
int forward_job_check(const void *data, size_t len, struct forward_job *out, struct lxm_err *e);

/** Read the job from its sealed memfd into buf, which out borrows. Returns 0, -EBADMSG or another -errno. */
int forward_job_read(int fd, unsigned char buf[FORWARD_JOB_MAX], struct forward_job *out, struct lxm_err *e);

/** How many ports an end has (a Unix socket: 1), and the one at an index; of a single port every index. */
size_t forward_ports(const struct forward_end *end);
uint16_t forward_port(const struct forward_end *end, size_t index);

#endif
