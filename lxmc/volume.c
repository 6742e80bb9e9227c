/* Custom volumes: their life, copies, snapshots, and how instances and profiles get them, see verb.h. */
#include <stdio.h>
#include <string.h>

#include "lib/base/alloc.h"
#include "lxmc/entity.h"
#include "lxmc/json.h"
#include "lxmc/out.h"
#include "lxmc/verb.h"

#define ONE "/1.0/storage-pools/%s/volumes/custom/%s"

static int say(const struct cli *cli, int r, const char *what, const char *name)
{
	if (r == 0 && !cli->quiet)
		printf("Storage volume %s %s\n", name, what);
	return r;
}

int verb_volume_create(struct cli *cli, struct lxm_err *e)
{
	lxm_auto(json) json_t *body = json_pack("{s:s, s:s, s:s, s:{}}", "name", cli->args[1], "type", "custom", "content_type",
						cli_opt(cli, "type", "filesystem"), "config");
	const char *pool, *text = cli_opt(cli, "description", NULL);
	struct client *c;
	int r = cli_target(cli, cli->args[0], &c, &pool, e);

	if (text)
		json_object_set_new(body, "description", json_string(text));
	if (r == 0)
		r = entity_apply_args(js_map(body, "config"), cli->args + 2, cli->n_args - 2, e);
	if (r == 0)
		r = client_change(c, "POST", client_url(c, "/1.0/storage-pools/%s/volumes/custom", pool), json_incref(body), e);
	return say(cli, r, "created", cli->args[1]);
}

/* The request path of "VOLUME" or "VOLUME/SNAPSHOT"; free() it. */
static char *volume_path(const struct client *c, const char *pool, const char *name)
{
	const char *slash = strchr(name, '/');
	lxm_auto(free) char *volume = slash ? lxm_strndup(name, (size_t)(slash - name)) : NULL;

	return slash ? client_url(c, ONE "/snapshots/%s", pool, volume, slash + 1) : client_url(c, ONE, pool, name);
}

int verb_volume_delete(struct cli *cli, struct lxm_err *e)
{
	const char *pool;
	struct client *c;
	int r = cli_target(cli, cli->args[0], &c, &pool, e);

	if (r == 0)
		r = client_change(c, "DELETE", volume_path(c, pool, cli->args[1]), NULL, e);
	return say(cli, r, "deleted", cli->args[1]);
}

int verb_volume_rename(struct cli *cli, struct lxm_err *e)
{
	const char *pool, *from = cli->args[1], *to = cli->args[2], *slash = strchr(from, '/');
	struct client *c;
	int r = cli_target(cli, cli->args[0], &c, &pool, e);

	if (r < 0)
		return r;
	/* a snapshot's new name may be given with or without its volume's */
	if (slash && strncmp(from, to, (size_t)(slash - from) + 1) == 0)
		to += slash - from + 1;
	r = client_change(c, "POST", volume_path(c, pool, from), json_pack("{s:s}", "name", to), e);
	return say(cli, r, "renamed", from);
}

/* ---- copy and move: POOL/VOLUME POOL/VOLUME, on one server */

struct place {
	struct client *c;
	char *pool;	    /* owned */
	const char *volume; /* of a source also "VOLUME/SNAPSHOT" */
};

static int read_place(struct cli *cli, const char *arg, struct place *p, struct lxm_err *e)
{
	const char *name, *slash;
	int r = cli_target(cli, arg, &p->c, &name, e);

	if (r < 0)
		return r;
	slash = strchr(name, '/');
	if (!slash || slash == name || !slash[1])
		return cli_usage(e, "'%s' is not POOL/VOLUME", arg);
	p->pool = lxm_strndup(name, (size_t)(slash - name));
	p->volume = slash + 1;
	return 0;
}

static int read_places(struct cli *cli, struct place *from, struct place *to, struct lxm_err *e)
{
	int r = read_place(cli, cli->args[0], from, e);

	if (r == 0)
		r = read_place(cli, cli->args[1], to, e);
	if (r == 0 && from->c != to->c)
		r = lxm_err_set(e, EOPNOTSUPP, "volumes are copied and moved on one server only");
	return r;
}

static int copy(struct cli *cli, const struct place *from, const struct place *to, struct lxm_err *e)
{
	lxm_auto(free) char *title = lxm_asprintf("Copying %s", from->volume);
	const char *own = from->c->project ? from->c->project : "default", *project = cli_opt(cli, "target-project", own);
	json_t *body = json_pack("{s:s, s:s, s:{s:s, s:s, s:s, s:s, s:b, s:b}}", "name", to->volume, "type", "custom", "source", "type",
				 "copy", "name", from->volume, "pool", from->pool, "project", own, "volume_only",
				 cli_has(cli, "volume-only"), "refresh", cli_has(cli, "refresh"));
	lxm_auto(free) char *was = lxm_strdup(own);
	int r;

	/* the request goes to the project where the copy shall be */
	free(to->c->project);
	to->c->project = lxm_strdup(project);
	r = client_change_op(to->c, "POST", client_url(to->c, "/1.0/storage-pools/%s/volumes/custom", to->pool), body, title, NULL, e);
	free(to->c->project);
	to->c->project = LXM_TAKE(was, NULL);
	return r;
}

int verb_volume_copy(struct cli *cli, struct lxm_err *e)
{
	struct place from = { 0 }, to = { 0 };
	int r = read_places(cli, &from, &to, e);

	if (r == 0)
		r = copy(cli, &from, &to, e);
	free(from.pool);
	free(to.pool);
	return say(cli, r, "copied", cli->args[0]);
}

int verb_volume_move(struct cli *cli, struct lxm_err *e)
{
	lxm_auto(free) char *title = lxm_asprintf("Moving %s", cli->args[0]);
	const char *project = cli_opt(cli, "target-project", NULL);
	struct place from = { 0 }, to = { 0 };
	int r = read_places(cli, &from, &to, e);
	json_t *body;

	if (r == 0) {
		body = json_pack("{s:s, s:s}", "name", to.volume, "pool", to.pool);
		if (project)
			json_object_set_new(body, "project", json_string(project));
		r = client_change_op(from.c, "POST", volume_path(from.c, from.pool, from.volume), body, title, NULL, e);
	}
	free(from.pool);
	free(to.pool);
	return say(cli, r, "moved", cli->args[0]);
}

/* ---- snapshots */

int verb_volume_snapshot(struct cli *cli, struct lxm_err *e)
{
	const char *pool, *expires = cli_has(cli, "no-expiry") ? "0001-01-01T00:00:00Z" : cli_opt(cli, "expires-at", NULL);
	lxm_auto(free) char *title = lxm_asprintf("Taking a snapshot of %s", cli->args[1]);
	struct client *c;
	json_t *body;
	int r = cli_target(cli, cli->args[0], &c, &pool, e);

	if (r < 0)
		return r;
	body = json_pack("{s:s}", "name", cli->n_args > 2 ? cli->args[2] : "");
	if (expires)
		json_object_set_new(body, "expires_at", json_string(expires));
	return client_change_op(c, "POST", client_url(c, ONE "/snapshots", pool, cli->args[1]), body, title, NULL, e);
}

int verb_volume_restore(struct cli *cli, struct lxm_err *e)
{
	const char *pool;
	struct client *c;
	int r = cli_target(cli, cli->args[0], &c, &pool, e);

	return r < 0 ? r : client_change(c, "PUT", client_url(c, ONE, pool, cli->args[1]), json_pack("{s:s}", "restore", cli->args[2]), e);
}

int verb_volume_info(struct cli *cli, struct lxm_err *e)
{
	lxm_auto(json) json_t *o = NULL, *state = NULL, *snaps = NULL;
	lxm_auto(table) struct table t = { 0 };
	const char *pool;
	struct client *c;
	json_t *item;
	size_t i;
	int r = cli_target(cli, cli->args[0], &c, &pool, e);

	if (r == 0)
		r = client_get(c, client_url(c, ONE, pool, cli->args[1]), &o, e);
	if (r == 0)
		r = client_get(c, client_url(c, ONE "/snapshots?recursion=1", pool, cli->args[1]), &snaps, e);
	if (r < 0)
		return r;
	printf("Name: %s\nType: %s\nContent type: %s\n", jtext(o, "name"), jtext(o, "type"), jtext(o, "content_type"));
	/* what a driver cannot tell is left out */
	if (client_get(c, client_url(c, ONE "/state", pool, cli->args[1]), &state, NULL) == 0) {
		lxm_auto(free) char *used = lxm_format_bytes((uint64_t)jint(json_object_get(state, "usage"), "used"));

		printf("Usage: %s\n", used);
	}
	if (!json_array_size(snaps))
		return 0;
	table_head(&t, "NAME");
	table_head(&t, "CREATED AT");
	table_head(&t, "EXPIRES AT");
	json_array_foreach(snaps, i, item) {
		const char *name = jtext(item, "name"), *slash = strchr(name, '/'), *expires = jtext(item, "expires_at");

		table_cell(&t, slash ? slash + 1 : name);
		table_cell(&t, jtext(item, "created_at"));
		table_cell(&t, lxm_starts(expires, "0001-") ? "" : expires);
	}
	printf("Snapshots:\n");
	return out_list(cli, &t, snaps, e);
}

/* ---- attach and detach: verb->data is the kind of object that has the device */

struct attach {
	const char *pool, *volume, *device, *path;
};

static int do_attach(json_t *o, void *arg, struct lxm_err *e)
{
	struct attach *a = arg;
	json_t *devices = js_map(o, "devices");

	if (json_object_get(devices, a->device))
		return lxm_err_set(e, EEXIST, "there is a device '%s' already", a->device);
	json_object_set_new(devices, a->device,
			    json_pack("{s:s, s:s, s:s, s:s}", "type", "disk", "pool", a->pool, "source", a->volume, "path", a->path));
	return 0;
}

/* Of that name or, without one, the only device that shows the volume. */
static int do_detach(json_t *o, void *arg, struct lxm_err *e)
{
	struct attach *a = arg;
	const char *name, *found = NULL;
	json_t *d;

	json_object_foreach(json_object_get(o, "devices"), name, d) {
		if (strcmp(jtext(d, "type"), "disk") != 0 || strcmp(jtext(d, "pool"), a->pool) != 0 ||
		    strcmp(jtext(d, "source"), a->volume) != 0 || (a->device && strcmp(a->device, name) != 0))
			continue;
		if (found)
			return lxm_err_set(e, EINVAL, "more than one device shows volume '%s': name the one", a->volume);
		found = name;
	}
	if (!found)
		return lxm_err_set(e, ENOENT, "no device shows volume '%s'", a->volume);
	return json_object_del(json_object_get(o, "devices"), found);
}

static int change(struct cli *cli, entity_edit_fn fn, struct attach *a, struct lxm_err *e)
{
	const struct entity *ent = cli->verb->data;
	lxm_auto(free) char *url = NULL;
	struct client *c;
	int r = cli_target(cli, cli->args[0], &c, &a->pool, e);

	if (r < 0)
		return r;
	a->volume = cli->args[1];
	url = client_url(c, ent->one, cli->args[2]);
	return entity_change(c, ent, url, fn, a, e);
}

int verb_volume_attach(struct cli *cli, struct lxm_err *e)
{
	struct attach a = { .device = cli->args[cli->n_args > 4 ? 3 : 1], .path = cli->args[cli->n_args > 4 ? 4 : 3] };

	return change(cli, do_attach, &a, e);
}

int verb_volume_detach(struct cli *cli, struct lxm_err *e)
{
	struct attach a = { .device = cli->n_args > 3 ? cli->args[3] : NULL };

	return change(cli, do_detach, &a, e);
}
