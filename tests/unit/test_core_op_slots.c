/* lxmd/core/op_slots and ops: what is noted of running operations, and what the next lxmd makes of it. */
#include "tests/unit/scratch.h"
#include "tests/unit/unit.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/api/json.h"
#include "lib/base/alloc.h"
#include "lib/base/fd.h"
#include "lxmd/core/daemon.h"
#include "lxmd/core/op.h"
#include "lxmd/core/op_slots.h"

static char dir[SCRATCH_MAX];
static int dirfd_ = -1;

static void set_up(void)
{
	scratch(dir, "slots");
	dirfd_ = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

static void tear_down(void)
{
	(void)unlinkat(dirfd_, "operations", 0);
	close(dirfd_);
	(void)rmdir(dir);
}

static struct op_slots *opened(void)
{
	struct op_slots *s = NULL;

	CU_ASSERT_FATAL(op_slots_open(dirfd_, &s, NULL) == 0);
	return s;
}

static char id1[] = "0123abcd-0123-0123-0123-0123456789ab";

static struct op_note note(void)
{
	struct op_note n = { .id = id1, .project = (char *)"p", .description = (char *)"Building", .cls = OP_TASK, .created_at = 5 };

	(void)snprintf(n.caller.fingerprint, sizeof(n.caller.fingerprint), "%064d", 7);
	return n;
}

static void a_note_is_there_for_the_next_one_and_gone_once_given(void)
{
	struct op_slots *s;
	struct op_note n = note(), got;
	int at;

	set_up();
	s = opened();
	n.resources = json_pack("{s:[s]}", "instances", "/1.0/instances/c1");
	at = op_slots_take(s, &n);
	CU_ASSERT(at >= 0);
	op_slots_close(s);
	s = opened();
	CU_ASSERT_FATAL(op_slots_read(s, at, &got));
	CU_ASSERT_STRING_EQUAL(got.id, id1);
	CU_ASSERT_STRING_EQUAL(got.project, "p");
	CU_ASSERT_STRING_EQUAL(got.description, "Building");
	CU_ASSERT_STRING_EQUAL(got.caller.fingerprint, n.caller.fingerprint);
	CU_ASSERT(got.cls == OP_TASK && got.created_at == 5 && !got.told);
	CU_ASSERT(json_equal(got.resources, n.resources));
	op_note_deinit(&got);
	op_slots_told(s, at);
	op_slots_close(s);
	s = opened();
	CU_ASSERT(op_slots_read(s, at, &got) && got.told);
	op_note_deinit(&got);
	op_slots_give(s, at);
	CU_ASSERT(!op_slots_read(s, at, &got));
	op_slots_close(s);
	json_decref(n.resources);
	tear_down();
}

static void the_room_is_bounded_and_reserved(void)
{
	struct op_slots *s;
	struct op_note n = note();
	struct stat st;
	int i, last = -1;

	set_up();
	s = opened();
	CU_ASSERT(fstatat(dirfd_, "operations", &st, 0) == 0);
	CU_ASSERT(st.st_blocks * 512 >= st.st_size && (st.st_mode & 0777) == 0600);
	for (i = 0; i < OP_SLOTS; i++)
		CU_ASSERT((last = op_slots_take(s, &n)) >= 0);
	CU_ASSERT(op_slots_take(s, &n) == -1);
	op_slots_give(s, last);
	CU_ASSERT(op_slots_take(s, &n) == last);
	op_slots_close(s);
	tear_down();
}

static void what_does_not_fit_is_cut_or_not_noted(void)
{
	struct op_slots *s;
	struct op_note n = note(), got;
	char longer[2000];
	int at;

	set_up();
	s = opened();
	memset(longer, 'x', sizeof(longer) - 1);
	longer[sizeof(longer) - 1] = 0;
	n.description = longer;
	n.resources = json_pack("{s:[s]}", "instances", longer);
	at = op_slots_take(s, &n);
	CU_ASSERT_FATAL(op_slots_read(s, at, &got));
	CU_ASSERT(strlen(got.description) == 95 && !got.resources);
	op_note_deinit(&got);
	n.project = longer;
	CU_ASSERT(op_slots_take(s, &n) == -1);
	json_decref(n.resources);
	op_slots_close(s);
	tear_down();
}

static void a_damaged_file_is_no_harm(void)
{
	static const char junk[1024] = { [0 ... 1023] = 'j' };
	struct op_slots *s;
	struct op_note n = note(), got;
	int fd, at;

	set_up();
	s = opened();
	at = op_slots_take(s, &n);
	op_slots_close(s);
	fd = openat(dirfd_, "operations", O_RDWR | O_CLOEXEC);
	CU_ASSERT(pwrite(fd, junk, sizeof(junk), 1024 * (at + 1)) == sizeof(junk));
	s = opened();
	CU_ASSERT(!op_slots_read(s, at, &got));
	CU_ASSERT(op_slots_take(s, &n) == at);
	op_slots_close(s);
	CU_ASSERT(pwrite(fd, "lxmops 0", 8, 0) == 8); /* another layout: nothing of it is used */
	s = opened();
	CU_ASSERT(!op_slots_read(s, at, &got));
	op_slots_close(s);
	close(fd);
	tear_down();
}

/* ---- with operations */

static struct lxmd d;

static void daemon_up(void)
{
	memset(&d, 0, sizeof(d));
	CU_ASSERT_FATAL(daemon_start_core(&d, NULL) == 0);
	ops_remember(d.ops, dirfd_);
}

static struct op *make(const char *id, const char *project)
{
	const struct op_spec spec = { .id = id, .cls = OP_TOKEN, .project = project, .description = "Waiting" };
	struct op *op = NULL;

	CU_ASSERT_FATAL(op_new(&d, &spec, &op, NULL) == 0);
	op_start(op);
	return op;
}

static void what_was_cut_off_is_a_failure_and_what_ended_is_unknown(void)
{
	static const struct caller root = { .trust = CALLER_ADMIN }, tenant = { .trust = CALLER_RESTRICTED };
	lxm_auto(free) char *cut = NULL, *done = NULL;
	struct op *op;
	json_t *o;
	int i;

	set_up();
	daemon_up();
	op = make(NULL, "p");
	cut = lxm_strdup(op_id(op));
	op_unref(op);
	op = make(NULL, "p");
	done = lxm_strdup(op_id(op));
	op_finish(op, NULL);
	op_unref(op);
	CU_ASSERT(ops_stop(d.ops, 2000) == 0);
	daemon_stop_core(&d);
	for (i = 0; i < 2; i++) { /* and the one after the next */
		daemon_up();
		CU_ASSERT(ops_get(d.ops, cut) == NULL);
		ops_recall(d.ops);
		CU_ASSERT(ops_get(d.ops, done) == NULL);
		op = ops_get(d.ops, cut);
		CU_ASSERT_FATAL(op != NULL);
		o = op_json(op);
		CU_ASSERT_STRING_EQUAL(js_str(o, "status"), "Failure");
		CU_ASSERT_STRING_EQUAL(js_str(o, "err"), "lxmd was restarted while this ran");
		CU_ASSERT_STRING_EQUAL(js_str(o, "description"), "Waiting");
		CU_ASSERT(op_is_final(op) && op_wait(op, 0) == 0);
		CU_ASSERT(op_visible(op, &root) && !op_visible(op, &tenant));
		json_decref(o);
		op_unref(op);
		CU_ASSERT(ops_stop(d.ops, 2000) == 0);
		daemon_stop_core(&d);
	}
	tear_down();
}

static void what_goes_on_takes_its_id_back(void)
{
	struct op *op;
	int late;

	for (late = 0; late < 2; late++) {
		set_up();
		daemon_up();
		op_unref(make(id1, "p"));
		CU_ASSERT(ops_stop(d.ops, 2000) == 0);
		daemon_stop_core(&d);
		daemon_up();
		if (late)
			ops_recall(d.ops);
		op_unref(make(id1, "p"));
		if (!late)
			ops_recall(d.ops);
		op = ops_get(d.ops, id1);
		CU_ASSERT_FATAL(op != NULL);
		CU_ASSERT(!op_is_final(op));
		op_finish(op, NULL);
		op_unref(op);
		CU_ASSERT(ops_stop(d.ops, 2000) == 0);
		daemon_stop_core(&d);
		daemon_up();
		ops_recall(d.ops);
		CU_ASSERT(ops_get(d.ops, id1) == NULL);
		CU_ASSERT(ops_stop(d.ops, 2000) == 0);
		daemon_stop_core(&d);
		tear_down();
	}
}

UNIT_MAIN("core/op_slots", { "a note is there for the next one and gone once given", a_note_is_there_for_the_next_one_and_gone_once_given },
	  { "the room is bounded and reserved", the_room_is_bounded_and_reserved },
	  { "what does not fit is cut or not noted", what_does_not_fit_is_cut_or_not_noted },
	  { "a damaged file is no harm", a_damaged_file_is_no_harm },
	  { "what was cut off is a failure and what ended is unknown", what_was_cut_off_is_a_failure_and_what_ended_is_unknown },
	  { "what goes on takes its id back", what_goes_on_takes_its_id_back })
