/* snapshot, restore and publish, see verb.h. */
#include <stdio.h>
#include <string.h>

#include "lib/base/alloc.h"
#include "lxmc/entity.h"
#include "lxmc/json.h"
#include "lxmc/out.h"
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

/* Returns 1 if it was running and is stopped now, 0 if there was nothing to stop. */
static int stop_for_publish(struct client *c, const char *name, struct lxm_err *e)
{
	lxm_auto(json) json_t *o = NULL;
	lxm_auto(free) char *title = lxm_asprintf("Stopping %s", name);
	const char *status;
	int r;

	if (strchr(name, '/')) /* a snapshot does not run */
		return 0;
	r = client_get(c, client_url(c, "/1.0/instances/%s", name), &o, e);
	if (r < 0)
		return r;
	status = jtext(o, "status");
	if (strcmp(status, "Stopped") == 0)
		return 0;
	/* the server deletes it when it stops */
	if (json_is_true(json_object_get(o, "ephemeral")))
		return lxm_err_set(e, EINVAL, "'%s' is ephemeral: it would be gone once stopped; publish a snapshot of it", name);
	/* a frozen one cannot be asked */
	r = client_change_op(c, "PUT", client_url(c, "/1.0/instances/%s/state", name),
			     json_pack("{s:s, s:i, s:b}", "action", "stop", "timeout", -1, "force", strcmp(status, "Frozen") == 0),
			     title, NULL, e);
	return r < 0 ? r : 1;
}

static int start_again(struct client *c, const char *name, struct lxm_err *e)
{
	lxm_auto(free) char *title = lxm_asprintf("Starting %s", name);

	return client_change_op(c, "PUT", client_url(c, "/1.0/instances/%s/state", name),
				json_pack("{s:s, s:i}", "action", "start", "timeout", -1), title, NULL, e);
}

/* POST /1.0/images; with --force around a stop and a start. Takes body. */
static int publish(struct cli *cli, struct client *c, const char *name, json_t *body, json_t **op, struct lxm_err *e)
{
	lxm_auto(free) char *title = lxm_asprintf("Publishing %s", name);
	struct lxm_err again = { 0 };
	int stopped = cli_has(cli, "force") ? stop_for_publish(c, name, e) : 0, r;

	if (stopped < 0) {
		json_decref(body);
		return stopped;
	}
	r = client_change_op(c, "POST", client_url(c, "/1.0/images"), body, title, op, e);
	/* whatever became of the image: it ran before */
	if (stopped && start_again(c, name, &again) < 0) {
		if (r == 0)
			r = lxm_err_set(e, again.code, "the image is there, but '%s' does not start again: %s", name, again.msg);
		else
			out_error(again.msg);
	}
	return r;
}

int verb_publish(struct cli *cli, struct lxm_err *e)
{
	lxm_auto(json) json_t *op = NULL;
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
	r = publish(cli, c, name, body, &op, e);
	if (r < 0)
		return lxm_err_wrap(e, r, "publish '%s'", name);
	fingerprint = jtext(json_object_get(op, "metadata"), "fingerprint");
	if (cli->quiet)
		printf("%s\n", fingerprint);
	else
		printf("Instance published with fingerprint: %s\n", fingerprint);
	return 0;
}
