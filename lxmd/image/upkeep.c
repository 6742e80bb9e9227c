/*
 * What happens to images by the clock, on a worker: those that came from a server and are to be kept fresh are looked up
 * there every images.auto_update_interval hours; cached ones that no instance was made of for images.remote_cache_expiry
 * days are deleted. Both fall on fixed hours of the clock, shifted by some minutes that differ from host to host, so that
 * a restart of lxmd neither delays nor repeats them and servers do not see all hosts at once.
 */
#include "lxmd/image/upkeep.h"

#include <string.h>

#include "db/image.h"
#include "lib/base/log.h"
#include "lxmd/core/daemon.h"
#include "lxmd/core/schedule.h"
#include "lxmd/image/fetch.h"
#include "lxmd/image/fetch_run.h"
#include "lxmd/image/image.h"

#define MINUTE_MS 60000ll
#define HOUR_MS	  (60 * MINUTE_MS)
#define DAY_MS	  (24 * HOUR_MS)

bool upkeep_due(lxm_time since, lxm_time now, uint64_t hours, unsigned int shift_minutes)
{
	lxm_time shift = shift_minutes * MINUTE_MS, step;

	if (hours == 0 || hours > 24 * 366)
		return false;
	step = (lxm_time)hours * HOUR_MS;
	return (now - shift) / step != (since - shift) / step;
}

bool upkeep_expired(const struct db_image *im, lxm_time now, uint64_t days)
{
	lxm_time used = im->last_used_at > im->uploaded_at ? im->last_used_at : im->uploaded_at;

	return im->cached && days > 0 && days < 100000 && used + (lxm_time)days * DAY_MS < now;
}

static uint64_t number(struct lxmd *d, const char *project, const char *key)
{
	lxm_auto(free) char *text = image_setting(d, project, key);
	uint64_t n = 0;

	return text && lxm_parse_u64(text, &n) == 0 ? n : 0;
}

/* Minutes after the hour, from the host's name. */
static unsigned int shift_of(const struct lxmd *d)
{
	unsigned int h = 5381;
	const char *p;

	for (p = d->server_name ? d->server_name : ""; *p; p++)
		h = h * 33 + (unsigned char)*p;
	return h % 60;
}

static int list(struct db_tx *tx, void *arg, struct lxm_err *e)
{
	return db_image_list(tx, NULL, false, arg, e);
}

static void look_at(struct lxmd *d, const struct db_image *im, lxm_time since, lxm_time now, unsigned int shift)
{
	struct lxm_err e = { 0 };
	bool refreshed = false;

	if (upkeep_due(since, now, 1, shift) && upkeep_expired(im, now, number(d, im->project, "images.remote_cache_expiry"))) {
		lxm_info("image '%.12s' of project '%s': deleted, nothing was made of it for long", im->fingerprint, im->project);
		if (image_delete(d, im->project, im->fingerprint, &e) < 0 && e.code != ENOENT)
			lxm_warn("delete unused image: %s", e.msg);
	} else if (im->auto_update && !lxm_empty(im->source.server) &&
		   upkeep_due(since, now, number(d, im->project, "images.auto_update_interval"), shift)) {
		if (image_refresh(d, im->project, im->fingerprint, NULL, &refreshed, &e) < 0 && e.code != ECANCELED)
			lxm_warn("%s", e.msg);
	}
}

static void tick(struct lxmd *d, lxm_time since, lxm_time now)
{
	lxm_auto(db_images) struct db_images all = { 0 };
	unsigned int shift = shift_of(d);
	size_t i;

	if (!upkeep_due(since, now, 1, shift) || db_read(d->db, list, &all, NULL) < 0)
		return;
	for (i = 0; i < all.n && !__atomic_load_n(&d->stopping, __ATOMIC_ACQUIRE); i++)
		look_at(d, &all.v[i], since, now, shift);
}

void image_upkeep_start(struct lxmd *d)
{
	schedule_add(d->schedule, "images", tick);
}
