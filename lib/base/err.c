/*
 * The error object. Errors are written at the place that fails, get context in front on the way up
 * and are logged once at the edge. Runs in every process and thread; keeps no state.
 */
#include "lib/base/err.h"

#include <stdarg.h>
#include <string.h>

static void fill(struct lxm_err *e, int http, int code, const char *fmt, va_list ap)
{
	if (!e)
		return;
	e->code = code;
	e->http = http;
	vsnprintf(e->msg, sizeof(e->msg), fmt, ap);
}

int lxm_err_sys(struct lxm_err *e, const char *fmt, ...)
{
	int code = errno ? errno : EIO;
	char text[80];
	size_t n;
	va_list ap;

	if (!e)
		return -code;
	va_start(ap, fmt);
	fill(e, 0, code, fmt, ap);
	va_end(ap);
	n = strlen(e->msg);
	snprintf(e->msg + n, sizeof(e->msg) - n, ": %s", strerror_r(code, text, sizeof(text)));
	return -code;
}

int lxm_err_set(struct lxm_err *e, int code, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	fill(e, 0, code, fmt, ap);
	va_end(ap);
	return -code;
}

int lxm_err_http(struct lxm_err *e, int http, int code, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	fill(e, http, code, fmt, ap);
	va_end(ap);
	return -code;
}

int lxm_err_wrap(struct lxm_err *e, int r, const char *fmt, ...)
{
	char old[sizeof(e->msg)], text[80];
	va_list ap;
	size_t n;

	if (!e || r == 0)
		return r;
	if (!e->msg[0]) {
		e->code = r < 0 ? -r : EIO;
		snprintf(e->msg, sizeof(e->msg), "%s", strerror_r(e->code, text, sizeof(text)));
	}
	memcpy(old, e->msg, sizeof(old));
	va_start(ap, fmt);
	vsnprintf(e->msg, sizeof(e->msg), fmt, ap);
	va_end(ap);
	n = strlen(e->msg);
	snprintf(e->msg + n, sizeof(e->msg) - n, ": %s", old);
	return r;
}

int lxm_err_status(const struct lxm_err *e)
{
	static const struct {
		int code, status;
	} map[] = {
		{ ENOENT, 404 },    { ESRCH, 404 },	{ EEXIST, 409 },    { EBUSY, 409 },
		{ EINVAL, 400 },    { ENAMETOOLONG, 400 }, { ERANGE, 400 },   { E2BIG, 413 },
		{ EFBIG, 413 },     { EMSGSIZE, 413 },	{ EPERM, 403 },	    { EACCES, 403 },
		{ EOPNOTSUPP, 501 }, { ENOSYS, 501 },	{ ENOTEMPTY, 409 }, { EBADMSG, 400 },
		{ ESHUTDOWN, 503 },
	};
	size_t i;

	if (e->http)
		return e->http;
	for (i = 0; i < LXM_ARRAY_LEN(map); i++)
		if (map[i].code == e->code)
			return map[i].status;
	return 500;
}

void lxm_err_clear(struct lxm_err *e)
{
	if (e)
		memset(e, 0, sizeof(*e));
}
