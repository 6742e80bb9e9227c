/* Requests of any bytes on /dev/lxd/sock: what is called whole lies inside them and is the same when it comes in pieces. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "lxmd/guest/http.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *s = (const char *)data;
	struct guest_request rq, again;
	size_t n = size < GUEST_REQUEST_MAX ? size : GUEST_REQUEST_MAX, i;
	int r = guest_http_parse(s, n, &rq), part = 0;

	if (r == 0 && n == GUEST_REQUEST_MAX)
		abort(); /* nobody would ever answer */
	if (r == 1 && (rq.path[0] != '/' || rq.head + rq.body > n))
		abort();
	for (i = 0; i < n && part == 0; i++)
		part = guest_http_parse(s, i + 1, &again);
	if (part != r || (r == 1 && memcmp(&rq, &again, sizeof(rq)) != 0))
		abort();
	return 0;
}
