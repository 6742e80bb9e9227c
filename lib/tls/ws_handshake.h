/* Opening a websocket: the request and what its answer must say. For ws_client and ws_relay. */
#ifndef LXM_TLS_WS_HANDSHAKE_H
#define LXM_TLS_WS_HANDSHAKE_H

#include "lib/base/err.h"
#include "lib/base/str.h"
#include "lib/tls/http_parse.h"

/** Append the request; accept_out receives what Sec-WebSocket-Accept must say. */
void lxm_ws_hello(const char *target, char accept_out[32], struct lxm_buf *out);

/** Judge the answer's head. Returns 0, or -errno (the HTTP status in e->http for a refusal). */
int lxm_ws_welcome(const struct lxm_http_parser *p, const char *accept_want, struct lxm_err *e);

#endif
