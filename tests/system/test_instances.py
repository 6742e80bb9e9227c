"""Instances over the API: creating, changing, renaming, states, limits, logs, and what a restart of lxmd keeps."""
import threading
import time

import pytest

from harness.instance import wait_until
from harness.rest import Exec, OperationFailed

RUNNING, STOPPED, FROZEN = 103, 102, 110


def put_body(inst):
    now = inst.get()
    return {k: now[k] for k in ("architecture", "config", "devices", "ephemeral", "profiles", "description")}


# ---- creating
@pytest.mark.host_only("rows of the database")
def test_a_new_instance_has_what_clients_read(instance):
    inst = instance(start=False)
    seen = inst.get()
    assert seen["status_code"] == STOPPED and seen["status"] == "Stopped"
    assert seen["type"] == "container" and seen["project"] == "default" and seen["location"] == "none"
    assert seen["profiles"] == ["default"]
    assert seen["expanded_devices"]["root"]["path"] == "/" and "root" not in seen["devices"]
    assert seen["config"]["volatile.uuid"] and seen["config"]["volatile.base_image"]
    assert int(seen["config"]["volatile.idmap.base"]) >= 65536
    assert all(isinstance(v, str) for v in seen["expanded_config"].values())


@pytest.mark.host_only("rows of the database")
def test_an_instance_without_a_name_gets_one(rest, image):
    op = rest.change("POST", "instances", {"source": {"type": "image", "alias": image}})
    name = op["resources"]["instances"][0].rsplit("/", 1)[1]
    try:
        assert rest.read(f"instances/{name}")["name"] == name
        assert op["resources"]["containers"] == [f"/1.0/containers/{name}"]
    finally:
        rest.change("DELETE", f"instances/{name}")


def test_create_with_start_runs_when_the_operation_ends(instance):
    assert instance(start=True).get()["status_code"] == RUNNING


@pytest.mark.host_only("turned away before anything reaches the kernel")
@pytest.mark.parametrize("body, status, word", [
    ({"source": {"type": "image", "alias": "no-such-image"}}, 404, "no-such-image"),
    ({"source": {"type": "image"}}, 400, "alias"),
    ({"source": {"type": "teapot"}}, 400, "teapot"),
    ({"source": {}}, 400, "source.type"),
    ({"source": {"type": "none"}, "profiles": ["no-such-profile"]}, 404, "no-such-profile"),
    ({"source": {"type": "none"}, "profiles": []}, 400, "root disk"),
    ({"source": {"type": "none"}, "config": {"no.such.key": "1"}}, 400, "no.such.key"),
    ({"source": {"type": "none"}, "config": {"limits.memory": "much"}}, 400, "limits.memory"),
    ({"source": {"type": "none"}, "config": {"boot.autostart": 1}}, 400, "boot.autostart"),
    ({"source": {"type": "none"}, "config": {"environment.A": "x\nB=y"}}, 400, "environment.A"),
    ({"source": {"type": "none"}, "config": {"raw.idmap": "both 1000"}}, 400, "raw.idmap"),
    ({"source": {"type": "none"}, "devices": {"d": {"type": "teapot"}}}, 400, "teapot"),
    ({"source": {"type": "none"}, "devices": {"d": {"type": "disk", "path": "/", "pool": "default"}}}, 400, "root"),
    ({"source": {"type": "none"}, "type": "virtual-machine"}, 400, "container"),
    ({"source": {"type": "none"}, "architecture": "vax"}, 400, "vax"),
])
def test_a_bad_creation_is_refused_at_once_and_leaves_nothing(rest, body, status, word):
    reply = rest.post("instances", {"name": "bad1", **body})
    assert reply.status == status, reply
    assert word in reply.error
    assert rest.get("instances/bad1").status == 404


@pytest.mark.host_only("rows of the database")
def test_a_taken_name_is_a_conflict(rest, image, instance):
    inst = instance(start=False)
    reply = rest.post("instances", {"name": inst.name, "source": {"type": "image", "alias": image}})
    assert reply.status == 409 and inst.name in reply.error


@pytest.mark.host_only("rows of the database")
def test_two_creations_of_one_name_make_one_instance(rest, image):
    body = {"name": "twin1", "source": {"type": "image", "alias": image}}
    replies = []
    threads = [threading.Thread(target=lambda: replies.append(rest.post("instances", body))) for _ in range(6)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    good = 0
    for reply in replies:
        if reply.status == 202:
            try:
                rest.wait(reply.json["operation"])
                good += 1
            except OperationFailed as e:
                assert "twin1" in e.op["err"]
        else:
            assert reply.status == 409
    assert good == 1
    rest.change("DELETE", "instances/twin1")


def test_instances_have_ids_of_their_own(instance):
    a, b = instance(start=True), instance(start=True)
    spans = []
    for inst in (a, b):
        inside, outside, count = map(int, inst.sh("cat /proc/self/uid_map").split())
        assert inside == 0 and outside >= 65536 and count == 65536
        spans.append((outside, outside + count))
    (a0, a1), (b0, b1) = sorted(spans)
    assert a1 <= b0


def test_a_wished_for_id_range(rest, instance):
    inst = instance(config={"security.idmap.size": "131072", "raw.idmap": "both 1000 1000"}, start=True)
    lines = [tuple(map(int, line.split())) for line in inst.sh("cat /proc/self/uid_map").splitlines()]
    assert (1000, 1000, 1) in lines and sum(n for _, _, n in lines) == 131072


# ---- changing
@pytest.mark.host_only("rows of the database")
def test_put_replaces_and_patch_merges(rest, instance):
    inst = instance(start=False, config={"user.a": "1", "user.b": "2"})
    rest.change("PATCH", inst.path, {"config": {"user.b": "3", "user.c": "4"}, "description": "words"})
    config = inst.get()["config"]
    assert (config["user.a"], config["user.b"], config["user.c"]) == ("1", "3", "4")
    body = put_body(inst)
    body["config"] = {"user.c": "5"}
    rest.change("PUT", inst.path, body)
    now = inst.get()
    assert "user.a" not in now["config"] and now["config"]["user.c"] == "5" and now["description"] == "words"
    assert now["config"]["volatile.uuid"], "volatile keys are kept whatever a client sends"
    rest.change("PATCH", inst.path, {"config": {"user.c": ""}})
    assert "user.c" not in inst.get()["config"]


@pytest.mark.host_only("rows of the database")
def test_patch_is_sync_and_put_is_async(rest, instance):
    inst = instance(start=False)
    assert rest.patch(inst.path, {"description": "x"}).json["type"] == "sync"
    reply = rest.put(inst.path, put_body(inst))
    assert reply.status == 202
    rest.wait(reply.json["operation"])


@pytest.mark.host_only("rows of the database")
def test_a_stale_etag_changes_nothing(rest, instance):
    inst = instance(start=False)
    tag = rest.get(inst.path).headers["ETag"]
    rest.change("PATCH", inst.path, {"description": "first"}, headers={"If-Match": tag})
    reply = rest.patch(inst.path, {"description": "second"}, headers={"If-Match": tag})
    assert reply.status == 412
    assert inst.get()["description"] == "first"


@pytest.mark.host_only("rows of the database")
def test_starting_does_not_change_the_etag(rest, instance):
    inst = instance(start=False)
    tag = rest.get(inst.path).headers["ETag"]
    inst.start()
    assert rest.get(inst.path).headers["ETag"] == tag


def test_a_bad_change_leaves_the_old_configuration(rest, instance):
    inst = instance(start=True, config={"limits.memory": "64MiB"})
    before = inst.get()
    assert rest.patch(inst.path, {"config": {"limits.memory": "bogus"}}).status == 400
    assert rest.patch(inst.path, {"devices": {"root": {"type": "disk", "path": "/", "pool": "nope"}}}).status in (400, 404)
    assert inst.get() == before


def test_limits_apply_to_a_running_instance(rest, instance):
    inst = instance(start=True, config={"limits.memory": "64MiB", "limits.processes": "100"})
    cg = inst.sh("cat /proc/self/cgroup").splitlines()
    assert cg, "the instance sees cgroups of its own"
    rest.change("PATCH", inst.path, {"config": {"limits.processes": "5"}})
    done = inst.exec("sh", "-c", "for i in 1 2 3 4 5 6 7 8; do sleep 5 & done; wait", timeout=30)
    assert b"fork" in done.err or done.code != 0, "five processes are too few for eight sleepers"
    rest.change("PATCH", inst.path, {"config": {"limits.processes": ""}})
    assert inst.exec("sh", "-c", "for i in 1 2 3 4 5 6 7 8; do true & done; wait").code == 0


def test_what_needs_a_stop_says_so(rest, instance):
    inst = instance(start=True)
    reply = rest.patch(inst.path, {"config": {"security.privileged": "true"}})
    assert reply.status == 400 and "stop" in reply.error


def test_rename(rest, instance):
    inst = instance(start=False)
    inst.start()
    inst.sh("echo kept > /root/note")
    assert "stop" in rest.refused("POST", inst.path, {"name": "renamed1"})
    inst.stop()
    rest.change("POST", inst.path, {"name": "renamed1"})
    old, inst.name, inst.path = inst.name, "renamed1", "/1.0/instances/renamed1"
    assert rest.get(f"instances/{old}").status == 404
    inst.start()
    assert inst.sh("cat /root/note; hostname").split() == ["kept", "renamed1"]


@pytest.mark.host_only("rows of the database")
def test_a_protected_instance_is_not_deleted(rest, instance):
    inst = instance(start=False, config={"security.protection.delete": "true"})
    assert "protection" in rest.refused("DELETE", inst.path, statuses=(400, 403))
    rest.change("PATCH", inst.path, {"config": {"security.protection.delete": ""}})


def test_a_running_instance_is_not_deleted(rest, instance):
    inst = instance(start=True)
    reply = rest.delete(inst.path)
    assert reply.status == 400 and inst.name in reply.error
    assert inst.status == "Running"


# ---- states
@pytest.mark.host_only("operations of lxmd")
def test_starting_twice_fails_in_the_operation(rest, instance):
    inst = instance(start=True)
    pid = inst.pid
    reply = rest.put(inst.path + "/state", {"action": "start"})
    assert reply.status == 202
    with pytest.raises(OperationFailed, match="already running"):
        rest.wait(reply.json["operation"])
    assert inst.pid == pid


def test_freeze_holds_and_unfreeze_lets_go(rest, instance):
    inst = instance(start=True)
    inst.action("freeze")
    assert inst.get()["status_code"] == FROZEN
    reply = rest.post(inst.path + "/exec", {"command": ["true"]})
    assert reply.status == 400 and "frozen" in reply.error
    inst.action("unfreeze")
    assert inst.exec("true").code == 0
    inst.action("freeze")
    inst.stop(force=True)
    assert inst.status == "Stopped"


def test_an_ephemeral_instance_goes_with_its_end_but_not_with_a_restart(rest, instance):
    inst = instance(start=True, ephemeral=True)
    inst.restart()
    assert inst.status == "Running"
    inst.action("stop", force=True)
    assert rest.get(inst.path).status == 404


def test_poweroff_from_inside_is_noticed(rest, instance):
    inst = instance(start=True)
    with rest.events("lifecycle") as events:
        rest.change("POST", inst.path + "/exec", {"command": ["poweroff", "-f"]})
        events.wait_for(lambda e: e["metadata"]["action"] == "instance-shutdown"
                        and e["metadata"]["source"].endswith("/" + inst.name))
    inst.wait_status("Stopped")
    assert inst.get()["config"]["volatile.last_state.power"] == "STOPPED"


def test_reboot_from_inside_gives_a_new_init(rest, instance):
    inst = instance(start=True)
    pid = inst.pid
    with rest.events("lifecycle") as events:
        rest.change("POST", inst.path + "/exec", {"command": ["reboot", "-f"]})
        events.wait_for(lambda e: e["metadata"]["action"] == "instance-restarted"
                        and e["metadata"]["source"].endswith("/" + inst.name))
    assert inst.pid != pid and inst.status == "Running"
    assert inst.exec("true").code == 0


def test_a_stop_that_runs_out_of_time_leaves_it_running(rest, instance):
    inst = instance(start=True)
    # a busybox init that is stopped takes no signal
    rest.change("POST", inst.path + "/exec", {"command": ["sh", "-c", "kill -STOP 1"]})
    op = rest.start_op("PUT", inst.path + "/state", {"action": "stop", "timeout": 1})
    try:
        rest.wait(op, timeout=20)
    except OperationFailed as e:
        assert inst.name in e.op["err"] and "force" in e.op["err"]
        assert inst.status == "Running"


@pytest.mark.host_only("operations of lxmd")
def test_one_state_for_all(rest, instance):
    made = [instance(start=False) for _ in range(3)]
    rest.change("PUT", "instances", {"state": {"action": "start"}})
    assert all(i.status == "Running" for i in made)
    rest.change("PUT", "instances", {"state": {"action": "start"}})
    rest.change("PUT", "instances", {"state": {"action": "stop", "force": True}})
    assert all(i.status == "Stopped" for i in made)


@pytest.mark.host_only("turned away before anything reaches the kernel")
@pytest.mark.parametrize("body", [{}, {"action": "fly"}, {"action": 3}, {"action": "start", "timeout": "soon"},
                                  {"action": "stop", "force": "yes"}, []])
def test_a_bad_state_change_is_refused(rest, instance, body):
    inst = instance(start=False)
    assert rest.put(inst.path + "/state", body).status == 400


@pytest.mark.host_only("operations of lxmd")
def test_a_busy_instance_names_what_runs(rest, instance):
    inst = instance(start=True)
    rest.change("POST", inst.path + "/exec", {"command": ["sh", "-c", "kill -STOP 1"]})
    slow = rest.start_op("PUT", inst.path + "/state", {"action": "stop", "timeout": 3})
    text = ""
    for _ in range(20):
        reply = rest.patch(inst.path, {"description": "x"})
        if reply.status == 409:
            text = reply.error
            break
        time.sleep(0.05)
    assert "Stopping" in text and f"instance '{inst.name}' is busy" in text, text
    # by whichever verb: a number would count the instances of others
    for method, path, body in (("POST", inst.path + "/snapshots", {"name": "s"}),
                               ("POST", "instances", {"name": f"{inst.name}x", "source": {"type": "copy", "source": inst.name}}),
                               ("POST", "images", {"source": {"type": "instance", "name": inst.name}})):
        text = rest.refused(method, path, body, statuses=(409,))
        assert "Stopping" in text and f"instance '{inst.name}' is busy" in text, text
    try:
        rest.wait(slow, timeout=20)
    except OperationFailed:
        pass


def test_state_tells_of_memory_cpu_processes_and_addresses(instance):
    inst = instance(start=True)
    address = inst.address()
    inst.sh("i=0; while [ $i -lt 20000 ]; do i=$((i+1)); done")
    state = inst.state()
    assert state["pid"] > 1 and state["processes"] >= 1
    assert state["cpu"]["usage"] > 0 and state["memory"]["usage"] > 0
    eth0 = state["network"]["eth0"]
    assert address in [a["address"] for a in eth0["addresses"]]
    assert eth0["counters"]["bytes_sent"] > 0 and eth0["hwaddr"].startswith("00:16:3e:")
    assert eth0["host_name"].startswith("veth") and eth0["type"] == "broadcast"
    assert state["network"]["lo"]["type"] == "loopback"


@pytest.mark.host_only("rows of the database")
def test_recursion(rest, instance):
    inst = instance(start=True)
    assert inst.path in rest.read("instances")
    assert f"/1.0/containers/{inst.name}" in rest.read("/1.0/containers")
    one = next(i for i in rest.read("instances", query={"recursion": 1}) if i["name"] == inst.name)
    assert "state" not in one
    full = next(i for i in rest.read("instances", query={"recursion": 2}) if i["name"] == inst.name)
    assert full["state"]["status"] == "Running" and "snapshots" in full and "backups" in full
    found = rest.read("instances", query={"recursion": 1, "filter": f"name eq {inst.name} and status eq running"})
    assert [i["name"] for i in found] == [inst.name]


# ---- exec without websockets, logs
def test_recorded_output_lies_in_the_logs(rest, instance):
    inst = instance(start=True)
    op = rest.change("POST", inst.path + "/exec", {"command": ["sh", "-c", "echo out; echo err >&2; exit 4"],
                                                  "record-output": True})
    assert op["metadata"]["return"] == 4
    urls = op["metadata"]["output"]
    assert rest.get(urls["1"]).body == b"out\n" and rest.get(urls["2"]).body == b"err\n"
    assert urls["1"] in rest.read(inst.path + "/logs")
    assert rest.delete(urls["1"]).status == 200 and rest.get(urls["1"]).status == 404


@pytest.mark.host_only("turned away before anything reaches the kernel")
@pytest.mark.parametrize("name", ["..", "%2e%2e%2flxmd.log", "nope.log", ".hidden", "a%2fb.log", "exec_%0a"])
def test_only_logs_are_logs(rest, instance, name):
    inst = instance(start=False)
    assert rest.get(f"{inst.path}/logs/{name}").status in (400, 404)


def test_environment_and_identity_of_an_exec(instance):
    inst = instance(start=True, config={"environment.FROM_CONFIG": "yes"})
    done = inst.exec("sh", "-c", "echo $FROM_CONFIG $MINE $HOME $USER; pwd; id -u; id -g", environment={"MINE": "too"})
    assert done.out.decode().split() == ["yes", "too", "/root", "root", "/root", "0", "0"]
    done = inst.exec("sh", "-c", "id -u; id -g; pwd", user=1000, group=50, cwd="/tmp")
    assert done.out.decode().split() == ["1000", "50", "/tmp"]


@pytest.mark.host_only("turned away before anything reaches the kernel")
@pytest.mark.parametrize("body", [{}, {"command": []}, {"command": [""]}, {"command": "ls"}, {"command": ["ls"], "user": -1},
                                  {"command": ["ls"], "environment": {"A=B": "c"}}, {"command": ["ls"], "width": 70000}])
def test_a_bad_exec_is_refused(rest, instance, body):
    inst = instance(start=True)
    assert rest.post(inst.path + "/exec", body).status == 400


def test_a_child_that_writes_for_ever_does_not_hold_the_exec(instance):
    inst = instance(start=True)
    done = inst.exec("sh", "-c", "yes & echo first", timeout=20)
    assert done.code == 0
    wait_until(lambda: "yes" not in inst.sh("ps"), 5, lambda: "the writer outlives its reader")


def test_a_lost_client_takes_its_program_along(rest, instance):
    inst = instance(start=True)
    session = Exec(rest, inst.name, ["sh", "-c", "sleep 987 & sleep 987"])
    wait_until(lambda: inst.sh("ps").count("sleep 987") >= 2, 5, lambda: "it does not run")
    session.close()
    wait_until(lambda: "sleep 987" not in inst.sh("ps | grep -v grep"), 5, lambda: "it lives on without its client")


# ---- console
def test_console_talks_and_keeps_what_was_said(rest, instance):
    inst = instance(start=True)
    inst.sh("echo hello from inside > /dev/console")
    wait_until(lambda: b"hello from inside" in rest.get(inst.path + "/console").body, 5, lambda: "the console kept nothing")
    assert rest.delete(inst.path + "/console").status == 200
    assert b"hello from inside" not in rest.get(inst.path + "/console").body


def test_one_console_at_a_time_unless_forced(rest, instance):
    inst = instance(start=True)

    def attach(**body):
        op = rest.start_op("POST", inst.path + "/console", {"width": 80, "height": 25, **body})
        url = f"/1.0/operations/{op['id']}/websocket"
        control = rest.websocket(url, {"secret": op["metadata"]["fds"]["control"]})
        return op, control, rest.websocket(url, {"secret": op["metadata"]["fds"]["0"]})

    first = attach()
    wait_until(lambda: rest.read(f"operations/{first[0]['id']}")["status"] == "Running", 5, lambda: "not attached")
    time.sleep(0.3)
    second = attach()
    with pytest.raises(OperationFailed, match="in use"):
        rest.wait(second[0])
    third = attach(force=True)
    assert rest.wait(first[0])["status"] == "Success"
    third[1].send_close()
    assert rest.wait(third[0])["status"] == "Success"
    for _, control, data in (first, second, third):
        control.close()
        data.close()


# ---- other daemons on the host
def test_the_end_of_another_daemon_does_not_hinder_starts(instance, own_daemon):
    inst = instance(start=False)
    own_daemon.stop()
    inst.start()
    assert inst.exec("true").code == 0


# ---- a restart of lxmd
def test_a_frozen_instance_is_adopted_frozen(own_daemon, busybox_tar):
    from harness import images
    from conftest import create

    images.import_image(own_daemon.rest, busybox_tar, "testimage")
    inst = create(own_daemon, "testimage", name="f1")
    inst.action("freeze")
    own_daemon.kill()
    own_daemon.start()
    assert inst.get()["status_code"] == FROZEN
    inst.action("unfreeze")
    assert inst.exec("true").code == 0
    inst.stop()
    inst.delete()


def test_what_ended_meanwhile_is_known_and_the_rest_comes_back(own_daemon, busybox_tar):
    from harness import images
    from conftest import create

    rest = own_daemon.rest
    images.import_image(rest, busybox_tar, "testimage")
    off, crashed = create(own_daemon, "testimage", name="off1"), create(own_daemon, "testimage", name="crashed1")
    rest.change("POST", off.path + "/exec", {"command": ["sh", "-c", "(sleep 1; poweroff -f) &"]})
    pid = crashed.pid
    own_daemon.kill()
    time.sleep(2)
    own_daemon.start()
    assert off.status == "Stopped", "it powered itself off and stays so"
    assert crashed.pid == pid
    for inst in (crashed,):
        inst.stop()
    for inst in (off, crashed):
        inst.delete()
