"""Memory pressure: programs in the groups of an instance that touch pages of a file, here and there and without a pause."""
import contextlib
import os
import subprocess
import sys

from . import cgroups

# joins the groups named in argv, then touches pages of a file until it is killed
TOUCH = r'''
import mmap, os, random, sys
for group in sys.argv[2:]:
    open(group + "/cgroup.procs", "w").write(str(os.getpid()))
fd = os.open(sys.argv[1], os.O_RDONLY)
size = os.fstat(fd).st_size
pages = mmap.mmap(fd, size, prot=mmap.PROT_READ)
pages.madvise(mmap.MADV_RANDOM)
while True:
    pages[random.randrange(size // 4096) * 4096]
'''


def groups(inst):
    """Directories of all groups of the instance."""
    return sorted({str(cgroups.group(inst.pid, name)) for name in cgroups.MOUNTS})


def fill(path, megabytes):
    """A file of noise that is on the disk and not in memory."""
    with open(path, "wb") as f:
        for _ in range(megabytes):
            f.write(os.urandom(1 << 20))
        os.fsync(f.fileno())
        os.posix_fadvise(f.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    return path


@contextlib.contextmanager
def thrashing(inst, path, count):
    """`count` such programs for as long as the block lasts."""
    argv = [sys.executable, "-I", "-S", "-c", TOUCH, str(path), *groups(inst)]
    programs = [subprocess.Popen(argv) for _ in range(count)]
    try:
        yield programs
    finally:
        for program in programs:
            program.kill()
            program.wait()
