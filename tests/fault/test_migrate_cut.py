"""kill -9 of either lxmd in the middle of a copy between them: nothing half-made stays, the source is as it was, a refreshed copy too."""
import subprocess

import pytest

from conftest import create
from harness import images
from harness.daemon import SLOW, Daemon
from harness.instance import Instance
from harness.move import Transfer, clean
from harness.rest import RestError


@pytest.fixture
def pair(busybox_tar):
    both = [Daemon("from"), Daemon("to")]
    try:
        for d in both:
            d.start().init()
        images.import_image(both[0].rest, busybox_tar, "img")
        yield both
    finally:
        problems = [p for d in both[::-1] for p in d.end()]
        assert not problems, "\n".join(problems)


def cut(a, b, victim, after, **keys):
    """A copy during which one of the two dies once so many bytes went by; both serve again afterwards."""
    t = Transfer(a, b, "c1", "c2", relay={"after": after, "on_byte": lambda r: victim.proc.kill()}, **keys)
    victim.proc.wait(20)
    victim.proc = None
    other, op = (b, t.sink) if victim is a else (a, t.source)
    done = other.rest.read(f"operations/{op['id']}/wait", query={"timeout": 30})
    t.relay.join()
    victim.start()
    return done


STOPPED = pytest.param(False, marks=pytest.mark.host_only("the same streams and the same kills as of a running one"), id="False")
# before, in the snapshot, in the instance
MOMENTS = (1, 4 << 20, 17 << 20, 24 << 20) if SLOW < 10 else (1, 4 << 20, 24 << 20)


@pytest.mark.parametrize("running", [STOPPED, True])
@pytest.mark.timeout(200)
def test_kill_either_side(pair, running):
    a, b = pair
    inst = create(a, "img", name="c1")
    inst.sh("dd if=/dev/urandom of=/root/big bs=1M count=12 2>/dev/null; echo one > /root/a; md5sum /root/* > /sum")
    a.rest.change("POST", f"{inst.path}/snapshots", json={"name": "s1"})
    if not running:
        inst.stop()
    for victim in (a, b):
        for after in MOMENTS:
            done = cut(a, b, victim, after)
            assert done["status"] == "Failure", done
            assert b.rest.read("instances") == [] and clean(b) == [] and clean(a) == []
            assert a.rest.read(f"{inst.path}/snapshots") == ["/1.0/instances/c1/snapshots/s1"]
            assert inst.status == ("Running" if running else "Stopped")
    # an earlier copy that is refreshed stays whole; what arrived whole may stay too
    Transfer(a, b, "c1", "c2").wait()
    (inst if running else inst.start()).sh("dd if=/dev/urandom of=/root/big2 bs=1M count=12 2>/dev/null; echo two > /root/a")
    if not running:
        inst.stop()
    for victim in (a, b):
        assert cut(a, b, victim, 6 << 20, sink={"refresh": True})["status"] == "Failure"
        assert clean(b) == [] and b.rest.read("instances/c2/snapshots") == ["/1.0/instances/c2/snapshots/s1"]
        copy = Instance(b, "c2").start()
        assert copy.sh("cat /root/a; cd /; md5sum -c /sum >/dev/null && echo right; ls /root/big2 2>/dev/null; true") == "one\nright\n"
        copy.stop()
    Transfer(a, b, "c1", "c2", sink={"refresh": True}).wait()
    assert Instance(b, "c2").start().sh("cat /root/a") == "two\n"


def test_a_full_disk_at_the_sink(pair, tmp_path):
    a, b = pair
    inst = create(a, "img", name="c1")
    inst.sh("dd if=/dev/urandom of=/root/big bs=1M count=20 2>/dev/null")
    inst.stop()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=12m", "none", tmp_path], check=True)
    try:
        (tmp_path / "pool").mkdir()
        b.rest.change("POST", "storage-pools", json={"name": "small", "driver": "dir", "config": {"source": str(tmp_path / "pool")}})
        errors = Transfer(a, b, "c1", "c2", body={"devices": {"root": {"type": "disk", "path": "/", "pool": "small"}}}).errors()
        assert "no space" in errors[0].lower() and "no space" in errors[1].lower()
        with pytest.raises(RestError):
            b.rest.read("instances/c2")
        b.rest.change("DELETE", "storage-pools/small")
    finally:
        subprocess.run(["umount", tmp_path], check=True)
    assert inst.start().sh("ls /root") == "big\n"
