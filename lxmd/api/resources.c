/* /1.0/resources: what the host is made of. Worker threads; nothing is kept between requests. */
#include "lxmd/api/resources.h"

#include <fcntl.h>

#include "lxmd/api/api.h"

int api_resources_get(struct request *rq, struct lxm_err *e)
{
	lxm_auto(fd_close) int root = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);

	if (root < 0)
		return lxm_err_sys(e, "open '/'");
	return reply_sync(rq, json_pack("{s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "cpu", resources_cpu(root),
					"memory", resources_memory(root), "load", resources_load(root), "gpu",
					resources_gpu(root), "network", resources_network(root), "storage",
					resources_storage(root), "usb", resources_usb(root), "pci", resources_pci(root),
					"system", resources_system(root)));
}
