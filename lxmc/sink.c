/* Reports of a verb that is one of many, see sink.h. A report that nobody takes is lost: the reader has given up. */
#include "lxmc/sink.h"

#include <stdlib.h>

#include "lib/api/json.h"
#include "lib/base/alloc.h"
#include "lib/base/fd.h"

static int sink_fd = -1;
static bool answered;

void sink_open(int fd)
{
	sink_fd = fd;
	answered = false;
}

bool sink_active(void)
{
	return sink_fd >= 0;
}

static bool put(json_t *line)
{
	lxm_auto(json) json_t *owned = line;
	struct lxm_buf b = { 0 };
	lxm_auto(free) char *text = json_dumps(owned, JSON_COMPACT);
	bool ok;

	lxm_buf_fmt(&b, "%s\n", text ? text : "{}");
	ok = lxm_write_all(sink_fd, b.data, b.len) == 0;
	lxm_buf_deinit(&b);
	return ok;
}

void sink_answered(void)
{
	if (!sink_active() || answered)
		return;
	answered = true;
	(void)put(json_object());
}

static json_t *texts(const struct lxm_strv *v)
{
	json_t *a = json_array();
	size_t i;

	for (i = 0; i < v->n; i++)
		json_array_append_new(a, js_string(v->v[i]));
	return a;
}

void sink_list(const struct table *t, const json_t *data)
{
	if (data)
		(void)put(json_pack("{s:{s:O}}", "list", "data", data));
	else
		(void)put(json_pack("{s:{s:o, s:o}}", "list", "head", texts(&t->head), "cells", texts(&t->cells)));
}

void sink_object(const json_t *data)
{
	(void)put(json_pack("{s:O}", "object", data));
}

void sink_error(const char *text)
{
	(void)put(json_pack("{s:o}", "error", js_string(text)));
}

bool sink_sample(const json_t *data)
{
	return put(json_pack("{s:O}", "sample", data));
}
