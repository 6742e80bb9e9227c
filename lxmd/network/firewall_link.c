/*
 * Limits of what comes out of links. Every kernel that can filter can do this, with or without the classifiers and actions of
 * traffic control; and it holds for all frames, before a bridge or the IP layer sees them. Any thread.
 */
#include "lxmd/network/firewall_link.h"

#include "lxmd/network/firewall_priv.h"

/* Large enough for the largest packet that segmentation offload makes, and for what a TCP sender needs to reach its rate. */
#define BURST_MIN 131072u
#define BURST_MS  100

static void table_name(const char *link, char *out, size_t size)
{
	char name[80];

	fw_table_name(link, name, sizeof(name));
	(void)snprintf(out, size, "netdev %s", name);
}

void fw_link_text(const char *link, uint64_t bits, uint32_t priority, struct lxm_buf *out)
{
	uint64_t rate = bits / 8 ? bits / 8 : 1, burst = rate / 1000 * BURST_MS;
	char n[96];

	table_name(link, n, sizeof(n));
	lxm_buf_fmt(out, "table %s\ndelete table %s\n", n, n);
	if (!bits && !priority)
		return;
	lxm_buf_fmt(out, "table %s {\n\tchain out_of {\n\t\ttype filter hook ingress device \"%s\" priority -500; policy accept;\n", n, link);
	if (bits)
		lxm_buf_fmt(out, "\t\tlimit rate over %llu bytes/second burst %llu bytes drop\n", (unsigned long long)rate,
			    (unsigned long long)(burst < BURST_MIN ? BURST_MIN : burst > UINT32_MAX ? UINT32_MAX : burst));
	if (priority)
		lxm_buf_fmt(out, "\t\tmeta priority set %x:%x\n", priority >> 16, priority & 0xffff);
	lxm_buf_str(out, "\t}\n}\n");
}

int fw_link_set(struct firewall *fw, const char *link, uint64_t bits, uint32_t priority, struct lxm_err *e)
{
	lxm_auto(buf) struct lxm_buf t = { 0 };
	int r;

	if (!fw_link_name_ok(link))
		return lxm_err_set(e, EINVAL, "'%.20s' is no name of a link that can be limited", link);
	if (!bits && !priority)
		return fw_link_unset(fw, link, e);
	fw_link_text(link, bits, priority, &t);
	r = fw_run(fw, t.data, 0, NULL, e);
	return r < 0 ? lxm_err_wrap(e, r, "limit of what link '%s' may send", link) : 0;
}

int fw_link_unset(struct firewall *fw, const char *link, struct lxm_err *e)
{
	struct lxm_err local = { 0 };
	char n[96], cmd[120];
	int r;

	table_name(link, n, sizeof(n));
	(void)snprintf(cmd, sizeof(cmd), "delete table %s", n);
	r = fw_run(fw, cmd, 0, NULL, &local);
	if (r == -ENOENT)
		return 0;
	if (r < 0 && e)
		*e = local;
	return r < 0 ? lxm_err_wrap(e, r, "end limit of link '%s'", link) : 0;
}
