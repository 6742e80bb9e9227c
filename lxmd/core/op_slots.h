/*
 * A note of each operation that runs, in a file that outlives lxmd: the next one tells its clients what became of it.
 *
 * The file is mapped and a note is a few stores into memory, no system call. It need not survive the host's end.
 */
#ifndef LXMD_CORE_OP_SLOTS_H
#define LXMD_CORE_OP_SLOTS_H

#include <jansson.h>
#include <stdbool.h>

#include "lib/base/auto.h"
#include "lib/base/err.h"
#include "lib/base/time.h"
#include "lxmd/core/caller.h"
#include "lxmd/core/op.h"

#define OP_SLOTS 1024 /* those that run beyond are not noted */

struct op_slots;

/* What a note says. In reading, strings are allocated: op_note_deinit(). In writing they are borrowed. */
struct op_note {
	char *id, *project, *description; /* project NULL: of none */
	enum op_class cls;
	lxm_time created_at;
	json_t *resources;    /* NULL: none, or too long to be noted */
	struct caller caller; /* username, protocol, address and fingerprint only */
	bool told;	      /* op_slots_told() */
};

void op_note_deinit(struct op_note *n);
LXM_AUTO_STRUCT(op_note, struct op_note, op_note_deinit)

/**
 * Open or make the file. What an earlier lxmd noted stays until op_slots_give(); a file of another layout is emptied.
 *
 * @dirfd  directory of run state, root's alone
 *
 * Returns 0 or -errno: -ENOSPC when the space cannot be reserved.
 */
int op_slots_open(int dirfd, struct op_slots **out, struct lxm_err *e);
/** Unmap; the notes stay in the file. NULL is fine. */
void op_slots_close(struct op_slots *s);

/* The rest: one caller at a time, never blocks. NULL s is fine. */

/** Note one. Returns its slot, -1 when there is none free or it cannot be noted. */
int op_slots_take(struct op_slots *s, const struct op_note *n);
/** Forget a note; -1 is fine. */
void op_slots_give(struct op_slots *s, int slot);
/** Read a slot. Returns false when it is free or makes no sense (it is free then). */
bool op_slots_read(struct op_slots *s, int slot, struct op_note *out);
/** Its end was written down once: the one after the next restart does not do so again. */
void op_slots_told(struct op_slots *s, int slot);

#endif
