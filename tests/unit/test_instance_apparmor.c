/* lxmd/instance/apparmor: which text and name a wish gives, and when the kernel is asked; the kernel and its parser are played by files. */
#include "tests/unit/scratch.h"
#include "tests/unit/unit.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/base/alloc.h"
#include "lib/base/fd.h"
#include "lxmd/instance/apparmor.h"

/* Notes the profile as loaded, and that it ran; refuses what it is told to. */
static const char parser_script[] = "#!/bin/sh\n"
				    "dir=$(dirname $0)\n"
				    "for text; do :; done\n"
				    "echo run >> $dir/runs\n"
				    "if grep -q nonsense $text; then echo 'syntax error' >&2; exit 1; fi\n"
				    "sed -n 's/^profile \"\\(.*\\)\" flags.*/\\1 (enforce)/p' $text >> $dir/profiles\n";

struct host {
	char dir[SCRATCH_MAX];
	char parser[96];
	struct apparmor *a;
};

static void put(const struct host *h, const char *name, const char *text, mode_t mode)
{
	lxm_auto(free) char *path = lxm_asprintf("%s/%s", h->dir, name);

	CU_ASSERT_EQUAL(lxm_write_file_atomic(AT_FDCWD, path, text, strlen(text), mode), 0);
}

static bool has(const struct host *h, const char *name, const char *text)
{
	lxm_auto(free) char *path = lxm_asprintf("%s/%s", h->dir, name);
	lxm_auto(buf) struct lxm_buf b = { 0 };

	return lxm_read_file(path, 65536, &b) == 0 && b.data && strcmp(b.data, text) == 0;
}

static void host_begin(struct host *h, bool kernel, bool parser)
{
	struct apparmor_host where = { h->dir, h->parser };

	scratch(h->dir, "apparmor");
	snprintf(h->parser, sizeof(h->parser), "%s/parser", h->dir);
	if (kernel) {
		put(h, ".replace", "", 0600);
		put(h, ".remove", "", 0600);
		put(h, "profiles", "other (enforce)\n", 0600);
	}
	if (parser)
		put(h, "parser", parser_script, 0755);
	CU_ASSERT_EQUAL_FATAL(apparmor_new("profiles", "lxm.12ab", &where, &h->a, NULL), 0);
}

static void host_end(struct host *h)
{
	apparmor_free(h->a);
	CU_ASSERT_EQUAL(lxm_rm_tree_at(AT_FDCWD, h->dir), 0);
}

static void same_wishes_share_a_profile(void)
{
	static const struct apparmor_want wants[] = {
		{ .id = 1 }, { .id = 2, .nesting = true }, { .id = 3, .privileged = true }, { .id = 4, .privileged = true, .nesting = true },
	};
	char name[4][APPARMOR_LABEL], again[APPARMOR_LABEL];
	struct host h;
	size_t i, k;

	host_begin(&h, true, true);
	for (i = 0; i < LXM_ARRAY_LEN(wants); i++) {
		struct apparmor_want other = wants[i];
		lxm_auto(free) char *text = apparmor_text(h.a, &wants[i], name[i]);
		lxm_auto(free) char *twin = NULL;

		other.id = 77;
		twin = apparmor_text(h.a, &other, again);
		CU_ASSERT_STRING_EQUAL(name[i], again);
		CU_ASSERT_STRING_EQUAL(text, twin);
		CU_ASSERT_PTR_NOT_NULL(strstr(text, name[i]));
		CU_ASSERT_PTR_NOT_NULL(strstr(text, "deny /proc/sysrq-trigger"));
		CU_ASSERT_EQUAL(strstr(text, "sys_rawio") != NULL, wants[i].privileged);
		CU_ASSERT_EQUAL(strstr(text, "/dev/.lxm/proc") != NULL, wants[i].nesting);
		CU_ASSERT_EQUAL(text[strlen(text) - 2], '}');
		for (k = 0; k < i; k++)
			CU_ASSERT_STRING_NOT_EQUAL(name[i], name[k]);
	}
	host_end(&h);
}

static void a_shared_profile_is_loaded_once_and_stays(void)
{
	struct apparmor_want one = { .id = 1 }, two = { .id = 2 };
	char label[APPARMOR_LABEL], second[APPARMOR_LABEL];
	struct host h;

	host_begin(&h, true, true);
	CU_ASSERT_EQUAL(apparmor_state(h.a), APPARMOR_ON);
	CU_ASSERT_EQUAL(apparmor_load(h.a, &one, label, NULL), 0);
	CU_ASSERT_EQUAL(apparmor_load(h.a, &two, second, NULL), 0);
	CU_ASSERT(strncmp(label, "lxm-default-", 12) == 0 && strcmp(label, second) == 0);
	CU_ASSERT(has(&h, "runs", "run\n"));
	apparmor_unload(h.a, 1);
	CU_ASSERT(has(&h, ".remove", ""));
	/* somebody took it out of the kernel, or only complains: it is loaded anew */
	put(&h, "profiles", "other (enforce)\n", 0600);
	CU_ASSERT_EQUAL(apparmor_load(h.a, &one, label, NULL), 0);
	CU_ASSERT(has(&h, "runs", "run\nrun\n"));
	host_end(&h);
}

static void raw_lines_make_a_profile_for_one(void)
{
	struct apparmor_want w = { .id = 7, .raw = "deny /secret r," };
	char label[APPARMOR_LABEL];
	struct lxm_err e = { 0 };
	struct host h;

	host_begin(&h, true, true);
	CU_ASSERT_EQUAL(apparmor_load(h.a, &w, label, &e), 0);
	CU_ASSERT_STRING_EQUAL(label, "lxm.12ab-7");
	/* its text may have changed, so each start loads it */
	CU_ASSERT_EQUAL(apparmor_load(h.a, &w, label, &e), 0);
	CU_ASSERT(has(&h, "runs", "run\nrun\n"));
	apparmor_unload(h.a, 70);
	CU_ASSERT(has(&h, ".remove", ""));
	apparmor_unload(h.a, 7);
	CU_ASSERT(has(&h, ".remove", "lxm.12ab-7"));
	w.raw = "nonsense";
	CU_ASSERT_EQUAL(apparmor_load(h.a, &w, label, &e), -EINVAL);
	CU_ASSERT(e.code == EINVAL && strstr(e.msg, "syntax error") && strstr(e.msg, "raw.apparmor"));
	host_end(&h);
}

static void without_apparmor_nothing_is_promised(void)
{
	struct apparmor_want w = { .id = 7 };
	char label[APPARMOR_LABEL] = "x";
	struct lxm_err e = { 0 };
	struct host h;
	int parser;

	for (parser = 0; parser < 2; parser++) {
		/* no kernel support but a parser; the reverse */
		host_begin(&h, !parser, parser);
		CU_ASSERT_EQUAL(apparmor_state(h.a), parser ? APPARMOR_ABSENT : APPARMOR_NO_PARSER);
		w.raw = NULL;
		CU_ASSERT(apparmor_load(h.a, &w, label, &e) == 0 && !label[0]);
		w.raw = "deny /secret r,";
		CU_ASSERT_EQUAL(apparmor_load(h.a, &w, label, &e), -EOPNOTSUPP);
		CU_ASSERT_PTR_NOT_NULL(strstr(e.msg, parser ? "no AppArmor" : "apparmor_parser"));
		lxm_err_clear(&e);
		host_end(&h);
	}
}

/* A kernel that says it took the profile and did not. */
static void what_is_not_in_the_kernel_is_no_label(void)
{
	struct apparmor_want w = { .id = 1 };
	char label[APPARMOR_LABEL];
	struct lxm_err e = { 0 };
	struct host h;

	host_begin(&h, true, false);
	put(&h, "parser", "#!/bin/sh\nexit 0\n", 0755);
	apparmor_free(h.a);
	CU_ASSERT_EQUAL_FATAL(apparmor_new("profiles", "lxm", &(struct apparmor_host){ h.dir, h.parser }, &h.a, &e), 0);
	CU_ASSERT_EQUAL(apparmor_load(h.a, &w, label, &e), -EIO);
	host_end(&h);
}

UNIT_MAIN("instance/apparmor", { "same wishes share a profile", same_wishes_share_a_profile },
	  { "a shared profile is loaded once and stays", a_shared_profile_is_loaded_once_and_stays },
	  { "raw lines make a profile for one", raw_lines_make_a_profile_for_one },
	  { "without AppArmor nothing is promised", without_apparmor_nothing_is_promised },
	  { "what is not in the kernel is no label", what_is_not_in_the_kernel_is_no_label })
