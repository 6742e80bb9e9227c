/* Configuration of the command line, see conf.h. Kept as the JSON that the YAML file says, so unknown keys survive. */
#include "lxmc/conf.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

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

static char *find_dir(void)
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

	conf->dir = find_dir();
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

/* Remotes that are there without being added; all but the local one give way to an entry of the file. */
static const struct remote fixed[] = {
	{ "local", "unix:", "lxd", "", "", false, true },
	{ "images", "https://images.linuxcontainers.org", "simplestreams", "", "", true, true },
	{ "ubuntu", "https://cloud-images.ubuntu.com/releases", "simplestreams", "", "", true, true },
	{ "ubuntu-daily", "https://cloud-images.ubuntu.com/daily", "simplestreams", "", "", true, true },
};

static const struct remote *fixed_remote(const char *name)
{
	size_t i;

	for (i = 0; i < LXM_ARRAY_LEN(fixed); i++)
		if (strcmp(fixed[i].name, name) == 0)
			return &fixed[i];
	return NULL;
}

/* A remote as the file has it; of the local one only the project counts. */
static void fill_remote(const char *name, const json_t *o, struct remote *out)
{
	const struct remote *f = fixed_remote(name);

	if (f && (f == fixed || !*jtext(o, "addr"))) {
		*out = *f;
		out->name = name;
		out->project = jtext(o, "project");
		return;
	}
	*out = (struct remote){ .name = name, .auth_type = jtext(o, "auth_type"), .project = jtext(o, "project"),
				.is_public = jtrue(o, "public") };
	out->addr = *jtext(o, "addr") ? jtext(o, "addr") : "unix:";
	out->protocol = *jtext(o, "protocol") ? jtext(o, "protocol") : "lxd";
}

static json_t *entry(const struct conf *conf, const char *name)
{
	json_t *o = json_object_get(json_object_get(conf->root, "remotes"), name);

	return json_is_object(o) ? o : NULL;
}

static json_t *all_entries(struct conf *conf)
{
	json_t *remotes = json_object_get(conf->root, "remotes");

	if (!json_is_object(remotes)) {
		remotes = json_object();
		json_object_set_new(conf->root, "remotes", remotes);
	}
	return remotes;
}

int conf_remote(const struct conf *conf, const char *name, struct remote *out, struct lxm_err *e)
{
	const json_t *o = entry(conf, name);
	const struct remote *f = fixed_remote(name);

	if (!o && !f)
		return lxm_err_set(e, ENOENT, "remote '%s' is not known; 'lxmc remote list' shows which are", name);
	/* the name in out is the configuration's: the caller's may go away before it */
	fill_remote(o ? json_object_iter_key(json_object_iter_at(json_object_get(conf->root, "remotes"), name)) : f->name, o,
		    out);
	return 0;
}

bool conf_remote_at(const struct conf *conf, size_t i, struct remote *out)
{
	json_t *remotes = json_object_get(conf->root, "remotes"), *o;
	const char *name;

	if (i < LXM_ARRAY_LEN(fixed)) {
		fill_remote(fixed[i].name, entry(conf, fixed[i].name), out);
		return true;
	}
	i -= LXM_ARRAY_LEN(fixed);
	json_object_foreach(remotes, name, o) {
		if (fixed_remote(name) || i--)
			continue;
		fill_remote(name, o, out);
		return true;
	}
	return false;
}

int conf_check_name(const char *name, struct lxm_err *e)
{
	const char *p;

	for (p = name; *p; p++)
		if ((unsigned char)*p <= ' ' || *p == 127 || strchr(":/\\'\"", *p))
			break;
	if (!*name || *p || *name == '-' || *name == '.' || strlen(name) > 128 || !lxm_utf8_ok(name, strlen(name)))
		return lxm_err_set(e, EINVAL, "'%s' cannot be the name of a remote", name);
	return 0;
}

int conf_add_remote(struct conf *conf, const struct remote *rm, struct lxm_err *e)
{
	struct remote have;
	json_t *o;
	int r = conf_check_name(rm->name, e);

	if (r < 0)
		return r;
	if (conf_remote(conf, rm->name, &have, NULL) == 0)
		return lxm_err_set(e, EEXIST, "remote '%s' is there already, at %s", rm->name, have.addr);
	o = json_pack("{s:s, s:s, s:b}", "addr", rm->addr, "protocol", rm->protocol, "public", rm->is_public);
	if (!o)
		return lxm_err_set(e, EINVAL, "'%s' is not UTF-8", rm->addr);
	if (!lxm_empty(rm->auth_type))
		json_object_set_new(o, "auth_type", json_string(rm->auth_type));
	if (!lxm_empty(rm->project))
		json_object_set_new(o, "project", json_string(rm->project));
	json_object_set_new(all_entries(conf), rm->name, o);
	return 0;
}

/* An entry of the file that may be changed. */
static int changeable(const struct conf *conf, const char *name, json_t **out, struct lxm_err *e)
{
	struct remote rm;
	int r = conf_remote(conf, name, &rm, e);

	if (r < 0)
		return r;
	if (rm.is_static)
		return lxm_err_set(e, EPERM, "remote '%s' is built in and cannot be changed", name);
	*out = entry(conf, name);
	return 0;
}

int conf_set_addr(struct conf *conf, const char *name, const char *addr, struct lxm_err *e)
{
	json_t *o;
	int r = changeable(conf, name, &o, e);

	if (r == 0 && json_object_set_new(o, "addr", json_string(addr)) < 0)
		return lxm_err_set(e, EINVAL, "'%s' is not UTF-8", addr);
	return r;
}

int conf_remove_remote(struct conf *conf, const char *name, struct lxm_err *e)
{
	lxm_auto(free) char *cert = conf_server_cert(conf, name);
	json_t *o;
	int r = changeable(conf, name, &o, e);

	if (r < 0)
		return r;
	if (strcmp(conf_default_remote(conf), name) == 0)
		return lxm_err_set(e, EBUSY, "remote '%s' is the default one; 'lxmc remote switch' to another first", name);
	json_object_del(all_entries(conf), name);
	(void)unlink(cert);
	return 0;
}

int conf_rename_remote(struct conf *conf, const char *from, const char *to, struct lxm_err *e)
{
	lxm_auto(free) char *old = conf_server_cert(conf, from), *fresh = conf_server_cert(conf, to);
	struct remote have;
	json_t *o;
	int r = changeable(conf, from, &o, e);

	if (r == 0)
		r = conf_check_name(to, e);
	if (r < 0)
		return r;
	if (conf_remote(conf, to, &have, NULL) == 0)
		return lxm_err_set(e, EEXIST, "remote '%s' is there already, at %s", to, have.addr);
	if (rename(old, fresh) < 0 && errno != ENOENT && errno != ENOTDIR)
		return lxm_err_sys(e, "rename '%s'", old);
	json_object_set(all_entries(conf), to, o);
	if (strcmp(conf_default_remote(conf), from) == 0)
		json_object_set_new(conf->root, "default-remote", json_string(to));
	json_object_del(all_entries(conf), from);
	return 0;
}

const char *conf_dir(const struct conf *conf)
{
	return conf->dir;
}

char *conf_server_cert(const struct conf *conf, const char *name)
{
	return lxm_asprintf("%s/servercerts/%s.crt", conf->dir, name);
}

int conf_save_server_cert(const struct conf *conf, const char *name, const char *pem, struct lxm_err *e)
{
	lxm_auto(free) char *dir = lxm_asprintf("%s/servercerts", conf->dir), *path = conf_server_cert(conf, name);
	int r = lxm_mkdir_p(dir, 0700);

	if (r == 0)
		r = lxm_write_file_atomic(AT_FDCWD, path, pem, strlen(pem), 0600);
	if (r == 0)
		return 0;
	errno = -r;
	return lxm_err_sys(e, "write '%s'", path);
}

void conf_set_project(struct conf *conf, const char *remote, const char *project)
{
	json_t *remotes = all_entries(conf), *o;

	o = json_object_get(remotes, remote);
	if (!json_is_object(o)) {
		o = json_object();
		json_object_set_new(remotes, remote, o);
	}
	json_object_set_new(o, "project", json_string(project));
}

json_t *conf_map(struct conf *conf, const char *key)
{
	json_t *map = json_object_get(conf->root, key);

	if (!json_is_object(map)) {
		map = json_object();
		json_object_set_new(conf->root, key, map);
	}
	return map;
}
