/*
 * The keys security.syscalls.intercept.*, as the start plan and the process that answers need them. That process is the monitor's
 * child (lxmd/monitor/intercept.c); rules for mount() reach it over the socket that also takes listeners. Any thread of lxmd.
 */
#include "lxmd/instance/intercept.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "lib/base/fd.h"
#include "lib/base/alloc.h"
#include "lib/base/log.h"
#include "lib/wire/monitor.h"
#include "lxmd/core/daemon.h"
#include "lxmd/instance/instance.h"
#include "lxmd/instance/run.h"

#define KEY(name)      "security.syscalls.intercept." name
#define ANSWER_WAIT_S 5

uint32_t instance_intercepted(const struct instance *i)
{
	static const struct {
		const char *key;
		uint32_t flag;
	} keys[] = {
		{ KEY("mknod"), PLAN_INTERCEPT_MKNOD },		   { KEY("setxattr"), PLAN_INTERCEPT_SETXATTR },
		{ KEY("sysinfo"), PLAN_INTERCEPT_SYSINFO },	   { KEY("sched_setscheduler"), PLAN_INTERCEPT_SCHED },
		{ KEY("mount"), PLAN_INTERCEPT_MOUNT },
	};
	uint32_t flags = 0;
	size_t k;

	if (!lxm_empty(lxm_kv_get(&i->config, "raw.seccomp")))
		return 0; /* the policy is all there is, and it sends us nothing */

	for (k = 0; k < LXM_ARRAY_LEN(keys); k++)
		if (lxm_kv_bool(&i->config, keys[k].key, false))
			flags |= keys[k].flag;
	return instance_privileged(i) ? flags & PLAN_INTERCEPT_SYSINFO : flags;
}

bool instance_device_rules(const struct instance *i)
{
	/* a filesystem that it brings may hold any node, as mknod() makes some */
	return instance_privileged(i) || instance_intercepted(i) & (PLAN_INTERCEPT_MKNOD | PLAN_INTERCEPT_MOUNT);
}

struct plan_mounts instance_mounts(const struct instance *i)
{
	return (struct plan_mounts){
		.allowed = lxm_kv_or(&i->config, KEY("mount.allowed"), ""),
		.fuse = lxm_kv_or(&i->config, KEY("mount.fuse"), ""),
		.shift = lxm_kv_bool(&i->config, KEY("mount.shift"), false),
	};
}

char *instance_notify_path(struct lxmd *d, const struct instance *i)
{
	char *path = lxm_asprintf("%s/%lld/%s", d->dirs.run.path, (long long)i->row.id, MON_NOTIFY_SOCKET);

	if (instance_intercepted(i) && access(path, F_OK) == 0)
		return path;
	free(path);
	return NULL;
}

static int tell(int rundir, const struct plan_mounts *m, struct lxm_err *e)
{
	static const struct timeval wait = { .tv_sec = ANSWER_WAIT_S };
	struct mon_mounts msg = { .shift = m->shift };
	lxm_auto(fd_close) int s = lxm_unix_connect(rundir, MON_NOTIFY_SOCKET, SOCK_SEQPACKET);
	char c;

	if (s == -ENOENT)
		return 0;
	if (s < 0)
		return lxm_err_set(e, -s, "reach the process that answers mount(): %s", strerror(-s));
	snprintf(msg.allowed, sizeof(msg.allowed), "%s", m->allowed);
	snprintf(msg.fuse, sizeof(msg.fuse), "%s", m->fuse);
	(void)setsockopt(s, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof(wait));
	if (send(s, &msg, sizeof(msg), MSG_NOSIGNAL) != (ssize_t)sizeof(msg) || recv(s, &c, 1, 0) != 1)
		return lxm_err_set(e, EIO, "the process that answers mount() does not take new rules");
	return 0;
}

int instance_intercept_apply(struct run *run, const struct instance *was, const struct instance *now, struct lxm_err *e)
{
	struct plan_mounts a = instance_mounts(was), b = instance_mounts(now);

	if (a.shift == b.shift && strcmp(a.allowed, b.allowed) == 0 && strcmp(a.fuse, b.fuse) == 0)
		return 0;
	return tell(run->rundir, &b, e);
}

void instance_intercept_rebooted(struct run *run, const struct instance *i)
{
	struct plan_mounts now = instance_mounts(i);
	struct lxm_err e = { 0 };

	if (instance_intercepted(i) & PLAN_INTERCEPT_MOUNT && tell(run->rundir, &now, &e) < 0)
		lxm_warn("instance '%s': %s", i->row.name, e.msg);
}
