"""usb, unix-hotplug and gpu: by a sysfs of the test's own with numbers of harmless nodes, and by real devices where there are any."""
import os
import socket
import struct
from pathlib import Path

import pytest

from conftest import create
from harness import images
from harness.daemon import Daemon
from harness.host import HostState
from harness.instance import wait_until
from harness.rest import OperationFailed, RestError
from harness.sockets import inside

IMAGE = "testimage"


class Sys:
    """A sysfs in a directory. Devices have the numbers of nodes that every kernel has: /dev/null is 1:3, /dev/zero 1:5."""

    def __init__(self, top):
        self.top = top

    def write(self, path, **files):
        d = self.top / path
        d.mkdir(parents=True, exist_ok=True)
        for name, text in files.items():
            (d / name).write_text(f"{text}\n")
        return d

    def usb(self, name, vendor, product, bus, dev, number, serial=""):
        self.write(f"devices/usb/{name}", idVendor=vendor, idProduct=product, busnum=bus, devnum=dev, dev=number, serial=serial)
        self.link(f"bus/usb/devices/{name}", f"devices/usb/{name}")

    def driver(self, parent, name, number, devname, kind="char", subsystem="tty"):
        where = f"devices/usb/{parent}/{name}"
        self.write(where, uevent=f"MAJOR=1\nDEVNAME={devname}", dev=number)
        self.write(f"class/{subsystem}")
        self.link(f"{where}/subsystem", f"class/{subsystem}")
        self.link(f"dev/{kind}/{number}", where)

    def card(self, n, vendor, device, pci, **nodes):
        self.write(f"devices/pci/{pci}", vendor=f"0x{vendor}", device=f"0x{device}")
        for name, number in nodes.items():
            self.write(f"devices/pci/{pci}/drm/{name}", dev=number)
        self.link(f"devices/pci/{pci}/drm/card{n}/device", f"devices/pci/{pci}")
        self.link(f"class/drm/card{n}", f"devices/pci/{pci}/drm/card{n}")

    def link(self, path, to):
        (self.top / path).parent.mkdir(parents=True, exist_ok=True)
        (self.top / path).unlink(missing_ok=True)
        (self.top / path).symlink_to(os.path.relpath(self.top / to, (self.top / path).parent))

    def unplug(self, *links):
        for path in links:
            (self.top / path).unlink()


def tell():
    """Has the kernel tell that a device with a node has changed."""
    Path("/sys/class/mem/full/uevent").write_text("change")


def uevents():
    """A socket that hears what the kernel tells in its network namespace, and who said it."""
    ear = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 15)
    ear.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
    ear.settimeout(10)
    ear.bind((0, 1))
    return ear


@pytest.fixture(scope="module")
def sysfs(tmp_path_factory):
    s = Sys(tmp_path_factory.mktemp("sys"))
    s.usb("1-1", "046d", "c52b", 1, 2, "1:3", "A1")
    s.usb("1-2", "046d", "0825", 1, 3, "1:5")
    s.driver("1-1", "ttyUSB0", "1:7", "ttyUSB0")
    s.driver("1-2", "hid", "1:8", "usb/hiddev0")
    s.driver("1-2", "itself", "1:9", "bus/usb/001/003", subsystem="usb")
    s.card(0, "1af4", "1050", "0000:00:02.0", card0="1:3", renderD128="1:5")
    s.card(1, "8086", "9a49", "0000:00:03.0", card1="1:7")
    return s


@pytest.fixture(scope="module")
def box(sysfs, busybox_tar):
    before = HostState()
    daemon = Daemon("plug")
    plain = daemon.env
    daemon.env = lambda **more: plain(LXMD_SYSFS=str(sysfs.top), **more)
    try:
        daemon.start().init()
        images.import_image(daemon.rest, busybox_tar, IMAGE)
        yield create(daemon, IMAGE, name="plugged")
    finally:
        problems = daemon.end(before)
        assert not problems, "\n".join(problems)


def devices(inst, **wanted):
    """The instance's own devices become these."""
    now = inst.get()
    inst.rest.change("PUT", inst.path, json={k: now[k] for k in ("config", "profiles", "description")} | {"devices": wanted})


def nodes(inst):
    """path below /dev -> major:minor, mode, owner"""
    out = inst.sh("cd /dev; for f in $(find bus dri usb tty?* -type c 2>/dev/null | grep -v 'tty[0-9]*$'); do stat -c '%n %t:%T %a %u:%g' $f 2>/dev/null || true; done")
    return dict(line.split(" ", 1) for line in out.splitlines())


@pytest.fixture(autouse=True)
def clean(box):
    yield
    devices(box)
    assert nodes(box) == {}


USB1, USB2 = "bus/usb/001/002", "bus/usb/001/003"


@pytest.mark.host_only("which devices of a made-up sysfs are meant; that they come and go: below")
@pytest.mark.parametrize("want,found", [
    ({"vendorid": "046d"}, {USB1, USB2}),
    ({"vendorid": "046d", "productid": "0825"}, {USB2}),
    ({"serial": "A1"}, {USB1}),
    ({"busnum": "1", "devnum": "3"}, {USB2}),
    ({}, {USB1, USB2}),
    ({"vendorid": "ffff"}, set()),
])
def test_usb(box, want, found):
    devices(box, u={"type": "usb", **want})
    assert set(nodes(box)) == found


def test_usb_comes_with_the_start_and_is_its_owners(box):
    devices(box, u={"type": "usb", "productid": "c52b", "mode": "0640", "uid": "5", "gid": "6"})
    assert nodes(box) == {USB1: "1:3 640 5:6"}
    box.restart()
    assert nodes(box) == {USB1: "1:3 640 5:6"}


@pytest.mark.parametrize("taken", [USB1, USB2])
def test_of_several_nodes_all_come_or_none(box, taken):
    box.sh(f"mkdir -p /dev/{taken}")
    try:
        with pytest.raises((OperationFailed, RestError), match=taken):
            devices(box, u={"type": "usb", "vendorid": "046d"})
        assert nodes(box) == {}
    finally:
        box.sh(f"rmdir /dev/{taken}")


def test_owners_and_choice_of_each_type(box):
    """gid, mode, uid and what chooses the device: from a start on, changed while it runs, unset."""
    one = {"mode": "0640", "uid": "5", "gid": "6"}
    box.stop()
    devices(box, u={"type": "usb", "serial": "A1", **one}, h={"type": "unix-hotplug", "productid": "0825", **one},
            g={"type": "gpu", "pci": "0000:00:02.0", **one})
    box.start()
    at_start = nodes(box)
    assert at_start == {USB1: "1:3 640 5:6", "usb/hiddev0": "1:8 640 5:6", "dri/card0": "1:3 640 5:6", "dri/renderD128": "1:5 640 5:6"}
    two = {"mode": "0604", "uid": "7"}
    devices(box, u={"type": "usb", "busnum": "1", "devnum": "3", **two}, h={"type": "unix-hotplug", "productid": "c52b", **two},
            g={"type": "gpu", "vendorid": "8086", "productid": "9a49", **two})
    assert nodes(box) == {USB2: "1:5 604 7:0", "ttyUSB0": "1:7 604 7:0", "dri/card1": "1:7 604 7:0"}
    devices(box, u={"type": "usb"}, h={"type": "unix-hotplug", "vendorid": "046d"}, g={"type": "gpu"})
    assert {path: what.split(" ", 1)[1] for path, what in nodes(box).items()} == dict.fromkeys(
        (USB1, USB2, "ttyUSB0", "usb/hiddev0", "dri/card0", "dri/renderD128", "dri/card1"), "660 0:0")


def test_what_is_required_must_be_there(box):
    with pytest.raises((OperationFailed, RestError), match="required"):
        devices(box, u={"type": "usb", "vendorid": "ffff", "required": "true"})
    box.stop()
    devices(box, u={"type": "unix-hotplug", "vendorid": "ffff", "required": "true"})
    with pytest.raises(OperationFailed, match="device 'u'.*required"):
        box.start()
    devices(box)
    box.start()


@pytest.mark.parametrize("how", ["hot", "start", "adopted"])
def test_plugging_in_and_out(box, sysfs, how):
    box.stop() if how == "start" else None
    devices(box, u={"type": "usb", "vendorid": "1234"}, h={"type": "unix-hotplug", "vendorid": "1234"})
    box.start() if how == "start" else None
    if how == "adopted":
        box.daemon.kill()
        box.daemon.start()
    assert nodes(box) == {}
    sysfs.usb("1-4", "1234", "0001", 1, 9, "1:5")
    sysfs.driver("1-4", "line", "1:11", "ttyACM0")
    tell()
    wait_until(lambda: set(nodes(box)) == {"bus/usb/001/009", "ttyACM0"}, text=lambda: str(nodes(box)))
    sysfs.unplug("bus/usb/devices/1-4", "dev/char/1:11")
    tell()
    wait_until(lambda: nodes(box) == {}, text=lambda: str(nodes(box)))


def test_programs_inside_hear_of_it(box, sysfs):
    """As of devices of a host of their own: from root, in the kernel's words, when it comes and when it goes."""
    root = int(box.get()["config"]["volatile.idmap.base"])
    box.sh("rm -f /tmp/heard; (uevent sh -c 'echo $ACTION $DEVNAME $SUBSYSTEM >> /tmp/heard' > /dev/null 2>&1 &)"
           "; until grep -q '^[^ ]* *15 *[0-9]* *00000001' /proc/net/netlink; do sleep 0.02; done")
    with inside(box, uevents) as ear:
        def heard():
            text, ancillary, _, _ = ear.recvmsg(8192, 100)
            first, *rest = text.decode().rstrip("\0").split("\0")
            assert struct.unpack("iII", ancillary[0][2])[1] == root and rest[-1].startswith("SEQNUM=")
            return first, set(rest[:-1])

        sysfs.usb("1-5", "4321", "0001", 1, 10, "1:4")
        sysfs.write("devices/usb/1-5", uevent="MAJOR=1\nMINOR=4\nDEVNAME=bus/usb/001/010\nPRODUCT=4321/1/100")
        sysfs.write("class/usb")
        sysfs.link("devices/usb/1-5/subsystem", "class/usb")
        sysfs.link("dev/char/1:4", "devices/usb/1-5")
        sysfs.driver("1-5", "line", "1:11", "ttyACM7")
        usb = {"DEVPATH=/devices/usb/1-5", "SUBSYSTEM=usb", "MAJOR=1", "MINOR=4", "DEVNAME=bus/usb/001/010", "PRODUCT=4321/1/100"}
        tty = {"DEVPATH=/devices/usb/1-5/line", "SUBSYSTEM=tty", "MAJOR=1", "DEVNAME=ttyACM7"}
        want = {"u": {"type": "usb", "vendorid": "4321"}}
        devices(box, **want)
        assert heard() == ("add@/devices/usb/1-5", {"ACTION=add", *usb})
        want["h"] = {"type": "unix-hotplug", "vendorid": "4321"}
        devices(box, **want)
        assert heard() == ("add@/devices/usb/1-5/line", {"ACTION=add", *tty})
        # pulled out: sysfs knows it no more
        sysfs.unplug("bus/usb/devices/1-5", "dev/char/1:4", "dev/char/1:11")
        tell()
        assert sorted((heard() for _ in range(2)), key=lambda said: said[0]) == [
            ("remove@/devices/usb/1-5", {"ACTION=remove", *usb}), ("remove@/devices/usb/1-5/line", {"ACTION=remove", *tty})]
        sysfs.link("bus/usb/devices/1-5", "devices/usb/1-5")
        sysfs.link("dev/char/1:4", "devices/usb/1-5")
        tell()
        assert heard()[0] == "add@/devices/usb/1-5"
        devices(box)
        assert heard()[0] == "remove@/devices/usb/1-5"
    wait_until(lambda: box.sh("cat /tmp/heard").count("remove") == 3, text=lambda: box.sh("cat /tmp/heard"))
    assert "add bus/usb/001/010 usb\n" in box.sh("cat /tmp/heard; kill $(pidof uevent)")
    sysfs.unplug("bus/usb/devices/1-5", "dev/char/1:4")


@pytest.mark.host_only("which devices of a made-up sysfs are meant; that they come and go: below")
@pytest.mark.parametrize("want,found", [({"vendorid": "046d"}, {"ttyUSB0": "1:7", "usb/hiddev0": "1:8"}), ({"productid": "0825"}, {"usb/hiddev0": "1:8"})])
def test_unix_hotplug(box, want, found):
    devices(box, h={"type": "unix-hotplug", **want})
    assert {k: v.split()[0] for k, v in nodes(box).items()} == found


def test_hotplug_gives_disks_and_keeps_names_below_dev(box, sysfs):
    sysfs.driver("1-1", "disk", "7:201", "usbdisk0", kind="block", subsystem="block")
    sysfs.driver("1-1", "up", "1:10", "../up")
    sysfs.driver("1-1", "top", "1:11", "/top")
    try:
        devices(box, h={"type": "unix-hotplug", "productid": "c52b"})
        assert {k: v.split()[0] for k, v in nodes(box).items()} == {"ttyUSB0": "1:7"}
        assert box.sh("stat -c %t:%T:%F /dev/usbdisk0").strip() == "7:c9:block special file"
        assert box.exec("sh", "-c", "ls /up /top /dev/top").out == b""
    finally:
        sysfs.unplug("dev/block/7:201", "dev/char/1:10", "dev/char/1:11")


@pytest.mark.host_only("which devices of a made-up sysfs are meant; that they come and go: below")
@pytest.mark.parametrize("want,found", [
    ({}, {"dri/card0", "dri/renderD128", "dri/card1"}),
    ({"id": "1"}, {"dri/card1"}),
    ({"vendorid": "1af4"}, {"dri/card0", "dri/renderD128"}),
    ({"productid": "9a49"}, {"dri/card1"}),
    ({"pci": "0000:00:02.0"}, {"dri/card0", "dri/renderD128"}),
])
def test_gpu(box, want, found):
    devices(box, g={"type": "gpu", **want})
    assert set(nodes(box)) == found


@pytest.mark.host_only("turned away before anything reaches the kernel")
@pytest.mark.parametrize("device,text", [
    ({"type": "gpu", "id": "7"}, "no such device"),
    ({"type": "gpu", "gputype": "mdev", "mdev": "x"}, "gputype 'mdev' is not supported"),
    ({"type": "gpu", "gputype": "sriov"}, "gputype 'sriov' is not supported"),
    ({"type": "gpu", "mig.gi": "1"}, "'mig.gi' is not supported"),
    ({"type": "gpu", "id": "0", "pci": "0000:00:02.0"}, "give one"),
    ({"type": "unix-hotplug"}, "vendorid or productid"),
    ({"type": "tpm", "path": "/dev/tpm0"}, "tpm"),
    ({"type": "infiniband", "nictype": "physical", "parent": "ib0"}, "infiniband"),
    ({"type": "pci", "address": "0000:00:02.0"}, "virtual machines"),
])
def test_what_is_refused(box, device, text):
    with pytest.raises((OperationFailed, RestError), match=text):
        devices(box, d=device)


def test_nodes_that_appear_later(box, tmp_path):
    """unix-char with required=false: made by somebody else while the instance runs, remade with other numbers, removed."""
    source = tmp_path / "later"
    devices(box, d={"type": "unix-char", "source": str(source), "path": "/dev/ttyLATER", "required": "false", "mode": "0604", "uid": "3"})
    assert nodes(box) == {}
    os.mknod(source, 0o20600, os.makedev(1, 5))
    wait_until(lambda: nodes(box) == {"ttyLATER": "1:5 604 3:0"}, text=lambda: str(nodes(box)))
    assert box.sh("head -c 2 /dev/ttyLATER | wc -c").strip() == "2"
    source.unlink()
    wait_until(lambda: nodes(box) == {})
    os.mknod(source, 0o20600, os.makedev(1, 7))
    wait_until(lambda: nodes(box) == {"ttyLATER": "1:7 604 3:0"})


def test_real_usb_devices(instance):
    real = Path("/sys/bus/usb/devices")
    found = [d for d in real.iterdir() if (d / "idVendor").exists()] if real.exists() else []
    if not found:
        pytest.skip("this machine has no USB device")
    vendor = (found[0] / "idVendor").read_text().strip()
    inst = instance(devices={"u": {"type": "usb", "vendorid": vendor}})
    assert inst.sh("find /dev/bus/usb -type c | wc -l").strip() != "0"


def test_real_graphics_cards(instance):
    cards = [p for p in Path("/sys/class/drm").glob("card[0-9]*") if "-" not in p.name]
    if not cards:
        pytest.skip("this machine has no graphics card")
    inst = instance(devices={"g": {"type": "gpu"}})
    assert {c.name for c in cards} <= set(inst.sh("ls /dev/dri").split())
