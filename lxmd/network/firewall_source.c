/*
 * The host forwards for routed NICs, so their root could send under any address of the world. A link that is guarded is one element of
 * a set: the rules ask the host's own routes, which say what belongs to it, and what to the host itself. Link-local sources and the unspecified one are forwarded
 * nowhere. Any thread.
 */
#include "lxmd/network/firewall_source.h"

#include "lxmd/network/firewall_priv.h"

static void whole(const struct firewall *fw, struct lxm_buf *t)
{
	const char *n = fw->routed_table;
	size_t i;

	lxm_buf_fmt(t, "table ip6 %s\ndelete table ip6 %s\n", n, n);
	if (!fw->routed.n)
		return;
	lxm_buf_fmt(t, "table ip6 %s {\n\tset links {\n\t\ttype ifname\n\t}\n\tchain sources {\n"
		       "\t\ttype filter hook prerouting priority -300; policy accept;\n"
		       "\t\tip6 saddr { ::/128, fe80::/10 } accept\n"
		       "\t\tiifname @links fib saddr . iif oif missing drop\n"
		       "\t\tiifname @links fib saddr type local drop\n\t}\n}\n", n);
	for (i = 0; i < fw->routed.n; i++)
		lxm_buf_fmt(t, "add element ip6 %s links { \"%s\" }\n", n, fw->routed.v[i]);
}

int fw_sources_apply(struct firewall *fw, struct lxm_err *e)
{
	lxm_auto(buf) struct lxm_buf t = { 0 };

	whole(fw, &t);
	return fw_run(fw, t.data, 0, NULL, e);
}

/* The set as `routed` says, from which `link` has just come or gone (nics_lock held). */
static int change(struct firewall *fw, const char *verb, const char *link, struct lxm_err *e)
{
	char cmd[120];
	int r = -ENOENT;

	if (fw->held)
		return 0;
	(void)snprintf(cmd, sizeof(cmd), "%s element ip6 %s links { \"%s\" }", verb, fw->routed_table, link);
	if (fw->routed.n)
		r = fw_run(fw, cmd, 0, NULL, e);
	if (r != -ENOENT)
		return r;
	/* there is no table, or none any more, or none is needed */
	lxm_err_clear(e);
	return fw_sources_apply(fw, e);
}

int fw_source_guard(struct firewall *fw, const char *link, struct lxm_err *e)
{
	bool had;
	int r;

	if (!fw_link_name_ok(link))
		return lxm_err_set(e, EINVAL, "'%.20s' is no name of a link that can be filtered", link);
	pthread_mutex_lock(&fw->nics_lock);
	had = lxm_strv_has(&fw->routed, link);
	if (!had)
		lxm_strv_add(&fw->routed, link);
	r = change(fw, "add", link, e);
	if (r < 0 && !had)
		(void)lxm_strv_del(&fw->routed, link);
	pthread_mutex_unlock(&fw->nics_lock);
	return r < 0 ? lxm_err_wrap(e, r, "filter of sources of link '%s'", link) : 0;
}

int fw_source_unguard(struct firewall *fw, const char *link, struct lxm_err *e)
{
	int r = 0;

	pthread_mutex_lock(&fw->nics_lock);
	if (lxm_strv_del(&fw->routed, link))
		r = change(fw, "delete", link, e);
	pthread_mutex_unlock(&fw->nics_lock);
	return r < 0 ? lxm_err_wrap(e, r, "end filter of sources of link '%s'", link) : 0;
}
