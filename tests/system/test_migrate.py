"""Copies of instances between two lxmd: relay, pull and push; what arrives, refreshes, refusals, hostile peers."""
import os
import struct
import subprocess

import pytest
from websocket import ABNF, WebSocketConnectionClosedException

from conftest import create
from harness import images
from harness.daemon import Daemon
from harness.host import HostState
from harness.instance import Instance, wait_until
from harness.relay import Relay
from harness.move import Transfer, clean, peer, picture, serve_tls, volume
from harness.rest import OperationFailed
from harness.tls import Certificate, TlsRest


@pytest.fixture(scope="module")
def pair(busybox_tar):
    """Two daemons, the second without the first one's image but for tests that import it; d.url is where each listens."""
    before = HostState()
    both = [Daemon("from"), Daemon("to")]
    try:
        for d in both:
            d.start().init()
            d.rest.change("POST", "storage-pools", json={"name": "flat", "driver": "dir"})
        both[0].url = {d: serve_tls(d) for d in both}
        images.import_image(both[0].rest, busybox_tar, "img")
        yield both
    finally:
        problems = [p for d in both[::-1] for p in d.end()]
        left = [f"left behind: {x}" for x in HostState().left_since(before) if any(str(d.dir) in x for d in both)]
        assert not problems + left, "\n".join(problems + left)


@pytest.fixture
def box(pair):
    """box(name, ...): an instance on the first daemon; all instances of both go after the test."""
    yield lambda name="c1", **kw: create(pair[0], "img", name=name, **kw)
    for d in pair:
        for i in d.rest.read("instances", query={"recursion": 1}):
            Instance(d, i["name"]).remove()
        assert wait_until(lambda: clean(d) == [], 5, lambda: clean(d)) is not False


def root_in(pool):
    return {"root": {"type": "disk", "path": "/", "pool": pool}}


FURNISH = """
cd /root; mkdir -p d/e; echo one > d/f; ln d/f d/e/g; ln -s /nowhere link; ln link link2
mkfifo pipe; chmod 4755 d/f; chown 1000:2000 d/f link; touch -d @1234567890 d/f d
dd if=/dev/zero of=holes bs=1 count=1 seek=8M 2>/dev/null; dd if=/dev/urandom of=big bs=64k count=40 2>/dev/null
rm /bin/vi; rm -r /usr/share 2>/dev/null; mkdir -p /usr/share; echo x > /usr/share/x
for i in $(seq 200); do echo $i > d/e/f$i; done
"""


def furnish(inst):
    """All that a tree can hold; what only the host can make comes from the host."""
    inst.sh(FURNISH)
    inst.stop()
    top = volume(inst.daemon, inst.name)
    top = top / ("upper" if (top / "upper").exists() else "rootfs")
    os.setxattr(top / "root/big", "user.note", b"value")
    os.setxattr(top / "root/d", "system.posix_acl_default", struct.pack("<IHHIHHIHHIHHI", 2, 1, 7, 2**32 - 1, 4, 5, 2**32 - 1, 16, 7, 2**32 - 1, 32, 0, 2**32 - 1))
    os.setxattr(top / "root/d/f", "security.capability", bytes.fromhex("0100000200040000000000000000000000000000"))
    os.mknod(top / "root/node", 0o600 | 0o060000, os.makedev(7, 200))
    return top


# ---- what arrives
@pytest.mark.parametrize("mode", ["relay", "pull", "push"])
def test_all_of_an_instance_arrives(pair, box, mode):
    a, b = pair
    inst = box()
    furnish(inst)
    a.rest.change("POST", f"{inst.path}/snapshots", json={"name": "s1", "expires_at": "2099-01-01T00:00:00Z"})
    inst.start()
    inst.sh("echo two > /root/d/f; echo three > /root/after")
    inst.stop()
    t = Transfer(a, b, "c1", "c2", mode, a.url, body={"config": {"user.k": "v"}, "description": "text"})
    done = t.wait()
    assert "fs_progress" in done[0]["metadata"] and "fs_progress" in done[1]["metadata"]
    assert done[1]["resources"]["instances"] == ["/1.0/instances/c2"]
    got = b.rest.read("instances/c2")
    assert got["config"]["user.k"] == "v" and got["description"] == "text" and got["status"] == "Stopped"
    snaps = b.rest.read("instances/c2/snapshots", query={"recursion": 1})
    assert [s["name"] for s in snaps] == ["s1"] and snaps[0]["expires_at"].startswith("2099")
    assert snaps[0]["created_at"] == a.rest.read("instances/c1/snapshots/s1")["created_at"]
    new = Instance(b, "c2").start()
    assert new.sh("cat /root/d/f /root/after; stat -c '%u:%g %a %Y' /root/link /root/d/e/g; ls /bin/vi 2>&1; cat /etc/hostname").splitlines()[:2] == ["two", "three"]
    assert new.sh("stat -c %u:%g:%a /root/d/e/g; readlink /root/link; stat -c %i /root/d/f; stat -c %i /root/d/e/g; ls /bin/vi || echo gone").splitlines()[0:2] == \
        ["1000:2000:755", "/nowhere"]
    new.stop()
    b.rest.change("PUT", "instances/c2", json={"restore": "s1"})
    assert new.start().sh("cat /root/d/f; ls /root/after || echo none") == "one\nnone\n"


@pytest.mark.parametrize("pools", [("flat", "flat"), ("flat", "default")])
def test_trees_are_equal(pair, box, pools):
    a, b = pair
    inst = box(devices=root_in(pools[0]), start=False).start()
    inst.sh(FURNISH)
    inst.stop()
    top = volume(a, "c1", pools[0]) / "rootfs"
    os.mknod(top / "root/node", 0o600 | 0o060000, os.makedev(7, 200))
    os.setxattr(top / "root/d/f", "security.capability", bytes.fromhex("0100000200040000000000000000000000000000"))
    os.setxattr(top / "root/big", "user.note", b"value")
    Transfer(a, b, "c1", "c2", "pull", a.url, body={"devices": root_in(pools[1])}).wait()
    want, got = picture(top), picture(volume(b, "c2", pools[1]) / "rootfs")
    assert {k: (want[k], got.get(k)) for k in want if want[k] != got.get(k)} == {} and set(got) == set(want)


def test_only_the_layer_travels_when_the_sink_has_the_image(pair, box, busybox_tar):
    a, b = pair
    inst = box()
    top = furnish(inst)
    if b.rest.get("images/aliases/img").status == 404:
        images.import_image(b.rest, busybox_tar, "img")
    try:
        t = Transfer(a, b, "c1", "c2", "relay")
        t.wait()
        want, got = picture(top), picture(volume(b, "c2") / "upper")
        assert {k: (want[k], got.get(k)) for k in want if want[k] != got.get(k)} == {} and set(got) == set(want)
        assert t.relay.bytes["fs"] < 4 << 20, "more than the layer came"
        assert Instance(b, "c2").start().sh("ls /bin/vi 2>/dev/null || echo gone; cat /usr/share/x") == "gone\nx\n"
        # an image that another project has is not there for this one
        b.rest.change("POST", "projects", json={"name": "p", "config": {"features.images": "true", "features.profiles": "false"}})
        so = a.rest.start_op("POST", "instances/c1", json={"migration": True})
        b.rest.change("POST", "instances", query={"project": "p"}, json={"name": "c3", "source": {"type": "migration", **peer(a, a.url[a], so)}})
        assert (volume(b, "c3", project="p") / "rootfs").exists()
        b.rest.change("DELETE", "instances/c3", query={"project": "p"})
        b.rest.change("DELETE", "projects/p")
    finally:
        Instance(b, "c2").remove()
        b.rest.change("DELETE", f"images/{b.rest.read('images/aliases/img')['target']}")


def test_a_running_instance_and_a_snapshot_of_it(pair, box):
    a, b = pair
    inst = box()
    inst.sh("echo one > /root/a")
    a.rest.change("POST", f"{inst.path}/snapshots", json={"name": "s1"})
    inst.sh("echo two > /root/a")
    Transfer(a, b, "c1", "c2", "pull", a.url, live=True).wait()
    assert inst.status == "Running" and clean(a) == []
    assert Instance(b, "c2").start().sh("cat /root/a") == "two\n"
    Transfer(a, b, "c1/s1", "c3").wait()
    assert Instance(b, "c3").start().sh("cat /root/a") == "one\n" and b.rest.read("instances/c3/snapshots") == []
    Transfer(a, b, "c1", "c4", instance_only=True, allow_inconsistent=True).wait()
    assert b.rest.read("instances/c4/snapshots") == []
    # a client that moves it would kill what runs here: that is said before
    err = b.rest.refused("POST", "instances", json={"name": "c5", "config": {"volatile.last_state.power": "RUNNING"},
                                                    "source": {"type": "migration", "mode": "push", "live": True}})
    assert "cannot be moved" in err


def test_what_a_running_instance_does_meanwhile_stays_behind(pair, box):
    """It goes as it was at one moment, and runs on while that is sent."""
    a, b = pair
    inst = box()
    inst.sh("cd /root; for i in $(seq 12); do dd if=/dev/urandom of=f$i bs=1M count=2 2>/dev/null; done")
    before = inst.sh("cd /root; md5sum f*")
    t = Transfer(a, b, "c1", "c2", relay={"after": 1, "on_byte": lambda r: inst.sh("cd /root; for f in f*; do echo later > $f; done; echo > new")})
    t.wait()
    assert inst.sh("cat /root/f1 /root/f12") == "later\n" * 2 and clean(a) == []
    assert Instance(b, "c2").start().sh("cd /root; md5sum f*; ls new 2>/dev/null || true") == before


def test_a_tenant_receives_no_device_nodes(pair, box, tmp_path):
    a, b = pair
    box(start=False)
    os.mknod(volume(a, "c1") / "upper/node", 0o600 | 0o060000, os.makedev(7, 200))
    (volume(a, "c1") / "upper/beside").touch()
    b.rest.change("POST", "projects", json={"name": "p", "config": {"features.images": "false", "features.profiles": "false", "restricted": "true"}})
    cert = Certificate(tmp_path).trust(b.rest, restricted=True, projects=["p"])
    try:
        for who, nodes in ((TlsRest(a.url[b].removeprefix("https://"), cert), False), (b.rest, True)):
            so = a.rest.start_op("POST", "instances/c1", json={"migration": True})
            ko = who.start_op("POST", "instances", query={"project": "p"}, json={"name": "c2", "devices": root_in("default"),
                                                                               "source": {"type": "migration", "mode": "push"}})
            relay = Relay(a.rest, b.rest, so, ko)
            b.rest.wait(ko)
            relay.join()
            top = volume(b, "c2", project="p") / "rootfs"
            assert (top / "beside").exists() and (top / "node").exists() == nodes
            b.rest.change("DELETE", "instances/c2", query={"project": "p"})
    finally:
        b.rest.change("DELETE", f"certificates/{cert.fingerprint}")
        b.rest.change("DELETE", "projects/p")


def test_what_an_instance_keeps_when_it_moves(pair, box):
    a, b = pair
    config = box(start=False).get()["config"]
    body = {"config": {k: v for k, v in config.items()}}
    Transfer(a, b, "c1", "c1", body=body).wait()
    got = b.rest.read("instances/c1")["config"]
    for key in ("volatile.eth0.hwaddr", "volatile.cloud-init.instance-id"):
        assert got[key] == config[key]
    assert got["volatile.uuid"] != config["volatile.uuid"]


# ---- refresh
def test_a_refresh_sends_what_differs(pair, box):
    a, b = pair
    inst = box()
    inst.sh("dd if=/dev/urandom of=/root/big bs=1M count=4 2>/dev/null; echo one > /root/a")
    a.rest.change("POST", f"{inst.path}/snapshots", json={"name": "s1"})
    Transfer(a, b, "c1", "c2").wait()
    Instance(b, "c2").start().sh("echo mine > /root/b")
    Instance(b, "c2").stop()
    b.rest.change("POST", "instances/c2/snapshots", json={"name": "stray"})
    inst.sh("echo two > /root/a; rm /bin/vi")
    a.rest.change("POST", f"{inst.path}/snapshots", json={"name": "s2"})
    a.rest.change("DELETE", f"{inst.path}/snapshots/s2")
    inst.stop()
    t = Transfer(a, b, "c1", "c2", sink={"refresh": True})
    t.wait()
    assert t.relay.bytes["fs"] < 1 << 20, "what the sink has was sent again"
    assert b.rest.read("instances/c2/snapshots") == ["/1.0/instances/c2/snapshots/s1"]
    new = Instance(b, "c2").start()
    assert new.sh("cat /root/a; md5sum < /root/big; ls /root/b /bin/vi 2>/dev/null || echo gone") == "two\n" + inst.start().sh("md5sum < /root/big") + "gone\n"
    # not while it runs; and the first copy of all may be one as well
    t = b.rest.post("instances", {"name": "c2", "source": {"type": "migration", "mode": "push", "refresh": True}})
    assert t.status == 400 and "running" in t.error
    Transfer(a, b, "c1", "c6", sink={"refresh": True}).wait()


@pytest.mark.host_only("what two lxmd say to each other")
@pytest.mark.parametrize("source,sink", [(True, False), (False, True), (False, False)])
def test_only_what_is_offered_whole_takes_snapshots_away(pair, box, source, sink):
    """An offer without snapshots does not say that there are none."""
    a, b = pair
    box(start=False)
    Transfer(a, b, "c1", "c2").wait()
    b.rest.change("POST", "instances/c2/snapshots", json={"name": "own"})
    Transfer(a, b, "c1", "c2", sink={"refresh": True, "instance_only": sink}, instance_only=source).wait()
    assert (b.rest.read("instances/c2/snapshots") != []) == (source or sink)


def test_a_failed_refresh_leaves_the_earlier_copy(pair, box):
    a, b = pair
    inst = box()
    inst.sh("echo one > /root/a")
    Transfer(a, b, "c1", "c2").wait()
    inst.sh("dd if=/dev/urandom of=/root/big bs=1M count=8 2>/dev/null; echo two > /root/a")
    inst.stop()
    a.rest.change("POST", f"{inst.path}/snapshots", json={"name": "s1"})
    # the snapshot comes through whole, the instance does not
    Transfer(a, b, "c1", "c2", sink={"refresh": True}, relay={"after": 13 << 20, "on_byte": lambda r: r.cut()}).errors()
    assert clean(b) == [] and b.rest.read("instances/c2/snapshots") == ["/1.0/instances/c2/snapshots/s1"]
    assert Instance(b, "c2").start().sh("cat /root/a") == "one\n"
    Instance(b, "c2").stop()
    t = Transfer(a, b, "c1", "c2", sink={"refresh": True})
    t.wait()
    assert t.relay.bytes["fs"] < 13 << 20, "the snapshot that had arrived was sent again"
    assert Instance(b, "c2").start().sh("cat /root/a") == "two\n"


# ---- refusals
@pytest.mark.host_only("what two lxmd say to each other")
def test_refusals(pair, box):
    a, b = pair
    box(start=False)
    op = a.rest.start_op("POST", "instances/c1", json={"migration": True})
    fine = peer(a, a.url[a], op)
    for bad in ({"operation": "http://127.0.0.1:1/1.0/operations/" + op["id"]}, {"operation": "https://127.0.0.1:1/1.0/events"},
                {"operation": "https://127.0.0.1:1/1.0/operations/../events"}, {"operation": ""}, {"secrets": {"control": "x y", "fs": "1"}},
                {"secrets": {"control": "11"}}, {"operation": "https://user@127.0.0.1:1/1.0/operations/" + op["id"]}, {"mode": "sideways"}):
        assert b.rest.post("instances", {"name": "x", "source": {"type": "migration", "mode": "pull", **fine, **bad}}).status == 400, bad
    # nobody is there; somebody else is there; a wrong secret
    err = b.rest.refused("POST", "instances", json={"name": "x", "source": {"type": "migration", **fine, "operation": "https://127.0.0.1:1/1.0/operations/" + op["id"]}})
    assert "connect to 'https://127.0.0.1:1'" in err
    err = b.rest.refused("POST", "instances", json={"name": "x", "source": {"type": "migration", **fine, "certificate": b.rest.read("/1.0")["environment"]["certificate"]}})
    assert "certificate" in err
    b.rest.refused("POST", "instances", json={"name": "x", "source": {"type": "migration", **fine, "secrets": {"control": "00" * 32, "fs": "11" * 32}}})
    assert b.rest.read("instances") == [] and a.rest.read(f"operations/{op['id']}")["status"] == "Running"
    a.rest.delete(f"operations/{op['id']}")
    # a name that is taken, a configuration that may not be
    Transfer(a, b, "c1", "c2").wait()
    source = {"type": "migration", "mode": "push"}
    assert b.rest.post("instances", {"name": "c2", "source": source}).status == 409
    assert b.rest.post("instances", {"name": "x", "config": {"limits.memory": "nonsense"}, "source": source}).status == 400
    b.rest.change("POST", "projects", json={"name": "p", "config": {"features.profiles": "false", "features.images": "false"}})
    assert b.rest.post("instances", {"name": "x", "profiles": ["none"], "source": source}).status == 404
    b.rest.change("DELETE", "projects/p")
    assert a.rest.post("instances/nope", {"migration": True}).status == 404 and a.rest.post("instances/c1/snapshots/nope", {"migration": True}).status == 404


@pytest.mark.host_only("what two lxmd say to each other")
def test_a_cancel_ends_both(pair, box):
    a, b = pair
    inst = box()
    inst.sh("dd if=/dev/urandom of=/root/big bs=1M count=16 2>/dev/null")
    inst.stop()
    for who in (0, 1):
        so = a.rest.start_op("POST", "instances/c1", json={"migration": True})
        ko = b.rest.start_op("POST", "instances", json={"name": "c2", "source": {"type": "migration", "mode": "push"}})
        relay = Relay(a.rest, b.rest, so, ko, after=4 << 20, on_byte=lambda r: pair[who].rest.delete(f"operations/{(so, ko)[who]['id']}"))
        ends = [d.rest.read(f"operations/{op['id']}/wait", query={"timeout": 60})["status"] for d, op in ((a, so), (b, ko))]
        assert ends[who] == "Cancelled" and ends[1 - who] == "Failure"
        relay.join()
        assert b.rest.read("instances") == [] and clean(b) == [] and clean(a) == []
    assert inst.start().sh("ls /root") == "big\n"


# ---- peers that are none, or mean harm
def socket_of(d, op, name):
    return d.rest.websocket(f"operations/{op['id']}/websocket", query={"secret": op["metadata"][name]})


@pytest.mark.host_only("what two lxmd say to each other")
def test_a_cancel_lets_go_of_who_waits(pair, box):
    """One of the two sockets is there, the other one never comes."""
    a, b = pair
    box(start=False)
    for d, path, body in ((a, "instances/c1", {"migration": True}),
                          (b, "instances", {"name": "c2", "source": {"type": "migration", "mode": "push"}})):
        op = d.rest.start_op("POST", path, json=body)
        control = socket_of(d, op, "control")
        d.rest.delete(f"operations/{op['id']}")
        control.settimeout(5)
        try:
            assert control.recv_data()[0] == ABNF.OPCODE_CLOSE
        except WebSocketConnectionClosedException:
            pass  # let go as well: the cancelled operation was gone before its socket had been told
        control.close()


@pytest.mark.host_only("what two lxmd say to each other")
def test_an_lxd_server_is_told_apart(pair, box):
    a, b = pair
    op = b.rest.start_op("POST", "instances", json={"name": "c2", "source": {"type": "migration", "mode": "push"}})
    control, fs = socket_of(b, op, "control"), socket_of(b, op, "fs")
    control.send_binary(bytes.fromhex("08002203736e31"))  # MigrationHeader{fs: RSYNC, snapshotNames: ["sn1"]}
    with pytest.raises(OperationFailed, match="LXD and Incus"):
        b.rest.wait(op)
    control.close(), fs.close()
    assert b.rest.read("instances") == []


def message(text):
    return b"LXM1" + struct.pack("<I", len(text)) + text


SNAP = b'{"name":"s","created_at":1}'


@pytest.mark.host_only("what two lxmd say to each other")
@pytest.mark.parametrize("offer,stream,says", [
    (b'{"type":"offer","version":9}', b"", "version 9"),
    (b'{"type":"offer","version":1,"snapshots":[{"name":"../x","created_at":1}]}', b"", "name"),
    (b'{"type":"offer","version":1,"snapshots":[' + SNAP + b"," + SNAP + b"]}", b"", "two snapshots of one name"),
    (b'{"type":"offer","version":1,"image":"../../etc"}', b"", "fingerprint"),
    (b"[" * 5000, b"", "no object"),
    (None, b"", "too long"),
    (b'{"type":"offer","version":1}', b"\0" * 64, ""),
    (b'{"type":"offer","version":1}', b"d\0\0\0\xff\xff\xff\xff", ""),
], ids=["version", "name", "twice", "image", "deep", "endless", "zeros", "long"])
def test_hostile_sources(pair, box, offer, stream, says):
    a, b = pair
    op = b.rest.start_op("POST", "instances", json={"name": "c2", "source": {"type": "migration", "mode": "push"}})
    control, fs = socket_of(b, op, "control"), socket_of(b, op, "fs")
    control.send_binary(message(offer) if offer else b"LXM1\xff\xff\xff\xff")
    if stream:
        fs.send_binary(stream)
    with pytest.raises(OperationFailed, match=says):
        b.rest.wait(op)
    control.close(), fs.close()
    assert b.rest.get("instances/c2").status == 404 and clean(b) == []


@pytest.mark.host_only("what two lxmd say to each other")
def test_a_project_without_snapshots_takes_none(pair, box):
    _, b = pair
    b.rest.change("POST", "projects", json={"name": "fenced", "config": {"restricted": "true", "features.profiles": "false"}})
    query = {"project": "fenced"}
    op = b.rest.start_op("POST", "instances", query=query, json={"name": "c2", "source": {"type": "migration", "mode": "push"}})
    control, fs = socket_of(b, op, "control"), socket_of(b, op, "fs")
    control.send_binary(message(b'{"type":"offer","version":1,"snapshots":[' + SNAP + b"]}"))
    with pytest.raises(OperationFailed, match="restricted.snapshots"):
        b.rest.wait(op)
    control.close(), fs.close()
    assert b.rest.read("instances", query=query) == []
    b.rest.change("DELETE", "projects/fenced")


@pytest.mark.host_only("what two lxmd say to each other")
def test_what_the_source_does_not_call_whole_is_not_kept(pair, box):
    """All bytes are there, but not its last word: it may have found that something went wrong."""
    a, b = pair
    box().stop()
    once = []

    def twist(name, way, data):
        if name == "control" and b'"done"' in data and not once:
            once.append(way)
            return data.replace(b'"done"', b'"dome"')
        return data

    errors = Transfer(a, b, "c1", "c2", relay={"twist": twist}).errors()
    assert once and "out of order" in errors[1], errors
    assert b.rest.read("instances") == [] and clean(b) == []


@pytest.mark.host_only("what two lxmd say to each other")
def test_damage_on_the_way_shows(pair, box):
    a, b = pair
    inst = box()
    inst.sh("dd if=/dev/zero of=/root/big bs=1M count=2 2>/dev/null")
    inst.stop()
    once = []

    def twist(name, way, data):
        if name == "fs" and way == "down" and not once and len(data) > 200000 and data.count(0) > 190000:
            once.append(1)
            return data[:100000] + bytes([data[100000] ^ 1]) + data[100001:]
        return data

    errors = Transfer(a, b, "c1", "c2", relay={"twist": twist}).errors()
    assert once and "checksum" in errors[0] and "checksum" in errors[1]
    assert b.rest.read("instances") == [] and clean(b) == []


# ---- the real client
@pytest.mark.host_only("what the client asks for and prints; the requests themselves are made above")
def test_lxc_copies_and_moves_between_remotes(pair, box):
    a, b = pair
    if subprocess.run(["which", "lxc"], capture_output=True).returncode:
        pytest.skip("lxc is not installed")
    inst = box()
    inst.sh("echo one > /root/a")
    for d, name in ((a, "r1"), (b, "r2")):
        token = d.rest.start_op("POST", "certificates", json={"name": f"lxc-{name}", "token": True, "type": "client"})
        meta = token["metadata"]
        import base64
        import json
        text = base64.b64encode(json.dumps({"client_name": f"lxc-{name}", "fingerprint": meta["fingerprint"], "addresses": meta["addresses"],
                                            "secret": meta["secret"], "expires_at": meta.get("expiresAt", "0001-01-01T00:00:00Z")}).encode()).decode()
        done = a.lxc("remote", "add", name, text)
        assert done.code == 0, done
    for n, mode in enumerate(("pull", "push", "relay")):
        done = a.lxc("copy", "r1:c1", f"r2:m{n}", f"--mode={mode}", "--stateless", timeout=30)
        assert done.code == 0, (mode, done)
        assert Instance(b, f"m{n}").start().sh("cat /root/a") == "one\n"
    inst.stop()
    mac = inst.get()["config"]["volatile.eth0.hwaddr"]
    done = a.lxc("move", "r1:c1", "r2:moved", timeout=30)
    assert done.code == 0, done
    assert a.rest.get("instances/c1").status == 404 and b.rest.read("instances/moved")["config"]["volatile.eth0.hwaddr"] == mac
    done = a.lxc("copy", "r2:moved", "r1:c1", "--refresh", timeout=30)
    assert done.code == 0, done
