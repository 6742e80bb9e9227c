/* Messages between lxmd and lxm-monitor over SOCK_SEQPACKET at RUN/<id>/monitor.sock. */
#ifndef LXM_WIRE_MONITOR_H
#define LXM_WIRE_MONITOR_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/base/err.h"
#include "lib/wire/plan.h"
#include "lib/wire/wire.h"

/*
 * Who talks: up to MON_CLIENTS connections at a time, each checked to be host root (SO_PEERCRED). spawn_monitor()
 * hands lxmd the first one already connected; a later lxmd uses mon_connect().
 *
 * What comes from the monitor:
 *   - at once on a new connection MON_HELLO (on the first connection: MON_STARTED when init has been executed, or
 *     MON_FAILED with the whole error chain, after which the monitor cleans up and exits);
 *   - one reply, MON_OK or MON_ERROR, to each request, in order, with the request's seq;
 *   - events with seq 0 at any time, also between a request and its reply: MON_REBOOTED, MON_STOPPED.
 * MON_STOPPED is the last message. When it arrives init and all processes are gone, the cgroups are removed and
 * the socket's name is free again, so that the instance can be started anew at once; the monitor then closes the root
 * filesystem (which may sync to disk) and deletes host network links, and exits: its pidfd tells. End of file without
 * MON_STOPPED: the monitor was killed; see "orphans" in lib/wire/cgroup.h.
 *
 * An end that nobody is connected to hear is written to RUN/<id>/stopped, one line "REASON STATUS" (mon_reason_name());
 * it is removed when a monitor starts.
 */

#define MON_SOCKET  "monitor.sock"
#define MON_STOPPED_FILE "stopped"
#define MON_NOTIFY_SOCKET "notify.sock" /* takes listeners of filters with intercepted calls, one byte and a descriptor each; and mon_mounts */
#define MON_CLIENTS 8
#define MON_MAX	    4096 /* bytes of one message */
#define MON_FDS	    4	 /* descriptors with one message */
#define MON_PARKED_MAX 512 /* exec sessions that can wait for the next lxmd */

/* New rules for mount(), to MON_NOTIFY_SOCKET; answered by one byte. As plan_mounts. */
struct mon_mounts {
	uint32_t shift;
	char allowed[PLAN_MOUNTS_MAX], fuse[PLAN_MOUNTS_MAX];
};

enum mon_kind {
	/* requests; [fds with it], reply [fds with it] */
	MON_SIGNAL = 1,	   /* arg: signal number, to init */
	MON_STOP,	   /* clean stop by init's own signal; arg -1: it took too long, a reboot from inside is one again; the reply's arg is the signal that was sent, 0: will be once init listens */
	MON_REBOOT,	   /* clean reboot by init's own signal; reply as for MON_STOP; -EOPNOTSUPP when init knows none */
	MON_KILL,	   /* SIGKILL to init; the end comes as MON_STOPPED with MON_REASON_SIGNAL */
	MON_CONSOLE,	   /* arg: 1 takes over from an attached client (else -EBUSY); rows, cols; reply [stream socket of the console] */
	MON_CONSOLE_SIZE,  /* rows, cols */
	MON_CONSOLE_LOG,   /* reply [sealed memfd with what the ring buffer holds] */
	MON_CONSOLE_CLEAR, /* empties the ring buffer */
	MON_PLAN,	   /* [sealed plan]: what the next reboot runs; same id, same cgroups; -EBADMSG if it is not one */
	MON_QUERY,	   /* asks for MON_HELLO again [fds]; it comes with this request's seq instead of MON_OK */
	MON_GUEST,	   /* arg: 1 puts /dev/lxd/sock up, 0 takes it away; reply for 1: [its listening end] */
	MON_SESSION,	   /* takes an exec session that waits for a new lxmd: reply [its socket], arg: how many wait still; no fd: none */
	MON_NIC_ADD,	   /* [plan_nic_seal()]: make or lend that link */
	MON_NIC_DEL,	   /* text: its name inside, as given: delete it or give it back; -ENOENT */
	MON_REQUESTS,	   /* no request: the first number behind them */

	/* replies */
	MON_OK = 64,
	MON_ERROR, /* code, text */

	/* events */
	MON_HELLO = 128, /* state of things for a new connection: [pidfd, netlink, guest, park] as below; arg: enum mon_brings; code:
			  * how many exec sessions wait for MON_SESSION */
	MON_STARTED,	 /* init runs */
	MON_REBOOTED,	 /* a new init runs: like MON_HELLO, the earlier descriptors are to be closed */
	MON_FAILED,	 /* the start failed: code, text */
	MON_STOPPED,	 /* reason, status, text */
	MON_PARKED,	 /* exec sessions wait: ask for them with MON_SESSION */
	MON_KINDS
};

/* Which descriptors stand behind the pidfd, in this order. */
enum mon_brings { MON_BRINGS_NETLINK = 1, MON_BRINGS_GUEST = 2, MON_BRINGS_PARK = 4 };

enum mon_state { MON_STATE_STARTING = 1, MON_STATE_RUNNING, MON_STATE_STOPPING, MON_STATE_ENDED };

enum mon_reason {
	MON_REASON_POWEROFF = 1, /* init called reboot(POWER_OFF or HALT) */
	MON_REASON_REBOOT,	 /* reboot, and the plan says PLAN_STOP_ON_REBOOT */
	MON_REASON_EXIT,	 /* init exited by itself; status: its exit status */
	MON_REASON_SIGNAL,	 /* init was killed; status: the signal */
	MON_REASON_FAILED,	 /* a reboot's new start failed; text: why */
};

/* One message; what a kind does not use is 0 or "". */
struct mon_msg {
	uint32_t kind;	    /* enum mon_kind */
	uint32_t seq;	    /* chosen by the asker, not 0; 0 in events */
	int32_t arg;	    /* see the kinds */
	uint32_t rows, cols;
	int32_t code;	    /* MON_ERROR, MON_FAILED: positive errno value */
	uint32_t state;	    /* HELLO, STARTED, REBOOTED: enum mon_state */
	int32_t pid;	    /* the same: host pid of init */
	uint64_t start_ms;  /* the same: when init was started, milliseconds since 1970 */
	uint32_t reason;    /* STOPPED: enum mon_reason */
	int32_t status;	    /* STOPPED: see enum mon_reason; HELLO: number of reboots so far */
	const char *text;   /* NIC_DEL, ERROR, FAILED, STOPPED: points into the receive buffer */
};

/* What HELLO, STARTED and REBOOTED bring. -1: none. The caller closes them. */
struct mon_hello {
	int32_t pid;	   /* host pid of init */
	uint32_t state;	   /* enum mon_state */
	uint64_t start_ms; /* lxm_time of init's start */
	uint32_t reboots;
	uint32_t parked;   /* exec sessions that wait for MON_SESSION */
	int park;	   /* where helpers of exec sessions leave them (lib/wire/exec.h) */
	int pidfd;	   /* of init: readable when it has ended, for setns and signals */
	/* NETLINK_ROUTE socket inside the container's network namespace, fresh for this connection: dump links and
	 * addresses without entering. It keeps the namespace alive: close it on MON_STOPPED and MON_REBOOTED. */
	int netlink;
	/* Listening end of /dev/lxd/sock, non-blocking; the monitor holds it too, so that clients wait while no lxmd is there. */
	int guest;
};

void mon_hello_deinit(struct mon_hello *h);
#define MON_HELLO_EMPTY ((struct mon_hello){ .pidfd = -1, .netlink = -1, .guest = -1, .park = -1 })
LXM_AUTO_STRUCT(mon_hello, struct mon_hello, mon_hello_deinit)

/** "poweroff", "reboot", "exit", "signal", "failed"; "unknown". */
const char *mon_reason_name(uint32_t reason);
/** Back again; 0 for what is none. */
uint32_t mon_reason_parse(const char *name);

/* ---- both sides; no heap */

/** Encode into out (MON_MAX bytes). Returns the length or -EMSGSIZE; a long text is cut. */
int mon_encode(const struct mon_msg *m, unsigned char out[MON_MAX]);
/** Decode one message; text points into data. Returns 0 or -EBADMSG with the reason in e. */
int mon_decode(const void *data, size_t len, struct mon_msg *m, struct lxm_err *e);

/** Send one message with descriptors (borrowed). Blocks unless flags has MSG_DONTWAIT. Returns 0 or -errno. */
int mon_send(int sock, const struct mon_msg *m, const int *fds, size_t nfds, int flags);
/**
 * Receive one message.
 *
 * @buf   MON_MAX bytes that m->text will point into
 * @fds   room for MON_FDS; *nfds receives how many came; the caller closes them
 * @flags MSG_DONTWAIT or 0
 *
 * Returns 1, 0 at end of file, -EAGAIN, -EBADMSG, or another -errno.
 */
int mon_recv(int sock, struct mon_msg *m, unsigned char buf[MON_MAX], int *fds, size_t *nfds, int flags, struct lxm_err *e);

/* ---- lxmd's side; any thread, one at a time for each socket */

/**
 * Connect to a running monitor (adoption) and take its MON_HELLO.
 *
 * @rundir      directory RUN/<id>
 * @sock_out    the connection, blocking; caller closes
 * @hello_out   deinit by the caller
 *
 * The peer must be root. Waits up to timeout_ms. Returns 0, -ENOENT or -ECONNREFUSED (no monitor: nothing runs, or
 * it was killed), -ETIMEDOUT, -EPERM, or another -errno.
 */
int mon_connect(int rundir, int timeout_ms, int *sock_out, struct mon_hello *hello_out, struct lxm_err *e);

/** Take descriptors and numbers of a HELLO, STARTED or REBOOTED message; surplus descriptors are closed. */
void mon_take_hello(const struct mon_msg *m, int *fds, size_t nfds, struct mon_hello *hello_out);

/**
 * Wait for the report of a start on the socket from spawn_monitor().
 *
 * Returns 0 with *hello_out filled, the error of the failed step (its chain in e), -ETIMEDOUT, or -ECONNRESET when
 * the monitor died.
 */
int mon_wait_started(int sock, int timeout_ms, struct mon_hello *hello_out, struct lxm_err *e);

/**
 * Send a request without waiting; the reply is read by whoever owns reading on that socket (the event loop).
 *
 * @seq  not 0; comes back in the reply
 */
int mon_request(int sock, uint32_t kind, uint32_t seq, int32_t arg, uint32_t rows, uint32_t cols, int fd, struct lxm_err *e);

/**
 * One request on a connection of its own: connect, HELLO dropped, ask, wait for the reply, close. Simple and
 * thread safe; about 100 us. For callers that do not want to go through the loop's connection.
 *
 * @fd      sent along, -1 for none; borrowed
 * @arg_out receives the reply's arg; may be NULL
 * @fd_out  receives the reply's descriptor (-1: none); may be NULL
 */
int mon_call(int rundir, uint32_t kind, int32_t arg, uint32_t rows, uint32_t cols, int fd, int timeout_ms, int32_t *arg_out,
	     int *fd_out, struct lxm_err *e);

/** The same for MON_NIC_ADD (fd) and MON_NIC_DEL (text, fd -1). */
int mon_call_nic(int rundir, uint32_t kind, const char *text, int fd, int timeout_ms, struct lxm_err *e);

#endif
