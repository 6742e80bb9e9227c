/* lxmd/instance/policy: each rule alone, for a tenant in any project and for everybody in a restricted one; what opens it, and how far. */
#include "tests/unit/db_fixture.h"

#include <errno.h>

#include "db/project.h"
#include "lxmd/core/caller.h"
#include "lxmd/core/daemon.h"
#include "lxmd/instance/instance.h"
#include "lxmd/instance/policy.h"

#define INTERCEPT "security.syscalls.intercept."

static struct fixture f;
static struct lxmd d;
static const struct caller admin = { .trust = CALLER_ADMIN }, tenant = { .trust = CALLER_RESTRICTED };

static int project_tx(struct db_tx *tx, void *arg, struct lxm_err *e)
{
	lxm_auto(db_project) struct db_project p = { 0 };

	TRY(db_project_get_values(tx, "default", &p, e));
	lxm_kv_deinit(&p.config);
	lxm_kv_copy(&p.config, arg);
	return db_project_update(tx, &p, e);
}

/* "KEY=VALUE KEY=VALUE" */
static void fill(struct lxm_kv *kv, const char *text)
{
	lxm_auto(strv) struct lxm_strv words = { 0 };
	size_t k;

	lxm_strv_split(&words, text, ' ');
	for (k = 0; k < words.n; k++) {
		lxm_auto(free) char *key = lxm_strndup(words.v[k], strcspn(words.v[k], "="));

		lxm_kv_set(kv, key, words.v[k] + strlen(key) + 1);
	}
}

static void project(const char *config)
{
	lxm_auto(kv) struct lxm_kv kv = { 0 };

	fill(&kv, config);
	RUN_OK(db_write(f.db, project_tx, &kv, &f.e), &f);
}

/* What the policy says to it: NULL, nothing. Device properties begin with "type=". */
static const char *said(const char *what, const struct caller *who)
{
	lxm_auto(instance) struct instance i = { 0 };
	int r;

	i.row.project = lxm_strdup("default");
	if (strncmp(what, "type=", 5) == 0)
		fill(&lxm_devs_at(&i.devices, "dev")->kv, what);
	else
		fill(&i.config, what);
	lxm_err_clear(&f.e);
	r = policy_check(&d, &i, who, &f.e);
	CU_ASSERT(r == 0 || (r == -EPERM && lxm_err_status(&f.e) == 403));
	return r ? f.e.msg : NULL;
}

static bool refused(const char *what, const struct caller *who, const char *rule)
{
	const char *text = said(what, who);
	lxm_auto(free) char *end = lxm_asprintf("the project's %s", rule);

	if (text && lxm_ends(text, end))
		return true;
	printf("\n    '%s' is not refused by %s: %s\n", what, rule, text ? text : "allowed");
	return false;
}

static void up(void)
{
	fixture_up(&f);
	d.db = f.db;
}

static const struct {
	const char *what, *rule, *opened; /* value that opens it */
} guards[] = {
	{ INTERCEPT "mknod=true", "restricted.containers.interception", "allow" },
	{ INTERCEPT "mount.shift=true", "restricted.containers.interception", "full" },
	{ INTERCEPT "mount.allowed=ext4", "restricted.containers.interception", "full" },
	{ INTERCEPT "sched_setscheduler=true", "restricted.containers.interception", "full" },
	{ "raw.lxc=x", "restricted.containers.lowlevel", "allow" },
	{ "linux.kernel_modules=x", "restricted.containers.lowlevel", "allow" },
	{ "security.privileged=true", "restricted.containers.privilege", "allow" },
	{ "type=disk path=/x source=/etc", "restricted.devices.disk", "allow" },
	{ "type=gpu", "restricted.devices.gpu", "allow" },
	{ "type=infiniband", "restricted.devices.infiniband", "allow" },
	{ "type=nic nictype=p2p", "restricted.devices.nic", "allow" },
	{ "type=pci", "restricted.devices.pci", "allow" },
	{ "type=proxy", "restricted.devices.proxy", "allow" },
	{ "type=unix-block", "restricted.devices.unix-block", "allow" },
	{ "type=unix-char", "restricted.devices.unix-char", "allow" },
	{ "type=unix-hotplug", "restricted.devices.unix-hotplug", "allow" },
	{ "type=usb", "restricted.devices.usb", "allow" },
};

static void what_reaches_the_host_is_refused(void)
{
	size_t k;

	up();
	for (k = 0; k < LXM_ARRAY_LEN(guards); k++) {
		lxm_auto(free) char *open = lxm_asprintf("%s=%s", guards[k].rule, guards[k].opened);
		lxm_auto(free) char *restricted = lxm_asprintf("restricted=true %s", open);

		project("");
		CU_ASSERT_PTR_NULL(said(guards[k].what, &admin));
		CU_ASSERT_PTR_NULL(said(guards[k].what, NULL));
		CU_ASSERT(refused(guards[k].what, &tenant, guards[k].rule));
		project(open);
		CU_ASSERT_PTR_NULL(said(guards[k].what, &tenant));
		project("restricted=true");
		CU_ASSERT(refused(guards[k].what, &admin, guards[k].rule));
		CU_ASSERT(refused(guards[k].what, NULL, guards[k].rule));
		if (strcmp(guards[k].opened, "full") == 0) {
			lxm_auto(free) char *half = lxm_asprintf("%s=allow", guards[k].rule);

			project(half);
			CU_ASSERT(refused(guards[k].what, &tenant, guards[k].rule));
		}
		project(restricted);
		CU_ASSERT_PTR_NULL(said(guards[k].what, &tenant));
	}
	fixture_down(&f);
}

/* What no key opens stays shut, whatever is allowed. */
static void a_type_without_a_rule_is_refused(void)
{
	up();
	project("restricted.devices.unix-char=allow");
	CU_ASSERT(refused("type=tpm", &tenant, "restricted.devices"));
	CU_ASSERT_PTR_NULL(said("type=tpm", &admin));
	CU_ASSERT_PTR_NULL(said("type=none", &tenant));
	fixture_down(&f);
}

/* A tenant is no danger to the host by these: they are rules of restricted projects alone. */
static void rules_of_the_project_alone(void)
{
	up();
	project("restricted.networks.access=a,lxmbr10");
	CU_ASSERT_PTR_NULL(said("security.nesting=true", &tenant));
	CU_ASSERT_PTR_NULL(said("type=nic network=lxmbr1", &tenant));
	project("restricted=true restricted.networks.access=a,lxmbr10,c");
	CU_ASSERT(refused("security.nesting=true", &admin, "restricted.containers.nesting"));
	CU_ASSERT(refused("type=nic network=lxmbr1", &admin, "restricted.networks.access"));
	CU_ASSERT(refused("type=nic network=lxmbr100", &admin, "restricted.networks.access"));
	CU_ASSERT_PTR_NULL(said("type=nic network=lxmbr10", &admin));
	CU_ASSERT_PTR_NULL(said("type=nic network=c", &admin));
	fixture_down(&f);
}

static void allowed_paths_are_a_border(void)
{
	static const char *const bad[] = { "source=/srv/tenantx", "source=/srv", "source=/srv/tenant/../x", "source=/etc", "",
					   "source=/srv/tenant/a shift=true", "source=/srv/tenant propagation=shared",
					   "source=/srv/tenant propagation=rshared" };
	static const char *const good[] = { "source=/srv/tenant", "source=/srv/tenant/a/b", "source=/srv/tenant propagation=rslave",
					    "source=/data/x", "pool=default source=v", "source=tmpfs:" };
	size_t k;

	up();
	project("restricted.devices.disk=allow restricted.devices.disk.paths=/srv/tenant/,/data");
	for (k = 0; k < LXM_ARRAY_LEN(bad); k++) {
		lxm_auto(free) char *disk = lxm_asprintf("type=disk path=/x %s", bad[k]);

		CU_ASSERT(refused(disk, &tenant, "restricted.devices.disk.paths"));
		CU_ASSERT_PTR_NULL(said(disk, &admin));
	}
	for (k = 0; k < LXM_ARRAY_LEN(good); k++) {
		lxm_auto(free) char *disk = lxm_asprintf("type=disk path=/x %s", good[k]);

		CU_ASSERT_PTR_NULL(said(disk, &tenant));
	}
	project("restricted.devices.disk=allow restricted.devices.disk.paths=/srv restricted.devices.proxy=allow");
	CU_ASSERT(refused("type=proxy listen=unix:/srv/s connect=tcp:127.0.0.1:1", &tenant, "restricted.devices.disk.paths"));
	CU_ASSERT(refused("type=proxy bind=instance listen=tcp:127.0.0.1:1 connect=unix:@x", &tenant, "restricted.devices.disk.paths"));
	CU_ASSERT_PTR_NULL(said("type=proxy listen=tcp:127.0.0.1:1 connect=unix:/s", &tenant));
	fixture_down(&f);
}

UNIT_MAIN("instance/policy", { "what reaches the host is refused", what_reaches_the_host_is_refused },
	  { "a type without a rule is refused", a_type_without_a_rule_is_refused },
	  { "rules of the project alone", rules_of_the_project_alone },
	  { "allowed paths are a border", allowed_paths_are_a_border })
