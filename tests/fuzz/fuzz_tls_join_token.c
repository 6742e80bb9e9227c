/* Join tokens of any bytes: what is taken is in the form that callers rely on, and is read again as the same. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/alloc.h"
#include "lib/tls/join_token.h"
#include "lib/tls/sha1.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(const char *text)
{
	lxm_auto(join_token) struct lxm_join_token t = { 0 }, again = { 0 };
	lxm_auto(free) char *encoded = NULL;

	if (lxm_join_token_decode(text, &t, NULL) != 0)
		return;
	if (!lxm_is_hex(t.fingerprint, 64, 64) || !*t.secret || strpbrk(t.secret, "\r\n") || !t.addresses.n ||
	    t.addresses.n > LXM_TOKEN_ADDRESSES)
		abort();
	encoded = lxm_join_token_encode(&t);
	if (!encoded || (strlen(encoded) <= LXM_TOKEN_MAX && lxm_join_token_decode(encoded, &again, NULL) != 0))
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	lxm_auto(free) char *text = lxm_strndup((const char *)data, size), *wrapped = lxm_base64(data, size);

	check(text);
	check(wrapped); /* the JSON inside */
	return 0;
}
