/* console, see verb.h: attach to an instance's console or show what it said. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "lib/base/alloc.h"
#include "lxmc/json.h"
#include "lxmc/out.h"
#include "lxmc/session.h"
#include "lxmc/term.h"
#include "lxmc/verb.h"

static int print_log(void *arg, const void *data, size_t n, struct lxm_err *e)
{
	out_text(data, n);
	return 0;
}

static int show_log(struct client *c, const char *name, struct lxm_err *e)
{
	lxm_auto(free) char *url = client_url(c, "/1.0/instances/%s/console", name);
	lxm_auto(http_reply) struct lxm_http_reply reply = { 0 };
	struct lxm_http_request rq = { .method = "GET", .target = url, .sink = print_log };

	return client_raw(c, &rq, &reply, e);
}

int verb_console(struct cli *cli, struct lxm_err *e)
{
	lxm_auto(json) json_t *body = NULL, *op = NULL;
	lxm_auto(free) char *url = NULL;
	lxm_auto(call) struct call call = { .method = "POST" };
	struct session_spec spec = { .interactive = true, .raw = true, .console = true, .in_fd = STDIN_FILENO };
	int width = 80, height = 24, r;
	const char *name;

	r = cli_target(cli, cli->args[0], &spec.client, &name, e);
	if (r < 0)
		return r;
	if (cli_has(cli, "show-log"))
		return show_log(spec.client, name, e);
	(void)term_size(&width, &height);
	body = json_pack("{s:i, s:i, s:s}", "width", width, "height", height, "type", "console");
	url = client_url(spec.client, "/1.0/instances/%s/console", name);
	call.url = url;
	call.body = body;
	r = client_call(spec.client, &call, e);
	if (r < 0)
		return r;
	spec.fds = json_object_get(json_object_get(call.meta, "metadata"), "fds");
	if (!call.operation || !json_is_object(spec.fds))
		return lxm_err_set(e, EPROTO, "the server's answer has no streams in it");
	spec.operation = call.operation;
	if (!cli->quiet && out_tty(STDIN_FILENO))
		fprintf(stderr, "To detach from the console, press: <ctrl>+a q\r\n");
	r = session_run(&spec, &op, e);
	if (r == 0 && !cli->quiet)
		fputc('\n', stderr);
	if (r == 0 && *jtext(op, "err"))
		return lxm_err_set(e, EIO, "console of instance '%s': %s", name, jtext(op, "err"));
	return r;
}
