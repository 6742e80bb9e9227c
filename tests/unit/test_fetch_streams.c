/* lib/api/streams and lxmd/fetch: lists of simplestreams servers and header lines, as they are and as nobody should send them. */
#include "tests/unit/unit.h"

#include <string.h>

#include "lib/api/streams.h"
#include "lxmd/fetch/web.h"

static struct lxm_err err;

#define A64 "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define B64 "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
#define C64 "cccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccc"
#define D64 "dddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddd"
#define META(kind, fields) "\"" kind "\":{\"ftype\":\"" kind "\",\"path\":\"m/" kind "\",\"size\":10,\"sha256\":\"" A64 "\"," fields "}"
#define ROOT(kind) "\"" kind "\":{\"ftype\":\"" kind "\",\"path\":\"r/" kind "\",\"size\":20,\"sha256\":\"" B64 "\"}"
#define PAIR META("lxd.tar.xz", "\"combined_squashfs_sha256\":\"" C64 "\",\"combined_rootxz_sha256\":\"" D64 "\"")
#define PRODUCT(arch, versions) "{\"products\":{\"p\":{\"aliases\":\"deb/12, deb/book\",\"arch\":\"" arch "\",\"os\":\"Debian\",\"versions\":{" versions "}}}}"
#define VERSION(name, items) "\"" name "\":{\"items\":{" items "}}"

static int find(const char *text, const char *name, struct streams_image *im)
{
	streams_image_deinit(im);
	return streams_find(text, strlen(text), name, "x86_64", im, &err);
}

static void index_names_lists_of_images(void)
{
	static const char text[] = "{\"index\":{\"a\":{\"datatype\":\"image-downloads\",\"path\":\"streams/v1/a b.json\"},"
				   "\"b\":{\"datatype\":\"image-ids\",\"path\":\"streams/v1/b.json\"},"
				   "\"c\":{\"datatype\":\"image-downloads\",\"path\":\"../../etc/passwd\"},\"d\":5,"
				   "\"e\":{\"datatype\":\"image-downloads\",\"path\":\"//evil.host/x\"}}}";
	lxm_auto(strv) struct lxm_strv lists = { 0 };

	CU_ASSERT(streams_index(text, strlen(text), &lists, &err) == 0);
	CU_ASSERT_FATAL(lists.n == 2);
	CU_ASSERT(lxm_strv_has(&lists, "streams/v1/a%20b.json"));
	CU_ASSERT(lxm_strv_has(&lists, "evil.host/x")); /* below the server */
}

static void index_may_name_so_many_and_no_more(void)
{
	lxm_auto(buf) struct lxm_buf text = { 0 };
	lxm_auto(strv) struct lxm_strv lists = { 0 };
	int i;

	for (i = 0; i < 100; i++)
		lxm_buf_fmt(&text, "%s\"%d\":{\"datatype\":\"image-downloads\",\"path\":\"%d\"}", i ? "," : "{\"index\":{", i, i);
	lxm_buf_str(&text, "}}");
	CU_ASSERT(streams_index(text.data, text.len, &lists, &err) == 0 && lists.n == STREAMS_LISTS_MAX);
}

static void texts_that_are_no_lists(void)
{
	static const char *const bad[] = { "", "{", "[]", "5", "null", "{\"index\":[]}", "{\"products\":7}", "{\"index\":{}} trailing" };
	lxm_auto(streams_image) struct streams_image im = { 0 };
	lxm_auto(strv) struct lxm_strv lists = { 0 };
	size_t i;

	for (i = 0; i < LXM_ARRAY_LEN(bad); i++) {
		CU_ASSERT(streams_index(bad[i], strlen(bad[i]), &lists, &err) == -EBADMSG);
		CU_ASSERT(find(bad[i], "x", &im) == -EBADMSG);
		/* nothing of the text is told */
		CU_ASSERT(!strstr(err.msg, "trailing"));
	}
}

static void squashfs_comes_before_tar(void)
{
	lxm_auto(streams_image) struct streams_image im = { 0 };

	CU_ASSERT(find(PRODUCT("amd64", VERSION("20240101", PAIR "," ROOT("root.tar.xz") "," ROOT("squashfs"))), "deb/12", &im) == 0);
	CU_ASSERT_STRING_EQUAL(im.fingerprint, C64);
	CU_ASSERT_STRING_EQUAL(im.meta.path, "m/lxd.tar.xz");
	CU_ASSERT_STRING_EQUAL(im.root.path, "r/squashfs");
	CU_ASSERT(im.meta.size == 10 && im.root.size == 20);
	CU_ASSERT_STRING_EQUAL(im.meta.sha256, A64);
	CU_ASSERT_STRING_EQUAL(lxm_kv_get(&im.properties, "serial"), "20240101");
	CU_ASSERT_STRING_EQUAL(lxm_kv_get(&im.properties, "os"), "Debian");
	CU_ASSERT(find(PRODUCT("amd64", VERSION("20240101", PAIR "," ROOT("root.tar.xz"))), "deb/12", &im) == 0);
	CU_ASSERT_STRING_EQUAL(im.fingerprint, D64);
}

static void unified_images_are_found(void)
{
	lxm_auto(streams_image) struct streams_image im = { 0 };

	CU_ASSERT(find(PRODUCT("amd64", VERSION("20240101", ROOT("lxd_combined.tar.gz"))), "deb/12", &im) == 0);
	CU_ASSERT_STRING_EQUAL(im.fingerprint, B64);
	CU_ASSERT(im.root.path == NULL && im.meta.size == 20);
}

static void newest_whole_version_wins(void)
{
	static const char text[] = PRODUCT("amd64", VERSION("20240101", PAIR "," ROOT("squashfs")) ","
						    VERSION("20240301", PAIR) "," VERSION("20240201", PAIR "," ROOT("root.tar.xz")));
	lxm_auto(streams_image) struct streams_image im = { 0 };

	CU_ASSERT(find(text, "deb/12", &im) == 0);
	CU_ASSERT_STRING_EQUAL(lxm_kv_get(&im.properties, "serial"), "20240201");
	CU_ASSERT(find(text, "cccccccccccc", &im) == 0);
	CU_ASSERT_STRING_EQUAL(lxm_kv_get(&im.properties, "serial"), "20240101");
}

static void names_and_architectures(void)
{
	static const char amd[] = PRODUCT("amd64", VERSION("20240101", PAIR "," ROOT("squashfs")));
	static const char arm[] = PRODUCT("arm64", VERSION("20240101", PAIR "," ROOT("squashfs")));
	static const char odd[] = PRODUCT("toaster", VERSION("20240101", PAIR "," ROOT("squashfs")));
	lxm_auto(streams_image) struct streams_image im = { 0 };

	CU_ASSERT(find(amd, "deb/book", &im) == 0);
	CU_ASSERT(find(amd, "deb/12/amd64", &im) == 0);
	CU_ASSERT(find(arm, "deb/12", &im) == STREAMS_NONE);
	CU_ASSERT(find(arm, "deb/12/arm64", &im) == 0);
	CU_ASSERT(find(arm, "deb/12/amd64", &im) == STREAMS_NONE);
	CU_ASSERT(find(odd, "deb/12/toaster", &im) == STREAMS_NONE);
	CU_ASSERT(find(amd, "deb", &im) == STREAMS_NONE);
	CU_ASSERT(find(amd, "", &im) == STREAMS_NONE);
	CU_ASSERT(find(amd, C64, &im) == 0);
	CU_ASSERT(find(amd, "ccccc", &im) == STREAMS_NONE); /* too short to mean one image */
	CU_ASSERT(find(amd, B64, &im) == STREAMS_NONE);	    /* a file is no image */
}

static void odd_items_are_passed_over(void)
{
	static const char *const odd[] = {
		"\"lxd.tar.xz\":5,\"squashfs\":[]",
		META("lxd.tar.xz", "\"combined_squashfs_sha256\":\"zz\"") "," ROOT("squashfs"),
		"\"lxd.tar.xz\":{\"path\":\"x\",\"size\":-1,\"sha256\":\"" A64 "\",\"combined_squashfs_sha256\":\"" C64 "\"}," ROOT("squashfs"),
		"\"lxd.tar.xz\":{\"path\":\"a/../../b\",\"size\":1,\"sha256\":\"" A64 "\",\"combined_squashfs_sha256\":\"" C64 "\"}," ROOT("squashfs"),
		"\"lxd.tar.xz\":{\"path\":7,\"size\":1,\"sha256\":\"" A64 "\",\"combined_squashfs_sha256\":\"" C64 "\"}," ROOT("squashfs"),
		"\"lxd.tar.xz\":{\"path\":\"x\",\"size\":1,\"combined_squashfs_sha256\":\"" C64 "\"}," ROOT("squashfs"),
	};
	lxm_auto(streams_image) struct streams_image im = { 0 };
	size_t i;

	for (i = 0; i < LXM_ARRAY_LEN(odd); i++) {
		lxm_auto(buf) struct lxm_buf text = { 0 };

		lxm_buf_fmt(&text, PRODUCT("amd64", VERSION("20240101", "%s")), odd[i]);
		CU_ASSERT(find(text.data, "deb/12", &im) == STREAMS_NONE);
		CU_ASSERT(!im.meta.path && !im.root.path);
	}
}

static void head(struct web_reply *r, const char *line)
{
	web_head_line(r, line, strlen(line));
}

static void headers_are_taken_in_any_case_and_in_bounds(void)
{
	struct web_reply r = { 0 };
	char big[4096];

	head(&r, "lxd-image-hash:  " A64 " \r\n");
	head(&r, "Incus-Image-URL: https://h/x\r\n");
	head(&r, "CONTENT-TYPE: Multipart/Form-Data; boundary=x\r\n");
	CU_ASSERT_STRING_EQUAL(r.image_hash, A64);
	CU_ASSERT_STRING_EQUAL(r.image_url, "https://h/x");
	CU_ASSERT(r.multipart);
	head(&r, "LXD-Image-Hash: " A64 "1\r\n");
	CU_ASSERT_STRING_EQUAL(r.image_hash, "");
	memset(big, 'x', sizeof(big));
	memcpy(big, "LXD-Image-URL:", 14);
	web_head_line(&r, big, sizeof(big));
	CU_ASSERT_STRING_EQUAL(r.image_url, "");
	/* the next answer begins anew */
	head(&r, "HTTP/1.1 200 OK\r\n");
	CU_ASSERT(!r.multipart && !*r.content_type);
}

static int count_entry(void *arg, const struct streams_entry *entry, struct lxm_err *e)
{
	int *n = arg;

	CU_ASSERT_STRING_EQUAL(entry->image->fingerprint, C64);
	CU_ASSERT_STRING_EQUAL(entry->aliases, "deb/12, deb/book");
	CU_ASSERT_STRING_EQUAL(entry->architecture, "aarch64");
	CU_ASSERT_STRING_EQUAL(entry->version, "2");
	CU_ASSERT(entry->image->meta.size + entry->image->root.size == 30);
	return ++*n < 7 ? 0 : -ECANCELED;
}

static void lists_have_the_newest_of_each_product(void)
{
	static const char good[] = PRODUCT("arm64", VERSION("1", PAIR "," ROOT("squashfs")) "," VERSION("2", PAIR "," ROOT("squashfs")) "," VERSION("3", PAIR)),
			  none[] = PRODUCT("mystery", VERSION("1", PAIR "," ROOT("squashfs")));
	int n = 0;

	CU_ASSERT(streams_list(good, strlen(good), count_entry, &n, &err) == 0 && n == 1);
	CU_ASSERT(streams_list(none, strlen(none), count_entry, &n, &err) == 0 && n == 1);
	CU_ASSERT(streams_list("{}", 2, count_entry, &n, &err) == -EBADMSG);
	n = 6;
	CU_ASSERT(streams_list(good, strlen(good), count_entry, &n, &err) == -ECANCELED);
}

UNIT_MAIN("fetch/streams", { "lists have the newest of each product", lists_have_the_newest_of_each_product },
	  { "an index names lists of images", index_names_lists_of_images },
	  { "an index may name so many and no more", index_may_name_so_many_and_no_more },
	  { "texts that are no lists", texts_that_are_no_lists }, { "squashfs comes before tar", squashfs_comes_before_tar },
	  { "unified images are found", unified_images_are_found }, { "the newest whole version wins", newest_whole_version_wins },
	  { "names and architectures", names_and_architectures }, { "odd items are passed over", odd_items_are_passed_over },
	  { "headers are taken in any case and in bounds", headers_are_taken_in_any_case_and_in_bounds })
