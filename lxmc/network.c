/* Networks beyond what every kind of object has, see verb.h: state, leases, and attaching instances. */
#include <stdio.h>
#include <string.h>

#include "lib/base/alloc.h"
#include "lxmc/entity.h"
#include "lxmc/json.h"
#include "lxmc/out.h"
#include "lxmc/units.h"
#include "lxmc/verb.h"

static void print_counter(const char *label, const json_t *counters, const char *key, bool bytes)
{
	long long n = jint(counters, key);
	lxm_auto(free) char *text = bytes ? unit_bytes_si(n > 0 ? (uint64_t)n : 0) : lxm_asprintf("%lld", n);

	printf("  %s: %s\n", label, text);
}

int verb_network_info(struct cli *cli, struct lxm_err *e)
{
	lxm_auto(json) json_t *o = NULL;
	const json_t *counters;
	const char *name;
	struct client *c;
	json_t *a;
	size_t i;
	int r;

	r = cli_target(cli, cli->args[0], &c, &name, e);
	if (r == 0)
		r = client_get(c, client_url(c, "/1.0/networks/%s/state", name), &o, e);
	if (r < 0)
		return r;
	if (cli_has(cli, "format"))
		return out_object(cli, o, NULL, e);
	printf("Name: %s\nMAC address: %s\nMTU: %lld\nState: %s\nType: %s\n", name, jtext(o, "hwaddr"), jint(o, "mtu"),
	       jtext(o, "state"), jtext(o, "type"));
	if (json_array_size(json_object_get(o, "addresses")))
		printf("\nIP addresses:\n");
	json_array_foreach(json_object_get(o, "addresses"), i, a) {
		lxm_auto(free) char *text = lxm_asprintf("  %s\t%s/%s (%s)", jtext(a, "family"), jtext(a, "address"),
							 jtext(a, "netmask"), jtext(a, "scope"));
		lxm_auto(free) char *safe = out_safe(text);

		printf("%s\n", safe);
	}
	counters = json_object_get(o, "counters");
	printf("\nNetwork usage:\n");
	print_counter("Bytes received", counters, "bytes_received", true);
	print_counter("Bytes sent", counters, "bytes_sent", true);
	print_counter("Packets received", counters, "packets_received", false);
	print_counter("Packets sent", counters, "packets_sent", false);
	return 0;
}

int verb_network_leases(struct cli *cli, struct lxm_err *e)
{
	static const char *const heads[] = { "HOSTNAME", "MAC ADDRESS", "IP ADDRESS", "TYPE" };
	static const char *const keys[] = { "hostname", "hwaddr", "address", "type" };
	lxm_auto(table) struct table t = { 0 };
	lxm_auto(json) json_t *list = NULL;
	const char *name;
	struct client *c;
	json_t *item;
	size_t i, k;
	int r;

	r = cli_target(cli, cli->args[0], &c, &name, e);
	if (r == 0)
		r = client_get(c, client_url(c, "/1.0/networks/%s/leases", name), &list, e);
	if (r < 0)
		return r;
	for (k = 0; k < LXM_ARRAY_LEN(heads); k++)
		table_head(&t, heads[k]);
	json_array_foreach(list, i, item) {
		for (k = 0; k < 3; k++)
			table_cell(&t, jtext(item, keys[k]));
		lxm_strv_take(&t.cells, lxm_strdup(jtext(item, keys[3])));
	}
	table_sort(&t);
	return out_list(cli, &t, list, e);
}

struct attach {
	struct cli *cli;
	json_t *nic; /* to add; NULL: detach */
	const char *network;
};

/* Which device of ours is a NIC on that network. */
static const char *nic_on(const json_t *devices, const char *network)
{
	const char *name;
	json_t *d;

	json_object_foreach((json_t *)devices, name, d)
		if (strcmp(jtext(d, "type"), "nic") == 0 &&
		    (strcmp(jtext(d, "network"), network) == 0 || strcmp(jtext(d, "parent"), network) == 0))
			return name;
	return NULL;
}

static int do_attach(json_t *o, void *arg, struct lxm_err *e)
{
	struct attach *a = arg;
	const char *dev = a->cli->n_args > 2 ? a->cli->args[2] : a->network;
	json_t *devices = js_map(o, "devices");

	if (json_object_get(devices, dev))
		return lxm_err_set(e, EEXIST, "'%s' has a device '%s' already", a->cli->args[1], dev);
	return json_object_set(devices, dev, a->nic);
}

static int do_detach(json_t *o, void *arg, struct lxm_err *e)
{
	struct attach *a = arg;
	json_t *devices = js_map(o, "devices");
	const char *dev = a->cli->n_args > 2 ? a->cli->args[2] : nic_on(devices, a->network);

	if (!dev || !json_object_get(devices, dev))
		return lxm_err_set(e, ENOENT, "'%s' has no device of its own on network '%s'", a->cli->args[1],
				   a->network);
	return json_object_del(devices, dev);
}

/* verb->data: the kind of object that gets or loses the NIC. */
static int change(struct cli *cli, struct attach *a, struct client *c, struct lxm_err *e)
{
	const struct entity *ent = cli->verb->data;
	lxm_auto(free) char *url = client_url(c, ent->one, cli->args[1]);

	a->cli = cli;
	return entity_change(c, ent, url, a->nic ? do_attach : do_detach, a, e);
}

int verb_network_attach(struct cli *cli, struct lxm_err *e)
{
	lxm_auto(json) json_t *o = NULL, *nic = NULL;
	struct attach a = { 0 };
	struct client *c;
	int r;

	r = cli_target(cli, cli->args[0], &c, &a.network, e);
	if (r == 0)
		r = client_get(c, client_url(c, "/1.0/networks/%s", a.network), &o, e);
	if (r < 0)
		return r;
	if (jtrue(o, "managed"))
		nic = json_pack("{s:s, s:s}", "type", "nic", "network", a.network);
	else
		nic = json_pack("{s:s, s:s, s:s}", "type", "nic", "parent", a.network, "nictype",
				strcmp(jtext(o, "type"), "bridge") == 0 ? "bridged" : "macvlan");
	if (cli->n_args > 3)
		json_object_set_new(nic, "name", json_string(cli->args[3]));
	a.nic = nic;
	return change(cli, &a, c, e);
}

int verb_network_detach(struct cli *cli, struct lxm_err *e)
{
	struct attach a = { 0 };
	struct client *c;
	int r = cli_target(cli, cli->args[0], &c, &a.network, e);

	return r < 0 ? r : change(cli, &a, c, e);
}
