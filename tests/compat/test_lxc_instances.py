"""lxc: making, listing, showing, moving through states and removing instances."""
import csv
import io
import json

import pytest
import yaml

from harness.instance import fresh_name, wait_until


def row(server, name):
    return next(r for r in json.loads(server.ok("list", "-f", "json")) if r["name"] == name)


def status(server, name):
    return row(server, name)["status"]


# ---- version and info of the server
def test_version(ok):
    out = ok("version")
    assert "Client version: 5.0" in out and "unreachable" not in out


def test_server_info(ok):
    info = yaml.safe_load(ok("info"))
    assert info["api_version"] == "1.0" and info["auth"] == "trusted" and "x86_64" in info["environment"]["architectures"]


@pytest.mark.parametrize("extension", ["instances", "projects", "operation_description", "storage", "network", "etag", "patch",
                                       "container_exec_recording", "console", "image_types", "resources"])
def test_extension(ok, extension):
    assert extension in yaml.safe_load(ok("info"))["api_extensions"]


def test_info_resources(ok):
    out = ok("info", "--resources")
    assert "CPU" in out and "Memory:" in out


# ---- list
@pytest.mark.parametrize("form, parse", [
    ("json", json.loads), ("yaml", yaml.safe_load), ("csv", lambda t: list(csv.reader(io.StringIO(t)))),
    ("table", lambda t: t.splitlines()), ("compact", lambda t: t.splitlines())])
def test_list_format(ok, box, form, parse):
    out = ok("list", "-f", form)
    assert parse(out) and box in out


@pytest.mark.parametrize("column, expect", [
    ("n", None), ("s", "RUNNING"), ("t", "CONTAINER"), ("P", "default"), ("S", "0"), ("a", "x86_64"), ("b", "default"),
    ("e", "default"), ("d", "")])
def test_list_column(ok, box, column, expect):
    assert ok("list", box, "-c", column, "-f", "csv").strip() == (box if expect is None else expect)


@pytest.mark.parametrize("column", ["c", "l", "p", "N", "m", "M", "u", "D", "4", "6", "f", "F"])
def test_list_column_is_there(ok, box, column):
    out = ok("list", box, "-c", "n" + column, "-f", "csv")
    assert out.startswith(box + ",")


def test_list_pid_is_a_number(ok, box):
    assert int(ok("list", box, "-c", "p", "-f", "csv")) > 1


def test_list_processes_is_a_number(ok, box):
    assert int(ok("list", box, "-c", "N", "-f", "csv")) >= 1


def test_list_config_column(ok, fresh):
    name = fresh("-c", "user.colour=green")
    assert ok("list", name, "-c", "user.colour", "-f", "csv").strip() == "green"


def test_list_device_column(ok, box):
    assert ok("list", box, "-c", "devices:root.pool", "-f", "csv").strip() == "default"


def test_list_filter_by_status(ok, box, fresh):
    name = fresh()
    assert ok("list", "status=stopped", "-c", "n", "-f", "csv").split().count(name) == 1
    assert box not in ok("list", "status=stopped", "-c", "n", "-f", "csv")


def test_list_filter_by_config(ok, box, fresh):
    name = fresh("-c", "user.tag=t1")
    assert ok("list", "user.tag=t1", "-c", "n", "-f", "csv").split() == [name]


def test_list_filter_by_prefix(ok, box):
    assert ok("list", box[:3], "-c", "n", "-f", "csv").split() == [box]


def test_list_of_nothing(ok):
    assert ok("list", "nobody-of-that-name", "-f", "csv") == ""


def test_list_fast(ok, box):
    assert box in ok("list", "--fast", "-f", "csv")


def test_list_json_object(server, box):
    mine = row(server, box)
    assert {"architecture", "config", "created_at", "description", "devices", "ephemeral", "expanded_config", "expanded_devices",
            "last_used_at", "location", "name", "profiles", "project", "snapshots", "state", "stateful", "status",
            "status_code", "type", "backups"} <= mine.keys()
    assert mine["status_code"] == 103 and mine["type"] == "container" and mine["expanded_devices"]["root"]["path"] == "/"


def test_list_shows_address(ok, box):
    wait_until(lambda: "eth0" in ok("list", box, "-c", "4", "-f", "csv"), text=lambda: ok("list", box))


# ---- launch and init
def test_launch_says_what_it_does(ok, image, thing):
    name = thing("instance")
    out = ok("launch", image, name)
    assert f"Creating {name}" in out and f"Starting {name}" in out


def test_launch_without_name(ok, image):
    out = ok("init", image)
    name = out.split("Instance name is: ")[1].split()[0]
    ok("delete", name)


def test_init_is_stopped(server, fresh):
    assert status(server, fresh()) == "Stopped"


def test_init_with_config(ok, fresh):
    name = fresh("-c", "limits.cpu=1", "-c", "user.a=b")
    assert ok("config", "get", name, "limits.cpu").strip() == "1"
    assert ok("config", "get", name, "user.a").strip() == "b"


def test_init_with_device_override(server, fresh):
    name = fresh("-d", "eth0,hwaddr=00:16:3e:11:22:33")
    assert row(server, name)["devices"]["eth0"]["hwaddr"] == "00:16:3e:11:22:33"


def test_init_with_profile(ok, server, fresh, thing):
    profile = thing("profile")
    ok("profile", "create", profile)
    assert row(server, fresh("-p", "default", "-p", profile))["profiles"] == ["default", profile]


def test_init_with_yaml_on_stdin(ok, image, thing):
    name = thing("instance")
    ok("init", image, name, stdin="config:\n  user.a: from stdin\n")
    assert ok("config", "get", name, "user.a").strip() == "from stdin"


def test_init_on_storage(ok, server, fresh):
    assert row(server, fresh("-s", "default"))["devices"]["root"]["pool"] == "default"


def test_init_empty(ok, server, thing):
    name = thing("instance")
    ok("init", "--empty", name)
    assert status(server, name) == "Stopped"


def test_init_twice_fails(fails, fresh, image):
    name = fresh()
    assert "exist" in fails("init", image, name)


@pytest.mark.parametrize("name", ["-a", "a_b", "1a", "a.b", "x" * 64, "a-"])
def test_init_bad_name(fails, image, name):
    fails("init", image, "--", name)


def test_init_unknown_image(fails):
    fails("init", "no-such-image", fresh_name())


def test_init_unknown_profile(fails, image):
    fails("init", image, fresh_name(), "-p", "nowhere")


def test_init_unknown_key(fails, image):
    assert "nonsense" in fails("init", image, fresh_name(), "-c", "nonsense=1")


def test_ephemeral_goes_with_stop(ok, server, fresh):
    name = fresh("--ephemeral", verb="launch")
    ok("stop", "--force", name)
    assert name not in ok("list", "-c", "n", "-f", "csv").split()


# ---- info of an instance
def test_info_running(ok, box):
    out = ok("info", box)
    assert f"Name: {box}" in out and "Status: RUNNING" in out and "PID:" in out and "Processes:" in out
    assert "eth0" in out and "Type: broadcast" in out and "State: UP" in out


def test_info_stopped(ok, fresh):
    name = fresh()
    out = ok("info", name)
    assert f"Name: {name}" in out and "Status: STOPPED" in out and "PID" not in out


def test_info_log(ok, box):
    assert "Log:" in ok("info", box, "--show-log")


def test_info_unknown(fails):
    assert "not found" in fails("info", "nobody").lower()


# ---- states
def test_start_stop(ok, server, fresh):
    name = fresh()
    ok("start", name)
    assert status(server, name) == "Running"
    ok("stop", "--force", name)
    assert status(server, name) == "Stopped"


def test_clean_stop(ok, server, fresh):
    name = fresh(verb="launch")
    wait_until(lambda: server.lxc("exec", name, "--", "test", "-e", "/run/booted").code == 0)
    ok("stop", name, "--timeout", "20")
    assert status(server, name) == "Stopped"


def test_restart_changes_pid(ok, fresh):
    name = fresh(verb="launch")
    before = ok("list", name, "-c", "p", "-f", "csv")
    ok("restart", "--force", name)
    assert ok("list", name, "-c", "p", "-f", "csv") != before


def test_pause_and_start(ok, server, fresh):
    name = fresh(verb="launch")
    ok("pause", name)
    assert status(server, name) == "Frozen"
    ok("start", name)
    assert status(server, name) == "Running"


def test_stop_frozen_by_force(ok, server, fresh):
    name = fresh(verb="launch")
    ok("pause", name)
    ok("stop", "--force", name)
    assert status(server, name) == "Stopped"


def test_start_running_fails(fails, box):
    assert "already running" in fails("start", box)


def test_stop_stopped_fails(fails, fresh):
    assert "already stopped" in fails("stop", fresh())


def test_pause_stopped_fails(fails, fresh):
    fails("pause", fresh())


def test_state_of_unknown(fails):
    assert "not found" in fails("start", "nobody").lower()


def test_several_at_once(ok, server, fresh):
    names = [fresh(), fresh()]
    ok("start", *names)
    ok("stop", "--force", *names)
    assert {status(server, n) for n in names} == {"Stopped"}


def test_poweroff_from_inside(lxc, server, fresh):
    name = fresh(verb="launch")
    lxc("exec", name, "--", "poweroff", "-f")
    wait_until(lambda: status(server, name) == "Stopped")


def test_reboot_from_inside(lxc, ok, server, fresh):
    name = fresh(verb="launch")
    before = ok("list", name, "-c", "p", "-f", "csv")
    lxc("exec", name, "--", "reboot", "-f")
    wait_until(lambda: ok("list", name, "-c", "p", "-f", "csv").strip() not in ("", before.strip(), "0"))


# ---- delete and rename
def test_delete_stopped(ok, fresh):
    name = fresh()
    ok("delete", name)
    assert name not in ok("list", "-c", "n", "-f", "csv").split()


def test_delete_running_fails(fails, box):
    assert "running" in fails("delete", box)


def test_delete_running_by_force(ok, fresh):
    name = fresh(verb="launch")
    ok("delete", "--force", name)
    assert name not in ok("list", "-c", "n", "-f", "csv").split()


def test_delete_protected_fails(ok, fails, fresh):
    name = fresh("-c", "security.protection.delete=true")
    assert "protected" in fails("delete", name)
    ok("config", "unset", name, "security.protection.delete")


def test_delete_unknown_fails(fails):
    assert "not found" in fails("delete", "nobody").lower()


def test_delete_several(ok, fresh):
    names = [fresh(), fresh()]
    ok("delete", *names)
    assert not set(names) & set(ok("list", "-c", "n", "-f", "csv").split())


def test_rename(ok, fresh, thing):
    old, new = fresh(), thing("instance")
    ok("rename", old, new)
    names = ok("list", "-c", "n", "-f", "csv").split()
    assert new in names and old not in names


def test_rename_then_hostname(ok, fresh, thing):
    new = thing("instance")
    ok("rename", fresh(), new)
    ok("start", new)
    assert ok("exec", new, "--", "hostname").strip() == new


def test_rename_running_fails(fails, box):
    assert "running" in fails("rename", box, fresh_name())


def test_rename_to_taken_fails(fails, fresh):
    fails("rename", fresh(), fresh())


def test_rename_keeps_config(ok, fresh, thing):
    new = thing("instance")
    ok("rename", fresh("-c", "user.a=b"), new)
    assert ok("config", "get", new, "user.a").strip() == "b"
