/* Fuzz target: a message between lxmd and the monitor; what decodes must encode to the same bytes. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "lib/wire/monitor.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	unsigned char again[MON_MAX];
	struct lxm_err e = { 0 };
	struct mon_msg m;
	int n;

	if (mon_decode(data, size, &m, &e) < 0)
		return 0;
	n = mon_encode(&m, again);
	if ((size_t)n != size || memcmp(again, data, size) != 0)
		abort();
	return 0;
}
