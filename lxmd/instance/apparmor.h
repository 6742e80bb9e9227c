/* The AppArmor profile of instances: text in profiles/apparmor, loaded into the kernel, and the label that init and exec get. */
#ifndef LXM_INSTANCE_APPARMOR_H
#define LXM_INSTANCE_APPARMOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "lib/base/err.h"

/*
 * Instances with the same wishes share one profile. What keeps them apart are namespaces and ids; a profile of each one's own would
 * add nothing to that and cost a run of the parser at each start. A shared profile's name holds a hash of its text ("lxm-default-HASH"):
 * it is loaded once after boot, a later lxm brings another name, and what runs keeps what it began with. It is never removed,
 * because the kernel lets go of whoever is under a profile that is. raw.apparmor makes a profile for that instance alone
 * ("lxm-ID"), loaded at its start and removed after its end. No name holds a client's string.
 */

enum apparmor_state {
	APPARMOR_ABSENT,    /* the kernel has none, or this is a container and policy is not ours to load */
	APPARMOR_NO_PARSER, /* the kernel has it, the program apparmor_parser is missing: instances run without */
	APPARMOR_ON,	    /* every instance is confined; one whose profile cannot be loaded is not started */
};

/* Where things are; for tests. */
struct apparmor_host {
	const char *policy; /* /sys/kernel/security/apparmor */
	const char *parser; /* absolute path of apparmor_parser */
};

struct apparmor;

/** What an instance's configuration asks for. */
struct apparmor_want {
	int64_t id;	  /* names the profile of its own, where it gets one */
	bool privileged;  /* security.privileged */
	bool nesting;	  /* security.nesting */
	const char *raw;  /* raw.apparmor, NULL or "": none */
};

#define APPARMOR_LABEL 96

/**
 * Look at the host and read the texts.
 *
 * @profiles_dir  holds apparmor/{base,privileged,nesting}
 * @scope         in the names of profiles of a single instance: unique on the host, [a-z0-9.]+, at most 31
 * @host          NULL: this host
 *
 * Returns 0 or -errno (a text is missing).
 */
int apparmor_new(const char *profiles_dir, const char *scope, const struct apparmor_host *host, struct apparmor **out, struct lxm_err *e);
void apparmor_free(struct apparmor *a);
LXM_AUTO_PTR(apparmor_free, struct apparmor, apparmor_free)
enum apparmor_state apparmor_state(const struct apparmor *a);

/** The whole text of a profile and its name; free() the text. Any thread. */
char *apparmor_text(const struct apparmor *a, const struct apparmor_want *w, char name_out[APPARMOR_LABEL]);

/**
 * The label for the init of an instance that is about to start; "" where there is no AppArmor to use.
 *
 * Loads the profile unless the kernel has it. Any thread; may wait for the parser (some 0.1 s at the first start after boot,
 * and at each with raw.apparmor). Returns 0, -EINVAL (the parser does not like raw.apparmor, its words are in e), -EOPNOTSUPP (raw.apparmor
 * without AppArmor) or another -errno.
 */
int apparmor_load(struct apparmor *a, const struct apparmor_want *w, char label_out[APPARMOR_LABEL], struct lxm_err *e);

/** After the end of an instance, when none of its processes is left: remove the profile that it had for itself, if any. */
void apparmor_unload(struct apparmor *a, int64_t id);

/**
 * The label that a running instance lives under, for what joins it; "" when it has none.
 *
 * @init  its first process
 *
 * Returns 0 or -errno: nothing may join then.
 */
int apparmor_of(const struct apparmor *a, pid_t init, char label_out[APPARMOR_LABEL], struct lxm_err *e);

#endif
