"""Several clients change the same two instances at once: each gets an answer, a refusal says why, nothing is left."""
import os
import random
import threading
import time

import pytest

from harness.daemon import SLOW
from harness.footprint import Footprint
from harness.instance import Instance, wait_until
from harness.rest import OperationFailed, RestError

NAMES = ("race-a", "race-b")
# statuses of a refusal; anything from 500 on is a bug
REFUSALS = {400, 404, 409}
# ... and so is an operation that fails for a reason that is none of a race
FAIR = ("running", "busy", "not found", "already", "is being", "stopped", "in progress", "frozen", "cancelled", "in use", "no such", "stop it",
        "not executable", "not exist", "ended", "killed", "is gone", "exists", "has gone", "stopping")


class Racer(threading.Thread):
    def __init__(self, daemon, image, seed, until):
        super().__init__()
        self.daemon_, self.image, self.until = daemon, image, until
        self.rnd = random.Random(seed)
        self.odd = []

    def step(self):
        rest, rnd = self.daemon_.rest, self.rnd
        name = rnd.choice(NAMES)
        path = f"instances/{name}"
        kind = rnd.randrange(10)
        if kind < 2:
            return rest.post("instances", json={"name": name, "source": {"type": "image", "alias": self.image}})
        if kind == 2:
            return rest.delete(path)
        if kind < 5:
            return rest.put(f"{path}/state", json={"action": rnd.choice(["start", "start", "restart", "freeze", "unfreeze"]), "force": True, "timeout": 10})
        if kind < 7:
            return rest.put(f"{path}/state", json={"action": "stop", "force": True, "timeout": 10})
        if kind == 7:
            return rest.post(path, json={"name": rnd.choice(NAMES)})
        if kind == 8:
            return rest.patch(path, json={"config": {"limits.processes": str(rnd.randrange(100, 200)), "user.x": "y"}})
        return rest.post(f"{path}/exec", json={"command": ["sleep", "0.05"], "wait-for-websocket": False})

    def run(self):
        while time.monotonic() < self.until:
            reply = self.step()
            if reply.status == 202:
                op = reply.json["operation"]
                if self.rnd.random() < .2:
                    self.daemon_.rest.delete(op)
                done = self.daemon_.rest.get(f"{op}/wait", query={"timeout": 60}, timeout=90)
                if done.status == 200 and done.metadata["status_code"] < 200:
                    self.odd.append(f"hangs: {done.metadata}")
                elif done.status == 200 and done.metadata["status_code"] == 400 and \
                        not any(word in done.metadata["err"].lower() for word in FAIR):
                    self.odd.append(done.metadata["err"])
            elif reply.status != 200 and reply.status not in REFUSALS:
                self.odd.append(f"{reply.status} {reply.error}")


def remove_all(daemon):
    for name in NAMES:
        try:
            Instance(daemon, name).remove()
        except (OperationFailed, RestError):
            pass
    return not [n for n in daemon.rest.read("instances") if n.rsplit("/", 1)[1] in NAMES]


@pytest.mark.timeout(180)
def test_clients_that_race_for_the_same_instances(daemon, image, instance):
    instance().remove()  # the image is unpacked by now
    footprint = Footprint(daemon)
    fds = len(os.listdir(f"/proc/{daemon.proc.pid}/fd"))
    until = time.monotonic() + (6 if SLOW == 1 else 10)
    racers = [Racer(daemon, image, seed, until) for seed in range(8)]
    for racer in racers:
        racer.start()
    for racer in racers:
        racer.join(max(0, until - time.monotonic()))
    while any(racer.is_alive() for racer in racers):
        for name in NAMES:  # when a freeze was the last that happened, programs inside rightly wait
            daemon.rest.put(f"instances/{name}/state", json={"action": "unfreeze"})
        time.sleep(.2)
    odd = {text for racer in racers for text in racer.odd}
    assert not odd, "\n".join(sorted(odd))
    wait_until(lambda: remove_all(daemon), 20)
    wait_until(lambda: not Footprint(daemon).grown_since(footprint), 10, lambda: Footprint(daemon).grown_since(footprint))
    wait_until(lambda: len(os.listdir(f"/proc/{daemon.proc.pid}/fd")) <= fds + 8, 10,
               lambda: f"{fds} descriptors before, now {len(os.listdir(f'/proc/{daemon.proc.pid}/fd'))}")
