/* The few rtnetlink messages that lxm-monitor sends, encoded by hand: no library, no heap. */
#ifndef LXM_MONITOR_NETLINK_H
#define LXM_MONITOR_NETLINK_H

#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/base/err.h"

/* One request being built. */
struct nl_msg {
	union {
		struct nlmsghdr h;
		char room[1024];
	};
};

/** A NETLINK_ROUTE socket in the caller's network namespace, or -errno. */
int nl_open(struct lxm_err *e);
/** Begin a request whose fixed part is hdr (ifaddrmsg, rtmsg, ndmsg). */
void nl_begin_with(struct nl_msg *m, uint16_t type, uint16_t flags, const void *hdr, size_t len);
/** Begin an RTM_* request about a link; index 0 when it is named by an attribute. */
void nl_link(struct nl_msg *m, uint16_t type, uint16_t flags, int index, unsigned int ifflags);
void nl_put(struct nl_msg *m, uint16_t type, const void *data, size_t len);
void nl_put_str(struct nl_msg *m, uint16_t type, const char *s);
void nl_put_u32(struct nl_msg *m, uint16_t type, uint32_t v);
void nl_put_u8(struct nl_msg *m, uint16_t type, uint8_t v);
/** Append raw bytes without a header (the ifinfomsg inside VETH_INFO_PEER). */
void nl_raw(struct nl_msg *m, const void *data, size_t len);
/** A nested attribute: begin, put what is in it, end. */
struct rtattr *nl_begin(struct nl_msg *m, uint16_t type);
void nl_end(struct nl_msg *m, struct rtattr *nest);
/** Send and wait for the acknowledgement. Returns 0 or -errno with the kernel's own words in e. */
int nl_talk(int sock, struct nl_msg *m, struct lxm_err *e);

#endif
