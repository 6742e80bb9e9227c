/* Multipart bodies of any bytes; the parts that are found lie inside the body. */
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "lib/base/fd.h"
#include "lib/tls/multipart.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	lxm_auto(fd_close) int fd = memfd_create("body", MFD_CLOEXEC);
	struct lxm_err e = { 0 };
	struct multipart mp;
	size_t i;

	if (lxm_write_all(fd, data, size) < 0 || multipart_parse(fd, size, "b", &mp, &e) < 0)
		return 0;
	for (i = 0; i < mp.n; i++)
		if (mp.v[i].off > size || mp.v[i].len > size - mp.v[i].off)
			abort();
	return 0;
}
