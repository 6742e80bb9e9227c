"""lxc exec, lxc console and lxc file."""
import hashlib
import os
import signal
import subprocess
import time

import pytest

from harness.instance import wait_until
from harness.terminal import Terminal


@pytest.fixture
def terminal(server):
    """terminal(program, argument, ..., rows=, cols=) is a Terminal."""
    opened = []

    def make(*argv, **size):
        opened.append(Terminal(argv, server.env, **size))
        return opened[-1]

    yield make
    for term in opened:
        term.close()


# ---- exit codes and streams
@pytest.mark.parametrize("script, code", [("exit 0", 0), ("exit 1", 1), ("exit 42", 42), ("exit 255", 255),
                                          ("kill -9 $$", 137), ("kill -15 $$", 143)])
def test_exit_code(lxc, box, script, code):
    assert lxc("exec", box, "--", "sh", "-c", script).code == code


def test_no_such_program(lxc, box):
    assert lxc("exec", box, "--", "no-such-program").code == 127


def test_not_executable(lxc, box):
    assert lxc("exec", box, "--", "/etc/passwd").code == 126


def test_pipes(lxc, box):
    done = lxc("exec", box, "--", "sh", "-c", "cat; echo err >&2", stdin="in\n")
    assert (done.code, done.out, done.err) == (0, "in\n", "err\n")


def test_binary_clean(lxc, box):
    data = os.urandom(3 << 20)
    done = lxc("exec", box, "--", "cat", stdin=data, text=False)
    assert hashlib.sha256(done.out).digest() == hashlib.sha256(data).digest()


def test_end_of_stdin(lxc, box):
    assert lxc("exec", box, "--", "wc", "-c", stdin="12345").out.strip() == "5"


def test_program_that_reads_nothing(lxc, box):
    assert lxc("exec", box, "--", "true", stdin="x" * 500000).code == 0


def test_no_stdin(lxc, box):
    assert lxc("exec", "-n", box, "--", "cat", stdin="unseen").out == ""


def test_background_child_keeps_stdout(server, lxc, box):
    """LXD waits for the child, lxmd for the program alone."""
    begin = time.monotonic()
    assert "started" in lxc("exec", box, "--", "sh", "-c", "sleep 5 & echo started").out
    assert server.is_lxd or time.monotonic() - begin < 4


# ---- environment
@pytest.mark.parametrize("name, value", [("HOME", "/root"), ("USER", "root"), ("LANG", "C.UTF-8"),
                                         ("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")])
def test_default_environment(ok, box, name, value):
    got = ok("exec", box, "--", "sh", "-c", f'echo "${name}"').strip()
    assert got.startswith(value)


def test_env(ok, box):
    assert ok("exec", box, "--env", "A=b c", "--env", "D=e", "--", "sh", "-c", 'echo "$A$D"') == "b ce\n"


def test_environment_of_config(ok, box):
    ok("config", "set", box, "environment.FROM_CONFIG=yes")
    assert ok("exec", box, "--", "sh", "-c", "echo $FROM_CONFIG") == "yes\n"
    ok("config", "unset", box, "environment.FROM_CONFIG")


def test_user_and_group(ok, box):
    assert ok("exec", box, "--user", "1000", "--group", "1000", "--", "sh", "-c", "id -u; id -g").split() == ["1000", "1000"]


def test_root_by_default(ok, box):
    assert ok("exec", box, "--", "id", "-u").strip() == "0"


def test_cwd(ok, box):
    assert ok("exec", box, "--cwd", "/tmp", "--", "pwd") == "/tmp\n"


def test_default_cwd(ok, box):
    assert ok("exec", box, "--", "pwd") == "/root\n"


def test_bad_cwd(server, lxc, box):
    """LXD runs the program elsewhere, lxmd refuses."""
    assert server.is_lxd or lxc("exec", box, "--cwd", "/nowhere", "--", "pwd").code != 0


def test_arguments_are_kept(ok, box):
    assert ok("exec", box, "--", "printf", "%s|", "a b", "", "$x", "'", "ä") == "a b||$x|'|ä|"


@pytest.mark.parametrize("mode, tty", [("interactive", True), ("non-interactive", False)])
def test_mode(lxc, box, mode, tty):
    assert (lxc("exec", f"--mode={mode}", box, "--", "test", "-t", "1").code == 0) is tty


def test_force_interactive(lxc, box):
    assert lxc("exec", "-t", box, "--", "test", "-t", "0").code == 0


def test_stopped_instance(fails, fresh):
    assert "not running" in fails("exec", fresh(), "--", "true")


def test_unknown_instance(fails):
    assert "not found" in fails("exec", "nobody", "--", "true").lower()


# ---- on a terminal
def test_terminal(terminal, box):
    term = terminal("lxc", "exec", box, "--", "sh")
    term.type(b"tty\r")
    term.expect(b"/dev/")
    term.type(b"stty size; echo TERM=$TERM.\r")
    term.expect(b"TERM=xterm.")
    term.type(b"exit 7\r")
    assert term.end() == 7


def test_terminal_interrupt(terminal, box):
    term = terminal("lxc", "exec", box, "--", "sh", "-c", "echo ready; sleep 100; echo unseen")
    term.expect(b"ready")
    term.type(b"\x03")
    assert term.end() == 130


def test_terminal_size(terminal, box):
    terminal("lxc", "exec", box, "--", "stty", "size", rows=33, cols=111).expect(b"33 111")


def test_terminal_resize(terminal, box):
    """What is resized while a program runs: it hears SIGWINCH and sees the new size."""
    term = terminal("lxc", "exec", box, "--", "sh", "-c", "trap 'stty size' WINCH; echo up; while :; do sleep 0.1; done")
    term.expect(b"up")
    term.resize(44, 132)
    term.expect(b"44 132")
    term.resize(20, 60)
    term.expect(b"20 60")
    term.type(b"\x03")
    assert term.end() == 130


def test_killed_client_takes_its_program_along(server, box):
    proc = subprocess.Popen(["lxc", "exec", box, "-t", "--", "sleep", "4321"], env=server.env, stdin=subprocess.DEVNULL,
                            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    wait_until(lambda: "4321" in server.ok("exec", box, "--", "ps"))
    proc.send_signal(signal.SIGKILL)
    proc.wait()
    wait_until(lambda: "4321" not in server.ok("exec", box, "--", "ps"))


def test_signal_reaches_the_program(server, box):
    proc = subprocess.Popen(["lxc", "exec", box, "--", "sh", "-c", "trap 'exit 9' TERM; echo up; while :; do sleep 0.1; done"],
                            env=server.env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
    assert proc.stdout.readline() == b"up\n"
    proc.send_signal(signal.SIGTERM)
    assert proc.wait(15) == 9
    proc.stdout.close()


# ---- console
def test_console_attach_and_detach(terminal, box):
    for _ in range(2):
        term = terminal("lxc", "console", box)
        term.expect(b"To detach")
        term.type(b"\x01")
        time.sleep(0.3)  # the client looks at the first byte of each read
        term.type(b"q")
        assert term.end() == 0


def test_console_log(ok, server, fresh):
    name = fresh(verb="launch")
    ok("exec", name, "--", "sh", "-c", "echo said on the console > /dev/console")
    wait_until(lambda: "said on the console" in server.lxc("console", name, "--show-log").out)


def test_console_of_stopped(terminal, fresh):
    terminal("lxc", "console", fresh()).expect(b"not running")


# ---- files
def test_push_and_pull(ok, box, tmp_path):
    data = os.urandom(300000)
    (tmp_path / "a").write_bytes(data)
    ok("file", "push", tmp_path / "a", f"{box}/root/a")
    ok("file", "pull", f"{box}/root/a", tmp_path / "b")
    assert (tmp_path / "b").read_bytes() == data


def test_push_from_stdin(ok, box):
    ok("file", "push", "-", f"{box}/root/in", stdin="from stdin")
    assert ok("exec", box, "--", "cat", "/root/in") == "from stdin"


def test_pull_to_stdout(ok, box):
    assert "root:x:0:0" in ok("file", "pull", f"{box}/etc/passwd", "-")


def test_push_owner_and_mode(ok, box):
    ok("file", "push", "-", f"{box}/root/owned", "--uid", "1000", "--gid", "1000", "--mode", "0640", stdin="x")
    assert ok("exec", box, "--", "stat", "-c", "%u %g %a", "/root/owned").strip() == "1000 1000 640"


def test_push_makes_directories(ok, box):
    ok("file", "push", "-p", "-", f"{box}/root/new/dir/f", stdin="deep")
    assert ok("exec", box, "--", "cat", "/root/new/dir/f") == "deep"


def test_push_without_directory_fails(fails, box):
    fails("file", "push", "-", f"{box}/root/none/dir/f", stdin="x")


def test_push_into_directory(ok, box, tmp_path):
    (tmp_path / "named").write_text("kept name")
    ok("file", "push", tmp_path / "named", f"{box}/root/")
    assert ok("exec", box, "--", "cat", "/root/named") == "kept name"


def test_push_tree_and_pull_tree(ok, box, tmp_path):
    tree = tmp_path / "tree"
    (tree / "sub").mkdir(parents=True)
    (tree / "one").write_text("1")
    (tree / "sub" / "two").write_text("2")
    (tree / "link").symlink_to("one")
    ok("file", "push", "-r", tree, f"{box}/root/")
    (tmp_path / "back").mkdir()
    ok("file", "pull", "-r", f"{box}/root/tree", tmp_path / "back")
    back = tmp_path / "back" / "tree"
    assert (back / "sub" / "two").read_text() == "2"
    assert ok("exec", box, "--", "readlink", "/root/tree/link") == "one\n"


def test_file_delete(ok, fails, box):
    ok("file", "push", "-", f"{box}/root/gone", stdin="x")
    ok("file", "delete", f"{box}/root/gone")
    assert "not found" in fails("file", "pull", f"{box}/root/gone", "-").lower()


def test_file_edit(server, box, tmp_path):
    server.ok("file", "push", "-", f"{box}/root/edited", stdin="old\n")
    editor = tmp_path / "editor"
    editor.write_text("#!/bin/sh\nsed -i s/old/new/ \"$1\"\n")
    editor.chmod(0o755)
    server.run(["script", "-qec", f"lxc file edit {box}/root/edited", "/dev/null"], EDITOR=str(editor))
    assert server.ok("exec", box, "--", "cat", "/root/edited") == "new\n"


def test_files_of_stopped(ok, fresh):
    name = fresh()
    ok("file", "push", "-", f"{name}/root/early", stdin="before start")
    assert ok("file", "pull", f"{name}/root/early", "-") == "before start"
    ok("start", name)
    assert ok("exec", name, "--", "cat", "/root/early") == "before start"


def test_pull_missing(fails, box):
    assert "not found" in fails("file", "pull", f"{box}/nowhere", "-").lower()
