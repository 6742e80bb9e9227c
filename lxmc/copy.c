/* copy and move, see verb.h: inside one server here, between two by transfer.h. */
#include <stdio.h>
#include <string.h>

#include "lib/base/alloc.h"
#include "lxmc/body.h"
#include "lxmc/entity.h"
#include "lxmc/json.h"
#include "lxmc/transfer.h"
#include "lxmc/verb.h"

/* What of the volatile keys still holds on another server, when the instance itself goes there. */
static bool moves_along(const char *key)
{
	return lxm_ends(key, ".hwaddr") || strcmp(key, "volatile.uuid") == 0 ||
	       strcmp(key, "volatile.cloud-init.instance-id") == 0;
}

/* What of the source goes into the request: everything but what belongs to the one instance only. */
static void keep_copyable(json_t *config, bool moving)
{
	const char *key;
	json_t *v;
	void *tmp;

	json_object_foreach_safe(config, tmp, key, v)
		if (lxm_starts(key, "volatile.") && strcmp(key, "volatile.base_image") != 0 && !(moving && moves_along(key)))
			json_object_del(config, key);
}

/* The body but its source. @dest: where it will be sent */
static int copy_body(struct cli *cli, struct client *dest, const json_t *from, const char *to, bool moving, json_t **body_out,
		     struct lxm_err *e)
{
	lxm_auto(json) json_t *body = entity_writable(&entity_instance, from);
	const char *v = cli_opt(cli, "storage", NULL);
	int r;

	keep_copyable(js_map(body, "config"), moving);
	json_object_del(body, "expires_at"); /* of a snapshot */
	if (cli_has(cli, "ephemeral"))
		json_object_set_new(body, "ephemeral", json_true());
	body_add_profiles(cli, body);
	r = body_add_config(cli, body, e);
	if (r == 0 && v)
		json_object_set_new(js_map(body, "devices"), "root",
				    json_pack("{s:s, s:s, s:s}", "type", "disk", "path", "/", "pool", v));
	if (r == 0)
		r = body_add_devices(cli, dest, body, e);
	if (r < 0)
		return r;
	json_object_set_new(body, "name", json_string(to));
	*body_out = LXM_TAKE(body, NULL);
	return 0;
}

/* Source and target of the command, and what the source is now. */
struct pair {
	struct client *from, *to;
	const char *source, *name; /* name "" if none is given */
	json_t *object;
};

static int read_pair(struct cli *cli, struct pair *p, struct lxm_err *e)
{
	lxm_auto(free) char *parent = NULL;
	const char *slash;
	int r;

	r = cli_target(cli, cli->args[0], &p->from, &p->source, e);
	if (r == 0)
		r = cli_target(cli, cli->n_args > 1 ? cli->args[1] : "", &p->to, &p->name, e);
	if (r < 0)
		return r;
	if (!*p->source)
		return cli_usage(e, "'%s' names no instance", cli->args[0]);
	slash = strchr(p->source, '/');
	parent = slash ? lxm_strndup(p->source, (size_t)(slash - p->source)) : NULL;
	return client_get(p->from, slash ? client_url(p->from, "/1.0/instances/%s/snapshots/%s", parent, slash + 1) :
					   client_url(p->from, "/1.0/instances/%s", p->source),
			  &p->object, e);
}

/* Requests for the target go into --target-project. */
static void use_target_project(struct cli *cli, struct client *c)
{
	const char *project = cli_opt(cli, "target-project", NULL);

	if (project) {
		free(c->project);
		c->project = lxm_strdup(project);
	}
}

static int copy_inside(struct cli *cli, struct pair *p, struct lxm_err *e)
{
	lxm_auto(free) char *title = lxm_asprintf("Copying %s", p->source);
	const char *project = p->from->project ? p->from->project : "default";
	json_t *body = NULL, *source;
	int r;

	source = json_pack("{s:s, s:s, s:s, s:b, s:b, s:b, s:b}", "type", "copy", "source", p->source, "project", project,
			   "instance_only", cli_has(cli, "instance-only"), "live", cli_has(cli, "stateful"), "refresh",
			   cli_has(cli, "refresh"), "allow_inconsistent", cli_has(cli, "allow-inconsistent"));
	use_target_project(cli, p->to);
	r = copy_body(cli, p->to, p->object, p->name, false, &body, e);
	if (r < 0) {
		json_decref(source);
		return r;
	}
	json_object_set_new(body, "source", source);
	r = client_change_op(p->to, "POST", client_url(p->to, "/1.0/instances"), body, title, NULL, e);
	return r < 0 ? lxm_err_wrap(e, r, "copy '%s' to '%s'", p->source, p->name) : 0;
}

static int copy_between(struct cli *cli, struct pair *p, bool moving, struct lxm_err *e)
{
	struct transfer t = { .cli = cli, .from = p->from, .to = p->to, .source = p->source, .title = "Copying" };
	const char *mode = cli_opt(cli, "mode", "");
	lxm_auto(json) json_t *body = NULL;
	int r;

	t.refresh = cli_has(cli, "refresh");
	t.instance_only = cli_has(cli, "instance-only");
	t.live = cli_has(cli, "stateful") && !cli_has(cli, "stateless");
	t.allow_inconsistent = cli_has(cli, "allow-inconsistent");
	t.title = moving ? "Moving" : "Copying";
	if (strchr(p->source, '/') && !*p->name)
		return cli_usage(e, "a copy of a snapshot wants a name");
	t.name = *p->name ? p->name : p->source;
	r = transfer_mode(mode, &t.mode, e);
	if (r < 0)
		return r;
	use_target_project(cli, p->to);
	r = copy_body(cli, p->to, p->object, t.name, moving, &body, e);
	if (r == 0)
		r = transfer_instance(&t, body, e);
	return r < 0 && !cli_is_usage(e) ? lxm_err_wrap(e, r, "copy '%s' to '%s'", cli->args[0], cli->args[1]) : r;
}

/* Both sides may be one server that is known by two names. */
static int copy_any(struct cli *cli, struct pair *p, struct lxm_err *e)
{
	bool same = p->from == p->to;
	int r = same ? 0 : transfer_same_server(p->from, p->to, &same, e);

	if (r < 0)
		return r;
	if (!same)
		return copy_between(cli, p, false, e);
	if (!*p->name && p->from != p->to)
		p->name = p->source;
	return copy_inside(cli, p, e);
}

int verb_copy(struct cli *cli, struct lxm_err *e)
{
	struct pair p = { 0 };
	int r = read_pair(cli, &p, e);

	if (r == 0)
		r = copy_any(cli, &p, e);
	json_decref(p.object);
	return r;
}

static int move_inside(struct cli *cli, struct pair *p, struct lxm_err *e)
{
	const char *pool = cli_opt(cli, "storage", NULL), *project = cli_opt(cli, "target-project", NULL);
	lxm_auto(free) char *title = lxm_asprintf("Moving %s", p->source);
	json_t *body;

	if (!*p->name && !pool && !project)
		return cli_usage(e, "move wants a new name, --storage or --target-project");
	body = json_pack("{s:s}", "name", *p->name ? p->name : p->source);
	if (pool || project)
		json_object_set_new(body, "migration", json_true());
	if (pool)
		json_object_set_new(body, "pool", json_string(pool));
	if (project)
		json_object_set_new(body, "project", json_string(project));
	return client_change_op(p->from, "POST", client_url(p->from, "/1.0/instances/%s", p->source), body, title, NULL, e);
}

/* Copy, and then delete the source: only once everything is there. */
static int move_between(struct cli *cli, struct pair *p, struct lxm_err *e)
{
	bool same = false;
	int r = transfer_same_server(p->from, p->to, &same, e);

	if (r < 0)
		return r;
	if (strchr(p->source, '/'))
		return cli_usage(e, "snapshots are copied, not moved");
	if (!same && strcmp(jtext(p->object, "status"), "Stopped") != 0 && !cli_has(cli, "stateful"))
		return lxm_err_set(e, EBUSY, "instance '%s' is %s; stop it before it moves to another server", p->source,
				   jtext(p->object, "status"));
	if (same) {
		p->name = *p->name ? p->name : p->source;
		return move_inside(cli, p, e);
	}
	r = copy_between(cli, p, true, e);
	if (r < 0)
		return r;
	r = client_change(p->from, "DELETE", client_url(p->from, "/1.0/instances/%s", p->source), NULL, e);
	return r < 0 ? lxm_err_wrap(e, r, "'%s' was copied, but the source cannot be deleted", cli->args[0]) : 0;
}

int verb_move(struct cli *cli, struct lxm_err *e)
{
	struct pair p = { 0 };
	int r = read_pair(cli, &p, e);

	if (r == 0)
		r = p.from == p.to ? move_inside(cli, &p, e) : move_between(cli, &p, e);
	json_decref(p.object);
	return r;
}
