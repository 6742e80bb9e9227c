/* The console of an instance, attached to a client. */
#ifndef LXMD_INSTANCE_CONSOLE_H
#define LXMD_INSTANCE_CONSOLE_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/base/err.h"

struct caller;
struct instance;
struct lxmd;
struct op;

/**
 * Make the operation of a console session; op_start() sets it going.
 *
 * @force  take the console over from whoever has it
 *
 * Any thread. Returns 0, -ESRCH (400: not running) or another -errno. A console in use fails the operation.
 */
int instance_console(struct lxmd *d, const struct instance *i, uint32_t cols, uint32_t rows, bool force,
		     const struct caller *caller, struct op **op_out, struct lxm_err *e);

/**
 * What the console said lately.
 *
 * @fd_out  a file with it (caller closes), -1 when there is nothing
 *
 * Worker threads. Of a stopped instance: what its last run left. Returns 0 or -errno.
 */
int instance_console_log(struct lxmd *d, const struct instance *i, int *fd_out, struct lxm_err *e);
/** Forget it. Worker threads. */
int instance_console_clear(struct lxmd *d, const struct instance *i, struct lxm_err *e);

#endif
