#!/usr/bin/python3
"""What an instance at its memory limit costs its neighbour: p99 of a request that reads 4 KiB from the disk and computes for a moment.

The neighbour works alone, then beside an instance whose programs touch pages of a file, here and there and without a pause; they would
need half as much memory again as it may have. Once lxmd holds them back, they are stopped and continued each second, and the neighbour's
requests of both kinds of seconds are compared, so that whatever else the host does is in both. Holds when the p99 beside them is at most
1.2 times the other. ROUNDS=N takes another number of seconds of each kind.
"""
import json
import os
import signal
import statistics
import subprocess
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from harness import cgroups, images, pressure  # noqa: E402
from harness.daemon import Daemon  # noqa: E402
from harness.instance import Instance, wait_until  # noqa: E402

ROUNDS = int(os.environ.get("ROUNDS", "20"))
REACTION = 20  # seconds that lxmd has to see what is going on
EDGE = 0.1     # seconds after a change that are left out
LIMIT = 1.2

# joins the groups named in argv, then measures: [(when, milliseconds)] of each request as JSON
PROBE = r'''
import hashlib, json, mmap, os, random, sys, time
path, seconds = sys.argv[1], float(sys.argv[2])
for group in sys.argv[3:]:
    open(group + "/cgroup.procs", "w").write(str(os.getpid()))
fd = os.open(path, os.O_RDONLY | os.O_DIRECT)
size = os.fstat(fd).st_size
buf = mmap.mmap(-1, 4096)
rnd = random.Random(1)
taken = []
end = time.monotonic() + seconds
while time.monotonic() < end:
    begun = time.monotonic()
    os.preadv(fd, [buf], rnd.randrange(size // 4096) * 4096)
    hashlib.sha256(buf[:] * 16).digest()
    taken.append((begun, (time.monotonic() - begun) * 1000))
    time.sleep(0.001)
print(json.dumps(taken))
'''


def probe(inst, path):
    argv = [sys.executable, "-I", "-c", PROBE, str(path), str(2 * ROUNDS + 1), *pressure.groups(inst)]
    return subprocess.Popen(argv, stdout=subprocess.PIPE, text=True)


def held(inst):
    return cgroups.share(inst.pid) < 50


def p99(values):
    return statistics.quantiles(values, n=100)[98]


def make(daemon, name, **config):
    daemon.rest.change("POST", "instances", json={"name": name, "source": {"type": "image", "alias": "bb"}, "config": config})
    return Instance(daemon, name).start()


def main():
    daemon = Daemon("neighbour")
    try:
        daemon.start().init()
        images.import_image(daemon.rest, images.busybox_tar(), "bb")
        quiet, loud = make(daemon, "quiet"), make(daemon, "loud", **{"limits.memory": "96MiB"})
        data, large = (pressure.fill(daemon.dir / name, size) for name, size in (("data", 64), ("large", 144)))
        phases = []
        with pressure.thrashing(loud, large, 4) as programs:
            wait_until(lambda: held(loud), REACTION, lambda: "nothing is held back")
            measured = probe(quiet, data)
            for turn in range(2 * ROUNDS):
                for program in programs:
                    program.send_signal(signal.SIGCONT if turn % 2 else signal.SIGSTOP)
                phases.append((time.monotonic() + EDGE, time.monotonic() + 1, turn % 2))
                time.sleep(1)
            stayed = held(loud)
            samples = json.loads(measured.communicate()[0])
        quiet.remove()
        loud.remove()
    finally:
        problems = daemon.end()
        assert not problems, "\n".join(problems)
    alone, beside = (p99([ms for when, ms in samples if any(a < when < b and k == kind for a, b, k in phases)]) for kind in (0, 1))
    ratio = beside / alone
    print(f"p99 alone {alone:.2f} ms, beside {beside:.2f} ms: {ratio:.2f} times, at most {LIMIT}: "
          f"{'holds' if ratio <= LIMIT else 'DOES NOT HOLD'}{'' if stayed else ' (it was let go meanwhile)'}")
    return ratio > LIMIT


if __name__ == "__main__":
    sys.exit(main())
