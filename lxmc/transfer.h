/* Bringing an instance from one server to another: the client joins two operations, the bytes go between the servers or through us. */
#ifndef LXM_LXMC_TRANSFER_H
#define LXM_LXMC_TRANSFER_H

#include <jansson.h>
#include <stdbool.h>

#include "lxmc/client.h"

enum transfer_mode {
	TRANSFER_AUTO,	/* pull if the source listens on the network, else push, else relay */
	TRANSFER_PULL,	/* the target connects to the source */
	TRANSFER_PUSH,	/* the source connects to the target */
	TRANSFER_RELAY, /* both talk to us */
};

/* What goes where. Strings borrowed. */
struct transfer {
	struct cli *cli;
	struct client *from, *to;
	const char *source; /* "INSTANCE" or "INSTANCE/SNAPSHOT" */
	const char *name;   /* of the target */
	const char *title;  /* "Copying" */
	enum transfer_mode mode;
	bool refresh, instance_only, live, allow_inconsistent;
};

/** "pull", "push", "relay", or "" for TRANSFER_AUTO. Returns 0 or a usage error. */
int transfer_mode(const char *text, enum transfer_mode *out, struct lxm_err *e);

/** Whether two remotes are the same server (the certificate and name that it says it has). Asks both. */
int transfer_same_server(struct client *a, struct client *b, bool *same_out, struct lxm_err *e);

/**
 * URLs under which a server can be reached by another one, ours first unless it is of this host only; empty when it does not listen on the
 * network.
 */
int transfer_addresses(struct client *c, struct lxm_strv *out, struct lxm_err *e);

/** The server's certificate as it says it; "" if it does not. Borrowed from the client. */
const char *transfer_certificate(struct client *c);

/**
 * Copy an instance or a snapshot to another server.
 *
 * @body  of the request for the new instance, all but its source, which is added
 *
 * Blocks, shows progress. Returns 0 or -errno; then nothing half-made stays (the servers see to that).
 */
int transfer_instance(const struct transfer *t, json_t *body, struct lxm_err *e);

#endif
