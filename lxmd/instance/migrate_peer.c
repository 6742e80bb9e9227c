/*
 * The other server's operation: how it is named, and dialling it. A request says where lxmd connects to, so little is left open: TLS
 * only, the path of an operation's websocket only, hexadecimal secrets only; and nothing that comes back is ever shown.
 */
#include <string.h>

#include "lib/base/alloc.h"
#include "lib/tls/tls_conn.h"
#include "lxmd/core/caller.h"
#include "lxmd/core/op.h"
#include "lxmd/instance/migrate.h"
#include "lxmd/instance/migrate_talk.h"

#define OPERATIONS "/1.0/operations/"

void migrate_peer_deinit(struct migrate_peer *p)
{
	free(p->address);
	free(p->path);
	free(p->secrets[0]);
	free(p->secrets[1]);
	free(p->certificate);
	memset(p, 0, sizeof(*p));
}

static bool uuid_ok(const char *s, size_t len)
{
	return len == 36 && strspn(s, "0123456789abcdef-") >= 36;
}

int migrate_peer_set(struct migrate_peer *p, const char *operation, const char *control, const char *fs, const char *certificate,
		     struct lxm_err *e)
{
	const char *host, *path;
	size_t len;

	if (lxm_empty(operation) || !lxm_starts(operation, "https://"))
		return lxm_err_set(e, EINVAL, "key 'operation' must be the https:// URL of an operation");
	host = operation + 8;
	path = strchr(host, '/');
	if (!path || path == host || path - host > 300 || !lxm_starts(path, OPERATIONS) || strcspn(host, "@?#% \t\r\n") < (size_t)(path - host))
		return lxm_err_set(e, EINVAL, "key 'operation' must be like https://HOST:PORT" OPERATIONS "UUID");
	/* some clients leave the query of the request's URL on it */
	len = strcspn(path + strlen(OPERATIONS), "?/");
	if (!uuid_ok(path + strlen(OPERATIONS), len) || path[strlen(OPERATIONS) + len] == '/')
		return lxm_err_set(e, EINVAL, "key 'operation' must be like https://HOST:PORT" OPERATIONS "UUID");
	if (lxm_empty(control) || lxm_empty(fs) || !lxm_is_hex(control, 1, 256) || !lxm_is_hex(fs, 1, 256))
		return lxm_err_set(e, EINVAL, "the secrets must hold 'control' and 'fs', hexadecimal");
	if (!lxm_empty(certificate) && strlen(certificate) > 65536)
		return lxm_err_set(e, EINVAL, "key 'certificate' is too long");
	p->address = lxm_strndup(operation, (size_t)(path - operation));
	p->path = lxm_strndup(path, strlen(OPERATIONS) + len);
	p->secrets[MIG_CONTROL] = lxm_strdup(control);
	p->secrets[MIG_FS] = lxm_strdup(fs);
	p->certificate = lxm_empty(certificate) ? NULL : lxm_strdup(certificate);
	return 0;
}

int migrate_connect(struct mig_link *l, const struct migrate_peer *p, const struct caller *who, struct lxm_err *e)
{
	const char *addresses[] = { p->address, NULL };
	struct lxm_tls_target target = { .addresses = addresses, .trust = p->certificate ? LXM_TLS_PINNED : LXM_TLS_SYSTEM_CA,
					 .server_pem = p->certificate, .tls12 = true, .outside = who && who->trust == CALLER_RESTRICTED,
					 .connect_ms = 4000, .handshake_ms = 4000 };
	struct mig_dial how = { .dial = lxm_dial_tls, .dial_arg = &target, .path = p->path,
				.secrets = { p->secrets[0], p->secrets[1] } };

	return lxm_err_wrap(e, mig_link_dial(l, &how, e), "connect to '%.200s'", p->address);
}

int migrate_finish(struct mig_link *l, int r, const struct lxm_err *why)
{
	if (r < 0 && r != -EREMOTEIO)
		mig_send_failed(l, why);
	else if (r == 0)
		(void)mig_send_done(l, NULL);
	mig_link_close(l);
	return r;
}

void migrate_add_sockets(struct op *op)
{
	char control[OP_SECRET_LEN + 1], fs[OP_SECRET_LEN + 1];

	op_add_socket(op, "control", true, control);
	op_add_socket(op, "fs", true, fs);
	op_set_metadata(op, json_pack("{s:s, s:s}", "control", control, "fs", fs));
}
