/* Configuration of the command line, see conf.h. Kept as the JSON that the YAML file says, so unknown keys survive. */
#include "lxmc/conf.h"

#include <fcntl.h>
#include <string.h>

#include "lib/base/alloc.h"
#include "lib/base/fd.h"
#include "lxmc/json.h"
#include "lxmc/yaml.h"

#define FILE_MAX_BYTES	((size_t)1 << 20)
#define INSTALLED_SOCKET "/var/lib/lxmd/unix.socket"

struct conf {
	char *dir; /* owned */
	json_t *root;
};

static char *conf_dir(void)
{
	const char *dir = getenv("LXMC_CONF"), *home = getenv("HOME"), *xdg = getenv("XDG_CONFIG_HOME");

	if (!lxm_empty(dir))
		return lxm_strdup(dir);
	if (!lxm_empty(xdg) && *xdg == '/')
		return lxm_asprintf("%s/lxmc", xdg);
	return lxm_asprintf("%s/.config/lxmc", lxm_empty(home) ? "/root" : home);
}

char *conf_local_socket(void)
{
	const char *sock = getenv("LXMC_SOCKET"), *dir = getenv("LXMD_DIR");

	if (!lxm_empty(sock))
		return lxm_strdup(lxm_starts(sock, "unix:") ? sock + 5 : sock);
	if (!lxm_empty(dir))
		return lxm_asprintf("%s/unix.socket", dir);
	return lxm_strdup(INSTALLED_SOCKET);
}

int conf_load(struct conf **conf_out, struct lxm_err *e)
{
	struct conf *conf = lxm_alloc(sizeof(*conf));
	lxm_auto(free) char *path = NULL;
	lxm_auto(buf) struct lxm_buf text = { 0 };
	int r;

	conf->dir = conf_dir();
	path = lxm_asprintf("%s/config.yml", conf->dir);
	r = lxm_read_file(path, FILE_MAX_BYTES, &text);
	if (r == 0)
		r = yaml_load(text.data ? text.data : "", text.len, &conf->root, e);
	else if (r == -ENOENT || r == -ENOTDIR)
		r = 0;
	else
		errno = -r, r = lxm_err_sys(e, "read '%s'", path);
	if (r == 0 && conf->root && !json_is_object(conf->root) && !json_is_null(conf->root))
		r = lxm_err_set(e, EINVAL, "'%s' is not a map of settings", path);
	if (r < 0) {
		conf_free(conf);
		return r;
	}
	if (!json_is_object(conf->root)) {
		json_decref(conf->root);
		conf->root = json_object();
	}
	*conf_out = conf;
	return 0;
}

void conf_free(struct conf *conf)
{
	if (!conf)
		return;
	json_decref(conf->root);
	free(conf->dir);
	free(conf);
}

int conf_save(struct conf *conf, struct lxm_err *e)
{
	lxm_auto(free) char *text = yaml_dump(conf->root, NULL);
	lxm_auto(free) char *path = lxm_asprintf("%s/config.yml", conf->dir);
	int r;

	r = lxm_mkdir_p(conf->dir, 0700);
	if (r == 0)
		r = lxm_write_file_atomic(AT_FDCWD, path, text, strlen(text), 0600);
	if (r == 0)
		return 0;
	errno = -r;
	return lxm_err_sys(e, "write '%s'", path);
}

const char *conf_default_remote(const struct conf *conf)
{
	const char *name = jtext(conf->root, "default-remote");

	return *name ? name : "local";
}

int conf_set_default_remote(struct conf *conf, const char *name, struct lxm_err *e)
{
	struct remote rm;
	int r = conf_remote(conf, name, &rm, e);

	if (r == 0)
		json_object_set_new(conf->root, "default-remote", json_string(name));
	return r;
}

static void fill_remote(const char *name, const json_t *o, struct remote *out)
{
	out->name = name;
	out->addr = *jtext(o, "addr") ? jtext(o, "addr") : "unix:";
	out->protocol = *jtext(o, "protocol") ? jtext(o, "protocol") : "lxd";
	out->project = jtext(o, "project");
	out->is_static = strcmp(name, "local") == 0;
	if (out->is_static)
		out->addr = "unix:";
}

int conf_remote(const struct conf *conf, const char *name, struct remote *out, struct lxm_err *e)
{
	const json_t *o = json_object_get(json_object_get(conf->root, "remotes"), name);

	if (!json_is_object(o) && strcmp(name, "local") != 0)
		return lxm_err_set(e, ENOENT, "remote '%s' is not known; 'lxmc remote list' shows which are", name);
	fill_remote(name, o, out);
	return 0;
}

bool conf_remote_at(const struct conf *conf, size_t i, struct remote *out)
{
	json_t *remotes = json_object_get(conf->root, "remotes"), *o;
	const char *name;

	if (i == 0) {
		fill_remote("local", json_object_get(remotes, "local"), out);
		return true;
	}
	json_object_foreach(remotes, name, o) {
		if (strcmp(name, "local") == 0 || --i)
			continue;
		fill_remote(name, o, out);
		return true;
	}
	return false;
}

void conf_set_project(struct conf *conf, const char *remote, const char *project)
{
	json_t *remotes = json_object_get(conf->root, "remotes"), *o;

	if (!json_is_object(remotes)) {
		remotes = json_object();
		json_object_set_new(conf->root, "remotes", remotes);
	}
	o = json_object_get(remotes, remote);
	if (!json_is_object(o)) {
		o = json_object();
		json_object_set_new(remotes, remote, o);
	}
	json_object_set_new(o, "project", json_string(project));
}
