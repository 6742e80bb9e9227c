"""Directories of the host inside: what happens below them stays inside, however the host shares its mounts."""
import subprocess

import pytest


@pytest.fixture
def shared_dir(tmp_path):
    """A directory that is a shared mount, as every mount of a host with systemd is."""
    where = tmp_path / "shared"
    (where / "below").mkdir(parents=True)
    (where / "below").chmod(0o777)
    subprocess.run(["mount", "--bind", where, where], check=True)
    subprocess.run(["mount", "--make-shared", where], check=True)
    yield where
    subprocess.run(["umount", "--recursive", where], check=True)


@pytest.mark.parametrize("privileged", ["false", "true"])
def test_mounts_below_a_directory_of_the_host_do_not_come_out(instance, shared_dir, privileged):
    inst = instance(config={"security.privileged": privileged},
                    devices={"data": {"type": "disk", "source": str(shared_dir), "path": "/mnt/data"}})
    inst.sh("mount -t tmpfs none /mnt/data/below && echo inside > /mnt/data/below/f && cat /mnt/data/below/f")
    assert list((shared_dir / "below").iterdir()) == []


def test_mounts_of_the_host_do_not_come_in(instance, shared_dir):
    inst = instance(devices={"data": {"type": "disk", "source": str(shared_dir), "path": "/mnt/data"}})
    subprocess.run(["mount", "-t", "tmpfs", "none", shared_dir / "below"], check=True)
    (shared_dir / "below/secret").write_text("later")
    assert inst.sh("ls /mnt/data/below") == ""


@pytest.mark.parametrize("propagation", ["shared", "rshared", "slave", "rslave", "unbindable"])
def test_what_is_mounted_below_a_volume_stays_inside(rest, instance, propagation):
    """A peer of the pool's mount would carry mounts of the instance to the host, where lxmd walks over them."""
    inst = instance()
    rest.change("POST", "storage-pools/default/volumes/custom", {"name": "spread"})
    disk = {"type": "disk", "pool": "default", "source": "spread", "path": "/srv/v"}
    try:
        assert "propagation" in rest.refused("PATCH", inst.path, {"devices": {"v": {**disk, "propagation": propagation}}})
        rest.change("PATCH", inst.path, {"devices": {"v": {**disk, "propagation": "private"}}})
        inst.sh("mkdir /srv/v/x && mount -t tmpfs none /srv/v/x && grep -q ' /srv/v/x ' /proc/mounts")
        assert "shared:" not in inst.sh("grep ' /srv/v ' /proc/self/mountinfo")
        assert "custom" not in open("/proc/self/mountinfo").read()
    finally:
        inst.remove()
        rest.change("DELETE", "storage-pools/default/volumes/custom/spread")
