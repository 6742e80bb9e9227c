"""NICs that are no port of a bridge: p2p, macvlan, physical, routed, ipvlan. What is read is the effect inside and on the host."""
import json
import os
import signal
import subprocess
import time

import pytest

from harness.instance import fresh_name, wait_until
from harness.netns import Wire, ip, kernel_has
from harness.rest import OperationFailed, RestError

pytestmark = pytest.mark.usefixtures("own_routes")

TAG = f"lxmn{os.getpid() % 10000}"
VLANS = kernel_has("vlan", "id", "5")


def links():
    return {line["ifname"]: line for line in json.loads(ip("-j", "-d", "link").stdout)}


def routes(*argv):
    return ip("route", "show", *argv, check=False).stdout  # a table without routes is an error


def inside(inst):
    """Links as the instance has them: name -> (mac, mtu, txqlen)."""
    out = inst.sh("cd /sys/class/net; for l in *; do echo $l $(cat $l/address) $(cat $l/mtu) $(cat $l/tx_queue_len); done")
    return {f[0]: tuple(f[1:]) for f in map(str.split, out.splitlines())}


def devices(rest, inst, **wanted):
    """The instance's own devices become these."""
    now = rest.read(f"instances/{inst.name}")
    wanted.setdefault("eth0", {"type": "none"})
    return rest.change("PUT", f"instances/{inst.name}", {k: now[k] for k in ("config", "profiles", "description")} | {"devices": wanted})


def nic(kind, **keys):
    return {"type": "nic", "nictype": kind, "name": "nic0", **{k.replace("__", "."): v for k, v in keys.items()}}


def rate_in(link):
    """What a host end's packets into the instance are held to, bytes per second."""
    found = json.loads(subprocess.run(["tc", "-j", "qdisc", "show", "dev", link], capture_output=True, text=True).stdout)
    return next((q["options"]["rate"] for q in found if q["kind"] == "tbf"), 0)


def volatile(inst):
    return {k: v for k, v in inst.get()["config"].items() if k.startswith("volatile.n.")}


@pytest.fixture
def wire():
    with Wire(f"{TAG}w") as w:
        yield w


@pytest.fixture
def box(instance):
    def make(start=True, **devs):
        # those that are killed with their lxmd stay down
        return instance(start=start, config={"boot.autostart": "false"}, devices={"eth0": {"type": "none"}, **devs})
    return make


def text_of(path):
    with open(path) as f:
        return f.read()


def alive(pid):
    try:
        return text_of(f"/proc/{pid}/stat").rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def refused(fn, *words):
    with pytest.raises((RestError, OperationFailed)) as caught:
        fn()
    text = str(caught.value).replace("\\", "")
    assert all(w in text for w in words), text


# ---- p2p
def test_p2p(rest, box):
    host = f"{TAG}p"
    inst = box(n=nic("p2p", host_name=host, hwaddr="00:16:3e:01:02:03", mtu="1400", queue__tx__length="77", ipv4__routes="198.51.100.0/24"))
    assert inside(inst)["nic0"] == ("00:16:3e:01:02:03", "1400", "77")
    there = links()[host]
    assert (there["mtu"], there["txqlen"], "master" in there) == (1400, 77, False)
    assert f"198.51.100.0/24 dev {host}" in routes()
    state = inst.state()["network"]["nic0"]
    assert (state["host_name"], state["hwaddr"], state["mtu"]) == (host, "00:16:3e:01:02:03", 1400)
    inst.sh("ip addr add 198.51.100.7/24 dev nic0")
    ip("addr", "add", "198.51.100.1/32", "dev", host)
    assert "1 packets received" in inst.sh("ping -c 1 -W 3 198.51.100.1 | grep -o '1 packets received'")
    assert inst.state()["network"]["nic0"]["counters"]["packets_sent"] > 0
    # live: the interface stays, or comes anew; either way the routes are the new ones
    devices(rest, inst, n=nic("p2p", host_name=host, hwaddr="00:16:3e:01:02:03", ipv4__routes="203.0.113.0/24", ipv6__routes="2001:db8:7::/48"))
    assert "198.51.100.0/24" not in routes() and f"203.0.113.0/24 dev {host}" in routes()
    assert f"2001:db8:7::/48 dev {host}" in ip("-6", "route").stdout
    pid = inst.pid
    devices(rest, inst, n=nic("p2p", host_name=host, hwaddr="00:16:3e:01:02:03", ipv4__routes="203.0.113.0/24", limits__ingress="8Mbit"))
    assert rate_in(host) == 1000000 and inst.pid == pid
    # with the same name again at once
    inst.restart()
    assert f"203.0.113.0/24 dev {host}" in routes()
    devices(rest, inst)
    assert "nic0" not in inside(inst) and host not in links() and "203.0.113.0/24" not in routes()
    assert not volatile(inst)


def test_a_taken_host_name_is_refused(box, wire):
    inst = box(start=False, n=nic("p2p", host_name=wire.name))
    refused(inst.start, f"a link '{wire.name}' exists")
    assert wire.name in links() and inst.status == "Stopped"


def test_a_route_that_is_taken_undoes_the_start(box):
    first = box(n=nic("p2p", ipv4__routes="198.51.100.0/24"))
    other = box(start=False, n=nic("p2p", host_name=f"{TAG}x", ipv4__routes="198.51.100.0/24"))
    refused(other.start, "198.51.100.0/24", "exists")
    wait_until(lambda: f"{TAG}x" not in links(), 5)
    assert set(volatile(other)) == {"volatile.n.hwaddr"}
    assert f"dev {first.get()['config']['volatile.n.host_name']}" in routes()


def test_host_ends_are_named_by_mac(rest, box):
    assert rest.patch("/1.0", {"config": {"instances.nic.host_name": "mac"}}).status == 200
    try:
        mac = f"00163e0a{os.getpid() % 65536:04x}"
        inst = box(n=nic("p2p", hwaddr=":".join(mac[i:i + 2] for i in range(0, 12, 2))))
        assert f"lxm{mac}" in links()
        inst.restart()
        time.sleep(2.5)  # what is left of a stopped instance is looked for after 2 s
        assert f"lxm{mac}" in links() and "nic0" in inside(inst)
    finally:
        rest.patch("/1.0", {"config": {"instances.nic.host_name": ""}})
    inst.restart()
    assert inst.get()["config"]["volatile.n.host_name"].startswith("veth")


# ---- macvlan
@pytest.mark.skipif(not kernel_has("macvlan"), reason="the kernel has no macvlan")
def test_macvlan(rest, box, wire):
    wire.far("addr", "add", "198.51.100.1/24", "dev", "far")
    keys = {"parent": wire.name, "hwaddr": "00:16:3e:01:02:04", "mtu": "1400", "queue__tx__length": "55"}
    inst = box(n=nic("macvlan", **keys))
    assert inside(inst)["nic0"] == ("00:16:3e:01:02:04", "1400", "55")
    inst.sh("ip addr add 198.51.100.7/24 dev nic0; ping -c 1 -W 3 198.51.100.1")
    devices(rest, inst)
    assert "nic0" not in inside(inst)
    devices(rest, inst, n=nic("macvlan", parent=wire.name))
    assert inst.state()["network"]["nic0"]["host_name"] == ""
    # renamed inside: taken away all the same
    inst.sh("ip link set nic0 name mine")
    devices(rest, inst)
    assert "mine" not in inside(inst)
    refused(lambda: devices(rest, inst, n=nic("macvlan", parent=f"{TAG}none")), f"no link '{TAG}none'")


@pytest.mark.skipif(kernel_has("ipvlan"), reason="the kernel has ipvlan")
def test_a_kernel_without_ipvlan_is_named(box, wire):
    inst = box(start=False, n=nic("ipvlan", parent=wire.name, mode="l2"))
    refused(inst.start, "load its module 'ipvlan'")
    assert inst.status == "Stopped" and not volatile(inst)


# ---- physical
def test_physical(rest, box, wire):
    ip("link", "set", wire.name, "txqueuelen", "321")
    mac, mtu = links()[wire.name]["address"], links()[wire.name]["mtu"]
    inst = box(n=nic("physical", parent=wire.name, hwaddr="00:16:3e:01:02:05", mtu="1300", queue__tx__length="55"))
    assert inside(inst)["nic0"] == ("00:16:3e:01:02:05", "1300", "55")
    assert wire.name not in links() and volatile(inst)["volatile.n.last_state.hwaddr"] == mac

    def home():
        there = links()[wire.name]
        assert (there["address"], there["mtu"], there["txqlen"]) == (mac, mtu, 321)

    inst.stop()
    home()
    assert not {k for k in volatile(inst) if "last_state" in k}
    inst.start()
    # its own root may call it what it likes
    inst.sh("ip link set nic0 down; ip link set nic0 name mine address 00:16:3e:09:09:09 mtu 1200")
    os.kill(inst.pid, signal.SIGKILL)
    inst.wait_status("Stopped")
    home()
    # a reboot from inside gives it back and takes it again
    pid = inst.start().pid
    inst.exec("reboot")
    wait_until(lambda: inst.status == "Running" and inst.pid not in (0, pid), 10)
    assert inside(inst)["nic0"] == ("00:16:3e:01:02:05", "1300", "55")
    inst.stop()
    home()
    inst.start()
    devices(rest, inst)
    home()
    ip("link", "set", wire.name, "txqueuelen", "0")  # a length like any other
    devices(rest, inst, n=nic("physical", parent=wire.name, queue__tx__length="55"))
    assert inside(inst)["nic0"][2] == "55"
    devices(rest, inst)
    assert links()[wire.name].get("txqlen", 0) == 0
    ip("link", "set", wire.name, "txqueuelen", "321")
    devices(rest, inst, n=nic("physical", parent=wire.name))
    assert inside(inst)["nic0"][0] == mac and wire.name not in links()
    inst.stop()
    home()


def test_a_lent_link_is_lent_once(box, wire):
    first, other = box(n=nic("physical", parent=wire.name)), box(start=False, n=nic("physical", parent=wire.name))
    assert first.state()["network"]["nic0"]["host_name"] == ""
    # there is no host end that it could be about
    first.rest.change("PATCH", f"instances/{first.name}", {"config": {"limits.network.priority": "3"}})
    first.restart()
    refused(other.start, f"no link '{wire.name}'")
    first.stop()
    other.start()
    other.stop()
    assert wire.name in links()


# ---- routed
@pytest.fixture
def forwarding(wire):
    for path in (f"ipv4/conf/{wire.name}/forwarding", f"ipv6/conf/{wire.name}/forwarding", f"ipv6/conf/{wire.name}/proxy_ndp"):
        with open(f"/proc/sys/net/{path}", "w") as f:
            f.write("1")
    return wire


ROUTED = {"ipv4__address": "198.51.100.7, 198.51.100.8", "ipv6__address": "2001:db8::7", "ipv4__routes": "203.0.113.0/24"}


def proxies():
    return ip("neigh", "show", "proxy").stdout


def test_routed(rest, box, forwarding):
    wire, host = forwarding, f"{TAG}r"
    wire.far("addr", "add", "198.51.100.1/24", "dev", "far")
    ip("addr", "add", "198.51.100.2/32", "dev", wire.name)
    ip("route", "add", "198.51.100.1/32", "dev", wire.name)
    inst = box(n=nic("routed", parent=wire.name, host_name=host, hwaddr="00:16:3e:01:02:06", ipv4__host_table="4242",
                     ipv6__host_table="4243", **ROUTED))
    addrs = inst.sh("ip addr show dev nic0; ip route; ip -6 route")
    for word in ("198.51.100.7/32", "198.51.100.8/32", "2001:db8::7/128", "default via 169.254.0.1 dev nic0", "default via fe80::1 dev nic0"):
        assert word in addrs, addrs
    here = ip("addr", "show", "dev", host).stdout
    assert "169.254.0.1/32" in here and "fe80::1/128" in here
    assert f"198.51.100.7 dev {host}" in routes() and f"203.0.113.0/24 via 198.51.100.7 dev {host}" in routes()
    assert f"198.51.100.8 dev {host}" in routes("table", "4242")
    assert f"2001:db8::7 dev {host}" in ip("-6", "route").stdout
    assert f"2001:db8::7 dev {host}" in ip("-6", "route", "show", "table", "4243").stdout
    assert f"198.51.100.7 dev {wire.name}" in proxies() and f"2001:db8::7 dev {wire.name}" in proxies()
    assert text_of(f"/proc/sys/net/ipv4/conf/{host}/rp_filter") == "1\n"
    # a stranger on the parent's network, by the host's answer for the address
    wait_until(lambda: wire.far_run("busybox", "ping", "-c", "1", "-W", "1", "198.51.100.7", check=False).returncode == 0, 10)
    got = {a["address"] for a in inst.state()["network"]["nic0"]["addresses"]}
    assert {"198.51.100.7", "198.51.100.8", "2001:db8::7"} <= got
    refused(lambda: devices(rest, inst), "stop it first")
    same = inst.get()["devices"]["n"]
    devices(rest, inst, n=same | {"limits.max": "8Mbit"})
    assert rate_in(host) == 1000000 and "169.254.0.1/32" in ip("addr", "show", "dev", host).stdout
    devices(rest, inst, n=same)
    assert rate_in(host) == 0
    other = box(start=False, n=nic("routed", ipv4__address="198.51.100.8"))
    refused(other.start, "'198.51.100.8' is in use on this host")
    assert f"198.51.100.8 dev {wire.name}" in proxies()
    inst.stop()
    assert "198.51.100.7" not in proxies() + routes() and "2001:db8::7" not in proxies() + ip("-6", "route").stdout
    devices(rest, inst, n=nic("routed", ipv4__address="198.51.100.7", ipv4__gateway="none", ipv4__host_address="198.51.100.254",
                              ipv6__address="2001:db8::7", ipv6__gateway="none", ipv6__host_address="fe80::7", ipv6__routes="2001:db8:9::/48"))
    inst.start()
    assert inst.sh("ip route | grep -c default || true").strip() == "0"
    assert inst.sh("ip -6 route | grep -c default || true").strip() == "0"
    assert "198.51.100.254/32" in ip("addr").stdout and "198.51.100.7" not in proxies()
    assert "fe80::7/128" in ip("addr").stdout and "2001:db8:9::/48 via 2001:db8::7 dev" in ip("-6", "route").stdout
    assert "198.51.100.7" not in routes("table", "4242") and "2001:db8::7" not in ip("-6", "route", "show", "table", "4243", check=False).stdout
    inst.stop()
    devices(rest, inst, n=nic("routed", ipv4__address="198.51.100.7", ipv6__address="2001:db8::7"))
    inst.start()
    assert "default via 169.254.0.1" in inst.sh("ip route") and "default via fe80::1" in inst.sh("ip -6 route")
    assert "198.51.100.254/32" not in ip("addr").stdout and "2001:db8:9::/48" not in ip("-6", "route").stdout


def test_routed_asks_the_neighbours(box, forwarding):
    wire = forwarding
    wire.far("addr", "add", "198.51.100.7/24", "dev", "far")
    wire.far("addr", "add", "2001:db8::9/64", "dev", "far", "nodad")
    wait_until(lambda: "scope link" in (ip("-6", "addr", "show", "dev", wire.name, "-tentative").stdout), 10)
    first = box(start=False, n=nic("routed", parent=wire.name, ipv4__address="198.51.100.7"))
    refused(first.start, "'198.51.100.7' is in use in the network")
    refused(box(start=False, n=nic("routed", parent=wire.name, ipv6__address="2001:db8::9")).start, "'2001:db8::9' is in use in the network")
    box(n=nic("routed", parent=wire.name, ipv4__address="198.51.100.7", ipv4__neighbor_probe="false"))


def test_routed_needs_a_host_that_forwards(box, wire):
    with open(f"/proc/sys/net/ipv4/conf/{wire.name}/forwarding", "w") as f:
        f.write("0")
    inst = box(start=False, n=nic("routed", parent=wire.name, ipv4__address="198.51.100.7"))
    refused(inst.start, f"net.ipv4.conf.{wire.name}.forwarding=1")


@pytest.mark.host_only("turned away before anything reaches the kernel")
@pytest.mark.parametrize("keys, words", [
    ({"ipv4__address": "198.51.100.7/24"}, "without prefix"),
    ({"ipv4__address": "198.51.100.7,198.51.100.7"}, "twice"),
    ({"ipv4__address": "2001:db8::7"}, "not an IPv4 address"),
    ({"ipv6__routes": "2001:db8::/64"}, "needs ipv6.address"),
    ({"ipv4__gateway": "198.51.100.1"}, "auto or none"),
    ({"vlan": "5"}, "needs a parent"),
])
def test_bad_routed_keys_change_nothing(rest, box, keys, words):
    inst = box(start=False)
    before = inst.get()["devices"]
    refused(lambda: devices(rest, inst, n=nic("routed", **keys)), words)
    assert inst.get()["devices"] == before


# ---- ipvlan
@pytest.mark.skipif(not kernel_has("ipvlan"), reason="the kernel has no ipvlan")
@pytest.mark.parametrize("mode", ["l2", "l3s"])
def test_ipvlan(box, forwarding, mode):
    wire = forwarding
    wire.far("addr", "add", "198.51.100.1/24", "dev", "far")
    if mode == "l2":
        keys = {"ipv4__address": "198.51.100.7/24", "ipv4__gateway": "198.51.100.1"}
    else:
        keys = {"ipv4__address": "198.51.100.7", "ipv4__host_table": "4242"}
        ip("addr", "add", "198.51.100.2/32", "dev", wire.name)
        ip("route", "add", "198.51.100.1/32", "dev", wire.name)
    inst = box(n=nic("ipvlan", parent=wire.name, mode=mode, mtu="1400", **keys))
    assert inside(inst)["nic0"][:2] == (links()[wire.name]["address"], "1400")
    shown = inst.sh("ip addr show dev nic0; ip route")
    if mode == "l2":
        assert "198.51.100.7/24" in shown and "default via 198.51.100.1" in shown
    else:
        assert "198.51.100.7/32" in shown and "default dev nic0" in shown
        assert "198.51.100.7 dev lo" in routes() and "198.51.100.7 dev lo" in routes("table", "4242")
        assert f"198.51.100.7 dev {wire.name}" in proxies()
    inst.sh("ping -c 1 -W 3 198.51.100.1")
    inst.stop()
    assert "198.51.100.7" not in routes() + proxies() + routes("table", "4242")


# ---- VLANs of the parent
@pytest.mark.skipif(not VLANS, reason="the kernel has no VLAN links")
def test_a_vlan_lives_as_long_as_its_users(daemon, rest, box, wire):
    name = f"{wire.name}.5"
    wire.far("link", "add", "link", "far", "name", "far5", "type", "vlan", "id", "5")
    wire.far("addr", "add", "198.51.100.1/24", "dev", "far5")
    wire.far("link", "set", "far5", "up")
    first = box(n=nic("macvlan", parent=wire.name, vlan="5"))
    other = box(n=nic("macvlan", parent=wire.name, vlan="5"))
    assert links()[name]["linkinfo"]["info_data"]["id"] == 5
    first.sh("ip addr add 198.51.100.7/24 dev nic0; ping -c 1 -W 3 198.51.100.1")
    first.stop()
    assert name in links()
    daemon.kill()
    daemon.start()
    assert name in links()
    devices(rest, other)
    assert name not in links()
    ip("link", "add", "link", wire.name, "name", name, "type", "vlan", "id", "5")
    first.start()
    first.stop()
    assert name in links(), "it was there before"
    ip("link", "del", name)
    lent = box(n=nic("physical", parent=wire.name, vlan="5", gvrp="true"))
    seen = subprocess.run(["nsenter", "-t", str(lent.pid), "-n", "ip", "-d", "link", "show", "nic0"], capture_output=True, text=True).stdout
    assert "GVRP" in seen and "id 5" in seen and name not in links()
    lent.stop()
    assert name not in links()


@pytest.mark.skipif(VLANS, reason="the kernel has VLAN links")
def test_a_kernel_without_vlans_is_named(box, wire):
    inst = box(start=False, n=nic("macvlan", parent=wire.name, vlan="5"))
    refused(inst.start, "load its module '8021q'")


def test_sriov_says_what_to_do_instead(box):
    refused(lambda: box(start=False, n=nic("sriov", parent="eth9")), "nictype=physical")


# ---- networks of type macvlan and physical
@pytest.mark.parametrize("kind", ["macvlan", "physical"])
def test_a_network_is_an_uplink(rest, box, wire, kind):
    name = f"{TAG}u"
    refused(lambda: rest.change("POST", "networks", {"name": name, "type": kind, "config": {}}), "parent")
    refused(lambda: rest.change("POST", "networks", {"name": name, "type": kind, "config": {"parent": f"{TAG}none"}}), f"no link '{TAG}none'")
    rest.change("POST", "networks", {"name": name, "type": kind, "config": {"parent": wire.name, "mtu": "1400"}})
    try:
        shown = rest.read(f"networks/{name}")
        assert (shown["type"], shown["managed"], shown["status"]) == (kind, True, "Created")
        assert rest.read(f"networks/{name}/state")["hwaddr"] == links()[wire.name]["address"]
        refused(lambda: box(start=False, n={"type": "nic", "network": name, "mtu": "1300"}), "set on the network")
        refused(lambda: box(start=False, n={"type": "nic", "network": name, "ipv4.address": "198.51.100.7"}), "ipv4.address")
        inst = box(n={"type": "nic", "network": name, "name": "nic0"})
        assert inside(inst)["nic0"][1] == "1400"
        assert (wire.name in links()) == (kind == "macvlan")
        refused(lambda: rest.change("DELETE", f"networks/{name}"), "in use")
        devices(rest, inst)
        assert "nic0" not in inside(inst)
        rest.change("PATCH", f"networks/{name}", {"config": {"mtu": "1300"}})
        devices(rest, inst, n={"type": "nic", "network": name, "name": "nic0"})
        assert inside(inst)["nic0"][1] == "1300"
        devices(rest, inst)
        rest.change("PATCH", f"networks/{name}", {"config": {"mtu": ""}})
        devices(rest, inst, n={"type": "nic", "network": name, "name": "nic0"})
        assert inside(inst)["nic0"][1] == "1500"
        inst.stop()
        assert wire.name in links()
        inst.remove()
    finally:
        rest.delete(f"networks/{name}")
    assert rest.get(f"networks/{name}").status == 404


# ---- after kills
def test_all_is_undone_after_kills(daemon, rest, box, forwarding):
    """lxmd and the monitors are killed, a link of the host with them; the next lxmd leaves nothing behind."""
    wire, hosts = forwarding, [f"{TAG}k{i}" for i in range(2)]
    with Wire(f"{TAG}v") as spare:
        insts = [box(n=nic("p2p", host_name=hosts[0], ipv4__routes="203.0.113.0/24")),
                 box(n=nic("routed", parent=wire.name, host_name=hosts[1], ipv4__address="198.51.100.7")),
                 box(n=nic("physical", parent=spare.name, mtu="1300"))]
        mac = volatile(insts[2])["volatile.n.last_state.hwaddr"]
        parents = [int(text_of(f"/proc/{i.pid}/stat").rsplit(")", 1)[1].split()[1]) for i in insts]
        daemon.kill()
        for pid in parents:
            os.kill(pid, signal.SIGKILL)
        wait_until(lambda: not any(alive(p) for p in parents), 10)
        wait_until(lambda: not set(hosts) & set(links()), 10)
        # hardware comes home under the name that it had inside: this link stands for it
        ip("link", "del", spare.name, check=False)
        ip("link", "add", "nic0", "address", mac, "mtu", "1300", "txqueuelen", "55", "type", "veth", "peer", "name", "far2", "netns", spare.ns)
        assert f"198.51.100.7 dev {wire.name}" in proxies()
        daemon.start()
        assert "198.51.100.7" not in proxies() + routes() and "203.0.113.0" not in routes()
        assert "nic0" not in links() and (links()[spare.name]["mtu"], links()[spare.name]["txqlen"]) == (1500, 1000)
        for inst in insts:
            assert not {k for k in volatile(inst) if "last_state" in k or "host_name" in k}
            inst.start()


def test_the_monitor_gives_back_while_no_lxmd_is_there(daemon, box, wire):
    mac = links()[wire.name]["address"]
    inst = box(n=nic("physical", parent=wire.name, hwaddr="00:16:3e:01:02:07"))
    pid = inst.pid
    daemon.kill()
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: wire.name in links(), 10)
    assert links()[wire.name]["address"] == mac
    daemon.start()
    assert inst.status == "Stopped" and not {k for k in volatile(inst) if "last_state" in k}


# ---- policy
@pytest.fixture
def project(rest):
    name = fresh_name("prj")
    rest.change("POST", "projects", {"name": name, "config": {"restricted": "true", "features.images": "false", "features.profiles": "false"}})
    yield name
    for url in rest.read("instances", query={"project": name}):
        rest.change("DELETE", url.split("?")[0], query={"project": name})
    rest.delete(f"projects/{name}")


def test_a_restricted_project_has_managed_networks_only(rest, project, wire):
    def make(**keys):
        return rest.change("POST", "instances", {"name": fresh_name(), "source": {"type": "none"}, "devices": {
            "eth0": {"type": "none"}, "root": {"type": "disk", "path": "/", "pool": "default"}, "n": {"type": "nic", **keys}}},
            query={"project": project})

    def rule(**config):
        assert rest.patch(f"projects/{project}", {"config": {k.replace("__", "."): v for k, v in config.items()}}).status == 200

    def seen():
        return {u.rsplit("/", 1)[1].split("?")[0] for u in rest.read("networks", query={"project": project})}

    bridge = next(n["name"] for n in rest.read("networks", query={"recursion": 1}) if n["managed"])
    kinds = (("p2p", {}), ("macvlan", {"parent": wire.name}), ("physical", {"parent": wire.name}),
             ("routed", {"ipv4.address": "198.51.100.7"}), ("ipvlan", {"parent": wire.name}), ("bridged", {"parent": bridge}))
    for kind, keys in kinds:
        refused(lambda: make(nictype=kind, **keys), "restricted.devices.nic")
    make(network=bridge)
    assert bridge in seen() and wire.name not in seen()
    assert rest.get(f"networks/{wire.name}", query={"project": project}).status == 404
    rule(restricted__networks__access=f"other, {TAG}none")
    refused(lambda: make(network=bridge), "restricted.networks.access")
    assert not seen() and rest.get(f"networks/{bridge}", query={"project": project}).status == 404
    assert rest.get(f"networks/{bridge}/state", query={"project": project}).status == 404
    rule(restricted__networks__access=f"other, {bridge}", restricted__devices__nic="allow")
    assert seen() == {bridge}
    refused(lambda: make(nictype="macvlan", parent=wire.name), "restricted.networks.access")
    make(nictype="p2p")
    rule(restricted__networks__access="", restricted__devices__nic="block")
    refused(lambda: make(network=bridge), "restricted.devices.nic")
    assert not seen()
