"""Instances as the tests handle them."""
import itertools
import os
import time

from .daemon import SLOW
from .rest import run_exec

_serial = itertools.count(1)


class Instance:
    """One instance of a daemon under test, driven through REST."""

    def __init__(self, daemon, name):
        self.daemon = daemon
        self.rest = daemon.rest
        self.name = name
        self.path = f"/1.0/instances/{name}"

    def get(self):
        return self.rest.read(self.path)

    def state(self):
        return self.rest.read(self.path + "/state")

    @property
    def status(self):
        return self.get()["status"]

    @property
    def pid(self):
        return self.state()["pid"]

    def action(self, action, force=False, timeout=30, **body):
        op = self.rest.change("PUT", self.path + "/state", timeout=timeout * SLOW,
                              json={"action": action, "force": force, "timeout": int(timeout), **body})
        if action in ("start", "restart"):
            self.daemon.note_instance(self.state())
        return op

    def start(self, **kw):
        self.action("start", **kw)
        return self

    def stop(self, force=True, **kw):
        self.action("stop", force=force, **kw)
        return self

    def restart(self, force=True, **kw):
        self.action("restart", force=force, **kw)
        return self

    def delete(self):
        self.daemon.note_logs(self.name)
        self.rest.change("DELETE", self.path)

    def exec(self, *command, stdin=b"", timeout=30, **body):
        return run_exec(self.rest, self.name, command, stdin, timeout * SLOW, **body)

    def sh(self, script, **kw):
        """Output of a shell script that must succeed inside the instance."""
        done = self.exec("sh", "-c", script, **kw)
        assert done.code == 0, f"{script!r} in {self.name}: {done}"
        return done.out.decode()

    def wait_status(self, status, timeout=20):
        return wait_until(lambda: self.status == status, timeout, lambda: f"{self.name} is {self.status}, not {status}")

    def address(self, family="inet", device="eth0", timeout=20):
        """The first global address of a device; waits for it."""
        found = []

        def look():
            net = (self.state().get("network") or {}).get(device) or {"addresses": []}
            found[:] = [a["address"] for a in net["addresses"] if a["family"] == family and a["scope"] == "global"]
            return found

        wait_until(look, timeout, lambda: f"{self.name} has no {family} address on {device}: {self.state()['network']}")
        return found[0]

    def remove(self):
        """Cleanup: gone whatever state it is in."""
        reply = self.rest.get(self.path)
        if reply.status == 404:
            return
        if reply.metadata["status"] != "Stopped":
            self.stop()
        if self.rest.get(self.path).status != 404:  # an ephemeral one went with its stop
            self.delete()


def wait_until(check, timeout=20, text=lambda: "condition did not come true"):
    """Polls check() until it returns something true, which is returned."""
    end = time.monotonic() + timeout * SLOW
    while True:
        value = check()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(text())
        time.sleep(0.02)


def fresh_name(prefix="t"):
    return f"{prefix}{os.getpid()}x{next(_serial)}"
