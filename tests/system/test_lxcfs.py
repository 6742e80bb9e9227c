"""What an instance sees in /proc and /sys equals its limits, through an lxcfs that lxmd looks after."""
import os
import re
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest

from conftest import IMAGE, create
from harness import images
from harness.daemon import SLOW, Daemon
from harness.host import HostState
from harness.instance import wait_until

pytestmark = [
    pytest.mark.skipif(not shutil.which("lxcfs"), reason="lxcfs is not installed"),
    pytest.mark.skipif(not os.path.exists("/dev/fuse"), reason="the kernel has no FUSE"),
]

MIB = 1024
CPU = "/sys/devices/system/cpu"
# kB and counts; with `read`, as the C library does: sendfile(), which busybox's cat uses, believes a size that is half a second old
LOOK = f"""
grep MemTotal /proc/meminfo | tr -dc 0-9; echo
grep -c ^processor /proc/cpuinfo
grep -c '^cpu[0-9]' /proc/stat
nproc
read online < {CPU}/online; echo $online
"""


def meminfo(text, key):
    return int(re.search(rf"^{key}:\s+(\d+)", text, re.M)[1])


def host_memory():
    return meminfo(Path("/proc/meminfo").read_text(), "MemTotal")


def look(inst):
    """Memory in kB, processors as /proc/cpuinfo, /proc/stat and nproc count them, and how many are online."""
    *counts, online = inst.sh(LOOK).split()
    ends = [part.split("-") for part in online.split(",")]  # which ones they are is lxmd's to choose
    return (*map(int, counts), sum(int(e[-1]) - int(e[0]) + 1 for e in ends))


def cpus(n):
    return (n, n, n, n)


def limits(inst, **config):
    inst.rest.change("PATCH", inst.path, {"config": {"limits." + k: v for k, v in config.items()}})


def lxcfs_pid(daemon):
    path = daemon.dir / "run/lxcfs.pid"
    return int(wait_until(lambda: path.exists() and path.read_text().strip(), 5, lambda: "no pid file"))


def running(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def tops(daemon):
    """What is mounted on the view: the files of lxcfs."""
    text = Path("/proc/self/mountinfo").read_text()
    return re.findall(rf" {daemon.dir}/run/lxcfs/view/(\S+) .* fuse\.lxcfs ", text)


def warnings(daemon):
    return [w for w in daemon.rest.read("warnings", query={"recursion": 1}) if w["type"] == "LXCFS is not available"]


@pytest.fixture(scope="module")
def lxmd(busybox_tar):
    before = HostState()
    daemon = Daemon("lxcfs")
    try:
        daemon.start().init()
        images.import_image(daemon.rest, busybox_tar, IMAGE)
        wait_until(lambda: len(tops(daemon)) == 8, 10, lambda: "lxcfs did not come up")
        yield daemon
    finally:
        problems = daemon.end(before)
        assert not problems, "\n".join(problems)


@pytest.fixture(scope="module")
def small(lxmd):
    return create(lxmd, IMAGE, name="small", config={"limits.memory": "96MiB", "limits.cpu": "1"})


@pytest.fixture(scope="module")
def open_end(lxmd):
    return create(lxmd, IMAGE, name="open", config={"security.privileged": "true"})


@pytest.fixture
def lxmd_again(lxmd):
    """For tests that end it."""
    yield lxmd
    if not lxmd.alive():
        lxmd.proc = None
        lxmd.start()


# ---- values

def test_memory_and_processors_equal_the_limits(small):
    assert look(small) == (96 * MIB, *cpus(1))
    text = small.sh("cat /proc/meminfo")
    assert meminfo(text, "MemFree") <= meminfo(text, "MemAvailable") <= 96 * MIB
    used, free = map(int, re.match(r"Mem:\s*(\d+)K used, (\d+)K free", small.sh("top -b -n1")).groups())
    assert used + free == 96 * MIB


def test_uptime_load_and_swap_are_its_own(small):
    up = float(small.sh("cat /proc/uptime").split()[0])
    assert 0 <= up < float(Path("/proc/uptime").read_text().split()[0]) and up < 100 * SLOW
    assert float(small.sh("cat /proc/loadavg").split()[0]) < 5
    assert small.sh("cat /proc/swaps").splitlines()[0].startswith("Filename")
    assert small.sh("cat /proc/diskstats") is not None


def test_without_limits_it_sees_the_host(open_end):
    memory, *count = look(open_end)
    assert abs(memory - host_memory()) < 64
    assert tuple(count) == cpus(os.cpu_count())


@pytest.mark.skipif(os.cpu_count() < 2, reason="one processor")
def test_limits_change_live(small):
    limits(small, memory="160MiB", cpu="2")
    try:
        assert look(small) == (160 * MIB, *cpus(2))
    finally:
        limits(small, memory="96MiB", cpu="1")
    assert look(small) == (96 * MIB, *cpus(1))
    limits(small, memory="")
    assert abs(look(small)[0] - host_memory()) < 64
    limits(small, memory="96MiB")


def test_files_are_read_only_and_the_hosts_mounts_stay_out(lxmd, small, open_end):
    for inst in (small, open_end):
        mounts = inst.sh("cat /proc/self/mountinfo")
        lxcfs = [line.split() for line in mounts.splitlines() if "fuse.lxcfs" in line]
        assert {line[4] for line in lxcfs} == {CPU, *("/proc/" + f for f in ("cpuinfo", "diskstats", "loadavg", "meminfo", "stat", "swaps", "uptime"))}
        assert all("ro" in line[5].split(",") and "nosuid" in line[5] for line in lxcfs)
        assert "/run/lxcfs" not in mounts
        assert inst.exec("sh", "-c", f"echo 0 > {CPU}/cpu1/online").code != 0
    # and lxcfs's writable view of all cgroups lies nowhere on the host
    assert not os.listdir(lxmd.dir / "run/lxcfs/fs")


# ---- its death

@pytest.mark.alone
def test_killed_it_is_replaced_in_running_instances(lxmd, small, open_end):
    """Also in a mount namespace that was unshared inside, as services of systemd have them."""
    own = small.sh("unshare -m --propagation slave sh -c 'mount -t tmpfs none /mnt; exec sleep 1000' >/dev/null 2>&1 & echo $!").strip()
    inside = f"nsenter -t {own} -m head -n1 /proc/meminfo"
    wait_until(lambda: small.exec("sh", "-c", f"nsenter -t {own} -m grep -q ' /mnt ' /proc/mounts").code == 0, 10, lambda: "no namespace")
    layers = small.sh("grep -c fuse.lxcfs /proc/self/mountinfo")
    for _ in range(2):
        old = lxcfs_pid(lxmd)
        os.kill(old, signal.SIGKILL)
        killed = time.monotonic()
        wait_until(lambda: small.exec("grep", "-q", f" {96 * MIB} kB", "/proc/meminfo").code == 0 and lxcfs_pid(lxmd) != old, 1, lambda: "not replaced in time")
        assert time.monotonic() - killed < 1 * SLOW
        wait_until(lambda: len(tops(lxmd)) == 8, 1, lambda: "not all files")
        assert look(small) == (96 * MIB, *cpus(1))
        assert str(96 * MIB) in small.sh(inside)
        assert look(open_end)[1:] == cpus(os.cpu_count())
        # one layer each time, not one for each life
        assert sorted(tops(lxmd)) == sorted(set(tops(lxmd)))
        assert small.sh("grep -c fuse.lxcfs /proc/self/mountinfo") == layers
        time.sleep(0.2)
    small.exec("kill", own)
    assert not warnings(lxmd)


def test_it_outlives_lxmd(lxmd_again, small):
    pid = lxcfs_pid(lxmd_again)
    for end in (lxmd_again.stop, lxmd_again.kill):
        end()
        assert running(pid)
        lxmd_again.start()
        assert lxcfs_pid(lxmd_again) == pid
        assert look(small) == (96 * MIB, *cpus(1))
    # it is watched again
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: lxcfs_pid(lxmd_again) != pid and len(tops(lxmd_again)) == 8, 2, lambda: "not replaced")
    assert look(small) == (96 * MIB, *cpus(1))


def test_death_without_lxmd_is_healed_by_the_next(lxmd_again, small):
    lxmd_again.stop()
    os.kill(lxcfs_pid(lxmd_again), signal.SIGKILL)
    lxmd_again.start()
    wait_until(lambda: small.exec("grep", "-q", f" {96 * MIB} kB", "/proc/meminfo").code == 0, 2, lambda: "not healed")
    wait_until(lambda: len(tops(lxmd_again)) == 8, 2, lambda: "not all files")
    assert look(small) == (96 * MIB, *cpus(1))


def test_a_reboot_without_lxmd_keeps_it(lxmd_again, small):
    before = small.pid
    lxmd_again.stop()
    subprocess.run(["nsenter", "-t", str(before), "-m", "-u", "-i", "-p", "-U", "reboot"], check=False, capture_output=True)
    wait_until(lambda: not running(before), 10, lambda: "it did not reboot")
    lxmd_again.start()
    wait_until(lambda: small.status == "Running" and small.pid != before, 10, lambda: "it did not come back")
    assert look(small) == (96 * MIB, *cpus(1))


def test_a_hanging_one_holds_up_neither_lxmd_nor_starts(lxmd, small):
    pid = lxcfs_pid(lxmd)
    os.kill(pid, signal.SIGSTOP)
    try:
        other = create(lxmd, IMAGE, name="other", config={"limits.memory": "64MiB"})
        assert other.exec("true").code == 0
        assert other.rest.read("instances", query={"recursion": 2})
        other.stop()
    finally:
        os.kill(pid, signal.SIGCONT)
    other.start()
    assert look(other)[0] == 64 * MIB
    other.remove()
    assert lxcfs_pid(lxmd) == pid


# ---- none

def test_missing_is_a_warning_and_comes_live(lxmd_again, small):
    lxmd = lxmd_again
    lxmd.stop()
    os.kill(lxcfs_pid(lxmd), signal.SIGKILL)
    env = lxmd.env
    lxmd.env = lambda **more: env(LXMD_LXCFS="/nonexistent/lxcfs", **more)
    try:
        lxmd.start()
        wait_until(lambda: [w["status"] for w in warnings(lxmd)] == ["new"], 5, lambda: "no warning")
        assert "package lxcfs" in warnings(lxmd)[0]["last_message"]
        # the host's values, and no error
        assert abs(look(small)[0] - host_memory()) < 64
        small.restart()
        assert abs(look(small)[0] - host_memory()) < 64
        lxmd.stop()
    finally:
        lxmd.env = env
    lxmd.start()
    wait_until(lambda: len(tops(lxmd)) == 8, 5, lambda: "lxcfs did not come up")
    assert look(small) == (96 * MIB, *cpus(1))
    wait_until(lambda: [w["status"] for w in warnings(lxmd)] == ["resolved"], 5, lambda: "the warning stays")


def test_unwanted_leaves_nothing(lxmd_again, small):
    lxmd = lxmd_again
    pid = lxcfs_pid(lxmd)
    lxmd.stop()
    env = lxmd.env
    lxmd.env = lambda **more: env(LXMD_LXCFS="", **more)
    try:
        lxmd.start()
        wait_until(lambda: not running(pid), 5, lambda: "lxcfs goes on")
        assert str(lxmd.dir) not in Path("/proc/self/mountinfo").read_text()
        assert abs(look(small)[0] - host_memory()) < 64
        small.restart()
        assert "lxcfs" not in small.sh("cat /proc/self/mountinfo")
        lxmd.stop()
    finally:
        lxmd.env = env
    lxmd.start()
