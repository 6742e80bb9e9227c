"""Keys of managed bridges, each read by its effect: in what a guest is told by DHCP and can reach, and in what the host has for it. Each is changed
while a guest is on the bridge, and unset again; test_networks.py and test_nic_types.py have those of the other types."""
import errno
import json
import os
import re
import socket
import subprocess
from pathlib import Path

import pytest

from conftest import IMAGE, create
from harness import images
from harness.instance import wait_until

TAG = os.getpid() % 10000
NET, OUT = f"lxmK{TAG}", f"nsK{TAG}"
# a server outside, on both families, that answers with its caller's address
SEEN = """
import socket, threading
def serve(family, address):
    with socket.create_server((address, 7), family=family) as s:
        both.wait()
        while True:
            c, peer = s.accept()
            c.sendall(peer[0].encode())
            c.close()
both = threading.Barrier(3)
for args in ((socket.AF_INET, "10.251.79.2"), (socket.AF_INET6, "fd42:251:79::2")):
    threading.Thread(target=serve, args=args).start()
both.wait()
print("ready", flush=True)
"""


def run(*argv, check=True):
    return subprocess.run(argv, capture_output=True, text=True, check=check, timeout=20).stdout


@pytest.fixture(scope="module")
def outside():
    """A host beyond the bridge that tells who has called it, in a namespace of its own."""
    link = f"vethK{TAG}"
    run("ip", "netns", "add", OUT)
    run("ip", "link", "add", link, "type", "veth", "peer", "name", "eth0", "netns", OUT)
    for argv in (f"addr add 10.251.79.1/24 dev {link}", f"-6 addr add fd42:251:79::1/64 dev {link} nodad", f"link set {link} up"):
        run("ip", *argv.split())
    for argv in ("link set lo up", "addr add 10.251.79.2/24 dev eth0", "-6 addr add fd42:251:79::2/64 dev eth0 nodad", "link set eth0 up",
                 "route add default via 10.251.79.1", "-6 route add default via fd42:251:79::1"):
        run("ip", "-n", OUT, *argv.split())
    forwarding = {p: p.read_text() for p in (Path("/proc/sys/net/ipv4/ip_forward"), Path("/proc/sys/net/ipv6/conf/all/forwarding"))}
    server = subprocess.Popen(["ip", "netns", "exec", OUT, "python3", "-c", SEEN], stdout=subprocess.PIPE)
    try:
        assert server.stdout.readline() == b"ready\n"
        yield
    finally:
        server.kill()
        server.wait()
        run("ip", "netns", "del", OUT)
        for path, text in forwarding.items():
            path.write_text(text)


class Net:
    """The network, and a guest with eth7 on it."""

    def __init__(self, daemon, inst):
        self.rest, self.inst, self.path, self.dir = daemon.rest, inst, f"networks/{NET}", daemon.dir / "networks" / NET
        self.start = self.rest.read(self.path)

    def set(self, **config):
        self.rest.change("PATCH", self.path, {"config": {k.replace("__", "."): v for k, v in config.items()}})

    def put(self):
        """As it was made."""
        self.rest.change("PUT", self.path, self.start)

    def dhcp(self):
        """What a lease tells: udhcpc's variables."""
        self.inst.sh("ip link set eth7 up; printf '#!/bin/sh\\n[ $1 = bound ] && env > /tmp/lease\\n' > /tmp/u; chmod 755 /tmp/u; rm -f /tmp/lease")
        done = self.inst.exec("udhcpc", "-i", "eth7", "-s", "/tmp/u", "-n", "-q", "-t", "2", "-T", "1", "-O", "search", "-O", "mtu")
        if done.code:
            return None
        return dict(line.split("=", 1) for line in self.inst.sh("cat /tmp/lease").splitlines() if "=" in line)

    def rules(self):
        return run("nft", "list", "table", "inet", f"lxm_{NET}")

    def link(self):
        return json.loads(run("ip", "-j", "-d", "addr", "show", "dev", NET))[0]

    def calls(self, address):
        """As whom the guest is seen outside; None: it does not get there."""
        done = self.inst.exec("timeout", "2", "nc", address, "7", timeout=10)
        return done.out.decode() or None


@pytest.fixture(scope="module")
def net(session_daemon, busybox_tar, outside):
    rest = session_daemon.rest
    if rest.get(f"images/aliases/{IMAGE}").status == 404:
        images.import_image(rest, busybox_tar, IMAGE)
    rest.change("POST", "networks", {"name": NET, "config": {"ipv4.address": "10.251.78.1/24", "ipv6.address": "fd42:251:78::1/64",
                                                             "bridge.hwaddr": "00:16:3e:aa:bb:01", "bridge.mtu": "1450", "ipv4.nat": "false",
                                                             "ipv6.nat": "false"}})
    inst = create(session_daemon, IMAGE, name=f"netkeys{TAG}", profiles=[], devices={
        "root": {"type": "disk", "path": "/", "pool": "default"}, "eth7": {"type": "nic", "network": NET, "name": "eth7"}})
    inst.sh("echo 0 > /proc/sys/net/ipv6/conf/eth7/dad_transmits; ip link set eth7 up; ip addr add 10.251.78.9/24 dev eth7; ip route add 10.251.79.0/24 via 10.251.78.1; "
            "ip -6 addr add fd42:251:78::9/64 dev eth7; ip -6 route add fd42:251:79::/64 via fd42:251:78::1")
    try:
        yield Net(session_daemon, inst)
    finally:
        inst.remove()
        rest.change("DELETE", f"networks/{NET}")


@pytest.fixture(autouse=True)
def as_it_was(net):
    yield
    net.put()


def test_the_link(net):
    """bridge.hwaddr, bridge.mtu, ipv4.address, ipv6.address: set before the link was made, changed, unset."""
    before = net.link()
    assert (before["address"], before["mtu"]) == ("00:16:3e:aa:bb:01", 1450)
    net.set(bridge__hwaddr="00:16:3e:aa:bb:02", bridge__mtu="1400")
    assert (net.link()["address"], net.link()["mtu"]) == ("00:16:3e:aa:bb:02", 1400)
    net.set(bridge__hwaddr="", bridge__mtu="")
    assert net.link()["mtu"] == 1500
    net.set(ipv4__address="10.251.80.1/24", ipv6__address="none")
    have = {a["local"] for a in net.link()["addr_info"] if a["scope"] == "global"}
    assert have == {"10.251.80.1"}
    net.put()
    assert {a["local"] for a in net.link()["addr_info"] if a["scope"] == "global"} == {"10.251.78.1", "fd42:251:78::1"}


def own_routes():
    return {row["dst"] for family in "46" for row in json.loads(run("ip", f"-{family}", "-j", "route", "show", "dev", NET))
            if row["dst"].startswith(("198.51.104.", "fd77:104:"))}


def reached(address):
    """Somebody behind the bridge says that nobody listens there."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family) as s:
        s.settimeout(1)
        return s.connect_ex((address, 9)) == errno.ECONNREFUSED


def test_subnets_behind_it(net):
    """ipv4.routes, ipv6.routes: made, changed, kept apart from those of NICs, undone where one cannot be had, unset."""
    net.inst.sh("ip addr add 198.51.104.9/32 dev eth7; ip -6 addr add fd77:104::9/128 dev eth7")
    net.set(ipv4__routes="198.51.104.0/26, 198.51.104.64/26", ipv6__routes="fd77:104::/64")
    assert own_routes() == {"198.51.104.0/26", "198.51.104.64/26", "fd77:104::/64"}
    wait_until(lambda: reached("198.51.104.9") and reached("fd77:104::9"))
    net.set(ipv4__routes="198.51.104.0/26", ipv6__routes="")
    assert own_routes() == {"198.51.104.0/26"}
    run("ip", "route", "add", "198.51.104.128/26", "dev", NET)
    try:
        wanted = {"ipv4.routes": "198.51.104.64/26,198.51.104.128/26", "bridge.mtu": "1300"}
        assert "198.51.104.128/26" in net.rest.refused("PATCH", net.path, {"config": wanted}, statuses=(409,))
        assert own_routes() == {"198.51.104.0/26", "198.51.104.128/26"} and net.link()["mtu"] == 1450
        assert net.rest.read(net.path)["config"]["ipv4.routes"] == "198.51.104.0/26"
        net.set(ipv4__routes="")
        assert own_routes() == {"198.51.104.128/26"}
    finally:
        run("ip", "route", "del", "198.51.104.128/26", "dev", NET)
    assert "ipv6.address" in net.rest.refused("PATCH", net.path, {"config": {"ipv6.address": "none", "ipv6.routes": "fd77:104::/64"}})
    for bad in ("198.51.104.1/33", "x", "fd77::/64"):
        assert net.rest.patch(net.path, {"config": {"ipv4.routes": bad}}).status == 400
    # a bridge that was deleted comes back with them
    net.set(ipv4__routes="198.51.104.0/26")
    run("ip", "link", "del", NET)
    net.rest.change("PATCH", net.path, {"description": "again"})
    assert own_routes() == {"198.51.104.0/26"}


def test_what_a_lease_tells(net):
    """dns.domain, dns.search, ipv4.dhcp.gateway, .ranges, .expiry, bridge.mtu."""
    lease = net.dhcp()
    assert (lease["router"], lease["domain"], lease["lease"], lease["mtu"]) == ("10.251.78.1", "lxm", "3600", "1450")
    assert "search" not in lease
    net.set(ipv4__dhcp__gateway="10.251.78.254", dns__domain="inner.test", dns__search="a.test,b.test", ipv4__dhcp__ranges="10.251.78.201-10.251.78.202",
            ipv4__dhcp__expiry="10m", bridge__mtu="1400")
    lease = net.dhcp()
    assert (lease["router"], lease["domain"], lease["search"], lease["lease"], lease["mtu"]) == \
        ("10.251.78.254", "inner.test", "a.test b.test", "600", "1400")
    assert lease["ip"] in ("10.251.78.201", "10.251.78.202")
    net.set(**{k: "" for k in ("ipv4__dhcp__gateway", "dns__domain", "dns__search", "ipv4__dhcp__ranges", "ipv4__dhcp__expiry")})
    lease = net.dhcp()
    assert (lease["router"], lease["domain"], lease["lease"], "search" in lease) == ("10.251.78.1", "lxm", "3600", False)


def test_no_dhcp(net):
    net.set(ipv4__dhcp="false")
    assert net.dhcp() is None and "udp dport 67" not in net.rules()
    net.set(ipv4__dhcp="")
    assert net.dhcp() and "udp dport 67" in net.rules()


def test_whose_names_are_answered(net):
    """dns.mode: managed ones are those that lxmd gave, dynamic ones those that guests ask for."""
    name = net.inst.name

    def resolve(what):
        out = net.inst.exec("nslookup", f"{what}.lxm", "10.251.78.1").out.decode()
        return "10.251.78." in out.split("\n\n", 1)[-1]

    assert net.dhcp() and resolve(name)
    net.set(dns__mode="none")
    assert net.dhcp() and not resolve(name)
    net.set(dns__mode="dynamic")
    assert net.dhcp() and resolve(name)
    net.set(dns__mode="")
    assert net.dhcp() and resolve(name)


@pytest.mark.parametrize("family, address, own, other", [("ipv4", "10.251.79.2", "10.251.78.", "10.251.79.1"),
                                                         ("ipv6", "fd42:251:79::2", "fd42:251:78:", "fd42:251:79::1")])
def test_the_way_out(net, family, address, own, other):
    """nat, nat.address, routing, firewall, as one who is called from inside sees them."""
    key = {k: f"{family}__{k}" for k in ("nat", "nat__address", "routing", "firewall")}
    wait_until(lambda: net.calls(address), 5, net.rules)
    assert net.calls(address).startswith(own)
    net.set(**{key["nat"]: "true"})
    assert net.calls(address) == other
    net.set(**{key["nat__address"]: f"{other}23"})
    assert f"snat {'ip' if family == 'ipv4' else 'ip6'} to {other}23" in net.rules()
    net.set(**{key["nat"]: "false", key["nat__address"]: ""})
    assert net.calls(address).startswith(own)
    net.set(**{key["routing"]: "false"})
    assert net.calls(address) is None
    net.set(**{key["routing"]: "", key["firewall"]: "false"})
    assert (net.calls(address) or "").startswith(own) and f"nfproto {family}" not in net.rules()
    net.set(**{key["firewall"]: ""})
    assert f"nfproto {family}" in net.rules()


def test_ipv6_addresses(net):
    """ipv6.dhcp and .stateful: who gives addresses out; .ranges and .expiry are what dnsmasq runs with."""
    def ranges():
        return re.findall(r"^dhcp-range=(.*:.*)$", (net.dir / "dnsmasq.conf").read_text(), re.M)

    net.inst.sh("echo 0 > /proc/sys/net/ipv6/conf/eth7/dad_transmits; echo 1 > /proc/sys/net/ipv6/conf/eth7/accept_ra")
    wait_until(lambda: "fd42:251:78:0:" in net.inst.sh("ip -6 addr show dev eth7"), 10, lambda: net.inst.sh("ip -6 addr show dev eth7"))
    assert "ra-stateless" in ranges()[0] and "udp dport 547" in net.rules()
    net.set(ipv6__dhcp__stateful="true", ipv6__dhcp__ranges="fd42:251:78::100-fd42:251:78::200", ipv6__dhcp__expiry="20m")
    assert ranges() == ["fd42:251:78::100,fd42:251:78::200,64,20m"]
    net.set(ipv6__dhcp__ranges="", ipv6__dhcp__expiry="")
    assert len(ranges()) == 1 and ranges()[0].endswith(",64,1h")
    net.set(ipv6__dhcp__stateful="", ipv6__dhcp="false")
    assert "ra-only" in ranges()[0] and "udp dport 547" not in net.rules()
    net.set(ipv6__dhcp="")
    assert "ra-stateless" in ranges()[0] and "udp dport 547" in net.rules()


MADE = {"ipv4.address": "10.251.81.1/24", "ipv4.nat": "true", "ipv4.nat.address": "10.251.79.123", "ipv4.dhcp.gateway": "10.251.81.253",
        "ipv4.dhcp.ranges": "10.251.81.201-10.251.81.202", "ipv4.dhcp.expiry": "10m", "dns.domain": "inner.test", "dns.search": "a.test",
        "ipv6.address": "fd42:251:81::1/64", "ipv6.nat": "true", "ipv6.nat.address": "fd42:251:79::123", "ipv6.dhcp.stateful": "true",
        "ipv6.dhcp.ranges": "fd42:251:81::100-fd42:251:81::200", "ipv6.dhcp.expiry": "20m"}
REDUCED = {"ipv4.address": "10.251.81.1/24", "ipv4.dhcp": "false", "ipv4.firewall": "false", "ipv4.routing": "false", "ipv4.nat": "false", "dns.mode": "none",
           "ipv6.address": "fd42:251:81::1/64", "ipv6.dhcp": "false", "ipv6.firewall": "false", "ipv6.routing": "false", "ipv6.nat": "false"}


@pytest.mark.parametrize("config", [MADE, REDUCED], ids=["more", "less"])
def test_a_network_is_made_with_them(net, config):
    """The same keys when the network is made, and no trace of them when they are gone."""
    name, rest = f"lxmL{TAG}", net.rest
    rest.change("POST", "networks", {"name": name, "config": config})
    try:
        def seen():
            rules = run("nft", "list", "table", "inet", f"lxm_{name}", check=False)
            conf = (net.dir.parent / name / "dnsmasq.conf").read_text()
            found = {"ipv4.nat.address": "snat ip to 10.251.79.123" in rules, "ipv6.nat.address": "snat ip6 to fd42:251:79::123" in rules,
                     "ipv4.dhcp.gateway": "10.251.81.253" in conf, "dns.domain": "inner.test" in conf, "dns.search": "a.test" in conf,
                     "ranges": "10.251.81.201,10.251.81.202" in conf and "fd42:251:81::100,fd42:251:81::200" in conf,
                     "expiry": bool(re.search("202,.*10m", conf)) and bool(re.search("::200,.*20m", conf))}
            less = {"ipv4.dhcp": "udp dport 67" not in rules, "ipv6.dhcp": "udp dport 547" not in rules,
                    "ipv4.firewall": "nfproto ipv4" not in rules, "ipv6.firewall": "nfproto ipv6" not in rules,
                    "ipv4.routing": "reject with icmp port" in rules, "ipv6.routing": "reject with icmpv6 port" in rules,
                    "dns.mode": "interface-name=" not in conf}
            return set(found.values()), set(less.values())

        assert seen() == (({True}, {False}) if config is MADE else ({False}, {True}))
        rest.change("PUT", f"networks/{name}", {"config": {k: config[k] for k in ("ipv4.address", "ipv6.address")}})
        assert seen() == ({False}, {False})
    finally:
        rest.change("DELETE", f"networks/{name}")
