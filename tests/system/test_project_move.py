"""Moves of instances between projects of one server, with another name, pool or configuration on the way."""
import subprocess

import pytest

from conftest import create
from harness import images
from harness.instance import Instance, fresh_name
from test_copies import copy  # noqa: F401
from test_snapshots import MOMENTS, killed_during, leftovers, pools, root_in, snap  # noqa: F401


@pytest.fixture
def project(daemon):
    """project(**features): a new project, emptied and removed after the test."""
    made = []

    def make(rest=daemon.rest, **config):
        name = fresh_name("p")
        made.append((rest, name))
        rest.change("POST", "projects", json={"name": name, "config": {"features.images": "false", "features.profiles": "false", **config}})
        return name

    yield make
    for rest, name in made:
        if not daemon.alive():
            break
        for i in rest.read("instances", query={"project": name, "recursion": 1}):
            if i["status"] != "Stopped":
                rest.change("PUT", f"instances/{i['name']}/state", query={"project": name}, json={"action": "stop", "force": True})
            rest.change("DELETE", f"instances/{i['name']}", query={"project": name})
        rest.change("DELETE", f"projects/{name}")


def where(rest, name):
    """Projects that have an instance of that name."""
    return [i["project"] for i in rest.read("instances", query={"all-projects": "true", "recursion": 1}) if i["name"] == name]


def move(rest, name, to, **body):
    return rest.change("POST", f"instances/{name}", json={"migration": True, "name": name, "project": to, **body})


@pytest.mark.parametrize("driver", ["overlay", "dir"])
def test_move_to_a_project_and_back(rest, instance, pools, project, driver):  # noqa: F811
    box = instance(devices=root_in(pools[driver]))
    box.sh("echo one > /root/a")
    snap(box, "s1")
    assert "running" in rest.refused("POST", box.path, json={"migration": True, "project": project(), "name": box.name})
    box.stop()
    before = box.get()
    p = project()
    move(rest, box.name, p)
    assert where(rest, box.name) == [p]
    after = rest.read(f"instances/{box.name}", query={"project": p})
    for key in ("config", "devices", "profiles", "created_at", "description"):
        assert after[key] == before[key], key
    assert rest.read(f"instances/{box.name}/snapshots", query={"project": p, "recursion": 1})[0]["name"] == "s1"
    rest.change("PUT", f"instances/{box.name}", query={"project": p}, json={"restore": "s1"})
    rest.change("PUT", f"instances/{box.name}/state", query={"project": p}, json={"action": "start"})
    rest.change("PUT", f"instances/{box.name}/state", query={"project": p}, json={"action": "stop", "force": True})
    rest.change("POST", f"instances/{box.name}", query={"project": p}, json={"migration": True, "project": "default"})
    assert where(rest, box.name) == ["default"] and box.start().sh("cat /root/a") == "one\n"


def test_move_with_changes(rest, instance, pools, project):  # noqa: F811
    box = instance(devices=root_in(pools["overlay"]), start=False)
    p, new = project(), fresh_name()
    rest.change("POST", box.path, json={"migration": True, "name": new, "project": p, "pool": pools["dir"], "Config": {"user.k": "v"},
                                        "Devices": root_in(pools["dir"]), "Profiles": []})
    got = rest.read(f"instances/{new}", query={"project": p})
    assert got["config"]["user.k"] == "v" and got["profiles"] == [] and got["expanded_devices"] == root_in(pools["dir"])
    assert where(rest, box.name) == []
    # the same in place
    rest.change("POST", f"instances/{new}", query={"project": p}, json={"migration": True, "name": new, "Config": {"user.k": "w"}})
    assert rest.read(f"instances/{new}", query={"project": p})["config"]["user.k"] == "w"


@pytest.mark.host_only("turned away before anything reaches the kernel")
def test_refused_moves(rest, instance, project):
    box = instance(start=False)
    p = project()
    assert "nowhere" in rest.refused("POST", box.path, json={"migration": True, "project": "nowhere", "name": box.name}, statuses=(404,))
    assert where(rest, box.name) == ["default"]
    rest.change("POST", "instances", query={"project": p}, json={"name": box.name, "source": {"type": "none"}})
    assert rest.post(box.path, {"migration": True, "project": p, "name": box.name}).status == 409
    # a project with its own profiles does not have this one
    own = project(**{"features.profiles": "true"})
    assert "profile 'none'" in rest.refused("POST", box.path, json={"migration": True, "project": own, "Profiles": ["default", "none"]}, statuses=(404,))
    # what the other project does not allow
    closed = project(**{"restricted": "true", "restricted.snapshots": "block"})
    snap(box, "s1")
    assert "snapshots" in rest.refused("POST", box.path, json={"migration": True, "project": closed, "name": box.name}, statuses=(403,))
    assert where(rest, box.name) == sorted(["default", p])


@pytest.mark.host_only("what the client asks for and prints; the requests themselves are made above")
def test_lxc_moves_and_copies_to_projects(rest, lxc, instance, project):
    if subprocess.run(["which", "lxc"], capture_output=True).returncode:
        pytest.skip("lxc is not installed")
    box = instance(start=False)
    p, q = project(), project()
    done = lxc("copy", box.name, "twin", "--target-project", q)
    assert done.code == 0 and where(rest, "twin") == [q], done
    done = lxc("move", box.name, "--target-project", p)
    assert done.code == 0 and where(rest, box.name) == [p], done


@pytest.mark.timeout(240)
def test_kill_in_the_middle(own_daemon, busybox_tar):
    rest = own_daemon.rest
    images.import_image(rest, busybox_tar, "img")
    rest.change("POST", "projects", json={"name": "p", "config": {"features.images": "false", "features.profiles": "false"}})
    box = create(own_daemon, "img", name="c1")
    box.sh("echo one > /root/a")
    snap(box, "s1")
    box.stop()
    here, there = "default", "p"
    for moment in [m / 4 for m in MOMENTS[:8]]:
        killed_during(own_daemon, moment, lambda: rest.change("POST", "instances/c1", query={"project": here}, json={"migration": True, "project": there}))
        now = where(rest, "c1")
        assert now in (["default"], ["p"]) and leftovers(own_daemon) == []
        here, there = now[0], "p" if now == ["default"] else "default"
        query = {"project": here}
        rest.change("PUT", "instances/c1", query=query, json={"restore": "s1"})
        rest.change("PUT", "instances/c1/state", query=query, json={"action": "start"})
        rest.change("PUT", "instances/c1/state", query=query, json={"action": "stop", "force": True})
    rest.change("DELETE", "instances/c1", query={"project": here})
    rest.change("DELETE", "projects/p")
