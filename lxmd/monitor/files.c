/*
 * What is written inside after the pivot: rendered templates and sysctls. The child is in the container's own user and
 * mount namespace by now, so even a hostile image can only lead it to the container's own files; links are resolved in the root and
 * anything but a regular file is refused, because opening a FIFO or a device could wait for ever.
 */
#include "lxmd/monitor/mon.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "lib/base/fd.h"

/* Makes the directories above the last component; links among them are followed inside the root. */
static void make_parents(int root, const char *path)
{
	char part[WIRE_STR_MAX], *slash;

	snprintf(part, sizeof(part), "%s", path);
	for (slash = strchr(part + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
		lxm_auto(fd_close) int dir = -1;
		char *name;

		*slash = 0;
		dir = lxm_open_in_root(root, part, O_PATH | O_DIRECTORY, 0);
		if (dir < 0 && errno == ENOENT) {
			name = strrchr(part, '/');
			*name = 0;
			dir = lxm_open_in_root(root, *part ? part : "/", O_PATH | O_DIRECTORY, 0);
			*name = '/';
			if (dir >= 0)
				(void)mkdirat(dir, name + 1, 0755);
		}
		*slash = '/';
	}
}

/* True when the file has these bytes already: truncating and writing a file anew costs milliseconds on some disks. */
static bool same_content(int root, const struct plan_file *f)
{
	lxm_auto(fd_close) int fd = lxm_open_in_root(root, f->path, O_RDONLY | O_NONBLOCK | O_NOCTTY, 0);
	const char *p = f->data.data;
	size_t left = f->data.len;
	struct stat st;
	char buf[4096];

	if (fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || (uint64_t)st.st_size != f->data.len)
		return false;
	if (st.st_uid != f->uid || st.st_gid != f->gid || (st.st_mode & 07777) != f->mode)
		return false;
	while (left) {
		ssize_t n = read(fd, buf, left < sizeof(buf) ? left : sizeof(buf));

		if (n <= 0 || memcmp(buf, p, (size_t)n) != 0)
			return false;
		p += n;
		left -= (size_t)n;
	}
	return true;
}

static int file_write(int root, const struct plan_file *f, struct lxm_err *e)
{
	const int flags = O_WRONLY | O_CREAT | O_NONBLOCK | O_NOCTTY;
	lxm_auto(fd_close) int fd = -1;
	struct stat st;
	int r;

	if (f->flags & PLAN_FILE_CREATE_ONLY) {
		fd = lxm_open_in_root(root, f->path, O_PATH | O_NOFOLLOW, 0);
		if (fd >= 0)
			return 0;
	}
	if (same_content(root, f))
		return 0;
	make_parents(root, f->path);
	fd = lxm_open_in_root(root, f->path, flags, 0600);
	if (fd < 0 || fstat(fd, &st) < 0)
		return lxm_err_sys(e, "write '%s'", f->path);
	if (!S_ISREG(st.st_mode))
		return lxm_err_set(e, EINVAL, "write '%s': not a regular file", f->path);
	r = lxm_write_all(fd, f->data.data, f->data.len);
	if (r == 0 && (uint64_t)st.st_size > f->data.len && ftruncate(fd, (off_t)f->data.len) < 0)
		r = -errno;
	if (r < 0) {
		errno = -r;
		return lxm_err_sys(e, "write '%s'", f->path);
	}
	/* owner first: chown clears set-id bits */
	if (fchown(fd, f->uid, f->gid) < 0 || fchmod(fd, f->mode) < 0)
		return lxm_err_sys(e, "set owner and mode of '%s'", f->path);
	return 0;
}

int file_step(struct start *s, const struct plan_step *p, struct lxm_err *e)
{
	int r = file_write(s->root, &p->u.file, e);

	return p->u.file.flags & PLAN_FILE_OPTIONAL ? 0 : r;
}

int sysctl_step(struct start *s, const struct plan_step *p, struct lxm_err *e)
{
	const struct plan_sysctl *c = &p->u.sysctl;
	lxm_auto(fd_close) int fd = -1;
	char path[300], *q;

	snprintf(path, sizeof(path), "sys/%s", c->key);
	/* "net.ipv4.conf.eth0.rp_filter", or with slashes where a name holds a dot */
	if (!strchr(c->key, '/'))
		for (q = path; *q; q++)
			if (*q == '.')
				*q = '/';
	fd = lxm_open_beneath(s->proc, path, O_WRONLY, 0);
	if (fd < 0 || write(fd, c->value, strlen(c->value)) < 0)
		return lxm_err_sys(e, "set sysctl '%s' to '%s'", c->key, c->value);
	return 0;
}
