/* `lxmc info`: an instance, its log, the server or the host's resources. See verb.h. */
#include <stdio.h>
#include <string.h>

#include "lib/base/alloc.h"
#include "lib/base/str.h"
#include "lxmc/client.h"
#include "lxmc/entity.h"
#include "lxmc/json.h"
#include "lxmc/out.h"
#include "lxmc/resources.h"
#include "lxmc/units.h"
#include "lxmc/verb.h"

static void line(int indent, const char *label, const char *text)
{
	lxm_auto(free) char *safe = out_safe(text);

	printf("%*s%s:%s%s\n", indent, "", label, *safe ? " " : "", safe);
}

static void line_bytes(int indent, const char *label, long long n)
{
	lxm_auto(free) char *text = unit_bytes_si(n > 0 ? (uint64_t)n : 0);

	line(indent, label, text);
}

static void line_int(int indent, const char *label, long long n)
{
	printf("%*s%s: %lld\n", indent, "", label, n);
}

static void print_link(const char *name, const json_t *link)
{
	const json_t *counters = json_object_get(link, "counters");
	lxm_auto(free) char *safe = out_safe(name);
	json_t *a;
	size_t i;

	printf("    %s:\n", safe);
	line(6, "Type", jtext(link, "type"));
	line(6, "State", strcmp(jtext(link, "state"), "up") == 0 ? "UP" : "DOWN");
	if (*jtext(link, "host_name"))
		line(6, "Host interface", jtext(link, "host_name"));
	if (*jtext(link, "hwaddr"))
		line(6, "MAC address", jtext(link, "hwaddr"));
	if (jint(link, "mtu"))
		line_int(6, "MTU", jint(link, "mtu"));
	line_bytes(6, "Bytes received", jint(counters, "bytes_received"));
	line_bytes(6, "Bytes sent", jint(counters, "bytes_sent"));
	line_int(6, "Packets received", jint(counters, "packets_received"));
	line_int(6, "Packets sent", jint(counters, "packets_sent"));
	printf("      IP addresses:\n");
	json_array_foreach(json_object_get(link, "addresses"), i, a) {
		lxm_auto(free) char *text = lxm_asprintf("%s/%s (%s)", jtext(a, "address"), jtext(a, "netmask"),
							 jtext(a, "scope"));

		line(8, jtext(a, "family")[4] == '6' ? "inet6" : "inet", text);
	}
}

static void print_disks(const json_t *state)
{
	json_t *disks = json_object_get(state, "disk"), *d;
	const char *name;
	bool any = false;

	json_object_foreach(disks, name, d) {
		if (jint(d, "usage") <= 0)
			continue;
		if (!any)
			printf("  Disk usage:\n");
		any = true;
		line_bytes(4, name, jint(d, "usage"));
	}
}

static void print_resources(const json_t *state)
{
	const json_t *memory = json_object_get(state, "memory");
	json_t *links = json_object_get(state, "network"), *link;
	long long cpu = jint(json_object_get(state, "cpu"), "usage");
	const char *name;

	printf("\nResources:\n");
	line_int(2, "Processes", jint(state, "processes"));
	print_disks(state);
	if (cpu)
		printf("  CPU usage:\n    CPU usage (in seconds): %lld\n", cpu / 1000000000);
	if (jint(memory, "usage")) {
		printf("  Memory usage:\n");
		line_bytes(4, "Memory (current)", jint(memory, "usage"));
		if (jint(memory, "usage_peak"))
			line_bytes(4, "Memory (peak)", jint(memory, "usage_peak"));
		if (jint(memory, "swap_usage"))
			line_bytes(4, "Swap (current)", jint(memory, "swap_usage"));
		if (jint(memory, "swap_usage_peak"))
			line_bytes(4, "Swap (peak)", jint(memory, "swap_usage_peak"));
	}
	if (json_object_size(links))
		printf("  Network usage:\n");
	json_object_foreach(links, name, link)
		print_link(name, link);
}

/* ---- limits */

/* A root disk that runs has a total where its size is kept; a stopped one has none to show. */
static void print_size(const char *name, const json_t *dev, const json_t *state)
{
	const json_t *disk = json_object_get(json_object_get(state, "disk"), name);
	lxm_auto(free) char *label = lxm_asprintf("Disk (%s)", name), *text = NULL;
	bool root = strcmp(jtext(dev, "type"), "disk") == 0 && strcmp(jtext(dev, "path"), "/") == 0;

	if (!root || !*jtext(dev, "size"))
		return;
	text = lxm_asprintf("%s%s", jtext(dev, "size"), jint(state, "pid") && disk && !jint(disk, "total") ? " (not kept: the pool has no quotas)" : "");
	line(2, label, text);
}

/* What bounds the instance, by profiles or by itself; what does not is left out. */
static void print_limits(const json_t *o)
{
	static const char *const keys[][2] = {
		{ "limits.cpu", "CPUs" },	      { "limits.cpu.allowance", "CPU allowance" },
		{ "limits.memory", "Memory" },	      { "limits.memory.swap", "Swap" },
		{ "limits.processes", "Processes" },
	};
	const json_t *config = json_object_get(o, "expanded_config");
	json_t *devices = json_object_get(o, "expanded_devices"), *dev;
	bool any = false;
	const char *name;
	size_t i;

	for (i = 0; i < LXM_ARRAY_LEN(keys); i++)
		any |= *jtext(config, keys[i][0]) != 0;
	json_object_foreach(devices, name, dev)
		any |= strcmp(jtext(dev, "path"), "/") == 0 && *jtext(dev, "size");
	if (!any)
		return;
	printf("\nLimits:\n");
	for (i = 0; i < LXM_ARRAY_LEN(keys); i++)
		if (*jtext(config, keys[i][0]))
			line(2, keys[i][1], jtext(config, keys[i][0]));
	json_object_foreach(devices, name, dev)
		print_size(name, dev, json_object_get(o, "state"));
}

static void print_backups(const json_t *list)
{
	lxm_auto(table) struct table t = { 0 };
	lxm_auto(free) char *text = NULL;
	json_t *b;
	size_t i;

	if (!json_array_size(list))
		return;
	printf("\nBackups:\n");
	table_head(&t, "NAME");
	table_head(&t, "TAKEN AT");
	table_head(&t, "EXPIRES AT");
	table_head(&t, "INSTANCE ONLY");
	json_array_foreach(list, i, b) {
		table_cell(&t, jtext(b, "name"));
		lxm_strv_take(&t.cells, unit_time(jtext(b, "created_at")));
		lxm_strv_take(&t.cells, unit_time(jtext(b, "expires_at")));
		table_cell(&t, jtrue(b, "instance_only") ? "YES" : "NO");
	}
	text = table_text(&t, true);
	fputs(text, stdout);
}

static void print_snapshots(const json_t *list)
{
	lxm_auto(table) struct table t = { 0 };
	lxm_auto(free) char *text = NULL;
	json_t *s;
	size_t i;

	if (!json_array_size(list))
		return;
	printf("\nSnapshots:\n");
	table_head(&t, "NAME");
	table_head(&t, "TAKEN AT");
	table_head(&t, "EXPIRES AT");
	table_head(&t, "STATEFUL");
	json_array_foreach(list, i, s) {
		table_cell(&t, jtext(s, "name"));
		lxm_strv_take(&t.cells, unit_time(jtext(s, "created_at")));
		lxm_strv_take(&t.cells, unit_time(jtext(s, "expires_at")));
		table_cell(&t, jtrue(s, "stateful") ? "YES" : "NO");
	}
	text = table_text(&t, true);
	fputs(text, stdout);
}

static void print_instance(const json_t *o)
{
	const json_t *state = json_object_get(o, "state");
	lxm_auto(free) char *created = unit_time(jtext(o, "created_at"));
	lxm_auto(free) char *used = unit_time(jtext(o, "last_used_at"));
	lxm_auto(free) char *type = lxm_asprintf("%s%s", jtext(o, "type"), jtrue(o, "ephemeral") ? " (ephemeral)" : "");
	lxm_auto(free) char *status = lxm_strdup(jtext(o, "status"));
	char *p;

	for (p = status; *p; p++)
		if (*p >= 'a' && *p <= 'z')
			*p -= 32;
	line(0, "Name", jtext(o, "name"));
	if (*jtext(o, "description"))
		line(0, "Description", jtext(o, "description"));
	line(0, "Status", status);
	line(0, "Type", type);
	line(0, "Architecture", jtext(o, "architecture"));
	if (*jtext(o, "location") && strcmp(jtext(o, "location"), "none") != 0)
		line(0, "Location", jtext(o, "location"));
	if (jint(state, "pid"))
		line_int(0, "PID", jint(state, "pid"));
	line(0, "Created", created);
	if (*used)
		line(0, "Last Used", used);
	if (jint(state, "pid"))
		print_resources(state);
	print_limits(o);
	print_snapshots(json_object_get(o, "snapshots"));
	print_backups(json_object_get(o, "backups"));
}

static int print_bytes(void *arg, const void *data, size_t n, struct lxm_err *e)
{
	out_text(data, n);
	return 0;
}

static int print_log(struct client *c, const char *name, struct lxm_err *e)
{
	lxm_auto(free) char *url = client_url(c, "/1.0/instances/%s/logs/lxc.log", name);
	lxm_auto(http_reply) struct lxm_http_reply reply = { 0 };
	struct lxm_http_request rq = { .method = "GET", .target = url, .sink = print_bytes };

	printf("\nLog:\n\n");
	return client_raw(c, &rq, &reply, e);
}

/* One request where the server gives everything at once; the parts that an older one leaves out are fetched. */
static int instance_info(struct cli *cli, struct client *c, const char *name, struct lxm_err *e)
{
	lxm_auto(json) json_t *o = NULL, *part = NULL;
	int r;

	r = client_get(c, client_url(c, "/1.0/instances/%s?recursion=1", name), &o, e);
	if (r < 0)
		return r;
	if (!json_is_object(json_object_get(o, "state"))) {
		r = client_get(c, client_url(c, "/1.0/instances/%s/state", name), &part, e);
		if (r < 0)
			return r;
		json_object_set(o, "state", part);
	}
	if (cli_has(cli, "format"))
		return out_object(cli, o, NULL, e);
	print_instance(o);
	return cli_has(cli, "show-log") ? print_log(c, name, e) : 0;
}

int verb_info(struct cli *cli, struct lxm_err *e)
{
	static const char *const order[] = { "config",	     "api_extensions", "api_status",	   "api_version",
					     "auth",	     "public",	       "auth_methods",	   "auth_user_name",
					     "auth_user_method", "environment", NULL };
	lxm_auto(json) json_t *o = NULL;
	json_t *server;
	struct client *c;
	const char *name;
	int r;

	r = cli_target(cli, cli->n_args ? cli->args[0] : "", &c, &name, e);
	if (r < 0)
		return r;
	if (*name)
		return instance_info(cli, c, name, e);
	if (cli_has(cli, "show-log"))
		return cli_usage(e, "--show-log wants an instance");
	if (cli_has(cli, "resources")) {
		r = client_get(c, client_url(c, "/1.0/resources"), &o, e);
		if (r == 0 && cli_has(cli, "format"))
			return out_object(cli, o, NULL, e);
		if (r == 0)
			resources_print(o);
		return r;
	}
	r = client_server(c, &server, e);
	return r < 0 ? r : out_object(cli, server, order, e);
}
