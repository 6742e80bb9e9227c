/* Bodies from files, see upload.h. */
#include "lxmc/upload.h"

#include <string.h>
#include <sys/stat.h>

#include "lib/base/fd.h"

void upload_text(struct upload *u, char *text)
{
	u->total += strlen(text);
	u->pieces[u->n++] = (struct piece){ text, -1 };
}

void upload_file(struct upload *u, int fd)
{
	struct stat st;

	if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode))
		u->total += (uint64_t)st.st_size;
	else
		u->total = 0;
	u->pieces[u->n++] = (struct piece){ NULL, fd };
}

void upload_deinit(struct upload *u)
{
	size_t i;

	for (i = 0; i < u->n; i++)
		free(u->pieces[i].text);
	memset(u, 0, sizeof(*u));
}

ssize_t upload_read(void *arg, void *data, size_t n, struct lxm_err *e)
{
	struct upload *u = arg;

	while (u->at < u->n) {
		struct piece *p = &u->pieces[u->at];
		ssize_t got;

		if (p->text) {
			size_t left = strlen(p->text) - u->text_at;

			got = (ssize_t)(left < n ? left : n);
			memcpy(data, p->text + u->text_at, (size_t)got);
			u->text_at += (size_t)got;
		} else {
			got = lxm_read_full(p->fd, data, n);
			if (got < 0) {
				errno = (int)-got;
				return lxm_err_sys(e, "read the file to send");
			}
		}
		if (got) {
			u->done += (uint64_t)got;
			if (u->progress)
				progress_bytes(u->progress, u->done, u->total);
			return got;
		}
		u->at++;
		u->text_at = 0;
	}
	return 0;
}
