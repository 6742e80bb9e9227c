/*
 * Which signal makes this init power off or reboot? There is no common one, so the monitor looks at what init is and
 * what it listens to: /proc/PID/status is the kernel's word, and a wrong guess can do no harm beyond a signal that
 * root inside could send to its own init as well.
 *
 *	systemd		blocks SIGRTMIN+3 (read through a signalfd) and ignores SIGPWR
 *	runit		stops on SIGCONT if /etc/runit/stopit is executable, reboots if /etc/runit/reboot is, too
 *	sysvinit	runs the power-failure line of inittab on SIGPWR, the ctrlaltdel line on SIGINT
 *	busybox		halts on SIGPWR and SIGUSR1, powers off on SIGUSR2, reboots on SIGTERM
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
	s->caught = mask_of(text, "\nSigBlk:\t") | mask_of(text, "\nSigCgt:\t");
	return 0;
}

static const struct {
	const char *comm; /* NULL: any */
	int wants;	  /* must listen to this; 0: nothing is asked */
	int poweroff, reboot;
} known[] = {
	{ "runit", 0, SIGCONT, SIGINT },
	{ NULL, RT_POWEROFF, RT_POWEROFF, RT_REBOOT }, /* systemd, also under another name */
	{ NULL, SIGUSR2, SIGPWR, SIGTERM },	       /* busybox; see below for sysvinit */
	{ NULL, SIGPWR, SIGPWR, SIGINT },
	{ NULL, SIGTERM, SIGTERM, SIGINT },
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

		if (known[i].comm && strcmp(known[i].comm, s.comm) != 0)
			continue;
		if (known[i].wants && !listens(&s, known[i].wants))
			continue;
		if (!known[i].comm && !listens(&s, sig))
			continue;
		return sig;
	}
	return lxm_err_set(e, EOPNOTSUPP, "init '%s' listens to no signal that would %s it", s.comm, reboot ? "reboot" : "stop");
}
