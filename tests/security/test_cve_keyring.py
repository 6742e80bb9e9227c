"""lxmd's keys (a login's Kerberos ticket, a disk's key) are not for what it starts; see also row 27 of leaked descriptors."""
import subprocess
import sys

import pytest

from conftest import create
from harness import images
from harness.probe import probe

JOIN_AND_ADD = """
import ctypes, os, sys
libc = ctypes.CDLL(None, use_errno=True)
libc.syscall(250, 1, None)
assert libc.syscall(248, b"user", b"lxm-secret", b"x", 1, -3) > 0
os.execv(sys.argv[1], sys.argv[1:])
"""


@pytest.mark.alone
def test_no_key_of_lxmd_reaches_a_container(own_daemon, busybox_tar, monkeypatch):
    own_daemon.stop()
    real = subprocess.Popen
    monkeypatch.setattr(subprocess, "Popen", lambda argv, **kw: real([sys.executable, "-c", JOIN_AND_ADD, *argv], **kw)
                        if "--debug" in argv else real(argv, **kw))
    own_daemon.start()
    monkeypatch.undo()
    images.import_image(own_daemon.rest, busybox_tar, "testimage")
    inst = create(own_daemon, "testimage", name="keys")
    assert probe(inst, "keyring") == {"search": "ENOKEY", "request": "ENOKEY"}
    # over its quota of keys the container cannot be given a keyring of its own
    assert probe(inst, "fill") == {"fill": "EDQUOT"}
    assert probe(inst, "keyring")["search"] == "ENOKEY"
