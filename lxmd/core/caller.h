/* Who asks: filled by lxmd/http for each request, carried by requests, operations and events. */
#ifndef LXMD_CORE_CALLER_H
#define LXMD_CORE_CALLER_H

#include <stdbool.h>
#include <sys/types.h>

#include "lib/base/str.h"

/* From least to most; code compares with < and >=. */
enum caller_trust {
	CALLER_UNTRUSTED,  /* no client certificate that we know */
	CALLER_METRICS,	   /* certificate of type metrics: for everything but metrics it is not trusted */
	CALLER_RESTRICTED, /* certificate limited to some projects */
	CALLER_ADMIN,	   /* Unix socket, or an unrestricted certificate */
};

/* What kind of certificate a caller on TLS has in the trust store. */
enum caller_cert { CALLER_CERT_NONE, CALLER_CERT_CLIENT, CALLER_CERT_METRICS };

/* An immutable list of project names, sorted; lives as long as the daemon's trust store. */
struct trust_projects {
	struct lxm_strv names;
};

/* A plain value: copy it by assignment. */
struct caller {
	enum caller_trust trust;
	enum caller_cert cert_type;
	char username[65];    /* user name on the Unix socket, certificate fingerprint on TLS */
	char protocol[8];     /* "unix" or "tls" */
	char address[64];     /* "IP:PORT" on TLS, "@" on the Unix socket */
	char fingerprint[65]; /* of the client certificate on TLS, also of an unknown one; "" without */
	char name[128];	      /* the certificate's name in the trust store, cut off; "" without */
	const struct trust_projects *projects; /* what it is confined to, NULL: to none; borrowed from the trust store */
	uid_t uid; /* Unix socket only, else (uid_t)-1; so the next two */
	gid_t gid;
	pid_t pid;
};

/**
 * May that caller see and use what is in a project? Says nothing about what only administrators do.
 *
 * @c        NULL is the daemon itself: it may
 * @project  need not exist
 *
 * Any thread.
 */
bool caller_may_project(const struct caller *c, const char *project);

/** What a caller's long and short jobs do not take from each other's. */
enum caller_share { CALLER_SHARE_REQUEST, CALLER_SHARE_OPERATION, CALLER_SHARE_PART };

#define CALLER_SHARE_LEN 72

/**
 * The share of workers (core/workers.h) that a caller's job belongs to; NULL for administrators and the daemon itself (NULL or
 * zeroed with no protocol), who wait for nobody. All strangers have one together. Any thread. Returns out or NULL.
 */
const char *caller_share(const struct caller *c, enum caller_share kind, char out[CALLER_SHARE_LEN]);

#endif
