/*
 * The daemon's directories: found, created, locked, held open. Main thread, before any other.
 *
 * LXMD_DIR set: everything lies inside it, so that several daemons share a host. Otherwise state is in
 * /var/lib/lxmd, run state in /run/lxmd and logs in /var/log/lxmd.
 */
#include "lxmd/core/daemon.h"

#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/base/alloc.h"
#include "lib/base/fd.h"
#include "lib/base/log.h"
#include "lib/base/str.h"

#define DEFAULT_DIR "/var/lib/lxmd"
#define DEFAULT_RUN "/run/lxmd"
#define DEFAULT_LOG "/var/log/lxmd"

const char *daemon_env_dir(void)
{
	const char *dir = getenv("LXMD_DIR");

	return lxm_empty(dir) ? NULL : dir;
}

char *daemon_socket_path(const char *dir)
{
	return lxm_asprintf("%s/unix.socket", dir ? dir : DEFAULT_DIR);
}

char *daemon_sub_path(const char *dir, const char *name)
{
	return lxm_asprintf("%s/%s", dir ? dir : DEFAULT_DIR, name);
}

bool daemon_dir_in_use(const char *dir)
{
	lxm_auto(free) char *path = daemon_sub_path(dir, "lock");
	lxm_auto(fd_close) int fd = open(path, O_RDONLY | O_CLOEXEC);

	return fd >= 0 && flock(fd, LOCK_SH | LOCK_NB) < 0 && errno == EWOULDBLOCK;
}

static int dir_open(struct lxmd_dir *out, const char *path, mode_t mode, struct lxm_err *e)
{
	char real[PATH_MAX];
	int r = lxm_mkdir_p(path, mode);

	if (r < 0) {
		errno = -r;
		return lxm_err_sys(e, "create directory '%s'", path);
	}
	if (!realpath(path, real))
		return lxm_err_sys(e, "resolve '%s'", path);
	out->fd = open(real, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (out->fd < 0)
		return lxm_err_sys(e, "open directory '%s'", real);
	out->path = lxm_strdup(real);
	return 0;
}

/* A directory below top, 0700 unless the mode says otherwise. */
static int sub_open(struct lxmd *d, struct lxmd_dir *out, const char *name, mode_t mode,
		    struct lxm_err *e)
{
	lxm_auto(free) char *path = lxm_asprintf("%s/%s", d->dirs.top.path, name);

	return dir_open(out, path, mode, e);
}

static int lock_dir(struct lxmd *d, struct lxm_err *e)
{
	char pid[32];
	ssize_t n;

	d->lock_fd = openat(d->dirs.top.fd, "lock", O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (d->lock_fd < 0)
		return lxm_err_sys(e, "open '%s/lock'", d->dirs.top.path);
	if (flock(d->lock_fd, LOCK_EX | LOCK_NB) < 0) {
		if (errno != EWOULDBLOCK)
			return lxm_err_sys(e, "lock '%s'", d->dirs.top.path);
		n = pread(d->lock_fd, pid, sizeof(pid) - 1, 0);
		pid[n > 0 ? n : 0] = '\0';
		pid[strcspn(pid, "\n")] = '\0';
		return lxm_err_set(e, EBUSY, "another lxmd (process %s) is using '%s'",
				   pid[0] ? pid : "unknown", d->dirs.top.path);
	}
	n = snprintf(pid, sizeof(pid), "%d\n", (int)getpid());
	if (ftruncate(d->lock_fd, 0) < 0 || pwrite(d->lock_fd, pid, (size_t)n, 0) != n)
		return lxm_err_sys(e, "write '%s/lock'", d->dirs.top.path);
	return 0;
}

/* What an earlier daemon left in cache/ is worth nothing: uploads are unlinked, the rest is scratch. */
static void empty_cache(struct lxmd *d)
{
	int r = lxm_rm_tree_at(d->dirs.top.fd, "cache");

	if (r < 0)
		lxm_warn("empty '%s/cache': %s", d->dirs.top.path, strerror(-r));
}

static int dirs_open(struct lxmd *d, struct lxm_err *e)
{
	int r = dir_open(&d->dirs.top, d->private_dir ? d->config.dir : DEFAULT_DIR, 0711, e);

	if (r == 0)
		r = lock_dir(d, e);
	if (r < 0)
		return r;
	empty_cache(d);
	if (d->private_dir) {
		r = sub_open(d, &d->dirs.run, "run", 0711, e);
		if (r == 0)
			r = sub_open(d, &d->dirs.log, "logs", 0700, e);
	} else {
		r = dir_open(&d->dirs.run, DEFAULT_RUN, 0711, e);
		if (r == 0)
			r = dir_open(&d->dirs.log, DEFAULT_LOG, 0700, e);
	}
	if (r == 0)
		r = sub_open(d, &d->dirs.cache, "cache", 0700, e);
	if (r == 0)
		r = sub_open(d, &d->dirs.database, "database", 0700, e);
	if (r == 0)
		r = sub_open(d, &d->dirs.images, "images", 0700, e);
	if (r == 0)
		r = sub_open(d, &d->dirs.pools, "pools", 0711, e);
	if (r == 0)
		r = sub_open(d, &d->dirs.networks, "networks", 0711, e);
	if (r == 0)
		r = sub_open(d, &d->dirs.backups, "backups", 0700, e);
	return r;
}

/* ---- where our own files are */

static bool is_dir(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

/* BUILD/bin/lxmd in the source tree has templates/ two or three levels up; installed ones are in PREFIX. */
static char *find_data(const char *bin_dir, const char *name)
{
	static const char *const up[] = { "../..", "../../.." };
	size_t i;

	for (i = 0; i < LXM_ARRAY_LEN(up); i++) {
		lxm_auto(free) char *path = lxm_asprintf("%s/%s/%s", bin_dir, up[i], name);
		lxm_auto(free) char *sign = lxm_asprintf("%s/%s/lxmd/main.c", bin_dir, up[i]);

		if (access(sign, F_OK) == 0 && is_dir(path))
			return realpath(path, NULL);
	}
	return lxm_asprintf("%s/share/lxm/%s", LXM_PREFIX, name);
}

static int find_own_files(struct lxmd *d, struct lxm_err *e)
{
	lxm_auto(free) char *libexec = lxm_asprintf("%s/libexec/lxm", LXM_PREFIX);
	lxm_auto(free) char *beside = NULL;
	char self[PATH_MAX];
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);

	if (n < 0)
		return lxm_err_sys(e, "read '/proc/self/exe'");
	self[n] = '\0';
	*strrchr(self, '/') = '\0';
	beside = lxm_asprintf("%s/lxm-monitor", self);
	d->bin_dir = lxm_strdup(access(beside, X_OK) == 0 || !is_dir(libexec) ? self : libexec);
	d->templates_dir = find_data(self, "templates");
	d->profiles_dir = find_data(self, "profiles");
	return 0;
}

int daemon_open(const struct lxmd_config *config, struct lxmd **d_out, struct lxm_err *e)
{
	struct lxmd *d = lxm_alloc(sizeof(*d));
	struct lxmd_dir *dir;
	char host[256] = "";
	int r;

	d->config = *config;
	d->private_dir = config->dir != NULL;
	d->started_at = lxm_now();
	d->lock_fd = d->stop_fd = -1;
	for (dir = (struct lxmd_dir *)&d->dirs; dir < (struct lxmd_dir *)(&d->dirs + 1); dir++)
		dir->fd = -1;
	(void)gethostname(host, sizeof(host) - 1);
	d->server_name = lxm_strdup(host[0] ? host : "localhost");
	d->stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	r = d->stop_fd < 0 ? lxm_err_sys(e, "make an eventfd") : 0;
	if (r == 0)
		r = find_own_files(d, e);
	if (r == 0)
		r = dirs_open(d, e);
	if (r < 0) {
		daemon_close(d);
		return r;
	}
	*d_out = d;
	return 0;
}

void daemon_close(struct lxmd *d)
{
	struct lxmd_dir *dir;

	if (!d)
		return;
	for (dir = (struct lxmd_dir *)&d->dirs; dir < (struct lxmd_dir *)(&d->dirs + 1); dir++) {
		auto_fd_close(&dir->fd);
		free(dir->path);
	}
	auto_fd_close(&d->lock_fd);
	auto_fd_close(&d->stop_fd);
	free(d->bin_dir);
	free(d->templates_dir);
	free(d->profiles_dir);
	free(d->server_name);
	free(d);
}

void daemon_stop(struct lxmd *d)
{
	uint64_t one = 1;

	__atomic_store_n(&d->stopping, true, __ATOMIC_RELEASE);
	(void)!write(d->stop_fd, &one, sizeof(one));
}
