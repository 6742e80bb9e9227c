/*
 * Numbers of cgroup files, see meters.h. To find a file in a cgroup costs ten times as much as to read it, and whoever watches
 * instances asks for thousands; each descriptor that is kept costs the kernel 5 KB, so they are closed when the daemon rests,
 * and not kept at all when descriptors get scarce. Any thread.
 */
#include "lxmd/instance/meters.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "lib/base/auto.h"
#include "lib/base/str.h"
#include "lxmd/core/daemon.h"
#include "lxmd/instance/run.h"
#include "lxmd/instance/usage_read.h"

static const struct {
	const char *controller, *v1, *v2; /* files; NULL: none there */
} files[METERS] = {
	[METER_CPU] = { "cpuacct", "cpuacct.usage", NULL },
	[METER_PROCESSES] = { "pids", "pids.current", "pids.current" },
	[METER_MEMORY] = { "memory", "memory.usage_in_bytes", "memory.current" },
	[METER_PEAK] = { "memory", "memory.max_usage_in_bytes", "memory.peak" },
	[METER_SWAP] = { "memory", "memory.memsw.usage_in_bytes", "memory.swap.current" },
};

void meters_init(struct meters *m)
{
	size_t i;

	pthread_mutex_init(&m->lock, NULL);
	for (i = 0; i < METERS; i++)
		m->fd[i] = -1;
}

void meters_deinit(struct meters *m)
{
	size_t i;

	for (i = 0; i < METERS; i++)
		auto_fd_close(&m->fd[i]);
	pthread_mutex_destroy(&m->lock);
}

static int open_meter(const struct run *run, enum meter m)
{
	const struct cgroup_layout *l = &run->d->instances->cgroups;
	const struct cgroup_hier *h = cgroup_find(l, files[m].controller);
	const char *file = h && h->v2 ? files[m].v2 : files[m].v1;

	if (!h && m == METER_CPU) /* pure v2 tells it without a controller */
		return cgroup_open(l, "unified", run->cgroup, "cpu.stat", O_RDONLY);
	return h && file ? cgroup_open(l, files[m].controller, run->cgroup, file, O_RDONLY) : -ENOENT;
}

/* Half of the descriptors that may be open are for what must be. */
static bool scarce(int fd)
{
	struct rlimit rl;

	return getrlimit(RLIMIT_NOFILE, &rl) == 0 && (rlim_t)fd >= rl.rlim_cur / 2;
}

/* What the file says, with the lock held. */
static ssize_t read_text(struct run *run, enum meter m, char *out, size_t size)
{
	int *fd = &run->meters.fd[m];
	ssize_t n = *fd < 0 ? -1 : pread(*fd, out, size - 1, 0);

	if (n >= 0)
		return n;
	/* not open yet, or of a cgroup that is gone: a restarted instance has another one of the same name */
	auto_fd_close(fd);
	*fd = open_meter(run, m);
	if (*fd < 0)
		return *fd = -1;
	n = pread(*fd, out, size - 1, 0);
	if (n < 0 || scarce(*fd))
		auto_fd_close(fd);
	return n;
}

uint64_t meter_read(struct run *run, enum meter m)
{
	char text[1024];
	uint64_t v = 0;
	ssize_t n;

	pthread_mutex_lock(&run->meters.lock);
	n = read_text(run, m, text, sizeof(text));
	pthread_mutex_unlock(&run->meters.lock);
	if (n < 0)
		return 0;
	text[n] = 0;
	if (text[0] < '0' || text[0] > '9') /* cpu.stat */
		return usage_field(text, "usage_usec") * 1000;
	text[strcspn(text, "\n")] = 0;
	return lxm_parse_u64(text, &v) == 0 ? v : 0;
}

void meters_rest(struct lxmd *d)
{
	struct run **v;
	size_t n = run_list(d, &v), i, k;

	for (i = 0; i < n; i++) {
		pthread_mutex_lock(&v[i]->meters.lock);
		for (k = 0; k < METERS; k++)
			auto_fd_close(&v[i]->meters.fd[k]);
		pthread_mutex_unlock(&v[i]->meters.lock);
		run_unref(v[i]);
	}
	free(v);
}
