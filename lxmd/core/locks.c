/*
 * Named locks: a table of the keys that are held now, nothing for those that are free. Any thread. One
 * mutex guards the whole table; it is held for look-ups only. Waiters share one condition variable: there
 * are few of them, and each looks at its own key.
 */
#include "lxmd/core/locks.h"

#include <assert.h>
#include <pthread.h>
#include <stdbool.h>
#include <string.h>

#include "lib/base/alloc.h"
#include "lib/base/time.h"

#define BUCKETS 256

struct lock {
	struct locks *owner;
	char *key, *what; /* owned; what is guarded by owner->lock */
	struct lock *next;
	unsigned int bucket;
	bool brief; /* lock_try_brief() */
};

struct locks {
	pthread_mutex_t lock;
	pthread_cond_t released;
	struct lock *bucket[BUCKETS]; /* guarded by lock */
};

struct locks *locks_new(void)
{
	struct locks *ls = lxm_alloc(sizeof(*ls));
	pthread_condattr_t attr;

	pthread_mutex_init(&ls->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&ls->released, &attr);
	pthread_condattr_destroy(&attr);
	return ls;
}

void locks_free(struct locks *ls)
{
	size_t i;

	if (!ls)
		return;
	for (i = 0; i < BUCKETS; i++)
		assert(!ls->bucket[i]);
	pthread_cond_destroy(&ls->released);
	pthread_mutex_destroy(&ls->lock);
	free(ls);
}

static unsigned int key_bucket(const char *key)
{
	unsigned int h = 2166136261u;

	for (; *key; key++)
		h = (h ^ (unsigned char)*key) * 16777619u;
	return h % BUCKETS;
}

static struct lock *find(struct locks *ls, unsigned int bucket, const char *key)
{
	struct lock *l;

	for (l = ls->bucket[bucket]; l && strcmp(l->key, key) != 0; l = l->next)
		;
	return l;
}

/* Sleeps until a lock is given back; false when the wait has taken timeout_ms in all, -1: for ever. With ls->lock held. */
static bool wait_release(struct locks *ls, int64_t since_ms, int timeout_ms)
{
	int64_t until_ms = since_ms + timeout_ms;
	struct timespec until = { .tv_sec = until_ms / 1000, .tv_nsec = until_ms % 1000 * 1000000 };

	if (timeout_ms < 0)
		return pthread_cond_wait(&ls->released, &ls->lock) == 0;
	if (lxm_mono_ms() >= until_ms)
		return false;
	(void)pthread_cond_timedwait(&ls->released, &ls->lock, &until);
	return true;
}

static int take(struct locks *ls, const char *key, const char *what, int timeout_ms, bool brief, struct lock **lock_out, struct lxm_err *e)
{
	int64_t since_ms = lxm_mono_ms();
	unsigned int bucket = key_bucket(key);
	struct lock *l;
	int r;

	pthread_mutex_lock(&ls->lock);
	while ((l = find(ls, bucket, key))) {
		bool waits = l->brief && !brief && timeout_ms >= 0 && timeout_ms < LOCK_BRIEF_MS;

		if (wait_release(ls, since_ms, waits ? LOCK_BRIEF_MS : timeout_ms))
			continue;
		r = lxm_err_http(e, 409, EBUSY, "'%s' is busy: %s", strchr(key, '/') ? strchr(key, '/') + 1 : key, l->what);
		pthread_mutex_unlock(&ls->lock);
		return r;
	}
	l = lxm_alloc(sizeof(*l));
	l->brief = brief;
	l->owner = ls;
	l->key = lxm_strdup(key);
	l->what = lxm_strdup(what);
	l->bucket = bucket;
	l->next = ls->bucket[bucket];
	ls->bucket[bucket] = l;
	pthread_mutex_unlock(&ls->lock);
	*lock_out = l;
	return 0;
}

int lock_take(struct locks *ls, const char *key, const char *what, int timeout_ms,
	      struct lock **lock_out, struct lxm_err *e)
{
	return take(ls, key, what, timeout_ms, false, lock_out, e);
}

int lock_try(struct locks *ls, const char *key, const char *what, struct lock **lock_out,
	     struct lxm_err *e)
{
	return take(ls, key, what, 0, false, lock_out, e);
}

int lock_try_brief(struct locks *ls, const char *key, const char *what, struct lock **lock_out, struct lxm_err *e)
{
	return take(ls, key, what, 0, true, lock_out, e);
}

void lock_describe(struct lock *l, const char *what)
{
	pthread_mutex_lock(&l->owner->lock);
	free(l->what);
	l->what = lxm_strdup(what);
	pthread_mutex_unlock(&l->owner->lock);
}

char *lock_holder(struct locks *ls, const char *key)
{
	struct lock *l;
	char *what;

	pthread_mutex_lock(&ls->lock);
	l = find(ls, key_bucket(key), key);
	what = l ? lxm_strdup(l->what) : NULL;
	pthread_mutex_unlock(&ls->lock);
	return what;
}

void lock_release(struct lock *l)
{
	struct locks *ls;
	struct lock **at;

	if (!l)
		return;
	ls = l->owner;
	pthread_mutex_lock(&ls->lock);
	for (at = &ls->bucket[l->bucket]; *at != l; at = &(*at)->next)
		assert(*at);
	*at = l->next;
	pthread_cond_broadcast(&ls->released);
	pthread_mutex_unlock(&ls->lock);
	free(l->key);
	free(l->what);
	free(l);
}
