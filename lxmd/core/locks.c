/*
 * Named locks: a table of the keys that are held now, nothing for those that are free. Any thread. One
 * mutex guards the whole table; it is held for look-ups only. Waiters share one condition variable: there
 * are few of them, and each looks at its own key.
 */
#include "lxmd/core/locks.h"

#include <assert.h>
#include <pthread.h>
#include <string.h>
#include <time.h>

#include "lib/base/alloc.h"

#define BUCKETS 256

struct lock {
	struct locks *owner;
	char *key, *what; /* owned; what is guarded by owner->lock */
	struct lock *next;
	unsigned int bucket;
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

int lock_take(struct locks *ls, const char *key, const char *what, int timeout_ms,
	      struct lock **lock_out, struct lxm_err *e)
{
	unsigned int bucket = key_bucket(key);
	struct timespec until;
	struct lock *l;
	int r = timeout_ms == 0 ? ETIMEDOUT : 0;

	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += timeout_ms / 1000;
	until.tv_nsec += (timeout_ms % 1000) * 1000000L;
	if (until.tv_nsec >= 1000000000L) {
		until.tv_sec++;
		until.tv_nsec -= 1000000000L;
	}
	pthread_mutex_lock(&ls->lock);
	while ((l = find(ls, bucket, key))) {
		if (r == ETIMEDOUT) {
			r = lxm_err_http(e, 409, EBUSY, "'%s' is busy: %s", strchr(key, '/') ? strchr(key, '/') + 1 : key, l->what);
			pthread_mutex_unlock(&ls->lock);
			return r;
		}
		r = timeout_ms < 0 ? pthread_cond_wait(&ls->released, &ls->lock) :
				     pthread_cond_timedwait(&ls->released, &ls->lock, &until);
	}
	l = lxm_alloc(sizeof(*l));
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

int lock_try(struct locks *ls, const char *key, const char *what, struct lock **lock_out,
	     struct lxm_err *e)
{
	return lock_take(ls, key, what, 0, lock_out, e);
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
