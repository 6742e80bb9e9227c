/* Projects beyond what every kind of object has, see verb.h: what one uses, and its limits. */
#include <ctype.h>
#include <string.h>

#include "lib/base/alloc.h"
#include "lib/base/str.h"
#include "lxmc/entity.h"
#include "lxmc/json.h"
#include "lxmc/out.h"
#include "lxmc/verb.h"

/* "MEMORY"; "DISK (pool)" of one pool. */
static char *resource_name(const char *key)
{
	const char *pool = strchr(key, '.');
	char *text = pool ? lxm_asprintf("%.*s (%s)", (int)(pool - key), key, pool + 1) : lxm_strdup(key);
	size_t i;

	for (i = 0; text[i] && text[i] != ' '; i++)
		text[i] = (char)toupper((unsigned char)text[i]);
	return text;
}

static char *amount(const char *key, long long n)
{
	if (n < 0)
		return lxm_strdup("UNLIMITED");
	return lxm_streq(key, "memory") || lxm_starts(key, "disk") ? lxm_format_bytes((uint64_t)n) : lxm_asprintf("%lld", n);
}

int verb_project_info(struct cli *cli, struct lxm_err *e)
{
	static const char *const heads[] = { "RESOURCE", "LIMIT", "USAGE" };
	lxm_auto(table) struct table t = { 0 };
	lxm_auto(json) json_t *state = NULL;
	struct client *c;
	const char *name, *key;
	json_t *one;
	size_t k;
	int r = cli_target(cli, cli->args[0], &c, &name, e);

	if (r == 0)
		r = client_get(c, client_url(c, "/1.0/projects/%s/state", name), &state, e);
	if (r < 0)
		return r;
	for (k = 0; k < LXM_ARRAY_LEN(heads); k++)
		table_head(&t, heads[k]);
	json_object_foreach(json_object_get(state, "resources"), key, one) {
		lxm_strv_take(&t.cells, resource_name(key));
		lxm_strv_take(&t.cells, amount(key, jint(one, "Limit")));
		lxm_strv_take(&t.cells, amount(key, jint(one, "Usage")));
	}
	table_sort(&t);
	return out_list(cli, &t, state, e);
}
