/*
 * One server, see client.h. Single-threaded. Every error reply is turned into one line that names the object: older
 * servers say "Instance not found" without telling which, so kind and name are taken from the path that was asked for.
 */
#include "lxmc/client.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "lib/base/alloc.h"
#include "lxmc/conf.h"
#include "lxmc/json.h"
#include "lxmc/sink.h"

void call_deinit(struct call *call)
{
	json_decref(call->meta);
	free(call->operation);
	free(call->etag);
	memset(call, 0, sizeof(*call));
}

void clients_free(struct client *list)
{
	while (list) {
		struct client *c = list;

		list = c->next;
		lxm_http_free(c->http);
		json_decref(c->server);
		free(c->remote);
		route_deinit(&c->route);
		free(c->project);
		free(c);
	}
}

int cli_conf(struct cli *cli, struct lxm_err *e)
{
	return cli->conf ? 0 : conf_load(&cli->conf, e);
}

int cli_client(struct cli *cli, const char *remote, struct client **client_out, struct lxm_err *e)
{
	struct remote rm;
	struct client *c;
	int r;

	r = cli_conf(cli, e);
	if (r < 0)
		return r;
	if (!remote)
		remote = conf_default_remote(cli->conf);
	for (c = cli->clients; c; c = c->next) {
		if (strcmp(c->remote, remote) == 0) {
			*client_out = c;
			return 0;
		}
	}
	r = conf_remote(cli->conf, remote, &rm, e);
	if (r < 0)
		return r;
	if (strcmp(rm.protocol, "simplestreams") == 0)
		return lxm_err_set(e, EOPNOTSUPP, "remote '%s' is an image server: images can be listed there, launched and copied "
						  "from there, and that is all", remote);
	c = lxm_alloc(sizeof(*c));
	r = route_init(&c->route, cli->conf, &rm, !rm.is_public, e);
	if (r < 0) {
		clients_free(c);
		return r;
	}
	c->remote = lxm_strdup(remote);
	if (cli->project || *rm.project)
		c->project = lxm_strdup(cli->project ? cli->project : rm.project);
	c->http = client_http(c);
	c->debug = cli->debug;
	c->quiet = cli->quiet;
	c->next = cli->clients;
	cli->clients = c;
	*client_out = c;
	return 0;
}

struct lxm_http *client_http(struct client *c)
{
	struct lxm_http *h = lxm_http_new(route_dial, &c->route);
	lxm_auto(free) char *host = c->route.addr ? lxm_strdup(c->route.addr + strlen("https://")) : NULL;

	if (host) {
		host[strcspn(host, "/?#")] = 0;
		lxm_http_host(h, host);
	}
	return h;
}

int cli_target(struct cli *cli, const char *arg, struct client **client_out, const char **name_out,
	       struct lxm_err *e)
{
	const char *colon = strchr(arg, ':');
	lxm_auto(free) char *remote = colon ? lxm_strndup(arg, (size_t)(colon - arg)) : NULL;

	*name_out = colon ? colon + 1 : arg;
	/* ":NAME" is the default one's, as a bare ":" is: so a copy's target can be said with --on */
	return cli_client(cli, lxm_empty(remote) ? NULL : remote, client_out, e);
}

char *client_url(const struct client *c, const char *fmt, ...)
{
	struct lxm_buf b = { 0 };
	va_list ap;

	va_start(ap, fmt);
	for (; *fmt; fmt++) {
		if (*fmt != '%') {
			lxm_buf_chr(&b, *fmt);
		} else if (*++fmt == 's') {
			lxm_auto(free) char *enc = lxm_url_encode(va_arg(ap, const char *), NULL);

			lxm_buf_str(&b, enc);
		} else {
			lxm_buf_str(&b, va_arg(ap, const char *));
		}
	}
	va_end(ap);
	if (c->project) {
		lxm_auto(free) char *enc = lxm_url_encode(c->project, NULL);

		lxm_buf_fmt(&b, "%cproject=%s", strchr(b.data, '?') ? '&' : '?', enc);
	}
	return lxm_buf_take(&b);
}

/* What a path is about, for error texts. */
static const struct {
	const char *prefix, *kind, *remedy;
} kinds[] = {
	{ "/1.0/instances/", "instance", "'lxmc list' shows what there is" },
	{ "/1.0/images/aliases/", "image alias", "'lxmc image alias list' shows what there is" },
	{ "/1.0/images/", "image", "'lxmc image list' shows what there is" },
	{ "/1.0/profiles/", "profile", "'lxmc profile list' shows what there is" },
	{ "/1.0/networks/", "network", "'lxmc network list' shows what there is" },
	{ "/1.0/projects/", "project", "'lxmc project list' shows what there is" },
	{ "/1.0/storage-pools/", "storage pool", "'lxmc storage list' shows what there is" },
	{ "/1.0/operations/", "operation", "'lxmc operation list' shows what there is" },
	{ "/1.0/warnings/", "warning", "'lxmc warning list' shows what there is" },
	{ "/1.0/templates/", "template", "'lxmc template list' shows what there is" },
	{ "/1.0/certificates/", "certificate", "'lxmc config trust list' shows what there is" },
};

/* "instance 'c1': TEXT; REMEDY" from TEXT, where TEXT does not say so itself. */
static int name_error(const char *url, int status, int code, const char *text, struct lxm_err *e)
{
	lxm_auto(free) char *name = NULL;
	const char *start, *remedy = "";
	size_t i, n;

	for (i = 0; i < LXM_ARRAY_LEN(kinds); i++)
		if (lxm_starts(url, kinds[i].prefix))
			break;
	if (i == LXM_ARRAY_LEN(kinds))
		return lxm_err_http(e, status, code, "%s", text);
	start = url + strlen(kinds[i].prefix);
	n = strcspn(start, "/?");
	/* the list of them all is no object */
	if (strcspn(url, "?") == strlen("/1.0/images/aliases") && lxm_starts(url, "/1.0/images/aliases"))
		return lxm_err_http(e, status, code, "%s", text);
	name = lxm_url_decode(start, n, false);
	/* just that, of a thing below an object, is said of paths that the server does not know at all */
	if (status == 404 && start[n] == '/' && strcmp(text, "not found") == 0)
		return lxm_err_http(e, status, EOPNOTSUPP, "%s '%s': this server cannot do that (it has no '%.*s')",
				    kinds[i].kind, name ? name : "", (int)strcspn(start + n, "?"), start + n);
	if (status == 404 && (start[n] != '/' || strcasestr(text, "instance not found")))
		remedy = lxm_starts(text, "snapshot ") ? "'lxmc info INSTANCE' shows which there are" : kinds[i].remedy;
	if (name && *name && !strstr(text, name))
		return lxm_err_http(e, status, code, "%s '%s': %s%s%s", kinds[i].kind, name, text,
				    *remedy ? "; " : "", remedy);
	return lxm_err_http(e, status, code, "%s%s%s", text, *remedy ? "; " : "", remedy);
}

static int code_of_status(int status)
{
	switch (status) {
	case 400:
		return EINVAL;
	case 403:
		return EACCES;
	case 404:
		return ENOENT;
	case 409:
		return EEXIST;
	case 501:
		return EOPNOTSUPP;
	case 503:
		return EAGAIN;
	default:
		return EIO;
	}
}

int client_check(const struct client *c, const char *url, const struct lxm_http_reply *reply, struct lxm_err *e)
{
	lxm_auto(json) json_t *env = NULL;
	lxm_auto(free) char *fallback = NULL;
	const char *text;

	if (reply->status >= 200 && reply->status < 300)
		return 0;
	env = json_loadb(reply->body.data, reply->body.len, 0, NULL);
	text = jtext(env, "error");
	if (!*text) {
		fallback = lxm_asprintf("the server answered with status %d and no reason", reply->status);
		text = fallback;
	}
	if (reply->status == 412)
		return lxm_err_http(e, 412, EBUSY, "%s: it was changed meanwhile by somebody else; try again", text);
	return name_error(url, reply->status, code_of_status(reply->status), text, e);
}

int client_tried(struct lxm_err *e, int r, const char *what, const char *name)
{
	lxm_auto(free) char *said = lxm_asprintf("%s '", what);

	return e && lxm_starts(e->msg, said) ? r : lxm_err_wrap(e, r, "%s '%s'", what, name);
}

/* A server that does not know us refuses nearly everything; say that instead of what it refused. */
static int explain_refusal(struct client *c, int r, struct lxm_err *e)
{
	json_t *server;

	if (r >= 0 || !e || e->http != 403 || c->route.socket || client_server(c, &server, NULL) < 0 ||
	    strcmp(jtext(server, "auth"), "trusted") == 0)
		return r;
	return lxm_err_http(e, 403, EACCES, "remote '%s' does not trust this client: 'lxmc config trust add NAME' there makes a token; "
					    "then 'lxmc remote remove %s' and 'lxmc remote add %s TOKEN' here",
			    c->remote, c->remote, c->remote);
}

int client_raw(struct client *c, const struct lxm_http_request *rq, struct lxm_http_reply *reply,
	       struct lxm_err *e)
{
	int r = lxm_http_do(c->http, rq, reply, e);

	if (r < 0)
		return r;
	sink_answered();
	if (c->debug)
		fprintf(stderr, "lxmc: %s %s -> %d\n", rq->method, rq->target, reply->status);
	return explain_refusal(c, client_check(c, rq->target, reply, e), e);
}

int client_call(struct client *c, struct call *call, struct lxm_err *e)
{
	lxm_auto(http_reply) struct lxm_http_reply reply = { 0 };
	lxm_auto(kv) struct lxm_kv headers = { 0 };
	lxm_auto(free) char *text = call->body ? json_dumps(call->body, JSON_COMPACT | JSON_ENCODE_ANY) : NULL;
	lxm_auto(json) json_t *env = NULL;
	struct lxm_http_request rq = { .method = call->method, .target = call->url, .headers = &headers,
				       .body = text, .body_len = text ? strlen(text) : 0 };
	const char *op;
	int r;

	if (text)
		lxm_kv_set(&headers, "Content-Type", "application/json");
	if (call->if_match)
		lxm_kv_set(&headers, "If-Match", call->if_match);
	r = client_raw(c, &rq, &reply, e);
	if (r < 0)
		return r;
	env = json_loadb(reply.body.data, reply.body.len, 0, NULL);
	if (!json_is_object(env))
		return lxm_err_set(e, EPROTO, "the server's answer to %s %s is not JSON", call->method, call->url);
	op = jtext(env, "operation");
	if (strcmp(jtext(env, "type"), "async") == 0 && strrchr(op, '/'))
		call->operation = lxm_strdup(strrchr(op, '/') + 1);
	if (lxm_kv_get(&reply.headers, "etag"))
		call->etag = lxm_strdup(lxm_kv_get(&reply.headers, "etag"));
	call->meta = json_object_get(env, "metadata") ? json_incref(json_object_get(env, "metadata")) : json_null();
	return 0;
}

int client_get(struct client *c, char *url, json_t **meta_out, struct lxm_err *e)
{
	lxm_auto(free) char *owned = url;
	lxm_auto(call) struct call call = { .method = "GET", .url = owned };
	int r = client_call(c, &call, e);

	if (r < 0)
		return r;
	*meta_out = LXM_TAKE(call.meta, NULL);
	return 0;
}

int client_change_op(struct client *c, const char *method, char *url, json_t *body, const char *title,
		     json_t **op_out, struct lxm_err *e)
{
	lxm_auto(free) char *owned = url;
	lxm_auto(json) json_t *stolen = body;
	lxm_auto(call) struct call call = { .method = method, .url = owned, .body = stolen };
	lxm_auto(json) json_t *op = NULL;
	int r;

	r = client_call(c, &call, e);
	if (r < 0)
		return r;
	if (call.operation) {
		r = client_wait(c, call.operation, title, &op, e);
		if (r < 0 && r != -EINTR && e && *e->msg) {
			char text[sizeof(e->msg)];

			snprintf(text, sizeof(text), "%s", e->msg);
			r = name_error(url, 0, -r, text, e);
		}
	}
	if (r == 0 && op_out)
		*op_out = op ? LXM_TAKE(op, NULL) : LXM_TAKE(call.meta, NULL);
	return r;
}

int client_change(struct client *c, const char *method, char *url, json_t *body, struct lxm_err *e)
{
	return client_change_op(c, method, url, body, NULL, NULL, e);
}

int client_ws(struct client *c, const char *url, lxm_ws_message_fn on_message, void *arg, struct lxm_ws **ws_out,
	      struct lxm_err *e)
{
	if (c->debug)
		fprintf(stderr, "lxmc: websocket %s\n", url);
	return lxm_ws_open(route_dial, &c->route, url, on_message, arg, ws_out, e);
}

int client_dial(struct client *c, struct lxm_conn *conn_out, struct lxm_err *e)
{
	return route_dial(&c->route, conn_out, e);
}

bool client_answers(struct client *c)
{
	lxm_auto(conn) struct lxm_conn conn = { .fd = -1 };

	return route_dial(&c->route, &conn, NULL) == 0;
}

int client_server(struct client *c, json_t **server_out, struct lxm_err *e)
{
	if (!c->server) {
		int r = client_get(c, lxm_strdup("/1.0"), &c->server, e);

		if (r < 0)
			return r;
	}
	*server_out = c->server;
	return 0;
}

bool client_has(struct client *c, const char *extension)
{
	json_t *server, *item;
	size_t i;

	if (client_server(c, &server, NULL) < 0)
		return false;
	json_array_foreach(json_object_get(server, "api_extensions"), i, item)
		if (lxm_streq(json_string_value(item), extension))
			return true;
	return false;
}
