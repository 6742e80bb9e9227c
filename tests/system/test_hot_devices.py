"""Disks and device nodes that come to a running instance and leave it."""
import shutil
import subprocess

import pytest

from harness.instance import fresh_name

VOLUMES = "storage-pools/default/volumes/custom"


@pytest.fixture
def box(instance):
    return instance()


@pytest.fixture
def source(tmp_path):
    for parent in [tmp_path, *tmp_path.parents][:3]:
        parent.chmod(0o755)
    (tmp_path / "f").write_text("seen")
    return tmp_path


@pytest.fixture
def volume(rest):
    name = fresh_name("vol")
    assert rest.post(VOLUMES, {"name": name}).status == 200
    yield name
    rest.change("DELETE", f"{VOLUMES}/{name}")


def devices(rest, inst, **wanted):
    """The instance's own devices become these."""
    now = rest.read(f"instances/{inst.name}")
    return rest.change("PUT", f"instances/{inst.name}", {k: now[k] for k in ("config", "profiles", "description")} | {"devices": wanted})


def disk(source, path="/mnt/a/b", **more):
    return {"type": "disk", "source": str(source), "path": path, **more}


def mounts(inst):
    return [line.split()[1] for line in inst.sh("cat /proc/mounts").splitlines()]


def test_a_directory_comes_and_goes(rest, box, source):
    devices(rest, box, d=disk(source))
    assert box.sh("cat /mnt/a/b/f; stat -c %u /mnt/a") == "seen0\n"
    devices(rest, box, d=disk(source, readonly="true"))
    assert box.sh("touch /mnt/a/b/f 2>&1 || echo no").endswith("no\n")
    assert mounts(box).count("/mnt/a/b") == 1
    devices(rest, box)
    assert box.sh("ls /mnt/a/b") == "" and "/mnt/a/b" not in mounts(box)


def test_a_file_comes_and_goes(rest, box, source):
    devices(rest, box, d=disk(source / "f", "/etc/seen"))
    assert box.sh("cat /etc/seen") == "seen"
    devices(rest, box)
    assert box.sh("cat /etc/seen") == ""


@pytest.mark.parametrize("privileged", ["false", "true"])
def test_a_volume_comes_and_goes(rest, volume, instance, privileged):
    box = instance(config={"security.privileged": privileged})
    shown = {"type": "disk", "pool": "default", "source": volume, "path": "/data"}
    devices(rest, box, d=shown)
    box.sh("echo kept > /data/f && chown 1:1 /data/f")
    devices(rest, box)
    assert box.sh("ls /data") == ""
    devices(rest, box, d=shown)
    assert box.sh("cat /data/f; stat -c %u /data/f") == "kept\n1\n"
    box.restart()
    assert box.sh("cat /data/f") == "kept\n"


def test_it_is_the_same_after_a_start(rest, box, source):
    devices(rest, box, d=disk(source))
    box.restart()
    assert box.sh("cat /mnt/a/b/f") == "seen"
    devices(rest, box)
    assert box.sh("ls /mnt/a/b") == ""


def test_disks_above_each_other(rest, box, source):
    (source / "below").mkdir()
    outer, inner = disk(source, "/mnt/x"), disk(source / "below", "/mnt/x/below/y")
    (source / "below" / "y").mkdir()
    devices(rest, box, z=outer, a=inner)
    assert "/mnt/x/below/y" in mounts(box)
    devices(rest, box, z=disk(source, "/mnt/x", readonly="true"), a=inner)
    assert "/mnt/x" in mounts(box)
    devices(rest, box)
    assert not [m for m in mounts(box) if m.startswith("/mnt/x")]


def test_profiles_reach_running_instances(rest, instance, source):
    name = fresh_name("prof")
    rest.post("profiles", {"name": name})
    try:
        box = instance(profiles=["default", name])
        rest.change("PUT", f"profiles/{name}", {"devices": {"d": disk(source)}})
        assert box.sh("cat /mnt/a/b/f") == "seen"
        rest.change("PUT", f"profiles/{name}", {"devices": {}})
        assert box.sh("ls /mnt/a/b") == ""
        box.stop()
        box.delete()
    finally:
        rest.delete(f"profiles/{name}")


def test_half_a_change_is_undone(rest, box, source):
    """The second disk cannot come: the first one goes again, and the one that had left is back."""
    devices(rest, box, old=disk(source, "/mnt/old"))
    box.sh("touch /file")
    now = rest.read(f"instances/{box.name}")
    wanted = {k: now[k] for k in ("config", "profiles", "description")}
    wanted["devices"] = {"a": disk(source, "/mnt/a"), "b": disk(source, "/file/x")}
    rest.refused("PUT", f"instances/{box.name}", wanted, statuses=(400, 500))
    assert list(rest.read(f"instances/{box.name}")["devices"]) == ["old"]
    assert "/mnt/old" in mounts(box) and "/mnt/a" not in mounts(box)


def test_nothing_spreads(rest, box, source):
    """The host's directory is shared, as with systemd; what is mounted in the instance stays there."""
    subprocess.run(["mount", "--bind", source, source], check=True)
    subprocess.run(["mount", "--make-shared", source], check=True)
    try:
        (source / "below").mkdir()
        (source / "below").chmod(0o777)
        devices(rest, box, d=disk(source))
        box.sh("mount -t tmpfs none /mnt/a/b/below && touch /mnt/a/b/below/inside")
        assert not list((source / "below").iterdir())
        devices(rest, box)
        assert box.sh("ls /mnt/a/b") == ""
    finally:
        subprocess.run(["umount", "--recursive", source], check=True)


def test_what_the_instance_unmounted_is_gone(rest, box, source):
    devices(rest, box, d=disk(source))
    box.sh("umount /mnt/a/b")
    devices(rest, box)
    assert "/mnt/a/b" not in mounts(box)


def test_device_nodes_come_and_go(rest, box):
    node = {"type": "unix-char", "source": "/dev/zero", "path": "/dev/some/zero", "uid": "33", "mode": "0640"}
    devices(rest, box, z=node)
    assert box.sh("stat -c '%u %a %F' /dev/some/zero; head -c 3 /dev/some/zero | wc -c").split("\n")[:2] == [
        "33 640 character special file", "3"]
    devices(rest, box)
    assert box.sh("ls /dev/some") == ""
    rest.refused("PATCH", f"instances/{box.name}", {"devices": {"z": {**node, "path": "/dev/null"}}}, statuses=(400, 409, 500))
    assert box.sh("echo x > /dev/null && stat -c %u /dev/null") == "0\n"


def test_device_nodes_of_privileged_instances(rest, instance):
    """Its root can make any node: the device rules of the running instance decide, on either version of cgroups."""
    box = instance(config={"security.privileged": "true"})
    assert box.exec("sh", "-c", "mknod /k c 10 237 && : < /k").code != 0
    devices(rest, box, k={"type": "unix-char", "source": "/dev/loop-control", "path": "/dev/lc"})
    box.sh(": < /dev/lc")
    devices(rest, box)
    assert box.exec("sh", "-c", ": < /k").code != 0
    # one that cannot come leaves no rule behind
    box.sh(": > /dev/file")
    rest.refused("PATCH", f"instances/{box.name}", {"devices": {"k": {"type": "unix-char", "source": "/dev/loop-control", "path": "/dev/file/lc"}}},
                 statuses=(400, 409, 500))
    assert box.exec("sh", "-c", ": < /k").code != 0
    # what everybody has goes with no device of the same numbers
    devices(rest, box, n={"type": "unix-char", "source": "/dev/null", "path": "/dev/other"})
    devices(rest, box)
    box.sh("echo > /dev/null")


def test_device_nodes_beside_intercepted_ones(rest, instance):
    """Instances whose mknod() is answered have device rules too, though they are not privileged."""
    node = {"type": "unix-char", "source": "/dev/loop-control", "path": "/dev/lc"}
    box = instance(config={"security.syscalls.intercept.mknod": "true"}, devices={"k": node})
    box.sh(": < /dev/lc")
    devices(rest, box)
    devices(rest, box, k=node)
    box.sh(": < /dev/lc && echo > /dev/null")


@pytest.mark.skipif(not shutil.which("lxc"), reason="the package lxd-client is not installed")
def test_lxc(lxc, box, source):
    lxc("config", "device", "add", box.name, "d", "disk", f"source={source}", "path=/hot", check=True)
    assert box.sh("cat /hot/f") == "seen"
    lxc("config", "device", "set", box.name, "d", "readonly", "true", check=True)
    lxc("config", "device", "remove", box.name, "d", check=True)
    assert box.sh("ls /hot") == ""


def test_lxmc(lxmc, box, source):
    lxmc("config", "device", "add", box.name, "d", "disk", f"source={source}", "path=/hot", check=True)
    assert box.sh("cat /hot/f") == "seen"
    lxmc("config", "device", "remove", box.name, "d", check=True)
    assert box.sh("ls /hot") == ""
