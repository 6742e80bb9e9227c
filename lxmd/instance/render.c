/*
 * Instances and their state as JSON. State comes from the cgroups and from a netlink socket inside the instance's
 * network namespace; no process is started and no namespace entered. Any thread.
 */
#include "lxmd/instance/render.h"

#include <arpa/inet.h>
#include <linux/if_addr.h>
#include <linux/rtnetlink.h>
#include <string.h>

#include "lib/api/json.h"
#include "lib/base/alloc.h"
#include "lib/base/log.h"
#include "lxmd/core/daemon.h"
#include "lxmd/instance/backup.h"
#include "lxmd/instance/run.h"
#include "lxmd/instance/snapshot.h"
#include "lxmd/instance/usage.h"
#include "lxmd/network/netns_state.h"
#include "lxmd/storage/pool.h"

json_t *instance_json(const struct instance *i, struct run *run)
{
	int status = run_status(run);

	return json_pack("{s:s, s:s, s:s, s:i, s:s, s:s, s:s, s:s, s:o, s:o, s:o, s:o, s:o, s:b, s:b, s:o, s:o}", "name",
			 i->row.name, "description", i->row.description ? i->row.description : "", "status",
			 api_status_name(status), "status_code", status, "location",
			 i->row.location ? i->row.location : "none", "type", "container", "project", i->row.project,
			 "architecture", i->row.architecture, "config", js_from_kv(&i->row.config), "expanded_config",
			 js_from_kv(&i->config), "devices", js_from_devs(&i->row.devices), "expanded_devices",
			 js_from_devs(&i->devices), "profiles", js_from_strv(&i->row.profiles), "ephemeral",
			 i->row.ephemeral, "stateful", i->row.stateful, "created_at", js_time(i->row.created_at),
			 "last_used_at", js_time(i->row.last_used_at));
}

json_t *instance_etag_json(const struct instance *i)
{
	lxm_auto(kv) struct lxm_kv config = { 0 };

	lxm_kv_copy(&config, &i->row.config);
	lxm_kv_del_prefix(&config, "volatile.");
	return json_pack("{s:s, s:s, s:o, s:o, s:b, s:o}", "architecture", i->row.architecture, "description",
			 i->row.description ? i->row.description : "", "config", js_from_kv(&config), "devices",
			 js_from_devs(&i->row.devices), "ephemeral", i->row.ephemeral, "profiles",
			 js_from_strv(&i->row.profiles));
}

/* ---- state */

static json_t *memory_json(struct run *run)
{
	uint64_t now = 0, peak = 0, swap = 0;

	if (run)
		usage_memory(run, &now, &peak, &swap);
	return json_pack("{s:I, s:I, s:I, s:I}", "usage", (json_int_t)now, "usage_peak", (json_int_t)peak, "swap_usage",
			 (json_int_t)swap, "swap_usage_peak", (json_int_t)0);
}

static const char *scope_name(uint8_t scope)
{
	return scope == RT_SCOPE_UNIVERSE ? "global" : scope == RT_SCOPE_HOST ? "local" : "link";
}

static json_t *addresses_json(const struct net_state *st, int index)
{
	json_t *a = json_array();
	char text[INET6_ADDRSTRLEN], len[8];
	size_t k;

	for (k = 0; k < st->addrs.n; k++) {
		const struct nl_addr *ad = &st->addrs.v[k];

		if (ad->index != index || !inet_ntop(ad->family, ad->addr, text, sizeof(text)))
			continue;
		snprintf(len, sizeof(len), "%d", ad->prefixlen);
		json_array_append_new(a, json_pack("{s:s, s:s, s:s, s:s}", "family", ad->family == AF_INET ? "inet" : "inet6",
						   "address", text, "netmask", len, "scope", scope_name(ad->scope)));
	}
	return a;
}

/* The host end of a NIC, by the volatile key that its device set; "" for links the container made itself. */
static const char *host_name_of(const struct instance *i, const char *link)
{
	lxm_devs_each(dev, &i->devices) {
		char key[300];
		const char *name = lxm_kv_or(&dev->kv, "name", dev->name);

		snprintf(key, sizeof(key), "volatile.%s.name", dev->name);
		if (!lxm_streq(lxm_kv_or(&i->config, key, name), link))
			continue;
		snprintf(key, sizeof(key), "volatile.%s.host_name", dev->name);
		return lxm_kv_or(&i->config, key, "");
	}
	return "";
}

static json_t *link_json(const struct instance *i, const struct net_state *st, const struct nl_link *l)
{
	bool loop = l->flags & IFF_LOOPBACK;
	char mac[18] = "";

	if (l->has_mac && !loop)
		snprintf(mac, sizeof(mac), "%02x:%02x:%02x:%02x:%02x:%02x", l->mac[0], l->mac[1], l->mac[2], l->mac[3],
			 l->mac[4], l->mac[5]);
	return json_pack("{s:o, s:{s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I}, s:s, s:s, s:I, s:s, s:s}", "addresses",
			 addresses_json(st, l->index), "counters", "bytes_received", (json_int_t)l->rx_bytes, "bytes_sent",
			 (json_int_t)l->tx_bytes, "packets_received", (json_int_t)l->rx_packets, "packets_sent",
			 (json_int_t)l->tx_packets, "errors_received", (json_int_t)l->rx_errors, "errors_sent",
			 (json_int_t)l->tx_errors, "packets_dropped_inbound", (json_int_t)l->rx_dropped,
			 "packets_dropped_outbound", (json_int_t)l->tx_dropped, "hwaddr", mac, "host_name",
			 loop ? "" : host_name_of(i, l->name), "mtu", (json_int_t)l->mtu, "state",
			 l->flags & IFF_UP ? "up" : "down", "type", loop ? "loopback" : "broadcast");
}

static json_t *network_json(const struct instance *i, struct run *run)
{
	const struct net_state *st;
	json_t *o = NULL;
	size_t k;

	pthread_mutex_lock(&run->net_lock);
	if (run->net && net_cache_lock(run->net, true, &st, NULL) == 0) {
		o = json_object();
		for (k = 0; k < st->links.n; k++) {
			json_t *name = js_string(st->links.v[k].name);

			json_object_set_new(o, json_string_value(name), link_json(i, st, &st->links.v[k]));
			json_decref(name);
		}
		net_cache_unlock(run->net);
	}
	pthread_mutex_unlock(&run->net_lock);
	return o ? o : json_object();
}

static json_t *disk_json(struct lxmd *d, const struct instance *i)
{
	lxm_auto(pool_unref) struct pool *pool = NULL;
	struct volume_usage u = { 0 };
	json_t *root;

	if (!i->row.pool || storage_pool_get(d, i->row.pool, &pool, NULL) < 0 ||
	    pool_volume_usage(pool, VOLUME_OF_INSTANCE(i->row.project, i->row.name), &u, NULL) < 0)
		return json_object();
	root = json_pack("{s:I}", "usage", (json_int_t)u.used);
	if (u.total)
		json_object_set_new(root, "total", json_integer((json_int_t)u.total));
	return json_pack("{s:o}", "root", root);
}

json_t *instance_state_json(struct lxmd *d, const struct instance *i, struct run *run, bool usage)
{
	int status = run_status(run);
	bool on = status != API_STOPPED;
	pid_t pid = 0;

	if (on) {
		pthread_mutex_lock(&run->lock);
		pid = run->init_pid;
		pthread_mutex_unlock(&run->lock);
	}
	return json_pack("{s:s, s:i, s:i, s:I, s:{s:I}, s:o, s:o, s:o}", "status", api_status_name(status), "status_code",
			 status, "pid", (int)pid, "processes",
			 on ? (json_int_t)usage_processes(run) : (json_int_t)0, "cpu", "usage",
			 on ? (json_int_t)usage_cpu_ns(run) : (json_int_t)0, "memory", memory_json(on ? run : NULL),
			 "disk", usage ? disk_json(d, i) : json_object(), "network",
			 on ? network_json(i, run) : json_null());
}

json_t *snapshot_json(struct lxmd *d, const struct instance *i, const struct db_snapshot *s, bool usage)
{
	lxm_auto(free) char *name = lxm_asprintf("%s/%s", i->row.name, s->name);
	lxm_auto(pool_unref) struct pool *pool = NULL;
	lxm_auto(instance) struct instance as = { 0 };
	struct volume_usage u = { 0 };
	json_int_t size = -1; /* not known, as in LXD */

	if (snapshot_as_instance(d, i, s, &as, NULL) < 0)
		lxm_debug("snapshot '%s': its profiles cannot be read", name);
	if (usage && i->row.pool && storage_pool_get(d, i->row.pool, &pool, NULL) == 0 &&
	    pool_volume_usage(pool, VOLUME_ID(VOLUME_SNAPSHOT, i->row.project, name), &u, NULL) == 0)
		size = (json_int_t)u.used;
	return json_pack("{s:o, s:o, s:o, s:o, s:s, s:o, s:o, s:o, s:o, s:b, s:o, s:b, s:I}", "name", js_string(s->name),
			 "created_at", js_time(s->created_at), "expires_at", js_time_unset(s->expires_at), "last_used_at",
			 js_time(0), "architecture", s->architecture, "config", js_from_kv(&s->config), "devices",
			 js_from_devs(&s->devices), "expanded_config", js_from_kv(&as.config), "expanded_devices",
			 js_from_devs(&as.devices), "ephemeral", s->ephemeral, "profiles", js_from_strv(&s->profiles),
			 "stateful", s->stateful, "size", size);
}

/* Those of one instance out of a list that is sorted by instance. */
static json_t *snapshots_json(struct lxmd *d, const struct instance *i, const struct db_snapshots *all)
{
	json_t *a = json_array();
	size_t lo = 0, hi = all->n;

	while (lo < hi) {
		size_t mid = (lo + hi) / 2;

		if (all->v[mid].instance_id < i->row.id)
			lo = mid + 1;
		else
			hi = mid;
	}
	for (; lo < all->n && all->v[lo].instance_id == i->row.id; lo++)
		json_array_append_new(a, snapshot_json(d, i, &all->v[lo], false));
	return a;
}

static json_t *backups_json(const struct instance *i, const struct db_backups *all)
{
	json_t *a = json_array();
	size_t k;

	for (k = 0; k < all->n; k++)
		if (all->v[k].instance_id == i->row.id)
			json_array_append_new(a, backup_json(&all->v[k]));
	return a;
}

json_t *instance_full_json(struct lxmd *d, const struct instance *i, struct run *run, bool usage,
			   const struct db_snapshots *snapshots, const struct db_backups *backups)
{
	lxm_auto(db_snapshots) struct db_snapshots own = { 0 };
	lxm_auto(db_backups) struct db_backups own_backups = { 0 };
	json_t *o = instance_json(i, run);

	if (!snapshots && snapshot_list(d, i->row.id, &own, NULL) == 0)
		snapshots = &own;
	if (!backups && backup_list(d, i->row.id, &own_backups, NULL) == 0)
		backups = &own_backups;
	json_object_set_new(o, "state", instance_state_json(d, i, run, usage));
	json_object_set_new(o, "snapshots", snapshots ? snapshots_json(d, i, snapshots) : json_null());
	json_object_set_new(o, "backups", backups ? backups_json(i, backups) : json_null());
	return o;
}
