/*
 * A verb on many hosts, see fleet_verb.h. Each host's child runs the verb's own handler with that host as default remote; its
 * lists and objects come as data and are merged here, its other output is text and gets the host's name in front.
 */
#include "lxmc/fleet_verb.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "lib/base/alloc.h"
#include "lxmc/client.h"
#include "lxmc/conf.h"
#include "lxmc/hosts.h"
#include "lxmc/json.h"
#include "lxmc/merge.h"
#include "lxmc/sink.h"
#include "lxmc/verb.h"
#include "lxmc/yaml.h"

#define PARALLEL_MAX 1000

static bool is_global(const struct flag *f)
{
	const struct flag *g;

	for (g = global_flags; g->name; g++)
		if (g == f)
			return true;
	return false;
}

const char *fleet_option(const struct cli *cli, const char *name)
{
	const char *value = NULL;
	size_t i;

	for (i = 0; i < cli->n_opts; i++)
		if (is_global(cli->opts[i].flag) && strcmp(cli->opts[i].flag->name, name) == 0)
			value = cli->opts[i].value;
	return value;
}

static int number(const struct cli *cli, const char *name, int64_t max, int64_t *out, struct lxm_err *e)
{
	const char *v = fleet_option(cli, name);

	if (v && (lxm_parse_i64(v, out) < 0 || *out < 1 || *out > max))
		return cli_usage(e, "--%s wants a number from 1 to %lld, not '%s'", name, (long long)max, v);
	return 0;
}

int fleet_prepare(struct cli *cli, const char *on, struct lxm_strv *names, struct fleet *f, struct lxm_err *e)
{
	int64_t parallel = 0, seconds = 0;
	int r = number(cli, "parallel", PARALLEL_MAX, &parallel, e);

	if (r == 0)
		r = number(cli, "timeout", 1000000, &seconds, e);
	if (r == 0)
		r = cli_conf(cli, e);
	if (r == 0)
		r = hosts_choose(cli->conf, on, names, e);
	if (r < 0)
		return r;
	fleet_init(f, names);
	if (parallel)
		f->parallel = (int)parallel;
	if (seconds) {
		f->total_ms = seconds * 1000;
		f->answer_ms = f->total_ms;
	}
	return 0;
}

int fleet_child_cli(const struct cli *cli, const char *host, struct cli *copy_out, struct lxm_err *e)
{
	size_t i;

	*copy_out = *cli;
	copy_out->clients = NULL;
	copy_out->opts = lxm_alloc((cli->n_opts + 1) * sizeof(*cli->opts));
	copy_out->n_opts = 0;
	/* what was meant for us must not be taken for an option of the verb */
	for (i = 0; i < cli->n_opts; i++)
		if (!is_global(cli->opts[i].flag))
			copy_out->opts[copy_out->n_opts++] = cli->opts[i];
	return conf_set_default_remote(copy_out->conf, host, e);
}

/* ---- in the child */

static int work(void *arg, const char *host)
{
	const struct cli *cli = arg;
	struct lxm_err e = { 0 };
	struct cli own;
	int r = fleet_child_cli(cli, host, &own, &e);

	if (r == 0)
		r = own.verb->run(&own, &e);
	if (r < 0) {
		out_error(*e.msg ? e.msg : strerror(-r));
		r = cli_exit_status(&own, &e);
	}
	return r;
}

/* ---- in the parent */

static void put(void *arg, const char *s, size_t n)
{
	if (!out_tty(fileno(arg))) {
		fwrite(s, 1, n, arg);
	} else {
		lxm_auto(free) char *copy = lxm_strndup(s, n);
		lxm_auto(free) char *safe = out_safe_lines(copy);

		fputs(safe, arg);
	}
}

static void show(const struct cli *cli, struct fleet_host *h, int which, bool end)
{
	FILE *to = which ? stderr : stdout;

	merge_lines(&h->text[which], cli->quiet && !which ? NULL : h->name, end, put, to);
	(void)fflush(to);
}

static void on_text(void *arg, struct fleet_host *h, int which, bool end)
{
	const struct cli *cli = arg;

	/* what a verb prints is shown host by host at the end, what it tells meanwhile at once */
	if (which || cli->verb->on == ON_LIVE)
		show(cli, h, which, end);
}

/* Why a host that did not do it did not, where it has not said so. */
static void explain(const struct fleet *f, const struct cli *cli, struct fleet_host *h)
{
	char text[120] = "";

	if (h->state == FLEET_WAITING) {
		h->status = 130;
		snprintf(text, sizeof(text), "was not begun");
	} else if (h->timed_out && !h->answered) {
		snprintf(text, sizeof(text), "no answer within %lld s", (long long)(f->answer_ms / 1000));
	} else if (h->timed_out) {
		snprintf(text, sizeof(text), "not done within %lld s", (long long)(f->total_ms / 1000));
	} else if (h->status > 128 && f->interrupted && !h->errors.n) {
		snprintf(text, sizeof(text), "interrupted");
	} else if (h->status && !h->errors.n) {
		snprintf(text, sizeof(text), cli->verb->on == ON_LIVE ? "the command ended with status %d" : "failed with status %d",
			 h->status);
	}
	if (*text)
		lxm_strv_add(&h->errors, text);
}

/* "HOST:NAME" to a line, which is what other verbs take. */
static void print_names(const struct table *t)
{
	size_t i;

	for (i = 0; t->head.n > 1 && i + 1 < t->cells.n; i += t->head.n) {
		lxm_auto(free) char *line = lxm_asprintf("%s:%s\n", t->cells.v[i], t->cells.v[i + 1]);

		out_text(line, strlen(line));
	}
}

static bool any(const struct fleet *f, bool objects)
{
	size_t i;

	for (i = 0; i < f->n; i++)
		if (objects ? f->v[i].object != NULL : json_object_get(f->v[i].list, "head") != NULL)
			return true;
	return false;
}

static bool wants_document(const struct cli *cli)
{
	const char *format = cli_opt(cli, "format", "");

	return strcmp(format, "json") == 0 || strcmp(format, "yaml") == 0;
}

static int print_merged(struct cli *cli, struct fleet *f, struct lxm_err *e)
{
	const char *format = cli_opt(cli, "format", NULL);
	lxm_auto(table) struct table t = { 0 };
	size_t i;

	for (i = 0; i < f->n; i++)
		show(cli, &f->v[i], 0, true);
	if (any(f, true) || wants_document(cli)) {
		lxm_auto(json) json_t *doc = merge_document(f);

		if (!format && cli->verb->run == verb_query)
			format = "json";
		if (format && strcmp(format, "json") == 0)
			out_json(doc, any(f, true));
		else
			yaml_print(doc, (const char *const[]){ "host", "status", "error", "result", NULL });
		return 0;
	}
	if (!any(f, false))
		return 0;
	merge_table(f, &t);
	if (!format && cli->quiet) {
		print_names(&t);
		return 0;
	}
	return out_list(cli, &t, NULL, e);
}

static int verdict(const struct cli *cli, const struct fleet *f)
{
	size_t i, k, done = 0;

	(void)fflush(stdout);
	for (i = 0; i < f->n; i++) {
		const struct fleet_host *h = &f->v[i];

		done += h->state == FLEET_DONE && h->status == 0 && !h->errors.n;
		for (k = 0; k < h->errors.n; k++) {
			lxm_auto(free) char *line = lxm_asprintf("%s: %s", h->name, h->errors.v[k]);

			out_error(line);
		}
	}
	if (f->interrupted)
		return 130;
	return done == f->n ? 0 : done ? EXIT_FAILURE : EXIT_NONE;
}

static int check(const struct cli *cli, struct lxm_err *e)
{
	static const char *const lonely[] = { "console", "interactive", "force-interactive" };
	const char *format = cli_opt(cli, "format", "table");
	size_t i;

	if (!cli->verb->on)
		return cli_usage(e, "'%s' works on one server, not with --on", cli->verb->name);
	for (i = 0; i < LXM_ARRAY_LEN(lonely); i++)
		if (cli_has(cli, lonely[i]))
			return cli_usage(e, "--%s needs a terminal of its own and does not go with --on", lonely[i]);
	if (!lxm_streq(format, "table") && !lxm_streq(format, "compact") && !lxm_streq(format, "csv") && !wants_document(cli))
		return cli_usage(e, "unknown format '%s'", format);
	return 0;
}

int fleet_verb(struct cli *cli, struct lxm_err *e)
{
	lxm_auto(strv) struct lxm_strv names = { 0 };
	lxm_auto(fleet) struct fleet f = { 0 };
	size_t i;
	int r = check(cli, e);

	if (r == 0)
		r = fleet_prepare(cli, fleet_option(cli, "on"), &names, &f, e);
	if (r < 0)
		return r;
	f.feed_stdin = cli->verb->on != ON && !cli_has(cli, "disable-stdin");
	f.work = work;
	f.on_text = on_text;
	f.arg = cli;
	r = fleet_run(&f, e);
	if (r < 0)
		return r;
	for (i = 0; i < f.n; i++)
		explain(&f, cli, &f.v[i]);
	r = print_merged(cli, &f, e);
	return r < 0 ? r : verdict(cli, &f);
}
