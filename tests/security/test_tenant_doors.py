"""What a tenant gets out of a single key that a provider loosened for its restricted project, and no more than that."""
import subprocess
from pathlib import Path

import pytest

from conftest import create
from harness import images
from harness.instance import fresh_name
from harness.rest import OperationFailed

ROOT = {"root": {"type": "disk", "path": "/", "pool": "default"}}
INTERCEPT = "security.syscalls.intercept."


class Fence:
    """A restricted project with loosened keys, and what a tenant tries in it."""

    def __init__(self, rest, image):
        self.rest, self.image, self.name = rest, image, fresh_name("fence")
        self.query = {"project": self.name}
        rest.change("POST", "projects", json={"name": self.name, "config": {
            "restricted": "true", "features.images": "false", "restricted.devices.proxy": "allow", "restricted.containers.nesting": "allow",
            "restricted.containers.interception": "allow"}})
        self.make("c")

    def loosen(self, **keys):
        self.rest.change("PATCH", f"projects/{self.name}", {"config": {"restricted." + k.replace("_", "."): v for k, v in keys.items()}})

    def outcome(self, method, path, body):
        """"" when it was done, else why not."""
        reply = self.rest.request(method, path, json=body, query=self.query)
        if reply.status >= 400:
            return reply.error
        try:
            if reply.status == 202:
                self.rest.wait(reply.json["operation"])
        except OperationFailed as e:
            return str(e)
        return ""

    def make(self, name, source=None, **body):
        body["devices"] = {**ROOT, **body.get("devices", {})}
        return self.outcome("POST", "instances", {"name": name, "source": source or {"type": "image", "alias": self.image}, **body})

    def by_every_verb(self, **what):
        """Tries to get it by each way in; the set of answers, "" among them where one was open."""
        answers = {"create": self.make("d", **what), "copy": self.make("d", {"type": "copy", "source": "c"}, **what),
                   "patch": self.outcome("PATCH", "instances/c", what),
                   "put": self.outcome("PUT", "instances/c", {**what, "devices": {**ROOT, **what.get("devices", {})}})}
        if self.outcome("POST", "profiles", {"name": "p", **what}) == "":
            answers["profile"] = self.outcome("PATCH", "instances/c", {"profiles": ["p"]})
            self.outcome("PATCH", "instances/c", {"profiles": []})
            self.rest.change("DELETE", "profiles/p", query=self.query)
        return answers

    def end(self):
        for inst in self.rest.read("instances", query={**self.query, "recursion": 1}):
            if inst["status"] != "Stopped":
                self.outcome("PUT", f"instances/{inst['name']}/state", {"action": "stop", "force": True})
            self.rest.change("DELETE", f"instances/{inst['name']}", query=self.query)
        self.rest.change("DELETE", f"projects/{self.name}")


@pytest.fixture
def fence(rest, image):
    it = Fence(rest, image)
    yield it
    it.end()


@pytest.mark.parametrize("kind", ["lxmd", "abstract", "made"])
def test_a_proxy_opens_no_socket_of_the_host(fence, daemon, tmp_path, kind):
    """lxmd's own socket makes whoever connects to it root of the host; so do those of other services, and names made at will."""
    device = {"type": "proxy", "bind": "instance", "listen": "unix:/tmp/api"}
    if kind == "made":
        device = {"type": "proxy", "listen": f"unix:{tmp_path}/socket", "connect": "tcp:127.0.0.1:80"}
    else:
        device["connect"] = f"unix:{daemon.dir}/unix.socket" if kind == "lxmd" else "unix:@/containerd-shim"
    answers = fence.by_every_verb(devices={"p": device})
    assert all("restricted.devices.disk" in a for a in answers.values()), answers
    assert not (tmp_path / "socket").exists()


def test_a_proxy_that_is_allowed_has_sockets_inside_and_ports(fence, tmp_path):
    for device in ({"listen": "tcp:127.0.0.1:9", "connect": "unix:/tmp/inside"}, {"bind": "instance", "listen": "unix:/tmp/x", "connect": "tcp:127.0.0.1:1"}):
        assert fence.outcome("PATCH", "instances/c", {"devices": {"p": {"type": "proxy", **device}}}) == "", device
        assert fence.outcome("PUT", "instances/c", {"devices": ROOT}) == ""
    fence.loosen(devices_disk="allow")
    assert fence.outcome("PATCH", "instances/c", {"devices": {"p": {
        "type": "proxy", "listen": f"unix:{tmp_path}/socket", "connect": "tcp:127.0.0.1:80"}}}) == ""


@pytest.mark.parametrize("listen", ["tcp:192.0.2.1:443", "udp:0.0.0.0:53"])
def test_a_proxy_takes_no_traffic_of_others(fence, rest, listen):
    """nat=true comes before the host's own services, and takes what its neighbours send through it to the world."""
    net = next(n for n in rest.read("networks", query={"recursion": 1}) if n["managed"] and n["type"] == "bridge")
    mine = net["config"]["ipv4.address"].rsplit(".", 1)[0] + ".78"
    kind, _, port = listen.split(":")
    devices = {"eth0": {"type": "nic", "network": net["name"], "ipv4.address": mine},
               "p": {"type": "proxy", "nat": "true", "listen": listen, "connect": f"{kind}:{mine}:{port}"}}
    answers = fence.by_every_verb(devices=devices)
    assert all("restricted.devices.nic" in a for a in answers.values()), answers
    fence.loosen(devices_nic="allow")
    assert fence.outcome("PATCH", "instances/c", {"devices": devices}) == ""


def test_real_time_is_not_among_what_interception_gives(fence):
    """No cgroup limit holds for SCHED_FIFO: who has it has the host's CPUs."""
    answers = fence.by_every_verb(config={INTERCEPT + "sched_setscheduler": "true"})
    assert all("restricted.containers.interception" in a for a in answers.values()), answers
    fence.loosen(containers_interception="full")
    assert fence.outcome("PATCH", "instances/c", {"config": {INTERCEPT + "sched_setscheduler": "true"}}) == ""


@pytest.mark.parametrize("config", [{INTERCEPT + "mknod": "true"}, {"security.privileged": "true"}], ids=["intercepted", "privileged"])
def test_the_console_of_the_host_does_not_open(instance, config):
    """The node can be made, as archives have it; behind it is a terminal of the host."""
    inst = instance(config=config)
    inst.sh("mknod /root/console c 5 1")
    for way in ("<", ">", "<>"):
        done = inst.exec("sh", "-c", f": {way} /root/console")
        assert done.code != 0 and b"not permitted" in done.err, (way, done)
    inst.sh("echo its own > /dev/console; : < /dev/null")


def test_a_nic_leaves_its_bridge_alone(own_daemon, busybox_tar):
    """A bridge would take the least MTU of all ports: 68 of one tenant end IPv6 and DHCP for all."""
    rest = own_daemon.rest
    images.import_image(rest, busybox_tar, "testimage")
    bridge = next(n["name"] for n in rest.read("networks", query={"recursion": 1}) if n["managed"])

    def look():
        addresses = subprocess.run(["ip", "-o", "addr", "show", "dev", bridge], capture_output=True, text=True, check=True).stdout
        return Path(f"/sys/class/net/{bridge}/mtu").read_text().strip(), "inet6 fd" in addresses

    before = look()
    assert before[0] == "1500"
    nic = {"type": "nic", "network": bridge, "mtu": "1000"}
    inst = create(own_daemon, "testimage", name="small", devices={"eth0": nic, "eth1": {**nic, "mtu": "9000"}})
    assert look() == before
    rest.change("PATCH", inst.path, {"devices": {"eth2": {**nic, "mtu": "68"}}})
    assert look() == before
    inst.stop().delete()
    assert look() == before
    rest.change("PATCH", f"networks/{bridge}", {"config": {"bridge.mtu": "1400"}})
    assert look() == ("1400", before[1])
