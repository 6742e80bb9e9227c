/*
 * Instances between servers, see transfer.h: one operation on either side, joined by secrets.
 * Each address of a server gets operations of its own, because a source whose sockets nobody opens gives up.
 */
#include "lxmc/transfer.h"

#include <stdio.h>
#include <string.h>

#include "lib/base/alloc.h"
#include "lib/tls/ws_relay.h"
#include "lxmc/entity.h"
#include "lxmc/json.h"
#include "lxmc/progress.h"

#define SILENCE_MS 2000 /* without a byte: ask whether the transfer is over */
#define CHANNELS   8 /* websockets of one transfer: control, fs, and what newer servers may add */

int transfer_mode(const char *text, enum transfer_mode *out, struct lxm_err *e)
{
	static const char *const names[] = { "", "pull", "push", "relay" };
	size_t i;

	for (i = 0; i < LXM_ARRAY_LEN(names); i++) {
		if (strcmp(text, names[i]) == 0) {
			*out = (enum transfer_mode)i;
			return 0;
		}
	}
	return cli_usage(e, "unknown mode '%s'; there are pull, push and relay", text);
}

static int environment(struct client *c, const json_t **out, struct lxm_err *e)
{
	json_t *server;
	int r = client_server(c, &server, e);

	if (r == 0)
		*out = json_object_get(server, "environment");
	return r;
}

int transfer_same_server(struct client *a, struct client *b, bool *same_out, struct lxm_err *e)
{
	const json_t *x, *y;
	int r = environment(a, &x, e);

	if (r == 0)
		r = environment(b, &y, e);
	if (r == 0)
		*same_out = *jtext(x, "certificate") && strcmp(jtext(x, "certificate"), jtext(y, "certificate")) == 0 &&
			    strcmp(jtext(x, "server_name"), jtext(y, "server_name")) == 0;
	return r;
}

const char *transfer_certificate(struct client *c)
{
	const json_t *env = NULL;

	return environment(c, &env, NULL) == 0 ? jtext(env, "certificate") : "";
}

static bool is_loopback(const char *url)
{
	return lxm_starts(url, "https://127.") || lxm_starts(url, "https://[::1]") || lxm_starts(url, "https://localhost");
}

int transfer_addresses(struct client *c, struct lxm_strv *out, struct lxm_err *e)
{
	const char *own = c->route.addr;
	const json_t *env = NULL, *list;
	size_t i;
	int r = environment(c, &env, e);

	if (r < 0)
		return r;
	if (own && !is_loopback(own))
		lxm_strv_add(out, own);
	list = json_object_get(env, "addresses");
	for (i = 0; i < json_array_size(list); i++) {
		const char *a = json_string_value(json_array_get(list, i));
		lxm_auto(free) char *url = a ? lxm_asprintf("https://%s", a) : NULL;

		if (url && *a && *a != ':' && !lxm_strv_has(out, url))
			lxm_strv_take(out, LXM_TAKE(url, NULL));
	}
	if (own && !lxm_strv_has(out, own))
		lxm_strv_add(out, own);
	return 0;
}

/* ---- the two requests */

/* An operation that was begun: its id, and its secrets or NULL. */
struct begun {
	char *id;	/* owned */
	json_t *secrets; /* owned */
};

static void begun_deinit(struct begun *b)
{
	free(b->id);
	json_decref(b->secrets);
	memset(b, 0, sizeof(*b));
}
LXM_AUTO_STRUCT(begun, struct begun, begun_deinit)

/* @body stolen */
static int begin(struct client *c, char *url, json_t *body, struct begun *out, struct lxm_err *e)
{
	lxm_auto(free) char *owned = url;
	lxm_auto(json) json_t *stolen = body;
	lxm_auto(call) struct call call = { .method = "POST", .url = owned, .body = stolen };
	json_t *meta;
	int r = client_call(c, &call, e);

	if (r < 0)
		return lxm_err_wrap(e, r, "remote '%s'", c->remote);
	if (!call.operation)
		return lxm_err_set(e, EPROTO, "remote '%s' did not begin an operation", c->remote);
	meta = json_object_get(call.meta, "metadata");
	out->secrets = json_is_object(meta) ? json_incref(meta) : NULL;
	out->id = LXM_TAKE(call.operation, NULL);
	return 0;
}

/* @target: the other side's operation for push, stolen, or NULL */
static int begin_source(const struct transfer *t, json_t *target, struct begun *out, struct lxm_err *e)
{
	const char *slash = strchr(t->source, '/');
	lxm_auto(free) char *parent = slash ? lxm_strndup(t->source, (size_t)(slash - t->source)) : NULL;
	json_t *body = json_pack("{s:s, s:b, s:b, s:b, s:b, s:b}", "name", slash ? slash + 1 : t->source, "migration", 1, "live",
				 t->live, "instance_only", t->instance_only, "container_only", t->instance_only,
				 "allow_inconsistent", t->allow_inconsistent);

	if (target)
		json_object_set_new(body, "target", target);
	return begin(t->from, slash ? client_url(t->from, "/1.0/instances/%s/snapshots/%s", parent, slash + 1) :
				      client_url(t->from, "/1.0/instances/%s", t->source),
		     body, out, e);
}

/* @link: where the source's operation is for pull, stolen, or NULL */
static int begin_target(const struct transfer *t, const json_t *body, json_t *link, struct begun *out, struct lxm_err *e)
{
	json_t *all = json_copy((json_t *)body), *source = link ? link : json_object();
	const char *image = jtext(json_object_get(body, "config"), "volatile.base_image");

	json_object_set_new(source, "type", json_string("migration"));
	json_object_set_new(source, "mode", json_string(link ? "pull" : "push"));
	json_object_set_new(source, "live", json_boolean(t->live));
	json_object_set_new(source, "instance_only", json_boolean(t->instance_only));
	json_object_set_new(source, "container_only", json_boolean(t->instance_only));
	json_object_set_new(source, "refresh", json_boolean(t->refresh));
	json_object_set_new(source, "allow_inconsistent", json_boolean(t->allow_inconsistent));
	if (*image)
		json_object_set_new(source, "base-image", json_string(image));
	json_object_set_new(all, "source", source);
	return begin(t->to, client_url(t->to, "/1.0/instances"), all, out, e);
}

/* How one server finds the other's operation; new reference. */
static json_t *link_to(struct client *c, const char *address, const struct begun *b)
{
	lxm_auto(free) char *url = lxm_asprintf("%s/1.0/operations/%s", address, b->id);
	json_t *o = json_pack("{s:s, s:O}", "operation", url, "secrets", b->secrets);

	if (*transfer_certificate(c))
		json_object_set_new(o, "certificate", json_string(transfer_certificate(c)));
	return o;
}

/* End what is still running on a side; its own error text, if it has one, is put behind e. */
static void give_up(struct client *c, const struct begun *b, struct lxm_err *e)
{
	lxm_auto(json) json_t *op = NULL;
	char said[200];

	if (!b->id || client_get(c, client_url(c, "/1.0/operations/%s", b->id), &op, NULL) < 0)
		return;
	if (jint(op, "status_code") < API_SUCCESS) {
		(void)client_change(c, "DELETE", client_url(c, "/1.0/operations/%s", b->id), NULL, NULL);
	} else if (e && *jtext(op, "err") && !strstr(e->msg, jtext(op, "err"))) {
		snprintf(said, sizeof(said), " (remote '%.60s': %.100s)", c->remote, jtext(op, "err"));
		strncat(e->msg, said, sizeof(e->msg) - strlen(e->msg) - 1);
	}
}

static int no_secrets(const struct client *c, struct lxm_err *e)
{
	return lxm_err_set(e, EPROTO, "remote '%s' gave no secrets for the transfer", c->remote);
}

/* The side that does the work ends first, then the other one, which has its own opinion of how it went. */
static int wait_both(const struct transfer *t, struct client *first, const struct begun *a, struct client *second,
		     const struct begun *b, struct lxm_err *e)
{
	lxm_auto(free) char *title = lxm_asprintf("%s %s", t->title, t->source);
	int r = client_wait(first, a->id, title, NULL, e);

	if (r < 0) {
		(void)lxm_err_wrap(e, r, "remote '%s'", first->remote);
		give_up(second, b, e);
		give_up(first, a, NULL);
		return r;
	}
	r = client_wait(second, b->id, NULL, NULL, e);
	return r < 0 ? lxm_err_wrap(e, r, "remote '%s'", second->remote) : 0;
}

static int pull(const struct transfer *t, const json_t *body, const char *address, struct lxm_err *e)
{
	lxm_auto(begun) struct begun source = { 0 }, target = { 0 };
	int r = begin_source(t, NULL, &source, e);

	if (r == 0 && !source.secrets)
		r = no_secrets(t->from, e);
	if (r == 0)
		r = begin_target(t, body, link_to(t->from, address, &source), &target, e);
	if (r < 0) {
		give_up(t->from, &source, NULL);
		return r;
	}
	return wait_both(t, t->to, &target, t->from, &source, e);
}

static int push(const struct transfer *t, const json_t *body, const char *address, struct lxm_err *e)
{
	lxm_auto(begun) struct begun source = { 0 }, target = { 0 };
	int r = begin_target(t, body, NULL, &target, e);

	if (r == 0 && !target.secrets)
		r = no_secrets(t->to, e);
	if (r == 0)
		r = begin_source(t, link_to(t->to, address, &target), &source, e);
	if (r < 0) {
		give_up(t->to, &target, NULL);
		return r;
	}
	return wait_both(t, t->to, &target, t->from, &source, e);
}

/* ---- relay */

struct relay {
	const struct transfer *t;
	struct lxm_ws_relay *ways[CHANNELS]; /* owned; NULL once ended */
	size_t n;
	struct progress progress;
};

static void relay_deinit(struct relay *rl)
{
	size_t i;

	for (i = 0; i < rl->n; i++)
		lxm_ws_relay_free(rl->ways[i]);
	progress_end(&rl->progress);
}
LXM_AUTO_STRUCT(relay, struct relay, relay_deinit)

static char *socket_target(const struct begun *b, const char *secret)
{
	lxm_auto(free) char *enc = lxm_url_encode(secret, NULL);

	return lxm_asprintf("/1.0/operations/%s/websocket?secret=%s", b->id, enc);
}

static int open_ways(struct relay *rl, const struct begun *source, const struct begun *target, struct lxm_err *e)
{
	static const lxm_dial_fn dials[2] = { route_dial, route_dial };
	void *const routes[2] = { &rl->t->from->route, &rl->t->to->route };
	const char *name;
	json_t *secret;

	json_object_foreach(source->secrets, name, secret) {
		const char *other = jtext(target->secrets, name);
		lxm_auto(free) char *a = NULL, *b = NULL;
		int r;

		if (!json_is_string(secret) || !*other || rl->n == CHANNELS)
			return lxm_err_set(e, EPROTO, "the two servers do not agree about the transfer's channel '%.40s'", name);
		a = socket_target(source, json_string_value(secret));
		b = socket_target(target, other);
		r = lxm_ws_relay_open(dials, routes, (const char *const[]){ a, b }, &rl->ways[rl->n], e);
		if (r < 0)
			return lxm_err_wrap(e, r, "channel '%.40s'", name);
		rl->n++;
	}
	return rl->n ? 0 : no_secrets(rl->t->from, e);
}

static uint64_t relayed(const struct relay *rl)
{
	uint64_t sum = 0;
	size_t i;

	for (i = 0; i < rl->n; i++)
		sum += rl->ways[i] ? lxm_ws_relay_bytes(rl->ways[i]) : 0;
	return sum;
}

/* A server that is done may leave its sockets open. */
static bool is_over(struct client *c, const struct begun *b)
{
	lxm_auto(json) json_t *op = NULL;

	return client_get(c, client_url(c, "/1.0/operations/%s", b->id), &op, NULL) < 0 ||
	       jint(op, "status_code") >= API_SUCCESS;
}

/* Carry frames until every channel has ended. A broken one ends the others too: the servers say what that means. */
static int carry(struct relay *rl, const struct begun *target, struct lxm_err *e)
{
	size_t open = rl->n, i;
	int ready;

	while (open) {
		struct pollfd p[2 * CHANNELS];

		for (i = 0; i < rl->n; i++) {
			p[2 * i].fd = p[2 * i + 1].fd = -1;
			if (rl->ways[i])
				lxm_ws_relay_poll(rl->ways[i], &p[2 * i]);
		}
		ready = poll(p, 2 * rl->n, SILENCE_MS);
		if (ready < 0 && errno != EINTR)
			return lxm_err_sys(e, "wait for the servers");
		if (ready == 0 && is_over(rl->t->to, target))
			return 0;
		for (i = 0; i < rl->n; i++) {
			int r = rl->ways[i] ? lxm_ws_relay_pump(rl->ways[i], &p[2 * i], e) : 0;

			if (r < 0)
				return r;
			if (r == 1) {
				lxm_ws_relay_free(rl->ways[i]);
				rl->ways[i] = NULL;
				open--;
			}
		}
		progress_bytes(&rl->progress, relayed(rl), 0);
	}
	return 0;
}

static int relay(const struct transfer *t, const json_t *body, struct lxm_err *e)
{
	lxm_auto(begun) struct begun source = { 0 }, target = { 0 };
	struct lxm_err broken = { 0 };
	int r = begin_source(t, NULL, &source, e), lost = 0;

	if (r == 0 && !source.secrets)
		r = no_secrets(t->from, e);
	if (r == 0)
		r = begin_target(t, body, NULL, &target, e);
	if (r == 0) {
		lxm_auto(relay) struct relay rl = { .t = t };
		lxm_auto(free) char *title = lxm_asprintf("%s %s", t->title, t->source);

		progress_begin(&rl.progress, title, t->from->quiet);
		r = open_ways(&rl, &source, &target, e);
		if (r == 0)
			lost = carry(&rl, &target, &broken);
	}
	if (r < 0) {
		give_up(t->to, &target, NULL);
		give_up(t->from, &source, NULL);
		return r;
	}
	r = wait_both(t, t->to, &target, t->from, &source, e);
	return r < 0 && lost < 0 && e && !*e->msg ? (*e = broken, lost) : r;
}

/* ---- which way, and what comes after */

static int pick_mode(const struct transfer *t, enum transfer_mode *mode, struct lxm_strv *addresses, struct lxm_err *e)
{
	int r = 0;

	*mode = t->mode;
	if (*mode == TRANSFER_PULL || *mode == TRANSFER_AUTO) {
		r = transfer_addresses(t->from, addresses, e);
		if (r < 0 || addresses->n) {
			*mode = TRANSFER_PULL;
			return r;
		}
	}
	if (*mode == TRANSFER_PUSH || *mode == TRANSFER_AUTO) {
		r = transfer_addresses(t->to, addresses, e);
		if (r < 0 || addresses->n) {
			*mode = TRANSFER_PUSH;
			return r;
		}
	}
	if (*mode == TRANSFER_PULL || *mode == TRANSFER_PUSH)
		return lxm_err_set(e, ENOTCONN, "remote '%s' does not listen on the network: set core.https_address there, or use "
						"--mode=relay",
				   *mode == TRANSFER_PULL ? t->from->remote : t->to->remote);
	*mode = TRANSFER_RELAY;
	return 0;
}

/* Whether the failure may be the address's fault and not the instance's. */
static bool may_be_unreachable(int r, const struct lxm_err *e)
{
	return r == -EIO && !e->http &&
	       (strcasestr(e->msg, "connect") || strcasestr(e->msg, "dial") || strcasestr(e->msg, "timed out") ||
		strcasestr(e->msg, "unreachable") || strcasestr(e->msg, "certificate") || strcasestr(e->msg, "no route"));
}

static int move_bytes(const struct transfer *t, const json_t *body, struct lxm_err *e)
{
	lxm_auto(strv) struct lxm_strv addresses = { 0 };
	enum transfer_mode mode;
	size_t i;
	int r = pick_mode(t, &mode, &addresses, e);

	if (r < 0)
		return r;
	if (mode == TRANSFER_RELAY)
		return relay(t, body, e);
	for (i = 0; i < addresses.n; i++) {
		lxm_err_clear(e);
		r = mode == TRANSFER_PULL ? pull(t, body, addresses.v[i], e) : push(t, body, addresses.v[i], e);
		if (r == 0 || !may_be_unreachable(r, e))
			return r;
	}
	return r;
}

/* A refreshed copy takes over the source's configuration; what is volatile, and on which pool it lies, stays the copy's own. */
static int take_config(json_t *object, void *arg, struct lxm_err *e)
{
	const json_t *body = arg;
	json_t *config = json_deep_copy(json_object_get(body, "config")), *own = json_object_get(object, "config");
	json_t *devices = json_deep_copy(json_object_get(body, "devices")), *v;
	json_t *root = json_object_get(json_object_get(object, "devices"), "root");
	const char *key;

	json_object_foreach(own, key, v)
		if (lxm_starts(key, "volatile."))
			json_object_set(config, key, v);
	if (root)
		json_object_set(devices, "root", root);
	else
		json_object_del(devices, "root");
	json_object_set_new(object, "config", config);
	json_object_set_new(object, "devices", devices);
	json_object_set(object, "profiles", json_object_get(body, "profiles"));
	json_object_set(object, "description", json_object_get(body, "description"));
	return 0;
}

int transfer_instance(const struct transfer *t, json_t *body, struct lxm_err *e)
{
	lxm_auto(free) char *url = client_url(t->to, "/1.0/instances/%s", t->name);
	lxm_auto(json) json_t *have = NULL;
	bool refreshed = t->refresh && client_get(t->to, lxm_strdup(url), &have, NULL) == 0;
	int r = move_bytes(t, body, e);

	if (r == 0 && refreshed)
		r = entity_change(t->to, &entity_instance, url, take_config, body, e);
	return r;
}
