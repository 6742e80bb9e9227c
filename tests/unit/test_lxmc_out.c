/* lxmc/out, table, units, filter and multipart: what people and scripts see. */
#include "tests/unit/unit.h"

#include <string.h>

#include "lib/base/alloc.h"
#include "lib/api/json.h"
#include "lxmc/filter.h"
#include "lxmc/multipart.h"
#include "lxmc/out.h"
#include "lxmc/units.h"

static void assert_safe(const char *in, const char *want)
{
	lxm_auto(free) char *got = out_safe(in);

	CU_ASSERT_STRING_EQUAL(got, want);
}

static void terminals_cannot_be_driven(void)
{
	assert_safe("plain \xc3\xa9 \xe4\xb8\xad", "plain \xc3\xa9 \xe4\xb8\xad");
	assert_safe("\033[2Jx", "\\x1b[2Jx");
	assert_safe("a\nb\r\x7f", "a\\x0ab\\x0d\\x7f");
	assert_safe("\xc2\x9b" "31m", "\\x9b31m");
	assert_safe("\xff\xfe", "\\xff\\xfe");
	assert_safe("a\xe2\x80\xae" "b", "a\\u202eb");
	assert_safe("\xe2\x82", "\\xe2\\x82");
	assert_safe("tab\there", "tab here");
}

static void widths_count_columns(void)
{
	lxm_auto(free) char *cut = out_cut("\xe4\xb8\xad\xe6\x96\x87x", 3);

	CU_ASSERT(out_width("abc", 3) == 3);
	CU_ASSERT(out_width("\xe4\xb8\xad\xe6\x96\x87", 6) == 4);
	CU_ASSERT(out_width("e\xcc\x81", 3) == 1);
	CU_ASSERT_STRING_EQUAL(cut, "\xe4\xb8\xad");
}

static void fill(struct table *t)
{
	table_head(t, "NAME");
	table_head(t, "STATE");
	table_cell(t, "c10");
	table_cell(t, "RUNNING");
	table_cell(t, "c2");
	table_cell(t, "a\nbb");
}

static void tables_look_like_those_of_lxc(void)
{
	lxm_auto(table) struct table t = { 0 };
	lxm_auto(free) char *text = NULL, *compact = NULL;

	fill(&t);
	table_sort(&t);
	text = table_text(&t, true);
	CU_ASSERT_STRING_EQUAL(text, "+------+---------+\n"
				     "| NAME |  STATE  |\n"
				     "+------+---------+\n"
				     "| c2   | a       |\n"
				     "|      | bb      |\n"
				     "+------+---------+\n"
				     "| c10  | RUNNING |\n"
				     "+------+---------+\n");
	compact = table_text(&t, false);
	CU_ASSERT_STRING_EQUAL(compact, "  NAME  STATE\n  c2    a\n        bb\n  c10   RUNNING\n");
}

static void cells_cannot_break_a_table(void)
{
	lxm_auto(table) struct table t = { 0 };
	lxm_auto(free) char *text = NULL;

	table_head(&t, "N");
	table_cell(&t, "\033]0;x\007");
	text = table_text(&t, true);
	CU_ASSERT_PTR_NULL(strchr(text, '\033'));
	CU_ASSERT_PTR_NULL(strchr(text, '\007'));
}

static void csv_is_quoted_where_needed(void)
{
	lxm_auto(table) struct table t = { 0 };
	lxm_auto(free) char *text = NULL;

	fill(&t);
	table_cell(&t, "x,y");
	table_cell(&t, "say \"hi\"");
	text = table_csv(&t);
	CU_ASSERT_STRING_EQUAL(text, "c10,RUNNING\nc2,\"a\nbb\"\n\"x,y\",\"say \"\"hi\"\"\"\n");
}

static void times_and_sizes_are_readable(void)
{
	lxm_auto(free) char *t = unit_time("2026-01-02T03:04:05.678Z"), *never = unit_time("0001-01-01T00:00:00Z");
	lxm_auto(free) char *words = unit_time_long("2026-11-22T12:05:00Z"), *junk = unit_time("soon");
	lxm_auto(free) char *small = unit_bytes_si(999), *big = unit_bytes_si(1036150);

	CU_ASSERT_STRING_EQUAL(t, "2026/01/02 03:04 UTC");
	CU_ASSERT_STRING_EQUAL(never, "");
	CU_ASSERT_STRING_EQUAL(junk, "soon");
	CU_ASSERT_STRING_EQUAL(words, "Nov 22, 2026 at 12:05pm (UTC)");
	CU_ASSERT_STRING_EQUAL(small, "999B");
	CU_ASSERT_STRING_EQUAL(big, "1.04MB");
}

static void filters_select_as_in_lxc(void)
{
	lxm_auto(json) json_t *o = json_loads(
		"{\"name\":\"web1\",\"status\":\"Running\",\"type\":\"container\","
		"\"expanded_config\":{\"security.privileged\":\"true\",\"user.role\":\"db\"},"
		"\"state\":{\"network\":{\"eth0\":{\"addresses\":[{\"family\":\"inet\",\"address\":\"10.0.3.7\"}]}}}}",
		0, NULL);

	CU_ASSERT(filter_matches(o, "web"));
	CU_ASSERT(filter_matches(o, "w.*1"));
	CU_ASSERT_FALSE(filter_matches(o, "eb1"));
	CU_ASSERT(filter_matches(o, "^.*b1$"));
	CU_ASSERT(filter_matches(o, "status=running"));
	CU_ASSERT(filter_matches(o, "status=stopped,running"));
	CU_ASSERT_FALSE(filter_matches(o, "status=stopped"));
	CU_ASSERT(filter_matches(o, "s.privileged=true"));
	CU_ASSERT(filter_matches(o, "user.role=db"));
	CU_ASSERT_FALSE(filter_matches(o, "user.role=d"));
	CU_ASSERT(filter_matches(o, "ipv4=10.0.0.0/16"));
	CU_ASSERT_FALSE(filter_matches(o, "ipv4=10.1.0.0/16"));
	CU_ASSERT_FALSE(filter_matches(o, "ipv4=10.0.0.0/999"));
	CU_ASSERT_FALSE(filter_matches(o, "web[=x"));
}

struct parts {
	struct lxm_buf log;
};

static int on_begin(void *arg, const char *name, const char *filename, struct lxm_err *e)
{
	lxm_buf_fmt(arg, "<%s:%s>", name, filename);
	return 0;
}

static int on_data(void *arg, const void *data, size_t n, struct lxm_err *e)
{
	lxm_buf_add(arg, data, n);
	return 0;
}

static int on_end(void *arg, struct lxm_err *e)
{
	lxm_buf_str(arg, "</>");
	return 0;
}

static void multipart_comes_apart_in_any_pieces(void)
{
	static const struct multipart_ops ops = { on_begin, on_data, on_end };
	static const char text[] = "--XX\r\nContent-Disposition: form-data; name=\"metadata\"; filename=\"m.tar\"\r\n"
				   "Content-Type: a/b\r\n\r\nab\r\n-\r\n--XY\r\n--XX\r\n"
				   "Content-Disposition: form-data; name=\"rootfs\"; filename=\"r\"\r\n\r\n\r\n--XX--\r\n";
	size_t step, at, n;

	for (step = 1; step < sizeof(text); step++) {
		lxm_auto(buf) struct lxm_buf log = { 0 };
		lxm_auto(multipart) struct multipart m = { .ops = &ops, .arg = &log };
		int r = 0;

		CU_ASSERT(multipart_boundary("multipart/form-data; boundary=XX", m.boundary, sizeof(m.boundary)));
		for (at = 0; at < sizeof(text) - 1 && r == 0; at += n) {
			n = sizeof(text) - 1 - at < step ? sizeof(text) - 1 - at : step;
			r = multipart_feed(&m, text + at, n, NULL);
		}
		CU_ASSERT(r == 0 && m.state == MULTIPART_DONE);
		CU_ASSERT_STRING_EQUAL(log.data, "<metadata:m.tar>ab\r\n-\r\n--XY</><rootfs:r></>");
	}
}

UNIT_MAIN("lxmc/out", { "terminals cannot be driven", terminals_cannot_be_driven },
	  { "widths count columns", widths_count_columns },
	  { "tables look like those of lxc", tables_look_like_those_of_lxc },
	  { "cells cannot break a table", cells_cannot_break_a_table },
	  { "csv is quoted where needed", csv_is_quoted_where_needed },
	  { "times and sizes are readable", times_and_sizes_are_readable },
	  { "filters select as in lxc", filters_select_as_in_lxc },
	  { "multipart comes apart in any pieces", multipart_comes_apart_in_any_pieces })
