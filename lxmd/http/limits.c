/* Limits of the network's listener, see limits.h. */
#include "lxmd/http/limits.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/str.h"

#define MOST 100000

static struct http_limits limits = { .places = 16384, .handshake_s = 10, .head_s = 30, .idle_s = 300 };

static void read_one(const char *text)
{
	static const struct {
		const char *name;
		unsigned int *what;
	} rows[] = {
		{ "places=", &limits.places },
		{ "handshake=", &limits.handshake_s },
		{ "head=", &limits.head_s },
		{ "idle=", &limits.idle_s },
	};
	uint64_t n;
	size_t i;

	for (i = 0; i < LXM_ARRAY_LEN(rows); i++)
		if (lxm_starts(text, rows[i].name) && lxm_parse_u64(text + strlen(rows[i].name), &n) == 0 && n > 0 && n <= MOST)
			*rows[i].what = (unsigned int)n;
}

static void read_all(void)
{
	lxm_auto(strv) struct lxm_strv v = { 0 };
	const char *env = getenv("LXMD_HTTP_LIMITS");
	size_t i;

	if (env)
		lxm_strv_split(&v, env, ',');
	for (i = 0; i < v.n; i++)
		read_one(v.v[i]);
}

const struct http_limits *http_limits(void)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	(void)pthread_once(&once, read_all);
	return &limits;
}
