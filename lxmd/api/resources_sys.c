/* Small files of /proc and /sys, relative to a root descriptor. Any thread. */
#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <unistd.h>

#include "lib/base/fd.h"
#include "lxmd/api/resources.h"

static bool path_of(char out[PATH_MAX], const char *fmt, va_list ap)
{
	int n = vsnprintf(out, PATH_MAX, fmt, ap);

	return n > 0 && n < PATH_MAX;
}

static bool read_line(int root, const char *path, char *out, size_t n)
{
	lxm_auto(fd_close) int fd = openat(root, path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	ssize_t got = fd < 0 ? -1 : lxm_read_full(fd, out, n - 1);

	out[got > 0 ? got : 0] = '\0';
	if (got < 0)
		return false;
	out[strcspn(out, "\n")] = '\0';
	while (*out && strchr(" \t\r", out[strlen(out) - 1]))
		out[strlen(out) - 1] = '\0';
	return true;
}

bool sys_str(int root, char *out, size_t n, const char *fmt, ...)
{
	char path[PATH_MAX];
	va_list ap;
	bool ok;

	*out = '\0';
	va_start(ap, fmt);
	ok = path_of(path, fmt, ap);
	va_end(ap);
	return ok && read_line(root, path, out, n);
}

int64_t sys_int(int root, int64_t dflt, const char *fmt, ...)
{
	char path[PATH_MAX], text[32], *end;
	va_list ap;
	int64_t v;
	bool ok;

	va_start(ap, fmt);
	ok = path_of(path, fmt, ap);
	va_end(ap);
	if (!ok || !read_line(root, path, text, sizeof(text)) || !*text)
		return dflt;
	/* leading zeros are not octal here ("0010"), hex says 0x */
	v = strtoll(text, &end, lxm_starts(text, "0x") ? 16 : 10);
	return *end ? dflt : v;
}

bool sys_link(int root, char *out, size_t n, const char *fmt, ...)
{
	char path[PATH_MAX], target[PATH_MAX], *slash;
	va_list ap;
	ssize_t len;
	bool ok;

	*out = '\0';
	va_start(ap, fmt);
	ok = path_of(path, fmt, ap);
	va_end(ap);
	len = ok ? readlinkat(root, path, target, sizeof(target) - 1) : -1;
	if (len <= 0)
		return false;
	target[len] = '\0';
	slash = strrchr(target, '/');
	(void)snprintf(out, n, "%s", slash ? slash + 1 : target);
	return *out != '\0';
}

void sys_list(int root, struct lxm_strv *out, const char *fmt, ...)
{
	char path[PATH_MAX];
	struct dirent *d;
	va_list ap;
	DIR *dir;
	int fd;
	bool ok;

	va_start(ap, fmt);
	ok = path_of(path, fmt, ap);
	va_end(ap);
	fd = ok ? openat(root, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
	dir = fd < 0 ? NULL : fdopendir(fd);
	if (!dir) {
		auto_fd_close(&fd);
		return;
	}
	while ((d = readdir(dir)))
		if (d->d_name[0] != '.')
			lxm_strv_add(out, d->d_name);
	closedir(dir);
	lxm_strv_sort(out);
}

bool sys_text(int root, struct lxm_buf *out, const char *path)
{
	return lxm_read_file_at(root, path, 1 << 20, out) == 0 && out->data;
}

char *sys_field(const char *text, const char *key)
{
	size_t n = strlen(key);
	const char *p;

	for (p = text; p; p = strchr(p, '\n') ? strchr(p, '\n') + 1 : NULL) {
		const char *v = p + n;

		if (strncmp(p, key, n) != 0)
			continue;
		v += strspn(v, " \t");
		if (*v != ':')
			continue;
		v++;
		v += strspn(v, " \t");
		return strndup(v, strcspn(v, "\n"));
	}
	return NULL;
}
