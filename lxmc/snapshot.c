/* snapshot, restore, copy, move and publish, see verb.h. Copies stay on one server so far. */
#include <stdio.h>
#include <string.h>

#include "lib/base/alloc.h"
#include "lxmc/entity.h"
#include "lxmc/json.h"
#include "lxmc/verb.h"

int verb_snapshot(struct cli *cli, struct lxm_err *e)
{
	lxm_auto(free) char *title = NULL;
	const char *name, *expires = cli_opt(cli, "expires-at", NULL);
	struct client *c;
	json_t *body;
	int r;

	r = cli_target(cli, cli->args[0], &c, &name, e);
	if (r < 0)
		return r;
	body = json_pack("{s:s, s:b}", "name", cli->n_args > 1 ? cli->args[1] : "", "stateful",
			 cli_has(cli, "stateful"));
	if (cli_has(cli, "no-expiry"))
		expires = "0001-01-01T00:00:00Z";
	if (expires)
		json_object_set_new(body, "expires_at", json_string(expires));
	title = lxm_asprintf("Taking a snapshot of %s", name);
	return client_change_op(c, "POST", client_url(c, "/1.0/instances/%s/snapshots", name), body, title, NULL, e);
}

int verb_restore(struct cli *cli, struct lxm_err *e)
{
	lxm_auto(free) char *title = NULL;
	const char *name;
	struct client *c;
	int r;

	r = cli_target(cli, cli->args[0], &c, &name, e);
	if (r < 0)
		return r;
	title = lxm_asprintf("Restoring %s from %s", name, cli->args[1]);
	return client_change_op(c, "PUT", client_url(c, "/1.0/instances/%s", name),
				json_pack("{s:s, s:b}", "restore", cli->args[1], "stateful", cli_has(cli, "stateful")),
				title, NULL, e);
}

/* What of the source goes into the request: everything but what belongs to the one instance only. */
static void keep_copyable(json_t *config)
{
	const char *key;
	json_t *v;
	void *tmp;

	json_object_foreach_safe(config, tmp, key, v)
		if (lxm_starts(key, "volatile.") && strcmp(key, "volatile.base_image") != 0)
			json_object_del(config, key);
}

static int copy_body(struct cli *cli, const json_t *from, const char *project, const char *source, const char *to,
		     json_t **body_out, struct lxm_err *e)
{
	lxm_auto(json) json_t *body = entity_writable(&entity_instance, from);
	json_t *profiles = json_array();
	const char *v;
	size_t at = 0;
	int r;

	keep_copyable(js_map(body, "config"));
	if (cli_has(cli, "ephemeral"))
		json_object_set_new(body, "ephemeral", json_true());
	while ((v = cli_next(cli, "profile", &at)))
		json_array_append_new(profiles, json_string(v));
	if (json_array_size(profiles) || cli_has(cli, "no-profiles"))
		json_object_set(body, "profiles", profiles);
	json_decref(profiles);
	at = 0;
	while ((v = cli_next(cli, "config", &at))) {
		r = entity_apply_args(js_map(body, "config"), &v, 1, e);
		if (r < 0)
			return r;
	}
	v = cli_opt(cli, "storage", NULL);
	if (v)
		json_object_set_new(js_map(body, "devices"), "root",
				    json_pack("{s:s, s:s, s:s}", "type", "disk", "path", "/", "pool", v));
	json_object_set_new(body, "name", json_string(to));
	json_object_set_new(body, "source",
			    json_pack("{s:s, s:s, s:s, s:b, s:b, s:b, s:b}", "type", "copy", "source", source, "project",
				      project, "instance_only", cli_has(cli, "instance-only"), "live",
				      cli_has(cli, "stateful"), "refresh", cli_has(cli, "refresh"), "allow_inconsistent",
				      cli_has(cli, "allow-inconsistent")));
	*body_out = LXM_TAKE(body, NULL);
	return 0;
}

static int same_server(struct cli *cli, struct client **c, const char **from, const char **to, struct lxm_err *e)
{
	struct client *dest;
	int r;

	r = cli_target(cli, cli->args[0], c, from, e);
	if (r == 0)
		r = cli_target(cli, cli->n_args > 1 ? cli->args[1] : "", &dest, to, e);
	if (r == 0 && *c != dest)
		return lxm_err_set(e, EOPNOTSUPP, "from '%s' to '%s': copies between servers are not possible yet",
				   cli->args[0], cli->args[1]);
	return r;
}

int verb_copy(struct cli *cli, struct lxm_err *e)
{
	lxm_auto(json) json_t *o = NULL;
	lxm_auto(free) char *title = NULL, *parent = NULL, *enc = NULL;
	const char *from, *to, *slash, *project = cli_opt(cli, "target-project", NULL);
	struct client *c;
	json_t *body = NULL;
	char *url;
	int r;

	r = same_server(cli, &c, &from, &to, e);
	if (r < 0)
		return r;
	slash = strchr(from, '/');
	parent = slash ? lxm_strndup(from, (size_t)(slash - from)) : NULL;
	r = client_get(c, slash ? client_url(c, "/1.0/instances/%s/snapshots/%s", parent, slash + 1) :
				  client_url(c, "/1.0/instances/%s", from), &o, e);
	if (r == 0)
		r = copy_body(cli, o, c->project ? c->project : "default", from, to, &body, e);
	if (r < 0)
		return r;
	title = lxm_asprintf("Copying %s", from);
	enc = project ? lxm_url_encode(project, NULL) : NULL;
	if (enc) /* not the client's own project */
		url = lxm_asprintf("/1.0/instances?project=%s", enc);
	else
		url = client_url(c, "/1.0/instances");
	r = client_change_op(c, "POST", url, body, title, NULL, e);
	return r < 0 ? lxm_err_wrap(e, r, "copy '%s' to '%s'", from, to) : 0;
}

int verb_move(struct cli *cli, struct lxm_err *e)
{
	const char *from, *to, *pool = cli_opt(cli, "storage", NULL), *project = cli_opt(cli, "target-project", NULL);
	lxm_auto(free) char *title = NULL;
	struct client *c;
	json_t *body;
	int r;

	r = same_server(cli, &c, &from, &to, e);
	if (r < 0)
		return r;
	if (!*to && !pool && !project)
		return cli_usage(e, "move wants a new name, --storage or --target-project");
	body = json_pack("{s:s}", "name", *to ? to : from);
	if (pool || project)
		json_object_set_new(body, "migration", json_true());
	if (pool)
		json_object_set_new(body, "pool", json_string(pool));
	if (project)
		json_object_set_new(body, "project", json_string(project));
	title = lxm_asprintf("Moving %s", from);
	return client_change_op(c, "POST", client_url(c, "/1.0/instances/%s", from), body, title, NULL, e);
}

int verb_publish(struct cli *cli, struct lxm_err *e)
{
	lxm_auto(json) json_t *op = NULL;
	lxm_auto(free) char *title = NULL;
	json_t *body, *aliases = json_array();
	const char *name, *v, *fingerprint;
	struct client *c;
	size_t at = 0;
	int r;

	body = json_pack("{s:{}, s:b, s:o}", "properties", "public", cli_has(cli, "public"), "aliases", aliases);
	while ((v = cli_next(cli, "alias", &at)))
		json_array_append_new(aliases, json_pack("{s:s}", "name", v));
	r = cli_target(cli, cli->args[0], &c, &name, e);
	if (r == 0)
		r = entity_apply_args(json_object_get(body, "properties"), cli->args + 1, cli->n_args - 1, e);
	if (r < 0) {
		json_decref(body);
		return r;
	}
	json_object_set_new(body, "source", json_pack("{s:s, s:s}", "type", strchr(name, '/') ? "snapshot" : "instance",
						      "name", name));
	title = lxm_asprintf("Publishing %s", name);
	r = client_change_op(c, "POST", client_url(c, "/1.0/images"), body, title, &op, e);
	if (r < 0)
		return lxm_err_wrap(e, r, "publish '%s'", name);
	fingerprint = jtext(json_object_get(op, "metadata"), "fingerprint");
	if (cli->quiet)
		printf("%s\n", fingerprint);
	else
		printf("Instance published with fingerprint: %s\n", fingerprint);
	return 0;
}
