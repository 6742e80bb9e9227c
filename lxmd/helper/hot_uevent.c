/*
 * Events of devices for the programs of an instance: the kernel passes on in a network namespace what root of its user namespace
 * sends there (since 4.18). Sent by that root, it comes from uid 0 for those who listen, and they believe nobody else.
 */
#include <linux/netlink.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "lib/base/fd.h"
#include "lib/base/sys.h"
#include "lxmd/helper/file.h"
#include "lxmd/helper/helper.h"
#include "lxmd/helper/hot.h"

#define UEVENT_TYPE 16 /* of the message: any that is not one of netlink's own */

struct message {
	struct nlmsghdr head;
	char text[HOT_UEVENT_MAX + 128];
};

/* As the kernel words it: ACTION@DEVPATH, then KEY=VALUE, each with its NUL. The sequence number is added by the kernel. */
static void compose(struct message *m, const char *action, const char *uevent)
{
	const char *path = uevent + strlen("DEVPATH=");
	int n = snprintf(m->text, sizeof(m->text), "%s@%.*s\nACTION=%s\n%s", action, (int)strcspn(path, "\n"), path, action, uevent);
	size_t len = n < 0 ? 0 : (size_t)n < sizeof(m->text) ? (size_t)n : sizeof(m->text) - 1, i;

	while (len && m->text[len - 1] == '\n')
		len--;
	m->text[len++] = 0;
	for (i = 0; i < len; i++)
		if (m->text[i] == '\n')
			m->text[i] = 0;
	m->head.nlmsg_len = (uint32_t)NLMSG_LENGTH(len);
}

/* The kernel has dealt with the message, and answered, when it has taken it. */
static int send_message(int sock, const struct message *m)
{
	struct sockaddr_nl kernel = { .nl_family = AF_NETLINK };
	struct {
		struct nlmsghdr head;
		struct nlmsgerr err;
	} answer = { .err = { .error = -EBADMSG } };

	if (sendto(sock, m, m->head.nlmsg_len, 0, (struct sockaddr *)&kernel, sizeof(kernel)) < 0)
		return -errno;
	if (recv(sock, &answer, sizeof(answer), MSG_DONTWAIT) < 0)
		return -errno;
	return answer.head.nlmsg_type == NLMSG_ERROR ? answer.err.error : -EBADMSG;
}

int hot_uevent(const struct hot *h, const char *action, struct lxm_err *e)
{
	struct message m = { .head = { .nlmsg_type = UEVENT_TYPE, .nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK, .nlmsg_seq = 1 } };
	lxm_auto(fd_close) int sock = -1;
	int r;

	compose(&m, action, h->job->uevent);
	if (setns(HELP_FD_INIT, CLONE_NEWNET | CLONE_NEWUSER) < 0)
		return lxm_err_sys(e, "enter the instance");
	r = enter_become_root(e);
	if (r < 0)
		return r;
	sock = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_KOBJECT_UEVENT);
	if (sock < 0)
		return lxm_err_sys(e, "open a socket for events");
	r = send_message(sock, &m);
	return r < 0 ? lxm_err_set(e, -r, "tell the instance of '/dev/%s': %s", h->job->target, strerror(-r)) : 0;
}
