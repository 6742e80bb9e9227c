"""Instances outlive lxmd, however it ends, and the next lxmd takes them over."""
import os
import threading

import pytest

from conftest import create
from harness import images
from harness.instance import wait_until
from harness.rest import Exec

COUNT = 20


def make_many(daemon, count):
    made, failures, lock = [], [], threading.Lock()

    def work(names):
        for name in names:
            try:
                inst = create(daemon, "testimage", name=name)
                with lock:
                    made.append(inst)
            except Exception as e:
                failures.append(e)
                return

    names = [f"s{i}" for i in range(count)]
    threads = [threading.Thread(target=work, args=(names[i::2],)) for i in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures, failures[0]
    return made


def alive(pid):
    try:
        os.kill(pid, 0)
        return True
    except ProcessLookupError:
        return False


@pytest.mark.timeout(240)
def test_kill_9_with_twenty_instances_and_an_exec_session(own_daemon, busybox_tar):
    images.import_image(own_daemon.rest, busybox_tar, "testimage")
    instances = make_many(own_daemon, COUNT)
    pids = {inst.name: inst.pid for inst in instances}
    session = Exec(own_daemon.rest, instances[0].name, ["sh", "-c", "echo on; exec sleep 1000"])
    assert session.ws["1"].recv() == b"on\n"

    own_daemon.kill()
    session.close()
    assert all(alive(pid) for pid in pids.values())

    own_daemon.start()
    for inst in instances:
        assert inst.status == "Running"
        assert inst.pid == pids[inst.name]
    assert instances[1].sh("cat /proc/1/comm").strip() == "init"

    for inst in instances:
        inst.stop()
        inst.delete()
    assert own_daemon.rest.read("instances") == []
    wait_until(lambda: not any(map(alive, pids.values())), 5, lambda: "an init is still there")


@pytest.mark.timeout(120)
def test_clean_stop_leaves_instances_running(own_daemon, busybox_tar):
    images.import_image(own_daemon.rest, busybox_tar, "testimage")
    inst = create(own_daemon, "testimage", name="keeps")
    pid = inst.pid
    own_daemon.stop()
    assert alive(pid)
    own_daemon.start()
    assert inst.pid == pid
    assert inst.status == "Running"


@pytest.mark.timeout(120)
def test_instance_that_ended_meanwhile_is_seen_stopped(own_daemon, busybox_tar):
    images.import_image(own_daemon.rest, busybox_tar, "testimage")
    inst = create(own_daemon, "testimage", name="gone", config={"boot.autostart": "false"})
    pid = inst.pid
    own_daemon.kill()
    os.kill(pid, 9)
    wait_until(lambda: not alive(pid), 5, lambda: "init did not die")
    own_daemon.start()
    inst.wait_status("Stopped", 5)
    inst.start()
    assert inst.status == "Running"
