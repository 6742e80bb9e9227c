/* What the files of lxm-forward share: one job, one epoll, sources of events. One thread. */
#ifndef LXM_FORWARD_FORWARD_H
#define LXM_FORWARD_FORWARD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include "lib/base/err.h"
#include "lib/wire/forward.h"

#define CONNECTIONS_MAX	 4096 /* at a time; who comes then waits in the kernel's queue */
#define ASSOCIATIONS_MAX 1024 /* of UDP; the one that was quiet longest makes room */

/* Something epoll tells about; embed it. */
struct source {
	void (*ready)(struct source *s, uint32_t events); /* EPOLL* */
	int fd;						  /* closed by source_close() */
	uint32_t wanted;				  /* what epoll knows; 0: not in it */
};

/* A listening socket and the port that belongs to it on the other side. */
struct listener {
	struct source src;
	size_t index; /* of its port */
	bool paused;  /* nothing is accepted until there is room */
};

/* Filled by enter() and main(); constant afterwards. */
struct forwarder {
	const struct forward_job *job;
	struct listener *listeners; /* forward_ports(&job->listen) of them */
	size_t n;
	int root;     /* O_PATH of the root that the connecting side's socket path is looked up in, -1: not needed */
	int self_fds; /* O_PATH of the host's /proc/self/fd and working directory, with root */
	int epoll;
};
extern struct forwarder fwd;

/* ---- enter.c, sandbox.c: in this order, while starting; each returns 0 or -errno */

/** Make the listening sockets where they belong, and go where connections are made. */
int enter(struct lxm_err *e);
/** The job's FORWARD_UNLISTEN. */
int enter_unlisten(struct lxm_err *e);
/** Give up every right: ids, capabilities, the file system, system calls. */
int sandbox_enter(struct lxm_err *e);

/* ---- listen.c */

/**
 * Make one listening socket, in this process's network namespace.
 *
 * @dir  path of a Unix socket: directory to make it in; else unused
 *
 * A dead socket of that name is replaced. Returns the descriptor or -errno.
 */
int listen_open(const struct forward_end *end, size_t index, int dir, struct lxm_err *e);
/** Remove the socket `path` names in `dir` if nobody listens on it. Returns 0, -EADDRINUSE or another -errno. */
int listen_remove_dead(int dir, const char *name);

/* ---- loop.c */

/** Serve until init ends. Returns the exit status. */
int loop_run(void);
/** Milliseconds of a clock that only goes forward; the time at which this round of events began. */
int64_t loop_now(void);
/** Have epoll tell these events and no others; 0: none at all, not even errors. -errno when the kernel is out of memory. */
int source_want(struct source *s, uint32_t events);
/** Forget the source and close its descriptor; safe to repeat. */
void source_close(struct source *s);
/** Take nothing from a listener until loop_resume(), which is also called when nothing has happened for a while. */
void listener_pause(struct listener *l);
/** There is room for connections again. */
void loop_resume(void);

/* ---- dial.c */

/**
 * Begin to connect, without waiting.
 *
 * @index  of the port
 *
 * Returns a descriptor whose connection is made or under way (writable or in error once it is known), or -errno.
 */
int dial(size_t index);

/* ---- stream.c: tcp and Unix listeners */

/** Take every connection that waits. */
void stream_accept(struct source *listener, uint32_t events);
/** Free what ended in this round. */
void stream_reap(void);

/* ---- dgram.c: udp listeners */

/** Take the datagrams that wait. */
void dgram_receive(struct source *listener, uint32_t events);
/** End associations that were quiet too long. Returns milliseconds until the next one may, -1: there is none. */
int dgram_expire(void);

/* ---- header.c */

#define HEADER_MAX 108

/** The PROXY v1 line for a connection from `peer` to `local`; "PROXY UNKNOWN" unless both are internet addresses. Returns its length. */
size_t header_v1(const struct sockaddr_storage *peer, const struct sockaddr_storage *local, char out[HEADER_MAX]);

#endif
