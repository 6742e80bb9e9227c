/* raw.lxc comes into force here and nowhere else. It was checked when it was set; any thread of lxmd. */
#include "lxmd/instance/effective.h"

#include "lib/base/log.h"
#include "lib/conf/raw_lxc.h"
#include "lib/wire/plan.h"
#include "lxmd/instance/instance.h"

const struct lxm_kv *instance_effective(const struct instance *i, struct lxm_kv *room)
{
	const char *raw = lxm_kv_get(&i->config, "raw.lxc");
	lxm_auto(kv) struct lxm_kv lines = { 0 };
	struct lxm_err e = { 0 };

	if (lxm_empty(raw))
		return &i->config;
	lxm_kv_copy(room, &i->config);
	if (raw_lxc_translate(raw, &lines, &e) < 0)
		lxm_warn("instance '%s': raw.lxc: %s", i->row.name, e.msg); /* of an older version; instance_check() refuses a start */
	else
		lxm_kv_merge(room, &lines);
	return room;
}

uint64_t instance_caps(const struct instance *i)
{
	lxm_auto(kv) struct lxm_kv room = { 0 };

	return plan_caps_default() & ~raw_lxc_caps(lxm_kv_get(instance_effective(i, &room), RAW_LXC_CAP_DROP));
}
