"""Snapshots: contents and configuration come back, on each driver; kills in the middle leave the old state or the new."""
import os
import shutil
import sqlite3
import threading
import time
from datetime import datetime, timedelta, timezone

import pytest

from conftest import create
from harness import images
from harness.daemon import SLOW
from harness.instance import fresh_name, wait_until
from harness.footprint import Footprint

NEVER = "0001-01-01T00:00:00Z"


def root_in(pool):
    return {"root": {"type": "disk", "path": "/", "pool": pool}}


@pytest.fixture(scope="module")
def pools(session_daemon):
    """driver -> pool of the session's daemon."""
    rest = session_daemon.rest
    made = {}
    for driver in ("overlay", "dir"):
        found = [p["name"] for p in rest.read("storage-pools", query={"recursion": 1}) if p["driver"] == driver]
        if not found:
            name = fresh_name(driver)
            assert rest.post("storage-pools", {"name": name, "driver": driver}).status == 201
            found = [name]
            made[driver] = name
        yield_name = found[0]
        made.setdefault("all", {})[driver] = yield_name
    yield made.pop("all")
    for name in made.values():
        rest.delete(f"storage-pools/{name}")


@pytest.fixture(params=["overlay", "dir"])
def box(request, instance, pools):
    """A running instance on each driver."""
    return instance(devices=root_in(pools[request.param]))


def snap(inst, name="", **body):
    inst.rest.change("POST", f"{inst.path}/snapshots", json={"name": name, "stateful": False, **body})


def names(inst):
    return [s["name"] for s in inst.rest.read(f"{inst.path}/snapshots", query={"recursion": 1})]


def restore(inst, name, timeout=60):
    inst.rest.change("PUT", inst.path, json={"restore": name}, timeout=timeout)


# ---- one after the other
def test_contents_come_back(box):
    box.sh("echo one > /root/a; mkdir /root/d; echo x > /root/d/f; ln /root/a /root/hard; ln -s a /root/soft; chown 1000:1000 /root/d/f")
    snap(box, "before")
    box.sh("echo two > /root/a; rm -r /root/d; touch /root/new; rm /bin/vi; echo gone > /etc/passwd")
    assert box.status == "Running"
    restore(box, "before")
    assert box.status == "Running"
    assert box.sh("cat /root/a /root/hard /root/soft") == "one\none\none\n"
    assert box.sh("stat -c %u:%g /root/d/f; test -e /root/new || echo no; stat -c %h /root/a") == "1000:1000\nno\n2\n"
    assert "gone" not in box.sh("cat /etc/passwd 2>/dev/null || true")


def test_a_stopped_instance_stays_stopped(box):
    box.sh("echo one > /root/a")
    box.stop()
    snap(box, "s")
    box.start()
    box.sh("echo two > /root/a")
    box.stop()
    restore(box, f"{box.name}/s")
    assert box.status == "Stopped"
    box.start()
    assert box.sh("cat /root/a") == "one\n"


@pytest.mark.host_only("rows of the database")
def test_configuration_comes_back_but_not_addresses_and_ids(instance, rest):
    box = instance(start=False, config={"user.k": "old", "limits.processes": "200"})
    before = box.get()
    snap(box, "s")
    rest.change("PATCH", box.path, json={"config": {"user.k": "new", "limits.processes": "", "user.more": "1"},
                                         "devices": {"x": {"type": "none"}}, "description": "d"})
    restore(box, "s")
    now = box.get()
    assert now["config"]["user.k"] == "old" and now["config"]["limits.processes"] == "200"
    assert "user.more" not in now["config"] and "x" not in now["devices"]
    for key in ("volatile.uuid", "volatile.idmap.base", "volatile.eth0.hwaddr"):
        assert now["config"].get(key) == before["config"].get(key), key
    assert now["config"]["volatile.uuid.generation"] != before["config"]["volatile.uuid.generation"]
    assert not [k for k in now["config"] if k.startswith("volatile.lxm.")]


@pytest.mark.host_only("rows of the database")
def test_objects(box, rest):
    snap(box, "s1")
    snap(box, "s2", expires_at="2099-01-02T03:04:05Z")
    assert rest.read(f"{box.path}/snapshots") == [f"{box.path}/snapshots/s1", f"{box.path}/snapshots/s2"]
    assert rest.read(f"/1.0/containers/{box.name}/snapshots")[0] == f"/1.0/containers/{box.name}/snapshots/s1"
    one = rest.read(f"{box.path}/snapshots/s2")
    assert one["name"] == "s2" and one["expires_at"].startswith("2099-01-02T03:04:05")
    assert one["size"] > 0 and one["profiles"] == ["default"] and one["stateful"] is False
    assert one["expanded_devices"]["root"]["path"] == "/" and one["architecture"] == "x86_64"
    assert rest.read(f"{box.path}/snapshots/s1")["expires_at"] == NEVER
    full = [i for i in rest.read("instances", query={"recursion": 2}) if i["name"] == box.name][0]
    assert [s["name"] for s in full["snapshots"]] == ["s1", "s2"]
    assert [s["name"] for s in rest.read(box.path, query={"recursion": 1})["snapshots"]] == ["s1", "s2"]
    assert not [k for k in one["config"] if k.startswith("volatile.lxm.")]


@pytest.mark.host_only("rows of the database")
def test_names(box, rest):
    snap(box)
    snap(box)
    snap(box, "snap7")
    snap(box)
    assert names(box) == ["snap0", "snap1", "snap7", "snap8"]
    rest.change("PATCH", box.path, json={"config": {"snapshots.pattern": "{{ creation_date|date:'2006' }}-x"}})
    snap(box)
    snap(box)
    year = datetime.now().year
    assert names(box)[-2:] == [f"{year}-x", f"{year}-x-0"]
    assert rest.post(f"{box.path}/snapshots", {"name": "snap7"}).status == 409
    for bad in ("a/b", "..", "a b", "x" * 300):
        assert rest.post(f"{box.path}/snapshots", {"name": bad}).status == 400, bad
    assert rest.post(f"{box.path}/snapshots", {"name": "st", "stateful": True}).status == 501
    assert rest.put(box.path, {"restore": "snap0", "stateful": True}).status == 501
    assert rest.put(box.path, {"restore": "nope"}).status == 404


def test_rename_expiry_delete(box, rest):
    box.sh("echo one > /root/a")
    snap(box, "s1")
    snap(box, "other")
    box.sh("echo two > /root/a")
    url = f"{box.path}/snapshots/s1"
    rest.change("POST", url, json={"name": "s2"})
    assert rest.get(url).status == 404 and names(box) == ["s2", "other"]
    assert rest.post(f"{box.path}/snapshots/s2", {"name": "other"}).status == 409
    rest.change("PUT", f"{box.path}/snapshots/s2", json={"expires_at": "2098-01-01T00:00:00Z"})
    assert rest.read(f"{box.path}/snapshots/s2")["expires_at"].startswith("2098-01-01")
    rest.change("PUT", f"{box.path}/snapshots/s2", json={"expires_at": NEVER})
    assert rest.read(f"{box.path}/snapshots/s2")["expires_at"] == NEVER
    restore(box, "s2")
    assert box.sh("cat /root/a") == "one\n"
    rest.change("DELETE", f"{box.path}/snapshots/s2")
    assert names(box) == ["other"]
    assert rest.delete(f"{box.path}/snapshots/s2").status == 404


@pytest.mark.host_only("rows of the database")
def test_expiry_of_the_instance_counts_from_the_snapshot(instance, rest):
    box = instance(start=False, config={"snapshots.expiry": "1d 2H"})
    snap(box, "s1")
    snap(box, "s2", expires_at=NEVER)
    t = datetime.fromisoformat(rest.read(f"{box.path}/snapshots/s1")["expires_at"].replace("Z", "+00:00")[:19] + "+00:00")
    assert abs(t - datetime.now(timezone.utc) - timedelta(hours=26)) < timedelta(minutes=2)
    assert rest.read(f"{box.path}/snapshots/s2")["expires_at"] == NEVER


def test_snapshots_follow_a_rename_and_go_with_the_instance(box, daemon, rest):
    box.sh("echo one > /root/a")
    box.stop()
    before = Footprint(daemon)
    snap(box, "s")
    new = fresh_name("r")
    rest.change("POST", box.path, json={"name": new})
    box.name, box.path = new, f"/1.0/instances/{new}"
    assert names(box) == ["s"]
    box.start()
    box.sh("echo two > /root/a")
    restore(box, "s")
    assert box.sh("cat /root/a") == "one\n"
    box.remove()
    wait_until(lambda: not [g for g in Footprint(daemon).grown_since(before) if "snapshots" in g or "staged" in g], 10,
               lambda: f"left: {Footprint(daemon).grown_since(before)}")


@pytest.mark.host_only("rules that lxmd judges by itself")
def test_a_restored_instance_obeys_what_its_project_has_become(daemon, image, rest):
    project = fresh_name("p")
    assert rest.post("projects", {"name": project, "config": {"features.profiles": "false", "features.images": "false"}}).status == 201
    q = {"project": project}
    try:
        rest.change("POST", "instances", query=q, json={"name": "c1", "source": {"type": "image", "alias": image}, "config": {"security.nesting": "true"}})
        rest.change("POST", "instances/c1/snapshots", query=q, json={"name": "s"})
        rest.change("PATCH", "instances/c1", query=q, json={"config": {"security.nesting": ""}})
        assert rest.patch(f"projects/{project}", {"config": {"restricted": "true"}}).status == 200
        with pytest.raises(Exception, match="security.nesting"):
            rest.change("PUT", "instances/c1", query=q, json={"restore": "s"})
        assert "security.nesting" not in rest.read("instances/c1", query=q)["config"]
        for rule, goes in (("", False), ("allow", True), ("", False)):
            rest.change("PATCH", f"projects/{project}", {"config": {"restricted.snapshots": rule}})
            if goes:
                rest.change("POST", "instances/c1/snapshots", query=q, json={"name": "t"})
            else:
                assert "restricted.snapshots" in rest.refused("POST", "instances/c1/snapshots", {"name": "u"}, query=q, statuses=(400, 403))
        rest.change("DELETE", "instances/c1", query=q)
    finally:
        rest.delete(f"projects/{project}")


@pytest.mark.host_only("what the client asks for and prints; the requests themselves are made above")
def test_lxc(box, lxc):
    box.sh("echo one > /root/a")
    assert lxc("snapshot", box.name).code == 0
    assert lxc("snapshot", box.name, "tag", "--no-expiry").code == 0
    box.sh("echo two > /root/a")
    assert lxc("restore", box.name, "snap0").code == 0
    assert box.sh("cat /root/a") == "one\n"
    info = lxc("info", box.name).out
    assert "snap0" in info and "tag" in info
    assert lxc("list", box.name, "-c", "nS", "-f", "csv").out.strip() == f"{box.name},2"
    assert lxc("rename", f"{box.name}/tag", f"{box.name}/label").code == 0
    assert "expires_at" in lxc("config", "show", f"{box.name}/label").out
    assert lxc("delete", f"{box.name}/label").code == 0
    assert names(box) == ["snap0"]


@pytest.mark.host_only("what the client asks for and prints; the requests themselves are made above")
def test_lxmc(box, lxmc):
    box.sh("echo one > /root/a")
    lxmc("snapshot", box.name, "s1", check=True)
    box.sh("echo two > /root/a")
    lxmc("restore", box.name, "s1", check=True)
    assert box.sh("cat /root/a") == "one\n"
    assert lxmc("list", box.name, "-c", "nS", "-f", "csv").out.strip() == f"{box.name},1"
    lxmc("rename", f"{box.name}/s1", f"{box.name}/s2", check=True)
    lxmc("delete", f"{box.name}/s2", check=True)
    assert names(box) == []


# ---- lxmd dies in the middle
def killed_during(daemon, seconds, work):
    """Runs work() against the daemon and kills it after some time; brings it back."""
    def quietly():
        try:
            work()
        except Exception:
            pass

    t = threading.Thread(target=quietly)
    t.start()
    time.sleep(seconds)
    daemon.kill()
    t.join()
    daemon.start()


def leftovers(daemon):
    """What lies in places where nothing may lie once lxmd has started."""
    return [str(p.relative_to(daemon.dir)) for pool in (daemon.dir / "pools").iterdir()
            for where in ("tmp", "staged", "lost") for p in (pool / where).iterdir()]


# fewer where all takes ten times as long, and each round with it
MOMENTS = [0.002, 0.005, 0.01, 0.02, 0.03, 0.045, 0.06, 0.09, 0.13, 0.2] if SLOW < 10 else [0.01, 0.1, 0.4, 1]
DRIVERS = pytest.mark.parametrize("driver", [
    "overlay", pytest.param("dir", marks=pytest.mark.host_only("the same rows and marks, and copies of files where the other has layers"))])


@DRIVERS
@pytest.mark.timeout(240)
def test_kill_while_snapshots_come_and_go(own_daemon, busybox_tar, driver):
    rest = own_daemon.rest
    images.import_image(rest, busybox_tar, "img")
    if driver == "dir":
        assert rest.post("storage-pools", {"name": "second", "driver": "dir"}).status == 201
    pool = "second" if driver == "dir" else rest.read("storage-pools", query={"recursion": 1})[0]["name"]
    box = create(own_daemon, "img", devices=root_in(pool))
    box.sh("for i in $(seq 300); do echo $i > /root/f$i; done; dd if=/dev/urandom of=/root/big bs=1M count=8 2>/dev/null; cd /root; cat * | md5sum > /sum")
    want = box.sh("cat /sum")
    snap(box, "first")
    have = {"first"}
    for n, moment in enumerate(MOMENTS):
        killed_during(own_daemon, moment, lambda: snap(box, f"s{n}"))
        assert box.status == "Running"
        assert box.sh("cat /root/* | md5sum") == want
        seen = set(names(box))
        assert seen - {f"s{n}"} == have and leftovers(own_daemon) == []
        have = seen
    for n, moment in enumerate(MOMENTS):
        name = sorted(have - {"first"})[0] if have - {"first"} else None
        if not name:
            break
        killed_during(own_daemon, moment / 10, lambda: rest.change("DELETE", f"{box.path}/snapshots/{name}"))
        seen = set(names(box))
        assert seen | {name} == have and leftovers(own_daemon) == []
        have = seen
    restore(box, "first")
    assert box.sh("cd /root; cat * | md5sum; cat /sum") == want + want
    box.remove()


@DRIVERS
@pytest.mark.timeout(240)
def test_kill_while_restoring_leaves_old_or_new(own_daemon, busybox_tar, driver):
    rest = own_daemon.rest
    images.import_image(rest, busybox_tar, "img")
    if driver == "dir":
        assert rest.post("storage-pools", {"name": "second", "driver": "dir"}).status == 201
    pool = "second" if driver == "dir" else rest.read("storage-pools", query={"recursion": 1})[0]["name"]
    box = create(own_daemon, "img", start=False, devices=root_in(pool), config={"boot.autostart": "false"})
    box.start()
    box.sh("for i in $(seq 300); do echo $i > /root/f$i; done; echo old > /state")
    rest.change("PATCH", box.path, json={"config": {"user.state": "old"}})
    snap(box, "s")
    ends = set()
    for moment in MOMENTS + [0.3, 0.5, 1, 2, 4, 8]:  # the late ones for slow builds
        if moment > 0.5 and len(ends) == 2:
            break
        if box.status != "Running":
            box.start()
        box.sh("echo new > /state")
        rest.change("PATCH", box.path, json={"config": {"user.state": "new"}})
        killed_during(own_daemon, moment, lambda: restore(box, "s"))
        if box.status != "Running":
            box.start()
        state = box.sh("cat /state").strip()
        assert box.get()["config"]["user.state"] == state, "row and files tell different things"
        assert box.sh("cat /root/f300") == "300\n" and leftovers(own_daemon) == []
        assert names(box) == ["s"]
        ends.add(state)
    assert ends == {"old", "new"}, "the kills did not come at different moments"
    box.remove()


# ---- each moment that a kill rarely hits, made by hand
def set_key(daemon, table, owner, key, value):
    db = sqlite3.connect(daemon.dir / "database" / "cluster.db", timeout=10)
    with db:
        column = [r[1] for r in db.execute(f"PRAGMA table_info({table})")][0]
        db.execute(f"INSERT OR REPLACE INTO {table} ({column}, key, value) VALUES (?, ?, ?)", (owner, key, value))
    db.close()


def sql(daemon, text, *args):
    db = sqlite3.connect(daemon.dir / "database" / "cluster.db", timeout=10)
    with db:
        rows = db.execute(text, args).fetchall()
    db.close()
    return rows


@pytest.mark.timeout(240)
def test_marks_are_followed_at_the_next_start(own_daemon, busybox_tar):
    daemon, rest = own_daemon, own_daemon.rest
    images.import_image(rest, busybox_tar, "img")
    box = create(daemon, "img", config={"boot.autostart": "false"})
    pool = daemon.dir / "pools" / box.get()["expanded_devices"]["root"]["pool"]
    box.sh("echo old > /state")
    snap(box, "s1")
    snap(box, "s2")
    (ident,), = sql(daemon, "SELECT id FROM instances WHERE name = ?", box.name)
    box.stop()

    def marks():
        return sql(daemon, "SELECT key FROM instances_config WHERE key LIKE 'volatile.lxm.%' UNION "
                           "SELECT key FROM snapshots_config WHERE key LIKE 'volatile.lxm.%'")

    # a restore whose row was written, before and between the two renames of its volume
    for first_done in (False, True):
        daemon.kill()
        shutil.copytree(pool / "snapshots" / box.name / "s1", pool / "staged" / box.name, symlinks=True)
        (pool / "staged" / box.name / "upper" / "state").write_text(f"new {first_done}\n")
        if first_done:
            os.rename(pool / "instances" / box.name, pool / "trash" / "x")
        set_key(daemon, "instances_config", ident, "volatile.lxm.replacing", "true")
        daemon.start()
        assert marks() == [] and leftovers(daemon) == []
        box.start()
        assert box.sh("cat /state") == f"new {first_done}\n"
        box.stop()

    # one that was built and not committed
    daemon.kill()
    shutil.copytree(pool / "snapshots" / box.name / "s1", pool / "staged" / box.name, symlinks=True)
    daemon.start()
    assert leftovers(daemon) == []
    box.start()
    assert box.sh("cat /state") == "new True\n"
    box.stop()

    # a rename: the row, then the volume, then its snapshots
    for moved in (0, 1):
        old, new = box.name, f"again{moved}"
        daemon.kill()
        sql(daemon, "UPDATE instances SET name = ? WHERE id = ?", new, ident)
        set_key(daemon, "instances_config", ident, "volatile.lxm.renamed_from", old)
        if moved:
            os.rename(pool / "instances" / old, pool / "instances" / new)
        daemon.start()
        box = type(box)(daemon, new)
        assert marks() == [] and leftovers(daemon) == [] and names(box) == ["s1", "s2"]
        box.start()
        assert box.sh("cat /state; hostname") == f"new True\n{new}\n"
        box.stop()

    # snapshots: a rename of which the row was written, one that is not whole
    daemon.kill()
    (one,), = sql(daemon, "SELECT id FROM snapshots WHERE name = 's1'")
    (two,), = sql(daemon, "SELECT id FROM snapshots WHERE name = 's2'")
    sql(daemon, "UPDATE snapshots SET name = 'first' WHERE id = ?", one)
    set_key(daemon, "snapshots_config", one, "volatile.lxm.renamed_from", "s1")
    set_key(daemon, "snapshots_config", two, "volatile.lxm.unfinished", "true")
    daemon.start()
    assert names(box) == ["first"] and marks() == [] and leftovers(daemon) == []
    assert [p.name for p in (pool / "snapshots" / box.name).iterdir()] == ["first"]
    box.start()
    restore(box, "first")
    assert box.sh("cat /state") == "old\n"

    # frozen for a copy
    box.action("freeze")
    daemon.kill()
    set_key(daemon, "instances_config", ident, "volatile.lxm.frozen", "true")
    daemon.start()
    assert box.status == "Running" and box.sh("echo on") == "on\n" and marks() == []

    # a deletion that had begun
    box.stop()
    daemon.kill()
    set_key(daemon, "instances_config", ident, "volatile.lxm.creating", "true")
    shutil.rmtree(pool / "instances" / box.name)
    daemon.start()
    assert rest.get(box.path).status == 404 and not list((pool / "snapshots").iterdir()) and leftovers(daemon) == []
