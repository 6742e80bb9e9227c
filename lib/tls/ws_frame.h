/* Frames of websockets (RFC 6455), as a server or a client reads and writes them. No I/O, no memory but the caller's. */
#ifndef LXM_TLS_WS_FRAME_H
#define LXM_TLS_WS_FRAME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum lxm_ws_opcode { LXM_WSF_MORE = 0, LXM_WSF_TEXT = 1, LXM_WSF_BINARY = 2, LXM_WSF_CLOSE = 8, LXM_WSF_PING = 9, LXM_WSF_PONG = 10 };

#define LXM_WSF_HEAD_MAX    14  /* bytes of a frame's head */
#define LXM_WSF_CONTROL_MAX 125 /* bytes in a control frame */
#define LXM_WS_CODE_NONE    1005 /* a Close frame without a code */

/* Reads frames from bytes cut anywhere. Zeroed, with `masked` set, is fresh. */
struct lxm_ws_reader {
	bool masked; /* whether frames must be: those of clients are, those of servers are not */
	/* the reader's own: */
	unsigned char head[LXM_WSF_HEAD_MAX];
	size_t head_len;
	bool in_frame, in_message, fin;
	enum lxm_ws_opcode frame, message;
	uint64_t left;
	unsigned char mask[4]; /* as the next byte needs it */
	unsigned char control[LXM_WSF_CONTROL_MAX];
	size_t control_len;
};

/* A part of a message, as it arrived, or a whole control frame. */
struct lxm_ws_part {
	enum lxm_ws_opcode opcode; /* of the message: never LXM_WSF_MORE */
	const unsigned char *data;
	size_t n;
	bool last; /* ends the message; n may be 0 then. Control frames: always */
};

/**
 * Take the next part out of what was received.
 *
 * @data, @n  in: what is not read yet; out: what is left of it. Bytes are unmasked in place
 * @part      valid while the bytes and the reader are not touched
 *
 * Returns 1 with a part, 0 when all bytes are used up, -EPROTO for what breaks the protocol (nothing can be read after that).
 */
int lxm_ws_read_part(struct lxm_ws_reader *r, unsigned char **data, size_t *n, struct lxm_ws_part *part);

/**
 * The head of an unfragmented frame of n bytes.
 *
 * @mask  four bytes to mask it with, NULL: a server's frame
 *
 * Returns its length.
 */
size_t lxm_ws_head(unsigned char out[LXM_WSF_HEAD_MAX], enum lxm_ws_opcode opcode, uint64_t n, const unsigned char mask[4]);

/**
 * Mask or unmask: to[i] = from[i] ^ mask, which is turned so that the next call goes on with it.
 *
 * @to, @from  may be the same
 */
void lxm_ws_mask(unsigned char *to, const unsigned char *from, size_t n, unsigned char mask[4]);

/** What a Close frame says: its code, LXM_WS_CODE_NONE, or -EPROTO for a code or a reason that must not be. */
int lxm_ws_close_code(const unsigned char *data, size_t n);

#endif
