/*
 * libmicrohttpd at work: a few threads, each with its own epoll set of connections, that parse requests
 * and write replies. Handlers that may block run on workers while their connection is suspended.
 *
 * Everything that a client chooses has a bound: size of the headers (memory limit per connection), size of
 * the body, number of connections, and the time a half-sent request may take.
 */
#include "lxmd/http/http.h"

#include <grp.h>
#include <pwd.h>
#include <stdarg.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "lib/base/alloc.h"
#include "lib/base/fd.h"
#include "lib/base/log.h"
#include "lxmd/core/daemon.h"
#include "lxmd/http/conn.h"
#include "lxmd/http/limits.h"

#define HEADERS_MAX (32u * 1024) /* up to here libmicrohttpd takes it from the heap instead of a mapping for each connection */
#define CONNECTIONS 4096u
#define THREADS	    2u
#ifdef LXM_SAN
#define STACK_BYTES (4096u * 1024)
#else
#define STACK_BYTES (512u * 1024)
#endif

/* ---- who calls */

static void caller_of_unix_peer(int fd, struct caller *who)
{
	struct ucred cred = { .pid = 0, .uid = (uid_t)-1, .gid = (gid_t)-1 };
	socklen_t len = sizeof(cred);
	struct passwd pw, *found = NULL;
	char buf[4096];

	(void)getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &len);
	memset(who, 0, sizeof(*who));
	who->trust = CALLER_ADMIN; /* whoever may open the socket is trusted */
	who->uid = cred.uid;
	who->gid = cred.gid;
	who->pid = cred.pid;
	(void)snprintf(who->protocol, sizeof(who->protocol), "unix");
	(void)snprintf(who->address, sizeof(who->address), "@");
	if (cred.uid == 0)
		(void)snprintf(who->username, sizeof(who->username), "root");
	else if (getpwuid_r(cred.uid, &pw, buf, sizeof(buf), &found) == 0 && found)
		(void)snprintf(who->username, sizeof(who->username), "%s", pw.pw_name);
	else
		(void)snprintf(who->username, sizeof(who->username), "%u", cred.uid);
}

static void set_timeout(struct MHD_Connection *mhd, unsigned int seconds)
{
	(void)MHD_set_connection_option(mhd, MHD_CONNECTION_OPTION_TIMEOUT, seconds);
}

/* A connection begins or ends. */
static void on_connection(void *cls, struct MHD_Connection *mhd, void **socket_context,
			  enum MHD_ConnectionNotificationCode code)
{
	const union MHD_ConnectionInfo *info = MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_CONNECTION_FD);
	struct http_side *side = cls;
	int fd = info ? info->connect_fd : -1;

	if (side->tls) {
		if (code == MHD_CONNECTION_NOTIFY_STARTED)
			*socket_context = network_take_peer(side->http, fd);
		else
			peer_unref(LXM_TAKE(*socket_context, NULL));
	} else if (code == MHD_CONNECTION_NOTIFY_STARTED) {
		*socket_context = lxm_alloc(sizeof(struct caller));
		caller_of_unix_peer(fd, *socket_context);
	} else {
		free(*socket_context);
		*socket_context = NULL;
	}
}

/* ---- one request */

/* The request line is there; what this returns becomes *con_cls of the other callbacks. */
static void *on_uri(void *cls, const char *uri, struct MHD_Connection *mhd)
{
	struct http_side *side = cls;
	struct http_conn *c = lxm_alloc(sizeof(*c));

	c->http = side->http;
	c->mhd = mhd;
	c->uri = lxm_strdup(uri);
	c->body_fd = -1;
	return c;
}

static void on_completed(void *cls, struct MHD_Connection *mhd, void **con_cls,
			 enum MHD_RequestTerminationCode code)
{
	struct http_conn *c = LXM_TAKE(*con_cls, NULL);
	size_t i;

	if (!c)
		return;
	if (c->http->d->config.verbose || lxm_log_debug_on())
		lxm_log(c->http->d->config.verbose ? LXM_INFO : LXM_DEBUG, "%s %s: %u", c->rq.method ? c->rq.method : "?",
			c->uri, c->status);
	if (c->phase >= PHASE_RUNNING)
		atomic_fetch_sub(&c->http->active, 1);
	if (c->in_request)
		atomic_store(&c->peer->in_request, false);
	upgrade_deinit(c);
	body_deinit(c);
	if (c->response)
		MHD_destroy_response(c->response);
	for (i = 0; i < RQ_ARGS_MAX; i++)
		free(c->rq.args[i]);
	lxm_kv_deinit(&c->rq.query);
	json_decref(c->rq.json);
	free(c->uri);
	free(c);
}

static enum MHD_Result send_reply(struct http_conn *c)
{
	enum MHD_Result r;

	c->phase = PHASE_QUEUED;
	set_timeout(c->mhd, http_limits()->idle_s);
	edge_finish(c);
	/* who had more to ask asks the next lxmd */
	if (atomic_load(&c->http->closing) && c->status != MHD_HTTP_SWITCHING_PROTOCOLS)
		(void)MHD_add_response_header(c->response, MHD_HTTP_HEADER_CONNECTION, "close");
	r = MHD_queue_response(c->mhd, c->status, c->response);
	MHD_destroy_response(LXM_TAKE(c->response, NULL));
	return r;
}

/* Fills in who calls. False for a connection without its context, which is none of ours. */
static bool identify(struct http_side *side, struct http_conn *c)
{
	const union MHD_ConnectionInfo *info = MHD_get_connection_info(c->mhd, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
	void *context = info ? info->socket_context : NULL;

	if (!context)
		return false;
	if (!side->tls) {
		c->rq.caller = *(const struct caller *)context;
		return true;
	}
	c->peer = context;
	c->in_request = true;
	atomic_store(&c->peer->in_request, true);
	atomic_fetch_add(&c->peer->requests, 1);
	if (peer_identify(side->http->d, side->http->ca, c->peer, &c->rq.caller)) {
		c->peer_cert = c->peer->der;
		c->peer_cert_len = c->peer->der_len;
	}
	return true;
}

/* libmicrohttpd calls this with the headers, with each piece of the body, at its end, and after a resume. */
static enum MHD_Result on_request(void *cls, struct MHD_Connection *mhd, const char *url,
				  const char *method, const char *version, const char *data,
				  size_t *size, void **con_cls)
{
	struct http_conn *c = *con_cls;

	switch (c->phase) {
	case PHASE_HEADERS:
		if (!identify(cls, c))
			return MHD_NO;
		set_timeout(mhd, REQUEST_WAIT_S);
		c->phase = PHASE_BODY;
		dispatch_begin(c, method);
		return MHD_YES;
	case PHASE_BODY:
		if (*size > 0) {
			bool go_on = body_feed(c, data, *size);

			*size = 0;
			return go_on ? MHD_YES : MHD_NO;
		}
		c->phase = PHASE_RUNNING;
		/* first counted, then looked: http_stop() does it the other way round */
		atomic_fetch_add(&c->http->active, 1);
		if (atomic_load(&c->http->closing) && !c->failed.code)
			(void)lxm_err_http(&c->failed, 503, ESHUTDOWN, "the daemon is stopping");
		dispatch_run(c);
		/* c->suspended was set on this thread; a suspended request is not ours to look into */
		if (c->suspended)
			return MHD_YES;
		return send_reply(c);
	case PHASE_RUNNING:
		return send_reply(c);
	default:
		return MHD_NO;
	}
}

/* Paths are decoded by our router, segment by segment. */
static size_t keep_escapes(void *cls, struct MHD_Connection *mhd, char *s)
{
	return strlen(s);
}

static void on_mhd_log(void *cls, const char *fmt, va_list ap)
{
	char msg[512];
	size_t n;

	(void)vsnprintf(msg, sizeof(msg), fmt, ap);
	n = strlen(msg);
	while (n > 0 && msg[n - 1] == '\n')
		msg[--n] = '\0';
	lxm_debug("http: %s", msg);
}

/* ---- start and stop */

static int socket_owner(const struct lxmd *d, gid_t *gid_out, struct lxm_err *e)
{
	const char *name = d->config.group ? d->config.group : "lxm";
	struct group gr, *found = NULL;
	char buf[16384];

	*gid_out = (gid_t)-1;
	if (getgrnam_r(name, &gr, buf, sizeof(buf), &found) == 0 && found)
		*gid_out = gr.gr_gid;
	else if (d->config.group)
		return lxm_err_set(e, ENOENT, "there is no group '%s' for the socket", name);
	return 0;
}

static int socket_bind(struct lxmd *d, struct lxm_err *e)
{
	lxm_auto(fd_close) int fd = -1;
	gid_t gid;
	int r = socket_owner(d, &gid, e);

	if (r < 0)
		return r;
	(void)unlinkat(d->dirs.top.fd, "unix.socket", 0); /* stale: we hold the directory's lock */
	fd = lxm_unix_listen(d->dirs.top.fd, "unix.socket", SOCK_STREAM, 512, 0600);
	if (fd < 0) {
		errno = -fd;
		return lxm_err_sys(e, "listen on '%s/unix.socket'", d->dirs.top.path);
	}
	if (gid != (gid_t)-1 && fchownat(d->dirs.top.fd, "unix.socket", (uid_t)-1, gid, 0) < 0)
		return lxm_err_sys(e, "give '%s/unix.socket' to group %u", d->dirs.top.path, gid);
	if (fchmodat(d->dirs.top.fd, "unix.socket", 0660, 0) < 0)
		return lxm_err_sys(e, "set the mode of '%s/unix.socket'", d->dirs.top.path);
	return LXM_TAKE(fd, -1);
}

int side_start(struct http_side *side, int fd, unsigned int connections, struct lxm_err *e)
{
	unsigned int flags = MHD_USE_EPOLL_INTERNAL_THREAD | MHD_ALLOW_SUSPEND_RESUME | MHD_ALLOW_UPGRADE | MHD_USE_ERROR_LOG;
	struct MHD_OptionItem listen[] = { { MHD_OPTION_LISTEN_SOCKET, fd, NULL }, { MHD_OPTION_END, 0, NULL } };

	if (fd < 0) {
		flags |= MHD_USE_NO_LISTEN_SOCKET;
		listen[0].option = MHD_OPTION_END;
	}
	side->mhd = MHD_start_daemon(
		flags, 0, NULL, NULL, on_request, side, MHD_OPTION_EXTERNAL_LOGGER, on_mhd_log, NULL, MHD_OPTION_ARRAY, listen,
		MHD_OPTION_THREAD_POOL_SIZE, THREADS, MHD_OPTION_THREAD_STACK_SIZE, (size_t)STACK_BYTES,
		MHD_OPTION_CONNECTION_LIMIT, connections, MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)HEADERS_MAX,
		MHD_OPTION_CONNECTION_TIMEOUT, REQUEST_WAIT_S, MHD_OPTION_URI_LOG_CALLBACK, on_uri, side,
		MHD_OPTION_UNESCAPE_CALLBACK, keep_escapes, NULL, MHD_OPTION_NOTIFY_CONNECTION, on_connection, side,
		MHD_OPTION_NOTIFY_COMPLETED, on_completed, NULL, MHD_OPTION_END);
	return side->mhd ? 0 : lxm_err_set(e, ENOMEM, "start the HTTP server");
}

int http_start(struct lxmd *d, struct lxm_err *e)
{
	struct http *h = lxm_alloc(sizeof(*h));
	int fd, r;

	h->d = d;
	h->local.http = h->network.http = h;
	h->network.tls = true;
	h->ca = peer_ca_new();
	(void)pthread_mutex_init(&h->lock, NULL);
	(void)pthread_mutex_init(&h->configuring, NULL);
	fd = socket_bind(d, e);
	r = fd < 0 ? fd : side_start(&h->local, fd, CONNECTIONS, e);
	if (r < 0) {
		auto_fd_close(&fd);
		network_stop(h);
		free(h);
		return r;
	}
	d->http = h;
	return 0;
}

int http_stop(struct lxmd *d, int timeout_ms)
{
	struct http *h = d->http;
	int64_t until = lxm_mono_ms() + timeout_ms;

	if (!h)
		return 0;
	(void)unlinkat(d->dirs.top.fd, "unix.socket", 0);
	network_quiesce(h);
	/*
	 * Connections that are open bring further requests, and so does the socket while somebody knows it: MHD_quiesce_daemon() would
	 * stop that, but it and the threads of the pool may both take the socket out of a thread's epoll set, and the second aborts.
	 */
	atomic_store(&h->closing, true);
	while (atomic_load(&h->active) > 0 && lxm_mono_ms() < until)
		(void)usleep(5000);
	if (atomic_load(&h->active) > 0)
		return -EBUSY;
	MHD_stop_daemon(h->local.mhd); /* closes the socket */
	network_stop(h);
	free(h);
	d->http = NULL;
	return 0;
}
