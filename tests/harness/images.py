"""Small images made on the spot from busybox-static, good and bad ones."""
import io
import os
import subprocess
import tarfile
import time

BUSYBOX = "/bin/busybox"

INITTAB = """\
::sysinit:/etc/init.d/rcS
::ctrlaltdel:/bin/busybox reboot
::shutdown:/bin/busybox true
"""
RCS = """\
#!/bin/sh
hostname -F /etc/hostname 2>/dev/null
ip link set lo up
if [ -e /sys/class/net/eth0 ]; then
	ip link set eth0 up
	udhcpc -b -S -i eth0 -x hostname:$(hostname) >/dev/null 2>&1 &
fi
: > /run/booted
"""
UDHCPC = """\
#!/bin/sh
case "$1" in
deconfig) ip addr flush dev $interface ;;
bound|renew)
	ip addr add $ip/$mask dev $interface 2>/dev/null
	[ -z "$router" ] || ip route add default via $router 2>/dev/null
	: > /etc/resolv.conf
	for s in $dns; do echo "nameserver $s" >> /etc/resolv.conf; done ;;
esac
"""
METADATA = """\
architecture: x86_64
creation_date: 1700000000
properties:
  os: busybox
  release: test
  description: busybox of the system tests
templates:
  /etc/hostname:
    when:
      - create
      - copy
      - rename
    template: hostname.tpl
"""


class Tar:
    """A tar archive in the making; every entry can be as odd as a test wants it."""

    def __init__(self):
        self.without = ()  # names that add() leaves out
        self.buffer = io.BytesIO()
        self.tar = tarfile.open(fileobj=self.buffer, mode="w", format=tarfile.GNU_FORMAT)

    def add(self, name, data=b"", mode=0o644, **fields):
        if name in self.without:
            return self
        info = tarfile.TarInfo(name)
        info.mode = mode
        info.mtime = int(time.time())
        for key, value in fields.items():
            setattr(info, key, value)
        data = data.encode() if isinstance(data, str) else data
        info.size = len(data) if info.isreg() else 0
        self.tar.addfile(info, io.BytesIO(data) if info.isreg() else None)
        return self

    def dir(self, name, mode=0o755):
        return self.add(name, mode=mode, type=tarfile.DIRTYPE)

    def link(self, name, target):
        return self.add(name, mode=0o777, type=tarfile.SYMTYPE, linkname=target)

    def bytes(self):
        self.tar.close()
        return self.buffer.getvalue()


def busybox_tar(metadata=METADATA, init=True, extra=None, without=()):
    """Unified image as an uncompressed tar. `extra(tar)` adds entries before the end, also in place of those `without` names."""
    tar = Tar()
    tar.without = without
    tar.add("metadata.yaml", metadata)
    tar.dir("templates").add("templates/hostname.tpl", "{{ container.name }}\n")
    for name in ("", "/bin", "/sbin", "/usr", "/usr/bin", "/usr/sbin", "/etc", "/etc/init.d", "/etc/udhcpc", "/dev",
                 "/proc", "/sys", "/run", "/root", "/var", "/home", "/mnt", "/usr/share", "/usr/share/udhcpc"):
        tar.dir("rootfs" + name)
    tar.dir("rootfs/tmp", 0o1777)
    with open(BUSYBOX, "rb") as f:
        tar.add("rootfs/bin/busybox", f.read(), 0o755)
    applets = subprocess.run([BUSYBOX, "--list"], capture_output=True, text=True, check=True).stdout.split()
    for applet in applets:
        if applet not in ("busybox", "init"):
            tar.link(f"rootfs/bin/{applet}", "busybox")
    if init:
        tar.link("rootfs/sbin/init", "../bin/busybox")
    tar.add("rootfs/etc/inittab", INITTAB)
    tar.add("rootfs/etc/init.d/rcS", RCS, 0o755)
    tar.add("rootfs/usr/share/udhcpc/default.script", UDHCPC, 0o755)
    tar.add("rootfs/etc/udhcpc/default.script", UDHCPC, 0o755)
    tar.add("rootfs/etc/passwd", "root:x:0:0:root:/root:/bin/sh\nuser:x:1000:1000:user:/home:/bin/sh\n")
    tar.add("rootfs/etc/group", "root:x:0:\nuser:x:1000:\n")
    tar.without = ()
    if extra:
        extra(tar)
    return tar.bytes()


def compress(data, program):
    """data through gzip, xz, zstd or bzip2."""
    return subprocess.run([program, "-c"], input=data, capture_output=True, check=True).stdout


def import_image(rest, data, alias=None, public=False, timeout=120):
    """Uploads a unified image, waits, gives it an alias and returns its fingerprint."""
    op = rest.start_op("POST", "images", data=data, timeout=timeout,
                       headers={"Content-Type": "application/octet-stream", "X-LXD-filename": "test.tar",
                                "X-LXD-public": "true" if public else "false"})
    fingerprint = rest.wait(op, timeout)["metadata"]["fingerprint"]
    if alias:
        rest.change("POST", "images/aliases", {"name": alias, "target": fingerprint, "description": ""})
    return fingerprint


def have_busybox():
    return os.access(BUSYBOX, os.X_OK)
