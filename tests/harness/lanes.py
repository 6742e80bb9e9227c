"""Several pytest processes side by side (pytest-xdist): each lane has a session daemon of its own and takes one file after the
other, the heaviest first (tests/seconds).

- A test marked `alone` runs while no other lane runs a test; who asks for that goes before who does not.
- Files that use own_routes follow each other in one lane: they would wait for each other.
- When all lanes have ended, the host must be as it was. A lane by itself can only judge what is surely its own.
- Who ends the run with SIGTERM learns what ran.

LXM_SECONDS=FILE writes down how long each file took.
"""
import contextlib
import fcntl
import os
import signal
import time
from pathlib import Path

import pytest

from . import files
from .daemon import remove_stale
from .host import HostState, processes

LEFT = 6  # exit status of pytest: something stayed on the host


def is_whole(config):
    """Is this the process that was called, and not one of its lanes?"""
    return not hasattr(config, "workerinput")


def setup(config):
    """Called once in each process, before anything is collected."""
    part = Whole(config) if is_whole(config) else Lane(config)
    config.pluginmanager.register(part, "lxm-lanes")


class Lane:
    """In each of the processes that run tests side by side."""

    def __init__(self, config):
        self.gate, self.running = lock_files(config.workerinput["testrunuid"])

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, items):
        """The same order in all lanes."""
        seconds = files.Seconds(files.TOP / "tests/seconds")
        weight = {path: seconds.of(str(path.relative_to(files.TOP))) for path in {item.path for item in items}}
        items.sort(key=lambda item: -weight[item.path])

    @pytest.hookimpl(hookwrapper=True, tryfirst=True)
    def pytest_runtest_protocol(self, item):
        with open(self.running, "w") as running:
            if item.get_closest_marker("alone"):
                with locked(self.gate, fcntl.LOCK_EX):
                    fcntl.flock(running, fcntl.LOCK_EX)
                    yield
            else:
                with locked(self.gate, fcntl.LOCK_SH):
                    fcntl.flock(running, fcntl.LOCK_SH)
                yield


class Whole:
    """In the process that was called: it shares out the files, or runs all tests itself."""

    def __init__(self, config):
        self.lanes = bool(getattr(config.option, "numprocesses", None))
        self.run = str(os.getpid())
        self.now = {}  # test: when it began
        self.left = []
        signal.signal(signal.SIGTERM, self.cut_off)
        remove_stale()
        if self.lanes:
            config.option.testrunuid = self.run
            self.before = HostState()

    def cut_off(self, _signal, _frame):
        lines = [f"{time.time() - began:6.0f} s  {test}\n" for test, began in self.now.items()]
        os.write(2, f"\nended while there ran:\n{''.join(lines)}".encode())
        raise KeyboardInterrupt

    def pytest_runtest_logstart(self, nodeid):
        self.now[nodeid] = time.time()

    def pytest_runtest_logfinish(self, nodeid):
        self.now.pop(nodeid, None)

    @pytest.hookimpl(optionalhook=True)
    def pytest_xdist_make_scheduler(self, config, log):
        from xdist.scheduler import LoadFileScheduling

        routes = {path.name for path in (files.TOP / "tests").glob("*/test_*.py") if '"own_routes"' in path.read_text()}

        class ByFile(LoadFileScheduling):
            def _split_scope(self, nodeid):
                path = super()._split_scope(nodeid)
                return "own_routes" if os.path.basename(path) in routes else path

        return ByFile(config, log)

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, session):
        if not self.lanes:
            return
        for path in lock_files(self.run):
            Path(path).unlink(missing_ok=True)
        self.left = left_by_all(self.before)
        if self.left:
            session.exitstatus = LEFT

    def pytest_terminal_summary(self, terminalreporter):
        if self.left:
            terminalreporter.section("left behind by the lanes together")
            for line in self.left:
                terminalreporter.line(line)
        if os.environ.get("LXM_SECONDS"):
            reports = [r for kind in terminalreporter.stats.values() for r in kind if hasattr(r, "duration")]
            files.write_seconds(os.environ["LXM_SECONDS"], reports)


def lock_files(run):
    """To ask at the gate, and to hold while a test runs."""
    return f"/tmp/lxm-lanes-{run}.gate", f"/tmp/lxm-lanes-{run}.running"


@contextlib.contextmanager
def locked(path, how):
    with open(path, "w") as lock:
        fcntl.flock(lock, how)
        yield


def left_by_all(before, patience=5):
    """What has come to stay on the host; nothing is said beside daemons of others, whose things come and go."""
    end = time.monotonic() + patience
    while True:
        left = HostState().left_since(before)
        if not left or before.processes or time.monotonic() > end:
            return [] if before.processes or processes() else left
        time.sleep(0.2)
