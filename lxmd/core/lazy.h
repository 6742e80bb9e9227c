/* Libraries that are loaded when something first needs them: what an idle daemon has no use for, it does not carry. */
#ifndef LXMD_CORE_LAZY_H
#define LXMD_CORE_LAZY_H

#include <stdbool.h>
#include <stddef.h>

#include "lib/base/err.h"

/* A library and the functions wanted of it; static. */
struct lazy_lib {
	const char *soname;	  /* "libarchive.so.13" */
	const char *package;	  /* where Debian has it */
	const char *const *names; /* n functions */
	void *functions;	  /* a struct of n pointers in the same order; to be used after lazy_load() only */
	size_t n;
	bool loaded; /* atomic */
};

/* For a list of functions, #define FUNCTIONS(X) X(a) X(b): members of the struct that `functions` points to, and `names`. */
#define LAZY_MEMBER(name) __typeof__(&name) name;
#define LAZY_NAME(name)	  #name,

/**
 * Load the library, if that has not been done yet, and fill in all functions. It stays for the daemon's life.
 *
 * Any thread; the first call reads from disk, all others cost nothing. Returns 0, or -ELIBACC with a text that names the package
 * when the library is missing or lacks a function; then no function is filled in, and the next call tries again.
 */
int lazy_load(struct lazy_lib *lib, struct lxm_err *e);

#endif
