/* Routes of a bridge: subnets that its configuration says are behind it. Under the lock of changes; worker threads, the main thread at start. */
#include "lxmd/network/bridge_routes.h"

#include <string.h>

#include "lib/base/log.h"
#include "lxmd/network/network_priv.h"

static int route(int rtnl, int index, const char *text, bool add, struct lxm_err *e)
{
	struct nl_route_spec r = { .oif = index };

	if (nl_cidr_parse(text, &r.dst) < 0)
		return lxm_err_set(e, EINVAL, "'%.60s' is no network", text);
	return add ? nl_route_add(rtnl, &r, e) : nl_route_del(rtnl, &r, e);
}

/* One that is there already: when we start and find the bridge, an earlier daemon's, else somebody else's. */
static int add_new(int rtnl, const struct network *n, int index, bool made, const struct lxm_strv *wanted, struct lxm_err *e)
{
	size_t i;
	int r = 0;

	for (i = 0; i < wanted->n; i++) {
		const char *text = wanted->v[i];

		r = lxm_strv_has(&n->routes, text) ? 0 : route(rtnl, index, text, true, e);
		if (r == -EEXIST && !n->up && !made) {
			lxm_err_clear(e);
			r = 0;
		}
		if (r < 0)
			break;
	}
	if (r == 0)
		return 0;
	(void)lxm_err_wrap(e, r, "route to %s", wanted->v[i]);
	while (i-- > 0)
		if (!lxm_strv_has(&n->routes, wanted->v[i]))
			(void)route(rtnl, index, wanted->v[i], false, NULL);
	return r;
}

int bridge_routes_ensure(int rtnl, struct network *n, int index, bool made, const struct lxm_strv *wanted, struct lxm_err *e)
{
	struct lxm_err local = { 0 };
	size_t i;
	int r;

	if (made)
		lxm_strv_deinit(&n->routes);
	r = add_new(rtnl, n, index, made, wanted, e);
	if (r < 0)
		return r;
	for (i = 0; i < n->routes.n; i++)
		if (!lxm_strv_has(wanted, n->routes.v[i]) && route(rtnl, index, n->routes.v[i], false, &local) < 0)
			lxm_warn("network '%s': route to %s: %s", n->name, n->routes.v[i], local.msg);
	lxm_strv_copy(&n->routes, wanted);
	return 0;
}
