#!/usr/bin/env python3
"""Load on the TLS listener of a running lxmd: what an administrator feels while others hold connections, and how fast it goes.

    tls_load.py [--idle N] [--slow N] [--half-open N] [--seconds S] [--certificate CRT KEY] ADDRESS:PORT

Opens idle connections (handshake done, one request answered), slow ones (a byte of a request now and then) and half-open ones
(a ClientHello cut off), and meanwhile times `GET /1.0/instances?recursion=2` as a trusted client over new connections. Then
GETs over one connection, and resumed handshakes by `openssl s_time`, beside the same against `openssl s_server` with the same kind of key.
The numbers go to stdout as JSON. LXMD_DIR names the daemon's directory: its memory is looked at, too.
"""
import argparse
import json
import os
import re
import socket
import ssl
import subprocess
import sys
import tempfile
import time
from pathlib import Path


def context(certificate=None):
    ctx = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    ctx.check_hostname = False
    ctx.verify_mode = ssl.CERT_NONE
    if certificate:
        ctx.load_cert_chain(*certificate)
    return ctx


def dial(address, ctx=None, timeout=30):
    """A connected socket, over TLS with a context."""
    host, port = address.rsplit(":", 1)
    sock = socket.create_connection((host.strip("[]"), int(port)), timeout)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return ctx.wrap_socket(sock) if ctx else sock


def get(sock, path, close=False):
    """One request; returns status and body length."""
    sock.sendall(f"GET {path} HTTP/1.1\r\nHost: lxm\r\n{'Connection: close' + chr(13) + chr(10) if close else ''}\r\n".encode())
    data = b""
    while b"\r\n\r\n" not in data:
        piece = sock.recv(65536)
        if not piece:
            raise ConnectionError("closed within the headers")
        data += piece
    head, body = data.split(b"\r\n\r\n", 1)
    length = int(re.search(rb"(?i)content-length: (\d+)", head).group(1))
    while len(body) < length:
        body += sock.recv(65536)
    return int(head.split()[1]), length


def hello():
    """The bytes of a ClientHello."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = context().wrap_bio(incoming, outgoing)
    try:
        tls.do_handshake()
    except ssl.SSLWantReadError:
        pass
    return outgoing.read()


def hold_idle(address, n):
    ctx = context()
    held = []
    for _ in range(n):
        sock = dial(address, ctx)
        get(sock, "/")
        held.append(sock)
    return held


def hold_slow(address, n):
    ctx = context()
    held = []
    for _ in range(n):
        sock = dial(address, ctx)
        sock.sendall(b"GET /1.0 HTTP/1.1\r\nHost: ")
        held.append(sock)
    return held


def hold_half_open(address, n):
    part = hello()[:100]
    held = []
    for _ in range(n):
        sock = dial(address)
        sock.sendall(part)
        held.append(sock)
    return held


def rss_kib():
    """Memory of the daemon of LXMD_DIR, 0 if it is not known."""
    try:
        pid = int((Path(os.environ["LXMD_DIR"]) / "lock").read_text())
        return int(re.search(r"VmRSS:\s+(\d+)", Path(f"/proc/{pid}/status").read_text()).group(1))
    except (KeyError, OSError, ValueError):
        return 0


def time_lists(address, certificate, seconds, slow=()):
    """Milliseconds of each list, over a connection of its own; feeds the slow ones meanwhile."""
    ctx = context(certificate)
    took = []
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        for sock in slow[len(took)::20]:
            try:
                sock.send(b"x")
            except OSError:
                pass
        start = time.monotonic()
        sock = dial(address, ctx)
        status, _ = get(sock, "/1.0/instances?recursion=2", close=True)
        took.append((time.monotonic() - start) * 1000)
        sock.close()
        assert status == 200, f"list as an administrator: {status}"
        time.sleep(0.02)
    return sorted(took)


def kept_alive(address, certificate, n):
    """GETs each second over one connection."""
    sock = dial(address, context(certificate))
    get(sock, "/")
    start = time.monotonic()
    for _ in range(n):
        get(sock, "/")
    return n / (time.monotonic() - start)


def s_time(address, path, seconds):
    """Resumed TLS connections each second, by openssl's own client. It has to ask for something: without a reply it never sees a ticket."""
    out = subprocess.run(["openssl", "s_time", "-connect", address, "-www", path, "-reuse", "-time", str(seconds)], capture_output=True, text=True).stdout
    found = re.findall(r"(\d+) connections in (\d+) real seconds", out)
    assert re.search(r"r{50}", out) and not re.search(r"\*{50}", out), f"{address}: connections are not resumed"
    return int(found[-1][0]) / int(found[-1][1])


def s_server_time(seconds):
    """The same against openssl s_server with a key of the kind that lxmd has."""
    with tempfile.TemporaryDirectory() as tmp:
        crt, key = f"{tmp}/crt", f"{tmp}/key"
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-384", "-nodes", "-keyout", key, "-out", crt,
                        "-subj", "/CN=bench", "-days", "2"], check=True, capture_output=True)
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        server = subprocess.Popen(["openssl", "s_server", "-accept", f"127.0.0.1:{port}", "-cert", crt, "-key", key, "-tls1_3", "-WWW", "-quiet"],
                                  cwd=tmp, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            Path(f"{tmp}/file").write_text("x" * 250)  # about what lxmd answers
            time.sleep(0.5)
            return s_time(f"127.0.0.1:{port}", "/file", seconds)
        finally:
            server.terminate()
            server.wait()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("address")
    parser.add_argument("--idle", type=int, default=5000)
    parser.add_argument("--slow", type=int, default=500)
    parser.add_argument("--half-open", type=int, default=200)
    parser.add_argument("--seconds", type=int, default=5)
    parser.add_argument("--certificate", nargs=2, required=True, metavar=("CRT", "KEY"), help="of a trusted client")
    args = parser.parse_args()
    result = {"rss_before_kib": rss_kib()}
    idle = hold_idle(args.address, args.idle)
    result["rss_idle_kib"] = rss_kib()
    if args.idle:
        result["kib_per_idle"] = round((result["rss_idle_kib"] - result["rss_before_kib"]) / args.idle, 1)
    slow = hold_slow(args.address, args.slow)
    half = hold_half_open(args.address, args.half_open)
    took = time_lists(args.address, args.certificate, args.seconds, slow)
    result["list_ms"] = {"n": len(took), "median": round(took[len(took) // 2], 1), "max": round(took[-1], 1)}
    for sock in idle + slow + half:
        sock.close()
    time.sleep(1)
    result["gets_per_s"] = round(kept_alive(args.address, args.certificate, 5000))
    result["resumed_per_s"] = round(s_time(args.address, "/", args.seconds))
    result["s_server_resumed_per_s"] = round(s_server_time(args.seconds))
    json.dump(result, sys.stdout, indent=1)
    print()


if __name__ == "__main__":
    import resource
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    main()
