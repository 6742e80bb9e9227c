"""Keys that no other file tests by their effect: security.syscalls.*, options of bridged NICs and of device nodes, rules of restricted projects.
tests/effects.txt says of every key which test reads its effect."""
import ctypes
import json
import os
import subprocess
from datetime import datetime
from pathlib import Path

import pytest

from harness import cgroups, guest
from harness.probe import probe

TAG = os.getpid() % 10000


def again(inst, config=None, devices=None):
    """Stops it, replaces what it has of its own, and starts it."""
    inst.stop()
    got = inst.get()
    got["config"] = {k: v for k, v in got["config"].items() if k.startswith(("volatile.", "image."))} | (config or {})
    got["devices"] = devices if devices is not None else got["devices"]
    inst.rest.change("PUT", inst.path, got)
    inst.start()


# ---- security.syscalls
def all_calls():
    """Names of the system calls that libseccomp knows here."""
    lib = ctypes.CDLL("libseccomp.so.2")
    lib.seccomp_syscall_resolve_num_arch.restype = ctypes.c_void_p
    found = []
    for number in range(470):
        name = lib.seccomp_syscall_resolve_num_arch(0xC000003E if os.uname().machine == "x86_64" else 0, number)
        if name:
            found.append(ctypes.string_at(name).decode())
    return found


def test_calls_that_are_denied_and_allowed(instance):
    inst = instance(config={"security.syscalls.deny": "mkdirat errno 28\nmkdir errno 28"})
    assert b"No space left" in inst.exec("mkdir", "/root/d").err
    again(inst)
    assert inst.exec("mkdir", "/root/d").code == 0
    again(inst, {"security.syscalls.allow": "\n".join(n for n in all_calls() if n not in ("rmdir", "unlinkat"))})
    assert inst.exec("rmdir", "/root/d").code != 0 and inst.sh("echo on").strip() == "on"
    again(inst)
    assert inst.exec("rmdir", "/root/d").code == 0


def test_calls_that_no_container_needs_and_the_32_bit_ones(instance):
    inst = instance()
    calls = ("open_by_handle_at", "compat_open_by_handle_at")

    def answers():
        got = probe(inst, "calls")
        return [got.get(name) == "ENOSYS" for name in calls if name in got]

    assert all(answers())
    again(inst, {"security.syscalls.deny_default": "false"})
    assert not any(answers())
    again(inst, {"security.syscalls.deny_default": "false", "security.syscalls.deny_compat": "true"})
    got = probe(inst, "calls")
    assert got["open_by_handle_at"] != "ENOSYS"
    assert got.get("compat_open_by_handle_at", "ENOSYS") in ("ENOSYS", "EPERM")
    again(inst)
    assert all(answers())


# ---- many keys of one instance at once
def expiry(inst, snap):
    """Hours until a snapshot expires; 0: never."""
    until = inst.rest.read(f"{inst.path}/snapshots/{snap}")["expires_at"]
    made = inst.rest.read(f"{inst.path}/snapshots/{snap}")["created_at"]
    if until.startswith("0001"):
        return 0
    return round((datetime.fromisoformat(until[:19]) - datetime.fromisoformat(made[:19])).total_seconds() / 3600)


def snapshot_as_told(inst):
    """(name, hours it stays) of a snapshot for which nobody says either."""
    inst.rest.change("POST", f"{inst.path}/snapshots", {})
    name = inst.rest.read(f"{inst.path}/snapshots")[0].rsplit("/", 1)[1]
    found = (name, expiry(inst, name))
    inst.rest.change("DELETE", f"{inst.path}/snapshots/{name}")
    return found


def told(inst):
    """What the guest is told of each key in TOLD, None: nothing. On one connection."""
    asked = "".join(f"GET /1.0/config/{key} HTTP/1.1\r\nHost: lxd\r\n\r\n" for key in TOLD)
    text = guest.raw(inst, asked[:-2].encode() + b"Connection: close\r\n\r\n")
    replies = [guest.parse(b"HTTP/1.1 " + part) for part in text.split(b"HTTP/1.1 ")[1:]]
    return {key: reply.text if reply.status == 200 else None for key, reply in zip(TOLD, replies, strict=True)}


def nests(inst):
    return inst.exec("unshare", "-Urmpf", "sh", "-c", "mount -t proc p /mnt").code == 0


def weight(inst):
    return int(cgroups.read(inst.pid, "cpu", "cpu.shares", "cpu.weight"))


# key: what it is at the start and after a change; what is read; what that is at the start, after the change and without the key
TOLD = {"cloud-init.user-data": ("#!a", "#!b"), "cloud-init.vendor-data": ("#!c", "#!d"), "user.user-data": ("#!e", "#!f"),
        "user.vendor-data": ("#!g", "#!h"), "cloud-init.network-config": ("version: 1", "version: 2"),
        "user.network-config": ("version: 1", "version: 2"), "user.colour": ("red", "blue")}
LIVE = {
    "limits.cpu.priority": ("4", "7", weight, (94, 97, 100) if cgroups.is_v2("cpu") else (1018, 1021, 1024)),
    "snapshots.pattern": ("one%d", "two%d", lambda i: snapshot_as_told(i)[0], ("one0", "two0", "snap0")),
    "snapshots.expiry": ("2H", "3d", lambda i: snapshot_as_told(i)[1], (2, 72, 0)),
    **{key: (one, two, None, (one, two, None)) for key, (one, two) in TOLD.items()},
}
NEXT_START = {
    "security.nesting": ("true", "false", nests, (True, False, False)),
}
INTERCEPT = {"mknod": "null", "setxattr": "opaque_tmpfs", "sysinfo": "sysinfo_limit", "sched_setscheduler": "leave_idle"}


def test_keys_from_the_start_changed_and_unset(instance):
    """All at once: those that are live count at once, the others with the next start."""
    rows, calls = LIVE | NEXT_START, [f"security.syscalls.intercept.{call}" for call in INTERCEPT]
    inst = instance(config={"limits.memory": "48MiB"} | {key: row[0] for key, row in rows.items()} | dict.fromkeys(calls, "true"))

    def patch(config):
        inst.rest.change("PATCH", inst.path, {"config": config})

    def check(live, later):
        found = told(inst) | {key: row[2](inst) for key, row in rows.items() if row[2]}
        assert found == {key: row[3][live if key in LIVE else later] for key, row in rows.items()}

    def answers():
        found = probe(inst, "intercept")
        return {call for call, tried in INTERCEPT.items() if found[tried] == "ok"}

    check(0, 0)
    assert answers() == set(INTERCEPT)
    for phase in (1, 2):
        patch({key: row[1] if phase == 1 else "" for key, row in LIVE.items()})
        check(phase, 0)
    inst.stop()
    patch({key: row[1] for key, row in rows.items()} | dict.fromkeys(calls, "false"))
    inst.start()
    check(1, 1)
    assert not answers()
    inst.stop()
    patch({key: "" for key in [*rows, *calls]})
    inst.start()
    check(2, 2)
    assert not answers()


# ---- bridged NICs
@pytest.fixture
def bridge(rest):
    name = f"lxmM{TAG}"
    rest.change("POST", "networks", {"name": name, "config": {"ipv4.address": "10.251.82.1/24", "ipv6.address": "fd42:251:82::1/64",
                                                              "ipv4.nat": "false", "ipv6.nat": "false", "ipv6.dhcp.stateful": "true"}})
    yield name
    rest.change("DELETE", f"networks/{name}")


def links():
    return {link["ifname"]: link for link in json.loads(subprocess.run(["ip", "-j", "link"], capture_output=True, check=True).stdout)}


def test_options_of_bridged_nics(bridge, instance, daemon):
    """host_name, hwaddr, name, mtu, ipv4.address, ipv6.address, *.routes.external, parent and nictype: before the start, live, unset."""
    host, mac = f"hM{TAG}", "00:16:3e:77:00:01"
    base = {"type": "nic", "nictype": "bridged", "parent": bridge}
    inst = instance(devices={"n": {**base, "name": "wan7", "host_name": host, "hwaddr": mac, "mtu": "1400"}})
    assert inst.sh("cat /sys/class/net/wan7/address /sys/class/net/wan7/mtu").split() == [mac, "1400"]
    assert (links()[host]["master"], links()[host]["mtu"]) == (bridge, 1400)

    def put(**more):
        got = inst.get()
        got["devices"] = {"n": {**base, **{k.replace("__", "."): v for k, v in more.items()}}} if more.get("name") else {}
        inst.rest.change("PUT", inst.path, got)

    put(name="lan7", host_name=host, hwaddr="00:16:3e:77:00:02", mtu="1300")
    assert inst.sh("cat /sys/class/net/lan7/address /sys/class/net/lan7/mtu").split() == ["00:16:3e:77:00:02", "1300"]
    assert "wan7" not in inst.sh("ls /sys/class/net")
    put()
    assert host not in links() and "lan7" not in inst.sh("ls /sys/class/net")
    # unset: a name, a MAC and an MTU are found for it
    put(name="lan7")
    assert inst.sh("cat /sys/class/net/lan7/mtu").strip() == "1500" and host not in links()
    assert inst.sh("cat /sys/class/net/lan7/address").startswith("00:16:3e:")


def test_addresses_and_routes_of_bridged_nics(bridge, instance, daemon):
    base = {"type": "nic", "network": bridge, "name": "lan7", "hwaddr": "00:16:3e:77:00:03"}
    inst = instance(devices={"n": {**base, "ipv4.address": "10.251.82.77", "ipv6.address": "fd42:251:82::77",
                                      "ipv4.routes.external": "198.51.100.128/25", "ipv6.routes.external": "2001:db8:83::/64"}})

    def lease():
        inst.sh("ip link set lan7 up; printf '#!/bin/sh\\n[ $1 = bound ] && echo $ip > /tmp/ip\\n' > /tmp/u; chmod 755 /tmp/u; rm -f /tmp/ip")
        inst.exec("udhcpc", "-i", "lan7", "-s", "/tmp/u", "-n", "-q", "-t", "3", "-T", "1")
        return inst.sh("cat /tmp/ip").strip()

    def reserved():
        return "".join(p.read_text() for p in (daemon.dir / "networks" / bridge / "hosts").iterdir())

    def put(**more):
        inst.rest.change("PATCH", inst.path, {"devices": {"n": {**base, **{k.replace("__", "."): v for k, v in more.items()}}}})

    def routes():
        return subprocess.run("ip route show dev BR; ip -6 route show dev BR".replace("BR", bridge), shell=True, capture_output=True, text=True).stdout

    assert "198.51.100.128/25" in routes() and "2001:db8:83::/64" in routes()
    assert lease() == "10.251.82.77" and "fd42:251:82::77" in reserved()
    put(ipv4__address="10.251.82.78", ipv6__address="fd42:251:82::78")
    assert lease() == "10.251.82.78" and "fd42:251:82::78" in reserved() and "::77" not in reserved()
    put(ipv4__routes__external="198.51.100.0/25", ipv6__routes__external="2001:db8:82::/64")
    assert "198.51.100.0/25" in routes() and "2001:db8:82::/64" in routes()
    assert lease() not in ("", "10.251.82.77") and "fd42:251:82::7" not in reserved()
    put()
    assert "198.51.100" not in routes() and "2001:db8" not in routes()


# ---- device nodes
@pytest.mark.parametrize("kind, source, numbers", [("unix-char", "/dev/zero", (1, 5)), ("unix-block", None, None)])
def test_options_of_device_nodes(instance, tmp_path, kind, source, numbers):
    """path, source, major, minor, uid, gid, mode, required: at the start, live, unset."""
    if kind == "unix-block":
        found = [p for p in Path("/sys/block").iterdir() if (p / "dev").exists() and Path("/dev", p.name).exists()]
        if not found:
            pytest.skip("no block device here")
        source, numbers = f"/dev/{found[0].name}", tuple(map(int, (found[0] / "dev").read_text().split(":")))
    own = {"type": kind, "source": source, "path": "/dev/own", "uid": "7", "gid": "8", "mode": "0604"}
    inst = instance(devices={"a": own, "b": {"type": kind, "source": f"/dev/no-such-{TAG}", "required": "false"}})

    def node(path):
        done = inst.exec("stat", "-c", "%F|%t:%T|%u:%g|%a", path)
        return done.out.decode().strip() if done.code == 0 else None

    word = "character special file" if kind == "unix-char" else "block special file"
    shown = f"{numbers[0]:x}:{numbers[1]:x}"
    assert node("/dev/own") == f"{word}|{shown}|7:8|604" and node(f"/dev/no-such-{TAG}") is None

    def put(**devices):
        inst.rest.change("PUT", inst.path, {**inst.get(), "devices": devices})

    # by its numbers, another owner; the defaults
    put(a={"type": kind, "path": "/dev/number", "major": str(numbers[0]), "minor": str(numbers[1]), "mode": "0640", "gid": "9"})
    assert node("/dev/number") == f"{word}|{shown}|0:9|640" and node("/dev/own") is None
    put(a={"type": kind, "source": source, "path": "/dev/own"})
    assert node("/dev/own") == f"{word}|{shown}|0:0|660"
    text = inst.rest.refused("PUT", inst.path, {**inst.get(), "devices": {"a": {"type": kind, "source": f"/dev/no-such-{TAG}"}}})
    assert "'a'" in text and node("/dev/own")
    put()
    assert node("/dev/own") is None


# ---- restricted projects
ROOT = {"root": {"type": "disk", "path": "/", "pool": "default"}}
RULES = [
    ("containers.interception", "allow", {"config": {"security.syscalls.intercept.mknod": "true"}}),
    ("containers.interception", "full", {"config": {"security.syscalls.intercept.mount.allowed": "ext4"}}),
    ("containers.lowlevel", "allow", {"config": {"raw.lxc": "lxc.environment = A=1"}}),
    ("containers.lowlevel", "allow", {"config": {"limits.memory.oom_priority": "5"}}),
    ("containers.nesting", "allow", {"config": {"security.nesting": "true"}}),
    ("containers.privilege", "allow", {"config": {"security.privileged": "true"}}),
    ("devices.disk", "allow", {"devices": {"d": {"type": "disk", "source": "/usr", "path": "/mnt"}}}),
    ("devices.gpu", "allow", {"devices": {"d": {"type": "gpu", "id": "0"}}}),
    ("devices.nic", "allow", {"devices": {"d": {"type": "nic", "nictype": "p2p"}}}),
    ("devices.proxy", "allow", {"devices": {"d": {"type": "proxy", "listen": "tcp:127.0.0.1:1", "connect": "tcp:127.0.0.1:2"}}}),
    ("devices.unix-block", "allow", {"devices": {"d": {"type": "unix-block", "path": "/dev/x", "major": "7", "minor": "9"}}}),
    ("devices.unix-char", "allow", {"devices": {"d": {"type": "unix-char", "path": "/dev/x", "major": "1", "minor": "5"}}}),
    ("devices.unix-hotplug", "allow", {"devices": {"d": {"type": "unix-hotplug", "vendorid": "1234"}}}),
    ("devices.usb", "allow", {"devices": {"d": {"type": "usb", "vendorid": "1234"}}}),
]


@pytest.fixture(scope="module")
def fenced(session_daemon):
    rest, name = session_daemon.rest, f"matrix{TAG}"
    rest.change("POST", "projects", {"name": name, "config": {"features.images": "false", "features.profiles": "true"}})
    yield rest, name
    rest.change("DELETE", f"projects/{name}")


@pytest.mark.host_only("rules about keys that lxmd judges by itself")
@pytest.mark.parametrize("rule, opens, body", RULES, ids=[f"{r[0]}-{next(iter(next(iter(r[2].values()))))}" for r in RULES])
def test_rules_of_restricted_projects(fenced, image, rule, opens, body):
    """Without `restricted` all goes; with it nothing until its rule opens it; and nothing again when the rule is taken back."""
    rest, project = fenced
    query = {"project": project}
    new = {"name": "m1", "source": {"type": "none"}, "config": body.get("config", {}), "devices": {**ROOT, **body.get("devices", {})}}
    refused = lambda: rest.refused("POST", "instances", new, statuses=(400, 403), query=query)  # noqa: E731

    def goes():
        rest.change("POST", "instances", new, query=query)
        rest.change("DELETE", "instances/m1", query=query)

    def put(**config):
        rest.change("PUT", f"projects/{project}", {"config": {"features.images": "false", "features.profiles": "true", **config}})

    put()
    goes()
    put(restricted="true")
    assert f"restricted.{rule}" in refused()
    put(restricted="true", **{f"restricted.{rule}": opens})
    goes()
    put(restricted="true", **{f"restricted.{rule}": ""})
    assert f"restricted.{rule}" in refused()
    put()


# ---- images of projects
def test_images_of_a_project_are_made_as_it_says(rest, image, instance):
    """images.compression_algorithm: of the server, of the project instead, unset again."""
    project, name = f"imgs{TAG}", f"packed{TAG}"
    rest.change("POST", "projects", {"name": project, "config": {"features.images": "true", "images.compression_algorithm": "xz"}})
    query = {"project": project}
    try:
        rest.change("POST", "instances", {"name": name, "source": {"type": "none"}, "devices": ROOT}, query=query)

        def packed():
            fp = rest.change("POST", "images", {"source": {"type": "instance", "name": name}}, query=query)["metadata"]["fingerprint"]
            shown = rest.get(f"images/{fp}/export", query=query).headers["Content-Disposition"]
            rest.change("DELETE", f"images/{fp}", query=query)
            return shown.rsplit(".", 1)[1]

        assert packed() == "xz"
        rest.change("PATCH", f"projects/{project}", {"config": {"images.compression_algorithm": "none"}})
        assert packed() == "tar"
        rest.change("PATCH", f"projects/{project}", {"config": {"images.compression_algorithm": ""}})
        assert packed() == "gz"
    finally:
        if rest.get(f"instances/{name}", query=query).status == 200:
            rest.change("DELETE", f"instances/{name}", query=query)
        rest.change("DELETE", f"projects/{project}")
