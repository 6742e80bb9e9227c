"""raw.lxc, raw.seccomp, linux.sysctl.* and linux.kernel_modules: what they do inside and on the host, and what is refused."""
import os
import platform
import shutil
import subprocess

import pytest
from conftest import IMAGE, create
from harness import images
from harness.instance import fresh_name
from harness.rest import OperationFailed

RAW = """# as copied from elsewhere
lxc.sysctl.net.ipv4.ip_default_ttl = 77
lxc.prlimit.nofile = 333:444
 lxc.environment = GREETING=hello = world
lxc.cap.drop = sys_admin
lxc.cap.drop =
lxc.cap.drop = net_raw
lxc.cap.drop=sys_nice mknod
lxc.init.cmd = /root/first one two
"""


def bounding(text):
    """{what: capabilities left} of lines "CapBnd: ..."."""
    return int(text.split()[1], 16)


@pytest.fixture(scope="module")
def box(session_daemon, busybox_tar):
    if session_daemon.rest.get(f"images/aliases/{IMAGE}").status == 404:
        images.import_image(session_daemon.rest, busybox_tar, IMAGE)
    inst = create(session_daemon, IMAGE, name=fresh_name())
    yield inst
    inst.remove()


def put(inst, **config):
    """Another configuration for the next start; the answer."""
    body = inst.get()
    keep = {k: v for k, v in body["config"].items() if k.startswith(("volatile.", "image."))}
    return inst.rest.request("PUT", inst.path, json={**body, "config": {**keep, **config}})


def failure(inst, reply):
    """What an operation, or the answer itself, says went wrong."""
    if reply.status >= 400:
        return reply.json["error"]
    with pytest.raises(OperationFailed) as caught:
        inst.rest.wait(reply.json["operation"])
    return str(caught.value)


def test_translated_lines_have_their_effect(box):
    box.sh("printf '#!/bin/sh\\necho $0 $@ > /root/args\\nexec /sbin/init\\n' > /root/first; chmod 755 /root/first")
    before = box.sh("cat /proc/sys/net/ipv4/ip_default_ttl")
    box.rest.wait(put(box, **{"raw.lxc": RAW, "environment.GREETING": "other", "limits.kernel.nofile": "555"}).json["operation"])
    assert box.sh("cat /proc/sys/net/ipv4/ip_default_ttl") == before  # with its next start
    box.restart()
    assert box.sh("cat /proc/sys/net/ipv4/ip_default_ttl; cat /root/args; ulimit -Sn; ulimit -Hn; echo $GREETING").splitlines() == [
        "77", "/root/first one two", "333", "444", "hello = world"]
    assert "GREETING=hello = world" in box.sh("tr '\\0' '\\n' < /proc/1/environ").splitlines()
    for who in ("1", "self"):
        left = bounding(box.sh(f"grep CapBnd /proc/{who}/status"))
        assert [left >> cap & 1 for cap in (13, 23, 27, 21)] == [0, 0, 0, 1], who
    # unset again
    box.sh("rm /root/args")
    box.rest.wait(put(box).json["operation"])
    box.restart()
    assert box.sh("cat /proc/sys/net/ipv4/ip_default_ttl") == before and box.exec("test", "-e", "/root/args").code == 1
    assert bounding(box.sh("grep CapBnd /proc/1/status")) >> 13 & 1 == 1
    assert "GREETING" not in box.sh("env")


@pytest.mark.host_only("turned away before anything reaches the kernel")
@pytest.mark.parametrize("line,says", [
    ("lxc.apparmor.profile = unconfined", "raw.apparmor"),
    ("lxc.mount.entry = /etc mnt none bind 0 0", "type disk"),
    ("lxc.hook.pre-start = /bin/touch /tmp/pwned", "no program of the host"),
    ("lxc.cgroup2.devices.allow = a", "limits."),
    ("lxc.idmap = u 0 0 65536", "raw.idmap"),
    ("lxc.net.0.type = none", "type nic"),
    ("lxc.sysctl.kernel.core_pattern = |/bin/sh", "own namespaces"),
    ("lxc.prlimit.everything = 1", "everything"),
    ("lxc.environment = HOME", "NAME=VALUE"),
    ("lxc.environment = A B=1", "key name"),
    ("lxc.cap.drop = net_raw cap_all", "cap_all"),
    ("lxc.init.cmd = sh -c true", "absolute"),
    ("lxc.include = /etc/passwd", "no translation"),
    ("lxc.nonsense = 1", "no translation"),
    ("lxc.prlimit. = 1", "no translation"),
    ("nonsense", "KEY = VALUE"),
])
def test_any_other_line_is_refused_by_its_number(box, line, says):
    reply = put(box, **{"raw.lxc": "# first\nlxc.environment = FINE=1\n" + line})
    error = failure(box, reply)
    assert "line 3" in error and says in error
    assert "raw.lxc" not in box.get()["config"]


def test_sysctls_of_its_own_namespaces(box):
    host = open("/proc/sys/net/ipv4/ip_default_ttl").read()
    box.rest.wait(put(box, **{"linux.sysctl.net.ipv4.ip_default_ttl": "99", "linux.sysctl.fs.mqueue.msg_max": "12"}).json["operation"])
    box.restart()
    assert box.sh("cat /proc/sys/net/ipv4/ip_default_ttl /proc/sys/fs/mqueue/msg_max").split() == ["99", "12"]
    assert open("/proc/sys/net/ipv4/ip_default_ttl").read() == host
    for key in ("kernel.core_pattern", "kernel.panic", "vm.swappiness", "fs.file-max"):
        assert "own namespaces" in failure(box, put(box, **{"linux.sysctl." + key: "1"})), key
    # a value that the kernel does not take fails the start, by name
    box.rest.wait(put(box, **{"linux.sysctl.net.ipv4.ip_default_ttl": "100000"}).json["operation"])
    box.stop()
    reply = box.rest.request("PUT", box.path + "/state", json={"action": "start"})
    assert "ip_default_ttl" in failure(box, reply)
    box.rest.wait(put(box).json["operation"])
    box.start()
    assert box.sh("cat /proc/sys/net/ipv4/ip_default_ttl") == host


# ---- raw.seccomp
POLICY = """2
denylist
reject_force_umount  # as liblxc's own policy has it
[all]
open_by_handle_at errno 1
uname errno 38
mkdir errno 13
mkdirat errno 13
"""


def test_a_policy_of_its_own_is_all_there_is(box):
    intercept = "security.syscalls.intercept.mknod"
    box.rest.wait(put(box, **{"raw.seccomp": POLICY, "security.syscalls.deny": "sethostname", intercept: "true"}).json["operation"])
    box.restart()
    assert "Seccomp:\t2" in box.sh("grep Seccomp: /proc/1/status; hostname $(hostname)")  # the other key's list is not in force
    denied = box.exec("mkdir", "/root/denied")
    assert denied.code != 0 and b"Permission denied" in denied.err
    assert box.sh("uname") == "\n"  # busybox does not look at the error
    assert box.exec("mknod", "/root/null", "c", "1", "3").code != 0  # nor are calls answered
    assert "nodev" in box.sh("grep ' / ' /proc/mounts")  # so no nodes are honoured for their sake
    box.rest.wait(put(box).json["operation"])
    box.restart()
    box.sh("mkdir /root/denied; rmdir /root/denied; uname")


@pytest.mark.parametrize("policy,says", [
    ("denylist\nuname", "line 1"), ("2\ndenylist\nuname nonsense", "'nonsense'"), ("2\ndenylist\n\nno_such_call", "line 4"),
    ("2\ndenylist\nmknod notify", "nobody would answer"),
])
def test_a_bad_policy_changes_nothing(box, policy, says):
    error = failure(box, put(box, **{"raw.seccomp": policy}))
    assert "raw.seccomp" in error and says in error
    assert "raw.seccomp" not in box.get()["config"]


# ---- kernel modules
def test_modules_that_are_there_are_no_work(box):
    there = sorted(m for m in os.listdir("/sys/module") if m.replace("_", "").isalnum())[:2]
    box.rest.wait(put(box, **{"linux.kernel_modules": ", ".join(there)}).json["operation"])
    box.restart()
    box.rest.wait(put(box).json["operation"])


def test_a_module_that_is_nowhere_stops_start_and_change(box):
    reply = put(box, **{"linux.kernel_modules": "lxm-no-such-module"})  # it runs
    assert "lxm-no-such-module" in failure(box, reply)
    assert "linux.kernel_modules" not in box.get()["config"]
    box.stop()
    box.rest.wait(put(box, **{"linux.kernel_modules": "lxm-no-such-module"}).json["operation"])
    reply = box.rest.request("PUT", box.path + "/state", json={"action": "start"})
    assert "lxm-no-such-module" in failure(box, reply)
    box.rest.wait(put(box).json["operation"])
    box.start()
    for value in ("../x", "-r", "a b", "a;reboot", "a/b", "$(x)"):
        assert "not the name of a kernel module" in failure(box, put(box, **{"linux.kernel_modules": value})), value


def test_a_module_is_loaded(box):
    name = "dummy"
    if not shutil.which("modprobe") or not os.path.isdir(f"/lib/modules/{platform.release()}/kernel"):
        pytest.skip("no modules beside this kernel")
    was = os.path.isdir(f"/sys/module/{name}")
    subprocess.run(["modprobe", "-r", name], check=False)
    box.rest.wait(put(box, **{"linux.kernel_modules": name}).json["operation"])
    assert os.path.isdir(f"/sys/module/{name}")
    box.rest.wait(put(box).json["operation"])
    if not was:
        subprocess.run(["modprobe", "-r", name], check=False)
