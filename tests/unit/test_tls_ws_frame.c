/* lib/tls/ws_frame.c: frames are made, read however they are cut, and refused when they break the protocol. */
#include "lib/tls/ws_frame.h"

#include <errno.h>
#include <string.h>

#include "lib/base/alloc.h"
#include "lib/base/str.h"
#include "tests/unit/unit.h"

static void masking_goes_on_where_it_was(void)
{
	static const unsigned char mask[4] = { 0x11, 0x22, 0x44, 0x88 };
	unsigned char plain[100], want[100], got[100], m[4];
	size_t i, cut;

	for (i = 0; i < sizeof(plain); i++) {
		plain[i] = (unsigned char)(i * 7);
		want[i] = plain[i] ^ mask[i & 3];
	}
	for (cut = 0; cut <= sizeof(plain); cut++) {
		memcpy(m, mask, 4);
		lxm_ws_mask(got, plain, cut, m);
		memcpy(got + cut, plain + cut, sizeof(plain) - cut);
		lxm_ws_mask(got + cut, got + cut, sizeof(plain) - cut, m);
		CU_ASSERT_EQUAL(memcmp(got, want, sizeof(want)), 0);
	}
}

/* A frame of n bytes that count up. */
static void put(struct lxm_buf *b, enum lxm_ws_opcode opcode, size_t n, bool fin, bool masked)
{
	unsigned char head[LXM_WSF_HEAD_MAX], mask[4] = { 1, 2, 3, 250 };
	size_t at, i, len = lxm_ws_head(head, opcode, n, masked ? mask : NULL);

	if (!fin)
		head[0] &= 0x7f;
	lxm_buf_add(b, head, len);
	at = b->len;
	for (i = 0; i < n; i++)
		lxm_buf_chr(b, (char)i);
	if (masked)
		lxm_ws_mask((unsigned char *)b->data + at, (unsigned char *)b->data + at, n, mask);
}

/* What is read of it, handed over in pieces: "1:LENGTH;" for each message, whose bytes count up in each frame. */
static char *read_all(const struct lxm_buf *in, bool masked, size_t step)
{
	struct lxm_ws_reader r = { .masked = masked };
	lxm_auto(buf) struct lxm_buf log = { 0 };
	unsigned char *copy = lxm_alloc(step);
	size_t at, total = 0;
	int rc = 0;

	for (at = 0; at < in->len && rc >= 0; at += step) {
		unsigned char *p = copy;
		size_t n = in->len - at < step ? in->len - at : step;
		struct lxm_ws_part part;

		memcpy(copy, in->data + at, n);
		while ((rc = lxm_ws_read_part(&r, &p, &n, &part)) > 0) {
			if (part.opcode >= LXM_WSF_CLOSE) {
				CU_ASSERT(part.last);
				lxm_buf_fmt(&log, "%d:%zu;", part.opcode, part.n);
				continue;
			}
			total += part.n;
			if (part.last)
				lxm_buf_fmt(&log, "%d:%zu;", part.opcode, LXM_TAKE(total, 0));
		}
	}
	if (rc < 0)
		lxm_buf_str(&log, "broken");
	free(copy);
	return lxm_buf_take(&log);
}

static void frames_are_read_however_they_are_cut(void)
{
	static const size_t steps[] = { 1, 2, 3, 7, 125, 4096, 1 << 20 };
	size_t i;
	int masked;

	for (masked = 0; masked < 2; masked++) {
		lxm_auto(buf) struct lxm_buf in = { 0 };

		put(&in, LXM_WSF_BINARY, 0, true, masked);
		put(&in, LXM_WSF_BINARY, 125, true, masked);
		put(&in, LXM_WSF_TEXT, 126, false, masked);
		put(&in, LXM_WSF_PING, 5, true, masked);
		put(&in, LXM_WSF_MORE, 65535, false, masked);
		put(&in, LXM_WSF_PONG, 0, true, masked);
		put(&in, LXM_WSF_MORE, 0, true, masked);
		put(&in, LXM_WSF_BINARY, 70000, true, masked);
		put(&in, LXM_WSF_CLOSE, 2, true, masked);
		for (i = 0; i < LXM_ARRAY_LEN(steps); i++) {
			lxm_auto(free) char *got = read_all(&in, masked, steps[i]);

			CU_ASSERT_STRING_EQUAL(got, "2:0;2:125;9:5;10:0;1:65661;2:70000;8:2;");
		}
	}
}

static void bytes_arrive_unmasked(void)
{
	struct lxm_ws_reader r = { .masked = true };
	lxm_auto(buf) struct lxm_buf in = { 0 };
	unsigned char *p, want = 0;
	struct lxm_ws_part part;
	size_t n, at;
	bool last = false;

	put(&in, LXM_WSF_BINARY, 1000, true, true);
	for (at = 0; at < in.len; at += 13) {
		p = (unsigned char *)in.data + at;
		n = in.len - at < 13 ? in.len - at : 13;
		while (lxm_ws_read_part(&r, &p, &n, &part) > 0) {
			size_t i;

			CU_ASSERT_FALSE(last);
			last = part.last;
			for (i = 0; i < part.n; i++)
				CU_ASSERT_EQUAL(part.data[i], want++);
		}
	}
	CU_ASSERT(last);
	CU_ASSERT_EQUAL(want, 1000 & 255);
}

static void what_breaks_the_protocol_is_refused(void)
{
	static const struct {
		bool masked;
		const char *bytes;
		size_t n;
	} bad[] = {
		{ true, "\x82\x01x", 3 },			/* a client's without a mask */
		{ false, "\x82\x81mmmmx", 7 },			/* a server's with one */
		{ false, "\xc2\x01x", 3 },			/* reserved bits */
		{ false, "\x83\x01x", 3 },			/* unknown kinds */
		{ false, "\x8b\x00", 2 },
		{ false, "\x80\x01x", 3 },			/* goes on with nothing */
		{ false, "\x02\x01x\x82\x01x", 6 },		/* begins within a message */
		{ false, "\x09\x00", 2 },			/* a control frame in parts, a long one */
		{ false, "\x89\x7e\x00\x7e", 4 },
		{ false, "\x82\x7e\x00\x05", 4 },		/* lengths in more bytes than they need, or too large */
		{ false, "\x82\x7f\0\0\0\0\0\0\xff\xff", 10 },
		{ false, "\x82\x7f\x80\0\0\0\0\0\0\0", 10 },
	};
	size_t i;

	for (i = 0; i < LXM_ARRAY_LEN(bad); i++) {
		lxm_auto(buf) struct lxm_buf in = { 0 };
		lxm_auto(free) char *got = NULL;

		lxm_buf_add(&in, bad[i].bytes, bad[i].n);
		got = read_all(&in, bad[i].masked, 64);
		CU_ASSERT(lxm_ends(got, "broken"));
	}
}

static void a_close_says_why(void)
{
	CU_ASSERT_EQUAL(lxm_ws_close_code((const unsigned char *)"", 0), LXM_WS_CODE_NONE);
	CU_ASSERT_EQUAL(lxm_ws_close_code((const unsigned char *)"\x03\xe8" "bye", 5), 1000);
	CU_ASSERT_EQUAL(lxm_ws_close_code((const unsigned char *)"\x0f\xa0", 2), 4000);
	CU_ASSERT_EQUAL(lxm_ws_close_code((const unsigned char *)"\x03", 1), -EPROTO);
	CU_ASSERT_EQUAL(lxm_ws_close_code((const unsigned char *)"\x03\xed", 2), -EPROTO); /* 1005 is never sent */
	CU_ASSERT_EQUAL(lxm_ws_close_code((const unsigned char *)"\x03\xe8\xff", 3), -EPROTO);
}

UNIT_MAIN("tls/ws_frame", { "masking goes on where it was", masking_goes_on_where_it_was },
	  { "frames are read however they are cut", frames_are_read_however_they_are_cut },
	  { "bytes arrive unmasked", bytes_arrive_unmasked },
	  { "what breaks the protocol is refused", what_breaks_the_protocol_is_refused },
	  { "a Close says why", a_close_says_why })
