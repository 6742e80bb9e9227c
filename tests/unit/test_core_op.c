/* lxmd/core/op and event: the life of an operation, its sockets, waiters and events. */
#include "tests/unit/unit.h"

#include <poll.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/socket.h>

#include "lib/api/json.h"
#include "lib/base/time.h"
#include "lxmd/core/daemon.h"
#include "lxmd/core/event.h"
#include "lxmd/core/loop.h"
#include "lxmd/core/op.h"
#include "lxmd/core/ws.h"

static struct lxmd d;
static const struct caller root = { .trust = CALLER_ADMIN };
static atomic_int freed, cancels, connects, done_calls;
static sem_t gate;

static void set_up(void)
{
	memset(&d, 0, sizeof(d));
	CU_ASSERT_FATAL(daemon_start_core(&d, NULL) == 0);
	freed = cancels = connects = done_calls = 0;
	sem_init(&gate, 0, 0);
}

static void tear_down(void)
{
	CU_ASSERT(ops_stop(d.ops, 2000) == 0);
	daemon_stop_core(&d);
	sem_destroy(&gate);
}

static void on_free(void *arg)
{
	atomic_fetch_add(&freed, 1);
}

static void on_cancel(struct op *op, void *arg)
{
	atomic_fetch_add(&cancels, 1);
	sem_post(&gate);
}

static int run_ok(struct op *op, void *arg, struct lxm_err *e)
{
	return 0;
}

static int run_bad(struct op *op, void *arg, struct lxm_err *e)
{
	return lxm_err_set(e, ENOENT, "no disk '%s'", "sda");
}

static int run_gated(struct op *op, void *arg, struct lxm_err *e)
{
	sem_wait(&gate);
	return op_is_cancelled(op) ? lxm_err_set(e, ECANCELED, "stopped half-way") : 0;
}

static int run_later(struct op *op, void *arg, struct lxm_err *e)
{
	return OP_LATER;
}

static struct op *make(const struct op_spec *spec)
{
	struct op *op = NULL;

	CU_ASSERT_FATAL(op_new(&d, spec, &op, NULL) == 0);
	return op;
}

/* Checks one string of the operation's object. */
static bool is(struct op *op, const char *key, const char *value)
{
	lxm_auto(json) json_t *o = op_json(op);

	return strcmp(js_str_or(o, key, "?"), value) == 0;
}

static bool soon(atomic_int *what, int n)
{
	int64_t until = lxm_mono_ms() + 2000;

	while (atomic_load(what) != n && lxm_mono_ms() < until)
		(void)usleep(1000);
	return atomic_load(what) == n;
}

static void a_task_lives_and_is_listed(void)
{
	struct op_spec spec = { .cls = OP_TASK, .project = "p", .description = "Testing", .run = run_gated,
				.free_arg = on_free,
				.resources = json_pack("{s:[s]}", "instances", "/1.0/instances/c%201") };
	lxm_auto(json) json_t *o = NULL;
	lxm_auto(json) json_t *all = NULL;
	lxm_auto(json) json_t *other = NULL;
	struct op *op, *again;

	set_up();
	op = make(&spec);
	CU_ASSERT(is(op, "status", "Pending"));
	op_start(op);
	CU_ASSERT(is(op, "status", "Running"));
	o = op_json(op);
	CU_ASSERT_STRING_EQUAL(json_string_value(json_array_get(js_get(js_get(o, "resources"), "containers"), 0)),
			       "/1.0/containers/c%201");
	all = ops_list(d.ops, "p", &root, 1);
	CU_ASSERT(json_array_size(js_get(all, "running")) == 1);
	other = ops_list(d.ops, "q", &root, 0);
	CU_ASSERT(json_object_size(other) == 0);
	again = ops_get(d.ops, op_id(op));
	CU_ASSERT_PTR_EQUAL(again, op);
	op_unref(again);
	CU_ASSERT(op_wait(op, 20) == -ETIMEDOUT);
	CU_ASSERT(op_cancel(op, NULL) == -EINVAL); /* may_cancel is false */
	sem_post(&gate);
	CU_ASSERT(op_wait(op, 2000) == 0);
	CU_ASSERT(is(op, "status", "Success") && is(op, "err", ""));
	CU_ASSERT(soon(&freed, 1));
	op_unref(op);
	tear_down();
}

static void a_failure_says_why(void)
{
	struct op_spec spec = { .description = "Testing", .run = run_bad, .free_arg = on_free };
	struct op *op;

	set_up();
	op = make(&spec);
	op_start(op);
	CU_ASSERT(op_wait(op, 2000) == 0);
	CU_ASSERT(is(op, "status", "Failure") && is(op, "err", "no disk 'sda'"));
	op_finish(op, NULL); /* too late */
	CU_ASSERT(is(op, "status", "Failure"));
	op_unref(op);
	tear_down();
	CU_ASSERT(freed == 1);
}

static void a_cancel_ends_it_as_cancelled(void)
{
	struct op_spec spec = { .description = "Testing", .run = run_gated, .cancel = on_cancel, .may_cancel = true };
	struct op_spec token = { .cls = OP_TOKEN, .description = "Token", .may_cancel = true };
	struct op *op;

	set_up();
	op = make(&spec);
	CU_ASSERT(op_cancel(op, NULL) == -EINVAL); /* not running yet */
	op_start(op);
	CU_ASSERT(op_cancel(op, NULL) == 0);
	CU_ASSERT(op_wait(op, 2000) == 0);
	CU_ASSERT(is(op, "status", "Cancelled") && cancels == 1);
	CU_ASSERT(op_cancel(op, NULL) == -EINVAL);
	op_unref(op);

	op = make(&token);
	op_start(op);
	CU_ASSERT(op_wait(op, 30) == -ETIMEDOUT);
	CU_ASSERT(op_cancel(op, NULL) == 0);
	CU_ASSERT(op_wait(op, 2000) == 0);
	CU_ASSERT(is(op, "status", "Cancelled"));
	op_unref(op);
	tear_down();
}

static void later_ones_end_by_op_finish(void)
{
	struct op_spec spec = { .description = "Testing", .run = run_later };
	struct lxm_err e = { 0 };
	struct op *op;

	set_up();
	op = make(&spec);
	op_start(op);
	CU_ASSERT(op_wait(op, 30) == -ETIMEDOUT);
	lxm_err_set(&e, EIO, "wire cut");
	op_finish(op, &e);
	CU_ASSERT(op_wait(op, 0) == 0);
	CU_ASSERT(is(op, "status", "Failure") && is(op, "err", "wire cut"));
	op_unref(op);
	tear_down();
}

static void on_done(struct op *op, void *arg)
{
	atomic_fetch_add(&done_calls, op_is_final(op) ? 10 : 1);
}

static void waiters_hear_of_the_end_or_of_their_time(void)
{
	struct op_spec spec = { .description = "Testing", .run = run_gated };
	struct op *op;

	set_up();
	op = make(&spec);
	op_start(op);
	op_when_done(op, 10, on_done, NULL);
	CU_ASSERT(soon(&done_calls, 1));
	op_when_done(op, 0, on_done, NULL);
	CU_ASSERT(done_calls == 2);
	op_when_done(op, -1, on_done, NULL);
	op_when_done(op, 60000, on_done, NULL);
	sem_post(&gate);
	CU_ASSERT(soon(&done_calls, 22));
	op_when_done(op, -1, on_done, NULL);
	CU_ASSERT(done_calls == 32);
	op_unref(op);
	tear_down();
}

static void progress_is_text_and_the_last_one_counts(void)
{
	struct op_spec spec = { .description = "Testing", .run = run_gated };
	lxm_auto(json) json_t *o = NULL;
	struct op *op;
	int i;

	set_up();
	op = make(&spec);
	op_start(op);
	for (i = 0; i <= 42; i++)
		op_progress(op, "download_progress", "Fetch", i, 31200000);
	o = op_metadata(op);
	CU_ASSERT_STRING_EQUAL(js_str(o, "download_progress"), "Fetch: 42% (31.2MB/s)");
	CU_ASSERT_STRING_EQUAL(js_str(js_get(o, "progress"), "percent"), "42");
	op_progress(op, "download_progress", NULL, -1, 0);
	json_decref(o);
	o = op_metadata(op);
	CU_ASSERT_STRING_EQUAL(js_str(o, "download_progress"), "");
	op_progress(NULL, "x", "y", 1, 1);
	sem_post(&gate);
	CU_ASSERT(op_wait(op, 2000) == 0);
	op_unref(op);
	tear_down();
}

/* ---- websockets */

static int on_connect(struct op *op, const char *name, struct ws *ws, void *arg)
{
	static const struct ws_handler quiet = { 0 };

	CU_ASSERT(loop_here(d.loop));
	atomic_fetch_add(&connects, 1);
	ws_start(ws, &quiet, NULL);
	return strcmp(name, "bad") == 0 ? -EINVAL : 0;
}

static int connect_with(struct op *op, const char *secret)
{
	int sv[2], index = op_claim_socket(op, secret, NULL);

	if (index < 0)
		return index;
	CU_ASSERT_FATAL(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sv) == 0);
	op_connect_socket(op, index, ws_new(d.loop, sv[1], NULL, 0));
	return sv[0];
}

static void run_waits_for_the_required_sockets(void)
{
	struct op_spec spec = { .cls = OP_WEBSOCKET, .description = "Executing command", .run = run_gated,
				.connect = on_connect };
	char in[65], control[65];
	struct op *op;
	int a, b;

	set_up();
	op = make(&spec);
	op_add_socket(op, "0", true, in);
	op_add_socket(op, "control", false, control);
	CU_ASSERT(strlen(in) == 64 && strcmp(in, control) != 0);
	op_start(op);
	sem_post(&gate);
	b = connect_with(op, control);
	CU_ASSERT(op_wait(op, 50) == -ETIMEDOUT);
	CU_ASSERT(connect_with(op, "0000") == -EPERM);
	CU_ASSERT(connect_with(op, NULL) == -EPERM);
	CU_ASSERT(op_secret_ok(op, in) && !op_secret_ok(op, "") && !op_secret_ok(op, NULL));
	a = connect_with(op, in);
	CU_ASSERT(a >= 0 && connect_with(op, in) == -EPERM); /* used once */
	CU_ASSERT(op_wait(op, 2000) == 0);
	CU_ASSERT(is(op, "status", "Success") && connects == 2);
	op_unref(op);
	tear_down();
	(void)close(a);
	(void)close(b);
}

static void unconnected_sockets_time_out(void)
{
	struct op_spec spec = { .cls = OP_WEBSOCKET, .description = "Executing command", .run = run_ok,
				.connect = on_connect, .cancel = on_cancel, .free_arg = on_free };
	int64_t began = lxm_mono_ms();
	char secret[65];
	struct op *op;

	set_up();
	op = make(&spec);
	op_add_socket(op, "0", true, secret);
	op_start(op);
	CU_ASSERT(op_wait(op, 7000) == 0);
	CU_ASSERT(lxm_mono_ms() - began >= 4900);
	CU_ASSERT(is(op, "err", "Timed out waiting for websockets to connect"));
	CU_ASSERT(cancels == 1 && soon(&freed, 1));
	op_unref(op);
	tear_down();
}

/* ---- events */

struct hearer {
	int fd;
	struct event_listener *l;
};

static void listen_for(struct hearer *h, int types, const char *project)
{
	CU_ASSERT_FATAL(event_listen(d.events, types, project, &root, &h->l, NULL) == 0);
}

static void attach(struct hearer *h)
{
	int sv[2];

	CU_ASSERT_FATAL(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sv) == 0);
	h->fd = sv[0];
	event_attach(h->l, ws_new(d.loop, sv[1], NULL, 0));
}

/* One event, NULL if none comes within 200 ms. */
static json_t *hear(struct hearer *h)
{
	struct pollfd p = { .fd = h->fd, .events = POLLIN };
	unsigned char head[4];
	size_t len;
	lxm_auto(free) char *text = NULL;
	json_t *o = NULL;

	if (poll(&p, 1, 200) <= 0 || read(h->fd, head, 2) != 2)
		return NULL;
	len = head[1];
	if (len == 126 && read(h->fd, head + 2, 2) == 2)
		len = (size_t)head[2] << 8 | head[3];
	text = malloc(len + 1);
	CU_ASSERT(recv(h->fd, text, len, MSG_WAITALL) == (ssize_t)len);
	CU_ASSERT(js_parse(text, len, &o, NULL) == 0);
	return o;
}

static bool hears(struct hearer *h, const char *status)
{
	lxm_auto(json) json_t *o = hear(h);

	return strcmp(js_str_or(js_get(o, "metadata"), "status", "none"), status) == 0;
}

static void listeners_hear_each_state_of_their_project(void)
{
	struct op_spec spec = { .project = "p", .description = "Testing", .run = run_gated };
	struct hearer all, p, q;
	struct op *op;

	set_up();
	listen_for(&all, EVENT_ALL, NULL);
	listen_for(&p, EVENT_OPERATION, "p");
	listen_for(&q, EVENT_OPERATION, "q");
	attach(&all);
	op = make(&spec);
	attach(&p); /* what came before the 101 is not lost */
	attach(&q);
	op_start(op);
	op_set_metadata_key(op, "return", json_integer(0));
	sem_post(&gate);
	CU_ASSERT(op_wait(op, 2000) == 0);
	CU_ASSERT(hears(&p, "Pending") && hears(&p, "Running") && hears(&p, "Running") && hears(&p, "Success"));
	CU_ASSERT(hears(&all, "Pending"));
	CU_ASSERT(hears(&q, "none"));
	op_unref(op);
	tear_down();
	(void)close(all.fd);
	(void)close(p.fd);
	(void)close(q.fd);
}

static void lifecycle_events_name_source_and_requestor(void)
{
	struct caller who = { .username = "root", .protocol = "unix" };
	lxm_auto(json) json_t *o = NULL;
	json_t *m;
	struct hearer h;

	set_up();
	listen_for(&h, event_types_parse("lifecycle", NULL), NULL);
	attach(&h);
	event_lifecycle(&d, "p q", "instance-started", "/1.0/instances/c1", NULL, &who);
	o = hear(&h);
	m = js_get(o, "metadata");
	CU_ASSERT_STRING_EQUAL(js_str_or(o, "type", ""), "lifecycle");
	CU_ASSERT_STRING_EQUAL(js_str_or(o, "project", ""), "p q");
	CU_ASSERT_STRING_EQUAL(js_str_or(m, "source", ""), "/1.0/instances/c1?project=p%20q");
	CU_ASSERT_STRING_EQUAL(js_str_or(js_get(m, "requestor"), "username", ""), "root");
	CU_ASSERT(event_types_parse("lifecycle,nonsense", NULL) == -EINVAL);
	CU_ASSERT(event_types_parse("", NULL) == EVENT_ALL);
	tear_down();
	(void)close(h.fd);
}

static void a_listener_that_never_reads_is_cut_off(void)
{
	struct hearer deaf, fine;
	struct pollfd p;
	char junk[65536];
	int i;

	set_up();
	listen_for(&deaf, EVENT_OPERATION, NULL);
	listen_for(&fine, EVENT_LIFECYCLE, NULL);
	attach(&deaf);
	attach(&fine);
	memset(junk, 'x', sizeof(junk) - 1);
	junk[sizeof(junk) - 1] = '\0';
	for (i = 0; i < 200 && event_wanted(d.events, EVENT_OPERATION); i++)
		event_send(d.events, EVENT_OPERATION, NULL, json_pack("{s:s}", "pad", junk));
	CU_ASSERT(i > 60 && i < 100); /* at 4 MiB, beside what the kernel took */
	while (recv(deaf.fd, junk, sizeof(junk), 0) > 0)
		;
	p = (struct pollfd){ .fd = deaf.fd, .events = POLLIN };
	CU_ASSERT(poll(&p, 1, 1000) == 1 && (p.revents & POLLHUP));
	event_lifecycle(&d, NULL, "x", "/1.0/x", NULL, NULL);
	json_decref(hear(&fine));
	tear_down();
	(void)close(deaf.fd);
	(void)close(fine.fd);
}

UNIT_MAIN("core/op", { "a task lives and is listed", a_task_lives_and_is_listed },
	  { "a failure says why", a_failure_says_why },
	  { "a cancel ends it as cancelled", a_cancel_ends_it_as_cancelled },
	  { "later ones end by op_finish", later_ones_end_by_op_finish },
	  { "waiters hear of the end or of their time", waiters_hear_of_the_end_or_of_their_time },
	  { "progress is text and the last one counts", progress_is_text_and_the_last_one_counts },
	  { "run waits for the required sockets", run_waits_for_the_required_sockets },
	  { "unconnected sockets time out", unconnected_sockets_time_out },
	  { "listeners hear each state of their project", listeners_hear_each_state_of_their_project },
	  { "lifecycle events name source and requestor", lifecycle_events_name_source_and_requestor },
	  { "a listener that never reads is cut off", a_listener_that_never_reads_is_cut_off })
