"""Spoofing on a bridge (CVE-2025-52889, CVE-2025-52890): what an instance's root can put on the wire, and what filters leave of it.

Every attack is seen to arrive while nothing is filtered; that is what makes its absence later mean something. The frame sent after
it is always allowed and takes the same way, so nobody waits for what does not come.
"""
import itertools
import os
import subprocess

import pytest

from harness.frames import (ALL_DHCP, ALL_NODES, ALL_ROUTERS, ARP, DEST, HOP, IP4, IP6, QINQ, VLAN, Wire, advert, arp, dhcp, eth, eui64,
                            fragment, icmp6, ip6, ipv4, ipv6, mac, option, router, solicit, udp)
from harness.instance import fresh_name, wait_until

A, V = "00:16:3e:aa:00:01", "00:16:3e:aa:00:02"  # attacker and victim
A4, V4, GW4 = "10.99.7.2", "10.99.7.3", "10.99.7.1"
A6, V6 = "fd99:7::2", "fd99:7::3"
ALL, LL, VLL = ALL_NODES, eui64(A), eui64(V)
LEVELS = {"off": {}, "mac": {"security.mac_filtering": "true"},
          "all": {"security.ipv4_filtering": "true", "security.ipv6_filtering": "true", "ipv4.address": A4, "ipv6.address": A6}}
_serial = itertools.count(1)


def token():
    return b"tok%08d" % next(_serial)


def v4(payload, src=A4, to=V4, mac_from=A, **kw):
    return eth(mac_from, IP4, ipv4(src, to, payload, **kw))


def v6(packet, mac_from=A, **kw):
    return eth(mac_from, IP6, packet, **kw)


def said(t, sport=1000, dport=2000):
    return udp(sport, dport, t)


def group(t):
    """A multicast address made of a token: what has no room for one inside is known by where it goes."""
    return "33:33:" + t[-8:].hex(":")[-11:]


def neighbour(kind_of, *args, **kw):
    return lambda t: v6(kind_of(*args, **kw), dst=group(t))


def in_two(t, src, dst, payload, size=24):
    """Both fragments: some hosts put them together on the bridge before they go on. The token is in the first."""
    payload = payload[:8] + t + payload[8:]
    size += -(len(t) + 8 - size) // 8 * 8 if len(t) + 8 > size else 0
    return [v4(payload[:size], src, dst, fragment=0x2000), v4(payload[size:], src, dst, fragment=size // 8)]


def in_two6(t, src, size=24):
    payload, ident = udp(1000, 2000, t + b"x" * 40), next(_serial)
    return [v6(ipv6(src, ALL, payload[:size], 17, before=[fragment(ident=ident)])),
            v6(ipv6(src, ALL, payload[size:], 17, before=[fragment(size // 8, False, ident)]))]


def from_dhcp(t, src="0.0.0.0", sport=68, dport=67, fragment=0, **kw):
    kw.setdefault("chaddr", A)
    return v4(udp(sport, dport, dhcp(**kw) + t), src, "255.255.255.255", fragment=fragment)



def hidden(t):
    """A neighbour advertisement whose first fragment ends before it says what it is."""
    whole = DEST[1] + advert(V6, V)[40:]
    whole = bytes([58]) + whole
    return [v6(ipv6(A6, ALL, whole[:8], 60, before=[fragment()]), dst=group(t)),
            v6(ipv6(A6, ALL, whole[8:], 60, before=[fragment(1, more=False)]))]


# name: (frame with a token, the levels that stop it)
MAC, ADDRESS = ("mac", "all"), ("all",)
ATTACKS = {
    "source-mac": (lambda t: v4(said(t), mac_from=V), MAC),
    "source-mac-of-other-protocol": (lambda t: eth(V, 0x88B5, t), MAC),
    "arp-gratuitous-mac": (lambda t: eth(A, ARP, arp(1, V, A4, A4)) + t, MAC),
    "arp-reply-mac": (lambda t: eth(A, ARP, arp(2, V, A4, V4, V), dst=V) + t, MAC),
    "arp-odd-sizes": (lambda t: eth(A, ARP, arp(2, A, A4, V4, hlen=8)) + t, MAC),
    "arp-odd-address-size": (lambda t: eth(A, ARP, arp(2, A, A4, V4, plen=16)) + t, MAC),
    "arp-odd-hardware": (lambda t: eth(A, ARP, arp(2, A, A4, V4, htype=6)) + t, MAC),
    "arp-odd-protocol": (lambda t: eth(A, ARP, arp(2, A, A4, V4, ptype=0x86DD)) + t, MAC),
    "arp-reverse": (lambda t: eth(A, ARP, arp(4, A, A4, V4)) + t, MAC),
    "arp-gratuitous-address": (lambda t: eth(A, ARP, arp(1, A, V4, V4)) + t, ADDRESS),
    "arp-reply-address": (lambda t: eth(A, ARP, arp(2, A, GW4, V4, V), dst=V) + t, ADDRESS),
    "arp-proxy": (lambda t: eth(A, ARP, arp(2, A, "192.0.2.1", V4, V), dst=V) + t, ADDRESS),
    "arp-probe-of-other": (lambda t: eth(A, ARP, arp(1, A, "0.0.0.0", V4)) + t, ADDRESS),
    "ipv4-source": (lambda t: v4(said(t), V4, GW4), ADDRESS),
    "ipv4-unspecified": (lambda t: v4(said(t), "0.0.0.0", V4), ADDRESS),
    "ipv4-unspecified-to-a-server": (lambda t: v4(udp(68, 67, dhcp(A) + t), "0.0.0.0", V4), ADDRESS),
    "ipv4-fragments": (lambda t: in_two(t, V4, GW4, said(b"x" * 40)), ADDRESS),
    "dhcp-other-chaddr": (lambda t: from_dhcp(t, chaddr="00:16:3e:dd:00:01"), MAC),
    "dhcp-as-relay": (lambda t: from_dhcp(t, relay=A4), MAC),
    "dhcp-in-fragments": (lambda t: in_two(t, "0.0.0.0", "255.255.255.255", udp(68, 67, dhcp(V))), MAC),
    "dhcp-server": (lambda t: v4(udp(67, 68, dhcp(V, op=2) + t), A4, "255.255.255.255"), ADDRESS),
    "dhcp-server-odd-port": (lambda t: v4(udp(68, 68, dhcp(V, op=2) + t), A4, V4), ADDRESS),
    "ipv6-source": (lambda t: v6(ipv6(V6, ALL, said(t), 17)), ADDRESS),
    "ipv6-link-local-source": (lambda t: v6(ipv6(VLL, ALL, said(t), 17)), ADDRESS),
    "ipv6-fragments": (lambda t: in_two6(t, V6), ADDRESS),
    "ipv6-unspecified": (lambda t: v6(ipv6("::", ALL, said(t), 17)), ADDRESS),
    "dhcpv6-server": (lambda t: v6(ipv6(LL, ALL, udp(547, 546, t), 17)), ADDRESS),
    "na-target": (neighbour(advert, V6, A), ADDRESS),
    "na-target-own-source": (neighbour(advert, V6, A, src=A6), ADDRESS),
    "na-link-local-target": (neighbour(advert, VLL, A, src=LL), ADDRESS),
    "na-mac": (neighbour(advert, A6, V), MAC),
    "na-mac-as-second-option": (neighbour(advert, A6, V, extra=b"\x0e\x01abcdef"), MAC),
    "na-behind-hop-by-hop": (neighbour(advert, V6, V, before=[HOP]), MAC),
    "na-behind-options": (neighbour(advert, V6, V, before=[DEST, DEST]), MAC),
    "na-in-one-fragment": (neighbour(advert, V6, V, before=[fragment(more=False)]), MAC),
    "na-in-fragments": (lambda t: hidden(t), MAC),
    "ns-mac": (neighbour(solicit, V6, A6, V), MAC),
    "ns-claims-address": (neighbour(solicit, V6, "::"), ADDRESS),
    "ns-with-mac-from-unspecified": (neighbour(solicit, A6, "::", V), MAC),
    "rs-mac": (neighbour(icmp6, LL, ALL_ROUTERS, 133, b"\0" * 4 + option(1, V)), MAC),
    "ra": (neighbour(router, LL, A), MAC),
    "ra-behind-hop-by-hop": (neighbour(router, LL, A, before=[HOP]), MAC),
    "redirect": (neighbour(icmp6, LL, ALL, 137, b"\0" * 4 + ip6(A6) + ip6(V6)), MAC),
    "tagged": (lambda t: eth(A, IP4, ipv4(V4, GW4, said(t)), tags=[(VLAN, 7)]), MAC),
    "tagged-as-priority": (lambda t: eth(A, IP4, ipv4(V4, GW4, said(t)), tags=[(VLAN, 0)]), MAC),
    "tagged-twice": (lambda t: eth(A, ARP, arp(2, V, V4, V4), tags=[(QINQ, 7), (VLAN, 7)]) + t, MAC),
    "tagged-provider": (lambda t: eth(A, ARP, arp(2, V, V4, V4), tags=[(QINQ, 0)]) + t, MAC),
    "other-protocol": (lambda t: eth(A, 0x8847, t), ADDRESS),
    "length-frame": (lambda t: eth(A, 60, b"\xaa\xaa\x03\0\0\0\x08\x00" + ipv4(V4, GW4, said(t))), ADDRESS),
}
HONEST = {
    "arp-request": lambda t: eth(A, ARP, arp(1, A, A4, V4)) + t,
    "arp-reply": lambda t: eth(A, ARP, arp(2, A, A4, V4, V), dst=V) + t,
    "arp-probe": lambda t: eth(A, ARP, arp(1, A, "0.0.0.0", A4)) + t,
    "ipv4": lambda t: v4(said(t)),
    "ipv4-fragments": lambda t: in_two(t, A4, V4, said(b"x" * 40)),
    "dhcp": from_dhcp,
    "dhcp-renewal": lambda t: v4(udp(68, 67, dhcp(A) + t), A4, GW4),
    "ipv6": lambda t: v6(ipv6(A6, ALL, said(t), 17)),
    "ipv6-link-local": lambda t: v6(ipv6(LL, ALL, said(t), 17)),
    "ipv6-behind-options": lambda t: v6(ipv6(A6, ALL, said(t), 17, before=[DEST])),
    "ipv6-fragments": lambda t: in_two6(t, A6),
    "ping6": lambda t: v6(icmp6(A6, ALL, 128, t)),
    "dhcpv6": lambda t: v6(ipv6(LL, ALL_DHCP, udp(546, 547, t), 17)),
    "na": neighbour(advert, A6, A),
    "na-link-local": neighbour(advert, LL, A),
    "ns": neighbour(solicit, V6, A6, A),
    "ns-for-duplicates": neighbour(solicit, A6, "::"),
    "ns-for-duplicates-with-nonce": neighbour(solicit, A6, "::", extra=b"\x0e\x01abcdef"),
    "rs": neighbour(icmp6, LL, ALL_ROUTERS, 133, b"\0" * 4 + option(1, A)),
    "rs-unspecified": neighbour(icmp6, "::", ALL_ROUTERS, 133, b"\0" * 4),
}


def ip(*argv):
    subprocess.run(["ip", *argv], check=True, capture_output=True, text=True)


class Pair:
    """Attacker and victim on a bridge of the test's own, which nothing else talks on."""

    def __init__(self, daemon, make):
        self.bridge = f"spoof{os.getpid() % 100000}"
        ip("link", "add", self.bridge, "type", "bridge")
        ip("link", "set", self.bridge, "up")
        nic = {"type": "nic", "nictype": "bridged", "parent": self.bridge, "name": "eth0"}
        self.rest, self.nic, self.level = daemon.rest, {**nic, "hwaddr": A, "host_name": f"{self.bridge}a"}, "off"
        self.attacker = make(profiles=["default"], devices={"eth0": self.nic})
        self.victim = make(devices={"eth0": {**nic, "hwaddr": V, "host_name": f"{self.bridge}v"}})
        self.wires()

    def wires(self):
        self.out, self.into = Wire("eth0", self.attacker.pid), Wire("eth0", self.victim.pid)

    def set(self, level):
        if level != self.level:
            self.change({**self.nic, **LEVELS[level]})
            self.level = level

    def change(self, nic):
        now = self.rest.read(self.attacker.path)
        wanted = {k: now[k] for k in ("config", "profiles", "description")} | {"devices": {"eth0": nic}}
        return self.rest.change("PUT", self.attacker.path, wanted)

    def arrives(self, frames, t):
        last = token()
        # where it really is: a spoofed source has taught the bridge something else
        self.into.send(eth(V, 0x88B5, b"here"))
        self.into.seen()
        for frame in frames if isinstance(frames, list) else [frames]:
            self.out.send(frame)
        self.out.send(v4(said(last)))
        return any(t in got or mac(group(t)) in got[:6] for got in self.into.until(last))


@pytest.fixture(scope="module")
def pair(session_daemon, busybox_tar):
    from conftest import IMAGE, create, images

    daemon, made, p = session_daemon, [], None
    if daemon.rest.get(f"images/aliases/{IMAGE}").status == 404:
        images.import_image(daemon.rest, busybox_tar, IMAGE)

    def make(**kw):
        made.append(create(daemon, IMAGE, name=fresh_name("spoof"), **kw))
        return made[-1]

    try:
        p = Pair(daemon, make)
        yield p
    finally:
        for inst in made:
            inst.remove()
        subprocess.run(["ip", "link", "del", f"spoof{os.getpid() % 100000}"], check=False, capture_output=True)


@pytest.mark.parametrize("level", LEVELS)
def test_attacks(pair, level):
    pair.set(level)
    wrong = []
    for name, (make, stopped_by) in ATTACKS.items():
        t = token()
        if pair.arrives(make(t), t) == (level in stopped_by):
            wrong.append(name)
    assert not wrong, f"{level}: {'did not arrive' if level == 'off' else 'wrong'}: {wrong}"


@pytest.mark.parametrize("level", LEVELS)
def test_honest_frames_pass(pair, level):
    pair.set(level)
    held = []
    for name, make in HONEST.items():
        t = token()
        if not pair.arrives(make(t), t):
            held.append(name)
    assert not held


def port_of(bridge, address):
    text = subprocess.run(["bridge", "fdb", "show", "br", bridge], check=True, capture_output=True, text=True).stdout
    return [line.split()[2] for line in text.splitlines() if line.startswith(address) and "permanent" not in line]


@pytest.mark.parametrize("level", ["off", "mac"])
def test_what_is_for_the_bridge_itself_teaches_it_nothing(pair, level):
    """Frames to 01:80:c2:00:00:0x skip what others pass, and the bridge learns their source."""
    pair.set(level)
    pair.into.send(eth(V, 0x88B5, b"here"))
    t = token()
    pair.out.send(eth(V, 0x88CC, t, dst="01:80:c2:00:00:0e"))
    pair.out.send(v4(said(t)))
    pair.into.until(t)
    assert port_of(pair.bridge, V) == [pair.bridge + ("a" if level == "off" else "v")]


def test_exhaustion_gets_no_more_than_one_name(pair):
    pair.set("all")
    passed = [i for i in range(50) if pair.arrives(from_dhcp(b"x%d." % i, chaddr=f"00:16:3e:ee:00:{i:02x}"), b"x%d." % i)]
    assert not passed


def test_nothing_at_all_of_a_family(pair):
    nic = {**pair.nic, **LEVELS["all"], "ipv6.address": "none"}
    pair.change(nic)
    pair.level = "none"
    t = token()
    assert pair.arrives(HONEST["ipv4"](t), t)
    for name in ("ipv6", "ipv6-link-local", "ns-for-duplicates", "rs-unspecified", "na-link-local"):
        assert not pair.arrives(HONEST[name](t), t), name
    pair.change({**nic, "ipv4.address": "none", "ipv6.address": A6})
    pair.out.send(HONEST["ipv6"](last := token()))
    pair.into.until(last)
    for name in ("ipv4", "arp-request", "arp-probe", "dhcp"):
        pair.out.send(HONEST[name](t))
        pair.out.send(HONEST["ipv6"](last := token()))
        assert not any(t in got for got in pair.into.until(last)), name


def test_networks_behind_it(pair):
    """What is routed to the instance it may use as source, and nothing beside."""
    routes = {"ipv4.routes": "10.98.0.0/24,10.98.0.0/25", "ipv6.routes": "fd98::/64"}
    pair.change({**pair.nic, **LEVELS["all"], **routes})
    pair.level = "routes"
    for good, bad in (("10.98.0.9", "10.98.1.9"), ("fd98::9", "fd98:0:0:1::9")):
        for source in (good, bad):
            t = token()
            if "." in source:
                frames = [v4(said(t), source, V4), eth(A, ARP, arp(2, A, source, V4, V)) + t]
            else:
                frames = [v6(ipv6(source, ALL, said(t), 17)), neighbour(advert, source, A, src=A6)(t)]
            for frame in frames:
                assert pair.arrives(frame, t) == (source == good), source


def test_filters_are_there_before_the_link_and_after_a_reboot(pair):
    pair.set("all")
    spoof, allowed = ATTACKS["ipv4-source"][0], HONEST["ipv4"]
    for again in (lambda: pair.attacker.restart(), lambda: pair.attacker.exec("kill", "-TERM", "1")):
        was = pair.attacker.pid
        again()
        wait_until(lambda: pair.attacker.status == "Running" and pair.attacker.pid not in (0, was))
        pair.wires()
        t = token()
        assert not pair.arrives(spoof(t), t)
        assert pair.arrives(allowed(t), t)


def tables():
    text = subprocess.run(["nft", "list", "tables", "bridge"], check=True, capture_output=True, text=True).stdout
    return [line.split()[2] for line in text.splitlines() if line.split()[2].startswith("lxm_nics_")]


def test_a_table_that_was_removed_comes_back(pair):
    pair.set("all")
    t = token()
    mine, = tables()
    subprocess.run(["nft", "delete", "table", "bridge", mine], check=True)
    assert pair.arrives(ATTACKS["ipv4-source"][0](t), t)
    pair.set("mac")
    pair.set("all")
    assert not pair.arrives(ATTACKS["ipv4-source"][0](t), t)


@pytest.mark.parametrize("level", ["off", "mac", "all"])
def test_leases_of_dhcpv6_are_asked_for_at_a_rate(pair, level):
    """Whatever identifiers it makes up: dnsmasq keeps so many leases for a network, of both families together. Other traffic is not held up."""
    pair.set(level)
    pair.into.send(eth(V, 0x88B5, b"here"))
    pair.into.seen()
    for i in range(100):
        pair.out.send(HONEST["dhcpv6"](b"asked%02d." % i))
    pair.out.send(v4(said(last := token())))
    asked = sum(b"asked" in frame for frame in pair.into.until(last))
    assert asked == 100 if level == "off" else asked <= 35, asked
    # some do pass; the next level has the same count, unless the table was made anew
    assert level != "mac" or asked >= 10
