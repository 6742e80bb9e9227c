/*
 * Memory given back by a daemon at rest. One timer, armed by the first thing done after a rest and again while things are done:
 * a resting daemon is never woken by it.
 *
 * Given back are: what other parts have added, as descriptors of cgroup files that somebody asked for; database connections
 * beyond the first, and its pages; free pieces of the heap; and the pages of programs and libraries that cannot have been written
 * to (mapped code and constants). Those stay in the kernel's page cache, where what is used again is found without reading, some
 * 0.1 ms in all; what only start-up or a rare request needed stays away.
 */
#include "lxmd/core/idle.h"

#include <assert.h>
#include <link.h>
#include <malloc.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <sys/mman.h>
#include <unistd.h>

#include "db/db.h"
#include "lib/base/alloc.h"
#include "lxmd/core/daemon.h"
#include "lxmd/core/loop.h"
#include "lxmd/core/workers.h"

#define FNS_MAX 4

struct idle {
	struct lxmd *d;
	atomic_bool armed;
	atomic_uint noted; /* things done */
	void (*fn[FNS_MAX])(struct lxmd *d); /* n of them; set while the daemon starts */
	size_t n;
	unsigned int seen; /* of them when the timer was armed; loop thread */
	bool stopped;	   /* loop thread */
	struct worker_group *jobs;
};

#ifndef LXM_SAN
/*
 * Code and constants of one loaded object. A segment that is not writable has never been written to: what relocation changes
 * and then protects lies in writable ones. The last page is left when it is not whole.
 */
static int drop_clean(struct dl_phdr_info *o, size_t size, void *arg)
{
	uintptr_t page = *(const uintptr_t *)arg;
	ElfW(Half) k;

	for (k = 0; k < o->dlpi_phnum; k++) {
		const ElfW(Phdr) *p = &o->dlpi_phdr[k];
		uintptr_t from = (o->dlpi_addr + p->p_vaddr) & ~(page - 1);
		uintptr_t to = (o->dlpi_addr + p->p_vaddr + p->p_filesz) & ~(page - 1);

		if (p->p_type == PT_LOAD && !(p->p_flags & PF_W) && to > from)
			(void)madvise((void *)from, to - from, MADV_DONTNEED);
	}
	return 0;
}
#endif

/* On a worker: with other threads' locks it may take a millisecond. */
static void give_back(void *arg)
{
	struct idle *i = arg;
	size_t k;

	for (k = 0; k < i->n; k++)
		i->fn[k](i->d);
	db_trim(i->d->node, i->d->db);
	(void)malloc_trim(0);
#ifndef LXM_SAN
	uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);

	(void)dl_iterate_phdr(drop_clean, &page);
#endif
}

static void look(void *arg)
{
	struct idle *i = arg;
	unsigned int noted = atomic_load(&i->noted);

	if (i->stopped)
		return;
	if (noted != i->seen || workers_busy(i->d->workers)) {
		i->seen = noted;
		(void)loop_timer(i->d->loop, IDLE_MS, look, i);
		return;
	}
	/* whoever notes something from here on arms it again */
	atomic_store(&i->armed, false);
	worker_group_run(i->jobs, give_back, i);
}

struct idle *idle_new(struct lxmd *d)
{
	struct idle *i = lxm_alloc(sizeof(*i));

	i->d = d;
	i->jobs = worker_group_new(d->workers);
	return i;
}

static void stop_looking(void *arg)
{
	struct idle *i = arg;

	i->stopped = true;
}

void idle_stop(struct idle *i)
{
	if (!i)
		return;
	loop_call(i->d->loop, stop_looking, i);
	(void)worker_group_wait(i->jobs, -1);
}

void idle_add(struct idle *i, void (*fn)(struct lxmd *d))
{
	assert(i->n < FNS_MAX);
	i->fn[i->n++] = fn;
}

void idle_free(struct idle *i)
{
	if (!i)
		return;
	worker_group_free(i->jobs);
	free(i);
}

void idle_note(struct idle *i)
{
	if (!i)
		return;
	atomic_fetch_add_explicit(&i->noted, 1, memory_order_relaxed);
	if (!atomic_load_explicit(&i->armed, memory_order_relaxed) && !atomic_exchange(&i->armed, true))
		(void)loop_timer(i->d->loop, IDLE_MS, look, i);
}
