/* Starting and ending the parts of lxmd/core. Main thread. */
#include "lxmd/core/daemon.h"

#include "lxmd/core/event.h"
#include "lxmd/core/idle.h"
#include "lxmd/core/locks.h"
#include "lxmd/core/loop.h"
#include "lxmd/core/op.h"
#include "lxmd/core/schedule.h"
#include "lxmd/core/workers.h"

#define WORKERS_MAX 256

int daemon_start_core(struct lxmd *d, struct lxm_err *e)
{
	int r = loop_new(&d->loop, e);

	if (r < 0)
		return r;
	d->workers = workers_new(WORKERS_MAX);
	d->locks = locks_new();
	d->events = events_new(d);
	d->ops = ops_new(d);
	events_capture_log(d->events);
	d->schedule = schedule_new(d);
	d->idle = idle_new(d);
	return 0;
}

void daemon_stop_core(struct lxmd *d)
{
	workers_close(d->workers); /* jobs use the loop, and loop callbacks start jobs: these are dropped */
	loop_free(d->loop);
	schedule_free(d->schedule);
	d->schedule = NULL;
	idle_free(d->idle);
	d->idle = NULL;
	ops_free(d->ops);
	d->ops = NULL;
	workers_free(d->workers);
	d->workers = NULL;
	events_free(d->events);
	d->events = NULL;
	d->loop = NULL;
	locks_free(d->locks);
	d->locks = NULL;
}
