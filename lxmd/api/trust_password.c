/*
 * The trust password, for clients that are too old for tokens. Only its scrypt hash is kept. One guess at a time is
 * calculated, and guesses are counted: a password is short enough to be guessed, unlike a token.
 */
#include "lxmd/api/trust_password.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "lib/base/alloc.h"
#include "lib/base/str.h"
#include "lib/base/time.h"

#define SALT_LEN 16
#define HASH_LEN 32
#define PASSWORD_MAX 1024

#define SCRYPT_N   32768u
#define SCRYPT_R   8u
#define SCRYPT_P   1u
#define SCRYPT_MEM (64u * 1024 * 1024)

#define WINDOW_MS    60000
#define WRONG_ONE    10 /* from one address within the window */
#define WRONG_ALL    30
#define ADDRESSES    32 /* that are remembered; WRONG_ALL holds for the rest */

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
/* guarded by lock: */
static struct guesser {
	char ip[64];
	unsigned int wrong;
} guessers[ADDRESSES];
static unsigned int n_guessers, wrong_all;
static int64_t window_ms;

static int derive(const char *password, const char *salt, char out[HASH_LEN * 2 + 1], struct lxm_err *e)
{
	unsigned char hash[HASH_LEN];

	if (!EVP_PBE_scrypt(password, strlen(password), (const unsigned char *)salt, strlen(salt), SCRYPT_N, SCRYPT_R, SCRYPT_P,
			    SCRYPT_MEM, hash, sizeof(hash)))
		return lxm_err_set(e, ENOMEM, "the hash of the password cannot be calculated");
	lxm_hex(out, hash, sizeof(hash));
	OPENSSL_cleanse(hash, sizeof(hash));
	return 0;
}

int trust_password_hash(const char *password, char **out, struct lxm_err *e)
{
	unsigned char raw[SALT_LEN];
	char salt[SALT_LEN * 2 + 1], hash[HASH_LEN * 2 + 1];
	int r;

	if (lxm_empty(password) || strlen(password) > PASSWORD_MAX)
		return lxm_err_set(e, EINVAL, "a password has 1 to %d bytes", PASSWORD_MAX);
	lxm_random(raw, sizeof(raw));
	lxm_hex(salt, raw, sizeof(raw));
	r = derive(password, salt, hash, e);
	if (r == 0)
		*out = lxm_asprintf("scrypt:%s:%s", salt, hash);
	return r;
}

/* ---- guesses */

static struct guesser *guesser(const char *address)
{
	const char *colon = strrchr(address, ':');
	size_t len = colon ? (size_t)(colon - address) : strlen(address), i;

	if (len >= sizeof(guessers[0].ip))
		len = sizeof(guessers[0].ip) - 1;
	for (i = 0; i < n_guessers; i++)
		if (strncmp(guessers[i].ip, address, len) == 0 && !guessers[i].ip[len])
			return &guessers[i];
	if (n_guessers == ADDRESSES)
		return NULL;
	memset(&guessers[n_guessers], 0, sizeof(guessers[0]));
	memcpy(guessers[n_guessers].ip, address, len);
	return &guessers[n_guessers++];
}

static bool fits(const char *stored, const char *guess)
{
	char salt[SALT_LEN * 2 + 1], hash[HASH_LEN * 2 + 1], theirs[HASH_LEN * 2 + 1];

	if (!stored || sscanf(stored, "scrypt:%32[0-9a-f]:%64[0-9a-f]", salt, hash) != 2)
		return false;
	return strlen(guess) <= PASSWORD_MAX && derive(guess, salt, theirs, NULL) == 0 && lxm_secret_eq(hash, theirs);
}

int trust_password_check(const char *stored, const char *guess, const char *address, struct lxm_err *e)
{
	struct guesser *g;
	bool ok = false, tired;

	pthread_mutex_lock(&lock);
	if (lxm_mono_ms() - window_ms > WINDOW_MS) {
		window_ms = lxm_mono_ms();
		n_guessers = wrong_all = 0;
	}
	g = guesser(address);
	tired = wrong_all >= WRONG_ALL || (g && g->wrong >= WRONG_ONE);
	if (!tired) {
		ok = fits(stored, guess);
		wrong_all += !ok;
		if (g)
			g->wrong += !ok;
	}
	pthread_mutex_unlock(&lock);
	if (tired)
		return lxm_err_http(e, 429, EAGAIN, "too many wrong passwords: wait a minute, or ask for a token");
	return ok ? 0 : lxm_err_http(e, 403, EPERM, "not authorized");
}
