/* Opening a TCP connection when a server has several addresses: tried side by side, the first that opens wins. */
#ifndef LXM_TLS_TCP_RACE_H
#define LXM_TLS_TCP_RACE_H

#include <stddef.h>
#include <stdint.h>

#include "lib/base/err.h"
#include "lib/base/str.h"

struct lxm_race; /* opaque; one thread */

/**
 * Look the addresses up; nothing is connected yet.
 *
 * @addresses  NULL-terminated, as lxm_tls_split_address() takes them; borrowed for the race's life
 * @port       for those without one
 *
 * Blocks on names (DNS), not on numbers. What cannot be looked up counts as an address that failed. Returns 0, or -EINVAL for
 * what is no address or when there is none.
 */
int lxm_race_new(const char *const *addresses, const char *port, struct lxm_race **race_out, struct lxm_err *e);
void lxm_race_free(struct lxm_race *r);
LXM_AUTO_PTR(race, struct lxm_race, lxm_race_free)

/** From here on only addresses outside of this machine are connected to (base/outside.h); others fail as if nobody listened there. */
void lxm_race_outside(struct lxm_race *r);

/**
 * The next connection that opens. Call again when the peer of the last one turned out wrong: others may be on their way.
 *
 * @until_ms  lxm_mono_ms() to give up at
 * @at_out    index of its address
 *
 * Returns a non-blocking descriptor that the caller owns, or -errno of the last failure when none is left (-ETIMEDOUT at the
 * deadline, which fails all that are left).
 */
int lxm_race_next(struct lxm_race *r, int64_t until_ms, size_t *at_out);

/** Why an address failed, for the summary; text copied. */
void lxm_race_failed(struct lxm_race *r, size_t at, const char *reason);
/** Put the reasons into e with that code: "'ADDR': REASON", or all of them. Returns -code. */
int lxm_race_report(const struct lxm_race *r, int code, struct lxm_err *e);
/** Host part of an address (borrowed), without port and brackets. */
const char *lxm_race_host(const struct lxm_race *r, size_t at);

#endif
