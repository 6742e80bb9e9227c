/*
 * lxm-fetch: one exchange of an image with a server. lxmd starts it as a user without rights, with a sealed job and the
 * descriptors of lib/wire/fetch.h; it keeps libcurl, TLS and foreign JSON out of lxmd. It ends when lxmd ends.
 */
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>

#include "lib/base/sys.h"
#include "lxmd/fetch/verbs.h"

#define MEMORY_MAX (1024ul << 20)

#ifdef LXM_SAN
/* leak checking needs ptrace, which the sandbox takes away */
const char *__asan_default_options(void);
const char *__asan_default_options(void)
{
	return "detect_leaks=0";
}
#endif

typedef int (*verb_fn)(struct web *w, bool *split_out, struct lxm_err *e);

static const verb_fn verbs[FETCH_VERBS] = {
	[FETCH_STREAMS] = pull_streams,
	[FETCH_SERVER] = pull_server,
	[FETCH_DIRECT] = pull_direct,
	[FETCH_PUSH] = push_image,
};

static void limit_memory(void)
{
#ifndef LXM_SAN /* the sanitizers map terabytes */
	(void)setrlimit(RLIMIT_AS, &(struct rlimit){ MEMORY_MAX, MEMORY_MAX });
#endif
	(void)setrlimit(RLIMIT_CORE, &(struct rlimit){ 0, 0 });
}

static int run(bool *split, struct lxm_err *e)
{
	struct fetch_view v = { 0 };
	struct web *w = NULL;
	int r = fetch_job_open(FETCH_FD_JOB, &v, e);

	if (r == 0)
		r = sandbox_enter(e);
	if (r == 0)
		r = web_new(&v.job, FETCH_FD_SOCK, &w, e);
	if (r == 0)
		r = verbs[v.job.verb](w, split, e);
	web_free(w);
	fetch_job_close(&v);
	return r;
}

int main(int argc, char **argv)
{
	struct fetch_report last = { .kind = FETCH_DONE };
	struct lxm_err e = { 0 };
	bool split = false;

	/* others run as the same user: none of them may trace us */
	(void)prctl(PR_SET_DUMPABLE, 0);
	if (argc != 2 || strcmp(argv[1], "job") != 0) {
		fprintf(stderr, "lxm-fetch is started by lxmd\n");
		return 2;
	}
	(void)sys_close_range(FETCH_FD_END, ~0U, 0);
	limit_memory();
	if (run(&split, &e) < 0) {
		last.kind = FETCH_FAILED;
		last.code = e.code ? e.code : EIO;
		last.http = e.http;
		snprintf(last.text, sizeof(last.text), "%s", e.msg);
	}
	last.split = split;
	return fetch_report_send(FETCH_FD_SOCK, &last) < 0 || last.kind == FETCH_FAILED;
}
