/* recipe_parse() over any bytes; what it accepts is picked as well. */
#include <stdint.h>

#include "lxmd/image/recipe.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	lxm_auto(pick) struct recipe_pick pick = { 0 };
	struct recipe *rc = NULL;
	struct lxm_err e = { 0 };

	if (size > 4096 || recipe_parse("fuzz", "fuzz/recipe.yaml", (const char *)data, size, &rc, &e) < 0)
		return 0;
	if (recipe_pick(rc, NULL, NULL, "x86_64", &pick, &e) < 0)
		recipe_free(rc);
	return 0;
}
