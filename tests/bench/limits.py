#!/usr/bin/python3
"""CPUs dealt out among 500 running instances with limits: what a start costs, and what it costs to be even again. COUNT=N takes another number.

Each instance has limits.cpu=1, so every start and stop may move others; lxmd (--debug) says how long that took it, writes included.
Holds when it was never more than 5 ms for what one start or one stop had moved.
"""
import os
import re
import statistics
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from harness import cgroups, images  # noqa: E402
from harness.daemon import Daemon  # noqa: E402
from harness.instance import Instance, wait_until  # noqa: E402

COUNT = int(os.environ.get("COUNT", "500"))
ROUNDS = 20
LIMIT_MS = 5
CONFIG = {"limits.cpu": "1", "limits.memory": "256MiB", "limits.processes": "200", "security.idmap.isolated": "false"}
MOVED = re.compile(r"cpus: (\d+) of (\d+) instances moved in (\d+) us")


def all_at_once(names, fn):
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(fn, names))


def start_ms(inst):
    begun = time.monotonic()
    inst.start()
    return (time.monotonic() - begun) * 1000


def gap(insts):
    load = {}
    for inst in insts:
        for cpu in cgroups.cpus(inst.pid):
            load[cpu] = load.get(cpu, 0) + 1
    return max(load.values()) - min(load.values())


def main():
    daemon = Daemon("limits")
    insts = [Instance(daemon, f"s{i}") for i in range(COUNT)]
    try:
        daemon.start().init()
        rest = daemon.rest
        images.import_image(rest, images.busybox_tar(), "testimage")
        body = {"source": {"type": "image", "alias": "testimage"}, "config": CONFIG}
        all_at_once(insts, lambda i: rest.change("POST", "instances", {"name": i.name, **body}))
        first = statistics.median(start_ms(i) for i in insts[:ROUNDS])
        all_at_once(insts[ROUNDS:], lambda i: i.start())
        assert gap(insts) <= 1
        begun = daemon.log.stat().st_size
        last = []
        for turn in range(ROUNDS):
            # two of one CPU go, so that another one moves; then they come back
            cpu = cgroups.cpus(insts[turn].pid)
            leaving = [i for i in insts[turn:] if cgroups.cpus(i.pid) == cpu][:2]
            for inst in leaving:
                inst.stop()
            last += [start_ms(inst) for inst in leaving]
        wait_until(lambda: gap(insts) <= 1, text=lambda: f"not even: {gap(insts)}")
        moves = [tuple(map(int, m)) for m in MOVED.findall(daemon.log.read_text(errors="replace")[begun:])]
        all_at_once(insts, lambda i: i.stop())
        all_at_once(insts, lambda i: i.delete())
    finally:
        print("\n".join(daemon.end()), end="")
    most = max((us for _, _, us in moves), default=0) / 1000
    typical = statistics.median(us for _, _, us in moves) / 1000 if moves else 0
    print(f"a start among {ROUNDS:4d} instances {first:7.2f} ms")
    print(f"a start among {COUNT:4d} instances {statistics.median(last):7.2f} ms")
    print(f"even again: {len(moves)} times, {max((n for n, _, _ in moves), default=0)} instances at most, median {typical:.2f} ms, worst {most:.2f} ms")
    print(f"at most {LIMIT_MS} ms: {'holds' if most <= LIMIT_MS else 'DOES NOT HOLD'}")
    return most > LIMIT_MS


if __name__ == "__main__":
    sys.exit(main())
