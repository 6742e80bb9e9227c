/* The text of /1.0/metrics: Prometheus' text format or OpenMetrics, with LXD's names or Incus's. */
#ifndef LXMD_API_METRICS_TEXT_H
#define LXMD_API_METRICS_TEXT_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/base/str.h"
#include "lxmd/instance/usage.h"

/* What is said of the server itself, to those who may see all of it. */
struct metrics_server {
	uint64_t operations, warnings; /* running; new ones */
	uint64_t uptime_ms;
};

struct metrics_spec {
	const char *prefix; /* "lxd" or "incus" */
	bool open_metrics;  /* families of counters are named without _total */
	/* NULL: of every project; else whether a project's instances are shown */
	bool (*shows)(void *arg, const char *project);
	void *arg;
	const struct metrics_server *server; /* NULL: left out */
};

/** Append all families, each with HELP, TYPE and its samples, and the closing # EOF. Any thread; no I/O. */
void metrics_text(const struct metrics_spec *spec, const struct usages *u, struct lxm_buf *out);

/** Append a label value between its quotes: \, " and line ends escaped, broken UTF-8 replaced. */
void metrics_label(struct lxm_buf *b, const char *value);

#endif
