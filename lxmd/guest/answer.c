/*
 * What a guest can ask, as one table. Workers. An answer holds what concerns the instance itself and nothing of the
 * host, of its project or of others; there is one thing to change, whether it is ready.
 */
#include <string.h>

#include "lib/api/json.h"
#include "lib/base/alloc.h"
#include "lxmd/guest/guest_priv.h"

#define TEXT "text/plain; charset=utf-8"
#define RAW  "application/octet-stream"
#define JSON "application/json"

struct asking {
	struct guest_conn *c;
	struct guest_info *i;
	char *arg; /* decoded part of the path, NULL: the route has none */
};

static void say(struct guest_answer *a, int status, const char *text)
{
	lxm_buf_deinit(&a->body);
	a->status = status;
	a->type = TEXT;
	lxm_buf_str(&a->body, text);
	lxm_buf_chr(&a->body, '\n');
}

static void say_json(struct guest_answer *a, json_t *o)
{
	lxm_auto(free) char *text = js_text(o);

	json_decref(o);
	a->status = 200;
	a->type = JSON;
	lxm_buf_str(&a->body, text);
	lxm_buf_chr(&a->body, '\n');
}

static void say_raw(struct guest_answer *a, const char *text)
{
	a->status = 200;
	a->type = RAW;
	lxm_buf_str(&a->body, text);
}

static void get_root(struct asking *q, struct guest_answer *a)
{
	say_json(a, json_pack("[s]", "/1.0"));
}

static void get_state(struct asking *q, struct guest_answer *a)
{
	say_json(a, json_pack("{s:s, s:s, s:s, s:s}", "api_version", "1.0", "location", "none", "instance_type", "container", "state",
			      q->i->ready ? "Ready" : "Started"));
}

static void patch_state(struct asking *q, struct guest_answer *a)
{
	lxm_auto(json) json_t *o = NULL;
	struct guest_conn *c = q->c;
	const struct guests *all = c->g->all;
	struct lxm_err e = { 0 };
	const char *state;
	bool ready;

	if (js_parse(c->in + c->rq.head, c->rq.body, &o, &e) < 0 || !json_is_object(o)) {
		say(a, 400, "bad request: a JSON object is wanted");
		return;
	}
	state = js_str(o, "state");
	ready = lxm_streq(state, "Ready");
	if (!ready && !lxm_streq(state, "Started"))
		say(a, 400, "bad request: state must be \"Ready\" or \"Started\"");
	else if (all->ops->set_ready(all->d, c->g->id, ready, &e) < 0)
		say(a, 500, "internal server error");
	else
		say_raw(a, "");
}

static bool for_guests(const char *key)
{
	return lxm_starts(key, "user.") || lxm_starts(key, "cloud-init.");
}

static void get_config(struct asking *q, struct guest_answer *a)
{
	json_t *list = json_array();

	lxm_kv_each(p, &q->i->config)
		if (for_guests(p->key))
			json_array_append_new(list, js_url("/1.0/config/%s", p->key));
	say_json(a, list);
}

static void get_config_key(struct asking *q, struct guest_answer *a)
{
	const char *value = lxm_kv_get(&q->i->config, q->arg);

	if (!for_guests(q->arg))
		say(a, 403, "not authorized");
	else if (!value)
		say(a, 404, "not found");
	else
		say_raw(a, value);
}

static void get_meta_data(struct asking *q, struct guest_answer *a)
{
	a->status = 200;
	a->type = RAW;
	lxm_buf_fmt(&a->body, "#cloud-config\ninstance-id: %s\nlocal-hostname: %s\n%s",
		    lxm_kv_or(&q->i->config, "volatile.cloud-init.instance-id", q->i->name), q->i->name,
		    lxm_kv_or(&q->i->config, "user.meta-data", ""));
}

static void get_devices(struct asking *q, struct guest_answer *a)
{
	say_json(a, js_from_devs(&q->i->devices));
}

/* "type=config,device" */
static int event_types(const char *query)
{
	lxm_auto(strv) struct lxm_strv words = { 0 };
	lxm_auto(free) char *list = NULL;
	int types = 0;
	size_t i;

	if (!lxm_starts(query, "type=") || !query[5])
		return GUEST_CONFIG | GUEST_DEVICE;
	list = lxm_url_decode(query + 5, strcspn(query + 5, "&"), true);
	if (list)
		lxm_strv_split(&words, list, ',');
	for (i = 0; i < words.n; i++)
		types |= lxm_streq(words.v[i], "config") ? GUEST_CONFIG : lxm_streq(words.v[i], "device") ? GUEST_DEVICE : 0;
	return types;
}

static void get_events(struct asking *q, struct guest_answer *a)
{
	if (!q->c->rq.websocket)
		say(a, 400, "bad request: this is a websocket");
	else if (!(a->events = event_types(q->c->rq.query)))
		say(a, 400, "bad request: type must be \"config\", \"device\" or both");
}

static void get_image(struct asking *q, struct guest_answer *a)
{
	if (!lxm_kv_bool(&q->i->config, "security.devlxd.images", false)) {
		say(a, 403, "not authorized");
	} else if (!lxm_is_hex(q->arg, 12, 64)) {
		say(a, 404, "not found");
	} else {
		/* whether there is one is for the export to see */
		a->image = LXM_TAKE(q->arg, NULL);
		a->project = LXM_TAKE(q->i->project, NULL);
	}
}

/* "*" stands for one part of a path. */
static const struct {
	const char *method, *path;
	void (*fn)(struct asking *q, struct guest_answer *a);
} routes[] = {
	{ "GET", "/", get_root },
	{ "GET", "/1.0", get_state },
	{ "PATCH", "/1.0", patch_state },
	{ "GET", "/1.0/config", get_config },
	{ "GET", "/1.0/config/*", get_config_key },
	{ "GET", "/1.0/devices", get_devices },
	{ "GET", "/1.0/events", get_events },
	{ "GET", "/1.0/images/*/export", get_image },
	{ "GET", "/1.0/meta-data", get_meta_data },
};

/* Does the path fit? *arg receives what stands for "*". */
static bool fits(const char *pattern, const char *path, const char **arg, size_t *len)
{
	const char *star = strchr(pattern, '*');
	size_t before;

	*arg = NULL;
	if (!star)
		return lxm_streq(pattern, path);
	before = (size_t)(star - pattern);
	if (strncmp(pattern, path, before) != 0)
		return false;
	*arg = path + before;
	*len = strcspn(*arg, "/");
	return *len && lxm_streq(*arg + *len, star + 1);
}

static void route(struct asking *q, struct guest_answer *a)
{
	const struct guest_request *rq = &q->c->rq;
	const char *method = lxm_streq(rq->method, "HEAD") ? "GET" : rq->method, *arg;
	bool known = false;
	size_t k, len = 0;

	for (k = 0; k < LXM_ARRAY_LEN(routes); k++) {
		if (!fits(routes[k].path, rq->path, &arg, &len))
			continue;
		known = true;
		if (!lxm_streq(routes[k].method, method))
			continue;
		q->arg = arg ? lxm_url_decode(arg, len, false) : NULL;
		if (arg && !q->arg)
			say(a, 400, "bad request");
		else
			routes[k].fn(q, a);
		free(q->arg);
		return;
	}
	if (known)
		say(a, 405, "method not allowed");
	else
		say(a, 404, "not found");
}

void answer_request(struct guest_conn *c)
{
	lxm_auto(guest_info) struct guest_info info = { 0 };
	struct asking q = { .c = c, .i = &info };
	const struct guests *all = c->g->all;
	struct lxm_err e = { 0 };

	if (all->ops->load(all->d, c->g->id, &info, &e) < 0) {
		say(&c->ans, 500, "internal server error");
		return;
	}
	if (!c->known && !peer_belongs(c)) {
		c->rq.close = true;
		say(&c->ans, 403, "not authorized");
		return;
	}
	c->known = true;
	if (c->uid != c->g->base.root) {
		/* as LXD has it: user data may hold secrets */
		c->rq.close = true;
		say(&c->ans, 401, "Access denied for non-root user");
	} else if (!lxm_kv_bool(&info.config, "security.devlxd", true)) {
		say(&c->ans, 403, "not authorized");
	} else {
		route(&q, &c->ans);
	}
}
