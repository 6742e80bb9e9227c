/*
 * What links there are that have to go by hand: pairs by their host end, links of the host that were lent, and links
 * inside that an administrator may take away again. Known by index, which a container cannot change; names it can.
 */
#include "lxmd/monitor/mon.h"

#include <fcntl.h>
#include <net/if.h>
#include <sched.h>
#include <string.h>
#include <sys/socket.h>

#include "lib/base/fd.h"
#include "lxmd/monitor/netlink.h"

/* A monitor in the wrong namespace must not go on. */
static void come_home(struct mon *m)
{
	if (setns(m->own_netns, CLONE_NEWNET) < 0)
		_exit(1);
}

static int delete_index(int nl, int index, struct lxm_err *e)
{
	struct nl_msg m;

	nl_link(&m, RTM_DELLINK, 0, index, 0);
	return nl_talk(nl, &m, e);
}

static int index_inside(struct mon *m, int netns, const char *name)
{
	int index;

	if (setns(netns, CLONE_NEWNET) < 0)
		return 0;
	index = (int)if_nametoindex(name);
	come_home(m);
	return index;
}

int links_add(struct start *s, const struct plan_nic *n, int index, struct lxm_err *e)
{
	struct mon *m = s->m;
	struct mon_link *l;

	if (!index && s->netns >= 0)
		index = index_inside(m, s->netns, n->peer);
	if (!index)
		return lxm_err_set(e, ENODEV, "the link has gone again");
	l = &m->links[m->nlinks++];
	*l = (struct mon_link){ .kind = n->kind, .index = index, .mtu = n->host_mtu, .txqlen = n->host_txqlen };
	strncpy(l->peer, n->peer, sizeof(l->peer) - 1);
	strncpy(l->parent, n->parent, sizeof(l->parent) - 1);
	strncpy(l->mac, n->host_mac, sizeof(l->mac) - 1);
	/* kept alive so that the link can be given back */
	if (n->kind == PLAN_NIC_PHYSICAL && m->held_netns < 0)
		m->held_netns = fcntl(s->netns, F_DUPFD_CLOEXEC, MON_FD_FIRST_FREE);
	return 0;
}

static void forget(struct mon *m, uint32_t at)
{
	m->links[at] = m->links[--m->nlinks];
}

/* Gives a lent link back, or deletes one that was made inside. */
static int leave_inside(struct mon *m, const struct mon_link *l, int netns, struct lxm_err *e)
{
	lxm_auto(fd_close) int inside = -1;
	int r;

	if (setns(netns, CLONE_NEWNET) < 0)
		return lxm_err_sys(e, "enter the network namespace");
	inside = nl_open(e);
	come_home(m);
	if (inside < 0)
		return inside;
	if (l->kind != PLAN_NIC_PHYSICAL)
		return delete_index(inside, l->index, e);
	r = nic_move_back(inside, l, m->own_netns);
	return r < 0 ? lxm_err_set(e, -r, "give '%s' back: %s", l->parent, strerror(-r)) : 0;
}

int links_hot_add(struct mon *m, const struct plan_nic *n, struct lxm_err *e)
{
	struct start s = { .m = m, .netns = -1, .nl = -1 };
	char path[40];
	int r;

	snprintf(path, sizeof(path), "/proc/%d/ns/net", (int)m->pid);
	s.netns = open(path, O_RDONLY | O_CLOEXEC);
	if (s.netns < 0)
		return lxm_err_sys(e, "open the network namespace");
	r = s.nl = nl_open(e);
	if (r >= 0)
		r = nic_make(&s, n, e);
	auto_fd_close(&s.nl);
	auto_fd_close(&s.netns);
	return r < 0 ? r : 0;
}

int links_hot_del(struct mon *m, const char *peer, struct lxm_err *e)
{
	uint32_t i;
	int r = 0;

	for (i = 0; i < m->nlinks && strcmp(m->links[i].peer, peer); i++)
		;
	if (i == m->nlinks)
		return lxm_err_set(e, ENOENT, "no interface '%.15s' was given", peer);
	if (m->links[i].kind == PLAN_NIC_VETH) {
		lxm_auto(fd_close) int nl = nl_open(e);

		r = nl < 0 ? nl : delete_index(nl, m->links[i].index, e);
	} else {
		r = leave_inside(m, &m->links[i], m->pidfd, e);
	}
	/* what the container deleted itself has left as well */
	if (r < 0 && r != -ENODEV)
		return r;
	forget(m, i);
	return 0;
}

void links_give_back(struct mon *m)
{
	uint32_t i;

	for (i = m->nlinks; i-- > 0;) {
		if (m->links[i].kind == PLAN_NIC_VETH)
			continue;
		if (m->links[i].kind == PLAN_NIC_PHYSICAL && m->held_netns >= 0)
			(void)leave_inside(m, &m->links[i], m->held_netns, NULL);
		forget(m, i);
	}
	auto_fd_close(&m->held_netns);
}

void links_clean(struct mon *m)
{
	lxm_auto(fd_close) int nl = -1;

	links_give_back(m);
	while (m->nlinks) {
		if (nl < 0)
			nl = nl_open(NULL);
		if (nl >= 0)
			(void)delete_index(nl, m->links[m->nlinks - 1].index, NULL);
		m->nlinks--;
	}
}
