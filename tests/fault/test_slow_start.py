"""lxmd can be ended politely while it starts, whatever its start waits for; instances live on."""
import os
import signal
import subprocess
import time
from contextlib import contextmanager

import pytest

from conftest import create
from harness import images
from harness.daemon import SLOW
from harness.instance import wait_until


def begin(daemon):
    """lxmd is on its way up; nobody waits for it to be ready."""
    with open(daemon.log, "ab") as log:
        return subprocess.Popen([daemon.bin("lxmd"), "--debug"], env=daemon.env(), stdin=subprocess.DEVNULL, stdout=log, stderr=log)


def waits_in_open(proc):
    """In a FIFO nobody writes to."""
    try:
        with open(f"/proc/{proc.pid}/wchan") as f:
            return f.read() in ("wait_for_partner", "fifo_open")
    except OSError:
        return False


@contextmanager
def hanging_start(daemon):
    """lxmd starts and waits for storage that does not answer: its process, the FIFO, and where the true file lies meanwhile."""
    cert, kept = daemon.dir / "server.crt", daemon.dir / "kept.crt"
    cert.rename(kept)
    os.mkfifo(cert)
    proc = begin(daemon)
    try:
        wait_until(lambda: waits_in_open(proc))
        yield proc, cert, kept
    finally:
        if proc.poll() is None:
            proc.kill()
            proc.wait()
        if kept.exists():
            kept.rename(cert)


@pytest.mark.parametrize("sign", [signal.SIGTERM, signal.SIGINT])
def test_a_start_that_hangs_ends_on_a_signal(own_daemon, busybox_tar, sign):
    images.import_image(own_daemon.rest, busybox_tar, "testimage")
    inst = create(own_daemon, "testimage", name="stays")
    pid = inst.pid
    own_daemon.stop()
    since = own_daemon.log.stat().st_size
    with hanging_start(own_daemon) as (proc, _, _):
        proc.send_signal(sign)
        assert proc.wait(10 * SLOW) == 0
    said = own_daemon.log_tail(since=since)
    assert f"ending on signal {int(sign)} while identity starts" in said, said
    own_daemon.start()
    assert inst.status == "Running" and inst.pid == pid


def test_a_start_that_goes_on_ends_after_the_part_at_work(own_daemon):
    """The part ends within its grace: what has been started goes down in order, nothing is left where it is."""
    own_daemon.stop()
    since = own_daemon.log.stat().st_size
    with hanging_start(own_daemon) as (proc, cert, kept):
        proc.send_signal(signal.SIGTERM)
        wait_until(lambda: "while identity starts" in own_daemon.log_tail(since=since))
        with open(cert, "wb") as fifo:
            text = kept.read_bytes()
            kept.rename(cert)  # for whoever opens it next
            fifo.write(text)
        assert proc.wait(10 * SLOW) == 0
    said = own_daemon.log_tail(since=since)
    assert "leaving without it" not in said and "start:" not in said and "is ready" not in said, said
    own_daemon.start()
