/* Cron expressions and their aliases, as snapshots.schedule holds them. Pure functions. */
#ifndef LXMD_CORE_CRON_H
#define LXMD_CORE_CRON_H

#include <stdbool.h>
#include <stdint.h>
#include <time.h>

/**
 * Is something due in this minute?
 *
 * @spec    five fields "MIN HOUR DAY MONTH WEEKDAY", or aliases with commas between them: @hourly, @daily, @midnight,
 *          @weekly, @monthly, @annually, @yearly; @startup, @never and what is no schedule are never due
 * @tm      local time; tm_min, tm_hour, tm_mday, tm_mon, tm_wday count
 * @spread  any number of the subject: aliases fall on another minute and hour for each, so that not all work comes at once
 *
 * If both day and weekday are given, either is enough.
 */
bool cron_due(const char *spec, const struct tm *tm, uint32_t spread);

/** Does the list of aliases hold this one ("@startup")? */
bool cron_has_alias(const char *spec, const char *alias);

#endif
