"""kill -9 while the server's certificate is made or replaced: the next lxmd has a whole pair, and the same from then on."""
import random
import subprocess
import time

import pytest

from harness.daemon import SLOW, Daemon
from harness.tls import Certificate

pytestmark = pytest.mark.host_only("files of the server's certificate")


def is_pair(directory):
    """Do server.crt and server.key belong together?"""
    keys = [subprocess.run(["openssl", *argv], cwd=directory, capture_output=True, text=True).stdout
            for argv in (("x509", "-in", "server.crt", "-noout", "-pubkey"), ("pkey", "-in", "server.key", "-pubout"))]
    return keys[0] and keys[0] == keys[1]


def settled(daemon):
    assert is_pair(daemon.dir)
    assert not list(daemon.dir.glob("server.*.new*"))
    return daemon.rest.read("/1.0")["environment"]["certificate"]


def test_kill_9_while_the_first_certificate_is_made():
    for seed in range(12 if SLOW == 1 else 2):
        daemon = Daemon("id")
        try:
            daemon.proc = subprocess.Popen([daemon.bin("lxmd")], env=daemon.env(), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                           stderr=subprocess.DEVNULL)
            # in the time around the moment when the files appear
            end = time.monotonic() + 5
            while not list(daemon.dir.glob("server.*")) and time.monotonic() < end:
                pass
            time.sleep(random.Random(seed).uniform(0, 0.002))
            daemon.kill()
            daemon.start()
            first = settled(daemon)
            daemon.stop()
            daemon.start()
            assert settled(daemon) == first
        finally:
            assert not daemon.discard()


def test_every_cut_of_a_replacement_is_completed_or_forgotten(tmp_path):
    """The files as they are on disk after each step of a replacement."""
    daemon = Daemon("id")
    try:
        daemon.start()
        old_pem = settled(daemon)
        old = {name: (daemon.dir / name).read_text() for name in ("server.crt", "server.key")}
        new = Certificate(tmp_path, "new", extensions=["subjectAltName=DNS:new.example"])
        fresh = {"server.crt": new.pem, "server.key": new.key.read_text()}
        cuts = [({"server.crt.new": fresh["server.crt"]}, False),
                ({"server.crt.new": fresh["server.crt"], "server.key.new": fresh["server.key"]}, False),
                ({"server.crt.new": fresh["server.crt"], "server.key": fresh["server.key"]}, True),
                (fresh, True)]
        for files, completed in cuts:
            daemon.stop()
            for name, text in {**old, **files}.items():
                (daemon.dir / name).write_text(text)
            daemon.start()
            assert settled(daemon) == (new.pem if completed else old_pem)
    finally:
        assert not daemon.discard()


def test_a_pair_that_is_none_is_not_replaced_in_silence(tmp_path):
    daemon = Daemon("id")
    try:
        daemon.start()
        daemon.stop()
        key = (daemon.dir / "server.key").read_text()
        for broken in (Certificate(tmp_path, "x").key.read_text(), "", None):
            (daemon.dir / "server.key").unlink()
            if broken is not None:
                (daemon.dir / "server.key").write_text(broken)
            failed = daemon.run([daemon.bin("lxmd")])
            assert failed.code == 1 and "server.key" in failed.err
            (daemon.dir / "server.key").write_text(key)
        daemon.start()
        settled(daemon)
    finally:
        assert not daemon.discard()
