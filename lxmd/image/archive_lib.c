/* The functions of libarchive, see archive_lib.h. Any thread. */
#include "lxmd/image/archive_lib.h"

struct archive_lib la;

static const char *const names[] = { ARCHIVE_FUNCTIONS(LAZY_NAME) };

static struct lazy_lib lib = {
	.soname = "libarchive.so.13",
	.package = "libarchive13",
	.names = names,
	.functions = &la,
	.n = LXM_ARRAY_LEN(names),
};

int archive_lib_load(struct lxm_err *e)
{
	return lazy_load(&lib, e);
}
