#!/usr/bin/env python3
"""Time of a copy of an instance between two lxmd over TLS, beside `tar | openssl s_client` into `openssl s_server | tar`.

    tests/bench/migrate.py [MIB] [ROUNDS]     default 1024 MiB, 3 rounds; as root, with lxmd built

Both sides of both ways run on this machine, over the loopback, on the same files: a tree of small files and some large
ones. On a busy machine the processor time says more than the time that went by. Each round runs all of them one after the other; the table gives the best of each. `sync` is part of none: lxmd has all
on the disk when it answers, tar has not, which is shown by itself.
"""
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from harness import images  # noqa: E402
from harness.daemon import Daemon  # noqa: E402
from harness.instance import Instance  # noqa: E402
from harness.move import Transfer, serve_tls, volume  # noqa: E402

FILL = """mkdir /data; cd /data; mkdir small large
for i in $(seq 2000); do dd if=/dev/urandom of=small/f$i bs=16k count=2 2>/dev/null; done
for i in $(seq {large}); do dd if=/dev/urandom of=large/f$i bs=1M count=64 2>/dev/null; done"""


def memory(daemon):
    """Peak resident memory of lxmd so far, in MiB."""
    return int(re.search(r"VmHWM:\s+(\d+)", Path(f"/proc/{daemon.proc.pid}/status").read_text()).group(1)) // 1024


def cpu(*daemons):
    """Seconds of processor time that they have used so far."""
    stats = [Path(f"/proc/{d.proc.pid}/stat").read_text().rsplit(")", 1)[1].split() for d in daemons]
    return sum(int(s[11]) + int(s[12]) for s in stats) / os.sysconf("SC_CLK_TCK")


def certificate(where):
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-384", "-nodes", "-days", "2", "-subj", "/CN=bench",
                    "-keyout", f"{where}/key", "-out", f"{where}/cert"], check=True, capture_output=True)


def tar_over_tls(top, where, port):
    """Seconds until tar has unpacked what tar packed at the other end."""
    out = Path(where) / "out"
    out.mkdir()
    quiet = {"stderr": subprocess.DEVNULL}
    server = subprocess.Popen(["openssl", "s_server", "-quiet", "-accept", f"127.0.0.1:{port}", "-naccept", "1", "-key", f"{where}/key",
                               "-cert", f"{where}/cert", "-tls1_3"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, **quiet)
    unpack = subprocess.Popen(["tar", "--xattrs", "--numeric-owner", "-xf", "-", "-C", out], stdin=server.stdout, **quiet)
    time.sleep(0.5)
    began = time.monotonic()
    pack = subprocess.Popen(["tar", "--xattrs", "--numeric-owner", "-cf", "-", "-C", top, "."], stdout=subprocess.PIPE, **quiet)
    # without -quiet it would take lines of the archive for commands; with it, it does not end by itself
    client = subprocess.Popen(["openssl", "s_client", "-quiet", "-connect", f"127.0.0.1:{port}", "-CAfile", f"{where}/cert", "-tls1_3"],
                              stdin=pack.stdout, stdout=subprocess.DEVNULL, **quiet)
    try:
        unpack.wait(60)
        took = time.monotonic() - began
    finally:
        for proc in (client, server, pack, unpack):
            proc.kill()
            proc.wait()
    same = subprocess.run(["du", "-s", "--apparent-size", out], capture_output=True, text=True).stdout.split()[0]
    shutil.rmtree(out)
    return took, int(same) // 1024


def main():
    mib = int(sys.argv[1]) if len(sys.argv) > 1 else 1024
    rounds = int(sys.argv[2]) if len(sys.argv) > 2 else 3
    a, b = daemons = Daemon("bencha"), Daemon("benchb")
    scratch = tempfile.mkdtemp(prefix="lxm-bench-")
    times = {"tar": [], "pull": [], "push": []}
    used = {"tar": [], "pull": [], "push": []}
    try:
        for d in daemons:
            d.start(debug=False).init()
            images.import_image(d.rest, images.busybox_tar(), "img")
        url = {d: serve_tls(d) for d in daemons}
        a.rest.change("POST", "instances", json={"name": "c1", "source": {"type": "image", "alias": "img"}})
        a.rest.change("PUT", "instances/c1/state", json={"action": "start"})
        Instance(a, "c1").sh(FILL.format(large=max(1, (mib - 64) // 64)), timeout=120)
        Instance(a, "c1").stop()
        top = volume(a, "c1") / "upper"
        certificate(scratch)
        with socket.socket() as s:
            s.bind(("127.0.0.1", 0))
            port = s.getsockname()[1]
        os.sync()
        for _ in range(rounds):
            before = sum(os.times()[2:4])
            took, size = tar_over_tls(top, scratch, port)
            times["tar"].append(took)
            used["tar"].append(sum(os.times()[2:4]) - before)
            for mode in ("pull", "push"):
                before, began = cpu(a, b), time.monotonic()
                Transfer(a, b, "c1", "c2", mode, url).wait(300)
                times[mode].append(time.monotonic() - began)
                used[mode].append(cpu(a, b) - before)
                Instance(b, "c2").delete()
        print(f"{mib} MiB ({size} MiB arrived by tar), best of {rounds}")
        for what, took in times.items():
            best = min(took)
            print(f"{what:5} {best:6.2f} s {mib / best:7.0f} MiB/s {100 * min(times['tar']) / best:5.0f} % of tar   all: {' '.join(f'{t:.2f}' for t in took)}"
                  f"   processor: {min(used[what]):.2f} s")
        print(f"peak memory: source {memory(a)} MiB, sink {memory(b)} MiB")
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
        for d in daemons:
            print("\n".join(d.end()), end="")


if __name__ == "__main__":
    main()
