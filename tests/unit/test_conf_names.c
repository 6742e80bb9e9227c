/* lib/conf/names: what may be a name, and that what may not is said without breaking a terminal. */
#include "tests/unit/unit.h"

#include <string.h>

#include "lib/conf/names.h"

static char long64[65], long63[64];

static void instance_names_are_host_names(void)
{
	static const char *const good[] = { "c1", "C-1", "a", "web-01-x" };
	static const char *const bad[] = { "", "1c", "-c", "c-", "c_1", "c.1", "a b", "a/b", "..", "c\n1", "caf\xc3\xa9" };
	size_t i;

	memset(long63, 'a', 63);
	memset(long64, 'a', 64);
	for (i = 0; i < LXM_ARRAY_LEN(good); i++)
		CU_ASSERT_EQUAL(conf_name_instance(good[i], NULL), 0);
	for (i = 0; i < LXM_ARRAY_LEN(bad); i++)
		CU_ASSERT_EQUAL(conf_name_instance(bad[i], NULL), -EINVAL);
	CU_ASSERT_EQUAL(conf_name_instance(long63, NULL), 0);
	CU_ASSERT_EQUAL(conf_name_instance(long64, NULL), -EINVAL);
	CU_ASSERT_EQUAL(conf_name_instance(NULL, NULL), -EINVAL);
}

static void no_name_leads_out_of_its_directory(void)
{
	static int (*const checks[])(const char *, struct lxm_err *) = {
		conf_name_instance, conf_name_snapshot, conf_name_device,  conf_name_profile, conf_name_project, conf_name_pool,
		conf_name_volume,   conf_name_network,	conf_name_acl, conf_name_zone,	  conf_name_link,    conf_name_key,
	};
	static const char *const bad[] = { "", "/", "..", "../x", "a/b", "a\nb", "a\x1b[2J", "a b", "\xff" };
	size_t i, j;

	for (i = 0; i < LXM_ARRAY_LEN(checks); i++)
		for (j = 0; j < LXM_ARRAY_LEN(bad); j++)
			if (checks[i](bad[j], NULL) != -EINVAL) {
				fprintf(stderr, "\n    check %zu takes bad name %zu\n", i, j);
				CU_FAIL("taken");
			}
}

static void usual_names_are_taken(void)
{
	CU_ASSERT_EQUAL(conf_name_snapshot("snap0", NULL), 0);
	CU_ASSERT_EQUAL(conf_name_snapshot("2026-01-02_03:04", NULL), 0);
	CU_ASSERT_EQUAL(conf_name_profile("default", NULL), 0);
	CU_ASSERT_EQUAL(conf_name_project("client-1", NULL), 0);
	CU_ASSERT_EQUAL(conf_name_project("*", NULL), -EINVAL);
	CU_ASSERT_EQUAL(conf_name_pool("local.ssd_1", NULL), 0);
	CU_ASSERT_EQUAL(conf_name_volume("data", NULL), 0);
	CU_ASSERT_EQUAL(conf_name_network("lxmbr0", NULL), 0);
	CU_ASSERT_EQUAL(conf_name_network("sixteen-letters-", NULL), -EINVAL);
	CU_ASSERT_EQUAL(conf_name_zone("lxm.example.org", NULL), 0);
	CU_ASSERT_EQUAL(conf_name_zone("lxm.example.org.", NULL), -EINVAL);
	CU_ASSERT_EQUAL(conf_name_alias("debian/12", NULL), 0);
	CU_ASSERT_EQUAL(conf_name_alias(" debian", NULL), -EINVAL);
	CU_ASSERT_EQUAL(conf_name_alias("a\nb", NULL), -EINVAL);
	CU_ASSERT_EQUAL(conf_name_link("eth0.5", NULL), 0);
	CU_ASSERT_EQUAL(conf_name_key("volatile.eth0.hwaddr", NULL), 0);
	CU_ASSERT_EQUAL(conf_name_key("user.../../x", NULL), -EINVAL);
}

static void errors_show_a_hostile_name_safely(void)
{
	struct lxm_err e = { 0 };

	CU_ASSERT_EQUAL(conf_name_profile("a\x1b]0;x\n", &e), -EINVAL);
	CU_ASSERT_PTR_NULL(strpbrk(e.msg, "\x1b\n"));
	CU_ASSERT_PTR_NOT_NULL(strstr(e.msg, "bad profile name 'a?]0;x?'"));
}

UNIT_MAIN("conf/names", { "instance names are host names", instance_names_are_host_names },
	  { "no name leads out of its directory", no_name_leads_out_of_its_directory },
	  { "usual names are taken", usual_names_are_taken },
	  { "errors show a hostile name safely", errors_show_a_hostile_name_safely })
