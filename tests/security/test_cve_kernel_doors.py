"""Doors that led out of containers before: calls, filesystems and devices that root inside has no business with."""
import os

import pytest

from harness.probe import probe
from harness.rest import Exec


def test_denied_system_calls_by_every_door(instance):
    """Also by the 32-bit entry, whose numbers differ."""
    got = probe(instance(), "calls")
    assert not [name for name, result in got.items() if result == "ok"], got
    for name in ("open_by_handle_at", "kexec_load", "init_module"):
        assert got[name] == "ENOSYS"
        if "compat_" + name in got:
            assert got["compat_" + name] == "ENOSYS"


def test_filesystems_of_the_host_cannot_be_mounted(instance):
    got = probe(instance(), "mounts")
    got.pop("mem_node", None) if got.get("mem_node") == "EEXIST" else None
    assert not [name for name, result in got.items() if result == "ok"], got


@pytest.mark.parametrize("interactive", [False, True])
def test_an_exec_cannot_type_into_the_terminal_of_its_caller(daemon, instance, interactive):
    """Row 29, CVE-2016-10124: TIOCSTI reaches at most a terminal of the container's own."""
    inst = instance()
    probe(inst, "terminal")
    with Exec(daemon.rest, inst.name, ["sh", "-c", "tty; /root/probe terminal; readlink /proc/self/fd/0"], interactive=interactive) as ex:
        if not interactive:
            ex.eof()
        out, _ = ex.output()
        ex.wait()
    if interactive:
        assert b"/dev/pts/" in out
        assert os.stat(f"/proc/{inst.pid}/root/dev/pts").st_dev != os.stat("/dev/pts").st_dev
    else:
        assert b"ok" not in out


def test_cgroup_files_that_act_on_the_host_are_not_writable(instance):
    """CVE-2022-0492, CVE-2015-1344: release_agent, device rules, limits of its own directory."""
    inst = instance(config={"limits.memory": "64MiB", "limits.processes": "200"})
    out = inst.sh("""
        mkdir -p /cg; n=0
        for what in memory devices pids freezer cpu cpuset blkio none,name=systemd none,name=lxm; do
            mount -t cgroup -o $what x /cg 2>/dev/null || continue
            n=$((n+1))
            for f in release_agent devices.allow memory.limit_in_bytes pids.max cpuset.cpus notify_on_release; do
                [ -e /cg/$f ] && [ -w /cg/$f ] && { echo 1 > /cg/$f; } 2>/dev/null && echo wrote $what/$f
            done
            umount /cg
        done
        mount -t cgroup2 x /cg && for f in memory.max pids.max cpu.max; do
            [ -e /cg/$f ] && { echo max > /cg/$f; } 2>/dev/null && echo wrote v2/$f
        done
        echo tried $n""", timeout=30)
    assert "wrote" not in out, out
    assert "tried" in out


def test_a_parent_cgroup_cannot_be_entered(instance):
    """Row 29: a task moved as root into a directory above its own."""
    inst = instance()
    out = inst.sh("mkdir -p /cg; mount -t cgroup -o pids x /cg 2>/dev/null || mount -t cgroup2 x /cg; ls -d /cg/../*/lxm* 2>/dev/null; "
                  "cat /proc/1/cgroup")
    assert ".." not in out and "lxm." not in out, out
