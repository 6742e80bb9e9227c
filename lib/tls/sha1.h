/* SHA-1, only for the websocket handshake (RFC 6455 asks for it; it protects nothing). */
#ifndef LXM_TLS_SHA1_H
#define LXM_TLS_SHA1_H

#include <stddef.h>

/** Digest of n bytes (n < 2^61) into out (20 bytes). Any thread. */
void lxm_sha1(const void *data, size_t n, unsigned char out[20]);

/** Base64 of n bytes; free() it. */
char *lxm_base64(const void *data, size_t n);

#endif
