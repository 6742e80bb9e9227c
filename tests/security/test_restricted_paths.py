"""restricted.devices.disk.paths and restricted.idmap.*: a restricted project gets these paths and ids of the host, and no others."""
import os
import stat

import pytest

from harness.instance import fresh_name


class Restricted:
    def __init__(self, rest, image, tmp):
        self.rest = rest
        self.name = fresh_name("rp")
        self.query = {"project": self.name}
        self.dir = tmp / "allowed"
        self.dir.mkdir()
        self.dir.chmod(0o777)
        (self.dir / "f").write_text("mine")
        (tmp / "allowedx").mkdir()
        (tmp / "secret").mkdir()
        (tmp / "secret/f").write_text("secret")
        self.outside = tmp / "secret"
        rest.change("POST", "projects", {"name": self.name, "config": {
            "features.images": "false", "restricted": "true", "restricted.devices.disk": "allow",
            "restricted.devices.disk.paths": f"/nowhere, {self.dir}/", "restricted.idmap.uid": "5000-5009,7000",
            "restricted.idmap.gid": "5000-5009"}})
        pool = rest.read("storage-pools", query={"recursion": 1})[0]["name"]
        self.change("POST", "instances", {"name": "c", "source": {"type": "image", "alias": image}, "profiles": [],
                                          "devices": {"root": {"type": "disk", "path": "/", "pool": pool}}})

    def change(self, method, path, json=None):
        return self.rest.change(method, path, json, query=self.query)

    def refused(self, config=None, **disk):
        body = {"config": config} if config else {"devices": {"d": {"type": "disk", "path": "/d", **disk}}}
        return self.rest.refused("PATCH", "instances/c", body, statuses=(400, 403), query=self.query)

    def show(self, source, **more):
        self.change("PATCH", "instances/c", {"devices": {"d": {"type": "disk", "path": "/d", "source": str(source), **more}}})

    def hide(self):
        body = self.rest.read("instances/c", query=self.query)
        body["devices"].pop("d")
        self.change("PUT", "instances/c", {k: body[k] for k in ("config", "devices", "profiles", "architecture")})

    def power(self, action):
        self.change("PUT", "instances/c/state", {"action": action, "force": True})

    @property
    def root(self):
        return f"/proc/{self.rest.read('instances/c/state', query=self.query)['pid']}/root"


@pytest.fixture
def project(rest, image, tmp_path):
    for up in (tmp_path, *tmp_path.parents):
        if str(up).startswith("/tmp/"):
            up.chmod(0o755)
    p = Restricted(rest, image, tmp_path)
    yield p
    if p.rest.read("instances/c", query=p.query)["status"] == "Running":
        p.power("stop")
    p.change("DELETE", "instances/c")
    rest.change("DELETE", f"projects/{p.name}")


def test_allowed_paths_are_shown_before_a_start_and_live(project):
    p = project
    p.show(p.dir)
    p.power("start")
    assert open(f"{p.root}/d/f").read() == "mine"
    p.hide()
    assert not os.path.exists(f"{p.root}/d/f")
    p.show(f"{p.dir}/f", path="/file")
    assert open(f"{p.root}/file").read() == "mine"


@pytest.mark.parametrize("running", [False, True])
def test_other_paths_are_refused_in_the_same_words(project, running):
    p = project
    if running:
        p.power("start")
    said = {p.refused(source=str(s)) for s in (p.outside, p.outside / "missing", f"{p.dir}/../secret", f"{p.dir}x", p.dir.parent, "/", "/etc/shadow")}
    assert len(said) == 1 and "restricted.devices.disk.paths" in said.pop()
    (p.dir / "there").symlink_to(p.outside)
    (p.dir / "not").symlink_to(p.outside / "missing")
    (p.dir / "in").symlink_to("f")
    for link in ("there", "not", "in", "there/f", "not/f"):
        assert "symbolic link" in p.refused(source=f"{p.dir}/{link}")
    assert "shift" in p.refused(source=str(p.dir), shift="true")
    assert "propagation" in p.refused(source=str(p.dir), propagation="rshared")


def test_no_proxy_leads_to_a_socket_of_the_host(project):
    p = project
    p.rest.change("PATCH", f"projects/{p.name}", {"config": {"restricted.devices.proxy": "allow"}})
    for end in (f"unix:{p.dir}/s", "unix:@abstract"):
        proxy = {"type": "proxy", "listen": end, "connect": "tcp:127.0.0.1:80"}
        said = p.rest.refused("PATCH", "instances/c", {"devices": {"x": proxy}}, statuses=(403,), query=p.query)
        assert "restricted.devices.disk.paths" in said


def test_a_link_that_comes_later_leads_nowhere(project):
    """Who may write there changes what a checked path leads to."""
    p = project
    (p.dir / "sub").mkdir()
    p.show(p.dir / "sub")
    (p.dir / "sub").rmdir()
    (p.dir / "sub").symlink_to(p.outside)
    said = p.rest.refused("PUT", "instances/c/state", {"action": "start"}, query=p.query)
    assert "symbolic link" in said
    (p.dir / "sub").unlink()
    (p.dir / "sub").mkdir()
    p.power("start")


def test_a_block_device_below_an_allowed_path_is_no_disk(project):
    """A file system of whoever made it is the kernel's to read."""
    p = project
    os.mknod(p.dir / "node", 0o600 | stat.S_IFBLK, os.makedev(7, 0))
    try:
        body = {"devices": {"d": {"type": "disk", "path": "/d", "source": str(p.dir / "node")}}}
        reply = p.rest.request("PATCH", "instances/c", json=body, query=p.query)
        if reply.status in (200, 202):
            said = p.rest.refused("PUT", "instances/c/state", {"action": "start"}, statuses=(400, 403), query=p.query)
        else:
            said = reply.error
        assert "block device" in said
    finally:
        (p.dir / "node").unlink()


def test_a_disk_of_memory_is_no_path(project):
    project.show("tmpfs:")


def test_a_disk_that_is_no_longer_allowed_can_still_leave(project):
    p = project
    p.show(p.dir)
    p.power("start")
    p.rest.change("PATCH", f"projects/{p.name}", {"config": {"restricted.devices.disk.paths": "/nowhere"}})
    p.hide()
    assert not os.path.exists(f"{p.root}/d/f")
    assert "restricted.devices.disk.paths" in p.refused(source=str(p.dir))


def test_ids_of_the_project_alone_can_be_mapped(project):
    p = project
    for bad in ("both 5000-5010 1000-1010", "uid 4999 1000", "gid 7000 1000", "both 0 0", "uid 5000-5009 1000-1009\nuid 0 3000"):
        assert "restricted.idmap" in p.refused({"raw.idmap": bad})
    p.change("PATCH", "instances/c", {"config": {"raw.idmap": "both 5000-5009 1000-1009\nuid 7000 3000"}})
    p.power("start")
    pid = p.rest.read("instances/c/state", query=p.query)["pid"]
    lines = [line.split() for line in open(f"/proc/{pid}/uid_map")]
    assert ["1000", "5000", "10"] in lines and ["3000", "7000", "1"] in lines
    p.power("stop")
    p.rest.change("PATCH", f"projects/{p.name}", {"config": {"restricted.idmap.uid": ""}})
    said = p.rest.refused("PUT", "instances/c/state", {"action": "start"}, statuses=(400, 403), query=p.query)
    assert "restricted.idmap" in said
    p.rest.change("PATCH", f"projects/{p.name}", {"config": {"restricted.containers.lowlevel": "allow"}})
    p.power("start")


def test_memory_is_open_and_block_devices_are_not(project):
    """The kernel reads no filesystem that a tenant may have written; memory is nobody else's."""
    project.power("start")
    project.show("tmpfs:", size="1MiB")
    assert "size=1024k" in next(line for line in open(f"{project.root}/proc/1/mounts") if " /d " in line)
    project.hide()
    node = project.dir / "disk"
    os.mknod(node, 0o600 | stat.S_IFBLK, os.makedev(7, 0))
    said = project.refused(source=str(node))
    assert "block device" in said and "restricted.devices.disk.paths" in said
