/* lxmd/instance/idmap: the pool of ids and raw.idmap. */
#include "tests/unit/unit.h"

#include <string.h>

#include "lxmd/instance/idmap.h"

static void isolated_ranges_never_touch(void)
{
	struct idmap_pool p;
	uint32_t a, b, c;

	CU_ASSERT(idmap_pool_init(&p, "root:1000000:1000000\n", "root:1000000:1000000\n", UINT32_MAX, NULL) == 0);
	CU_ASSERT(idmap_pool_take(&p, 1, 65536, 0, false, &a, NULL) == 0);
	CU_ASSERT(idmap_pool_take(&p, 2, 100000, 0, false, &b, NULL) == 0);
	CU_ASSERT(b >= a + 65536);
	CU_ASSERT(a >= 1065536);
	idmap_pool_drop(&p, 1);
	CU_ASSERT(idmap_pool_take(&p, 3, 65536, 0, false, &c, NULL) == 0 && c == a);
	CU_ASSERT(idmap_pool_take(&p, 4, 65536, a + 10, false, &c, NULL) == -EEXIST);
	idmap_pool_deinit(&p);
}

static void a_full_pool_says_so(void)
{
	struct idmap_pool p;
	struct lxm_err e = { 0 };
	uint32_t a;

	CU_ASSERT(idmap_pool_init(&p, "root:500000:65536", "root:500000:65536", UINT32_MAX, NULL) == 0);
	CU_ASSERT(idmap_pool_take(&p, 1, 65536, 0, false, &a, &e) == 0 && a == 500000);
	CU_ASSERT(idmap_pool_take(&p, 2, 65536, 0, false, &a, &e) == -ENOSPC);
	CU_ASSERT_PTR_NOT_NULL(strstr(e.msg, "/etc/subuid"));
	idmap_pool_deinit(&p);
}

static void the_builtin_range_respects_other_users(void)
{
	struct idmap_pool p;
	struct lxm_err e = { 0 };

	CU_ASSERT(idmap_pool_init(&p, "", "", UINT32_MAX, &e) == 0 && p.first == 1000000);
	idmap_pool_deinit(&p);
	CU_ASSERT(idmap_pool_init(&p, "alice:100000:65536\n", "", UINT32_MAX, &e) == 0);
	idmap_pool_deinit(&p);
	CU_ASSERT(idmap_pool_init(&p, "bob:1100000:65536\n", "", UINT32_MAX, &e) == -EEXIST);
	CU_ASSERT_PTR_NOT_NULL(strstr(e.msg, "bob"));
	idmap_pool_deinit(&p);
}

static void a_container_gives_of_its_own_ids(void)
{
	struct idmap_pool p;
	struct lxm_err e = { 0 };
	uint32_t base;

	CU_ASSERT(idmap_own_ids("         0          0 4294967295\n", "         0          0 4294967295\n") == UINT32_MAX);
	CU_ASSERT(idmap_own_ids("         0     165536      65536\n", "         0     165536     200000\n") == 65536);
	CU_ASSERT(idmap_own_ids("0 100000 1000\n1000 1000 1\n1001 101001 64535\n", "0 1 4294967295\n") == 65536);
	CU_ASSERT(idmap_pool_init(&p, "", "", 1048576, &e) == 0 && p.first == 65536 && p.count == 983040);
	CU_ASSERT(idmap_pool_take(&p, 1, 65536, 0, false, &base, &e) == 0 && base == 131072);
	idmap_pool_deinit(&p);
	/* a line of root's counts as far as there are ids */
	CU_ASSERT(idmap_pool_init(&p, "root:100000:1000000\n", "root:100000:1000000\n", 300000, &e) == 0);
	CU_ASSERT(p.first == 100000 && p.count == 200000);
	idmap_pool_deinit(&p);
	CU_ASSERT(idmap_pool_init(&p, "", "", 65536, &e) == -EINVAL);
	CU_ASSERT_PTR_NOT_NULL(strstr(e.msg, "security.idmap.size=131072"));
	CU_ASSERT(idmap_pool_init(&p, "alice:100000:65536\n", "", 1048576, &e) == -EEXIST);
}

static void raw_idmap_punches_holes(void)
{
	struct idmap m;

	CU_ASSERT(idmap_compose(1000000, 65536, "both 1000 1000\ngid 50-51 60-61", &m, NULL) == 0);
	CU_ASSERT(m.nuid == 3 && m.ngid == 5);
	CU_ASSERT(m.uid[0].inside == 0 && m.uid[0].count == 1000 && m.uid[0].outside == 1000000);
	CU_ASSERT(m.uid[1].inside == 1000 && m.uid[1].outside == 1000 && m.uid[1].count == 1);
	CU_ASSERT(m.uid[2].inside == 1001 && m.uid[2].outside == 1001001 && m.uid[2].count == 64535);
	CU_ASSERT(m.gid[1].inside == 60 && m.gid[1].outside == 50 && m.gid[1].count == 2);
	CU_ASSERT(idmap_outside(m.uid, m.nuid, 0) == 1000000 && idmap_outside(m.uid, m.nuid, 1000) == 1000);
	CU_ASSERT(idmap_outside(m.gid, m.ngid, 61) == 51 && idmap_outside(m.gid, m.ngid, 62) == 1000062);
	CU_ASSERT(idmap_outside(m.uid, m.nuid, 65536) == UINT32_MAX);
	CU_ASSERT(idmap_outside(NULL, 0, 7) == 7);
	idmap_deinit(&m);
}

static void raw_idmap_refuses_rubbish(void)
{
	static const char *const bad[] = { "both 1000", "foo 1 1", "both 1-2 1", "uid -1 0", "uid 5-4 5-4", "uid 4294967295 0" };
	struct lxm_err e = { 0 };
	struct idmap m;
	size_t i;

	for (i = 0; i < LXM_ARRAY_LEN(bad); i++)
		CU_ASSERT(idmap_compose(1000000, 65536, bad[i], &m, &e) == -EINVAL);
}

static void a_share_leaves_as_many_for_others(void)
{
	struct idmap_pool p;
	struct lxm_err e = { 0 };
	int64_t mine[] = { 3, 1, 2 };
	uint32_t base;

	CU_ASSERT_FATAL(idmap_pool_init(&p, "root:100000:655360\n", "root:100000:655360\n", UINT32_MAX, &e) == 0);
	CU_ASSERT(idmap_pool_leaves_enough(&p, NULL, 0, 327680));
	CU_ASSERT(!idmap_pool_leaves_enough(&p, NULL, 0, 327681));
	CU_ASSERT(idmap_pool_take(&p, 1, 65536, 0, false, &base, &e) == 0 && idmap_pool_take(&p, 2, 65536, 0, false, &base, &e) == 0);
	CU_ASSERT(idmap_pool_leaves_enough(&p, mine, 3, 3 * 65536));
	CU_ASSERT(!idmap_pool_leaves_enough(&p, mine, 3, 3 * 65536 + 1));
	/* what a stranger holds is not there for anybody */
	CU_ASSERT(idmap_pool_take(&p, 9, 2 * 65536, 0, false, &base, &e) == 0);
	CU_ASSERT(idmap_pool_leaves_enough(&p, mine, 3, 2 * 65536));
	CU_ASSERT(!idmap_pool_leaves_enough(&p, mine, 3, 2 * 65536 + 1));
	CU_ASSERT(!idmap_pool_leaves_enough(&p, mine, 3, UINT32_MAX));
	idmap_pool_deinit(&p);
}

static void raw_ids_lie_in_lists(void)
{
	CU_ASSERT(idmap_raw_within("both 1000 0", "1000", "500-2000"));
	CU_ASSERT(!idmap_raw_within("both 1000 0", "1000", NULL));
	CU_ASSERT(!idmap_raw_within("uid 1000-1001 0-1", "1000,1001", ""));
	CU_ASSERT(idmap_raw_within("uid 1000-1001 0-1\ngid 7 0", "5, 900-1001", "7"));
	CU_ASSERT(!idmap_raw_within("uid 1000-1001 0-1\nuid 0 5", "900-1001", "0-9"));
	CU_ASSERT(!idmap_raw_within("nonsense", "0-4294967294", "0-4294967294"));
}

UNIT_MAIN("instance/idmap", { "isolated ranges never touch", isolated_ranges_never_touch },
	  { "a full pool says so", a_full_pool_says_so },
	  { "a container gives of its own ids", a_container_gives_of_its_own_ids },
	  { "the built-in range respects other users", the_builtin_range_respects_other_users },
	  { "raw.idmap punches holes", raw_idmap_punches_holes },
	  { "raw.idmap refuses rubbish", raw_idmap_refuses_rubbish },
	  { "raw ids lie in lists", raw_ids_lie_in_lists },
	  { "a share leaves as many for others", a_share_leaves_as_many_for_others })
