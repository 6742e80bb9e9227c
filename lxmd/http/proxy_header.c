/* Decoder of foreign bytes: fuzzed by tests/fuzz/fuzz_proxy_header.c. */
#include "lxmd/http/proxy_header.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "lib/base/str.h"
#include "lxmd/http/listen.h"

#define V1_MAX 107 /* bytes of a line with its end, says the specification */
#define V2_FIX 16

static const unsigned char v2_sign[12] = { 0x0d, 0x0a, 0x0d, 0x0a, 0x00, 0x0d, 0x0a, 0x51, 0x55, 0x49, 0x54, 0x0a };

static int parse_v1(char *line, struct sockaddr_storage *sa)
{
	struct sockaddr_in *four = (struct sockaddr_in *)sa;
	struct sockaddr_in6 *six = (struct sockaddr_in6 *)sa;
	lxm_auto(strv) struct lxm_strv w = { 0 };
	uint64_t port;

	lxm_strv_split(&w, line, ' ');
	if (w.n >= 2 && strcmp(w.v[1], "UNKNOWN") == 0)
		return 0;
	if (w.n != 6 || lxm_parse_u64(w.v[4], &port) < 0 || port > 65535)
		return -EINVAL;
	if (strcmp(w.v[1], "TCP4") == 0 && inet_pton(AF_INET, w.v[2], &four->sin_addr) == 1) {
		four->sin_family = AF_INET;
		four->sin_port = htons((uint16_t)port);
		return 0;
	}
	if (strcmp(w.v[1], "TCP6") == 0 && inet_pton(AF_INET6, w.v[2], &six->sin6_addr) == 1) {
		six->sin6_family = AF_INET6;
		six->sin6_port = htons((uint16_t)port);
		addr_simplify(sa);
		return 0;
	}
	return -EINVAL;
}

static int parse_v2(const unsigned char *b, size_t body, struct sockaddr_storage *sa)
{
	struct sockaddr_in *four = (struct sockaddr_in *)sa;
	struct sockaddr_in6 *six = (struct sockaddr_in6 *)sa;

	if (b[12] == 0x20) /* LOCAL: the proxy speaks for itself */
		return 0;
	if (b[12] != 0x21)
		return -EINVAL;
	if (b[13] == 0x11 && body >= 12) {
		four->sin_family = AF_INET;
		memcpy(&four->sin_addr, b + V2_FIX, 4);
		memcpy(&four->sin_port, b + V2_FIX + 8, 2);
	} else if (b[13] == 0x21 && body >= 36) {
		six->sin6_family = AF_INET6;
		memcpy(&six->sin6_addr, b + V2_FIX, 16);
		memcpy(&six->sin6_port, b + V2_FIX + 32, 2);
		addr_simplify(sa);
	} else if (b[13] == 0x11 || b[13] == 0x21) {
		return -EINVAL;
	}
	return 0;
}

/* One byte of a header, kept if there is room. Returns what proxy_header_feed() does. */
static int feed_v1(struct proxy_header *p, unsigned char c, struct sockaddr_storage *sa)
{
	if (p->len >= V1_MAX || !c)
		return -EINVAL;
	p->buf[p->len++] = c;
	if (c != '\n')
		return PROXY_HEADER_MORE;
	if (p->buf[p->len - 2] != '\r')
		return -EINVAL;
	p->buf[p->len - 2] = '\0';
	return parse_v1((char *)p->buf, sa);
}

static int feed_v2(struct proxy_header *p, unsigned char c, struct sockaddr_storage *sa)
{
	size_t body, seen;

	if (p->len < sizeof(p->buf))
		p->buf[p->len++] = c;
	else
		p->skip++; /* extensions that we have no use for */
	if (p->len < V2_FIX)
		return PROXY_HEADER_MORE;
	body = (size_t)p->buf[14] << 8 | p->buf[15];
	seen = p->len + p->skip - V2_FIX;
	return seen < body ? PROXY_HEADER_MORE : parse_v2(p->buf, body, sa);
}

int proxy_header_feed(struct proxy_header *p, const void *data, size_t n, size_t *used_out, struct sockaddr_storage *sa)
{
	static const unsigned char v1_sign[6] = { 'P', 'R', 'O', 'X', 'Y', ' ' };
	const unsigned char *b = data;
	size_t i;
	int r = PROXY_HEADER_MORE;

	memset(sa, 0, sizeof(*sa));
	*used_out = 0;
	for (i = 0; i < n && r == PROXY_HEADER_MORE; i++) {
		bool v1 = p->len ? p->buf[0] == v1_sign[0] : b[i] == v1_sign[0];
		const unsigned char *sign = v1 ? v1_sign : v2_sign;
		size_t sign_len = v1 ? sizeof(v1_sign) : sizeof(v2_sign);

		if (p->len < sign_len && b[i] != sign[p->len])
			return p->len ? -EINVAL : PROXY_HEADER_NONE;
		r = v1 ? feed_v1(p, b[i], sa) : feed_v2(p, b[i], sa);
		*used_out = i + 1;
	}
	return r;
}
