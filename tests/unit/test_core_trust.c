/* lxmd/core/trust: who comes with which certificate, before and after changes of the store. */
#include "tests/unit/db_fixture.h"

#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

#include "db/certificate.h"
#include "db/project.h"
#include "lxmd/core/daemon.h"
#include "lxmd/core/trust.h"

static struct fixture f;
static struct lxmd d;

/* A fingerprint of 64 equal digits. */
static char *fp(char digit)
{
	static char text[65];

	memset(text, digit, 64);
	return text;
}

struct add {
	char digit;
	int type;
	bool restricted;
	const char *projects; /* separated by blanks */
};

static int add_tx(struct db_tx *tx, void *arg, struct lxm_err *e)
{
	const struct add *a = arg;
	lxm_auto(db_certificate) struct db_certificate c = { .type = a->type, .restricted = a->restricted };

	c.fingerprint = lxm_strdup(fp(a->digit));
	c.name = lxm_asprintf("name-%c", a->digit);
	c.description = lxm_strdup("");
	c.pem = lxm_strdup("PEM");
	lxm_strv_split(&c.projects, a->projects, ' ');
	return db_certificate_create(tx, &c, e);
}

static int project_tx(struct db_tx *tx, void *arg, struct lxm_err *e)
{
	struct db_project p = { .name = arg };

	return db_project_create(tx, &p, e);
}

static int remove_tx(struct db_tx *tx, void *arg, struct lxm_err *e)
{
	lxm_auto(db_certificate) struct db_certificate c = { 0 };

	TRY(db_certificate_get(tx, arg, &c, e));
	return db_certificate_delete(tx, c.id, e);
}

static void add(char digit, int type, bool restricted, const char *projects)
{
	struct add a = { digit, type, restricted, projects };

	RUN_OK(db_write(f.db, add_tx, &a, &f.e), &f);
}

static void set_up(void)
{
	fixture_up(&f);
	memset(&d, 0, sizeof(d));
	d.db = f.db;
	RUN_OK(db_write(f.db, project_tx, "blue", &f.e), &f);
	RUN_OK(db_write(f.db, project_tx, "red", &f.e), &f);
	add('a', DB_CERT_CLIENT, false, "");
	add('b', DB_CERT_CLIENT, true, "red");
	add('c', DB_CERT_METRICS, false, "");
	add('d', DB_CERT_METRICS, true, "blue");
	add('e', DB_CERT_CLIENT, true, "");
	RUN_OK(trust_start(&d, &f.e), &f);
}

static void tear_down(void)
{
	trust_stop(&d);
	fixture_down(&f);
}

static struct caller who(const char *fingerprint)
{
	struct caller c = { .trust = CALLER_ADMIN, .address = "192.0.2.1:7" };

	trust_identify(&d, fingerprint, &c);
	return c;
}

static void test_levels(void)
{
	struct caller c;

	set_up();
	c = who(fp('a'));
	CU_ASSERT_EQUAL(c.trust, CALLER_ADMIN);
	CU_ASSERT_EQUAL(c.cert_type, CALLER_CERT_CLIENT);
	CU_ASSERT_STRING_EQUAL(c.username, fp('a'));
	CU_ASSERT_STRING_EQUAL(c.fingerprint, fp('a'));
	CU_ASSERT_STRING_EQUAL(c.name, "name-a");
	CU_ASSERT_STRING_EQUAL(c.protocol, "tls");
	CU_ASSERT_STRING_EQUAL(c.address, "192.0.2.1:7");
	CU_ASSERT(c.uid == (uid_t)-1 && c.gid == (gid_t)-1 && c.pid == 0);
	CU_ASSERT_EQUAL(who(fp('b')).trust, CALLER_RESTRICTED);
	CU_ASSERT_EQUAL(who(fp('c')).trust, CALLER_METRICS);
	CU_ASSERT_EQUAL(who(fp('c')).cert_type, CALLER_CERT_METRICS);
	tear_down();
}

static void test_strangers(void)
{
	static const char *const no[] = { NULL, "", "a", "0000000000000000000000000000000000000000000000000000000000000000" };
	struct caller c;
	size_t i;

	set_up();
	for (i = 0; i < LXM_ARRAY_LEN(no); i++) {
		c = who(no[i]);
		CU_ASSERT_EQUAL(c.trust, CALLER_UNTRUSTED);
		CU_ASSERT_EQUAL(c.cert_type, CALLER_CERT_NONE);
		CU_ASSERT_PTR_NULL(c.projects);
		CU_ASSERT_STRING_EQUAL(c.name, "");
		CU_ASSERT_FALSE(caller_may_project(&c, "default"));
	}
	/* what is longer than a fingerprint is none, also when it starts with one */
	CU_ASSERT_EQUAL(who("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaab").trust, CALLER_UNTRUSTED);
	tear_down();
}

static void test_projects(void)
{
	struct caller c;

	set_up();
	c = who(fp('b'));
	CU_ASSERT_TRUE(caller_may_project(&c, "red"));
	CU_ASSERT_FALSE(caller_may_project(&c, "blue"));
	CU_ASSERT_FALSE(caller_may_project(&c, "default"));
	CU_ASSERT_FALSE(caller_may_project(&c, "re"));
	c = who(fp('a'));
	CU_ASSERT_TRUE(caller_may_project(&c, "blue"));
	c = who(fp('c'));
	CU_ASSERT_TRUE(caller_may_project(&c, "blue"));
	c = who(fp('d'));
	CU_ASSERT_TRUE(caller_may_project(&c, "blue"));
	CU_ASSERT_FALSE(caller_may_project(&c, "red"));
	c = who(fp('e'));
	CU_ASSERT_FALSE(caller_may_project(&c, "default"));
	CU_ASSERT_TRUE(caller_may_project(NULL, "red"));
	tear_down();
}

/* A copy stays good after changes, and the next look sees them. */
static void test_reload(void)
{
	struct caller before, after;

	set_up();
	before = who(fp('b'));
	RUN_OK(db_write(f.db, remove_tx, fp('b'), &f.e), &f);
	CU_ASSERT_EQUAL(who(fp('b')).trust, CALLER_RESTRICTED);
	RUN_OK(trust_reload(&d, &f.e), &f);
	CU_ASSERT_EQUAL(who(fp('b')).trust, CALLER_UNTRUSTED);
	CU_ASSERT_TRUE(caller_may_project(&before, "red"));
	add('b', DB_CERT_CLIENT, true, "red");
	RUN_OK(trust_reload(&d, &f.e), &f);
	after = who(fp('b'));
	CU_ASSERT_PTR_EQUAL(before.projects, after.projects);
	tear_down();
}

/* What outlives its request ends with the rights of its caller, and only then. */
static void test_hold(void)
{
	struct caller b, a;
	struct trust_hold *hb, *ha, *late;
	int pair_b[2], pair_a[2], pair_late[2];
	char c;

	set_up();
	CU_ASSERT_FATAL(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair_b) == 0);
	CU_ASSERT_FATAL(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair_a) == 0);
	CU_ASSERT_FATAL(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair_late) == 0);
	b = who(fp('b'));
	a = who(fp('a'));
	hb = trust_hold(&d, &b, pair_b[0]);
	ha = trust_hold(&d, &a, pair_a[0]);
	CU_ASSERT_PTR_NOT_NULL(hb);
	RUN_OK(trust_reload(&d, &f.e), &f);
	CU_ASSERT(read(pair_b[1], &c, 1) < 0 && errno == EAGAIN);
	RUN_OK(db_write(f.db, remove_tx, fp('b'), &f.e), &f);
	RUN_OK(trust_reload(&d, &f.e), &f);
	CU_ASSERT_EQUAL(read(pair_b[1], &c, 1), 0);
	CU_ASSERT(read(pair_a[1], &c, 1) < 0 && errno == EAGAIN);
	/* the change came between the request and the hold */
	late = trust_hold(&d, &b, pair_late[0]);
	CU_ASSERT_EQUAL(read(pair_late[1], &c, 1), 0);
	trust_release(hb);
	trust_release(ha);
	trust_release(late);
	trust_release(NULL);
	CU_ASSERT_PTR_NULL(trust_hold(&d, &(struct caller){ .trust = CALLER_ADMIN }, pair_a[0]));
	close(pair_b[0]), close(pair_b[1]), close(pair_a[0]), close(pair_a[1]), close(pair_late[0]), close(pair_late[1]);
	tear_down();
}

UNIT_MAIN("core/trust", { "levels by type and restriction", test_levels }, { "strangers are not trusted", test_strangers },
	  { "projects by list", test_projects }, { "a reload sees changes, copies stay good", test_reload },
	  { "what outlives its request ends with the rights", test_hold })
