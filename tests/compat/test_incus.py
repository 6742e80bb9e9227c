"""incus 6.0, the client of Debian trixie: its main verbs, with all files over SFTP.

`make check-compat` fetches the program; without it these tests are skipped.
"""
import csv
import io
import json
import os
import re

import pytest
import yaml
from clients import INCUS, Client

from harness.instance import fresh_name, wait_until

pytestmark = pytest.mark.skipif(not INCUS.exists(), reason="make check-compat fetches the incus client")


@pytest.fixture(scope="module")
def incus(server, tmp_path_factory):
    return Client(server, INCUS, tmp_path_factory.mktemp("incus"))


@pytest.fixture
def name(incus):
    name = fresh_name("i")
    yield name
    incus("delete", "--force", name)


# ---- server
def test_version_and_info(incus):
    assert "unreachable" not in incus.ok("version")
    assert yaml.safe_load(incus.ok("info"))["auth"] == "trusted"
    assert "Memory:" in incus.ok("info", "--resources")


@pytest.mark.parametrize("argv", [("image", "list"), ("profile", "list"), ("network", "list"), ("storage", "list"), ("project", "list"),
                                  ("operation", "list"), ("warning", "list"), ("config", "trust", "list"), ("list", "--all-projects"),
                                  ("storage", "volume", "list", "default"), ("admin", "init", "--dump")], ids=" ".join)
def test_lists(incus, box, argv):
    assert incus.ok(*argv)


def test_server_configuration(incus):
    incus.ok("config", "set", "user.incus=1")
    assert incus.ok("config", "get", "user.incus").strip() == "1"
    incus.ok("config", "unset", "user.incus")
    assert incus.ok("config", "get", "user.incus").strip() == ""


# ---- instances
def test_launch_starts_in_the_same_operation(incus, image, name):
    incus.ok("launch", image, name, "-c", "user.a=1")
    assert incus.row(name)["status"] == "Running" and incus.row(name)["config"]["user.a"] == "1"


def test_create_start_pause_resume_restart_stop_delete(incus, image, name):
    incus.ok("create", image, name)
    for verb, status in (("start", "Running"), ("pause", "Frozen"), ("resume", "Running"), ("restart", "Running"),
                         ("stop", "Stopped")):
        incus.ok(verb, name, *(["--force"] if verb in ("restart", "stop") else []))
        assert incus.row(name)["status"] == status, verb
    incus.ok("delete", name)
    assert name not in incus.ok("list", "-f", "csv", "-c", "n").split()


def test_list_columns(incus, box):
    row = next(csv.reader(io.StringIO(incus.ok("list", box, "-f", "csv", "-c", "nstSPab"))))
    assert row == [box, "RUNNING", "CONTAINER", "0", "default", "x86_64", "default"]


def test_info_of_an_instance(incus, box):
    out = incus.ok("info", box)
    assert re.search(r"^Status: RUNNING$", out, re.M) and "Processes:" in out and "eth0" in out


def test_rename(incus, image, name):
    incus.ok("create", image, name + "x")
    incus.ok("rename", name + "x", name)
    assert incus.row(name)["status"] == "Stopped"


def test_config_and_devices(incus, image, name):
    incus.ok("create", image, name)
    incus.ok("config", "set", name, "limits.memory=64MiB", "user.b=x y")
    incus.ok("config", "device", "override", name, "eth0", "hwaddr=00:16:3e:11:22:35")
    shown = yaml.safe_load(incus.ok("config", "show", name))
    assert shown["config"]["limits.memory"] == "64MiB" and shown["config"]["user.b"] == "x y"
    assert shown["devices"]["eth0"]["hwaddr"] == "00:16:3e:11:22:35"


def test_config_edit_from_stdin(incus, image, name):
    incus.ok("create", image, name)
    shown = yaml.safe_load(incus.ok("config", "show", name))
    shown["description"] = "edited"
    incus.ok("config", "edit", name, stdin=yaml.safe_dump(shown))
    assert incus.row(name)["description"] == "edited"


def test_copy_and_move(incus, image, name):
    incus.ok("create", image, name, "-c", "user.c=7")
    try:
        incus.ok("copy", name, name + "b")
        assert incus.row(name + "b")["config"]["user.c"] == "7"
        incus.ok("move", name + "b", name + "d")
        assert incus.row(name + "d")["config"]["user.c"] == "7"
    finally:
        incus("delete", "--force", name + "b")
        incus("delete", "--force", name + "d")


def test_snapshots(incus, image, name):
    incus.ok("launch", image, name)
    incus.ok("exec", name, "--", "sh", "-c", "echo old >/root/f")
    incus.ok("snapshot", "create", name, "s1")
    assert [s["name"] for s in json.loads(incus.ok("snapshot", "list", name, "-f", "json"))] == ["s1"]
    assert "s1" in incus.ok("snapshot", "show", name, "s1")
    incus.ok("exec", name, "--", "sh", "-c", "echo new >/root/f")
    incus.ok("snapshot", "restore", name, "s1")
    wait_until(lambda: incus("exec", name, "--", "cat", "/root/f").out == "old\n")
    incus.ok("snapshot", "rename", name, "s1", "s2")
    incus.ok("snapshot", "delete", name, "s2")


def test_rebuild(server, incus, image, name):
    if server.is_lxd:
        pytest.skip("LXD 5.0.2 has no rebuild")
    incus.ok("create", image, name)
    incus.ok("file", "push", "/etc/hostname", f"{name}/root/kept")
    incus.ok("rebuild", image, name)
    assert "does not exist" in incus.fails("file", "pull", f"{name}/root/kept", "-")


def test_publish(incus, image, name):
    incus.ok("create", image, name)
    alias = fresh_name("pub")
    incus.ok("publish", name, "--alias", alias)
    assert "Fingerprint" in incus.ok("image", "info", alias)
    incus.ok("image", "delete", alias)


# ---- exec and console
def test_exec_output_and_status(incus, box):
    assert incus.ok("exec", box, "--", "echo", "hi") == "hi\n"
    assert incus("exec", box, "--", "sh", "-c", "exit 7").code == 7
    assert incus("exec", box, "--", "/nowhere").code == 127


def test_exec_carries_bytes_both_ways(incus, box):
    data = os.urandom(3 << 20)
    assert incus("exec", box, "--", "cat", stdin=data, text=False).out == data


def test_exec_environment_user_cwd(incus, box):
    out = incus.ok("exec", box, "--env", "A=b c", "--user", "1000", "--cwd", "/tmp", "--", "sh", "-c", "echo $A; id -u; pwd")
    assert out.splitlines() == ["b c", "1000", "/tmp"]


def test_console_log(incus, box):
    incus.ok("exec", box, "--", "sh", "-c", "echo said to incus > /dev/console")
    wait_until(lambda: "said to incus" in incus("console", box, "--show-log").out)


# ---- files, all over SFTP
def test_push_and_pull_a_file(incus, box, tmp_path):
    data = os.urandom(1 << 20)
    (tmp_path / "in").write_bytes(data)
    incus.ok("file", "push", tmp_path / "in", f"{box}/root/in", "--mode", "0640", "--uid", "12", "--gid", "13")
    assert incus.ok("exec", box, "--", "stat", "-c", "%a %u %g", "/root/in").strip() == "640 12 13"
    incus.ok("file", "pull", f"{box}/root/in", tmp_path / "out")
    assert (tmp_path / "out").read_bytes() == data


def test_push_and_pull_by_pipe(incus, box):
    incus.ok("file", "push", "-", f"{box}/root/piped", stdin="by pipe\n")
    assert incus.ok("file", "pull", f"{box}/root/piped", "-") == "by pipe\n"


def test_push_and_pull_a_tree(incus, box, tmp_path):
    tree = tmp_path / "tree"
    (tree / "a/b").mkdir(parents=True)
    for i in range(20):
        (tree / f"a/f{i}").write_text(f"{i}\n" * i)
    (tree / "a/b/link").symlink_to("../f3")
    incus.ok("file", "push", "--recursive", "--quiet", tree, f"{box}/root/")
    (tmp_path / "back").mkdir()
    incus.ok("file", "pull", "--recursive", "--quiet", f"{box}/root/tree", tmp_path / "back")
    back = tmp_path / "back/tree"
    assert sorted(p.relative_to(back) for p in back.rglob("*")) == sorted(p.relative_to(tree) for p in tree.rglob("*"))
    assert os.readlink(back / "a/b/link") == "../f3" and (back / "a/f19").read_text() == "19\n" * 19


def test_create_and_delete_files(incus, box):
    incus.ok("file", "create", "--type=directory", f"{box}/root/made")
    incus.ok("file", "create", f"{box}/root/made/empty")
    incus.ok("file", "create", "--type=symlink", f"{box}/root/made/l", "empty")
    assert incus.ok("exec", box, "--", "readlink", "/root/made/l").strip() == "empty"
    for what in ("made/l", "made/empty", "made"):
        incus.ok("file", "delete", f"{box}/root/{what}")
    assert "does not exist" in incus.fails("file", "delete", f"{box}/root/made")


def test_files_of_a_stopped_instance(incus, image, name):
    incus.ok("create", image, name)
    incus.ok("file", "push", "-", f"{name}/root/x", stdin="stopped\n")
    assert incus.ok("file", "pull", f"{name}/root/x", "-") == "stopped\n"


def test_edit_through_stdin(incus, box):
    incus.ok("file", "push", "-", f"{box}/root/edited", stdin="a\n")
    incus.ok("file", "edit", f"{box}/root/edited", stdin="b\n")
    assert incus.ok("file", "pull", f"{box}/root/edited", "-") == "b\n"


# ---- images, profiles, projects, networks, storage
def test_image_aliases_and_properties(incus, image):
    alias = fresh_name("alias")
    finger = incus.ok("image", "list", "-f", "csv", "-c", "F", image).strip()
    incus.ok("image", "alias", "create", alias, finger)
    assert alias in incus.ok("image", "alias", "list", "-f", "csv")
    incus.ok("image", "alias", "delete", alias)
    incus.ok("image", "set-property", finger, "colour", "red")
    assert incus.ok("image", "get-property", finger, "colour").strip() == "red"
    incus.ok("image", "unset-property", finger, "colour")


def test_image_export_and_import(incus, image, tmp_path):
    incus.ok("image", "export", image, tmp_path / "img")
    files = sorted(tmp_path.glob("img*"))
    with_tag = fresh_name("imp")
    assert files
    project = fresh_name("p")
    incus.ok("project", "create", project, "-c", "features.images=true")
    try:
        incus.ok("--project", project, "image", "import", *files, "--alias", with_tag)
        assert with_tag in incus.ok("--project", project, "image", "list", "-f", "csv")
        incus.ok("--project", project, "image", "delete", with_tag)
    finally:
        incus.ok("project", "delete", project)


def test_profiles(incus):
    profile = fresh_name("prof")
    incus.ok("profile", "create", profile, stdin="config:\n  user.p: '1'\n")
    incus.ok("profile", "set", profile, "limits.cpu=1")
    assert yaml.safe_load(incus.ok("profile", "show", profile))["config"] == {"user.p": "1", "limits.cpu": "1"}
    incus.ok("profile", "copy", profile, profile + "x")
    incus.ok("profile", "delete", profile + "x")
    incus.ok("profile", "rename", profile, profile + "y")
    incus.ok("profile", "delete", profile + "y")


def test_networks(incus):
    net = fresh_name("n")[:12]
    incus.ok("network", "create", net, "ipv4.address=none", "ipv6.address=none")
    assert "CREATED" in incus.ok("network", "list", "-f", "csv")
    incus.ok("network", "set", net, "bridge.mtu=1400")
    assert incus.ok("network", "get", net, "bridge.mtu").strip() == "1400"
    assert "1400" in incus.ok("network", "info", net)
    incus.ok("network", "delete", net)


def test_volumes(incus):
    volume = fresh_name("vol")
    incus.ok("storage", "volume", "create", "default", volume)
    assert yaml.safe_load(incus.ok("storage", "volume", "show", "default", volume))["type"] == "custom"
    incus.ok("storage", "volume", "rename", "default", volume, volume + "x")
    incus.ok("storage", "volume", "delete", "default", volume + "x")


# ---- refusals
@pytest.mark.parametrize("argv", [("start", "nobody-is-here"), ("exec", "nobody-is-here", "--", "true"), ("delete", "nobody-is-here"),
                                  ("launch", "no-such-image", "x1"), ("profile", "show", "no-such"),
                                  ("network", "show", "no-such"), ("storage", "show", "no-such")], ids=" ".join)
def test_what_is_not_there(incus, argv):
    incus.fails(*argv)


# ---- backups
def test_export_and_import(incus, image, name, tmp_path):
    incus.ok("create", image, name, "-c", "user.e=1")
    incus.ok("file", "push", "-", f"{name}/root/f", stdin="kept")
    incus.ok("snapshot", "create", name, "s1")
    incus.ok("export", name, tmp_path / "backup.tar.gz")
    incus.ok("delete", "--force", name)
    incus.ok("import", tmp_path / "backup.tar.gz")
    assert incus.row(name)["config"]["user.e"] == "1" and [s["name"] for s in incus.row(name)["snapshots"]] == ["s1"]
    assert incus.ok("file", "pull", f"{name}/root/f", "-") == "kept"
    incus.ok("start", name)


# ---- top
def test_top(server, incus, box):
    """It reads /1.0/metrics every few seconds and draws a table; fed by a terminal, as it is meant to be."""
    if server.is_lxd:
        pytest.skip("LXD names its metrics for itself alone")
    term = incus.terminal("top", rows=40, cols=160)
    try:
        table = term.expect(box.encode())
        assert b"INSTANCE NAME" in table
        line = term.expect(b"\n").decode()
        assert re.search(r"\d+\.\d\d.*\d+(\.\d+)?\s?[KM]i?B", line), line
    finally:
        term.close()
