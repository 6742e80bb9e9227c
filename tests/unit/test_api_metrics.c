/* lxmd/api/metrics_text and lxmd/instance/usage: the text that scrapers read, and the cgroup files it comes from. */
#include "tests/unit/unit.h"

#include <string.h>

#include "lib/base/alloc.h"
#include "lxmd/api/metrics_text.h"
#include "lxmd/instance/usage_read.h"

static void labels_are_escaped(void)
{
	lxm_auto(buf) struct lxm_buf b = { 0 };

	metrics_label(&b, "a\"b\\c\nd\xff");
	CU_ASSERT_STRING_EQUAL(b.data, "a\\\"b\\\\c\\nd\xef\xbf\xbd");
}

static void cgroup_files_are_read(void)
{
	struct usage_disk disks[64];
	struct usage_cpu cpus[8];
	size_t n = 0;

	CU_ASSERT(usage_field("rss 5\ntotal_rss 7\n", "total_rss") == 7);
	CU_ASSERT(usage_field("total_rss_huge 5\n", "total_rss") == 0);
	CU_ASSERT(usage_field("", "x") == 0);
	CU_ASSERT(usage_count_cpus("0-3,7") == 5);
	CU_ASSERT(usage_count_cpus("") == 0);
	CU_ASSERT(usage_parse_cpus("cpu user system\n0 1 2\n2 5 6\n99 1 1\n", cpus, 8) == 3);
	CU_ASSERT(cpus[0].system_ns == 2 && cpus[1].user_ns == 0 && cpus[2].user_ns == 5);
	usage_parse_blkio("8:0 Read 10\n8:0 Write 20\n8:0 Sync 1\n8:16 Read 3\nTotal 33\n", true, disks, &n);
	usage_parse_blkio("8:0 Read 1\n8:0 Write 2\n", false, disks, &n);
	CU_ASSERT(n == 2 && disks[0].read_bytes == 10 && disks[0].written_bytes == 20 && disks[0].writes == 2);
	CU_ASSERT_STRING_EQUAL(disks[1].device, "8:16");
	n = 0;
	usage_parse_io("259:0 rbytes=1 wbytes=2 rios=3 wios=4 dbytes=5 dios=6\nbroken\n", disks, &n);
	CU_ASSERT(n == 1 && disks[0].read_bytes == 1 && disks[0].reads == 3 && disks[0].writes == 4);
	CU_ASSERT_STRING_EQUAL(disks[0].device, "259:0");
}

static bool only_mine(void *arg, const char *project)
{
	return strcmp(project, "mine") == 0;
}

static void a_project_is_all_that_is_shown(void)
{
	struct usage_cpu cpu = { 1500000000, 2000 };
	struct usage v[] = { { .project = (char *)"default", .name = (char *)"secret", .cpu = &cpu, .n_cpu = 1 },
			     { .project = (char *)"mine", .name = (char *)"c1", .cpu = &cpu, .n_cpu = 1, .processes = 3 } };
	struct usage_project projects[] = { { (char *)"default", 1 }, { (char *)"mine", 1 } };
	struct usages u = { .v = v, .n = 2, .project = projects, .n_project = 2 };
	struct metrics_spec spec = { .prefix = "incus", .open_metrics = true, .shows = only_mine };
	lxm_auto(buf) struct lxm_buf b = { 0 };

	metrics_text(&spec, &u, &b);
	CU_ASSERT_PTR_NULL(strstr(b.data, "secret"));
	CU_ASSERT_PTR_NULL(strstr(b.data, "default"));
	CU_ASSERT_PTR_NULL(strstr(b.data, "uptime"));
	CU_ASSERT_PTR_NOT_NULL(strstr(b.data, "# TYPE incus_cpu_seconds counter\n"
					      "incus_cpu_seconds_total{cpu=\"0\",mode=\"system\",name=\"c1\","
					      "project=\"mine\",type=\"container\"} 0.000002\n"));
	CU_ASSERT_PTR_NOT_NULL(strstr(b.data, "incus_procs_total{name=\"c1\",project=\"mine\",type=\"container\"} 3\n"));
	CU_ASSERT(lxm_ends(b.data, "\n# EOF\n"));
}

UNIT_MAIN("api/metrics", { "labels are escaped", labels_are_escaped }, { "cgroup files are read", cgroup_files_are_read },
	  { "a project is all that is shown", a_project_is_all_that_is_shown })
