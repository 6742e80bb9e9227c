/* Writing a tree as a unified image. Worker threads. */
#include "lxmd/image/pack.h"

#include "lib/base/str.h"

static int pack_metadata(struct tar_out *t, const struct image_metadata *m, struct lxm_err *e)
{
	lxm_auto(buf) struct lxm_buf text = { 0 };

	image_metadata_emit(m, &text);
	return tar_out_file(t, "metadata.yaml", text.data, text.len, m->created_at, e);
}

int image_pack(const struct image_pack *spec, int out_fd, struct lxm_err *e)
{
	struct tar_out_spec how = { .fd = out_fd, .compression = spec->compression, .op = spec->op, .progress_key = spec->progress_key,
				    .stage = "Pack" };
	lxm_auto(tar_out_free) struct tar_out *t = NULL;
	int r = tar_out_open(&how, &t, e);

	if (r == 0)
		r = pack_metadata(t, spec->meta, e);
	if (r == 0 && spec->templates_fd >= 0)
		r = tar_out_tree(t, spec->templates_fd, "templates", e);
	if (r == 0)
		r = tar_out_tree(t, spec->rootfd, "rootfs", e);
	return r < 0 ? r : tar_out_close(t, e);
}
