/* Volumes as streams of bytes, from one host to another: all that the files of a volume have, and a volume filled from that. */
#ifndef LXMD_STORAGE_TRANSFER_H
#define LXMD_STORAGE_TRANSFER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/base/err.h"
#include "lxmd/storage/volume.h"

struct op;
struct pool;

/*
 * What travels is either the whole root of a volume, or (on overlay, when the receiver has the same image) its upper layer; and
 * with it metadata.yaml and templates/ where the volume has its own or the receiver lacks the image. Kept are owners as on disk
 * (ids of the container), modes, times of change to the nanosecond, xattrs with ACLs and capabilities, hard links, holes, device
 * nodes, whiteouts; sockets are left out, as by every copy. Each volume ends with a checksum.
 */
enum transfer_form { TRANSFER_TREE, TRANSFER_LAYER };

/* The stream. Both block and answer 0 or -errno; borders between calls mean nothing. */
struct transfer_io {
	int (*put)(void *arg, const void *data, size_t n, struct lxm_err *e);
	int (*get)(void *arg, void *data, size_t n, struct lxm_err *e); /* exactly n bytes */
	void *arg;
};

/* Hashes of files that the receiver has (record_file_hash()), sorted. Zeroed is none. */
struct transfer_have {
	uint64_t *v;
	size_t n;
};

void transfer_have_deinit(struct transfer_have *h);
LXM_AUTO_STRUCT(transfer_have, struct transfer_have, transfer_have_deinit)

struct transfer_progress {
	uint64_t bytes, entries; /* of files, so far */
	/* called now and then; < 0 ends the transfer; may be NULL */
	int (*tick)(struct transfer_progress *p, struct lxm_err *e);
	void *arg;
};

/**
 * Send a volume.
 *
 * @form    TRANSFER_LAYER: pool_volume_layer() said that it has one
 * @have    NULL, or what need not be sent: it is named only
 * @unsteady  files may change and vanish meanwhile
 *
 * Worker threads; blocks. The volume must not change meanwhile unless it is unsteady. Returns 0 or -errno; what was sent is
 * useless then, and the receiver was told so if the stream works.
 */
int pool_volume_send(struct pool *pool, const struct volume_id *v, enum transfer_form form, const struct transfer_have *have,
		     bool unsteady, const struct transfer_io *io, struct transfer_progress *p, struct lxm_err *e);

/** The image under a volume's upper layer into out[65]; "" if it has no layer. Returns 0 or -ENOENT. */
int pool_volume_layer(struct pool *pool, const struct volume_id *v, char out[65], struct lxm_err *e);

/* How a volume is received. */
struct transfer_take {
	enum transfer_form form;
	const char *image;	      /* TRANSFER_LAYER: the image that it lies on, full fingerprint */
	bool devices;		      /* make device nodes; false: leave them out, but for whiteouts */
	const struct volume_id *have; /* NULL, or the volume that transfer_send_have() spoke of */
};

/* A volume that is being received; it has no name yet. */
struct transfer_volume;

/**
 * Receive a volume into the pool: everything is checked, nothing can lead outside, space is left for others, and the checksum
 * must be right.
 *
 * @out  receives the volume, whole; transfer_keep() or transfer_drop() it
 *
 * Worker threads; blocks. Returns 0, -EBADMSG (the stream is damaged or hostile), -ENOSPC, -ENOENT (image) or another -errno;
 * nothing is left then.
 */
int pool_volume_take(struct pool *pool, const struct transfer_take *how, const struct transfer_io *io, struct transfer_progress *p,
		     struct op *op, struct transfer_volume **out, struct lxm_err *e);

/**
 * A volume with an empty root that the caller fills himself: rootfs/ (there already), metadata.yaml and templates/.
 *
 * @dirfd_out  its directory, which nobody else can reach; the caller closes it
 *
 * Worker threads. Returns 0 or -errno.
 */
int transfer_begin(struct pool *pool, struct op *op, struct transfer_volume **out, int *dirfd_out, struct lxm_err *e);

/** Give it a name; it is gone or in place afterwards, in any case freed. Returns 0, -EEXIST or another -errno. */
int transfer_keep(struct transfer_volume *t, const struct volume_id *v, struct lxm_err *e);
/** Throw it away; NULL is fine. */
void transfer_drop(struct transfer_volume *t);
LXM_AUTO_PTR(transfer_drop, struct transfer_volume, transfer_drop)

/**
 * Tell the sender which files a volume holds, so that they need not travel again: path, size and time of change must agree.
 *
 * @v  NULL: none
 *
 * Worker threads; walks the volume. Returns 0 or -errno.
 */
int transfer_send_have(struct pool *pool, const struct volume_id *v, enum transfer_form form, const struct transfer_io *io,
		       struct lxm_err *e);
/** The sender's side. At most 4 million files. Returns 0, -EBADMSG, -ENOMEM or another -errno. */
int transfer_get_have(const struct transfer_io *io, struct transfer_have *out, struct lxm_err *e);

#endif
