/* Frames of websockets, see ws_frame.h. Payload is touched once, eight bytes at a time: copies between hosts go through here. */
#include "lib/tls/ws_frame.h"

#include <errno.h>
#include <string.h>

#include "lib/base/str.h"

#define IS_CONTROL(opcode) ((opcode) & 8)

void lxm_ws_mask(unsigned char *to, const unsigned char *from, size_t n, unsigned char mask[4])
{
	unsigned char turned[4];
	uint64_t wide, word;
	size_t i = 0, k;

	memcpy(&wide, mask, 4);
	memcpy((char *)&wide + 4, mask, 4);
	for (; n - i >= 8; i += 8) {
		memcpy(&word, from + i, 8);
		word ^= wide;
		memcpy(to + i, &word, 8);
	}
	for (; i < n; i++)
		to[i] = from[i] ^ mask[i & 3];
	for (k = 0; k < 4; k++)
		turned[k] = mask[(n + k) & 3];
	memcpy(mask, turned, 4);
}

size_t lxm_ws_head(unsigned char out[LXM_WSF_HEAD_MAX], enum lxm_ws_opcode opcode, uint64_t n, const unsigned char mask[4])
{
	size_t len = 2, i;

	out[0] = (unsigned char)(0x80 | opcode);
	if (n < 126) {
		out[1] = (unsigned char)n;
	} else {
		size_t digits = n < 65536 ? 2 : 8;

		out[1] = digits == 2 ? 126 : 127;
		for (i = 0; i < digits; i++)
			out[len++] = (unsigned char)(n >> (8 * (digits - 1 - i)));
	}
	if (mask) {
		out[1] |= 0x80;
		memcpy(out + len, mask, 4);
		len += 4;
	}
	return len;
}

/* Length of a head as its first bytes say; 2 while they are not there. */
static size_t head_size(const struct lxm_ws_reader *r)
{
	size_t size = 2;

	if (r->head_len < 2)
		return size;
	if ((r->head[1] & 127) == 126)
		size += 2;
	else if ((r->head[1] & 127) == 127)
		size += 8;
	return size + (r->masked ? 4 : 0);
}

/* The length field; no more bytes than needed may say it. */
static int read_length(const struct lxm_ws_reader *r, uint64_t *out)
{
	unsigned int first = r->head[1] & 127u;
	size_t digits = first == 126 ? 2 : first == 127 ? 8 : 0, i;

	*out = digits ? 0 : first;
	for (i = 0; i < digits; i++)
		*out = *out << 8 | r->head[2 + i];
	if ((digits == 2 && *out < 126) || (digits == 8 && (*out < 65536 || *out >> 63)))
		return -EPROTO;
	return 0;
}

/* Judges a whole head. */
static int begin_frame(struct lxm_ws_reader *r, size_t size)
{
	unsigned int opcode = r->head[0] & 15u;

	r->fin = r->head[0] & 0x80;
	if ((r->head[0] & 0x70) || read_length(r, &r->left) < 0)
		return -EPROTO;
	if (IS_CONTROL(opcode)) {
		if (opcode > LXM_WSF_PONG || !r->fin || r->left > LXM_WSF_CONTROL_MAX)
			return -EPROTO;
		r->control_len = 0;
	} else {
		if (opcode > LXM_WSF_BINARY || (opcode == LXM_WSF_MORE) != r->in_message)
			return -EPROTO;
		if (opcode != LXM_WSF_MORE)
			r->message = (enum lxm_ws_opcode)opcode;
		r->in_message = true;
	}
	r->frame = (enum lxm_ws_opcode)opcode;
	if (r->masked)
		memcpy(r->mask, r->head + size - 4, 4);
	r->head_len = 0;
	r->in_frame = true;
	return 0;
}

/* One byte of a head. Whether the mask is there shows in the second one, which says how long the head is. */
static int read_head(struct lxm_ws_reader *r, unsigned char byte)
{
	size_t size;

	r->head[r->head_len++] = byte;
	if (r->head_len < 2)
		return 0;
	if (!(r->head[1] & 0x80) == r->masked)
		return -EPROTO;
	size = head_size(r);
	return r->head_len == size ? begin_frame(r, size) : 0;
}

/* Takes payload; true if that makes a part. */
static bool read_payload(struct lxm_ws_reader *r, unsigned char *data, size_t n, struct lxm_ws_part *part)
{
	if (r->masked)
		lxm_ws_mask(data, data, n, r->mask);
	r->left -= n;
	r->in_frame = r->left > 0;
	if (IS_CONTROL(r->frame)) {
		memcpy(r->control + r->control_len, data, n);
		r->control_len += n;
		*part = (struct lxm_ws_part){ r->frame, r->control, r->control_len, true };
		return !r->in_frame;
	}
	*part = (struct lxm_ws_part){ r->message, data, n, r->fin && !r->in_frame };
	if (part->last)
		r->in_message = false;
	return n > 0 || part->last;
}

int lxm_ws_read_part(struct lxm_ws_reader *r, unsigned char **data, size_t *n, struct lxm_ws_part *part)
{
	for (;;) {
		unsigned char *at = *data;
		size_t some;

		if (!r->in_frame) {
			if (!*n)
				return 0;
			++*data;
			--*n;
			if (read_head(r, *at) < 0)
				return -EPROTO;
			if (!r->in_frame || r->left)
				continue;
			at = *data;
		} else if (!*n) {
			return 0;
		}
		some = r->left < *n ? (size_t)r->left : *n;
		*data += some;
		*n -= some;
		if (read_payload(r, at, some, part))
			return 1;
	}
}

int lxm_ws_close_code(const unsigned char *data, size_t n)
{
	int code;

	if (n == 0)
		return LXM_WS_CODE_NONE;
	if (n == 1)
		return -EPROTO;
	code = data[0] << 8 | data[1];
	if (!((code >= 1000 && code <= 1011 && code != 1004 && code != 1005 && code != 1006) || (code >= 3000 && code <= 4999)))
		return -EPROTO;
	return lxm_utf8_ok((const char *)data + 2, n - 2) ? code : -EPROTO;
}
