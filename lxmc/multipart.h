/* Reader of multipart/form-data as it streams in (split images). */
#ifndef LXM_LXMC_MULTIPART_H
#define LXM_LXMC_MULTIPART_H

#include <stdbool.h>
#include <stddef.h>

#include "lib/base/err.h"
#include "lib/base/str.h"

/* What becomes of the parts. */
struct multipart_ops {
	/* a part begins: name and file name from its header ("" if missing). 0 or -errno */
	int (*begin)(void *arg, const char *name, const char *filename, struct lxm_err *e);
	int (*data)(void *arg, const void *data, size_t n, struct lxm_err *e);
	int (*end)(void *arg, struct lxm_err *e);
};

/* Set ops, arg and boundary, zero the rest. */
struct multipart {
	const struct multipart_ops *ops;
	void *arg;
	char boundary[80]; /* without leading dashes */
	struct lxm_buf in; /* not yet decided: a boundary may begin in it */
	enum { MULTIPART_BEFORE, MULTIPART_HEAD, MULTIPART_BODY, MULTIPART_DONE } state;
};

void multipart_deinit(struct multipart *m);
LXM_AUTO_STRUCT(multipart, struct multipart, multipart_deinit)

/** The boundary of a Content-Type; false if it is none of multipart/form-data, or too long. */
bool multipart_boundary(const char *content_type, char *out, size_t room);
/** Take bytes as they come. Returns 0 or -errno (also what ops answered). */
int multipart_feed(struct multipart *m, const void *data, size_t n, struct lxm_err *e);

#endif
