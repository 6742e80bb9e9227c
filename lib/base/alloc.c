/*
 * Allocation with two promises: lxm_alloc() and friends end the process when memory is out (a daemon that
 * cannot allocate a few bytes does better to restart; its containers live under their monitors), and
 * lxm_try_alloc() reports it, for sizes that come from outside. Any thread.
 */
#include "lib/base/alloc.h"

#include <stdarg.h>
#include <stdint.h>
#include <string.h>

static void *must(void *p)
{
	static const char text[] = "lxm: out of memory\n";

	if (!p) {
		(void)!write(STDERR_FILENO, text, sizeof(text) - 1);
		abort();
	}
	return p;
}

void *lxm_alloc(size_t size)
{
	return must(calloc(1, size ? size : 1));
}

void *lxm_try_alloc(size_t size)
{
	return calloc(1, size ? size : 1);
}

void *lxm_realloc_n(void *p, size_t n, size_t size)
{
	if (size && n > SIZE_MAX / size)
		must(NULL);
	return must(realloc(p, n && size ? n * size : 1));
}

char *lxm_strdup(const char *s)
{
	return s ? must(strdup(s)) : NULL;
}

char *lxm_strndup(const char *s, size_t n)
{
	return must(strndup(s, n));
}

char *lxm_asprintf(const char *fmt, ...)
{
	char *s = NULL;
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vasprintf(&s, fmt, ap);
	va_end(ap);
	return must(n < 0 ? NULL : s);
}
