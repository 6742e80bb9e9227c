/*
 * /1.0/networks: managed bridges, and the host's other links as they are. Worker threads.
 *
 * Networks belong to project default whatever project a request names: they are links of the host. What hangs on
 * networks elsewhere (forwards, load balancers, peers; ACLs and zones beside them) has no route yet.
 */
#include <arpa/inet.h>
#include <string.h>
#include <strings.h>
#include <linux/if_addr.h>

#include "lib/base/alloc.h"
#include "lxmd/api/api.h"
#include "lxmd/api/scope.h"
#include "lxmd/core/daemon.h"
#include "lxmd/core/event.h"
#include "lxmd/http/request.h"
#include "lxmd/instance/devices.h"
#include "lxmd/instance/instance.h"
#include "lxmd/instance/policy.h"
#include "lxmd/network/network.h"

/* ---- objects */

static json_t *network_json(struct request *rq, const struct network_info *i)
{
	return json_pack("{s:o, s:o, s:o, s:b, s:s, s:o, s:o, s:[s], s:s}", "name", js_string(i->name), "type",
			 js_string(i->type), "description", js_string(i->description), "managed", i->managed, "status",
			 i->status, "config", js_from_kv(&i->config), "used_by", scope_urls(rq, &i->used_by), "locations",
			 "none", "project", "default");
}

/* What a PUT can change. */
static json_t *etag_json(const struct network_info *i)
{
	return json_pack("[o, b, o, o, o]", js_string(i->name), i->managed, js_string(i->type),
			 js_string(i->description), js_from_kv(&i->config));
}

static json_t *addresses_json(const struct nl_addrs *a)
{
	json_t *out = json_array();
	char text[INET6_ADDRSTRLEN], prefix[8];
	size_t i;

	for (i = 0; i < a->n; i++) {
		const struct nl_addr *x = &a->v[i];
		const char *scope = x->scope == RT_SCOPE_HOST ? "local" : x->scope == RT_SCOPE_LINK ? "link" : "global";

		(void)inet_ntop(x->family, x->addr, text, sizeof(text));
		(void)snprintf(prefix, sizeof(prefix), "%d", x->prefixlen);
		json_array_append_new(out, json_pack("{s:s, s:s, s:s, s:s}", "family", x->family == AF_INET ? "inet" : "inet6",
						     "address", text, "netmask", prefix, "scope", scope));
	}
	return out;
}

static json_t *bridge_json(const struct request *rq, const struct network_state *s)
{
	static const struct lxm_strv nobody; /* the ports are links of instances of all projects */

	if (!s->is_bridge)
		return json_null();
	return json_pack("{s:s, s:b, s:I, s:i, s:b, s:o}", "id", s->bridge_id, "stp", s->stp, "forward_delay",
			 (json_int_t)s->forward_delay, "vlan_default", (int)s->vlan_default, "vlan_filtering",
			 s->vlan_filtering, "upper_devices", js_from_strv(scope_all(rq) ? &s->ports : &nobody));
}

static json_t *state_json(const struct request *rq, const struct network_state *s)
{
	const struct nl_link *l = &s->link;
	json_t *o = json_object();
	char mac[18];

	json_object_set_new(o, "addresses", addresses_json(&s->addrs));
	json_object_set_new(o, "counters",
			    json_pack("{s:I, s:I, s:I, s:I}", "bytes_received", (json_int_t)l->rx_bytes, "bytes_sent",
				      (json_int_t)l->tx_bytes, "packets_received", (json_int_t)l->rx_packets,
				      "packets_sent", (json_int_t)l->tx_packets));
	json_object_set_new(o, "hwaddr", json_string(l->has_mac ? nl_mac_str(l->mac, mac) : ""));
	json_object_set_new(o, "mtu", json_integer(l->mtu));
	json_object_set_new(o, "state", json_string(l->flags & IFF_UP ? "up" : "down"));
	json_object_set_new(o, "type",
			    json_string(l->flags & IFF_LOOPBACK	   ? "loopback"
					: l->flags & IFF_POINTOPOINT ? "point-to-point"
								     : "broadcast"));
	json_object_set_new(o, "bond", json_null());
	json_object_set_new(o, "bridge", bridge_json(rq, s));
	json_object_set_new(o, "vlan", json_null());
	json_object_set_new(o, "ovn", json_null());
	return o;
}

static void tell(struct request *rq, const char *action, const char *name)
{
	lxm_auto(free) char *n = lxm_url_encode(name, NULL);
	lxm_auto(free) char *url = lxm_asprintf("/1.0/networks/%s", n);

	event_lifecycle(rq->d, "default", action, url, NULL, rq_caller(rq));
}

static int created(struct request *rq, const char *name)
{
	lxm_auto(free) char *n = lxm_url_encode(name, NULL);
	lxm_auto(free) char *url = lxm_asprintf("/1.0/networks/%s", n);

	return reply_created(rq, url);
}

static int description_check(const char *text, struct lxm_err *e)
{
	return text && strlen(text) > 4096 ? lxm_err_set(e, EINVAL, "key 'description' must be 4096 bytes at most") : 0;
}

/*
 * Links that are not ours are the host's, and among them those of other projects' instances: for administrators only. A
 * restricted project has those networks that its rules let it use.
 */
static bool may_see(const struct request *rq, const struct policy_networks *rules, const struct network_info *i)
{
	return (i->managed || scope_all(rq)) && policy_networks_has(rules, i->name, i->managed);
}

/* The network of the path; one that may not be seen is not there. */
static int get_seen(struct request *rq, struct network_info *i, struct lxm_err *e)
{
	lxm_auto(policy_networks) struct policy_networks rules = { 0 };
	int r = policy_networks(rq->d, rq_project(rq), &rules, e);

	if (r == 0)
		r = network_get(rq->d, rq_arg(rq, 0), i, e);
	if (r == 0 && !may_see(rq, &rules, i))
		return lxm_err_set(e, ENOENT, "network '%s' not found", rq_arg(rq, 0));
	return r;
}

/* ---- handlers */

int api_networks_get(struct request *rq, struct lxm_err *e)
{
	lxm_auto(policy_networks) struct policy_networks rules = { 0 };
	struct network_info *v;
	json_t *out;
	size_t i, n;
	int r = policy_networks(rq->d, rq_project(rq), &rules, e);

	if (r == 0)
		r = network_list(rq->d, &v, &n, e);
	if (r < 0)
		return r;
	out = json_array();
	for (i = 0; i < n; i++) {
		if (may_see(rq, &rules, &v[i]))
			json_array_append_new(out, rq_recursion(rq) ? network_json(rq, &v[i]) : js_url("/1.0/networks/%s", v[i].name));
		network_info_deinit(&v[i]);
	}
	free(v);
	return reply_sync(rq, out);
}

int api_networks_post(struct request *rq, struct lxm_err *e)
{
	lxm_auto(kv) struct lxm_kv config = { 0 };
	const char *name = NULL, *type = "", *description = "";
	json_t *body;
	int r = rq_need_json(rq, &body, e);

	if (r == 0)
		r = js_need_str(body, "name", &name, e);
	if (r == 0)
		r = js_get_str(body, "type", &type, e);
	if (r == 0)
		r = js_get_str(body, "description", &description, e);
	if (r == 0)
		r = js_get_kv(body, "config", &config, NULL, e);
	if (r == 0)
		r = description_check(description, e);
	if (r == 0)
		r = network_create(rq->d, name, type, description, &config, e);
	if (r < 0)
		return r;
	tell(rq, "network-created", name);
	return created(rq, name);
}

int api_network_get(struct request *rq, struct lxm_err *e)
{
	lxm_auto(network_info) struct network_info i = { 0 };
	int r = get_seen(rq, &i, e);

	return r < 0 ? r : reply_sync_etag(rq, network_json(rq, &i), etag_json(&i));
}

/* PUT replaces, PATCH adds to what is there; both leave the description alone when they do not name it. */
static int change(struct request *rq, bool patch, struct lxm_err *e)
{
	lxm_auto(network_info) struct network_info was = { 0 };
	lxm_auto(kv) struct lxm_kv config = { 0 };
	lxm_auto(kv) struct lxm_kv now = { 0 };
	const char *name = rq_arg(rq, 0), *description;
	unsigned int index = if_nametoindex(name);
	json_t *body;
	int r = rq_need_json(rq, &body, e);

	if (r == 0)
		r = network_get(rq->d, name, &was, e);
	if (r == 0)
		r = rq_check_etag(rq, etag_json(&was), e);
	if (r < 0)
		return r;
	description = was.description;
	r = js_get_str(body, "description", &description, e);
	if (r == 0)
		r = js_get_kv(body, "config", &config, NULL, e);
	if (r == 0)
		r = description_check(description, e);
	if (r < 0)
		return r;
	if (patch)
		lxm_kv_copy(&now, &was.config);
	lxm_kv_merge(&now, &config);
	r = network_update(rq->d, name, description, &now, e);
	if (r < 0)
		return r;
	/* somebody had deleted the bridge */
	if (if_nametoindex(name) != index)
		instance_devices_rejoin(rq->d, name);
	tell(rq, "network-updated", name);
	return reply_sync(rq, NULL);
}

int api_network_put(struct request *rq, struct lxm_err *e)
{
	return change(rq, false, e);
}

int api_network_patch(struct request *rq, struct lxm_err *e)
{
	return change(rq, true, e);
}

int api_network_post(struct request *rq, struct lxm_err *e)
{
	const char *to = NULL;
	json_t *body;
	int r = rq_need_json(rq, &body, e);

	if (r == 0)
		r = js_need_str(body, "name", &to, e);
	if (r == 0)
		r = network_rename(rq->d, rq_arg(rq, 0), to, e);
	if (r < 0)
		return r;
	tell(rq, "network-renamed", to);
	return created(rq, to);
}

int api_network_delete(struct request *rq, struct lxm_err *e)
{
	int r = network_delete(rq->d, rq_arg(rq, 0), e);

	if (r < 0)
		return r;
	tell(rq, "network-deleted", rq_arg(rq, 0));
	return reply_sync(rq, NULL);
}

int api_network_state_get(struct request *rq, struct lxm_err *e)
{
	lxm_auto(network_info) struct network_info i = { 0 };
	lxm_auto(network_state) struct network_state s = { 0 };
	int r = get_seen(rq, &i, e);

	if (r == 0)
		r = network_get_state(rq->d, rq_arg(rq, 0), &s, e);
	return r < 0 ? r : reply_sync(rq, state_json(rq, &s));
}

static void add_macs(const struct instance *i, struct lxm_strv *out)
{
	lxm_kv_each(p, &i->config)
		if (lxm_starts(p->key, "volatile.") && lxm_ends(p->key, ".hwaddr"))
			lxm_strv_add(out, p->value);
	lxm_devs_each(dev, &i->devices)
		if (lxm_kv_get(&dev->kv, "hwaddr"))
			lxm_strv_add(out, lxm_kv_get(&dev->kv, "hwaddr"));
}

static bool has_mac(const struct lxm_strv *macs, const char *mac)
{
	size_t i;

	for (i = 0; i < macs->n; i++)
		if (strcasecmp(macs->v[i], mac) == 0)
			return true;
	return false;
}

/* MAC addresses of the instances that the caller may see, and of all others: who gives a NIC another's address sees no lease by it. */
struct macs {
	struct lxm_strv own, others;
};

static int collect_macs(struct request *rq, struct macs *out, struct lxm_err *e)
{
	lxm_auto(instance_list) struct instance_list l = { 0 };
	size_t k;
	int r = instance_load_all(rq->d, NULL, &l, e);

	for (k = 0; r == 0 && k < l.n; k++)
		add_macs(&l.v[k], scope_sees(rq, l.v[k].row.project) ? &out->own : &out->others);
	return r;
}

/* Whose lease it is says its MAC address; the network's own gateway is everybody's. */
static bool lease_seen(const struct request *rq, const struct macs *macs, const char *type, const char *mac)
{
	if (scope_all(rq) || strcmp(type, "gateway") == 0)
		return true;
	return has_mac(&macs->own, mac) && !has_mac(&macs->others, mac);
}

int api_network_leases_get(struct request *rq, struct lxm_err *e)
{
	lxm_auto(network_info) struct network_info info = { 0 };
	lxm_auto(network_leases) struct network_leases l = { 0 };
	struct macs macs = { 0 };
	json_t *out;
	size_t i;
	int r = get_seen(rq, &info, e);

	if (r == 0)
		r = network_get_leases(rq->d, rq_arg(rq, 0), &l, e);
	if (r == 0 && !scope_all(rq))
		r = collect_macs(rq, &macs, e);
	out = r < 0 ? NULL : json_array();
	for (i = 0; out && i < l.n; i++)
		if (lease_seen(rq, &macs, l.v[i].type, l.v[i].hwaddr))
			json_array_append_new(out, json_pack("{s:o, s:s, s:s, s:s, s:s}", "hostname",
							     js_string(l.v[i].hostname), "hwaddr", l.v[i].hwaddr, "address",
							     l.v[i].address, "type", l.v[i].type, "location", "none"));
	lxm_strv_deinit(&macs.own);
	lxm_strv_deinit(&macs.others);
	return r < 0 ? r : reply_sync(rq, out);
}
