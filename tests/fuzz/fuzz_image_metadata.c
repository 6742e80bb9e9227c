/* metadata.yaml of any bytes; what is accepted is written and must be accepted again. */
#include <stdint.h>
#include <stdlib.h>

#include "lxmd/image/metadata.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	lxm_auto(image_metadata) struct image_metadata m = { 0 }, back = { 0 };
	lxm_auto(buf) struct lxm_buf text = { 0 };
	struct lxm_err e = { 0 };

	if (size > 16384 || image_metadata_parse((const char *)data, size, &m, &e) < 0)
		return 0;
	image_metadata_emit(&m, &text);
	if (image_metadata_parse(text.data, text.len, &back, &e) < 0 || back.n_templates != m.n_templates)
		abort();
	json_decref(image_metadata_json(&m));
	return 0;
}
