/*
 * Rulesets of managed bridges through libnftables.
 *
 * Each bridge has a table of its own, `inet lxm_BRIDGE`, replaced as a whole in one transaction; bridge names are
 * unique on a host, so daemons side by side never meet, and other people's tables are only read (fw_foreign_drops).
 * A second table, `bridge lxm_BRIDGE`, keeps needless frames from being flooded. The number of rules does not depend
 * on the number of instances. What a single NIC may send is in firewall_nic.c.
 *
 * Any thread, one transaction at a time. A context is made for each (0.3-0.5 ms): kept, it would hold 5 MB of tables
 * for rulesets that hardly ever change. Everything that reaches a command was validated: names by conf_name_network(), addresses by inet_pton(), MACs by nl_mac_parse().
 */
#include "lxmd/network/firewall_priv.h"

#include <ctype.h>
#include <jansson.h>
#include <nftables/libnftables.h>
#include <string.h>

#include "lib/base/alloc.h"
#include "lxmd/core/lazy.h"

struct firewall *fw_new(uint32_t seed)
{
	struct firewall *fw = lxm_alloc(sizeof(*fw));

	pthread_mutex_init(&fw->lock, NULL);
	fw_nics_init(fw, seed);
	return fw;
}

void fw_free(struct firewall *fw)
{
	if (!fw)
		return;
	fw_nics_deinit(fw);
	pthread_mutex_destroy(&fw->lock);
	free(fw);
}

/* libnftables, loaded for the first transaction: NAME() is nf.NAME(). */
#define NFT_FUNCTIONS(X) \
	X(nft_ctx_buffer_error) X(nft_ctx_buffer_output) X(nft_ctx_free) X(nft_ctx_get_error_buffer) \
	X(nft_ctx_get_output_buffer) X(nft_ctx_new) X(nft_ctx_output_set_flags) X(nft_run_cmd_from_buffer)

static struct {
	NFT_FUNCTIONS(LAZY_MEMBER)
} nf;

static const char *const names[] = { NFT_FUNCTIONS(LAZY_NAME) };

static struct lazy_lib lib = {
	.soname = "libnftables.so.1",
	.package = "libnftables1",
	.names = names,
	.functions = &nf,
	.n = LXM_ARRAY_LEN(names),
};

int fw_run(struct firewall *fw, const char *text, unsigned int out_flags, struct lxm_buf *out, struct lxm_err *e)
{
	struct nft_ctx *nft;
	const char *said;
	int r = lazy_load(&lib, e);

	if (r < 0)
		return r;
	nft = nf.nft_ctx_new(NFT_CTX_DEFAULT);
	if (!nft || nf.nft_ctx_buffer_output(nft) || nf.nft_ctx_buffer_error(nft)) {
		if (nft)
			nf.nft_ctx_free(nft);
		return lxm_err_set(e, ENOMEM, "open nftables");
	}
	pthread_mutex_lock(&fw->lock);
	nf.nft_ctx_output_set_flags(nft, out_flags);
	if (nf.nft_run_cmd_from_buffer(nft, text) != 0) {
		int code = errno == EPERM || errno == ENOENT ? errno : EIO;

		said = nf.nft_ctx_get_error_buffer(nft);
		if (!said)
			said = "";
		if (strstr(said, "No such file or directory"))
			code = ENOENT;
		r = lxm_err_set(e, code, "nftables: %.*s", (int)strcspn(said, "\n"), said);
	} else {
		said = nf.nft_ctx_get_output_buffer(nft);
		if (out && said)
			lxm_buf_str(out, said);
	}
	nf.nft_ctx_free(nft);
	pthread_mutex_unlock(&fw->lock);
	return r;
}

void fw_table_name(const char *bridge, char *out, size_t size)
{
	size_t n = (size_t)snprintf(out, size, "lxm_");

	for (; *bridge && n + 4 < size; bridge++) {
		unsigned char c = (unsigned char)*bridge;

		n += (size_t)snprintf(out + n, size - n, isalnum(c) ? "%c" : "_%02x", c);
	}
}

/* DHCP, DNS and the ICMP that keeps them working, both directions. They matter where an administrator's own table
 * jumps here or reads along; an accept of ours does not overrule a drop of theirs, see fw_foreign_drops(). */
static void text_services(const struct fw_bridge *b, struct lxm_buf *t, bool in)
{
	const char *dev = in ? "iifname" : "oifname", *port = in ? "dport" : "sport";

	if (b->dns)
		lxm_buf_fmt(t, "\t\t%s \"%s\" meta l4proto { tcp, udp } th %s 53 accept\n", dev, b->bridge, port);
	if (b->firewall4 && b->subnet4) {
		if (b->dhcp4)
			lxm_buf_fmt(t, "\t\t%s \"%s\" udp %s 67 accept\n", dev, b->bridge, port);
		lxm_buf_fmt(t,
			    "\t\t%s \"%s\" icmp type { destination-unreachable, time-exceeded, "
			    "parameter-problem } accept\n",
			    dev, b->bridge);
	}
	if (b->firewall6 && b->subnet6) {
		if (b->dhcp6)
			lxm_buf_fmt(t, "\t\t%s \"%s\" udp %s 547 accept\n", dev, b->bridge, port);
		lxm_buf_fmt(t,
			    "\t\t%s \"%s\" icmpv6 type { destination-unreachable, packet-too-big, "
			    "time-exceeded, parameter-problem, nd-router-solicit, nd-router-advert, "
			    "nd-neighbor-solicit, nd-neighbor-advert, mld2-listener-report } accept\n",
			    dev, b->bridge);
	}
}

static void text_forward(const struct fw_bridge *b, struct lxm_buf *t, const char *family, bool have, bool route,
			 bool firewall)
{
	const char *verdict = have && route ? "accept" : "reject";

	if (!have || (route && !firewall))
		return;
	lxm_buf_fmt(t, "\t\tmeta nfproto %s iifname \"%s\" %s\n", family, b->bridge, verdict);
	lxm_buf_fmt(t, "\t\tmeta nfproto %s oifname \"%s\" %s\n", family, b->bridge, verdict);
}

static void text_nat(struct lxm_buf *t, const char *ip, const char *subnet, const char *address)
{
	lxm_buf_fmt(t, "\t\t%s saddr %s %s daddr != %s ", ip, subnet, ip, subnet);
	if (address)
		lxm_buf_fmt(t, "snat %s to %s\n", ip, address);
	else
		lxm_buf_str(t, "masquerade\n");
}

/*
 * What need not be flooded to every port. Each interface that comes up announces itself several times by multicast;
 * with n instances that is n frames handled in n namespaces, and starts get slower with every instance. Nobody but
 * the host wants these: group membership reports are dropped (the bridge does not snoop), and so is duplicate
 * address detection (addresses derive from MACs that lxmd keeps unique); solicitations of routers and DHCP servers
 * get the bridge's own MAC as destination, where they are answered. Everything else, neighbour discovery and
 * 224.0.0.x among it, is flooded as on any switch. A querier on the bridge instead makes it worse: the kernel asks
 * all ports again whenever one is added. The chain sees frames of all bridges and not every kernel can tell which
 * one a port belongs to (NFT_BRIDGE_META), hence ports with a common beginning of their names.
 */
static void text_flooding(const struct fw_bridge *b, const char *table, struct lxm_buf *t)
{
	lxm_buf_fmt(t, "table bridge %s {\n\tchain flooding {\n"
		       "\t\ttype filter hook prerouting priority -200; policy accept;\n\t}\n}\n"
		       "flush chain bridge %s flooding\n"
		       "table bridge %s {\n\tchain flooding {\n",
		    table, table, table);
	/* bulk traffic is unicast and leaves at the first rule */
	lxm_buf_str(t, "\t\tether daddr & 01:00:00:00:00:00 == 00:00:00:00:00:00 accept\n");
	lxm_buf_fmt(t, "\t\tiifname != \"%s*\" accept\n", b->ports);
	lxm_buf_str(t, "\t\ticmpv6 type { mld-listener-report, mld-listener-done, mld2-listener-report } drop\n"
		       "\t\tmeta l4proto 2 drop\n"
		       "\t\tip6 saddr :: icmpv6 type nd-neighbor-solicit drop\n");
	if (b->subnet6)
		lxm_buf_fmt(t, "\t\ticmpv6 type nd-router-solicit ether daddr set %s\n", b->mac);
	if (b->subnet4 && b->dhcp4)
		lxm_buf_fmt(t, "\t\tudp dport 67 ether daddr set %s\n", b->mac);
	if (b->subnet6 && b->dhcp6)
		lxm_buf_fmt(t, "\t\tudp dport 547 ether daddr set %s\n", b->mac);
	lxm_buf_str(t, "\t}\n}\n");
}

void fw_bridge_text(const struct fw_bridge *b, struct lxm_buf *t)
{
	char table[80];

	fw_table_name(b->bridge, table, sizeof(table));
	/* add, delete, add: replaces a table that may or may not be there, in one transaction */
	lxm_buf_fmt(t, "table inet %s\ndelete table inet %s\ntable inet %s {\n", table, table, table);
	lxm_buf_str(t, "\tchain inbound {\n\t\ttype filter hook input priority filter; policy accept;\n");
	text_services(b, t, true);
	lxm_buf_str(t, "\t}\n\tchain outbound {\n\t\ttype filter hook output priority filter; policy accept;\n");
	text_services(b, t, false);
	lxm_buf_str(t, "\t}\n\tchain forwarded {\n\t\ttype filter hook forward priority filter; policy accept;\n");
	text_forward(b, t, "ipv4", b->subnet4, b->route4, b->firewall4);
	text_forward(b, t, "ipv6", b->subnet6, b->route6, b->firewall6);
	lxm_buf_str(t, "\t}\n\tchain translated {\n\t\ttype nat hook postrouting priority srcnat; policy accept;\n");
	if (b->subnet4 && b->nat4)
		text_nat(t, "ip", b->subnet4, b->nat4_address);
	if (b->subnet6 && b->nat6)
		text_nat(t, "ip6", b->subnet6, b->nat6_address);
	lxm_buf_str(t, "\t}\n}\n");
	text_flooding(b, table, t);
}

int fw_bridge_apply(struct firewall *fw, const struct fw_bridge *b, struct lxm_err *e)
{
	lxm_auto(buf) struct lxm_buf t = { 0 };
	int r;

	fw_bridge_text(b, &t);
	r = fw_run(fw, t.data, 0, NULL, e);
	return r < 0 ? lxm_err_wrap(e, r, "firewall of bridge '%s'", b->bridge) : 0;
}

int fw_bridge_remove(struct firewall *fw, const char *bridge, struct lxm_err *e)
{
	lxm_auto(buf) struct lxm_buf t = { 0 };
	char n[80];
	int r;

	fw_table_name(bridge, n, sizeof(n));
	lxm_buf_fmt(&t, "table inet %s\ndelete table inet %s\n", n, n);
	lxm_buf_fmt(&t, "table bridge %s\ndelete table bridge %s\n", n, n);
	/* that of firewall_forward.c */
	lxm_buf_fmt(&t, "table inet %s_fwd\ndelete table inet %s_fwd\n", n, n);
	r = fw_run(fw, t.data, 0, NULL, e);
	return r < 0 ? lxm_err_wrap(e, r, "remove firewall of bridge '%s'", bridge) : 0;
}

int fw_bridge_present(struct firewall *fw, const char *bridge, struct lxm_err *e)
{
	char n[80], cmd[128];
	int r;

	fw_table_name(bridge, n, sizeof(n));
	(void)snprintf(cmd, sizeof(cmd), "list table inet %s", n);
	r = fw_run(fw, cmd, NFT_CTX_OUTPUT_TERSE, NULL, e);
	return r == -ENOENT ? 0 : r < 0 ? r : 1;
}

int fw_foreign_drops(struct firewall *fw, struct lxm_buf *out, struct lxm_err *e)
{
	lxm_auto(buf) struct lxm_buf list = { 0 };
	const json_t *row;
	json_t *doc;
	size_t i;
	int r = fw_run(fw, "list chains", NFT_CTX_OUTPUT_JSON, &list, e);

	if (r < 0)
		return r;
	doc = json_loads(list.data ? list.data : "", 0, NULL);
	json_array_foreach(json_object_get(doc, "nftables"), i, row) {
		const json_t *c = json_object_get(row, "chain");
		const char *family = json_string_value(json_object_get(c, "family"));
		const char *table = json_string_value(json_object_get(c, "table"));
		const char *name = json_string_value(json_object_get(c, "name"));
		const char *hook = json_string_value(json_object_get(c, "hook"));
		const char *policy = json_string_value(json_object_get(c, "policy"));

		if (family && table && name && lxm_streq(hook, "forward") && lxm_streq(policy, "drop") &&
		    (!strcmp(family, "ip") || !strcmp(family, "ip6") || !strcmp(family, "inet")))
			lxm_buf_fmt(out, "%s%s %s %s", out->len ? ", " : "", family, table, name);
	}
	json_decref(doc);
	return 0;
}
