/* The documentation page of all keys: a section for each table, a row for each key. */
#include "lib/conf/doc.h"

#include <string.h>

#include "lib/conf/facts.h"
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
		return "refused: virtual machines";
	if (flags & KEY_LATER)
		return "refused";
	if (flags & KEY_FIXED)
		return "fixed once created";
	if (flags & KEY_DAEMON)
		return "kept by lxmd";
	if (flags & KEY_REQUIRED)
		return "required";
	return flags & KEY_LIVE ? "live" : "";
}

static void code(struct lxm_buf *out, const char *text)
{
	lxm_buf_fmt(out, text ? " `%s` |" : " |", text);
}

static void key_row(struct lxm_buf *out, const struct conftable *t, const struct confkey *k)
{
	lxm_buf_fmt(out, "| `%s` | %s |", k->name, conf_type_name(k->type));
	code(out, k->dflt);
	lxm_buf_fmt(out, "%s%s |", *state_of(k->flags) ? " " : "", state_of(k->flags));
	code(out, conf_rule(t, k->name));
	code(out, conf_extension(t, k->name));
	lxm_buf_fmt(out, " %s |\n", k->help);
}

void conf_doc(struct lxm_buf *out)
{
	const struct conf_named_table *t;
	size_t i;

	lxm_buf_str(out, "# Configuration keys\n\nPrinted from the tables in `lib/conf` by `make docs`. "
			 "A `*` stands for any name. *live*: takes effect at once. *judged by*: what a project with `restricted=true` must "
			 "open before the key may be set there, to whatever it would forbid. *extension*: where `api_extensions` names it, the "
			 "server knows the key. Why some are *refused* stands in [compatibility.md](compatibility.md).\n");
	for (t = conf_all_tables(); t->table; t++) {
		const char *whole = conf_refusal(t->table, "type-of-all-keys");

		lxm_buf_fmt(out, "\n## %s\n\n", t->title);
		if (whole)
			lxm_buf_fmt(out, "Refused: %s.\n\n", whole);
		lxm_buf_str(out, "| key | type | default | when | judged by | extension | what |\n|---|---|---|---|---|---|---|\n");
		for (i = 0; i < t->table->n; i++)
			key_row(out, t->table, &t->table->keys[i]);
	}
}

/* "instance profile" as "`instance`, `profile`". */
static void names(struct lxm_buf *out, const char *patterns)
{
	lxm_auto(strv) struct lxm_strv v = { 0 };
	size_t i;

	lxm_strv_split(&v, patterns, ' ');
	for (i = 0; i < v.n; i++)
		lxm_buf_fmt(out, "%s`%s`", i ? ", " : "", v.v[i]);
}

void conf_doc_refusals(struct lxm_buf *out)
{
	const struct conf_fact *f;

	lxm_buf_str(out, "| of | keys | why |\n| --- | --- | --- |\n");
	for (f = conf_refusals(); f->keys; f++) {
		lxm_buf_str(out, "| ");
		names(out, f->tables);
		lxm_buf_str(out, " | ");
		if (strcmp(f->keys, "*") == 0)
			lxm_buf_str(out, "all");
		else
			names(out, f->keys);
		lxm_buf_fmt(out, " | %s |\n", f->text);
	}
}
