/* The trust store: client certificates and the projects they are confined to. */
#ifndef LXM_DB_CERTIFICATE_H
#define LXM_DB_CERTIFICATE_H

#include "db/db.h"

enum db_cert_type { DB_CERT_CLIENT = 1, DB_CERT_SERVER = 2, DB_CERT_METRICS = 3 };

struct db_certificate {
	int64_t id;
	char *fingerprint; /* owned; lowercase hex SHA-256 of the DER */
	char *name, *description, *pem; /* owned */
	int type;			 /* enum db_cert_type */
	bool restricted;
	struct lxm_strv projects; /* what a restricted certificate may touch */
};

struct db_certificates {
	struct db_certificate *v; /* owned, n of them, by fingerprint */
	size_t n;
};

void db_certificate_deinit(struct db_certificate *c);
void db_certificates_deinit(struct db_certificates *c);
LXM_AUTO_STRUCT(db_certificate, struct db_certificate, db_certificate_deinit)
LXM_AUTO_STRUCT(db_certificates, struct db_certificates, db_certificates_deinit)

/** All of them, oldest first. */
int db_certificate_list(struct db_tx *tx, struct db_certificates *out, struct lxm_err *e);
/** By a prefix of the fingerprint; DB_NONE, -EINVAL when not hex, -ENOTUNIQ when it fits several. */
int db_certificate_get(struct db_tx *tx, const char *prefix, struct db_certificate *out, struct lxm_err *e);
/** Sets c->id. -EEXIST with the text "Certificate already in trust store"; -ENOENT naming an unknown project. */
int db_certificate_create(struct db_tx *tx, struct db_certificate *c, struct lxm_err *e);
/** Everything of c->id; DB_NONE; -EEXIST as above when another entry has that fingerprint. */
int db_certificate_update(struct db_tx *tx, const struct db_certificate *c, struct lxm_err *e);
/** DB_NONE. */
int db_certificate_delete(struct db_tx *tx, int64_t id, struct lxm_err *e);

#endif
