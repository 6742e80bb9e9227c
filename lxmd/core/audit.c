/*
 * The audit log: LXMD_DIR/logs/audit.log or /var/log/lxmd/audit.log, a JSON object in each line, written with one write() to a
 * file opened with O_APPEND. Any thread.
 *
 * It is turned over at AUDIT_MAX bytes (audit.log.1 is the last one, of AUDIT_KEEP), and it may be moved away by logrotate at
 * any time: before each line the name is compared with the open file.
 */
#include "lxmd/core/audit.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/api/json.h"
#include "lib/base/alloc.h"
#include "lib/base/fd.h"
#include "lib/base/log.h"
#include "lib/base/time.h"
#include "lxmd/core/daemon.h"

#define AUDIT_NAME "audit.log"
#define AUDIT_MAX  (16ll * 1024 * 1024)
#define AUDIT_KEEP 8
#define PATH_SHOWN 1024 /* of a path that a client chose */

struct audit {
	pthread_mutex_t lock;
	/* guarded by lock: */
	int fd;
	bool complained;
};

/* With the lock held; -1 when there is no file to write to. */
static int file(struct lxmd *d, struct audit *a)
{
	struct stat there, open_one;

	if (a->fd >= 0 && (fstatat(d->dirs.log.fd, AUDIT_NAME, &there, AT_SYMLINK_NOFOLLOW) < 0 || fstat(a->fd, &open_one) < 0 ||
			   there.st_ino != open_one.st_ino || there.st_dev != open_one.st_dev))
		auto_fd_close(&a->fd);
	if (a->fd < 0)
		a->fd = openat(d->dirs.log.fd, AUDIT_NAME, O_WRONLY | O_CREAT | O_APPEND | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (a->fd < 0 && !a->complained)
		lxm_error("open '%s/" AUDIT_NAME "': %s", d->dirs.log.path, strerror(errno));
	a->complained = a->fd < 0;
	return a->fd;
}

/* audit.log becomes audit.log.1, that audit.log.2 and so on; the oldest is overwritten. */
static void turn_over(struct lxmd *d, struct audit *a)
{
	char from[32], to[32];
	int i;

	for (i = AUDIT_KEEP - 1; i >= 0; i--) {
		(void)snprintf(to, sizeof(to), AUDIT_NAME ".%d", i + 1);
		(void)snprintf(from, sizeof(from), i ? AUDIT_NAME ".%d" : AUDIT_NAME, i);
		(void)renameat(d->dirs.log.fd, from, d->dirs.log.fd, to);
	}
	auto_fd_close(&a->fd);
}

/* Takes the object. */
static void line(struct lxmd *d, json_t *o)
{
	struct audit *a = d->audit;
	char *text = json_dumps(o, JSON_COMPACT);
	struct stat st;
	size_t len;

	json_decref(o);
	if (!text)
		return;
	len = strlen(text);
	text[len] = '\n'; /* in place of the NUL */
	pthread_mutex_lock(&a->lock);
	if (file(d, a) >= 0 && fstat(a->fd, &st) == 0 && st.st_size + (long long)len >= AUDIT_MAX) {
		turn_over(d, a);
		(void)file(d, a);
	}
	if (a->fd >= 0 && write(a->fd, text, len + 1) != (ssize_t)(len + 1))
		lxm_error("write '%s/" AUDIT_NAME "': %s", d->dirs.log.path, strerror(errno));
	pthread_mutex_unlock(&a->lock);
	free(text);
}

static json_t *begin(const struct caller *who, const char *project)
{
	char now[32];
	json_t *o = json_object();

	json_object_set_new(o, "time", json_string(lxm_time_str(lxm_now(), now)));
	json_object_set_new(o, "protocol", js_string(who->protocol));
	json_object_set_new(o, "address", js_string(who->address));
	if (who->pid || who->uid != (uid_t)-1) {
		json_object_set_new(o, "user", js_string(who->username));
		json_object_set_new(o, "uid", json_integer(who->uid));
		json_object_set_new(o, "pid", json_integer(who->pid));
	} else {
		json_object_set_new(o, "fingerprint", js_string(who->fingerprint));
		json_object_set_new(o, "name", js_string(who->name));
	}
	if (project)
		json_object_set_new(o, "project", js_string(project));
	return o;
}

void audit_request(struct lxmd *d, const struct caller *who, const char *method, const char *path, const char *project,
		   unsigned int status, const char *operation)
{
	lxm_auto(free) char *shown = NULL;
	json_t *o;

	if (!d->audit)
		return;
	shown = lxm_strndup(path, strnlen(path, PATH_SHOWN));
	o = begin(who, project);
	json_object_set_new(o, "method", js_string(method));
	json_object_set_new(o, "path", js_string(shown));
	json_object_set_new(o, "status", json_integer(status));
	if (operation)
		json_object_set_new(o, "operation", js_string(operation));
	line(d, o);
}

void audit_operation(struct lxmd *d, const struct caller *who, const char *operation, const char *what, const char *project,
		     const char *result)
{
	json_t *o;

	if (!d->audit)
		return;
	o = begin(who, project);
	json_object_set_new(o, "operation", js_string(operation));
	json_object_set_new(o, "description", js_string(what));
	json_object_set_new(o, "result", js_string(result));
	line(d, o);
}

void audit_start(struct lxmd *d)
{
	struct audit *a = lxm_alloc(sizeof(*a));

	pthread_mutex_init(&a->lock, NULL);
	a->fd = -1;
	d->audit = a;
}

void audit_stop(struct lxmd *d)
{
	struct audit *a = LXM_TAKE(d->audit, NULL);

	if (!a)
		return;
	auto_fd_close(&a->fd);
	pthread_mutex_destroy(&a->lock);
	free(a);
}
