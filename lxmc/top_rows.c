/* Figures, rates and rows of `lxmc top`, see top_rows.h. */
#include "lxmc/top_rows.h"

#include <stdlib.h>
#include <string.h>

#include "lib/base/alloc.h"
#include "lxmc/json.h"
#include "lxmc/units.h"

/* Which metric adds to which figure. */
static const struct {
	const char *metric, *figure;
} figures[] = {
	{ "lxd_cpu_seconds_total", "cpu" },
	{ "lxd_memory_RSS_bytes", "memory" },
	{ "lxd_memory_Shmem_bytes", "memory" },
	{ "lxd_memory_MemTotal_bytes", "memory_max" },
	{ "lxd_disk_read_bytes_total", "disk" },
	{ "lxd_disk_written_bytes_total", "disk" },
	{ "lxd_network_receive_bytes_total", "received" },
	{ "lxd_network_transmit_bytes_total", "sent" },
	{ "lxd_procs_total", "processes" },
};

/* The value of a label within [labels,end), unescaped; free() it. NULL if there is none. */
static char *label(const char *labels, const char *end, const char *key)
{
	size_t n = strlen(key);

	while (labels < end) {
		const char *eq = memchr(labels, '=', (size_t)(end - labels)), *p;
		struct lxm_buf value = { 0 };

		if (!eq || eq + 1 >= end || eq[1] != '"')
			return NULL;
		for (p = eq + 2; p < end && *p != '"'; p++) {
			if (*p == '\\' && p + 1 < end)
				p++;
			lxm_buf_chr(&value, *p);
		}
		if ((size_t)(eq - labels) == n && strncmp(labels, key, n) == 0)
			return lxm_buf_take(&value);
		lxm_buf_deinit(&value);
		labels = p + 1 < end && p[1] == ',' ? p + 2 : end;
	}
	return NULL;
}

/* Instances come in the same order in each family, so the search goes on where it was. */
static json_t *entry(json_t *all, size_t *at, const char *project, const char *name)
{
	size_t n = json_array_size(all), i;
	json_t *o;

	for (i = 0; i < n; i++, *at = (*at + 1) % n) {
		o = json_array_get(all, *at % n);
		if (strcmp(jtext(o, "name"), name) == 0 && strcmp(jtext(o, "project"), project) == 0)
			return o;
	}
	o = json_pack("{s:s, s:s}", "project", project, "name", name);
	if (!o)
		return NULL;
	json_array_append_new(all, o);
	*at = n;
	return o;
}

static void take_line(json_t *all, size_t *at, const char *line, size_t n)
{
	const char *brace = memchr(line, '{', n), *end = brace ? memrchr(line, '}', n) : NULL;
	lxm_auto(free) char *project = NULL, *name = NULL, *device = NULL;
	json_t *o;
	size_t i;

	for (i = 0; end && i < LXM_ARRAY_LEN(figures); i++)
		if (strlen(figures[i].metric) == (size_t)(brace - line) && lxm_starts(line, figures[i].metric))
			break;
	if (!end || i == LXM_ARRAY_LEN(figures))
		return;
	project = label(brace + 1, end, "project");
	name = label(brace + 1, end, "name");
	device = label(brace + 1, end, "device");
	/* what an instance says to itself is no traffic */
	if (!project || !name || (device && strcmp(device, "lo") == 0))
		return;
	o = entry(all, at, project, name);
	if (o)
		json_object_set_new(o, figures[i].figure, json_real(json_real_value(json_object_get(o, figures[i].figure)) +
								    strtod(end + 1, NULL)));
}

json_t *top_parse(const char *text)
{
	json_t *all = json_array();
	size_t at = 0, n;

	for (; *text; text += n + (text[n] == '\n')) {
		n = strcspn(text, "\n");
		if (*text != '#')
			take_line(all, &at, text, n);
	}
	return all;
}

static double figure(const json_t *o, const char *key)
{
	return json_number_value(json_object_get(o, key));
}

/* Change of a counter in a second; one that began anew (a restart) counts from 0. */
static double rate(const json_t *now, const json_t *before, const char *key, double seconds)
{
	double d = figure(now, key) - figure(before, key);

	if (!before || seconds <= 0)
		return 0;
	return (d < 0 ? figure(now, key) : d) / seconds;
}

void top_rows(const char *host, const json_t *now, const json_t *before, struct top_row **rows, size_t *n)
{
	json_t *list = json_object_get(now, "instances"), *old = json_object_get(before, "instances"), *o;
	double seconds = (double)(jint(now, "at_ms") - jint(before, "at_ms")) / 1000;
	size_t i, k;

	*rows = lxm_realloc_n(*rows, *n + json_array_size(list) + 1, sizeof(**rows));
	json_array_foreach(list, i, o) {
		json_t *was = NULL, *w;

		json_array_foreach(old, k, w) {
			if (strcmp(jtext(w, "name"), jtext(o, "name")) == 0 && strcmp(jtext(w, "project"), jtext(o, "project")) == 0) {
				was = w;
				break;
			}
		}
		(*rows)[(*n)++] = (struct top_row){ .host = host, .project = jtext(o, "project"), .name = jtext(o, "name"),
						    .cpu = rate(o, was, "cpu", seconds) * 100,
						    .memory = figure(o, "memory"), .memory_max = figure(o, "memory_max"),
						    .disk = rate(o, was, "disk", seconds),
						    .received = rate(o, was, "received", seconds),
						    .sent = rate(o, was, "sent", seconds),
						    .processes = (long long)figure(o, "processes") };
	}
}

/* ---- order */

static int by_name(const void *a, const void *b)
{
	const struct top_row *x = a, *y = b;
	int r = strverscmp(x->host, y->host);

	r = r ? r : strcmp(x->project, y->project);
	return r ? r : strverscmp(x->name, y->name);
}

#define BY(what, value)                                                         \
	static int by_##what(const void *a, const void *b)                      \
	{                                                                       \
		const struct top_row *x = a, *y = b;                            \
		double d = (double)(y->value) - (double)(x->value);             \
                                                                                \
		return d > 0 ? 1 : d < 0 ? -1 : by_name(a, b);                  \
	}

BY(cpu, cpu)
BY(memory, memory)
BY(disk, disk)
BY(network, received + y->sent - x->sent)
BY(processes, processes)

static const struct {
	const char *key;
	int (*compare)(const void *, const void *);
} orders[] = {
	{ "cpu", by_cpu },	   { "memory", by_memory },	  { "disk", by_disk },
	{ "network", by_network }, { "processes", by_processes }, { "name", by_name },
};

bool top_sort(struct top_row *rows, size_t n, const char *key)
{
	size_t i;

	for (i = 0; i < LXM_ARRAY_LEN(orders); i++) {
		if (strcmp(orders[i].key, key) != 0)
			continue;
		if (n)
			qsort(rows, n, sizeof(*rows), orders[i].compare);
		return true;
	}
	return false;
}

/* ---- showing */

static void bytes(struct table *t, double n, const char *behind)
{
	lxm_auto(free) char *text = unit_bytes_si(n > 0 ? (uint64_t)n : 0);

	table_cellf(t, "%s%s", text, behind);
}

void top_table(const struct top_row *rows, size_t n, bool hosts, struct table *t)
{
	static const char *const heads[] = { "PROJECT", "INSTANCE", "CPU", "MEMORY", "MEMORY%", "DISK", "RECEIVED", "SENT", "PROCESSES" };
	size_t i;

	if (hosts)
		table_head(t, "HOST");
	for (i = 0; i < LXM_ARRAY_LEN(heads); i++)
		table_head(t, heads[i]);
	for (i = 0; i < n; i++) {
		if (hosts)
			table_cell(t, rows[i].host);
		table_cell(t, rows[i].project);
		table_cell(t, rows[i].name);
		table_cellf(t, "%.1f%%", rows[i].cpu);
		bytes(t, rows[i].memory, "");
		table_cellf(t, "%.1f%%", rows[i].memory_max > 0 ? rows[i].memory / rows[i].memory_max * 100 : 0);
		bytes(t, rows[i].disk, "/s");
		bytes(t, rows[i].received, "/s");
		bytes(t, rows[i].sent, "/s");
		table_cellf(t, "%lld", rows[i].processes);
	}
}

json_t *top_json(const struct top_row *rows, size_t n)
{
	json_t *all = json_array();
	size_t i;

	for (i = 0; i < n; i++)
		json_array_append_new(all, json_pack("{s:s, s:s, s:s, s:f, s:I, s:I, s:I, s:I, s:I, s:I}", "host", rows[i].host, "project",
						     rows[i].project, "name", rows[i].name, "cpu_percent", rows[i].cpu,
						     "memory", (json_int_t)rows[i].memory, "memory_max",
						     (json_int_t)rows[i].memory_max, "disk_per_second",
						     (json_int_t)rows[i].disk, "received_per_second",
						     (json_int_t)rows[i].received, "sent_per_second",
						     (json_int_t)rows[i].sent, "processes", (json_int_t)rows[i].processes));
	return all;
}
