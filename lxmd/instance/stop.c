/* Stopping, freezing and restarting. Worker threads, under the instance's lock. */
#include <string.h>

#include "lib/base/alloc.h"
#include "lib/base/log.h"
#include "lib/base/sys.h"
#include "lxmd/core/daemon.h"
#include "lxmd/core/event.h"
#include "lxmd/core/op.h"
#include "lxmd/instance/life.h"
#include "lxmd/instance/run.h"

#define KILL_TIMEOUT_MS	  30000
#define ANSWER_TIMEOUT_MS 5000
#define ASK_AGAIN_MS	  2000
#define FREEZE_TIMEOUT_MS 10000

/* `what` completes the sentence of the refusal: scripts look for "already stopped" after a stop */
static int need_run(struct lxmd *d, const struct instance *i, const char *what, struct run **out, struct lxm_err *e)
{
	struct run *r = run_get(d, i->row.id);

	if (!r)
		return lxm_err_http(e, 400, ESRCH, "instance '%s' is %s", i->row.name, what);
	*out = r;
	return 0;
}

static int thaw(struct run *run, struct lxm_err *e)
{
	int r;

	pthread_mutex_lock(&run->lock);
	r = run->frozen;
	pthread_mutex_unlock(&run->lock);
	if (!r)
		return 0;
	r = cgroup_freeze(&run->d->instances->cgroups, run->cgroup, false, FREEZE_TIMEOUT_MS, e);
	if (r == 0) {
		pthread_mutex_lock(&run->lock);
		run->frozen = false;
		pthread_mutex_unlock(&run->lock);
	}
	return r;
}

static void mark(struct run *run, bool asked, bool restarting)
{
	pthread_mutex_lock(&run->lock);
	run->stop_asked = asked;
	run->restarting = restarting;
	pthread_mutex_unlock(&run->lock);
}

/*
 * Through the monitor, which refuses from then on to start the instance again: an init that reboots all the time is another
 * process, with another pidfd, whenever we look. Our own pidfd serves when the monitor does not answer.
 */
static int kill_init(struct run *run, struct lxm_err *e)
{
	int r;

	/* a frozen v1 cgroup holds even SIGKILL back */
	if (thaw(run, e) < 0)
		lxm_warn("instance '%s': %s", run->name, e ? e->msg : "");
	lxm_err_clear(e);
	r = mon_call(run->rundir, MON_KILL, 0, 0, 0, -1, ANSWER_TIMEOUT_MS, NULL, NULL, NULL);
	if (r < 0) {
		lxm_auto(fd_close) int pidfd = run_pidfd(run, NULL);

		if (pidfd >= 0 && sys_pidfd_send_signal(pidfd, SIGKILL) < 0 && errno != ESRCH)
			return lxm_err_sys(e, "kill init of instance '%s'", run->name);
	}
	return run_wait_gone(run, KILL_TIMEOUT_MS) < 0 ?
		       lxm_err_set(e, ETIMEDOUT, "instance '%s' does not end after SIGKILL", run->name) :
		       0;
}

/* Ask init and wait; looks for a cancel now and then. */
static int ask_init(struct run *run, int64_t timeout_ms, struct op *op, struct lxm_err *e)
{
	int64_t until = lxm_mono_ms() + timeout_ms, again = lxm_mono_ms() + ASK_AGAIN_MS;
	int r = thaw(run, e);

	if (r == 0)
		r = mon_call(run->rundir, MON_STOP, 0, 0, 0, -1, ANSWER_TIMEOUT_MS, NULL, NULL, e);
	/* the monitor may be gone already because the instance just ended by itself */
	if (r < 0 && run_wait_gone(run, 100) == 0)
		return 0;
	if (r < 0)
		return lxm_err_wrap(e, r, "ask init of instance '%s' to stop", run->name);
	for (;;) {
		int64_t left = timeout_ms < 0 ? 500 : until - lxm_mono_ms();

		if (run_wait_gone(run, left > 500 ? 500 : left > 0 ? left : 0) == 0)
			return 0;
		if (op_is_cancelled(op))
			return lxm_err_set(e, ECANCELED, "stop of instance '%s' was cancelled; it may still end", run->name);
		/* an init that was still starting may have dropped the signal (runit: "signals only work in stage 2") */
		if (lxm_mono_ms() >= again) {
			(void)mon_call(run->rundir, MON_STOP, 0, 0, 0, -1, ANSWER_TIMEOUT_MS, NULL, NULL, NULL);
			again = lxm_mono_ms() + ASK_AGAIN_MS;
		}
		if (timeout_ms >= 0 && left <= 0)
			return lxm_err_set(e, ETIMEDOUT,
					   "instance '%s' did not stop within %lld s: try again, or stop it by force",
					   run->name, (long long)(timeout_ms / 1000));
	}
}

int instance_stop(struct lxmd *d, const struct instance *i, bool force, int64_t timeout_ms, bool restarting, struct op *op,
		  const struct caller *caller, struct lxm_err *e)
{
	lxm_auto(run_unref) struct run *run = NULL;
	lxm_auto(free) char *url = instance_url(i->row.name);
	int r = need_run(d, i, restarting ? "not running" : "already stopped", &run, e);

	if (r < 0)
		return r;
	mark(run, true, restarting);
	r = force ? kill_init(run, e) : ask_init(run, timeout_ms, op, e);
	if (r < 0) {
		mark(run, false, false);
		if (!force)
			(void)mon_call(run->rundir, MON_STOP, -1, 0, 0, -1, ANSWER_TIMEOUT_MS, NULL, NULL, NULL);
		return r;
	}
	if (!restarting)
		event_lifecycle(d, i->row.project, force ? "instance-stopped" : "instance-shutdown", url, NULL, caller);
	if (!restarting && i->row.ephemeral)
		event_lifecycle(d, i->row.project, "instance-deleted", url, NULL, caller);
	return 0;
}

int instance_restart(struct lxmd *d, struct instance *i, bool force, int64_t timeout_ms, struct op *op,
		     const struct caller *caller, struct lxm_err *e)
{
	lxm_auto(instance) struct instance fresh = { 0 };
	lxm_auto(free) char *url = instance_url(i->row.name);
	int r = instance_stop(d, i, force, timeout_ms, true, op, caller, e);

	if (r == 0)
		r = instance_load_id(d, i->row.id, &fresh, e);
	if (r == 0)
		r = instance_start(d, &fresh, op, caller, e);
	if (r == 0)
		event_lifecycle(d, i->row.project, "instance-restarted", url, NULL, caller);
	return r;
}

int instance_freeze(struct lxmd *d, const struct instance *i, bool freeze, const struct caller *caller, struct lxm_err *e)
{
	lxm_auto(run_unref) struct run *run = NULL;
	lxm_auto(free) char *url = instance_url(i->row.name);
	bool is;
	int r = need_run(d, i, "not running", &run, e);

	if (r < 0)
		return r;
	pthread_mutex_lock(&run->lock);
	is = run->frozen;
	pthread_mutex_unlock(&run->lock);
	if (is == freeze)
		return lxm_err_http(e, 400, EINVAL, "instance '%s' is %s", i->row.name, is ? "already frozen" : "not frozen");
	r = cgroup_freeze(&d->instances->cgroups, run->cgroup, freeze, FREEZE_TIMEOUT_MS, e);
	if (r < 0) {
		if (freeze)
			(void)cgroup_freeze(&d->instances->cgroups, run->cgroup, false, FREEZE_TIMEOUT_MS, NULL);
		return lxm_err_wrap(e, r, "%s instance '%s'", freeze ? "freeze" : "unfreeze", i->row.name);
	}
	pthread_mutex_lock(&run->lock);
	run->frozen = freeze;
	pthread_mutex_unlock(&run->lock);
	event_lifecycle(d, i->row.project, freeze ? "instance-paused" : "instance-resumed", url, NULL, caller);
	return 0;
}
