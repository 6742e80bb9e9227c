/*
 * Which signal makes this init power off or reboot? There is no common one, so the monitor looks at what init is and
 * what it listens to: /proc/PID/status is the kernel's word, and a wrong guess can do no harm beyond a signal that
 * root inside could send to its own init as well.
 *
 *	systemd		blocks SIGRTMIN+3 (read through a signalfd) and ignores SIGPWR
 *	runit		runs /etc/runit/ctrlaltdel on SIGINT, which decides; a reboot in answer to a stop counts as one (SIGCONT
 *			would do nothing where no script has made /etc/runit/stopit executable)
 *	sysvinit	runs the power-failure line of inittab on SIGPWR, the ctrlaltdel line on SIGINT
 *	busybox		powers off on SIGUSR2, reboots on SIGTERM; waits in sigtimedwait(), where SigBlk shows nothing, so it is
 *			known by its program; it catches SIGTSTP from when it listens
 *
 * An init that was just executed listens to nothing yet, and a signal would be lost: main.c then asks again.
 */
#include "lxmd/monitor/mon.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/fd.h"

/* By the kernel's numbers: SIGRTMIN of libc is 34. */
enum { RT_POWEROFF = 37, RT_REBOOT = 39 };

struct init_status {
	char comm[32];
	char exe[64];	 /* last component of its program's path, "" if unknown */
	uint64_t caught; /* caught or blocked: listens to it in one way or the other */
};

static bool listens(const struct init_status *s, int sig)
{
	return s->caught >> (sig - 1) & 1;
}

static uint64_t mask_of(const char *text, const char *key)
{
	const char *p = strstr(text, key);

	return p ? strtoull(p + strlen(key), NULL, 16) : 0;
}

/* The link's text only: nothing that belongs to the container is opened. */
static void read_exe(pid_t pid, struct init_status *s)
{
	char path[32], to[512], *base;
	ssize_t n;

	snprintf(path, sizeof(path), "/proc/%d/exe", (int)pid);
	n = readlink(path, to, sizeof(to) - 1);
	to[n > 0 ? n : 0] = 0;
	base = strrchr(to, '/');
	snprintf(s->exe, sizeof(s->exe), "%.63s", base ? base + 1 : to);
}

static int read_status(pid_t pid, struct init_status *s, struct lxm_err *e)
{
	char path[32], text[2048];
	lxm_auto(fd_close) int fd = -1;
	ssize_t n;

	snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	n = fd < 0 ? -errno : lxm_read_full(fd, text, sizeof(text) - 1);
	if (n < 0) {
		errno = (int)-n;
		return lxm_err_sys(e, "read '%s'", path);
	}
	text[n] = 0;
	if (sscanf(text, "Name:\t%31[^\n]", s->comm) != 1)
		s->comm[0] = 0;
	read_exe(pid, s);
	s->caught = mask_of(text, "\nSigBlk:\t") | mask_of(text, "\nSigCgt:\t");
	return 0;
}

static const struct {
	const char *comm, *exe; /* NULL: any */
	int wants;		/* must listen to this; 0: to the signal itself */
	int poweroff, reboot;
} known[] = {
	{ "runit", NULL, SIGINT, SIGINT, SIGINT },
	{ NULL, "busybox", SIGTSTP, SIGUSR2, SIGTERM },
	{ NULL, NULL, RT_POWEROFF, RT_POWEROFF, RT_REBOOT }, /* systemd */
	{ NULL, NULL, 0, SIGPWR, SIGINT },
	{ NULL, NULL, 0, SIGTERM, SIGINT },
};

int signal_for_init(pid_t pid, bool reboot, struct lxm_err *e)
{
	struct init_status s = { .caught = 0 };
	size_t i;
	int r = read_status(pid, &s, e);

	if (r < 0)
		return r;
	for (i = 0; i < LXM_ARRAY_LEN(known); i++) {
		int sig = reboot ? known[i].reboot : known[i].poweroff;

		if ((known[i].comm && strcmp(known[i].comm, s.comm) != 0) || (known[i].exe && strcmp(known[i].exe, s.exe) != 0))
			continue;
		if (!listens(&s, known[i].wants ? known[i].wants : sig))
			continue;
		return sig;
	}
	return lxm_err_set(e, EOPNOTSUPP, "init '%s' listens to no signal that would %s it", s.comm, reboot ? "reboot" : "stop");
}
