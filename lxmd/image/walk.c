/*
 * The checked pass over a tar archive. Runs on worker threads of lxmd as root, so this file decides what a foreign
 * archive may say at all: names are normalised and kept in a set, so that an entry can neither come twice nor pass
 * through a link or a file; hard links lead to earlier entries of the same root only; what is read is bounded against
 * bombs. Nothing is written here. Only the tar reader and the filters that libarchive has inside are switched on: its
 * other filters start programs.
 */
#include "lxmd/image/walk.h"

#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "lib/base/alloc.h"
#include "lib/base/log.h"
#include "lib/base/time.h"
#include "lxmd/core/op.h"
#include "lxmd/image/metadata.h"

#define PROGRESS_EVERY_MS 100

static la_ssize_t read_cb(struct archive *a, void *arg, const void **buf)
{
	struct walk *w = arg;
	ssize_t n;

	do
		n = pread(w->spec->fd, w->chunk, sizeof(w->chunk), (off_t)w->pos);
	while (n < 0 && errno == EINTR);
	if (n < 0) {
		la.archive_set_error(a, errno, "read");
		return -1;
	}
	w->pos += (uint64_t)n;
	*buf = w->chunk;
	return n;
}

/* libarchive's words about foreign bytes may repeat them: keep what can be printed. */
static int archive_fail(struct walk *w, struct lxm_err *e, const char *what)
{
	const char *s = la.archive_error_string(w->a);
	int code = la.archive_errno(w->a);
	char text[160];
	size_t i;

	snprintf(text, sizeof(text), "%s", s ? s : "unknown error");
	for (i = 0; text[i]; i++)
		if ((unsigned char)text[i] < 32 || (unsigned char)text[i] > 126)
			text[i] = '?';
	if (code == ENOMEM || code == EIO)
		return lxm_err_set(e, code, "%s: %s", what, text);
	return lxm_err_set(e, EINVAL, "%s: %s", what, text);
}

static int archive_open(struct walk *w, struct lxm_err *e)
{
	int r = archive_lib_load(e);

	if (r < 0)
		return r;
	w->a = la.archive_read_new();
	if (!w->a)
		return lxm_err_set(e, ENOMEM, "out of memory");
	la.archive_read_support_format_tar(w->a);
	la.archive_read_support_filter_gzip(w->a);
	la.archive_read_support_filter_bzip2(w->a);
	la.archive_read_support_filter_xz(w->a);
	la.archive_read_support_filter_lzma(w->a);
	la.archive_read_support_filter_zstd(w->a);
	/* names are bytes: no conversion that could fail or make two names one */
	(void)la.archive_read_set_options(w->a, "tar:hdrcharset=BINARY");
	if (la.archive_read_open(w->a, w, NULL, read_cb, NULL) != ARCHIVE_OK)
		return archive_fail(w, e, "not a tar archive");
	return 0;
}

static void progress(struct walk *w, bool force)
{
	int64_t now = lxm_mono_ms(), ms;

	if (!w->spec->op || !w->spec->progress_key)
		return;
	ms = now - w->started_ms;
	if (!force && w->report.entries % 64)
		return;
	if (ms < PROGRESS_EVERY_MS)
		return;
	op_progress(w->spec->op, w->spec->progress_key, "Unpack",
		    w->spec->size ? (int)(w->pos * 100 / w->spec->size) : -1, w->pos * 1000 / (uint64_t)ms);
}

int walk_read(struct walk *w, const void **block, size_t *len, int64_t *offset, struct lxm_err *e)
{
	int r = la.archive_read_data_block(w->a, block, len, offset);

	if (r == ARCHIVE_EOF)
		return 0;
	if (r != ARCHIVE_OK)
		return archive_fail(w, e, "damaged archive");
	w->report.bytes += *len;
	if (w->report.bytes > w->max_bytes)
		return lxm_err_set(e, w->spec->max_bytes ? EFBIG : ENOSPC,
				   "no space: it unpacks to more than the %llu MiB that may be used",
				   (unsigned long long)(w->max_bytes >> 20));
	if (op_is_cancelled(w->spec->op))
		return lxm_err_set(e, ECANCELED, "cancelled");
	if (w->report.bytes / (4 << 20) != (w->report.bytes - *len) / (4 << 20))
		progress(w, true);
	return 1;
}

/* Places of an init, in the root. */
static bool is_init_path(const char *p)
{
	static const char *const names[] = { "sbin/init", "usr/sbin/init", "init", "bin/init", "etc/init", "lib/systemd/systemd",
					     "usr/lib/systemd/systemd", "usr/bin/init", "linuxrc" };
	size_t i;

	for (i = 0; i < LXM_ARRAY_LEN(names); i++)
		if (strcmp(p, names[i]) == 0)
			return true;
	return false;
}

/* What the entry makes. Sockets are never made, device nodes for those who may; 0:0 would hide a file of an overlay. */
static int entry_kind(const struct walk *w, struct archive_entry *ae, enum path_kind *kind, struct lxm_err *e)
{
	switch (la.archive_entry_filetype(ae)) {
	case AE_IFREG:
		*kind = PATH_FILE;
		return 0;
	case AE_IFDIR:
		*kind = PATH_DIR;
		return 0;
	case AE_IFLNK:
		*kind = PATH_SYMLINK;
		return 0;
	case AE_IFIFO:
		*kind = PATH_FIFO;
		return 0;
	case AE_IFCHR:
	case AE_IFBLK:
		*kind = w->spec->devices && la.archive_entry_rdev(ae) ? PATH_DEVICE : PATH_LEFT_OUT;
		return 0;
	case AE_IFSOCK:
		*kind = PATH_LEFT_OUT;
		return 0;
	}
	return lxm_err_set(e, EINVAL, "entry of an unknown kind");
}

static int place_in_root(struct walk *w, const char *name, enum path_kind kind, const char **path_out, struct lxm_err *e)
{
	/* w->path holds "rootfs/NAME" with name inside it */
	if (!*name && kind != PATH_DIR)
		return lxm_err_set(e, EINVAL, "the top of the root file system is not a directory");
	w->path[6] = *name ? '/' : 0;
	*path_out = w->path;
	if (is_init_path(name) && (kind == PATH_FILE || kind == PATH_SYMLINK))
		w->report.has_init = true;
	return 0;
}

/*
 * Where an entry of the archive goes in an unpacked image, or NULL for what is no part of one. The three names that
 * lxmd itself opens later must be just what they are called.
 */
static int place(struct walk *w, const char *name, enum path_kind kind, bool hard, const char **path_out, struct lxm_err *e)
{
	bool tpl = strncmp(name, "templates/", 10) == 0;

	if (strcmp(name, "metadata.yaml") == 0) {
		if (kind != PATH_FILE || hard)
			return lxm_err_set(e, EINVAL, "'metadata.yaml' is not a regular file");
		w->report.has_metadata = true;
	} else if (strcmp(name, "templates") == 0) {
		if (kind != PATH_DIR)
			return lxm_err_set(e, EINVAL, "'templates' is not a directory");
	} else if (tpl) {
		if (kind != PATH_DIR && (kind != PATH_FILE || hard))
			return lxm_err_set(e, EINVAL, "'%.200s' is not a regular file", name);
	} else if (strcmp(name, "rootfs.img") == 0) {
		return lxm_err_set(e, EINVAL, "this is the image of a virtual machine ('rootfs.img'), not of a container");
	} else if (w->spec->part == IMAGE_METADATA) {
		return 0;
	} else if (strcmp(name, "rootfs") == 0) {
		if (kind != PATH_DIR)
			return lxm_err_set(e, EINVAL, "'rootfs' is not a directory");
	} else if (strncmp(name, "rootfs/", 7) == 0) {
		if (is_init_path(name + 7) && (kind == PATH_FILE || kind == PATH_SYMLINK))
			w->report.has_init = true;
	} else {
		return 0;
	}
	*path_out = name;
	return 0;
}

/* name without the prefix and its '/'; "" for the prefix itself, NULL for anything else. */
static const char *below(const char *name, const char *prefix)
{
	size_t n = strlen(prefix);

	if (strncmp(name, prefix, n) != 0 || (name[n] && name[n] != '/'))
		return NULL;
	return name[n] ? name + n + 1 : name + n;
}

/* The volumes come one after the other, so that names need to be remembered of one only. */
static int begin_volume(struct walk *w, struct unpack_volume *v, struct lxm_err *e)
{
	if (v == w->volume)
		return 0;
	if (v->begun)
		return lxm_err_set(e, EINVAL, "volume '%.200s' comes in two pieces", v->prefix);
	if (w->volume)
		w->volume->ended = true;
	v->begun = true;
	w->volume = v;
	pathset_deinit(&w->seen);
	return 0;
}

/* Which volume a name is of; NULL: of none. */
static int find_volume(struct walk *w, const char *name, struct unpack_volume **out, struct lxm_err *e)
{
	size_t i;

	*out = NULL;
	for (i = 0; i < w->spec->n_volumes; i++)
		if (below(name, w->spec->volumes[i].prefix)) {
			*out = &w->spec->volumes[i];
			return begin_volume(w, *out, e);
		}
	return 0;
}

/* An entry of a backup. Before its volumes are known only its index is of interest. */
static int place_backup(struct walk *w, struct walk_entry *entry, const char *name, bool hard, struct lxm_err *e)
{
	if (entry->volume) {
		name = below(name, entry->volume->prefix);
		if (*name)
			return place(w, name, entry->kind, hard, &entry->path, e);
		return entry->kind == PATH_DIR ? 0 : lxm_err_set(e, EINVAL, "'%.200s' is not a directory", entry->volume->prefix);
	}
	if (strcmp(name, "backup/index.yaml") == 0) {
		if (entry->kind != PATH_FILE || hard)
			return lxm_err_set(e, EINVAL, "'backup/index.yaml' is not a regular file");
		entry->path = w->spec->volumes ? NULL : name;
		return 0;
	}
	if ((!*name || strcmp(name, "backup") == 0 || strcmp(name, "backup/snapshots") == 0) && entry->kind == PATH_DIR)
		return 0;
	if (!w->spec->volumes)
		return lxm_err_set(e, EINVAL, "it does not begin with 'backup/index.yaml'");
	return lxm_err_set(e, EINVAL, "'%.200s' is no part of the backup that its index speaks of", name);
}

/* Names that may be the same file: those below one rootfs/. */
static const char *root_part(const struct walk *w, const char *name)
{
	const char *s = w->volume ? below(name, w->volume->prefix) : name;

	return s && strncmp(s, "rootfs/", 7) == 0 ? s : NULL;
}

/* A hard link is one more name of a file that came earlier, in the same root. */
static int check_hardlink(struct walk *w, const char *raw, const char *name, char *target, enum path_kind *kind,
			  struct lxm_err *e)
{
	enum path_kind k;
	int r = path_normalise(raw, target, e);

	if (r < 0)
		return r;
	k = pathset_get(&w->seen, target);
	if (k != PATH_FILE && k != PATH_SYMLINK && k != PATH_FIFO && k != PATH_DEVICE && k != PATH_LEFT_OUT)
		return lxm_err_set(e, EINVAL, "entry '%.150s' is a hard link to '%.150s', which is no earlier file of the archive", name,
				   target);
	if (w->spec->part != IMAGE_ROOTFS && !root_part(w, name) != !root_part(w, target))
		return lxm_err_set(e, EINVAL, "entry '%.150s' is a hard link to '%.150s' outside its root", name, target);
	*kind = k;
	return 0;
}

static void left_out(struct walk *w, const char *name)
{
	if (!w->report.devices_left_out++)
		snprintf(w->first_device, sizeof(w->first_device), "%s", name);
}

/* Data of an entry that is not wanted counts as well: it has to be decompressed. */
static int skip_data(struct walk *w, struct lxm_err *e)
{
	const void *block;
	int64_t off;
	size_t len;
	int r;

	while ((r = walk_read(w, &block, &len, &off, e)) > 0)
		;
	return r;
}

static int check_owner(struct archive_entry *ae, const char *name, struct lxm_err *e)
{
	int64_t uid = la.archive_entry_uid(ae), gid = la.archive_entry_gid(ae), size = la.archive_entry_size(ae);

	if (uid < 0 || gid < 0 || uid >= UINT32_MAX || gid >= UINT32_MAX)
		return lxm_err_set(e, EINVAL, "entry '%.200s' has an impossible owner", name);
	if (size < 0)
		return lxm_err_set(e, EINVAL, "entry '%.200s' has an impossible size", name);
	return 0;
}

static int place_entry(struct walk *w, struct walk_entry *entry, const char *name, bool hard, struct lxm_err *e)
{
	if (w->spec->part == IMAGE_BACKUP)
		return place_backup(w, entry, name, hard, e);
	if (w->spec->part == IMAGE_ROOTFS)
		return place_in_root(w, name, entry->kind, &entry->path, e);
	return place(w, name, entry->kind, hard, &entry->path, e);
}

/* Checks one entry, remembers its name and hands it on. */
static int one_entry(struct walk *w, struct archive_entry *ae, walk_fn fn, void *arg, struct lxm_err *e)
{
	struct walk_entry entry = { .ae = ae };
	size_t shift = w->spec->part == IMAGE_ROOTFS ? 7 : 0;
	char *name = w->path + shift, *target = w->hardlink + shift;
	const char *raw = la.archive_entry_hardlink(ae);
	int r;

	memcpy(w->path, "rootfs/", 8);
	memcpy(w->hardlink, "rootfs/", 8);
	r = path_normalise(la.archive_entry_pathname(ae), name, e);
	if (r == 0 && w->spec->part == IMAGE_BACKUP)
		r = find_volume(w, name, &entry.volume, e);
	if (r < 0)
		return r;
	if (raw)
		r = check_hardlink(w, raw, name, target, &entry.kind, e);
	else
		r = entry_kind(w, ae, &entry.kind, e);
	if (r == 0)
		r = check_owner(ae, name, e);
	if (r == 0)
		r = pathset_add(&w->seen, name, entry.kind, e);
	if (r == 0)
		r = place_entry(w, &entry, name, raw != NULL, e);
	if (r < 0)
		return r;
	if (!entry.path)
		return skip_data(w, e);
	if (entry.kind == PATH_LEFT_OUT) {
		left_out(w, name);
		return 0;
	}
	if (entry.volume && strncmp(entry.path, "rootfs", 6) == 0) {
		la.archive_entry_set_uid(ae, entry_id(entry.volume, false, (uint32_t)la.archive_entry_uid(ae)));
		la.archive_entry_set_gid(ae, entry_id(entry.volume, true, (uint32_t)la.archive_entry_gid(ae)));
	}
	entry.hardlink = !raw ? NULL : entry.volume ? below(w->hardlink, entry.volume->prefix) : w->hardlink;
	r = fn(w, &entry, arg, e);
	return lxm_err_wrap(e, r, "entry '%.200s'", name);
}

static int walk_entries(struct walk *w, walk_fn fn, void *arg, struct lxm_err *e)
{
	struct archive_entry *ae;
	uint64_t n = 0;
	int r;

	for (;;) {
		r = la.archive_read_next_header(w->a, &ae);
		if (r == ARCHIVE_EOF)
			break;
		/* a warning means that some part of the header was not understood: not ours to guess */
		if (r != ARCHIVE_OK && r != ARCHIVE_WARN)
			return archive_fail(w, e, n ? "damaged archive" : "not a tar archive");
		if (++n > w->max_entries)
			return lxm_err_set(e, EFBIG, "no space: it holds more than the %llu files that may be made",
					   (unsigned long long)w->max_entries);
		if (op_is_cancelled(w->spec->op))
			return lxm_err_set(e, ECANCELED, "cancelled");
		r = one_entry(w, ae, fn, arg, e);
		if (r)
			return r < 0 ? r : 0;
		w->report.entries = n;
		progress(w, false);
	}
	return n ? 0 : lxm_err_set(e, EINVAL, "the archive is empty");
}

int walk_archive(const struct unpack_spec *spec, uint64_t max_bytes, uint64_t max_entries, walk_fn fn, void *arg,
		 struct unpack_report *report, struct lxm_err *e)
{
	struct walk *w = lxm_alloc(sizeof(*w));
	int r;

	w->spec = spec;
	w->max_bytes = max_bytes;
	w->max_entries = max_entries;
	w->started_ms = lxm_mono_ms();
	r = archive_open(w, e);
	if (r == 0)
		r = walk_entries(w, fn, arg, e);
	if (w->a)
		la.archive_read_free(w->a);
	if (r == 0 && w->report.devices_left_out)
		lxm_warn("%s: %llu device nodes left out, the first is '%s'", spec->name,
			 (unsigned long long)w->report.devices_left_out, w->first_device);
	if (r == 0 && report)
		*report = w->report;
	pathset_deinit(&w->seen);
	free(w);
	return r;
}
