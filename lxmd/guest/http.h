/* The little HTTP that the guest API speaks: decoding a request. Pure, no allocation. */
#ifndef LXMD_GUEST_HTTP_H
#define LXMD_GUEST_HTTP_H

#include <stdbool.h>
#include <stddef.h>

/* Head and body of a request together; beyond that it is refused. */
#define GUEST_REQUEST_MAX 4096u

/* A decoded head. Strings are copies, NUL-terminated. */
struct guest_request {
	char method[8];
	char path[768];	 /* as sent, "/1.0/config/user.a%2Fb"; begins with '/' */
	char query[128]; /* behind the '?', "" if none */
	size_t head, body; /* their lengths: the body begins at `head` */
	bool close;	 /* no second request on this connection */
	bool websocket;	 /* Upgrade: websocket with Connection: upgrade and version 13 */
	char ws_key[32]; /* Sec-WebSocket-Key */
};

/**
 * Decode what has come so far.
 *
 * Returns 1 when a whole request is there, 0 when more is needed, or the negative HTTP status to refuse it with
 * (-400, -411, -413, -414, -431, -501, -505).
 */
int guest_http_parse(const char *data, size_t len, struct guest_request *rq);

#endif
