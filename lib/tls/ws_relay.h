/* Carrying websockets between two servers: frames pass as they are, message bounds and all, in constant memory. */
#ifndef LXM_TLS_WS_RELAY_H
#define LXM_TLS_WS_RELAY_H

#include <poll.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/base/err.h"
#include "lib/base/str.h"
#include "lib/tls/conn.h"

/* Takes frames of one server and makes them frames for the other. Zeroed is fresh. */
struct lxm_ws_frames {
	unsigned char head[14]; /* of the frame that is coming in */
	size_t head_len;
	uint64_t left;	       /* payload bytes of it still to come */
	unsigned char mask[4]; /* of the frame that goes out, as its next byte needs it */
};

/**
 * Translate what a server sent (unmasked frames) into what a client sends (masked), fragmentation and control frames kept.
 *
 * @data, @n  as they came, cut anywhere
 * @out       the translation is appended; at most n plus 14 bytes for each frame that begins in data
 *
 * Returns 0, or -EPROTO for what is not a server's frame.
 */
int lxm_ws_translate(struct lxm_ws_frames *f, const void *data, size_t n, struct lxm_buf *out, struct lxm_err *e);

struct lxm_ws_relay; /* opaque; one thread */

/**
 * Connect to a websocket on each side and join them.
 *
 * @targets  path and query on either side
 *
 * Blocks for both handshakes; from then on nothing blocks. Returns 0 or -errno with e filled (e->http: the server's refusal).
 */
int lxm_ws_relay_open(const lxm_dial_fn dial[2], void *const arg[2], const char *const targets[2],
		      struct lxm_ws_relay **out, struct lxm_err *e);
void lxm_ws_relay_free(struct lxm_ws_relay *r);
LXM_AUTO_PTR(ws_relay, struct lxm_ws_relay, lxm_ws_relay_free)

/** Fill two entries for poll(2). */
void lxm_ws_relay_poll(const struct lxm_ws_relay *r, struct pollfd p[2]);
/**
 * Move bytes as poll told.
 *
 * Returns 0; 1 once either side has ended and all it sent is delivered; -errno.
 */
int lxm_ws_relay_pump(struct lxm_ws_relay *r, const struct pollfd p[2], struct lxm_err *e);
/** Bytes that went from side 0 to side 1, payload and frames. */
uint64_t lxm_ws_relay_bytes(const struct lxm_ws_relay *r);

#endif
