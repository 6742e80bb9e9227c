/* What handlers read of a request. The headers stay in libmicrohttpd's memory, which the request keeps. */
#include "lxmd/http/request.h"

#include <string.h>

#include "lib/base/str.h"
#include "lxmd/http/conn.h"
#include "lxmd/http/filter.h"

const char *rq_arg(const struct request *rq, unsigned int i)
{
	return i < RQ_ARGS_MAX ? rq->args[i] : NULL;
}

const char *rq_query(const struct request *rq, const char *key)
{
	return lxm_kv_get(&rq->query, key);
}

bool rq_query_bool(const struct request *rq, const char *key)
{
	return lxm_kv_bool(&rq->query, key, false);
}

const char *rq_project(const struct request *rq)
{
	return lxm_kv_or(&rq->query, "project", "default");
}

bool rq_all_projects(const struct request *rq)
{
	return rq_query_bool(rq, "all-projects");
}

int rq_recursion(const struct request *rq)
{
	const char *v = rq_query(rq, "recursion");

	if (!v || v[0] < '0' || v[0] > '9')
		return 0;
	return v[1] || v[0] > '2' ? 2 : v[0] - '0';
}

const char *rq_collection(const struct request *rq)
{
	return rq->containers ? "containers" : "instances";
}

int rq_filter(const struct request *rq, struct filter **f_out, struct lxm_err *e)
{
	return filter_parse(rq_query(rq, "filter"), f_out, e);
}

const char *rq_raw_header(const struct request *rq, const char *name)
{
	if (!rq->conn->mhd)
		return NULL;
	return MHD_lookup_connection_value(rq->conn->mhd, MHD_HEADER_KIND, name);
}

const char *rq_header(const struct request *rq, const char *name)
{
	char full[80];
	const char *v;

	(void)snprintf(full, sizeof(full), "X-LXD-%s", name);
	v = rq_raw_header(rq, full);
	if (v)
		return v;
	(void)snprintf(full, sizeof(full), "X-Incus-%s", name);
	return rq_raw_header(rq, full);
}

const struct caller *rq_caller(const struct request *rq)
{
	return &rq->caller;
}

const void *rq_peer_cert(const struct request *rq, size_t *len_out)
{
	*len_out = rq->conn->peer_cert_len;
	return rq->conn->peer_cert;
}

json_t *rq_json(const struct request *rq)
{
	return rq->json;
}

int rq_need_json(const struct request *rq, json_t **out, struct lxm_err *e)
{
	if (!rq->json)
		return lxm_err_set(e, EINVAL, "the request needs a JSON object as its body");
	*out = rq->json;
	return 0;
}

int rq_body_fd(const struct request *rq, uint64_t *size_out)
{
	if (size_out)
		*size_out = rq->conn->body_size;
	return rq->conn->body_fd;
}

int rq_take_body_fd(struct request *rq, uint64_t *size_out)
{
	if (size_out)
		*size_out = rq->conn->body_size;
	return LXM_TAKE(rq->conn->body_fd, -1);
}

int rq_check_etag(const struct request *rq, json_t *over, struct lxm_err *e)
{
	const char *want = rq_raw_header(rq, "If-Match");
	char tag[65];
	size_t n;

	if (lxm_empty(want) || strcmp(want, "*") == 0) {
		json_decref(over);
		return 0;
	}
	etag_of(over, tag);
	if (lxm_starts(want, "W/"))
		want += 2;
	n = strlen(want);
	if (n >= 2 && want[0] == '"' && want[n - 1] == '"') {
		want++;
		n -= 2;
	}
	if (n == strlen(tag) && memcmp(want, tag, n) == 0)
		return 0;
	return lxm_err_http(e, 412, ESTALE, "ETag doesn't match: it was changed meanwhile, read it again");
}
