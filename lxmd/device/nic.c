/*
 * Network interfaces: which kind a device is, and what is done for every kind on the way to it.
 *
 * lxmd decides names, MAC and MTU (nic_common.c); lxm-monitor makes the links in the start plan, so that the end inside appears in
 * the instance's namespace at once.
 */
#include <string.h>

#include "lib/base/alloc.h"
#include "lib/conf/tables.h"
#include "lxmd/device/nic_priv.h"
#include "lxmd/network/network.h"

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

/* The host end of the pair, or NULL. */
static const char *host_end(const struct device_ctx *c)
{
	return device_volatile(c, "host_name");
}

static int nic_start(struct device_ctx *c, struct plan *plan, struct lxm_err *e)
{
	lxm_auto(meant) struct meant m;

	int r;

	meant_by(c, c->kv, &m);
	if (!meant_kv(&m))
		return no_kind(c, e);
	r = m.kind->start(&m.c, plan, e);
	if (r < 0 || !host_end(c))
		return r;
	r = nic_port_plan(&m.c, host_end(c), m.kind == &nic_bridged, plan, e);
	if (r < 0 && !c->replan)
		m.kind->stop(&m.c);
	return r;
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

static void stop(struct meant *m)
{
	if (host_end(&m->c))
		nic_limits_end(&m->c, host_end(&m->c));
	m->kind->stop(&m->c);
}

static void nic_stop(struct device_ctx *c)
{
	lxm_auto(meant) struct meant m;

	meant_by(c, c->kv, &m);
	if (meant_kv(&m))
		stop(&m);
}

static int not_live(const struct meant *m, const char *what, struct lxm_err *e)
{
	return lxm_err_http(e, 400, EOPNOTSUPP, "a %s nic cannot be %s while the instance runs: stop it first", m->kind->name, what);
}

static int nic_hot_remove(struct device_ctx *c, const struct device_live *live, struct lxm_err *e)
{
	lxm_auto(meant) struct meant m;
	int r;

	meant_by(c, c->kv, &m);
	if (!meant_kv(&m))
		return no_kind(c, e);
	if (!m.kind->hot_add)
		return not_live(&m, "removed", e);
	r = nic_hot_drop(&m.c, live, e);
	if (r == 0)
		stop(&m);
	return r;
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
