/* seccomp_raw_build() over any text: a policy comes from whoever may set raw.seccomp. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "lxmd/instance/seccomp_raw.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
const char *__lsan_default_suppressions(void);

/* libseccomp 2.5.4 loses nodes of its own where a rule covers two before it; the unit test watches that filters are released. */
const char *__lsan_default_suppressions(void)
{
	return "leak:libseccomp.so";
}

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
