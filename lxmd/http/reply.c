/* The ways to answer a request. Each builds the response; the connection's thread sends it later. */
#include <assert.h>
#include <openssl/evp.h>
#include <pthread.h>
#include <string.h>

#include "lib/base/str.h"
#include "lxmd/core/audit.h"
#include "lxmd/core/op.h"
#include "lxmd/http/conn.h"

/* Every request that may change something, and those GETs that their row marks. Strangers count when they were let in. */
static void audit(const struct http_conn *c, unsigned int status)
{
	const struct request *rq = &c->rq;
	const struct route *t = rq->route;
	bool of_project = t && (t->flags & (RT_PROJECT | RT_ALLPROJECTS));
	bool reads = strcmp(rq->method, "GET") == 0 || strcmp(rq->method, "HEAD") == 0;

	if (reads && !(t && (t->flags & RT_AUDIT)))
		return;
	if (rq->caller.trust < CALLER_RESTRICTED && status >= 400)
		return;
	audit_request(rq->d, &rq->caller, rq->method, rq->path, of_project ? rq_project(rq) : NULL, status,
		      c->operation[0] ? c->operation : NULL);
}

void reply_set(struct http_conn *c, unsigned int status, struct MHD_Response *response)
{
	assert(!c->response);
	audit(c, status);
	c->status = status;
	c->response = response;
}

static void add_headers(struct MHD_Response *r, const struct lxm_kv *headers)
{
	if (!headers)
		return;
	lxm_kv_each(h, headers) {
		if (!strpbrk(h->value, "\r\n")) /* a container's file name must not make headers */
			(void)MHD_add_response_header(r, h->key, h->value);
	}
}

/* Takes the text, n bytes of it; NULL when there was no room for it. */
static struct MHD_Response *text_response(char *text, size_t n)
{
	static char oops[] = "{\"type\":\"error\",\"error_code\":500,\"error\":\"reply is too large\",\"metadata\":null}";
	struct MHD_Response *r;

	if (text)
		r = MHD_create_response_from_buffer(n, text, MHD_RESPMEM_MUST_FREE);
	else
		r = MHD_create_response_from_buffer(strlen(oops), oops, MHD_RESPMEM_PERSISTENT);
	(void)MHD_add_response_header(r, "Content-Type", "application/json");
	return r;
}

/* An envelope as response; takes it. */
static struct MHD_Response *json_response(json_t *envelope)
{
	char *text = js_text(envelope);

	json_decref(envelope);
	return text_response(text, text ? strlen(text) : 0);
}

void etag_of(json_t *over, char out[65])
{
	char *text = json_dumps(over, JSON_COMPACT | JSON_ENCODE_ANY | JSON_SORT_KEYS);
	unsigned char digest[32];
	unsigned int n = 0;

	(void)EVP_Digest(text ? text : "", text ? strlen(text) : 0, digest, &n, EVP_sha256(), NULL);
	lxm_hex(out, digest, sizeof(digest));
	free(text);
	json_decref(over);
}

/* On the reply that was made; steals. */
static void add_etag(struct request *rq, json_t *over)
{
	char tag[65], quoted[68];

	etag_of(over, tag);
	(void)snprintf(quoted, sizeof(quoted), "\"%s\"", tag);
	(void)MHD_add_response_header(rq->conn->response, "ETag", quoted);
}

int reply_sync(struct request *rq, json_t *metadata)
{
	reply_set(rq->conn, 200, json_response(api_sync(metadata ? metadata : json_object())));
	return 0;
}

static char *head_text;

static void make_sync_head(void)
{
	lxm_auto(json) json_t *empty = api_sync(json_null());

	head_text = js_text(empty);
	assert(head_text && lxm_ends(head_text, "null}"));
	head_text[strlen(head_text) - strlen("null}")] = '\0';
}

/* What stands in a sync envelope before its metadata, which comes last with one brace behind it; n bytes of it. Any thread. */
static const char *sync_head(size_t *n)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	(void)pthread_once(&once, make_sync_head);
	*n = strlen(head_text);
	return head_text;
}

int reply_sync_text(struct request *rq, const struct lxm_buf *metadata, json_t *etag_over)
{
	struct lxm_buf text = { 0 };
	size_t n;
	const char *head = sync_head(&n);

	lxm_buf_room(&text, n + metadata->len + 1);
	lxm_buf_add(&text, head, n);
	lxm_buf_add(&text, metadata->data, metadata->len);
	lxm_buf_chr(&text, '}');
	n = text.len;
	reply_set(rq->conn, 200, text_response(lxm_buf_take(&text), n));
	if (etag_over)
		add_etag(rq, etag_over);
	return 0;
}

int reply_sync_list(struct request *rq, const struct lxm_buf *parts, size_t n)
{
	struct lxm_buf text = { 0 };
	size_t i, len;
	const char *head = sync_head(&len);
	size_t room = len + n + 3;

	for (i = 0; i < n; i++)
		room += parts[i].len;
	lxm_buf_room(&text, room);
	lxm_buf_add(&text, head, len);
	lxm_buf_chr(&text, '[');
	for (i = 0; i < n; i++) {
		if (parts[i].len && text.data[text.len - 1] != '[')
			lxm_buf_chr(&text, ',');
		lxm_buf_add(&text, parts[i].data, parts[i].len);
	}
	lxm_buf_str(&text, "]}");
	len = text.len;
	reply_set(rq->conn, 200, text_response(lxm_buf_take(&text), len));
	return 0;
}

int reply_sync_etag(struct request *rq, json_t *metadata, json_t *etag_over)
{
	reply_sync(rq, metadata);
	add_etag(rq, etag_over);
	return 0;
}

int reply_sync_headers(struct request *rq, json_t *metadata, const struct lxm_kv *headers)
{
	reply_sync(rq, metadata);
	add_headers(rq->conn->response, headers);
	return 0;
}

int reply_created(struct request *rq, const char *location)
{
	struct MHD_Response *r = json_response(api_sync(NULL));

	(void)MHD_add_response_header(r, "Location", location);
	reply_set(rq->conn, 201, r);
	return 0;
}

int reply_op(struct request *rq, struct op *op)
{
	struct MHD_Response *r = json_response(api_async(op_url(op), op_json(op)));

	(void)snprintf(rq->conn->operation, sizeof(rq->conn->operation), "%s", op_id(op));
	(void)MHD_add_response_header(r, "Location", op_url(op));
	reply_set(rq->conn, 202, r);
	return 0;
}

int reply_op_start(struct request *rq, struct op *op)
{
	op_start(op);
	reply_op(rq, op);
	op_unref(op);
	return 0;
}

int reply_op_new(struct request *rq, struct op_spec *spec, struct lxm_err *e)
{
	struct op *op;
	int r;

	spec->caller = rq_caller(rq);
	r = op_new(rq->d, spec, &op, e);
	return r < 0 ? r : reply_op_start(rq, op);
}

int reply_file(struct request *rq, int fd, uint64_t size, const char *content_type,
	       const struct lxm_kv *headers)
{
	struct MHD_Response *r = MHD_create_response_from_fd64(size, fd);

	if (!r) {
		struct lxm_err e = { 0 };

		auto_fd_close(&fd);
		lxm_err_set(&e, ENOMEM, "no memory for the reply");
		return reply_error(rq, &e);
	}
	(void)MHD_add_response_header(r, "Content-Type",
				      content_type ? content_type : "application/octet-stream");
	add_headers(r, headers);
	reply_set(rq->conn, 200, r);
	return 0;
}

int reply_bytes(struct request *rq, const void *data, size_t len, const char *content_type,
		const struct lxm_kv *headers)
{
	struct MHD_Response *r =
		MHD_create_response_from_buffer(len, (void *)data, MHD_RESPMEM_MUST_COPY);

	(void)MHD_add_response_header(r, "Content-Type",
				      content_type ? content_type : "application/octet-stream");
	add_headers(r, headers);
	reply_set(rq->conn, 200, r);
	return 0;
}

int reply_error(struct request *rq, const struct lxm_err *e)
{
	int status = lxm_err_status(e);
	const char *text = e->msg[0] ? e->msg : strerror(e->code);

	reply_set(rq->conn, (unsigned int)status, json_response(api_error(status, text)));
	return 0;
}
