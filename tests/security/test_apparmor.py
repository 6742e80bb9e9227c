"""The AppArmor profile of instances, on a kernel that has it: who is under it, and what it refuses where nothing else would."""
import os
import signal
import subprocess

import pytest

from harness.instance import wait_until
from harness.rest import OperationFailed

POLICY = "/sys/kernel/security/apparmor"
here = os.access(f"{POLICY}/.replace", os.W_OK)
confined = pytest.mark.skipif(not here, reason="this kernel has no AppArmor")
PRIVILEGED = {"security.privileged": "true"}


def label(pid):
    with open(f"/proc/{pid}/attr/apparmor/current") as f:
        return f.read().strip()


def loaded():
    with open(f"{POLICY}/profiles") as f:
        return set(f.read().splitlines())


def children(pid):
    with open(f"/proc/{pid}/task/{pid}/children") as f:
        return [int(child) for child in f.read().split()]


def ids_of(pid):
    """Its numbers, from the host's pid namespace to its own."""
    with open(f"/proc/{pid}/status") as f:
        return next(line.split()[1:] for line in f if line.startswith("NSpid:"))


@confined
def test_init_and_exec_are_confined(rest, instance):
    assert rest.read("/1.0")["environment"]["kernel_features"]["apparmor"] == "true"
    one, two = instance(), instance(config={"security.nesting": "true"})
    assert label(one.pid).startswith("lxm-default-") and label(two.pid).startswith("lxm-default-nesting-")
    for inst in (one, two):
        assert label(inst.pid).endswith(" (enforce)") and label(inst.pid) in loaded()
        assert inst.sh("cat /proc/self/attr/apparmor/current").strip() == label(inst.pid)
        assert inst.exec("cat", "/proc/self/attr/apparmor/current", user=1000).out.decode().strip() == label(inst.pid)


@confined
def test_a_new_start_is_confined_as_well(instance):
    inst = instance()
    before = label(inst.pid)
    inst.restart()
    assert label(inst.pid) == before


@confined
@pytest.mark.parametrize("config", [{}, {"security.nesting": "true"}, PRIVILEGED], ids=["default", "nesting", "privileged"])
def test_nobody_leaves_the_profile(instance, config):
    inst = instance(config=config)
    for how, where in (("changeprofile", "current"), ("exec", "exec"), ("stack", "current")):
        done = inst.exec("sh", "-c", f"echo '{how} unconfined' > /proc/self/attr/apparmor/{where}")
        assert done.code != 0 and b"Permission denied" in done.err, (how, done)
    assert inst.sh("cat /proc/self/attr/apparmor/current").strip() == label(inst.pid)


@confined
@pytest.mark.parametrize("config", [{}, {"security.nesting": "true"}, PRIVILEGED], ids=["default", "nesting", "privileged"])
def test_filesystems_of_the_kernel_are_refused(instance, config):
    """EACCES is the profile's answer, EPERM would be the user namespace's."""
    inst = instance(config=config)
    for fs in ("securityfs", "debugfs", "tracefs", "configfs", "pstore", "devtmpfs"):
        done = inst.exec("mount", "-t", fs, "none", "/mnt")
        assert done.code != 0 and b"Permission denied" in done.err, (fs, done)
    inst.sh("mount -t tmpfs none /mnt && umount /mnt && mount --bind /root /mnt && mount -o remount,bind,ro /mnt && umount /mnt")


@confined
def test_switches_of_the_host_stay_shut_for_root_of_the_host(instance):
    """A privileged instance: what was put over these paths is taken away, and then the profile alone stands there."""
    inst = instance(config=PRIVILEGED)
    inst.sh("umount /proc/sysrq-trigger; umount /proc/sys/net; umount /proc/sys;"
            "while umount -l /sys/devices/system/cpu; do :; done;"  # lxcfs's view, and what lies there while no lxcfs runs
            "mount -o remount,rw /sys")
    paths = ["/proc/sys/kernel/core_pattern", "/proc/sys/kernel/modprobe", "/proc/sys/kernel/sysrq", "/proc/sys/kernel/dmesg_restrict",
             "/proc/sys/kernel/hung_task_panic", "/proc/sys/kernel/seccomp/actions_logged", "/proc/sys/vm/swappiness", "/proc/sys/fs/file-max",
             "/proc/sys/fs/mount-max", "/proc/sys/fs/protected_links", "/proc/sys/debug/exception-trace", "/proc/sysrq-trigger",
             "/sys/kernel/mm/transparent_hugepage/enabled", "/sys/module/apparmor/parameters/audit", "/sys/power/state", "/sys/devices/system/cpu/cpu1/online"]
    there = [p for p in paths if os.path.exists(p)]
    assert len(there) > 10
    for path in there:
        done = inst.exec("sh", "-c", f": >> {path}")
        assert done.code != 0 and b"Permission denied" in done.err, (path, done)
    for path in ("/proc/sys/kernel/hostname", "/proc/sys/kernel/shmmax", "/proc/sys/net/ipv4/ip_forward"):
        inst.sh(f"cat {path} > {path}")
    for fs in ("proc", "sysfs"):
        assert inst.exec("mount", "-t", fs, "none", "/mnt").code != 0
    assert inst.exec("mount", "--bind", "/proc/sys", "/mnt").code != 0


@confined
@pytest.mark.parametrize("config", [{}, PRIVILEGED], ids=["default", "privileged"])
def test_who_is_not_under_the_profile_is_not_touched(instance, config):
    """A process in the instance's namespaces, with its ids, but without its profile."""
    inst = instance(config=config)
    flags = ["-p", "-m"] if config else ["-p", "-m", "-U"]
    with subprocess.Popen(["nsenter", "-t", str(inst.pid), *flags, "/bin/busybox", "sleep", "1000"]) as nsenter:
        outside = wait_until(lambda: children(nsenter.pid))[0]
        try:
            pid = ids_of(outside)[-1]
            done = inst.exec("kill", "-9", pid)
            assert done.code != 0 and b"denied" in done.err, done
            assert inst.exec("cat", f"/proc/{pid}/environ").code != 0
            assert nsenter.poll() is None
        finally:
            os.kill(outside, signal.SIGKILL)
    own = inst.sh("sleep 1000 > /dev/null 2>&1 & echo $!").strip()
    inst.sh(f"cat /proc/{own}/environ && kill -9 {own}")


@confined
def test_raw_lines_hold_for_one_instance_and_go_with_it(rest, instance):
    inst, other = instance(config={"raw.apparmor": "  deny /root/secret rw,\n"}, start=False), instance()
    before = loaded()
    inst.start()
    own = label(inst.pid)
    assert loaded() - before == {own} and inst.name not in own
    for i in (inst, other):
        done = i.exec("sh", "-c", "echo x > /root/secret")
        assert (done.code == 0) == (i is other), done
    inst.restart()
    assert label(inst.pid) == own
    # it counts from the next start
    rest.change("PATCH", inst.path, {"config": {"raw.apparmor": ""}})
    assert inst.exec("sh", "-c", "echo x > /root/secret").code != 0
    inst.stop()
    assert loaded() == before
    inst.start()
    assert label(inst.pid) == label(other.pid)


@confined
@pytest.mark.parametrize("text", ["nonsense here\n", "}\nprofile x {\n  bogus\n", "  capability nothing,\n"])
def test_a_profile_that_cannot_be_loaded_is_no_start(rest, instance, text):
    before = loaded()
    inst = instance(config={"raw.apparmor": text}, start=False)
    with pytest.raises(OperationFailed, match="raw.apparmor"):
        inst.start()
    assert inst.status == "Stopped" and loaded() == before


@pytest.mark.skipif(here, reason="this kernel has AppArmor")
def test_without_apparmor_its_lines_are_not_ignored(rest, instance):
    assert rest.read("/1.0")["environment"]["kernel_features"]["apparmor"] == "false"
    inst = instance(config={"raw.apparmor": "  deny /root/secret rw,\n"}, start=False)
    with pytest.raises(OperationFailed, match="no AppArmor"):
        inst.start()
