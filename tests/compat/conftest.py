"""Fixtures of the compatibility suite: real, unmodified clients against one server.

The server is lxmd from the build tree or, with LXM_COMPAT=lxd, a private LXD of Debian's package in a temporary
LXD_DIR; a test that holds for only one of them is a mistake of the test or a line in doc/compatibility.md.

    server      the one under test: server.run(argv), server.lxc(...), server.ok(...), server.rest, server.is_lxd
    lxc         server.lxc: lxc("list").out; ok("list") is the output of a command that has to succeed
    image       alias of a busybox image
    box         name of a running instance that all tests of a file share: leave it as it was
    fresh       fresh("--config", "a=b") inits a stopped instance and removes it after the test
    thing       thing("profile") is a new name; the object of that name is deleted after the test
    served      the server under test, listening on TLS at served.address
    second      another server of the same kind that listens on TLS, with a Server object of its own
"""
import contextlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from bench.subject import Lxd  # noqa: E402
from harness import images  # noqa: E402
from harness.daemon import SLOW, Daemon, Run  # noqa: E402
from harness.host import HostState  # noqa: E402
from harness.instance import fresh_name  # noqa: E402
from harness.tls import free_port  # noqa: E402

IMAGE = "bb"
ON_LXD = os.environ.get("LXM_COMPAT") == "lxd"


def pytest_ignore_collect(collection_path, config):
    """Without Debian's client there is nothing to compare."""
    return not shutil.which("lxc")


def pytest_collection_modifyitems(items):
    for item in items:
        missing = item.get_closest_marker("lxmd_lacks")
        if missing and not ON_LXD:
            item.add_marker(pytest.mark.xfail(reason=missing.args[0], strict=True))


class Server:
    """A server with clients pointed at it. `where` is the directory that has its unix.socket."""

    def __init__(self, where, rest, env):
        self.dir = Path(where)
        self.rest = rest
        self.env = env
        self.is_lxd = ON_LXD
        self.address = None

    @property
    def socket(self):
        return self.dir / "unix.socket"

    def run(self, argv, stdin=None, timeout=60, text=True, **env):
        data = stdin if stdin is not None else ("" if text else b"")
        proc = subprocess.run([str(a) for a in argv], input=data, capture_output=True, text=text,
                              timeout=timeout * SLOW, env=dict(self.env, **env))
        return Run(proc)

    def lxc(self, *argv, **kw):
        return self.run(["lxc", *argv], **kw)

    def ok(self, *argv, **kw):
        """Output of a lxc command that has to succeed."""
        done = self.lxc(*argv, **kw)
        assert done.code == 0, f"lxc {' '.join(map(str, argv))}: {done}"
        return done.out

    def fails(self, *argv, **kw):
        """What a lxc command that has to fail said."""
        done = self.lxc(*argv, **kw)
        assert done.code not in (0, 2) and done.err.strip(), f"lxc {' '.join(map(str, argv))}: {done}"
        return done.err

    def serve(self):
        """Has it listen on TLS, at self.address."""
        self.address = f"127.0.0.1:{free_port()}"
        self.ok("config", "set", f"core.https_address={self.address}")
        return self

    def retire(self):
        """No listener, no trusted certificates."""
        self.ok("config", "unset", "core.https_address")
        self.address = None
        for url in self.rest.read("certificates"):
            self.rest.change("DELETE", url)


def lxd_server():
    lxd = Lxd(driver="dir")
    try:
        yield Server(lxd.dir, lxd.rest, dict(lxd.env(), LXD_SOCKET=str(lxd.dir / "unix.socket")))
    finally:
        lxd.close()


def lxmd_server():
    before = HostState()
    daemon = Daemon("compat")
    try:
        daemon.start().init()
        bridges = {n["name"] for n in daemon.rest.read("networks", query={"recursion": 1}) if n["managed"]}
        yield Server(daemon.dir, daemon.rest, daemon.env(LXD_DIR=str(daemon.dir)))
    finally:
        problems = daemon.end(before, {f"link: {b}" for b in bridges})
        assert not problems, "\n".join(problems)


@pytest.fixture(scope="session")
def server():
    if ON_LXD and not Lxd.installed():
        pytest.skip("LXM_COMPAT=lxd needs the package lxd")
    yield from (lxd_server() if ON_LXD else lxmd_server())


@pytest.fixture(scope="session")
def served(server):
    yield server.serve()
    server.retire()


@pytest.fixture(scope="session")
def second(server):
    with contextlib.contextmanager(lxd_server if ON_LXD else lxmd_server)() as another:
        yield another.serve()
        another.retire()


@pytest.fixture(scope="session")
def lxc(server):
    return server.lxc


@pytest.fixture(scope="session")
def ok(server):
    return server.ok


@pytest.fixture(scope="session")
def fails(server):
    return server.fails


@pytest.fixture(scope="session")
def image(server):
    if not images.have_busybox():
        pytest.skip("busybox-static is not installed")
    images.import_image(server.rest, images.busybox_tar(), IMAGE)
    return IMAGE


@pytest.fixture(scope="module")
def box(server, image):
    name = fresh_name("box")
    server.ok("launch", image, name)
    yield name
    server.lxc("delete", "--force", name)


@pytest.fixture
def fresh(server, image):
    made = []

    def make(*argv, verb="init", name=None):
        name = name or fresh_name("c")
        made.append(name)
        server.ok(verb, image, name, *argv)
        return name

    yield make
    for name in made:
        server.lxc("delete", "--force", name)


DELETE = {
    "instance": ("delete", "--force"), "profile": ("profile", "delete"), "network": ("network", "delete"),
    "project": ("project", "delete"), "storage": ("storage", "delete"), "image": ("image", "delete"),
    "alias": ("image", "alias", "delete"), "volume": ("storage", "volume", "delete", "default"),
}


@pytest.fixture
def thing(server):
    made = []

    def name(kind):
        made.append((kind, fresh_name(kind[0])))
        return made[-1][1]

    yield name
    for kind, what in reversed(made):
        server.lxc(*DELETE[kind], what)
