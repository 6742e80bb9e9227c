/*
 * A websocket that a client opened to us (RFC 6455, server side), after the 101. Framing, masking, pings
 * and the closing handshake are done here, on the loop thread; no thread per socket.
 */
#ifndef LXMD_CORE_WS_H
#define LXMD_CORE_WS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/base/auto.h"
#include "lib/base/err.h"

struct loop;
struct ws;

enum { WS_TEXT = 1, WS_BINARY = 2 }; /* opcodes, as on the wire */

/* Most bytes of one TEXT message; a client that sends more is closed with 1009. */
#define WS_TEXT_MAX (64 * 1024)

/* All run on the loop thread and must not block; each may be NULL. They may call every ws_* function. */
struct ws_handler {
	/**
	 * Data came in. BINARY is handed over in pieces of any size as it arrives, frame borders do not
	 * matter; `fin` marks the last piece of a message (a piece may be empty then). TEXT comes whole, once
	 * per message, NUL-terminated, checked for UTF-8, always with fin. `data` is borrowed.
	 */
	void (*on_message)(struct ws *ws, int opcode, const void *data, size_t len, bool fin, void *arg);
	/**
	 * The socket is gone or going, whoever began it: client's Close frame (its code, 1005 if it had
	 * none), TCP close (1006), protocol error (1002 ...), or our ws_close() (1000). Called exactly once for
	 * every ws that was started; nothing else is called afterwards.
	 */
	void (*on_close)(struct ws *ws, int code, void *arg);
	/** All that was queued has been handed to the kernel. Called after each time the queue ran empty. */
	void (*on_writable)(struct ws *ws, void *arg);
};

/**
 * Make a websocket of a connection whose 101 was sent (lxmd/http calls this).
 *
 * @fd         taken, also on failure
 * @extra      bytes that were already read behind the request; copied
 *
 * Any thread. Reads nothing before ws_start(). Returns the websocket with one reference for the caller.
 */
struct ws *ws_new(struct loop *loop, int fd, const void *extra, size_t extra_len);

/**
 * Say who handles it and begin reading. A handler set earlier is replaced without on_close.
 *
 * @h    must live as long as the websocket (a static const)
 * @arg  handed to every callback; must live until on_close
 *
 * Any thread; once per websocket. The loop keeps a reference of its own until on_close has returned.
 */
void ws_start(struct ws *ws, const struct ws_handler *h, void *arg);

/** Call fn(arg) once, when the last reference is gone and before the descriptor is closed. Once per websocket, by who made it. */
void ws_at_free(struct ws *ws, void (*fn)(void *arg), void *arg);

struct ws *ws_ref(struct ws *ws);
/** NULL is fine. Dropping the last reference of a websocket that was never started closes it. */
void ws_unref(struct ws *ws);
LXM_AUTO_PTR(ws_unref, struct ws, ws_unref)

/**
 * Queue one whole message; the bytes are copied. Sent in the order queued.
 *
 * @opcode  WS_TEXT or WS_BINARY
 *
 * Any thread that holds a reference; never blocks, and the queue has no bound of its own: producers look
 * at ws_queued() and wait for on_writable. Returns 0, or -EPIPE when the websocket is closed or closing.
 */
int ws_send(struct ws *ws, int opcode, const void *data, size_t len);

/** Bytes queued and not yet in the kernel, with the heads of their frames. Any thread. */
size_t ws_queued(struct ws *ws);

/** Stop or resume reading (backpressure towards the client). Any thread; Close and pings wait as
 * well. Up to 128 KiB that were read already may still be delivered after a pause. */
void ws_pause_reading(struct ws *ws, bool pause);

/**
 * End it in good order: send what is queued, then a Close frame (1000), then close. A peer that takes
 * nothing for ten minutes is cut off (a pager may hold the client's output that long). Any thread; on_close follows at once on the loop thread, with 1000.
 */
void ws_close(struct ws *ws);

/** Cut it off at once; what is queued is lost. Any thread; on_close follows on the loop thread, with 1006. */
void ws_abort(struct ws *ws);

/** Sec-WebSocket-Accept for a client's Sec-WebSocket-Key. Any thread. Returns 0, or -EINVAL for a bad key. */
int ws_accept_key(const char *key, char out[32]);

#endif
