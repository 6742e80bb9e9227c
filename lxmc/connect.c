/*
 * Ways to servers, see connect.h. A remote whose certificate was accepted once is pinned to it; without a pin the CAs decide (ours from
 * client.ca, else the system's). Whatever goes wrong names the remote and what can be done.
 */
#include "lxmc/connect.h"

#include <fcntl.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/base/alloc.h"
#include "lib/base/fd.h"
#include "lib/tls/cert.h"

#define PEM_MAX 65536

static int read_pem(const char *path, char **out, struct lxm_err *e)
{
	lxm_auto(buf) struct lxm_buf b = { 0 };
	int r = lxm_read_file(path, PEM_MAX, &b);

	if (r < 0) {
		errno = -r;
		return lxm_err_sys(e, "read '%s'", path);
	}
	*out = lxm_buf_take(&b);
	return 0;
}

/* ---- our own certificate */

static void cert_paths(const struct conf *conf, char **cert, char **key)
{
	*cert = lxm_asprintf("%s/client.crt", conf_dir(conf));
	*key = lxm_asprintf("%s/client.key", conf_dir(conf));
}

bool own_cert_exists(const struct conf *conf)
{
	lxm_auto(free) char *cert = NULL, *key = NULL;

	cert_paths(conf, &cert, &key);
	return access(cert, F_OK) == 0 && access(key, F_OK) == 0;
}

/* Who we are, for people who read a trust store: "user@host". */
static char *own_name(void)
{
	const struct passwd *pw = getpwuid(getuid());
	char host[65] = "";

	(void)gethostname(host, sizeof(host) - 1);
	return lxm_asprintf("%s@%s", pw ? pw->pw_name : "user", *host ? host : "host");
}

/* The key first and the certificate last: half a pair is made anew. */
static int make_own_cert(const struct conf *conf, const char *cert_path, const char *key_path, struct lxm_err *e)
{
	lxm_auto(cert_key) char *key = NULL;
	lxm_auto(free) char *cert = NULL, *name = own_name();
	const char *path = key_path;
	int r;

	if (access(cert_path, F_OK) == 0 || access(key_path, F_OK) == 0)
		return lxm_err_set(e, EEXIST, "of '%s' and '%s' only one is there; bring the other back, or remove it and be "
					      "trusted anew",
				   cert_path, key_path);
	r = lxm_cert_make(name, NULL, LXM_CERT_CLIENT, LXM_CERT_YEARS * 365, &key, &cert, e);
	if (r < 0)
		return r;
	r = lxm_mkdir_p(conf_dir(conf), 0700);
	if (r == 0)
		r = lxm_write_file_atomic(AT_FDCWD, key_path, key, strlen(key), 0600);
	if (r == 0) {
		path = cert_path;
		r = lxm_write_file_atomic(AT_FDCWD, cert_path, cert, strlen(cert), 0600);
	}
	if (r == 0)
		return 0;
	errno = -r;
	return lxm_err_sys(e, "write '%s'", path);
}

int own_cert(const struct conf *conf, char **cert_out, char **key_out, struct lxm_err *e)
{
	lxm_auto(free) char *cert_path = NULL, *key_path = NULL, *cert = NULL;
	lxm_auto(cert_key) char *key = NULL;
	int r = 0;

	cert_paths(conf, &cert_path, &key_path);
	if (!own_cert_exists(conf))
		r = make_own_cert(conf, cert_path, key_path, e);
	if (r == 0)
		r = read_pem(cert_path, &cert, e);
	if (r == 0)
		r = read_pem(key_path, &key, e);
	if (r < 0)
		return r;
	if (cert_out)
		*cert_out = LXM_TAKE(cert, NULL);
	if (key_out)
		*key_out = LXM_TAKE(key, NULL);
	return 0;
}

/* ---- routes */

static int tls_route(struct route *rt, const struct conf *conf, const struct remote *rm, bool with_cert, struct lxm_err *e)
{
	lxm_auto(free) char *pin = conf_server_cert(conf, rm->name), *sessions = NULL;
	const char *old = getenv("LXMC_INSECURE_TLS");
	int r = 0;

	rt->addr = lxm_strdup(rm->addr);
	rt->addresses[0] = rt->addr;
	rt->tls.addresses = rt->addresses;
	rt->tls.tls12 = !lxm_empty(old);
	if (strcmp(rm->protocol, "simplestreams") == 0) {
		/* an ordinary web server */
		rt->tls.default_port = "443";
		rt->tls.tls12 = true;
	}
	if (access(pin, F_OK) == 0) {
		r = read_pem(pin, &rt->server_pem, e);
		rt->tls.server_pem = rt->server_pem;
	} else {
		rt->ca_file = lxm_asprintf("%s/client.ca", conf_dir(conf));
		rt->tls.trust = LXM_TLS_SYSTEM_CA;
		rt->tls.ca_file = access(rt->ca_file, F_OK) == 0 ? rt->ca_file : NULL;
	}
	if (r == 0 && with_cert)
		r = own_cert(conf, &rt->client_pem, &rt->client_key, e);
	rt->tls.client_pem = rt->client_pem;
	rt->tls.client_key_pem = rt->client_key;
	sessions = lxm_asprintf("%s/sessions", conf_dir(conf));
	rt->tls.sessions = lxm_tls_sessions_new(sessions);
	return r;
}

int route_init(struct route *rt, const struct conf *conf, const struct remote *rm, bool with_cert, struct lxm_err *e)
{
	const char *path;

	memset(rt, 0, sizeof(*rt));
	rt->remote = lxm_strdup(rm->name);
	if (lxm_starts(rm->addr, "https://"))
		return tls_route(rt, conf, rm, with_cert, e);
	if (!lxm_starts(rm->addr, "unix:"))
		return lxm_err_set(e, EINVAL, "remote '%s': '%s' is neither https:// nor unix:", rm->name, rm->addr);
	path = rm->addr + strlen("unix:");
	if (lxm_starts(path, "//"))
		path += 2;
	rt->socket = *path ? lxm_strdup(path) : conf_local_socket();
	return 0;
}

void route_deinit(struct route *rt)
{
	lxm_tls_sessions_free(rt->tls.sessions);
	lxm_cert_key_free(rt->client_key);
	free(rt->client_pem);
	free(rt->ca_file);
	free(rt->server_pem);
	free(rt->addr);
	free(rt->socket);
	free(rt->remote);
	memset(rt, 0, sizeof(*rt));
}

/* Another certificate than the one that was accepted: an attack, or a server set up anew. */
static int changed(const struct route *rt, struct lxm_err *e)
{
	char fp[LXM_CERT_HEX] = "unreadable";

	(void)lxm_cert_pem_fingerprint(rt->server_pem, fp, NULL);
	return lxm_err_set(e, EKEYREJECTED,
			   "remote '%s' (%s) shows another certificate than the one that was accepted: accepted is %s, shown is %s. "
			   "Somebody may be in between; if the server was set up anew, 'lxmc remote remove %s' and add it again",
			   rt->remote, rt->addr, fp, rt->tls.peer_fingerprint, rt->remote);
}

static int dial_tls(struct route *rt, struct lxm_conn *conn_out, struct lxm_err *e)
{
	struct lxm_err why = { 0 };
	int r = lxm_dial_tls(&rt->tls, conn_out, &why);

	if (r == 0)
		return 0;
	if (r == -EKEYREJECTED && rt->server_pem && *rt->tls.peer_fingerprint)
		return changed(rt, e);
	if (r == -EKEYREJECTED)
		return lxm_err_set(e, EKEYREJECTED, "remote '%s': %s; 'lxmc remote add' shows it and asks", rt->remote, why.msg);
	return lxm_err_set(e, -r, "remote '%s': %s", rt->remote, why.msg);
}

int route_dial(void *route, struct lxm_conn *conn_out, struct lxm_err *e)
{
	struct route *rt = route;
	int r;

	if (!rt->socket)
		return dial_tls(rt, conn_out, e);
	r = lxm_dial_unix(rt->socket, conn_out, NULL);
	if (r == 0)
		return 0;
	if (r == -EACCES || r == -EPERM)
		return lxm_err_set(e, -r, "no access to the server's socket '%s'; run as root or join the group that owns it",
				   rt->socket);
	return lxm_err_set(e, -r, "no server answers at '%s' (%s); is lxmd running? LXMC_SOCKET names another socket",
			   rt->socket, strerror(-r));
}
