"""Images between two lxmd over TLS, pulled and pushed, by REST, by the real lxc and across a kill; slots and their secrets."""
import http.client
import json
import shutil
import socket
import ssl
from urllib.parse import urlsplit

import pytest

from harness import images, imageserver
from harness.daemon import Daemon
from harness.instance import fresh_name, wait_until
from harness.rest import OperationFailed

pytestmark = pytest.mark.host_only("two lxmd on the loopback")

needs_lxc = pytest.mark.skipif(not shutil.which("lxc"), reason="the package lxd-client is not installed")


def tagged(text):
    return images.busybox_tar(metadata=images.METADATA.replace("system tests", text))


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


@pytest.fixture(scope="module")
def peer():
    """A second lxmd that listens on TLS; peer.url and peer.certificate tell how to reach it."""
    other = Daemon("peer")
    try:
        other.start()
        other.url = f"https://127.0.0.1:{free_port()}"
        other.rest.change("PATCH", "/1.0", {"config": {"core.https_address": other.url[len("https://"):]}})
        other.certificate = other.rest.read("/1.0")["environment"]["certificate"]
        yield other
        assert other.alive(), f"lxmd died\n{other.log_tail()}"
    finally:
        problems = other.discard()
        assert not problems, "\n".join(problems)


@pytest.fixture
def clean(rest, peer):
    """Images that a test brings go from both servers."""
    before = set(rest.read("images"))
    yield
    for url in set(rest.read("images")) - before:
        rest.change("DELETE", url)
    for url in peer.rest.read("images"):
        peer.rest.change("DELETE", url)


def source_of(peer, **more):
    return {"source": {"type": "image", "mode": "pull", "server": peer.url, "protocol": "lxd", "certificate": peer.certificate, **more}}


def stranger(peer, method, path, body=None, headers=None):
    """A request over TLS without a client certificate; (status, parsed body)."""
    url = urlsplit(peer.url)
    conn = http.client.HTTPSConnection(url.hostname, url.port, timeout=20, context=ssl._create_unverified_context())
    try:
        conn.request(method, path, body, headers or {})
        answer = conn.getresponse()
        return answer.status, json.loads(answer.read())
    finally:
        conn.close()


@pytest.mark.parametrize("split", [False, True])
def test_public_image_is_pulled_by_alias(rest, peer, clean, split):
    data = tagged("pulled")
    if split:
        meta, root = imageserver.split("pulled in two")
        mark = "BOUND"
        body = b"".join(f'--{mark}\r\nContent-Disposition: form-data; name="{n}"; filename="{n}"\r\n\r\n'.encode() + d + b"\r\n"
                        for n, d in (("metadata", meta), ("rootfs", root))) + f"--{mark}--\r\n".encode()
        op = peer.rest.start_op("POST", "images", data=body, headers={"Content-Type": f"multipart/form-data; boundary={mark}",
                                                                      "X-LXD-public": "1"})
        fp = peer.rest.wait(op)["metadata"]["fingerprint"]
        peer.rest.change("POST", "images/aliases", {"name": "web/1", "target": fp})
    else:
        fp = images.import_image(peer.rest, data, "web/1", public=True)
    done = rest.change("POST", "images", source_of(peer, alias="web/1"))
    assert done["metadata"]["fingerprint"] == fp
    mine, theirs = rest.read(f"images/{fp}"), peer.rest.read(f"images/{fp}")
    assert mine["properties"] == theirs["properties"] and mine["size"] == theirs["size"]
    assert mine["update_source"]["alias"] == "web/1"
    assert rest.wait(rest.start_op("POST", f"images/{fp}/refresh", json={}))["metadata"]["refreshed"] is False


def test_private_image_needs_a_secret(rest, peer, clean):
    fp = images.import_image(peer.rest, tagged("private"), "hidden")
    for source in ({"alias": "hidden"}, {"fingerprint": fp}, {"fingerprint": fp, "secret": "a" * 64}):
        with pytest.raises(OperationFailed, match="no image"):
            rest.change("POST", "images", source_of(peer, **source))
    secret = peer.rest.start_op("POST", f"images/{fp}/secret", json={})["metadata"]["secret"]
    done = rest.change("POST", "images", source_of(peer, fingerprint=fp, secret=secret))
    assert done["metadata"]["fingerprint"] == fp


def test_wrong_certificate_ends_it(rest, peer, clean, tmp_path):
    other = imageserver.make_certificate(tmp_path)[1]
    with pytest.raises(OperationFailed, match="another certificate"):
        rest.change("POST", "images", source_of(peer, alias="web", certificate=other))


def test_launch_from_another_server(rest, peer, clean, daemon):
    fp = images.import_image(peer.rest, tagged("launched"), "web", public=True)
    name = fresh_name()
    rest.change("POST", "instances", {"name": name, **source_of(peer, alias="web"), "start": True})
    assert rest.read(f"instances/{name}")["config"]["volatile.base_image"] == fp
    assert rest.read(f"images/{fp}")["cached"]
    rest.change("PUT", f"instances/{name}/state", {"action": "stop", "force": True, "timeout": 5})
    rest.change("DELETE", f"instances/{name}")


# ---- pushing
def slot(peer, fp, **body):
    return peer.rest.start_op("POST", "images", json={**body, "source": {"type": "", "mode": "push", "fingerprint": fp}})


@pytest.mark.parametrize("split", [False, True])
def test_push_into_a_slot(rest, peer, clean, split):
    if split:
        meta, root = imageserver.split("pushed in two")
        mark = "BOUND"
        body = b"".join(f'--{mark}\r\nContent-Disposition: form-data; name="{n}"; filename="{n}"\r\n\r\n'.encode() + d + b"\r\n"
                        for n, d in (("metadata", meta), ("rootfs", root))) + f"--{mark}--\r\n".encode()
        op = rest.start_op("POST", "images", data=body, headers={"Content-Type": f"multipart/form-data; boundary={mark}"})
        fp = rest.wait(op)["metadata"]["fingerprint"]
    else:
        fp = images.import_image(rest, tagged("pushed"))
    op = slot(peer, fp, aliases=[{"name": "came"}], public=True, properties={"note": "slot"})
    assert op["class"] == "token" and op["status"] == "Running"
    secret = op["metadata"]["secret"]
    rest.change("POST", f"images/{fp}/export", {"target": peer.url, "secret": secret, "certificate": peer.certificate,
                                                "profiles": ["default"]})
    got = peer.rest.read(f"images/{fp}")
    assert got["public"] and got["aliases"][0]["name"] == "came" and got["properties"]["note"] == "slot"
    assert got["properties"]["os"] == "busybox"
    assert peer.rest.read(f"operations/{op['id']}")["status"] == "Success"
    # used up
    with pytest.raises(OperationFailed, match="no slot"):
        rest.change("POST", f"images/{fp}/export", {"target": peer.url, "secret": secret, "certificate": peer.certificate})


def test_push_without_or_with_a_cancelled_slot(rest, peer, clean):
    fp = images.import_image(rest, tagged("unwanted"))
    to = {"target": peer.url, "certificate": peer.certificate}
    with pytest.raises(OperationFailed, match="no slot"):
        rest.change("POST", f"images/{fp}/export", {**to, "secret": "a" * 64})
    op = slot(peer, fp)
    peer.rest.change("DELETE", f"operations/{op['id']}")
    with pytest.raises(OperationFailed, match="no slot"):
        rest.change("POST", f"images/{fp}/export", {**to, "secret": op["metadata"]["secret"]})
    assert peer.rest.read("images") == []


@pytest.mark.parametrize("change", [{"secret": ""}, {"secret": "not hex"}, {"target": "http://127.0.0.1"}, {"target": ""}, {"target": 5}])
def test_bad_targets_are_refused_at_once(rest, image, change):
    fp = rest.read(f"images/aliases/{image}")["target"]
    assert rest.post(f"images/{fp}/export", {"target": "https://h", "secret": "ab", **change}).status == 400


def test_bad_slots_are_refused(rest):
    for source in ({}, {"fingerprint": "abc"}, {"fingerprint": "A" * 64}):
        assert rest.post("images", {"source": {"type": "", "mode": "push", **source}}).status == 400


def test_strangers_get_nothing_out_of_a_slot(peer, clean):
    data = tagged("stranger")
    fp = imageserver.sha(data)
    secret = slot(peer, fp)["metadata"]["secret"]
    right = {"X-LXD-fingerprint": fp, "X-LXD-secret": secret, "Content-Type": "application/octet-stream"}
    for headers in ({}, {**right, "X-LXD-secret": "b" * 64}, {**right, "X-LXD-fingerprint": "c" * 64}, {"X-LXD-secret": secret}):
        status, answer = stranger(peer, "POST", "/1.0/images", data, headers)
        assert status == 403 and answer["error"] == "not authorized"
    # the secret opens an upload, not the rest of the path's verbs
    evil = json.dumps({"source": {"type": "template", "name": "busybox"}}).encode()
    for kind in ("application/json", None):
        headers = {k: v for k, v in {**right, "Content-Type": kind}.items() if v}
        assert stranger(peer, "POST", "/1.0/images", evil, headers)[0] == 403
    assert stranger(peer, "POST", f"/1.0/images/{fp}/refresh", b"{}", right)[0] == 403
    # what comes must be what the slot waits for; the rest of the headers says nothing
    status, answer = stranger(peer, "POST", "/1.0/images?project=nowhere", data,
                              {**right, "X-LXD-public": "1", "X-LXD-aliases": "alias=mine", "X-LXD-properties": "os=evil"})
    assert status == 202
    op = answer["metadata"]
    path = f"/1.0/operations/{op['id']}/wait?timeout=20"
    assert stranger(peer, "GET", path)[0] in (403, 404)
    status, answer = stranger(peer, "GET", f"{path}&secret={op['metadata']['secret']}")
    assert status == 200 and answer["metadata"]["status"] == "Success"
    got = peer.rest.read(f"images/{fp}")
    assert not got["public"] and got["aliases"] == [] and got["properties"]["os"] == "busybox"
    assert stranger(peer, "POST", "/1.0/images", data, right)[0] == 403


def test_slot_takes_no_other_image(peer, clean):
    fp = "d" * 64
    secret = slot(peer, fp)["metadata"]["secret"]
    status, answer = stranger(peer, "POST", "/1.0/images", tagged("other"), {
        "X-LXD-fingerprint": fp, "X-LXD-secret": secret, "Content-Type": "application/octet-stream"})
    assert status == 202
    op = answer["metadata"]
    answer = stranger(peer, "GET", f"/1.0/operations/{op['id']}/wait?timeout=20&secret={op['metadata']['secret']}")[1]
    assert answer["metadata"]["status"] == "Failure" and peer.rest.read("images") == []


# ---- the real client
@needs_lxc
@pytest.mark.parametrize("mode", ["pull", "push", "relay"])
def test_lxc_image_copy(daemon, lxc, rest, peer, clean, mode):
    if "peer" not in lxc("remote", "list", check=True).out:
        token = peer.lxc("config", "trust", "add", "--name", "client", "-q", check=True).out.split()[-1]
        lxc("remote", "add", "peer", token, check=True)
    if mode == "pull":
        fp = images.import_image(peer.rest, tagged("by lxc, pull"), "src")
        lxc("image", "copy", "peer:src", "local:", "--alias", "dst", "--auto-update", check=True)
        assert rest.read("images/aliases/dst")["target"] == fp
        lxc("image", "refresh", "local:dst", check=True)
        rest.change("DELETE", f"images/{fp}")
        name = fresh_name()
        lxc("launch", "peer:src", name, timeout=60, check=True)
        assert rest.read(f"images/{fp}")["cached"]
        lxc("delete", "-f", name, check=True)
    else:
        fp = images.import_image(rest, tagged(f"by lxc, {mode}"), f"src-{mode}")
        lxc("image", "copy", f"local:src-{mode}", "peer:", "--alias", "dst", "--copy-aliases", f"--mode={mode}", check=True)
        assert peer.rest.read("images/aliases/dst")["target"] == fp
        assert peer.rest.read(f"images/aliases/src-{mode}")["target"] == fp
