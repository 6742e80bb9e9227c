"""Copies, refreshed copies, moves between pools, rebuild, metadata and templates; kills in the middle lose nothing."""
import pytest

from conftest import create
from harness import images
from harness.daemon import SLOW
from harness.instance import Instance, fresh_name
from test_snapshots import MOMENTS, killed_during, leftovers, names, pools, root_in, snap  # noqa: F401


@pytest.fixture
def copy(daemon):
    """copy(source, **source_keys, body={...}): an instance copied by REST, removed after the test."""
    made = []

    def make(source, name=None, body=None, **keys):
        inst = Instance(daemon, name or fresh_name("c"))
        made.append(inst)
        daemon.rest.change("POST", "instances", json={"name": inst.name, "source": {"type": "copy", "source": source, **keys}, **(body or {})})
        return inst

    yield make
    for inst in reversed(made):
        inst.remove()


@pytest.fixture(params=["overlay", "dir"])
def box(request, instance, pools):  # noqa: F811
    return instance(devices=root_in(pools[request.param]))


# ---- copies
def test_copy_of_a_running_instance(box, copy, rest):
    box.sh("echo one > /root/a; chown 7:8 /root/a")
    snap(box, "s", expires_at="2099-01-01T00:00:00Z")
    box.sh("echo two > /root/a")
    rest.change("PATCH", box.path, json={"config": {"user.k": "v"}, "description": "text"})
    new = copy(box.name, live=True)
    assert box.status == "Running" and new.status == "Stopped"
    a, b = box.get(), new.get()
    assert b["config"]["user.k"] == "v" and b["description"] == "text" and b["profiles"] == a["profiles"]
    assert b["config"]["volatile.base_image"] == a["config"]["volatile.base_image"]
    assert b["config"]["volatile.apply_template"] == "copy"
    for key in ("volatile.uuid", "volatile.idmap.base", "volatile.eth0.hwaddr", "volatile.cloud-init.instance-id"):
        assert a["config"][key] != b["config"][key], key
    assert names(new) == ["s"]
    assert rest.read(f"{new.path}/snapshots/s")["expires_at"].startswith("2099")
    assert rest.read(f"{new.path}/snapshots/s")["created_at"] == rest.read(f"{box.path}/snapshots/s")["created_at"]
    new.start()
    assert new.sh("cat /root/a; stat -c %u:%g /root/a; cat /etc/hostname") == f"two\n7:8\n{new.name}\n"
    new.sh("echo three > /root/a")
    assert box.sh("cat /root/a") == "two\n"
    rest.change("PUT", new.path, json={"restore": "s"})
    assert new.sh("cat /root/a") == "one\n"


def test_a_running_instance_stands_still_for_its_copy(box, copy):
    """Files that are written one after another: a copy that took its time among them would have older ones behind newer ones."""
    box.sh("mkdir /root/d; (n=0; while :; do n=$((n+1)); for i in $(seq 100 399); do echo $n > /root/d/$i; done; done) >/dev/null 2>&1 </dev/null &")
    for _ in range(3):
        box.sh("until test -s /root/d/399; do :; done")
        new = copy(box.name, instance_only=True)
        new.start()
        seen = [int(n or 0) for n in new.sh("cd /root/d; for f in *; do read n < $f; echo ${n:-0}; done").split()]
        new.remove()
        assert len(seen) == 300 and sorted(seen, reverse=True) == [n for n in seen if n] + [0] * seen.count(0) and max(seen) - min(n for n in seen if n) <= 1, seen


def test_copy_of_a_snapshot_and_overrides(box, copy):
    box.sh("echo one > /root/a")
    snap(box, "s")
    box.sh("echo two > /root/a")
    new = copy(f"{box.name}/s", body={"config": {"user.only": "1"}, "ephemeral": False})
    assert names(new) == []
    assert {k: v for k, v in new.get()["config"].items() if not k.startswith("volatile.")} == {"user.only": "1"}
    new.start()
    assert new.sh("cat /root/a") == "one\n"
    assert names(copy(box.name, instance_only=True)) == [] and names(copy(box.name, container_only=True)) == []
    assert names(copy(box.name, allow_inconsistent=True)) == ["s"]


@pytest.mark.host_only("turned away before anything reaches the kernel")
def test_bad_copies(box, rest):
    for source, status in (("nope", 404), (f"{box.name}/nope", 404), ("", 400)):
        assert rest.post("instances", {"name": fresh_name(), "source": {"type": "copy", "source": source}}).status == status
    assert rest.post("instances", {"name": box.name, "source": {"type": "copy", "source": box.name}}).status == 409
    assert rest.post("instances", {"name": box.name, "source": {"type": "copy", "source": box.name, "refresh": True}}).status == 400


@pytest.mark.parametrize("source,target", [("overlay", "dir"), ("dir", "overlay")])
def test_copy_into_another_pool(instance, copy, pools, source, target):  # noqa: F811
    box = instance(devices=root_in(pools[source]))
    box.sh("echo one > /root/a; rm /bin/vi")
    snap(box, "s")
    new = copy(box.name, body={"devices": root_in(pools[target])})
    new.start()
    assert new.sh("cat /root/a; test -e /bin/vi || echo no; ls -d /bin") == "one\nno\n/bin\n"
    assert names(new) == ["s"]


@pytest.mark.host_only("which project a name is looked up in")
def test_copy_from_another_project(instance, daemon, rest, copy):
    box = instance()
    box.sh("echo one > /root/a")
    project = fresh_name("p")
    assert rest.post("projects", {"name": project, "config": {"features.profiles": "false", "features.images": "false"}}).status == 201
    try:
        q = {"project": project}
        rest.change("POST", "instances", query=q, json={"name": "c1", "source": {"type": "copy", "source": box.name, "project": "default"}})
        assert rest.read("instances/c1", query=q)["project"] == project
        rest.change("DELETE", "instances/c1", query=q)
    finally:
        assert rest.delete(f"projects/{project}").status == 200


def test_refresh(box, copy, rest):
    box.sh("echo one > /root/a")
    snap(box, "s1")
    snap(box, "s2")
    new = copy(box.name)
    mac = new.get()["config"]["volatile.eth0.hwaddr"]
    rest.change("DELETE", f"{box.path}/snapshots/s1")
    box.sh("echo two > /root/a")
    snap(box, "s3")
    # another one under an old name
    rest.change("DELETE", f"{box.path}/snapshots/s2")
    snap(box, "s2")
    rest.change("POST", "instances", json={"name": new.name, "source": {"type": "copy", "source": box.name, "refresh": True}})
    assert names(new) == ["s3", "s2"]
    assert new.get()["config"]["volatile.eth0.hwaddr"] == mac
    new.start()
    assert new.sh("cat /root/a") == "two\n"
    new.stop()
    rest.change("PUT", new.path, json={"restore": "s2"})
    new.start()
    assert new.sh("cat /root/a") == "two\n"
    assert rest.post("instances", {"name": new.name, "source": {"type": "copy", "source": box.name, "refresh": True}}).status == 400


# ---- moves
def test_move_between_pools(box, pools, rest, daemon):  # noqa: F811
    box.sh("echo one > /root/a; rm /bin/vi")
    snap(box, "s")
    box.sh("echo two > /root/a")
    here = box.get()["expanded_devices"]["root"]["pool"]
    there = [p for p in pools.values() if p != here][0]
    assert rest.post(box.path, {"name": box.name, "migration": True, "pool": there}).status == 400  # running
    box.stop()
    before = box.get()["config"]
    assert rest.post(box.path, {"name": box.name, "migration": True, "pool": "nope"}).status == 404
    with pytest.raises(Exception, match="already"):
        rest.change("POST", box.path, json={"name": box.name, "migration": True, "pool": here})
    rest.change("POST", box.path, json={"name": box.name, "migration": True, "pool": there})
    now = box.get()
    assert now["expanded_devices"]["root"]["pool"] == there
    assert not [k for k in now["config"] if k.startswith("volatile.lxm.")]
    assert now["config"]["volatile.uuid"] == before["volatile.uuid"]
    assert not list((daemon.dir / "pools" / here / "instances").glob(box.name))
    assert not list((daemon.dir / "pools" / here / "snapshots").glob(box.name))
    box.start()
    assert box.sh("cat /root/a; test -e /bin/vi || echo no") == "two\nno\n"
    rest.change("PUT", box.path, json={"restore": "s"})
    assert box.sh("cat /root/a; test -e /bin/vi || echo no") == "one\nno\n"
    assert box.get()["expanded_devices"]["root"]["pool"] == there


# ---- rebuild
def test_rebuild_keeps_everything_but_the_root(box, image, rest):
    box.sh("echo one > /root/a")
    rest.change("PATCH", box.path, json={"config": {"user.k": "v", "image.note": "old"}})
    snap(box, "s")
    assert rest.post(f"{box.path}/rebuild", {"source": {"type": "image", "alias": image}}).status == 400  # running
    box.stop()
    before = box.get()["config"]
    assert rest.post(f"{box.path}/rebuild", {"source": {"type": "image", "alias": "nope"}}).status == 404
    assert rest.post(f"{box.path}/rebuild", {"source": {"type": "copy", "source": box.name}}).status == 400
    rest.change("POST", f"{box.path}/rebuild", json={"source": {"type": "image", "alias": image}})
    now = box.get()["config"]
    assert now["user.k"] == "v" and "image.note" not in now and now["image.os"] == "busybox"
    for key in ("volatile.eth0.hwaddr", "volatile.uuid", "volatile.idmap.base"):
        assert before[key] == now[key]
    assert before["volatile.cloud-init.instance-id"] != now["volatile.cloud-init.instance-id"]
    box.start()
    assert box.sh("test -e /root/a || echo no; cat /etc/hostname") == f"no\n{box.name}\n"
    assert names(box) == ["s"]
    rest.change("PUT", box.path, json={"restore": "s"})
    assert box.sh("cat /root/a") == "one\n"


def test_rebuild_empty(instance, rest):
    box = instance(start=False)
    rest.change("POST", f"{box.path}/rebuild", json={"source": {"type": "none"}})
    assert "volatile.base_image" not in box.get()["config"]
    assert rest.get(f"{box.path}/metadata").status == 404


# ---- metadata
def test_metadata_and_templates(box, rest):
    url = f"{box.path}/metadata"
    got = rest.read(url)
    assert got["properties"]["os"] == "busybox" and got["templates"]["/etc/hostname"]["template"] == "hostname.tpl"
    assert rest.read(f"{url}/templates") == ["hostname.tpl"]
    assert rest.get(f"{url}/templates", query={"path": "hostname.tpl"}).body == b"{{ container.name }}\n"
    reply = rest.request("POST", f"{url}/templates", query={"path": "motd.tpl"}, data=b"hello {{ instance.name }}\n",
                         headers={"Content-Type": "application/octet-stream"})
    assert reply.status == 200, reply
    got["templates"]["/etc/motd"] = {"when": ["start"], "template": "motd.tpl"}
    assert rest.put(url, got).status == 200
    assert rest.patch(url, {"properties": {"extra": "1"}}).status == 200
    now = rest.read(url)
    assert now["properties"]["extra"] == "1" and now["properties"]["os"] == "busybox"
    box.restart()
    assert box.sh("cat /etc/motd") == f"hello {box.name}\n"
    assert rest.delete(f"{url}/templates", query={"path": "motd.tpl"}).status == 200
    assert rest.get(f"{url}/templates", query={"path": "motd.tpl"}).status == 404
    for bad in ("../metadata.yaml", "a/b", ".", ".."):
        assert rest.get(f"{url}/templates", query={"path": bad}).status == 400, bad
        assert rest.delete(f"{url}/templates", query={"path": bad}).status == 400, bad
    assert rest.delete(f"{url}/templates").status == 400
    assert rest.put(url, {"architecture": "abacus"}).status == 400
    assert rest.put(url, {"architecture": "x86_64", "templates": {"../x": {"when": ["create"], "template": "a"}}}).status == 400
    assert rest.put(url, rest.read(url), headers={"If-Match": "other"}).status == 412


def test_metadata_of_one_is_not_that_of_all(instance, rest):
    one, two = instance(start=False), instance(start=False)
    assert rest.patch(f"{one.path}/metadata", {"properties": {"mine": "1"}}).status == 200
    assert "mine" not in rest.read(f"{two.path}/metadata")["properties"]


# ---- real clients
@pytest.mark.host_only("what the client asks for and prints; the requests themselves are made above")
def test_lxc(box, lxc, daemon, pools, rest):  # noqa: F811
    box.sh("echo one > /root/a")
    snap(box, "s")
    new = Instance(daemon, fresh_name("l"))
    try:
        run = lxc("copy", box.name, new.name)
        assert run.code == 0, run
        assert names(new) == ["s"]
        box.sh("echo two > /root/a")
        run = lxc("copy", box.name, new.name, "--refresh")
        assert run.code == 0, run
        new.start()
        assert new.sh("cat /root/a") == "two\n"
        new.stop()
        renamed = fresh_name("m")
        run = lxc("move", new.name, renamed)
        assert run.code == 0, run
        new = Instance(daemon, renamed)
        assert names(new) == ["s"]
        there = [p for p in pools.values() if p != box.get()["expanded_devices"]["root"]["pool"]][0]
        run = lxc("move", new.name, "-s", there)
        assert run.code == 0, run
        assert new.get()["expanded_devices"]["root"]["pool"] == there and names(new) == ["s"]
        run = lxc("delete", new.name)
        assert run.code == 0, run
        new = Instance(daemon, fresh_name("l"))
        assert lxc("copy", f"{box.name}/s", new.name).code == 0
        new.start()
        assert new.sh("cat /root/a") == "one\n"
    finally:
        new.remove()


@pytest.mark.host_only("what the client asks for and prints; the requests themselves are made above")
def test_lxc_metadata_and_publish(box, lxc, rest):
    assert "busybox" in lxc("config", "metadata", "show", box.name).out
    assert "hostname.tpl" in lxc("config", "template", "list", box.name).out
    assert lxc("config", "template", "show", box.name, "hostname.tpl").out == "{{ container.name }}\n"
    assert lxc("config", "template", "create", box.name, "x.tpl").code == 0
    assert lxc("config", "template", "edit", box.name, "x.tpl", stdin="text\n").code == 0
    assert lxc("config", "template", "show", box.name, "x.tpl").out == "text\n"
    assert lxc("config", "template", "delete", box.name, "x.tpl").code == 0
    box.sh("echo one > /root/a")
    snap(box, "s")
    alias = fresh_name("i")
    run = lxc("publish", f"{box.name}/s", "--alias", alias)
    assert run.code == 0, run
    try:
        assert rest.get(f"images/aliases/{alias}").status == 200
    finally:
        lxc("image", "delete", alias)


@pytest.mark.host_only("what the client asks for and prints; the requests themselves are made above")
def test_lxmc(box, lxmc, daemon, image, rest):
    snap(box, "s")
    new, project = Instance(daemon, fresh_name("l")), fresh_name("p")
    assert rest.post("projects", {"name": project, "config": {"features.profiles": "false", "features.images": "false"}}).status == 201
    try:
        lxmc("copy", box.name, new.name, check=True)
        assert names(new) == ["s"]
        snap(box, "t")
        lxmc("copy", box.name, new.name, "--refresh", check=True)
        assert names(new) == ["s", "t"]
        assert lxmc("config", "metadata", "edit", new.name, stdin="architecture: x86_64\nproperties: {os: edited}\n").code == 0
        assert rest.read(f"{new.path}/metadata")["properties"] == {"os": "edited"}
        lxmc("rebuild", image, new.name, check=True)
        assert names(new) == ["s", "t"]
        assert "busybox" in lxmc("config", "metadata", "show", new.name, check=True).out
        assert "hostname.tpl" in lxmc("config", "template", "list", new.name, check=True).out
        lxmc("config", "template", "create", new.name, "x.tpl", stdin="text\n", check=True)
        assert lxmc("config", "template", "show", new.name, "x.tpl", check=True).out == "text\n"
        lxmc("config", "template", "delete", new.name, "x.tpl", check=True)
        assert "x.tpl" not in lxmc("config", "template", "list", new.name, check=True).out
        lxmc("rebuild", "--empty", new.name, check=True)
        lxmc("copy", f"{box.name}/s", "elsewhere", "--target-project", project, check=True)
        rest.change("DELETE", "instances/elsewhere", query={"project": project})
    finally:
        new.remove()
        assert rest.delete(f"projects/{project}").status == 200


# ---- lxmd dies in the middle
@pytest.mark.timeout(240)
def test_kill_in_the_middle(own_daemon, busybox_tar):
    rest = own_daemon.rest
    images.import_image(rest, busybox_tar, "img")
    assert rest.post("storage-pools", {"name": "second", "driver": "dir"}).status == 201
    first = [p["name"] for p in rest.read("storage-pools", query={"recursion": 1}) if p["name"] != "second"][0]
    box = create(own_daemon, "img", devices=root_in(first), config={"boot.autostart": "false"})
    box.sh("for i in $(seq 300); do echo $i > /root/f$i; done")
    snap(box, "s")
    box.stop()

    def whole(inst):
        assert names(inst) == ["s"]
        assert not [k for k in inst.get()["config"] if k.startswith("volatile.lxm.")]
        assert leftovers(own_daemon) == []
        inst.start()
        assert inst.sh("cat /root/f*|wc -l") == "300\n"
        inst.stop()

    outcomes = set()
    for moment in MOMENTS + [0.4, 0.8, 1.6, 3, 6, 12]:  # the late ones for slow builds
        if (moment not in MOMENTS or SLOW >= 10) and True in outcomes:
            break
        killed_during(own_daemon, moment, lambda: rest.change("POST", "instances", json={"name": "twin", "source": {"type": "copy", "source": box.name}}))
        twin = rest.get("instances/twin").status == 200
        outcomes.add(twin)
        whole(box)
        if twin:
            whole(Instance(own_daemon, "twin"))
            rest.change("DELETE", "instances/twin")
    assert outcomes == {True, False}

    outcomes = set()
    for moment in MOMENTS + [0.4, 0.8, 1.6, 3, 6, 12]:
        if True in outcomes:
            break
        pool = box.get()["expanded_devices"]["root"]["pool"]
        to = "second" if pool == first else first
        killed_during(own_daemon, moment, lambda: rest.change("POST", box.path, json={"name": box.name, "migration": True, "pool": to}))
        outcomes.add(box.get()["expanded_devices"]["root"]["pool"] == to)
        where = [p.parent.parent.name for p in own_daemon.dir.glob(f"pools/*/instances/{box.name}")]
        assert where == [box.get()["expanded_devices"]["root"]["pool"]]
        whole(box)
    assert outcomes == {True, False}

    for n, moment in enumerate([0.0005, 0.001, 0.002, 0.003, 0.004, 0.006] if SLOW < 10 else [0.001, 0.006]):
        old = box.name
        new = f"name{n}"
        killed_during(own_daemon, moment, lambda: rest.change("POST", box.path, json={"name": new}))
        if rest.get(f"instances/{new}").status == 200:
            box = Instance(own_daemon, new)
        assert [i["name"] for i in rest.read("instances", query={"recursion": 1})] == [box.name]
        assert box.name in (old, new)
        whole(box)
    box.remove()
