/* Logging: one line an event to stderr (journald prefixes or plain text) and to one optional sink. */
#ifndef LXM_BASE_LOG_H
#define LXM_BASE_LOG_H

#include <stdbool.h>

#include "lib/base/auto.h"

enum lxm_log_level { LXM_DEBUG, LXM_INFO, LXM_WARN, LXM_ERROR };

/* Called for each line at or above the level of lxm_log_sink(); any thread, must not log itself. */
typedef void (*lxm_log_sink_fn)(enum lxm_log_level level, const char *msg, void *arg);

/** Log lines below `min` are dropped; lines go to stderr, and to fd as well when it is >= 0. Before threads start. */
void lxm_log_init(enum lxm_log_level min, int fd);
/** Also hand every line (also debug ones) to fn; NULL ends it. */
void lxm_log_sink(lxm_log_sink_fn fn, void *arg);
/** "debug", "info", "warning", "error": LXD's words. */
const char *lxm_log_level_name(enum lxm_log_level level);
bool lxm_log_debug_on(void);
void lxm_log(enum lxm_log_level level, const char *fmt, ...) LXM_PRINTF(2, 3);

#define lxm_debug(...) lxm_log(LXM_DEBUG, __VA_ARGS__)
#define lxm_info(...)  lxm_log(LXM_INFO, __VA_ARGS__)
#define lxm_warn(...)  lxm_log(LXM_WARN, __VA_ARGS__)
#define lxm_error(...) lxm_log(LXM_ERROR, __VA_ARGS__)

#endif
