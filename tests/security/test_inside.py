"""What a container sees and may do: the guarantees of doc/security.md, tried from inside."""
import os


def test_root_inside_is_nobody_outside(instance):
    inst = instance()
    start, host, size = (int(n) for n in inst.sh("cat /proc/self/uid_map").split()[:3])
    assert start == 0 and host >= 65536 and size >= 65536
    assert os.stat(f"/proc/{inst.pid}").st_uid == host


def test_two_instances_share_no_ids(instance):
    ranges = []
    for inst in (instance(), instance()):
        _, host, size = (int(n) for n in inst.sh("cat /proc/self/uid_map").split()[:3])
        ranges.append((host, host + size))
    ranges.sort()
    assert ranges[0][1] <= ranges[1][0], ranges


def test_namespaces_are_its_own(instance):
    inst = instance()
    for kind in ("user", "mnt", "pid", "net", "ipc", "uts", "cgroup"):
        assert os.readlink(f"/proc/{inst.pid}/ns/{kind}") != os.readlink(f"/proc/self/ns/{kind}"), kind


def test_nothing_of_the_root_is_mounted_on_the_host(daemon, instance):
    inst = instance()
    with open("/proc/self/mountinfo") as f:
        assert not [line for line in f if inst.name in line or f"{daemon.dir}/pools" in line]


def test_host_processes_and_files_are_out_of_sight(daemon, instance):
    inst = instance()
    # a process may end between ls reading its name and looking at it
    pids = [int(p) for p in inst.sh("ls /proc 2>/dev/null || true").split() if p.isdigit()]
    assert len(pids) < 20
    assert inst.exec("ls", f"/proc/1/root{daemon.dir}").code != 0


def test_dangerous_writes_are_refused(instance):
    inst = instance()
    for path in ("/proc/sys/kernel/core_pattern", "/proc/sysrq-trigger", "/proc/sys/kernel/modprobe",
                 "/sys/kernel/uevent_helper"):
        assert inst.exec("sh", "-c", f"echo x > {path}").code != 0, path


def test_block_devices_cannot_be_made(instance):
    inst = instance()
    inst.exec("mknod", "/root/disk", "b", "254", "0")
    assert inst.exec("sh", "-c", "dd if=/root/disk of=/dev/null count=1").code != 0


def test_capabilities_that_reach_the_host_are_gone(instance):
    inst = instance()
    bounding = int(inst.sh("grep CapBnd /proc/1/status").split()[1], 16)
    for name, number in (("sys_module", 16), ("sys_rawio", 17), ("sys_time", 25), ("mac_override", 32), ("mac_admin", 33)):
        assert not bounding & 1 << number, name


def test_seccomp_is_on(instance):
    assert instance().sh("grep ^Seccomp: /proc/1/status").split()[1] == "2"


def test_no_descriptor_of_the_host_comes_along(instance):
    """CVE-2024-21626, CVE-2016-9962: neither init nor an exec session inherits anything."""
    inst = instance()
    links = inst.sh("for f in /proc/self/fd/*; do readlink $f; done; true").split()
    assert all(link.startswith(("pipe:", "/proc", "socket:", "/dev/")) for link in links), links
    for fd in os.listdir(f"/proc/{inst.pid}/fd"):
        link = os.readlink(f"/proc/{inst.pid}/fd/{fd}")
        assert link.startswith(("/dev/", "pipe:", "socket:", "anon_inode:")) and "memfd" not in link, link


def test_the_runtime_cannot_be_reached_through_proc_exe(instance):
    """CVE-2019-5736: what runs before the exec is a sealed copy in memory, and no file of the host."""
    inst = instance()
    out = inst.sh("ls -l /proc/*/exe 2>/dev/null || true")
    assert "lxm-helper" not in out and "lxm-monitor" not in out and "lxmd" not in out


def test_newline_in_the_environment_adds_nothing(instance):
    """CVE-2026-23953."""
    inst = instance(config={"environment.A": "x"})
    assert "A=x" in inst.sh("cat /proc/1/environ | tr '\\0' '\\n'").splitlines()
    reply = inst.rest.patch(inst.path, {"config": {"environment.A": "x\nlxc.hook.pre-start=/bin/touch /tmp/lxm-owned"}})
    if reply.status == 200:
        inst.restart()
    assert not os.path.exists("/tmp/lxm-owned")


def test_release_agent_is_not_writable(instance):
    """CVE-2022-0492."""
    inst = instance()
    if inst.exec("sh", "-c", "mkdir -p /mnt/cg && mount -t cgroup -o memory x /mnt/cg").code == 0:
        assert inst.exec("sh", "-c", "echo /x > /mnt/cg/release_agent").code != 0


def test_its_terminals_are_counted_and_not_the_hosts_reserve(instance):
    """1024 in its own /dev/pts; a devpts mounted inside shares none of them with the host's, and its ptys count for the host's kernel.pty.max."""
    inst = instance()
    with open(f"/proc/{inst.pid}/mountinfo") as f:
        options = next(line.split(" - ")[1].split()[2] for line in f if " /dev/pts " in line)
    assert "max=1024" in options.split(",")
    seen = inst.sh("unshare -m sh -c 'mkdir -p /tmp/pts && mount -t devpts -o newinstance,ptmxmode=0666 devpts /tmp/pts && ls /tmp/pts'")
    assert seen.split() == ["ptmx"]
