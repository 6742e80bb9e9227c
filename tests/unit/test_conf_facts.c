/* lib/conf/facts.c against the tables: what is refused says why, what works is not called refused, and clients find every key they know. */
#include "tests/unit/unit.h"

#include <string.h>

#include "lib/base/fd.h"
#include "lib/conf/facts.h"
#include "lib/conf/tables.h"
#include "lxmd/api/api.h"

static bool refused(const struct confkey *k)
{
	return k->flags & (KEY_LATER | KEY_VM);
}

static void what_is_refused_says_why(void)
{
	const struct conf_named_table *t;
	size_t i;

	for (t = conf_all_tables(); t->table; t++)
		for (i = 0; i < t->table->n; i++) {
			const struct confkey *k = &t->table->keys[i];

			if (!refused(k) || conf_refusal(t->table, k->name))
				continue;
			fprintf(stderr, "\n    %s: '%s' needs a row in refusals of lib/conf/facts.c\n", t->title, k->name);
			CU_FAIL("reason");
		}
}

/* Is there no key that works behind the pattern, or one that does not? */
static bool tells_something(const char *tables, const char *pattern)
{
	const struct conf_named_table *t;
	bool works = false, table = false;
	size_t i;

	for (t = conf_all_tables(); t->table; t++) {
		if (!conf_fact_fits(tables, t->title))
			continue;
		table = true;
		for (i = 0; i < t->table->n; i++)
			if (conf_fact_fits(pattern, t->table->keys[i].name)) {
				if (refused(&t->table->keys[i]) || strcmp(pattern, "*") == 0)
					return true;
				works = true;
			}
	}
	return table && !works;
}

static void what_works_is_not_called_refused(void)
{
	const struct conf_fact *f;
	size_t i;

	for (f = conf_refusals(); f->keys; f++) {
		lxm_auto(strv) struct lxm_strv keys = { 0 };

		lxm_strv_split(&keys, f->keys, ' ');
		for (i = 0; i < keys.n; i++)
			if (!tells_something(f->tables, keys.v[i])) {
				fprintf(stderr, "\n    %s: '%s' works: take it out of refusals in lib/conf/facts.c\n", f->tables, keys.v[i]);
				CU_FAIL("works");
			}
	}
}

static void refusals_reach_the_error(void)
{
	struct lxm_err e;

	CU_ASSERT_EQUAL(conf_check_one(&conf_server, "loki.api.url", "http://x", &e), -EINVAL);
	CU_ASSERT_PTR_NOT_NULL(strstr(e.msg, "server key 'loki.api.url' is refused"));
	CU_ASSERT_EQUAL(conf_check_one(&conf_instance, "security.guestapi", "true", &e), -EINVAL);
	CU_ASSERT_PTR_NOT_NULL(strstr(e.msg, "security.devlxd"));
	CU_ASSERT_EQUAL(conf_check_one(conf_device("nic", "macvlan"), "limits.max", "1Mbit", &e), -EINVAL);
	CU_ASSERT_PTR_NOT_NULL(strstr(e.msg, "no end on the host"));
	CU_ASSERT_EQUAL(conf_check_one(conf_device("nic", "bridged"), "limits.max", "1Mbit", &e), 0);
	CU_ASSERT_PTR_NULL(conf_refusal(conf_device("nic", "bridged"), "limits.max"));
	CU_ASSERT_PTR_NULL(conf_refusal(&conf_instance, "limits.memory"));
	CU_ASSERT_PTR_NULL(conf_refusal(&conf_instance, "no.such.key"));
}

#define KNOWN "tests/unit/known_keys.txt"

/* One line: the table, then names of keys. Returns how many names it has. */
static size_t judge_line(const char *line)
{
	lxm_auto(strv) struct lxm_strv words = { 0 };
	const struct conf_named_table *t = conf_all_tables();
	size_t i;

	lxm_strv_split(&words, line, ' ');
	if (words.n == 0 || words.v[0][0] == '#')
		return 0;
	while (t->table && !lxm_streq(t->title, words.v[0]))
		t++;
	CU_ASSERT_PTR_NOT_NULL_FATAL(t->table);
	for (i = 1; i < words.n; i++)
		if (!conf_find(t->table, words.v[i]) && !conf_refusal(t->table, words.v[i])) {
			fprintf(stderr, "\n    %s: clients know '%s'; it is no row and not refused\n", t->title, words.v[i]);
			CU_FAIL("known");
		}
	return words.n - 1;
}

static void keys_that_clients_know_are_found(void)
{
	lxm_auto(buf) struct lxm_buf text = { 0 };
	lxm_auto(strv) struct lxm_strv lines = { 0 };
	size_t i, n = 0;

	CU_ASSERT_EQUAL_FATAL(lxm_read_file(KNOWN, 1 << 20, &text), 0);
	lxm_strv_split(&lines, text.data, '\n');
	for (i = 0; i < lines.n; i++)
		n += judge_line(lines.v[i]);
	CU_ASSERT(n > 250);
}

static bool advertised(const char *name)
{
	const char *const *x;

	for (x = api_extensions(); *x; x++)
		if (lxm_streq(*x, name))
			return true;
	return false;
}

static void keys_that_work_are_advertised(void)
{
	const struct conf_named_table *t;
	size_t i;

	for (t = conf_all_tables(); t->table; t++)
		for (i = 0; i < t->table->n; i++) {
			const struct confkey *k = &t->table->keys[i];
			const char *x = conf_extension(t->table, k->name);

			if (!x || refused(k) || conf_refusal(t->table, k->name) || advertised(x))
				continue;
			fprintf(stderr, "\n    %s: '%s' works, but '%s' is not in api_extensions\n", t->title, k->name, x);
			CU_FAIL("extension");
		}
}

static void rules_are_keys_of_projects(void)
{
	const struct conf_named_table *t;
	size_t i, n = 0;

	for (t = conf_all_tables(); t->table; t++)
		for (i = 0; i < t->table->n; i++) {
			const char *rule = conf_rule(t->table, t->table->keys[i].name);

			n += rule != NULL;
			CU_ASSERT(!rule || conf_find(&conf_project, rule));
		}
	CU_ASSERT(n > 40);
	CU_ASSERT_STRING_EQUAL(conf_rule(&conf_instance, "raw.lxc"), "restricted.containers.lowlevel");
	CU_ASSERT_STRING_EQUAL(conf_rule(&conf_instance, "limits.kernel.rtprio"), "restricted.containers.lowlevel");
	CU_ASSERT_PTR_NULL(conf_rule(&conf_instance, "limits.kernel.nofile"));
	CU_ASSERT_STRING_EQUAL(conf_rule(conf_device("nic", "bridged"), "vlan.tagged"), "restricted.devices.nic");
	CU_ASSERT_PTR_NULL(conf_rule(conf_device("nic", "bridged"), "hwaddr"));
}

UNIT_MAIN("conf/facts", { "what is refused says why", what_is_refused_says_why },
	  { "what works is not called refused", what_works_is_not_called_refused },
	  { "refusals reach the error", refusals_reach_the_error },
	  { "keys that clients know are found", keys_that_clients_know_are_found },
	  { "keys that work are advertised", keys_that_work_are_advertised },
	  { "rules are keys of projects", rules_are_keys_of_projects })
