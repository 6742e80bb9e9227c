/* The file templates of an instance: list, show, create, edit, delete; and rebuild, which brings the image's back. See verb.h. */
#include <stdio.h>
#include <string.h>

#include "lib/base/alloc.h"
#include "lxmc/edit.h"
#include "lxmc/image.h"
#include "lxmc/json.h"
#include "lxmc/out.h"
#include "lxmc/verb.h"

static char *template_url(struct client *c, const char *name, const char *path)
{
	return client_url(c, "/1.0/instances/%s/metadata/templates?path=%s", name, path);
}

int verb_config_template_list(struct cli *cli, struct lxm_err *e)
{
	lxm_auto(table) struct table t = { 0 };
	lxm_auto(json) json_t *list = NULL;
	const char *name;
	struct client *c;
	json_t *item;
	size_t i;
	int r;

	r = cli_target(cli, cli->args[0], &c, &name, e);
	if (r == 0)
		r = client_get(c, client_url(c, "/1.0/instances/%s/metadata/templates", name), &list, e);
	if (r < 0)
		return r;
	table_head(&t, "FILENAME");
	json_array_foreach(list, i, item)
		table_cell(&t, json_string_value(item));
	return out_list(cli, &t, list, e);
}

static int fetch(struct client *c, const char *url, struct lxm_http_reply *reply, struct lxm_err *e)
{
	return client_raw(c, &(struct lxm_http_request){ .method = "GET", .target = url }, reply, e);
}

int verb_config_template_show(struct cli *cli, struct lxm_err *e)
{
	lxm_auto(http_reply) struct lxm_http_reply reply = { 0 };
	lxm_auto(free) char *url = NULL;
	const char *name;
	struct client *c;
	int r;

	r = cli_target(cli, cli->args[0], &c, &name, e);
	if (r < 0)
		return r;
	url = template_url(c, name, cli->args[1]);
	r = fetch(c, url, &reply, e);
	if (r < 0)
		return lxm_err_wrap(e, r, "template '%s'", cli->args[1]);
	(void)fwrite(reply.body.data, 1, reply.body.len, stdout);
	return 0;
}

static int store(struct client *c, const char *url, const char *text, size_t n, struct lxm_err *e)
{
	lxm_auto(http_reply) struct lxm_http_reply reply = { 0 };
	lxm_auto(kv) struct lxm_kv headers = { 0 };
	struct lxm_http_request rq = { .method = "POST", .target = url, .headers = &headers, .body = text, .body_len = n };

	lxm_kv_set(&headers, "Content-Type", "application/octet-stream");
	return client_raw(c, &rq, &reply, e);
}

/* verb->data: whether it must exist already */
int verb_config_template_edit(struct cli *cli, struct lxm_err *e)
{
	lxm_auto(http_reply) struct lxm_http_reply old = { 0 };
	lxm_auto(free) char *url = NULL, *text = NULL;
	bool exists = cli->verb->data != NULL;
	const char *name;
	struct client *c;
	size_t n = 0;
	int r;

	r = cli_target(cli, cli->args[0], &c, &name, e);
	if (r < 0)
		return r;
	url = template_url(c, name, cli->args[1]);
	r = fetch(c, url, &old, e);
	if (r == 0 && !exists)
		return lxm_err_set(e, EEXIST, "template '%s' exists already: use 'config template edit'", cli->args[1]);
	if (r < 0 && (exists || e->http != 404))
		return lxm_err_wrap(e, r, "template '%s'", cli->args[1]);
	lxm_err_clear(e);
	if (!out_tty(STDIN_FILENO))
		r = read_stdin(&text, &n, e);
	else
		r = edit_text(old.body.data && exists ? old.body.data : "", ".tpl", &text, &n, e);
	if (r == 1 && exists)
		return 0;
	return r < 0 ? r : store(c, url, text ? text : "", n, e);
}

int verb_config_template_delete(struct cli *cli, struct lxm_err *e)
{
	const char *name;
	struct client *c;
	int r;

	r = cli_target(cli, cli->args[0], &c, &name, e);
	return r < 0 ? r : client_change(c, "DELETE", template_url(c, name, cli->args[1]), NULL, e);
}

int verb_rebuild(struct cli *cli, struct lxm_err *e)
{
	bool empty = cli_has(cli, "empty");
	lxm_auto(free) char *title = NULL;
	json_t *source = NULL;
	const char *name;
	struct client *c;
	int r;

	if (cli->n_args != (empty ? 1 : 2))
		return cli_usage(e, empty ? "rebuild --empty wants an instance only" : "rebuild wants an image and an instance");
	r = cli_target(cli, cli->args[cli->n_args - 1], &c, &name, e);
	if (r == 0 && empty)
		source = json_pack("{s:s}", "type", "none");
	else if (r == 0)
		r = image_source(cli, c, cli->args[0], &source, e);
	if (r < 0)
		return r;
	title = lxm_asprintf("Rebuilding %s", name);
	r = client_change_op(c, "POST", client_url(c, "/1.0/instances/%s/rebuild", name), json_pack("{s:o}", "source", source),
			     title, NULL, e);
	return r < 0 ? lxm_err_wrap(e, r, "rebuild '%s'", name) : 0;
}
