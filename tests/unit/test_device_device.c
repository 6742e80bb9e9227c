/* lxmd/device: what is refused before anything happens, and what a start puts into the plan. */
#include "tests/unit/scratch.h"
#include "tests/unit/unit.h"

#include <fcntl.h>
#include <string.h>

#include "db/db.h"
#include "lib/base/fd.h"
#include "lib/wire/plan.h"
#include "lxmd/device/device.h"
#include "lxmd/network/network_priv.h"

/* A daemon with one managed network "br0", whose host entries lie in a directory of the test's. */
static char top[SCRATCH_MAX];
static struct lxmd d;
static struct networks ns;
static struct network net;
static struct network *list[] = { &net };

static void up(void)
{
	memset(&d, 0, sizeof(d));
	memset(&ns, 0, sizeof(ns));
	memset(&net, 0, sizeof(net));
	scratch(top, "device");
	CU_ASSERT_FATAL(db_cluster_open(top, &d.db, NULL) == 0);
	pthread_mutex_init(&ns.lock, NULL);
	ns.fw = fw_new(1);
	net.d = &d;
	net.type = &network_bridge;
	net.name = (char *)"br0";
	net.up = true;
	net.dirfd = open(top, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	(void)snprintf(net.ports, sizeof(net.ports), "veth12345");
	lxm_kv_set(&net.config, "ipv4.address", "10.5.0.1/16");
	CU_ASSERT_FATAL(dhcp_hosts_open(net.dirfd, &net.hosts, NULL) == 0);
	ns.v = list;
	ns.n = 1;
	d.networks = &ns;
}

static void down(void)
{
	dhcp_hosts_free(net.hosts);
	(void)close(net.dirfd);
	fw_free(ns.fw);
	db_cluster_close(d.db);
	lxm_kv_deinit(&net.config);
	(void)lxm_rm_tree_at(AT_FDCWD, top);
}

/* "key=value" pairs up to NULL. */
static int validate(struct lxm_err *e, const char *pair, ...)
{
	lxm_auto(kv) struct lxm_kv kv = { 0 };
	struct device_ctx c = { .d = &d, .project = "default", .instance_name = "c1", .name = "dev", .kv = &kv };
	va_list ap;

	va_start(ap, pair);
	for (; pair; pair = va_arg(ap, const char *)) {
		lxm_auto(free) char *key = strndup(pair, strcspn(pair, "="));

		lxm_kv_set(&kv, key, pair + strcspn(pair, "=") + 1);
	}
	va_end(ap);
	return device_validate(&c, true, e);
}

static void types_that_are_not_there_are_named(void)
{
	struct lxm_err e = { 0 };

	up();
	CU_ASSERT(validate(&e, "type=none", NULL) == 0);
	CU_ASSERT(validate(&e, "type=tpm", NULL) < 0);
	CU_ASSERT_PTR_NOT_NULL(strstr(e.msg, "tpm"));
	CU_ASSERT(validate(&e, "type=bogus", NULL) < 0);
	CU_ASSERT_PTR_NOT_NULL(strstr(e.msg, "bogus"));
	CU_ASSERT(validate(&e, "path=/x", NULL) < 0);
	down();
}

static void nics_need_a_network_that_is_there(void)
{
	struct lxm_err e = { 0 };

	up();
	CU_ASSERT(validate(&e, "type=nic", "network=br0", NULL) == 0);
	CU_ASSERT(validate(&e, "type=nic", "nictype=bridged", "parent=br0", NULL) == 0);
	CU_ASSERT(validate(&e, "type=nic", "network=nosuch", NULL) == -ENOENT);
	CU_ASSERT(lxm_err_status(&e) == 404);
	CU_ASSERT(validate(&e, "type=nic", "network=br0", "hwaddr=01:00:00:00:00:01", NULL) < 0);
	CU_ASSERT(validate(&e, "type=nic", "network=br0", "bogus=1", NULL) < 0);
	down();
}

static void fixed_addresses_lie_in_the_subnet(void)
{
	struct lxm_err e = { 0 };

	up();
	CU_ASSERT(validate(&e, "type=nic", "network=br0", "ipv4.address=10.5.0.9", NULL) == 0);
	CU_ASSERT(validate(&e, "type=nic", "network=br0", "ipv4.address=10.6.0.9", NULL) == -EINVAL);
	CU_ASSERT(validate(&e, "type=nic", "network=br0", "ipv4.address=10.5.0.1", NULL) == -EINVAL);
	CU_ASSERT(validate(&e, "type=nic", "network=br0", "ipv6.address=fd42::9", NULL) == -EINVAL);
	CU_ASSERT(validate(&e, "type=nic", "nictype=bridged", "parent=other", "ipv4.address=10.5.0.9", NULL) == -EINVAL);
	/* one is reserved for it; of a bridge that gives none out it has to be named */
	CU_ASSERT(validate(&e, "type=nic", "network=br0", "security.ipv4_filtering=true", NULL) == 0);
	CU_ASSERT(validate(&e, "type=nic", "nictype=bridged", "parent=other", "security.ipv4_filtering=true", NULL) == -EINVAL);
	CU_ASSERT(validate(&e, "type=nic", "nictype=bridged", "parent=other", "security.ipv4_filtering=true", "ipv4.address=none", NULL) == 0);
	CU_ASSERT(validate(&e, "type=nic", "network=br0", "security.ipv4_filtering=true", "vlan.tagged=7", NULL) == -EINVAL);
	CU_ASSERT(validate(&e, "type=nic", "network=br0", "vlan.tagged=7,4095", NULL) == -EINVAL);
	CU_ASSERT(validate(&e, "type=nic", "network=br0", "host_name=a\"b", NULL) == -EINVAL);
	CU_ASSERT(validate(&e, "type=nic", "network=br0", "host_name=veth*", NULL) == -EINVAL);
	down();
}

static void nics_inherit_from_an_uplink(void)
{
	struct lxm_err e = { 0 };

	up();
	net.type = &network_macvlan;
	lxm_kv_deinit(&net.config);
	lxm_kv_set(&net.config, "parent", "eth7");
	lxm_kv_set(&net.config, "vlan", "5");
	CU_ASSERT(validate(&e, "type=nic", "network=br0", "hwaddr=00:16:3e:00:00:01", NULL) == 0);
	/* a bridge's keys, and those that the network has */
	CU_ASSERT(validate(&e, "type=nic", "network=br0", "ipv4.address=10.5.0.9", NULL) == -EINVAL);
	CU_ASSERT(validate(&e, "type=nic", "network=br0", "mtu=1400", NULL) == -EINVAL);
	CU_ASSERT_PTR_NOT_NULL(strstr(e.msg, "set on the network"));
	/* it is no link to give away */
	CU_ASSERT(validate(&e, "type=nic", "nictype=physical", "parent=br0", NULL) == -EINVAL);
	CU_ASSERT(validate(&e, "type=nic", "nictype=physical", "parent=eth7", NULL) == 0);
	down();
}

static void addresses_of_routed_nics_are_checked(void)
{
	struct lxm_err e = { 0 };

	up();
	CU_ASSERT(validate(&e, "type=nic", "nictype=routed", "ipv4.address=10.5.0.9, 10.5.0.10", "ipv6.address=fd42::9", NULL) == 0);
	CU_ASSERT(validate(&e, "type=nic", "nictype=routed", "ipv4.address=10.5.0.9,10.5.0.9", NULL) == -EINVAL);
	CU_ASSERT(validate(&e, "type=nic", "nictype=routed", "ipv6.address=fd42::9,fd42:0::9", NULL) == -EINVAL);
	CU_ASSERT(validate(&e, "type=nic", "nictype=routed", "ipv4.routes=10.0.0.0/8", NULL) == -EINVAL);
	CU_ASSERT(validate(&e, "type=nic", "nictype=routed", "vlan=5", NULL) == -EINVAL);
	CU_ASSERT(validate(&e, "type=nic", "nictype=ipvlan", "parent=eth7", "mode=l2", "ipv4.address=10.5.0.9/24", "ipv4.gateway=10.5.0.1", NULL) == 0);
	CU_ASSERT(validate(&e, "type=nic", "nictype=ipvlan", "parent=eth7", "mode=l2", "ipv4.gateway=fd42::1", NULL) == -EINVAL);
	CU_ASSERT(validate(&e, "type=nic", "nictype=ipvlan", "parent=eth7", "ipv4.address=10.5.0.9/24", NULL) == -EINVAL);
	CU_ASSERT(validate(&e, "type=nic", "nictype=ipvlan", "parent=eth7", "ipv4.gateway=10.5.0.1", NULL) == -EINVAL);
	down();
}

static void disks_need_a_source_that_is_there(void)
{
	struct lxm_err e = { 0 };

	up();
	CU_ASSERT(validate(&e, "type=disk", "path=/", "pool=default", NULL) == 0);
	CU_ASSERT(validate(&e, "type=disk", "path=/mnt", "source=/tmp", NULL) == 0);
	CU_ASSERT(validate(&e, "type=disk", "path=/mnt", "source=/nosuch", NULL) == -ENOENT);
	CU_ASSERT(validate(&e, "type=disk", "path=/mnt", "source=/nosuch", "required=false", NULL) == 0);
	CU_ASSERT(validate(&e, "type=disk", "path=/../etc", "source=/tmp", NULL) < 0);
	/* beside a pool the source is a volume's name, never a path */
	CU_ASSERT(validate(&e, "type=disk", "path=/mnt", "source=/etc", "pool=default", NULL) == -EINVAL);
	CU_ASSERT(validate(&e, "type=disk", "path=/mnt", "source=../v", "pool=default", NULL) == -EINVAL);
	CU_ASSERT(validate(&e, "type=disk", "path=/mnt", "source=v", "pool=a/../b", NULL) == -EINVAL);
	CU_ASSERT(validate(&e, "type=disk", "path=//", "source=/tmp", NULL) == -EINVAL);
	down();
}

static void memory_is_not_handed_out(void)
{
	struct lxm_err e = { 0 };

	up();
	CU_ASSERT(validate(&e, "type=unix-char", "path=/dev/null", NULL) == 0);
	CU_ASSERT(validate(&e, "type=unix-char", "path=/dev/mem", "major=1", "minor=1", NULL) == -EPERM);
	CU_ASSERT(lxm_err_status(&e) == 403);
	CU_ASSERT(validate(&e, "type=unix-char", "path=/etc/passwd", NULL) < 0);
	CU_ASSERT(validate(&e, "type=unix-char", "path=/dev/nosuch", NULL) == -ENOENT);
	down();
}

static void a_nic_is_named_once_and_keeps_its_mac(void)
{
	lxm_auto(plan_free) struct plan *p = plan_new();
	lxm_auto(kv) struct lxm_kv kv = { 0 }, changes = { 0 }, config = { 0 };
	struct device_ctx c = { .d = &d, .instance = 7, .project = "default", .instance_name = "c7", .name = "eth0",
				.kv = &kv, .config = &config, .changes = &changes };
	const char *mac;

	up();
	lxm_kv_set(&kv, "type", "nic");
	lxm_kv_set(&kv, "network", "br0");
	CU_ASSERT_FATAL(device_add(&c, NULL) == 0);
	mac = lxm_kv_get(&changes, "volatile.eth0.hwaddr");
	CU_ASSERT_FATAL(mac && lxm_starts(mac, "00:16:3e:"));
	lxm_kv_copy(&config, &changes);
	lxm_kv_deinit(&changes);
	CU_ASSERT_FATAL(device_start(&c, p, NULL) == 0);
	CU_ASSERT_PTR_NULL(lxm_kv_get(&changes, "volatile.eth0.hwaddr"));
	CU_ASSERT(lxm_starts(lxm_kv_get(&changes, "volatile.eth0.host_name"), "veth12345"));
	CU_ASSERT_STRING_EQUAL(lxm_kv_get(&changes, "volatile.eth0.name"), "eth0");
	/* the same MAC for another instance */
	lxm_kv_set(&kv, "hwaddr", lxm_kv_get(&config, "volatile.eth0.hwaddr"));
	c.instance = 8;
	CU_ASSERT(device_add(&c, NULL) == -EADDRINUSE);
	c.instance = 7;
	device_remove(&c);
	c.instance = 8;
	CU_ASSERT(device_add(&c, NULL) == 0);
	down();
}

/* Names that are given come first, wherever their devices stand; then those that were chosen. */
static void a_nic_gets_a_name_that_no_other_has(void)
{
	lxm_auto(plan_free) struct plan *p = plan_new();
	lxm_auto(devs) struct lxm_devs devs = { 0 };
	lxm_auto(kv) struct lxm_kv changes = { 0 }, config = { 0 };
	static const char *const names[] = { "aaa", "eth0", "lan", "wan" };
	struct device_ctx c = { .d = &d, .instance = 7, .project = "default", .instance_name = "c7",
				.config = &config, .changes = &changes, .devices = &devs };
	size_t i;

	up();
	for (i = 0; i < LXM_ARRAY_LEN(names); i++) {
		lxm_kv_set(&lxm_devs_at(&devs, names[i])->kv, "type", "nic");
		lxm_kv_set(&lxm_devs_at(&devs, names[i])->kv, "network", "br0");
	}
	lxm_kv_set(&lxm_devs_at(&devs, "eth0")->kv, "name", "eth0");
	lxm_kv_set(&config, "volatile.wan.name", "eth1");
	for (i = 0; i < LXM_ARRAY_LEN(names); i++) {
		c.name = names[i];
		c.kv = &lxm_devs_get(&devs, names[i])->kv;
		CU_ASSERT_FATAL(device_start(&c, p, NULL) == 0);
	}
	CU_ASSERT_STRING_EQUAL(lxm_kv_get(&changes, "volatile.aaa.name"), "eth2");
	CU_ASSERT_STRING_EQUAL(lxm_kv_get(&changes, "volatile.lan.name"), "eth3");
	CU_ASSERT_PTR_NULL(lxm_kv_get(&changes, "volatile.eth0.name"));
	down();
}

static void an_unavailable_network_is_said_at_the_start(void)
{
	lxm_auto(plan_free) struct plan *p = plan_new();
	lxm_auto(kv) struct lxm_kv kv = { 0 }, changes = { 0 }, config = { 0 };
	struct device_ctx c = { .d = &d, .instance = 7, .project = "default", .instance_name = "c7", .name = "eth0",
				.kv = &kv, .config = &config, .changes = &changes };
	struct lxm_err e = { 0 };

	up();
	lxm_kv_set(&kv, "type", "nic");
	lxm_kv_set(&kv, "network", "br0");
	net.up = false;
	(void)snprintf(net.why, sizeof(net.why), "no such thing");
	CU_ASSERT(device_start(&c, p, &e) == -ENETDOWN);
	CU_ASSERT_PTR_NOT_NULL(strstr(e.msg, "no such thing"));
	down();
}

UNIT_MAIN("device/device", { "types that are not there are named", types_that_are_not_there_are_named },
	  { "nics need a network that is there", nics_need_a_network_that_is_there },
	  { "fixed addresses lie in the subnet", fixed_addresses_lie_in_the_subnet },
	{ "nics inherit from an uplink", nics_inherit_from_an_uplink },
	{ "addresses of routed nics are checked", addresses_of_routed_nics_are_checked },
	  { "disks need a source that is there", disks_need_a_source_that_is_there },
	  { "memory is not handed out", memory_is_not_handed_out },
	  { "a nic is named once and keeps its MAC", a_nic_is_named_once_and_keeps_its_mac },
	  { "a nic gets a name that no other has", a_nic_gets_a_name_that_no_other_has },
	  { "an unavailable network is said at the start", an_unavailable_network_is_said_at_the_start })
