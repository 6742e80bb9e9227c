/* `lxmc monitor`: events of the server as they happen. See verb.h. */
#include <poll.h>
#include <stdio.h>
#include <string.h>

#include "lib/base/alloc.h"
#include "lxmc/client.h"
#include "lxmc/json.h"
#include "lxmc/out.h"
#include "lxmc/verb.h"
#include "lxmc/yaml.h"

#define EVENT_MAX ((size_t)16 << 20)

struct monitor {
	struct cli *cli;
	struct lxm_buf text; /* the event being received */
	bool overflow;
};

static int level_of(const char *name)
{
	static const char *const levels[] = { "debug", "info", "warning", "error" };
	size_t i;

	if (strncmp(name, "warn", 4) == 0)
		return 2;
	for (i = 0; i < LXM_ARRAY_LEN(levels); i++)
		if (strcmp(name, levels[i]) == 0)
			return (int)i;
	return -1;
}

static bool wanted(const struct cli *cli, const json_t *ev)
{
	const char *type = jtext(ev, "type"), *min = cli_opt(cli, "loglevel", NULL), *v;
	const json_t *meta = json_object_get(ev, "metadata");
	size_t at = 0;
	bool any = false, hit = false;

	while ((v = cli_next(cli, "type", &at))) {
		any = true;
		hit |= strcmp(v, type) == 0;
	}
	if (any && !hit)
		return false;
	return !min || strcmp(type, "logging") != 0 || level_of(jtext(meta, "level")) >= level_of(min);
}

/* One line for people: time, level or type, what. */
static void print_pretty(const json_t *ev)
{
	const char *type = jtext(ev, "type"), *stamp = jtext(ev, "timestamp"), *key;
	const json_t *meta = json_object_get(ev, "metadata");
	struct lxm_buf b = { 0 };
	lxm_auto(free) char *line = NULL, *safe = NULL;
	json_t *v;

	lxm_buf_fmt(&b, "%.19s ", stamp);
	if (strcmp(type, "logging") == 0) {
		lxm_buf_fmt(&b, "[%s] %s", jtext(meta, "level"), jtext(meta, "message"));
		json_object_foreach(json_object_get(meta, "context"), key, v)
			lxm_buf_fmt(&b, " %s=%s", key, json_string_value(v) ? json_string_value(v) : "");
	} else if (strcmp(type, "operation") == 0) {
		lxm_buf_fmt(&b, "[operation] %s: %s %s%s%s", jtext(meta, "id"), jtext(meta, "description"),
			    jtext(meta, "status"), *jtext(meta, "err") ? ": " : "", jtext(meta, "err"));
	} else {
		lxm_buf_fmt(&b, "[%s] %s %s", type, jtext(meta, "action"), jtext(meta, "source"));
		v = json_object_get(meta, "requestor");
		if (v)
			lxm_buf_fmt(&b, " by %s/%s", jtext(v, "protocol"), jtext(v, "username"));
	}
	line = lxm_buf_take(&b);
	safe = out_safe(line);
	puts(safe);
}

static void print_event(struct monitor *m)
{
	static const char *const order[] = { "location", "metadata", "project", "timestamp", "type", NULL };
	lxm_auto(json) json_t *ev = json_loadb(m->text.data, m->text.len, 0, NULL);
	const char *format = cli_opt(m->cli, "format", cli_has(m->cli, "pretty") ? "pretty" : "yaml");

	if (!ev || !wanted(m->cli, ev))
		return;
	if (strcmp(format, "pretty") == 0) {
		print_pretty(ev);
	} else if (strcmp(format, "json") == 0) {
		out_json(ev, false);
	} else {
		yaml_print(ev, order);
		printf("\n\n");
	}
	fflush(stdout);
}

static void on_message(struct lxm_ws *ws, enum lxm_ws_kind kind, const void *data, size_t n, bool last, void *arg)
{
	struct monitor *m = arg;

	m->overflow |= n > EVENT_MAX - m->text.len;
	if (!m->overflow)
		lxm_buf_add(&m->text, data, n);
	if (!last)
		return;
	if (!m->overflow && m->text.len)
		print_event(m);
	m->text.len = 0;
	m->overflow = false;
}

static int pump(struct lxm_ws *ws, struct lxm_err *e)
{
	int r;

	for (;;) {
		struct pollfd p = { .fd = lxm_ws_fd(ws), .events = lxm_ws_events(ws) };

		if (poll(&p, 1, -1) < 0 && errno != EINTR)
			return lxm_err_sys(e, "wait for events");
		r = lxm_ws_pump(ws, p.revents, e);
		if (r > 0)
			return lxm_err_set(e, ECONNRESET, "the server ended the stream of events");
		if (r < 0)
			return r;
		if (ferror(stdout))
			return 0;
	}
}

static char *events_url(struct cli *cli, struct client *c)
{
	lxm_auto(buf) struct lxm_buf types = { 0 };
	const char *v;
	size_t at = 0;

	while ((v = cli_next(cli, "type", &at)))
		lxm_buf_fmt(&types, "%s%s", types.len ? "," : "", v);
	if (cli_has(cli, "all-projects")) {
		free(c->project);
		c->project = NULL;
		return client_url(c, "/1.0/events?all-projects=true%r%s", types.len ? "&type=" : "",
				  types.len ? types.data : "");
	}
	return client_url(c, "/1.0/events?type=%s", types.len ? types.data : "logging,operation,lifecycle");
}

int verb_monitor(struct cli *cli, struct lxm_err *e)
{
	const char *level = cli_opt(cli, "loglevel", NULL), *format = cli_opt(cli, "format", "yaml"), *name;
	struct monitor m = { .cli = cli };
	lxm_auto(free) char *url = NULL;
	lxm_auto(ws) struct lxm_ws *ws = NULL;
	struct client *c;
	int r;

	if (level && level_of(level) < 0)
		return cli_usage(e, "unknown level '%s'; there are debug, info, warning and error", level);
	if (strcmp(format, "yaml") != 0 && strcmp(format, "json") != 0 && strcmp(format, "pretty") != 0)
		return cli_usage(e, "unknown format '%s'; there are pretty, json and yaml", format);
	r = cli_target(cli, cli->n_args ? cli->args[0] : "", &c, &name, e);
	if (r < 0)
		return r;
	url = events_url(cli, c);
	r = client_ws(c, url, on_message, &m, &ws, e);
	if (r == 0)
		r = pump(ws, e);
	if (r < 0 && ws && *lxm_ws_refusal(ws)) {
		lxm_auto(json) json_t *env = json_loads(lxm_ws_refusal(ws), 0, NULL);

		if (*jtext(env, "error"))
			lxm_err_set(e, -r, "events: %s", jtext(env, "error"));
	}
	lxm_buf_deinit(&m.text);
	return r;
}
