"""Ethernet frames made by hand, and sockets that send and see them in an instance's network namespace."""
import ctypes
import os
import select
import socket
import struct
import threading
import time

SO_RCVBUFFORCE = 33  # whatever net.core.rmem_max says
CLONE_NEWNET = 0x40000000
ETH_P_ALL = 3
ARP, IP4, IP6, VLAN, QINQ = 0x0806, 0x0800, 0x86DD, 0x8100, 0x88A8
BROADCAST = "ff:ff:ff:ff:ff:ff"
ALL_NODES, ALL_ROUTERS, ALL_DHCP = "ff02::1", "ff02::2", "ff02::1:2"


def mac(text):
    return bytes.fromhex(text.replace(":", ""))


def ip4(text):
    return socket.inet_pton(socket.AF_INET, text)


def ip6(text):
    return socket.inet_pton(socket.AF_INET6, text)


def eui64(address, net="fe80::"):
    """The address that a kernel makes of a MAC."""
    m = bytearray(mac(address))
    m[0] ^= 2
    return socket.inet_ntop(socket.AF_INET6, ip6(net)[:8] + bytes(m[:3]) + b"\xff\xfe" + bytes(m[3:]))


def eth(src, kind, payload, dst=BROADCAST, tags=()):
    """`tags`: (ethertype, vlan id), outermost first."""
    head = mac(dst) + mac(src)
    for ethertype, vid in tags:
        head += struct.pack("!HH", ethertype, vid)
    return head + struct.pack("!H", kind) + payload


def arp(op, sender_mac, sender_ip, target_ip, target_mac="00:00:00:00:00:00", hlen=6, plen=4, htype=1, ptype=IP4):
    return struct.pack("!HHBBH", htype, ptype, hlen, plen, op) + mac(sender_mac) + ip4(sender_ip) + mac(target_mac) + ip4(target_ip)


def checksum(data):
    data += b"\0" * (len(data) % 2)
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def ipv4(src, dst, payload, proto=17, fragment=0):
    """`fragment`: 0x2000 is "more of them", the rest an offset in eights."""
    head = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(payload), 1, fragment, 64, proto, 0) + ip4(src) + ip4(dst)
    return head[:10] + struct.pack("!H", checksum(head)) + head[12:] + payload


def udp(sport, dport, payload):
    return struct.pack("!HHHH", sport, dport, 8 + len(payload), 0) + payload


def dhcp(chaddr, client_id=None, relay="0.0.0.0", op=1, xid=7):
    options = b"\x35\x01\x01" + (bytes([61, len(client_id)]) + client_id if client_id else b"") + b"\xff"
    head = struct.pack("!BBBBIHH", op, 1, 6, 0, xid, 0, 0x8000) + b"\0" * 12 + ip4(relay)
    return head + mac(chaddr) + b"\0" * (10 + 192) + b"\x63\x82\x53\x63" + options


def ipv6(src, dst, payload, proto=58, before=()):
    """`before`: extension headers as (number, bytes without the first), outermost first."""
    chain, numbers = b"", [n for n, _ in before] + [proto]
    for i, (_, body) in enumerate(before):
        chain += bytes([numbers[i + 1]]) + body
    return struct.pack("!IHBB", 6 << 28, len(chain) + len(payload), numbers[0], 255) + ip6(src) + ip6(dst) + chain + payload


HOP = (0, b"\0" + b"\x01\x04\0\0\0\0")
DEST = (60, b"\0" + b"\x01\x04\0\0\0\0")


def fragment(offset=0, more=True, ident=99):
    return (44, b"\0" + struct.pack("!HI", offset << 3 | more, ident))


def option(kind, address):
    return bytes([kind, 1]) + mac(address)


def icmp6(src, dst, kind, body, before=()):
    text = struct.pack("!BBH", kind, 0, 0) + body
    pseudo = ip6(src) + ip6(dst) + struct.pack("!II", len(text), 58)
    text = text[:2] + struct.pack("!H", checksum(pseudo + text)) + text[4:]
    return ipv6(src, dst, text, before=before)


def advert(target, address=None, src=None, before=(), extra=b""):
    """A neighbour advertisement to all nodes."""
    body = struct.pack("!I", 0x20000000) + ip6(target) + extra + (option(2, address) if address else b"")
    return icmp6(src or target, ALL_NODES, 136, body, before)


def solicit(target, src, address=None, extra=b""):
    return icmp6(src, ALL_NODES, 135, b"\0" * 4 + ip6(target) + extra + (option(1, address) if address else b""))


def router(src, address, before=()):
    return icmp6(src, ALL_NODES, 134, struct.pack("!BBHII", 64, 0, 1800, 0, 0) + option(1, address), before)


class Wire:
    """A packet socket on a link, in the network namespace of a process (or the host's)."""

    def __init__(self, link, pid=None):
        made = []

        def work():
            # of this thread alone
            if pid:
                fd = os.open(f"/proc/{pid}/ns/net", os.O_RDONLY | os.O_CLOEXEC)
                libc = ctypes.CDLL(None, use_errno=True)
                assert libc.setns(fd, CLONE_NEWNET) == 0, os.strerror(ctypes.get_errno())
                os.close(fd)
            s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
            s.bind((link, ETH_P_ALL))
            s.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 8 << 20)
            made.append(s)

        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
        self.socket, = made
        self.socket.setblocking(False)

    def close(self):
        self.socket.close()

    def send(self, frame):
        self.socket.send(frame)

    def seen(self):
        """What has arrived by now."""
        got = []
        while True:
            try:
                data, addr = self.socket.recvfrom(65536)
            except BlockingIOError:
                return got
            if addr[2] != socket.PACKET_OUTGOING:
                got.append(data)

    def until(self, last, timeout=10):
        """What arrives before a frame that contains `last`."""
        got, end = [], time.monotonic() + timeout
        while time.monotonic() < end:
            select.select([self.socket], [], [], 0.2)
            for frame in self.seen():
                if last in frame:
                    return got
                got.append(frame)
        raise AssertionError(f"{last!r} did not arrive")
