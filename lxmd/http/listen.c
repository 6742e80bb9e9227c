/* Addresses and listening sockets. Nothing here knows what is spoken on them. */
#include "lxmd/http/listen.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>

#include "lib/base/alloc.h"

#define BACKLOG 1024

int listen_parse(const char *text, unsigned int default_port, char host[256], char port[6], struct lxm_err *e)
{
	struct in6_addr six;
	const char *end, *p;
	uint64_t n = default_port;

	if (*text == '[') {
		end = strchr(++text, ']');
		p = end && end[1] == ':' ? end + 2 : NULL;
		if (!end || (end[1] && !p))
			return lxm_err_set(e, EINVAL, "'[%.80s' is no address", text);
	} else if (inet_pton(AF_INET6, text, &six) == 1) {
		end = text + strlen(text);
		p = NULL;
	} else {
		end = text + strcspn(text, ":");
		p = *end ? end + 1 : NULL;
	}
	if ((size_t)(end - text) >= 256 || (p && *p && (lxm_parse_u64(p, &n) < 0 || n > 65535)))
		return lxm_err_set(e, EINVAL, "'%.80s' is no address with a port", text);
	memcpy(host, text, (size_t)(end - text));
	host[end - text] = '\0';
	(void)snprintf(port, 6, "%u", (unsigned int)n);
	return 0;
}

static int bind_one(const struct addrinfo *ai, bool early, bool only6)
{
	lxm_auto(fd_close) int fd = socket(ai->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, IPPROTO_TCP);
	int yes = 1, six = only6;

	if (fd < 0)
		return -errno;
	(void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes));
	if (early)
		(void)setsockopt(fd, IPPROTO_IP, IP_FREEBIND, &yes, sizeof(yes));
	if (ai->ai_family == AF_INET6)
		(void)setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &six, sizeof(six));
	/* inherited by what is accepted: a peer that vanished is noticed after some minutes */
	(void)setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &yes, sizeof(yes));
	(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof(yes));
	if (bind(fd, ai->ai_addr, ai->ai_addrlen) < 0 || listen(fd, BACKLOG) < 0)
		return -errno;
	return LXM_TAKE(fd, -1);
}

int listen_bind(const char *text, unsigned int default_port, bool early, bool only6, char text_out[ADDR_TEXT],
		struct lxm_err *e)
{
	struct addrinfo hints = { .ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE };
	struct addrinfo *found = NULL;
	struct sockaddr_storage sa = { 0 };
	socklen_t len = sizeof(sa);
	char host[256], port[6];
	int fd, r = listen_parse(text, default_port, host, port, e);

	if (r < 0)
		return r;
	/* no host: all addresses of both families, where the kernel has both */
	r = getaddrinfo(host[0] ? host : "::", port, &hints, &found);
	if (r != 0)
		return lxm_err_set(e, EINVAL, "find the address '%.200s': %s", host, gai_strerror(r));
	fd = bind_one(found, early, only6 && host[0]);
	freeaddrinfo(found);
	if (fd == -EAFNOSUPPORT && !host[0] && getaddrinfo("0.0.0.0", port, &hints, &found) == 0) {
		fd = bind_one(found, early, false);
		freeaddrinfo(found);
	}
	if (fd < 0) {
		errno = -fd;
		return lxm_err_sys(e, "listen on '%.200s'", text);
	}
	(void)getsockname(fd, (struct sockaddr *)&sa, &len);
	addr_text(&sa, text_out);
	return fd;
}

void addr_simplify(struct sockaddr_storage *sa)
{
	struct sockaddr_in6 six;
	struct sockaddr_in *four = (struct sockaddr_in *)sa;

	if (sa->ss_family != AF_INET6)
		return;
	memcpy(&six, sa, sizeof(six));
	if (!IN6_IS_ADDR_V4MAPPED(&six.sin6_addr))
		return;
	memset(sa, 0, sizeof(*sa));
	four->sin_family = AF_INET;
	four->sin_port = six.sin6_port;
	memcpy(&four->sin_addr, &six.sin6_addr.s6_addr[12], 4);
}

void addr_text(const struct sockaddr_storage *sa, char out[ADDR_TEXT])
{
	const struct sockaddr_in *four = (const struct sockaddr_in *)sa;
	const struct sockaddr_in6 *six = (const struct sockaddr_in6 *)sa;
	char ip[INET6_ADDRSTRLEN];

	out[0] = '\0';
	if (sa->ss_family == AF_INET && inet_ntop(AF_INET, &four->sin_addr, ip, sizeof(ip)))
		(void)snprintf(out, ADDR_TEXT, "%s:%u", ip, ntohs(four->sin_port));
	else if (sa->ss_family == AF_INET6 && inet_ntop(AF_INET6, &six->sin6_addr, ip, sizeof(ip)))
		(void)snprintf(out, ADDR_TEXT, "[%s]:%u", ip, ntohs(six->sin6_port));
}

bool addr_same_host(const struct sockaddr_storage *a, const struct sockaddr_storage *b)
{
	if (a->ss_family != b->ss_family)
		return false;
	if (a->ss_family == AF_INET)
		return ((const struct sockaddr_in *)a)->sin_addr.s_addr ==
		       ((const struct sockaddr_in *)b)->sin_addr.s_addr;
	return memcmp(&((const struct sockaddr_in6 *)a)->sin6_addr, &((const struct sockaddr_in6 *)b)->sin6_addr,
		      sizeof(struct in6_addr)) == 0;
}

bool addr_in_list(const struct sockaddr_storage *sa, const char *list)
{
	lxm_auto(strv) struct lxm_strv v = { 0 };
	size_t i;

	if (lxm_empty(list))
		return false;
	lxm_strv_split(&v, list, ',');
	for (i = 0; i < v.n; i++) {
		struct sockaddr_storage one = { 0 };
		char *s = v.v[i] + strspn(v.v[i], " ");

		s[strcspn(s, " ")] = '\0';
		if (inet_pton(AF_INET, s, &((struct sockaddr_in *)&one)->sin_addr) == 1)
			one.ss_family = AF_INET;
		else if (inet_pton(AF_INET6, s, &((struct sockaddr_in6 *)&one)->sin6_addr) == 1)
			one.ss_family = AF_INET6;
		else
			continue;
		addr_simplify(&one);
		if (addr_same_host(&one, sa))
			return true;
	}
	return false;
}
