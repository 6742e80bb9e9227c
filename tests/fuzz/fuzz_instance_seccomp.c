/* seccomp_raw_build() over any text: a policy comes from whoever may set raw.seccomp. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "lxmd/instance/seccomp_raw.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	scmp_filter_ctx ctx = NULL;
	struct lxm_err e = { 0 };
	char text[2049];

	if (size >= sizeof(text) || memchr(data, 0, size))
		return 0;
	memcpy(text, data, size);
	text[size] = 0;
	if (seccomp_raw_build(text, &ctx, &e) == 0)
		seccomp_release(ctx);
	else if (!e.code || !*e.msg)
		abort(); /* a refusal without a reason */
	return 0;
}
