/*
 * The file job and its reports. lxmd encodes in any thread; the helper decodes before it enters the container. Paths are
 * whatever an API client sent: bounds are enforced on both sides, meaning is given to them only inside the instance's root.
 */
#include "lib/wire/file.h"

#include <poll.h>
#include <string.h>
#include <sys/socket.h>

#include "lib/base/fd.h"

enum { JOB_MAIN = 1, JOB_ROOT, JOB_KINDS };

#define OFF(m) offsetof(struct file_job, m)

static const struct wire_kind kinds[JOB_KINDS] = {
	[JOB_MAIN] = { "job", 1, 1,
		       { { WIRE_U32, OFF(verb), 0 }, { WIRE_U32, OFF(flags), 0 }, { WIRE_U32, OFF(type), 0 }, { WIRE_U32, OFF(uid), 0 },
			 { WIRE_U32, OFF(gid), 0 }, { WIRE_U32, OFF(mode), 0 }, { WIRE_STR, OFF(path), 4096 }, { WIRE_STR, OFF(target), 4096 } } },
	[JOB_ROOT] = { "root", 0, 1,
		       { { WIRE_U32, OFF(uid0), 0 }, { WIRE_U32, OFF(gid0), 0 }, { WIRE_STR, OFF(root_dir), 4096 }, { WIRE_STR, OFF(root_lower), 4096 },
			 { WIRE_STR, OFF(uid_map), FILE_MAP_MAX }, { WIRE_STR, OFF(gid_map), FILE_MAP_MAX } } },
};

#define JOB_MAX (32u * 1024)

static const struct wire_format format = { 0x464d584cu /* "LXMF" */, 1, JOB_MAX, kinds, JOB_KINDS };

int file_job_seal(const struct file_job *j, int *fd_out, struct lxm_err *e)
{
	lxm_auto(buf) struct lxm_buf b = { 0 };
	unsigned char head[16] = { 0 };
	struct file_view v;
	uint32_t records = 1;
	int r;

	lxm_buf_add(&b, head, sizeof(head));
	r = wire_put(&b, &format, JOB_MAIN, j, e);
	if (r == 0 && j->root_dir) {
		records++;
		r = wire_put(&b, &format, JOB_ROOT, j, e);
	}
	if (r < 0)
		return r;
	wire_header((unsigned char *)b.data, &format, records, b.len - sizeof(head));
	r = file_job_check(b.data, b.len, &v, e);
	if (r < 0)
		return lxm_err_set(e, EINVAL, "path or owner of a file is out of bounds");
	return wire_seal(&b, "a file job", fd_out, e);
}

/* What the table cannot say. */
static bool sensible(const struct file_job *j)
{
	if (!j->verb || j->verb >= FILE_VERBS || j->flags & ~FILE_JOB_FLAGS)
		return false;
	if (j->verb == FILE_PUT && (!j->type || j->type >= FILE_TYPES || (j->mode != FILE_ID_UNSET && j->mode > 07777)))
		return false;
	if (j->flags & (FILE_RUNNING | FILE_ROOT_GIVEN))
		return !j->root_dir;
	if (!j->root_dir || *j->root_dir != '/' || !!(j->flags & FILE_OVERLAY) != (*j->root_lower == '/'))
		return false;
	return j->flags & FILE_PRIVILEGED || (*j->uid_map && *j->gid_map);
}

int file_job_check(const void *data, size_t len, struct file_view *v, struct lxm_err *e)
{
	memset(v, 0, sizeof(*v));
	if (wire_decode(&format, data, len, &v->job, sizeof(v->job), e) < 0)
		return -EBADMSG;
	if (!sensible(&v->job))
		return lxm_err_set(e, EBADMSG, "file job that makes no sense");
	return 0;
}

int file_job_open(int fd, struct file_view *v, struct lxm_err *e)
{
	struct wire_mapping m;
	int r = wire_map(fd, JOB_MAX, "job", &m, e);

	memset(v, 0, sizeof(*v));
	if (r == 0)
		r = file_job_check(m.data, m.len, v, e);
	return wire_keep(&m, r, &v->mapping);
}

void file_job_close(struct file_view *v)
{
	wire_unmap(&v->mapping);
	memset(v, 0, sizeof(*v));
}

int file_report_send(int sock, const struct file_report *r, const int *fds, size_t nfds)
{
	ssize_t n = lxm_send_fds(sock, r, sizeof(*r), fds, nfds, MSG_NOSIGNAL);

	return n < 0 ? (int)n : 0;
}

int file_report_recv(int sock, struct file_report *r, int fds[2], int timeout_ms, struct lxm_err *e)
{
	struct pollfd p = { .fd = sock, .events = POLLIN };
	size_t nfds = 2;
	ssize_t n;
	int ready;

	fds[0] = fds[1] = -1;
	do
		ready = poll(&p, 1, timeout_ms);
	while (ready < 0 && errno == EINTR);
	if (ready <= 0)
		return lxm_err_set(e, ETIMEDOUT, "the helper does not answer");
	n = lxm_recv_fds(sock, r, sizeof(*r), fds, &nfds, 0);
	if (n == 0)
		return 0;
	r->text[sizeof(r->text) - 1] = 0;
	if (n == (ssize_t)sizeof(*r) && r->kind && r->kind < FILE_REPORTS && r->type < FILE_TYPES && r->code >= 0)
		return 1;
	auto_fd_close(&fds[0]);
	auto_fd_close(&fds[1]);
	return lxm_err_set(e, n < 0 ? (int)-n : EBADMSG, "the helper's answer makes no sense");
}
