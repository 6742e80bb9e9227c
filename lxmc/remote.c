/* The remotes that are known: list, remove, rename, switch, set-url, and our own certificate. See verb.h; adding is remote_add.c. */
#include "lxmc/remote.h"

#include <stdio.h>
#include <string.h>

#include "lib/base/alloc.h"
#include "lib/tls/tls_conn.h"
#include "lxmc/client.h"
#include "lxmc/json.h"
#include "lxmc/hosts.h"
#include "lxmc/out.h"
#include "lxmc/verb.h"

int remote_normalise(const char *address, bool image_server, char **out, struct lxm_err *e)
{
	lxm_auto(free) char *host = NULL, *port = NULL;
	int r;

	if (lxm_starts(address, "unix:")) {
		*out = lxm_strdup(address);
		return 0;
	}
	if (strstr(address, "://") && !lxm_starts(address, "https://"))
		return cli_usage(e, "'%s': servers are reached by https:// or unix:", address);
	r = lxm_tls_split_address(address, image_server ? "443" : LXM_TLS_PORT, &host, &port, e);
	if (r < 0)
		return r;
	if (image_server)
		*out = lxm_asprintf("%s%s", lxm_starts(address, "https://") ? "" : "https://", address);
	else
		*out = lxm_asprintf(strchr(host, ':') ? "https://[%s]:%s" : "https://%s:%s", host, port);
	return 0;
}

static const char *auth_of(const struct remote *rm)
{
	if (lxm_starts(rm->addr, "unix:"))
		return "file access";
	if (rm->is_public)
		return "none";
	return *rm->auth_type ? rm->auth_type : "tls";
}

int verb_remote_list(struct cli *cli, struct lxm_err *e)
{
	static const char *const heads[] = { "NAME", "URL", "PROTOCOL", "AUTH TYPE", "PROJECT", "PUBLIC", "STATIC" };
	lxm_auto(table) struct table t = { 0 };
	lxm_auto(json) json_t *all = json_array();
	struct remote rm;
	size_t i;
	int r = cli_conf(cli, e);

	if (r < 0)
		return r;
	for (i = 0; i < LXM_ARRAY_LEN(heads); i++)
		table_head(&t, heads[i]);
	for (i = 0; conf_remote_at(cli->conf, i, &rm); i++) {
		bool current = strcmp(rm.name, conf_default_remote(cli->conf)) == 0;
		lxm_auto(free) char *sock = strcmp(rm.addr, "unix:") == 0 ? conf_local_socket() : NULL;
		const char *project = *rm.project ? rm.project : "default";

		table_cellf(&t, "%s%s", rm.name, current && !cli->quiet ? " (current)" : "");
		table_cellf(&t, "%s%s", rm.addr, sock ? sock : "");
		table_cell(&t, rm.protocol);
		table_cell(&t, auth_of(&rm));
		table_cell(&t, rm.is_public ? "" : project);
		table_cell(&t, rm.is_public ? "YES" : "NO");
		table_cell(&t, rm.is_static ? "YES" : "NO");
		json_array_append_new(all, json_pack("{s:s, s:s, s:s, s:s, s:s, s:b, s:b, s:b}", "name", rm.name, "addr",
						     rm.addr, "protocol", rm.protocol, "auth_type", auth_of(&rm), "project",
						     project, "public", rm.is_public, "static", rm.is_static, "default",
						     current));
	}
	table_sort(&t);
	return out_list(cli, &t, all, e);
}

/* "b:" and "b" both name remote b here. */
static char *name_of(const char *arg)
{
	size_t n = strlen(arg);

	return lxm_strndup(arg, n && arg[n - 1] == ':' ? n - 1 : n);
}

int verb_remote_remove(struct cli *cli, struct lxm_err *e)
{
	size_t i;
	int r = cli_conf(cli, e);

	for (i = 0; i < cli->n_args && r == 0; i++) {
		lxm_auto(free) char *name = name_of(cli->args[i]);

		r = conf_remove_remote(cli->conf, name, e);
		if (r == 0)
			group_follow(cli->conf, name, NULL);
	}
	return r < 0 ? r : conf_save(cli->conf, e);
}

int verb_remote_rename(struct cli *cli, struct lxm_err *e)
{
	lxm_auto(free) char *from = name_of(cli->args[0]), *to = name_of(cli->args[1]);
	int r = cli_conf(cli, e);

	if (r == 0)
		r = conf_rename_remote(cli->conf, from, to, e);
	if (r == 0)
		group_follow(cli->conf, from, to);
	return r < 0 ? r : conf_save(cli->conf, e);
}

int verb_remote_switch(struct cli *cli, struct lxm_err *e)
{
	lxm_auto(free) char *name = name_of(cli->args[0]);
	int r = cli_conf(cli, e);

	if (r == 0)
		r = conf_set_default_remote(cli->conf, name, e);
	return r < 0 ? r : conf_save(cli->conf, e);
}

int verb_remote_get_default(struct cli *cli, struct lxm_err *e)
{
	int r = cli_conf(cli, e);

	if (r == 0)
		printf("%s\n", conf_default_remote(cli->conf));
	return r;
}

int verb_remote_set_url(struct cli *cli, struct lxm_err *e)
{
	lxm_auto(free) char *name = name_of(cli->args[0]), *addr = NULL;
	struct remote rm;
	int r = cli_conf(cli, e);

	if (r == 0)
		r = conf_remote(cli->conf, name, &rm, e);
	if (r == 0)
		r = remote_normalise(cli->args[1], strcmp(rm.protocol, "simplestreams") == 0, &addr, e);
	if (r == 0)
		r = conf_set_addr(cli->conf, name, addr, e);
	return r < 0 ? r : conf_save(cli->conf, e);
}

int verb_remote_get_certificate(struct cli *cli, struct lxm_err *e)
{
	lxm_auto(free) char *cert = NULL;
	int r = cli_conf(cli, e);

	if (r == 0)
		r = own_cert(cli->conf, &cert, NULL, e);
	if (r == 0)
		fputs(cert, stdout);
	return r;
}

int verb_remote_generate_certificate(struct cli *cli, struct lxm_err *e)
{
	int r = cli_conf(cli, e);

	if (r < 0)
		return r;
	if (own_cert_exists(cli->conf))
		return lxm_err_set(e, EEXIST, "there is a client certificate already, in '%s'", conf_dir(cli->conf));
	return own_cert(cli->conf, NULL, NULL, e);
}
