/* backup/index.yaml of any bytes. */
#include <stdint.h>

#include "lxmd/instance/backup_index.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	lxm_auto(backup_index) struct backup_index x = { 0 };
	struct lxm_err e = { 0 };

	if (size <= 65536)
		(void)backup_index_parse((const char *)data, size, &x, &e);
	return 0;
}
