/* The hot job of lxm-helper: what its files share. This process is root of the host in the instance's mount namespace. */
#ifndef LXM_HELPER_HOT_H
#define LXM_HELPER_HOT_H

#include <sys/stat.h>

#include "lib/base/err.h"
#include "lib/wire/hot.h"

struct hot {
	const struct hot_job *job;
	int proc;	    /* O_PATH of the host's /proc: the instance's is not to be trusted */
	int root;	    /* O_PATH of the instance's root, once it is entered */
	struct stat source; /* UMOUNT: of the source; st_ino 0: there is none any more. Of a device that is mounted: st_dev alone */
};

/* Host ids. */
struct hot_owner {
	uint32_t root_uid, root_gid; /* root inside */
	uint32_t uid, gid;	     /* of the node */
};

/* Each: in the instance's mount namespace. Returns 0 or -errno. */

/** Unmount the source from the target, or from wherever HOT_SEARCH finds it. Nothing there is fine. */
int hot_umount(const struct hot *h, struct lxm_err *e);
/** Make the job's node. -EEXIST when something else has its name. */
int hot_node_make(const struct hot *h, const struct hot_owner *o, struct lxm_err *e);
/** Remove the job's node, and nothing else that has its name. */
int hot_node_remove(const struct hot *h, struct lxm_err *e);

/**
 * Tell the instance's programs of the job's node, as the kernel tells those of the host.
 *
 * @action  "add" or "remove"
 *
 * The last thing that this process does: it becomes the instance's root.
 */
int hot_uevent(const struct hot *h, const char *action, struct lxm_err *e);

#endif
