"""lxmd inside an unprivileged instance: its instances start, have ids and a network of their own, and their files keep their owners."""
import json

import pytest

from conftest import create
from harness import images, nest
from harness.instance import fresh_name, wait_until

ENV = {"LXMD_DIR": "/var/lib/lxmd", "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}


class Inner:
    """The lxmd inside."""

    def __init__(self, outer):
        self.outer = outer

    def run(self, *argv, stdin=b""):
        return self.outer.exec(*argv, stdin=stdin, environment=ENV, timeout=60)

    def lxmc(self, *argv, stdin=b""):
        done = self.run("lxmc", *argv, stdin=stdin)
        assert done.code == 0, (argv, done)
        return done.out.decode()

    def sh(self, name, script):
        return self.lxmc("exec", name, "--", "sh", "-c", script)

    def refused(self, *argv):
        done = self.run("lxmc", *argv)
        assert done.code != 0, (argv, done)
        return done.err.decode()

    def on_disk(self, name, path):
        return self.outer.sh(f"stat -c %u:%g /var/lib/lxmd/pools/default/instances/{name}/rootfs/{path}").strip()

    def start(self):
        self.outer.exec("sh", "-c", "lxmd --debug > /var/lxmd.log 2>&1 &", environment=ENV)
        ready = self.run("lxmd", "waitready", "--timeout=20")
        assert ready.code == 0, (ready, self.outer.exec("tail", "-n", "20", "/var/lxmd.log"))


@pytest.fixture(scope="module")
def inner(session_daemon):
    daemon, image = session_daemon, fresh_name("nestimage")
    images.import_image(daemon.rest, nest.lxm_image(), image)
    daemon.lxmc("profile", "load", "nesting", check=True)
    outer = create(daemon, image, name=fresh_name("nest"), profiles=["default", "nesting"])
    try:
        outer.sh(nest.MOUNT_CGROUPS)
        inner = Inner(outer)
        inner.start()
        assert inner.run("lxmd", "init", "--auto").code == 0
        inner.lxmc("launch", "busybox", "b1")
        yield inner
    finally:
        outer.remove()
        daemon.rest.change("DELETE", "profiles/nesting")


@pytest.fixture
def fresh(inner):
    """fresh() makes an instance inside; gone after the test."""
    made = []

    def make(*args, start=True):
        made.append(fresh_name("i"))
        inner.lxmc("launch" if start else "init", "busybox", made[-1], *args)
        return made[-1]

    yield make
    for name in made:
        inner.lxmc("delete", "-f", name)


def test_a_busybox_instance_runs_with_ids_of_its_own(inner):
    assert "RUNNING" in inner.lxmc("list", "-f", "csv", "-c", "s")
    inside, outside, count = inner.sh("b1", "cat /proc/self/uid_map").split()
    assert (inside, count) == ("0", "65536") and int(outside) >= 65536
    pid = json.loads(inner.lxmc("query", "/1.0/instances/b1/state"))["pid"]
    own = inner.outer.sh("sed -n 's/^Uid:[^0-9]*\\([0-9]*\\).*/\\1/p' /proc/1/status /proc/%d/status" % pid).split()
    assert own == ["0", outside]


def test_two_have_no_id_in_common(inner, fresh):
    starts = {inner.sh(name, "cat /proc/self/uid_map").split()[1] for name in ("b1", fresh())}
    assert len(starts) == 2


def test_its_network_works(inner):
    wait_until(lambda: "10." in inner.lxmc("list", "b1", "-f", "csv", "-c", "4"), 20, lambda: "no address inside")
    gateway = inner.sh("b1", "ip route show default").split()[2]
    assert inner.sh("b1", f"ping -c 1 -W 2 {gateway}")


def test_devices_work(inner):
    assert inner.sh("b1", "head -c 3 /dev/zero | wc -c; echo x > /dev/null; [ -c /dev/fuse ] && [ -c /dev/net/tun ]; tty; echo $?").split()[0] == "3"


def test_owners_survive_what_shifts_them(inner, fresh):
    name, look = fresh(), "stat -c '%u %g %a' /mnt/f /mnt/s /mnt/l /"
    inner.sh(name, "echo x > /mnt/f && chown 1000:2000 /mnt/f && cp /bin/true /mnt/s && chown 5:6 /mnt/s && chmod 6755 /mnt/s && ln /mnt/s /mnt/l")
    want = "1000 2000 644\n5 6 6755\n5 6 6755\n0 0 755\n"
    assert inner.sh(name, look) == want
    inner.lxmc("restart", "-f", name)
    assert inner.sh(name, look) == want
    # a snapshot and a copy of the running one: unshifted, then shifted to other ids
    inner.lxmc("snapshot", name, "s0")
    inner.sh(name, "chown 0:0 /mnt/f")
    copy = fresh_name("i")
    inner.lxmc("copy", f"{name}/s0", copy)
    inner.lxmc("start", copy)
    assert inner.sh(copy, look) == want
    inner.lxmc("delete", "-f", copy)
    inner.lxmc("stop", "-f", name)
    inner.lxmc("restore", name, "s0")
    inner.lxmc("start", name)
    assert inner.sh(name, look) == want
    # without a range of its own, and back
    inner.lxmc("stop", "-f", name)
    inner.lxmc("config", "set", name, "security.privileged=true")
    assert inner.lxmc("file", "pull", f"{name}/mnt/f", "-") == "x\n"
    assert inner.on_disk(name, "mnt/f") == "1000:2000"
    inner.lxmc("config", "set", name, "security.privileged=false")
    inner.lxmc("start", name)
    assert inner.sh(name, look) == want
    assert int(inner.on_disk(name, "mnt/f").split(":")[0]) == 1000 + int(inner.sh(name, "cat /proc/self/uid_map").split()[1])


def test_files_of_a_stopped_one_and_an_image_of_it(inner, fresh):
    name = fresh()
    inner.lxmc("stop", "-f", name)
    inner.lxmc("file", "push", "-", f"{name}/root/new", "--uid=7", "--gid=8", stdin=b"pushed")
    assert inner.lxmc("file", "pull", f"{name}/root/new", "-") == "pushed"
    inner.lxmc("publish", name, "--alias", "again")
    inner.lxmc("start", name)
    assert inner.sh(name, "stat -c %u:%g /root/new").strip() == "7:8"
    other = fresh_name("i")
    inner.lxmc("launch", "again", other)
    assert inner.sh(other, "stat -c %u:%g /root/new").strip() == "7:8"
    inner.lxmc("delete", "-f", other)
    inner.lxmc("image", "delete", "again")


def test_what_needs_idmapped_mounts_says_so(inner, fresh):
    name = fresh("-c", "raw.idmap=both 1000 1000", start=False)
    assert "idmapped" in inner.refused("start", name)
    inner.lxmc("config", "unset", name, "raw.idmap")
    inner.lxmc("config", "set", name, "security.protection.shift=true")
    assert "security.protection.shift" in inner.refused("start", name)
    inner.lxmc("config", "unset", name, "security.protection.shift")
    inner.lxmc("start", name)


def test_scratch_in_scratch(inner, fresh):
    name = fresh("-d", "s,type=disk,source=scratch:,path=/s", start=False)
    assert inner.refused("config", "device", "add", name, "x", "disk", "source=scratch:", "path=/x", "pool=default")
    inner.lxmc("start", name)
    inner.sh(name, "echo kept > /s/f && chown 3:4 /s/f")
    inner.lxmc("restart", "-f", name)
    assert inner.sh(name, "cat /s/f && stat -c %u:%g /s/f /s").split() == ["kept", "3:4", "0:0"]


def test_lxmd_inside_comes_and_goes_and_they_stay(inner):
    before = inner.lxmc("query", "/1.0/instances/b1/state")
    inner.outer.exec("sh", "-c", "kill $(pidof lxmd)")
    wait_until(lambda: inner.outer.exec("pidof", "lxmd").code != 0, 20, lambda: "lxmd does not end")
    inner.start()
    assert json.loads(inner.lxmc("query", "/1.0/instances/b1/state"))["pid"] == json.loads(before)["pid"]
    assert "uid=0" in inner.sh("b1", "id")


def test_a_default_sized_instance_says_what_it_lacks(session_daemon, inner):
    image = inner.outer.get()["config"]["volatile.base_image"]
    small = create(session_daemon, None, name=fresh_name("nest"), config={"security.nesting": "true"},
                   source={"type": "image", "fingerprint": image})
    try:
        small.sh(nest.MOUNT_CGROUPS)
        done = small.exec("lxmd", environment=ENV)
        assert done.code != 0 and b"security.idmap.size" in done.out + done.err
    finally:
        small.remove()
