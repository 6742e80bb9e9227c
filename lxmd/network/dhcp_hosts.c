/*
 * networks/NAME/hosts/: one small file per NIC, in dnsmasq's dhcp-host syntax.
 *
 * dnsmasq watches the directory by inotify, so a new file costs a start no signal and no re-read of the others;
 * only changed and removed ones need a reload. The entries are also kept in memory, because the checks against
 * twins run at each start. File names are "<instance id>.<device>", the device percent-encoded; the content is
 * "mac[,id:*][,ipv4][,[ipv6]],name" or, for a NIC that gets no name, "mac,...,set:unnamed".
 *
 * Any thread; each directory has its lock.
 */
#include "lxmd/network/dhcp.h"

#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
#include <string.h>
#include <sys/stat.h>

#include "lib/base/alloc.h"
#include "lib/base/fd.h"
#include "lib/base/log.h"

struct entry {
	int64_t instance;
	char *device, *mac, *name, *ipv4, *ipv6; /* owned; the last three may be NULL */
	bool by_mac;
};

struct dhcp_hosts {
	pthread_mutex_t lock;
	int fd;		 /* hosts/ */
	struct entry *v; /* guarded by lock */
	size_t n, cap;	 /* guarded by lock */
};

static void entry_deinit(struct entry *x)
{
	free(x->device);
	free(x->mac);
	free(x->name);
	free(x->ipv4);
	free(x->ipv6);
	memset(x, 0, sizeof(*x));
}

static char *file_name(int64_t instance, const char *device)
{
	lxm_auto(free) char *safe = lxm_url_encode(device, "");

	return lxm_asprintf("%lld.%s", (long long)instance, safe);
}

static void entry_text(const struct entry *x, struct lxm_buf *t)
{
	lxm_buf_str(t, x->mac);
	if (x->by_mac)
		lxm_buf_str(t, ",id:*");
	if (x->ipv4)
		lxm_buf_fmt(t, ",%s", x->ipv4);
	if (x->ipv6)
		lxm_buf_fmt(t, ",[%s]", x->ipv6);
	lxm_buf_fmt(t, ",%s\n", x->name ? x->name : "set:unnamed");
}

/* The reverse of file_name() and entry_text(); false for anything else. */
static bool entry_parse(const char *file, const char *text, struct entry *x)
{
	lxm_auto(strv) struct lxm_strv part = { 0 };
	lxm_auto(free) char *id = lxm_strndup(file, strcspn(file, "."));
	const char *device = file + strlen(id);
	size_t i;

	memset(x, 0, sizeof(*x));
	if (*device != '.' || lxm_parse_i64(id, &x->instance) < 0)
		return false;
	device++;
	lxm_strv_split(&part, text, ',');
	if (part.n < 2)
		return false;
	x->device = lxm_url_decode(device, strlen(device), false);
	if (!x->device)
		return false;
	x->mac = lxm_strdup(part.v[0]);
	for (i = 1; i < part.n; i++) {
		char *p = part.v[i];

		if (i == part.n - 1)
			x->name = lxm_streq(p, "set:unnamed") ? NULL : lxm_strdup(p);
		else if (lxm_streq(p, "id:*"))
			x->by_mac = true;
		else if (*p == '[')
			x->ipv6 = lxm_strndup(p + 1, strcspn(p + 1, "]"));
		else
			x->ipv4 = lxm_strdup(p);
	}
	return true;
}

static struct entry *hosts_room(struct dhcp_hosts *h)
{
	if (h->n == h->cap) {
		h->cap = h->cap ? h->cap * 2 : 16;
		h->v = lxm_realloc_n(h->v, h->cap, sizeof(*h->v));
	}
	return &h->v[h->n];
}

static void hosts_load(struct dhcp_hosts *h, DIR *dir)
{
	const struct dirent *de;

	while ((de = readdir(dir))) {
		lxm_auto(buf) struct lxm_buf text = { 0 };

		if (de->d_name[0] == '.') {
			/* a write that a crash interrupted */
			if (strcmp(de->d_name, ".") && strcmp(de->d_name, ".."))
				(void)unlinkat(h->fd, de->d_name, 0);
			continue;
		}
		if (lxm_read_file_at(h->fd, de->d_name, 4096, &text) < 0)
			continue;
		if (text.len && text.data[text.len - 1] == '\n')
			text.data[--text.len] = '\0';
		if (text.len && entry_parse(de->d_name, text.data, hosts_room(h))) {
			h->n++;
			continue;
		}
		lxm_info("repair: remove malformed host entry '%s'", de->d_name);
		(void)unlinkat(h->fd, de->d_name, 0);
	}
}

int dhcp_hosts_open(int dirfd, struct dhcp_hosts **out, struct lxm_err *e)
{
	struct dhcp_hosts *h;
	DIR *dir;
	int fd, r;

	r = lxm_mkdir_at(dirfd, "hosts", 0755);
	if (r < 0)
		return lxm_err_set(e, -r, "create directory 'hosts': %s", strerror(-r));
	fd = openat(dirfd, "hosts", O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	dir = fd < 0 ? NULL : fdopendir(fd);
	if (!dir) {
		r = lxm_err_sys(e, "open directory 'hosts'");
		if (fd >= 0)
			(void)close(fd);
		return r;
	}
	(void)fchmod(fd, 0755);
	h = lxm_alloc(sizeof(*h));
	pthread_mutex_init(&h->lock, NULL);
	h->fd = fcntl(fd, F_DUPFD_CLOEXEC, 3);
	hosts_load(h, dir);
	(void)closedir(dir);
	*out = h;
	return 0;
}

void dhcp_hosts_free(struct dhcp_hosts *h)
{
	size_t i;

	if (!h)
		return;
	for (i = 0; i < h->n; i++)
		entry_deinit(&h->v[i]);
	free(h->v);
	(void)close(h->fd);
	pthread_mutex_destroy(&h->lock);
	free(h);
}

static bool entry_is(const struct entry *x, int64_t instance, const char *device)
{
	return x->instance == instance && lxm_streq(x->device, device);
}

/* Refuse twins of MAC and address; leave a taken name out (lock held). */
static int twins_check(const struct dhcp_hosts *h, struct dhcp_host *host, struct lxm_err *e)
{
	size_t i;

	for (i = 0; i < h->n; i++) {
		const struct entry *x = &h->v[i];

		if (entry_is(x, host->instance, host->device))
			continue;
		if (lxm_streq(x->mac, host->mac))
			return lxm_err_set(e, EADDRINUSE, "MAC address '%s' is in use by another NIC of this network",
					   host->mac);
		if (host->ipv4 && lxm_streq(x->ipv4, host->ipv4))
			return lxm_err_set(e, EADDRINUSE, "address '%s' is in use by another NIC of this network",
					   host->ipv4);
		if (host->ipv6 && lxm_streq(x->ipv6, host->ipv6))
			return lxm_err_set(e, EADDRINUSE, "address '%s' is in use by another NIC of this network",
					   host->ipv6);
		if (host->name && x->name && strcasecmp(x->name, host->name) == 0)
			host->name = NULL;
	}
	return 0;
}

static int entry_write(struct dhcp_hosts *h, const struct entry *x, struct lxm_err *e)
{
	lxm_auto(buf) struct lxm_buf t = { 0 };
	lxm_auto(free) char *file = file_name(x->instance, x->device);
	lxm_auto(free) char *tmp = lxm_asprintf(".%s", file);
	lxm_auto(fd_close) int fd = openat(h->fd, tmp, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0644);
	int r;

	if (fd < 0)
		return lxm_err_sys(e, "create host entry '%s'", file);
	entry_text(x, &t);
	/* no fsync: after a crash of the host no lease holds any more, and starts write the entry again */
	r = lxm_write_all(fd, t.data, t.len);
	if (r == 0 && fchmod(fd, 0644) < 0)
		r = -errno;
	if (r == 0 && renameat(h->fd, tmp, h->fd, file) < 0)
		r = -errno;
	if (r < 0) {
		(void)unlinkat(h->fd, tmp, 0);
		return lxm_err_set(e, -r, "write host entry '%s': %s", file, strerror(-r));
	}
	return 0;
}

static int hosts_set_locked(struct dhcp_hosts *h, struct dhcp_host *host, struct lxm_err *e)
{
	struct entry fresh = { .instance = host->instance }, *old = NULL;
	size_t i;
	int r;

	r = twins_check(h, host, e);
	if (r < 0)
		return r;
	for (i = 0; i < h->n && !old; i++)
		if (entry_is(&h->v[i], host->instance, host->device))
			old = &h->v[i];
	if (old && lxm_streq(old->mac, host->mac) && lxm_streq(old->name, host->name) &&
	    lxm_streq(old->ipv4, host->ipv4) && lxm_streq(old->ipv6, host->ipv6) && old->by_mac == host->by_mac)
		return DHCP_SAME;
	fresh.device = lxm_strdup(host->device);
	fresh.mac = lxm_strdup(host->mac);
	fresh.name = lxm_strdup(host->name);
	fresh.ipv4 = lxm_strdup(host->ipv4);
	fresh.ipv6 = lxm_strdup(host->ipv6);
	fresh.by_mac = host->by_mac;
	r = entry_write(h, &fresh, e);
	if (r < 0) {
		entry_deinit(&fresh);
		return r;
	}
	if (old) {
		entry_deinit(old);
		*old = fresh;
		return DHCP_CHANGED;
	}
	*hosts_room(h) = fresh;
	h->n++;
	return 0;
}

int dhcp_hosts_set(struct dhcp_hosts *h, const struct dhcp_host *host, struct lxm_err *e)
{
	struct dhcp_host mine = *host;
	int r;

	pthread_mutex_lock(&h->lock);
	r = hosts_set_locked(h, &mine, e);
	pthread_mutex_unlock(&h->lock);
	return r;
}

/* Remove the i-th entry and its file (lock held). */
static void hosts_drop(struct dhcp_hosts *h, size_t i)
{
	lxm_auto(free) char *file = file_name(h->v[i].instance, h->v[i].device);

	(void)unlinkat(h->fd, file, 0);
	entry_deinit(&h->v[i]);
	h->v[i] = h->v[--h->n];
}

bool dhcp_hosts_del(struct dhcp_hosts *h, int64_t instance, const char *device)
{
	bool found = false;
	size_t i;

	pthread_mutex_lock(&h->lock);
	for (i = 0; i < h->n && !found; i++)
		if (entry_is(&h->v[i], instance, device)) {
			hosts_drop(h, i);
			found = true;
		}
	pthread_mutex_unlock(&h->lock);
	return found;
}

size_t dhcp_hosts_prune(struct dhcp_hosts *h, bool (*gone)(int64_t instance, void *arg), void *arg)
{
	size_t i = 0, n = 0;

	pthread_mutex_lock(&h->lock);
	while (i < h->n) {
		if (!gone(h->v[i].instance, arg)) {
			i++;
			continue;
		}
		hosts_drop(h, i);
		n++;
	}
	pthread_mutex_unlock(&h->lock);
	return n;
}

void dhcp_hosts_each(struct dhcp_hosts *h, void (*fn)(const struct dhcp_host *host, void *arg), void *arg)
{
	size_t i;

	pthread_mutex_lock(&h->lock);
	for (i = 0; i < h->n; i++) {
		const struct entry *x = &h->v[i];
		const struct dhcp_host host = { x->instance, x->device, x->mac, x->name, x->ipv4, x->ipv6, x->by_mac };

		fn(&host, arg);
	}
	pthread_mutex_unlock(&h->lock);
}
