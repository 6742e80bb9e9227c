/* The one error object: flat, no allocation, so that it works after fork and crosses a pipe whole. */
#ifndef LXM_BASE_ERR_H
#define LXM_BASE_ERR_H

#include "lib/base/auto.h"

struct lxm_err {
	int code;      /* positive errno value, 0 while nothing failed */
	int http;      /* reply status, 0: derive it from code */
	char msg[500]; /* outermost context first */
};

/**
 * Fill an error from errno: "MESSAGE: strerror(errno)".
 *
 * @e    the error to fill; may be NULL ("do not tell me")
 * @fmt  what was tried, the object in single quotes, no full stop
 *
 * Any thread, async-signal-unsafe only through vsnprintf. Returns -errno (never 0: errno 0 becomes EIO).
 */
int lxm_err_sys(struct lxm_err *e, const char *fmt, ...) LXM_PRINTF(2, 3);

/**
 * Fill an error with a code of the caller's choice and no errno text.
 *
 * @code  positive errno value
 *
 * Returns -code.
 */
int lxm_err_set(struct lxm_err *e, int code, const char *fmt, ...) LXM_PRINTF(3, 4);

/** As lxm_err_set(), with the HTTP status that the API caller shall see. Returns -code. */
int lxm_err_http(struct lxm_err *e, int http, int code, const char *fmt, ...) LXM_PRINTF(4, 5);

/**
 * Put context in front of an error that a callee filled: "CONTEXT: old message".
 *
 * @r  the callee's return value, handed through
 *
 * An empty message is filled from r first; r 0 leaves e alone. Returns r.
 */
int lxm_err_wrap(struct lxm_err *e, int r, const char *fmt, ...) LXM_PRINTF(3, 4);

/** The HTTP status for an error: e->http, else by e->code (ENOENT 404, EEXIST 409, EINVAL 400 ...). */
int lxm_err_status(const struct lxm_err *e);

/** Forget what an error says. */
void lxm_err_clear(struct lxm_err *e);

#endif
