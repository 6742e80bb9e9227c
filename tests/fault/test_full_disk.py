"""A disk that fills while an image is unpacked: a clear error, nothing left, and it works again when there is room."""
import os
import shutil
import subprocess

import pytest

from conftest import create
from harness import images, imageserver
from harness.daemon import Daemon
from harness.footprint import Footprint
from harness.host import HostState
from harness.instance import wait_until
from harness.rest import OperationFailed, RestError


@pytest.fixture
def small_disk(tmp_path):
    """An ext4 of 48 MB on a loop device."""
    if not shutil.which("mkfs.ext4"):
        pytest.skip("e2fsprogs is not installed")
    image, where = tmp_path / "disk", tmp_path / "mnt"
    where.mkdir()
    with open(image, "wb") as f:
        f.truncate(48 << 20)
    subprocess.run(["mkfs.ext4", "-q", "-m", "0", image], check=True)
    if subprocess.run(["mount", "-o", "loop", image, where], stderr=subprocess.DEVNULL).returncode != 0:
        pytest.skip("no loop devices here")
    yield where
    subprocess.run(["umount", "-l", where], check=True)


@pytest.mark.timeout(180)
def test_disk_fills_during_unpack(small_disk, busybox_tar):
    before = HostState()
    daemon = Daemon("full", small_disk)
    try:
        daemon.start().init()
        images.import_image(daemon.rest, busybox_tar, "small")
        footprint = Footprint(daemon)
        big = images.busybox_tar(extra=lambda t: [t.add(f"rootfs/big{i}", os.urandom(1 << 20)) for i in range(64)])
        packed = images.busybox_tar(extra=lambda t: [t.add(f"rootfs/zero{i}", b"\0" * (8 << 20)) for i in range(12)])
        with pytest.raises((OperationFailed, RestError)) as failed:
            images.import_image(daemon.rest, big, "big")
        assert "space" in str(failed.value).lower(), failed.value
        with pytest.raises((OperationFailed, RestError)) as failed:  # small as an upload, too big once unpacked
            images.import_image(daemon.rest, images.compress(packed, "gzip"), "packed")
            create(daemon, "packed", name="toobig")
        assert "space" in str(failed.value).lower(), failed.value
        for image in daemon.rest.read("images", query={"recursion": 1}):
            if image["aliases"] and image["aliases"][0]["name"] == "packed":
                daemon.rest.change("DELETE", f"images/{image['fingerprint']}")
        wait_until(lambda: not Footprint(daemon).grown_since(footprint), 11,
                   lambda: "\n".join(Footprint(daemon).grown_since(footprint)))
        inst = create(daemon, "small", name="fits")
        assert inst.status == "Running"
    finally:
        problems = daemon.end(before)
        assert not problems, "\n".join(problems)


def test_an_upload_leaves_room_for_the_database(small_disk):
    """Who sends all but the last bytes and waits would keep everybody from changing anything."""
    before = HostState()
    daemon = Daemon("full", small_disk)
    try:
        daemon.start()
        where = os.statvfs(small_disk)
        data = bytes(where.f_bavail * where.f_frsize - (128 << 10))
        reply = daemon.rest.request("POST", "images", data=data, headers={"Content-Type": "application/octet-stream"})
        assert reply.status == 507 and "space" in reply.error, reply
        assert daemon.rest.post("profiles", {"name": "p"}).status == 201
        daemon.rest.change("DELETE", "profiles/p")
    finally:
        problems = daemon.end(before)
        assert not problems, "\n".join(problems)


def test_disk_fills_during_a_download(small_disk, tmp_path):
    before = HostState()
    daemon = Daemon("full", small_disk)
    server = imageserver.Server(*imageserver.make_certificate(tmp_path))
    try:
        daemon.start()
        footprint = Footprint(daemon)
        tree = imageserver.Streams()
        tree.add("big/1", "20240101", b"x" * 1000, os.urandom(64 << 20))
        server.routes = tree.routes()
        with pytest.raises(OperationFailed, match="disk space"):
            daemon.rest.change("POST", "images", {"source": {
                "type": "image", "mode": "pull", "server": server.url, "protocol": "simplestreams", "alias": "big/1",
                "certificate": server.certificate}})
        wait_until(lambda: not Footprint(daemon).grown_since(footprint), 11,
                   lambda: "\n".join(Footprint(daemon).grown_since(footprint)))
    finally:
        server.close()
        problems = daemon.end(before)
        assert not problems, "\n".join(problems)
