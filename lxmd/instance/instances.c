/*
 * Start and stop of the room, and reconciling: the kernel's truth (monitors, cgroups, run directories) against the
 * database. Runs on the main thread while nobody else uses the daemon yet.
 */
#include "lxmd/instance/instances.h"

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "db/warning.h"
#include "lib/base/alloc.h"
#include "lib/base/fd.h"
#include "lib/base/log.h"
#include "lxmd/core/daemon.h"
#include "lxmd/core/idle.h"
#include "lxmd/core/kernel_room.h"
#include "lxmd/core/locks.h"
#include "lxmd/core/loop.h"
#include "lxmd/core/workers.h"
#include "lxmd/device/forwards.h"
#include "lxmd/device/plugs.h"
#include "lxmd/instance/apparmor.h"
#include "lxmd/instance/boot.h"
#include "lxmd/instance/backup.h"
#include "lxmd/instance/cpus.h"
#include "lxmd/instance/exec.h"
#include "lxmd/instance/files.h"
#include "lxmd/instance/guest.h"
#include "lxmd/instance/instance.h"
#include "lxmd/instance/devices.h"
#include "lxmd/instance/life.h"
#include "lxmd/instance/limits.h"
#include "lxmd/instance/lxcfs.h"
#include "lxmd/instance/meters.h"
#include "lxmd/instance/plan.h"
#include "lxmd/instance/rows.h"
#include "lxmd/instance/replan.h"
#include "lxmd/instance/run.h"
#include "lxmd/instance/seccomp.h"
#include "lxmd/instance/snapshot.h"
#include "lxmd/instance/snaptask.h"
#include "lxmd/instance/volumes.h"
#include "lxmd/instance/still.h"
#include "lxmd/instance/thrash.h"
#include "lxmd/instance/usage.h"
#include "lxmd/network/network.h"
#include "lxmd/spawn/spawn.h"
#include "lxmd/storage/pool.h"

/* Several daemons on one host need parents of their own; the name follows from the directory, so that it stays. */
static void choose_parent(struct lxmd *d, char out[32])
{
	uint64_t h = 0xcbf29ce484222325u;
	const char *p;

	if (!d->private_dir) {
		snprintf(out, 32, "lxm");
		return;
	}
	for (p = d->dirs.top.path; *p; p++)
		h = (h ^ (unsigned char)*p) * 0x100000001b3u;
	snprintf(out, 32, "lxm.%08x", (unsigned int)(h ^ h >> 32));
}

static int open_ids(struct instances *in, struct lxm_err *e)
{
	lxm_auto(buf) struct lxm_buf uid = { 0 };
	lxm_auto(buf) struct lxm_buf gid = { 0 };
	lxm_auto(buf) struct lxm_buf own_uid = { 0 };
	lxm_auto(buf) struct lxm_buf own_gid = { 0 };

	(void)lxm_read_file("/etc/subuid", 1 << 20, &uid);
	(void)lxm_read_file("/etc/subgid", 1 << 20, &gid);
	(void)lxm_read_file("/proc/self/uid_map", 1 << 16, &own_uid);
	(void)lxm_read_file("/proc/self/gid_map", 1 << 16, &own_gid);
	return idmap_pool_init(&in->ids, uid.data ? uid.data : "", gid.data ? gid.data : "",
			       idmap_own_ids(own_uid.data ? own_uid.data : "", own_gid.data ? own_gid.data : ""), e);
}

/* Seconds; LXMD_EXEC_GRACE is for tests, which cannot wait that long. */
static uint32_t exec_grace(void)
{
	int64_t s;

	return lxm_parse_i64(getenv("LXMD_EXEC_GRACE"), &s) == 0 && s > 0 && s < 86400 ? (uint32_t)s : EXEC_GRACE_S;
}

static void hold_ids(struct lxmd *d, const struct instance *i)
{
	uint32_t base, size;

	if (instance_ids(i, &base, &size) && base != d->instances->ids.first)
		idmap_pool_hold(&d->instances->ids, i->row.id, base, size);
}

/* What runs beside it runs on, or again. */
static void take_devices(struct lxmd *d, const struct instance *i, struct run *run)
{
	struct device_live live;
	lxm_auto(fd_close) int pidfd = instance_device_live(run, &live, NULL);

	if (pidfd < 0)
		return;
	forwards_sweep(d, i->row.id, &i->devices);
	if (instance_devices_started(d, i, &live, true, NULL, NULL) > 0)
		replan_due(run);
}

/* Its monitor answers: take it over. Returns true if the instance runs. */
static bool adopt(struct lxmd *d, const struct instance *i, int rundir)
{
	struct mon_hello h = MON_HELLO_EMPTY;
	lxm_auto(run_unref) struct run *run = NULL;
	struct lxm_err e = { 0 };
	uint32_t parked;
	bool rebooted;
	int sock = -1;

	if (mon_connect(rundir, 2000, &sock, &h, &e) < 0) {
		close(rundir);
		return false;
	}
	parked = h.parked;
	rebooted = h.reboots > 0;
	if (run_add(d, i->row.id, i->row.project, i->row.name, rundir, &run, &e) < 0 ||
	    run_started(run, sock, -1, &h, &e) < 0) {
		lxm_error("adopt instance '%s': %s", i->row.name, e.msg);
		return false;
	}
	take_devices(d, i, run);
	pthread_mutex_lock(&run->lock);
	run->frozen = cgroup_frozen(&d->instances->cgroups, run->cgroup) == 1;
	run->ready = lxm_kv_bool(&i->row.config, "volatile.last_state.ready", false);
	pthread_mutex_unlock(&run->lock);
	limits_adopted(run, i, rebooted);
	replan_if_due(run, i);
	if (parked)
		execs_adopt(run);
	lxm_debug("instance '%s' runs on (init %d)", i->row.name, (int)run->init_pid);
	return true;
}

/* The monitor wrote down how it ended: what powered itself off is not started again by itself. */
static void read_reason(struct lxmd *d, const struct instance *i, struct lxm_kv *changes)
{
	lxm_auto(free) char *path = lxm_asprintf("%lld/%s", (long long)i->row.id, MON_STOPPED_FILE);
	lxm_auto(buf) struct lxm_buf text = { 0 };

	if (lxm_read_file_at(d->dirs.run.fd, path, 256, &text) < 0 || !text.data)
		return;
	text.data[strcspn(text.data, " \n")] = 0;
	if (mon_reason_parse(text.data) == MON_REASON_POWEROFF)
		lxm_kv_set(changes, "volatile.last_state.power", "STOPPED");
	if (instance_set_volatile(d, i->row.id, changes, NULL) < 0)
		lxm_warn("instance '%s': its end could not be recorded", i->row.name);
}

/* Nothing runs: remove what an end without lxmd, or a killed monitor, left. */
static void settle(struct lxmd *d, const struct instance *i, bool had_rundir)
{
	lxm_auto(kv) struct lxm_kv changes = { 0 };
	struct lxm_err e = { 0 };
	char cg[64];

	snprintf(cg, sizeof(cg), "%s/%lld", d->instances->cgroup_parent, (long long)i->row.id);
	if (cgroup_kill(&d->instances->cgroups, cg, NULL) == 0)
		(void)cgroup_remove(&d->instances->cgroups, cg, 5000, NULL);
	apparmor_unload(d->instances->apparmor, i->row.id);
	if (!had_rundir)
		return;
	read_reason(d, i, &changes);
	lxm_info("instance '%s' ended while no lxmd was there", i->row.name);
	instance_devices_stop(d, i);
	instance_remove_rundir(d, i->row.id);
	if (i->row.ephemeral && instance_destroy(d, i, &e) < 0)
		lxm_error("delete ephemeral instance '%s': %s", i->row.name, e.msg);
}

/* Storage has followed these marks (pool_mend()); of a pool that is not there it could not, and they stay. */
static void mend(struct lxmd *d, const struct instance *i)
{
	static const char *const marks[] = { "volatile.lxm.renamed_from", "volatile.lxm.replacing", "volatile.lxm.moving_to",
					     "volatile.lxm.moved_from" };
	lxm_auto(kv) struct lxm_kv changes = { 0 };
	struct lxm_err e = { 0 };
	size_t k;

	for (k = 0; k < LXM_ARRAY_LEN(marks); k++) {
		const char *value = lxm_kv_get(&i->row.config, marks[k]);
		lxm_auto(pool_unref) struct pool *pool = NULL;

		/* the moves name the pool that is to be cleared, the others are about the instance's own */
		if (!value || storage_pool_get(d, k < 2 ? i->row.pool : value, &pool, &e) == -EHOSTDOWN)
			continue;
		lxm_kv_set(&changes, marks[k], "");
		if (k == 0)
			lxm_kv_set(&changes, "volatile.apply_template", "rename");
	}
	if (changes.n && instance_set_volatile(d, i->row.id, &changes, &e) < 0)
		lxm_error("instance '%s': %s", i->row.name, e.msg);
}

static void reconcile_one(struct lxmd *d, const struct instance *i)
{
	struct lxm_err e = { 0 };
	char name[24];
	int rundir;

	if (lxm_kv_get(&i->row.config, "volatile.lxm.creating")) {
		lxm_info("instance '%s': its creation was cut off, removing it", i->row.name);
		if (instance_destroy(d, i, &e) < 0)
			lxm_error("remove unfinished instance '%s': %s", i->row.name, e.msg);
		return;
	}
	mend(d, i);
	hold_ids(d, i);
	snprintf(name, sizeof(name), "%lld", (long long)i->row.id);
	rundir = openat(d->dirs.run.fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	if (rundir < 0 || !adopt(d, i, rundir))
		settle(d, i, rundir >= 0);
	still_mend(d, i);
}

static bool known(const struct instance_list *l, const char *name)
{
	int64_t id;
	size_t k;

	if (lxm_parse_i64(name, &id) < 0)
		return true; /* not one of ours */
	for (k = 0; k < l->n; k++)
		if (l->v[k].row.id == id)
			return true;
	return false;
}

/* Run directories and cgroups whose instance is not in the database any more. */
static void sweep_strangers(struct lxmd *d, const struct instance_list *l)
{
	const struct cgroup_layout *cg = &d->instances->cgroups;
	lxm_auto(strv) struct lxm_strv names = { 0 };
	struct dirent *de;
	DIR *dir;
	size_t k;
	int fd;

	if (cgroup_list(cg, d->instances->cgroup_parent, &names, NULL) == 0) {
		for (k = 0; k < names.n; k++) {
			lxm_auto(free) char *path = lxm_asprintf("%s/%s", d->instances->cgroup_parent, names.v[k]);

			if (known(l, names.v[k]))
				continue;
			lxm_info("cgroup '%s' belongs to no instance, removing it", path);
			(void)cgroup_kill(cg, path, NULL);
			(void)cgroup_remove(cg, path, 5000, NULL);
		}
	}
	fd = openat(d->dirs.run.fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	dir = fd < 0 ? NULL : fdopendir(fd);
	if (!dir) {
		auto_fd_close(&fd);
		return;
	}
	while ((de = readdir(dir)))
		if (!known(l, de->d_name))
			instance_remove_rundir(d, strtoll(de->d_name, NULL, 10));
	closedir(dir);
}

/* ---- AppArmor that the kernel has and lxm cannot use */

static int warn_apparmor_tx(struct db_tx *tx, void *arg, struct lxm_err *e)
{
	static const char type[] = "AppArmor support has been disabled";
	const char *message = arg;

	return message ? db_warning_raise(tx, NULL, type, DB_SEV_MODERATE, NULL, message, e) : db_warning_resolve(tx, NULL, type, NULL, e);
}

static void tell_apparmor(struct lxmd *d)
{
	static char missing[] = "instances run without AppArmor: the program apparmor_parser is missing (package apparmor)";
	bool useless = apparmor_state(d->instances->apparmor) == APPARMOR_NO_PARSER;
	struct lxm_err e = { 0 };

	if (useless)
		lxm_warn("%s", missing);
	if (db_write_lazy(d->db, warn_apparmor_tx, useless ? missing : NULL, &e) < 0)
		lxm_warn("note warning about AppArmor: %s", e.msg);
}

int instances_start(struct lxmd *d, struct lxm_err *e)
{
	lxm_auto(instance_list) struct instance_list l = { 0 };
	struct instances *in = lxm_alloc(sizeof(*in));
	size_t k, running;
	int r;

	in->files = files_new();
	in->rows = rows_cache_new();
	in->usages = usage_cache_new();
	in->room = kernel_room_new("/proc");
	in->exec_grace_s = exec_grace();
	d->instances = in;
	forwards_start(d);
	plugs_start(d, instance_devices_follow);
	pthread_mutex_init(&in->lock, NULL);
	in->jobs = worker_group_new(d->workers);
	choose_parent(d, in->cgroup_parent);
	r = open_ids(in, e);
	if (r == 0)
		r = cgroup_layout_read(&in->cgroups, e);
	if (r == 0)
		r = cgroup_parent_make(&in->cgroups, in->cgroup_parent, e);
	if (r == 0)
		r = seccomp_cache_new(d->profiles_dir, &in->seccomp, e);
	if (r == 0)
		r = apparmor_new(d->profiles_dir, in->cgroup_parent, NULL, &in->apparmor, e);
	if (r == 0)
		r = spawner_new(d->bin_dir, &in->spawner, e);
	if (r == 0)
		r = instance_load_all(d, NULL, &l, e);
	if (r < 0)
		return lxm_err_wrap(e, r, "start the instances' part");
	in->cpus = cpus_new(d);
	tell_apparmor(d);
	instance_root_sizes_settle(d);
	in->lxcfs = lxcfs_start(d);
	guests_start(d, &instance_guest_ops);
	for (k = 0; k < l.n; k++)
		reconcile_one(d, &l.v[k]);
	network_filters_start(d);
	snapshots_mend(d);
	snaptask_add(d);
	backups_start(d);
	volumes_add_tasks(d);
	idle_add(d->idle, meters_rest);
	idle_add(d->idle, instance_rows_rest);
	sweep_strangers(d, &l);
	pthread_mutex_lock(&in->lock);
	running = in->n;
	pthread_mutex_unlock(&in->lock);
	lxm_info("%zu instances, %zu of them running", l.n, running);
	return 0;
}

/* ---- the daemon goes down */

struct unwatching {
	struct lxmd *d;
	bool again; /* out: a job may have come, or may bring something to watch */
};

/* Loop thread. Works on a copy: an instance that ends just now leaves the table on a worker. */
static void unwatch(void *arg)
{
	struct unwatching *u = arg;
	struct run **runs = NULL;
	size_t k, n = run_list(u->d, &runs);

	u->again = worker_group_busy(u->d->instances->jobs);
	for (k = 0; k < n; k++) {
		loop_del(runs[k]->watch);
		runs[k]->watch = NULL;
		run_set_guest(runs[k], NULL);
		thrash_unwatch(runs[k]);
		run_unref(runs[k]);
	}
	free(runs);
}

/*
 * Jobs come from what is watched, and bring more to watch: a reboot another guest, a start another monitor. Nothing more comes once
 * the loop thread has seen that none is under way, and watches nothing.
 */
int instances_quiet(struct lxmd *d, int timeout_ms)
{
	int64_t until = lxm_mono_ms() + timeout_ms, now;
	struct unwatching u = { .d = d };

	if (!d->instances)
		return 0;
	do {
		now = lxm_mono_ms();
		/* those that stop instances hear of their end first */
		if (worker_group_wait(d->instances->jobs, now < until ? until - now : 0) < 0)
			return -EBUSY;
		execs_stop(d);
		loop_call(d->loop, unwatch, &u);
	} while (u.again);
	return 0;
}

void instances_stop(struct lxmd *d)
{
	struct instances *in = d->instances;
	size_t k;

	if (!in)
		return;
	lxcfs_stop(in->lxcfs, in->n == 0);
	if (in->host_goes && in->n == 0)
		networks_leave_host(d);
	guests_stop(d);
	forwards_stop(d);
	plugs_stop(d);
	cpus_free(in->cpus);
	for (k = 0; k < in->n; k++)
		run_unref(in->v[k]);
	if (!in->n)
		cgroup_parent_remove(&in->cgroups, in->cgroup_parent);
	free(in->v);
	files_free(d, in->files);
	boot_restarts_free(in->restarts);
	rows_cache_free(in->rows);
	usage_cache_free(in->usages);
	kernel_room_free(in->room);
	spawner_free(in->spawner);
	seccomp_cache_free(in->seccomp);
	apparmor_free(in->apparmor);
	idmap_pool_deinit(&in->ids);
	pthread_mutex_destroy(&in->lock);
	worker_group_free(in->jobs);
	free(in);
	d->instances = NULL;
}
