/*
 * VLAN links of the host that NICs and networks stand on: "eth0.5" on top of "eth0".
 *
 * One that is missing is made and marked as ours (ifalias), and removed with its last user; one that was there is used
 * as it is and stays. Who uses which is known from the volatile keys of NICs, read once when the first one is asked for.
 * Worker threads; the main thread at start.
 */
#include <string.h>

#include "db/instance.h"
#include "lib/base/alloc.h"
#include "lib/base/log.h"
#include "lxmd/network/network_priv.h"

struct vlan_user {
	int64_t instance;
	char *device; /* owned */
	char link[IFNAMSIZ];
};

struct vlans {
	pthread_mutex_t lock;
	bool known;
	struct vlan_user *v; /* guarded by lock, like all here */
	size_t n;
};

struct vlans *vlans_new(void)
{
	struct vlans *vs = lxm_alloc(sizeof(*vs));

	pthread_mutex_init(&vs->lock, NULL);
	return vs;
}

void vlans_free(struct vlans *vs)
{
	size_t i;

	if (!vs)
		return;
	for (i = 0; i < vs->n; i++)
		free(vs->v[i].device);
	free(vs->v);
	pthread_mutex_destroy(&vs->lock);
	free(vs);
}

static void add(struct vlans *vs, int64_t instance, const char *device, size_t len, const char *link)
{
	struct vlan_user *u;

	vs->v = lxm_realloc_n(vs->v, vs->n + 1, sizeof(*vs->v));
	u = &vs->v[vs->n++];
	*u = (struct vlan_user){ .instance = instance, .device = lxm_asprintf("%.*s", (int)len, device) };
	(void)snprintf(u->link, sizeof(u->link), "%s", link);
}

/* Every NIC's volatile.NAME.last_state.vlan. */
static int known_tx(struct db_tx *tx, void *arg, struct lxm_err *e)
{
	lxm_auto(db_instances) struct db_instances rows = { 0 };
	struct vlans *vs = arg;
	size_t i;
	int r = db_instance_list(tx, NULL, DB_ANY_TYPE, DB_WITH_ALL, &rows, e);

	for (i = 0; r == 0 && i < rows.n; i++)
		lxm_kv_each(p, &rows.v[i].config) {
			size_t n = strlen(p->key), tail = strlen(NETWORK_VLAN_KEY);

			if (n > 9 + tail + 1 && strncmp(p->key, "volatile.", 9) == 0 && *p->value &&
			    strcmp(p->key + n - tail, NETWORK_VLAN_KEY) == 0)
				add(vs, rows.v[i].id, p->key + 9, n - tail - 10, p->value);
		}
	return r;
}

/* lock held */
static int learn(struct lxmd *d, struct lxm_err *e)
{
	struct vlans *vs = d->networks->vlans;
	int r = vs->known ? 0 : db_read(d->db, known_tx, vs, e);

	if (r == 0)
		vs->known = true;
	return r;
}

static bool used(const struct vlans *vs, const char *link)
{
	size_t i;

	for (i = 0; i < vs->n; i++)
		if (lxm_streq(vs->v[i].link, link))
			return true;
	return false;
}

static bool marked(const struct lxmd *d, const struct nl_link *l)
{
	char mark[NL_ALIAS_MAX];

	network_mark(d, mark);
	return lxm_streq(l->kind, "vlan") && lxm_streq(l->alias, mark);
}

static int make(const struct lxmd *d, const char *link, const char *parent, uint16_t id, bool gvrp, struct lxm_err *e)
{
	lxm_auto(fd_close) int rtnl = nl_open();
	int below = (int)if_nametoindex(parent), r;
	char mark[NL_ALIAS_MAX];

	if (!below)
		return lxm_err_set(e, ENODEV, "there is no link '%s' on the host", parent);
	if (if_nametoindex(link))
		return 0;
	if (rtnl < 0)
		return lxm_err_sys(e, "open netlink");
	r = nl_vlan_add(rtnl, link, below, id, gvrp, e);
	if (r < 0)
		return lxm_err_wrap(e, r, "make VLAN link '%s'", link);
	network_mark(d, mark);
	r = nl_link_alias(rtnl, (int)if_nametoindex(link), mark, e);
	/* without the mark nobody would ever remove it */
	if (r < 0)
		(void)nl_link_del(rtnl, (int)if_nametoindex(link), NULL);
	return r;
}

/* lock held */
static void unmake(const struct lxmd *d, const char *link)
{
	lxm_auto(fd_close) int rtnl = nl_open();
	struct lxm_err e = { 0 };
	struct nl_link l;

	if (rtnl < 0 || used(d->networks->vlans, link) || nl_link_get(rtnl, link, &l, NULL) < 0 || !marked(d, &l))
		return;
	if (nl_link_del(rtnl, l.index, &e) < 0)
		lxm_warn("remove VLAN link '%s': %s", link, e.msg);
}

int network_vlan_get(struct lxmd *d, const struct network_vlan *v, char link_out[IFNAMSIZ], struct lxm_err *e)
{
	struct vlans *vs = d->networks->vlans;
	char link[2 * IFNAMSIZ];
	int r;

	if (snprintf(link, sizeof(link), "%s.%u", v->parent, v->id) >= IFNAMSIZ)
		return lxm_err_set(e, EINVAL, "'%s' is too long for the name of a link: parent and VLAN have 15 bytes together", link);
	pthread_mutex_lock(&vs->lock);
	r = learn(d, e);
	if (r == 0)
		r = make(d, link, v->parent, v->id, v->gvrp, e);
	if (r == 0)
		add(vs, v->instance, v->device, strlen(v->device), link);
	pthread_mutex_unlock(&vs->lock);
	if (r == 0)
		(void)snprintf(link_out, IFNAMSIZ, "%.15s", link);
	return r;
}

void network_vlan_put(struct lxmd *d, int64_t instance, const char *device)
{
	struct vlans *vs = d->networks->vlans;
	char link[IFNAMSIZ] = "";
	struct lxm_err e = { 0 };
	size_t i;

	pthread_mutex_lock(&vs->lock);
	if (learn(d, &e) < 0)
		lxm_warn("find users of VLAN links: %s", e.msg);
	for (i = vs->n; i-- > 0;) {
		if (vs->v[i].instance != instance || !lxm_streq(vs->v[i].device, device))
			continue;
		memcpy(link, vs->v[i].link, sizeof(link));
		free(vs->v[i].device);
		vs->v[i] = vs->v[--vs->n];
	}
	if (*link)
		unmake(d, link);
	pthread_mutex_unlock(&vs->lock);
}

void vlans_remove_strays(struct lxmd *d, const struct nl_links *links)
{
	struct vlans *vs = d->networks->vlans;
	size_t i;

	for (i = 0; i < links->n; i++) {
		if (!marked(d, &links->v[i]))
			continue;
		pthread_mutex_lock(&vs->lock);
		if (learn(d, NULL) == 0 && !used(vs, links->v[i].name)) {
			lxm_info("repair: remove VLAN link '%s', which nobody uses", links->v[i].name);
			unmake(d, links->v[i].name);
		}
		pthread_mutex_unlock(&vs->lock);
	}
}
