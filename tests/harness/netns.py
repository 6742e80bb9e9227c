"""Hosts in network namespaces of their own, some milliseconds away: for many lxmd on one machine."""
import collections
import ctypes
import fcntl
import os
import select
import struct
import subprocess
import threading
import time

from .daemon import Daemon

SUBNET = "10.231.77"
CLONE_NEWNET = 0x40000000
TUNSETIFF, IFF_TUN, IFF_NO_PI = 0x400454CA, 1, 0x1000


def ip(*argv, check=True):
    return subprocess.run(["ip", *argv], check=check, capture_output=True, text=True)


def tun(name, netns=None):
    """Opens a TUN device, made in that namespace."""
    made = []

    def work():
        # of this thread alone
        if netns:
            fd = os.open(f"/run/netns/{netns}", os.O_RDONLY | os.O_CLOEXEC)
            libc = ctypes.CDLL(None, use_errno=True)
            assert libc.setns(fd, CLONE_NEWNET) == 0, os.strerror(ctypes.get_errno())
            os.close(fd)
        fd = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
        fcntl.ioctl(fd, TUNSETIFF, struct.pack("16sH", name.encode(), IFF_TUN | IFF_NO_PI))
        made.append(fd)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    return made[0]


class Net:
    """`n` namespaces, reached through a TUN device; 10.231.77.1 is this side, .11 and up are the hosts. A context manager.

    Packets are carried by a thread that keeps each for `delay_ms`: not every kernel has netem.
    """

    def __init__(self, n, delay_ms=20):
        self.tag = f"lxmf{os.getpid() % 10000}"
        self.names = [f"{self.tag}-{i}" for i in range(n)]
        self.delay = delay_ms / 1000
        self.fds = []
        self.gone = set()
        self.stop_r, self.stop_w = os.pipe()
        self.thread = threading.Thread(target=self.carry, daemon=True)

    @staticmethod
    def address(i):
        return f"{SUBNET}.{11 + i}"

    def __enter__(self):
        try:
            self.fds.append(tun(self.tag))
            ip("addr", "add", f"{SUBNET}.1/24", "dev", self.tag)
            ip("link", "set", self.tag, "up")
            for i, name in enumerate(self.names):
                ip("netns", "add", name)
                self.fds.append(tun("eth0", name))
                for argv in (["link", "set", "lo", "up"], ["addr", "add", f"{self.address(i)}/24", "dev", "eth0"],
                             ["link", "set", "eth0", "up"]):
                    ip("-n", name, *argv)
            self.thread.start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        os.write(self.stop_w, b"x")
        if self.thread.is_alive():
            self.thread.join()
        for fd in (*self.fds, self.stop_r, self.stop_w):
            os.close(fd)
        for name in self.names:
            ip("netns", "del", name, check=False)

    def carry(self):
        waiting = collections.deque()  # (when, fd, packet), by time: the delay is the same for all
        while True:
            left = max(0, waiting[0][0] - time.monotonic()) if waiting else None
            ready, _, _ = select.select([*self.fds, self.stop_r], [], [], left)
            if self.stop_r in ready:
                return
            now = time.monotonic()
            for fd in ready:
                packet = os.read(fd, 65536)
                if packet[0] >> 4 != 4:
                    continue
                to = packet[19] - 10 if fd == self.fds[0] else 0
                if 0 <= to < len(self.fds) and self.fds.index(fd) not in self.gone and to not in self.gone:
                    waiting.append((now + self.delay, self.fds[to], packet))
            while waiting and waiting[0][0] <= now:
                _, fd, packet = waiting.popleft()
                try:
                    os.write(fd, packet)
                except OSError:
                    pass  # as on any wire

    def cut(self, i):
        """The host is not there any more: nobody says so to those who call."""
        self.gone.add(i + 1)


class NetDaemon(Daemon):
    """An lxmd inside one of the namespaces; its API is at `address`, and its Unix socket as everywhere."""

    def __init__(self, net, i):
        super().__init__(f"net{i}")
        # not `ip netns exec`: that would give it another /sys, without the cgroups
        self.prefix = ("nsenter", f"--net=/run/netns/{net.names[i]}")
        self.address = f"{net.address(i)}:8443"

    def serve(self):
        self.start()
        self.lxmc("config", "set", f"core.https_address={self.address}", check=True)
        return self

    def join(self, client, name):
        """Makes it known to another daemon's lxmc under `name`, by a join token."""
        token = self.lxmc("config", "trust", "add", name, "-q", check=True).out.split()[-1]
        client.lxmc("remote", "add", name, token, check=True)


class Wire:
    """A cable of this host: link `name` here, its other end `far` in a namespace of its own. A context manager."""

    def __init__(self, name):
        self.name = name
        self.ns = f"{name}-far"

    def __enter__(self):
        ip("netns", "add", self.ns)
        try:
            ip("link", "add", self.name, "type", "veth", "peer", "name", "far", "netns", self.ns)
            ip("link", "set", self.name, "up")
            self.far("link", "set", "far", "up")
            self.far("link", "set", "lo", "up")
        except BaseException:
            self.__exit__()
            raise
        return self

    def far(self, *argv):
        return ip("-n", self.ns, *argv)

    def far_run(self, *argv, check=True):
        return subprocess.run(["ip", "netns", "exec", self.ns, *argv], check=check, capture_output=True, text=True)

    def __exit__(self, *_):
        ip("link", "del", self.name, check=False)
        ip("netns", "del", self.ns, check=False)


def kernel_has(kind, *more):
    """Can this kernel make links of that kind? Tried in a namespace."""
    script = f"ip link add name lxa type veth peer name lxb && ip link add link lxa name lxc type {kind} {' '.join(more)}"
    return subprocess.run(["unshare", "-n", "sh", "-c", script], capture_output=True).returncode == 0
