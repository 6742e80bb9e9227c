"""Bridged NICs: what their properties do on the host, set before the start, changed while the instance runs, and unset."""
import ipaddress
import json
import os
import select
import subprocess
import time

import pytest

from harness.frames import IP4, Wire, eth, ipv4, udp
from harness.instance import fresh_name, wait_until
from harness.rest import OperationFailed

pytestmark = pytest.mark.usefixtures("own_routes")


def out(*argv):
    return subprocess.run(argv, check=True, capture_output=True, text=True).stdout


@pytest.fixture(scope="module")
def network(session_daemon):
    return next(n["name"] for n in session_daemon.rest.read("networks", query={"recursion": 1}) if n["managed"])


@pytest.fixture
def boxes(instance, network):
    """Instances on the network whose NIC has more properties."""
    def make(start=True, config=None, **more):
        return instance(start=start, config=config or {}, devices={"eth0": nic(network, **more)})

    return make


def nic(network, **more):
    return {"type": "nic", "network": network, "name": "eth0", **{k if "." in k else k.replace("_", "."): v for k, v in more.items()}}


def change(box, network, config=None, **more):
    now = box.get()
    wanted = {k: now[k] for k in ("profiles", "description")}
    kept = {k: v for k, v in now["config"].items() if k != "limits.network.priority"}
    wanted["config"] = {**kept, **(config or {})}
    wanted["devices"] = {"eth0": nic(network, **more)}
    return box.rest.change("PUT", box.path, wanted)


def host(box):
    return box.get()["config"]["volatile.eth0.host_name"]


def qdiscs(link):
    return {q["kind"]: q.get("options", {}) for q in json.loads(out("tc", "-j", "qdisc", "show", "dev", link))}


def limit_rules(link):
    done = subprocess.run(["nft", "list", "table", "netdev", f"lxm_{link}"], check=False, capture_output=True, text=True)
    return done.stdout if done.returncode == 0 else ""


def ifindex(box):
    return box.sh("cat /sys/class/net/eth0/ifindex; cat /sys/class/net/eth0/address").split()


def flood(wire, src, n=1500):
    """At a pace at which the thousand packets that the kernel keeps for a CPU do not overflow."""
    frame = eth(src, IP4, ipv4("192.0.2.1", "192.0.2.2", udp(1, 9, b"flood" + b"x" * 1200)), dst="33:33:00:00:00:09")
    for k in range(n):
        try:
            wire.send(frame)
        except OSError:  # a full queue
            pass
        if k % 100 == 99:
            time.sleep(0.005)


def arrived(wire):
    """Counted until nothing comes any more: a CPU may be late."""
    count = 0
    while select.select([wire.socket], [], [], 0.2)[0]:
        count += sum(b"flood" in frame for frame in wire.seen())
    return count


def passes(box, network, inward):
    """How many of 1500 packets of 1.2 kB sent at once come through."""
    inside, outside = Wire("eth0", box.pid), Wire(network)
    mac = box.sh("cat /sys/class/net/eth0/address").strip()
    source, sink = (outside, inside) if inward else (inside, outside)
    flood(source, "00:16:3e:99:99:99" if inward else mac)
    count = arrived(sink)
    inside.close()
    outside.close()
    return count


@pytest.mark.alone
@pytest.mark.parametrize("key, inward", [("limits.ingress", True), ("limits.egress", False)])
def test_rates(boxes, network, key, inward):
    """Some hundred milliseconds' worth passes at once, the rest does not; the other direction is free."""
    box = boxes(**{key: "1Mbit"})
    before = ifindex(box)
    assert passes(box, network, inward) < 400
    assert passes(box, network, not inward) == 1500
    change(box, network, **{key: "10Gbit"})
    assert passes(box, network, inward) == 1500
    change(box, network, **{key: "800kbit"})
    assert passes(box, network, inward) < 400
    change(box, network)
    assert passes(box, network, inward) == 1500
    assert ifindex(box) == before, "the interface was made anew"


def test_rates_as_the_kernel_has_them(boxes, network):
    box = boxes(limits_ingress="10Mbit", limits_egress="20Mbit")
    link = host(box)
    assert qdiscs(link)["tbf"]["rate"] == 1250000
    assert "limit rate over" in limit_rules(link)
    change(box, network, limits_max="8Mbit")
    assert qdiscs(link)["tbf"]["rate"] == 1000000
    change(box, network, limits_max="40Gbit")
    assert qdiscs(link)["tbf"]["rate"] == 5000000000
    change(box, network)
    assert "tbf" not in qdiscs(link) and not limit_rules(link)
    change(box, network, limits_egress="1Mbit")
    box.stop()
    assert not limit_rules(link)


def test_limits_outlive_a_reboot_from_inside(boxes):
    """Root inside makes its link anew by a reboot; what holds it comes back."""
    box = boxes(limits_ingress="10Mbit", limits_egress="20Mbit")
    was = box.pid
    box.exec("kill", "-TERM", "1")  # which may end it too
    wait_until(lambda: box.pid not in (0, was))
    wait_until(lambda: "tbf" in qdiscs(host(box)) and limit_rules(host(box)))


def test_priorities(boxes, network):
    box = boxes(config={"limits.network.priority": "3"})
    link = host(box)
    assert ":3" in limit_rules(link)
    change(box, network, config={"limits.network.priority": "3"}, limits_priority="7")
    assert ":7" in limit_rules(link)
    change(box, network, config={"limits.network.priority": "5"})
    assert ":5" in limit_rules(link)
    change(box, network)
    assert not limit_rules(link)


def test_the_queue(boxes, network):
    box = boxes(queue_tx_length="77")
    length = f"/sys/class/net/{host(box)}/tx_queue_len"
    assert open(length).read() == "77\n" == box.sh("cat /sys/class/net/eth0/tx_queue_len")
    change(box, network, queue_tx_length="78")
    assert open(length).read() == "78\n"
    change(box, network)
    assert open(length).read() == "1000\n"


def routes(network):
    return {line.split()[0] for family in "46" for line in out("ip", f"-{family}", "route", "show", "dev", network).splitlines()}


def test_routes(boxes, network):
    box = boxes(ipv4_routes="198.51.100.0/25", ipv6_routes="fd77:1::/64")
    assert {"198.51.100.0/25", "fd77:1::/64"} <= routes(network)
    change(box, network, ipv4_routes="198.51.100.0/25, 198.51.100.128/26", ipv6_routes_external="fd77:2::/64")
    assert {"198.51.100.0/25", "198.51.100.128/26", "fd77:2::/64"} <= routes(network)
    assert "fd77:1::/64" not in routes(network)
    change(box, network, ipv4_routes_external="198.51.100.192/26")
    assert {r for r in routes(network) if r.startswith(("198.51", "fd77"))} == {"198.51.100.192/26"}
    box.stop()
    assert not {r for r in routes(network) if r.startswith(("198.51", "fd77"))}
    box.start()
    assert "198.51.100.192/26" in routes(network)


def test_a_change_that_fails_half_way_is_undone(boxes, network):
    """Somebody else has one of the routes: addresses, filters, limits and the other routes stay as they were."""
    box = boxes(ipv4_routes="198.51.101.0/28", limits_ingress="10Mbit")
    link = host(box)
    out("ip", "route", "add", "198.51.101.128/28", "dev", network)
    try:
        with pytest.raises(OperationFailed) as failed:
            change(box, network, ipv4_routes="198.51.101.16/28,198.51.101.128/28", limits_ingress="20Mbit",
                   **{"security.port_isolation": "true", "security.mac_filtering": "true"})
        assert "198.51.101.128/28" in str(failed.value)
        assert {r for r in routes(network) if r.startswith("198.51.101")} == {"198.51.101.0/28", "198.51.101.128/28"}
        assert qdiscs(link)["tbf"]["rate"] == 1250000
        assert open(f"/sys/class/net/{link}/brport/isolated").read() == "0\n"
        assert box.get()["devices"]["eth0"]["ipv4.routes"] == "198.51.101.0/28"
    finally:
        out("ip", "route", "del", "198.51.101.128/28", "dev", network)


@pytest.mark.host_only("turned away before anything reaches the kernel")
@pytest.mark.parametrize("more", [{"limits.ingress": "fast"}, {"limits.priority": "-1"}, {"ipv4.routes": "10.0.0.1/33"}, {"vlan": "4095"},
                                  {"vlan.tagged": "5-3"}, {"host_name": 'a";b'}, {"host_name": "veth*"}, {"queue.tx.length": "x"},
                                  {"vlan.tagged": "7", "security.ipv4_filtering": "true"}, {"security.acls": "x"}])
def test_bad_values_change_nothing(boxes, network, more):
    box = boxes(start=False)
    was = box.get()
    reply = box.rest.patch(box.path, {"devices": {"eth0": {**nic(network), **more}}, "config": {"user.x": "1"}})
    assert reply.status == 400, reply
    assert box.get() == was


def test_isolated_ports(boxes, network):
    """Two isolated ones do not reach each other, but the host and one that is not."""
    a, b, c = boxes(**{"security.port_isolation": "true"}), boxes(**{"security.port_isolation": "true"}), boxes()
    wires = [Wire("eth0", box.pid) for box in (a, b, c)]

    def reaches():
        for wire in wires:
            wire.seen()
        flood(wires[0], ifindex(a)[1], 1)
        return [arrived(wire) for wire in wires[1:]]

    assert reaches() == [0, 1]
    change(b, network)
    assert reaches() == [1, 1]
    change(b, network, **{"security.port_isolation": "true"})
    assert reaches() == [0, 1]


def test_an_address_is_reserved_for_who_may_use_no_other(boxes, network):
    box = boxes(**{"security.ipv4_filtering": "true"})
    own = box.get()["config"]["volatile.eth0.ipv4.address"]
    assert ipaddress.ip_address(own) in ipaddress.ip_network(box.rest.read(f"networks/{network}")["config"]["ipv4.address"], False)
    assert box.address() == own
    leases = box.rest.read(f"networks/{network}/leases")
    assert [x["type"].lower() for x in leases if x["address"] == own] == ["static"]
    gateway = box.rest.read(f"networks/{network}")["config"]["ipv4.address"].split("/")[0]
    box.sh(f"ping -c 1 -W 5 {gateway}")
    box.sh(f"ip addr flush dev eth0; ip addr add {ipaddress.ip_address(gateway) + 7}/16 dev eth0; ! ping -c 1 -W 1 {gateway}")
    change(box, network)
    assert "volatile.eth0.ipv4.address" not in box.get()["config"]
    box.sh(f"ping -c 1 -W 5 {gateway}")


def test_one_lease_whatever_client_id_it_is_asked_for_under(boxes, network):
    box = boxes(**{"security.ipv4_filtering": "true"})
    own = box.address()
    for client in ("010203", "0a0b0c0d", "ff"):
        said = box.sh(f"udhcpc -i eth0 -n -q -f -t 3 -T 1 -s /bin/true -x 0x3d:{client} 2>&1 || true")
        assert f"lease of {own} obtained" in said, said


def filters(link):
    tables = [line.split()[2] for line in out("nft", "list", "tables", "bridge").splitlines() if "lxm_nics_" in line]
    return "".join(text for t in tables if (text := out("nft", "list", "table", "bridge", t)) and f'"{link}"' in text)


def test_a_later_daemon_makes_what_is_missing(own_daemon, busybox_tar):
    """`nft flush ruleset` by somebody else while no daemon is there: filters and limits come back with it."""
    from conftest import IMAGE, create, images

    images.import_image(own_daemon.rest, busybox_tar, IMAGE)
    name = next(n["name"] for n in own_daemon.rest.read("networks", query={"recursion": 1}) if n["managed"])
    props = {"security.mac_filtering": "true", "limits.egress": "10Mbit", "limits.ingress": "10Mbit", "ipv4.routes": "198.51.102.0/28"}
    box = create(own_daemon, IMAGE, name=fresh_name(), devices={"eth0": {**nic(name), **props}})
    link = host(box)
    table, = [line.split()[2] for line in out("nft", "list", "tables", "bridge").splitlines()
              if "lxm_nics_" in line and link in out("nft", "list", "table", "bridge", line.split()[2])]
    own_daemon.kill()
    out("nft", "delete", "table", "bridge", table)
    out("nft", "delete", "table", "netdev", f"lxm_{link}")
    out("tc", "qdisc", "del", "dev", link, "root")
    out("ip", "route", "del", "198.51.102.0/28", "dev", name)
    own_daemon.start()
    assert filters(link) and limit_rules(link) and "tbf" in qdiscs(link) and "198.51.102.0/28" in routes(name)
    box.stop()
    assert not filters(link) and not limit_rules(link) and "198.51.102.0/28" not in routes(name)
    box.delete()


def test_a_bridge_that_was_deleted_comes_back_whole(own_daemon, busybox_tar):
    """With the network's next change, and what its NICs had on it with it."""
    from conftest import create
    from harness import images

    images.import_image(own_daemon.rest, busybox_tar, "bb")
    name = next(n["name"] for n in own_daemon.rest.read("networks", query={"recursion": 1}) if n["managed"])
    box = create(own_daemon, "bb", devices={"eth0": nic(name, ipv4_routes="198.51.103.0/28", **{"security.port_isolation": "true", "security.mac_filtering": "true"})})
    link = host(box)

    def port():
        return json.loads(out("bridge", "-d", "-j", "link", "show", "dev", link))[0]

    was = {k: port()[k] for k in ("isolated", "learning")}
    assert "198.51.103.0/28" in routes(name) and was == {"isolated": True, "learning": False}
    out("ip", "link", "del", name)
    assert "198.51.103.0/28" not in out("ip", "route")
    own_daemon.rest.change("PATCH", f"networks/{name}", {"description": "again"})
    assert "198.51.103.0/28" in routes(name) and {k: port()[k] for k in was} == was
    box.stop()
    assert "198.51.103.0/28" not in routes(name)
    box.delete()


@pytest.fixture
def vlan_bridge():
    name = f"vlt{os.getpid() % 100000}"
    done = subprocess.run(["ip", "link", "add", name, "type", "bridge", "vlan_filtering", "1"], check=False, capture_output=True)
    if done.returncode:
        pytest.skip("this kernel has no VLAN filtering on bridges")
    out("ip", "link", "set", name, "up")
    yield name
    out("ip", "link", "del", name)


def test_vlans_need_a_bridge_that_knows_them(boxes):
    box = boxes(start=False, vlan="7")
    with pytest.raises(OperationFailed, match="vlan_filtering"):
        box.start()
    assert box.status == "Stopped"


def test_vlans(instance, vlan_bridge):
    base = {"type": "nic", "nictype": "bridged", "parent": vlan_bridge, "name": "eth0"}
    box = instance(devices={"eth0": {**base, "vlan": "7", "vlan.tagged": "10,20-22"}})

    def vlans():
        shown = json.loads(out("bridge", "-j", "vlan", "show", "dev", host(box)))
        found = {}
        for row in shown[0]["vlans"] if shown else []:
            for vid in range(row["vlan"], row.get("vlanEnd", row["vlan"]) + 1):
                found[vid] = "PVID" in row.get("flags", [])
        return found

    def now(**more):
        was = box.get()
        box.rest.change("PUT", box.path, {k: was[k] for k in ("config", "profiles", "description")} | {"devices": {"eth0": {**base, **more}}})

    assert vlans() == {7: True, 10: False, 20: False, 21: False, 22: False}
    assert open(f"/sys/class/net/{host(box)}/operstate").read() == "up\n"
    now(vlan="none")
    assert vlans() == {}
    now(**{"vlan.tagged": "30"})
    assert vlans() == {1: True, 30: False}
    now()
    assert vlans() == {1: True}
