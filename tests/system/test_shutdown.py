"""`lxmd shutdown`: the daemon alone, or with its instances as when the host goes down."""
import os

from conftest import create
from harness import images


def gone(pid):
    return not os.path.exists(f"/proc/{pid}")


def test_shutdown_with_instances_stops_them_and_start_brings_them_back(own_daemon, busybox_tar):
    images.import_image(own_daemon.rest, busybox_tar, "testimage")
    instances = [create(own_daemon, "testimage", name=f"d{i}") for i in range(3)]
    stays_off = create(own_daemon, "testimage", name="off", start=False)
    pids = [inst.pid for inst in instances]
    own_daemon.lxmd("shutdown", "--instances", check=True)
    assert own_daemon.proc.wait(10) == 0
    own_daemon.proc = None
    assert all(map(gone, pids))
    own_daemon.start()
    for inst in instances:
        inst.wait_status("Running", 10)
    assert stays_off.status == "Stopped"


def test_shutdown_alone_leaves_them(own_daemon, busybox_tar):
    images.import_image(own_daemon.rest, busybox_tar, "testimage")
    inst = create(own_daemon, "testimage", name="stays")
    pid = inst.pid
    own_daemon.lxmd("shutdown", check=True)
    assert own_daemon.proc.wait(10) == 0
    own_daemon.proc = None
    assert not gone(pid)
    own_daemon.start()
    assert inst.pid == pid
