/* lxmc/hosts, merge and fleet: which servers are meant, how answers come together, children and their time. */
#include "tests/unit/scratch.h"
#include "tests/unit/unit.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "lib/base/alloc.h"
#include "lib/base/fd.h"
#include "lib/base/time.h"
#include "lxmc/hosts.h"
#include "lxmc/json.h"
#include "lxmc/merge.h"
#include "lxmc/sink.h"
#include "lxmc/top_rows.h"

static struct conf *load(const char *yaml)
{
	char dir[SCRATCH_MAX];
	lxm_auto(free) char *path = NULL;
	struct conf *conf = NULL;

	scratch(dir, "fleet");
	path = lxm_asprintf("%s/config.yml", dir);
	CU_ASSERT_FATAL(lxm_write_file_atomic(AT_FDCWD, path, yaml, strlen(yaml), 0600) == 0);
	setenv("LXMC_CONF", dir, 1);
	CU_ASSERT_FATAL(conf_load(&conf, NULL) == 0);
	(void)lxm_rm_tree_at(AT_FDCWD, dir);
	return conf;
}

static const char three[] = "remotes:\n"
			    "  web10: {addr: \"unix:/a\", protocol: lxd}\n"
			    "  web2: {addr: \"unix:/b\", protocol: lxd}\n"
			    "  db1: {addr: \"unix:/c\", protocol: lxd}\n"
			    "  pictures: {addr: \"https://images.example\", protocol: simplestreams}\n"
			    "groups:\n"
			    "  front: [web2, db1]\n"
			    "  stale: [gone]\n";

static void assert_chosen(struct conf *conf, const char *words, const char *want)
{
	lxm_auto(strv) struct lxm_strv got = { 0 };
	lxm_auto(free) char *text = NULL;
	int r = hosts_choose(conf, words, &got, NULL);

	text = r < 0 ? lxm_asprintf("error %d", -r) : lxm_strv_join(&got, " ");
	if (strcmp(text, want) != 0)
		printf("'%s' chose '%s', not '%s'\n", words, text, want);
	CU_ASSERT_STRING_EQUAL(text, want);
}

static void words_choose_servers(void)
{
	struct conf *conf = load(three);

	assert_chosen(conf, "all", "db1 local web2 web10");
	assert_chosen(conf, "web*", "web2 web10");
	assert_chosen(conf, "web*,web2", "web2 web10");
	assert_chosen(conf, "front", "db1 web2");
	assert_chosen(conf, "front,!db*", "web2");
	assert_chosen(conf, "!local,!front", "web10");
	assert_chosen(conf, "web[!2]*", "web10");
	assert_chosen(conf, "nobody", "error 2");
	assert_chosen(conf, "no*", "error 2");
	assert_chosen(conf, "pictures", "error 2");
	assert_chosen(conf, "stale", "error 2");
	assert_chosen(conf, "db1,!db1", "error 2");
	assert_chosen(conf, "", "error 2");
	assert_chosen(conf, ",", "error 2");
	conf_free(conf);
}

static void groups_hold_servers(void)
{
	struct conf *conf = load(three);
	lxm_auto(strv) struct lxm_strv names = { 0 };

	CU_ASSERT(group_add(conf, "back", "web10", NULL) == 0);
	CU_ASSERT(group_add(conf, "back", "web10", NULL) == 0);
	assert_chosen(conf, "back", "web10");
	CU_ASSERT(group_add(conf, "back", "nobody", NULL) == -ENOENT);
	CU_ASSERT(group_add(conf, "all", "web2", NULL) == -EINVAL);
	CU_ASSERT(group_add(conf, "web2", "web2", NULL) == -EINVAL);
	CU_ASSERT(group_add(conf, "a*", "web2", NULL) == -EINVAL);
	group_follow(conf, "db1", "db2");
	CU_ASSERT(group_remove(conf, "front", "db1", NULL) == -ENOENT);
	group_follow(conf, "db2", "db1");
	group_follow(conf, "gone", NULL);
	CU_ASSERT(group_members(conf, "stale", &names, NULL) == -ENOENT);
	CU_ASSERT(group_remove(conf, "front", "web10", NULL) == -ENOENT);
	CU_ASSERT(group_remove(conf, "front", "web2", NULL) == 0);
	assert_chosen(conf, "front", "db1");
	CU_ASSERT(group_remove(conf, "front", "db1", NULL) == 0);
	group_names(conf, &names);
	CU_ASSERT(names.n == 1 && strcmp(names.v[0], "back") == 0);
	conf_free(conf);
}

static void make(struct fleet *f, struct lxm_strv *names, const char *list)
{
	lxm_strv_split(names, list, ' ');
	fleet_init(f, names);
}

static void tables_come_together(void)
{
	lxm_auto(strv) struct lxm_strv names = { 0 };
	lxm_auto(fleet) struct fleet f = { 0 };
	lxm_auto(table) struct table t = { 0 };
	lxm_auto(free) char *csv = NULL;

	make(&f, &names, "a b c d");
	f.v[0].list = json_pack("{s:[s,s], s:[s,s,s,s]}", "head", "NAME", "STATE", "cells", "c1", "RUNNING", "c2", "x,y");
	f.v[1].list = json_pack("{s:[s,s], s:[]}", "head", "NAME", "STATE", "cells");
	f.v[2].list = json_pack("{s:[s], s:[s]}", "head", "NAME", "cells", "odd");
	merge_table(&f, &t);
	csv = table_csv(&t);
	CU_ASSERT_STRING_EQUAL(csv, "a,c1,RUNNING\na,c2,\"x,y\"\n");
	CU_ASSERT(t.head.n == 3 && strcmp(t.head.v[0], "HOST") == 0);
	CU_ASSERT(f.v[1].errors.n == 0 && f.v[2].errors.n == 1);
}

static void documents_tell_results_and_errors(void)
{
	lxm_auto(strv) struct lxm_strv names = { 0 };
	lxm_auto(fleet) struct fleet f = { 0 };
	lxm_auto(json) json_t *doc = NULL;
	lxm_auto(free) char *text = NULL;

	make(&f, &names, "a b");
	f.v[0].object = json_pack("{s:i}", "x", 1);
	f.v[1].status = 1;
	lxm_strv_add(&f.v[1].errors, "one");
	lxm_strv_add(&f.v[1].errors, "two");
	doc = merge_document(&f);
	text = json_dumps(doc, JSON_COMPACT);
	CU_ASSERT_STRING_EQUAL(text, "[{\"host\":\"a\",\"status\":0,\"result\":{\"x\":1}},"
				     "{\"host\":\"b\",\"status\":1,\"error\":\"one\\ntwo\"}]");
}

static void collect(void *arg, const char *s, size_t n)
{
	lxm_buf_add(arg, s, n);
}

static void only_whole_lines_are_shown(void)
{
	lxm_auto(buf) struct lxm_buf in = { 0 }, out = { 0 };

	lxm_buf_str(&in, "one\ntw");
	merge_lines(&in, "h", false, collect, &out);
	CU_ASSERT_STRING_EQUAL(out.data, "h: one\n");
	lxm_buf_str(&in, "o\n\nend");
	merge_lines(&in, "h", false, collect, &out);
	CU_ASSERT_STRING_EQUAL(out.data, "h: one\nh: two\nh: \n");
	merge_lines(&in, NULL, true, collect, &out);
	CU_ASSERT_STRING_EQUAL(out.data, "h: one\nh: two\nh: \nend\n");
	CU_ASSERT(in.len == 0);
}

/* What each name's child does. */
static int act(void *arg, const char *host)
{
	lxm_auto(json) json_t *o = NULL;

	if (*host == 's')
		for (;;)
			pause();
	sink_answered();
	if (*host == 'k')
		return raise(SIGKILL);
	if (*host == 'h')
		for (;;)
			pause();
	o = json_pack("{s:s}", "me", host);
	sink_object(o);
	printf("out of %s\n", host);
	if (*host == 'e')
		sink_error("no");
	return *host == 'e' ? 7 : 0;
}

static void hosts_work_side_by_side(void)
{
	lxm_auto(strv) struct lxm_strv names = { 0 };
	lxm_auto(fleet) struct fleet f = { 0 };

	make(&f, &names, "a b e k");
	f.parallel = 2;
	f.work = act;
	CU_ASSERT(fleet_run(&f, NULL) == 0);
	CU_ASSERT_STRING_EQUAL(jtext(f.v[1].object, "me"), "b");
	CU_ASSERT_STRING_EQUAL(f.v[1].text[0].data, "out of b\n");
	CU_ASSERT(f.v[0].status == 0 && f.v[2].status == 7 && f.v[3].status == 128 + SIGKILL);
	CU_ASSERT(f.v[2].errors.n == 1 && !f.interrupted);
}

/* One place and four silent hosts before the one that works: they wait beside each other. */
static void silent_hosts_cost_one_time_out(void)
{
	lxm_auto(strv) struct lxm_strv names = { 0 };
	lxm_auto(fleet) struct fleet f = { 0 };
	int64_t begun = lxm_mono_ms(), took;

	make(&f, &names, "s1 s2 s3 s4 z");
	f.parallel = 2;
	f.answer_ms = 3000;
	f.work = act;
	CU_ASSERT(fleet_run(&f, NULL) == 0);
	took = lxm_mono_ms() - begun;
	CU_ASSERT(took >= 3000 && took < 5500);
	CU_ASSERT(f.v[0].timed_out && f.v[3].timed_out && !f.v[0].answered);
	CU_ASSERT(f.v[4].status == 0 && f.v[4].object);
}

static void a_limit_ends_what_hangs_later(void)
{
	lxm_auto(strv) struct lxm_strv names = { 0 };
	lxm_auto(fleet) struct fleet f = { 0 };

	make(&f, &names, "h a");
	f.total_ms = 300;
	f.work = act;
	CU_ASSERT(fleet_run(&f, NULL) == 0);
	CU_ASSERT(f.v[0].timed_out && f.v[0].answered && f.v[1].status == 0);
}

static json_t *looked(long long at_ms, const char *cpu, const char *received)
{
	lxm_auto(free) char *text = lxm_asprintf("# HELP x {\n"
						 "lxd_cpu_seconds_total{cpu=\"0\",mode=\"user\",name=\"c1\",project=\"p\",type=\"container\"} %s\n"
						 "lxd_cpu_seconds_total{cpu=\"1\",mode=\"user\",name=\"c1\",project=\"p\",type=\"container\"} 1.5\n"
						 "lxd_cpu_seconds_total{cpu=\"0\",mode=\"user\",name=\"c2\",project=\"p\",type=\"container\"} 1\n"
						 "lxd_network_receive_bytes_total{device=\"lo\",name=\"c1\",project=\"p\",type=\"container\"} 9\n"
						 "lxd_network_receive_bytes_total{device=\"a\\\"},b\",name=\"c1\",project=\"p\"} %s\n"
						 "lxd_procs_total{name=\"c1\",project=\"p\",type=\"container\"} 4\n"
						 "lxd_procs_total{name=\"c1\nlxd_broken} 4\nlxd_procs_total{} 1\n",
						 cpu, received);

	return json_pack("{s:I, s:o}", "at_ms", (json_int_t)at_ms, "instances", top_parse(text));
}

static void top_shows_rates_between_looks(void)
{
	lxm_auto(json) json_t *first = looked(1000, "1.0", "100"), *second = looked(3000, "2.0", "300");
	lxm_auto(free) struct top_row *rows = NULL;
	size_t n = 0;

	top_rows("h", second, first, &rows, &n);
	CU_ASSERT_FATAL(n == 2);
	CU_ASSERT(top_sort(rows, n, "cpu") && !top_sort(rows, n, "colour"));
	CU_ASSERT_STRING_EQUAL(rows[0].name, "c1");
	CU_ASSERT(rows[0].cpu > 49.9 && rows[0].cpu < 50.1 && rows[1].cpu < 0.1);
	CU_ASSERT(rows[0].received > 99.9 && rows[0].received < 100.1 && rows[0].processes == 4);
	n = 0;
	top_rows("h", first, second, &rows, &n); /* counters that began anew */
	CU_ASSERT(rows[0].cpu <= 0);
}

UNIT_MAIN("lxmc/fleet", { "words choose servers", words_choose_servers }, { "groups hold servers", groups_hold_servers },
	  { "tables come together", tables_come_together },
	  { "documents tell results and errors", documents_tell_results_and_errors },
	  { "only whole lines are shown", only_whole_lines_are_shown }, { "hosts work side by side", hosts_work_side_by_side },
	  { "silent hosts cost one time-out", silent_hosts_cost_one_time_out },
	  { "top shows rates between looks", top_shows_rates_between_looks },
	  { "a limit ends what hangs later", a_limit_ends_what_hangs_later })
