#!/usr/bin/python3
"""Files through lxmc beside `cp` on the same disk: one of 1 GiB in and out of a running instance, and a tree of 10,000 small ones.

Says what it measured and whether it holds: at least 80 % of cp's speed or 500 MB/s, whichever is lower; at least 3,000 files a second.
SIZE=MiB and COUNT=files choose others.
"""
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from conftest import create  # noqa: E402
from harness import images  # noqa: E402
from harness.daemon import Daemon  # noqa: E402

MIB = int(os.environ.get("SIZE", "1024"))
COUNT = int(os.environ.get("COUNT", "10000"))
ROUNDS = 3
ENOUGH_MBS, SHARE, FILES_S = 500, 0.8, 3000


def timed(fn):
    os.sync()
    begun = time.monotonic()
    fn()
    return time.monotonic() - begun


def make_file(path):
    block = os.urandom(1 << 20)
    with open(path, "wb") as f:
        for i in range(MIB):
            f.write(i.to_bytes(8, "little") + block[8:])


def make_tree(path):
    for i in range(COUNT):
        place = path / f"d{i // 100:03}"
        place.mkdir(parents=True, exist_ok=True)
        (place / f"f{i:05}").write_bytes(b"x" * (i % 4096))


def same(a, b):
    return subprocess.run(["diff", "-rq", a, b], stdout=subprocess.DEVNULL).returncode == 0


def one_file(daemon, name, scratch):
    """Best of some rounds each, in turns, so that the disk's mood is the same for all."""
    src, copy, back = scratch / "src", scratch / "copy", scratch / "back"
    make_file(src)
    best = {"cp": 1e9, "push": 1e9, "pull": 1e9}
    for _ in range(ROUNDS):
        for what, run in (("cp", lambda: subprocess.run(["cp", "--reflink=never", src, copy], check=True)),
                          ("push", lambda: daemon.lxmc("file", "push", "-q", src, f"{name}/root/big", check=True, timeout=300)),
                          ("pull", lambda: daemon.lxmc("file", "pull", "-q", f"{name}/root/big", back, check=True, timeout=300))):
            best[what] = min(best[what], timed(run))
        assert same(src, back), "what came back is not what went in"
        for path in (copy, back):
            path.unlink()
        daemon.lxmc("file", "delete", f"{name}/root/big", check=True)
    src.unlink()
    return {what: MIB * 1.048576 / t for what, t in best.items()}


def tree(daemon, name, scratch):
    src, back = scratch / "tree", scratch / "back"
    make_tree(src)
    back.mkdir()
    best = {"push": 1e9, "pull": 1e9}
    for i in range(ROUNDS):
        best["push"] = min(best["push"], timed(lambda to=f"{name}/root/r{i}/": daemon.lxmc("file", "push", "-rqp", src, to, check=True, timeout=300)))
        best["pull"] = min(best["pull"], timed(lambda: daemon.lxmc("file", "pull", "-rq", f"{name}/root/r0/tree", back, check=True, timeout=300)))
        assert same(src, back / "tree"), "what came back is not what went in"
        shutil.rmtree(back / "tree")
    return {what: COUNT / t for what, t in best.items()}


def main():
    daemon = Daemon("files", parent=os.environ.get("DIR", "/tmp"))
    scratch = daemon.dir / "scratch"
    scratch.mkdir()
    try:
        daemon.start(debug=False).init()
        images.import_image(daemon.rest, images.busybox_tar(), "testimage")
        inst = create(daemon, "testimage", name="box")
        speed = one_file(daemon, inst.name, scratch)
        rate = tree(daemon, inst.name, scratch)
        inst.remove()
    finally:
        print("\n".join(daemon.end()), end="")
    want = min(SHARE * speed["cp"], ENOUGH_MBS)
    print(f"cp of {MIB} MiB    {speed['cp']:8.0f} MB/s")
    for what in ("push", "pull"):
        print(f"lxmc file {what}    {speed[what]:8.0f} MB/s     at least {want:.0f}")
    for what in ("push", "pull"):
        print(f"{what} of {COUNT} files {rate[what]:8.0f} files/s  at least {FILES_S}")
    return 0 if min(speed["push"], speed["pull"]) >= want and min(rate.values()) >= FILES_S else 1


if __name__ == "__main__":
    sys.exit(main())
