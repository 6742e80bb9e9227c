/* Telling archives apart by their first bytes. No state; reads with pread, so that offsets stay. */
#include <string.h>
#include <unistd.h>

#include "lxmd/image/unpack.h"

static const struct magic {
	const char *bytes;
	size_t len;
	enum image_format format;
	const char *suffix;
} magics[] = {
	{ "\x1f\x8b", 2, IMAGE_FORMAT_TAR, "tar.gz" },
	{ "BZh", 3, IMAGE_FORMAT_TAR, "tar.bz2" },
	{ "\xfd" "7zXZ\0", 6, IMAGE_FORMAT_TAR, "tar.xz" },
	{ "\x5d\0\0", 3, IMAGE_FORMAT_TAR, "tar.lzma" },
	{ "\x28\xb5\x2f\xfd", 4, IMAGE_FORMAT_TAR, "tar.zst" },
	{ "hsqs", 4, IMAGE_FORMAT_SQUASHFS, "squashfs" },
};

static const struct magic *look(int fd)
{
	static const struct magic tar = { "", 0, IMAGE_FORMAT_TAR, "tar" };
	static const struct magic unknown = { "", 0, IMAGE_FORMAT_UNKNOWN, "bin" };
	char head[512];
	ssize_t n = pread(fd, head, sizeof(head), 0);
	size_t i;

	if (n < 2)
		return &unknown;
	for (i = 0; i < sizeof(magics) / sizeof(magics[0]); i++)
		if ((size_t)n >= magics[i].len && memcmp(head, magics[i].bytes, magics[i].len) == 0)
			return &magics[i];
	return n >= 262 && memcmp(head + 257, "ustar", 5) == 0 ? &tar : &unknown;
}

enum image_format image_format_of(int fd)
{
	return look(fd)->format;
}

const char *image_suffix_of(int fd)
{
	return look(fd)->suffix;
}
