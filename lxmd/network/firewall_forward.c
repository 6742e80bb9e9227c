/*
 * The table `inet lxm_BRIDGE_fwd`: fixed rules that look addresses and ports up in maps, so that a packet costs the same however many
 * forwards there are. It stands beside the bridge's own table because that one is replaced as a whole. What the kernel refuses to
 * enter twice is how two devices are kept from one port. Any thread.
 */
#include "lxmd/network/firewall_forward.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "lxmd/core/daemon.h"
#include "lxmd/network/firewall.h"
#include "lxmd/network/network_priv.h"

static void table_name(const char *bridge, char *out, size_t size)
{
	char name[80];

	fw_table_name(bridge, name, sizeof(name));
	(void)snprintf(out, size, "%s_fwd", name);
}

static void text_lookup(struct lxm_buf *t)
{
	lxm_buf_str(t, "\t\tdnat ip to ip daddr . meta l4proto . th dport map @at4\n"
		       "\t\tdnat ip6 to ip6 daddr . meta l4proto . th dport map @at6\n"
		       "\t\tmeta nfproto ipv4 fib daddr type local dnat ip to meta l4proto . th dport map @any4\n"
		       "\t\tmeta nfproto ipv6 fib daddr type local dnat ip6 to meta l4proto . th dport map @any6\n");
}

void fw_forward_table_text(const struct fw_forward *f, struct lxm_buf *t)
{
	static const char *const chains[] = { "incoming", "own", "hairpin" };
	char n[96];
	size_t i;

	table_name(f->bridge, n, sizeof(n));
	lxm_buf_fmt(t, "table inet %s {\n", n);
	lxm_buf_str(t, "\tmap at4 { type ipv4_addr . inet_proto . inet_service : ipv4_addr . inet_service; }\n"
		       "\tmap at6 { type ipv6_addr . inet_proto . inet_service : ipv6_addr . inet_service; }\n"
		       "\tmap any4 { type inet_proto . inet_service : ipv4_addr . inet_service; }\n"
		       "\tmap any6 { type inet_proto . inet_service : ipv6_addr . inet_service; }\n"
		       "\tchain incoming { type nat hook prerouting priority dstnat; policy accept; }\n"
		       "\tchain own { type nat hook output priority -100; policy accept; }\n"
		       "\tchain hairpin { type nat hook postrouting priority srcnat; policy accept; }\n}\n");
	for (i = 0; i < LXM_ARRAY_LEN(chains); i++)
		lxm_buf_fmt(t, "flush chain inet %s %s\n", n, chains[i]);
	lxm_buf_fmt(t, "table inet %s {\n\tchain incoming {\n", n);
	text_lookup(t);
	/* the kernel does not route what comes from a loopback address */
	lxm_buf_str(t, "\t}\n\tchain own {\n\t\tip daddr 127.0.0.0/8 accept\n\t\tip6 daddr ::1 accept\n");
	text_lookup(t);
	/* from the bridge back to it: answers would go straight to who asked, and not be translated back */
	lxm_buf_str(t, "\t}\n\tchain hairpin {\n");
	if (f->net4)
		lxm_buf_fmt(t, "\t\toifname \"%s\" ct status dnat ip saddr %s ip saddr != %.*s masquerade\n", f->bridge, f->net4,
			    (int)strcspn(f->net4, "/"), f->net4);
	if (f->net6)
		lxm_buf_fmt(t, "\t\toifname \"%s\" ct status dnat ip6 saddr %s ip6 saddr != %.*s masquerade\n", f->bridge, f->net6,
			    (int)strcspn(f->net6, "/"), f->net6);
	lxm_buf_str(t, "\t}\n}\n");
}

static void text_elements(const struct fw_forward *f, const char *verb, bool values, struct lxm_buf *t)
{
	char n[96];
	size_t i;

	table_name(f->bridge, n, sizeof(n));
	lxm_buf_fmt(t, "%s element inet %s %s%c {", verb, n, f->from ? "at" : "any", f->v6 ? '6' : '4');
	for (i = 0; i < f->n; i++) {
		lxm_buf_str(t, i ? ", " : " ");
		if (f->from)
			lxm_buf_fmt(t, "%s . ", f->from);
		lxm_buf_fmt(t, "%s . %u", f->udp ? "udp" : "tcp", f->from_ports[i]);
		if (values)
			lxm_buf_fmt(t, " : %s . %u", f->to, f->to_ports[f->to_n == 1 ? 0 : i]);
	}
	lxm_buf_str(t, " }\n");
}

void fw_forward_text(const struct fw_forward *f, bool create, struct lxm_buf *t)
{
	if (create) {
		text_elements(f, "create", true, t);
		return;
	}
	/* adding what is there is fine, adding something else in its place fails: only our own are deleted */
	text_elements(f, "add", true, t);
	text_elements(f, "delete", false, t);
}

int fw_forward_set(struct firewall *fw, const struct fw_forward *f, struct lxm_err *e)
{
	lxm_auto(buf) struct lxm_buf t = { 0 };
	struct lxm_err said = { 0 };
	int r;

	fw_forward_table_text(f, &t);
	fw_forward_text(f, true, &t);
	r = fw_run(fw, t.data, 0, NULL, &said);
	if (r < 0 && strstr(said.msg, "File exists"))
		return lxm_err_set(e, EADDRINUSE, "a port of %s:%s leads to an instance already", f->udp ? "udp" : "tcp", f->from ? f->from : "*");
	return r < 0 ? lxm_err_set(e, -r, "forward ports: %s", said.msg) : 0;
}

int fw_forward_unset(struct firewall *fw, const struct fw_forward *f, struct lxm_err *e)
{
	lxm_auto(buf) struct lxm_buf t = { 0 };

	fw_forward_text(f, false, &t);
	return fw_run(fw, t.data, 0, NULL, e);
}

static const char *net_of(const struct network_info *i, const char *key)
{
	const char *value = lxm_kv_get(&i->config, key);

	return value && strchr(value, '/') ? value : NULL;
}

int network_forward_set(struct lxmd *d, struct fw_forward *f, struct lxm_err *e)
{
	lxm_auto(network_info) struct network_info i = { 0 };
	int r;

	/* left by an lxmd that was killed, or still there because the instance runs on */
	(void)fw_forward_unset(d->networks->fw, f, NULL);
	r = network_get(d, f->bridge, &i, e);
	if (r < 0)
		return r;
	f->net4 = net_of(&i, "ipv4.address");
	f->net6 = net_of(&i, "ipv6.address");
	r = fw_forward_set(d->networks->fw, f, e);
	f->net4 = f->net6 = NULL;
	return r;
}

void network_forward_unset(struct lxmd *d, const struct fw_forward *f)
{
	(void)fw_forward_unset(d->networks->fw, f, NULL);
}
