"""Custom volumes: attached to instances, snapshots, restores, copies and moves between pools and projects."""
import shutil

import pytest

from harness.instance import fresh_name

DISK = {"type": "disk", "pool": "default", "path": "/data"}
BASE = "storage-pools/default/volumes/custom"


@pytest.fixture
def volume(rest):
    """volume(config={}) makes one in the pool default; all of this test's go afterwards, with what has become of them."""
    made = []

    def make(**config):
        made.append(fresh_name("vol"))
        assert rest.post(BASE, {"name": made[-1], "config": config}).status == 200
        return made[-1]

    yield make
    for url in rest.read("storage-pools/default/volumes/custom"):
        if "/snapshots/" not in url and any(url.rsplit("/", 1)[1].startswith(name) for name in made):
            rest.change("DELETE", url.removeprefix("/1.0/"))


@pytest.fixture
def pool(rest):
    name = fresh_name("pool")
    assert rest.post("storage-pools", {"name": name, "driver": "dir"}).status == 201
    yield name
    for url in rest.read(f"storage-pools/{name}/volumes/custom"):
        if "/snapshots/" not in url:
            rest.change("DELETE", url.removeprefix("/1.0/"))
    rest.change("DELETE", f"storage-pools/{name}")


def write(daemon, name, text, pool="default", project="default"):
    (daemon.dir / "pools" / pool / "custom" / f"{project}@{name}" / "rootfs" / "f").write_text(text)


def text_of(daemon, name, pool="default", project="default"):
    return (daemon.dir / "pools" / pool / "custom" / f"{project}@{name}" / "rootfs" / "f").read_text()


def test_instances_share_a_volume_each_with_its_own_ids(rest, volume, instance):
    name = volume()
    one, two = (instance(devices={"d": {**DISK, "source": name}}) for _ in range(2))
    assert one.sh("awk '{print $2}' /proc/self/uid_map") != two.sh("awk '{print $2}' /proc/self/uid_map")
    one.sh("echo shared > /data/f && chown 33:33 /data/f")
    assert two.sh("stat -c %u:%g /data/f && stat -c %u:%g /data && cat /data/f").split() == ["33:33", "0:0", "shared"]
    assert sorted(rest.read(f"{BASE}/{name}")["used_by"]) == sorted(f"/1.0/instances/{i.name}" for i in (one, two))
    assert rest.delete(f"{BASE}/{name}").status == 400
    assert rest.post(f"{BASE}/{name}", {"name": name + "x"}).status == 400


def test_privileged_instances_see_no_setuid_in_a_volume(volume, instance):
    name = volume()
    inst = instance(config={"security.privileged": "true"}, devices={"d": {**DISK, "source": name}})
    options = inst.sh("grep ' /data ' /proc/mounts").split()[3].split(",")
    assert "nosuid" in options and "nodev" in options


def test_readonly_and_unmapped(volume, instance):
    name = volume(**{"security.unmapped": "true"})
    inst = instance(devices={"d": {**DISK, "source": name, "readonly": "true"}})
    assert inst.sh("stat -c %u /data; touch /data/x 2>&1 || true").splitlines()[0] == "65534"
    assert "ro" in inst.sh("grep ' /data ' /proc/mounts").split()[3].split(",")
    inst.stop()
    inst.rest.change("PATCH", f"{BASE}/{name}", {"config": {"security.unmapped": ""}})
    inst.start()
    assert inst.sh("stat -c %u /data").strip() == "0"


@pytest.mark.host_only("turned away before anything reaches the kernel")
@pytest.mark.parametrize("device", [
    {"source": "no-such"}, {"source": "/etc"}, {"source": "../x"}, {"source": "a/b"}, {"pool": "no-such", "source": "v"},
    {"source": "v", "path": "/"}])
def test_devices_without_sense_are_refused(rest, instance, device):
    inst = instance(start=False)
    rest.refused("PATCH", f"instances/{inst.name}", {"devices": {"d": {**DISK, **device}}}, statuses=(400, 404))


@pytest.mark.host_only("rows of the database")
def test_a_volume_of_this_project_only(rest, volume, instance):
    """The name of another project's volume means nothing here."""
    name, project = volume(), fresh_name("proj")
    rest.post("projects", {"name": project, "config": {"features.images": "false"}})
    try:
        reply = rest.post("instances", {"name": "c", "source": {"type": "none"}, "devices": {
            "root": {"type": "disk", "path": "/", "pool": "default"}, "d": {**DISK, "source": name}}}, query={"project": project})
        assert "no custom volume" in (reply.error or rest.wait(reply.json, 30).get("err", "")), reply
    finally:
        rest.delete(f"projects/{project}")


def test_snapshots(daemon, rest, volume):
    name = volume(**{"snapshots.expiry": "1d"})
    snaps = f"{BASE}/{name}/snapshots"
    write(daemon, name, "one")
    rest.change("POST", snaps, {})
    rest.change("POST", snaps, {"name": "named", "description": "d", "expires_at": "0001-01-01T00:00:00Z"})
    assert rest.post(snaps, {"name": "named"}).status == 409
    first, second = rest.read(snaps, query={"recursion": 1})
    assert first["name"] == f"{name}/snap0" and not first["expires_at"].startswith("0001")
    assert second["description"] == "d" and second["expires_at"].startswith("0001")
    assert f"/1.0/{snaps}/named" in rest.read(BASE)
    assert f"{name}/named" in [v["name"] for v in rest.read(BASE, query={"recursion": 1})]
    rest.change("PATCH", f"{snaps}/named", {"description": "e"})
    rest.change("POST", f"{snaps}/named", {"name": "other"})
    assert rest.read(f"{snaps}/other")["description"] == "e" and rest.get(f"{snaps}/named").status == 404
    write(daemon, name, "two")
    assert rest.put(f"{BASE}/{name}", {"restore": "nowhere"}).status == 404
    assert rest.put(f"{BASE}/{name}", {"restore": "other"}).status == 200
    assert text_of(daemon, name) == "one"
    rest.change("DELETE", f"{snaps}/other")
    assert rest.read(snaps) == [f"/1.0/{snaps}/snap0"]
    rest.change("DELETE", f"{BASE}/{name}")
    assert not (daemon.dir / "pools/default/snapshots" / f"@default@{name}").exists()


def test_restore_waits_for_nobody(rest, volume, instance):
    """What a running instance has mounted is not exchanged below it."""
    name = volume()
    rest.change("POST", f"{BASE}/{name}/snapshots", {"name": "s"})
    inst = instance(devices={"d": {**DISK, "source": name}})
    assert rest.put(f"{BASE}/{name}", {"restore": "s"}).status == 400
    inst.stop()
    assert rest.put(f"{BASE}/{name}", {"restore": "s"}).status == 200


def test_copies_and_moves_between_pools(daemon, rest, volume, pool):
    name = volume(**{"user.a": "b"})
    write(daemon, name, "one")
    rest.change("POST", f"{BASE}/{name}/snapshots", {"name": "s"})
    write(daemon, name, "two")
    there = f"storage-pools/{pool}/volumes/custom"
    source = {"type": "copy", "name": name, "pool": "default"}
    rest.change("POST", there, {"name": "all", "source": source})
    assert text_of(daemon, "all", pool) == "two" and rest.read(f"{there}/all")["config"] == {"user.a": "b"}
    assert rest.read(f"{there}/all/snapshots") == [f"/1.0/{there}/all/snapshots/s"]
    rest.change("POST", there, {"name": "alone", "source": {**source, "volume_only": True}})
    assert rest.read(f"{there}/alone/snapshots") == []
    rest.change("POST", there, {"name": "snap", "source": {**source, "name": f"{name}/s"}})
    assert text_of(daemon, "snap", pool) == "one"
    assert rest.post(there, {"name": "all", "source": source}).status == 409
    write(daemon, name, "three")
    rest.change("POST", f"{BASE}/{name}/snapshots", {"name": "s2"})
    rest.change("DELETE", f"{BASE}/{name}/snapshots/s")
    rest.change("POST", there, {"name": "all", "source": {**source, "refresh": True}})
    assert text_of(daemon, "all", pool) == "three"
    assert rest.read(f"{there}/all/snapshots") == [f"/1.0/{there}/all/snapshots/s2"]
    rest.change("POST", f"{there}/all", {"name": name + "-back", "pool": "default"})
    assert text_of(daemon, name + "-back") == "three" and rest.get(f"{there}/all").status == 404
    assert len(rest.read(f"{BASE}/{name}-back/snapshots")) == 1
    for place in ("staged", "lost", "tmp"):
        assert not list((daemon.dir / "pools" / pool / place).iterdir())


def test_moves_between_projects(daemon, rest, volume):
    name, project = volume(), fresh_name("proj")
    write(daemon, name, "one")
    rest.change("POST", f"{BASE}/{name}/snapshots", {"name": "s"})
    rest.post("projects", {"name": project})
    rest.change("POST", f"{BASE}/{name}", {"name": name, "pool": "default", "project": project})
    assert rest.get(f"{BASE}/{name}").status == 404
    got = rest.read(f"{BASE}/{name}", query={"project": project})
    assert got["project"] == project and "volatile.lxm.renamed_from" not in got["config"]
    assert text_of(daemon, name, project=project) == "one"
    rest.change("DELETE", f"{BASE}/{name}", query={"project": project})
    rest.change("DELETE", f"projects/{project}")


@pytest.mark.host_only("rows of the database")
def test_defaults_of_the_pool(rest, volume, pool):
    rest.change("PATCH", f"storage-pools/{pool}", {"config": {"volume.user.a": "b", "volume.snapshots.expiry": "1w"}})
    rest.post(f"storage-pools/{pool}/volumes/custom", {"name": "v", "config": {"user.a": "own"}})
    assert rest.read(f"storage-pools/{pool}/volumes/custom/v")["config"] == {"user.a": "own", "snapshots.expiry": "1w"}
    rest.change("PATCH", f"storage-pools/{pool}", {"config": {"volume.user.a": "", "volume.snapshots.expiry": ""}})
    rest.post(f"storage-pools/{pool}/volumes/custom", {"name": "w"})
    assert rest.read(f"storage-pools/{pool}/volumes/custom/w")["config"] == {}


@pytest.mark.host_only("turned away before anything reaches the kernel")
@pytest.mark.parametrize("body", [{"content_type": "block"}, {"config": {"size": "1GiB"}}, {"source": {"type": "nonsense"}},
                                  {"config": {"security.shifted": "true", "security.unmapped": "true"}}])
def test_what_the_driver_cannot_is_refused(rest, body):
    reply = rest.post(BASE, {"name": fresh_name("vol"), **body})
    assert reply.status == 400 and reply.error, reply


@pytest.mark.host_only("turned away before anything reaches the kernel")
def test_other_servers_are_refused(rest, volume):
    name = volume()
    assert rest.post(BASE, {"name": "x", "source": {"type": "migration"}}).status == 501
    assert rest.post(f"{BASE}/{name}", {"name": name, "migration": True}).status == 501


@pytest.mark.host_only("what the client asks for and prints; the requests themselves are made above")
def test_lxmc(lxmc, volume, instance):
    name, inst = volume(), instance(start=False)
    lxmc("storage", "volume", "attach", "default", name, inst.name, "/data", check=True)
    assert "more than" not in lxmc("storage", "volume", "detach", "default", name, inst.name, check=True).err
    lxmc("storage", "volume", "snapshot", "default", name, check=True)
    assert "snap0" in lxmc("storage", "volume", "info", "default", name, check=True).out
    lxmc("storage", "volume", "rename", "default", f"{name}/snap0", f"{name}/s", check=True)
    lxmc("storage", "volume", "restore", "default", name, "s", check=True)
    lxmc("storage", "volume", "copy", f"default/{name}", f"default/{name}2", check=True)
    lxmc("storage", "volume", "move", f"default/{name}2", f"default/{name}3", check=True)
    lxmc("storage", "volume", "set", "default", name, "user.a=b", check=True)
    assert lxmc("storage", "volume", "get", "default", name, "user.a", check=True).out == "b\n"
    lxmc("storage", "volume", "delete", "default", f"{name}3/s", check=True)
    assert lxmc("storage", "volume", "copy", name, f"default/{name}4").code == 2


@pytest.mark.host_only("what the client asks for and prints; the requests themselves are made above")
@pytest.mark.skipif(not shutil.which("lxc"), reason="the package lxd-client is not installed")
def test_lxc(lxc, volume, instance):
    name, inst = volume(), instance()
    lxc("storage", "volume", "attach", "default", name, inst.name, "/data", check=True)
    inst.sh("echo one > /data/f")
    lxc("storage", "volume", "snapshot", "default", name, "s", check=True)
    inst.sh("echo two > /data/f")
    lxc("storage", "volume", "detach", "default", name, inst.name, check=True)
    lxc("storage", "volume", "restore", "default", name, "s", check=True)
    lxc("storage", "volume", "attach", "default", name, inst.name, "/data", check=True)
    assert inst.sh("cat /data/f") == "one\n"
    lxc("storage", "volume", "detach", "default", name, inst.name, check=True)
    lxc("storage", "volume", "copy", f"default/{name}", f"default/{name}2", check=True)
    lxc("storage", "volume", "move", f"default/{name}2", f"default/{name}3", check=True)
    assert f"{name}3/s" in lxc("storage", "volume", "list", "default", "-f", "csv", check=True).out
    lxc("storage", "volume", "delete", "default", f"{name}3/s", check=True)
