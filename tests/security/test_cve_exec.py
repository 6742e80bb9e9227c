"""Rows 26, 27, 29: what an exec may be led to by the container or by its caller."""
import os

import pytest

from harness.instance import wait_until
from harness.probe import parse, put
from harness.rest import OperationFailed


@pytest.mark.parametrize("cwd", [f"/proc/self/fd/{n}" for n in range(3, 12)] + ["/proc/thread-self/fd/4", "/dev/fd/5"])
def test_working_directory_through_a_descriptor(shared, cwd):
    """CVE-2024-21626."""
    done = shared.exec("sh", "-c", "pwd; ls -a ../../../..", cwd=cwd)
    assert done.code == 126 and not done.out, done


@pytest.mark.parametrize("cwd", ["/proc/1/root", "/proc/self/root/../..", "/proc/1/cwd/../../../.."])
def test_working_directory_through_proc_stays_inside(shared, cwd):
    done = shared.exec("sh", "-c", "[ ! -e work ] && stat -c %d:%i .", cwd=cwd)
    assert done.out == shared.exec("stat", "-c", "%d:%i", "/").out, done


@pytest.mark.parametrize("program", ["/root/script", "/root/link", "/proc/self/exe", "/proc/self/fd/3", "/proc/self/fd/5"])
def test_the_helper_is_not_to_be_executed_from_inside(shared, program):
    """CVE-2019-5736: the first step of the overwrite is to run the runtime's own binary."""
    shared.sh("printf '#!/proc/self/exe\\n' > /root/script; chmod 755 /root/script; ln -sf /proc/self/exe /root/link")
    done = shared.exec(program, "exec")
    assert done.code in (126, 127) and not done.out, done


def test_what_is_about_to_execute_is_out_of_reach(instance):
    """CVE-2016-9962: the helper's process between entering and executing, held there by a working directory that never answers."""
    inst = instance()
    put(inst)
    inst.sh("(/root/probe window > /root/window 2>&1 &)")
    wait_until(lambda: inst.exec("test", "-e", "/root/ready").code == 0)
    # ends when the probe does, and its filesystem with it
    assert inst.exec("true", cwd="/root/stuck/x").code == 126
    got = parse(inst.sh("cat /root/window"))
    assert {name for name, result in got.items() if result == "ok"} == {"stuck", "ready", "is_the_helper", "pidfd"}, got
    assert set(got.values()) <= {"ok", "EACCES", "EPERM"} and len(got) == 21, got


def test_a_process_inside_never_sees_the_helper(instance):
    """The same without holding it: whoever looks fast sees the helper's name, but never its program, memory or descriptors."""
    inst = instance()
    inst.sh("""cat > /root/watch <<'X'
while :; do
    for p in /proc/[0-9]*; do
        # a process that executes meanwhile is the program, and may be looked at: only what names the helper counts
        case "$(readlink $p/exe $p/fd/* 2>/dev/null; cat $p/maps 2>/dev/null)" in *memfd*|*lxm*) echo $p >> /root/caught ;; esac
    done
done
X
        (sh /root/watch > /dev/null 2>&1 & echo $! > /root/pid)""")
    for _ in range(60):
        inst.exec("true")
    assert inst.sh("kill $(cat /root/pid); cat /root/caught 2>/dev/null; true") == ""


@pytest.mark.parametrize("body", [{"user": 65536}, {"group": 4000000}])
def test_ids_outside_of_the_map_are_refused(shared, body):
    assert shared.exec("id", **body).code == 126


def test_an_environment_cannot_reach_the_helper(instance):
    """CVE-2019-14271 in another dress: variables of the loader work for the program inside and for nothing before it."""
    inst = instance()
    inst.sh("echo x > /root/evil.so")
    done = inst.exec("sh", "-c", "id -u", environment={"LD_PRELOAD": "/root/evil.so", "GCONV_PATH": "/root", "LD_LIBRARY_PATH": "/root"})
    assert done.code == 0 and done.out == b"0\n"


def test_names_of_variables_are_checked(instance):
    inst = instance()
    for name in ("A=B", "", "A\nB", "A\0B"):
        try:
            done = inst.exec("env", environment={name: "x"})
        except (OperationFailed, AssertionError):
            continue
        assert b"B=x" not in done.out and done.code != 0
    assert not os.path.exists("/tmp/lxm-owned")
