/* Fuzz target: SFTP packets as the server in lxm-helper reads them; what is taken must lie inside the packet. Also the file job. */
#include <stdint.h>
#include <stdlib.h>

#include "lib/wire/file.h"
#include "lib/wire/sftp.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void inside(struct sftp_bytes b, const uint8_t *data, size_t size)
{
	const uint8_t *p = (const uint8_t *)b.p;

	if (b.len && (p < data || p + b.len > data + size))
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct sftp_request rq;
	struct file_view v;

	if (sftp_request_parse(data, size, &rq) == 0) {
		inside(rq.name, data, size);
		inside(rq.path, data, size);
		inside(rq.second, data, size);
		if (rq.attrs.flags & ~15u)
			abort();
	}
	(void)file_job_check(data, size, &v, NULL);
	return 0;
}
