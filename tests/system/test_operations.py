"""Operations as clients see them: list, wait, cancel, secrets, time-outs, events. Driven through exec."""
import threading
import time

import pytest
import websocket

from harness.daemon import SLOW
from harness.instance import wait_until
from harness.rest import Exec


@pytest.fixture(scope="module")
def box(session_daemon, request):
    """One running busybox for all tests of this file."""
    from conftest import IMAGE, create
    from harness import images

    if not images.have_busybox():
        pytest.skip("busybox-static is not installed")
    if session_daemon.rest.get(f"images/aliases/{IMAGE}").status == 404:
        images.import_image(session_daemon.rest, images.busybox_tar(), IMAGE)
    inst = create(session_daemon, IMAGE)
    yield inst
    inst.remove()


def sleeper(rest, box, seconds):
    """An exec without websockets that takes that long."""
    return rest.start_op("POST", f"{box.path}/exec", {"command": ["sleep", str(seconds)]})


def test_a_running_operation_is_listed_and_found(rest, box):
    op = sleeper(rest, box, 2)
    assert op["class"] == "task" and op["status"] == "Running" and op["status_code"] == 103
    assert op["resources"]["instances"] == [box.path]
    assert op["resources"]["containers"] == [box.path.replace("instances", "containers")]
    assert f"/1.0/operations/{op['id']}" in rest.read("operations")["running"]
    assert op["id"] in [o["id"] for o in rest.read("operations", query={"recursion": 1})["running"]]
    assert rest.read(f"operations/{op['id']}", query={"project": "nowhere"})["id"] == op["id"]
    rest.wait(op)


@pytest.mark.alone
def test_wait_ends_with_its_time_or_with_the_operation(rest, box):
    op = sleeper(rest, box, 2)
    path = f"operations/{op['id']}/wait"
    for timeout, least in ((0, 0), (1, 0.9)):
        began = time.monotonic()
        assert rest.read(path, query={"timeout": timeout})["status"] == "Running"
        assert least <= time.monotonic() - began < least + 0.6 * SLOW
    done = rest.read(path + "?")  # as lxc query --wait asks
    assert done["status"] == "Success" and done["metadata"]["return"] == 0 and done["err"] == ""
    assert rest.read(path, query={"timeout": -1})["status"] == "Success"
    assert rest.get(path, query={"timeout": "soon"}).status == 400


def test_many_wait_at_once_without_a_thread_each(rest, daemon, box):
    op = sleeper(rest, box, 3)
    done = []
    waiters = [threading.Thread(target=lambda: done.append(rest.wait(op)["status"])) for _ in range(100)]
    for t in waiters:
        t.start()
    time.sleep(1)
    with open(f"/proc/{daemon.proc.pid}/status") as f:
        threads = int(next(line for line in f if line.startswith("Threads:")).split()[1])
    for t in waiters:
        t.join()
    assert done == ["Success"] * 100
    assert threads < 40


def test_what_cannot_be_cancelled_says_so(rest, box):
    assert rest.delete("operations/no-such").status == 404
    op = rest.wait(sleeper(rest, box, 0))
    assert rest.delete(f"operations/{op['id']}").status == 400


def test_secrets_open_once(rest, box):
    run = Exec(rest, box.name, ["cat"])
    fds = run.op["metadata"]["fds"]
    assert all(len(s) == 64 and set(s) <= set("0123456789abcdef") for s in fds.values())
    assert len(set(fds.values())) == len(fds)
    for secret in (fds["0"], "0" * 64, "", fds["1"][:63]):
        with pytest.raises(websocket.WebSocketBadStatusException) as refused:
            rest.websocket(f"/1.0/operations/{run.op['id']}/websocket", {"secret": secret})
        assert refused.value.status_code == 403
    run.send(b"still fine")  # the operation lives on
    run.eof()
    assert run.output()[0] == b"still fine"
    assert rest.wait(run.op)["metadata"]["return"] == 0


def test_sockets_that_nobody_opens_fail_the_operation(rest, box):
    op = rest.start_op("POST", f"{box.path}/exec", {"command": ["true"], "wait-for-websocket": True})
    began = time.monotonic()
    done = rest.read(f"operations/{op['id']}/wait", query={"timeout": 20})
    assert done["status"] == "Failure" and done["err"] == "Timed out waiting for websockets to connect"
    assert 3.5 < time.monotonic() - began < 7 * SLOW


def test_listeners_hear_every_state_in_order(rest, box):
    with rest.events(types="operation") as events:
        op = rest.wait(sleeper(rest, box, 0))
        events.wait_for(lambda e: e["metadata"]["id"] == op["id"] and e["metadata"]["status_code"] == 200)
        states = [e["metadata"]["status"] for e in events.seen if e["metadata"]["id"] == op["id"]]
    assert states[0] == "Pending" and states[1] == "Running" and states[-1] == "Success"
    assert all(e["project"] == "default" and e["location"] == "none" for e in events.seen)
