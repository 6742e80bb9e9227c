/*
 * Network interfaces: which kind a device is, and what every kind decides alike (names, MAC, MTU).
 *
 * lxmd decides names, MAC and MTU; lxm-monitor makes the links in the start plan, so that the end inside appears in
 * the instance's namespace at once.
 */
#include <fcntl.h>
#include <poll.h>
#include <string.h>

#include "lib/base/alloc.h"
#include "lxmd/device/nic_priv.h"
#include "lxmd/network/network.h"

#define MAC_TRIES 16

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

int nic_host_name(const struct device_ctx *c, const char *proposed, char out[IFNAMSIZ], struct lxm_err *e)
{
	const char *given = nic_get(c, "host_name");

	(void)snprintf(out, IFNAMSIZ, "%s", given ? given : proposed);
	if (given && if_nametoindex(out))
		return lxm_err_set(e, EEXIST, "a link '%s' exists on the host already", out);
	return 0;
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

/* ---- the kind that a device is */

static const struct device_type *const kinds[] = { &nic_bridged };

/* NULL for one that is not there; a NIC with network= is what the network makes of it. */
static const struct device_type *kind_of(const struct lxm_kv *kv)
{
	const char *type = lxm_kv_or(kv, "nictype", "bridged");
	size_t i;

	for (i = 0; i < LXM_ARRAY_LEN(kinds); i++)
		if (strcmp(kinds[i]->name, type) == 0)
			return kinds[i];
	return NULL;
}

static int no_kind(const struct device_ctx *c, struct lxm_err *e)
{
	return lxm_err_http(e, 400, EOPNOTSUPP, "nictype '%s' is not supported yet: use bridged, or network=NAME",
			    lxm_kv_or(c->kv, "nictype", "bridged"));
}

static int nic_validate(const struct device_ctx *c, bool instance, struct lxm_err *e)
{
	const struct device_type *t = kind_of(c->kv);

	return t ? t->validate(c, instance, e) : no_kind(c, e);
}

static int nic_add(struct device_ctx *c, struct lxm_err *e)
{
	const struct device_type *t = kind_of(c->kv);

	return t && t->add ? t->add(c, e) : 0;
}

static void nic_remove(struct device_ctx *c)
{
	const struct device_type *t = kind_of(c->kv);

	if (t && t->remove)
		t->remove(c);
	device_volatile_set(c, "hwaddr", "");
	device_volatile_set(c, "name", "");
	device_volatile_set(c, "host_name", "");
}

static int nic_start(struct device_ctx *c, struct plan *plan, struct lxm_err *e)
{
	const struct device_type *t = kind_of(c->kv);

	return t ? t->start(c, plan, e) : no_kind(c, e);
}

static void nic_stop(struct device_ctx *c)
{
	const struct device_type *t = kind_of(c->kv);

	if (t)
		t->stop(c);
}

static int nic_hot_add(struct device_ctx *c, const struct device_live *live, struct lxm_err *e)
{
	const struct device_type *t = kind_of(c->kv);

	return t ? t->hot_add(c, live, e) : no_kind(c, e);
}

static int nic_hot_remove(struct device_ctx *c, const struct device_live *live, struct lxm_err *e)
{
	const struct device_type *t = kind_of(c->kv);

	return t ? t->hot_remove(c, live, e) : no_kind(c, e);
}

static int nic_hot_update(struct device_ctx *c, const struct lxm_kv *old, const struct device_live *live,
			  struct lxm_err *e)
{
	const struct device_type *t = kind_of(c->kv);

	if (!t || t != kind_of(old))
		return lxm_err_set(e, EOPNOTSUPP, "the change needs the interface made anew");
	return t->hot_update(c, old, live, e);
}

const struct device_type device_nic = {
	.name = "nic",
	.flags = DEVICE_HOT_ADD | DEVICE_HOT_REMOVE | DEVICE_HOT_UPDATE,
	.validate = nic_validate,
	.add = nic_add,
	.remove = nic_remove,
	.start = nic_start,
	.stop = nic_stop,
	.hot_add = nic_hot_add,
	.hot_remove = nic_hot_remove,
	.hot_update = nic_hot_update,
};
