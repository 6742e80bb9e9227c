/* Small parsers of lib/base on any text: numbers, sizes, times, escapes, UTF-8. What decodes must encode back. */
#include <stdlib.h>
#include <string.h>

#include "lib/base/str.h"
#include "lib/base/time.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	lxm_auto(free) char *text = malloc(size + 1);
	lxm_auto(free) char *plain = NULL;
	lxm_auto(strv) struct lxm_strv parts = { 0 };
	char stamp[32];
	uint64_t u, u2;
	int64_t i;
	lxm_time t, t2;

	memcpy(text, data, size);
	text[size] = 0;
	(void)lxm_utf8_ok((const char *)data, size);
	(void)lxm_parse_bool(text);
	(void)lxm_parse_i64(text, &i);
	if (lxm_parse_u64(text, &u) == 0 && (lxm_parse_bytes(text, &u2) != 0 || u != u2))
		abort();
	(void)lxm_parse_bytes(text, &u);
	if (lxm_time_parse(text, &t) == 0 && t > 0 && (lxm_time_parse(lxm_time_str(t, stamp), &t2) != 0 || t != t2))
		abort();
	lxm_strv_split(&parts, text, ',');
	plain = lxm_url_decode((const char *)data, size, true);
	if (plain) {
		lxm_auto(free) char *coded = lxm_url_encode(plain, NULL);
		lxm_auto(free) char *again = lxm_url_decode(coded, strlen(coded), false);

		if (!again || strcmp(again, plain) != 0)
			abort();
	}
	return 0;
}
