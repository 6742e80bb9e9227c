/* lib/tls/ws_relay.c: frames of a server become frames of a client, however they are cut. */
#include "lib/tls/ws_relay.h"

#include <string.h>

#include "lib/base/alloc.h"
#include "tests/unit/unit.h"

/* A server's frame. */
static void put_frame(struct lxm_buf *b, int first, size_t n, int seed)
{
	size_t i;

	lxm_buf_chr(b, (char)first);
	if (n < 126) {
		lxm_buf_chr(b, (char)n);
	} else if (n < 65536) {
		lxm_buf_chr(b, 126);
		lxm_buf_chr(b, (char)(n >> 8));
		lxm_buf_chr(b, (char)n);
	} else {
		lxm_buf_chr(b, 127);
		for (i = 0; i < 8; i++)
			lxm_buf_chr(b, (char)((uint64_t)n >> (56 - 8 * i)));
	}
	for (i = 0; i < n; i++)
		lxm_buf_chr(b, (char)(seed + (int)i * 7));
}

/* Take the masks off again. */
static void unmask(const struct lxm_buf *in, struct lxm_buf *out)
{
	const unsigned char *p = (const unsigned char *)in->data, *end = p + in->len;

	while (p < end) {
		size_t head = (p[1] & 127) == 127 ? 10 : (p[1] & 127) == 126 ? 4 : 2, i;
		uint64_t n = head == 2 ? p[1] & 127u : 0;

		CU_ASSERT_FATAL(end - p >= 6 && (p[1] & 0x80));
		for (i = 2; i < head; i++)
			n = n << 8 | p[i];
		lxm_buf_chr(out, (char)p[0]);
		lxm_buf_chr(out, (char)(p[1] & 127));
		lxm_buf_add(out, p + 2, head - 2);
		CU_ASSERT_FATAL((uint64_t)(end - p) >= head + 4 + n);
		for (i = 0; i < n; i++)
			lxm_buf_chr(out, (char)(p[head + 4 + i] ^ p[head + (i & 3)]));
		p += head + 4 + n;
	}
}

static void frames_pass_as_they_are(void)
{
	static const size_t steps[] = { 1, 2, 3, 7, 125, 4096, 1 << 20 };
	lxm_auto(buf) struct lxm_buf in = { 0 };
	size_t i, at;

	put_frame(&in, 0x82, 0, 1);
	put_frame(&in, 0x82, 125, 2);
	put_frame(&in, 0x02, 126, 3); /* a message in three fragments, with a ping in between */
	put_frame(&in, 0x00, 70000, 4);
	put_frame(&in, 0x89, 5, 5);
	put_frame(&in, 0x80, 65535, 6);
	put_frame(&in, 0x81, 0, 7); /* end of a stream */
	put_frame(&in, 0x88, 2, 8);
	for (i = 0; i < LXM_ARRAY_LEN(steps); i++) {
		lxm_auto(buf) struct lxm_buf out = { 0 }, back = { 0 };
		struct lxm_ws_frames f = { 0 };

		for (at = 0; at < in.len; at += steps[i]) {
			size_t n = in.len - at < steps[i] ? in.len - at : steps[i];

			CU_ASSERT_EQUAL_FATAL(lxm_ws_translate(&f, in.data + at, n, &out, NULL), 0);
		}
		unmask(&out, &back);
		CU_ASSERT_EQUAL_FATAL(back.len, in.len);
		CU_ASSERT_EQUAL(memcmp(back.data, in.data, in.len), 0);
	}
}

static void what_no_server_sends(void)
{
	static const struct {
		const char *bytes;
		size_t n;
	} bad[] = {
		{ "\x82\x80", 2 },				     /* masked */
		{ "\xc2\x00", 2 },				     /* compressed */
		{ "\x83\x00", 2 },				     /* an opcode that there is not */
		{ "\x8b\x00", 2 },
		{ "\x89\x7e\x00\x7e", 4 },			     /* a long ping */
		{ "\x82\x7f\xff\x00\x00\x00\x00\x00\x00\x00", 10 }, /* over 63 bits */
	};
	size_t i;

	for (i = 0; i < LXM_ARRAY_LEN(bad); i++) {
		lxm_auto(buf) struct lxm_buf out = { 0 };
		struct lxm_ws_frames f = { 0 };

		CU_ASSERT_EQUAL(lxm_ws_translate(&f, bad[i].bytes, bad[i].n, &out, NULL), -EPROTO);
	}
}

UNIT_MAIN("ws_relay", { "frames pass as they are", frames_pass_as_they_are }, { "what no server sends", what_no_server_sends })
