"""Servers and callers on both sides of a proxy device."""
import ctypes
import os
import socket
import threading

from .host import processes
from .netns import CLONE_NEWNET


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


def forwarders(inst):
    """Processes of the instance's proxy devices."""
    return [pid for pid, (comm, line, _) in processes().items() if comm == "lxm-forward" and f" {inst.name}/" in line]


def inside(inst, make, own=False):
    """What make() returns in the instance's network namespace; sockets stay there. `own`: what it makes in a file system is its root's."""
    made = []
    root = int(inst.get()["config"]["volatile.idmap.base"])

    def work():
        # of this thread alone
        fd = os.open(f"/proc/{inst.state()['pid']}/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        libc = ctypes.CDLL(None, use_errno=True)
        assert libc.setns(fd, CLONE_NEWNET) == 0
        os.close(fd)
        if own:
            libc.setfsgid(root)
            libc.setfsuid(root)
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
