"""Operations that run when lxmd ends: the next lxmd knows them, and says that it was the restart that ended them."""
import os
import time
from contextlib import suppress

import pytest

from conftest import create
from harness import images
from harness.instance import wait_until
from harness.rest import Exec, OperationFailed
from harness.tls import Certificate, Served

CUT = "lxmd was restarted while this ran"
pytestmark = pytest.mark.host_only("what lxmd remembers of its operations")


def crash(daemon):
    daemon.kill()
    daemon.start()


def polite(daemon):
    daemon.stop()
    daemon.start()


@pytest.fixture
def inst(own_daemon, busybox_tar):
    images.import_image(own_daemon.rest, busybox_tar, "testimage")
    inst = create(own_daemon, "testimage", name="box", start=False)
    yield inst
    if not own_daemon.alive():
        own_daemon.proc = None
        own_daemon.start()
    inst.remove()


def fill(inst, name, size):
    assert inst.rest.post(f"{inst.path}/files", query={"path": f"/root/{name}"}, data=os.urandom(size)).status == 200


def check_cut(rest, op):
    """Its end is known to all that ask for it, in each way of asking."""
    for path in (f"operations/{op['id']}", f"operations/{op['id']}/wait"):
        got = rest.read(path)
        assert (got["status"], got["status_code"], got["err"]) == ("Failure", 400, CUT), got
        assert got["id"] == op["id"] and got["description"] == op["description"] and got["class"] == op["class"]
        assert got["resources"] == op["resources"] and got["created_at"] == op["created_at"] and not got["may_cancel"]
    assert f"/1.0/operations/{op['id']}" in rest.read("operations")["failure"]
    assert rest.delete(f"operations/{op['id']}").status == 400


def test_a_publish_and_a_copy_cut_by_kill_9(own_daemon, inst):
    """Both are long enough to be in their middle; what they had made is gone, and they can be done again."""
    rest = own_daemon.rest
    fill(inst, "big", 48 << 20)
    done = rest.wait(rest.start_op("POST", f"{inst.path}/snapshots", {"name": "before"}))
    publish = rest.start_op("POST", "images", {"source": {"type": "instance", "name": inst.name}, "compression_algorithm": "xz"})
    copy = rest.start_op("POST", "instances", {"name": "twin", "source": {"type": "copy", "source": inst.name}})
    time.sleep(0.05)
    running = {op["id"] for op in rest.read("operations", query={"recursion": 1}).get("running", [])}
    assert publish["id"] in running
    crash(own_daemon)
    check_cut(rest, publish)
    if copy["id"] in running and rest.get(f"operations/{copy['id']}").status != 404:
        check_cut(rest, copy)
    assert rest.get(f"operations/{done['id']}").status == 404
    assert len(rest.read("images")) == 1
    if rest.get("instances/twin").status == 200:
        rest.change("DELETE", "instances/twin")
    log = (own_daemon.dir / "logs" / "audit.log").read_text()
    assert [line for line in log.splitlines() if publish["id"] in line and "Failure" in line]
    crash(own_daemon)  # still known, and written down once
    check_cut(rest, publish)
    log = (own_daemon.dir / "logs" / "audit.log").read_text()
    assert len([line for line in log.splitlines() if publish["id"] in line and "Failure" in line]) == 1
    rest.change("DELETE", f"{inst.path}/snapshots/before")


@pytest.mark.parametrize("restart", [crash, polite], ids=["kill", "restart"])
def test_those_that_cannot_be_cancelled_and_those_that_can(own_daemon, inst, restart):
    """A token and an exec nobody connected to end with lxmd, also when it ends politely; an exec that runs does not."""
    rest = own_daemon.rest
    inst.start()
    token = rest.start_op("POST", f"images/{rest.read('images')[0].rsplit('/')[-1]}/secret")
    with Exec(rest, inst.name, ["sleep", "60"]) as ex:
        wait_until(lambda: "sleep 60" in inst.sh("ps"))
        restart(own_daemon)
    check_cut(rest, token)
    assert rest.read(f"operations/{ex.op['id']}")["status"] == "Running"
    inst.stop()


def test_an_exec_whose_program_died_with_its_instance(own_daemon, inst):
    """Without lxmd there is nobody to adopt it from: it is not simply unknown."""
    rest = own_daemon.rest
    rest.change("PATCH", inst.path, {"config": {"boot.autostart": "false"}})
    inst.start()
    init = inst.pid
    with Exec(rest, inst.name, ["sleep", "60"]) as ex:
        wait_until(lambda: "sleep 60" in inst.sh("ps"))
        own_daemon.kill()
    os.kill(init, 9)
    time.sleep(0.3)
    own_daemon.start()
    assert rest.read(f"operations/{ex.op['id']}")["err"] == CUT


def test_another_project_still_hears_of_nothing(own_daemon, inst, tmp_path):
    rest = own_daemon.rest
    for project in ("red", "blue"):
        rest.change("POST", "projects", {"name": project, "config": {"features.images": "false", "features.profiles": "false"}})
    with Served(own_daemon) as served:
        certs = {p: Certificate(tmp_path, p).trust(rest, restricted=True, projects=[p], name=p) for p in ("red", "blue")}
        rest.change("POST", "instances", {"name": "r1", "source": {"type": "image", "alias": "testimage"}}, query={"project": "red"})
        rest.change("PUT", "instances/r1/state", {"action": "start"}, query={"project": "red"})
        op = rest.start_op("PUT", "instances/r1/state", {"action": "stop", "timeout": 60}, query={"project": "red"})
        crash(own_daemon)
        red, blue = (served.at(certs[p]) for p in ("red", "blue"))
        assert red.read(f"operations/{op['id']}", query={"project": "red"})["err"] == CUT
        for path in (f"operations/{op['id']}", f"operations/{op['id']}/wait"):
            assert blue.get(path, query={"project": "blue"}).status == 404
        assert blue.read("operations", query={"project": "blue"}) == {}
        with suppress(OperationFailed):  # it may have heeded the stop that was cut off
            rest.change("PUT", "instances/r1/state", {"action": "stop", "force": True}, query={"project": "red"})
        rest.change("DELETE", "instances/r1", query={"project": "red"})
    for project in ("red", "blue"):
        rest.change("DELETE", f"projects/{project}")
