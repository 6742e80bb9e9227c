/* lib/base/str: parsing, encoding, vectors. */
#include "tests/unit/unit.h"

#include <string.h>

#include "lib/base/str.h"

static void bytes_take_both_kinds_of_units(void)
{
	uint64_t v;

	CU_ASSERT(lxm_parse_bytes("512", &v) == 0 && v == 512);
	CU_ASSERT(lxm_parse_bytes("10MiB", &v) == 0 && v == 10485760);
	CU_ASSERT(lxm_parse_bytes("2GB", &v) == 0 && v == 2000000000);
	CU_ASSERT(lxm_parse_bytes("3kB", &v) == 0 && v == 3000);
	CU_ASSERT(lxm_parse_bytes("16EiB", &v) == -ERANGE);
	CU_ASSERT(lxm_parse_bytes("-1", &v) == -EINVAL);
	CU_ASSERT(lxm_parse_bytes("1XB", &v) == -EINVAL);
	CU_ASSERT(lxm_parse_bytes("", &v) == -EINVAL);
}

static void url_decode_refuses_broken_escapes_and_nul(void)
{
	lxm_auto(free) char *a = lxm_url_decode("c1%2Fs1+x", 9, true);

	CU_ASSERT_STRING_EQUAL(a, "c1/s1 x");
	CU_ASSERT_PTR_NULL(lxm_url_decode("a%2", 3, false));
	CU_ASSERT_PTR_NULL(lxm_url_decode("a%", 2, false));
	CU_ASSERT_PTR_NULL(lxm_url_decode("%zz", 3, false));
	CU_ASSERT_PTR_NULL(lxm_url_decode("%00", 3, false));
}

static void url_encode_comes_back(void)
{
	lxm_auto(free) char *e = lxm_url_encode("a b/\xc3\xa9%", NULL);
	lxm_auto(free) char *d = lxm_url_decode(e, strlen(e), false);

	CU_ASSERT_STRING_EQUAL(e, "a%20b%2F%C3%A9%25");
	CU_ASSERT_STRING_EQUAL(d, "a b/\xc3\xa9%");
}

static void vectors_keep_order_and_end_in_null(void)
{
	lxm_auto(strv) struct lxm_strv v = { 0 };
	int i;

	for (i = 0; i < 100; i++) {
		lxm_strv_add(&v, i % 2 ? "odd" : "even");
		CU_ASSERT_PTR_NULL(v.v[v.n]);
	}
	CU_ASSERT(lxm_strv_del(&v, "odd"));
	CU_ASSERT(v.n == 99);
	CU_ASSERT_PTR_NULL(v.v[99]);
	CU_ASSERT_STRING_EQUAL(v.v[1], "even");
}

static void utf8_is_checked_strictly(void)
{
	CU_ASSERT(lxm_utf8_ok("h\xc3\xa9", 3));
	CU_ASSERT_FALSE(lxm_utf8_ok("\xc0\x80", 2));	 /* overlong */
	CU_ASSERT_FALSE(lxm_utf8_ok("\xed\xa0\x80", 3)); /* surrogate */
	CU_ASSERT_FALSE(lxm_utf8_ok("a\0b", 3));
	CU_ASSERT_FALSE(lxm_utf8_ok("\xe2\x82", 2)); /* cut */
}

static void secrets_compare_by_length_too(void)
{
	CU_ASSERT(lxm_secret_eq("abc", "abc"));
	CU_ASSERT_FALSE(lxm_secret_eq("abc", "abcd"));
	CU_ASSERT_FALSE(lxm_secret_eq("abcd", "abc"));
	CU_ASSERT_FALSE(lxm_secret_eq("", "a"));
	CU_ASSERT_FALSE(lxm_secret_eq("a", ""));
}

UNIT_MAIN("base/str", { "bytes take both kinds of units", bytes_take_both_kinds_of_units },
	  { "url decode refuses broken escapes and NUL", url_decode_refuses_broken_escapes_and_nul },
	  { "url encode comes back", url_encode_comes_back },
	  { "vectors keep order and end in NULL", vectors_keep_order_and_end_in_null },
	  { "utf-8 is checked strictly", utf8_is_checked_strictly },
	  { "secrets compare by length too", secrets_compare_by_length_too })
