"""Proxy devices: what comes to an address of one side arrives on the other."""
import ctypes
import os
import signal
import socket
import threading
import time

import pytest

from conftest import IMAGE, create
from harness.host import processes
from harness.instance import wait_until
from harness.netns import CLONE_NEWNET


@pytest.fixture(scope="module")
def box(session_daemon, busybox_tar):
    from harness import images

    if session_daemon.rest.get(f"images/aliases/{IMAGE}").status == 404:
        images.import_image(session_daemon.rest, busybox_tar, IMAGE)
    inst = create(session_daemon, IMAGE)
    yield inst
    inst.remove()


def devices(inst, **wanted):
    """The instance's own devices become these."""
    now = inst.get()
    return inst.rest.change("PUT", inst.path, json={k: now[k] for k in ("config", "profiles", "description")} | {"devices": wanted})


def refused(inst, **wanted):
    """The text with which these devices are refused; nothing has changed."""
    now = inst.get()
    body = {k: now[k] for k in ("config", "profiles", "description")} | {"devices": wanted}
    reply = inst.rest.put(inst.path, body)
    if reply.status < 400:
        op = inst.rest.get(f"{reply.body['operation']}/wait").metadata
        assert op["status_code"] == 400, op
        text = op["err"]
    else:
        text = reply.body["error"]
    assert inst.get()["devices"] == now["devices"]
    return text


def proxy(listen, connect, **more):
    return {"type": "proxy", "listen": listen, "connect": connect, **more}


def port(kind=socket.SOCK_STREAM):
    with socket.socket(socket.AF_INET, kind) as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def ask(address, send=b"", family=socket.AF_INET, half_close=True):
    """All that comes back."""
    with socket.socket(family) as s:
        s.settimeout(20)
        s.connect(address)
        s.sendall(send)
        if half_close:
            s.shutdown(socket.SHUT_WR)
        got = b""
        while part := s.recv(65536):
            got += part
        return got


def forwarders():
    return [pid for pid, (comm, _, _) in processes().items() if comm == "lxm-forward"]


def inside(inst, make):
    """What make() returns in the instance's network namespace; sockets stay there."""
    made = []

    def work():
        # of this thread alone
        fd = os.open(f"/proc/{inst.state()['pid']}/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        assert ctypes.CDLL(None, use_errno=True).setns(fd, CLONE_NEWNET) == 0
        os.close(fd)
        made.append(make())

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    return made[0]


class Echo:
    """A server that says everything in upper case, once it has heard all. `seen`: who called, and what it heard."""

    def __init__(self, sock, first=b""):
        self.sock, self.first, self.seen = sock, first, []
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        try:
            while True:
                if self.sock.type == socket.SOCK_DGRAM:
                    data, peer = self.sock.recvfrom(65536)
                    self.seen.append((peer, data))
                    self.sock.sendto(data.upper(), peer)
                else:
                    conn, peer = self.sock.accept()
                    threading.Thread(target=self.answer, args=(conn, peer), daemon=True).start()
        except OSError:
            pass  # closed

    def answer(self, conn, peer):
        with conn:
            data = b"".join(iter(lambda: conn.recv(1 << 16), b""))
            self.seen.append((peer, data))
            conn.sendall(self.first + data.upper())

    def close(self):
        self.sock.shutdown(socket.SHUT_RDWR) if self.sock.type == socket.SOCK_STREAM else None
        self.sock.close()


def listener(address, kind=socket.SOCK_STREAM):
    family = socket.AF_UNIX if isinstance(address, str) else socket.AF_INET6 if ":" in address[0] else socket.AF_INET
    s = socket.socket(family, kind)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    s.bind(address)
    if kind == socket.SOCK_STREAM:
        s.listen(64)
    return s


@pytest.fixture
def echo(box):
    """echo(address, at=box|None, kind) -> a server there."""
    made = []

    def make(address, at=box, kind=socket.SOCK_STREAM):
        made.append(Echo(inside(at, lambda: listener(address, kind)) if at else listener(address, kind)))
        return made[-1]

    yield make
    for server in made:
        server.close()
    devices(box)


def test_tcp_from_the_host(box, echo):
    echo(("127.0.0.1", 7001))
    p = port()
    devices(box, web=proxy(f"tcp:127.0.0.1:{p}", "tcp:127.0.0.1:7001"))
    assert ask(("127.0.0.1", p), b"there and back") == b"THERE AND BACK"
    big = os.urandom(3 << 20)
    assert ask(("127.0.0.1", p), big) == big.upper()
    devices(box)
    with pytest.raises(ConnectionRefusedError):
        ask(("127.0.0.1", p))
    assert not forwarders()
