/*
 * The network's side of the HTTP server: started when the first address is configured, so that a server of one host has
 * neither its threads nor its memory. Connections come from the TLS loops as one end of a socket pair each.
 */
#include <string.h>
#include <sys/un.h>

#include "lib/base/alloc.h"
#include "lib/base/kv.h"
#include "lib/base/log.h"
#include "lib/conf/tables.h"
#include "lxmd/core/daemon.h"
#include "lxmd/core/identity.h"
#include "lxmd/http/conn.h"
#include "lxmd/http/http.h"
#include "lxmd/http/limits.h"
#include "lxmd/http/tls.h"

/* ---- handing over */

static void put_peer(struct http *h, int fd, struct tls_peer *peer)
{
	struct tls_peer *left;
	size_t n;

	(void)pthread_mutex_lock(&h->lock);
	if ((size_t)fd >= h->n_handed) {
		n = ((size_t)fd + 1) * 2;
		h->handed = lxm_realloc_n(h->handed, n, sizeof(*h->handed));
		memset(h->handed + h->n_handed, 0, (n - h->n_handed) * sizeof(*h->handed));
		h->n_handed = n;
	}
	left = h->handed[fd]; /* libmicrohttpd gave that connection up before it began */
	h->handed[fd] = peer_ref(peer);
	(void)pthread_mutex_unlock(&h->lock);
	peer_unref(left);
}

struct tls_peer *network_take_peer(struct http *h, int fd)
{
	struct tls_peer *peer = NULL;

	(void)pthread_mutex_lock(&h->lock);
	if (fd >= 0 && (size_t)fd < h->n_handed)
		peer = LXM_TAKE(h->handed[fd], NULL);
	(void)pthread_mutex_unlock(&h->lock);
	return peer;
}

static bool adopt(void *arg, int fd, struct tls_peer *peer)
{
	struct sockaddr_un sa = { .sun_family = AF_UNIX };
	struct http *h = arg;

	put_peer(h, fd, peer);
	/* closes fd when it fails */
	return MHD_add_connection(h->network.mhd, fd, (struct sockaddr *)&sa, sizeof(sa)) == MHD_YES;
}

/* ---- configuration */

static void set_cors(struct http *h, const struct lxm_kv *config)
{
	struct http_cors fresh = {
		.origin = lxm_strdup(conf_get(&conf_server, config, "core.https_allowed_origin")),
		.methods = lxm_strdup(conf_get(&conf_server, config, "core.https_allowed_methods")),
		.headers = lxm_strdup(conf_get(&conf_server, config, "core.https_allowed_headers")),
		.credentials = conf_bool(&conf_server, config, "core.https_allowed_credentials"),
	};
	struct http_cors old;

	(void)pthread_mutex_lock(&h->lock);
	old = h->cors;
	h->cors = fresh;
	(void)pthread_mutex_unlock(&h->lock);
	free(old.origin);
	free(old.methods);
	free(old.headers);
}

static int start(struct http *h, struct lxm_err *e)
{
	int r = 0;

	if (!h->network.mhd)
		r = side_start(&h->network, -1, http_limits()->places, e);
	if (r == 0)
		r = peer_ca_load(h->ca, h->d, e);
	return r < 0 ? r : tls_start(h->d, h->ca, adopt, h, &h->tls, e);
}

static int configure(struct http *h, const struct lxm_kv *config, bool early, struct lxm_err *e)
{
	struct tls_want want = {
		.api = conf_get(&conf_server, config, "core.https_address"),
		.metrics = conf_get(&conf_server, config, "core.metrics_address"),
		.proxies = conf_get(&conf_server, config, "core.https_trusted_proxy"),
		.tls12 = strcmp(conf_get(&conf_server, config, "core.https_tls_minimum"), "1.2") == 0,
	};
	int r = 0;

	if (!h->tls && (!lxm_empty(want.api) || !lxm_empty(want.metrics)))
		r = start(h, e);
	if (r == 0 && h->tls)
		r = tls_configure(h->tls, &want, early, e);
	if (r < 0)
		return r;
	peer_ca_trust(h->ca, conf_bool(&conf_server, config, "core.trust_ca_certificates"));
	set_cors(h, config);
	atomic_store(&h->metrics_open, !conf_bool(&conf_server, config, "core.metrics_authentication"));
	return 0;
}

int http_configure(struct lxmd *d, const struct lxm_kv *config, bool early, struct lxm_err *e)
{
	struct http *h = d->http;
	int r;

	(void)pthread_mutex_lock(&h->configuring);
	r = configure(h, config, early, e);
	(void)pthread_mutex_unlock(&h->configuring);
	return r;
}

int http_reload(struct lxmd *d, struct lxm_err *e)
{
	struct http *h = d->http;
	int r;

	(void)pthread_mutex_lock(&h->configuring);
	r = identity_reload(d, e);
	if (r == 0 && h->tls)
		r = tls_reload(h->tls, e);
	if (r == 0)
		r = peer_ca_load(h->ca, d, e);
	(void)pthread_mutex_unlock(&h->configuring);
	return r;
}

void network_quiesce(struct http *h)
{
	(void)pthread_mutex_lock(&h->configuring);
	tls_close_listeners(h->tls);
	(void)pthread_mutex_unlock(&h->configuring);
}

void network_stop(struct http *h)
{
	size_t i;

	(void)pthread_mutex_lock(&h->configuring); /* for what the last change wrote; nobody else is left */
	(void)pthread_mutex_unlock(&h->configuring);
	if (h->network.mhd)
		MHD_stop_daemon(h->network.mhd);
	tls_stop(h->tls);
	for (i = 0; i < h->n_handed; i++)
		peer_unref(h->handed[i]);
	free(h->handed);
	free(h->cors.origin);
	free(h->cors.methods);
	free(h->cors.headers);
	peer_ca_free(h->ca);
	(void)pthread_mutex_destroy(&h->lock);
	(void)pthread_mutex_destroy(&h->configuring);
}
