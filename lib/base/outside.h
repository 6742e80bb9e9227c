/* Which addresses lead out of this machine. No state, any process. */
#ifndef LXM_BASE_OUTSIDE_H
#define LXM_BASE_OUTSIDE_H

#include <stdbool.h>

struct sockaddr;

/**
 * May somebody who is nobody on this host have it connect there? Not to loopback, where the host's own services listen for the host
 * alone; not to link-local addresses and two others, where clouds answer with the machine's credentials; not to none, many or reserved ones; nor to
 * IPv6 addresses that stand for such an IPv4 one. Private networks are outside: instances reach them, too.
 *
 * @sa  AF_INET or AF_INET6; any other kind is not outside
 */
bool lxm_addr_outside(const struct sockaddr *sa);

#endif
