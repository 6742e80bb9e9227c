/* lxmc/yaml: out as lxc writes it, in as the API wants it. */
#include "tests/unit/unit.h"

#include <string.h>

#include "lib/api/json.h"
#include "lib/base/alloc.h"
#include "lxmc/yaml.h"

static void assert_dump(const char *json, const char *const *order, const char *want)
{
	lxm_auto(json) json_t *o = json_loads(json, JSON_DECODE_ANY, NULL);
	lxm_auto(free) char *got = yaml_dump(o, order);

	CU_ASSERT_STRING_EQUAL(got, want);
	if (strcmp(got, want) != 0)
		printf("got:\n%s", got);
}

static void assert_load(const char *yaml, const char *want)
{
	lxm_auto(json) json_t *o = NULL;
	lxm_auto(free) char *got = NULL;
	struct lxm_err e = { 0 };

	CU_ASSERT(yaml_load(yaml, strlen(yaml), &o, &e) == 0);
	got = o ? json_dumps(o, JSON_COMPACT | JSON_ENCODE_ANY | JSON_SORT_KEYS) : lxm_strdup(e.msg);
	CU_ASSERT_STRING_EQUAL(got, want);
	if (strcmp(got, want) != 0)
		printf("got: %s\n", got);
}

static void objects_are_written_as_lxc_does(void)
{
	static const char *const order[] = { "config", "devices", NULL };

	assert_dump("{\"name\":\"c1\",\"devices\":{},\"ephemeral\":false,\"config\":{\"b\":\"x\",\"a\":\"true\"},"
		    "\"profiles\":[\"default\"],\"number\":3,\"none\":null}",
		    order,
		    "config:\n  a: \"true\"\n  b: x\ndevices: {}\nephemeral: false\nname: c1\nnone: null\nnumber: 3\n"
		    "profiles:\n- default\n");
	assert_dump("[]", NULL, "[]\n");
}

static void several_lines_become_a_block(void)
{
	assert_dump("{\"user-data\":\"#cloud-config\\npackages:\\n  - a\\n\"}", NULL,
		    "user-data: |\n  #cloud-config\n  packages:\n    - a\n");
}

static void only_doubtful_words_are_quoted(void)
{
	assert_dump("[\"1\",\"1.5\",\"yes\",\"\",\"null\",\"0x1f\",\"2026-01-02\",\"12:30\",\"~\",\"1e3\",\"-5\"]", NULL,
		    "- \"1\"\n- \"1.5\"\n- \"yes\"\n- \"\"\n- \"null\"\n- \"0x1f\"\n- \"2026-01-02\"\n- \"12:30\"\n- \"~\"\n"
		    "- \"1e3\"\n- \"-5\"\n");
	assert_dump("[\"664ddde8\",\"00:16:3e:9e:36:7c\",\"10.0.0.1/24\",\"a b\",\"-\",\"1.2.3\"]", NULL,
		    "- 664ddde8\n- 00:16:3e:9e:36:7c\n- 10.0.0.1/24\n- a b\n- '-'\n- 1.2.3\n");
}

static void what_was_written_reads_back(void)
{
	static const char text[] = "{\"config\":{\"a\":\"1\",\"b\":\"l1\\nl2\",\"c\":\" x \",\"d\":\"\\u001b[0m\",\"e\":\"\\u00e9: #\"},"
				   "\"list\":[1,true,null,\"no\",1.5,{}]}";
	lxm_auto(json) json_t *o = json_loads(text, 0, NULL), *back = NULL;
	lxm_auto(free) char *yaml = yaml_dump(o, NULL);

	CU_ASSERT(yaml_load(yaml, strlen(yaml), &back, NULL) == 0);
	CU_ASSERT(json_equal(o, back));
}

static void config_values_stay_strings(void)
{
	assert_load("config:\n  limits.cpu: 2\n  boot.autostart: true\n  mode: 0644\n  empty:\n"
		    "devices:\n  eth0: {mtu: 1500}\nephemeral: true\nsize: 10\nname: c1\nnothing:\n",
		    "{\"config\":{\"boot.autostart\":\"true\",\"empty\":\"\",\"limits.cpu\":\"2\",\"mode\":\"0644\"},"
		    "\"devices\":{\"eth0\":{\"mtu\":\"1500\"}},\"ephemeral\":true,\"name\":\"c1\",\"nothing\":null,\"size\":10}");
}

static void empty_texts_are_null(void)
{
	assert_load("", "null");
	assert_load("# only a comment\n", "null");
}

static void bad_yaml_names_the_line(void)
{
	static const char *const bad[] = { "a: 1\nb: [1\n", "a: 1\na: 2\n", "? {x: 1}\n: y\n", "\t- x" };
	size_t i;

	for (i = 0; i < LXM_ARRAY_LEN(bad); i++) {
		json_t *o = NULL;
		struct lxm_err e = { 0 };

		CU_ASSERT(yaml_load(bad[i], strlen(bad[i]), &o, &e) == -EINVAL);
		CU_ASSERT_PTR_NOT_NULL(strstr(e.msg, "line"));
	}
}

static void aliases_cannot_explode(void)
{
	lxm_auto(buf) struct lxm_buf b = { 0 };
	json_t *o = NULL;
	int i, k;

	lxm_buf_str(&b, "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
	for (i = 1; i < 10; i++) {
		lxm_buf_fmt(&b, "a%d: &a%d [", i, i);
		for (k = 0; k < 10; k++)
			lxm_buf_fmt(&b, "%s*a%d", k ? ", " : "", i - 1);
		lxm_buf_str(&b, "]\n");
	}
	CU_ASSERT(yaml_load(b.data, b.len, &o, NULL) == -EINVAL);
}

UNIT_MAIN("lxmc/yaml", { "objects are written as lxc does", objects_are_written_as_lxc_does },
	  { "several lines become a block", several_lines_become_a_block },
	  { "only doubtful words are quoted", only_doubtful_words_are_quoted },
	  { "what was written reads back", what_was_written_reads_back },
	  { "config values stay strings", config_values_stay_strings },
	  { "empty texts are null", empty_texts_are_null }, { "bad YAML names the line", bad_yaml_names_the_line },
	  { "aliases cannot explode", aliases_cannot_explode })
