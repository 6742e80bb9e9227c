/*
 * Networks as clients see them: lists, state and leases, of managed networks and of the host's other links.
 *
 * Worker threads; reads only.
 */
#include <arpa/inet.h>
#include <dirent.h>
#include <net/if_arp.h>
#include <string.h>

#include "lib/base/alloc.h"
#include "lib/base/fd.h"
#include "lxmd/network/bridge_conf.h"
#include "lxmd/network/network_priv.h"

void network_info_deinit(struct network_info *i)
{
	free(i->name);
	free(i->type);
	free(i->description);
	lxm_kv_deinit(&i->config);
	lxm_strv_deinit(&i->used_by);
	memset(i, 0, sizeof(*i));
}

void network_leases_deinit(struct network_leases *l)
{
	size_t i;

	for (i = 0; i < l->n; i++) {
		free(l->v[i].hostname);
		free(l->v[i].hwaddr);
		free(l->v[i].address);
	}
	free(l->v);
	memset(l, 0, sizeof(*l));
}

void network_state_deinit(struct network_state *s)
{
	nl_addrs_deinit(&s->addrs);
	lxm_strv_deinit(&s->ports);
	memset(s, 0, sizeof(*s));
}

/* ---- lists */

static int rows_tx(struct db_tx *tx, void *arg, struct lxm_err *e)
{
	return db_network_list(tx, NULL, arg, e);
}

static const char *link_type(const struct nl_link *l)
{
	if (l->flags & IFF_LOOPBACK)
		return "loopback";
	if (lxm_streq(l->kind, "bridge") || lxm_streq(l->kind, "bond") || lxm_streq(l->kind, "vlan") ||
	    lxm_streq(l->kind, "macvlan"))
		return l->kind;
	return !l->kind[0] && l->arptype == ARPHRD_ETHER ? "physical" : "unknown";
}

static void info_of_link(const struct nl_link *l, struct network_info *out)
{
	*out = (struct network_info){ .name = lxm_strdup(l->name),
				      .type = lxm_strdup(link_type(l)),
				      .description = lxm_strdup(""),
				      .status = "" };
}

static void info_of_row(struct networks *ns, const struct db_network *row, struct network_info *out)
{
	const struct network *n;

	*out = (struct network_info){ .name = lxm_strdup(row->name),
				      .type = lxm_strdup(row->type),
				      .description = lxm_strdup(row->description),
				      .managed = true };
	lxm_kv_copy(&out->config, &row->config);
	lxm_strv_copy(&out->used_by, &row->used_by);
	pthread_mutex_lock(&ns->lock);
	n = network_find(ns, row->name);
	out->status = row->state == DB_PENDING ? "Pending" : n && n->up ? "Created" : "Unavailable";
	pthread_mutex_unlock(&ns->lock);
}

static bool rows_have(const struct db_networks *rows, const char *name)
{
	size_t i;

	for (i = 0; i < rows->n; i++)
		if (lxm_streq(rows->v[i].name, name))
			return true;
	return false;
}

static int by_name(const void *a, const void *b)
{
	const struct network_info *x = a, *y = b;

	if (x->managed != y->managed)
		return x->managed ? -1 : 1;
	return strcmp(x->name, y->name);
}

int network_list(struct lxmd *d, struct network_info **v_out, size_t *n_out, struct lxm_err *e)
{
	lxm_auto(nl_links) struct nl_links links = { 0 };
	lxm_auto(db_networks) struct db_networks rows = { 0 };
	lxm_auto(fd_close) int rtnl = nl_open();
	struct network_info *v;
	size_t i, n = 0;
	int r;

	if (rtnl < 0)
		return lxm_err_sys(e, "open netlink");
	r = db_read(d->db, rows_tx, &rows, e);
	if (r == 0)
		r = nl_link_list(rtnl, 1u << 20, &links, e);
	if (r < 0)
		return lxm_err_wrap(e, r, "list networks");
	v = lxm_realloc_n(NULL, rows.n + links.n + 1, sizeof(*v));
	for (i = 0; i < rows.n; i++)
		info_of_row(d->networks, &rows.v[i], &v[n++]);
	for (i = 0; i < links.n; i++)
		if (!lxm_streq(links.v[i].kind, "veth") && !rows_have(&rows, links.v[i].name))
			info_of_link(&links.v[i], &v[n++]);
	qsort(v, n, sizeof(*v), by_name);
	*v_out = v;
	*n_out = n;
	return 0;
}

struct get_job {
	const char *name;
	struct db_network row;
};

static int get_tx(struct db_tx *tx, void *arg, struct lxm_err *e)
{
	struct get_job *j = arg;

	return db_network_get(tx, "default", j->name, &j->row, e);
}

/* Link by a name that a client chose. */
static int link_by_name(const char *name, int *rtnl_out, struct nl_link *l, struct lxm_err *e)
{
	lxm_auto(fd_close) int rtnl = nl_open();

	if (rtnl < 0)
		return lxm_err_sys(e, "open netlink");
	if (nl_link_get(rtnl, name, l, NULL) < 0)
		return lxm_err_set(e, ENOENT, "network '%s' not found", name);
	*rtnl_out = LXM_TAKE(rtnl, -1);
	return 0;
}

int network_get(struct lxmd *d, const char *name, struct network_info *out, struct lxm_err *e)
{
	struct get_job job = { .name = name };
	lxm_auto(fd_close) int rtnl = -1;
	struct nl_link l;
	int r = db_read(d->db, get_tx, &job, e);

	if (r == 0)
		info_of_row(d->networks, &job.row, out);
	db_network_deinit(&job.row);
	if (r != DB_NONE)
		return r;
	r = link_by_name(name, &rtnl, &l, e);
	if (r == 0)
		info_of_link(&l, out);
	return r;
}

/* ---- state */

static uint64_t sys_number(const char *link, const char *file)
{
	lxm_auto(buf) struct lxm_buf b = { 0 };
	char path[128];

	(void)snprintf(path, sizeof(path), "/sys/class/net/%s/%s", link, file);
	return lxm_read_file(path, 64, &b) == 0 && b.len ? strtoull(b.data, NULL, 10) : 0;
}

static void bridge_state(const struct nl_link *l, struct network_state *out)
{
	lxm_auto(buf) struct lxm_buf id = { 0 };
	char path[128];
	const struct dirent *de;
	DIR *dir;

	out->is_bridge = true;
	(void)snprintf(path, sizeof(path), "/sys/class/net/%s/bridge/bridge_id", l->name);
	if (lxm_read_file(path, 64, &id) == 0 && id.len)
		(void)snprintf(out->bridge_id, sizeof(out->bridge_id), "%.*s", (int)strcspn(id.data, "\n"), id.data);
	out->stp = sys_number(l->name, "bridge/stp_state") != 0;
	out->forward_delay = sys_number(l->name, "bridge/forward_delay");
	out->vlan_default = (uint32_t)sys_number(l->name, "bridge/default_pvid");
	out->vlan_filtering = sys_number(l->name, "bridge/vlan_filtering") != 0;
	(void)snprintf(path, sizeof(path), "/sys/class/net/%s/brif", l->name);
	dir = opendir(path);
	while (dir && (de = readdir(dir)))
		if (de->d_name[0] != '.')
			lxm_strv_add(&out->ports, de->d_name);
	if (dir)
		(void)closedir(dir);
}

/* The link whose state a network has: a bridge's own, an uplink's parent, or its VLAN where a NIC made that. */
static const char *link_of(struct lxmd *d, const char *name, char below[2 * IFNAMSIZ])
{
	lxm_auto(kv) struct lxm_kv keys = { 0 };

	if (!network_uplink(d, name, &keys))
		return name;
	(void)snprintf(below, 2 * IFNAMSIZ, "%.15s.%.4s", lxm_kv_or(&keys, "parent", ""), lxm_kv_or(&keys, "vlan", "none"));
	if (strlen(below) >= IFNAMSIZ || !if_nametoindex(below))
		(void)snprintf(below, 2 * IFNAMSIZ, "%s", lxm_kv_or(&keys, "parent", ""));
	return below;
}

int network_get_state(struct lxmd *d, const char *name, struct network_state *out, struct lxm_err *e)
{
	lxm_auto(fd_close) int rtnl = -1;
	char below[2 * IFNAMSIZ];
	size_t i, n = 0;
	int r;

	memset(out, 0, sizeof(*out));
	r = link_by_name(link_of(d, name, below), &rtnl, &out->link, e);
	if (r == 0)
		r = nl_addr_list(rtnl, 1u << 20, &out->addrs, e);
	if (r < 0) {
		network_state_deinit(out);
		return r;
	}
	for (i = 0; i < out->addrs.n; i++)
		if (out->addrs.v[i].index == out->link.index)
			out->addrs.v[n++] = out->addrs.v[i];
	out->addrs.n = n;
	if (lxm_streq(out->link.kind, "bridge"))
		bridge_state(&out->link, out);
	return 0;
}

/* ---- leases */

static void lease_add(struct network_leases *l, const char *name, const char *mac, const char *address,
		      const char *type)
{
	l->v = lxm_realloc_n(l->v, l->n + 1, sizeof(*l->v));
	l->v[l->n++] = (struct network_lease){ .hostname = lxm_strdup(name ? name : ""),
					       .hwaddr = lxm_strdup(mac),
					       .address = lxm_strdup(address),
					       .type = type };
}

static void on_static(const struct dhcp_host *h, void *arg)
{
	if (h->ipv4)
		lease_add(arg, h->name, h->mac, h->ipv4, "static");
	if (h->ipv6)
		lease_add(arg, h->name, h->mac, h->ipv6, "static");
}

static bool leases_have(const struct network_leases *l, const char *address)
{
	size_t i;

	for (i = 0; i < l->n; i++)
		if (lxm_streq(l->v[i].address, address))
			return true;
	return false;
}

static void gateway_add(struct network_leases *out, const char *name, const char *cidr)
{
	lxm_auto(free) char *host = lxm_asprintf("%s.gw", name);
	char address[64];

	if (!cidr[0])
		return;
	(void)snprintf(address, sizeof(address), "%.*s", (int)strcspn(cidr, "/"), cidr);
	lease_add(out, host, "", address, "gateway");
}

int network_get_leases(struct lxmd *d, const char *name, struct network_leases *out, struct lxm_err *e)
{
	struct networks *ns = d->networks;
	struct dhcp_lease *v = NULL;
	const struct network *n;
	size_t i, count = 0, fixed;
	int r;

	pthread_mutex_lock(&ns->lock);
	n = network_find(ns, name);
	if (!n) {
		pthread_mutex_unlock(&ns->lock);
		return strlen(name) < IFNAMSIZ && if_nametoindex(name)
			       ? lxm_err_http(e, 404, EOPNOTSUPP, "link '%s' is not managed by lxm: no leases are known", name)
			       : lxm_err_set(e, ENOENT, "network '%s' not found", name);
	}
	if (!(n->type->flags & NETWORK_CAN_DHCP)) {
		pthread_mutex_unlock(&ns->lock);
		return lxm_err_http(e, 400, EOPNOTSUPP, "network '%s' gives no addresses out: no leases are known", name);
	}
	gateway_add(out, name, n->gateway4);
	gateway_add(out, name, n->gateway6);
	dhcp_hosts_each(n->hosts, on_static, out);
	r = dhcp_leases(n->dirfd, &v, &count, e);
	pthread_mutex_unlock(&ns->lock);
	fixed = out->n;
	for (i = 0; r == 0 && i < count; i++) {
		struct network_leases head = { out->v, fixed };

		if (!leases_have(&head, v[i].address))
			lease_add(out, v[i].name, v[i].mac, v[i].address, "dynamic");
	}
	free(v);
	return r;
}
