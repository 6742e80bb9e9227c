/*
 * See streams.h. The lists are a stranger's: whatever is not of the expected form is passed over, as clients of
 * simplestreams do, so that one odd product does not hide the others; paths stay below the server's address.
 */
#include "lib/api/streams.h"

#include <string.h>

#include "lib/api/json.h"
#include "lib/base/alloc.h"
#include "lib/conf/names.h"

#define PREFIX_MIN 12 /* digits that make a fingerprint */

static void file_deinit(struct streams_file *f)
{
	free(f->path);
	memset(f, 0, sizeof(*f));
}

void streams_image_deinit(struct streams_image *im)
{
	file_deinit(&im->meta);
	file_deinit(&im->root);
	lxm_kv_deinit(&im->properties);
	memset(im, 0, sizeof(*im));
}

/* A path as it goes behind the server's address; NULL if it does not belong there. free() it. */
static char *safe_path(const char *path)
{
	while (path && *path == '/')
		path++;
	if (lxm_empty(path) || strlen(path) > 1024 || lxm_starts(path, "../") || strstr(path, "/../") || lxm_ends(path, "/.."))
		return NULL;
	return lxm_url_encode(path, "/:+=@,");
}

static int parse(const char *text, size_t len, const char *what, const char *key, json_t **doc, json_t **part, struct lxm_err *e)
{
	/* the parser's words quote the text, which is not for the one who asked */
	if (js_parse(text, len, doc, NULL) < 0)
		return lxm_err_http(e, 502, EBADMSG, "%s of the server is not JSON", what);
	*part = js_get(*doc, key);
	return json_is_object(*part) ? 0 : lxm_err_http(e, 502, EBADMSG, "%s of the server has no '%s'", what, key);
}

int streams_index(const char *text, size_t len, struct lxm_strv *out, struct lxm_err *e)
{
	lxm_auto(json) json_t *doc = NULL;
	json_t *index, *one;
	const char *key;
	int r = parse(text, len, "index.json", "index", &doc, &index, e);

	if (r < 0)
		return r;
	json_object_foreach(index, key, one)
	{
		char *path = NULL;

		if (lxm_streq(js_str(one, "datatype"), "image-downloads") && out->n < STREAMS_LISTS_MAX)
			path = safe_path(js_str(one, "path"));
		if (path)
			lxm_strv_take(out, path);
	}
	return 0;
}

/* ---- one version */

static bool is_sha256(const char *s)
{
	return s && lxm_is_hex(s, 64, 64);
}

static json_t *item_of(const json_t *items, const char *ftype)
{
	const char *key;
	json_t *one;

	json_object_foreach((json_t *)items, key, one)
		if (lxm_streq(js_str_or(one, "ftype", key), ftype))
			return one;
	return NULL;
}

static bool take_file(const json_t *item, struct streams_file *f)
{
	const char *sha = js_str(item, "sha256");
	int64_t size = js_int(item, "size", -1);
	char *path = size > 0 && is_sha256(sha) ? safe_path(js_str(item, "path")) : NULL;

	if (!path)
		return false;
	free(f->path);
	f->path = path;
	f->size = size;
	memcpy(f->sha256, sha, sizeof(f->sha256));
	return true;
}

static bool fits(const char *fp, const char *prefix)
{
	return is_sha256(fp) && (!prefix || lxm_starts(fp, prefix));
}

static bool take_image(const char *fp, const json_t *meta, const json_t *root, struct streams_image *out)
{
	if (!take_file(meta, &out->meta) || (root && !take_file(root, &out->root))) {
		streams_image_deinit(out);
		return false;
	}
	memcpy(out->fingerprint, fp, sizeof(out->fingerprint));
	return true;
}

/* The best pair of files of one version, or the one whose fingerprint begins with `prefix`. */
static bool pick_files(const json_t *items, const char *prefix, struct streams_image *out)
{
	static const char *const metas[] = { "incus.tar.xz", "lxd.tar.xz" };
	static const struct {
		const char *ftype, *hash, *hash2;
	} roots[] = { { "squashfs", "combined_squashfs_sha256", NULL }, { "root.tar.xz", "combined_rootxz_sha256", "combined_sha256" } };
	static const char *const whole[] = { "incus_combined.tar.gz", "lxd_combined.tar.gz" };
	size_t i, k;

	for (k = 0; k < 2; k++)
		for (i = 0; i < 2; i++) {
			json_t *meta = item_of(items, metas[i]), *root = item_of(items, roots[k].ftype);
			const char *fp = js_str(meta, roots[k].hash);

			if (!fp && roots[k].hash2)
				fp = js_str(meta, roots[k].hash2);
			if (meta && root && fits(fp, prefix) && take_image(fp, meta, root, out))
				return true;
		}
	for (i = 0; i < 2; i++) {
		json_t *meta = item_of(items, whole[i]);
		const char *fp = js_str(meta, "sha256");

		if (meta && fits(fp, prefix) && take_image(fp, meta, NULL, out))
			return true;
	}
	return false;
}

/* ---- one product */

static void add_properties(const json_t *product, const char *version, struct lxm_kv *to)
{
	static const char *const keys[][2] = { { "os", "os" },	     { "release", "release" }, { "version", "version" },
					       { "variant", "variant" }, { "arch", "architecture" }, { "label", "label" } };
	lxm_auto(buf) struct lxm_buf text = { 0 };
	const char *title = js_str_or(product, "release_title", js_str_or(product, "release", ""));
	size_t i;

	for (i = 0; i < LXM_ARRAY_LEN(keys); i++)
		if (!lxm_empty(js_str(product, keys[i][0])))
			lxm_kv_set(to, keys[i][1], js_str(product, keys[i][0]));
	lxm_kv_set(to, "serial", version);
	lxm_buf_fmt(&text, "%s %s %s (%s)", js_str_or(product, "os", "image"), title, js_str_or(product, "arch", ""), version);
	lxm_kv_set(to, "description", text.data);
}

/* The newest version first: their names begin with the date. */
static bool pick_version(const json_t *product, const char *prefix, struct streams_image *out)
{
	lxm_auto(strv) struct lxm_strv names = { 0 };
	json_t *versions = js_get(product, "versions"), *one;
	const char *key;
	size_t i;

	if (!json_is_object(versions))
		return false;
	json_object_foreach(versions, key, one)
		lxm_strv_add(&names, key);
	lxm_strv_sort(&names);
	for (i = names.n; i > 0; i--) {
		json_t *items = js_get(json_object_get(versions, names.v[i - 1]), "items");

		if (json_is_object(items) && pick_files(items, prefix, out)) {
			add_properties(product, names.v[i - 1], &out->properties);
			return true;
		}
	}
	return false;
}

/* "debian/12" in "debian/12,debian/bookworm" for this architecture, or "debian/12/arm64". */
static bool has_alias(const json_t *product, const char *name, const char *arch)
{
	const char *own = js_str(product, "arch"), *kernel = own ? conf_architecture(own) : NULL;
	lxm_auto(strv) struct lxm_strv aliases = { 0 };
	size_t i, n;

	if (!kernel)
		return false;
	lxm_strv_split(&aliases, js_str_or(product, "aliases", ""), ',');
	for (i = 0; i < aliases.n; i++) {
		const char *a = aliases.v[i];

		while (*a == ' ')
			a++;
		n = strlen(a);
		if (strcmp(a, name) == 0 && strcmp(kernel, arch) == 0)
			return true;
		if (strncmp(a, name, n) == 0 && name[n] == '/' && strcmp(name + n + 1, own) == 0)
			return true;
	}
	return false;
}

int streams_find(const char *text, size_t len, const char *name, const char *arch, struct streams_image *out, struct lxm_err *e)
{
	lxm_auto(json) json_t *doc = NULL;
	json_t *products, *one;
	const char *key;
	int r = parse(text, len, "the list of images", "products", &doc, &products, e);

	if (r < 0)
		return r;
	json_object_foreach(products, key, one)
		if (has_alias(one, name, arch) && pick_version(one, NULL, out))
			return 0;
	if (!lxm_is_hex(name, PREFIX_MIN, 64))
		return STREAMS_NONE;
	json_object_foreach(products, key, one)
		if (pick_version(one, name, out))
			return 0;
	return STREAMS_NONE;
}

int streams_list(const char *text, size_t len, streams_entry_fn fn, void *arg, struct lxm_err *e)
{
	lxm_auto(json) json_t *doc = NULL;
	json_t *products, *one;
	const char *key;
	int r = parse(text, len, "the list of images", "products", &doc, &products, e);

	if (r < 0)
		return r;
	json_object_foreach(products, key, one)
	{
		lxm_auto(streams_image) struct streams_image im = { 0 };
		const char *own = js_str(one, "arch"), *kernel = own ? conf_architecture(own) : NULL;
		struct streams_entry entry = { &im, js_str_or(one, "aliases", ""), kernel, "" };

		if (!kernel || !pick_version(one, NULL, &im))
			continue;
		entry.version = lxm_kv_or(&im.properties, "serial", "");
		r = fn(arg, &entry, e);
		if (r < 0)
			return r;
	}
	return 0;
}
