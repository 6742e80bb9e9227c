"""lxmc exec, shell and console: streams, terminals, signals, exit codes."""
import os
import signal
import subprocess
import time

import pytest

from harness import terminal
from harness.daemon import SLOW


@pytest.fixture
def c1(instance):
    return instance().name


def on_terminal(daemon, *argv, **size):
    """lxmc on a terminal."""
    return terminal.Terminal([daemon.bin("lxmc"), *argv], daemon.env(), **size)


@pytest.mark.host_only("what the client passes on")
@pytest.mark.parametrize("code", [0, 1, 42, 124, 255])
def test_exit_codes_are_the_command_s(lxmc, c1, code):
    assert lxmc("exec", c1, "--", "sh", "-c", f"exit {code}").code == code


@pytest.mark.host_only("what the client passes on")
def test_exit_codes_of_what_does_not_run(lxmc, c1):
    assert lxmc("exec", c1, "--", "/no/such/program").code == 127
    assert lxmc("exec", c1, "--", "/etc/passwd").code == 126
    assert lxmc("exec", c1, "--", "sh", "-c", "kill -9 $$").code == 137
    assert lxmc("exec", "nope", "--", "true").code == 125
    nowhere = lxmc("exec", c1, "--cwd", "/nope", "--", "true")
    assert nowhere.code == 126 and "'/nope'" in nowhere.err


@pytest.mark.host_only("what the client passes on")
def test_stopped_instance(lxmc, instance):
    done = lxmc("exec", instance(start=False).name, "--", "true")
    assert done.code == 125 and "not running" in done.err


@pytest.mark.host_only("what the client passes on")
def test_streams_stay_apart(lxmc, c1):
    done = lxmc("exec", c1, "--", "sh", "-c", "cat; echo err >&2", stdin="in\n")
    assert (done.code, done.out, done.err) == (0, "in\n", "err\n")


@pytest.mark.host_only("what the client passes on")
def test_options(lxmc, c1):
    out = lxmc("exec", c1, "--user", "1000", "--group", "1001", "--cwd", "/tmp", "--env", "A=b c", "--",
               "sh", "-c", 'id -u; id -g; pwd; echo "$A"', check=True).out
    assert out == "1000\n1001\n/tmp\nb c\n"
    assert lxmc("exec", c1, "echo", "-n", "x", check=True).out == "x"
    assert lxmc("exec", c1, "-n", "--", "wc", "-c", stdin="not seen", check=True).out.strip() == "0"


@pytest.mark.slow
def test_100_mb_each_way(daemon, c1):
    size = 100 << 20
    block = os.urandom(1 << 20)
    with subprocess.Popen([daemon.bin("lxmc"), "exec", c1, "--", "cat"], stdin=subprocess.PIPE,
                          stdout=subprocess.PIPE, env=daemon.env()) as proc:
        if os.fork() == 0:
            try:
                for _ in range(size >> 20):
                    proc.stdin.write(block)
                proc.stdin.close()
            finally:
                os._exit(0)
        proc.stdin.close()
        got = 0
        while True:
            data = proc.stdout.read(1 << 20)
            if not data:
                break
            assert data == block[:len(data)]
            got += len(data)
    os.wait()
    assert (got, proc.returncode) == (size, 0)


@pytest.mark.host_only("what the client passes on")
def test_output_that_nobody_reads_ends_the_command(daemon, c1):
    proc = subprocess.Popen(f"{daemon.bin('lxmc')} exec {c1} -- sh -c 'yes; true' | head -c 10 >/dev/null", shell=True,
                            env=daemon.env(), stdin=subprocess.DEVNULL)
    assert proc.wait(20 * SLOW) == 0


@pytest.mark.host_only("what the client passes on")
def test_background_child_does_not_hold_the_client(lxmc, c1):
    began = time.monotonic()
    assert lxmc("exec", c1, "--", "sh", "-c", "sleep 60 & echo there", check=True).out == "there\n"
    assert time.monotonic() - began < 15 * SLOW


@pytest.mark.host_only("what the client passes on")
@pytest.mark.parametrize("sig, code", [(signal.SIGTERM, 3), (signal.SIGINT, 4), (signal.SIGUSR1, 5), (signal.SIGHUP, 6)])
def test_signals_are_passed_on(daemon, c1, sig, code):
    script = "trap 'exit 3' TERM; trap 'exit 4' INT; trap 'exit 5' USR1; trap 'exit 6' HUP; echo ready; while :; do sleep 0.05; done"
    proc = subprocess.Popen([daemon.bin("lxmc"), "exec", c1, "--", "sh", "-c", script], stdout=subprocess.PIPE,
                            stdin=subprocess.DEVNULL, env=daemon.env())
    assert proc.stdout.readline() == b"ready\n"
    proc.send_signal(sig)
    assert proc.wait(10 * SLOW) == code
    proc.stdout.close()


def test_killed_client_ends_the_command(daemon, lxmc, c1):
    proc = subprocess.Popen([daemon.bin("lxmc"), "exec", c1, "--", "sh", "-c", "echo ready; exec sleep 4242"],
                            stdout=subprocess.PIPE, stdin=subprocess.PIPE, env=daemon.env())
    assert proc.stdout.readline() == b"ready\n"
    proc.kill()
    proc.wait()
    for stream in (proc.stdout, proc.stdin):
        stream.close()
    end = time.monotonic() + 10 * SLOW
    while "4242" in lxmc("exec", c1, "--", "ps").out:
        assert time.monotonic() < end, "the command outlived its client"
        time.sleep(0.1)


def test_terminal_with_size_and_resize(daemon, c1):
    term = on_terminal(daemon, "exec", c1, "--", "sh", rows=31, cols=97)
    term.type(b"stty size; echo TERM=$TERM\n")
    term.expect(b"31 97\r\n")
    term.expect(b"TERM=xterm\r\n")
    term.resize(40, 120)
    time.sleep(0.3 * SLOW)
    term.type(b"stty size\n")
    term.expect(b"40 120\r\n")
    term.type(b"exit 7\n")
    assert term.end() == 7


def test_control_c_in_a_terminal_goes_to_the_command(daemon, c1):
    term = on_terminal(daemon, "exec", c1, "--", "sh", "-c", "trap 'echo got; exit 9' INT; echo ready; while :; do sleep 0.05; done")
    term.expect(b"ready")
    term.type(b"\x03")
    term.expect(b"got")
    assert term.end() == 9


@pytest.mark.host_only("what the client passes on")
def test_forced_modes(daemon, lxmc, c1):
    term = on_terminal(daemon, "exec", c1, "-T", "--", "sh", "-c", "test -t 1 || echo pipe")
    term.expect(b"pipe")
    assert term.end() == 0
    assert lxmc("exec", c1, "-t", "--", "sh", "-c", "test -t 0 && echo tty").out.strip() == "tty"


@pytest.mark.host_only("what the client passes on")
def test_shell(daemon, lxmc, c1):
    term = on_terminal(daemon, "shell", c1)
    term.type(b"echo $((6*7)); exit 5\n")
    term.expect(b"42\r\n")
    assert term.end() == 5
    assert lxmc("shell", c1, stdin="echo piped; exit 3\n").code == 3


def test_console_attach_and_leave(daemon, c1):
    for _ in range(2):
        term = on_terminal(daemon, "console", c1)
        term.expect(b"To detach")
        term.type(b"\n")
        term.type(b"\x01q")
        assert term.end() == 0


@pytest.mark.host_only("what the client passes on")
def test_console_log(lxmc, c1):
    assert lxmc("console", c1, "--show-log").code == 0
