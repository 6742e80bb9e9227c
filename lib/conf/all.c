/* The list of all key tables, for the documentation and for the test that walks them. */
#include <pthread.h>

#include "lib/base/alloc.h"
#include "lib/conf/devices.h"

#define TABLES_MAX 64

static struct conf_named_table all[TABLES_MAX]; /* filled once; ends with a NULL table */
static size_t all_n;

static void add(const char *kind, const char *name, const struct conftable *t)
{
	all[all_n++] = (struct conf_named_table){ lxm_asprintf("%s%s", kind, name), t };
}

static void fill(void)
{
	static const char *const networks[] = { "bridge", "macvlan", "physical" };
	static const char *const drivers[] = { "btrfs", "ceph", "dir", "lvm", "overlay", "zfs" };
	size_t i;

	add("server", "", &conf_server);
	add("instance", "", &conf_instance);
	add("profile", "", &conf_profile);
	add("project", "", &conf_project);
	for (i = 0; i < LXM_ARRAY_LEN(networks); i++)
		add("network-", networks[i], conf_network(networks[i]));
	add("network-acl", "", &conf_network_acl);
	add("network-forward", "", &conf_network_forward);
	add("network-zone", "", &conf_network_zone);
	for (i = 0; i < LXM_ARRAY_LEN(drivers); i++)
		add("storage-", drivers[i], conf_pool(drivers[i]));
	for (i = 0; i < LXM_ARRAY_LEN(drivers); i++)
		add("storage-volume-", drivers[i], conf_volume(drivers[i]));
	for (i = 0; i < devtypes_nic_n; i++)
		add("device-nic-", devtypes_nic[i].name, &devtypes_nic[i].table);
	for (i = 0; i < devtypes_n; i++)
		add("device-", devtypes[i].name, &devtypes[i].table);
}

const struct conf_named_table *conf_all_tables(void)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	pthread_once(&once, fill);
	return all;
}
