/*
 * lxm-helper: single-threaded, one job, then it exits. lxmd starts it with the job in a sealed memfd; it enters the
 * namespaces of a running instance, which a threaded daemon cannot do, and runs one program there.
 */
#include "lxmd/helper/helper.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>

#include "lib/base/sys.h"

#ifdef LXM_SAN
/* leak checking needs ptrace, which a process between namespaces has not */
const char *__asan_default_options(void);
const char *__asan_default_options(void)
{
	return "detect_leaks=0";
}
#endif

/* One row for each verb. */
static const struct {
	const char *name;
	int (*run)(void);
} verbs[] = {
	{ "exec", exec_run },
};

int main(int argc, char **argv)
{
	size_t i;

	/* no process of the container may trace us or read our /proc entries while we are half inside (CVE-2016-9962) */
	(void)prctl(PR_SET_DUMPABLE, 0);
	(void)prctl(PR_SET_NAME, "lxm-helper");
	(void)sys_close_range(HELP_FD_FIRST_FREE, ~0U, 0);
	for (i = 0; argc == 2 && i < LXM_ARRAY_LEN(verbs); i++)
		if (strcmp(argv[1], verbs[i].name) == 0)
			return verbs[i].run();
	fprintf(stderr, "lxm-helper is started by lxmd\n");
	return 2;
}
