"""Export and import by lxc and incus, and tarballs that go from lxmd to a real LXD and back."""
import subprocess

import pytest

from bench.subject import Lxd
from clients import INCUS, Client
from conftest import ON_LXD
from harness.instance import fresh_name

SHOW = "cd /root && stat -c '%n %F %a %u %g %h %s' mark twin link && cat mark"


@pytest.fixture
def full(server, fresh):
    """A stopped instance with a snapshot and some files."""
    name = fresh(verb="launch")
    server.ok("exec", name, "--", "sh", "-c", "cd /root && echo one > mark && ln mark twin && ln -s mark link && chown 5:6 mark && chmod 750 mark")
    server.ok("snapshot", name, "s1")
    server.ok("exec", name, "--", "sh", "-c", "echo two > /root/mark")
    yield name


def check(run, name):
    run("start", name)
    assert run("exec", name, "--", "sh", "-c", SHOW).splitlines()[0].split()[-5:] == ["750", "5", "6", "2", "4"]
    assert run("exec", name, "--", "cat", "/root/twin") == "two\n"
    run("stop", "--force", name)
    run("restore", name, "s1")
    run("start", name)
    assert run("exec", name, "--", "cat", "/root/link") == "one\n"
    run("delete", "--force", name)


def test_lxc_export_and_import(server, ok, full, tmp_path):
    ok("export", full, tmp_path / "x.tar.gz")
    assert ok("query", f"/1.0/instances/{full}/backups").strip() == "[]"
    back = fresh_name("imp")
    ok("import", tmp_path / "x.tar.gz", back)
    check(ok, back)


def test_lxc_options(server, ok, fails, full, tmp_path):
    ok("export", full, tmp_path / "x.tar", "--instance-only", "--compression", "none", "--optimized-storage")
    subprocess.run(["tar", "-tf", tmp_path / "x.tar", "backup/index.yaml"], check=True, capture_output=True)
    assert "exist" in fails("import", tmp_path / "x.tar")
    back = fresh_name("imp")
    ok("import", tmp_path / "x.tar", back, "--storage", "default")
    assert ok("query", f"/1.0/instances/{back}/snapshots").strip() == "[]"
    ok("delete", "--force", back)


@pytest.mark.skipif(not INCUS.exists() or ON_LXD, reason="make check-compat fetches the incus client")
def test_incus_export_and_import(server, ok, full, tmp_path):
    incus = Client(server, INCUS, tmp_path)
    incus.ok("export", full, tmp_path / "y.tar.gz")
    back = fresh_name("imp")
    incus.ok("import", tmp_path / "y.tar.gz", back)
    check(ok, back)


@pytest.mark.skipif(ON_LXD or not Lxd.installed(), reason="needs the package lxd beside lxmd")
def test_to_a_real_lxd_and_back(server, ok, full, tmp_path):
    ok("export", full, tmp_path / "out.tar.gz")
    lxd = Lxd(driver="dir")
    try:
        def other(*argv):
            done = subprocess.run(["lxc", *map(str, argv)], env=lxd.env(), stdin=subprocess.DEVNULL, capture_output=True, text=True,
                                  timeout=60)
            assert done.returncode == 0, f"{argv}: {done}"
            return done.stdout

        other("import", tmp_path / "out.tar.gz", "there")
        other("start", "there")
        assert other("exec", "there", "--", "sh", "-c", SHOW).splitlines()[0].split()[-5:] == ["750", "5", "6", "2", "4"]
        other("exec", "there", "--", "chown", "7:8", "/root/mark")
        other("stop", "--force", "there")
        other("export", "there", tmp_path / "back.tar.gz")
        other("restore", "there", "s1")
        other("delete", "there")
    finally:
        lxd.close()
    back = fresh_name("imp")
    ok("import", tmp_path / "back.tar.gz", back)
    ok("start", back)
    assert ok("exec", back, "--", "sh", "-c", SHOW).splitlines()[0].split()[-5:] == ["750", "7", "8", "2", "4"]
    ok("stop", "--force", back)
    ok("restore", back, "s1")
    ok("start", back)
    assert ok("exec", back, "--", "sh", "-c", SHOW).splitlines()[0].split()[-5:] == ["750", "5", "6", "2", "4"]
    ok("delete", "--force", back)
