"""`lxmd shutdown`: the daemon alone, or with its instances as when the host goes down."""
import os
import subprocess

from conftest import create
from harness import images


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


def test_two_at_once_wait_for_one_end(own_daemon, busybox_tar):
    images.import_image(own_daemon.rest, busybox_tar, "testimage")
    inst = create(own_daemon, "testimage", name="d0")
    pid = inst.pid
    going = [subprocess.Popen([own_daemon.bin("lxmd"), "shutdown", "--instances", "--timeout=20"], env=own_daemon.env()) for _ in range(3)]
    assert [p.wait(30) for p in going] == [0, 0, 0]
    assert own_daemon.proc.wait(10) == 0 and gone(pid)
    own_daemon.proc = None
    own_daemon.start()
    inst.wait_status("Running", 10)
