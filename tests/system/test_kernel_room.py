"""Limits of the kernel: named before they are met. The host's own are only read; a full one is played in a mount namespace."""
import shutil
from pathlib import Path

import pytest

from conftest import IMAGE, create
from harness import images
from harness.daemon import Daemon
from harness.host import HostState

# the second /proc: the kernel lets nobody make one inside who sees none that is whole
FULL = """
mkdir -p "$LXMD_DIR/fake/proc" && cp /proc/sys/kernel/pty/max "$LXMD_DIR/fake/nr"
mount --make-rprivate / && mount -t proc proc "$LXMD_DIR/fake/proc" && mount --bind "$LXMD_DIR/fake/nr" /proc/sys/kernel/pty/nr && exec "$@"
"""


def test_print_only_raises(bare):
    done = bare.lxmd("init", "--sysctl=print", "--instances=500", check=True)
    lines = dict(line.split(" = ") for line in done.out.splitlines())
    for key, value in lines.items():
        assert int(value) > int(Path("/proc/sys", *key.split(".")).read_text().split()[0]), key
    assert not done.err
    assert not bare.rest.read("storage-pools")  # no set-up


@pytest.mark.parametrize("argv", [["--sysctl=other"], ["--sysctl=print", "--auto"], ["--instances=10"], ["--sysctl=print", "--instances=0"],
                                  ["--sysctl=print", "--instances=x"]])
def test_wrong_usage(bare, argv):
    done = bare.lxmd("init", *argv)
    assert done.code == 2 and "usage" in done.err


@pytest.mark.skipif(not shutil.which("unshare"), reason="no unshare")
def test_a_start_without_room_names_the_limit(busybox_tar):
    before = HostState()
    daemon = Daemon("room")
    daemon.prefix = ("unshare", "-m", "sh", "-c", FULL, "sh")
    try:
        daemon.start().init()
        images.import_image(daemon.rest, busybox_tar, IMAGE)
        inst = create(daemon, IMAGE, name="full", start=False)
        with pytest.raises(Exception, match=r"no terminals for another instance: kernel\.pty\.max is \d+, 1024 .* are in use: raise it with `sysctl -w kernel\.pty\.max=\d+`"):
            inst.start()
        assert inst.status == "Stopped"
        Path(daemon.dir, "fake/nr").write_text("0\n")
        inst.start()  # as soon as there is room
        inst.remove()
    finally:
        problems = daemon.end(before)
        assert not problems, "\n".join(problems)
