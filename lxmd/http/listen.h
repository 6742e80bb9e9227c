/* Inside of lxmd/http: TCP addresses as core.https_address names them, and sockets on them. */
#ifndef LXMD_HTTP_LISTEN_H
#define LXMD_HTTP_LISTEN_H

#include <stdbool.h>
#include <sys/socket.h>

#include "lib/base/err.h"
#include "lib/base/str.h"

#define ADDR_TEXT 64 /* "[IPV6]:PORT" with its NUL */

#define API_PORT     8443
#define METRICS_PORT 9100

/**
 * Take one address apart: "IP:PORT", "[IPV6]:PORT", ":PORT", "IPV6", "HOST:PORT", each also without its port.
 *
 * @host  receives the name, "" for all addresses; at least 256 bytes
 *
 * Returns 0 or -EINVAL.
 */
int listen_parse(const char *text, unsigned int default_port, char host[256], char port[6], struct lxm_err *e);

/**
 * Bind and listen.
 *
 * @early     the address may be one that the host does not have yet
 * @only6     an IPv6 wildcard leaves IPv4 alone
 * @text_out  the address as bound, numeric: "0.0.0.0:8443", "[::]:8443"
 *
 * May block on name resolution. Returns the descriptor (non-blocking) or -errno.
 */
int listen_bind(const char *text, unsigned int default_port, bool early, bool only6, char text_out[ADDR_TEXT],
		struct lxm_err *e);

/** An IPv4 address that came as IPv6 (::ffff:1.2.3.4) becomes IPv4 again. In place. */
void addr_simplify(struct sockaddr_storage *sa);

/** "IP:PORT" or "[IPV6]:PORT" of an address; "" for other families. */
void addr_text(const struct sockaddr_storage *sa, char out[ADDR_TEXT]);

/** True if the address without its port is one of those in a comma list of IP addresses. */
bool addr_in_list(const struct sockaddr_storage *sa, const char *list);

/** True if both are the same host, whatever the ports. */
bool addr_same_host(const struct sockaddr_storage *a, const struct sockaddr_storage *b);

#endif
