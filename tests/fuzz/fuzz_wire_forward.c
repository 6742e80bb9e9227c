/* Fuzz target: a job of lxm-forward; what is taken has as many ports as it says and encodes again. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "lib/wire/forward.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	lxm_auto(buf) struct lxm_buf again = { 0 };
	struct forward_job j;
	size_t i;

	if (forward_job_check(data, size, &j, NULL) < 0)
		return 0;
	for (i = 0; i < forward_ports(&j.listen); i++)
		if (j.listen.type != FORWARD_UNIX && (!forward_port(&j.listen, i) || (j.connect.type != FORWARD_UNIX && !forward_port(&j.connect, i))))
			abort();
	if (forward_job_encode(&j, &again, NULL) < 0 || again.len != size || memcmp(again.data, data, size) != 0)
		abort();
	return 0;
}
