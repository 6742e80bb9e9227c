/*
 * Where a disk's data lie: a path of the host, a custom volume, or a scratch directory of the instance's own volume.
 *
 * A path is an administrator's. It is resolved here, once, to a real path without links. Mounts in unprivileged instances carry nodev: the
 * kernel would honour device nodes on a mount that the host's root made.
 *
 * A volume is named by pool and name and looked up in the project whose volumes the instance's project uses, so no name leads
 * to another project's. On disk it has the ids that its users see inside: each unprivileged instance gets it idmapped by its own map,
 * and any number of them share it. A privileged instance sees the same ids unmapped; nosuid and nodev keep what
 * others have left there from becoming root outside.
 */
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <linux/mount.h>

#include "db/project.h"
#include "db/storage.h"
#include "lib/base/alloc.h"
#include "lib/base/fd.h"
#include "lib/base/log.h"
#include "lib/conf/mount_options.h"
#include "lib/conf/names.h"
#include "lib/conf/tables.h"
#include "lxmd/device/blockfs.h"
#include "lxmd/device/disk.h"
#include "lxmd/storage/pool.h"

void disk_mount_deinit(struct disk_mount *m)
{
	free(m->source);
	m->source = NULL;
	lxm_buf_deinit(&m->options);
}

bool disk_is_volume(const struct lxm_kv *kv)
{
	return !lxm_empty(lxm_kv_get(kv, "pool")) && !device_is_root(kv);
}

/* Word of `propagation` to the kernel's flag; all of a recursive mount spread alike. */
static uint32_t propagation_of(const char *word)
{
	static const struct {
		const char *word;
		uint32_t flag;
	} map[] = {
		{ "private", MS_PRIVATE },	 { "rprivate", MS_PRIVATE }, { "shared", MS_SHARED },
		{ "rshared", MS_SHARED },	 { "slave", MS_SLAVE },	     { "rslave", MS_SLAVE },
		{ "unbindable", MS_UNBINDABLE }, { "runbindable", MS_UNBINDABLE },
	};
	size_t i;

	for (i = 0; i < LXM_ARRAY_LEN(map); i++)
		if (lxm_streq(map[i].word, word))
			return map[i].flag;
	return 0;
}

/* ---- custom volumes */

struct lookup {
	const struct device_ctx *c;
	struct db_volume row;
};

static int lookup_tx(struct db_tx *tx, void *arg, struct lxm_err *e)
{
	struct lookup *l = arg;
	const char *pool = lxm_kv_get(l->c->kv, "pool"), *name = lxm_kv_get(l->c->kv, "source");
	lxm_auto(free) char *home = NULL;
	int r = db_project_for(tx, l->c->project, DB_FEATURE_VOLUMES, &home, e);

	db_volume_deinit(&l->row);
	if (r == 0)
		r = db_volume_get(tx, pool, home, DB_VOL_CUSTOM, name, &l->row, e);
	if (r == DB_NONE)
		return lxm_err_set(e, ENOENT, "pool '%s' has no custom volume '%s'", pool, name);
	return r;
}

int disk_volume_check(const struct device_ctx *c, bool instance, struct lxm_err *e)
{
	const char *name = lxm_kv_or(c->kv, "source", "");
	struct lookup l = { .c = c };
	int r = conf_name_pool(lxm_kv_get(c->kv, "pool"), e);

	if (r == 0)
		r = conf_name_volume(name, e);
	if (r == 0 && lxm_kv_bool(c->kv, "shift", false))
		r = lxm_err_set(e, EINVAL, "'shift' is for host paths: a volume is shifted unless it has security.unmapped=true");
	/* as a peer of the pool's mount it would carry an instance's mounts to the host */
	if (r == 0 && propagation_of(lxm_kv_or(c->kv, "propagation", "private")) != MS_PRIVATE)
		r = lxm_err_set(e, EINVAL, "'propagation' is for host paths: what is mounted below a volume stays in the instance");
	if (r < 0 || !instance)
		return r;
	r = db_read(c->d->db, lookup_tx, &l, e);
	db_volume_deinit(&l.row);
	return r;
}

static int find_volume(const struct device_ctx *c, struct disk_mount *out, struct lxm_err *e)
{
	lxm_auto(pool_unref) struct pool *pool = NULL;
	lxm_auto(volume_root) struct volume_root root = { 0 };
	struct lookup l = { .c = c };
	int r = db_read(c->d->db, lookup_tx, &l, e);

	if (r == 0)
		r = storage_pool_get(c->d, l.row.pool, &pool, e);
	if (r == 0)
		r = pool_volume_root(pool, VOLUME_ID(VOLUME_CUSTOM, l.row.project, l.row.name), &root, e);
	if (r == 0 && root.kind != VOLUME_ROOT_BIND)
		r = lxm_err_set(e, EINVAL, "volume '%s' is no plain directory", l.row.name);
	if (r == 0 && pool_shifts(pool) && !c->privileged && !lxm_kv_bool(&l.row.config, "security.unmapped", false))
		r = lxm_err_set(e, EOPNOTSUPP, "volume '%s': pool '%s' takes no idmapped mounts, so only security.unmapped=true works",
				l.row.name, l.row.pool);
	out->propagation = MS_PRIVATE;
	if (r == 0) {
		out->source = LXM_TAKE(root.lower, NULL);
		out->directory = true;
		out->idmap = !c->privileged && !lxm_kv_bool(&l.row.config, "security.unmapped", false);
		out->attrs |= MOUNT_ATTR_NODEV | (c->privileged ? MOUNT_ATTR_NOSUID : 0);
	}
	db_volume_deinit(&l.row);
	return r;
}

/* ---- scratch directories */

/* On disk it has the ids that are seen inside, like the root: nothing of it is anybody else's. */
static int find_scratch(const struct device_ctx *c, struct disk_mount *out, struct lxm_err *e)
{
	lxm_auto(pool_unref) struct pool *pool = NULL;
	const char *name = NULL;
	int r;

	lxm_devs_each(d, c->devices)
		if (device_is_root(&d->kv))
			name = lxm_kv_get(&d->kv, "pool");
	r = storage_pool_get(c->d, name ? name : "", &pool, e);
	if (r == 0)
		r = pool_volume_scratch(pool, VOLUME_OF_INSTANCE(c->project, c->instance_name), c->name, &out->source, e);
	out->propagation = MS_PRIVATE;
	out->directory = true;
	out->idmap = !c->privileged && r == 0 && !pool_shifts(pool);
	out->attrs |= c->privileged ? 0 : MOUNT_ATTR_NODEV;
	return r;
}

/* ---- memory */

/* Charged to whoever writes: the instance. */
static int find_tmpfs(const struct device_ctx *c, struct disk_mount *out, struct lxm_err *e)
{
	const char *size = lxm_kv_or(c->kv, "size", "");
	uint64_t bytes;

	if (*size && lxm_parse_bytes(size, &bytes) < 0)
		return lxm_err_set(e, EINVAL, "size: '%s' is no number of bytes", size);
	out->fstype = "tmpfs";
	out->source = lxm_strdup("");
	out->directory = true;
	out->attrs |= MOUNT_ATTR_NODEV | MOUNT_ATTR_NOSUID;
	lxm_buf_fmt(&out->options, "mode=0755");
	if (*size)
		lxm_buf_fmt(&out->options, ",size=%llu", (unsigned long long)bytes);
	return 0;
}

/* ---- host paths */

static int project_tx(struct db_tx *tx, void *arg, struct lxm_err *e)
{
	struct db_project *p = arg;
	lxm_auto(free) char *name = lxm_strdup(p->name);
	int r = db_project_get_values(tx, name, p, e);

	return r == DB_NONE ? lxm_err_set(e, ENOENT, "project '%s' not found", name) : r;
}

int disk_path_check(const struct device_ctx *c, bool *literal_out, struct lxm_err *e)
{
	const char *source = lxm_kv_or(c->kv, "source", "");
	lxm_auto(db_project) struct db_project p = { 0 };
	lxm_auto(fd_close) int fd = -1;
	int r;

	*literal_out = false;
	if (source[0] != '/' || disk_is_volume(c->kv) || device_is_root(c->kv))
		return 0;
	p.name = lxm_strdup(c->project);
	r = db_read(c->d->db, project_tx, &p, e);
	if (r < 0 || !lxm_kv_or(&p.config, "restricted.devices.disk.paths", NULL) ||
	    !(lxm_kv_bool(&p.config, "restricted", false) || lxm_streq(lxm_kv_get(&p.config, "restricted.devices.disk"), "allow")))
		return r;
	*literal_out = true;
	fd = lxm_open_plain(source, O_PATH);
	if (fd < 0 && (errno == ELOOP || errno == EXDEV))
		return lxm_err_set(e, EPERM, "source '%s' has a symbolic link in it, which restricted.devices.disk.paths of the project forbids", source);
	if (fd < 0 && (errno != ENOENT || lxm_kv_bool(c->kv, "required", true)))
		return lxm_err_sys(e, "source '%s'", source);
	return 0;
}

/* Its filesystem is mounted for the instance; for several of them it is one and the same. */
static int find_block(const struct device_ctx *c, struct disk_mount *out, struct lxm_err *e)
{
	bool readonly;
	int r;

	if (lxm_kv_bool(c->kv, "recursive", false) || propagation_of(lxm_kv_or(c->kv, "propagation", "private")) != MS_PRIVATE)
		return lxm_err_set(e, EINVAL, "'recursive' and 'propagation' are for directories: '%s' is a block device", out->source);
	r = blockfs_probe(out->source, &out->fstype, &readonly, e);
	/* a filesystem that is only read is not put in order on the device either */
	if (r == 0 && (readonly || out->attrs & MOUNT_ATTR_RDONLY))
		lxm_buf_fmt(&out->options, "ro");
	return r;
}

/* What lies there, by a look that no link can turn aside. */
static bool look_plain(const char *source, char real[PATH_MAX], struct stat *st)
{
	lxm_auto(fd_close) int fd = lxm_open_plain(source, O_PATH);

	return fd >= 0 && fstat(fd, st) == 0 && snprintf(real, PATH_MAX, "%s", source) < PATH_MAX;
}

static int find_path(const struct device_ctx *c, struct disk_mount *out, struct lxm_err *e)
{
	const char *source = lxm_kv_or(c->kv, "source", "");
	char real[PATH_MAX];
	struct stat st;
	bool found = out->literal ? look_plain(source, real, &st) : realpath(source, real) && stat(real, &st) == 0;

	if (!found) {
		if (errno != ENOENT || lxm_kv_bool(c->kv, "required", true))
			return lxm_err_sys(e, "source '%s'", source);
		lxm_info("instance '%s': source '%s' of disk '%s' is missing and not required", c->instance_name, source, c->name);
		return 0;
	}
	/* the kernel would read what a tenant, who may write there, has put on it */
	if (out->literal && S_ISBLK(st.st_mode))
		return lxm_err_set(e, EPERM, "source '%s' is a block device, which restricted.devices.disk.paths of the project forbids", source);
	out->source = lxm_strdup(real);
	out->plain = true;
	out->directory = S_ISDIR(st.st_mode) || S_ISBLK(st.st_mode);
	out->recursive = lxm_kv_bool(c->kv, "recursive", false);
	out->idmap = lxm_kv_bool(c->kv, "shift", false) && !c->privileged;
	out->attrs |= c->privileged ? 0 : MOUNT_ATTR_NODEV;
	return S_ISBLK(st.st_mode) ? find_block(c, out, e) : 0;
}

/* The options of its mount, after those that it has for its kind: these can only add to what keeps the host safe. */
static int add_options(const struct device_ctx *c, struct disk_mount *out, struct lxm_err *e)
{
	return out->source ? conf_mount_options(lxm_kv_get(c->kv, "raw.mount.options"), out->fstype, &out->attrs, &out->options, e) : 0;
}

int disk_find(const struct device_ctx *c, struct disk_mount *out, struct lxm_err *e)
{
	int r;

	if (lxm_kv_bool(c->kv, "readonly", false))
		out->attrs |= MOUNT_ATTR_RDONLY;
	out->propagation = propagation_of(lxm_kv_or(c->kv, "propagation", ""));
	if (conf_disk_is_scratch(c->kv))
		r = find_scratch(c, out, e);
	else if (conf_disk_is_tmpfs(c->kv))
		r = find_tmpfs(c, out, e);
	else
		r = disk_is_volume(c->kv) ? find_volume(c, out, e) : find_path(c, out, e);
	return r < 0 ? r : add_options(c, out, e);
}
