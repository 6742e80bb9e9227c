/* The daemon object: settings, directories and the parts that everything else reaches through it. */
#ifndef LXMD_CORE_DAEMON_H
#define LXMD_CORE_DAEMON_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/base/err.h"
#include "lib/base/time.h"

struct db_node;
struct db_cluster;
struct loop;
struct workers;
struct events;
struct ops;
struct locks;
struct schedule;
struct idle;
struct trust;
struct audit;
struct http;
struct identity;
struct storage;
struct images;
struct networks;
struct instances;
struct guests;
struct forwards;
struct plugs;

/* One directory of the daemon, open for as long as the daemon lives. */
struct lxmd_dir {
	char *path; /* absolute */
	int fd;	    /* O_PATH | O_DIRECTORY | O_CLOEXEC */
};

/* What argv and the environment say; filled by main before daemon_open(). */
struct lxmd_config {
	const char *dir;   /* LXMD_DIR, NULL: the installed places */
	const char *group; /* group of unix.socket, NULL: "lxm" where it exists */
	bool debug;
	bool verbose; /* log each request */
};

/*
 * One per process. Fields are set while the daemon starts, before other threads read them, and never
 * change afterwards; what they point to looks after its own locking.
 */
struct lxmd {
	struct lxmd_config config;
	bool private_dir; /* LXMD_DIR was set: keep everything inside, choose names free of conflict */
	lxm_time started_at;

	struct {
		struct lxmd_dir top;	  /* LXMD_DIR: unix.socket, lock, server.crt */
		struct lxmd_dir run;	  /* run state: monitors' sockets */
		struct lxmd_dir log;	  /* logs, one directory per instance below */
		struct lxmd_dir cache;	  /* spooled uploads, downloads, scratch; emptied at start */
		struct lxmd_dir database; /* node.db, cluster.db */
		struct lxmd_dir images;	  /* image files by fingerprint */
		struct lxmd_dir pools;	  /* one directory per storage pool */
		struct lxmd_dir networks; /* one directory per managed network */
		struct lxmd_dir backups;  /* instance backups */
	} dirs;

	char *bin_dir;	     /* where lxm-monitor, lxm-helper and lxmc lie */
	char *templates_dir; /* recipes: beside the binary in the source tree, else in PREFIX/share/lxm */
	char *profiles_dir;  /* built-in profiles and policies, found likewise */
	char *server_name;   /* host name at start: environment.server_name, location names */

	struct db_node *node;  /* this host's database */
	struct db_cluster *db; /* what a cluster shares */

	struct loop *loop;	 /* the epoll thread */
	struct workers *workers; /* blocking work */
	struct locks *locks;	 /* named locks */
	struct events *events;
	struct ops *ops;
	struct schedule *schedule; /* what happens by the clock */
	struct idle *idle;	 /* what happens at rest */
	struct audit *audit; /* who changed what */
	struct trust *trust; /* client certificates and what they may do */
	struct http *http;
	struct identity *identity; /* certificate and addresses of this server */

	struct storage *storage; /* filled by storage_start(), and so on */
	struct images *images;
	struct networks *networks;
	struct guests *guests;
	struct forwards *forwards; /* processes of proxy devices */
	struct plugs *plugs; /* device nodes that come and go */
	struct instances *instances;

	uint64_t nofile_soft, nofile_hard; /* RLIMIT_NOFILE before we raised it: what children should get */

	int lock_fd;  /* holds LXMD_DIR/lock */
	int stop_fd;  /* eventfd: written by daemon_stop() */
	bool ready;   /* atomic: the last start step is done */
	bool stopping; /* atomic: daemon_stop() was called */
};

/**
 * Create and open the directories and take the lock on them.
 *
 * @config  copied; strings borrowed for the daemon's life
 * @d_out   receives the daemon, daemon_close() it
 *
 * Main thread, before any other thread. Returns 0, -EBUSY with a clear text when another lxmd holds the
 * directory, or another -errno.
 */
int daemon_open(const struct lxmd_config *config, struct lxmd **d_out, struct lxm_err *e);

/** Start loop, workers, locks, events and operations. Main thread. Returns 0 or -errno. */
int daemon_start_core(struct lxmd *d, struct lxm_err *e);

/** End what daemon_start_core() started; no other thread may use the daemon any more. Main thread. */
void daemon_stop_core(struct lxmd *d);

/** Release everything, NULL is fine. Main thread. */
void daemon_close(struct lxmd *d);

/** Ask the daemon to end cleanly (containers stay). Any thread, also a signal handler. */
void daemon_stop(struct lxmd *d);

/** Fill config.dir's default: LXMD_DIR of the environment or NULL. Any thread. */
const char *daemon_env_dir(void);

/** Path of the Unix socket for a directory as daemon_env_dir() gives it; free() it. Any thread. */
char *daemon_socket_path(const char *dir);

/** Path of anything else below it, such as "database"; free() it. Any thread. */
char *daemon_sub_path(const char *dir, const char *name);

/** True while some process holds the lock of that directory. Any thread. */
bool daemon_dir_in_use(const char *dir);

#endif
