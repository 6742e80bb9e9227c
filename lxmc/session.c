/*
 * Exec and console streams, see session.h. One poll loop: signalfd, stdin, the websockets, stdout and stderr, and the
 * connection on which the server will say that the operation is over (asked for at once, so no further round trip is
 * needed). stdin and stdout may be shared with other processes, so they never become non-blocking: reads follow poll,
 * and writes after poll are kept below what a pipe takes without blocking.
 */
#include "lxmc/session.h"

#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/base/alloc.h"
#include "lib/base/fd.h"
#include "lib/base/time.h"
#include "lxmc/json.h"
#include "lxmc/term.h"

#define QUEUE_MAX  ((size_t)256 << 10) /* bytes waiting in one direction before its source has to wait */
#define LINGER_MS  10000	       /* silence that is waited for outputs after the operation's end */
#define GRACE_MS   1000		       /* for a command whose output nobody reads to end by itself */
#define ESCAPE_KEY 0x01		       /* ^a */

enum { CONTROL = 3, SOCKETS = 4 }; /* 0 to 2 as the command's descriptors */

struct session {
	const struct session_spec *spec;
	struct lxm_ws *ws[SOCKETS];
	bool ended[SOCKETS];	/* nothing more will come */
	struct lxm_buf out[3];	/* received and not yet written, [1] and [2] */
	size_t out_at[3];
	bool out_gone[3];	/* nobody reads our stdout or stderr */
	bool in_open, mid_line, escape, leaving;
	int sig_fd;
	struct lxm_http_request wait;
	char *wait_url;
	json_t *op; /* the final operation */
	int64_t active_ms;
	int64_t gone_ms; /* when stdout turned out to be closed; 0: it is not */
	bool dropped;	 /* control was closed because of that */
};

static struct session *active; /* for the message callback: one session in a process */

/* Which output a stream's bytes go to: the pty stream carries everything to stdout. */
static int output_of(const struct session *s, int i)
{
	return s->spec->interactive ? STDOUT_FILENO : i;
}

static void on_message(struct lxm_ws *ws, enum lxm_ws_kind kind, const void *data, size_t n, bool last, void *arg)
{
	int i = (int)(intptr_t)arg, to = output_of(active, i);

	active->active_ms = lxm_mono_ms();
	if (i == CONTROL || (i == 0 && !active->spec->interactive))
		return;
	if (kind == LXM_WS_TEXT) {
		active->ended[i] = true;
		/* a pty's one stream ends in both directions: some servers wait for our half */
		if (i == 0) {
			(void)lxm_ws_send(ws, LXM_WS_TEXT, "", 0);
			lxm_ws_close(ws);
		}
		return;
	}
	if (!active->out_gone[to])
		lxm_buf_add(&active->out[to], data, n);
}

static int connect_stream(struct session *s, int i, const char *name, struct lxm_err *e)
{
	const char *secret = jtext(s->spec->fds, name);
	lxm_auto(free) char *url = NULL;

	if (!*secret) {
		s->ended[i] = true;
		return 0;
	}
	url = lxm_asprintf("/1.0/operations/%s/websocket?secret=%s", s->spec->operation, secret);
	return client_ws(s->spec->client, url, on_message, (void *)(intptr_t)i, &s->ws[i], e);
}

static int connect_all(struct session *s, struct lxm_err *e)
{
	static const char *const names[] = { "0", "1", "2" };
	int i, r;

	r = connect_stream(s, CONTROL, "control", e);
	for (i = 0; i < 3 && r == 0; i++)
		r = connect_stream(s, i, names[i], e);
	if (r < 0)
		return r;
	s->wait_url = client_url(s->spec->client, "/1.0/operations/%s/wait", s->spec->operation);
	s->wait = (struct lxm_http_request){ .method = "GET", .target = s->wait_url };
	return lxm_http_send(s->spec->client->http, &s->wait, e);
}

static void control(struct session *s, const char *text)
{
	if (s->ws[CONTROL] && !s->ended[CONTROL])
		(void)lxm_ws_send(s->ws[CONTROL], LXM_WS_TEXT, text, strlen(text));
}

static void send_size(struct session *s)
{
	int width, height;
	char text[128];

	if (!s->spec->interactive || !term_size(&width, &height))
		return;
	snprintf(text, sizeof(text),
		 "{\"command\":\"window-resize\",\"args\":{\"width\":\"%d\",\"height\":\"%d\"}}", width, height);
	control(s, text);
}

static void take_signals(struct session *s)
{
	struct signalfd_siginfo si;
	char text[64];

	while (read(s->sig_fd, &si, sizeof(si)) == (ssize_t)sizeof(si)) {
		if (si.ssi_signo == SIGWINCH) {
			send_size(s);
			continue;
		}
		if (s->spec->console) {
			s->leaving = true;
			continue;
		}
		snprintf(text, sizeof(text), "{\"command\":\"signal\",\"signal\":%u}", si.ssi_signo);
		control(s, text);
	}
}

/* Leave the console: close control, the server then ends the operation. */
static void leave(struct session *s)
{
	s->leaving = false;
	s->in_open = false;
	if (s->ws[CONTROL])
		lxm_ws_close(s->ws[CONTROL]);
}

/* Filter ^a q out of console input; ^a ^a sends one ^a. Returns how many bytes are left in data. */
static size_t escapes(struct session *s, char *data, size_t n)
{
	size_t i, kept = 0;

	for (i = 0; i < n; i++) {
		bool was = s->escape;

		s->escape = false;
		if (was && data[i] == 'q') {
			s->leaving = true;
			return kept;
		}
		if (!was && data[i] == ESCAPE_KEY) {
			s->escape = true;
			continue;
		}
		if (was && data[i] != ESCAPE_KEY)
			data[kept++] = ESCAPE_KEY; /* in place: one byte was left out before */
		data[kept++] = data[i];
	}
	return kept;
}

/*
 * Our stdin ended. A command behind pipes gets the end of its stdin; one behind a pty that we feed from a file or a
 * pipe gets ^D (twice if the line is not complete), because closing the stream would hang the terminal up.
 */
static void end_input(struct session *s)
{
	s->in_open = false;
	if (s->spec->console)
		return;
	if (s->spec->interactive && !isatty(s->spec->in_fd))
		(void)lxm_ws_send(s->ws[0], LXM_WS_BINARY, "\4\4", s->mid_line ? 2 : 1);
	else
		(void)lxm_ws_send(s->ws[0], LXM_WS_TEXT, "", 0);
}

static void take_input(struct session *s)
{
	char data[65536 + 1], *at = data + 1; /* room for a held-back ^a in front */
	ssize_t n = read(s->spec->in_fd, at, sizeof(data) - 1);
	size_t len;

	if (n < 0 && (errno == EINTR || errno == EAGAIN))
		return;
	if (n <= 0) {
		end_input(s);
		return;
	}
	len = (size_t)n;
	s->mid_line = at[n - 1] != '\n';
	if (s->spec->console) {
		if (s->escape) {
			*--at = ESCAPE_KEY;
			s->escape = false;
			len++;
		}
		len = escapes(s, at, len);
	}
	if (len)
		(void)lxm_ws_send(s->ws[0], LXM_WS_BINARY, at, len);
	if (s->leaving)
		leave(s);
}

/* Write what a pipe, socket or terminal takes now; files take all. */
static void drain(struct session *s, int fd)
{
	struct lxm_buf *b = &s->out[fd];
	struct stat st;
	bool file = fstat(fd, &st) == 0 && S_ISREG(st.st_mode), sock = S_ISSOCK(st.st_mode);

	while (s->out_at[fd] < b->len) {
		struct pollfd p = { .fd = fd, .events = POLLOUT };
		size_t n = b->len - s->out_at[fd];
		ssize_t w;

		if (!file && (poll(&p, 1, 0) <= 0 || !(p.revents & (POLLOUT | POLLERR | POLLHUP | POLLNVAL))))
			return;
		if (!file && n > PIPE_BUF)
			n = PIPE_BUF;
		w = sock ? send(fd, b->data + s->out_at[fd], n, MSG_DONTWAIT | MSG_NOSIGNAL) :
			   write(fd, b->data + s->out_at[fd], n);
		if (w < 0 && (errno == EINTR || errno == EAGAIN))
			return;
		if (w < 0) {
			s->out_gone[fd] = true;
			if (fd == STDOUT_FILENO)
				s->gone_ms = lxm_mono_ms();
			break;
		}
		s->out_at[fd] += (size_t)w;
	}
	b->len = 0;
	s->out_at[fd] = 0;
	/* nobody reads: let the command notice, as it would at the end of a pipe of its own */
	if (s->out_gone[fd] && !s->spec->interactive && s->ws[fd])
		lxm_ws_close(s->ws[fd]);
}

static bool outputs_done(const struct session *s)
{
	int i;

	for (i = s->spec->interactive ? 0 : 1; i < 3; i++)
		if (!s->ended[i])
			return false;
	return s->out[1].len == 0 && s->out[2].len == 0;
}

/* The server answered the wait: the operation is over (or could not be asked for). */
static int take_verdict(struct session *s, struct lxm_err *e)
{
	lxm_auto(http_reply) struct lxm_http_reply reply = { 0 };
	lxm_auto(json) json_t *env = NULL;
	json_t *op;
	int r;

	r = lxm_http_recv(s->spec->client->http, &s->wait, &reply, e);
	if (r == 0)
		r = client_check(s->spec->client, s->wait_url, &reply, e);
	if (r < 0)
		return r;
	env = json_loadb(reply.body.data, reply.body.len, 0, NULL);
	op = json_object_get(env, "metadata");
	if (!json_is_object(op))
		return lxm_err_set(e, EPROTO, "the server's answer about the operation is not JSON");
	if (jint(op, "status_code") < API_SUCCESS)
		return lxm_http_send(s->spec->client->http, &s->wait, e);
	s->op = json_incref(op);
	s->active_ms = lxm_mono_ms();
	return 0;
}

/* Fill the poll table: 0 signals, 1 stdin, 2 verdict, 3-4 outputs, 5- sockets. */
static nfds_t prepare(struct session *s, struct pollfd *p)
{
	int i;

	p[0] = (struct pollfd){ s->sig_fd, POLLIN, 0 };
	p[1] = (struct pollfd){ s->in_open && s->ws[0] && lxm_ws_queued(s->ws[0]) < QUEUE_MAX ? s->spec->in_fd : -1,
				POLLIN, 0 };
	p[2] = (struct pollfd){ s->op ? -1 : lxm_http_fd(s->spec->client->http), POLLIN, 0 };
	for (i = 1; i <= 2; i++)
		p[2 + i] = (struct pollfd){ s->out[i].len ? i : -1, POLLOUT, 0 };
	for (i = 0; i < SOCKETS; i++) {
		p[5 + i] = (struct pollfd){ -1, 0, 0 };
		if (!s->ws[i])
			continue;
		if (i != CONTROL)
			lxm_ws_pause(s->ws[i], s->out[output_of(s, i)].len >= QUEUE_MAX);
		p[5 + i].fd = lxm_ws_fd(s->ws[i]);
		p[5 + i].events = lxm_ws_events(s->ws[i]);
	}
	return 5 + SOCKETS;
}

static void pump(struct session *s, const struct pollfd *p)
{
	int i;

	for (i = 0; i < SOCKETS; i++) {
		if (!s->ws[i] || lxm_ws_fd(s->ws[i]) < 0)
			continue;
		/* a stream that breaks is over; what that means is the operation's to say */
		if ((p[i].revents || (lxm_ws_events(s->ws[i]) & POLLOUT)) &&
		    lxm_ws_pump(s->ws[i], p[i].revents, NULL) != 0)
			s->ended[i] = true;
	}
	if (s->ended[0])
		s->in_open = false;
}

/*
 * How long poll may sleep; 0 when there is nothing left to wait for. A command that goes on without a reader loses its
 * client, so that the server kills it; a server that does not is left alone with it.
 */
static int patience_ms(struct session *s)
{
	int64_t left = s->gone_ms + GRACE_MS - lxm_mono_ms();

	if (s->op)
		return LINGER_MS;
	if (!s->gone_ms)
		return -1;
	if (left <= 0 && !s->dropped) {
		s->dropped = true;
		s->gone_ms = lxm_mono_ms();
		left = GRACE_MS;
		if (s->ws[CONTROL] && !s->ended[CONTROL])
			lxm_ws_close(s->ws[CONTROL]);
	}
	return left > 0 ? (int)left : 0;
}

static int loop(struct session *s, struct lxm_err *e)
{
	struct pollfd p[5 + SOCKETS];
	int r, i;

	while (!s->op || !outputs_done(s)) {
		int patience = patience_ms(s);

		if (patience == 0)
			break;
		r = poll(p, prepare(s, p), patience);
		if (r < 0 && errno != EINTR)
			return lxm_err_sys(e, "wait for the command");
		if (r == 0 && s->op && lxm_mono_ms() - s->active_ms >= LINGER_MS)
			break;
		if (r <= 0)
			continue;
		if (p[0].revents)
			take_signals(s);
		if (s->leaving)
			leave(s);
		if (p[1].revents)
			take_input(s);
		pump(s, p + 5);
		for (i = 1; i <= 2; i++)
			if (s->out[i].len)
				drain(s, i);
		if (p[2].revents) {
			r = take_verdict(s, e);
			if (r < 0)
				return r;
		}
	}
	return 0;
}

/* The signals that lxc passes on, and the window's. */
static void catch_signals(struct session *s, sigset_t *old)
{
	static const int list[] = { SIGTERM, SIGHUP,  SIGINT,  SIGQUIT, SIGABRT, SIGTSTP, SIGTTIN,
				    SIGTTOU, SIGUSR1, SIGUSR2, SIGSEGV, SIGCONT, SIGWINCH };
	sigset_t set;
	size_t i;

	sigemptyset(&set);
	for (i = 0; i < LXM_ARRAY_LEN(list); i++)
		sigaddset(&set, list[i]);
	sigprocmask(SIG_BLOCK, &set, old);
	s->sig_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

int session_run(const struct session_spec *spec, json_t **op_out, struct lxm_err *e)
{
	struct session s = { .spec = spec, .in_open = true, .sig_fd = -1 };
	struct term saved = { 0 };
	sigset_t old;
	int r, i;

	active = &s;
	catch_signals(&s, &old);
	if (spec->raw)
		term_raw(&saved);
	r = connect_all(&s, e);
	if (r == 0)
		r = loop(&s, e);
	term_restore(&saved);
	for (i = 0; i < SOCKETS; i++)
		lxm_ws_free(s.ws[i]);
	for (i = 0; i < 3; i++)
		lxm_buf_deinit(&s.out[i]);
	auto_fd_close(&s.sig_fd);
	sigprocmask(SIG_SETMASK, &old, NULL);
	free(s.wait_url);
	active = NULL;
	if (r == 0)
		*op_out = s.op;
	else
		json_decref(s.op);
	return r;
}
