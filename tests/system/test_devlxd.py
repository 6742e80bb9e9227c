"""/dev/lxd/sock, the guest API: what an instance is told, whom it is not told, and what a guest cannot do to the daemon."""
import json
import struct
import subprocess
import time

from conftest import create
from harness import guest, images


def events_of(inst, query=""):
    """A listener on /1.0/events: the process, past its 101."""
    upgrade = (f"GET /1.0/events{query} HTTP/1.1\r\nHost: lxd\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
               "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n")
    proc = subprocess.Popen(guest.command(inst, guest.CLIENT), stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    proc.stdin.write(upgrade.encode())
    proc.stdin.close()
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        got = proc.stdout.read(1)
        assert got, head
        head += got
    assert head.startswith(b"HTTP/1.1 101 "), head
    assert b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" in head
    return proc


def next_event(proc):
    first, size = proc.stdout.read(2)
    assert first == 0x81, hex(first)
    if size == 126:
        size, = struct.unpack(">H", proc.stdout.read(2))
    return json.loads(proc.stdout.read(size))


def test_a_guest_reads_what_concerns_it(instance):
    inst = instance(config={"user.a": "blah", "cloud-init.user-data": "#cloud-config\n", "user.meta-data": "x: y\n",
                            "environment.SECRET": "no"})
    assert guest.read(inst, "/") == ["/1.0"]
    assert guest.read(inst, "/1.0") == {"api_version": "1.0", "location": "none", "instance_type": "container", "state": "Started"}
    assert guest.read(inst, "/1.0/config") == ["/1.0/config/cloud-init.user-data", "/1.0/config/user.a",
                                               "/1.0/config/user.meta-data"]
    assert guest.read(inst, "/1.0/config/user.a") == "blah"
    assert guest.read(inst, "/1.0/config/user%2Ea") == "blah"
    assert guest.read(inst, "/1.0/devices") == inst.get()["expanded_devices"]
    uuid = inst.get()["config"]["volatile.cloud-init.instance-id"]
    assert guest.read(inst, "/1.0/meta-data") == f"#cloud-config\ninstance-id: {uuid}\nlocal-hostname: {inst.name}\nx: y\n"
    for path, status in (("/1.0/config/user.b", 404), ("/1.0/config/environment.SECRET", 403), ("/1.0/config/volatile.uuid", 403),
                         ("/1.0/config/", 404), ("/1.0/config/a/b", 404), ("/2.0", 404), ("/1.0/config/%zz", 400),
                         ("/1.0/events", 400), ("/1.0/images/" + "0" * 64 + "/export", 403)):
        assert guest.get(inst, path).status == status, path
    for method in ("PUT", "POST", "DELETE", "PATCH"):
        assert guest.request(inst, method, "/1.0/config/user.a", body="x").status == 405
    assert inst.sh("readlink /dev/incus; stat -c %a /dev/lxd/sock").split() == ["lxd", "666"]


def test_a_connection_carries_many_requests(instance):
    inst = instance(config={"user.a": "blah"})
    one = b"GET /1.0/config/user.a HTTP/1.1\r\nHost: lxd\r\n\r\n"
    got = guest.raw(inst, one * 40 + b"HEAD /1.0/config/user.a HTTP/1.1\r\nConnection: close\r\n\r\n")
    assert got.count(b"HTTP/1.1 200 OK") == 41 and got.count(b"\r\n\r\nblah") == 40


def test_ready_is_told_and_forgotten(instance, rest, lxc):
    inst = instance()
    events = rest.events("lifecycle")
    for state in ("ready", "", 7):
        assert guest.request(inst, "PATCH", "/1.0", json.dumps({"state": state})).status == 400
    assert guest.request(inst, "PATCH", "/1.0", "no json").status == 400
    assert guest.request(inst, "PATCH", "/1.0", '{"state": "Ready"}').status == 200
    assert guest.read(inst, "/1.0")["state"] == "Ready"
    assert (inst.get()["status"], inst.get()["status_code"]) == ("Ready", 113)
    assert inst.state()["status"] == "Ready"
    ready = events.wait_for(lambda e: e["metadata"]["action"] == "instance-ready")
    assert ready["metadata"]["source"] == inst.path
    assert "READY" in lxc("list", inst.name, "-cs", "--format", "csv").out.upper()
    assert inst.exec("true").code == 0
    inst.restart()
    assert inst.status == "Running" and guest.read(inst, "/1.0")["state"] == "Started"
    guest.request(inst, "PATCH", "/1.0", '{"state": "Ready"}')
    inst.stop()
    assert inst.status == "Stopped"


def test_changes_are_told(instance, rest):
    inst = instance(config={"user.a": "1"})
    all_, devices = events_of(inst), events_of(inst, "?type=device")
    rest.change("PATCH", inst.path, {"config": {"user.a": "2", "security.protection.delete": "false"}})
    event = next_event(all_)
    assert event["type"] == "config" and "timestamp" in event
    assert event["metadata"] == {"key": "user.a", "old_value": "1", "value": "2"}
    network = inst.get()["expanded_devices"]["eth0"]["network"]
    rest.change("PATCH", inst.path, {"devices": {"more": {"type": "nic", "network": network, "name": "eth7"}}})
    for proc in (all_, devices):
        event = next_event(proc)
        assert (event["type"], event["metadata"]["action"], event["metadata"]["name"]) == ("device", "added", "more")
        assert event["metadata"]["config"]["name"] == "eth7"
    inst.stop()
    for proc in (all_, devices):
        assert proc.stdout.read() in (b"", b"\x88\x02\x03\xe8")
        proc.wait(10)


def test_devlxd_is_taken_away_and_comes_back(instance, rest):
    off = instance(config={"security.devlxd": "false"})
    assert off.exec("test", "-e", "/dev/lxd").code == 1
    rest.change("PATCH", off.path, {"config": {"security.devlxd": "true", "user.a": "b"}})
    assert guest.read(off, "/1.0/config/user.a") == "b"
    listener = events_of(off)
    rest.change("PATCH", off.path, {"config": {"security.devlxd": "false"}})
    assert off.exec("test", "-e", "/dev/lxd").code == 1
    listener.stdout.read()
    assert listener.wait(10) == 0
    # what a guest puts in the way leads nowhere
    off.sh("rm -rf /dev/lxd /dev/incus; mkdir /tmp/here; ln -s /tmp/here /dev/lxd; mkdir -p /dev/incus/x")
    bad = rest.request("PATCH", off.path, json={"config": {"security.devlxd": "true"}})
    assert bad.status >= 400, bad
    assert off.sh("ls /tmp/here") == ""
    off.sh("rm /dev/lxd")
    rest.change("PATCH", off.path, {"config": {"security.devlxd": ""}})
    assert guest.read(off, "/1.0/config/user.a") == "b"


def test_images_only_where_they_are_allowed(instance, rest, image):
    inst = instance(config={"security.devlxd.images": "true"})
    found = rest.read(f"images/{rest.read(f'images/aliases/{image}')['target']}")
    path = f"/1.0/images/{found['fingerprint']}/export"
    assert guest.get(inst, path).status == 404  # neither public nor cached
    rest.change("PATCH", f"images/{found['fingerprint']}", {"public": True})
    try:
        whole = rest.get(f"images/{found['fingerprint']}/export").body
        head, _, body = guest.raw(inst, f"GET {path} HTTP/1.1\r\n\r\n".encode()).partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200 OK") and body == whole
        for now, status in (("false", 403), ("true", 200), ("", 403)):
            rest.change("PATCH", inst.path, {"config": {"security.devlxd.images": now}})
            assert guest.raw(inst, f"GET {path} HTTP/1.1\r\nHost: lxd\r\nConnection: close\r\n\r\n".encode()).startswith(b"HTTP/1.1 %d " % status), now
    finally:
        rest.change("PATCH", f"images/{found['fingerprint']}", {"public": False})


def test_sixteen_silent_clients_wait_for_their_own_instance_only(instance, rest):
    """A flood fills the connections of one guest; the API and the other guests do not notice."""
    noisy, quiet = instance(config={"user.a": "n"}), instance(config={"user.a": "q"})
    flood = r'''
import socket, sys
held = []
for _ in range(16 + 8):
    s = socket.socket(socket.AF_UNIX)
    s.setblocking(False)
    try:
        s.connect(sys.argv[1])
    except BlockingIOError:
        break
    held.append(s)
print(len(held), flush=True)
sys.stdin.read()
'''
    proc = subprocess.Popen(guest.command(noisy, flood), stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert int(proc.stdout.readline()) >= 16
    assert guest.read(quiet, "/1.0/config/user.a") == "q"
    assert rest.read(noisy.path)["status"] == "Running"
    proc.stdin.close()
    proc.wait(10)
    assert guest.read(noisy, "/1.0/config/user.a") == "n"


def test_it_works_on_after_lxmd_was_killed(own_daemon, busybox_tar):
    images.import_image(own_daemon.rest, busybox_tar, "testimage")
    inst = create(own_daemon, "testimage", name="kept", config={"user.a": "1"})
    pid = inst.pid
    assert guest.request(inst, "PATCH", "/1.0", '{"state": "Ready"}').status == 200
    own_daemon.kill()
    # a client that comes meanwhile waits, and is answered
    ask = b"GET /1.0/config/user.a HTTP/1.1\r\nConnection: close\r\n\r\n"
    proc = subprocess.Popen(guest.command(pid, guest.CLIENT), stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    proc.stdin.write(ask)
    proc.stdin.close()
    time.sleep(0.2)
    own_daemon.start()
    assert guest.parse(proc.stdout.read()).text == "1"
    assert inst.pid == pid and inst.status == "Ready"
    assert guest.read(inst, "/1.0")["state"] == "Ready"
    assert proc.wait(10) == 0
    inst.stop().delete()

