/*
 * What every kind of NIC decides alike: names, MAC and sizes, the link below, and what the monitor is asked while the instance runs.
 */
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <time.h>

#include "lib/base/alloc.h"
#include "lib/wire/monitor.h"
#include "lxmd/device/nic_priv.h"
#include "lxmd/network/network.h"

#define MAC_TRIES	16
#define HOST_NAME_TRIES 100
#define HOT_MS		10000

const char *nic_get(const struct device_ctx *c, const char *key)
{
	const char *value = lxm_kv_get(c->kv, key);

	return lxm_empty(value) ? NULL : value;
}

const char *nic_fixed(const struct device_ctx *c, const char *key)
{
	const char *value = nic_get(c, key);

	return lxm_streq(value, "none") ? NULL : value;
}

/* ---- MAC */

static int mac_choose(struct device_ctx *c, nic_enter_fn enter, bool fixed_address, char out[18], struct lxm_err *e)
{
	uint8_t mac[6] = { 0x00, 0x16, 0x3e };
	int i, r = 0;

	for (i = 0; i < MAC_TRIES; i++) {
		lxm_random(mac + 3, 3);
		(void)nl_mac_str(mac, out);
		r = enter ? enter(c, out, e) : 0;
		if (r != -EADDRINUSE || fixed_address)
			break;
	}
	if (r == 0)
		device_volatile_set(c, "hwaddr", out);
	return r;
}

int nic_mac(struct device_ctx *c, nic_enter_fn enter, bool fixed_address, char out[18], struct lxm_err *e)
{
	const char *given = nic_get(c, "hwaddr");
	uint8_t mac[6];

	if (!given)
		given = device_volatile(c, "hwaddr");
	if (!given)
		return mac_choose(c, enter, fixed_address, out, e);
	if (nl_mac_parse(given, mac) < 0)
		return lxm_err_set(e, EINVAL, "'%s' is not a unicast MAC address", given);
	(void)nl_mac_str(mac, out);
	return enter ? enter(c, out, e) : 0;
}

/* ---- names */

/* Does another of the instance's NICs have that name inside, given or chosen earlier? */
static bool name_taken(const struct device_ctx *c, const char *name)
{
	struct device_ctx other = *c;

	if (!c->devices)
		return false;
	lxm_devs_each(dev, c->devices) {
		other.name = dev->name;
		other.kv = &dev->kv;
		if (lxm_streq(dev->name, c->name) || !lxm_streq(nic_get(&other, "type"), "nic"))
			continue;
		if (lxm_streq(nic_get(&other, "name") ? nic_get(&other, "name") : device_volatile(&other, "name"), name))
			return true;
	}
	return false;
}

void nic_name(const struct device_ctx *c, char out[IFNAMSIZ])
{
	const char *name = nic_get(c, "name");
	int i = 0;

	if (!name)
		name = device_volatile(c, "name");
	if (name) {
		(void)snprintf(out, IFNAMSIZ, "%s", name);
		return;
	}
	do
		(void)snprintf(out, IFNAMSIZ, "eth%d", i++);
	while (name_taken(c, out));
}

uint32_t nic_mtu(const struct device_ctx *c, uint32_t dflt)
{
	const char *mtu = nic_get(c, "mtu");
	int64_t number = 0;

	return mtu && lxm_parse_i64(mtu, &number) == 0 ? (uint32_t)number : dflt;
}

void nic_list(const struct device_ctx *c, const char *key, struct lxm_strv *out)
{
	const char *value = nic_fixed(c, key), *end;

	for (; value && *value; value = *end ? end + 1 : end) {
		lxm_auto(free) char *part = NULL;

		value += strspn(value, " ");
		end = strchrnul(value, ',');
		part = lxm_asprintf("%.*s", (int)strcspn(value, " ,"), value);
		if (*part)
			lxm_strv_add(out, part);
	}
}

int nic_check_vlan(const struct device_ctx *c, struct lxm_err *e)
{
	if (nic_fixed(c, "vlan") && !nic_get(c, "parent"))
		return lxm_err_set(e, EINVAL, "vlan needs a parent");
	if (lxm_kv_bool(c->kv, "gvrp", false) && !nic_fixed(c, "vlan"))
		return lxm_err_set(e, EINVAL, "gvrp needs a vlan");
	return 0;
}

uint32_t nic_txqlen(const struct device_ctx *c)
{
	const char *len = nic_get(c, "queue.tx.length");
	int64_t number = 0;

	return len && lxm_parse_i64(len, &number) == 0 ? (uint32_t)number : 0;
}

/* instances.nic.host_name=mac: "lxm" and the twelve digits. */
static bool name_by_mac(const struct device_ctx *c, const char *mac, char out[IFNAMSIZ])
{
	uint8_t m[6];

	if (!network_names_by_mac(c->d) || nl_mac_parse(mac, m) < 0)
		return false;
	(void)snprintf(out, IFNAMSIZ, "lxm%02x%02x%02x%02x%02x%02x", m[0], m[1], m[2], m[3], m[4], m[5]);
	return true;
}

static void name_by_chance(char out[IFNAMSIZ])
{
	uint32_t x;

	do {
		lxm_random(&x, sizeof(x));
		(void)snprintf(out, IFNAMSIZ, "veth%08x", x);
	} while (if_nametoindex(out));
}

int nic_host_name(const struct device_ctx *c, const char *proposed, const char *mac, char out[IFNAMSIZ], struct lxm_err *e)
{
	const char *given = nic_get(c, "host_name"), *has = device_volatile(c, "host_name");
	int tries;

	/* it runs, or comes back after a change that failed: it is known by its old name */
	if (has && (c->replan || (!given && !if_nametoindex(has)))) {
		(void)snprintf(out, IFNAMSIZ, "%s", has);
		return 0;
	}
	if (!given && name_by_mac(c, mac, out))
		return 0;
	if (!given && lxm_empty(proposed))
		name_by_chance(out);
	else
		(void)snprintf(out, IFNAMSIZ, "%s", given ? given : proposed);
	/* the one of an instance that was stopped just now goes with its namespace, which takes the kernel a moment */
	for (tries = 0; given && if_nametoindex(out); tries++) {
		if (tries == HOST_NAME_TRIES)
			return lxm_err_set(e, EEXIST, "a link '%s' exists on the host already", out);
		(void)nanosleep(&(struct timespec){ .tv_nsec = 20000000 }, NULL);
	}
	return 0;
}

/* ---- the link below */

int nic_parent_get(struct device_ctx *c, char out[IFNAMSIZ], struct lxm_err *e)
{
	const char *parent = nic_get(c, "parent"), *vlan = nic_fixed(c, "vlan");
	struct network_vlan v = { .parent = parent, .gvrp = lxm_kv_bool(c->kv, "gvrp", false), .instance = c->instance, .device = c->name };
	int64_t id = 0;
	int r;

	if (c->replan) {
		(void)snprintf(out, IFNAMSIZ, "%s", device_volatile(c, NETWORK_VLAN_KEY) ? device_volatile(c, NETWORK_VLAN_KEY) : parent);
		return 0;
	}
	if (!parent || strlen(parent) >= IFNAMSIZ || !if_nametoindex(parent))
		return lxm_err_set(e, ENODEV, "there is no link '%s' on the host", parent ? parent : "");
	(void)snprintf(out, IFNAMSIZ, "%s", parent);
	if (!vlan || lxm_parse_i64(vlan, &id) < 0)
		return 0;
	v.id = (unsigned int)id;
	r = network_vlan_get(c->d, &v, out, e);
	if (r == 0)
		device_volatile_set(c, NETWORK_VLAN_KEY, out);
	return r;
}

void nic_parent_put(struct device_ctx *c)
{
	if (!device_volatile(c, NETWORK_VLAN_KEY))
		return;
	network_vlan_put(c->d, c->instance, c->name);
	device_volatile_set(c, NETWORK_VLAN_KEY, "");
}

/* ---- while the instance runs */

static int hot_make(const struct device_live *live, const struct plan_nic *n, struct lxm_err *e)
{
	lxm_auto(fd_close) int fd = -1;
	int r = plan_nic_seal(n, &fd, e);

	if (r == 0)
		r = mon_call_nic(live->rundir, MON_NIC_ADD, NULL, fd, HOT_MS, e);
	return r < 0 ? lxm_err_wrap(e, r, "add interface '%s'", n->peer) : 0;
}

int nic_make(struct device_ctx *c, const struct plan_nic *n, struct plan *plan, const struct device_live *live, struct lxm_err *e)
{
	const struct plan_step step = { .kind = PLAN_NIC, .u.nic = *n };
	int r = plan ? plan_add(plan, &step, e) : hot_make(live, n, e);

	if (r == 0)
		nic_remember(c, n->host ? n->host : "", n->peer);
	return r;
}

int nic_hot_drop(const struct device_ctx *c, const struct device_live *live, struct lxm_err *e)
{
	struct lxm_err local = { 0 };
	char inside[IFNAMSIZ];
	int r;

	nic_name(c, inside);
	r = mon_call_nic(live->rundir, MON_NIC_DEL, inside, -1, HOT_MS, &local);
	if (r < 0 && r != -ENOENT && e)
		*e = local;
	return r == -ENOENT ? 0 : r;
}

int nic_link_open(const char *link, int *index_out, struct lxm_err *e)
{
	int rtnl = nl_open(), index = (int)if_nametoindex(link);

	if (rtnl < 0)
		return lxm_err_sys(e, "open netlink");
	if (!index) {
		(void)close(rtnl);
		return lxm_err_set(e, ENODEV, "no link '%s' on the host", link);
	}
	*index_out = index;
	return rtnl;
}

void nic_remember(struct device_ctx *c, const char *host, const char *inside)
{
	device_volatile_set(c, "host_name", host);
	if (!nic_get(c, "name"))
		device_volatile_set(c, "name", inside);
}

int nic_netns_open(const struct device_live *live, struct lxm_err *e)
{
	/* the pid is certain while the pidfd says that it has not ended */
	struct pollfd p = { .fd = live->init_pidfd, .events = POLLIN };
	char path[64];
	int fd;

	(void)snprintf(path, sizeof(path), "/proc/%d/ns/net", (int)live->init_pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return lxm_err_sys(e, "open network namespace of the instance");
	if (poll(&p, 1, 0) != 0) {
		(void)close(fd);
		return lxm_err_set(e, ESRCH, "the instance has stopped");
	}
	return fd;
}
