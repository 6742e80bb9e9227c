"""Input that is wrong gets a clear error with the right status, and leaves nothing behind."""
import http.client
import json
import socket

import pytest

from harness import images
from harness.footprint import Footprint
from harness.images import Tar, busybox_tar as make_tar
from harness.instance import wait_until
from harness.rest import OperationFailed, unix_connect

pytestmark = pytest.mark.host_only("bad input is turned away before anything reaches the kernel")

HERE = {"type": "image", "alias": "testimage"}


@pytest.fixture(scope="module")
def used_image(session_daemon):
    """Not empty once an instance was made: the pool has unpacked the image then."""
    return []


@pytest.fixture(autouse=True)
def nothing_stays(daemon, image, instance, used_image):
    if not used_image:
        instance(start=False).delete()
        used_image.append(True)
    before = Footprint(daemon)
    yield
    wait_until(lambda: not Footprint(daemon).grown_since(before), 11,  # operations are kept 10 s
               lambda: "\n".join(Footprint(daemon).grown_since(before)))


@pytest.mark.parametrize("body", [b"{", b"[1,", b'{"name": "x"', b"\xff\xfe", b'{"a":1}{"b":2}', b"nonsense", b'"text"', b"[]", b'{"name": "a\\u0000b"}'])
def test_malformed_json_is_400(rest, body):
    reply = rest.post("instances", data=body, headers={"Content-Type": "application/json"})
    assert reply.status == 400, reply
    assert reply.error


@pytest.mark.parametrize("body", [
    {"name": 5, "source": HERE},
    {"name": "wrongtype", "source": HERE, "config": []},
    {"name": "wrongtype", "source": HERE, "config": {"limits.memory": {}}},
    {"name": "wrongtype", "source": HERE, "devices": {"eth0": "x"}},
    {"name": "wrongtype", "source": HERE, "profiles": "default"},
    {"name": "wrongtype", "source": "testimage"},
    {"name": "wrongtype"},
])
def test_wrong_types_are_400(rest, body):
    reply = rest.post("instances", body)
    assert reply.status == 400, reply


@pytest.mark.parametrize("config", [
    {"no.such.key": "1"}, {"limits.memory": "much"}, {"boot.autostart": "perhaps"}, {"limits.cpu": "x"},
    {"raw.idmap": "both x y"}, {"limits.processes": "-5"},
    {"environment.A=B": "1"}, {"environment.A": "a\nb"},
])
def test_bad_config_names_the_key(rest, config):
    assert next(iter(config)) in rest.refused("POST", "instances", {"name": "badconfig", "source": HERE, "config": config})


@pytest.mark.parametrize("device", [
    {"type": "nosuch"}, {}, {"type": "nic", "network": "no-such-network"}, {"type": "disk", "path": "/x", "no.such": "1"},
    {"type": "disk", "path": "../x", "source": "/"}, {"type": "nic", "nictype": "bridged", "parent": "x/y"},
])
def test_bad_devices_are_refused(rest, device):
    text = rest.refused("POST", "instances", {"name": "baddevice", "source": HERE, "devices": {"extra": device}}, (400, 404))
    assert "extra" in text


@pytest.mark.parametrize("name", ["a/b", "..", ".", "a\nb", "x" * 64, "x" * 5000, "é", "", "-a", "a-", "1a", "a_b", "a b", "a.b",
                                  "a%2fb", "\u202e"])
def test_bad_names_are_400(rest, name):
    reply = rest.post("instances", {"name": name, "source": HERE})
    if name == "":  # the server picks one
        assert reply.status == 202
        done = rest.wait(reply.metadata)
        rest.change("DELETE", done["resources"]["instances"][0])
        return
    assert reply.status == 400, reply
    assert "name" in reply.error.lower()


@pytest.mark.parametrize("path", ["instances/a%2F..%2Fb", "instances/%2e%2e", "instances/%00", "instances/%zz", "instances/a%0Ab",
                                  "images/..%2f..%2fetc", "profiles/%2e%2e%2fx", "networks/..", "storage-pools/%2e%2e",
                                  "operations/../../x", "instances/" + "x" * 20000])
def test_odd_paths_are_refused(rest, path):
    reply = rest.get(path)
    assert reply.status in (400, 404, 414), reply


def test_body_over_the_limit_is_refused(daemon, rest):
    """A client that announces or sends too much is stopped; the daemon does not keep it all."""
    blob = b'{"name": "big", "description": "' + b"x" * (48 << 20) + b'"}'
    try:
        reply = rest.post("instances", data=blob, headers={"Content-Type": "application/json"})
        assert reply.status in (400, 413), reply
    except (BrokenPipeError, ConnectionResetError):
        pass  # it hung up on us while we were still sending
    assert rest.read("/") == ["/1.0"]


def test_deep_json_is_refused(rest):
    reply = rest.post("instances", data=b'{"config":' + b"[" * 100000 + b"]" * 100000 + b"}",
                      headers={"Content-Type": "application/json"})
    assert reply.status == 400, reply


@pytest.mark.parametrize("start", [b"", b"GET /1.0", b"GET /1.0 HTTP/1.1\r\nHost: x\r\n",
                                   b"POST /1.0/instances HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{"])
def test_half_a_request_then_silence_holds_up_nobody(daemon, rest, start):
    silent = [unix_connect(daemon.socket) for _ in range(20)]
    try:
        for sock in silent:
            sock.sendall(start)
        assert rest.read("/") == ["/1.0"]
    finally:
        for sock in silent:
            sock.close()


@pytest.mark.parametrize("text", [b"\0" * 100, b"GET\r\n\r\n", b"GARBAGE " * 100 + b"\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n",
                                  b"GET / HTTP/1.1\r\n" + b"A: " + b"x" * 200000 + b"\r\n\r\n",
                                  b"POST /1.0/instances HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
                                  b"POST /1.0/instances HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"])
def test_not_quite_http(daemon, rest, text):
    sock = unix_connect(daemon.socket, 5)
    try:
        sock.sendall(text)
        sock.shutdown(socket.SHUT_WR)
        sock.recv(1000)
    except OSError:
        pass
    finally:
        sock.close()
    assert rest.read("/") == ["/1.0"]


# ---- images
def refused(rest, data):
    """Uploads what must not become an image; returns the text of the error."""
    before = rest.read("images")
    text = rest.refused("POST", "images", data=data, headers={"Content-Type": "application/octet-stream"})
    assert rest.read("images") == before
    assert text
    return text


@pytest.mark.parametrize("data", [b"", b"not an image", b"\x1f\x8b\x08\x00garbage", b"\0" * 20480, b"hsqs" + b"\xff" * 5000],
                         ids=["empty", "text", "gzip", "zeros", "squashfs"])
def test_what_is_not_an_image(rest, data):
    refused(rest, data)


def test_image_cut_short(rest, busybox_tar):
    refused(rest, images.compress(busybox_tar, "gzip")[:300000])


@pytest.mark.parametrize("metadata", ["", "- a\n- b\n", "architecture: [", "architecture: x86_64\n" * 2 + "a: &a [*a]\n",
                                      "creation_date: 1\n", "architecture: toaster\ncreation_date: 1\n"])
def test_bad_metadata(rest, metadata):
    refused(rest, make_tar(metadata=metadata))


def outside(tar):
    tar.link("rootfs/etc/evil", "/tmp")
    tar.add("rootfs/etc/evil/lxm-was-here", "x")


BAD_ENTRIES = {
    "absolute": lambda t: t.add("/tmp/lxm-was-here", "x"),
    "dotdot": lambda t: t.add("rootfs/../../../tmp/lxm-was-here", "x"),
    "dotdot-top": lambda t: t.add("../lxm-was-here", "x"),
    "through-symlink": outside,
    "relative-symlink": lambda t: t.link("rootfs/etc/up", "../../../..").add("rootfs/etc/up/tmp/lxm-was-here", "x"),
    "twice": lambda t: t.add("rootfs/etc/passwd", "evil:x:0:0::/:\n"),
    "symlink-twice": lambda t: t.link("rootfs/x", "/etc").link("rootfs/x", "/usr"),
    "hardlink-out": lambda t: t.add("rootfs/etc/h", type=b"1", linkname="../../../../etc/passwd"),
    "hardlink-absolute": lambda t: t.add("rootfs/etc/h", type=b"1", linkname="/etc/passwd"),
}


@pytest.mark.parametrize("kind", BAD_ENTRIES)
def test_archives_that_reach_out_are_refused_whole(rest, kind):
    import os

    refused(rest, make_tar(extra=BAD_ENTRIES[kind]))
    assert not os.path.exists("/tmp/lxm-was-here")


def test_device_nodes_of_an_image_are_left_out(rest, instance):
    data = make_tar(extra=lambda t: t.add("rootfs/etc/sda", type=b"4", devmajor=8, devminor=0)
                    .add("rootfs/etc/mem", type=b"3", devmajor=1, devminor=1).add("rootfs/etc/pipe", type=b"6"))
    fingerprint = images.import_image(rest, data, "devnodes")
    try:
        inst = instance(image="devnodes")
        assert inst.sh("ls /etc/sda /etc/mem 2>/dev/null; true") == ""
        assert inst.exec("mknod", "/root/null", "c", "1", "3").code != 0 or \
            inst.exec("sh", "-c", "echo x > /root/null").code != 0
        inst.remove()
    finally:
        rest.change("DELETE", f"images/{fingerprint}")


def test_image_without_init_says_so(rest):
    assert "init" in refused(rest, make_tar(init=False))


def test_instance_that_lost_its_init_says_so(instance):
    inst = instance()
    inst.sh("rm /sbin/init")
    inst.stop()
    with pytest.raises(OperationFailed) as failed:
        inst.start()
    assert "init" in failed.value.op["err"]
    assert inst.name in failed.value.op["err"]
    assert inst.status == "Stopped"
    inst.delete()


def test_unknown_image_is_404_or_fails_with_its_name(rest):
    text = rest.refused("POST", "instances", {"name": "noimage", "source": {"type": "image", "alias": "no-such-alias"}},
                        (400, 404))
    assert "no-such-alias" in text


def test_slow_reader_does_not_hold_up_others(daemon, rest):
    conn = http.client.HTTPConnection("unix.socket")
    conn.sock = unix_connect(daemon.socket)
    conn.request("GET", "/1.0/instances?recursion=2")
    assert json.loads(rest.get("/1.0").body)["type"] == "sync"
    conn.close()
