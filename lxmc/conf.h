/* The command line's own configuration: config.yml with remotes, the default one and the current project. */
#ifndef LXM_LXMC_CONF_H
#define LXM_LXMC_CONF_H

#include <jansson.h>
#include <stdbool.h>

#include "lib/base/err.h"

/* What a remote is. Strings borrowed from the conf. */
struct remote {
	const char *name;
	const char *addr;      /* "unix:/path", "https://..." */
	const char *protocol;  /* "lxd", "simplestreams" */
	const char *auth_type; /* "tls", or "" where nobody asks who we are */
	const char *project;   /* "" is default */
	bool is_public;	       /* only what everybody may see */
	bool is_static;	       /* made here, not in the file */
};

struct conf; /* opaque */

/** Read $LXMC_CONF/config.yml or ~/.config/lxmc/config.yml; a missing file is an empty one. */
int conf_load(struct conf **conf_out, struct lxm_err *e);
void conf_free(struct conf *conf);
/** Write it back (atomically, mode 0600, the directory made as needed). */
int conf_save(struct conf *conf, struct lxm_err *e);

/** The remote that names without one mean; setting it to an unknown one is -ENOENT. */
const char *conf_default_remote(const struct conf *conf);
int conf_set_default_remote(struct conf *conf, const char *name, struct lxm_err *e);
/** 0, or -ENOENT naming it. */
int conf_remote(const struct conf *conf, const char *name, struct remote *out, struct lxm_err *e);
/** Whether a name can be a remote's: no ':', no '/', no blanks. Returns 0 or -EINVAL. */
int conf_check_name(const char *name, struct lxm_err *e);
/** Add a remote (all strings copied). Returns 0, -EEXIST, -EINVAL. */
int conf_add_remote(struct conf *conf, const struct remote *rm, struct lxm_err *e);
/** Change the address (and with it the pinned certificate stays). Returns 0, -ENOENT, -EPERM for what is static. */
int conf_set_addr(struct conf *conf, const char *name, const char *addr, struct lxm_err *e);
/** Forget a remote and its certificate. Returns 0, -ENOENT, -EPERM (static), -EBUSY (the default one). */
int conf_remove_remote(struct conf *conf, const char *name, struct lxm_err *e);
/** Rename, certificate and default with it. Returns 0, -ENOENT, -EPERM, -EEXIST, -EINVAL. */
int conf_rename_remote(struct conf *conf, const char *from, const char *to, struct lxm_err *e);
/** The configuration directory; borrowed. */
const char *conf_dir(const struct conf *conf);
/** Where the pinned certificate of a remote lies ("DIR/servercerts/NAME.crt"); free() it. */
char *conf_server_cert(const struct conf *conf, const char *name);
/** Pin a certificate for a remote. */
int conf_save_server_cert(const struct conf *conf, const char *name, const char *pem, struct lxm_err *e);

/** All remotes, one call for each i; false at the end. */
bool conf_remote_at(const struct conf *conf, size_t i, struct remote *out);
/** Remember the project that a remote is switched to. */
void conf_set_project(struct conf *conf, const char *remote, const char *project);

/** A map of the file that is no setting of lxc's, made if it is not there; borrowed, conf_save() writes it. */
json_t *conf_map(struct conf *conf, const char *key);

/** Path of the local daemon's socket: LXMC_SOCKET, else $LXMD_DIR/unix.socket, else the installed one; free() it. */
char *conf_local_socket(void);

#endif
