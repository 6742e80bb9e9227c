/* Files inside an instance, running or stopped: the daemon's side of lxm-helper's file job. */
#ifndef LXMD_INSTANCE_FILES_H
#define LXMD_INSTANCE_FILES_H

#include <stddef.h>
#include <stdint.h>

#include "lib/base/err.h"
#include "lib/wire/file.h"

struct caller;
struct files;
struct instance;
struct lxmd;
struct sftp_session;

/** The set of those who work on files; part of d->instances. */
struct files *files_new(void);
/** Ends the SFTP sessions first. Main thread, while loop and workers run. NULL is fine. */
void files_free(struct lxmd *d, struct files *f);

/**
 * Get, put or delete one file.
 *
 * @i     loaded and expanded
 * @job   verb and what belongs to it; where the instance is found is filled in here
 * @body  see spawn_file(); borrowed. After a FILE_GET it holds the content unless out->direct
 * @out   FILE_GET: what was found
 * @fd    FILE_GET: receives the file itself if out->direct, else -1; caller closes
 *
 * Worker threads; blocks. Returns 0, -ENOENT and whatever else the file system says, -EBUSY while the instance is between
 * running and stopped.
 */
int instance_file(struct lxmd *d, const struct instance *i, const struct file_job *job, int body, struct file_report *out, int *fd,
		  struct lxm_err *e);

/**
 * Get an SFTP server for an instance ready: it waits for the client's connection.
 *
 * @who  copied: the session is cut off when they lose the right
 * @out  receives it; ends with sftp_serve() or sftp_drop()
 *
 * Worker threads; blocks. Returns as instance_file().
 */
int instance_sftp(struct lxmd *d, const struct instance *i, const struct caller *who, struct sftp_session **out, struct lxm_err *e);
/** Give it the connection (taken) and what was read of it already. Any thread; does not block. As reply_upgrade() wants it. */
void sftp_serve(int fd, const void *extra, size_t len, void *session);
/** The connection never came. */
void sftp_drop(void *session);

/**
 * End all work on the files of a stopped instance and unmount its root, because its volume is about to be used otherwise: before
 * start, delete, restore. SFTP sessions end at once; single verbs get some seconds. Nothing open: returns at once.
 *
 * Worker threads; blocks. Whoever calls has made sure that nothing new begins (the instance is in the table of what
 * runs), or does not mind.
 */
void instance_files_end(struct lxmd *d, int64_t id);

#endif
