/* raw.seccomp: a whole policy in liblxc's language. */
#ifndef LXM_INSTANCE_SECCOMP_RAW_H
#define LXM_INSTANCE_SECCOMP_RAW_H

#include <seccomp.h>

#include "lib/base/err.h"

/**
 * Read a policy of version 1 or 2.
 *
 * @ctx_out  the filter, for every width of the machine; seccomp_release() it; untouched on failure
 *
 * Strict: an unknown call, word or architecture is an error that names the line. "notify" and "trace" are refused: nobody would
 * answer. Any thread, no blocking. Returns 0 or -errno.
 */
int seccomp_raw_build(const char *text, scmp_filter_ctx *ctx_out, struct lxm_err *e);

#endif
