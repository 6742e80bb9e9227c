/*
 * JSON as the API speaks it: reading what clients send (keys in any case, null is absent, wrong types
 * named), building what they read, envelopes and status codes. Shared by lxmd and lxmc.
 */
#ifndef LXM_API_JSON_H
#define LXM_API_JSON_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/base/auto.h"
#include "lib/base/err.h"
#include "lib/base/kv.h"
#include "lib/base/str.h"
#include "lib/base/time.h"

/* `lxm_auto(json) json_t *o = NULL;` */
LXM_AUTO_PTR(json, json_t, json_decref)

/* Status codes of the API (`status_code`), not of HTTP. */
enum api_status {
	API_CREATED = 100, /* operation created */
	API_STARTED = 101,
	API_STOPPED = 102,
	API_RUNNING = 103,
	API_CANCELLING = 104,
	API_PENDING = 105,
	API_STARTING = 106,
	API_STOPPING = 107,
	API_ABORTING = 108,
	API_FREEZING = 109,
	API_FROZEN = 110,
	API_THAWED = 111,
	API_ERROR = 112,
	API_READY = 113,
	API_SUCCESS = 200,
	API_FAILURE = 400,
	API_CANCELLED = 401,
};

/** "Running", "Frozen" ...; "Unknown" for a number that is none. */
const char *api_status_name(int code);

/* ---- parsing */

/**
 * Parse a whole document of any kind.
 *
 * Returns 0 with a new reference, or -EINVAL (400) with line, column and reason.
 */
int js_parse(const char *data, size_t len, json_t **out, struct lxm_err *e);

/* ---- lenient readers, for what a server of ours or a client's optional hint says */

/** The value of a key: exact spelling first, then in any case. NULL if absent or null. Borrowed. */
json_t *js_get(const json_t *o, const char *key);
/** The string, or NULL if absent or not a string. Borrowed. */
const char *js_str(const json_t *o, const char *key);
/** The string, or dflt. */
const char *js_str_or(const json_t *o, const char *key, const char *dflt);
/** The number, or dflt if absent or not an integer. */
int64_t js_int(const json_t *o, const char *key, int64_t dflt);
/** The boolean, or dflt if absent or not a boolean. */
bool js_bool(const json_t *o, const char *key, bool dflt);

/*
 * ---- strict readers, for request bodies. An absent or null key leaves *out alone and returns 0; a
 * wrong type returns -EINVAL (400) with "key 'config.limits.cpu' must be a string, not a number".
 */

/** Borrowed from o. */
int js_get_str(const json_t *o, const char *key, const char **out, struct lxm_err *e);
int js_get_bool(const json_t *o, const char *key, bool *out, struct lxm_err *e);
/** Integers, also as real without a fraction; -ERANGE is folded into the same -EINVAL. */
int js_get_int(const json_t *o, const char *key, int64_t *out, struct lxm_err *e);
/** RFC 3339; empty and year 1 give 0. */
int js_get_time(const json_t *o, const char *key, lxm_time *out, struct lxm_err *e);
/** Object; borrowed. */
int js_get_obj(const json_t *o, const char *key, json_t **out, struct lxm_err *e);
/** Array; borrowed. */
int js_get_arr(const json_t *o, const char *key, json_t **out, struct lxm_err *e);
/* What the next three accept; more gives -EINVAL. */
#define JS_KEYS_MAX    10000
#define JS_DEVICES_MAX 1000
#define JS_STRINGS_MAX 100000

/** {string:string}, replacing *out; null values become "". *present (may be NULL) tells if the key was there. */
int js_get_kv(const json_t *o, const char *key, struct lxm_kv *out, bool *present, struct lxm_err *e);
/** {name:{string:string}}, replacing *out. */
int js_get_devs(const json_t *o, const char *key, struct lxm_devs *out, bool *present,
		struct lxm_err *e);
/** [string], replacing *out. */
int js_get_strv(const json_t *o, const char *key, struct lxm_strv *out, bool *present,
		struct lxm_err *e);
/** js_get_str() that refuses absent and empty ones with "key 'name' is required". */
int js_need_str(const json_t *o, const char *key, const char **out, struct lxm_err *e);

/* ---- building: each returns a new reference */

/** {} for an empty map, never null. */
json_t *js_from_kv(const struct lxm_kv *kv);
json_t *js_from_devs(const struct lxm_devs *d);
/** [] for an empty vector. */
json_t *js_from_strv(const struct lxm_strv *v);
/** RFC 3339; 0 is "1970-01-01T00:00:00Z". */
json_t *js_time(lxm_time t);
/** RFC 3339; 0 is "0001-01-01T00:00:00Z" (never, not set). */
json_t *js_time_unset(lxm_time t);
/** json_string() of bytes that a container chose: invalid UTF-8 is replaced. NULL gives "". */
json_t *js_string(const char *s);
/** "/1.0/instances/c1": printf with each %s percent-encoded as one path segment. Only %s and %% are known. */
json_t *js_url(const char *fmt, ...);
/** Compact text; free() it. NULL with no memory or invalid content. */
char *js_text(const json_t *o);

/* ---- envelopes: metadata is stolen and may be NULL (null) */

/** The three envelopes of the API; the caller owns the answer. */
json_t *api_sync(json_t *metadata);
json_t *api_async(const char *op_url, json_t *operation);
json_t *api_error(int http_status, const char *text);

#endif
