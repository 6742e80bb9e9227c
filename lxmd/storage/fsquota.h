/* Project quotas: how much a volume may hold, kept by the file system below its pool (ext4, xfs). */
#ifndef LXMD_STORAGE_FSQUOTA_H
#define LXMD_STORAGE_FSQUOTA_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/base/err.h"

struct pool;
struct volume_usage;

/*
 * Each volume's directory is a project of its own from before there is anything in it, and all that is made below inherits that: no tree is
 * ever walked. The project's number follows from the directory's inode, FSQUOTA_FIRST + inode % FSQUOTA_COUNT, and is read back from the directory
 * alone: a rename keeps it, a copy has its own. LXD numbers its projects from 10000 on, so both can share a file system.
 */
#define FSQUOTA_FIRST 0x40000000u
#define FSQUOTA_COUNT 0x40000000u

/** Does the file system of this directory count projects, and keep their limits? Any thread; three system calls. */
bool fsquota_works(int dirfd);

/**
 * Make a directory (0700) that becomes a volume, or lies in one. In a pool with quotas a volume's is a project of its own without a limit.
 *
 * @path  in the pool
 *
 * Returns 0 or -errno.
 */
int fsquota_mkdir(struct pool *pool, const char *path, struct lxm_err *e);

/**
 * Set the limit of a volume.
 *
 * @vol     its path in the pool
 * @bytes   0: none
 * @anyway  also below what it holds already: then it can only shrink
 *
 * Returns 0, -EOPNOTSUPP (no quotas here, or it was made before there were any), -ENOSPC (400: it holds more) or another -errno.
 */
int fsquota_set(struct pool *pool, const char *vol, uint64_t bytes, bool anyway, struct lxm_err *e);

/** What a volume holds, and its limit: without looking at its files. Returns 0, or -EOPNOTSUPP where that is not counted. */
int fsquota_usage(struct pool *pool, const char *vol, struct volume_usage *out);

/** A volume is about to be removed: nobody inherits its limit. Never fails. */
void fsquota_drop(struct pool *pool, const char *vol);

#endif
