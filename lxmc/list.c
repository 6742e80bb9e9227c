/* `lxmc list`: columns as in lxc, filters, one request for everything. See verb.h. */
#include <stdio.h>
#include <string.h>

#include "lib/base/alloc.h"
#include "lib/base/time.h"
#include "lxmc/client.h"
#include "lxmc/filter.h"
#include "lxmc/json.h"
#include "lxmc/out.h"
#include "lxmc/units.h"
#include "lxmc/verb.h"

#define COLUMNS_MAX 40

static const json_t *state_of(const json_t *o)
{
	return json_object_get(o, "state");
}

static bool is_running(const json_t *o)
{
	const char *s = jtext(o, "status");

	return strcmp(s, "Running") == 0 || strcmp(s, "Frozen") == 0;
}

static char *upper_of(const char *s)
{
	char *u = lxm_strdup(s), *p;

	for (p = u; *p; p++)
		if (*p >= 'a' && *p <= 'z')
			*p -= 32;
	return u;
}

static char *addresses(const json_t *o, const char *family)
{
	json_t *links = json_object_get(state_of(o), "network"), *link, *addr;
	lxm_auto(strv) struct lxm_strv all = { 0 };
	const char *name;
	size_t i;

	json_object_foreach(links, name, link) {
		if (strcmp(jtext(link, "type"), "loopback") == 0)
			continue;
		json_array_foreach(json_object_get(link, "addresses"), i, addr) {
			const char *scope = jtext(addr, "scope");

			if (strcmp(jtext(addr, "family"), family) != 0 || strcmp(scope, "link") == 0 ||
			    strcmp(scope, "local") == 0)
				continue;
			lxm_strv_take(&all, lxm_asprintf("%s (%s)", jtext(addr, "address"), name));
		}
	}
	lxm_strv_sort(&all);
	return lxm_strv_join(&all, "\n");
}

static char *col_ipv4(const json_t *o)
{
	return addresses(o, "inet");
}

static char *col_ipv6(const json_t *o)
{
	return addresses(o, "inet6");
}

static char *col_state(const json_t *o)
{
	return upper_of(jtext(o, "status"));
}

static char *col_type(const json_t *o)
{
	lxm_auto(free) char *type = upper_of(*jtext(o, "type") ? jtext(o, "type") : "container");

	return lxm_asprintf("%s%s", type, jtrue(o, "ephemeral") ? " (EPHEMERAL)" : "");
}

static char *col_snapshots(const json_t *o)
{
	return lxm_asprintf("%zu", json_array_size(json_object_get(o, "snapshots")));
}

#define TEXT_COLUMN(name, key)                    \
	static char *col_##name(const json_t *o)  \
	{                                         \
		return lxm_strdup(jtext(o, key)); \
	}
TEXT_COLUMN(name, "name")
TEXT_COLUMN(architecture, "architecture")
TEXT_COLUMN(description, "description")
TEXT_COLUMN(location, "location")
TEXT_COLUMN(project, "project")

static char *col_created(const json_t *o)
{
	return unit_time(jtext(o, "created_at"));
}

static char *col_used(const json_t *o)
{
	return unit_time(jtext(o, "last_used_at"));
}

static char *col_pid(const json_t *o)
{
	long long pid = jint(state_of(o), "pid");

	return is_running(o) && pid ? lxm_asprintf("%lld", pid) : lxm_strdup("");
}

static char *col_processes(const json_t *o)
{
	long long n = jint(state_of(o), "processes");

	return is_running(o) ? lxm_asprintf("%lld", n) : lxm_strdup("");
}

static char *col_profiles(const json_t *o)
{
	lxm_auto(strv) struct lxm_strv all = { 0 };
	json_t *p;
	size_t i;

	json_array_foreach(json_object_get(o, "profiles"), i, p)
		lxm_strv_add(&all, json_string_value(p) ? json_string_value(p) : "");
	return lxm_strv_join(&all, "\n");
}

static char *col_pool(const json_t *o)
{
	json_t *devices = json_object_get(o, "expanded_devices"), *d;
	const char *name;

	json_object_foreach(devices, name, d)
		if (strcmp(jtext(d, "type"), "disk") == 0 && strcmp(jtext(d, "path"), "/") == 0)
			return lxm_strdup(jtext(d, "pool"));
	return lxm_strdup("");
}

static char *col_base_image(const json_t *o)
{
	const char *fp = jtext(json_object_get(o, "config"), "volatile.base_image");

	return lxm_strndup(fp, 12);
}

static char *col_base_image_long(const json_t *o)
{
	return lxm_strdup(jtext(json_object_get(o, "config"), "volatile.base_image"));
}

static char *col_cpu(const json_t *o)
{
	long long ns = jint(json_object_get(state_of(o), "cpu"), "usage");

	return is_running(o) ? lxm_asprintf("%llds", ns / 1000000000) : lxm_strdup("");
}

static char *col_memory(const json_t *o)
{
	long long n = jint(json_object_get(state_of(o), "memory"), "usage");

	return is_running(o) && n > 0 ? lxm_format_bytes((uint64_t)n) : lxm_strdup("");
}

static char *col_memory_percent(const json_t *o)
{
	const json_t *memory = json_object_get(state_of(o), "memory");
	long long n = jint(memory, "usage"), total = jint(memory, "total");
	uint64_t limit;

	if (!total && lxm_parse_bytes(jtext(json_object_get(o, "expanded_config"), "limits.memory"), &limit) == 0)
		total = (long long)limit;
	return is_running(o) && total > 0 ? lxm_asprintf("%.1f%%", 100.0 * (double)n / (double)total) : lxm_strdup("");
}

static char *col_disk(const json_t *o)
{
	long long n = jint(json_object_get(json_object_get(state_of(o), "disk"), "root"), "usage");

	return n > 0 ? lxm_format_bytes((uint64_t)n) : lxm_strdup("");
}

/* One row for each letter of --columns. */
static const struct list_column {
	char letter;
	const char *head;
	char *(*cell)(const json_t *o);
	bool full; /* needs state or snapshots */
} known[] = {
	{ '4', "IPV4", col_ipv4, true },
	{ '6', "IPV6", col_ipv6, true },
	{ 'a', "ARCHITECTURE", col_architecture, false },
	{ 'b', "STORAGE POOL", col_pool, false },
	{ 'c', "CREATED AT", col_created, false },
	{ 'd', "DESCRIPTION", col_description, false },
	{ 'D', "DISK USAGE", col_disk, true },
	{ 'e', "PROJECT", col_project, false },
	{ 'f', "BASE IMAGE", col_base_image, false },
	{ 'F', "BASE IMAGE", col_base_image_long, false },
	{ 'l', "LAST USED AT", col_used, false },
	{ 'L', "LOCATION", col_location, false },
	{ 'm', "MEMORY USAGE", col_memory, true },
	{ 'M', "MEMORY USAGE%", col_memory_percent, true },
	{ 'n', "NAME", col_name, false },
	{ 'N', "PROCESSES", col_processes, true },
	{ 'p', "PID", col_pid, true },
	{ 'P', "PROFILES", col_profiles, false },
	{ 's', "STATE", col_state, false },
	{ 'S', "SNAPSHOTS", col_snapshots, true },
	{ 't', "TYPE", col_type, false },
	{ 'u', "CPU USAGE", col_cpu, true },
};

/* A chosen column: a known one, or a key ("image.os:OS:20", "devices:eth0.parent"). */
struct chosen {
	const struct list_column *known;
	char *key, *head;
	bool device;
	size_t max; /* columns wide; 0: as needed */
};

struct choice {
	struct chosen v[COLUMNS_MAX];
	size_t n;
	bool full;
};

static void choice_deinit(struct choice *c)
{
	size_t i;

	for (i = 0; i < c->n; i++) {
		free(c->v[i].key);
		free(c->v[i].head);
	}
}
LXM_AUTO_STRUCT(choice, struct choice, choice_deinit)

static int add_key(struct choice *c, const char *spec, struct lxm_err *e)
{
	lxm_auto(strv) struct lxm_strv part = { 0 };
	struct chosen *col = &c->v[c->n];
	bool device = lxm_starts(spec, "devices:");
	uint64_t max = 0;

	lxm_strv_split(&part, lxm_starts(spec, "config:") ? spec + 7 : device ? spec + 8 : spec, ':');
	if (!part.n || part.n > 3 || (part.n == 3 && lxm_parse_u64(part.v[2], &max) < 0))
		return cli_usage(e, "bad column '%s'; it is KEY[:HEAD[:WIDTH]]", spec);
	if (device && !strchr(part.v[0], '.'))
		return cli_usage(e, "bad column '%s'; it is devices:DEVICE.KEY", spec);
	col->key = lxm_strdup(part.v[0]);
	col->head = part.n > 1 ? lxm_strdup(part.v[1]) : upper_of(part.v[0]);
	col->device = device;
	col->max = (size_t)max;
	c->n++;
	return 0;
}

static int add_letters(struct choice *c, const char *letters, struct lxm_err *e)
{
	size_t k;

	for (; *letters; letters++) {
		for (k = 0; k < LXM_ARRAY_LEN(known) && known[k].letter != *letters; k++)
			;
		if (k == LXM_ARRAY_LEN(known))
			return cli_usage(e, "unknown column '%c'; 'lxmc help list' shows the letters", *letters);
		if (c->n == COLUMNS_MAX)
			return cli_usage(e, "more than %d columns", COLUMNS_MAX);
		c->v[c->n++].known = &known[k];
		c->full |= known[k].full;
	}
	return 0;
}

static int choose(const char *spec, struct choice *c, struct lxm_err *e)
{
	lxm_auto(strv) struct lxm_strv parts = { 0 };
	size_t i;
	int r = 0;

	lxm_strv_split(&parts, spec, ',');
	for (i = 0; i < parts.n && r == 0; i++) {
		if (c->n == COLUMNS_MAX)
			return cli_usage(e, "more than %d columns", COLUMNS_MAX);
		r = strpbrk(parts.v[i], ".:") ? add_key(c, parts.v[i], e) : add_letters(c, parts.v[i], e);
	}
	return r == 0 && !c->n ? cli_usage(e, "no columns") : r;
}

static char *cell_of(const struct chosen *col, const json_t *o)
{
	lxm_auto(free) char *device = NULL;
	const char *text, *dot;

	if (col->known)
		return col->known->cell(o);
	if (col->device) {
		dot = strchr(col->key, '.');
		device = lxm_strndup(col->key, (size_t)(dot - col->key));
		text = jtext(json_object_get(json_object_get(o, "expanded_devices"), device), dot + 1);
	} else {
		text = jtext(json_object_get(o, "expanded_config"), col->key);
	}
	return col->max ? out_cut(text, col->max) : lxm_strdup(text);
}

/* Arguments are filters; the first may be "REMOTE:" or "REMOTE:FILTER". */
static int list_target(struct cli *cli, struct client **c, const char **first, struct lxm_err *e)
{
	const char *arg = cli->n_args ? cli->args[0] : "", *colon = strchr(arg, ':'), *eq = strchr(arg, '=');

	*first = arg;
	if (!colon || (eq && eq < colon))
		return cli_client(cli, NULL, c, e);
	return cli_target(cli, arg, c, first, e);
}

static bool passes(const struct cli *cli, const char *first, const json_t *o)
{
	size_t i;

	if (*first && !filter_matches(o, first))
		return false;
	for (i = 1; i < cli->n_args; i++)
		if (!filter_matches(o, cli->args[i]))
			return false;
	return true;
}

static bool wants_state(const struct cli *cli, const struct choice *c)
{
	const char *format = cli_opt(cli, "format", "table");
	size_t i;

	for (i = 0; i < cli->n_args; i++)
		if (strstr(cli->args[i], "ipv"))
			return true;
	return c->full || *format == 'j' || *format == 'y';
}

int verb_list(struct cli *cli, struct lxm_err *e)
{
	bool all = cli_has(cli, "all-projects");
	const char *spec = cli_opt(cli, "columns", cli_has(cli, "fast") ? "nsacPt" : all ? "ens46tS" : "ns46tS");
	lxm_auto(choice) struct choice choice = { 0 };
	lxm_auto(json) json_t *list = NULL, *kept = json_array();
	lxm_auto(table) struct table t = { 0 };
	struct client *c;
	const char *first;
	json_t *item;
	size_t i, k;
	int r;

	r = choose(cli->quiet && !cli_has(cli, "columns") ? "n" : spec, &choice, e);
	if (r == 0)
		r = list_target(cli, &c, &first, e);
	if (r < 0)
		return r;
	if (all) {
		free(c->project);
		c->project = NULL;
	}
	r = client_get(c, client_url(c, "/1.0/instances?recursion=%r%r", wants_state(cli, &choice) ? "2" : "1",
				     all ? "&all-projects=true" : ""), &list, e);
	if (r < 0)
		return r;
	for (k = 0; k < choice.n; k++)
		table_head(&t, choice.v[k].known ? choice.v[k].known->head : choice.v[k].head);
	json_array_foreach(list, i, item) {
		if (!passes(cli, first, item))
			continue;
		json_array_append(kept, item);
		for (k = 0; k < choice.n; k++)
			lxm_strv_take(&t.cells, cell_of(&choice.v[k], item));
	}
	table_sort(&t);
	return out_list(cli, &t, kept, e);
}
