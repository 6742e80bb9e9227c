/*
 * Where output goes when a verb is one of many that run side by side (--on): to the process that puts it together,
 * as data instead of text. Verbs know nothing of it; out.h and client.h ask here first.
 */
#ifndef LXM_LXMC_SINK_H
#define LXM_LXMC_SINK_H

#include <jansson.h>
#include <stdbool.h>

#include "lxmc/out.h"

/*
 * One JSON object to a line. {} says that the server has answered; else exactly one of:
 *   "list": {"head": [..], "cells": [..]} or {"data": [..]}
 *   "object": ANY
 *   "error": TEXT
 *   "sample": ANY (top)
 */

/** From now on this process reports on fd (taken). */
void sink_open(int fd);
bool sink_active(void);
/** The server has answered, whatever it said; told once. */
void sink_answered(void);
/** A list: its rows, or with @data (borrowed) that. */
void sink_list(const struct table *t, const json_t *data);
/** One object (borrowed). */
void sink_object(const json_t *data);
void sink_error(const char *text);
/** One of many states of something that goes on (borrowed). False when nobody listens any more. */
bool sink_sample(const json_t *data);

#endif
