/* Running programs inside an instance. */
#ifndef LXMD_INSTANCE_EXEC_H
#define LXMD_INSTANCE_EXEC_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "lib/base/err.h"
#include "lib/base/kv.h"
#include "lib/base/str.h"

struct caller;
struct instance;
struct lxmd;
struct op;
struct run;

/* How long an exec session waits for the next lxmd, and then for a client, in seconds. */
#define EXEC_GRACE_S 300

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

/**
 * Go on with the exec sessions that an earlier lxmd left with this instance's monitor: each becomes an operation again, under its
 * old id. One with websockets waits for a client, exec_grace_s long, then it is hung up; others go on to their end.
 *
 * Worker or main thread; blocks up to a second for a session that does not answer, which will be back later.
 */
void execs_adopt(struct run *run);

/** The exec sessions of an instance that run (or wait for somebody to fetch their end), oldest first. Any thread. */
json_t *execs_list(struct lxmd *d, int64_t instance_id);

/** Let go of all sessions; their programs run on. Main thread, when no operation is worked on any more. */
void execs_stop(struct lxmd *d);

#endif
