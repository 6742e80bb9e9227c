/* Fuzz target: a start plan as the monitor reads it, and an exec job as the helper does. */
#include <stdint.h>
#include <string.h>

#include "lib/wire/exec.h"
#include "lib/wire/plan.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void walk_plan(const struct plan_view *v)
{
	volatile size_t sum = 0;
	struct plan_step s;
	size_t pos = 0;

	while (plan_next(v, &pos, &s)) {
		if (s.kind == PLAN_ARG || s.kind == PLAN_ENV)
			sum += strlen(s.u.text.s);
		else if (s.kind == PLAN_FILE && s.u.file.data.len)
			sum += ((const uint8_t *)s.u.file.data.data)[s.u.file.data.len - 1];
	}
	(void)plan_host_id(v, PLAN_MAP_UID, 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct plan_view plan;
	struct exec_view job;
	struct lxm_err e = { 0 };
	char *const *p;

	if (plan_check(data, size, &plan, &e) == 0)
		walk_plan(&plan);
	if (exec_job_check(data, size, &job, &e) == 0) {
		volatile size_t sum = 0;

		for (p = job.job.argv; *p; p++)
			sum += strlen(*p);
		for (p = job.job.env; *p; p++)
			sum += strlen(*p);
		exec_job_close(&job);
	}
	return 0;
}
