"""security.nesting: what managers of containers need inside an unprivileged instance; whole managers are run by make check-nesting."""
import pytest

from harness.instance import fresh_name


@pytest.fixture
def nest(instance):
    return instance(config={"security.nesting": "true"}, devices={
        "s": {"type": "disk", "path": "/scratch", "source": "scratch:"}})


def unshared(inst, script):
    """A shell in a user namespace of its own, with all other namespaces new too."""
    return inst.exec("unshare", "-Urmpfn", "sh", "-c", script)


def test_proc_and_sys_can_be_mounted_anew(nest):
    done = unshared(nest, "mount -t proc p /mnt && ls /mnt/1/status && umount /mnt && mount -t sysfs s /mnt && ls /mnt/class/net")
    assert done.code == 0 and done.out.decode().split() == ["/mnt/1/status", "lo"], done


def test_without_it_the_kernel_refuses_a_new_proc(instance):
    done = unshared(instance(), "mount -t proc p /mnt")
    assert done.code != 0


def test_masked_files_stay_masked_and_sys_is_whole(nest):
    assert nest.sh("cat /proc/keys") == ""
    assert nest.sh("[ -w /sys/class/net ] && mount | grep -c '/dev/.lxm/'").strip() == "2"


OVERLAY = """
cd "$1" && mkdir lower upper work merged && echo below > lower/a && echo gone > lower/b &&
unshare -Urm sh -c 'mount -t overlay o -o userxattr,lowerdir=lower,upperdir=upper,workdir=work merged &&
    echo above > merged/a && rm merged/b && mkdir merged/c && cat merged/a && ls merged'
"""


def test_an_overlay_lies_on_scratch_but_not_on_the_root(nest):
    done = nest.exec("sh", "-c", "mkdir -p /scratch/1; " + OVERLAY, "sh", "/scratch/1")
    assert done.out.decode().split() == ["above", "a", "c"], done
    assert "nodev" in nest.sh("grep ' /scratch ' /proc/mounts")
    assert nest.sh("cat /scratch/1/lower/a /scratch/1/upper/a").split() == ["below", "above"]
    done = nest.exec("sh", "-c", "mkdir -p /tmp/1; " + OVERLAY, "sh", "/tmp/1")
    assert done.code != 0


def test_keyrings_and_fuse_are_there(nest):
    assert nest.exec("test", "-c", "/dev/fuse").code == 0
    assert nest.exec("test", "-c", "/dev/net/tun").code == 0


def test_cgroups_are_delegated(nest):
    """Root inside makes a group below its own and moves a process there, in each hierarchy it can mount."""
    script = """
set -e
mkdir -p /tmp/cg
if [ "$(sed -n 's/:.*//p' /proc/self/cgroup | wc -l)" = 1 ]; then mount -t cgroup2 c /tmp/cg
else mount -t cgroup -o pids c /tmp/cg; fi
mkdir /tmp/cg/inner
echo $$ > /tmp/cg/inner/cgroup.procs
grep -o /inner /proc/self/cgroup
echo $$ > /tmp/cg/cgroup.procs
rmdir /tmp/cg/inner
umount /tmp/cg"""
    assert nest.sh(script).split() == ["/inner"]


def test_more_ids_for_nested_ranges(instance):
    inst = instance(config={"security.nesting": "true", "security.idmap.size": "200000"})
    assert inst.sh("cat /proc/self/uid_map").split()[2] == "200000"
    assert inst.sh("touch /tmp/f && chown 199999:199999 /tmp/f && stat -c %u:%g /tmp/f").strip() == "199999:199999"


# ---- scratch directories
def scratch(path="/data"):
    return {"type": "disk", "path": path, "source": "scratch:"}


def test_scratch_is_the_instances_own_and_lasts(instance, rest):
    inst = instance(devices={"d": scratch(), "other": scratch("/other")})
    inst.sh("echo kept > /data/f && chown 1000:1000 /data/f")
    assert inst.sh("ls /other") == ""
    inst.restart()
    assert inst.sh("cat /data/f && stat -c %u /data/f").split() == ["kept", "1000"]
    inst.sh("mknod /data/null c 1 3 || true; ! cat /data/null 2>/dev/null")


def test_scratch_comes_and_goes_live_and_keeps_its_content(instance, rest):
    inst = instance()
    rest.change("PATCH", inst.path, {"devices": {"d": scratch()}})
    inst.sh("echo kept > /data/f")
    devices = inst.get()["devices"]
    del devices["d"]
    rest.change("PUT", inst.path, {**{k: inst.get()[k] for k in ("config", "profiles", "architecture")}, "devices": devices})
    assert inst.sh("ls /data") == ""
    rest.change("PATCH", inst.path, {"devices": {"d": scratch("/elsewhere")}})
    assert inst.sh("cat /elsewhere/f").strip() == "kept"


def test_scratch_goes_along_with_snapshots_and_copies(instance, rest):
    inst = instance(devices={"d": scratch()})
    inst.sh("echo one > /data/f")
    rest.change("POST", f"{inst.path}/snapshots", {"name": "s"})
    inst.sh("echo two > /data/f")
    twin = instance(name=fresh_name(), start=False, source={"type": "copy", "source": inst.name})
    inst.stop()
    rest.change("PUT", inst.path, {"restore": "s"})
    assert inst.start().sh("cat /data/f").strip() == "one"
    assert twin.start().sh("cat /data/f").strip() == "two"
    twin.sh("echo three > /data/f")
    assert inst.sh("cat /data/f").strip() == "one"


@pytest.mark.parametrize("more, word", [
    ({"pool": "default"}, "pool"), ({"shift": "true"}, "shift"), ({"readonly": "true"}, "readonly"),
    ({"recursive": "true"}, "recursive"), ({"propagation": "shared"}, "propagation"), ({"source": "scratch:x"}, "scratch:"),
    ({"source": "scratch"}, "scratch:"), ({"path": "/"}, "root disk"),
])
def test_scratch_takes_nothing_else(rest, more, word):
    error = rest.refused("POST", "profiles", {"name": "x", "devices": {"d": {**scratch(), **more}}})
    assert word in error
    assert rest.get("profiles/x").status == 404
