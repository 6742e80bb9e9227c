/*
 * The kernel tells of devices by uevents (netlink), and of nodes that others make by inotify on their directory. What it says is
 * not looked at closely: anything that may concern a node makes a worker compare what the host has with what each instance was given,
 * a moment later and once for many events. So nothing is lost when an event is.
 */
#include "lxmd/device/plugs.h"

#include <linux/netlink.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/inotify.h>
#include <sys/socket.h>

#include "lib/base/alloc.h"
#include "lib/base/log.h"
#include "lxmd/core/loop.h"
#include "lxmd/core/workers.h"
#include "lxmd/device/nodes.h"

#define SETTLE_MS 60  /* after the first event of many */
#define RETRY_MS  300 /* an instance was busy */

struct plug {
	int64_t instance;
	char *device;
	struct node *has;
	char **uevents; /* of each of `has`, may be NULL */
	size_t n;
	int wd; /* inotify, -1: none */
};

struct plugs {
	struct lxmd *d;
	plugs_fn fn;
	pthread_mutex_t lock;
	struct plug *v;			    /* guarded by lock, and what follows */
	size_t n;
	int uevents, inotify;		    /* -1: not open */
	bool pending;			    /* atomic: a look is due */
	struct loop_watch *on_uevent, *on_inotify; /* loop thread after they are set */
	loop_timer_id timer;		    /* guarded by lock */
	bool stopped;			    /* guarded by lock */
	struct worker_group *looking;
};

/* ---- looking again */

static void look_now(void *arg);

static void look_job(void *arg)
{
	struct plugs *p = arg;
	lxm_auto(free) int64_t *ids = NULL;
	size_t i, n = 0;
	bool busy = false;

	__atomic_store_n(&p->pending, false, __ATOMIC_SEQ_CST);
	pthread_mutex_lock(&p->lock);
	ids = lxm_realloc_n(NULL, p->n + 1, sizeof(*ids));
	for (i = 0; i < p->n; i++)
		if (!n || ids[n - 1] != p->v[i].instance)
			ids[n++] = p->v[i].instance;
	pthread_mutex_unlock(&p->lock);
	for (i = 0; i < n; i++)
		busy |= p->fn(p->d, ids[i]) == -EBUSY;
	pthread_mutex_lock(&p->lock);
	if (busy && !p->stopped && !__atomic_exchange_n(&p->pending, true, __ATOMIC_SEQ_CST))
		p->timer = loop_timer(p->d->loop, RETRY_MS, look_now, p);
	pthread_mutex_unlock(&p->lock);
}

/* Loop thread. */
static void look_now(void *arg)
{
	struct plugs *p = arg;

	worker_group_run(p->looking, look_job, p);
}

static void look_soon(struct plugs *p)
{
	if (__atomic_exchange_n(&p->pending, true, __ATOMIC_SEQ_CST))
		return;
	pthread_mutex_lock(&p->lock);
	p->timer = loop_timer(p->d->loop, SETTLE_MS, look_now, p);
	pthread_mutex_unlock(&p->lock);
}

/* ---- ears: the loop thread */

/* Of the kernel, and about something with a node: links and the like have no numbers. */
static bool concerns_nodes(const char *text, size_t len, const struct sockaddr_nl *from)
{
	return from->nl_pid == 0 && memmem(text, len, "\0MAJOR=", 7) != NULL;
}

static void hear_uevent(int fd, uint32_t revents, void *arg)
{
	char text[8192];
	int round;

	for (round = 0; round < 64; round++) {
		struct sockaddr_nl from = { 0 };
		socklen_t len = sizeof(from);
		ssize_t n = recvfrom(fd, text, sizeof(text), MSG_DONTWAIT, (struct sockaddr *)&from, &len);

		if (n < 0 && errno != ENOBUFS)
			return;
		/* no room: some were lost */
		if (n < 0 || concerns_nodes(text, (size_t)n, &from))
			look_soon(arg);
	}
}

static void hear_inotify(int fd, uint32_t revents, void *arg)
{
	char events[4096];

	while (read(fd, events, sizeof(events)) > 0)
		;
	look_soon(arg);
}

static void listen_uevents(struct plugs *p)
{
	struct sockaddr_nl all = { .nl_family = AF_NETLINK, .nl_groups = 1 };
	struct lxm_err e = { 0 };
	int size = 1 << 20;

	p->uevents = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_KOBJECT_UEVENT);
	if (p->uevents < 0 || bind(p->uevents, (struct sockaddr *)&all, sizeof(all)) < 0) {
		lxm_warn("devices that are plugged in are not seen: %s", strerror(errno));
		auto_fd_close(&p->uevents);
		return;
	}
	(void)setsockopt(p->uevents, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size));
	if (loop_add(p->d->loop, p->uevents, EPOLLIN, hear_uevent, p, &p->on_uevent, &e) < 0) {
		lxm_warn("devices that are plugged in are not seen: %s", e.msg);
		auto_fd_close(&p->uevents);
	}
}

static int watch_dir(struct plugs *p, const char *dir)
{
	struct lxm_err e = { 0 };

	if (p->inotify < 0) {
		p->inotify = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
		if (p->inotify < 0 || loop_add(p->d->loop, p->inotify, EPOLLIN, hear_inotify, p, &p->on_inotify, &e) < 0) {
			auto_fd_close(&p->inotify);
			return -1;
		}
	}
	return inotify_add_watch(p->inotify, dir, IN_CREATE | IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO | IN_ONLYDIR);
}

/* ---- the table */

static struct plug *find(struct plugs *p, int64_t instance, const char *device)
{
	size_t i;

	for (i = 0; i < p->n; i++)
		if (p->v[i].instance == instance && lxm_streq(p->v[i].device, device))
			return &p->v[i];
	return NULL;
}

static void forget_nodes(struct plug *it)
{
	while (it->n)
		free(it->uevents[--it->n]);
	free(it->uevents);
	free(it->has);
	it->uevents = NULL;
	it->has = NULL;
}

void plug_keep(struct lxmd *d, int64_t instance, const char *device, const struct node_set *has, const char *dir, bool tells)
{
	char **uevents = lxm_realloc_n(NULL, has->n + 1, sizeof(*uevents));
	struct plugs *p = d->plugs;
	struct plug *it;
	size_t i;

	for (i = 0; i < has->n; i++)
		uevents[i] = tells ? sysfs_uevent(sysfs_root(), &has->v[i]) : NULL;
	pthread_mutex_lock(&p->lock);
	if (p->uevents < 0)
		listen_uevents(p);
	it = find(p, instance, device);
	if (!it) {
		p->v = lxm_realloc_n(p->v, p->n + 1, sizeof(*p->v));
		it = &p->v[p->n++];
		*it = (struct plug){ .instance = instance, .device = lxm_strdup(device), .wd = dir ? watch_dir(p, dir) : -1 };
	}
	forget_nodes(it);
	it->has = lxm_realloc_n(NULL, has->n + 1, sizeof(*it->has));
	memcpy(it->has, has->v, has->n * sizeof(*it->has));
	it->uevents = uevents;
	it->n = has->n;
	pthread_mutex_unlock(&p->lock);
}

bool plug_get(struct lxmd *d, int64_t instance, const char *device, struct node_set *out)
{
	struct plugs *p = d->plugs;
	struct plug *it;

	out->n = 0;
	pthread_mutex_lock(&p->lock);
	it = find(p, instance, device);
	if (it) {
		memcpy(out->v, it->has, it->n * sizeof(*it->has));
		out->n = it->n;
	}
	pthread_mutex_unlock(&p->lock);
	return it != NULL;
}

char *plug_uevent(struct lxmd *d, int64_t instance, const char *device, const struct node *n)
{
	struct plugs *p = d->plugs;
	struct plug *it;
	char *text = NULL;
	bool found = false;
	size_t i;

	pthread_mutex_lock(&p->lock);
	it = find(p, instance, device);
	for (i = 0; it && !found && i < it->n; i++) {
		found = node_is(&it->has[i], n);
		text = found && it->uevents[i] ? lxm_strdup(it->uevents[i]) : NULL;
	}
	pthread_mutex_unlock(&p->lock);
	return found ? text : sysfs_uevent(sysfs_root(), n);
}

static bool wd_used(const struct plugs *p, int wd)
{
	size_t i;

	for (i = 0; i < p->n; i++)
		if (p->v[i].wd == wd)
			return true;
	return false;
}

void plug_drop(struct lxmd *d, int64_t instance, const char *device)
{
	struct plugs *p = d->plugs;
	struct plug *it;
	int wd;

	pthread_mutex_lock(&p->lock);
	it = find(p, instance, device);
	if (it) {
		wd = it->wd;
		free(it->device);
		forget_nodes(it);
		memmove(it, it + 1, (size_t)(p->v + p->n - it - 1) * sizeof(*it));
		p->n--;
		if (wd >= 0 && !wd_used(p, wd))
			(void)inotify_rm_watch(p->inotify, wd);
	}
	pthread_mutex_unlock(&p->lock);
}

void plugs_start(struct lxmd *d, plugs_fn fn)
{
	struct plugs *p = lxm_alloc(sizeof(*p));

	p->d = d;
	p->fn = fn;
	p->uevents = p->inotify = -1;
	pthread_mutex_init(&p->lock, NULL);
	p->looking = worker_group_new(d->workers);
	d->plugs = p;
}

static void unlisten(void *arg)
{
	struct plugs *p = arg;

	loop_del(p->on_uevent);
	loop_del(p->on_inotify);
	pthread_mutex_lock(&p->lock);
	p->stopped = true;
	(void)loop_timer_cancel(p->d->loop, p->timer);
	pthread_mutex_unlock(&p->lock);
}

void plugs_stop(struct lxmd *d)
{
	struct plugs *p = d->plugs;

	if (!p)
		return;
	if (d->loop)
		loop_call(d->loop, unlisten, p);
	worker_group_free(p->looking);
	auto_fd_close(&p->uevents);
	auto_fd_close(&p->inotify);
	while (p->n) {
		p->n--;
		free(p->v[p->n].device);
		forget_nodes(&p->v[p->n]);
	}
	free(p->v);
	pthread_mutex_destroy(&p->lock);
	free(p);
	d->plugs = NULL;
}
