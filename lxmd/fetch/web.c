/*
 * See web.h. lxm-fetch, its only thread (libcurl resolves names on one of its own). Everything that arrives is a stranger's:
 * bodies go into bounded buffers or files, headers into small fields, and errors name what was asked for, never what was
 * answered: who makes lxmd ask must not learn what hosts inside the network say to it.
 */
#include "lxmd/fetch/web.h"

#include <curl/curl.h>
#include <errno.h>
#include <netdb.h>
#include <openssl/evp.h>
#include <openssl/ssl.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/api/json.h"
#include "lib/base/alloc.h"
#include "lib/base/fd.h"
#include "lib/base/outside.h"
#include "lib/base/time.h"
#include "lib/tls/cert.h"

#define CONNECT_S   20
#define STALL_S	    60	 /* a transfer that gets nothing for so long is given up */
#define REDIRECTS   5
#define PROGRESS_MS 200
#define DROP_MAX    65536 /* of the body of an answer that is an error */

struct web {
	CURL *easy;
	const struct fetch_job *job;
	int sock;
	struct addrinfo *proxies[2]; /* where `outside` has exceptions; NULL: none */
	struct lxm_buf pin; /* DER of the only certificate allowed; empty: the system's authorities */
	bool pin_failed;
	int64_t told_ms;
	/* of the running request */
	const struct web_request *rq;
	struct web_reply *reply;
	struct lxm_err err; /* what a callback gave up for */
	EVP_MD_CTX *md;
	uint64_t got;
	size_t part;	    /* being sent */
	uint64_t sent;	    /* of that part */
};

/* ---- reports */

static int tell(struct web *w, struct fetch_report *r)
{
	return fetch_report_send(w->sock, r);
}

void web_property(struct web *w, const char *key, const char *value)
{
	struct fetch_report r = { .kind = FETCH_PROPERTY };

	if (lxm_empty(key) || !value || strlen(key) >= sizeof(r.key) || strlen(value) >= sizeof(r.text) ||
	    !lxm_utf8_ok(key, strlen(key)) || !lxm_utf8_ok(value, strlen(value)))
		return;
	memcpy(r.key, key, strlen(key));
	memcpy(r.text, value, strlen(value));
	(void)tell(w, &r);
}

int web_found(struct web *w, const char *fingerprint, uint64_t total, struct lxm_err *e)
{
	struct fetch_report r = { .kind = FETCH_FOUND, .total = total };
	char go;
	ssize_t n;

	snprintf(r.fingerprint, sizeof(r.fingerprint), "%s", fingerprint);
	if (tell(w, &r) < 0)
		return lxm_err_set(e, ECANCELED, "cancelled");
	do
		n = recv(w->sock, &go, 1, 0);
	while (n < 0 && errno == EINTR);
	return n == 1 ? 0 : lxm_err_set(e, ECANCELED, "cancelled");
}

const struct fetch_job *web_job(const struct web *w)
{
	return w->job;
}

/* ---- what libcurl calls */

static int on_progress(void *arg, curl_off_t dltotal, curl_off_t dlnow, curl_off_t ultotal, curl_off_t ulnow)
{
	struct web *w = arg;
	struct fetch_report r = { .kind = FETCH_PROGRESS };
	int64_t now = lxm_mono_ms();

	if (now < w->told_ms + PROGRESS_MS)
		return 0;
	w->told_ms = now;
	r.total = w->rq->total;
	if (w->rq->nparts)
		r.done = (uint64_t)ulnow;
	else if (w->rq->total || !w->rq->text)
		r.done = w->rq->done_before + w->got;
	if (!r.total && !w->rq->text && dltotal > 0)
		r.total = (uint64_t)dltotal;
	return tell(w, &r) < 0; /* lxmd is gone, or wants us no more */
}

static bool ok_status(int status)
{
	return status >= 200 && status < 300;
}

static size_t on_header(char *line, size_t one, size_t len, void *arg)
{
	web_head_line(((struct web *)arg)->reply, line, len);
	return len;
}

static int take(struct web *w, const char *data, size_t len)
{
	const struct web_request *rq = w->rq;
	long status = 0;
	int r;

	(void)curl_easy_getinfo(w->easy, CURLINFO_RESPONSE_CODE, &status);
	w->got += len;
	if (!ok_status((int)status))
		return w->got > DROP_MAX ? lxm_err_set(&w->err, EIO, "the server answers with status %ld and a long text", status) : 0;
	if (rq->text) {
		if (w->got > rq->text_max)
			return lxm_err_set(&w->err, EFBIG, "the answer is larger than %zu KiB", rq->text_max / 1024);
		lxm_buf_add(rq->text, data, len);
		return 0;
	}
	if (rq->size >= 0 && w->got > (uint64_t)rq->size)
		return lxm_err_set(&w->err, EBADMSG, "the file is longer than the %lld bytes that were announced", (long long)rq->size);
	if (w->got > w->job->max_bytes)
		return lxm_err_http(&w->err, 507, ENOSPC, "the file is larger than the %llu bytes of disk space that are left for it",
				    (unsigned long long)w->job->max_bytes);
	if (w->got > rq->max_bytes)
		return lxm_err_set(&w->err, EBADMSG, "the file is longer than what was announced");
	if (w->md)
		EVP_DigestUpdate(w->md, data, len);
	r = lxm_write_all(w->reply->multipart && rq->multipart_fd > 0 ? rq->multipart_fd : rq->fd, data, len);
	return r < 0 ? lxm_err_set(&w->err, -r, "store the download: %s", strerror(-r)) : 0;
}

static size_t on_body(char *data, size_t one, size_t len, void *arg)
{
	return take(arg, data, len) < 0 ? 0 : len;
}

static size_t read_part(const struct web_part *p, uint64_t *sent, char *out, size_t room)
{
	size_t want = p->size - *sent < room ? (size_t)(p->size - *sent) : room;
	ssize_t n = pread(p->fd, out, want, (off_t)*sent);

	if (n < 0 || (n == 0 && want))
		return CURL_READFUNC_ABORT;
	*sent += (uint64_t)n;
	return (size_t)n;
}

static size_t on_send(char *out, size_t one, size_t room, void *arg)
{
	struct web *w = arg;

	return read_part(&w->rq->parts[0], &w->sent, out, one * room);
}

/* A part of multipart/form-data; libcurl asks for them one after the other. */
struct mime_part {
	const struct web_part *part;
	uint64_t sent;
};

static size_t on_mime(char *out, size_t one, size_t room, void *arg)
{
	struct mime_part *m = arg;

	return read_part(m->part, &m->sent, out, one * room);
}

static int on_mime_seek(void *arg, curl_off_t off, int from)
{
	struct mime_part *m = arg;

	if (from != SEEK_SET || off < 0 || (uint64_t)off > m->part->size)
		return CURL_SEEKFUNC_FAIL;
	m->sent = (uint64_t)off;
	return CURL_SEEKFUNC_OK;
}

/* libcurl has the address by now, whatever the name was: nothing is looked up again. */
static bool may_connect(const struct web *w, const struct curl_sockaddr *a)
{
	size_t i;

	if (lxm_addr_outside(&a->addr))
		return true;
	for (i = 0; i < LXM_ARRAY_LEN(w->proxies); i++) {
		const struct addrinfo *p;

		for (p = w->proxies[i]; p; p = p->ai_next)
			if (p->ai_addrlen == a->addrlen && memcmp(p->ai_addr, &a->addr, a->addrlen) == 0)
				return true;
	}
	return false;
}

static curl_socket_t on_open(void *arg, curlsocktype purpose, struct curl_sockaddr *a)
{
	if (!may_connect(arg, a))
		return CURL_SOCKET_BAD;
	return socket(a->family, a->socktype | SOCK_CLOEXEC, a->protocol);
}

static void find_proxy(const char *url, struct addrinfo **out)
{
	const struct addrinfo hints = { .ai_socktype = SOCK_STREAM };
	char *host = NULL, *port = NULL;
	CURLU *u = lxm_empty(url) ? NULL : curl_url();

	/* 1080 is what libcurl takes for a proxy without a port */
	if (u && curl_url_set(u, CURLUPART_URL, url, CURLU_GUESS_SCHEME | CURLU_NON_SUPPORT_SCHEME) == CURLUE_OK &&
	    curl_url_get(u, CURLUPART_HOST, &host, 0) == CURLUE_OK) {
		char *plain = host + (*host == '[');

		plain[strcspn(plain, "]")] = 0;
		if (curl_url_get(u, CURLUPART_PORT, &port, 0) != CURLUE_OK)
			port = NULL;
		(void)getaddrinfo(plain, port ? port : "1080", &hints, out);
	}
	curl_free(host);
	curl_free(port);
	curl_url_cleanup(u);
}

/* The whole certificate counts: who signed it, and for which name, does not. */
static int verify_pinned(X509_STORE_CTX *store, void *arg)
{
	struct web *w = arg;
	X509 *cert = X509_STORE_CTX_get0_cert(store);
	struct lxm_cert_info info;
	unsigned char *der = NULL;
	int n = cert ? i2d_X509(cert, &der) : -1;
	bool ok = n > 0 && (size_t)n == w->pin.len && memcmp(der, w->pin.data, w->pin.len) == 0 &&
		  lxm_cert_info(der, (size_t)n, &info, NULL) == 0 && lxm_cert_in_time(&info, lxm_now());

	OPENSSL_free(der);
	w->pin_failed = !ok;
	X509_STORE_CTX_set_error(store, ok ? X509_V_OK : X509_V_ERR_CERT_REJECTED);
	return ok;
}

static CURLcode on_ssl(CURL *easy, void *ctx, void *arg)
{
	SSL_CTX_set_cert_verify_callback(ctx, verify_pinned, arg);
	return CURLE_OK;
}

/* ---- requests */

static void set_always(struct web *w)
{
	CURL *c = w->easy;

	curl_easy_setopt(c, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(c, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
	curl_easy_setopt(c, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
	curl_easy_setopt(c, CURLOPT_USERAGENT, "lxm/" LXM_VERSION);
	curl_easy_setopt(c, CURLOPT_PROTOCOLS_STR, "http,https");
	curl_easy_setopt(c, CURLOPT_FOLLOWLOCATION, 1L);
	curl_easy_setopt(c, CURLOPT_MAXREDIRS, (long)REDIRECTS);
	curl_easy_setopt(c, CURLOPT_CONNECTTIMEOUT, (long)CONNECT_S);
	curl_easy_setopt(c, CURLOPT_LOW_SPEED_LIMIT, 1L);
	curl_easy_setopt(c, CURLOPT_NOPROGRESS, 0L);
	curl_easy_setopt(c, CURLOPT_XFERINFOFUNCTION, on_progress);
	curl_easy_setopt(c, CURLOPT_XFERINFODATA, w);
	curl_easy_setopt(c, CURLOPT_HEADERFUNCTION, on_header);
	curl_easy_setopt(c, CURLOPT_HEADERDATA, w);
	curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, on_body);
	curl_easy_setopt(c, CURLOPT_WRITEDATA, w);
	if (w->job->outside) {
		curl_easy_setopt(c, CURLOPT_OPENSOCKETFUNCTION, on_open);
		curl_easy_setopt(c, CURLOPT_OPENSOCKETDATA, w);
	}
	if (!w->pin.len)
		return;
	curl_easy_setopt(c, CURLOPT_CAINFO, NULL);
	curl_easy_setopt(c, CURLOPT_CAPATH, NULL);
	curl_easy_setopt(c, CURLOPT_SSL_VERIFYHOST, 0L);
	curl_easy_setopt(c, CURLOPT_SSL_CTX_FUNCTION, on_ssl);
	curl_easy_setopt(c, CURLOPT_SSL_CTX_DATA, w);
}

int web_new(const struct fetch_job *job, int sock, struct web **out, struct lxm_err *e)
{
	lxm_auto(web_free) struct web *w = lxm_alloc(sizeof(*w));

	w->job = job;
	w->sock = sock;
	if (!lxm_empty(job->certificate) && lxm_cert_pem_to_der(job->certificate, &w->pin, e) < 0)
		return lxm_err_set(e, EINVAL, "the server's certificate as given is none");
	w->easy = curl_easy_init();
	if (!w->easy)
		return lxm_err_set(e, ENOMEM, "cannot start libcurl");
	if (job->outside) {
		find_proxy(job->proxy_http, &w->proxies[0]);
		find_proxy(job->proxy_https, &w->proxies[1]);
	}
	*out = LXM_TAKE(w, NULL);
	return 0;
}

void web_free(struct web *w)
{
	if (!w)
		return;
	if (w->easy)
		curl_easy_cleanup(w->easy);
	if (w->proxies[0])
		freeaddrinfo(w->proxies[0]);
	if (w->proxies[1])
		freeaddrinfo(w->proxies[1]);
	lxm_buf_deinit(&w->pin);
	free(w);
}

/* libcurl's own words name hosts and ports that the caller named himself, and nothing that the other side said. */
static int curl_error(const struct web *w, CURLcode c, struct lxm_err *e)
{
	if (w->err.code) {
		if (e)
			*e = w->err;
		return -w->err.code;
	}
	switch (c) {
	case CURLE_ABORTED_BY_CALLBACK:
		return lxm_err_set(e, ECANCELED, "cancelled");
	case CURLE_PEER_FAILED_VERIFICATION:
		if (w->pin_failed)
			return lxm_err_http(e, 502, EACCES, "the server shows another certificate than the one that was given");
		return lxm_err_http(e, 502, EACCES, "the server's certificate is not trusted; give it as 'certificate' if it is the right one");
	case CURLE_COULDNT_RESOLVE_HOST:
	case CURLE_COULDNT_RESOLVE_PROXY:
		return lxm_err_http(e, 502, EHOSTUNREACH, "the server's name is not known");
	case CURLE_COULDNT_CONNECT:
		return lxm_err_http(e, 502, ECONNREFUSED, "no connection to the server");
	case CURLE_OPERATION_TIMEDOUT:
		return lxm_err_http(e, 504, ETIMEDOUT, "the server does not answer");
	case CURLE_TOO_MANY_REDIRECTS:
		return lxm_err_http(e, 502, ELOOP, "the server sends us on and on (more than %d redirects)", REDIRECTS);
	case CURLE_UNSUPPORTED_PROTOCOL:
		return lxm_err_http(e, 502, EPROTO, "the server sends us to an address that is not %shttps", 
				    lxm_starts(w->rq->url, "http://") ? "http or " : "");
	case CURLE_PARTIAL_FILE:
	case CURLE_GOT_NOTHING:
	case CURLE_RECV_ERROR:
	case CURLE_SEND_ERROR:
		return lxm_err_http(e, 502, ECONNRESET, "the server broke the connection off");
	case CURLE_URL_MALFORMAT:
		return lxm_err_set(e, EINVAL, "that is no address of a server");
	default:
		return lxm_err_http(e, 502, EIO, "%s", curl_easy_strerror(c));
	}
}

static void set_proxy(struct web *w, const char *url)
{
	const struct fetch_job *j = w->job;
	const char *proxy = lxm_starts(url, "https://") ? j->proxy_https : j->proxy_http;

	/* "" keeps libcurl from looking into its environment */
	curl_easy_setopt(w->easy, CURLOPT_PROXY, proxy ? proxy : "");
	curl_easy_setopt(w->easy, CURLOPT_NOPROXY, j->no_proxy ? j->no_proxy : "");
}

/* A POST of one file, or of several as multipart/form-data. *mime is to be freed after the transfer. */
static int set_upload(struct web *w, const struct web_request *rq, struct mime_part m[2], curl_mime **mime, struct lxm_err *e)
{
	size_t i;

	if (rq->nparts > 2)
		return lxm_err_set(e, EINVAL, "an image has two parts at most");
	curl_easy_setopt(w->easy, CURLOPT_POST, 1L);
	if (!rq->parts[0].name) {
		curl_easy_setopt(w->easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)rq->parts[0].size);
		curl_easy_setopt(w->easy, CURLOPT_READFUNCTION, on_send);
		curl_easy_setopt(w->easy, CURLOPT_READDATA, w);
		return 0;
	}
	*mime = curl_mime_init(w->easy);
	for (i = 0; i < rq->nparts; i++) {
		curl_mimepart *p = curl_mime_addpart(*mime);

		m[i] = (struct mime_part){ &rq->parts[i], 0 };
		curl_mime_name(p, rq->parts[i].name);
		curl_mime_filename(p, rq->parts[i].filename);
		curl_mime_type(p, "application/octet-stream");
		curl_mime_data_cb(p, (curl_off_t)rq->parts[i].size, on_mime, on_mime_seek, NULL, &m[i]);
	}
	curl_easy_setopt(w->easy, CURLOPT_MIMEPOST, *mime);
	return 0;
}

static int finish_file(struct web *w, struct lxm_err *e)
{
	const struct web_request *rq = w->rq;
	unsigned char md[EVP_MAX_MD_SIZE];
	char hex[65];

	if (!ok_status(w->reply->status) || rq->text || rq->head)
		return 0;
	if (rq->size >= 0 && w->got != (uint64_t)rq->size)
		return lxm_err_http(e, 502, EBADMSG, "the file has %llu bytes, %lld were announced", (unsigned long long)w->got,
				    (long long)rq->size);
	if (!w->md)
		return 0;
	EVP_DigestFinal_ex(w->md, md, NULL);
	lxm_hex(hex, md, 32);
	return strcmp(hex, rq->sha256) == 0 ? 0 : lxm_err_http(e, 502, EBADMSG, "the file is not the one that was announced: its SHA-256 is %s", hex);
}

static int perform(struct web *w, const struct web_request *rq, struct lxm_err *e)
{
	struct curl_slist *headers = NULL;
	struct mime_part m[2];
	curl_mime *mime = NULL;
	const char *const *h;
	long status = 0;
	CURLcode c;
	int r = 0;

	curl_easy_reset(w->easy);
	set_always(w);
	set_proxy(w, rq->url);
	curl_easy_setopt(w->easy, CURLOPT_URL, rq->url);
	curl_easy_setopt(w->easy, CURLOPT_REDIR_PROTOCOLS_STR, lxm_starts(rq->url, "https://") ? "https" : "http,https");
	curl_easy_setopt(w->easy, CURLOPT_LOW_SPEED_TIME, rq->forever ? 0L : (long)STALL_S);
	if (rq->head)
		curl_easy_setopt(w->easy, CURLOPT_NOBODY, 1L);
	for (h = rq->headers; h && *h; h++)
		headers = curl_slist_append(headers, *h);
	if (rq->nparts) {
		headers = curl_slist_append(headers, "Expect:");
		curl_easy_setopt(w->easy, CURLOPT_FOLLOWLOCATION, 0L);
		r = set_upload(w, rq, m, &mime, e);
	}
	curl_easy_setopt(w->easy, CURLOPT_HTTPHEADER, headers);
	if (r == 0) {
		c = curl_easy_perform(w->easy);
		r = c == CURLE_OK ? 0 : curl_error(w, c, e);
	}
	(void)curl_easy_getinfo(w->easy, CURLINFO_RESPONSE_CODE, &status);
	w->reply->status = (int)status;
	curl_easy_setopt(w->easy, CURLOPT_HTTPHEADER, NULL);
	curl_slist_free_all(headers);
	curl_mime_free(mime);
	return r;
}

int web_do(struct web *w, const struct web_request *rq, struct web_reply *reply, struct lxm_err *e)
{
	int r;

	memset(reply, 0, sizeof(*reply));
	lxm_err_clear(&w->err);
	w->rq = rq;
	w->reply = reply;
	w->got = w->sent = 0;
	w->pin_failed = false;
	if (rq->sha256) {
		w->md = EVP_MD_CTX_new();
		if (!w->md || EVP_DigestInit_ex(w->md, EVP_sha256(), NULL) != 1)
			return lxm_err_set(e, ENOMEM, "cannot make a SHA-256");
	}
	r = perform(w, rq, e);
	if (r == 0)
		r = finish_file(w, e);
	EVP_MD_CTX_free(w->md);
	w->md = NULL;
	return r;
}

int web_status_error(int status, const char *what, struct lxm_err *e)
{
	if (status == 404)
		return lxm_err_set(e, ENOENT, "%s not found on the server", what);
	return lxm_err_http(e, 502, EIO, "the server answers status %d to the request for %s", status, what);
}

int web_json(struct web *w, const char *url, size_t max, bool forever, int *status_out, json_t **out, struct lxm_err *e)
{
	lxm_auto(buf) struct lxm_buf text = { 0 };
	struct web_request rq = { .url = url, .text = &text, .text_max = max, .forever = forever };
	struct web_reply reply;
	int r = web_do(w, &rq, &reply, e);

	*out = NULL;
	*status_out = reply.status;
	if (r < 0 || !ok_status(reply.status))
		return r;
	r = js_parse(text.data ? text.data : "", text.len, out, NULL);
	return r < 0 ? lxm_err_http(e, 502, EBADMSG, "the server's answer is not the JSON that was expected") : 0;
}

int web_file(struct web *w, const struct web_request *rq, struct web_reply *reply, struct lxm_err *e)
{
	int r = web_do(w, rq, reply, e);

	if (r < 0 || ok_status(reply->status))
		return r;
	return web_status_error(reply->status, "the image's file", e);
}
