/* `GET /` and `GET /1.0`: what every client reads first; `GET /1.0/cluster`. */
#include "lxmd/api/api.h"

#include <string.h>
#include <sys/utsname.h>

#include "db/config.h"
#include "db/node.h"
#include "lib/api/json_write.h"
#include "lib/base/fd.h"
#include "lib/conf/tables.h"
#include "lxmd/api/server_config.h"
#include "lxmd/core/daemon.h"
#include "lxmd/core/identity.h"
#include "lxmd/instance/apparmor.h"
#include "lxmd/instance/run.h"

int api_root_get(struct request *rq, struct lxm_err *e)
{
	return reply_sync(rq, json_pack("[s]", "/1.0"));
}

/* NAME="value" lines of /etc/os-release. */
static void os_release(struct lxm_kv *out)
{
	lxm_auto(buf) struct lxm_buf b = { 0 };
	lxm_auto(strv) struct lxm_strv lines = { 0 };
	size_t i, n;
	char *eq;

	if (lxm_read_file("/etc/os-release", 65536, &b) < 0 || !b.data)
		return;
	lxm_strv_split(&lines, b.data, '\n');
	for (i = 0; i < lines.n; i++) {
		eq = strchr(lines.v[i], '=');
		if (!eq)
			continue;
		*eq++ = '\0';
		n = strlen(eq);
		if (n >= 2 && eq[0] == '"' && eq[n - 1] == '"') {
			eq[n - 1] = '\0';
			eq++;
		}
		lxm_kv_set(out, lines.v[i], eq);
	}
}

static json_t *architectures(const char *machine)
{
	if (strcmp(machine, "x86_64") == 0)
		return json_pack("[ss]", "x86_64", "i686");
	if (strcmp(machine, "aarch64") == 0)
		return json_pack("[ss]", "aarch64", "armv7l");
	return json_pack("[s]", machine);
}

static json_t *kernel_features(struct lxmd *d)
{
	/* lxm does not start on a kernel without these; seccomp's listener and the mount calls are what clients show */
	return json_pack("{s:s,s:s,s:s,s:s,s:s}", "apparmor",
			 apparmor_state(d->instances->apparmor) == APPARMOR_ON ? "true" : "false", "idmapped_mounts", "true", "netnsid_getifaddrs", "true",
			 "seccomp_listener", "true", "unpriv_fscaps", "true");
}

static json_t *environment(struct request *rq)
{
	lxm_auto(kv) struct lxm_kv os = { 0 };
	lxm_auto(strv) struct lxm_strv addresses = { 0 };
	lxm_auto(free) char *certificate = identity_certificate(rq->d);
	char fingerprint[LXM_CERT_HEX];
	struct utsname u;
	json_t *o;

	os_release(&os);
	(void)uname(&u);
	o = json_object();
	identity_addresses(rq->d, &addresses);
	identity_fingerprint(rq->d, fingerprint);
	json_object_set_new(o, "addresses", js_from_strv(&addresses));
	json_object_set_new(o, "architectures", architectures(u.machine));
	json_object_set_new(o, "certificate", js_string(certificate));
	json_object_set_new(o, "certificate_fingerprint", json_string(fingerprint));
	json_object_set_new(o, "driver", json_string("lxm"));
	json_object_set_new(o, "driver_version", json_string(LXM_VERSION));
	json_object_set_new(o, "firewall", json_string("nftables"));
	json_object_set_new(o, "kernel", json_string(u.sysname));
	json_object_set_new(o, "kernel_architecture", json_string(u.machine));
	json_object_set_new(o, "kernel_features", kernel_features(rq->d));
	json_object_set_new(o, "kernel_version", json_string(u.release));
	json_object_set_new(o, "lxc_features", json_object());
	json_object_set_new(o, "os_name", js_string(lxm_kv_or(&os, "NAME", "Linux")));
	json_object_set_new(o, "os_version", js_string(lxm_kv_or(&os, "VERSION_ID", "")));
	json_object_set_new(o, "project", js_string(rq_project(rq)));
	json_object_set_new(o, "server", json_string("lxm"));
	json_object_set_new(o, "server_clustered", json_false());
	json_object_set_new(o, "server_event_mode", json_string("full-mesh"));
	json_object_set_new(o, "server_name", js_string(rq->d->server_name));
	json_object_set_new(o, "server_pid", json_integer(getpid()));
	json_object_set_new(o, "server_version", json_string(LXM_VERSION));
	server_add_storage(rq->d, o);
	return o;
}

/* What everybody sees. As text: a tree of some hundred extensions would be most of the work for this answer. */
static void write_public(struct lxm_buf *b)
{
	const char *const *x;

	jw_array(b, "api_extensions");
	for (x = api_extensions(); *x; x++)
		jw_str(b, NULL, *x);
	jw_array_end(b);
	jw_str(b, "api_status", "stable");
	jw_str(b, "api_version", "1.0");
	jw_array(b, "auth_methods");
	jw_str(b, NULL, "tls");
	jw_array_end(b);
	jw_bool(b, "public", false);
}

int api_server_get(struct request *rq, struct lxm_err *e)
{
	bool trusted = rq_caller(rq)->trust >= CALLER_RESTRICTED, admin = rq_caller(rq)->trust == CALLER_ADMIN;
	lxm_auto(kv) struct lxm_kv config = { 0 };
	lxm_auto(buf) struct lxm_buf b = { 0 };
	int r = admin ? server_config_load(rq->d, &config, e) : 0;

	if (r < 0)
		return r;
	jw_object(&b, NULL);
	write_public(&b);
	jw_str(&b, "auth", trusted ? "trusted" : "untrusted");
	if (trusted) {
		jw_str(&b, "auth_user_name", rq_caller(rq)->username);
		jw_str(&b, "auth_user_method", rq_caller(rq)->protocol);
		jw_tree(&b, "environment", environment(rq));
		jw_tree(&b, "config", admin ? server_config_json(&config) : NULL);
	}
	jw_object_end(&b);
	return reply_sync_text(rq, &b, admin ? js_from_kv(&config) : NULL);
}

/* Clients ask before they tell people that there is no cluster. */
int api_cluster_get(struct request *rq, struct lxm_err *e)
{
	(void)e;
	return reply_sync(rq, json_pack("{s:s, s:b, s:[]}", "server_name", "", "enabled", false, "member_config"));
}
