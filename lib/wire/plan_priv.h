/* What plan.c and plan_nic.c share. */
#ifndef LXM_WIRE_PLAN_PRIV_H
#define LXM_WIRE_PLAN_PRIV_H

#include <stddef.h>

#include "lib/wire/plan.h"

#define OFF(m)	      offsetof(struct plan_step, u.m)
#define STR(m, max)   { WIRE_STR, OFF(m), max }
#define U32(m)	      { WIRE_U32, OFF(m), 0 }
#define I32(m)	      { WIRE_I32, OFF(m), 0 }
#define U64(m)	      { WIRE_U64, OFF(m), 0 }
#define BYTES(m, max) { WIRE_BYTES, OFF(m), max }

#define PLAN_NIC_FIELDS                                                                                              \
	{                                                                                                            \
		U32(nic.kind), U32(nic.flags), STR(nic.host, 16), STR(nic.peer, 16), STR(nic.parent, 16),            \
			STR(nic.mac, 18), STR(nic.host_mac, 18), U32(nic.mtu), U32(nic.host_mtu), U32(nic.txqlen),   \
			U32(nic.host_txqlen)                                                                             \
	}

/** NULL strings become "": the checks and the encoder then see what the monitor will see. */
void plan_fill_strings(const struct wire_kind *kind, struct plan_step *s);

/** What is wrong with a step that is about links: the name of the field, or NULL. */
const char *plan_check_nic(const struct plan_step *s);

#endif
