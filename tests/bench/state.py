#!/usr/bin/python3
"""The state of 500 running instances: GET /1.0/instances?recursion=2, and each one's own state. COUNT=N takes another number.

Says what it measured and whether it holds: all of them in at most 30 ms, with memory, processes, addresses and counters of each.
"""
import os
import statistics
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from harness import images  # noqa: E402
from harness.daemon import Daemon  # noqa: E402
from harness.rest import unix_connect  # noqa: E402

COUNT = int(os.environ.get("COUNT", "500"))
ROUNDS = 21
LIMIT_MS = 30


def get(sock, path):
    """One answer of one connection, not decoded: what is measured is lxmd."""
    sock.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    data = sock.recv(1 << 20)
    head, _, body = data.partition(b"\r\n\r\n")
    left = int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0]) - len(body)
    parts = [body]
    while left > 0:
        parts.append(sock.recv(1 << 20))
        left -= len(parts[-1])
    return b"".join(parts)


def median_ms(fn):
    taken = []
    for _ in range(ROUNDS):
        begun = time.monotonic()
        fn()
        taken.append((time.monotonic() - begun) * 1000)
    return statistics.median(taken)


def all_at_once(names, fn):
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(fn, names))


def check(rest):
    instances = rest.read("instances", query={"recursion": 2})
    assert len(instances) == COUNT
    for inst in instances:
        state = inst["state"]
        assert state["status"] == "Running" and state["pid"] > 0 and state["processes"] > 0 and state["memory"]["usage"] > 0, inst["name"]
        assert any(nic["host_name"] for nic in state["network"].values()), inst["name"]


def main():
    daemon = Daemon("state")
    names = [f"s{i}" for i in range(COUNT)]
    try:
        daemon.start(debug=False).init()
        rest = daemon.rest
        images.import_image(rest, images.busybox_tar(), "testimage")
        all_at_once(names, lambda n: rest.change("POST", "instances", {"name": n, "source": {"type": "image", "alias": "testimage"}, "start": True,
                                                                "config": {"security.idmap.isolated": "false"}}))
        all_at_once([i["name"] for i in rest.read("instances", query={"recursion": 1}) if i["status"] != "Running"],
                    lambda n: rest.change("PUT", f"instances/{n}/state", {"action": "start"}))
        check(rest)
        sock = unix_connect(daemon.socket)
        every = median_ms(lambda: get(sock, "/1.0/instances?recursion=2"))
        each = median_ms(lambda: [get(sock, f"/1.0/instances/{n}/state") for n in names]) / COUNT
        sock.close()
        all_at_once(names, lambda n: rest.change("PUT", f"instances/{n}/state", {"action": "stop", "force": True}))
        all_at_once(names, lambda n: rest.change("DELETE", f"instances/{n}"))
    finally:
        print("\n".join(daemon.end()), end="")
    print(f"{COUNT} instances with state {every:7.1f} ms  at most {LIMIT_MS}")
    print(f"one instance's state     {each * 1000:7.0f} us")
    return 0 if every <= LIMIT_MS else 1


if __name__ == "__main__":
    sys.exit(main())
