"""Sizes of volumes: kept by the project quotas of the file system below the pool, and seen from inside."""
import fcntl
import os
import shutil
import socket
import struct
import subprocess

import pytest

from harness.instance import fresh_name, wait_until

MIB = 1 << 20
FS_GET, FS_SET = 0x801C581F, 0x401C5820  # FS_IOC_FSGETXATTR, FS_IOC_FSSETXATTR
INHERIT = 0x200
MAKE = {"ext4": ["mkfs.ext4", "-q", "-O", "project,quota", "-E", "quotatype=prjquota"], "xfs": ["mkfs.xfs", "-q"]}


@pytest.fixture(scope="module", params=sorted(MAKE))
def disk(request, tmp_path_factory):
    """A file system with project quotas."""
    if not shutil.which(MAKE[request.param][0]):
        pytest.skip(f"{MAKE[request.param][0]} is not installed")
    top = tmp_path_factory.mktemp(request.param)
    image, where = top / "image", top / "mnt"
    where.mkdir()
    with open(image, "wb") as f:
        f.truncate(320 * MIB)
    subprocess.run([*MAKE[request.param], image], check=True)
    done = subprocess.run(["mount", "-o", "loop,prjquota", image, where], capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"this kernel has no project quotas for {request.param}")
    yield where
    subprocess.run(["umount", where], check=True)


@pytest.fixture(scope="module", params=["overlay", "dir"])
def pool(session_daemon, disk, request):
    rest, name = session_daemon.rest, fresh_name("quota")
    rest.change("POST", "storage-pools", {"name": name, "driver": request.param, "config": {"source": str(disk / name)}})
    yield name
    rest.change("DELETE", f"storage-pools/{name}")


def root(pool, **more):
    return {"root": {"type": "disk", "path": "/", "pool": pool, **more}}


def fill(box, where, mib):
    """How many MiB go into a file of the container, and what is said where it does not."""
    done = box.exec("sh", "-c", f"dd if=/dev/zero of={where} bs=1048576 count={mib} 2>&1; sync")
    return int(box.sh(f"stat -c %s {where}")) // MIB, done.out.decode() if isinstance(done.out, bytes) else done.out


def project_of(path):
    """Number of a file's project, and whether what is made below inherits it."""
    fd = os.open(path, os.O_RDONLY)
    try:
        flags, _, _, project, _ = struct.unpack("5I8x", fcntl.ioctl(fd, FS_GET, bytes(28)))
    finally:
        os.close(fd)
    return project, bool(flags & INHERIT)


def test_root(rest, instance, pool):
    box = instance(devices=root(pool, size="30MiB"))
    written, said = fill(box, "/root/big", 60)
    assert 10 < written < 30 and ("uota" in said or "space" in said), said
    # df shows the limit, and so does the API, without a walk through the files
    total = int(box.sh("df -k / | tail -n 1 | awk '{print $(NF-4)}'"))
    assert total <= 30 * 1024
    state = box.state()["disk"]["root"]
    assert state["total"] == 30 * MIB and written * MIB <= state["usage"] <= 30 * MIB
    # more of it at once, less only down to what is there
    rest.change("PATCH", box.path, {"devices": root(pool, size="40MiB")})
    assert fill(box, "/root/more", 8)[0] == 8
    assert "holds" in rest.refused("PATCH", box.path, {"devices": root(pool, size="10MiB")})
    assert rest.read(box.path)["devices"]["root"]["size"] == "40MiB" and box.state()["disk"]["root"]["total"] == 40 * MIB
    # a size that went with a change that failed later is as before
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        proxy = {"type": "proxy", "listen": f"tcp:127.0.0.1:{taken.getsockname()[1]}", "connect": "tcp:127.0.0.1:80"}
        assert "in use" in rest.refused("PATCH", box.path, {"devices": {**root(pool, size="60MiB"), "z": proxy}}, statuses=(400, 409, 500))
    assert box.state()["disk"]["root"]["total"] == 40 * MIB
    box.sh("rm /root/big /root/more; sync")
    rest.change("PATCH", box.path, {"devices": root(pool, size="20MiB")})
    box.restart()
    assert fill(box, "/root/big", 60)[0] < 20
    rest.change("PATCH", box.path, {"devices": root(pool)})
    assert fill(box, "/root/big", 50)[0] == 50 and "total" not in box.state()["disk"]["root"]


def test_copies_and_snapshots_count_for_themselves(rest, instance, pool):
    box = instance(devices=root(pool, size="30MiB"))
    fill(box, "/root/big", 12)
    rest.change("POST", f"{box.path}/snapshots", {"name": "one"})
    used = box.state()["disk"]["root"]["usage"]
    assert fill(box, "/root/more", 4)[0] == 4
    assert box.state()["disk"]["root"]["usage"] >= used + 4 * MIB
    rest.change("PUT", box.path, {"restore": "one"})
    assert box.state()["disk"]["root"]["usage"] < used + 2 * MIB
    assert box.state()["disk"]["root"]["total"] == 30 * MIB and fill(box, "/root/other", 60)[0] < 20


def test_nobody_leaves_a_project_from_inside(rest, instance, pool, disk):
    box = instance(devices=root(pool, size="30MiB"))
    box.sh("echo x > /root/f")
    name = f"{disk}/{pool}/instances/{box.name}"
    project, inherits = project_of(name)
    assert inherits and project >= 0x40000000
    upper = f"{name}/{'upper' if os.path.isdir(f'{name}/upper') else 'rootfs'}/root/f"
    assert project_of(upper)[0] == project
    change = f"import fcntl, struct\nfcntl.ioctl(0, {FS_SET}, struct.pack('5I8x', 0, 0, 0, 7, 0))"
    with open(f"/proc/{box.pid}/root/root/f", "rb") as f:
        done = subprocess.run(["nsenter", f"--user=/proc/{box.pid}/ns/user", "-S", "0", "-G", "0", "python3", "-c", change], stdin=f,
                              capture_output=True, text=True)
    assert done.returncode and "OSError" in done.stderr
    assert project_of(upper)[0] == project


def test_volumes(rest, instance, pool):
    base = f"storage-pools/{pool}/volumes/custom"
    rest.change("POST", base, {"name": "v", "config": {"size": "8MiB"}})
    try:
        box = instance(devices={**root(pool), "v": {"type": "disk", "pool": pool, "source": "v", "path": "/v"}})
        assert fill(box, "/v/big", 20)[0] < 9
        usage = rest.read(f"{base}/v/state")["usage"]
        assert usage["total"] == 8 * MIB and 6 * MIB < usage["used"] <= 8 * MIB
        assert "holds" in rest.refused("PATCH", f"{base}/v", {"config": {"size": "2MiB"}})
        assert rest.read(f"{base}/v")["config"]["size"] == "8MiB"
        rest.change("PATCH", f"{base}/v", {"config": {"size": "16MiB"}})
        assert 9 < fill(box, "/v/big", 20)[0] < 17
        # a copy has a limit of its own; one that is too small for it is none
        rest.change("POST", base, {"name": "w", "source": {"type": "copy", "pool": pool, "name": "v"}})
        assert rest.read(f"{base}/w/state")["usage"]["total"] == 16 * MIB
        rest.change("DELETE", f"{base}/w")
        rest.change("PATCH", f"{base}/v", {"config": {"size": ""}})
        assert fill(box, "/v/big", 20)[0] == 20 and rest.read(f"{base}/v/state")["usage"]["total"] == 0
        box.remove()
        rest.change("POST", f"{base}/v/snapshots", {"name": "s"})
        rest.change("PATCH", f"{base}/v", {"config": {"size": "24MiB"}})
        rest.change("PUT", f"{base}/v", {"restore": "s"})
        assert rest.read(f"{base}/v/state")["usage"]["total"] == 24 * MIB
    finally:
        rest.change("DELETE", f"{base}/v")


@pytest.fixture
def unkept(rest):
    """What is said where the pool of the suite is asked for a size."""
    reply = rest.post("storage-pools/default/volumes/custom", {"name": "sized", "config": {"size": "1GiB"}})
    if reply.status == 200:
        rest.change("DELETE", "storage-pools/default/volumes/custom/sized")
        pytest.skip("the file system of the suite has project quotas")
    return reply


def test_without_quotas_volumes_have_no_size(unkept):
    """Where the pool of the suite lies nothing counts projects, or there is nothing to see."""
    assert unkept.status == 400 and "prjquota" in unkept.error


@pytest.fixture
def project(rest):
    name = fresh_name("sizes")
    rest.change("POST", "projects", {"name": name, "config": {"features.images": "false", "features.profiles": "false"}})
    yield name
    rest.change("DELETE", f"projects/{name}")


def test_a_size_that_nothing_keeps_is_told(rest, lxmc, image, project, unkept):
    """To the client, and once for each project and pool to the administrator; louder where the project relies on sizes."""
    def warnings():
        return [w for w in rest.read("warnings", query={"recursion": 1}) if w["project"] == project]

    q, body = {"project": project}, {"name": "a", "source": {"type": "image", "alias": image}, "devices": root("default")}
    assert "warnings" not in (rest.change("POST", "instances", body, query=q)["metadata"] or {}) and not warnings()
    try:
        text, = rest.change("PUT", "instances/a", {"devices": root("default", size="1GiB"), "profiles": ["default"]}, query=q)["metadata"]["warnings"]
        assert "'default'" in text and "prjquota" in text
        found, = warnings()
        assert (found["severity"], found["status"], found["count"]) == ("moderate", "new", 1)
        assert found["entity_url"] == "/1.0/storage-pools/default" and found["last_message"] == text
        rest.change("PATCH", f"projects/{project}", {"config": {"limits.disk": "10GiB"}})
        done = lxmc("--project", project, "init", image, "b", "-d", "root,size=2GiB", check=True)
        assert f"Warning: {text}" in done.err
        found, = warnings()
        assert (found["severity"], found["count"]) == ("high", 2)
    finally:
        for name in ("a", "b"):
            rest.delete(f"instances/{name}", query=q)
        wait_until(lambda: not rest.read("instances", query=q))
