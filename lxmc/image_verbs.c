/* image list, info, show, edit, delete and aliases, see verb.h. */
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "lib/base/alloc.h"
#include "lxmc/edit.h"
#include "lxmc/image.h"
#include "lxmc/json.h"
#include "lxmc/out.h"
#include "lxmc/streams.h"
#include "lxmc/units.h"
#include "lxmc/verb.h"

/* Alias or short fingerprint of an argument into the full one. */
static int target_image(struct cli *cli, const char *arg, struct client **c, char **fingerprint, struct lxm_err *e)
{
	const char *name;
	int r = cli_target(cli, arg, c, &name, e);

	if (r == 0)
		r = image_resolve(*c, name, fingerprint, e);
	if (r == 1)
		return lxm_err_set(e, ENOENT, "there is no image '%s'; 'lxmc image list' shows what there is", name);
	return r;
}

static bool contains(const char *text, const char *part)
{
	return strcasestr(text, part) != NULL;
}

/* A filter is KEY=VALUE on a property, or part of a fingerprint or alias. */
static bool image_passes(const json_t *o, const char *filter)
{
	const char *eq = strchr(filter, '=');
	lxm_auto(free) char *key = eq ? lxm_strndup(filter, (size_t)(eq - filter)) : NULL;
	json_t *alias;
	size_t i;

	if (eq) {
		const char *v = jtext(json_object_get(o, "properties"), key);

		return strcasecmp(*v ? v : jtext(o, key), eq + 1) == 0;
	}
	if (lxm_starts(jtext(o, "fingerprint"), filter))
		return true;
	json_array_foreach(json_object_get(o, "aliases"), i, alias)
		if (contains(jtext(alias, "name"), filter))
			return true;
	return false;
}

static char *alias_cell(const json_t *o)
{
	json_t *aliases = json_object_get(o, "aliases");
	size_t n = json_array_size(aliases);
	const char *first = jtext(json_array_get(aliases, 0), "name");

	return n > 1 ? lxm_asprintf("%s (%zu more)", first, n - 1) : lxm_strdup(first);
}

static void add_image_row(struct table *t, const json_t *o)
{
	const char *type = jtext(o, "type");
	lxm_auto(free) char *size = unit_bytes_si((uint64_t)jint(o, "size"));
	lxm_auto(free) char *uploaded = unit_time_long(jtext(o, "uploaded_at"));

	lxm_strv_take(&t->cells, alias_cell(o));
	table_cellf(t, "%.12s", jtext(o, "fingerprint"));
	table_cell(t, jtrue(o, "public") ? "yes" : "no");
	table_cell(t, jtext(json_object_get(o, "properties"), "description"));
	table_cell(t, jtext(o, "architecture"));
	table_cell(t, strcmp(type, "virtual-machine") == 0 ? "VIRTUAL-MACHINE" : "CONTAINER");
	table_cell(t, size);
	table_cell(t, uploaded);
}

/* Of a server or of an image server; *first_out is what the first argument says besides the remote. */
static int list_images(struct cli *cli, json_t **list_out, const char **first_out, struct lxm_err *e)
{
	const char *arg = cli->n_args ? cli->args[0] : "";
	struct remote rm;
	struct client *c;
	int r = streams_remote(cli, arg, &rm, first_out, e);

	if (r != 0)
		return r < 0 ? r : streams_images(cli, &rm, list_out, e);
	r = cli_target(cli, arg, &c, first_out, e);
	return r < 0 ? r : client_get(c, client_url(c, "/1.0/images?recursion=1"), list_out, e);
}

int verb_image_list(struct cli *cli, struct lxm_err *e)
{
	static const char *const heads[] = { "ALIAS",	     "FINGERPRINT", "PUBLIC", "DESCRIPTION",
					     "ARCHITECTURE", "TYPE",	    "SIZE",   "UPLOAD DATE" };
	lxm_auto(json) json_t *list = NULL, *kept = json_array();
	lxm_auto(table) struct table t = { 0 };
	const char *first;
	json_t *item;
	size_t i, k;
	int r = list_images(cli, &list, &first, e);

	if (r < 0)
		return r;
	for (k = 0; k < LXM_ARRAY_LEN(heads); k++)
		table_head(&t, heads[k]);
	json_array_foreach(list, i, item) {
		bool pass = !*first || image_passes(item, first);

		for (k = 1; k < cli->n_args && pass; k++)
			pass = image_passes(item, cli->args[k]);
		if (!pass)
			continue;
		json_array_append(kept, item);
		if (cli->quiet && !cli_has(cli, "format"))
			printf("%s\n", jtext(item, "fingerprint"));
		else
			add_image_row(&t, item);
	}
	if (cli->quiet && !cli_has(cli, "format"))
		return 0;
	table_sort(&t);
	return out_list(cli, &t, kept, e);
}

static void print_time(const char *label, const char *rfc3339, const char *never)
{
	lxm_auto(free) char *t = unit_time(rfc3339);
	lxm_auto(free) char *safe = out_safe(*t ? t : never);

	printf("    %s: %s\n", label, safe);
}

static void print_image(const json_t *o)
{
	lxm_auto(free) char *size = unit_bytes_si((uint64_t)jint(o, "size"));
	const char *key;
	json_t *v;
	size_t i;

	printf("Fingerprint: %s\nSize: %s\nArchitecture: %s\nType: %s\nPublic: %s\nTimestamps:\n",
	       jtext(o, "fingerprint"), size, jtext(o, "architecture"), *jtext(o, "type") ? jtext(o, "type") : "container",
	       jtrue(o, "public") ? "yes" : "no");
	print_time("Created", jtext(o, "created_at"), "unknown");
	print_time("Uploaded", jtext(o, "uploaded_at"), "unknown");
	print_time("Expires", jtext(o, "expires_at"), "never");
	print_time("Last used", jtext(o, "last_used_at"), "never");
	printf("Properties:\n");
	json_object_foreach(json_object_get(o, "properties"), key, v) {
		lxm_auto(free) char *k = out_safe(key);
		lxm_auto(free) char *text = out_safe(json_string_value(v) ? json_string_value(v) : "");

		printf("    %s: %s\n", k, text);
	}
	printf("Aliases:\n");
	json_array_foreach(json_object_get(o, "aliases"), i, v) {
		lxm_auto(free) char *name = out_safe(jtext(v, "name"));

		printf("    - %s\n", name);
	}
	printf("Cached: %s\nAuto update: %s\nProfiles:%s\n", jtrue(o, "cached") ? "yes" : "no",
	       jtrue(o, "auto_update") ? "enabled" : "disabled",
	       json_array_size(json_object_get(o, "profiles")) ? "" : " []");
	json_array_foreach(json_object_get(o, "profiles"), i, v) {
		lxm_auto(free) char *name = out_safe(json_string_value(v) ? json_string_value(v) : "");

		printf("    - %s\n", name);
	}
}

static int get_image(struct cli *cli, json_t **out, struct lxm_err *e)
{
	lxm_auto(free) char *fingerprint = NULL;
	lxm_auto(json) json_t *list = NULL;
	struct client *c;
	const char *name;
	struct remote rm;
	int r = streams_remote(cli, cli->args[0], &rm, &name, e);

	if (r == 1) {
		r = streams_images(cli, &rm, &list, e);
		if (r == 0)
			r = streams_pick(&rm, list, name, out, e);
		if (r == 0)
			json_incref(*out);
		return r;
	}
	if (r == 0)
		r = target_image(cli, cli->args[0], &c, &fingerprint, e);
	return r < 0 ? r : client_get(c, client_url(c, "/1.0/images/%s", fingerprint), out, e);
}

int verb_image_info(struct cli *cli, struct lxm_err *e)
{
	lxm_auto(json) json_t *o = NULL;
	int r = get_image(cli, &o, e);

	if (r < 0)
		return r;
	if (cli->quiet)
		printf("%s\n", jtext(o, "fingerprint"));
	else
		print_image(o);
	return 0;
}

int verb_image_show(struct cli *cli, struct lxm_err *e)
{
	lxm_auto(json) json_t *o = NULL, *shown = NULL;
	int r = get_image(cli, &o, e);

	if (r < 0)
		return r;
	shown = entity_writable(&entity_image, o);
	return out_object(cli, shown, entity_image.order, e);
}

int verb_image_edit(struct cli *cli, struct lxm_err *e)
{
	lxm_auto(free) char *fingerprint = NULL, *url = NULL;
	struct client *c;
	int r = target_image(cli, cli->args[0], &c, &fingerprint, e);

	if (r < 0)
		return r;
	url = client_url(c, "/1.0/images/%s", fingerprint);
	return edit_object(c, &entity_image, url, e);
}

int verb_image_delete(struct cli *cli, struct lxm_err *e)
{
	size_t i;
	int r = 0;

	for (i = 0; i < cli->n_args && r == 0; i++) {
		lxm_auto(free) char *fingerprint = NULL;
		struct client *c;

		r = target_image(cli, cli->args[i], &c, &fingerprint, e);
		if (r == 0)
			r = client_change(c, "DELETE", client_url(c, "/1.0/images/%s", fingerprint), NULL, e);
	}
	return r;
}

int verb_image_alias_list(struct cli *cli, struct lxm_err *e)
{
	lxm_auto(json) json_t *list = NULL, *kept = json_array();
	lxm_auto(table) struct table t = { 0 };
	const char *first;
	struct client *c;
	json_t *item;
	size_t i;
	int r;

	r = cli_target(cli, cli->n_args ? cli->args[0] : "", &c, &first, e);
	if (r == 0)
		r = client_get(c, client_url(c, "/1.0/images/aliases?recursion=1"), &list, e);
	if (r < 0)
		return r;
	table_head(&t, "ALIAS");
	table_head(&t, "FINGERPRINT");
	table_head(&t, "TYPE");
	table_head(&t, "DESCRIPTION");
	json_array_foreach(list, i, item) {
		if (*first && !contains(jtext(item, "name"), first) && !lxm_starts(jtext(item, "target"), first))
			continue;
		json_array_append(kept, item);
		table_cell(&t, jtext(item, "name"));
		table_cellf(&t, "%.12s", jtext(item, "target"));
		table_cell(&t, strcmp(jtext(item, "type"), "virtual-machine") == 0 ? "VIRTUAL-MACHINE" : "CONTAINER");
		table_cell(&t, jtext(item, "description"));
	}
	table_sort(&t);
	return out_list(cli, &t, kept, e);
}

int verb_image_alias_create(struct cli *cli, struct lxm_err *e)
{
	lxm_auto(free) char *fingerprint = NULL;
	const char *alias;
	struct client *c, *same;
	int r;

	r = cli_target(cli, cli->args[0], &c, &alias, e);
	if (r == 0)
		r = target_image(cli, cli->args[1], &same, &fingerprint, e);
	if (r < 0)
		return r;
	return client_change(c, "POST", client_url(c, "/1.0/images/aliases"),
			     json_pack("{s:s, s:s, s:s}", "name", alias, "target", fingerprint, "description",
				       cli_opt(cli, "description", "")),
			     e);
}
