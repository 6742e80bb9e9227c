/* Talking to one server: envelopes, errors that name the object, operations, progress and websockets. */
#ifndef LXM_LXMC_CLIENT_H
#define LXM_LXMC_CLIENT_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "lib/base/err.h"
#include "lib/tls/http_client.h"
#include "lib/tls/ws_client.h"
#include "lxmc/cli.h"
#include "lxmc/connect.h"

/* One server. Made by cli_client(); lives as long as the cli. */
struct client {
	struct client *next;
	char *remote;	/* its name in the configuration; owned */
	struct route route;
	char *project;	/* NULL: default; owned */
	struct lxm_http *http;
	bool debug, quiet;
	json_t *server; /* GET /1.0 once asked for */
};

void clients_free(struct client *list);

/**
 * The server of a remote.
 *
 * @remote  its name, NULL for the default one
 *
 * Does not connect yet. Returns 0, -ENOENT, or -EOPNOTSUPP for a remote that is no server of this kind (simplestreams).
 */
int cli_client(struct cli *cli, const char *remote, struct client **client_out, struct lxm_err *e);

/** Load the configuration if that has not been done yet. */
int cli_conf(struct cli *cli, struct lxm_err *e);

/** Split "REMOTE:NAME" or "NAME" (an unknown remote is an error); *name_out borrows from arg. */
int cli_target(struct cli *cli, const char *arg, struct client **client_out, const char **name_out,
	       struct lxm_err *e);

/**
 * A request path: each %s of fmt is percent-encoded as one segment (or query value), %r is put in as it is, and the
 * client's project is added. free() it.
 */
char *client_url(const struct client *c, const char *fmt, ...);

/* One request and what came back. Zeroed but for what is set. */
struct call {
	const char *method, *url; /* borrowed */
	const json_t *body;	  /* borrowed; NULL: none */
	const char *if_match;	  /* ETag, or NULL */
	json_t *meta;		  /* out: metadata, owned; never NULL on success (json null) */
	char *operation;	  /* out: id of the operation when it is asynchronous, owned */
	char *etag;		  /* out: owned, or NULL */
};

void call_deinit(struct call *call);
LXM_AUTO_STRUCT(call, struct call, call_deinit)

/** Send one request. An error reply becomes e: e->http its status, the text with the object's kind and name. */
int client_call(struct client *c, struct call *call, struct lxm_err *e);

/** GET into *meta_out (owned by the caller); takes url. */
int client_get(struct client *c, char *url, json_t **meta_out, struct lxm_err *e);

/**
 * Change something and wait for the operation, if there is one.
 *
 * @url   taken
 * @body  stolen; NULL: none
 */
int client_change(struct client *c, const char *method, char *url, json_t *body, struct lxm_err *e);

/** As client_change(), with what to show while waiting ("Creating c1") and the final operation (or NULL) handed out. */
int client_change_op(struct client *c, const char *method, char *url, json_t *body, const char *title,
		     json_t **op_out, struct lxm_err *e);

/**
 * Wait for an operation, showing its progress; ^C asks the server to cancel it, a second ^C stops waiting.
 *
 * @title   shown before the progress; NULL: only the server's words
 * @op_out  the final operation, owned; may be NULL
 *
 * Returns 0 on success, -errno with the operation's error text otherwise (then *op_out is set too).
 */
int client_wait(struct client *c, const char *id, const char *title, json_t **op_out, struct lxm_err *e);

/** Request with headers and bodies of the caller's own; error envelopes become e as in client_call(). */
int client_raw(struct client *c, const struct lxm_http_request *rq, struct lxm_http_reply *reply,
	       struct lxm_err *e);
/** Judge a reply: < 0 with e filled if it is an error. */
int client_check(const struct client *c, const char *url, const struct lxm_http_reply *reply, struct lxm_err *e);

/** Put "WHAT 'NAME': " ("create instance") before an error, unless the server has said so itself. Returns r. */
int client_tried(struct lxm_err *e, int r, const char *what, const char *name);

/** A websocket of this server; url as from client_url(). */
int client_ws(struct client *c, const char *url, lxm_ws_message_fn on_message, void *arg, struct lxm_ws **ws_out,
	      struct lxm_err *e);

/** A new connection to the server, for protocols of their own; lxm_conn_close() it. */
int client_dial(struct client *c, struct lxm_conn *conn_out, struct lxm_err *e);

/** One more HTTP connection to the server, beside c->http; lxm_http_free() it before the client. */
struct lxm_http *client_http(struct client *c);

/** Whether anybody listens on the server's socket. */
bool client_answers(struct client *c);

/** GET /1.0, asked once; borrowed. */
int client_server(struct client *c, json_t **server_out, struct lxm_err *e);
/** Whether the server has an API extension (asks GET /1.0 once; false when that fails). */
bool client_has(struct client *c, const char *extension);

#endif
