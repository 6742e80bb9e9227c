"""Profiles: create to delete, ETags, what is refused and why, and that a change reaches the instances that use them."""
import shutil

import pytest

from harness.instance import fresh_name


@pytest.fixture
def profile(rest):
    """profile(config=..., devices=...) makes one and returns its name; gone after the test."""
    made = []

    def make(**body):
        name = fresh_name("prof")
        rest.change("POST", "profiles", {"name": name, **body})
        made.append(name)
        return name

    yield make
    for name in made:
        rest.delete(f"profiles/{name}")


@pytest.mark.host_only("rows of the database")
def test_default_is_there_and_stays(rest):
    assert "/1.0/profiles/default" in rest.read("profiles")
    assert rest.delete("profiles/default").status == 403
    assert rest.post("profiles/default", {"name": "other"}).status == 403


@pytest.mark.host_only("rows of the database")
def test_create_answers_201_with_location_and_comes_back(rest, profile):
    name = fresh_name("prof")
    reply = rest.post("profiles", {"name": name, "description": "d", "config": {"limits.cpu": "1", "user.x": ""},
                                   "devices": {"n": {"type": "none"}}})
    try:
        assert reply.status == 201
        assert reply.headers["Location"] == f"/1.0/profiles/{name}"
        assert rest.read(f"profiles/{name}") == {
            "name": name, "description": "d", "config": {"limits.cpu": "1"}, "devices": {"n": {"type": "none"}},
            "used_by": [], "project": "default"}
    finally:
        rest.delete(f"profiles/{name}")


@pytest.mark.host_only("rows of the database")
def test_null_config_and_devices_are_empty(rest, profile):
    name = profile(config=None, devices=None)
    assert rest.read(f"profiles/{name}")["config"] == {}


@pytest.mark.host_only("rows of the database")
def test_put_replaces_patch_merges(rest, profile):
    name = profile(config={"user.a": "1", "user.b": "2"}, devices={"n": {"type": "none"}})
    rest.change("PATCH", f"profiles/{name}", {"config": {"user.b": "3"}, "description": "p"})
    got = rest.read(f"profiles/{name}")
    assert got["config"] == {"user.a": "1", "user.b": "3"}
    assert got["devices"] == {"n": {"type": "none"}} and got["description"] == "p"
    rest.change("PUT", f"profiles/{name}", {"config": {"user.c": "4"}})
    got = rest.read(f"profiles/{name}")
    assert got["config"] == {"user.c": "4"} and got["devices"] == {} and got["description"] == ""


@pytest.mark.host_only("rows of the database")
def test_etag_guards_a_concurrent_change(rest, profile):
    name = profile()
    tag = rest.get(f"profiles/{name}").headers["ETag"]
    assert tag == rest.get(f"profiles/{name}").headers["ETag"]
    rest.change("PATCH", f"profiles/{name}", {"config": {"user.a": "1"}})
    late = rest.put(f"profiles/{name}", {"config": {}}, headers={"If-Match": tag})
    assert late.status == 412
    assert rest.read(f"profiles/{name}")["config"] == {"user.a": "1"}
    tag = rest.get(f"profiles/{name}").headers["ETag"]
    assert rest.put(f"profiles/{name}", {"config": {}}, headers={"If-Match": tag.strip('"')}).status == 200


@pytest.mark.host_only("rows of the database")
def test_rename_moves_it(rest, profile):
    name, other = profile(config={"user.a": "1"}), fresh_name("prof")
    reply = rest.post(f"profiles/{name}", {"name": other})
    assert reply.status == 201 and reply.headers["Location"] == f"/1.0/profiles/{other}"
    assert rest.get(f"profiles/{name}").status == 404
    assert rest.read(f"profiles/{other}")["config"] == {"user.a": "1"}
    rest.change("DELETE", f"profiles/{other}")


@pytest.mark.host_only("turned away before anything reaches the kernel")
@pytest.mark.parametrize("body, words", [
    ({"name": "a/b"}, "bad profile name"),
    ({"name": ".."}, "bad profile name"),
    ({"name": "a\nb"}, "bad profile name"),
    ({"name": ""}, "name"),
    ({}, "name"),
    ({"name": 7}, "name"),
    ({"name": "x", "config": {"limits.memory": "lots"}}, "limits.memory"),
    ({"name": "x", "config": {"limits.cpus": "2"}}, "did you mean 'limits.cpu'"),
    ({"name": "x", "config": {"raw.lxc": "lxc.hook.start = /bin/sh"}}, "raw.lxc"),
    ({"name": "x", "config": {"environment.A": "b\nlxc.hook.start=/bin/sh"}}, "newline"),
    ({"name": "x", "config": {"volatile.uuid": "1"}}, "volatile.uuid"),
    ({"name": "x", "config": {"user.../../a": "1"}}, "configuration key"),
    ({"name": "x", "config": {"limits.cpu": 2}}, "limits.cpu"),
    ({"name": "x", "devices": {"d": {"type": "toaster"}}}, "toaster"),
    ({"name": "x", "devices": {"d": {"path": "/"}}}, "no 'type'"),
    ({"name": "x", "devices": {"root": {"type": "disk", "path": "/"}}}, "pool"),
    ({"name": "x", "devices": {"../d": {"type": "none"}}}, "bad device name"),
    ({"name": "x", "devices": []}, "devices"),
])
def test_bad_bodies_are_refused_by_name(rest, body, words):
    assert words in rest.refused("POST", "profiles", body)
    assert rest.get("profiles/x").status == 404


@pytest.mark.host_only("rows of the database")
def test_missing_ones_are_404_and_twins_409(rest, profile):
    name = profile()
    assert rest.get("profiles/nope").status == 404
    assert rest.put("profiles/nope", {}).status == 404
    assert rest.delete("profiles/nope").status == 404
    assert rest.post("profiles", {"name": name}).status == 409
    assert rest.post(f"profiles/{name}", {"name": "default"}).status == 409
    assert rest.get("profiles", query={"project": "nope"}).status == 404


@pytest.mark.host_only("rows of the database")
def test_events_tell_of_changes(rest, profile):
    events = rest.events("lifecycle")
    try:
        name = profile()
        rest.change("DELETE", f"profiles/{name}")
        for action in ("profile-created", "profile-deleted"):
            events.wait_for(lambda e: e["metadata"]["action"] == action
                            and e["metadata"]["source"] == f"/1.0/profiles/{name}")
    finally:
        events.close()


@pytest.mark.host_only("rows of the database")
def test_profile_in_use_is_named_by_it_and_stays(rest, profile, instance):
    name = profile(config={"user.a": "1"})
    c = instance(start=False, profiles=["default", name])
    assert rest.read(f"profiles/{name}")["used_by"] == [f"/1.0/instances/{c.name}"]
    reply = rest.delete(f"profiles/{name}")
    assert 400 <= reply.status < 500 and "in use" in reply.error


@pytest.mark.host_only("rows of the database")
def test_change_is_seen_by_instances_and_must_fit_them(rest, profile, instance):
    name = profile(config={"user.a": "1"})
    c = instance(start=False, profiles=["default", name])
    rest.change("PATCH", f"profiles/{name}", {"config": {"user.a": "2"}})
    assert rest.read(f"instances/{c.name}")["expanded_config"]["user.a"] == "2"
    second_root = {"devices": {"root2": {"type": "disk", "path": "/", "pool": "default"}}}
    error = rest.refused("PATCH", f"profiles/{name}", second_root)
    assert c.name in error
    assert rest.read(f"profiles/{name}")["devices"] == {}


@pytest.mark.host_only("what the client asks for and prints; the requests themselves are made above")
@pytest.mark.real_lxc
@pytest.mark.skipif(not shutil.which("lxc"), reason="the package lxd-client is not installed")
def test_lxc_manages_profiles(lxc, rest):
    name, other = fresh_name("prof"), fresh_name("prof")
    lxc("profile", "create", name, check=True)
    try:
        lxc("profile", "set", name, "limits.memory", "512MiB", check=True)
        assert "limits.memory" in lxc("profile", "set", name, "limits.memory", "lots").err
        lxc("profile", "device", "add", name, "nothing", "none", check=True)
        lxc("profile", "copy", name, other, check=True)
        assert rest.read(f"profiles/{other}")["config"] == {"limits.memory": "512MiB"}
        assert "limits.memory: 512MiB" in lxc("profile", "show", name, check=True).out
        lxc("profile", "edit", other, stdin="config: {}\ndescription: edited\ndevices: {}\n", check=True)
        assert rest.read(f"profiles/{other}")["description"] == "edited"
        lxc("profile", "unset", name, "limits.memory", check=True)
        lxc("profile", "device", "remove", name, "nothing", check=True)
        assert rest.read(f"profiles/{name}")["devices"] == {}
        assert name in lxc("profile", "list", "--format", "csv", check=True).out
    finally:
        lxc("profile", "delete", name)
        lxc("profile", "delete", other)
    assert rest.get(f"profiles/{name}").status == 404


def memory_ceiling(pid):
    """The lowest memory ceiling above a process, on a host with either version of cgroups."""
    with open(f"/proc/{pid}/cgroup") as f:
        lines = [line.strip().split(":", 2) for line in f]
    v1 = [path for _, controllers, path in lines if "memory" in controllers.split(",")]
    top, name = ("/sys/fs/cgroup/memory", "memory.limit_in_bytes") if v1 else ("/sys/fs/cgroup", "memory.max")
    path = v1[0] if v1 else next(path for number, _, path in lines if number == "0")
    found = []
    while path != "/":
        with open(f"{top}{path}/{name}") as f:
            found.append(f.read().strip())
        path = path.rsplit("/", 1)[0] or "/"
    return min(int(value) for value in found if value != "max")


def test_change_reaches_a_running_instance(rest, profile, instance):
    name = profile()
    c = instance(start=True, profiles=["default", name])
    rest.change("PATCH", f"profiles/{name}", {"config": {"limits.memory": "123MiB"}})
    assert rest.read(f"instances/{c.name}")["status"] == "Running"
    assert memory_ceiling(rest.read(f"instances/{c.name}/state")["pid"]) == 123 * 1024 * 1024
    stays = rest.refused("PATCH", f"profiles/{name}", {"config": {"security.privileged": "true"}}, statuses=(400, 409))
    assert c.name in stays


# ---- a change reaches all running instances, or none
@pytest.fixture
def two(instance, profile):
    """A profile and two running instances that use it, the one that is asked first in front."""
    name = profile(config={"limits.processes": "200"})
    pair = [instance(name=fresh_name(letter), profiles=["default", name]) for letter in "ab"]
    return name, pair


def processes(inst):
    with open(f"/proc/{inst.pid}/cgroup") as f:
        lines = [line.strip().split(":", 2) for line in f]
    v1 = [path for _, controllers, path in lines if "pids" in controllers.split(",")]
    top = "/sys/fs/cgroup/pids" if v1 else "/sys/fs/cgroup"
    path = v1[0] if v1 else next(path for number, _, path in lines if number == "0")
    found = []
    while path != "/":
        with open(f"{top}{path}/pids.max") as f:
            found.append(f.read().strip())
        path = path.rsplit("/", 1)[0] or "/"
    return min(int(value) for value in found if value != "max")


def test_a_change_reaches_all(rest, two):
    name, pair = two
    rest.change("PATCH", f"profiles/{name}", {"config": {"limits.processes": "300"}})
    assert [processes(inst) for inst in pair] == [300, 300]
    rest.change("PUT", f"profiles/{name}", {"config": {"limits.processes": "250"}})
    assert [processes(inst) for inst in pair] == [250, 250]


@pytest.mark.parametrize("refuser", [0, 1])
def test_when_one_cannot_follow_all_stay_as_they_were(rest, two, tmp_path, refuser):
    """A directory cannot be mounted on what is a file in one of them."""
    name, pair = two
    pair[refuser].sh("echo mine > /mnt/place")
    before, etag = rest.read(f"profiles/{name}"), rest.get(f"profiles/{name}").headers["ETag"]
    tmp_path.chmod(0o755)
    (tmp_path / "there").write_text("host")
    error = rest.refused("PATCH", f"profiles/{name}", {"config": {"limits.processes": "300"}, "devices": {
        "d": {"type": "disk", "source": str(tmp_path), "path": "/mnt/place"}}}, statuses=range(400, 600))
    assert pair[refuser].name in error and pair[1 - refuser].name not in error
    assert rest.read(f"profiles/{name}") == before and rest.get(f"profiles/{name}").headers["ETag"] == etag
    for inst in pair:
        assert processes(inst) == 200
        assert inst.get()["expanded_config"]["limits.processes"] == "200" and "d" not in inst.get()["expanded_devices"]
    assert pair[refuser].sh("cat /mnt/place").strip() == "mine"
    assert pair[1 - refuser].exec("test", "-e", "/mnt/place/there").code != 0
    # nothing stands in the way of the next one
    pair[refuser].sh("rm /mnt/place")
    rest.change("PATCH", f"profiles/{name}", {"devices": {"d": {"type": "disk", "source": str(tmp_path), "path": "/mnt/place"}}})
    assert [inst.sh("cat /mnt/place/there") for inst in pair] == ["host", "host"]


def test_what_needs_a_stopped_instance_changes_no_other(rest, two, instance):
    name, pair = two
    pair[0].stop()
    error = rest.refused("PATCH", f"profiles/{name}", {"config": {"security.nesting": "true"}}, statuses=(400, 409))
    assert pair[1].name in error and "security.nesting" in error
    assert "security.nesting" not in rest.read(f"profiles/{name}")["config"]
    assert "security.nesting" not in pair[0].get()["expanded_config"]
    pair[1].stop()
    rest.change("PATCH", f"profiles/{name}", {"config": {"security.nesting": "true"}})
    assert all("/dev/.lxm/proc" in inst.start().sh("cat /proc/mounts") for inst in pair)


def test_a_bad_key_changes_nothing(rest, two):
    name, pair = two
    before = rest.read(f"profiles/{name}")
    for body in ({"config": {"limits.processes": "300", "limits.memory": "lots"}},
                 {"config": {"limits.processes": "300"}, "devices": {"d": {"type": "toaster"}}},
                 {"config": {"limits.processes": "300"}, "devices": {"d": {"type": "disk", "source": "/no/such", "path": "/x"}}}):
        rest.refused("PATCH", f"profiles/{name}", body, statuses=range(400, 500))
    assert rest.read(f"profiles/{name}") == before
    assert [processes(inst) for inst in pair] == [200, 200]


def test_the_last_profile_wins_and_the_instance_over_all(rest, profile, instance):
    first = profile(config={"limits.processes": "100", "environment.A": "first", "environment.B": "first"})
    second = profile(config={"limits.processes": "150", "environment.A": "second"})
    inst = instance(profiles=["default", first, second])
    assert processes(inst) == 150
    assert inst.sh("echo $A $B").split() == ["second", "first"]
    rest.change("PATCH", inst.path, {"profiles": ["default", second, first]})
    assert processes(inst) == 100
    assert inst.sh("echo $A $B").split() == ["first", "first"]
    rest.change("PATCH", inst.path, {"config": {"limits.processes": "120"}})
    assert processes(inst) == 120
    assert rest.read(f"profiles/{first}")["used_by"] == [inst.path] == rest.read(f"profiles/{second}")["used_by"]
    rest.change("PATCH", inst.path, {"profiles": ["default"]})
    assert processes(inst) == 120 and rest.read(f"profiles/{first}")["used_by"] == []


def test_a_renamed_profile_still_counts(rest, profile, instance):
    name, other = profile(config={"limits.processes": "100"}), fresh_name("prof")
    inst = instance(profiles=["default", name])
    assert rest.post(f"profiles/{name}", {"name": other}).status == 201
    try:
        assert inst.get()["profiles"] == ["default", other]
        rest.change("PATCH", f"profiles/{other}", {"config": {"limits.processes": "110"}})
        assert processes(inst) == 110
    finally:
        rest.post(f"profiles/{other}", {"name": name})


@pytest.mark.host_only("what the client asks for and prints; the requests themselves are made above")
def test_lxmc_verbs_of_profiles_reach_a_running_instance(lxmc, rest, instance, tmp_path):
    name, other = fresh_name("prof"), fresh_name("prof")
    inst = instance()

    def run(*args, **kw):
        return lxmc("profile", *args, check=True, **kw).out

    tmp_path.chmod(0o755)
    (tmp_path / "f").write_text("seen")
    try:
        run("create", name)
        run("add", inst.name, name)
        run("set", name, "limits.processes=90", "user.a=1")
        assert processes(inst) == 90 and run("get", name, "limits.processes").strip() == "90"
        run("device", "add", name, "d", "disk", f"source={tmp_path}", "path=/mnt/d")
        assert inst.sh("cat /mnt/d/f") == "seen"
        run("device", "set", name, "d", "path=/mnt/e")
        assert inst.sh("cat /mnt/e/f") == "seen" and run("device", "get", name, "d", "path").strip() == "/mnt/e"
        assert "d" in run("device", "list", name) and "/mnt/e" in run("device", "show", name)
        run("device", "remove", name, "d")
        assert inst.exec("test", "-e", "/mnt/e/f").code != 0
        run("unset", name, "limits.processes")
        assert run("get", name, "limits.processes").strip() == ""
        run("copy", name, other)
        assert "user.a" in run("show", other)
        run("edit", other, stdin="config:\n  limits.processes: '70'\ndescription: edited\ndevices: {}\n")
        run("assign", inst.name, f"default,{other}")
        assert processes(inst) == 70 and inst.get()["profiles"] == ["default", other]
        run("remove", inst.name, other)
        assert inst.get()["profiles"] == ["default"]
        run("rename", other, other + "x")
        assert other + "x" in run("list", "-f", "csv")
        run("delete", other + "x")
    finally:
        inst.remove()
        for left in (name, other, other + "x"):
            rest.delete(f"profiles/{left}")
