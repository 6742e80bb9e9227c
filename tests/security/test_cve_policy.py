"""Rows 5, 12-16, 20, 22, 30: ways round a project's restrictions, links in the way of what lxmd writes, and who a guest is taken for."""
import json
import os
import subprocess

import pytest

from harness import guest, images
from harness.rest import OperationFailed, RestError

ROOT = {"root": {"type": "disk", "path": "/", "pool": "default"}}
PRIVILEGED = {"security.privileged": "true"}


def outcome(rest, method, path, body, **query):
    """"" when it was done, else why not."""
    reply = rest.request(method, path, json=body, query=query)
    if reply.status >= 400:
        return reply.error
    try:
        if reply.status == 202:
            rest.wait(reply.json["operation"])
    except OperationFailed as e:
        return str(e)
    return ""


@pytest.fixture
def fenced(rest, image):
    """A restricted project that shares the images of default."""
    rest.change("POST", "projects", json={"name": "fenced", "config": {"restricted": "true", "features.images": "false"}})
    yield "fenced"
    for inst in rest.read("instances", query={"project": "fenced", "recursion": 1}):
        if inst["status"] != "Stopped":
            rest.change("PUT", f"instances/{inst['name']}/state", {"action": "stop", "force": True}, query={"project": "fenced"})
        rest.change("DELETE", f"instances/{inst['name']}", query={"project": "fenced"})
    for profile in rest.read("profiles", query={"project": "fenced", "recursion": 1}):
        if profile["name"] != "default":
            rest.change("DELETE", f"profiles/{profile['name']}", query={"project": "fenced"})
    rest.change("DELETE", "projects/fenced")


def make(image, name="c", **body):
    return {"name": name, "source": {"type": "image", "alias": image}, "devices": ROOT, **body}


def test_row_13_every_way_in_meets_the_merged_configuration(rest, image, fenced):
    """CVE-2026-55621, CVE-2026-62941: what a profile, a copy's override or a later change adds is judged like what was there."""
    new = {"project": fenced}
    assert "restricted" in outcome(rest, "POST", "instances", make(image, config=PRIVILEGED), **new)
    # a profile brings it at creation
    if not outcome(rest, "POST", "profiles", {"name": "p", "config": PRIVILEGED}, **new):
        assert "restricted" in outcome(rest, "POST", "instances", make(image, profiles=["p"]), **new)
    assert outcome(rest, "POST", "instances", make(image), **new) == ""
    for body in ({"config": PRIVILEGED}, {"profiles": ["p"]}, {"config": {"security.nesting": "true"}},
                 {"devices": {**ROOT, "h": {"type": "disk", "source": "/etc", "path": "/mnt"}}}):
        assert outcome(rest, "PATCH", "instances/c", body, **new) != "", body
    # a copy overrides it
    copy = {"name": "d", "source": {"type": "copy", "source": "c"}, "config": PRIVILEGED}
    assert "restricted" in outcome(rest, "POST", "instances", copy, **new)
    # a profile changes under an instance
    assert outcome(rest, "POST", "profiles", {"name": "q"}, **new) == ""
    assert outcome(rest, "PATCH", "instances/c", {"profiles": ["q"]}, **new) == ""
    assert "restricted" in outcome(rest, "PUT", "profiles/q", {"config": PRIVILEGED}, **new) or \
        "restricted" in outcome(rest, "PUT", "instances/c/state", {"action": "start"}, **new)
    assert [i["name"] for i in rest.read("instances", query={**new, "recursion": 1})] == ["c"]


def test_scratch_stays_inside_and_is_judged_as_a_disk_of_a_pool(rest, image, fenced):
    new = {"project": fenced}
    body = make(image, devices={**ROOT, "s": {"type": "disk", "source": "scratch:", "path": "/s"}})
    assert outcome(rest, "POST", "instances", body, **new) == ""
    rest.change("DELETE", "instances/c", query=new)
    rest.change("PATCH", f"projects/{fenced}", {"config": {"restricted.devices.disk": "block"}})
    assert "restricted.devices.disk" in outcome(rest, "POST", "instances", body, **new)


def test_row_13_a_copy_from_outside_is_judged_inside(rest, instance, fenced):
    source = instance(config=PRIVILEGED, start=False)
    body = {"name": "d", "source": {"type": "copy", "source": source.name, "project": "default"}}
    assert "restricted" in outcome(rest, "POST", "instances", body, project=fenced)


def test_row_12_a_snapshot_does_not_bring_back_what_is_forbidden_now(rest, image, fenced):
    """CVE-2026-48751."""
    q = {"project": fenced}
    rest.change("PATCH", f"projects/{fenced}", {"config": {"restricted.snapshots": "allow", "restricted.containers.nesting": "allow"}})
    assert outcome(rest, "POST", "instances", make(image, config={"security.nesting": "true"}), **q) == ""
    assert outcome(rest, "POST", "instances/c/snapshots", {"name": "s"}, **q) == ""
    assert outcome(rest, "PATCH", "instances/c", {"config": {"security.nesting": ""}}, **q) == ""
    rest.change("PATCH", f"projects/{fenced}", {"config": {"restricted.containers.nesting": "block"}})
    assert "restricted.containers.nesting" in outcome(rest, "PUT", "instances/c", {"restore": "s"}, **q)
    assert "security.nesting" not in {k for k, v in rest.read("instances/c", query=q)["config"].items() if v == "true"}
    copy = {"name": "d", "source": {"type": "copy", "source": "c/s"}}
    assert "restricted.containers.nesting" in outcome(rest, "POST", "instances", copy, **q)


def test_row_16_what_must_be_isolated_is(rest, image, fenced):
    """CVE-2026-62313: leaving the key out is no way to share ids."""
    q = {"project": fenced}
    rest.change("PATCH", f"projects/{fenced}", {"config": {"restricted.containers.privilege": "isolated"}})
    assert "restricted" in outcome(rest, "POST", "instances", make(image, config={"security.idmap.isolated": "false"}), **q)
    for name in ("a", "b"):
        assert outcome(rest, "POST", "instances", make(image, name, config={}), **q) == ""
        assert outcome(rest, "PUT", f"instances/{name}/state", {"action": "start"}, **q) == ""
    ranges = sorted((int(c["volatile.idmap.base"]), int(c["volatile.idmap.size"]))
                    for c in (rest.read(f"instances/{name}", query=q)["config"] for name in ("a", "b")))
    assert ranges[0][0] + ranges[0][1] <= ranges[1][0], ranges


@pytest.mark.parametrize("config", [PRIVILEGED, {"raw.lxc": "lxc.cap.drop = mknod"}, {"raw.seccomp": "2\ndenylist\nreject_force_umount\n"},
                                    {"raw.idmap": "both 0 0"}, {"linux.kernel_modules": "overlay"}], ids=lambda c: next(iter(c)))
def test_rows_14_15_sources_that_carry_their_own_configuration(rest, fenced, image, config):
    """CVE-2026-62940, CVE-2026-34178: the configuration that comes along with a migration or a backup, or a move, is as strange as a client's."""
    q, outside = {"project": fenced}, {"project": "default"}
    migration = {"name": "m", "source": {"type": "migration", "mode": "push", "base-image": "x"}, "config": config, "devices": ROOT}
    assert "restricted.containers" in outcome(rest, "POST", "instances", migration, **q)
    assert outcome(rest, "POST", "instances", make(image, "carrier", config=config), **outside) == ""
    try:
        rest.change("POST", "instances/carrier/backups", {"name": "b", "compression_algorithm": "none"})
        tar = rest.get("instances/carrier/backups/b/export").body
        reply = rest.request("POST", "instances", data=tar, headers={"Content-Type": "application/octet-stream"}, query=q)
        assert reply.status == 403 and "restricted.containers" in reply.error
        assert "restricted.containers" in outcome(rest, "POST", "instances/carrier", {"name": "carrier", "project": fenced, "migration": True}, **outside)
        assert rest.read("instances", query=q) == []
    finally:
        rest.change("DELETE", "instances/carrier")


def test_row_5_records_and_logs_follow_no_link(rest, image, instance, tmp_path):
    """CVE-2026-48750, CVE-2026-33711: what lxmd writes for an instance lies where neither image nor guest can put a link."""
    victim = tmp_path / "victim"
    victim.write_text("untouched")
    inst = instance()
    inst.sh(f"for d in / /root /var/log /exec-output; do mkdir -p $d; ln -sf {victim} $d/exec_x.stdout; ln -sf {victim} $d/console.log; done;"
            f" ln -sfn {tmp_path} /exec-output/link")
    op = rest.change("POST", inst.path + "/exec", json={"command": ["echo", "x"], "wait-for-websocket": False, "record-output": True,
                                                        "interactive": False})
    out = op["metadata"]["output"]["1"]
    assert rest.get(out).body == b"x\n"
    inst.sh("echo on the console > /dev/console")
    inst.stop()
    assert victim.read_text() == "untouched" and os.listdir(tmp_path) == ["victim"]


def test_row_20_a_title_is_not_an_identity(instance):
    """CVE-2025-54288: a guest calls itself another's monitor, or uses another's socket."""
    one, two = instance(config={"user.who": "one"}), instance(config={"user.who": "two"})
    title = r'''
import ctypes, os, socket, sys
name = sys.argv[2].encode()
ctypes.CDLL(None).prctl(15, name[:15], 0, 0, 0)
if os.environ.get("AGAIN") != "1":
    os.execve(sys.executable, [f"[lxc monitor] /var/lib/lxd/containers {sys.argv[2]}", "-c", os.environ["CODE"], *sys.argv[1:]],
              {**os.environ, "AGAIN": "1"})
s = socket.socket(socket.AF_UNIX)
s.connect(sys.argv[1])
s.sendall(b"GET /1.0/config/user.who HTTP/1.1\r\nConnection: close\r\n\r\n")
while True:
    got = s.recv(4096)
    if not got:
        break
    sys.stdout.buffer.write(got)
'''
    argv = guest.command(one, title, two.name)
    done = subprocess.run(argv, capture_output=True, env={**os.environ, "CODE": title}, timeout=30)
    assert guest.parse(done.stdout).text == "one", done.stderr
    # a process of the first that got hold of the second's socket, and one of the host
    for flags in (("-p", "-U"), ("-p",)):
        argv = guest.command(one, guest.CLIENT, flags=flags, socket_of=two.pid)
        done = subprocess.run(argv, input=b"GET /1.0/config/user.who HTTP/1.1\r\n\r\n", capture_output=True, timeout=30)
        assert b"two" not in done.stdout and b" 200 " not in done.stdout
    assert guest.get(one, "/1.0/config/user.who", flags=("-U",)).status == 403  # its user namespace, the host's pids
    assert guest.get(one, "/1.0/config/user.who", flags=("-p",)).status == 401  # its pids, root of the host


def test_row_20_the_guest_api_attaches_no_volume(rest, instance):
    """CVE-2026-12411: a guest has the guest API attach another one's volume to itself. Here that API changes nothing and knows no volumes."""
    pool, volume = "default", "others"
    rest.change("POST", f"storage-pools/{pool}/volumes/custom", {"name": volume})
    boxes = []
    device = {"type": "disk", "pool": pool, "source": volume, "path": "/stolen"}
    try:
        one, two = boxes = [instance(), instance(devices={"v": {**device, "path": "/v"}})]
        two.sh("echo secret > /v/f")
        before, body = one.get(), json.dumps({"devices": {"v": device}})
        for auth in ((), ("Authorization: Bearer x",), ("Authorization: Basic cm9vdDo=",)):
            for method, path in (("PATCH", f"/1.0/instances/{one.name}"), ("PUT", f"/1.0/instances/{one.name}"), ("PATCH", "/1.0/devices"),
                                 ("POST", "/1.0/devices"), ("PUT", "/1.0/config/volatile.x"), ("PATCH", f"/1.0/instances/{two.name}"),
                                 ("GET", f"/1.0/instances/{two.name}"), ("GET", "/1.0/storage-pools"), ("POST", f"/1.0/storage-pools/{pool}/volumes/custom"),
                                 ("GET", f"/1.0/storage-pools/{pool}/volumes/custom/{volume}"),
                                 ("DELETE", f"/1.0/storage-pools/{pool}/volumes/custom/{volume}"), ("GET", f"/1.0/devices?project=default&instance={two.name}")):
                reply = guest.request(one, method, path, body if method != "GET" else "", ("Content-Type: application/json", *auth))
                assert volume not in reply.text and (reply.status in (400, 403, 404, 405) or path.startswith("/1.0/devices?")), (method, path, reply)
        assert "v" not in guest.read(one, "/1.0/devices")
        assert one.get() == before and one.sh("ls -d /stolen 2>/dev/null || true") == ""
        assert two.sh("cat /v/f") == "secret\n"
    finally:
        for box in boxes:
            box.remove()
        rest.delete(f"storage-pools/{pool}/volumes/custom/{volume}")


BOMB = "a: &a [x,x,x,x,x,x,x,x,x,x]\n" + "".join(f"{chr(98 + n)}: &{chr(98 + n)} [{','.join(['*' + chr(97 + n)] * 10)}]\n" for n in range(9))


@pytest.mark.parametrize("text", [BOMB, "properties: " + "[" * 100000, "properties: {" + "a: {" * 50000, "a: " + "x" * (64 << 20), "? " * 50000],
                         ids=["aliases", "deep-list", "deep-map", "long", "keys"])
def test_row_22_metadata_that_grows(rest, text):
    """CVE-2026-40251, CVE-2026-41648: YAML of an archive is bounded in size, depth and what its aliases unfold to."""
    tar = images.busybox_tar(without=["metadata.yaml"], extra=lambda t: t.add("metadata.yaml", text))
    with pytest.raises((OperationFailed, RestError)):
        images.import_image(rest, tar)
    assert rest.get("/1.0").status == 200


def test_row_30_nothing_is_set_uid_and_nothing_is_loaded_from_inside(daemon, instance):
    """CVE-2017-5985, CVE-2022-47952, CVE-2019-14271: no helper for users, and the helper finds no library in a container."""
    for name in ("lxmd", "lxm-monitor", "lxm-helper", "lxm-forward", "lxmc"):
        path = daemon.bin(name)
        assert not os.stat(path).st_mode & 0o6000
        assert "security.capability" not in os.listxattr(path)
    inst = instance()
    inst.sh("mkdir -p /lib /lib64 /usr/lib; for l in libc.so.6 libnss_files.so.2 ld-linux-x86-64.so.2; do"
            " echo hostile > /lib/$l; echo hostile > /usr/lib/$l; done; echo hostile > /etc/ld.so.preload; echo 'passwd: evil' > /etc/nsswitch.conf")
    assert inst.sh("echo fine") == "fine\n"
    assert rest_file(inst, "/etc/ld.so.preload") == b"hostile\n"


def rest_file(inst, path):
    return inst.rest.get(inst.path + "/files", query={"path": path}).body


def test_row_30_a_copy_while_a_link_is_swapped(instance):
    """CVE-2018-15664: a directory that turns into a link while files are fetched through it."""
    inst = instance()
    inst.sh("mkdir -p /srv/d; echo inside > /srv/d/hostname; ln -s / /srv/l")
    swap = inst.exec("sh", "-c", "(while :; do mv -T /srv/d /srv/x; mv -T /srv/l /srv/d; mv -T /srv/d /srv/l; mv -T /srv/x /srv/d; done)"
                     " >/dev/null 2>&1 & echo $!")
    host = open("/etc/hostname", "rb").read()
    try:
        for _ in range(60):
            reply = inst.rest.get(inst.path + "/files", query={"path": "/srv/d/etc/hostname"})
            assert reply.status in (200, 404, 400) and (reply.status != 200 or reply.body != host or not host)
    finally:
        inst.exec("kill", swap.out.decode().strip())
