/* raw.mount.options of disks: a list of what may be said, and to which filesystem. */
#ifndef LXM_CONF_MOUNT_OPTIONS_H
#define LXM_CONF_MOUNT_OPTIONS_H

#include <stdint.h>

#include "lib/base/err.h"
#include "lib/base/str.h"

/**
 * Read a list of options.
 *
 * @text       "noexec,noatime,commit=30"; NULL: none
 * @fstype     of the filesystem that is mounted ("ext4", "tmpfs"); NULL: what is there already is shown, and has no options of its own
 * @attrs_out  MOUNT_ATTR_* are added
 * @own        receives the filesystem's own options as "a,b=c" behind what it holds; may be NULL
 *
 * What takes a protection away (suid, dev, exec) is no option. Any thread. Returns 0 or -EINVAL naming the option.
 */
int conf_mount_options(const char *text, const char *fstype, uint32_t *attrs_out, struct lxm_buf *own, struct lxm_err *e);

/** Is each of them an option of some filesystem? For key tables. */
int check_mount_options(const char *key, const char *value, struct lxm_err *e);

#endif
