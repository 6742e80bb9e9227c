/* Inside of lxmd/http: how many connections the network gets, and how long a client may take. */
#ifndef LXMD_HTTP_LIMITS_H
#define LXMD_HTTP_LIMITS_H

struct http_limits {
	unsigned int places;	  /* TLS connections at one time; fewer where the limit of open files asks for it */
	unsigned int handshake_s; /* PROXY header and handshake together */
	unsigned int head_s;	  /* all headers of one request */
	unsigned int idle_s;	  /* no request yet, between requests, and while a reply is read */
};

/**
 * The limits of this process. LXMD_HTTP_LIMITS may set others, for tests: "places=8,handshake=1,head=2,idle=3"; what is not
 * understood there is left out.
 *
 * Any thread; the same from the first call on.
 */
const struct http_limits *http_limits(void);

#endif
