/* The file job: what lxm-helper does with the files of one instance, and what it reports back. */
#ifndef LXM_WIRE_FILE_H
#define LXM_WIRE_FILE_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/base/err.h"
#include "lib/wire/wire.h"

/*
 * lxmd fills a struct file_job; spawn_file() (lxmd/spawn/spawn.h) starts lxm-helper with it and returns a SOCK_SEQPACKET
 * socket, on which the helper sends struct file_report:
 *
 *	FILE_READY [root, user namespace]  it stands in the instance; the descriptors only when it made the root
 *	FILE_ALIVE                         a long copy goes on
 *	FILE_DONE [file]                   the verb is done; the last message
 *	FILE_FAILED                        it is not; the last message
 *
 * After FILE_READY of FILE_SFTP lxmd sends one message: the bytes that the client has sent already, with the descriptor of its
 * connection. Then the helper serves SFTP until that connection ends, the instance's init ends, or lxmd closes the socket.
 */

enum file_verb { FILE_GET = 1, FILE_PUT, FILE_DELETE, FILE_SFTP, FILE_VERBS };
enum file_type { FILE_TYPE_FILE = 1, FILE_TYPE_DIRECTORY, FILE_TYPE_SYMLINK, FILE_TYPES };

enum file_job_flag {
	FILE_RUNNING = 1,    /* HELP_FD_A is a pidfd of the instance's init; else it is stopped */
	FILE_ROOT_GIVEN = 2, /* stopped: HELP_FD_A is its root, HELP_FD_B its user namespace (not when privileged) */
	FILE_PRIVILEGED = 4, /* the instance has no user namespace */
	FILE_APPEND = 8,     /* FILE_PUT of a file: behind what is there */
	FILE_OVERLAY = 16,   /* the root to make: dir holds upper and work */
	FILE_UNMAPPED = 32,  /* the root to make: its files have the host's ids of the instance on disk */
};
#define FILE_JOB_FLAGS 63u

#define FILE_ID_UNSET UINT32_MAX /* uid, gid, mode: the default */
#define FILE_MAP_MAX  4096u	 /* what the kernel takes as uid_map */

/* Borrowed strings; NULL counts as "". */
struct file_job {
	uint32_t verb;	/* enum file_verb */
	uint32_t flags; /* enum file_job_flag */
	/* FILE_GET, FILE_PUT, FILE_DELETE */
	const char *path; /* inside path, absolute or not; any bytes */
	/* FILE_PUT */
	uint32_t type;	    /* enum file_type */
	uint32_t uid, gid;  /* container ids, for what is created */
	uint32_t mode;	    /* permission bits, for what is created */
	const char *target; /* FILE_TYPE_SYMLINK: where it points */
	/* stopped, without FILE_ROOT_GIVEN: the root to make. Host paths */
	const char *root_dir, *root_lower;
	const char *uid_map, *gid_map; /* text for /proc/PID/uid_map; "" when privileged */
	uint32_t uid0, gid0;	       /* host ids of root inside */
};

/** Encode and seal into a memfd. Any thread. Returns 0, -EINVAL (a string is too long) or another -errno. */
int file_job_seal(const struct file_job *j, int *fd_out, struct lxm_err *e);

/* A decoded job; strings point into the mapping. Zeroed is empty. */
struct file_view {
	struct file_job job;
	struct wire_mapping mapping;
};

/** Map, check and decode a job. The helper and tests. Returns 0, -EBADMSG or another -errno. */
int file_job_open(int fd, struct file_view *v, struct lxm_err *e);
/** The same for bytes in memory, which are borrowed. */
int file_job_check(const void *data, size_t len, struct file_view *v, struct lxm_err *e);
void file_job_close(struct file_view *v);

enum file_report_kind { FILE_READY = 1, FILE_ALIVE, FILE_DONE, FILE_FAILED, FILE_REPORTS };

struct file_report {
	uint32_t kind; /* enum file_report_kind */
	int32_t code;  /* FAILED: positive errno value */
	/* FILE_DONE of FILE_GET */
	uint32_t type;		 /* enum file_type */
	uint32_t uid, gid, mode; /* in the container's view; permission bits */
	uint32_t direct;	 /* 1: the descriptor is the file itself; 0: its content was written to the spool */
	uint64_t size;		 /* bytes of content; a directory's are its names, each with its NUL */
	int64_t mtime_s;
	char text[500]; /* FAILED: why */
};

/** Helper's side. @fds borrowed. Returns 0 or -errno. */
int file_report_send(int sock, const struct file_report *r, const int *fds, size_t nfds);
/**
 * lxmd's side: take one report; checked, because the helper has stood in a container.
 *
 * @fds  room for 2; what did not come is -1; caller closes
 *
 * Returns 1, 0 at end of file, -ETIMEDOUT, or another -errno.
 */
int file_report_recv(int sock, struct file_report *r, int fds[2], int timeout_ms, struct lxm_err *e);

#endif
