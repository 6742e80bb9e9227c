/* What running instances use of the host: CPU, memory, disks, network, processes; read from cgroups and netlink. */
#ifndef LXMD_INSTANCE_USAGE_H
#define LXMD_INSTANCE_USAGE_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/base/auto.h"
#include "lib/base/err.h"

struct lxmd;
struct run;
struct usage_cache;

/* ---- single values, for one instance; 0 where the host does not tell. Any thread */

/** Nanoseconds of CPU time. */
uint64_t usage_cpu_ns(struct run *run);
uint64_t usage_processes(struct run *run);
/** Bytes now, at most so far, and swapped out. */
void usage_memory(struct run *run, uint64_t *now_out, uint64_t *peak_out, uint64_t *swap_out);

/* ---- everything, for all of them */

#define USAGE_NAME 64 /* kernel names: disks, links */

struct usage_cpu {
	uint64_t user_ns, system_ns;
};

struct usage_disk {
	char device[USAGE_NAME];
	uint64_t read_bytes, reads, written_bytes, writes;
};

struct usage_link {
	char name[USAGE_NAME]; /* chosen inside the instance */
	uint64_t rx_bytes, rx_packets, rx_errors, rx_dropped;
	uint64_t tx_bytes, tx_packets, tx_errors, tx_dropped;
};

/* File system below the root disk. */
struct usage_fs {
	char device[USAGE_NAME], type[32];
	uint64_t size, free, avail; /* bytes */
};

/* Fields of memory.stat and what belongs to it, in bytes. */
enum usage_mem {
	UM_ACTIVE_ANON,
	UM_ACTIVE_FILE,
	UM_CACHED,
	UM_DIRTY,
	UM_INACTIVE_ANON,
	UM_INACTIVE_FILE,
	UM_MAPPED,
	UM_RSS,
	UM_SHMEM,
	UM_SWAP,
	UM_UNEVICTABLE,
	UM_WRITEBACK,
	UM_USED,  /* charged now */
	UM_TOTAL, /* the limit, or what the host has */
	UM_OOM_KILLS, /* a count */
	UM_COUNT,
};

struct usage {
	char *project, *name; /* owned */
	struct usage_cpu *cpu; /* owned, n_cpu of them by CPU number; one for all of them where the host does not split it */
	struct usage_disk *disk; /* owned, n_disk of them */
	struct usage_link *link; /* owned, n_link of them */
	size_t n_cpu, n_disk, n_link;
	uint64_t mem[UM_COUNT];
	uint64_t processes, cpus; /* cpus: how many it may run on */
	struct usage_fs fs;	  /* size 0: not known */
};

/* A project and how many instances it has, running or not. */
struct usage_project {
	char *name; /* owned */
	uint64_t instances;
};

/* One look at all running instances; never changes once made. */
struct usages {
	struct usage *v; /* owned, n of them, by id */
	size_t n;
	struct usage_project *project; /* owned, n_project of them, by name; none without an instance */
	size_t n_project;
	int64_t taken_ms; /* lxm_mono_ms() */
	int refs;	  /* atomic */
};

/** An empty one; usage_cache_free() it. */
struct usage_cache *usage_cache_new(void);
/** NULL is fine. */
void usage_cache_free(struct usage_cache *c);

/**
 * All running instances, at most USAGE_MAX_AGE_MS old: callers at one time share one look.
 *
 * @out  a reference; usages_unref() it
 *
 * Any thread but the loop; reads the database, cgroups and the network, some 100 us for each instance when it is not
 * cached. Returns 0 or -errno.
 */
int usage_all(struct lxmd *d, struct usages **out, struct lxm_err *e);
void usages_unref(struct usages *u);
LXM_AUTO_PTR(usages_unref, struct usages, usages_unref)

#define USAGE_MAX_AGE_MS 900

#endif
