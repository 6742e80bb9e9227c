/* One direction or both between a descriptor (pipe, pty, socket) and a client's websocket; exec and console share it. */
#ifndef LXMD_INSTANCE_STREAM_H
#define LXMD_INSTANCE_STREAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/base/err.h"
#include "lib/base/str.h"

struct loop;
struct loop_watch;
struct ws;

/*
 * Bytes read from the descriptor go out as BINARY messages; bytes that the client sends are written to it. Each way
 * stops reading while its other side is slow. Loop thread only, except stream_init().
 */
struct stream {
	struct loop *loop;
	int fd;			  /* owned; -1 when it is closed */
	struct ws *ws;		  /* borrowed; NULL: what is read is dropped */
	struct loop_watch *watch;
	uint32_t events;	  /* what the watch asks for now */
	bool reads, writes;	  /* which ways are open */
	bool end_after_write;	  /* the client sent its end: close once the rest is written */
	bool stalled;		  /* the websocket's queue is full */
	struct lxm_buf out;	  /* bytes of the client not written yet, from out_pos */
	size_t out_pos;
	int64_t last_ms;	  /* monotonic time of the last byte read */
	bool bounded;		  /* see stream_bound() */
	size_t left;
	void (*on_end)(struct stream *s, void *arg); /* nothing more can be read; or, of one that only writes, written */
	void *arg;
};

/**
 * Take a descriptor; it is made non-blocking.
 *
 * @reads   forward what it says to ws
 * @writes  it accepts what the client sends
 */
void stream_init(struct stream *s, struct loop *loop, int fd, struct ws *ws, bool reads, bool writes,
		 void (*on_end)(struct stream *, void *), void *arg);
/** Begin. Returns 0 or -errno. */
int stream_start(struct stream *s, struct lxm_err *e);
/** The client sent bytes. */
void stream_write(struct stream *s, const void *data, size_t len);
/** The client will send no more: the write side is closed when all is written. */
void stream_write_end(struct stream *s);
/** The websocket took everything that was queued. */
void stream_writable(struct stream *s);
/**
 * Read at most that many bytes more, then count it as ended: the writer that counts is gone, and no more than this can
 * be its own.
 */
void stream_bound(struct stream *s, size_t bytes);
/** Read what is there right now, then count it as ended. */
void stream_drain(struct stream *s);
/** True while it is open, or the websocket has not taken what was read. */
bool stream_busy(const struct stream *s);
/** Close, forget; safe to repeat and on a zeroed stream with fd -1. */
void stream_close(struct stream *s);

#endif
