"""Proxy devices: what comes to an address of one side arrives on the other."""
import os
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path

import pytest

from conftest import IMAGE, create
from harness.instance import wait_until
from harness.rest import OperationFailed, RestError
from harness.sockets import Echo, ask, forwarders, inside, listener, port, proxy


@pytest.fixture(scope="module")
def box(session_daemon, busybox_tar):
    from harness import images

    if session_daemon.rest.get(f"images/aliases/{IMAGE}").status == 404:
        images.import_image(session_daemon.rest, busybox_tar, IMAGE)
    inst = create(session_daemon, IMAGE)
    yield inst
    inst.remove()


def devices(inst, **wanted):
    """The instance's own devices become these."""
    now = inst.get()
    return inst.rest.change("PUT", inst.path, json={k: now[k] for k in ("config", "profiles", "description")} | {"devices": wanted})


def refused(inst, **wanted):
    """The text with which these devices are refused; nothing has changed."""
    before = inst.get()["devices"]
    with pytest.raises((OperationFailed, RestError)) as failed:
        devices(inst, **wanted)
    assert inst.get()["devices"] == before
    return str(failed.value)


@pytest.fixture
def echo(box):
    """echo(address, at=box|None, kind) -> a server there."""
    made = []

    def make(address, at=box, kind=socket.SOCK_STREAM, own=False):
        made.append(Echo(inside(at, lambda: listener(address, kind), own) if at else listener(address, kind)))
        return made[-1]

    yield make
    for server in made:
        server.close()
    devices(box)


def test_tcp_from_the_host(box, echo):
    echo(("127.0.0.1", 7001))
    p = port()
    devices(box, web=proxy(f"tcp:127.0.0.1:{p}", "tcp:127.0.0.1:7001"))
    assert ask(("127.0.0.1", p), b"there and back") == b"THERE AND BACK"
    big = os.urandom(3 << 20)
    assert ask(("127.0.0.1", p), big) == big.upper()
    devices(box)
    with pytest.raises(ConnectionRefusedError):
        ask(("127.0.0.1", p))
    assert not forwarders(box)


def test_from_inside_to_the_host(box, echo):
    p = port()
    echo(("127.0.0.1", p), at=None)
    devices(box, out=proxy("tcp:127.0.0.1:7002", f"tcp:127.0.0.1:{p}", bind="instance"))
    assert inside(box, lambda: ask(("127.0.0.1", 7002), b"out")) == b"OUT"
    devices(box)
    with pytest.raises(ConnectionRefusedError):
        raise inside(box, lambda: error(lambda: ask(("127.0.0.1", 7002))))


def error(what):
    try:
        return what()
    except OSError as e:
        return e


def test_each_direction_ends_by_itself(box, echo):
    """A half-closed connection goes on the other way; a reset is passed on."""
    echo(("127.0.0.1", 7003))
    p = port()
    devices(box, web=proxy(f"tcp:127.0.0.1:{p}", "tcp:127.0.0.1:7003"))
    with socket.create_connection(("127.0.0.1", p)) as s:
        s.sendall(b"late")
        time.sleep(0.05)
        s.shutdown(socket.SHUT_WR)
        assert s.recv(10) == b"LATE" and s.recv(10) == b""
    devices(box, web=proxy(f"tcp:127.0.0.1:{p}", "tcp:127.0.0.1:1"))
    with pytest.raises(ConnectionResetError):
        ask(("127.0.0.1", p), b"nobody", half_close=False)


def test_ranges_of_ports(box, echo):
    a = port()
    servers = [echo(("127.0.0.1", n)) for n in (7010, 7011, 7012)]
    devices(box, web=proxy(f"tcp:127.0.0.1:{a}-{a + 1},{a + 2}", "tcp:127.0.0.1:7010-7012"))
    for i in range(3):
        ask(("127.0.0.1", a + i), str(i).encode())
    assert [s.seen[0][1] for s in servers] == [b"0", b"1", b"2"]
    devices(box, web=proxy(f"tcp:127.0.0.1:{a}-{a + 2}", "tcp:127.0.0.1:7011"))
    for i in range(3):
        ask(("127.0.0.1", a + i), str(i).encode())
    assert len(servers[1].seen) == 4


@pytest.mark.parametrize("family,host", [(socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")])
def test_udp_keeps_clients_apart(box, echo, family, host):
    server = echo((host, 7004), kind=socket.SOCK_DGRAM)
    p = port(socket.SOCK_DGRAM)
    wrapped = f"[{host}]" if ":" in host else host
    # listening everywhere: the answer comes from the address that was asked
    devices(box, dns=proxy(f"udp:{'[::]' if ':' in host else '0.0.0.0'}:{p}", f"udp:{wrapped}:7004"))
    clients = [socket.socket(family, socket.SOCK_DGRAM) for _ in range(3)]
    for i, s in enumerate(clients):
        s.settimeout(10)
        s.connect((("127.0.0.2" if i == 2 else host) if family == socket.AF_INET else host, p))
        s.send(b"c%d" % i)
    assert [s.recv(100) for s in clients] == [b"C0", b"C1", b"C2"]
    assert len({peer for peer, _ in server.seen}) == 3
    clients[0].send(b"x" * 60000)
    assert clients[0].recv(65536) == b"X" * 60000
    for s in clients:
        s.close()


@pytest.fixture
def short():
    """A directory whose name leaves room for that of a socket."""
    with tempfile.TemporaryDirectory(prefix="px") as name:
        os.chmod(name, 0o755)
        yield Path(name)


def test_unix_sockets_on_both_sides(box, echo, short):
    """By path inside as the instance's root sees it, and by name; mode and owner of the listening one; its name goes with the device."""
    path = short / "s"
    root = f"/proc/{box.state()['pid']}/root"
    echo(f"{root}/run/there", own=True)
    box.sh("mkdir -p /srv; ln -sfn /run /srv/link")
    devices(box, x=proxy(f"unix:{path}", "unix:/srv/link/there", mode="0600", uid="7", gid="8"))
    st = path.stat()
    assert (st.st_mode & 0o777, st.st_uid, st.st_gid) == (0o600, 7, 8)
    assert ask(str(path), b"by path", socket.AF_UNIX) == b"BY PATH"
    devices(box)
    assert not path.exists()
    # the other way round, and by abstract names
    echo(str(short / "host"), at=None)
    devices(box, x=proxy("unix:/run/in", f"unix:{short}/host", bind="instance", mode="0666", uid="5"),
            y=proxy("unix:@lxm-test-in", f"unix:{short}/host", bind="guest"))
    assert box.sh("stat -c '%a %u %g' /run/in") == "666 5 0\n"
    assert ask(f"{root}/run/in", b"out", socket.AF_UNIX) == b"OUT"
    assert inside(box, lambda: ask("\0lxm-test-in", b"name", socket.AF_UNIX)) == b"NAME"
    devices(box)
    assert box.sh("ls /run/in 2>&1 || true").endswith("No such file or directory\n")


@pytest.mark.parametrize("kind", ["tcp", "unix"])
def test_from_streams_to_udp(box, echo, short, kind):
    echo(("127.0.0.1", 7005), kind=socket.SOCK_DGRAM)
    p = port()
    address = ("127.0.0.1", p) if kind == "tcp" else str(short / "u")
    devices(box, x=proxy(f"tcp:127.0.0.1:{p}" if kind == "tcp" else f"unix:{address}", "udp:127.0.0.1:7005"))
    with socket.socket(socket.AF_INET if kind == "tcp" else socket.AF_UNIX) as s:
        s.settimeout(10)
        s.connect(address)
        s.send(b"one")
        assert s.recv(100) == b"ONE"


def test_the_client_is_told_by_the_proxy_protocol(box, echo):
    server = echo(("127.0.0.1", 7006))
    p = port()
    devices(box, x=proxy(f"tcp:127.0.0.1:{p}", "tcp:127.0.0.1:7006", proxy_protocol="true"))
    with socket.create_connection(("127.0.0.1", p)) as s:
        mine = s.getsockname()[1]
        s.sendall(b"body")
        s.shutdown(socket.SHUT_WR)
        s.recv(1000)
    assert server.seen[0][1] == b"PROXY TCP4 127.0.0.1 127.0.0.1 %d %d\r\nbody" % (mine, p)


def test_who_the_process_is(box, echo):
    """No capability, nothing to see of the file system; root of nobody but the instance, or who security.uid says."""
    p = port()
    root = int(box.get()["config"]["volatile.idmap.base"])
    for more, uid in (({}, root), ({"security.uid": "1000", "security.gid": "1001"}, root + 1000)):
        devices(box, x=proxy(f"tcp:127.0.0.1:{p}", "tcp:127.0.0.1:1", **more))
        (pid,) = forwarders(box)
        status = dict(line.split(":\t", 1) for line in open(f"/proc/{pid}/status").read().splitlines() if ":\t" in line)
        assert status["Uid"].split() == [str(uid)] * 4
        assert {status[k] for k in ("CapEff", "CapPrm", "CapInh", "CapAmb")} == {"0" * 16}
        assert status["NoNewPrivs"] == "1" and status["Groups"].strip() == ""
        if not os.environ.get("LXM_BUILD", "").endswith("address"):
            assert status["Seccomp"] == "2"
        assert os.listdir(f"/proc/{pid}/root/") == []
    devices(box, x=proxy("tcp:127.0.0.1:7007", "tcp:127.0.0.1:1", bind="instance"))
    (pid,) = forwarders(box)
    assert os.stat(f"/proc/{pid}/root").st_mode & 0o777 == 0o555
    assert open(f"/proc/{pid}/status").read().count("65534") == 8
    assert box.sh("ps -o comm") .count("lxm-forward") == 0


@pytest.mark.host_only("turned away before anything reaches the kernel")
@pytest.mark.parametrize("listen,connect,more,text", [
    ("udp:127.0.0.1:53", "tcp:127.0.0.1:53", {}, "udp can only go on by udp"),
    ("udp:127.0.0.1:53", "unix:/x", {}, "udp can only go on by udp"),
    ("tcp:127.0.0.1:80", "tcp:127.0.0.1:80-81", {}, "same number"),
    ("unix:/x/y", "tcp:127.0.0.1:80-81", {}, "several ports"),
    ("tcp:127.0.0.1:1-2000", "tcp:127.0.0.1:80", {}, "1024"),
    ("tcp:127.0.0.1:80", "tcp:127.0.0.1:80", {"mode": "0600"}, "Unix socket"),
    ("unix:@name", "tcp:127.0.0.1:80", {"uid": "1"}, "Unix socket"),
    ("tcp:127.0.0.1:80", "udp:127.0.0.1:80", {"proxy_protocol": "true"}, "proxy_protocol"),
    ("tcp:127.0.0.1:80", "tcp:127.0.0.1:80", {"nat": "true", "bind": "instance"}, "bind=host"),
    ("tcp:127.0.0.1:80", "udp:127.0.0.1:80", {"nat": "true"}, "one kind"),
    ("tcp:127.0.0.1:80", "tcp:[::1]:80", {"nat": "true"}, "one kind"),
    ("tcp:127.0.0.1:80", "tcp:10.0.0.1:80", {"nat": "true"}, "ipv4.address"),
    ("tcp:localhost:80", "tcp:127.0.0.1:80", {}, "tcp:ADDRESS"),
    ("sctp:127.0.0.1:80", "tcp:127.0.0.1:80", {}, "tcp:ADDRESS"),
])
def test_what_makes_no_sense_is_refused(box, listen, connect, more, text):
    assert text in refused(box, x=proxy(listen, connect, **more))


def test_a_port_that_is_taken(box, instance, echo):
    """Nothing has changed after a refused change, and nothing is left of a refused start."""
    p = port()
    with listener(("127.0.0.1", p)):
        assert f"port {p}" in refused(box, ok=proxy("tcp:127.0.0.1:7100", "tcp:127.0.0.1:1", bind="instance"),
                                      web=proxy(f"tcp:127.0.0.1:{p}", "tcp:127.0.0.1:1"))
        assert not forwarders(box)
        other = instance(start=False, devices={"web": proxy(f"tcp:127.0.0.1:{p}", "tcp:127.0.0.1:1")})
        with pytest.raises(OperationFailed, match=f"device 'web'.*127.0.0.1 port {p}: Address already in use"):
            other.start()
        assert other.status == "Stopped" and not forwarders(other)
    other.start()
    assert len(forwarders(other)) == 1
    other.stop()
    assert not forwarders(other)


def test_a_reboot_has_a_new_network(box, echo):
    p = port()
    devices(box, web=proxy(f"tcp:127.0.0.1:{p}", "tcp:127.0.0.1:7008"))
    (before,) = forwarders(box)
    pid = box.state()["pid"]
    box.exec("reboot")
    wait_until(lambda: box.state()["pid"] not in (pid, 0, -1) and forwarders(box) not in ([], [before]))
    echo(("127.0.0.1", 7008))
    assert ask(("127.0.0.1", p), b"again") == b"AGAIN"


def test_a_dead_process_is_replaced(box, echo):
    echo(("127.0.0.1", 7009))
    p = port()
    devices(box, web=proxy(f"tcp:127.0.0.1:{p}", "tcp:127.0.0.1:7009"))
    (pid,) = forwarders(box)
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: forwarders(box) not in ([], [pid]))
    wait_until(lambda: not isinstance(error(lambda: ask(("127.0.0.1", p), b"x")), OSError))
    assert ask(("127.0.0.1", p), b"again") == b"AGAIN"


def test_restricted_projects_have_none(daemon, rest, box):
    name = "proxies"
    rest.change("POST", "projects", json={"name": name, "config": {"features.images": "false", "features.profiles": "false", "restricted": "true"}})
    try:
        body = {"name": "p1", "source": {"type": "none"}, "devices": {"web": proxy("tcp:127.0.0.1:9999", "tcp:127.0.0.1:1")}}
        with pytest.raises((OperationFailed, RestError), match="restricted.devices.proxy"):
            rest.change("POST", "instances", json=body, query={"project": name})
        rest.change("PATCH", f"projects/{name}", json={"config": {"restricted.devices.proxy": "allow"}})
        rest.change("POST", "instances", json=body, query={"project": name})
        rest.change("DELETE", "instances/p1", query={"project": name})
    finally:
        rest.delete(f"projects/{name}")


def test_nat(daemon, rest, box, instance, echo):
    """By the firewall: no process, and the server sees who calls; from the host, from the instance itself and from its neighbours."""
    net = next(n for n in rest.read("networks", query={"recursion": 1}) if n["managed"] and n["type"] == "bridge")
    gateway = net["config"]["ipv4.address"].split("/")[0]
    mine = ".".join([*gateway.split(".")[:3], "77"])
    other = instance(devices={"eth0": {"type": "nic", "network": net["name"], "name": "eth0", "ipv4.address": mine}})
    assert other.address() == mine
    server, far = echo((mine, 7020), at=other), echo((mine, 7021), at=other, kind=socket.SOCK_DGRAM)
    p = port()
    eth0 = other.get()["devices"]["eth0"]
    web = proxy(f"tcp:{gateway}:{p}-{p + 1}", f"tcp:{mine}:7020", nat="true")
    devices(other, eth0=eth0, web=web, dns=proxy(f"udp:0.0.0.0:{p}", "udp:0.0.0.0:7021", nat="true"))
    assert not forwarders(other)
    assert ask((gateway, p), b"host") == b"HOST" and ask((gateway, p + 1), b"host") == b"HOST"
    assert server.seen[0][0][0] == gateway  # the host itself, not a process on the way
    box.address()
    assert inside(box, lambda: ask((gateway, p), b"neighbour")) == b"NEIGHBOUR"
    assert inside(other, lambda: ask((gateway, p), b"self")) == b"SELF"
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.settimeout(10)
        s.connect((gateway, p))
        s.send(b"datagram")
        assert s.recv(100) == b"DATAGRAM" and far.seen
    # the translation follows the NIC's address, though the proxy itself stays as it is
    elsewhere = ".".join([*gateway.split(".")[:3], "78"])
    dns = proxy(f"udp:0.0.0.0:{p}", "udp:0.0.0.0:7021", nat="true")
    devices(other, eth0=eth0, dns=dns)
    devices(other, eth0={**eth0, "ipv4.address": elsewhere}, dns=dns)
    listed = subprocess.run(["nft", "list", "ruleset"], capture_output=True, text=True).stdout
    assert f"{elsewhere} ." in listed and f"{mine} ." not in listed
    devices(other, eth0=eth0, web=web, dns=dns)
    # a port leads to one place only
    assert "already" in refused(other, eth0=eth0, web=web, twice=proxy(f"tcp:{gateway}:{p + 1}", f"tcp:{mine}:1", nat="true"))
    assert ask((gateway, p), b"still") == b"STILL"
    devices(other, eth0=eth0)
    with pytest.raises(ConnectionRefusedError):
        ask((gateway, p))
    devices(other, eth0=eth0, web=web)
    for action, there in ((other.stop, False), (other.start, True), (other.stop, False)):
        action()
        listed = subprocess.run(["nft", "list", "ruleset"], capture_output=True, text=True).stdout
        assert (f"{mine} ." in listed) == there
