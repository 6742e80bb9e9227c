/* Who a server lets in: certificates and join tokens, see verb.h. */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "lib/base/alloc.h"
#include "lib/base/fd.h"
#include "lib/tls/cert.h"
#include "lib/tls/join_token.h"
#include "lib/tls/sha1.h"
#include "lxmc/entity.h"
#include "lxmc/json.h"
#include "lxmc/out.h"
#include "lxmc/units.h"
#include "lxmc/verb.h"

/* "[REMOTE:] [WORD]", also as one "REMOTE:WORD". *word_out is "" if there is none. */
static int read_args(struct cli *cli, struct client **c, const char **word_out, struct lxm_err *e)
{
	bool apart = cli->n_args == 2;
	int r;

	if (apart && !lxm_ends(cli->args[0], ":"))
		return cli_usage(e, "'%s' is not REMOTE:", cli->args[0]);
	/* a path may hold a colon, a remote's name holds no slash */
	if (!apart && cli->n_args && strchr(cli->args[0], '/') &&
	    strcspn(cli->args[0], "/") < strcspn(cli->args[0], ":")) {
		*word_out = cli->args[0];
		return cli_client(cli, NULL, c, e);
	}
	r = cli_target(cli, cli->n_args ? cli->args[0] : "", c, word_out, e);
	if (r == 0 && apart)
		*word_out = cli->args[1];
	return r;
}

/* ---- adding */

static int certificate_body(const char *path, json_t *body, struct lxm_err *e)
{
	lxm_auto(buf) struct lxm_buf pem = { 0 }, der = { 0 };
	lxm_auto(free) char *text = NULL;
	const char *base = strrchr(path, '/');
	int r = lxm_read_file(path, LXM_CERT_MAX, &pem);

	if (r < 0) {
		errno = -r;
		return lxm_err_sys(e, "read '%s'", path);
	}
	r = lxm_cert_pem_to_der(pem.data ? pem.data : "", &der, e);
	if (r < 0)
		return lxm_err_wrap(e, r, "'%s'", path);
	text = lxm_base64(der.data, der.len);
	json_object_set_new(body, "certificate", json_string(text));
	if (!*jtext(body, "name"))
		json_object_set_new(body, "name", json_string(base ? base + 1 : path));
	return 0;
}

/* The operation of a token holds what the token is made of. */
static int token_of(const json_t *op, struct lxm_join_token *t, struct lxm_err *e)
{
	const json_t *meta = json_object_get(op, "metadata"), *addresses = json_object_get(meta, "addresses");
	size_t i;

	if (!*jtext(meta, "secret") || !lxm_is_hex(jtext(meta, "fingerprint"), 64, 64) || !json_array_size(addresses))
		return lxm_err_set(e, EPROTO, "the server's answer holds no token");
	t->client_name = lxm_strdup(jtext(json_object_get(meta, "request"), "name"));
	t->secret = lxm_strdup(jtext(meta, "secret"));
	snprintf(t->fingerprint, sizeof(t->fingerprint), "%s", jtext(meta, "fingerprint"));
	for (i = 0; i < json_array_size(addresses); i++)
		if (json_string_value(json_array_get(addresses, i)))
			lxm_strv_add(&t->addresses, json_string_value(json_array_get(addresses, i)));
	(void)lxm_time_parse(jtext(meta, "expiresAt"), &t->expires_at);
	return 0;
}

static int add_token(struct cli *cli, struct client *c, json_t *body, struct lxm_err *e)
{
	lxm_auto(join_token) struct lxm_join_token t = { 0 };
	lxm_auto(free) char *url = lxm_strdup("/1.0/certificates"), *text = NULL;
	lxm_auto(call) struct call call = { .method = "POST", .url = url, .body = body };
	int r;

	json_object_set_new(body, "token", json_true());
	r = client_call(c, &call, e);
	if (r < 0)
		return r;
	r = token_of(call.meta, &t, e);
	if (r < 0)
		return r;
	text = lxm_join_token_encode(&t);
	if (!cli->quiet)
		printf("Client %s certificate add token:\n", jtext(body, "name"));
	printf("%s\n", text ? text : "");
	return 0;
}

/* What an argument is: a file that is there, or at least looks like one, holds a certificate; everything else is a name. */
static bool is_file(const char *word)
{
	return strchr(word, '/') || lxm_ends(word, ".crt") || lxm_ends(word, ".pem") || access(word, R_OK) == 0;
}

int verb_trust_add(struct cli *cli, struct lxm_err *e)
{
	const char *word, *type = cli_opt(cli, "type", "client"), *projects = cli_opt(cli, "projects", NULL);
	lxm_auto(strv) struct lxm_strv names = { 0 };
	lxm_auto(json) json_t *body = NULL;
	json_t *list = json_array();
	struct client *c;
	size_t i;
	int r = read_args(cli, &c, &word, e);

	lxm_strv_split(&names, projects ? projects : "", ',');
	for (i = 0; i < names.n; i++)
		json_array_append_new(list, json_string(names.v[i]));
	body = json_pack("{s:s, s:s, s:b, s:o}", "name", cli_opt(cli, "name", ""), "type", type, "restricted",
			 cli_has(cli, "restricted") || names.n, "projects", list);
	if (r < 0)
		return r;
	if (!body)
		return cli_usage(e, "an argument is not UTF-8");
	if (*word && is_file(word)) {
		r = certificate_body(word, body, e);
		return r < 0 ? r : client_change(c, "POST", lxm_strdup("/1.0/certificates"), json_incref(body), e);
	}
	if (*word)
		json_object_set_new(body, "name", json_string(word));
	if (!*jtext(body, "name"))
		return cli_usage(e, "config trust add wants the new client's name (for a token) or a certificate's file");
	if (strcmp(type, "client") != 0)
		return cli_usage(e, "tokens are for clients; a certificate of type %s is added from its file", type);
	return add_token(cli, c, body, e);
}

/* ---- looking */

static void certificate_row(struct table *t, const json_t *o)
{
	lxm_auto(buf) struct lxm_buf der = { 0 }, projects = { 0 };
	lxm_auto(free) char *from = NULL, *to = NULL;
	struct lxm_cert_info info = { 0 };
	char a[32], b[32];
	json_t *p;
	size_t i;

	if (lxm_cert_pem_to_der(jtext(o, "certificate"), &der, NULL) == 0 &&
	    lxm_cert_info(der.data, der.len, &info, NULL) == 0) {
		from = unit_time_long(lxm_time_str(info.not_before, a));
		to = unit_time_long(lxm_time_str(info.not_after, b));
	}
	json_array_foreach(json_object_get(o, "projects"), i, p)
		lxm_buf_fmt(&projects, "%s%s", i ? ", " : "", json_string_value(p) ? json_string_value(p) : "");
	table_cell(t, jtext(o, "type"));
	table_cell(t, jtext(o, "name"));
	table_cell(t, info.cn);
	table_cellf(t, "%.12s", jtext(o, "fingerprint"));
	table_cell(t, from ? from : "");
	table_cell(t, to ? to : "");
	table_cell(t, jtrue(o, "restricted") ? "YES" : "NO");
	table_cell(t, projects.data ? projects.data : "");
}

int verb_trust_list(struct cli *cli, struct lxm_err *e)
{
	static const char *const heads[] = { "TYPE",	   "NAME",	  "COMMON NAME", "FINGERPRINT",
					     "ISSUE DATE", "EXPIRY DATE", "RESTRICTED",	 "PROJECTS" };
	lxm_auto(json) json_t *list = NULL;
	lxm_auto(table) struct table t = { 0 };
	const char *name;
	struct client *c;
	json_t *item;
	size_t i;
	int r = cli_target(cli, cli->n_args ? cli->args[0] : "", &c, &name, e);

	if (r == 0)
		r = client_get(c, lxm_strdup("/1.0/certificates?recursion=1"), &list, e);
	if (r < 0)
		return r;
	for (i = 0; i < LXM_ARRAY_LEN(heads); i++)
		table_head(&t, heads[i]);
	json_array_foreach(list, i, item) {
		if (cli->quiet && !cli_has(cli, "format"))
			printf("%s\n", jtext(item, "fingerprint"));
		else
			certificate_row(&t, item);
	}
	if (cli->quiet && !cli_has(cli, "format"))
		return 0;
	table_sort(&t);
	return out_list(cli, &t, list, e);
}

int verb_trust_remove(struct cli *cli, struct lxm_err *e)
{
	const char *fingerprint;
	struct client *c;
	int r = read_args(cli, &c, &fingerprint, e);

	if (r < 0)
		return r;
	if (!*fingerprint)
		return cli_usage(e, "config trust remove wants a fingerprint; 'lxmc config trust list' shows them");
	return client_change(c, "DELETE", client_url(c, "/1.0/certificates/%s", fingerprint), NULL, e);
}

/* ---- tokens: running operations of class "token" */

static int list_tokens(struct client *c, json_t **out, struct lxm_err *e)
{
	lxm_auto(json) json_t *map = NULL, *found = json_array();
	const char *status;
	json_t *list, *op;
	size_t i;
	int r = client_get(c, lxm_strdup("/1.0/operations?recursion=1&project=default"), &map, e);

	if (r < 0)
		return r;
	json_object_foreach(map, status, list) {
		json_array_foreach(list, i, op)
			if (strcmp(jtext(op, "class"), "token") == 0 && jint(op, "status_code") == API_RUNNING &&
			    *jtext(json_object_get(json_object_get(op, "metadata"), "request"), "name"))
				json_array_append(found, op);
	}
	*out = LXM_TAKE(found, NULL);
	return 0;
}

int verb_trust_list_tokens(struct cli *cli, struct lxm_err *e)
{
	lxm_auto(json) json_t *list = NULL, *shown = json_array();
	lxm_auto(table) struct table t = { 0 };
	const char *name;
	struct client *c;
	json_t *op;
	size_t i;
	int r = cli_target(cli, cli->n_args ? cli->args[0] : "", &c, &name, e);

	if (r == 0)
		r = list_tokens(c, &list, e);
	if (r < 0)
		return r;
	table_head(&t, "NAME");
	table_head(&t, "TOKEN");
	table_head(&t, "EXPIRES AT");
	json_array_foreach(list, i, op) {
		lxm_auto(join_token) struct lxm_join_token token = { 0 };
		lxm_auto(free) char *text = NULL, *when = NULL;
		char raw[32];

		if (token_of(op, &token, NULL) < 0)
			continue;
		text = lxm_join_token_encode(&token);
		when = token.expires_at ? unit_time_long(lxm_time_str(token.expires_at, raw)) : lxm_strdup("");
		table_cell(&t, token.client_name);
		table_cell(&t, text ? text : "");
		table_cell(&t, when);
		json_array_append_new(shown, json_pack("{s:s, s:s, s:s}", "name", token.client_name, "token", text ? text : "",
						       "expires_at", token.expires_at ? raw : ""));
	}
	table_sort(&t);
	return out_list(cli, &t, shown, e);
}

int verb_trust_revoke_token(struct cli *cli, struct lxm_err *e)
{
	lxm_auto(json) json_t *list = NULL;
	const char *name;
	struct client *c;
	bool found = false;
	json_t *op;
	size_t i;
	int r = read_args(cli, &c, &name, e);

	if (r == 0 && !*name)
		return cli_usage(e, "config trust revoke-token wants the name that the token was made for");
	if (r == 0)
		r = list_tokens(c, &list, e);
	json_array_foreach(list, i, op) {
		if (r < 0 || strcmp(jtext(json_object_get(json_object_get(op, "metadata"), "request"), "name"), name) != 0)
			continue;
		found = true;
		r = client_change(c, "DELETE", client_url(c, "/1.0/operations/%s", jtext(op, "id")), NULL, e);
	}
	if (r == 0 && !found)
		return lxm_err_set(e, ENOENT, "there is no token for '%s'; 'lxmc config trust list-tokens' shows which there are", name);
	return r;
}
