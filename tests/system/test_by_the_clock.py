"""What time alone brings, waited for together: each minute snapshots that are due come, and snapshots and backups that have expired go;
images come anew from their servers; pings for listeners; the end of half a request and of a finished operation.
"""
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from harness import backups, imageserver
from harness.daemon import SLOW, Daemon
from harness.instance import wait_until
from harness.rest import unix_connect
from test_events import Listener
from test_snapshots import names, snap

pytestmark = [pytest.mark.slow, pytest.mark.timeout(200)]


def in_a_second():
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 1))


def kept(inst):
    return [u.rsplit("/", 1)[1] for u in inst.rest.read(f"{inst.path}/backups")]


def two_pings(daemon):
    """Opcodes and seconds of what a silent listener hears."""
    listener = Listener(daemon, "?type=network-acl", timeout=15)
    began = time.monotonic()
    heard = [listener.frame()[0] for _ in range(2)]
    listener.close()
    return heard, time.monotonic() - began


def half_requests(daemon):
    """Seconds until the last of them is cut off."""
    began = time.monotonic()
    socks = []
    for half in [b"GET / HT", b"GET / HTTP/1.1\r\nHost: x\r\n", b"PATCH /1.0 HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{"]:
        sock = unix_connect(daemon.socket, 60)
        sock.sendall(half)
        socks.append(sock)
    for sock in socks:
        while sock.recv(1000):
            pass
        sock.close()
    return time.monotonic() - began


def a_finished_operation(daemon):
    """Statuses of its URL after 6 s and when it is gone from the list."""
    rest = daemon.rest
    op = rest.start_op("POST", "images", {"source": {"type": "url", "url": "http://127.0.0.1:1/none"}})
    path = f"operations/{op['id']}"
    assert rest.read(f"{path}/wait")["status"] == "Failure"
    time.sleep(6)
    early = rest.get(path).status
    wait_until(lambda: rest.get(path).status == 404, 6 * SLOW)
    return early, path in str(rest.read("operations"))


def host_of_minute(minute):
    """A host name with which lxmd looks for newer images in that minute of each hour."""
    for i in range(10000):
        h = 5381
        for c in f"clock{i}".encode():
            h = (h * 33 + c) % 2**32
        if h % 60 == minute % 60:
            return f"clock{i}"


def start_before_its_minute(daemon):
    """The daemon, and the next full minute, at which it will look."""
    while True:
        minute = int(time.time() + 3) // 60 + 1
        daemon.prefix = ("unshare", "--uts", "sh", "-c", f'hostname {host_of_minute(minute)} && exec "$@"', "sh")
        daemon.start()
        if time.time() < minute * 60:
            return minute * 60
        daemon.stop()


def refreshes(_daemon):
    """Whether servers on the loopback were asked by the clock: the one of a project without restrictions, and that of a restricted one."""
    daemon = Daemon("clock")
    with tempfile.TemporaryDirectory() as top:
        servers = [imageserver.Server(*imageserver.make_certificate(Path(top))) for _ in range(2)]
    tree = imageserver.Streams()
    tree.add("bb/1", "20240101_00:00", *imageserver.split("clock"))
    try:
        rest = daemon.start().rest
        rest.change("PATCH", "/1.0", {"config": {"images.auto_update_interval": "1"}})
        rest.change("POST", "projects", {"name": "inner", "config": {"restricted": "true"}})
        for server, project in zip(servers, ("default", "inner")):
            server.routes = tree.routes()
            rest.change("POST", "images", query={"project": project}, json={"auto_update": True, "source": {
                "type": "image", "mode": "pull", "server": server.url, "protocol": "simplestreams", "certificate": server.certificate, "alias": "bb/1"}})
            server.seen.clear()
        daemon.stop()
        at = start_before_its_minute(daemon)
        wait_until(lambda: servers[0].seen and (servers[1].seen or "refresh image" in daemon.log_tail()), at - time.time() + 20)
        return [bool(server.seen) for server in servers]
    finally:
        for server in servers:
            server.close()
        problems = daemon.discard()
        assert not problems, problems


@pytest.fixture(scope="module")
def waits(session_daemon):
    """What each of them found; they begin before the first test."""
    with ThreadPoolExecutor() as pool:
        yield {f: pool.submit(f, session_daemon) for f in (two_pings, half_requests, a_finished_operation, refreshes)}


@pytest.fixture
def volume(daemon):
    path = "storage-pools/default/volumes/custom"
    daemon.rest.change("POST", path, {"name": "clock", "config": {"snapshots.schedule": "* * * * *", "snapshots.pattern": "vol%d",
                                                                  "snapshots.expiry": "2H"}})
    yield f"{path}/clock"
    daemon.rest.change("DELETE", f"{path}/clock")


def test_snapshots_come_and_what_has_expired_goes(waits, daemon, instance, volume):
    every = instance(config={"snapshots.schedule": "* * * * *", "snapshots.pattern": "auto%d"})
    still = instance(start=False, config={"snapshots.schedule": "* * * * *"})
    both = instance(start=False, config={"snapshots.schedule": "* * * * *", "snapshots.schedule.stopped": "true"})
    late, off = instance(), instance(config={"snapshots.schedule": "* * * * *", "snapshots.schedule.stopped": "true"})
    daemon.rest.change("PATCH", late.path, {"config": {"snapshots.schedule": "* * * * *"}})
    daemon.rest.change("PATCH", off.path, {"config": {"snapshots.schedule": ""}})
    daemon.rest.change("PATCH", still.path, {"config": {"snapshots.schedule.stopped": "true"}})
    daemon.rest.change("PATCH", still.path, {"config": {"snapshots.schedule.stopped": ""}})
    snap(still, "old", expires_at=in_a_second())
    snap(still, "kept", expires_at="2099-01-01T00:00:00Z")
    backups.make(still, "brief", expires_at=in_a_second())
    backups.make(still, "lasting", expires_at="2099-01-01T00:00:00Z")
    shots = f"{volume}/snapshots?recursion=1"
    wait_until(lambda: daemon.rest.read(shots) and names(every) and names(late) and names(both) and names(still) == ["kept"] and kept(still) == ["lasting"], 100,
               lambda: f"{names(every)} {names(both)} {names(still)} {kept(still)}")
    assert names(every)[0] == "auto0" and names(off) == []
    [shot] = daemon.rest.read(shots)[:1]
    made, until = (time.mktime(time.strptime(shot[k][:19], "%Y-%m-%dT%H:%M:%S")) for k in ("created_at", "expires_at"))
    assert shot["name"].endswith("vol0") and until - made == 2 * 3600
    files = [p.name for p in (daemon.dir / "backups").iterdir()]
    assert len(files) == 1, files


def test_images_are_refreshed_but_for_tenants_not_from_the_host_itself(waits):
    """A name of a tenant's choice may by now mean an address that only the host has."""
    assert waits[refreshes].result() == [True, False]


def test_pings_come_and_nobody_needs_to_answer(waits):
    heard, seconds = waits[two_pings].result()
    assert heard == [9, 9] and 15 < seconds < 25 * SLOW


def test_half_a_request_then_silence_is_cut_off(waits, rest):
    assert waits[half_requests].result() < 45 * SLOW
    assert rest.get("/").status == 200


def test_a_finished_operation_stays_for_ten_seconds(waits):
    assert waits[a_finished_operation].result() == (200, False)
