"""A private lxmd in a directory of its own, started from the build tree, with everything gone at the end."""
import contextlib
import fcntl
import os
import re
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path

from . import host
from .rest import Rest

TOP = Path(__file__).resolve().parents[2]
BUILD = TOP / os.environ.get("LXM_BUILD", "build")
# how much longer things may take: instrumented builds, and emulated machines (tests/vm)
SLOW = int(os.environ.get("LXM_SLOW") or (4 if "san-" in BUILD.name else 1))

REPORT = re.compile(r"AddressSanitizer|ThreadSanitizer|LeakSanitizer|UndefinedBehaviorSanitizer|runtime error: |"
                    r"\bBUG\b|Assertion .* failed")


OWNER = "owner"  # in a daemon's directory: a file that is locked while the process lives that made it


def remove_stale():
    """Directories that killed runs have left, and that nothing on the host has any use for."""
    for path in Path("/tmp").glob(f"lxm-*/{OWNER}"):
        with contextlib.suppress(OSError), open(path) as owner:
            fcntl.flock(owner, fcntl.LOCK_EX | fcntl.LOCK_NB)
            top = str(path.parent)
            if not any(top in word for found in host.processes().values() for word in found) and not any(top in line for line in host.mounts()):
                shutil.rmtree(top, ignore_errors=True)


class Run:
    """What a finished command said."""

    def __init__(self, proc):
        self.code = proc.returncode
        self.out = proc.stdout
        self.err = proc.stderr

    def __repr__(self):
        return f"<Run exit={self.code} out={self.out!r} err={self.err!r}>"


class Daemon:
    """One lxmd. `start`, `stop` and `kill` may be called as often as a test likes."""

    prefix = ()  # a program that ends in executing lxmd

    def __init__(self, name="t", parent="/tmp"):
        self.dir = Path(tempfile.mkdtemp(prefix=f"lxm-{name}-", dir=parent))
        self.owner = self._own() if parent == "/tmp" else None
        os.chmod(self.dir, 0o711)
        self.log = self.dir / "lxmd.log"
        self.reports = self.dir / "reports"
        self.reports.mkdir()
        self.socket = self.dir / "unix.socket"
        self.proc = None
        self.rest = Rest(self.socket)
        self.home = self.dir / "home"
        self.home.mkdir()
        self.noted = []  # findings in logs that are gone by now
        self.kernel_names = set()  # cgroups and host ends of NICs that its instances had

    def _own(self):
        """See remove_stale(): it must not find the file before that is locked."""
        new = self.dir / f"{OWNER}.new"
        owner = open(new, "w")
        fcntl.flock(owner, fcntl.LOCK_EX)
        new.rename(self.dir / OWNER)
        return owner

    # ---- environment and programs
    def env(self, **more):
        env = {k: v for k, v in os.environ.items() if not k.startswith(("LXD_", "LXC_", "LXMC_", "LXMD_", "INCUS_"))}
        where = f"log_path={self.reports}/san"
        env.update(LXMD_DIR=str(self.dir), LXMC_CONF=str(self.home / "lxmc"), HOME=str(self.home),
                   LXD_SOCKET=str(self.socket), LXD_CONF=str(self.home / "lxc"), INCUS_SOCKET=str(self.socket),
                   ASAN_OPTIONS=f"{where}:exitcode=99:detect_stack_use_after_return=1",
                   UBSAN_OPTIONS=f"{where}:print_stacktrace=1:halt_on_error=1",
                   TSAN_OPTIONS=f"{where}:exitcode=99:second_deadlock_stack=1:suppressions={TOP}/tests/tsan.supp")
        env.update(more)
        return env

    @staticmethod
    def bin(name):
        return str(BUILD / "bin" / name)

    def run(self, argv, stdin=None, timeout=60, check=False, text=True, **env):
        """Runs a program as a client of this daemon; `check` makes a failure an error."""
        data = stdin if stdin is not None else ("" if text else b"")
        proc = subprocess.run([str(a) for a in argv], input=data, capture_output=True, text=text,
                              timeout=timeout * SLOW, env=self.env(**env))
        done = Run(proc)
        assert not check or done.code == 0, f"{' '.join(map(str, argv))}: {done}"
        return done

    def lxmd(self, *argv, **kw):
        return self.run([self.bin("lxmd"), *argv], **kw)

    def lxmc(self, *argv, **kw):
        return self.run([self.bin("lxmc"), *argv], **kw)

    def lxc(self, *argv, **kw):
        return self.run(["lxc", *argv], **kw)

    # ---- life
    def start(self, *argv, debug=True, timeout=20):
        """Starts lxmd and waits until it serves."""
        assert self.proc is None, "daemon runs already"
        with open(self.log, "ab") as log:
            self.proc = subprocess.Popen([*self.prefix, self.bin("lxmd"), *(["--debug"] if debug else []), *argv], env=self.env(), stdin=subprocess.DEVNULL,
                                         stdout=log, stderr=log, start_new_session=True)
        ready = self.lxmd("waitready", f"--timeout={timeout * SLOW}", timeout=timeout + 5)
        if ready.code != 0 or self.proc.poll() is not None:
            raise AssertionError(f"lxmd did not come up: {ready}\n{self.log_tail()}")
        return self

    def init(self):
        """`lxmd init --auto`; one at a time on this host, because each looks for a free bridge and subnet."""
        with host.alone("init"):
            self.lxmd("init", "--auto", check=True)
        return self

    def stop(self, timeout=20):
        """Ends lxmd the polite way; containers stay."""
        if self.proc is None:
            return
        self.proc.send_signal(signal.SIGTERM)
        try:
            code = self.proc.wait(timeout * SLOW)
        except subprocess.TimeoutExpired:
            self.proc.kill()
            self.proc.wait()
            raise AssertionError(f"lxmd did not stop within {timeout * SLOW} s\n{self.log_tail()}")
        finally:
            self.proc = None
        assert code == 0, f"lxmd ended with {code}\n{self.log_tail()}"

    def kill(self):
        """kill -9."""
        self.proc.kill()
        self.proc.wait()
        self.proc = None

    def alive(self):
        return self.proc is not None and self.proc.poll() is None

    def log_tail(self, size=4000, since=0):
        try:
            with open(self.log, "rb") as f:
                f.seek(0, os.SEEK_END)
                f.seek(max(since, f.tell() - size))
                return f.read().decode(errors="replace")
        except OSError:
            return ""

    def findings(self):
        """Sanitizer reports and lines of the logs that only a bug can cause."""
        found = list(self.noted)
        for path in [self.log, *self.reports.glob("*"), *self.dir.glob("logs/**/*.log")]:
            found += self._scan(path)
        return found

    @staticmethod
    def _scan(path):
        if not path.is_file():
            return []
        lines = path.read_text(errors="replace").splitlines()
        hits = [i for i, line in enumerate(lines) if REPORT.search(line)]
        return [f"{path.name}:\n" + "\n".join(lines[hits[0]:hits[0] + 40])] if hits else []

    def note_logs(self, name):
        """Looks into the logs of an instance that is about to be deleted."""
        for path in self.dir.glob(f"logs/*/{name}/*.log"):
            self.noted += self._scan(path)

    # ---- the end
    def note_instance(self, state):
        """Remembers what the kernel holds for a running instance (its API state), to see later that it is gone."""
        try:
            for line in Path(f"/proc/{state['pid']}/cgroup").read_text().splitlines():
                parts = [p for p in line.split(":", 2)[2].split("/") if p.startswith("lxm.")]
                self.kernel_names.update("/" + p for p in parts)
        except OSError:
            pass  # it has ended already
        nics = (state.get("network") or {}).values()
        self.kernel_names.update(f"link: {nic['host_name']}" for nic in nics if nic.get("host_name"))

    def clear(self):
        """Deletes every instance, image, network and pool, so that what still stands afterwards is a leak."""
        rest = self.rest
        problems = []
        for kind, field in (("instances", "name"), ("images", "fingerprint")):
            for thing in rest.read(kind, query={"recursion": 1, "all-projects": "true"} if kind == "instances" else {"recursion": 1}):
                where = {"query": {"project": thing["project"]}} if kind == "instances" else {}
                try:
                    if kind == "instances" and thing["status"] != "Stopped":
                        rest.change("PUT", f"instances/{thing['name']}/state", {"action": "stop", "force": True}, **where)
                    rest.change("DELETE", f"{kind}/{thing[field]}", **where)
                except Exception as e:  # the next thing may still go
                    problems.append(f"delete {kind} {thing[field]}: {e}")
        for profile in rest.read("profiles", query={"recursion": 1}):
            path = f"profiles/{profile['name']}"
            if profile["name"] == "default":
                rest.put(path, {"config": {}, "devices": {}, "description": ""})
            else:
                rest.delete(path)
        for kind in ("networks", "storage-pools"):
            for thing in rest.read(kind, query={"recursion": 1}):
                if thing.get("managed", True):
                    reply = rest.delete(f"{kind}/{thing['name']}")
                    if reply.status not in (200, 202):
                        problems.append(f"delete {kind} {thing['name']}: {reply.error}")
        return problems

    def marks(self):
        """Strings that only things of this daemon carry."""
        return {str(self.dir), *self.kernel_names}

    def end(self, before=None, extra_marks=()):
        """Clears, stops, removes the directory; returns what was wrong as a list of lines."""
        problems = []
        try:
            if not self.alive():  # a test killed it: only a living one can give back what it holds
                self.proc = None
                self.start()
            problems += self.clear()
        except Exception as e:
            problems.append(f"clear: {e!r}")
        try:
            self.stop()
        except AssertionError as e:
            problems.append(str(e))
        problems += self.findings()
        if before is not None:
            problems += self.leaks(before, extra_marks)
        if os.environ.get("LXM_KEEP") and problems:
            problems.append(f"kept: {self.dir}")
            (self.dir / OWNER).unlink(missing_ok=True)
        else:
            self._remove()
        return problems

    def discard(self):
        """end() for a daemon that was never initialised: nothing can be in it."""
        problems = []
        try:
            self.stop()
        except AssertionError as e:
            problems.append(str(e))
        problems += self.findings()  # a sanitizer's report says why lxmd ended badly
        self._remove()
        return problems

    def _remove(self):
        shutil.rmtree(self.dir, ignore_errors=True)
        if self.owner:
            self.owner.close()

    def leaks(self, before, extra_marks=(), patience=5):
        """Waits a little for what ends in the background, then names what is still there."""
        end = time.monotonic() + patience * SLOW
        while True:
            left = host.HostState().left_since(before)
            if host.strangers([str(self.dir)]):
                left = host.only_of(left, self.marks() | set(extra_marks))
            if not left or time.monotonic() > end:
                return [f"left behind: {what}" for what in left]
            time.sleep(0.1)
