/*
 * lxm-helper: single-threaded, one job, then it exits. lxmd starts it with the job in a sealed memfd; it enters an
 * instance, which a threaded daemon cannot do, and runs one program there or works on its files.
 */
#include "lxmd/helper/helper.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>

#include "lib/base/sys.h"
#include "lxmd/helper/file.h"

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
	unsigned int fds; /* descriptors from this one on are not ours */
	int (*run)(void);
} verbs[] = {
	{ "exec", HELP_FD_FIRST_FREE, exec_run },
	{ "file", HELP_FD_FILE_END, file_run },
	{ "hot", HELP_FD_INIT + 1, hot_run },
};

int main(int argc, char **argv)
{
	size_t i;

	/* no process of the container may trace us or read our /proc entries while we are half inside (CVE-2016-9962) */
	(void)prctl(PR_SET_DUMPABLE, 0);
	(void)prctl(PR_SET_NAME, "lxm-helper");
	for (i = 0; argc == 2 && i < LXM_ARRAY_LEN(verbs); i++) {
		if (strcmp(argv[1], verbs[i].name) != 0)
			continue;
		(void)sys_close_range(verbs[i].fds, ~0U, 0);
		return verbs[i].run();
	}
	fprintf(stderr, "lxm-helper is started by lxmd\n");
	return 2;
}
