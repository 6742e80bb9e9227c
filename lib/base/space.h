/* How much of a file system stays free whatever clients send or ask for. No state, any process. */
#ifndef LXM_BASE_SPACE_H
#define LXM_BASE_SPACE_H

#include <stdbool.h>
#include <stdint.h>

struct statvfs;

/* Whoever writes without end looks again after so many bytes. */
#define LXM_SPACE_EVERY (1u << 20)

/** Bytes that are left alone: 2 % of the file system, at most 64 MiB. The database of a daemon lies there, perhaps. */
uint64_t lxm_space_reserve(const struct statvfs *v);

/** Is no more than that left where fd lies? Not on file systems that do not say how large they are. One fstatvfs(). */
bool lxm_space_low(int fd);

#endif
