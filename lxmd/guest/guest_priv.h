/* What the files of the guest API share. */
#ifndef LXMD_GUEST_GUEST_PRIV_H
#define LXMD_GUEST_GUEST_PRIV_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "lib/base/str.h"
#include "lxmd/core/loop.h"
#include "lxmd/guest/guest.h"
#include "lxmd/guest/http.h"

struct ws;

/* What one instance, and all together, can have at one time. */
#define GUEST_CONNS	16    /* connections of root; more wait in the socket's backlog */
#define GUEST_OTHERS	4     /* connections of others, who are only told that they may not */
#define GUEST_LISTENERS 8     /* websockets on /1.0/events */
#define GUEST_QUEUE_MAX 65536 /* bytes that a listener may leave unread */
#define GUEST_IDLE_MS	30000
#define GUEST_OTHER_MS	2000
#define GUEST_BURST	200 /* requests at once, */
#define GUEST_PER_S	50  /* and in the long run */
#define GUESTS_JOBS	4   /* requests of all instances that are answered at the same time */
#define GUESTS_EXPORTS	4   /* images of all instances that are sent at the same time */

struct guest_conn;

/* Connections in the order they came. */
struct guest_fifo {
	struct guest_conn *first, *last;
};

/* The room's object. Fields belong to the loop thread unless they say otherwise. */
struct guests {
	struct lxmd *d;
	const struct guest_ops *ops;
	struct guest *ready_first, *ready_last; /* those with a request to be answered, in turn */
	unsigned int jobs, exports;

	struct worker_group *under_way; /* jobs on workers, both kinds */
};

/* What tells the guest's own processes from others, and its root from its users. */
struct peer_base {
	uint64_t ns_dev, ns_ino; /* init's pid namespace */
	uid_t root;		 /* host id of root inside */
};

struct guest_listener {
	struct guest *g;
	struct ws *ws; /* a reference; NULL: free */
	int types;
};

/* One instance. Fields belong to the loop thread unless they say otherwise. */
struct guest {
	struct guests *all;
	int64_t id;	      /* fixed */
	struct peer_base base; /* fixed */
	int refs;	      /* atomic */
	bool closed;	      /* atomic */
	int fd;
	struct loop_watch *watch;
	bool full; /* not accepting */
	unsigned int conns, others;
	struct guest_fifo waiting; /* whole requests, in turn */
	bool busy, queued;	   /* one of them is being answered; this is in the ready list */
	struct guest *next_ready;
	int64_t tokens_ms; /* requests it may make, in ms of GUEST_PER_S; counted at... */
	int64_t counted_ms;
	loop_timer_id throttle;
	struct guest_conn *list; /* all connections */
	struct guest_listener listeners[GUEST_LISTENERS];
};

enum conn_state { CONN_READ, CONN_WAIT, CONN_WORK, CONN_WRITE };

/* What is to be said. */
struct guest_answer {
	int status;
	const char *type;      /* static; NULL: none */
	struct lxm_buf body;
	int events;	       /* enum guest_event bits: become a listener instead */
	char *image, *project; /* owned: send this image instead */
};

struct guest_conn {
	struct guest *g; /* a reference */
	struct guest_conn *next, *prev; /* in g->list */
	struct guest_conn *next_waiting;
	int fd;
	struct loop_watch *watch;
	loop_timer_id timer;
	enum conn_state state;
	bool dead;  /* to be freed when its job is done */
	bool other; /* counted as one of `others` */
	bool known; /* job only: its peer was looked at */
	pid_t pid;  /* fixed: its peer, when it connected */
	uid_t uid;
	size_t len;
	struct guest_request rq;
	struct guest_answer ans;
	struct lxm_buf out; /* being written */
	size_t out_off;
	char in[GUEST_REQUEST_MAX + 1];
};

/* ---- conn.c; loop thread */
/** A new connection, fd taken. */
void conn_new(struct guest *g, int fd);
/** Close it and forget it, at once or when its job is done. */
void conn_end(struct guest_conn *c);
/** Its job is done: say what it found. */
void conn_answer(struct guest_conn *c);

/* ---- guest.c */
/** Loop thread: a whole request waits for its turn. */
void guest_wants_turn(struct guest_conn *c);
/** Loop thread: one connection less. */
void guest_conn_gone(struct guest_conn *c);
/** Loop thread: run fn on a worker, then done on the loop thread, both with the connection. */
void guest_job(struct guest_conn *c, void (*fn)(struct guest_conn *c), void (*done)(struct guest_conn *c));
/** Loop thread: make a listener of a connection that was told 101; ws taken. False: too many. */
bool guest_listen(struct guest *g, struct ws *ws, int types);

/* ---- peer.c; worker */
/** Look at init. Any thread. Returns 0 or -errno. */
int peer_look(pid_t init_pid, int init_pidfd, struct peer_base *out);
/** Does that process live in the guest's pid namespace, or in one below it? */
bool peer_belongs(const struct guest_conn *c);

/* ---- answer.c; worker */
/** Look the request up in the table of routes and fill c->ans. */
void answer_request(struct guest_conn *c);

/* ---- export.c; worker */
/** Send the image c->ans.image, head and all. Blocks as long as the guest takes bytes. */
void export_image(struct guest_conn *c);

#endif
