/*
 * The verbs that all kinds of objects share, see entity.h: list, show, create, delete, rename, get, set, unset, edit.
 * What differs between kinds is data in entities.c.
 */
#include "lxmc/entity.h"

#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "lib/base/alloc.h"
#include "lib/base/fd.h"
#include "lxmc/edit.h"
#include "lxmc/json.h"
#include "lxmc/out.h"
#include "lxmc/verb.h"

#define STDIN_MAX ((size_t)16 << 20)
#define RETRIES	  7 /* when an object changes between GET and PUT, or is busy with another change */

#define FIRST_PAUSE_NS 5000000 /* doubled each time: a third of a second in all */

int read_stdin(char **text_out, size_t *n_out, struct lxm_err *e)
{
	struct lxm_buf b = { 0 };
	char chunk[65536];
	ssize_t n;

	while ((n = lxm_read_full(STDIN_FILENO, chunk, sizeof(chunk))) > 0) {
		lxm_buf_add(&b, chunk, (size_t)n);
		if (b.len > STDIN_MAX) {
			lxm_buf_deinit(&b);
			return lxm_err_set(e, EFBIG, "stdin: over %zu MiB", STDIN_MAX >> 20);
		}
	}
	if (n < 0) {
		lxm_buf_deinit(&b);
		errno = (int)-n;
		return lxm_err_sys(e, "read stdin");
	}
	if (n_out)
		*n_out = b.len;
	*text_out = lxm_buf_take(&b);
	return 0;
}

int split_key_value(const char *arg, char **key_out, char **value_out, struct lxm_err *e)
{
	const char *eq = strchr(arg, '=');
	int r;

	if (!eq || eq == arg)
		return cli_usage(e, "'%s' is not KEY=VALUE", arg);
	if (strcmp(eq + 1, "-") == 0) {
		r = read_stdin(value_out, NULL, e);
		if (r < 0)
			return r;
	} else {
		*value_out = lxm_strdup(eq + 1);
	}
	*key_out = lxm_strndup(arg, (size_t)(eq - arg));
	return 0;
}

json_t *js_map(json_t *object, const char *key)
{
	json_t *map = json_object_get(object, key);

	if (!json_is_object(map)) {
		map = json_object();
		json_object_set_new(object, key, map);
	}
	return map;
}

int entity_apply_args(json_t *map, const char *const *args, size_t n, struct lxm_err *e)
{
	lxm_auto(free) char *joined = NULL;
	size_t i;

	if (n == 2 && !strchr(args[0], '=')) {
		joined = lxm_asprintf("%s=%s", args[0], args[1]);
		args = (const char *const[]){ joined };
		n = 1;
		return entity_apply_args(map, args, n, e);
	}
	for (i = 0; i < n; i++) {
		lxm_auto(free) char *key = NULL, *value = NULL;
		int r = split_key_value(args[i], &key, &value, e);

		if (r < 0)
			return r;
		if (json_object_set_new(map, key, json_string(value)) < 0)
			return cli_usage(e, "'%s' is not UTF-8", args[i]);
	}
	return 0;
}

int entity_url(struct cli *cli, const struct entity *ent, struct client **client_out, char **url_out,
	       struct lxm_err *e)
{
	lxm_auto(free) char *whole = NULL;
	const char *name, *slash;
	int r = cli_target(cli, cli->n_args && ent->ids ? cli->args[0] : "", client_out, &name, e);

	if (r < 0)
		return r;
	if (ent->ids && !ent->nameless && !*name)
		return cli_usage(e, "the %s's name is missing", ent->noun);
	slash = ent->part ? strchr(name, '/') : NULL;
	if (slash) {
		whole = lxm_strndup(name, (size_t)(slash - name));
		*url_out = client_url(*client_out, ent->part, whole, slash + 1);
	} else {
		*url_out = client_url(*client_out, ent->one, name, cli->n_args > 1 ? cli->args[1] : "");
	}
	return 0;
}

json_t *entity_writable(const struct entity *ent, const json_t *object)
{
	json_t *o = json_object();
	const char *const *k;

	for (k = ent->writable; *k; k++)
		if (json_object_get(object, *k))
			json_object_set(o, *k, json_object_get(object, *k));
	return o;
}

static bool has_word(const char *const *words, const char *word)
{
	for (; words && *words; words++)
		if (strcmp(*words, word) == 0)
			return true;
	return false;
}

static size_t count(const char *const *keys)
{
	size_t n = 0;

	while (keys && keys[n])
		n++;
	return n;
}

int entity_check_keys(const struct entity *ent, const json_t *object, struct lxm_err *e)
{
	/* what `show` prints beside these may differ from server to server, and is dropped: only what looks like a slip is one */
	const char *key, *near;
	json_t *value;

	json_object_foreach((json_t *)object, key, value) {
		if (strchr(key, '.'))
			return lxm_err_set(e, EINVAL, "key '%.80s' does not stand below 'config' of the %s: indent it", key, ent->noun);
		near = cli_nearest(key, ent->writable, count(ent->writable));
		if (near && strcmp(near, key) != 0 && !has_word(ent->order, key))
			return lxm_err_set(e, EINVAL, "unknown key '%.80s' of the %s: did you mean '%s'?", key, ent->noun, near);
	}
	return 0;
}

static int change_once(struct client *c, const struct entity *ent, const char *url, entity_edit_fn fn, void *arg,
		       struct lxm_err *e)
{
	lxm_auto(call) struct call get = { .method = "GET", .url = url };
	lxm_auto(call) struct call put = { .method = "PUT", .url = url };
	lxm_auto(json) json_t *body = NULL;
	int r;

	r = client_call(c, &get, e);
	if (r < 0)
		return r;
	r = fn(get.meta, arg, e);
	if (r != 0)
		return r < 0 ? r : 0;
	body = entity_writable(ent, get.meta);
	put.body = body;
	put.if_match = get.etag;
	r = client_call(c, &put, e);
	if (r == 0 && put.operation)
		r = client_wait(c, put.operation, NULL, NULL, e);
	return r;
}

int entity_change(struct client *c, const struct entity *ent, const char *url, entity_edit_fn fn, void *arg,
		  struct lxm_err *e)
{
	struct timespec pause = { 0, FIRST_PAUSE_NS };
	int i, r = 0;

	for (i = 0; i < RETRIES; i++) {
		lxm_err_clear(e);
		r = change_once(c, ent, url, fn, arg, e);
		/* the last two are words of an operation that had begun */
		if (r >= 0 || !e || (e->http != 412 && e->http != 409 && !strstr(e->msg, " is busy") && !strstr(e->msg, " changed meanwhile")))
			break;
		nanosleep(&pause, NULL);
		pause.tv_nsec *= 2;
	}
	return r;
}

/* ---- verbs */

int verb_entity_list(struct cli *cli, struct lxm_err *e)
{
	const struct entity *ent = cli->verb->data;
	lxm_auto(table) struct table t = { 0 };
	lxm_auto(json) json_t *list = NULL, *kept = json_array();
	const struct column *col;
	struct client *c;
	const char *name;
	json_t *item;
	size_t i;
	int r;

	r = cli_target(cli, cli->n_args ? cli->args[0] : "", &c, &name, e);
	if (r == 0)
		r = client_get(c, client_url(c, "%r?recursion=1", ent->list), &list, e);
	if (r < 0)
		return r;
	for (col = ent->columns; col->head; col++)
		table_head(&t, col->head);
	json_array_foreach(list, i, item) {
		if (ent->listed && !ent->listed(item))
			continue;
		json_array_append(kept, item);
		for (col = ent->columns; col->head; col++)
			lxm_strv_take(&t.cells, col->cell(item));
	}
	table_sort(&t);
	return out_list(cli, &t, kept, e);
}

int entity_read(struct cli *cli, const struct entity *ent, json_t **out, struct lxm_err *e)
{
	struct client *c;
	char *url;
	int r = entity_url(cli, ent, &c, &url, e);

	return r < 0 ? r : client_get(c, url, out, e);
}

int verb_entity_show(struct cli *cli, struct lxm_err *e)
{
	const struct entity *ent = cli->verb->data;
	lxm_auto(json) json_t *o = NULL;
	int r = entity_read(cli, ent, &o, e);

	return r < 0 ? r : out_object(cli, o, ent->order, e);
}

/* YAML that a create verb takes on stdin when that is a file or a pipe. */
static int body_from_stdin(json_t **out, struct lxm_err *e)
{
	lxm_auto(free) char *text = NULL;
	size_t n;
	int r;

	*out = NULL;
	if (!edit_stdin_has_data())
		return 0;
	r = read_stdin(&text, &n, e);
	if (r == 0)
		r = yaml_body(text, n, out, e);
	return r;
}

/* "Profile small created" */
static void said(const struct entity *ent, const char *name, const char *what)
{
	printf("%c%s %s %s\n", ent->noun[0] >= 'a' && ent->noun[0] <= 'z' ? ent->noun[0] - 32 : ent->noun[0], ent->noun + 1, name, what);
}

int verb_entity_create(struct cli *cli, struct lxm_err *e)
{
	const struct entity *ent = cli->verb->data;
	lxm_auto(json) json_t *body = NULL;
	const char *name, *type, *text;
	struct client *c;
	int r;

	r = cli_target(cli, cli->args[0], &c, &name, e);
	if (r == 0)
		r = body_from_stdin(&body, e);
	if (r < 0)
		return r;
	if (!body)
		body = json_object();
	r = entity_check_keys(ent, body, e);
	if (r < 0)
		return r;
	json_object_set_new(body, "name", json_string(name));
	type = cli_opt(cli, "type", NULL);
	if (type)
		json_object_set_new(body, "type", json_string(type));
	text = cli_opt(cli, "description", NULL);
	if (text)
		json_object_set_new(body, "description", json_string(text));
	r = entity_apply_args(js_map(body, "config"), cli->args + 1, cli->n_args - 1, e);
	if (r == 0)
		r = client_change(c, "POST", client_url(c, "%r", ent->list), json_incref(body), e);
	if (r == 0 && cli->quiet)
		printf("%s\n", name);
	else if (r == 0)
		said(ent, name, "created");
	return r;
}

int verb_entity_delete(struct cli *cli, struct lxm_err *e)
{
	const struct entity *ent = cli->verb->data;
	size_t i, n = cli->n_args;
	const char *const *all = cli->args;
	struct client *c;
	char *url;
	int r = 0;

	for (i = 0; i < n && r == 0; i++, cli->args++) {
		r = entity_url(cli, ent, &c, &url, e);
		if (r == 0)
			r = client_change(c, "DELETE", url, NULL, e);
		if (r == 0 && !cli->quiet)
			said(ent, cli->args[0], "deleted");
	}
	cli->args = all;
	return r;
}

int verb_entity_rename(struct cli *cli, struct lxm_err *e)
{
	const struct entity *ent = cli->verb->data;
	const char *to = cli->args[ent->ids];
	struct client *c;
	char *url;
	int r = entity_url(cli, ent, &c, &url, e);

	if (r < 0)
		return r;
	/* "rename c1/snap0 c1/before" is what lxc wants; the part alone will do */
	if (ent->part && strchr(cli->args[0], '/') && strchr(to, '/'))
		to = strchr(to, '/') + 1;
	return client_change(c, "POST", url, json_pack("{s:s}", "name", to), e);
}

struct key_change {
	struct cli *cli;
	const char *unset; /* key to take away, or NULL */
	json_t *set;	   /* keys to set; read before the first try, because a value may come from stdin */
};

/* set and unset: keys of config, or with --property of the object itself. */
static int edit_keys(json_t *o, void *arg, struct lxm_err *e)
{
	struct key_change *k = arg;
	const struct entity *ent = k->cli->verb->data;
	bool property = cli_has(k->cli, "property");
	json_t *map = property ? o : js_map(o, "config");

	if (!k->unset)
		return json_object_update(map, k->set);
	if (!json_object_get(map, k->unset))
		return lxm_err_set(e, ENOENT, "key '%s' is not set on %s '%s'", k->unset, ent->noun,
				   ent->ids ? k->cli->args[0] : "");
	if (property)
		return json_object_set_new(map, k->unset, json_string(""));
	return json_object_del(map, k->unset);
}

static int change_keys(struct cli *cli, bool unset, struct lxm_err *e)
{
	const struct entity *ent = cli->verb->data;
	lxm_auto(json) json_t *set = json_object();
	struct key_change k = { cli, unset ? cli->args[ent->ids] : NULL, set };
	lxm_auto(free) char *url = NULL;
	struct client *c;
	int r = entity_url(cli, ent, &c, &url, e);

	if (r == 0 && !unset)
		r = entity_apply_args(set, cli->args + ent->ids, cli->n_args - (size_t)ent->ids, e);
	return r < 0 ? r : entity_change(c, ent, url, edit_keys, &k, e);
}

int verb_entity_set(struct cli *cli, struct lxm_err *e)
{
	return change_keys(cli, false, e);
}

int verb_entity_unset(struct cli *cli, struct lxm_err *e)
{
	return change_keys(cli, true, e);
}

int verb_entity_get(struct cli *cli, struct lxm_err *e)
{
	const struct entity *ent = cli->verb->data;
	const char *key = cli->args[ent->ids];
	lxm_auto(json) json_t *o = NULL;
	lxm_auto(free) char *text = NULL;
	const json_t *v;
	int r = entity_read(cli, ent, &o, e);

	if (r < 0)
		return r;
	v = cli_has(cli, "property") ? o : json_object_get(o, cli_has(cli, "expanded") ? "expanded_config" : "config");
	v = json_object_get(v, key);
	if (!json_is_string(v) && v)
		text = json_dumps(v, JSON_ENCODE_ANY | JSON_COMPACT);
	out_text(text ? text : v ? json_string_value(v) : "", strlen(text ? text : v ? json_string_value(v) : ""));
	putchar('\n');
	return 0;
}

int verb_entity_edit(struct cli *cli, struct lxm_err *e)
{
	const struct entity *ent = cli->verb->data;
	lxm_auto(free) char *url = NULL;
	struct client *c;
	int r = entity_url(cli, ent, &c, &url, e);

	return r < 0 ? r : edit_object(c, ent, url, e);
}
