/* `lxmd VERB`: short commands that act on the daemon of a directory. Each runs alone in its process. */
#ifndef LXMD_VERBS_H
#define LXMD_VERBS_H

/**
 * Run a verb.
 *
 * @dir   LXMD_DIR or NULL
 * @argv  the verb and its arguments, NULL-terminated
 *
 * Returns the exit status (0 done, 1 it failed, 2 wrong usage), or -1 when argv[0] is no verb.
 */
int verb_run(const char *dir, int argc, char **argv);

/** The verbs as lines for --help. */
const char *verb_help(void);

#endif
