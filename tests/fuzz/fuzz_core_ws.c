/* Bytes of a hostile websocket client: nothing crashes, every socket ends with exactly one on_close. */
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "lxmd/core/loop.h"
#include "lxmd/core/ws.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct loop *loop;
static atomic_int closed;

static void on_message(struct ws *ws, int opcode, const void *data, size_t len, bool fin, void *arg)
{
	if (closed || (opcode != WS_TEXT && opcode != WS_BINARY) || (opcode == WS_TEXT && (!fin || len > WS_TEXT_MAX)))
		abort();
	(void)ws_send(ws, opcode, data, len);
	if (len == 7)
		ws_close(ws);
}

static void on_close(struct ws *ws, int code, void *arg)
{
	if (closed++)
		abort();
}

static void nothing(void *arg)
{
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct ws_handler handler = { .on_message = on_message, .on_close = on_close };
	size_t early = size ? data[0] % size : 0;
	struct ws *ws;
	char junk[4096];
	int sv[2];

	if (!loop && loop_new(&loop, NULL) < 0)
		abort();
	if (size > 60000 || socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sv) < 0)
		return 0;
	closed = 0;
	ws = ws_new(loop, sv[1], data, early); /* a part came with the request */
	ws_start(ws, &handler, NULL);
	(void)!send(sv[0], data + early, size - early, MSG_NOSIGNAL);
	(void)shutdown(sv[0], SHUT_WR);
	while (read(sv[0], junk, sizeof(junk)) > 0)
		;
	(void)close(sv[0]);
	while (!closed)
		loop_call(loop, nothing, NULL);
	ws_unref(ws);
	return 0;
}
