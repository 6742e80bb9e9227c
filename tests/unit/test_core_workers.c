/* Shares of the worker threads: who has many jobs waits for itself, and nothing is lost. */
#include "lxmd/core/workers.h"

#include <pthread.h>
#include <stdbool.h>
#include <time.h>

#include "tests/unit/unit.h"

#define JOBS 40

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
/* guarded by lock: */
static unsigned int running, most, done;
static bool open_;

static void wait_open(void *arg)
{
	(void)arg;
	pthread_mutex_lock(&lock);
	if (++running > most)
		most = running;
	pthread_cond_broadcast(&changed);
	while (!open_)
		pthread_cond_wait(&changed, &lock);
	running--;
	done++;
	pthread_mutex_unlock(&lock);
}

static void tell(void *arg)
{
	pthread_mutex_lock(&lock);
	*(bool *)arg = true;
	pthread_cond_broadcast(&changed);
	pthread_mutex_unlock(&lock);
}

/* True when *what became true within 5 s. */
static bool comes(const bool *what)
{
	struct timespec until;
	int r = 0;

	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += 5;
	pthread_mutex_lock(&lock);
	while (!*what && r == 0)
		r = pthread_cond_timedwait(&changed, &lock, &until);
	pthread_mutex_unlock(&lock);
	return *what;
}

static void test_a_full_share_keeps_nobody_else_waiting(void)
{
	struct workers *w = workers_new(16);
	bool other = false, none = false, same = false;
	int i;

	for (i = 0; i < JOBS; i++)
		workers_run_share(w, "a", wait_open, NULL);
	workers_run_share(w, "b", tell, &other);
	workers_run(w, tell, &none);
	workers_run_share(w, "a", tell, &same);
	CU_ASSERT(comes(&other));
	CU_ASSERT(comes(&none));
	pthread_mutex_lock(&lock);
	CU_ASSERT(!same);
	CU_ASSERT_EQUAL(most, 2); /* an eighth of 16 */
	open_ = true;
	pthread_cond_broadcast(&changed);
	pthread_mutex_unlock(&lock);
	CU_ASSERT(comes(&same));
	workers_free(w);
	CU_ASSERT_EQUAL(done, JOBS);
}

static void test_all_shares_leave_some_threads(void)
{
	struct workers *w = workers_new(16);
	bool none = false;
	char name[2] = "a";
	int i;

	open_ = false;
	running = most = done = 0;
	for (i = 0; i < JOBS; i++) {
		name[0] = (char)('a' + i % 20);
		workers_run_share(w, name, wait_open, NULL);
	}
	workers_run(w, tell, &none);
	CU_ASSERT(comes(&none));
	pthread_mutex_lock(&lock);
	CU_ASSERT(most <= 12); /* three quarters */
	open_ = true;
	pthread_cond_broadcast(&changed);
	pthread_mutex_unlock(&lock);
	workers_free(w); /* also what was kept back is run */
	CU_ASSERT_EQUAL(done, JOBS);
}

static struct worker_group *group;

static void bring_another(void *arg)
{
	worker_group_run_share(group, "a", wait_open, arg);
}

static void test_a_group_waits_for_its_own_jobs_only(void)
{
	struct workers *w = workers_new(16);
	bool other = false;
	int i;

	open_ = false;
	running = most = done = 0;
	group = worker_group_new(w);
	CU_ASSERT(!worker_group_busy(group));
	CU_ASSERT_EQUAL(worker_group_wait(group, 0), 0);
	workers_run(w, wait_open, NULL);
	worker_group_run(group, tell, &other);
	CU_ASSERT(comes(&other));
	CU_ASSERT_EQUAL(worker_group_wait(group, -1), 0);
	for (i = 0; i < JOBS; i++)
		worker_group_run(group, bring_another, NULL); /* most are kept back for their share */
	CU_ASSERT_EQUAL(worker_group_wait(group, 20), -EBUSY);
	CU_ASSERT(worker_group_busy(group));
	pthread_mutex_lock(&lock);
	open_ = true;
	pthread_cond_broadcast(&changed);
	pthread_mutex_unlock(&lock);
	CU_ASSERT_EQUAL(worker_group_wait(group, 20000), 0);
	pthread_mutex_lock(&lock);
	CU_ASSERT(done >= JOBS);
	pthread_mutex_unlock(&lock);
	worker_group_free(group);
	workers_free(w);
	CU_ASSERT_EQUAL(done, JOBS + 1);
}

UNIT_MAIN("core/workers", { "a full share keeps nobody else waiting", test_a_full_share_keeps_nobody_else_waiting },
	  { "all shares leave some threads", test_all_shares_leave_some_threads },
	  { "a group waits for its own jobs only", test_a_group_waits_for_its_own_jobs_only })
