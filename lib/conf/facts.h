/* What is known of keys beside their rows: why one is refused, which rule of a project judges it, which extension brought it. */
#ifndef LXM_CONF_FACTS_H
#define LXM_CONF_FACTS_H

#include "lib/base/str.h"
#include "lib/conf/conf.h"

/*
 * One fact about many keys. A pattern is that of fnmatch(3); several stand with blanks between. The first row that fits is the one that counts.
 */
struct conf_fact {
	const char *tables; /* patterns of titles of tables ("instance profile", "device-nic-*") */
	const char *keys;   /* patterns of keys */
	const char *text;
};

/**
 * Why a key is refused, although clients of LXD or Incus may know it; the key need not be in the table.
 *
 * @table  one of conf_all_tables()
 *
 * Returns a static text, or NULL if there is nothing to say: the key works, or nobody knows it. Any thread.
 */
const char *conf_refusal(const struct conftable *table, const char *key);

/** The rule of a restricted project that must be opened before somebody may set the key; NULL: none. Static text. */
const char *conf_rule(const struct conftable *table, const char *key);

/** The API extension with which clients look whether a server knows the key; NULL: LXD always had it. Static text. */
const char *conf_extension(const struct conftable *table, const char *key);

/** The rows behind conf_refusal(), for the documentation and for tests; ends with a zeroed one. */
const struct conf_fact *conf_refusals(void);

/** Does one of the blank separated patterns fit? */
bool conf_fact_fits(const char *patterns, const char *name);

#endif
