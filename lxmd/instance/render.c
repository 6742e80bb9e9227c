/*
 * Instances and their state as JSON text: a list of a thousand is written, not built first. State comes from the cgroups and from a netlink socket inside the instance's
 * network namespace; no process is started and no namespace entered. Any thread.
 */
#include "lxmd/instance/render.h"

#include <arpa/inet.h>
#include <linux/if_addr.h>
#include <linux/rtnetlink.h>
#include <string.h>

#include "lib/api/json.h"
#include "lib/api/json_write.h"
#include "lib/base/alloc.h"
#include "lib/base/log.h"
#include "lxmd/core/daemon.h"
#include "lxmd/instance/backup.h"
#include "lxmd/instance/run.h"
#include "lxmd/instance/snapshot.h"
#include "lxmd/instance/usage.h"
#include "lxmd/network/netns_state.h"
#include "lxmd/storage/pool.h"

/* The members of an instance, inside of its braces. */
static void members(struct lxm_buf *b, const struct instance *i, struct run *run)
{
	int status = run_status(run);

	jw_str(b, "name", i->row.name);
	jw_str(b, "description", i->row.description);
	jw_str(b, "status", api_status_name(status));
	jw_int(b, "status_code", status);
	jw_str(b, "location", i->row.location ? i->row.location : "none");
	jw_str(b, "type", "container");
	jw_str(b, "project", i->row.project);
	jw_str(b, "architecture", i->row.architecture);
	jw_kv(b, "config", &i->row.config);
	jw_kv(b, "expanded_config", &i->config);
	jw_devs(b, "devices", &i->row.devices);
	jw_devs(b, "expanded_devices", &i->devices);
	jw_strv(b, "profiles", &i->row.profiles);
	jw_bool(b, "ephemeral", i->row.ephemeral);
	jw_bool(b, "stateful", i->row.stateful);
	jw_time(b, "created_at", i->row.created_at);
	jw_time(b, "last_used_at", i->row.last_used_at);
}

void instance_write(struct lxm_buf *b, const struct instance *i, struct run *run)
{
	jw_object(b, NULL);
	members(b, i, run);
	jw_object_end(b);
}

json_t *instance_json(const struct instance *i, struct run *run)
{
	lxm_auto(buf) struct lxm_buf b = { 0 };

	instance_write(&b, i, run);
	return json_loadb(b.data, b.len, 0, NULL);
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

static void write_memory(struct lxm_buf *b, struct run *run)
{
	uint64_t now = 0, peak = 0, swap = 0;

	if (run)
		usage_memory(run, &now, &peak, &swap);
	jw_object(b, "memory");
	jw_int(b, "usage", (int64_t)now);
	jw_int(b, "usage_peak", (int64_t)peak);
	jw_int(b, "swap_usage", (int64_t)swap);
	jw_int(b, "swap_usage_peak", 0);
	jw_object_end(b);
}

static const char *scope_name(uint8_t scope)
{
	return scope == RT_SCOPE_UNIVERSE ? "global" : scope == RT_SCOPE_HOST ? "local" : "link";
}

static void write_addresses(struct lxm_buf *b, const struct net_state *st, int index)
{
	char text[INET6_ADDRSTRLEN], len[8];
	size_t k;

	jw_array(b, "addresses");
	for (k = 0; k < st->addrs.n; k++) {
		const struct nl_addr *ad = &st->addrs.v[k];

		if (ad->index != index || !inet_ntop(ad->family, ad->addr, text, sizeof(text)))
			continue;
		snprintf(len, sizeof(len), "%d", ad->prefixlen);
		jw_object(b, NULL);
		jw_str(b, "family", ad->family == AF_INET ? "inet" : "inet6");
		jw_str(b, "address", text);
		jw_str(b, "netmask", len);
		jw_str(b, "scope", scope_name(ad->scope));
		jw_object_end(b);
	}
	jw_array_end(b);
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

static void write_counters(struct lxm_buf *b, const struct nl_link *l)
{
	jw_object(b, "counters");
	jw_int(b, "bytes_received", (int64_t)l->rx_bytes);
	jw_int(b, "bytes_sent", (int64_t)l->tx_bytes);
	jw_int(b, "packets_received", (int64_t)l->rx_packets);
	jw_int(b, "packets_sent", (int64_t)l->tx_packets);
	jw_int(b, "errors_received", (int64_t)l->rx_errors);
	jw_int(b, "errors_sent", (int64_t)l->tx_errors);
	jw_int(b, "packets_dropped_inbound", (int64_t)l->rx_dropped);
	jw_int(b, "packets_dropped_outbound", (int64_t)l->tx_dropped);
	jw_object_end(b);
}

static void write_link(struct lxm_buf *b, const struct instance *i, const struct net_state *st, const struct nl_link *l)
{
	bool loop = l->flags & IFF_LOOPBACK;
	char mac[18] = "";

	if (l->has_mac && !loop)
		snprintf(mac, sizeof(mac), "%02x:%02x:%02x:%02x:%02x:%02x", l->mac[0], l->mac[1], l->mac[2], l->mac[3],
			 l->mac[4], l->mac[5]);
	jw_object(b, l->name);
	write_addresses(b, st, l->index);
	write_counters(b, l);
	jw_str(b, "hwaddr", mac);
	jw_str(b, "host_name", loop ? "" : host_name_of(i, l->name));
	jw_int(b, "mtu", (int64_t)l->mtu);
	jw_str(b, "state", l->flags & IFF_UP ? "up" : "down");
	jw_str(b, "type", loop ? "loopback" : "broadcast");
	jw_object_end(b);
}

static void write_network(struct lxm_buf *b, const struct instance *i, struct run *run)
{
	const struct net_state *st;
	size_t k;

	jw_object(b, "network");
	pthread_mutex_lock(&run->net_lock);
	if (run->net && net_cache_lock(run->net, true, &st, NULL) == 0) {
		for (k = 0; k < st->links.n; k++)
			write_link(b, i, st, &st->links.v[k]);
		net_cache_unlock(run->net);
	}
	pthread_mutex_unlock(&run->net_lock);
	jw_object_end(b);
}

static void write_disk(struct lxm_buf *b, struct lxmd *d, const struct instance *i)
{
	lxm_auto(pool_unref) struct pool *pool = NULL;
	struct volume_usage u = { 0 };

	jw_object(b, "disk");
	if (i->row.pool && storage_pool_get(d, i->row.pool, &pool, NULL) == 0 &&
	    pool_volume_usage(pool, VOLUME_OF_INSTANCE(i->row.project, i->row.name), &u, NULL) == 0) {
		jw_object(b, "root");
		jw_int(b, "usage", (int64_t)u.used);
		if (u.total)
			jw_int(b, "total", (int64_t)u.total);
		jw_object_end(b);
	}
	jw_object_end(b);
}

static void write_state(struct lxm_buf *b, const char *key, struct lxmd *d, const struct instance *i, struct run *run, bool usage)
{
	int status = run_status(run);
	bool on = status != API_STOPPED;
	pid_t pid = 0;

	if (on) {
		pthread_mutex_lock(&run->lock);
		pid = run->init_pid;
		pthread_mutex_unlock(&run->lock);
	}
	jw_object(b, key);
	jw_str(b, "status", api_status_name(status));
	jw_int(b, "status_code", status);
	jw_int(b, "pid", pid);
	jw_int(b, "processes", on ? (int64_t)usage_processes(run) : 0);
	jw_object(b, "cpu");
	jw_int(b, "usage", on ? (int64_t)usage_cpu_ns(run) : 0);
	jw_object_end(b);
	write_memory(b, on ? run : NULL);
	if (usage)
		write_disk(b, d, i);
	else
		jw_kv(b, "disk", &(struct lxm_kv){ 0 });
	if (on)
		write_network(b, i, run);
	else
		jw_null(b, "network");
	jw_object_end(b);
}

void instance_state_write(struct lxm_buf *b, struct lxmd *d, const struct instance *i, struct run *run, bool usage)
{
	write_state(b, NULL, d, i, run, usage);
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
static void write_snapshots(struct lxm_buf *b, struct lxmd *d, const struct instance *i, const struct db_snapshots *all)
{
	size_t lo = 0, hi = all->n;

	while (lo < hi) {
		size_t mid = (lo + hi) / 2;

		if (all->v[mid].instance_id < i->row.id)
			lo = mid + 1;
		else
			hi = mid;
	}
	jw_array(b, "snapshots");
	for (; lo < all->n && all->v[lo].instance_id == i->row.id; lo++)
		jw_tree(b, NULL, snapshot_json(d, i, &all->v[lo], false));
	jw_array_end(b);
}

static void write_backups(struct lxm_buf *b, const struct instance *i, const struct db_backups *all)
{
	size_t k;

	jw_array(b, "backups");
	for (k = 0; k < all->n; k++)
		if (all->v[k].instance_id == i->row.id)
			jw_tree(b, NULL, backup_json(&all->v[k]));
	jw_array_end(b);
}

void instance_full_write(struct lxm_buf *b, struct lxmd *d, const struct instance *i, struct run *run, bool usage,
			 const struct db_snapshots *snapshots, const struct db_backups *backups)
{
	lxm_auto(db_snapshots) struct db_snapshots own = { 0 };
	lxm_auto(db_backups) struct db_backups own_backups = { 0 };

	if (!snapshots && snapshot_list(d, i->row.id, &own, NULL) == 0)
		snapshots = &own;
	if (!backups && backup_list(d, i->row.id, &own_backups, NULL) == 0)
		backups = &own_backups;
	jw_object(b, NULL);
	members(b, i, run);
	write_state(b, "state", d, i, run, usage);
	if (snapshots)
		write_snapshots(b, d, i, snapshots);
	else
		jw_null(b, "snapshots");
	if (backups)
		write_backups(b, i, backups);
	else
		jw_null(b, "backups");
	jw_object_end(b);
}
