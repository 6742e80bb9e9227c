/* Recipes: what is read, what is refused and where, and which names pick what. */
#include <fcntl.h>
#include <string.h>

#include "lib/base/alloc.h"
#include "lxmd/image/recipe.h"
#include "tests/unit/unit.h"

#define HEAD                                                                                       \
	"description: Test OS\nos: Test\nbuilder: mmdebstrap\ncomponents: [main]\n"                \
	"architectures: {x86_64: amd64}\ndefault_release: two\n"                                   \
	"releases:\n  one: {version: \"1\", suite: alpha}\n  two: {version: \"2\", aliases: [stable]}\n"
#define TAIL                                                                                       \
	"variants:\n  default: {description: plain, init: systemd, packages: [dbus]}\n"            \
	"  more: {extends: default, packages: [cloud-init, dbus], properties: {a.b: c}}\n"         \
	"  old: {init: runit, releases: [one]}\n"

static int parse(const char *text, struct recipe **rc, struct lxm_err *e)
{
	*e = (struct lxm_err){ 0 };
	return recipe_parse("test", "test/recipe.yaml", text, strlen(text), rc, e);
}

/* The text is refused with a message that holds `why`. */
static void refused(const char *text, const char *why)
{
	lxm_auto(recipe) struct recipe *rc = NULL;
	struct lxm_err e;
	int r = parse(text, &rc, &e);

	CU_ASSERT_EQUAL(r, -EINVAL);
	if (!strstr(e.msg, why))
		printf("\n    '%s' is not in '%s'\n", why, e.msg);
	CU_ASSERT_PTR_NOT_NULL(strstr(e.msg, why));
}

static void test_whole_recipe_is_read(void)
{
	lxm_auto(recipe) struct recipe *rc = NULL;
	struct lxm_err e;

	CU_ASSERT_EQUAL_FATAL(parse(HEAD "packages: [a, b-c]\n"
					 "files:\n  - {path: /etc/x, content: hello, mode: \"0755\"}\n"
					 "  - {path: /etc/y, source: y.conf}\n"
					 "templates:\n  - {path: /etc/hostname, source: h.tpl, when: [create, copy], create_only: yes}\n" TAIL,
				    &rc, &e),
			      0);
	CU_ASSERT_STRING_EQUAL(rc->os, "Test");
	CU_ASSERT_EQUAL(rc->builder, BUILDER_MMDEBSTRAP);
	CU_ASSERT_EQUAL(rc->nreleases, 2);
	CU_ASSERT_STRING_EQUAL(rc->releases[0].suite, "alpha");
	CU_ASSERT_STRING_EQUAL(rc->releases[1].suite, "two");
	CU_ASSERT_EQUAL(rc->part.nfiles, 2);
	CU_ASSERT_EQUAL(rc->part.files[0].mode, 0755);
	CU_ASSERT_EQUAL(rc->part.files[1].mode, 0644);
	CU_ASSERT_TRUE(rc->part.tpls[0].create_only);
	CU_ASSERT_EQUAL(rc->variants[1].init, INIT_SYSTEMD);
}

static void test_unknown_keys_name_file_and_line(void)
{
	refused(HEAD "colour: red\n" TAIL, "test/recipe.yaml:10: unknown key 'colour'");
	refused(HEAD "files:\n  - {path: /x, contents: y}\n" TAIL, "test/recipe.yaml:11: unknown key 'contents'");
	refused(HEAD "services: {start: [x]}\n" TAIL, "unknown key 'start'");
	refused(HEAD TAIL "  bad: {init: systemd, suite: x}\n", "recipe.yaml:14: unknown key 'suite'");
}

static void test_wrong_types_and_twins_are_refused(void)
{
	refused("", "empty");
	refused("- a\n", "mapping is expected");
	refused(HEAD "packages: dbus\n" TAIL, "a list is expected");
	refused(HEAD "packages: [[a]]\n" TAIL, "text expected");
	refused(HEAD "packages: [a, a]\n" TAIL, "listed twice");
	refused(HEAD "packages: [a]\npackages: [b]\n" TAIL, ":11: key 'packages' stands here twice");
	refused(HEAD "description: again\n" TAIL, "stands here twice");
	refused(HEAD "links: {/a: b, /a: c}\n" TAIL, "stands here twice");
	refused(HEAD "files: {a: b}\n" TAIL, "list of files");
	refused(HEAD TAIL "\tx: [\n", "recipe.yaml:14:");
	refused(HEAD "packages: [\"a\\0b\"]\n" TAIL, "zero byte");
}

static void test_words_that_could_become_options_or_paths_are_refused(void)
{
	static const char *const bad[] = {
		"packages: [--simulate]", "packages: [\"a,b\"]",     "packages: [\"a b\"]",
		"packages: [\"\"]",	  "packages: [\"a;reboot\"]", "services: {enable: [\"x; rm -rf /\"]}",
		"services: {mask: [../x]}", "services: {mask: [-f]}", "dpkg: [\"post-invoke=reboot\"]",
		"dpkg: [force-all]",	  "remove: [etc/x]",	      "remove: [/etc/../x]",
		"remove: [/]",		  "remove: [/etc//x]",	      "links: {etc/x: y}",
		"files: [{path: /x, source: ../../etc/shadow}]",     "files: [{path: /x, source: a/b}]",
		"files: [{path: /../x, content: y}]",		      "files: [{path: /x, content: y, mode: \"4755\"}]",
		"files: [{path: /x, content: y, mode: \"755\"}]",    "mirror_variable: PATH",
		"templates: [{path: /x, source: /etc/passwd, when: [create]}]",
		"templates: [{path: /x, source: x.tpl, when: [always]}]",
	};
	size_t i;

	for (i = 0; i < LXM_ARRAY_LEN(bad); i++) {
		lxm_auto(buf) struct lxm_buf text = { 0 };

		lxm_buf_fmt(&text, "%s%s\n%s", HEAD, bad[i], TAIL);
		refused(text.data, "test/recipe.yaml:10:");
	}
}

static void test_incomplete_recipes_are_refused(void)
{
	refused(TAIL, "are required");
	refused(HEAD, "are required");
	refused(HEAD "files: [{path: /x}]\n" TAIL, "either content or source");
	refused(HEAD "files: [{path: /x, content: a, source: b}]\n" TAIL, "either content or source");
	refused(HEAD "templates: [{path: /x, source: y.tpl}]\n" TAIL, "path, source and when");
	refused(HEAD "variants: {a: {description: x}}\n", "has no init");
	refused(HEAD "variants: {a: {extends: b, init: runit}, b: {init: runit}}\n", "does not stand above it");
	refused(HEAD "variants: {a: {extends: a, init: runit}}\n", "does not stand above it");
	refused(HEAD "variants: {a: {init: openrc}}\n", "is not known");
}

static void test_a_hostile_document_ends_soon(void)
{
	lxm_auto(buf) struct lxm_buf deep = { 0 };
	int i;

	for (i = 0; i < 5000; i++)
		lxm_buf_chr(&deep, '[');
	refused(deep.data, "test/recipe.yaml:");
	refused("a: &a [x]\nb: &b [*a, *a]\nc: [*b, *b]\n", "unknown key 'a'");
	refused("&x {description: *x}\n", "text expected");
}

static struct recipe *good(void)
{
	struct recipe *rc = NULL;
	struct lxm_err e;

	CU_ASSERT_EQUAL_FATAL(parse(HEAD "packages: [base]\n" TAIL, &rc, &e), 0);
	return rc;
}

static void test_pick_adds_the_parts_up(void)
{
	lxm_auto(pick) struct recipe_pick p = { 0 };
	lxm_auto(free) char *packages = NULL;

	CU_ASSERT_EQUAL_FATAL(recipe_pick(good(), "2", "more", "x86_64", &p, NULL), 0);
	packages = lxm_strv_join(&p.part.packages, " ");
	CU_ASSERT_STRING_EQUAL(packages, "base dbus cloud-init");
	CU_ASSERT_STRING_EQUAL(p.name, "test/two/more");
	CU_ASSERT_EQUAL(p.aliases.n, 3);
	CU_ASSERT_TRUE(lxm_strv_has(&p.aliases, "test/stable/more"));
	CU_ASSERT_STRING_EQUAL(p.distro_arch, "amd64");
	CU_ASSERT_STRING_EQUAL(lxm_kv_get(&p.properties, "release"), "two");
	CU_ASSERT_STRING_EQUAL(lxm_kv_get(&p.properties, "a.b"), "c");
}

static void test_pick_takes_defaults(void)
{
	lxm_auto(pick) struct recipe_pick p = { 0 };

	CU_ASSERT_EQUAL_FATAL(recipe_pick(good(), NULL, NULL, "x86_64", &p, NULL), 0);
	CU_ASSERT_STRING_EQUAL(p.name, "test/two");
	CU_ASSERT_STRING_EQUAL(p.variant->name, "default");
	CU_ASSERT_EQUAL(p.init, INIT_SYSTEMD);
}

static void pick_fails(const char *release, const char *variant, const char *arch, int code, const char *why)
{
	lxm_auto(recipe) struct recipe *rc = good();
	struct recipe_pick p = { 0 };
	struct lxm_err e = { 0 };

	CU_ASSERT_EQUAL(recipe_pick(rc, release, variant, arch, &p, &e), code);
	CU_ASSERT_PTR_NOT_NULL(strstr(e.msg, why));
}

static void test_pick_says_what_there_is(void)
{
	pick_fails("3", NULL, "x86_64", -ENOENT, "it has: one, two");
	pick_fails("1", "nix", "x86_64", -ENOENT, "it has: default, more, old");
	pick_fails("2", "old", "x86_64", -ENOENT, "for release 'two'");
	pick_fails("1", NULL, "vax", -EOPNOTSUPP, "'vax'");
}

static void test_names(void)
{
	static const char *const ok[] = { "debian", "debian/12", "debian/12/cloud", "a.b-c_d" };
	static const char *const bad[] = { "",	  "/",	  "debian/", "/debian", "a//b",	      "a/b/c/d", "..",
					   "../x", "a/..", "A",	     "a b",	"a\nb",	      "-a",	 ".a",
					   "a/.",  "\xc3\xa4" };
	size_t i;

	for (i = 0; i < LXM_ARRAY_LEN(ok); i++)
		CU_ASSERT_TRUE(recipe_name_ok(ok[i]));
	for (i = 0; i < LXM_ARRAY_LEN(bad); i++)
		CU_ASSERT_FALSE(recipe_name_ok(bad[i]));
}

static void test_shipped_recipes_resolve(void)
{
	static const char *const names[] = { "busybox",		 "debian",	    "debian/12",
					     "debian/bookworm",	 "debian/12/cloud", "debian/trixie/sysvinit",
					     "debian/13/runit",	 "debian/sid" };
	lxm_auto(fd_close) int dir = open("templates", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	lxm_auto(strv) struct lxm_strv all = { 0 };
	size_t i, k;

	CU_ASSERT_TRUE_FATAL(dir >= 0);
	CU_ASSERT_EQUAL(recipe_list(dir, &all, NULL), 0);
	CU_ASSERT_TRUE(lxm_strv_has(&all, "debian") && lxm_strv_has(&all, "busybox"));
	for (i = 0; i < LXM_ARRAY_LEN(names); i++) {
		lxm_auto(pick) struct recipe_pick p = { 0 };
		struct lxm_err e = { 0 };

		CU_ASSERT_EQUAL_FATAL(recipe_resolve(dir, names[i], "x86_64", &p, &e), 0);
		for (k = 0; k < p.part.nfiles; k++) {
			lxm_auto(free) char *path = NULL;

			if (!p.part.files[k].source)
				continue;
			path = lxm_asprintf("%s/files/%s", p.recipe->name, p.part.files[k].source);
			CU_ASSERT_EQUAL(faccessat(dir, path, R_OK, 0), 0);
		}
		for (k = 0; k < p.part.ntpls; k++) {
			lxm_auto(free) char *path =
				lxm_asprintf("%s/templates/%s", p.recipe->name, p.part.tpls[k].source);

			CU_ASSERT_EQUAL(faccessat(dir, path, R_OK, 0), 0);
		}
	}
}

UNIT_MAIN("image recipe",
	  { "a whole recipe is read", test_whole_recipe_is_read },
	  { "unknown keys name file and line", test_unknown_keys_name_file_and_line },
	  { "wrong types and twins are refused", test_wrong_types_and_twins_are_refused },
	  { "words that could become options or paths are refused",
	    test_words_that_could_become_options_or_paths_are_refused },
	  { "incomplete recipes are refused", test_incomplete_recipes_are_refused },
	  { "a hostile document ends soon", test_a_hostile_document_ends_soon },
	  { "a pick adds the parts up", test_pick_adds_the_parts_up },
	  { "a pick takes defaults", test_pick_takes_defaults },
	  { "a pick says what there is", test_pick_says_what_there_is },
	  { "names", test_names },
	  { "the shipped recipes resolve", test_shipped_recipes_resolve })
