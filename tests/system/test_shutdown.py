"""`lxmd shutdown`: the daemon alone, or with its instances as when the host goes down."""
import http.client
import os
import subprocess
import threading

import pytest

from conftest import create
from harness import images
from harness.daemon import Daemon
from harness.host import alone
from harness.instance import wait_until


def gone(pid):
    return not os.path.exists(f"/proc/{pid}")


def on_host(bridge):
    """All of a network, or none of it."""
    tables = subprocess.run(["nft", "list", "tables"], capture_output=True, text=True, check=True).stdout
    there = {os.path.exists(f"/sys/class/net/{bridge}"), f"lxm_{bridge}\n" in tables,
             subprocess.run(["pgrep", "-f", f"networks/{bridge}/dnsmasq.conf"], stdout=subprocess.DEVNULL).returncode == 0}
    assert len(there) == 1, f"a part of {bridge} is there"
    return there.pop()


def test_shutdown_with_instances_stops_them_and_start_brings_them_back(own_daemon, busybox_tar):
    images.import_image(own_daemon.rest, busybox_tar, "testimage")
    instances = [create(own_daemon, "testimage", name=f"d{i}") for i in range(3)]
    stays_off = create(own_daemon, "testimage", name="off", start=False)
    pids = [inst.pid for inst in instances]
    networks = [n["name"] for n in own_daemon.rest.read("networks?recursion=1") if n["managed"]]
    assert networks and all(map(on_host, networks))
    with alone("init"):  # nobody takes the bridge's name while it is gone
        own_daemon.lxmd("shutdown", "--instances", check=True)
        assert own_daemon.proc.wait(10) == 0
        own_daemon.proc = None
        assert all(map(gone, pids))
        assert not any(map(on_host, networks)), "neither bridge nor firewall nor dnsmasq stays"
        own_daemon.start()
    for inst in instances:
        inst.wait_status("Running", 10)
    assert stays_off.status == "Stopped"
    assert all(map(on_host, networks))


def test_shutdown_alone_leaves_them(own_daemon, busybox_tar):
    images.import_image(own_daemon.rest, busybox_tar, "testimage")
    inst = create(own_daemon, "testimage", name="stays")
    pid = inst.pid
    networks = [n["name"] for n in own_daemon.rest.read("networks?recursion=1") if n["managed"]]
    own_daemon.lxmd("shutdown", check=True)
    assert own_daemon.proc.wait(10) == 0
    own_daemon.proc = None
    assert not gone(pid) and all(map(on_host, networks))
    own_daemon.start()
    assert inst.pid == pid


@pytest.mark.host_only("who waits for the end of lxmd")
def test_two_at_once_wait_for_one_end(own_daemon, busybox_tar):
    images.import_image(own_daemon.rest, busybox_tar, "testimage")
    inst = create(own_daemon, "testimage", name="d0")
    pid = inst.pid
    with alone("init"):
        going = [subprocess.Popen([own_daemon.bin("lxmd"), "shutdown", "--instances", "--timeout=20"], env=own_daemon.env()) for _ in range(3)]
        assert [p.wait(30) for p in going] == [0, 0, 0]
        assert own_daemon.proc.wait(10) == 0 and gone(pid)
        own_daemon.proc = None
        own_daemon.start()
    inst.wait_status("Running", 10)


@pytest.mark.host_only("who waits for the end of lxmd")
def test_an_end_amid_requests_on_open_connections():
    """libmicrohttpd aborts when it is ended while a request waits for its worker."""
    daemon = Daemon("amid")
    try:
        daemon.start()
        served = [0] * 16
        begun = threading.Barrier(len(served) + 1)

        def ask(k):
            c = daemon.rest.http()
            try:
                c.connect()
                begun.wait(20)
                while True:
                    c.request("GET", "/1.0/instances?recursion=2")
                    reply = c.getresponse()
                    reply.read()
                    if reply.getheader("Connection") == "close":
                        return
                    assert reply.status == 200
                    served[k] += 1
            except (OSError, http.client.HTTPException):
                pass

        clients = [threading.Thread(target=ask, args=(k,)) for k in range(len(served))]
        for c in clients:
            c.start()
        begun.wait(20)
        wait_until(lambda: all(served), 20)
        daemon.stop()
        for c in clients:
            c.join(20)
        assert not any(c.is_alive() for c in clients)
        assert "did not end" not in daemon.log.read_text()
    finally:
        problems = daemon.discard()
        assert not problems, "\n".join(problems)


def test_an_end_while_instances_are_being_started(own_daemon, busybox_tar):
    images.import_image(own_daemon.rest, busybox_tar, "testimage")
    instances = [create(own_daemon, "testimage", name=f"d{i}", start=False, config={"boot.autostart": "true"}) for i in range(4)]
    own_daemon.stop()
    own_daemon.start()  # starts them
    own_daemon.stop()
    assert "did not end" not in own_daemon.log.read_text()
    own_daemon.start()
    for inst in instances:
        inst.wait_status("Running", 10)
