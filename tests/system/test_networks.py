"""Managed bridges: the API and the real `lxc network`, DHCP, DNS and NAT as a guest sees them, and repair after kills.

No instance is needed: a guest here is a network namespace with one end of a veth pair on the bridge.
"""
import ipaddress
import json
import os
import re
import shutil
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from harness.daemon import SLOW, Daemon

pytestmark = pytest.mark.usefixtures("own_routes")

BRIDGE = f"lxmE{os.getpid() % 100000}"  # names of this file's bridges begin so


def ip(*argv, check=True):
    run = subprocess.run(["ip", "-j", *argv], capture_output=True, text=True, check=check)
    return json.loads(run.stdout) if run.stdout.strip() else None


def link(name):
    return subprocess.run(["ip", "link", "show", name], capture_output=True).returncode == 0


def wait_for(what, timeout=5):
    end = time.monotonic() + timeout * SLOW
    while time.monotonic() < end:
        got = what()
        if got:
            return got
        time.sleep(0.05)
    raise AssertionError("waited in vain")


@pytest.fixture
def bridge(bare):
    """Factory: bridge("0", **config) makes network lxmbrE0 and deletes it after the test."""
    made = []

    def make(suffix, **config):
        name = BRIDGE + suffix
        reply = bare.rest.post("networks", {"name": name, "config": {k.replace("__", "."): v for k, v in config.items()}})
        assert reply.status == 201, reply
        made.append(name)
        return bare.rest.read(f"networks/{name}")

    yield make
    for name in made:
        bare.rest.delete(f"networks/{name}")
        assert not link(name)
        tables = subprocess.run(["nft", "list", "tables"], capture_output=True, text=True).stdout
        assert f"lxm_{name}\n" not in tables
        assert not (bare.dir / "networks" / name).exists()
        assert not dnsmasq_of(bare, name)


def dnsmasq_of(daemon, name):
    """Pids of the dnsmasq that serve a network of that daemon."""
    conf = f"--conf-file={daemon.dir}/networks/{name}/dnsmasq.conf".encode()
    found = []
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                if conf in Path(f"/proc/{entry}/cmdline").read_bytes().split(b"\0"):
                    found.append(int(entry))
            except OSError:
                pass
    return found


class Guest:
    """A network namespace with eth0 on a bridge."""

    def __init__(self, bridge, mac, number):
        self.name, self.mac = f"nsE{os.getpid()}-{number}", mac
        host = f"vethE{number}"
        subprocess.run(["ip", "netns", "add", self.name], check=True)
        subprocess.run(["ip", "link", "add", host, "type", "veth", "peer", "name", "eth0", "netns", self.name,
                        "address", mac], check=True)
        subprocess.run(["ip", "link", "set", host, "master", bridge, "up"], check=True)
        for dev in ("lo", "eth0"):
            self.run("ip", "link", "set", dev, "up")

    def run(self, *argv, check=True):
        return subprocess.run(["ip", "netns", "exec", self.name, *argv], capture_output=True, text=True, check=check,
                              timeout=30).stdout

    def dhcp(self, tmp_path, hostname="guest"):
        script = tmp_path / "udhcpc"
        script.write_text('#!/bin/sh\n[ "$1" = bound ] || exit 0\nip addr add $ip/$mask dev $interface\n'
                          'ip route add default via $router\necho "ip=$ip mask=$mask router=$router dns=$dns domain=$domain"\n')
        script.chmod(0o755)
        out = self.run("busybox", "udhcpc", "-i", "eth0", "-s", str(script), "-n", "-q", "-t", "4", "-x",
                       f"hostname:{hostname}")
        return dict(pair.split("=") for pair in out.split())

    def resolve(self, name, server):
        out = self.run("busybox", "nslookup", name, server, check=False)
        return re.findall(r"Address: *(\S+)", out.split("\n\n", 1)[-1])

    def ping(self, address):
        tool = "ping6" if ":" in address else "ping"
        return " 1 packets received" in self.run("busybox", tool, "-c1", "-W3", address, check=False)

    def addresses(self, family):
        return [a["local"] for a in json.loads(self.run("ip", "-j", "addr", "show", "eth0"))[0]["addr_info"]
                if a["family"] == family and a["scope"] == "global"]


@pytest.fixture
def guest():
    if not shutil.which("busybox"):
        pytest.skip("busybox is not installed")
    made = []

    def make(bridge, last=1):
        made.append(Guest(bridge, f"00:16:3e:ee:00:{last:02x}", last))
        return made[-1]

    yield make
    for g in made:
        subprocess.run(["ip", "netns", "del", g.name])


# ---- the object
def test_a_network_gets_free_subnets(bridge):
    before = {ipaddress.ip_interface(f"{a['local']}/{a['prefixlen']}").network for dev in ip("addr")
              for a in dev["addr_info"] if a["family"] == "inet"}
    one = ipaddress.ip_interface(bridge("0")["config"]["ipv4.address"])
    two = ipaddress.ip_interface(bridge("1")["config"]["ipv4.address"])
    assert one.network.is_private and one.network.prefixlen in (16, 24)
    assert not any(one.network.overlaps(net) for net in before | {two.network})


@pytest.mark.host_only("rows of the database")
def test_defaults_are_filled_in_and_kept(bridge, bare):
    net = bridge("0")
    assert net["type"] == "bridge" and net["managed"] is True and net["status"] == "Created"
    assert net["config"]["ipv4.nat"] == "true" and net["config"]["ipv6.nat"] == "true"
    assert net["config"]["ipv6.address"].startswith("fd42:")
    assert net["used_by"] == [] and net["locations"] == ["none"] and net["project"] == "default"
    assert f"/1.0/networks/{net['name']}" in bare.rest.read("networks")


def test_host_links_are_listed_as_not_managed(bare):
    nets = {n["name"]: n for n in bare.rest.read("networks", query={"recursion": 1})}
    assert nets["lo"]["type"] == "loopback" and nets["lo"]["managed"] is False
    assert nets["lo"]["config"] == {}
    assert not any(name.startswith("veth") for name in nets)
    assert bare.rest.delete("networks/lo").status == 400
    assert bare.rest.put("networks/lo", {"config": {}}).status == 400


@pytest.mark.host_only("turned away before anything reaches the kernel")
@pytest.mark.parametrize("name", ["", "x" * 16, "a/b", "..", "a b", "a\nb", "-a", "é", "lo", 'a";b'])
def test_bad_names_are_refused(bare, name):
    reply = bare.rest.post("networks", {"name": name})
    assert reply.status in (400, 409) and reply.error


@pytest.mark.host_only("turned away before anything reaches the kernel")
@pytest.mark.parametrize("key,value", [
    ("bogus", "1"), ("ipv4.address", "10.0.0.0/24"), ("ipv4.address", "300.1.1.1/24"), ("ipv4.address", "10.1.1.1"),
    ("ipv4.dhcp.ranges", "1.2.3.4-1.2.3.5"), ("ipv4.dhcp.expiry", "1h\nconf-file=/etc/passwd"), ("ipv4.nat", "maybe"),
    ("dns.domain", "a\nserver=1.1.1.1"), ("dns.mode", "all"), ("bridge.mtu", "1"), ("bridge.hwaddr", "01:00:00:00:00:01"),
])
def test_bad_values_are_refused_and_leave_nothing(bare, key, value):
    name = BRIDGE + "bad"
    reply = bare.rest.post("networks", {"name": name, "config": {key: value}})
    assert reply.status == 400 and key in reply.error
    assert not link(name) and not (bare.dir / "networks" / name).exists()
    assert bare.rest.get(f"networks/{name}").status == 404


@pytest.mark.host_only("rows of the database")
def test_taken_names_conflict(bridge, bare):
    name = bridge("0")["name"]
    assert bare.rest.post("networks", {"name": name}).status == 409
    assert bare.rest.post("networks", {"name": "lo"}).status in (400, 409)
    assert bare.rest.post("networks", {"name": BRIDGE + "m", "type": "macvlan"}).status == 400


def test_a_change_is_applied_at_once_and_guarded_by_its_tag(bridge, bare):
    name = bridge("0")["name"]
    reply = bare.rest.get(f"networks/{name}")
    config = {"ipv4.address": "10.253.77.1/24", "ipv6.address": "none", "user.x": "y"}
    assert bare.rest.put(f"networks/{name}", {"config": config}, headers={"If-Match": '"0"'}).status == 412
    assert bare.rest.put(f"networks/{name}", {"config": config}, headers={"If-Match": reply.headers["ETag"]}).status == 200
    addresses = [a["local"] for a in ip("addr", "show", name)[0]["addr_info"] if a["scope"] == "global"]
    assert addresses == ["10.253.77.1"]
    assert bare.rest.patch(f"networks/{name}", {"config": {"user.x": ""}}).status == 200
    after = bare.rest.read(f"networks/{name}")["config"]
    assert after["ipv4.address"] == "10.253.77.1/24" and "user.x" not in after


def test_a_bad_change_leaves_the_old_state(bridge, bare):
    net = bridge("0")
    reply = bare.rest.patch(f"networks/{net['name']}", {"config": {"ipv4.dhcp.ranges": "1.1.1.1-1.1.1.2"}})
    assert reply.status == 400
    assert bare.rest.read(f"networks/{net['name']}")["config"] == net["config"]
    assert len(dnsmasq_of(bare, net["name"])) == 1


def test_a_network_in_use_stays(bridge, bare):
    name = bridge("0")["name"]
    reply = bare.rest.post("profiles", {"name": "netE", "devices": {"eth0": {"type": "nic", "network": name}}})
    if reply.status == 404:
        pytest.skip("no profiles")
    try:
        assert reply.status == 201, reply
        assert bare.rest.read(f"networks/{name}")["used_by"] == ["/1.0/profiles/netE"]
        assert bare.rest.delete(f"networks/{name}").status == 400
        assert bare.rest.post(f"networks/{name}", {"name": BRIDGE + "x"}).status == 400
        assert link(name)
    finally:
        bare.rest.delete("profiles/netE")


def test_rename_moves_everything(bare):
    old, new = BRIDGE + "old", BRIDGE + "new"
    assert bare.rest.post("networks", {"name": old}).status == 201
    try:
        reply = bare.rest.post(f"networks/{old}", {"name": new})
        assert reply.status == 201 and reply.headers["Location"] == f"/1.0/networks/{new}"
        assert link(new) and not link(old)
        assert bare.rest.get(f"networks/{old}").status == 404
        assert dnsmasq_of(bare, new) and not dnsmasq_of(bare, old)
    finally:
        assert bare.rest.delete(f"networks/{new}").status == 200
    assert not link(new) and not dnsmasq_of(bare, new)


@pytest.mark.host_only("rows of the database")
def test_what_is_not_there_says_so(bridge, bare):
    name = bridge("0")["name"]
    for path in (f"networks/{name}/forwards", f"networks/{name}/peers", "network-acls", "network-zones"):
        assert bare.rest.get(path).status in (400, 404, 501)
    assert bare.rest.get("networks/nosuch/leases").status == 404
    assert bare.rest.get("networks/nosuch/state").status == 404


# ---- what guests get
def test_a_guest_gets_address_names_and_a_way_out(bridge, guest, bare, tmp_path):
    net = bridge("0")
    host4 = ipaddress.ip_interface(net["config"]["ipv4.address"])
    host6 = ipaddress.ip_interface(net["config"]["ipv6.address"])
    g = guest(net["name"])
    lease = g.dhcp(tmp_path)
    assert ipaddress.ip_address(lease["ip"]) in host4.network
    assert lease["router"] == lease["dns"] == str(host4.ip) and lease["domain"] == "lxm"
    assert g.ping(str(host4.ip))
    assert wait_for(lambda: [a for a in g.addresses("inet6") if ipaddress.ip_address(a) in host6.network])
    wait_for(lambda: g.ping(str(host6.ip)))  # not before its own address is known to be unique
    assert str(host4.ip) in g.resolve("_gateway.lxm", str(host4.ip))
    leases = bare.rest.read(f"networks/{net['name']}/leases")
    mine = next(x for x in leases if x["hwaddr"] == g.mac)
    assert mine["address"] == lease["ip"] and mine["type"] == "dynamic"
    assert {x["address"] for x in leases if x["type"] == "gateway"} == {str(host4.ip), str(host6.ip)}
    # the name that an unknown guest asks for is not believed
    assert g.resolve("guest.lxm", str(host4.ip)) == []


def test_nat_hides_guests_behind_the_host(bridge, guest, tmp_path):
    net = bridge("0")
    g = guest(net["name"])
    g.dhcp(tmp_path)
    route = ip("route", "show", "default")
    if not route:
        pytest.skip("the host has no default route")
    assert g.ping(route[0]["gateway"])


def test_guests_reach_each_other(bridge, guest, tmp_path):
    net = bridge("0")
    a, b = guest(net["name"], 1), guest(net["name"], 2)
    first = a.dhcp(tmp_path)["ip"]
    b.dhcp(tmp_path)
    assert b.ping(first)
    address = wait_for(lambda: a.addresses("inet6"))[0]
    wait_for(lambda: b.addresses("inet6"))
    wait_for(lambda: b.ping(address))


def test_a_port_named_by_lxm_reaches_dhcp_and_neighbours(bridge, guest, bare, tmp_path):
    """Frames of such ports pass the chain that keeps announcements from being flooded."""
    net = bridge("0")
    rules = subprocess.run(["nft", "list", "table", "bridge", f"lxm_{net['name']}"], capture_output=True, text=True).stdout
    prefix = re.search(r'iifname != "(veth[0-9a-f]{5})\*"', rules).group(1)
    a, b = guest(net["name"], 1), guest(net["name"], 2)
    for i in (1, 2):
        subprocess.run(["ip", "link", "set", f"vethE{i}", "down"], check=True)
        subprocess.run(["ip", "link", "set", f"vethE{i}", "name", f"{prefix}00{i}"], check=True)
        subprocess.run(["ip", "link", "set", f"{prefix}00{i}", "up"], check=True)
    first = a.dhcp(tmp_path)["ip"]
    b.dhcp(tmp_path)
    assert b.ping(first)
    address = wait_for(lambda: a.addresses("inet6"), 10)[0]
    wait_for(lambda: b.addresses("inet6"), 10)
    wait_for(lambda: b.ping(address))


def test_dhcp_can_be_narrowed_and_turned_off(bridge, guest, bare, tmp_path):
    net = bridge("0", ipv4__address="10.253.78.1/24", ipv4__dhcp__ranges="10.253.78.77-10.253.78.77", ipv6__address="none")
    g = guest(net["name"])
    assert g.dhcp(tmp_path)["ip"] == "10.253.78.77"
    assert bare.rest.patch(f"networks/{net['name']}", {"config": {"ipv4.dhcp": "false"}}).status == 200
    out = g.run("busybox", "udhcpc", "-i", "eth0", "-s", "/bin/true", "-n", "-q", "-t", "1", "-T", "1", check=False)
    assert "obtained" not in out


# ---- survival
def test_dnsmasq_comes_back(bridge, bare):
    name = bridge("0")["name"]
    [pid] = dnsmasq_of(bare, name)
    os.kill(pid, 9)
    new = wait_for(lambda: [p for p in dnsmasq_of(bare, name) if p != pid])
    assert len(new) == 1


def test_a_killed_daemon_finds_its_network_again(bridge, bare):
    name = bridge("0")["name"]
    [pid] = dnsmasq_of(bare, name)
    index = ip("link", "show", name)[0]["ifindex"]
    bare.kill()
    assert dnsmasq_of(bare, name) == [pid]
    bare.start()
    assert dnsmasq_of(bare, name) == [pid]
    assert ip("link", "show", name)[0]["ifindex"] == index
    assert bare.rest.read(f"networks/{name}")["status"] == "Created"


def test_damage_while_the_daemon_was_away_is_repaired(bridge, bare):
    net = bridge("0")
    name = net["name"]
    bare.kill()
    for pid in dnsmasq_of(bare, name):
        os.kill(pid, 9)
    subprocess.run(["ip", "link", "del", name], check=True)
    subprocess.run(["nft", "delete", "table", "inet", f"lxm_{name}"], check=True)
    (bare.dir / "networks" / "stray").mkdir()
    bare.start()
    assert net["config"]["ipv4.address"].split("/")[0] in [a["local"] for a in ip("addr", "show", name)[0]["addr_info"]]
    assert len(dnsmasq_of(bare, name)) == 1
    assert not (bare.dir / "networks" / "stray").exists()
    assert subprocess.run(["nft", "list", "table", "inet", f"lxm_{name}"], capture_output=True).returncode == 0


def test_a_stolen_name_makes_one_network_unavailable(bridge, bare):
    name = bridge("0")["name"]
    other = bridge("1")["name"]
    bare.kill()
    subprocess.run(["ip", "link", "del", name], check=True)
    subprocess.run(["ip", "link", "add", name, "type", "bridge"], check=True)
    try:
        bare.start()
        assert bare.rest.read(f"networks/{name}")["status"] == "Unavailable"
        assert bare.rest.read(f"networks/{other}")["status"] == "Created"
        warnings = bare.rest.get("warnings", query={"recursion": 1})
        if warnings.status == 200:
            assert any(name in w["entity_url"] and "belong" in w["last_message"] for w in warnings.metadata)
    finally:
        subprocess.run(["ip", "link", "del", name], check=True)


def test_daemons_side_by_side_choose_different_subnets():
    daemons = [Daemon(f"net{i}") for i in range(3)]
    names = [f"{BRIDGE}s{i}" for i in range(3)]
    try:
        with ThreadPoolExecutor(3) as pool:
            list(pool.map(lambda d: d.start(), daemons))
            replies = list(pool.map(lambda d, n: d.rest.post("networks", {"name": n}), daemons, names))
        assert [r.status for r in replies] == [201] * 3
        nets = [ipaddress.ip_interface(d.rest.read(f"networks/{n}")["config"]["ipv4.address"]).network
                for d, n in zip(daemons, names)]
        assert not any(a.overlaps(b) for i, a in enumerate(nets) for b in nets[:i])
        # one daemon's bridge is nothing to another
        assert daemons[0].rest.read(f"networks/{names[1]}")["managed"] is False
        assert daemons[0].rest.delete(f"networks/{names[1]}").status == 400
        assert daemons[0].rest.post("networks", {"name": names[1]}).status == 409
    finally:
        for d, n in zip(daemons, names):
            d.rest.delete(f"networks/{n}")
        problems = [p for d in daemons for p in d.discard()]
    assert not problems and not any(link(n) for n in names)


# ---- the real client
@pytest.mark.host_only("what the client asks for and prints; the requests themselves are made above")
def test_lxc_network_verbs(bare):
    if not shutil.which("lxc"):
        pytest.skip("lxc is not installed")
    name = BRIDGE + "lxc"
    assert bare.lxc("network", "create", name, "ipv4.address=10.253.79.1/24", check=True)
    try:
        bare.lxc("network", "set", name, "ipv4.dhcp.ranges=10.253.79.9-10.253.79.19", check=True)
        assert bare.lxc("network", "get", name, "ipv4.dhcp.ranges", check=True).out.strip() == "10.253.79.9-10.253.79.19"
        assert name in bare.lxc("network", "list", "--format", "csv", check=True).out
        assert "10.253.79.1/24 (global)" in bare.lxc("network", "info", name, check=True).out
        assert "GATEWAY" in bare.lxc("network", "list-leases", name, check=True).out
        assert "managed: true" in bare.lxc("network", "show", name, check=True).out
        bare.lxc("network", "unset", name, "ipv4.dhcp.ranges", check=True)
        assert bare.lxc("network", "show", "nosuch").code != 0
    finally:
        bare.lxc("network", "delete", name, check=True)
    assert not link(name)
