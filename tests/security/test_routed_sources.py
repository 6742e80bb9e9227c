"""Forged sources of a routed NIC: its root has the wire to itself, and the host forwards for it."""
import os
import select
import socket
import struct
import subprocess

import pytest

from harness.frames import IP4, IP6, Wire, checksum, eth, ip6, ipv4, ipv6, udp
from harness.instance import wait_until
from harness.netns import ip

HOST = f"lxmr{os.getpid() % 10000}"
MAC, HOST_MAC = "00:16:3e:01:02:06", "fe:16:3e:01:02:06"
OWN, BEHIND, FORGED, HERE = "2001:db8::7", "2001:db8:7::1", "2001:db8::666", "2001:db8:ffff::1"
OWN4, FORGED4, HERE4 = "198.51.100.7", "198.51.100.66", "198.51.100.254"
PORT = 20000 + os.getpid() % 10000


@pytest.fixture
def routed(daemon, rest, instance):
    """(an instance, a way to send from it, a socket of the host that hears it)"""
    inst = instance(config={"boot.autostart": "false"}, devices={
        "eth0": {"type": "none"}, "n": {"type": "nic", "nictype": "routed", "name": "nic0", "host_name": HOST, "hwaddr": MAC, "ipv4.address": OWN4,
                                        "ipv6.address": OWN, "ipv6.routes": "2001:db8:7::/64"}})
    return inst


def udp6(src, dst, payload):
    text = udp(1000, PORT, payload)
    total = checksum(ip6(src) + ip6(dst) + struct.pack("!II", len(text), 17) + text)
    return ipv6(src, dst, text[:6] + struct.pack("!H", total) + text[8:], proto=17)


def heard(pid, *sources):
    """Which of them the host believes. The last one is always its own, and comes after all others."""
    ip("addr", "replace", f"{HERE}/128", "dev", HOST, "nodad")
    ip("addr", "replace", f"{HERE4}/32", "dev", HOST)
    wire = Wire("nic0", pid)
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as s:
        s.bind(("::", PORT))  # both families

        def send(src, text):
            packet = udp6(src, HERE, text) if ":" in src else ipv4(src, HERE4, udp(1000, PORT, text))
            wire.send(eth(MAC, IP6 if ":" in src else IP4, packet, dst=HOST_MAC))

        def up():
            send(OWN, b"up")
            return select.select([s], [], [], 0.1)[0]

        wait_until(up, 10, lambda: "it is not heard at all")
        for src in (*sources, OWN):
            send(src, src.encode())
        got = []
        while not got or got[-1] != OWN:
            s.settimeout(10)
            got.append(s.recv(100).decode())
    wire.close()
    return set(got) - {"up"}


def tables():
    lines = subprocess.run(["nft", "list", "tables", "ip6"], check=True, capture_output=True, text=True).stdout.splitlines()
    return [t for t in (line.split()[2] for line in lines) if t.startswith("lxm_routed_") and HOST in listing(t)]


def listing(table):
    return subprocess.run(["nft", "list", "table", "ip6", table], capture_output=True, text=True).stdout


def test_nobody_else_is_believed(daemon, routed):
    inst, sources = routed, (FORGED, BEHIND, HERE, OWN4, FORGED4)
    right = {OWN, BEHIND, OWN4}
    assert heard(inst.pid, *sources) == right
    # without the filter they do come: what is seen above is the filter
    table, = tables()
    subprocess.run(["nft", "flush", "set", "ip6", table, "links"], check=True)
    assert heard(inst.pid, *sources) == right | {FORGED, HERE}
    # the next lxmd puts in force what has to be
    daemon.kill()
    daemon.start()
    assert heard(inst.pid, *sources) == right
    # a reboot has a new link of the same name
    old = inst.pid
    subprocess.run(["nsenter", "-t", str(old), "-m", "-p", "-U", "reboot", "-f"], check=False, capture_output=True)
    wait_until(lambda: inst.pid not in (0, old))
    assert heard(inst.pid, *sources) == right
    inst.stop()
    assert not tables()


def test_it_is_filtered_before_it_is_there(routed):
    """A table that somebody removed comes back whole with the next one that is guarded."""
    table, = tables()
    subprocess.run(["nft", "delete", "table", "ip6", table], check=True)
    routed.restart()
    assert tables() == [table] and heard(routed.pid, FORGED) == {OWN}
