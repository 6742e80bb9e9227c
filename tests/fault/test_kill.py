"""kill -9 of lxmd at any moment leaves a state that the next lxmd puts right."""
import random
import threading
import time

import pytest

from conftest import create
from harness import images
from harness.instance import Instance, wait_until
from harness.rest import RestError


def removed(inst):
    """What ran is started again by lxmd itself, perhaps just now."""
    try:
        inst.remove()
    except RestError:
        return False
    return True


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_kill_9_in_the_middle_of_launches(own_daemon, busybox_tar):
    images.import_image(own_daemon.rest, busybox_tar, "testimage")
    serial = [0]

    def churn(stop):
        while not stop.is_set():
            serial[0] += 1
            try:
                inst = create(own_daemon, "testimage", name=f"k{serial[0]}")
                inst.stop().delete()
            except Exception:
                return  # the daemon is gone: that is the point

    for seed in range(6):
        stop = threading.Event()
        thread = threading.Thread(target=churn, args=(stop,))
        thread.start()
        time.sleep(random.Random(seed).uniform(0.02, 0.4))
        own_daemon.kill()
        stop.set()
        thread.join()
        own_daemon.start()
        for inst in own_daemon.rest.read("instances", query={"recursion": 1}):
            assert inst["status"] in ("Running", "Stopped"), inst
            wait_until(lambda: removed(Instance(own_daemon, inst["name"])))
    inst = create(own_daemon, "testimage", name="after")
    assert inst.status == "Running"
