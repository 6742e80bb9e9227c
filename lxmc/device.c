/* Devices of an instance or a profile (verb->data says which), see verb.h. */
#include <stdio.h>
#include <string.h>

#include "lib/base/alloc.h"
#include "lxmc/entity.h"
#include "lxmc/json.h"
#include "lxmc/out.h"
#include "lxmc/verb.h"

/* The device of the second argument in the object's own devices; NULL with e filled if it is not there. */
static json_t *own_device(struct cli *cli, const json_t *o, const char *name, struct lxm_err *e)
{
	const struct entity *ent = cli->verb->data;
	json_t *d = json_object_get(json_object_get(o, "devices"), name);

	if (d)
		return d;
	if (json_object_get(json_object_get(o, "expanded_devices"), name))
		lxm_err_set(e, ENOENT,
			    "device '%s' of instance '%s' comes from a profile; 'lxmc config device override' makes an own copy",
			    name, cli->args[0]);
	else
		lxm_err_set(e, ENOENT, "%s '%s' has no device '%s'", ent->noun, cli->args[0], name);
	return NULL;
}

/* What the edits below get: the command line, and KEY=VALUE arguments read once (a value may come from stdin). */
struct device_change {
	struct cli *cli;
	json_t *keys;
};

/* @first_key  which argument is the first KEY=VALUE, 0 for none */
static int change(struct cli *cli, entity_edit_fn fn, size_t first_key, struct lxm_err *e)
{
	const struct entity *ent = cli->verb->data;
	lxm_auto(json) json_t *keys = json_object();
	struct device_change dc = { cli, keys };
	lxm_auto(free) char *url = NULL;
	struct client *c;
	const char *name;
	int r = cli_target(cli, cli->args[0], &c, &name, e);

	if (r == 0 && first_key && cli->n_args > first_key)
		r = entity_apply_args(keys, cli->args + first_key, cli->n_args - first_key, e);
	if (r < 0)
		return r;
	url = client_url(c, ent->one, name);
	return entity_change(c, ent, url, fn, &dc, e);
}

static int say(const struct cli *cli, int r, const char *name, const char *what)
{
	if (r == 0 && !cli->quiet)
		printf("Device %s %s\n", name, what);
	return r;
}

static int do_add(json_t *o, void *arg, struct lxm_err *e)
{
	struct device_change *dc = arg;
	struct cli *cli = dc->cli;
	const struct entity *ent = cli->verb->data;
	json_t *devices = js_map(o, "devices"), *d;

	if (json_object_get(devices, cli->args[1]))
		return lxm_err_set(e, EEXIST, "%s '%s' has a device '%s' already", ent->noun, cli->args[0], cli->args[1]);
	d = json_object();
	json_object_set_new(devices, cli->args[1], d);
	json_object_set_new(d, "type", json_string(cli->args[2]));
	return json_object_update(d, dc->keys);
}

int verb_device_add(struct cli *cli, struct lxm_err *e)
{
	return say(cli, change(cli, do_add, 3, e), cli->args[1], "added");
}

static int do_remove(json_t *o, void *arg, struct lxm_err *e)
{
	struct device_change *dc = arg;
	struct cli *cli = dc->cli;
	size_t i;

	for (i = 1; i < cli->n_args; i++) {
		if (!own_device(cli, o, cli->args[i], e))
			return -ENOENT;
		json_object_del(json_object_get(o, "devices"), cli->args[i]);
	}
	return 0;
}

int verb_device_remove(struct cli *cli, struct lxm_err *e)
{
	int r = change(cli, do_remove, 0, e);
	size_t i;

	for (i = 1; i < cli->n_args; i++)
		say(cli, r, cli->args[i], "removed");
	return r;
}

static int do_set(json_t *o, void *arg, struct lxm_err *e)
{
	struct device_change *dc = arg;
	struct cli *cli = dc->cli;
	json_t *d = own_device(cli, o, cli->args[1], e);

	return d ? json_object_update(d, dc->keys) : -ENOENT;
}

int verb_device_set(struct cli *cli, struct lxm_err *e)
{
	return change(cli, do_set, 2, e);
}

static int do_unset(json_t *o, void *arg, struct lxm_err *e)
{
	struct device_change *dc = arg;
	struct cli *cli = dc->cli;
	json_t *d = own_device(cli, o, cli->args[1], e);

	if (!d)
		return -ENOENT;
	if (json_object_del(d, cli->args[2]) < 0)
		return lxm_err_set(e, ENOENT, "key '%s' is not set on device '%s'", cli->args[2], cli->args[1]);
	return 0;
}

int verb_device_unset(struct cli *cli, struct lxm_err *e)
{
	return change(cli, do_unset, 0, e);
}

static int do_override(json_t *o, void *arg, struct lxm_err *e)
{
	struct device_change *dc = arg;
	struct cli *cli = dc->cli;
	json_t *from = json_object_get(json_object_get(o, "expanded_devices"), cli->args[1]), *d;
	json_t *devices = js_map(o, "devices");

	if (json_object_get(devices, cli->args[1]))
		return lxm_err_set(e, EEXIST, "instance '%s' has its own device '%s' already", cli->args[0],
				   cli->args[1]);
	if (!from)
		return lxm_err_set(e, ENOENT, "no profile of instance '%s' has a device '%s'", cli->args[0],
				   cli->args[1]);
	d = json_deep_copy(from);
	json_object_set_new(devices, cli->args[1], d);
	return json_object_update(d, dc->keys);
}

int verb_device_override(struct cli *cli, struct lxm_err *e)
{
	return say(cli, change(cli, do_override, 2, e), cli->args[1], "overridden");
}

/* GET for the verbs that only look. */
static int look(struct cli *cli, json_t **out, struct lxm_err *e)
{
	const struct entity *ent = cli->verb->data;
	struct client *c;
	const char *name;
	int r = cli_target(cli, cli->args[0], &c, &name, e);

	return r < 0 ? r : client_get(c, client_url(c, ent->one, name), out, e);
}

int verb_device_get(struct cli *cli, struct lxm_err *e)
{
	lxm_auto(json) json_t *o = NULL;
	const json_t *d;
	const char *text;
	int r = look(cli, &o, e);

	if (r < 0)
		return r;
	d = json_object_get(json_object_get(o, "devices"), cli->args[1]);
	if (!d)
		d = json_object_get(json_object_get(o, "expanded_devices"), cli->args[1]);
	if (!d)
		return own_device(cli, o, cli->args[1], e) ? 0 : -ENOENT;
	text = jtext(d, cli->args[2]);
	out_text(text, strlen(text));
	putchar('\n');
	return 0;
}

int verb_device_list(struct cli *cli, struct lxm_err *e)
{
	lxm_auto(json) json_t *o = NULL;
	const char *name;
	json_t *d;
	int r = look(cli, &o, e);

	if (r < 0)
		return r;
	json_object_foreach(json_object_get(o, "devices"), name, d) {
		lxm_auto(free) char *safe = out_safe(name);

		printf("%s\n", safe);
	}
	return 0;
}

int verb_device_show(struct cli *cli, struct lxm_err *e)
{
	lxm_auto(json) json_t *o = NULL;
	const json_t *d;
	int r = look(cli, &o, e);

	if (r < 0)
		return r;
	d = json_object_get(o, cli_has(cli, "expanded") ? "expanded_devices" : "devices");
	return d ? out_object(cli, d, NULL, e) : 0;
}
