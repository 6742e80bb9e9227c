/* Names of volumes and the paths they have inside a pool. Pure functions. */
#include <string.h>

#include "lib/base/alloc.h"
#include "lib/base/str.h"
#include "lib/conf/names.h"
#include "lxmd/storage/volume.h"

void volume_root_deinit(struct volume_root *r)
{
	free(r->lower);
	free(r->dir);
	memset(r, 0, sizeof(*r));
}

int volume_id_check(const struct volume_id *v, struct lxm_err *e)
{
	const char *slash = strchr(v->name, '/');
	lxm_auto(free) char *first = slash ? lxm_strndup(v->name, (size_t)(slash - v->name)) : lxm_strdup(v->name);
	int r = conf_name_project(v->project, e);

	if (r == 0 && v->kind == VOLUME_SNAPSHOT && !slash)
		return lxm_err_set(e, EINVAL, "'%.100s' does not name a snapshot", v->name);
	if (r == 0 && (v->kind == VOLUME_INSTANCE || v->kind == VOLUME_STAGED) && slash)
		return lxm_err_set(e, EINVAL, "'%.100s' does not name an instance", v->name);
	if (r == 0)
		r = v->kind == VOLUME_CUSTOM || v->kind == VOLUME_CUSTOM_STAGED ? conf_name_volume(first, e) : conf_name_instance(first, e);
	if (r == 0 && slash)
		r = conf_name_snapshot(slash + 1, e);
	return r;
}

static char *instance_dir(const char *project, const char *name, size_t len)
{
	if (strcmp(project, "default") == 0)
		return lxm_strndup(name, len);
	return lxm_asprintf("%s_%.*s", project, (int)len, name);
}

char *volume_path(const struct volume_id *v)
{
	const char *slash = strchr(v->name, '/');
	size_t len = slash ? (size_t)(slash - v->name) : strlen(v->name);
	lxm_auto(free) char *dir = NULL;

	if (v->kind == VOLUME_CUSTOM_STAGED)
		return lxm_asprintf("staged/@%s@%.*s%s%s", v->project, (int)len, v->name, slash ? "@" : "", slash ? slash + 1 : "");
	if (v->kind == VOLUME_CUSTOM) {
		if (!slash)
			return lxm_asprintf("custom/%s@%s", v->project, v->name);
		return lxm_asprintf("snapshots/@%s@%s", v->project, v->name);
	}
	dir = instance_dir(v->project, v->name, len);
	if (v->kind == VOLUME_INSTANCE || v->kind == VOLUME_STAGED)
		return lxm_asprintf("%s/%s", v->kind == VOLUME_STAGED ? "staged" : "instances", dir);
	return lxm_asprintf("snapshots/%s/%s", dir, slash ? slash + 1 : "");
}

int volume_instance_of_dir(const char *dirname, char **project_out, char **name_out)
{
	const char *bar = strrchr(dirname, '_');
	const char *name = bar ? bar + 1 : dirname;

	if (bar == dirname || conf_name_instance(name, NULL) < 0)
		return -EINVAL;
	*project_out = bar ? lxm_strndup(dirname, (size_t)(bar - dirname)) : lxm_strdup("default");
	*name_out = lxm_strdup(name);
	return 0;
}
