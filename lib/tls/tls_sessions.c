/*
 * TLS sessions to resume, see tls_sessions.h. In memory a bounded list, the oldest falls out; with a directory also one file for each
 * place, so that a command line resumes what the command before it has agreed. A file begins with the digest of all that the session's
 * trust rests on: another pin or another certificate of ours finds nothing. The files are as secret as the client's key beside them.
 */
#include "lib/tls/tls_sessions.h"

#include <fcntl.h>
#include <openssl/evp.h>
#include <pthread.h>
#include <string.h>
#include <time.h>

#include "lib/base/alloc.h"
#include "lib/base/fd.h"
#include "lib/base/str.h"

#define IN_MEMORY  256
#define FILE_BYTES 65536

struct entry {
	struct lxm_tls_key key;
	SSL_SESSION *session; /* NULL: the slot is free */
};

struct lxm_tls_sessions {
	pthread_mutex_t lock;
	struct entry e[IN_MEMORY]; /* guarded by lock */
	size_t next;		   /* guarded by lock; the slot that is used next */
	char *dir;		   /* NULL: memory only */
};

struct lxm_tls_sessions *lxm_tls_sessions_new(const char *dir)
{
	struct lxm_tls_sessions *s = lxm_alloc(sizeof(*s));

	pthread_mutex_init(&s->lock, NULL);
	s->dir = lxm_strdup(dir);
	return s;
}

void lxm_tls_sessions_free(struct lxm_tls_sessions *s)
{
	size_t i;

	if (!s)
		return;
	for (i = 0; i < IN_MEMORY; i++)
		SSL_SESSION_free(s->e[i].session);
	pthread_mutex_destroy(&s->lock);
	free(s->dir);
	free(s);
}

static void digest(EVP_MD_CTX *md, char out[LXM_TLS_KEY_LEN + 1])
{
	unsigned char raw[EVP_MAX_MD_SIZE];
	unsigned int n = 0;

	if (EVP_DigestFinal_ex(md, raw, &n) != 1 || n != LXM_TLS_KEY_LEN / 2)
		memset(raw, 0, sizeof(raw));
	lxm_hex(out, raw, LXM_TLS_KEY_LEN / 2);
	EVP_MD_CTX_free(md);
}

/* Each part with its NUL, so that no two lists of parts read the same; an absent one differs from an empty one. */
static void part(EVP_MD_CTX *md, const char *s)
{
	(void)EVP_DigestUpdate(md, s ? "+" : "-", 1);
	(void)EVP_DigestUpdate(md, s ? s : "", s ? strlen(s) + 1 : 1);
}

void lxm_tls_key_of(const struct lxm_tls_target *t, const char *address, struct lxm_tls_key *key)
{
	EVP_MD_CTX *md = EVP_MD_CTX_new();

	(void)EVP_DigestInit_ex(md, EVP_sha256(), NULL);
	part(md, address);
	part(md, t->default_port);
	digest(md, key->place);
	md = EVP_MD_CTX_new();
	(void)EVP_DigestInit_ex(md, EVP_sha256(), NULL);
	part(md, t->trust == LXM_TLS_PINNED ? "pinned" : "ca");
	part(md, t->server_name);
	part(md, t->server_pem);
	part(md, t->server_fingerprint);
	part(md, t->ca_file);
	part(md, t->client_pem);
	digest(md, key->trust);
}

static bool fresh(const SSL_SESSION *s)
{
	return SSL_SESSION_is_resumable(s) && time(NULL) < SSL_SESSION_get_time(s) + SSL_SESSION_get_timeout(s);
}

static char *file_of(const struct lxm_tls_sessions *s, const struct lxm_tls_key *key)
{
	return lxm_asprintf("%s/%.32s", s->dir, key->place);
}

static SSL_SESSION *load(const struct lxm_tls_sessions *s, const struct lxm_tls_key *key)
{
	lxm_auto(free) char *path = file_of(s, key);
	lxm_auto(buf) struct lxm_buf b = { 0 };
	const unsigned char *p;

	if (lxm_read_file(path, FILE_BYTES, &b) < 0 || b.len <= LXM_TLS_KEY_LEN ||
	    memcmp(b.data, key->trust, LXM_TLS_KEY_LEN) != 0)
		return NULL;
	p = (const unsigned char *)b.data + LXM_TLS_KEY_LEN;
	return d2i_SSL_SESSION(NULL, &p, (long)(b.len - LXM_TLS_KEY_LEN));
}

/* Without fsync: a file that is lost or torn costs a handshake. */
static void save(const struct lxm_tls_sessions *s, const struct lxm_tls_key *key, SSL_SESSION *session)
{
	lxm_auto(free) char *path = file_of(s, key), *tmp = lxm_asprintf("%s.%ld", path, (long)getpid());
	unsigned char *der = NULL;
	int n = i2d_SSL_SESSION(session, &der), fd, r;

	if (n <= 0 || n > FILE_BYTES - LXM_TLS_KEY_LEN) {
		OPENSSL_free(der);
		return;
	}
	(void)lxm_mkdir_p(s->dir, 0700);
	fd = open(tmp, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
	r = fd < 0 ? -errno : lxm_write_all(fd, key->trust, LXM_TLS_KEY_LEN);
	if (r == 0)
		r = lxm_write_all(fd, der, (size_t)n);
	auto_fd_close(&fd);
	if (r < 0 || rename(tmp, path) < 0)
		(void)unlink(tmp);
	OPENSSL_cleanse(der, (size_t)n);
	OPENSSL_free(der);
}

SSL_SESSION *lxm_tls_sessions_find(struct lxm_tls_sessions *s, const struct lxm_tls_key *key)
{
	SSL_SESSION *found = NULL;
	size_t i;

	pthread_mutex_lock(&s->lock);
	for (i = 0; i < IN_MEMORY; i++) {
		if (!s->e[i].session || memcmp(&s->e[i].key, key, sizeof(*key)) != 0)
			continue;
		found = s->e[i].session;
		SSL_SESSION_up_ref(found);
		break;
	}
	pthread_mutex_unlock(&s->lock);
	if (!found && s->dir)
		found = load(s, key);
	if (found && !fresh(found)) {
		SSL_SESSION_free(found);
		found = NULL;
	}
	return found;
}

void lxm_tls_sessions_keep(struct lxm_tls_sessions *s, const struct lxm_tls_key *key, SSL_SESSION *session)
{
	size_t i;

	pthread_mutex_lock(&s->lock);
	for (i = 0; i < IN_MEMORY; i++)
		if (s->e[i].session && strcmp(s->e[i].key.place, key->place) == 0)
			break;
	if (i == IN_MEMORY) {
		i = s->next;
		s->next = (s->next + 1) % IN_MEMORY;
	}
	SSL_SESSION_free(s->e[i].session);
	SSL_SESSION_up_ref(session);
	s->e[i].session = session;
	s->e[i].key = *key;
	pthread_mutex_unlock(&s->lock);
	if (s->dir)
		save(s, key, session);
}
