"""Storage pools and volumes: both drivers run instances, and what is in use stays."""
import shutil

import pytest

from harness.instance import fresh_name, wait_until


@pytest.fixture
def pool(rest):
    """pool(driver, **config) makes one and returns its name; gone after the test."""
    made = []

    def make(driver, **config):
        name = fresh_name("pool")
        reply = rest.post("storage-pools", {"name": name, "driver": driver, "config": config})
        assert reply.status == 201 and reply.headers["Location"] == f"/1.0/storage-pools/{name}", reply
        made.append(name)
        return name

    yield make
    for name in made:
        assert rest.delete(f"storage-pools/{name}").status in (200, 404)


@pytest.mark.parametrize("driver", ["overlay", "dir"])
def test_instances_run_on_each_driver(daemon, rest, pool, instance, driver):
    name = pool(driver)
    inst = instance(devices={"root": {"type": "disk", "path": "/", "pool": name}})
    assert inst.sh("echo x > /root/f; cat /root/f; stat -c %u /root/f").split() == ["x", "0"]
    inst.stop(force=True)
    inst.start()
    assert inst.sh("cat /root/f").strip() == "x"
    url = f"/1.0/instances/{inst.name}"
    assert url in rest.read(f"storage-pools/{name}")["used_by"]
    assert rest.delete(f"storage-pools/{name}").status == 400
    volumes = rest.read(f"storage-pools/{name}/volumes", query={"recursion": 1})
    assert {(v["type"], v["name"]) for v in volumes if v["type"] == "container"} == {("container", inst.name)}
    assert any(v["type"] == "image" for v in volumes)
    assert rest.read(f"storage-pools/{name}/volumes/container/{inst.name}/state")["usage"]["used"] > 0
    inst.remove()
    trash = daemon.dir / "pools" / name / "trash"
    wait_until(lambda: not list(trash.iterdir()), 10)
    assert not list((daemon.dir / "pools" / name / "instances").iterdir())


def test_life_of_a_pool(daemon, rest, pool):
    name = pool("dir", **{"user.a": "b"})
    got = rest.read(f"storage-pools/{name}")
    assert got == {"name": name, "description": "", "driver": "dir", "config": {"user.a": "b"}, "status": "Created", "used_by": [],
                   "locations": ["none"]}
    where = daemon.dir / "pools" / name
    assert where.stat().st_mode & 0o777 == 0o700
    space = rest.read(f"storage-pools/{name}/resources")["space"]
    assert 0 < space["used"] < space["total"]
    tag = rest.get(f"storage-pools/{name}").headers["ETag"]
    rest.change("PATCH", f"storage-pools/{name}", {"config": {"user.c": "d"}, "description": "x"})
    assert rest.read(f"storage-pools/{name}")["config"] == {"user.a": "b", "user.c": "d"}
    assert rest.put(f"storage-pools/{name}", {"config": {}}, headers={"If-Match": tag}).status == 412
    rest.change("DELETE", f"storage-pools/{name}")
    assert not where.exists()
    assert rest.get(f"storage-pools/{name}").status == 404


def test_pool_in_a_directory_of_the_host(rest, pool, tmp_path):
    (tmp_path / "full").mkdir()
    (tmp_path / "full/file").write_text("mine")
    name = fresh_name("pool")
    reply = rest.post("storage-pools", {"name": name, "driver": "dir", "config": {"source": str(tmp_path / "full")}})
    assert reply.status == 409 and "not empty" in reply.error, reply
    assert (tmp_path / "full/file").read_text() == "mine"
    pool("dir", source=str(tmp_path / "fresh"))
    assert (tmp_path / "fresh/instances").is_dir()


@pytest.mark.host_only("turned away before anything reaches the kernel")
@pytest.mark.parametrize("body", [
    {}, {"name": "x"}, {"name": "a/b", "driver": "dir"}, {"name": "..", "driver": "dir"}, {"name": "x", "driver": "nosuch"},
    {"name": "x", "driver": "dir", "config": {"source": "relative"}}, {"name": "x", "driver": "dir", "config": {"no.such": "1"}},
    {"name": "x", "driver": "dir", "config": {"source": "/etc"}}, {"name": "x", "driver": "dir", "config": []},
    {"name": "x", "driver": "dir", "config": {"volume.size": "much"}}, {"name": "x", "driver": "dir", "config": {"volume.nothing": "1"}},
    {"name": "x", "driver": "dir", "config": {"volume.snapshots.schedule": "now and then"}},
])
def test_bad_pools_are_refused(rest, body):
    before = rest.read("storage-pools")
    reply = rest.post("storage-pools", body)
    assert reply.status in (400, 409) and reply.error, reply
    assert rest.read("storage-pools") == before


def test_life_of_a_custom_volume(daemon, rest, pool):
    name = pool("overlay")
    base = f"storage-pools/{name}/volumes"
    vol = fresh_name("vol")
    reply = rest.post(f"{base}/custom", {"name": vol, "config": {"user.a": "b"}, "description": "d"})
    assert reply.status == 200 and reply.metadata == {}, reply
    assert rest.post(base, {"name": vol, "type": "custom"}).status == 409
    got = rest.read(f"{base}/custom/{vol}")
    assert got["name"] == vol and got["content_type"] == "filesystem" and got["config"]["user.a"] == "b" and got["location"] == "none"
    assert rest.read(f"{base}/custom") == [f"/1.0/{base}/custom/{vol}"]
    assert rest.delete(f"storage-pools/{name}").status == 400
    rest.change("PATCH", f"{base}/custom/{vol}", {"config": {"user.c": "d"}})
    assert rest.read(f"{base}/custom/{vol}")["config"] == {"user.a": "b", "user.c": "d"}
    rest.change("PUT", f"{base}/custom/{vol}", {"config": {"user.e": "f"}})
    assert rest.read(f"{base}/custom/{vol}")["config"] == {"user.e": "f"}
    moved = rest.post(f"{base}/custom/{vol}", {"name": vol + "2"})
    assert moved.status == 201 and rest.get(f"{base}/custom/{vol}").status == 404
    assert rest.read(f"{base}/custom/{vol}2/state")["usage"]["used"] >= 0
    rest.change("DELETE", f"{base}/custom/{vol}2")
    assert rest.read(base) == []
    assert not list((daemon.dir / "pools" / name / "custom").iterdir())


@pytest.mark.host_only("turned away before anything reaches the kernel")
@pytest.mark.parametrize("path", ["volumes/nonsense", "volumes/custom/no-such", "volumes/container/no-such"])
def test_what_is_not_there(rest, path):
    assert rest.get(f"storage-pools/default/{path}").status in (400, 404)
    assert rest.get(f"storage-pools/no-such/{path}").status in (400, 404)


@pytest.mark.host_only("what the client asks for and prints; the requests themselves are made above")
@pytest.mark.skipif(not shutil.which("lxc"), reason="the package lxd-client is not installed")
def test_lxc_storage(lxc, rest):
    name = fresh_name("pool")
    lxc("storage", "create", name, "dir", check=True)
    assert name in lxc("storage", "list", check=True).out
    assert "driver: dir" in lxc("storage", "show", name, check=True).out
    assert "total space" in lxc("storage", "info", name, check=True).out
    lxc("storage", "set", name, "user.x", "y", check=True)
    assert lxc("storage", "get", name, "user.x", check=True).out.strip() == "y"
    lxc("storage", "volume", "create", name, "v1", check=True)
    assert "v1" in lxc("storage", "volume", "list", name, check=True).out
    lxc("storage", "volume", "rename", name, "v1", "v2", check=True)
    lxc("storage", "volume", "delete", name, "v2", check=True)
    lxc("storage", "delete", name, check=True)
    assert rest.get(f"storage-pools/{name}").status == 404
