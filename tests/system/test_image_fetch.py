"""Images from other servers: simplestreams, the REST API of another server, direct addresses; and what hostile ones try."""
import json
import os
import ssl
import threading
import time

import pytest

from harness import images, imageserver
from harness.daemon import SLOW
from harness.instance import fresh_name, wait_until
from harness.rest import OperationFailed
from harness.tls import Certificate

pytestmark = pytest.mark.host_only("HTTP clients on the loopback; the walls around lxm-fetch: test_fetch_walls.py")


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    return imageserver.make_certificate(tmp_path_factory.mktemp("cert"))


@pytest.fixture
def server(certificate):
    made = imageserver.Server(*certificate)
    yield made
    made.close()


@pytest.fixture(scope="module")
def parts(busybox_tar):
    """parts("text") -> (metadata, root): the two files of an image; each text is built once."""
    made = {}

    def get(text):
        if text not in made:
            made[text] = imageserver.split(text)
        return made[text]

    return get


@pytest.fixture
def pull(rest, server):
    """pull(alias="x", ...) asks for an image of `server` and returns the finished operation; what came is gone after the test."""
    before = set(rest.read("images"))

    def go(start_only=False, body=None, **source):
        source = {"type": "image", "mode": "pull", "server": server.url, "protocol": "simplestreams",
                  "certificate": server.certificate, **source}
        op = rest.start_op("POST", "images", json={**(body or {}), "source": source})
        return op if start_only else rest.wait(op)

    yield go
    for url in set(rest.read("images")) - before:
        rest.change("DELETE", url)


def scratch(daemon):
    """Files in the cache, also those without a name."""
    return os.listdir(daemon.dir / "cache")


def fetchers(daemon):
    """Processes of lxm-fetch that are children of this daemon."""
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/stat") as f:
                stat = f.read()
        except OSError:
            continue
        name, rest_of = stat[stat.index("(") + 1:stat.rindex(")")], stat[stat.rindex(")") + 2:].split()
        if name == "lxm-fetch" and int(rest_of[1]) == daemon.proc.pid and rest_of[0] != "Z":
            found.append(int(pid))
    return found


# ---- simplestreams
def test_streams_alias_gives_the_newest_version_with_its_source(rest, server, pull, parts):
    tree = imageserver.Streams()
    tree.add("bb/1,bb/one", "20240101_00:00", *parts("old"))
    new = tree.add("bb/1,bb/one", "20240202_00:00", *parts("new"))
    tree.add("bb/1,bb/one", "20240303_00:00", *parts("old"), arch="arm64")
    server.routes = tree.routes()
    done = pull(alias="bb/one", body={"aliases": [{"name": "fromstreams"}], "auto_update": True, "properties": {"note": "mine"}})
    assert done["metadata"]["fingerprint"] == new
    im = rest.read(f"images/{new}")
    assert im["update_source"] == {"server": server.url, "protocol": "simplestreams", "alias": "bb/one",
                                   "certificate": server.certificate, "image_type": "container"}
    assert im["auto_update"] and not im["cached"] and im["aliases"][0]["name"] == "fromstreams"
    assert im["properties"]["serial"] == "20240202_00:00" and im["properties"]["note"] == "mine"
    assert im["size"] == sum(map(len, parts("new")))
    assert rest.read("images/aliases/fromstreams")["target"] == new


def test_streams_alias_in_the_field_fingerprint_and_a_fingerprint_in_it(rest, server, pull, parts):
    tree = imageserver.Streams()
    old = tree.add("bb/1", "20240101_00:00", *parts("old"))
    new = tree.add("bb/1", "20240202_00:00", *parts("new"))
    server.routes = tree.routes()
    assert pull(fingerprint="bb/1")["metadata"]["fingerprint"] == new
    assert pull(fingerprint=old)["metadata"]["fingerprint"] == old
    assert "update_source" not in rest.read(f"images/{old}")
    assert pull(alias=new[:14])["metadata"]["fingerprint"] == new


def test_streams_architecture_by_suffix(rest, server, pull, parts):
    tree = imageserver.Streams()
    tree.add("bb/1", "20240101_00:00", *parts("old"))
    arm = tree.add("bb/1", "20240101_00:00", *parts("new"), arch="arm64")
    server.routes = tree.routes()
    assert pull(alias="bb/1/arm64")["metadata"]["fingerprint"] == arm
    rest.change("PATCH", "/1.0", {"config": {"images.default_architecture": "arm64"}})
    try:
        assert pull(alias="bb/1")["metadata"]["fingerprint"] == arm
    finally:
        rest.change("PATCH", "/1.0", {"config": {"images.default_architecture": ""}})


def test_what_is_there_is_not_downloaded_again(rest, server, pull, parts):
    tree = imageserver.Streams()
    fp = tree.add("bb/1", "20240101_00:00", *parts("old"))
    server.routes = tree.routes()
    pull(alias="bb/1")
    before = len([p for p in server.paths() if p.startswith("/images/")])
    assert pull(alias="bb/1")["metadata"]["fingerprint"] == fp
    assert len([p for p in server.paths() if p.startswith("/images/")]) == before == 2


def test_requests_for_one_image_share_the_download(rest, server, pull, parts):
    tree = imageserver.Streams()
    tree.add("bb/1", "20240101_00:00", *parts("old"))
    routes = tree.routes()
    go = threading.Event()
    path = next(p for p in routes if p.endswith("/root.tar.xz"))

    def later(handler):
        go.wait(20)
        handler.answer(200, routes[path])

    server.routes = {**routes, path: later}
    ops = [pull(start_only=True, alias="bb/1") for _ in range(4)]
    wait_until(lambda: any(p == path for p in server.paths()))
    go.set()
    fps = {rest.wait(op)["metadata"]["fingerprint"] for op in ops}
    assert len(fps) == 1
    assert server.paths().count(path) == 1


@pytest.mark.parametrize("change, says", [
    ({"root_sha256": "0" * 64}, "SHA-256"),
    ({"combined": "1" * 64}, "fingerprint"),
    ({"root_size": 10}, "longer"),
    ({"root_size": 10 ** 9}, "announced"),
])
def test_streams_file_that_is_not_what_was_announced(rest, server, pull, parts, daemon, change, says):
    tree = imageserver.Streams()
    tree.add("bb/1", "20240101_00:00", *parts("old"), **change)
    server.routes = tree.routes()
    images_before, cache = rest.read("images"), scratch(daemon)
    with pytest.raises(OperationFailed, match=says):
        pull(alias="bb/1")
    assert rest.read("images") == images_before and scratch(daemon) == cache
    assert not fetchers(daemon)


def test_torn_download_leaves_nothing(rest, server, pull, parts, daemon):
    tree = imageserver.Streams()
    tree.add("bb/1", "20240101_00:00", *parts("old"))
    routes = tree.routes()
    path = next(p for p in routes if p.endswith("/root.tar.xz"))

    def torn(handler):
        handler.answer(200, routes[path][:1000], length=len(routes[path]))
        handler.close_connection = True

    server.routes = {**routes, path: torn}
    with pytest.raises(OperationFailed, match="broke the connection off"):
        pull(alias="bb/1")
    assert scratch(daemon) == []


def test_hostile_answers_are_bounded_and_told_apart(rest, server, pull):
    def endless(handler):
        handler.send_response(200)
        handler.end_headers()
        handler.close_connection = True
        while True:
            handler.wfile.write(b" " * 65536)

    cases = {
        b"{": "not JSON",
        b"[]": "no 'index'",
        b'{"index":{}}': "no container image",
        b"[" * 100000: "not JSON",
        endless: "larger than 1024 KiB",
        lambda h: h.answer(302, Location="/streams/v1/index.json"): "redirects",
        lambda h: h.answer(302, Location="file:///etc/passwd"): "not https",
        lambda h: h.answer(302, Location="http://127.0.0.1:1/"): "not https",
        lambda h: h.answer(500, b"SECRET-TEXT"): "status 500",
        lambda h: h.answer(404, b"SECRET-TEXT"): "not found",
    }
    for route, says in cases.items():
        server.routes = {"/streams/v1/index.json": route}
        with pytest.raises(OperationFailed, match=says) as failed:
            pull(alias="bb/1")
        assert "SECRET" not in str(failed.value)


def test_nothing_of_a_foreign_answer_gets_into_the_error(rest, server, pull):
    server.routes = {"/streams/v1/index.json": b"root:x:0:0:SECRET"}
    with pytest.raises(OperationFailed) as failed:
        pull(alias="bb/1")
    assert "root" not in str(failed.value) and "SECRET" not in str(failed.value)


def test_certificate_is_pinned_whole(rest, server, pull, parts, tmp_path):
    tree = imageserver.Streams()
    tree.add("bb/1", "20240101_00:00", *parts("old"))
    server.routes = tree.routes()
    other = imageserver.make_certificate(tmp_path)[1]
    like = bytearray(ssl.PEM_cert_to_DER_cert(server.certificate))
    like[-1] ^= 1  # of the signature: as long as the right one, and from the same key
    for wrong in (other, ssl.DER_cert_to_PEM_cert(like)):
        with pytest.raises(OperationFailed, match="another certificate"):
            pull(alias="bb/1", certificate=wrong)
    with pytest.raises(OperationFailed, match="not trusted"):
        pull(alias="bb/1", certificate="")
    assert server.seen == []
    with pytest.raises(OperationFailed, match="given is none"):
        pull(alias="bb/1", certificate="nonsense")


def test_a_pinned_certificate_has_its_time(pull, tmp_path):
    late = Certificate(tmp_path, "late", days=-1)
    both = tmp_path / "late.pem"
    both.write_text(late.key.read_text() + late.pem)
    old = imageserver.Server(both, late.pem)
    try:
        with pytest.raises(OperationFailed, match="certificate"):
            pull(alias="bb/1", server=old.url, certificate=late.pem)
        assert old.seen == []
    finally:
        old.close()


@pytest.mark.parametrize("change", [
    {"server": "http://127.0.0.1:1"}, {"server": "file:///etc"}, {"server": "https://user:pw@127.0.0.1"}, {"server": "https://"},
    {"server": "https://h/?x"}, {"server": "https://h h"}, {"protocol": "gopher"}, {"alias": ""}, {"alias": "x" * 1000},
    {"server": "https://" + "h" * 5000}, {"image_type": "virtual-machine"}, {"server": 5},
])
def test_bad_sources_are_refused_at_once(rest, server, change):
    source = {"type": "image", "mode": "pull", "server": server.url, "protocol": "simplestreams", "alias": "x", **change}
    assert rest.post("images", {"source": source}).status == 400
    assert rest.post("instances", {"name": "never", "source": source}).status == 400


def slow_server(server, parts):
    """An image whose second file never ends; returns the event that lets it go on."""
    tree = imageserver.Streams()
    tree.add("bb/1", "20240101_00:00", *parts("old"))
    routes = tree.routes()
    path = next(p for p in routes if p.endswith("/root.tar.xz"))
    go = threading.Event()

    def slow(handler):
        handler.answer(200, routes[path][:100000], length=len(routes[path]))
        handler.wfile.flush()
        go.wait(60)

    server.routes = {**routes, path: slow}
    return go


def started(rest, op):
    """Waits until bytes come; the operation's metadata."""
    return wait_until(lambda: (lambda m: m if "download_progress" in m else None)(
        rest.read(f"operations/{op['id']}")["metadata"] or {}))


def test_cancel_and_progress(rest, server, pull, parts, daemon):
    go = slow_server(server, parts)
    op = pull(start_only=True, alias="bb/1")
    assert started(rest, op)["download_progress"].startswith("rootfs: ")
    assert fetchers(daemon)
    assert rest.delete(f"operations/{op['id']}").status == 200
    with pytest.raises(OperationFailed):
        rest.wait(op)
    assert rest.read(f"operations/{op['id']}")["status"] == "Cancelled"
    assert not fetchers(daemon) and scratch(daemon) == []
    go.set()


def test_killed_daemon_leaves_nothing_of_a_download(own_daemon, server, parts):
    go = slow_server(server, parts)
    rest = own_daemon.rest
    before = set(os.listdir(own_daemon.dir / "images"))
    op = rest.start_op("POST", "images", json={"source": {
        "type": "image", "mode": "pull", "server": server.url, "protocol": "simplestreams", "certificate": server.certificate,
        "alias": "bb/1"}})
    started(rest, op)
    (pid,) = fetchers(own_daemon)
    own_daemon.kill()
    wait_until(lambda: not os.path.exists(f"/proc/{pid}"))
    assert set(os.listdir(own_daemon.dir / "images")) == before
    own_daemon.start()
    assert own_daemon.rest.read("images") == [] and scratch(own_daemon) == []
    go.set()


# ---- instances
def remove(rest, name):
    rest.request("PUT", f"instances/{name}/state", json={"action": "stop", "force": True, "timeout": 5})
    wait_until(lambda: rest.read(f"instances/{name}")["status"] == "Stopped")
    rest.change("DELETE", f"instances/{name}")


def test_launch_from_a_server_caches_the_image(rest, server, pull, parts):
    tree = imageserver.Streams()
    fp = tree.add("bb/1", "20240101_00:00", *parts("old"))
    server.routes = tree.routes()
    source = {"type": "image", "mode": "pull", "server": server.url, "protocol": "simplestreams", "alias": "bb/1",
              "certificate": server.certificate}
    first, second = fresh_name(), fresh_name()
    rest.change("POST", "instances", {"name": first, "source": source, "start": True})
    im = rest.read(f"images/{fp}")
    assert im["cached"] and im["auto_update"]
    got = rest.read(f"instances/{first}")
    assert got["status"] == "Running" and got["config"]["image.serial"] == "20240101_00:00"
    assert got["config"]["volatile.base_image"] == fp and got["profiles"] == ["default"]
    # it is kept fresh by the clock: the second one asks nobody
    asked = len(server.seen)
    rest.change("POST", "instances", {"name": second, "source": source})
    assert len(server.seen) == asked
    # what one certificate has vouched for is not given to who expects another one
    rest.refused("POST", "instances", {"name": fresh_name(), "source": {**source, "certificate": ""}})
    # who wants the image itself keeps it
    pull(alias="bb/1")
    assert not rest.read(f"images/{fp}")["cached"]
    for name in (first, second):
        remove(rest, name)


def test_launch_that_cannot_fetch_leaves_no_instance(rest, server):
    server.routes = {}
    name = fresh_name()
    with pytest.raises(OperationFailed, match="index.json not found"):
        rest.change("POST", "instances", {"name": name, "source": {
            "type": "image", "mode": "pull", "server": server.url, "protocol": "simplestreams", "alias": "bb/1",
            "certificate": server.certificate}})
    assert rest.get(f"instances/{name}").status == 404


# ---- direct
def test_direct_url(rest, server, pull):
    data = images.busybox_tar(metadata=images.METADATA.replace("system tests", "direct"))
    fp = imageserver.sha(data)
    server.routes = {"/offer": lambda h: h.answer(200, b"", LXD_Image_Hash=fp, LXD_Image_URL=f"{server.url}/file"),
                     "/file": data}
    assert pull(type="url", url=f"{server.url}/offer", protocol="direct")["metadata"]["fingerprint"] == fp
    assert [s[0] for s in server.seen] == ["HEAD", "GET"]
    assert rest.read(f"images/{fp}")["update_source"]["protocol"] == "direct"


@pytest.mark.parametrize("headers, body, says", [
    ({}, b"", "offers no image"),
    ({"LXD_Image_Hash": "xyz", "LXD_Image_URL": "https://h/"}, b"", "offers no image"),
    ({"LXD_Image_Hash": "0" * 64, "LXD_Image_URL": "file:///etc/passwd"}, b"", "must be an address"),
    ({"LXD_Image_Hash": "0" * 64, "LXD_Image_URL": "HERE"}, b"no image", "SHA-256"),
])
def test_direct_url_that_offers_nothing_good(rest, server, pull, headers, body, says):
    headers = {k: v.replace("HERE", f"{server.url}/file") for k, v in headers.items()}
    server.routes = {"/offer": lambda h: h.answer(200, b"", **headers), "/file": body}
    with pytest.raises(OperationFailed, match=says):
        pull(type="url", url=f"{server.url}/offer", protocol="direct")


# ---- the REST API of another server
def lxd_routes(meta, root=None, alias="web", secret=None, **image):
    """What an LXD answers for one image, open to all or by a secret."""
    fp = imageserver.sha(meta, root or b"")
    body = {"fingerprint": fp, "type": "container", "architecture": "x86_64", "size": len(meta) + len(root or b""),
            "properties": {"os": "busybox", "note": "of the server"}, "public": secret is None, **image}
    mark = "BOUNDARY"

    def sync(handler, metadata):
        if secret and handler.query.get("secret") != secret:
            return handler.answer(404, b'{"type":"error","error_code":404,"error":"SECRET"}')
        return handler.answer(200, json.dumps({"type": "sync", "status_code": 200, "metadata": metadata}).encode())

    def export(handler):
        if secret and handler.query.get("secret") != secret:
            return handler.answer(404, b"{}")
        if root is None:
            return handler.answer(200, meta, Content_Type="application/octet-stream")
        parts = [("metadata", "meta.tar.gz", meta), ("rootfs", "root.tar.gz", root)]
        data = b"".join(f'--{mark}\r\nContent-Disposition: form-data; name="{n}"; filename="{f}"\r\n'
                        f'Content-Type: application/octet-stream\r\n\r\n'.encode() + d + b"\r\n" for n, f, d in parts)
        return handler.answer(200, data + f"--{mark}--\r\n".encode(), Content_Type=f"multipart/form-data; boundary={mark}")

    return fp, {f"/1.0/images/aliases/{alias}": lambda h: sync(h, {"name": alias, "target": fp}),
                f"/1.0/images/{fp}": lambda h: sync(h, body), f"/1.0/images/{fp}/export": export}


@pytest.mark.parametrize("protocol, whole", [("lxd", True), ("incus", False)])
def test_image_of_another_server_by_alias(rest, server, pull, parts, protocol, whole):
    data = (images.busybox_tar(metadata=images.METADATA.replace("system tests", protocol)),) if whole else parts("old")
    fp, server.routes = lxd_routes(*data)
    assert pull(protocol=protocol, alias="web")["metadata"]["fingerprint"] == fp
    im = rest.read(f"images/{fp}")
    assert im["properties"]["note"] == "of the server" and im["update_source"]["alias"] == "web"
    assert im["update_source"]["protocol"] == protocol


def test_private_image_of_another_server_by_secret(rest, server, pull, parts):
    fp, server.routes = lxd_routes(*parts("old"), secret="5ec")
    with pytest.raises(OperationFailed, match="opened by that secret"):
        pull(protocol="lxd", fingerprint=fp, secret="bad")
    with pytest.raises(OperationFailed, match="public"):
        pull(protocol="lxd", fingerprint=fp)
    assert pull(protocol="lxd", fingerprint=fp, secret="5ec")["metadata"]["fingerprint"] == fp
    assert "update_source" not in rest.read(f"images/{fp}")


def test_image_of_another_server_that_never_ends(rest, server, pull, parts, daemon):
    def endless(handler):
        handler.send_response(200)
        handler.send_header("Content-Type", "application/octet-stream")
        handler.end_headers()
        handler.close_connection = True
        while True:
            handler.wfile.write(b"x" * 65536)

    fp, routes = lxd_routes(*parts("old"))
    server.routes = {**routes, f"/1.0/images/{fp}/export": endless}
    with pytest.raises(OperationFailed, match="longer than what was announced"):
        pull(protocol="lxd", alias="web")
    assert scratch(daemon) == []


def test_server_that_lies_about_the_fingerprint(rest, server, pull, parts, daemon):
    fp, routes = lxd_routes(*parts("old"))
    real = routes[f"/1.0/images/{fp}/export"]
    other = "a" * 64
    server.routes = {"/1.0/images/aliases/web": lambda h: h.answer(200, json.dumps({"metadata": {"target": other}}).encode()),
                     f"/1.0/images/{other}": lambda h: h.answer(200, json.dumps(
                         {"metadata": {"fingerprint": other, "properties": {}, "size": 10 ** 8}}).encode()),
                     f"/1.0/images/{other}/export": real}
    with pytest.raises(OperationFailed, match="fingerprint"):
        pull(protocol="lxd", alias="web")
    assert rest.get(f"images/{other}").status == 404 and scratch(daemon) == []


def test_image_of_another_project_is_not_given_by_its_fingerprint_alone(rest, server, pull, parts, daemon):
    """A server that merely names a fingerprint opens no image that another project keeps for itself."""
    fp, server.routes = lxd_routes(*parts("old"))
    pull(protocol="lxd", alias="web")
    rest.change("POST", "projects", {"name": "thief", "config": {"features.images": "true"}})
    try:
        server.routes[f"/1.0/images/{fp}/export"] = lambda h: h.answer(500, b"")
        with pytest.raises(OperationFailed, match="status 500"):
            rest.change("POST", "images?project=thief", {"source": {
                "type": "image", "mode": "pull", "server": server.url, "protocol": "lxd", "alias": "web",
                "certificate": server.certificate}})
        assert rest.read("images?project=thief") == []
    finally:
        rest.change("DELETE", "projects/thief")


# ---- newer versions
def test_refresh_puts_the_newer_version_in_place(rest, server, pull, parts):
    tree = imageserver.Streams()
    old = tree.add("bb/1", "20240101_00:00", *parts("old"))
    server.routes = tree.routes()
    pull(alias="bb/1", body={"aliases": [{"name": "stays"}], "public": True, "auto_update": True})
    done = rest.wait(rest.start_op("POST", f"images/{old}/refresh", json={}))
    assert done["metadata"]["refreshed"] is False
    new = tree.add("bb/1", "20240202_00:00", *parts("new"))
    server.routes = tree.routes()
    done = rest.wait(rest.start_op("POST", f"images/{old}/refresh", json={}))
    assert done["metadata"]["refreshed"] is True
    assert rest.get(f"images/{old}").status == 404
    im = rest.read(f"images/{new}")
    assert [a["name"] for a in im["aliases"]] == ["stays"] and im["public"] and im["auto_update"]
    assert im["update_source"]["alias"] == "bb/1"


def test_refresh_of_an_image_without_source_does_nothing(rest, image):
    fp = rest.read(f"images/aliases/{image}")["target"]
    assert rest.wait(rest.start_op("POST", f"images/{fp}/refresh", json={}))["metadata"]["refreshed"] is False


# ---- proxy
def test_proxy_of_the_configuration_is_used_and_can_be_left_out(rest, server, pull, parts):
    proxy = imageserver.Server()
    try:
        rest.change("PATCH", "/1.0", {"config": {"core.proxy_https": proxy.url}})
        with pytest.raises(OperationFailed):
            pull(alias="bb/1")
        # the plain server knows no CONNECT; that it was asked is enough
        assert server.seen == []
        tree = imageserver.Streams()
        tree.add("bb/1", "20240101_00:00", *parts("old"))
        server.routes = tree.routes()
        rest.change("PATCH", "/1.0", {"config": {"core.proxy_ignore_hosts": "127.0.0.1"}})
        pull(alias="bb/1")
        assert server.seen
    finally:
        rest.change("PATCH", "/1.0", {"config": {"core.proxy_https": "", "core.proxy_ignore_hosts": ""}})
        proxy.close()
