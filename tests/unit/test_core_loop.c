/* lxmd/core: the loop, workers and named locks. */
#include "tests/unit/unit.h"

#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>

#include "lib/base/time.h"
#include "lxmd/core/locks.h"
#include "lxmd/core/loop.h"
#include "lxmd/core/workers.h"

static struct loop *loop;
static atomic_int count;
static char order[64];

static void nothing(void *arg)
{
}

static void note(void *arg)
{
	strncat(order, arg, sizeof(order) - strlen(order) - 1);
}

static void add_one(void *arg)
{
	atomic_fetch_add(&count, 1);
}

/* Waits until count reaches n, at most two seconds. */
static bool reaches(int n)
{
	int64_t until = lxm_mono_ms() + 2000;

	while (atomic_load(&count) < n && lxm_mono_ms() < until)
		(void)usleep(1000);
	return atomic_load(&count) == n;
}

static void posts_run_in_order(void)
{
	CU_ASSERT_FATAL(loop_new(&loop, NULL) == 0);
	order[0] = '\0';
	loop_post(loop, note, (char[]){ "a" });
	loop_post(loop, note, (char[]){ "b" });
	loop_call(loop, note, (char[]){ "c" });
	CU_ASSERT_STRING_EQUAL(order, "abc");
	CU_ASSERT_FALSE(loop_here(loop));
	loop_free(loop);
}

static void timers_fire_by_time_and_can_be_cancelled(void)
{
	loop_timer_id id, stale;
	int i;

	CU_ASSERT_FATAL(loop_new(&loop, NULL) == 0);
	order[0] = '\0';
	count = 0;
	loop_timer(loop, 30, note, (char[]){ "2" });
	loop_timer(loop, 10, note, (char[]){ "1" });
	id = loop_timer(loop, 20, note, (char[]){ "x" });
	CU_ASSERT(loop_timer_cancel(loop, id));
	CU_ASSERT_FALSE(loop_timer_cancel(loop, id));
	CU_ASSERT_FALSE(loop_timer_cancel(loop, 0));
	stale = id;
	for (i = 0; i < 500; i++) /* grows the heap; one slot of these has the cancelled timer's number */
		loop_timer(loop, i % 7, add_one, NULL);
	CU_ASSERT_FALSE(loop_timer_cancel(loop, stale));
	CU_ASSERT(reaches(500));
	(void)usleep(50000);
	loop_call(loop, nothing, NULL);
	CU_ASSERT_STRING_EQUAL(order, "12");
	loop_free(loop);
}

struct pair {
	int a, b;
	struct loop_watch *wa, *wb;
};

/* Whichever of the two is served first takes the other away: its event of the same round must not arrive. */
static void on_pair(int fd, uint32_t revents, void *arg)
{
	struct pair *p = arg;

	atomic_fetch_add(&count, 1);
	loop_del(p->wa);
	loop_del(p->wb);
	p->wa = p->wb = NULL;
}

static void block(void *arg)
{
	(void)usleep(20000);
}

static void deleted_watches_stay_silent(void)
{
	struct pair p = { eventfd(0, EFD_CLOEXEC), eventfd(0, EFD_CLOEXEC), NULL, NULL };
	uint64_t one = 1;

	CU_ASSERT_FATAL(loop_new(&loop, NULL) == 0);
	count = 0;
	CU_ASSERT(loop_add(loop, p.a, EPOLLIN, on_pair, &p, &p.wa, NULL) == 0);
	CU_ASSERT(loop_add(loop, p.b, EPOLLIN, on_pair, &p, &p.wb, NULL) == 0);
	loop_post(loop, block, NULL); /* so that both are ready in one round */
	CU_ASSERT(write(p.a, &one, 8) == 8 && write(p.b, &one, 8) == 8);
	(void)usleep(60000);
	loop_call(loop, nothing, NULL);
	CU_ASSERT(atomic_load(&count) == 1);
	CU_ASSERT(loop_add(loop, 9999, EPOLLIN, on_pair, &p, &p.wa, NULL) == -EBADF);
	CU_ASSERT_PTR_NULL(p.wa);
	loop_free(loop);
	(void)close(p.a);
	(void)close(p.b);
}

/* ---- workers */

static pthread_barrier_t barrier;

static void meet(void *arg)
{
	pthread_barrier_wait(&barrier);
	atomic_fetch_add(&count, 1);
}

static void workers_grow_to_what_is_needed(void)
{
	struct workers *w = workers_new(8);
	int i;

	count = 0;
	pthread_barrier_init(&barrier, NULL, 8);
	for (i = 0; i < 8; i++) /* would never end if two of them shared a thread */
		workers_run(w, meet, NULL);
	CU_ASSERT(reaches(8));
	for (i = 0; i < 8; i++)
		workers_run(w, meet, NULL);
	CU_ASSERT(reaches(16));
	pthread_barrier_destroy(&barrier);
	workers_free(w);
}

static void queued_jobs_run_before_the_end(void)
{
	struct workers *w = workers_new(1);
	int i;

	count = 0;
	workers_run(w, block, NULL);
	for (i = 0; i < 100; i++)
		workers_run(w, add_one, NULL);
	CU_ASSERT(workers_busy(w) > 50);
	workers_free(w);
	CU_ASSERT(atomic_load(&count) == 100);
}

/* ---- locks */

static void a_busy_lock_names_its_holder(void)
{
	struct locks *ls = locks_new();
	struct lxm_err e = { 0 };
	struct lock *a = NULL, *b = NULL;
	char *who;

	CU_ASSERT(lock_try(ls, "instance/1", "Stopping instance", &a, &e) == 0);
	CU_ASSERT(lock_try(ls, "instance/2", "Starting instance", &b, &e) == 0);
	lock_release(b);
	b = NULL;
	CU_ASSERT(lock_try(ls, "instance/1", "Deleting instance", &b, &e) == -EBUSY);
	CU_ASSERT(lxm_err_status(&e) == 409);
	CU_ASSERT_PTR_NOT_NULL(strstr(e.msg, "Stopping instance"));
	CU_ASSERT(lock_take(ls, "instance/1", "Deleting instance", 20, &b, &e) == -EBUSY);
	lock_describe(a, "Freezing instance");
	who = lock_holder(ls, "instance/1");
	CU_ASSERT_STRING_EQUAL(who, "Freezing instance");
	free(who);
	lock_release(a);
	CU_ASSERT_PTR_NULL(lock_holder(ls, "instance/1"));
	CU_ASSERT(lock_take(ls, "instance/1", "Deleting instance", 20, &b, &e) == 0);
	lock_release(b);
	locks_free(ls);
}

static void *release_soon(void *arg)
{
	(void)usleep(20000);
	lock_release(arg);
	return NULL;
}

static void waiting_for_a_lock_ends_with_its_release(void)
{
	struct locks *ls = locks_new();
	struct lock *a = NULL, *b = NULL;
	pthread_t t;

	CU_ASSERT(lock_try(ls, "k", "x", &a, NULL) == 0);
	pthread_create(&t, NULL, release_soon, a);
	CU_ASSERT(lock_take(ls, "k", "y", -1, &b, NULL) == 0);
	pthread_join(t, NULL);
	lock_release(b);
	locks_free(ls);
}

static void housekeeping_is_waited_for_and_never_waits(void)
{
	struct locks *ls = locks_new();
	struct lock *a = NULL, *b = NULL;
	pthread_t t;

	CU_ASSERT(lock_try_brief(ls, "k", "x", &a, NULL) == 0);
	/* another look of lxmd's own comes again later by itself */
	CU_ASSERT(lock_try_brief(ls, "k", "y", &b, NULL) == -EBUSY);
	pthread_create(&t, NULL, release_soon, a);
	CU_ASSERT_FATAL(lock_try(ls, "k", "z", &b, NULL) == 0);
	pthread_join(t, NULL);
	CU_ASSERT(lock_try_brief(ls, "k", "x", &a, NULL) == -EBUSY);
	lock_release(b);
	/* neither does a short patience end early */
	CU_ASSERT(lock_try_brief(ls, "k", "x", &a, NULL) == 0);
	pthread_create(&t, NULL, release_soon, a);
	CU_ASSERT_FATAL(lock_take(ls, "k", "z", 1, &b, NULL) == 0);
	pthread_join(t, NULL);
	lock_release(b);
	locks_free(ls);
}

UNIT_MAIN("core/loop", { "posts run in order", posts_run_in_order },
	  { "timers fire by time and can be cancelled", timers_fire_by_time_and_can_be_cancelled },
	  { "deleted watches stay silent", deleted_watches_stay_silent },
	  { "workers grow to what is needed", workers_grow_to_what_is_needed },
	  { "queued jobs run before the end", queued_jobs_run_before_the_end },
	  { "a busy lock names its holder", a_busy_lock_names_its_holder },
	  { "housekeeping is waited for and never waits", housekeeping_is_waited_for_and_never_waits },
	  { "waiting for a lock ends with its release", waiting_for_a_lock_ends_with_its_release })
