/* See slot.h. A short table in memory beside that of the secrets: neither outlives the daemon. */
#include "lxmd/image/slot.h"

#include <string.h>

#include "lib/base/alloc.h"
#include "lib/base/str.h"
#include "lib/base/time.h"
#include "lxmd/core/daemon.h"
#include "lxmd/core/op.h"
#include "lxmd/image/images_priv.h"

#define OPEN_MS (60 * 60 * 1000)

void image_slot_deinit(struct image_slot *s)
{
	free(s->project);
	json_decref(s->body);
	memset(s, 0, sizeof(*s));
}

static void end(struct image_slot_row *row)
{
	if (row->op) {
		op_finish(row->op, NULL);
		op_unref(row->op);
	}
	image_slot_deinit(&row->slot);
	memset(row, 0, sizeof(*row));
}

/* lock held */
static bool is_open(const struct image_slot_row *row, int64_t now)
{
	return row->until_ms > now && !op_is_final(row->op);
}

int image_slot_add(struct lxmd *d, const char *project, const char *fp, const char *secret, json_t *body, struct op *op,
		   struct lxm_err *e)
{
	struct images *im = d->images;
	struct image_slot_row old = { 0 }, *row = NULL;
	const char *owner = image_owner(op);
	int64_t now = lxm_mono_ms();
	size_t i, own = 0;

	pthread_mutex_lock(&im->lock);
	for (i = 0; i < IMAGE_SLOTS_MAX; i++)
		if (!is_open(&im->slots[i], now))
			row = &im->slots[i];
		else
			own += *owner && strcmp(im->slots[i].owner, owner) == 0;
	if (own >= IMAGE_OPEN_ONE)
		row = NULL;
	if (row) {
		old = *row;
		memset(row, 0, sizeof(*row));
		snprintf(row->fp, sizeof(row->fp), "%s", fp);
		snprintf(row->secret, sizeof(row->secret), "%s", secret);
		snprintf(row->owner, sizeof(row->owner), "%s", owner);
		row->until_ms = now + OPEN_MS;
		row->slot.project = lxm_strdup(project);
		row->slot.body = json_deep_copy(body);
		row->op = op_ref(op);
	}
	pthread_mutex_unlock(&im->lock);
	end(&old);
	return row ? 0 : lxm_err_http(e, 503, EBUSY, "too many images are being waited for; cancel some of their operations");
}

/* lock held; looks at all, so that the time tells nothing */
static struct image_slot_row *find(struct images *im, const char *fp, const char *secret)
{
	struct image_slot_row *hit = NULL;
	int64_t now = lxm_mono_ms();
	size_t i;

	for (i = 0; i < IMAGE_SLOTS_MAX; i++)
		if (is_open(&im->slots[i], now) && strcmp(im->slots[i].fp, fp) == 0 && lxm_secret_eq(im->slots[i].secret, secret))
			hit = &im->slots[i];
	return hit;
}

bool image_slot_fits(struct lxmd *d, const char *fp, const char *secret)
{
	bool fits;

	if (lxm_empty(fp) || lxm_empty(secret) || !d->images)
		return false;
	pthread_mutex_lock(&d->images->lock);
	fits = find(d->images, fp, secret) != NULL;
	pthread_mutex_unlock(&d->images->lock);
	return fits;
}

int image_slot_take(struct lxmd *d, const char *fp, const char *secret, struct image_slot *out, struct lxm_err *e)
{
	struct image_slot_row used = { 0 }, *row = NULL;

	pthread_mutex_lock(&d->images->lock);
	if (!lxm_empty(fp) && !lxm_empty(secret))
		row = find(d->images, fp, secret);
	if (row) {
		used = *row;
		memset(row, 0, sizeof(*row));
	}
	pthread_mutex_unlock(&d->images->lock);
	if (!row)
		return lxm_err_http(e, 403, EPERM, "not authorized");
	*out = used.slot;
	memset(&used.slot, 0, sizeof(used.slot));
	end(&used);
	return 0;
}

void image_slots_clear(struct images *im)
{
	size_t i;

	for (i = 0; i < IMAGE_SLOTS_MAX; i++)
		end(&im->slots[i]);
}
