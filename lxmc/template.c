/* Templates: recipes on the server from which it builds images. See verb.h and image.h. */
#include <stdio.h>
#include <string.h>

#include "lib/base/alloc.h"
#include "lxmc/image.h"
#include "lxmc/json.h"
#include "lxmc/out.h"
#include "lxmc/verb.h"

bool template_exists(struct client *c, const char *name)
{
	lxm_auto(json) json_t *o = NULL;

	return client_get(c, client_url(c, "/1.0/templates/%s", name), &o, NULL) == 0;
}

int template_build_image(struct client *c, const char *name, bool rebuild, char **fingerprint_out,
			 struct lxm_err *e)
{
	json_t *body = json_pack("{s:{s:s, s:s}}", "source", "type", "template", "name", name);
	lxm_auto(free) char *title = lxm_asprintf("Building %s", name);
	lxm_auto(json) json_t *op = NULL;
	const char *fingerprint;
	int r;

	if (rebuild)
		json_object_set_new(json_object_get(body, "source"), "rebuild", json_true());
	r = client_change_op(c, "POST", client_url(c, "/1.0/images"), body, title, &op, e);
	if (r < 0)
		return client_tried(e, r, "build template", name);
	fingerprint = jtext(json_object_get(op, "metadata"), "fingerprint");
	if (!*fingerprint)
		return lxm_err_set(e, EPROTO, "build template '%s': the server does not say which image came of it", name);
	if (fingerprint_out)
		*fingerprint_out = lxm_strdup(fingerprint);
	return 0;
}

int verb_image_build(struct cli *cli, struct lxm_err *e)
{
	lxm_auto(free) char *fingerprint = NULL;
	const char *name, *alias;
	struct client *c;
	size_t at = 0;
	int r;

	r = cli_target(cli, cli->args[0], &c, &name, e);
	if (r == 0)
		r = template_build_image(c, name, cli_has(cli, "rebuild"), &fingerprint, e);
	if (r < 0)
		return r;
	while ((alias = cli_next(cli, "alias", &at))) {
		r = client_change(c, "POST", client_url(c, "/1.0/images/aliases"),
				  json_pack("{s:s, s:s}", "name", alias, "target", fingerprint), e);
		if (r < 0)
			return r;
	}
	printf(cli->quiet ? "%s\n" : "Image built with fingerprint: %s\n", fingerprint);
	return 0;
}

/* "debian/12", where the name is "debian/bookworm". */
static char *other_names(const json_t *item)
{
	struct lxm_buf b = { 0 };
	json_t *alias;
	size_t i;

	json_array_foreach(json_object_get(item, "aliases"), i, alias) {
		const char *name = json_string_value(alias);

		if (name && strcmp(name, jtext(item, "name")) != 0)
			lxm_buf_fmt(&b, "%s%s", b.len ? ", " : "", name);
	}
	return lxm_buf_take(&b);
}

int verb_template_list(struct cli *cli, struct lxm_err *e)
{
	lxm_auto(table) struct table t = { 0 };
	lxm_auto(json) json_t *list = NULL;
	const char *name;
	struct client *c;
	json_t *item;
	size_t i;
	int r;

	r = cli_target(cli, cli->n_args ? cli->args[0] : "", &c, &name, e);
	if (r == 0)
		r = client_get(c, client_url(c, "/1.0/templates?recursion=1"), &list, e);
	if (r < 0)
		return r;
	table_head(&t, "NAME");
	table_head(&t, "ALSO");
	table_head(&t, "DESCRIPTION");
	table_head(&t, "IMAGE");
	json_array_foreach(list, i, item) {
		lxm_auto(free) char *others = other_names(item);

		table_cell(&t, jtext(item, "name"));
		table_cell(&t, others);
		table_cell(&t, jtext(item, "description"));
		table_cellf(&t, "%.12s", jtext(item, "fingerprint"));
	}
	table_sort(&t);
	return out_list(cli, &t, list, e);
}

int verb_template_show(struct cli *cli, struct lxm_err *e)
{
	static const char *const order[] = { "name", "description", "aliases", NULL };
	lxm_auto(json) json_t *o = NULL;
	const char *name;
	struct client *c;
	int r;

	r = cli_target(cli, cli->args[0], &c, &name, e);
	if (r == 0)
		r = client_get(c, client_url(c, "/1.0/templates/%s", name), &o, e);
	return r < 0 ? r : out_object(cli, o, order, e);
}
