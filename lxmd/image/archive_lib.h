/* libarchive, loaded when an image or backup is first read or written. Inside this room only. */
#ifndef LXMD_IMAGE_ARCHIVE_LIB_H
#define LXMD_IMAGE_ARCHIVE_LIB_H

#include <archive.h>
#include <archive_entry.h>

#include "lib/base/err.h"
#include "lxmd/core/lazy.h"

/* What this room calls of it: NAME() is la.NAME(). */
#define ARCHIVE_FUNCTIONS(X) \
	X(archive_entry_acl_add_entry) X(archive_entry_acl_next) X(archive_entry_acl_reset) X(archive_entry_filetype) X(archive_entry_free) \
	X(archive_entry_gid) X(archive_entry_hardlink) X(archive_entry_mtime) X(archive_entry_mtime_nsec) \
	X(archive_entry_new) X(archive_entry_pathname) X(archive_entry_perm) X(archive_entry_rdev) \
	X(archive_entry_set_filetype) X(archive_entry_set_gid) X(archive_entry_set_hardlink) X(archive_entry_set_mtime) \
	X(archive_entry_set_pathname) X(archive_entry_set_perm) X(archive_entry_set_rdev) X(archive_entry_set_size) \
	X(archive_entry_set_symlink) X(archive_entry_set_uid) X(archive_entry_size) X(archive_entry_size_is_set) \
	X(archive_entry_sparse_add_entry) X(archive_entry_sparse_count) X(archive_entry_symlink) X(archive_entry_uid) \
	X(archive_entry_xattr_add_entry) X(archive_entry_xattr_next) X(archive_entry_xattr_reset) X(archive_errno) \
	X(archive_error_string) X(archive_read_data_block) X(archive_read_free) X(archive_read_new) \
	X(archive_read_next_header) X(archive_read_open) X(archive_read_set_options) \
	X(archive_read_support_filter_bzip2) X(archive_read_support_filter_gzip) X(archive_read_support_filter_lzma) \
	X(archive_read_support_filter_xz) X(archive_read_support_filter_zstd) X(archive_read_support_format_tar) \
	X(archive_set_error) X(archive_write_add_filter_bzip2) X(archive_write_add_filter_gzip) \
	X(archive_write_add_filter_xz) X(archive_write_add_filter_zstd) X(archive_write_close) X(archive_write_data) \
	X(archive_write_free) X(archive_write_header) X(archive_write_new) X(archive_write_open_fd) \
	X(archive_write_set_bytes_in_last_block) X(archive_write_set_filter_option) \
	X(archive_write_set_format_pax_restricted) X(archive_write_set_options)

struct archive_lib {
	ARCHIVE_FUNCTIONS(LAZY_MEMBER)
};

extern struct archive_lib la;

/** Before the first use of la; costs nothing when it is there. Any thread. Returns 0, or -ELIBACC naming the package. */
int archive_lib_load(struct lxm_err *e);

#endif
