/*
 * `lxmc top`, see verb.h: what instances use now, of one server or of many. A child for each server asks again and again on one
 * connection and reports samples (fleet.h); this process draws them and looks at the keyboard.
 */
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "lib/base/alloc.h"
#include "lib/base/time.h"
#include "lxmc/client.h"
#include "lxmc/conf.h"
#include "lxmc/fleet_verb.h"
#include "lxmc/json.h"
#include "lxmc/out.h"
#include "lxmc/sink.h"
#include "lxmc/term.h"
#include "lxmc/top_rows.h"
#include "lxmc/verb.h"

struct top {
	struct cli *cli;
	struct fleet *fleet;
	json_t **now, **before; /* for each host of the fleet */
	int64_t delay_s;
	const char *sort;
	bool once, hosts, fresh;
};

/* ---- in the child */

static int sample(struct client *c, const char *url, struct lxm_err *e)
{
	lxm_auto(http_reply) struct lxm_http_reply reply = { 0 };
	struct lxm_http_request rq = { .method = "GET", .target = url };
	lxm_auto(json) json_t *o = NULL;
	int r = client_raw(c, &rq, &reply, e);

	if (r < 0)
		return r;
	o = json_pack("{s:I, s:o}", "at_ms", (json_int_t)lxm_mono_ms(), "instances", top_parse(reply.body.data ? reply.body.data : ""));
	return sink_sample(o) ? 0 : -EPIPE;
}

static int feed(struct top *t, const char *host, struct lxm_err *e)
{
	lxm_auto(free) char *url = NULL;
	struct client *c;
	struct cli own;
	int r = fleet_child_cli(t->cli, host, &own, e), i;

	if (r == 0)
		r = cli_client(&own, NULL, &c, e);
	if (r < 0)
		return r;
	if (cli_has(t->cli, "all-projects"))
		free(LXM_TAKE(c->project, NULL));
	else if (!c->project)
		c->project = lxm_strdup("default");
	url = client_url(c, "/1.0/metrics?names=lxd");
	for (i = 0; r == 0; i++) {
		r = sample(c, url, e);
		if (r == 0 && i > 0 && t->once)
			return 0;
		(void)nanosleep(&(struct timespec){ .tv_sec = t->delay_s }, NULL);
	}
	return r;
}

static int work(void *arg, const char *host)
{
	struct lxm_err e = { 0 };
	int r = feed(arg, host, &e);

	if (r < 0 && r != -EPIPE)
		out_error(*e.msg ? e.msg : strerror(-r));
	return r < 0 ? EXIT_FAILURE : 0;
}

/* ---- in the parent */

static void on_sample(void *arg, struct fleet_host *h, const json_t *o)
{
	struct top *t = arg;
	size_t i = (size_t)(h - t->fleet->v);

	json_decref(t->before[i]);
	t->before[i] = t->now[i];
	t->now[i] = json_incref((json_t *)o);
	t->fresh = true;
}

static size_t collect(struct top *t, struct top_row **rows)
{
	size_t i, n = 0;

	for (i = 0; i < t->fleet->n; i++)
		if (t->now[i])
			top_rows(t->fleet->v[i].name, t->now[i], t->before[i], rows, &n);
	(void)top_sort(*rows, n, t->sort);
	return n;
}

/* One screen: what does not fit is not shown. */
static void draw(struct top *t)
{
	lxm_auto(free) struct top_row *rows = NULL;
	lxm_auto(table) struct table table = { 0 };
	lxm_auto(free) char *text = NULL;
	int width = 80, height = 24;
	size_t i, n = collect(t, &rows), k;
	const char *line;

	(void)term_size(&width, &height);
	top_table(rows, n, t->hosts, &table);
	text = table_text(&table, false);
	printf("\033[H\033[2K%zu instances by %s; c m d n p i sort, q leaves\r\n", n, t->sort);
	for (line = text, i = 2; *line && i < (size_t)height; line += k + (line[k] == '\n'), i++) {
		lxm_auto(free) char *whole = NULL, *cut = NULL;

		k = strcspn(line, "\n");
		whole = lxm_strndup(line, k);
		cut = out_cut(whole, (size_t)width);
		printf("\033[2K%s%s\r\n", i == 2 ? "\033[7m" : "", cut);
		printf("%s", i == 2 ? "\033[0m" : "");
	}
	for (k = 0; k < t->fleet->n; k++) {
		if (t->fleet->v[k].state == FLEET_DONE && i++ < (size_t)height)
			printf("\033[2K%s: %s\r\n", t->fleet->v[k].name, t->fleet->v[k].timed_out ? "no answer" : "gone");
	}
	printf("\033[J");
	(void)fflush(stdout);
}

static int on_turn(void *arg, bool key_ready)
{
	static const struct {
		char key;
		const char *sort;
	} keys[] = { { 'c', "cpu" }, { 'm', "memory" }, { 'd', "disk" }, { 'n', "network" }, { 'p', "processes" }, { 'i', "name" } };
	struct top *t = arg;
	char key = 0;
	size_t i;

	if (key_ready && (read(STDIN_FILENO, &key, 1) <= 0 || key == 'q' || key == 3))
		return -ECANCELED;
	for (i = 0; i < LXM_ARRAY_LEN(keys); i++)
		if (keys[i].key == key)
			t->sort = keys[i].sort;
	if (t->fresh || key)
		draw(t);
	t->fresh = false;
	return -1;
}

static int print_once(struct top *t, struct lxm_err *e)
{
	lxm_auto(free) struct top_row *rows = NULL;
	lxm_auto(table) struct table table = { 0 };
	lxm_auto(json) json_t *doc = NULL;
	size_t n = collect(t, &rows);

	top_table(rows, n, t->hosts, &table);
	doc = top_json(rows, n);
	return out_list(t->cli, &table, doc, e);
}

static int verdict(const struct top *t)
{
	size_t i, k, bad = 0;

	for (i = 0; i < t->fleet->n; i++) {
		struct fleet_host *h = &t->fleet->v[i];

		if (h->timed_out && !h->answered)
			lxm_strv_add(&h->errors, "no answer");
		bad += h->errors.n > 0;
		for (k = 0; k < h->errors.n; k++) {
			lxm_auto(free) char *line = lxm_asprintf("%s: %s", h->name, h->errors.v[k]);

			out_error(line);
		}
	}
	return !bad ? 0 : bad < t->fleet->n ? EXIT_FAILURE : t->hosts ? EXIT_NONE : EXIT_FAILURE;
}

static int show(struct top *t, struct lxm_err *e)
{
	struct term saved = { 0 };
	int r;

	t->fleet->work = work;
	t->fleet->on_sample = on_sample;
	t->fleet->arg = t;
	t->fleet->total_ms = 0;
	t->fleet->parallel = (int)t->fleet->n;
	if (!t->once) {
		t->fleet->on_turn = on_turn;
		t->fleet->key_fd = STDIN_FILENO;
		term_raw(&saved);
		printf("\033[?1049h\033[?25l");
	}
	r = fleet_run(t->fleet, e);
	if (!t->once) {
		printf("\033[?25h\033[?1049l");
		(void)fflush(stdout);
		term_restore(&saved);
	}
	if (r == 0 && t->once)
		r = print_once(t, e);
	return r < 0 ? r : verdict(t);
}

int verb_top(struct cli *cli, struct lxm_err *e)
{
	const char *on = fleet_option(cli, "on"), *format = cli_opt(cli, "format", NULL);
	struct top t = { .cli = cli, .delay_s = 3, .sort = cli_opt(cli, "sort", "cpu"), .hosts = on != NULL };
	lxm_auto(strv) struct lxm_strv names = { 0 };
	lxm_auto(fleet) struct fleet f = { 0 };
	lxm_auto(free) char *remote = NULL;
	size_t i;
	int r = cli_number(cli, "delay", &t.delay_s, e);

	if (r == 0 && (t.delay_s < 1 || t.delay_s > 3600))
		r = cli_usage(e, "--delay wants seconds from 1 to 3600");
	if (r == 0 && !top_sort(NULL, 0, t.sort))
		r = cli_usage(e, "--sort knows cpu, memory, disk, network, processes and name, not '%s'", t.sort);
	if (r == 0)
		r = cli_conf(cli, e);
	if (r < 0)
		return r;
	if (!on && cli->n_args)
		remote = lxm_strndup(cli->args[0], strcspn(cli->args[0], ":"));
	r = fleet_prepare(cli, on ? on : !lxm_empty(remote) ? remote : conf_default_remote(cli->conf), &names, &f, e);
	if (r < 0)
		return r;
	t.once = cli_has(cli, "once") || format || !out_tty(STDOUT_FILENO) || !out_tty(STDIN_FILENO);
	t.fleet = &f;
	t.now = lxm_alloc((f.n + 1) * sizeof(*t.now));
	t.before = lxm_alloc((f.n + 1) * sizeof(*t.before));
	r = show(&t, e);
	for (i = 0; i < f.n; i++) {
		json_decref(t.now[i]);
		json_decref(t.before[i]);
	}
	free(t.now);
	free(t.before);
	return r;
}
