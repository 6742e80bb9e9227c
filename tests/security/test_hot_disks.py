"""Disks that come to a running instance which does not wish us well."""
import re

import pytest




@pytest.fixture
def source(tmp_path):
    for parent in [tmp_path, *tmp_path.parents][:3]:
        parent.chmod(0o755)
    (tmp_path / "f").write_text("seen")
    return tmp_path


def add(rest, inst, path, source):
    return rest.change("PATCH", f"instances/{inst.name}", {"devices": {"d": {"type": "disk", "source": str(source), "path": path}}})


def remove(rest, inst):
    now = rest.read(f"instances/{inst.name}")
    return rest.change("PUT", f"instances/{inst.name}", {k: now[k] for k in ("config", "profiles", "description")} | {"devices": {}})


def host_mounts(inst, source):
    """All but those in directories and namespaces of other daemons and tests, which come and go."""
    def counts(line):
        return str(source) in line or str(inst.daemon.dir) in line or not re.search(r"/tmp/|/run/netns/", line)

    with open("/proc/self/mountinfo") as f:
        return list(filter(counts, f))


@pytest.mark.parametrize("link", ["/..", "/../../../../..", "/proc/1/root", "/proc/self/root"])
def test_links_at_the_target_stay_inside(rest, instance, source, link):
    inst = instance()
    before = host_mounts(inst, source)
    inst.sh(f"ln -s {link} /lure")
    try:
        add(rest, inst, "/lure/mnt", source)
    except Exception:
        assert link.startswith("/proc")  # magic links are no way at all
    else:
        assert inst.sh("cat /mnt/f") == "seen" and not link.startswith("/proc")
        assert host_mounts(inst, source) == before
        remove(rest, inst)
        assert inst.sh("ls /mnt") == ""
    assert host_mounts(inst, source) == before


def test_what_is_missing_is_made_with_the_instances_rights(rest, instance, source, tmp_path_factory):
    """A link into a directory of the host that the instance can see but not write to."""
    seen = tmp_path_factory.mktemp("seen")
    for parent in [seen, *seen.parents][:3]:
        parent.chmod(0o755)
    inst = instance(devices={"s": {"type": "disk", "source": str(seen), "path": "/seen"}})
    inst.sh("ln -s /seen /lure")
    now = rest.read(f"instances/{inst.name}")["devices"]
    rest.refused("PATCH", f"instances/{inst.name}", {"devices": {**now, "d": {
        "type": "disk", "source": str(source), "path": "/lure/made/by/us"}}}, statuses=(400, 403, 500))
    assert not list(seen.iterdir())


def test_a_moved_mount_is_taken_all_the_same(rest, instance, source):
    inst = instance()
    add(rest, inst, "/mnt/d", source)
    inst.sh("mkdir /hidden /copy && mount --move /mnt/d /hidden && mount --bind /hidden /copy && cat /copy/f")
    remove(rest, inst)
    assert inst.sh("ls /hidden /copy /mnt/d").split() == ["/copy:", "/hidden:", "/mnt/d:"]


def test_nothing_else_is_unmounted(rest, instance, source):
    """The target is a link to another mount by now."""
    inst = instance()
    add(rest, inst, "/mnt/d", source)
    inst.sh("umount /mnt/d && rmdir /mnt/d && mkdir /other && mount -t tmpfs none /other && ln -s /other /mnt/d")
    remove(rest, inst)
    assert " /other " in inst.sh("cat /proc/mounts")


@pytest.mark.parametrize("where,said", [("/dev", "mounted at '/dev'"), ("/dev/on", "on the way")])
def test_a_node_goes_into_no_other_memory(rest, instance, where, said):
    """A tmpfs as our /dev is one, but of the instance's making, there or below."""
    inst = instance()
    inst.sh(f"mkdir -p {where} && mount -t tmpfs -o uid=5 none {where} && mkdir -p /dev/on/the")
    text = rest.refused("PATCH", f"instances/{inst.name}", {"devices": {"z": {
        "type": "unix-char", "source": "/dev/zero", "path": "/dev/on/the/way"}}}, statuses=(400, 409, 500))
    assert said in text
    assert inst.sh("ls /dev/on/the") == ""


def test_a_node_needs_our_dev(rest, instance, tmp_path):
    """What the instance has put over its /dev gets no node of the host."""
    inst = instance()
    inst.sh("mkdir /fake && mount --bind /fake /dev")
    rest.refused("PATCH", f"instances/{inst.name}", {"devices": {"z": {
        "type": "unix-char", "source": "/dev/zero", "path": "/dev/z"}}}, statuses=(400, 409, 500))
    # the image's own init may still redirect something to /dev/null: to an ordinary file by now
    assert inst.sh("find /fake ! -type d ! -name null; find /fake ! -type d ! -type f") == ""
