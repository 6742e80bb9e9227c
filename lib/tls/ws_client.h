/* Websocket client for poll loops: non-blocking after the dial, bounded, any number at once. */
#ifndef LXM_TLS_WS_CLIENT_H
#define LXM_TLS_WS_CLIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/base/err.h"
#include "lib/tls/conn.h"

struct lxm_ws; /* opaque; one thread */

enum lxm_ws_kind { LXM_WS_TEXT = 1, LXM_WS_BINARY = 2 };

/**
 * Receives part of a message, as it arrives (messages may be longer than memory).
 *
 * @kind  of the whole message
 * @last  this part ends the message; n may be 0 then
 *
 * May call lxm_ws_send() and lxm_ws_close(), not lxm_ws_free().
 */
typedef void (*lxm_ws_message_fn)(struct lxm_ws *ws, enum lxm_ws_kind kind, const void *data, size_t n, bool last,
				  void *arg);

/**
 * Connect and send the handshake without waiting for its answer.
 *
 * @target  path and query, percent-encoded
 * @ws_out  receives the socket; lxm_ws_free() it
 *
 * Blocks only as long as the dial does. Messages may be queued at once. Returns 0 or -errno with e filled.
 */
int lxm_ws_open(lxm_dial_fn dial, void *dial_arg, const char *target, lxm_ws_message_fn on_message, void *arg,
		struct lxm_ws **ws_out, struct lxm_err *e);
void lxm_ws_free(struct lxm_ws *ws);
LXM_AUTO_PTR(ws, struct lxm_ws, lxm_ws_free)

/** For poll(2): the descriptor (-1 once the connection is gone) and what to wait for. */
int lxm_ws_fd(const struct lxm_ws *ws);
short lxm_ws_events(const struct lxm_ws *ws);

/**
 * Move bytes as poll told; answers pings by itself.
 *
 * @revents  from poll(2)
 *
 * Returns 0; 1 when the connection ended (a Close frame or the end of the stream; nothing more will come);
 * -errno with e filled for a refused handshake (its HTTP status in e->http) or broken frames.
 */
int lxm_ws_pump(struct lxm_ws *ws, short revents, struct lxm_err *e);

/** Queue a message (copied). Returns 0, -EPIPE when the connection is gone. */
int lxm_ws_send(struct lxm_ws *ws, enum lxm_ws_kind kind, const void *data, size_t n);
/** Queue a Close frame (1000). */
void lxm_ws_close(struct lxm_ws *ws);
/** Bytes queued and not yet taken by the kernel: stop feeding beyond a bound of your own. */
size_t lxm_ws_queued(const struct lxm_ws *ws);
/** Stop or resume reading, for backpressure; pings wait too. */
void lxm_ws_pause(struct lxm_ws *ws, bool paused);
/** The handshake is done. */
bool lxm_ws_is_open(const struct lxm_ws *ws);
/** The body of a refused handshake (JSON error envelope), borrowed; "" if none. */
const char *lxm_ws_refusal(const struct lxm_ws *ws);

#endif
