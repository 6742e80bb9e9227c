/*
 * Limits of network interfaces on the host end of their pair, whatever the kind: rates, priority, length of the queue.
 *
 * What the instance receives is held back by a token bucket; what it sends and its priority are a rule at the ingress of the link,
 * where its root cannot reach. Worker threads.
 */
#include <string.h>

#include "lib/base/log.h"
#include "lib/base/str.h"
#include "lib/conf/checks.h"
#include "lxmd/device/nic_priv.h"
#include "lxmd/network/network.h"
#include "lxmd/network/shape.h"

#define QUEUE_DEFAULT 1000 /* the kernel's, for a pair */

static const char *either(const struct device_ctx *c, const char *key)
{
	return nic_get(c, "limits.max") ? nic_get(c, "limits.max") : nic_get(c, key);
}

static uint64_t rate(const struct device_ctx *c, const char *key)
{
	const char *value = either(c, key);
	uint64_t bits = 0;

	return value && conf_parse_rate(value, &bits) == 0 ? bits : 0;
}

static uint32_t number(const char *value)
{
	uint64_t n = 0;

	return value && lxm_parse_u64(value, &n) == 0 && n <= UINT32_MAX ? (uint32_t)n : 0;
}

static uint32_t priority(const struct device_ctx *c)
{
	const char *own = nic_get(c, "limits.priority");

	return number(own ? own : lxm_kv_get(c->config, "limits.network.priority"));
}

static int queue_apply(const struct device_ctx *c, int rtnl, int index, struct lxm_err *e)
{
	uint32_t wanted = nic_txqlen(c);

	return shape_queue(rtnl, index, wanted ? wanted : QUEUE_DEFAULT, e);
}

uint64_t nic_limits_ingress(const struct device_ctx *c)
{
	return rate(c, "limits.ingress");
}

int nic_limits_apply(const struct device_ctx *c, const char *link, bool live, struct lxm_err *e)
{
	uint64_t in = nic_limits_ingress(c), out = rate(c, "limits.egress");
	uint32_t prio = priority(c);
	lxm_auto(fd_close) int rtnl = -1;
	int index, r = 0;

	if (!live && !in && !out && !prio)
		return 0;
	rtnl = nic_link_open(link, &index, e);
	if (rtnl < 0)
		return rtnl;
	if (live || in)
		r = shape_rate(rtnl, index, in, e);
	if (r == 0 && (live || out || prio))
		r = network_limit_set(c->d, link, out, prio, e);
	if (r == 0 && live)
		r = queue_apply(c, rtnl, index, e);
	return r;
}

void nic_limits_end(const struct device_ctx *c, const char *link)
{
	struct lxm_err e = { 0 };

	if ((rate(c, "limits.egress") || priority(c)) && network_limit_set(c->d, link, 0, 0, &e) < 0)
		lxm_warn("instance '%s': %s", c->instance_name, e.msg);
}
