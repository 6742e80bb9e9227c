/* db: images, aliases, pools, volumes, networks and what hangs on them, certificates, warnings, operations, config. */
#include "tests/unit/db_fixture.h"

#include "db/certificate.h"
#include "db/config.h"
#include "db/image.h"
#include "db/instance.h"
#include "db/network.h"
#include "db/operation.h"
#include "db/profile.h"
#include "db/project.h"
#include "db/storage.h"
#include "db/warning.h"

static void run(db_fn fn)
{
	struct fixture f;

	fixture_up(&f);
	RUN_OK(db_write(f.db, fn, NULL, &f.e), &f);
	fixture_down(&f);
}

#define FP1 "aaaa1111aaaa1111aaaa1111aaaa1111aaaa1111aaaa1111aaaa1111aaaa1111"
#define FP2 "aaaa2222aaaa2222aaaa2222aaaa2222aaaa2222aaaa2222aaaa2222aaaa2222"

static int add_image(struct db_tx *tx, const char *fp, bool public_, int64_t *id, struct lxm_err *e)
{
	lxm_auto(db_image) struct db_image i = { .project = lxm_strdup("default"),
						 .fingerprint = lxm_strdup(fp),
						 .architecture = lxm_strdup("x86_64"),
						 .size = 123,
						 .split = true,
						 .public_ = public_,
						 .created_at = 1000 };

	lxm_kv_set(&i.properties, "os", "Debian");
	lxm_strv_add(&i.profiles, "default");
	i.source.server = lxm_strdup("https://images.example.org");
	i.source.protocol = lxm_strdup("simplestreams");
	i.source.alias = lxm_strdup("debian/12");
	TRY(db_image_create(tx, &i, e));
	*id = i.id;
	return 0;
}

static int images(struct db_tx *tx, void *arg, struct lxm_err *e)
{
	lxm_auto(db_image) struct db_image got = { 0 };
	lxm_auto(db_images) struct db_images l = { 0 };
	int64_t one, two, n;

	TRY(add_image(tx, FP1, false, &one, e));
	TRY(add_image(tx, FP2, true, &two, e));
	MUST(add_image(tx, FP1, false, &n, e) == -EEXIST);
	TRY(db_alias_create(tx, "default", "debian/12", "d", FP1, e));
	TRY(db_alias_create(tx, "default", "also", "", FP1, e));

	MUST(db_image_get(tx, "default", "aaaa1", &got, e) == 0 && got.id == one);
	MUST(got.split && !got.public_ && got.size == 123 && got.created_at == 1000 && got.uploaded_at > 0);
	MUST(got.properties.n == 1 && got.profiles.n == 1 && got.aliases.n == 2);
	MUST(lxm_streq(got.aliases.v[0].name, "also") && lxm_streq(got.source.protocol, "simplestreams"));
	MUST(db_image_get(tx, "default", "aaaa", &got, e) == -ENOTUNIQ);
	MUST(db_image_get(tx, "default", "bbbb", &got, e) == DB_NONE);
	MUST(db_image_get(tx, "default", "AAAA", &got, e) == -EINVAL);
	MUST(db_image_get(tx, "default", "%", &got, e) == -EINVAL);
	MUST(db_image_get_by_alias(tx, "default", "debian/12", &got, e) == 0 && got.id == one);
	MUST(db_image_get_by_source(tx, "default", "https://images.example.org", "simplestreams", "debian/12", &got, e) ==
		     0 &&
	     got.id == two);
	TRY(db_image_list(tx, "default", false, &l, e));
	MUST(l.n == 2 && l.v[0].aliases.n == 2 && l.v[1].aliases.n == 0 && l.v[1].properties.n == 1);
	TRY(db_image_list(tx, NULL, true, &l, e));
	MUST(l.n == 1 && l.v[0].id == two);

	got.public_ = false;
	got.expires_at = 77;
	lxm_kv_deinit(&got.properties);
	TRY(db_image_update(tx, &got, e));
	MUST(db_image_get(tx, "default", FP2, &got, e) == 0 && !got.public_ && got.expires_at == 77 && !got.properties.n);
	TRY(db_image_count(tx, FP1, &n, e));
	MUST(n == 1);
	MUST(db_image_delete(tx, one, e) == 0 && db_image_delete(tx, one, e) == DB_NONE);
	MUST(db_image_get_by_alias(tx, "default", "also", &got, e) == DB_NONE);
	return 0;
}

static void images_are_found_by_prefix_alias_and_source(void)
{
	run(images);
}

static int aliases(struct db_tx *tx, void *arg, struct lxm_err *e)
{
	lxm_auto(db_alias) struct db_alias a = { 0 };
	lxm_auto(db_aliases) struct db_aliases l = { 0 };
	int64_t one, two;

	TRY(add_image(tx, FP1, false, &one, e));
	TRY(add_image(tx, FP2, true, &two, e));
	TRY(db_alias_create(tx, "default", "x", "d", FP1, e));
	MUST(db_alias_create(tx, "default", "x", "d", FP2, e) == -EEXIST);
	MUST(db_alias_create(tx, "default", "y", "d", "bbbb", e) == -ENOENT);
	MUST(db_alias_get(tx, "default", "x", &a, e) == 0 && lxm_streq(a.fingerprint, FP1));
	TRY(db_alias_list(tx, "default", true, &l, e));
	MUST(l.n == 0);
	TRY(db_alias_update(tx, "default", "x", "new", FP2, e));
	TRY(db_alias_list(tx, "default", true, &l, e));
	MUST(l.n == 1 && lxm_streq(l.v[0].description, "new"));
	TRY(db_alias_move(tx, two, one, e));
	MUST(db_alias_rename(tx, "default", "x", "z", e) == 0 && db_alias_rename(tx, "default", "x", "z", e) == DB_NONE);
	MUST(db_alias_get(tx, "default", "z", &a, e) == 0 && lxm_streq(a.fingerprint, FP1));
	MUST(db_alias_delete(tx, "default", "z", e) == 0 && db_alias_delete(tx, "default", "z", e) == DB_NONE);
	return 0;
}

static void aliases_move_and_follow_their_image(void)
{
	run(aliases);
}

static int add_pool(struct db_tx *tx, const char *name, int64_t *id, struct lxm_err *e)
{
	lxm_auto(db_pool) struct db_pool p = { .name = lxm_strdup(name), .driver = lxm_strdup("overlay"), .state = DB_CREATED };

	lxm_kv_set(&p.config, "source", "/srv");
	TRY(db_pool_create(tx, &p, e));
	*id = p.id;
	return 0;
}

static int add_volume(struct db_tx *tx, int type, const char *name, int64_t *id, struct lxm_err *e)
{
	lxm_auto(db_volume) struct db_volume v = {
		.pool = lxm_strdup("p"), .project = lxm_strdup("default"), .name = lxm_strdup(name), .type = type
	};

	lxm_kv_set(&v.config, "size", "1GiB");
	TRY(db_volume_create(tx, &v, e));
	*id = v.id;
	return 0;
}

static int storage(struct db_tx *tx, void *arg, struct lxm_err *e)
{
	lxm_auto(db_pool) struct db_pool p = { 0 };
	lxm_auto(db_volume) struct db_volume v = { 0 };
	lxm_auto(db_volumes) struct db_volumes l = { 0 };
	lxm_auto(db_profile) struct db_profile prof = { 0 };
	lxm_auto(kv) struct lxm_kv keys = { 0 };
	struct lxm_kv *dev;
	int64_t pool, data, image, n;

	TRY(add_pool(tx, "p", &pool, e));
	MUST(add_pool(tx, "p", &n, e) == -EEXIST);
	TRY(add_volume(tx, DB_VOL_IMAGE, FP1, &image, e));
	TRY(add_volume(tx, DB_VOL_CUSTOM, "data", &data, e));
	MUST(add_volume(tx, DB_VOL_CUSTOM, "data", &n, e) == -EEXIST);
	TRY(db_profile_get(tx, "default", "default", &prof, e));
	dev = &lxm_devs_at(&prof.devices, "d")->kv;
	lxm_kv_set(dev, "type", "disk");
	lxm_kv_set(dev, "pool", "p");
	lxm_kv_set(dev, "source", "data");
	TRY(db_profile_update(tx, &prof, e));

	MUST(db_volume_get(tx, "p", "default", DB_VOL_CUSTOM, "data", &v, e) == 0);
	MUST(v.config.n == 1 && v.used_by.n == 1 && lxm_streq(v.used_by.v[0], "/1.0/profiles/default"));
	MUST(db_pool_get(tx, "p", &p, e) == 0 && p.config.n == 1 && p.used_by.n == 3);
	MUST(lxm_strv_has(&p.used_by, "/1.0/storage-pools/p/volumes/custom/data"));
	MUST(lxm_strv_has(&p.used_by, "/1.0/images/" FP1));
	TRY(db_volume_list(tx, "p", NULL, DB_VOL_ANY, &l, e));
	MUST(l.n == 2);
	TRY(db_volume_list(tx, NULL, "default", DB_VOL_CUSTOM, &l, e));
	MUST(l.n == 1);

	MUST(db_pool_delete(tx, "p", e) == -EBUSY);
	lxm_kv_set(&keys, "size", "");
	lxm_kv_set(&keys, "user.a", "b");
	TRY(db_volume_set_config_keys(tx, data, &keys, e));
	TRY(db_volume_rename(tx, data, "more", e));
	MUST(db_volume_get(tx, "p", "default", DB_VOL_CUSTOM, "more", &v, e) == 0 && lxm_kv_get(&v.config, "user.a"));
	MUST(v.used_by.n == 0);
	TRY(db_volume_delete(tx, data, e));
	lxm_devs_deinit(&prof.devices);
	TRY(db_profile_update(tx, &prof, e));
	MUST(db_pool_delete(tx, "p", e) == 0 && db_pool_delete(tx, "p", e) == DB_NONE);
	return 0;
}

static void pool_in_use_stays_and_takes_its_images_along(void)
{
	run(storage);
}

static int volsnaps(struct db_tx *tx, void *arg, struct lxm_err *e)
{
	lxm_auto(db_volsnap) struct db_volsnap s = { .name = lxm_strdup("s0"), .expires_at = 100 };
	lxm_auto(db_volsnaps) struct db_volsnaps l = { 0 };
	int64_t pool;

	TRY(add_pool(tx, "p", &pool, e));
	TRY(add_volume(tx, DB_VOL_CUSTOM, "data", &s.volume_id, e));
	TRY(db_volsnap_create(tx, &s, e));
	MUST(db_volsnap_create(tx, &s, e) == -EEXIST);
	TRY(db_volsnap_list_expired(tx, 100, &l, e));
	MUST(l.n == 1);
	TRY(db_volsnap_update(tx, s.id, "d", 0, e));
	TRY(db_volsnap_rename(tx, s.id, "s1", e));
	MUST(db_volsnap_get(tx, s.volume_id, "s1", &s, e) == 0 && lxm_streq(s.description, "d"));
	TRY(db_volume_delete(tx, s.volume_id, e));
	TRY(db_volsnap_list(tx, 0, &l, e));
	MUST(l.n == 0);
	return 0;
}

static void volume_snapshots_go_with_their_volume(void)
{
	run(volsnaps);
}

static int networks(struct db_tx *tx, void *arg, struct lxm_err *e)
{
	lxm_auto(db_network) struct db_network n = { .project = lxm_strdup("default"), .name = lxm_strdup("br0"), .type = lxm_strdup("bridge") };
	lxm_auto(db_networks) struct db_networks l = { 0 };
	lxm_auto(db_instance) struct db_instance i = { .project = lxm_strdup("default"), .name = lxm_strdup("c1"), .architecture = lxm_strdup("x86_64") };
	lxm_auto(db_forward) struct db_forward f = { .listen_address = lxm_strdup("192.0.2.1") };
	lxm_auto(db_forwards) struct db_forwards fl = { 0 };
	struct lxm_kv *dev = &lxm_devs_at(&i.devices, "eth0")->kv;

	lxm_kv_set(&n.config, "ipv4.address", "10.0.3.1/24");
	TRY(db_network_create(tx, &n, e));
	MUST(db_network_create(tx, &n, e) == -EEXIST);
	lxm_kv_set(dev, "type", "nic");
	lxm_kv_set(dev, "network", "br0");
	TRY(db_instance_create(tx, &i, e));
	TRY(db_network_list(tx, "default", &l, e));
	MUST(l.n == 1 && l.v[0].used_by.n == 1 && lxm_streq(l.v[0].used_by.v[0], "/1.0/instances/c1"));
	MUST(db_network_delete(tx, n.id, e) == -EBUSY);
	MUST(strstr(e->msg, "/1.0/instances/c1"));

	f.network_id = n.id;
	TRY(db_forward_create(tx, &f, e));
	MUST(db_forward_create(tx, &f, e) == -EEXIST);
	free(f.ports);
	f.ports = lxm_strdup("[{\"listen_port\":\"80\"}]");
	TRY(db_forward_update(tx, &f, e));
	TRY(db_forward_list(tx, 0, &fl, e));
	MUST(fl.n == 1 && strstr(fl.v[0].ports, "80"));

	TRY(db_instance_delete(tx, i.id, e));
	TRY(db_network_set_state(tx, n.id, DB_CREATED, e));
	TRY(db_network_rename(tx, n.id, "br1", e));
	MUST(db_network_get(tx, "default", "br1", &n, e) == 0 && n.state == DB_CREATED && n.config.n == 1);
	MUST(db_network_delete(tx, n.id, e) == 0 && db_network_delete(tx, n.id, e) == DB_NONE);
	TRY(db_forward_list(tx, 0, &fl, e));
	MUST(fl.n == 0);
	return 0;
}

static void network_in_use_stays(void)
{
	run(networks);
}

static int acls_and_zones(struct db_tx *tx, void *arg, struct lxm_err *e)
{
	lxm_auto(db_acl) struct db_acl a = { .project = lxm_strdup("default"), .name = lxm_strdup("web"), .ingress = lxm_strdup("[1]") };
	lxm_auto(db_acl) struct db_acl b = { .project = lxm_strdup("default"), .name = lxm_strdup("we_") };
	lxm_auto(db_zone) struct db_zone z = { .project = lxm_strdup("default"), .name = lxm_strdup("lxm.example") };
	lxm_auto(db_record) struct db_record d = { .name = lxm_strdup("www") };
	lxm_auto(db_network) struct db_network n = { .project = lxm_strdup("default"), .name = lxm_strdup("br0"), .type = lxm_strdup("bridge") };
	lxm_auto(db_records) struct db_records records = { 0 };

	TRY(db_acl_create(tx, &a, e));
	TRY(db_acl_create(tx, &b, e));
	TRY(db_zone_create(tx, &z, e));
	lxm_kv_set(&n.config, "security.acls", "x, web");
	lxm_kv_set(&n.config, "dns.zone.forward", "lxm.example");
	TRY(db_network_create(tx, &n, e));
	/* '_' is a letter here, not a wildcard */
	MUST(db_acl_get(tx, "default", "we_", &b, e) == 0 && b.used_by.n == 0 && lxm_streq(b.egress, "[]"));
	MUST(db_acl_get(tx, "default", "web", &a, e) == 0 && a.used_by.n == 1 && lxm_streq(a.ingress, "[1]"));
	MUST(db_acl_delete(tx, a.id, e) == -EBUSY && db_acl_delete(tx, b.id, e) == 0);
	TRY(db_acl_rename(tx, a.id, "web2", e));
	MUST(db_zone_get(tx, "default", "lxm.example", &z, e) == 0 && z.used_by.n == 1);
	MUST(db_zone_delete(tx, z.id, e) == -EBUSY);
	d.zone_id = z.id;
	TRY(db_record_create(tx, &d, e));
	MUST(db_record_create(tx, &d, e) == -EEXIST);
	TRY(db_network_delete(tx, n.id, e));
	MUST(db_zone_delete(tx, z.id, e) == 0);
	TRY(db_record_list(tx, z.id, &records, e));
	MUST(records.n == 0);
	return 0;
}

static void acls_and_zones_in_use_stay(void)
{
	run(acls_and_zones);
}

static int certificates(struct db_tx *tx, void *arg, struct lxm_err *e)
{
	lxm_auto(db_certificate) struct db_certificate c = { .fingerprint = lxm_strdup(FP1), .pem = lxm_strdup("P"), .type = DB_CERT_CLIENT, .restricted = true };

	lxm_strv_add(&c.projects, "nope");
	MUST(db_certificate_create(tx, &c, e) == -ENOENT);
	return 0;
}

static int certificates_more(struct db_tx *tx, void *arg, struct lxm_err *e)
{
	lxm_auto(db_certificate) struct db_certificate c = { .fingerprint = lxm_strdup(FP1), .pem = lxm_strdup("P"), .type = DB_CERT_CLIENT, .restricted = true };
	lxm_auto(db_certificate) struct db_certificate got = { 0 };
	lxm_auto(db_certificates) struct db_certificates l = { 0 };

	lxm_strv_add(&c.projects, "default");
	TRY(db_certificate_create(tx, &c, e));
	MUST(db_certificate_create(tx, &c, e) == -EEXIST && lxm_streq(e->msg, "Certificate already in trust store"));
	MUST(db_certificate_get(tx, "aaaa1", &got, e) == 0 && got.restricted && got.projects.n == 1);
	got.restricted = false;
	lxm_strv_deinit(&got.projects);
	TRY(db_certificate_update(tx, &got, e));
	TRY(db_certificate_list(tx, &l, e));
	MUST(l.n == 1 && !l.v[0].restricted && !l.v[0].projects.n);
	MUST(db_certificate_delete(tx, c.id, e) == 0 && db_certificate_delete(tx, c.id, e) == DB_NONE);
	return 0;
}

static void certificates_are_known_by_prefix(void)
{
	run(certificates);
	run(certificates_more);
}

static int warnings(struct db_tx *tx, void *arg, struct lxm_err *e)
{
	lxm_auto(db_warnings) struct db_warnings l = { 0 };
	lxm_auto(db_warning) struct db_warning w = { 0 };

	TRY(db_warning_raise(tx, NULL, "Pool unavailable", DB_SEV_HIGH, "/1.0/storage-pools/p", "first", e));
	TRY(db_warning_raise(tx, NULL, "Pool unavailable", DB_SEV_HIGH, "/1.0/storage-pools/p", "second", e));
	TRY(db_warning_raise(tx, "default", "Other", DB_SEV_LOW, NULL, "x", e));
	TRY(db_warning_list(tx, NULL, &l, e));
	MUST(l.n == 2);
	TRY(db_warning_list(tx, "elsewhere", &l, e));
	MUST(l.n == 1 && l.v[0].count == 2 && lxm_streq(l.v[0].last_message, "second") && l.v[0].status == DB_WARN_NEW);
	TRY(db_warning_set_status(tx, l.v[0].uuid, DB_WARN_ACKNOWLEDGED, e));
	TRY(db_warning_raise(tx, NULL, "Pool unavailable", DB_SEV_HIGH, "/1.0/storage-pools/p", "third", e));
	MUST(db_warning_get(tx, l.v[0].uuid, &w, e) == 0 && w.status == DB_WARN_ACKNOWLEDGED && w.count == 3);
	TRY(db_warning_resolve(tx, NULL, "Pool unavailable", "/1.0/storage-pools/p", e));
	MUST(db_warning_get(tx, l.v[0].uuid, &w, e) == 0 && w.status == DB_WARN_RESOLVED);
	TRY(db_warning_raise(tx, NULL, "Pool unavailable", DB_SEV_HIGH, "/1.0/storage-pools/p", "again", e));
	MUST(db_warning_get(tx, l.v[0].uuid, &w, e) == 0 && w.status == DB_WARN_NEW);
	MUST(db_warning_delete(tx, w.uuid, e) == 0 && db_warning_delete(tx, w.uuid, e) == DB_NONE);
	TRY(db_warning_resolve(tx, "default", "Other", NULL, e));
	TRY(db_warning_prune(tx, INT64_MAX, e));
	TRY(db_warning_list(tx, NULL, &l, e));
	MUST(l.n == 0);
	return 0;
}

static void warnings_are_counted_not_repeated(void)
{
	run(warnings);
}

static int rest(struct db_tx *tx, void *arg, struct lxm_err *e)
{
	lxm_auto(db_operation) struct db_operation o = { .uuid = lxm_strdup("u-1"), .project = lxm_strdup("default") };
	lxm_auto(db_operations) struct db_operations l = { 0 };
	lxm_auto(kv) struct lxm_kv kv = { 0 };
	lxm_auto(kv) struct lxm_kv got = { 0 };

	TRY(db_operation_create(tx, &o, e));
	MUST(db_operation_create(tx, &o, e) == -EEXIST);
	TRY(db_operation_list(tx, "default", &l, e));
	MUST(l.n == 1 && lxm_streq(l.v[0].location, "none"));
	TRY(db_operation_clear(tx, NULL, e));
	MUST(db_operation_delete(tx, "u-1", e) == DB_NONE);

	lxm_kv_set(&kv, "user.a", "1");
	lxm_kv_set(&kv, "user.b", "2");
	TRY(db_config_replace(tx, &kv, e));
	lxm_kv_set(&kv, "user.a", "");
	lxm_kv_del(&kv, "user.b");
	TRY(db_config_set_keys(tx, &kv, e));
	TRY(db_config_load(tx, &got, e));
	MUST(got.n == 1 && lxm_streq(lxm_kv_get(&got, "user.b"), "2"));
	return 0;
}

static void operations_and_config_are_kept(void)
{
	run(rest);
}

static int node_config(struct db_ntx *tx, void *arg, struct lxm_err *e)
{
	lxm_auto(kv) struct lxm_kv kv = { 0 };

	lxm_kv_set(&kv, "core.https_address", ":8443");
	TRY(db_node_config_replace(tx, &kv, e));
	TRY(db_node_config_load(tx, &kv, e));
	MUST(kv.n == 1);
	return 0;
}

static int idranges(struct db_ntx *tx, void *arg, struct lxm_err *e)
{
	lxm_auto(db_idranges) struct db_idranges l = { 0 };
	int64_t base;

	TRY(db_idrange_alloc(tx, 1, 1000, 1400, 100, &base, e));
	MUST(base == 1000);
	TRY(db_idrange_alloc(tx, 2, 1000, 1400, 100, &base, e));
	MUST(base == 1100);
	TRY(db_idrange_alloc(tx, 3, 1000, 1400, 150, &base, e));
	MUST(base == 1200);
	TRY(db_idrange_alloc(tx, 1, 1000, 1400, 100, &base, e)); /* keeps what it has */
	MUST(base == 1000);
	MUST(db_idrange_alloc(tx, 4, 1000, 1400, 100, &base, e) == -ENOSPC && strstr(e->msg, "at most 50"));
	TRY(db_idrange_free(tx, 2, e));
	TRY(db_idrange_alloc(tx, 4, 1000, 1400, 60, &base, e));
	MUST(base == 1100);
	MUST(db_idrange_take(tx, 5, 1150, 20, e) == -EEXIST && strstr(e->msg, "id 4"));
	TRY(db_idrange_take(tx, 5, 1160, 40, e));
	MUST(db_idrange_take(tx, 6, 1199, 2, e) == -EEXIST);
	TRY(db_idrange_list(tx, &l, e));
	MUST(l.n == 4 && l.v[1].instance_id == 4);
	return 0;
}

static int ports(struct db_ntx *tx, void *arg, struct lxm_err *e)
{
	TRY(db_port_take(tx, "instance/1/p0", "tcp", "", 80, e));
	TRY(db_port_take(tx, "instance/1/p0", "tcp", "", 80, e)); /* its own already */
	MUST(db_port_take(tx, "instance/2/p0", "tcp", "192.0.2.1", 80, e) == -EEXIST && strstr(e->msg, "instance/1/p0"));
	TRY(db_port_take(tx, "instance/2/p0", "udp", "192.0.2.1", 80, e));
	MUST(db_port_take(tx, "instance/3/p0", "udp", "", 80, e) == -EEXIST);
	TRY(db_port_take(tx, "instance/3/p0", "udp", "192.0.2.2", 80, e));
	TRY(db_port_free(tx, "instance/1/", e));
	TRY(db_port_take(tx, "instance/2/p0", "tcp", "192.0.2.1", 80, e));
	return 0;
}

static void node_ranges_and_ports_never_overlap(void)
{
	struct fixture f;

	fixture_up(&f);
	RUN_OK(db_node_write(f.node, node_config, NULL, &f.e), &f);
	RUN_OK(db_node_write(f.node, idranges, NULL, &f.e), &f);
	RUN_OK(db_node_write(f.node, ports, NULL, &f.e), &f);
	fixture_down(&f);
}

UNIT_MAIN("db/families", { "images are found by prefix, alias and source", images_are_found_by_prefix_alias_and_source },
	  { "aliases move and follow their image", aliases_move_and_follow_their_image },
	  { "pool in use stays and takes its images along", pool_in_use_stays_and_takes_its_images_along },
	  { "volume snapshots go with their volume", volume_snapshots_go_with_their_volume },
	  { "network in use stays", network_in_use_stays }, { "acls and zones in use stay", acls_and_zones_in_use_stay },
	  { "certificates are known by prefix", certificates_are_known_by_prefix },
	  { "warnings are counted, not repeated", warnings_are_counted_not_repeated },
	  { "operations and config are kept", operations_and_config_are_kept },
	  { "node ranges and ports never overlap", node_ranges_and_ports_never_overlap })
