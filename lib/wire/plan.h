/* The start plan: everything lxm-monitor does to start one instance, as flat steps with all values final. */
#ifndef LXM_WIRE_PLAN_H
#define LXM_WIRE_PLAN_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/base/err.h"
#include "lib/wire/wire.h"

/*
 * lxmd builds a plan with plan_new(), plan_add() in any order, plan_add_defaults() and plan_seal(), and gives the
 * sealed memfd to spawn_monitor(). The steps are sorted by kind, stably: the order within one kind is the order of
 * plan_add(). The monitor maps the memfd, checks all of it again (plan_open()) and runs it from one table.
 *
 * Ids ("uid", "gid") are container ids throughout, except where a field says host.
 * Paths: "host path" is absolute, made by lxmd and never by a client; "inside path" is absolute and is resolved in
 * the container's root, so links in it cannot lead outside.
 * Strings are borrowed by plan_add() for the call; NULL means "".
 */

enum plan_kind {
	PLAN_IDENTITY = 1, /* once: names */
	PLAN_OPTIONS,	   /* once: flags and small numbers */
	PLAN_IDMAP,	   /* each line of the id maps; none when privileged */
	PLAN_CGROUP,	   /* each hierarchy */
	PLAN_CGROUP_SET,   /* limits */
	PLAN_CGROUP_DEV,   /* device rules; the first one turns "all denied" on */
	PLAN_ROOT,	   /* once: the root filesystem */
	PLAN_LOWER,	   /* overlay: the lower layers, topmost first */
	PLAN_DEV,	   /* device nodes in /dev */
	PLAN_MOUNT,	   /* mounts below the root, in this order */
	PLAN_PROTECT,	   /* masked and read-only paths */
	PLAN_NIC,	   /* network interfaces */
	PLAN_NIC_ADDR,	   /* their addresses, on either side */
	PLAN_NIC_ROUTE,	   /* routes by them, on either side */
	PLAN_NIC_PROXY,	   /* addresses that a host link answers for */
	PLAN_FILE,	   /* files written inside after the pivot */
	PLAN_SYSCTL,	   /* /proc/sys of the container's namespaces */
	PLAN_RLIMIT,	   /* limits of init */
	PLAN_CAPS,	   /* at most once: capabilities that remain */
	PLAN_SECCOMP,	   /* at most once: the filter */
	PLAN_APPARMOR,	   /* at most once: label of init */
	PLAN_CONSOLE,	   /* at most once: console log */
	PLAN_ENV,	   /* init's environment */
	PLAN_ARG,	   /* init's argv, at least one, the first one an absolute inside path */
	PLAN_INTERCEPT,	   /* at most once: the filter has calls that we answer */
	PLAN_NIC_PORT,	   /* what holds the host ends of pairs, made anew with them at a reboot */
	PLAN_KINDS
};

struct plan_identity {
	const char *id;	      /* key of the run directory and cgroups: [A-Za-z0-9_.-]+, at most 64 */
	const char *name;     /* "project/name", for messages only */
	const char *hostname; /* at most 63 bytes */
};

enum plan_option {
	PLAN_PRIVILEGED = 1,  /* no user namespace: root inside is root outside */
	PLAN_NESTING = 2,     /* keep full copies of /proc and /sys at /dev/.lxm/{proc,sys}, so that nested managers can mount theirs */
	PLAN_STOP_ON_REBOOT = 4, /* a reboot from inside ends the monitor with reason MON_REASON_REBOOT instead of running the plan again */
	PLAN_HOST_NET = 8,    /* no network namespace of its own (only with PLAN_PRIVILEGED) */
	PLAN_GUEST_API = 16,  /* /dev/lxd/sock: a socket whose listening end lxmd gets with MON_HELLO */
};

struct plan_options {
	uint32_t flags;	       /* enum plan_option */
	uint32_t stop_signal;  /* number for a clean stop, 0: found out by looking at init */
	int32_t oom_score_adj; /* of init */
};

enum plan_map { PLAN_MAP_UID = 1, PLAN_MAP_GID = 2 };

struct plan_idmap {
	uint32_t which; /* PLAN_MAP_UID | PLAN_MAP_GID */
	uint32_t inside, host, count;
};

enum plan_cgroup_flag {
	PLAN_CG_V2 = 1,	     /* the unified hierarchy: init is born in it */
	PLAN_CG_DELEGATE = 2, /* owned by the container's root (always wanted for unprivileged ones) */
};

/* One hierarchy; lib/wire/cgroup.h has plan_add_cgroups(), which adds one for each that the host has. */
struct plan_cgroup {
	const char *hier;  /* its name there: "memory", "name=systemd", "unified" */
	const char *mount; /* host path of its mount point */
	const char *path;  /* below the mount point, "lxm/ID"; the parent exists, the last part is made and removed by the monitor */
	uint32_t flags;	   /* enum plan_cgroup_flag */
};

/* Written into the container's cgroup before init is in it. */
struct plan_cgroup_set {
	const char *hier, *file, *value;
	uint32_t optional; /* 1: a failure is ignored */
};

struct plan_cgroup_dev {
	uint32_t allow;	      /* 1 allow, 0 deny */
	uint32_t type;	      /* 'c', 'b' or 'a' */
	int32_t major, minor; /* -1: any */
	const char *access;   /* some of "rwm" */
};

enum plan_root_kind { PLAN_ROOT_OVERLAY = 1, PLAN_ROOT_BIND = 2 };
enum plan_root_flag {
	PLAN_ROOT_IDMAP = 1,	/* ids on disk are unshifted: idmapped mounts shift them (wanted for all but privileged) */
	PLAN_ROOT_VOLATILE = 2, /* overlay: no sync, for ephemeral instances */
	PLAN_ROOT_READONLY = 4,
	PLAN_ROOT_DEV = 8, /* device nodes on it work; only with device rules */
};

struct plan_root {
	uint32_t kind, flags;
	const char *dir; /* host path. OVERLAY: holds `upper` and `work`; BIND: the root itself */
};

struct plan_lower {
	const char *dir; /* host path */
};

struct plan_dev {
	const char *path; /* below /dev, relative: "null", "net/tun"; missing directories are made */
	uint32_t type;	  /* 'c' or 'b' */
	uint32_t major, minor, mode, uid, gid;
};

enum plan_mount_flag {
	PLAN_MNT_BIND = 1,	   /* source is a host path, opened by the monitor outside */
	PLAN_MNT_RECURSIVE = 2,	   /* with what is mounted below it */
	PLAN_MNT_IDMAP = 4,	   /* shift by the container's id map */
	PLAN_MNT_HOST = 8,	   /* a filesystem made by the monitor outside (block devices): fstype, source, options */
	PLAN_MNT_OPTIONAL = 16,	   /* a failure is ignored */
	PLAN_MNT_MKDIR = 32,	   /* make the target, a directory, if it is missing */
	PLAN_MNT_MKFILE = 64,	   /* make the target, an empty file, if it is missing */
	PLAN_MNT_PLAIN = 256,	   /* no link may be in the source */
	PLAN_MNT_DIR_LINKS = 128,  /* links in the target are followed (inside the root); else a link is an error */
};

/* Neither BIND nor HOST: a filesystem made inside (proc, sysfs, tmpfs, mqueue, cgroup2). */
struct plan_mount {
	const char *source;  /* BIND: host path; else fs source or "" */
	const char *target;  /* inside path */
	const char *fstype;  /* "" for BIND */
	const char *options; /* "key=value,flag": filesystem parameters, not mount flags */
	uint32_t attrs;	     /* MOUNT_ATTR_RDONLY | _NOSUID | _NODEV | _NOEXEC ... of linux/mount.h */
	uint32_t flags;	     /* enum plan_mount_flag */
	uint32_t propagation; /* 0 or MS_SHARED, MS_SLAVE, MS_PRIVATE, MS_UNBINDABLE */
};

/* PLAN_WRITABLE before a PLAN_READONLY above it keeps the branch writable. */
enum plan_protect_how { PLAN_MASK = 1, PLAN_READONLY = 2, PLAN_WRITABLE = 3 };

/* A missing path is fine. */
struct plan_protect {
	const char *path; /* inside path below /proc or /sys */
	uint32_t how;	  /* one of enum plan_protect_how */
};

enum plan_nic_kind {
	PLAN_NIC_VETH = 1,     /* pair; host end `host`, enslaved to `parent` unless that is "" */
	PLAN_NIC_MACVLAN = 2,  /* on top of host link `parent`, bridge mode */
	PLAN_NIC_PHYSICAL = 3, /* host link `parent` itself moves in; given back when the container ends */
	PLAN_NIC_IPVLAN = 4,   /* on top of host link `parent`, l2 mode unless PLAN_NIC_L3S */
};
enum plan_nic_flag {
	PLAN_NIC_ISOLATED = 1,	   /* bridge port isolation */
	PLAN_NIC_NO_MCAST_FLOOD = 2, /* no flooding of unknown multicast to this port */
	PLAN_NIC_NO_LEARNING = 4,
	PLAN_NIC_NO_IPV6 = 8,	   /* disable_ipv6 on the host end */
	PLAN_NIC_L3S = 16,	   /* IPVLAN: mode l3s */
	PLAN_NIC_DOWN = 64,	   /* VETH: the host end stays down, until PLAN_NIC_PORT or lxmd sets it up */
	PLAN_NIC_ROUTER = 32,	   /* VETH: the host end forwards, takes no router advertisements and no forged IPv4 sources */
};

#define PLAN_QUEUE_AS_IS UINT32_MAX /* leave the transmit queue's length alone; 0 is a length */

struct plan_nic {
	uint32_t kind, flags;
	const char *host;     /* host end's name, ours: "veth" + 8 hex digits; only VETH */
	const char *peer;     /* name inside: "eth0" */
	const char *parent;   /* bridge or parent link on the host */
	const char *mac;      /* inside "00:16:3e:..."; "": the kernel's choice */
	const char *host_mac; /* VETH: of the host end; "": fe: + the rest of mac, so that a bridge keeps its own address.
			       * PHYSICAL: what the link has when it is given back */
	uint32_t mtu;	      /* 0: the parent's */
	uint32_t host_mtu;    /* PHYSICAL: what the link has when it is given back, 0: as it is then */
	uint32_t txqlen;      /* length of the transmit queue, 0: the kernel's choice */
	uint32_t host_txqlen; /* PHYSICAL: what the link has when it is given back, or PLAN_QUEUE_AS_IS */
};

enum plan_port_flag {
	PLAN_PORT_VLANS = 1, /* exactly these VLANs */
	PLAN_PORT_UP = 2,    /* set the link up at the end */
};
#define PLAN_VLAN_BRIDGE 4095u /* untagged: where the bridge puts it */

/*
 * The host end of a pair, which is there by then. lxmd does the same after a start and at every change; here it is for a reboot from inside
 * that no lxmd sees: the link that it made it on is gone with the old init.
 */
struct plan_nic_port {
	const char *link;
	const char *mac;	/* who alone is behind it, for a bridge that does not learn it; "": nobody is named */
	const char *tagged;	/* "10,20-29" or "" */
	uint32_t flags;		/* enum plan_port_flag */
	uint32_t untagged;	/* VLAN of what has no tag, 0: nowhere */
	uint64_t rate;		/* bytes per second to the instance, 0: no limit */
	uint32_t burst, queue;	/* bytes; of the bucket, and of what waits before it */
};

/** The next range of a list of VLANs: 1, 0 at the end, -EINVAL. *p moves on. */
int plan_vlan_next(const char **p, uint16_t *first, uint16_t *last);

enum plan_side { PLAN_INSIDE = 1, PLAN_OUTSIDE = 2 };

/* An address of a link, which is there by then. */
struct plan_nic_addr {
	uint32_t side;	     /* enum plan_side */
	const char *link;
	const char *address; /* "10.0.0.5/32", "fd42::5/128" */
};

/* Routes on the host are removed when the container ends. */
struct plan_nic_route {
	uint32_t side;	  /* enum plan_side */
	const char *link;
	const char *dst;  /* "10.0.0.0/8"; "0.0.0.0/0" and "::/0" for a default route */
	const char *via;  /* gateway, "" for none */
	uint32_t table;	  /* 0: main */
};

/* An address that a host link answers for (proxy neighbour) until the container ends. */
struct plan_nic_proxy {
	const char *link;
	const char *address; /* "10.0.0.5" */
};

enum plan_file_flag {
	PLAN_FILE_CREATE_ONLY = 1, /* leave an existing file alone */
	PLAN_FILE_OPTIONAL = 2,	   /* a failure is ignored */
};

/* Missing parent directories are made (0755, root). */
struct plan_file {
	const char *path;	/* inside path */
	struct wire_bytes data; /* at most PLAN_FILE_MAX */
	uint32_t mode, uid, gid, flags;
};
#define PLAN_FILE_MAX (1u << 20)

struct plan_sysctl {
	const char *key, *value; /* "net.ipv4.ip_forward" (or with '/'), "1" */
};

struct plan_rlimit {
	uint32_t resource; /* RLIMIT_NOFILE ... */
	uint64_t soft, hard; /* RLIM_INFINITY: unlimited */
};

struct plan_caps {
	uint64_t keep; /* bit n: capability n stays in the bounding set; plan_caps_default() */
};

struct plan_seccomp {
	struct wire_bytes bpf; /* struct sock_filter[], at most 4096 of them; see lxmd/instance/seccomp.h */
};

enum plan_intercept_flag {
	PLAN_INTERCEPT_MKNOD = 1,    /* harmless device nodes */
	PLAN_INTERCEPT_SETXATTR = 2, /* trusted.overlay.opaque */
	PLAN_INTERCEPT_SYSINFO = 4,  /* the container's own memory and processes */
	PLAN_INTERCEPT_SCHED = 8,    /* sched_setscheduler(): real-time classes for its own processes */
	PLAN_INTERCEPT_MOUNT = 16,   /* mount() of filesystems that plan_intercept.mounts names; only with device rules */
};

#define PLAN_MOUNTS_MAX 1024u

/* What mount() may do there. Filesystems are words; a comma stands between two. */
struct plan_mounts {
	const char *allowed; /* "ext4,xfs": mounted by us, of block devices that the container may use */
	const char *fuse;    /* "ext4=fuse2fs": its own program does it */
	uint32_t shift;	     /* 1: ids on disk are the container's */
};

/* Goes with a PLAN_SECCOMP whose filter says "notify" for these calls. */
struct plan_intercept {
	uint32_t flags; /* enum plan_intercept_flag, at least one */
	struct plan_mounts mounts;
	struct wire_bytes inner; /* the filter of programs that we execute inside: the same one without "notify"; may be empty */
};

struct plan_apparmor {
	const char *label;
};

struct plan_console {
	const char *log; /* host path of the file that receives the ring buffer when the instance ends, "" for none */
	uint32_t rows, cols; /* 0: 24 x 80 */
};

struct plan_text {
	const char *s;
};

/* One step: kind says which member counts. */
struct plan_step {
	enum plan_kind kind;
	union {
		struct plan_identity identity;
		struct plan_options options;
		struct plan_idmap idmap;
		struct plan_cgroup cgroup;
		struct plan_cgroup_set cgroup_set;
		struct plan_cgroup_dev cgroup_dev;
		struct plan_root root;
		struct plan_lower lower;
		struct plan_dev dev;
		struct plan_mount mount;
		struct plan_protect protect;
		struct plan_nic nic;
		struct plan_nic_addr nic_addr;
		struct plan_nic_route nic_route;
		struct plan_nic_proxy nic_proxy;
		struct plan_nic_port nic_port;
		struct plan_file file;
		struct plan_sysctl sysctl;
		struct plan_rlimit rlimit;
		struct plan_caps caps;
		struct plan_seccomp seccomp;
		struct plan_intercept intercept;
		struct plan_apparmor apparmor;
		struct plan_console console;
		struct plan_text text; /* PLAN_ENV "KEY=value", PLAN_ARG */
	} u;
};

/* ---- for lxmd: building. A plan belongs to one thread. */

struct plan;

/** An empty plan; plan_free(). */
struct plan *plan_new(void);
void plan_free(struct plan *p);
LXM_AUTO_PTR(plan_free, struct plan, plan_free)

/**
 * Add one step: `plan_add(p, &(struct plan_step){ PLAN_NIC, .u.nic = { ... } }, e)`. Copies everything.
 *
 * The step is checked as the monitor will check it. Returns 0 or -EINVAL with the step and field named.
 */
int plan_add(struct plan *p, const struct plan_step *s, struct lxm_err *e);

/** Shorthand: PLAN_ARG and PLAN_ENV. -EINVAL for a key with '=' or a bad string. */
int plan_arg(struct plan *p, const char *arg, struct lxm_err *e);
int plan_env(struct plan *p, const char *key, const char *value, struct lxm_err *e);

/** How many steps of that kind it has so far. */
size_t plan_count(const struct plan *p, enum plan_kind kind);

/**
 * Add what every system container has: usual device nodes, /proc, /sys, /dev/mqueue, /dev/shm, protected paths.
 *
 * @flags  the flags given to PLAN_OPTIONS (they decide what is protected and whether /sys is writable)
 *
 * Capabilities are those of plan_caps_default(), unless a PLAN_CAPS is there already. /dev itself (tmpfs), /dev/pts and /dev/console
 * are always made by the monitor.
 */
int plan_add_defaults(struct plan *p, uint32_t flags, struct lxm_err *e);

/** Capabilities a system container keeps: all but SYS_MODULE, SYS_RAWIO, SYS_TIME, MAC_ADMIN, MAC_OVERRIDE. */
uint64_t plan_caps_default(void);

/**
 * Write the plan into a sealed memfd for spawn_monitor() or MON_PLAN.
 *
 * @fd_out  receives it (caller closes); untouched on failure
 *
 * Returns 0, -EINVAL (a required step is missing), -EMSGSIZE (over PLAN_MAX) or another -errno.
 */
int plan_seal(const struct plan *p, int *fd_out, struct lxm_err *e);

#define PLAN_MAX (16u << 20)

/* ---- for lxm-monitor and tests: reading */

/* A mapped plan. Zeroed is empty. */
struct plan_view {
	struct wire_doc doc;
	struct wire_mapping mapping;
	uint32_t options; /* flags of PLAN_OPTIONS */
	uint32_t first[PLAN_KINDS]; /* where the steps of a kind begin, 0: there are none */
};

/**
 * Map a plan's memfd and check all of it: seals, layout, every step.
 *
 * @fd  borrowed; the view stays valid after it is closed
 *
 * No heap. Returns 0, -EBADMSG or another -errno.
 */
int plan_open(int fd, struct plan_view *view_out, struct lxm_err *e);
/** The same for bytes in memory, which the view borrows. */
int plan_check(const void *data, size_t len, struct plan_view *view_out, struct lxm_err *e);
void plan_close(struct plan_view *v);

/**
 * One link alone, for MON_NIC: check as plan_add() does and write into a sealed memfd.
 *
 * @fd_out  receives it (caller closes)
 */
int plan_nic_seal(const struct plan_nic *n, int *fd_out, struct lxm_err *e);
/** Read and check it; the strings point into the view until plan_close(). Returns 0, -EBADMSG or another -errno. */
int plan_nic_open(int fd, struct plan_view *view_out, struct plan_nic *n_out, struct lxm_err *e);

/** The next step; *pos starts at 0. Strings point into the view. Returns 1, 0 at the end. */
int plan_next(const struct plan_view *v, size_t *pos, struct plan_step *s);
/** The next step of that kind; the others are not even decoded. Returns 1, 0 at the end. */
int plan_next_of(const struct plan_view *v, enum plan_kind kind, size_t *pos, struct plan_step *s);
/** The first step of that kind. Returns 1, or 0 if there is none. */
int plan_find(const struct plan_view *v, enum plan_kind kind, struct plan_step *s);
/** "mount", "nic": for messages. */
const char *plan_kind_name(uint32_t kind);
/** Host id of a container id, or -1 as uint32_t if it is not mapped. @which PLAN_MAP_UID or PLAN_MAP_GID */
uint32_t plan_host_id(const struct plan_view *v, uint32_t which, uint32_t id);

#endif
