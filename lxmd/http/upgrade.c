/*
 * Leaving HTTP: websockets and raw streams. libmicrohttpd hands over the socket after the 101; we take a
 * duplicate and let it forget the connection at once, so that a websocket costs none of its memory.
 */
#include <fcntl.h>
#include <string.h>
#include <strings.h>

#include "lib/base/alloc.h"
#include "lib/base/log.h"
#include "lib/base/str.h"
#include "lxmd/core/daemon.h"
#include "lxmd/core/trust.h"
#include "lxmd/core/ws.h"
#include "lxmd/http/conn.h"

void upgrade_deinit(struct http_conn *c)
{
	void (*drop)(void *) = LXM_TAKE(c->drop, NULL);

	c->accept_ws = NULL;
	c->accept_fd = NULL;
	if (drop)
		drop(c->upgrade_arg);
}

static void on_ws_free(void *arg)
{
	trust_release(arg);
}

static struct ws *websocket(const struct request *rq, int fd, const char *extra, size_t extra_len)
{
	struct ws *ws = ws_new(rq->d->loop, fd, extra, extra_len);

	ws_at_free(ws, on_ws_free, trust_hold(rq->d, &rq->caller, fd));
	return ws;
}

/* libmicrohttpd's callback once the 101 is out; on the connection's thread. */
static void on_upgrade(void *cls, struct MHD_Connection *mhd, void *req_cls, const char *extra,
		       size_t extra_len, MHD_socket sock, struct MHD_UpgradeResponseHandle *urh)
{
	struct http_conn *c = cls;
	int fd = fcntl(sock, F_DUPFD_CLOEXEC, 0);

	if (c->peer)
		atomic_store(&c->peer->upgraded, true);
	if (fd < 0) {
		lxm_warn("duplicate an upgraded connection: %s", strerror(errno));
	} else if (c->accept_ws) {
		c->drop = NULL;
		c->accept_ws(websocket(&c->rq, fd, extra, extra_len), c->upgrade_arg);
	} else if (c->accept_fd) {
		c->drop = NULL;
		c->accept_fd(fd, extra, extra_len, c->upgrade_arg);
	}
	(void)MHD_upgrade_action(urh, MHD_UPGRADE_ACTION_CLOSE);
}

/* True if `word` is one of the comma-separated words of a header. */
static bool header_has(const struct request *rq, const char *name, const char *word)
{
	lxm_auto(strv) struct lxm_strv v = { 0 };
	const char *s = rq_raw_header(rq, name), *p;
	size_t i, n = strlen(word);

	if (s)
		lxm_strv_split(&v, s, ',');
	for (i = 0; i < v.n; i++) {
		p = v.v[i] + strspn(v.v[i], " \t");
		if (strncasecmp(p, word, n) == 0 && p[n + strspn(p + n, " \t")] == '\0')
			return true;
	}
	return false;
}

static int refuse(struct request *rq, void (*drop)(void *), void *arg, const char *why)
{
	struct lxm_err e = { 0 };

	if (drop)
		drop(arg);
	lxm_err_set(&e, EINVAL, "%s", why);
	return reply_error(rq, &e);
}

int reply_ws(struct request *rq, void (*accept)(struct ws *ws, void *arg), void (*drop)(void *arg),
	     void *arg)
{
	const char *version = rq_raw_header(rq, "Sec-WebSocket-Version");
	struct http_conn *c = rq->conn;
	struct MHD_Response *r;
	char key[32];

	if (strcmp(rq->method, "GET") != 0 || !header_has(rq, "Upgrade", "websocket") ||
	    !header_has(rq, "Connection", "upgrade"))
		return refuse(rq, drop, arg, "this is a websocket: ask for an upgrade");
	if (!version || strcmp(version, "13") != 0)
		return refuse(rq, drop, arg, "only websocket version 13 is spoken here");
	if (ws_accept_key(rq_raw_header(rq, "Sec-WebSocket-Key"), key) < 0)
		return refuse(rq, drop, arg, "malformed Sec-WebSocket-Key");
	c->accept_ws = accept;
	c->drop = drop;
	c->upgrade_arg = arg;
	r = MHD_create_response_for_upgrade(on_upgrade, c);
	(void)MHD_add_response_header(r, "Upgrade", "websocket");
	(void)MHD_add_response_header(r, "Sec-WebSocket-Accept", key);
	reply_set(c, 101, r);
	return 0;
}

int reply_upgrade(struct request *rq, const char *protocol,
		  void (*accept)(int fd, const void *extra, size_t len, void *arg),
		  void (*drop)(void *arg), void *arg)
{
	struct http_conn *c = rq->conn;
	struct MHD_Response *r;

	if (strcmp(rq->method, "GET") != 0 || !header_has(rq, "Upgrade", protocol) ||
	    !header_has(rq, "Connection", "upgrade"))
		return refuse(rq, drop, arg, "ask for an upgrade of the connection");
	c->accept_fd = accept;
	c->drop = drop;
	c->upgrade_arg = arg;
	r = MHD_create_response_for_upgrade(on_upgrade, c);
	(void)MHD_add_response_header(r, "Upgrade", protocol);
	reply_set(c, 101, r);
	return 0;
}
