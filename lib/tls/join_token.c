/* Join tokens, see join_token.h. Any thread. */
#include "lib/tls/join_token.h"

#include <jansson.h>
#include <string.h>

#include "lib/base/alloc.h"
#include "lib/tls/cert.h"
#include "lib/tls/sha1.h"
#include "lib/tls/tls_conn.h"

#define NAME_MAX_BYTES	 256
#define SECRET_MAX_BYTES 256

void lxm_join_token_deinit(struct lxm_join_token *t)
{
	free(t->client_name);
	free(t->secret);
	lxm_strv_deinit(&t->addresses);
	memset(t, 0, sizeof(*t));
}

static const char *text_at(const json_t *o, const char *key)
{
	const char *s = json_string_value(json_object_get(o, key));

	return s ? s : "";
}

/* Visible ASCII only: names, addresses and secrets end up in messages and requests. */
static bool is_plain(const char *s, size_t max)
{
	size_t n = strlen(s);

	return n <= max && strspn(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~:/[]@+=, ") == n;
}

static int take_addresses(const json_t *list, struct lxm_strv *out, struct lxm_err *e)
{
	size_t i;

	for (i = 0; i < json_array_size(list) && i < LXM_TOKEN_ADDRESSES; i++) {
		lxm_auto(free) char *host = NULL, *port = NULL;
		const char *a = json_string_value(json_array_get(list, i));

		if (!a || lxm_tls_split_address(a, NULL, &host, &port, NULL) < 0)
			return lxm_err_set(e, EINVAL, "the token names an address that is none");
		lxm_strv_add(out, a);
	}
	return out->n ? 0 : lxm_err_set(e, EINVAL, "the token names no address of the server");
}

static int take(const json_t *o, struct lxm_join_token *t, struct lxm_err *e)
{
	const char *name = text_at(o, "client_name"), *secret = text_at(o, "secret"), *fp = text_at(o, "fingerprint");

	if (!lxm_is_hex(fp, 64, 64))
		return lxm_err_set(e, EINVAL, "the token names no certificate of the server");
	if (!*secret || !is_plain(secret, SECRET_MAX_BYTES))
		return lxm_err_set(e, EINVAL, "the token holds no secret");
	if (strlen(name) > NAME_MAX_BYTES)
		return lxm_err_set(e, EINVAL, "the token's client name is over %d bytes", NAME_MAX_BYTES);
	if (lxm_time_parse(text_at(o, "expires_at"), &t->expires_at) < 0)
		return lxm_err_set(e, EINVAL, "the token's expiry is no time");
	memcpy(t->fingerprint, fp, sizeof(t->fingerprint));
	t->client_name = lxm_strdup(name);
	t->secret = lxm_strdup(secret);
	return take_addresses(json_object_get(o, "addresses"), &t->addresses, e);
}

int lxm_join_token_decode(const char *text, struct lxm_join_token *out, struct lxm_err *e)
{
	lxm_auto(join_token) struct lxm_join_token t = { 0 };
	lxm_auto(buf) struct lxm_buf raw = { 0 };
	json_t *o = NULL;
	int r;

	if (strlen(text) > LXM_TOKEN_MAX || lxm_cert_from_base64(text, &raw, NULL) < 0 || !raw.len)
		return 1;
	o = json_loadb(raw.data, raw.len, 0, NULL);
	if (!json_is_object(o)) {
		json_decref(o);
		return 1;
	}
	r = take(o, &t, e);
	json_decref(o);
	if (r < 0)
		return r;
	*out = t;
	memset(&t, 0, sizeof(t));
	return 0;
}

char *lxm_join_token_encode(const struct lxm_join_token *t)
{
	lxm_auto(free) char *text = NULL;
	json_t *o, *addresses = json_array();
	char when[32];
	size_t i;

	for (i = 0; i < t->addresses.n; i++)
		json_array_append_new(addresses, json_string(t->addresses.v[i]));
	/* year 1 is how the API says never */
	o = json_pack("{s:s, s:s, s:o, s:s, s:s}", "client_name", t->client_name ? t->client_name : "", "fingerprint",
		      t->fingerprint, "addresses", addresses, "secret", t->secret ? t->secret : "", "expires_at",
		      t->expires_at ? lxm_time_str(t->expires_at, when) : "0001-01-01T00:00:00Z");
	text = o ? json_dumps(o, JSON_COMPACT) : NULL;
	json_decref(o);
	return text ? lxm_base64(text, strlen(text)) : NULL;
}
