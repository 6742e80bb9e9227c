/*
 * Paths inside an instance, see tree.h. The process has the instance's root as its own as well (setns or chroot), so a
 * mistake here would still end inside; the rules keep links, races and special files from misleading a client.
 */
#include "lxmd/helper/tree.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "lib/base/alloc.h"
#include "lib/base/fd.h"

#define LINKS_MAX 16 /* links that lead nowhere, followed by hand */

int tree_find(const struct tree *t, const char *path)
{
	int fd = lxm_open_in_root(t->root, *path ? path : "/", O_PATH, 0);

	return fd < 0 ? -errno : fd;
}

int tree_parent(const struct tree *t, const char *path, char name[NAME_MAX + 1])
{
	size_t end = strlen(path), start, n;
	lxm_auto(free) char *dir = NULL;
	int fd;

	while (end && path[end - 1] == '/')
		end--;
	start = end;
	while (start && path[start - 1] != '/')
		start--;
	n = end - start;
	if (n > NAME_MAX)
		return -ENAMETOOLONG;
	memcpy(name, path + start, n);
	name[n] = 0;
	if (n == 0 || strcmp(name, ".") == 0 || strcmp(name, "..") == 0) {
		strcpy(name, ".");
		start = end;
	}
	dir = start ? lxm_strndup(path, start) : lxm_strdup("/");
	fd = lxm_open_in_root(t->root, dir, O_PATH | O_DIRECTORY, 0);
	return fd < 0 ? -errno : fd;
}

int tree_find_nofollow(const struct tree *t, const char *path)
{
	char name[NAME_MAX + 1];
	lxm_auto(fd_close) int dir = tree_parent(t, path, name);
	int fd;

	if (dir < 0)
		return LXM_TAKE(dir, -1);
	fd = openat(dir, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

int tree_open(const struct tree *t, int fd, int flags)
{
	char number[16];
	struct stat st;
	int got;

	if (fstat(fd, &st) < 0)
		return -errno;
	if (S_ISDIR(st.st_mode) && !(flags & O_DIRECTORY))
		return -EISDIR;
	if (!S_ISDIR(st.st_mode) && flags & O_DIRECTORY)
		return -ENOTDIR;
	if (!S_ISDIR(st.st_mode) && !S_ISREG(st.st_mode))
		return -ENXIO;
	snprintf(number, sizeof(number), "%d", fd);
	/* O_NONBLOCK: a lease that somebody holds on the file must not hold us */
	got = openat(t->fds, number, flags | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	return got < 0 ? -errno : got;
}

/* What a dangling link at dir/name, found under `path`, points to, as a path from the root. NULL with errno. */
static char *follow(int dir, const char *name, const char *path)
{
	char to[PATH_MAX];
	ssize_t n = readlinkat(dir, name, to, sizeof(to) - 1);
	size_t keep = strlen(path);

	if (n < 0)
		return NULL;
	to[n] = 0;
	if (*to == '/')
		return lxm_strdup(to);
	while (keep && path[keep - 1] == '/')
		keep--;
	while (keep && path[keep - 1] != '/')
		keep--;
	if (keep + (size_t)n >= PATH_MAX) {
		errno = ENAMETOOLONG;
		return NULL;
	}
	return lxm_asprintf("%.*s%s", (int)keep, path, to);
}

/* One attempt; -EEXIST with *next set: a link that leads nowhere (yet). */
static int create_once(const struct tree *t, const char *path, int flags, mode_t mode, bool *created, char **next)
{
	char name[NAME_MAX + 1];
	lxm_auto(fd_close) int found = -1, dir = -1;
	int fd;

	if (!(flags & O_EXCL)) {
		found = tree_find(t, path);
		if (found >= 0)
			return tree_open(t, found, flags);
		if (found != -ENOENT)
			return LXM_TAKE(found, -1);
	}
	dir = tree_parent(t, path, name);
	if (dir < 0)
		return LXM_TAKE(dir, -1);
	if (path[strlen(path) - 1] == '/')
		return -EISDIR;
	fd = openat(dir, name, (flags & ~O_TRUNC) | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, mode);
	if (fd >= 0) {
		*created = true;
		return fd;
	}
	if (errno == EEXIST && !(flags & O_EXCL)) {
		*next = follow(dir, name, path);
		return errno == EINVAL && !*next ? -EAGAIN : -EEXIST; /* EINVAL: no link any more, look again */
	}
	return -errno;
}

int tree_create(const struct tree *t, const char *path, int flags, mode_t mode, bool *created)
{
	lxm_auto(free) char *at = lxm_strdup(path);
	int i, r = -ELOOP;

	*created = false;
	if (!*at)
		return -EISDIR;
	for (i = 0; i < LINKS_MAX; i++) {
		char *next = NULL;

		r = create_once(t, at, flags, mode, created, &next);
		if (!next && r != -EAGAIN)
			return r;
		if (next) {
			free(at);
			at = next;
		}
		r = -ELOOP;
	}
	return r;
}

int tree_chmod(const struct tree *t, int fd, mode_t mode)
{
	char number[16];

	snprintf(number, sizeof(number), "%d", fd);
	return fchmodat(t->fds, number, mode, 0) < 0 ? -errno : 0;
}

int tree_utimes(const struct tree *t, int fd, const struct timespec times[2])
{
	char number[16];

	snprintf(number, sizeof(number), "%d", fd);
	return utimensat(t->fds, number, times, 0) < 0 ? -errno : 0;
}

int tree_error(struct lxm_err *e, int code, const char *what, const char *path)
{
	char text[200];
	size_t i;

	snprintf(text, sizeof(text), "%s", path);
	for (i = 0; text[i]; i++)
		if ((unsigned char)text[i] < 0x20 || (unsigned char)text[i] >= 0x7f)
			text[i] = '?';
	if (strlen(path) >= sizeof(text))
		strcpy(text + sizeof(text) - 4, "...");
	if (code == ENOENT) /* scripts look for "not found" */
		return lxm_err_set(e, code, "%s '%s': not found (%s)", what, text, strerror(code));
	if (code == ENXIO)
		return lxm_err_set(e, code, "%s '%s': it is neither file, directory nor link", what, text);
	return lxm_err_set(e, code, "%s '%s': %s", what, text, strerror(code));
}
