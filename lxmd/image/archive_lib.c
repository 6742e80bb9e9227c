/* The functions of libarchive, see archive_lib.h. Any thread. */
#include "lxmd/image/archive_lib.h"

#include "lxmd/core/lazy.h"

struct archive_lib la;

static const char *const names[] = {
#define X(name) #name,
	ARCHIVE_FUNCTIONS(X)
#undef X
};

static struct lazy_lib lib = {
	.soname = "libarchive.so.13",
	.package = "libarchive13",
	.names = names,
	.functions = &la,
	.n = sizeof(names) / sizeof(names[0]),
};

int archive_lib_load(struct lxm_err *e)
{
	return lazy_load(&lib, e);
}
