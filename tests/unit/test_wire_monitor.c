/* lib/wire/monitor: messages cross a socket whole, damaged ones are refused. */
#include "tests/unit/unit.h"

#include <string.h>
#include <sys/socket.h>

#include "lib/base/fd.h"
#include "lib/wire/monitor.h"

static void messages_cross_with_descriptors(void)
{
	struct mon_msg in = { .kind = MON_HELLO, .seq = 9, .arg = MON_BRINGS_GUEST | MON_BRINGS_PARK, .code = 3, .pid = 77, .state = MON_STATE_RUNNING, .start_ms = 1ull << 40, .status = 2, .text = "words" };
	unsigned char buf[MON_MAX];
	struct mon_hello hello;
	struct lxm_err e = { 0 };
	struct mon_msg out;
	int sv[2], fds[MON_FDS];
	size_t n;

	CU_ASSERT_EQUAL_FATAL(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sv), 0);
	CU_ASSERT_EQUAL(mon_send(sv[0], &in, (int[]){ sv[0], sv[1], sv[0] }, 3, 0), 0);
	CU_ASSERT_EQUAL(mon_recv(sv[1], &out, buf, fds, &n, 0, &e), 1);
	CU_ASSERT(out.kind == MON_HELLO && out.seq == 9 && out.pid == 77 && out.start_ms == 1ull << 40 && n == 3);
	CU_ASSERT_STRING_EQUAL(out.text, "words");
	mon_take_hello(&out, fds, n, &hello);
	CU_ASSERT(hello.pid == 77 && hello.reboots == 2 && hello.pidfd >= 0 && hello.netlink == -1 && hello.guest >= 0);
	CU_ASSERT(hello.parked == 3 && hello.park >= 0);
	mon_hello_deinit(&hello);
	CU_ASSERT(hello.pidfd == -1 && hello.guest == -1 && hello.park == -1);
	close(sv[0]);
	CU_ASSERT_EQUAL(mon_recv(sv[1], &out, buf, fds, &n, 0, &e), 0);
	close(sv[1]);
}

static void long_texts_are_cut(void)
{
	unsigned char buf[MON_MAX];
	struct lxm_err e = { 0 };
	char text[5000];
	struct mon_msg in = { .kind = MON_FAILED, .code = 5, .text = text }, out;
	int n;

	memset(text, 'x', sizeof(text));
	text[sizeof(text) - 1] = 0;
	n = mon_encode(&in, buf);
	CU_ASSERT(n > 0 && n < MON_MAX);
	CU_ASSERT_EQUAL(mon_decode(buf, (size_t)n, &out, &e), 0);
	CU_ASSERT_EQUAL(strlen(out.text), 639);
}

static void damaged_messages_are_refused(void)
{
	struct mon_msg in = { .kind = MON_SIGNAL, .seq = 1, .arg = 15 }, out;
	unsigned char buf[MON_MAX];
	struct lxm_err e = { 0 };
	int n = mon_encode(&in, buf), i;

	for (i = 0; i < n; i++)
		CU_ASSERT_EQUAL(mon_decode(buf, (size_t)i, &out, &e), -EBADMSG);
	for (i = 0; i < n; i++) {
		buf[i] ^= 0xff;
		(void)mon_decode(buf, (size_t)n, &out, &e);
		buf[i] ^= 0xff;
	}
	in.kind = 200;
	n = mon_encode(&in, buf);
	CU_ASSERT_EQUAL(mon_decode(buf, (size_t)n, &out, &e), -EBADMSG);
}

static void failed_starts_come_back_as_errors(void)
{
	struct mon_msg m = { .kind = MON_FAILED, .code = ENOENT, .text = "mount '/x': gone" };
	struct mon_hello hello = MON_HELLO_EMPTY;
	struct lxm_err e = { 0 };
	int sv[2];

	CU_ASSERT_EQUAL_FATAL(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sv), 0);
	CU_ASSERT_EQUAL(mon_wait_started(sv[1], 10, &hello, &e), -ETIMEDOUT);
	CU_ASSERT_EQUAL(mon_send(sv[0], &m, NULL, 0, 0), 0);
	CU_ASSERT_EQUAL(mon_wait_started(sv[1], 1000, &hello, &e), -ENOENT);
	CU_ASSERT_STRING_EQUAL(e.msg, "mount '/x': gone");
	close(sv[0]);
	CU_ASSERT_EQUAL(mon_wait_started(sv[1], 1000, &hello, &e), -ECONNRESET);
	close(sv[1]);
}

static void reasons_have_names(void)
{
	uint32_t i;

	for (i = MON_REASON_POWEROFF; i <= MON_REASON_FAILED; i++)
		CU_ASSERT_EQUAL(mon_reason_parse(mon_reason_name(i)), i);
	CU_ASSERT_EQUAL(mon_reason_parse("nonsense"), 0);
	CU_ASSERT_STRING_EQUAL(mon_reason_name(99), "unknown");
}

UNIT_MAIN("wire/monitor", { "messages cross with descriptors", messages_cross_with_descriptors }, { "long texts are cut", long_texts_are_cut },
	  { "damaged messages are refused", damaged_messages_are_refused }, { "failed starts come back as errors", failed_starts_come_back_as_errors },
	  { "reasons have names", reasons_have_names })
