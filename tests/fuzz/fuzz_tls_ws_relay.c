/* Frames of any bytes through the websocket relay: bounded, and the same however they are cut. */
#include <stdint.h>
#include <stdlib.h>

#include "lib/tls/ws_relay.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	lxm_auto(buf) struct lxm_buf whole = { 0 }, cut = { 0 };
	struct lxm_ws_frames a = { 0 }, b = { 0 };
	int ra = lxm_ws_translate(&a, data, size, &whole, NULL), rb = 0;
	size_t i;

	for (i = 0; i < size && rb == 0; i++)
		rb = lxm_ws_translate(&b, data + i, 1, &cut, NULL);
	if (ra != rb || whole.len != cut.len || whole.len > size + 4 * (size / 2 + 1))
		abort();
	return 0;
}
