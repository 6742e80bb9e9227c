/* lxmd/core/quota: sums over what is stored, and what is said when they do not fit. */
#include "tests/unit/db_fixture.h"

#include "db/instance.h"
#include "db/profile.h"
#include "db/project.h"
#include "lxmd/core/quota.h"

static struct fixture f;

struct step {
	const char *name, *cpu, *memory; /* of an instance, or of the profile */
	bool profile;
	const char *second;		 /* profile that comes after it */
	const char *limit, *value;	 /* of the project */
};

static int add_tx(struct db_tx *tx, void *arg, struct lxm_err *e)
{
	const struct step *s = arg;
	struct db_instance i = { .project = (char *)"default", .name = (char *)s->name, .architecture = (char *)"x86_64",
				 .location = (char *)"none", .description = (char *)"" };
	int r;

	if (s->cpu)
		lxm_kv_set(&i.config, "limits.cpu", s->cpu);
	if (s->memory)
		lxm_kv_set(&i.config, "limits.memory", s->memory);
	if (s->profile)
		lxm_strv_add(&i.profiles, "default");
	if (s->second)
		lxm_strv_add(&i.profiles, s->second);
	r = db_instance_create(tx, &i, e);
	if (r == 0)
		r = quota_check(tx, "default", QUOTA_OF_INSTANCES, e);
	lxm_kv_deinit(&i.config);
	lxm_strv_deinit(&i.profiles);
	return r;
}

static int limit_tx(struct db_tx *tx, void *arg, struct lxm_err *e)
{
	const struct step *s = arg;
	lxm_auto(db_project) struct db_project p = { 0 };
	lxm_auto(kv) struct lxm_kv was = { 0 };
	int r = db_project_get_values(tx, "default", &p, e);

	TRY(r);
	lxm_kv_copy(&was, &p.config);
	lxm_kv_set(&p.config, s->limit, s->value);
	TRY(quota_check_limits(tx, &was, &p, e));
	return db_project_update(tx, &p, e);
}

static int profile_tx(struct db_tx *tx, void *arg, struct lxm_err *e)
{
	const struct step *s = arg;
	lxm_auto(db_profile) struct db_profile p = { 0 };

	TRY(db_profile_get(tx, "default", "default", &p, e));
	lxm_kv_set(&p.config, "limits.cpu", s->cpu);
	TRY(db_profile_update(tx, &p, e));
	return quota_check(tx, "default", QUOTA_OF_INSTANCES, e);
}

static int second_tx(struct db_tx *tx, void *arg, struct lxm_err *e)
{
	const struct step *s = arg;
	struct db_profile p = { .project = (char *)"default", .name = (char *)s->second, .description = (char *)"" };
	int r;

	if (s->cpu)
		lxm_kv_set(&p.config, "limits.cpu", s->cpu);
	r = db_profile_create(tx, &p, e);
	lxm_kv_deinit(&p.config);
	return r;
}

static int run(db_fn fn, struct step s)
{
	lxm_err_clear(&f.e);
	return db_write(f.db, fn, &s, &f.e);
}

static int add(const char *name, const char *cpu, const char *memory, bool profile)
{
	return run(add_tx, (struct step){ .name = name, .cpu = cpu, .memory = memory, .profile = profile });
}

static int limit(const char *key, const char *value)
{
	return run(limit_tx, (struct step){ .limit = key, .value = value });
}

static bool said(const char *text)
{
	return strstr(f.e.msg, text) != NULL;
}

static int names_tx(struct db_tx *tx, void *arg, struct lxm_err *e)
{
	return db_instance_names(tx, "default", arg, e);
}

static size_t count(void)
{
	lxm_auto(strv) struct lxm_strv names = { 0 };

	CU_ASSERT_FATAL(db_read(f.db, names_tx, &names, NULL) == 0);
	return names.n;
}

static void numbers_hold_and_a_refusal_takes_the_row_back(void)
{
	fixture_up(&f);
	CU_ASSERT_EQUAL(limit("limits.instances", "2"), 0);
	CU_ASSERT_EQUAL(add("a", NULL, NULL, false), 0);
	CU_ASSERT_EQUAL(add("b", NULL, NULL, false), 0);
	CU_ASSERT_EQUAL(add("c", NULL, NULL, false), -EPERM);
	CU_ASSERT(said("Reached maximum number of instances in project \"default\"") && lxm_err_status(&f.e) == 403);
	CU_ASSERT_EQUAL(count(), 2);
	CU_ASSERT_EQUAL(limit("limits.instances", "1"), -EINVAL);
	CU_ASSERT(said("there currently are 2 total instances"));
	CU_ASSERT_EQUAL(limit("limits.containers", "2"), 0);
	CU_ASSERT_EQUAL(limit("limits.instances", ""), 0);
	CU_ASSERT_EQUAL(add("c", NULL, NULL, false), -EPERM);
	CU_ASSERT(said("of type \"container\""));
	fixture_down(&f);
}

static void sums_follow_profiles(void)
{
	fixture_up(&f);
	CU_ASSERT_EQUAL(run(profile_tx, (struct step){ .cpu = "1" }), 0);
	CU_ASSERT_EQUAL(add("a", NULL, "1GiB", true), 0);
	CU_ASSERT_EQUAL(add("b", "3", "1GiB", true), 0);
	CU_ASSERT_EQUAL(limit("limits.cpu", "3"), -EINVAL);
	CU_ASSERT(said("current total is \"4\""));
	CU_ASSERT_EQUAL(limit("limits.cpu", "5"), 0);
	CU_ASSERT_EQUAL(run(profile_tx, (struct step){ .cpu = "3" }), -EPERM);
	CU_ASSERT_EQUAL(run(profile_tx, (struct step){ .cpu = "0-1" }), -EINVAL);
	CU_ASSERT(said("can't be pinned"));
	CU_ASSERT_EQUAL(run(profile_tx, (struct step){ .cpu = "2" }), 0);
	CU_ASSERT_EQUAL(add("c", NULL, NULL, false), -EINVAL);
	CU_ASSERT(said("has no \"limits.cpu\" config"));
	fixture_down(&f);
}

static void the_last_profile_that_says_something_counts(void)
{
	fixture_up(&f);
	CU_ASSERT_EQUAL(run(profile_tx, (struct step){ .cpu = "1" }), 0);
	CU_ASSERT_EQUAL(run(second_tx, (struct step){ .second = "more", .cpu = "5" }), 0);
	CU_ASSERT_EQUAL(run(second_tx, (struct step){ .second = "silent" }), 0);
	CU_ASSERT_EQUAL(limit("limits.cpu", "8"), 0);
	CU_ASSERT_EQUAL(run(add_tx, (struct step){ .name = "a", .profile = true, .second = "more" }), 0);
	CU_ASSERT_EQUAL(run(add_tx, (struct step){ .name = "b", .profile = true, .second = "silent" }), 0);
	CU_ASSERT_EQUAL(run(add_tx, (struct step){ .name = "c", .cpu = "2", .profile = true, .second = "more" }), 0);
	CU_ASSERT_EQUAL(add("d", NULL, NULL, true), -EPERM);
	fixture_down(&f);
}

static void great_sums_do_not_wrap(void)
{
	fixture_up(&f);
	CU_ASSERT_EQUAL(add("a", NULL, "8EiB", false), 0);
	CU_ASSERT_EQUAL(add("b", NULL, "8EiB", false), 0);
	CU_ASSERT_EQUAL(limit("limits.memory", "1TiB"), -EINVAL);
	CU_ASSERT(said("is too low"));
	fixture_down(&f);
}

UNIT_MAIN("core/quota", { "numbers hold and a refusal takes the row back", numbers_hold_and_a_refusal_takes_the_row_back },
	  { "sums follow profiles", sums_follow_profiles },
	  { "the last profile that says something counts", the_last_profile_that_says_something_counts },
	  { "great sums do not wrap", great_sums_do_not_wrap })
