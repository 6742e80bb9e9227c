/*
 * start, stop, restart, pause, resume and delete, see verb.h: several instances at once. All requests are sent first
 * and the server works on them side by side; then each is waited for, and what failed is told by name.
 */
#include <stdio.h>
#include <string.h>

#include "lib/base/alloc.h"
#include "lxmc/client.h"
#include "lxmc/json.h"
#include "lxmc/out.h"
#include "lxmc/verb.h"

/* One instance on its way. */
struct job {
	struct client *client;
	char *name;	 /* owned */
	char *operation; /* owned; NULL once waited for, or when the request failed */
};

struct jobs {
	struct job *v;
	size_t n;
	int failed; /* how many were told already */
};

static void jobs_deinit(struct jobs *j)
{
	size_t i;

	for (i = 0; i < j->n; i++) {
		free(j->v[i].name);
		free(j->v[i].operation);
	}
	free(j->v);
}
LXM_AUTO_STRUCT(jobs, struct jobs, jobs_deinit)

static struct job *add_job(struct jobs *j, struct client *c, const char *name)
{
	j->v = lxm_realloc_n(j->v, j->n + 1, sizeof(*j->v));
	j->v[j->n] = (struct job){ c, lxm_strdup(name), NULL };
	return &j->v[j->n++];
}

/* With one instance the error is the verb's; with several each gets its line and the verb goes on. */
static int failed(struct cli *cli, struct jobs *j, size_t total, int r, struct lxm_err *e)
{
	if (total == 1)
		return r;
	out_error(e->msg);
	lxm_err_clear(e);
	j->failed++;
	return 0;
}

/* Whether an action makes sense for a status, for --all. */
static bool applies(const char *action, const char *status)
{
	if (strcmp(action, "start") == 0)
		return strcmp(status, "Running") != 0;
	if (strcmp(action, "unfreeze") == 0)
		return strcmp(status, "Frozen") == 0;
	if (strcmp(action, "stop") == 0)
		return strcmp(status, "Stopped") != 0;
	return strcmp(status, "Running") == 0;
}

/* The arguments, or with --all every instance that the action applies to. */
static int collect(struct cli *cli, struct jobs *j, const char *action, struct lxm_err *e)
{
	lxm_auto(json) json_t *list = NULL;
	struct client *c;
	const char *name;
	json_t *item;
	size_t i;
	int r;

	for (i = 0; i < cli->n_args; i++) {
		r = cli_target(cli, cli->args[i], &c, &name, e);
		if (r < 0)
			return r;
		if (*name)
			add_job(j, c, name);
		else if (!cli_has(cli, "all"))
			return cli_usage(e, "'%s' names no instance", cli->args[i]);
	}
	if (cli_has(cli, "all") && j->n)
		return cli_usage(e, "either --all or names of instances, not both");
	if (!cli_has(cli, "all"))
		return j->n ? 0 : cli_usage(e, "%s wants names of instances, or --all", cli->verb->name);
	r = cli_target(cli, cli->n_args ? cli->args[0] : "", &c, &name, e);
	if (r == 0)
		r = client_get(c, client_url(c, "/1.0/instances?recursion=1"), &list, e);
	if (r < 0)
		return r;
	json_array_foreach(list, i, item)
		if (applies(action, jtext(item, "status")))
			add_job(j, c, jtext(item, "name"));
	return 0;
}

/* Send the state change; a frozen instance is resumed by start, as lxc does. */
static int send_action(struct cli *cli, struct job *job, const char *action, bool force, int64_t timeout_s,
		       struct lxm_err *e)
{
	lxm_auto(free) char *url = client_url(job->client, "/1.0/instances/%s/state", job->name);
	lxm_auto(json) json_t *body = NULL, *o = NULL;
	lxm_auto(call) struct call call = { .method = "PUT", .url = url };
	int r;

	if (strcmp(action, "start") == 0) {
		r = client_get(job->client, client_url(job->client, "/1.0/instances/%s", job->name), &o, e);
		if (r < 0)
			return r;
		if (strcmp(jtext(o, "status"), "Frozen") == 0)
			action = "unfreeze";
	}
	body = json_pack("{s:s, s:I, s:b, s:b}", "action", action, "timeout", (json_int_t)timeout_s, "force", force,
			 "stateful", cli_has(cli, "stateful"));
	call.body = body;
	r = client_call(job->client, &call, e);
	if (r == 0)
		job->operation = LXM_TAKE(call.operation, NULL);
	return r;
}

static int wait_job(struct job *job, struct lxm_err *e)
{
	lxm_auto(free) char *id = LXM_TAKE(job->operation, NULL);
	int r = id ? client_wait(job->client, id, NULL, NULL, e) : 0;

	if (r < 0 && r != -EINTR && !strstr(e->msg, job->name))
		lxm_err_wrap(e, r, "instance '%s'", job->name);
	return r;
}

static int wait_all(struct cli *cli, struct jobs *j, struct lxm_err *e)
{
	size_t i;
	int r;

	for (i = 0; i < j->n; i++) {
		r = wait_job(&j->v[i], e);
		if (r == -EINTR)
			return r;
		if (r < 0)
			r = failed(cli, j, j->n, r, e);
		if (r < 0)
			return r;
	}
	return j->failed ? 1 : 0;
}

int verb_state(struct cli *cli, struct lxm_err *e)
{
	const char *action = cli->verb->data;
	lxm_auto(jobs) struct jobs j = { 0 };
	int64_t timeout_s = -1;
	size_t i;
	int r;

	r = cli_number(cli, "timeout", &timeout_s, e);
	if (r == 0)
		r = collect(cli, &j, action, e);
	if (r < 0)
		return r;
	for (i = 0; i < j.n; i++) {
		r = send_action(cli, &j.v[i], action, cli_has(cli, "force"), timeout_s, e);
		if (r < 0)
			r = failed(cli, &j, j.n, r, e);
		if (r < 0)
			return r;
	}
	r = wait_all(cli, &j, e);
	if (r == 0 && cli_has(cli, "console") && j.n == 1)
		return verb_console(cli, e);
	return r;
}

/* Snapshots are named INSTANCE/SNAPSHOT. */
static char *delete_url(const struct job *job)
{
	const char *slash = strchr(job->name, '/');
	lxm_auto(free) char *name = slash ? lxm_strndup(job->name, (size_t)(slash - job->name)) : NULL;

	if (slash)
		return client_url(job->client, "/1.0/instances/%s/snapshots/%s", name, slash + 1);
	return client_url(job->client, "/1.0/instances/%s", job->name);
}

/* With --force: stop what runs. 1: it is gone already (ephemeral). */
static int stop_first(struct cli *cli, struct job *job, struct lxm_err *e)
{
	lxm_auto(json) json_t *o = NULL;
	int r;

	r = client_get(job->client, client_url(job->client, "/1.0/instances/%s", job->name), &o, e);
	if (r < 0)
		return r;
	if (strcmp(jtext(o, "status"), "Stopped") == 0 || strcmp(jtext(o, "status"), "Error") == 0)
		return 0;
	r = send_action(cli, job, "stop", true, -1, e);
	if (r == 0)
		r = wait_job(job, e);
	return r < 0 ? r : jtrue(o, "ephemeral");
}

static bool confirmed(struct cli *cli, const char *name)
{
	char answer[16] = "";

	if (!cli_has(cli, "interactive"))
		return true;
	fprintf(stderr, "Remove %s (yes/no): ", name);
	return fgets(answer, sizeof(answer), stdin) && (*answer == 'y' || *answer == 'Y');
}

static int send_delete(struct cli *cli, struct job *job, struct lxm_err *e)
{
	lxm_auto(free) char *url = delete_url(job);
	lxm_auto(call) struct call call = { .method = "DELETE", .url = url };
	int r = 0;

	if (!confirmed(cli, job->name))
		return 0;
	if (cli_has(cli, "force") && !strchr(job->name, '/'))
		r = stop_first(cli, job, e);
	if (r != 0)
		return r < 0 ? r : 0;
	r = client_call(job->client, &call, e);
	if (r == 0)
		job->operation = LXM_TAKE(call.operation, NULL);
	if (r == -EINVAL && strcasestr(e->msg, "running") && !cli_has(cli, "force"))
		lxm_err_set(e, EBUSY, "instance '%s' is running; stop it first or use --force", job->name);
	return r;
}

int verb_delete(struct cli *cli, struct lxm_err *e)
{
	lxm_auto(jobs) struct jobs j = { 0 };
	size_t i;
	int r;

	r = collect(cli, &j, "delete", e);
	if (r < 0)
		return r;
	for (i = 0; i < j.n; i++) {
		r = send_delete(cli, &j.v[i], e);
		if (r < 0)
			r = failed(cli, &j, j.n, r, e);
		if (r < 0)
			return r;
	}
	return wait_all(cli, &j, e);
}
