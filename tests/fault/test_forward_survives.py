"""Proxy devices outlive lxmd: killed or restarted, their processes go on, and the next lxmd knows them."""
import os
import signal
import socket

import pytest

from conftest import create
from harness import images
from harness.instance import wait_until
from harness.sockets import Echo, ask, forwarders, inside, listener, port, proxy


@pytest.fixture
def inst(own_daemon, busybox_tar):
    images.import_image(own_daemon.rest, busybox_tar, "testimage")
    p = port()
    inst = create(own_daemon, "testimage", name="forwarded", config={"boot.autostart": "false"}, devices={"web": proxy(f"tcp:127.0.0.1:{p}", "tcp:127.0.0.1:7000")})
    inst.port = p
    server = Echo(inside(inst, lambda: listener(("127.0.0.1", 7000))))
    yield inst
    server.close()
    if not own_daemon.alive():
        own_daemon.proc = None
        own_daemon.start()
    inst.remove()


def drop(inst):
    now = inst.get()
    inst.rest.change("PUT", inst.path, json={k: now[k] for k in ("config", "profiles", "description")} | {"devices": {}})


@pytest.mark.parametrize("how", ["kill", "stop"])
def test_traffic_flows_without_lxmd(own_daemon, inst, how):
    (pid,) = forwarders(inst)
    with socket.create_connection(("127.0.0.1", inst.port)) as s:
        s.sendall(b"before, ")
        getattr(own_daemon, how)()
        s.sendall(b"meanwhile, ")
        assert ask(("127.0.0.1", inst.port), b"new") == b"NEW"
        own_daemon.start()
        s.sendall(b"after")
        s.shutdown(socket.SHUT_WR)
        assert s.recv(100) == b"BEFORE, MEANWHILE, AFTER"
    assert forwarders(inst) == [pid]
    # it is watched again, and goes with its device
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: forwarders(inst) not in ([], [pid]))
    drop(inst)
    assert not forwarders(inst)


def test_what_died_meanwhile_is_there_again(own_daemon, inst):
    (pid,) = forwarders(inst)
    own_daemon.kill()
    os.kill(pid, signal.SIGKILL)
    own_daemon.start()
    assert len(forwarders(inst)) == 1 and ask(("127.0.0.1", inst.port), b"x") == b"X"


def test_it_ends_with_the_instance_though_no_lxmd_sees_it(own_daemon, inst):
    init = inst.state()["pid"]
    own_daemon.kill()
    os.kill(init, signal.SIGKILL)
    wait_until(lambda: not forwarders(inst))
    own_daemon.start()
    assert inst.status == "Stopped" and not forwarders(inst)
