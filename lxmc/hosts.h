/* Which remotes "--on WORDS" means: all, groups of remotes, names and patterns; and the groups in the configuration. */
#ifndef LXM_LXMC_HOSTS_H
#define LXM_LXMC_HOSTS_H

#include "lib/base/err.h"
#include "lib/base/str.h"
#include "lxmc/conf.h"

/**
 * Choose remotes.
 *
 * @words  separated by commas: "all", a group, a remote, a pattern of remotes ("web*", "db[12]"); with '!' in front they are
 *         taken away from what the others chose (from all, when there are no others)
 * @out    emptied first; names in natural order (h2 before h10), each once
 *
 * Only servers are chosen, no image servers. Returns 0, or -ENOENT for a word that means nothing or when nothing is left.
 */
int hosts_choose(struct conf *conf, const char *words, struct lxm_strv *out, struct lxm_err *e);

/* Groups: config.yml's map "groups", which lxc does not know and leaves alone. */

/** Names of all groups, sorted. */
void group_names(struct conf *conf, struct lxm_strv *out);
/** The members of a group, as they were added. Returns 0 or -ENOENT. */
int group_members(struct conf *conf, const char *group, struct lxm_strv *out, struct lxm_err *e);
/** Add a remote to a group, which is made when it is the first. Returns 0, -EINVAL (a bad name) or -ENOENT (no such remote). */
int group_add(struct conf *conf, const char *group, const char *remote, struct lxm_err *e);
/** Take a remote out; remote NULL: the whole group. A group without members is gone. Returns 0 or -ENOENT. */
int group_remove(struct conf *conf, const char *group, const char *remote, struct lxm_err *e);
/** A remote has another name (to) or is forgotten (NULL): so it is in every group. */
void group_follow(struct conf *conf, const char *remote, const char *to);

#endif
