/* exec and shell, see verb.h. The exit status is the command's; 125 says that it was never tried. */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "lib/base/alloc.h"
#include "lxmc/json.h"
#include "lxmc/out.h"
#include "lxmc/session.h"
#include "lxmc/term.h"
#include "lxmc/verb.h"

/* What is to be run. */
struct run {
	struct client *client;
	const char *name;
	const char *const *argv;
	size_t argc;
	bool interactive;
};

/* Interactive if asked for, or if both ends are terminals and nothing was said. */
static int choose_mode(const struct cli *cli, bool *interactive_out, struct lxm_err *e)
{
	const char *mode = cli_opt(cli, "mode", "auto");

	if (cli_has(cli, "force-interactive"))
		mode = "interactive";
	if (cli_has(cli, "force-noninteractive"))
		mode = "non-interactive";
	if (cli_has(cli, "force-interactive") && cli_has(cli, "force-noninteractive"))
		return cli_usage(e, "-t and -T exclude each other");
	if (strcmp(mode, "auto") == 0)
		*interactive_out = !cli_has(cli, "disable-stdin") && out_tty(STDIN_FILENO) && out_tty(STDOUT_FILENO);
	else if (strcmp(mode, "interactive") == 0)
		*interactive_out = true;
	else if (strcmp(mode, "non-interactive") == 0)
		*interactive_out = false;
	else
		return cli_usage(e, "unknown mode '%s'; there are auto, interactive and non-interactive", mode);
	return 0;
}

static int add_environment(const struct cli *cli, json_t *env, struct lxm_err *e)
{
	const char *term = getenv("TERM"), *v;
	size_t at = 0;

	if (term)
		json_object_set_new(env, "TERM", json_string(term));
	while ((v = cli_next(cli, "env", &at))) {
		const char *eq = strchr(v, '=');
		lxm_auto(free) char *key = NULL;

		if (eq == v)
			return cli_usage(e, "'%s' is not KEY=VALUE", v);
		key = lxm_strndup(v, eq ? (size_t)(eq - v) : strlen(v));
		json_object_set_new(env, key, json_string(eq ? eq + 1 : ""));
	}
	return 0;
}

static int build_body(const struct cli *cli, const struct run *run, json_t **body_out, struct lxm_err *e)
{
	lxm_auto(json) json_t *body = json_object();
	json_t *argv = json_array();
	int64_t user = -1, group = -1;
	int width, height, r;
	size_t i;

	json_object_set_new(body, "command", argv);
	for (i = 0; i < run->argc; i++)
		if (json_array_append_new(argv, json_string(run->argv[i])) < 0)
			return cli_usage(e, "the command's argument %zu is not UTF-8", i);
	json_object_set_new(body, "environment", json_object());
	json_object_set_new(body, "wait-for-websocket", json_true());
	json_object_set_new(body, "interactive", json_boolean(run->interactive));
	r = add_environment(cli, json_object_get(body, "environment"), e);
	if (r == 0)
		r = cli_number(cli, "user", &user, e);
	if (r == 0)
		r = cli_number(cli, "group", &group, e);
	if (r < 0)
		return r;
	if (user >= 0)
		json_object_set_new(body, "user", json_integer(user));
	if (group >= 0)
		json_object_set_new(body, "group", json_integer(group));
	if (cli_opt(cli, "cwd", NULL))
		json_object_set_new(body, "cwd", json_string(cli_opt(cli, "cwd", "")));
	if (run->interactive && term_size(&width, &height)) {
		json_object_set_new(body, "width", json_integer(width));
		json_object_set_new(body, "height", json_integer(height));
	}
	*body_out = LXM_TAKE(body, NULL);
	return 0;
}

/* What the final operation means for our exit status. */
static int verdict(const json_t *op, struct lxm_err *e)
{
	const json_t *ret = json_object_get(json_object_get(op, "metadata"), "return");
	const char *err = jtext(op, "err");

	if (!op)
		return 128 + SIGPIPE;
	if (*err && !json_is_integer(ret))
		return lxm_err_set(e, EIO, "%s", err);
	if (*err)
		out_error(err);
	if (!json_is_integer(ret))
		return lxm_err_set(e, EIO, "the server does not say how the command ended");
	return (int)json_integer_value(ret) & 255;
}

/* Connect to the streams of an operation (borrowed) and carry them until it ends. */
static int attach(struct cli *cli, const struct run *run, const char *operation, const json_t *object, struct lxm_err *e)
{
	lxm_auto(json) json_t *op = NULL;
	lxm_auto(fd_close) int null_fd = -1;
	struct session_spec spec = { .client = run->client, .interactive = run->interactive, .operation = operation ? operation : "" };
	int r;

	spec.fds = json_object_get(json_object_get(object, "metadata"), "fds");
	if (!operation || !json_is_object(spec.fds))
		return lxm_err_set(e, EPROTO, "the server's answer has no streams in it");
	if (cli_has(cli, "disable-stdin"))
		null_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	spec.in_fd = null_fd >= 0 ? null_fd : STDIN_FILENO;
	spec.raw = run->interactive && null_fd < 0;
	r = session_run(&spec, &op, e);
	/* LXD ends its commands with it; whether this one is lxmd can no longer be asked */
	if (r < 0)
		return lxm_err_wrap(e, r, "lost the server (with lxmd the command runs on: 'lxmc exec --reattach %s %s')", operation, run->name);
	return verdict(op, e);
}

static int run_command(struct cli *cli, struct run *run, struct lxm_err *e)
{
	lxm_auto(free) char *url = client_url(run->client, "/1.0/instances/%s/exec", run->name);
	lxm_auto(json) json_t *body = NULL;
	lxm_auto(call) struct call call = { .method = "POST", .url = url };
	int r;

	r = build_body(cli, run, &body, e);
	if (r < 0)
		return r;
	call.body = body;
	r = client_call(run->client, &call, e);
	if (r < 0)
		return r;
	return attach(cli, run, call.operation, call.meta, e);
}

/* ---- --reattach */

/* Does anybody have to be there for it, and is nobody? */
static bool waits(const json_t *session)
{
	return json_is_true(json_object_get(session, "wait-for-websocket")) && !json_is_true(json_object_get(session, "attached"));
}

static void add_row(struct table *t, const json_t *session)
{
	lxm_auto(buf) struct lxm_buf command = { 0 };
	const json_t *word;
	size_t i;

	json_array_foreach(json_object_get(session, "command"), i, word) {
		lxm_buf_str(&command, i ? " " : "");
		lxm_buf_str(&command, json_string_value(word));
	}
	table_cell(t, jtext(session, "id"));
	table_cell(t, json_is_true(json_object_get(session, "interactive")) ? "terminal" : "pipes");
	table_cell(t, json_is_true(json_object_get(session, "exited")) ? "ended" : "runs");
	table_cell(t, command.data ? command.data : "");
}

static int show_waiting(const struct cli *cli, const json_t *sessions, struct lxm_err *e)
{
	static const char *const heads[] = { "SESSION", "STREAMS", "STATE", "COMMAND" };
	lxm_auto(table) struct table t = { 0 };
	const json_t *session;
	size_t i;

	for (i = 0; i < LXM_ARRAY_LEN(heads); i++)
		table_head(&t, heads[i]);
	json_array_foreach(sessions, i, session)
		if (waits(session))
			add_row(&t, session);
	return out_list(cli, &t, sessions, e);
}

/* The session that is meant, or NULL: the only one that waits, unless its id (or the beginning of it) is given. */
static const json_t *pick(const json_t *sessions, const char *id, size_t *fits_out)
{
	const json_t *session, *found = NULL;
	size_t i;

	*fits_out = 0;
	json_array_foreach(sessions, i, session)
		if (waits(session) && (!id || lxm_starts(jtext(session, "id"), id))) {
			found = session;
			++*fits_out;
		}
	return found;
}

static int reattach(struct cli *cli, struct lxm_err *e)
{
	const char *id = cli->n_args == 2 ? cli->args[0] : NULL;
	struct run run = { 0 };
	lxm_auto(json) json_t *sessions = NULL;
	lxm_auto(json) json_t *op = NULL;
	const json_t *session;
	size_t fits;
	int r;

	if (cli->n_args > 2)
		return cli_usage(e, "--reattach takes [SESSION] INSTANCE");
	r = cli_target(cli, cli->args[cli->n_args - 1], &run.client, &run.name, e);
	if (r == 0)
		r = client_get(run.client, client_url(run.client, "/1.0/instances/%s/exec", run.name), &sessions, e);
	if (r < 0)
		return r;
	session = pick(sessions, id, &fits);
	if (!id && fits > 1)
		return show_waiting(cli, sessions, e);
	if (fits != 1)
		return lxm_err_set(e, ENOENT, id ? "instance '%s': %s command '%s' waits for a client" : "instance '%s': %s command waits for a client",
				   run.name, fits ? "more than one" : "no", id);
	run.interactive = json_is_true(json_object_get(session, "interactive"));
	r = client_get(run.client, client_url(run.client, "/1.0/operations/%s", jtext(session, "id")), &op, e);
	return r < 0 ? r : attach(cli, &run, jtext(session, "id"), op, e);
}

int verb_exec(struct cli *cli, struct lxm_err *e)
{
	struct run run = { .argv = cli->args + 1, .argc = cli->n_args - 1 };
	int r;

	if (cli_has(cli, "reattach"))
		return reattach(cli, e);
	if (cli->n_args < 2)
		return cli_usage(e, "exec wants INSTANCE COMMAND..., and one of them is missing");
	r = choose_mode(cli, &run.interactive, e);
	if (r == 0)
		r = cli_target(cli, cli->args[0], &run.client, &run.name, e);
	return r < 0 ? r : run_command(cli, &run, e);
}

int verb_shell(struct cli *cli, struct lxm_err *e)
{
	/* minimal systems have no su; their shell is as good as a login */
	static const char script[] =
		"cd \"${HOME:-/}\" 2>/dev/null; if command -v su >/dev/null 2>&1; then exec su -l \"$1\"; else exec sh -l; fi";
	const char *argv[] = { "sh", "-c", script, "sh", cli_opt(cli, "login", "root") };
	struct run run = { .argv = argv, .argc = LXM_ARRAY_LEN(argv) };
	int r;

	run.interactive = out_tty(STDIN_FILENO) && out_tty(STDOUT_FILENO);
	r = cli_target(cli, cli->args[0], &run.client, &run.name, e);
	return r < 0 ? r : run_command(cli, &run, e);
}
