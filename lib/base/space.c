/* See space.h. */
#include "lib/base/space.h"

#include <sys/statvfs.h>

#define MOST (64ULL << 20)

uint64_t lxm_space_reserve(const struct statvfs *v)
{
	uint64_t part = (uint64_t)v->f_blocks * v->f_frsize / 50;

	return part < MOST ? part : MOST;
}

bool lxm_space_low(int fd)
{
	struct statvfs v;

	return fstatvfs(fd, &v) == 0 && v.f_blocks && (uint64_t)v.f_bavail * v.f_frsize <= lxm_space_reserve(&v);
}
