/* What names may look like. Each check answers 0 or -EINVAL with a text that names the name and the rule. */
#ifndef LXM_CONF_NAMES_H
#define LXM_CONF_NAMES_H

#include "lib/base/err.h"

/** 1-63 of [A-Za-z0-9-], no digit or dash first, no dash last: it becomes a host name. */
int conf_name_instance(const char *name, struct lxm_err *e);
/** Snapshot of an instance or volume: 1-255 bytes of UTF-8, no '/', blank or control character, not "." or "..". */
int conf_name_snapshot(const char *name, struct lxm_err *e);
/** Device of an instance or profile: 1-64 of [A-Za-z0-9._:@+-], no leading dot or dash. */
int conf_name_device(const char *name, struct lxm_err *e);
/** 1-64 bytes, no '/', blank, quote or control character, not "." or "..". */
int conf_name_profile(const char *name, struct lxm_err *e);
/** As a profile, without '_' first and without '*', ',' (both have meanings in queries and lists). */
int conf_name_project(const char *name, struct lxm_err *e);
/** 1-64 of [A-Za-z0-9._-], letter, digit or '_' first: it becomes a directory. */
int conf_name_pool(const char *name, struct lxm_err *e);
/** Custom volume: 1-64 of [A-Za-z0-9._-], letter, digit or '_' first, no "..". */
int conf_name_volume(const char *name, struct lxm_err *e);
/** Managed network that becomes a link: 2-15 of [A-Za-z0-9._-], a letter, digit or '_' first, no "..". */
int conf_name_network(const char *name, struct lxm_err *e);
/** Network ACL: 1-63 of [A-Za-z0-9._-], letter or '_' first. */
int conf_name_acl(const char *name, struct lxm_err *e);
/** DNS zone: dotted labels, 1-253 characters. */
int conf_name_zone(const char *name, struct lxm_err *e);
/** Image alias: 1-200 bytes of printable UTF-8 without blanks at either end; '/' is fine ("debian/12"). */
int conf_name_alias(const char *name, struct lxm_err *e);
/** Link name on the host or inside an instance: 1-15 bytes, no '/', ':', blank or control character, not "." or "..". */
int conf_name_link(const char *name, struct lxm_err *e);
/** Configuration key: 1-255 of printable ASCII without blank, '/', '\' or '=', no "..". */
int conf_name_key(const char *name, struct lxm_err *e);
/** The kernel's name of an architecture, also for Debian's ("amd64": "x86_64"); NULL if it is none. Static string. */
const char *conf_architecture(const char *name);
/** The kernel's name of this machine's architecture. Static string. */
const char *conf_own_architecture(void);

#endif
