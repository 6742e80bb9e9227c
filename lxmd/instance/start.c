/*
 * Starting an instance: plan, monitor, record. Worker threads. The monitor undoes its own steps when the start fails;
 * what lxmd did (devices, run directory, table entry) is undone here. A crash of lxmd in between leaves a monitor that
 * the next lxmd adopts, or a run directory that it removes.
 */
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "db/instance.h"
#include "lib/base/alloc.h"
#include "lib/base/fd.h"
#include "lib/base/log.h"
#include "lib/conf/tables.h"
#include "lib/wire/monitor.h"
#include "lib/wire/plan.h"
#include "lxmd/core/daemon.h"
#include "lxmd/core/kernel_room.h"
#include "lxmd/core/event.h"
#include "lxmd/core/op.h"
#include "lxmd/instance/files.h"
#include "lxmd/instance/apparmor.h"
#include "lxmd/instance/idmap.h"
#include "lxmd/instance/devices.h"
#include "lxmd/instance/life.h"
#include "lxmd/instance/limits.h"
#include "lxmd/instance/lxcfs.h"
#include "lxmd/instance/modules.h"
#include "lxmd/instance/plan.h"
#include "lxmd/instance/run.h"
#include "lxmd/instance/snaptask.h"
#include "lxmd/spawn/spawn.h"

#define START_TIMEOUT_MS 60000

bool instance_ids(const struct instance *i, uint32_t *base, uint32_t *size)
{
	uint64_t b, n;

	*base = *size = 0;
	if (lxm_parse_u64(lxm_kv_get(&i->row.config, "volatile.idmap.base"), &b) < 0 ||
	    lxm_parse_u64(lxm_kv_get(&i->row.config, "volatile.idmap.size"), &n) < 0 || b > UINT32_MAX || n > UINT32_MAX)
		return false;
	*base = (uint32_t)b;
	*size = (uint32_t)n;
	return true;
}

int instance_idmap(const struct instance *i, struct idmap *map, struct lxm_err *e)
{
	uint32_t base, size;

	memset(map, 0, sizeof(*map));
	if (instance_privileged(i))
		return 0;
	if (!instance_ids(i, &base, &size))
		return lxm_err_set(e, EINVAL, "instance '%s' has no id range recorded", i->row.name);
	return idmap_compose(base, size, lxm_kv_get(&i->config, "raw.idmap"), map, e);
}

/* Size that the configuration asks for. */
static int wanted_ids(const struct instance *i, uint32_t *size, uint32_t *base, bool *shared, struct lxm_err *e)
{
	const char *s = lxm_kv_or(&i->config, "security.idmap.size", "auto");
	uint64_t n = IDMAP_DEFAULT_SIZE, b = 0;

	*shared = !lxm_kv_bool(&i->config, "security.idmap.isolated", true);
	if (!lxm_streq(s, "auto") && (lxm_parse_u64(s, &n) < 0 || n == 0 || n > UINT32_MAX))
		return lxm_err_set(e, EINVAL, "security.idmap.size '%s': a number of ids is wanted", s);
	s = lxm_kv_get(&i->config, "security.idmap.base");
	if (!lxm_empty(s) && (lxm_parse_u64(s, &b) < 0 || b > UINT32_MAX))
		return lxm_err_set(e, EINVAL, "security.idmap.base '%s': the first host id is wanted", s);
	*size = (uint32_t)n;
	*base = (uint32_t)b;
	return 0;
}

int instance_idmap_next(struct lxmd *d, const struct instance *i, struct idmap *map, struct lxm_err *e)
{
	uint32_t size, want, had_base, had_size;
	bool shared;
	int r;

	memset(map, 0, sizeof(*map));
	if (instance_privileged(i))
		return 0;
	r = wanted_ids(i, &size, &want, &shared, e);
	if (r < 0)
		return r;
	(void)instance_ids(i, &had_base, &had_size);
	return idmap_compose(had_base && had_size == size ? had_base : d->instances->ids.first, size,
			     lxm_kv_get(&i->config, "raw.idmap"), map, e);
}

struct others {
	const char *project;
	struct db_instances rows;
};

static int others_tx(struct db_tx *tx, void *arg, struct lxm_err *e)
{
	struct others *o = arg;

	return db_instance_list(tx, o->project, DB_ANY_TYPE, 0, &o->rows, e);
}

/* Ranges are few where root has few subordinate ids: a tenant's project leaves as many as it holds. */
static int check_id_share(struct lxmd *d, const struct instance *i, uint32_t size, struct lxm_err *e)
{
	struct others o = { .project = i->row.project };
	lxm_auto(free) int64_t *ids = NULL;
	size_t k, n = 0;
	int r = db_read(d->db, others_tx, &o, e);

	if (r == 0) {
		ids = lxm_realloc_n(NULL, o.rows.n + 1, sizeof(*ids));
		for (k = 0; k < o.rows.n; k++)
			if (o.rows.v[k].id != i->row.id)
				ids[n++] = o.rows.v[k].id;
		if (!idmap_pool_leaves_enough(&d->instances->ids, ids, n, size))
			r = lxm_err_http(e, 403, EPERM, "project '%s' would hold more ids of the host than are left for others: "
					 "set security.idmap.isolated=false, or delete instances", i->row.project);
	}
	db_instances_deinit(&o.rows);
	return r;
}

int instance_take_ids(struct lxmd *d, const struct instance *i, const struct caller *caller, struct lxm_kv *changes, struct lxm_err *e)
{
	struct idmap_pool *ids = &d->instances->ids;
	uint32_t size = 0, base = 0, want = 0, had_base, had_size;
	bool shared = false;
	int r;

	if (instance_privileged(i)) {
		idmap_pool_drop(ids, i->row.id);
		lxm_kv_set(changes, "volatile.idmap.base", "");
		lxm_kv_set(changes, "volatile.idmap.size", "");
		return 0;
	}
	r = wanted_ids(i, &size, &want, &shared, e);
	if (r < 0)
		return r;
	(void)instance_ids(i, &had_base, &had_size);
	/* files on disk carry no shifted ids, so a new range costs nothing: keep the old one only while it fits */
	if (had_base && had_size == size && (want ? want == had_base : (had_base == ids->first) == shared))
		return 0;
	if (!shared && caller && caller->trust == CALLER_RESTRICTED)
		r = check_id_share(d, i, size, e);
	if (r < 0)
		return r;
	idmap_pool_drop(ids, i->row.id);
	r = idmap_pool_take(ids, i->row.id, size, want, shared, &base, e);
	if (r < 0)
		return r;
	lxm_kv_setf(changes, "volatile.idmap.base", "%u", base);
	lxm_kv_setf(changes, "volatile.idmap.size", "%u", size);
	return 0;
}

/* RUN/ID, empty. */
static int make_rundir(struct lxmd *d, int64_t id, int *fd_out, struct lxm_err *e)
{
	char name[24];
	int r;

	snprintf(name, sizeof(name), "%lld", (long long)id);
	r = lxm_mkdir_at(d->dirs.run.fd, name, 0700);
	if (r < 0)
		return lxm_err_set(e, -r, "make run directory '%s': %s", name, strerror(-r));
	*fd_out = openat(d->dirs.run.fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	return *fd_out < 0 ? lxm_err_sys(e, "open run directory '%s'", name) : 0;
}

void instance_remove_rundir(struct lxmd *d, int64_t id)
{
	lxm_auto(free) char *path = lxm_asprintf("%s/%lld", d->dirs.run.path, (long long)id);
	int r = lxm_rm_tree_at(AT_FDCWD, path);

	if (r < 0)
		lxm_warn("remove '%s': %s", path, strerror(-r));
}

/*
 * LOG/PROJECT/NAME/lxc.log: what the monitor complains about; -1 when it cannot be had (the log of lxmd serves then).
 * @how  O_TRUNC for a new start, O_APPEND
 */
static int open_log(struct lxmd *d, const struct instance *i, int how)
{
	lxm_auto(free) char *dir = lxm_asprintf("%s/%s/%s", d->dirs.log.path, i->row.project, i->row.name);
	lxm_auto(free) char *file = lxm_asprintf("%s/lxc.log", dir);

	if (lxm_mkdir_p(dir, 0700) < 0)
		return -1;
	return open(file, O_WRONLY | O_CREAT | how | O_CLOEXEC | O_NOFOLLOW, 0600);
}

/* Why it did not start, where somebody looks for that; the monitor tells only lxmd. */
static void log_failure(struct lxmd *d, const struct instance *i, const struct lxm_err *e)
{
	lxm_auto(fd_close) int fd = open_log(d, i, O_APPEND);
	lxm_auto(free) char *line = NULL;
	char now[32];

	if (fd < 0)
		return;
	line = lxm_asprintf("%s error   %s\n", lxm_time_str(lxm_now(), now), e->msg);
	(void)lxm_write_all(fd, line, strlen(line));
}

struct started {
	int64_t id;
	struct lxm_kv *changes;
};

static int started_tx(struct db_tx *tx, void *arg, struct lxm_err *e)
{
	struct started *s = arg;
	int r = db_instance_set_config_keys(tx, s->id, s->changes, e);

	return r ? r : db_instance_set_last_used(tx, s->id, lxm_now(), e);
}

static int spawn_and_wait(struct lxmd *d, struct run *run, const struct instance *i, const struct plan *p, int *sock_out,
			  int *mon_pidfd_out, struct mon_hello *hello, struct lxm_err *e)
{
	lxm_auto(fd_close) int plan_fd = -1;
	lxm_auto(fd_close) int log_fd = open_log(d, i, O_TRUNC);
	lxm_auto(fd_close) int sock = -1;
	lxm_auto(fd_close) int pidfd = -1;
	char id[24];
	int r = plan_seal(p, &plan_fd, e);

	snprintf(id, sizeof(id), "%lld", (long long)i->row.id);
	if (r == 0)
		r = spawn_monitor(d->instances->spawner, id, plan_fd, run->rundir, log_fd, &sock, &pidfd, e);
	if (r < 0)
		return r;
	r = mon_wait_started(sock, START_TIMEOUT_MS, hello, e);
	if (r < 0) {
		/* a monitor that reported a failure cleans up and exits; one that hangs is ended, and its init with it */
		if (spawn_wait(pidfd, 10000, NULL) == -ETIMEDOUT)
			spawn_kill(&pidfd);
		return r;
	}
	*sock_out = LXM_TAKE(sock, -1);
	*mon_pidfd_out = LXM_TAKE(pidfd, -1);
	return 0;
}

static int started_devices(struct lxmd *d, struct run *run, const struct instance *i, const struct mon_hello *hello,
			   struct lxm_kv *changes, struct lxm_err *e)
{
	struct device_live live = { .init_pidfd = hello->pidfd, .init_pid = hello->pid, .started_ms = hello->start_ms,
				    .spawner = d->instances->spawner, .cgroups = &d->instances->cgroups, .cgroup = run->cgroup };

	return instance_devices_started(d, i, &live, false, changes, e);
}

/* What of the instance runs is ended; a monitor that is there cleans up behind it. */
static void take_down(struct lxmd *d, struct run *run, int *sock, int *mon_pidfd)
{
	(void)cgroup_kill(&d->instances->cgroups, run->cgroup, NULL);
	auto_fd_close(sock);
	if (*mon_pidfd >= 0 && spawn_wait(*mon_pidfd, 10000, NULL) == -ETIMEDOUT)
		spawn_kill(mon_pidfd);
	auto_fd_close(mon_pidfd);
	(void)cgroup_remove(&d->instances->cgroups, run->cgroup, 2000, NULL);
}

static int start_run(struct lxmd *d, struct instance *i, struct run *run, const struct caller *caller, struct lxm_kv *changes,
		     struct lxm_err *e)
{
	lxm_auto(plan_free) struct plan *p = NULL;
	lxm_auto(idmap) struct idmap map = { 0 };
	struct mon_hello hello = MON_HELLO_EMPTY;
	struct started s = { i->row.id, changes };
	uint32_t generation = lxcfs_generation(d->instances->lxcfs);
	int sock = -1, mon_pidfd = -1;
	int r = instance_take_ids(d, i, caller, changes, e);

	if (r < 0)
		return r;
	lxm_kv_merge(&i->row.config, changes);
	r = instance_idmap(i, &map, e);
	if (r == 0)
		r = instance_modules(i, e);
	if (r == 0)
		r = instance_plan(d, i, NULL, &map, changes, &p, e);
	if (r < 0)
		return r;
	/* what devices are known by on the host */
	lxm_kv_merge(&i->config, changes);
	r = spawn_and_wait(d, run, i, p, &sock, &mon_pidfd, &hello, e);
	if (r == 0)
		r = started_devices(d, run, i, &hello, changes, e);
	if (r < 0) {
		take_down(d, run, &sock, &mon_pidfd);
		mon_hello_deinit(&hello);
		instance_devices_undo_start(d, i, changes);
		return r;
	}
	lxcfs_recheck(d->instances->lxcfs, generation);
	lxm_kv_set(changes, "volatile.last_state.power", "RUNNING");
	if (lxm_kv_get(&i->row.config, "volatile.last_state.ready"))
		lxm_kv_set(changes, "volatile.last_state.ready", "false");
	if (map.nuid) {
		lxm_auto(free) char *json = idmap_json(&map);

		lxm_kv_set(changes, "volatile.idmap.current", json);
		lxm_kv_set(changes, "volatile.idmap.next", json);
		lxm_kv_set(changes, "volatile.last_state.idmap", "[]");
	}
	/*
	 * It runs: a full disk must not take it down again, and the next lxmd finds it by its monitor. Recorded before
	 * anybody listens to the monitor, so that the record of an end comes after it.
	 */
	r = db_write_lazy(d->db, started_tx, &s, e);
	if (r < 0)
		lxm_error("instance '%s' runs, but this could not be recorded: %s", i->row.name, e ? e->msg : "");
	r = run_started(run, sock, mon_pidfd, &hello, e);
	if (r < 0) {
		/* out of descriptors or memory: without an ear on it the instance must not run */
		(void)cgroup_kill(&d->instances->cgroups, run->cgroup, NULL);
		instance_devices_undo_start(d, i, changes);
		return r;
	}
	return 0;
}

int instance_start(struct lxmd *d, struct instance *i, struct op *op, const struct caller *caller, struct lxm_err *e)
{
	lxm_auto(run_unref) struct run *run = NULL;
	lxm_auto(kv) struct lxm_kv changes = { 0 };
	lxm_auto(free) char *url = NULL;
	int rundir = -1, r;

	run = run_get_settled(d, i->row.id);
	if (run)
		return lxm_err_http(e, 400, EEXIST, "start instance '%s': it is already running", i->row.name);
	r = instance_check(d, i, NULL, NULL, e);
	if (r == 0)
		r = kernel_room_check(d->instances->room, e);
	if (r == 0)
		snaptask_startup(d, i);
	if (r == 0)
		r = make_rundir(d, i->row.id, &rundir, e);
	if (r == 0)
		r = run_add(d, i->row.id, i->row.project, i->row.name, rundir, &run, e);
	if (r < 0)
		return lxm_err_wrap(e, r, "start instance '%s'", i->row.name);
	/* it is in the table of what runs: nobody opens the files of a stopped one any more */
	instance_files_end(d, i->row.id);
	r = start_run(d, i, run, caller, &changes, e);
	if (r < 0) {
		struct lxm_err e2 = { 0 };

		apparmor_unload(d->instances->apparmor, i->row.id);
		limits_ended(run);
		instance_remove_rundir(d, i->row.id);
		run_remove(run);
		/* what devices chose (a MAC) stays chosen */
		lxm_kv_del(&changes, "volatile.apply_template");
		(void)instance_set_volatile(d, i->row.id, &changes, &e2);
		r = lxm_err_wrap(e, r, "start instance '%s'", i->row.name);
		if (e)
			log_failure(d, i, e);
		return r;
	}
	limits_started(run, i);
	url = instance_url(i->row.name);
	event_lifecycle(d, i->row.project, "instance-started", url, NULL, caller);
	return 0;
}
