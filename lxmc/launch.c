/* init and launch, see verb.h: the request is put together from flags and YAML, then sent, then started. */
#include <stdio.h>
#include <string.h>

#include "lib/base/alloc.h"
#include "lib/base/fd.h"
#include "lxmc/body.h"
#include "lxmc/edit.h"
#include "lxmc/image.h"
#include "lxmc/json.h"
#include "lxmc/verb.h"

#define CONFIG_MAX ((size_t)4 << 20)

/* The YAML to start from: --config-file, else stdin if that is a file or a pipe. */
static int base_yaml(struct cli *cli, json_t **out, struct lxm_err *e)
{
	const char *file = cli_opt(cli, "config-file", NULL);
	lxm_auto(buf) struct lxm_buf buf = { 0 };
	lxm_auto(free) char *text = NULL;
	size_t n;
	int r;

	*out = NULL;
	if (file && strcmp(file, "-") != 0) {
		r = lxm_read_file(file, CONFIG_MAX, &buf);
		if (r < 0) {
			errno = -r;
			return lxm_err_sys(e, "read '%s'", file);
		}
		r = yaml_body(buf.data ? buf.data : "", buf.len, out, e);
		if (r == 0)
			r = entity_check_keys(&entity_instance, *out, e);
		return r < 0 ? lxm_err_wrap(e, r, "'%s'", file) : 0;
	}
	if (!file && !edit_stdin_has_data())
		return 0;
	r = read_stdin(&text, &n, e);
	if (r == 0)
		r = yaml_body(text, n, out, e);
	if (r == 0)
		r = entity_check_keys(&entity_instance, *out, e);
	return r < 0 ? lxm_err_wrap(e, r, "stdin") : 0;
}

static void set_text(json_t *o, const char *key, const char *value)
{
	json_object_set_new(o, key, json_string(value));
}

void body_add_profiles(struct cli *cli, json_t *body)
{
	json_t *list = json_array();
	const char *v;
	size_t at = 0;

	while ((v = cli_next(cli, "profile", &at)))
		json_array_append_new(list, json_string(v));
	if (json_array_size(list) || cli_has(cli, "no-profiles"))
		json_object_set_new(body, "profiles", list);
	else
		json_decref(list);
}

/* A device as the profiles define it (so that --device changes only what it names); new reference, maybe empty. */
static json_t *device_of_profiles(struct client *c, const json_t *body, const char *name)
{
	json_t *profiles = json_object_get(body, "profiles"), *p, *found = NULL;
	lxm_auto(json) json_t *dflt = json_pack("[s]", "default");
	size_t i;

	json_array_foreach(json_is_array(profiles) ? profiles : dflt, i, p) {
		lxm_auto(json) json_t *o = NULL;
		json_t *d;

		if (client_get(c, client_url(c, "/1.0/profiles/%s", json_string_value(p) ? json_string_value(p) : ""),
			       &o, NULL) < 0)
			continue;
		d = json_object_get(json_object_get(o, "devices"), name);
		if (!d)
			continue;
		json_decref(found);
		found = json_incref(d);
	}
	return found ? found : json_object();
}

/* "-d eth0,ipv4.address=10.0.0.5,mtu=1400" */
int body_add_devices(struct cli *cli, struct client *c, json_t *body, struct lxm_err *e)
{
	json_t *devices = js_map(body, "devices");
	const char *v;
	size_t at = 0, i;

	while ((v = cli_next(cli, "device", &at))) {
		lxm_auto(strv) struct lxm_strv parts = { 0 };
		json_t *d;

		lxm_strv_split(&parts, v, ',');
		if (parts.n < 2 || strchr(parts.v[0], '='))
			return cli_usage(e, "'%s' is not DEVICE,KEY=VALUE", v);
		d = json_object_get(devices, parts.v[0]);
		if (!d) {
			d = device_of_profiles(c, body, parts.v[0]);
			json_object_set_new(devices, parts.v[0], d);
		}
		for (i = 1; i < parts.n; i++) {
			char *eq = strchr(parts.v[i], '=');

			if (!eq || eq == parts.v[i])
				return cli_usage(e, "'%s' in --device %s is not KEY=VALUE", parts.v[i], v);
			*eq = 0;
			set_text(d, parts.v[i], eq + 1);
		}
	}
	return 0;
}

static int add_network(struct client *c, json_t *body, const char *network, struct lxm_err *e)
{
	lxm_auto(json) json_t *o = NULL;
	json_t *nic;
	int r;

	r = client_get(c, client_url(c, "/1.0/networks/%s", network), &o, e);
	if (r < 0)
		return r;
	if (jtrue(o, "managed"))
		nic = json_pack("{s:s, s:s, s:s}", "type", "nic", "name", "eth0", "network", network);
	else
		nic = json_pack("{s:s, s:s, s:s, s:s}", "type", "nic", "name", "eth0", "nictype",
				strcmp(jtext(o, "type"), "bridge") == 0 ? "bridged" : "macvlan", "parent", network);
	json_object_set_new(js_map(body, "devices"), "eth0", nic);
	return 0;
}

int body_add_config(struct cli *cli, json_t *body, struct lxm_err *e)
{
	json_t *config = js_map(body, "config");
	const char *v;
	size_t at = 0;

	while ((v = cli_next(cli, "config", &at))) {
		int r = entity_apply_args(config, &v, 1, e);

		if (r < 0)
			return r;
	}
	return 0;
}

static int build_body(struct cli *cli, struct client *c, const char *name, json_t **body_out, struct lxm_err *e)
{
	lxm_auto(json) json_t *body = NULL;
	const char *v;
	int r;

	r = base_yaml(cli, &body, e);
	if (r < 0)
		return r;
	if (!body)
		body = json_object();
	if (*name)
		set_text(body, "name", name);
	r = body_add_config(cli, body, e);
	if (r == 0)
		body_add_profiles(cli, body);
	if (r == 0 && cli_opt(cli, "network", NULL))
		r = add_network(c, body, cli_opt(cli, "network", ""), e);
	if (r < 0)
		return r;
	v = cli_opt(cli, "storage", NULL);
	if (v)
		json_object_set_new(js_map(body, "devices"), "root",
				    json_pack("{s:s, s:s, s:s}", "type", "disk", "path", "/", "pool", v));
	r = body_add_devices(cli, c, body, e);
	if (r < 0)
		return r;
	v = cli_opt(cli, "type", NULL);
	if (v)
		set_text(body, "instance_type", v);
	v = cli_opt(cli, "description", NULL);
	if (v)
		set_text(body, "description", v);
	if (cli_has(cli, "ephemeral"))
		json_object_set_new(body, "ephemeral", json_true());
	set_text(body, "type", "container");
	*body_out = LXM_TAKE(body, NULL);
	return 0;
}

/* The name that the server gave: the last segment of the operation's first instance. */
static char *created_name(const json_t *op)
{
	const json_t *resources = json_object_get(op, "resources");
	json_t *list = json_object_get(resources, "instances");
	const char *url = json_string_value(json_array_get(list ? list : json_object_get(resources, "containers"), 0));
	const char *slash = url ? strrchr(url, '/') : NULL;

	return slash ? lxm_url_decode(slash + 1, strcspn(slash + 1, "?"), false) : NULL;
}

/* The profiles of a new project are empty: what the server says of that, with what helps here. */
static int no_root_disk(struct lxm_err *e, int r)
{
	size_t n = strlen(e->msg);

	if (strstr(e->msg, "has no root disk"))
		snprintf(e->msg + n, sizeof(e->msg) - n, "; '-s POOL' gives it one");
	return r;
}

/* Creates; *name_out is the name (free() it), *client_out where. */
static int create(struct cli *cli, struct client **client_out, char **name_out, struct lxm_err *e)
{
	bool empty = cli_has(cli, "empty");
	const char *image = empty ? "" : cli->args[0], *name;
	const char *target = cli->n_args > (empty ? 0u : 1u) ? cli->args[empty ? 0 : 1] : "";
	lxm_auto(json) json_t *body = NULL, *source = NULL, *op = NULL;
	lxm_auto(free) char *title = NULL;
	int r;

	if (!empty && !cli->n_args)
		return cli_usage(e, "%s wants an image or a template; see 'lxmc image list' and 'lxmc template list'",
				 cli->verb->name);
	if (empty && cli->n_args > 1)
		return cli_usage(e, "with --empty there is no image, only a name");
	r = cli_target(cli, target, client_out, &name, e);
	if (r == 0)
		r = build_body(cli, *client_out, name, &body, e);
	if (r == 0)
		r = empty ? (source = json_pack("{s:s}", "type", "none"), 0) :
			    image_source(cli, *client_out, image, &source, e);
	if (r < 0)
		return r;
	json_object_set(body, "source", source);
	title = *name ? lxm_asprintf("Creating %s", name) : lxm_strdup("Creating the instance");
	r = client_change_op(*client_out, "POST", client_url(*client_out, "/1.0/instances"), json_incref(body), title,
			     &op, e);
	if (r < 0)
		return no_root_disk(e, *name ? client_tried(e, r, "create instance", name) : r);
	*name_out = *name ? lxm_strdup(name) : created_name(op);
	if (!*name_out)
		return lxm_err_set(e, EPROTO, "the server does not say what it called the new instance");
	if (cli->quiet)
		printf("%s\n", *name_out);
	else if (!*name)
		printf("Instance name is: %s\n", *name_out);
	return 0;
}

int verb_init(struct cli *cli, struct lxm_err *e)
{
	lxm_auto(free) char *name = NULL;
	struct client *c;

	return create(cli, &c, &name, e);
}

int verb_launch(struct cli *cli, struct lxm_err *e)
{
	lxm_auto(free) char *name = NULL, *title = NULL;
	struct client *c;
	json_t *body;
	int r;

	r = create(cli, &c, &name, e);
	if (r < 0)
		return r;
	title = lxm_asprintf("Starting %s", name);
	body = json_pack("{s:s, s:i, s:b}", "action", "start", "timeout", -1, "force", 0);
	r = client_change_op(c, "PUT", client_url(c, "/1.0/instances/%s/state", name), body, title, NULL, e);
	if (r < 0)
		return lxm_err_wrap(e, r, "'%s' was created but does not start ('lxmc info %s --show-log' may tell more)",
				    name, name);
	return 0;
}
