/*
 * `lxmc remote add`, see verb.h. Believing a server comes first (a token's fingerprint, the CAs, or a person's word) and is kept as a pinned
 * certificate; being believed by it comes second. Nothing is remembered unless all of it worked.
 */
#include <stdio.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#include "lib/base/alloc.h"
#include "lib/tls/cert.h"
#include "lib/tls/join_token.h"
#include "lxmc/client.h"
#include "lxmc/json.h"
#include "lxmc/out.h"
#include "lxmc/remote.h"
#include "lxmc/verb.h"

/* One line from stdin without its end; NULL at the end of the input. free() it. */
static char *read_line(void)
{
	char *line = NULL;
	size_t room = 0;
	ssize_t n = getline(&line, &room, stdin);

	if (n < 0) {
		free(line);
		return NULL;
	}
	while (n && (line[n - 1] == '\n' || line[n - 1] == '\r'))
		line[--n] = 0;
	return line;
}

/* The same, not shown while it is typed. */
static char *read_secret(const char *prompt)
{
	struct termios old, quiet;
	bool tty = tcgetattr(STDIN_FILENO, &old) == 0;
	char *line;

	fputs(prompt, stderr);
	if (tty) {
		quiet = old;
		quiet.c_lflag &= ~(tcflag_t)ECHO;
		(void)tcsetattr(STDIN_FILENO, TCSAFLUSH, &quiet);
	}
	line = read_line();
	if (tty) {
		(void)tcsetattr(STDIN_FILENO, TCSAFLUSH, &old);
		fputc('\n', stderr);
	}
	return line;
}

/* ---- whether the server is the right one */

static int confirm(const char *fingerprint, struct lxm_err *e)
{
	lxm_auto(free) char *line = NULL;

	printf("Certificate fingerprint: %s\nok (y/n/[fingerprint])? ", fingerprint);
	fflush(stdout);
	line = read_line();
	if (line && (strcmp(line, "y") == 0 || strcmp(line, "yes") == 0 || strcmp(line, fingerprint) == 0))
		return 0;
	if (line && lxm_is_hex(line, 64, 64))
		return lxm_err_set(e, EKEYREJECTED, "the server's certificate is another one: it has fingerprint %s", fingerprint);
	return lxm_err_set(e, ECANCELED, "the server's certificate was not accepted");
}

/* Let the CAs say so. Returns 0, 1 if they do not know it, -errno when it cannot be reached. */
static int known_to_cas(struct route *rt, struct lxm_err *e)
{
	lxm_auto(conn) struct lxm_conn conn = { .fd = -1 };
	int r = lxm_dial_tls(&rt->tls, &conn, e);

	if (r != -EKEYREJECTED)
		return r;
	lxm_err_clear(e);
	return 1;
}

/* Get the certificate and pin it: the token's, or after a question. */
static int pin(struct cli *cli, const struct remote *rm, const char *expected, struct lxm_err *e)
{
	lxm_auto(route) struct route rt = { 0 };
	lxm_auto(free) char *pem = NULL, *stale = conf_server_cert(cli->conf, rm->name);
	int r;

	(void)unlink(stale); /* of a remote that is gone */
	r = route_init(&rt, cli->conf, rm, false, e);
	if (r < 0 || rt.socket)
		return r;
	if (!expected) {
		r = known_to_cas(&rt, e);
		if (r <= 0)
			return r;
	}
	r = lxm_tls_fetch_cert(&rt.tls, &pem, e);
	if (r < 0)
		return r;
	if (expected && strcmp(expected, rt.tls.peer_fingerprint) != 0)
		return lxm_err_set(e, EKEYREJECTED, "'%s' is not the server of the token: its certificate has fingerprint %s, "
						    "the token's has %s",
				   rm->addr, rt.tls.peer_fingerprint, expected);
	if (!expected && !cli_has(cli, "accept-certificate")) {
		r = confirm(rt.tls.peer_fingerprint, e);
		if (r < 0)
			return r;
	}
	return conf_save_server_cert(cli->conf, rm->name, pem, e);
}

/* ---- whether it knows us */

/* Show a secret for being trusted: servers differ in which of the two fields they read a token from. */
static int ask_for_trust(struct client *c, const char *secret, struct lxm_err *e)
{
	lxm_auto(join_token) struct lxm_join_token t = { 0 };
	json_t *body = json_pack("{s:s, s:s}", "type", "client", "password", secret);
	int r;

	if (!body)
		return lxm_err_set(e, EINVAL, "the password is not UTF-8");
	if (lxm_join_token_decode(secret, &t, NULL) == 0)
		json_object_set_new(body, "trust_token", json_string(secret));
	r = client_change(c, "POST", lxm_strdup("/1.0/certificates"), body, e);
	if (r < 0 && e && e->http == 403)
		return lxm_err_http(e, 403, EACCES, "remote '%s' does not accept that: a token serves once and for a while, and a "
						    "password only where core.trust_password is set; 'lxmc config trust add' there "
						    "makes a new token",
				    c->remote);
	return r;
}

static bool trusted(const json_t *server)
{
	return strcmp(jtext(server, "auth"), "trusted") == 0;
}

static int get_server(struct client *c, json_t **out, struct lxm_err *e)
{
	return client_get(c, lxm_strdup("/1.0"), out, e);
}

static int be_trusted(struct cli *cli, struct client *c, const char *secret, struct lxm_err *e)
{
	lxm_auto(json) json_t *before = NULL, *after = NULL;
	lxm_auto(free) char *typed = NULL, *prompt = lxm_asprintf("Token or trust password for %s: ", c->remote);
	int r = get_server(c, &before, e);

	if (r < 0 || trusted(before))
		return r;
	if (!secret)
		secret = typed = read_secret(prompt);
	if (lxm_empty(secret))
		return lxm_err_set(e, EACCES, "remote '%s' does not know this client; 'lxmc config trust add NAME' there makes a token "
					      "for 'lxmc remote add %s TOKEN'",
				   c->remote, c->remote);
	r = ask_for_trust(c, secret, e);
	if (r == 0)
		r = get_server(c, &after, e);
	if (r < 0)
		return r;
	if (!trusted(after))
		return lxm_err_set(e, EACCES, "remote '%s' took the secret and does not trust this client yet", c->remote);
	if (!cli->quiet)
		printf("Client certificate now trusted by server: %s\n", c->remote);
	return 0;
}

/* A client that may see one project only shall use that one. */
static void choose_project(struct cli *cli, struct client *c)
{
	lxm_auto(json) json_t *list = NULL;
	lxm_auto(free) char *first = NULL;
	json_t *item;
	size_t i;

	if (cli->project || client_get(c, lxm_strdup("/1.0/projects"), &list, NULL) < 0)
		return;
	json_array_foreach(list, i, item) {
		const char *url = json_string_value(item), *name = url ? strrchr(url, '/') : NULL;

		if (!name || strcmp(name, "/default") == 0)
			return;
		if (!first)
			first = lxm_url_decode(name + 1, strlen(name + 1), false);
	}
	if (!first)
		return;
	conf_set_project(cli->conf, c->remote, first);
	if (json_array_size(list) > 1 && !cli->quiet)
		fprintf(stderr, "Using project %s; 'lxmc project switch %s:PROJECT' chooses another\n", first, c->remote);
}

/* ---- putting it together */

/* Throw away what a failed attempt left: the pinned certificate and the entry, which is not saved yet. */
static int undo(struct cli *cli, const struct remote *rm, int r)
{
	lxm_auto(free) char *cert = conf_server_cert(cli->conf, rm->name);

	(void)unlink(cert);
	(void)conf_remove_remote(cli->conf, rm->name, NULL);
	clients_free(cli->clients);
	cli->clients = NULL;
	return r;
}

static int add_server(struct cli *cli, const struct remote *rm, const char *expected, const char *secret, struct lxm_err *e)
{
	lxm_auto(json) json_t *server = NULL;
	struct client *c;
	int r = conf_add_remote(cli->conf, rm, e);

	if (r < 0)
		return r;
	r = pin(cli, rm, expected, e);
	if (r == 0)
		r = cli_client(cli, rm->name, &c, e);
	if (r == 0)
		r = rm->is_public ? get_server(c, &server, e) : be_trusted(cli, c, secret, e);
	if (r < 0)
		return undo(cli, rm, r);
	if (!rm->is_public && !c->route.socket)
		choose_project(cli, c);
	r = conf_save(cli->conf, e);
	return r < 0 ? undo(cli, rm, r) : 0;
}

/* Whether another address of the token may do better. */
static bool worth_another(int r, const struct lxm_err *e)
{
	return e->http == 503 || (!e->http && r != -EEXIST && r != -EINVAL && r != -ECANCELED);
}

static int add_by_token(struct cli *cli, struct remote *rm, const struct lxm_join_token *t, const char *token, struct lxm_err *e)
{
	lxm_auto(buf) struct lxm_buf all = { 0 };
	size_t i;
	int r = -EINVAL;

	if (t->expires_at && t->expires_at < lxm_now())
		return lxm_err_set(e, ETIMEDOUT, "the token has expired; 'lxmc config trust add' on the server makes another");
	for (i = 0; i < t->addresses.n; i++) {
		lxm_auto(free) char *addr = NULL;

		lxm_err_clear(e);
		r = remote_normalise(t->addresses.v[i], false, &addr, e);
		if (r == 0) {
			rm->addr = addr;
			r = add_server(cli, rm, t->fingerprint, token, e);
		}
		if (r == 0 || !worth_another(r, e))
			return r;
		lxm_buf_fmt(&all, "%s%s", i ? "; " : "", e->msg);
	}
	return t->addresses.n > 1 ? lxm_err_set(e, -r, "none of the token's addresses serves: %s", all.data) : r;
}

/* The name that nobody gave: the host's. */
static int name_from(const char *address, char **out, struct lxm_err *e)
{
	lxm_auto(free) char *host = NULL, *port = NULL;
	int r = lxm_tls_split_address(address, NULL, &host, &port, e);

	if (r == 0 && conf_check_name(host, NULL) < 0)
		return cli_usage(e, "'%s' cannot be a remote's name; give one: remote add NAME ADDRESS", host);
	if (r == 0)
		*out = LXM_TAKE(host, NULL);
	return r;
}

/* What is wrong with the options, before anything is tried. */
static int check_flags(struct cli *cli, struct lxm_err *e)
{
	const char *protocol = cli_opt(cli, "protocol", "lxd"), *auth = cli_opt(cli, "auth-type", "tls");

	if (strcmp(protocol, "lxd") != 0 && strcmp(protocol, "incus") != 0 && strcmp(protocol, "simplestreams") != 0)
		return cli_usage(e, "unknown protocol '%s'; there are lxd and simplestreams", protocol);
	if (strcmp(auth, "tls") != 0)
		return cli_usage(e, "unknown way to authenticate '%s'; there is tls", auth);
	return cli_conf(cli, e);
}

int verb_remote_add(struct cli *cli, struct lxm_err *e)
{
	const char *token = cli_opt(cli, "token", NULL), *name = cli->n_args > 1 ? cli->args[0] : NULL;
	const char *target = cli->n_args > 1 ? cli->args[1] : cli->args[0];
	bool streams = strcmp(cli_opt(cli, "protocol", "lxd"), "simplestreams") == 0;
	lxm_auto(join_token) struct lxm_join_token t = { 0 };
	lxm_auto(free) char *invented = NULL, *addr = NULL;
	struct remote rm = { .protocol = streams ? "simplestreams" : "lxd", .auth_type = streams ? "" : "tls",
			     .project = cli->project ? cli->project : "", .is_public = streams || cli_has(cli, "public") };
	int r = check_flags(cli, e), is_token;

	if (r < 0)
		return r;
	is_token = lxm_join_token_decode(token && cli->n_args < 2 ? token : target, &t, e);
	if (is_token < 0 || (token && cli->n_args < 2 && is_token > 0))
		return is_token < 0 ? is_token : cli_usage(e, "--token is no join token");
	if (token && cli->n_args < 2)
		name = target, target = token;
	if (!name)
		r = name_from(is_token == 0 ? t.addresses.v[0] : target, &invented, e);
	if (r < 0)
		return r;
	rm.name = name ? name : invented;
	if (is_token == 0)
		return add_by_token(cli, &rm, &t, target, e);
	r = remote_normalise(target, streams, &addr, e);
	if (r < 0)
		return r;
	rm.addr = addr;
	if (streams) {
		r = conf_add_remote(cli->conf, &rm, e);
		return r < 0 ? r : conf_save(cli->conf, e);
	}
	return add_server(cli, &rm, NULL, token ? token : cli_opt(cli, "password", NULL), e);
}
