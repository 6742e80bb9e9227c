"""Two tenants with restricted certificates on one server: each tries everything on the other, and finds, counts and tells apart
nothing. What reaches the host is refused to both."""
import json
import re

import pytest

from harness import backups
from harness.daemon import Daemon
from harness.host import HostState
from harness.rest import OperationFailed
from harness.tenants import World
from harness.tls import Certificate

pytestmark = pytest.mark.host_only("lxmd alone decides what a tenant sees; paths on the kernel's side: test_restricted_paths.py")

LISTS = ("instances", "images", "images/aliases", "profiles", "networks", "operations", "storage-pools", "projects", "templates",
         "storage-pools/{pool}/volumes", "storage-pools/{pool}/volumes/custom", "storage-pools/{pool}/volumes/container",
         "storage-pools/{pool}/volumes/image", "networks/{net}/leases", "networks/{net}/state", "networks/{net}", "storage-pools/{pool}",
         "profiles/default", "projects/blue", "projects/blue/state", "resources", "metrics", "/1.0")


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    before = HostState()
    daemon = Daemon("tenants")
    try:
        daemon.start().init()
        w = World(daemon, tmp_path_factory.mktemp("certificates"))
        w.net = next(n["name"] for n in w.rest.read("networks", query={"recursion": 1}) if n["managed"])
        # the other tenant's instance hangs on the shared network, so that there is something to be seen there
        w.red.change("PATCH", "instances/redinst", {"devices": {"eth0": {"type": "nic", "network": w.net, "name": "eth0"}}})
        w.red.change("PUT", "instances/redinst/state", {"action": "start"})
        w.mac = w.rest.read("instances/redinst", query={"project": "red"})["config"]["volatile.eth0.hwaddr"]
        yield w
        assert daemon.alive(), f"lxmd died\n{daemon.log_tail()}"
        w.red.change("PUT", "instances/redinst/state", {"action": "stop", "force": True})
        w.close()
    finally:
        problems = daemon.end(before)
        assert not problems, "\n".join(problems)


@pytest.fixture
def blue(world):
    return world.client("restricted")


def here(path, world):
    return path.format(pool=world.red.pool, net=world.net)


@pytest.mark.parametrize("path", LISTS)
@pytest.mark.parametrize("recursion", [0, 1, 2])
def test_nothing_of_the_other_is_named(world, blue, path, recursion):
    for query in ({"project": "blue"}, {"all-projects": "true"}):
        reply = blue.get(here(path, world), query={**query, "recursion": recursion})
        if reply.status == 403 and "all-projects" in query:
            continue  # not a list of all projects, and default is not ours
        assert reply.status == 200, reply
        text = reply.body.decode()
        for word in (*world.red.words, "redinst", "redprofile", "redvolume", world.mac):
            # "red" by itself is also a part of other words
            assert not re.search(rf"\b{word}\b", text), (word, text)


def strip(reply, *names):
    text = reply.body.decode()
    for name in names:
        text = text.replace(name, "NAME")
    return reply.status, text, reply.headers.get("ETag")


@pytest.mark.parametrize("project", ["red", "blue", "default", "none-such"])
@pytest.mark.parametrize("kind,name", [("instances", "redinst"), ("profiles", "redprofile"), ("images", None), ("images/aliases", "redalias"),
                                       ("storage-pools/default/volumes/custom", "redvolume"), ("instances/redinst/snapshots", "redsnap"),
                                       ("instances/redinst/logs", "lxc.log"), ("projects", "red")])
@pytest.mark.parametrize("method", ["GET", "PUT", "PATCH", "POST", "DELETE"])
def test_guessed_names_are_as_absent_names(world, blue, project, kind, name, method):
    name = name or world.red.image[:12]
    absent = "0" * 12 if kind == "images" else "zzzinst"
    body = {"name": "blue2"} if method == "POST" else {} if method in ("PUT", "PATCH") else None
    there = blue.request(method, f"{kind}/{name}", json=body, query={"project": project})
    gone = blue.request(method, f"{kind.replace('redinst', 'zzzinst')}/{absent}", json=body, query={"project": project})
    assert strip(there, name, "redinst") == strip(gone, absent, "zzzinst")
    assert there.status >= 400


def test_lists_of_another_project_are_refused_like_lists_of_none(world, blue):
    for path in LISTS:
        replies = [blue.get(here(path, world), query={"project": p}) for p in ("red", "none-such")]
        assert replies[0].status == replies[1].status, path
        if replies[0].status >= 400:
            assert replies[0].body == replies[1].body, path


def test_operations_of_the_other(world, blue):
    op = world.red.operation
    gone = "00000000-0000-4000-8000-000000000000"
    for method, tail in (("GET", ""), ("DELETE", ""), ("GET", "/wait?timeout=1"), ("GET", "/wait?timeout=1&secret=" + "0" * 64),
                         ("GET", "/websocket?secret=" + "0" * 64), ("GET", "/websocket")):
        there, absent = (blue.request(method, f"operations/{i}{tail}") for i in (op, gone))
        assert strip(there, op) == strip(absent, gone), tail
        assert there.status == 404
    assert world.rest.read(f"operations/{op}")["status"] == "Running"


def test_a_secret_opens_its_operation_for_anybody(world, blue):
    op = world.rest.read(f"operations/{world.red.operation}")
    for client in (blue, world.client("none")):
        got = client.get(f"operations/{op['id']}/wait", query={"timeout": 0, "secret": op["metadata"]["secret"]})
        assert got.status == 200, got


def test_events_of_the_other(world, blue):
    with blue.events(project="blue") as mine, blue.events(**{"all-projects": "true"}) as all_mine, \
            world.rest.events(**{"all-projects": "true"}) as root:
        world.red.change("POST", "profiles", {"name": "redevent"})
        world.red.change("DELETE", "profiles/redevent")
        world.red.change("POST", "instances/redinst/snapshots", {"name": "redevent"})
        world.red.change("DELETE", "instances/redinst/snapshots/redevent")
        extra = Certificate(world.served.daemon.dir, "noise").trust(world.rest)
        world.rest.change("DELETE", f"certificates/{extra.fingerprint}")
        world.blue.change("POST", "profiles", {"name": "blueevent"})
        world.blue.change("DELETE", "profiles/blueevent")
        for listener in (mine, all_mine, root):
            listener.wait_for(lambda e: e["metadata"].get("action") == "profile-deleted" and "blueevent" in e["metadata"]["source"])
    assert "redevent" in json.dumps(root.seen)
    for listener in (mine, all_mine):
        assert not re.search(r"\bred\b|redinst|redevent|certificate|logging", json.dumps(listener.seen))
    assert blue.get("events", query={"project": "red"}).body == blue.get("events", query={"project": "none-such"}).body


def attempt(client, method, path, body, project="blue"):
    """(status, text) of a request that may go on as an operation."""
    reply = client.request(method, path, json=body, query={"project": project})
    if reply.status == 202:
        try:
            client.wait(reply.json["operation"])
        except OperationFailed as e:
            return 400, e.op["err"]
        return 200, ""
    return reply.status, reply.error


def test_who_is_given_an_instance_does_not_hear_of_the_other_project(world, blue):
    """An administrator moves it: each side hears that something came or went, and not which the other is."""
    root = {"root": {"type": "disk", "path": "/", "pool": world.red.pool}}
    world.red.change("POST", "instances", {"name": "redgift", "source": {"type": "none"}, "profiles": [], "devices": root})
    red = world.served.at(world.red.certificate)
    with blue.events(project="blue") as there, red.events(project="red") as here:
        world.red.change("POST", "instances/redgift", {"name": "present", "project": "blue", "migration": True})
        there.wait_for(lambda e: e["metadata"].get("action") == "instance-created")
        here.wait_for(lambda e: e["metadata"].get("action") == "instance-deleted")
        world.blue.change("DELETE", "instances/present")
    assert "red" not in json.dumps(there.seen) and "blue" not in json.dumps(here.seen), (there.seen, here.seen)


@pytest.mark.parametrize("source", [
    {"type": "copy", "source": "NAME", "project": "red"}, {"type": "copy", "source": "NAME/redsnap", "project": "red"},
    {"type": "copy", "source": "NAME"}, {"type": "copy", "source": "NAME", "project": "red", "refresh": True}])
def test_copies_out_of_the_other(world, blue, source):
    text = {}
    for name in ("redinst", "zzzinst"):
        status, text[name] = attempt(blue, "POST", "instances", {"name": "thief", "source": {**source, "source": source["source"].replace("NAME", name)}})
        assert status >= 400
    assert text["redinst"].replace("redinst", "zzzinst") == text["zzzinst"]
    assert "thief" not in world.rest.get("instances", query={"all-projects": "true"}).body.decode()


def test_images_of_the_other_make_no_instance(world, blue):
    texts = []
    for fp in (world.red.image, world.red.image[:12], "f" * 64, "f" * 12):
        status, text = attempt(blue, "POST", "instances", {"name": "thief", "source": {"type": "image", "fingerprint": fp}})
        assert status >= 400
        texts.append(text.replace(fp, "FP").replace(fp[:12], "FP"))
    assert texts[0] == texts[2] and texts[1] == texts[3]


def test_moves_into_the_other(world, blue):
    texts = [attempt(blue, "POST", "instances/blueinst", {"name": "blueinst", "migration": True, "project": p, "pool": world.red.pool})
             for p in ("red", "none-such")]
    assert texts[0] == texts[1] and texts[0][0] >= 400


def test_publishing_the_others_instance(world, blue):
    results = [attempt(blue, "POST", "images", {"source": {"type": "instance", "name": n}}) for n in ("redinst", "zzzinst")]
    assert results[0][0] == results[1][0] >= 400
    assert results[0][1].replace("redinst", "zzzinst") == results[1][1]


def test_the_same_image_twice_says_nothing(world, blue):
    """Uploading what the other has is as uploading what nobody has."""
    op = blue.wait(blue.start_op("POST", "images", data=world.red.tar, query={"project": "blue"}))
    fp = op["metadata"]["fingerprint"]
    assert fp == world.red.image
    got = blue.read(f"images/{fp}", query={"project": "blue"})
    assert got["aliases"] == [] and not got["public"]
    blue.change("DELETE", f"images/{fp}", query={"project": "blue"})
    assert world.rest.read(f"images/{fp}", query={"project": "red"})["fingerprint"] == fp


def test_names_are_free_in_each_project(world, blue):
    """A name that the other uses is not taken."""
    for kind, body in (("profiles", {"name": "redprofile"}), ("storage-pools/default/volumes/custom", {"name": "redvolume"})):
        assert attempt(blue, "POST", kind, body)[0] in (200, 201)
        assert attempt(blue, "DELETE", f"{kind}/{body['name']}", None)[0] == 200


# ---- the host
DEVICES = [{"type": "disk", "source": "/etc", "path": "/mnt"}, {"type": "disk", "source": "/no/such/path", "path": "/mnt"},
           {"type": "unix-char", "source": "/dev/mem", "path": "/dev/mem"}, {"type": "unix-char", "source": "/dev/null", "path": "/dev/x"},
           {"type": "nic", "nictype": "bridged", "parent": "lo", "name": "eth0"}, {"type": "nic", "nictype": "physical", "parent": "lo"}]
CONFIG = [{"security.privileged": "true"}, {"raw.idmap": "both 0 0"}, {"raw.lxc": "lxc.x = y"}, {"raw.seccomp": "2\nallowlist"},
          {"linux.kernel_modules": "loop"}, {"security.idmap.base": "0"}, {"security.syscalls.deny_default": "false"}]


@pytest.mark.parametrize("extra", [{"config": c} for c in CONFIG] + [{"devices": {"d0": d}} for d in DEVICES], ids=str)
def test_what_reaches_the_host_is_refused(world, blue, extra):
    status, text = attempt(blue, "PATCH", "instances/blueinst", extra)
    assert status in (400, 403), text
    profile = attempt(blue, "PATCH", "profiles/blueprofile", extra)
    assert profile[0] in (400, 403), profile
    if status == 403:
        assert "restricted." in text, text
    new = attempt(blue, "POST", "instances", {"name": "host", "source": {"type": "none"}, **extra,
                                              "devices": {"root": {"type": "disk", "path": "/", "pool": world.red.pool}, **extra.get("devices", {})}})
    assert new[0] in (400, 403), new


def test_the_project_may_allow_it(world, blue):
    key = {"config": {"security.privileged": "true"}}
    assert attempt(blue, "PATCH", "instances/blueinst", key)[0] == 403
    world.rest.change("PATCH", "projects/blue", {"config": {"restricted.containers.privilege": "allow"}})
    assert attempt(blue, "PATCH", "instances/blueinst", key)[0] == 200
    world.blue.change("PATCH", "instances/blueinst", {"config": {"security.privileged": ""}})
    world.rest.change("PATCH", "projects/blue", {"config": {"restricted.containers.privilege": ""}})
    assert attempt(blue, "PATCH", "instances/blueinst", key)[0] == 403


def test_keys_of_lxmd_are_not_a_tenants(world, blue):
    """Another's MAC address would show the other's lease; another's ids, its files."""
    for key in ("volatile.eth0.hwaddr", "volatile.idmap.base", "volatile.eth0.host_name"):
        attempt(blue, "PATCH", "instances/blueinst", {"config": {key: world.mac}})
        assert blue.read("instances/blueinst", query={"project": "blue"})["config"].get(key) != world.mac, key
    own = blue.read("instances/blueinst", query={"project": "blue"})
    assert attempt(blue, "PUT", "instances/blueinst", own)[0] == 200, "what was there may be sent back"


def test_somebody_elses_mac_shows_no_lease(world, blue):
    nic = {"devices": {"eth0": {"type": "nic", "network": world.net, "name": "eth0", "hwaddr": world.mac}}}
    attempt(blue, "PATCH", "instances/blueinst", nic)
    assert world.mac not in blue.get(f"networks/{world.net}/leases", query={"project": "blue"}).body.decode()
    attempt(blue, "PATCH", "instances/blueinst", {"devices": {}})


def test_an_import_does_not_tell_whose_mac_is_taken(world, blue):
    """Where a MAC is known to be somebody's the instance gets another one: only of what the tenant may see."""
    macs = {}
    for name, mac in (("taken", world.mac), ("free", "00:16:3e:0f:0e:0d")):
        data = backups.tarball(backups.index(name, config={"volatile.eth0.hwaddr": mac}, pool=world.red.pool))
        reply = blue.request("POST", "instances", data=data, headers=backups.headers(name, world.red.pool), query={"project": "blue"})
        assert reply.status == 202, reply.error
        blue.wait(reply.json["operation"])
        macs[mac] = blue.read(f"instances/{name}", query={"project": "blue"})["config"].get("volatile.eth0.hwaddr")
        blue.change("DELETE", f"instances/{name}", query={"project": "blue"})
    assert set(macs.items()) == {(m, m) for m in macs}


def test_shared_objects_are_read_only(world, blue):
    """Without features of its own a project uses what default has; a tenant must not change that for everybody."""
    world.rest.change("POST", "projects", {"name": "guest", "config": {"features.images": "false", "features.profiles": "false",
                                                                        "features.storage.volumes": "false"}})
    try:
        guest = world.served.at(Certificate(world.served.daemon.dir, "guest").trust(world.rest, restricted=True, projects=["guest"]))
        assert guest.get("profiles/default", query={"project": "guest"}).status == 200
        for method, path, body in (("PATCH", "profiles/default", {"description": "x"}), ("POST", "profiles", {"name": "x"}),
                                   ("DELETE", "profiles/none", None), ("POST", "images/aliases", {"name": "x", "target": "0"}),
                                   ("POST", "storage-pools/default/volumes/custom", {"name": "x"})):
            reply = guest.request(method, path, json=body, query={"project": "guest"})
            assert (reply.status, reply.error) == (403, "not authorized"), (path, reply)
        fp = guest.get("images", query={"project": "guest"})
        assert fp.status == 200
    finally:
        world.rest.change("DELETE", "projects/guest")


def test_rights_follow_a_renamed_project(world):
    world.rest.change("POST", "projects", {"name": "before"})
    client = world.served.at(Certificate(world.served.daemon.dir, "mover").trust(world.rest, restricted=True, projects=["before"]))
    assert client.get("instances", query={"project": "before"}).status == 200
    world.rest.change("POST", "projects/before", {"name": "after"})
    assert client.get("instances", query={"project": "before"}).status == 403
    assert client.get("instances", query={"project": "after"}).status == 200
    assert client.read("projects") == ["/1.0/projects/after"]
    world.rest.change("DELETE", "projects/after")
    assert client.get("instances", query={"project": "after"}).status == 403


@pytest.mark.parametrize("running", [False, True])
def test_disks_of_a_tenant(world, blue, running):
    """No path of the host and no volume of another project, also while the instance runs; a volume of one's own is fine."""
    if running:
        world.blue.change("PUT", "instances/blueinst/state", {"action": "start"})
    root = {"root": {"type": "disk", "path": "/", "pool": world.blue.pool}}

    def give(**disk):
        return attempt(blue, "PATCH", "instances/blueinst", {"devices": {"d": {"type": "disk", "path": "/mnt", **disk}}})[0]

    try:
        assert give(source="/etc") == 403
        assert give(source="/etc", pool=world.blue.pool) in (400, 403)
        assert give(source="redvolume", pool=world.blue.pool) == give(source="none-such", pool=world.blue.pool) in (400, 404)
        assert give(source="bluevolume", pool=world.blue.pool) == 200
    finally:
        if running:
            world.blue.change("PUT", "instances/blueinst/state", {"action": "stop", "force": True})
        world.blue.change("PUT", "instances/blueinst", {"profiles": ["default", "blueprofile"], "devices": root})


def test_copies_of_the_others_volumes(world, blue):
    """Neither as the source of a copy nor as the target of a move is another project there."""
    base = f"storage-pools/{world.blue.pool}/volumes/custom"

    for project in ("red", "none-such", "default"):
        body = {"name": "stolen", "source": {"type": "copy", "name": "redvolume", "pool": world.blue.pool, "project": project}}
        assert attempt(blue, "POST", base, body)[0] == 403
        assert attempt(blue, "POST", f"{base}/bluevolume", {"name": "gift", "pool": world.blue.pool, "project": project})[0] == 403
    assert blue.read(base, query={"project": "blue"}) == [f"/1.0/{base}/bluevolume"]


def test_volumes_of_default_are_not_attached(world, blue):
    """Where a project's volumes are default's, a tenant of the project alone cannot reach them."""
    world.rest.change("POST", "projects", {"name": "guest", "config": {"features.images": "false", "features.storage.volumes": "false"}})
    world.rest.change("POST", "storage-pools/default/volumes/custom", {"name": "shared"})
    fp = world.blue.certificate.fingerprint
    try:
        world.rest.change("PATCH", f"certificates/{fp}", {"projects": ["blue", "guest"]})
        disk = {"type": "disk", "path": "/mnt", "pool": "default", "source": "shared"}
        body = {"name": "c", "source": {"type": "none"}, "devices": {"root": {"type": "disk", "path": "/", "pool": "default"}, "d": disk}}
        reply = blue.post("instances", body, query={"project": "guest"})
        assert reply.status == 403 or "not this caller's" in json.dumps(blue.wait(reply.json).get("err", "")), reply
        # nor kept in a profile, for an instance that takes it while nobody looks
        for method, path in (("POST", "profiles"), ("PATCH", "profiles/default")):
            status, text = attempt(blue, method, path, {"name": "p", "devices": {"d": disk}}, project="guest")
            assert status == 403 and "not this caller's" in text, (status, text)
    finally:
        world.rest.change("PATCH", f"certificates/{fp}", {"projects": ["blue"]})
        world.rest.change("DELETE", "storage-pools/default/volumes/custom/shared")
        world.rest.change("DELETE", "projects/guest")
