"""Exec sessions outlive lxmd: killed or restarted, the programs run on and the next lxmd goes on with them."""
import hashlib
import os
import re
import signal
import time

import pytest

from conftest import create
from harness import images
from harness.daemon import Daemon
from harness.host import HostState
from harness.instance import wait_until
from harness.rest import Exec, OperationFailed


@pytest.fixture(scope="module")
def survivor(busybox_tar):
    """A daemon with one instance for all of them, which every test has to itself, running, and with no session in it."""
    before = HostState()
    daemon = Daemon("own")
    try:
        daemon.start().init()
        images.import_image(daemon.rest, busybox_tar, "testimage")
        yield create(daemon, "testimage", name="survivor")
    finally:
        problems = daemon.end(before)
        assert not problems, "\n".join(problems)


@pytest.fixture
def own_daemon(survivor):
    yield survivor.daemon
    if not survivor.daemon.alive():
        survivor.daemon.proc = None
        survivor.daemon.start()


@pytest.fixture
def inst(own_daemon, survivor):
    if survivor.status == "Running" and sessions(survivor):  # of a test that failed
        survivor.stop()
    return survivor if survivor.status == "Running" else survivor.start()


def sessions(inst):
    return inst.rest.read(f"instances/{inst.name}/exec")


def crash(daemon):
    daemon.kill()
    daemon.start()


def polite(daemon):
    daemon.stop()
    daemon.start()


def read_until(ws, want):
    seen = b""
    while want not in seen:
        data = ws.recv()
        assert data, seen
        seen += data
    return seen


ENDS = pytest.mark.parametrize("restart", [crash, polite], ids=["kill", "restart"])


@ENDS
def test_terminal_goes_on(own_daemon, inst, restart):
    script = "trap 'echo got usr1' USR1; echo begin; while :; do read x || continue; echo \"x=$x\"; [ $x = size ] && stty size; [ $x = end ] && exit 7; done"
    with Exec(inst.rest, inst.name, ["sh", "-c", script], interactive=True, width=80, height=24) as ex:
        read_until(ex.ws["0"], b"begin")
        restart(own_daemon)
    (session,) = sessions(inst)
    assert session["id"] == ex.op["id"] and session["interactive"] and not session["attached"] and not session["exited"]
    assert session["command"][0] == "sh"
    with Exec.reattach(inst.rest, session["id"], interactive=True) as back:
        back.send(b"hello\n")
        read_until(back.ws["0"], b"x=hello")
        back.control(command="signal", signal=int(signal.SIGUSR1))
        read_until(back.ws["0"], b"got usr1")
        back.control(command="window-resize", args={"width": "120", "height": "40"})
        time.sleep(0.1)
        back.send(b"size\n")
        assert b"40 120" in read_until(back.ws["0"], b"40 120")
        assert sessions(inst)[0]["attached"]
        back.send(b"end\n")
        out, _ = back.output()
        assert back.wait() == 7
    assert sessions(inst) == []


@ENDS
def test_pipes_go_on_and_lose_nothing_that_lxmd_had_not_read(own_daemon, inst, restart):
    with Exec(inst.rest, inst.name, ["sh", "-c", "echo ready; cat; echo done >&2; exit 3"]) as ex:
        assert ex.ws["1"].recv() == b"ready\n"
        restart(own_daemon)
    data = os.urandom(1 << 20)
    with Exec.reattach(inst.rest, ex.op["id"]) as back:
        back.send(data)
        back.eof()
        out, err = back.output()
        assert hashlib.sha256(out).digest() == hashlib.sha256(data).digest()
        assert err == b"done\n"
        assert back.wait() == 3


def test_output_and_end_wait_for_a_reader(own_daemon, inst):
    """A program that ends while no lxmd is there: what it wrote is in the pipe, its status with the helper."""
    with Exec(inst.rest, inst.name, ["sh", "-c", "sleep 0.3; head -c 300000 /dev/zero | tr '\\0' A; exit 42"]) as ex:
        wait_until(lambda: [s for s in sessions(inst) if s["pid"]])
        own_daemon.kill()
    own_daemon.start()
    wait_until(lambda: [s for s in sessions(inst) if s["exited"] and s["return"] == 42])
    assert inst.rest.read(f"operations/{ex.op['id']}")["status"] == "Running"
    with Exec.reattach(inst.rest, ex.op["id"]) as back:
        out, _ = back.output()
        assert len(out) == 300000 and set(out) == {65}
        assert back.wait() == 42


def test_stream_broken_in_the_middle_goes_on_in_order(own_daemon, inst):
    """Numbered lines: after kill -9 the rest comes in order, and what is missing is one gap of what lxmd held."""
    with Exec(inst.rest, inst.name, ["seq", "1", "600000"]) as ex:
        first = ex.ws["1"].recv()
        own_daemon.kill()
    own_daemon.start()
    with Exec.reattach(inst.rest, ex.op["id"]) as back:
        out, _ = back.output()
        assert back.wait() == 0
    lines = out.split(b"\n")[1:-1]
    assert lines[-1] == b"600000"
    assert [int(x) for x in lines] == list(range(int(lines[0]), 600001))
    assert first.startswith(b"1\n2\n")


def test_stdin_that_was_ended_stays_ended(own_daemon, inst):
    with Exec(inst.rest, inst.name, ["sh", "-c", "cat >/dev/null; echo eof; sleep 1; exit 5"]) as ex:
        ex.eof()
        assert ex.ws["1"].recv() == b"eof\n"
        crash(own_daemon)
    with Exec.reattach(inst.rest, ex.op["id"]) as back:
        assert back.wait() == 5


def test_recorded_and_unattended_execs_end_by_themselves(own_daemon, inst):
    rest = inst.rest
    ops = [rest.start_op("POST", f"instances/{inst.name}/exec",
                         {"command": ["sh", "-c", f"echo begin; sleep {nap}; echo out; exit 4"], "wait-for-websocket": False, "record-output": True})
           for nap in (0.4, 2 * 1)]
    wait_until(lambda: len([s for s in sessions(inst) if s["pid"]]) == 2)
    own_daemon.kill()
    time.sleep(0.8)
    own_daemon.start()
    for op in ops:
        done = rest.wait(op)
        assert done["status"] == "Success" and done["metadata"]["return"] == 4
        assert rest.get(done["metadata"]["output"]["1"]).body == b"begin\nout\n"


def test_client_that_vanishes_while_lxmd_lives_hangs_up_as_ever(own_daemon, inst):
    ex = Exec(inst.rest, inst.name, ["sleep", "77"], interactive=True)
    wait_until(lambda: [s for s in sessions(inst) if s["pid"]])
    crash(own_daemon)
    back = Exec.reattach(inst.rest, ex.op["id"], interactive=True)
    for ws in back.ws.values():
        ws.sock.close()
    wait_until(lambda: sessions(inst) == [])
    assert "sleep 77" not in inst.sh("ps")


def test_a_terminal_that_is_closed_is_closed_for_all(own_daemon, inst):
    """The helper holds a copy of it for the next lxmd: who reads from the terminal would wait for ever."""
    ex = Exec(inst.rest, inst.name, ["sh", "-c", "trap '' HUP; echo ready; cat; echo over > /root/over; sleep 76"], interactive=True)
    read_until(ex.ws["0"], b"ready")
    ex.ws["0"].close()
    wait_until(lambda: inst.sh("cat /root/over 2>/dev/null || true") == "over\n")
    ex.close()
    wait_until(lambda: sessions(inst) == [])


@pytest.fixture
def impatient(own_daemon, monkeypatch):
    monkeypatch.setattr(own_daemon, "prefix", ("/usr/bin/env", "LXMD_EXEC_GRACE=1"), raising=False)
    polite(own_daemon)
    yield
    monkeypatch.undo()
    crash(own_daemon)


def test_nobody_comes_back(own_daemon, inst, impatient):
    """Hung up after the grace time: by lxmd where one is, by the helper itself where none is."""
    with Exec(inst.rest, inst.name, ["sleep", "78"], interactive=True), Exec(inst.rest, inst.name, ["sleep", "79"]) as piped:
        wait_until(lambda: len([s for s in sessions(inst) if s["pid"]]) == 2)
        crash(own_daemon)
    wait_until(lambda: sessions(inst) == [])
    assert not re.search("sleep 7[89]", inst.sh("ps"))
    with pytest.raises(OperationFailed):
        inst.rest.wait(piped.op)
    with Exec(inst.rest, inst.name, ["sleep", "78"], interactive=True), Exec(inst.rest, inst.name, ["sleep", "79"]):
        pids = wait_until(lambda: [s["pid"] for s in sessions(inst)] if all(s["pid"] for s in sessions(inst)) and len(sessions(inst)) == 2 else None)
        own_daemon.kill()
    wait_until(lambda: not any(os.path.exists(f"/proc/{pid}") for pid in pids))
    own_daemon.start()
    assert sessions(inst) == []


def test_session_of_a_frozen_instance_comes_back_when_it_thaws(own_daemon, inst):
    with Exec(inst.rest, inst.name, ["cat"]) as ex:
        wait_until(lambda: [s for s in sessions(inst) if s["pid"]])
        inst.action("freeze")
        crash(own_daemon)
    inst.action("unfreeze")
    wait_until(lambda: [s for s in sessions(inst) if s["id"] == ex.op["id"]])
    with Exec.reattach(inst.rest, ex.op["id"]) as back:
        back.send(b"warm")
        back.eof()
        assert back.output()[0] == b"warm"
        assert back.wait() == 0


def test_two_restarts_and_then_the_instance_stops(own_daemon, inst):
    with Exec(inst.rest, inst.name, ["cat"]) as ex:
        wait_until(lambda: [s for s in sessions(inst) if s["pid"]])
        crash(own_daemon)
        polite(own_daemon)
    assert [s["id"] for s in sessions(inst)] == [ex.op["id"]]
    inst.stop()
    wait_until(lambda: sessions(inst) == [])


def test_other_projects_do_not_see_it(own_daemon, inst):
    inst.rest.post("projects", {"name": "other"})
    try:
        with Exec(inst.rest, inst.name, ["cat"]):
            assert inst.rest.get(f"instances/{inst.name}/exec", query={"project": "other"}).status == 404
    finally:
        inst.rest.delete("projects/other")
