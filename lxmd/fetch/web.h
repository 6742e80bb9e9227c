/* Requests of lxm-fetch: HTTP by libcurl, every size bounded, certificates pinned, progress told to lxmd. */
#ifndef LXMD_FETCH_WEB_H
#define LXMD_FETCH_WEB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

#include "lib/base/err.h"
#include "lib/base/str.h"
#include "lib/wire/fetch.h"

struct web; /* one connection cache, one job */

/* One request; zero it and set what is needed. Strings are borrowed. */
struct web_request {
	const char *url;
	bool head;		      /* HEAD instead of GET */
	bool forever;		      /* the answer may take any time (waiting for an operation) */
	struct lxm_buf *text;	      /* the body goes here, at most text_max bytes (-EFBIG beyond); or */
	size_t text_max;
	int fd;			      /* it goes to this file, */
	int multipart_fd;	      /* > 0: to this one if it is multipart/form-data */
	uint64_t max_bytes;	      /* at most so many, */
	const char *sha256;	      /* with this hash (NULL: any) */
	int64_t size;		      /* and exactly so long (-1: any) */
	uint64_t done_before, total;  /* for the progress: what other files have, and all together */
	const char *const *headers;   /* NULL-terminated "Name: value"; may be NULL */
	/* body of a POST: parts of multipart/form-data, or one file as it is */
	const struct web_part *parts;
	size_t nparts;
};

/* A file to send. */
struct web_part {
	const char *name, *filename; /* NULL name: the body is this file alone */
	int fd;
	uint64_t size;
};

/* What came back beside the body. */
struct web_reply {
	int status;
	bool multipart;		 /* the body is multipart/form-data */
	char content_type[256];
	char image_hash[65];	 /* LXD-Image-Hash, Incus-Image-Hash; "" when absent or too long */
	char image_url[2048];	 /* LXD-Image-URL, Incus-Image-URL; likewise */
};

/** Take one header line as it came, with its end; a status line begins a new answer. No I/O. */
void web_head_line(struct web_reply *reply, const char *line, size_t len);

/**
 * Get ready for a job.
 *
 * @job   borrowed for the life of *out
 * @sock  reports go here
 *
 * Returns 0, or -EINVAL when the certificate is none.
 */
int web_new(const struct fetch_job *job, int sock, struct web **out, struct lxm_err *e);

/** NULL is fine. */
void web_free(struct web *w);
LXM_AUTO_PTR(web_free, struct web, web_free)

/**
 * Make a request and take its answer. Redirects are followed, five at most, to https (from http also to http).
 *
 * Bodies of answers other than 2xx are dropped: nothing of them is kept or told. Returns 0 whatever the status is, -EFBIG,
 * -EBADMSG (hash or size do not fit), -ECANCELED (lxmd is gone), or another -errno.
 */
int web_do(struct web *w, const struct web_request *rq, struct web_reply *reply, struct lxm_err *e);

/** GET a JSON document of at most `max` bytes. *out stays NULL unless the status is 2xx. Returns as web_do(), -EBADMSG for no JSON. */
int web_json(struct web *w, const char *url, size_t max, bool forever, int *status_out, json_t **out, struct lxm_err *e);

/** GET a file into a descriptor; any status but 2xx is an error. Returns as web_do(). */
int web_file(struct web *w, const struct web_request *rq, struct web_reply *reply, struct lxm_err *e);

/** Tell lxmd one property of the image; what does not fit a report is left out. */
void web_property(struct web *w, const char *key, const char *value);

/** Tell lxmd which image it is and wait for its word. Returns 0, or -ECANCELED when it is not wanted. */
int web_found(struct web *w, const char *fingerprint, uint64_t total, struct lxm_err *e);

/** The job; borrowed. */
const struct fetch_job *web_job(const struct web *w);

/** -EIO or -ENOENT for a status that is not 2xx, naming `what`: a server's words are never repeated. */
int web_status_error(int status, const char *what, struct lxm_err *e);

#endif
