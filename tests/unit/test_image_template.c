/* image/template: what LXD's images use, the bounds, and that nothing else can be reached. */
#include "tests/unit/unit.h"

#include <string.h>

#include "lxmd/image/template.h"

/* Renders with a fixed set of variables; the result or, on failure, the error's text. */
static const char *render(const char *text)
{
	static char result[65536];
	lxm_auto(kv) struct lxm_kv config = { 0 }, instance = { 0 }, props = { 0 };
	lxm_auto(devs) struct lxm_devs devs = { 0 };
	lxm_auto(buf) struct lxm_buf out = { 0 };
	struct template_vars vars = { "create", "/etc/hostname", &instance, &config, &devs, &props };
	size_t len = strlen(text);
	/* as read from a file: no NUL behind it, so that a sanitizer sees whoever reads on */
	lxm_auto(free) char *exact = malloc(len ? len : 1);
	struct lxm_err e = { 0 };

	memcpy(exact, text, len);
	lxm_kv_set(&config, "user.user-data", "#cloud-config");
	lxm_kv_set(&config, "image.os", "Debian");
	lxm_kv_set(&instance, "name", "c1");
	lxm_kv_set(&instance, "privileged", "false");
	lxm_kv_set(&props, "default", "dhcp");
	lxm_kv_set(&lxm_devs_at(&devs, "eth0")->kv, "type", "nic");
	lxm_kv_set(&lxm_devs_at(&devs, "root")->kv, "type", "disk");
	if (template_render(exact, len, &vars, &out, &e) < 0)
		snprintf(result, sizeof(result), "ERROR %s", e.msg);
	else
		snprintf(result, sizeof(result), "%s", out.data ? out.data : "");
	return result;
}

#define IS(text, want)                                                           \
	do {                                                                     \
		const char *got_ = render(text);                                 \
		if (strcmp(got_, want) != 0)                                     \
			printf("\n    %s\n -> %s\n not %s\n", text, got_, want); \
		CU_ASSERT_STRING_EQUAL(got_, want);                              \
	} while (0)
#define FAILS(text, why)                                         \
	do {                                                     \
		const char *got_ = render(text);                 \
		if (strncmp(got_, "ERROR", 5) || !strstr(got_, why)) \
			printf("\n    %s\n -> %s\n", text, got_); \
		CU_ASSERT(strstr(got_, why) != NULL);            \
	} while (0)

static void variables_and_attributes(void)
{
	IS("{{ container.name }}\n", "c1\n");
	IS("{{ instance.name }} {{instance[\"name\"]}}", "c1 c1");
	IS("{{ trigger }} {{ path }} {{ properties.default }}", "create /etc/hostname dhcp");
	IS("{{ nothing }}{{ container.nothing.more }}.", ".");
	IS("{{ devices.eth0.type }}{{ devices[\"root\"].type }}", "nicdisk");
	IS("{{ config[\"image.os\"] }}", "Debian");
	IS("a { b {c} {", "a { b {c} {");
	IS("{# gone #}x{# {{ \"quoted #}y", "xy");
}

static void config_get_takes_a_default(void)
{
	IS("{{ config_get(\"user.user-data\", properties.default) }}", "#cloud-config");
	IS("{{ config_get('user.none', properties.default) }}", "dhcp");
	IS("{{ config_get(\"user.none\", \"\") }}.", ".");
	IS("{% if config_get(\"user.none\", \"\") == \"\" %}empty{% else %}set{% endif %}", "empty");
}

static void conditions(void)
{
	IS("{% if container.name == \"c1\" %}yes{% endif %}", "yes");
	IS("{% if container.name != 'c1' %}a{% elif trigger == 'create' %}b{% else %}c{% endif %}", "b");
	IS("{% if not container.nothing and (1 < 2 or false) %}y{% else %}n{% endif %}", "y");
	IS("{% if !true || 2 >= 3 %}y{% else %}n{% endif %}", "n");
	IS("{% if \"loud\" in config_get(\"user.user-data\", \"\") %}y{% endif %}", "y");
	IS("{% if \"x\" not in \"abc\" %}y{% endif %}", "y");
	IS("{% if \"eth0\" in devices %}y{% endif %}", "y");
	IS("{% if 1 %}{% if 0 %}a{% else %}b{% endif %}{% else %}{% if 1 %}c{% endif %}{% endif %}", "b");
	IS("{% if false %}{{ nothing|lower }}{% for x in y %}{% endfor %}{% else %}k{% endif %}", "k");
	IS("{{ 1 + 2 * 3 - 4 / 2 % 3 }} {{ -2 + 5 }} {{ \"a\" + 1 }}", "5 3 a1");
}

static void loops(void)
{
	IS("{% for k, d in devices %}{{ k }}={{ d.type }};{% endfor %}", "eth0=nic;root=disk;");
	IS("{% for k in devices reversed %}{{ k }}{% if not forloop.Last %},{% endif %}{% endfor %}", "root,eth0");
	IS("{% for x in \"a-b-c\"|split:\"-\" %}{{ forloop.Counter }}{{ x }} {% endfor %}", "1a 2b 3c ");
	IS("{% for x in nothing %}a{% empty %}none{% endfor %}", "none");
	IS("{% for a in \"12\" %}{% for b in \"xy\" %}{{ forloop.parentloop.counter }}{{ a }}{{ b }} {% endfor %}{% endfor %}",
	   "11x 11y 22x 22y ");
	IS("{% for x in \"ab\" %}{% set y = x %}{% endfor %}{{ y }}.", ".");
}

static void filters(void)
{
	IS("{{ nothing|default:\"d\" }} {{ \"A\"|lower }}{{ \"b\"|upper }} {{ \"ab cd\"|title }} {{ \"ab\"|capfirst }}", "d aB Ab Cd Ab");
	IS("{{ \"abc\"|length }} {{ devices|length }} {{ \"abc\"|first }}{{ \"abc\"|last }}", "3 2 ac");
	IS("{{ \"a,b\"|split:\",\"|join:\"+\" }} {{ \" x \"|trim }} {{ \"a.b\"|cut:\".\" }} {{ \"a.b\"|replace:\".,-\" }}", "a+b x ab a-b");
	IS("{{ \"<&>\"|escape }} {{ \"a b\"|urlencode }} {{ true|yesno:\"on,off\" }} {{ \"12\"|add:3 }}", "&lt;&amp;&gt; a%20b on 15");
	IS("{{ \"<\" }}{% autoescape on %}{{ \"<\" }}{{ \"<\"|safe }}{% endautoescape %}", "<&lt;<");
	IS("{{ \"abcdef\"|truncatechars:5 }}|{{ \"a\"|ljust:3 }}|{{ \"a\"|rjust:3 }}", "ab...|a  |  a");
}

static void scopes_and_raw_text(void)
{
	IS("{% set a = \"x\" %}{{ a }}{% with a=\"y\" b=\"z\" %}{{ a }}{{ b }}{% endwith %}{{ a }}{{ b }}", "xyzx");
	IS("{% with container.name as n %}{{ n }}{% endwith %}", "c1");
	IS("{% raw %}{{ x }}{% if %}{% endraw %}!", "{{ x }}{% if %}!");
	IS("{% verbatim %}{{ y }}{% endverbatim %}", "{{ y }}");
	IS("a \n {%- if true -%} \n b {%- endif %} c", "ab c");
	IS("{% comment %}{{ container.name }}{% nonsense %}{% endcomment %}", "");
	IS("{% firstof nothing container.name \"z\" %}", "c1");
	IS("{{ \"%}\" }}{% if \"}}\" == \"}}\" %}ok{% endif %}", "%}ok");
}

static void cloud_init_template_of_images(void)
{
	IS("{% if config_get(\"user.network-config\", \"\") == \"\" %}version: 1\nconfig:\n  - type: physical\n    name: {% if config_get(\"x\", \"\") "
	   "== \"\" %}eth0{% else %}{{ config_get(\"x\", \"\") }}{% endif %}\n{% else %}{{ config_get(\"user.network-config\", \"\") }}{% endif %}\n",
	   "version: 1\nconfig:\n  - type: physical\n    name: eth0\n\n");
}

static void files_cannot_be_reached(void)
{
	FAILS("{% include \"/etc/passwd\" %}", "tag 'include' is unknown");
	FAILS("{% ssi \"/etc/passwd\" %}", "tag 'ssi' is unknown");
	FAILS("{% import \"/etc/passwd\" x %}", "unknown");
	FAILS("{% extends \"/etc/passwd\" %}", "unknown");
	FAILS("{{ open(\"/etc/passwd\") }}", "no function");
	FAILS("{{ container.name.Read() }}", "unexpected");
	FAILS("{{ \"x\"|stringformat:\"%n\" }}", "no filter");
}

static void broken_text_is_named_by_line(void)
{
	FAILS("a\nb {{ x", "line 2:");
	FAILS("{% if true %}x", "lacks its");
	FAILS("x\n\n{% for a in b %}", "line 3:");
	FAILS("{% endif %}", "unknown here");
	FAILS("{{ }}", "missing");
	FAILS("{{ a b }}", "unexpected 'b");
	FAILS("{{ 'abc }}", "does not end");
	FAILS("{{ 99999999999999999999 }}", "too large");
	FAILS("{{ 1 / 0 }}", "division");
	FAILS("{% if \3 %}", "unexpected");
	FAILS("{{ \3}}", "unexpected");
	FAILS("{{ x|nofilter }}", "no filter");
	FAILS("{% raw %}x", "no end");
}

static void time_and_memory_are_bounded(void)
{
	lxm_auto(buf) struct lxm_buf deep = { 0 }, tags = { 0 };
	int i;

	/* a billion laughs: each loop ten times the one outside */
	FAILS("{% set s = \"aaaaaaaaaa\" %}{% for a in s %}{% for b in s %}{% for c in s %}{% for d in s %}{% for e in s %}"
	      "{% for f in s %}{% for g in s %}x{% endfor %}{% endfor %}{% endfor %}{% endfor %}{% endfor %}{% endfor %}{% endfor %}",
	      "too");
	FAILS("{% set s = \"aaaaaaaaaaaaaaaa\" %}{% for a in s %}{% for b in s %}{% set s = s + s %}{% for c in s %}{% set s = s + s %}"
	      "{% for d in s %}{% set s = s + s %}{{ s }}{% endfor %}{% endfor %}{% endfor %}{% endfor %}",
	      "larger than");
	for (i = 0; i < 5000; i++)
		lxm_buf_str(&deep, "(");
	lxm_buf_fmt(&tags, "{{ %s }}", deep.data);
	FAILS(tags.data, "nested too deeply");
	tags.len = 0;
	for (i = 0; i < 100; i++)
		lxm_buf_str(&tags, "{% if true %}");
	FAILS(tags.data, "nested too deeply");
	tags.len = 0;
	for (i = 0; i < 30000; i++)
		lxm_buf_str(&tags, "{{ a }}");
	FAILS(tags.data, "more than");
	FAILS("{{ \"a\"|ljust:99999999 }}", "too wide");
}

UNIT_MAIN("image/template", { "variables and attributes", variables_and_attributes },
	  { "config_get takes a default", config_get_takes_a_default }, { "conditions", conditions }, { "loops", loops },
	  { "filters", filters }, { "scopes and raw text", scopes_and_raw_text },
	  { "cloud-init's template", cloud_init_template_of_images }, { "files cannot be reached", files_cannot_be_reached },
	  { "broken text is named by line", broken_text_is_named_by_line },
	  { "time and memory are bounded", time_and_memory_are_bounded })
