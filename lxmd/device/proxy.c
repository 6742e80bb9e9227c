/*
 * Proxy devices: what comes to an address of the host goes to one of the instance, or the other way round. By a process of its own
 * (forwards.h), or with nat=true by the firewall (proxy_nat.c). It starts once the instance's init runs, since it needs its network.
 */
#include "lxmd/device/proxy.h"

#include <arpa/inet.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "lib/base/alloc.h"
#include "lxmd/device/forwards.h"

#define UDP_IDLE_MS 120000

/* ---- addresses */

static int ports_parse(const char *text, struct proxy_end *out, struct lxm_err *e)
{
	lxm_auto(strv) struct lxm_strv parts = { 0 };
	size_t i;

	lxm_strv_split(&parts, text, ',');
	for (i = 0; i < parts.n; i++) {
		const char *dash = strchr(parts.v[i], '-');
		unsigned long a = strtoul(parts.v[i], NULL, 10), b = dash ? strtoul(dash + 1, NULL, 10) : a;

		for (; a <= b; a++) {
			if (out->n == FORWARD_PORTS_MAX)
				return lxm_err_set(e, EINVAL, "more than %d ports: use nat=true or several devices", FORWARD_PORTS_MAX);
			out->ports[out->n++] = (uint16_t)a;
		}
	}
	return 0;
}

int proxy_end_parse(const char *value, struct proxy_end *out, struct lxm_err *e)
{
	const char *rest, *colon;
	bool brackets;

	memset(out, 0, sizeof(*out));
	value = value ? value : "";
	if (lxm_starts(value, "unix:")) {
		out->type = FORWARD_UNIX;
		(void)snprintf(out->address, sizeof(out->address), "%s", value + strlen("unix:"));
		return 0;
	}
	out->type = lxm_starts(value, "udp:") ? FORWARD_UDP : FORWARD_TCP;
	rest = value + strcspn(value, ":");
	colon = strrchr(value, ':');
	if (!colon || colon <= rest + 1)
		return lxm_err_set(e, EINVAL, "'%.100s' is no address", value);
	brackets = rest[1] == '[';
	rest += 1 + brackets;
	(void)snprintf(out->address, sizeof(out->address), "%.*s", (int)(colon - brackets - rest), rest);
	return ports_parse(colon + 1, out, e);
}

int proxy_end_family(const struct proxy_end *end)
{
	return strchr(end->address, ':') ? AF_INET6 : AF_INET;
}

bool proxy_end_any(const struct proxy_end *end)
{
	struct in6_addr a = { 0 };

	return end->type != FORWARD_UNIX && inet_pton(proxy_end_family(end), end->address, &a) == 1 && IN6_IS_ADDR_UNSPECIFIED(&a);
}

/* ---- properties */

static bool inside(const struct device_ctx *c)
{
	return !lxm_streq(lxm_kv_or(c->kv, "bind", "host"), "host");
}

static bool nat(const struct device_ctx *c)
{
	return lxm_kv_bool(c->kv, "nat", false);
}

static bool has_path(const struct proxy_end *end)
{
	return end->type == FORWARD_UNIX && *end->address == '/';
}

static bool given(const struct device_ctx *c, const char *key)
{
	return !lxm_empty(lxm_kv_get(c->kv, key));
}

static int ends_parse(const struct device_ctx *c, struct proxy_end *from, struct proxy_end *to, struct lxm_err *e)
{
	int r = proxy_end_parse(lxm_kv_get(c->kv, "listen"), from, e);

	return r < 0 ? r : proxy_end_parse(lxm_kv_get(c->kv, "connect"), to, e);
}

static int check_ports(const struct proxy_end *from, const struct proxy_end *to, struct lxm_err *e)
{
	if (from->type == FORWARD_UNIX && to->n > 1)
		return lxm_err_set(e, EINVAL, "one socket cannot lead to several ports");
	if (to->n > 1 && to->n != from->n)
		return lxm_err_set(e, EINVAL, "listen has %zu ports and connect has %zu: the same number is wanted, or one to connect to", from->n,
				   to->n);
	return 0;
}

static int proxy_validate(const struct device_ctx *c, bool instance, struct lxm_err *e)
{
	struct proxy_end from, to;
	int r = ends_parse(c, &from, &to, e);

	if (r == 0)
		r = check_ports(&from, &to, e);
	if (r < 0)
		return r;
	if (from.type == FORWARD_UDP && to.type != FORWARD_UDP)
		return lxm_err_set(e, EINVAL, "what comes by udp can only go on by udp");
	if (!has_path(&from) && (given(c, "uid") || given(c, "gid") || given(c, "mode")))
		return lxm_err_set(e, EINVAL, "uid, gid and mode are of a listening Unix socket that has a path");
	if (lxm_kv_bool(c->kv, "proxy_protocol", false) && (to.type != FORWARD_TCP || nat(c)))
		return lxm_err_set(e, EINVAL, "proxy_protocol needs connect=tcp:... and no nat");
	if (!nat(c))
		return 0;
	if (inside(c))
		return lxm_err_set(e, EINVAL, "nat=true needs bind=host");
	if (from.type == FORWARD_UNIX || from.type != to.type || proxy_end_family(&from) != proxy_end_family(&to))
		return lxm_err_set(e, EINVAL, "nat=true needs listen and connect of one kind, tcp or udp, IPv4 or IPv6");
	if (given(c, "security.uid") || given(c, "security.gid"))
		return lxm_err_set(e, EINVAL, "with nat=true there is no process that security.uid and security.gid could be for");
	return instance ? proxy_nat_validate(c, &from, &to, e) : 0;
}

static uint32_t number(const struct device_ctx *c, const char *key, int base, uint32_t dflt)
{
	const char *value = lxm_kv_get(c->kv, key);

	return lxm_empty(value) ? dflt : (uint32_t)strtoul(value, NULL, base);
}

static void job_fill(const struct device_ctx *c, const struct proxy_end *from, const struct proxy_end *to, struct forward_job *j)
{
	*j = (struct forward_job){
		.flags = (inside(c) ? FORWARD_LISTEN_INSIDE : 0) | (c->privileged ? FORWARD_PRIVILEGED : 0) |
			 (lxm_kv_bool(c->kv, "proxy_protocol", false) ? FORWARD_HEADER : 0),
		.udp_idle_ms = UDP_IDLE_MS,
		.uid = number(c, "uid", 10, 0),
		.gid = number(c, "gid", 10, 0),
		.mode = number(c, "mode", 8, 0644) & 07777,
		.run_uid = number(c, "security.uid", 10, 0),
		.run_gid = number(c, "security.gid", 10, 0),
		.listen = { from->type, from->address, { from->ports, 2 * from->n } },
		.connect = { to->type, to->address, { to->ports, 2 * to->n } },
	};
}

/* ---- life */

static int proxy_started(struct device_ctx *c, const struct device_live *live, struct lxm_err *e)
{
	lxm_auto(free) char *label = lxm_asprintf("%s/%s", c->instance_name, c->name);
	struct proxy_end from, to;
	struct forward_job job;
	int r = ends_parse(c, &from, &to, e);

	if (r < 0)
		return r;
	if (nat(c))
		return proxy_nat_set(c, &from, &to, e);
	job_fill(c, &from, &to, &job);
	return forward_set(c->d, live, c->instance, c->name, label, &job, e);
}

/* The name of a socket on which nobody listens any more. */
static void remove_dead(const char *path)
{
	lxm_auto(fd_close) int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	struct sockaddr_un un = { .sun_family = AF_UNIX };
	struct stat st;

	(void)snprintf(un.sun_path, sizeof(un.sun_path), "%.*s", FORWARD_PATH_MAX, path);
	if (fd >= 0 && lstat(path, &st) == 0 && S_ISSOCK(st.st_mode) && connect(fd, (struct sockaddr *)&un, sizeof(un)) < 0 &&
	    errno == ECONNREFUSED)
		(void)unlink(path);
}

static void proxy_stop(struct device_ctx *c)
{
	struct proxy_end from, to;

	if (ends_parse(c, &from, &to, NULL) < 0)
		return;
	if (nat(c)) {
		proxy_nat_unset(c, &from, &to);
		return;
	}
	forward_end(c->d, c->instance, c->name);
	if (has_path(&from) && !inside(c))
		remove_dead(from.address);
}

static int proxy_hot_remove(struct device_ctx *c, const struct device_live *live, struct lxm_err *e)
{
	lxm_auto(free) char *label = lxm_asprintf("%s/%s", c->instance_name, c->name);
	struct proxy_end from, to;
	struct forward_job job;

	proxy_stop(c);
	if (inside(c) && ends_parse(c, &from, &to, NULL) == 0 && has_path(&from)) {
		job_fill(c, &from, &to, &job);
		forward_unlisten(live, label, &job);
	}
	return 0;
}

const struct device_type device_proxy = {
	.name = "proxy",
	.flags = DEVICE_ON_HOST | DEVICE_HOT_ADD | DEVICE_HOT_REMOVE,
	.validate = proxy_validate,
	.started = proxy_started,
	.stop = proxy_stop,
	.hot_add = proxy_started,
	.hot_remove = proxy_hot_remove,
};
