/*
 * The exec job and its reports. lxmd encodes in any thread; the helper decodes before it enters the container, so
 * nothing of the container's is looked at here. Strings of the job come from API clients: bounds are enforced on
 * both sides.
 */
#include "lib/wire/exec.h"

#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "lib/base/alloc.h"
#include "lib/base/fd.h"

enum { JOB_MAIN = 1, JOB_SECCOMP, JOB_GROUP, JOB_RLIMIT, JOB_CGROUP, JOB_ENV, JOB_ARG, JOB_KINDS };

enum { FLAG_PTY = 1, FLAG_PTY_STDERR = 2, FLAG_PRIVILEGED = 4, FLAG_HOST_NET = 8, FLAG_LASTING = 16, FLAGS_ALL = 31 };

/* The record structs; one union member is in use at a time. */
struct record {
	union {
		struct {
			uint32_t flags, uid, gid, rows, cols, grace_s;
			uint64_t keep_caps;
			const char *cwd, *apparmor, *notify, *tag;
		} main;
		struct wire_bytes bytes;
		uint32_t group;
		struct exec_rlimit rlimit;
		const char *text;
	};
};

#define OFF(m) offsetof(struct record, m)

static const struct wire_kind kinds[JOB_KINDS] = {
	[JOB_MAIN] = { "job", 1, 1,
		       { { WIRE_U32, OFF(main.flags), 0 }, { WIRE_U32, OFF(main.uid), 0 }, { WIRE_U32, OFF(main.gid), 0 }, { WIRE_U32, OFF(main.rows), 0 },
			 { WIRE_U32, OFF(main.cols), 0 }, { WIRE_U64, OFF(main.keep_caps), 0 }, { WIRE_STR, OFF(main.cwd), 4096 }, { WIRE_STR, OFF(main.apparmor), 1024 },
			 { WIRE_STR, OFF(main.notify), 4096 }, { WIRE_U32, OFF(main.grace_s), 0 }, { WIRE_STR, OFF(main.tag), EXEC_TAG_MAX } } },
	[JOB_SECCOMP] = { "seccomp", 0, 1, { { WIRE_BYTES, OFF(bytes), 4096 * 8 } } },
	[JOB_GROUP] = { "group", 0, EXEC_GROUPS, { { WIRE_U32, OFF(group), 0 } } },
	[JOB_RLIMIT] = { "limit", 0, EXEC_RLIMITS,
			 { { WIRE_U32, OFF(rlimit.resource), 0 }, { WIRE_U64, OFF(rlimit.soft), 0 }, { WIRE_U64, OFF(rlimit.hard), 0 } } },
	[JOB_CGROUP] = { "cgroup", 0, 16, { { WIRE_STR, OFF(text), 512 } } },
	[JOB_ENV] = { "env", 0, 8192, { { WIRE_STR, OFF(text), EXEC_ARG_MAX } } },
	[JOB_ARG] = { "arg", 1, 8192, { { WIRE_STR, OFF(text), EXEC_ARG_MAX } } },
};

static const struct wire_format format = { 0x4a4d584cu /* "LXMJ" */, 2, EXEC_JOB_MAX, kinds, JOB_KINDS };

struct encoder {
	struct lxm_buf b;
	uint32_t records;
};

static int add(struct encoder *n, uint32_t kind, const struct record *r, struct lxm_err *e)
{
	n->records++;
	return wire_put(&n->b, &format, kind, r, e);
}

static int add_texts(struct encoder *n, uint32_t kind, char *const *v, struct lxm_err *e)
{
	int r = 0;

	for (; v && *v && r == 0; v++)
		r = add(n, kind, &(struct record){ .text = *v }, e);
	return r;
}

static int encode(struct encoder *n, const struct exec_job *j, struct lxm_err *e)
{
	struct record main = { .main = { .uid = j->uid, .gid = j->gid, .rows = j->rows, .cols = j->cols, .keep_caps = j->keep_caps,
					 .cwd = j->cwd, .apparmor = j->apparmor, .notify = j->notify, .grace_s = j->grace_s, .tag = j->tag } };
	size_t i;
	int r;

	main.main.flags = (j->pty ? FLAG_PTY : 0) | (j->pty_stderr ? FLAG_PTY_STDERR : 0) | (j->privileged ? FLAG_PRIVILEGED : 0) |
			  (j->host_net ? FLAG_HOST_NET : 0) | (j->lasting ? FLAG_LASTING : 0);
	r = add(n, JOB_MAIN, &main, e);
	if (r == 0 && j->seccomp.len)
		r = add(n, JOB_SECCOMP, &(struct record){ .bytes = j->seccomp }, e);
	for (i = 0; i < j->ngroups && r == 0; i++)
		r = add(n, JOB_GROUP, &(struct record){ .group = j->groups[i] }, e);
	for (i = 0; i < j->nrlimits && r == 0; i++)
		r = add(n, JOB_RLIMIT, &(struct record){ .rlimit = j->rlimits[i] }, e);
	r = r ? r : add_texts(n, JOB_CGROUP, j->cgroup_procs, e);
	r = r ? r : add_texts(n, JOB_ENV, j->env, e);
	return r ? r : add_texts(n, JOB_ARG, j->argv, e);
}

int exec_job_seal(const struct exec_job *j, int *fd_out, struct lxm_err *e)
{
	struct encoder n = { 0 };
	unsigned char head[16] = { 0 };
	struct exec_view v;
	int r;

	lxm_buf_add(&n.b, head, sizeof(head));
	r = encode(&n, j, e);
	if (r == 0 && n.b.len > EXEC_JOB_MAX)
		r = lxm_err_set(e, E2BIG, "command and environment of %zu bytes are too long", n.b.len);
	if (r == 0) {
		wire_header((unsigned char *)n.b.data, &format, n.records, n.b.len - sizeof(head));
		r = exec_job_check(n.b.data, n.b.len, &v, e);
		exec_job_close(&v);
		r = r < 0 ? -EINVAL : 0;
	}
	if (r == 0)
		r = wire_seal(&n.b, "a command", fd_out, e);
	lxm_buf_deinit(&n.b);
	return r;
}

/* Checks what the table cannot say and fills everything but the vectors. */
static int take_main(struct exec_job *j, const struct record *r, struct lxm_err *e)
{
	if (r->main.flags & ~(uint32_t)FLAGS_ALL || r->main.rows > 65535 || r->main.cols > 65535)
		return lxm_err_set(e, EBADMSG, "job with unknown flags");
	if (r->main.uid == UINT32_MAX || r->main.gid == UINT32_MAX)
		return lxm_err_set(e, EBADMSG, "job with no user or group");
	if (*r->main.cwd && *r->main.cwd != '/')
		return lxm_err_set(e, EBADMSG, "working directory '%s' is not absolute", r->main.cwd);
	j->pty = r->main.flags & FLAG_PTY;
	j->pty_stderr = r->main.flags & FLAG_PTY_STDERR;
	j->privileged = r->main.flags & FLAG_PRIVILEGED;
	j->host_net = r->main.flags & FLAG_HOST_NET;
	j->uid = r->main.uid;
	j->gid = r->main.gid;
	j->rows = r->main.rows;
	j->cols = r->main.cols;
	j->keep_caps = r->main.keep_caps;
	j->cwd = r->main.cwd;
	j->apparmor = r->main.apparmor;
	j->notify = r->main.notify;
	j->lasting = r->main.flags & FLAG_LASTING;
	j->grace_s = r->main.grace_s;
	j->tag = r->main.tag;
	return 0;
}

/* What a job's vectors live in; the pointers to its texts follow. */
struct vectors {
	struct exec_rlimit rlimits[EXEC_RLIMITS];
	uint32_t groups[EXEC_GROUPS];
	const char *text[];
};

int exec_job_check(const void *data, size_t len, struct exec_view *out, struct lxm_err *e)
{
	struct exec_view v = { 0 };
	struct vectors *vec;
	const char **text;
	struct wire_doc doc;
	struct record r;
	uint32_t kind, last = JOB_MAIN;
	size_t pos = 0;
	int err = 0;

	memset(out, 0, sizeof(*out));
	if (wire_check(&format, data, len, &doc, e) < 0)
		return -EBADMSG;
	/* each text record takes one pointer; three vectors end in NULL */
	v.vectors = vec = lxm_try_alloc(sizeof(*vec) + ((size_t)doc.records + 4) * sizeof(char *));
	if (!vec)
		return lxm_err_set(e, ENOMEM, "memory for a command");
	text = vec->text;
	v.job.groups = vec->groups;
	v.job.rlimits = vec->rlimits;
	v.job.cgroup_procs = (char *const *)text;
	while (err == 0 && wire_next(&doc, &pos, &kind, &r)) {
		/* the zeroed slot that is skipped ends the vector before */
		for (; last < kind; last++)
			if (last + 1 == JOB_ENV)
				v.job.env = (char *const *)++text;
			else if (last + 1 == JOB_ARG)
				v.job.argv = (char *const *)++text;
		if (kind == JOB_MAIN)
			err = take_main(&v.job, &r, e);
		else if (kind == JOB_SECCOMP)
			v.job.seccomp = r.bytes;
		else if (kind == JOB_GROUP)
			vec->groups[v.job.ngroups++] = r.group;
		else if (kind == JOB_RLIMIT)
			vec->rlimits[v.job.nrlimits++] = r.rlimit;
		else
			*text++ = r.text;
	}
	if (err == 0 && (v.job.seccomp.len % 8 || !v.job.argv[0][0]))
		err = lxm_err_set(e, EBADMSG, "job with a bad filter or an empty command");
	if (err < 0) {
		free(v.vectors);
		return err;
	}
	*out = v;
	return 0;
}

int exec_job_open(int fd, struct exec_view *v, struct lxm_err *e)
{
	struct wire_mapping m;
	int r = wire_map(fd, EXEC_JOB_MAX, "job", &m, e);

	memset(v, 0, sizeof(*v));
	if (r == 0)
		r = exec_job_check(m.data, m.len, v, e);
	return wire_keep(&m, r, &v->mapping);
}

void exec_job_close(struct exec_view *v)
{
	wire_unmap(&v->mapping);
	free(v->vectors);
	memset(v, 0, sizeof(*v));
}

/* ---- reports */

#define REPORT(type, m) { type, offsetof(struct exec_report, m), 0 }

static const struct wire_kind report_kinds[] = {
	[1] = { "report", 1, 1,
		{ REPORT(WIRE_U32, kind), REPORT(WIRE_I32, pid), REPORT(WIRE_I32, status), REPORT(WIRE_I32, code), REPORT(WIRE_U32, have),
		  { WIRE_STR, offsetof(struct exec_report, text), 640 } } },
};

static const struct wire_format report_format = { 0x524d584cu /* "LXMR" */, 2, EXEC_REPORT_MAX, report_kinds, 2 };

int exec_report_send(int sock, const struct exec_report *r, const int *fds, size_t nfds)
{
	char out[EXEC_REPORT_MAX];
	/* never grows: a report ends far below its maximum */
	struct lxm_buf b = { out + 16, 0, sizeof(out) - 16 };
	ssize_t n;

	if (wire_put(&b, &report_format, 1, r, NULL) < 0)
		return -EMSGSIZE;
	wire_header((unsigned char *)out, &report_format, 1, b.len);
	n = lxm_send_fds(sock, out, b.len + 16, fds, nfds, 0);
	return n < 0 ? (int)n : 0;
}

void exec_fds_close(int fds[EXEC_FDS])
{
	int i;

	for (i = 0; i < EXEC_FDS; i++)
		auto_fd_close(&fds[i]);
}

int exec_report_recv(int sock, struct exec_report *r, unsigned char buf[EXEC_REPORT_MAX], int fds[EXEC_FDS], int flags, struct lxm_err *e)
{
	struct wire_doc doc;
	size_t got = EXEC_FDS, pos = 0, i;
	uint32_t kind;
	ssize_t n;

	for (i = 0; i < EXEC_FDS; i++)
		fds[i] = -1;
	n = lxm_recv_fds(sock, buf, EXEC_REPORT_MAX, fds, &got, flags);
	if (n == -ECONNRESET) {
		/* the other side ended with a message of ours unread; its own last one is still there */
		got = EXEC_FDS;
		n = lxm_recv_fds(sock, buf, EXEC_REPORT_MAX, fds, &got, flags);
	}
	if (n == 0 || n == -EAGAIN)
		return (int)n;
	if (n < 0)
		return lxm_err_set(e, (int)-n, "receive about an exec session: %s", strerror((int)-n));
	if (wire_check(&report_format, buf, (size_t)n, &doc, e) < 0) {
		exec_fds_close(fds);
		return lxm_err_wrap(e, -EBADMSG, "message about an exec session");
	}
	(void)wire_next(&doc, &pos, &kind, r);
	return 1;
}
