/* TLS to a server: pinned or verified before the first byte, several addresses, bounded in time, resumed when it can be. */
#ifndef LXM_TLS_TLS_CONN_H
#define LXM_TLS_TLS_CONN_H

#include <stdbool.h>
#include <stddef.h>

#include "lib/base/err.h"
#include "lib/tls/conn.h"

#define LXM_TLS_PORT "8443"

struct lxm_tls_sessions; /* opaque; sessions to resume, any thread */

/* Whom to believe. Nothing is sent to a server that fails this, not even our own certificate. */
enum lxm_tls_trust {
	LXM_TLS_PINNED,	   /* exactly the certificate of server_pem, or one with server_fingerprint; dates and names are not asked */
	LXM_TLS_SYSTEM_CA, /* a chain to the system's CAs (or to ca_file) for the host's name */
};

/* Where to and how. The caller keeps all strings for as long as it dials; zeroed but for what is set. */
struct lxm_tls_target {
	const char *const *addresses; /* "host", "host:port", "[v6]:port", or "https://" and one of them; NULL-terminated, n > 0 */
	const char *default_port;     /* for addresses without one; NULL: LXM_TLS_PORT */
	const char *server_name;      /* for SNI and the CAs' check; NULL: the host as addressed (no SNI for numbers) */
	enum lxm_tls_trust trust;
	const char *server_pem;		/* PINNED: the certificate, or NULL */
	const char *server_fingerprint; /* PINNED: SHA-256 of its DER, lower-case hex, or NULL; with both, both must fit */
	const char *ca_file;		/* SYSTEM_CA: a file of CA certificates instead of the system's; NULL: the system's */
	const char *client_pem, *client_key_pem; /* shown to the server when it asks; NULL: none */
	bool tls12;				 /* allow TLS 1.2 besides 1.3 */
	bool outside;				 /* connect to no address of this machine itself (base/outside.h) */
	int connect_ms;	      /* for all addresses together; 0: 10 s */
	int handshake_ms;     /* for one handshake; 0: 10 s */
	int silence_ms;	      /* a blocking read or write that waits longer fails with -ETIMEDOUT; 0: for ever */
	struct lxm_tls_sessions *sessions; /* borrowed; NULL: a full handshake each time */
	/* ---- told by each dial */
	char peer_fingerprint[65]; /* of the certificate that the server showed last, also when it was refused; "" if none */
	const char *address;	   /* the one that answered; borrowed from addresses */
	bool resumed;		   /* the session was, so that no certificate travelled */
};

/**
 * An lxm_dial_fn: connect to the first address that answers (the next one is tried beside it after 250 ms, or at once when one
 * fails) and shake hands; an address whose server is not the pinned one is passed over.
 *
 * @target  a struct lxm_tls_target
 *
 * Blocks, within connect_ms and one handshake_ms for each address that accepts. SIGPIPE is never raised. One thread for a target.
 * Reads with room for 16 KiB or more leave nothing behind that poll(2) on fd would not tell of. After a write said -EAGAIN the same
 * bytes must be offered again (more may follow them). A stream that ends without TLS's own end mark reads as -ECONNRESET.
 * Returns 0; -EKEYREJECTED when the server is another (then peer_fingerprint says which); -ETIMEDOUT, -ECONNREFUSED,
 * -EPROTO (no common TLS) or another -errno. e names the address, or each address with its reason.
 */
int lxm_dial_tls(void *target, struct lxm_conn *conn_out, struct lxm_err *e);

/**
 * The certificate that a server shows, for a person to judge: a handshake with nobody believed and nothing sent.
 *
 * @target   trust and certificates in it are ignored; peer_fingerprint is filled
 * @pem_out  free() it
 *
 * Returns and blocks as lxm_dial_tls().
 */
int lxm_tls_fetch_cert(struct lxm_tls_target *target, char **pem_out, struct lxm_err *e);

/**
 * Sessions to resume, shared by any number of targets and threads. A session belongs to one address, one judgement of its server and one
 * certificate of ours, so that a changed pin is never got round.
 *
 * @dir  where they are kept between processes, one file of mode 0600 each (copied); NULL: in memory only
 */
struct lxm_tls_sessions *lxm_tls_sessions_new(const char *dir);
void lxm_tls_sessions_free(struct lxm_tls_sessions *s);
LXM_AUTO_PTR(tls_sessions, struct lxm_tls_sessions, lxm_tls_sessions_free)

/**
 * Split "host:port", "[v6]:port", "v6", "host" or "https://..." (a path behind it is dropped).
 *
 * @host_out, @port_out  free() both; untouched on failure
 * @port                 when the address names none
 *
 * Returns 0 or -EINVAL.
 */
int lxm_tls_split_address(const char *address, const char *port, char **host_out, char **port_out, struct lxm_err *e);

#endif
