/* The PROXY header in pieces: the same answer however the bytes come, and none of what follows is eaten. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "lxmd/http/listen.h"
#include "lxmd/http/proxy_header.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int feed(const uint8_t *data, size_t size, size_t step, size_t *used_out, char text[ADDR_TEXT])
{
	struct proxy_header p = { 0 };
	struct sockaddr_storage sa;
	size_t used;
	int r = PROXY_HEADER_MORE;

	text[0] = '\0';
	*used_out = 0;
	while (r == PROXY_HEADER_MORE && *used_out < size) {
		size_t n = size - *used_out < step ? size - *used_out : step;

		r = proxy_header_feed(&p, data + *used_out, n, &used, &sa);
		if (used > n || (r == PROXY_HEADER_MORE && used != n))
			abort();
		*used_out += used;
	}
	if (r == 0)
		addr_text(&sa, text);
	return r;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char a[ADDR_TEXT], b[ADDR_TEXT];
	size_t used_a, used_b;

	if (feed(data, size, size ? size : 1, &used_a, a) != feed(data, size, 1, &used_b, b) || used_a != used_b || strcmp(a, b) != 0)
		abort();
	return 0;
}
