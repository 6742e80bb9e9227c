/* Archives of any bytes, looked through with every check of unpacking; nothing is written. */
#include <stdint.h>
#include <sys/mman.h>
#include <unistd.h>

#include "lib/base/fd.h"
#include "lxmd/image/unpack.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	lxm_auto(fd_close) int fd = memfd_create("archive", MFD_CLOEXEC);
	struct unpack_spec spec = { .fd = fd, .size = size, .name = "fuzz", .max_bytes = 1 << 20, .max_entries = 1000 };
	lxm_auto(buf) struct lxm_buf meta = { 0 };
	struct unpack_report report;
	struct lxm_err e = { 0 };

	if (size < 1 || lxm_write_all(fd, data + 1, size - 1) < 0)
		return 0;
	spec.part = (enum image_part)(data[0] % 4);
	if (spec.part == IMAGE_BACKUP) {
		(void)backup_peek_index(&spec, 1 << 16, &meta, &e);
		return 0;
	}
	(void)image_check(&spec, &meta, &report, &e);
	return 0;
}
