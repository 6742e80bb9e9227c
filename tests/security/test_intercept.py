"""System calls that lxm answers for an instance: each key by itself, nothing without it, and nothing more than it says."""
import os
import signal
import threading
import time

from conftest import create
from harness import images
from harness.probe import probe

KEY = "security.syscalls.intercept."
ALL = {KEY + key: "true" for key in ("mknod", "setxattr", "sysinfo", "sched_setscheduler")}


def servers(inst):
    """Pids of the processes that answer: the monitor's children beside init."""
    monitor = int(open(f"/proc/{inst.pid}/stat").read().rsplit(")", 1)[1].split()[1])
    with open(f"/proc/{monitor}/task/{monitor}/children") as f:
        return [pid for pid in map(int, f.read().split()) if pid != inst.pid]


def test_without_a_key_nothing_is_answered(instance):
    inst = instance()
    assert servers(inst) == []
    got = probe(inst, "intercept")
    for name in ("null", "null_at", "mem", "disk", "trusted_other", "opaque_tmpfs", "realtime", "leave_idle"):
        assert got[name] == "EPERM", (name, got)
    assert got["sysinfo"] == "ok" and got["fifo"] == "ok"


def test_each_answer_is_what_the_key_says_and_no_more(instance):
    inst = instance(config={**ALL, "limits.memory": "48MiB"})
    assert len(servers(inst)) == 1
    got = probe(inst, "intercept")
    want = {
        "null": "ok", "null_at": "ok", "null_again": "EEXIST", "null_nowhere": "ENOENT", "null_bad_path": "EFAULT", "null_bad_dir": "EBADF",
        "mem": "EPERM", "disk": "EPERM", "fifo": "ok", "tmpfs": "ok", "opaque_tmpfs": "ok", "opaque_fd": "ok", "trusted_other": "EPERM",
        "trusted_value": "EPERM", "trusted_proc": "EPERM", "user": "ok", "idle": "ok", "leave_idle": "ok", "init": "ok", "nobody": "ESRCH",
        "sysinfo": "ok", "sysinfo_limit": "ok", "sysinfo_bad": "EFAULT", "null_in_own_userns": "EPERM",
    }
    assert {name: got[name] for name in want} == want
    assert got["null_in_sys"] != "ok"
    if not os.path.exists("/sys/fs/cgroup/cpu/cpu.rt_runtime_us"):  # else the cgroup has no time for it
        assert (got["realtime"], got["is_realtime"]) == ("ok", "ok")
    # the node works, belongs to root inside and was made with the caller's umask
    assert inst.sh("echo x > /root/i-null; stat -c '%u %t %T %a' /root/i-null") == "0 1 3 644\n"
    # users of the instance have no part in it
    denied = inst.exec("mknod", "/tmp/nobodys", "c", "1", "3", user=65534)
    assert denied.code != 0 and b"not permitted" in denied.err
    # nor does root write where its rights end
    assert inst.exec("mknod", "/proc/1/null", "c", "1", "3").code != 0


def test_a_path_leads_nowhere_but_inside(instance, tmp_path):
    """The answering process has the host's rights: a link, a chroot or a directory of the host must not lead it astray."""
    inst = instance(config={KEY + "mknod": "true"}, devices={"host": {"type": "disk", "source": str(tmp_path), "path": "/mnt/host"}})
    inst.sh("mkdir -p /root/jail/bin; cp /bin/busybox /root/jail/bin/")
    inst.sh(f"ln -s {tmp_path} /root/out; ln -s /proc/1/root/root /root/jail/up")
    assert inst.exec("mknod", "/root/out/null", "c", "1", "3").code != 0
    # the host's directory is not the container's, whoever answers
    assert inst.exec("mknod", "/mnt/host/null", "c", "1", "3").code != 0
    assert os.listdir(tmp_path) == []
    # inside its chroot a process makes the node in its chroot
    assert inst.exec("chroot", "/root/jail", "/bin/busybox", "mknod", "/null", "c", "1", "3").code == 0
    assert inst.sh("ls /root/jail") == "bin\nnull\nup\n"
    assert inst.exec("test", "-e", "/null").code == 1
    assert inst.exec("chroot", "/root/jail", "/bin/busybox", "mknod", "/up/null", "c", "1", "3").code != 0


def test_a_privileged_instance_is_not_helped(instance):
    inst = instance(config={**ALL, "security.privileged": "true", "limits.memory": "48MiB"})
    got = probe(inst, "intercept")
    assert got["null"] == "ok" and got["sysinfo_limit"] == "ok"
    assert inst.exec("mknod", "/root/kmsg", "c", "1", "11").code == 0  # its own right; but no device of the host opens
    assert inst.exec("sh", "-c", "head -c1 /root/kmsg").code != 0


def test_when_the_answering_process_dies_nothing_hangs(instance):
    inst = instance(config=ALL)
    inst.sh("mknod /root/one c 1 3")
    os.kill(servers(inst)[0], signal.SIGKILL)
    done = inst.exec("mknod", "/root/two", "c", "1", "3")
    assert done.code != 0 and b"not implemented" in done.err, done
    assert inst.status == "Running"
    inst.restart()
    inst.sh("mknod /root/three c 1 3")


def test_it_survives_lxmd_and_a_reboot(own_daemon, busybox_tar):
    images.import_image(own_daemon.rest, busybox_tar, "testimage")
    inst = create(own_daemon, "testimage", name="i", config=ALL)
    own_daemon.kill()
    own_daemon.start()
    inst.sh("mknod /root/one c 1 3")
    pid = inst.pid
    inst.exec("reboot")
    end = time.monotonic() + 20
    while inst.state()["pid"] in (0, pid) and time.monotonic() < end:
        time.sleep(0.05)
    inst.sh("rm /root/one; mknod /root/one c 1 3")
    assert len(servers(inst)) == 1
    inst.stop().delete()


def test_many_calls_at_once_all_get_their_answers(instance):
    inst = instance(config={KEY + "mknod": "true", KEY + "sysinfo": "true"})
    script = "for i in $(seq 40); do mknod /root/$0-$i c 1 3 || exit 1; free >/dev/null || exit 1; done"
    codes = []
    threads = [threading.Thread(target=lambda n=n: codes.append(inst.exec("sh", "-c", script, str(n), timeout=60).code)) for n in range(6)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert codes == [0] * 6
    assert int(inst.sh("ls /root | wc -l")) == 240


def test_a_project_says_which(rest, instance):
    rest.change("POST", "projects", json={"name": "fenced", "config": {"restricted": "true", "features.images": "false"}})
    try:
        for value, key, refused in (("block", "mknod", True), ("allow", "mknod", False)):
            rest.change("PATCH", "projects/fenced", {"config": {"restricted.containers.interception": value}})
            reply = rest.request("POST", "instances", query={"project": "fenced"},
                                 json={"name": "x", "source": {"type": "none"}, "config": {KEY + key: "true"},
                                       "devices": {"root": {"type": "disk", "path": "/", "pool": "default"}}})
            assert (reply.status >= 400) == refused, reply
            if not refused:
                rest.wait(reply.json["operation"])
                rest.change("DELETE", "instances/x", query={"project": "fenced"})
    finally:
        rest.change("DELETE", "projects/fenced")
