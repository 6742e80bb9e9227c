"""An update with one bad part changes nothing, of no kind of object: not what is stored, not what the host has, whatever is good beside it.
What fails only when it is done, half way, is undone, and the error says what it was."""
import copy
import os
import re
import socket
import subprocess
from pathlib import Path

import pytest

from conftest import create
from harness import cgroups
from harness.instance import wait_until

TAG = f"{os.getpid() % 10000}"
NET = f"lxmA{TAG}"
VOLUME = f"atomic{TAG}"


def nic_rules(inst):
    """The tables of the instance's own NICs: others come and go meanwhile."""
    links = [n["host_name"] for n in inst.state()["network"].values() if n.get("host_name")]
    tables = subprocess.run(["nft", "list", "tables"], capture_output=True, text=True).stdout.splitlines()
    return {t: subprocess.run(["nft", "list", *t.split()], capture_output=True, text=True).stdout
            for t in tables if NET in t or any(name in t for name in links)}


def host_of_instance(inst):
    """What a change of these tests would touch: limits, links, mounts, nodes, processes."""
    pid = inst.pid
    mounts = [" ".join(line.split()[3:9]) for line in Path(f"/proc/{pid}/mountinfo").read_text().splitlines()]
    return {"pid": pid, "memory": cgroups.memory(pid), "processes": cgroups.processes(pid), "cpus": cgroups.cpus(pid), "mounts": mounts,
            "dev": inst.sh("ls -l /dev | grep -v ' tty\\| console'"), "links": inst.sh("ls /sys/class/net"), "environment": inst.sh("env | sort"),
            "guest API": inst.sh("ls /dev/lxd 2>&1 || true")}


@pytest.fixture(scope="module")
def world(session_daemon, busybox_tar):
    """One of each kind, in use where it can be: (path, host's view of it, {good change}, bad changes) by kind."""
    from conftest import IMAGE
    from harness import images
    rest = session_daemon.rest
    if rest.get(f"images/aliases/{IMAGE}").status == 404:
        images.import_image(rest, busybox_tar, IMAGE)
    rest.change("POST", "networks", {"name": NET, "config": {"ipv4.address": "10.251.77.1/24", "ipv6.address": "none", "ipv4.nat": "false"}})
    rest.change("POST", "storage-pools/default/volumes/custom", {"name": VOLUME, "config": {}})
    rest.change("POST", "profiles", {"name": "atomic", "config": {"limits.processes": "300"}})
    rest.change("POST", "projects", {"name": f"atomic{TAG}", "config": {"features.images": "false"}})
    inst = create(session_daemon, IMAGE, name=f"atomic{TAG}", profiles=["default", "atomic"], config={"limits.memory": "200MiB"},
                  devices={"vol": {"type": "disk", "pool": "default", "source": VOLUME, "path": "/mnt/vol"},
                           "eth9": {"type": "nic", "network": NET, "name": "eth9"}})
    try:
        yield session_daemon, inst
    finally:
        inst.remove()
        rest.change("DELETE", f"projects/atomic{TAG}")
        rest.change("DELETE", "profiles/atomic")
        rest.change("DELETE", f"storage-pools/default/volumes/custom/{VOLUME}")
        rest.change("DELETE", f"networks/{NET}")


def host_of_network():
    link = subprocess.run(["ip", "-d", "addr", "show", "dev", NET], capture_output=True, text=True, check=True).stdout
    link = re.sub(r"\b(hello_timer|gc_timer|tcn_timer|topology_change_timer) +\S+", "", link)
    return {"link": link, "rules": subprocess.run(["nft", "list", "table", "inet", f"lxm_{NET}"], capture_output=True, text=True).stdout,
            "dnsmasq": [p.read_bytes() for p in Path("/proc").glob("[0-9]*/cmdline") if NET.encode() in read(p)]}


def read(path):
    try:
        return path.read_bytes()
    except OSError:
        return b""


def listening(daemon):
    """Where it does; others come and go."""
    lines = subprocess.run(["ss", "-Hltnp"], capture_output=True, text=True).stdout.splitlines()
    return sorted(line.split()[3] for line in lines if f"pid={daemon.proc.pid}," in line)


GOOD_INSTANCE = {"config": {"limits.memory": "150MiB", "limits.processes": "99", "environment.NEW": "1"},
                 "devices": {"fresh": {"type": "disk", "source": "/usr", "path": "/mnt/fresh", "readonly": "true"}}}
BAD_CONFIGS = [{"limits.cpu": "many"}, {"no.such.key": "1"}, {"nvidia.runtime": "true"}, {"raw.qemu": "x"}, {"raw.lxc": "lxc.hook.start = /x"},
               {"linux.sysctl.kernel.panic": "1"}, {"limits.kernel.nofile": "-3"}, {"environment.BAD": "a\nb"}, {"boot.autostart": "perhaps"}]
BAD_DEVICES = [{"type": "disk", "source": "/no/such/dir", "path": "/mnt/x"}, {"type": "nonsense"}, {"type": "disk", "path": "/mnt/x"},
               {"type": "nic", "nictype": "macvlan", "parent": "nosuchlink"}, {"type": "nic", "network": "nosuchnet"},
               {"type": "unix-char", "source": "/dev/no-such-node"}, {"type": "proxy", "listen": "tcp:127.0.0.1:70000", "connect": "tcp:127.0.0.1:1"},
               {"type": "tpm", "path": "/dev/tpm0"}]
BAD_INSTANCE = [{"config": c} for c in BAD_CONFIGS] + [{"devices": {"bad": d}} for d in BAD_DEVICES] + [{"profiles": ["default", "nosuchprofile"]}]

TABLE = {
    "instance": (lambda i: i.path, lambda i: host_of_instance(i), GOOD_INSTANCE, BAD_INSTANCE),
    "profile": (lambda i: "/1.0/profiles/atomic", lambda i: host_of_instance(i), GOOD_INSTANCE, BAD_INSTANCE[:-1]),
    "network": (lambda i: f"/1.0/networks/{NET}", lambda i: host_of_network(),
                {"config": {"bridge.mtu": "1400", "ipv4.nat": "true", "dns.domain": "changed"}},
                [{"config": c} for c in ({"ipv4.address": "10.1.2.3/33"}, {"ipv4.dhcp.ranges": "10.1.1.1"}, {"raw.dnsmasq": "x"}, {"no.such": "x"},
                                         {"ipv4.dhcp.ranges": "10.1.1.1-10.1.1.9"}, {"bridge.driver": "openvswitch"})]),
    "project": (lambda i: f"/1.0/projects/atomic{TAG}", lambda i: host_of_instance(i), {"config": {"user.a": "1", "limits.instances": "3", "restricted": "true"}},
                [{"config": c} for c in ({"limits.cpu": "x"}, {"restricted.devices.gpu": "maybe"}, {"restricted.cluster.target": "allow"}, {"no.such": "1"})]),
    "pool": (lambda i: "/1.0/storage-pools/default", lambda i: host_of_instance(i),
             {"config": {"user.a": "1"}}, [{"config": c} for c in ({"source": "/elsewhere"}, {"rsync.bwlimit": "1"}, {"no.such": "1"}, {"volume.nosuch": "1"})]),
    "volume": (lambda i: f"/1.0/storage-pools/default/volumes/custom/{VOLUME}", lambda i: i.sh("ls -ln /mnt; grep vol /proc/self/mountinfo"),
               {"config": {"user.a": "1", "snapshots.expiry": "3d"}},
               [{"config": c} for c in ({"size": "big"}, {"snapshots.schedule": "whenever"}, {"security.unmapped": "2"}, {"block.filesystem": "ext4"})]),
    "server": (lambda i: "/1.0", lambda i: listening(i.daemon), {"config": {"core.https_address": "127.0.0.1:{port}", "user.a": "1"}},
               [{"config": c} for c in ({"core.https_allowed_credentials": "x"}, {"core.metrics_address": "192.0.2.1:9"}, {"loki.api.url": "http://x"},
                                        {"images.compression_algorithm": "sh -c id"}, {"no.such": "1"})]),
}


def stored(rest, path):
    """The object without what changes by itself."""
    got = rest.read(path)
    if path == "/1.0":
        return got["config"]
    return {k: v for k, v in got.items() if k not in ("last_used_at", "status", "status_code", "state", "used_by", "environment")}


def merged(base, *more):
    out = copy.deepcopy(base)
    for change in more:
        for key, value in change.items():
            out[key] = {**out.get(key, {}), **value} if isinstance(value, dict) else value
    return out


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


@pytest.mark.host_only("judged as a whole before anything reaches the kernel")
@pytest.mark.parametrize("method", ["PUT", "PATCH"])
@pytest.mark.parametrize("kind", TABLE)
def test_one_bad_part_changes_nothing(world, kind, method):
    daemon, inst = world
    path_of, host_of, good, bads = TABLE[kind]
    rest, path = daemon.rest, path_of(inst)
    if kind == "server":
        good = {"config": {k: v.format(port=free_port()) for k, v in good["config"].items()}}
    before, host = stored(rest, path), host_of(inst)
    base = {"config": before} if path == "/1.0" else before
    for bad in bads:
        change = merged(good, bad)
        body = merged(base, change) if method == "PUT" else change
        if method == "PATCH" and "devices" in change and kind == "instance":
            body["devices"] = merged(base, change)["devices"]
        text = rest.refused(method, path, body, statuses=(400, 403, 404, 500, 501))
        [(word, value)] = (bad.get("config") or bad.get("devices") or {"nosuchprofile": 0}).items()
        assert word in text or str(value) in text, f"{bad}: {text}"
        assert stored(rest, path) == before, bad
        assert host_of(inst) == host, bad


def test_the_good_part_alone_has_its_effect(world):
    """The table's good halves are good: without this, the test above could not fail."""
    daemon, inst = world
    rest = daemon.rest
    rest.change("PATCH", inst.path, {"config": GOOD_INSTANCE["config"], "devices": {**inst.get()["devices"], **GOOD_INSTANCE["devices"]}})
    assert (cgroups.memory(inst.pid), cgroups.processes(inst.pid)) == (150 << 20, 99)
    assert inst.sh("echo $NEW; ls /mnt/fresh/bin | head -1").split()[0] == "1"
    devices = inst.get()["devices"]
    del devices["fresh"]
    rest.change("PUT", inst.path, {**inst.get(), "devices": devices, "config": {k: v for k, v in inst.get()["config"].items() if k not in GOOD_INSTANCE["config"]}})
    assert (cgroups.memory(inst.pid), cgroups.processes(inst.pid)) == (None, 300)
    for kind in ("network", "project", "pool", "volume"):
        path = TABLE[kind][0](inst)
        before = rest.read(path)
        rest.change("PATCH", path, TABLE[kind][2])
        got = rest.read(path)["config"]
        assert all(got[k] == v for k, v in TABLE[kind][2]["config"].items())
        rest.change("PUT", path, before)
    assert "mtu 1500" in host_of_network()["link"]
    rest.change("PATCH", inst.path, {"config": {"limits.memory": "200MiB"}})


def test_a_live_change_that_fails_half_way_is_undone_and_says_so(world):
    """Three limits, a disk and a NIC's rate go well; the last device's host side fails when it is made."""
    daemon, inst = world
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        before, host, rules = inst.get(), host_of_instance(inst), nic_rules(inst)
        devices = {**before["devices"], **GOOD_INSTANCE["devices"], "zz": {"type": "proxy", "listen": f"tcp:127.0.0.1:{taken.getsockname()[1]}",
                                                                          "connect": "tcp:127.0.0.1:80"}}
        devices["eth9"] = {**devices["eth9"], "limits.egress": "8Mbit"}
        text = daemon.rest.refused("PATCH", inst.path, {"config": {"limits.memory": "120MiB", "limits.processes": "88", "limits.cpu.allowance": "50%",
                                                                  "environment.NEW": "1", "security.devlxd": "false"}, "devices": devices}, statuses=(400, 409, 500))
    assert "'zz'" in text and "in use" in text, text
    after = inst.get()
    for part in ("config", "devices", "profiles", "expanded_config", "expanded_devices"):
        assert after[part] == before[part]
    assert host_of_instance(inst) == host
    wait_until(lambda: nic_rules(inst) == rules, 3, lambda: f"{nic_rules(inst)} is not {rules}")
    # it is whole: the same change without the last part goes
    del devices["zz"]
    daemon.rest.change("PATCH", inst.path, {"config": {"limits.processes": "88"}, "devices": devices})
    assert cgroups.processes(inst.pid) == 88
    daemon.rest.change("PUT", inst.path, before)
    assert cgroups.processes(inst.pid) == 300
