"""Templates: what is listed and shown, one build for many callers, and a clean end of builds that fail or are cancelled."""
import os
import shutil
import socket
import threading
import time

import pytest

from harness import templates
from harness.daemon import SLOW, Daemon
from harness.host import HostState
from harness.instance import wait_until
from harness.rest import OperationFailed

BUILD = {"source": {"type": "template", "name": "busybox"}}

needs_mmdebstrap = pytest.mark.skipif(not shutil.which("mmdebstrap"), reason="mmdebstrap is not installed")


def build(rest, name, rebuild=False, timeout=60):
    return rest.change("POST", "images", {"source": {"type": "template", "name": name, "rebuild": rebuild}},
                       timeout=timeout * SLOW)["metadata"]


def drop_image(rest, alias):
    reply = rest.get(f"images/aliases/{alias.replace('/', '%2F')}")
    if reply.status == 200:
        rest.change("DELETE", f"images/{reply.metadata['target']}")


def scratch(daemon):
    return [p.name for p in (daemon.dir / "cache").glob("build-*")]


def builders(daemon):
    """Processes of a build of this daemon."""
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/cmdline", "rb") as f:
                line = f.read()
        except OSError:
            continue
        if f"{daemon.dir}/cache/build-".encode() in line:
            found.append((pid, line[:80]))
    return found


# ---- list and show
@pytest.mark.host_only("which image a name stands for")
def test_list_has_each_release_with_each_variant(rest):
    urls = rest.read("templates")
    assert "/1.0/templates/busybox" in urls
    assert "/1.0/templates/debian%2Fbookworm%2Fcloud" in urls
    assert "/1.0/templates/debian%2Ftrixie" in urls
    objects = {t["name"]: t for t in rest.read("templates", query={"recursion": 1})}
    assert len(objects) == len(urls)
    cloud = objects["debian/bookworm/cloud"]
    assert "debian/12/cloud" in cloud["aliases"]
    assert "cloud-init" in cloud["packages"]
    assert cloud["init"] == "systemd"


@pytest.mark.host_only("which image a name stands for")
def test_show_takes_any_name(rest):
    shown = [rest.read(f"templates/{n.replace('/', '%2F')}") for n in ("debian", "debian/12", "debian/bookworm")]
    assert shown[0] == shown[1] == shown[2]
    assert shown[0]["name"] == "debian/bookworm"
    assert "systemd-networkd.service" in shown[0]["services"]["enable"]
    assert "/etc/hostname" in shown[0]["templates"]


@pytest.mark.host_only("turned away before anything reaches the kernel")
@pytest.mark.parametrize("name, status", [("nix", 404), ("debian%2F99", 404), ("debian%2F12%2Fnix", 404), ("..", 400),
                                          ("%2E%2E%2Fetc", 400), ("a%2Fb%2Fc%2Fd", 400), ("x" * 200, 400), ("A", 400)])
def test_names_that_mean_nothing(rest, name, status):
    reply = rest.get(f"templates/{name}")
    assert reply.status == status, reply


@pytest.mark.host_only("turned away before anything reaches the kernel")
@pytest.mark.parametrize("source", [{}, {"name": 5}, {"name": ""}, {"name": "../x"}, {"name": "busybox", "rebuild": "x"},
                                    {"name": "busybox; reboot"}, {"name": "--help"}])
def test_bad_build_requests(rest, source):
    rest.refused("POST", "images", {"source": {"type": "template", **source}})


# ---- building
@pytest.mark.skipif(not os.path.exists("/bin/busybox"), reason="busybox-static is not installed")
def test_busybox_is_built_once_and_small(rest, daemon):
    drop_image(rest, "busybox")
    first = build(rest, "busybox")
    assert first["cached"] is False
    assert int(first["size"]) < 2 << 20
    again = build(rest, "busybox")
    assert again["cached"] is True and again["fingerprint"] == first["fingerprint"]
    image = rest.read(f"images/{first['fingerprint']}")
    assert [a["name"] for a in image["aliases"]] == ["busybox"]
    assert image["properties"]["os"] == "busybox"
    assert image["properties"]["serial"]
    assert rest.read("templates/busybox")["fingerprint"] == first["fingerprint"]
    assert scratch(daemon) == []


@pytest.mark.host_only("which image a name stands for")
@pytest.mark.skipif(not os.path.exists("/bin/busybox"), reason="busybox-static is not installed")
def test_rebuild_moves_the_alias(rest):
    first = build(rest, "busybox")
    time.sleep(1.1)  # another second is another creation date
    second = build(rest, "busybox", rebuild=True)
    assert second["cached"] is False and second["fingerprint"] != first["fingerprint"]
    assert rest.read("images/aliases/busybox")["target"] == second["fingerprint"]
    rest.change("DELETE", f"images/{first['fingerprint']}")


@pytest.mark.host_only("who leads a build, and who waits for it")
@pytest.mark.skipif(not os.path.exists("/bin/busybox"), reason="busybox-static is not installed")
def test_equal_requests_share_one_build(rest):
    drop_image(rest, "busybox")
    ops = [rest.start_op("POST", "images", BUILD) for _ in range(8)]
    prints = {rest.wait(op)["metadata"]["fingerprint"] for op in ops}
    assert len(prints) == 1


@pytest.mark.host_only("which image a name stands for")
def test_an_own_alias_of_that_name_wins(rest, image):
    drop_image(rest, "busybox")
    target = rest.read(f"images/aliases/{image}")["target"]
    rest.change("POST", "images/aliases", {"name": "busybox", "target": target, "description": ""})
    try:
        assert build(rest, "busybox") == {"fingerprint": target, "size": rest_size(rest, target), "cached": True}
    finally:
        rest.change("DELETE", "images/aliases/busybox")


def rest_size(rest, fingerprint):
    return str(rest.read(f"images/{fingerprint}")["size"])


# ---- builds that do not end well
class SilentMirror:
    """Takes connections and never answers."""

    def __enter__(self):
        self.sock = socket.create_server(("127.0.0.1", 0))
        self.held = []
        threading.Thread(target=self.run, daemon=True).start()
        return f"http://127.0.0.1:{self.sock.getsockname()[1]}/debian"

    def run(self):
        try:
            while True:
                self.held.append(self.sock.accept()[0])
        except OSError:
            pass

    def __exit__(self, *_):
        self.sock.close()
        for conn in self.held:
            conn.close()


@pytest.fixture
def mirror_daemon(monkeypatch):
    """Factory: a daemon whose Debian mirror is the given URL."""
    before = HostState()
    made = []

    def make(mirror):
        monkeypatch.setenv("LXM_DEBIAN_MIRROR", mirror)
        made.append(Daemon("mirror"))
        return made[-1].start()

    yield make
    for daemon in made:
        problems = daemon.end(before)
        assert not problems, "\n".join(problems)


def start_debian(daemon):
    op = daemon.rest.start_op("POST", "images", {"source": {"type": "template", "name": "debian/12"}})
    wait_until(lambda: builders(daemon), 20 * SLOW, lambda: daemon.log_tail())
    return op


@needs_mmdebstrap
def test_a_dead_mirror_is_told(mirror_daemon):
    daemon = mirror_daemon("http://127.0.0.1:9/debian")
    with pytest.raises(OperationFailed) as failed:
        build(daemon.rest, "debian/12")
    assert "build template 'debian/bookworm'" in str(failed.value)
    assert "127.0.0.1" in str(failed.value)
    assert scratch(daemon) == [] and builders(daemon) == []
    logs = list(daemon.dir.glob("**/template-debian-bookworm.log"))
    assert logs and "127.0.0.1" in logs[0].read_text()


@pytest.mark.host_only("turned away before anything reaches the kernel")
@needs_mmdebstrap
@pytest.mark.parametrize("mirror", ["/etc", "deb http://x y main", "http://x/ [trusted=yes]", "ftp://x"])
def test_a_mirror_that_is_no_url_is_refused(mirror_daemon, mirror):
    daemon = mirror_daemon(mirror)
    with pytest.raises(OperationFailed, match="is not the URL of a mirror"):
        build(daemon.rest, "debian/12")
    assert scratch(daemon) == []


@needs_mmdebstrap
def test_a_cancelled_build_leaves_nothing(mirror_daemon):
    with SilentMirror() as url:
        daemon = mirror_daemon(url)
        op = start_debian(daemon)
        assert daemon.rest.delete(f"operations/{op['id']}").status == 200
        with pytest.raises(OperationFailed):
            daemon.rest.wait(op)
        assert daemon.rest.read("images") == []
        assert scratch(daemon) == [] and builders(daemon) == []


@pytest.mark.host_only("who leads a build, and who waits for it")
@needs_mmdebstrap
def test_the_next_caller_takes_a_cancelled_build_over(mirror_daemon):
    with SilentMirror() as url:
        daemon = mirror_daemon(url)
        first, second = start_debian(daemon), start_debian(daemon)
        led_by_first = {pid for pid, _ in builders(daemon)}
        assert daemon.rest.delete(f"operations/{first['id']}").status == 200
        wait_until(lambda: builders(daemon) and not led_by_first & {pid for pid, _ in builders(daemon)}, 20 * SLOW)
        assert daemon.rest.delete(f"operations/{second['id']}").status == 200
        wait_until(lambda: not builders(daemon), 20 * SLOW)


@needs_mmdebstrap
def test_kill_9_ends_the_build_too(mirror_daemon):
    with SilentMirror() as url:
        daemon = mirror_daemon(url)
        start_debian(daemon)
        daemon.kill()
        wait_until(lambda: not builders(daemon), 10 * SLOW)
        daemon.start()
        assert scratch(daemon) == []
        assert daemon.rest.read("images") == []


# ---- what is inside
CLOUD = """\
#cloud-config
users:
  - name: joe
runcmd: [[sh, -c, "echo cloud-init was here > /root/mark"]]
"""


@needs_mmdebstrap
@pytest.mark.slow
@pytest.mark.timeout(900)
def test_cloud_applies_user_data_and_makes_its_own_keys(session_daemon, instance):
    image = templates.ensure(session_daemon, "debian/bookworm/cloud")
    one = instance(image=image, config={"cloud-init.user-data": CLOUD})
    two = instance(image=image)
    for inst in (one, two):
        done = inst.exec("cloud-init", "status", "--wait", timeout=120)
        assert b"done" in done.out, done
    assert one.sh("cat /root/mark").strip() == "cloud-init was here"
    assert one.sh("id -un joe").strip() == "joe"
    assert two.exec("test", "-e", "/root/mark").code != 0
    keys = {inst.sh("cat /etc/ssh/ssh_host_ed25519_key.pub").split()[1] for inst in (one, two)}
    assert len(keys) == 2
    assert one.sh("systemctl is-system-running --wait").strip() == "running"
    assert one.sh("ss -Hltn 'sport = :22'").strip()


@needs_mmdebstrap
@pytest.mark.slow
@pytest.mark.timeout(900)
def test_debian_holds_no_secret_and_no_identity(session_daemon, instance):
    image = templates.ensure(session_daemon, "debian/bookworm")
    one, two = instance(image=image), instance(image=image)
    assert one.sh("getent shadow root | cut -d: -f2").strip() in ("*", "!", "!*", "*!")
    ids = set()
    for inst in (one, two):
        wait_until(lambda: len(inst.sh("cat /etc/machine-id").strip()) == 32, 60 * SLOW, lambda: "no machine-id")
        ids.add(inst.sh("cat /etc/machine-id"))
    assert len(ids) == 2
    assert one.sh("find / -xdev \\( -type b -o -type c \\) | head -n 3") == ""
    assert one.sh("ls /etc/dpkg/dpkg.cfg.d /etc/apt/apt.conf.d").find("mmdebstrap") < 0
    wait_until(lambda: one.sh("pgrep -x agetty || true").strip(), 20, lambda: "no login on the console")
    assert one.sh(". /etc/default/locale; echo $LANG").strip() == "C.UTF-8"
