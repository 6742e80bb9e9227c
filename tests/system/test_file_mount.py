"""lxmc file mount: files of an instance at a directory of this machine, through sshfs."""
import os
import shutil
import signal
import subprocess

import pytest
from harness.instance import wait_until


@pytest.fixture
def sshfs():
    if not shutil.which("sshfs") or not os.path.exists("/dev/fuse"):
        pytest.skip("sshfs or /dev/fuse is missing")


def start(daemon, *args):
    return subprocess.Popen([daemon.bin("lxmc"), "file", "mount", *map(str, args)], env=daemon.env(), stderr=subprocess.PIPE, text=True)


def end(verb, where):
    """Whatever happened, nothing stays mounted."""
    if os.path.ismount(where):
        subprocess.run(["fusermount3", "-u", where], check=False)
    try:
        return verb.wait(10), verb.stderr.read()
    finally:
        verb.kill()
        verb.stderr.close()


@pytest.mark.parametrize("how", ["unmount", "interrupt", "stop"])
def test_files_are_there_until_it_ends(instance, daemon, tmp_path, sshfs, how):
    inst = instance()
    inst.sh("mkdir -p /srv/dir; echo inside > /srv/dir/file; chown -R 5:6 /srv/dir")
    where = tmp_path / "here"
    where.mkdir()
    verb = start(daemon, f"{inst.name}/srv", where)
    try:
        wait_until(lambda: os.path.ismount(where) or verb.poll() is not None, text=lambda: "not mounted")
        assert (where / "dir" / "file").read_text() == "inside\n"
        st = os.stat(where / "dir" / "file")
        assert (st.st_uid, st.st_gid) == (5, 6)
        big = os.urandom(3 << 20)
        (where / "big").write_bytes(big)
        assert (where / "big").read_bytes() == big
        os.rename(where / "big", where / "dir" / "moved")
        assert inst.sh("stat -c %s /srv/dir/moved; rm /srv/dir/moved") == f"{3 << 20}\n"
        assert not (where / ".." / "etc").exists()  # the parent is this machine's
        if how == "unmount":
            subprocess.run(["fusermount3", "-u", where], check=True)
        elif how == "interrupt":
            verb.send_signal(signal.SIGINT)  # as a shell does for all in the foreground
            children = open(f"/proc/{verb.pid}/task/{verb.pid}/children").read().split()
            os.kill(int(children[0]), signal.SIGINT)
        else:
            inst.stop()
        assert verb.wait(10) is not None
        assert not os.path.ismount(where)
    finally:
        code, text = end(verb, where)
    assert code == 0 or how == "stop", text


def test_what_cannot_be_mounted_is_said(instance, daemon, lxmc, tmp_path, sshfs):
    inst = instance(start=False)
    for args, says in (([inst.name], "no SSH server"), ([inst.name, tmp_path, "--listen", "127.0.0.1:0"], "no SSH server"),
                       (["nowhere", tmp_path], "not found"), ([inst.name, tmp_path / "missing"], "sshfs failed")):
        done = lxmc("file", "mount", *args)
        assert done.code != 0 and says in done.err, done
    bare = tmp_path / "bin"
    bare.mkdir()
    done = daemon.run([daemon.bin("lxmc"), "file", "mount", inst.name, tmp_path], PATH=str(bare))
    assert done.code == 1 and "install the package sshfs" in done.err
