"""mount() answered for an instance: filesystems that a key lists, on block devices that it was given, and nothing else."""
import os
import shutil
import subprocess

import pytest
from conftest import IMAGE, create
from harness import images, probe
from harness.instance import fresh_name

KEY = "security.syscalls.intercept.mount"
MS_BIND, MS_RDONLY = 4096, 1
REFUSED = ("EPERM", "EACCES")  # by the kernel, or by AppArmor, which is asked first


def loop_device(path):
    """A free loop device with that file, or a skip."""
    run = subprocess.run(["losetup", "--find", "--show", path], capture_output=True, text=True)
    if run.returncode:
        pytest.skip(f"no loop device: {run.stderr.strip()}")
    return run.stdout.strip()


@pytest.fixture(scope="module")
def disks(tmp_path_factory):
    """Two ext4 filesystems on loop devices. On both root owns a file, a user another one, and a node is the first device's own."""
    if not shutil.which("mkfs.ext4") or "\text4" not in open("/proc/filesystems").read():
        pytest.skip("no ext4 here")
    made = []
    try:
        for name in ("given", "other"):
            path = tmp_path_factory.mktemp("disks") / name
            with open(path, "wb") as f:
                f.truncate(8 << 20)
            subprocess.run(["mkfs.ext4", "-q", "-O", "^has_journal", "-m", "0", "-e", "panic", path], check=True)
            commands = f"cd /\nmknod full c 1 7\nmknod kmsg c 1 11\nwrite /etc/hostname {name}\nwrite /etc/hostname users\nsif users uid 1000\nsif full mode 020666\nsif kmsg mode 020666\n"
            subprocess.run(["debugfs", "-w", "-f", "-", path], input=commands, text=True, check=True, capture_output=True)
            made.append(loop_device(path))
        yield made
    finally:
        for dev in made:
            subprocess.run(["losetup", "-d", dev], check=False)


@pytest.fixture(scope="module")
def inst(session_daemon, busybox_tar, disks):
    if session_daemon.rest.get(f"images/aliases/{IMAGE}").status == 404:
        images.import_image(session_daemon.rest, busybox_tar, IMAGE)
    inst = create(session_daemon, IMAGE, name=fresh_name(),
                  config={KEY: "true", KEY + ".allowed": "ext4"},
                  devices={"blk": {"type": "unix-block", "source": disks[0], "path": "/dev/blk"}})
    probe.put(inst)
    inst.sh("mkdir /mnt/a /mnt/b; cp /root/probe /bin/probe")
    yield inst
    inst.remove()


def mount(inst, source="/dev/blk", target="/mnt/a", fstype="ext4", flags=0, data=""):
    """ok, or the name of the error."""
    done = inst.exec("/root/probe", "mount", source, target, fstype, hex(flags), data)
    assert done.code == 0, done
    return probe.parse(done.out.decode())["mount"]


def patch(inst, **keys):
    inst.rest.change("PATCH", inst.path, {"config": {KEY + "." + k: v for k, v in keys.items()}})


def test_a_listed_filesystem_on_a_given_device(inst):
    assert mount(inst) == "ok"
    try:
        assert inst.sh("stat -c '%u' /mnt/a/given /mnt/a/users").split() == ["65534", "65534"]  # ids of the host, without shift
        line = inst.sh("grep ' /mnt/a ' /proc/mounts")
        assert " ext4 " in line and "nodev" in line and "nosuid" in line
        assert "errors=remount-ro" in line  # whatever its superblock asks for
        assert not os.path.exists("/mnt/a/given")
        assert " /mnt/a " not in open("/proc/mounts").read()
    finally:
        inst.sh("umount /mnt/a")


def test_shifted_ids_are_the_instances_own(inst):
    patch(inst, shift="true")
    try:
        assert mount(inst) == "ok"
        assert inst.sh("stat -c '%u' /mnt/a/given /mnt/a/users").split() == ["0", "1000"]
        inst.sh("echo x > /mnt/a/new; chown 5:6 /mnt/a/new")
        assert inst.sh("stat -c '%u %g' /mnt/a/new") == "5 6\n"
        inst.sh("umount /mnt/a")
        assert mount(inst, flags=MS_RDONLY) == "ok"
        assert inst.exec("touch", "/mnt/a/new").code != 0
        inst.sh("umount /mnt/a")
    finally:
        patch(inst, shift="")


def test_no_node_of_such_a_filesystem_opens_the_host(inst):
    """Root inside may take nodev away again: the device rules of its cgroup stay."""
    patch(inst, shift="true")
    try:
        assert mount(inst) == "ok"
        assert inst.exec("head", "-c1", "/mnt/a/full").code != 0
        inst.exec("mount", "-o", "remount,bind,dev", "/mnt/a")
        assert inst.exec("head", "-c1", "/mnt/a/kmsg").code != 0
        inst.exec("umount", "/mnt/a")
    finally:
        patch(inst, shift="")


def test_what_is_not_listed_is_the_kernels_to_refuse(inst):
    assert mount(inst, fstype="ext2") in REFUSED
    assert mount(inst, fstype="proc", source="proc") == "ok"  # an instance may have its own
    inst.sh("umount /mnt/a")
    assert mount(inst, fstype="debugfs", source="none") in REFUSED
    assert mount(inst, source="/mnt/b", fstype="none", flags=MS_BIND) == "ok"
    inst.sh("umount /mnt/a")
    for value in ("debugfs", "ext4,overlay", "nfs", "fuse", "ext4 xfs", "../ext4"):
        assert inst.rest.request("PATCH", inst.path, json={"config": {KEY + ".allowed": value}}).status == 400, value


def test_no_device_but_those_given(inst, disks):
    assert mount(inst, source=disks[1]) == "ENOENT"
    assert mount(inst, source="/dev/null") == "ENOTBLK"
    assert mount(inst, source="/root/probe") == "ENOTBLK"
    assert mount(inst, source="/nowhere") == "ENOENT"
    # nor by a path of the host's
    assert mount(inst, data=f"journal_path={disks[1]}") == "EINVAL"
    assert mount(inst, data=f"source={disks[1]}") == "EINVAL"
    assert mount(inst, data="nonsense") == "EINVAL"
    assert mount(inst, data="errors=panic") == "EINVAL"
    assert mount(inst, data="x" * 5000) == "EINVAL"


def test_no_device_that_only_the_filesystem_names(inst, disks, tmp_path):
    """A journal on another device, by its number in the superblock or in an option: the kernel opens it within the device rules."""
    made = []
    try:
        for name in ("journal", "data"):
            with open(tmp_path / name, "wb") as f:
                f.truncate(8 << 20)
            made.append(loop_device(tmp_path / name))
        subprocess.run(["mke2fs", "-q", "-F", "-b", "1024", "-O", "journal_dev", made[0]], check=True)
        subprocess.run(["mkfs.ext4", "-q", "-F", "-b", "1024", "-J", f"device={made[0]}", made[1]], check=True)
        data = {"type": "unix-block", "source": made[1], "path": "/dev/data"}
        journal = {"type": "unix-block", "source": made[0], "path": "/dev/journal"}
        before = inst.get()
        option = f"journal_dev={hex(os.stat(made[0]).st_rdev)}"
        for given, want in (({"data": data}, False), ({"data": data, "journal": journal}, True)):
            inst.stop()
            inst.rest.change("PUT", inst.path, json={**before, "devices": {**before["devices"], **given}})
            inst.start()
            probe.put(inst)
            for options in ("", option):
                assert (mount(inst, source="/dev/data", data=options) == "ok") == want, (given, options)
                inst.exec("umount", "/mnt/a")
    finally:
        inst.stop()
        inst.rest.change("PUT", inst.path, json=before)
        inst.start()
        probe.put(inst)
        for dev in made:
            subprocess.run(["losetup", "-d", dev], check=False)


def test_what_may_only_be_read_is_mounted_to_be_read(inst):
    """The node's owner is nobody of the instance: root inside has the rights of others."""
    node = f"/proc/{inst.pid}/root/dev/blk"
    was = os.stat(node)
    os.chown(node, 0, 0)
    os.chmod(node, 0o644)
    try:
        assert mount(inst) == "EACCES"
        assert mount(inst, flags=MS_RDONLY) == "ok"
        inst.sh("umount /mnt/a")
    finally:
        os.chown(node, was.st_uid, was.st_gid)
        os.chmod(node, was.st_mode & 0o7777)


def test_tricks_with_flags_and_links(inst, disks):
    assert mount(inst, flags=1 << 31) == "EINVAL"  # MS_NOUSER, the kernel's own
    assert mount(inst, flags=0xC0ED0000) == "EPERM"  # the magic of old looks like other calls: the kernel's affair
    assert mount(inst, data="rw", flags=MS_RDONLY) == "ok"
    assert inst.exec("touch", "/mnt/a/no").code != 0 and "ro," in inst.sh("grep ' /mnt/a ' /proc/mounts")
    inst.sh("umount /mnt/a")
    # a link is followed inside the instance, wherever it seems to lead
    inst.sh(f"ln -s {disks[1]} /root/link; ln -s /dev/blk /root/good; ln -s /mnt/b /root/place")
    assert mount(inst, source="/root/link") == "ENOENT"
    assert mount(inst, source="/proc/1/root/dev/blk", target="/root/place") == "ok"
    assert inst.sh("cat /mnt/b/given; umount /mnt/b")
    assert mount(inst, target="/proc/1/cwd/../../mnt/b", source="/root/good") == "ok"
    inst.sh("umount /mnt/b")
    assert mount(inst, target="/root/probe") == "ENOTDIR"
    assert mount(inst, target="/nowhere") == "ENOENT"
    # in its chroot a process mounts in its chroot
    inst.sh("mkdir -p /root/jail/mnt /root/jail/dev /root/jail/root; cp /root/probe /root/jail/root; mount -o bind /dev /root/jail/dev")
    done = inst.exec("chroot", "/root/jail", "/root/probe", "mount", "/dev/blk", "/mnt", "ext4", "0", "")
    assert b"mount ok" in done.out
    assert inst.sh("ls /root/jail/mnt/given; umount /root/jail/mnt /root/jail/dev")


def test_a_source_that_changes_places(inst, disks):
    """Whichever of the two the call meets, what is mounted is the given device or nothing."""
    done = inst.sh("""(while :; do ln -sfn /dev/blk /root/s; ln -sfn /dev/null /root/s; done) & p=$!
        for i in $(seq 30); do probe mount /root/s /mnt/a ext4 0 '' | grep -q 'mount ok' && { cat /proc/mounts | grep ' /mnt/a '; umount /mnt/a; }; done; kill $p""")
    for line in done.splitlines():
        assert line.split()[2] == "ext4"
    assert inst.exec("test", "-e", "/mnt/a/given").code == 1


def test_a_program_of_its_own_does_it(inst):
    """It runs inside as root of the instance, bound by all that binds its processes, and by nothing of the host's."""
    patch(inst, allowed="", fuse="ext4=testfuse,xfs=nothere,btrfs=failing")
    inst.sh("""cat > /bin/testfuse << 'EOF'
#!/bin/sh
{ echo "$@"; id -u; grep -E '^(CapBnd|Seccomp):' /proc/self/status; for n in user pid mnt net; do readlink /proc/self/ns/$n; done
sort /proc/self/cgroup | md5sum; ls /proc/self/fd | wc -l; } > /root/told
mount -t tmpfs byfuse "$2"
EOF
printf '#!/bin/sh\nexit 3\n' > /bin/failing
chmod 755 /bin/testfuse /bin/failing""")
    try:
        assert mount(inst, data="a=/b,c", flags=MS_RDONLY) == "ok"
        assert "byfuse /mnt/a tmpfs" in inst.sh("cat /proc/mounts")
        inst.sh("umount /mnt/a")
        told = inst.sh("cat /root/told").splitlines()
        mine = inst.sh("grep -E '^(CapBnd|Seccomp):' /proc/self/status; for n in user pid mnt net; do readlink /proc/self/ns/$n; done; sort /proc/self/cgroup | md5sum").splitlines()
        assert told[:2] == ["/dev/blk /mnt/a -o ro,a=/b,c", "0"]
        assert told[2:9] == mine and told[3] == "Seccomp:\t2"
        assert int(told[9]) <= 5  # descriptors
        assert mount(inst, fstype="xfs") == "ENOENT"
        assert mount(inst, fstype="btrfs") == "EINVAL"
        assert mount(inst, source="-h") == "EINVAL"
        for value in ("ext4", "ext4=/bin/sh", "ext4=a b", "ext4=", "proc=x", "ext4=../x"):
            assert inst.rest.request("PATCH", inst.path, json={"config": {KEY + ".fuse": value}}).status == 400, value
    finally:
        patch(inst, allowed="ext4", fuse="")


def test_a_program_without_dev_null_has_no_descriptor_of_the_host(inst):
    """Else its standard error is the monitor's log: to fill, to cut, to forge."""
    patch(inst, allowed="", fuse="ext4=fdfuse")
    inst.sh("""cat > /bin/fdfuse << 'EOF'
#!/bin/sh
echo forged >&2
for n in 0 1 2; do echo "$n $(readlink /proc/$$/fd/$n)"; done > /root/fds
EOF
chmod 755 /bin/fdfuse; mv /dev/null /dev/moved""")
    try:
        assert mount(inst) == "ok"
        seen = inst.sh("sed 's,/root/fds,,; s,/bin/fdfuse,,' /root/fds").splitlines()
        assert [line[0] for line in seen] == ["0", "1", "2"] and not any("/" in line for line in seen), seen
    finally:
        inst.sh("mv /dev/moved /dev/null; rm -f /bin/fdfuse")
        patch(inst, allowed="ext4", fuse="")
    logs = inst.rest.read(inst.path + "/logs")
    assert all("forged" not in inst.rest.get(log).body.decode() for log in logs)


def test_users_and_own_namespaces_have_no_part(inst):
    assert inst.exec("/bin/probe", "mount", "/dev/blk", "/mnt/a", "ext4", "0", "", user=65534).out == b"mount 1\n"
    done = inst.exec("unshare", "-U", "-r", "/bin/probe", "mount", "/dev/blk", "/mnt/a", "ext4", "0", "")
    assert b"mount ok" not in done.out


def test_without_the_key_nothing_is_mounted(inst):
    patch(inst, allowed="")
    assert mount(inst) == "EPERM"
    patch(inst, allowed="ext4")
    assert mount(inst) == "ok"
    inst.sh("umount /mnt/a")
    inst.rest.change("PATCH", inst.path, {"config": {KEY: ""}})
    inst.restart()
    probe.put(inst)
    assert mount(inst) == "EPERM"
    inst.rest.change("PATCH", inst.path, {"config": {KEY: "true", KEY + ".shift": "true"}})
    inst.restart()
    probe.put(inst)
    assert mount(inst) == "ok"  # and after a start the node of the device is there again
    assert inst.sh("stat -c %u /mnt/a/users").strip() == "1000"
    inst.sh("umount /mnt/a")
    patch(inst, shift="")


def test_a_project_says_which(rest):
    rest.change("POST", "projects", json={"name": "mounts", "config": {"restricted": "true", "features.images": "false"}})
    try:
        for value, key, refused in (("block", KEY, True), ("allow", KEY, False), ("allow", KEY + ".allowed", True), ("full", KEY + ".allowed", False)):
            rest.change("PATCH", "projects/mounts", {"config": {"restricted.containers.interception": value}})
            reply = rest.request("POST", "instances", query={"project": "mounts"},
                                 json={"name": "x", "source": {"type": "none"}, "config": {key: "true" if key == KEY else "ext4"},
                                       "devices": {"root": {"type": "disk", "path": "/", "pool": "default"}}})
            assert (reply.status >= 400) == refused, (value, key, reply)
            if not refused:
                rest.wait(reply.json["operation"])
                rest.change("DELETE", "instances/x", query={"project": "mounts"})
    finally:
        rest.change("DELETE", "projects/mounts")
