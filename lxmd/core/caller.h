/* Who asks: filled once per connection by lxmd/http, carried by requests, operations and events. */
#ifndef LXMD_CORE_CALLER_H
#define LXMD_CORE_CALLER_H

#include <stdbool.h>
#include <sys/types.h>

enum caller_trust {
	CALLER_UNTRUSTED,  /* no client certificate that we know */
	CALLER_RESTRICTED, /* certificate limited to some projects */
	CALLER_ADMIN,	   /* Unix socket, or an unrestricted certificate */
};

/* A plain value: copy it by assignment. */
struct caller {
	enum caller_trust trust;
	char username[65]; /* user name on the Unix socket, certificate fingerprint on TLS */
	char protocol[8];  /* "unix" or "tls" */
	char address[64];  /* "IP:PORT" on TLS, "@" on the Unix socket */
	uid_t uid;	   /* Unix socket only, else (uid_t)-1; so the next two */
	gid_t gid;
	pid_t pid;
};

#endif
