#!/usr/bin/python3
"""What an instance at its memory limit costs its neighbour: p99 of a request that reads 4 KiB from the disk and computes for a moment.

The neighbour works alone, then beside an instance whose file is three times its memory and is read by four programs without a pause.
Holds when its p99 is at most 1.2 times what it was alone. SECONDS=N takes another length of each phase, ROUNDS=N more pairs.
"""
import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from harness import cgroups, images  # noqa: E402
from harness.daemon import Daemon  # noqa: E402
from harness.instance import Instance  # noqa: E402

SECONDS = float(os.environ.get("SECONDS", "8"))
ROUNDS = int(os.environ.get("ROUNDS", "3"))
REACTION = 6  # seconds that lxmd has to see what is going on
LIMIT = 1.2

# joins the groups named in argv, then measures: [milliseconds] of each request as JSON
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
    taken.append((time.monotonic() - begun) * 1000)
    time.sleep(0.001)
print(json.dumps(taken))
'''


def probe(inst, path):
    pid = inst.pid
    groups = sorted({str(cgroups.group(pid, name)) for name in cgroups.MOUNTS})
    argv = [sys.executable, "-I", "-c", PROBE, str(path), str(SECONDS), *groups]
    return json.loads(subprocess.run(argv, check=True, capture_output=True, text=True).stdout)


def p99(values):
    return statistics.quantiles(values, n=100)[98]


def thrash(inst, on):
    if on:
        inst.sh("for i in 1 2 3 4; do (while :; do cat /big >/dev/null; done) >/dev/null 2>&1 & done")
    else:
        inst.restart()


def make(daemon, name, **config):
    daemon.rest.change("POST", "instances", json={"name": name, "source": {"type": "image", "alias": "bb"}, "config": config})
    return Instance(daemon, name).start()


def main():
    daemon = Daemon("neighbour")
    ratios = []
    try:
        daemon.start().init()
        images.import_image(daemon.rest, images.busybox_tar(), "bb")
        quiet, loud = make(daemon, "quiet"), make(daemon, "loud", **{"limits.memory": "48MiB"})
        data = Path(daemon.dir) / "data"
        with open(data, "wb") as f:
            for _ in range(64):
                f.write(os.urandom(1 << 20))
            os.fsync(f.fileno())
        loud.sh("dd if=/dev/zero of=/big bs=1M count=144 2>/dev/null; sync")
        for _ in range(ROUNDS):
            alone = p99(probe(quiet, data))
            thrash(loud, True)
            time.sleep(REACTION)
            beside = p99(probe(quiet, data))
            thrash(loud, False)
            time.sleep(2)
            ratios.append(beside / alone)
            print(f"p99 alone {alone:.2f} ms, beside {beside:.2f} ms: {beside / alone:.2f} times", flush=True)
        quiet.remove()
        loud.remove()
    finally:
        problems = daemon.end()
        assert not problems, "\n".join(problems)
    ratio = statistics.median(ratios)
    print(f"median of {ROUNDS}: {ratio:.2f} times, at most {LIMIT}: {'holds' if ratio <= LIMIT else 'DOES NOT HOLD'}")
    return ratio > LIMIT


if __name__ == "__main__":
    sys.exit(main())
