"""lxc config, lxc config device and lxc profile."""
import json
import stat

import pytest
import yaml

from harness.instance import fresh_name


@pytest.fixture
def editor(tmp_path):
    """An editor that does what a line of shell says, with the file as $1."""

    def make(line):
        path = tmp_path / "editor"
        path.write_text(f"#!/bin/sh\n{line}\n")
        path.chmod(path.stat().st_mode | stat.S_IXUSR)
        return str(path)

    return make


def edit(server, editor, line, *argv):
    """`lxc ... edit` on a terminal: without one it reads YAML from stdin."""
    return server.run(["script", "-qec", " ".join(["lxc", *argv]), "/dev/null"], EDITOR=editor(line), TERM="dumb")


# ---- config of an instance
def test_set_get_unset(ok, fresh):
    name = fresh()
    ok("config", "set", name, "user.a=b")
    assert ok("config", "get", name, "user.a") == "b\n"
    ok("config", "unset", name, "user.a")
    assert ok("config", "get", name, "user.a") == "\n"


def test_set_with_two_words(ok, fresh):
    name = fresh()
    ok("config", "set", name, "user.a", "two words")
    assert ok("config", "get", name, "user.a") == "two words\n"


def test_set_several(ok, fresh):
    name = fresh()
    ok("config", "set", name, "user.a=1", "user.b=2")
    assert (ok("config", "get", name, "user.a"), ok("config", "get", name, "user.b")) == ("1\n", "2\n")


def test_set_from_stdin(ok, fresh):
    name = fresh()
    ok("config", "set", name, "user.a", "-", stdin="line 1\nline 2\n")
    assert "line 1\nline 2" in ok("config", "get", name, "user.a")


@pytest.mark.parametrize("value", ["ä€😀", "a=b=c", " ", '"quoted"', "- x: y", "x" * 5000])
def test_set_any_value(ok, fresh, value):
    name = fresh()
    ok("config", "set", name, f"user.a={value}")
    assert ok("config", "get", name, "user.a") == value + "\n"


@pytest.mark.parametrize("key, value", [
    ("limits.cpu", "many"), ("limits.memory", "lots"), ("boot.autostart", "maybe"), ("nonsense.key", "1"),
    ("security.nesting", "2.5"), ("limits.processes", "x"), ("security.privileged", "si")])
def test_set_refused(ok, fails, fresh, key, value):
    name = fresh()
    fails("config", "set", name, f"{key}={value}")
    assert ok("config", "get", name, key) == "\n"


@pytest.mark.parametrize("key, value", [
    ("limits.cpu", "0-0"), ("limits.memory", "64MiB"), ("limits.memory", "50%"), ("boot.autostart", "true"),
    ("boot.autostart.priority", "10"), ("security.nesting", "true"), ("limits.processes", "100"),
    ("environment.A", "b"), ("limits.cpu.allowance", "50%"), ("limits.cpu.allowance", "25ms/100ms"),
    ("limits.memory.enforce", "soft"), ("limits.kernel.nofile", "1000:2000"), ("snapshots.pattern", "s%d"),
    ("security.protection.shift", "true"), ("cloud-init.user-data", "#cloud-config"), ("limits.cpu.priority", "5"),
    ("limits.memory.swap", "false"), ("boot.stop.priority", "3"), ("boot.host_shutdown_timeout", "5"),
    ("security.idmap.isolated", "true"), ("security.devlxd", "false"), ("security.syscalls.deny_compat", "true"),
    ("snapshots.schedule", "@daily"), ("snapshots.expiry", "1d")])
def test_set_accepted(ok, fresh, key, value):
    name = fresh("-c", f"{key}={value}")
    assert ok("config", "get", name, key) == value + "\n"


def test_unset_what_is_not_set(lxc, fresh):
    lxc("config", "unset", fresh(), "user.nothing")


def test_set_on_running(ok, box):
    ok("config", "set", box, "limits.processes=500")
    ok("config", "unset", box, "limits.processes")


def test_show(ok, fresh):
    name = fresh("-c", "user.a=b")
    shown = yaml.safe_load(ok("config", "show", name))
    assert shown["config"]["user.a"] == "b" and shown["profiles"] == ["default"] and shown["ephemeral"] is False
    assert shown["devices"] == {} and shown["architecture"] == "x86_64" and shown["stateful"] is False


def test_show_expanded(ok, fresh):
    shown = yaml.safe_load(ok("config", "show", "--expanded", fresh()))
    assert shown["devices"]["root"]["type"] == "disk" and shown["devices"]["eth0"]["type"] == "nic"


def test_image_properties_become_config(ok, fresh):
    name = fresh()
    assert ok("config", "get", name, "image.os") == "busybox\n"
    assert len(ok("config", "get", name, "volatile.base_image").strip()) == 64


@pytest.mark.parametrize("key", ["volatile.uuid", "volatile.cloud-init.instance-id"])
def test_volatile_key(ok, fresh, key):
    assert ok("config", "get", fresh(), key).strip()


@pytest.mark.parametrize("key", ["volatile.eth0.hwaddr", "volatile.eth0.host_name", "volatile.last_state.power",
                                 "volatile.last_state.idmap", "volatile.idmap.current",
                                 "volatile.idmap.next"])
def test_volatile_key_of_running(ok, box, key):
    assert ok("config", "get", box, key).strip()


def test_edit_from_stdin(ok, fresh):
    name = fresh()
    shown = yaml.safe_load(ok("config", "show", name))
    shown["description"], shown["config"]["user.a"] = "edited", "b"
    ok("config", "edit", name, stdin=yaml.safe_dump(shown))
    after = yaml.safe_load(ok("config", "show", name))
    assert after["description"] == "edited" and after["config"]["user.a"] == "b"


def test_edit_with_editor(server, ok, fresh, editor):
    name = fresh()
    done = edit(server, editor, """sed -i 's/^description:.*/description: by editor/' "$1" """, "config", "edit", name)
    assert done.code == 0, done
    assert yaml.safe_load(ok("config", "show", name))["description"] == "by editor"


def test_edit_under_a_change(server, ok, fresh, editor):
    """If-Match: what changed meanwhile is not overwritten."""
    name = fresh()
    script = (f"[ ! -e $0.once ] || exit 1\ntouch $0.once; lxc config set {name} user.other=1\n"
              """sed -i 's/^description:.*/description: late/' "$1" """)
    done = server.run(["script", "-qec", f"lxc config edit {name}", "/dev/null"], stdin="\n", EDITOR=editor(script))
    assert "ETag doesn't match" in done.out or "etag" in done.out.lower(), done
    assert ok("config", "get", name, "user.other") == "1\n"


def test_edit_bad_yaml_from_stdin(fails, fresh):
    fails("config", "edit", fresh(), stdin="{[")


def test_config_of_unknown(fails):
    assert "not found" in fails("config", "show", "nobody").lower()


def test_metadata_of_container(ok, fresh):
    assert yaml.safe_load(ok("config", "metadata", "show", fresh()))["properties"]["os"] == "busybox"


def test_template_list(ok, fresh):
    assert "hostname.tpl" in ok("config", "template", "list", fresh())


def test_template_show(ok, fresh):
    assert "container.name" in ok("config", "template", "show", fresh(), "hostname.tpl")


# ---- config of the server
def test_server_config(ok):
    ok("config", "set", "user.colour=blue")
    assert ok("config", "get", "user.colour") == "blue\n"
    assert yaml.safe_load(ok("config", "show"))["config"]["user.colour"] == "blue"
    ok("config", "unset", "user.colour")
    assert ok("config", "get", "user.colour") == "\n"


def test_server_config_unknown_key(fails):
    fails("config", "set", "core.nonsense=1")


# ---- devices of an instance
def test_device_life(ok, fresh):
    name = fresh()
    ok("config", "device", "add", name, "d1", "disk", "source=/mnt", "path=/mnt", "readonly=true")
    assert ok("config", "device", "list", name).split() == ["d1"]
    assert ok("config", "device", "get", name, "d1", "path") == "/mnt\n"
    ok("config", "device", "set", name, "d1", "path=/opt")
    assert yaml.safe_load(ok("config", "device", "show", name))["d1"]["path"] == "/opt"
    ok("config", "device", "unset", name, "d1", "readonly")
    assert ok("config", "device", "get", name, "d1", "readonly") == "\n"
    ok("config", "device", "remove", name, "d1")
    assert ok("config", "device", "list", name).split() == []


def test_device_override(ok, fresh):
    name = fresh()
    ok("config", "device", "override", name, "eth0", "hwaddr=00:16:3e:11:22:34")
    assert ok("config", "device", "get", name, "eth0", "hwaddr") == "00:16:3e:11:22:34\n"


def test_device_override_of_nothing(fails, fresh):
    fails("config", "device", "override", fresh(), "nothing", "a=b")


def test_device_twice(ok, fails, fresh):
    name = fresh()
    ok("config", "device", "add", name, "n", "none")
    assert "already exists" in fails("config", "device", "add", name, "n", "none")


def test_device_remove_from_profile_fails(fails, fresh):
    fails("config", "device", "remove", fresh(), "eth0")


@pytest.mark.parametrize("device", [
    ("disk", "source=/nowhere-at-all", "path=/x"), ("disk", "path=/x"), ("nic", "nictype=nonsense"), ("nonsense",),
    ("nic", "network=nowhere"), ("disk", "source=/mnt", "path=/x", "nonsense=1"), ("unix-char",),
    ("disk", "pool=nowhere", "source=v", "path=/x")])
def test_device_refused(ok, fails, fresh, device):
    name = fresh()
    fails("config", "device", "add", name, "d", *device)
    assert ok("config", "device", "list", name).split() == []


def test_disk_hotplug(ok, box, tmp_path):
    (tmp_path / "f").write_text("seen")
    tmp_path.chmod(0o755)
    for parent in list(tmp_path.parents)[:2]:
        parent.chmod(0o755)
    ok("config", "device", "add", box, "hot", "disk", f"source={tmp_path}", "path=/hot")
    assert ok("exec", box, "--", "cat", "/hot/f") == "seen"
    ok("config", "device", "remove", box, "hot")
    assert ok("exec", box, "--", "sh", "-c", "ls /hot | wc -l").strip() == "0"


def test_unix_char(ok, fresh):
    name = fresh()
    ok("config", "device", "add", name, "z", "unix-char", "source=/dev/zero", "path=/dev/myzero")
    ok("start", name)
    assert ok("exec", name, "--", "sh", "-c", "head -c 3 /dev/myzero | wc -c").strip() == "3"


# ---- profiles
def test_profile_life(ok, thing):
    name = thing("profile")
    assert f"Profile {name} created" in ok("profile", "create", name)
    assert name in ok("profile", "list", "-f", "csv")
    ok("profile", "set", name, "user.a=b")
    assert ok("profile", "get", name, "user.a") == "b\n"
    ok("profile", "unset", name, "user.a")
    assert ok("profile", "get", name, "user.a") == "\n"
    assert f"Profile {name} deleted" in ok("profile", "delete", name)
    assert name not in ok("profile", "list", "-f", "csv")


@pytest.mark.parametrize("form", ["csv", "json", "yaml", "table", "compact"])
def test_profile_list(ok, form):
    assert "default" in ok("profile", "list", "-f", form)


def test_profile_show(ok):
    shown = yaml.safe_load(ok("profile", "show", "default"))
    assert shown["name"] == "default" and set(shown) == {"config", "description", "devices", "name", "used_by"}


def test_profile_used_by(ok, fresh):
    assert f"/1.0/instances/{fresh()}" in " ".join(yaml.safe_load(ok("profile", "show", "default"))["used_by"])


def test_profile_edit(ok, thing):
    name = thing("profile")
    ok("profile", "create", name)
    ok("profile", "edit", name, stdin="config:\n  user.a: b\ndescription: hello\ndevices: {}\n")
    shown = yaml.safe_load(ok("profile", "show", name))
    assert shown["config"] == {"user.a": "b"} and shown["description"] == "hello"


def test_profile_copy(ok, thing):
    one, two = thing("profile"), thing("profile")
    ok("profile", "create", one)
    ok("profile", "set", one, "user.a=b")
    ok("profile", "copy", one, two)
    assert ok("profile", "get", two, "user.a") == "b\n"


def test_profile_rename(ok, thing):
    one, two = thing("profile"), thing("profile")
    ok("profile", "create", one)
    ok("profile", "rename", one, two)
    assert two in ok("profile", "list", "-f", "csv") and one not in ok("profile", "list", "-f", "csv")


def test_profile_devices(ok, thing):
    name = thing("profile")
    ok("profile", "create", name)
    ok("profile", "device", "add", name, "d", "disk", "source=/mnt", "path=/mnt")
    assert ok("profile", "device", "list", name).split() == ["d"]
    ok("profile", "device", "set", name, "d", "path=/opt")
    assert ok("profile", "device", "get", name, "d", "path") == "/opt\n"
    assert yaml.safe_load(ok("profile", "device", "show", name))["d"]["path"] == "/opt"
    ok("profile", "device", "remove", name, "d")
    assert ok("profile", "device", "list", name).split() == []


def test_profile_add_and_remove(ok, fresh, thing):
    instance, profile = fresh(), thing("profile")
    ok("profile", "create", profile)
    ok("profile", "add", instance, profile)
    assert json.loads(ok("list", instance, "-f", "json"))[0]["profiles"] == ["default", profile]
    ok("profile", "remove", instance, profile)
    assert json.loads(ok("list", instance, "-f", "json"))[0]["profiles"] == ["default"]


def test_profile_assign(ok, fresh, thing):
    instance, profile = fresh(), thing("profile")
    ok("profile", "create", profile)
    ok("profile", "assign", instance, f"default,{profile}")
    assert json.loads(ok("list", instance, "-f", "json"))[0]["profiles"] == ["default", profile]
    ok("profile", "assign", instance, "default")


def test_profile_config_reaches_instance(ok, fresh, thing):
    instance, profile = fresh(), thing("profile")
    ok("profile", "create", profile)
    ok("profile", "add", instance, profile)
    ok("profile", "set", profile, "user.a=from profile")
    assert yaml.safe_load(ok("config", "show", "--expanded", instance))["config"]["user.a"] == "from profile"
    ok("profile", "remove", instance, profile)


def test_profile_in_use_is_kept(ok, fails, fresh, thing):
    instance, profile = fresh(), thing("profile")
    ok("profile", "create", profile)
    ok("profile", "add", instance, profile)
    assert "in use" in fails("profile", "delete", profile)
    ok("profile", "remove", instance, profile)


def test_profile_default_is_kept(fails):
    assert "default" in fails("profile", "delete", "default")


def test_profile_twice(ok, fails, thing):
    name = thing("profile")
    ok("profile", "create", name)
    assert "already exists" in fails("profile", "create", name)


def test_profile_unknown(fails):
    assert "not found" in fails("profile", "show", fresh_name()).lower()


def test_profile_bad_key(ok, fails, thing):
    name = thing("profile")
    ok("profile", "create", name)
    fails("profile", "set", name, "nonsense=1")
