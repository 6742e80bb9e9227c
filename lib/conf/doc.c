/* The documentation page of all keys: a section for each table, a row for each key. */
#include "lib/conf/doc.h"

#include "lib/conf/tables.h"

const char *conf_type_name(enum confkey_type type)
{
	static const char *const names[] = {
		[KEY_TEXT] = "string", [KEY_BLOB] = "blob",	[KEY_BOOL] = "bool",
		[KEY_INT] = "integer", [KEY_UINT] = "integer", [KEY_BYTES] = "size",
	};

	return names[type];
}

static const char *state_of(unsigned int flags)
{
	if (flags & KEY_VM)
		return "virtual machines only: refused";
	if (flags & KEY_LATER)
		return "not applied yet: refused";
	if (flags & KEY_FIXED)
		return "fixed once created";
	if (flags & KEY_DAEMON)
		return "kept by lxmd";
	if (flags & KEY_REQUIRED)
		return "required";
	return flags & KEY_LIVE ? "live" : "";
}

void conf_doc(struct lxm_buf *out)
{
	const struct conf_named_table *t;
	size_t i;

	lxm_buf_str(out, "# Configuration keys\n\nPrinted from the tables in `lib/conf` by `make docs`. "
			 "A `*` stands for any name. *live*: takes effect at once.\n");
	for (t = conf_all_tables(); t->table; t++) {
		lxm_buf_fmt(out, "\n## %s\n\n| key | type | default | when | what |\n|---|---|---|---|---|\n", t->title);
		for (i = 0; i < t->table->n; i++) {
			const struct confkey *k = &t->table->keys[i];

			lxm_buf_fmt(out, "| `%s` | %s | %s%s%s | %s | %s |\n", k->name, conf_type_name(k->type),
				    k->dflt ? "`" : "", k->dflt ? k->dflt : "", k->dflt ? "`" : "",
				    state_of(k->flags), k->help);
		}
	}
}
