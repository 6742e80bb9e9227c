"""Rows 4, 6-11, 19, 21, 24: hostile requests and archives. What lxm has no feature for has to be refused, not ignored."""
import os
import re
import stat

import pytest

from harness import images
from harness.rest import OperationFailed, RestError


def refused(rest, method, path, json):
    reply = rest.request(method, path, json=json)
    if reply.status == 202:
        with pytest.raises(OperationFailed):
            rest.wait(reply.json["operation"])
    else:
        assert 400 <= reply.status < 500 or reply.status == 501, reply


@pytest.mark.parametrize("extra", [lambda t: t.link("rootfs", "/"), lambda t: t.dir("rootfs"), lambda t: t.add("metadata.yaml", "x"),
                                   lambda t: t.link("./rootfs/etc", "/etc")])
def test_row_4_duplicate_entries(rest, extra):
    with pytest.raises((OperationFailed, RestError), match="twice|passes through"):
        images.import_image(rest, images.busybox_tar(extra=extra))


@pytest.mark.parametrize("name", ["metadata.yaml", "templates", "rootfs"])
def test_row_6_links_in_the_place_of_metadata(rest, name):
    without = {"templates": ["templates", "templates/hostname.tpl"]}.get(name, [name])
    with pytest.raises((OperationFailed, RestError)):
        images.import_image(rest, images.busybox_tar(without=without, extra=lambda t: t.link(name, "/etc")))


@pytest.mark.host_only("turned away before anything reaches the kernel")
@pytest.mark.parametrize("key", ["user/../../x", "environment.../../x", "volatile.../../../etc/x", "limits.kernel.../x", "linux.sysctl.../../x",
                                 "image.../../x", "raw.lxc", "raw.seccomp", "user.\n", "environment.A\nB"])
def test_row_7_traversal_in_a_key(rest, image, key):
    reply = rest.post("instances", json={"name": "cve7", "source": {"type": "image", "alias": image}, "config": {key: "1"}})
    try:
        if reply.status == 202:
            done = rest.get(f"{reply.json['operation']}/wait", query={"timeout": 30}).metadata
            if done["status_code"] == 200:  # a free key may be odd, as long as it stays a key
                assert key.startswith(("image.", "user", "environment.", "volatile.")), key
                rest.refused("PUT", "instances/cve7/state", {"action": "nonsense"})
        else:
            assert reply.status == 400, reply
    finally:
        if rest.get("instances/cve7").status == 200:
            rest.change("DELETE", "instances/cve7")


@pytest.mark.host_only("turned away before anything reaches the kernel")
@pytest.mark.parametrize("value", ["gzip; touch /tmp/lxm-owned", "gzip -9 --rsyncable", "/bin/sh", "../gzip", "-dc", "zstd\nx"])
def test_row_8_compression_is_a_name_of_a_table(rest, instance, value):
    inst = instance(start=False)
    refused(rest, "POST", "images", {"source": {"type": "instance", "name": inst.name}, "compression_algorithm": value})
    refused(rest, "PATCH", "/1.0", {"config": {"images.compression_algorithm": value}})
    assert not os.path.exists("/tmp/lxm-owned")


def test_row_9_no_options_for_mkfs(rest):
    for config in ({"block.mount_options": "-o x"}, {"block.create_options": "-E root_owner"}):
        refused(rest, "POST", "storage-pools", {"name": "cve9", "driver": "dir", "config": config})


@pytest.mark.host_only("turned away before anything reaches the kernel")
@pytest.mark.parametrize("fingerprint", ["../../../../etc/passwd", "0" * 64, "..", "a/b", "A" * 64, "x" * 64])
def test_row_10_a_fingerprint_from_outside_is_only_compared(rest, fingerprint):
    """The header is what the client expects; the image gets the hash of its bytes or is refused."""
    tar = images.busybox_tar(extra=lambda t: t.add("rootfs/row10", os.urandom(8)))
    reply = rest.request("POST", "images", data=tar, headers={"Content-Type": "application/octet-stream", "X-LXD-fingerprint": fingerprint})
    if reply.status == 202:
        done = rest.get(f"{reply.json['operation']}/wait", query={"timeout": 30}).metadata
        assert done["status_code"] == 400 or re.fullmatch("[0-9a-f]{64}", done["metadata"]["fingerprint"])
        if done["status_code"] == 200:
            assert done["metadata"]["fingerprint"] != fingerprint
            rest.change("DELETE", f"images/{done['metadata']['fingerprint']}")
    else:
        assert 400 <= reply.status < 500


@pytest.mark.parametrize("source", [
    {"type": "url", "url": "http://127.0.0.1:1/x"}, {"type": "url", "url": "http://169.254.169.254/latest"},
    {"type": "url", "url": "file:///etc/passwd"}, {"type": "url", "url": "http://[::1]/x"}])
def test_row_11_the_daemon_fetches_nothing_for_a_client(rest, source):
    refused(rest, "POST", "images", {"source": source})


def test_row_19_no_reply_invites_other_origins(rest):
    reply = rest.get("/1.0", headers={"Origin": "https://evil.example"})
    assert not [h for h in reply.headers if h.lower().startswith("access-control-")]


@pytest.mark.parametrize("name", ["..%2f..%2f..%2fdatabase%2fcluster.db", "%2fetc%2fpasswd", "..", ".", "lxc.log%00", "%2e%2e%2flxmd.log", "a%0ab"])
def test_row_21_log_names(rest, instance, name):
    inst = instance()
    for method in ("GET", "DELETE"):
        reply = rest.request(method, f"/1.0/instances/{inst.name}/logs/{name}")
        assert reply.status in (400, 403, 404), reply
        assert b"root:" not in reply.body


def test_row_24_no_other_user_gets_at_files_of_instances(daemon, instance):
    """CVE-2016-1581, CVE-2016-1582: a setuid file of a container lies unshifted on the disk."""
    inst = instance()
    inst.sh("cp /bin/busybox /root/su; chmod 4755 /root/su")
    for top in ("images", "backups", "database", "cache"):
        assert not stat.S_IMODE(os.stat(daemon.dir / top).st_mode) & 0o077, top
    for pool in os.scandir(daemon.dir / "pools"):
        assert not stat.S_IMODE(pool.stat().st_mode) & 0o077, pool.path
    for found in daemon.dir.glob("pools/*/instances/*/upper/root/su"):
        assert found.stat().st_mode & stat.S_ISUID
        break
    else:
        pytest.fail("the file is not where this test looks for it")
