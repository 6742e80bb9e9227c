/* core.trust_password: how it is kept, and how a guess is judged. */
#ifndef LXMD_API_TRUST_PASSWORD_H
#define LXMD_API_TRUST_PASSWORD_H

#include "lib/base/err.h"

/** What is stored of a password: "scrypt:SALT:HASH" in hex; free() *out. Any thread, takes a moment. Returns 0, -EINVAL (empty, too long) or -errno. */
int trust_password_hash(const char *password, char **out, struct lxm_err *e);

/**
 * Judge a guess. After ten wrong ones within a minute, from one address or thirty from all, guesses are refused unseen.
 *
 * @stored   from trust_password_hash(); NULL: there is no password, which is said like a wrong one
 * @address  "IP:PORT" of who guesses
 *
 * Worker threads; one at a time is calculated. Returns 0, -EPERM (403) or -EAGAIN (429).
 */
int trust_password_check(const char *stored, const char *guess, const char *address, struct lxm_err *e);

#endif
