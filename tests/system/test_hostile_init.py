"""Inits that do not behave: what they do to themselves is theirs, but lxmd keeps its hold on them and says the truth."""
import os
import time

import pytest

from harness import images
from harness.daemon import SLOW
from harness.instance import wait_until
from harness.rest import OperationFailed, RestError

# what an exec may hear of an instance that ends or reboots meanwhile
FAIR = ("the instance is stopping", "not running", "ended")


@pytest.fixture
def of_init(daemon, instance):
    """Factory: an instance (not started) of an image with this script as its init."""
    made = []

    def make(script):
        tar = images.busybox_tar(init=False, extra=lambda t: t.add("rootfs/sbin/init", "#!/bin/busybox sh\n" + script, 0o755))
        alias = f"init{len(made)}"
        made.append(images.import_image(daemon.rest, tar, alias))
        return instance(image=alias, start=False)

    yield make
    for inst in daemon.rest.read("instances", query={"recursion": 1}):
        if inst["config"].get("volatile.base_image") in made:
            if inst["status"] != "Stopped":
                daemon.rest.change("PUT", f"instances/{inst['name']}/state", {"action": "stop", "force": True})
            daemon.rest.change("DELETE", f"instances/{inst['name']}")
    for fingerprint in made:
        daemon.rest.change("DELETE", f"images/{fingerprint}")


def cpu_seconds(pid):
    with open(f"/proc/{pid}/stat") as f:
        fields = f.read().rsplit(")", 1)[1].split()
    return sum(int(n) for n in fields[11:15]) / os.sysconf("SC_CLK_TCK")


def monitors(daemon):
    """Children of lxmd that are monitors."""
    found = set()
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/stat") as f:
                stat = f.read()
        except OSError:
            continue
        if "(lxm-monitor)" in stat and stat.rsplit(")", 1)[1].split()[1] == str(daemon.proc.pid):
            found.add(int(pid))
    return found


def test_an_init_that_reboots_for_ever_can_be_stopped(of_init):
    inst = of_init("exec /bin/busybox reboot -f\n")
    for _ in range(4):
        inst.start()
        time.sleep(.2)
        assert inst.status == "Running"
        began = time.monotonic()
        inst.stop()
        assert time.monotonic() - began < 8
        assert inst.status == "Stopped"


def test_an_init_that_reboots_for_ever_costs_the_host_little(daemon, of_init):
    before = monitors(daemon)
    inst = of_init("exec /bin/busybox reboot -f\n").start()
    monitor, = monitors(daemon) - before
    time.sleep(2)
    began = cpu_seconds(monitor)
    time.sleep(3)
    assert cpu_seconds(monitor) - began < 0.15 * SLOW
    assert inst.status == "Running"
    inst.action("stop", force=False, timeout=5)  # a clean stop ends it as well
    assert inst.status == "Stopped"


def test_a_few_quick_reboots_do_not_wait(of_init):
    """/count has a letter for each run; the fourth stays."""
    inst = of_init("echo -n x >> /count\n[ $(cat /count) != xxxx ] && exec /bin/busybox reboot -f\nexec sleep 1000\n")
    began = time.monotonic()
    inst.start()

    def stays():
        try:
            return inst.exec("cat", "/count").out == b"xxxx"
        except (OperationFailed, RestError) as e:  # between two of them
            assert any(text in str(e) for text in FAIR), e
            return False

    wait_until(stays)
    assert time.monotonic() - began < 5


def test_an_init_that_ends_at_once_was_started(of_init):
    inst = of_init("exit 3\n")
    for _ in range(30 if SLOW < 10 else 10):
        inst.rest.change("PUT", inst.path + "/state", json={"action": "start"})
        wait_until(lambda: inst.status == "Stopped")


@pytest.mark.parametrize("script", ["kill -9 $$\nkill -11 $$\n", "exec /nowhere\n"])
def test_an_init_that_crashes(of_init, script):
    inst = of_init(script)
    inst.rest.change("PUT", inst.path + "/state", json={"action": "start"})
    wait_until(lambda: inst.status == "Stopped")


def test_an_init_that_ignores_signals(of_init):
    inst = of_init("trap '' 1 2 3 10 12 15 30\nwhile :; do sleep 1; done\n").start()
    time.sleep(.3)
    op = inst.rest.start_op("PUT", inst.path + "/state", {"action": "stop", "force": False, "timeout": 1})
    with pytest.raises(OperationFailed, match="did not stop"):
        inst.rest.wait(op)
    assert inst.status == "Running"
    inst.stop()
    assert inst.status == "Stopped"


def test_a_stop_in_vain_does_not_turn_a_later_reboot_into_a_stop(of_init):
    inst = of_init("trap '' 1 2 3 10 12 15 30\nwhile :; do [ -e /tmp/reboot ] && rm /tmp/reboot && exec /bin/busybox reboot -f; sleep .1; done\n").start()
    pid = inst.pid
    op = inst.rest.start_op("PUT", inst.path + "/state", {"action": "stop", "force": False, "timeout": 1})
    with pytest.raises(OperationFailed, match="did not stop"):
        inst.rest.wait(op)
    inst.rest.request("POST", f"{inst.path}/files?path=/tmp/reboot", data=b"")
    wait_until(lambda: inst.state()["pid"] not in (0, pid))
    assert inst.status == "Running" and inst.state()["pid"] != pid


def test_an_exec_while_it_stops_says_so(of_init):
    """Execs one after another while init ends: each works, or hears that the instance is stopping or not running any more."""
    inst = of_init("trap 'exit 0' 12 30 37 15\nwhile :; do sleep .05; done\n")
    for _ in range(4):
        inst.start()
        stop = inst.rest.start_op("PUT", inst.path + "/state", {"action": "stop", "force": True})
        for _ in range(200):
            reply = inst.rest.post(f"{inst.path}/exec", {"command": ["true"], "wait-for-websocket": False})
            if reply.status == 400:
                assert any(text in reply.error for text in FAIR), reply.error
                break
            assert reply.status == 202, reply
            done = inst.rest.read(f"{reply.json['operation']}/wait")
            assert done["status"] == "Success" or any(text in done["err"] for text in FAIR), done
        inst.rest.wait(stop)
        assert inst.status == "Stopped"
