"""lxmc by itself: help of every verb, wrong usage, completion, and servers that are away or hostile."""
import json
import os
import socket
import subprocess
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

pytestmark = pytest.mark.host_only("what lxmc reads and prints")


def complete(lxmc, *words):
    return lxmc("__complete", "--", *words, check=True).out.split("\n")[:-1]


def all_helps(lxmc, texts, *prefix):
    """Help of every verb of the table, found the way a shell's completion finds them, into `texts`: words -> what `help` did."""
    with ThreadPoolExecutor(2) as pool:
        found = [(*prefix, word) for word in complete(lxmc, *prefix, "")]
        for words, done in zip(found, pool.map(lambda words: lxmc("help", *words), found)):
            family = done.out.startswith("Usage:")
            if not family and f"Usage: lxmc {' '.join(words)}" in done.out:
                texts[words] = done
            if family or words == ("config", "device"):
                all_helps(lxmc, texts, *words)
    return texts


def test_every_verb_has_help(lxmc):
    texts = all_helps(lxmc, {})
    assert len(texts) > 100
    with ThreadPoolExecutor(2) as pool:
        flags = pool.map(lambda words: lxmc(*words, "--help"), texts)
    for (words, by_help), by_flag in zip(texts.items(), flags):
        assert by_help.code == 0 and by_flag.code == 0, words
        assert f"Usage: lxmc {' '.join(words)}" in by_help.out
        assert by_help.out.startswith(by_flag.out)
        assert by_help.out[0].isupper() and by_help.err == ""


def test_help_of_everything_and_of_a_family(lxmc):
    assert "Instances:" in lxmc("help", check=True).out
    assert "image alias list" in lxmc("help", "image", check=True).out
    assert "image alias list" in lxmc("image", "--help", check=True).out
    assert lxmc().code == 2


def test_help_names_what_a_family_has_and_fits_a_screen(lxmc):
    everything = lxmc("help", check=True).out
    family = next(line for line in everything.splitlines() if line.startswith("  storage "))
    assert family.split(None, 1)[1].split(", ") == ["list", "show", "info", "create", "delete", "get", "set", "unset", "edit", "volume"]
    for text in (everything, lxmc("list", "--help").out, lxmc("help", "remote").out):
        assert max(map(len, text.splitlines())) <= 110


def test_help_has_only_options_that_the_verb_takes(lxmc):
    assert "--on" not in lxmc("shell", "--help").out and "--on" in lxmc("exec", "--help").out
    assert lxmc("stop", "--help").out.count("--timeout") == 1
    assert "config keys" not in lxmc("publish", "--help").out and "config keys" in lxmc("config", "set", "--help").out


@pytest.mark.parametrize("argv, says", [
    (["lsit"], "did you mean 'list'"),
    (["image", "alais", "list"], "did you mean 'image alias list'"),
    (["config", "dev"], "unknown verb 'config dev'; did you mean 'config device'?"),
    (["config", "metadata"], "'config metadata' wants a verb"),
    (["config", "metadata", "nonsense"], "see 'lxmc help config metadata'"),
    (["nonsense", "words"], "unknown verb 'nonsense'; see 'lxmc help'"),
    (["list", "--colums", "n"], "did you mean '--columns'"),
    (["list", "-f", "xml"], "unknown format 'xml'"),
    (["list", "-c", "Z"], "unknown column 'Z'"),
    (["start"], "--all"),
    (["stop", "c1", "--timeout", "soon"], "whole number"),
    (["exec", "c1"], "COMMAND"),
    (["exec", "c1", "--mode", "loud", "true"], "unknown mode"),
    (["config", "set", "c1", "novalue"], "KEY=VALUE"),
    (["config", "device", "add", "c1", "d"], "missing"),
    (["profile"], "wants a verb"),
    (["query", "instances"], "begins with '/'"),
    (["completion", "tcsh"], "no completion"),
    (["help", "nonsense"], "no verb"),
    (["help", "image", "lst"], "no verb 'image lst'; did you mean 'image list'?"),
    (["config", "set", "local:", "novalue"], "KEY=VALUE"),
    (["file", "push", "x", "c1"], "INSTANCE/PATH"),
    (["admin", "init", "--auto", "--dump"], "exclude each other"),
])
def test_wrong_usage(lxmc, argv, says):
    done = lxmc(*argv)
    assert done.code == 2, done
    assert done.err.startswith("Error: ") and done.err.count("\n") == 1
    assert says in done.err


def test_errors_say_what_was_tried_once(lxmc, image):
    lxmc("image", "alias", "create", "twice", image, check=True)
    again = lxmc("image", "alias", "create", "twice", image)
    lxmc("image", "alias", "delete", "twice", check=True)
    assert again.err == "Error: image alias 'twice' already exists\n"
    for argv in (["-s", "nope"], ["-c", "limits.memory=x"]):
        err = lxmc("launch", image, "once", *argv).err
        assert err.count("create instance 'once': ") == 1, err
    bare = lxmc("init", image, "once", "--no-profiles")
    assert "has no root disk" in bare.err and bare.err.endswith("; '-s POOL' gives it one\n"), bare
    if lxmc("admin", "sql", "cluster", "SELECT 1").code:
        assert "lxmd sql" in lxmc("admin", "sql", "cluster", "SELECT 1").err


def test_sizes_of_instances(lxmc, image):
    bad = lxmc("init", image, "sized", "-t", "huge")
    assert bad.code == 1 and "'huge'" in bad.err and "c2-m4" in bad.err
    lxmc("init", image, "sized", "-t", "c1-m0.5", check=True)
    try:
        assert lxmc("config", "get", "sized", "limits.memory").out == "512MiB\n"
    finally:
        lxmc("delete", "sized", check=True)


def test_version(lxmc):
    assert lxmc("--version", check=True).out == lxmc("version", "-q", check=True).out
    assert "unreachable" not in lxmc("version", check=True).out


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_scripts(lxmc, shell, tmp_path):
    script = tmp_path / "script"
    script.write_text(lxmc("completion", shell, check=True).out)
    assert "__complete" in script.read_text()
    if shell == "bash":
        assert subprocess.run(["bash", "-n", script]).returncode == 0


def test_completion_knows_verbs_options_and_objects(lxmc, instance):
    name = instance(start=False).name
    assert "launch" in complete(lxmc, "la")
    assert complete(lxmc, "image", "al") == ["alias"]
    assert "--columns" in complete(lxmc, "list", "--c")
    assert name in complete(lxmc, "start", name[:-1])
    assert name in complete(lxmc, "exec", "")
    assert "default" in complete(lxmc, "launch", "--profile", "")
    assert complete(lxmc, "list", "-f", "c") == ["compact", "csv"]
    assert complete(lxmc, "exec", name, "--", "l") == []


def test_completion_knows_keys(lxmc):
    assert complete(lxmc, "config", "set", "c1", "limits.memory.s") == ["limits.memory.swap=", "limits.memory.swap.priority="]
    assert complete(lxmc, "config", "unset", "c1", "boot.autor") == ["boot.autorestart"]
    assert complete(lxmc, "config", "set", "c1", "environ") == ["environment."]
    assert complete(lxmc, "config", "set", "core.https_a") == [f"core.https_a{k}=" for k in ("ddress", "llowed_credentials", "llowed_headers",
                                                                                            "llowed_methods", "llowed_origin")]
    assert complete(lxmc, "network", "set", "n1", "bridge.m") == ["bridge.mtu="]  # bridge.mode is refused
    assert complete(lxmc, "launch", "-c", "raw.s") == ["raw.seccomp="]


def test_keys_are_listed_with_what_they_do(lxmc):
    out = lxmc("config", "keys", "limits.memory*", check=True).out
    assert "| limits.memory.swap.priority " in out and "Memory ceiling" in out and "| project " in out
    assert "snapshots.expiry" not in out
    assert "loki" not in lxmc("config", "keys", "server", check=True).out
    refused = json.loads(lxmc("config", "keys", "nvidia.runtime", "--format", "json", check=True).out)
    assert [(k["when"], "liblxc" in k["what"]) for k in refused] == [("refused", True)]
    assert lxmc("config", "keys", "no-such-key").code == 1
    assert "config keys" in lxmc("config", "set", "--help", check=True).out


def test_completion_knows_servers_and_groups(lxmc):
    lxmc("remote", "group", "add", "front", "local", check=True)
    try:
        assert complete(lxmc, "--on", "") == ["front", "all", "local"]
        assert complete(lxmc, "--on", "front", "res") == ["restart", "resume", "restore"]
        assert complete(lxmc, "--on", "front", "stop", "--fo") == ["--force"]
        assert complete(lxmc, "remote", "group", "show", "") == ["front"]
        assert "images" in complete(lxmc, "remote", "remove", "")
    finally:
        lxmc("remote", "group", "remove", "front", check=True)


def test_bash_completes(lxmc, daemon, instance, tmp_path):
    name = instance(start=False).name
    (tmp_path / "lxmc").symlink_to(daemon.bin("lxmc"))
    script = ('eval "$(lxmc completion bash)"; COMP_WORDS=(lxmc stop "$1"); COMP_CWORD=2; _lxmc; '
              'printf "%s\\n" "${COMPREPLY[@]}"')
    done = daemon.run(["bash", "-c", script, "bash", name], PATH=f"{tmp_path}:{os.environ['PATH']}")
    assert done.out.split() == [name]


def test_no_server(lxmc):
    for argv, code in ((["list"], 1), (["exec", "c1", "true"], 125)):
        done = lxmc(*argv, LXMC_SOCKET="/nonexistent/socket")
        assert done.code == code
        assert "/nonexistent/socket" in done.err and "is lxmd running" in done.err


def test_unknown_objects_are_named_with_a_remedy(lxmc):
    for argv, name in ((["info", "nope"], "nope"), (["start", "nope"], "nope"), (["delete", "nope"], "nope"),
                       (["profile", "show", "nope"], "nope"), (["image", "info", "nope"], "nope"),
                       (["launch", "no-such-image", "x1"], "no-such-image"), (["list", "nowhere:"], "nowhere")):
        done = lxmc(*argv)
        assert done.code == 1, (argv, done)
        assert name in done.err and "lxmc " in done.err, (argv, done)
        assert done.err.count("Error:") == 1


# ---- servers that mean harm
class Impostor:
    """Answers every request on a Unix socket with the same bytes."""

    def __init__(self, path, reply, close=True):
        self.path, self.reply, self.close = str(path), reply, close
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.bind(self.path)
        self.sock.listen(16)
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        while True:
            try:
                conn, _ = self.sock.accept()
            except OSError:
                return
            try:
                conn.recv(65536)
                conn.sendall(self.reply)
                if self.close:
                    conn.close()
            except OSError:
                pass


def envelope(text, status="404 Not Found"):
    return f"HTTP/1.1 {status}\r\nContent-Length: {len(text.encode())}\r\n\r\n{text}".encode()


BROKEN = {
    "nothing": b"",
    "no HTTP": b"garbage\r\n\r\n",
    "no body": b"HTTP/1.1 200 OK\r\n\r\n",
    "short body": b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{}",
    "huge head": b"HTTP/1.1 200 OK\r\nX: " + b"a" * 200000 + b"\r\n\r\n",
    "huge chunk": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\n",
    "list": envelope("[1,2,3]", "200 OK"),
    "wrong type": envelope('{"type":"sync","metadata":{"a":1}}', "200 OK"),
    "deep": envelope("[" * 100000, "200 OK"),
    "empty error": envelope("", "500 Oops"),
    "wrong members": envelope('{"type":"sync","metadata":[{"name":5,"state":[],"config":"x","snapshots":{}}]}', "200 OK"),
}


@pytest.mark.parametrize("kind", BROKEN)
def test_broken_servers_give_errors_and_no_crash(daemon, tmp_path, kind):
    impostor = Impostor(tmp_path / "s", BROKEN[kind])
    for argv in (["list"], ["info", "c1"], ["image", "list"], ["exec", "c1", "true"], ["launch", "i", "c1"], ["monitor"]):
        done = daemon.lxmc(*argv, LXMC_SOCKET=impostor.path, timeout=20)
        assert done.code in (0, 1, 125), (argv, done)
        assert "Sanitizer" not in done.err
        if done.code:
            assert "Error: " in done.err


def test_escape_sequences_of_servers_stay_out(daemon, tmp_path):
    impostor = Impostor(tmp_path / "s", envelope('{"type":"error","error":"\\u001b]0;owned\\u0007\\nsecond\\u009bline"}'))
    done = daemon.lxmc("info", "c1", LXMC_SOCKET=impostor.path)
    assert done.code == 1 and done.err.count("\n") == 1
    assert "\x1b" not in done.err and "\x07" not in done.err and "\u009b" not in done.err
    names = envelope('{"type":"sync","metadata":[{"name":"\\u001b[2Jx","status":"Running"}]}', "200 OK")
    impostor = Impostor(tmp_path / "t", names)
    assert "\x1b" not in daemon.lxmc("list", LXMC_SOCKET=impostor.path).out


def test_remotes(lxmc, daemon, tmp_path):
    assert "local" in lxmc("remote", "list", "-f", "csv", check=True).out
    (tmp_path / "config.yml").write_text(f"default-remote: other\nremotes:\n  other:\n    addr: unix:{daemon.socket}\n")
    out = lxmc("remote", "list", LXMC_CONF=str(tmp_path), check=True).out
    assert "other (current)" in out
    assert lxmc("query", "/1.0", LXMC_CONF=str(tmp_path), LXMC_SOCKET="/nonexistent").code == 0
    assert lxmc("list", "local:", LXMC_CONF=str(tmp_path), LXMC_SOCKET="/nonexistent").code == 1
    (tmp_path / "config.yml").write_text("remotes: [")
    done = lxmc("list", LXMC_CONF=str(tmp_path))
    assert done.code == 1 and "line" in done.err


@pytest.mark.parametrize("yaml, says", [
    ("confg:\n  limits.memory: 1GiB\n", "unknown key 'confg' of the profile: did you mean 'config'?"),
    ("limits.memory: 1GiB\n", "'limits.memory' does not stand below 'config'"),
])
def test_a_slip_in_yaml_empties_nothing(lxmc, yaml, says):
    lxmc("profile", "create", "slips", "user.x=1", check=True)
    try:
        done = lxmc("profile", "edit", "slips", stdin=yaml)
        assert done.code == 1 and says in done.err
        assert lxmc("profile", "get", "slips", "user.x", check=True).out == "1\n"
        assert says in lxmc("profile", "create", "slips2", stdin=yaml).err
        assert says.replace("profile", "instance") in lxmc("init", "busybox", "slips", stdin=yaml).err
    finally:
        lxmc("profile", "delete", "slips", check=True)


def test_a_mistyped_image_is_recognised(lxmc):
    done = lxmc("init", "busybx", "slips")
    assert done.code == 1 and "no template 'busybx'; did you mean 'busybox'?" in done.err
    assert "lxmc template list" in lxmc("init", "completely-else", "slips").err
