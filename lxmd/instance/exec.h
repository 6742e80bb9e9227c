/* Running programs inside an instance (contract section 5.2). */
#ifndef LXMD_INSTANCE_EXEC_H
#define LXMD_INSTANCE_EXEC_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/base/err.h"
#include "lib/base/kv.h"
#include "lib/base/str.h"

struct caller;
struct instance;
struct lxmd;
struct op;

struct exec_request {
	struct lxm_strv argv;
	struct lxm_kv env; /* complete: request over instance over defaults; exec_env() */
	char *cwd;	   /* owned; NULL: HOME of env if it is there, else "/" */
	uint32_t uid, gid;
	bool websockets, interactive, record;
	uint32_t cols, rows;
};

/** Fill env: the request's variables over environment.* of the instance over PATH, LANG and, for uid 0, HOME and USER. */
void exec_env(const struct instance *i, uint32_t uid, const struct lxm_kv *request, struct lxm_kv *out);

/**
 * Make the operation of an exec; op_start() sets it going.
 *
 * @rq  taken over (emptied) on success and on failure
 *
 * Any thread. Returns 0, -ESRCH (400: not running), -EBUSY (400: frozen) or another -errno.
 */
int instance_exec(struct lxmd *d, const struct instance *i, struct exec_request *rq, const struct caller *caller,
		  struct op **op_out, struct lxm_err *e);

#endif
