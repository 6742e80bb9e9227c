/*
 * Waiting for operations, see client.h. One request that the server answers at the end (or once a second, to show
 * progress) on the connection that is open anyway: no events socket, no polling. ^C is caught only while waiting.
 */
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "lib/base/alloc.h"
#include "lxmc/client.h"
#include "lxmc/json.h"
#include "lxmc/out.h"
#include "lxmc/progress.h"

static volatile sig_atomic_t interrupts;

struct waiting {
	struct client *client;
	const char *id;
	struct progress *progress;
	bool asked; /* cancellation was sent */
};

static void count_interrupt(int sig)
{
	interrupts++;
}

/* First ^C: ask the server to cancel, on a connection of its own because ours is waiting. */
static int on_signal(void *arg)
{
	struct waiting *w = arg;
	struct client side = *w->client;
	lxm_auto(free) char *url = NULL;
	struct lxm_err e = { 0 };
	struct call call = { .method = "DELETE" };

	if (!interrupts)
		return 0;
	if (interrupts > 1 && w->asked)
		return -EINTR;
	if (w->asked)
		return 0;
	w->asked = true;
	progress_end(w->progress);
	url = client_url(w->client, "/1.0/operations/%s", w->id);
	call.url = url;
	side.http = client_http(w->client);
	if (client_call(&side, &call, &e) < 0) {
		lxm_auto(free) char *safe = out_safe(e.msg);

		fprintf(stderr, "Cannot cancel: %s. Press ^C again to leave it running.\n", safe);
	} else {
		fprintf(stderr, "Cancelling; press ^C again to stop waiting.\n");
	}
	lxm_http_free(side.http);
	call_deinit(&call);
	return 0;
}

static void show_progress(struct progress *p, const json_t *op)
{
	const json_t *meta = json_object_get(op, "metadata"), *bar = json_object_get(meta, "progress");
	const char *key, *percent = jtext(bar, "percent");
	json_t *value;
	uint64_t speed = 0;

	if (*percent && *jtext(bar, "stage")) {
		(void)lxm_parse_u64(jtext(bar, "speed"), &speed);
		/* stages without a measure say 0 all the time */
		progress_bar(p, jtext(bar, "stage"), atoi(percent) > 0 ? atoi(percent) : -1, speed);
		return;
	}
	json_object_foreach((json_t *)meta, key, value) {
		if (lxm_ends(key, "_progress") && json_is_string(value)) {
			progress_text(p, json_string_value(value));
			return;
		}
	}
}

/* The verdict of a final operation. */
static int judge(const json_t *op, struct lxm_err *e)
{
	long long status = jint(op, "status_code");
	const char *err = jtext(op, "err");

	if (status == API_SUCCESS)
		return 0;
	if (status == API_CANCELLED)
		return lxm_err_set(e, ECANCELED, "%s was cancelled",
				   *jtext(op, "description") ? jtext(op, "description") : "the operation");
	return lxm_err_set(e, EIO, "%s", *err ? err : "the operation failed and the server does not say why");
}

static int wait_loop(struct waiting *w, bool show, json_t **op_out, struct lxm_err *e)
{
	struct client *c = w->client;
	int r;

	for (;;) {
		lxm_auto(json) json_t *op = NULL;

		r = client_get(c, client_url(c, "/1.0/operations/%s/wait%r", w->id, show ? "?timeout=1" : ""), &op, e);
		if (r < 0)
			return r;
		if (jint(op, "status_code") >= API_SUCCESS) {
			*op_out = LXM_TAKE(op, NULL);
			return 0;
		}
		if (show)
			show_progress(w->progress, op);
		if (on_signal(w) < 0)
			return lxm_err_set(e, EINTR, "interrupted");
	}
}

/* What the server wants known of something that it did. */
static void show_warnings(const json_t *op)
{
	const json_t *list = json_object_get(json_object_get(op, "metadata"), "warnings"), *w;
	size_t i;

	json_array_foreach(list, i, w) {
		lxm_auto(free) char *text = json_is_string(w) ? out_safe(json_string_value(w)) : NULL;

		if (text)
			fprintf(stderr, "Warning: %s\n", text);
	}
}

int client_wait(struct client *c, const char *id, const char *title, json_t **op_out, struct lxm_err *e)
{
	struct sigaction catch = { .sa_handler = count_interrupt }, old;
	lxm_auto(json) json_t *op = NULL;
	struct progress p = { 0 };
	struct waiting w = { c, id, &p, false };
	int r;

	progress_begin(&p, title, c->quiet);
	interrupts = 0;
	sigaction(SIGINT, &catch, &old);
	lxm_http_on_signal(c->http, on_signal, &w);
	r = wait_loop(&w, !c->quiet, &op, e);
	lxm_http_on_signal(c->http, NULL, NULL);
	sigaction(SIGINT, &old, NULL);
	progress_end(&p);
	if (r == -EINTR)
		return lxm_err_set(e, EINTR, "stopped waiting; the operation goes on: 'lxmc operation show %s'", id);
	if (r < 0)
		return r;
	r = judge(op, e);
	if (r == 0)
		show_warnings(op);
	if (op_out)
		*op_out = LXM_TAKE(op, NULL);
	return r;
}
