/* admin waitready, shutdown and sql, see verb.h: the daemon's own affairs, over its socket. */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "lib/base/alloc.h"
#include "lib/base/time.h"
#include "lxmc/client.h"
#include "lxmc/entity.h"
#include "lxmc/json.h"
#include "lxmc/out.h"
#include "lxmc/verb.h"

#define ASK_EVERY_MS 100

int verb_admin_waitready(struct cli *cli, struct lxm_err *e)
{
	const struct timespec pause = { 0, ASK_EVERY_MS * 1000000L };
	int64_t timeout_s = -1, begun = lxm_mono_ms();
	struct client *c;
	int r;

	r = cli_number(cli, "timeout", &timeout_s, e);
	if (r == 0)
		r = cli_client(cli, NULL, &c, e);
	if (r < 0)
		return r;
	for (;;) {
		lxm_auto(json) json_t *meta = NULL;

		lxm_err_clear(e);
		if (client_get(c, lxm_strdup("/internal/ready"), &meta, e) == 0)
			return 0;
		if (timeout_s >= 0 && lxm_mono_ms() - begun >= timeout_s * 1000)
			return lxm_err_wrap(e, -ETIMEDOUT, "the daemon is not ready after %lld s", (long long)timeout_s);
		nanosleep(&pause, NULL);
	}
}

int verb_admin_shutdown(struct cli *cli, struct lxm_err *e)
{
	const struct timespec pause = { 0, ASK_EVERY_MS * 1000000L };
	int64_t timeout_s = -1, begun = lxm_mono_ms();
	struct client *c;
	int r;

	r = cli_number(cli, "timeout", &timeout_s, e);
	if (r == 0)
		r = cli_client(cli, NULL, &c, e);
	if (r == 0)
		r = client_change(c, "PUT", client_url(c, "/internal/shutdown%r", cli_has(cli, "force") ? "?force=true" : ""),
				  NULL, e);
	if (r < 0)
		return r;
	/* it is down when nobody answers any more */
	while (client_answers(c)) {
		if (timeout_s >= 0 && lxm_mono_ms() - begun >= timeout_s * 1000)
			return lxm_err_set(e, ETIMEDOUT, "the daemon still runs after %lld s", (long long)timeout_s);
		nanosleep(&pause, NULL);
	}
	return 0;
}

static void print_result(const struct cli *cli, const json_t *res)
{
	lxm_auto(table) struct table t = { 0 };
	json_t *row, *cell;
	size_t i, k;

	if (strcmp(jtext(res, "type"), "select") != 0) {
		printf("Rows affected: %lld\n", jint(res, "rows_affected"));
		return;
	}
	json_array_foreach(json_object_get(res, "columns"), i, cell)
		table_head(&t, json_string_value(cell) ? json_string_value(cell) : "");
	json_array_foreach(json_object_get(res, "rows"), i, row) {
		for (k = 0; k < t.head.n; k++) {
			lxm_auto(free) char *text = NULL;

			cell = json_array_get(row, k);
			if (!json_is_string(cell) && cell && !json_is_null(cell))
				text = json_dumps(cell, JSON_ENCODE_ANY);
			table_cell(&t, text ? text : json_string_value(cell));
		}
	}
	(void)out_list(cli, &t, res, NULL);
}

static int no_sql(struct lxm_err *e)
{
	return lxm_err_set(e, EOPNOTSUPP, "this server's databases are asked on its host only: lxmd sql node|cluster QUERY");
}

int verb_admin_sql(struct cli *cli, struct lxm_err *e)
{
	/* LXD's words and ours mean the same two databases */
	const char *db = strcmp(cli->args[0], "node") == 0    ? "local" :
			 strcmp(cli->args[0], "cluster") == 0 ? "global" :
								cli->args[0];
	lxm_auto(free) char *query = NULL, *url = NULL;
	lxm_auto(json) json_t *meta = NULL, *body = NULL;
	lxm_auto(call) struct call call = { .method = "POST" };
	struct client *c;
	json_t *res;
	size_t i;
	int r;

	if (strcmp(db, "local") != 0 && strcmp(db, "global") != 0)
		return cli_usage(e, "there is no database '%s'; there are node and cluster (or local and global)", db);
	r = cli_client(cli, NULL, &c, e);
	if (r < 0)
		return r;
	if (strcmp(cli->args[1], ".dump") == 0 || strcmp(cli->args[1], ".schema") == 0) {
		r = client_get(c, client_url(c, "/internal/sql?database=%s&schema=%r", db,
					     cli->args[1][1] == 's' ? "1" : "0"), &meta, e);
		if (r == 0)
			out_text(jtext(meta, "text"), strlen(jtext(meta, "text")));
		return r < 0 && e && e->http == 404 ? no_sql(e) : r;
	}
	if (strcmp(cli->args[1], "-") == 0)
		r = read_stdin(&query, NULL, e);
	else
		query = lxm_strdup(cli->args[1]);
	if (r < 0)
		return r;
	url = client_url(c, "/internal/sql");
	body = json_pack("{s:s, s:s}", "database", db, "query", query);
	call.url = url;
	call.body = body;
	r = client_call(c, &call, e);
	if (r < 0)
		return e && e->http == 404 ? no_sql(e) : r;
	json_array_foreach(json_object_get(call.meta, "Results"), i, res)
		print_result(cli, res);
	return 0;
}
