/*
 * What an instance uses, see usage.h. Everything comes from its cgroups (v1 and v2 names) and from the netlink socket inside its
 * network namespace; no process is started and no namespace entered. Any thread.
 */
#include "lxmd/instance/usage.h"

#include <stdio.h>
#include <string.h>
#include <sys/sysinfo.h>

#include "lib/base/alloc.h"
#include "lib/base/str.h"
#include "lib/wire/cgroup.h"
#include "lxmd/core/daemon.h"
#include "lxmd/instance/meters.h"
#include "lxmd/instance/run.h"
#include "lxmd/instance/usage_read.h"
#include "lxmd/network/netns_state.h"

#define TEXT_MAX 8192 /* of a cgroup file; what comes later in it is left out */
#define CPUS_MAX 1024
#define DISKS_MAX 64

static const struct cgroup_layout *layout(struct run *run)
{
	return &run->d->instances->cgroups;
}

static bool is_v2(struct run *run, const char *controller)
{
	const struct cgroup_hier *h = cgroup_find(layout(run), controller);

	return h && h->v2;
}

/* A file by v1's or v2's name for it; "" when there is none. */
static const char *text_of(struct run *run, const char *controller, const char *v1, const char *v2, char out[TEXT_MAX])
{
	const char *file = is_v2(run, controller) ? v2 : v1;

	out[0] = '\0';
	if (file && cgroup_read(layout(run), controller, run->cgroup, file, out, TEXT_MAX) < 0)
		out[0] = '\0';
	return out;
}

uint64_t usage_field(const char *text, const char *key)
{
	size_t n = strlen(key);
	const char *p;

	for (p = text; p && *p; p = strchr(p, '\n'), p = p ? p + 1 : NULL)
		if (strncmp(p, key, n) == 0 && p[n] == ' ')
			return strtoull(p + n + 1, NULL, 10);
	return 0;
}

uint64_t usage_cpu_ns(struct run *run)
{
	return meter_read(run, METER_CPU);
}

uint64_t usage_processes(struct run *run)
{
	return meter_read(run, METER_PROCESSES);
}

void usage_memory(struct run *run, uint64_t *now_out, uint64_t *peak_out, uint64_t *swap_out)
{
	uint64_t now = meter_read(run, METER_MEMORY), swap = meter_read(run, METER_SWAP);

	*now_out = now;
	*peak_out = meter_read(run, METER_PEAK);
	if (!is_v2(run, "memory"))
		swap = swap > now ? swap - now : 0;
	*swap_out = swap;
}

/* ---- all of one instance */

size_t usage_parse_cpus(const char *text, struct usage_cpu *out, size_t max)
{
	size_t n = 0, cpu;
	struct usage_cpu c;
	int used;

	for (; *text; text += strcspn(text, "\n"), text += *text == '\n') {
		if (sscanf(text, "%zu %lu %lu%n", &cpu, &c.user_ns, &c.system_ns, &used) < 3 || cpu >= max)
			continue;
		while (n <= cpu)
			out[n++] = (struct usage_cpu){ 0, 0 };
		out[cpu] = c;
	}
	return n;
}

static void read_cpu(struct run *run, struct usage *u)
{
	struct usage_cpu v[CPUS_MAX];
	char text[TEXT_MAX];

	if (cgroup_find(layout(run), "cpuacct")) {
		u->n_cpu = usage_parse_cpus(text_of(run, "cpuacct", "cpuacct.usage_all", NULL, text), v, CPUS_MAX);
	} else {
		text_of(run, "unified", NULL, "cpu.stat", text);
		v[0] = (struct usage_cpu){ usage_field(text, "user_usec") * 1000, usage_field(text, "system_usec") * 1000 };
		u->n_cpu = 1;
	}
	u->cpu = lxm_realloc_n(NULL, u->n_cpu, sizeof(*v));
	if (u->n_cpu)
		memcpy(u->cpu, v, u->n_cpu * sizeof(*v));
	u->cpus = usage_count_cpus(text_of(run, "cpuset", "cpuset.effective_cpus", "cpuset.cpus.effective", text));
}

uint64_t usage_count_cpus(const char *list)
{
	uint64_t n = 0;
	unsigned int from, to;
	int used;

	while (sscanf(list, "%u%n", &from, &used) == 1) {
		list += used;
		to = from;
		if (sscanf(list, "-%u%n", &to, &used) == 1)
			list += used;
		n += to >= from ? to - from + 1 : 0;
		if (*list++ != ',')
			break;
	}
	return n;
}

/* v1 adds up what lies below under names of its own. */
static void read_memory(struct run *run, struct usage *u)
{
	static const char *const names[UM_COUNT][2] = {
		[UM_ACTIVE_ANON] = { "total_active_anon", "active_anon" },
		[UM_ACTIVE_FILE] = { "total_active_file", "active_file" },
		[UM_CACHED] = { "total_cache", "file" },
		[UM_DIRTY] = { "total_dirty", "file_dirty" },
		[UM_INACTIVE_ANON] = { "total_inactive_anon", "inactive_anon" },
		[UM_INACTIVE_FILE] = { "total_inactive_file", "inactive_file" },
		[UM_MAPPED] = { "total_mapped_file", "file_mapped" },
		[UM_RSS] = { "total_rss", "anon" },
		[UM_SHMEM] = { "total_shmem", "shmem" },
		[UM_UNEVICTABLE] = { "total_unevictable", "unevictable" },
		[UM_WRITEBACK] = { "total_writeback", "file_writeback" },
	};
	bool v2 = is_v2(run, "memory");
	struct sysinfo host = { 0 };
	uint64_t peak, limit = 0;
	char text[TEXT_MAX];
	size_t i;

	text_of(run, "memory", "memory.stat", "memory.stat", text);
	for (i = 0; i < UM_COUNT; i++)
		if (names[i][v2])
			u->mem[i] = usage_field(text, names[i][v2]);
	usage_memory(run, &u->mem[UM_USED], &peak, &u->mem[UM_SWAP]);
	text_of(run, "memory", "memory.oom_control", "memory.events", text);
	u->mem[UM_OOM_KILLS] = usage_field(text, "oom_kill");
	if (cgroup_read_u64(layout(run), "memory", run->cgroup, v2 ? "memory.max" : "memory.limit_in_bytes", &limit) < 0)
		limit = 0;
	(void)sysinfo(&host);
	u->mem[UM_TOTAL] = (uint64_t)host.totalram * host.mem_unit;
	if (limit && limit < u->mem[UM_TOTAL])
		u->mem[UM_TOTAL] = limit;
}

/* The entry of a device "8:0", made when it is new; NULL when there are too many. */
static struct usage_disk *disk_at(struct usage_disk *v, size_t *n, const char *device, size_t len)
{
	size_t i;

	for (i = 0; i < *n; i++)
		if (strncmp(v[i].device, device, len) == 0 && !v[i].device[len])
			return &v[i];
	if (*n == DISKS_MAX || len >= sizeof(v->device))
		return NULL;
	memset(&v[*n], 0, sizeof(*v));
	memcpy(v[*n].device, device, len);
	return &v[(*n)++];
}

/* "8:0 Read 4096": of blkio.throttle.io_service_bytes_recursive (bytes) or io_serviced_recursive (calls). */
void usage_parse_blkio(const char *text, bool bytes, struct usage_disk *v, size_t *n)
{
	for (; *text; text += strcspn(text, "\n"), text += *text == '\n') {
		char device[32], what[16];
		struct usage_disk *d;
		uint64_t value;

		if (sscanf(text, "%31s %15s %lu", device, what, &value) != 3 || !strchr(device, ':'))
			continue;
		d = disk_at(v, n, device, strlen(device));
		if (d && strcmp(what, "Read") == 0)
			*(bytes ? &d->read_bytes : &d->reads) = value;
		else if (d && strcmp(what, "Write") == 0)
			*(bytes ? &d->written_bytes : &d->writes) = value;
	}
}

/* "8:0 rbytes=1 wbytes=2 rios=3 wios=4 dbytes=5 dios=6" of io.stat. */
void usage_parse_io(const char *text, struct usage_disk *v, size_t *n)
{
	for (; *text; text += strcspn(text, "\n"), text += *text == '\n') {
		struct usage_disk d = { 0 }, *at;
		char device[32];

		if (sscanf(text, "%31s rbytes=%lu wbytes=%lu rios=%lu wios=%lu", device, &d.read_bytes, &d.written_bytes, &d.reads,
			   &d.writes) != 5)
			continue;
		at = disk_at(v, n, device, strlen(device));
		if (!at)
			continue;
		memcpy(d.device, at->device, sizeof(d.device));
		*at = d;
	}
}

static void read_disks(struct run *run, struct usage *u)
{
	struct usage_disk v[DISKS_MAX];
	char text[TEXT_MAX];

	if (cgroup_find(layout(run), "blkio")) {
		text_of(run, "blkio", "blkio.throttle.io_service_bytes_recursive", NULL, text);
		usage_parse_blkio(text, true, v, &u->n_disk);
		text_of(run, "blkio", "blkio.throttle.io_serviced_recursive", NULL, text);
		usage_parse_blkio(text, false, v, &u->n_disk);
	} else {
		usage_parse_io(text_of(run, "io", NULL, "io.stat", text), v, &u->n_disk);
	}
	u->disk = lxm_realloc_n(NULL, u->n_disk, sizeof(*v));
	if (u->n_disk)
		memcpy(u->disk, v, u->n_disk * sizeof(*v));
}

static void read_links(struct run *run, struct usage *u)
{
	const struct net_state *st;
	size_t k;

	pthread_mutex_lock(&run->net_lock);
	if (run->net && net_cache_lock(run->net, true, &st, NULL) == 0) {
		u->link = lxm_realloc_n(NULL, st->links.n, sizeof(*u->link));
		for (k = 0; k < st->links.n; k++) {
			const struct nl_link *l = &st->links.v[k];
			struct usage_link *o = &u->link[u->n_link++];

			*o = (struct usage_link){ .rx_bytes = l->rx_bytes, .rx_packets = l->rx_packets,
						  .rx_errors = l->rx_errors, .rx_dropped = l->rx_dropped,
						  .tx_bytes = l->tx_bytes, .tx_packets = l->tx_packets,
						  .tx_errors = l->tx_errors, .tx_dropped = l->tx_dropped };
			snprintf(o->name, sizeof(o->name), "%s", l->name);
		}
		net_cache_unlock(run->net);
	}
	pthread_mutex_unlock(&run->net_lock);
}

void usage_read(struct run *run, struct usage *u)
{
	u->project = lxm_strdup(run->project);
	u->name = lxm_strdup(run->name);
	u->processes = usage_processes(run);
	read_cpu(run, u);
	read_memory(run, u);
	read_disks(run, u);
	read_links(run, u);
}
