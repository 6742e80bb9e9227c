"""
CVE-2015-1335, CVE-2021-30465, CVE-2025-31133, CVE-2025-52565, CVE-2019-19921: an image whose /proc, /dev, /sys, /etc or
files to be written are links or odd things. A start is refused and says why, or all stays inside.
"""
import os

import pytest

from harness import images
from harness.daemon import SLOW
from harness.images import METADATA
from harness.rest import OperationFailed

HOST_MARK = "lxm-link-escape"
TARGETS = ["/", "../../../..", "/tmp", "/proc/self/root", "/nowhere"]


@pytest.fixture
def of_image(daemon, instance):
    """Factory: an instance, not started, of a busybox image with changes."""
    made = []

    def make(**kw):
        alias = f"links{len(made)}"
        made.append(images.import_image(daemon.rest, images.busybox_tar(**kw), alias))
        return instance(image=alias, start=False)

    yield make
    for inst in daemon.rest.read("instances", query={"recursion": 1}):
        if inst["config"].get("volatile.base_image") in made:
            if inst["status"] != "Stopped":
                daemon.rest.change("PUT", f"instances/{inst['name']}/state", {"action": "stop", "force": True})
            daemon.rest.change("DELETE", f"instances/{inst['name']}")
    for fingerprint in made:
        daemon.rest.change("DELETE", f"images/{fingerprint}")


@pytest.mark.parametrize("what", ["proc", "dev", "sys"])
def test_a_mount_target_that_is_a_link_is_refused_with_its_name(of_image, what):
    for target in TARGETS:
        inst = of_image(without=[f"rootfs/{what}"], extra=lambda t, at=target: t.link(f"rootfs/{what}", at))
        for _ in range(5 if SLOW < 10 else 2):  # the reason arrives whichever of the two processes is quicker
            with pytest.raises(OperationFailed, match=f"/{what}'"):
                inst.start()
        assert inst.status == "Stopped"


@pytest.mark.parametrize("target", TARGETS)
def test_an_etc_that_is_a_link_leads_nowhere_else(of_image, target):
    metadata = METADATA + f"  /etc/{HOST_MARK}:\n    when: [create]\n    template: hostname.tpl\n"
    inst = of_image(metadata=metadata, without=[n for n in etc_names()], extra=lambda t: t.link("rootfs/etc", target))
    try:
        inst.start()
    except OperationFailed:
        pass
    for place in ("/", "/tmp", "/etc"):
        assert not os.path.exists(os.path.join(place, HOST_MARK))


def etc_names():
    return ["rootfs/etc", "rootfs/etc/init.d", "rootfs/etc/udhcpc", "rootfs/etc/inittab", "rootfs/etc/init.d/rcS",
            "rootfs/etc/udhcpc/default.script", "rootfs/etc/passwd", "rootfs/etc/group"]


@pytest.mark.parametrize("path", ["/proc/sys/kernel/hostname", "/proc/self/attr/exec", "/proc/sysrq-trigger", "/dev/console",
                                  "/dev/null", "/proc/1/root/tmp/" + HOST_MARK, "/../../tmp/" + HOST_MARK])
def test_a_template_target_that_is_a_link_out_of_its_directory(of_image, path):
    """CVE-2025-52881: writes of the runtime redirected to /proc."""
    inst = of_image(extra=lambda t: t.link("rootfs/etc/hostname", path))
    try:
        inst.start()
    except OperationFailed as e:
        assert "/etc/hostname" in str(e)
    assert not os.path.exists("/tmp/" + HOST_MARK)
    with open("/proc/sys/kernel/hostname") as f:
        assert f.read().strip() != inst.name


def test_a_fifo_in_the_place_of_a_file_does_not_hang_the_start(of_image):
    inst = of_image(extra=lambda t: t.add("rootfs/etc/hostname", type=b"6"))
    with pytest.raises(OperationFailed, match="/etc/hostname"):
        inst.start(timeout=10)


def test_links_put_in_the_place_of_directories_between_two_starts(instance):
    """Root inside changes its own tree, then the host starts it again."""
    inst = instance()
    inst.sh("rm -rf /etc/init.d; ln -s /proc/1/root/tmp /etc/init.d; umount /dev/pts 2>/dev/null; ln -sf /proc/self/exe /sbin/init2;"
            "rm -f /etc/hostname; ln -s /dev/console /etc/hostname; true")
    inst.stop()
    try:
        inst.start()
    except OperationFailed as e:
        assert "/etc/hostname" in str(e)
