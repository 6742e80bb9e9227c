"""No link, race or special file of a container misleads the files verbs: the host is untouched, clients never hang."""
import os
import stat
import threading
import time
import uuid
from pathlib import Path

import pytest

from harness import sftp as s
from harness.sftp import Sftp, SftpError, string


@pytest.fixture(params=["running", "stopped"])
def state(request):
    return request.param


@pytest.fixture
def secret(tmp_path):
    """A file of the host that a container's links point to, by every name they could try."""
    os.chmod(tmp_path, 0o777)
    path = tmp_path / f"secret-{uuid.uuid4()}"
    path.write_text("of the host")
    os.chmod(path, 0o666)
    before = path.stat()
    yield path
    assert path.read_text() == "of the host"
    after = path.stat()
    assert (after.st_uid, after.st_mode, after.st_mtime_ns) == (before.st_uid, before.st_mode, before.st_mtime_ns)
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


def prepare(instance, state, script):
    inst = instance()
    inst.sh(script)
    if state == "stopped":
        inst.stop()
    return inst


def request(inst, method, path, **kw):
    return inst.rest.request(method, f"{inst.path}/files?path={path}", timeout=30, **kw)


def hostile_links(secret):
    deep = "../" * 30
    return {
        "absolute": str(secret), "dots": f"{deep}{str(secret).lstrip('/')}", "proc": f"/proc/self/root{secret}",
        "one": f"/proc/1/root{secret}", "cwd": f"/proc/self/cwd/{deep}{str(secret).lstrip('/')}", "thread": f"/proc/thread-self/root{secret}",
        "dir": str(secret.parent), "fd": "/proc/self/fd/3", "fd6": "/proc/self/fd/6",
    }


def test_links_stay_inside(instance, daemon, state, secret):
    links = hostile_links(secret)
    inst = prepare(instance, state, "mkdir /l; cd /l; " + "; ".join(f"ln -s '{to}' {name}" for name, to in links.items()))
    headers = {"X-LXD-uid": "0", "X-LXD-mode": "0777"}
    with Sftp(daemon, inst.name) as c:
        for name in links:
            for path in (f"/l/{name}", f"/l/{name}/{secret.name}", f"/l/{name}/../{secret.name}"):
                reply = request(inst, "GET", path)
                assert b"of the host" not in reply.body
                request(inst, "POST", path, data=b"overwritten", headers=headers)
                request(inst, "POST", path + "/new", data=b"new", headers=headers)
                request(inst, "POST", path + "/newdir", data=b"", headers={**headers, "X-LXD-type": "directory"})
                for kind, *rest in ((s.SETSTAT, s.attrs(mode=0o777, ids=(0, 0))), (s.MKDIR, s.NO_ATTRS), (s.RMDIR,), (s.STAT,),
                                    (s.OPENDIR,)):
                    try:
                        c.ask(kind, string(path), *rest)
                    except (SftpError, AssertionError):
                        pass
                try:
                    assert c.get(path) != b"of the host"
                    c.put(path, b"overwritten")
                except SftpError:
                    pass
                for a, b in ((path, "/l/stolen"), ("/etc/inittab", path)):
                    for ext in ("hardlink@openssh.com", "posix-rename@openssh.com"):
                        try:
                            c.ask(s.EXTENDED, string(ext), string(a), string(b))
                        except SftpError:
                            pass
                request(inst, "DELETE", f"/l/{name}/{secret.name}")


def test_magic_links_are_not_followed(instance, daemon):
    inst = instance()
    with Sftp(daemon, inst.name) as c:
        for path in ("/proc/1/root/etc/inittab", "/proc/1/cwd/etc/inittab", "/proc/1/exe", "/proc/1/fd/0", "/proc/1/ns/mnt"):
            with pytest.raises(SftpError):
                c.get(path)
            assert request(inst, "GET", path).status in (200, 400, 403, 404)
            assert request(inst, "POST", path, data=b"x").status >= 400


def test_dots_end_at_the_root(instance, state):
    inst = prepare(instance, state, "echo inside > /marker")
    for path in ("/../../../marker", "../../marker", "/tmp/../../../../marker"):
        assert request(inst, "GET", path).body == b"inside\n"


def test_race_of_directory_and_link(instance, daemon, secret):
    """A directory is swapped with a link to the host's path while a client writes into it."""
    inst = instance()
    inst.sh("mkdir -p /r/real; ln -s %s /r/link; cp -r /r/real /r/x" % secret.parent)
    loop = "while [ ! -e /stop ]; do rm -rf /r/x; ln -s %s /r/x; rm -f /r/x; mkdir /r/x; done" % secret.parent
    done = []
    thread = threading.Thread(target=lambda: done.append(inst.exec("sh", "-c", loop, timeout=60)))
    thread.start()
    end = time.monotonic() + 4
    with Sftp(daemon, inst.name) as c:
        while time.monotonic() < end:
            request(inst, "POST", f"/r/x/{secret.name}", data=b"overwritten")
            request(inst, "DELETE", f"/r/x/{secret.name}")
            for verb in (lambda: c.put(f"/r/x/{secret.name}", b"overwritten"), lambda: c.ask(s.MKDIR, string("/r/x/new"), s.NO_ATTRS),
                         lambda: c.ask(s.REMOVE, string(f"/r/x/{secret.name}")),
                         lambda: c.ask(s.SETSTAT, string(f"/r/x/{secret.name}"), s.attrs(mode=0o777, ids=(0, 0)))):
                try:
                    verb()
                except SftpError:
                    pass
    inst.sh("touch /stop")
    thread.join()


def test_special_files_neither_hang_nor_open(instance, daemon, state):
    """Pipes without a peer, sockets, and device nodes that an image brought: refused at once."""
    inst = prepare(instance, state, "mkfifo /pipe; ln -s /pipe /l")
    begin = time.monotonic()
    for path in ("/pipe", "/l"):
        request(inst, "POST", path, data=b"x")
    assert request(inst, "GET", "/pipe").status == 400
    with Sftp(daemon, inst.name) as c:
        for flags in (s.F_READ, s.F_WRITE, s.F_WRITE | s.F_CREAT | s.F_TRUNC):
            with pytest.raises(SftpError):
                c.open("/l", flags)
        with pytest.raises(SftpError):
            c.ask(s.SETSTAT, string("/pipe"), s.attrs(size=0))
        assert stat.S_ISFIFO(c.stat("/l").mode)
    assert time.monotonic() - begin < 5


def test_host_device_in_a_privileged_root(instance, daemon, rest):
    """A node of a host's device in the root of a privileged instance can be seen and not opened, running or stopped."""
    inst = instance(config={"security.privileged": "true"})
    inst.sh("mknod /null c 1 3; mknod /kmsg c 1 11")
    for _ in range(2):
        for path in ("/null", "/kmsg"):
            assert request(inst, "GET", path).status == 400
            assert request(inst, "POST", path, data=b"x").status == 400
        with Sftp(daemon, inst.name) as c, pytest.raises(SftpError):
            c.open("/kmsg")
        if inst.status == "Running":
            inst.stop()


def test_set_user_id_is_the_containers(instance, daemon):
    """Set-user-ID of uid 0 on a stopped instance's files is that of its root: on disk it lies below a directory of root alone."""
    inst = instance(start=False)
    assert request(inst, "POST", "/suid", data=b"#!/bin/sh\n", headers={"X-LXD-mode": "4755"}).status == 200
    found = []
    for top, _, names in os.walk(daemon.dir / "pools" if (daemon.dir / "pools").exists() else daemon.dir):
        if "suid" in names:
            found.append(top)
    for top in found:
        parts = [os.path.join("/", *top.split("/")[1:i]) for i in range(2, len(top.split("/")) + 1)]
        assert any(os.stat(p).st_mode & 0o001 == 0 for p in parts), "nobody but root reaches it"


FILE_CAPS = sum(1 << n for n in range(5))  # CHOWN, DAC_OVERRIDE, DAC_READ_SEARCH, FOWNER, FSETID


def helpers(daemon):
    """status of each lxm-helper that the daemon has started"""
    for path in Path("/proc").glob("[0-9]*/status"):
        try:
            status = dict(line.split(":\t", 1) for line in path.read_text().splitlines())
        except OSError:
            continue
        if status["Name"] == "lxm-helper" and int(status["PPid"]) == daemon.proc.pid:
            yield status


def test_helper_may_what_concerns_files_and_no_more(instance, daemon, state):
    inst = prepare(instance, state, "true")
    with Sftp(daemon, inst.name) as c:
        c.stat("/")
        found = list(helpers(daemon))
        assert found
        for status in found:
            assert (int(status["CapPrm"], 16), int(status["CapEff"], 16), int(status["NoNewPrivs"])) == (FILE_CAPS, FILE_CAPS, 1)


def test_helper_shows_nothing_of_the_host_inside(instance, daemon):
    inst = instance()
    with Sftp(daemon, inst.name) as c:
        c.stat("/")
        assert "lxm-helper" not in inst.sh("cat /proc/[0-9]*/comm")
