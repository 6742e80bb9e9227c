/* Control messages of a migration, see migrate_talk.h. What is read came from another host: bounded, typed, names checked. */
#include "lxmd/instance/migrate_talk.h"

#include <endian.h>
#include <string.h>

#include "lib/api/json.h"
#include "lib/base/alloc.h"
#include "lib/conf/names.h"

#define MAGIC	    "LXM1"
#define MESSAGE_MAX (8u << 20)

void mig_offer_deinit(struct mig_offer *o)
{
	size_t i;

	for (i = 0; i < o->n_snapshots; i++)
		db_snapshot_deinit(&o->snapshots[i].row);
	free(o->snapshots);
	memset(o, 0, sizeof(*o));
}

void mig_answer_deinit(struct mig_answer *a)
{
	lxm_strv_deinit(&a->layers);
	free(a->want);
	memset(a, 0, sizeof(*a));
}

/* ---- frames */

/* Steals o. */
static int send_json(struct mig_link *l, json_t *o, struct lxm_err *e)
{
	lxm_auto(free) char *text = js_text(o);
	lxm_auto(buf) struct lxm_buf b = { 0 };
	uint32_t len;

	json_decref(o);
	if (!text || strlen(text) > MESSAGE_MAX)
		return lxm_err_set(e, E2BIG, "the configuration is too large to be sent");
	len = htole32((uint32_t)strlen(text));
	lxm_buf_str(&b, MAGIC);
	lxm_buf_add(&b, &len, sizeof(len));
	lxm_buf_str(&b, text);
	return mig_link_put(l, MIG_CONTROL, b.data, b.len, e);
}

static int foreign(struct lxm_err *e)
{
	return lxm_err_set(e, EPROTO,
			   "the other server does not speak lxm's migration protocol: instances of LXD and Incus cannot be moved directly "
			   "(publish it there as an image, or export it)");
}

static int read_text(struct mig_link *l, char **text_out, size_t *len_out, struct lxm_err *e)
{
	lxm_auto(free) char *text = NULL;
	char head[4];
	uint32_t len;
	int r = mig_link_get(l, MIG_CONTROL, head, 1, e);

	/* by its first byte: another server's message may be shorter than our head */
	if (r == 0 && head[0] != MAGIC[0])
		return foreign(e);
	if (r == 0)
		r = mig_link_get(l, MIG_CONTROL, head + 1, 3, e);
	if (r == 0 && memcmp(head, MAGIC, 4) != 0)
		return foreign(e);
	if (r == 0)
		r = mig_link_get(l, MIG_CONTROL, &len, sizeof(len), e);
	if (r < 0)
		return r;
	len = le32toh(len);
	if (len > MESSAGE_MAX)
		return lxm_err_set(e, EPROTO, "the other server's message is too long");
	text = lxm_try_alloc((size_t)len + 1);
	if (!text)
		return lxm_err_set(e, ENOMEM, "out of memory");
	r = mig_link_get(l, MIG_CONTROL, text, len, e);
	if (r < 0)
		return r;
	*text_out = LXM_TAKE(text, NULL);
	*len_out = len;
	return 0;
}

static int bad(struct lxm_err *e, const char *what)
{
	return lxm_err_set(e, EPROTO, "the other server's message is wrong: %s", what);
}

/* A message of a type; a failed one becomes the error that it tells. */
static int parse(const char *text, size_t len, const char *type, json_t **out, struct lxm_err *e)
{
	lxm_auto(json) json_t *o = NULL;
	const char *is;

	if (js_parse(text, len, &o, NULL) < 0 || !json_is_object(o))
		return bad(e, "it is no object");
	is = js_str(o, "type");
	if (lxm_streq(is, "failed")) {
		lxm_auto(free) char *clean = lxm_utf8_clean(js_str_or(o, "error", "no reason given"));

		return lxm_err_set(e, EREMOTEIO, "the other side failed: %.400s", clean);
	}
	if (!lxm_streq(is, type))
		return bad(e, "it comes out of order");
	*out = LXM_TAKE(o, NULL);
	return 0;
}

static int read_json(struct mig_link *l, const char *type, json_t **out, struct lxm_err *e)
{
	lxm_auto(free) char *text = NULL;
	size_t len = 0;
	int r = read_text(l, &text, &len, e);

	return r < 0 ? r : parse(text, len, type, out, e);
}

/* ---- offer */

static json_t *snapshot_json(const struct mig_snapshot *s)
{
	const struct db_snapshot *r = &s->row;
	json_t *o = json_object();

	json_object_set_new(o, "name", js_string(r->name));
	json_object_set_new(o, "description", js_string(r->description));
	json_object_set_new(o, "architecture", js_string(r->architecture));
	json_object_set_new(o, "created_at", json_integer(r->created_at));
	json_object_set_new(o, "expires_at", json_integer(r->expires_at));
	json_object_set_new(o, "ephemeral", json_boolean(r->ephemeral));
	json_object_set_new(o, "config", js_from_kv(&r->config));
	json_object_set_new(o, "devices", js_from_devs(&r->devices));
	json_object_set_new(o, "profiles", js_from_strv(&r->profiles));
	json_object_set_new(o, "image", js_string(s->image));
	return o;
}

int mig_send_offer(struct mig_link *l, const struct mig_offer *offer, struct lxm_err *e)
{
	json_t *o = json_object(), *list = json_array();
	size_t i;

	for (i = 0; i < offer->n_snapshots; i++)
		json_array_append_new(list, snapshot_json(&offer->snapshots[i]));
	json_object_set_new(o, "type", json_string("offer"));
	json_object_set_new(o, "version", json_integer(MIG_VERSION));
	json_object_set_new(o, "image", js_string(offer->image));
	json_object_set_new(o, "snapshots", list);
	json_object_set_new(o, "complete", json_boolean(offer->complete));
	return send_json(l, o, e);
}

static int read_image(const json_t *o, char out[65], struct lxm_err *e)
{
	const char *fp = js_str_or(o, "image", "");

	if (*fp && !lxm_is_hex(fp, 64, 64))
		return bad(e, "an image that is no fingerprint");
	snprintf(out, 65, "%s", fp);
	return 0;
}

static int read_snapshot(const json_t *o, struct mig_snapshot *s, struct lxm_err *e)
{
	struct db_snapshot *r = &s->row;
	const char *name = js_str_or(o, "name", "");

	if (conf_name_snapshot(name, e) < 0)
		return lxm_err_wrap(e, -EPROTO, "the other server's message is wrong");
	r->name = lxm_strdup(name);
	r->description = lxm_strdup(js_str_or(o, "description", ""));
	r->architecture = lxm_strndup(js_str_or(o, "architecture", "x86_64"), 64);
	r->created_at = js_int(o, "created_at", 0);
	r->expires_at = js_int(o, "expires_at", 0);
	r->ephemeral = js_bool(o, "ephemeral", false);
	if (r->created_at <= 0 || r->expires_at < 0)
		return bad(e, "a snapshot without a time");
	if (js_get_kv(o, "config", &r->config, NULL, NULL) < 0 || js_get_devs(o, "devices", &r->devices, NULL, NULL) < 0 ||
	    js_get_strv(o, "profiles", &r->profiles, NULL, NULL) < 0)
		return bad(e, "a snapshot's configuration");
	return read_image(o, s->image, e);
}

int mig_offer_parse(const char *text, size_t len, struct mig_offer *out, struct lxm_err *e)
{
	lxm_auto(json) json_t *o = NULL;
	json_t *list, *one;
	size_t i, k;
	int r = parse(text, len, "offer", &o, e);

	if (r < 0)
		return r;
	if (js_int(o, "version", 0) != MIG_VERSION)
		return lxm_err_set(e, EPROTO, "the source speaks version %lld of the migration protocol, this server version %d",
				   (long long)js_int(o, "version", 0), MIG_VERSION);
	out->complete = js_bool(o, "complete", false);
	list = js_get(o, "snapshots");
	if (list && (!json_is_array(list) || json_array_size(list) > MIG_SNAPSHOTS_MAX))
		return bad(e, "its list of snapshots");
	r = read_image(o, out->image, e);
	if (r < 0 || !list)
		return r;
	out->snapshots = lxm_alloc((json_array_size(list) + 1) * sizeof(*out->snapshots));
	json_array_foreach(list, i, one) {
		r = read_snapshot(one, &out->snapshots[out->n_snapshots++], e);
		if (r < 0)
			return r;
		for (k = 0; k < i; k++)
			if (strcmp(out->snapshots[k].row.name, out->snapshots[i].row.name) == 0)
				return bad(e, "two snapshots of one name");
	}
	return 0;
}

int mig_read_offer(struct mig_link *l, struct mig_offer *out, struct lxm_err *e)
{
	lxm_auto(free) char *text = NULL;
	size_t len = 0;
	int r = read_text(l, &text, &len, e);

	return r < 0 ? r : mig_offer_parse(text, len, out, e);
}

/* ---- answer */

int mig_send_answer(struct mig_link *l, const struct mig_answer *a, struct lxm_err *e)
{
	json_t *o = json_object(), *want = json_array();
	size_t i;

	for (i = 0; i < a->n_want; i++)
		if (a->want[i])
			json_array_append_new(want, json_integer((json_int_t)i));
	json_object_set_new(o, "type", json_string("answer"));
	json_object_set_new(o, "version", json_integer(MIG_VERSION));
	json_object_set_new(o, "layers", js_from_strv(&a->layers));
	json_object_set_new(o, "snapshots", want);
	json_object_set_new(o, "have", json_string(!a->have ? "" : a->have_layer ? "layer" : "tree"));
	return send_json(l, o, e);
}

int mig_read_answer(struct mig_link *l, const struct mig_offer *offer, struct mig_answer *out, struct lxm_err *e)
{
	lxm_auto(json) json_t *o = NULL;
	json_t *want, *one;
	const char *have;
	size_t i;
	int r = read_json(l, "answer", &o, e);

	if (r < 0)
		return r;
	if (js_int(o, "version", 0) != MIG_VERSION || js_get_strv(o, "layers", &out->layers, NULL, NULL) < 0)
		return bad(e, "its answer");
	out->n_want = offer->n_snapshots;
	out->want = lxm_alloc((out->n_want + 1) * sizeof(*out->want));
	want = js_get(o, "snapshots");
	json_array_foreach(want, i, one) {
		json_int_t k = json_is_integer(one) ? json_integer_value(one) : -1;

		if (k < 0 || (size_t)k >= out->n_want)
			return bad(e, "a snapshot that was not offered");
		out->want[k] = true;
	}
	have = js_str_or(o, "have", "");
	out->have = *have != 0;
	out->have_layer = strcmp(have, "layer") == 0;
	return 0;
}

/* ---- the end */

int mig_send_done(struct mig_link *l, struct lxm_err *e)
{
	return send_json(l, json_pack("{s:s}", "type", "done"), e);
}

int mig_read_done(struct mig_link *l, struct lxm_err *e)
{
	lxm_auto(json) json_t *o = NULL;

	return read_json(l, "done", &o, e);
}

void mig_send_failed(struct mig_link *l, const struct lxm_err *why)
{
	json_t *o = json_object();

	json_object_set_new(o, "type", json_string("failed"));
	json_object_set_new(o, "error", js_string(*why->msg ? why->msg : strerror(why->code)));
	mig_link_unstop(l); /* a cancelled one is told as well */
	(void)send_json(l, o, NULL);
}

int mig_peer_reason(struct mig_link *l, int r, struct lxm_err *e)
{
	struct lxm_err told = { 0 };

	if (r == -EPIPE && mig_read_done(l, &told) == -EREMOTEIO && e)
		*e = told;
	return r;
}
