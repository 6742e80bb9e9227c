"""Options of disk devices: each seen inside, before a start, on a running instance, and after it is taken away."""
import shutil
import subprocess

import pytest

from conftest import create
from harness.instance import fresh_name

MIB = 1 << 20


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    top = tmp_path_factory.mktemp("source")
    for parent in [top, *top.parents][:3]:
        parent.chmod(0o755)
    (top / "f").write_text("seen")
    shutil.copy("/bin/busybox" if shutil.which("busybox") else "/bin/true", top / "program")
    (top / "program").chmod(0o755)
    return top


@pytest.fixture(scope="module")
def boxes():
    made = []
    yield made
    for box in made:
        box.remove()


@pytest.fixture
def box(daemon, image, boxes):
    """One instance for the whole file."""
    if not boxes:
        boxes.append(create(daemon, image, fresh_name("disks")))
    return boxes[0]


@pytest.fixture
def device(rest, box):
    """device(**keys) gives the box that disk alone; with start=True from a start on. None: takes it away."""
    def give(start=False, **keys):
        now = rest.read(box.path)
        keys = {"type": "disk", "path": "/mnt/d", **keys} if keys else None
        if start:
            box.stop()
        rest.change("PUT", box.path, {"config": now["config"], "profiles": now["profiles"], "devices": {"d": keys} if keys else {}})
        if start:
            box.start()
    yield give
    give()


@pytest.fixture
def loop(tmp_path):
    """loop("ext4") is a block device that holds one, with a file in it."""
    made = []

    def make(fstype):
        tool = {"ext4": ["mkfs.ext4", "-q"], "vfat": ["mkfs.vfat"]}[fstype]
        if not shutil.which(tool[0]):
            pytest.skip(f"{tool[0]} is not installed")
        path = tmp_path / fstype
        with open(path, "wb") as f:
            f.truncate(16 * MIB)
        subprocess.run([*tool, path], check=True, capture_output=True)
        made.append(subprocess.run(["losetup", "--show", "-f", path], check=True, capture_output=True, text=True).stdout.strip())
        return made[-1]
    yield make
    for dev in made:
        subprocess.run(["losetup", "-d", dev], check=True)


def mount_of(box, path="/mnt/d"):
    """Options, and type, of the mount at a path; None: there is none."""
    for line in box.sh("cat /proc/self/mounts").splitlines():
        word = line.split()
        if word[1] == path:
            return set(word[3].split(",")), word[2]
    return None


@pytest.mark.parametrize("start", [True, False])
def test_options_of_a_mount(rest, box, device, source, start):
    device(start, source=str(source), **{"raw.mount.options": "noexec,nosuid,noatime,nosymfollow"})
    assert {"noexec", "nosuid", "noatime", "nosymfollow", "nodev"} <= mount_of(box)[0]
    assert box.sh("cat /mnt/d/f; /mnt/d/program true 2>&1 || echo no").endswith("no\n")
    device(source=str(source), **{"raw.mount.options": "ro"})
    assert "ro" in mount_of(box)[0] and "noexec" not in mount_of(box)[0]
    # they add; what keeps the host safe cannot be taken away
    for bad in ("dev", "suid", "exec", "rw", "bind", "commit=5", "loop", "context=x", "ro,usrquota", "noexec;dev", "errors=panic"):
        assert "raw.mount.options" in rest.refused("PATCH", box.path, {"devices": {"d": {"type": "disk", "path": "/mnt/d", "source": str(source),
                                                                                         "raw.mount.options": bad}}})
    assert "ro" in mount_of(box)[0]
    device()
    assert mount_of(box) is None


def test_options_of_a_volume(rest, box, device):
    rest.change("POST", "storage-pools/default/volumes/custom", {"name": "optional"})
    try:
        device(pool="default", source="optional", **{"raw.mount.options": "noexec"})
        box.sh("cp /bin/busybox /mnt/d/sh 2>/dev/null || cp /bin/sh /mnt/d/sh; chmod 755 /mnt/d/sh")
        assert "noexec" in mount_of(box)[0] and box.exec("/mnt/d/sh", "-c", "true").code != 0
        device(pool="default", source="optional")
        assert "noexec" not in mount_of(box)[0]
        device()
    finally:
        rest.change("DELETE", "storage-pools/default/volumes/custom/optional")


@pytest.mark.parametrize("start", [True, False])
def test_memory(rest, box, device, start):
    device(start, source="tmpfs:", size="4MiB", **{"raw.mount.options": "noexec,mode=1777"})
    options, fstype = mount_of(box)
    assert fstype == "tmpfs" and {"noexec", "nodev", "nosuid", "size=4096k"} <= options
    assert box.sh("stat -c '%u %g %a' /mnt/d") == "0 0 1777\n"
    assert box.exec("sh", "-c", "dd if=/dev/zero of=/mnt/d/x bs=1M count=5").code != 0
    assert int(box.sh("stat -c %s /mnt/d/x")) == 4 * MIB
    # what is in it would be lost: nothing of a running instance is
    keys = {"type": "disk", "path": "/mnt/d", "source": "tmpfs:", "size": "8MiB"}
    assert "lost" in rest.refused("PATCH", box.path, {"devices": {"d": keys}})
    assert int(box.sh("stat -c %s /mnt/d/x")) == 4 * MIB
    device()
    assert mount_of(box) is None
    for bad in ({"pool": "default"}, {"shift": "true"}, {"recursive": "true"}, {"propagation": "shared"}, {"limits.max": "1MB"},
                {"raw.mount.options": "uid=0"}):
        rest.refused("PATCH", box.path, {"devices": {"d": {**keys, **bad}}})


@pytest.mark.parametrize("start", [True, False])
def test_block_device(rest, box, device, loop, start):
    dev = loop("ext4")
    device(start, source=dev, shift="true", **{"raw.mount.options": "commit=77,noatime,errors=remount-ro"})
    options, fstype = mount_of(box)
    assert fstype == "ext4" and {"noatime", "nodev", "commit=77"} <= options
    box.sh("echo kept > /mnt/d/f; stat -c %u /mnt/d/f")
    # nothing of it is mounted on the host
    assert dev not in open("/proc/self/mounts").read()
    device()
    assert mount_of(box) is None and box.sh("ls /mnt/d") == ""
    device(source=dev, readonly="true")
    own = next(line for line in open(f"/proc/{box.pid}/mountinfo") if " /mnt/d " in line).split(" - ")[1].split()[2].split(",")
    assert "ro" in own, "the device itself is not written to"
    assert "ro" in mount_of(box)[0] and box.sh("cat /mnt/d/f") == "kept\n"
    assert box.exec("touch", "/mnt/d/g").code != 0
    device()
    for bad in ({"recursive": "true"}, {"propagation": "rshared"}, {"raw.mount.options": "logbsize=1"}):
        rest.refused("PATCH", box.path, {"devices": {"d": {"type": "disk", "path": "/mnt/d", "source": dev, **bad}}})


def test_block_device_moved_about_is_found(box, device, loop):
    """The instance's root has mounted it elsewhere as well: all of it goes."""
    device(source=loop("ext4"))
    box.sh("mkdir -p /mnt/copy && mount --bind /mnt/d /mnt/copy")
    device()
    assert mount_of(box) is None and mount_of(box, "/mnt/copy") is None


def test_block_device_without_a_filesystem(rest, box, tmp_path):
    with open(tmp_path / "empty", "wb") as f:
        f.truncate(MIB)
    dev = subprocess.run(["losetup", "--show", "-f", tmp_path / "empty"], check=True, capture_output=True, text=True).stdout.strip()
    try:
        assert "ext4" in rest.refused("PATCH", box.path, {"devices": {"d": {"type": "disk", "path": "/mnt/d", "source": dev}}})
        assert rest.read(box.path)["devices"] == {}
    finally:
        subprocess.run(["losetup", "-d", dev], check=True)


def test_one_source_for_several(rest, box, device, instance, source):
    other = instance(devices={"d": {"type": "disk", "path": "/mnt/other", "source": str(source)}})
    device(source=str(source), readonly="true")
    (source / "shared").write_text("both")
    assert box.sh("cat /mnt/d/shared") == other.sh("cat /mnt/other/shared") == "both"
    device()
    assert other.sh("cat /mnt/other/shared") == "both"


def test_one_source_twice(rest, box, source):
    """Which of two equal mounts the instance has moved or taken away cannot be told: the other one stays."""
    disk = {"type": "disk", "path": "/mnt/d", "source": str(source)}
    now = box.get()
    body = {"config": now["config"], "profiles": now["profiles"]}
    rest.change("PUT", box.path, {**body, "devices": {"d": disk, "e": {**disk, "path": "/mnt/e"}}})
    box.sh("umount /mnt/d")
    rest.change("PUT", box.path, {**body, "devices": {"e": {**disk, "path": "/mnt/e"}}})
    assert mount_of(box, "/mnt/e") and box.sh("cat /mnt/e/f") == "seen"
    rest.change("PUT", box.path, {**body, "devices": {}})
    assert mount_of(box, "/mnt/e") is None


@pytest.mark.parametrize("start", [True, False])
def test_owners(box, device, source, start):
    """Without shift the host's owners are nobody inside; with it the numbers are the same on both sides."""
    device(start, source=str(source))
    assert box.sh("stat -c %u /mnt/d/f") == "65534\n"
    device(source=str(source), shift="true")
    assert box.sh("stat -c %u /mnt/d/f; echo x > /mnt/d/mine") == "0\n"
    assert (source / "mine").stat().st_uid == 0


@pytest.mark.parametrize("start", [True, False])
def test_recursive(box, device, source, start):
    (source / "below").mkdir(exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "none", source / "below"], check=True)
    try:
        (source / "below/deep").write_text("")
        device(start, source=str(source))
        assert box.sh("ls /mnt/d/below") == ""
        device(source=str(source), recursive="true", readonly="true")
        assert box.sh("ls /mnt/d/below") == "deep\n" and box.exec("touch", "/mnt/d/below/x").code != 0
        device()
        assert mount_of(box) is None and mount_of(box, "/mnt/d/below") is None
    finally:
        subprocess.run(["umount", source / "below"], check=True)


@pytest.mark.parametrize("start", [True, False])
@pytest.mark.parametrize("how, comes_in, goes_out", [("private", False, False), ("rslave", True, False), ("shared", True, True)])
def test_propagation(box, device, source, start, how, comes_in, goes_out):
    where = source / "spread"
    (where / "a").mkdir(parents=True, exist_ok=True)
    (where / "b").mkdir(exist_ok=True)
    (where / "b").chmod(0o777)
    subprocess.run(["mount", "--bind", where, where], check=True)
    subprocess.run(["mount", "--make-shared", where], check=True)
    try:
        device(start, source=str(where), propagation=how)
        subprocess.run(["mount", "-t", "tmpfs", "none", where / "a"], check=True)
        (where / "a/later").write_text("")
        assert (box.sh("ls /mnt/d/a") == "later\n") == comes_in
        box.sh("mount -t tmpfs none /mnt/d/b && touch /mnt/d/b/inside")
        assert (list((where / "b").iterdir()) != []) == goes_out
        box.sh("umount /mnt/d/b")
        device()
    finally:
        subprocess.run(["umount", "--recursive", where], check=True)


def test_what_is_not_required(rest, box, device, source):
    missing = source / "missing"
    device(source=str(missing), required="false")
    assert mount_of(box) is None
    device(True, source=str(missing), required="false", readonly="true")
    assert mount_of(box) is None
    missing.mkdir()
    box.restart()
    assert "ro" in mount_of(box)[0]
    # nor when there is no place for it inside
    device(True, source=str(source), required="false", path="/etc/passwd/d")
    assert box.status == "Running" and mount_of(box, "/etc/passwd/d") is None
    device()
    missing.rmdir()
    assert "missing" in rest.refused("PATCH", box.path, {"devices": {"d": {"type": "disk", "path": "/mnt/d", "source": str(missing)}}}, statuses=(404,))
