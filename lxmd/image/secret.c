/* See secret.h. A short table in memory: a secret does not outlive the daemon, and neither does the operation that shows it. */
#include "lxmd/image/secret.h"

#include <string.h>

#include "lib/base/str.h"
#include "lib/base/time.h"
#include "lxmd/core/daemon.h"
#include "lxmd/core/op.h"
#include "lxmd/image/images_priv.h"

#define UNUSED_MS (60 * 60 * 1000)
#define USED_MS	  (60 * 1000)

/* lock held; returns the operation that is to be ended outside the lock */
static struct op *clear_one(struct image_secret *s)
{
	struct op *op = s->op;

	memset(s, 0, sizeof(*s));
	return op;
}

static void end_op(struct op *op)
{
	if (!op)
		return;
	op_finish(op, NULL);
	op_unref(op);
}

const char *image_owner(const struct op *op)
{
	const struct caller *c = op_caller(op);

	return c->trust == CALLER_RESTRICTED ? c->fingerprint : "";
}

int image_secret_add(struct lxmd *d, const char *fp, const char *secret, struct op *op, struct lxm_err *e)
{
	struct images *im = d->images;
	struct image_secret *free_one = NULL;
	struct op *old = NULL;
	const char *owner = image_owner(op);
	int64_t now = lxm_mono_ms();
	size_t i, own = 0;

	pthread_mutex_lock(&im->lock);
	for (i = 0; i < IMAGE_SECRETS_MAX; i++) {
		struct image_secret *s = &im->secrets[i];

		/* one whose operation was cancelled opens nothing any more */
		if (s->until_ms <= now || (s->op && op_is_final(s->op)))
			free_one = s;
		else
			own += *owner && strcmp(s->owner, owner) == 0;
	}
	if (own >= IMAGE_OPEN_ONE)
		free_one = NULL;
	if (free_one) {
		old = clear_one(free_one);
		snprintf(free_one->fp, sizeof(free_one->fp), "%s", fp);
		snprintf(free_one->secret, sizeof(free_one->secret), "%s", secret);
		snprintf(free_one->owner, sizeof(free_one->owner), "%s", owner);
		free_one->until_ms = now + UNUSED_MS;
		free_one->op = op_ref(op);
	}
	pthread_mutex_unlock(&im->lock);
	end_op(old);
	return free_one ? 0 : lxm_err_http(e, 503, EBUSY, "too many image secrets are open; wait until some have been used");
}

bool image_secret_ok(struct lxmd *d, const char *fp, const char *secret)
{
	struct images *im = d->images;
	struct op *used = NULL;
	int64_t now = lxm_mono_ms();
	bool ok = false;
	size_t i;

	if (lxm_empty(secret))
		return false;
	pthread_mutex_lock(&im->lock);
	for (i = 0; i < IMAGE_SECRETS_MAX; i++) {
		struct image_secret *s = &im->secrets[i];

		if (s->until_ms <= now || strcmp(s->fp, fp) != 0 || !lxm_secret_eq(s->secret, secret))
			continue;
		/* its operation was cancelled: the secret went with it */
		if (s->op && op_is_final(s->op))
			continue;
		ok = true;
		if (s->op) {
			used = s->op;
			s->op = NULL;
			s->until_ms = now + USED_MS;
		}
	}
	pthread_mutex_unlock(&im->lock);
	end_op(used);
	return ok;
}

void image_secrets_clear(struct images *im)
{
	size_t i;

	for (i = 0; i < IMAGE_SECRETS_MAX; i++)
		end_op(clear_one(&im->secrets[i]));
}
