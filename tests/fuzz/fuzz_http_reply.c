/* Replies of a hostile server, fed to the client's parser whole and in pieces: both must come to the same end. */
#include <stdlib.h>

#include "lib/tls/http_parse.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static uint64_t body_bytes;

static int count(void *arg, const void *data, size_t n, struct lxm_err *e)
{
	body_bytes += n;
	return 0;
}

/* Feeds all of it in steps of `step` bytes; returns the parser's verdict. */
static int feed(const uint8_t *data, size_t size, size_t step, enum lxm_http_state *state_out)
{
	lxm_auto(http_parser) struct lxm_http_parser p = { 0 };
	struct lxm_err e = { 0 };
	size_t at = 0, used;
	int r = 0;

	lxm_http_parser_reset(&p);
	p.sink = count;
	while (at < size && p.state != LXM_HTTP_DONE && r == 0) {
		size_t n = size - at < step ? size - at : step;

		r = lxm_http_parser_feed(&p, data + at, n, &used, &e);
		if (r == 0 && used > n)
			abort();
		at += r == 0 ? used : 0;
		if (r == 0 && used == 0)
			break;
	}
	*state_out = p.state;
	return r;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	enum lxm_http_state whole_state, split_state;
	uint64_t whole_bytes;
	int whole, split;

	body_bytes = 0;
	whole = feed(data, size, size + 1, &whole_state);
	whole_bytes = body_bytes;
	body_bytes = 0;
	split = feed(data, size, 1, &split_state);
	if (whole != split || (whole == 0 && (whole_state != split_state || whole_bytes != body_bytes)))
		abort();
	return 0;
}
