"""Options of devices, many at a time: given before the start, changed while the instance runs, and taken away again; what is read is the effect.
What an option does in full is tested by the files of its type; tests/effects.txt says where."""
import json
import os
import re
import socket
import subprocess
from pathlib import Path

import pytest

from harness.netns import ip, kernel_has
from harness.sockets import Echo, ask, forwarders, inside, listener, port, proxy
from test_nic_bridged import limit_rules, qdiscs
from test_nic_types import TAG, box, forwarding, links, wire  # noqa: F401

pytestmark = pytest.mark.usefixtures("own_routes")


def devices(inst, live=True, **wanted):
    """The instance's own devices become these; with live=False while it is stopped."""
    if not live:
        inst.stop()
    now = inst.get()
    inst.rest.change("PUT", inst.path, {k: now[k] for k in ("config", "profiles", "description")} | {"devices": wanted})
    if not live:
        inst.start()


# ---- NICs
def nic_seen(inst):
    """What a lone NIC is like, inside and on the host; routes that have to do with it."""
    out = inst.sh("cd /sys/class/net; for l in *; do [ $l = lo ] || echo $l $(cat $l/address) $(cat $l/mtu) $(cat $l/tx_queue_len); done").split()
    found = dict(zip(("name", "hwaddr", "mtu", "queue.tx.length"), out, strict=True))
    host = inst.state()["network"][found["name"]]["host_name"]
    if host:
        rules = limit_rules(host)
        limited = re.search(r"limit rate over (\d+) (\w+)/second", rules)
        found |= {"host_name": host, "in": qdiscs(host).get("tbf", {}).get("rate"), "out": limited and limited.group(1) + limited.group(2)}
        found |= {"priority": next(iter(re.findall(r"meta priority set \S*:(\d+)", rules)), None)}
    routes = ip("route", "show", "table", "all", check=False).stdout + ip("-6", "route", "show", "table", "all", check=False).stdout
    found["routes"] = {r for r in ("203.0.113.0/25", "203.0.113.128/25", "2001:db8:a::/48", "2001:db8:b::/48") if f"\n{r} " in "\n" + routes}
    return found


ONE = {"name": "nic1", "hwaddr": "00:16:3e:02:02:01", "mtu": "1400", "queue.tx.length": "77"}
TWO = {"name": "nic2", "hwaddr": "00:16:3e:02:02:02", "mtu": "1300", "queue.tx.length": "78"}
RATES = ({"limits.ingress": "8Mbit", "limits.egress": "16Mbit", "limits.priority": "3"}, {"limits.max": "24Mbit", "limits.priority": "5"})
ROUTES = ({"ipv4.routes": "203.0.113.0/25", "ipv6.routes": "2001:db8:a::/48"}, {"ipv4.routes": "203.0.113.128/25", "ipv6.routes": "2001:db8:b::/48"})
ADDRESSES = {"ipv4.address": "198.51.100.7", "ipv6.address": "2001:db8::7", "ipv4.neighbor_probe": "false", "ipv6.neighbor_probe": "false"}


@pytest.mark.parametrize("kind", ["p2p", "bridged", "routed", "macvlan", "physical"])
def test_nic(rest, box, forwarding, kind):  # noqa: F811
    """hwaddr, mtu, name, queue.tx.length, host_name, limits.*, *.routes and parent, as far as the type has them."""
    if kind == "macvlan" and not kernel_has("macvlan"):
        pytest.skip("the kernel has no macvlan")
    bridge = next(n["name"] for n in rest.read("networks", query={"recursion": 1}) if n["managed"] and n["type"] == "bridge")
    base = {"type": "nic", "nictype": kind}
    base |= {"bridged": {"parent": bridge}, "p2p": {}, "routed": {"parent": forwarding.name, **ADDRESSES}}.get(kind, {"parent": forwarding.name})
    has_host_end = kind in ("p2p", "bridged", "routed")
    one, two = dict(ONE), dict(TWO)
    own = links()[forwarding.name]
    if has_host_end:
        one |= {"host_name": f"{TAG}a", **RATES[0], **ROUTES[0]}
        two |= {"host_name": f"{TAG}b", **RATES[1], **ROUTES[1]}
    inst = box(n={**base, **one})
    want = {k: v for k, v in one.items() if not k.startswith(("limits.", "ipv"))}
    seen = nic_seen(inst)
    assert {k: seen[k] for k in want} == want
    if has_host_end:
        assert (seen["in"], seen["out"], seen["priority"]) == (1000000, "2000000bytes", "3")
        assert seen["routes"] == {"203.0.113.0/25", "2001:db8:a::/48"}
        assert links()[seen["host_name"]].get("master") == (bridge if kind == "bridged" else None)

    live = kind != "routed"  # its addresses were set before the start: it can neither come nor go
    none = {"eth0": {"type": "none"}}
    devices(inst, live, **none, n={**base, **two})
    want = {k: v for k, v in two.items() if not k.startswith(("limits.", "ipv"))}
    seen = nic_seen(inst)
    assert {k: seen[k] for k in want} == want
    if has_host_end:
        assert (seen["in"], seen["out"], seen["priority"]) == (3000000, "3000000bytes", "5")
        assert seen["routes"] == {"203.0.113.128/25", "2001:db8:b::/48"} and f"{TAG}a" not in links()

    if kind == "bridged":  # by the network's name as well
        base = {"type": "nic", "network": bridge}
    devices(inst, live, **none, n={**base, "name": "nic2"})
    seen = nic_seen(inst)
    assert seen["mtu"] == str(links()[bridge]["mtu"] if kind == "bridged" else own["mtu"]) and not seen["routes"]
    assert seen["hwaddr"] == own["address"] if kind == "physical" else seen["hwaddr"] not in (one["hwaddr"], two["hwaddr"])
    if kind != "physical":
        assert seen["queue.tx.length"] not in ("77", "78")
    if has_host_end:
        assert (seen["in"], seen["out"], seen["priority"]) == (None, None, None) and seen["host_name"] not in (f"{TAG}a", f"{TAG}b")
    devices(inst, live, **none)
    assert inst.sh("ls /sys/class/net").split() == ["lo"]
    assert (links()[forwarding.name]["address"], links()[forwarding.name]["mtu"]) == (own["address"], own["mtu"])


# ---- proxies
def test_proxies(box, tmp_path_factory):  # noqa: F811
    """listen, connect, bind, mode, uid, gid, proxy_protocol, security.*: of each process and socket."""
    there = tmp_path_factory.mktemp("p") / "s"
    for parent in there.parents[:3]:
        parent.chmod(0o755)
    one, two, back = port(), port(), port()
    host = Echo(listener(("127.0.0.1", back)))
    first = {"web": proxy(f"tcp:127.0.0.1:{one}", "tcp:127.0.0.1:7301", proxy_protocol="true", **{"security.uid": "1000", "security.gid": "1001"}),
             "sock": proxy(f"unix:{there}", "tcp:127.0.0.1:7301", mode="0600", uid="7", gid="8"),
             "out": proxy("tcp:127.0.0.1:7302", f"tcp:127.0.0.1:{back}", bind="instance")}
    inst = box(**first)
    root = int(inst.get()["config"]["volatile.idmap.base"])
    server = Echo(inside(inst, lambda: listener(("127.0.0.1", 7301))))

    def ids():
        shown = [Path(f"/proc/{pid}/status").read_text() for pid in forwarders(inst)]
        return sorted(tuple(int(re.search(rf"^{k}:\s+(\d+)", text, re.M).group(1)) for k in ("Uid", "Gid")) for text in shown)

    def check(number, told, owner, mode, inner, process):
        assert ask(("127.0.0.1", number), b"body") == server.seen[-1][1].upper()
        assert server.seen[-1][1].startswith(b"PROXY TCP4 ") == told and server.seen[-1][1].endswith(b"body")
        assert (there.stat().st_uid, there.stat().st_gid, there.stat().st_mode & 0o777) == (*owner, mode)
        assert inside(inst, lambda: ask(("127.0.0.1", inner), b"out")) == b"OUT"
        assert process in ids() and len(ids()) == 3

    try:
        check(one, True, (7, 8), 0o600, 7302, (root + 1000, root + 1001))
        none = {"eth0": {"type": "none"}}
        devices(inst, **none, web=proxy(f"tcp:127.0.0.1:{two}", "tcp:127.0.0.1:7301", **{"security.uid": "1002"}),
                sock=proxy(f"unix:{there}", "tcp:127.0.0.1:7301", mode="0660", uid="9"),
                out=proxy("tcp:127.0.0.1:7303", f"tcp:127.0.0.1:{back}", bind="instance"))
        check(two, False, (9, 0), 0o660, 7303, (root + 1002, root))
        devices(inst, **none, web=proxy(f"tcp:127.0.0.1:{two}", "tcp:127.0.0.1:7301"), sock=proxy(f"unix:{there}", "tcp:127.0.0.1:7301"),
                out=first["out"])
        check(two, False, (0, 0), 0o644, 7302, (root, root))
        devices(inst, **none)
        assert not forwarders(inst) and not there.exists()
        with pytest.raises(ConnectionRefusedError):
            ask(("127.0.0.1", two))
    finally:
        server.close()
        host.close()


# ---- disks
def mounted(inst, path):
    """Options of a mount inside; None: there is none."""
    return next((set(line.split()[3].split(",")) for line in inst.sh("cat /proc/self/mounts").splitlines() if line.split()[1] == path), None)


def test_disks(rest, box, tmp_path_factory):  # noqa: F811
    """path, source, pool, readonly, recursive, shift, raw.mount.options, propagation."""
    top, volume = tmp_path_factory.mktemp("disks"), f"phases{os.getpid()}"
    for parent in [top, *top.parents][:3]:
        parent.chmod(0o755)
    (top / "below").mkdir()
    (top / "f").write_text("seen")
    subprocess.run(["mount", "-t", "tmpfs", "none", top / "below"], check=True)
    subprocess.run(["mount", "--make-shared", top / "below"], check=True)
    rest.change("POST", "storage-pools/default/volumes/custom", {"name": volume})
    try:
        def disk(path, **more):
            return {"type": "disk", "source": str(top), "path": path, **{k.replace("_", "."): v for k, v in more.items()}}

        (top / "below/deep").write_text("")
        given = {"a": disk("/a", recursive="true", readonly="true"), "b": disk("/b", shift="true", raw_mount_options="noexec,noatime"),
                 "c": disk("/c", source=str(top / "below"), propagation="rslave"), "f": disk("/etc/f", source=str(top / "f")),
                 "v": disk("/v", source=volume, pool="default", readonly="true")}
        plain = {"a": disk("/a"), "b": disk("/b"), "c": disk("/c", source=str(top / "below")), "f": disk("/etc/g", source=str(top / "f")),
                 "v": disk("/v", source=volume, pool="default")}

        def look():
            (top / "below/later").mkdir(exist_ok=True)
            subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4k", "late", top / "below/later"], check=True)
            found = {"recursive": inst.sh("ls /a/below").split() != [], "readonly": "ro" in mounted(inst, "/a"),
                     "shift": inst.sh("stat -c %u /b/f").strip() == "0", "options": {"noexec", "noatime"} <= mounted(inst, "/b"),
                     "propagation": mounted(inst, "/c/later") is not None, "volume": "ro" in mounted(inst, "/v"),
                     "path": inst.exec("grep", "-q", "seen", "/etc/f").code == 0 and inst.exec("grep", "-q", "seen", "/etc/g").code != 0}
            subprocess.run(["umount", top / "below/later"], check=True)
            return set(found.values())

        inst = box(**given)
        none = {"eth0": {"type": "none"}}
        assert look() == {True}
        devices(inst, **none, **plain)
        assert look() == {False}
        devices(inst, **none, **given)
        assert look() == {True}
        devices(inst, **none)
        assert all(mounted(inst, path) is None for path in ("/a", "/a/below", "/b", "/c", "/v", "/etc/f", "/etc/g"))
        inst.remove()
    finally:
        subprocess.run(["umount", top / "below"], check=True)
        rest.change("DELETE", f"storage-pools/default/volumes/custom/{volume}")
