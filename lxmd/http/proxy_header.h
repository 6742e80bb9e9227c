/* The PROXY protocol, versions 1 and 2: what a proxy in front of lxmd says of the client before the first byte of TLS. */
#ifndef LXMD_HTTP_PROXY_HEADER_H
#define LXMD_HTTP_PROXY_HEADER_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/socket.h>

/* A header as it comes in. Zeroed is the beginning. */
struct proxy_header {
	unsigned char buf[232]; /* version 2 with two Unix addresses */
	size_t len;
	size_t skip;	      /* bytes behind what we look at */
	bool done;
};

/* What proxy_header_feed() answers beside 0 and -EINVAL. */
enum { PROXY_HEADER_MORE = 1, PROXY_HEADER_NONE = 2 };

/**
 * Read on.
 *
 * @data      what has come; bytes beyond the header are not touched
 * @used_out  how many of them were the header's
 * @sa        the client's address, written when 0 is returned and the header names one (family 0 otherwise)
 *
 * Any thread. Returns 0 at the end of the header, PROXY_HEADER_MORE, PROXY_HEADER_NONE when the first bytes begin
 * something else (nothing was used), or -EINVAL.
 */
int proxy_header_feed(struct proxy_header *p, const void *data, size_t n, size_t *used_out, struct sockaddr_storage *sa);

#endif
