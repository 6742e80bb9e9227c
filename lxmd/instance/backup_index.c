/*
 * The index of a backup. What is read may come from anywhere: the text is bounded by whoever peeked at it, its YAML by
 * lxmd/image/yaml.c, names by lib/conf. Any thread.
 */
#include "lxmd/instance/backup_index.h"

#include <string.h>

#include "lib/api/json.h"
#include "lib/base/alloc.h"
#include "lib/base/log.h"
#include "lib/conf/conf.h"
#include "lib/conf/names.h"
#include "lib/conf/tables.h"
#include "lxmd/core/daemon.h"
#include "lxmd/image/yaml.h"
#include "lxmd/instance/instance.h"
#include "lxmd/instance/render.h"
#include "lxmd/storage/pool.h"

#define NODES_MAX 200000

void backup_index_deinit(struct backup_index *x)
{
	size_t k;

	for (k = 0; x->ids && k <= x->snapshots.n; k++)
		free(x->ids[k].v);
	free(x->ids);
	free(x->pool);
	db_instance_deinit(&x->row);
	db_snapshots_deinit(&x->snapshots);
	memset(x, 0, sizeof(*x));
}

/* ---- what travels of a configuration */

/* Of volatile.* what makes it the same instance elsewhere; the rest belongs to the host it was on. */
static bool travels(const char *key)
{
	static const char *const kept[] = { "volatile.apply_template", "volatile.base_image", "volatile.cloud-init.instance-id" };
	size_t k;

	if (!lxm_starts(key, "volatile.") || lxm_ends(key, ".hwaddr"))
		return true;
	for (k = 0; k < LXM_ARRAY_LEN(kept); k++)
		if (strcmp(key, kept[k]) == 0)
			return true;
	return false;
}

static void clean_config(struct lxm_kv *config)
{
	lxm_auto(kv) struct lxm_kv kept = { 0 };

	lxm_kv_each(p, config)
		if (travels(p->key))
			lxm_kv_set(&kept, p->key, p->value);
	lxm_kv_copy(config, &kept);
}

/* ---- reading */

/* A key that a newer or another server knows cannot be kept: nothing here would obey it. */
static void drop_unknown(const char *name, struct lxm_kv *config)
{
	lxm_auto(strv) struct lxm_strv gone = { 0 };
	size_t k;

	lxm_kv_each(p, config)
		if (!conf_find(&conf_instance, p->key))
			lxm_strv_add(&gone, p->key);
	for (k = 0; k < gone.n; k++) {
		lxm_warn("backup of '%s': key '%.100s' is unknown and left out", name, gone.v[k]);
		lxm_kv_del(config, gone.v[k]);
	}
}

/* YAML has told us strings only. */
static int get_bool(const json_t *o, const char *key, bool *out, struct lxm_err *e)
{
	const char *s = NULL;
	int r = js_get_str(o, key, &s, e), b;

	if (r < 0 || lxm_empty(s))
		return r;
	b = lxm_parse_bool(s);
	if (b < 0)
		return lxm_err_set(e, EINVAL, "key '%s' is no boolean", key);
	*out = b;
	return 0;
}

static int get_dup(const json_t *o, const char *key, char **out, struct lxm_err *e)
{
	const char *s = NULL;
	int r = js_get_str(o, key, &s, e);

	if (r == 0)
		*out = lxm_strdup(s ? s : "");
	return r;
}

static int get_id(const json_t *o, const char *key, uint32_t *out, struct lxm_err *e)
{
	int64_t n = -1;
	int r = js_get_int(o, key, &n, e);

	if (r == 0 && (n < 0 || n >= UINT32_MAX))
		r = lxm_err_set(e, EINVAL, "key '%s' is no id", key);
	*out = (uint32_t)n;
	return r;
}

static int read_range(const json_t *o, struct unpack_ids *m, struct lxm_err *e)
{
	int r = js_get_bool(o, "Isuid", &m->uids, e);

	if (r == 0)
		r = js_get_bool(o, "Isgid", &m->gids, e);
	if (r == 0)
		r = get_id(o, "Hostid", &m->host, e);
	if (r == 0)
		r = get_id(o, "Nsid", &m->ns, e);
	if (r == 0)
		r = get_id(o, "Maprange", &m->n, e);
	if (r == 0 && (UINT32_MAX - m->n < m->ns || UINT32_MAX - m->n < m->host))
		r = lxm_err_set(e, EINVAL, "a range of ids that goes too far");
	return r;
}

/* How the tree is shifted; the configuration still holds all of volatile.*. */
static int read_ids(const struct lxm_kv *config, struct backup_ids *out, struct lxm_err *e)
{
	const char *text = lxm_kv_get(config, "volatile.last_state.idmap");
	lxm_auto(json) json_t *a = NULL;
	json_t *o;
	size_t k;
	int r;

	if (lxm_empty(text))
		return 0;
	r = js_parse(text, strlen(text), &a, e);
	if (r == 0 && (!json_is_array(a) || json_array_size(a) > BACKUP_IDS_MAX))
		r = lxm_err_set(e, EINVAL, "it is no list of up to %d ranges", BACKUP_IDS_MAX);
	if (r == 0)
		out->v = lxm_alloc((json_array_size(a) + 1) * sizeof(*out->v));
	if (r == 0)
		json_array_foreach(a, k, o) {
			r = json_is_object(o) ? read_range(o, &out->v[out->n++], e) : lxm_err_set(e, EINVAL, "a range is no map");
			if (r < 0)
				break;
		}
	return lxm_err_wrap(e, r, "volatile.last_state.idmap");
}

static int read_row(const json_t *o, struct db_instance *row, struct backup_ids *ids, struct lxm_err *e)
{
	const char *type = NULL;
	int r = get_dup(o, "name", &row->name, e);

	if (r == 0)
		r = conf_name_instance(row->name, e);
	if (r == 0)
		r = js_get_str(o, "type", &type, e);
	if (r == 0 && !lxm_empty(type) && !lxm_streq(type, "container"))
		r = lxm_err_set(e, EOPNOTSUPP, "it is the backup of a '%.40s': lxm runs containers only", type);
	if (r == 0)
		r = get_dup(o, "architecture", &row->architecture, e);
	if (r == 0 && strcmp(row->architecture, "x86_64") != 0 && strcmp(row->architecture, "i686") != 0)
		r = lxm_err_set(e, EINVAL, "architecture '%.40s' does not run on this host", row->architecture);
	if (r == 0)
		r = get_dup(o, "description", &row->description, e);
	if (r == 0)
		r = get_bool(o, "ephemeral", &row->ephemeral, e);
	if (r == 0)
		r = js_get_time(o, "created_at", &row->created_at, e);
	if (r == 0)
		r = js_get_time(o, "last_used_at", &row->last_used_at, e);
	if (r == 0)
		r = js_get_kv(o, "config", &row->config, NULL, e);
	if (r == 0)
		r = read_ids(&row->config, ids, e);
	if (r == 0)
		r = js_get_devs(o, "devices", &row->devices, NULL, e);
	if (r == 0)
		r = js_get_strv(o, "profiles", &row->profiles, NULL, e);
	if (r < 0)
		return r;
	clean_config(&row->config);
	drop_unknown(row->name, &row->config);
	return 0;
}

static int read_snapshot(const json_t *o, struct db_snapshot *s, struct backup_ids *ids, struct lxm_err *e)
{
	const char *name = NULL, *slash;
	int r = js_need_str(o, "name", &name, e);

	if (r < 0)
		return r;
	/* some write it as INSTANCE/SNAPSHOT */
	slash = strchr(name, '/');
	s->name = lxm_strdup(slash ? slash + 1 : name);
	r = conf_name_snapshot(s->name, e);
	if (r == 0)
		r = get_dup(o, "architecture", &s->architecture, e);
	if (r == 0)
		r = get_bool(o, "ephemeral", &s->ephemeral, e);
	if (r == 0)
		r = js_get_time(o, "created_at", &s->created_at, e);
	if (r == 0)
		r = js_get_time(o, "expires_at", &s->expires_at, e);
	if (r == 0)
		r = js_get_kv(o, "config", &s->config, NULL, e);
	if (r == 0)
		r = read_ids(&s->config, ids, e);
	if (r == 0)
		r = js_get_devs(o, "devices", &s->devices, NULL, e);
	if (r == 0)
		r = js_get_strv(o, "profiles", &s->profiles, NULL, e);
	if (r < 0)
		return lxm_err_wrap(e, r, "snapshot '%.100s'", name);
	clean_config(&s->config);
	drop_unknown(s->name, &s->config);
	return 0;
}

static int read_snapshots(const json_t *config, struct backup_index *x, struct lxm_err *e)
{
	lxm_auto(strv) struct lxm_strv seen = { 0 };
	json_t *a = NULL, *o;
	size_t k;
	int r = js_get_arr(config, "snapshots", &a, e);

	if (r < 0)
		return r;
	if (json_array_size(a) > BACKUP_SNAPSHOTS_MAX)
		return lxm_err_set(e, EINVAL, "it speaks of more than %d snapshots", BACKUP_SNAPSHOTS_MAX);
	x->ids = lxm_alloc((json_array_size(a) + 1) * sizeof(*x->ids));
	x->snapshots.v = lxm_alloc((json_array_size(a) + 1) * sizeof(*x->snapshots.v));
	json_array_foreach(a, k, o) {
		struct db_snapshot *s = &x->snapshots.v[x->snapshots.n++];

		r = read_snapshot(o, s, &x->ids[k], e);
		if (r == 0 && lxm_strv_has(&seen, s->name))
			r = lxm_err_set(e, EINVAL, "snapshot '%.100s' comes twice", s->name);
		if (r < 0)
			return r;
		lxm_strv_add(&seen, s->name);
	}
	return 0;
}

static int read_index(const json_t *tree, struct backup_index *x, struct lxm_err *e)
{
	json_t *config = NULL, *o = NULL;
	const char *type = NULL;
	bool optimized = false;
	int r = json_is_object(tree) ? js_get_str(tree, "type", &type, e) : lxm_err_set(e, EINVAL, "it is no map");

	if (r == 0 && !lxm_empty(type) && !lxm_streq(type, "container"))
		r = lxm_err_set(e, EOPNOTSUPP, "it is the backup of a '%.40s': only those of containers become instances", type);
	if (r == 0)
		r = get_bool(tree, "optimized", &optimized, e);
	if (r == 0 && optimized)
		r = lxm_err_set(e, EOPNOTSUPP, "it is in the private format of a storage driver: export it without --optimized-storage");
	if (r == 0)
		r = get_dup(tree, "pool", &x->pool, e);
	if (r == 0)
		r = js_get_obj(tree, "config", &config, e);
	if (r == 0)
		r = js_get_obj(config, "container", &o, e);
	if (r == 0 && !o)
		r = js_get_obj(config, "instance", &o, e);
	if (r == 0 && !o)
		r = lxm_err_set(e, EINVAL, "it has no 'config.container': the server that made it is too old");
	if (r == 0)
		r = read_snapshots(config, x, e);
	return r < 0 ? r : read_row(o, &x->row, &x->ids[x->snapshots.n], e);
}

int backup_index_parse(const char *text, size_t len, struct backup_index *out, struct lxm_err *e)
{
	lxm_auto(backup_index) struct backup_index x = { 0 };
	lxm_auto(json) json_t *tree = NULL;
	int r = yaml_parse_big(text, len, NODES_MAX, &tree, e);

	if (r == 0)
		r = read_index(tree, &x, e);
	if (r < 0)
		return lxm_err_wrap(e, r, "backup/index.yaml");
	*out = x;
	memset(&x, 0, sizeof(x));
	return 0;
}

/* ---- writing */

static json_t *instance_object(const struct instance *i)
{
	struct instance copy = *i; /* borrows all but the configurations */
	json_t *o;

	memset(&copy.row.config, 0, sizeof(copy.row.config));
	memset(&copy.config, 0, sizeof(copy.config));
	lxm_kv_copy(&copy.row.config, &i->row.config);
	lxm_kv_copy(&copy.config, &i->config);
	clean_config(&copy.row.config);
	clean_config(&copy.config);
	o = instance_json(&copy, NULL);
	lxm_kv_deinit(&copy.row.config);
	lxm_kv_deinit(&copy.config);
	return o;
}

static json_t *snapshot_object(struct lxmd *d, const struct instance *i, const struct db_snapshot *s)
{
	struct db_snapshot copy = *s;
	json_t *o;

	memset(&copy.config, 0, sizeof(copy.config));
	lxm_kv_copy(&copy.config, &s->config);
	clean_config(&copy.config);
	o = snapshot_json(d, i, &copy, false);
	lxm_kv_deinit(&copy.config);
	return o;
}

/* How an importing server would record the volume: it makes its own, but wants to see one. */
static json_t *volume_object(const struct instance *i)
{
	return json_pack("{s:{}, s:s, s:s, s:s, s:[], s:s, s:s, s:o}", "config", "description", "", "name", i->row.name, "type", "container",
			 "used_by", "location", "none", "content_type", "filesystem", "created_at", js_time(i->row.created_at));
}

static json_t *config_object(struct lxmd *d, const struct instance *i, const struct db_snapshots *snapshots, const struct pool *pool)
{
	json_t *snaps = json_array(), *vols = json_array();
	size_t k;

	for (k = 0; k < snapshots->n; k++) {
		const struct db_snapshot *s = &snapshots->v[k];

		json_array_append_new(snaps, snapshot_object(d, i, s));
		json_array_append_new(vols, json_pack("{s:s, s:{}, s:s, s:s, s:o, s:o}", "description", "", "config", "name", s->name,
						      "content_type", "filesystem", "expires_at", js_time_unset(s->expires_at),
						      "created_at", js_time(s->created_at)));
	}
	return json_pack("{s:o, s:o, s:{s:s, s:s, s:s, s:{}, s:s, s:[], s:[s]}, s:o, s:o}", "container", instance_object(i), "snapshots", snaps,
			 "pool", "name", pool_name(pool), "driver", pool_driver(pool), "description", "", "config", "status", "Created",
			 "used_by", "locations", "none", "volume", volume_object(i), "volume_snapshots", vols);
}

int backup_index_write(struct lxmd *d, const struct instance *i, const struct db_snapshots *snapshots, struct lxm_buf *index,
		       struct lxm_buf *config, struct lxm_err *e)
{
	lxm_auto(pool_unref) struct pool *pool = NULL;
	lxm_auto(json) json_t *o = NULL, *top = NULL;
	json_t *names = json_array();
	size_t k;
	int r = storage_pool_get(d, i->row.pool, &pool, e);

	if (r < 0) {
		json_decref(names);
		return r;
	}
	for (k = 0; k < snapshots->n; k++)
		json_array_append_new(names, js_string(snapshots->v[k].name));
	o = config_object(d, i, snapshots, pool);
	top = json_pack("{s:s, s:s, s:s, s:s, s:b, s:b, s:o, s:O}", "name", i->row.name, "backend", pool_driver(pool), "pool", pool_name(pool),
			"type", "container", "optimized", 0, "optimized_header", 0, "snapshots", names, "config", o);
	yaml_emit(index, top);
	yaml_emit(config, o);
	return 0;
}
