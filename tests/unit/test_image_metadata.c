/* image/metadata: what LXD's images say, what is refused, and that it comes back after writing. */
#include "tests/unit/scratch.h"
#include "tests/unit/unit.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "lib/base/fd.h"
#include "lxmd/image/metadata.h"

static struct lxm_err err;

static int parse(const char *text, struct image_metadata *m)
{
	memset(&err, 0, sizeof(err));
	memset(m, 0, sizeof(*m));
	return image_metadata_parse(text, strlen(text), m, &err);
}

#define REFUSED(text, why)                                    \
	do {                                                  \
		struct image_metadata m_;                     \
		CU_ASSERT(parse(text, &m_) == -EINVAL);       \
		if (!strstr(err.msg, why))                    \
			printf("\n    said: %s\n", err.msg);  \
		CU_ASSERT_PTR_NOT_NULL(strstr(err.msg, why)); \
	} while (0)

static const char whole[] = "architecture: amd64\n"
			    "creation_date: 1599609600\n"
			    "expiry_date: 1602201600\n"
			    "unknown: [1, 2, {a: b}]\n"
			    "properties:\n"
			    "  description: 'Debian \"bookworm\"'\n"
			    "  release: 12\n"
			    "  empty:\n"
			    "templates:\n"
			    "  /etc/hostname:\n"
			    "    when:\n"
			    "      - create\n"
			    "      - copy\n"
			    "    create_only: false\n"
			    "    template: hostname.tpl\n"
			    "    properties: {a: b}\n"
			    "  /etc/secret:\n"
			    "    when: [start]\n"
			    "    create_only: true\n"
			    "    template: secret.tpl\n"
			    "    mode: \"0600\"\n"
			    "    uid: 7\n";

static void check_whole(const struct image_metadata *m)
{
	CU_ASSERT_STRING_EQUAL(m->architecture, "x86_64");
	CU_ASSERT(m->created_at == 1599609600000 && m->expires_at == 1602201600000);
	CU_ASSERT_STRING_EQUAL(lxm_kv_get(&m->properties, "description"), "Debian \"bookworm\"");
	CU_ASSERT_STRING_EQUAL(lxm_kv_get(&m->properties, "release"), "12");
	CU_ASSERT_STRING_EQUAL(lxm_kv_get(&m->properties, "empty"), "");
	CU_ASSERT_FATAL(m->n_templates == 2);
	CU_ASSERT_STRING_EQUAL(m->templates[0].target, "/etc/hostname");
	CU_ASSERT_STRING_EQUAL(m->templates[0].source, "hostname.tpl");
	CU_ASSERT(image_template_fires(&m->templates[0], "copy") && !image_template_fires(&m->templates[0], "start"));
	CU_ASSERT(m->templates[0].mode == -1 && m->templates[0].uid == -1 && !m->templates[0].create_only);
	CU_ASSERT_STRING_EQUAL(lxm_kv_get(&m->templates[0].properties, "a"), "b");
	CU_ASSERT(m->templates[1].mode == 0600 && m->templates[1].uid == 7 && m->templates[1].create_only);
}

static void what_images_say_is_read(void)
{
	lxm_auto(image_metadata) struct image_metadata m;

	CU_ASSERT(parse(whole, &m) == 0);
	CU_ASSERT_STRING_EQUAL(err.msg, "");
	check_whole(&m);
}

static void it_comes_back_through_yaml_and_json(void)
{
	lxm_auto(image_metadata) struct image_metadata m, yaml, json = { 0 };
	lxm_auto(buf) struct lxm_buf text = { 0 };
	json_t *o;

	CU_ASSERT_FATAL(parse(whole, &m) == 0);
	image_metadata_emit(&m, &text);
	CU_ASSERT(parse(text.data, &yaml) == 0);
	check_whole(&yaml);
	o = image_metadata_json(&m);
	CU_ASSERT(image_metadata_from_json(o, &json, &err) == 0);
	check_whole(&json);
	json_decref(o);
}

static void odd_values_survive_writing(void)
{
	lxm_auto(image_metadata) struct image_metadata m = { 0 }, back;
	lxm_auto(buf) struct lxm_buf text = { 0 };
	const char *odd = "a: \"b\"\n\t- {c}\\ # d\x01\xc3\xa9 %";

	m.architecture = strdup("x86_64");
	lxm_kv_set(&m.properties, "k: y\n", odd);
	image_metadata_emit(&m, &text);
	CU_ASSERT(parse(text.data, &back) == 0);
	CU_ASSERT_STRING_EQUAL(lxm_kv_get(&back.properties, "k: y\n"), odd);
}

static void broken_documents_are_refused(void)
{
	REFUSED("", "empty");
	REFUSED("architecture: [", "line 2");
	REFUSED("- a\n- b\n", "must be a mapping");
	REFUSED("architecture: x86_64\narchitecture: x86_64\n", "twice");
	REFUSED("architecture: x86_64\n---\nb: c\n", "more than one");
	REFUSED("creation_date: 5\n", "required");
	REFUSED("architecture: toaster\n", "no known architecture");
	REFUSED("architecture: x86_64\ncreation_date: soon\n", "whole number");
	REFUSED("architecture: x86_64\ncreation_date: 99999999999999\n", "no time");
	REFUSED("architecture: x86_64\nproperties: [a]\n", "must be a mapping");
	REFUSED("architecture: x86_64\nproperties: {a: [b]}\n", "must be text");
	REFUSED("architecture: x86_64\nproperties: {a: \"\\0\"}\n", "NUL");
	REFUSED("architecture: \xff\n", "line");
}

static void bombs_are_refused(void)
{
	lxm_auto(buf) struct lxm_buf text = { 0 };
	int i;

	REFUSED("a: &x [1,2]\nb: *x\n", "anchors");
	REFUSED("a: *x\n", "aliases");
	REFUSED("? [a]\n: b\n", "no plain text");
	lxm_buf_str(&text, "a: ");
	for (i = 0; i < 5000; i++)
		lxm_buf_chr(&text, '[');
	REFUSED(text.data, "deep");
	text.len = 0;
	lxm_buf_str(&text, "a: [");
	for (i = 0; i < 20000; i++)
		lxm_buf_str(&text, "b,");
	lxm_buf_str(&text, "c]\n");
	REFUSED(text.data, "10,000");
	text.len = 0;
	lxm_buf_str(&text, "a: ");
	for (i = 0; i < 70000; i++)
		lxm_buf_chr(&text, 'x');
	REFUSED(text.data, "64 KiB");
	for (i = 0; i < 1100000; i++)
		lxm_buf_chr(&text, ' ');
	REFUSED(text.data, "1 MiB");
}

static void template_paths_stay_inside(void)
{
	static const char *const targets[] = { "etc/x", "/etc/../../x", "../x", "/..", "/a/./b", "\"/a\\nb\"" };
	static const char *const sources[] = { "../x.tpl", "/etc/passwd", "a/b.tpl", "..", ".", "\"\"", "[a]" };
	char text[300];
	size_t i;

	for (i = 0; i < LXM_ARRAY_LEN(targets); i++) {
		snprintf(text, sizeof(text), "architecture: x86_64\ntemplates:\n  %s:\n    when: [create]\n    template: a.tpl\n", targets[i]);
		REFUSED(text, "absolute");
	}
	for (i = 0; i < LXM_ARRAY_LEN(sources); i++) {
		snprintf(text, sizeof(text), "architecture: x86_64\ntemplates:\n  /a:\n    when: [create]\n    template: %s\n", sources[i]);
		REFUSED(text, "name of a file in templates/");
	}
	REFUSED("architecture: x86_64\ntemplates:\n  /a:\n    when: [never]\n    template: a.tpl\n", "'when'");
	REFUSED("architecture: x86_64\ntemplates:\n  /a:\n    mode: \"9\"\n    template: a.tpl\n", "octal");
}

static void only_a_regular_file_is_read(void)
{
	lxm_auto(image_metadata) struct image_metadata m = { 0 };
	char top[SCRATCH_MAX];
	int dir;

	scratch(top, "meta");
	dir = open(top, O_PATH | O_DIRECTORY | O_CLOEXEC);
	CU_ASSERT(image_metadata_read(dir, &m, &err) == -ENOENT);
	CU_ASSERT(symlinkat("/etc/passwd", dir, "metadata.yaml") == 0);
	CU_ASSERT(image_metadata_read(dir, &m, &err) == -EINVAL);
	unlinkat(dir, "metadata.yaml", 0);
	CU_ASSERT(mkfifoat(dir, "metadata.yaml", 0600) == 0);
	CU_ASSERT(image_metadata_read(dir, &m, &err) == -EINVAL);
	close(dir);
	CU_ASSERT(lxm_rm_tree_at(AT_FDCWD, top) == 0);
}

UNIT_MAIN("image/metadata", { "what images say is read", what_images_say_is_read },
	  { "it comes back through YAML and JSON", it_comes_back_through_yaml_and_json },
	  { "odd values survive writing", odd_values_survive_writing }, { "broken documents are refused", broken_documents_are_refused },
	  { "bombs are refused", bombs_are_refused }, { "template paths stay inside", template_paths_stay_inside },
	  { "only a regular file is read", only_a_regular_file_is_read })
