/* Lists of simplestreams servers and header lines of any bytes; what is picked is in the form that callers rely on. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "lib/api/streams.h"
#include "lxmd/fetch/web.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_file(const struct streams_file *f)
{
	if (!lxm_is_hex(f->sha256, 64, 64) || f->size <= 0 || f->path[0] == '/' || strstr(f->path, "/../") || strpbrk(f->path, " ?#\r\n"))
		abort();
}

static int check_entry(void *arg, const struct streams_entry *entry, struct lxm_err *e)
{
	if (!lxm_is_hex(entry->image->fingerprint, 64, 64) || !entry->architecture || !entry->aliases || !entry->version)
		abort();
	check_file(&entry->image->meta);
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char *const names[] = { "debian/12", "debian/12/arm64", "aaaaaaaaaaaa" };
	lxm_auto(strv) struct lxm_strv lists = { 0 };
	struct web_reply reply = { 0 };
	struct lxm_err e = { 0 };
	size_t i;

	if (size > 65536)
		return 0;
	web_head_line(&reply, (const char *)data, size);
	if (streams_index((const char *)data, size, &lists, &e) == 0 && lists.n > STREAMS_LISTS_MAX)
		abort();
	(void)streams_list((const char *)data, size, check_entry, NULL, &e);
	for (i = 0; i < LXM_ARRAY_LEN(names); i++) {
		lxm_auto(streams_image) struct streams_image im = { 0 };

		if (streams_find((const char *)data, size, names[i], "x86_64", &im, &e) != 0)
			continue;
		if (!lxm_is_hex(im.fingerprint, 64, 64))
			abort();
		check_file(&im.meta);
		if (im.root.path)
			check_file(&im.root);
	}
	return 0;
}
