"""Debian's own lxc client against lxmd."""
import json
import os
import pty
import select
import shutil
import subprocess

import pytest

from harness.instance import fresh_name

pytestmark = [pytest.mark.real_lxc,
              pytest.mark.skipif(not shutil.which("lxc"), reason="the package lxd-client is not installed")]


@pytest.fixture
def c1(lxc, daemon, image):
    """Name of an instance launched by lxc itself."""
    name = fresh_name("lxc")
    lxc("launch", image, name, check=True)
    yield name
    lxc("delete", "--force", name)


@pytest.mark.host_only("what the client asks for and prints")
def test_version(lxc):
    out = lxc("version", check=True).out
    assert "Client version: 5.0" in out
    assert "Server version:" in out and "unreachable" not in out


@pytest.mark.host_only("what the client asks for and prints")
def test_info(lxc):
    out = lxc("info", check=True).out
    assert "api_status: stable" in out
    assert "server: lxm" in out


def test_launch_list_delete(lxc, image):
    name = fresh_name("lxc")
    launched = lxc("launch", image, name)
    assert launched.code == 0, launched
    try:
        rows = json.loads(lxc("list", "-f", "json", check=True).out)
        mine = [r for r in rows if r["name"] == name]
        assert mine and mine[0]["status"] == "Running"
        assert name in lxc("list", check=True).out
        assert lxc("list", name, "-c", "ns", "-f", "csv", check=True).out.strip() == f"{name},RUNNING"
    finally:
        gone = lxc("delete", "--force", name)
    assert gone.code == 0, gone
    assert name not in lxc("list", check=True).out


@pytest.mark.host_only("what the client asks for and prints")
def test_exec_through_pipes(lxc, c1):
    done = lxc("exec", c1, "--", "sh", "-c", "cat; echo err >&2", stdin="hello\n")
    assert (done.code, done.out, done.err) == (0, "hello\n", "err\n")


@pytest.mark.host_only("what the client asks for and prints")
@pytest.mark.parametrize("code", [0, 1, 42, 255])
def test_exec_exit_code(lxc, c1, code):
    assert lxc("exec", c1, "--", "sh", "-c", f"exit {code}").code == code


@pytest.mark.host_only("what the client asks for and prints")
def test_exec_of_what_is_not_there(lxc, c1):
    assert lxc("exec", c1, "--", "/no/such/program").code == 127


@pytest.mark.host_only("what the client asks for and prints")
def test_exec_user_cwd_env(lxc, c1):
    out = lxc("exec", c1, "--user", "1000", "--group", "1000", "--cwd", "/tmp", "--env", "A=b c", "--",
              "sh", "-c", 'id -u; id -g; pwd; echo "$A"', check=True).out
    assert out == "1000\n1000\n/tmp\nb c\n"


def test_exec_moves_bulk_data_unchanged(lxc, c1):
    data = os.urandom(4 << 20)
    done = lxc("exec", c1, "--", "cat", stdin=data, text=False)
    assert done.code == 0 and done.out == data


def on_terminal(daemon, argv, typed=b""):
    """Runs a program on a terminal; (exit code, what it showed)."""
    ours, theirs = pty.openpty()
    proc = subprocess.Popen(argv, stdin=theirs, stdout=theirs, stderr=theirs, env=daemon.env(TERM="xterm"),
                            start_new_session=True)
    os.close(theirs)
    if typed:
        os.write(ours, typed)
    shown = b""
    while True:
        ready, _, _ = select.select([ours], [], [], 20)
        try:
            data = os.read(ours, 4096) if ready else b""
        except OSError:
            data = b""
        if not data:
            break
        shown += data
    os.close(ours)
    return proc.wait(20), shown


def test_exec_on_a_terminal(daemon, c1):
    code, shown = on_terminal(daemon, ["lxc", "exec", c1, "--", "sh", "-c", "test -t 0 && tty && stty size; exit 7"])
    assert b"/dev/pts/" in shown
    assert code == 7


def test_exec_shell_typed_into(daemon, c1):
    code, shown = on_terminal(daemon, ["lxc", "exec", c1, "--", "sh"], b"echo $((40+2))\nexit 3\n")
    assert b"42" in shown
    assert code == 3


def test_stop_start_restart(lxc, c1):
    lxc("stop", c1, "--force", check=True)
    assert lxc("list", c1, "-c", "s", "-f", "csv", check=True).out.strip() == "STOPPED"
    lxc("start", c1, check=True)
    lxc("restart", c1, "--force", check=True)
    assert lxc("list", c1, "-c", "s", "-f", "csv", check=True).out.strip() == "RUNNING"
    lxc("stop", c1, check=True)  # the polite way
    assert lxc("list", c1, "-c", "s", "-f", "csv", check=True).out.strip() == "STOPPED"


def test_pause_and_resume(lxc, c1):
    lxc("pause", c1, check=True)
    assert lxc("list", c1, "-c", "s", "-f", "csv", check=True).out.strip() == "FROZEN"
    lxc("start", c1, check=True)
    assert lxc("list", c1, "-c", "s", "-f", "csv", check=True).out.strip() == "RUNNING"


@pytest.mark.host_only("what the client asks for and prints")
def test_delete_of_a_running_one_is_refused(lxc, c1):
    done = lxc("delete", c1)
    assert done.code == 1
    assert "running" in done.err.lower()


@pytest.mark.host_only("what the client asks for and prints")
def test_info_of_an_instance(lxc, c1):
    out = lxc("info", c1, check=True).out
    assert f"Name: {c1}" in out and "Status: RUNNING" in out


@pytest.mark.host_only("what the client asks for and prints")
def test_config_set_and_get(lxc, c1):
    lxc("config", "set", c1, "user.note", "a b", check=True)
    assert lxc("config", "get", c1, "user.note", check=True).out == "a b\n"
    bad = lxc("config", "set", c1, "no.such.key", "1")
    assert bad.code == 1 and "no.such.key" in bad.err


@pytest.mark.host_only("what the client asks for and prints")
def test_image_list(lxc, image):
    assert image in lxc("image", "list", check=True).out
    assert lxc("image", "info", image, check=True).out.startswith("Fingerprint: ")


@pytest.mark.host_only("what the client asks for and prints")
def test_profile_show(lxc, image):
    out = lxc("profile", "show", "default", check=True).out
    assert "name: default" in out and "eth0:" in out and "root:" in out


@pytest.mark.host_only("what the client asks for and prints")
def test_network_and_storage_list(lxc):
    assert "bridge" in lxc("network", "list", check=True).out
    assert "default" in lxc("storage", "list", check=True).out


@pytest.mark.host_only("what the client asks for and prints")
def test_launch_of_an_unknown_image_names_it(lxc):
    done = lxc("launch", "no-such-image", fresh_name("lxc"))
    assert done.code == 1
    assert done.err
