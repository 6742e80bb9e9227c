#!/usr/bin/python3
"""Ten lxmd in ten network namespaces, 20 ms away: how long `lxmc --on all list` takes beside one host, and with two of them gone.

Says what it measured and whether it holds: all hosts in at most twice one host's time, two silent ones cost one time-out.
"""
import os
import statistics
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from harness.netns import Net, NetDaemon  # noqa: E402

HOSTS = int(os.environ.get("HOSTS", "10"))
ROUNDS = 9
TIMEOUT = 3


def timed(client, on, *options):
    begun = time.monotonic()
    run = client.lxmc("--on", on, *options, "list", "-f", "csv")
    return time.monotonic() - begun, run


def median(client, on):
    return statistics.median(timed(client, on)[0] for _ in range(ROUNDS))


def main():
    daemons = []
    with Net(HOSTS, 20) as net:
        try:
            for i in range(HOSTS):
                daemons.append(NetDaemon(net, i).serve())
            client = daemons[0]
            for i, daemon in enumerate(daemons):
                daemon.join(client, f"h{i + 1}")
            one, every = median(client, "h1"), median(client, "h*")
            net.cut(HOSTS - 1)
            net.cut(HOSTS - 2)
            gone, run = timed(client, "h*", "--timeout", str(TIMEOUT))
        finally:
            for daemon in daemons:
                daemon.discard()
    silent = run.err.count(f"no answer within {TIMEOUT} s")
    print(f"one host          {one * 1000:7.1f} ms")
    print(f"{HOSTS} hosts          {every * 1000:7.1f} ms  {every / one:.2f} times one (at most 2)")
    print(f"two of them gone  {gone * 1000:7.1f} ms  time-out {TIMEOUT} s, {silent} silent")
    return 0 if every <= 2 * one and silent == 2 and gone < TIMEOUT + 1 else 1


if __name__ == "__main__":
    sys.exit(main())
