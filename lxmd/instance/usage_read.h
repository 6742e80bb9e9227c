/* Between the files of usage: one instance's readings, and the decoders of cgroup files (for tests). */
#ifndef LXMD_INSTANCE_USAGE_READ_H
#define LXMD_INSTANCE_USAGE_READ_H

#include "lxmd/instance/usage.h"

/** Fill a zeroed u with everything but its file system. Any thread. */
void usage_read(struct run *run, struct usage *u);

/** The number behind "KEY " at the start of a line; 0 if there is none. */
uint64_t usage_field(const char *text, const char *key);
/** cpuacct.usage_all ("CPU USER SYSTEM" in nanoseconds to a line). Returns how many of at most max were filled. */
size_t usage_parse_cpus(const char *text, struct usage_cpu *out, size_t max);
/** How many CPUs a list such as "0-3,7" names. */
uint64_t usage_count_cpus(const char *list);
/** blkio.throttle.* of cgroup v1: bytes or calls, into entries for each device. v has room for 64. */
void usage_parse_blkio(const char *text, bool bytes, struct usage_disk *v, size_t *n);
/** io.stat of cgroup v2. */
void usage_parse_io(const char *text, struct usage_disk *v, size_t *n);

#endif
