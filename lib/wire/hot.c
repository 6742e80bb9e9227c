/*
 * The hot job. lxmd encodes in any thread; the helper decodes before it enters the instance.
 */
#include "lib/wire/hot.h"

#include <string.h>

enum { JOB_MAIN = 1, JOB_NODE, JOB_KINDS };

#define OFF(m) offsetof(struct hot_job, m)

static const struct wire_kind kinds[JOB_KINDS] = {
	[JOB_MAIN] = { "job", 1, 1,
		       { { WIRE_U32, OFF(verb), 0 }, { WIRE_U32, OFF(flags), 0 }, { WIRE_U32, OFF(pid), 0 }, { WIRE_U32, OFF(attrs), 0 },
			 { WIRE_U32, OFF(propagation), 0 }, { WIRE_STR, OFF(source), 4096 }, { WIRE_STR, OFF(target), 4096 },
			 { WIRE_STR, OFF(fstype), 16 }, { WIRE_STR, OFF(options), 2048 } } },
	[JOB_NODE] = { "node", 1, 1,
		       { { WIRE_U32, OFF(type), 0 }, { WIRE_U32, OFF(major), 0 }, { WIRE_U32, OFF(minor), 0 }, { WIRE_U32, OFF(mode), 0 },
			 { WIRE_U32, OFF(uid), 0 }, { WIRE_U32, OFF(gid), 0 }, { WIRE_STR, OFF(uevent), HOT_UEVENT_MAX } } },
};

static const struct wire_format format = { 0x484d584cu /* "LXMH" */, 3, HOT_JOB_MAX, kinds, JOB_KINDS };

int hot_job_seal(const struct hot_job *j, int *fd_out, struct lxm_err *e)
{
	lxm_auto(buf) struct lxm_buf b = { 0 };
	unsigned char head[16] = { 0 };
	struct hot_job again;
	int r;

	lxm_buf_add(&b, head, sizeof(head));
	r = wire_put(&b, &format, JOB_MAIN, j, e);
	if (r == 0)
		r = wire_put(&b, &format, JOB_NODE, j, e);
	if (r < 0)
		return r;
	wire_header((unsigned char *)b.data, &format, 2, b.len - sizeof(head));
	if (hot_job_check(b.data, b.len, &again, e) < 0)
		return lxm_err_set(e, EINVAL, "path of a device is out of bounds");
	return wire_seal(&b, "a job", fd_out, e);
}

/* What the table cannot say. */
static bool sensible(const struct hot_job *j)
{
	if (!j->verb || j->verb >= HOT_VERBS || j->flags & ~HOT_FLAGS || !j->pid || j->pid > INT32_MAX)
		return false;
	if (*j->fstype && strspn(j->fstype, "abcdefghijklmnopqrstuvwxyz0123456789") != strlen(j->fstype))
		return false;
	if (*j->uevent && ((j->verb != HOT_NODE && j->verb != HOT_UNNODE) || j->flags & HOT_PRIVILEGED || strncmp(j->uevent, "DEVPATH=/", 9) != 0))
		return false;
	if (j->verb == HOT_MOUNT || j->verb == HOT_UMOUNT)
		return (strcmp(j->fstype, "tmpfs") == 0 ? !*j->source : *j->source == '/') && *j->target == '/';
	return *j->target && *j->target != '/' && (j->type == 'c' || j->type == 'b') && j->mode <= 07777;
}

int hot_job_check(const void *data, size_t len, struct hot_job *out, struct lxm_err *e)
{
	if (wire_decode(&format, data, len, out, sizeof(*out), e) < 0)
		return -EBADMSG;
	return sensible(out) ? 0 : lxm_err_set(e, EBADMSG, "job that makes no sense");
}

int hot_job_read(int fd, unsigned char buf[HOT_JOB_MAX], struct hot_job *out, struct lxm_err *e)
{
	ssize_t n = wire_read(fd, buf, HOT_JOB_MAX, "job", e);

	return n < 0 ? (int)n : hot_job_check(buf, (size_t)n, out, e);
}
