/* Files inside instances, shared by the push and pull sides. */
#ifndef LXM_LXMC_FILE_H
#define LXM_LXMC_FILE_H

#include "lxmc/client.h"

/* "[REMOTE:]INSTANCE/PATH" taken apart. Zeroed is empty. */
struct file_target {
	struct client *client;
	const char *instance; /* points into head */
	char *head, *path;    /* owned; path begins with '/' */
};

/** Take an argument apart. Returns 0 or a usage error; deinit in any case. */
int file_target(struct cli *cli, const char *arg, struct file_target *t, struct lxm_err *e);
void file_target_deinit(struct file_target *t);
LXM_AUTO_STRUCT(file_target, struct file_target, file_target_deinit)

/** --uid, --gid and --mode; -1 each when not given. Returns 0 or a usage error. */
int file_owner(struct cli *cli, int64_t *uid, int64_t *gid, int64_t *mode, struct lxm_err *e);
/** Request path for a path inside the instance; free() it. */
char *file_url(const struct file_target *t, const char *path);
/** GET a small file into reply->body. */
int file_fetch(const struct file_target *t, const char *path, struct lxm_http_reply *reply, struct lxm_err *e);

#endif
