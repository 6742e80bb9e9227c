/*
 * Metrics as text, see metrics_text.h. One table of families; each is written for all instances in a row, as the formats want
 * it. Labels stand in LXD's order: what is particular first (cpu and mode, device), then name, project and type.
 */
#include "lxmd/api/metrics_text.h"

#include <string.h>

#include "lib/base/alloc.h"

enum kind {
	GAUGE,
	COUNTER, /* its samples end in _total */
};

struct writer {
	const struct metrics_spec *spec;
	struct lxm_buf *out;
	const char *family; /* without the prefix */
	char **labels;	    /* for each instance: name="c1",project="default",type="container"; NULL: not shown */
};

/* Writes all samples of a family for one instance; `which` is the family's. */
typedef void (*sample_fn)(struct writer *w, const struct usage *u, const char *labels, int which);

static void number(struct lxm_buf *b, uint64_t n)
{
	char text[24], *p = text + sizeof(text);

	do
		*--p = (char)('0' + n % 10);
	while (n /= 10);
	lxm_buf_add(b, p, (size_t)(text + sizeof(text) - p));
}

void metrics_label(struct lxm_buf *b, const char *value)
{
	lxm_auto(free) char *clean = lxm_utf8_clean(value);
	const char *p;

	for (p = clean; *p; p++) {
		if (*p == '\\' || *p == '"')
			lxm_buf_chr(b, '\\');
		if (*p == '\n')
			lxm_buf_str(b, "\\n");
		else
			lxm_buf_chr(b, *p);
	}
}

/* "lxd_FAMILY{" with the labels that come first, and the rest of them. */
static void begin(struct writer *w, const char *first, const char *labels)
{
	lxm_buf_str(w->out, w->spec->prefix);
	lxm_buf_chr(w->out, '_');
	lxm_buf_str(w->out, w->family);
	lxm_buf_chr(w->out, '{');
	lxm_buf_str(w->out, first);
	lxm_buf_str(w->out, labels);
	lxm_buf_str(w->out, "} ");
}

static void sample(struct writer *w, const char *first, const char *labels, uint64_t value)
{
	begin(w, first, labels);
	number(w->out, value);
	lxm_buf_chr(w->out, '\n');
}

/* ---- families of an instance */

static void cpu_seconds(struct writer *w, const struct usage *u, const char *labels, int which)
{
	static const char *const modes[] = { "system", "user" };
	char first[64];
	size_t k, m;

	for (k = 0; k < u->n_cpu; k++) {
		for (m = 0; m < LXM_ARRAY_LEN(modes); m++) {
			uint64_t ns = m ? u->cpu[k].user_ns : u->cpu[k].system_ns;

			snprintf(first, sizeof(first), "cpu=\"%zu\",mode=\"%s\",", k, modes[m]);
			begin(w, first, labels);
			lxm_buf_fmt(w->out, "%lu.%06lu\n", ns / 1000000000, ns / 1000 % 1000000);
		}
	}
}

enum one { ONE_CPUS, ONE_PROCS };

static void one(struct writer *w, const struct usage *u, const char *labels, int which)
{
	sample(w, "", labels, which == ONE_CPUS ? u->cpus : u->processes);
}

enum disk { READ_BYTES, READS, WRITTEN_BYTES, WRITES };

static void disk(struct writer *w, const struct usage *u, const char *labels, int which)
{
	size_t k;

	for (k = 0; k < u->n_disk; k++) {
		const uint64_t v[] = { [READ_BYTES] = u->disk[k].read_bytes, [READS] = u->disk[k].reads,
				       [WRITTEN_BYTES] = u->disk[k].written_bytes, [WRITES] = u->disk[k].writes };
		char first[USAGE_NAME + 16];

		snprintf(first, sizeof(first), "device=\"%s\",", u->disk[k].device);
		sample(w, first, labels, v[which]);
	}
}

enum fs { FS_AVAIL, FS_FREE, FS_SIZE };

static void filesystem(struct writer *w, const struct usage *u, const char *labels, int which)
{
	const uint64_t v[] = { [FS_AVAIL] = u->fs.avail, [FS_FREE] = u->fs.free, [FS_SIZE] = u->fs.size };
	struct lxm_buf first = { 0 };

	if (!u->fs.size)
		return;
	lxm_buf_str(&first, "device=\"");
	metrics_label(&first, u->fs.device);
	lxm_buf_fmt(&first, "\",fstype=\"%s\",mountpoint=\"/\",", u->fs.type);
	sample(w, first.data, labels, v[which]);
	lxm_buf_deinit(&first);
}

/* What memory.stat has no single line for. */
enum { MEM_ACTIVE = UM_COUNT, MEM_INACTIVE, MEM_AVAILABLE, MEM_FREE };

static void memory(struct writer *w, const struct usage *u, const char *labels, int which)
{
	const uint64_t *m = u->mem;
	uint64_t left = m[UM_TOTAL] > m[UM_USED] ? m[UM_TOTAL] - m[UM_USED] : 0, v;

	switch (which) {
	case MEM_ACTIVE:
		v = m[UM_ACTIVE_ANON] + m[UM_ACTIVE_FILE];
		break;
	case MEM_INACTIVE:
		v = m[UM_INACTIVE_ANON] + m[UM_INACTIVE_FILE];
		break;
	case MEM_AVAILABLE:
		v = left + m[UM_CACHED] > m[UM_TOTAL] ? m[UM_TOTAL] : left + m[UM_CACHED];
		break;
	case MEM_FREE:
		v = left;
		break;
	default:
		v = m[which];
	}
	sample(w, "", labels, v);
}

enum net { RX_BYTES, RX_DROP, RX_ERRS, RX_PACKETS, TX_BYTES, TX_DROP, TX_ERRS, TX_PACKETS };

static void network(struct writer *w, const struct usage *u, const char *labels, int which)
{
	size_t k;

	for (k = 0; k < u->n_link; k++) {
		const struct usage_link *l = &u->link[k];
		const uint64_t v[] = { [RX_BYTES] = l->rx_bytes,     [RX_DROP] = l->rx_dropped, [RX_ERRS] = l->rx_errors,
				       [RX_PACKETS] = l->rx_packets, [TX_BYTES] = l->tx_bytes,	[TX_DROP] = l->tx_dropped,
				       [TX_ERRS] = l->tx_errors,     [TX_PACKETS] = l->tx_packets };
		struct lxm_buf first = { 0 };

		lxm_buf_str(&first, "device=\"");
		metrics_label(&first, l->name);
		lxm_buf_str(&first, "\",");
		sample(w, first.data, labels, v[which]);
		lxm_buf_deinit(&first);
	}
}

static const struct {
	const char *name; /* of the samples */
	enum kind kind;
	sample_fn write;
	int which;
	const char *help;
} families[] = {
	{ "cpu_effective_total", GAUGE, one, ONE_CPUS, "The total number of effective CPUs." },
	{ "cpu_seconds_total", COUNTER, cpu_seconds, 0, "The total number of CPU time used in seconds." },
	{ "disk_read_bytes_total", COUNTER, disk, READ_BYTES, "The total number of bytes read." },
	{ "disk_reads_completed_total", COUNTER, disk, READS, "The total number of completed reads." },
	{ "disk_writes_completed_total", COUNTER, disk, WRITES, "The total number of completed writes." },
	{ "disk_written_bytes_total", COUNTER, disk, WRITTEN_BYTES, "The total number of bytes written." },
	{ "filesystem_avail_bytes", GAUGE, filesystem, FS_AVAIL, "The number of available space in bytes." },
	{ "filesystem_free_bytes", GAUGE, filesystem, FS_FREE, "The number of free space in bytes." },
	{ "filesystem_size_bytes", GAUGE, filesystem, FS_SIZE, "The size of the filesystem in bytes." },
	{ "memory_Active_anon_bytes", GAUGE, memory, UM_ACTIVE_ANON, "The amount of anonymous memory on active LRU list." },
	{ "memory_Active_bytes", GAUGE, memory, MEM_ACTIVE, "The amount of memory on active LRU list." },
	{ "memory_Active_file_bytes", GAUGE, memory, UM_ACTIVE_FILE, "The amount of file-backed memory on active LRU list." },
	{ "memory_Cached_bytes", GAUGE, memory, UM_CACHED, "The amount of cached memory." },
	{ "memory_Dirty_bytes", GAUGE, memory, UM_DIRTY, "The amount of memory waiting to get written back to the disk." },
	{ "memory_Inactive_anon_bytes", GAUGE, memory, UM_INACTIVE_ANON, "The amount of anonymous memory on inactive LRU list." },
	{ "memory_Inactive_bytes", GAUGE, memory, MEM_INACTIVE, "The amount of memory on inactive LRU list." },
	{ "memory_Inactive_file_bytes", GAUGE, memory, UM_INACTIVE_FILE, "The amount of file-backed memory on inactive LRU list." },
	{ "memory_Mapped_bytes", GAUGE, memory, UM_MAPPED, "The amount of mapped memory." },
	{ "memory_MemAvailable_bytes", GAUGE, memory, MEM_AVAILABLE, "The amount of available memory." },
	{ "memory_MemFree_bytes", GAUGE, memory, MEM_FREE, "The amount of free memory." },
	{ "memory_MemTotal_bytes", GAUGE, memory, UM_TOTAL, "The amount of memory that may be used." },
	{ "memory_OOM_kills_total", COUNTER, memory, UM_OOM_KILLS, "The number of out of memory kills." },
	{ "memory_RSS_bytes", GAUGE, memory, UM_RSS, "The amount of anonymous and swap cache memory." },
	{ "memory_Shmem_bytes", GAUGE, memory, UM_SHMEM, "The amount of cached filesystem data that is swap-backed." },
	{ "memory_Swap_bytes", GAUGE, memory, UM_SWAP, "The amount of swap memory." },
	{ "memory_Unevictable_bytes", GAUGE, memory, UM_UNEVICTABLE, "The amount of unevictable memory." },
	{ "memory_Writeback_bytes", GAUGE, memory, UM_WRITEBACK, "The amount of memory queued for syncing to disk." },
	{ "network_receive_bytes_total", COUNTER, network, RX_BYTES, "The amount of received bytes on a given interface." },
	{ "network_receive_drop_total", COUNTER, network, RX_DROP, "The amount of received dropped bytes on a given interface." },
	{ "network_receive_errs_total", COUNTER, network, RX_ERRS, "The amount of received errors on a given interface." },
	{ "network_receive_packets_total", COUNTER, network, RX_PACKETS, "The amount of received packets on a given interface." },
	{ "network_transmit_bytes_total", COUNTER, network, TX_BYTES, "The amount of transmitted bytes on a given interface." },
	{ "network_transmit_drop_total", COUNTER, network, TX_DROP, "The amount of transmitted dropped bytes on a given interface." },
	{ "network_transmit_errs_total", COUNTER, network, TX_ERRS, "The amount of transmitted errors on a given interface." },
	{ "network_transmit_packets_total", COUNTER, network, TX_PACKETS, "The amount of transmitted packets on a given interface." },
	{ "procs_total", GAUGE, one, ONE_PROCS, "The number of running processes." },
};

/* HELP and TYPE. OpenMetrics names the family of a counter without the ending of its samples. */
static void head(struct writer *w, const char *name, enum kind kind, const char *help)
{
	size_t n = strlen(name);

	w->family = name;
	if (kind == COUNTER && w->spec->open_metrics)
		n -= strlen("_total");
	lxm_buf_fmt(w->out, "# HELP %s_%.*s %s\n# TYPE %s_%.*s %s\n", w->spec->prefix, (int)n, name, help, w->spec->prefix,
		    (int)n, name, kind == COUNTER ? "counter" : "gauge");
}

static bool shown(const struct metrics_spec *spec, const char *project)
{
	return !spec->shows || spec->shows(spec->arg, project);
}

static void instances(struct writer *w, const struct usages *u)
{
	size_t k;

	head(w, "instances", GAUGE, "The number of instances.");
	for (k = 0; k < u->n_project; k++) {
		struct lxm_buf labels = { 0 };

		if (!shown(w->spec, u->project[k].name))
			continue;
		lxm_buf_str(&labels, "project=\"");
		metrics_label(&labels, u->project[k].name);
		lxm_buf_str(&labels, "\",type=\"container\"");
		sample(w, "", labels.data, u->project[k].instances);
		lxm_buf_deinit(&labels);
	}
}

static void server(struct writer *w, const struct metrics_server *s)
{
	head(w, "operations_total", GAUGE, "The number of running operations.");
	lxm_buf_fmt(w->out, "%s_operations_total %lu\n", w->spec->prefix, s->operations);
	head(w, "uptime_seconds", GAUGE, "The daemon uptime in seconds.");
	lxm_buf_fmt(w->out, "%s_uptime_seconds %lu.%03lu\n", w->spec->prefix, s->uptime_ms / 1000, s->uptime_ms % 1000);
	head(w, "warnings_total", GAUGE, "The number of active warnings.");
	lxm_buf_fmt(w->out, "%s_warnings_total %lu\n", w->spec->prefix, s->warnings);
}

static char *labels_of(const struct usage *u)
{
	struct lxm_buf b = { 0 };

	lxm_buf_str(&b, "name=\"");
	metrics_label(&b, u->name);
	lxm_buf_str(&b, "\",project=\"");
	metrics_label(&b, u->project);
	lxm_buf_str(&b, "\",type=\"container\"");
	return lxm_buf_take(&b);
}

void metrics_text(const struct metrics_spec *spec, const struct usages *u, struct lxm_buf *out)
{
	struct writer w = { .spec = spec, .out = out, .labels = lxm_alloc((u->n + 1) * sizeof(*w.labels)) };
	size_t f, k;

	for (k = 0; k < u->n; k++)
		w.labels[k] = shown(spec, u->v[k].project) ? labels_of(&u->v[k]) : NULL;
	for (f = 0; f < LXM_ARRAY_LEN(families); f++) {
		head(&w, families[f].name, families[f].kind, families[f].help);
		for (k = 0; k < u->n; k++)
			if (w.labels[k])
				families[f].write(&w, &u->v[k], w.labels[k], families[f].which);
	}
	instances(&w, u);
	if (spec->server)
		server(&w, spec->server);
	lxm_buf_str(out, "# EOF\n");
	for (k = 0; k < u->n; k++)
		free(w.labels[k]);
	free(w.labels);
}
