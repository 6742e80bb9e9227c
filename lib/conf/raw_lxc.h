/* raw.lxc: lines of liblxc configuration, translated into keys of the instance where they mean the same. */
#ifndef LXM_CONF_RAW_LXC_H
#define LXM_CONF_RAW_LXC_H

#include <stdint.h>

#include "lib/base/err.h"
#include "lib/base/kv.h"

/* What no key of an instance says; among the translated pairs under these names. */
#define RAW_LXC_CAP_DROP "lxc.cap.drop" /* names with blanks between */
#define RAW_LXC_INIT_CMD "lxc.init.cmd" /* an absolute path and arguments, blanks between */

/**
 * Translate.
 *
 * @text  lines "KEY = VALUE"; '#' begins a comment
 * @out   receives keys such as environment.NAME with their values, each checked as if it had been set by itself
 *
 * Nothing is passed on as it is: a line that has no translation is an error that names it, and where there is one the way to say the
 * same. Any thread, no blocking. Returns 0 or -EINVAL.
 */
int raw_lxc_translate(const char *text, struct lxm_kv *out, struct lxm_err *e);

/** The capabilities of RAW_LXC_CAP_DROP as bits; 0 for NULL. The value has been checked. */
uint64_t raw_lxc_caps(const char *names);

#endif
