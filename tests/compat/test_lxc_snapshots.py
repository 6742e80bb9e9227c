"""lxc snapshot, restore, copy, move and the files that describe a container."""
import json

import pytest
import yaml


def write(ok, name, text):
    ok("file", "push", "-", f"{name}/root/mark", stdin=text)


def read(ok, name):
    return ok("file", "pull", f"{name}/root/mark", "-")


def snapshots(ok, name):
    return [s["name"].split("/")[-1] for s in json.loads(ok("query", f"/1.0/instances/{name}/snapshots?recursion=1"))]


# ---- snapshots
def test_snapshot_and_restore(ok, fresh):
    name = fresh()
    write(ok, name, "before")
    ok("snapshot", name, "s1")
    write(ok, name, "after")
    ok("restore", name, "s1")
    assert read(ok, name) == "before"


def test_snapshot_of_running(ok, fresh):
    name = fresh(verb="launch")
    write(ok, name, "before")
    ok("snapshot", name)
    write(ok, name, "after")
    ok("restore", name, "snap0")
    assert read(ok, name) == "before" and ok("list", name, "-c", "s", "-f", "csv").strip() == "RUNNING"


def test_snapshot_default_names(ok, fresh):
    name = fresh()
    ok("snapshot", name)
    ok("snapshot", name)
    assert snapshots(ok, name) == ["snap0", "snap1"]


def test_snapshot_pattern(ok, fresh):
    name = fresh("-c", "snapshots.pattern=daily%d")
    ok("snapshot", name)
    assert snapshots(ok, name) == ["daily0"]


def test_snapshot_is_listed(ok, fresh):
    name = fresh()
    ok("snapshot", name, "s1")
    assert ok("list", name, "-c", "S", "-f", "csv").strip() == "1" and "s1" in ok("info", name)


def test_snapshot_show(ok, fresh):
    name = fresh("-c", "user.a=then")
    ok("snapshot", name, "s1")
    ok("config", "set", name, "user.a=now")
    shown = yaml.safe_load(ok("config", "show", f"{name}/s1"))
    assert shown["config"]["user.a"] == "then"


def test_snapshot_restores_config(ok, fresh):
    name = fresh("-c", "user.a=then")
    ok("snapshot", name, "s1")
    ok("config", "set", name, "user.a=now")
    ok("restore", name, "s1")
    assert ok("config", "get", name, "user.a") == "then\n"


def test_snapshot_reuse(ok, fails, fresh):
    name = fresh()
    ok("snapshot", name, "s1")
    assert "already exists" in fails("snapshot", name, "s1")
    ok("snapshot", "--reuse", name, "s1")
    assert snapshots(ok, name) == ["s1"]


def test_snapshot_rename_and_delete(ok, fresh):
    name = fresh()
    ok("snapshot", name, "s1")
    ok("rename", f"{name}/s1", f"{name}/s2")
    assert snapshots(ok, name) == ["s2"]
    ok("delete", f"{name}/s2")
    assert snapshots(ok, name) == []


def test_snapshot_without_expiry(ok, fresh):
    name = fresh("-c", "snapshots.expiry=1d")
    ok("snapshot", name, "dated")
    ok("snapshot", "--no-expiry", name, "kept")
    expires = {s: json.loads(ok("query", f"/1.0/instances/{name}/snapshots/{s}"))["expires_at"] for s in ("dated", "kept")}
    assert expires["kept"].startswith("0001-01-01") and not expires["dated"].startswith("0001-01-01")


def test_restore_unknown(fails, fresh):
    assert "nothing" in fails("restore", fresh(), "nothing")


@pytest.mark.parametrize("snapshot", ["a/b", "a b", ".", "..", "/"])
def test_snapshot_bad_name(server, lxc, fresh, snapshot):
    if server.is_lxd and snapshot in (".", ".."):
        pytest.skip("LXD 5.0.2 does not look, and the deletion of '..' removes the directory of all snapshots")
    name = fresh()
    done = lxc("query", "--wait", "-X", "POST", "-d", json.dumps({"name": snapshot}), f"/1.0/instances/{name}/snapshots")
    assert done.code != 0, done


def test_publish_snapshot(ok, fresh, thing):
    name, alias, second = fresh(), thing("image"), thing("instance")
    write(ok, name, "then")
    ok("snapshot", name, "s1")
    write(ok, name, "now")
    ok("publish", f"{name}/s1", "--alias", alias)
    ok("init", alias, second)
    assert read(ok, second) == "then"


# ---- copy and move
def test_copy(ok, fresh, thing):
    name, copy = fresh("-c", "user.a=b"), thing("instance")
    write(ok, name, "copied")
    ok("copy", name, copy)
    assert read(ok, copy) == "copied" and ok("config", "get", copy, "user.a") == "b\n"


def test_copy_starts_with_its_own_name(ok, fresh, thing):
    name, copy = fresh(), thing("instance")
    ok("copy", name, copy)
    ok("start", copy)
    assert ok("exec", copy, "--", "hostname").strip() == copy


def test_copy_has_its_own_address(ok, fresh, thing):
    name, copy = fresh(), thing("instance")
    ok("copy", name, copy)
    assert ok("config", "get", name, "volatile.uuid") != ok("config", "get", copy, "volatile.uuid")
    assert ok("config", "get", name, "volatile.eth0.hwaddr") != ok("config", "get", copy, "volatile.eth0.hwaddr")


def test_copy_with_config(ok, fresh, thing):
    name, copy = fresh("-c", "user.a=b"), thing("instance")
    ok("copy", name, copy, "-c", "user.a=c")
    assert ok("config", "get", copy, "user.a") == "c\n"


def test_copy_takes_snapshots_along(ok, fresh, thing):
    name, copy = fresh(), thing("instance")
    ok("snapshot", name, "s1")
    ok("copy", name, copy)
    assert snapshots(ok, copy) == ["s1"]


def test_copy_instance_only(ok, fresh, thing):
    name, copy = fresh(), thing("instance")
    ok("snapshot", name, "s1")
    ok("copy", "--instance-only", name, copy)
    assert snapshots(ok, copy) == []


def test_copy_of_snapshot(ok, fresh, thing):
    name, copy = fresh(), thing("instance")
    write(ok, name, "then")
    ok("snapshot", name, "s1")
    write(ok, name, "now")
    ok("copy", f"{name}/s1", copy)
    assert read(ok, copy) == "then"


def test_copy_refresh(ok, fresh, thing):
    name, copy = fresh(), thing("instance")
    ok("copy", name, copy)
    write(ok, name, "refreshed")
    ok("copy", "--refresh", name, copy)
    assert read(ok, copy) == "refreshed"


def test_copy_to_taken_name(fails, fresh):
    assert "already exists" in fails("copy", fresh(), fresh())


def test_copy_unknown(fails, thing):
    assert "not found" in fails("copy", "nobody", thing("instance")).lower()


def test_move_is_rename(ok, fresh, thing):
    name, new = fresh(), thing("instance")
    write(ok, name, "moved")
    ok("move", name, new)
    assert read(ok, new) == "moved" and name not in ok("list", "-c", "n", "-f", "csv").split()


def test_move_to_other_pool(ok, fresh, thing):
    pool, name = thing("storage"), None
    ok("storage", "create", pool, "dir")
    name = fresh()
    write(ok, name, "moved")
    ok("move", name, "-s", pool)
    assert read(ok, name) == "moved"
    assert yaml.safe_load(ok("config", "show", "--expanded", name))["devices"]["root"]["pool"] == pool
    ok("delete", name)


def test_move_to_other_project(ok, fresh, thing):
    project, name = thing("project"), fresh()
    ok("project", "create", project, "-c", "features.images=false", "-c", "features.profiles=false")
    ok("move", name, name, "--target-project", project)
    assert name in ok("list", "--project", project, "-f", "csv")
    ok("delete", name, "--project", project)


# ---- metadata and templates
def test_metadata_edit(ok, fresh):
    name = fresh()
    shown = yaml.safe_load(ok("config", "metadata", "show", name))
    shown["properties"]["colour"] = "red"
    ok("config", "metadata", "edit", name, stdin=yaml.safe_dump(shown))
    assert yaml.safe_load(ok("config", "metadata", "show", name))["properties"]["colour"] == "red"


def test_template_life(ok, fresh):
    name = fresh()
    ok("config", "template", "create", name, "new.tpl")
    ok("config", "template", "edit", name, "new.tpl", stdin="{{ container.name }}!")
    assert ok("config", "template", "show", name, "new.tpl") == "{{ container.name }}!"
    ok("config", "template", "delete", name, "new.tpl")
    assert "new.tpl" not in ok("config", "template", "list", name)


def test_template_unknown(fails, fresh):
    fails("config", "template", "show", fresh(), "nothing.tpl")


# ---- backups
@pytest.fixture
def kept(ok, fresh):
    """A stopped instance with a setting, a file and a snapshot that has another."""
    name = fresh("-c", "user.kept=yes")
    ok("file", "push", "-", f"{name}/root/old", stdin="old")
    ok("snapshot", name, "s1")
    ok("file", "push", "-", f"{name}/root/new", stdin="new")
    return name


@pytest.mark.parametrize("compression", [None, "gzip", "none", "xz"])
def test_export_and_import(ok, fails, kept, tmp_path, compression):
    ok("export", kept, tmp_path / "b", *([f"--compression={compression}"] if compression else []))
    ok("delete", kept)
    ok("import", tmp_path / "b")
    assert ok("config", "get", kept, "user.kept") == "yes\n"
    assert ok("file", "pull", f"{kept}/root/new", "-") == "new"
    ok("restore", kept, "s1")
    assert ok("file", "pull", f"{kept}/root/old", "-") == "old"
    fails("file", "pull", f"{kept}/root/new", "-")
    ok("start", kept)


def test_export_instance_only(ok, kept, tmp_path):
    ok("export", kept, tmp_path / "b", "--instance-only")
    ok("delete", kept)
    ok("import", tmp_path / "b")
    assert "s1" not in ok("info", kept) and ok("file", "pull", f"{kept}/root/new", "-") == "new"


def test_import_under_another_name(ok, kept, thing, tmp_path):
    name = thing("instance")
    ok("export", kept, tmp_path / "b")
    ok("import", tmp_path / "b", name)
    assert ok("config", "get", name, "user.kept") == "yes\n" and "s1" in ok("info", name)


def test_import_over_what_is_there(ok, fails, kept, tmp_path):
    ok("export", kept, tmp_path / "b")
    assert "exists" in fails("import", tmp_path / "b").lower()


@pytest.mark.parametrize("content", [b"", b"no archive at all" * 100], ids=["empty", "text"])
def test_import_of_garbage(fails, tmp_path, content):
    (tmp_path / "b").write_bytes(content)
    fails("import", tmp_path / "b")


def test_export_of_unknown(fails, tmp_path):
    fails("export", "nobody", tmp_path / "b")
    assert not (tmp_path / "b").exists()


def test_backup_leaves_nothing(ok, kept, tmp_path):
    """The client deletes the backup that it made for the export."""
    ok("export", kept, tmp_path / "b")
    assert ok("query", f"/1.0/instances/{kept}/backups").strip() == "[]"
