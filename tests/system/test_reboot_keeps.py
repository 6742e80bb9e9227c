"""What was changed while an instance runs is there after a reboot from inside, whether lxmd lives or not."""
import json
import os
import signal
import subprocess
import threading

import pytest

from conftest import create
from harness import cgroups, images
from harness.instance import wait_until
from harness.netns import ip

MIB = 1 << 20
TAG = f"lxmk{os.getpid() % 10000}"


@pytest.fixture(scope="module")
def lxmd(busybox_tar):
    from harness.daemon import Daemon
    from harness.host import HostState

    before = HostState()
    d = Daemon("keeps")
    try:
        d.start()
        d.init()
        images.import_image(d.rest, busybox_tar, "bb")
        yield d
    finally:
        d.end(before)


@pytest.fixture(scope="module")
def one(lxmd, tmp_path_factory):
    inst = create(lxmd, "bb", name="keeps", config={"environment.OLD": "1", "limits.processes": "100", "boot.autostart": "false"})
    yield inst
    if not lxmd.alive():
        lxmd.start()
    inst.remove()


@pytest.fixture
def box(lxmd, one):
    """It runs, with a configuration of the test's own and lxmd alive; bare again behind it."""
    if not lxmd.alive():
        lxmd.start()
    yield one
    if not lxmd.alive():
        lxmd.start()
    change(one, {}, {})


def change(inst, config, devs):
    """Live: configuration but for volatile keys, and devices of its own."""
    now = inst.get()
    kept = {k: v for k, v in now["config"].items() if k.startswith(("volatile.", "image."))}
    inst.rest.change("PUT", inst.path, {"config": kept | {"boot.autostart": "false"} | config, "devices": devs, "profiles": now["profiles"],
                                        "description": ""})


def enter(pid, script):
    """Output of a script inside, without lxmd."""
    return subprocess.run(["nsenter", "-t", str(pid), "-m", "-u", "-i", "-p", "-n", "-U", "/bin/sh", "-c", script], capture_output=True, text=True).stdout


def monitor_of(pid):
    with open(f"/proc/{pid}/stat") as f:
        return int(f.read().rsplit(")", 1)[1].split()[1])


def children(pid):
    with open(f"/proc/{pid}/task/{pid}/children") as f:
        return [int(p) for p in f.read().split()]


def name_of(pid):
    try:
        with open(f"/proc/{pid}/comm") as f:
            return f.read().strip()
    except OSError:
        return ""


def reboot(inst, pid=None):
    """From inside. Returns the new init as the host sees it, once it has its root and its links."""
    pid = pid or inst.pid
    monitor = monitor_of(pid)
    enter(pid, "reboot -f")
    wait_until(lambda: pid not in children(monitor), 10, lambda: "it did not reboot")

    new = wait_until(lambda: next((p for p in children(monitor) if name_of(p) == "init"), 0), 10, lambda: "it did not come back")
    if inst.daemon.alive():
        wait_until(lambda: inst.pid == new, 10)
    return new


def environ(pid):
    with open(f"/proc/{pid}/environ") as f:
        return dict(v.split("=", 1) for v in f.read().split("\0") if "=" in v)


def routes():
    return ip("route", "show").stdout


@pytest.fixture
def disk(tmp_path):
    for parent in [tmp_path, *tmp_path.parents][:3]:
        parent.chmod(0o755)
    (tmp_path / "f").write_text("seen")
    return {"type": "disk", "source": str(tmp_path), "path": "/mnt/d"}


def some_devices(rest, disk):
    network = next(n["name"] for n in rest.read("networks", query={"recursion": 1}) if n["managed"])
    return {"d": disk, "n": {"type": "unix-char", "source": "/dev/full", "path": "/dev/mine"},
            "p": {"type": "nic", "nictype": "p2p", "name": "nic0", "host_name": f"{TAG}p", "mtu": "1400", "ipv4.routes": "198.51.100.0/24",
                  "hwaddr": "00:16:3e:01:02:03"},
            "b": {"type": "nic", "network": network, "name": "nic1", "security.mac_filtering": "true", "limits.ingress": "10Mbit", "limits.egress": "10Mbit",
                  "security.port_isolation": "true"}}


CONFIG = {"environment.NEW": "2", "limits.memory": "96MiB", "limits.processes": "77", "limits.kernel.nofile": "5000",
          "linux.sysctl.net.ipv4.ip_default_ttl": "77", "security.devlxd": "false", "security.syscalls.deny": "mkdir errno 1"}


def everything(pid):
    """All of it, read without lxmd."""
    out = enter(pid, "cat /mnt/d/f; echo; ls /dev/mine /dev/lxd/sock 2>/dev/null; for l in nic0 nic1; do cat /sys/class/net/$l/address /sys/class/net/$l/mtu; done 2>/dev/null;"
                     " cat /proc/sys/net/ipv4/ip_default_ttl")
    with open(f"/proc/{pid}/limits") as f:
        nofile = next(line.split()[3] for line in f if line.startswith("Max open files"))
    env = environ(pid)
    return {"inside": out.split(), "nofile": nofile, "env": (env.get("OLD"), env.get("NEW")), "memory": cgroups.memory(pid),
            "processes": cgroups.processes(pid), "route": "198.51.100.0/24" in routes()}


def is_changed(pid, mac):
    assert everything(pid) == {"inside": ["seen", "/dev/mine", "00:16:3e:01:02:03", "1400", mac, "1500", "77"], "nofile": "5000", "env": (None, "2"),
                               "memory": 96 * MIB, "processes": 77, "route": True}


def shown(*argv):
    return subprocess.run(argv, capture_output=True, text=True).stdout


def is_held(host, mac):
    """What the host end of the bridged NIC holds it to: rate, isolation, filters, and that the bridge knows who is behind it."""
    port = json.loads(shown("bridge", "-d", "-j", "link", "show", "dev", host))[0]
    assert "rate 10Mbit" in shown("tc", "qdisc", "show", "dev", host)
    assert port["isolated"] and not port["learning"] and port["state"] == "forwarding"
    assert mac in [row["mac"] for row in json.loads(shown("bridge", "-j", "fdb", "show", "dev", host)) if row["state"] == "static"]
    assert host in shown("nft", "list", "ruleset")


def is_bare(pid):
    now = everything(pid)
    assert (now["inside"], now["env"], now["route"]) == (["/dev/lxd/sock", "64"], (None, None), False), now
    assert (now["memory"], now["processes"]) == (None, None)


@pytest.mark.parametrize("alive", [True, False], ids=["with lxmd", "without lxmd"])
def test_a_reboot_has_what_was_changed(lxmd, box, disk, alive):
    change(box, CONFIG, some_devices(lxmd.rest, disk))
    mac, host = (box.get()["config"][f"volatile.b.{k}"] for k in ("hwaddr", "host_name"))
    pid = box.pid
    if not alive:
        lxmd.kill()
    pid = reboot(box, pid)
    is_changed(pid, mac)
    is_held(host, mac)
    # the next lxmd, and the next change
    if not alive:
        lxmd.start()
    assert box.get()["config"]["volatile.b.host_name"] == box.state()["network"]["nic1"]["host_name"] == host
    wait_until(lambda: "limit rate over" in shown("nft", "list", "table", "netdev", f"lxm_{host}"))
    is_held(host, mac)
    change(box, {}, {})
    pid = box.pid
    if not alive:
        lxmd.kill()
    pid = reboot(box, pid)
    is_bare(pid)
    # and nothing of the old one comes back with a second one
    is_bare(reboot(box, pid))


def test_a_new_lxmd_goes_on(lxmd, box, disk):
    change(box, {"environment.NEW": "1"}, {"d": disk})
    lxmd.kill()
    lxmd.start()
    change(box, {"environment.NEW": "2"}, {"n": {"type": "unix-char", "source": "/dev/full", "path": "/dev/mine"}})
    pid = box.pid
    lxmd.kill()
    now = everything(reboot(box, pid))
    assert now["env"] == (None, "2") and sorted(now["inside"]) == ["/dev/lxd/sock", "/dev/mine", "64"]


def test_a_crash_before_the_plan_is_renewed(lxmd, box, disk):
    """lxmd is killed when the change is made and recorded, but the monitor has not taken the plan."""
    pid = box.pid
    monitor = monitor_of(pid)
    os.kill(monitor, signal.SIGSTOP)
    try:
        thread = threading.Thread(target=lambda: pytest.raises(Exception, change, box, {}, {"d": disk}))
        thread.start()
        wait_until(lambda: enter(pid, "cat /mnt/d/f") == "seen" and "d" in box.get()["devices"])
        lxmd.kill()
        thread.join()
    finally:
        os.kill(monitor, signal.SIGCONT)
    lxmd.start()
    assert "d" in box.get()["devices"]
    lxmd.kill()
    assert everything(reboot(box, pid))["inside"][0] == "seen"


def test_a_change_that_is_undone_leaves_the_plan(lxmd, box, disk):
    change(box, {"environment.NEW": "1"}, {"d": disk})
    with pytest.raises(Exception, match="bad"):
        change(box, {"environment.NEW": "2"}, {"bad": {"type": "disk", "source": "/etc", "path": "/proc/nowhere/x"}})
    now = everything(reboot(box))
    assert now["env"] == (None, "1") and now["inside"][0] == "seen"


def test_a_node_that_comes_later_is_kept(lxmd, box, tmp_path):
    node = tmp_path / "node"
    change(box, {}, {"n": {"type": "unix-char", "source": str(node), "path": "/dev/mine", "required": "false"}})
    os.mknod(node, 0o20666, os.makedev(1, 7))
    wait_until(lambda: enter(box.pid, "ls /dev/mine"))
    pid = reboot(box)
    assert enter(pid, "ls /dev/mine")
    node.unlink()
    wait_until(lambda: not enter(pid, "ls /dev/mine 2>/dev/null"))
    assert not enter(reboot(box), "ls /dev/mine 2>/dev/null")


@pytest.fixture
def vlan_bridge():
    name = f"{TAG}v"
    if ip("link", "add", name, "type", "bridge", "vlan_filtering", "1", check=False).returncode:
        pytest.skip("this kernel has no VLAN filtering on bridges")
    ip("link", "set", name, "up")
    yield name
    ip("link", "del", name)


def vlans(link):
    rows = json.loads(shown("bridge", "-j", "vlan", "show", "dev", link))
    return [(vid, "PVID" in v.get("flags", [])) for v in (rows[0]["vlans"] if rows else []) for vid in range(v["vlan"], v.get("vlanEnd", v["vlan"]) + 1)]


def test_vlans_of_a_live_change(lxmd, box, vlan_bridge):
    """After a reboot that no lxmd sees, in the right ones and connected; with the next lxmd too, also one that is in none any more."""
    def port(**more):
        change(box, {}, {"v": {"type": "nic", "nictype": "bridged", "parent": vlan_bridge, "name": "nic2", **more}})
        return box.get()["config"]["volatile.v.host_name"]

    host, pid, wanted = port(vlan="7", **{"vlan.tagged": "10, 20-22"}), box.pid, [(7, True), *((vid, False) for vid in (10, 20, 21, 22))]
    assert vlans(host) == wanted
    port(vlan="8", **{"vlan.tagged": "10, 20-22"})
    wanted[0] = (8, True)
    lxmd.kill()
    pid = reboot(box, pid)
    assert vlans(host) == wanted
    wait_until(lambda: shown("cat", f"/sys/class/net/{host}/operstate") == "up\n")
    lxmd.start()
    assert vlans(host) == wanted
    port(vlan="none")
    lxmd.kill()
    reboot(box, pid)
    assert vlans(host) == []
    lxmd.start()
    port()
    assert vlans(host) == [(1, True)]
