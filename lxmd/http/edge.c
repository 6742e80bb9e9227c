/*
 * Browsers and metrics listeners. A page of another site can make a browser send requests here, with the user's client
 * certificate: what names such an origin is refused unless core.https_allowed_origin lets it in. Programs send none, or
 * (pylxd) one that is no http address.
 */
#include <string.h>
#include <strings.h>

#include "lib/base/alloc.h"
#include "lxmd/http/conn.h"

/* ---- origin */

/* Length of HOST[:PORT] without the port that the scheme has anyway. */
static size_t authority_len(const char *s, const char *port)
{
	size_t n = strcspn(s, "/"), p = strlen(port);

	return n > p && strncmp(s + n - p, port, p) == 0 ? n - p : n;
}

static bool is_own(const char *origin, const char *host)
{
	bool secure = strncasecmp(origin, "https://", 8) == 0;
	const char *from = origin + (secure ? 8 : 7);
	const char *port = secure ? ":443" : ":80";
	size_t n = authority_len(from, port);

	return host && n == authority_len(host, port) && strncasecmp(from, host, n) == 0;
}

static bool is_allowed(struct http *h, const char *origin)
{
	bool yes;

	(void)pthread_mutex_lock(&h->lock);
	yes = h->cors.origin && (strcmp(h->cors.origin, "*") == 0 || strcasecmp(h->cors.origin, origin) == 0);
	(void)pthread_mutex_unlock(&h->lock);
	return yes;
}

static int check_origin(struct http_conn *c, struct lxm_err *e)
{
	const char *origin = rq_raw_header(&c->rq, "Origin");

	if (!origin || (strncasecmp(origin, "http://", 7) != 0 && strncasecmp(origin, "https://", 8) != 0))
		return 0;
	if (is_own(origin, rq_raw_header(&c->rq, "Host")) || is_allowed(c->http, origin))
		return 0;
	return lxm_err_http(e, 403, EPERM, "pages of other sites may not use this server (core.https_allowed_origin)");
}

static void add(struct http_conn *c, const char *name, const char *value)
{
	if (value)
		(void)MHD_add_response_header(c->response, name, value);
}

void edge_finish(struct http_conn *c)
{
	struct http *h = c->http;

	if (!c->peer || !rq_raw_header(&c->rq, "Origin"))
		return;
	(void)pthread_mutex_lock(&h->lock);
	if (h->cors.origin) {
		add(c, "Access-Control-Allow-Origin", h->cors.origin);
		add(c, "Vary", "Origin");
		add(c, "Access-Control-Allow-Methods", h->cors.methods);
		add(c, "Access-Control-Allow-Headers", h->cors.headers);
		add(c, "Access-Control-Allow-Credentials", h->cors.credentials ? "true" : NULL);
	}
	(void)pthread_mutex_unlock(&h->lock);
}

/* ---- metrics */

/* A metrics listener is often open to more hosts than the API is. */
static bool is_for_metrics(const struct http_conn *c)
{
	static const char *const paths[] = { "/", "/1.0", "/1.0/metrics" };
	size_t i;

	for (i = 0; i < LXM_ARRAY_LEN(paths); i++)
		if (strcmp(c->rq.path, paths[i]) == 0)
			return strcmp(c->rq.method, "GET") == 0 || strcmp(c->rq.method, "HEAD") == 0;
	return false;
}

bool edge_metrics_open(const struct http_conn *c)
{
	return c->peer && c->peer->kind == LISTEN_METRICS && atomic_load(&c->http->metrics_open);
}

int edge_begin(struct http_conn *c, struct lxm_err *e)
{
	int r;

	if (!c->peer)
		return 0;
	if (c->peer->kind == LISTEN_METRICS && !is_for_metrics(c))
		return lxm_err_set(e, ENOENT, "not found");
	r = check_origin(c, e);
	if (r == 0)
		c->preflight = strcmp(c->rq.method, "OPTIONS") == 0;
	return r;
}
