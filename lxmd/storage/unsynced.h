/* A mark inside an unpacked image that stays until its blocks are known to be on the disk. Inside this room only. */
#ifndef LXMD_STORAGE_UNSYNCED_H
#define LXMD_STORAGE_UNSYNCED_H

#include <stdbool.h>

#include "lib/base/err.h"

struct pool;

/** Put the mark (with this boot's id) into a directory. */
int unsynced_mark(int dirfd, struct lxm_err *e);
/** Sync the pool's file system on a worker and take the mark out of `path` (inside the pool). */
void unsynced_sync_later(struct pool *pool, const char *path);
/** True if the directory carries a mark of another boot: the machine went down before its blocks were safe. *marked: of any boot. */
bool unsynced_doubtful(struct pool *pool, const char *path, bool *marked);

#endif
