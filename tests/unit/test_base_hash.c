/* hash: the reference values of XXH64, in one piece and in many. */
#include "tests/unit/unit.h"

#include <string.h>

#include "lib/base/hash.h"

static uint64_t of(const void *data, size_t n, uint64_t seed)
{
	struct lxm_hash h;

	lxm_hash_init(&h, seed);
	lxm_hash_add(&h, data, n);
	return lxm_hash_value(&h);
}

static void reference_values(void)
{
	CU_ASSERT_EQUAL(of("", 0, 0), 0xEF46DB3751D8E999ULL);
	CU_ASSERT_EQUAL(of("a", 1, 0), 0xD24EC4F1A98C6E5BULL);
	CU_ASSERT_EQUAL(of("abc", 3, 0), 0x44BC2CF5AD770999ULL);
	CU_ASSERT_EQUAL(of("Nobody inspects the spammish repetition", 39, 0), 0xFBCEA83C8A378BF1ULL);
}

static void pieces_make_no_difference(void)
{
	unsigned char data[1000];
	size_t i, step;

	for (i = 0; i < sizeof(data); i++)
		data[i] = (unsigned char)(i * 7 + 3);
	for (step = 1; step < 100; step += 3) {
		struct lxm_hash h;

		lxm_hash_init(&h, 42);
		for (i = 0; i < sizeof(data); i += step)
			lxm_hash_add(&h, data + i, sizeof(data) - i < step ? sizeof(data) - i : step);
		CU_ASSERT_EQUAL(lxm_hash_value(&h), of(data, sizeof(data), 42));
	}
	data[500] ^= 1;
	CU_ASSERT_NOT_EQUAL(of(data, sizeof(data), 42), of(data, 500, 42));
}

UNIT_MAIN("base/hash", { "reference values", reference_values }, { "pieces make no difference", pieces_make_no_difference })
