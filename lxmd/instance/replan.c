/* Plans for reboots from inside. The plan is built as for a start, but for what the start does to the host, and replaces the one kept. */
#include "lxmd/instance/replan.h"

#include <fcntl.h>
#include <unistd.h>

#include "lib/base/fd.h"
#include "lib/base/log.h"
#include "lib/wire/monitor.h"
#include "lib/wire/plan.h"
#include "lxmd/instance/instance.h"
#include "lxmd/instance/life.h"
#include "lxmd/instance/plan.h"
#include "lxmd/instance/run.h"

#define MARK	  "replan"
#define ANSWER_MS 10000

void replan_due(struct run *run)
{
	lxm_auto(fd_close) int fd = openat(run->rundir, MARK, O_WRONLY | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);

	if (fd < 0)
		lxm_warn("instance '%s': mark its plan: %m", run->name);
}

static int build(struct run *run, const struct instance *i, int *fd_out, struct lxm_err *e)
{
	lxm_auto(plan_free) struct plan *p = NULL;
	lxm_auto(kv) struct lxm_kv changes = { 0 };
	lxm_auto(idmap) struct idmap map = { 0 };
	int r = instance_idmap(i, &map, e);

	if (r == 0)
		r = instance_plan(run->d, i, run, &map, &changes, &p, e);
	return r < 0 ? r : plan_seal(p, fd_out, e);
}

/* A monitor that has gone meanwhile needs none. */
static int hand_over(struct run *run, int fd, struct lxm_err *e)
{
	int r = mon_call(run->rundir, MON_PLAN, 0, 0, 0, fd, ANSWER_MS, NULL, NULL, e);

	return r == -ENOENT || r == -ECONNREFUSED || r == -ECONNRESET ? 0 : r;
}

void replan(struct run *run, const struct instance *i)
{
	lxm_auto(fd_close) int fd = -1;
	struct lxm_err e = { 0 };
	int r = build(run, i, &fd, &e);

	if (r == 0)
		r = hand_over(run, fd, &e);
	if (r == 0)
		(void)unlinkat(run->rundir, MARK, 0);
	else
		lxm_warn("instance '%s': a reboot from inside will bring it up as it was before its last change: %s", run->name, e.msg);
}

void replan_if_due(struct run *run, const struct instance *i)
{
	if (faccessat(run->rundir, MARK, F_OK, AT_SYMLINK_NOFOLLOW) == 0)
		replan(run, i);
}
