/* lxmd/http/proxy_header: both versions, in pieces of any size, and what is neither. */
#include "tests/unit/unit.h"

#include <errno.h>
#include <string.h>

#include "lxmd/http/listen.h"
#include "lxmd/http/proxy_header.h"

#define SIGN2 "\r\n\r\n\0\r\nQUIT\n"

/* Feeds n bytes by `step`; what follows the header must be left alone. */
static int feed(const char *bytes, size_t n, size_t step, char text[ADDR_TEXT], size_t *used_out)
{
	struct proxy_header p = { 0 };
	struct sockaddr_storage sa;
	size_t used;
	int r = PROXY_HEADER_MORE;

	*used_out = 0;
	while (r == PROXY_HEADER_MORE && *used_out < n) {
		size_t left = n - *used_out;

		r = proxy_header_feed(&p, bytes + *used_out, left < step ? left : step, &used, &sa);
		*used_out += used;
	}
	if (r == 0)
		addr_text(&sa, text);
	return r;
}

static void check(const char *bytes, size_t n, const char *want)
{
	char text[ADDR_TEXT] = "?";
	size_t step, used;

	for (step = 1; step <= n; step++) {
		CU_ASSERT(feed(bytes, n, step, text, &used) == 0);
		CU_ASSERT_STRING_EQUAL(text, want);
		CU_ASSERT(used == n - 1); /* one byte of TLS stands behind each of them */
	}
}

#define CHECK(bytes, want) check(bytes, sizeof(bytes) - 1, want)

static void version_1(void)
{
	CHECK("PROXY TCP4 192.0.2.9 10.0.0.1 4711 8443\r\n\x16", "192.0.2.9:4711");
	CHECK("PROXY TCP6 2001:db8::9 ::1 4711 8443\r\n\x16", "[2001:db8::9]:4711");
	CHECK("PROXY TCP6 ::ffff:192.0.2.9 ::1 4711 8443\r\n\x16", "192.0.2.9:4711");
	CHECK("PROXY UNKNOWN\r\n\x16", "");
	CHECK("PROXY UNKNOWN ff:: ff:: 1 2\r\n\x16", "");
}

static void version_2(void)
{
	CHECK(SIGN2 "\x21\x11\0\x0c\xc0\0\2\x09\x0a\0\0\1\x12\x67\x20\xfb\x16", "192.0.2.9:4711");
	CHECK(SIGN2 "\x21\x11\0\x0f\xc0\0\2\x09\x0a\0\0\1\x12\x67\x20\xfb\x04\0\0\x16", "192.0.2.9:4711"); /* an extension */
	CHECK(SIGN2 "\x21\x21\0\x24\x20\1\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x09\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\1\x12\x67\x20\xfb\x16",
	      "[2001:db8::9]:4711");
	CHECK(SIGN2 "\x20\0\0\0\x16", "");
	CHECK(SIGN2 "\x21\0\0\0\x16", "");
}

static void long_extensions_are_skipped(void)
{
	static char bytes[16 + 3000 + 1] = SIGN2 "\x21\x11\x0b\xb8\xc0\0\2\x09\x0a\0\0\1\x12\x67\x20\xfb";
	char text[ADDR_TEXT];
	size_t used;

	CU_ASSERT(feed(bytes, sizeof(bytes), 7, text, &used) == 0 && used == 3016);
	CU_ASSERT_STRING_EQUAL(text, "192.0.2.9:4711");
}

static void other_beginnings_are_no_header(void)
{
	char text[ADDR_TEXT];
	size_t used;

	CU_ASSERT(feed("\x16\x03\x01", 3, 3, text, &used) == PROXY_HEADER_NONE && used == 0);
	CU_ASSERT(feed("GET /", 5, 1, text, &used) == PROXY_HEADER_NONE && used == 0);
	CU_ASSERT(feed("PROXY TCP4", 10, 1, text, &used) == PROXY_HEADER_MORE);
}

static void malformed_headers_are_refused(void)
{
	static const struct {
		const char *bytes;
		size_t n;
	} bad[] = {
#define BAD(s) { s, sizeof(s) - 1 }
		BAD("PROXX"), BAD("PROXY\n"), BAD("PROXY TCP4 1.2.3.4 1.2.3.4 99999 1\r\n"), BAD("PROXY TCP4 1.2.3 1.2.3.4 9 1\r\n"),
		BAD("PROXY TCP4 1.2.3.4 1.2.3.4 9 1\n"), BAD("PROXY TCP9 1.2.3.4 1.2.3.4 9 1\r\n"), BAD("PROXY \0TCP4\r\n"),
		BAD("PROXY TCP4 ::1 ::1 9 1\r\n"), BAD("\r\n\r\nX"), BAD(SIGN2 "\x31\x11\0\0"), BAD(SIGN2 "\x21\x11\0\x04" "1234"),
		BAD(SIGN2 "\x21\x21\0\x0c" "123456789012"),
	};
	char text[ADDR_TEXT], line[200];
	size_t i, used;

	for (i = 0; i < LXM_ARRAY_LEN(bad); i++)
		CU_ASSERT(feed(bad[i].bytes, bad[i].n, 1, text, &used) == -EINVAL);
	memset(line, 'x', sizeof(line));
	memcpy(line, "PROXY ", 6);
	CU_ASSERT(feed(line, sizeof(line), 9, text, &used) == -EINVAL);
}

UNIT_MAIN("http proxy header", { "version 1", version_1 }, { "version 2", version_2 },
	  { "long extensions are skipped", long_extensions_are_skipped },
	  { "other beginnings are no header", other_beginnings_are_no_header },
	  { "malformed headers are refused", malformed_headers_are_refused })
