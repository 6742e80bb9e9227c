/* Lists of image servers, see streams.h. Two or three requests on one connection; nothing is kept. */
#include "lxmc/streams.h"

#include <stdio.h>
#include <string.h>

#include "lib/api/streams.h"
#include "lib/base/alloc.h"
#include "lib/conf/names.h"
#include "lib/tls/http_client.h"
#include "lxmc/connect.h"
#include "lxmc/json.h"
#include "lxmc/client.h"

#define SILENCE_MS 30000

int streams_remote(struct cli *cli, const char *arg, struct remote *rm, const char **name_out, struct lxm_err *e)
{
	const char *colon = strchr(arg, ':');
	lxm_auto(free) char *prefix = colon ? lxm_strndup(arg, (size_t)(colon - arg)) : NULL;
	int r = cli_conf(cli, e);

	if (r < 0)
		return r;
	/* an unknown one is somebody else's error */
	if (conf_remote(cli->conf, prefix ? prefix : conf_default_remote(cli->conf), rm, NULL) < 0)
		return 0;
	*name_out = colon ? colon + 1 : arg;
	return strcmp(rm->protocol, "simplestreams") == 0;
}

/* "20260102_07:42" as a time of the API. */
static char *time_of(const char *version)
{
	int y, m, d, hh = 0, mm = 0, n = sscanf(version, "%4d%2d%2d_%2d:%2d", &y, &m, &d, &hh, &mm);

	if (n < 3 || y < 1970 || m < 1 || m > 12 || d < 1 || d > 31 || hh < 0 || hh > 23 || mm < 0 || mm > 59)
		return lxm_strdup("0001-01-01T00:00:00Z");
	return lxm_asprintf("%04d-%02d-%02dT%02d:%02d:00Z", y, m, d, n > 3 ? hh : 0, n > 4 ? mm : 0);
}

static int add_image(void *arg, const struct streams_entry *entry, struct lxm_err *e)
{
	const struct streams_image *im = entry->image;
	json_t *list = arg, *aliases = json_array(), *properties = json_object(), *o;
	lxm_auto(free) char *when = time_of(entry->version);
	lxm_auto(strv) struct lxm_strv names = { 0 };
	size_t i;

	lxm_strv_split(&names, entry->aliases, ',');
	for (i = 0; i < names.n; i++)
		json_array_append_new(aliases, json_pack("{s:s, s:s}", "name", names.v[i] + strspn(names.v[i], " "),
							 "description", ""));
	lxm_kv_each(p, &im->properties)
		json_object_set_new(properties, p->key, json_string(p->value));
	o = json_pack("{s:s, s:I, s:s, s:s, s:b, s:b, s:b, s:s, s:s, s:o, s:o}", "fingerprint", im->fingerprint, "size",
		      (json_int_t)(im->meta.size + im->root.size), "architecture", entry->architecture, "type", "container",
		      "public", 1, "cached", 0, "auto_update", 0, "created_at", when, "uploaded_at", when, "aliases", aliases,
		      "properties", properties);
	if (!o || json_array_append_new(list, o) < 0)
		return lxm_err_set(e, EBADMSG, "the server's list of images is not UTF-8");
	return 0;
}

/* One file below the remote's address. */
static int get(struct lxm_http *h, const struct remote *rm, const char *path, size_t max, struct lxm_http_reply *reply,
	       struct lxm_err *e)
{
	const char *base = strchr(rm->addr + strlen("https://"), '/');
	size_t n = base ? strlen(base) : 0;
	lxm_auto(free) char *target = NULL;
	struct lxm_http_request rq = { .method = "GET" };
	int r;

	while (n && base[n - 1] == '/')
		n--;
	target = lxm_asprintf("%.*s/%s", (int)n, base ? base : "", path);
	rq.target = target;
	lxm_http_max_body(h, max);
	r = lxm_http_do(h, &rq, reply, e);
	if (r == 0 && reply->status != 200)
		return lxm_err_set(e, EIO, "'%s' answers with status %d", target, reply->status);
	return r;
}

static int read_lists(struct lxm_http *h, const struct remote *rm, json_t *list, struct lxm_err *e)
{
	lxm_auto(http_reply) struct lxm_http_reply index = { 0 };
	lxm_auto(strv) struct lxm_strv paths = { 0 };
	size_t i;
	int r = get(h, rm, "streams/v1/index.json", STREAMS_INDEX_MAX, &index, e);

	if (r == 0)
		r = streams_index(index.body.data, index.body.len, &paths, e);
	for (i = 0; i < paths.n && r == 0; i++) {
		lxm_auto(http_reply) struct lxm_http_reply reply = { 0 };

		r = get(h, rm, paths.v[i], STREAMS_IMAGES_MAX, &reply, e);
		if (r == 0)
			r = streams_list(reply.body.data, reply.body.len, add_image, list, e);
	}
	return r;
}

int streams_images(struct cli *cli, const struct remote *rm, json_t **list_out, struct lxm_err *e)
{
	lxm_auto(route) struct route rt = { 0 };
	lxm_auto(json) json_t *list = json_array();
	lxm_auto(free) char *host = NULL;
	lxm_auto(http) struct lxm_http *h = NULL;
	int r;

	if (!lxm_starts(rm->addr, "https://"))
		return lxm_err_set(e, EINVAL, "remote '%s' is at %s; image servers are reached by https://", rm->name, rm->addr);
	r = route_init(&rt, cli->conf, rm, false, e);
	if (r < 0)
		return r;
	rt.tls.silence_ms = SILENCE_MS;
	h = lxm_http_new(route_dial, &rt);
	host = lxm_strndup(rm->addr + strlen("https://"), strcspn(rm->addr + strlen("https://"), "/?#"));
	lxm_http_host(h, host);
	r = read_lists(h, rm, list, e);
	if (r < 0)
		return e && lxm_starts(e->msg, "remote '") ? r : lxm_err_wrap(e, r, "remote '%s'", rm->name);
	*list_out = LXM_TAKE(list, NULL);
	return 0;
}

static bool has_alias(const json_t *o, const char *name)
{
	json_t *alias;
	size_t i;

	json_array_foreach(json_object_get(o, "aliases"), i, alias)
		if (strcmp(jtext(alias, "name"), name) == 0)
			return true;
	return false;
}

int streams_pick(const struct remote *rm, const json_t *list, const char *name, json_t **out, struct lxm_err *e)
{
	json_t *o, *found = NULL;
	size_t i;

	json_array_foreach(list, i, o) {
		bool own = strcmp(jtext(o, "architecture"), conf_own_architecture()) == 0;

		if (has_alias(o, name) && (!found || own))
			found = o;
	}
	json_array_foreach(list, i, o)
		if (!found && lxm_is_hex(name, 12, 64) && lxm_starts(jtext(o, "fingerprint"), name))
			found = o;
	if (!found)
		return lxm_err_set(e, ENOENT, "there is no image '%s' on remote '%s'; 'lxmc image list %s:' shows what there is",
				   name, rm->name, rm->name);
	*out = found;
	return 0;
}
