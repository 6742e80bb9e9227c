"""kill -9 of lxmd, and sometimes of its monitors, while clients change everything at once: the next lxmd puts it right."""
import http.client
import os
import random
import signal
import threading
import time

import pytest

from harness import host, images
from harness.footprint import Footprint
from harness.instance import Instance, wait_until
from harness.rest import OperationFailed, RestError

GONE = (ConnectionError, OSError, http.client.HTTPException)
REFUSED = (OperationFailed, RestError, AssertionError)


class Client:
    """Makes and removes things until the daemon dies."""

    def __init__(self, daemon, number, seed, tars):
        self.daemon, self.rest, self.number, self.tars = daemon, daemon.rest, number, tars
        self.rnd = random.Random(seed)
        self.thread = threading.Thread(target=self.run)
        self.thread.start()

    def run(self):
        serial = 0
        while self.daemon.alive():
            serial += 1
            for step in self.rnd.choice((self.instance, self.instance, self.instance, self.image, self.network, self.pool))(serial):
                try:
                    step()
                except REFUSED:
                    continue
                except GONE:
                    return

    def image(self, _serial):
        yield lambda: images.import_image(self.rest, self.rnd.choice(self.tars), f"i{self.number}")
        yield lambda: clear_images(self.rest)

    def network(self, _serial):
        yield lambda: self.rest.change("POST", "networks", json={"name": f"xk{self.number}", "config": {"ipv6.address": "none"}})
        yield lambda: self.rest.change("DELETE", f"networks/xk{self.number}")

    def pool(self, _serial):
        yield lambda: self.rest.change("POST", "storage-pools", json={"name": f"pk{self.number}", "driver": "dir"})
        yield lambda: self.rest.change("DELETE", f"storage-pools/pk{self.number}")

    def instance(self, serial):
        name = f"k{self.number}x{serial}"
        inst = Instance(self.daemon, name)
        yield lambda: self.rest.change("POST", "instances", json={
            "name": name, "ephemeral": self.rnd.random() < .3, "source": {"type": "image", "alias": "testimage"}})
        yield inst.start
        if self.rnd.random() < .3:
            yield lambda: inst.exec("sleep", "0.1")
        if self.rnd.random() < .3:
            yield inst.restart
        yield inst.stop
        if self.rnd.random() < .3:
            yield lambda: self.rest.change("POST", f"instances/{name}", json={"name": name + "r"})
        yield lambda: self.rest.change("DELETE", f"instances/{name}")
        yield lambda: self.rest.change("DELETE", f"instances/{name}r")


def clear_images(rest):
    for image in rest.read("images", query={"recursion": 1}):
        if not any(a["name"] == "testimage" for a in image["aliases"]):
            rest.change("DELETE", f"images/{image['fingerprint']}")


def clear(daemon):
    """Removes all instances (one whose monitor was killed may be starting by itself) and what else the clients made."""
    def once():
        for inst in daemon.rest.read("instances", query={"recursion": 1}):
            assert inst["status"] in ("Running", "Stopped"), inst
            try:
                Instance(daemon, inst["name"]).remove()
            except REFUSED:
                pass
        return not daemon.rest.read("instances")

    wait_until(once, 10, lambda: daemon.rest.read("instances", query={"recursion": 1}))
    clear_images(daemon.rest)
    for kind, prefix in (("networks", "xk"), ("storage-pools", "pk")):
        for thing in daemon.rest.read(kind, query={"recursion": 1}):
            if thing["name"].startswith(prefix):
                daemon.rest.change("DELETE", f"{kind}/{thing['name']}")


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_kill_9_while_everything_changes(own_daemon, busybox_tar):
    daemon = own_daemon
    tars = [images.busybox_tar(extra=lambda t: t.add("rootfs/big", os.urandom(1 << 20))) for _ in range(2)]
    images.import_image(daemon.rest, busybox_tar, "testimage")
    warm = Instance(daemon, "warm")
    daemon.rest.change("POST", "instances", json={"name": "warm", "source": {"type": "image", "alias": "testimage"}})
    warm.start().stop().delete()
    footprint = Footprint(daemon)
    for seed in range(15):
        rnd = random.Random(seed)
        clients = [Client(daemon, n, f"{seed}/{n}", tars) for n in range(3)]
        time.sleep(rnd.uniform(0.02, 0.7))
        daemon.kill()
        for client in clients:
            client.thread.join()
        if rnd.random() < .4:
            for pid, (name, _, about) in host.processes().items():
                if name == "lxm-monitor" and str(daemon.dir) in about:
                    os.kill(pid, signal.SIGKILL)
        daemon.start()
        clear(daemon)
        wait_until(lambda: not Footprint(daemon).grown_since(footprint), 10,
                   lambda: f"round {seed}: {Footprint(daemon).grown_since(footprint)}")


def test_a_pool_that_was_cut_off_leaves_no_directory(own_daemon):
    daemon = own_daemon
    daemon.stop()
    for name, inside in (("cutoff", "instances"), ("hasdata", "instances/precious")):
        os.makedirs(daemon.dir / "pools" / name / inside)
    daemon.start()
    assert not (daemon.dir / "pools" / "cutoff").exists()
    assert (daemon.dir / "pools" / "hasdata" / "instances" / "precious").exists()
