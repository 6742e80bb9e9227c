/* What the files of lxm-monitor share: its state, the context of one start, and the parts' entry points. */
#ifndef LXM_MONITOR_MON_H
#define LXM_MONITOR_MON_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "lib/base/err.h"
#include "lib/mount/mountfd.h"
#include "lib/mount/root.h"
#include "lib/wire/monitor.h"
#include "lib/wire/plan.h"

/* Descriptors that lxmd/spawn hands over. */
enum { MON_FD_PLAN = 3, MON_FD_RUNDIR, MON_FD_CONTROL, MON_FD_FIRST_FREE };

#define MON_HIERS 16
#define RING_SIZE 65536u

#define MON_LINKS 64

/* A link made or lent for the container. */
struct mon_link {
	uint32_t kind; /* enum plan_nic_kind */
	int index;     /* VETH: of the host end, on the host; else inside */
	uint32_t mtu;  /* PHYSICAL: to be given back with, 0: as it is */
	uint32_t txqlen; /* PHYSICAL: the same, or PLAN_QUEUE_AS_IS */
	char peer[16], parent[16];
	char mac[18];  /* PHYSICAL: to be given back with, "": as it is */
};

/* Everything that lasts while the instance runs. One instance of it, static: the loop takes no memory. */
struct mon {
	int plan_fd;   /* what runs now */
	int next_fd;   /* what the next reboot runs instead, -1: the same again; from MON_PLAN */
	int rundir;    /* RUN/<id> */
	int listen;    /* monitor.sock */
	int own_netns; /* to come back from a container's */
	int root;      /* the root filesystem's mount, held past init's end so that its sync does not delay the report */
	struct root_rest rest; /* of making it; closed once lxmd knows how the start went */
	int dev;       /* the container's /dev, for guest.c */
	int guest;     /* listening end of /dev/lxd/sock, -1: there is none */
	int intercept; /* pidfd of the server of intercepted calls, -1: none */
	int held_netns; /* the container's, only while a physical link is in it */
	struct mon_link links[MON_LINKS];
	uint32_t nlinks;
	uint32_t outside; /* steps on the host's addresses, routes and proxies that are done: so many are undone */
	int ep;	       /* epoll of the loop */
	int pidfd;     /* of init */
	pid_t pid;
	uint32_t state; /* enum mon_state */
	uint32_t reboots;
	uint64_t start_ms;
	int64_t born_ms;  /* the same by the clock that does not jump */
	uint32_t hasty;	  /* reboots in a row, each soon after a start */
	int64_t again_ms; /* when a container that reboots all the time starts again, 0: none waits for that */
	uint32_t asked; /* MON_STOP or MON_REBOOT that waits until init listens, 0: none */
	char id[65];
	int clients[MON_CLIENTS]; /* control connections, -1: free */
	/* exec sessions that wait for a new lxmd */
	int park[2];		    /* helpers write to [1], which lxmd hands them; we read [0] */
	uint32_t nparked;
	int parked[MON_PARKED_MAX]; /* the first nparked: their sockets */
	/* console */
	int pty;	  /* master, -1: none */
	int console;	  /* attached client's end, -1: none */
	bool console_new; /* a client came in this turn of the loop */
	int64_t tick_ms;  /* when the present tick of the console began */
	uint32_t tick_bytes; /* read from the pty in it */
	bool pump_later;  /* enough for this tick: the next pump waits for its end */
	bool pump_again;  /* the last pump stopped before everything was moved */
	int64_t stall_ms; /* since when that client takes nothing, 0: it does */
	uint32_t ring_start, ring_len;
	uint32_t held, held_off; /* bytes of chunk that the client has yet to take */
	char chunk[4096];
	uint32_t typed, typed_off; /* bytes of keys that the pty has yet to take */
	char keys[1024];
	char ring[RING_SIZE];
};

#define TELL_BATCH 8 /* what one message takes */

/* Descriptors of mounts that travel in one message: a byte for each, TELL_FD or TELL_NONE, and the descriptors of the former. */
struct tell_batch {
	char what[TELL_BATCH];
	int fd[TELL_BATCH];
	unsigned int n, nfd;	   /* how many of both */
	unsigned int next, nextfd; /* child: the first one not heard */
};

/* One start, from reading the plan to init's execution. Lives on the stack of start_run(). */
struct start {
	struct mon *m;
	struct plan_view plan;
	uint32_t uid0, gid0; /* host ids of root inside */
	int sock;	     /* to the other side: parent <-> child */
	int pidfd;
	pid_t pid;
	int proc;   /* parent: /proc/PID of the child; child: the container's own proc */
	int userns; /* parent: of the child; -1 when privileged */
	int netns;  /* parent: of the child */
	int nl;	    /* parent: NETLINK_ROUTE socket on the host */
	int cgroup[MON_HIERS]; /* parent: the container's directory in each hierarchy, in plan order */
	int ncgroup;
	int unified;	       /* index in cgroup[], -1: none */
	bool devices_denied;   /* v1 devices: the first rule has denied all */
	int notify;	       /* parent: listener of init's filter, -1: none */
	int root, dev, pts;    /* child: mounts */
	int mounts[512];       /* child: filesystems made inside, in order of PLAN_MOUNT; -1: comes from the parent */
	int nmount;	       /* child: counter of the running phase */
	int slave;	       /* child: console */
	struct tell_batch batch; /* parent: not sent yet; child: not heard yet */
};

/* Messages on start.sock; parent to child one byte each, in the order of the phases. */
enum {
	TELL_MAPPED = 'm', /* id maps are written, cgroups joined */
	TELL_FD = 'f',	   /* [descriptor] */
	TELL_NONE = 'n',   /* instead of a descriptor: an optional one failed */
	TELL_DONE = 'd',   /* links are there; go on to the end */
};

/* Child to parent. */
struct told {
	uint32_t what; /* enum */
	struct lxm_err err;
};
enum { TOLD_CONSOLE = 1 /* [pty master] */, TOLD_NOTIFY /* [listener of the filter] */, TOLD_ERROR, TOLD_EXEC /* all is set up: init's program is next */ };

/* ---- start.c */

/** Run the plan: init executes when this returns 0; after a failure everything is undone. */
int start_run(struct mon *m, struct lxm_err *e);
/** After init's end: cgroups. Quick; may leave what is busy to cleanup_rest(). */
void cleanup_first(struct mon *m);
/** The slow rest: root filesystem, links. */
void cleanup_rest(struct mon *m);
/** Send one byte and perhaps a descriptor to the child. */
int tell(struct start *s, char what, int fd, struct lxm_err *e);
/** Parent, after a run of PLAN_MOUNT steps: send what mount_step_outside() still holds. */
int mounts_flush(struct start *s, struct lxm_err *e);

/* ---- child.c: runs in the new namespaces, never returns */
void child_main(struct start *s) __attribute__((noreturn));
/** Wait for a byte from the parent; *fd_out receives a descriptor or -1. */
int hear(struct start *s, char want, int *fd_out, struct lxm_err *e);

/* ---- steps: run by the tables in start.c and child.c. All return 0 or -errno. */
int cgroup_step_make(struct start *s, const struct plan_step *p, struct lxm_err *e);
int cgroup_step_set(struct start *s, const struct plan_step *p, struct lxm_err *e);
int cgroup_step_dev(struct start *s, const struct plan_step *p, struct lxm_err *e);
int cgroup_attach(struct start *s, struct lxm_err *e);
int cgroup_devices_done(struct start *s, struct lxm_err *e);
bool cgroup_clean(const struct plan_view *plan); /* true: all gone */
void cgroup_close(struct start *s);

int root_make(struct start *s, int *fd_out, struct lxm_err *e);
int dev_make(struct start *s, int *fd_out, struct lxm_err *e);
/* Child, /dev attached, the outer one still in sight: nodes that could not be made are those of the outer one. */
int dev_borrow(struct start *s, struct lxm_err *e);
int mount_step_outside(struct start *s, const struct plan_step *p, struct lxm_err *e);
int mount_step_make(struct start *s, const struct plan_step *p, struct lxm_err *e);
int mount_step_attach(struct start *s, const struct plan_step *p, struct lxm_err *e);
int protect_step(struct start *s, const struct plan_step *p, struct lxm_err *e);

int nic_step_make(struct start *s, const struct plan_step *p, struct lxm_err *e);
int nic_step_up(struct start *s, const struct plan_step *p, struct lxm_err *e);
int nic_loopback_up(struct lxm_err *e);
int nic_step_outside(struct start *s, const struct plan_step *p, struct lxm_err *e);
int nic_step_port(struct start *s, const struct plan_step *p, struct lxm_err *e);
int nic_step_inside(struct start *s, const struct plan_step *p, struct lxm_err *e);

int file_step(struct start *s, const struct plan_step *p, struct lxm_err *e);
int sysctl_step(struct start *s, const struct plan_step *p, struct lxm_err *e);

/* ---- nic_addr.c */
/** Remove the routes and proxy neighbours of the host that were made; those of links that are gone have gone with them. */
void nic_addr_clean(struct mon *m, const struct plan_view *plan);

/* ---- nic.c */
/** Make a link, enter it into m->links (-ENOSPC). Looks at s->m, s->nl, s->netns only. */
int nic_make(struct start *s, const struct plan_nic *n, struct lxm_err *e);
/** Move a lent link home under its own name, with its MAC and MTU; inside is a netlink socket there. */
int nic_move_back(int inside, const struct mon_link *l, int host_netns);

/* ---- links.c */
/** Note a link that nic_make() made; index 0: the one inside is looked up. There is room. */
int links_add(struct start *s, const struct plan_nic *n, int index, struct lxm_err *e);
/** Add a link to the running container, take one away; peer is the name that it was given inside. */
int links_hot_add(struct mon *m, const struct plan_nic *n, struct lxm_err *e);
int links_hot_del(struct mon *m, const char *peer, struct lxm_err *e);
/** After the end: give back what is lent. Quick where nothing is. */
void links_give_back(struct mon *m);
/** The rest: host ends. */
void links_clean(struct mon *m);

/* ---- guest.c */
/** Keep /dev (borrowed) and make /dev/lxd/sock there if the plan says so. The caller acts as root of the container. */
int guest_make(struct start *s, int dev, struct lxm_err *e);
/** Put the socket up (*fd_out receives a copy of the listening end) or take it away while the container runs. */
int guest_switch(struct mon *m, bool on, int *fd_out, struct lxm_err *e);
/** Its init has ended. */
void guest_close(struct mon *m);

/* ---- console.c */
/** Move bytes in both directions until nothing more goes. */
void console_pump(struct mon *m);
/** Milliseconds until a pump that was put off may go on, 0: now. */
int console_pause_ms(const struct mon *m);
int console_attach(struct mon *m, bool take_over, int *fd_out, struct lxm_err *e);
int console_log(const struct mon *m, int *fd_out, struct lxm_err *e);
void console_save(const struct mon *m, const char *path);
void console_close(struct mon *m);
int console_size(const struct mon *m, uint32_t rows, uint32_t cols);

/* ---- control.c */
int control_open(struct mon *m, struct lxm_err *e);
/** Take a new connection; its slot, or -1. */
int control_accept(struct mon *m);
void control_read(struct mon *m, int slot);
/** Send to all clients; how many took it. */
int control_event(struct mon *m, const struct mon_msg *msg, bool with_state);
void control_close(struct mon *m);
/** Try again what `asked` says. */
void control_retry(struct mon *m);

/* ---- sessions.c */
/** Make the socket that helpers park their sessions on. */
int sessions_open(struct mon *m, struct lxm_err *e);
/** Helpers have sent sessions: keep them, and tell who is connected. */
void sessions_read(struct mon *m);
/** MON_SESSION: *fd_out receives a session's socket, owned by the caller, -1: there is none. Returns how many are left. */
uint32_t sessions_take(struct mon *m, int *fd_out);
/** Let go of all: their helpers hang up. */
void sessions_close(struct mon *m);

/* ---- signals.c */
/** The signal that makes this init power off (or reboot). Returns it, or -EOPNOTSUPP with init's name in e. */
int signal_for_init(pid_t pid, bool reboot, struct lxm_err *e);

#endif
