/* A verb on many hosts (--on). */
#ifndef LXM_LXMC_FLEET_VERB_H
#define LXM_LXMC_FLEET_VERB_H

#include "lxmc/cli.h"
#include "lxmc/fleet.h"

#define EXIT_NONE 3 /* no host did it */

/** The value of a global option, given anywhere; NULL without. A verb's own option of that name is another one. */
const char *fleet_option(const struct cli *cli, const char *name);

/**
 * Hosts and bounds as --on, --parallel and --timeout say.
 *
 * @names  filled; must outlive f
 */
int fleet_prepare(struct cli *cli, const char *on, struct lxm_strv *names, struct fleet *f, struct lxm_err *e);

/** In a host's child: a copy of cli that means that host when no remote is named. Returns 0 or -errno. */
int fleet_child_cli(const struct cli *cli, const char *host, struct cli *copy_out, struct lxm_err *e);

/** Run cli->verb on the hosts that --on names. Returns an exit status (0 all, 1 some failed, 3 none did it), or < 0. */
int fleet_verb(struct cli *cli, struct lxm_err *e);

#endif
