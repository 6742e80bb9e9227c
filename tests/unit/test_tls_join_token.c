/* lib/tls/join_token.c: tokens of servers, and what anybody may send instead. */
#include "lib/tls/join_token.h"

#include <string.h>

#include "lib/base/alloc.h"
#include "lib/tls/sha1.h"
#include "tests/unit/unit.h"

#define FP "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

static int decode(const char *json, struct lxm_join_token *t)
{
	lxm_auto(free) char *text = lxm_base64(json, strlen(json));

	return lxm_join_token_decode(text, t, NULL);
}

static void round_trip(void)
{
	lxm_auto(join_token) struct lxm_join_token a = { .fingerprint = FP, .expires_at = 1800000000000 }, b = { 0 };
	lxm_auto(free) char *text = NULL;

	a.client_name = lxm_strdup("büro");
	a.secret = lxm_strdup("5ec2e7");
	lxm_strv_add(&a.addresses, "10.0.0.1:8443");
	lxm_strv_add(&a.addresses, "[fd00::1]:8443");
	text = lxm_join_token_encode(&a);
	CU_ASSERT_EQUAL_FATAL(lxm_join_token_decode(text, &b, NULL), 0);
	CU_ASSERT_STRING_EQUAL(b.client_name, "büro");
	CU_ASSERT_STRING_EQUAL(b.secret, "5ec2e7");
	CU_ASSERT_STRING_EQUAL(b.fingerprint, FP);
	CU_ASSERT_EQUAL(b.expires_at, a.expires_at);
	CU_ASSERT_EQUAL_FATAL(b.addresses.n, 2);
	CU_ASSERT_STRING_EQUAL(b.addresses.v[1], "[fd00::1]:8443");
}

/* As LXD says them: never expiring, and wrapped by whatever carried them. */
static void tokens_of_lxd(void)
{
	static const char json[] = "{\"client_name\":\"me\",\"fingerprint\":\"" FP "\",\"addresses\":[\"127.0.0.1:8443\"],"
				   "\"secret\":\"b5df\",\"expires_at\":\"0001-01-01T00:00:00Z\"}";
	lxm_auto(join_token) struct lxm_join_token t = { 0 };
	lxm_auto(free) char *text = lxm_base64(json, strlen(json)), *wrapped = NULL;

	wrapped = lxm_asprintf("  %.40s\n%s\n", text, text + 40);
	CU_ASSERT_EQUAL(lxm_join_token_decode(wrapped, &t, NULL), 0);
	CU_ASSERT_EQUAL(t.expires_at, 0);
}

static void what_is_no_token(void)
{
	static const char *const other[] = { "", "host", "10.0.0.1:8443", "https://host.example:8443", "unix:/run/x", "abcd", "e30",
					     "W10=", "bnVsbA==", "====" };
	lxm_auto(join_token) struct lxm_join_token t = { 0 };
	lxm_auto(free) char *big = lxm_alloc(LXM_TOKEN_MAX + 5);
	size_t i;

	for (i = 0; i < LXM_ARRAY_LEN(other); i++)
		CU_ASSERT_EQUAL(lxm_join_token_decode(other[i], &t, NULL), 1);
	memset(big, 'A', LXM_TOKEN_MAX + 4);
	CU_ASSERT_EQUAL(lxm_join_token_decode(big, &t, NULL), 1);
}

static void broken_tokens(void)
{
	static const char *const bad[] = {
		"{}",
		"{\"fingerprint\":\"" FP "\",\"addresses\":[\"h:1\"]}",
		"{\"fingerprint\":\"" FP "\",\"addresses\":[\"h:1\"],\"secret\":7}",
		"{\"fingerprint\":\"" FP "\",\"addresses\":[\"h:1\"],\"secret\":\"a\\r\\nX: y\"}",
		"{\"fingerprint\":\"" FP "\",\"addresses\":[],\"secret\":\"s\"}",
		"{\"fingerprint\":\"" FP "\",\"addresses\":\"h:1\",\"secret\":\"s\"}",
		"{\"fingerprint\":\"" FP "\",\"addresses\":[7],\"secret\":\"s\"}",
		"{\"fingerprint\":\"" FP "\",\"addresses\":[\"h:1\",\"a b\"],\"secret\":\"s\"}",
		"{\"fingerprint\":\"" FP "00\",\"addresses\":[\"h:1\"],\"secret\":\"s\"}",
		"{\"fingerprint\":\"ABC\",\"addresses\":[\"h:1\"],\"secret\":\"s\"}",
		"{\"fingerprint\":\"" FP "\",\"addresses\":[\"h:1\"],\"secret\":\"s\",\"expires_at\":\"soon\"}",
	};
	lxm_auto(join_token) struct lxm_join_token t = { 0 };
	size_t i;

	for (i = 0; i < LXM_ARRAY_LEN(bad); i++) {
		CU_ASSERT_EQUAL(decode(bad[i], &t), -EINVAL);
		CU_ASSERT_PTR_NULL(t.secret);
	}
	CU_ASSERT_EQUAL(decode("{\"fingerprint\":\"" FP "\",\"addresses\":[\"h:1\"],\"secret\":\"s\"}", &t), 0);
	CU_ASSERT_STRING_EQUAL(t.client_name, "");
}

UNIT_MAIN("join_token", { "round trip", round_trip }, { "tokens of LXD", tokens_of_lxd },
	  { "what is no token", what_is_no_token }, { "broken tokens", broken_tokens })
