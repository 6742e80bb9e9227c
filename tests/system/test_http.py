"""The HTTP server against odd clients: wrong JSON, wrong types, too much, too little, too slow."""
import json
import os
import socket
import time

import pytest

from harness.daemon import SLOW, Daemon
from harness.rest import unix_connect

pytestmark = pytest.mark.host_only("HTTP on a socket")


def talk(daemon, data, timeout=10, shut=False):
    """Sends raw bytes, reads until the server closes or says nothing for `timeout` seconds."""
    with unix_connect(daemon.socket, timeout) as sock:
        if isinstance(data, bytes):
            data = [data]
        for part in data:
            sock.sendall(part)
        if shut:
            sock.shutdown(socket.SHUT_WR)
        got = b""
        try:
            while part := sock.recv(65536):
                got += part
        except (socket.timeout, ConnectionResetError):
            pass
        return got


def patch(body, **headers):
    lines = "".join(f"{k.replace('_', '-')}: {v}\r\n" for k, v in headers.items())
    return f"PATCH /1.0 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{lines}".encode() + \
        f"Content-Length: {len(body)}\r\n\r\n".encode() + body


def status(reply):
    return int(reply.split(b" ", 2)[1])


def envelope(reply):
    return json.loads(reply.split(b"\r\n\r\n", 1)[1])


# ---- bodies
@pytest.mark.parametrize("body", [b"{", b'{"config":', b"[1]", b"7", b'"x"', b"\xff\xfe", b'{"config":{"a\x00b":"c"}}',
                                  b'{"config":' + b"[" * 5000 + b"]" * 5000 + b"}", b"{}{}"])
def test_malformed_json_is_400(bare, body):
    reply = talk(bare, patch(body))
    assert status(reply) == 400
    assert envelope(reply)["type"] == "error" and envelope(reply)["error_code"] == 400


@pytest.mark.parametrize("body,key", [({"config": []}, "config"), ({"config": {"user.a": 1}}, "config.user.a"),
                                      ({"CONFIG": {"user.a": {}}}, "user.a"), ({"config": "x"}, "config")])
def test_wrong_types_name_the_key(bare, body, key):
    reply = bare.rest.patch("/1.0", body)
    assert reply.status == 400 and key in reply.error


@pytest.mark.parametrize("body", [b"", b"null", b'""'])
def test_nothing_as_a_body_is_no_object(bare, body):
    assert status(talk(bare, patch(body))) == 400


def test_unknown_keys_are_ignored_and_null_is_absent(bare):
    reply = bare.rest.patch("/1.0", {"config": None, "metadata": 7, "type": "sync"})
    assert reply.status == 200 and reply.metadata == {}


@pytest.mark.parametrize("method", ["GET", "DELETE"])
@pytest.mark.parametrize("body", [b'""', b"null", b"}not json{", b"x" * 200000], ids=["string", "null", "junk", "large"])
def test_bodies_of_get_and_delete_are_dropped(bare, method, body):
    path = "/1.0" if method == "GET" else "/1.0/operations/none"
    reply = bare.rest.request(method, path, data=body)
    assert reply.status == (200 if method == "GET" else 404)


def test_a_body_that_is_too_large_gets_its_answer(bare):
    reply = bare.rest.patch("/1.0", {"config": {"user.x": "x" * (5 << 20)}})
    assert reply.status == 413 and "larger" in reply.error
    # chunked, so that the size shows late
    reply = bare.rest.request("PATCH", "/1.0", data=iter([b"x" * 65536] * 100))
    assert reply.status == 413


def test_a_large_body_within_the_bound_is_taken(bare):
    assert bare.rest.patch("/1.0", {"config": {"user.big": "x" * (1 << 20)}}).status == 200
    assert bare.rest.patch("/1.0", {"config": {"user.big": ""}}).status == 200
    assert "user.big" not in bare.rest.read("/1.0")["config"]


def test_expect_100_continue(bare):
    body = b'{"config":{"user.e":""}}'
    with unix_connect(bare.socket, 5) as sock:
        sock.sendall(patch(body, Expect="100-continue")[:-len(body)])
        assert sock.recv(1000).startswith(b"HTTP/1.1 100 ")
        sock.sendall(body)
        assert sock.recv(1000).startswith(b"HTTP/1.1 200 ")


# ---- requests
def test_garbage_ends_the_connection_and_nothing_else(bare):
    for junk in [b"\x16\x03\x01\x02\x00\x01\x00", b"GET\r\n\r\n", b"\0" * 5000, b"GET / HTTP/9.9\r\n\r\n",
                 b"GET / HTTP/1.1\r\nContent-Length: -1\r\n\r\n", b"PUT /1.0 HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999999999999\r\n\r\n"]:
        talk(bare, junk, timeout=1, shut=True)
    assert bare.rest.get("/").status == 200


def test_headers_have_a_bound(bare):
    lines = b"".join(b"X-%d: %s\r\n" % (i, b"y" * 1000) for i in range(200))
    reply = talk(bare, b"GET / HTTP/1.1\r\nHost: x\r\n" + lines + b"\r\n", timeout=5)
    assert reply == b"" or status(reply) in (413, 414, 431)
    reply = talk(bare, b"GET /" + b"a" * 200000 + b" HTTP/1.1\r\n\r\n", timeout=5)
    assert reply == b"" or status(reply) in (414, 431)


def test_many_silent_connections_do_not_lock_others_out(bare):
    socks = [unix_connect(bare.socket) for _ in range(300)]
    assert bare.rest.get("/1.0").status == 200
    for sock in socks:
        sock.close()


def test_one_connection_serves_many_requests(bare):
    with unix_connect(bare.socket, 5) as sock:
        for path in [b"/", b"/1.0", b"/nope", b"/1.0/operations"] * 5:
            sock.sendall(b"GET " + path + b" HTTP/1.1\r\nHost: x\r\n\r\n")
            head = b""
            while b"\r\n\r\n" not in head:
                head += sock.recv(65536)
            size = int([line for line in head.split(b"\r\n") if line.lower().startswith(b"content-length")][0].split()[1])
            body = head.split(b"\r\n\r\n", 1)[1]
            while len(body) < size:
                body += sock.recv(65536)
            assert json.loads(body)


def test_unknown_path_404_unknown_method_501(bare):
    for path in ["/nope", "/1.0/", "/1.0/instances/a/b/c/d", "/2.0", "/1.0/operations/x/y", "//"]:
        reply = bare.rest.get(path)
        assert reply.status == 404 and reply.json["error_code"] == 404, path
    for method, path in [("POST", "/"), ("DELETE", "/1.0"), ("PUT", "/1.0/operations"), ("BREW", "/1.0")]:
        reply = bare.rest.request(method, path)
        assert reply.status == 501 and reply.json["error_code"] == 501, (method, path)
    assert bare.rest.get("/1.0/operations/%zz").status == 400
    assert bare.rest.get("/1.0/operations/%00").status == 400
    assert bare.rest.get("/1.0?x=%zz").status == 400


def test_head_has_headers_only(bare):
    reply = bare.rest.request("HEAD", "/1.0")
    assert reply.status == 200 and reply.body == b"" and reply.headers["ETag"]


# ---- configuration and ETag
def test_etag_guards_the_configuration(bare):
    tag = bare.rest.get("/1.0").headers["ETag"]
    assert tag.startswith('"') and len(tag) == 66
    assert bare.rest.patch("/1.0", {"config": {"user.a": "1"}}, headers={"If-Match": tag}).status == 200
    late = bare.rest.put("/1.0", {"config": {"user.a": "2"}}, headers={"If-Match": tag})
    assert late.status == 412 and late.json["error_code"] == 412
    assert bare.rest.read("/1.0")["config"]["user.a"] == "1"
    fresh = bare.rest.get("/1.0").headers["ETag"]
    assert fresh != tag
    assert bare.rest.put("/1.0", {"config": {"user.a": "2"}}, headers={"If-Match": fresh.strip('"')}).status == 200
    assert bare.rest.put("/1.0", {"config": {}}).status == 200
    assert bare.rest.read("/1.0")["config"] == {}


def test_unknown_server_key_is_refused_whole(bare):
    reply = bare.rest.patch("/1.0", {"config": {"user.ok": "1", "core.nonsense": "2"}})
    assert reply.status == 400 and "core.nonsense" in reply.error
    assert bare.rest.read("/1.0")["config"] == {}


# ---- the process
def test_second_daemon_is_refused(bare):
    second = bare.lxmd(timeout=20)
    assert second.code != 0 and "another lxmd" in second.err and str(bare.dir) in second.err
    assert bare.rest.get("/internal/ready").status == 200


def test_socket_has_the_right_mode(bare):
    st = os.stat(bare.socket)
    assert st.st_mode & 0o777 == 0o660


def test_stop_and_start_again_on_a_stale_socket():
    daemon = Daemon("stale").start()
    try:
        daemon.kill()
        assert daemon.socket.exists()
        daemon.start()
        done = daemon.lxmd("shutdown")
        assert done.code == 0, done
        assert daemon.proc.wait(10) == 0
        daemon.proc = None
        assert not daemon.socket.exists()
        assert daemon.lxmd("waitready", "--timeout=1").code == 1
    finally:
        assert not daemon.discard()


def test_sql_reads_the_databases(bare):
    assert bare.lxmd("sql", "cluster", "SELECT name FROM projects").out.split() == ["name", "default"]
    assert bare.lxmd("sql", "node", "SELECT 1 AS one").out.split() == ["one", "1"]
    assert bare.lxmd("sql", "cluster", "SELECT nonsense").code == 1
    assert bare.lxmd("sql", "moon", "SELECT 1").code == 2
    assert bare.lxmd("nonsense").code == 2


def test_manager_is_told_when_it_is_ready(tmp_path):
    daemon = Daemon("notify")
    path = str(tmp_path / "notify")
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
            sock.bind(path)
            sock.settimeout(10)
            env = daemon.env
            daemon.env = lambda **more: env(NOTIFY_SOCKET=path, **more)
            daemon.start()
            assert sock.recv(100) == b"READY=1"
            daemon.stop()
            assert sock.recv(100) == b"STOPPING=1"
    finally:
        assert not daemon.discard()
