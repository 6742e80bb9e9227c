"""python3-pylxd of Debian."""
import threading
import time

import pytest

from harness import images
from harness.instance import fresh_name, wait_until

pylxd = pytest.importorskip("pylxd", reason="the package python3-pylxd is not installed")


@pytest.fixture(scope="module")
def client(server):
    return pylxd.Client(endpoint="http+unix://" + str(server.socket).replace("/", "%2F"))


def config_of(name, image, **more):
    return {"name": name, "source": {"type": "image", "alias": image}, **more}


@pytest.fixture
def stopped(client, image, thing):
    return client.containers.create(config_of(thing("instance"), image), wait=True)


@pytest.fixture(scope="module")
def running(client, box):
    return client.containers.get(box)


def test_server(client):
    assert client.trusted and client.api.get().json()["metadata"]["api_version"] == "1.0"
    assert client.host_info["environment"]["server_version"]


def test_extension(client):
    assert client.has_api_extension("storage") and not client.has_api_extension("nonsense")


# ---- containers
def test_create(stopped):
    assert stopped.status == "Stopped" and stopped.profiles == ["default"]


def test_create_with_config(client, image, thing):
    made = client.containers.create(config_of(thing("instance"), image, config={"user.a": "b"}), wait=True)
    assert made.config["user.a"] == "b"


def test_create_fails(client, thing):
    with pytest.raises(pylxd.exceptions.LXDAPIException, match="not found"):
        client.containers.create(config_of(thing("instance"), "no-such-image"), wait=True)


def test_all(client, box):
    assert box in [c.name for c in client.containers.all()]


def test_exists(client, box):
    assert client.containers.exists(box) and not client.containers.exists("nobody")


def test_get_unknown(client):
    with pytest.raises(pylxd.exceptions.NotFound):
        client.containers.get("nobody")


def test_states(stopped):
    for action, status in (("start", "Running"), ("freeze", "Frozen"), ("unfreeze", "Running"), ("stop", "Stopped")):
        getattr(stopped, action)(wait=True, **({"force": True} if action == "stop" else {}))
        stopped.sync()
        assert stopped.status == status


def test_restart(stopped):
    stopped.start(wait=True)
    before = stopped.state().pid
    stopped.restart(wait=True, force=True)
    assert stopped.state().pid not in (0, before)


def test_state(running):
    state = running.state()
    assert state.status == "Running" and state.pid > 1 and "eth0" in state.network and state.memory["usage"] > 0


def test_save_config(client, stopped):
    stopped.config["user.a"] = "b"
    stopped.description = "by pylxd"
    stopped.save(wait=True)
    again = client.containers.get(stopped.name)
    assert again.config["user.a"] == "b" and again.description == "by pylxd"


def test_save_devices(client, stopped):
    stopped.devices["d"] = {"type": "none"}
    stopped.save(wait=True)
    assert client.containers.get(stopped.name).devices["d"] == {"type": "none"}


def test_save_over_a_change(client, stopped, ok):
    """pylxd sends no If-Match: the last one wins."""
    other = client.containers.get(stopped.name)
    other.config["user.other"] = "1"
    other.save(wait=True)
    stopped.config["user.mine"] = "1"
    stopped.save(wait=True)
    assert ok("config", "get", stopped.name, "user.mine") == "1\n"


def test_rename(client, stopped, thing):
    new = thing("instance")
    stopped.rename(new, wait=True)
    assert client.containers.exists(new)


def test_delete(client, stopped):
    stopped.delete(wait=True)
    assert not client.containers.exists(stopped.name)


def test_delete_running_fails(running):
    with pytest.raises(pylxd.exceptions.LXDAPIException):
        running.delete(wait=True)


@pytest.mark.parametrize("command, code, out, err", [
    (["echo", "hi"], 0, "hi\n", ""), (["sh", "-c", "echo no >&2; exit 3"], 3, "", "no\n"), (["true"], 0, "", ""),
    (["sh", "-c", "kill -9 $$"], 137, "", "")])
def test_execute(running, command, code, out, err):
    assert tuple(running.execute(command)) == (code, out, err)


def test_execute_environment(running):
    assert running.execute(["sh", "-c", "echo $A"], environment={"A": "b"}).stdout == "b\n"


def test_execute_stdin(running):
    assert running.execute(["cat"], stdin_payload="from pylxd").stdout == "from pylxd"


def test_execute_handlers(running):
    got = []
    running.execute(["sh", "-c", "echo 1; echo 2"], stdout_handler=got.append)
    assert "".join(got).split() == ["1", "2"]


def test_execute_much(running):
    assert len(running.execute(["sh", "-c", "yes | head -c 1000000"]).stdout) == 1000000


def test_execute_in_threads(server, running):
    if server.is_lxd:
        pytest.skip("LXD 5.0.2 loses the output of some short commands")
    got = []
    threads = [threading.Thread(target=lambda i=i: got.append(running.execute(["echo", str(i)]).stdout)) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert sorted(got) == [f"{i}\n" for i in range(8)]


def test_files(running):
    running.files.put("/root/p", b"\x00bytes\xff", mode=0o640, uid=1000, gid=1000)
    assert running.files.get("/root/p") == b"\x00bytes\xff"
    assert running.execute(["stat", "-c", "%u %g %a", "/root/p"]).stdout.strip() == "1000 1000 640"
    running.files.delete("/root/p")
    with pytest.raises(pylxd.exceptions.NotFound):
        running.files.get("/root/p")


def test_files_tree(running, tmp_path):
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "a" / "b" / "c").write_text("deep")
    running.files.recursive_put(str(tmp_path / "a"), "/root/a")
    assert running.files.get("/root/a/b/c") == b"deep"


def test_snapshots(stopped):
    stopped.snapshots.create("s1", wait=True)
    assert [s.name for s in stopped.snapshots.all()] == ["s1"]
    snapshot = stopped.snapshots.get("s1")
    snapshot.rename("s2", wait=True)
    stopped.restore_snapshot("s2", wait=True)
    stopped.snapshots.get("s2").delete(wait=True)
    assert stopped.snapshots.all() == []


def test_publish(client, stopped):
    made = stopped.publish(wait=True)
    assert len(made.fingerprint) == 64
    made.delete(wait=True)


# ---- images
@pytest.fixture
def uploaded(client, tmp_path):
    made = client.images.create(images.busybox_tar(extra=lambda t: t.add("rootfs/etc/mark", str(tmp_path))), wait=True)
    yield made
    if client.images.exists(made.fingerprint):
        made.delete(wait=True)


def test_image_create(uploaded):
    assert uploaded.properties["os"] == "busybox" and uploaded.public is False


def test_image_all(client, uploaded):
    assert uploaded.fingerprint in [i.fingerprint for i in client.images.all()]


def test_image_by_alias(client, image):
    assert client.images.get_by_alias(image).properties["os"] == "busybox"
    assert client.images.exists(image, alias=True) and not client.images.exists("nothing", alias=True)


def test_image_aliases(client, uploaded):
    name = fresh_name("alias")
    uploaded.add_alias(name, "a description")
    assert client.images.get_by_alias(name).fingerprint == uploaded.fingerprint
    uploaded.delete_alias(name)
    assert not client.images.exists(name, alias=True)


def test_image_save(client, uploaded):
    uploaded.properties["colour"] = "red"
    uploaded.save(wait=True)
    assert client.images.get(uploaded.fingerprint).properties["colour"] == "red"


def test_image_export(uploaded):
    assert len(uploaded.export().read()) == uploaded.size


def test_image_delete(client, uploaded):
    uploaded.delete(wait=True)
    assert not client.images.exists(uploaded.fingerprint)


# ---- profiles, networks, storage pools
def test_profile(client, thing):
    name, new = thing("profile"), thing("profile")
    made = client.profiles.create(name, config={"user.a": "b"}, devices={})
    made.config["user.c"] = "d"
    made.save(wait=True)
    assert client.profiles.get(name).config == {"user.a": "b", "user.c": "d"}
    made.rename(new)
    assert client.profiles.exists(new) and not client.profiles.exists(name)
    client.profiles.get(new).delete()
    assert not client.profiles.exists(new)


def test_profiles_all(client):
    assert "default" in [p.name for p in client.profiles.all()]


def test_network(client, thing):
    name = thing("network")
    made = client.networks.create(name, type="bridge", config={"ipv4.address": "none", "ipv6.address": "none"})
    assert made.managed and made.type == "bridge"
    made.config["user.a"] = "b"
    made.save(wait=True)
    assert client.networks.get(name).config["user.a"] == "b"
    made.delete(wait=True)
    assert not client.networks.exists(name)


def test_network_of_the_host(client):
    assert client.networks.get("lo").type == "loopback" and not client.networks.get("lo").managed


def test_storage_pool(client, thing):
    name = thing("storage")
    made = client.storage_pools.create({"name": name, "driver": "dir"})
    assert client.storage_pools.exists(name)
    made.description = "by pylxd"
    made.save(wait=True)
    assert client.storage_pools.get(name).description == "by pylxd"
    assert made.resources.get().space["total"] > 0
    made.delete()
    assert not client.storage_pools.exists(name)


def test_storage_volume(client, thing):
    pool, name = client.storage_pools.get("default"), thing("volume")
    made = pool.volumes.create({"name": name, "type": "custom", "config": {}}, wait=True)
    assert name in [v.name for v in pool.volumes.all()]
    made.config["user.a"] = "b"
    made.save(wait=True)
    assert pool.volumes.get("custom", name).config["user.a"] == "b"
    pool.volumes.get("custom", name).delete()


# ---- operations and events
def test_events(client, image, thing):
    name, got = thing("instance"), []
    listener = client.events(event_types={pylxd.EventType.Lifecycle} if hasattr(pylxd, "EventType") else None)
    listener.received_message = lambda message: got.append(bytes(message.data).decode())
    listener.connect()
    thread = threading.Thread(target=listener.run, daemon=True)
    thread.start()
    time.sleep(0.2)
    client.containers.create(config_of(name, image), wait=True)
    wait_until(lambda: any(name in text for text in got))
    listener.close()


def test_create_without_waiting(server, client, image, thing):
    name = thing("instance")
    others = set(server.rest.read("operations").get("running", []))
    client.containers.create(config_of(name, image))
    wait_until(lambda: client.containers.exists(name))
    wait_until(lambda: set(server.rest.read("operations").get("running", [])) <= others)
    wait_until(lambda: client.containers.get(name).status == "Stopped")
