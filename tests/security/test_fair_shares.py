"""What one tenant can take from all others, and from whoever runs the host: each takes all it can get, and the rest goes on."""
import time

import pytest

from harness.daemon import Daemon
from harness.host import HostState
from harness.rest import OperationFailed
from harness.tenants import World

pytestmark = pytest.mark.host_only("what lxmd itself counts and shares out")
ROOT = {"root": {"type": "disk", "path": "/", "pool": "default"}}


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    before = HostState()
    daemon = Daemon("shares")
    try:
        daemon.start().init()
        w = World(daemon, tmp_path_factory.mktemp("certificates"))
        w.net = next(n["name"] for n in w.rest.read("networks", query={"recursion": 1}) if n["managed"])
        yield w
        assert daemon.alive(), f"lxmd died\n{daemon.log_tail()}"
        w.close()
    finally:
        problems = daemon.end(before)
        assert not problems, "\n".join(problems)


@pytest.fixture
def blue(world):
    return world.client("restricted")


def ask(client, method, path, body, project="blue"):
    """(status, text) of a request that may go on as an operation."""
    reply = client.request(method, path, json=body, query={"project": project})
    if reply.status == 202:
        try:
            client.wait(reply.json["operation"])
        except OperationFailed as e:
            return 400, e.op["err"]
        return 200, ""
    return reply.status, reply.error


# ---- size
TOO_MUCH = {"devices": {"devices": {f"d{n}": {"type": "none"} for n in range(600)}},
            "many devices": {"devices": {f"d{n}": {"type": "none"} for n in range(60000)}},
            "keys": {"config": {f"user.{n}": "x" for n in range(3000)}},
            "many keys": {"config": {f"user.{90000 - n:05d}": "x" for n in range(90000)}},
            "bytes": {"config": {"user.x": "x" * (3 << 20)}}}


@pytest.mark.parametrize("body", TOO_MUCH.values(), ids=list(TOO_MUCH))
def test_an_instance_and_a_profile_have_a_size(blue, body):
    for path in ("instances/blueinst", "profiles/blueprofile"):
        status, text = ask(blue, "PATCH", path, body)
        assert status == 400 and "at most" in text, (status, text[:200])


def test_they_do_not_grow_bit_by_bit_either(world, blue):
    try:
        said = [ask(blue, "PATCH", "instances/blueinst", {"config": {f"user.{k}.{n}": "x" for n in range(900)}}) for k in range(4)]
        assert [s for s, _ in said] == [200, 200, 400, 400], said
        # nor by what its profile adds
        status, text = ask(blue, "PATCH", "profiles/blueprofile", {"config": {f"user.p.{n}": "x" for n in range(900)}})
        assert status == 400 and "at most" in text
    finally:
        world.blue.change("PUT", "instances/blueinst", {"config": {}, "devices": ROOT, "profiles": ["default", "blueprofile"]})


def test_profiles_have_a_number(blue):
    for n, want in ((101, "at most"), (200000, "at most")):
        status, text = ask(blue, "PATCH", "instances/blueinst", {"profiles": ["default"] * n})
        assert status == 400 and want in text, text[:200]


# ---- what all share
@pytest.mark.parametrize("config", [{"security.idmap.size": "900000000"}, {"boot.host_shutdown_timeout": "4000000000"},
                                    {"limits.kernel.rtprio": "99"}, {"limits.kernel.rttime": "unlimited"}], ids=str)
def test_ids_time_and_processors_are_not_for_one_alone(world, blue, config):
    for path in ("instances/blueinst", "profiles/blueprofile"):
        status, text = ask(blue, "PATCH", path, {"config": config})
        assert status == 403 and "restricted.containers.lowlevel" in text, text


def test_no_link_of_the_host_gets_a_tenants_name(world, blue):
    """A firewall may let pass what comes from a name, and whether one is taken tells what the host has."""
    texts = [ask(blue, "PATCH", "instances/blueinst", {"devices": {"eth0": {"type": "nic", "network": world.net, "name": "eth0", "host_name": n}}})
             for n in (world.net, "tun77")]
    assert texts[0] == texts[1] and texts[0][0] == 403, texts


@pytest.mark.parametrize("more", [{"ipv4.routes": "192.0.2.0/24"}, {"ipv6.routes.external": "2001:db8::/64"}, {"vlan": "7"}, {"vlan.tagged": "8"}],
                         ids=str)
def test_no_nic_of_a_tenant_reaches_beyond_its_network(world, blue, more):
    """A route would bring the host's traffic into the instance, a VLAN the instance among strangers."""
    nic = {"type": "nic", "network": world.net, "name": "eth0", **more}
    for path in ("instances/blueinst", "profiles/blueprofile"):
        status, text = ask(blue, "PATCH", path, {"devices": {"eth0": nic}})
        assert status == 403 and "restricted.devices.nic" in text, text


# ---- numbers
def test_secrets_and_slots_of_one_leave_some_to_others(world, blue):
    def secret(client, tenant):
        return client.request("POST", f"images/{tenant.image}/secret", json={}, query={"project": tenant.project}).status

    def slot(client, tenant):
        body = {"source": {"mode": "push", "type": "image", "fingerprint": "0" * 64}}
        return client.request("POST", "images", json=body, query={"project": tenant.project}).status

    for kind in (secret, slot):
        got = [kind(blue, world.blue) for _ in range(40)]
        assert got[0] == 202 and got[-1] == 503, got
        assert kind(world.red.client(), world.red) == kind(world.rest, world.red) == 202
    for op in blue.read("operations", query={"recursion": 1, "project": "blue"}).get("running", []):
        if op["id"] != world.blue.operation:
            blue.delete(f"operations/{op['id']}")
    deadline = time.monotonic() + 20
    while secret(blue, world.blue) != 202:  # what was cancelled counts no more
        assert time.monotonic() < deadline
        time.sleep(0.1)
    for tenant in (world.blue, world.red):
        for op in tenant.client().read("operations", query={"recursion": 1, "project": tenant.project}).get("running", []):
            if op["id"] != tenant.operation:
                world.rest.delete(f"operations/{op['id']}")


def test_listeners_of_one_leave_some_to_others(world, blue):
    sockets = []
    try:
        with pytest.raises(Exception, match="503"):
            for _ in range(200):
                sockets.append(blue.websocket("/1.0/events", {"project": "blue"}))
        assert len(sockets) == 100
        for client, project in ((world.red.client(), "red"), (world.rest, "default")):
            sockets.append(client.websocket("/1.0/events", {"project": project}))
    finally:
        for s in sockets:
            s.close()


def test_sftp_sessions_of_one_have_a_number(world, blue):
    """Each is a process of the host."""
    request = b"GET /1.0/instances/%s/sftp?project=%s HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: sftp\r\n\r\n"
    sockets, heads = [], []
    try:
        for client, name in [(blue, b"blue")] * 55 + [(world.red.client(), b"red")]:
            sockets.append(client.dial(20))
            sockets[-1].sendall(request % (name + b"inst", name))
            heads.append(sockets[-1].recv(4096).split(b" ")[1])
        assert heads == [b"101"] * 50 + [b"503"] * 5 + [b"101"]
    finally:
        for s in sockets:
            s.close()


def test_strangers_may_say_little(world):
    body = b'{"password": "' + b"x" * 100000 + b'"}'
    reply = world.client("none").request("POST", "/1.0/certificates", data=body, headers={"Content-Type": "application/json"})
    assert reply.status == 413, reply


# ---- ids of the host, limits of a project
def subordinate_ids():
    """How many ids lxmd has to give away; the built-in range where root has none."""
    try:
        counts = [int(line.split(":")[2]) for line in open("/etc/subuid") if line.split(":")[0] in ("root", "0")]
    except OSError:
        counts = []
    return max(counts, default=1000000000)


def test_ids_of_the_host_are_not_for_one_alone(world, blue):
    """More than half of them, in one instance: an administrator may, a tenant not."""
    world.rest.change("PATCH", "projects/blue", {"config": {"restricted.containers.lowlevel": "allow"}})
    body = {"name": "wide", "source": {"type": "none"}, "profiles": [], "devices": ROOT,
            "config": {"security.idmap.size": str(subordinate_ids() // 10 * 6)}}
    try:
        status, text = ask(blue, "POST", "instances", body)
        assert status == 400 and "more ids of the host than are left" in text, text
        assert [i["name"] for i in blue.read("instances", query={"project": "blue", "recursion": 1})] == ["blueinst"]
        world.blue.change("POST", "instances", body)
        assert ask(world.red.client(), "POST", "instances", {**body, "name": "small", "config": {}}, "red") == (200, "")
    finally:
        world.blue.change("DELETE", "instances/wide")
        world.red.change("DELETE", "instances/small")
        world.rest.change("PATCH", "projects/blue", {"config": {"restricted.containers.lowlevel": ""}})


def test_a_tenant_cannot_widen_its_limits_and_is_told_of_its_own(world, blue):
    world.rest.change("PATCH", "projects/blue", {"config": {"limits.instances": "1"}})
    try:
        for config in ({"limits.instances": "9"}, {"limits.instances": ""}):
            assert blue.request("PATCH", "projects/blue", json={"config": config}).status == 403
        status, text = ask(blue, "POST", "instances", {"name": "more", "source": {"type": "none"}, "profiles": [], "devices": ROOT})
        assert status == 403 and 'Reached maximum number of instances in project "blue"' in text
        assert blue.read("projects/blue/state")["resources"]["instances"] == {"Limit": 1, "Usage": 1}
        assert blue.request("GET", "projects/red/state").status in (403, 404)
        assert ask(world.red.client(), "POST", "instances", {"name": "more", "source": {"type": "none"}, "profiles": [], "devices": ROOT},
                   "red") == (200, "")
        world.red.change("DELETE", "instances/more")
    finally:
        world.rest.change("PATCH", "projects/blue", {"config": {"limits.instances": ""}})


# ---- threads
def test_who_waits_for_slow_servers_waits_alone(world, blue):
    """Hundreds of migrations that nobody answers: others, and its own requests, find a thread at once."""
    # in one range of ids, so that these do not run out first
    body = {"source": {"type": "migration", "mode": "push"}, "profiles": [], "devices": ROOT, "config": {"security.idmap.isolated": "false"}}
    ops, sockets = [], []
    try:
        for n in range(300):
            reply = blue.request("POST", "instances", json={**body, "name": f"parked{n}"}, query={"project": "blue"})
            assert reply.status == 202, reply
            ops.append(reply.metadata)
            for which in ("control", "fs"):
                sockets.append(blue.websocket(f"/1.0/operations/{ops[-1]['id']}/websocket", {"secret": ops[-1]["metadata"][which]}))
        for client, project in ((world.rest, "default"), (world.red.client(), "red"), (blue, "blue")):
            assert client.get("instances", query={"project": project}, timeout=20).status == 200
        world.red.change("POST", "profiles", {"name": "meanwhile"})
        world.red.change("DELETE", "profiles/meanwhile")
        ask(world.red.client(), "POST", "instances/redinst/snapshots", {"name": "meanwhile"}, "red")
        assert ask(world.red.client(), "DELETE", "instances/redinst/snapshots/meanwhile", None, "red")[0] == 200
    finally:
        for s in sockets:
            s.sock.close()
        for op in ops:
            blue.get(f"operations/{op['id']}/wait", query={"timeout": 30})
    assert [i["name"] for i in blue.read("instances", query={"project": "blue", "recursion": 1})] == ["blueinst"]


def test_operations_of_one_have_a_number(world, blue):
    body = {"source": {"type": "migration", "mode": "push"}, "profiles": [], "devices": ROOT}
    seen, begin = [], time.monotonic()
    for n in range(600):  # each waits 5 s for its sockets
        seen.append(blue.request("POST", "instances", json={**body, "name": f"w{n}"}, query={"project": "blue"}))
        if seen[-1].status == 503:
            break
    assert seen[-1].status == 503 or time.monotonic() - begin > 4
    assert world.rest.request("POST", f"images/{world.red.image}/secret", json={}, query={"project": "red"}).status == 202


# ---- the start of the host
def test_a_delay_at_start_holds_up_nobody_else(world):
    begin = {"boot.autostart": "true"}
    world.blue.change("POST", "instances", {"name": "later", "source": {"type": "copy", "source": "blueinst"}})
    for tenant, name, config in ((world.blue, "blueinst", {**begin, "boot.autostart.delay": "3000", "boot.autostart.priority": "99"}),
                                 (world.blue, "later", {**begin, "boot.autostart.priority": "9"}), (world.red, "redinst", begin)):
        tenant.change("PATCH", f"instances/{name}", {"config": config})

    def runs(tenant, name):
        return tenant.rest.read(f"instances/{name}", query=tenant.query)["status"] == "Running"

    try:
        world.daemon.stop()
        world.daemon.start()
        deadline = time.monotonic() + 30
        while not runs(world.red, "redinst"):
            assert time.monotonic() < deadline, world.daemon.log_tail()
            time.sleep(0.05)
        assert runs(world.blue, "blueinst") and not runs(world.blue, "later")
    finally:
        for tenant, name in ((world.blue, "blueinst"), (world.red, "redinst")):
            if runs(tenant, name):
                tenant.change("PUT", f"instances/{name}/state", {"action": "stop", "force": True})
        world.blue.change("DELETE", "instances/later")
        for tenant in (world.blue, world.red):  # they did not outlive the daemon
            tenant.operation = "00000000-0000-4000-8000-000000000000"
