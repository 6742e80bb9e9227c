"""limits.* of projects: what does not fit is refused, whichever way it comes, and leaves everything as it was."""
import os
import threading
import time

import pytest

from harness import cgroups, images
from harness.images import METADATA
from harness.instance import fresh_name

NONE = {"type": "none"}


class Project:
    """A project whose instances are empty: their number and configuration are what counts."""

    def __init__(self, rest, config=None):
        self.rest = rest
        self.name = fresh_name("lim")
        self.query = {"project": self.name}
        self.pool = rest.read("storage-pools", query={"recursion": 1})[0]["name"]
        rest.change("POST", "projects", {"name": self.name, "config": config or {}})

    def root(self, size=None):
        return {"root": {"type": "disk", "path": "/", "pool": self.pool, **({"size": size} if size else {})}}

    def body(self, name, config=None, size=None, **more):
        return {"name": name, "source": NONE, "config": config or {}, "devices": self.root(size), "profiles": [], **more}

    def add(self, name, *args, **more):
        return self.change("POST", "instances", self.body(name, *args, **more))

    def add_refused(self, name, *args, **more):
        return self.refused("POST", "instances", self.body(name, *args, **more))

    def change(self, method, path, json=None, **kw):
        return self.rest.change(method, path, json, query=self.query, **kw)

    def refused(self, method, path, json=None, **kw):
        return self.rest.refused(method, path, json, statuses=(400, 403), query=self.query, **kw)

    def read(self, path):
        return self.rest.read(path, query=self.query)

    def limit(self, **limits):
        return self.rest.change("PATCH", f"projects/{self.name}", {"config": as_keys(limits)})

    def limit_refused(self, **limits):
        return self.rest.refused("PATCH", f"projects/{self.name}", {"config": as_keys(limits)})

    def state(self, what):
        found = self.rest.read(f"projects/{self.name}/state")["resources"][what]
        return found["Usage"], found["Limit"]

    @property
    def names(self):
        return [u.split("?")[0].split("/")[-1] for u in self.read("instances")]

    @property
    def volumes(self):
        return f"storage-pools/{self.pool}/volumes/custom"

    def clear(self):
        for name in self.names:
            self.rest.delete(f"instances/{name}", query=self.query)
        deadline = time.monotonic() + 20
        while self.names and time.monotonic() < deadline:
            time.sleep(0.02)
        for url in self.read(self.volumes):
            self.change("DELETE", f"{self.volumes}/{url.split('?')[0].split('/')[-1]}")
        for url in self.read("images"):
            self.change("DELETE", f"images/{url.split('?')[0].split('/')[-1]}")
        for url in self.read("profiles"):
            if not url.split("?")[0].endswith("/default"):
                self.change("DELETE", f"profiles/{url.split('?')[0].split('/')[-1]}")
        self.rest.change("DELETE", f"projects/{self.name}")


def as_keys(limits):
    return {"limits." + k.replace("__", ".").replace("_", "-"): v for k, v in limits.items()}


def at_once(p, names, act):
    """What each operation of act(name) -> (method, path, body) says at its end, "" for those that worked."""
    said = []

    def one(name):
        reply = p.rest.request(*act(name)[:2], json=act(name)[2], query=p.query)
        said.append(p.rest.read(f"{reply.json['operation']}/wait", query={"timeout": 30})["err"] if reply.status == 202 else reply.error)

    threads = [threading.Thread(target=one, args=(n,)) for n in names]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    return said


@pytest.fixture
def project(rest):
    made = []

    def make(**limits):
        made.append(Project(rest, as_keys(limits)))
        return made[-1]

    yield make
    for p in made:
        p.clear()


# ---- numbers
def test_the_next_instance_is_refused_and_leaves_nothing(project):
    p = project(instances="2")
    p.add("a")
    p.add("b")
    assert f'Reached maximum number of instances in project "{p.name}"' in p.add_refused("c")
    assert p.names == ["a", "b"] and p.state("instances") == (2, 2)
    p.change("DELETE", "instances/a")
    p.add("c")
    p.limit(instances="")
    p.add("d")
    assert p.state("instances") == (3, -1)


ONE = {"limits.cpu": "1", "limits.memory": "64MiB", "limits.processes": "20"}


@pytest.mark.parametrize("key, low, high", [("instances", "1", "2"), ("containers", "1", "2"), ("cpu", "1", "2"), ("memory", "64MiB", "128MiB"),
                                            ("processes", "20", "40"), ("disk", "1GiB", "2GiB"), ("disk.pool.default", "1GiB", "2GiB")])
def test_each_from_the_start_raised_and_unset(project, key, low, high):
    key = key.replace(".", "__")
    p = project(**{key: low})
    p.add("a", ONE, "1GiB")
    p.add_refused("b", ONE, "1GiB")
    p.limit(**{key: high})
    p.add("b", ONE, "1GiB")
    p.add_refused("c", ONE, "1GiB")
    p.limit(**{key: ""})
    p.add("c", ONE, "1GiB")
    assert p.names == ["a", "b", "c"]


def test_the_refusal_comes_at_once(project):
    p = project(containers="0")
    reply = p.rest.post("instances", p.body("a"), query=p.query)
    assert reply.status == 403 and 'of type "container"' in reply.error
    assert p.state("virtual-machines") == (0, -1)


def test_a_limit_below_the_use_names_the_use(project):
    p = project()
    p.add("a", {"limits.memory": "64MiB", "limits.cpu": "2"}, "1GiB")
    p.add("b", {"limits.memory": "64MiB", "limits.cpu": "1"}, "1GiB")
    before = p.rest.read(f"projects/{p.name}")
    for limits, text in (({"instances": "1"}, "there currently are 2 total instances"), ({"containers": "1"}, "2 containers"),
                         ({"cpu": "2"}, 'current total is "3"'), ({"memory": "100MiB"}, "128.00MiB"), ({"disk": "1GiB"}, "2.00GiB"),
                         ({f"disk__pool__{p.pool}": "1GiB"}, "2.00GiB")):
        said = p.limit_refused(**limits)
        assert text in said and "is too low" in said, said
    assert p.rest.read(f"projects/{p.name}") == before
    p.limit(instances="2", containers="2", cpu="3", memory="128MiB", disk="2GiB")
    assert "there is no such storage pool" in p.limit_refused(disk__pool__nowhere="1GiB")


def test_sums_hold_with_every_value_there(project):
    p = project(cpu="3", memory="100MiB", processes="100")
    one = {"limits.cpu": "2", "limits.memory": "60MiB", "limits.processes": "50"}
    for missing in one:
        said = p.add_refused("a", {k: v for k, v in one.items() if k != missing})
        assert f'Instance "a" in project "{p.name}" has no "{missing}" config' in said
    assert "can't be a percentage" in p.add_refused("a", {**one, "limits.memory": "10%"})
    assert "can't be pinned" in p.add_refused("a", {**one, "limits.cpu": "0-0"})
    assert "no ceiling" in p.add_refused("a", {**one, "limits.memory.enforce": "soft"})
    p.add("a", one)
    assert "no ceiling" in p.refused("PATCH", "instances/a", {"config": {"limits.memory.enforce": "soft"}})
    assert (p.state("cpu"), p.state("memory"), p.state("processes")) == ((2, 3), (60 << 20, 100 << 20), (50, 100))
    small = {"limits.cpu": "1", "limits.memory": "40MiB", "limits.processes": "50"}
    for key, value in (("limits.cpu", "2"), ("limits.memory", "41MiB"), ("limits.processes", "51")):
        assert f'Reached maximum aggregate value "{p.rest.read(f"projects/{p.name}")["config"][key]}" for "{key}"' in p.add_refused(
            "b", {**small, key: value})
    p.add("b", small)
    assert p.names == ["a", "b"]


def test_an_update_is_held_to_the_sum_and_restores_are_too(project):
    p = project(memory="100MiB")
    p.add("a", {"limits.memory": "90MiB"})
    p.change("POST", "instances/a/snapshots", {"name": "big"})
    p.change("PATCH", "instances/a", {"config": {"limits.memory": "50MiB"}})
    p.add("b", {"limits.memory": "50MiB"})
    before = p.read("instances/a")
    assert "Reached maximum aggregate value" in p.refused("PATCH", "instances/a", {"config": {"limits.memory": "51MiB"}})
    assert "has no" in p.refused("PATCH", "instances/a", {"config": {"limits.memory": ""}})
    assert "Reached maximum aggregate value" in p.refused("PUT", "instances/a", {"restore": "big"})
    assert "Reached maximum aggregate value" in p.refused(
        "POST", "instances", {"name": "c", "source": {"type": "copy", "source": "a/big"}})
    assert p.read("instances/a") == before and p.names == ["a", "b"]
    p.change("PATCH", "instances/a", {"description": "x", "config": {"limits.memory": "20MiB", "user.x": "y"}})
    p.change("POST", "instances", {"name": "c", "source": {"type": "copy", "source": "a"}})


def test_two_at_once_do_not_share_the_last_place(project):
    p = project(instances="3", memory="300MiB")
    said = []

    def create(n):
        reply = p.rest.post("instances", p.body(f"t{n}", {"limits.memory": "100MiB"}), query=p.query)
        if reply.status == 202:
            op = p.rest.read(f"{reply.json['operation']}/wait", query={"timeout": 30})
            said.append(op["err"])
        else:
            said.append(reply.error)

    threads = [threading.Thread(target=create, args=(n,)) for n in range(16)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert said.count("") == 3 and len(p.names) == 3, said
    assert all("Reached maximum" in s for s in said if s)


def test_two_updates_at_once_do_not_share_the_last_bytes(project):
    p = project(memory="350MiB")
    for n in range(6):
        p.add(f"u{n}", {"limits.memory": "50MiB"})
    got = at_once(p, [f"u{n}" for n in range(6)], lambda n: ("PATCH", f"instances/{n}", {"config": {"limits.memory": "100MiB"}}))
    assert got.count("") == 1 and p.state("memory") == (350 << 20, 350 << 20), got


def test_lxmc_shows_use_and_limits(project, lxmc):
    p = project(memory="1GiB", cpu="4")
    p.add("a", {"limits.memory": "256MiB", "limits.cpu": "1"}, "1GiB")
    p.limit(**{f"disk__pool__{p.pool}": "2GiB"})
    shown = lxmc("project", "info", p.name, "-f", "csv", check=True).out.splitlines()
    for line in ("MEMORY,1.00GiB,256.00MiB", "CPU,4,1", "INSTANCES,UNLIMITED,1", f"DISK ({p.pool}),2.00GiB,1.00GiB"):
        assert line in shown, shown
    assert "is too low" in lxmc("project", "set", p.name, "limits.instances=0").err


# ---- profiles
def test_a_profile_that_would_push_it_over_changes_nothing_anywhere(project):
    p = project(memory="200MiB", cpu="8")
    p.change("POST", "profiles", {"name": "size", "config": {"limits.memory": "50MiB", "limits.cpu": "1"}})
    for n in range(3):
        p.add(f"a{n}", profiles=["size"])
    p.add("own", {"limits.memory": "50MiB"}, profiles=["size"])
    before = [p.read("profiles/size")] + [p.read(f"instances/{n}") for n in p.names]
    for bad in ({"limits.memory": "51MiB"}, {"limits.cpu": "3"}, {"limits.cpu": ""}, {"limits.memory": "5%"}):
        said = p.refused("PATCH", "profiles/size", {"config": bad})
        assert "Reached maximum aggregate value" in said or "has no" in said or "percentage" in said
    assert [p.read("profiles/size")] + [p.read(f"instances/{n}") for n in p.names] == before
    p.change("PATCH", "profiles/size", {"config": {"limits.memory": "40MiB", "limits.cpu": "2"}})
    assert p.state("memory") == (170 << 20, 200 << 20) and p.state("cpu") == (8, 8)


def test_what_runs_keeps_its_limit_when_a_change_is_refused(rest, image):
    """The profile is stored, and applied to those who use it, only if all of them fit."""
    p = Project(rest, {"features.images": "false", "limits.memory": "200MiB"})
    try:
        p.change("POST", "profiles", {"name": "size", "config": {"limits.memory": "80MiB"}})
        for name in ("r", "s"):
            p.add(name, source={"type": "image", "alias": image}, profiles=["size"], start=True)

        def has():
            return [cgroups.memory(p.read(f"instances/{n}/state")["pid"]) for n in ("r", "s")]

        assert has() == [80 << 20] * 2
        p.refused("PATCH", "profiles/size", {"config": {"limits.memory": "101MiB"}})
        p.refused("PATCH", "instances/r", {"config": {"limits.memory": "121MiB"}})
        assert has() == [80 << 20] * 2
        p.change("PATCH", "profiles/size", {"config": {"limits.memory": "100MiB"}})
        assert has() == [100 << 20] * 2
    finally:
        for name in p.names:
            p.change("PUT", f"instances/{name}/state", {"action": "stop", "force": True})
        p.clear()


# ---- disk
def test_disk_counts_roots_volumes_and_images(project):
    p = project(disk="1GiB")
    assert 'has no "size" config set on the root device' in p.add_refused("a")
    p.add("a", size="512MiB")
    assert 'has no "size" config set' in p.refused("POST", p.volumes, {"name": "v"})
    p.change("POST", p.volumes, {"name": "v", "config": {"size": "256MiB"}})
    assert "Reached maximum aggregate value" in p.refused("POST", p.volumes, {"name": "w", "config": {"size": "257MiB"}})
    assert "Reached maximum aggregate value" in p.refused("PATCH", f"{p.volumes}/v", {"config": {"size": "513MiB"}})
    assert "Reached maximum aggregate value" in p.refused(
        "POST", p.volumes, {"name": "w", "source": {"type": "copy", "name": "v", "pool": p.pool}, "config": {"size": "300MiB"}})
    assert [u.split("?")[0].split("/")[-1] for u in p.read(p.volumes)] == ["v"]
    assert p.state("disk") == (768 << 20, 1 << 30)
    tar = images.busybox_tar(METADATA.replace("release: test", f"release: {p.name}"))
    p.change("POST", "images", data=tar)
    assert p.state("disk")[0] > 768 << 20
    p.add_refused("b", size="256MiB")  # an image takes some of it
    p.change("PATCH", f"{p.volumes}/v", {"config": {"size": "1MiB"}})
    p.add("b", size="256MiB")
    p.limit(disk=str(p.state("disk")[0] + 1000))
    more = images.busybox_tar(METADATA.replace("release: test", f"release: {p.name}2"))
    assert "Reached maximum aggregate value" in p.refused("POST", "images", data=more)
    assert len(p.read("images")) == 1


def test_a_size_of_nothing_is_no_size(project):
    """To file systems a quota of no bytes is none at all: it would count nothing and hold everything."""
    p = project(disk="1GiB")
    for zero in ("0", "0B", "0MiB"):
        assert "is 0, which is no limit" in p.add_refused("a", size=zero)
        assert "is 0, which is no limit" in p.refused("POST", p.volumes, {"name": "v", "config": {"size": zero}})
    p.add("a", size="512MiB")
    p.change("POST", p.volumes, {"name": "v", "config": {"size": "256MiB"}})
    assert "no limit" in p.refused("PATCH", "instances/a", {"devices": p.root("0")})
    assert "no limit" in p.refused("PATCH", f"{p.volumes}/v", {"config": {"size": "0"}})
    copied = {"name": "w", "source": {"type": "copy", "name": "v", "pool": p.pool}, "config": {"size": "0"}}
    assert "no limit" in p.refused("POST", p.volumes, copied)
    assert p.state("disk") == (768 << 20, 1 << 30)


def test_disk_of_one_pool(project):
    p = project()
    p.limit(**{f"disk__pool__{p.pool}": "1GiB"})
    p.add("a", size="1000MiB")
    assert f'"limits.disk.pool.{p.pool}"' in p.add_refused("b", size="25MiB")
    assert p.state(f"disk.{p.pool}") == (1000 << 20, 1 << 30)
    p.add("b", size="24MiB")


@pytest.fixture
def other_pool(rest):
    name = fresh_name("pool")
    rest.change("POST", "storage-pools", {"name": name, "driver": "dir"})
    yield name
    rest.change("DELETE", f"storage-pools/{name}")


def test_disk_of_one_pool_is_no_others(other_pool, project):
    p = project()
    p.limit(**{f"disk__pool__{p.pool}": "1GiB"})
    p.add("a", size="1000MiB")
    volume = f"storage-pools/{other_pool}/volumes/custom"
    p.change("POST", volume, {"name": "v", "config": {"size": "1GiB"}})
    p.change("POST", "images", data=images.busybox_tar(METADATA.replace("release: test", f"release: {p.name}")))
    assert p.state(f"disk.{p.pool}") == (1000 << 20, 1 << 30)
    p.add("b", size="24MiB")
    p.change("DELETE", f"{volume}/v")


def test_moves_to_a_pool_at_once_do_not_share_its_last_bytes(daemon, other_pool, project):
    p = project()
    names = [f"m{n}" for n in range(6)]
    for name in names:
        p.add(name, size="100MiB")
    p.limit(**{f"disk__pool__{other_pool}": "150MiB"})
    said = at_once(p, names, lambda n: ("POST", f"instances/{n}", {"name": n, "pool": other_pool, "migration": True}))
    assert said.count("") == 1 and p.state(f"disk.{other_pool}") == (100 << 20, 150 << 20), said
    assert all("Reached maximum" in s for s in said if s)
    assert len(list((daemon.dir / "pools" / other_pool / "instances").rglob("rootfs"))) <= 1
    for name in names:
        assert not [k for k in p.read(f"instances/{name}")["config"] if k.startswith("volatile.lxm.")]
        p.change("DELETE", f"instances/{name}")


def test_restores_at_once_do_not_share_the_last_bytes(project):
    p = project()
    names = [f"r{n}" for n in range(6)]
    for name in names:
        p.add(name, {"limits.memory": "100MiB"})
        p.change("POST", f"instances/{name}/snapshots", {"name": "big"})
        p.change("PATCH", f"instances/{name}", {"config": {"limits.memory": "50MiB"}})
    p.limit(memory="350MiB")
    said = at_once(p, names, lambda n: ("PUT", f"instances/{n}", {"restore": "big"}))
    assert said.count("") == 1 and p.state("memory") == (350 << 20, 350 << 20), said


# ---- other ways in
def test_a_move_into_the_project_is_held_to_its_limits(project):
    p, q = project(instances="1"), project()
    p.add("a")
    q.add("b")
    assert "Reached maximum number" in q.refused("POST", "instances/b", {"name": "b", "project": p.name, "migration": True})
    assert "Reached maximum number" in p.refused(
        "POST", "instances", {"name": "c", "source": {"type": "copy", "source": "b", "project": q.name}})
    assert q.names == ["b"] and p.names == ["a"]
    p.change("DELETE", "instances/a")
    q.change("POST", "instances/b", {"name": "b", "project": p.name, "migration": True})
    assert p.names == ["b"] and q.names == []


def test_a_volume_moves_in_only_with_room(project):
    p, q = project(disk="100MiB"), project(disk="1GiB")
    q.change("POST", q.volumes, {"name": "v", "config": {"size": "101MiB"}})
    assert "Reached maximum" in q.refused("POST", f"{q.volumes}/v", {"name": "v", "pool": q.pool, "project": p.name})
    assert len(q.read(q.volumes)) == 1 and not p.read(p.volumes)


def test_an_import_is_held_to_the_number(project):
    p, q = project(instances="0"), project()
    q.add("b")
    q.change("POST", "instances/b/backups", {"name": "k"})
    data = q.rest.get("instances/b/backups/k/export", query=q.query).body
    assert "Reached maximum number" in p.refused("POST", "instances", data=data, headers={"Content-Type": "application/octet-stream"})
    assert p.names == []


def test_a_migration_into_it_is_held_to_the_number(project):
    p = project(containers="0")
    said = p.refused("POST", "instances", {"name": "m", "source": {"type": "migration", "mode": "push"}, "profiles": [], "devices": p.root()})
    assert "Reached maximum number" in said and p.names == []


def test_a_profile_of_default_is_held_to_the_limits_of_its_users(rest):
    """Its users lie in other projects, which a caller may not be told of; here an administrator asks."""
    p = Project(rest, {"features.profiles": "false", "limits.cpu": "3"})
    name = fresh_name("shared")
    rest.change("POST", "profiles", {"name": name, "config": {"limits.cpu": "1"}})
    try:
        for k in range(3):
            p.add(f"s{k}", profiles=[name])
        said = rest.refused("PATCH", f"profiles/{name}", {"config": {"limits.cpu": "2"}}, statuses=(403,))
        assert p.name in said and rest.read(f"profiles/{name}")["config"] == {"limits.cpu": "1"}
        for k in range(3):
            p.change("DELETE", f"instances/s{k}")
    finally:
        rest.change("DELETE", f"profiles/{name}")
        for instance in p.names:
            p.change("DELETE", f"instances/{instance}")
        for url in p.read(p.volumes):
            p.change("DELETE", f"{p.volumes}/{url.split('?')[0].split('/')[-1]}")
        rest.change("DELETE", f"projects/{p.name}")


def test_networks_have_a_number(rest):
    link = f"lim{os.getpid()}"
    was = len([n for n in rest.read("networks", query={"recursion": 1}) if n["managed"]])
    rest.change("PATCH", "projects/default", {"config": {"limits.networks": str(was)}})
    try:
        said = rest.refused("POST", "networks", {"name": link, "config": {"ipv4.address": "none", "ipv6.address": "none"}}, statuses=(403,))
        assert "Networks limit has been reached" in said
        assert rest.get(f"networks/{link}").status == 404
        assert "there currently are" in rest.refused("PATCH", "projects/default", {"config": {"limits.networks": "0"}})
        for limit in (str(was + 1), ""):
            rest.change("PATCH", "projects/default", {"config": {"limits.networks": limit}})
            rest.change("POST", "networks", {"name": link, "config": {"ipv4.address": "none", "ipv6.address": "none"}})
            rest.change("DELETE", f"networks/{link}")
    finally:
        rest.change("PATCH", "projects/default", {"config": {"limits.networks": ""}})
