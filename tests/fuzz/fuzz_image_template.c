/* File templates of any bytes. */
#include <stdint.h>

#include "lxmd/image/template.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct lxm_kv config, instance, properties;
	static struct lxm_devs devices;
	struct template_vars vars = { "create", "/etc/x", &instance, &config, &devices, &properties };
	lxm_auto(buf) struct lxm_buf out = { 0 };
	struct lxm_err e = { 0 };

	if (!instance.n) {
		lxm_kv_set(&instance, "name", "c1");
		lxm_kv_set(&config, "user.a", "1,2,3");
		lxm_kv_set(&properties, "default", "d");
		lxm_kv_set(&lxm_devs_at(&devices, "eth0")->kv, "type", "nic");
	}
	if (size <= 4096)
		(void)template_render((const char *)data, size, &vars, &out, &e);
	return 0;
}
