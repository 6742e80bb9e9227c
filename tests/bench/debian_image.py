"""A Debian 12 image with systemd for both sides, built once by mmdebstrap and kept in build/cache."""
import io
import os
import subprocess
import sys
import tarfile
import tempfile
import time
from pathlib import Path

CACHE = Path(__file__).resolve().parents[2] / "build/cache/bench-debian-12.tar"
INCLUDE = "systemd-sysv,dbus,iproute2,netbase,systemd-resolved"
METADATA = """\
architecture: x86_64
creation_date: 1700000000
properties: {os: debian, release: bookworm, description: Debian 12 for the benchmark}
templates:
  /etc/hostname: {when: [create, copy], template: hostname.tpl}
"""
NETWORK = "[Match]\nName=eth0\n[Network]\nDHCP=ipv4\n"


def get():
    """The image as bytes, None where it cannot be built (no mmdebstrap, no mirror)."""
    if not CACHE.exists():
        CACHE.parent.mkdir(parents=True, exist_ok=True)
        print("building a Debian 12 image", flush=True)
        if not _build(CACHE):
            return None
    return CACHE.read_bytes()


def _build(path):
    with tempfile.TemporaryDirectory(prefix="lxm-bench-") as tmp:
        rootfs = os.path.join(tmp, "rootfs.tar")
        run = subprocess.run(["mmdebstrap", "--quiet", "--variant=minbase", f"--include={INCLUDE}", "bookworm", rootfs],
                             stdin=subprocess.DEVNULL)
        if run.returncode != 0:
            print("mmdebstrap failed: the Debian figure is left out", file=sys.stderr)
            return False
        part = path.with_suffix(".part")
        with tarfile.open(rootfs) as source, tarfile.open(part, "w", format=tarfile.PAX_FORMAT) as image:
            _add(image, "metadata.yaml", METADATA)
            _add(image, "templates/hostname.tpl", "{{ container.name }}\n")
            for member in source:
                if member.isdev():
                    continue
                data = source.extractfile(member) if member.isreg() else None
                member.name = os.path.normpath("rootfs/" + member.name)
                if member.islnk():
                    member.linkname = os.path.normpath("rootfs/" + member.linkname)
                image.addfile(member, data)
            _add(image, "rootfs/etc/systemd/network/eth0.network", NETWORK)
            wants = tarfile.TarInfo("rootfs/etc/systemd/system/multi-user.target.wants/systemd-networkd.service")
            wants.type, wants.linkname = tarfile.SYMTYPE, "/lib/systemd/system/systemd-networkd.service"
            image.addfile(wants)
        part.rename(path)
    return True


def _add(tar, name, text):
    info = tarfile.TarInfo(name)
    info.size, info.mtime, info.mode = len(text), int(time.time()), 0o644
    tar.addfile(info, io.BytesIO(text.encode()))


if __name__ == "__main__":
    get()
