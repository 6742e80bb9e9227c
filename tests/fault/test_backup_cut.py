"""Backups and imports that are cut off: by kill -9 of lxmd, or by a disk that is full. Nothing half-made is left."""
import os
import threading

import pytest

from conftest import create
from harness import backups, images
from harness.daemon import Daemon
from harness.footprint import Footprint
from harness.host import HostState
from harness.instance import wait_until
from harness.rest import OperationFailed, RestError
from test_full_disk import small_disk  # noqa: F401

BIG = 24 << 20


def settle(daemon, footprint):
    wait_until(lambda: not Footprint(daemon).grown_since(footprint), 11, lambda: "\n".join(Footprint(daemon).grown_since(footprint)))


def in_background(what):
    def run():
        try:
            what()
        except Exception:
            pass  # the daemon is gone: that is the point

    thread = threading.Thread(target=run)
    thread.start()
    return thread


@pytest.mark.timeout(180)
def test_kill_9_in_the_middle(own_daemon, busybox_tar):
    images.import_image(own_daemon.rest, busybox_tar, "testimage")
    inst = create(own_daemon, "testimage", name="c1", start=False)
    reply = own_daemon.rest.post(f"{inst.path}/files", data=os.urandom(BIG), query={"path": "/big"}, headers={"X-LXD-type": "file"})
    assert reply.status == 200, reply
    own_daemon.rest.change("POST", f"{inst.path}/snapshots", {"name": "s"})
    data = backups.export(inst, compression_algorithm="none")
    footprint = Footprint(own_daemon)
    staged = own_daemon.dir / "pools" / "default" / "tmp"

    # while the tarball is written: the op shows progress once bytes flow
    thread = in_background(lambda: backups.make(inst, "cut", compression_algorithm="xz"))
    wait_until(lambda: any("Backing up" in o["description"] for v in own_daemon.rest.read("operations", query={"recursion": 1}).values()
                           for o in v if o["status_code"] == 103), 10)
    own_daemon.kill()
    thread.join()
    own_daemon.start()
    assert own_daemon.rest.read(f"{inst.path}/backups") == []
    settle(own_daemon, footprint)

    # while volumes are unpacked
    thread = in_background(lambda: own_daemon.rest.change("POST", "instances", data=data, headers=backups.headers("c2")))
    wait_until(lambda: any(staged.iterdir()) or own_daemon.rest.get("instances/c2").status == 200, 20)
    own_daemon.kill()
    thread.join()
    own_daemon.start()
    if own_daemon.rest.get("instances/c2").status == 200:  # it was whole before the end came
        own_daemon.rest.change("DELETE", "instances/c2")
    settle(own_daemon, footprint)
    own_daemon.rest.change("POST", "instances", data=data, headers=backups.headers("c2"))
    assert len(own_daemon.rest.read("instances/c2/snapshots")) == 1


@pytest.mark.timeout(180)
def test_a_full_disk(small_disk, busybox_tar):  # noqa: F811
    before = HostState()
    daemon = Daemon("full", small_disk)
    try:
        daemon.start().init()
        images.import_image(daemon.rest, busybox_tar, "small")
        inst = create(daemon, "small", name="c1", start=False)
        reply = daemon.rest.post(f"{inst.path}/files", data=os.urandom(7 << 20), query={"path": "/big"}, headers={"X-LXD-type": "file"})
        assert reply.status == 200, reply
        footprint = Footprint(daemon)
        with pytest.raises(OperationFailed, match="(?i)space"):
            for n in range(8):
                backups.make(inst, f"b{n}", compression_algorithm="none")
        for backup in daemon.rest.read(f"{inst.path}/backups"):
            daemon.rest.change("DELETE", f"{inst.path}/backups/{backup.rsplit('/', 1)[1]}")
        settle(daemon, footprint)
        packed = images.compress(backups.tarball(backups.index("c2"), extra=lambda t, r: [
            t.add(f"{r}/z{i}", b"\0" * (8 << 20)) for i in range(12)]), "gzip")
        with pytest.raises((OperationFailed, RestError), match="(?i)space"):
            daemon.rest.change("POST", "instances", data=packed, headers=backups.headers("c2"))
        settle(daemon, footprint)
    finally:
        problems = daemon.end(before)
        assert not problems, "\n".join(problems)
