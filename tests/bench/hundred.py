#!/usr/bin/python3
"""A hundred Debian systems with systemd at once: all of them `running`, no failed unit, each with its own inotify, keys and terminals.

COUNT=N takes another number. Says what it measured: time until all run, memory of the host for each, and what is left of the kernel's limits.
"""
import os
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import debian_image  # noqa: E402
from harness import images  # noqa: E402
from harness.daemon import Daemon  # noqa: E402
from harness.host import HostState  # noqa: E402
from harness.instance import Instance  # noqa: E402

COUNT = int(os.environ.get("COUNT", "100"))
AT_ONCE = 4
READY_S = 600
KEYS = "kernel.pty.max kernel.pty.nr fs.file-nr kernel.pid_max fs.inotify.max_user_instances kernel.keys.maxkeys".split()

# of its own: what others take of the host's counts for nothing here
ROOM = r"""
used=0; for f in /proc/[0-9]*/fd/*; do [ "$(readlink "$f")" = anon_inode:inotify ] && used=$((used + 1)); done
keys=$(awk '$1 == "0:" { split($4, a, "/"); print a[1], a[2] }' /proc/key-users)
ptys=$(ls /dev/pts | grep -vc ptmx)
echo "$used $(cat /proc/sys/fs/inotify/max_user_instances) $keys $ptys"
"""


def meminfo(key):
    for line in Path("/proc/meminfo").read_text().splitlines():
        if line.startswith(key + ":"):
            return int(line.split()[1]) / 1024
    raise KeyError(key)


def each(instances, fn, at_once=AT_ONCE):
    with ThreadPoolExecutor(at_once) as pool:
        return list(pool.map(fn, instances))


def make(daemon, name):
    daemon.rest.change("POST", "instances", timeout=120, json={"name": name, "source": {"type": "image", "alias": "debian"}})
    return Instance(daemon, name)


def settle(inst):
    """What systemd says of itself once it is done: running, or degraded when a unit failed."""
    until = time.monotonic() + READY_S
    while time.monotonic() < until:
        state = inst.exec("systemctl", "is-system-running").out.decode().strip()
        if state in ("running", "degraded"):
            return state
        time.sleep(2)
    return "late"


def judge(inst):
    """(failed units, numbers of ROOM)."""
    failed = inst.sh("systemctl --failed --plain --no-legend").split("\n")
    return [line.split()[0] for line in failed if line.strip()], [int(n) for n in inst.sh(ROOM).split()]


def report(made, ready, states, judged, before_mb, pss_kb):
    failed = [(name, units) for name, (units, _) in judged.items() if units]
    room = [numbers for _, numbers in judged.values()]
    print(f"{COUNT} instances made and started   {made:7.1f} s")
    print(f"all say that they run            {ready:7.1f} s")
    print(f"memory of the host for each      {(before_mb - meminfo('MemAvailable')) / COUNT:7.1f} MiB")
    print(f"lxmd (PSS)                       {pss_kb / 1024:7.1f} MiB")
    print(f"inotify instances of each        {max(n[0] for n in room):4d} of {room[0][1]}")
    print(f"keys of each                     {max(n[2] for n in room):4d} of {room[0][3]}")
    print(f"terminals of each                {max(n[4] for n in room):4d} of 1024")
    for key in KEYS:
        print(f"  {key} = {Path('/proc/sys', *key.split('.')).read_text().strip()}")
    print(f"states: {', '.join(f'{states.count(s)} {s}' for s in sorted(set(states)))}; with failed units: {failed or 'none'}")
    return not failed and set(states) == {"running"} and all(n[0] < n[1] and n[2] < n[3] for n in room)


def pss(pid):
    text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    return int(text.split("Pss:")[1].split()[0])


def main():
    data = debian_image.get()
    if data is None:
        return 1
    before = HostState()
    daemon = Daemon("hundred")
    problems = []
    try:
        daemon.start(debug=False).init()
        images.import_image(daemon.rest, data, "debian")
        free = meminfo("MemAvailable")
        begun = time.monotonic()
        names = [f"d{i:03d}" for i in range(COUNT)]
        instances = each(names, lambda name: make(daemon, name))
        each(instances, lambda inst: inst.start())
        made = time.monotonic() - begun
        states = each(instances, settle, 8)
        ready = time.monotonic() - begun
        judged = dict(zip(names, each(instances, judge)))
        good = report(made, ready, states, judged, free, pss(daemon.proc.pid))
        each(instances, lambda inst: inst.stop())
    finally:
        problems = daemon.end(before)
    for problem in problems:
        print(problem, file=sys.stderr)
    return 0 if good and not problems else 1


if __name__ == "__main__":
    sys.exit(main())
