/* THE route table: every path of the API, who may call it, and its handler (lxmd/http/routes.c). */
#ifndef LXMD_HTTP_ROUTES_H
#define LXMD_HTTP_ROUTES_H

#include <stdbool.h>
#include <stddef.h>

#include "lxmd/http/request.h"

/* Who may call. The Unix socket is an administrator. */
enum route_access {
	MAY_ALL,     /* anybody, also without trust; the handler decides what they see */
	MAY_METRICS, /* metrics certificates and trusted callers, restricted ones only in their projects */
	MAY_PROJECT, /* trusted callers, restricted ones only in their projects */
	MAY_TRUSTED, /* every trusted caller, restricted or not */
	MAY_SELF,    /* administrators; other trusted callers for the certificate that they come with, named by the path */
	MAY_ADMIN,   /* administrators only */
};

enum route_flags {
	RT_INLINE = 1,	   /* fast, never blocks: runs on the connection's thread */
	RT_PROJECT = 2,	   /* project= is checked to exist (404) */
	RT_ALLPROJECTS = 4, /* all-projects= is understood; without it the parameter is ignored */
	RT_UPLOAD = 8,	   /* the body is bytes, spooled to an unlinked file */
	RT_EITHER = 16,	   /* JSON, or bytes as with RT_UPLOAD, told apart by Content-Type and a look at it */
	RT_ASYNC = 32,	   /* answers with an operation (for the documentation and its test) */
	RT_NAMED = 64,	   /* the path's first parameter names the project, not project= */
	/*
	 * The objects live where features.* of the project says. Restricted callers see what is in that home; they
	 * change it only where the home is a project of theirs.
	 */
	RT_OF_IMAGES = 128,
	RT_OF_PROFILES = 256,
	RT_OF_VOLUMES = 512,
	RT_AUDIT = 1024, /* a GET that may change something */
	RT_SLOT = 2048, /* strangers may, with the headers of an open slot for a pushed image (lxmd/image/slot.h) */
};

struct route {
	const char *method;  /* "GET", "POST", "PUT", "PATCH", "DELETE" */
	const char *pattern; /* "/1.0/instances/{name}/state" */
	enum route_access access;
	unsigned int flags;  /* enum route_flags */
	handler_fn handler;
	const char *help;    /* one line */
};

/** The table, in the order of the file; n_out gets the number of rows. */
const struct route *route_table(size_t *n_out);

/* What route_find() answers beside 0. */
enum { ROUTE_NO_PATH = 1, ROUTE_NO_METHOD = 2 };

/* The result of a look-up. */
struct route_match {
	const struct route *route;
	bool containers;	 /* came by the /1.0/containers alias */
	char *args[RQ_ARGS_MAX]; /* decoded; owned by the caller after 0 */
};

/**
 * Find the row for a request. "/1.0/containers" is taken as "/1.0/instances"; literal segments win over
 * parameters; each segment is percent-decoded by itself (%2F stays inside).
 *
 * @path  without query, as sent
 *
 * Any thread. Returns 0, ROUTE_NO_PATH (404), ROUTE_NO_METHOD (501), or -EINVAL (400) for a broken escape,
 * an encoded NUL, or a parameter that is not UTF-8.
 */
int route_find(const char *method, const char *path, struct route_match *m, struct lxm_err *e);

/** Free the arguments of a match. */
void route_match_deinit(struct route_match *m);

/** Split and decode a query string into a map; later twins win; all is UTF-8 but the value of path=. Returns 0 or -EINVAL (400). */
int route_parse_query(const char *query, struct lxm_kv *out, struct lxm_err *e);

#endif
