/*
 * The file of notes, mapped and shared. Each slot is written whole before its state says so, and a kill leaves memory as it
 * is: what a reader finds is whole, or free. All the same every field is checked, the file is only as good as the disk it lies on.
 *
 * The space is reserved when the file is opened, for a store into a hole of a full disk would end lxmd. Slots are taken
 * from a stack, so that the same few pages serve a daemon with few operations at a time.
 */
#include "lxmd/core/op_slots.h"

#include <assert.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/api/json.h"
#include "lib/base/alloc.h"
#include "lib/base/fd.h"
#include "lib/base/str.h"

#define FILE_NAME "operations"
#define MAGIC	  "lxmops 1"

enum { SLOT_FREE, SLOT_USED, SLOT_TOLD };

struct slot {
	_Atomic uint32_t state;
	uint32_t cls;
	int64_t created_at;
	char id[40], project[72], description[96]; /* strings end in NUL; project "": none */
	char username[72], protocol[8], address[64], fingerprint[72];
	char resources[584]; /* JSON, "" for none */
};
static_assert(sizeof(struct slot) == 1024, "four to a page");

struct head {
	char magic[8];
	uint32_t size, count;
};

struct op_slots {
	struct slot *slot; /* the first is the head's place */
	size_t n_free;
	uint16_t free[OP_SLOTS];
	bool used[OP_SLOTS]; /* so that looking for notes touches no page without one */
};

#define FILE_SIZE ((OP_SLOTS + 1) * sizeof(struct slot))

static int map_file(int fd, struct op_slots *s, struct lxm_err *e)
{
	static const struct head mine = { .magic = MAGIC, .size = sizeof(struct slot), .count = OP_SLOTS };
	struct head h = { 0 };
	int r;

	if (pread(fd, &h, sizeof(h), 0) != sizeof(h) || memcmp(&h, &mine, sizeof(h)) != 0)
		if (ftruncate(fd, 0) < 0 || pwrite(fd, &mine, sizeof(mine), 0) != sizeof(mine))
			return lxm_err_sys(e, "write '" FILE_NAME "'");
	r = posix_fallocate(fd, 0, FILE_SIZE);
	if (r)
		return lxm_err_set(e, r, "reserve space for '" FILE_NAME "': %s", strerror(r));
	s->slot = mmap(NULL, FILE_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (s->slot == MAP_FAILED) {
		s->slot = NULL;
		return lxm_err_sys(e, "map '" FILE_NAME "'");
	}
	return 0;
}

int op_slots_open(int dirfd, struct op_slots **out, struct lxm_err *e)
{
	lxm_auto(fd_close) int fd = openat(dirfd, FILE_NAME, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
	struct op_slots *s;
	int i, r;

	if (fd < 0)
		return lxm_err_sys(e, "open '" FILE_NAME "'");
	s = lxm_alloc(sizeof(*s));
	r = map_file(fd, s, e);
	if (r < 0) {
		op_slots_close(s);
		return r;
	}
	for (i = OP_SLOTS - 1; i >= 0; i--) {
		s->used[i] = atomic_load(&s->slot[i + 1].state) != SLOT_FREE;
		if (!s->used[i])
			s->free[s->n_free++] = (uint16_t)i;
	}
	/* looking has mapped them all: only those in use are wanted in memory */
	(void)madvise(s->slot, FILE_SIZE, MADV_DONTNEED);
	*out = s;
	return 0;
}

void op_slots_close(struct op_slots *s)
{
	if (!s)
		return;
	if (s->slot)
		(void)munmap(s->slot, FILE_SIZE);
	free(s);
}

static bool put(char *to, size_t size, const char *s)
{
	size_t n = s ? strlen(s) : 0;

	if (n >= size)
		return false;
	memcpy(to, s ? s : "", n + 1);
	return true;
}

int op_slots_take(struct op_slots *s, const struct op_note *n)
{
	struct slot *at;
	size_t len = 0;
	int slot;

	if (!s || !s->n_free)
		return -1;
	at = &s->slot[s->free[s->n_free - 1] + 1];
	at->cls = n->cls;
	at->created_at = n->created_at;
	/* a project cut off would be another one; a description cut off is still one */
	if (!put(at->id, sizeof(at->id), n->id) || !put(at->project, sizeof(at->project), n->project))
		return -1;
	(void)snprintf(at->description, sizeof(at->description), "%s", n->description ? n->description : "");
	(void)snprintf(at->username, sizeof(at->username), "%s", n->caller.username);
	(void)snprintf(at->protocol, sizeof(at->protocol), "%s", n->caller.protocol);
	(void)snprintf(at->address, sizeof(at->address), "%s", n->caller.address);
	(void)snprintf(at->fingerprint, sizeof(at->fingerprint), "%s", n->caller.fingerprint);
	if (n->resources)
		len = json_dumpb(n->resources, at->resources, sizeof(at->resources) - 1, JSON_COMPACT);
	at->resources[len < sizeof(at->resources) ? len : 0] = '\0';
	atomic_store_explicit(&at->state, SLOT_USED, memory_order_release);
	slot = s->free[--s->n_free];
	s->used[slot] = true;
	return slot;
}

void op_slots_give(struct op_slots *s, int slot)
{
	if (!s || slot < 0)
		return;
	assert(slot < OP_SLOTS && s->used[slot]);
	atomic_store_explicit(&s->slot[slot + 1].state, SLOT_FREE, memory_order_release);
	s->free[s->n_free++] = (uint16_t)slot;
	s->used[slot] = false;
}

void op_slots_told(struct op_slots *s, int slot)
{
	if (s && slot >= 0)
		atomic_store_explicit(&s->slot[slot + 1].state, SLOT_TOLD, memory_order_release);
}

static bool whole(const struct slot *at)
{
#define ENDS(f) (memchr(at->f, '\0', sizeof(at->f)) != NULL)
	return ENDS(id) && ENDS(project) && ENDS(description) && ENDS(username) && ENDS(protocol) && ENDS(address) &&
	       ENDS(fingerprint) && ENDS(resources) && at->cls <= OP_TOKEN && lxm_is_uuid(at->id);
#undef ENDS
}

bool op_slots_read(struct op_slots *s, int slot, struct op_note *out)
{
	const struct slot *at;
	uint32_t state;

	if (!s || slot < 0 || slot >= OP_SLOTS || !s->used[slot])
		return false;
	at = &s->slot[slot + 1];
	state = atomic_load_explicit(&at->state, memory_order_acquire);
	if (state > SLOT_TOLD || !whole(at)) {
		op_slots_give(s, slot);
		return false;
	}
	memset(out, 0, sizeof(*out));
	out->id = lxm_strdup(at->id);
	out->project = at->project[0] ? lxm_strdup(at->project) : NULL;
	out->description = lxm_strdup(at->description);
	out->cls = (enum op_class)at->cls;
	out->created_at = at->created_at;
	if (at->resources[0])
		(void)js_parse(at->resources, strlen(at->resources), &out->resources, NULL);
	out->caller.uid = (uid_t)-1;
	out->caller.gid = (gid_t)-1;
	memcpy(out->caller.username, at->username, sizeof(out->caller.username) - 1);
	memcpy(out->caller.protocol, at->protocol, sizeof(out->caller.protocol) - 1);
	memcpy(out->caller.address, at->address, sizeof(out->caller.address) - 1);
	memcpy(out->caller.fingerprint, at->fingerprint, sizeof(out->caller.fingerprint) - 1);
	out->told = state == SLOT_TOLD;
	return true;
}

void op_note_deinit(struct op_note *n)
{
	free(n->id);
	free(n->project);
	free(n->description);
	json_decref(n->resources);
	memset(n, 0, sizeof(*n));
}
