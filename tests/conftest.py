"""Fixtures of the system, security and fault suites: a private lxmd for the whole run and helpers around it.

    rest            the API: rest.get/post/put/patch/delete, rest.read, rest.change (waits), rest.events, rest.websocket
    lxmc, lxc       the command lines: lxmc("list", "-f", "json").out
    image           alias of a busybox image that is there
    instance        instance(start=True, name=None, config={}, ...) makes one and removes it after the test
    shared          a running instance for all tests of a file that leave it as it was; kept(start=False): a stopped one
    daemon          the running lxmd itself (daemon.dir, daemon.log, daemon.proc, daemon.lxmd("waitready"))
    own_daemon      another lxmd for one test that wants to kill, fill or break it
    host_state      host_state() looks at the host; later.left_since(earlier) names leaks

Environment: LXM_BUILD chooses the build directory (default build), LXM_KEEP=1 keeps the daemon's directory after a
failure, LXM_QUICK=1 leaves out what is marked slow, LXM_VM=1 what is marked host_only. After LXM_END (seconds since 1970) no test
begins. With `-n 2` two lanes run side by side (harness/lanes.py).
"""
import os
import signal
import socket
import subprocess
import sys
import time
from urllib.parse import urlsplit

import pytest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from harness import images, lanes  # noqa: E402
from harness.daemon import SLOW, Daemon  # noqa: E402
from harness.host import HostState, alone  # noqa: E402
from harness.instance import Instance, fresh_name  # noqa: E402

IMAGE = "testimage"
END = float(os.environ.get("LXM_END", "inf"))  # seconds since 1970
NO_TURN = "no turn: time is up"


# ---- the run as a whole
def pytest_configure(config):
    if os.geteuid() != 0:
        pytest.exit("the system suites start containers: run them as root", 2)
    if not os.access(Daemon.bin("lxmd"), os.X_OK):
        pytest.exit(f"{Daemon.bin('lxmd')} is not built: run make", 2)
    # a shell that runs the suite in its background ignores it, and so would all that tests start
    signal.signal(signal.SIGINT, signal.default_int_handler)
    lanes.setup(config)


def pytest_collection_modifyitems(config, items):
    quick = os.environ.get("LXM_QUICK")
    offline = None
    if os.environ.get("LXM_VM"):
        config.hook.pytest_deselected(items=[item for item in items if item.get_closest_marker("host_only")])
        items[:] = [item for item in items if not item.get_closest_marker("host_only")]
    for item in items:
        if quick and item.get_closest_marker("slow"):
            item.add_marker(pytest.mark.skip(reason="LXM_QUICK"))
        if item.get_closest_marker("network"):
            offline = not way_out() if offline is None else offline
            if offline:
                item.add_marker(pytest.mark.skip(reason="no way out of this machine"))


def way_out():
    """Can the mirror that apt uses on this host be reached?"""
    sites = subprocess.run(["apt-get", "indextargets", "--format", "$(SITE)"], capture_output=True, text=True).stdout
    for site in sites.split():
        url = urlsplit(site)
        try:
            socket.create_connection((url.hostname, url.port or (443 if url.scheme == "https" else 80)), 3).close()
            return True
        except OSError:
            continue
    return False


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_call(item):
    """No test hangs the run: after its time it gets a TimeoutError where it stands."""
    marker = item.get_closest_marker("timeout")
    seconds = (marker.args[0] if marker else 120) * SLOW
    seconds = max(1, int(min(seconds, END - time.time())))

    def late(_signal, _frame):
        raise TimeoutError(f"test took longer than {seconds} s")

    before = signal.signal(signal.SIGALRM, late)
    signal.alarm(seconds)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item):
    if time.time() > END:
        pytest.skip(NO_TURN)


def pytest_runtest_teardown(item):
    if time.time() > END and os.environ.get("LXM_VM"):  # tests/vm/run knows what should have run
        item.session.shouldstop = "time is up"


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    """A failure shows what the daemon logged since the test began."""
    outcome = yield
    report = outcome.get_result()
    daemon = item.funcargs.get("own_daemon") or item.funcargs.get("daemon") if hasattr(item, "funcargs") else None
    if daemon and report.failed:
        lines = daemon.log_tail(100000, getattr(item, "log_start", 0)).splitlines(keepends=True)
        told = [line for line in lines if "debug   GET" not in line]  # tests that wait ask all the time
        report.sections.append(("lxmd log", "".join(told)[-6000:]))
    if report.failed and os.environ.get("LXM_VM"):  # at once: the machine may not come to its end
        item.config.get_terminal_writer().line(f"\n{report.longreprtext[-1500:]}")


# ---- daemon
@pytest.fixture(scope="session")
def session_daemon():
    before = HostState()
    daemon = Daemon()
    bridges = set()
    try:
        daemon.start().init()
        bridges = {n["name"] for n in daemon.rest.read("networks", query={"recursion": 1}) if n["managed"]}
        yield daemon
    finally:
        problems = daemon.end(before, {f"link: {b}" for b in bridges})
        assert not problems, "\n".join(problems)


@pytest.fixture
def daemon(session_daemon, request):
    """The session's lxmd; a test that finds it dead brings it back so that one crash fails one test."""
    if not session_daemon.alive():
        session_daemon.proc = None
        session_daemon.start()
    request.node.log_start = session_daemon.log.stat().st_size
    yield session_daemon
    assert session_daemon.alive(), f"lxmd died\n{session_daemon.log_tail()}"


@pytest.fixture
def own_daemon():
    """A second lxmd, initialised, for tests that are hard on it."""
    before = HostState()
    daemon = Daemon("own")
    try:
        daemon.start().init()
        yield daemon
    finally:
        problems = daemon.end(before)
        assert not problems, "\n".join(problems)


@pytest.fixture(scope="module")
def bare():
    """An lxmd without pool, network or images, for tests of the server itself."""
    daemon = Daemon("bare")
    try:
        yield daemon.start()
        assert daemon.alive(), f"lxmd died\n{daemon.log_tail()}"
    finally:
        problems = daemon.discard()
        assert not problems, "\n".join(problems)


# ---- clients
@pytest.fixture
def rest(daemon):
    return daemon.rest


@pytest.fixture
def lxmc(daemon):
    return daemon.lxmc


@pytest.fixture
def lxc(daemon):
    return daemon.lxc


# ---- images and instances
@pytest.fixture(scope="session")
def busybox_tar():
    if not images.have_busybox():
        pytest.skip("busybox-static is not installed")
    return images.busybox_tar()


@pytest.fixture
def image(daemon, busybox_tar):
    if daemon.rest.get(f"images/aliases/{IMAGE}").status == 404:
        images.import_image(daemon.rest, busybox_tar, IMAGE)
    return IMAGE


def create(daemon, image, name=None, start=True, **body):
    """Makes an instance by REST; used by the fixture and by tests with a daemon of their own."""
    inst = Instance(daemon, name or fresh_name())
    daemon.rest.change("POST", "instances", timeout=60 * SLOW,
                       json={"name": inst.name, "source": {"type": "image", "alias": image}, **body})
    return inst.start() if start else inst


@pytest.fixture
def instance(daemon, image):
    """Factory: instance(start=True, name=None, config={...}, devices={...}, profiles=[...])."""
    made = []

    def make(**kw):
        name = kw.pop("name", None) or fresh_name()
        made.append(Instance(daemon, name))
        return create(daemon, kw.pop("image", image), name=name, **kw)

    yield make
    for inst in reversed(made):
        if daemon.alive():
            inst.remove()


@pytest.fixture(scope="module")
def kept(session_daemon, busybox_tar):
    """Factory: kept(start=True) is the one running, or stopped, busybox instance of all tests of a file that ask for it."""
    made = {}

    def get(start=True):
        if session_daemon.rest.get(f"images/aliases/{IMAGE}").status == 404:
            images.import_image(session_daemon.rest, busybox_tar, IMAGE)
        if start not in made:
            made[start] = create(session_daemon, IMAGE, start=start)
        return made[start]

    yield get
    for inst in made.values():
        if session_daemon.alive():
            inst.remove()


@pytest.fixture
def shared(daemon, kept):
    """A running instance for tests that leave it as it was, but for files of their own; the same for the whole file."""
    return kept()


@pytest.fixture(scope="module")
def own_routes():
    """For tests whose addresses or names of bridges are fixed: no other run of the suites on this host has them meanwhile."""
    with alone("routes"):
        yield


@pytest.fixture
def host_state():
    return HostState


def no_turn(terminalreporter):
    """Tests that did not begin because time was up."""
    return [r.nodeid for r in terminalreporter.getreports("skipped") if NO_TURN in str(r.longrepr)]


def pytest_sessionfinish(session):
    terminal = session.config.pluginmanager.getplugin("terminalreporter")
    if lanes.is_whole(session.config) and terminal and no_turn(terminal):
        session.exitstatus = pytest.ExitCode.INTERRUPTED


def pytest_terminal_summary(terminalreporter):
    """Adds "passed failed" to the file LXM_COUNTS, from which tests/check makes its closing line."""
    if not lanes.is_whole(terminalreporter.config):
        return
    waiting = no_turn(terminalreporter)
    if waiting:
        terminalreporter.line(f"TIME IS UP: {len(waiting)} tests had no turn, from {waiting[0]} on")
    path = os.environ.get("LXM_COUNTS")
    if path:
        count = {kind: len(terminalreporter.getreports(kind)) for kind in ("passed", "failed", "error")}
        with open(path, "a") as f:
            f.write(f"{count['passed']} {count['failed'] + count['error'] + len(waiting)}\n")
