/* What firewall*.c share. */
#ifndef LXMD_NETWORK_FIREWALL_PRIV_H
#define LXMD_NETWORK_FIREWALL_PRIV_H

#include <pthread.h>

#include "lxmd/network/firewall.h"

/* One filtered link and its elements, each as "SET { ELEMENT }". */
struct fw_known {
	char *host;
	struct lxm_strv elements;
};

struct firewall {
	pthread_mutex_t lock; /* held for one transaction */

	pthread_mutex_t nics_lock; /* taken before lock */
	char nics_table[32];	   /* of NIC filters; fixed */
	bool held;		   /* guarded by nics_lock, as the rest: remember only */
	bool made;		   /* the table was made by this process and not removed */
	struct fw_known *known;
	size_t n;
	char routed_table[32];	   /* firewall_source.c; fixed */
	struct lxm_strv routed;	   /* the links in it */
};

/** Run one transaction. What nft says on failure is cut to its first line and becomes the error: -ENOENT, -EPERM, -EIO. */
int fw_run(struct firewall *fw, const char *text, unsigned int out_flags, struct lxm_buf *out, struct lxm_err *e);

/** Into quotes of nft's language goes nothing that could end them, and no wildcard. */
bool fw_link_name_ok(const char *link);

/** The table of firewall_source.c anew, as fw->routed says (nics_lock held). */
int fw_sources_apply(struct firewall *fw, struct lxm_err *e);

/** The part of firewall_nic.c; @seed as of fw_new(). */
void fw_nics_init(struct firewall *fw, uint32_t seed);
void fw_nics_deinit(struct firewall *fw);

#endif
