"""/1.0/events: many listeners, one that never reads, kinds and projects, and the closing of sockets."""
import base64
import json
import os
import time

import pytest

from harness.daemon import SLOW, Daemon
from harness.rest import unix_connect

pytestmark = pytest.mark.host_only("listeners on a socket")


class Listener:
    """A websocket by hand, so that a test decides when and whether it reads."""

    def __init__(self, daemon, query="", headers=(), timeout=10):
        self.sock = unix_connect(daemon.socket, timeout * SLOW)
        key = base64.b64encode(os.urandom(16)).decode()
        lines = ["GET /1.0/events" + query + " HTTP/1.1", "Host: x", "Connection: keep-alive, Upgrade", "Upgrade: websocket",
                 "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: " + key, *headers]
        self.sock.sendall(("\r\n".join(lines) + "\r\n\r\n").encode())
        self.buf = b""
        while b"\r\n\r\n" not in self.buf:
            part = self.sock.recv(65536)
            assert part, "closed during the handshake"
            self.buf += part
        self.head, self.buf = self.buf.split(b"\r\n\r\n", 1)
        self.status = int(self.head.split()[1])

    def take(self, n):
        while len(self.buf) < n:
            part = self.sock.recv(262144)
            if not part:
                raise EOFError
            self.buf += part
        data, self.buf = self.buf[:n], self.buf[n:]
        return data

    def frame(self):
        first, size = self.take(2)
        if size == 126:
            size = int.from_bytes(self.take(2), "big")
        elif size == 127:
            size = int.from_bytes(self.take(8), "big")
        return first & 15, self.take(size)

    def event(self):
        while True:
            opcode, data = self.frame()
            if opcode == 1:
                return json.loads(data)
            assert opcode == 9, opcode

    def close(self):
        self.sock.close()


def poke(daemon, n=1):
    """Makes lifecycle events."""
    for i in range(n):
        assert daemon.rest.patch("/1.0", {"config": {"user.poke": str(time.monotonic_ns())}}).status == 200


def test_two_hundred_listeners_and_one_that_never_reads(bare):
    deaf = Listener(bare, "?type=lifecycle")
    all_ = [Listener(bare, "?type=lifecycle") for _ in range(200)]
    began = time.monotonic()
    poke(bare, 20)
    for listener in all_:
        for _ in range(20):
            event = listener.event()
            assert event["type"] == "lifecycle" and event["metadata"]["action"] == "config-updated"
            assert event["metadata"]["requestor"]["username"] == "root"
    assert time.monotonic() - began < 10 * SLOW
    for listener in [deaf, *all_]:
        listener.close()


@pytest.mark.timeout(180)
def test_a_slow_listener_is_dropped_with_a_word_in_the_log(bare):
    slow = Listener(bare, "?type=logging", timeout=30)
    since = bare.log.stat().st_size
    conn = unix_connect(bare.socket)
    # with --debug each request is logged, about 250 bytes an event
    deadline = time.monotonic() + 60 * SLOW
    while "event listener disconnected" not in bare.log_tail(100000, since) and time.monotonic() < deadline:
        for _ in range(200):
            conn.sendall(b"GET /1.0/operations/%zz HTTP/1.1\r\nHost: x\r\n\r\n")
            conn.recv(65536)
    conn.close()
    assert "event listener disconnected" in bare.log_tail(1 << 30, since)
    with pytest.raises(EOFError):
        while True:
            slow.frame()
    slow.close()
    poke(bare)


def test_unknown_type_and_unknown_project_refuse_the_upgrade(bare):
    assert Listener(bare, "?type=operation,weather").status == 400
    assert Listener(bare, "?project=nowhere").status == 404
    assert Listener(bare, "?project=default&all-projects=true").status == 400
    assert Listener(bare, "?all-projects=true").status == 101


def test_a_plain_get_is_told_to_upgrade(bare):
    assert bare.rest.get("/1.0/events").status == 400


def test_browsers_origin_on_the_unix_socket_is_fine(bare):
    listener = Listener(bare, headers=["Origin: ws+unix://localhost"])
    assert listener.status == 101 and b"permessage" not in listener.head
    listener.close()


def test_close_frame_is_answered(bare):
    listener = Listener(bare, "?type=network-acl")
    listener.sock.sendall(b"\x88\x82\0\0\0\0\x03\xe8")
    assert listener.frame() == (8, b"\x03\xe8")
    with pytest.raises(EOFError):
        listener.frame()
    listener.close()


def test_the_daemon_ends_with_listeners_connected():
    daemon = Daemon("evend").start()
    try:
        listeners = [Listener(daemon) for _ in range(20)]
        daemon.stop()
        for listener in listeners:
            with pytest.raises((EOFError, ConnectionResetError)):
                while True:
                    listener.frame()
            listener.close()
    finally:
        assert not daemon.discard()
