/* Configuration keys as lxmc knows them: from the tables of lib/conf, so without asking a server. */
#ifndef LXM_LXMC_KEYS_H
#define LXM_LXMC_KEYS_H

#include "lib/base/str.h"

/**
 * Keys that a verb takes, for the completion of its KEY and KEY=VALUE.
 *
 * @verb    its name in the verb table ("config set", "network unset")
 * @server  those of the server, where the verb is one that may be about the server instead of an instance
 * @out     names are added, those with a '*' up to it; each once
 */
void keys_of_verb(const char *verb, bool server, struct lxm_strv *out);

#endif
