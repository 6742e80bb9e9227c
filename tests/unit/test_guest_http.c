/* lxmd/guest/http: what is a request, what is refused, and with which status. */
#include "tests/unit/unit.h"

#include <string.h>

#include "lxmd/guest/http.h"

static struct guest_request rq;

static int parse(const char *s)
{
	return guest_http_parse(s, strlen(s), &rq);
}

static void requests_are_decoded(void)
{
	CU_ASSERT_EQUAL(parse("GET /1.0?type=device HTTP/1.1\r\nHost: lxd\r\n\r\n"), 1);
	CU_ASSERT_STRING_EQUAL(rq.method, "GET");
	CU_ASSERT_STRING_EQUAL(rq.path, "/1.0");
	CU_ASSERT_STRING_EQUAL(rq.query, "type=device");
	CU_ASSERT(!rq.close && !rq.websocket && rq.body == 0);
	CU_ASSERT_EQUAL(parse("PATCH /1.0 HTTP/1.1\ncontent-length: 2\nconnection: Close\n\n{}GET"), 1);
	CU_ASSERT(rq.close && rq.body == 2 && rq.head == strlen("PATCH /1.0 HTTP/1.1\ncontent-length: 2\nconnection: Close\n\n"));
	CU_ASSERT_EQUAL(parse("GET / HTTP/1.0\r\n\r\n"), 1);
	CU_ASSERT(rq.close);
}

static void more_is_waited_for(void)
{
	static const char whole[] = "PATCH /1.0 HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc";
	size_t n;

	for (n = 0; n < sizeof(whole) - 1; n++)
		CU_ASSERT_EQUAL(guest_http_parse(whole, n, &rq), 0);
	CU_ASSERT_EQUAL(guest_http_parse(whole, n, &rq), 1);
}

static void upgrades_are_seen(void)
{
	CU_ASSERT_EQUAL(parse("GET /1.0/events HTTP/1.1\r\nConnection: keep-alive, Upgrade\r\nUpgrade: WebSocket\r\n"
			      "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: abc=\r\n\r\n"), 1);
	CU_ASSERT(rq.websocket);
	CU_ASSERT_STRING_EQUAL(rq.ws_key, "abc=");
	CU_ASSERT_EQUAL(parse("GET /1.0/events HTTP/1.1\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: abc=\r\n\r\n"), 1);
	CU_ASSERT(!rq.websocket);
}

static void what_is_none_is_refused(void)
{
	static const struct {
		const char *text;
		int status;
	} rows[] = {
		{ "\r\n", -400 },
		{ "GET\r\n", -400 },
		{ "GET / \r\n", -505 },
		{ "GET / HTTP/2.0\r\n", -505 },
		{ "GET http://x/ HTTP/1.1\r\n", -400 },
		{ "LONGMETHOD / HTTP/1.1\r\n", -400 },
		{ "GET / HTTP/1.1\r\nno colon\r\n", -400 },
		{ "GET / HTTP/1.1\r\nA: b\r\n folded: c\r\n", -400 },
		{ "GET / HTTP/1.1\r\nName : x\r\n", -400 },
		{ "GET / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n", -411 },
		{ "GET / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 1\r\n", -400 },
		{ "GET / HTTP/1.1\r\nContent-Length: -1\r\n", -400 },
		{ "GET / HTTP/1.1\r\nContent-Length: 4097\r\n", -413 },
		{ "GET / HTTP/1.1\r\nContent-Length: 4090\r\n\r\n", -413 },
	};
	char big[GUEST_REQUEST_MAX];
	size_t i;

	for (i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		int r = parse(rows[i].text);

		if (r != rows[i].status)
			printf("\n    %zu: %d\n", i, r);
		CU_ASSERT_EQUAL(r, rows[i].status);
	}
	memset(big, 'a', sizeof(big));
	CU_ASSERT_EQUAL(guest_http_parse(big, sizeof(big), &rq), -414);
	memcpy(big, "GET / HTTP/1.1\r\n", 16);
	CU_ASSERT_EQUAL(guest_http_parse(big, sizeof(big), &rq), -431);
	memcpy(big, "GET /", 5);
	memset(big + 5, 'a', 2000);
	memcpy(big + 2000, " HTTP/1.1\r\n", 11);
	CU_ASSERT_EQUAL(guest_http_parse(big, sizeof(big), &rq), -414);
}

UNIT_MAIN("guest/http", { "requests are decoded", requests_are_decoded }, { "more is waited for", more_is_waited_for },
	   { "upgrades are seen", upgrades_are_seen }, { "what is none is refused", what_is_none_is_refused })
