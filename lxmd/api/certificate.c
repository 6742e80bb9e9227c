/* What the handlers of certificates share: objects, bodies, and the news of a change. Worker threads. */
#include "lxmd/api/certificate.h"

#include <string.h>

#include "lib/base/alloc.h"
#include "lib/tls/cert.h"
#include "lxmd/core/daemon.h"
#include "lxmd/core/event.h"
#include "lxmd/core/trust.h"

static const char *type_name(int type)
{
	return type == DB_CERT_METRICS ? "metrics" : type == DB_CERT_SERVER ? "server" : "client";
}

static int type_parse(const char *name, int *out, struct lxm_err *e)
{
	if (lxm_empty(name) || strcmp(name, "client") == 0)
		*out = DB_CERT_CLIENT;
	else if (strcmp(name, "metrics") == 0)
		*out = DB_CERT_METRICS;
	else
		return lxm_err_set(e, EINVAL, "key 'type' must be client or metrics, not '%.40s'", name);
	return 0;
}

json_t *certificate_json(const struct db_certificate *c)
{
	return json_pack("{s:o, s:o, s:s, s:b, s:o, s:o, s:o}", "name", js_string(c->name), "description",
			 js_string(c->description), "type", type_name(c->type), "restricted", c->restricted, "projects",
			 js_from_strv(&c->projects), "certificate", js_string(c->pem), "fingerprint",
			 js_string(c->fingerprint));
}

json_t *certificate_editable(const struct db_certificate *c)
{
	return json_pack("[o, o, s, b, o, o]", js_string(c->name), js_string(c->description), type_name(c->type),
			 c->restricted, js_from_strv(&c->projects), js_string(c->fingerprint));
}

static void put(char **at, const char *text)
{
	free(*at);
	*at = lxm_strdup(text);
}

int certificate_read_body(json_t *body, struct db_certificate *c, struct lxm_err *e)
{
	const char *name = NULL, *description = NULL, *type = NULL;
	int r = js_get_str(body, "name", &name, e);

	if (r == 0)
		r = js_get_str(body, "description", &description, e);
	if (r == 0)
		r = js_get_str(body, "type", &type, e);
	if (r == 0 && type)
		r = type_parse(type, &c->type, e);
	if (r == 0)
		r = js_get_bool(body, "restricted", &c->restricted, e);
	if (r == 0)
		r = js_get_strv(body, "projects", &c->projects, NULL, e);
	if (r == 0 && ((name && strlen(name) > 255) || (description && strlen(description) > 4096)))
		r = lxm_err_set(e, EINVAL, "key '%s' is too long", name && strlen(name) > 255 ? "name" : "description");
	if (r < 0)
		return r;
	if (name)
		put(&c->name, name);
	if (description)
		put(&c->description, description);
	return 0;
}

int certificate_set_der(struct db_certificate *c, const void *der, size_t len, struct lxm_err *e)
{
	struct lxm_cert_info info;
	char fp[LXM_CERT_HEX], *pem;
	int r = lxm_cert_info(der, len, &info, e);

	if (r == 0)
		r = lxm_cert_der_to_pem(der, len, &pem, e);
	if (r < 0)
		return r;
	lxm_cert_fingerprint(der, len, fp);
	free(c->pem);
	c->pem = pem;
	put(&c->fingerprint, fp);
	if (lxm_empty(c->name) && info.cn[0])
		put(&c->name, info.cn);
	return 0;
}

int certificate_set_text(struct db_certificate *c, const char *text, struct lxm_err *e)
{
	lxm_auto(buf) struct lxm_buf der = { 0 };
	int r = strstr(text, "-----BEGIN") ? lxm_cert_pem_to_der(text, &der, e) : lxm_cert_from_base64(text, &der, e);

	if (r == 0)
		r = certificate_set_der(c, der.data, der.len, e);
	return r < 0 ? lxm_err_wrap(e, r, "key 'certificate'") : 0;
}

int certificate_changed(struct request *rq, const char *action, const char *fingerprint, struct lxm_err *e)
{
	lxm_auto(free) char *url = lxm_asprintf("/1.0/certificates/%s", fingerprint);
	int r = trust_reload(rq->d, e);

	if (r < 0)
		return r;
	event_lifecycle(rq->d, NULL, action, url, NULL, rq_caller(rq));
	return 0;
}
