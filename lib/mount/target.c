/* See target.h. Single-threaded binaries, in the instance's root or in front of it. */
#include "lib/mount/target.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/base/fd.h"

/* mkdir or create each missing component below the root, never through a link. */
static int make_path(int root, const char *path, bool file)
{
	lxm_auto(fd_close) int dir = openat(root, ".", O_PATH | O_DIRECTORY | O_CLOEXEC);
	char part[256];

	while (dir >= 0) {
		const char *end = strchrnul(++path, '/');
		int next, fd;

		if (end - path >= (int)sizeof(part)) {
			errno = ENAMETOOLONG;
			return -1;
		}
		snprintf(part, sizeof(part), "%.*s", (int)(end - path), path);
		if (*end || !file) {
			(void)mkdirat(dir, part, 0755);
		} else {
			fd = openat(dir, part, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0644);
			auto_fd_close(&fd);
		}
		next = lxm_open_beneath(dir, *part ? part : ".", O_PATH | O_NOFOLLOW, 0);
		if (next < 0 || !*end)
			return next;
		(void)close(dir);
		dir = next;
		path = end;
	}
	return -1;
}

int target_open(int root, const char *path, bool links, enum target_make make)
{
	int fd = links ? lxm_open_in_root(root, path, O_PATH, 0) : lxm_open_beneath(root, path + 1, O_PATH, 0);

	if (fd < 0 && errno == ENOENT && make != TARGET_FOUND)
		fd = make_path(root, path, make == TARGET_FILE);
	return fd;
}
