/* SHA-1 and Base64, see sha1.h. Here so that the command line need not load a crypto library for a handshake. */
#include "lib/tls/sha1.h"

#include <stdint.h>
#include <string.h>

#include "lib/base/str.h"

static uint32_t rol(uint32_t v, int n)
{
	return v << n | v >> (32 - n);
}

static void sha1_block(uint32_t h[5], const unsigned char *p)
{
	uint32_t w[80], a = h[0], b = h[1], c = h[2], d = h[3], e = h[4], f, k, t;
	int i;

	for (i = 0; i < 16; i++)
		w[i] = (uint32_t)p[4 * i] << 24 | (uint32_t)p[4 * i + 1] << 16 | (uint32_t)p[4 * i + 2] << 8 |
		       p[4 * i + 3];
	for (; i < 80; i++)
		w[i] = rol(w[i - 3] ^ w[i - 8] ^ w[i - 14] ^ w[i - 16], 1);
	for (i = 0; i < 80; i++) {
		if (i < 20)
			f = (b & c) | (~b & d), k = 0x5a827999;
		else if (i < 40)
			f = b ^ c ^ d, k = 0x6ed9eba1;
		else if (i < 60)
			f = (b & c) | (b & d) | (c & d), k = 0x8f1bbcdc;
		else
			f = b ^ c ^ d, k = 0xca62c1d6;
		t = rol(a, 5) + f + e + k + w[i];
		e = d;
		d = c;
		c = rol(b, 30);
		b = a;
		a = t;
	}
	h[0] += a;
	h[1] += b;
	h[2] += c;
	h[3] += d;
	h[4] += e;
}

void lxm_sha1(const void *data, size_t n, unsigned char out[20])
{
	uint32_t h[5] = { 0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476, 0xc3d2e1f0 };
	const unsigned char *p = data;
	unsigned char tail[128] = { 0 };
	size_t left = n, pad;
	uint64_t bits = (uint64_t)n * 8;
	int i;

	for (; left >= 64; left -= 64, p += 64)
		sha1_block(h, p);
	if (left)
		memcpy(tail, p, left);
	tail[left] = 0x80;
	pad = left < 56 ? 64 : 128;
	for (i = 0; i < 8; i++)
		tail[pad - 1 - (size_t)i] = (unsigned char)(bits >> (8 * i));
	sha1_block(h, tail);
	if (pad == 128)
		sha1_block(h, tail + 64);
	for (i = 0; i < 20; i++)
		out[i] = (unsigned char)(h[i / 4] >> (24 - 8 * (i % 4)));
}

char *lxm_base64(const void *data, size_t n)
{
	static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	const unsigned char *p = data;
	struct lxm_buf b = { 0 };
	size_t i;

	for (i = 0; i < n; i += 3) {
		uint32_t v = (uint32_t)p[i] << 16 | (i + 1 < n ? (uint32_t)p[i + 1] << 8 : 0) |
			     (i + 2 < n ? p[i + 2] : 0);

		lxm_buf_chr(&b, digits[v >> 18]);
		lxm_buf_chr(&b, digits[v >> 12 & 63]);
		lxm_buf_chr(&b, i + 1 < n ? digits[v >> 6 & 63] : '=');
		lxm_buf_chr(&b, i + 2 < n ? digits[v & 63] : '=');
	}
	return lxm_buf_take(&b);
}
