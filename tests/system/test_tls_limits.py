"""Limits of the TLS listener: who goes when places run out, and how long a client may take. With small limits of its own."""
import socket
import time

import pytest

from harness.daemon import Daemon
from harness.tls import Certificate, Served

pytestmark = pytest.mark.host_only("TLS on the loopback")

PLACES, HANDSHAKE, HEAD, IDLE = 8, 1, 2, 4


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    daemon = Daemon("limits")
    daemon.prefix = ("/usr/bin/env", f"LXMD_HTTP_LIMITS=places={PLACES},handshake={HANDSHAKE},head={HEAD},idle={IDLE},nonsense=1,head=0")
    try:
        with Served(daemon.start()) as s:
            s.client = Certificate(tmp_path_factory.mktemp("certs"), "admin").trust(s.rest)
            yield s
    finally:
        problems = daemon.discard()
        assert not problems, "\n".join(problems)


def dial(served, source, certificate=None):
    """A TLS connection from that address of the loopback."""
    at = served.at(certificate)
    return at.ctx.wrap_socket(socket.create_connection((at.host, at.port), 10, (source, 0)))


def ask(sock):
    sock.sendall(b"GET /1.0 HTTP/1.1\r\nHost: x\r\n\r\n")
    return sock.recv(65536).split(b"\r\n")[0].decode()


def is_open(sock):
    """Nothing came and it has not ended."""
    sock.settimeout(0.05)
    try:
        return sock.recv(1) != b""
    except TimeoutError:
        return True
    except OSError:
        return False
    finally:
        try:
            sock.settimeout(10)
        except OSError:
            pass


@pytest.fixture
def closing():
    socks = []
    yield socks
    for sock in socks:
        sock.close()


def test_the_longest_silent_stranger_makes_room(served, closing):
    """Connections go to two loops in turn, each with half of the places; all of these come from hosts of their own."""
    admin = dial(served, "127.0.0.2", served.client)
    closing.append(admin)
    assert " 200 " in ask(admin)
    strangers = [dial(served, f"127.0.0.{3 + i}") for i in range(PLACES - 1)]
    closing += strangers
    assert all(" 200 " in ask(s) for s in strangers)
    # the oldest of them speaks again: the two after it are the most silent ones of their loops now
    time.sleep(0.02)  # its clock has milliseconds
    assert all(" 200 " in ask(s) for s in strangers[:2])
    late = [dial(served, f"127.0.0.{100 + i}") for i in range(2)]
    closing += late
    assert all(" 200 " in ask(s) for s in late)
    assert [is_open(s) for s in strangers] == [True, True, False, False] + [True] * (PLACES - 5)
    assert " 200 " in ask(admin)


def test_one_host_gets_half(served, closing):
    socks = []
    for i in range(PLACES // 2 + 2):
        socks.append(dial(served, "127.0.0.50"))
        closing.append(socks[-1])
        assert " 200 " in ask(socks[-1])
    assert [is_open(s) for s in socks] == [False, False] + [True] * (PLACES // 2)
    other = dial(served, "127.0.0.51")
    closing.append(other)
    assert " 200 " in ask(other)
    assert all(is_open(s) for s in socks[2:])


def test_time_for_handshake_head_and_silence(served, closing):
    """Each limit ends what it is for, not sooner than it says, also a client that goes on dripping bytes."""
    half = socket.create_connection((served.at().host, served.port), 10, ("127.0.0.90", 0))
    half.sendall(b"\x16\x03\x01\x02\x00\x01")
    slow = dial(served, "127.0.0.91")
    slow.sendall(b"GET /1.0 HTTP/1.1\r\nHost: ")
    silent, asked = dial(served, "127.0.0.92"), dial(served, "127.0.0.93")
    closing += [half, slow, silent, asked]
    assert " 200 " in ask(asked)
    began, took = time.monotonic(), {}
    while len(took) < 4 and time.monotonic() - began < 15:
        for name, sock in (("half", half), ("slow", slow), ("silent", silent), ("asked", asked)):
            if name not in took and not is_open(sock):
                took[name] = time.monotonic() - began
        if "slow" not in took:
            try:
                slow.sendall(b"x")
            except OSError:
                pass
    assert sorted(took) == ["asked", "half", "silent", "slow"]
    slack = 0.5  # they began before the clock
    assert HANDSHAKE - slack < took["half"] < took["slow"] and took["slow"] > HEAD - slack, took
    assert min(took["silent"], took["asked"]) > max(IDLE - slack, took["slow"]), took


def test_places_of_trusted_clients_are_not_taken(served, closing):
    """The last one: when its clients hang up, lxmd learns of it a moment later."""
    admins = [dial(served, f"127.0.0.{60 + i}", served.client) for i in range(PLACES)]
    closing += admins
    assert all(" 200 " in ask(s) for s in admins)
    for i in range(2):
        with pytest.raises(OSError):
            closing.append(dial(served, f"127.0.0.{80 + i}"))
    assert all(" 200 " in ask(s) for s in admins)
