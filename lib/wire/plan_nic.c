/*
 * The steps of a start plan that are about links: what makes them valid, and one link alone as a document of its own,
 * which is how a link comes to an instance that runs.
 */
#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "lib/base/fd.h"
#include "lib/wire/plan_priv.h"

#define NIC_MAGIC 0x4e4d584cu /* "LXMN" */
#define NIC_MAX	  1024u

static const struct wire_kind kinds[PLAN_NIC + 1] = {
	[PLAN_NIC] = { "nic", 1, 1, PLAN_NIC_FIELDS },
};

static const struct wire_format format = { NIC_MAGIC, 1, NIC_MAX, kinds, PLAN_NIC + 1 };

/* ---- checks */

static bool ifname_ok(const char *s)
{
	size_t i, n = strlen(s);

	if (!n || n > 15 || s[0] == '.')
		return false;
	for (i = 0; i < n; i++)
		if (!((s[i] >= 'a' && s[i] <= 'z') || (s[i] >= 'A' && s[i] <= 'Z') || (s[i] >= '0' && s[i] <= '9') || strchr("_-.@", s[i])))
			return false;
	return true;
}

static bool mac_ok(const char *s)
{
	int i;

	if (strlen(s) != 17)
		return false;
	for (i = 0; i < 17; i++)
		if (i % 3 == 2 ? s[i] != ':' : !strchr("0123456789abcdefABCDEF", s[i]))
			return false;
	return true;
}

/* The family, 0 for what is no address. */
static int address_ok(const char *s)
{
	unsigned char raw[16];

	return inet_pton(AF_INET, s, raw) == 1 ? AF_INET : inet_pton(AF_INET6, s, raw) == 1 ? AF_INET6 : 0;
}

static int prefix_ok(const char *s)
{
	const char *slash = strchr(s, '/');
	char text[64], *end;
	unsigned long n;
	int family;

	if (!slash || slash[1] < '0' || slash[1] > '9' || (size_t)(slash - s) >= sizeof(text))
		return 0;
	memcpy(text, s, (size_t)(slash - s));
	text[slash - s] = 0;
	n = strtoul(slash + 1, &end, 10);
	family = address_ok(text);
	return !*end && n <= (family == AF_INET ? 32u : 128u) ? family : 0;
}

static const char *check_link(const struct plan_nic *n)
{
	if (n->kind < PLAN_NIC_VETH || n->kind > PLAN_NIC_IPVLAN)
		return "kind";
	if (n->flags & ~127u)
		return "flags";
	if (!ifname_ok(n->peer))
		return "peer";
	if (n->kind == PLAN_NIC_VETH ? !ifname_ok(n->host) : *n->host != 0)
		return "host";
	if ((n->kind != PLAN_NIC_VETH || *n->parent) && !ifname_ok(n->parent))
		return "parent";
	if ((*n->mac && !mac_ok(n->mac)) || (*n->host_mac && !mac_ok(n->host_mac)))
		return "mac";
	if (n->mtu > 65535 || (n->mtu && n->mtu < 68) || n->host_mtu > 65535)
		return "mtu";
	return NULL;
}

static const char *check_route(const struct plan_nic_route *r)
{
	int family = prefix_ok(r->dst);

	if (r->side != PLAN_INSIDE && r->side != PLAN_OUTSIDE)
		return "side";
	if (!family)
		return "dst";
	return *r->via && address_ok(r->via) != family ? "via" : !ifname_ok(r->link) ? "link" : NULL;
}

static int vlan_number(const char **p, uint16_t *out)
{
	unsigned int n = 0, digits = 0;

	for (; **p >= '0' && **p <= '9' && digits < 5; (*p)++, digits++)
		n = n * 10 + (unsigned int)(**p - '0');
	*out = (uint16_t)n;
	return n >= 1 && n <= 4094 ? 0 : -EINVAL;
}

int plan_vlan_next(const char **p, uint16_t *first, uint16_t *last)
{
	if (!**p)
		return 0;
	if (vlan_number(p, first) < 0)
		return -EINVAL;
	*last = *first;
	if (**p == '-') {
		(*p)++;
		if (vlan_number(p, last) < 0)
			return -EINVAL;
	}
	if (*last < *first || (**p && **p != ','))
		return -EINVAL;
	if (!**p)
		return 1;
	(*p)++;
	return **p ? 1 : -EINVAL;
}

static const char *check_port(const struct plan_nic_port *n)
{
	const char *p = n->tagged;
	uint16_t first, last;
	int r;

	if (!ifname_ok(n->link))
		return "link";
	if (*n->mac && !mac_ok(n->mac))
		return "mac";
	if (n->flags & ~3u || n->untagged > PLAN_VLAN_BRIDGE)
		return "flags";
	do
		r = plan_vlan_next(&p, &first, &last);
	while (r > 0);
	if (r < 0 || (*n->tagged && !(n->flags & PLAN_PORT_VLANS)))
		return "tagged";
	return n->rate && (!n->burst || n->burst > INT32_MAX || !n->queue || n->queue > INT32_MAX) ? "rate" : NULL;
}

const char *plan_check_nic(const struct plan_step *s)
{
	switch (s->kind) {
	case PLAN_NIC:
		return check_link(&s->u.nic);
	case PLAN_NIC_ADDR:
		if (s->u.nic_addr.side != PLAN_INSIDE && s->u.nic_addr.side != PLAN_OUTSIDE)
			return "side";
		return !ifname_ok(s->u.nic_addr.link) ? "link" : !prefix_ok(s->u.nic_addr.address) ? "address" : NULL;
	case PLAN_NIC_ROUTE:
		return check_route(&s->u.nic_route);
	case PLAN_NIC_PROXY:
		return !ifname_ok(s->u.nic_proxy.link) ? "link" : !address_ok(s->u.nic_proxy.address) ? "address" : NULL;
	case PLAN_NIC_PORT:
		return check_port(&s->u.nic_port);
	default:
		return "kind";
	}
}

void plan_fill_strings(const struct wire_kind *kind, struct plan_step *s)
{
	static const char *const empty = "";
	const struct wire_field *f = kind->fields;
	const char *p;
	size_t i;

	for (i = 0; i < WIRE_FIELDS && f[i].type; i++) {
		if (f[i].type != WIRE_STR)
			continue;
		memcpy(&p, (char *)s + f[i].off, sizeof(p));
		if (!p)
			memcpy((char *)s + f[i].off, &empty, sizeof(empty));
	}
}

/* ---- one alone */

int plan_nic_seal(const struct plan_nic *n, int *fd_out, struct lxm_err *e)
{
	struct plan_step s = { .kind = PLAN_NIC, .u.nic = *n };
	lxm_auto(buf) struct lxm_buf all = { 0 };
	unsigned char head[16] = { 0 };
	const char *bad;
	int r;

	plan_fill_strings(&kinds[PLAN_NIC], &s);
	bad = plan_check_nic(&s);
	if (bad)
		return lxm_err_set(e, EINVAL, "link: bad %s", bad);
	lxm_buf_add(&all, head, sizeof(head));
	r = wire_put(&all, &format, PLAN_NIC, &s, e);
	if (r < 0)
		return lxm_err_wrap(e, r, "link");
	wire_header((unsigned char *)all.data, &format, 1, all.len - sizeof(head));
	return wire_seal(&all, "a link", fd_out, e);
}

int plan_nic_open(int fd, struct plan_view *out, struct plan_nic *n_out, struct lxm_err *e)
{
	struct plan_view v = { 0 };
	struct plan_step s = { 0 };
	uint32_t kind = 0;
	size_t pos = 0;
	int r = wire_map(fd, NIC_MAX, "link", &v.mapping, e);

	if (r < 0)
		return r;
	r = wire_check(&format, v.mapping.data, v.mapping.len, &v.doc, e);
	if (r == 0) {
		(void)wire_next(&v.doc, &pos, &kind, &s);
		s.kind = (enum plan_kind)kind;
		if (plan_check_nic(&s))
			r = lxm_err_set(e, EBADMSG, "link: bad %s", plan_check_nic(&s));
	}
	if (r < 0) {
		plan_close(&v);
		return r;
	}
	*out = v;
	*n_out = s.u.nic;
	return 0;
}
