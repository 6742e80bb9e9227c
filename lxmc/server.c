/* Operations, warnings, projects and raw requests, see verb.h. */
#include <stdio.h>
#include <string.h>

#include "lib/base/alloc.h"
#include "lxmc/conf.h"
#include "lxmc/entity.h"
#include "lxmc/json.h"
#include "lxmc/out.h"
#include "lxmc/units.h"
#include "lxmc/verb.h"

static char *upper_of(const char *s)
{
	char *u = lxm_strdup(s), *p;

	for (p = u; *p; p++)
		if (*p >= 'a' && *p <= 'z')
			*p -= 32;
	return u;
}

int verb_operation_list(struct cli *cli, struct lxm_err *e)
{
	static const char *const heads[] = { "ID", "TYPE", "DESCRIPTION", "STATE", "CANCELABLE", "CREATED" };
	lxm_auto(json) json_t *map = NULL, *all = json_array();
	lxm_auto(table) struct table t = { 0 };
	const char *name, *status;
	struct client *c;
	json_t *list, *op;
	size_t i;
	int r;

	r = cli_target(cli, cli->n_args ? cli->args[0] : "", &c, &name, e);
	if (r == 0)
		r = client_get(c, client_url(c, "/1.0/operations?recursion=1%r",
					     cli_has(cli, "all-projects") ? "&all-projects=true" : ""), &map, e);
	if (r < 0)
		return r;
	for (i = 0; i < LXM_ARRAY_LEN(heads); i++)
		table_head(&t, heads[i]);
	json_object_foreach(map, status, list) {
		json_array_foreach(list, i, op) {
			json_array_append(all, op);
			table_cell(&t, jtext(op, "id"));
			lxm_strv_take(&t.cells, upper_of(jtext(op, "class")));
			table_cell(&t, jtext(op, "description"));
			lxm_strv_take(&t.cells, upper_of(jtext(op, "status")));
			table_cell(&t, jtrue(op, "may_cancel") ? "YES" : "NO");
			lxm_strv_take(&t.cells, unit_time(jtext(op, "created_at")));
		}
	}
	table_sort(&t);
	return out_list(cli, &t, all, e);
}

int verb_operation_delete(struct cli *cli, struct lxm_err *e)
{
	const char *id;
	struct client *c;
	int r = cli_target(cli, cli->args[0], &c, &id, e);

	if (r == 0)
		r = client_change(c, "DELETE", client_url(c, "/1.0/operations/%s", id), NULL, e);
	if (r == 0 && !cli->quiet)
		printf("Operation %s cancelled\n", id);
	return r;
}

int verb_warning_list(struct cli *cli, struct lxm_err *e)
{
	static const char *const heads[] = { "UUID", "TYPE", "STATUS", "SEVERITY", "COUNT", "PROJECT", "LAST SEEN" };
	lxm_auto(json) json_t *list = NULL, *kept = json_array();
	lxm_auto(table) struct table t = { 0 };
	const char *name;
	struct client *c;
	json_t *w;
	size_t i;
	int r;

	r = cli_target(cli, cli->n_args ? cli->args[0] : "", &c, &name, e);
	if (r == 0)
		r = client_get(c, client_url(c, "/1.0/warnings?recursion=1"), &list, e);
	if (r < 0)
		return r;
	for (i = 0; i < LXM_ARRAY_LEN(heads); i++)
		table_head(&t, heads[i]);
	json_array_foreach(list, i, w) {
		if (!cli_has(cli, "all") && strcmp(jtext(w, "status"), "new") != 0)
			continue;
		json_array_append(kept, w);
		table_cell(&t, jtext(w, "uuid"));
		table_cell(&t, jtext(w, "type"));
		lxm_strv_take(&t.cells, upper_of(jtext(w, "status")));
		lxm_strv_take(&t.cells, upper_of(jtext(w, "severity")));
		table_cellf(&t, "%lld", jint(w, "count"));
		table_cell(&t, jtext(w, "project"));
		lxm_strv_take(&t.cells, unit_time(jtext(w, "last_seen_at")));
	}
	table_sort(&t);
	return out_list(cli, &t, kept, e);
}

int verb_warning_ack(struct cli *cli, struct lxm_err *e)
{
	const char *id;
	struct client *c;
	int r = cli_target(cli, cli->args[0], &c, &id, e);

	if (r < 0)
		return r;
	return client_change(c, "PUT", client_url(c, "/1.0/warnings/%s", id),
			     json_pack("{s:s}", "status", "acknowledged"), e);
}

static int delete_all_warnings(struct client *c, struct lxm_err *e)
{
	lxm_auto(json) json_t *list = NULL;
	json_t *w;
	size_t i;
	int r = client_get(c, client_url(c, "/1.0/warnings?recursion=1"), &list, e);

	json_array_foreach(list, i, w) {
		if (r == 0)
			r = client_change(c, "DELETE", client_url(c, "/1.0/warnings/%s", jtext(w, "uuid")), NULL, e);
	}
	return r;
}

int verb_warning_delete(struct cli *cli, struct lxm_err *e)
{
	const char *id;
	struct client *c;
	int r = cli_target(cli, cli->n_args ? cli->args[0] : "", &c, &id, e);

	if (r < 0)
		return r;
	if (cli_has(cli, "all"))
		return delete_all_warnings(c, e);
	if (!*id)
		return cli_usage(e, "warning delete wants a warning, or --all");
	return client_change(c, "DELETE", client_url(c, "/1.0/warnings/%s", id), NULL, e);
}

int verb_project_switch(struct cli *cli, struct lxm_err *e)
{
	lxm_auto(json) json_t *o = NULL;
	const char *name;
	struct client *c;
	int r;

	r = cli_target(cli, cli->args[0], &c, &name, e);
	if (r == 0)
		r = client_get(c, client_url(c, "/1.0/projects/%s", name), &o, e);
	if (r < 0)
		return r;
	conf_set_project(cli->conf, c->remote, name);
	return conf_save(cli->conf, e);
}

static int print_raw(void *arg, const void *data, size_t n, struct lxm_err *e)
{
	out_text(data, n);
	return 0;
}

/* --raw: the reply's bytes as they come. */
static int query_raw(struct client *c, const char *method, const char *url, const char *data, struct lxm_err *e)
{
	lxm_auto(http_reply) struct lxm_http_reply reply = { 0 };
	lxm_auto(kv) struct lxm_kv headers = { 0 };
	struct lxm_http_request rq = { .method = method, .target = url, .headers = &headers, .body = data,
				       .body_len = data ? strlen(data) : 0, .sink = print_raw };
	int r;

	if (data)
		lxm_kv_set(&headers, "Content-Type", "application/json");
	r = lxm_http_do(c->http, &rq, &reply, e);
	if (r == 0 && reply.status >= 300)
		out_text(reply.body.data, reply.body.len);
	if (r == 0)
		putchar('\n');
	return r < 0 ? r : reply.status >= 300;
}

int verb_query(struct cli *cli, struct lxm_err *e)
{
	const char *data = cli_opt(cli, "data", NULL), *method = cli_opt(cli, "request", data ? "POST" : "GET"), *path;
	lxm_auto(free) char *url = NULL;
	lxm_auto(json) json_t *body = NULL, *op = NULL;
	lxm_auto(call) struct call call = { .method = method };
	json_error_t je;
	struct client *c;
	int r;

	r = cli_target(cli, cli->args[0][0] == '/' ? "" : cli->args[0], &c, &path, e);
	if (r < 0)
		return r;
	path = cli->args[0][0] == '/' ? cli->args[0] : path;
	if (*path != '/')
		return cli_usage(e, "a path begins with '/', as in /1.0/instances");
	url = client_url(c, "%r", path);
	if (cli_has(cli, "raw"))
		return query_raw(c, method, url, data, e);
	if (data) {
		body = json_loads(data, JSON_DECODE_ANY, &je);
		if (!body)
			return cli_usage(e, "--data is not JSON: %s", je.text);
	}
	call.url = url;
	call.body = body;
	r = client_call(c, &call, e);
	if (r == 0 && call.operation && cli_has(cli, "wait"))
		r = client_wait(c, call.operation, NULL, &op, e);
	if (r < 0)
		return r;
	if (!json_is_null(op ? op : call.meta))
		out_json(op ? op : call.meta, true);
	return 0;
}
