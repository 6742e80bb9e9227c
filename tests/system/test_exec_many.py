"""Many execs at once: every byte right, and nothing of them stays."""
import hashlib
import os
import threading
from pathlib import Path

from harness.daemon import BUILD, SLOW
from harness.instance import wait_until
from harness.rest import Exec

COUNT = 200 if SLOW == 1 else 40 if SLOW < 10 else 12  # each has a few seconds to come after its sockets are offered
SIZE = 1 << 20


def resident_kb(pid):
    return next(int(line.split()[1]) for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("VmRSS"))


def descriptors(pid):
    return len(os.listdir(f"/proc/{pid}/fd"))


def echo(rest, name, data):
    """Sends data through `cat` and returns what came back and the exit status."""
    with Exec(rest, name, ["cat"]) as ex:
        def feed():
            for at in range(0, len(data), 65536):
                ex.send(data[at:at + 65536])
            ex.eof()

        feeder = threading.Thread(target=feed)
        feeder.start()
        out, err = ex.output(120)
        feeder.join()
        return out, err, ex.wait()


def round_of(rest, inst, count):
    wrong = []

    def one(number):
        data = os.urandom(SIZE)
        try:
            out, err, code = echo(rest, inst.name, data)
            if hashlib.sha256(out).digest() != hashlib.sha256(data).digest() or err or code != 0:
                wrong.append(f"{number}: {len(out)} bytes, {err!r}, exit {code}")
        except Exception as e:
            wrong.append(f"{number}: {e!r}")

    threads = [threading.Thread(target=one, args=(n,)) for n in range(count)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert not wrong, wrong[:5]


def test_many_streams_of_random_bytes(daemon, rest, instance):
    inst = instance()
    round_of(rest, inst, COUNT)  # threads and arenas that the first round makes are lxmd's to keep
    fds, memory = descriptors(daemon.proc.pid), resident_kb(daemon.proc.pid)
    round_of(rest, inst, COUNT)
    wait_until(lambda: rest.read(f"instances/{inst.name}/exec") == [])
    # a worker that wakes for the first time opens the database; what an exec leaves behind would be there COUNT times
    wait_until(lambda: descriptors(daemon.proc.pid) < fds + COUNT // 2, text=lambda: f"{descriptors(daemon.proc.pid)} descriptors, {fds} before")
    wait_until(lambda: inst.state()["processes"] <= 3, text=lambda: f"{inst.state()['processes']} processes")
    if "san-" in BUILD.name:
        return  # sanitizers keep what was freed
    wait_until(lambda: resident_kb(daemon.proc.pid) < memory + 8192 * SLOW, text=lambda: f"{resident_kb(daemon.proc.pid)} kB, {memory} before")
