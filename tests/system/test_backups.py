"""Backups: what goes out comes back, on each driver; names, compression; what imports keep, remake and refuse."""
import io
import subprocess
import tarfile

import pytest
import yaml

from harness import backups
from harness.instance import Instance, fresh_name
from test_snapshots import pools, root_in  # noqa: F401

FILL = """mkdir -p /d && echo one > /d/file && ln /d/file /d/twin && ln -s /etc/passwd /d/link && mkfifo /d/pipe
chown 5:6 /d/file && chmod 4755 /d/file && dd if=/dev/zero of=/d/sparse bs=1 count=1 seek=30000000 2>/dev/null
rm /etc/group && touch -d '2001-02-03 04:05:06' /d/file"""
LOOK = "cd /d && stat -c '%n %F %a %u %g %h %s %Y' file twin link pipe sparse && cat file && readlink link && ls /etc/group 2>&1"


@pytest.fixture(params=["overlay", "dir"])
def box(request, instance, pools):  # noqa: F811
    inst = instance(devices=root_in(pools[request.param]))
    inst.sh(FILL)
    return inst


@pytest.fixture
def imported(daemon):
    made = []

    def take(data, name=None, pool=None):
        name = name or fresh_name("b")
        made.append(Instance(daemon, name))
        daemon.rest.change("POST", "instances", data=data, headers=backups.headers(name, pool))
        return made[-1]

    yield take
    for inst in made:
        inst.remove()


def look(inst):
    return inst.sh(LOOK + "; true")


def files_of(daemon):
    return sorted(p.name for p in (daemon.dir / "backups").iterdir())


def test_an_instance_comes_back_with_its_snapshots(daemon, box, imported, pools):  # noqa: F811
    box.rest.change("POST", f"{box.path}/snapshots", {"name": "s1", "expires_at": "2099-01-02T03:04:05Z"})
    box.sh("echo two > /d/later")
    box.rest.change("PATCH", box.path, {"config": {"user.x": "ü: 'y'"}, "description": "a \"box\""})
    before = look(box)
    data = backups.export(box)
    assert box.status == "Running" and files_of(daemon) == []

    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        names = tar.getnames()
        index = yaml.safe_load(tar.extractfile(names[0]))
        assert tar.getmember("backup/container/rootfs/d/file").uid == 5 and tar.getmember("backup/container/rootfs/bin").uid == 0
    assert names[0] == "backup/index.yaml" and index["snapshots"] == ["s1"] and index["config"]["container"]["name"] == box.name
    assert "backup/container/backup.yaml" in names and "backup/snapshots/s1/rootfs/d/file" in names
    assert "backup/snapshots/s1/rootfs/d/later" not in names and "backup/container/rootfs/d/later" in names
    assert not [k for k in index["config"]["container"]["config"] if k.startswith(("volatile.lxm", "volatile.idmap"))]

    other = next(p for p in pools.values() if p != index["pool"])
    back = imported(data, pool=other)
    now, was = back.get(), box.get()
    assert now["status"] == "Stopped" and now["config"]["user.x"] == "ü: 'y'" and now["description"] == "a \"box\""
    assert now["created_at"] == was["created_at"] and now["expanded_devices"]["root"]["pool"] == other
    assert now["config"]["volatile.eth0.hwaddr"] != was["config"]["volatile.eth0.hwaddr"], "both are on one network"
    assert now["config"]["volatile.cloud-init.instance-id"] == was["config"]["volatile.cloud-init.instance-id"], "nothing is set up anew"
    (s1,) = daemon.rest.read(f"{back.path}/snapshots", query={"recursion": 1})
    (s0,) = daemon.rest.read(f"{box.path}/snapshots", query={"recursion": 1})
    assert (s1["created_at"], s1["expires_at"]) == (s0["created_at"], "2099-01-02T03:04:05Z")
    back.start()
    assert look(back) == before and back.sh("cat /d/later") == "two\n"
    daemon.rest.change("PUT", back.path, {"restore": "s1"})
    assert back.sh("ls /d").split() == ["file", "link", "pipe", "sparse", "twin"]
    # a project that lets nobody have snapshots gets none out of a backup
    project = fresh_name("p")
    daemon.rest.change("POST", "projects", {"name": project, "config": {"restricted": "true", "features.profiles": "false"}})
    try:
        query = {"project": project}
        assert "restricted.snapshots" in daemon.rest.refused("POST", "instances", data=data, headers=backups.headers("b"), query=query)
        assert daemon.rest.read("instances", query=query) == []
    finally:
        daemon.rest.change("DELETE", f"projects/{project}")


@pytest.mark.host_only("rows of the database")
def test_a_backup_is_listed_renamed_and_deleted(daemon, instance):
    inst = instance(start=False)
    with daemon.rest.events("lifecycle") as events:
        assert [backups.make(inst) for _ in range(2)] == ["backup0", "backup1"]
        assert backups.make(inst, "mine", instance_only=True, expires_at="2099-01-02T03:04:05Z") == "mine"
        events.wait_for(lambda e: e["metadata"]["action"] == "instance-backup-created" and e["metadata"]["source"].endswith("/backups/mine"))
        assert "already exists" in inst.rest.refused("POST", f"{inst.path}/backups", {"name": "mine"}, statuses=(409,))
        listed = inst.rest.read(f"{inst.path}/backups")
        assert listed == [f"/1.0/instances/{inst.name}/backups/{n}" for n in ("backup0", "backup1", "mine")]
        one = inst.rest.read(f"{inst.path}/backups/mine")
        assert one["instance_only"] and one["expires_at"] == "2099-01-02T03:04:05Z" and not one["optimized_storage"]
        full = inst.rest.read(inst.path, query={"recursion": 1})
        assert [b["name"] for b in full["backups"]] == ["backup0", "backup1", "mine"]
        assert inst.rest.refused("POST", f"{inst.path}/backups/mine", {"name": "backup0"}, statuses=(409,))
        assert inst.rest.refused("POST", f"{inst.path}/backups/mine", {"name": "a/b"})
        inst.rest.change("POST", f"{inst.path}/backups/mine", {"name": "yours"})
        assert inst.rest.get(f"{inst.path}/backups/mine").status == 404
        assert backups.fetch(inst, "yours")[:2] == b"\x1f\x8b"
        inst.rest.change("DELETE", f"{inst.path}/backups/yours")
        for action in ("renamed", "retrieved", "deleted"):
            events.wait_for(lambda e, a=action: e["metadata"]["action"] == f"instance-backup-{a}")
    assert inst.rest.get(f"{inst.path}/backups/yours/export").status == 404
    assert len(files_of(daemon)) == 2
    inst.delete()
    assert files_of(daemon) == []


@pytest.mark.host_only("which program packs")
@pytest.mark.parametrize("how,magic", [("none", b"backup/PaxHeader/index.yaml\0"), ("zstd", b"\x28\xb5\x2f\xfd"), ("xz", b"\xfd7zXZ"), ("bzip2", b"BZh")])
def test_compression(instance, imported, how, magic):
    inst = instance(start=False)
    data = backups.export(inst, compression_algorithm=how)
    assert data.startswith(magic)
    assert imported(data).get()["architecture"] == "x86_64"


@pytest.mark.host_only("rows of the database")
def test_settings_of_server_and_project(daemon, instance):
    inst = instance(start=False)
    assert inst.rest.refused("POST", f"{inst.path}/backups", {"compression_algorithm": "gzip -9; id"})
    daemon.rest.change("PATCH", "/1.0", {"config": {"backups.compression_algorithm": "zstd"}})
    try:
        assert backups.export(inst).startswith(b"\x28\xb5\x2f\xfd")
        daemon.rest.change("PATCH", "projects/default", {"config": {"backups.compression_algorithm": "none"}})
        assert backups.export(inst)[257:262] == b"ustar"
        daemon.rest.change("PATCH", "projects/default", {"config": {"backups.compression_algorithm": ""}})
        assert backups.export(inst).startswith(b"\x28\xb5\x2f\xfd")
    finally:
        daemon.rest.change("PATCH", "projects/default", {"config": {"backups.compression_algorithm": ""}})
        daemon.rest.change("PATCH", "/1.0", {"config": {"backups.compression_algorithm": ""}})
    assert backups.export(inst).startswith(b"\x1f\x8b")
    daemon.rest.change("PATCH", "projects/default", {"config": {"restricted": "true"}})
    try:
        assert "restricted.backups" in inst.rest.refused("POST", f"{inst.path}/backups", {"name": "b"})
        daemon.rest.change("PATCH", "projects/default", {"config": {"restricted.backups": "allow"}})
        backups.export(inst)
        daemon.rest.change("PATCH", "projects/default", {"config": {"restricted.backups": ""}})
        assert "restricted.backups" in inst.rest.refused("POST", f"{inst.path}/backups", {"name": "b"})
    finally:
        daemon.rest.change("PATCH", "projects/default", {"config": {"restricted": "", "restricted.backups": ""}})


@pytest.mark.host_only("rows of the database")
def test_where_an_import_goes(daemon, imported):
    daemon.rest.refused("POST", "instances", data=backups.tarball(backups.index("a")), headers=backups.headers("x", "nopool"), statuses=(404,))
    one = imported(backups.tarball(backups.index("of-elsewhere", pool="elsewhere", config={"made.up": "1", "user.k": "v"})), name="of-elsewhere")
    now = one.get()
    assert now["created_at"] == "2024-02-03T04:05:06Z" and now["config"]["user.k"] == "v" and "made.up" not in now["config"]
    again = daemon.rest.request("POST", "instances", data=backups.tarball(backups.index("of-elsewhere")), headers=backups.headers())
    assert again.status == 409 and "already exists" in again.error


@pytest.mark.host_only("rows of the database")
def test_a_mac_is_kept_when_nobody_has_it(daemon, imported):
    config = {"volatile.eth0.hwaddr": "00:16:3e:11:22:33", "volatile.idmap.base": "1", "volatile.lxm.creating": "true"}
    data = backups.tarball(backups.index("m", config=config))
    first, second = imported(data), imported(data)
    assert first.get()["config"]["volatile.eth0.hwaddr"] == "00:16:3e:11:22:33"
    assert second.get()["config"]["volatile.eth0.hwaddr"] != "00:16:3e:11:22:33"
    assert first.get()["config"]["volatile.idmap.base"] != "1"


def test_a_tree_that_is_shifted_comes_back_unshifted(daemon, imported):
    ids = '[{"Isuid":true,"Isgid":true,"Hostid":100000,"Nsid":0,"Maprange":65536}]'
    data = backups.tarball(backups.index("s", config={"volatile.last_state.idmap": ids}), extra=lambda t, root: t.add(
        f"{root}/mine", "x", uid=101000, gid=100007).add(f"{root}/hosts", "x", uid=0, gid=300000))
    inst = imported(data)
    exported = backups.export(inst)
    with tarfile.open(fileobj=io.BytesIO(exported)) as tar:
        owners = {n: (tar.getmember(f"backup/container/rootfs/{n}").uid, tar.getmember(f"backup/container/rootfs/{n}").gid)
                  for n in ("mine", "hosts")}
    assert owners == {"mine": (1000, 7), "hosts": (65534, 65534)}


@pytest.mark.host_only("what the client asks for and prints; the requests themselves are made above")
def test_lxmc_exports_and_imports(daemon, instance, lxmc, tmp_path):
    inst, name = instance(start=False), fresh_name("b")
    path = tmp_path / "x.tar.gz"
    assert lxmc("export", inst.name, path).code == 0
    again = lxmc("export", inst.name, path)
    assert again.code == 1 and "--force" in again.err
    assert inst.rest.read(f"{inst.path}/backups") == [] and path.stat().st_mode & 0o077 == 0
    done = lxmc("import", path, name)
    try:
        assert done.code == 0 and name in done.out, done
        prog = daemon.bin("lxmc")
        piped = subprocess.run(f"{prog} export {name} - | {prog} import - {name}2", shell=True, env=daemon.env(), capture_output=True,
                               text=True)
        assert piped.returncode == 0, piped
    finally:
        for n in (name, name + "2"):
            Instance(daemon, n).remove()
