/* lxmd/monitor/sessions: the table of exec sessions that wait for a new lxmd. */
#include "tests/unit/unit.h"

#include <fcntl.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/wire/exec.h"
#include "lxmd/monitor/mon.h"

static struct mon m;

static void set_up(void)
{
	size_t i;

	memset(&m, 0, sizeof(m));
	for (i = 0; i < MON_CLIENTS; i++)
		m.clients[i] = -1;
	CU_ASSERT_FATAL(sessions_open(&m, NULL) == 0);
}

/* A helper parks itself; answers its end of the socket that it sent. */
static int park(uint32_t kind)
{
	const struct exec_report r = { .kind = kind };
	int sv[2];

	CU_ASSERT_FATAL(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sv) == 0);
	CU_ASSERT(exec_report_send(m.park[1], &r, &sv[1], 1) == 0);
	close(sv[1]);
	return sv[0];
}

static bool is_closed(int fd)
{
	char c;

	return recv(fd, &c, 1, MSG_DONTWAIT) == 0;
}

static void who_parks_is_given_away_once(void)
{
	int a, b, fd, other;

	set_up();
	a = park(EXEC_PARKED);
	b = park(EXEC_PARKED);
	sessions_read(&m);
	CU_ASSERT(m.nparked == 2);
	CU_ASSERT(sessions_take(&m, &fd) == 1 && fd >= 0);
	CU_ASSERT(fcntl(fd, F_GETFD) & FD_CLOEXEC);
	CU_ASSERT(sessions_take(&m, &other) == 0 && other >= 0 && other != fd);
	CU_ASSERT(sessions_take(&m, &fd) == 0 && fd == -1);
	CU_ASSERT(!is_closed(a) && !is_closed(b));
	close(other);
	close(a);
	close(b);
	sessions_close(&m);
}

static void what_is_no_parking_is_dropped(void)
{
	static const char junk[64] = "junk";
	const struct exec_report bare = { .kind = EXEC_PARKED };
	int other, fine;

	set_up();
	other = park(EXEC_STATE);
	CU_ASSERT(exec_report_send(m.park[1], &bare, NULL, 0) == 0);
	CU_ASSERT(send(m.park[1], junk, sizeof(junk), 0) == sizeof(junk));
	fine = park(EXEC_PARKED); /* behind all that */
	sessions_read(&m);
	CU_ASSERT(m.nparked == 1 && is_closed(other) && !is_closed(fine));
	close(other);
	close(fine);
	sessions_close(&m);
}

/* Parks until `n` are in the table, a few at a time: the socket's queue is short. */
static void fill(int *ends, uint32_t n)
{
	while (m.nparked < n) {
		ends[m.nparked] = park(EXEC_PARKED);
		sessions_read(&m);
	}
}

static void a_full_table_turns_away_and_forgets_the_dead(void)
{
	int ends[MON_PARKED_MAX], late;
	struct rlimit rl;
	uint32_t i;

	CU_ASSERT(getrlimit(RLIMIT_NOFILE, &rl) == 0);
	rl.rlim_cur = rl.rlim_max;
	CU_ASSERT(setrlimit(RLIMIT_NOFILE, &rl) == 0);
	set_up();
	fill(ends, MON_PARKED_MAX);
	late = park(EXEC_PARKED);
	sessions_read(&m);
	CU_ASSERT(m.nparked == MON_PARKED_MAX && is_closed(late));
	close(late);
	close(ends[3]);
	ends[3] = park(EXEC_PARKED); /* its place is free: that helper has ended */
	sessions_read(&m);
	CU_ASSERT(m.nparked == MON_PARKED_MAX && !is_closed(ends[3]));
	for (i = 0; i < MON_PARKED_MAX; i++)
		CU_ASSERT(!is_closed(ends[i]));
	sessions_close(&m);
	CU_ASSERT(m.nparked == 0 && m.park[0] == -1 && m.park[1] == -1);
	for (i = 0; i < MON_PARKED_MAX; i++) {
		CU_ASSERT(is_closed(ends[i]));
		close(ends[i]);
	}
}

UNIT_MAIN("monitor/sessions", { "who parks is given away once", who_parks_is_given_away_once },
	  { "what is no parking is dropped", what_is_no_parking_is_dropped },
	  { "a full table turns away and forgets the dead", a_full_table_turns_away_and_forgets_the_dead })
