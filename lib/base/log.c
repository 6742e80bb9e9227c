/*
 * Logging. One write(2) a line, so that lines of several threads and processes never mix. Control characters
 * are shown as '?', so that a name from outside cannot forge a line. The sink is the only global of lib/base.
 */
#include "lib/base/log.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <string.h>
#include <time.h>

/* atomic: lxmd's log is opened when threads may write to it already */
static _Atomic enum lxm_log_level log_min = LXM_INFO;
static atomic_int log_fd = -1;
static pthread_rwlock_t sink_lock = PTHREAD_RWLOCK_INITIALIZER;
static lxm_log_sink_fn sink_fn; /* guarded by sink_lock */
static void *sink_arg;		/* guarded by sink_lock */

void lxm_log_init(enum lxm_log_level min, int fd)
{
	log_min = min;
	log_fd = fd;
}

void lxm_log_sink(lxm_log_sink_fn fn, void *arg)
{
	pthread_rwlock_wrlock(&sink_lock);
	sink_fn = fn;
	sink_arg = arg;
	pthread_rwlock_unlock(&sink_lock);
}

const char *lxm_log_level_name(enum lxm_log_level level)
{
	static const char *const names[] = { "debug", "info", "warning", "error" };

	return names[level];
}

bool lxm_log_debug_on(void)
{
	return log_min == LXM_DEBUG;
}

void lxm_log(enum lxm_log_level level, const char *fmt, ...)
{
	char line[2048], msg[1900];
	struct timespec ts;
	struct tm tm;
	va_list ap;
	char *p;
	int n, saved = errno;

	va_start(ap, fmt);
	vsnprintf(msg, sizeof(msg), fmt, ap);
	va_end(ap);
	for (p = msg; *p; p++)
		if ((unsigned char)*p < 0x20 || *p == 0x7f)
			*p = '?';
	if (level >= log_min) {
		clock_gettime(CLOCK_REALTIME, &ts);
		gmtime_r(&ts.tv_sec, &tm);
		n = snprintf(line, sizeof(line), "%04d-%02d-%02dT%02d:%02d:%02d.%03ldZ %-7s %s\n",
			     tm.tm_year + 1900, tm.tm_mon + 1, tm.tm_mday, tm.tm_hour, tm.tm_min,
			     tm.tm_sec, ts.tv_nsec / 1000000, lxm_log_level_name(level), msg);
		if (n >= (int)sizeof(line))
			n = (int)sizeof(line) - 1;
		(void)!write(STDERR_FILENO, line, (size_t)n);
		if (log_fd >= 0)
			(void)!write(log_fd, line, (size_t)n);
	}
	pthread_rwlock_rdlock(&sink_lock);
	if (sink_fn)
		sink_fn(level, msg, sink_arg);
	pthread_rwlock_unlock(&sink_lock);
	errno = saved;
}
