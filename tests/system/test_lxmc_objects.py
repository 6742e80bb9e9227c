"""lxmc on instances, profiles, images, networks, pools and the server: what it prints and what it changes."""
import csv
import io
import json
import os
import signal
import subprocess
import tarfile
import time

import pytest

from harness.daemon import SLOW
from harness.instance import fresh_name

pytestmark = pytest.mark.host_only("what lxmc prints and what it asks for")


@pytest.fixture
def stopped(instance):
    return instance(start=False, config={"user.role": "db"}).name


# ---- list and info
def test_list_formats(lxmc, stopped):
    table = lxmc("list", check=True).out
    assert table.startswith("+-") and table.endswith("-+\n")
    for head in ("NAME", "STATE", "IPV4", "IPV6", "TYPE", "SNAPSHOTS"):
        assert head in table.splitlines()[1]
    row = [r for r in csv.reader(io.StringIO(lxmc("list", "-f", "csv", check=True).out)) if r[0] == stopped][0]
    assert row == [stopped, "STOPPED", "", "", "CONTAINER", "0"]
    found = [o for o in json.loads(lxmc("list", "-f", "json", check=True).out) if o["name"] == stopped][0]
    assert found["status"] == "Stopped" and "state" in found
    assert f"name: {stopped}" in lxmc("list", "-f", "yaml", check=True).out
    compact = lxmc("list", "-f", "compact", check=True).out
    assert stopped in compact and "|" not in compact
    assert stopped in lxmc("list", "-q", check=True).out.split("\n")


def test_list_columns_and_filters(lxmc, stopped):
    def names(*argv):
        return lxmc("list", *argv, "-c", "n", "-f", "csv", check=True).out.split()

    assert stopped in names("status=stopped") and stopped not in names("status=running")
    assert names("user.role=db", stopped) == [stopped]
    assert names("u.role=nothing", stopped) == []
    assert names(stopped[:-1]) != [] and names(f"^{stopped}$") == [stopped]
    out = lxmc("list", stopped, "-c", "n,user.role:ROLE:1,s", "-f", "table", check=True).out
    assert "ROLE" in out and "| d " in out
    for letters in ("ns46tS", "abcdDefFlLmMNpPu"):
        assert lxmc("list", "-c", letters).code == 0
    assert lxmc("list", "--fast").code == 0


def test_info(lxmc, instance, stopped):
    name = instance().name
    out = lxmc("info", name, check=True).out
    assert f"Name: {name}\nStatus: RUNNING\nType: container\n" in out and "PID: " in out and "Network usage:" in out
    assert "Status: STOPPED" in lxmc("info", stopped, check=True).out
    assert "api_version: \"1.0\"" in lxmc("info", check=True).out


def test_info_tells_of_limits_and_backups(lxmc, instance):
    inst = instance(start=False, config={"limits.cpu": "1", "limits.memory": "256MiB"})
    out = lxmc("info", inst.name, check=True).out
    assert out.endswith("\nLimits:\n  CPUs: 1\n  Memory: 256MiB\n") and "Backups:" not in out
    inst.rest.change("PATCH", inst.path, {"config": {"limits.processes": "50"}, "devices": {"root": {"type": "disk", "path": "/", "pool": "default", "size": "1GiB"}}})
    inst.rest.change("POST", f"{inst.path}/backups", {"name": "b0", "compression_algorithm": "none"})
    inst.start()
    out = lxmc("info", inst.name, check=True).out
    limits = out[out.index("\nLimits:\n"):out.index("\nBackups:\n")].splitlines()[2:]
    kept = "total" in inst.state()["disk"]["root"]
    assert limits == ["  CPUs: 1", "  Memory: 256MiB", "  Processes: 50", "  Disk (root): 1GiB" + ("" if kept else " (not kept: the pool has no quotas)")]
    assert "| b0 " in out[out.index("\nBackups:\n"):]
    inst.rest.change("PUT", inst.path, {"config": {}, "profiles": ["default"]})
    assert "Limits:" not in lxmc("info", inst.name, check=True).out


# ---- life
def test_launch_with_everything(lxmc, image, daemon):
    name = fresh_name("cli")
    try:
        done = lxmc("launch", image, name, "-c", "user.a=1", "-d", "root,size=1GiB", "-p", "default", "--description",
                    "hi there", stdin="config:\n  user.b: 2\n  user.a: 7\n", check=True)
        assert done.out == ""
        assert "Creating" in done.err and "Starting" in done.err
        assert [lxmc("config", "get", name, key).out.strip() for key in ("user.a", "user.b")] == ["1", "2"]
        assert lxmc("config", "device", "get", name, "root", "path").out == "/\n"
        assert lxmc("config", "device", "get", name, "root", "size").out == "1GiB\n"
        assert "description: hi there" in lxmc("config", "show", name).out
    finally:
        lxmc("delete", "-f", name)


def test_quiet_launch_prints_the_name_only(lxmc, image):
    done = lxmc("init", image, "-q", check=True)
    name = done.out.strip()
    try:
        assert done.err == "" and name and "\n" not in name
        assert lxmc("list", name, "-c", "ns", "-f", "csv", check=True).out == f"{name},STOPPED\n"
    finally:
        lxmc("delete", name, check=True)


def test_several_at_once(lxmc, instance):
    names = [instance(start=False).name for _ in range(3)]
    assert lxmc("start", *names).code == 0
    assert lxmc("pause", names[0]).code == 0
    assert lxmc("list", f"^{names[0]}$", "-c", "s", "-f", "csv").out == "FROZEN\n"
    assert lxmc("start", names[0]).code == 0  # resumes, as lxc does
    assert lxmc("list", f"^{names[0]}$", "-c", "s", "-f", "csv").out == "RUNNING\n"
    assert lxmc("pause", names[0]).code == 0 and lxmc("resume", names[0]).code == 0
    assert lxmc("restart", "-f", names[1]).code == 0
    done = lxmc("stop", "-f", names[0], "nope", names[2])
    assert done.code == 1 and "nope" in done.err
    assert lxmc("list", "status=running", "-c", "n", "-f", "csv").out.split().count(names[1]) == 1
    running = lxmc("delete", names[1])
    assert running.code == 1 and "--force" in running.err and names[1] in running.err
    assert lxmc("delete", "--force", *names).code == 0


def test_stop_that_runs_out_of_time(lxmc, instance):
    name = instance().name
    lxmc("exec", name, "--", "kill", "-STOP", "1")
    lxmc("pause", name)
    done = lxmc("start", name)
    assert done.code == 0


def test_rename(lxmc, instance, daemon):
    name = instance(start=False).name
    assert lxmc("rename", name, name + "x", check=True).code == 0
    assert lxmc("rename", name + "x", name, check=True).code == 0


# ---- configuration
def test_config_round(lxmc, stopped):
    lxmc("config", "set", stopped, "user.a=1", "user.b=two words", check=True)
    lxmc("config", "set", stopped, "user.c", "x=y", check=True)
    lxmc("config", "set", stopped, "user.d=-", stdin="line1\nline2\n", check=True)
    assert lxmc("config", "get", stopped, "user.b").out == "two words\n"
    assert lxmc("config", "get", stopped, "user.c").out == "x=y\n"
    assert "user.d: |\n    line1\n    line2\n" in lxmc("config", "show", stopped).out
    lxmc("config", "unset", stopped, "user.a", check=True)
    gone = lxmc("config", "unset", stopped, "user.a")
    assert gone.code == 1 and "user.a" in gone.err
    bad = lxmc("config", "set", stopped, "no.such.key=1")
    assert bad.code == 1 and "no.such.key" in bad.err
    assert "eth0" in lxmc("config", "show", stopped, "--expanded", check=True).out


def test_devices(lxmc, stopped):
    device = ("config", "device")
    assert lxmc(*device, "add", stopped, "data", "disk", "source=/tmp", "path=/mnt/data", check=True).out == "Device data added\n"
    assert lxmc(*device, "list", stopped).out == "data\n"
    lxmc(*device, "set", stopped, "data", "readonly=true", check=True)
    assert lxmc(*device, "get", stopped, "data", "readonly").out == "true\n"
    lxmc(*device, "unset", stopped, "data", "readonly", check=True)
    assert "readonly" not in lxmc(*device, "show", stopped).out
    twice = lxmc(*device, "add", stopped, "data", "disk", "source=/tmp", "path=/x")
    assert twice.code == 1 and "already" in twice.err
    theirs = lxmc(*device, "remove", stopped, "eth0")
    assert theirs.code == 1 and "profile" in theirs.err
    lxmc(*device, "override", stopped, "eth0", check=True)
    lxmc(*device, "remove", stopped, "eth0", "data", check=True)
    assert lxmc(*device, "list", stopped).out == ""


def edit(daemon, tmp_path, change, *argv):
    """Runs a verb whose editor is a sed on the file, on a terminal."""
    editor = tmp_path / "editor"
    editor.write_text(f"#!/bin/sh\nsed -i '{change}' \"$1\"\n")
    editor.chmod(0o755)
    return daemon.run(["script", "-qec", " ".join([daemon.bin("lxmc"), *argv]), "/dev/null"], EDITOR=str(editor), VISUAL="")


def test_edit_by_stdin_and_by_editor(lxmc, daemon, stopped, tmp_path):
    yaml = lxmc("config", "show", stopped).out.replace("user.role: db", "user.role: web")
    lxmc("config", "edit", stopped, stdin=yaml, check=True)
    assert lxmc("config", "get", stopped, "user.role").out == "web\n"
    done = edit(daemon, tmp_path, "s/user.role: web/user.role: mail/", "config", "edit", stopped)
    assert done.code == 0, done
    assert lxmc("config", "get", stopped, "user.role").out == "mail\n"
    assert "Nothing changed" in edit(daemon, tmp_path, "", "config", "edit", stopped).out
    bad = lxmc("config", "edit", stopped, stdin="config: [")
    assert bad.code == 1 and "line" in bad.err


def test_edit_with_nothing_on_stdin_changes_nothing(lxmc):
    name = fresh_name("kept")
    lxmc("profile", "create", name, "user.a=1", check=True)
    try:
        for nothing in ("", " \n# only a comment\n"):
            done = lxmc("profile", "edit", name, stdin=nothing)
            assert done.code == 1 and "stdin" in done.err, done
        assert lxmc("profile", "get", name, "user.a").out == "1\n"
    finally:
        lxmc("profile", "delete", name, check=True)


def test_change_made_by_somebody_else_is_not_lost(daemon, lxmc, stopped, tmp_path):
    lxmc_bin = daemon.bin("lxmc")
    script = tmp_path / "editor"
    script.write_text(f"#!/bin/sh\n{lxmc_bin} config set {stopped} user.other=1\nsed -i s/db/mine/ \"$1\"\n")
    script.chmod(0o755)
    done = daemon.run(["script", "-qec", f"{lxmc_bin} config edit {stopped}", "/dev/null"], stdin="\x04", EDITOR=str(script), VISUAL="")
    assert done.code == 1 and "changed meanwhile" in done.out
    assert lxmc("config", "get", stopped, "user.other").out == "1\n"
    # set merges, so it simply tries again: many at once lose nothing
    procs = [subprocess.Popen([lxmc_bin, "config", "set", stopped, f"user.n{i}={i}"], env=daemon.env(), stdin=subprocess.DEVNULL)
             for i in range(4)]
    assert [p.wait() for p in procs] == [0] * 4
    assert [lxmc("config", "get", stopped, f"user.n{i}").out.strip() for i in range(4)] == list("0123")


def test_profiles(lxmc, stopped):
    name = fresh_name("p")
    lxmc("profile", "create", name, "user.x=1", stdin="description: made here\nconfig:\n  user.y: true\n", check=True)
    try:
        shown = lxmc("profile", "show", name, check=True).out
        assert 'user.y: "true"' in shown and "description: made here" in shown
        lxmc("profile", "set", name, "user.x=2", check=True)
        assert lxmc("profile", "get", name, "user.x").out == "2\n"
        lxmc("profile", "add", stopped, name, check=True)
        assert lxmc("profile", "add", stopped, name).code == 1
        assert lxmc("config", "get", stopped, "user.x", "--expanded").out == "2\n"
        assert lxmc("profile", "delete", name).code == 1
        lxmc("profile", "assign", stopped, "default", check=True)
        lxmc("profile", "copy", name, name + "2", check=True)
        lxmc("profile", "rename", name + "2", name + "3", check=True)
        lxmc("profile", "device", "add", name + "3", "d", "disk", "source=/tmp", "path=/x", check=True)
        assert "path: /x" in lxmc("profile", "device", "show", name + "3").out
        assert f"{name}3" in lxmc("profile", "list", "-q").out.split()
        lxmc("profile", "delete", name + "3", check=True)
    finally:
        lxmc("profile", "assign", stopped, "default")
        lxmc("profile", "delete", name, check=True)


# ---- images
def repack(busybox_tar, tmp_path):
    """The parts of a unified image as a split one and as a directory."""
    where = tmp_path / "img"
    with tarfile.open(fileobj=io.BytesIO(busybox_tar)) as tar:
        tar.extractall(where)
    with open(where / "metadata.yaml", "a") as f:
        f.write(f"# {os.urandom(8).hex()}\n")  # a fingerprint of its own
    meta, root = tmp_path / "meta.tar", tmp_path / "root.tar.gz"
    subprocess.run(["tar", "-C", where, "-cf", meta, "metadata.yaml"], check=True)
    subprocess.run(["tar", "-C", where / "rootfs", "-czf", root, "."], check=True)
    return where, meta, root


def test_image_import_split_show_export_delete(lxmc, busybox_tar, tmp_path):
    _, meta, root = repack(busybox_tar, tmp_path)
    alias = fresh_name("img")
    fp = lxmc("image", "import", meta, root, "-q", "--alias", alias, "os=split thing", check=True).out.strip()
    try:
        assert len(fp) == 64
        assert "os: split thing" in lxmc("image", "show", alias).out
        assert f"Fingerprint: {fp}" in lxmc("image", "info", fp[:12]).out
        assert alias in lxmc("image", "list", alias, "-f", "csv").out
        lxmc("image", "alias", "create", alias + "b", fp[:12], check=True)
        lxmc("image", "alias", "rename", alias + "b", alias + "c", check=True)
        assert alias + "c" in lxmc("image", "alias", "list", "-q").out.split()
        lxmc("image", "alias", "delete", alias + "c", check=True)
        out = tmp_path / "out"
        out.mkdir()
        wrote = lxmc("image", "export", alias, out, "-q", check=True).out.split()
        assert len(wrote) == 2
        assert sorted(os.path.getsize(p) for p in wrote) == sorted([meta.stat().st_size, root.stat().st_size])
        again = lxmc("image", "export", alias, out)
        assert again.code == 1 and "--force" in again.err
    finally:
        lxmc("image", "delete", fp, check=True)


def test_image_import_directory_and_what_is_no_image(lxmc, busybox_tar, tmp_path):
    where, _, _ = repack(busybox_tar, tmp_path)
    fp = lxmc("image", "import", where, "-q", check=True).out.strip()
    lxmc("image", "delete", fp, check=True)
    (tmp_path / "junk").write_bytes(b"junk" * 1000)
    done = lxmc("image", "import", tmp_path / "junk")
    assert done.code == 1 and "junk" in done.err and "Error: " in done.err
    missing = lxmc("image", "import", "/no/such/file")
    assert missing.code == 1 and "/no/such/file" in missing.err


# ---- networks, pools, server
def test_networks_and_pools(lxmc, stopped):
    nets = json.loads(lxmc("network", "list", "-f", "json", check=True).out)
    net = [n["name"] for n in nets if n["managed"]][0]
    assert "type: bridge" in lxmc("network", "show", net, check=True).out
    assert "MTU:" in lxmc("network", "info", net, check=True).out
    assert lxmc("network", "list-leases", net).code == 0
    lxmc("network", "set", net, "user.note=1", check=True)
    assert lxmc("network", "get", net, "user.note").out == "1\n"
    lxmc("network", "unset", net, "user.note", check=True)
    lxmc("profile", "create", "netted", stdin="", check=True)
    try:
        lxmc("network", "attach-profile", net, "netted", "eth7", "eth7", check=True)
        assert f"network: {net}" in lxmc("profile", "device", "show", "netted").out
        lxmc("network", "detach-profile", net, "netted", check=True)
        assert lxmc("profile", "device", "list", "netted").out == ""
    finally:
        lxmc("profile", "delete", "netted", check=True)
    pool = lxmc("storage", "list", "-q", check=True).out.split()[0]
    assert "driver: " in lxmc("storage", "show", pool, check=True).out
    assert "Space used:" in lxmc("storage", "info", pool, check=True).out
    listed = lxmc("storage", "volume", "list", pool)
    if "this server cannot do that" in listed.err:
        pytest.skip("the server does not list volumes yet")
    assert stopped in listed.out
    assert f"name: {stopped}" in lxmc("storage", "volume", "show", pool, f"container/{stopped}", check=True).out


def test_query(lxmc, stopped):
    assert f"/1.0/instances/{stopped}" in json.loads(lxmc("query", "/1.0/instances", check=True).out)
    assert json.loads(lxmc("query", "--raw", "/1.0", check=True).out)["type"] == "sync"
    lxmc("query", "-X", "PATCH", "-d", '{"config":{"user.q":"1"}}', f"/1.0/instances/{stopped}", check=True)
    assert lxmc("config", "get", stopped, "user.q").out == "1\n"
    lxmc("query", "-X", "PUT", "-d", '{"action":"start"}', "--wait", f"/1.0/instances/{stopped}/state", check=True)
    lxmc("stop", "-f", stopped, check=True)
    assert lxmc("query", "/1.0/nonsense").code == 1
    assert lxmc("query", "-d", "{", "/1.0").code == 2


def test_monitor_sees_life(daemon, lxmc, stopped):
    proc = subprocess.Popen([daemon.bin("lxmc"), "monitor", "--type", "lifecycle", "-f", "json"], stdout=subprocess.PIPE,
                            stdin=subprocess.DEVNULL, env=daemon.env(), text=True)
    try:
        time.sleep(0.5 * SLOW)
        lxmc("start", stopped, check=True)
        seen = []
        while "instance-started" not in seen:
            event = json.loads(proc.stdout.readline())
            assert event["type"] == "lifecycle"
            if stopped in event["metadata"]["source"]:
                seen.append(event["metadata"]["action"])
    finally:
        proc.send_signal(signal.SIGINT)
        proc.wait()
        proc.stdout.close()


def test_operations_warnings_projects(lxmc):
    assert "ID" in lxmc("operation", "list", check=True).out
    assert lxmc("operation", "show", "00000000-0000-0000-0000-000000000000").code == 1
    assert lxmc("warning", "list").code == 0
    assert "default" in lxmc("project", "list", "-q", check=True).out.split()
    assert lxmc("project", "switch", "nope").code == 1
    assert lxmc("list", "--project", "nope").code == 1


def test_admin(lxmc):
    dump = lxmc("admin", "init", "--dump", check=True).out
    for key in ("config:", "networks:", "storage_pools:", "profiles:"):
        assert key in dump
    lxmc("admin", "waitready", "--timeout", "5", check=True)
    assert lxmc("admin", "waitready", "--timeout", "0", LXMC_SOCKET="/nonexistent").code == 1
    bad = lxmc("admin", "init", "--preseed", stdin="pools: []\n")
    assert bad.code == 1 and "pools" in bad.err
    name = fresh_name("seed")
    lxmc("admin", "init", "--preseed", stdin=f"profiles:\n- name: {name}\n  config:\n    user.a: 1\n", check=True)
    lxmc("admin", "init", "--preseed", stdin=f"profiles:\n- name: {name}\n  config:\n    user.b: 2\n", check=True)
    try:
        assert lxmc("profile", "get", name, "user.a").out + lxmc("profile", "get", name, "user.b").out == "1\n2\n"
        undone = lxmc("admin", "init", "--preseed", stdin=f"profiles:\n- name: {name}u\n- name: bad/name\n")
        assert undone.code == 1 and lxmc("profile", "show", f"{name}u").code == 1
    finally:
        lxmc("profile", "delete", name, check=True)


def test_publish_by_force_stops_and_starts(lxmc, rest, instance):
    inst = instance()
    inst.sh("echo mine > /root/file")
    refused = lxmc("publish", inst.name)
    assert refused.code == 1 and "running" in refused.err and inst.status == "Running"
    pid = inst.pid
    done = lxmc("-q", "publish", inst.name, "--force", "--alias", f"{inst.name}-image", check=True)
    try:
        assert rest.read(f"images/aliases/{inst.name}-image")["target"] == done.out.strip()
        assert inst.status == "Running" and inst.pid != pid and inst.sh("cat /root/file") == "mine\n"
        inst.sh("echo more >> /root/file")  # the same content within a second would be the same image
        inst.stop()
        lxmc("publish", inst.name, "--force", "--alias", f"{inst.name}-again", check=True)
        assert inst.status == "Stopped", "what did not run is not started"
        inst.start()
        failed = lxmc("publish", inst.name, "--force", "--alias", f"{inst.name}-image")
        assert failed.code == 1 and inst.status == "Running", failed
    finally:
        for image in {rest.read(f"images/aliases/{inst.name}-{x}")["target"] for x in ("image", "again")}:
            rest.change("DELETE", f"images/{image}")


def test_publish_by_force_keeps_an_ephemeral_one(lxmc, instance):
    inst = instance(ephemeral=True)
    refused = lxmc("publish", inst.name, "--force")
    assert refused.code == 1 and "ephemeral" in refused.err and inst.status == "Running"


def test_log_of_a_failed_start(lxmc, rest, instance):
    inst = instance()
    inst.sh("mv /sbin/init /sbin/no-init")
    inst.stop()
    failed = lxmc("start", inst.name)
    assert failed.code == 1 and "init" in failed.err
    shown = lxmc("info", inst.name, "--show-log", check=True).out
    assert failed.err.strip().split("Error: ")[-1] in shown.split("Log:")[1]


def test_help_of_a_family_lists_its_verbs(lxmc):
    for family, verbs in (("file", ("push", "pull", "delete")), ("image", ("list", "copy", "export")), ("config device", ("add", "override"))):
        out = lxmc("help", *family.split(), check=True).out
        for verb in verbs:
            assert f"  {family} {verb} " in out
