"""kill -9 of lxmd while custom volumes are copied, moved and restored: what was there is there, and nothing half made."""
import os
import random
import threading
import time

import pytest

from harness.daemon import SLOW

BASE = "storage-pools/default/volumes/custom"


def fill(daemon, name, n=400):
    root = daemon.dir / "pools/default/custom" / f"default@{name}" / "rootfs"
    for i in range(n):
        (root / f"d{i % 20}").mkdir(exist_ok=True)
        (root / f"d{i % 20}" / f"f{i}").write_bytes(os.urandom(4096))
    return n


def count(daemon, name):
    root = daemon.dir / "pools/default/custom" / f"default@{name}" / "rootfs"
    return sum(len(files) for _, _, files in os.walk(root))


@pytest.mark.timeout(120)
def test_kill_9_in_the_middle_of_copies(own_daemon):
    rest = own_daemon.rest
    rest.change("POST", BASE, {"name": "v"})
    n = fill(own_daemon, "v")
    rest.change("POST", f"{BASE}/v/snapshots", {"name": "s"})
    serial = [0]

    def churn(stop):
        while not stop.is_set():
            serial[0] += 1
            name = f"c{serial[0]}"
            try:
                rest.change("POST", BASE, {"name": name, "source": {"type": "copy", "name": "v", "pool": "default"}})
                rest.put(f"{BASE}/v", {"restore": "s"})
                rest.post(f"{BASE}/{name}", {"name": name + "r"})
                rest.change("DELETE", f"{BASE}/{name}r")
            except Exception:
                return  # the daemon is gone: that is the point

    for seed in range(4 if SLOW < 10 else 2):
        stop = threading.Event()
        thread = threading.Thread(target=churn, args=(stop,))
        thread.start()
        time.sleep(random.Random(seed).uniform(0.02, 0.5))
        own_daemon.kill()
        stop.set()
        thread.join()
        own_daemon.start()
        for url in rest.read(BASE):
            if "/snapshots/" in url:
                continue
            name = url.rsplit("/", 1)[1]
            assert count(own_daemon, name) == n, name
            if name != "v":
                rest.change("DELETE", f"{BASE}/{name}")
        assert f"/1.0/{BASE}/v/snapshots/s" in rest.read(BASE)
    pool = own_daemon.dir / "pools/default"
    assert not list((pool / "staged").iterdir()) and not list((pool / "tmp").iterdir())
    rest.change("DELETE", f"{BASE}/v")
