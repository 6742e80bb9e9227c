"""The smallest DNS client: one A question to one server."""
import os
import socket
import struct


def ask(server, name, timeout=3):
    """IPv4 addresses that the server gives for a name; [] when there is none."""
    ident = int.from_bytes(os.urandom(2), "big")
    question = b"".join(bytes([len(label)]) + label.encode() for label in name.split(".")) + b"\0" + struct.pack("!HH", 1, 1)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.settimeout(timeout)
        sock.sendto(struct.pack("!HHHHHH", ident, 0x0100, 1, 0, 0, 0) + question, (server, 53))
        try:
            data = sock.recv(2048)
        except socket.timeout:
            return []
    if len(data) < 12 or struct.unpack("!H", data[:2])[0] != ident:
        return []
    count = struct.unpack("!H", data[6:8])[0]
    at, found = 12 + len(question), []
    for _ in range(count):
        while data[at] and data[at] < 0xC0:
            at += data[at] + 1
        at += 2 if data[at] >= 0xC0 else 1
        kind, _, _, size = struct.unpack("!HHIH", data[at:at + 10])
        at += 10
        if kind == 1:
            found.append(socket.inet_ntoa(data[at:at + 4]))
        at += size
    return found
