"""`lxmc --on`: verbs on several servers at once: three daemons, one address where nobody is, one that never answers."""
import json
import os
import pty
import signal
import socket
import subprocess
import time

import pytest

from conftest import create
from harness import images
from harness.daemon import Daemon
from harness.host import HostState

pytestmark = pytest.mark.host_only("what lxmc makes of several answers")

NONE = 3  # exit status when no host did it


class Fleet:
    """Three daemons as remotes h1, h2, h3; `dead` has no socket, `mute` takes connections and says nothing."""

    def __init__(self, daemons):
        self.daemons = daemons
        self.home = daemons[0]
        self.hung = socket.socket(socket.AF_UNIX)
        self.hung.bind(str(self.home.dir / "hung.socket"))
        self.hung.listen(64)
        self.write({f"h{i + 1}": d.socket for i, d in enumerate(daemons)})

    def write(self, hosts):
        lines = [f'  {name}: {{addr: "unix:{path}", protocol: lxd}}' for name, path in hosts.items()]
        lines += [f'  dead: {{addr: "unix:{self.home.dir}/none.socket", protocol: lxd}}',
                  f'  mute: {{addr: "unix:{self.home.dir}/hung.socket", protocol: lxd}}']
        conf = self.home.home / "lxmc"
        conf.mkdir(exist_ok=True)
        (conf / "config.yml").write_text("remotes:\n" + "\n".join(lines) + "\n")

    def __call__(self, on, *argv, **kw):
        return self.home.lxmc("--on", on, *argv, **kw)


@pytest.fixture(scope="module")
def fleet(busybox_tar):
    before = HostState()
    daemons, problems = [], []
    try:
        for i in range(3):
            daemons.append(Daemon(f"fleet{i + 1}"))
            daemons[-1].start().init()
            images.import_image(daemons[-1].rest, busybox_tar, "testimage")
            create(daemons[-1], "testimage", name="c1")
        create(daemons[1], "testimage", name="only2", start=False)
        yield Fleet(daemons)
    finally:
        for i, daemon in reversed(list(enumerate(daemons))):
            problems += daemon.end(before) if i == 0 else daemon.end(HostState())
        assert not problems, "\n".join(problems)


def rows(run):
    return [line.split(",") for line in run.out.splitlines()]


def test_lists_become_one_table(fleet):
    run = fleet("h*", "list", "-f", "csv", "-c", "ns")
    assert run.code == 0, run
    assert rows(run) == [["h1", "c1", "RUNNING"], ["h2", "c1", "RUNNING"], ["h2", "only2", "STOPPED"],
                         ["h3", "c1", "RUNNING"]]
    table = fleet("h*", "list").out.splitlines()
    assert table[1].split("|")[1].strip() == "HOST"
    assert fleet("h1,h2", "list", "-q").out.split() == ["h1:c1", "h2:c1", "h2:only2"]


def test_documents_hold_each_hosts_answer_or_error(fleet):
    run = fleet("h1,h3,dead", "list", "-f", "json")
    assert run.code == 1
    answers = {a["host"]: a for a in json.loads(run.out)}
    assert list(answers) == ["dead", "h1", "h3"]
    assert answers["h1"]["status"] == 0 and [i["name"] for i in answers["h1"]["result"]] == ["c1"]
    assert answers["dead"]["status"] == 1 and "no server answers" in answers["dead"]["error"]
    assert run.err.count("Error: dead:") == 1
    shown = json.loads(fleet("h*", "profile", "show", "default", "-f", "json").out)
    assert [a["result"]["name"] for a in shown] == ["default"] * 3
    paths = json.loads(fleet("h1,h2", "query", "/1.0/instances").out)
    assert paths[1]["result"] == ["/1.0/instances/c1", "/1.0/instances/only2"]


def test_status_tells_all_some_none(fleet):
    assert fleet("h*", "config", "get", "c1", "volatile.uuid").code == 0
    some = fleet("h*", "config", "show", "only2")
    assert some.code == 1 and "Error: h1:" in some.err and "Error: h2:" not in some.err
    assert fleet("dead", "list").code == NONE
    assert fleet("h1,nobody", "list").code == 1
    assert fleet("h1", "console", "c1").code == 2
    assert fleet("h1", "list", "-f", "nonsense").code == 2
    assert fleet.home.lxmc("--parallel", "2", "list").code == 2


def test_exec_streams_stay_apart_and_carry_the_host(fleet):
    run = fleet("h*", "exec", "c1", "--", "sh", "-c", "echo out; echo two; echo err >&2")
    assert run.code == 0, run
    assert sorted(run.out.splitlines()) == sorted(f"h{i}: {w}" for i in (1, 2, 3) for w in ("out", "two"))
    assert sorted(run.err.splitlines()) == [f"h{i}: err" for i in (1, 2, 3)]
    assert fleet("h1,h2", "-q", "exec", "c1", "echo", "bare").out == "bare\nbare\n"
    failed = fleet("h1,h2", "exec", "c1", "--", "sh", "-c", "exit 7")
    assert failed.code == NONE and "h1: the command ended with status 7" in failed.err


def test_each_host_gets_all_of_stdin(fleet):
    text = "".join(f"line {i}\n" for i in range(40000))
    run = fleet("h*", "exec", "c1", "md5sum", stdin=text)
    assert run.code == 0, run
    assert len({line.split()[1] for line in run.out.splitlines()}) == 1
    assert fleet("h*", "exec", "c1", "--", "wc", "-c", stdin=text).out.count(str(len(text))) == 3
    # one that does not read does not stop the others
    assert fleet("h*", "exec", "c1", "true", stdin=text).code == 0


def test_changes_on_all(fleet):
    assert fleet("h*", "config", "set", "c1", "user.fleet=yes").code == 0
    run = fleet("h*", "config", "get", "c1", "user.fleet")
    assert run.out.splitlines() == ["h1: yes", "h2: yes", "h3: yes"]
    assert fleet("h*", "launch", "testimage", "x1").code == 0
    assert fleet("h*", "stop", "-f", "x1").code == 0
    assert {d.rest.read("instances/x1")["status"] for d in fleet.daemons} == {"Stopped"}
    assert fleet("h*", "delete", "x1").code == 0
    assert fleet("h*", "profile", "create", "p1", stdin="description: from stdin\n").code == 0
    assert {d.rest.read("profiles/p1")["description"] for d in fleet.daemons} == {"from stdin"}
    assert fleet("h*", "profile", "delete", "p1").code == 0


def test_groups_and_patterns(fleet):
    lxmc = fleet.home.lxmc
    lxmc("remote", "group", "add", "front", "h1", "h3", check=True)
    assert "h1, h3" in lxmc("remote", "group", "list").out
    assert [r[0] for r in rows(fleet("front", "list", "-f", "csv", "-c", "n"))] == ["h1", "h3"]
    assert [r[0] for r in rows(fleet("all,!front,!dead,!mute,!local", "list", "-f", "csv", "-c", "n"))] == ["h2", "h2"]
    lxmc("remote", "group", "remove", "front", "h1", check=True)
    assert lxmc("remote", "group", "show", "front", "-f", "json").out.split() == ["[", '"h3"', "]"]
    lxmc("remote", "group", "remove", "front", check=True)
    assert fleet("front", "list").code == 1
    assert lxmc("remote", "group", "add", "all", "h1").code == 1


def test_hosts_that_say_nothing_cost_one_timeout(fleet):
    begun = time.monotonic()
    run = fleet("h*,mute,dead", "--timeout", "3", "--parallel", "1", "list", "-f", "csv", "-c", "n")
    assert run.code == 1
    assert [r[0] for r in rows(run)] == ["h1", "h2", "h2", "h3"]
    assert "mute: no answer within 3 s" in run.err
    assert time.monotonic() - begun < 30


def test_top_of_many(fleet):
    busy = subprocess.Popen([fleet.home.bin("lxmc"), "exec", "c1", "-n", "--", "timeout", "5", "sh", "-c", "while :; do :; done"],
                            env=fleet.daemons[1].env(), stdout=subprocess.DEVNULL)
    run = fleet("h*", "top", "--delay", "2", "-f", "json")
    busy.wait(60)
    assert run.code == 0, run
    rows = json.loads(run.out)
    assert sorted((r["host"], r["name"]) for r in rows) == [("h1", "c1"), ("h2", "c1"), ("h3", "c1")]
    assert rows[0]["host"] == "h2" and rows[0]["cpu_percent"] > 5 > rows[1]["cpu_percent"]
    assert fleet.home.lxmc("top", "--sort", "colour").code == 2


def test_top_live_ends_with_q(fleet):
    master, slave = pty.openpty()
    env = fleet.home.env(TERM="xterm")
    proc = subprocess.Popen([fleet.home.bin("lxmc"), "top", "--delay", "1"], env=env, stdin=slave, stdout=slave, stderr=slave,
                            start_new_session=True)
    os.close(slave)
    seen = b""
    while b"c1" not in seen:
        seen += os.read(master, 65536)
    os.write(master, b"q")
    while True:
        try:
            chunk = os.read(master, 65536)
        except OSError:  # the other end is closed
            break
        if not chunk:
            break
        seen += chunk
    assert proc.wait(30) == 0
    os.close(master)
    assert b"INSTANCE" in seen and seen.rstrip().endswith(b"\x1b[?1049l")


def test_interrupt_ends_all(fleet):
    argv = [fleet.home.bin("lxmc"), "--on", "h*", "exec", "c1", "--", "sh", "-c", "echo ready; exec sleep 1000"]
    proc = subprocess.Popen(argv, env=fleet.home.env(), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                            stderr=subprocess.PIPE, text=True, start_new_session=True)
    for _ in range(3):
        assert "ready" in proc.stdout.readline()
    proc.send_signal(signal.SIGINT)
    out, err = proc.communicate(timeout=60)
    assert proc.returncode == 130, err
    for daemon in fleet.daemons:
        assert "sleep 1000" not in daemon.lxmc("exec", "c1", "ps").out
