/* lxmd/network/subnet: a chosen subnet overlaps nothing that is there. */
#include "tests/unit/unit.h"

#include "lxmd/network/subnet.h"

static void a_sixteen_is_taken_at_the_seed(void)
{
	lxm_auto(subnet_used) struct subnet_used u = { 0 };
	uint32_t net;
	int prefix;

	CU_ASSERT(subnet_choose4(&u, 77, &net, &prefix, NULL) == 0);
	CU_ASSERT(net == 0x0a4d0000 && prefix == 16);
	CU_ASSERT(subnet_choose4(&u, 256 + 77, &net, &prefix, NULL) == 0);
	CU_ASSERT(net == 0x0a4d0000);
}

static void whatever_overlaps_is_left_out(void)
{
	lxm_auto(subnet_used) struct subnet_used u = { 0 };
	uint32_t net;
	int prefix;

	subnet_used_add(&u, 0x0a4d0805, 32); /* one host inside 10.77/16 */
	subnet_used_add(&u, 0x0a4e0000, 15); /* 10.78/15 covers 10.78 and 10.79 */
	CU_ASSERT(subnet_choose4(&u, 77, &net, &prefix, NULL) == 0);
	CU_ASSERT(net == 0x0a500000 && prefix == 16);
}

static void a_default_route_takes_nothing(void)
{
	lxm_auto(subnet_used) struct subnet_used u = { 0 };

	subnet_used_add(&u, 0, 0);
	CU_ASSERT(u.n == 0);
	CU_ASSERT(subnet_is_free(&u, 0x0a000000, 8));
}

static void smaller_ones_come_when_ten_is_full(void)
{
	lxm_auto(subnet_used) struct subnet_used u = { 0 };
	uint32_t net, i;
	int prefix;

	for (i = 0; i < 256; i++)
		subnet_used_add(&u, 0x0a000000 | i << 16 | 0x0100, 24);
	CU_ASSERT(subnet_choose4(&u, 0, &net, &prefix, NULL) == 0);
	CU_ASSERT(net == 0x0a000000 && prefix == 24);
	subnet_used_add(&u, 0x0a000000, 8);
	CU_ASSERT(subnet_choose4(&u, 0, &net, &prefix, NULL) == 0);
	CU_ASSERT(net == 0xac100000 && prefix == 24);
	subnet_used_add(&u, 0xac100000, 12);
	CU_ASSERT(subnet_choose4(&u, 5, &net, &prefix, NULL) == 0);
	CU_ASSERT(net == 0xc0a80500 && prefix == 24);
}

static void nothing_free_is_said(void)
{
	lxm_auto(subnet_used) struct subnet_used u = { 0 };
	struct lxm_err e = { 0 };
	uint32_t net;
	int prefix;

	subnet_used_add(&u, 0, 1);
	subnet_used_add(&u, 0x80000000, 1);
	CU_ASSERT(subnet_choose4(&u, 5, &net, &prefix, &e) == -EADDRNOTAVAIL);
	CU_ASSERT(e.msg[0] != '\0');
}

UNIT_MAIN("network/subnet", { "a /16 is taken at the seed", a_sixteen_is_taken_at_the_seed },
	  { "whatever overlaps is left out", whatever_overlaps_is_left_out },
	  { "a default route takes nothing", a_default_route_takes_nothing },
	  { "smaller ones come when 10/8 is full", smaller_ones_come_when_ten_is_full },
	  { "nothing free is said", nothing_free_is_said })
