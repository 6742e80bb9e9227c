/* Request bodies from files, with progress, and multipart/form-data in both directions. */
#ifndef LXM_LXMC_UPLOAD_H
#define LXM_LXMC_UPLOAD_H

#include <stdint.h>

#include "lib/tls/http_client.h"
#include "lxmc/progress.h"

/* One piece of a body: text or a file's bytes. */
struct piece {
	char *text; /* owned, or NULL */
	int fd;	    /* borrowed, when text is NULL */
};

/* A body made of pieces, read one after another. Zeroed is empty. */
struct upload {
	struct piece pieces[8];
	size_t n, at;
	uint64_t done, total; /* total 0: not known */
	size_t text_at;
	struct progress *progress; /* or NULL */
};

void upload_text(struct upload *u, char *text /* taken */);
/** A file; its size is added to total if it is a regular one, else the total is unknown from then on. */
void upload_file(struct upload *u, int fd);
void upload_deinit(struct upload *u);
LXM_AUTO_STRUCT(upload, struct upload, upload_deinit)

/** The source for struct lxm_http_request; arg is the upload. */
ssize_t upload_read(void *arg, void *data, size_t n, struct lxm_err *e);

#endif
