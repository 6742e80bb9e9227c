"""lxc network, storage, project, operation, warning, query, monitor, cluster."""
import json
import subprocess
import time

import pytest
import yaml

from harness.instance import fresh_name, wait_until


@pytest.fixture
def bridge(ok, thing):
    """A managed bridge without addresses of its own."""
    name = thing("network")
    ok("network", "create", name, "ipv4.address=none", "ipv6.address=none")
    return name


# ---- network
@pytest.mark.parametrize("form", ["csv", "json", "yaml", "table", "compact"])
def test_network_list(ok, bridge, form):
    assert bridge in ok("network", "list", "-f", form)


def test_network_life(ok, bridge):
    ok("network", "set", bridge, "user.a=b")
    assert ok("network", "get", bridge, "user.a") == "b\n"
    ok("network", "unset", bridge, "user.a")
    assert ok("network", "get", bridge, "user.a").strip() == ""
    assert f"Network {bridge} deleted" in ok("network", "delete", bridge)
    assert bridge not in ok("network", "list", "-f", "csv")


def test_network_show(ok, bridge):
    shown = yaml.safe_load(ok("network", "show", bridge))
    assert set(shown) == {"config", "description", "name", "type", "used_by", "managed", "status", "locations"}
    assert shown["type"] == "bridge" and shown["managed"] is True and shown["status"] == "Created"


def test_network_edit(ok, bridge):
    shown = yaml.safe_load(ok("network", "show", bridge))
    shown["description"] = "edited"
    ok("network", "edit", bridge, stdin=yaml.safe_dump(shown))
    assert yaml.safe_load(ok("network", "show", bridge))["description"] == "edited"


def test_network_rename(ok, bridge, thing):
    new = thing("network")
    ok("network", "rename", bridge, new)
    assert new in ok("network", "list", "-f", "csv") and bridge not in ok("network", "list", "-f", "csv")


def test_network_info(ok, bridge):
    out = ok("network", "info", bridge)
    assert f"Name: {bridge}" in out and "MAC address:" in out and "MTU: 1500" in out and "Type: broadcast" in out


def test_network_info_of_host_link(ok):
    assert "Type: loopback" in ok("network", "info", "lo")


def test_network_attach_and_detach(ok, bridge, fresh):
    name = fresh()
    ok("network", "attach", bridge, name, "eth7")
    assert yaml.safe_load(ok("config", "device", "show", name))["eth7"]["network"] == bridge
    assert name in " ".join(yaml.safe_load(ok("network", "show", bridge))["used_by"])
    ok("network", "detach", bridge, name)
    assert ok("config", "device", "list", name).split() == []


def test_network_in_use_is_kept(ok, fails, bridge, fresh):
    name = fresh()
    ok("network", "attach", bridge, name, "eth7")
    assert "in use" in fails("network", "delete", bridge)
    ok("network", "detach", bridge, name)


def test_network_leases(ok, box):
    network = yaml.safe_load(ok("profile", "show", "default"))["devices"]["eth0"]["network"]
    wait_until(lambda: box in ok("network", "list-leases", network, "-f", "csv"))


def test_network_twice_fails(fails, bridge):
    assert "already exists" in fails("network", "create", bridge)


@pytest.mark.parametrize("config", ["ipv4.address=nonsense", "nonsense=1", "ipv4.nat=maybe", "bridge.mtu=x", "ipv4.dhcp.ranges=1-2"])
def test_network_refused(fails, config):
    fails("network", "create", fresh_name("n"), config, "ipv6.address=none")


@pytest.mark.parametrize("name", ["a" * 16, "a/b", "a b", ".", "a:b"])
def test_network_bad_name(lxc, name):
    assert lxc("network", "create", name).code != 0


def test_network_unknown(fails):
    assert "not found" in fails("network", "show", "nowhere").lower()


def test_network_of_host_is_not_ours(fails):
    fails("network", "delete", "lo")


# ---- storage
@pytest.fixture
def pool(ok, thing):
    name = thing("storage")
    ok("storage", "create", name, "dir")
    return name


@pytest.fixture
def volume(ok, thing):
    name = thing("volume")
    ok("storage", "volume", "create", "default", name)
    return name


@pytest.mark.parametrize("form", ["csv", "json", "yaml", "table", "compact"])
def test_storage_list(ok, pool, form):
    assert pool in ok("storage", "list", "-f", form)


def test_storage_life(ok, pool):
    ok("storage", "set", pool, "user.a=b")
    assert ok("storage", "get", pool, "user.a") == "b\n"
    ok("storage", "unset", pool, "user.a")
    assert f"Storage pool {pool} deleted" in ok("storage", "delete", pool)


def test_storage_show(ok, pool):
    shown = yaml.safe_load(ok("storage", "show", pool))
    assert shown["driver"] == "dir" and shown["status"] == "Created"


def test_storage_info(ok, pool):
    out = ok("storage", "info", pool)
    assert "space used" in out and "driver: dir" in out


def test_storage_edit(ok, pool):
    shown = yaml.safe_load(ok("storage", "show", pool))
    shown["description"] = "edited"
    ok("storage", "edit", pool, stdin=yaml.safe_dump(shown))
    assert yaml.safe_load(ok("storage", "show", pool))["description"] == "edited"


def test_storage_in_use_is_kept(fails):
    assert "use" in fails("storage", "delete", "default")


def test_storage_twice_fails(fails, pool):
    assert "already exists" in fails("storage", "create", pool, "dir")


def test_storage_unknown_driver(fails):
    fails("storage", "create", fresh_name("s"), "nonsense")


def test_storage_unknown(fails):
    assert "not found" in fails("storage", "show", "nowhere").lower()


def test_instance_on_second_pool(ok, pool, thing, image):
    name = thing("instance")
    ok("launch", image, name, "-s", pool)
    assert f"/1.0/instances/{name}" in yaml.safe_load(ok("storage", "show", pool))["used_by"]
    ok("delete", "-f", name)
    ok("storage", "delete", pool)  # what is unpacked there of images keeps nobody


@pytest.mark.parametrize("form", ["csv", "json", "yaml", "table", "compact"])
def test_volume_list(ok, volume, form):
    assert volume in ok("storage", "volume", "list", "default", "-f", form)


def test_volume_life(ok, volume):
    ok("storage", "volume", "set", "default", volume, "user.a=b")
    assert ok("storage", "volume", "get", "default", volume, "user.a") == "b\n"
    ok("storage", "volume", "unset", "default", volume, "user.a")
    assert f"Storage volume {volume} deleted" in ok("storage", "volume", "delete", "default", volume)


def test_volume_show(ok, volume):
    shown = yaml.safe_load(ok("storage", "volume", "show", "default", volume))
    assert shown["type"] == "custom" and shown["content_type"] == "filesystem" and shown["name"] == volume


def test_volume_edit(ok, volume):
    shown = yaml.safe_load(ok("storage", "volume", "show", "default", volume))
    shown["description"] = "edited"
    ok("storage", "volume", "edit", "default", volume, stdin=yaml.safe_dump(shown))
    assert yaml.safe_load(ok("storage", "volume", "show", "default", volume))["description"] == "edited"


def test_volume_rename(ok, volume, thing):
    new = thing("volume")
    ok("storage", "volume", "rename", "default", volume, new)
    assert new in ok("storage", "volume", "list", "default", "-f", "csv")


def test_volume_attach_keeps_data(ok, volume, fresh):
    name = fresh(verb="launch")
    ok("storage", "volume", "attach", "default", volume, name, "/data")
    ok("exec", name, "--", "sh", "-c", "echo kept > /data/f")
    ok("storage", "volume", "detach", "default", volume, name)
    assert ok("exec", name, "--", "sh", "-c", "ls /data | wc -l").strip() == "0"
    ok("storage", "volume", "attach", "default", volume, name, "/data")
    assert ok("exec", name, "--", "cat", "/data/f") == "kept\n"
    ok("storage", "volume", "detach", "default", volume, name)


def test_volume_in_use_is_kept(ok, fails, volume, fresh):
    name = fresh()
    ok("storage", "volume", "attach", "default", volume, name, "/data")
    assert "in use" in fails("storage", "volume", "delete", "default", volume)
    ok("storage", "volume", "detach", "default", volume, name)


def test_volume_copy_and_move(ok, volume, pool, thing, fresh):
    """The client sends target=none with each of these requests: where the volume says that it is."""
    copy, name = thing("volume"), fresh(verb="launch")
    ok("storage", "volume", "attach", "default", volume, name, "/data")
    ok("exec", name, "--", "sh", "-c", "echo kept > /data/f")
    ok("storage", "volume", "detach", "default", volume, name)
    ok("storage", "volume", "copy", f"default/{volume}", f"default/{copy}")
    ok("storage", "volume", "copy", f"default/{copy}", f"{pool}/{copy}x")
    ok("storage", "volume", "move", f"{pool}/{copy}x", f"{pool}/{copy}y")
    ok("storage", "volume", "delete", "default", copy)
    ok("storage", "volume", "move", f"{pool}/{copy}y", f"default/{copy}")
    assert f"{copy}y" not in ok("storage", "volume", "list", pool, "-f", "csv")
    ok("storage", "volume", "attach", "default", copy, name, "/data")
    assert ok("exec", name, "--", "cat", "/data/f") == "kept\n"
    ok("storage", "volume", "detach", "default", copy, name)


def test_volume_snapshots(ok, volume, fresh):
    name = fresh(verb="launch")
    ok("storage", "volume", "attach", "default", volume, name, "/data")
    ok("exec", name, "--", "sh", "-c", "echo old > /data/f")
    ok("storage", "volume", "snapshot", "default", volume, "s1")
    ok("exec", name, "--", "sh", "-c", "echo new > /data/f")
    assert f"{volume}/s1" in ok("storage", "volume", "list", "default", "-f", "csv")
    ok("storage", "volume", "rename", "default", f"{volume}/s1", f"{volume}/s2")
    ok("storage", "volume", "detach", "default", volume, name)
    ok("storage", "volume", "restore", "default", volume, "s2")
    ok("storage", "volume", "attach", "default", volume, name, "/data")
    assert ok("exec", name, "--", "cat", "/data/f") == "old\n"
    ok("storage", "volume", "detach", "default", volume, name)
    ok("storage", "volume", "delete", "default", f"{volume}/s2")


def test_volume_of_instance_is_listed(ok, fresh):
    name = fresh()
    assert f"container,{name}," in ok("storage", "volume", "list", "default", "-f", "csv")


def test_volume_info(lxc, volume):
    """Its space is not known everywhere: the driver dir says so without a quota."""
    done = lxc("storage", "volume", "info", "default", volume)
    assert f"Name: {volume}" in done.out or "not supported" in done.err.lower()


# ---- project
@pytest.fixture
def project(ok, thing):
    name = thing("project")
    ok("project", "create", name)
    return name


@pytest.mark.parametrize("form", ["csv", "json", "yaml", "table", "compact"])
def test_project_list(ok, project, form):
    assert project in ok("project", "list", "-f", form)


def test_project_show(ok, project):
    shown = yaml.safe_load(ok("project", "show", project))
    assert shown["name"] == project and shown["config"]["features.images"] == "true"


def test_project_config(ok, project):
    ok("project", "set", project, "user.a=b")
    assert ok("project", "get", project, "user.a") == "b\n"
    ok("project", "unset", project, "user.a")


def test_project_edit(ok, project):
    shown = yaml.safe_load(ok("project", "show", project))
    shown["description"] = "edited"
    ok("project", "edit", project, stdin=yaml.safe_dump(shown))
    assert yaml.safe_load(ok("project", "show", project))["description"] == "edited"


def test_project_rename(ok, project, thing):
    new = thing("project")
    ok("project", "rename", project, new)
    assert new in ok("project", "list", "-f", "csv")


def test_project_info(ok, project):
    assert "INSTANCES" in ok("project", "info", project, "-f", "table").upper()


def test_project_delete(ok, project):
    ok("project", "delete", project)
    assert project not in ok("project", "list", "-f", "csv")


def test_project_default_is_kept(fails):
    assert "default" in fails("project", "delete", "default")


def test_project_hides_instances(ok, project, box):
    assert box not in ok("list", "--project", project, "-f", "csv")
    assert box in ok("list", "--all-projects", "-c", "en", "-f", "csv")


def test_project_switch(ok, project):
    ok("project", "switch", project)
    try:
        assert "(current)" in next(line for line in ok("project", "list", "-f", "csv").splitlines() if project in line)
    finally:
        ok("project", "switch", "default")


def test_project_with_an_instance(ok, fails, image, thing):
    project, name = thing("project"), fresh_name()
    ok("project", "create", project, "-c", "features.images=false", "-c", "features.profiles=false")
    ok("init", image, name, "--project", project)
    assert "empty" in fails("project", "delete", project)
    ok("delete", name, "--project", project)


def test_same_name_in_two_projects(ok, box, image, thing):
    project = thing("project")
    ok("project", "create", project, "-c", "features.images=false", "-c", "features.profiles=false")
    ok("init", image, box, "--project", project)
    assert ok("list", box, "--project", project, "-c", "s", "-f", "csv").strip() == "STOPPED"
    ok("delete", box, "--project", project)


# ---- operations, warnings, cluster
def test_operation_list(server, ok, box):
    proc = subprocess.Popen(["lxc", "exec", box, "--", "sleep", "20"], env=server.env, stdin=subprocess.DEVNULL)
    try:
        rows = lambda: [row for row in ok("operation", "list", "-f", "csv").splitlines()  # noqa: E731
                        if "Executing command" in row and "RUNNING" in row]
        wait_until(rows)
        uuid = rows()[0].split(",")[0]
        assert "WEBSOCKET" in rows()[0] and uuid in ok("operation", "show", uuid)
    finally:
        proc.kill()
        proc.wait()


@pytest.mark.parametrize("form", ["csv", "json", "yaml", "table"])
def test_operation_list_formats(ok, form):
    ok("operation", "list", "-f", form)


def test_operation_unknown(fails):
    fails("operation", "show", "00000000-0000-0000-0000-000000000000")


@pytest.mark.parametrize("form", ["csv", "json", "yaml", "table"])
def test_warning_list(ok, form):
    ok("warning", "list", "--all", "-f", form)


def test_warning_unknown(fails):
    fails("warning", "show", "00000000-0000-0000-0000-000000000000")


@pytest.mark.lxmd_lacks("extension clustering")
def test_cluster_says_no(fails):
    assert "isn't part of a cluster" in fails("cluster", "list")


def test_trust_list(ok):
    ok("config", "trust", "list", "-f", "csv")


# ---- query
def test_query_root(ok):
    assert json.loads(ok("query", "/1.0"))["api_version"] == "1.0"


def test_query_list_of_urls(ok, box):
    assert f"/1.0/instances/{box}" in json.loads(ok("query", "/1.0/instances"))
    assert f"/1.0/containers/{box}" in json.loads(ok("query", "/1.0/containers"))


def test_query_recursion(ok, box):
    assert box in [i["name"] for i in json.loads(ok("query", "/1.0/instances?recursion=1"))]


def test_query_filter(ok, box):
    assert [i["name"] for i in json.loads(ok("query", f"/1.0/instances?recursion=1&filter=name eq {box}".replace(" ", "%20")))] == [box]


def test_query_post_wait(ok, image, thing):
    name = thing("instance")
    body = {"name": name, "source": {"type": "image", "alias": image}}
    done = json.loads(ok("query", "--wait", "-X", "POST", "-d", json.dumps(body), "/1.0/instances"))
    assert done["status"] == "Success" and done["resources"]["instances"] == [f"/1.0/instances/{name}"]


def test_query_state_wait(ok, fresh):
    name = fresh()
    ok("query", "--wait", "-X", "PUT", "-d", '{"action":"start"}', f"/1.0/instances/{name}/state")
    assert json.loads(ok("query", f"/1.0/instances/{name}/state"))["status_code"] == 103


def test_query_patch(ok, fresh):
    name = fresh("-c", "user.a=b")
    ok("query", "-X", "PATCH", "-d", '{"config":{"user.c":"d"}}', f"/1.0/instances/{name}")
    assert (ok("config", "get", name, "user.a"), ok("config", "get", name, "user.c")) == ("b\n", "d\n")


def test_query_put_wait(ok, fresh):
    name = fresh("-c", "user.a=b")
    whole = json.loads(ok("query", f"/1.0/instances/{name}"))
    del whole["config"]["user.a"]
    ok("query", "--wait", "-X", "PUT", "-d", json.dumps(whole), f"/1.0/instances/{name}")
    assert ok("config", "get", name, "user.a") == "\n"


def test_query_delete_wait(ok, fresh):
    name = fresh()
    ok("query", "--wait", "-X", "DELETE", f"/1.0/instances/{name}")
    assert name not in ok("list", "-c", "n", "-f", "csv").split()


def test_query_not_found(fails):
    assert "not found" in fails("query", "/1.0/instances/nobody").lower()
    assert "not found" in fails("query", "/1.0/no-such-thing").lower()


def test_query_raw(ok):
    assert json.loads(ok("query", "--raw", "/1.0"))["type"] == "sync"


def test_query_state_of_all(ok, fresh):
    fresh("-c", "user.a=b")
    assert all("status" in i["state"] for i in json.loads(ok("query", "/1.0/instances?recursion=2")))


# ---- monitor
@pytest.mark.parametrize("form", ["json", "yaml"])
def test_monitor_lifecycle(server, fresh, tmp_path, form):
    with open(tmp_path / "events", "wb") as out:
        proc = subprocess.Popen(["lxc", "monitor", "--type=lifecycle", f"--format={form}"], env=server.env, stdout=out,
                                stdin=subprocess.DEVNULL)
    try:
        time.sleep(0.5)
        name = fresh(verb="launch")
        server.ok("delete", "--force", name)
        seen = lambda action: action in (tmp_path / "events").read_text()  # noqa: E731
        for action in ("instance-created", "instance-started", "instance-stopped", "instance-deleted"):
            wait_until(lambda: seen(action), text=lambda: f"no {action}: {(tmp_path / 'events').read_text()}")
        assert name in (tmp_path / "events").read_text()
    finally:
        proc.kill()
        proc.wait()


def test_monitor_operations(server, fresh, tmp_path):
    with open(tmp_path / "events", "wb") as out:
        proc = subprocess.Popen(["lxc", "monitor", "--type=operation", "--format=json"], env=server.env, stdout=out,
                                stdin=subprocess.DEVNULL)
    try:
        time.sleep(0.5)
        name = fresh()
        wait_until(lambda: "Success" in (tmp_path / "events").read_text())
        events = [json.loads(line) for line in (tmp_path / "events").read_text().splitlines() if line.strip()]
        mine = [e["metadata"] for e in events if name in json.dumps(e)]
        assert {"Creating instance"} == {m["description"] for m in mine} and mine[-1]["status"] in ("Success", "Running")
    finally:
        proc.kill()
        proc.wait()
