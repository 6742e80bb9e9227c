/*
 * Network interfaces: which kind a device is, and what every kind decides alike (names, MAC, MTU).
 *
 * lxmd decides names, MAC and MTU; lxm-monitor makes the links in the start plan, so that the end inside appears in
 * the instance's namespace at once.
 */
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <time.h>

#include "lib/base/alloc.h"
#include "lib/conf/tables.h"
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
	const char *given = nic_get(c, "host_name");
	int tries;

	if (!given && name_by_mac(c, mac, out))
		return 0;
	if (!given && !proposed)
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

int nic_hot_make(const struct device_live *live, const struct plan_nic *n, struct lxm_err *e)
{
	lxm_auto(fd_close) int fd = -1;
	int r = plan_nic_seal(n, &fd, e);

	return r < 0 ? r : mon_call_nic(live->rundir, MON_NIC_ADD, NULL, fd, HOT_MS, e);
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

static const struct device_type *const kinds[] = {
	&nic_bridged, &nic_ipvlan, &nic_macvlan, &nic_p2p, &nic_physical, &nic_routed,
};

/* A device as its kind sees it: a NIC with network= has inherited what the network says. */
struct meant {
	const struct device_type *kind; /* NULL: there is no such */
	struct device_ctx c;
	struct lxm_kv kv; /* owned, where it differs */
};

static void meant_deinit(struct meant *m)
{
	lxm_kv_deinit(&m->kv);
}
LXM_AUTO_STRUCT(meant, struct meant, meant_deinit)

static void meant_by(const struct device_ctx *c, const struct lxm_kv *kv, struct meant *out)
{
	const char *network = lxm_kv_or(kv, "network", NULL), *type;
	lxm_auto(kv) struct lxm_kv inherited = { 0 };
	size_t i;

	*out = (struct meant){ .c = *c };
	out->c.kv = kv;
	type = lxm_kv_or(kv, "nictype", "bridged");
	if (network && network_uplink(c->d, network, &inherited)) {
		lxm_kv_copy(&out->kv, kv);
		lxm_kv_merge(&out->kv, &inherited);
		type = lxm_kv_get(&out->kv, "nictype");
	}
	for (i = 0; i < LXM_ARRAY_LEN(kinds); i++)
		if (strcmp(kinds[i]->name, type) == 0)
			out->kind = kinds[i];
}

/* The struct stays where it is from here on. */
static const struct device_type *meant_kv(struct meant *m)
{
	if (m->kv.n)
		m->c.kv = &m->kv;
	return m->kind;
}

static int no_kind(const struct device_ctx *c, struct lxm_err *e)
{
	return lxm_err_http(e, 400, EOPNOTSUPP, "nictype '%s' is not supported", lxm_kv_or(c->kv, "nictype", "bridged"));
}

/* The key tables know network= as a bridge's port; what other networks say their NICs cannot say otherwise. */
static int check_inherited(const struct device_ctx *c, const struct meant *m, struct lxm_err *e)
{
	static const char *const theirs[] = { "mtu", "vlan", "gvrp" };
	size_t i;

	for (i = 0; i < LXM_ARRAY_LEN(theirs); i++)
		if (nic_get(c, theirs[i]))
			return lxm_err_set(e, EINVAL, "'%s' is set on the network '%s'", theirs[i], nic_get(c, "network"));
	return conf_check(conf_device("nic", m->kind->name), &m->kv, e);
}

static int nic_validate(const struct device_ctx *c, bool instance, struct lxm_err *e)
{
	lxm_auto(meant) struct meant m;
	int r;

	meant_by(c, c->kv, &m);
	if (!meant_kv(&m))
		return no_kind(c, e);
	r = m.kv.n ? check_inherited(c, &m, e) : 0;
	return r == 0 && m.kind->validate ? m.kind->validate(&m.c, instance, e) : r;
}

static int nic_add(struct device_ctx *c, struct lxm_err *e)
{
	lxm_auto(meant) struct meant m;

	meant_by(c, c->kv, &m);
	return meant_kv(&m) && m.kind->add ? m.kind->add(&m.c, e) : 0;
}

static void nic_remove(struct device_ctx *c)
{
	lxm_auto(meant) struct meant m;

	meant_by(c, c->kv, &m);
	if (meant_kv(&m) && m.kind->remove)
		m.kind->remove(&m.c);
	device_volatile_set(c, "hwaddr", "");
	device_volatile_set(c, "name", "");
	device_volatile_set(c, "host_name", "");
	device_volatile_set(c, "ipv4.address", "");
	device_volatile_set(c, "ipv6.address", "");
}

static int nic_start(struct device_ctx *c, struct plan *plan, struct lxm_err *e)
{
	lxm_auto(meant) struct meant m;

	meant_by(c, c->kv, &m);
	return meant_kv(&m) ? m.kind->start(&m.c, plan, e) : no_kind(c, e);
}

/* The host end of the pair, or NULL. */
static const char *host_end(const struct device_ctx *c)
{
	return device_volatile(c, "host_name");
}

static int nic_started(struct device_ctx *c, const struct device_live *live, struct lxm_err *e)
{
	lxm_auto(meant) struct meant m;
	int r;

	meant_by(c, c->kv, &m);
	if (!meant_kv(&m))
		return 0;
	r = m.kind->started ? m.kind->started(&m.c, live, e) : 0;
	return r == 0 && host_end(c) ? nic_limits_apply(&m.c, host_end(c), live->again, e) : r;
}

static void nic_stop(struct device_ctx *c)
{
	lxm_auto(meant) struct meant m;

	meant_by(c, c->kv, &m);
	if (!meant_kv(&m))
		return;
	if (host_end(c))
		nic_limits_end(&m.c, host_end(c));
	m.kind->stop(&m.c);
}

static int not_live(const struct meant *m, const char *what, struct lxm_err *e)
{
	return lxm_err_http(e, 400, EOPNOTSUPP, "a %s nic cannot be %s while the instance runs: stop it first", m->kind->name, what);
}

static int nic_hot_remove(struct device_ctx *c, const struct device_live *live, struct lxm_err *e)
{
	lxm_auto(meant) struct meant m;

	meant_by(c, c->kv, &m);
	if (!meant_kv(&m))
		return no_kind(c, e);
	if (!m.kind->hot_remove)
		return not_live(&m, "removed", e);
	if (host_end(c))
		nic_limits_end(&m.c, host_end(c));
	return m.kind->hot_remove(&m.c, live, e);
}

static int nic_hot_add(struct device_ctx *c, const struct device_live *live, struct lxm_err *e)
{
	lxm_auto(meant) struct meant m;
	int r;

	meant_by(c, c->kv, &m);
	if (!meant_kv(&m))
		return no_kind(c, e);
	if (!m.kind->hot_add)
		return not_live(&m, "added", e);
	r = m.kind->hot_add(&m.c, live, e);
	if (r == 0) {
		r = nic_started(c, live, e);
		if (r < 0)
			(void)nic_hot_remove(c, live, NULL);
	}
	return r;
}

/* ---- changed while the instance runs */

static bool among(const char *key, const char *const *keys)
{
	for (; keys && *keys; keys++)
		if (lxm_streq(key, *keys))
			return true;
	return false;
}

/* What a change of properties is about. */
struct changed {
	bool limits, kind, other;
};

static void look_at(const struct lxm_kv *a, const struct lxm_kv *b, const struct device_type *t, struct changed *out)
{
	static const char *const limits[] = { "limits.ingress", "limits.egress", "limits.max", "limits.priority", "queue.tx.length", NULL };

	lxm_kv_each(p, a) {
		if (lxm_streq(lxm_kv_or(b, p->key, ""), p->value))
			continue;
		if (among(p->key, limits))
			out->limits = true;
		else if (among(p->key, t->live_keys))
			out->kind = true;
		else
			out->other = true;
	}
}

static int limits_or_back(struct device_ctx *c, const struct lxm_kv *old, struct lxm_err *e)
{
	struct device_ctx before = *c;
	int r = nic_limits_apply(c, host_end(c), true, e);

	before.kv = old;
	if (r < 0)
		(void)nic_limits_apply(&before, host_end(c), true, NULL);
	return r;
}

static int change(struct meant *m, const struct lxm_kv *old, const struct changed *what, const struct device_live *live, struct lxm_err *e)
{
	int r = what->kind ? m->kind->hot_update(&m->c, old, live, e) : 0;

	/* nothing of its own: it is about the instance's limits.network.priority */
	if (r == 0 && (what->limits || !what->kind)) {
		r = limits_or_back(&m->c, old, e);
		if (r < 0 && what->kind) {
			struct device_ctx before = m->c;

			before.kv = old;
			(void)m->kind->hot_update(&before, m->c.kv, live, NULL);
		}
	}
	return r;
}

static int nic_hot_update(struct device_ctx *c, const struct lxm_kv *old, const struct device_live *live,
			  struct lxm_err *e)
{
	lxm_auto(meant) struct meant m, was;
	struct changed what = { 0 };

	meant_by(c, c->kv, &m);
	meant_by(c, old, &was);
	if (!meant_kv(&m) || m.kind != meant_kv(&was))
		return DEVICE_ANEW;
	look_at(m.c.kv, was.c.kv, m.kind, &what);
	look_at(was.c.kv, m.c.kv, m.kind, &what);
	if (!host_end(c))
		return what.limits || what.kind || what.other ? DEVICE_ANEW : 0;
	return what.other ? DEVICE_ANEW : change(&m, was.c.kv, &what, live, e);
}

const struct device_type device_nic = {
	.name = "nic",
	.flags = DEVICE_HOT_ADD | DEVICE_HOT_REMOVE | DEVICE_HOT_UPDATE,
	.validate = nic_validate,
	.add = nic_add,
	.remove = nic_remove,
	.start = nic_start,
	.started = nic_started,
	.stop = nic_stop,
	.hot_add = nic_hot_add,
	.hot_remove = nic_hot_remove,
	.hot_update = nic_hot_update,
};
