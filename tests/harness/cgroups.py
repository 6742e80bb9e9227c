"""What the kernel enforces on an instance: files of its cgroups, read alike on v1 and v2."""
from pathlib import Path

MEMORY_MAX = 1 << 60  # v1 writes "no limit" as a number of about 2^63


def mounts():
    """{controller or 'unified': (mount point, is it v2)}"""
    found = {}
    for line in Path("/proc/self/mounts").read_text().splitlines():
        _, path, kind, opts = line.split(" ")[:4]
        if kind == "cgroup":
            for word in set(opts.split(",")) - {"rw", "ro", "nosuid", "nodev", "noexec", "relatime", "noatime", "xattr"}:
                found.setdefault(word.removeprefix("name="), (Path(path), False))
        elif kind == "cgroup2":
            found.setdefault("unified", (Path(path), True))
            for word in (Path(path) / "cgroup.controllers").read_text().split():
                found.setdefault(word, (Path(path), True))
    return found


MOUNTS = mounts()


def has(controller):
    return controller in MOUNTS


def is_v2(controller):
    return has(controller) and MOUNTS[controller][1]


def group(pid, controller):
    """The directory of the instance whose init that is: what lxm made, not what its systemd made below it."""
    top, v2 = MOUNTS[controller]
    for line in Path(f"/proc/{pid}/cgroup").read_text().splitlines():
        number, names, path = line.split(":", 2)
        if (number == "0" and not names) if v2 else controller in names.removeprefix("name=").split(","):
            return top.joinpath(*path.strip("/").split("/")[:2])
    raise AssertionError(f"pid {pid} is in no group of {controller}")


def read(pid, controller, v1, v2=None):
    """Text of a file, by its name in either version."""
    return (group(pid, controller) / (v2 if is_v2(controller) else v1)).read_text().strip()


def number(text):
    """A number, or None for "no limit"."""
    return None if text in ("max", "-1") or int(text) >= MEMORY_MAX else int(text)


def cpus(pid):
    """CPUs that init may run on, whoever has told it so."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("Cpus_allowed_list:"):
            return members(line.split(":")[1])
    raise AssertionError("no Cpus_allowed_list")


def members(text):
    """{0, 1, 3} of "0-1,3"."""
    found = set()
    for part in filter(None, text.strip().split(",")):
        first, _, last = part.partition("-")
        found |= set(range(int(first), int(last or first) + 1))
    return found


def memory(pid):
    return number(read(pid, "memory", "memory.limit_in_bytes", "memory.max"))


def memory_soft(pid):
    return number(read(pid, "memory", "memory.soft_limit_in_bytes", "memory.high"))


def swap(pid):
    """Bytes of swap beside the memory; None: no limit."""
    if is_v2("memory"):
        return number(read(pid, "memory", "", "memory.swap.max"))
    both = number(read(pid, "memory", "memory.memsw.limit_in_bytes"))
    return None if both is None else both - memory(pid)


def quota(pid):
    """(microseconds, in each period of) or None."""
    if is_v2("cpu"):
        quota_us, period = read(pid, "cpu", "", "cpu.max").split()
    else:
        quota_us, period = read(pid, "cpu", "cpu.cfs_quota_us"), read(pid, "cpu", "cpu.cfs_period_us")
    return None if quota_us in ("max", "-1") else (int(quota_us), int(period))


def share(pid):
    """Per cent of what an instance without a limit gets under contention."""
    if is_v2("cpu"):
        return int(read(pid, "cpu", "", "cpu.weight"))
    return int(read(pid, "cpu", "cpu.shares")) * 100 / 1024


def processes(pid):
    return number(read(pid, "pids", "pids.max", "pids.max"))


def io(pid):
    """{'MAJ:MIN': {'rbps': n, 'wbps': n, 'riops': n, 'wiops': n}} with what is limited only."""
    found = {}
    if is_v2("io"):
        for line in read(pid, "io", "", "io.max").splitlines():
            device, *pairs = line.split()
            limits = {k: int(v) for k, v in (p.split("=") for p in pairs) if v != "max"}
            if limits:
                found[device] = limits
        return found
    for key, name in (("rbps", "read_bps"), ("wbps", "write_bps"), ("riops", "read_iops"), ("wiops", "write_iops")):
        for line in read(pid, "blkio", f"blkio.throttle.{name}_device").splitlines():
            device, value = line.split()
            if int(value):
                found.setdefault(device, {})[key] = int(value)
    return found
