"""The daemons that are measured: lxmd from the build tree and, beside it, LXD from Debian's package."""
import itertools
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from harness import host, images  # noqa: E402
from harness.daemon import Daemon  # noqa: E402
from harness.rest import OperationFailed, Rest, RestError  # noqa: E402


def pss_kb(pid):
    """Proportional set size of a process in KB, 0 when it is gone."""
    try:
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1])
    except OSError:
        pass
    return 0


def cpu_ticks(pid):
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
        return int(fields[11]) + int(fields[12])
    except OSError:
        return 0


def descendants(pid):
    """All live processes below pid, by parent links."""
    parents = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                parents.setdefault(int(Path(f"/proc/{entry}/stat").read_text().rsplit(")", 1)[1].split()[1]),
                                   []).append(int(entry))
            except OSError:
                continue
    found, todo = [], [pid]
    while todo:
        for child in parents.get(todo.pop(), []):
            found.append(child)
            todo.append(child)
    return found


def free_subnet():
    """An address of a /24 that no interface of this host has (LXD's own search gives up on some hosts)."""
    taken = subprocess.run(["ip", "-4", "-o", "addr"], capture_output=True, text=True, check=True).stdout
    return next(f"10.212.{n}.1/24" for n in range(1, 255) if f"10.212.{n}." not in taken)


class Subject:
    """What both have in common: the LXD API on a Unix socket and a command line."""

    title = ""
    rest: Rest

    def cli(self, *argv):
        """(argv, environment) of the command line client."""
        raise NotImplementedError

    def daemon_pid(self):
        raise NotImplementedError

    def monitor_pids(self):
        raise NotImplementedError

    def add_image(self, data, alias):
        images.import_image(self.rest, data, alias, timeout=600)

    def create(self, name, image, **body):
        self.rest.change("POST", "instances", timeout=300,
                         json={"name": name, "source": {"type": "image", "alias": image}, **body})

    def state(self, name, action, timeout=60, force=True):
        self.rest.change("PUT", f"instances/{name}/state", timeout=timeout + 30,
                         json={"action": action, "force": force, "timeout": timeout})

    def delete(self, name):
        self.rest.change("DELETE", f"instances/{name}", timeout=120)

    def remove_all(self):
        """Every instance gone; errors are left to the leak check at the end."""
        for inst in self.rest.read("instances", query={"recursion": 1}):
            try:
                if inst["status"] != "Stopped":
                    self.state(inst["name"], "stop")
                self.delete(inst["name"])
            except (RestError, OperationFailed, OSError) as e:
                print(f"{self.title}: {e}", file=sys.stderr)


class Lxm(Subject):
    title = "lxm"
    # /etc/subuid and /etc/subgid empty for it: a line that some package wrote for root may hold too few ids for hundreds
    no_subids = ("unshare", "-m", "sh", "-c", "mount -n --bind /dev/null /etc/subuid && "
                 "mount -n --bind /dev/null /etc/subgid && exec \"$@\"", "lxmd")

    def __init__(self):
        self.before = host.HostState()
        self.daemon = Daemon("bench")
        if os.path.exists("/etc/subuid") and os.path.exists("/etc/subgid"):
            self.daemon.prefix = self.no_subids
        self.rest = self.daemon.rest
        try:
            self.daemon.start(debug=False).init()
        except BaseException:
            self.close()
            raise

    def cli(self, *argv):
        return [Daemon.bin("lxmc"), *argv], self.daemon.env()

    def daemon_pid(self):
        return self.daemon.proc.pid

    def monitor_pids(self):
        mark = str(self.daemon.dir)
        return [pid for pid, (comm, line, env) in host.processes().items()
                if comm.startswith("lxm-monitor") and (mark in line or mark in env)]

    def version(self):
        return self.rest.read("/1.0")["environment"]["server_version"]

    def close(self):
        for problem in self.daemon.end(self.before):
            print(f"lxm: {problem}", file=sys.stderr)


class Lxd(Subject):
    """A LXD of our own in a temporary LXD_DIR, with a bridge of its own and by default a btrfs loop pool."""

    title = "LXD"
    count = itertools.count()

    def __init__(self, driver="btrfs"):
        self.pool = {"name": "default", "driver": driver, "config": {} if driver == "dir" else {"size": "20GiB"}}
        self.dir = Path(tempfile.mkdtemp(prefix="lxd-bench-", dir="/tmp"))
        os.chmod(self.dir, 0o711)
        self.bridge = f"lxdb{os.getpid() % 100000}n{next(self.count)}"
        self.rest = Rest(self.dir / "unix.socket")
        self.proc = None
        try:
            self._start()
        except BaseException:
            self.close()
            raise

    @staticmethod
    def installed():
        return bool(shutil.which("lxd") and shutil.which("lxc") and shutil.which("mkfs.btrfs"))

    def env(self):
        env = {k: v for k, v in os.environ.items() if not k.startswith(("LXD_", "LXC_"))}
        env.update(LXD_DIR=str(self.dir), LXD_CONF=str(self.dir / "client"), HOME=str(self.dir))
        env.pop("LXD_SOCKET", None)
        return env

    def _start(self):
        with open(self.dir / "lxd.log", "wb") as log:
            self.proc = subprocess.Popen(["lxd", "--group", "root"], env=self.env(), stdin=subprocess.DEVNULL,
                                         stdout=log, stderr=log, start_new_session=True)
        subprocess.run(["lxd", "waitready", "--timeout=60"], env=self.env(), check=True, stdin=subprocess.DEVNULL)
        preseed = {
            "config": {},
            "storage_pools": [self.pool],
            "networks": [{"name": self.bridge, "type": "bridge",
                          "config": {"ipv4.address": free_subnet(), "ipv4.nat": "true", "ipv6.address": "none"}}],
            "profiles": [{"name": "default", "config": {}, "devices": {
                "root": {"type": "disk", "path": "/", "pool": "default"},
                "eth0": {"type": "nic", "network": self.bridge, "name": "eth0"}}}],
        }
        subprocess.run(["lxd", "init", "--preseed"], env=self.env(), check=True,
                       input=json.dumps(preseed), text=True)

    def cli(self, *argv):
        return ["lxc", *argv], self.env()

    def daemon_pid(self):
        return self.proc.pid

    def monitor_pids(self):
        return self.own_pids("[lxc monitor]")

    def own_pids(self, start=""):
        """Processes whose command line names our directory: monitors, dnsmasq."""
        found = []
        for entry in os.listdir("/proc"):
            if entry.isdigit():
                line = host.read(f"/proc/{entry}/cmdline").decode(errors="replace")
                if line.startswith(start) and str(self.dir) in line:
                    found.append(int(entry))
        return found

    def version(self):
        return self.rest.read("/1.0")["environment"]["server_version"]

    def close(self):
        """Everything away in the order that works even when LXD itself does not."""
        try:
            if self.proc and self.proc.poll() is None:
                self.remove_all()
                for img in self.rest.read("images", query={"recursion": 1}):
                    self.rest.change("DELETE", f"images/{img['fingerprint']}")
                self.rest.put("profiles/default", {"config": {}, "devices": {}, "description": ""})
                self.rest.delete(f"networks/{self.bridge}")
                self.rest.delete("storage-pools/default")
        except Exception as e:
            print(f"LXD: {e!r}", file=sys.stderr)
        if self.proc and self.proc.poll() is None:
            self.proc.send_signal(signal.SIGTERM)
            try:
                self.proc.wait(30)
            except subprocess.TimeoutExpired:
                self.proc.kill()
                self.proc.wait()
        for pid in self.own_pids():
            os.kill(pid, signal.SIGKILL)
        time.sleep(0.2)
        for line in reversed(Path("/proc/self/mounts").read_text().splitlines()):
            where = line.split(" ")[1]
            if where.startswith(str(self.dir) + "/"):
                subprocess.run(["umount", "-l", where], stderr=subprocess.DEVNULL)
        for name, backing in host.loops():
            if backing.startswith(str(self.dir)):
                subprocess.run(["losetup", "-d", f"/dev/{name}"], stderr=subprocess.DEVNULL)
        if self.bridge in host.links():
            subprocess.run(["ip", "link", "delete", self.bridge])
        shutil.rmtree(self.dir, ignore_errors=True)
