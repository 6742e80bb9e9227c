/* What every verb sees: the verb table's row, parsed arguments, and the way to the server. */
#ifndef LXM_LXMC_CLI_H
#define LXM_LXMC_CLI_H

#include <stdbool.h>
#include <stddef.h>

#include "lib/base/err.h"
#include "lib/base/str.h"

struct cli;
struct client;
struct conf;

#define EXIT_USAGE	2   /* wrong usage */
#define EXIT_EXEC_SETUP 125 /* exec: the command was never tried */

/* One option. A table of them ends with a zeroed row. */
struct flag {
	char letter;	     /* 0: no short form */
	const char *name;    /* without dashes */
	const char *metavar; /* NULL: a switch; else what the value is called ("FILE"), which also picks completion */
	const char *help;
};

/* Whether a verb may run on many remotes at once (--on). */
enum verb_on {
	ON = 1,	      /* its output is put together when all are done; it gets no stdin */
	ON_STDIN = 2, /* the same, and each host is fed a copy of stdin */
	ON_LIVE = 3,  /* fed a copy of stdin; lines are shown as they come */
	ON_SELF = 4,  /* the verb looks at --on itself */
};

/* One verb. `args` tells usage, bounds and completion: "INSTANCE [SNAPSHOT]", "INSTANCE...", "[KEY=VALUE...]". */
struct verb {
	const char *name;  /* words, "image alias list" */
	const char *group; /* heading in the help; NULL hides the verb */
	const char *args;
	const struct flag *flags; /* NULL: none but the global ones */
	const char *help;	  /* one line */
	/* 0 or an exit status > 0; < 0 with e filled */
	int (*run)(struct cli *cli, struct lxm_err *e);
	const void *data; /* of the handler, for those that serve several verbs */
	int stop_after;	  /* > 0: after that many arguments nothing is an option any more (exec) */
	int on;		  /* enum verb_on; 0: on one server only */
};

/* Ends with a row without a name. Sorted by nothing: the order is the help's. */
extern const struct verb verbs[];
extern const struct flag global_flags[];

/* One option as given. */
struct opt {
	const struct flag *flag;
	const char *value; /* borrowed from argv; NULL for switches */
};

struct cli {
	const struct verb *verb;
	const char *const *args; /* positional arguments, n_args and a NULL; borrowed */
	size_t n_args;
	struct opt *opts; /* owned */
	size_t n_opts;
	const char **arg_store; /* owned; what args points to */
	bool quiet, debug;
	const char *project; /* --project, or NULL */
	struct conf *conf;   /* owned; loaded on first use */
	struct client *clients; /* owned list; connected on first use */
};

/** True if the option was given. */
bool cli_has(const struct cli *cli, const char *name);
/** The option's last value, or dflt. */
const char *cli_opt(const struct cli *cli, const char *name, const char *dflt);
/** All values of a repeatable option, in order; call with *at = 0 first. NULL at the end. */
const char *cli_next(const struct cli *cli, const char *name, size_t *at);
/** An option that must be a whole number. Returns 0 (also when absent: *out untouched) or a usage error. */
int cli_number(const struct cli *cli, const char *name, int64_t *out, struct lxm_err *e);

/** Fill e as "wrong usage" (exit status 2). Returns -EINVAL. */
int cli_usage(struct lxm_err *e, const char *fmt, ...) LXM_PRINTF(2, 3);
bool cli_is_usage(const struct lxm_err *e);

/** The exit status that a failure means: 2 for wrong usage, else 1; 125 for verbs that pass on a command's own. */
int cli_exit_status(const struct cli *cli, const struct lxm_err *e);

/**
 * Parse argv (without the program's name) by the verb table.
 *
 * @cli  zeroed; filled; cli_deinit() it also after an error
 *
 * cli->verb stays NULL when no words were given. Returns 0 or a usage error (with a suggestion for typos).
 */
int cli_parse(struct cli *cli, int argc, const char *const *argv, struct lxm_err *e);
void cli_deinit(struct cli *cli);

/** Smallest and largest number of arguments that a verb's `args` allows (max SIZE_MAX: any). */
void cli_arg_bounds(const char *args, size_t *min_out, size_t *max_out);
/** The i-th placeholder of `args` without brackets and dots ("INSTANCE"); the last repeats if it may. False if none. */
bool cli_arg_word(const char *args, size_t i, char *out, size_t room);

/** The verb that the first words name (longest match), how many words it took; NULL if none. */
const struct verb *cli_find_verb(const char *const *words, size_t n, size_t *used_out);
/** The option of a verb, or a global one, by long name (n bytes) or letter; NULL if there is none. */
const struct flag *cli_find_flag(const struct verb *v, const char *name, size_t n, char letter);

/** The nearest of the candidates to a mistyped word, or NULL if none is near. */
const char *cli_nearest(const char *word, const char *const *candidates, size_t n);
#define CLI_VERB_MAX 128
/** Words with blanks between them, cut off where there is no more room. */
void cli_join(const char *const *words, size_t n, char out[CLI_VERB_MAX]);
/** The verb, or the family of verbs ("config device"), that is nearest to the given words. False if none is near. */
bool cli_nearest_verb(const char *const *words, size_t n, char out[CLI_VERB_MAX]);

/** Help for the whole program, for a group of verbs ("image") or for one verb, to stdout. False if there is none. */
bool help_print(const char *const *words, size_t n);
/** Help for one verb. */
void help_verb(const struct verb *v);

#endif
