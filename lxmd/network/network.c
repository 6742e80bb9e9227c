/*
 * The room's life: which networks there are, bringing them up at the daemon's start, letting go at its end.
 *
 * Reconcile at start, from facts and without trusting that the last end was clean: rows that a creation left pending
 * are undone; every other network is started, which adopts or repairs bridge, ruleset and dnsmasq; then bridges that
 * carry this daemon's mark and directories below networks/ are removed when no row belongs to them, and host entries
 * of instances that are no more.
 *
 * Main thread at start and stop.
 */
#include "lxmd/network/network.h"

#include <dirent.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "db/config.h"
#include "db/instance.h"
#include "db/warning.h"
#include "lib/base/alloc.h"
#include "lib/base/fd.h"
#include "lib/base/log.h"
#include "lxmd/network/firewall_nic.h"
#include "lxmd/network/network_priv.h"

static const struct network_type *const types[] = {
	&network_bridge,
	&network_macvlan,
	&network_physical,
};

const struct network_type *network_type_find(const char *name)
{
	size_t i;

	if (lxm_empty(name))
		return &network_bridge;
	for (i = 0; i < LXM_ARRAY_LEN(types); i++)
		if (lxm_streq(types[i]->name, name))
			return types[i];
	return NULL;
}

/* ---- objects and the list of them */

void network_mark(const struct lxmd *d, char out[NL_ALIAS_MAX])
{
	(void)snprintf(out, NL_ALIAS_MAX, "lxm %s", d->dirs.networks.path);
}

struct network *network_find(struct networks *ns, const char *name)
{
	size_t i;

	for (i = 0; i < ns->n; i++)
		if (lxm_streq(ns->v[i]->name, name))
			return ns->v[i];
	return NULL;
}

static uint32_t hash(const char *p)
{
	uint32_t h = 2166136261u;

	for (; *p; p++)
		h = (h ^ (uint8_t)*p) * 16777619u;
	return h;
}

uint32_t network_hash(const struct network *n)
{
	return hash(n->dir);
}

int network_object(struct lxmd *d, const struct db_network *row, struct network **out, struct lxm_err *e)
{
	const struct network_type *type = network_type_find(row->type);
	lxm_auto(network_object_free) struct network *n = NULL;
	int r;

	if (!type)
		return lxm_err_set(e, EOPNOTSUPP, "network type '%s' is not supported: use bridge, macvlan or physical", row->type);
	n = lxm_alloc(sizeof(*n));
	n->d = d;
	n->type = type;
	n->id = row->id;
	n->name = lxm_strdup(row->name);
	n->description = lxm_strdup(row->description);
	lxm_kv_copy(&n->config, &row->config);
	n->dir = lxm_asprintf("%s/%s", d->dirs.networks.path, n->name);
	n->dirfd = -1;
	(void)snprintf(n->ports, sizeof(n->ports), "veth%05x", network_hash(n) >> 12);
	lxm_random(&n->next_port, sizeof(n->next_port));
	/* dnsmasq reads hosts/ under an account of its own */
	r = lxm_mkdir_at(d->dirs.networks.fd, n->name, 0711);
	if (r < 0)
		return lxm_err_set(e, -r, "create '%s': %s", n->dir, strerror(-r));
	n->dirfd = openat(d->dirs.networks.fd, n->name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (n->dirfd < 0)
		return lxm_err_sys(e, "open '%s'", n->dir);
	(void)fchmod(n->dirfd, 0711);
	r = dhcp_hosts_open(n->dirfd, &n->hosts, e);
	if (r < 0)
		return r;
	*out = LXM_TAKE(n, NULL);
	return 0;
}

void network_object_free(struct network *n)
{
	if (!n)
		return;
	dhcp_hosts_free(n->hosts);
	if (n->dirfd >= 0)
		(void)close(n->dirfd);
	lxm_kv_deinit(&n->config);
	lxm_strv_deinit(&n->routes);
	free(n->name);
	free(n->description);
	free(n->dir);
	free(n);
}

void networks_insert(struct networks *ns, struct network *n)
{
	size_t i;

	pthread_mutex_lock(&ns->lock);
	ns->v = lxm_realloc_n(ns->v, ns->n + 1, sizeof(*ns->v));
	for (i = ns->n++; i > 0 && strcmp(ns->v[i - 1]->name, n->name) > 0; i--)
		ns->v[i] = ns->v[i - 1];
	ns->v[i] = n;
	pthread_mutex_unlock(&ns->lock);
}

void networks_remove(struct networks *ns, struct network *n)
{
	size_t i;

	pthread_mutex_lock(&ns->lock);
	for (i = 0; i < ns->n && ns->v[i] != n; i++)
		;
	if (i < ns->n) {
		memmove(&ns->v[i], &ns->v[i + 1], (ns->n - i - 1) * sizeof(*ns->v));
		ns->n--;
	}
	pthread_mutex_unlock(&ns->lock);
}

void network_configure(struct lxmd *d, const struct lxm_kv *config)
{
	__atomic_store_n(&d->networks->names_by_mac, lxm_streq(lxm_kv_get(config, "instances.nic.host_name"), "mac"), __ATOMIC_RELAXED);
}

bool network_names_by_mac(const struct lxmd *d)
{
	return __atomic_load_n(&d->networks->names_by_mac, __ATOMIC_RELAXED);
}

/* ---- warnings */

struct warn_job {
	const char *type, *message;
	char *url;
};

static int warn_tx(struct db_tx *tx, void *arg, struct lxm_err *e)
{
	const struct warn_job *w = arg;

	return w->message ? db_warning_raise(tx, NULL, w->type, DB_SEV_MODERATE, w->url, w->message, e)
			  : db_warning_resolve(tx, NULL, w->type, w->url, e);
}

void network_warn(struct lxmd *d, const char *name, const char *type, const char *message)
{
	lxm_auto(free) char *url = lxm_asprintf("/1.0/networks/%s", name);
	struct warn_job job = { type, message, url };
	struct lxm_err e = { 0 };

	if (message)
		lxm_warn("network '%s': %s: %s", name, type, message);
	if (db_write_lazy(d->db, warn_tx, &job, &e) < 0)
		lxm_warn("note warning about network '%s': %s", name, e.msg);
}

int network_bring_up(struct network *n, struct lxm_err *e)
{
	struct networks *ns = n->d->networks;
	struct lxm_err local = { 0 };
	int r = n->type->start(n, &local);

	pthread_mutex_lock(&ns->lock);
	n->up = r == 0;
	(void)snprintf(n->why, sizeof(n->why), "%.299s", local.msg);
	pthread_mutex_unlock(&ns->lock);
	network_warn(n->d, n->name, "Network unavailable", r < 0 ? local.msg : NULL);
	if (r < 0 && e)
		*e = local;
	return r < 0 ? lxm_err_wrap(e, r, "start network '%s'", n->name) : 0;
}

/* ---- start */

/* What the database knows, in one snapshot. */
struct known {
	struct db_networks nets;
	struct db_instances instances;
	struct lxm_kv config;
};

static int known_tx(struct db_tx *tx, void *arg, struct lxm_err *e)
{
	struct known *k = arg;
	int r = db_network_list(tx, NULL, &k->nets, e);

	if (r == 0)
		r = db_config_load(tx, &k->config, e);
	return r < 0 ? r : db_instance_list(tx, NULL, DB_ANY_TYPE, 0, &k->instances, e);
}

static int delete_tx(struct db_tx *tx, void *arg, struct lxm_err *e)
{
	return db_network_delete(tx, *(const int64_t *)arg, e);
}

static bool instance_gone(int64_t id, void *arg)
{
	const struct known *k = arg;
	size_t i;

	for (i = 0; i < k->instances.n; i++)
		if (k->instances.v[i].id == id)
			return false;
	return true;
}

/* A creation that a crash interrupted: nobody was told that it exists. */
static void undo_pending(struct lxmd *d, struct network *n)
{
	struct lxm_err e = { 0 };

	lxm_info("repair: undo the unfinished creation of network '%s'", n->name);
	if (n->type->stop(n, &e) < 0)
		lxm_warn("%s", e.msg);
	(void)lxm_rm_tree_at(d->dirs.networks.fd, n->name);
	if (db_write(d->db, delete_tx, &n->id, &e) < 0)
		lxm_warn("delete network '%s': %s", n->name, e.msg);
}

static void start_row(struct lxmd *d, const struct db_network *row, struct known *k)
{
	struct network *n = NULL;
	struct lxm_err e = { 0 };
	size_t pruned;

	if (network_object(d, row, &n, &e) < 0) {
		network_warn(d, row->name, "Network unavailable", e.msg);
		return;
	}
	if (row->state == DB_PENDING) {
		undo_pending(d, n);
		network_object_free(n);
		return;
	}
	networks_insert(d->networks, n);
	pruned = dhcp_hosts_prune(n->hosts, instance_gone, k);
	if (pruned)
		lxm_info("repair: removed %zu host entries of deleted instances from network '%s'", pruned, n->name);
	(void)network_bring_up(n, NULL);
	if (pruned)
		dhcp_reload(n->dhcp);
}

static bool row_exists(const struct known *k, const char *name)
{
	size_t i;

	for (i = 0; i < k->nets.n; i++)
		if (lxm_streq(k->nets.v[i].name, name))
			return true;
	return false;
}

/* Bridges with our mark that no row names, VLAN links that nobody uses. */
static void remove_stray_links(struct lxmd *d, const struct known *k)
{
	lxm_auto(nl_links) struct nl_links links = { 0 };
	lxm_auto(fd_close) int rtnl = nl_open();
	char mark[NL_ALIAS_MAX];
	size_t i;

	network_mark(d, mark);
	if (rtnl < 0 || nl_link_list(rtnl, 1u << 20, &links, NULL) < 0)
		return;
	for (i = 0; i < links.n; i++) {
		const struct nl_link *l = &links.v[i];

		if (!lxm_streq(l->alias, mark) || !lxm_streq(l->kind, "bridge") || row_exists(k, l->name))
			continue;
		lxm_info("repair: remove bridge '%s', which belongs to no network", l->name);
		(void)fw_bridge_remove(d->networks->fw, l->name, NULL);
		(void)nl_link_del(rtnl, l->index, NULL);
	}
	vlans_remove_strays(d, &links);
}

/* Directories below networks/ that no row names, with the dnsmasq that may still run for them. */
static void remove_stray_dirs(struct lxmd *d, const struct known *k)
{
	DIR *dir = opendir(d->dirs.networks.path);
	const struct dirent *de;

	while (dir && (de = readdir(dir))) {
		lxm_auto(free) char *path = NULL;

		if (de->d_name[0] == '.' || row_exists(k, de->d_name))
			continue;
		path = lxm_asprintf("%s/%s", d->dirs.networks.path, de->d_name);
		lxm_info("repair: remove '%s', which belongs to no network", path);
		(void)dhcp_stop_stale(path);
		(void)lxm_rm_tree_at(d->dirs.networks.fd, de->d_name);
	}
	if (dir)
		(void)closedir(dir);
}

int networks_start(struct lxmd *d, struct lxm_err *e)
{
	struct networks *ns = lxm_alloc(sizeof(*ns));
	struct known k = { 0 };
	size_t i;
	int r;

	ns->d = d;
	ns->vlans = vlans_new();
	pthread_mutex_init(&ns->change, NULL);
	pthread_mutex_init(&ns->lock, NULL);
	ns->jobs = worker_group_new(d->workers);
	d->networks = ns;
	ns->fw = fw_new(hash(d->dirs.networks.path));
	fw_nics_hold(ns->fw);
	r = db_read(d->db, known_tx, &k, e);
	if (r < 0) {
		networks_stop(d);
		return lxm_err_wrap(e, r, "start networks");
	}
	network_configure(d, &k.config);
	pthread_mutex_lock(&ns->change);
	remove_stray_dirs(d, &k);
	for (i = 0; i < k.nets.n; i++)
		start_row(d, &k.nets.v[i], &k);
	remove_stray_links(d, &k);
	pthread_mutex_unlock(&ns->change);
	db_networks_deinit(&k.nets);
	db_instances_deinit(&k.instances);
	lxm_kv_deinit(&k.config);
	return 0;
}

void networks_leave_host(struct lxmd *d)
{
	struct networks *ns = d->networks;
	struct lxm_err e = { 0 };
	size_t i;

	if (!ns)
		return;
	pthread_mutex_lock(&ns->change);
	for (i = 0; i < ns->n; i++)
		if (ns->v[i]->type->stop(ns->v[i], &e) < 0)
			lxm_warn("%s", e.msg);
	pthread_mutex_unlock(&ns->change);
}

/* On the loop thread: a timer that is going off just now has gone off. */
static void stop_reaping(void *arg)
{
	struct networks *ns = arg;

	(void)loop_timer_cancel(ns->d->loop, ns->reaper);
}

void networks_stop(struct lxmd *d)
{
	struct networks *ns = d->networks;
	size_t i;

	if (!ns)
		return;
	loop_call(d->loop, stop_reaping, ns);
	worker_group_free(ns->jobs);
	for (i = 0; i < ns->n; i++) {
		ns->v[i]->type->release(ns->v[i]);
		network_object_free(ns->v[i]);
	}
	free(ns->v);
	fw_free(ns->fw);
	free(ns->doomed);
	vlans_free(ns->vlans);
	pthread_mutex_destroy(&ns->lock);
	pthread_mutex_destroy(&ns->change);
	free(ns);
	d->networks = NULL;
}
