"""
Imports of hostile backups (CVE classes: tar traversal, YAML bombs, LXD's CVE-2026 backup imports whose inner configuration was not judged): each
is refused with a reason, and nothing is left, inside the pool or outside.
"""
import os

import pytest

from harness import backups
from harness.images import Tar, compress
from harness.instance import Instance, fresh_name, wait_until
from harness.tenants import World

MARK = "lxm-backup-escape"
BOMB = "a: &a [x,x,x,x,x,x,x,x,x]\n" + "".join(f"{chr(98 + n)}: &{chr(98 + n)} [{','.join(['*' + chr(97 + n)] * 9)}]\n" for n in range(9))


def plain(**kw):
    return backups.index("evil", **kw)


def with_extra(extra):
    return lambda: backups.tarball(plain(), extra=extra)


def raw(*entries):
    def build():
        tar = Tar()
        for name, data, *fields in entries:
            tar.add(name, data, **(fields[0] if fields else {}))
        return tar.bytes()
    return build


def two_pieces():
    tar = Tar().add("backup/index.yaml", plain(snapshots=["s"]))
    backups.volume(tar, "backup/snapshots/s")
    backups.volume(tar)
    return tar.add("backup/snapshots/s/rootfs/late", "x").bytes()


def link_to_another_volume():
    tar = Tar().add("backup/index.yaml", plain(snapshots=["s"]))
    backups.volume(tar, "backup/snapshots/s")
    backups.volume(tar)
    return tar.add("backup/container/rootfs/x", type=b"1", linkname="backup/snapshots/s/rootfs/etc/mark").bytes()


HOSTILE = {
    "through a link": with_extra(lambda t, r: t.link(f"{r}/out", "/tmp").add(f"{r}/out/{MARK}", "x")),
    "absolute": with_extra(lambda t, r: t.add(f"/tmp/{MARK}", "x")),
    "dots": with_extra(lambda t, r: t.add(f"{r}/../../../../../../tmp/{MARK}", "x")),
    "hard link out": with_extra(lambda t, r: t.add(f"{r}/x", type=b"1", linkname="/etc/passwd")),
    "hard link to the index": with_extra(lambda t, r: t.add(f"{r}/x", type=b"1", linkname="backup/index.yaml")),
    "hard link to another volume": link_to_another_volume,
    "the same name twice": with_extra(lambda t, r: t.add(f"{r}/x", "1").add(f"{r}/x", "2")),
    "rootfs a link": lambda: raw(("backup/index.yaml", plain()), ("backup/container/rootfs", b"", {"type": b"2", "linkname": "/"}))(),
    "metadata a link": lambda: raw(("backup/index.yaml", plain()), ("backup/container/metadata.yaml", b"",
                                                                   {"type": b"2", "linkname": "/etc/shadow"}))(),
    "index at the end": lambda: backups.volume(Tar()).add("backup/index.yaml", plain()).bytes(),
    "no index": lambda: backups.volume(Tar()).bytes(),
    "index a link": raw(("backup/index.yaml", b"", {"type": b"2", "linkname": "/etc/passwd"})),
    "no volume": raw(("backup/index.yaml", plain())),
    "a volume in two pieces": two_pieces,
    "a snapshot that the index lacks": lambda: backups.tarball(plain(), ("backup/container", "backup/snapshots/s")),
    "a snapshot that the archive lacks": lambda: backups.tarball(plain(snapshots=["s"])),
    "a snapshot twice": lambda: backups.tarball(plain(snapshots=["s", "s"]), ("backup/snapshots/s", "backup/container")),
    "snapshot names that lead out": lambda: backups.tarball(plain(snapshots=[".."])),
    "a name that leads out": lambda: backups.tarball(backups.index("../evil")),
    "optimized": lambda: backups.tarball(plain(optimized=True)),
    "a virtual machine": lambda: backups.tarball(plain(type="virtual-machine")),
    "no config": lambda: backups.tarball('{"name": "evil", "pool": "default"}'),
    "config of a wrong kind": lambda: backups.tarball('{"config": {"container": ["x"]}}'),
    "aliases": lambda: backups.tarball(BOMB),
    "nested deeply": lambda: backups.tarball("[" * 5000 + "]" * 5000),
    "too many values": lambda: backups.tarball("[" + "1," * 300000 + "1]"),
    "a huge index": lambda: compress(backups.tarball('{"name": "' + "x" * (5 << 20) + '"}'), "gzip"),
    "not YAML": lambda: backups.tarball("\x01\x02{{{"),
    "truncated": lambda: backups.tarball(plain(), extra=lambda t, r: t.add(f"{r}/big", os.urandom(200000)))[:100000],
    "truncated gzip": lambda: compress(backups.tarball(plain(), extra=lambda t, r: t.add(f"{r}/big", os.urandom(200000))), "gzip")[:100000],
    "garbage": lambda: os.urandom(5000),
    "empty": lambda: b"",
    "an impossible id map": lambda: backups.tarball(plain(config={"volatile.last_state.idmap":
                                                                 '[{"Isuid":true,"Isgid":true,"Hostid":1,"Nsid":4294967290,"Maprange":100}]'})),
}


def places(daemon):
    """What lies in the pools, but for what is being thrown away."""
    return sorted(str(p.relative_to(daemon.dir)) for pool in (daemon.dir / "pools").iterdir()
                  for where in ("instances", "snapshots", "tmp", "staged") for p in (pool / where).glob("*"))


@pytest.mark.parametrize("what", HOSTILE)
def test_a_hostile_backup_is_refused_and_leaves_nothing(daemon, what):
    def fds():
        return len(os.listdir(f"/proc/{daemon.proc.pid}/fd"))

    before, had = places(daemon), fds()
    error = daemon.rest.refused("POST", "instances", data=HOSTILE[what](), headers=backups.headers(), statuses=(400, 501))
    assert error and "Internal" not in error
    assert daemon.rest.get("instances/evil").status == 404
    assert places(daemon) == before and not os.path.exists(f"/tmp/{MARK}")
    # a database connection that was opened meanwhile goes when lxmd has been at rest for a while
    wait_until(lambda: fds() <= had + 4, text=lambda: f"{had} descriptors have become {fds()}")


def test_a_bomb_ends_when_the_disk_would_be_full(daemon):
    """Sparse in the archive, data on the disk: declared size counts only as far as bytes come."""
    data = compress(backups.tarball(plain(), extra=lambda t, r: [t.add(f"{r}/z{i}", b"\0" * (4 << 20)) for i in range(4)]), "gzip")
    assert len(data) < 1 << 17
    inst = Instance(daemon, fresh_name("bomb"))
    daemon.rest.change("POST", "instances", data=data, headers=backups.headers(inst.name))
    inst.remove()


SMUGGLED = {
    "raw.lxc": dict(config={"raw.lxc": "lxc.hook.pre-start=/bin/true"}),
    "raw.idmap": dict(config={"raw.idmap": "both 0 0"}),
    "privileged": dict(config={"security.privileged": "true"}),
    "a disk of the host": dict(devices={"h": {"type": "disk", "source": "/", "path": "/host"}}),
    "a device of the host": dict(devices={"h": {"type": "unix-char", "source": "/dev/kmsg", "path": "/dev/kmsg"}}),
}


@pytest.fixture(scope="module")
def world(session_daemon, tmp_path_factory):
    w = World(session_daemon, tmp_path_factory.mktemp("certificates"))
    yield w
    w.close()


@pytest.mark.host_only("rules that lxmd judges by itself")
@pytest.mark.parametrize("what", SMUGGLED)
def test_a_tenant_cannot_smuggle_in_what_he_may_not_set(world, what):
    pool = world.blue.pool
    root = {"root": {"type": "disk", "path": "/", "pool": pool}}
    kw = {"pool": pool, **SMUGGLED[what], "devices": {**root, **SMUGGLED[what].get("devices", {})}}
    tenant = world.client("restricted")
    data = backups.tarball(backups.index("smuggler", **kw))
    error = tenant.refused("POST", "instances", data=data, headers=backups.headers(), query={"project": "blue"}, statuses=(400, 403))
    assert error and tenant.get("instances/smuggler", query={"project": "blue"}).status == 404
    assert tenant.request("POST", "instances", data=data, headers=backups.headers(), query={"project": "red"}).status in (403, 404)


def test_a_tenant_gets_no_device_nodes_and_no_range_of_ids(world):
    tenant, pool = world.client("restricted"), world.blue.pool
    data = backups.tarball(
        backups.index("mine", pool=pool, devices={"root": {"type": "disk", "path": "/", "pool": pool}},
                      config={"volatile.idmap.base": "0", "volatile.last_state.power": "RUNNING", "volatile.lxm.replacing": "true"}),
        extra=lambda t, r: t.add(f"{r}/kmsg", type=b"3", devmajor=1, devminor=11))
    tenant.change("POST", "instances", data=data, headers=backups.headers(), query={"project": "blue"})
    try:
        config = tenant.read("instances/mine", query={"project": "blue"})["config"]
        assert config["volatile.idmap.base"] != "0" and config["volatile.last_state.power"] == "STOPPED"
        assert not [k for k in config if k.startswith("volatile.lxm")]
        assert tenant.get("instances/mine/files", query={"project": "blue", "path": "/kmsg"}).status == 404
        assert tenant.get("instances/mine/files", query={"project": "blue", "path": "/etc/mark"}).status == 200
    finally:
        tenant.change("DELETE", "instances/mine", query={"project": "blue"})


@pytest.mark.host_only("rules that lxmd judges by itself")
def test_a_tenant_cannot_reach_a_backup_of_another(world):
    blue = world.client("restricted")
    for path in ("backups", "backups/redbackup", "backups/redbackup/export"):
        assert blue.get(f"instances/redinst/{path}", query={"project": "red"}).status in (403, 404)
        assert blue.get(f"instances/redinst/{path}", query={"project": "blue"}).status == 404
    assert blue.get("instances/blueinst/backups/bluebackup/export", query={"project": "blue"}).status == 200
