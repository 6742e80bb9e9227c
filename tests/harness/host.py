"""What lxm could leave behind on a host, seen from outside of it: the suites compare it before and after."""
import contextlib
import fcntl
import json
import os
import re
import subprocess
from pathlib import Path

OURS = re.compile(r"lxm")
PROGRAMS = ("lxmd", "lxm-monitor", "lxm-helper", "lxm-forward", "lxm-fetch")
LXCFS = "run/lxcfs.pid"  # in the command line of lxmd's own lxcfs; the host may have one besides


@contextlib.contextmanager
def alone(what):
    """One run of the suites at a time on this host: for what each of them would take under the same name or address."""
    with open(f"/tmp/lxm-{what}.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def read(path):
    """Bytes of a file, b'' when it is gone."""
    try:
        return Path(path).read_bytes()
    except OSError:
        return b""


def processes():
    """pid -> (program name, command line, environment and open files) of each process of lxm on the host."""
    found = {}
    for entry in os.listdir("/proc"):
        if not entry.isdigit():
            continue
        comm = read(f"/proc/{entry}/comm").decode(errors="replace").strip()
        if read(f"/proc/{entry}/stat").rsplit(b")", 1)[-1].split()[:2] == [b"Z", b"1"]:
            continue  # ended; the host's own init has not looked yet
        line = read(f"/proc/{entry}/cmdline").replace(b"\0", b" ").decode(errors="replace").strip()
        first = os.path.basename(line.split(" ")[0]) if line else ""
        if comm.startswith(PROGRAMS) or first.startswith(PROGRAMS) or (comm == "lxcfs" and LXCFS in line):
            found[int(entry)] = (comm, line, read(f"/proc/{entry}/environ").decode(errors="replace") + open_files(entry))
    return found


def open_files(pid):
    """Where a process's descriptors lead: a monitor has its run directory open."""
    links = []
    try:
        for fd in os.listdir(f"/proc/{pid}/fd"):
            links.append(os.readlink(f"/proc/{pid}/fd/{fd}"))
    except OSError:
        pass  # it ended while we looked
    return " ".join(links)


def mounts():
    lines = read("/proc/self/mountinfo").decode().splitlines()
    return {line.split(" ", 4)[4] for line in lines if OURS.search(line)}


def cgroup_mounts():
    for line in read("/proc/self/mounts").decode().splitlines():
        _, path, kind = line.split(" ")[:3]
        if kind in ("cgroup", "cgroup2"):
            yield path


def cgroups():
    """Paths of the directories that lxm made in any hierarchy (not those below them)."""
    found = set()
    for top in cgroup_mounts():
        for path, dirs, _ in os.walk(top):
            for name in [d for d in dirs if d == "lxm" or d.startswith("lxm.")]:
                found.add(os.path.join(path, name))
    return found


def links():
    """Interfaces of the host by name, with what tells whose they are: their bridge, and the alias that lxm gives them."""
    out = subprocess.run(["ip", "-j", "link"], capture_output=True, check=True).stdout
    return {link["ifname"]: f"{link.get('master', '')} {link.get('ifalias', '')}".strip() for link in json.loads(out)}


def loops():
    found = set()
    for path in Path("/sys/block").glob("loop*/loop/backing_file"):
        found.add((path.parts[3], read(path).decode(errors="replace").strip()))
    return found


def nft_tables():
    run = subprocess.run(["nft", "list", "tables"], capture_output=True, text=True)
    return {line.strip() for line in run.stdout.splitlines() if line.strip()}


class HostState:
    """One look at the host. `left_since(before)` names what has come to stay."""

    def __init__(self):
        self.mounts = mounts()
        self.cgroups = cgroups()
        self.links = links()
        self.loops = loops()
        self.nft = nft_tables()
        self.processes = processes()

    def left_since(self, before):
        left = []
        for kind in ("mounts", "cgroups", "loops", "nft"):
            left += [f"{kind}: {what}" for what in sorted(map(str, getattr(self, kind) - getattr(before, kind)))]
        left += [f"link: {name} {self.links[name]}".strip() for name in sorted(self.links.keys() - before.links.keys())]
        left += [f"process: {pid} {' '.join(self.processes[pid][1:])}"
                 for pid in sorted(self.processes.keys() - before.processes.keys())]
        return left


def strangers(own_dirs):
    """Processes of lxm that belong to another daemon: with them about, only what is surely ours can be judged."""
    return [pid for pid, (_, line, env) in processes().items()
            if not any(d in line or d in env for d in own_dirs)]


def only_of(left, marks):
    """Those entries of left_since() that carry one of the marks (a directory, a bridge name, an instance's cgroup)."""
    return [entry for entry in left if any(mark in entry for mark in marks)]
