/* Storage pools and volumes beyond what every kind of object has, see verb.h. */
#include <stdio.h>
#include <string.h>

#include "lib/base/alloc.h"
#include "lxmc/entity.h"
#include "lxmc/json.h"
#include "lxmc/out.h"
#include "lxmc/verb.h"

int verb_storage_create(struct cli *cli, struct lxm_err *e)
{
	const char *name, *text = cli_opt(cli, "description", "");
	lxm_auto(json) json_t *body = NULL;
	struct client *c;
	int r;

	r = cli_target(cli, cli->args[0], &c, &name, e);
	if (r < 0)
		return r;
	body = json_pack("{s:s, s:s, s:s, s:{}}", "name", name, "driver", cli->args[1], "description", text, "config");
	r = entity_apply_args(json_object_get(body, "config"), cli->args + 2, cli->n_args - 2, e);
	if (r == 0)
		r = client_change(c, "POST", client_url(c, "/1.0/storage-pools"), json_incref(body), e);
	if (r < 0)
		return lxm_err_wrap(e, r, "create storage pool '%s'", name);
	if (cli->quiet)
		printf("%s\n", name);
	else
		printf("storage pool %s created\n", name);
	return 0;
}

static void print_space(const char *label, const json_t *o, bool bytes)
{
	long long used = jint(o, "used"), total = jint(o, "total");
	lxm_auto(free) char *u = bytes ? lxm_format_bytes((uint64_t)used) : lxm_asprintf("%lld", used);
	lxm_auto(free) char *t = bytes ? lxm_format_bytes((uint64_t)total) : lxm_asprintf("%lld", total);

	if (total > 0)
		printf("  %s used: %s\n  %s total: %s\n", label, u, label, t);
}

int verb_storage_info(struct cli *cli, struct lxm_err *e)
{
	lxm_auto(json) json_t *pool = NULL, *res = NULL;
	const char *name;
	struct client *c;
	json_t *url;
	size_t i;
	int r;

	r = cli_target(cli, cli->args[0], &c, &name, e);
	if (r == 0)
		r = client_get(c, client_url(c, "/1.0/storage-pools/%s", name), &pool, e);
	if (r == 0)
		r = client_get(c, client_url(c, "/1.0/storage-pools/%s/resources", name), &res, e);
	if (r < 0)
		return r;
	printf("Name: %s\nDriver: %s\nStatus: %s\n", name, jtext(pool, "driver"), jtext(pool, "status"));
	printf("Resources:\n");
	print_space("Space", json_object_get(res, "space"), true);
	print_space("Inodes", json_object_get(res, "inodes"), false);
	printf("Used by:\n");
	json_array_foreach(json_object_get(pool, "used_by"), i, url) {
		lxm_auto(free) char *safe = out_safe(json_string_value(url) ? json_string_value(url) : "");

		printf("  %s\n", safe);
	}
	return 0;
}

int verb_volume_list(struct cli *cli, struct lxm_err *e)
{
	static const char *const heads[] = { "TYPE", "NAME", "DESCRIPTION", "CONTENT-TYPE", "USED BY" };
	lxm_auto(table) struct table t = { 0 };
	lxm_auto(json) json_t *list = NULL;
	const char *pool;
	struct client *c;
	json_t *item;
	size_t i;
	int r;

	r = cli_target(cli, cli->args[0], &c, &pool, e);
	if (r == 0)
		r = client_get(c, client_url(c, "/1.0/storage-pools/%s/volumes?recursion=1", pool), &list, e);
	if (r < 0)
		return r;
	for (i = 0; i < LXM_ARRAY_LEN(heads); i++)
		table_head(&t, heads[i]);
	json_array_foreach(list, i, item) {
		const char *name = jtext(item, "name");

		table_cellf(&t, "%s%s", jtext(item, "type"), strchr(name, '/') ? " (snapshot)" : "");
		table_cell(&t, name);
		table_cell(&t, jtext(item, "description"));
		table_cell(&t, jtext(item, "content_type"));
		table_cellf(&t, "%zu", json_array_size(json_object_get(item, "used_by")));
	}
	table_sort(&t);
	return out_list(cli, &t, list, e);
}

/* "VOLUME" is a custom volume; "container/c1" and "image/FINGERPRINT" name the others, as in lxc. */
int verb_volume_show(struct cli *cli, struct lxm_err *e)
{
	const char *pool, *slash = strchr(cli->args[1], '/');
	lxm_auto(free) char *type = slash ? lxm_strndup(cli->args[1], (size_t)(slash - cli->args[1])) :
					    lxm_strdup("custom");
	lxm_auto(json) json_t *o = NULL;
	struct client *c;
	int r;

	r = cli_target(cli, cli->args[0], &c, &pool, e);
	if (r == 0)
		r = client_get(c, client_url(c, "/1.0/storage-pools/%s/volumes/%s/%s", pool, type,
					     slash ? slash + 1 : cli->args[1]), &o, e);
	if (r < 0)
		return lxm_err_wrap(e, r, "volume '%s'", cli->args[1]);
	return out_object(cli, o, entity_volume.order, e);
}
