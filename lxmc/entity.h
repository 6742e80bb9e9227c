/* One kind of object that the API names, shows and changes in the same way: profiles, networks, pools ... */
#ifndef LXM_LXMC_ENTITY_H
#define LXM_LXMC_ENTITY_H

#include <jansson.h>

#include "lxmc/client.h"

/* A column of `list`. */
struct column {
	const char *head;
	/* text of the cell, owned by the caller */
	char *(*cell)(const json_t *object);
};

struct entity {
	const char *noun; /* "profile" */
	const char *list; /* "/1.0/profiles" */
	const char *one;  /* "/1.0/profiles/%s"; two %s take two arguments */
	const char *part; /* "/1.0/instances/%s/snapshots/%s" for NAME/PART, or NULL */
	int ids;	  /* how many arguments name it */
	const char *const *order;     /* keys of `show` in lxc's order, NULL-terminated */
	const char *const *writable;  /* keys of a PUT, NULL-terminated */
	const struct column *columns; /* of `list`, ends with a NULL head; NULL: no list */
	const char *comment;	      /* on top of the text in the editor */
	bool (*listed)(const json_t *object); /* what `list` shows; NULL: all */
	bool nameless;	      /* "REMOTE:" alone names it */
};

extern const struct entity entity_instance, entity_profile, entity_network, entity_storage, entity_project,
	entity_image, entity_alias, entity_volume, entity_server, entity_server_of, entity_warning, entity_operation, entity_metadata,
	entity_certificate;

/** The request path of the object that the first `ids` arguments name (REMOTE: allowed); free() *url_out. */
int entity_url(struct cli *cli, const struct entity *ent, struct client **client_out, char **url_out,
	       struct lxm_err *e);

/** That object, as GET says it. */
int entity_read(struct cli *cli, const struct entity *ent, json_t **out, struct lxm_err *e);

/* A change to an object: gets what GET said (all keys), edits it in place. Returns 0, 1 for "nothing to do", < 0. */
typedef int (*entity_edit_fn)(json_t *object, void *arg, struct lxm_err *e);

/**
 * GET, change, PUT what is writable with If-Match. When somebody else changed it in between (412) or is changing it
 * (409) the whole is done again, a few times. @url borrowed. Waits for the operation if the PUT is one.
 */
int entity_change(struct client *c, const struct entity *ent, const char *url, entity_edit_fn fn, void *arg,
		  struct lxm_err *e);

/** Only the writable keys of an object; new reference. */
json_t *entity_writable(const struct entity *ent, const json_t *object);

/** Refuse what somebody wrote if an object of this kind has no such key: "confg:" must not pass for no config at all. */
int entity_check_keys(const struct entity *ent, const json_t *object, struct lxm_err *e);

/**
 * Set keys of a {string:string} map from "KEY=VALUE" arguments ("KEY VALUE" if there are two and the first has no '=').
 * A value "-" is read from stdin. Returns 0 or a usage error.
 */
int entity_apply_args(json_t *map, const char *const *args, size_t n, struct lxm_err *e);

/** "KEY=VALUE" split; a value "-" is read from stdin (free() both). Returns 0 or a usage error. */
int split_key_value(const char *arg, char **key_out, char **value_out, struct lxm_err *e);

/** Everything from stdin, at most 16 MiB; free() *text_out. */
int read_stdin(char **text_out, size_t *n_out, struct lxm_err *e);

/** The map at key, made if there is none. Borrowed. */
json_t *js_map(json_t *object, const char *key);

#endif
